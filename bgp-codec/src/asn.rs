//! Autonomous system numbers: four octets everywhere in memory (RFC 6793), plain or dotted in text (RFC 5396).

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Stands in two-octet fields for a number that needs four, RFC 6793 §4.2.2.
pub const AS_TRANS: Asn = Asn(23_456);

/// An autonomous system number.
///
/// ```
/// use bgp_codec::Asn;
/// assert_eq!("64512".parse(), Ok(Asn(64_512)));
/// assert_eq!("1.10".parse(), Ok(Asn(65_546)));
/// assert_eq!(Asn(65_546).to_string(), "65546");
/// // Dotted, from 65,536 on.
/// assert_eq!(format!("{:#} {:#}", Asn(65_546), Asn(64_512)), "1.10 64512");
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Asn(pub u32);

impl Asn {
    /// The number as a two-octet field carries it: itself, or [`AS_TRANS`].
    ///
    /// ```
    /// use bgp_codec::Asn;
    /// assert_eq!(Asn(64_512).to_two_octets(), 64_512);
    /// assert_eq!(Asn(4_200_000_000).to_two_octets(), 23_456);
    /// ```
    #[must_use]
    pub fn to_two_octets(self) -> u16 {
        u16::try_from(self.0).unwrap_or(23_456)
    }

    /// Whether the number fits a two-octet field.
    ///
    /// ```
    /// assert!(bgp_codec::Asn(65_535).is_two_octet());
    /// assert!(!bgp_codec::Asn(65_536).is_two_octet());
    /// ```
    #[must_use]
    pub const fn is_two_octet(self) -> bool {
        self.0 <= 0xffff
    }

    /// Whether the number is for private use, RFC 6996 §5.
    ///
    /// ```
    /// assert!(bgp_codec::Asn(64_512).is_private());
    /// assert!(!bgp_codec::Asn(3_333).is_private());
    /// ```
    #[must_use]
    pub const fn is_private(self) -> bool {
        matches!(self.0, 64_512..=65_534 | 4_200_000_000..=4_294_967_294)
    }
}

impl From<u16> for Asn {
    fn from(asn: u16) -> Self {
        Self(u32::from(asn))
    }
}

impl From<u32> for Asn {
    fn from(asn: u32) -> Self {
        Self(asn)
    }
}

impl From<Asn> for u32 {
    fn from(asn: Asn) -> Self {
        asn.0
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() && !self.is_two_octet() {
            return write!(f, "{}.{}", self.0 >> 16, self.0 & 0xffff);
        }
        fmt::Display::fmt(&self.0, f)
    }
}

/// The text is not an AS number.
///
/// ```
/// use bgp_codec::{Asn, ParseAsnError};
/// assert_eq!("AS64512".parse::<Asn>(), Err(ParseAsnError));
/// ```
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not an AS number: expected 0 to 4294967295, or two numbers up to 65535 with a dot")]
pub struct ParseAsnError;

impl FromStr for Asn {
    type Err = ParseAsnError;

    fn from_str(text: &str) -> Result<Self, ParseAsnError> {
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|octet| octet.is_ascii_digit());
        match text.split_once('.') {
            None if digits(text) => text.parse().map(Self).map_err(|_| ParseAsnError),
            Some((high, low)) if digits(high) && digits(low) => {
                let high: u16 = high.parse().map_err(|_| ParseAsnError)?;
                let low: u16 = low.parse().map_err(|_| ParseAsnError)?;
                Ok(Self((u32::from(high) << 16) | u32::from(low)))
            }
            _ => Err(ParseAsnError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_dotted_text_parse() {
        for (text, expected) in [
            ("0", 0),
            ("4294967295", u32::MAX),
            ("0.1", 1),
            ("65535.65535", u32::MAX),
            ("1.0", 65_536),
        ] {
            assert_eq!(text.parse(), Ok(Asn(expected)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "-1",
            "+1",
            "4294967296",
            "1.65536",
            "1.",
            ".1",
            "1.2.3",
            "AS1",
            " 1",
        ] {
            assert_eq!(text.parse::<Asn>(), Err(ParseAsnError), "{text}");
        }
    }
}
