//! Random histories: whatever happened, and however slowly each peer read, everybody ends up with what a peer that has just
//! come up is sent.

use super::*;
use crate::policy::{Action, Condition, Edit, Edits, Fallthrough, Filter, Location, PrefixPattern, Rule};

/// A small generator: the seed is the test case.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

fn some_filter(dice: &mut Dice) -> Chain {
    let patterns = ["20.0.0.0/18", "20.0.64.0/18", "20.0.0.0/16", "20.0.128.0/17"];
    let location: crate::policy::Place = Location {
        file: "x".into(),
        line: 1,
    }
    .into();
    let at = dice.roll(4) as usize;
    let edits = if dice.roll(3) == 0 {
        vec![Edit::Med(dice.roll(2) as u32)]
    } else {
        vec![]
    };
    match dice.roll(3) {
        0 => Chain::accept_all(),
        _ => {
            let set = std::iter::once(PrefixPattern::or_longer(prefix(patterns[at]))).collect();
            let rule = Rule {
                location: location.clone(),
                condition: Condition::Prefix(set),
                action: Action::Accept,
                edits: Edits::new(edits),
            };
            let filter = Filter {
                name: "f".into(),
                rules: vec![rule],
                default: Fallthrough::Reject,
                location,
            };
            Chain::new(vec![Arc::new(filter)])
        }
    }
}

fn some_peer(n: u8, dice: &mut Dice) -> Peer {
    let mut peer = match dice.roll(4) {
        0 => internal(n),
        1 => external(n),
        _ => client(n),
    };
    if dice.roll(4) == 0 {
        peer.negotiated.add_path_send = FamilySet::IPV4_UNICAST;
    }
    if dice.roll(3) == 0 {
        peer.negotiated.add_path_receive = FamilySet::IPV4_UNICAST;
    }
    peer.policy.export = some_filter(dice);
    peer.policy.sent_paths = match dice.roll(4) {
        0 => SentPaths::Equal,
        1 => SentPaths::Best(NonZeroU8::new(2).unwrap()),
        _ => SentPaths::All,
    };
    peer
}

const PEERS: u8 = 6;

