//! Path attributes (RFC 4271 §5): the flat, borrowed view that one validating pass over the octets yields.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use thiserror::Error;

use crate::asn::Asn;
use crate::family::Family;
use crate::next_hop::{self, NextHop};

pub mod as_path;
pub mod error;
pub mod list;
mod opaque;
pub mod path_attributes;
mod unknown;
pub(crate) mod walk;

pub use as_path::{AsPath, AsPathBuf, AsPathSegment, ParseAsPathError, Segment, SegmentKind};
pub use error::{AttributeError, AttributeErrorKind, AttributeErrors, Treatment};
pub use list::{ClusterList, Communities, ExtendedCommunities, Ipv6ExtendedCommunities, LargeCommunities};
pub use path_attributes::PathAttributes;
pub(crate) use unknown::write;
pub use unknown::{RawAttribute, RawAttributes, UnknownAttribute};

/// Attribute type codes.
pub mod code {
    /// RFC 4271 §5.1.1.
    pub const ORIGIN: u8 = 1;
    /// RFC 4271 §5.1.2.
    pub const AS_PATH: u8 = 2;
    /// RFC 4271 §5.1.3.
    pub const NEXT_HOP: u8 = 3;
    /// RFC 4271 §5.1.4.
    pub const MULTI_EXIT_DISC: u8 = 4;
    /// RFC 4271 §5.1.5.
    pub const LOCAL_PREF: u8 = 5;
    /// RFC 4271 §5.1.6.
    pub const ATOMIC_AGGREGATE: u8 = 6;
    /// RFC 4271 §5.1.7.
    pub const AGGREGATOR: u8 = 7;
    /// RFC 1997.
    pub const COMMUNITIES: u8 = 8;
    /// RFC 4456 §8.
    pub const ORIGINATOR_ID: u8 = 9;
    /// RFC 4456 §8.
    pub const CLUSTER_LIST: u8 = 10;
    /// RFC 4760 §3.
    pub const MP_REACH_NLRI: u8 = 14;
    /// RFC 4760 §4.
    pub const MP_UNREACH_NLRI: u8 = 15;
    /// RFC 4360 §2.
    pub const EXTENDED_COMMUNITIES: u8 = 16;
    /// RFC 6793 §3.
    pub const AS4_PATH: u8 = 17;
    /// RFC 6793 §3.
    pub const AS4_AGGREGATOR: u8 = 18;
    /// RFC 6514 §5; carried as octets.
    pub const PMSI_TUNNEL: u8 = 22;
    /// RFC 9012 §2; carried as octets.
    pub const TUNNEL_ENCAPSULATION: u8 = 23;
    /// RFC 5701 §2.
    pub const IPV6_EXTENDED_COMMUNITIES: u8 = 25;
    /// RFC 7311 §3.
    pub const AIGP: u8 = 26;
    /// RFC 6790 §5.2, deprecated by RFC 7447; carried as octets, of any length.
    pub const ENTROPY_LABEL: u8 = 28;
    /// RFC 9552 §5.3; carried as octets.
    pub const BGP_LS: u8 = 29;
    /// RFC 8092 §3.
    pub const LARGE_COMMUNITIES: u8 = 32;
    /// RFC 8205 §3; carried as octets.
    pub const BGPSEC_PATH: u8 = 33;
    /// RFC 9234 §5.
    pub const ONLY_TO_CUSTOMER: u8 = 35;
    /// RFC 8669 §3; carried as octets.
    pub const PREFIX_SID: u8 = 40;
    /// RFC 6368 §5; carried as octets.
    pub const ATTR_SET: u8 = 128;
}

/// Attribute flags, RFC 4271 §4.3.
pub mod flag {
    /// The attribute is not well-known.
    pub const OPTIONAL: u8 = 0x80;
    /// The attribute is passed on also by those who do not know it.
    pub const TRANSITIVE: u8 = 0x40;
    /// Someone on the way did not know it.
    pub const PARTIAL: u8 = 0x20;
    /// The length has two octets.
    pub const EXTENDED_LENGTH: u8 = 0x10;
}

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

/// AGGREGATOR: who formed an aggregate route.
///
/// ```
/// use bgp_codec::{Aggregator, Asn};
/// let aggregator = Aggregator { asn: Asn(64_512), address: [192, 0, 2, 1].into() };
/// assert_eq!(aggregator.to_string(), "64512 192.0.2.1");
/// assert_eq!("64512 192.0.2.1".parse(), Ok(aggregator));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Aggregator {
    /// Its AS.
    pub asn: Asn,
    /// Its BGP Identifier.
    pub address: Ipv4Addr,
}

impl fmt::Display for Aggregator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.asn, self.address)
    }
}

/// The text is no aggregator.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not an aggregator: expected an AS number and an IPv4 address")]
pub struct ParseAggregatorError;

impl FromStr for Aggregator {
    type Err = ParseAggregatorError;

    fn from_str(text: &str) -> Result<Self, ParseAggregatorError> {
        let (asn, address) = text.split_once(' ').ok_or(ParseAggregatorError)?;
        Ok(Self {
            asn: asn.parse().map_err(|_| ParseAggregatorError)?,
            address: address.parse().map_err(|_| ParseAggregatorError)?,
        })
    }
}

