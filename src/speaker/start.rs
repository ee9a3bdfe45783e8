//! From a configuration to running rooms.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bgp_codec::FamilySet;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::answer::{Answerer, Facts, ORDERS, Reloads};
use super::memory::{Legacy, Memory};
use super::{Inputs, Signals, Speaker};
use crate::cli::{EntryError, RunOptions};
use crate::config::{Config, Loaded, LogFormat, Report};
use crate::control::{self, ControlSocket};
use crate::kernel::{self, KernelHandle, router_id, state_file};
use crate::originate::Originator;
use crate::rib::interface::{Restarting, Settings as RibSettings};
use crate::rib::task::{self as rib_task, RibHandle};
use crate::route::PeerId;
use crate::session::peer_ids::PeerIds;
use crate::session::settings::{PeerAddress, PeerSettings, SpeakerIdentity};
use crate::session::supervisor::{Sessions, Start};
use crate::telemetry::{self, Format, Service, Telemetry};
use crate::vip;

/// Items that may wait between two rooms.
const QUEUE: usize = 256;
/// The first dump takes milliseconds; a kernel that cannot be asked must not keep sessions from coming up.
const FIRST_DUMP: Duration = Duration::from_secs(5);
/// After a restart a peer that is not Established by then is not waited for; cut to half of the deferral time.
const ESTABLISH: Duration = Duration::from_secs(30);

/// Reads the configuration with this process's environment.
pub(super) fn load(path: &Path) -> Result<Loaded, Report> {
    Config::load(path, &|name| std::env::var(name).ok())
}

pub(super) const fn format(format: LogFormat) -> Format {
    match format {
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
    }
}

/// Starts every room, in the order in which they need each other.
pub(super) async fn start(
    options: &RunOptions,
    config: Config,
    telemetry: Telemetry,
) -> Result<Speaker, EntryError> {
    let signals = Signals::new()?;
    let socket = ControlSocket::bind(&options.socket)?;
    let boot_id = state_file::boot_id()?;
    let legacy = Legacy::read(&config.speaker.state_dir, &boot_id);
    let router_id = choose_router_id(&config, &legacy)?;

    let mut originator = Originator::new(
        config
            .kernel
            .as_ref()
            .map_or(DEFAULT_PROTOCOL, |kernel| kernel.protocol),
    );
    originator.reconfigure(config.originate.clone());
    let (fib, fib_updates) = mpsc::channel(QUEUE);
    let (table_sender, table) = mpsc::channel(QUEUE);
    let kernel = start_kernel(&config, &originator, fib_updates, table_sender);
    if tokio::time::timeout(FIRST_DUMP, kernel.handle.first_dump_done())
        .await
        .is_err()
    {
        tracing::warn!("the kernel's tables cannot be read yet; sessions start without");
    }
    let present = kernel.handle.installed().await.unwrap_or_default();
    let forwarding = legacy.forwarding(config.kernel.as_ref(), &present);

    let mut ids = PeerIds::default();
    let peers: Vec<(PeerId, PeerSettings)> = config
        .peers
        .iter()
        .map(|peer| (ids.allocate(), peer.clone()))
        .collect();
    let (events_sender, events) = mpsc::channel(QUEUE);
    let restarting = legacy.is_restart().then(|| awaited(&config, &peers));
    let rib = rib_task::spawn(
        rib_settings(&config, router_id, restarting),
        rib_task::Edges {
            fib,
            events: events_sender,
        },
    );
    ferry_reachability(kernel.reachability, rib.clone());

    let (announcements_sender, announcements) = mpsc::channel(QUEUE);
    let vips = Arc::new(vip::spawn(
        config.vips.clone(),
        legacy.verdicts(),
        announcements_sender,
    ));
    let now = Instant::now();
    let identity = SpeakerIdentity {
        asn: config.speaker.asn,
        bgp_identifier: router_id,
        forwarding,
        restarting_until: legacy
            .is_restart()
            .then(|| (now + config.speaker.deferral_time).into_std()),
    };
    let reloads = Arc::new(Mutex::new(Reloads::default()));
    let (orders_sender, orders) = mpsc::channel(ORDERS);
    let inputs = Inputs {
        table,
        announcements,
        events,
        orders,
        installed: kernel.handle.version(),
        verdicts: vips.progress(),
        signals,
    };
    log_start(&config, router_id, &legacy, forwarding);
    let listen = config.speaker.listen.clone();
    let sessions = Sessions::start(Start {
        rib: rib.clone(),
        identity,
        peers,
        ids,
        listen,
        seed: random(),
    });
    let answerer = Answerer {
        facts: Facts {
            asn: config.speaker.asn.0,
            router_id,
            config: options.config.clone(),
            started: now,
        },
        rib: rib.clone(),
        sessions: sessions.clone(),
        vips: Arc::clone(&vips),
        kernel: kernel.handle.clone(),
        reloads: Arc::clone(&reloads),
        orders: orders_sender,
    };
    serve(&config, socket, answerer);
    let mut speaker = Speaker {
        config_path: options.config.clone(),
        complete_by: Some(now + config.speaker.deferral_time),
        memory: Memory::new(config.speaker.state_dir.clone(), boot_id, router_id),
        config,
        telemetry,
        rib,
        kernel: kernel.handle,
        vips,
        sessions,
        originator,
        reloads,
        inputs,
    };
    speaker
        .kernel
        .set_discard(speaker.originator.discard_prefixes())
        .await;
    speaker.announce().await;
    if speaker.is_complete() {
        speaker.complete().await;
    }
    speaker.memory.save(&speaker.kernel, &speaker.vips, false).await;
    telemetry::tell(Service::Ready);
    Ok(speaker)
}

