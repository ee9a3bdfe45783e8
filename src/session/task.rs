//! The task of one peer: it carries inputs to the [`Core`] and does what comes out, and decides nothing itself.
//!
//! It waits for its sockets, its timers, the RIB and its mailbox at once. While the RIB's lane is full, or holds back what
//! was read last, the sockets are not read: TCP then slows the peer down. Everything that is written comes from outboxes
//! which the RIB fills within the credit it was given.

mod alarm;
mod log;
mod rib_side;

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use self::alarm::Alarm;
use self::log::log;
use self::rib_side::Session;
use super::collision::Direction;
use super::local_addresses::LocalAddresses;
use super::peer::{Closing, Command, ConnectionId, Core, Endpoints, Input, Output, Stop};
use super::place::Place;
use super::settings::{PeerAddress, PeerSettings};
use super::socket::{self, SocketError};
use super::status::{State, Status};
use super::wires::{Heard, Ready, Wires};
use crate::rib::task::{RibHandle, ToSession};

/// How long a peer from a range stays known without a connection.
const DYNAMIC_LINGER: Duration = Duration::from_secs(10);

/// What others tell a peer.
#[derive(Debug)]
pub(super) enum ToPeer {
    /// The listener accepted a connection from its address.
    Accepted(TcpStream),
    /// From an operator.
    Command(Command),
    /// From a reload.
    Reconfigure(Box<PeerSettings>),
    /// The last word.
    Stop(Stop),
}

/// What every peer is given.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    pub(super) rib: RibHandle,
    pub(super) addresses: watch::Receiver<Arc<LocalAddresses>>,
    pub(super) mailbox_size: usize,
    /// Addresses of peers from ranges that have routes here.
    pub(super) members: Arc<watch::Sender<BTreeSet<IpAddr>>>,
}

/// One peer at work.
pub(super) struct Task {
    core: Core,
    wires: Wires,
    mailbox: mpsc::Receiver<ToPeer>,
    rib: RibHandle,
    addresses: watch::Receiver<Arc<LocalAddresses>>,
    session: Option<Session>,
    /// Connections with something new to write.
    dirty: Vec<ConnectionId>,
    next_incoming: u32,
    status: Arc<Mutex<Status>>,
    published: u64,
    /// It came from a range, and is forgotten some time after its last connection.
    dynamic: bool,
    members: Arc<watch::Sender<BTreeSet<IpAddr>>>,
    forget_at: Option<Instant>,
    alarm: Alarm,
    stopping: bool,
}

enum Woken {
    Mail(Option<ToPeer>),
    Rib(Option<ToSession>),
    HandedOver,
    Socket(Ready),
    Time,
    Addresses,
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[expect(
    clippy::disallowed_methods,
    reason = "an edge: operators are shown the wall clock"
)]
fn unix_time() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

impl Task {
    pub(super) fn new(
        core: Core,
        surroundings: &Surroundings,
        dynamic: bool,
    ) -> (Self, mpsc::Sender<ToPeer>) {
        let (sender, mailbox) = mpsc::channel(surroundings.mailbox_size);
        let status = Arc::new(Mutex::new(core.status(now(), unix_time())));
        let task = Self {
            core,
            wires: Wires::default(),
            mailbox,
            rib: surroundings.rib.clone(),
            addresses: surroundings.addresses.clone(),
            session: None,
            dirty: Vec::new(),
            next_incoming: 0,
            status,
            published: u64::MAX,
            dynamic,
            members: Arc::clone(&surroundings.members),
            forget_at: None,
            alarm: Alarm::default(),
            stopping: false,
        };
        (task, sender)
    }

    /// Where the peer's status is published.
    pub(super) fn status(&self) -> Arc<Mutex<Status>> {
        Arc::clone(&self.status)
    }

