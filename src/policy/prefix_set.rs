//! Sets of prefixes with length ranges, built for thousands of entries.
//!
//! A lookup costs one hash probe for each distinct base length in the set (a list of ten thousand /24s: one probe),
//! never a walk over the entries.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

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

/// A set of [`PrefixPattern`]s; equal when the patterns are, in whatever order they were written.
#[derive(Clone, Debug)]
pub struct PrefixSet {
    /// Sorted, without duplicates: what equality, hash and display use.
    patterns: Vec<PrefixPattern>,
    /// Distinct base lengths, ascending, IPv4 then IPv6.
    base_lens: [Vec<u8>; 2],
    index: HashMap<IpNet, LengthRanges, FixedState>,
}

impl PrefixSet {
    /// Builds the lookup.
    #[must_use]
    pub fn new(mut patterns: Vec<PrefixPattern>) -> Self {
        patterns.sort_unstable();
        patterns.dedup();
        let mut base_lens = [Vec::new(), Vec::new()];
        // The entries are the operator's own and lookups insert nothing, so a fixed seed invites no flooding.
        let mut index: HashMap<IpNet, LengthRanges, FixedState> =
            HashMap::with_capacity_and_hasher(patterns.len(), FixedState::default());
        for pattern in &patterns {
            base_lens[family_index(&pattern.base)].push(pattern.base.prefix_len());
            index
                .entry(pattern.base)
                .or_default()
                .push((pattern.min_len, pattern.max_len));
        }
        for lens in &mut base_lens {
            lens.sort_unstable();
            lens.dedup();
        }
        Self {
            patterns,
            base_lens,
            index,
        }
    }

    /// Whether any pattern covers the prefix.
    #[must_use]
    pub fn matches(&self, prefix: &Prefix) -> bool {
        let len = prefix.prefix_len();
        self.base_lens[family_index(prefix)]
            .iter()
            .take_while(|base_len| **base_len <= len)
            .any(|base_len| {
                let Ok(base) = IpNet::new(prefix.addr(), *base_len) else {
                    return false;
                };
                self.index
                    .get(&base.trunc())
                    .is_some_and(|ranges| ranges.iter().any(|(min, max)| (*min..=*max).contains(&len)))
            })
    }

    /// The patterns, sorted.
    #[must_use]
    pub fn patterns(&self) -> &[PrefixPattern] {
        &self.patterns
    }
}

impl PartialEq for PrefixSet {
    fn eq(&self, other: &Self) -> bool {
        self.patterns == other.patterns
    }
}

impl Eq for PrefixSet {}

impl Hash for PrefixSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.patterns.hash(state);
    }
}

impl FromIterator<PrefixPattern> for PrefixSet {
    fn from_iter<I: IntoIterator<Item = PrefixPattern>>(patterns: I) -> Self {
        Self::new(patterns.into_iter().collect())
    }
}

const fn family_index(prefix: &Prefix) -> usize {
    match prefix {
        IpNet::V4(_) => 0,
        IpNet::V6(_) => 1,
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
