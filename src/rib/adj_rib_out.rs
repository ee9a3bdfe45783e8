//! Adj-RIB-Out of one update group: one dense array, 12 octets a prefix (or path, with Add-Path), for all members together.

use super::id_set::IdSet;
use super::ids::{AttributesId, PeerIndex};

/// What a group is sent for one id.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct OutSlot {
    /// As accepted from the source.
    pub(crate) attributes: AttributesId,
    /// What export policy changes in them.
    edits: u32,
    /// Who it comes from, and so is not sent it.
    pub(crate) source: PeerIndex,
}

/// Marks a slot whose attributes do not fit into the members' messages.
const TOO_LONG: u32 = 1 << 31;

impl OutSlot {
    pub(crate) const fn new(attributes: AttributesId, edits: u32, source: PeerIndex) -> Self {
        Self {
            attributes,
            edits,
            source,
        }
    }

    /// Nothing is sent.
    pub(crate) const EMPTY: Self = Self {
        attributes: AttributesId::NONE,
        edits: 0,
        source: PeerIndex(u32::MAX),
    };

    /// The slot unless it is [`EMPTY`](Self::EMPTY).
    #[inline]
    pub(crate) fn some(self) -> Option<Self> {
        (self.attributes != AttributesId::NONE).then_some(self)
    }

    /// Number of the changes.
    pub(crate) const fn edits(self) -> u32 {
        self.edits & !TOO_LONG
    }

    /// It was found not to fit, so nobody has it.
    pub(crate) const fn is_too_long(self) -> bool {
        self.edits & TOO_LONG != 0
    }

    /// Whether it says the same as another, whatever became of either.
    pub(crate) fn is_same(self, other: Self) -> bool {
        self.attributes == other.attributes && self.edits() == other.edits() && self.source == other.source
    }
}

/// How many slots go out, and how many of them come from each peer.
#[derive(Debug, Default)]
pub(crate) struct SlotCounts {
    present: u32,
    /// By the place of the peer.
    by_source: Vec<u32>,
}

impl SlotCounts {
    pub(crate) fn add(&mut self, slot: OutSlot) {
        if !slot.is_too_long() {
            self.present += 1;
            if let Some(of_source) = self.of_source(slot) {
                *of_source += 1;
            }
        }
    }

    pub(crate) fn remove(&mut self, slot: OutSlot) {
        if !slot.is_too_long() {
            self.present -= 1;
            if let Some(of_source) = self.of_source(slot) {
                *of_source -= 1;
            }
        }
    }

    /// Our own sources are nobody to send to.
    fn of_source(&mut self, slot: OutSlot) -> Option<&mut u32> {
        if slot.source.is_local() {
            return None;
        }
        let place = slot.source.index();
        if self.by_source.len() <= place {
            self.by_source.resize(place + 1, 0);
        }
        self.by_source.get_mut(place)
    }

    /// How many go to a member that is this peer.
    pub(crate) fn sent_to(&self, peer: PeerIndex) -> u32 {
        self.present - self.by_source.get(peer.index()).copied().unwrap_or(0)
    }

    const fn bytes(&self) -> usize {
        self.by_source.capacity() * size_of::<u32>()
    }
}

/// The slots of a group, indexed by `PrefixId`, or by `PathSlot` where all paths are sent.
#[derive(Debug, Default)]
pub(crate) struct AdjRibOut {
    slots: Vec<OutSlot>,
    counts: SlotCounts,
}

impl AdjRibOut {
    #[inline]
    pub(crate) fn at(&self, id: u32) -> Option<OutSlot> {
        self.slots
            .get(id as usize)
            .copied()
            .filter(|slot| slot.attributes != AttributesId::NONE)
    }

    /// Puts a slot down and yields what was there.
    pub(crate) fn set(&mut self, id: u32, new: Option<OutSlot>) -> Option<OutSlot> {
        if self.slots.len() <= id as usize {
            new?;
            self.slots.resize(id as usize + 1, OutSlot::EMPTY);
        }
        let old = self.at(id);
        self.slots[id as usize] = new.unwrap_or(OutSlot::EMPTY);
        if let Some(old) = old {
            self.counts.remove(old);
        }
        if let Some(new) = new {
            self.counts.add(new);
        }
        old
    }

    /// All slots, empty ones included.
    pub(crate) fn slots(&self) -> &[OutSlot] {
        &self.slots
    }

    /// How many slots are sent.
    pub(crate) const fn len(&self) -> usize {
        self.counts.present as usize
    }

    /// Octets that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<OutSlot>() + self.counts.bytes()
    }

    /// Notes that the slot does not fit.
    pub(crate) fn mark_too_long(&mut self, id: u32) {
        if let Some(slot) = self.at(id).filter(|slot| !slot.is_too_long()) {
            self.set(
                id,
                Some(OutSlot {
                    edits: slot.edits | TOO_LONG,
                    ..slot
                }),
            );
        }
    }

    /// One more than the largest id that was ever set.
    pub(crate) fn bound(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    /// The ids of slots that are as wanted; empty ones are none.
    pub(crate) fn ids(&self, wanted: impl Fn(OutSlot) -> bool) -> IdSet {
        let mut ids = IdSet::default();
        for (number, slots) in self.slots.chunks(64).enumerate() {
            let bit = |slot: &OutSlot| u64::from(slot.some().is_some_and(&wanted));
            let word = slots.iter().rev().fold(0, |word, slot| word << 1 | bit(slot));
            ids.add_word(number, word);
        }
        ids
    }

    /// Takes up to `limit` slots out, the last ones first, without counting; none are left when there are none.
    pub(crate) fn dismantle(&mut self, limit: usize) -> impl Iterator<Item = OutSlot> + '_ {
        let from = self.slots.len().saturating_sub(limit);
        self.slots.drain(from..).filter_map(OutSlot::some)
    }

    /// How many slots are sent to a member that is this peer.
    pub(crate) fn sent_to(&self, peer: PeerIndex) -> u32 {
        self.counts.sent_to(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_follow_slots() {
        let slot = |source| Some(OutSlot::new(AttributesId(1), 0, PeerIndex(source)));
        let mut out = AdjRibOut::default();
        assert_eq!(out.set(5, None), None);
        assert_eq!(out.bound(), 0);
        out.set(5, slot(1));
        out.set(6, slot(2));
        assert_eq!((out.sent_to(PeerIndex(1)), out.sent_to(PeerIndex(9))), (1, 2));
        out.mark_too_long(6);
        assert_eq!(out.sent_to(PeerIndex(9)), 1);
        assert!(out.at(6).unwrap().is_same(slot(2).unwrap()));
        assert_eq!(
            out.set(6, slot(2)),
            out.at(6).map(|_| OutSlot {
                edits: TOO_LONG,
                ..slot(2).unwrap()
            })
        );
        assert_eq!(out.set(5, None), slot(1));
        assert_eq!((out.sent_to(PeerIndex(1)), out.ids(|_| true).len()), (1, 1));
        assert_eq!(size_of::<OutSlot>(), 12);
    }
}
