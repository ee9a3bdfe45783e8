//! The one pass over an attribute block: checks each attribute by the rules of RFC 7606 §7 and reads it.

use std::net::Ipv4Addr;

use super::as_path;
use super::error::{AttributeError, AttributeErrorKind as Kind, Report};
use super::{Aggregator, Attributes, Origin, RawAttribute, Span, code, flag, opaque, unknown};
use crate::asn::Asn;
use crate::family::{Afi, Family, Safi};
use crate::next_hop;
use crate::update::{AsSets, DecodeContext, PeerKind, UpdateError};

const WELL_KNOWN: u8 = flag::TRANSITIVE;
const OPTIONAL: u8 = flag::OPTIONAL;
const OPTIONAL_TRANSITIVE: u8 = flag::OPTIONAL | flag::TRANSITIVE;
const KIND: u8 = flag::OPTIONAL | flag::TRANSITIVE;

/// Blocks are no longer than their length field can say.
const MAX_BLOCK: usize = 65_535;

type Checked = Result<(), Kind>;

/// An attribute and where its value stands in the block.
#[derive(Clone, Copy)]
struct Placed<'a> {
    flags: u8,
    code: u8,
    value: &'a [u8],
    start: usize,
}

impl<'a> Placed<'a> {
    /// The attribute that begins at `at`; `None` if it runs over the end.
    #[inline]
    fn read(block: &'a [u8], at: usize) -> Option<Self> {
        let (&[flags, code, first], rest) = block.get(at..)?.split_first_chunk::<3>()?;
        let (start, len) = if flags & flag::EXTENDED_LENGTH == 0 {
            (at + 3, usize::from(first))
        } else {
            (at + 4, usize::from(u16::from_be_bytes([first, *rest.first()?])))
        };
        let value = block.get(start..start + len)?;
        Some(Self {
            flags,
            code,
            value,
            start,
        })
    }

    #[inline]
    const fn end(&self) -> usize {
        self.start + self.value.len()
    }

    #[inline]
    const fn span(&self) -> Span {
        Span::new(self.start, self.value.len())
    }
}

/// Reads the block of `attributes` from a peer.
///
/// `errors` collects what does not end the session; the first occurrence of a type is what counts (RFC 7606 §3(g)).
#[inline]
pub(crate) fn walk(
    attributes: &mut Attributes<'_>,
    context: &DecodeContext,
    errors: &mut impl Report,
) -> Result<(), UpdateError> {
    let block = attributes.raw;
    let mut seen = 0_u64;
    let mut unusable = 0_u64;
    let mut at = 0;
    while at < block.len() {
        let Some(attribute) = Placed::read(block, at) else {
            overrun(block, at, errors)?;
            break;
        };
        let begin = at;
        at = attribute.end();
        let code = attribute.code;
        if code > 63 {
            // None of them is read, and which one came first is told where they are passed on.
            if let Err(kind) = attributes.read_rare(begin, context)? {
                errors.push(AttributeError::new(code, kind));
            }
            continue;
        }
        let bit = 1_u64 << code;
        if seen & bit != 0 {
            duplicate(code, errors)?;
            continue;
        }
        seen |= bit;
        let checked = match attributes.read(attribute, context) {
            Some(checked) => checked,
            None if code & !1 == code::MP_REACH_NLRI => {
                let used = if code == code::MP_REACH_NLRI {
                    mp_reach(attributes, attribute, context)
                } else {
                    mp_unreach(attributes, attribute, context)
                };
                match used {
                    Ok(true) => {}
                    Ok(false) => unusable |= bit,
                    Err(family) => return Err(malformed_multiprotocol(family, block.get(begin..at))),
                }
                continue;
            }
            None => attributes.read_rare(begin, context)?,
        };
        if let Err(kind) = checked {
            unusable |= bit;
            errors.push(AttributeError::new(code, kind));
        }
    }
    attributes.present = seen & !unusable;
    Ok(())
}

