//! From a configuration to running rooms.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bgp_codec::FamilySet;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::answer::{Answerer, Facts, ORDERS, Reloads};
use super::http::Http;
use super::memory::{self, Legacy, Memory};
use super::shutdown::Shutdowns;
use super::{Inputs, Signals, Speaker, drain, tables as watched};
use crate::cli::{EntryError, RunOptions};
use crate::config::{Config, Loaded, LogFormat, Report};
use crate::control::{self, ControlSocket};
use crate::drain::Drains;
use crate::kernel::{self, KernelHandle, router_id, state_file};
use crate::originate::Originator;
use crate::policy::Marks;
use crate::rib::interface::{Aggregate, Event, Reachability, Restarting, Settings as RibSettings};
use crate::rib::task::{self as rib_task, RibHandle};
use crate::route::{PeerId, Prefix, TableId};
use crate::session::handover::Handed;
use crate::session::peer_ids::PeerIds;
use crate::session::settings::{PeerAddress, PeerSettings, SpeakerIdentity};
use crate::session::supervisor::{Awaited, Sessions, Start};
use crate::telemetry::{Format, Telemetry};
use crate::vip;

/// Items that may wait between two rooms.
const QUEUE: usize = 256;
/// Batches of routes that may wait for the kernel; while it lags, peers are held back.
const FIB_QUEUE: usize = 8;
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
    (config, inherited): (Config, Vec<Handed>),
    telemetry: Telemetry,
) -> Result<Speaker, EntryError> {
    let ground = Ground::prepare(options, &config)?;
    let (legacy, router_id) = (ground.legacy, ground.router_id);
    let (table_sender, table) = mpsc::channel(QUEUE);
    let (fib, fib_updates) = mpsc::channel(FIB_QUEUE);
    let kernel = start_kernel(&config, &ground.originator, fib_updates, table_sender);
    let forwarding = legacy.forwarding(config.kernel.as_ref(), &first_dump(&kernel.handle).await);
    log_start(&config, router_id, &legacy, forwarding);

    let mut ids = PeerIds::default();
    let drains = Drains::restored(legacy.drains(), drain::now());
    let shutdowns = Shutdowns::restored(legacy.shutdowns(), &config.peers);
    let peers = with_ids(shutdowns.over(drain::peers(&drains, &config.peers)), &mut ids);
    let back = members(&config, &legacy, &mut ids);
    let restarting = legacy.is_restart().then(|| awaited(&config, &peers, &back));
    let settings = rib_settings(&config, router_id, restarting);
    let (rib, events, aggregates) = start_rib(settings, fib, kernel.reachability);
    rib.aggregates(rules(&config)).await;

    let (announcements_sender, announcements) = mpsc::channel(QUEUE);
    let vips = Arc::new(vip::spawn(vips(&config, &legacy, &drains), announcements_sender));
    let now = Instant::now();
    let first = Start {
        rib: rib.clone(),
        identity: identity(&config, router_id, &legacy, forwarding, now),
        peers,
        ids,
        awaited: back,
        listen: config.speaker.listen.clone(),
        inherited,
        seed: random(),
    };
    let (orders_sender, orders) = mpsc::channel(ORDERS);
    let answerer = Answerer {
        facts: facts(options, &config, router_id, now),
        rib,
        sessions: Sessions::start(first),
        vips: Arc::clone(&vips),
        kernel: kernel.handle.clone(),
        reloads: Arc::new(Mutex::new(Reloads::default())),
        drains: drain::Shared::new(drains),
        shutdowns,
        orders: orders_sender,
    };
    let http = serve(&config, ground.socket, answerer.clone());
    watch(&config, &answerer);
    let inputs = Inputs {
        table,
        announcements,
        events,
        aggregates,
        orders,
        installed: kernel.handle.version(),
        verdicts: vips.progress(),
        members: answerer.sessions.members(),
        signals: ground.signals,
    };
    let mut speaker = Speaker {
        memory: Memory::new(config.speaker.state_dir.clone(), ground.boot_id, router_id),
        tables: tables(&config, &ground.originator),
        config,
        telemetry,
        rooms: answerer,
        originator: ground.originator,
        http,
        unconfirmed: None,
        complete_by: None,
        inputs,
    };
    speaker.begin().await;
    Ok(speaker)
}

