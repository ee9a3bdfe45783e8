//! Random worlds beside a reference speaker: what every peer holds in the end is what a speaker would have sent it that keeps
//! a table per peer and shares nothing, with one, two and four shards.

#[expect(dead_code, reason = "the simulation uses the rest")]
mod naive;

use bgp_codec::Community;

use self::naive::{Naive, Told};
use super::random::Dice;
use super::*;
use crate::policy::{
    Action, CanonicalBlock, Condition, Edit, Edits, Fallthrough, Filter, Location, Marks, NextHopEdit,
    PrefixPattern, RouteView, Rule, Source,
};

const PEERS: u8 = 7;
const PREFIXES: u32 = 120;

struct World {
    /// One for each shard, with the far ends' view of it.
    shards: Vec<Lab>,
    naive: Naive,
    dice: Dice,
}

impl World {
    fn new(seed: u64, shards: u16) -> Self {
        let mut dice = Dice::new(seed);
        let settings = Settings {
            track_next_hops: dice.roll(3) == 0,
            always_compare_med: dice.roll(3) == 0,
            decision: DecisionOptions {
                med_missing_as_worst: dice.roll(4) == 0,
                ignore_as_path_length: dice.roll(4) == 0,
                ignore_next_hop_metric: dice.roll(4) == 0,
                // The oracle has no clock.
                prefer_oldest: false,
            },
            multipath: 1 + dice.roll(3) as u16,
            ..settings()
        };
        let shards = Rib::shards(&settings, shards)
            .into_iter()
            .map(|rib| Lab {
                rib,
                ..Lab::new(settings.clone())
            })
            .collect();
        let mut world = Self {
            shards,
            naive: Naive::new(settings),
            dice,
        };
        (1..=PEERS).for_each(|n| world.come_up(n));
        (1..=PEERS).for_each(|n| world.report(n));
        world
    }

    fn come_up(&mut self, n: u8) {
        let peer = some_peer(n, &mut self.dice);
        let reads = self.dice.roll(2) == 0;
        for lab in &mut self.shards {
            lab.connect(peer.clone(), reads);
        }
        self.naive.peers.insert(peer.id, peer);
    }

    fn input(&mut self, input: &Input) {
        self.shards.iter_mut().for_each(|lab| lab.input(input.clone()));
    }

    fn settle(&mut self) {
        self.shards.iter_mut().for_each(Lab::settle);
    }

    /// The kernel speaks of a next hop.
    fn report(&mut self, n: u8) {
        let state = match self.dice.roll(4) {
            0 => Reachability::Unreachable,
            metric => Reachability::Reachable {
                metric: metric as u32,
                connected: true,
            },
        };
        let address = IpAddr::from([10, 0, 0, n]);
        self.naive.next_hops.insert(address, state);
        self.tell_next_hops();
    }

    fn tell_next_hops(&mut self) {
        // The kernel speaks only of what it was asked about, and when asked later says the same.
        let known: Vec<_> = self
            .naive
            .next_hops
            .iter()
            .map(|(at, state)| (*at, *state))
            .collect();
        self.settle();
        self.input(&Input::NextHops(known));
    }

    fn step(&mut self) {
        let n = 1 + self.dice.roll(PEERS.into()) as u8;
        let id = internal(n).id;
        match self.dice.roll(16) {
            0..=5 => self.announce(id),
            6 | 7 => {
                let nlri = self.some_nlri(id);
                self.naive.withdraw(id, &nlri);
                self.shards
                    .iter_mut()
                    .for_each(|lab| lab.withdraw_nlri(id, &nlri));
            }
            8 => {
                let bytes = self.dice.roll(3_000) as usize;
                self.input(&Input::Credit { peer: id, bytes });
            }
            9 => {
                let request = RouteRefresh {
                    family: Family::IPV4_UNICAST,
                    subtype: Subtype::Request,
                };
                let mut bytes = Vec::new();
                request.encode(&mut bytes);
                self.shards.iter_mut().for_each(|lab| lab.send(id, bytes.clone()));
            }
            10 => self.reconfigure(id),
            11 => self.report(n),
            12 => self.originate(),
            13 | 14 => self.shards.iter_mut().for_each(Lab::tick),
            _ => {
                self.naive.down(id);
                self.input(&Input::PeerDown {
                    peer: id,
                    routes: DownRoutes::Flush,
                });
                self.shards
                    .iter_mut()
                    .for_each(|lab| drop(lab.remotes.remove(&id)));
                self.come_up(n);
            }
        }
        if self.dice.roll(3) == 0 {
            self.shards.iter_mut().for_each(Lab::tick);
        }
    }

    fn reconfigure(&mut self, id: PeerId) {
        let policy = some_policy(&mut self.dice);
        self.naive.peers.get_mut(&id).unwrap().policy = policy.clone();
        self.input(&Input::Reconfigure {
            peer: id,
            policy: Box::new(policy),
        });
    }

