//! The core of one peer: everything that decides about its connections and its session, and nothing that does I/O.
//!
//! `handle` takes one input, `poll_output` is drained to `None` before the next, `next_deadline` says when
//! [`Input::Tick`] is due. It owns a *dialer* (the machine in Idle, Connect or Active) and the machines of all TCP
//! connections that stand, at most one of which we opened. RFC 4271 §6 and §8; which connection stays when several
//! stand is `collision.rs`, and the hold-timer rules are these:
//! - only a complete message refreshes the timer, however the octets trickle in;
//! - when it runs out, what the socket holds is read first ([`Output::ReadNow`]): while the RIB was full we had stopped
//!   reading, and after a suspend nothing had been read, so an empty buffer here says nothing about the peer.

mod connection;
mod dialer;
mod ending;
mod framing;
mod interface;
mod machine;
mod show;
#[cfg(test)]
pub(crate) mod tests;
mod wishes;

use std::collections::VecDeque;
use std::time::Instant;

use bgp_codec::notification::cease;
use bgp_codec::{FamilySet, MessageType, Notification, keepalive};
use bytes::Bytes;

use self::connection::Connection;
use self::dialer::{Dialer, Rest};
use self::ending::Ending;
use self::framing::Run;
pub use self::interface::{
    Closing, Command, ConnectionId, Endpoints, Input, LogEvent, Output, Progress, Refusal, Reset, Stop,
};
use super::collision::{self, Direction, End, Verdict};
use super::deadlines::{Damping, Jitter, Timer};
use super::fsm::Event;
use super::negotiate;
use super::settings::{PeerAddress, PeerSettings, SpeakerIdentity};
use super::status::{MessageCounts, State};
use crate::route::PeerId;

/// Connections that the peer opened and that have not brought an OPEN; the oldest gives way to a newer one.
const PENDING_LIMIT: usize = 4;

/// Whether the peer takes part at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Running {
    /// Before [`Input::Start`].
    NotStarted,
    /// Its address is ours.
    IsSelf,
    /// Yes.
    Yes,
    /// For good, after [`Input::Stop`].
    Stopped,
}

/// One peer.
#[derive(Debug)]
pub struct Core {
    id: PeerId,
    settings: PeerSettings,
    identity: SpeakerIdentity,
    running: Running,
    /// Administratively down, with the text for the peer's operator.
    shutdown: Option<String>,
    dialer: Dialer,
    connections: Vec<Connection>,
    damping: Damping,
    jitter: Jitter,
    /// Until when the RIB keeps routes of the last session.
    retained_until: Option<Instant>,
    /// Families in which forwarding state has outlived a session of this process.
    kept: FamilySet,
    statistics: Statistics,
    outputs: VecDeque<Output>,
}

/// What is counted and remembered for `show`.
#[derive(Debug)]
struct Statistics {
    shown: State,
    since: Option<Instant>,
    established_count: u64,
    flaps: u64,
    sent: MessageCounts,
    received: MessageCounts,
    bytes_sent: u64,
    bytes_received: u64,
    last_error: Option<String>,
    revision: u64,
}

/// What belongs to an event.
#[derive(Debug)]
enum Cause {
    /// Nothing.
    Plain,
    /// A message that came.
    Message(Run),
    /// What ends the connection.
    End(Ending),
}

