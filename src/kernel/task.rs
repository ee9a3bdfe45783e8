//! The task that owns the kernel edge: it feeds the pure core from the sockets, the RIB and the speaker, and does what the
//! core wants done.
//!
//! It waits for nobody: what the RIB or the importer cannot take is kept, coalesced, until they can.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

use super::core::Core;
use super::fib::{Counts, Operation};
use super::netlink::{Answers, Notifications, Progress, REOPEN_AFTER, Requests, is_empty_scope};
use super::settings::{OnStop, Settings};
use super::state_file::{Installed, Routes};
use super::wire::Message;
use crate::rib::interface::Reachability;
use crate::rib::task::FibUpdate;
use crate::route::{KernelTableChange, Prefix, TableId};

/// Commands that may wait.
const COMMAND_QUEUE: usize = 64;
/// Updates from the RIB taken before others get their turn.
const UPDATES_AT_ONCE: usize = 16;
/// Operations given to the kernel in one go; a few milliseconds of its time.
const OPERATIONS_AT_ONCE: usize = 1_024;
/// From so many on, operations run on a thread of their own, beside the RIB; fewer are done sooner than a thread wakes.
const WORTH_A_THREAD: usize = 64;
/// Failures are logged at most this often; all are counted.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// The state file is worth writing at most this often.
const VERSION_INTERVAL: Duration = Duration::from_secs(1);

/// What the edge starts with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// `[kernel]`; without it nothing is installed.
    pub settings: Option<Settings>,
    /// Kernel tables that something is imported from.
    pub imported: BTreeSet<TableId>,
    /// Routes of ours that were there at start and that nobody has asked for go this long after the first dump, or as
    /// soon as the RIB says that a family is complete.
    pub stale_after: Duration,
}

/// Where reports go.
#[derive(Clone, Debug)]
pub struct Edges {
    /// Next hops whose reachability changed.
    pub reachability: mpsc::Sender<Vec<(IpAddr, Reachability)>>,
    /// The kernel's table, without what is ours.
    pub table: mpsc::Sender<KernelTableChange>,
}

/// How the edge is doing.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Status {
    /// There is something to install or to import.
    pub active: bool,
    /// The kernel's tables have been read.
    pub ready: bool,
    /// How many routes are in which state.
    pub routes: Counts,
    /// Next hops watched.
    pub next_hops: usize,
    /// Operations that the kernel refused, since start.
    pub failures: u64,
    /// Operations that the kernel did, since start.
    pub operations: u64,
    /// Times that notifications were lost, since start.
    pub overruns: u64,
    /// What went wrong last, and has not gone right since.
    pub last_error: Option<String>,
}

/// The way to the running edge.
#[derive(Clone, Debug)]
pub struct KernelHandle {
    commands: mpsc::Sender<Command>,
    ready: watch::Receiver<bool>,
    version: watch::Receiver<u64>,
}

#[derive(Debug)]
enum Command {
    Reconfigure(Option<Settings>, BTreeSet<TableId>),
    OwnPrefixes(Vec<Prefix>, Vec<Prefix>),
    Discard(Vec<Prefix>),
    RepeatTable,
    Status(oneshot::Sender<Status>),
    RouteState(Prefix, oneshot::Sender<Option<String>>),
    Installed(oneshot::Sender<Installed>),
    Release(OnStop, oneshot::Sender<usize>),
}

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
        reopen_at: None,
        ready: ready_sender,
        version: version_sender,
        version_due: None,
        status: Status::default(),
        logged_at: None,
        release: None,
    };
    tokio::spawn(driver.run(command_queue, updates, edges));
    KernelHandle {
        commands,
        ready,
        version,
    }
}

impl KernelHandle {
    /// Takes over other settings. `table` and `protocol` are fixed while running; a change of them is ignored.
    pub async fn reconfigure(&self, settings: Option<Settings>, imported: BTreeSet<TableId>) {
        self.send(Command::Reconfigure(settings, imported)).await;
    }

    /// This node begins or ceases to originate prefixes: routes to them are never installed.
    pub async fn own_prefixes(&self, added: Vec<Prefix>, removed: Vec<Prefix>) {
        self.send(Command::OwnPrefixes(added, removed)).await;
    }

    /// The full set of prefixes that have a blackhole of ours beneath.
    pub async fn set_discard(&self, prefixes: Vec<Prefix>) {
        self.send(Command::Discard(prefixes)).await;
    }

    /// Sends the importer the whole table again.
    pub async fn repeat_table(&self) {
        self.send(Command::RepeatTable).await;
    }

    /// How the edge is doing; none if its task is gone.
    pub async fn status(&self) -> Option<Status> {
        self.ask(Command::Status).await
    }

    /// What became of a prefix: `installed ..`, `pending: why`, `rejected: why`; none where it is not wanted.
    pub async fn route_state(&self, prefix: Prefix) -> Option<String> {
        self.ask(|reply| Command::RouteState(prefix, reply))
            .await
            .flatten()
    }