    fn originate(&mut self) {
        let prefix = many(PREFIXES)[self.dice.roll(PREFIXES.into()) as usize].prefix;
        let (kind, name) =
            [(OriginKind::Static, "range"), (OriginKind::Vip, "shop")][self.dice.roll(2) as usize];
        let change = if self.dice.roll(2) == 0 {
            LocalChange::Withdraw {
                kind,
                name: name.into(),
                prefix,
            }
        } else {
            LocalChange::Announce(LocalRoute {
                prefix,
                kind,
                name: name.into(),
                attributes: Arc::default(),
                from_kernel: None,
            })
        };
        self.naive.local(&change);
        self.input(&Input::Local(vec![change]));
    }

    fn some_nlri(&mut self, id: PeerId) -> Vec<Nlri<Prefix>> {
        let add_path = !self.naive.peers[&id].negotiated.add_path_receive.is_empty();
        let from = self.dice.roll(PREFIXES.into()) as usize;
        let count = 1 + self.dice.roll(30) as usize;
        let path_id = if add_path { self.dice.roll(3) as u32 } else { 0 };
        many(PREFIXES)[from..(PREFIXES as usize).min(from + count)]
            .iter()
            .map(|nlri| Nlri { path_id, ..*nlri })
            .collect()
    }

    fn announce(&mut self, id: PeerId) {
        let nlri = self.some_nlri(id);
        let attributes = some_attributes(&self.naive.peers[&id], &mut self.dice);
        self.naive.announce(id, &attributes, &nlri);
        for lab in &mut self.shards {
            lab.announce_nlri(id, &attributes, &nlri);
        }
    }

    /// Everybody reads to the end; then each holds what the reference speaker says.
    fn check(&mut self, seed: &str) {
        self.tell_next_hops();
        self.settle();
        let peers: Vec<PeerId> = self.naive.peers.keys().copied().collect();
        for id in &peers {
            self.shards
                .iter_mut()
                .for_each(|lab| lab.remotes.get_mut(id).unwrap().reads = true);
            self.input(&Input::Credit {
                peer: *id,
                bytes: 1 << 30,
            });
        }
        self.settle();
        // Whoever waits between advertisements has its turn.
        self.shards
            .iter_mut()
            .for_each(|lab| lab.pass(Duration::from_secs(30)));
        for peer in self.naive.peers.values() {
            let expected = self.naive.held_by(peer);
            let mut held: BTreeMap<Prefix, Vec<Told>> = BTreeMap::new();
            for ((prefix, _), attributes) in self.shards.iter().flat_map(|lab| &lab.remotes[&peer.id].routes)
            {
                held.entry(*prefix).or_default().push(naive::told(attributes));
            }
            held.values_mut().for_each(|told| told.sort());
            let differs = held.keys().chain(expected.keys());
            let differs = differs.filter(|at| held.get(at) != expected.get(at)).min();
            if let Some(prefix) = differs {
                let whys: Vec<_> = self
                    .shards
                    .iter()
                    .map(|lab| lab.why(&prefix.to_string()))
                    .collect();
                panic!(
                    "{seed}: {} holds of {prefix}\n{:?}\nand not\n{:?}\n{whys:#?}",
                    peer.name,
                    held.get(prefix),
                    expected.get(prefix)
                );
            }
        }
    }
}

fn some_peer(n: u8, dice: &mut Dice) -> Peer {
    let mut peer = if dice.roll(3) == 0 {
        external(n)
    } else {
        internal(n)
    };
    peer.shared_link = dice.roll(2) == 0;
    let ipv4 = FamilySet::IPV4_UNICAST;
    peer.negotiated.families = ipv4;
    peer.negotiated.four_octet_asn = dice.roll(4) > 0;
    for family in [
        &mut peer.negotiated.add_path_send,
        &mut peer.negotiated.add_path_receive,
    ] {
        if dice.roll(4) == 0 {
            *family = ipv4;
        }
    }
    if dice.roll(4) == 0 {
        peer.negotiated.max_message = MAX_EXTENDED;
    }
    peer.policy = some_policy(dice);
    peer
}

fn some_policy(dice: &mut Dice) -> PeerPolicy {
    let next_hop = [
        NextHopPolicy::Standard,
        NextHopPolicy::Standard,
        NextHopPolicy::Own,
        NextHopPolicy::OwnForced,
        NextHopPolicy::Unchanged,
    ];
    PeerPolicy {
        import: some_filter(dice),
        export: some_filter(dice),
        rr_client: dice.roll(2) == 0,
        route_server_client: dice.roll(4) == 0,
        next_hop: next_hop[dice.roll(5) as usize],
        allow_own_as: dice.roll(2) as u8,
        enforce_first_as: dice.roll(3) == 0,
        min_advertisement_interval: Duration::from_secs([0, 0, 30][dice.roll(3) as usize]),
        sent_paths: some_paths(dice),
        ..policy()
    }
}

