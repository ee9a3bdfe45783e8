//! The daemon: builds the rooms, ferries between those that do not know each other, applies reloads, orders the stop.
//!
//! | file | what it owns |
//! |---|---|
//! | `start.rs` | from a configuration to running rooms |
//! | `answer.rs` | questions from the command line and from monitoring |
//! | `reload.rs` | a reload: plan, refuse or apply |
//! | `drain.rs` | draining: what the operator wants, and what it means for peers |
//! | `http.rs` | where HTTP is served |
//! | `memory.rs` | the state file: what a successor must know |
//! | `report.rs` | what the shard wants an operator to read |
//! | `tables.rs` | what VIPs wish to know of the tables |
//! | `takeover.rs` | the sockets of a daemon that still runs |
//! | `privileges.rs` | capabilities |

mod answer;
mod drain;
mod http;
mod memory;
mod privileges;
mod reload;
mod report;
mod shutdown;
mod start;
mod tables;
mod takeover;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use self::answer::{Answerer, Order};
use self::http::Http;
use self::memory::Memory;
use self::reload::ReloadWish;
use crate::cli::{CleanupOptions, EntryError, RunOptions};
use crate::config::Config;
use crate::control::Response;
use crate::kernel::settings::OnStop;
use crate::kernel::{cleanup as kernel_cleanup, state_file};
use crate::originate::{Originator, vip_route};
use crate::rib::interface::Event;
use crate::route::{KernelTableChange, OriginKind, Prefix, TableId};
use crate::session::handover::Handed;
use crate::session::supervisor::StopKind;
use crate::telemetry::{self, Service, Telemetry};
use crate::vip;

/// How long the end of the daemon waits for threads that are stuck in a system call.
const STRAGGLERS: Duration = Duration::from_secs(1);

/// So often in a row the kernel's table goes before everything else in the main loop.
const TABLE_TURNS: u32 = 16;

/// Changes for the RIB handed over at once.
const LOCAL_BATCH: usize = 1_024;

/// Runs the daemon until it is told to stop.
///
/// # Errors
///
/// The configuration is wrong, another daemon runs, or the system refuses what the daemon cannot do without.
pub fn run(options: &RunOptions) -> Result<(), EntryError> {
    // Before the files are read: what cannot be read without them could not be read at a reload either.
    let dropped = privileges::drop_unneeded();
    let loaded = start::load(&options.config)?;
    let speaker = &loaded.config.speaker;
    let telemetry = telemetry::init(&speaker.log_level, start::format(speaker.log_format))?;
    for warning in &loaded.warnings {
        tracing::warn!(%warning, "configuration");
    }
    if let Err(error) = dropped {
        tracing::warn!(%error, "capabilities that are not needed could not be given up");
    }
    let inherited = if options.takeover {
        takeover::take(&options.socket)?
    } else {
        Vec::new()
    };
    // One thread serves all: the shard and the sockets share its caches, and an idle node costs one stack.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(async {
        let running = start::start(options, (loaded.config, inherited), telemetry).await?;
        // As a task: what wakes the root future instead costs a system call each time.
        tokio::spawn(running.run()).await?;
        Ok(())
    });
    // A look at a file system that hangs must not keep the daemon from ending.
    runtime.shutdown_timeout(STRAGGLERS);
    ended
}

/// Removes what a dead daemon left in the kernel and in its state directory.
///
/// # Errors
///
/// The configuration cannot be read, or the kernel refuses.
pub fn cleanup(options: &CleanupOptions) -> Result<String, EntryError> {
    let config = start::load(&options.config)?.config;
    let protocol = config.kernel.as_ref().map_or(179, |kernel| kernel.protocol);
    let (removed, failed) = kernel_cleanup::remove_routes(protocol)?;
    let state_dir = &config.speaker.state_dir;
    let known = memory::Legacy::read(state_dir, &state_file::boot_id()?)
        .vips()
        .bound;
    let addresses = vip::remove_left_addresses(&known)?;
    if failed > 0 {
        return Err(format!("{removed} routes removed, {failed} could not be removed").into());
    }
    if addresses.failed > 0 {
        let vip::LeftAddresses { removed, failed } = addresses;
        return Err(format!("{removed} addresses of VIPs removed, {failed} could not be removed").into());
    }
    // Last: it alone knows the addresses where the kernel does not mark them.
    state_file::remove(state_dir)?;
    let addresses = match addresses.removed {
        0 => String::new(),
        count => format!(", {count} addresses of VIPs removed"),
    };
    Ok(format!(
        "{removed} routes of protocol {protocol} removed{addresses}"
    ))
}

