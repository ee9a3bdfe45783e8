//! Sets of prefixes with length ranges, built for thousands of entries.
//!
//! A lookup costs one hash probe for each distinct base length among the entries that begin as the prefix
//! does (a list of ten thousand /24s: one probe), never a walk over the entries.

use std::fmt;
use std::hash::{BuildHasher as _, Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use ipnet::IpNet;
use smallvec::SmallVec;

use crate::route::Prefix;

/// Prefixes inside a base whose length lies in a range: `10.0.0.0/8 ge 16 le 24`.
///
/// Without `ge` and `le` it is the base alone; `ge` alone reaches down to host routes; `le` alone starts at the base.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PrefixPattern {
    /// Contains every prefix that matches; no host bits set.
    pub base: Prefix,
    /// Shortest length that matches.
    pub min_len: u8,
    /// Longest length that matches.
    pub max_len: u8,
}

/// Why a text is not a [`PrefixPattern`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PrefixPatternError {
    /// The base does not parse.
    #[error("`{0}` is not a prefix")]
    NotAPrefix(String),
    /// Address bits beyond the length are set.
    #[error("`{given}` has host bits set; the prefix is {network}")]
    HostBits {
        /// As written.
        given: IpNet,
        /// With the host bits cleared.
        network: IpNet,
    },
    /// A word that is neither `ge` nor `le`, or one of them twice.
    #[error("`{0}` where `ge N` or `le N` is expected")]
    UnexpectedWord(String),
    /// The number after `ge` or `le` is missing or impossible for the family.
    #[error("`{word}` needs a length from {min} to {max}")]
    Length {
        /// `ge` or `le`.
        word: &'static str,
        /// Smallest value that makes sense.
        min: u8,
        /// Largest value that makes sense.
        max: u8,
    },
}

impl PrefixPattern {
    /// The prefix alone.
    #[must_use]
    pub fn exact(prefix: Prefix) -> Self {
        Self {
            base: prefix,
            min_len: prefix.prefix_len(),
            max_len: prefix.prefix_len(),
        }
    }

    /// The prefix and everything inside it.
    #[must_use]
    pub fn or_longer(prefix: Prefix) -> Self {
        Self {
            base: prefix,
            min_len: prefix.prefix_len(),
            max_len: prefix.max_prefix_len(),
        }
    }
}

impl FromStr for PrefixPattern {
    type Err = PrefixPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split_ascii_whitespace();
        let base = parse_network(words.next().unwrap_or_default())?;
        let (mut ge, mut le) = (None, None);
        while let Some(word) = words.next() {
            let (name, slot) = match word {
                "ge" if ge.is_none() => ("ge", &mut ge),
                "le" if le.is_none() => ("le", &mut le),
                other => return Err(PrefixPatternError::UnexpectedWord(other.to_owned())),
            };
            let (min, max) = (base.prefix_len(), base.max_prefix_len());
            let length = words.next().and_then(|number| number.parse::<u8>().ok());
            *slot = Some(
                length
                    .filter(|length| (min..=max).contains(length))
                    .ok_or(PrefixPatternError::Length { word: name, min, max })?,
            );
        }
        let (min_len, max_len) = match (ge, le) {
            (None, None) => (base.prefix_len(), base.prefix_len()),
            (Some(ge), None) => (ge, base.max_prefix_len()),
            (None, Some(le)) => (base.prefix_len(), le),
            (Some(ge), Some(le)) if ge <= le => (ge, le),
            (Some(ge), Some(_)) => {
                return Err(PrefixPatternError::Length {
                    word: "le",
                    min: ge,
                    max: base.max_prefix_len(),
                });
            }
        };
        Ok(Self {
            base,
            min_len,
            max_len,
        })
    }
}

impl fmt::Display for PrefixPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.base)?;
        let base_len = self.base.prefix_len();
        if self.min_len == base_len && self.max_len == base_len {
            return Ok(());
        }
        if self.min_len != base_len || self.max_len == self.base.max_prefix_len() {
            write!(f, " ge {}", self.min_len)?;
        }
        if self.max_len != self.base.max_prefix_len() {
            write!(f, " le {}", self.max_len)?;
        }
        Ok(())
    }
}

