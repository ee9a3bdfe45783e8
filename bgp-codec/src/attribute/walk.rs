//! The one pass over an attribute block: checks each attribute by the rules of RFC 7606 §7 and reads it.

use super::as_path::{AsPath, PathError};
use super::error::{AttributeError, AttributeErrorKind as Kind, AttributeErrors};
use super::{Attributes, Origin, code, flag, opaque, unknown};
use crate::family::{Afi, Family, Safi};
use crate::next_hop;
use crate::update::{DecodeContext, PeerKind, UpdateError};

const WELL_KNOWN: u8 = flag::TRANSITIVE;
const OPTIONAL: u8 = flag::OPTIONAL;
const OPTIONAL_TRANSITIVE: u8 = flag::OPTIONAL | flag::TRANSITIVE;
const KIND: u8 = flag::OPTIONAL | flag::TRANSITIVE;

type Checked = Result<(), Kind>;

/// Reads a block from a peer.
///
/// `errors` collects what does not end the session; the first occurrence of a type is what counts (RFC 7606 §3(g)).
#[inline]
pub(crate) fn walk<'a>(
    raw: &'a [u8],
    context: &DecodeContext,
    errors: &mut AttributeErrors,
) -> Result<Attributes<'a>, UpdateError> {
    let mut attributes = Attributes::empty(raw, context.four_octet_asn);
    let mut seen = 0_u64;
    let mut rest = raw;
    while let Some((attribute, after)) = unknown::split(rest) {
        let whole = rest;
        rest = after;
        let code = attribute.code;
        if code < 64 {
            let bit = 1 << code;
            if seen & bit != 0 {
                duplicate(code, errors)?;
                continue;
            }
            seen |= bit;
            let partial = u64::from(attribute.flags & flag::PARTIAL != 0);
            attributes.partial |= partial << code;
        }
        let checked = match code {
            code::MP_REACH_NLRI => mp_reach(&mut attributes, attribute.value, context).map_or_else(
                |family| Err(malformed_multiprotocol(family, whole, after)),
                |()| Ok(flags(attribute.flags, OPTIONAL)),
            )?,
            code::MP_UNREACH_NLRI => mp_unreach(&mut attributes, attribute.value, context).map_or_else(
                |()| Err(malformed_multiprotocol(None, whole, after)),
                |()| Ok(flags(attribute.flags, OPTIONAL)),
            )?,
            _ if !unknown::is_read(code) => {
                // RFC 4271 §6.3: an unknown attribute must not be well-known.
                if attribute.flags & flag::OPTIONAL == 0 && opaque::flags(code).is_none() {
                    return Err(unrecognized(whole, after));
                }
                let checked = opaque::check(attribute);
                if checked.is_ok() && code < 64 {
                    attributes.present |= 1 << code;
                }
                checked
            }
            _ => attributes.read(attribute.flags, code, attribute.value, context.peer),
        };
        if let Err(kind) = checked {
            errors.push(AttributeError::new(code, kind));
        }
    }
    if !rest.is_empty() {
        overrun(rest, errors);
    }
    attributes.raw = raw;
    Ok(attributes)
}

/// Reads a canonical block of our own.
pub(crate) fn trusted(block: &[u8]) -> Attributes<'_> {
    let mut attributes = Attributes::empty(block, true);
    let mut rest = block;
    while let Some((attribute, after)) = unknown::split(rest) {
        rest = after;
        if attribute.code < 64 {
            let partial = u64::from(attribute.flags & flag::PARTIAL != 0);
            attributes.partial |= partial << attribute.code;
        }
        if unknown::is_read(attribute.code) {
            // What does not make sense reads as not there.
            let _unusable = attributes
                .read(
                    attribute.flags,
                    attribute.code,
                    attribute.value,
                    PeerKind::Internal,
                )
                .is_err();
        } else if attribute.code < 64 {
            // What was carried once is carried on.
            attributes.present |= 1 << attribute.code;
        }
    }
    attributes
}

