//! UPDATE without a view: what it says is handed to a visitor in one pass, as it is checked.

use std::net::Ipv4Addr;

use crate::asn::Asn;
use crate::attribute::{
    Aggregator, AsPath, Attributes, ClusterList, Communities, ExtendedCommunities, LargeCommunities, Origin,
    Span, Treatment, clean, code, flag, walk,
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
    /// ORIGINATOR_ID; never from an external peer.
    #[inline]
    fn originator_id(&mut self, originator_id: Ipv4Addr) {}
    /// CLUSTER_LIST; never from an external peer.
    #[inline]
    fn cluster_list(&mut self, clusters: ClusterList<'_>) {}
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
/// ```
/// use bgp_codec::{DecodeContext, NlriBlock, PeerKind, Treatment, UpdateVisitor, visit};
///
/// #[derive(Default)]
/// struct Withdrawn(usize);
///
/// impl UpdateVisitor for Withdrawn {
///     fn begin(&mut self) {
///         self.0 = 0;
///     }
///     fn withdraw(&mut self, nlri: NlriBlock<'_>) {
///         self.0 += nlri.ip_prefixes().count();
///     }
/// }
///
/// // ORIGIN of no known value, AS_PATH, NEXT_HOP; 10.0.0.0/8.
/// let body = [0, 0, 0, 20, 0x40, 1, 1, 9, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1, 8, 10];
/// let (context, mut withdrawn) = (DecodeContext::all(PeerKind::External), Withdrawn::default());
/// assert_eq!(visit::update(&body, &context, &mut withdrawn)?, Some(Treatment::TreatAsWithdraw));
/// assert_eq!(withdrawn.0, 1);
/// # Ok::<(), bgp_codec::UpdateError>(())
/// ```
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
    if pass(body, &bounds, context, visitor).is_some() {
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
    if let Some(originator_id) = attributes.originator_id() {
        visitor.originator_id(originator_id);
    }
    if !attributes.cluster_list().is_empty() {
        visitor.cluster_list(attributes.cluster_list());
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

/// Hands over an UPDATE as long as it is perfect; `None` as soon as something is not, or rare.
///
/// What the loop needs from one attribute to the next is little enough to stay in registers: that, more than the number
/// of checks, decides how long it takes.
#[inline(always)]
fn pass<V: UpdateVisitor>(
    body: &[u8],
    bounds: &Bounds,
    context: &DecodeContext,
    visitor: &mut V,
) -> Option<()> {
    let mut found = Found {
        seen: 0,
        next_hop: Ipv4Addr::UNSPECIFIED,
        reach: Span::NOWHERE,
        unreach: Span::NOWHERE,
    };
    if bounds.start == body.len() {
        // Nothing but withdrawn routes.
        if bounds.start > 4 && context.families.contains(IPV4) {
            visitor.withdraw(block(body, IPV4, 2, bounds.start - 2, context));
        }
        return Some(());
    }
    let start = found.usual(body, bounds.start, context, visitor)?;
    // To the end of the message, of which the NLRI are so many octets.
    let mut rest = body.get(start..)?;
    let nlri = body.len() - bounds.end;
    while rest.len() > nlri {
        let (&[flags, code, first], _) = rest.split_first_chunk::<3>()?;
        let (head, len) = if flags & flag::EXTENDED_LENGTH == 0 {
            (3, usize::from(first))
        } else {
            (4, usize::from(u16::from_be_bytes([first, *rest.get(3)?])))
        };
        let value = rest.get(head..)?;
        let after = value.get(len..)?;
        if KINDS.get(usize::from(code)) != Some(&(flags & walk::KIND)) {
            return None;
        }
        let bit = 1_u64 << (code & 63);
        if found.seen & bit != 0 {
            return None;
        }
        found.seen |= bit;
        let attribute = Attribute { code, len, value };
        found.attribute(attribute, body.len(), context, visitor)?;
        rest = after;
    }
    if rest.len() != nlri {
        return None;
    }
    if found.seen & MULTIPROTOCOL != 0 {
        return found.multiprotocol(body, bounds, context, visitor);
    }
    if nlri != 0 && found.seen & CLASSIC != CLASSIC {
        return None;
    }
    if context.families.contains(IPV4) {
        if bounds.start > 4 {
            visitor.withdraw(block(body, IPV4, 2, bounds.start - 2, context));
        }
        if nlri != 0 {
            let next_hop = Some(NextHop::V4(found.next_hop));
            visitor.announce(block(body, IPV4, bounds.end, body.len(), context), next_hop);
        }
    }
    Some(())
}

const IPV4: Family = Family::IPV4_UNICAST;
/// What routes must have (RFC 4271 §5), and those whose NLRI stand at the end of the message.
const ALWAYS: u64 = (1 << code::ORIGIN) | (1 << code::AS_PATH);
const CLASSIC: u64 = ALWAYS | (1 << code::NEXT_HOP);
const MULTIPROTOCOL: u64 = (1 << code::MP_REACH_NLRI) | (1 << code::MP_UNREACH_NLRI);

/// The flags of the types that are handed over, [`walk::KIND`] of them; for other types what no flags are.
static KINDS: [u8; 256] = {
    use walk::{OPTIONAL, OPTIONAL_TRANSITIVE, WELL_KNOWN};
    let mut kinds = [u8::MAX; 256];
    let mut rest: &mut [u8] = &mut kinds;
    let mut code = 0;
    while let Some((kind, behind)) = rest.split_first_mut() {
        *kind = match code {
            code::ORIGIN | code::AS_PATH | code::NEXT_HOP | code::LOCAL_PREF | code::ATOMIC_AGGREGATE => {
                WELL_KNOWN
            }
            code::MULTI_EXIT_DISC
            | code::ORIGINATOR_ID
            | code::CLUSTER_LIST
            | code::MP_REACH_NLRI
            | code::MP_UNREACH_NLRI => OPTIONAL,
            code::AGGREGATOR
            | code::COMMUNITIES
            | code::EXTENDED_COMMUNITIES
            | code::LARGE_COMMUNITIES
            | code::ONLY_TO_CUSTOMER => OPTIONAL_TRANSITIVE,
            _ => u8::MAX,
        };
        rest = behind;
        code = code.wrapping_add(1);
    }
    kinds
};

/// An attribute whose octets are all there.
#[derive(Clone, Copy)]
struct Attribute<'a> {
    code: u8,
    len: usize,
    /// The value and everything behind it.
    value: &'a [u8],
}

/// What the attributes so far say about the NLRI.
struct Found {
    /// Bit N: an attribute of type N was there.
    seen: u64,
    next_hop: Ipv4Addr,
    reach: Span,
    unreach: Span,
}

impl Found {
    /// Hands over ORIGIN, AS_PATH and NEXT_HOP where the attributes begin with them, MP_REACH_NLRI perhaps before them, and
    /// yields where they go on.
    ///
    /// Nearly all blocks do begin so, because attributes are to stand in the order of their types (RFC 4271 §5), and
    /// MP_REACH_NLRI before all others (RFC 7606 §5.1): no type and no length has to be guessed. Whatever is not as usual
    /// is left where it stands. That a block ends inside these attributes is found out by the loop behind this, which then
    /// begins in the NLRI.
    #[inline(always)]
    fn usual<V: UpdateVisitor>(
        &mut self,
        body: &[u8],
        start: usize,
        context: &DecodeContext,
        visitor: &mut V,
    ) -> Option<usize> {
        let at = origin_and_path(body, start, context, visitor)?;
        if at == start {
            return self.reach_first(body, start, context, visitor);
        }
        self.seen = ALWAYS;
        let Some(&[walk::WELL_KNOWN, code::NEXT_HOP, 4, a, b, c, d]) =
            body.get(at..).and_then(<[u8]>::first_chunk)
        else {
            return Some(at);
        };
        self.seen = CLASSIC;
        self.next_hop = Ipv4Addr::new(a, b, c, d);
        visitor.next_hop(self.next_hop);
        Some(at + 7)
    }

    /// The same where MP_REACH_NLRI may come first.
    #[inline(always)]
    fn reach_first<V: UpdateVisitor>(
        &mut self,
        body: &[u8],
        start: usize,
        context: &DecodeContext,
        visitor: &mut V,
    ) -> Option<usize> {
        let Some(&[flags, code::MP_REACH_NLRI, first, second]) = body.get(start..)?.first_chunk() else {
            return Some(start);
        };
        if flags & !flag::EXTENDED_LENGTH != walk::OPTIONAL {
            return Some(start);
        }
        let (head, len) = length(flags, first, second);
        self.reach = Span::new(start + head, len);
        self.seen = 1 << code::MP_REACH_NLRI;
        let behind = start + head + len;
        let at = origin_and_path_behind(body, behind, context, visitor)?;
        if at != behind {
            self.seen |= ALWAYS;
        }
        Some(at)
    }

    /// Hands over one attribute if it is perfect; `total` are the octets of the body.
    #[inline(always)]
    fn attribute<V: UpdateVisitor>(
        &mut self,
        attribute: Attribute<'_>,
        total: usize,
        context: &DecodeContext,
        visitor: &mut V,
    ) -> Option<()> {
        let value = attribute.value.get(..attribute.len)?;
        match attribute.code {
            code::ORIGIN => {
                let &[origin] = value else { return None };
                visitor.origin(Origin::from_code(origin)?);
            }
            code::AS_PATH => {
                as_path(value, context, visitor)?;
            }
            code::NEXT_HOP => {
                self.next_hop = Ipv4Addr::from_bits(number(value)?);
                visitor.next_hop(self.next_hop);
            }
            code::MULTI_EXIT_DISC => {
                visitor.med(number(value)?);
            }
            code::LOCAL_PREF if context.is_internal() => {
                visitor.local_pref(number(value)?);
            }
            code::ATOMIC_AGGREGATE if value.is_empty() => {
                visitor.atomic_aggregate();
            }
            code::AGGREGATOR => {
                visitor.aggregator(walk::aggregator(value, context.four_octet_asn).ok()?);
            }
            code::COMMUNITIES => {
                visitor.communities(Communities::new(whole::<4>(value)?));
            }
            code::ORIGINATOR_ID if context.is_internal() => {
                visitor.originator_id(Ipv4Addr::from_bits(number(value)?));
            }
            code::CLUSTER_LIST if context.is_internal() => {
                visitor.cluster_list(ClusterList::new(whole::<4>(value)?));
            }
            code::EXTENDED_COMMUNITIES => {
                visitor.extended_communities(ExtendedCommunities::new(whole::<8>(value)?));
            }
            code::LARGE_COMMUNITIES => {
                visitor.large_communities(LargeCommunities::new(whole::<12>(value)?));
            }
            code::ONLY_TO_CUSTOMER => {
                visitor.only_to_customer(Asn(number(value)?));
            }
            code::MP_REACH_NLRI => {
                self.reach = Span::new(total - attribute.value.len(), attribute.len);
            }
            code::MP_UNREACH_NLRI => {
                self.unreach = Span::new(total - attribute.value.len(), attribute.len);
            }
            _ => return None,
        }
        Some(())
    }

    /// Hands over the NLRI of an UPDATE with a multiprotocol attribute; `None` if that is not perfect, its family is not in
    /// use, or an attribute is missing.
    #[inline]
    fn multiprotocol<V: UpdateVisitor>(
        &self,
        body: &[u8],
        bounds: &Bounds,
        context: &DecodeContext,
        visitor: &mut V,
    ) -> Option<()> {
        let (mut reach, mut unreach) = (None, None);
        if self.seen & (1 << code::MP_REACH_NLRI) != 0 {
            let (family, next_hop, behind) = read_reach(self.reach.of(body), context)?;
            reach = (behind < self.reach.len()).then_some((family, next_hop, behind));
        }
        if self.seen & (1 << code::MP_UNREACH_NLRI) != 0 {
            let (family, rest) = walk::split_family(self.unreach.of(body))?;
            if !context.families.contains(family) {
                return None;
            }
            unreach = (!rest.is_empty()).then_some(family);
        }
        let classic = bounds.end < body.len();
        if (reach.is_some() && self.seen & ALWAYS != ALWAYS) || (classic && self.seen & CLASSIC != CLASSIC) {
            return None;
        }
        let in_use = context.families.contains(IPV4);
        if in_use && bounds.start > 4 {
            visitor.withdraw(block(body, IPV4, 2, bounds.start - 2, context));
        }
        if let Some(family) = unreach {
            let (start, end) = (self.unreach.start() + 3, self.unreach.end());
            visitor.withdraw(block(body, family, start, end, context));
        }
        if in_use && classic {
            let next_hop = Some(NextHop::V4(self.next_hop));
            visitor.announce(block(body, IPV4, bounds.end, body.len(), context), next_hop);
        }
        if let Some((family, next_hop, behind)) = reach {
            let (start, end) = (self.reach.start() + behind, self.reach.end());
            visitor.announce(block(body, family, start, end, context), next_hop);
        }
        Some(())
    }
}

/// Hands over ORIGIN and AS_PATH where the attributes go on with them, and yields where these end.
#[inline(always)]
fn origin_and_path<V: UpdateVisitor>(
    body: &[u8],
    start: usize,
    context: &DecodeContext,
    visitor: &mut V,
) -> Option<usize> {
    let Some(&head) = body.get(start..)?.first_chunk::<8>() else {
        return Some(start);
    };
    if u64::from_le_bytes(head) & USUAL_MASK != USUAL {
        return Some(start);
    }
    let [_, _, _, origin, flags, _, first, second] = head;
    let (before, len) = length(flags, first, second);
    let end = start + 4 + before + len;
    let path = body.get(start + 4 + before..end)?;
    visitor.origin(Origin::from_code(origin)?);
    if context.four_octet_asn && is_sequence(path) && !seems_to_hold_zero(body, path, end) {
        visitor.as_path(AsPath::trusted(path, true));
    } else {
        as_path(path, context, visitor)?;
    }
    Some(end)
}

/// [`origin_and_path`] once more, and out of the way.
#[inline(never)]
fn origin_and_path_behind<V: UpdateVisitor>(
    body: &[u8],
    start: usize,
    context: &DecodeContext,
    visitor: &mut V,
) -> Option<usize> {
    origin_and_path(body, start, context, visitor)
}

/// ORIGIN and the head of AS_PATH, the first octet lowest.
const USUAL: u64 = u64::from_le_bytes([
    walk::WELL_KNOWN,
    code::ORIGIN,
    1,
    0,
    walk::WELL_KNOWN,
    code::AS_PATH,
    0,
    0,
]);
/// All of that but the value of ORIGIN, the flag for a length of two octets, and the length.
const USUAL_MASK: u64 = u64::from_le_bytes([0xff, 0xff, 0xff, 0, !flag::EXTENDED_LENGTH, 0xff, 0, 0]);

/// How many octets stand before a value, and how many are its own, by the flags of the attribute and what follows its
/// type; without a branch, because nobody can guess which of both forms a speaker takes.
#[inline(always)]
fn length(flags: u8, first: u8, second: u8) -> (usize, usize) {
    let long = u8::from(flags & flag::EXTENDED_LENGTH != 0);
    let len = u16::from_be_bytes([first, second]) >> (8 * (1 - long));
    (3 + usize::from(long), usize::from(len))
}

/// Whether an AS_PATH of four-octet numbers is a single sequence.
#[inline(always)]
fn is_sequence(value: &[u8]) -> bool {
    matches!(value, [2, count, numbers @ ..] if *count != 0 && numbers.len() == usize::from(*count) * 4)
}

/// Whether AS 0 is among the numbers of a sequence, or looks as if it were, because of what stands before them.
///
/// Four numbers at a time, and the last four once more: how often that is can be guessed, how many numbers there are
/// cannot.
#[inline(always)]
fn seems_to_hold_zero(body: &[u8], sequence: &[u8], end: usize) -> bool {
    let has_zero = |four: &[u8; 16]| {
        let numbers = four.as_chunks::<4>().0.iter();
        numbers.fold(false, |found, number| found | (*number == [0; 4]))
    };
    let (fours, _) = sequence.get(2..).unwrap_or_default().as_chunks::<16>();
    let last = body.get(..end).and_then(<[u8]>::last_chunk);
    fours.iter().any(has_zero) || last.is_none_or(has_zero)
}

/// Hands over AS_PATH if it is right. A function of its own, because its loops would take the registers of the other one.
#[inline(never)]
fn as_path<V: UpdateVisitor>(value: &[u8], context: &DecodeContext, visitor: &mut V) -> Option<()> {
    if !clean::is_path(value, context) {
        return None;
    }
    visitor.as_path(AsPath::trusted(value, context.four_octet_asn));
    Some(())
}

/// NLRI of the body, with what stands before them.
#[inline(always)]
fn block<'a>(
    body: &'a [u8],
    family: Family,
    start: usize,
    end: usize,
    context: &DecodeContext,
) -> NlriBlock<'a> {
    let octets = body.get(..end).unwrap_or_default();
    let start = u16::try_from(start).unwrap_or(u16::MAX);
    NlriBlock::within(family, octets, start, context.add_path.contains(family))
}

#[inline(always)]
fn number(value: &[u8]) -> Option<u32> {
    <[u8; 4]>::try_from(value).ok().map(u32::from_be_bytes)
}

/// The value if it is a list that is not empty and whose items are whole.
#[inline(always)]
fn whole<const SIZE: usize>(value: &[u8]) -> Option<&[u8]> {
    (!value.is_empty() && value.len().is_multiple_of(SIZE)).then_some(value)
}
