//! What is wrong with an attribute and what is done about it (RFC 7606).

use std::fmt;

use super::code;
use crate::notification::update_message;

/// What is done about an error, mildest first: of several errors the strongest counts (RFC 7606 §3(h)).
///
/// ```
/// use bgp_codec::Treatment;
/// assert!(Treatment::TreatAsWithdraw > Treatment::AttributeDiscard);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Treatment {
    /// The attribute counts as not there.
    AttributeDiscard,
    /// Every route in the UPDATE is withdrawn.
    TreatAsWithdraw,
    /// The family is no longer used on the session.
    AfiSafiDisable,
    /// The session is closed with a NOTIFICATION.
    SessionReset,
}

/// The kinds of error.
///
/// ```
/// assert_eq!(bgp_codec::AttributeErrorKind::Duplicate.to_string(), "duplicate");
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum AttributeErrorKind {
    /// Optional or Transitive bit contradicts the type, RFC 7606 §3(c).
    Flags,
    /// The length is not one that the type allows.
    Length,
    /// The value is not one that the type allows.
    Value,
    /// The path holds an AS_SET or AS_CONFED_SET, where [`AsSets`](crate::AsSets) says to withdraw (RFC 9774 §3).
    AsSet,
    /// The type was there before, RFC 7606 §3(g).
    Duplicate,
    /// A mandatory attribute is not there, RFC 7606 §3(d).
    Missing,
    /// Only internal peers may send it: LOCAL_PREF, ORIGINATOR_ID, CLUSTER_LIST.
    FromExternalPeer,
    /// The attribute, or one to three stray octets, run over the end of the block, RFC 7606 §4.
    Overrun,
}

impl fmt::Display for AttributeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flags => "flags error",
            Self::Length => "length error",
            Self::Value => "invalid value",
            Self::AsSet => "AS_SET",
            Self::Duplicate => "duplicate",
            Self::Missing => "missing",
            Self::FromExternalPeer => "not allowed from an external peer",
            Self::Overrun => "runs over the end",
        })
    }
}

/// One error.
///
/// ```
/// # use bgp_codec::{DecodeContext, PeerKind, Treatment, Update};
/// // ORIGIN of no known value, AS_PATH, NEXT_HOP; 10.0.0.0/8.
/// let body = [0, 0, 0, 20, 0x40, 1, 1, 9, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1, 8, 10];
/// let update = Update::decode(&body, &DecodeContext::all(PeerKind::External))?;
/// let error = update.errors().iter().next();
/// assert_eq!(error.map(|error| error.to_string()).as_deref(), Some("attribute 1: invalid value"));
/// # Ok::<(), bgp_codec::UpdateError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct AttributeError {
    /// The attribute's type code.
    pub code: u8,
    /// What is wrong.
    pub kind: AttributeErrorKind,
    /// What is done about it.
    pub treatment: Treatment,
}

impl AttributeError {
    pub(crate) const fn new(code: u8, kind: AttributeErrorKind) -> Self {
        Self {
            code,
            kind,
            treatment: treatment(code, kind),
        }
    }

    /// The subcode of a NOTIFICATION about it, RFC 4271 §6.3.
    ///
    /// ```
    /// # use bgp_codec::{DecodeContext, PeerKind, Treatment, Update};
    /// // ORIGIN of no known value, AS_PATH, NEXT_HOP; 10.0.0.0/8.
    /// let body = [0, 0, 0, 20, 0x40, 1, 1, 9, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1, 8, 10];
    /// let update = Update::decode(&body, &DecodeContext::all(PeerKind::External))?;
    /// assert_eq!(update.errors().iter().next().map(|error| error.subcode()), Some(6));
    /// # Ok::<(), bgp_codec::UpdateError>(())
    /// ```
    #[must_use]
    pub const fn subcode(&self) -> u8 {
        match (self.kind, self.code) {
            (AttributeErrorKind::Flags, _) => update_message::ATTRIBUTE_FLAGS,
            (AttributeErrorKind::Length, _) => update_message::ATTRIBUTE_LENGTH,
            (AttributeErrorKind::Missing, _) => update_message::MISSING_WELL_KNOWN_ATTRIBUTE,
            (AttributeErrorKind::Duplicate | AttributeErrorKind::Overrun, _) => {
                update_message::MALFORMED_ATTRIBUTE_LIST
            }
            (AttributeErrorKind::Value, code::ORIGIN) => update_message::INVALID_ORIGIN,
            (AttributeErrorKind::Value, code::AS_PATH) | (AttributeErrorKind::AsSet, _) => {
                update_message::MALFORMED_AS_PATH
            }
            (AttributeErrorKind::Value | AttributeErrorKind::FromExternalPeer, _) => {
                update_message::OPTIONAL_ATTRIBUTE
            }
        }
    }

