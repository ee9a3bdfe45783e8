//! The fields of an UPDATE that announce and withdraw, in the order in which they take effect.

use super::{Update, field};
use crate::next_hop::NextHop;
use crate::nlri::NlriBlock;

/// NLRI that an UPDATE announces, with their next hop.
///
/// ```
/// # use bgp_codec::{DecodeContext, Family, FamilySet, PeerKind, Treatment, Update};
/// // ORIGIN, AS_PATH 64512, NEXT_HOP 192.0.2.1; 10.0.0.0/8.
/// let body = [0, 0, 0, 20, 0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1, 8, 10];
/// let update = Update::decode(&body, &DecodeContext::all(PeerKind::External))?;
/// let announced = update.announced().next();
/// assert_eq!(announced.and_then(|announced| announced.next_hop), Some([192, 0, 2, 1].into()));
/// # Ok::<(), bgp_codec::UpdateError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Announced<'a> {
    /// The NLRI, unread.
    pub nlri: NlriBlock<'a>,
    /// The next hop; `None` only for families that have none, such as flow specifications.
    pub next_hop: Option<NextHop>,
}

/// Iterator over the fields that announce; see [`Update::announced`].
///
/// ```
/// # use bgp_codec::{DecodeContext, Family, FamilySet, PeerKind, Treatment, Update};
/// // ORIGIN, AS_PATH 64512, NEXT_HOP 192.0.2.1; 10.0.0.0/8.
/// let body = [0, 0, 0, 20, 0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1, 8, 10];
/// let update = Update::decode(&body, &DecodeContext::all(PeerKind::External))?;
/// assert_eq!(update.announced().next().map(|announced| announced.nlri.bytes()), Some(&[8, 10][..]));
/// # Ok::<(), bgp_codec::UpdateError>(())
/// ```
#[derive(Clone, Debug)]
pub struct AnnouncedIter<'u, 'a> {
    pub(super) update: &'u Update<'a>,
    /// Those that are left.
    pub(super) fields: u8,
}

impl<'a> Iterator for AnnouncedIter<'_, 'a> {
    type Item = Announced<'a>;

    #[inline]
    fn next(&mut self) -> Option<Announced<'a>> {
        let which = take_first(&mut self.fields)?;
        let attributes = &self.update.attributes;
        let next_hop = if which == field::NLRI {
            attributes.next_hop().map(NextHop::V4)
        } else {
            attributes.mp_next_hop()
        };
        Some(Announced {
            nlri: self.update.block(which),
            next_hop,
        })
    }
}

/// Iterator over the fields that withdraw; see [`Update::withdrawn`].
///
/// ```
/// # use bgp_codec::{DecodeContext, Family, FamilySet, PeerKind, Treatment, Update};
/// // ORIGIN, AS_PATH 64512, NEXT_HOP 192.0.2.1; 10.0.0.0/8.
/// let body = [0, 0, 0, 20, 0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1, 8, 10];
/// let update = Update::decode(&body, &DecodeContext::all(PeerKind::External))?;
/// assert_eq!(update.withdrawn().count(), 0);
/// # Ok::<(), bgp_codec::UpdateError>(())
/// ```
#[derive(Clone, Debug)]
pub struct WithdrawnIter<'u, 'a> {
    pub(super) update: &'u Update<'a>,
    /// Those that are left.
    pub(super) fields: u8,
}

impl<'a> Iterator for WithdrawnIter<'_, 'a> {
    type Item = NlriBlock<'a>;

    #[inline]
    fn next(&mut self) -> Option<NlriBlock<'a>> {
        let which = take_first(&mut self.fields)?;
        Some(self.update.block(which))
    }
}

/// The first of the fields that are left, taken from them.
#[inline]
fn take_first(fields: &mut u8) -> Option<u8> {
    let which = *fields & fields.wrapping_neg();
    *fields ^= which;
    (which != 0).then_some(which)
}
