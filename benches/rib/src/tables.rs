//! Tables to feed peers with: realistic in the lengths of prefixes and paths, encoded before any clock starts.

use std::net::{IpAddr, Ipv4Addr};

use bgp_codec::{Asn, Community, Family, NextHop, Nlri, PathAttributes, UpdateWriter, WriteContext};
use bytes::Bytes;

use crate::route::Prefix;

/// What a session hands over at once.
const READ_BUFFER: usize = 64 * 1024;

/// A small generator: the seed is the table.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

/// Prefixes in runs that share their attributes.
#[derive(Clone, Debug)]
pub struct Table {
    pub runs: Vec<Vec<Prefix>>,
}

impl Table {
    /// `count` distinct prefixes in about `sets` runs, of the lengths that the Internet's table has, neighbours by and large in
    /// one run, runs in no order.
    #[must_use]
    pub fn new(count: usize, sets: usize) -> Self {
        let mut dice = Dice::new(1);
        let mut next = 0x0100_0000_u32;
        let mut prefixes = Vec::with_capacity(count);
        while prefixes.len() < count {
            let length = match dice.roll(100) {
                0..=59 => 24,
                60..=71 => 22,
                72..=81 => 23,
                82..=87 => 21,
                88..=92 => 20,
                93..=96 => 19,
                _ => 16 + dice.roll(3) as u8,
            };
            // Blocks of 16 /24s, so that the largest does not use the space up.
            let size = 1_u32 << (32 - u32::from(length.max(20)));
            next = next.next_multiple_of(size);
            let address = Ipv4Addr::from_bits(next);
            next += size;
            prefixes.push(Prefix::new(IpAddr::V4(address), length.max(20)).expect("a valid length"));
        }
        let mean = (count / sets.max(1)).max(1) as u64;
        let (mut runs, mut rest) = (Vec::new(), prefixes.as_slice());
        while !rest.is_empty() {
            // Most sets have a prefix or two, a few have hundreds.
            let length = match dice.roll(10) {
                0..=6 => 1 + dice.roll(mean.min(3)),
                7 | 8 => 1 + dice.roll(mean * 3),
                _ => 1 + dice.roll(mean * 10),
            };
            let (run, behind) = rest.split_at((length as usize).min(rest.len()));
            runs.push(run.to_vec());
            rest = behind;
        }
        for at in (1..runs.len()).rev() {
            runs.swap(at, dice.roll(at as u64 + 1) as usize);
        }
        Self { runs }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.runs.iter().map(Vec::len).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The table as one peer sends it, in read buffers of whole messages. `flavour` makes the attributes differ between peers.
    #[must_use]
    pub fn encode(&self, asn: Option<Asn>, next_hop: Ipv4Addr, flavour: u32) -> Vec<Bytes> {
        let context = WriteContext {
            four_octet_asn: true,
            max_message: 4_096,
            add_path: bgp_codec::FamilySet::EMPTY,
        };
        let mut buffers = Vec::new();
        let mut bytes = Vec::with_capacity(READ_BUFFER);
        for (index, run) in self.runs.iter().enumerate() {
            let before = bytes.len();
            let attributes = attributes(asn, index as u32, flavour);
            let nlri = |run: &[Prefix]| run.iter().map(|prefix| Nlri::new(*prefix)).collect::<Vec<_>>();
            UpdateWriter::new(&mut bytes, context)
                .announce(
                    Family::IPV4_UNICAST,
                    &attributes,
                    NextHop::V4(next_hop),
                    nlri(run),
                )
                .expect("it fits");
            if bytes.len() > READ_BUFFER {
                let rest = bytes.split_off(before);
                buffers.push(std::mem::replace(&mut bytes, rest).into());
            }
        }
        buffers.push(bytes.into());
        buffers
    }

    /// The withdrawal of everything.
    #[must_use]
    pub fn withdraw(&self) -> Vec<Bytes> {
        let context = WriteContext {
            four_octet_asn: true,
            max_message: 4_096,
            add_path: bgp_codec::FamilySet::EMPTY,
        };
        self.runs
            .chunks(1_000)
            .map(|runs| {
                let mut bytes = Vec::new();
                let nlri = runs.iter().flatten().map(|prefix| Nlri::new(*prefix));
                UpdateWriter::new(&mut bytes, context)
                    .withdraw(Family::IPV4_UNICAST, nlri.collect::<Vec<_>>())
                    .expect("it fits");
                bytes.into()
            })
            .collect()
    }
}

fn attributes(asn: Option<Asn>, index: u32, flavour: u32) -> PathAttributes {
    let mut dice = Dice::new(u64::from(index) * 64 + u64::from(flavour) + 1);
    let mut attributes = PathAttributes::default();
    // Distinct by construction: the origin of the path is the number of the set.
    attributes.as_path.prepend(Asn(100_000 + index), 1);
    for _ in 0..1 + dice.roll(4) {
        let hop = 1_000 + dice.roll(3_000) as u32;
        attributes.as_path.prepend(Asn(hop), 1);
    }
    match asn {
        Some(asn) => attributes.as_path.prepend(asn, 1),
        None => attributes.local_pref = Some(100),
    }
    attributes.communities = (0..dice.roll(6))
        .map(|_| Community((dice.roll(3_000) as u32) << 16 | dice.roll(1_000) as u32))
        .collect();
    if dice.roll(4) == 0 {
        attributes.med = Some(dice.roll(100) as u32);
    }
    attributes
}