/// The running daemon.
struct Speaker {
    config: Config,
    telemetry: Telemetry,
    /// Handles of the rooms, and what reloads did.
    rooms: Answerer,
    originator: Originator,
    memory: Memory,
    http: Http,
    /// Tables that the kernel edge watches beside that of `[kernel]`.
    tables: BTreeSet<TableId>,
    /// What ran before a reload that is not confirmed yet, and when it returns.
    unconfirmed: Option<(Instant, Config)>,
    /// When our End-of-RIB goes out whatever is missing; none once it has.
    complete_by: Option<Instant>,
    inputs: Inputs,
}

/// Whatever the main loop waits for.
struct Inputs {
    table: mpsc::Receiver<KernelTableChange>,
    announcements: mpsc::Receiver<vip::Announcement>,
    events: mpsc::Receiver<Event>,
    /// Which aggregates are there.
    aggregates: watch::Receiver<Vec<Prefix>>,
    orders: mpsc::Receiver<Order>,
    installed: watch::Receiver<u64>,
    verdicts: watch::Receiver<vip::task::Progress>,
    members: watch::Receiver<BTreeSet<IpAddr>>,
    signals: Signals,
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

/// Why the main loop ends.
enum End {
    /// A successor is expected; it waits for the listening sockets where it is here already.
    Restart(Option<oneshot::Sender<Vec<Handed>>>),
    /// For good; whoever asked waits for the answer.
    Leave(Option<oneshot::Sender<Response>>),
}

impl Speaker {
    /// Takes over once the rooms run; says to the outside that it is ready.
    async fn begin(&mut self) {
        self.complete_by = Some(self.rooms.facts.started + self.config.speaker.deferral_time);
        self.discard().await;
        self.announce().await;
        if self.is_complete() {
            self.complete().await;
        }
        self.save(false).await;
        telemetry::tell(Service::Ready);
    }

    async fn save(&mut self, clean: bool) {
        self.memory.save(&self.rooms, clean).await;
    }

