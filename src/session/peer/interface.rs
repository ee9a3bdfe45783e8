//! What goes into a peer's core and what comes out: plain data, so that a failure replays as a test.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bgp_codec::{Family, Notification};
use bytes::Bytes;

use crate::rib::interface::{DownRoutes, Peer, PeerPolicy, SelfAddresses};
use crate::session::collision::Direction;
use crate::session::settings::PeerSettings;
use crate::session::status::{MessageCounts, State};

/// Names one TCP connection of a peer. The core numbers those we open, the edge numbers those that it accepts.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ConnectionId {
    /// Who opened it.
    pub direction: Direction,
    /// Unique among connections of that direction.
    pub serial: u32,
}

/// What is known of a TCP connection once it stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Endpoints {
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
    /// What "next hop self" means on this connection.
    pub self_addresses: SelfAddresses,
    /// Whether both ends are on one subnet.
    pub shared_link: bool,
    /// Index of the interface with the local address; 0 where that is not known.
    pub link: u32,
}

/// One thing for the core to take in.
#[derive(Clone, Debug)]
pub enum Input {
    /// Run the peer: at launch, and when its address is no longer one of ours.
    Start,
    /// End it; only [`Input::Start`] after [`Stop::IsSelf`] brings it back.
    Stop(Stop),
    /// A deadline from `next_deadline` has come.
    Tick,
    /// A connection stands: the answer to [`Output::Connect`], or one that was accepted.
    Connected {
        /// Which.
        connection: ConnectionId,
        /// Its two ends.
        endpoints: Endpoints,
    },
    /// The answer to [`Output::Connect`] where it failed.
    ConnectFailed {
        /// Which.
        connection: ConnectionId,
        /// In words.
        error: String,
    },
    /// Octets from the peer, in any portions.
    Received {
        /// From which connection.
        connection: ConnectionId,
        /// In the order sent.
        bytes: Bytes,
    },
    /// The answer to [`Output::ReadNow`]: whatever the socket held has been given as [`Input::Received`].
    ReadDone {
        /// Which.
        connection: ConnectionId,
    },
    /// The peer closed the connection, or it broke.
    Closed {
        /// Which.
        connection: ConnectionId,
        /// In words; `connection closed by the peer` for an orderly end.
        error: String,
    },
    /// What the socket accepted, after each attempt to write, also when that was nothing.
    Written {
        /// Which.
        connection: ConnectionId,
        /// How far it went.
        progress: Progress,
    },
    /// The RIB wants the session closed.
    Close {
        /// What to tell the peer.
        notification: Notification,
        /// Stays down this long beyond the usual idle hold; `None` for ever.
        idle: Option<Duration>,
    },
    /// The RIB wants the peer's routes of this family once more.
    RequestRefresh(Family),
    /// An operator's wish.
    Command(Command),
    /// New settings; which of them reset the session is `settings_change`'s decision.
    Reconfigure(Box<PeerSettings>),
}

/// How a peer ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Stop {
    /// It is no longer configured.
    Removed,
    /// The speaker leaves for good: Cease with this text.
    Leave {
        /// For the peer's operator.
        text: String,
    },
    /// The speaker restarts: no NOTIFICATION where graceful restart is in force, Cease with this text elsewhere.
    Restart {
        /// For the peer's operator.
        text: String,
    },
    /// Its address is one of ours.
    IsSelf,
}

/// What an operator may ask of a peer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Command {
    /// Administratively down, with a text for the peer's operator (RFC 9003).
    Shutdown(String),
    /// Up again after a shutdown, or after max-prefix kept it down.
    Enable,
    /// Once more.
    Reset(Reset),
}

/// The kinds of reset.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reset {
    /// Close the session and open a new one; the text goes to the peer's operator.
    Hard {
        /// RFC 9003.
        text: String,
    },
    /// Ask the peer for all its routes (RFC 2918).
    SoftIn,
    /// Send the peer all its routes.
    SoftOut,
}

/// What came of writing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// Octets that the socket accepted.
    pub bytes: usize,
    /// Octets that still wait.
    pub queued: usize,
    /// Messages of the RIB among what was accepted; the core counts its own.
    pub messages: MessageCounts,
}

/// One thing that the core wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Open a TCP connection as the settings say.
    Connect {
        /// Its name; answered by [`Input::Connected`] or [`Input::ConnectFailed`].
        connection: ConnectionId,
    },
    /// Send a message of the session's own, ahead of what the RIB has queued.
    Write {
        /// Where.
        connection: ConnectionId,
        /// One whole message.
        bytes: Bytes,
    },
    /// Send a KEEPALIVE at the next message boundary; one that still waits is enough.
    Keepalive {
        /// Where.
        connection: ConnectionId,
    },
    /// Read what the socket holds although reading may be paused, then say [`Input::ReadDone`].
    ReadNow {
        /// Which.
        connection: ConnectionId,
    },
    /// Forget the connection (or the attempt at one).
    Close {
        /// Which.
        connection: ConnectionId,
        /// How.
        closing: Closing,
    },
    /// The session is Established.
    RibUp(Box<Peer>),
    /// Whole UPDATE and ROUTE-REFRESH messages.
    RibReceived(Bytes),
    /// The session ended, or what was kept of it is to go.
    RibDown(DownRoutes),
    /// Settings that the RIB applies to a live session.
    RibReconfigure(Box<PeerPolicy>),
    /// Advertise everything again (`soft out`).
    RibReadvertise,
    /// Something an operator should read.
    Log(LogEvent),
}

/// How a connection is closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Closing {
    /// After the message in hand and what the session itself wrote (a NOTIFICATION) has gone, or a short time.
    Flush,
    /// At once.
    Drop,
}

/// Something an operator should read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LogEvent {
    /// The state that `show` displays changed.
    State {
        /// Before.
        from: State,
        /// After.
        to: State,
    },
    /// A NOTIFICATION went out.
    Sent(Notification),
    /// A NOTIFICATION came.
    Heard(Notification),
    /// A connection ended without one.
    Lost {
        /// In words.
        error: String,
    },
    /// An attempt to connect failed.
    ConnectFailed {
        /// In words.
        error: String,
    },
    /// A connection from the peer was not taken.
    Refused(Refusal),
    /// The peer restarted and came back before its old connection ended (RFC 4724 §5).
    TakenOver,
    /// The peer's OPEN was refused, or its message was malformed, for this reason.
    Fault {
        /// In words.
        error: String,
    },
}

/// Why a connection from a peer's address is not taken.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Refusal {
    /// The peer does not run (stopped, or our own address).
    NotRunning,
    /// Administratively down.
    Shutdown,
    /// Waiting in Idle after an error.
    IdleHold,
    /// It reached another local address than the configured source address.
    WrongLocalAddress,
    /// Newer ones from the same address pushed it out before it sent an OPEN.
    TooManyPending,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotRunning => "the peer does not run",
            Self::Shutdown => "administratively down",
            Self::IdleHold => "waiting in Idle after an error",
            Self::WrongLocalAddress => "it reached another local address than source_address",
            Self::TooManyPending => "too many connections without an OPEN",
        })
    }
}
