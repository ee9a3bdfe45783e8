//! One whole speaker between a peer that does as it likes and a witness that behaves. Also what the fuzzer drives.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use bgp_codec::{Capability, Family, MAX_EXTENDED, MessageType, Notification, Open, header};
use bytes::Bytes;
use stonechat::session::collision::Direction;
use stonechat::session::peer::{self, ConnectionId, Endpoints};
use stonechat::session::status::State;

use super::node::{Effect, Node, Spec, socket};
use super::topology::{self, Options};

/// The peer that does as it likes, as the speaker counts its peers.
pub(crate) const HOSTILE: usize = 0;
/// The peer that behaves.
pub(crate) const WITNESS: usize = 1;

/// How often the witness speaks; its hold time is 9 s.
const WITNESS_KEEPALIVE: Duration = Duration::from_secs(4);

/// The speaker, and the clock.
pub(crate) struct Stage {
    pub node: Node,
    pub now: Instant,
    serial: u32,
    witness: Option<ConnectionId>,
}

/// One message as it was read.
pub(crate) type Message = (MessageType, Vec<u8>);

impl Stage {
    /// A speaker in AS 64512 whose hostile peer is in `hostile_asn`; both peers connect to it. The witness has a session.
    pub(crate) fn new(hostile_asn: u32) -> Self {
        Self::with(hostile_asn, |_| {})
    }

