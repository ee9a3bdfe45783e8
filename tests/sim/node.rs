//! A whole speaker made of the cores that the daemon runs: one `session::peer::Core` a peer, one `Rib`, and a FIB that
//! is a map. Nothing here decides; it carries outputs of one core to the next, as the edges do, and what goes to a socket
//! goes through the outboxes that the daemon writes from.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp_codec::{
    Asn, Community, ExtendedCommunity, Family, FamilySet, LargeCommunity, Notification, PathAttributes,
    UnknownAttribute,
};
use bytes::Bytes;
use stonechat::rib::explain::{Answer, Counters, Query, RouteEntry, View};
use stonechat::rib::interface as rib;
use stonechat::route::{LocalRoute, OriginKind, PeerId, Prefix};
use stonechat::session::outbox::Outbox;
use stonechat::session::peer::{self, ConnectionId, Core, Endpoints};
use stonechat::session::settings::{PeerSettings, SpeakerIdentity};

use super::shards::Shards;

/// What a session may have on its way to the socket.
const CREDIT: usize = 64 * 1024;

/// How to build (and rebuild) a node.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub name: String,
    pub asn: u32,
    pub address: Ipv4Addr,
    pub peers: Vec<PeerSettings>,
    pub routes: Vec<Prefix>,
    /// Learned routes go to the FIB.
    pub install: bool,
    /// RIB shards.
    pub shards: u16,
}

/// One peer of a node.
#[derive(Debug)]
pub(crate) struct Neighbour {
    pub core: Core,
    pub address: IpAddr,
    pub self_addresses: rib::SelfAddresses,
    outboxes: Vec<(ConnectionId, Outbox)>,
    /// The session as the RIB knows it, while it stands.
    pub up: Option<Box<rib::Peer>>,
    /// The UPDATEs of that session as they came.
    pub heard: Vec<Bytes>,
}

impl Neighbour {
    fn new(core: Core, address: IpAddr, own: Ipv4Addr) -> Self {
        Self {
            core,
            address,
            self_addresses: rib::SelfAddresses {
                ipv4: Some(own),
                ipv6: Some(mapped(own)),
                link_local: None,
            },
            outboxes: Vec::new(),
            up: None,
            heard: Vec::new(),
        }
    }
}

/// What the world must do for a node.
#[derive(Debug)]
pub(crate) enum Effect {
    Connect {
        peer: usize,
        connection: ConnectionId,
    },
    /// There is something in an outbox.
    Write {
        peer: usize,
        connection: ConnectionId,
    },
    ReadNow {
        peer: usize,
        connection: ConnectionId,
    },
    Close {
        peer: usize,
        connection: ConnectionId,
    },
}

#[derive(Debug)]
pub(crate) struct Node {
    pub spec: Spec,
    pub rib: Shards,
    pub settings: rib::Settings,
    pub peers: Vec<Neighbour>,
    /// Routes of its own.
    pub announced: BTreeSet<Prefix>,
    pub fib: BTreeMap<Prefix, rib::FibRoute>,
    /// Of the life before, and not asked for yet in this one.
    adopted: BTreeSet<Prefix>,
    /// NOTIFICATIONs sent, with the index of the peer.
    pub sent: Vec<(usize, Notification)>,
    /// Each End-of-RIB that came, with the peer.
    pub end_of_ribs: Vec<(PeerId, Family)>,
    /// Prefixes whose FIB entry went since this was last cleared.
    pub fib_withdrawals: Vec<Prefix>,
    downs: u64,
    effects: VecDeque<Effect>,
    work: VecDeque<Work>,
}

#[derive(Debug)]
enum Work {
    Peer(usize, peer::Input),
    Rib(Box<rib::Input>),
}

/// What a restart knows of the life before.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub fib: BTreeMap<Prefix, rib::FibRoute>,
}