/// `rtm_protocol` of our routes where nothing else is configured.
const DEFAULT_PROTOCOL: u8 = 179;

struct StartedKernel {
    handle: KernelHandle,
    reachability: mpsc::Receiver<Vec<(IpAddr, crate::rib::interface::Reachability)>>,
}

fn start_kernel(
    config: &Config,
    originator: &Originator,
    updates: mpsc::Receiver<rib_task::FibUpdate>,
    table: mpsc::Sender<crate::route::KernelTableChange>,
) -> StartedKernel {
    let (sender, reachability) = mpsc::channel(QUEUE);
    let setup = kernel::Setup {
        settings: config.kernel.clone(),
        imported: originator.kernel_tables(),
        stale_after: config.speaker.deferral_time + Duration::from_secs(5),
    };
    StartedKernel {
        handle: kernel::spawn(
            setup,
            updates,
            kernel::Edges {
                reachability: sender,
                table,
            },
        ),
        reachability,
    }
}

fn ferry_reachability(
    mut reachability: mpsc::Receiver<Vec<(IpAddr, crate::rib::interface::Reachability)>>,
    rib: RibHandle,
) {
    tokio::spawn(async move {
        while let Some(changes) = reachability.recv().await {
            rib.next_hops(changes).await;
        }
    });
}

fn rib_settings(config: &Config, router_id: Ipv4Addr, restarting: Option<Restarting>) -> RibSettings {
    let kernel = config.kernel.as_ref();
    RibSettings {
        asn: config.speaker.asn,
        bgp_identifier: router_id,
        cluster_id: config.speaker.cluster_id.unwrap_or(router_id),
        hash_seed: random(),
        multipath: kernel.map_or(1, |kernel| kernel.multipath),
        track_next_hops: kernel.is_some(),
        install: kernel.is_some_and(|kernel| kernel.install),
        always_compare_med: config.speaker.always_compare_med,
        restarting,
    }
}

/// Peers with an address that is not ours; a restarting speaker waits for their End-of-RIB.
fn awaited(config: &Config, peers: &[(PeerId, PeerSettings)]) -> Restarting {
    let ours = router_id::local_addresses().unwrap_or_default();
    let awaited = peers.iter().filter(|(_, settings)| match settings.address {
        PeerAddress::Address(address) => settings.shutdown.is_none() && !ours.contains(&address),
        PeerAddress::Range(_) => false,
    });
    let deadline = config.speaker.deferral_time;
    Restarting {
        peers: awaited.map(|(id, _)| *id).collect(),
        deadline,
        establish: ESTABLISH.min(deadline / 2),
    }
}

/// As configured; else the one in use before the restart; else what the machine suggests.
fn choose_router_id(config: &Config, legacy: &Legacy) -> Result<Ipv4Addr, EntryError> {
    match config.speaker.router_id.or_else(|| legacy.router_id()) {
        Some(router_id) => Ok(router_id),
        None => Ok(router_id::discover()?),
    }
}

fn log_start(config: &Config, router_id: Ipv4Addr, legacy: &Legacy, forwarding: FamilySet) {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        asn = %config.speaker.asn,
        %router_id,
        peers = config.peers.len(),
        restart = legacy.is_restart(),
        ?forwarding,
        "stonechat starts"
    );
}

fn serve(config: &Config, socket: ControlSocket, answerer: Answerer) {
    let (questions_sender, questions) = mpsc::channel(control::QUESTIONS);
    if let Some(address) = config.speaker.http {
        tokio::spawn(control::serve_http(address, questions_sender.clone()));
    }
    tokio::spawn(control::serve(socket, questions_sender));
    tokio::spawn(answerer.serve(questions));
}

/// Different in every process: a peer must not be able to choose prefixes that collide.
fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