/// Reads a prefix and refuses one with host bits set, because it is more often a slip than a wish.
fn parse_network(text: &str) -> Result<IpNet, PrefixPatternError> {
    let given: IpNet = text
        .parse()
        .map_err(|_| PrefixPatternError::NotAPrefix(text.to_owned()))?;
    let network = given.trunc();
    if given == network {
        Ok(network)
    } else {
        Err(PrefixPatternError::HostBits { given, network })
    }
}

/// Length ranges that share one base.
type LengthRanges = SmallVec<[(u8, u8); 1]>;

/// A set of [`PrefixPattern`]s; equal when the patterns are, in whatever order they were written. Cheap to clone.
#[derive(Clone)]
pub struct PrefixSet(Arc<Inner>);

struct Inner {
    /// Sorted, without duplicates: what equality and display use.
    patterns: Vec<PrefixPattern>,
    /// Of the patterns: hashing a group's key must not cost what walking them does.
    hash: u64,
    v4: Index<u32>,
    v6: Index<u128>,
}

impl PrefixSet {
    /// Builds the lookup.
    #[must_use]
    pub fn new(mut patterns: Vec<PrefixPattern>) -> Self {
        patterns.sort_unstable();
        patterns.dedup();
        let ipv4 = patterns
            .iter()
            .filter(|pattern| pattern.base.addr().is_ipv4())
            .count();
        let (mut v4, mut v6) = (Index::new(ipv4), Index::new(patterns.len() - ipv4));
        for pattern in &patterns {
            let range = (pattern.min_len, pattern.max_len);
            match pattern.base {
                IpNet::V4(base) => v4.insert(u32::from(base.addr()), base.prefix_len(), range),
                IpNet::V6(base) => v6.insert(u128::from(base.addr()), base.prefix_len(), range),
            }
        }
        let hash = FixedState::default().hash_one(&patterns);
        Self(Arc::new(Inner {
            patterns,
            hash,
            v4,
            v6,
        }))
    }

    /// Whether any pattern covers the prefix.
    #[must_use]
    pub fn matches(&self, prefix: &Prefix) -> bool {
        match prefix {
            IpNet::V4(prefix) => self.0.v4.matches(u32::from(prefix.addr()), prefix.prefix_len()),
            IpNet::V6(prefix) => self.0.v6.matches(u128::from(prefix.addr()), prefix.prefix_len()),
        }
    }

    /// The patterns, sorted.
    #[must_use]
    pub fn patterns(&self) -> &[PrefixPattern] {
        &self.0.patterns
    }
}

impl fmt::Debug for PrefixSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PrefixSet").field(&self.0.patterns).finish()
    }
}

impl PartialEq for PrefixSet {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.hash == other.0.hash && self.0.patterns == other.0.patterns)
    }
}

impl Eq for PrefixSet {}

impl Hash for PrefixSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

/// The patterns of one family, found by base.
struct Index<A> {
    /// The entries are the operator's own and lookups insert nothing, so a fixed seed invites no flooding.
    bases: HashMap<(A, u8), LengthRanges, FixedState>,
    /// For each beginning of an address, the base lengths under which something may be found, as bits: [`Bits::WORDS`]
    /// words a cell.
    lens: Vec<u64>,
    /// How many bits of an address choose the cell.
    cell_bits: u32,
}

/// From so many entries on a set has cells for 16 bits of an address instead of 8: half a megabyte for IPv4, where a list
/// of ten thousand prefixes of all lengths leaves one or two lengths to look under.
const LARGE: usize = 256;

/// An address as bits.
trait Bits: Copy + Eq + Hash {
    const WIDTH: u8;
    /// Words that hold a bit for each length from 0 to the width.
    const WORDS: usize;
    /// Without the bits beyond this length.
    fn network(self, len: u8) -> Self;
    /// The first bits, at most 16.
    fn first(self, bits: u32) -> usize;
}

impl Bits for u32 {
    const WIDTH: u8 = 32;
    const WORDS: usize = 1;

    fn network(self, len: u8) -> Self {
        self & Self::MAX.checked_shl(Self::from(Self::WIDTH - len)).unwrap_or(0)
    }

    fn first(self, bits: u32) -> usize {
        (self >> (Self::BITS - bits)) as usize
    }
}

impl Bits for u128 {
    const WIDTH: u8 = 128;
    const WORDS: usize = 3;

