//! UPDATE (RFC 4271 §4.3, §6.3) with the error handling of RFC 7606.

use thiserror::Error;

use crate::attribute::error::{AttributeError, AttributeErrorKind, Report};
use crate::attribute::{AttributeErrors, Attributes, Treatment, code, flag, walk};
use crate::family::{Family, FamilySet};
use crate::header::HEADER_LEN;
use crate::next_hop::NextHop;
use crate::nlri::NlriBlock;
use crate::notification::update_message;
use crate::reader::Reader;

/// Whether a peer is in our AS.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum PeerKind {
    /// iBGP, or a peer in the same confederation (RFC 5065).
    Internal,
    /// eBGP.
    External,
}

/// What is done about an AS_SET or AS_CONFED_SET in AS_PATH or AS4_PATH, RFC 9774 §3.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum AsSets {
    /// They are read as RFC 4271 says, which RFC 9774 leaves to operators who ask for it.
    #[default]
    Accept,
    /// The UPDATE is treated as withdraw.
    TreatAsWithdraw,
}

/// What the session has negotiated and the octets of an UPDATE do not say.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct DecodeContext {
    /// AS numbers take four octets, RFC 6793.
    pub four_octet_asn: bool,
    /// Where the peer is.
    pub peer: PeerKind,
    /// Families that are in use; NLRI of others are ignored.
    pub families: FamilySet,
    /// Families whose NLRI come with path identifiers, RFC 7911.
    pub add_path: FamilySet,
    /// Families whose next hop may be an IPv6 address, RFC 8950.
    pub extended_next_hop: FamilySet,
    /// What is done about AS_SETs.
    pub as_sets: AsSets,
}

impl DecodeContext {
    /// Accepts whatever a session could carry, without Add-Path: for recorded messages.
    ///
    /// ```
    /// use bgp_codec::{DecodeContext, FamilySet, PeerKind};
    /// assert_eq!(DecodeContext::all(PeerKind::External).families, FamilySet::ALL);
    /// ```
    #[must_use]
    pub const fn all(peer: PeerKind) -> Self {
        Self {
            four_octet_asn: true,
            peer,
            families: FamilySet::ALL,
            add_path: FamilySet::EMPTY,
            extended_next_hop: FamilySet::ALL,
            as_sets: AsSets::Accept,
        }
    }
}

/// An UPDATE that cannot be used at all; each variant maps to a NOTIFICATION of code 3.
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
    #[must_use]
    pub fn treatment(&self) -> Treatment {
        match self.family() {
            Some(family) if family != Family::IPV4_UNICAST => Treatment::AfiSafiDisable,
            _ => Treatment::SessionReset,
        }
    }

    /// The family that the error stays inside, if it does.
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

/// The three parts of an UPDATE, unread.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sections<'a> {
    /// Withdrawn routes, IPv4 unicast.
    pub withdrawn: &'a [u8],
    /// Path attributes.
    pub attributes: &'a [u8],
    /// NLRI, IPv4 unicast.
    pub nlri: &'a [u8],
}

impl<'a> Sections<'a> {
    /// Splits the body of an UPDATE.
    ///
    /// # Errors
    ///
    /// [`UpdateError::MalformedAttributeList`] if the lengths exceed the body (RFC 4271 §6.3).
    #[inline]
    pub fn split(body: &'a [u8]) -> Result<Self, UpdateError> {
        let mut reader = Reader::new(body);
        let mut part = || {
            let len = reader.u16()?;
            reader.take(usize::from(len))
        };
        match (part(), part()) {
            (Some(withdrawn), Some(attributes)) => Ok(Self {
                withdrawn,
                attributes,
                nlri: reader.rest(),
            }),
            _ => Err(UpdateError::MalformedAttributeList),
        }
    }
}

/// A view of one UPDATE; nothing is copied.
///
/// The attributes have been checked; NLRI are checked while they are iterated, or all at once by [`Update::check_nlri`].
///
/// ```
/// use bgp_codec::{DecodeContext, PeerKind, Update};
/// // Withdraws 192.0.2.0/24.
/// let update = Update::decode(&[0, 4, 24, 192, 0, 2, 0, 0], &DecodeContext::all(PeerKind::External))?;
/// let withdrawn = update.withdrawn().next().and_then(|block| block.prefixes::<ipnet::Ipv4Net>().next());
/// assert_eq!(withdrawn.transpose()?.map(|nlri| nlri.prefix.to_string()).as_deref(), Some("192.0.2.0/24"));
/// assert_eq!(update.treatment(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Update<'a> {
    withdrawn: &'a [u8],
    nlri: &'a [u8],
    attributes: Attributes<'a>,
    context: DecodeContext,
    treatment: Option<Treatment>,
}

