//! One BGP session of the load generator: connect, OPEN, KEEPALIVE, then whole messages in both directions.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use bgp_codec::{AddPathMode, Asn, Capability, Family, MessageType, Open, header};

use crate::ledger::{Expected, Ledger};

/// A KEEPALIVE as it goes out.
const KEEPALIVE: [u8; 19] = [
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 19, 4,
];
/// Octets handed to the kernel at once, and how many of them in one turn.
const CHUNK: usize = 256 * 1024;
const CHUNKS_A_TURN: usize = 4;

/// Who a session is to the daemon.
#[derive(Clone, Debug)]
pub struct Identity {
    pub address: Ipv4Addr,
    pub asn: u32,
    pub hold_time_s: u16,
    /// Wants several paths for a prefix.
    pub add_path: bool,
    /// Will read slowly, and so has a small receive buffer.
    pub slow: bool,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// Not connected.
    Idle,
    Connecting,
    OpenSent,
    OpenConfirm,
    Established,
    /// Ended by the daemon or an error.
    Ended(String),
}

/// A stretch of whole messages on its way out.
struct Piece {
    octets: Arc<[u8]>,
    at: usize,
    end: usize,
    /// Where a message begins, at or before `at`.
    boundary: usize,
}

/// How punctual the daemon's KEEPALIVEs are.
#[derive(Default)]
pub struct Heartbeat {
    /// When it last said anything: an UPDATE does as well (RFC 4271 §4.4).
    last: Option<Instant>,
    /// Silences before a KEEPALIVE, and long ones before an UPDATE, in seconds.
    pub silences: Vec<f64>,
}

/// A silence before an UPDATE that is worth remembering, in seconds.
const LONG: f64 = 2.0;

impl Heartbeat {
    fn heard(&mut self, keepalive: bool, now: Instant) {
        if let Some(last) = self.last.replace(now) {
            let silence = (now - last).as_secs_f64();
            if keepalive || silence > LONG {
                self.silences.push(silence);
            }
        }
    }
}

pub struct Session {
    pub identity: Identity,
    pub state: State,
    pub socket: Option<TcpStream>,
    /// The beginning of a message whose rest is still to come.
    partial: Vec<u8>,
    outbox: VecDeque<Piece>,
    pub ledger: Option<Ledger>,
    pub heartbeat: Heartbeat,
    pub established_at: Option<Instant>,
    /// When the last of what was queued went out.
    pub drained_at: Option<Instant>,
    /// Reading is somebody else's affair: see [`Session::read_some`].
    pub throttled: bool,
}

impl Session {
    pub fn new(identity: Identity, ledger: Option<Ledger>) -> Self {
        let mut session = Self {
            identity,
            state: State::Idle,
            socket: None,
            partial: Vec::new(),
            outbox: VecDeque::new(),
            ledger,
            heartbeat: Heartbeat::default(),
            established_at: None,
            drained_at: None,
            throttled: false,
        };
        if let Some(ledger) = &mut session.ledger {
            ledger.add_path = session.identity.add_path;
        }
        session
    }

    /// A connection is on its way.
    pub fn connecting(&mut self, socket: TcpStream) {
        self.socket = Some(socket);
        self.state = State::Connecting;
        self.partial.clear();
        self.outbox.clear();
        self.established_at = None;
        self.heartbeat.last = None;
    }

    /// The connection is there: says OPEN.
    pub fn connected(&mut self) -> io::Result<()> {
        let unicast = Family::IPV4_UNICAST;
        let mut capabilities = vec![
            Capability::Multiprotocol(unicast),
            Capability::RouteRefresh,
            Capability::FourOctetAsn(Asn(self.identity.asn)),
        ];
        if self.identity.add_path {
            capabilities.push(Capability::AddPath(vec![(unicast, AddPathMode::Receive)]));
        }
        let open = Open {
            version: bgp_codec::open::VERSION,
            asn: Asn(self.identity.asn).to_two_octets(),
            hold_time: self.identity.hold_time_s,
            bgp_identifier: self.identity.address,
            capabilities,
        };
        let mut octets = Vec::new();
        open.encode(&mut octets);
        self.state = State::OpenSent;
        self.send(&octets.into());
        self.flush()
    }