impl Node {
    pub(crate) fn new(spec: Spec, kept: Option<Kept>, seed: u64, now: Instant) -> Self {
        let restarting_until = kept.as_ref().map(|_| now + Duration::from_secs(60));
        let forwarding = if kept.is_some() {
            both_families()
        } else {
            FamilySet::EMPTY
        };
        let identity = SpeakerIdentity {
            asn: Asn(spec.asn),
            bgp_identifier: spec.address,
            hostname: spec.name.as_str().into(),
            forwarding,
            restarting_until,
        };
        let ids: Vec<PeerId> = (0..spec.peers.len()).map(peer_id).collect();
        let settings = rib::Settings {
            asn: Asn(spec.asn),
            bgp_identifier: spec.address,
            cluster_id: spec.address,
            hash_seed: seed,
            multipath: 1,
            track_next_hops: false,
            install: spec.install,
            always_compare_med: false,
            decision: rib::DecisionOptions::default(),
            restarting: kept.as_ref().map(|_| rib::Restarting {
                peers: ids.clone(),
                deadline: Duration::from_secs(60),
                establish: Duration::from_secs(30),
            }),
        };
        let neighbour = |(index, settings): (usize, &PeerSettings)| {
            let seed = seed ^ (index as u64 + 1);
            let core = Core::new(ids[index], settings.clone(), identity.clone(), seed);
            Neighbour::new(core, address_of(settings), spec.address)
        };
        let peers = spec.peers.iter().enumerate().map(neighbour).collect();
        let mut node = Self {
            rib: Shards::new(&settings, spec.shards),
            spec,
            settings,
            peers,
            announced: BTreeSet::new(),
            adopted: kept.iter().flat_map(|kept| kept.fib.keys().copied()).collect(),
            fib: kept.map(|kept| kept.fib).unwrap_or_default(),
            sent: Vec::new(),
            end_of_ribs: Vec::new(),
            fib_withdrawals: Vec::new(),
            downs: 0,
            effects: VecDeque::new(),
            work: VecDeque::new(),
        };
        let routes = node.spec.routes.clone();
        node.announce(&routes, now);
        node.rib_input(rib::Input::LocalRoutesComplete, now);
        for index in 0..node.peers.len() {
            node.peer_input(index, peer::Input::Start, now);
        }
        node
    }

    /// Announces these and withdraws what else it announced.
    pub(crate) fn announce_exactly(&mut self, wanted: &BTreeSet<Prefix>, now: Instant) {
        let gone: Vec<Prefix> = self.announced.difference(wanted).copied().collect();
        let new: Vec<Prefix> = wanted.difference(&self.announced).copied().collect();
        self.withdraw(&gone, now);
        self.announce(&new, now);
    }

    /// How often its sessions have ended.
    pub(crate) fn flaps(&self) -> u64 {
        self.downs
    }

    pub(crate) fn announce(&mut self, prefixes: &[Prefix], now: Instant) {
        self.announced.extend(prefixes);
        let changes = prefixes
            .iter()
            .map(|prefix| rib::LocalChange::Announce(local_route(*prefix)))
            .collect();
        self.rib_input(rib::Input::Local(changes), now);
    }

    pub(crate) fn withdraw(&mut self, prefixes: &[Prefix], now: Instant) {
        let name: Arc<str> = "lab".into();
        self.announced.retain(|prefix| !prefixes.contains(prefix));
        let withdraw = |prefix: &Prefix| rib::LocalChange::Withdraw {
            kind: OriginKind::Static,
            name: Arc::clone(&name),
            prefix: *prefix,
        };
        self.rib_input(rib::Input::Local(prefixes.iter().map(withdraw).collect()), now);
    }

    pub(crate) fn peer_input(&mut self, peer: usize, input: peer::Input, now: Instant) {
        self.work.push_back(Work::Peer(peer, input));
        self.drain(now);
    }

    pub(crate) fn rib_input(&mut self, input: rib::Input, now: Instant) {
        self.work.push_back(Work::Rib(Box::new(input)));
        self.drain(now);
    }

    /// A connection stands.
    pub(crate) fn connected(
        &mut self,
        peer: usize,
        connection: ConnectionId,
        endpoints: Endpoints,
        now: Instant,
    ) {
        self.peers[peer].outboxes.push((connection, Outbox::default()));
        let input = peer::Input::Connected {
            connection,
            endpoints,
        };
        self.peer_input(peer, input, now);
    }

