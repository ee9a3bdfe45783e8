//! The shard from outside: peers that send messages and decode what they are sent.

mod add_path;
mod aggregate;
mod basics;
mod border;
mod delivery;
mod draining;
mod export;
mod import;
mod lifecycle;
mod memory;
mod oracle;
mod pacing;
mod policy;
mod random;
mod shards;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp_codec::{
    Asn, DecodeContext, Family, FamilySet, HEADER_LEN, MAX_EXTENDED, MessageType, NextHop, Nlri,
    Notification, PathAttributes, PeerKind, RouteRefresh, Update, UpdateWriter, WriteContext, header,
    route_refresh::Subtype,
};

use super::Rib;
use super::explain::{Answer, Counters, Explanation, PeerCounters, Query};
use super::interface::*;
use crate::policy::Chain;
use crate::route::{LocalRoute, OriginKind, PeerId, Prefix, TableId};

const US: Asn = Asn(64_512);

pub(super) fn settings() -> Settings {
    Settings {
        asn: US,
        bgp_identifier: Ipv4Addr::new(10, 0, 0, 254),
        cluster_id: Ipv4Addr::new(10, 0, 0, 254),
        hash_seed: 7,
        multipath: 1,
        track_next_hops: false,
        install: true,
        always_compare_med: false,
        decision: DecisionOptions::default(),
        restarting: None,
    }
}

fn policy() -> PeerPolicy {
    PeerPolicy {
        enforce_first_as: false,
        ..PeerPolicy::accept_all()
    }
}

fn graceful() -> PeerGracefulRestart {
    PeerGracefulRestart {
        restarting: false,
        families: FamilySet::ALL,
        forwarding: FamilySet::ALL,
        long_lived: None,
    }
}

/// An internal peer, 10.0.0.`n`, that negotiated everything but Add-Path and extended messages.
pub(super) fn internal(n: u8) -> Peer {
    Peer {
        id: PeerId {
            index: n.into(),
            generation: 1,
        },
        name: format!("p{n}").into(),
        address: IpAddr::from([10, 0, 0, n]),
        local_address: IpAddr::from([10, 0, 0, 254]),
        self_addresses: SelfAddresses {
            ipv4: Some([10, 0, 0, 254].into()),
            ipv6: Some("2001:db8::fe".parse().unwrap()),
            link_local: None,
        },
        bgp_identifier: Ipv4Addr::new(10, 0, 0, n),
        local_asn: US,
        asn: US,
        kind: PeerKind::Internal,
        shared_link: true,
        link: 0,
        negotiated: Negotiated {
            families: FamilySet::IPV4_UNICAST.with(Family::IPV6_UNICAST),
            four_octet_asn: true,
            max_message: 4096,
            add_path_receive: FamilySet::EMPTY,
            add_path_send: FamilySet::EMPTY,
            extended_next_hop: false,
            route_refresh: true,
            enhanced_route_refresh: true,
            graceful_restart: Some(graceful()),
            role: None,
        },
        policy: policy(),
        table: TableId::MAIN,
    }
}

/// A reflection client.
fn client(n: u8) -> Peer {
    let mut peer = internal(n);
    peer.policy.rr_client = true;
    peer
}

/// An external peer of AS 65000 + `n`, not on a link of ours.
pub(super) fn external(n: u8) -> Peer {
    Peer {
        kind: PeerKind::External,
        asn: Asn(65_000 + u32::from(n)),
        shared_link: false,
        link: 0,
        ..internal(n)
    }
}