    /// The same, with other settings of the peers.
    pub(crate) fn with(hostile_asn: u32, edit: impl FnOnce(&mut Spec)) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "an Instant cannot be made otherwise; only differences are used"
        )]
        let now = Instant::now();
        let options = Options::default();
        let peers = [("hostile", HOSTILE, hostile_asn), ("witness", WITNESS, OUR_ASN)]
            .map(|(name, peer, asn)| topology::peer(name, address(peer), (OUR_ASN, asn), options))
            .map(|mut settings| {
                settings.passive = true;
                settings
            });
        let mut spec = Spec {
            name: "n".into(),
            asn: OUR_ASN,
            address: Ipv4Addr::new(192, 0, 2, 1),
            peers: peers.into(),
            routes: Vec::new(),
            install: true,
            shards: 1,
        };
        edit(&mut spec);
        let mut stage = Self {
            node: Node::new(spec, None, 1, now),
            now,
            serial: 0,
            witness: None,
        };
        let witness = stage.up(WITNESS);
        stage.hear(WITNESS, witness);
        stage.witness = Some(witness);
        stage
    }

    /// Opens a connection from a peer.
    pub(crate) fn connect(&mut self, peer: usize) -> ConnectionId {
        self.serial += 1;
        let connection = ConnectionId {
            direction: Direction::Incoming,
            serial: self.serial,
        };
        let remote = socket(address(peer), 1024);
        let endpoints = Endpoints {
            local: socket(Ipv4Addr::new(192, 0, 2, 1), 179),
            remote,
            self_addresses: self.node.peers[peer].self_addresses,
            shared_link: true,
            link: 0,
        };
        self.node.connected(peer, connection, endpoints, self.now);
        self.settle();
        connection
    }

    /// A session of a peer that behaves so far.
    pub(crate) fn up(&mut self, peer: usize) -> ConnectionId {
        let connection = self.connect(peer);
        let asn = self.asn_of(peer);
        self.send(peer, connection, &open(peer, asn));
        self.send(peer, connection, &message(4, &[]));
        assert_eq!(self.state(peer), State::Established);
        connection
    }

    fn asn_of(&self, peer: usize) -> u32 {
        match &self.node.spec.peers[peer].remote_asn {
            stonechat::session::settings::RemoteAsn::Is(asn) => asn.0,
            _ => OUR_ASN + 1,
        }
    }

    pub(crate) fn send(&mut self, peer: usize, connection: ConnectionId, bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(bytes);
        let input = peer::Input::Received { connection, bytes };
        self.node.peer_input(peer, input, self.now);
        self.settle();
    }

    pub(crate) fn close(&mut self, peer: usize, connection: ConnectionId) {
        self.node.forget(peer, connection);
        let error = "connection reset".into();
        let input = peer::Input::Closed { connection, error };
        self.node.peer_input(peer, input, self.now);
        self.settle();
    }

    /// Everything that waits for a peer, read at once.
    pub(crate) fn hear(&mut self, peer: usize, connection: ConnectionId) -> Vec<Message> {
        let mut bytes = Vec::new();
        loop {
            let more = self.node.write(peer, connection, usize::MAX, self.now);
            if more.is_empty() {
                break;
            }
            bytes.extend(more);
            self.settle();
        }
        split(&bytes)
    }

    /// The NOTIFICATION that a peer hears: code, subcode, data.
    pub(crate) fn told(&mut self, peer: usize, connection: ConnectionId) -> Option<(u8, u8, Vec<u8>)> {
        let heard = self.hear(peer, connection);
        let (_, body) = heard
            .iter()
            .find(|(kind, _)| *kind == MessageType::Notification)?;
        let Notification { code, subcode, data } = Notification::decode(body).ok()?;
        Some((code, subcode, data))
    }

    /// What the witness hears.
    pub(crate) fn witness_hears(&mut self) -> Vec<Message> {
        let connection = self.witness.expect("the witness has a session");
        self.hear(WITNESS, connection)
    }

    /// The witness says that it is alive.
    pub(crate) fn witness_speaks(&mut self) {
        let connection = self.witness.expect("the witness has a session");
        self.send(WITNESS, connection, &message(4, &[]));
    }

    /// The witness sends an UPDATE.
    pub(crate) fn witness_sends(&mut self, bytes: &[u8]) {
        let connection = self.witness.expect("the witness has a session");
        self.send(WITNESS, connection, bytes);
    }

    /// Lets time pass; the witness keeps its session.
    pub(crate) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        let mut keepalive = self.now + WITNESS_KEEPALIVE;
        loop {
            let due = self.node.next_deadline().map_or(end, |at| at.max(self.now));
            let next = due.min(keepalive).min(end);
            self.now = next;
            self.node.tick(self.now);
            self.settle();
            if next == keepalive {
                self.witness_speaks();
                keepalive += WITNESS_KEEPALIVE;
            }
            if next >= end {
                self.witness_speaks();
                return;
            }
        }
    }

    pub(crate) fn state(&self, peer: usize) -> State {
        self.node.peers[peer].core.state()
    }

    /// The witness never noticed anything.
    pub(crate) fn assert_witness_is_well(&self) {
        let status = self.node.peers[WITNESS].core.status(self.now, Duration::ZERO);
        assert_eq!(
            (status.state, status.flaps),
            (State::Established, 0),
            "the witness lost its session: {:?}",
            status.last_error
        );
    }

    /// Carries out what a socket would; the far ends read when they are asked to.
    fn settle(&mut self) {
        while let Some(effect) = self.node.next_effect() {
            match effect {
                Effect::ReadNow { peer, connection } => {
                    let input = peer::Input::ReadDone { connection };
                    self.node.peer_input(peer, input, self.now);
                }
                Effect::Connect { .. } | Effect::Write { .. } | Effect::Close { .. } => {}
            }
        }
        // Slices of work that are due at once.
        while self.node.rib.next_deadline().is_some_and(|at| at <= self.now) {
            self.node.tick(self.now);
        }
    }
}

/// The AS of the hostile peer in [`drive`].
const DRIVEN_ASN: u32 = 65_001;
/// Longer than any rest after failures.
const LONGEST_REST: Duration = Duration::from_secs(130);
/// What is played of one input at most, so that the fuzzer tries many short plays rather than few long ones.
const STEPS: usize = 256;
/// How much time passes in one play at most, beside the rest at its end.
const LONGEST_PLAY: Duration = Duration::from_secs(300);