    /// Octets that wait on a connection.
    pub(crate) fn queued(&self, peer: usize, connection: ConnectionId) -> usize {
        self.peers[peer].outbox_ref(connection).map_or(0, Outbox::queued)
    }

    /// Writes to a socket that takes `room` octets, as the edge does: the core learns how far it went, and what the RIB had
    /// sent is its credit for more.
    pub(crate) fn write(
        &mut self,
        peer: usize,
        connection: ConnectionId,
        room: usize,
        now: Instant,
    ) -> Vec<u8> {
        let session = self.peers[peer].core.session() == Some(connection);
        let Some(outbox) = self.peers[peer].outbox(connection) else {
            return Vec::new();
        };
        let mut written = Vec::new();
        let mut credit = 0;
        let mut progress = peer::Progress::default();
        while written.len() < room && outbox.queued() > 0 {
            let before = written.len();
            for slice in outbox.slices() {
                let take = slice.len().min(room - written.len());
                written.extend_from_slice(&slice[..take]);
            }
            let accepted = outbox.advance(written.len() - before);
            credit += accepted.credit;
            progress.messages.update += accepted.progress.messages.update;
        }
        progress.bytes = written.len();
        progress.queued = outbox.queued();
        let input = peer::Input::Written { connection, progress };
        self.peer_input(peer, input, now);
        if session && credit > 0 {
            self.rib.credit(peer_id(peer), credit, now);
            self.drain(now);
        }
        written
    }

    /// The socket is gone.
    pub(crate) fn forget(&mut self, peer: usize, connection: ConnectionId) {
        self.peers[peer].outboxes.retain(|(id, _)| *id != connection);
    }

    /// How much each shard of the RIB keeps.
    pub(crate) fn counters(&self, now: Instant) -> Vec<Counters> {
        self.rib.counters(now)
    }

    /// Octets that wait on any connection.
    pub(crate) fn all_queued(&self) -> usize {
        let outboxes = self.peers.iter().flat_map(|peer| &peer.outboxes);
        outboxes.map(|(_, outbox)| outbox.queued()).sum()
    }

