//! UPDATE (RFC 4271 §4.3, §6.3) with the error handling of RFC 7606.

use std::net::Ipv6Addr;

use crate::attribute::error::{AttributeError, AttributeErrorKind, Report};
use crate::attribute::{AttributeErrors, Attributes, Treatment, clean, code, flag, slot, walk};
use crate::family::Family;
use crate::header::HEADER_LEN;
use crate::next_hop::{self, NextHop};
use crate::nlri::NlriBlock;

mod context;
mod error;
mod fields;
mod sections;

pub use context::{AsSets, DecodeContext, PeerKind};
pub use error::UpdateError;
pub use fields::{Announced, AnnouncedIter, WithdrawnIter};
pub(crate) use sections::Bounds;
pub use sections::Sections;

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
    /// Their octets are the whole body.
    attributes: Attributes<'a>,
    context: DecodeContext,
    reach: Field,
    unreach: Field,
    /// Which fields hold NLRI of families in use, of [`field`].
    fields: u8,
    treatment: Option<Treatment>,
}

/// NLRI in a multiprotocol attribute: where they stand in the body.
#[derive(Clone, Copy, Debug)]
struct Field {
    family: Family,
    start: u16,
    end: u16,
}

impl Field {
    #[inline]
    fn parts(self) -> (Family, u16, usize) {
        (self.family, self.start, usize::from(self.end))
    }

    const NONE: Self = Self {
        family: Family::IPV4_UNICAST,
        start: 0,
        end: 0,
    };
}

/// The four fields of an UPDATE that can hold NLRI, in the order in which they take effect.
mod field {
    pub(super) const WITHDRAWN: u8 = 1;
    pub(super) const UNREACH: u8 = 2;
    pub(super) const NLRI: u8 = 4;
    pub(super) const REACH: u8 = 8;
}

impl<'a> Update<'a> {
    /// Reads the body of an UPDATE, that is the message without its header.
    ///
    /// ```
    /// # use bgp_codec::{DecodeContext, Family, FamilySet, PeerKind, Treatment, Update};
    /// // ORIGIN, AS_PATH 64512, NEXT_HOP 192.0.2.1; 10.0.0.0/8.
    /// let body = [0, 0, 0, 20, 0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1, 8, 10];
    /// let update = Update::decode(&body, &DecodeContext::all(PeerKind::External))?;
    /// assert_eq!(update.announced().count(), 1);
    /// # Ok::<(), bgp_codec::UpdateError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`UpdateError`] where RFC 7606 leaves no choice but to close the session or disable a family.
    ///
    /// It is not inlined, and has one way out, so that the view is built where the caller wants it: one that is moved is
    /// copied, which costs more than reading a prefix.
    #[inline(never)]
    pub fn decode(body: &'a [u8], context: &DecodeContext) -> Result<Self, UpdateError> {
        let mut result = match Bounds::find(body) {
            Some(bounds) => Ok(Self::unread(body, bounds, context)),
            None => Err(UpdateError::MalformedAttributeList),
        };
        if let Ok(update) = &mut result
            && !update.read()
            && let Err(error) = update.read_exactly()
        {
            result = Err(error);
        }
        result
    }

    #[inline(always)]
    fn unread(body: &'a [u8], Bounds { start, end }: Bounds, context: &DecodeContext) -> Self {
        let mut fields = 0;
        if context.families.contains(Family::IPV4_UNICAST) {
            let (withdrawn, nlri) = (start > 4, end < body.len());
            fields = u8::from(withdrawn) * field::WITHDRAWN + u8::from(nlri) * field::NLRI;
        }
        Self {
            attributes: Attributes::unread(body, start, end, context.four_octet_asn),
            context: *context,
            reach: Field::NONE,
            unreach: Field::NONE,
            fields,
            treatment: None,
        }
    }

    /// `false` unless all is perfect.
    #[inline(always)]
    fn read(&mut self) -> bool {
        self.attributes.bounds().start() == self.attributes.octets().len()
            || clean::read(&mut self.attributes, &self.context)
                && self.place_multiprotocol()
                && self.missing() == 0
    }

    /// Something is wrong, or rare.
    #[cold]
    #[inline(never)]
    fn read_exactly(&mut self) -> Result<(), UpdateError> {
        let mut treatment = None;
        self.attributes = self.attributes.to_unread();
        self.fields &= field::WITHDRAWN | field::NLRI;
        walk::walk(&mut self.attributes, &self.context, &mut treatment)?;
        let _usable = self.place_multiprotocol();
        self.treatment = treatment;
        if self.missing() != 0 {
            self.treatment = self.treatment.max(Some(Treatment::TreatAsWithdraw));
        }
        if self.is_withdraw() {
            self.check_reachable()?;
        }
        Ok(())
    }

