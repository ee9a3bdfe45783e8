//! The edge of the shard: one task that owns a [`Rib`], feeds it from the sessions' lanes and passes on what it wants done.
//!
//! Which thread drives a shard is decided here alone. Lanes are served in turn with a budget each. Nothing here waits for a
//! session or for the kernel: what they cannot take is kept, and while the kernel lags the lanes are not served. What a
//! session's socket takes at once is written from here, without a turn of the session's task.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp_codec::{Family, Notification, RouteRefresh, route_refresh};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::explain::{Answer, Query};
use super::interface::{
    Aggregate, Chunk, DecisionOptions, Event, FibChange, Input, LocalChange, Output, Peer, PeerPolicy,
    Reachability, Settings,
};
pub use super::lane::Lane;
use super::lane::{Inbox, Ready};
use super::shard::Rib;
use crate::route::{PeerId, Prefix};

#[cfg(test)]
mod tests;

/// Inputs that may wait for the driver beside the lanes.
const CONTROL_QUEUE: usize = 64;
/// Bytes of messages taken from one lane before the next one's turn.
const LANE_BUDGET: usize = 64 * 1024;
/// How long lanes are served before the sockets have their turn; one visit to a lane is the least.
const SLICE_TIME: Duration = Duration::from_millis(2);
/// Octets written past the sessions' tasks before the sockets have their turn, about 2 ms; what comes beyond, the tasks write.
const WRITTEN_ASIDE: usize = 1024 * 1024;
/// What a write costs beside its octets, as octets.
const WRITE_COST: usize = 2 * 1024;
/// Octets above which a write is left to the session's task: what it costs is then in the kernel, and the shard goes on.
const SHORT: usize = 16 * 1024;
/// Kernel updates that may wait before peers are held back.
const FIB_BACKLOG: usize = 64;
/// Events that may wait for the log; a peer that causes more than can be read loses the rest, counted.
const EVENT_BACKLOG: usize = 1_024;

/// Where the shard's outputs go, other than to sessions.
#[derive(Clone, Debug)]
pub struct Edges {
    /// To the kernel.
    pub fib: mpsc::Sender<FibUpdate>,
    /// To the log and the metrics.
    pub events: mpsc::Sender<Event>,
    /// Which aggregates are there.
    pub aggregates: watch::Sender<Vec<Prefix>>,
}

/// What the kernel's edge is told.
#[derive(Clone, Debug)]
pub enum FibUpdate {
    /// The wanted state of these prefixes changed.
    Changes(Vec<FibChange>),
    /// After a restart: everything wanted in this family has been put out.
    Complete(Family),
    /// Watch or no longer watch these next hops.
    TrackNextHops {
        /// Report reachability of each, at once and on change.
        track: Vec<IpAddr>,
        /// No longer of interest.
        untrack: Vec<IpAddr>,
    },
    /// The session of the peer with this address ended: routes that have another next hop had better use that, before each
    /// has been decided anew.
    Suspect(IpAddr),
    /// All that followed from that has been put out.
    Settled(IpAddr),
}

/// What a session is told.
#[derive(Clone, Debug)]
pub enum ToSession {
    /// Write these, in order, behind what waits already.
    Write(Vec<Chunk>),
    /// Close the session.
    Close {
        /// What to tell the peer.
        notification: Notification,
        /// How long it stays down beyond the usual idle hold; `None`: until an operator resets it.
        idle: Option<Duration>,
    },
}

/// A session's socket, for the shard's edge to write to while nothing else waits there.
pub trait Outlet: std::fmt::Debug + Send + Sync {
    /// Writes chunks in order, after `handed_over` times that the session was told to write something.
    fn write(&self, chunks: Vec<Chunk>, handed_over: u64) -> Written;
}

/// What became of it.
#[derive(Debug)]
pub enum Written {
    /// The socket took everything: so many octets.
    All(usize),
    /// It took so many, or failed. The session is to be told: the rest waits there.
    Partly(usize),
    /// Something waits there, so that the session has to be told to write these.
    Refused(Vec<Chunk>),
}

/// Where a session is reached.
#[derive(Debug)]
pub struct SessionEnd {
    /// Its task.
    pub told: mpsc::Sender<ToSession>,
    /// Its socket, if it may be written to past the task.
    pub outlet: Option<Arc<dyn Outlet>>,
}

impl From<mpsc::Sender<ToSession>> for SessionEnd {
    fn from(told: mpsc::Sender<ToSession>) -> Self {
        Self { told, outlet: None }
    }
}

