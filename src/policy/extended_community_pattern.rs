//! Extended communities with wildcards: `rt:64512:100`, `soo:64512:*`, `rt:*`, `0x0002fc00********`.

use std::fmt;
use std::str::FromStr;

use bgp_codec::ExtendedCommunity;

use super::CommunityPatternError;
use super::masked::Masked;

/// A pattern over extended communities (RFC 4360): what they are written as, or any of their sixteen digits.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ExtendedCommunityPattern(Masked);

/// The type's low two bits: 0 to 2 say how the administrator is written (RFC 4360 §3, RFC 5668), not what it means.
const ANY_ADMINISTRATOR: u64 = 0xfcff_0000_0000_0000;
/// Administrator of a two-octet AS; behind it four octets of value.
const TWO_OCTET: u64 = 0xffff_ffff_0000_0000;
/// Administrator of an IPv4 address or a four-octet AS; behind it two octets of value.
const FOUR_OCTETS: u64 = 0xffff_ffff_ffff_0000;

fn bits(community: ExtendedCommunity) -> u128 {
    u64::from_be_bytes(community.0).into()
}

impl ExtendedCommunityPattern {
    /// Whether the community matches.
    #[must_use]
    pub fn matches(self, community: ExtendedCommunity) -> bool {
        self.0.matches(bits(community))
    }
}

impl From<ExtendedCommunity> for ExtendedCommunityPattern {
    fn from(community: ExtendedCommunity) -> Self {
        Self(Masked::new(bits(community), u64::MAX.into()))
    }
}

impl FromStr for ExtendedCommunityPattern {
    type Err = CommunityPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(community) = text.parse::<ExtendedCommunity>() {
            return Ok(community.into());
        }
        let pattern = match text.strip_prefix("0x") {
            Some(digits) => hexadecimal(digits),
            None => named(text),
        };
        pattern.map(Self).ok_or(CommunityPatternError::Extended)
    }
}

/// Sixteen digits, any of them `*`.
fn hexadecimal(digits: &str) -> Option<Masked> {
    if digits.chars().count() != 16 {
        return None;
    }
    let (mut bits, mut mask) = (0, 0);
    for digit in digits.chars() {
        (bits, mask) = (bits << 4, mask << 4);
        if digit != '*' {
            bits |= u128::from(digit.to_digit(16)?);
            mask |= 0xf;
        }
    }
    Some(Masked::new(bits, mask))
}

/// `rt:*`, `rt:64512:*`.
fn named(text: &str) -> Option<Masked> {
    let administrator = text.strip_suffix(":*")?;
    let (name, mask) = match administrator.split_once(':') {
        None => (format!("{administrator}:0:0"), ANY_ADMINISTRATOR),
        Some((name, "*")) => (format!("{name}:0:0"), ANY_ADMINISTRATOR),
        Some(_) => (format!("{administrator}:0"), TWO_OCTET),
    };
    let community = name.parse::<ExtendedCommunity>().ok()?;
    let [kind, ..] = community.0;
    let mask = if mask == TWO_OCTET && kind != 0 {
        FOUR_OCTETS
    } else {
        mask
    };
    Some(Masked::new(bits(community), mask.into()))
}

impl fmt::Display for ExtendedCommunityPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let half = |number: u128| u64::try_from(number).unwrap_or_default();
        let (bits, mask) = (half(self.0.bits()), half(self.0.mask()));
        let exact = ExtendedCommunity(bits.to_be_bytes()).to_string();
        match mask {
            u64::MAX => f.write_str(&exact),
            TWO_OCTET | FOUR_OCTETS if exact.ends_with(":0") => write!(f, "{}*", exact.trim_end_matches('0')),
            ANY_ADMINISTRATOR if exact.ends_with(":0:0") => write!(f, "{}*", exact.trim_end_matches("0:0")),
            mask => {
                f.write_str("0x")?;
                for nibble in (0..16_u32).rev() {
                    let at = nibble * 4;
                    if mask >> at & 0xf == 0 {
                        f.write_str("*")?;
                    } else {
                        write!(f, "{:x}", bits >> at & 0xf)?;
                    }
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_the_rest() {
        check(
            "rt:64512:100",
            &["rt:64512:100"],
            &["rt:64512:101", "soo:64512:100"],
        );
        check(
            "rt:64512:*",
            &["rt:64512:1", "rt:64512:4000000"],
            &["rt:64513:1", "soo:64512:1"],
        );
        check("rt:4200000000:*", &["rt:4200000000:7"], &["rt:4200000001:7"]);
        check("rt:192.0.2.1:*", &["rt:192.0.2.1:7"], &["rt:192.0.2.2:7"]);
        check(
            "soo:*",
            &["soo:1:1", "soo:192.0.2.1:7", "soo:4200000000:7"],
            &["rt:1:1"],
        );
        check(
            "0x4004********ffff",
            &["0x400400000001ffff"],
            &["0x400400000001fffe"],
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "rt", "rt:x:*", "*", "*:*", "rt:1:*:*", "0x12*", "ro:1:*"] {
            assert!(text.parse::<ExtendedCommunityPattern>().is_err(), "{text}");
        }
    }

    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let compiled: ExtendedCommunityPattern = pattern.parse().unwrap();
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