fn start_rib(
    settings: RibSettings,
    fib: mpsc::Sender<rib_task::FibUpdate>,
    reachability: mpsc::Receiver<Vec<(IpAddr, Reachability)>>,
) -> (RibHandle, mpsc::Receiver<Event>, watch::Receiver<Vec<Prefix>>) {
    let (sender, events) = mpsc::channel(QUEUE);
    let (present, aggregates) = watch::channel(Vec::new());
    let edges = rib_task::Edges {
        fib,
        events: sender,
        aggregates: present,
    };
    let rib = rib_task::spawn(settings, edges);
    ferry_reachability(reachability, rib.clone());
    (rib, events, aggregates)
}

/// Aggregates as the tables need to know them.
pub(super) fn rules(config: &Config) -> Vec<Aggregate> {
    let rules = config.aggregates.iter().map(|aggregate| aggregate.rule.clone());
    rules.collect()
}

/// What is settled before any room starts.
struct Ground {
    signals: Signals,
    socket: ControlSocket,
    boot_id: String,
    legacy: Legacy,
    router_id: Ipv4Addr,
    originator: Originator,
}

impl Ground {
    fn prepare(options: &RunOptions, config: &Config) -> Result<Self, EntryError> {
        let signals = Signals::new()?;
        let socket = ControlSocket::bind(&options.socket)?;
        let boot_id = state_file::boot_id()?;
        let legacy = Legacy::read(&config.speaker.state_dir, &boot_id);
        let router_id = choose_router_id(config, &legacy)?;
        let protocol = config
            .kernel
            .as_ref()
            .map_or(DEFAULT_PROTOCOL, |kernel| kernel.protocol);
        let mut originator = Originator::new(protocol);
        originator.reconfigure(config.originate.clone());
        originator.set_aggregates(config.aggregates.clone());
        Ok(Self {
            signals,
            socket,
            boot_id,
            legacy,
            router_id,
            originator,
        })
    }
}

/// What the kernel holds of ours when we start.
async fn first_dump(kernel: &KernelHandle) -> state_file::Installed {
    if tokio::time::timeout(FIRST_DUMP, kernel.first_dump_done())
        .await
        .is_err()
    {
        tracing::warn!("the kernel's tables cannot be read yet; sessions start without");
    }
    kernel.installed().await.unwrap_or_default()
}

fn vips(config: &Config, legacy: &Legacy, drains: &Drains) -> vip::Start {
    vip::Start {
        asn: config.speaker.asn,
        vips: config.vips.clone(),
        legacy: legacy.vips(),
        drains: drains.vips(),
    }
}

/// What goes on beside the main loop: what VIPs wish to know, and that the state file is not forgotten.
fn watch(config: &Config, rooms: &Answerer) {
    tokio::spawn(memory::keep_alive(config.speaker.state_dir.clone()));
    // A little before our End-of-RIB goes out whatever is missing, so that what waited is announced before it.
    let deadline = rooms.facts.started + config.speaker.deferral_time * 3 / 4;
    tokio::spawn(watched::watch(rooms.clone(), deadline));
}

fn with_ids(peers: Vec<PeerSettings>, ids: &mut PeerIds) -> Vec<(PeerId, PeerSettings)> {
    peers.into_iter().map(|peer| (ids.allocate(), peer)).collect()
}

fn facts(options: &RunOptions, config: &Config, router_id: Ipv4Addr, started: Instant) -> Facts {
    Facts {
        asn: config.speaker.asn.0,
        router_id,
        config: options.config.clone(),
        started,
    }
}

