//! Path attributes (RFC 4271 §5): the flat, borrowed view that one validating pass over the octets yields.

use std::fmt;
use std::net::Ipv4Addr;

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
        f.pad(match self {
            Self::Igp => "igp",
            Self::Egp => "egp",
            Self::Incomplete => "incomplete",
        })
    }
}

/// AGGREGATOR: who formed an aggregate route.
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
    /// Bit N: an attribute of type N carries the Partial bit.
    pub(crate) partial: u64,
    pub(crate) as_path: &'a [u8],
    pub(crate) communities: &'a [u8],
    pub(crate) extended: &'a [u8],
    pub(crate) large: &'a [u8],
    pub(crate) ipv6_extended: &'a [u8],
    pub(crate) cluster_list: &'a [u8],
    pub(crate) as4_path: &'a [u8],
    pub(crate) reach_next_hop: &'a [u8],
    pub(crate) reach_nlri: &'a [u8],
    pub(crate) unreach_nlri: &'a [u8],
    pub(crate) reach_family: Family,
    pub(crate) unreach_family: Family,
    pub(crate) next_hop: u32,
    pub(crate) med: u32,
    pub(crate) local_pref: u32,
    pub(crate) originator_id: u32,
    pub(crate) only_to_customer: u32,
    pub(crate) aggregator: [u32; 2],
    pub(crate) as4_aggregator: [u32; 2],
    pub(crate) aigp: u64,
    pub(crate) origin: Origin,
    pub(crate) four_octet: bool,
}

impl<'a> Attributes<'a> {
    pub(crate) const fn empty(raw: &'a [u8], four_octet: bool) -> Self {
        Self {
            raw,
            present: 0,
            partial: 0,
            as_path: &[],
            communities: &[],
            extended: &[],
            large: &[],
            ipv6_extended: &[],
            cluster_list: &[],
            as4_path: &[],
            reach_next_hop: &[],
            reach_nlri: &[],
            unreach_nlri: &[],
            reach_family: Family::IPV4_UNICAST,
            unreach_family: Family::IPV4_UNICAST,
            next_hop: 0,
            med: 0,
            local_pref: 0,
            originator_id: 0,
            only_to_customer: 0,
            aggregator: [0; 2],
            as4_aggregator: [0; 2],
            aigp: 0,
            origin: Origin::Igp,
            four_octet,
        }
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
    pub const fn as_path(&self) -> Option<AsPath<'a>> {
        self.value(code::AS_PATH, AsPath::trusted(self.as_path, self.four_octet))
    }

    /// AS4_PATH, from a peer that sends two-octet numbers.
    #[must_use]
    #[inline]
    pub const fn as4_path(&self) -> Option<AsPath<'a>> {
        self.value(code::AS4_PATH, AsPath::trusted(self.as4_path, true))
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
    pub const fn aggregator(&self) -> Option<Aggregator> {
        let [asn, address] = self.aggregator;
        self.value(
            code::AGGREGATOR,
            Aggregator {
                asn: Asn(asn),
                address: Ipv4Addr::from_bits(address),
            },
        )
    }

    /// AS4_AGGREGATOR, from a peer that sends two-octet numbers.
    #[must_use]
    #[inline]
    pub const fn as4_aggregator(&self) -> Option<Aggregator> {
        let [asn, address] = self.as4_aggregator;
        self.value(
            code::AS4_AGGREGATOR,
            Aggregator {
                asn: Asn(asn),
                address: Ipv4Addr::from_bits(address),
            },
        )
    }

    /// COMMUNITIES; empty if there are none.
    #[must_use]
    #[inline]
    pub const fn communities(&self) -> Communities<'a> {
        Communities::new(self.communities)
    }

    /// EXTENDED COMMUNITIES; empty if there are none.
    #[must_use]
    #[inline]
    pub const fn extended_communities(&self) -> ExtendedCommunities<'a> {
        ExtendedCommunities::new(self.extended)
    }

    /// IPv6 address specific extended communities; empty if there are none.
    #[must_use]
    #[inline]
    pub const fn ipv6_extended_communities(&self) -> Ipv6ExtendedCommunities<'a> {
        Ipv6ExtendedCommunities::new(self.ipv6_extended)
    }

    /// LARGE COMMUNITIES; empty if there are none.
    #[must_use]
    #[inline]
    pub const fn large_communities(&self) -> LargeCommunities<'a> {
        LargeCommunities::new(self.large)
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
    pub const fn cluster_list(&self) -> ClusterList<'a> {
        ClusterList::new(self.cluster_list)
    }

    /// MP_REACH_NLRI of a negotiated family.
    #[must_use]
    #[inline]
    pub fn mp_reach(&self) -> Option<MpReach<'a>> {
        self.has(code::MP_REACH_NLRI).then(|| MpReach {
            family: self.reach_family,
            next_hop: NextHop::read(
                self.reach_next_hop,
                next_hop::has_distinguisher(self.reach_family),
            ),
            nlri: self.reach_nlri,
        })
    }

    /// MP_UNREACH_NLRI of a negotiated family.
    #[must_use]
    #[inline]
    pub const fn mp_unreach(&self) -> Option<MpUnreach<'a>> {
        self.value(
            code::MP_UNREACH_NLRI,
            MpUnreach {
                family: self.unreach_family,
                nlri: self.unreach_nlri,
            },
        )
    }

    /// The accumulated IGP metric, RFC 7311.
    #[must_use]
    #[inline]
    pub const fn aigp(&self) -> Option<u64> {
        self.value(code::AIGP, self.aigp)
    }

    /// Only to Customer, RFC 9234.
    #[must_use]
    #[inline]
    pub const fn only_to_customer(&self) -> Option<Asn> {
        self.value(code::ONLY_TO_CUSTOMER, Asn(self.only_to_customer))
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
