//! ORIGIN (RFC 4271 §5.1.1).

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// ORIGIN, preferred first.
///
/// ```
/// use bgp_codec::Origin;
/// assert_eq!("incomplete".parse(), Ok(Origin::Incomplete));
/// assert_eq!(Origin::Igp.to_string(), "igp");
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Origin {
    /// Interior to the originating AS.
    #[default]
    Igp,
    /// Learned by EGP.
    Egp,
    /// Learned otherwise.
    Incomplete,
}

impl Origin {
    /// The octet on the wire.
    ///
    /// ```
    /// assert_eq!(bgp_codec::Origin::Incomplete.code(), 2);
    /// ```
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Igp => 0,
            Self::Egp => 1,
            Self::Incomplete => 2,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Igp => "igp",
            Self::Egp => "egp",
            Self::Incomplete => "incomplete",
        }
    }

    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Igp,
            1 => Self::Egp,
            2 => Self::Incomplete,
            _ => return None,
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text is no origin.
///
/// ```
/// assert_eq!("bgp".parse::<bgp_codec::Origin>(), Err(bgp_codec::ParseOriginError));
/// ```
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not an origin: expected igp, egp or incomplete")]
pub struct ParseOriginError;

impl FromStr for Origin {
    type Err = ParseOriginError;

    fn from_str(text: &str) -> Result<Self, ParseOriginError> {
        let named = |origin: &Self| text.eq_ignore_ascii_case(origin.name());
        let origins = [Self::Igp, Self::Egp, Self::Incomplete];
        origins.into_iter().find(named).ok_or(ParseOriginError)
    }
}