    async fn run(mut self) {
        let watchdog = telemetry::watchdog();
        let mut alive = tokio::time::interval(watchdog.unwrap_or(Duration::from_secs(3_600)));
        let mut in_a_row = 0;
        let end = loop {
            let complete_by = self.complete_by;
            let back_at = self.unconfirmed.as_ref().map(|(at, _)| *at);
            let settled_at = self.rooms.drains.next_deadline();
            let save_at = self.memory.next_deadline();
            let table_first = in_a_row < TABLE_TURNS;
            in_a_row = if table_first { in_a_row } else { 0 };
            tokio::select! {
                // A peer waits for what the kernel's table says, and all that is looked at before costs it time; but a table
                // that never rests holds nothing else up. Nor does the log, which comes last: all between is rare.
                biased;
                Some(change) = self.inputs.table.recv(), if table_first => {
                    in_a_row += 1;
                    self.table_changed(change).await;
                }
                _ = self.inputs.signals.hangup.recv() => self.hangup().await,
                _ = self.inputs.signals.terminate.recv() => break self.terminated(),
                _ = self.inputs.signals.interrupt.recv() => break End::Leave(None),
                Some(order) = self.inputs.orders.recv() => match order {
                    Order::Confirm { reply } => drop(reply.send(self.confirm())),
                    Order::Reload { file, dry_run, no_reset, confirm, reply } => {
                        let wish = ReloadWish { dry_run, no_reset, confirm };
                        let response = self.reload(file.as_deref(), wish).await;
                        // Whoever asked may have gone.
                        drop(reply.send(response));
                    }
                    Order::Drain { wish, reply } => drop(reply.send(self.drain(wish).await)),
                    Order::Undrain { targets, reply } => drop(reply.send(self.undrain(targets).await)),
                    Order::Shutdown { name, text, reply } => {
                        let response = self.shut_down(&name, text).await;
                        drop(reply.send(response.unwrap_or_else(Response::Failed)));
                    }
                    Order::Enable { name, reply } => {
                        let response = self.enable(&name).await;
                        drop(reply.send(response.unwrap_or_else(Response::Failed)));
                    }
                    Order::Takeover { reply } => break End::Restart(Some(reply)),
                    Order::Stop { reply } => break End::Leave(Some(reply)),
                },
                Some(announcement) = self.inputs.announcements.recv() => {
                    self.vip_changed(&announcement);
                    self.announce().await;
                }
                Ok(()) = self.inputs.aggregates.changed() => self.aggregates_changed().await,
                Ok(()) = self.inputs.installed.changed() => self.memory.changed(Instant::now()),
                Ok(()) = self.inputs.verdicts.changed() => self.memory.changed(Instant::now()),
                Ok(()) = self.inputs.members.changed() => self.memory.changed(Instant::now()),
                () = until(save_at), if save_at.is_some() => self.save(false).await,
                () = until(back_at), if back_at.is_some() => self.go_back().await,
                () = until(settled_at), if settled_at.is_some() => self.settled().await,
                () = until(complete_by), if complete_by.is_some() => {
                    tracing::warn!("not every local source has reported in time; our End-of-RIB goes out without it");
                    self.complete().await;
                }
                _ = alive.tick(), if watchdog.is_some() => telemetry::tell(Service::Alive),
                Some(event) = self.inputs.events.recv() => report::log(&event, &self.rooms.sessions),
                () = std::future::ready(()), if !table_first => {}
            }
            if self.complete_by.is_some() && self.is_complete() {
                self.complete().await;
            }
        };
        self.stop(end).await;
    }

    async fn table_changed(&mut self, change: KernelTableChange) {
        self.originator.kernel_changed(change);
        while let Ok(change) = self.inputs.table.try_recv() {
            self.originator.kernel_changed(change);
        }
        self.announce().await;
    }

    /// Every source of our own has reported once: our End-of-RIB may go (RFC 4724 §4.1).
    fn is_complete(&self) -> bool {
        self.originator.is_complete()
            && self.inputs.verdicts.borrow().all_verdicts_in
            && self.inputs.announcements.is_empty()
    }

    async fn complete(&mut self) {
        self.complete_by = None;
        self.rooms.rib.local_routes_complete().await;
    }

    /// Hands what the originator wants said to the RIB and to the kernel.
    async fn announce(&mut self) {
        loop {
            let changes: Vec<_> = std::iter::from_fn(|| self.originator.poll_output())
                .take(LOCAL_BATCH)
                .collect();
            if changes.is_empty() {
                break;
            }
            self.rooms.rib.local(changes).await;
        }
        // A peer waits for the first, nobody for this: it only keeps a route out that the RIB no longer wants either.
        let own = self.originator.take_own_prefixes();
        if !own.is_empty() {
            // The shard goes first.
            tokio::task::yield_now().await;
            let (added, removed) = (own.added.into_iter().collect(), own.removed.into_iter().collect());
            self.rooms.kernel.own_prefixes(added, removed).await;
        }
    }

    /// An aggregate came or went: what lies beneath it in the kernel follows.
    async fn aggregates_changed(&mut self) {
        let present = self.inputs.aggregates.borrow_and_update().clone();
        self.originator.aggregates_present(&present);
        self.announce().await;
        self.discard().await;
    }