struct World {
    lab: Lab,
    dice: Dice,
    peers: BTreeMap<u8, Peer>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let mut lab = Lab::new(settings());
        let mut peers = BTreeMap::new();
        for n in 1..=PEERS {
            let peer = some_peer(n, &mut dice);
            let reads = dice.roll(2) == 0;
            lab.connect(peer.clone(), reads);
            peers.insert(n, peer);
        }
        Self { lab, dice, peers }
    }

    fn step(&mut self) {
        let n = 1 + self.dice.roll(PEERS.into()) as u8;
        let id = self.peers[&n].id;
        match self.dice.roll(12) {
            0..=4 => self.announce(n),
            5 | 6 => {
                let nlri = self.some_nlri(n);
                self.lab.withdraw_nlri(id, &nlri);
            }
            7 => {
                let bytes = self.dice.roll(3_000) as usize;
                self.lab.input(Input::Credit { peer: id, bytes });
            }
            8 => {
                let mut bytes = Vec::new();
                RouteRefresh {
                    family: Family::IPV4_UNICAST,
                    subtype: Subtype::Request,
                }
                .encode(&mut bytes);
                self.lab.send(id, bytes);
            }
            9 => {
                let export = some_filter(&mut self.dice);
                let policy = PeerPolicy {
                    export,
                    ..self.peers[&n].policy.clone()
                };
                self.peers.get_mut(&n).unwrap().policy = policy.clone();
                self.lab.input(Input::Reconfigure {
                    peer: id,
                    policy: Box::new(policy),
                });
            }
            10 => self.lab.tick(),
            _ => self.reconnect(n),
        }
        if self.dice.roll(3) == 0 {
            self.lab.tick();
        }
    }

    fn some_nlri(&mut self, n: u8) -> Vec<Nlri<Prefix>> {
        let add_path = self.peers[&n]
            .negotiated
            .add_path_receive
            .contains(Family::IPV4_UNICAST);
        let from = self.dice.roll(250) as usize;
        let count = 1 + self.dice.roll(40) as usize;
        let path_id = if add_path { self.dice.roll(3) as u32 } else { 0 };
        many(256)[from..256.min(from + count)]
            .iter()
            .map(|nlri| Nlri { path_id, ..*nlri })
            .collect()
    }

    fn announce(&mut self, n: u8) {
        let nlri = self.some_nlri(n);
        let peer = &self.peers[&n];
        // At times through another peer: its own address must not come back to it.
        let next_hop = if self.dice.roll(4) == 0 {
            1 + self.dice.roll(PEERS.into()) as u8
        } else {
            n
        };
        let mut attributes = PathAttributes {
            next_hop: Some(NextHop::V4([10, 0, 0, next_hop].into())),
            med: Some(self.dice.roll(3) as u32),
            ..PathAttributes::default()
        };
        if peer.kind == PeerKind::External {
            attributes.as_path.prepend(peer.asn, 1);
        } else {
            attributes.local_pref = Some(100 + self.dice.roll(3) as u32);
        }
        if self.dice.roll(10) == 0 {
            let value = vec![1; 4_050];
            attributes.unknown = vec![bgp_codec::UnknownAttribute {
                flags: 0xe0,
                code: 99,
                value,
            }];
        }
        self.lab.announce_nlri(peer.id, &attributes, &nlri);
    }

    fn reconnect(&mut self, n: u8) {
        let peer = self.peers[&n].clone();
        self.lab.remotes.remove(&peer.id);
        self.lab.input(Input::PeerDown {
            peer: peer.id,
            routes: DownRoutes::Flush,
        });
        let reads = self.dice.roll(2) == 0;
        self.lab.connect(peer, reads);
    }

    /// Everybody reads to the end; then each is compared with a twin that has just come up.
    fn check(mut self, seed: u64) {
        self.lab.settle();
        for peer in self.peers.values() {
            self.lab.remotes.get_mut(&peer.id).unwrap().reads = true;
            self.lab.input(Input::Credit {
                peer: peer.id,
                bytes: 1 << 30,
            });
        }
        self.lab.settle();
        for (n, peer) in &self.peers {
            let mut twin = peer.clone();
            twin.id = PeerId {
                index: 100 + u32::from(*n),
                generation: 1,
            };
            twin.address = IpAddr::from([10, 0, 1, *n]);
            twin.policy.import = Chain::no_policy();
            self.lab.up([twin.clone()]);
            // What came from the peer itself is not sent to it; path ids name the same paths.
            let own: BTreeSet<_> = self.own(peer, &twin);
            let mut expected = self.lab.remotes[&twin.id].routes.clone();
            expected.retain(|key, attributes| {
                !own.contains(key) && attributes.next_hop.unwrap().address() != peer.address
            });
            let held = &self.lab.remotes[&peer.id].routes;
            let differ: Vec<_> = held
                .keys()
                .chain(expected.keys())
                .filter(|key| held.get(key) != expected.get(key))
                .map(|key| (key, held.get(key), expected.get(key)))
                .collect();
            assert!(
                differ.is_empty(),
                "seed {seed}: {}, {} differ: {:?}",
                peer.name,
                differ.len(),
                differ[0]
            );
            self.lab.down(twin.id, DownRoutes::Flush);
        }
        for peer in self.peers.values() {
            self.lab.down(peer.id, DownRoutes::Flush);
        }
        let counters = self.lab.counters();
        assert_eq!(
            (counters.paths, counters.attribute_sets, counters.groups),
            (0, 0, 0),
            "seed {seed}"
        );
        let left: usize = self
            .lab
            .rib
            .tables
            .iter()
            .map(|table| table.data.prefixes.count())
            .sum();
        assert_eq!((left, self.lab.fib.len()), (0, 0), "seed {seed}");
    }

    fn own(&self, peer: &Peer, twin: &Peer) -> BTreeSet<(Prefix, u32)> {
        let query = Query::Routes {
            view: crate::rib::explain::View::Advertised(twin.id),
            family: None,
            within: None,
            after: None,
            limit: 4_096,
        };
        let Answer::Routes { routes, .. } = self.lab.rib.query(&query, self.lab.now) else {
            panic!()
        };
        routes
            .iter()
            .filter(|at| at.source == peer.name)
            .map(|at| (at.prefix, at.path_id))
            .collect()
    }
}

#[test]
fn random_histories_end_as_if_everybody_had_just_come_up() {
    for seed in 0..40 {
        let mut world = World::new(seed);
        for _ in 0..120 {
            world.step();
        }
        world.check(seed);
    }
}