    /// What the kernel holds of ours, for the state file.
    pub async fn installed(&self) -> Option<Installed> {
        self.ask(Command::Installed).await
    }

    /// Keeps our routes, or removes them all; how many could not be removed.
    pub async fn release(&self, what: OnStop) -> usize {
        self.ask(|reply| Command::Release(what, reply)).await.unwrap_or(0)
    }

    /// Waits until the kernel's tables have been read once (at once where nothing is installed or imported).
    pub async fn first_dump_done(&self) {
        let mut ready = self.ready.clone();
        // The task being gone is as final as its being ready.
        drop(ready.wait_for(|ready| *ready).await);
    }

    /// Changes, at most once a second, when [`KernelHandle::installed`] would.
    #[must_use]
    pub fn version(&self) -> watch::Receiver<u64> {
        self.version.clone()
    }

    async fn send(&self, command: Command) {
        if self.commands.send(command).await.is_err() {
            tracing::error!("the kernel task is gone");
        }
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.send(command(reply)).await;
        answer.await.ok()
    }
}

impl Setup {
    fn is_active(&self) -> bool {
        self.settings.is_some() || !self.imported.is_empty()
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
    reopen_at: Option<Instant>,
    ready: watch::Sender<bool>,
    version: watch::Sender<u64>,
    version_due: Option<Instant>,
    status: Status,
    logged_at: Option<Instant>,
    release: Option<oneshot::Sender<usize>>,
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
                // What the kernel says is understood in the light of all that it was asked to do before.
                result = notified(self.sockets.as_mut()), if self.flight.is_none() => Wake::Notified(result),
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
        }
    }

    /// Does one step of what is to be done now; whether there is more.
    fn work(&mut self, now: Instant) -> bool {
        if !self.active {
            self.ready
                .send_if_modified(|ready| !std::mem::replace(ready, true));
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
        let result = match self.core.poll_dump(now) {
            Some(scope) => dump(requests, &mut self.core, scope, now).map(|()| true),
            None => self.operate(now),
        };
        let more = result.unwrap_or_else(|error| {
            self.socket_failed(&error, now);
            false
        });
        if self.core.is_ready() {
            self.ready
                .send_if_modified(|ready| !std::mem::replace(ready, true));
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
        self.version_due.get_or_insert(now + VERSION_INTERVAL);
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
            None => self.status.last_error = None,
        }
        self.core.done(operations, &answers.results, now);
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
        self.version_due.get_or_insert(now + VERSION_INTERVAL);
        if let Err(error) = read {
            self.socket_failed(&error, now);
        }
    }

    fn update(&mut self, update: FibUpdate) {
        match update {
            FibUpdate::Changes(changes) => self.core.change_routes(&changes),
            FibUpdate::Complete(family) => self.core.family_complete(family),
            FibUpdate::TrackNextHops { track, untrack } => self.core.track(track, untrack),
            FibUpdate::Suspect(next_hop) => self.core.set_suspect(next_hop, true),
            FibUpdate::Settled(next_hop) => self.core.set_suspect(next_hop, false),
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
            Command::Release(OnStop::Keep, reply) => answer(reply, 0),
            Command::Release(OnStop::Remove, reply) => {
                self.core.leave();
                self.release = Some(reply);
            }
        }
    }

    fn reconfigure(&mut self, mut settings: Option<Settings>, imported: BTreeSet<TableId>) {
        if let (Some(new), Some(old)) = (&mut settings, self.core.settings())
            && (new.table, new.protocol) != (old.table, old.protocol)
        {
            tracing::warn!("kernel table and protocol change at the next restart");
            (new.table, new.protocol) = (old.table, old.protocol);
        }
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
        let possible = !self.active || self.sockets.is_none() || self.core.is_ready();
        if possible
            && self.flight.is_none()
            && let Some(reply) = self.release.take()
        {
            answer(reply, self.core.held_count().iter().sum());
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let core = self
            .core
            .next_deadline()
            .filter(|_| self.active && self.sockets.is_some());
        let reopen = self.reopen_at.filter(|_| self.active && self.sockets.is_none());
        [core, reopen, self.version_due].into_iter().flatten().min()
    }
}

fn dump(
    requests: &mut Requests,
    core: &mut Core,
    scope: super::wire::DumpScope,
    now: Instant,
) -> io::Result<()> {
    let result = requests.start_dump(scope).and_then(|()| {
        loop {
            let progress = requests.read_dump(|message, interrupted| core.dumped(message, interrupted))?;
            if let Progress::Done(errno) = progress {
                return Ok(errno);
            }
        }
    });
    let complete = matches!(result, Ok(errno) if errno == 0 || is_empty_scope(scope, errno));
    core.dump_done(complete, now);
    match result {
        Ok(errno) if !complete => {
            tracing::warn!(error = %io::Error::from_raw_os_error(errno), "the kernel's tables could not be read");
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
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
