//! The task that owns the kernel edge: it feeds the pure core from the sockets, the RIB and the speaker, and does what the
//! core wants done.
//!
//! It waits for nobody: what the RIB or the importer cannot take is kept, coalesced, until they can.

mod handle;

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};

use self::handle::Command;
pub use self::handle::{Edges, KernelHandle, Setup, Status};
use super::core::Core;
use super::fib::Operation;
use super::netlink::{Answers, Notifications, Progress, REOPEN_AFTER, Requests, is_empty_scope};
use super::settings::{OnStop, Settings};
use super::state_file::{Installed, Routes};
use super::wire::{DumpScope, Message};
use crate::rib::task::FibUpdate;
use crate::route::TableId;

/// Commands that may wait.
const COMMAND_QUEUE: usize = 64;
/// Updates from the RIB taken before others get their turn.
const UPDATES_AT_ONCE: usize = 16;
/// Operations given to the kernel in one go; a few milliseconds of its time.
const OPERATIONS_AT_ONCE: usize = 1_024;
/// From so many on, operations run on a thread of their own, beside the RIB; fewer are done sooner than a thread wakes.
const WORTH_A_THREAD: usize = 64;
/// Of a dump so much is read before others get their turn.
const SLICE: Duration = Duration::from_millis(1);
/// Failures are logged at most this often; all are counted.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// The state file is worth writing at most this often.
const VERSION_INTERVAL: Duration = Duration::from_secs(1);

/// Starts the edge on a task of its own; it ends when every handle is gone.
#[must_use]
pub fn spawn(setup: Setup, updates: mpsc::Receiver<FibUpdate>, edges: Edges) -> KernelHandle {
    let (commands, command_queue) = mpsc::channel(COMMAND_QUEUE);
    let (ready_sender, ready) = watch::channel(false);
    let (version_sender, version) = watch::channel(0);
    let driver = Driver {
        active: setup.is_active(),
        core: Core::new(setup.settings, setup.imported, setup.stale_after),
        sockets: None,
        flight: None,
        dumping: None,
        reopen_at: None,
        ready: ready_sender,
        version: version_sender,
        version_due: None,
        held_version: 0,
        status: Status::default(),
        logged_at: None,
        release: None,
        stopped: false,
    };
    tokio::spawn(driver.run(command_queue, updates, edges));
    KernelHandle {
        commands,
        ready,
        version,
    }
}

struct Sockets {
    /// Away while operations run on their thread.
    requests: Option<Requests>,
    notifications: Notifications,
}

/// Operations that run on a thread of their own.
type Flight = tokio::task::JoinHandle<Landed>;

/// What comes back from there.
struct Landed {
    requests: Requests,
    operations: Vec<Operation>,
    answers: io::Result<Answers>,
}

struct Driver {
    core: Core,
    active: bool,
    sockets: Option<Sockets>,
    flight: Option<Flight>,
    /// What is being read; a dump is read in slices, so that it holds nobody up.
    dumping: Option<DumpScope>,
    reopen_at: Option<Instant>,
    ready: watch::Sender<bool>,
    version: watch::Sender<u64>,
    version_due: Option<Instant>,
    /// As of the last look.
    held_version: u64,
    status: Status,
    logged_at: Option<Instant>,
    release: Option<oneshot::Sender<usize>>,
    /// Nothing more is asked of the kernel.
    stopped: bool,
}

/// What ended a wait.
enum Wake {
    Command(Option<Command>),
    Updates(usize),
    Notified(io::Result<()>),
    Landed(Result<Landed, tokio::task::JoinError>),
    Passed,
}