    pub(crate) fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let peers = self
            .peers
            .iter()
            .filter_map(|peer| peer.core.next_deadline().map(|(at, _)| at));
        peers.chain(self.rib.next_deadline()).min()
    }

    /// Runs whatever is due.
    pub(crate) fn tick(&mut self, now: Instant) {
        for index in 0..self.peers.len() {
            if self.peers[index]
                .core
                .next_deadline()
                .is_some_and(|(at, _)| at <= now)
            {
                self.peer_input(index, peer::Input::Tick, now);
            }
        }
        self.rib.tick(now);
        self.drain(now);
    }

    pub(crate) fn received(&self, peer: usize, now: Instant) -> Vec<RouteEntry> {
        self.listing(View::Received(peer_id(peer)), now)
    }

    pub(crate) fn advertised(&self, peer: usize, now: Instant) -> Vec<RouteEntry> {
        self.listing(View::Advertised(peer_id(peer)), now)
    }

    pub(crate) fn best(&self, now: Instant) -> Vec<RouteEntry> {
        let all = self.listing(View::Best, now);
        all.into_iter().filter(|route| route.best).collect()
    }

    fn listing(&self, view: View, now: Instant) -> Vec<RouteEntry> {
        let query = Query::Routes {
            view,
            family: None,
            within: None,
            after: None,
            limit: 1_000,
        };
        let mut all = Vec::new();
        for answer in self.rib.query(&query, now) {
            if let Answer::Routes { routes, next } = answer {
                assert_eq!(next, None, "more than fit on a page");
                all.extend(routes);
            }
        }
        all
    }

    fn drain(&mut self, now: Instant) {
        loop {
            while let Some(output) = self.rib.poll_output() {
                self.rib_output(output);
            }
            match self.work.pop_front() {
                Some(Work::Peer(index, input)) => {
                    self.peers[index].core.handle(input, now);
                    while let Some(output) = self.peers[index].core.poll_output() {
                        self.peer_output(index, output);
                    }
                }
                Some(Work::Rib(input)) => self.rib.handle(&input, now),
                None => return,
            }
        }
    }

    fn tell_rib(&mut self, input: rib::Input) {
        self.work.push_back(Work::Rib(Box::new(input)));
    }

    fn peer_output(&mut self, peer: usize, output: peer::Output) {
        let id = peer_id(peer);
        match output {
            peer::Output::Connect { connection } => {
                self.effects.push_back(Effect::Connect { peer, connection })
            }
            peer::Output::Write { connection, bytes } => {
                if let Some(outbox) = self.peers[peer].outbox(connection) {
                    outbox.push_own(bytes);
                    self.effects.push_back(Effect::Write { peer, connection });
                }
            }
            peer::Output::Keepalive { connection } => {
                if let Some(outbox) = self.peers[peer].outbox(connection) {
                    outbox.push_keepalive();
                    self.effects.push_back(Effect::Write { peer, connection });
                }
            }
            peer::Output::ReadNow { connection } => {
                self.effects.push_back(Effect::ReadNow { peer, connection })
            }
            peer::Output::Close { connection, closing } => {
                match closing {
                    peer::Closing::Flush => {
                        if let Some(outbox) = self.peers[peer].outbox(connection) {
                            outbox.finish();
                        }
                    }
                    peer::Closing::Drop => self.forget(peer, connection),
                }
                self.effects.push_back(Effect::Close { peer, connection });
            }
            peer::Output::RibUp(up) => {
                self.peers[peer].heard.clear();
                self.peers[peer].up = Some(up.clone());
                self.tell_rib(rib::Input::PeerUp(up));
                self.tell_rib(rib::Input::Credit {
                    peer: id,
                    bytes: CREDIT,
                });
            }
            peer::Output::RibReceived(messages) => {
                self.peers[peer].heard.push(messages.clone());
                self.tell_rib(rib::Input::Received { peer: id, messages });
            }
            peer::Output::RibDown(routes) => {
                self.downs += 1;
                self.peers[peer].heard.clear();
                self.peers[peer].up = None;
                self.tell_rib(rib::Input::PeerDown { peer: id, routes });
            }
            peer::Output::RibReconfigure(policy) => {
                if let Some(up) = &mut self.peers[peer].up {
                    up.policy = (*policy).clone();
                }
                self.tell_rib(rib::Input::Reconfigure { peer: id, policy });
            }
            peer::Output::RibReadvertise => self.tell_rib(rib::Input::Readvertise { peer: id }),
            peer::Output::Log(peer::LogEvent::Sent(notification)) => self.sent.push((peer, notification)),
            peer::Output::Log(_) => {}
        }
    }

    fn rib_output(&mut self, output: rib::Output) {
        match output {
            rib::Output::Send { peer, chunks } => {
                let index = peer.index as usize;
                let Some(connection) = self.peers[index].core.session() else {
                    return;
                };
                let own = self.peers[index].self_addresses;
                if let Some(outbox) = self.peers[index].outbox(connection) {
                    for chunk in &chunks {
                        outbox.push_chunk(chunk, &own);
                    }
                    self.effects.push_back(Effect::Write {
                        peer: index,
                        connection,
                    });
                }
            }
            rib::Output::Close {
                peer,
                notification,
                idle,
            } => {
                self.work.push_back(Work::Peer(
                    peer.index as usize,
                    peer::Input::Close { notification, idle },
                ));
            }
            rib::Output::RequestRefresh { peer, family } => {
                self.work.push_back(Work::Peer(
                    peer.index as usize,
                    peer::Input::RequestRefresh(family),
                ));
            }
            rib::Output::Fib(changes) => {
                for change in changes {
                    self.adopted.remove(&change.prefix);
                    match change.route {
                        Some(route) => drop(self.fib.insert(change.prefix, (*route).clone())),
                        None => {
                            self.fib.remove(&change.prefix);
                            self.fib_withdrawals.push(change.prefix);
                        }
                    }
                }
            }
            rib::Output::Event(rib::Event::EndOfRibReceived { peer, family }) => {
                self.end_of_ribs.push((peer, family))
            }
            rib::Output::FibComplete(family) => {
                let (stale, rest) = std::mem::take(&mut self.adopted)
                    .into_iter()
                    .partition(|prefix| is_of(*prefix, family));
                self.adopted = rest;
                self.fib.retain(|prefix, _| !BTreeSet::contains(&stale, prefix));
                self.fib_withdrawals.extend(stale);
            }
            rib::Output::TrackNextHops { .. }
            | rib::Output::Suspect(_)
            | rib::Output::Settled(_)
            | rib::Output::WatchedDecided
            | rib::Output::Aggregates(_)
            | rib::Output::Event(_) => {}
        }
    }
}

