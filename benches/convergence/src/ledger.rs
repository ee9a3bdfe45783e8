//! What one receiver holds, against what it should hold.

use std::time::Instant;

use crate::path::{ABSENT, Memo, Rule};
use crate::random::mix;
use crate::table::Prefix;

/// What every receiver should hold in the end: a path for each prefix, by the prefix's index.
pub struct Expected {
    index: Index,
    pub paths: Vec<u32>,
    pub rule: Rule,
    pub memo: Memo,
}

impl Expected {
    /// No prefix is expected yet; see [`Expected::paths`].
    pub fn new(prefixes: &[Prefix], rule: Rule) -> Self {
        Self {
            index: Index::new(prefixes),
            paths: vec![ABSENT; prefixes.len()],
            rule,
            memo: Memo::new(),
        }
    }
}

/// From prefix to index: open addressing, one word a slot.
struct Index {
    keys: Vec<u64>,
    slots: Vec<u64>,
}

const EMPTY: u64 = u64::MAX;
const INDEX_BITS: u32 = 24;

impl Index {
    fn new(prefixes: &[Prefix]) -> Self {
        assert!(
            prefixes.len() < 1 << INDEX_BITS,
            "a slot holds 40 bits of prefix and 24 of index"
        );
        let mut index = Self {
            keys: prefixes.iter().map(|prefix| prefix.0).collect(),
            slots: vec![EMPTY; (prefixes.len() * 2).next_power_of_two()],
        };
        for (place, prefix) in prefixes.iter().enumerate() {
            let mut at = index.home(prefix.0);
            while index.slots[at] != EMPTY {
                at = (at + 1) % index.slots.len();
            }
            index.slots[at] = prefix.0 << INDEX_BITS | place as u64;
        }
        index
    }

    fn home(&self, key: u64) -> usize {
        mix(key, 11) as usize & (self.slots.len() - 1)
    }

