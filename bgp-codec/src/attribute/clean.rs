//! The pass that nearly every block takes: attributes without any error, of the types that routes commonly have.
//!
//! What an attribute may look like is a row in a table, so that the loop has no branch that depends on the type and
//! none that a stream of routes makes unpredictable; what is wrong is only added up. Whatever is not perfect is left to
//! [`walk`](super::walk::walk()), which knows what each error costs. Both must agree on what is perfect: a property test
//! compares them.

use super::walk;
use super::{Attributes, Span, code, flag, slot};
use crate::family::Family;
use crate::next_hop;
use crate::update::{DecodeContext, PeerKind};

/// What an attribute of one type may look like in one kind of session.
///
/// Flags, type and length are held in one word, in this order from the lowest octet on.
#[derive(Clone, Copy)]
struct Rule {
    /// What the word must be where `mask` has bits.
    word: u32,
    mask: u32,
    /// The shortest value.
    min: u16,
    slot: u8,
}

/// The bits of a word that hold the length.
const LENGTH: u32 = 0xffff_0000;

impl Rule {
    /// Fits no attribute: it is for the exact walk.
    const NONE: Self = Self {
        word: u32::MAX,
        mask: u32::MAX,
        min: 0,
        slot: slot::NONE,
    };

    const fn exactly(flags: u8, code: u8, len: u8) -> Self {
        Self {
            word: u32::from_le_bytes([flags, code, len, 0]),
            mask: u32::from_le_bytes([walk::KIND, 0xff, 0xff, 0xff]),
            min: 0,
            slot: slot::of(code),
        }
    }

    /// At least `min` octets; `unit`, a power of two, divides every valid length.
    const fn many(flags: u8, code: u8, min: u16, unit: u8) -> Self {
        Self {
            word: u32::from_le_bytes([flags, code, 0, 0]),
            mask: u32::from_le_bytes([walk::KIND, 0xff, unit - 1, 0]),
            min,
            slot: slot::of(code),
        }
    }

    const fn of(code: u8, four_octet: bool, internal: bool) -> Self {
        use walk::{OPTIONAL, OPTIONAL_TRANSITIVE, WELL_KNOWN};
        match code {
            code::ORIGIN => Self::exactly(WELL_KNOWN, code, 1),
            code::AS_PATH => Self::many(WELL_KNOWN, code, 0, 2),
            code::NEXT_HOP => Self::exactly(WELL_KNOWN, code, 4),
            code::MULTI_EXIT_DISC => Self::exactly(OPTIONAL, code, 4),
            code::LOCAL_PREF if internal => Self::exactly(WELL_KNOWN, code, 4),
            code::ATOMIC_AGGREGATE => Self::exactly(WELL_KNOWN, code, 0),
            code::AGGREGATOR => Self::exactly(OPTIONAL_TRANSITIVE, code, if four_octet { 8 } else { 6 }),
            code::ORIGINATOR_ID if internal => Self::exactly(OPTIONAL, code, 4),
            code::CLUSTER_LIST if internal => Self::many(OPTIONAL, code, 4, 4),
            code::COMMUNITIES => Self::many(OPTIONAL_TRANSITIVE, code, 4, 4),
            code::EXTENDED_COMMUNITIES => Self::many(OPTIONAL_TRANSITIVE, code, 8, 8),
            code::LARGE_COMMUNITIES => Self::many(OPTIONAL_TRANSITIVE, code, 12, 4),
            code::ONLY_TO_CUSTOMER => Self::exactly(OPTIONAL_TRANSITIVE, code, 4),
            code::MP_REACH_NLRI => Self::many(OPTIONAL, code, 5, 1),
            code::MP_UNREACH_NLRI => Self::many(OPTIONAL, code, 3, 1),
            _ => Self::NONE,
        }
    }
}

/// What stands before a value, and where that starts.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    /// As in [`Rule`].
    word: u32,
    pub(crate) start: usize,
}

impl Head {
    /// `None` also for an attribute of three octets at the very end of a message, which is rare enough for the exact walk.
    #[inline(always)]
    pub(crate) fn read(octets: &[u8], at: usize) -> Option<Self> {
        let head = u32::from_le_bytes(*octets.get(at..)?.first_chunk::<4>()?);
        if head & u32::from(flag::EXTENDED_LENGTH) == 0 {
            return Some(Self {
                word: head & !0xff00_0000,
                start: at + 3,
            });
        }
        let [.., first, second] = head.to_le_bytes();
        let len = u32::from(u16::from_be_bytes([first, second]));
        Some(Self {
            word: (head & !LENGTH) | (len << 16),
            start: at + 4,
        })
    }

    #[inline(always)]
    pub(crate) fn code(self) -> u8 {
        let [_, code, ..] = self.word.to_le_bytes();
        code
    }

