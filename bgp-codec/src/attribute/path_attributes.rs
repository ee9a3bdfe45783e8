//! Owned attributes: what policy edits, and the canonical block that a RIB interns.

use std::net::Ipv4Addr;

use super::as_path::{AsPath, MAX_SEGMENT, SegmentKind};
use super::as_path_buf::{AsPathBuf, AsPathSegment};
use super::unknown::{self, UnknownAttribute};
use super::{Aggregator, Attributes, Origin, code, flag};
use crate::asn::{AS_TRANS, Asn};
use crate::community::{Community, ExtendedCommunity, Ipv6ExtendedCommunity, LargeCommunity};
use crate::next_hop::NextHop;

/// The attributes of a route, owned and editable.
///
/// ```
/// use bgp_codec::{Asn, Community, PathAttributes};
/// let mut attributes = PathAttributes::default();
/// attributes.as_path.prepend(Asn(64_512), 1);
/// attributes.communities.push(Community::NO_EXPORT);
/// let mut block = Vec::new();
/// attributes.encode_canonical(&mut block);
/// assert_eq!(block, [0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0xc0, 8, 4, 0xff, 0xff, 0xff, 1]);
/// ```
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct PathAttributes {
    /// ORIGIN.
    pub origin: Origin,
    /// AS_PATH with four-octet numbers.
    pub as_path: AsPathBuf,
    /// NEXT_HOP, or the next hop of MP_REACH_NLRI; not part of the canonical block.
    pub next_hop: Option<NextHop>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// LOCAL_PREF.
    pub local_pref: Option<u32>,
    /// ATOMIC_AGGREGATE.
    pub atomic_aggregate: bool,
    /// AGGREGATOR with a four-octet number.
    pub aggregator: Option<Aggregator>,
    /// COMMUNITIES, in the order received.
    pub communities: Vec<Community>,
    /// EXTENDED COMMUNITIES, in the order received.
    pub extended_communities: Vec<ExtendedCommunity>,
    /// IPv6 address specific extended communities, in the order received.
    pub ipv6_extended_communities: Vec<Ipv6ExtendedCommunity>,
    /// LARGE COMMUNITIES, in the order received.
    pub large_communities: Vec<LargeCommunity>,
    /// ORIGINATOR_ID.
    pub originator_id: Option<Ipv4Addr>,
    /// CLUSTER_LIST, nearest first.
    pub cluster_list: Vec<Ipv4Addr>,
    /// The accumulated IGP metric.
    pub aigp: Option<u64>,
    /// Only to Customer.
    pub only_to_customer: Option<Asn>,
    /// Attributes that are carried unread, by ascending type.
    pub unknown: Vec<UnknownAttribute>,
    /// Bit N: the attribute of type N above, optional and transitive, carries the Partial bit, which nobody may clear
    /// (RFC 4271 §5).
    pub partial: u64,
}

/// Types above whose Partial bit means something.
const OPTIONAL_TRANSITIVE: u64 = (1 << code::AGGREGATOR)
    | (1 << code::COMMUNITIES)
    | (1 << code::EXTENDED_COMMUNITIES)
    | (1 << code::IPV6_EXTENDED_COMMUNITIES)
    | (1 << code::LARGE_COMMUNITIES)
    | (1 << code::ONLY_TO_CUSTOMER);

impl From<&Attributes<'_>> for PathAttributes {
    /// Takes over what is usable; two-octet numbers are merged with AS4_PATH and AS4_AGGREGATOR (RFC 6793 §4.2.3).
    fn from(attributes: &Attributes<'_>) -> Self {
        let (as_path, aggregator) = merge(attributes);
        let mut unknown: Vec<_> = attributes.unknown().map(UnknownAttribute::from).collect();
        unknown.sort_unstable_by_key(|attribute| attribute.code);
        let next_hop = match attributes.mp_reach() {
            Some(reach) => reach.next_hop,
            None => attributes.next_hop().map(NextHop::V4),
        };
        Self {
            origin: attributes.origin().unwrap_or(Origin::Incomplete),
            as_path,
            next_hop,
            med: attributes.med(),
            local_pref: attributes.local_pref(),
            atomic_aggregate: attributes.atomic_aggregate(),
            aggregator,
            communities: attributes.communities().iter().collect(),
            extended_communities: attributes.extended_communities().iter().collect(),
            ipv6_extended_communities: attributes.ipv6_extended_communities().iter().collect(),
            large_communities: attributes.large_communities().iter().collect(),
            originator_id: attributes.originator_id(),
            cluster_list: attributes.cluster_list().iter().collect(),
            aigp: attributes.aigp(),
            only_to_customer: attributes.only_to_customer(),
            unknown,
            partial: partial(attributes),
        }
    }
}

