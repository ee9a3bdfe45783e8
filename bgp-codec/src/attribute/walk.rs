//! The exact pass over an attribute block: checks each attribute by the rules of RFC 7606 §7 and tells each error.
//!
//! Blocks without errors, nearly all, do not come here: see [`clean`].

use std::net::Ipv4Addr;

use super::as_path;
use super::error::{AttributeError, AttributeErrorKind as Kind, Report};
use super::{Aggregator, Attributes, Origin, RawAttribute, Span, clean, code, flag, opaque, slot, unknown};
use crate::asn::Asn;
use crate::family::{Afi, Family, Safi};
use crate::update::{AsSets, DecodeContext, PeerKind, UpdateError};

pub(crate) const WELL_KNOWN: u8 = flag::TRANSITIVE;
pub(crate) const OPTIONAL: u8 = flag::OPTIONAL;
pub(crate) const OPTIONAL_TRANSITIVE: u8 = flag::OPTIONAL | flag::TRANSITIVE;
/// The flags that the type decides.
pub(crate) const KIND: u8 = flag::OPTIONAL | flag::TRANSITIVE;

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

    const fn end(&self) -> usize {
        self.start + self.value.len()
    }

    const fn span(&self) -> Span {
        Span::new(self.start, self.value.len())
    }
}

/// Reads the block of `attributes` from a peer.
///
/// `errors` collects what does not end the session; the first occurrence of a type is what counts (RFC 7606 §3(g)).
#[cold]
#[inline(never)]
pub(crate) fn walk(
    attributes: &mut Attributes<'_>,
    context: &DecodeContext,
    errors: &mut impl Report,
) -> Result<(), UpdateError> {
    let block = attributes
        .octets()
        .get(..attributes.bounds().end())
        .unwrap_or_default();
    let mut seen = 0_u64;
    let mut unusable = 0_u64;
    let mut at = attributes.bounds().start();
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
            if let Err(kind) = check(attribute, block.get(begin..at), context)? {
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
        if code & !1 == code::MP_REACH_NLRI {
            match multiprotocol(attribute, context) {
                Ok(true) => attributes.place(slot::of(code), attribute.span()),
                Ok(false) => unusable |= bit,
                Err(family) => return Err(malformed_multiprotocol(family, block.get(begin..at))),
            }
            continue;
        }
        match check(attribute, block.get(begin..at), context)? {
            Ok(()) => attributes.place(slot::of(code), attribute.span()),
            Err(kind) => {
                unusable |= bit;
                errors.push(AttributeError::new(code, kind));
            }
        }
    }
    attributes.present = seen & !unusable;
    Ok(())
}

/// Reads a canonical block of our own.
pub(crate) fn trusted(block: &[u8]) -> Attributes<'_> {
    const CONTEXT: DecodeContext = DecodeContext::all(PeerKind::Internal);
    let mut attributes = Attributes::unread_block(block, true);
    if let Some(clean) = attributes.clean(&CONTEXT) {
        return clean;
    }
    let block = attributes.raw();
    let mut at = 0;
    while let Some(attribute) = Placed::read(block, at) {
        at = attribute.end();
        // What does not make sense reads as not there; what was carried once is carried on.
        let usable = !unknown::is_read(attribute.code) || check_read(attribute, &CONTEXT).is_ok();
        if usable && attribute.code < 64 {
            attributes.present |= 1 << attribute.code;
            attributes.place(slot::of(attribute.code), attribute.span());
        }
    }
    attributes
}

/// Checks an attribute; `whole` are its octets.
fn check(
    attribute: Placed<'_>,
    whole: Option<&[u8]>,
    context: &DecodeContext,
) -> Result<Checked, UpdateError> {
    let Placed {
        flags, code, value, ..
    } = attribute;
    if unknown::is_read(code) {
        return Ok(check_read(attribute, context));
    }
    // RFC 4271 §6.3: an unknown attribute must not be well-known.
    if flags & flag::OPTIONAL == 0 && opaque::flags(code).is_none() {
        return Err(unrecognized(whole));
    }
    Ok(opaque::check(RawAttribute { flags, code, value }))
}