impl Driver {
    async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut updates: mpsc::Receiver<FibUpdate>,
        edges: Edges,
    ) {
        let mut batch = Vec::with_capacity(UPDATES_AT_ONCE);
        let (mut updates_open, mut edges_open) = (true, [true; 2]);
        loop {
            let more = self.work(now());
            let [reachability_open, table_open] = &mut edges_open;
            let deadline = self.next_deadline();
            let wake = tokio::select! {
                biased;
                command = commands.recv() => Wake::Command(command),
                result = landed(self.flight.as_mut()) => Wake::Landed(result),
                // What the kernel says is understood in the light of all that it was asked to do, or had to show, before.
                result = notified(self.sockets.as_mut()), if self.flight.is_none() && self.dumping.is_none() => Wake::Notified(result),
                permit = edges.reachability.reserve(), if *reachability_open && self.core.has_reachability() => {
                    match permit {
                        Ok(permit) => permit.send(self.core.poll_reachability()),
                        Err(_) => *reachability_open = false,
                    }
                    Wake::Passed
                }
                permit = edges.table.reserve(), if *table_open && self.core.has_table_change() => {
                    match permit {
                        Ok(permit) => if let Some(change) = self.core.poll_table_change() { permit.send(change) },
                        Err(_) => *table_open = false,
                    }
                    Wake::Passed
                }
                count = updates.recv_many(&mut batch, UPDATES_AT_ONCE), if updates_open => Wake::Updates(count),
                () = sleep_until(deadline), if !more => Wake::Passed,
                () = tokio::task::yield_now(), if more => Wake::Passed,
            };
            match wake {
                Wake::Command(None) => return,
                Wake::Command(Some(command)) => self.command(command),
                Wake::Notified(result) => self.notified(result),
                Wake::Landed(result) => self.landed(result),
                Wake::Updates(0) => updates_open = false,
                Wake::Updates(_) => batch.drain(..).for_each(|update| self.update(update)),
                Wake::Passed => {}
            }
            if self.pass_on(&edges) {
                // A change of the table is on its way to a peer: whoever takes it further goes first.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Reports what there is room for; whether that was anything.
    fn pass_on(&mut self, edges: &Edges) -> bool {
        let mut passed = false;
        if self.core.has_reachability()
            && let Ok(room) = edges.reachability.try_reserve()
        {
            room.send(self.core.poll_reachability());
            passed = true;
        }
        while self.core.has_table_change()
            && let Ok(room) = edges.table.try_reserve()
            && let Some(change) = self.core.poll_table_change()
        {
            room.send(change);
            passed = true;
        }
        passed
    }

    /// Does one step of what is to be done now; whether there is more.
    fn work(&mut self, now: Instant) -> bool {
        if !self.active {
            self.ready
                .send_if_modified(|ready| !std::mem::replace(ready, true));
            self.finish_release();
            return false;
        }
        if self.stopped {
            self.finish_release();
            return false;
        }
        self.core.tick(now);
        if self.sockets.is_none() && self.reopen_at.is_none_or(|at| at <= now) {
            self.open(now);
        }
        let Some(requests) = self
            .sockets
            .as_mut()
            .and_then(|sockets| sockets.requests.as_mut())
        else {
            return false;
        };
        let result = match self.dumping {
            Some(scope) => dump(requests, &mut self.core, scope).map(|over| {
                self.dumping = self.dumping.filter(|_| !over);
                true
            }),
            None => match self.core.poll_dump(now) {
                Some(scope) => {
                    self.dumping = Some(scope);
                    requests.start_dump(scope).map(|()| true)
                }
                None => self.operate(now),
            },
        };
        let more = result.unwrap_or_else(|error| {
            self.socket_failed(&error, now);
            false
        });
        if self.core.is_ready() {
            self.ready
                .send_if_modified(|ready| !std::mem::replace(ready, true));
        }
        if self.held_version != self.core.held_version() {
            self.held_version = self.core.held_version();
            self.version_due.get_or_insert(now + VERSION_INTERVAL);
        }
        if self.version_due.is_some_and(|at| at <= now) {
            self.version_due = None;
            self.version.send_modify(|version| *version += 1);
        }
        if !more {
            self.finish_release();
        }
        more
    }

    /// Has the kernel do one batch of operations; whether there may be more at once.
    fn operate(&mut self, now: Instant) -> io::Result<bool> {
        let mut operations = Vec::new();
        self.core
            .poll_operations(OPERATIONS_AT_ONCE, now, &mut operations);
        if operations.is_empty() {
            return Ok(false);
        }
        let protocol = self.core.own_protocol();
        let Some(place) = self.sockets.as_mut().map(|sockets| &mut sockets.requests) else {
            return Ok(false);
        };
        let Some(mut requests) = place.take() else {
            return Ok(false);
        };
        if operations.len() >= WORTH_A_THREAD {
            self.flight = Some(tokio::task::spawn_blocking(move || {
                let answers = requests.run(protocol, &operations);
                Landed {
                    requests,
                    operations,
                    answers,
                }
            }));
            return Ok(false);
        }
        let answers = requests.run(protocol, &operations);
        *place = Some(requests);
        self.answered(&operations, answers, now)?;
        Ok(true)
    }

    fn landed(&mut self, landed: Result<Landed, tokio::task::JoinError>) {
        self.flight = None;
        let now = now();
        let result = match landed {
            Ok(landed) => {
                if let Some(sockets) = &mut self.sockets {
                    sockets.requests = Some(landed.requests);
                }
                self.answered(&landed.operations, landed.answers, now)
            }
            // The runtime is being shut down, and takes the edge with it.
            Err(error) => Err(io::Error::other(error)),
        };
        if let Err(error) = result {
            self.socket_failed(&error, now);
        }
    }

    fn answered(
        &mut self,
        operations: &[Operation],
        answers: io::Result<Answers>,
        now: Instant,
    ) -> io::Result<()> {
        let answers = match answers {
            Ok(answers) => answers,
            Err(error) => {
                // Nobody knows what was done: all of it is asked again, after a dump.
                let unknown = vec![Err(error.raw_os_error().unwrap_or(libc::EIO)); operations.len()];
                self.core.done(operations, &unknown, now);
                self.core.overrun(now);
                return Err(error);
            }
        };
        let failed = answers.results.iter().filter(|result| result.is_err()).count();
        self.core.done(operations, &answers.results, now);
        self.status.operations += count(answers.results.len() - failed);
        self.status.failures += count(failed);
        let outcomes = operations.iter().zip(&answers.results).rev();
        let last = outcomes
            .filter_map(|(operation, result)| Some((operation, result.err()?)))
            .next();
        match last {
            Some((operation, errno)) => {
                let error = describe(errno, answers.text.as_deref());
                self.failed(&format!("{operation}: {error}"), now);
            }
            None if self.core.failed_count() == 0 => self.status.last_error = None,
            None => {}
        }
        Ok(())
    }

    /// For the state file: prefixes by name while they are few, their number in any case.
    fn installed(&self) -> Installed {
        let [ipv4_count, ipv6_count] = self.core.held_count();
        let routes = |count: usize, ipv6: bool| Routes::new(count, || self.core.held(ipv6));
        Installed {
            ipv4: routes(ipv4_count, false),
            ipv6: routes(ipv6_count, true),
        }
    }

    fn open(&mut self, now: Instant) {
        let opened = Requests::open().and_then(|requests| {
            let notifications = Notifications::open(requests.port())?;
            Ok(Sockets {
                requests: Some(requests),
                notifications,
            })
        });
        match opened {
            Ok(sockets) => {
                self.sockets = Some(sockets);
                self.reopen_at = None;
                self.core.read_all(now);
            }
            Err(error) => self.socket_failed(&error, now),
        }
    }

    fn socket_failed(&mut self, error: &io::Error, now: Instant) {
        self.sockets = None;
        if self.dumping.take().is_some() {
            self.core.dump_done(false, now);
        }
        self.reopen_at = Some(now + REOPEN_AFTER);
        self.failed(&format!("netlink: {error}"), now);
    }

    fn failed(&mut self, error: &str, now: Instant) {
        if self.logged_at.is_none_or(|at| at + LOG_INTERVAL <= now) {
            self.logged_at = Some(now);
            tracing::warn!(
                error,
                failures = self.status.failures,
                "the kernel refused; it will be asked again"
            );
        }
        self.status.last_error = Some(error.to_owned());
    }

    fn notified(&mut self, result: io::Result<()>) {
        let now = now();
        let Some(sockets) = &mut self.sockets else { return };
        let core = &mut self.core;
        let mut overruns = 0;
        let read = sockets.notifications.read(result, |message| {
            overruns += u64::from(message == Message::Overrun);
            core.notified(message, now);
        });
        if overruns > 0 {
            self.status.overruns += overruns;
            tracing::warn!(
                overruns = self.status.overruns,
                "kernel notifications were lost; reading its tables again"
            );
        }
        if let Err(error) = read {
            self.socket_failed(&error, now);
        }
    }

    fn update(&mut self, update: FibUpdate) {
        match update {
            FibUpdate::Changes(changes) => self.core.change_routes(&changes),
            FibUpdate::Complete(family) => self.core.family_complete(family),
            FibUpdate::TrackNextHops { track, untrack } => self.core.track(track, untrack),
            FibUpdate::Suspect(next_hop) => self.core.set_suspect(next_hop, true, now()),
            FibUpdate::Settled(next_hop) => self.core.set_suspect(next_hop, false, now()),
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Reconfigure(settings, imported) => self.reconfigure(settings, imported),
            Command::OwnPrefixes(added, removed) => self.core.change_own(&added, &removed),
            Command::Discard(prefixes) => self.core.set_discard(prefixes.into_iter().collect()),
            Command::RepeatTable => self.core.repeat_table(),
            Command::Status(reply) => answer(reply, self.report()),
            Command::RouteState(prefix, reply) => answer(reply, self.core.describe(prefix)),
            Command::Installed(reply) => answer(reply, self.installed()),
            Command::Release(OnStop::Keep, reply) => {
                // What is under way ends; a successor must not see half of it.
                self.stopped = true;
                self.release = Some(reply);
            }
            Command::Release(OnStop::Remove, reply) => {
                self.core.leave();
                self.release = Some(reply);
            }
        }
    }

    fn reconfigure(&mut self, settings: Option<Settings>, imported: BTreeSet<TableId>) {
        let setup = Setup {
            settings,
            imported,
            stale_after: Duration::ZERO,
        };
        self.active |= setup.is_active();
        self.core.reconfigure(setup.settings, setup.imported, now());
    }

    fn report(&self) -> Status {
        Status {
            active: self.active,
            ready: !self.active || self.core.is_ready(),
            routes: self.core.counts(),
            next_hops: self.core.next_hop_count(),
            ..self.status.clone()
        }
    }

    fn finish_release(&mut self) {
        // Before the first dump there is nothing that could be removed.
        let possible = !self.active || self.stopped || self.sockets.is_none() || self.core.is_ready();
        if possible
            && self.flight.is_none()
            && let Some(reply) = self.release.take()
        {
            let left = self.core.held_count().iter().sum();
            answer(reply, if self.stopped { 0 } else { left });
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let core = self
            .core
            .next_deadline()
            .filter(|_| self.active && !self.stopped && self.sockets.is_some());
        let reopen = self.reopen_at.filter(|_| self.active && self.sockets.is_none());
        [core, reopen, self.version_due].into_iter().flatten().min()
    }
}

/// Reads some of the dump that runs; whether it is over.
fn dump(requests: &mut Requests, core: &mut Core, scope: DumpScope) -> io::Result<bool> {
    let until = now() + SLICE;
    let errno = loop {
        let progress = requests.read_dump(|message, interrupted| core.dumped(message, interrupted))?;
        match progress {
            Progress::Done(errno) => break errno,
            Progress::More if now() >= until => return Ok(false),
            Progress::More => {}
        }
    };
    let complete = errno == 0 || is_empty_scope(scope, errno);
    core.dump_done(complete, now());
    if !complete {
        tracing::warn!(error = %io::Error::from_raw_os_error(errno), "the kernel's tables could not be read");
    }
    Ok(true)
}

async fn notified(sockets: Option<&mut Sockets>) -> io::Result<()> {
    match sockets {
        Some(sockets) => sockets.notifications.wait().await,
        None => std::future::pending().await,
    }
}

async fn landed(flight: Option<&mut Flight>) -> Result<Landed, tokio::task::JoinError> {
    match flight {
        Some(flight) => flight.await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Who no longer waits for an answer needs none.
fn answer<T>(reply: oneshot::Sender<T>, value: T) {
    if reply.send(value).is_err() {
        tracing::trace!("nobody waits for the answer");
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// An errno in words that help.
fn describe(errno: i32, text: Option<&str>) -> String {
    let error = io::Error::from_raw_os_error(errno);
    match (errno, text) {
        (libc::EPERM | libc::EACCES, _) => format!("{error}: installing routes needs CAP_NET_ADMIN"),
        (_, Some(text)) => format!("{error}: {text}"),
        (_, None) => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
