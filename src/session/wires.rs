//! The sockets of one peer: attempts to connect, connections that stand, and those that are being closed.
//!
//! It moves octets and decides nothing. A NOTIFICATION is followed by an orderly end: our side is shut, what the peer
//! still sends is read and dropped, because closing a socket that holds unread octets sends a reset which may overtake
//! the NOTIFICATION at the peer.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

use super::outgoing::SharedOutgoing;
use super::peer::ConnectionId;
use super::socket;

/// How long a closed connection may take to deliver the NOTIFICATION.
const FAREWELL: Duration = Duration::from_secs(1);
/// Connections of one peer that are being closed at a time; beyond it the oldest goes at once, so that a storm of them
/// does not use up the process's descriptors.
const FAREWELLS: usize = 16;
/// The least and the most that is read at once.
const READ_SIZES: (usize, usize) = (4 * 1024, 64 * 1024);

/// Reads in a row whose octets are dropped while a connection is being closed.
const DROPPED_READS: usize = 16;

/// An attempt to connect.
type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// All sockets of one peer.
#[derive(Default)]
pub(super) struct Wires {
    attempts: Vec<(ConnectionId, Attempt)>,
    wires: Vec<Wire>,
    /// Where to look first, so that a busy connection does not hide the others.
    turn: usize,
}

/// One connection.
pub(super) struct Wire {
    pub(super) id: ConnectionId,
    incoming: OwnedReadHalf,
    pub(super) outgoing: SharedOutgoing,
    buffer: BytesMut,
    read_size: usize,
    /// Being closed, by this time at the latest.
    farewell: Option<Instant>,
    shut: bool,
}

/// What happened to a socket.
#[derive(Debug)]
pub(super) enum Ready {
    /// The outcome of an attempt.
    Connected(ConnectionId, io::Result<TcpStream>),
    /// There may be something to read.
    Readable(ConnectionId),
    /// What waits may go on.
    Writable(ConnectionId),
}

/// What a read brought.
#[derive(Debug)]
pub(super) enum Heard {
    /// Octets.
    Octets(Bytes),
    /// Nothing at the moment.
    Nothing,
    /// The connection has ended, for this reason.
    End(String),
}

impl Wires {
    pub(super) fn attempt(&mut self, id: ConnectionId, attempt: Attempt) {
        self.attempts.push((id, attempt));
    }

    pub(super) fn add(&mut self, id: ConnectionId, stream: TcpStream) {
        let (incoming, outgoing) = stream.into_split();
        self.wires.push(Wire {
            id,
            incoming,
            outgoing: SharedOutgoing::new(outgoing),
            buffer: BytesMut::new(),
            read_size: READ_SIZES.0,
            farewell: None,
            shut: false,
        });
    }

    /// A connection that is not being closed.
    pub(super) fn live(&mut self, id: ConnectionId) -> Option<&mut Wire> {
        self.wires
            .iter_mut()
            .find(|wire| wire.id == id && wire.farewell.is_none())
    }

    pub(super) fn iter_live(&mut self) -> impl Iterator<Item = &mut Wire> {
        self.wires.iter_mut().filter(|wire| wire.farewell.is_none())
    }

    /// Forgets a connection or an attempt at once.
    pub(super) fn drop_now(&mut self, id: ConnectionId) {
        self.attempts.retain(|(attempt, _)| *attempt != id);
        self.wires.retain(|wire| wire.id != id);
    }

    /// Closes a connection once what it must still say has gone.
    pub(super) fn drop_after_farewell(&mut self, id: ConnectionId, now: Instant) {
        if let Some(wire) = self.live(id) {
            let mut outgoing = wire.outgoing.lock();
            outgoing.outbox.finish();
            outgoing.closing = true;
            drop(outgoing);
            wire.farewell = Some(now + FAREWELL);
        }
        let leaving = |wire: &Wire| wire.farewell.is_some();
        if self.wires.iter().filter(|wire| leaving(wire)).count() > FAREWELLS
            && let Some(oldest) = self.wires.iter().position(leaving)
        {
            self.wires.remove(oldest);
        }
        self.continue_farewell(id);
    }

    /// Whether nothing is left, so that the owner may end.
    pub(super) fn is_empty(&self) -> bool {
        self.wires.is_empty() && self.attempts.is_empty()
    }

