//! Finding attributes that have been read before: a key of the raw block, without reading it.
//!
//! Many UPDATEs carry the same attributes. Who remembers what a clean block stood for, by [`RawUpdate::append_key`] and under the
//! same [`DecodeContext`], need not decode it again: [`RawUpdate::find`] steps over the headers once, and yields the NLRI
//! as well.

use crate::attribute::clean::Head;
use crate::attribute::{Span, code, walk};
use crate::family::Family;
use crate::next_hop::NextHop;
use crate::nlri::NlriBlock;
use crate::update::{Announced, Bounds, DecodeContext, read_reach};

/// The parts of an UPDATE, whose attributes are unread but for MP_REACH_NLRI and MP_UNREACH_NLRI.
///
/// ```
/// use bgp_codec::{DecodeContext, PeerKind, RawUpdate};
/// let context = DecodeContext::all(PeerKind::Internal);
/// // The same attributes with 192.0.2.0/24 and with 198.51.100.0/24.
/// let attributes = [0, 0, 0, 20, 0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1];
/// let one = [&attributes[..], &[24, 192, 0, 2]].concat();
/// let other = [&attributes[..], &[24, 198, 51, 100]].concat();
/// let one = RawUpdate::find(&one, &context).map(|raw| (raw.hash(7), raw.announced().count()));
/// let other = RawUpdate::find(&other, &context).map(|raw| (raw.hash(7), raw.announced().count()));
/// assert_eq!(one, other);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RawUpdate<'a> {
    body: &'a [u8],
    start: usize,
    end: usize,
    /// What MP_REACH_NLRI takes from its header on, and where the NLRI in it begin.
    reach: Option<(usize, Reach)>,
    /// Where MP_UNREACH_NLRI begins and ends.
    unreach: Option<(usize, Span, Family)>,
    context: &'a DecodeContext,
}

#[derive(Clone, Copy, Debug)]
struct Reach {
    family: Family,
    next_hop: Option<NextHop>,
    value: usize,
    nlri: usize,
    end: usize,
}

impl<'a> RawUpdate<'a> {
    /// Finds the parts of the body of an UPDATE; `None` where it takes more than a look to tell what they are, as with
    /// errors, families that are not in use, or without any attribute: then it is to be [decoded](crate::Update::decode).
    ///
    /// ```
    /// use bgp_codec::{DecodeContext, PeerKind, RawUpdate};
    /// let context = DecodeContext::all(PeerKind::Internal);
    /// // End-of-RIB has no attributes, and neither has what ends too early.
    /// assert!(RawUpdate::find(&[0, 0, 0, 0], &context).is_none());
    /// assert!(RawUpdate::find(&[0, 0, 0, 9], &context).is_none());
    /// ```
    #[must_use]
    pub fn find(body: &'a [u8], context: &'a DecodeContext) -> Option<Self> {
        let Bounds { start, end } = Bounds::find(body)?;
        if start == end || !context.families.contains(Family::IPV4_UNICAST) {
            return None;
        }
        let mut found = Self {
            body,
            start,
            end,
            reach: None,
            unreach: None,
            context,
        };
        let mut at = start;
        while at < end {
            let head = Head::read(body, at)?;
            if head.code() & !1 == code::MP_REACH_NLRI {
                found.multiprotocol(at, head)?;
            }
            at = head.start + head.len();
        }
        (at == end).then_some(found)
    }

    fn multiprotocol(&mut self, at: usize, head: Head) -> Option<()> {
        let value = head.span().of(self.body);
        if head.kind() != walk::OPTIONAL {
            return None;
        }
        if head.code() == code::MP_UNREACH_NLRI {
            let (family, _) = walk::split_family(value)?;
            let usable = self.unreach.is_none() && self.context.families.contains(family);
            self.unreach = Some((at, head.span(), family));
            return usable.then_some(());
        }
        let (family, next_hop, behind) = read_reach(value, self.context)?;
        let first = self.reach.is_none();
        self.reach = Some((
            at,
            Reach {
                family,
                next_hop,
                value: head.start,
                nlri: head.start + behind,
                end: head.start + value.len(),
            },
        ));
        first.then_some(())
    }