/// The way to a running shard.
#[derive(Clone, Debug)]
pub struct RibHandle {
    control: mpsc::Sender<Control>,
    ready: Arc<Ready>,
    watched_decided: Arc<Notify>,
}

#[derive(Debug)]
enum Control {
    PeerUp {
        peer: Box<Peer>,
        end: SessionEnd,
        inbox: Arc<Inbox>,
    },
    Input(Input),
    Query(Query, oneshot::Sender<Answer>),
}

/// Starts the shard on a task of its own; it ends when every handle is gone.
#[must_use]
pub fn spawn(settings: Settings, edges: Edges) -> RibHandle {
    let (control, inputs) = mpsc::channel(CONTROL_QUEUE);
    let ready = Arc::new(Ready::default());
    let watched_decided = Arc::new(Notify::new());
    let driver = Driver {
        rib: Rib::new(settings),
        inputs,
        ready: Arc::clone(&ready),
        watched_decided: Arc::clone(&watched_decided),
        edges,
        sessions: BTreeMap::new(),
        round: VecDeque::new(),
        fib: VecDeque::new(),
        events: VecDeque::new(),
        lost_events: 0,
        aside: 0,
    };
    tokio::spawn(driver.run());
    RibHandle {
        control,
        ready,
        watched_decided,
    }
}

impl RibHandle {
    /// Tells the shard of an Established session. An earlier session of the same peer is replaced.
    ///
    /// The shard sends nothing before the session gives [credit](Lane::credit); a session should give at least 256 KiB: small amounts that it
    /// gives back are passed on when 64 KiB have come together, and one chunk may be as long.
    pub async fn peer_up(&self, peer: Peer, end: impl Into<SessionEnd>) -> Lane {
        let inbox = Arc::new(Inbox::new(peer.id));
        let lane = Lane::new(Arc::clone(&inbox), Arc::clone(&self.ready));
        self.send(Control::PeerUp {
            peer: Box::new(peer),
            end: end.into(),
            inbox,
        })
        .await;
        lane
    }

    /// Routes of our own changed.
    pub async fn local(&self, changes: Vec<LocalChange>) {
        self.send(Control::Input(Input::Local(changes))).await;
    }

    /// All aggregates of the main table.
    pub async fn aggregates(&self, aggregates: Vec<Aggregate>) {
        self.send(Control::Input(Input::Aggregates(aggregates))).await;
    }

    /// How paths are compared, from now on.
    pub async fn decision(&self, always_compare_med: bool, options: DecisionOptions) {
        self.send(Control::Input(Input::Decision {
            always_compare_med,
            options,
        }))
        .await;
    }

    /// What the kernel says of next hops.
    pub async fn next_hops(&self, changes: Vec<(IpAddr, Reachability)>) {
        self.send(Control::Input(Input::NextHops(changes))).await;
    }

    /// Settings of a peer that need no new session changed.
    pub async fn reconfigure(&self, peer: PeerId, policy: PeerPolicy) {
        self.send(Control::Input(Input::Reconfigure {
            peer,
            policy: Box::new(policy),
        }))
        .await;
    }

    /// The peer is no longer configured.
    pub async fn peer_removed(&self, peer: PeerId) {
        self.send(Control::Input(Input::PeerRemoved { peer })).await;
    }

    /// Advertises everything to the peer again.
    pub async fn readvertise(&self, peer: PeerId) {
        self.send(Control::Input(Input::Readvertise { peer })).await;
    }

    /// Paths installed per prefix at most, from now on.
    pub async fn multipath(&self, limit: u16) {
        self.send(Control::Input(Input::Multipath(limit))).await;
    }

    /// After a restart: every local source has reported once.
    pub async fn local_routes_complete(&self) {
        self.send(Control::Input(Input::LocalRoutesComplete)).await;
    }

    /// Watches exactly these prefixes for [`RibHandle::watched_decided`]. There is one that watches.
    pub async fn watch(&self, prefixes: BTreeSet<Prefix>) {
        self.send(Control::Input(Input::Watch(prefixes))).await;
    }

    /// Returns once a watched prefix has been decided since the last time this returned.
    pub async fn watched_decided(&self) {
        self.watched_decided.notified().await;
    }

    /// Asks; `None` when the shard has ended.
    pub async fn query(&self, query: Query) -> Option<Answer> {
        let (answer, answered) = oneshot::channel();
        self.send(Control::Query(query, answer)).await;
        answered.await.ok()
    }

    async fn send(&self, control: Control) {
        // An error means that the shard has ended, and with it everything that the input could change.
        self.control.send(control).await.ok();
    }
}

