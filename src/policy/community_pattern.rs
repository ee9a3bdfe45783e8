//! Communities with wildcards: `64512:100`, `no-export`, `64512:*`, `64512:1:*`.

use std::fmt;
use std::str::FromStr;

use bgp_codec::{Community, LargeCommunity};

use super::masked::{Masked, Widths};

/// A pattern over communities (RFC 1997): each half a number or `*`, or a well-known name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct CommunityPattern(Masked);

/// A pattern over large communities (RFC 8092): each of three parts a number or `*`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct LargeCommunityPattern(Masked);

const STANDARD: Widths = &[16, 16];
const LARGE: Widths = &[32, 32, 32];

/// The text is no pattern of that kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CommunityPatternError {
    /// Of a [`CommunityPattern`].
    #[error("expected `ASN:VALUE` (each 0 to 65535 or `*`) or a well-known name such as `no-export`")]
    Standard,
    /// Of a [`LargeCommunityPattern`].
    #[error("expected `GLOBAL:LOCAL:LOCAL` (each 0 to 4294967295 or `*`)")]
    Large,
    /// Of an extended community pattern.
    #[error(
        "expected `rt:ASN:VALUE` or `soo:ASN:VALUE` (VALUE or both may be `*`), or `0x` and 16 digits or `*`"
    )]
    Extended,
}

impl CommunityPattern {
    /// Whether the community matches.
    #[must_use]
    pub fn matches(self, community: Community) -> bool {
        self.0.matches(standard(community))
    }
}

fn standard(community: Community) -> u128 {
    let (asn, value) = community.parts();
    u128::from(asn) << 16 | u128::from(value)
}

impl From<Community> for CommunityPattern {
    fn from(community: Community) -> Self {
        Self(Masked::new(standard(community), u32::MAX.into()))
    }
}

impl FromStr for CommunityPattern {
    type Err = CommunityPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<Community>() {
            Ok(community) => Ok(community.into()),
            Err(_) => Masked::fields(text, STANDARD)
                .map(Self)
                .ok_or(CommunityPatternError::Standard),
        }
    }
}

impl fmt::Display for CommunityPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u32::try_from(self.0.bits()) {
            Ok(bits) if self.0.is_exact(STANDARD) => write!(f, "{}", Community(bits)),
            _ => self.0.write(STANDARD, f),
        }
    }
}

impl LargeCommunityPattern {
    /// Whether the community matches.
    #[must_use]
    pub fn matches(self, community: LargeCommunity) -> bool {
        self.0.matches(large(community))
    }
}

fn large(community: LargeCommunity) -> u128 {
    let parts = [community.global, community.local1, community.local2];
    parts
        .into_iter()
        .fold(0, |bits, part| bits << 32 | u128::from(part))
}

impl From<LargeCommunity> for LargeCommunityPattern {
    fn from(community: LargeCommunity) -> Self {
        Self(Masked::new(large(community), (1 << 96) - 1))
    }
}

impl FromStr for LargeCommunityPattern {
    type Err = CommunityPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Masked::fields(text, LARGE)
            .map(Self)
            .ok_or(CommunityPatternError::Large)
    }
}

impl fmt::Display for LargeCommunityPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(LARGE, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_one_half() {
        check("64512:*", &["64512:1", "64512:65535"], &["64513:1"]);
        check("*:666", &["1:666", "65535:666"], &["1:667"]);
        check("*:*", &["0:0", "no-export"], &[]);
    }

    #[test]
    fn without_wildcard_it_is_exact() {
        check("64512:100", &["64512:100"], &["64512:101", "100:64512"]);
        check("no-export", &["65535:65281"], &["65535:65282"]);
    }

    #[test]
    fn large_communities_match_part_by_part() {
        let pattern: LargeCommunityPattern = "64512:1:*".parse().unwrap();
        assert!(pattern.matches(LargeCommunity {
            global: 64_512,
            local1: 1,
            local2: 9
        }));
        assert!(!pattern.matches(LargeCommunity {
            global: 64_512,
            local1: 2,
            local2: 9
        }));
        assert_eq!(pattern.to_string(), "64512:1:*");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "1",
            "1:",
            "65536:1",
            "a:*",
            "1:*:*",
            "**:1",
            "no-exprot",
            "+1:*",
        ] {
            assert!(text.parse::<CommunityPattern>().is_err(), "{text}");
        }
        for text in ["", "1:2", "1:2:3:4", "4294967296:*:*", "*"] {
            assert!(text.parse::<LargeCommunityPattern>().is_err(), "{text}");
        }
    }

    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let compiled: CommunityPattern = pattern.parse().unwrap();
        assert_eq!(compiled.to_string(), pattern);
        for text in matching {
            assert!(
                compiled.matches(text.parse().unwrap()),
                "{pattern} should match {text}"
            );
        }
        for text in others {
            assert!(
                !compiled.matches(text.parse().unwrap()),
                "{pattern} should not match {text}"
            );
        }
    }
}
