//! The edge of the VIPs: one prober per check, one task that does what the set asks for, and the handle that the speaker
//! holds.
//!
//! Probers run at the same time and each waits for nobody but its own target. The set is behind a lock that is held
//! for one input or one question, never across an await, so asking and reconfiguring never wait for a probe, and the
//! receiver of announcements may be slow without holding up either. A result that changes nothing wakes nobody.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bgp_codec::Asn;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::Instant;

use super::announcement::Announcement;
use super::binding::{Links, Obeyed, Place};
use super::files::Files;
use super::health::{self, Surroundings};
use super::hook::Hooks;
use super::links::{self, FromLinks, ToLinks};
use super::set::{Change, Input, Legacy, Output, Outside, ProberId, SavedVerdict, Set};
use super::settings::{Check, Probe, RouteDependency, Vip};
use super::state::ProbeResult;
use super::status::{Status, Verdict};
use super::tls::Trust;
use crate::drain::{Now, VipStages};

/// Commands that run at the same time; more wait for their turn.
const MOST_COMMANDS: usize = 256;

/// Connections open at the same time, and files looked for; more wait for their turn.
const MOST_CONNECTIONS: usize = 2_048;

/// Orders and news between this task and the edge to links and addresses.
const QUEUE: usize = 256;

/// What the speaker waits for and saves; changes with the verdicts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// Each VIP has a verdict: our End-of-RIB need not wait for any.
    pub all_verdicts_in: bool,
    /// Changes of verdicts so far: with each one the saved verdicts are out of date.
    pub transitions: u64,
    /// Addresses that we added.
    pub bound: usize,
}

/// What VIPs are started with.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Our AS.
    pub asn: Asn,
    /// As configured.
    pub vips: Vec<Vip>,
    /// What a predecessor left.
    pub legacy: Legacy,
    /// Which of them are drained.
    pub drains: VipStages,
}

/// What VIPs wish to know of the tables.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Wishes {
    /// Whether these are there.
    pub routes: BTreeSet<RouteDependency>,
    /// Whether the tables are complete since the start.
    pub completeness: bool,
}

/// The running VIPs; they stop when it is dropped, without withdrawing anything.
#[derive(Debug)]
pub struct Handle {
    shared: Arc<Shared>,
    progress: watch::Receiver<Progress>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    set: Mutex<Set>,
    changed: Notify,
    wishes_changed: Notify,
    links: Mutex<Option<Arc<Links>>>,
    random: RandomState,
    trust: Trust,
    files: Files,
    commands: Semaphore,
    connections: Semaphore,
}

/// Starts the VIPs; must be called inside a runtime.
///
/// Announcements are differences: each changes what was announced for its name and address. When their receiver is
/// dropped, everything stops.
#[must_use]
pub fn spawn(start: Start, announcements: mpsc::Sender<Announcement>) -> Handle {
    let now = now();
    let mut set = Set::new(start.asn, start.legacy, now.at);
    set.handle(Input::Drain(start.drains), now);
    set.handle(Input::Configure(start.vips), now);
    let (progress_sender, progress) = watch::channel(progress_of(&set));
    let shared = Arc::new(Shared {
        set: Mutex::new(set),
        changed: Notify::new(),
        wishes_changed: Notify::new(),
        links: Mutex::default(),
        random: RandomState::new(),
        trust: Trust::default(),
        files: Files::default(),
        commands: Semaphore::new(MOST_COMMANDS),
        connections: Semaphore::new(MOST_CONNECTIONS),
    });
    let (news_sender, news) = mpsc::channel(QUEUE);
    let task = Task {
        shared: Arc::clone(&shared),
        announcements,
        progress: progress_sender,
        probers: JoinSet::new(),
        running: BTreeMap::new(),
        hooks: Hooks::default(),
        configuration: None,
        links: None,
        orders: VecDeque::new(),
        news_sender,
        news,
    };
    Handle {
        shared,
        progress,
        task: tokio::spawn(task.run()),
    }
}

impl Handle {
    /// Takes a new configuration; touches only what differs.
    pub fn reconfigure(&self, vips: Vec<Vip>) {
        self.tell(Input::Configure(vips));
        self.shared.wishes_changed.notify_one();
    }

    /// Says which VIPs are drained, and how far.
    pub fn drain(&self, stages: VipStages) {
        self.tell(Input::Drain(stages));
    }

    /// Says what the tables hold of what [`Handle::wishes`] asks for.
    pub fn outside(&self, outside: Outside) {
        self.tell(Input::Outside(outside));
    }

    /// What they wish to know of the tables.
    #[must_use]
    pub fn wishes(&self) -> Wishes {
        let set = self.shared.lock();
        Wishes {
            routes: set.route_dependencies(),
            completeness: set.waits_for_tables(),
        }
    }

    /// Returns once [`Handle::wishes`] may have changed since the last time this returned. There is one that grants them.
    pub async fn wishes_changed(&self) {
        self.shared.wishes_changed.notified().await;
    }

