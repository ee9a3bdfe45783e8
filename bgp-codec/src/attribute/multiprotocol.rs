//! MP_REACH_NLRI and MP_UNREACH_NLRI (RFC 4760 §3, §4).

use crate::family::Family;
use crate::next_hop::NextHop;

/// MP_REACH_NLRI.
///
/// ```
/// # use bgp_codec::{DecodeContext, Family, PeerKind, Update};
/// // MP_REACH_NLRI: 2001:db8::/32 via 2001:db8::1; MP_UNREACH_NLRI: 2001:db9::/32; ORIGIN, AS_PATH.
/// # let mut body = vec![0, 0, 0, 52, 0x80, 14, 26, 0, 2, 1, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
/// # body.extend([32, 0x20, 1, 0xd, 0xb8, 0x80, 15, 8, 0, 2, 1, 32, 0x20, 1, 0xd, 0xb9]);
/// # body.extend([0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0]);
/// # body[3] = body.len() as u8 - 4;
/// let update = Update::decode(&body, &DecodeContext::all(PeerKind::External))?;
/// let reach = update.attributes().mp_reach();
/// assert_eq!(reach.map(|reach| reach.family), Some(Family::IPV6_UNICAST));
/// # Ok::<(), bgp_codec::UpdateError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MpReach<'a> {
    /// The family of the NLRI.
    pub family: Family,
    /// The next hop; `None` for families that have none, such as flow specifications.
    pub next_hop: Option<NextHop>,
    /// The NLRI, unread.
    pub nlri: &'a [u8],
}

/// MP_UNREACH_NLRI.
///
/// ```
/// # use bgp_codec::{DecodeContext, Family, PeerKind, Update};
/// // MP_REACH_NLRI: 2001:db8::/32 via 2001:db8::1; MP_UNREACH_NLRI: 2001:db9::/32; ORIGIN, AS_PATH.
/// # let mut body = vec![0, 0, 0, 52, 0x80, 14, 26, 0, 2, 1, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
/// # body.extend([32, 0x20, 1, 0xd, 0xb8, 0x80, 15, 8, 0, 2, 1, 32, 0x20, 1, 0xd, 0xb9]);
/// # body.extend([0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0]);
/// # body[3] = body.len() as u8 - 4;
/// let update = Update::decode(&body, &DecodeContext::all(PeerKind::External))?;
/// let unreach = update.attributes().mp_unreach();
/// assert_eq!(unreach.map(|unreach| unreach.nlri), Some(&[32, 0x20, 1, 0xd, 0xb9][..]));
/// # Ok::<(), bgp_codec::UpdateError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MpUnreach<'a> {
    /// The family of the NLRI.
    pub family: Family,
    /// The withdrawn NLRI, unread.
    pub nlri: &'a [u8],
}