/// Reads a canonical block of our own.
pub(crate) fn trusted(block: &[u8]) -> Attributes<'_> {
    const CONTEXT: DecodeContext = DecodeContext::all(PeerKind::Internal);
    let block = block.get(..block.len().min(MAX_BLOCK)).unwrap_or_default();
    let mut attributes = Attributes::empty(block, true);
    let mut at = 0;
    while let Some(attribute) = Placed::read(block, at) {
        let begin = at;
        at = attribute.end();
        let checked = attributes.read(attribute, &CONTEXT);
        // What does not make sense reads as not there; what was carried once is carried on.
        let usable = match checked {
            Some(checked) => checked.is_ok(),
            None => {
                !unknown::is_read(attribute.code)
                    || matches!(attributes.read_rare(begin, &CONTEXT), Ok(Ok(())))
            }
        };
        if usable && attribute.code < 64 {
            attributes.present |= 1 << attribute.code;
        }
    }
    attributes
}

impl Attributes<'_> {
    /// Reads one of the attributes that routes usually have; `None` if it is another.
    #[inline(always)]
    fn read(&mut self, attribute: Placed<'_>, context: &DecodeContext) -> Option<Checked> {
        let peer = context.peer;
        let flags = attribute.flags;
        let value = attribute.value;
        let span = attribute.span();
        Some(match attribute.code {
            code::ORIGIN => self::flags(flags, WELL_KNOWN).and_then(|()| {
                let &[origin] = value else {
                    return Err(Kind::Length);
                };
                self.origin = Origin::from_code(origin).ok_or(Kind::Value)?;
                Ok(())
            }),
            code::AS_PATH => self::flags(flags, WELL_KNOWN)
                .and_then(|()| path(value, self.four_octet, context))
                .map(|()| self.as_path = span),
            code::NEXT_HOP => self::flags(flags, WELL_KNOWN).and_then(|()| number(value, &mut self.next_hop)),
            code::MULTI_EXIT_DISC => self::flags(flags, OPTIONAL).and_then(|()| number(value, &mut self.med)),
            code::LOCAL_PREF => internal(peer)
                .and_then(|()| self::flags(flags, WELL_KNOWN))
                .and_then(|()| number(value, &mut self.local_pref)),
            code::ATOMIC_AGGREGATE => self::flags(flags, WELL_KNOWN).and_then(|()| empty(value)),
            code::AGGREGATOR => self::flags(flags, OPTIONAL_TRANSITIVE)
                .and_then(|()| aggregator(value, self.four_octet))
                .map(|_| self.rare.aggregator = span),
            code::COMMUNITIES => self::flags(flags, OPTIONAL_TRANSITIVE)
                .and_then(|()| items::<4>(value))
                .map(|()| self.communities = span),
            code::ORIGINATOR_ID => internal(peer)
                .and_then(|()| self::flags(flags, OPTIONAL))
                .and_then(|()| number(value, &mut self.originator_id)),
            code::CLUSTER_LIST => internal(peer)
                .and_then(|()| self::flags(flags, OPTIONAL))
                .and_then(|()| items::<4>(value))
                .map(|()| self.cluster_list = span),
            code::EXTENDED_COMMUNITIES => self::flags(flags, OPTIONAL_TRANSITIVE)
                .and_then(|()| items::<8>(value))
                .map(|()| self.extended = span),
            code::LARGE_COMMUNITIES => self::flags(flags, OPTIONAL_TRANSITIVE)
                .and_then(|()| items::<12>(value))
                .map(|()| self.large = span),
            _ => return None,
        })
    }

    /// Reads the attribute at `at`, of any other type.
    #[cold]
    #[inline(never)]
    fn read_rare(&mut self, at: usize, context: &DecodeContext) -> Result<Checked, UpdateError> {
        let Some(attribute) = Placed::read(self.raw, at) else {
            return Ok(Err(Kind::Overrun));
        };
        let Placed {
            flags, code, value, ..
        } = attribute;
        if unknown::is_read(code) {
            return Ok(self.read_known(attribute, context));
        }
        // RFC 4271 §6.3: an unknown attribute must not be well-known.
        if flags & flag::OPTIONAL == 0 && opaque::flags(code).is_none() {
            return Err(unrecognized(self.raw.get(at..attribute.end())));
        }
        Ok(opaque::check(RawAttribute { flags, code, value }))
    }

    fn read_known(&mut self, attribute: Placed<'_>, context: &DecodeContext) -> Checked {
        let Placed { flags, value, .. } = attribute;
        match attribute.code {
            code::IPV6_EXTENDED_COMMUNITIES => {
                self::flags(flags, OPTIONAL_TRANSITIVE)?;
                items::<20>(value)?;
                self.rare.ipv6_extended = attribute.span();
            }
            // RFC 6793 §4.1: a peer that sends four octets anyway means nothing by them.
            code::AS4_PATH | code::AS4_AGGREGATOR if self.four_octet => {}
            code::AS4_PATH => {
                self::flags(flags, OPTIONAL_TRANSITIVE)?;
                as4_path(value, context)?;
                self.rare.as4_path = attribute.span();
            }
            code::AS4_AGGREGATOR => {
                self::flags(flags, OPTIONAL_TRANSITIVE)?;
                aggregator(value, true)?;
                self.rare.as4_aggregator = attribute.span();
            }
            code::AIGP => {
                self::flags(flags, OPTIONAL)?;
                aigp(value)?;
                self.rare.aigp = attribute.span();
            }
            code::ONLY_TO_CUSTOMER => {
                self::flags(flags, OPTIONAL_TRANSITIVE)?;
                number(value, &mut 0)?;
                self.rare.only_to_customer = attribute.span();
            }
            _ => {}
        }
        Ok(())
    }
}