    /// Finds the NLRI in multiprotocol attributes; `false` unless those that are there can be used.
    #[inline]
    fn place_multiprotocol(&mut self) -> bool {
        const MULTIPROTOCOL: u64 = (1 << code::MP_REACH_NLRI) | (1 << code::MP_UNREACH_NLRI);
        self.attributes.present & MULTIPROTOCOL == 0 || (self.place_reach() && self.place_unreach())
    }

    fn place_reach(&mut self) -> bool {
        let span = self.attributes.span(slot::MP_REACH_NLRI);
        if span.is_empty() {
            return true;
        }
        let Some((family, next_hop)) = clean::reach(self.attributes.at(span), &self.context) else {
            return false;
        };
        let (start, end) = span.behind(5 + next_hop);
        self.reach = Field { family, start, end };
        self.fields |= if start < end { field::REACH } else { 0 };
        true
    }

    fn place_unreach(&mut self) -> bool {
        let span = self.attributes.span(slot::MP_UNREACH_NLRI);
        if span.is_empty() {
            return true;
        }
        let Some((family, _)) = walk::split_family(self.attributes.at(span)) else {
            return false;
        };
        let (start, end) = span.behind(3);
        self.unreach = Field { family, start, end };
        self.fields |= if start < end { field::UNREACH } else { 0 };
        self.context.families.contains(family)
    }

