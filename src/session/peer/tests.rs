//! The core of a peer on a virtual clock: the test is the peer, the socket and the RIB.

use std::collections::BTreeMap;
use std::time::Duration;

use bgp_codec::{Asn, Capability, Family, Open};

use super::*;
use crate::rib::interface::{DownRoutes, LongLived, Peer};
use crate::session::negotiate::Agreement;
use crate::session::settings::GracefulRestart;

mod collisions;
mod endings;
mod messages;
mod timers;

const SECOND: Duration = Duration::from_secs(1);

#[expect(
    clippy::disallowed_methods,
    reason = "a test needs some instant to count from"
)]
pub(crate) fn epoch() -> Instant {
    Instant::now()
}

pub(crate) fn identity() -> SpeakerIdentity {
    SpeakerIdentity {
        asn: Asn(64_512),
        bgp_identifier: [192, 0, 2, 1].into(),
        hostname: "node1.example.net".into(),
        forwarding: FamilySet::EMPTY,
        restarting_until: None,
    }
}

pub(crate) fn settings() -> PeerSettings {
    PeerSettings {
        hold_time: 180 * SECOND,
        connect_retry_time: 20 * SECOND,
        extended_message: false,
        ..PeerSettings::new("peer", [192, 0, 2, 2].into(), (Asn(64_512), Asn(64_512)))
    }
}

pub(crate) fn agreement() -> Agreement {
    let settings = settings();
    let ours = negotiate::our_open(&settings, &identity(), FamilySet::EMPTY, epoch());
    let message = open(2);
    negotiate::agree(&settings, &ours, &message[19..]).unwrap()
}

fn graceful() -> PeerSettings {
    let restart = GracefulRestart {
        restart_time: 120 * SECOND,
        max_peer_restart_time: 600 * SECOND,
        long_lived: None,
    };
    PeerSettings {
        graceful_restart: Some(restart),
        ..settings()
    }
}

/// The peer's OPEN with BGP Identifier 192.0.2.`last`, hold time 90.
fn open(last: u8) -> Vec<u8> {
    open_with(last, vec![Capability::RouteRefresh])
}

fn open_with(last: u8, capabilities: Vec<Capability>) -> Vec<u8> {
    let bgp_identifier = [192, 0, 2, last].into();
    message_open(&Open {
        version: 4,
        asn: 64_512,
        hold_time: 90,
        bgp_identifier,
        capabilities,
    })
}

fn graceful_open(notification: bool) -> Vec<u8> {
    let families = vec![bgp_codec::GrFamily {
        family: Family::IPV4_UNICAST,
        forwarding: true,
    }];
    open_with(
        2,
        vec![Capability::GracefulRestart {
            restarting: false,
            notification,
            restart_time_s: 90,
            families,
        }],
    )
}

fn message_open(open: &Open) -> Vec<u8> {
    let mut bytes = Vec::new();
    open.encode(&mut bytes);
    bytes
}

fn keepalive() -> Vec<u8> {
    keepalive_bytes().to_vec()
}

fn notification_message(notification: &Notification) -> Vec<u8> {
    encoded(notification).to_vec()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xff; 16];
    bytes.extend(u16::try_from(19 + body.len()).unwrap().to_be_bytes());
    bytes.push(kind);
    bytes.extend(body);
    bytes
}

fn end_of_rib() -> Vec<u8> {
    message(2, &[0; 4])
}

const fn outgoing(serial: u32) -> ConnectionId {
    ConnectionId {
        direction: Direction::Outgoing,
        serial,
    }
}

const fn incoming(serial: u32) -> ConnectionId {
    ConnectionId {
        direction: Direction::Incoming,
        serial,
    }
}

/// One core and all that it ever put out.
struct Bench {
    core: Core,
    now: Instant,
    written: BTreeMap<ConnectionId, Vec<u8>>,
    keepalives: BTreeMap<ConnectionId, usize>,
    closed: BTreeMap<ConnectionId, Closing>,
    attempts: Vec<ConnectionId>,
    read_now: Vec<ConnectionId>,
    ups: Vec<Peer>,
    downs: Vec<DownRoutes>,
    delivered: Vec<u8>,
    reconfigured: usize,
    readvertised: usize,
    refusals: Vec<Refusal>,
}