impl<'a> Attributes<'a> {
    /// Reads one attribute whose value has no family in it.
    #[inline]
    fn read(&mut self, flags: u8, code: u8, value: &'a [u8], peer: PeerKind) -> Checked {
        match code {
            code::ORIGIN => {
                self::flags(flags, WELL_KNOWN)?;
                let &[origin] = value else {
                    return Err(Kind::Length);
                };
                self.origin = Origin::from_code(origin).ok_or(Kind::Value)?;
            }
            code::AS_PATH => {
                self::flags(flags, WELL_KNOWN)?;
                self.as_path = path(value, self.four_octet)?;
            }
            code::NEXT_HOP => {
                self::flags(flags, WELL_KNOWN)?;
                self.next_hop = number(value)?;
            }
            code::MULTI_EXIT_DISC => {
                self::flags(flags, OPTIONAL)?;
                self.med = number(value)?;
            }
            code::LOCAL_PREF => {
                internal(peer)?;
                self::flags(flags, WELL_KNOWN)?;
                self.local_pref = number(value)?;
            }
            code::ATOMIC_AGGREGATE => {
                self::flags(flags, WELL_KNOWN)?;
                if !value.is_empty() {
                    return Err(Kind::Length);
                }
            }
            code::AGGREGATOR => {
                self::flags(flags, OPTIONAL_TRANSITIVE)?;
                self.aggregator = aggregator(value, self.four_octet)?;
            }
            code::COMMUNITIES => {
                self::flags(flags, OPTIONAL_TRANSITIVE)?;
                self.communities = items::<4>(value)?;
            }
            code::ORIGINATOR_ID => {
                internal(peer)?;
                self::flags(flags, OPTIONAL)?;
                self.originator_id = number(value)?;
            }
            code::CLUSTER_LIST => {
                internal(peer)?;
                self::flags(flags, OPTIONAL)?;
                self.cluster_list = items::<4>(value)?;
            }
            code::EXTENDED_COMMUNITIES => {
                self::flags(flags, OPTIONAL_TRANSITIVE)?;
                self.extended = items::<8>(value)?;
            }
            code::LARGE_COMMUNITIES => {
                self::flags(flags, OPTIONAL_TRANSITIVE)?;
                self.large = items::<12>(value)?;
            }
            _ => return self.read_rare(flags, code, value),
        }
        self.present |= 1 << code;
        Ok(())
    }