    /// What identifies the attributes, in pieces: the block without MP_UNREACH_NLRI, of MP_REACH_NLRI only what stands
    /// before its NLRI; and first an octet that says which fields announce something, because that decides which
    /// attributes may be missing.
    ///
    /// Of MP_REACH_NLRI its type leads, then what stands before its NLRI, which tells its own length: so the pieces of two
    /// UPDATEs put together are the same octets only if their attributes are.
    fn pieces(&self) -> [&'a [u8]; 8] {
        const FIELDS: [[u8; 1]; 4] = [[0], [1], [2], [3]];
        const REACH: &[u8] = &[walk::OPTIONAL, code::MP_REACH_NLRI];
        let part = |from: usize, to: usize| self.body.get(from..to).unwrap_or_default();
        let classic = usize::from(self.end < self.body.len());
        let multiprotocol = self.reach.is_some_and(|(_, reach)| reach.nlri < reach.end);
        let fields: &'static [u8] = match FIELDS.get(classic + 2 * usize::from(multiprotocol)) {
            Some(fields) => fields,
            None => &[],
        };
        // Each of the two leaves a gap: from where, to where, and what of it counts.
        let reach = self
            .reach
            .map(|(at, reach)| (at, reach.end, REACH, part(reach.value, reach.nlri)));
        let unreach = self
            .unreach
            .map(|(at, span, _)| (at, span.start() + span.len(), &[][..], &[][..]));
        let (first, second) = match (reach, unreach) {
            (Some(reach), Some(unreach)) if unreach.0 < reach.0 => (Some(unreach), Some(reach)),
            (Some(reach), unreach) => (Some(reach), unreach),
            (None, unreach) => (unreach, None),
        };
        let nowhere = (self.end, self.end, &[][..], &[][..]);
        let (first, second) = (first.unwrap_or(nowhere), second.unwrap_or(nowhere));
        [
            fields,
            part(self.start, first.0),
            first.2,
            first.3,
            part(first.1, second.0),
            second.2,
            second.3,
            part(second.1, self.end),
        ]
    }

    /// Appends the key: see [`RawUpdate::is_key`].
    ///
    /// ```
    /// # use bgp_codec::{DecodeContext, Family, PeerKind, RawUpdate};
    /// # let context = DecodeContext::all(PeerKind::Internal);
    /// // Withdraws 10.0.0.0/8; ORIGIN, AS_PATH 64512, NEXT_HOP 192.0.2.1; 198.51.100.0/24.
    /// # let mut body = vec![0, 2, 8, 10, 0, 20, 0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1];
    /// # body.extend([24, 198, 51, 100]);
    /// let raw = RawUpdate::find(&body, &context).ok_or("not clean")?;
    /// let mut key = Vec::new();
    /// raw.append_key(&mut key);
    /// assert_eq!(key.len(), 1 + 20);
    /// # Ok::<(), &str>(())
    /// ```
    pub fn append_key(&self, out: &mut Vec<u8>) {
        for piece in self.pieces() {
            out.extend_from_slice(piece);
        }
    }

    /// Whether a key is that of these attributes; nothing is copied to tell.
    ///
    /// ```
    /// # use bgp_codec::{DecodeContext, Family, PeerKind, RawUpdate};
    /// # let context = DecodeContext::all(PeerKind::Internal);
    /// // Withdraws 10.0.0.0/8; ORIGIN, AS_PATH 64512, NEXT_HOP 192.0.2.1; 198.51.100.0/24.
    /// # let mut body = vec![0, 2, 8, 10, 0, 20, 0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1];
    /// # body.extend([24, 198, 51, 100]);
    /// let raw = RawUpdate::find(&body, &context).ok_or("not clean")?;
    /// let mut key = Vec::new();
    /// raw.append_key(&mut key);
    /// assert!(raw.is_key(&key) && !raw.is_key(&key[1..]));
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn is_key(&self, key: &[u8]) -> bool {
        let mut rest = key;
        for piece in self.pieces() {
            match rest.strip_prefix(piece) {
                Some(behind) => rest = behind,
                None => return false,
            }
        }
        rest.is_empty()
    }

    /// A hash of the key. With a seed that peers cannot know, they cannot make many blocks meet in one place.
    ///
    /// ```
    /// # use bgp_codec::{DecodeContext, Family, PeerKind, RawUpdate};
    /// # let context = DecodeContext::all(PeerKind::Internal);
    /// // Withdraws 10.0.0.0/8; ORIGIN, AS_PATH 64512, NEXT_HOP 192.0.2.1; 198.51.100.0/24.
    /// # let mut body = vec![0, 2, 8, 10, 0, 20, 0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1];
    /// # body.extend([24, 198, 51, 100]);
    /// let raw = RawUpdate::find(&body, &context).ok_or("not clean")?;
    /// assert_eq!(raw.hash(7), raw.hash(7));
    /// assert_ne!(raw.hash(7), raw.hash(8));
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn hash(&self, seed: u64) -> u64 {
        // Two words at a time are multiplied, and the halves of the product folded.
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut state = seed ^ ODD;
        for piece in self.pieces() {
            let (words, rest) = piece.as_chunks::<8>();
            for word in words {
                state = fold(state ^ u64::from_le_bytes(*word), seed | 1);
            }
            let mut last = [0; 8];
            for (to, from) in last.iter_mut().zip(rest) {
                *to = *from;
            }
            let len = u64::try_from(piece.len()).unwrap_or_default();
            state = fold(state ^ u64::from_le_bytes(last), ODD ^ len);
        }
        state
    }

    /// What is withdrawn, if the attributes are clean.
    ///
    /// ```
    /// # use bgp_codec::{DecodeContext, Family, PeerKind, RawUpdate};
    /// # let context = DecodeContext::all(PeerKind::Internal);
    /// // Withdraws 10.0.0.0/8; ORIGIN, AS_PATH 64512, NEXT_HOP 192.0.2.1; 198.51.100.0/24.
    /// # let mut body = vec![0, 2, 8, 10, 0, 20, 0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1];
    /// # body.extend([24, 198, 51, 100]);
    /// let raw = RawUpdate::find(&body, &context).ok_or("not clean")?;
    /// assert!(raw.withdrawn().map(|block| block.bytes()).eq([&[8, 10][..]]));
    /// # Ok::<(), &str>(())
    /// ```
    pub fn withdrawn(&self) -> impl Iterator<Item = NlriBlock<'a>> {
        let classic = (self.start > 4).then(|| self.block(Family::IPV4_UNICAST, 2, self.start - 2));
        let multiprotocol = self
            .unreach
            .filter(|(_, span, _)| span.len() > 3)
            .map(|(_, span, family)| self.block(family, span.start() + 3, span.start() + span.len()));
        classic.into_iter().chain(multiprotocol)
    }

    /// What is announced, if the attributes are clean; NEXT_HOP is unread, so that the next hop of IPv4 unicast NLRI at the
    /// end of the message is not told.
    ///
    /// ```
    /// # use bgp_codec::{DecodeContext, Family, PeerKind, RawUpdate};
    /// # let context = DecodeContext::all(PeerKind::Internal);
    /// // Withdraws 10.0.0.0/8; ORIGIN, AS_PATH 64512, NEXT_HOP 192.0.2.1; 198.51.100.0/24.
    /// # let mut body = vec![0, 2, 8, 10, 0, 20, 0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1];
    /// # body.extend([24, 198, 51, 100]);
    /// let raw = RawUpdate::find(&body, &context).ok_or("not clean")?;
    /// assert!(raw.announced().map(|announced| announced.nlri.family).eq([Family::IPV4_UNICAST]));
    /// # Ok::<(), &str>(())
    /// ```
    pub fn announced(&self) -> impl Iterator<Item = Announced<'a>> {
        let classic = (self.end < self.body.len()).then(|| Announced {
            nlri: self.block(Family::IPV4_UNICAST, self.end, self.body.len()),
            next_hop: None,
        });
        let multiprotocol = self
            .reach
            .filter(|(_, reach)| reach.nlri < reach.end)
            .map(|(_, reach)| Announced {
                nlri: self.block(reach.family, reach.nlri, reach.end),
                next_hop: reach.next_hop,
            });
        classic.into_iter().chain(multiprotocol)
    }

    fn block(&self, family: Family, start: usize, end: usize) -> NlriBlock<'a> {
        let octets = self.body.get(..end).unwrap_or_default();
        let start = u16::try_from(start).unwrap_or(u16::MAX);
        NlriBlock::within(family, octets, start, self.context.add_path.contains(family))
    }
}

/// The halves of a product, folded.
#[inline]
#[expect(clippy::as_conversions, reason = "the halves are what is wanted")]
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128).wrapping_mul(b as u128);
    (product as u64) ^ ((product >> 64) as u64)
}