/// One session as the driver knows it.
struct Session {
    inbox: Arc<Inbox>,
    end: SessionEnd,
    /// How often it was told to write.
    handed_over: u64,
    /// What the session's channel had no room for; bounded by the credit that the session gave.
    waiting: VecDeque<ToSession>,
}

struct Driver {
    rib: Rib,
    inputs: mpsc::Receiver<Control>,
    ready: Arc<Ready>,
    watched_decided: Arc<Notify>,
    edges: Edges,
    sessions: BTreeMap<PeerId, Session>,
    /// Lanes that have not had their turn in this round.
    round: VecDeque<Arc<Inbox>>,
    fib: VecDeque<FibUpdate>,
    events: VecDeque<Event>,
    lost_events: u64,
    /// What is left of [`WRITTEN_ASIDE`].
    aside: usize,
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Driver {
    async fn run(mut self) {
        loop {
            let begun = now();
            for _ in 0..CONTROL_QUEUE {
                match self.inputs.try_recv() {
                    Ok(control) => self.control(control),
                    Err(mpsc::error::TryRecvError::Empty) => break,
                    Err(mpsc::error::TryRecvError::Disconnected) => return,
                }
                if now().duration_since(begun) >= SLICE_TIME {
                    break;
                }
            }
            let serving = self.fib.len() < FIB_BACKLOG;
            if serving {
                self.serve_lanes();
                if !self.round.is_empty() {
                    // Sockets have their turn; what all lanes say is decided once.
                    self.deliver();
                    tokio::task::yield_now().await;
                    continue;
                }
            }
            self.rib.handle(Input::Tick, now());
            self.deliver();
            let deadline = self.rib.next_deadline();
            if deadline.is_some_and(|at| at <= now()) || (serving && !self.ready.is_empty()) {
                tokio::task::yield_now().await;
            } else if !self.wait(deadline, serving).await {
                return;
            }
        }
    }

    /// Waits for whatever comes first; `false` when every handle is gone.
    async fn wait(&mut self, deadline: Option<Instant>, serving: bool) -> bool {
        let timer = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        // In the order in which they come about: whatever is polled before costs time in a moment that is short of it. None
        // can keep another waiting, because the loop looks at lanes and inputs in any case.
        let control = tokio::select! {
            biased;
            () = self.ready.wait(), if serving => None,
            control = self.inputs.recv() => match control {
                Some(control) => Some(control),
                None => return false,
            },
            room = room(&self.edges.fib, !self.fib.is_empty()) => {
                if let Some(update) = self.fib.pop_front() {
                    room.send(update);
                }
                None
            }
            room = room(&self.edges.events, !self.events.is_empty()) => {
                if let Some(event) = self.events.pop_front() {
                    room.send(event);
                }
                None
            }
            () = timer => None,
        };
        if let Some(control) = control {
            self.control(control);
        }
        true
    }

    fn control(&mut self, control: Control) {
        match control {
            Control::PeerUp { peer, end, inbox } => {
                // Work goes on only at the end of the loop; outputs for the session that this one replaces must be out.
                self.deliver();
                let id = peer.id;
                self.ready.announce(&inbox);
                self.sessions.insert(
                    id,
                    Session {
                        inbox,
                        end,
                        handed_over: 0,
                        waiting: VecDeque::new(),
                    },
                );
                self.rib.handle(Input::PeerUp(peer), now());
            }
            Control::Input(input) => self.rib.handle(input, now()),
            Control::Query(query, answer) => {
                // Whoever asked may have gone.
                answer.send(self.rib.query(&query, now())).ok();
            }
        }
    }

    fn serve_lanes(&mut self) {
        let begun = now();
        if self.round.is_empty() {
            self.round = self.ready.take();
        }
        while let Some(inbox) = self.round.pop_front() {
            let known = |session: &&mut Session| Arc::ptr_eq(&session.inbox, &inbox);
            let Some(session) = self.sessions.get_mut(&inbox.peer).filter(known) else {
                // Not up yet, or replaced.
                inbox.unlist();
                continue;
            };
            let peer = inbox.peer;
            let visit = inbox.visit(LANE_BUDGET);
            session.pass_on();
            if visit.credit > 0 {
                self.rib.handle(
                    Input::Credit {
                        peer,
                        bytes: visit.credit,
                    },
                    now(),
                );
            }
            for messages in visit.messages {
                self.rib.handle(Input::Received { peer, messages }, now());
            }
            if let Some(routes) = visit.down {
                self.sessions.remove(&peer);
                self.rib.handle(Input::PeerDown { peer, routes }, now());
            } else if visit.more {
                self.ready.announce(&inbox);
            }
            if now().duration_since(begun) >= SLICE_TIME {
                return;
            }
        }
    }

    fn deliver(&mut self) {
        self.aside = WRITTEN_ASIDE;
        while let Some(output) = self.rib.poll_output() {
            match output {
                Output::Send { peer, chunks } => self.write(peer, chunks),
                Output::Close {
                    peer,
                    notification,
                    idle,
                } => {
                    self.tell(peer, ToSession::Close { notification, idle });
                }
                Output::RequestRefresh { peer, family } => self.tell(peer, request_refresh(family)),
                Output::Fib(changes) => self.fib.push_back(FibUpdate::Changes(changes)),
                Output::FibComplete(family) => self.fib.push_back(FibUpdate::Complete(family)),
                Output::TrackNextHops { track, untrack } => {
                    self.fib.push_back(FibUpdate::TrackNextHops { track, untrack });
                }
                Output::Suspect(next_hop) => self.fib.push_back(FibUpdate::Suspect(next_hop)),
                Output::Settled(next_hop) => self.fib.push_back(FibUpdate::Settled(next_hop)),
                Output::WatchedDecided => self.watched_decided.notify_one(),
                // An error means that the speaker is stopping.
                Output::Aggregates(present) => drop(self.edges.aggregates.send(present)),
                Output::Event(event) if self.events.len() < EVENT_BACKLOG => self.events.push_back(event),
                Output::Event(_) => self.lost_events += 1,
            }
        }
        pass_on(&mut self.fib, &self.edges.fib);
        pass_on(&mut self.events, &self.edges.events);
        if self.events.is_empty() && self.lost_events > 0 {
            let lost = std::mem::take(&mut self.lost_events);
            tracing::warn!(lost, "more happened than could be logged");
        }
    }

    /// Writes to a session's socket, or has the session do it where that cannot take everything at once.
    fn write(&mut self, peer: PeerId, chunks: Vec<Chunk>) {
        let Some(session) = self.sessions.get_mut(&peer) else {
            return;
        };
        let bytes: usize = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
        let written = match &session.end.outlet {
            Some(outlet) if self.aside > 0 && bytes <= SHORT => {
                self.aside = self.aside.saturating_sub(bytes + WRITE_COST);
                outlet.write(chunks, session.handed_over)
            }
            _ => Written::Refused(chunks),
        };
        let rest = match written {
            Written::All(credit) => return session.inbox.credit(credit, &self.ready),
            Written::Partly(credit) => {
                session.inbox.credit(credit, &self.ready);
                Vec::new()
            }
            Written::Refused(chunks) => chunks,
        };
        session.tell(ToSession::Write(rest));
    }

    fn tell(&mut self, peer: PeerId, what: ToSession) {
        if let Some(session) = self.sessions.get_mut(&peer) {
            session.tell(what);
        }
    }
}

impl Session {
    fn tell(&mut self, what: ToSession) {
        self.handed_over += u64::from(matches!(what, ToSession::Write(_)));
        self.waiting.push_back(what);
        self.pass_on();
    }