    fn network(self, len: u8) -> Self {
        self & Self::MAX.checked_shl(u32::from(Self::WIDTH - len)).unwrap_or(0)
    }

    fn first(self, bits: u32) -> usize {
        (self >> (Self::BITS - bits)) as usize
    }
}

impl<A: Bits> Index<A> {
    fn new(entries: usize) -> Self {
        let cell_bits = if entries < LARGE { 8 } else { 16 };
        Self {
            bases: HashMap::with_capacity_and_hasher(entries, FixedState::default()),
            lens: vec![0; if entries == 0 { 0 } else { A::WORDS << cell_bits }],
            cell_bits,
        }
    }

    fn insert(&mut self, base: A, len: u8, range: (u8, u8)) {
        let base = base.network(len);
        self.bases.entry((base, len)).or_default().push(range);
        let first = base.first(self.cell_bits);
        let covered = 1 << self.cell_bits.saturating_sub(len.into());
        for cell in first..first + covered {
            self.lens[cell * A::WORDS + usize::from(len / 64)] |= 1 << (len % 64);
        }
    }

    fn matches(&self, address: A, len: u8) -> bool {
        let cell = address.first(self.cell_bits) * A::WORDS;
        let Some(words) = self.lens.get(cell..=cell + usize::from(len / 64)) else {
            return false;
        };
        // Lengths beyond that of the prefix contain none of it.
        let mut upto = u64::MAX >> (63 - len % 64);
        for (index, word) in words.iter().enumerate().rev() {
            let mut lens = word & upto;
            upto = u64::MAX;
            while lens != 0 {
                let base_len = (index as u32 * 64 + lens.trailing_zeros()) as u8;
                lens &= lens - 1;
                let ranges = self.bases.get(&(address.network(base_len), base_len));
                if ranges.is_some_and(|ranges| ranges.iter().any(|(min, max)| (*min..=*max).contains(&len))) {
                    return true;
                }
            }
        }
        false
    }
}