    /// RFC 7606 §4: whatever the attribute was, the routes are withdrawn.
    pub(crate) const fn overrun(code: u8) -> Self {
        Self {
            code,
            kind: AttributeErrorKind::Overrun,
            treatment: Treatment::TreatAsWithdraw,
        }
    }
}

impl fmt::Display for AttributeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "attribute {}: {}", self.code, self.kind)
    }
}

const fn treatment(code: u8, kind: AttributeErrorKind) -> Treatment {
    match (kind, code) {
        (AttributeErrorKind::FromExternalPeer | AttributeErrorKind::Duplicate, _)
        // RFC 7606 §7.6, §7.7: without them the route can still be used.
        | (AttributeErrorKind::Length | AttributeErrorKind::Value, code::ATOMIC_AGGREGATE | code::AGGREGATOR)
        // RFC 6793 §6.
        | (AttributeErrorKind::Length | AttributeErrorKind::Value, code::AS4_PATH | code::AS4_AGGREGATOR)
        // RFC 9552 §8.2.2, RFC 8669 §6.
        | (AttributeErrorKind::Length | AttributeErrorKind::Value, code::BGP_LS | code::PREFIX_SID)
        // RFC 7311 §3.2: malformed in any way, flags included.
        | (_, code::AIGP) => Treatment::AttributeDiscard,
        _ => Treatment::TreatAsWithdraw,
    }
}

/// How many errors of one UPDATE are kept; the treatment covers all.
const KEPT: usize = 8;

/// The errors of one UPDATE, kept inline.
///
/// ```
/// # use bgp_codec::{DecodeContext, PeerKind, Treatment, Update};
/// // ORIGIN of no known value, AS_PATH, NEXT_HOP; 10.0.0.0/8.
/// let body = [0, 0, 0, 20, 0x40, 1, 1, 9, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1, 8, 10];
/// let update = Update::decode(&body, &DecodeContext::all(PeerKind::External))?;
/// assert_eq!(update.errors().iter().count(), 1);
/// # Ok::<(), bgp_codec::UpdateError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AttributeErrors {
    kept: [AttributeError; KEPT],
    count: u8,
    treatment: Option<Treatment>,
}

impl AttributeErrors {
    /// No error. What stands in free places is all zeros, so that clearing them takes two stores.
    pub(crate) const NONE: Self = {
        let free = AttributeError {
            code: 0,
            kind: AttributeErrorKind::Flags,
            treatment: Treatment::AttributeDiscard,
        };
        Self {
            kept: [free; KEPT],
            count: 0,
            treatment: None,
        }
    };

    /// The strongest treatment that any error asks for; `None` if there is no error.
    ///
    /// ```
    /// # use bgp_codec::{DecodeContext, PeerKind, Treatment, Update};
    /// // ORIGIN of no known value, AS_PATH, NEXT_HOP; 10.0.0.0/8.
    /// let body = [0, 0, 0, 20, 0x40, 1, 1, 9, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1, 8, 10];
    /// let update = Update::decode(&body, &DecodeContext::all(PeerKind::External))?;
    /// assert_eq!(update.errors().treatment(), Some(Treatment::TreatAsWithdraw));
    /// # Ok::<(), bgp_codec::UpdateError>(())
    /// ```
    #[must_use]
    #[inline]
    pub const fn treatment(&self) -> Option<Treatment> {
        self.treatment
    }

    /// The first eight errors.
    ///
    /// ```
    /// # use bgp_codec::{DecodeContext, PeerKind, Treatment, Update};
    /// // ORIGIN of no known value, AS_PATH, NEXT_HOP; 10.0.0.0/8.
    /// let body = [0, 0, 0, 20, 0x40, 1, 1, 9, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1, 8, 10];
    /// let update = Update::decode(&body, &DecodeContext::all(PeerKind::External))?;
    /// assert_eq!(update.errors().iter().map(|error| error.code).collect::<Vec<_>>(), [1]);
    /// # Ok::<(), bgp_codec::UpdateError>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = AttributeError> + '_ {
        self.kept.iter().take(usize::from(self.count)).copied()
    }
}

/// Where the walk reports errors: all of them, or only the strongest treatment.
pub(crate) trait Report {
    fn push(&mut self, error: AttributeError);
}

impl Report for Option<Treatment> {
    #[cold]
    fn push(&mut self, error: AttributeError) {
        *self = (*self).max(Some(error.treatment));
    }
}

impl Report for AttributeErrors {
    #[cold]
    fn push(&mut self, error: AttributeError) {
        self.treatment = self.treatment.max(Some(error.treatment));
        if let Some(free) = self.kept.get_mut(usize::from(self.count)) {
            *free = error;
            self.count += 1;
        }
    }
}