/// NLRI that an UPDATE announces, with their next hop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Announced<'a> {
    /// The NLRI, unread.
    pub nlri: NlriBlock<'a>,
    /// The next hop; `None` only for families that have none, such as flow specifications.
    pub next_hop: Option<NextHop>,
}

impl<'a> Update<'a> {
    /// Reads the body of an UPDATE, that is the message without its header.
    ///
    /// # Errors
    ///
    /// [`UpdateError`] where RFC 7606 leaves no choice but to close the session or disable a family.
    #[inline]
    pub fn decode(body: &'a [u8], context: &DecodeContext) -> Result<Self, UpdateError> {
        let Sections {
            withdrawn,
            attributes,
            nlri,
        } = Sections::split(body)?;
        let mut update = Self {
            withdrawn,
            nlri,
            attributes: Attributes::empty(attributes, context.four_octet_asn),
            context: *context,
            treatment: None,
        };
        if !attributes.is_empty() || !nlri.is_empty() {
            update.read()?;
        }
        Ok(update)
    }

    /// Not inlined: a caller that sees through it keeps every field in a register of its own, and runs out of them.
    #[inline(never)]
    fn read(&mut self) -> Result<(), UpdateError> {
        let mut treatment = None;
        walk::walk(&mut self.attributes, &self.context, &mut treatment)?;
        self.treatment = treatment;
        if self.missing() != 0 {
            self.treatment = self.treatment.max(Some(Treatment::TreatAsWithdraw));
        }
        if self.is_withdraw() {
            self.check_reachable()?;
        }
        Ok(())
    }

    /// RFC 7606 §5.2: where other attributes than MP_UNREACH_NLRI come without reachable NLRI, the NLRI may have been
    /// lost to the error, so withdrawing what is there would not do.
    #[cold]
    fn check_reachable(&self) -> Result<(), UpdateError> {
        let mut attributes = self.attributes.iter_raw();
        // Whether MP_REACH_NLRI of another family than those in use announces anything is not known.
        let reachable = !self.nlri.is_empty()
            || self.mp_nlri().is_some()
            || !self.attributes.has(code::MP_REACH_NLRI)
                && attributes
                    .clone()
                    .any(|attribute| attribute.code == code::MP_REACH_NLRI);
        let only_unreach = attributes.all(|attribute| attribute.code == code::MP_UNREACH_NLRI)
            && attributes.rest().is_empty();
        if reachable || only_unreach {
            return Ok(());
        }
        let withdraw = |error: &AttributeError| error.treatment >= Treatment::TreatAsWithdraw;
        match self.errors().iter().find(withdraw) {
            Some(error) => Err(UpdateError::NothingToWithdraw {
                error,
                attribute: self.whole_attribute(error.code),
            }),
            None => Err(UpdateError::MalformedAttributeList),
        }
    }

    /// The mandatory attributes that are not there, one bit a type, where routes are announced (RFC 4271 §5).
    #[inline]
    const fn missing(&self) -> u64 {
        const ALWAYS: u64 = (1 << code::ORIGIN) | (1 << code::AS_PATH);
        let mut mandatory = 0;
        if !self.attributes.reach_nlri.is_empty() {
            mandatory = ALWAYS;
        }
        if !self.nlri.is_empty() {
            mandatory = ALWAYS | (1 << code::NEXT_HOP);
        }
        mandatory & !self.attributes.present
    }