    /// RFC 7606 §5.2: where other attributes than MP_UNREACH_NLRI come without reachable NLRI, the NLRI may have been
    /// lost to the error, so withdrawing what is there would not do.
    #[cold]
    fn check_reachable(&self) -> Result<(), UpdateError> {
        let mut attributes = self.attributes.iter_raw();
        // Whether MP_REACH_NLRI of another family than those in use announces anything is not known.
        let reachable = self.nlri_start() < self.attributes.octets().len()
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
                // RFC 4271 §6.3: a list that ends inside an attribute is told without data; one of that type may stand
                // before it.
                attribute: if error.kind == AttributeErrorKind::Overrun {
                    Vec::new()
                } else {
                    self.whole_attribute(error.code)
                },
            }),
            None => Err(UpdateError::MalformedAttributeList),
        }
    }

    /// The mandatory attributes that are not there, one bit a type, where routes are announced (RFC 4271 §5).
    #[inline]
    fn missing(&self) -> u64 {
        const ALWAYS: u64 = (1 << code::ORIGIN) | (1 << code::AS_PATH);
        let mut mandatory = 0;
        if self.fields & field::REACH != 0 {
            mandatory = ALWAYS;
        }
        if self.nlri_start() < self.attributes.octets().len() {
            mandatory = ALWAYS | (1 << code::NEXT_HOP);
        }
        mandatory & !self.attributes.present
    }

    /// The attributes.
    ///
    /// ```
    /// # use bgp_codec::{DecodeContext, Family, FamilySet, PeerKind, Treatment, Update};
    /// // ORIGIN, AS_PATH 64512, NEXT_HOP 192.0.2.1; 10.0.0.0/8.
    /// let body = [0, 0, 0, 20, 0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1, 8, 10];
    /// let update = Update::decode(&body, &DecodeContext::all(PeerKind::External))?;
    /// assert_eq!(update.attributes().origin(), Some(bgp_codec::Origin::Igp));
    /// # Ok::<(), bgp_codec::UpdateError>(())
    /// ```
    #[must_use]
    #[inline]
    pub const fn attributes(&self) -> &Attributes<'a> {
        &self.attributes
    }

    fn nlri_start(&self) -> usize {
        self.attributes.bounds().end()
    }

    /// The three parts, unread.
    ///
    /// ```
    /// # use bgp_codec::{DecodeContext, Family, FamilySet, PeerKind, Treatment, Update};
    /// // ORIGIN, AS_PATH 64512, NEXT_HOP 192.0.2.1; 10.0.0.0/8.
    /// let body = [0, 0, 0, 20, 0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1, 8, 10];
    /// let update = Update::decode(&body, &DecodeContext::all(PeerKind::External))?;
    /// assert_eq!(update.sections().nlri, [8, 10]);
    /// # Ok::<(), bgp_codec::UpdateError>(())
    /// ```
    #[must_use]
    pub fn sections(&self) -> Sections<'a> {
        let body = self.attributes.octets();
        let withdrawn = 2..self.attributes.bounds().start().saturating_sub(2);
        Sections {
            withdrawn: body.get(withdrawn).unwrap_or_default(),
            attributes: self.attributes.raw(),
            nlri: body.get(self.nlri_start()..).unwrap_or_default(),
        }
    }

    /// The attribute block as it was on the wire.
    ///
    /// ```
    /// # use bgp_codec::{DecodeContext, Family, FamilySet, PeerKind, Treatment, Update};
    /// // ORIGIN, AS_PATH 64512, NEXT_HOP 192.0.2.1; 10.0.0.0/8.
    /// let body = [0, 0, 0, 20, 0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1, 8, 10];
    /// let update = Update::decode(&body, &DecodeContext::all(PeerKind::External))?;
    /// assert_eq!(update.raw_attributes().len(), 20);
    /// # Ok::<(), bgp_codec::UpdateError>(())
    /// ```
    #[must_use]
    pub fn raw_attributes(&self) -> &'a [u8] {
        self.attributes.raw()
    }

    /// The strongest treatment that the errors ask for; `None` if the attributes are clean.
    ///
    /// [`Update::announced`] and [`Update::withdrawn`] already follow it.
    ///
    /// ```
    /// # use bgp_codec::{DecodeContext, PeerKind, Treatment, Update};
    /// // ORIGIN of no known value, AS_PATH, NEXT_HOP; 10.0.0.0/8.
    /// let body = [0, 0, 0, 20, 0x40, 1, 1, 9, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1, 8, 10];
    /// let update = Update::decode(&body, &DecodeContext::all(PeerKind::External))?;
    /// assert_eq!(update.treatment(), Some(Treatment::TreatAsWithdraw));
    /// assert_eq!((update.announced().count(), update.withdrawn().count()), (0, 1));
    /// # Ok::<(), bgp_codec::UpdateError>(())
    /// ```
    #[must_use]
    #[inline]
    pub const fn treatment(&self) -> Option<Treatment> {
        self.treatment
    }

    /// What is wrong with the attributes; they are read once more to tell.
    ///
    /// ```
    /// # use bgp_codec::{DecodeContext, PeerKind, Treatment, Update};
    /// // ORIGIN of no known value, AS_PATH, NEXT_HOP; 10.0.0.0/8.
    /// let body = [0, 0, 0, 20, 0x40, 1, 1, 9, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1, 8, 10];
    /// let update = Update::decode(&body, &DecodeContext::all(PeerKind::External))?;
    /// assert!(update.errors().iter().map(|error| error.to_string()).eq(["attribute 1: invalid value"]));
    /// # Ok::<(), bgp_codec::UpdateError>(())
    /// ```
    #[must_use]
    #[cold]
    pub fn errors(&self) -> AttributeErrors {
        let mut errors = AttributeErrors::NONE;
        let mut attributes = self.attributes.to_unread();
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

    /// The NLRI of one of [`field`] that is there.
    #[inline(always)]
    fn block(&self, which: u8) -> NlriBlock<'a> {
        let body = self.attributes.octets();
        let bounds = self.attributes.bounds();
        let (family, start, end) = match which {
            field::WITHDRAWN => (Family::IPV4_UNICAST, 2, bounds.start().saturating_sub(2)),
            field::NLRI => (Family::IPV4_UNICAST, bounds.end_u16(), body.len()),
            field::UNREACH => self.unreach.parts(),
            _ => self.reach.parts(),
        };
        let octets = body.get(..end).unwrap_or_default();
        NlriBlock::within(family, octets, start, self.context.add_path.contains(family))
    }

    #[inline]
    fn block_of(&self, which: u8) -> Option<NlriBlock<'a>> {
        (self.fields & which != 0).then(|| self.block(which))
    }

    /// IPv4 unicast NLRI at the end of the message.
    ///
    /// ```
    /// # use bgp_codec::{DecodeContext, Family, FamilySet, PeerKind, Treatment, Update};
    /// // ORIGIN, AS_PATH 64512, NEXT_HOP 192.0.2.1; 10.0.0.0/8.
    /// let body = [0, 0, 0, 20, 0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1, 8, 10];
    /// let update = Update::decode(&body, &DecodeContext::all(PeerKind::External))?;
    /// assert_eq!(update.nlri().map(|block| block.bytes()), Some(&[8, 10][..]));
    /// # Ok::<(), bgp_codec::UpdateError>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn nlri(&self) -> Option<NlriBlock<'a>> {
        self.block_of(field::NLRI)
    }

    /// NLRI of MP_REACH_NLRI.
    ///
    /// ```
    /// # use bgp_codec::{DecodeContext, Family, PeerKind, Update};
    /// // MP_REACH_NLRI: 2001:db8::/32 via 2001:db8::1; MP_UNREACH_NLRI: 2001:db9::/32; ORIGIN, AS_PATH.
    /// # let mut body = vec![0, 0, 0, 52, 0x80, 14, 26, 0, 2, 1, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
    /// # body.extend([32, 0x20, 1, 0xd, 0xb8, 0x80, 15, 8, 0, 2, 1, 32, 0x20, 1, 0xd, 0xb9]);
    /// # body.extend([0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0]);
    /// # body[3] = body.len() as u8 - 4;
    /// let update = Update::decode(&body, &DecodeContext::all(PeerKind::External))?;
    /// assert_eq!(update.mp_nlri().map(|block| block.ip_prefixes().count()), Some(1));
    /// # Ok::<(), bgp_codec::UpdateError>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn mp_nlri(&self) -> Option<NlriBlock<'a>> {
        self.block_of(field::REACH)
    }

    /// NLRI of MP_UNREACH_NLRI.
    ///
    /// ```
    /// # use bgp_codec::{DecodeContext, Family, PeerKind, Update};
    /// // MP_REACH_NLRI: 2001:db8::/32 via 2001:db8::1; MP_UNREACH_NLRI: 2001:db9::/32; ORIGIN, AS_PATH.
    /// # let mut body = vec![0, 0, 0, 52, 0x80, 14, 26, 0, 2, 1, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
    /// # body.extend([32, 0x20, 1, 0xd, 0xb8, 0x80, 15, 8, 0, 2, 1, 32, 0x20, 1, 0xd, 0xb9]);
    /// # body.extend([0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0]);
    /// # body[3] = body.len() as u8 - 4;
    /// let update = Update::decode(&body, &DecodeContext::all(PeerKind::External))?;
    /// assert_eq!(update.mp_withdrawn().map(|block| block.family), Some(Family::IPV6_UNICAST));
    /// # Ok::<(), bgp_codec::UpdateError>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn mp_withdrawn(&self) -> Option<NlriBlock<'a>> {
        self.block_of(field::UNREACH)
    }

    /// What the UPDATE announces: nothing if it is [treated as withdraw](Treatment::TreatAsWithdraw).
    ///
    /// ```
    /// # use bgp_codec::{DecodeContext, Family, FamilySet, PeerKind, Treatment, Update};
    /// // ORIGIN, AS_PATH 64512, NEXT_HOP 192.0.2.1; 10.0.0.0/8.
    /// let body = [0, 0, 0, 20, 0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1, 8, 10];
    /// let update = Update::decode(&body, &DecodeContext::all(PeerKind::External))?;
    /// for announced in update.announced() {
    ///     assert_eq!(announced.nlri.family, Family::IPV4_UNICAST);
    /// }
    /// # Ok::<(), bgp_codec::UpdateError>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn announced(&self) -> AnnouncedIter<'_, 'a> {
        let announces = if self.is_withdraw() {
            0
        } else {
            field::NLRI | field::REACH
        };
        AnnouncedIter {
            update: self,
            fields: self.fields & announces,
        }
    }

    /// What the UPDATE withdraws: also all that it announces if it is [treated as
    /// withdraw](Treatment::TreatAsWithdraw).
    ///
    /// To be applied before [`Update::announced`]: a prefix in both is announced (RFC 4271 §4.3).
    ///
    /// ```
    /// # use bgp_codec::{DecodeContext, Family, PeerKind, Update};
    /// // MP_REACH_NLRI: 2001:db8::/32 via 2001:db8::1; MP_UNREACH_NLRI: 2001:db9::/32; ORIGIN, AS_PATH.
    /// # let mut body = vec![0, 0, 0, 52, 0x80, 14, 26, 0, 2, 1, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
    /// # body.extend([32, 0x20, 1, 0xd, 0xb8, 0x80, 15, 8, 0, 2, 1, 32, 0x20, 1, 0xd, 0xb9]);
    /// # body.extend([0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0]);
    /// # body[3] = body.len() as u8 - 4;
    /// let update = Update::decode(&body, &DecodeContext::all(PeerKind::External))?;
    /// let withdrawn = update.withdrawn().flat_map(|block| block.ip_prefixes()).flatten();
    /// assert!(withdrawn.map(|nlri| nlri.prefix.to_string()).eq(["2001:db9::/32"]));
    /// # Ok::<(), bgp_codec::UpdateError>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn withdrawn(&self) -> WithdrawnIter<'_, 'a> {
        let withdraws = if self.is_withdraw() {
            u8::MAX
        } else {
            field::WITHDRAWN | field::UNREACH
        };
        WithdrawnIter {
            update: self,
            fields: self.fields & withdraws,
        }
    }

    #[inline]
    fn is_withdraw(&self) -> bool {
        self.treatment() >= Some(Treatment::TreatAsWithdraw)
    }

    /// Reads all NLRI for their errors alone, so that no part of a bad message takes effect.
    ///
    /// ```
    /// use bgp_codec::{DecodeContext, Family, Notification, PeerKind, Treatment, Update, UpdateError};
    /// let context = DecodeContext::all(PeerKind::External);
    /// let update = Update::decode(&[0, 1, 33, 0, 0], &context)?;
    /// assert_eq!(update.check_nlri(), Err(UpdateError::InvalidNetworkField(Family::IPV4_UNICAST)));
    /// # Ok::<(), UpdateError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`UpdateError::InvalidNetworkField`] or, in a multiprotocol attribute, [`UpdateError::MalformedMultiprotocol`].
    pub fn check_nlri(&self) -> Result<(), UpdateError> {
        let classic = [self.block_of(field::WITHDRAWN), self.nlri()];
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
    ///
    /// ```
    /// # use bgp_codec::{DecodeContext, Family, FamilySet, PeerKind, Treatment, Update};
    /// // ORIGIN, AS_PATH 64512, NEXT_HOP 192.0.2.1; 10.0.0.0/8.
    /// let body = [0, 0, 0, 20, 0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1, 8, 10];
    /// let update = Update::decode(&body, &DecodeContext::all(PeerKind::External))?;
    /// let mut scratch = Vec::new();
    /// assert_eq!(update.interning_key(&mut scratch), update.raw_attributes());
    /// # Ok::<(), bgp_codec::UpdateError>(())
    /// ```
    #[must_use]
    pub fn interning_key<'k>(&'k self, scratch: &'k mut Vec<u8>) -> &'k [u8] {
        const MULTIPROTOCOL: u64 = (1 << code::MP_REACH_NLRI) | (1 << code::MP_UNREACH_NLRI);
        if self.attributes.present & MULTIPROTOCOL == 0 {
            return self.attributes.raw();
        }
        scratch.clear();
        for attribute in self.attributes.iter_raw() {
            let value = match attribute.code {
                code::MP_UNREACH_NLRI => continue,
                code::MP_REACH_NLRI => {
                    let nlri = usize::from(self.reach.end.saturating_sub(self.reach.start));
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

/// Family, next hop and what stands before the NLRI of MP_REACH_NLRI, if it is perfect and of a family in use.
#[inline]
pub(crate) fn read_reach(value: &[u8], context: &DecodeContext) -> Option<(Family, Option<NextHop>, usize)> {
    const IPV6: Family = Family::IPV6_UNICAST;
    // Nearly always.
    if let Some(([0, 2, 1, 16 | 32], rest)) = value.split_first_chunk::<4>()
        && context.families.contains(IPV6)
    {
        let (global, behind) = rest.split_first_chunk::<16>()?;
        let global = Ipv6Addr::from(*global);
        let (next_hop, behind) = if value.get(3) == Some(&16) {
            (NextHop::V6(global), behind)
        } else {
            let (link_local, behind) = behind.split_first_chunk::<16>()?;
            let link_local = Ipv6Addr::from(*link_local);
            (NextHop::V6WithLinkLocal { global, link_local }, behind)
        };
        // A reserved octet follows the next hop.
        return (!behind.is_empty()).then_some((IPV6, Some(next_hop), value.len() - behind.len() + 1));
    }
    let (family, len) = clean::reach(value, context)?;
    let next_hop = NextHop::read(value.get(4..4 + len)?, next_hop::has_distinguisher(family));
    Some((family, next_hop, 5 + len))
}

/// Octets of an UPDATE without withdrawn routes, attributes and NLRI.
pub(crate) const EMPTY_LEN: usize = HEADER_LEN + 4;