#[inline]
fn flags(flags: u8, expected: u8) -> Checked {
    if flags & KIND == expected {
        Ok(())
    } else {
        Err(Kind::Flags)
    }
}

/// RFC 7606 §7.5, §7.9, §7.10: from an external peer these are discarded, whatever they hold.
#[inline]
fn internal(peer: PeerKind) -> Checked {
    match peer {
        PeerKind::Internal => Ok(()),
        PeerKind::External => Err(Kind::FromExternalPeer),
    }
}

#[inline]
fn number(value: &[u8], into: &mut u32) -> Checked {
    *into = <[u8; 4]>::try_from(value)
        .map(u32::from_be_bytes)
        .map_err(|_| Kind::Length)?;
    Ok(())
}

#[inline]
const fn empty(value: &[u8]) -> Checked {
    if value.is_empty() {
        Ok(())
    } else {
        Err(Kind::Length)
    }
}

/// A list that is not empty and whose items are whole.
#[inline]
fn items<const SIZE: usize>(value: &[u8]) -> Checked {
    if value.is_empty() || !value.len().is_multiple_of(SIZE) {
        Err(Kind::Length)
    } else {
        Ok(())
    }
}

/// RFC 7606 §7.2, RFC 7607 §2.
#[inline]
fn path(value: &[u8], four_octet: bool, context: &DecodeContext) -> Checked {
    match as_path::check(value, four_octet) {
        Some(found) if found.is_plain() => Ok(()),
        Some(found) => odd_path(found, context),
        None => Err(Kind::Value),
    }
}

#[cold]
fn odd_path(found: as_path::Found, context: &DecodeContext) -> Checked {
    // RFC 5065 §5: confederation segments never cross the border of a confederation.
    if found.as_zero || (found.confederation() && context.peer == PeerKind::External) {
        return Err(Kind::Value);
    }
    if found.set() && context.as_sets == AsSets::TreatAsWithdraw {
        return Err(Kind::AsSet);
    }
    Ok(())
}

/// RFC 6793 §6; confederation segments are dropped where the path is used.
fn as4_path(value: &[u8], context: &DecodeContext) -> Checked {
    // RFC 7606 §4: of no length, though the path that it completes may be.
    if value.is_empty() {
        return Err(Kind::Length);
    }
    match as_path::check(value, true) {
        Some(found) if found.set() && context.as_sets == AsSets::TreatAsWithdraw => Err(Kind::AsSet),
        Some(found) if !found.as_zero => Ok(()),
        _ => Err(Kind::Value),
    }
}

/// RFC 7606 §7.7: eight octets with four-octet AS numbers, else six.
#[inline]
pub(super) fn aggregator(value: &[u8], four_octet: bool) -> Result<Aggregator, Kind> {
    let (asn, address) = match (four_octet, value) {
        (true, &[a, b, c, d, e, f, g, h]) => (u32::from_be_bytes([a, b, c, d]), [e, f, g, h]),
        (false, &[c, d, e, f, g, h]) => (u32::from_be_bytes([0, 0, c, d]), [e, f, g, h]),
        _ => return Err(Kind::Length),
    };
    // RFC 7607 §2.
    if asn == 0 {
        Err(Kind::Value)
    } else {
        Ok(Aggregator {
            asn: Asn(asn),
            address: Ipv4Addr::from(address),
        })
    }
}

