//! Path attributes (RFC 4271 §5): the flat, borrowed view that one validating pass over the octets yields.

use std::net::Ipv4Addr;

use crate::asn::Asn;
use crate::header::MAX_EXTENDED;
use crate::next_hop::{self, NextHop};
use crate::update::DecodeContext;

mod aggregator;
pub mod as_path;
mod as_path_buf;
pub(crate) mod clean;
pub mod code;
pub mod error;
pub mod flag;
pub mod list;
mod multiprotocol;
mod opaque;
mod origin;
pub mod path_attributes;
pub(crate) mod slot;
mod span;
mod unknown;
pub(crate) mod walk;

pub use aggregator::{Aggregator, ParseAggregatorError};
pub use as_path::{AsPath, Segment, SegmentKind};
pub use as_path_buf::{AsPathBuf, AsPathSegment, ParseAsPathError};
pub use error::{AttributeError, AttributeErrorKind, AttributeErrors, Treatment};
pub use list::{ClusterList, Communities, ExtendedCommunities, Ipv6ExtendedCommunities, LargeCommunities};
pub use multiprotocol::{MpReach, MpUnreach};
pub use origin::{Origin, ParseOriginError};
pub use path_attributes::PathAttributes;
pub(crate) use span::{Bounds, Span};
pub(crate) use unknown::write;
pub use unknown::{RawAttribute, RawAttributes, UnknownAttribute};

/// The attributes of one UPDATE, or of an interned canonical block: scalars read, lists as slices.
///
/// ```
/// use bgp_codec::{Asn, Attributes, PathAttributes};
/// let owned = PathAttributes { med: Some(10), as_path: "64512".parse()?, ..PathAttributes::default() };
/// let mut block = Vec::new();
/// owned.encode_canonical(&mut block);
/// let attributes = Attributes::from_canonical(&block);
/// assert_eq!(attributes.med(), Some(10));
/// assert_eq!(attributes.as_path().and_then(|path| path.first_asn()), Some(Asn(64_512)));
/// # Ok::<(), bgp_codec::ParseAsPathError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    /// What spans count from: the body of an UPDATE, or the block alone.
    octets: &'a [u8],
    /// Bit N: an attribute of type N was there and its value is usable.
    pub(crate) present: u64,
    /// Where the values of usable attributes stand, by [`slot`].
    spans: [Span; slot::COUNT],
    /// Where the block stands.
    block: Bounds,
    pub(crate) four_octet: bool,
}

impl<'a> Attributes<'a> {
    /// Nothing read yet: the block is `octets[start..end]`, and `octets` are no more than a message can have.
    #[inline]
    pub(crate) const fn unread(octets: &'a [u8], start: usize, end: usize, four_octet: bool) -> Self {
        Self {
            octets,
            present: 0,
            spans: [Span::NOWHERE; slot::COUNT],
            block: Bounds::new(start, end),
            four_octet,
        }
    }

    /// The same without what has been read.
    pub(crate) const fn to_unread(self) -> Self {
        Self {
            present: 0,
            spans: [Span::NOWHERE; slot::COUNT],
            ..self
        }
    }

    /// Reads the block, if all of it is perfect; else `None`.
    pub(crate) fn clean(mut self, context: &DecodeContext) -> Option<Self> {
        clean::read(&mut self, context).then_some(self)
    }

    /// Forgets MP_REACH_NLRI and MP_UNREACH_NLRI.
    pub(crate) fn without_multiprotocol(mut self) -> Self {
        self.present &= !((1 << code::MP_REACH_NLRI) | (1 << code::MP_UNREACH_NLRI));
        self.place(slot::MP_REACH_NLRI, Span::NOWHERE);
        self.place(slot::MP_UNREACH_NLRI, Span::NOWHERE);
        self
    }

    /// A block that stands alone; what no message could hold is cut off.
    pub(crate) fn unread_block(block: &'a [u8], four_octet: bool) -> Self {
        let block = block.get(..block.len().min(MAX_EXTENDED)).unwrap_or_default();
        Self::unread(block, 0, block.len(), four_octet)
    }