impl PathAttributes {
    /// Appends the canonical block: ascending types, four-octet numbers, no NEXT_HOP, MP_REACH_NLRI or MP_UNREACH_NLRI.
    ///
    /// Equal attributes give equal octets.
    ///
    /// ```
    /// use bgp_codec::{Attributes, PathAttributes};
    /// let owned = PathAttributes { med: Some(1), ..PathAttributes::default() };
    /// let mut block = Vec::new();
    /// owned.encode_canonical(&mut block);
    /// assert_eq!(PathAttributes::from(&Attributes::from_canonical(&block)), owned);
    /// ```
    pub fn encode_canonical(&self, out: &mut Vec<u8>) {
        self.encode_with_next_hop(None, out);
    }

    /// The same with NEXT_HOP in its place; yields where its address stands.
    pub(crate) fn encode_with_next_hop(&self, next_hop: Option<[u8; 4]>, out: &mut Vec<u8>) -> Option<usize> {
        let mut block = Block {
            attributes: self,
            out,
            written: None,
        };
        block.known(code::ORIGIN, flag::TRANSITIVE, &[self.origin.code()]);
        block.head(code::AS_PATH, flag::TRANSITIVE, self.as_path.encoded_len());
        self.as_path.encode(true, block.out);
        let mut next_hop_at = None;
        if let Some(next_hop) = next_hop {
            block.known(code::NEXT_HOP, flag::TRANSITIVE, &next_hop);
            next_hop_at = Some(block.out.len().saturating_sub(4));
        }
        if let Some(med) = self.med {
            block.known(code::MULTI_EXIT_DISC, flag::OPTIONAL, &med.to_be_bytes());
        }
        if let Some(local_pref) = self.local_pref {
            block.known(code::LOCAL_PREF, flag::TRANSITIVE, &local_pref.to_be_bytes());
        }
        if self.atomic_aggregate {
            block.known(code::ATOMIC_AGGREGATE, flag::TRANSITIVE, &[]);
        }
        if let Some(Aggregator { asn, address }) = self.aggregator {
            let [a, b, c, d] = asn.0.to_be_bytes();
            let [e, f, g, h] = address.octets();
            block.optional_transitive(code::AGGREGATOR, &[a, b, c, d, e, f, g, h]);
        }
        block.list(code::COMMUNITIES, &self.communities, |community| {
            community.0.to_be_bytes()
        });
        if let Some(originator_id) = self.originator_id {
            block.known(code::ORIGINATOR_ID, flag::OPTIONAL, &originator_id.octets());
        }
        if !self.cluster_list.is_empty() {
            block.head(
                code::CLUSTER_LIST,
                flag::OPTIONAL,
                self.cluster_list.len().saturating_mul(4),
            );
            for cluster in &self.cluster_list {
                block.out.extend_from_slice(&cluster.octets());
            }
        }
        self.encode_later(&mut block);
        next_hop_at
    }

    /// The types above those that nearly every route has.
    fn encode_later(&self, block: &mut Block<'_>) {
        block.list(
            code::EXTENDED_COMMUNITIES,
            &self.extended_communities,
            |community| community.0,
        );
        block.list(
            code::IPV6_EXTENDED_COMMUNITIES,
            &self.ipv6_extended_communities,
            |community| community.0,
        );
        if let Some(aigp) = self.aigp {
            let [a, b, c, d, e, f, g, h] = aigp.to_be_bytes();
            block.known(code::AIGP, flag::OPTIONAL, &[1, 0, 11, a, b, c, d, e, f, g, h]);
        }
        block.list(code::LARGE_COMMUNITIES, &self.large_communities, |community| {
            let [a, b, c, d] = community.global.to_be_bytes();
            let [e, f, g, h] = community.local1.to_be_bytes();
            let [i, j, k, l] = community.local2.to_be_bytes();
            [a, b, c, d, e, f, g, h, i, j, k, l]
        });
        if let Some(asn) = self.only_to_customer {
            block.optional_transitive(code::ONLY_TO_CUSTOMER, &asn.0.to_be_bytes());
        }
        block.unknown_up_to(u8::MAX);
    }
}

/// A canonical block under construction.
struct Block<'a> {
    attributes: &'a PathAttributes,
    out: &'a mut Vec<u8>,
    /// The highest type up to which unknown attributes have been written.
    written: Option<u8>,
}

