//! Attributes that are carried as octets: only their outer form is checked, so that a reflector passes on what is whole.

use super::error::AttributeErrorKind as Kind;
use super::{RawAttribute, RawAttributes, code, flag};
use crate::reader::Reader;

/// Optional and Transitive bits of the types whose form is known here.
pub(super) const fn flags(code: u8) -> Option<u8> {
    Some(match code {
        code::PMSI_TUNNEL
        | code::TUNNEL_ENCAPSULATION
        | code::ENTROPY_LABEL
        | code::PREFIX_SID
        | code::ATTR_SET => flag::OPTIONAL | flag::TRANSITIVE,
        code::BGP_LS | code::BGPSEC_PATH => flag::OPTIONAL,
        _ => return None,
    })
}

/// Checks flags and outer form; an attribute of a type that is not known here has none.
#[cold]
pub(super) fn check(attribute: RawAttribute<'_>) -> Result<(), Kind> {
    if flags(attribute.code)
        .is_some_and(|flags| attribute.flags & (flag::OPTIONAL | flag::TRANSITIVE) != flags)
    {
        return Err(Kind::Flags);
    }
    let value = attribute.value;
    let whole = match attribute.code {
        // RFC 6514 §5: flags, tunnel type and label.
        code::PMSI_TUNNEL => value.len() >= 5,
        // RFC 9012 §2, RFC 9552 §5.3: type and length of two octets each.
        // RFC 7606 §4: no attribute is empty unless its RFC lets it be.
        code::TUNNEL_ENCAPSULATION | code::BGP_LS => !value.is_empty() && are_tlvs::<2>(value),
        // RFC 8669 §3: a type of one octet, a length of two.
        code::PREFIX_SID => !value.is_empty() && are_tlvs::<1>(value),
        code::BGPSEC_PATH => !value.is_empty(),
        // RFC 6368 §5: an origin AS, then attributes.
        code::ATTR_SET => value.get(4..).is_some_and(|set| {
            let mut attributes = RawAttributes::new(set);
            attributes.by_ref().for_each(drop);
            attributes.rest().is_empty()
        }),
        _ => true,
    };
    if whole { Ok(()) } else { Err(Kind::Length) }
}

/// Whether the octets are TLVs with types of `TYPE` octets and lengths of two.
fn are_tlvs<const TYPE: usize>(value: &[u8]) -> bool {
    let mut reader = Reader::new(value);
    while !reader.is_empty() {
        let tlv = reader
            .array::<TYPE>()
            .and_then(|_| reader.u16())
            .and_then(|len| reader.take(usize::from(len)));
        if tlv.is_none() {
            return false;
        }
    }
    true
}