    /// When [`Wires::expire`] is due.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.wires.iter().filter_map(|wire| wire.farewell).min()
    }

    /// Drops connections that did not close in time.
    pub(super) fn expire(&mut self, now: Instant) {
        self.wires.retain(|wire| wire.farewell.is_none_or(|at| at > now));
    }

    /// Waits for a socket that can go on; live connections are read from only if `reading`.
    pub(super) async fn ready(&mut self, reading: bool) -> Ready {
        poll_fn(|cx| self.poll_ready(reading, cx)).await
    }

    fn poll_ready(&mut self, reading: bool, cx: &mut Context<'_>) -> Poll<Ready> {
        for index in 0..self.attempts.len() {
            let Some((id, attempt)) = self.attempts.get_mut(index) else {
                break;
            };
            if let Poll::Ready(outcome) = attempt.as_mut().poll(cx) {
                let id = *id;
                drop(self.attempts.swap_remove(index));
                return Poll::Ready(Ready::Connected(id, outcome));
            }
        }
        self.turn = self.turn.wrapping_add(1);
        let (before, after) = self
            .wires
            .split_at(self.turn.checked_rem(self.wires.len()).unwrap_or(0));
        for wire in after.iter().chain(before) {
            // An error shows itself in the read or write that follows.
            if wire.queued() > 0 && wire.stream().poll_write_ready(cx).is_ready() {
                return Poll::Ready(Ready::Writable(wire.id));
            }
            let reads = reading || wire.farewell.is_some();
            if reads && wire.stream().poll_read_ready(cx).is_ready() {
                return Poll::Ready(Ready::Readable(wire.id));
            }
        }
        Poll::Pending
    }

    /// Goes on closing a connection: says what is left, shuts our side, and reads until the peer has shut its own.
    ///
    /// Yields whether the connection is one that is being closed.
    pub(super) fn continue_farewell(&mut self, id: ConnectionId) -> bool {
        let Some(wire) = self
            .wires
            .iter_mut()
            .find(|wire| wire.id == id && wire.farewell.is_some())
        else {
            return false;
        };
        if !wire.say_farewell() {
            self.wires.retain(|wire| wire.id != id);
        }
        true
    }
}

impl Wire {
    pub(super) fn stream(&self) -> &TcpStream {
        self.incoming.as_ref()
    }

    /// Octets that wait to be written.
    fn queued(&self) -> usize {
        self.outgoing.lock().outbox.queued()
    }

    /// Reads one portion. When it is all there is, the runtime takes note that the socket is drained: no second read has to
    /// find that out.
    pub(super) fn read(&mut self) -> Heard {
        self.buffer.reserve(self.read_size);
        // Whoever waits for the socket asks for its readiness again, with a waker of its own.
        let mut nobody = Context::from_waker(Waker::noop());
        let read = pin!(self.incoming.read_buf(&mut self.buffer));
        let Poll::Ready(outcome) = read.poll(&mut nobody) else {
            return Heard::Nothing;
        };
        match outcome {
            Ok(0) => Heard::End("connection closed by the peer".into()),
            Ok(len) => {
                let (least, most) = READ_SIZES;
                self.read_size = if len >= self.read_size {
                    (len * 4).min(most)
                } else {
                    least.max(len)
                };
                Heard::Octets(self.buffer.split().freeze())
            }
            Err(error) if is_transient(&error) => Heard::Nothing,
            Err(error) => Heard::End(error.to_string()),
        }
    }

    /// Reads one portion past the runtime's idea of readiness, which may be older than a suspend.
    pub(super) fn read_now(&mut self) -> Heard {
        let mut buffer = vec![0; READ_SIZES.1];
        match socket::read_now(self.stream(), &mut buffer) {
            Ok(0) => Heard::End("connection closed by the peer".into()),
            Ok(len) => {
                buffer.truncate(len);
                Heard::Octets(buffer.into())
            }
            Err(error) if is_transient(&error) => Heard::Nothing,
            Err(error) => Heard::End(error.to_string()),
        }
    }

    /// Yields whether the connection is still needed.
    fn say_farewell(&mut self) -> bool {
        if self.outgoing.lock().write().is_err() {
            return false;
        }
        if self.queued() == 0 && !std::mem::replace(&mut self.shut, true) {
            let shut = socket::shut(self.stream());
            if shut.is_err() {
                return false;
            }
        }
        for _ in 0..DROPPED_READS {
            match self.read() {
                Heard::Octets(_) => {}
                Heard::Nothing => return true,
                Heard::End(_) => return false,
            }
        }
        true
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // The RIB's edge may know of it a little longer.
        self.outgoing.abandon();
    }
}

/// Whether an error only says that the socket can do nothing at the moment.
pub(super) fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