impl FromIterator<PrefixPattern> for PrefixSet {
    fn from_iter<I: IntoIterator<Item = PrefixPattern>>(patterns: I) -> Self {
        Self::new(patterns.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_without_words_is_the_prefix_alone() {
        check(
            "10.0.0.0/8",
            &["10.0.0.0/8"],
            &["10.0.0.0/9", "0.0.0.0/0", "11.0.0.0/8"],
        );
    }

    #[test]
    fn ge_alone_reaches_host_routes() {
        check(
            "10.0.0.0/8 ge 16",
            &["10.1.0.0/16", "10.1.2.3/32"],
            &["10.0.0.0/8", "10.0.0.0/15", "11.1.0.0/16"],
        );
    }

    #[test]
    fn le_alone_starts_at_the_base() {
        check(
            "10.0.0.0/8 le 16",
            &["10.0.0.0/8", "10.1.0.0/16"],
            &["10.1.0.0/17", "8.0.0.0/7"],
        );
    }

    #[test]
    fn both_bounds_are_inclusive() {
        check(
            "fd00::/8 ge 48 le 64",
            &["fd00:10::/48", "fdff::/64"],
            &["fd00::/47", "fd00::/65", "fe00::/48"],
        );
    }

    #[test]
    fn default_route_pattern_covers_one_family_only() {
        check(
            "0.0.0.0/0 le 32",
            &["0.0.0.0/0", "192.0.2.1/32"],
            &["::/0", "2001:db8::/32"],
        );
    }

    #[test]
    fn one_base_may_have_several_ranges() {
        let set = set(&["10.0.0.0/8 ge 24 le 24", "10.0.0.0/8 ge 32"]);
        assert!(set.matches(&prefix("10.1.1.0/24")));
        assert!(set.matches(&prefix("10.1.1.1/32")));
        assert!(!set.matches(&prefix("10.1.1.0/28")));
    }

    #[test]
    fn agrees_with_a_walk_over_the_entries() {
        let patterns: Vec<PrefixPattern> = (0_u32..2_000)
            .map(|n| {
                let len = 8 + (n % 17) as u8;
                let base = IpNet::new(
                    std::net::Ipv4Addr::from(n.wrapping_mul(2_654_435_761)).into(),
                    len,
                )
                .unwrap();
                PrefixPattern {
                    base: base.trunc(),
                    min_len: len + (n % 3) as u8,
                    max_len: 24 + (n % 9) as u8,
                }
            })
            .collect();
        let set = PrefixSet::new(patterns.clone());
        for n in 0_u32..4_000 {
            let len = (n % 33) as u8;
            let address = std::net::Ipv4Addr::from((n / 2).wrapping_mul(2_654_435_761));
            let prefix = IpNet::new(address.into(), len).unwrap().trunc();
            let walked = patterns
                .iter()
                .any(|p| p.base.contains(&prefix) && (p.min_len..=p.max_len).contains(&prefix.prefix_len()));
            assert_eq!(set.matches(&prefix), walked, "{prefix}");
        }
    }

    #[test]
    fn agrees_with_a_walk_in_ipv6_too_in_small_sets_and_large() {
        for count in [3_u32, 40, 600] {
            let spread = |n: u32| {
                u128::from(n.wrapping_mul(2_654_435_761)) << 96 | u128::from(n) << 64 | u128::from(n % 7)
            };
            let patterns: Vec<PrefixPattern> = (0..count)
                .map(|n| {
                    let len = [0, 1, 7, 32, 48, 63, 64, 65, 127, 128][n as usize % 10].max(if n < 2 {
                        64
                    } else {
                        1
                    });
                    let base = IpNet::new(std::net::Ipv6Addr::from(spread(n)).into(), len).unwrap();
                    PrefixPattern {
                        base: base.trunc(),
                        min_len: len,
                        max_len: len.saturating_add((n % 3) as u8).min(128),
                    }
                })
                .filter(|pattern| pattern.base.prefix_len() > 7 || count > 40)
                .collect();
            let set = PrefixSet::new(patterns.clone());
            for n in 0..2 * count {
                for len in [0_u8, 1, 8, 33, 48, 64, 65, 66, 128] {
                    let prefix = IpNet::new(std::net::Ipv6Addr::from(spread(n / 2)).into(), len)
                        .unwrap()
                        .trunc();
                    let walked = patterns.iter().any(|p| {
                        p.base.contains(&prefix) && (p.min_len..=p.max_len).contains(&prefix.prefix_len())
                    });
                    assert_eq!(set.matches(&prefix), walked, "{prefix}");
                }
            }
        }
    }

    #[test]
    fn order_of_entries_does_not_matter_to_equality() {
        assert_eq!(
            set(&["10.0.0.0/8", "11.0.0.0/8"]),
            set(&["11.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8"])
        );
    }

    #[test]
    fn display_is_what_was_written() {
        for text in [
            "10.0.0.0/8",
            "10.0.0.0/8 ge 16",
            "10.0.0.0/8 le 16",
            "10.0.0.0/8 ge 16 le 24",
            "::/0 ge 0",
        ] {
            assert_eq!(text.parse::<PrefixPattern>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn errors_say_what_is_wrong() {
        for (text, message) in [
            ("10.0.0.0", "`10.0.0.0` is not a prefix"),
            ("", "`` is not a prefix"),
            (
                "10.0.0.1/8",
                "`10.0.0.1/8` has host bits set; the prefix is 10.0.0.0/8",
            ),
            ("10.0.0.0/8 gt 9", "`gt` where `ge N` or `le N` is expected"),
            ("10.0.0.0/8 ge 9 ge 10", "`ge` where `ge N` or `le N` is expected"),
            ("10.0.0.0/8 ge", "`ge` needs a length from 8 to 32"),
            ("10.0.0.0/8 le 4", "`le` needs a length from 8 to 32"),
            ("10.0.0.0/8 ge 24 le 16", "`le` needs a length from 24 to 32"),
        ] {
            assert_eq!(
                text.parse::<PrefixPattern>().unwrap_err().to_string(),
                message,
                "{text}"
            );
        }
    }

    fn check(pattern: &str, inside: &[&str], outside: &[&str]) {
        let set = set(&[pattern]);
        for text in inside {
            assert!(set.matches(&prefix(text)), "{pattern} should match {text}");
        }
        for text in outside {
            assert!(!set.matches(&prefix(text)), "{pattern} should not match {text}");
        }
    }

    fn set(patterns: &[&str]) -> PrefixSet {
        patterns
            .iter()
            .map(|text| text.parse::<PrefixPattern>().unwrap())
            .collect()
    }

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }
}