    #[cold]
    fn read_rare(&mut self, flags: u8, code: u8, value: &'a [u8]) -> Checked {
        match code {
            code::IPV6_EXTENDED_COMMUNITIES => {
                self::flags(flags, OPTIONAL_TRANSITIVE)?;
                self.ipv6_extended = items::<20>(value)?;
            }
            code::AS4_PATH | code::AS4_AGGREGATOR if self.four_octet => {
                // RFC 6793 §4.1: a peer that sends four octets anyway means nothing by them.
                return Ok(());
            }
            code::AS4_PATH => {
                self::flags(flags, OPTIONAL_TRANSITIVE)?;
                self.as4_path = path(value, true)?;
            }
            code::AS4_AGGREGATOR => {
                self::flags(flags, OPTIONAL_TRANSITIVE)?;
                self.as4_aggregator = aggregator(value, true)?;
            }
            code::AIGP => {
                self::flags(flags, OPTIONAL)?;
                self.aigp = aigp(value)?;
            }
            code::ONLY_TO_CUSTOMER => {
                self::flags(flags, OPTIONAL_TRANSITIVE)?;
                self.only_to_customer = number(value)?;
            }
            _ => return Ok(()),
        }
        self.present |= 1 << code;
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
fn number(value: &[u8]) -> Result<u32, Kind> {
    <[u8; 4]>::try_from(value)
        .map(u32::from_be_bytes)
        .map_err(|_| Kind::Length)
}

/// A list that is not empty and whose items are whole.
#[inline]
fn items<const SIZE: usize>(value: &[u8]) -> Result<&[u8], Kind> {
    if value.is_empty() || !value.len().is_multiple_of(SIZE) {
        Err(Kind::Length)
    } else {
        Ok(value)
    }
}

#[inline]
fn path(value: &[u8], four_octet: bool) -> Result<&[u8], Kind> {
    match AsPath::checked(value, four_octet) {
        Ok(_) => Ok(value),
        // RFC 7607 §2.
        Err(PathError::Malformed | PathError::AsZero) => Err(Kind::Value),
    }
}

/// RFC 7606 §7.7: eight octets with four-octet AS numbers, else six.
#[inline]
fn aggregator(value: &[u8], four_octet: bool) -> Result<[u32; 2], Kind> {
    let (asn, address) = match (four_octet, value) {
        (true, &[a, b, c, d, e, f, g, h]) => (u32::from_be_bytes([a, b, c, d]), [e, f, g, h]),
        (false, &[c, d, e, f, g, h]) => (u32::from_be_bytes([0, 0, c, d]), [e, f, g, h]),
        _ => return Err(Kind::Length),
    };
    // RFC 7607 §2.
    if asn == 0 {
        Err(Kind::Value)
    } else {
        Ok([asn, u32::from_be_bytes(address)])
    }
}

/// RFC 7311 §3: the first TLV of type 1 counts, its length is eleven.
fn aigp(value: &[u8]) -> Result<u64, Kind> {
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

/// Fails with the family, where it could be read.
#[inline]
fn mp_reach<'a>(
    attributes: &mut Attributes<'a>,
    value: &'a [u8],
    context: &DecodeContext,
) -> Result<(), Option<Family>> {
    let (&[high, low, safi, len], rest) = value.split_first_chunk::<4>().ok_or(None)?;
    let family = Family::new(Afi(u16::from_be_bytes([high, low])), Safi(safi));
    if !context.families.contains(family) {
        // RFC 4760 §6: a family that was not negotiated is ignored, whatever it holds.
        return Ok(());
    }
    let (next_hop, rest) = rest.split_at_checked(usize::from(len)).ok_or(Some(family))?;
    let (_reserved, nlri) = rest.split_first().ok_or(Some(family))?;
    // RFC 7606 §7.11.
    if !next_hop::length_is_valid(
        family,
        usize::from(len),
        context.extended_next_hop.contains(family),
    ) {
        return Err(Some(family));
    }
    attributes.reach_family = family;
    attributes.reach_next_hop = next_hop;
    attributes.reach_nlri = nlri;
    attributes.present |= 1 << code::MP_REACH_NLRI;
    Ok(())
}

#[inline]
fn mp_unreach<'a>(
    attributes: &mut Attributes<'a>,
    value: &'a [u8],
    context: &DecodeContext,
) -> Result<(), ()> {
    let (&[high, low, safi], nlri) = value.split_first_chunk::<3>().ok_or(())?;
    let family = Family::new(Afi(u16::from_be_bytes([high, low])), Safi(safi));
    if context.families.contains(family) {
        attributes.unreach_family = family;
        attributes.unreach_nlri = nlri;
        attributes.present |= 1 << code::MP_UNREACH_NLRI;
    }
    Ok(())
}

#[cold]
fn duplicate(code: u8, errors: &mut AttributeErrors) -> Result<(), UpdateError> {
    if matches!(code, code::MP_REACH_NLRI | code::MP_UNREACH_NLRI) {
        return Err(UpdateError::DuplicateMultiprotocol(code));
    }
    errors.push(AttributeError::new(code, Kind::Duplicate));
    Ok(())
}

#[cold]
fn overrun(rest: &[u8], errors: &mut AttributeErrors) {
    let code = rest.get(1).copied().unwrap_or_default();
    errors.push(AttributeError::overrun(code));
}

#[cold]
fn malformed_multiprotocol(family: Option<Family>, whole: &[u8], after: &[u8]) -> UpdateError {
    UpdateError::MalformedMultiprotocol {
        family,
        attribute: octets(whole, after),
    }
}

#[cold]
fn unrecognized(whole: &[u8], after: &[u8]) -> UpdateError {
    UpdateError::UnrecognizedWellKnown(octets(whole, after))
}

/// The attribute that stands between the beginning of `whole` and that of `after`.
fn octets(whole: &[u8], after: &[u8]) -> Vec<u8> {
    whole
        .get(..whole.len().saturating_sub(after.len()))
        .unwrap_or_default()
        .to_vec()
}