    /// Optional and Transitive.
    #[inline(always)]
    pub(crate) fn kind(self) -> u8 {
        let [flags, ..] = self.word.to_le_bytes();
        flags & walk::KIND
    }

    #[inline(always)]
    pub(crate) const fn span(self) -> Span {
        Span::of_word(self.start, self.word)
    }

    #[inline(always)]
    pub(crate) const fn len(self) -> usize {
        self.span().len()
    }
}

/// Types from 64 on are for the exact walk.
type Table = [Rule; 64];

const fn table(four_octet: bool, internal: bool) -> Table {
    let mut table = [Rule::NONE; 64];
    let mut code = 0;
    let mut rows: &mut [Rule] = &mut table;
    while let Some((row, rest)) = rows.split_first_mut() {
        *row = Rule::of(code, four_octet, internal);
        rows = rest;
        code += 1;
    }
    table
}

/// By width of AS numbers, then by kind of peer.
static RULES: [[Table; 2]; 2] = [
    [table(false, false), table(false, true)],
    [table(true, false), table(true, true)],
];

/// Reads the block; `false`, and nothing that counts in `attributes`, unless all of it is perfect.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "the index is masked")]
pub(crate) fn read(attributes: &mut Attributes<'_>, context: &DecodeContext) -> bool {
    let internal = usize::from(context.peer == PeerKind::Internal);
    let rules = &RULES[usize::from(context.four_octet_asn)][internal];
    let octets = attributes.octets();
    let end = attributes.bounds().end();
    let mut at = attributes.bounds().start();
    // Of bits that are all different, the sum is what they are together; no rule has a type so high that the sum of as
    // many as fit a message could overflow.
    let (mut seen, mut sum) = (0_u64, 0_u64);
    let mut wrong = 0_u32;
    while at < end {
        let Some(Head { word, start: value }) = Head::read(octets, at) else {
            return false;
        };
        let [_, code, ..] = word.to_le_bytes();
        let rule = &rules[usize::from(code & 63)];
        let len = word >> 16;
        let bit = 1_u64 << (code & 63);
        seen |= bit;
        sum = sum.wrapping_add(bit);
        // The highest bit tells that the subtraction fell below zero.
        wrong |= ((word ^ rule.word) & rule.mask) | (len.wrapping_sub(u32::from(rule.min)) & 0x8000_0000);
        attributes.place(rule.slot, Span::of_word(value, word));
        at = value + Span::of_word(value, word).len();
    }
    attributes.present = seen;
    at == end && wrong == 0 && sum == seen && values(attributes, context)
}

/// Whether the values of attributes with right lengths are right.
#[inline]
fn values(attributes: &Attributes<'_>, context: &DecodeContext) -> bool {
    const LESS_COMMON: u64 = (1 << code::AGGREGATOR) | (1 << code::LARGE_COMMUNITIES);
    let origin = attributes.value_in(slot::ORIGIN).first();
    let path = attributes.value_in(slot::AS_PATH);
    origin.is_none_or(|origin| *origin <= 2)
        && is_path(path, context)
        && (attributes.present & LESS_COMMON == 0 || less_common(attributes))
}

#[inline(never)]
fn less_common(attributes: &Attributes<'_>) -> bool {
    let aggregator = attributes.value_in(slot::AGGREGATOR);
    (aggregator.is_empty() || walk::aggregator(aggregator, attributes.four_octet).is_ok())
        && attributes
            .value_in(slot::LARGE_COMMUNITIES)
            .len()
            .is_multiple_of(12)
}

/// Whether AS_PATH is a single sequence without AS 0, or else what the exact walk finds nothing wrong with.
#[inline(always)]
pub(crate) fn is_path(value: &[u8], context: &DecodeContext) -> bool {
    if let [2, count, numbers @ ..] = value
        && *count != 0
        && numbers.len() == usize::from(*count) * 4
        && context.four_octet_asn
    {
        return !numbers.as_chunks::<4>().0.contains(&[0; 4]);
    }
    is_other_path(value, context)
}

#[inline(never)]
fn is_other_path(value: &[u8], context: &DecodeContext) -> bool {
    walk::path(value, context.four_octet_asn, context).is_ok()
}

/// Whether a next hop and the family of MP_REACH_NLRI are such as were negotiated, and the length of the next hop.
#[inline]
pub(crate) fn reach(value: &[u8], context: &DecodeContext) -> Option<(Family, usize)> {
    let (family, rest) = walk::split_family(value)?;
    let len = usize::from(*rest.first()?);
    let extended = context.extended_next_hop.contains(family);
    let valid = context.families.contains(family)
        // A reserved octet follows the next hop.
        && rest.len() > len + 1
        && next_hop::length_is_valid(family, len, extended);
    valid.then_some((family, len))
}

#[cfg(test)]
mod tests;