fn some_paths(dice: &mut Dice) -> SentPaths {
    match dice.roll(4) {
        0 => SentPaths::All,
        1 => SentPaths::Equal,
        count => SentPaths::Best(NonZeroU8::new(count as u8 - 1).unwrap()),
    }
}

fn some_edit(dice: &mut Dice) -> Edit {
    match dice.roll(6) {
        0 => Edit::Med(dice.roll(3) as u32),
        1 => Edit::LocalPref(100 + dice.roll(2) as u32),
        2 => Edit::Prepend { asn: None, count: 1 },
        3 => Edit::AddCommunities(vec![Community(0x0001_0001)]),
        4 => Edit::NextHop(NextHopEdit::Own),
        _ => Edit::NextHop(NextHopEdit::Address(IpAddr::from([
            10,
            0,
            0,
            1 + dice.roll(3) as u8,
        ]))),
    }
}

fn some_filter(dice: &mut Dice) -> Chain {
    if dice.roll(3) == 0 {
        return Chain::accept_all();
    }
    let location = Location {
        file: "x".into(),
        line: 1,
    };
    let rules = (0..1 + dice.roll(2)).map(|_| {
        let condition = match dice.roll(3) {
            0 => Condition::Med(dice.roll(3) as u32),
            1 => Condition::Peer(vec![format!("p{}", 1 + dice.roll(PEERS.into())).into()]),
            _ => {
                let pattern = ["20.0.0.0/18", "20.0.32.0/19", "20.0.0.0/16"][dice.roll(3) as usize];
                Condition::Prefix(std::iter::once(PrefixPattern::or_longer(prefix(pattern))).collect())
            }
        };
        let action =
            [Action::Accept, Action::Accept, Action::Reject, Action::Continue][dice.roll(4) as usize];
        let edits = if dice.roll(3) == 0 && action != Action::Reject {
            vec![some_edit(dice)]
        } else {
            vec![]
        };
        Rule {
            location: location.clone().into(),
            condition,
            action,
            edits: Edits::new(edits),
        }
    });
    let filter = Filter {
        name: "f".into(),
        rules: rules.collect(),
        default: [Fallthrough::Accept, Fallthrough::Reject][dice.roll(2) as usize],
        location: location.into(),
    };
    Chain::new(vec![Arc::new(filter)])
}

fn some_attributes(peer: &Peer, dice: &mut Dice) -> PathAttributes {
    let next_hop = match dice.roll(6) {
        0 => 254,
        1 => 1 + dice.roll(PEERS.into()) as u8,
        _ => u8::try_from(peer.id.index).unwrap(),
    };
    let mut attributes = PathAttributes {
        next_hop: Some(NextHop::V4([10, 0, 0, next_hop].into())),
        med: (dice.roll(2) == 0).then(|| dice.roll(3) as u32),
        ..PathAttributes::default()
    };
    for _ in 0..dice.roll(3) {
        let asns = [70_000, 65_010, 65_011, US.0];
        attributes.as_path.prepend(Asn(asns[dice.roll(4) as usize]), 1);
    }
    if peer.kind == PeerKind::External {
        let first = if dice.roll(5) == 0 { Asn(65_020) } else { peer.asn };
        attributes.as_path.prepend(first, 1);
    } else {
        attributes.local_pref = Some(100 + dice.roll(2) as u32);
        if dice.roll(4) == 0 {
            attributes.originator_id = Some(Ipv4Addr::new(10, 0, 0, 250 + dice.roll(5) as u8));
            attributes.cluster_list = vec![Ipv4Addr::new(10, 9, 0, dice.roll(3) as u8)];
        }
    }
    let communities = [
        Community::NO_EXPORT,
        Community::NO_ADVERTISE,
        Community(0x0002_0002),
    ];
    if dice.roll(4) == 0 {
        attributes.communities.push(communities[dice.roll(3) as usize]);
    }
    if dice.roll(12) == 0 {
        attributes.unknown = vec![bgp_codec::UnknownAttribute {
            flags: 0xe0,
            code: 99,
            value: vec![1; 4_000 + dice.roll(60) as usize],
        }];
    }
    attributes
}

fn run(seeds: std::ops::Range<u64>, shards: u16) {
    for seed in seeds {
        let mut world = World::new(seed, shards);
        for round in 0..3 {
            for _ in 0..40 {
                world.step();
            }
            world.check(&format!("{shards} shards, seed {seed}, round {round}"));
        }
    }
}

#[test]
fn one_shard_agrees_with_the_reference_speaker() {
    run(0..24, 1);
}

#[test]
fn two_shards_agree_with_the_reference_speaker() {
    run(100..112, 2);
}

#[test]
fn four_shards_agree_with_the_reference_speaker() {
    run(200..208, 4);
}