    /// Every VIP, by name.
    #[must_use]
    pub fn statuses(&self) -> Vec<Status> {
        self.shared.lock().statuses()
    }

    /// The verdicts to keep across a restart.
    #[must_use]
    pub fn verdicts(&self) -> Vec<SavedVerdict> {
        self.shared.lock().verdicts()
    }

    /// The addresses that we added.
    #[must_use]
    pub fn bound(&self) -> Vec<Place> {
        self.shared.lock().bound()
    }

    /// Ends everything and removes the addresses that we added: to leave for good, when the peers have been told.
    pub fn leave(&self) {
        self.task.abort();
        links::remove(self.bound());
    }

    /// Whether all verdicts are in, and how many changes there were; `changed().await` on it tells of the next one.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    fn tell(&self, input: Input) {
        self.shared.lock().handle(input, now());
        self.shared.changed.notify_one();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Set> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a result; whether the next one is to come sooner, and none when nobody wants it.
    fn record(&self, prober: ProberId, result: ProbeResult) -> Option<bool> {
        let (passed, text) = (result.passed, &*result.text);
        tracing::debug!(prober = prober.0, passed, result = text, "probed");
        let mut set = self.lock();
        set.handle(Input::Probed { prober, result }, now());
        if set.has_work() {
            self.changed.notify_one();
        }
        set.is_changing(prober)
    }

    fn looked(&self) -> Option<Arc<Links>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whose turn it is, among those that cost the same.
    fn turns(&self, probe: &Probe) -> Option<&Semaphore> {
        match probe {
            Probe::Command(_) => Some(&self.commands),
            Probe::Tcp(_) | Probe::Http(_) | Probe::Dns(_) | Probe::File { .. } => Some(&self.connections),
            Probe::Interface(_) => None,
        }
    }
}

struct Task {
    shared: Arc<Shared>,
    announcements: mpsc::Sender<Announcement>,
    progress: watch::Sender<Progress>,
    probers: JoinSet<()>,
    running: BTreeMap<ProberId, AbortHandle>,
    hooks: Hooks,
    /// The configuration whose links are watched.
    configuration: Option<u64>,
    /// The edge to links and addresses, once something needs it.
    links: Option<mpsc::Sender<ToLinks>>,
    orders: VecDeque<ToLinks>,
    news_sender: mpsc::Sender<FromLinks>,
    news: mpsc::Receiver<FromLinks>,
}

impl Task {
    async fn run(mut self) {
        loop {
            let Settled { announce, deadline } = self.settle();
            let links = self.links.clone().filter(|_| !self.orders.is_empty());
            tokio::select! {
                () = self.shared.changed.notified() => {}
                Some(news) = self.news.recv() => self.heard(news),
                () = until(deadline), if deadline.is_some() => self.shared.lock().handle(Input::Tick, now()),
                Ok(permit) = reserve(links.as_ref()), if links.is_some() => {
                    if let Some(order) = self.orders.pop_front() {
                        permit.send(order);
                    }
                }
                Some(ended) = self.probers.join_next() => {
                    if let Err(error) = ended && error.is_panic() {
                        tracing::error!(%error, "a prober failed");
                    }
                }
                () = self.announcements.closed() => return,
                Ok(permit) = self.announcements.reserve(), if announce => {
                    let announcement = self.shared.lock().poll_announcement(now().at);
                    if let Some(announcement) = announcement {
                        let (prefix, up) = (announcement.address, announcement.attributes.is_some());
                        tracing::debug!(vip = &*announcement.name, %prefix, up, "vip announcement");
                        permit.send(announcement);
                    }
                }
            }
        }
    }

    /// Does what the set asks for.
    fn settle(&mut self) -> Settled {
        let shared = Arc::clone(&self.shared);
        let mut set = shared.lock();
        let configuration = Some(set.configurations());
        if std::mem::replace(&mut self.configuration, configuration) != configuration {
            self.watch(set.watched_links());
            self.hooks.retain(|name| set.knows(name));
        }
        while let Some(output) = set.poll_output() {
            self.carry_out(output);
        }
        let progress = progress_of(&set);
        self.progress
            .send_if_modified(|known| std::mem::replace(known, progress) != progress);
        Settled {
            announce: set.has_announcements(),
            deadline: set.next_deadline().map(Instant::from_std),
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Start {
                prober,
                vip,
                check,
                delay,
            } => {
                let shared = Arc::clone(&self.shared);
                let first = Instant::now() + delay;
                let running = self.probers.spawn(async move {
                    if let Some(check) = vip.checks.get(check) {
                        keep_probing(&shared, prober, (&vip, check), first).await;
                    }
                });
                self.running.insert(prober, running);
            }
            Output::Stop(prober) => {
                if let Some(running) = self.running.remove(&prober) {
                    running.abort();
                }
            }
            Output::Address(order) => self.orders.push_back(ToLinks::Order(order)),
            Output::Refused(Place { address, interface }, error) => {
                tracing::warn!(%address, %interface, error, "the kernel refuses an address");
            }
            Output::Changed(change) => {
                report(&change);
                self.hooks.changed(change);
            }
            Output::Damped(vip) => {
                tracing::warn!(vip = &*vip.name, prefix = %vip.address, "vip goes down too often and is held down");
            }
        }
    }