impl Bench {
    fn new(settings: PeerSettings) -> Self {
        let core = Core::new(
            PeerId {
                index: 0,
                generation: 0,
            },
            settings,
            identity(),
            1,
        );
        let mut bench = Self {
            core,
            now: epoch(),
            written: BTreeMap::new(),
            keepalives: BTreeMap::new(),
            closed: BTreeMap::new(),
            attempts: Vec::new(),
            read_now: Vec::new(),
            ups: Vec::new(),
            downs: Vec::new(),
            delivered: Vec::new(),
            reconfigured: 0,
            readvertised: 0,
            refusals: Vec::new(),
        };
        bench.input(Input::Start);
        bench
    }

    /// A peer with an Established session on `outgoing(0)`; `their_open` is what the peer said.
    fn established(settings: PeerSettings, their_open: &[u8]) -> Self {
        let mut bench = Self::new(settings);
        bench.connect(outgoing(0));
        bench.receive(outgoing(0), their_open);
        bench.receive(outgoing(0), &keepalive());
        assert_eq!(bench.core.state(), State::Established);
        bench
    }

    fn input(&mut self, input: Input) {
        self.core.handle(input, self.now);
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Connect { connection } => self.attempts.push(connection),
                Output::Write { connection, bytes } => {
                    self.written.entry(connection).or_default().extend(&bytes);
                }
                Output::Keepalive { connection } => *self.keepalives.entry(connection).or_default() += 1,
                Output::ReadNow { connection } => self.read_now.push(connection),
                Output::Close { connection, closing } => {
                    assert_eq!(self.closed.insert(connection, closing), None, "closed once");
                }
                Output::RibUp(peer) => self.ups.push(*peer),
                Output::RibReceived(bytes) => self.delivered.extend(&bytes),
                Output::RibDown(routes) => self.downs.push(routes),
                Output::RibReconfigure(_) => self.reconfigured += 1,
                Output::RibReadvertise => self.readvertised += 1,
                Output::Log(LogEvent::Refused(refusal)) => self.refusals.push(refusal),
                Output::Log(_) => {}
            }
        }
    }

    fn connect(&mut self, connection: ConnectionId) {
        let end = |last: u8, port| std::net::SocketAddr::from(([192, 0, 2, last], port));
        let endpoints = Endpoints {
            local: end(1, 1024),
            remote: end(2, 179),
            self_addresses: crate::rib::interface::SelfAddresses::default(),
            shared_link: true,
            link: 0,
        };
        self.input(Input::Connected {
            connection,
            endpoints,
        });
    }

    fn receive(&mut self, connection: ConnectionId, bytes: &[u8]) {
        self.input(Input::Received {
            connection,
            bytes: Bytes::copy_from_slice(bytes),
        });
    }

    fn lose(&mut self, connection: ConnectionId) {
        self.input(Input::Closed {
            connection,
            error: "connection reset".into(),
        });
    }

    /// Lets time pass, with a tick at each deadline; the socket holds nothing whenever it is asked.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some((at, _)) = self.core.next_deadline().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.input(Input::Tick);
            for connection in std::mem::take(&mut self.read_now) {
                self.input(Input::ReadDone { connection });
            }
        }
        self.now = end;
    }

    /// The NOTIFICATION that ended what was written on a connection.
    fn told(&self, connection: ConnectionId) -> Option<Notification> {
        let mut rest = self.written.get(&connection)?.as_slice();
        let mut last = None;
        while let Some(frame) = bgp_codec::header::frame(rest, 4096).unwrap() {
            let (whole, after) = rest.split_at(frame.len);
            last = (frame.kind == MessageType::Notification)
                .then(|| Notification::decode(&whole[19..]).unwrap());
            rest = after;
        }
        last
    }

    /// Code, subcode and data of [`Bench::told`].
    fn told_parts(&self, connection: ConnectionId) -> (u8, u8, Vec<u8>) {
        let notification = self.told(connection).expect("a NOTIFICATION went out");
        (notification.code, notification.subcode, notification.data)
    }

    fn is_open(&self, connection: ConnectionId) -> bool {
        !self.closed.contains_key(&connection)
    }
}
