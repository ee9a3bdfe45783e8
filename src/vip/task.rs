//! The edge of the VIPs: one prober per VIP, one task that owns the set, and the handle that the speaker holds.
//!
//! Probers run at the same time and each waits for nobody but its own target. The set is behind a lock that is held
//! for one input or one question, never across an await, so asking and reconfiguring never wait for a probe, and the
//! receiver of announcements may be slow without holding up either.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;

use super::announcement::Announcement;
use super::health;
use super::set::{Input, Output, ProberId, SavedVerdict, Set};
use super::settings::{Check, Probe, Vip};
use super::state::ProbeResult;
use super::status::{Status, Verdict};
use crate::drain::VipStages;

/// Commands that run at the same time; more wait for their turn.
const MOST_COMMANDS: usize = 256;

/// Connections open at the same time for tcp and http checks.
const MOST_CONNECTIONS: usize = 2_048;

/// Results on their way to the set.
const RESULTS: usize = 256;

/// What the speaker waits for and saves; changes with the verdicts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// Each VIP has a verdict: our End-of-RIB need not wait for any.
    pub all_verdicts_in: bool,
    /// Changes of verdicts so far: with each one the saved verdicts are out of date.
    pub transitions: u64,
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
}

/// What VIPs are started with.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// As configured.
    pub vips: Vec<Vip>,
    /// The verdicts from before a restart.
    pub saved: Vec<SavedVerdict>,
    /// Which of them are drained.
    pub drains: VipStages,
}

/// Starts the VIPs; must be called inside a runtime.
///
/// Announcements are differences: each changes what was announced for
/// its name and address. When their receiver is dropped, everything stops.
#[must_use]
pub fn spawn(start: Start, announcements: mpsc::Sender<Announcement>) -> Handle {
    let mut set = Set::new(start.saved);
    set.handle(Input::Drain(start.drains), unix_s());
    set.handle(Input::Configure(start.vips), unix_s());
    let first = progress_of(&set);
    let shared = Arc::new(Shared {
        set: Mutex::new(set),
        changed: Notify::new(),
    });
    let (progress_sender, progress) = watch::channel(first);
    let (results_sender, results) = mpsc::channel(RESULTS);
    let task = Task {
        shared: Arc::clone(&shared),
        announcements,
        progress: progress_sender,
        results,
        results_sender,
        limits: Arc::new(Limits {
            commands: Semaphore::new(MOST_COMMANDS),
            connections: Semaphore::new(MOST_CONNECTIONS),
        }),
        probers: JoinSet::new(),
        running: BTreeMap::new(),
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
        self.shared.lock().handle(Input::Configure(vips), unix_s());
        self.shared.changed.notify_one();
    }

    /// Says which VIPs are drained, and how far.
    pub fn drain(&self, stages: VipStages) {
        self.shared.lock().handle(Input::Drain(stages), unix_s());
        self.shared.changed.notify_one();
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

    /// Whether all verdicts are in, and how many changes there were; `changed().await` on it tells of the next one.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
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
}

#[derive(Debug)]
struct Limits {
    commands: Semaphore,
    connections: Semaphore,
}

struct Task {
    shared: Arc<Shared>,
    announcements: mpsc::Sender<Announcement>,
    progress: watch::Sender<Progress>,
    results: mpsc::Receiver<(ProberId, ProbeResult)>,
    results_sender: mpsc::Sender<(ProberId, ProbeResult)>,
    limits: Arc<Limits>,
    probers: JoinSet<()>,
    running: BTreeMap<ProberId, AbortHandle>,
}

impl Task {
    async fn run(mut self) {
        loop {
            let announce = self.settle();
            tokio::select! {
                () = self.shared.changed.notified() => {}
                Some((prober, result)) = self.results.recv() => self.record(prober, result),
                Some(ended) = self.probers.join_next() => {
                    if let Err(error) = ended && error.is_panic() {
                        tracing::error!(%error, "a prober failed");
                    }
                }
                () = self.announcements.closed() => return,
                Ok(permit) = self.announcements.reserve(), if announce => {
                    if let Some(announcement) = self.shared.lock().poll_announcement() {
                        let (prefix, up) = (announcement.address, announcement.attributes.is_some());
                        tracing::debug!(vip = &*announcement.name, %prefix, up, "vip announcement");
                        permit.send(announcement);
                    }
                }
            }
        }
    }

    /// Does what the set asks for; true when there is something to announce.
    fn settle(&mut self) -> bool {
        let (outputs, progress, announce) = {
            let mut set = self.shared.lock();
            let outputs: Vec<Output> = std::iter::from_fn(|| set.poll_output()).collect();
            (outputs, progress_of(&set), set.has_announcements())
        };
        for output in outputs {
            match output {
                Output::Start { prober, vip, delay } => self.start(prober, vip, delay),
                Output::Stop(prober) => {
                    if let Some(running) = self.running.remove(&prober) {
                        running.abort();
                    }
                }
                Output::Changed { vip, verdict, result } => report(&vip, verdict, &result),
            }
        }
        self.progress
            .send_if_modified(|known| std::mem::replace(known, progress) != progress);
        announce
    }

    fn start(&mut self, prober: ProberId, vip: Arc<Vip>, delay: Duration) {
        let results = self.results_sender.clone();
        let limits = Arc::clone(&self.limits);
        let running = self.probers.spawn(async move {
            if let Some(check) = &vip.check {
                keep_probing(prober, &vip, check, (delay, limits, results)).await;
            }
        });
        self.running.insert(prober, running);
    }

    fn record(&self, prober: ProberId, result: ProbeResult) {
        tracing::debug!(
            prober = prober.0,
            passed = result.passed,
            result = result.text,
            "probed"
        );
        self.shared
            .lock()
            .handle(Input::Probed { prober, result }, unix_s());
    }
}

/// Logs a change of verdict; one that takes the VIP down deserves a look.
fn report(vip: &Vip, verdict: Verdict, result: &str) {
    let (vip, prefix) = (&*vip.name, vip.address);
    match verdict {
        Verdict::Up => tracing::info!(vip, %prefix, result, "vip is up"),
        Verdict::Down | Verdict::Unknown => tracing::warn!(vip, %prefix, result, "vip is down"),
    }
}

type Surroundings = (Duration, Arc<Limits>, mpsc::Sender<(ProberId, ProbeResult)>);

/// Probes in the check's rhythm until aborted. A probe that lasts longer than the interval delays only the next one.
async fn keep_probing(prober: ProberId, vip: &Vip, check: &Check, (delay, limits, results): Surroundings) {
    let limit = match check.probe {
        Probe::Command(_) => &limits.commands,
        Probe::Tcp(_) | Probe::Http { .. } => &limits.connections,
    };
    let interval = check.interval.max(Duration::from_millis(1));
    let mut rhythm = tokio::time::interval_at(tokio::time::Instant::now() + delay, interval);
    rhythm.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rhythm.tick().await;
        let Ok(permit) = limit.acquire().await else { return };
        let result = health::probe(vip, &check.probe, check.timeout).await;
        drop(permit);
        if results.send((prober, result)).await.is_err() {
            return;
        }
    }
}

fn progress_of(set: &Set) -> Progress {
    Progress {
        all_verdicts_in: set.all_verdicts_in(),
        transitions: set.transitions(),
    }
}

/// What people read; nothing is decided by it.
#[expect(
    clippy::disallowed_methods,
    reason = "an edge: this is the time that `stonechat vips` shows"
)]
fn unix_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