    /// The attributes.
    #[must_use]
    #[inline]
    pub const fn attributes(&self) -> &Attributes<'a> {
        &self.attributes
    }

    /// The three parts, unread.
    #[must_use]
    pub const fn sections(&self) -> Sections<'a> {
        Sections {
            withdrawn: self.withdrawn,
            attributes: self.attributes.raw,
            nlri: self.nlri,
        }
    }

    /// The attribute block as it was on the wire.
    #[must_use]
    pub const fn raw_attributes(&self) -> &'a [u8] {
        self.attributes.raw
    }

    /// The strongest treatment that the errors ask for; `None` if the attributes are clean.
    ///
    /// [`Update::announced`] and [`Update::withdrawn`] already follow it.
    #[must_use]
    #[inline]
    pub const fn treatment(&self) -> Option<Treatment> {
        self.treatment
    }

    /// What is wrong with the attributes; they are read once more to tell.
    #[must_use]
    #[cold]
    pub fn errors(&self) -> AttributeErrors {
        let mut errors = AttributeErrors::NONE;
        let mut attributes = Attributes::empty(self.attributes.raw, self.context.four_octet_asn);
        // The first reading went to the end, and so does this one.
        let _ended = walk::walk(&mut attributes, &self.context, &mut errors).is_ok();
        let missing = self.missing();
        for code in [code::ORIGIN, code::AS_PATH, code::NEXT_HOP] {
            let reported = errors.iter().any(|error| error.code == code);
            if missing & (1 << code) != 0 && !reported {
                errors.push(AttributeError::new(code, AttributeErrorKind::Missing));
            }
        }
        errors
    }

    /// A field of IPv4 unicast outside the attributes.
    #[inline]
    fn classic(&self, bytes: &'a [u8]) -> Option<NlriBlock<'a>> {
        const FAMILY: Family = Family::IPV4_UNICAST;
        if bytes.is_empty() || !self.context.families.contains(FAMILY) {
            return None;
        }
        Some(NlriBlock {
            family: FAMILY,
            bytes,
            add_path: self.context.add_path.contains(FAMILY),
        })
    }

    /// A field inside a multiprotocol attribute; its octets are there only if the family was negotiated.
    #[inline]
    fn multiprotocol(&self, family: Family, bytes: &'a [u8]) -> Option<NlriBlock<'a>> {
        if bytes.is_empty() {
            return None;
        }
        Some(NlriBlock {
            family,
            bytes,
            add_path: self.context.add_path.contains(family),
        })
    }

    /// IPv4 unicast NLRI at the end of the message.
    #[must_use]
    #[inline]
    pub fn nlri(&self) -> Option<NlriBlock<'a>> {
        self.classic(self.nlri)
    }

    /// NLRI of MP_REACH_NLRI.
    #[must_use]
    #[inline]
    pub fn mp_nlri(&self) -> Option<NlriBlock<'a>> {
        self.multiprotocol(
            self.attributes.reach_family,
            self.attributes.at(self.attributes.reach_nlri),
        )
    }

    /// NLRI of MP_UNREACH_NLRI.
    #[must_use]
    #[inline]
    pub fn mp_withdrawn(&self) -> Option<NlriBlock<'a>> {
        self.multiprotocol(
            self.attributes.unreach_family,
            self.attributes.at(self.attributes.unreach_nlri),
        )
    }

    /// What the UPDATE announces: nothing if it is [treated as withdraw](Treatment::TreatAsWithdraw).
    #[must_use]
    #[inline]
    pub fn announced(&self) -> AnnouncedIter<'_, 'a> {
        AnnouncedIter {
            update: self,
            field: if self.is_withdraw() { 2 } else { 0 },
        }
    }

    /// What the UPDATE withdraws: also all that it announces if it is [treated as
    /// withdraw](Treatment::TreatAsWithdraw).
    ///
    /// To be applied before [`Update::announced`]: a prefix in both is announced (RFC 4271 §4.3).
    #[must_use]
    #[inline]
    pub const fn withdrawn(&self) -> WithdrawnIter<'_, 'a> {
        WithdrawnIter {
            update: self,
            field: 0,
        }
    }

    #[inline]
    fn is_withdraw(&self) -> bool {
        self.treatment() >= Some(Treatment::TreatAsWithdraw)
    }

    /// Reads all NLRI for their errors alone, so that no part of a bad message takes effect.
    ///
    /// # Errors
    ///
    /// [`UpdateError::InvalidNetworkField`] or, in a multiprotocol attribute, [`UpdateError::MalformedMultiprotocol`].
    pub fn check_nlri(&self) -> Result<(), UpdateError> {
        let classic = [self.classic(self.withdrawn), self.nlri()];
        for block in classic.into_iter().flatten() {
            block
                .check()
                .map_err(|_| UpdateError::InvalidNetworkField(block.family))?;
        }
        let unreach = self.mp_withdrawn();
        for (code, block) in [
            (code::MP_UNREACH_NLRI, unreach),
            (code::MP_REACH_NLRI, self.mp_nlri()),
        ] {
            let Some(block) = block else { continue };
            block.check().map_err(|_| UpdateError::MalformedMultiprotocol {
                family: Some(block.family),
                attribute: self.whole_attribute(code),
            })?;
        }
        Ok(())
    }

    #[cold]
    fn whole_attribute(&self, code: u8) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(attribute) = self
            .attributes
            .iter_raw()
            .find(|attribute| attribute.code == code)
        {
            crate::attribute::write(attribute.flags, code, attribute.value, &mut out);
        }
        out
    }

    /// The family whose initial routes are complete, if this is an End-of-RIB marker (RFC 4724 §2).
    ///
    /// ```
    /// use bgp_codec::{DecodeContext, Family, PeerKind, Update};
    /// let update = Update::decode(&[0, 0, 0, 0], &DecodeContext::all(PeerKind::Internal))?;
    /// assert_eq!(update.end_of_rib(), Some(Family::IPV4_UNICAST));
    /// # Ok::<(), bgp_codec::UpdateError>(())
    /// ```
    #[must_use]
    pub fn end_of_rib(&self) -> Option<Family> {
        let Sections {
            withdrawn,
            attributes,
            nlri,
        } = self.sections();
        if !withdrawn.is_empty() || !nlri.is_empty() {
            return None;
        }
        if attributes.is_empty() {
            return Some(Family::IPV4_UNICAST);
        }
        let unreach = self.attributes.mp_unreach()?;
        let alone = attributes.len() <= 3 + 4;
        (alone && unreach.nlri.is_empty()).then_some(unreach.family)
    }

    /// What identifies the attributes for interning: the block without the NLRI in MP_REACH_NLRI and without
    /// MP_UNREACH_NLRI; the next hop stays.
    ///
    /// Borrowed from the message where neither is there, else built in `scratch`. The same octets mean another thing in
    /// another [`DecodeContext`], and only a block without [errors](Update::treatment) may be remembered.
    #[must_use]
    pub fn interning_key<'k>(&'k self, scratch: &'k mut Vec<u8>) -> &'k [u8] {
        const MULTIPROTOCOL: u64 = (1 << code::MP_REACH_NLRI) | (1 << code::MP_UNREACH_NLRI);
        if self.attributes.present & MULTIPROTOCOL == 0 {
            return self.attributes.raw;
        }
        scratch.clear();
        for attribute in self.attributes.iter_raw() {
            let value = match attribute.code {
                code::MP_UNREACH_NLRI => continue,
                code::MP_REACH_NLRI => {
                    let nlri = self.attributes.at(self.attributes.reach_nlri).len();
                    attribute
                        .value
                        .get(..attribute.value.len().saturating_sub(nlri))
                        .unwrap_or_default()
                }
                _ => attribute.value,
            };
            let flags = attribute.flags & !flag::EXTENDED_LENGTH;
            crate::attribute::write(flags, attribute.code, value, scratch);
        }
        scratch
    }
}