/// RFC 7311 §3: the first TLV of type 1 counts, its length is eleven.
pub(super) fn aigp(value: &[u8]) -> Result<u64, Kind> {
    let mut rest = value;
    let mut metric = None;
    while let Some((&[kind, high, low], after)) = rest.split_first_chunk::<3>() {
        let len = usize::from(u16::from_be_bytes([high, low]))
            .checked_sub(3)
            .ok_or(Kind::Length)?;
        let (value, after) = after.split_at_checked(len).ok_or(Kind::Length)?;
        if kind == 1 && metric.is_none() {
            metric = Some(u64::from_be_bytes(value.try_into().map_err(|_| Kind::Length)?));
        }
        rest = after;
    }
    if rest.is_empty() {
        metric.ok_or(Kind::Value)
    } else {
        Err(Kind::Length)
    }
}

/// Whether the family is one that was negotiated; fails with the family, where it could be read.
#[inline]
fn mp_reach(
    attributes: &mut Attributes<'_>,
    attribute: Placed<'_>,
    context: &DecodeContext,
) -> Result<bool, Option<Family>> {
    let value = attribute.value;
    let &[high, low, safi, len] = value.first_chunk::<4>().ok_or(None)?;
    let family = Family::new(Afi(u16::from_be_bytes([high, low])), Safi(safi));
    if !context.families.contains(family) {
        // RFC 4760 §6: a family that was not negotiated is ignored, whatever it holds.
        return Ok(false);
    }
    let len = usize::from(len);
    // RFC 7606 §5.3, §7.11; a reserved octet follows the next hop.
    if flags(attribute.flags, OPTIONAL).is_err()
        || value.len() < 5 + len
        || !next_hop::length_is_valid(family, len, context.extended_next_hop.contains(family))
    {
        return Err(Some(family));
    }
    attributes.reach_family = family;
    attributes.reach_next_hop = Span::new(attribute.start + 4, len);
    attributes.reach_nlri = Span::new(attribute.start + 5 + len, value.len() - 5 - len);
    Ok(true)
}

#[inline]
fn mp_unreach(
    attributes: &mut Attributes<'_>,
    attribute: Placed<'_>,
    context: &DecodeContext,
) -> Result<bool, Option<Family>> {
    let &[high, low, safi] = attribute.value.first_chunk::<3>().ok_or(None)?;
    let family = Family::new(Afi(u16::from_be_bytes([high, low])), Safi(safi));
    if !context.families.contains(family) {
        return Ok(false);
    }
    // RFC 7606 §5.3.
    flags(attribute.flags, OPTIONAL).map_err(|_| Some(family))?;
    attributes.unreach_family = family;
    attributes.unreach_nlri = Span::new(attribute.start + 3, attribute.value.len() - 3);
    Ok(true)
}

#[cold]
fn duplicate(code: u8, errors: &mut impl Report) -> Result<(), UpdateError> {
    if matches!(code, code::MP_REACH_NLRI | code::MP_UNREACH_NLRI) {
        return Err(UpdateError::DuplicateMultiprotocol(code));
    }
    errors.push(AttributeError::new(code, Kind::Duplicate));
    Ok(())
}

#[cold]
fn overrun(block: &[u8], at: usize, errors: &mut impl Report) -> Result<(), UpdateError> {
    let rest = block.get(at..).unwrap_or_default();
    // RFC 7606 §3(j): what the attribute announces or withdraws cannot be told, so withdrawing the rest would not do.
    if let [_, code::MP_REACH_NLRI | code::MP_UNREACH_NLRI, _, ..] = rest {
        return Err(malformed_multiprotocol(None, Some(rest)));
    }
    let code = rest.get(1).copied().unwrap_or_default();
    errors.push(AttributeError::overrun(code));
    Ok(())
}

#[cold]
fn malformed_multiprotocol(family: Option<Family>, attribute: Option<&[u8]>) -> UpdateError {
    UpdateError::MalformedMultiprotocol {
        family,
        attribute: attribute.unwrap_or_default().to_vec(),
    }
}

#[cold]
fn unrecognized(attribute: Option<&[u8]>) -> UpdateError {
    UpdateError::UnrecognizedWellKnown(attribute.unwrap_or_default().to_vec())
}