fn is_of(prefix: Prefix, family: Family) -> bool {
    match prefix {
        Prefix::V4(_) => family == Family::IPV4_UNICAST,
        Prefix::V6(_) => family == Family::IPV6_UNICAST,
    }
}

impl Neighbour {
    fn outbox(&mut self, connection: ConnectionId) -> Option<&mut Outbox> {
        let known = self.outboxes.iter_mut().find(|(id, _)| *id == connection);
        known.map(|(_, outbox)| outbox)
    }

    fn outbox_ref(&self, connection: ConnectionId) -> Option<&Outbox> {
        let known = self.outboxes.iter().find(|(id, _)| *id == connection);
        known.map(|(_, outbox)| outbox)
    }
}

pub(crate) fn peer_id(index: usize) -> PeerId {
    PeerId {
        index: u32::try_from(index).unwrap(),
        generation: 0,
    }
}

pub(crate) fn both_families() -> FamilySet {
    FamilySet::from_iter([Family::IPV4_UNICAST, Family::IPV6_UNICAST])
}

/// An IPv6 address for a node that has an IPv4 one.
pub(crate) fn mapped(address: Ipv4Addr) -> std::net::Ipv6Addr {
    let [a, b, c, d] = address.octets();
    std::net::Ipv6Addr::new(
        0xfd00,
        0,
        0,
        0,
        0,
        0,
        u16::from_be_bytes([a, b]),
        u16::from_be_bytes([c, d]),
    )
}

pub(crate) fn socket(address: Ipv4Addr, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(address), port)
}

fn address_of(settings: &PeerSettings) -> IpAddr {
    match settings.address {
        stonechat::session::settings::PeerAddress::Address(address) => address,
        stonechat::session::settings::PeerAddress::Range(range) => range.addr(),
    }
}

/// A route of a node's own: some have attributes of all kinds, by their prefix.
pub(crate) fn local_route(prefix: Prefix) -> LocalRoute {
    let mut attributes = PathAttributes {
        origin: bgp_codec::Origin::Igp,
        ..PathAttributes::default()
    };
    match variety(prefix) {
        1 => {
            attributes.communities = vec![Community(0xfc00_0001)];
            attributes.large_communities = vec![LargeCommunity {
                global: 64_512,
                local1: 1,
                local2: 2,
            }];
        }
        2 => {
            attributes.med = Some(5);
            attributes.origin = bgp_codec::Origin::Incomplete;
            // A route target, which is transitive.
            attributes.extended_communities = vec![ExtendedCommunity([0, 2, 0xfc, 0, 0, 0, 0, 1])];
        }
        3 => {
            attributes.atomic_aggregate = true;
            attributes.unknown = vec![UnknownAttribute {
                flags: 0xe0,
                code: 99,
                value: vec![7; 9],
            }];
        }
        _ => {}
    }
    LocalRoute {
        prefix,
        kind: OriginKind::Static,
        name: "lab".into(),
        attributes: Arc::new(attributes),
        from_kernel: None,
    }
}

fn variety(prefix: Prefix) -> u8 {
    match prefix.addr() {
        IpAddr::V4(address) => (address.octets()[1] + address.octets()[2]) % 4,
        IpAddr::V6(address) => address.octets()[3] % 4,
    }
}