    /// Runs until the peer is stopped, or forgotten if it came from a range.
    pub(super) async fn run(mut self) {
        self.check_self().await;
        if !self.core.is_self() {
            self.feed(Input::Start).await;
        }
        loop {
            if let Some(written) = self.written_aside() {
                self.core.handle(written, now());
            }
            self.publish();
            if self.stopping && self.wires.is_empty() {
                break;
            }
            match self.wait().await {
                Woken::Mail(Some(mail)) => self.mail(mail).await,
                // Nobody can reach it any more.
                Woken::Mail(None) if self.stopping => break,
                Woken::Mail(None) => self.stop(Stop::Restart { text: String::new() }).await,
                Woken::Rib(told) => self.told_by_rib(told).await,
                Woken::HandedOver => {
                    if let Some(session) = &mut self.session {
                        session.unread.pop_front();
                    }
                }
                Woken::Socket(ready) => self.socket(ready).await,
                Woken::Time => {
                    self.wires.expire(now());
                    self.feed(Input::Tick).await;
                }
                Woken::Addresses => self.check_self().await,
            }
            if self.is_forgotten() {
                self.stop(Stop::Removed).await;
            }
        }
        self.publish();
    }

    async fn wait(&mut self) -> Woken {
        let core = self.core.next_deadline().map(|(at, _)| at);
        let deadline = [core, self.wires.next_deadline(), self.forget_at]
            .into_iter()
            .flatten()
            .min();
        self.alarm.set(deadline);
        let (from_rib, unread) = match &mut self.session {
            Some(Session {
                from_rib,
                lane,
                unread,
                ..
            }) => (
                Some(from_rib),
                unread.front().map(|messages| (&*lane, messages.clone())),
            ),
            None => (None, None),
        };
        let reading = unread.is_none();
        let told = async {
            match from_rib {
                Some(from_rib) => from_rib.recv().await,
                None => std::future::pending().await,
            }
        };
        let handed_over = async {
            match unread {
                Some((lane, messages)) => lane.received(messages).await,
                None => std::future::pending().await,
            }
        };
        // Timers first: a KEEPALIVE that is due waits for nobody. A socket is not read on while the lane is full, so what the
        // RIB says has its turn after that much at the latest.
        tokio::select! {
            biased;
            () = self.alarm.rings() => Woken::Time,
            mail = self.mailbox.recv(), if !self.stopping => Woken::Mail(mail),
            () = handed_over => Woken::HandedOver,
            ready = self.wires.ready(reading) => Woken::Socket(ready),
            told = told => Woken::Rib(told),
            Ok(()) = self.addresses.changed() => Woken::Addresses,
        }
    }

    // What wakes it.

    async fn mail(&mut self, mail: ToPeer) {
        match mail {
            ToPeer::Accepted(stream) => self.accepted(stream).await,
            ToPeer::Command(command) => self.feed(Input::Command(command)).await,
            ToPeer::Reconfigure(settings) => self.reconfigure(settings).await,
            ToPeer::Stop(stop) => self.stop(stop).await,
        }
    }

    async fn stop(&mut self, stop: Stop) {
        self.stopping = true;
        self.feed(Input::Stop(stop)).await;
    }

    async fn accepted(&mut self, stream: TcpStream) {
        let connection = ConnectionId {
            direction: Direction::Incoming,
            serial: self.next_incoming,
        };
        self.next_incoming = self.next_incoming.wrapping_add(1);
        let Some(endpoints) = self.endpoints(&stream) else {
            return;
        };
        let settings = self.core.settings();
        let adopted = socket::adopt(&stream, settings, endpoints.remote)
            .and_then(|()| socket::came_from_near(&stream, settings))
            .and_then(|()| socket::stay_on_interface(&stream, settings, endpoints.remote));
        if let Err(error) = adopted {
            tracing::warn!(%error, "connection not taken");
            return;
        }
        self.wires.add(connection, stream);
        self.feed(Input::Connected {
            connection,
            endpoints,
        })
        .await;
    }

    async fn reconfigure(&mut self, settings: Box<PeerSettings>) {
        let password = settings.password.clone();
        if password != self.core.settings().password {
            for wire in self.wires.iter_live() {
                let Ok(remote) = wire.stream().peer_addr() else {
                    continue;
                };
                let key = password.as_ref().map(|password| &password.key);
                if let Err(error) = socket::set_key(wire.stream(), IpNet::from(remote.ip()), key) {
                    tracing::warn!(%error, "key not changed on the open connection");
                }
            }
        }
        for wire in self.wires.iter_live() {
            let Ok(remote) = wire.stream().peer_addr() else {
                continue;
            };
            // TCP_USER_TIMEOUT, TTL and GTSM follow a reload without a new session.
            if let Err(error) = socket::adopt(wire.stream(), &settings, remote) {
                tracing::warn!(%error, "options not changed on the open connection");
            }
        }
        self.feed(Input::Reconfigure(settings)).await;
        self.check_self().await;
    }