/// The far end of a session.
struct Remote {
    context: DecodeContext,
    write: WriteContext,
    /// What it holds from us.
    routes: BTreeMap<(Prefix, u32), PathAttributes>,
    /// What it was told, in order.
    said: Vec<Said>,
    closed: Option<(Notification, Option<Duration>)>,
    /// Gives credit back as it reads.
    reads: bool,
    bytes: usize,
    updates: usize,
    own: SelfAddresses,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Said {
    Announce(Prefix, u32),
    Withdraw(Prefix, u32),
    EndOfRib(Family),
    Refresh(Subtype),
}

/// A shard with peers around it.
struct Lab {
    rib: Rib,
    now: Instant,
    remotes: BTreeMap<PeerId, Remote>,
    fib: BTreeMap<Prefix, FibRoute>,
    fib_complete: Vec<Family>,
    tracked: BTreeSet<IpAddr>,
    events: Vec<Event>,
    watched_decided: usize,
    aggregates: Vec<Prefix>,
    /// Whose routes of a family are asked for again.
    asked: Vec<(PeerId, Family)>,
}

const WINDOW: usize = 65_536;

impl Lab {
    fn new(settings: Settings) -> Self {
        Self {
            rib: Rib::new(settings),
            now: tokio::time::Instant::now().into_std(),
            remotes: BTreeMap::new(),
            fib: BTreeMap::new(),
            fib_complete: Vec::new(),
            tracked: BTreeSet::new(),
            events: Vec::new(),
            watched_decided: 0,
            aggregates: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// Brings peers up together and lets everything settle.
    fn up(&mut self, peers: impl IntoIterator<Item = Peer>) -> Vec<PeerId> {
        let ids: Vec<PeerId> = peers.into_iter().map(|peer| self.connect(peer, true)).collect();
        self.settle();
        ids
    }

    /// Brings one up; a peer that does not read gets no credit.
    fn connect(&mut self, peer: Peer, reads: bool) -> PeerId {
        let id = peer.id;
        let negotiated = &peer.negotiated;
        let remote = Remote {
            context: DecodeContext {
                four_octet_asn: negotiated.four_octet_asn,
                peer: peer.kind,
                families: negotiated.families,
                add_path: negotiated.add_path_send,
                extended_next_hop: if negotiated.extended_next_hop {
                    FamilySet::ALL
                } else {
                    FamilySet::EMPTY
                },
                as_sets: bgp_codec::AsSets::Accept,
            },
            write: WriteContext {
                four_octet_asn: negotiated.four_octet_asn,
                max_message: MAX_EXTENDED,
                add_path: negotiated.add_path_receive,
            },
            routes: BTreeMap::new(),
            said: Vec::new(),
            closed: None,
            reads,
            bytes: 0,
            updates: 0,
            own: peer.self_addresses,
        };
        self.remotes.insert(id, remote);
        self.input(Input::PeerUp(Box::new(peer)));
        if reads {
            self.input(Input::Credit {
                peer: id,
                bytes: WINDOW,
            });
        }
        id
    }

    fn input(&mut self, input: Input) {
        self.rib.handle(input, self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.rib.poll_output() {
            match output {
                Output::Send { peer, chunks } => {
                    let remote = self
                        .remotes
                        .get_mut(&peer)
                        .expect("sends only to those who are up");
                    let bytes: usize = chunks.iter().map(|chunk| remote.read(chunk)).sum();
                    if remote.reads {
                        self.rib.handle(Input::Credit { peer, bytes }, self.now);
                    }
                }
                Output::Close {
                    peer,
                    notification,
                    idle,
                } => {
                    self.remotes.get_mut(&peer).unwrap().closed = Some((notification, idle));
                }
                Output::RequestRefresh { peer, family } => self.asked.push((peer, family)),
                Output::Fib(changes) => {
                    for change in changes {
                        match change.route {
                            Some(route) => self.fib.insert(change.prefix, (*route).clone()),
                            None => self.fib.remove(&change.prefix),
                        };
                    }
                }
                Output::FibComplete(family) => self.fib_complete.push(family),
                Output::Suspect(_) | Output::Settled(_) => {}
                Output::WatchedDecided => self.watched_decided += 1,
                Output::Aggregates(present) => self.aggregates = present,
                Output::TrackNextHops { track, untrack } => {
                    for address in track {
                        assert!(self.tracked.insert(address), "tracked twice: {address}");
                    }
                    for address in untrack {
                        assert!(self.tracked.remove(&address), "never tracked: {address}");
                    }
                }
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    /// One slice of work.
    fn tick(&mut self) {
        self.input(Input::Tick);
    }

    /// Works until nothing is left to do at this time.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            if self.rib.next_deadline().is_none_or(|at| at > self.now) {
                return;
            }
            self.tick();
        }
        panic!("never settles");
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.input(Input::Tick);
        self.settle();
    }

    fn down(&mut self, peer: PeerId, routes: DownRoutes) {
        self.remotes.remove(&peer);
        self.input(Input::PeerDown { peer, routes });
        self.settle();
    }

    /// A slow peer reads this much and then again nothing.
    fn credit(&mut self, peer: PeerId, bytes: usize) {
        self.input(Input::Credit { peer, bytes });
        self.settle();
    }

    fn send(&mut self, peer: PeerId, messages: Vec<u8>) {
        self.input(Input::Received {
            peer,
            messages: messages.into(),
        });
    }

    /// Has a peer announce prefixes and lets it settle.
    fn announce(&mut self, peer: PeerId, attributes: &PathAttributes, prefixes: &[&str]) {
        let nlri: Vec<_> = prefixes.iter().map(|text| Nlri::new(prefix(text))).collect();
        self.announce_nlri(peer, attributes, &nlri);
        self.settle();
    }

    fn announce_nlri(&mut self, peer: PeerId, attributes: &PathAttributes, nlri: &[Nlri<Prefix>]) {
        let mut bytes = Vec::new();
        let family = super::shard::family_of(nlri[0].prefix);
        let mut writer = UpdateWriter::new(&mut bytes, self.remotes[&peer].write);
        writer
            .announce(family, attributes, attributes.next_hop.unwrap(), nlri.to_vec())
            .unwrap();
        self.send(peer, bytes);
    }

    fn withdraw(&mut self, peer: PeerId, prefixes: &[&str]) {
        let nlri: Vec<_> = prefixes.iter().map(|text| Nlri::new(prefix(text))).collect();
        self.withdraw_nlri(peer, &nlri);
        self.settle();
    }

    fn withdraw_nlri(&mut self, peer: PeerId, nlri: &[Nlri<Prefix>]) {
        let mut bytes = Vec::new();
        let family = super::shard::family_of(nlri[0].prefix);
        UpdateWriter::new(&mut bytes, self.remotes[&peer].write)
            .withdraw(family, nlri.to_vec())
            .unwrap();
        self.send(peer, bytes);
    }

    fn end_of_rib(&mut self, peer: PeerId, family: Family) {
        let mut bytes = Vec::new();
        UpdateWriter::new(&mut bytes, self.remotes[&peer].write).end_of_rib(family);
        self.send(peer, bytes);
        self.settle();
    }

    fn refresh(&mut self, peer: PeerId, subtype: Subtype) {
        let mut bytes = Vec::new();
        RouteRefresh {
            family: Family::IPV4_UNICAST,
            subtype,
        }
        .encode(&mut bytes);
        self.send(peer, bytes);
        self.settle();
    }

    fn local(&mut self, prefixes: &[&str]) {
        let route = |text: &&str| {
            LocalChange::Announce(LocalRoute {
                prefix: prefix(text),
                kind: OriginKind::Kernel,
                name: "pods".into(),
                attributes: Arc::default(),
                from_kernel: None,
            })
        };
        self.input(Input::Local(prefixes.iter().map(route).collect()));
        self.settle();
    }

    fn local_withdraw(&mut self, prefixes: &[&str]) {
        let route = |text: &&str| LocalChange::Withdraw {
            kind: OriginKind::Kernel,
            name: "pods".into(),
            prefix: prefix(text),
        };
        self.input(Input::Local(prefixes.iter().map(route).collect()));
        self.settle();
    }

    fn remote(&mut self, peer: PeerId) -> &mut Remote {
        self.remotes.get_mut(&peer).unwrap()
    }

    /// What the peer was told since the last time.
    fn said(&mut self, peer: PeerId) -> Vec<Said> {
        std::mem::take(&mut self.remote(peer).said)
    }

    fn forget_said(&mut self) {
        self.remotes.values_mut().for_each(|remote| remote.said.clear());
    }

    /// The prefixes that a peer holds.
    fn holds(&self, peer: PeerId) -> Vec<String> {
        self.remotes[&peer]
            .routes
            .keys()
            .map(|(prefix, _)| prefix.to_string())
            .collect()
    }

    fn held(&self, peer: PeerId, text: &str) -> &PathAttributes {
        let routes = &self.remotes[&peer].routes;
        let found = routes.iter().find(|((at, _), _)| *at == prefix(text));
        found
            .map(|(_, attributes)| attributes)
            .unwrap_or_else(|| panic!("{text} is not held"))
    }

    fn why(&self, text: &str) -> Explanation {
        match self.rib.query(
            &Query::Why {
                prefix: prefix(text),
                peer: None,
            },
            self.now,
        ) {
            Answer::Why(story) => *story,
            other => panic!("{other:?}"),
        }
    }

    fn counters(&self) -> Counters {
        match self.rib.query(&Query::Counters, self.now) {
            Answer::Counters(counters) => counters,
            other => panic!("{other:?}"),
        }
    }

    fn peer_counters(&self, peer: PeerId) -> PeerCounters {
        let mut all = self.counters().peers.into_iter();
        all.find(|at| at.peer == peer && at.family == "ipv4-unicast")
            .expect("counted")
    }
}

impl Remote {
    /// Decodes a chunk as the peer would, its session's own addresses written over the fields for them.
    fn read(&mut self, chunk: &Chunk) -> usize {
        assert!(
            self.closed.is_none() && chunk.bytes.len() <= WINDOW,
            "{} octets",
            chunk.bytes.len()
        );
        let mut bytes = chunk.bytes.to_vec();
        for field in chunk.next_hops.iter() {
            let mut own = Vec::new();
            match field.len {
                4 => own.extend(self.own.ipv4.unwrap().octets()),
                16 => own.extend(self.own.ipv6.unwrap().octets()),
                _ => {
                    own.extend(self.own.ipv6.unwrap().octets());
                    own.extend(self.own.link_local.unwrap().octets());
                }
            }
            let at = field.offset as usize;
            assert!(
                bytes[at..at + own.len()].iter().all(|octet| *octet == 0),
                "the field is not empty"
            );
            bytes[at..at + own.len()].copy_from_slice(&own);
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let frame = header::frame(rest, MAX_EXTENDED)
                .unwrap()
                .expect("whole messages");
            let body = &rest[HEADER_LEN..frame.len];
            match frame.kind {
                MessageType::Update => self.update(body),
                MessageType::RouteRefresh => {
                    let refresh = RouteRefresh::decode(body).unwrap().unwrap();
                    self.said.push(Said::Refresh(refresh.subtype));
                }
                other => panic!("{other:?}"),
            }
            rest = &rest[frame.len..];
        }
        self.bytes += bytes.len();
        bytes.len()
    }

    fn update(&mut self, body: &[u8]) {
        let update = Update::decode(body, &self.context).unwrap();
        update.check_nlri().unwrap();
        assert_eq!(update.treatment(), None, "{:?}", update.errors());
        self.updates += 1;
        if let Some(family) = update.end_of_rib() {
            self.said.push(Said::EndOfRib(family));
            return;
        }
        for nlri in update.withdrawn().flat_map(|block| block.ip_prefixes()).flatten() {
            self.routes.remove(&(nlri.prefix, nlri.path_id));
            self.said.push(Said::Withdraw(nlri.prefix, nlri.path_id));
        }
        for announced in update.announced() {
            let attributes = PathAttributes {
                next_hop: announced.next_hop,
                ..PathAttributes::from(update.attributes())
            };
            for nlri in announced.nlri.ip_prefixes().flatten() {
                self.routes
                    .insert((nlri.prefix, nlri.path_id), attributes.clone());
                self.said.push(Said::Announce(nlri.prefix, nlri.path_id));
            }
        }
    }
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

/// Attributes of an internal route.
fn via(next_hop: &str) -> PathAttributes {
    PathAttributes {
        next_hop: Some(next_hop.parse::<IpAddr>().unwrap().into()),
        local_pref: Some(100),
        ..PathAttributes::default()
    }
}

/// Attributes of an external route.
fn path(as_path: &str, next_hop: &str) -> PathAttributes {
    PathAttributes {
        as_path: as_path.parse().unwrap(),
        local_pref: None,
        ..via(next_hop)
    }
}

fn announce(text: &str) -> Said {
    Said::Announce(prefix(text), 0)
}

fn withdraw(text: &str) -> Said {
    Said::Withdraw(prefix(text), 0)
}

/// `count` distinct /24s.
fn many(count: u32) -> Vec<Nlri<Prefix>> {
    (0..count)
        .map(|n| Nlri::new(Prefix::new(Ipv4Addr::from(0x1400_0000 + (n << 8)).into(), 24).unwrap()))
        .collect()
}