    #[inline]
    pub(crate) const fn octets(&self) -> &'a [u8] {
        self.octets
    }

    #[inline]
    pub(crate) const fn bounds(&self) -> Bounds {
        self.block
    }

    #[inline]
    pub(crate) fn at(&self, span: Span) -> &'a [u8] {
        span.of(self.octets)
    }

    /// Notes where the value of an attribute stands.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "the index is masked")]
    pub(crate) fn place(&mut self, slot: u8, span: Span) {
        self.spans[usize::from(slot) & (slot::COUNT - 1)] = span;
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "the index is masked")]
    pub(crate) fn span(&self, slot: u8) -> Span {
        self.spans[usize::from(slot) & (slot::COUNT - 1)]
    }

    /// The value of an attribute; empty if it is not there or not usable.
    #[inline]
    fn value_in(&self, slot: u8) -> &'a [u8] {
        self.at(self.span(slot))
    }

    #[inline]
    fn number_in(&self, slot: u8) -> Option<u32> {
        self.value_in(slot)
            .first_chunk::<4>()
            .map(|octets| u32::from_be_bytes(*octets))
    }

    /// The value of an attribute that few routes have and that has no slot.
    #[cold]
    fn rare_value(&self, code: u8) -> Option<&'a [u8]> {
        if !self.has(code) {
            return None;
        }
        let first = self.iter_raw().find(|attribute| attribute.code == code)?;
        Some(first.value)
    }

    /// Reads a block that [`PathAttributes::encode_canonical`] wrote; anything else reads as far as it makes sense.
    ///
    /// ```
    /// use bgp_codec::{Attributes, Origin};
    /// assert_eq!(Attributes::from_canonical(&[0x40, 1, 1, 2]).origin(), Some(Origin::Incomplete));
    /// ```
    #[must_use]
    pub fn from_canonical(block: &'a [u8]) -> Self {
        walk::trusted(block)
    }

    #[inline]
    pub(crate) const fn has(&self, code: u8) -> bool {
        self.present & (1 << (code & 63)) != 0
    }

    /// The whole attribute block as it was on the wire.
    ///
    /// ```
    /// use bgp_codec::Attributes;
    /// assert_eq!(Attributes::from_canonical(&[0x40, 1, 1, 2]).raw(), [0x40, 1, 1, 2]);
    /// ```
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.octets
            .get(self.block.start()..self.block.end())
            .unwrap_or_default()
    }

    /// ORIGIN.
    ///
    /// ```
    /// use bgp_codec::{Attributes, Origin, PathAttributes};
    /// let owned = PathAttributes { origin: Origin::Egp, ..PathAttributes::default() };
    /// # let mut block = Vec::new();
    /// # owned.encode_canonical(&mut block);
    /// # let attributes = Attributes::from_canonical(&block);
    /// assert_eq!(attributes.origin(), Some(Origin::Egp));
    /// ```
    #[must_use]
    #[inline]
    pub fn origin(&self) -> Option<Origin> {
        Origin::from_code(*self.value_in(slot::ORIGIN).first()?)
    }

    /// AS_PATH, in the width of the session; see [`PathAttributes`] for the one merged with AS4_PATH.
    ///
    /// ```
    /// use bgp_codec::{Attributes, PathAttributes};
    /// let owned = PathAttributes { as_path: "64512 64513".parse()?, ..PathAttributes::default() };
    /// # let mut block = Vec::new();
    /// # owned.encode_canonical(&mut block);
    /// # let attributes = Attributes::from_canonical(&block);
    /// assert_eq!(attributes.as_path().map(|path| path.path_length()), Some(2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn as_path(&self) -> Option<AsPath<'a>> {
        self.has(code::AS_PATH)
            .then(|| AsPath::trusted(self.value_in(slot::AS_PATH), self.four_octet))
    }

    /// AS4_PATH, from a peer that sends two-octet numbers.
    ///
    /// ```
    /// # use bgp_codec::{DecodeContext, PeerKind, Update};
    /// # let context = DecodeContext { four_octet_asn: false, ..DecodeContext::all(PeerKind::External) };
    /// // AS_PATH 23456, AS4_PATH 4200000000.
    /// let body = [0, 0, 0, 16, 0x40, 2, 4, 2, 1, 0x5b, 0xa0, 0xc0, 17, 6, 2, 1, 0xfa, 0x56, 0xea, 0];
    /// let update = Update::decode(&body, &context)?;
    /// assert_eq!(update.attributes().as4_path().map(|path| path.to_string()).as_deref(), Some("4200000000"));
    /// # Ok::<(), bgp_codec::UpdateError>(())
    /// ```
    #[must_use]
    pub fn as4_path(&self) -> Option<AsPath<'a>> {
        if self.four_octet {
            return None;
        }
        self.rare_value(code::AS4_PATH)
            .map(|value| AsPath::trusted(value, true))
    }

    /// NEXT_HOP.
    ///
    /// ```
    /// use bgp_codec::Attributes;
    /// assert_eq!(Attributes::from_canonical(&[0x40, 3, 4, 192, 0, 2, 1]).next_hop(), Some([192, 0, 2, 1].into()));
    /// ```
    #[must_use]
    #[inline]
    pub fn next_hop(&self) -> Option<Ipv4Addr> {
        self.number_in(slot::NEXT_HOP).map(Ipv4Addr::from_bits)
    }

    /// MULTI_EXIT_DISC.
    ///
    /// ```
    /// use bgp_codec::{Attributes, PathAttributes};
    /// let owned = PathAttributes { med: Some(10), ..PathAttributes::default() };
    /// # let mut block = Vec::new();
    /// # owned.encode_canonical(&mut block);
    /// # let attributes = Attributes::from_canonical(&block);
    /// assert_eq!(attributes.med(), Some(10));
    /// ```
    #[must_use]
    #[inline]
    pub fn med(&self) -> Option<u32> {
        self.number_in(slot::MULTI_EXIT_DISC)
    }

    /// LOCAL_PREF; never from an external peer.
    ///
    /// ```
    /// use bgp_codec::{Attributes, PathAttributes};
    /// let owned = PathAttributes { local_pref: Some(200), ..PathAttributes::default() };
    /// # let mut block = Vec::new();
    /// # owned.encode_canonical(&mut block);
    /// # let attributes = Attributes::from_canonical(&block);
    /// assert_eq!(attributes.local_pref(), Some(200));
    /// ```
    #[must_use]
    #[inline]
    pub fn local_pref(&self) -> Option<u32> {
        self.number_in(slot::LOCAL_PREF)
    }

    /// Whether ATOMIC_AGGREGATE is there.
    ///
    /// ```
    /// use bgp_codec::{Attributes, PathAttributes};
    /// let owned = PathAttributes { atomic_aggregate: true, ..PathAttributes::default() };
    /// # let mut block = Vec::new();
    /// # owned.encode_canonical(&mut block);
    /// # let attributes = Attributes::from_canonical(&block);
    /// assert!(attributes.atomic_aggregate());
    /// ```
    #[must_use]
    #[inline]
    pub const fn atomic_aggregate(&self) -> bool {
        self.has(code::ATOMIC_AGGREGATE)
    }

    /// AGGREGATOR, as it stands in the message; see [`PathAttributes`] for the one merged with AS4_AGGREGATOR.
    ///
    /// ```
    /// use bgp_codec::{Attributes, PathAttributes};
    /// let owned = PathAttributes { aggregator: Some("64512 192.0.2.1".parse()?), ..PathAttributes::default() };
    /// # let mut block = Vec::new();
    /// # owned.encode_canonical(&mut block);
    /// # let attributes = Attributes::from_canonical(&block);
    /// assert_eq!(attributes.aggregator(), owned.aggregator);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn aggregator(&self) -> Option<Aggregator> {
        let span = self.span(slot::AGGREGATOR);
        if span.is_empty() {
            return None;
        }
        walk::aggregator(self.at(span), self.four_octet).ok()
    }

    /// AS4_AGGREGATOR, from a peer that sends two-octet numbers.
    ///
    /// ```
    /// # use bgp_codec::{DecodeContext, PeerKind, Update};
    /// # let context = DecodeContext { four_octet_asn: false, ..DecodeContext::all(PeerKind::External) };
    /// let body = [0, 0, 0, 11, 0xc0, 18, 8, 0xfa, 0x56, 0xea, 0, 192, 0, 2, 1];
    /// let update = Update::decode(&body, &context)?;
    /// assert_eq!(update.attributes().as4_aggregator(), "4200000000 192.0.2.1".parse().ok());
    /// # Ok::<(), bgp_codec::UpdateError>(())
    /// ```
    #[must_use]
    pub fn as4_aggregator(&self) -> Option<Aggregator> {
        if self.four_octet {
            return None;
        }
        walk::aggregator(self.rare_value(code::AS4_AGGREGATOR)?, true).ok()
    }

    /// COMMUNITIES; empty if there are none.
    ///
    /// ```
    /// use bgp_codec::{Attributes, Community, PathAttributes};
    /// let owned = PathAttributes { communities: vec![Community::NO_EXPORT], ..PathAttributes::default() };
    /// # let mut block = Vec::new();
    /// # owned.encode_canonical(&mut block);
    /// # let attributes = Attributes::from_canonical(&block);
    /// assert!(attributes.communities().contains(Community::NO_EXPORT));
    /// ```
    #[must_use]
    #[inline]
    pub fn communities(&self) -> Communities<'a> {
        Communities::new(self.value_in(slot::COMMUNITIES))
    }

    /// EXTENDED COMMUNITIES; empty if there are none.
    ///
    /// ```
    /// use bgp_codec::{Attributes, PathAttributes};
    /// let owned = PathAttributes { extended_communities: vec!["rt:64512:1".parse()?], ..PathAttributes::default() };
    /// # let mut block = Vec::new();
    /// # owned.encode_canonical(&mut block);
    /// # let attributes = Attributes::from_canonical(&block);
    /// assert!(attributes.extended_communities().iter().eq(owned.extended_communities));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn extended_communities(&self) -> ExtendedCommunities<'a> {
        ExtendedCommunities::new(self.value_in(slot::EXTENDED_COMMUNITIES))
    }

    /// IPv6 address specific extended communities; empty if there are none.
    ///
    /// ```
    /// use bgp_codec::{Attributes, PathAttributes};
    /// let owned = PathAttributes { ipv6_extended_communities: vec!["rt:[2001:db8::1]:1".parse()?], ..PathAttributes::default() };
    /// # let mut block = Vec::new();
    /// # owned.encode_canonical(&mut block);
    /// # let attributes = Attributes::from_canonical(&block);
    /// assert_eq!(attributes.ipv6_extended_communities().len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn ipv6_extended_communities(&self) -> Ipv6ExtendedCommunities<'a> {
        let value = self.rare_value(code::IPV6_EXTENDED_COMMUNITIES);
        Ipv6ExtendedCommunities::new(value.unwrap_or_default())
    }

    /// LARGE COMMUNITIES; empty if there are none.
    ///
    /// ```
    /// use bgp_codec::{Attributes, PathAttributes};
    /// let owned = PathAttributes { large_communities: vec!["64512:1:2".parse()?], ..PathAttributes::default() };
    /// # let mut block = Vec::new();
    /// # owned.encode_canonical(&mut block);
    /// # let attributes = Attributes::from_canonical(&block);
    /// assert!(attributes.large_communities().iter().eq(owned.large_communities));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn large_communities(&self) -> LargeCommunities<'a> {
        LargeCommunities::new(self.value_in(slot::LARGE_COMMUNITIES))
    }

    /// ORIGINATOR_ID; never from an external peer.
    ///
    /// ```
    /// use bgp_codec::{Attributes, PathAttributes};
    /// let owned = PathAttributes { originator_id: Some([192, 0, 2, 1].into()), ..PathAttributes::default() };
    /// # let mut block = Vec::new();
    /// # owned.encode_canonical(&mut block);
    /// # let attributes = Attributes::from_canonical(&block);
    /// assert_eq!(attributes.originator_id(), owned.originator_id);
    /// ```
    #[must_use]
    #[inline]
    pub fn originator_id(&self) -> Option<Ipv4Addr> {
        self.number_in(slot::ORIGINATOR_ID).map(Ipv4Addr::from_bits)
    }

    /// CLUSTER_LIST, empty if there is none; never from an external peer.
    ///
    /// ```
    /// use bgp_codec::{Attributes, PathAttributes};
    /// let owned = PathAttributes { cluster_list: vec![[192, 0, 2, 1].into()], ..PathAttributes::default() };
    /// # let mut block = Vec::new();
    /// # owned.encode_canonical(&mut block);
    /// # let attributes = Attributes::from_canonical(&block);
    /// assert!(attributes.cluster_list().contains([192, 0, 2, 1].into()));
    /// ```
    #[must_use]
    #[inline]
    pub fn cluster_list(&self) -> ClusterList<'a> {
        ClusterList::new(self.value_in(slot::CLUSTER_LIST))
    }

    /// MP_REACH_NLRI of a negotiated family.
    ///
    /// ```
    /// # use bgp_codec::{DecodeContext, Family, PeerKind, Update};
    /// // MP_REACH_NLRI: 2001:db8::/32 via 2001:db8::1; MP_UNREACH_NLRI: 2001:db9::/32; ORIGIN, AS_PATH.
    /// # let mut body = vec![0, 0, 0, 52, 0x80, 14, 26, 0, 2, 1, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
    /// # body.extend([32, 0x20, 1, 0xd, 0xb8, 0x80, 15, 8, 0, 2, 1, 32, 0x20, 1, 0xd, 0xb9]);
    /// # body.extend([0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0]);
    /// # body[3] = body.len() as u8 - 4;
    /// let update = Update::decode(&body, &DecodeContext::all(PeerKind::External))?;
    /// let next_hop = update.attributes().mp_reach().and_then(|reach| reach.next_hop);
    /// assert_eq!(next_hop.map(|next_hop| next_hop.to_string()).as_deref(), Some("2001:db8::1"));
    /// # Ok::<(), bgp_codec::UpdateError>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn mp_reach(&self) -> Option<MpReach<'a>> {
        let (family, rest) = walk::split_family(self.value_in(slot::MP_REACH_NLRI))?;
        let (len, rest) = rest.split_first()?;
        let (next_hop, rest) = rest.split_at_checked(usize::from(*len))?;
        Some(MpReach {
            family,
            next_hop: NextHop::read(next_hop, next_hop::has_distinguisher(family)),
            nlri: rest.get(1..)?,
        })
    }

    /// The next hop alone.
    #[inline]
    pub(crate) fn mp_next_hop(&self) -> Option<NextHop> {
        let (family, rest) = walk::split_family(self.value_in(slot::MP_REACH_NLRI))?;
        let (len, rest) = rest.split_first()?;
        NextHop::read(
            rest.get(..usize::from(*len))?,
            next_hop::has_distinguisher(family),
        )
    }

    /// MP_UNREACH_NLRI of a negotiated family.
    ///
    /// ```
    /// # use bgp_codec::{DecodeContext, Family, PeerKind, Update};
    /// // MP_REACH_NLRI: 2001:db8::/32 via 2001:db8::1; MP_UNREACH_NLRI: 2001:db9::/32; ORIGIN, AS_PATH.
    /// # let mut body = vec![0, 0, 0, 52, 0x80, 14, 26, 0, 2, 1, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
    /// # body.extend([32, 0x20, 1, 0xd, 0xb8, 0x80, 15, 8, 0, 2, 1, 32, 0x20, 1, 0xd, 0xb9]);
    /// # body.extend([0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0]);
    /// # body[3] = body.len() as u8 - 4;
    /// let update = Update::decode(&body, &DecodeContext::all(PeerKind::External))?;
    /// assert!(update.attributes().mp_unreach().is_some());
    /// # Ok::<(), bgp_codec::UpdateError>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn mp_unreach(&self) -> Option<MpUnreach<'a>> {
        let (family, nlri) = walk::split_family(self.value_in(slot::MP_UNREACH_NLRI))?;
        Some(MpUnreach { family, nlri })
    }

    /// The accumulated IGP metric, RFC 7311.
    ///
    /// ```
    /// use bgp_codec::{Attributes, PathAttributes};
    /// let owned = PathAttributes { aigp: Some(1000), ..PathAttributes::default() };
    /// # let mut block = Vec::new();
    /// # owned.encode_canonical(&mut block);
    /// # let attributes = Attributes::from_canonical(&block);
    /// assert_eq!(attributes.aigp(), Some(1000));
    /// ```
    #[must_use]
    #[inline]
    pub fn aigp(&self) -> Option<u64> {
        let span = self.span(slot::AIGP);
        if span.is_empty() {
            return None;
        }
        walk::aigp(self.at(span)).ok()
    }

    /// Only to Customer, RFC 9234.
    ///
    /// ```
    /// use bgp_codec::{Asn, Attributes, PathAttributes};
    /// let owned = PathAttributes { only_to_customer: Some(Asn(64_512)), ..PathAttributes::default() };
    /// # let mut block = Vec::new();
    /// # owned.encode_canonical(&mut block);
    /// # let attributes = Attributes::from_canonical(&block);
    /// assert_eq!(attributes.only_to_customer(), Some(Asn(64_512)));
    /// ```
    #[must_use]
    #[inline]
    pub fn only_to_customer(&self) -> Option<Asn> {
        self.number_in(slot::ONLY_TO_CUSTOMER).map(Asn)
    }

    /// Attributes that this crate does not read and that are to be passed on: transitive, with the Partial bit set
    /// (RFC 4271 §5). Those not transitive are left out.
    ///
    /// ```
    /// use bgp_codec::Attributes;
    /// let attributes = Attributes::from_canonical(&[0xc0, 99, 1, 7]);
    /// // Whoever does not know it says so: the Partial bit.
    /// assert!(attributes.unknown().all(|unknown| (unknown.code, unknown.flags) == (99, 0xe0)));
    /// # assert_eq!(attributes.unknown().count(), 1);
    /// ```
    pub fn unknown(&self) -> impl Iterator<Item = RawAttribute<'a>> + 'a {
        unknown::to_propagate(self.raw(), self.present)
    }

    /// Every attribute of the block in order, unread.
    ///
    /// ```
    /// use bgp_codec::Attributes;
    /// let attributes = Attributes::from_canonical(&[0x40, 1, 1, 0, 0x40, 2, 0]);
    /// assert_eq!(attributes.iter_raw().map(|attribute| attribute.code).collect::<Vec<_>>(), [1, 2]);
    /// ```
    #[must_use]
    pub fn iter_raw(&self) -> RawAttributes<'a> {
        RawAttributes::new(self.raw())
    }
}
