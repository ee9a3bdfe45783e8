//! NLRI of any family as octets: where one ends and the next begins.

use super::{Nlri, NlriError};
use crate::family::{Afi, Family, Safi};
use crate::reader::Reader;

/// Iterator over items as octets; see [`NlriBlock::opaque`](super::NlriBlock::opaque).
///
/// ```
/// use bgp_codec::{Family, NlriBlock};
/// // Packets of TCP, RFC 8955 §4.
/// let block = NlriBlock::new(Family::IPV4_FLOWSPEC, &[3, 3, 0x81, 6], false);
/// assert_eq!(block.opaque().count(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct OpaqueIter<'a> {
    rest: &'a [u8],
    family: Family,
    add_path: bool,
}

impl<'a> OpaqueIter<'a> {
    pub(super) const fn new(bytes: &'a [u8], family: Family, add_path: bool) -> Self {
        Self {
            rest: bytes,
            family,
            add_path,
        }
    }

    /// What has not been iterated over; nothing after an error.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for OpaqueIter<'a> {
    type Item = Result<Nlri<&'a [u8]>, NlriError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let mut reader = Reader::new(std::mem::take(&mut self.rest));
        let path_id = if self.add_path { reader.u32() } else { Some(0) };
        let item = path_id.ok_or(NlriError::Truncated).and_then(|path_id| {
            let len = opaque_len(self.family, reader.rest())?;
            let prefix = reader.take(len).ok_or(NlriError::Truncated)?;
            Ok(Nlri { path_id, prefix })
        });
        if item.is_ok() {
            self.rest = reader.rest();
        }
        Some(item)
    }
}

/// Octets of the first item, its length field included.
pub(super) fn opaque_len(family: Family, bytes: &[u8]) -> Result<usize, NlriError> {
    let first = *bytes.first().ok_or(NlriError::Truncated)?;
    let bits = |limit: u16| {
        if u16::from(first) > limit {
            Err(NlriError::PrefixLength(first))
        } else {
            Ok(usize::from(first).div_ceil(8).saturating_add(1))
        }
    };
    let address: u16 = match family.afi {
        Afi::IPV4 => 32,
        _ => 128,
    };
    match (family.afi, family.safi) {
        (Afi::IPV4 | Afi::IPV6, Safi::UNICAST | Safi::MULTICAST) => bits(address),
        (Afi::IPV4 | Afi::IPV6, Safi::LABELED_UNICAST) => labelled(bytes, 0, address),
        (Afi::IPV4 | Afi::IPV6, Safi::MPLS_VPN) => labelled(bytes, 64, address),
        // RFC 4684 §4: nothing, or at least the origin AS.
        (Afi::IPV4, Safi::ROUTE_TARGET) if matches!(first, 1..32) => Err(NlriError::Form(first)),
        (Afi::IPV4, Safi::ROUTE_TARGET) => bits(96),
        // RFC 8955 §8: a route distinguisher first.
        (Afi::IPV4 | Afi::IPV6, Safi::FLOWSPEC_VPN) if first < 8 => Err(NlriError::Form(first)),
        // RFC 8955 §4: lengths from 240 take two octets.
        (Afi::IPV4 | Afi::IPV6, Safi::FLOWSPEC | Safi::FLOWSPEC_VPN) => match bytes {
            [high, low, ..] if *high >= 0xf0 => {
                Ok(usize::from(u16::from_be_bytes([*high & 0x0f, *low])).saturating_add(2))
            }
            [high, ..] if *high >= 0xf0 => Err(NlriError::Truncated),
            _ => Ok(usize::from(first).saturating_add(1)),
        },
        // RFC 7432 §7: route type, length.
        (Afi::L2VPN, Safi::EVPN) => match bytes {
            [_, len, ..] => Ok(usize::from(*len).saturating_add(2)),
            _ => Err(NlriError::Truncated),
        },
        // RFC 4761 §3.2.2: a length of two octets.
        (Afi::L2VPN, Safi::VPLS) => match bytes {
            [high, low, ..] => Ok(usize::from(u16::from_be_bytes([*high, *low])).saturating_add(2)),
            _ => Err(NlriError::Truncated),
        },
        // RFC 9552 §5.2: type and length of two octets each.
        (Afi::BGP_LS, _) => match bytes {
            [_, _, high, low, ..] => Ok(usize::from(u16::from_be_bytes([*high, *low])).saturating_add(4)),
            _ => Err(NlriError::Truncated),
        },
        _ => Err(NlriError::Family),
    }
}

/// Octets of a prefix with labels, and in VPNs with a route distinguisher, before it; one octet of bits counts them all
/// (RFC 8277 §2, RFC 4364 §4.3.4).
fn labelled(bytes: &[u8], distinguisher: u16, address: u16) -> Result<usize, NlriError> {
    let (&bits, rest) = bytes.split_first().ok_or(NlriError::Truncated)?;
    let len = usize::from(bits).div_ceil(8);
    let item = rest.get(..len).ok_or(NlriError::Truncated)?;
    let mut prefix = u16::from(bits);
    for label in item.as_chunks::<3>().0 {
        prefix = prefix.checked_sub(24).ok_or(NlriError::Form(bits))?;
        let &[_, _, low] = label;
        // The bottom of the stack, or one of the two values that stand for any label in a withdrawal (RFC 8277 §2.4).
        if low & 1 != 0 || matches!(label, [0x80, 0, 0] | [0, 0, 0]) {
            let whole = prefix >= distinguisher && prefix <= distinguisher.saturating_add(address);
            return if whole {
                Ok(len.saturating_add(1))
            } else {
                Err(NlriError::Form(bits))
            };
        }
    }
    Err(NlriError::Form(bits))
}
