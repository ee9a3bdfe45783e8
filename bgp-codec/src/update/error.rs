//! What makes an UPDATE unusable, and the answer to it (RFC 4271 §6.3, RFC 7606 §3).

use thiserror::Error;

use crate::attribute::Treatment;
use crate::attribute::error::AttributeError;
use crate::family::Family;
use crate::notification::update_message;

/// An UPDATE that cannot be used at all; each variant maps to a NOTIFICATION of code 3.
///
/// ```
/// use bgp_codec::{DecodeContext, Family, Notification, PeerKind, Treatment, Update, UpdateError};
/// let context = DecodeContext::all(PeerKind::External);
/// let error = Update::decode(&[0xff, 0xff], &context).err();
/// assert_eq!(error, Some(UpdateError::MalformedAttributeList));
/// ```
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum UpdateError {
    /// The lengths of the three parts exceed the message: 3/1.
    #[error("malformed attribute list")]
    MalformedAttributeList,
    /// A second MP_REACH_NLRI or MP_UNREACH_NLRI (RFC 7606 §3(g)): 3/1.
    #[error("attribute {0} appears twice")]
    DuplicateMultiprotocol(u8),
    /// An attribute that claims to be well-known and is not: 3/2, data is the attribute.
    #[error("unrecognized well-known attribute")]
    UnrecognizedWellKnown(Vec<u8>),
    /// MP_REACH_NLRI or MP_UNREACH_NLRI too short, over the end, with wrong flags or an impossible next hop length
    /// (RFC 7606 §5.3, §7.11, §7.12): 3/9, data is the attribute.
    #[error("malformed multiprotocol attribute")]
    MalformedMultiprotocol {
        /// The family, if it could be read.
        family: Option<Family>,
        /// The whole attribute.
        attribute: Vec<u8>,
    },
    /// NLRI that cannot be read (RFC 7606 §5.3): 3/10.
    #[error("invalid network field in {0}")]
    InvalidNetworkField(Family),
    /// An attribute error that asks for a withdraw where nothing is announced (RFC 7606 §5.2): the subcode of RFC 4271
    /// §6.3, data is the attribute.
    #[error("{error} in a message that announces nothing")]
    NothingToWithdraw {
        /// The first error.
        error: AttributeError,
        /// The whole attribute, where there is one.
        attribute: Vec<u8>,
    },
}

impl UpdateError {
    /// The subcode of the NOTIFICATION.
    ///
    /// ```
    /// use bgp_codec::{DecodeContext, Family, Notification, PeerKind, Treatment, Update, UpdateError};
    /// let context = DecodeContext::all(PeerKind::External);
    /// // MP_UNREACH_NLRI with a prefix of 129 bits.
    /// let update = Update::decode(&[0, 0, 0, 7, 0x80, 15, 4, 0, 2, 1, 129], &context)?;
    /// let error = update.check_nlri().err().ok_or(UpdateError::MalformedAttributeList)?;
    /// assert_eq!(error.subcode(), 9);
    /// # Ok::<(), UpdateError>(())
    /// ```
    #[must_use]
    pub const fn subcode(&self) -> u8 {
        match self {
            Self::MalformedAttributeList | Self::DuplicateMultiprotocol(_) => {
                update_message::MALFORMED_ATTRIBUTE_LIST
            }
            Self::UnrecognizedWellKnown(_) => update_message::UNRECOGNIZED_WELL_KNOWN_ATTRIBUTE,
            Self::MalformedMultiprotocol { .. } => update_message::OPTIONAL_ATTRIBUTE,
            Self::InvalidNetworkField(_) => update_message::INVALID_NETWORK_FIELD,
            Self::NothingToWithdraw { error, .. } => error.subcode(),
        }
    }

    /// The data of the NOTIFICATION.
    ///
    /// ```
    /// use bgp_codec::{DecodeContext, Family, Notification, PeerKind, Treatment, Update, UpdateError};
    /// let context = DecodeContext::all(PeerKind::External);
    /// // MP_UNREACH_NLRI with a prefix of 129 bits.
    /// let update = Update::decode(&[0, 0, 0, 7, 0x80, 15, 4, 0, 2, 1, 129], &context)?;
    /// let error = update.check_nlri().err().ok_or(UpdateError::MalformedAttributeList)?;
    /// assert_eq!(error.into_data(), [0x80, 15, 4, 0, 2, 1, 129]);
    /// # Ok::<(), UpdateError>(())
    /// ```
    #[must_use]
    pub fn into_data(self) -> Vec<u8> {
        match self {
            Self::UnrecognizedWellKnown(attribute)
            | Self::MalformedMultiprotocol { attribute, .. }
            | Self::NothingToWithdraw { attribute, .. } => attribute,
            Self::MalformedAttributeList | Self::DuplicateMultiprotocol(_) | Self::InvalidNetworkField(_) => {
                Vec::new()
            }
        }
    }

    /// The strongest answer: [`Treatment::AfiSafiDisable`] where the error stays inside one family that is not IPv4
    /// unicast (RFC 7606 §2), so that a caller may disable it and keep the session.
    ///
    /// ```
    /// use bgp_codec::{DecodeContext, Family, Notification, PeerKind, Treatment, Update, UpdateError};
    /// let context = DecodeContext::all(PeerKind::External);
    /// // MP_UNREACH_NLRI with a prefix of 129 bits.
    /// let update = Update::decode(&[0, 0, 0, 7, 0x80, 15, 4, 0, 2, 1, 129], &context)?;
    /// let error = update.check_nlri().err().ok_or(UpdateError::MalformedAttributeList)?;
    /// assert_eq!(error.treatment(), Treatment::AfiSafiDisable);
    /// # Ok::<(), UpdateError>(())
    /// ```
    #[must_use]
    pub fn treatment(&self) -> Treatment {
        match self.family() {
            Some(family) if family != Family::IPV4_UNICAST => Treatment::AfiSafiDisable,
            _ => Treatment::SessionReset,
        }
    }

    /// The family that the error stays inside, if it does.
    ///
    /// ```
    /// use bgp_codec::{DecodeContext, Family, Notification, PeerKind, Treatment, Update, UpdateError};
    /// let context = DecodeContext::all(PeerKind::External);
    /// // MP_UNREACH_NLRI with a prefix of 129 bits.
    /// let update = Update::decode(&[0, 0, 0, 7, 0x80, 15, 4, 0, 2, 1, 129], &context)?;
    /// let error = update.check_nlri().err().ok_or(UpdateError::MalformedAttributeList)?;
    /// assert_eq!(error.family(), Some(Family::IPV6_UNICAST));
    /// # Ok::<(), UpdateError>(())
    /// ```
    #[must_use]
    pub const fn family(&self) -> Option<Family> {
        match self {
            Self::MalformedMultiprotocol { family, .. } => *family,
            Self::InvalidNetworkField(family) => Some(*family),
            Self::MalformedAttributeList
            | Self::DuplicateMultiprotocol(_)
            | Self::NothingToWithdraw { .. }
            | Self::UnrecognizedWellKnown(_) => None,
        }
    }
}