    async fn discard(&self) {
        self.rooms
            .kernel
            .set_discard(self.originator.discard_prefixes())
            .await;
    }

    fn vip_changed(&mut self, announcement: &vip::Announcement) {
        let vip::Announcement {
            name,
            address,
            attributes,
        } = announcement;
        let route = attributes
            .as_ref()
            .map(|attributes| vip_route(name, *address, Arc::clone(attributes)));
        tracing::info!(vip = %name, prefix = %address, up = route.is_some(), "vip");
        self.originator
            .set_source(OriginKind::Vip, name, route.into_iter().collect());
    }

    async fn hangup(&mut self) {
        telemetry::tell(Service::Reloading);
        match self.reload(None, ReloadWish::default()).await {
            Response::Plan(plan) => {
                for warning in &plan.warnings {
                    tracing::warn!(%warning, "configuration");
                }
                for change in &plan.changes {
                    tracing::info!(what = %change.what, effect = %change.effect, "reloaded");
                }
                if plan.changes.is_empty() {
                    tracing::info!("reloaded: nothing changes");
                }
            }
            Response::Failed(error) => {
                tracing::error!(%error, "not reloaded; the running configuration stays")
            }
            other => tracing::error!(?other, "a reload was answered with something else"),
        }
        telemetry::tell(Service::Ready);
    }

    fn terminated(&self) -> End {
        match self.on_stop() {
            OnStop::Keep => End::Restart(None),
            OnStop::Remove => End::Leave(None),
        }
    }

    fn on_stop(&self) -> OnStop {
        self.config
            .kernel
            .as_ref()
            .map_or(OnStop::Keep, |kernel| kernel.on_stop)
    }

    /// Removes the addresses that VIPs added, when those who still send have heard that we are gone.
    async fn remove_addresses(&self) {
        let bound = self.rooms.vips.bound();
        let of_bound = |vip: &&vip::settings::Vip| bound.iter().any(|place| place.address == vip.address);
        let drains = self.config.vips.iter().filter(of_bound).map(|vip| vip.drain);
        if let Some(longest) = drains.max() {
            tokio::time::sleep(longest.min(LAST_PACKETS)).await;
        }
        self.rooms.vips.leave();
    }

    async fn stop(mut self, end: End) {
        telemetry::tell(Service::Stopping);
        match end {
            End::Restart(successor) => {
                tracing::info!("stopping for a restart: routes and graceful sessions stay");
                // Before the sessions end: what peers without graceful restart told leaves the tables with them, and must
                // stay in the kernel (RFC 4724 §4.1: else the F bit is a lie, and helpers flush).
                self.rooms.kernel.release(OnStop::Keep).await;
                self.save(true).await;
                self.rooms.sessions.stop(StopKind::Restart).await;
                if let Some(successor) = successor
                    && successor.send(self.rooms.sessions.hand_over()).is_ok()
                {
                    tracing::info!("a successor takes over");
                    flush_answers().await;
                }
            }
            End::Leave(asked_by) => {
                tracing::info!("leaving for good");
                let text = String::from("stonechat leaves");
                self.rooms.sessions.stop(StopKind::Leave { text }).await;
                self.remove_addresses().await;
                let left = self.rooms.kernel.release(OnStop::Remove).await;
                self.memory.forget();
                if let Some(reply) = asked_by {
                    let response = match left {
                        0 => Response::Done {
                            text: String::from("stopped; nothing of ours is left"),
                        },
                        left => Response::Done {
                            text: format!("stopped; {left} routes could not be removed"),
                        },
                    };
                    drop(reply.send(response));
                    flush_answers().await;
                }
            }
        }
    }
}

/// How long leaving waits for what is still on its way to the VIPs' addresses.
const LAST_PACKETS: Duration = Duration::from_secs(10);

/// The connection's own task writes the last answer; on one thread it has done so after its turn.
async fn flush_answers() {
    for _ in 0..16 {
        tokio::task::yield_now().await;
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