    async fn socket(&mut self, ready: Ready) {
        match ready {
            Ready::Connected(connection, Ok(stream)) => {
                let Some(endpoints) = self.endpoints(&stream) else {
                    let error = "connection lost as soon as it stood".into();
                    return self.feed(Input::ConnectFailed { connection, error }).await;
                };
                self.wires.add(connection, stream);
                self.feed(Input::Connected {
                    connection,
                    endpoints,
                })
                .await;
            }
            Ready::Connected(connection, Err(error)) => {
                self.feed(Input::ConnectFailed {
                    connection,
                    error: error.to_string(),
                })
                .await;
            }
            Ready::Writable(connection) => {
                if !self.wires.continue_farewell(connection) {
                    self.dirty.push(connection);
                    let mut inputs = VecDeque::new();
                    self.flush(&mut inputs);
                    self.feed_all(inputs).await;
                }
            }
            Ready::Readable(connection) => {
                if self.wires.continue_farewell(connection) {
                    return;
                }
                let Some(wire) = self.wires.live(connection) else {
                    return;
                };
                match wire.read() {
                    Heard::Octets(bytes) => self.feed(Input::Received { connection, bytes }).await,
                    Heard::End(error) => self.feed(Input::Closed { connection, error }).await,
                    Heard::Nothing => {}
                }
            }
        }
    }

    /// Keeps away from itself: one configuration serves all nodes of a cluster.
    async fn check_self(&mut self) {
        let Some(place) = Place::of_peer(self.core.settings()) else {
            return;
        };
        let is_self = self.addresses.borrow_and_update().contains(&place);
        if self.stopping || is_self == self.core.is_self() {
            return;
        }
        if is_self {
            tracing::info!(address = %place, "the address is one of ours: no session with ourselves");
            self.feed(Input::Stop(Stop::IsSelf)).await;
        } else {
            self.feed(Input::Start).await;
        }
    }

    // What the core wants.

    async fn feed(&mut self, input: Input) {
        self.feed_all(VecDeque::from([input])).await;
    }

    async fn feed_all(&mut self, mut inputs: VecDeque<Input>) {
        while let Some(input) = inputs.pop_front() {
            self.core.handle(input, now());
            while let Some(output) = self.core.poll_output() {
                self.perform(output, &mut inputs).await;
            }
            if inputs.is_empty() {
                self.flush(&mut inputs);
            }
        }
    }

    async fn perform(&mut self, output: Output, inputs: &mut VecDeque<Input>) {
        match output {
            Output::Connect { connection } => {
                if let Err(error) = self.connect(connection) {
                    inputs.push_back(Input::ConnectFailed {
                        connection,
                        error: error.to_string(),
                    });
                }
            }
            Output::Write { connection, bytes } => {
                if let Some(wire) = self.wires.live(connection) {
                    wire.outgoing.lock().outbox.push_own(bytes);
                    self.dirty.push(connection);
                }
            }
            Output::Keepalive { connection } => {
                if let Some(wire) = self.wires.live(connection) {
                    wire.outgoing.lock().outbox.push_keepalive();
                    self.dirty.push(connection);
                }
            }
            Output::ReadNow { connection } => {
                if let Some(wire) = self.wires.live(connection) {
                    match wire.read_now() {
                        Heard::Octets(bytes) => inputs.push_back(Input::Received { connection, bytes }),
                        Heard::End(error) => inputs.push_back(Input::Closed { connection, error }),
                        Heard::Nothing => {}
                    }
                }
                inputs.push_back(Input::ReadDone { connection });
            }
            Output::Close {
                connection,
                closing: Closing::Drop,
            } => self.wires.drop_now(connection),
            Output::Close {
                connection,
                closing: Closing::Flush,
            } => {
                self.wires.drop_after_farewell(connection, now());
            }
            Output::RibUp(peer) => self.rib_up(*peer).await,
            Output::RibReceived(messages) => self.hand_over(messages).await,
            Output::RibDown(routes) => {
                inputs.extend(self.written_aside());
                self.rib_down(routes).await;
            }
            Output::RibReconfigure(policy) => self.rib.reconfigure(self.core.id(), *policy).await,
            Output::RibReadvertise => self.rib.readvertise(self.core.id()).await,
            Output::Log(event) => log(&event),
        }
    }

