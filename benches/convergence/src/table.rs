//! The table that senders announce: prefixes in groups that share their attributes, as a real full table has them.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::ops::Range;

use bgp_codec::{Aggregator, AsPathBuf, Asn, Community, LargeCommunity, Origin, PathAttributes};
use ipnet::Ipv4Net;

use crate::random::Random;

/// An IPv4 prefix, packed: the address, then eight bits of length.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Prefix(pub u64);

impl Prefix {
    pub fn new(address: u32, len: u8) -> Self {
        let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
        Self(u64::from(address & mask) << 8 | u64::from(len))
    }

    pub fn net(self) -> Ipv4Net {
        Ipv4Net::new(Ipv4Addr::from((self.0 >> 8) as u32), self.0 as u8).expect("made with a valid length")
    }
}

/// What happens to a group's path on its way, before the sender's neighbour takes it over.
#[derive(Clone, Debug)]
enum Attributes {
    /// Made up: who originates the group, and a seed for the rest.
    Generated { origin: Asn, seed: u64 },
    /// From a dump.
    Recorded(PathAttributes),
}

/// Prefixes and their grouping. The index of a prefix is its place in the senders' order.
pub struct Table {
    pub prefixes: Vec<Prefix>,
    pub groups: Vec<Range<usize>>,
    attributes: Vec<Attributes>,
}

/// How many of 1,000 prefixes of the IPv4 table have which length.
const LENGTHS: [(u8, u32); 14] = [
    (24, 600),
    (23, 100),
    (22, 112),
    (21, 52),
    (20, 44),
    (19, 28),
    (18, 16),
    (17, 10),
    (16, 16),
    (15, 5),
    (14, 5),
    (13, 4),
    (12, 3),
    (11, 5),
];

/// First octets that hold no routes or the laboratory's own addresses.
const AVOIDED: [u32; 6] = [0, 10, 127, 169, 172, 192];

impl Table {
    /// `prefixes` prefixes in `sets` groups whose sizes are as uneven as in the Internet's table.
    pub fn generate(prefixes: usize, sets: usize) -> Self {
        let mut random = Random::new(42);
        let mut sizes = vec![1_usize; sets];
        for _ in sets..prefixes {
            // A product of three uniform numbers: the largest groups have hundreds of prefixes, the median two or three.
            let (a, b, c) = (
                random.below(1 << 20),
                random.below(1 << 20),
                random.below(1 << 20),
            );
            let place = (u64::from(a) * u64::from(b) >> 20) * u64::from(c) >> 20;
            sizes[(place * sets as u64 >> 20) as usize] += 1;
        }
        for index in (1..sets).rev() {
            sizes.swap(index, random.below(index as u32 + 1) as usize);
        }
        let mut table = Self {
            prefixes: Vec::with_capacity(prefixes),
            groups: Vec::new(),
            attributes: Vec::new(),
        };
        let mut taken = HashSet::with_capacity(prefixes);
        for size in sizes {
            let start = table.prefixes.len();
            let mut last = None;
            for _ in 0..size {
                let prefix = fresh_prefix(&mut random, last, &mut taken);
                last = Some(prefix);
                table.prefixes.push(prefix);
            }
            let origin = Asn(1_000 + random.skewed(75_000));
            table.push_group(
                start,
                Attributes::Generated {
                    origin,
                    seed: random.next(),
                },
            );
        }
        table
    }

    /// A table of recorded routes: groups of prefixes with what they share.
    pub fn recorded(groups: impl IntoIterator<Item = (PathAttributes, Vec<Prefix>)>) -> Self {
        let mut table = Self {
            prefixes: Vec::new(),
            groups: Vec::new(),
            attributes: Vec::new(),
        };
        for (attributes, prefixes) in groups {
            let start = table.prefixes.len();
            table.prefixes.extend(prefixes);
            table.push_group(start, Attributes::Recorded(attributes));
        }
        table
    }

    fn push_group(&mut self, start: usize, attributes: Attributes) {
        self.groups.push(start..self.prefixes.len());
        self.attributes.push(attributes);
    }

    /// Only the first prefixes, at most `count`.
    pub fn truncate(&mut self, count: usize) {
        self.prefixes.truncate(count);
        let len = self.prefixes.len();
        self.groups.retain(|group| group.start < len);
        self.attributes.truncate(self.groups.len());
        if let Some(last) = self.groups.last_mut() {
            last.end = last.end.min(len);
        }
    }