    /// Speakers tend to keep the order they were told: `guess` is looked at first.
    #[inline]
    fn find(&self, key: u64, guess: usize) -> Option<usize> {
        if self.keys.get(guess) == Some(&key) {
            return Some(guess);
        }
        let mut at = self.home(key);
        while self.slots[at] != EMPTY {
            if self.slots[at] >> INDEX_BITS == key {
                return Some((self.slots[at] & ((1 << INDEX_BITS) - 1)) as usize);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
        None
    }
}

/// Some of the prefixes, a bit each.
struct Set(Vec<u64>);

impl Set {
    fn of(places: &[usize]) -> Self {
        let mut words = vec![0; places.iter().max().map_or(0, |last| last / 64 + 1)];
        for place in places {
            words[place / 64] |= 1 << (place % 64);
        }
        Self(words)
    }

    #[inline]
    fn contains(&self, place: usize) -> bool {
        self.0
            .get(place / 64)
            .is_some_and(|word| word >> (place % 64) & 1 == 1)
    }
}

/// What one receiver holds.
pub struct Ledger {
    /// What it holds; empty where only a sum is kept, see [`Ledger::sum_only`].
    held: Vec<u32>,
    /// Prefixes that it should not be told: its own, and those that a filter keeps from it. Telling it is counted.
    own: Set,
    /// How many prefixes are as expected, those not expected and not held left out.
    correct: usize,
    /// Prefixes held that are not expected at all.
    ghosts: usize,
    wanted: usize,
    guess: usize,
    pub add_path: bool,
    /// Of the announcements so far, and of those there should be.
    sum: u64,
    wanted_sum: Option<u64>,
    pub updates: u64,
    pub octets: u64,
    pub announced: u64,
    pub withdrawn: u64,
    pub echoes: u64,
    pub unknown: u64,
    pub ends_of_rib: u64,
    pub malformed: u64,
    /// When it was last told something that made it complete.
    pub complete_at: Option<Instant>,
    /// The index of a prefix to look out for, and when it last changed.
    pub watch: usize,
    pub watch_at: Option<Instant>,
}

impl Ledger {
    /// An empty one for somebody who should not be told of the `own` prefixes.
    pub fn new(expected: &Expected, own: &[usize]) -> Self {
        let mut ledger = Self {
            held: vec![ABSENT; expected.paths.len()],
            own: Set::of(own),
            correct: 0,
            ghosts: 0,
            wanted: 0,
            guess: 0,
            add_path: false,
            sum: 0,
            wanted_sum: None,
            updates: 0,
            octets: 0,
            announced: 0,
            withdrawn: 0,
            echoes: 0,
            unknown: 0,
            ends_of_rib: 0,
            malformed: 0,
            complete_at: None,
            watch: usize::MAX,
            watch_at: None,
        };
        // Touched in advance: page faults are not to fall into the measurement.
        ledger
            .held
            .iter_mut()
            .for_each(|held| *held = std::hint::black_box(ABSENT));
        ledger.recount(expected);
        ledger
    }

    /// One that keeps no table, only a sum over what it is announced: for a thousand receivers of a million prefixes. It is
    /// complete when it has been told each prefix once and nothing else.
    pub fn sum_only(expected: &Expected) -> Self {
        let keyed = expected.index.keys.iter().zip(&expected.paths);
        let sum = keyed.fold(0, |sum: u64, (key, path)| {
            sum.wrapping_add(mix(*key, u64::from(*path)))
        });
        let empty = Expected::new(&[], expected.rule.clone());
        Self {
            wanted: expected.paths.len(),
            wanted_sum: Some(sum),
            ..Self::new(&empty, &[])
        }
    }

    /// Counts afresh, after what is expected has changed.
    pub fn recount(&mut self, expected: &Expected) {
        (self.correct, self.ghosts, self.wanted) = (0, 0, 0);
        for (place, (held, wanted)) in self.held.iter().zip(&expected.paths).enumerate() {
            if self.own.contains(place) {
                continue;
            }
            self.wanted += usize::from(*wanted != ABSENT);
            self.correct += usize::from(*wanted != ABSENT && held == wanted);
            self.ghosts += usize::from(*wanted == ABSENT && *held != ABSENT);
        }
    }

    /// Forgets all routes, as a session's end does; the counters go on.
    pub fn forget(&mut self, expected: &Expected) {
        self.held.fill(ABSENT);
        self.complete_at = None;
        self.recount(expected);
    }

    /// Other prefixes are its own from here on; [`Ledger::recount`] follows.
    pub fn set_own(&mut self, own: &[usize]) {
        self.own = Set::of(own);
    }

    fn uncount(&mut self, held: u32, wanted: u32) {
        self.correct -= usize::from(wanted != ABSENT && held == wanted);
        self.ghosts -= usize::from(wanted == ABSENT && held != ABSENT);
    }

    fn count(&mut self, held: u32, wanted: u32) {
        self.correct += usize::from(wanted != ABSENT && held == wanted);
        self.ghosts += usize::from(wanted == ABSENT && held != ABSENT);
    }

    pub fn complete(&self) -> bool {
        if let Some(wanted_sum) = self.wanted_sum {
            return self.announced == self.wanted as u64 && self.sum == wanted_sum;
        }
        self.correct == self.wanted && self.ghosts == 0
    }

    /// Wanted prefixes that are not there, those with another path than they should have, and those that should not be.
    pub fn faults(&self, expected: &Expected) -> (usize, usize, usize) {
        if self.wanted_sum.is_some() {
            let missing = self.wanted.saturating_sub(self.announced as usize);
            return (
                missing,
                usize::from(missing == 0 && !self.complete()),
                self.withdrawn as usize,
            );
        }
        let mut missing = 0;
        for (place, (held, wanted)) in self.held.iter().zip(&expected.paths).enumerate() {
            missing += usize::from(*held == ABSENT && *wanted != ABSENT && !self.own.contains(place));
        }
        (missing, self.wanted - self.correct - missing, self.ghosts)
    }

    pub fn held(&self, place: usize) -> u32 {
        self.held[place]
    }

    /// Takes the body of an UPDATE over.
    pub fn update(&mut self, body: &[u8], expected: &mut Expected, now: Instant) {
        self.updates += 1;
        self.octets += body.len() as u64 + 19;
        let Some((withdrawn, block, nlri)) = sections(body) else {
            self.malformed += 1;
            return;
        };
        if withdrawn.is_empty() && nlri.is_empty() {
            self.ends_of_rib += u64::from(block.is_empty());
            return;
        }
        let was_complete = self.complete();
        let mut rest = withdrawn;
        while let Some(key) = self.next_prefix(&mut rest) {
            self.withdrawn += 1;
            self.set(key, ABSENT, expected, now);
        }
        if !nlri.is_empty() {
            let path = expected.memo.path(&expected.rule, block);
            let mut rest = nlri;
            while let Some(key) = self.next_prefix(&mut rest) {
                self.announced += 1;
                self.set(key, path, expected, now);
            }
        }
        if !was_complete && self.complete() {
            self.complete_at = Some(now);
        }
    }

    #[inline]
    fn next_prefix(&mut self, rest: &mut &[u8]) -> Option<u64> {
        if rest.is_empty() {
            return None;
        }
        if self.add_path {
            *rest = rest.get(4..).unwrap_or_default();
        }
        let parsed = prefix(rest);
        if parsed.is_none() {
            self.malformed += 1;
        }
        let (key, tail) = parsed?;
        *rest = tail;
        Some(key)
    }

    #[inline]
    fn set(&mut self, key: u64, path: u32, expected: &Expected, now: Instant) {
        if self.wanted_sum.is_some() {
            self.sum = self.sum.wrapping_add(mix(key, u64::from(path)));
            return;
        }
        let Some(place) = expected.index.find(key, self.guess) else {
            self.unknown += 1;
            return;
        };
        self.guess = place + 1;
        if self.own.contains(place) {
            self.echoes += u64::from(path != ABSENT);
            return;
        }
        let wanted = expected.paths[place];
        let held = std::mem::replace(&mut self.held[place], path);
        self.uncount(held, wanted);
        self.count(path, wanted);
        if place == self.watch {
            self.watch_at = Some(now);
        }
    }
}

/// Withdrawn routes, attributes and NLRI.
fn sections(body: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (len, rest) = body.split_first_chunk::<2>()?;
    let (withdrawn, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    let (len, rest) = rest.split_first_chunk::<2>()?;
    let (block, nlri) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    Some((withdrawn, block, nlri))
}

#[inline]
fn prefix(rest: &[u8]) -> Option<(u64, &[u8])> {
    let (key, used) = match rest {
        [24, a, b, c, ..] => (u64::from(u32::from_be_bytes([*a, *b, *c, 0])) << 8 | 24, 4),
        [len @ 0..=32, tail @ ..] => {
            let octets = usize::from(*len).div_ceil(8);
            let mut address = [0; 4];
            address[..octets].copy_from_slice(tail.get(..octets)?);
            (
                u64::from(u32::from_be_bytes(address)) << 8 | u64::from(*len),
                1 + octets,
            )
        }
        _ => return None,
    };
    Some((key, &rest[used..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> Expected {
        let prefixes = [Prefix::new(0x0100_0000, 24), Prefix::new(0x0200_0000, 16)];
        let mut expected = Expected::new(
            &prefixes,
            Rule {
                external: None,
                prepend: None,
            },
        );
        expected.paths = vec![expected.rule.path(&[0x40, 1, 1, 0]); 2];
        expected
    }

    #[test]
    fn complete_when_every_path_is_right() {
        let (mut expected, now) = (expected(), Instant::now());
        let mut ledger = Ledger::new(&expected, &[]);
        ledger.update(&[0, 0, 0, 4, 0x40, 1, 1, 0, 24, 1, 0, 0], &mut expected, now);
        assert!(!ledger.complete());
        assert_eq!(ledger.faults(&expected), (1, 0, 0));
        ledger.update(&[0, 0, 0, 4, 0x40, 1, 1, 2, 16, 2, 0], &mut expected, now);
        assert_eq!(ledger.faults(&expected), (0, 1, 0));
        ledger.update(&[0, 0, 0, 4, 0x40, 1, 1, 0, 16, 2, 0], &mut expected, now);
        assert_eq!(ledger.complete_at, Some(now));
        ledger.update(&[0, 3, 16, 2, 0, 0, 0], &mut expected, now);
        assert!(!ledger.complete());
    }

    #[test]
    fn a_changed_expectation_is_counted() {
        let (mut expected, now) = (expected(), Instant::now());
        let mut ledger = Ledger::new(&expected, &[1]);
        ledger.update(&[0, 0, 0, 4, 0x40, 1, 1, 0, 24, 1, 0, 0], &mut expected, now);
        assert!(ledger.complete());
        expected.paths[0] = ABSENT;
        ledger.recount(&expected);
        assert_eq!(ledger.faults(&expected), (0, 0, 1));
        ledger.update(&[0, 4, 24, 1, 0, 0, 0, 0], &mut expected, now);
        assert!(ledger.complete());
    }

    #[test]
    fn an_echo_and_a_stranger_are_counted_apart() {
        let (mut expected, now) = (expected(), Instant::now());
        let mut ledger = Ledger::new(&expected, &[0]);
        ledger.update(
            &[0, 0, 0, 4, 0x40, 1, 1, 0, 24, 1, 0, 0, 8, 9],
            &mut expected,
            now,
        );
        assert_eq!((ledger.echoes, ledger.unknown), (1, 1));
    }
}