/// Iterator over the fields that announce; see [`Update::announced`].
#[derive(Clone, Debug)]
pub struct AnnouncedIter<'u, 'a> {
    update: &'u Update<'a>,
    field: u8,
}

impl<'a> Iterator for AnnouncedIter<'_, 'a> {
    type Item = Announced<'a>;

    #[inline]
    fn next(&mut self) -> Option<Announced<'a>> {
        let attributes = &self.update.attributes;
        if self.field == 0 {
            self.field = 1;
            if let Some(nlri) = self.update.nlri() {
                return Some(Announced {
                    nlri,
                    next_hop: attributes.next_hop().map(NextHop::V4),
                });
            }
        }
        if self.field == 1 {
            self.field = 2;
            if let Some(nlri) = self.update.mp_nlri() {
                let next_hop = attributes.mp_reach().and_then(|reach| reach.next_hop);
                return Some(Announced { nlri, next_hop });
            }
        }
        None
    }
}

/// Iterator over the fields that withdraw; see [`Update::withdrawn`].
#[derive(Clone, Debug)]
pub struct WithdrawnIter<'u, 'a> {
    update: &'u Update<'a>,
    field: u8,
}

impl<'a> Iterator for WithdrawnIter<'_, 'a> {
    type Item = NlriBlock<'a>;

    #[inline]
    fn next(&mut self) -> Option<NlriBlock<'a>> {
        let update = self.update;
        if self.field == 0 {
            self.field = 1;
            if let Some(block) = update.classic(update.withdrawn) {
                return Some(block);
            }
        }
        if self.field == 1 {
            self.field = if update.is_withdraw() { 2 } else { 4 };
            if let Some(block) = update.mp_withdrawn() {
                return Some(block);
            }
        }
        while self.field < 4 {
            self.field += 1;
            let block = if self.field == 3 {
                update.nlri()
            } else {
                update.mp_nlri()
            };
            if block.is_some() {
                return block;
            }
        }
        None
    }
}

/// Octets of an UPDATE without withdrawn routes, attributes and NLRI.
pub(crate) const EMPTY_LEN: usize = HEADER_LEN + 4;