    /// Queues whole messages.
    pub fn send(&mut self, octets: &Arc<[u8]>) {
        self.outbox.push_back(Piece {
            octets: Arc::clone(octets),
            at: 0,
            end: octets.len(),
            boundary: 0,
        });
    }

    /// Queues a KEEPALIVE behind the message that is being written, before all others.
    pub fn send_keepalive(&mut self) {
        let octets: Arc<[u8]> = KEEPALIVE.as_slice().into();
        let keepalive = Piece {
            end: octets.len(),
            octets,
            at: 0,
            boundary: 0,
        };
        let Some(mut first) = self.outbox.pop_front() else {
            self.outbox.push_back(keepalive);
            return;
        };
        while first.boundary < first.at {
            let [high, low] = [
                first.octets[first.boundary + 16],
                first.octets[first.boundary + 17],
            ];
            first.boundary += usize::from(u16::from_be_bytes([high, low]));
        }
        let split = first.boundary;
        if split < first.end {
            let rest = Piece {
                octets: Arc::clone(&first.octets),
                at: split,
                end: first.end,
                boundary: split,
            };
            self.outbox.push_front(rest);
        }
        self.outbox.push_front(keepalive);
        if first.at < split {
            self.outbox.push_front(Piece { end: split, ..first });
        }
    }

    pub fn wants_to_write(&self) -> bool {
        self.state == State::Connecting || !self.outbox.is_empty()
    }

    /// Writes until the kernel takes no more, or a turn's share is done.
    pub fn flush(&mut self) -> io::Result<()> {
        let Some(socket) = &mut self.socket else {
            return Ok(());
        };
        for _ in 0..CHUNKS_A_TURN {
            let Some(piece) = self.outbox.front_mut() else {
                return Ok(());
            };
            let end = piece.end.min(piece.at + CHUNK);
            match socket.write(&piece.octets[piece.at..end]) {
                Ok(count) => piece.at += count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
            if piece.at == piece.end {
                self.outbox.pop_front();
                if self.outbox.is_empty() {
                    self.drained_at = Some(Instant::now());
                }
            }
        }
        Ok(())
    }

    /// Reads once, at most `limit` octets, and takes whole messages over. Yields how many octets came.
    pub fn read_some(
        &mut self,
        scratch: &mut [u8],
        limit: usize,
        expected: &mut Expected,
    ) -> io::Result<usize> {
        let kept = self.partial.len();
        scratch[..kept].copy_from_slice(&self.partial);
        let Some(socket) = &mut self.socket else {
            return Ok(0);
        };
        let end = scratch.len().min(kept + limit);
        let count = match socket.read(&mut scratch[kept..end]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(0);
            }
            Err(error) => return Err(error),
        };
        let now = Instant::now();
        let octets = &scratch[..kept + count];
        let mut at = 0;
        while let Some(frame) = header::frame(&octets[at..], header::MAX_EXTENDED)
            .map_err(|_| io::Error::other("malformed header"))?
        {
            let body = &octets[at + header::HEADER_LEN..at + frame.len];
            self.message(frame.kind, body, expected, now);
            at += frame.len;
            if let State::Ended(reason) = &self.state {
                return Err(io::Error::other(reason.clone()));
            }
        }
        self.partial.clear();
        self.partial.extend_from_slice(&octets[at..]);
        Ok(count)
    }

    fn message(&mut self, kind: MessageType, body: &[u8], expected: &mut Expected, now: Instant) {
        match (kind, &self.state) {
            (MessageType::Update, State::Established) => {
                self.heartbeat.heard(false, now);
                if let Some(ledger) = &mut self.ledger {
                    ledger.update(body, expected, now);
                }
            }
            (MessageType::Keepalive, State::Established) => self.heartbeat.heard(true, now),
            (MessageType::Keepalive, State::OpenConfirm) => {
                self.state = State::Established;
                self.established_at = Some(now);
                self.heartbeat.last = Some(now);
            }
            (MessageType::Open, State::OpenSent) => {
                self.state = State::OpenConfirm;
                self.send_keepalive();
            }
            (MessageType::Notification, _) => {
                let code = body
                    .get(..2)
                    .map_or_else(String::new, |code| format!(" {}/{}", code[0], code[1]));
                self.state = State::Ended(format!("NOTIFICATION{code}"));
            }
            (MessageType::RouteRefresh, _) => {}
            (other, state) => self.state = State::Ended(format!("{other:?} in {state:?}")),
        }
    }
}