/// MP_REACH_NLRI.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MpReach<'a> {
    /// The family of the NLRI.
    pub family: Family,
    /// The next hop; `None` for families that have none, such as flow specifications.
    pub next_hop: Option<NextHop>,
    /// The NLRI, unread.
    pub nlri: &'a [u8],
}

/// MP_UNREACH_NLRI.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MpUnreach<'a> {
    /// The family of the NLRI.
    pub family: Family,
    /// The withdrawn NLRI, unread.
    pub nlri: &'a [u8],
}

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
    pub(crate) raw: &'a [u8],
    /// Bit N: an attribute of type N was there and its value is usable.
    pub(crate) present: u64,
    pub(crate) next_hop: u32,
    pub(crate) med: u32,
    pub(crate) local_pref: u32,
    pub(crate) originator_id: u32,
    pub(crate) as_path: Span,
    pub(crate) communities: Span,
    pub(crate) extended: Span,
    pub(crate) large: Span,
    pub(crate) cluster_list: Span,
    pub(crate) reach_next_hop: Span,
    pub(crate) reach_nlri: Span,
    pub(crate) unreach_nlri: Span,
    pub(crate) rare: Rare,
    pub(crate) reach_family: Family,
    pub(crate) unreach_family: Family,
    pub(crate) origin: Origin,
    pub(crate) four_octet: bool,
}

/// Where the values of attributes stand that few routes have.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rare {
    pub(crate) aggregator: Span,
    pub(crate) as4_path: Span,
    pub(crate) as4_aggregator: Span,
    pub(crate) ipv6_extended: Span,
    pub(crate) aigp: Span,
    pub(crate) only_to_customer: Span,
}

/// Where a value stands in the block: a fourth of a slice, and the view is copied often.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    start: u16,
    len: u16,
}

impl Span {
    /// `start` and `len` lie in a block of at most 65,535 octets.
    #[inline]
    #[expect(
        clippy::as_conversions,
        reason = "no block is longer than its length field can say"
    )]
    pub(crate) const fn new(start: usize, len: usize) -> Self {
        Self {
            start: start as u16,
            len: len as u16,
        }
    }

    #[inline]
    pub(crate) const fn is_empty(self) -> bool {
        self.len == 0
    }
}

impl<'a> Attributes<'a> {
    #[inline]
    pub(crate) const fn empty(raw: &'a [u8], four_octet: bool) -> Self {
        const NOWHERE: Span = Span { start: 0, len: 0 };
        Self {
            raw,
            present: 0,
            next_hop: 0,
            med: 0,
            local_pref: 0,
            originator_id: 0,
            as_path: NOWHERE,
            communities: NOWHERE,
            extended: NOWHERE,
            large: NOWHERE,
            cluster_list: NOWHERE,
            reach_next_hop: NOWHERE,
            reach_nlri: NOWHERE,
            unreach_nlri: NOWHERE,
            rare: Rare {
                aggregator: NOWHERE,
                as4_path: NOWHERE,
                as4_aggregator: NOWHERE,
                ipv6_extended: NOWHERE,
                aigp: NOWHERE,
                only_to_customer: NOWHERE,
            },
            reach_family: Family::IPV4_UNICAST,
            unreach_family: Family::IPV4_UNICAST,
            origin: Origin::Igp,
            four_octet,
        }
    }