fn identity(
    config: &Config,
    router_id: Ipv4Addr,
    legacy: &Legacy,
    forwarding: FamilySet,
    now: Instant,
) -> SpeakerIdentity {
    SpeakerIdentity {
        asn: config.speaker.asn,
        bgp_identifier: router_id,
        hostname: hostname(),
        forwarding,
        restarting_until: legacy
            .is_restart()
            .then(|| (now + config.speaker.deferral_time).into_std()),
    }
}

/// The name of this machine; empty where it has none that can be told.
fn hostname() -> Arc<str> {
    let name = nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok());
    name.unwrap_or_default().into()
}

/// `rtm_protocol` of our routes where nothing else is configured.
const DEFAULT_PROTOCOL: u8 = 179;

struct StartedKernel {
    handle: KernelHandle,
    reachability: mpsc::Receiver<Vec<(IpAddr, Reachability)>>,
}

/// Kernel tables that something is imported from, or installed into beside the one of `[kernel]`.
pub(super) fn tables(config: &Config, originator: &Originator) -> BTreeSet<TableId> {
    let mut tables = originator.kernel_tables();
    if config.kernel.is_some() {
        tables.extend(config.peers.iter().filter_map(|peer| peer.policy.install_table));
        let rules = config.filters.iter().flat_map(|filter| &filter.rules);
        tables.extend(rules.filter_map(|rule| rule.edits.marks(Marks::default()).table));
    }
    tables
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
        imported: tables(config, originator),
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

fn ferry_reachability(mut reachability: mpsc::Receiver<Vec<(IpAddr, Reachability)>>, rib: RibHandle) {
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
        // Whether routes go in is the kernel edge's to say, at any time.
        install: kernel.is_some(),
        always_compare_med: config.speaker.always_compare_med,
        decision: config.speaker.decision,
        restarting,
    }
}

/// Peers from ranges whose routes we had before the restart and that may come back.
fn members(config: &Config, legacy: &Legacy, ids: &mut PeerIds) -> Awaited {
    let at = |address: IpAddr| {
        move |peer: &&PeerSettings| match peer.address {
            PeerAddress::Address(configured) => configured == address,
            PeerAddress::Range(range) => range.contains(&address),
        }
    };
    let comes_from_range = |address: &IpAddr| {
        let mut known = config.peers.iter().filter(at(*address)).peekable();
        known.peek().is_some() && known.all(|peer| matches!(peer.address, PeerAddress::Range(_)))
    };
    let saved = legacy.members().unwrap_or_default();
    let back = saved.into_iter().filter(comes_from_range);
    Awaited {
        ids: back.map(|address| (address, ids.allocate())).collect(),
        time: config.speaker.deferral_time,
    }
}

/// Peers with an address that is not ours, and `members`; a restarting speaker waits for their End-of-RIB.
fn awaited(config: &Config, peers: &[(PeerId, PeerSettings)], members: &Awaited) -> Restarting {
    let ours = router_id::local_addresses().unwrap_or_default();
    let awaited = peers.iter().filter(|(_, settings)| match settings.address {
        PeerAddress::Address(address) => settings.shutdown.is_none() && !ours.contains(&address),
        PeerAddress::Range(_) => false,
    });
    let deadline = config.speaker.deferral_time;
    Restarting {
        peers: awaited
            .map(|(id, _)| *id)
            .chain(members.ids.values().copied())
            .collect(),
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

fn serve(config: &Config, socket: ControlSocket, answerer: Answerer) -> Http {
    let (questions_sender, questions) = mpsc::channel(control::QUESTIONS);
    let mut http = Http::new(questions_sender.clone());
    http.serve(config.speaker.http);
    tokio::spawn(control::serve(socket, questions_sender));
    tokio::spawn(answerer.serve(questions));
    http
}

/// Different in every process: a peer must not be able to choose prefixes that collide.
fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
