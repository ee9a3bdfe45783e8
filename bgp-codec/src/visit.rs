//! UPDATE without a view: what it says is handed to a visitor in one pass, as it is checked.

use std::net::Ipv4Addr;

use crate::asn::Asn;
use crate::attribute::clean::{self, Head};
use crate::attribute::{
    Aggregator, AsPath, Attributes, Communities, ExtendedCommunities, LargeCommunities, Origin, Span,
    Treatment, code, walk,
};
use crate::family::Family;
use crate::next_hop::NextHop;
use crate::nlri::NlriBlock;
use crate::update::{Bounds, DecodeContext, Update, UpdateError, read_reach};

/// Takes what an UPDATE says, in the order of its octets and NLRI last; whatever is not taken costs nothing.
///
/// ```
/// use bgp_codec::{AsPath, DecodeContext, NextHop, NlriBlock, PeerKind, UpdateVisitor, visit};
///
/// #[derive(Default)]
/// struct Longest(u32, usize);
///
/// impl UpdateVisitor for Longest {
///     fn begin(&mut self) {
///         self.0 = 0;
///     }
///     fn as_path(&mut self, path: AsPath<'_>) {
///         self.0 = path.path_length();
///     }
///     fn announce(&mut self, nlri: NlriBlock<'_>, _next_hop: Option<NextHop>) {
///         self.1 += nlri.ip_prefixes().count();
///     }
/// }
///
/// let body = [0, 0, 0, 20, 0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1, 24, 198, 51, 100];
/// let mut longest = Longest::default();
/// assert_eq!(visit::update(&body, &DecodeContext::all(PeerKind::External), &mut longest)?, None);
/// assert_eq!((longest.0, longest.1), (1, 1));
/// # Ok::<(), bgp_codec::UpdateError>(())
/// ```
#[expect(unused_variables, reason = "the names are for those who take them")]
pub trait UpdateVisitor {
    /// The attributes follow. Where one turns out not to be perfect, the message is read again with more care: this is
    /// called once more, and attributes taken before count for nothing.
    fn begin(&mut self);
    /// ORIGIN.
    #[inline]
    fn origin(&mut self, origin: Origin) {}
    /// AS_PATH.
    #[inline]
    fn as_path(&mut self, path: AsPath<'_>) {}
    /// NEXT_HOP; NLRI come with theirs.
    #[inline]
    fn next_hop(&mut self, next_hop: Ipv4Addr) {}
    /// MULTI_EXIT_DISC.
    #[inline]
    fn med(&mut self, med: u32) {}
    /// LOCAL_PREF.
    #[inline]
    fn local_pref(&mut self, local_pref: u32) {}
    /// ATOMIC_AGGREGATE.
    #[inline]
    fn atomic_aggregate(&mut self) {}
    /// AGGREGATOR.
    #[inline]
    fn aggregator(&mut self, aggregator: Aggregator) {}
    /// COMMUNITIES.
    #[inline]
    fn communities(&mut self, communities: Communities<'_>) {}
    /// EXTENDED COMMUNITIES.
    #[inline]
    fn extended_communities(&mut self, communities: ExtendedCommunities<'_>) {}
    /// LARGE COMMUNITIES.
    #[inline]
    fn large_communities(&mut self, communities: LargeCommunities<'_>) {}
    /// Only to Customer.
    #[inline]
    fn only_to_customer(&mut self, asn: Asn) {}
    /// The attributes that few routes have, and those that are not read: all of them once more, as a view.
    #[inline]
    fn others(&mut self, attributes: &Attributes<'_>) {}
    /// NLRI that are withdrawn, also because of errors (RFC 7606); they are checked while they are iterated.
    #[inline]
    fn withdraw(&mut self, nlri: NlriBlock<'_>) {}
    /// NLRI that are announced with the attributes taken; they are checked while they are iterated.
    #[inline]
    fn announce(&mut self, nlri: NlriBlock<'_>, next_hop: Option<NextHop>) {}
}

/// Reads the body of an UPDATE, that is the message without its header. Yields the strongest treatment that errors ask
/// for; what is withdrawn follows it.
///
/// # Errors
///
/// As [`Update::decode`]; what the visitor has taken of the message counts for nothing.
#[inline]
pub fn update<V: UpdateVisitor>(
    body: &[u8],
    context: &DecodeContext,
    visitor: &mut V,
) -> Result<Option<Treatment>, UpdateError> {
    let Some(bounds) = Bounds::find(body) else {
        return Err(UpdateError::MalformedAttributeList);
    };
    visitor.begin();
    let mut pass = Pass {
        body,
        context,
        seen: 0,
        next_hop: None,
        reach: Span::NOWHERE,
        unreach: Span::NOWHERE,
    };
    if pass.attributes(&bounds, visitor) && pass.nlri(&bounds, visitor) {
        return Ok(None);
    }
    with_care(body, context, visitor)
}

/// Reads what is not perfect, or rare: by way of the view.
#[cold]
#[inline(never)]
fn with_care<V: UpdateVisitor>(
    body: &[u8],
    context: &DecodeContext,
    visitor: &mut V,
) -> Result<Option<Treatment>, UpdateError> {
    visitor.begin();
    let update = Update::decode(body, context)?;
    let attributes = update.attributes();
    if let Some(origin) = attributes.origin() {
        visitor.origin(origin);
    }
    if let Some(path) = attributes.as_path() {
        visitor.as_path(path);
    }
    if let Some(next_hop) = attributes.next_hop() {
        visitor.next_hop(next_hop);
    }
    if let Some(med) = attributes.med() {
        visitor.med(med);
    }
    if let Some(local_pref) = attributes.local_pref() {
        visitor.local_pref(local_pref);
    }
    if attributes.atomic_aggregate() {
        visitor.atomic_aggregate();
    }
    if let Some(aggregator) = attributes.aggregator() {
        visitor.aggregator(aggregator);
    }
    if !attributes.communities().is_empty() {
        visitor.communities(attributes.communities());
    }
    if !attributes.extended_communities().is_empty() {
        visitor.extended_communities(attributes.extended_communities());
    }
    if !attributes.large_communities().is_empty() {
        visitor.large_communities(attributes.large_communities());
    }
    if let Some(asn) = attributes.only_to_customer() {
        visitor.only_to_customer(asn);
    }
    visitor.others(attributes);
    for block in update.withdrawn() {
        visitor.withdraw(block);
    }
    for announced in update.announced() {
        visitor.announce(announced.nlri, announced.next_hop);
    }
    Ok(update.treatment())
}

/// One UPDATE that has been perfect so far.
struct Pass<'a, 'c> {
    body: &'a [u8],
    context: &'c DecodeContext,
    /// Bit N: an attribute of type N was there.
    seen: u64,
    next_hop: Option<Ipv4Addr>,
    reach: Span,
    unreach: Span,
}

impl Pass<'_, '_> {
    /// Hands over the attributes; `false` as soon as one is not perfect, or rare.
    #[inline(always)]
    fn attributes<V: UpdateVisitor>(&mut self, bounds: &Bounds, visitor: &mut V) -> bool {
        let mut at = bounds.start;
        while at < bounds.end {
            let Some(head) = Head::read(self.body, at) else {
                return false;
            };
            let Some(value) = self.body.get(head.start..head.start + head.len()) else {
                return false;
            };
            at = head.start + head.len();
            let bit = 1_u64 << (head.code() & 63);
            if self.seen & bit != 0 || !self.one(head, value, visitor) {
                return false;
            }
            self.seen |= bit;
        }
        at == bounds.end
    }

    #[inline(always)]
    fn one<V: UpdateVisitor>(&mut self, head: Head, value: &[u8], visitor: &mut V) -> bool {
        use walk::{OPTIONAL, OPTIONAL_TRANSITIVE, WELL_KNOWN};
        let kind = head.kind();
        match head.code() {
            code::ORIGIN => {
                let &[origin] = value else { return false };
                Origin::from_code(origin)
                    .map(|origin| visitor.origin(origin))
                    .is_some()
                    & (kind == WELL_KNOWN)
            }
            code::AS_PATH => {
                let four_octet = self.context.four_octet_asn;
                let fits = clean::is_path(self.body, head.span(), self.context);
                visitor.as_path(AsPath::trusted(value, four_octet));
                fits && kind == WELL_KNOWN
            }
            code::NEXT_HOP => {
                let number = number(value);
                self.next_hop = number.map(Ipv4Addr::from_bits);
                taken(self.next_hop, |next_hop| visitor.next_hop(next_hop)) & (kind == WELL_KNOWN)
            }
            code::MULTI_EXIT_DISC => taken(number(value), |med| visitor.med(med)) & (kind == OPTIONAL),
            code::LOCAL_PREF => {
                taken(number(value), |local_pref| visitor.local_pref(local_pref))
                    & (kind == WELL_KNOWN)
                    & self.context.is_internal()
            }
            code::ATOMIC_AGGREGATE => {
                visitor.atomic_aggregate();
                value.is_empty() & (kind == WELL_KNOWN)
            }
            code::AGGREGATOR => {
                let aggregator = walk::aggregator(value, self.context.four_octet_asn).ok();
                taken(aggregator, |aggregator| visitor.aggregator(aggregator)) & (kind == OPTIONAL_TRANSITIVE)
            }
            code::COMMUNITIES => {
                visitor.communities(Communities::new(value));
                whole::<4>(value) & (kind == OPTIONAL_TRANSITIVE)
            }
            code::EXTENDED_COMMUNITIES => {
                visitor.extended_communities(ExtendedCommunities::new(value));
                whole::<8>(value) & (kind == OPTIONAL_TRANSITIVE)
            }
            code::LARGE_COMMUNITIES => {
                visitor.large_communities(LargeCommunities::new(value));
                whole::<12>(value) & (kind == OPTIONAL_TRANSITIVE)
            }
            code::ONLY_TO_CUSTOMER => {
                taken(number(value), |asn| visitor.only_to_customer(Asn(asn))) & (kind == OPTIONAL_TRANSITIVE)
            }
            code::MP_REACH_NLRI => {
                self.reach = head.span();
                kind == OPTIONAL
            }
            code::MP_UNREACH_NLRI => {
                self.unreach = head.span();
                kind == OPTIONAL
            }
            _ => false,
        }
    }

    /// Hands over the NLRI; `false` if an attribute is missing or a multiprotocol attribute not perfect.
    #[inline(always)]
    fn nlri<V: UpdateVisitor>(&self, bounds: &Bounds, visitor: &mut V) -> bool {
        const ALWAYS: u64 = (1 << code::ORIGIN) | (1 << code::AS_PATH);
        const CLASSIC: u64 = ALWAYS | (1 << code::NEXT_HOP);
        const MULTIPROTOCOL: u64 = (1 << code::MP_REACH_NLRI) | (1 << code::MP_UNREACH_NLRI);
        let multiprotocol = self.seen & MULTIPROTOCOL != 0;
        let mut reach = None;
        let mut unreach = None;
        if multiprotocol && !self.find(&mut reach, &mut unreach) {
            return false;
        }
        let classic = bounds.end < self.body.len();
        if (reach.is_some() && self.seen & ALWAYS != ALWAYS) || (classic && self.seen & CLASSIC != CLASSIC) {
            return false;
        }
        const FAMILY: Family = Family::IPV4_UNICAST;
        if self.context.families.contains(FAMILY) && bounds.start > 4 {
            visitor.withdraw(self.block(FAMILY, 2, bounds.start.saturating_sub(2)));
        }
        if multiprotocol && let Some((family, start)) = unreach {
            let end = self.unreach.start() + self.unreach.len();
            visitor.withdraw(self.block(family, start, end));
        }
        if classic && self.context.families.contains(FAMILY) {
            let block = self.block(FAMILY, bounds.end, self.body.len());
            visitor.announce(block, self.next_hop.map(NextHop::V4));
        }
        if multiprotocol && let Some((family, start, next_hop)) = reach {
            let end = self.reach.start() + self.reach.len();
            visitor.announce(self.block(family, start, end), next_hop);
        }
        true
    }

    /// Finds the NLRI of multiprotocol attributes; `false` if one of those is not perfect or its family not in use.
    #[inline]
    fn find(
        &self,
        reach: &mut Option<(Family, usize, Option<NextHop>)>,
        unreach: &mut Option<(Family, usize)>,
    ) -> bool {
        if !self.reach.is_empty() || self.seen & (1 << code::MP_REACH_NLRI) != 0 {
            let Some((family, next_hop, behind)) = read_reach(self.reach.of(self.body), self.context) else {
                return false;
            };
            *reach = (behind < self.reach.len()).then(|| (family, self.reach.start() + behind, next_hop));
        }
        if self.seen & (1 << code::MP_UNREACH_NLRI) != 0 {
            let Some((family, rest)) = walk::split_family(self.unreach.of(self.body)) else {
                return false;
            };
            if !self.context.families.contains(family) {
                return false;
            }
            *unreach = (!rest.is_empty()).then(|| (family, self.unreach.start() + 3));
        }
        true
    }

    #[inline]
    fn block(&self, family: Family, start: usize, end: usize) -> NlriBlock<'_> {
        let octets = self.body.get(..end).unwrap_or_default();
        let start = u16::try_from(start).unwrap_or(u16::MAX);
        NlriBlock::within(family, octets, start, self.context.add_path.contains(family))
    }
}

#[inline(always)]
fn number(value: &[u8]) -> Option<u32> {
    <[u8; 4]>::try_from(value).ok().map(u32::from_be_bytes)
}

#[inline(always)]
fn taken<T>(value: Option<T>, take: impl FnOnce(T)) -> bool {
    value.map(take).is_some()
}

#[inline(always)]
fn whole<const SIZE: usize>(value: &[u8]) -> bool {
    !value.is_empty() & value.len().is_multiple_of(SIZE)
}