/// Checks an attribute of a type that is read.
fn check_read(attribute: Placed<'_>, context: &DecodeContext) -> Checked {
    let Placed {
        flags, code, value, ..
    } = attribute;
    let four_octet = context.four_octet_asn;
    match code {
        code::ORIGIN => {
            self::flags(flags, WELL_KNOWN)?;
            let &[origin] = value else {
                return Err(Kind::Length);
            };
            Origin::from_code(origin).map(|_| ()).ok_or(Kind::Value)
        }
        code::AS_PATH => self::flags(flags, WELL_KNOWN).and_then(|()| path(value, four_octet, context)),
        code::NEXT_HOP => self::flags(flags, WELL_KNOWN).and_then(|()| exactly::<4>(value)),
        code::MULTI_EXIT_DISC => self::flags(flags, OPTIONAL).and_then(|()| exactly::<4>(value)),
        code::LOCAL_PREF => internal(context.peer)
            .and_then(|()| self::flags(flags, WELL_KNOWN))
            .and_then(|()| exactly::<4>(value)),
        code::ATOMIC_AGGREGATE => self::flags(flags, WELL_KNOWN).and_then(|()| exactly::<0>(value)),
        code::AGGREGATOR => self::flags(flags, OPTIONAL_TRANSITIVE)
            .and_then(|()| aggregator(value, four_octet))
            .map(|_| ()),
        code::COMMUNITIES => self::flags(flags, OPTIONAL_TRANSITIVE).and_then(|()| items::<4>(value)),
        code::ORIGINATOR_ID => internal(context.peer)
            .and_then(|()| self::flags(flags, OPTIONAL))
            .and_then(|()| exactly::<4>(value)),
        code::CLUSTER_LIST => internal(context.peer)
            .and_then(|()| self::flags(flags, OPTIONAL))
            .and_then(|()| items::<4>(value)),
        code::EXTENDED_COMMUNITIES => {
            self::flags(flags, OPTIONAL_TRANSITIVE).and_then(|()| items::<8>(value))
        }
        code::LARGE_COMMUNITIES => self::flags(flags, OPTIONAL_TRANSITIVE).and_then(|()| items::<12>(value)),
        code::IPV6_EXTENDED_COMMUNITIES => {
            self::flags(flags, OPTIONAL_TRANSITIVE).and_then(|()| items::<20>(value))
        }
        // RFC 6793 §4.1: a peer that sends four octets anyway means nothing by them.
        code::AS4_PATH | code::AS4_AGGREGATOR if four_octet => Ok(()),
        code::AS4_PATH => self::flags(flags, OPTIONAL_TRANSITIVE).and_then(|()| as4_path(value, context)),
        code::AS4_AGGREGATOR => self::flags(flags, OPTIONAL_TRANSITIVE)
            .and_then(|()| aggregator(value, true))
            .map(|_| ()),
        code::AIGP => self::flags(flags, OPTIONAL)
            .and_then(|()| aigp(value))
            .map(|_| ()),
        code::ONLY_TO_CUSTOMER => self::flags(flags, OPTIONAL_TRANSITIVE).and_then(|()| exactly::<4>(value)),
        _ => Ok(()),
    }
}

fn flags(flags: u8, expected: u8) -> Checked {
    if flags & KIND == expected {
        Ok(())
    } else {
        Err(Kind::Flags)
    }
}

/// RFC 7606 §7.5, §7.9, §7.10: from an external peer these are discarded, whatever they hold.
fn internal(peer: PeerKind) -> Checked {
    match peer {
        PeerKind::Internal => Ok(()),
        PeerKind::External => Err(Kind::FromExternalPeer),
    }
}

const fn exactly<const LEN: usize>(value: &[u8]) -> Checked {
    if value.len() == LEN {
        Ok(())
    } else {
        Err(Kind::Length)
    }
}

/// A list that is not empty and whose items are whole.
fn items<const SIZE: usize>(value: &[u8]) -> Checked {
    if value.is_empty() || !value.len().is_multiple_of(SIZE) {
        Err(Kind::Length)
    } else {
        Ok(())
    }
}

/// RFC 7606 §7.2, RFC 7607 §2.
#[inline]
pub(super) fn path(value: &[u8], four_octet: bool, context: &DecodeContext) -> Checked {
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
pub(crate) fn aggregator(value: &[u8], four_octet: bool) -> Result<Aggregator, Kind> {
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

/// Whether MP_REACH_NLRI or MP_UNREACH_NLRI is of a family that was negotiated; fails with the family, where it could be
/// read.
fn multiprotocol(attribute: Placed<'_>, context: &DecodeContext) -> Result<bool, Option<Family>> {
    let (family, rest) = split_family(attribute.value).ok_or(None)?;
    let reach = attribute.code == code::MP_REACH_NLRI;
    // RFC 7606 §7.11: whatever the family, the length of the next hop must be there.
    if reach && rest.is_empty() {
        return Err(None);
    }
    if !context.families.contains(family) {
        // RFC 4760 §6: a family that was not negotiated is ignored, whatever it holds.
        return Ok(false);
    }
    // RFC 7606 §5.3, §7.11.
    if flags(attribute.flags, OPTIONAL).is_err() || reach && clean::reach(attribute.value, context).is_none()
    {
        return Err(Some(family));
    }
    Ok(true)
}

/// The family at the beginning of a multiprotocol attribute, and what follows it.
#[inline]
pub(crate) fn split_family(value: &[u8]) -> Option<(Family, &[u8])> {
    let (&[high, low, safi], rest) = value.split_first_chunk::<3>()?;
    let family = Family::new(Afi(u16::from_be_bytes([high, low])), Safi(safi));
    Some((family, rest))
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
