//! What others hold of the running edge: what it is started with, how it is asked, how it is doing.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

use crate::kernel::fib::Counts;
use crate::kernel::settings::{OnStop, Settings};
use crate::kernel::state_file::Installed;
use crate::rib::interface::Reachability;
use crate::route::{KernelTableChange, Prefix, TableId};

/// What the edge starts with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// `[kernel]`; without it nothing is installed.
    pub settings: Option<Settings>,
    /// Kernel tables that something is imported from, or installed into beside the one of `[kernel]`.
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
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) ready: watch::Receiver<bool>,
    pub(super) version: watch::Receiver<u64>,
}

/// What the task is told.
#[derive(Debug)]
pub(super) enum Command {
    Reconfigure(Option<Settings>, BTreeSet<TableId>),
    OwnPrefixes(Vec<Prefix>, Vec<Prefix>),
    Discard(Vec<Prefix>),
    RepeatTable,
    Status(oneshot::Sender<Status>),
    RouteState(Prefix, oneshot::Sender<Option<String>>),
    Installed(oneshot::Sender<Installed>),
    Release(OnStop, oneshot::Sender<usize>),
}

impl KernelHandle {
    /// Takes over other settings, and the tables to watch beside the one that they name.
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
    pub(super) fn is_active(&self) -> bool {
        self.settings.is_some() || !self.imported.is_empty()
    }
}