/// Plays what the octets say: connections, octets of any kind, silence, reading and closing. Whatever that is, the witness
/// keeps its session, and the peer gets in once it behaves.
pub(crate) fn drive(data: &[u8]) {
    let mut stage = Stage::new(DRIVEN_ASN);
    let mut connection = stage.connect(HOSTILE);
    let mut rest = data;
    let (begun, mut steps) = (stage.now, 0..STEPS);
    while let Some((&what, after)) = rest.split_first()
        && steps.next().is_some()
    {
        let (&operand, after) = after.split_first().unwrap_or((&0, after));
        rest = after;
        match what % 9 {
            0 => connection = stage.connect(HOSTILE),
            1 => stage.send(HOSTILE, connection, &open(HOSTILE, DRIVEN_ASN)),
            2 => stage.send(HOSTILE, connection, &message(4, &[])),
            3 => {
                let (octets, after) = rest.split_at(usize::from(operand).min(rest.len()));
                stage.send(HOSTILE, connection, octets);
                rest = after;
            }
            // A message with a right header.
            4 | 5 => {
                let kind = if what % 9 == 4 { 2 } else { operand % 7 };
                let (body, after) = rest.split_at(usize::from(operand).min(rest.len()));
                stage.send(HOSTILE, connection, &message(kind, body));
                rest = after;
            }
            6 if stage.now < begun + LONGEST_PLAY => {
                stage.wait(Duration::from_millis(u64::from(operand) * 100));
            }
            6 => {}
            7 => drop(stage.hear(HOSTILE, connection)),
            _ => stage.close(HOSTILE, connection),
        }
        if rest.len().is_multiple_of(64) {
            stage.witness_hears();
        }
    }
    stage.assert_witness_is_well();
    stage.wait(LONGEST_REST);
    stage.up(HOSTILE);
    stage.assert_witness_is_well();
}

pub(crate) const OUR_ASN: u32 = 64_512;

pub(crate) fn address(peer: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, u8::try_from(peer + 2).unwrap_or(99))
}

/// The OPEN of a peer that can do what we can.
pub(crate) fn open(peer: usize, asn: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    Open {
        version: 4,
        asn: bgp_codec::Asn(asn).to_two_octets(),
        hold_time: 9,
        bgp_identifier: address(peer),
        capabilities: vec![
            Capability::Multiprotocol(Family::IPV4_UNICAST),
            Capability::Multiprotocol(Family::IPV6_UNICAST),
            Capability::RouteRefresh,
            Capability::EnhancedRouteRefresh,
            Capability::FourOctetAsn(bgp_codec::Asn(asn)),
        ],
    }
    .encode(&mut bytes);
    bytes
}

/// A message of any kind with any body.
pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xff; 16];
    let len = u16::try_from(19 + body.len()).unwrap_or(u16::MAX);
    bytes.extend(len.to_be_bytes());
    bytes.push(kind);
    bytes.extend(body);
    bytes
}

/// An UPDATE from its three fields.
pub(crate) fn update(withdrawn: &[u8], attributes: &[&[u8]], nlri: &[u8]) -> Vec<u8> {
    let attributes = attributes.concat();
    let mut body = Vec::new();
    for part in [withdrawn, &attributes] {
        body.extend(u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
        body.extend(part);
    }
    body.extend(nlri);
    message(2, &body)
}

/// An attribute, its length in one octet where that is enough.
pub(crate) fn attribute(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![flags, code];
    match u8::try_from(value.len()) {
        Ok(len) if flags & 0x10 == 0 => bytes.push(len),
        _ => {
            bytes[0] |= 0x10;
            bytes.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    bytes.extend(value);
    bytes
}

pub(crate) fn split(mut bytes: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    while let Ok(Some(frame)) = header::frame(bytes, MAX_EXTENDED) {
        let (whole, rest) = bytes.split_at(frame.len);
        messages.push((frame.kind, whole[header::HEADER_LEN..].to_vec()));
        bytes = rest;
    }
    messages
}