    /// Begins to watch links and addresses, or says whose speed is of interest.
    fn watch(&mut self, speeds: Option<BTreeSet<Arc<str>>>) {
        let Some(speeds) = speeds else { return };
        if self.links.is_none() {
            let (orders, receiver) = mpsc::channel(QUEUE);
            tokio::spawn(links::run(receiver, self.news_sender.clone()));
            self.links = Some(orders);
        }
        self.orders.push_back(ToLinks::Speeds(speeds));
    }

    fn heard(&self, news: FromLinks) {
        let input = match news {
            FromLinks::Looked(links) => {
                let shared = Arc::new(links.clone());
                *self.shared.links.lock().unwrap_or_else(PoisonError::into_inner) = Some(shared);
                Input::Looked(links)
            }
            FromLinks::Obeyed { place, obeyed } => {
                log_address(&place, &obeyed);
                Input::Obeyed { place, obeyed }
            }
        };
        self.shared.lock().handle(input, now());
    }
}

struct Settled {
    /// There is something to announce.
    announce: bool,
    deadline: Option<Instant>,
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn reserve<T>(
    sender: Option<&mpsc::Sender<T>>,
) -> Result<mpsc::Permit<'_, T>, mpsc::error::SendError<()>> {
    match sender {
        Some(sender) => sender.reserve().await,
        None => std::future::pending().await,
    }
}

/// Logs a change of verdict; one that is not for the better deserves a look. Where the verdict is the same, something else
/// holds it back, or does not any more.
fn report(change: &Change) {
    let (vip, prefix, result) = (&*change.vip.name, change.vip.address, &*change.result);
    match change.to {
        _ if change.from == change.to => match &change.held {
            Some(because) => tracing::info!(vip, %prefix, %because, "vip is held back"),
            None => tracing::info!(vip, %prefix, "nothing holds the vip back"),
        },
        Verdict::Up => tracing::info!(vip, %prefix, result, "vip is up"),
        Verdict::Degraded => tracing::warn!(vip, %prefix, result, "vip is degraded"),
        Verdict::Disabled => tracing::warn!(vip, %prefix, result, "vip is disabled"),
        Verdict::Down | Verdict::Unknown => tracing::warn!(vip, %prefix, result, "vip is down"),
    }
}

fn log_address(place: &Place, obeyed: &Obeyed) {
    let Place { address, interface } = place;
    match obeyed {
        Obeyed::Added => tracing::info!(%address, %interface, "address added"),
        Obeyed::Removed => tracing::info!(%address, %interface, "address removed"),
        Obeyed::WasThere => tracing::info!(%address, %interface, "somebody else has added the address"),
        // Asked for again every few seconds, and warned of when the reason is new.
        Obeyed::Refused(error) => {
            tracing::debug!(%address, %interface, error, "the kernel refused an address")
        }
    }
}

/// Probes in the check's rhythm until aborted. A probe that lasts longer than the interval delays only the next one.
async fn keep_probing(shared: &Shared, prober: ProberId, (vip, check): (&Vip, &Check), first: Instant) {
    let mut due = first;
    for round in 0_u64.. {
        let random = shared.random.hash_one((prober, round));
        tokio::time::sleep_until(due + part_of(check.jitter, random)).await;
        let turn = match shared.turns(&check.probe) {
            Some(turns) => turns.acquire().await.ok(),
            None => None,
        };
        let links = shared.looked();
        let surroundings = Surroundings {
            links: links.as_deref(),
            number: u16::try_from(random >> 48).unwrap_or_default(),
            trust: &shared.trust,
            files: &shared.files,
        };
        let result = health::probe(vip, &check.probe, check.timeout, surroundings).await;
        drop(turn);
        let Some(soon) = shared.record(prober, result) else {
            return;
        };
        let interval = if soon { check.fast_interval } else { check.interval };
        due = Instant::now().max(due + interval.max(Duration::from_millis(1)));
    }
}

/// Some part of the span, evenly.
fn part_of(span: Duration, random: u64) -> Duration {
    let span_ns = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(random.checked_rem(span_ns).unwrap_or(0))
}

fn progress_of(set: &Set) -> Progress {
    Progress {
        all_verdicts_in: set.all_verdicts_in(),
        transitions: set.transitions(),
        bound: set.bound().len(),
    }
}

/// Both clocks; people read the second.
#[expect(
    clippy::disallowed_methods,
    reason = "an edge: this is the time that `stonechat vips` shows"
)]
fn now() -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH);
    Now {
        at: Instant::now().into_std(),
        unix_s: unix.map_or(0, |since| since.as_secs()),
    }
}

#[cfg(test)]
mod tests;
