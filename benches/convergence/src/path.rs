//! What a route's attributes must still say when they arrive, as one number.
//!
//! Left out is what a correct speaker may choose or must change: ORIGINATOR_ID and CLUSTER_LIST, the order of
//! communities, a MED of zero or none, and between external peers MED, LOCAL_PREF, and which of two next hops on the shared subnet.

use std::net::Ipv4Addr;

use crate::random::mix;

const NEXT_HOP: u8 = 3;
const MED: u8 = 4;
const LOCAL_PREF: u8 = 5;

/// The number of "no route".
pub const ABSENT: u32 = 0;

/// How paths are compared in one scenario.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Sessions are external: these next hops are all right, and stand for each other.
    pub external: Option<Vec<Ipv4Addr>>,
    /// Paths come without this AS, which the daemon would have put in front; only when there is no daemon.
    pub prepend: Option<u32>,
}

impl Rule {
    /// The number of an attribute block, never [`ABSENT`].
    pub fn path(&self, block: &[u8]) -> u32 {
        let mut hash = 7_u64;
        let mut next_hop = None;
        let mut rest = block;
        while let [flags, code, tail @ ..] = rest {
            let (len, tail) = match (flags & 0x10, tail) {
                (0, [len, tail @ ..]) => (usize::from(*len), tail),
                (_, [high, low, tail @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])), tail),
                _ => break,
            };
            let Some((value, tail)) = tail.split_at_checked(len) else {
                break;
            };
            rest = tail;
            match *code {
                // A sum: attributes may come in any order.
                2 => hash = hash.wrapping_add(self.as_path(value)),
                NEXT_HOP => next_hop = value.try_into().ok().map(u32::from_be_bytes),
                MED | LOCAL_PREF if self.external.is_some() => {}
                // RFC 4271 §9.1.2.2(c): no MED is a MED of zero.
                MED if value == [0; 4] => {}
                1 | MED | LOCAL_PREF | 7 => hash = hash.wrapping_add(sequence(u64::from(*code), value)),
                8 | 16 | 32 => hash = hash.wrapping_add(set(*code, value)),
                _ => {}
            }
        }
        let next_hop = next_hop.unwrap_or(0);
        let known = self
            .external
            .iter()
            .flatten()
            .any(|fine| u32::from(*fine) == next_hop);
        hash = mix(hash, if known { 1 } else { u64::from(next_hop) << 8 });
        (hash as u32).max(ABSENT + 1)
    }

    /// Segments by type and numbers, however they are split.
    fn as_path(&self, mut value: &[u8]) -> u64 {
        let mut hash = 2;
        let mut last = 0;
        if let Some(asn) = self.prepend {
            hash = mix(mix(hash, 2), u64::from(asn));
            last = 2;
        }
        while let [kind, count, tail @ ..] = value {
            let Some((numbers, tail)) = tail.split_at_checked(usize::from(*count) * 4) else {
                break;
            };
            value = tail;
            if *kind != last || *kind != 2 {
                hash = mix(hash, u64::from(*kind));
                last = *kind;
            }
            hash = words(numbers).fold(hash, mix);
        }
        hash
    }
}

fn words(value: &[u8]) -> impl Iterator<Item = u64> + '_ {
    value
        .chunks_exact(4)
        .map(|word| u64::from(u32::from_be_bytes([word[0], word[1], word[2], word[3]])))
}

fn sequence(code: u64, value: &[u8]) -> u64 {
    value
        .iter()
        .fold(code, |hash, octet| mix(hash, u64::from(*octet)))
}

/// Communities in any order.
fn set(code: u8, value: &[u8]) -> u64 {
    let size = match code {
        8 => 4,
        16 => 8,
        _ => 12,
    };
    let items = value
        .chunks_exact(size)
        .map(|item| words(item).fold(u64::from(code), mix));
    items.fold(u64::from(code), u64::wrapping_add)
}

/// Remembers the numbers of blocks seen lately: a hundred receivers get the same ones.
pub struct Memo {
    slots: Vec<(u64, u32)>,
}

const SLOTS: usize = 1 << 15;

impl Memo {
    pub fn new() -> Self {
        Self {
            slots: vec![(0, ABSENT); SLOTS],
        }
    }

    pub fn path(&mut self, rule: &Rule, block: &[u8]) -> u32 {
        let key = raw(block);
        let slot = &mut self.slots[key as usize % SLOTS];
        if slot.0 != key {
            *slot = (key, rule.path(block));
        }
        slot.1
    }
}

fn raw(block: &[u8]) -> u64 {
    let chunks = block.chunks_exact(8);
    let mut last = [0; 8];
    last[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    let hash = chunks.fold(block.len() as u64 | 1 << 40, |hash, chunk| {
        mix(hash, u64::from_le_bytes(chunk.try_into().expect("eight octets")))
    });
    mix(hash, u64::from_le_bytes(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: [u8; 27] = [
        0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xe9, 0x40, 3, 4, 10, 99, 0, 2, 0x80, 4, 4, 0, 0, 0, 9,
    ];

    fn rule(prepend: Option<u32>) -> Rule {
        Rule {
            external: Some(vec![[10, 99, 0, 1].into(), [10, 99, 0, 2].into()]),
            prepend,
        }
    }

    #[test]
    fn external_paths_ignore_med_and_shared_next_hops() {
        let mut other = BLOCK;
        other[19] = 1;
        other[26] = 5;
        assert_eq!(rule(None).path(&BLOCK), rule(None).path(&other));
        other[19] = 7;
        assert_ne!(rule(None).path(&BLOCK), rule(None).path(&other));
    }

    #[test]
    fn internal_paths_keep_all() {
        let internal = Rule {
            external: None,
            prepend: None,
        };
        let mut other = BLOCK;
        other[26] = 5;
        assert_ne!(internal.path(&BLOCK), internal.path(&other));
    }

    #[test]
    fn a_prepended_path_equals_one_that_says_so() {
        let longer = [&BLOCK[..6], &[10, 2, 2, 0, 0, 0xfd, 0xe8], &BLOCK[9..]].concat();
        assert_eq!(rule(Some(65_000)).path(&BLOCK), rule(None).path(&longer));
    }

    #[test]
    fn communities_in_any_order_are_equal() {
        let a = [0xc0, 8, 8, 0, 1, 0, 2, 0, 3, 0, 4];
        let b = [0xc0, 8, 8, 0, 3, 0, 4, 0, 1, 0, 2];
        assert_eq!(rule(None).path(&a), rule(None).path(&b));
    }
}