    #[inline]
    pub(crate) fn at(&self, span: Span) -> &'a [u8] {
        let start = usize::from(span.start);
        self.raw
            .get(start..start + usize::from(span.len))
            .unwrap_or_default()
    }

    /// Reads a block that [`PathAttributes::encode_canonical`] wrote; anything else reads as far as it makes sense.
    #[must_use]
    pub fn from_canonical(block: &'a [u8]) -> Self {
        walk::trusted(block)
    }

    #[inline]
    pub(crate) const fn has(&self, code: u8) -> bool {
        self.present & (1 << (code & 63)) != 0
    }

    #[inline]
    const fn value<T: Copy>(&self, code: u8, value: T) -> Option<T> {
        if self.has(code) { Some(value) } else { None }
    }

    /// The whole attribute block as it was on the wire.
    #[must_use]
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// ORIGIN.
    #[must_use]
    #[inline]
    pub const fn origin(&self) -> Option<Origin> {
        self.value(code::ORIGIN, self.origin)
    }

    /// AS_PATH, in the width of the session; see [`PathAttributes`] for the one merged with AS4_PATH.
    #[must_use]
    #[inline]
    pub fn as_path(&self) -> Option<AsPath<'a>> {
        self.has(code::AS_PATH)
            .then(|| AsPath::trusted(self.at(self.as_path), self.four_octet))
    }

    /// AS4_PATH, from a peer that sends two-octet numbers.
    #[must_use]
    #[inline]
    pub fn as4_path(&self) -> Option<AsPath<'a>> {
        (self.has(code::AS4_PATH) && !self.four_octet)
            .then(|| AsPath::trusted(self.at(self.rare.as4_path), true))
    }

    /// NEXT_HOP.
    #[must_use]
    #[inline]
    pub const fn next_hop(&self) -> Option<Ipv4Addr> {
        self.value(code::NEXT_HOP, Ipv4Addr::from_bits(self.next_hop))
    }

    /// MULTI_EXIT_DISC.
    #[must_use]
    #[inline]
    pub const fn med(&self) -> Option<u32> {
        self.value(code::MULTI_EXIT_DISC, self.med)
    }

    /// LOCAL_PREF; never from an external peer.
    #[must_use]
    #[inline]
    pub const fn local_pref(&self) -> Option<u32> {
        self.value(code::LOCAL_PREF, self.local_pref)
    }

    /// Whether ATOMIC_AGGREGATE is there.
    #[must_use]
    #[inline]
    pub const fn atomic_aggregate(&self) -> bool {
        self.has(code::ATOMIC_AGGREGATE)
    }

    /// AGGREGATOR, as it stands in the message; see [`PathAttributes`] for the one merged with AS4_AGGREGATOR.
    #[must_use]
    #[inline]
    pub fn aggregator(&self) -> Option<Aggregator> {
        if !self.has(code::AGGREGATOR) {
            return None;
        }
        walk::aggregator(self.at(self.rare.aggregator), self.four_octet).ok()
    }

    /// AS4_AGGREGATOR, from a peer that sends two-octet numbers.
    #[must_use]
    #[inline]
    pub fn as4_aggregator(&self) -> Option<Aggregator> {
        if !self.has(code::AS4_AGGREGATOR) || self.four_octet {
            return None;
        }
        walk::aggregator(self.at(self.rare.as4_aggregator), true).ok()
    }

    /// COMMUNITIES; empty if there are none.
    #[must_use]
    #[inline]
    pub fn communities(&self) -> Communities<'a> {
        Communities::new(self.at(self.communities))
    }

    /// EXTENDED COMMUNITIES; empty if there are none.
    #[must_use]
    #[inline]
    pub fn extended_communities(&self) -> ExtendedCommunities<'a> {
        ExtendedCommunities::new(self.at(self.extended))
    }

    /// IPv6 address specific extended communities; empty if there are none.
    #[must_use]
    #[inline]
    pub fn ipv6_extended_communities(&self) -> Ipv6ExtendedCommunities<'a> {
        Ipv6ExtendedCommunities::new(self.at(self.rare.ipv6_extended))
    }

    /// LARGE COMMUNITIES; empty if there are none.
    #[must_use]
    #[inline]
    pub fn large_communities(&self) -> LargeCommunities<'a> {
        LargeCommunities::new(self.at(self.large))
    }

    /// ORIGINATOR_ID; never from an external peer.
    #[must_use]
    #[inline]
    pub const fn originator_id(&self) -> Option<Ipv4Addr> {
        self.value(code::ORIGINATOR_ID, Ipv4Addr::from_bits(self.originator_id))
    }

    /// CLUSTER_LIST, empty if there is none; never from an external peer.
    #[must_use]
    #[inline]
    pub fn cluster_list(&self) -> ClusterList<'a> {
        ClusterList::new(self.at(self.cluster_list))
    }

    /// MP_REACH_NLRI of a negotiated family.
    #[must_use]
    #[inline]
    pub fn mp_reach(&self) -> Option<MpReach<'a>> {
        self.has(code::MP_REACH_NLRI).then(|| MpReach {
            family: self.reach_family,
            next_hop: NextHop::read(
                self.at(self.reach_next_hop),
                next_hop::has_distinguisher(self.reach_family),
            ),
            nlri: self.at(self.reach_nlri),
        })
    }

    /// MP_UNREACH_NLRI of a negotiated family.
    #[must_use]
    #[inline]
    pub fn mp_unreach(&self) -> Option<MpUnreach<'a>> {
        self.has(code::MP_UNREACH_NLRI).then(|| MpUnreach {
            family: self.unreach_family,
            nlri: self.at(self.unreach_nlri),
        })
    }

    /// The accumulated IGP metric, RFC 7311.
    #[must_use]
    #[inline]
    pub fn aigp(&self) -> Option<u64> {
        if self.has(code::AIGP) {
            walk::aigp(self.at(self.rare.aigp)).ok()
        } else {
            None
        }
    }

    /// Only to Customer, RFC 9234.
    #[must_use]
    #[inline]
    pub fn only_to_customer(&self) -> Option<Asn> {
        let value = <[u8; 4]>::try_from(self.at(self.rare.only_to_customer)).ok()?;
        self.has(code::ONLY_TO_CUSTOMER)
            .then_some(Asn(u32::from_be_bytes(value)))
    }

    /// Attributes that this crate does not read and that are to be passed on: transitive, with the Partial bit set
    /// (RFC 4271 §5). Those not transitive are left out.
    pub fn unknown(&self) -> impl Iterator<Item = RawAttribute<'a>> + 'a {
        unknown::to_propagate(self.raw, self.present)
    }

    /// Every attribute of the block in order, unread.
    #[must_use]
    pub const fn iter_raw(&self) -> RawAttributes<'a> {
        RawAttributes::new(self.raw)
    }
}
