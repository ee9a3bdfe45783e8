//! Builds UPDATEs octet by octet.

use bgp_codec::{DecodeContext, FamilySet, PeerKind};

pub(crate) const ORIGIN: [u8; 4] = [0x40, 1, 1, 0];
/// 64513 64514, four octets each.
pub(crate) const AS_PATH: [u8; 13] = [0x40, 2, 10, 2, 2, 0, 0, 0xfc, 1, 0, 0, 0xfc, 2];
pub(crate) const NEXT_HOP: [u8; 7] = [0x40, 3, 4, 192, 0, 2, 1];
/// 10.0.0.0/8.
pub(crate) const NLRI: [u8; 2] = [8, 10];
/// MP_REACH_NLRI: 2001:db8::/32 via 2001:db8::1.
pub(crate) const MP_REACH: [u8; 29] = [
    0x80, 14, 26, 0, 2, 1, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 32, 0x20, 1, 0xd,
    0xb8,
];

pub(crate) fn external() -> DecodeContext {
    DecodeContext {
        extended_next_hop: FamilySet::EMPTY,
        ..DecodeContext::all(PeerKind::External)
    }
}

pub(crate) fn internal() -> DecodeContext {
    DecodeContext {
        peer: PeerKind::Internal,
        ..external()
    }
}

pub(crate) fn attribute(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![flags, code];
    match u8::try_from(value.len()) {
        Ok(len) => out.push(len),
        Err(_) => {
            out[0] |= 0x10;
            out.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        }
    }
    out.extend_from_slice(value);
    out
}

/// The body of an UPDATE.
pub(crate) fn body(withdrawn: &[u8], attributes: &[&[u8]], nlri: &[u8]) -> Vec<u8> {
    let attributes = attributes.concat();
    let mut out = u16::try_from(withdrawn.len()).unwrap().to_be_bytes().to_vec();
    out.extend_from_slice(withdrawn);
    out.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
    out.extend_from_slice(&attributes);
    out.extend_from_slice(nlri);
    out
}