    fn pass_on(&mut self) {
        pass_on(&mut self.waiting, &self.end.told);
    }
}

/// Room in a channel for what waits for it. There never is any where nothing waits, or nobody wants it.
async fn room<T>(channel: &mpsc::Sender<T>, waits: bool) -> mpsc::Permit<'_, T> {
    if waits && let Ok(room) = channel.reserve().await {
        return room;
    }
    std::future::pending().await
}

/// Moves what the channel has room for; a closed channel takes everything, because nobody wants it any more.
fn pass_on<T>(waiting: &mut VecDeque<T>, channel: &mpsc::Sender<T>) {
    while !waiting.is_empty() {
        match channel.try_reserve() {
            Ok(room) => {
                if let Some(item) = waiting.pop_front() {
                    room.send(item);
                }
            }
            Err(mpsc::error::TrySendError::Full(())) => return,
            Err(mpsc::error::TrySendError::Closed(())) => waiting.clear(),
        }
    }
}

fn request_refresh(family: Family) -> ToSession {
    let mut bytes = Vec::new();
    RouteRefresh {
        family,
        subtype: route_refresh::Subtype::Request,
    }
    .encode(&mut bytes);
    ToSession::Write(vec![Chunk {
        bytes: bytes.into(),
        next_hops: Arc::default(),
        updates: 0,
    }])
}
