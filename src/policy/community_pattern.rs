//! Communities with wildcards: `64512:100`, `no-export`, `64512:*`, `64512:1:*`.

use std::fmt;
use std::str::FromStr;

use bgp_codec::{Community, LargeCommunity};

/// A pattern over communities (RFC 1997): each half a number or `*`, or a well-known name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct CommunityPattern {
    asn: Option<u16>,
    value: Option<u16>,
}

/// A pattern over large communities (RFC 8092): each of three parts a number or `*`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct LargeCommunityPattern([Option<u32>; 3]);

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
        let (asn, value) = community.parts();
        self.asn.is_none_or(|wanted| wanted == asn) && self.value.is_none_or(|wanted| wanted == value)
    }
}

impl From<Community> for CommunityPattern {
    fn from(community: Community) -> Self {
        let (asn, value) = community.parts();
        Self {
            asn: Some(asn),
            value: Some(value),
        }
    }
}

impl FromStr for CommunityPattern {
    type Err = CommunityPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(community) = text.parse::<Community>() {
            return Ok(community.into());
        }
        let (asn, value) = text.split_once(':').ok_or(CommunityPatternError::Standard)?;
        let half = |text| wildcard(text).ok_or(CommunityPatternError::Standard);
        Ok(Self {
            asn: half(asn)?,
            value: half(value)?,
        })
    }
}

impl fmt::Display for CommunityPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.asn, self.value) {
            (Some(asn), Some(value)) => write!(f, "{}", Community::new(asn, value)),
            (Some(asn), None) => write!(f, "{asn}:*"),
            (None, Some(value)) => write!(f, "*:{value}"),
            (None, None) => f.write_str("*:*"),
        }
    }
}

impl LargeCommunityPattern {
    /// Whether the community matches.
    #[must_use]
    pub fn matches(self, community: LargeCommunity) -> bool {
        let parts = [community.global, community.local1, community.local2];
        self.0
            .iter()
            .zip(parts)
            .all(|(wanted, part)| wanted.is_none_or(|wanted| wanted == part))
    }
}

impl From<LargeCommunity> for LargeCommunityPattern {
    fn from(community: LargeCommunity) -> Self {
        Self([
            Some(community.global),
            Some(community.local1),
            Some(community.local2),
        ])
    }
}

impl FromStr for LargeCommunityPattern {
    type Err = CommunityPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(':').map(wildcard);
        let mut next = || parts.next().flatten().ok_or(CommunityPatternError::Large);
        let pattern = Self([next()?, next()?, next()?]);
        if parts.next().is_some() {
            Err(CommunityPatternError::Large)
        } else {
            Ok(pattern)
        }
    }
}

impl fmt::Display for LargeCommunityPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(":")?;
            }
            match part {
                Some(number) => write!(f, "{number}")?,
                None => f.write_str("*")?,
            }
        }
        Ok(())
    }
}

/// `Some(None)` for `*`, `Some(Some(n))` for a plain decimal number, `None` for anything else.
#[expect(
    clippy::option_option,
    reason = "the outer says whether it parses, the inner is the wildcard"
)]
fn wildcard<T: FromStr>(text: &str) -> Option<Option<T>> {
    if text == "*" {
        return Some(None);
    }
    text.bytes()
        .all(|octet| octet.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
        .map(Some)
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