    /// The attributes of each group as a sender has them. External senders differ in their AS, which comes first, and in
    /// the way from there to the origin; internal ones only in what `feed` changes.
    pub fn feed(&self, feed: u64, sender: Option<Asn>) -> Vec<PathAttributes> {
        self.attributes
            .iter()
            .map(|attributes| attributes.seen_by(feed, sender))
            .collect()
    }
}

impl Attributes {
    fn seen_by(&self, feed: u64, sender: Option<Asn>) -> PathAttributes {
        let mut seen = match self {
            Self::Generated { origin, seed } => generated(*origin, &mut Random::new(seed ^ feed << 32)),
            Self::Recorded(attributes) => PathAttributes {
                next_hop: None,
                local_pref: None,
                ..attributes.clone()
            },
        };
        match sender {
            Some(asn) => seen.as_path.prepend(asn, 1),
            None => seen.local_pref = Some(100),
        }
        if let (Self::Recorded(attributes), Some(asn)) = (self, sender) {
            // Recorded paths are the same for all; prepending makes the senders differ.
            let len = attributes.as_path.asns().count() as u64;
            seen.as_path.prepend(asn, ((len + feed) % 3) as usize);
        }
        seen
    }
}

fn fresh_prefix(random: &mut Random, last: Option<Prefix>, taken: &mut HashSet<Prefix>) -> Prefix {
    if let Some(Prefix(last)) = last
        && random.chance(60)
    {
        // Neighbours in the address space are often announced together.
        let (address, len) = ((last >> 8) as u32, last as u8);
        let next = Prefix::new(address.wrapping_add(1 << (32 - u32::from(len))), len);
        if usable(next) && taken.insert(next) {
            return next;
        }
    }
    loop {
        let mut place = random.below(1_000);
        let len = LENGTHS.iter().find(|(_, share)| match place.checked_sub(*share) {
            Some(rest) => {
                place = rest;
                false
            }
            None => true,
        });
        let prefix = Prefix::new(random.next() as u32, len.map_or(24, |(len, _)| *len));
        if usable(prefix) && taken.insert(prefix) {
            return prefix;
        }
    }
}

fn usable(Prefix(packed): Prefix) -> bool {
    let first = (packed >> 32) as u32;
    first < 224 && !AVOIDED.contains(&first)
}

/// Path, communities and the rest with the frequencies of a route collector's table.
fn generated(origin: Asn, random: &mut Random) -> PathAttributes {
    let transit = [
        174, 1299, 2914, 3257, 3320, 3356, 3491, 5511, 6453, 6461, 6762, 6939, 7018, 9002, 12956,
    ];
    let mut path = vec![Asn(random.pick(&transit))];
    for _ in 0..random.pick(&[0, 0, 1, 1, 1, 1, 2, 2, 3]) {
        path.push(Asn(1_000 + random.skewed(4_000) * 13));
    }
    let origin_times = if random.chance(12) { 2 + random.below(4) } else { 1 };
    path.extend((0..origin_times).map(|_| origin));
    let mut attributes = PathAttributes {
        as_path: AsPathBuf::from_sequence(path.iter().copied()),
        ..PathAttributes::default()
    };
    attributes.origin = if random.chance(85) {
        Origin::Igp
    } else {
        Origin::Incomplete
    };
    attributes.med = random.chance(20).then(|| random.below(500));
    if random.chance(72) {
        let owner = path[0].0 << 16;
        let count = 1 + random.skewed(14);
        attributes.communities = (0..count)
            .map(|_| Community(owner | random.skewed(4_000)))
            .collect();
        attributes.communities.sort_unstable();
        attributes.communities.dedup();
    }
    if random.chance(12) {
        let mine = |local2| LargeCommunity {
            global: origin.0,
            local1: 1,
            local2,
        };
        attributes.large_communities = (0..1 + random.below(3)).map(mine).collect();
    }
    if random.chance(8) {
        attributes.aggregator = Some(Aggregator {
            asn: origin,
            address: (random.next() as u32 | 1 << 24).into(),
        });
        attributes.atomic_aggregate = random.chance(40);
    }
    attributes
}