impl Core {
    /// A peer that waits for [`Input::Start`]; `seed` is where its jitter comes from.
    #[must_use]
    pub fn new(id: PeerId, settings: PeerSettings, identity: SpeakerIdentity, seed: u64) -> Self {
        Self {
            id,
            shutdown: settings.shutdown.clone(),
            settings,
            identity,
            running: Running::NotStarted,
            dialer: Dialer::default(),
            connections: Vec::new(),
            damping: Damping::default(),
            jitter: Jitter::new(seed),
            retained_until: None,
            kept: FamilySet::EMPTY,
            statistics: Statistics::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes one input.
    ///
    /// # Panics
    ///
    /// In debug builds, when outputs of the last input have not been taken.
    pub fn handle(&mut self, input: Input, now: Instant) {
        debug_assert!(
            self.outputs.is_empty(),
            "outputs are drained before the next input"
        );
        match input {
            Input::Start => self.start(),
            Input::Stop(stop) => self.stop(&stop, now),
            Input::Tick => self.tick(now),
            Input::Connected {
                connection,
                endpoints,
            } => self.connected(connection, endpoints, now),
            Input::ConnectFailed { connection, error } => self.connect_failed(connection, error, now),
            Input::Received { connection, bytes } => self.received(connection, bytes, now),
            Input::ReadDone { connection } => self.read_done(connection, now),
            Input::Closed { connection, error } => {
                self.drive(connection, Event::TcpFailed, Cause::End(Ending::Lost(error)), now);
            }
            Input::Written { connection, progress } => self.written(connection, progress, now),
            Input::Close { notification, idle } => self.close(notification, idle, now),
            Input::RequestRefresh(family) => self.request_refresh(family),
            Input::Command(command) => self.command(command, now),
            Input::Reconfigure(settings) => self.reconfigure(*settings, now),
        }
        self.dial_if_due(now);
        self.note_state(now);
    }

    /// Takes the next output.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Tick`] is due next, and what for.
    #[must_use]
    pub fn next_deadline(&self) -> Option<(Instant, Timer)> {
        let connections = self
            .connections
            .iter()
            .filter_map(|connection| connection.timers.next());
        connections.chain(self.dialer.next_deadline()).min()
    }

    /// Its handle.
    #[must_use]
    pub const fn id(&self) -> PeerId {
        self.id
    }

    /// The settings in force.
    #[must_use]
    pub const fn settings(&self) -> &PeerSettings {
        &self.settings
    }

    /// The state that `show` displays: that of the connection that is furthest, else of the dialer.
    #[must_use]
    pub fn state(&self) -> State {
        self.connections
            .iter()
            .map(|connection| connection.state)
            .max()
            .unwrap_or(self.dialer.state)
    }

    /// The connection that is Established.
    #[must_use]
    pub fn session(&self) -> Option<ConnectionId> {
        self.established().map(|connection| connection.id)
    }

    /// Whether its address was found to be one of ours.
    #[must_use]
    pub fn is_self(&self) -> bool {
        self.running == Running::IsSelf
    }

    /// Until when the RIB keeps routes of its last session (RFC 4724 §4.2).
    #[must_use]
    pub const fn retained_until(&self) -> Option<Instant> {
        self.retained_until
    }

    /// Whether it is kept from connecting by what it did or by an operator, and not by the configuration.
    #[must_use]
    pub fn is_held_down(&self) -> bool {
        self.dialer.rest != Rest::No || (self.shutdown.is_some() && self.settings.shutdown.is_none())
    }

    /// Whether the RIB has, or may have, routes of its.
    #[must_use]
    pub fn has_routes(&self) -> bool {
        self.session().is_some() || self.retained_until.is_some()
    }

    fn established(&self) -> Option<&Connection> {
        self.connections
            .iter()
            .find(|connection| connection.state == State::Established)
    }

    fn find(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|connection| connection.id == id)
    }

    fn is_passive(&self) -> bool {
        self.settings.passive || matches!(self.settings.address, PeerAddress::Range(_))
    }

    // What the edge reports.

    fn connected(&mut self, id: ConnectionId, endpoints: Endpoints, now: Instant) {
        let from = match id.direction {
            Direction::Outgoing if self.dialer.attempt == Some(id) => {
                self.dialer.connected();
                State::Connect
            }
            Direction::Outgoing => {
                return self.push(Output::Close {
                    connection: id,
                    closing: Closing::Drop,
                });
            }
            Direction::Incoming => {
                if let Err(refusal) = self.admit(&endpoints) {
                    return self.refuse(id, refusal);
                }
                self.make_room(now);
                // RFC 4271 has no answer to a peer that restarted unseen and cannot restart gracefully. Something to
                // send makes a dead connection show itself, because its other end answers with a reset.
                if let Some(connection) = self.session() {
                    self.push(Output::Keepalive { connection });
                }
                State::Active
            }
        };
        self.connections.push(Connection::new(id, endpoints, from));
        let event = if self.settings.delay_open.is_zero() {
            Event::TcpConnected
        } else {
            Event::TcpConnectedDelayed
        };
        self.drive(id, event, Cause::Plain, now);
    }

    fn admit(&self, endpoints: &Endpoints) -> Result<(), Refusal> {
        if self.running != Running::Yes {
            return Err(Refusal::NotRunning);
        }
        if self.shutdown.is_some() {
            return Err(Refusal::Shutdown);
        }
        if self.dialer.rest != Rest::No {
            return Err(Refusal::IdleHold);
        }
        match self.settings.source_address {
            Some(address) if address != endpoints.local.ip() => Err(Refusal::WrongLocalAddress),
            _ => Ok(()),
        }
    }

    fn refuse(&mut self, id: ConnectionId, refusal: Refusal) {
        let notification = match &self.shutdown {
            Some(text) if refusal == Refusal::Shutdown => Notification::administrative_shutdown(text),
            _ => Notification::cease(cease::CONNECTION_REJECTED),
        };
        self.write(id, encoded(&notification));
        self.push(Output::Close {
            connection: id,
            closing: Closing::Flush,
        });
        self.push(Output::Log(LogEvent::Refused(refusal)));
    }

    /// Keeps room for one more connection of the peer, so that silent ones do not lock it out.
    fn make_room(&mut self, now: Instant) {
        let pending = || {
            self.connections
                .iter()
                .filter(|connection| connection.is_pending())
        };
        if pending().count() < PENDING_LIMIT {
            return;
        }
        if let Some(oldest) = pending().next().map(|connection| connection.id) {
            let ending = Ending::Told(Notification::cease(cease::CONNECTION_REJECTED));
            self.drive(oldest, Event::Stop, Cause::End(ending), now);
            self.push(Output::Log(LogEvent::Refused(Refusal::TooManyPending)));
        }
    }

    fn received(&mut self, id: ConnectionId, bytes: Bytes, now: Instant) {
        self.statistics.bytes_received += octets(bytes.len());
        let Some(connection) = self.find(id) else { return };
        connection.framing.feed(bytes);
        // Each message may end the connection, so it is looked up again.
        while let Some(connection) = self.find(id) {
            let max_len = connection
                .agreement
                .as_ref()
                .map_or(bgp_codec::MAX_MESSAGE, |agreement| agreement.max_receive);
            match connection.framing.next(max_len) {
                Ok(Some(run)) => self.message(id, run, now),
                Ok(None) => return,
                Err(error) => self.fault(id, error.to_string(), error.into(), now),
            }
        }
    }

    fn message(&mut self, id: ConnectionId, run: Run, now: Instant) {
        self.statistics.received.add(&run.counts);
        let body = run.bytes.get(bgp_codec::HEADER_LEN..).unwrap_or_default();
        match run.kind {
            MessageType::Open => self.open(id, run, now),
            MessageType::Keepalive => self.drive(id, Event::Keepalive, Cause::Message(run), now),
            MessageType::Update | MessageType::RouteRefresh => {
                self.drive(id, Event::Update, Cause::Message(run), now);
            }
            MessageType::Notification => match Notification::decode(body) {
                Ok(notification) => {
                    self.push(Output::Log(LogEvent::Heard(notification.clone())));
                    self.drive(
                        id,
                        Event::Notification,
                        Cause::End(Ending::Heard(notification)),
                        now,
                    );
                }
                Err(error) => self.fault(id, error.to_string(), error.into(), now),
            },
        }
    }

    fn open(&mut self, id: ConnectionId, run: Run, now: Instant) {
        let body = run.bytes.get(bgp_codec::HEADER_LEN..).unwrap_or_default();
        // RFC 4271 §8.2.2 event 20: the peer has spoken first; ours goes now.
        if self
            .find(id)
            .is_some_and(|connection| connection.our_open.is_none())
        {
            self.drive(id, Event::DelayOpenExpired, Cause::Plain, now);
        }
        let Some(connection) = self.connections.iter_mut().find(|connection| connection.id == id) else {
            return;
        };
        let (State::OpenSent, Some(ours)) = (connection.state, &connection.our_open) else {
            return self.drive(id, Event::Open, Cause::Message(run), now);
        };
        match negotiate::agree(&self.settings, ours, body) {
            Err(refusal) => self.fault(id, refusal.to_string(), refusal.into(), now),
            Ok(agreement) => {
                let remote = End {
                    bgp_identifier: agreement.bgp_identifier,
                    asn: agreement.asn,
                };
                connection.agreement = Some(agreement);
                if self.resolve_collisions(id, remote, now) {
                    self.drive(id, Event::Open, Cause::Message(run), now);
                    self.pause_dialing(now);
                }
            }
        }
    }

    /// Lets one of several connections win once an OPEN has come on `new`; says whether that one stays.
    fn resolve_collisions(&mut self, new: ConnectionId, remote: End, now: Instant) -> bool {
        let local = End {
            bgp_identifier: self.identity.bgp_identifier,
            asn: self.settings.local_asn,
        };
        let verdicts: Vec<(ConnectionId, Verdict)> = self
            .connections
            .iter()
            .filter(|connection| connection.id != new)
            .map(|other| {
                (
                    other.id,
                    collision::decide(local, remote, other.as_existing(), new.direction),
                )
            })
            .collect();
        if verdicts
            .iter()
            .any(|(_, verdict)| *verdict == Verdict::KeepExisting)
        {
            self.lose_collision(new, now);
            return false;
        }
        for (other, verdict) in verdicts {
            match verdict {
                Verdict::KeepNew => self.lose_collision(other, now),
                Verdict::TakeOver => {
                    self.push(Output::Log(LogEvent::TakenOver));
                    self.drive(other, Event::TcpFailed, Cause::End(Ending::TakenOver), now);
                }
                Verdict::KeepBoth | Verdict::KeepExisting => {}
            }
        }
        true
    }

    fn lose_collision(&mut self, id: ConnectionId, now: Instant) {
        let ending = Ending::Told(Notification::cease(cease::CONNECTION_COLLISION));
        self.drive(id, Event::CollisionLost, Cause::End(ending), now);
    }

    /// Answers a malformed or refused message.
    fn fault(&mut self, id: ConnectionId, error: String, notification: Notification, now: Instant) {
        self.push(Output::Log(LogEvent::Fault { error: error.clone() }));
        self.drive(id, Event::BadMessage, Cause::End(Ending::Told(notification)), now);
        self.statistics.last_error = Some(error);
    }

    fn read_done(&mut self, id: ConnectionId, now: Instant) {
        if self.find(id).is_some_and(|connection| connection.hold_in_doubt) {
            let ending = Ending::Told(Notification::hold_timer_expired());
            self.drive(id, Event::HoldExpired, Cause::End(ending), now);
        }
    }

    fn written(&mut self, id: ConnectionId, progress: Progress, now: Instant) {
        self.statistics.bytes_sent += octets(progress.bytes);
        self.statistics.sent.add(&progress.messages);
        let time = self.settings.send_hold_time;
        if let Some(connection) = self.find(id) {
            connection
                .timers
                .sending(progress.bytes > 0, progress.queued > 0, time, now);
        }
    }

    fn tick(&mut self, now: Instant) {
        self.dialer_tick(now);
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let ids: Vec<ConnectionId> = self.connections.iter().map(|connection| connection.id).collect();
        for id in ids {
            let Some(connection) = self.find(id) else { continue };
            if due(connection.timers.send_hold) {
                let ending = Ending::Told(Notification::send_hold_timer_expired());
                self.drive(id, Event::SendHoldExpired, Cause::End(ending), now);
                continue;
            }
            if due(connection.timers.delay_open) {
                self.drive(id, Event::DelayOpenExpired, Cause::Plain, now);
            }
            let Some(connection) = self.find(id) else { continue };
            if due(connection.timers.hold) {
                connection.timers.hold = None;
                connection.hold_in_doubt = true;
                self.push(Output::ReadNow { connection: id });
            }
            if self
                .find(id)
                .is_some_and(|connection| due(connection.timers.keepalive))
            {
                self.drive(id, Event::KeepaliveExpired, Cause::Plain, now);
            }
        }
    }

    fn write(&mut self, connection: ConnectionId, bytes: Bytes) {
        self.push(Output::Write { connection, bytes });
    }

    fn push(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    fn note_state(&mut self, now: Instant) {
        let state = self.state();
        let from = std::mem::replace(&mut self.statistics.shown, state);
        if from != state {
            self.statistics.revision += 1;
            if from == State::Established || state == State::Established {
                self.statistics.since = Some(now);
            }
            self.push(Output::Log(LogEvent::State { from, to: state }));
        }
        self.statistics.since.get_or_insert(now);
    }
}

/// A KEEPALIVE as it goes out.
#[must_use]
pub fn keepalive_bytes() -> Bytes {
    let mut bytes = Vec::new();
    keepalive::encode(&mut bytes);
    bytes.into()
}

fn octets(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

fn encoded(notification: &Notification) -> Bytes {
    let mut bytes = Vec::new();
    notification.encode(&mut bytes);
    bytes.into()
}