impl Block<'_> {
    #[inline]
    fn known(&mut self, code: u8, flags: u8, value: &[u8]) {
        self.head(code, flags, value.len());
        self.out.extend_from_slice(value);
    }

    /// What stands before a value of `len` octets.
    #[inline]
    fn head(&mut self, code: u8, flags: u8, len: usize) {
        self.unknown_up_to(code);
        unknown::write_head(flags, code, len, self.out);
    }

    #[inline]
    fn optional_transitive(&mut self, code: u8, value: &[u8]) {
        self.known(code, self.flags(code), value);
    }

    const fn flags(&self, code: u8) -> u8 {
        let partial = if self.attributes.partial & (1 << code) != 0 {
            flag::PARTIAL
        } else {
            0
        };
        flag::OPTIONAL | flag::TRANSITIVE | partial
    }

    #[inline]
    fn list<T, const N: usize>(&mut self, code: u8, items: &[T], octets: impl Fn(&T) -> [u8; N]) {
        if items.is_empty() {
            return;
        }
        // Cut to whole items that one attribute can have.
        let items = items.get(..usize::from(u16::MAX) / N).unwrap_or(items);
        self.head(code, self.flags(code), items.len().saturating_mul(N));
        for item in items {
            self.out.extend_from_slice(&octets(item));
        }
    }

    /// Writes the unknown attributes whose types lie behind those written and not behind `code`.
    #[inline]
    fn unknown_up_to(&mut self, code: u8) {
        if !self.attributes.unknown.is_empty() {
            self.write_unknown_up_to(code);
        }
    }

    #[cold]
    fn write_unknown_up_to(&mut self, code: u8) {
        let from = self.written.map_or(0, |written| written.saturating_add(1));
        for wanted in from..=code {
            let of_type = |attribute: &&UnknownAttribute| attribute.code == wanted;
            if let Some(attribute) = self.attributes.unknown.iter().find(of_type)
                && !unknown::is_read(wanted)
            {
                unknown::write(attribute.flags, wanted, &attribute.value, self.out);
            }
        }
        self.written = Some(code);
    }
}

/// The types whose first attribute carries the Partial bit.
fn partial(attributes: &Attributes<'_>) -> u64 {
    let (mut seen, mut partial) = (0_u64, 0_u64);
    for attribute in attributes.iter_raw().filter(|attribute| attribute.code < 64) {
        let bit = 1 << attribute.code;
        if attribute.flags & flag::PARTIAL != 0 && seen & bit == 0 {
            partial |= bit;
        }
        seen |= bit;
    }
    partial & attributes.present & OPTIONAL_TRANSITIVE
}

/// RFC 6793 §4.2.3: what the two-octet attributes and their four-octet companions say together.
fn merge(attributes: &Attributes<'_>) -> (AsPathBuf, Option<Aggregator>) {
    let path = attributes.as_path().unwrap_or(AsPath::EMPTY);
    let aggregator = attributes.aggregator();
    if attributes.four_octet {
        return (path.into(), aggregator);
    }
    let as4_aggregator = attributes.as4_aggregator();
    // Of both, an AGGREGATOR other than AS_TRANS was written later, by a speaker that knows no AS4_ attributes: the AS4_
    // attributes are out of date.
    if as4_aggregator.is_some() && aggregator.is_some_and(|aggregator| aggregator.asn != AS_TRANS) {
        return (path.into(), aggregator);
    }
    let aggregator = aggregator.map(|aggregator| as4_aggregator.unwrap_or(aggregator));
    let as_path = match attributes.as4_path() {
        Some(as4_path) if as4_path.path_length() <= path.path_length() => merge_paths(path, as4_path),
        _ => path.into(),
    };
    (as_path, aggregator)
}

/// As many leading numbers of the path as it is longer, then the four-octet path.
fn merge_paths(path: AsPath<'_>, as4_path: AsPath<'_>) -> AsPathBuf {
    let mut lead = path.path_length().saturating_sub(as4_path.path_length());
    let mut merged = AsPathBuf::default();
    for segment in path.segments() {
        let mut asns: Vec<Asn> = segment.asns().collect();
        match segment.kind {
            // Confederation segments stand before what they are adjacent to and count nothing.
            SegmentKind::ConfedSequence | SegmentKind::ConfedSet => {}
            _ if lead == 0 => break,
            SegmentKind::Set => lead = lead.saturating_sub(1),
            SegmentKind::Sequence => {
                let taken = usize::try_from(lead).unwrap_or(usize::MAX).min(asns.len());
                asns.truncate(taken);
                lead = lead.saturating_sub(u32::try_from(taken).unwrap_or(u32::MAX));
            }
        }
        merged.segments.push(AsPathSegment {
            kind: segment.kind,
            asns,
        });
    }
    for segment in as4_path.segments() {
        // RFC 6793 §6: confederation segments in AS4_PATH are dropped.
        if segment.kind.is_confederation() {
            continue;
        }
        let asns: Vec<Asn> = segment.asns().collect();
        match merged.segments.last_mut() {
            Some(last)
                if segment.kind == SegmentKind::Sequence
                    && last.kind == SegmentKind::Sequence
                    && last.asns.len().saturating_add(asns.len()) <= MAX_SEGMENT =>
            {
                last.asns.extend(asns);
            }
            _ => merged.segments.push(AsPathSegment {
                kind: segment.kind,
                asns,
            }),
        }
    }
    merged
}