    fn connect(&mut self, connection: ConnectionId) -> Result<(), SocketError> {
        let settings = self.core.settings();
        // A range is passive: the core never asks to connect to one.
        let PeerAddress::Address(address) = settings.address else {
            return Ok(());
        };
        let remote = socket::destination(settings, address)?;
        let socket = socket::prepare(settings, remote)?;
        self.wires.attempt(connection, Box::pin(socket.connect(remote)));
        Ok(())
    }

    /// Writes on every connection that has something new.
    fn flush(&mut self, inputs: &mut VecDeque<Input>) {
        for connection in std::mem::take(&mut self.dirty) {
            let Some(wire) = self.wires.live(connection) else {
                continue;
            };
            let written = wire.outgoing.lock().write();
            match written {
                Ok(accepted) => {
                    if accepted.credit > 0
                        && let Some(session) = self.session.as_ref().filter(|it| it.connection == connection)
                    {
                        session.lane.credit(accepted.credit);
                    }
                    inputs.push_back(Input::Written {
                        connection,
                        progress: accepted.progress,
                    });
                }
                Err(error) => {
                    // The peer's NOTIFICATION may have come before its end.
                    if let Heard::Octets(bytes) = wire.read_now() {
                        inputs.push_back(Input::Received { connection, bytes });
                    }
                    inputs.push_back(Input::Closed {
                        connection,
                        error: error.to_string(),
                    });
                }
            }
        }
    }

    // What it needs to know.

    fn endpoints(&self, stream: &TcpStream) -> Option<Endpoints> {
        let (local, remote) = (stream.local_addr().ok()?, stream.peer_addr().ok()?);
        let known = Arc::clone(&self.addresses.borrow());
        let place = Place::of_socket(local);
        let (self_addresses, shared_link) = if known.contains(&place) {
            known.of_connection(&place, remote.ip())
        } else {
            // An address that is newer than the last look.
            LocalAddresses::read()
                .unwrap_or_default()
                .of_connection(&place, remote.ip())
        };
        Some(Endpoints {
            local,
            remote,
            self_addresses,
            shared_link,
            link: link(local, &known),
        })
    }

    fn is_forgotten(&mut self) -> bool {
        if !self.dynamic || self.stopping {
            return false;
        }
        // A peer that is held down would be another one when it comes next, and start afresh. It keeps its place among those
        // that its range may have.
        if self.core.state() >= State::OpenSent || self.core.is_held_down() {
            self.forget_at = None;
            return false;
        }
        let now = now();
        let linger = now + DYNAMIC_LINGER;
        let at = *self
            .forget_at
            .get_or_insert_with(|| self.core.retained_until().map_or(linger, |at| at.max(linger)));
        at <= now
    }

    fn publish(&mut self) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if self.published == self.core.revision() {
            self.core.refresh_counters(&mut status);
        } else {
            self.published = self.core.revision();
            *status = self.core.status(now(), unix_time());
            drop(status);
            self.note_membership();
        }
    }

    /// Tells whether a successor is to wait for this peer, as far as the configuration does not.
    fn note_membership(&self) {
        let PeerAddress::Address(address) = self.core.settings().address else {
            return;
        };
        let belongs = self.dynamic && !self.stopping && self.core.has_routes();
        // One that has yet to come back after a restart stays a member while it connects.
        let leaves = self.dynamic && self.stopping;
        self.members.send_if_modified(|members| {
            if belongs {
                members.insert(address)
            } else {
                leaves && members.remove(&address)
            }
        });
    }
}

/// The interface of a connection: a link-local address names it, any other has it.
fn link(local: SocketAddr, known: &LocalAddresses) -> u32 {
    match local {
        SocketAddr::V6(local) if local.scope_id() != 0 => local.scope_id(),
        SocketAddr::V4(_) | SocketAddr::V6(_) => known.link(local.ip()),
    }
}
