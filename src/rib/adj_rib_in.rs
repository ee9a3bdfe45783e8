//! Adj-RIB-In of all peers: the paths of each prefix as received, beside what import policy made of them.
//!
//! Paths live in one arena, 20 octets each. A path's place in it is stable for the life of the path, so it also serves as the
//! path id that we send (RFC 7911). The paths of a prefix are linked, the oldest first; the last one names the prefix.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::ids::{AttributesId, PathSlot, PeerIndex, PrefixId};

/// One path, as it is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    /// Who sent it.
    pub(crate) peer: PeerIndex,
    /// What was received.
    pub(crate) received: AttributesId,
    /// What import policy made of it; [`AttributesId::NONE`] when rejected.
    pub(crate) accepted: AttributesId,
    /// Seconds between the shard's start and the path's last change.
    pub(crate) changed_s: u32,
    /// The peer's epoch when it was received: an older one is stale.
    pub(crate) epoch: u8,
}

/// One path, as it is stored.
#[derive(Clone, Copy, Debug)]
struct Stored {
    /// The next path of the prefix, or with [`LAST`] the prefix itself.
    next: u32,
    received: AttributesId,
    accepted: AttributesId,
    changed_s: u32,
    /// From the low bit: the peer, whether it is a source of our own, whether there is a path id, the state, the epoch.
    who: u32,
}

const LAST: u32 = 1 << 31;
const NIL: u32 = u32::MAX;

/// A million peers, more than there are ports for, and as many sources of our own.
const PEER: u32 = (1 << 20) - 1;
const LOCAL: u32 = 1 << 20;
const HAS_PATH_ID: u32 = 1 << 21;
const STATE: u32 = 3 << 22;
/// Linked to its prefix.
const LIVE: u32 = 1 << 22;
/// Unlinked, but its place must not be used again yet. Neither bit: free.
const DEAD: u32 = 2 << 22;
const EPOCH: u32 = 24;

impl Stored {
    #[inline]
    const fn is_live(self) -> bool {
        self.who & STATE == LIVE
    }

    #[inline]
    const fn peer(self) -> PeerIndex {
        let local = if self.who & LOCAL != 0 {
            PeerIndex::LOCAL
        } else {
            0
        };
        PeerIndex(self.who & PEER | local)
    }

    #[inline]
    const fn is_from(self, who: u32) -> bool {
        (self.who ^ who) & (PEER | LOCAL) == 0
    }
}

/// The bits that stand for a peer.
#[inline]
const fn bits_of(peer: PeerIndex) -> u32 {
    peer.0 & PEER | if peer.is_local() { LOCAL } else { 0 }
}

/// All paths of one table and family.
#[derive(Debug, Default)]
pub(crate) struct AdjRibIn {
    paths: Vec<Stored>,
    /// First path of each prefix.
    heads: Vec<u32>,
    free: Vec<PathSlot>,
    /// RFC 7911 path ids as received, where they are not 0.
    path_ids: HashMap<u32, u32, FixedState>,
    live: usize,
}

impl AdjRibIn {
    /// How many paths there are.
    pub(crate) const fn len(&self) -> usize {
        self.live
    }

    /// One more than the largest slot ever used.
    pub(crate) const fn bound(&self) -> usize {
        self.paths.len()
    }

    /// Octets that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.paths.capacity() * size_of::<Stored>()
            + self.heads.capacity() * size_of::<u32>()
            + self.free.capacity() * size_of::<PathSlot>()
            + self.path_ids.capacity() * (size_of::<(u32, u32)>() + 1)
    }

    /// The path in a slot, live or dead.
    #[inline]
    pub(crate) fn path(&self, slot: PathSlot) -> Path {
        let stored = self.paths[slot.index()];
        Path {
            peer: stored.peer(),
            received: stored.received,
            accepted: stored.accepted,
            changed_s: stored.changed_s,
            epoch: (stored.who >> EPOCH) as u8,
        }
    }

    /// What the decision is to see of the path in a slot.
    #[inline]
    pub(crate) fn accepted(&self, slot: PathSlot) -> AttributesId {
        self.paths[slot.index()].accepted
    }

    /// RFC 7911 path id as received; 0 without.
    pub(crate) fn path_id(&self, slot: PathSlot) -> u32 {
        if self.paths[slot.index()].who & HAS_PATH_ID == 0 {
            0
        } else {
            self.path_ids.get(&slot.0).copied().unwrap_or_default()
        }
    }

    /// The prefix of the path in a slot, live or dead.
    #[inline]
    pub(crate) fn prefix(&self, slot: PathSlot) -> PrefixId {
        let mut next = self.paths[slot.index()].next;
        while next & LAST == 0 {
            next = self.paths[next as usize].next;
        }
        PrefixId(next & !LAST)
    }

    /// Replaces what is stored of a path, and yields what was: received and accepted.
    #[inline]
    pub(crate) fn replace(
        &mut self,
        slot: PathSlot,
        (received, accepted): (AttributesId, AttributesId),
        epoch: u8,
        now_s: u32,
    ) -> (AttributesId, AttributesId) {
        let stored = &mut self.paths[slot.index()];
        let before = (stored.received, stored.accepted);
        if before != (received, accepted) {
            (stored.received, stored.accepted, stored.changed_s) = (received, accepted, now_s);
        }
        stored.who = stored.who & !(0xff << EPOCH) | u32::from(epoch) << EPOCH;
        before
    }

    /// Import policy came to another result; what it was.
    pub(crate) fn set_accepted(&mut self, slot: PathSlot, accepted: AttributesId) -> AttributesId {
        std::mem::replace(&mut self.paths[slot.index()].accepted, accepted)
    }

    /// Whether the slot holds a path that is linked to its prefix.
    #[inline]
    pub(crate) fn is_live(&self, slot: PathSlot) -> bool {
        self.paths.get(slot.index()).is_some_and(|path| path.is_live())
    }

    /// The paths of a prefix, in the order in which they came.
    #[inline]
    pub(crate) fn of(&self, prefix: PrefixId) -> impl Iterator<Item = (PathSlot, Path)> + '_ {
        let mut next = self.heads.get(prefix.index()).copied().unwrap_or(NIL);
        std::iter::from_fn(move || {
            if next & LAST != 0 {
                return None;
            }
            let slot = PathSlot(next);
            next = self.paths[slot.index()].next;
            Some((slot, self.path(slot)))
        })
    }

    /// Every live path.
    pub(crate) fn live(&self) -> impl Iterator<Item = Path> {
        (0..self.paths.len())
            .map(PathSlot::from_index)
            .filter(|slot| self.is_live(*slot))
            .map(|slot| self.path(slot))
    }

    /// Whether a prefix has no path.
    #[inline]
    pub(crate) fn is_empty(&self, prefix: PrefixId) -> bool {
        self.heads.get(prefix.index()).is_none_or(|head| *head == NIL)
    }

    /// Reads the first path of a prefix, so that many lookups wait for memory at the same time.
    #[inline]
    pub(crate) fn touch(&self, prefix: PrefixId) -> u64 {
        let head = self.heads.get(prefix.index()).copied().unwrap_or(NIL);
        self.paths.get(head as usize).map_or(0, |path| path.next.into())
    }

    pub(crate) fn find(&self, prefix: PrefixId, peer: PeerIndex, path_id: u32) -> Option<PathSlot> {
        self.search(prefix, peer, path_id).ok()
    }

    /// The path of a peer, or the last of the prefix ([`NIL`] if there is none).
    #[inline]
    fn search(&self, prefix: PrefixId, peer: PeerIndex, path_id: u32) -> Result<PathSlot, u32> {
        let who = bits_of(peer);
        let mut next = self.heads.get(prefix.index()).copied().unwrap_or(NIL);
        let mut last = NIL;
        while next & LAST == 0 {
            let stored = self.paths[next as usize];
            if stored.is_from(who) && self.path_id(PathSlot(next)) == path_id {
                return Ok(PathSlot(next));
            }
            last = next;
            next = stored.next;
        }
        Err(last)
    }

    /// The path of a peer, added behind the others of its prefix, without attributes yet, if there is none; whether it is new.
    #[inline]
    pub(crate) fn find_or_insert(
        &mut self,
        prefix: PrefixId,
        peer: PeerIndex,
        path_id: u32,
    ) -> (PathSlot, bool) {
        match self.search(prefix, peer, path_id) {
            Ok(slot) => (slot, false),
            Err(last) => (self.insert(prefix, (peer, path_id), last), true),
        }
    }

    fn insert(&mut self, prefix: PrefixId, (peer, path_id): (PeerIndex, u32), last: u32) -> PathSlot {
        let has_path_id = if path_id == 0 { 0 } else { HAS_PATH_ID };
        let path = Stored {
            next: prefix.0 | LAST,
            received: AttributesId::NONE,
            accepted: AttributesId::NONE,
            changed_s: 0,
            who: bits_of(peer) | has_path_id | LIVE,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.paths[slot.index()] = path;
                slot
            }
            None => {
                self.paths.push(path);
                PathSlot::from_index(self.paths.len() - 1)
            }
        };
        if path_id != 0 {
            self.path_ids.insert(slot.0, path_id);
        }
        if self.heads.len() <= prefix.index() {
            self.heads.resize(prefix.index() + 1, NIL);
        }
        match self.paths.get_mut(last as usize).filter(|_| last != NIL) {
            Some(last) => last.next = slot.0,
            None => self.heads[prefix.index()] = slot.0,
        }
        self.live += 1;
        slot
    }

    /// Takes a live path away from its prefix, and its attributes with it. Its slot stays taken until [`release`](Self::release).
    pub(crate) fn unlink(&mut self, slot: PathSlot) {
        let prefix = self.prefix(slot);
        let next = self.paths[slot.index()].next;
        let mut before = NIL;
        let mut at = self.heads[prefix.index()];
        while at != slot.0 {
            before = at;
            at = self.paths[at as usize].next;
        }
        if before != NIL {
            self.paths[before as usize].next = next;
        } else if next & LAST != 0 {
            self.heads[prefix.index()] = NIL;
        } else {
            self.heads[prefix.index()] = next;
        }
        let path = &mut self.paths[slot.index()];
        path.next = prefix.0 | LAST;
        path.who = path.who & !STATE | DEAD;
        (path.received, path.accepted) = (AttributesId::NONE, AttributesId::NONE);
        self.live -= 1;
    }

    /// Lets the slot of an unlinked path be used again.
    pub(crate) fn release(&mut self, slot: PathSlot) {
        let path = &mut self.paths[slot.index()];
        if path.who & STATE == DEAD {
            path.who &= !STATE;
            if path.who & HAS_PATH_ID != 0 {
                self.path_ids.remove(&slot.0);
            }
            self.free.push(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(rib: &AdjRibIn, prefix: u32) -> Vec<u32> {
        rib.of(PrefixId(prefix)).map(|(_, path)| path.peer.0).collect()
    }

    #[test]
    fn paths_of_a_prefix_keep_their_order_and_slots() {
        let mut rib = AdjRibIn::default();
        let slots: Vec<_> = (0..4)
            .map(|peer| rib.find_or_insert(PrefixId(3), PeerIndex(peer), 0).0)
            .collect();
        rib.find_or_insert(PrefixId(0), PeerIndex(9), 0);
        assert_eq!(peers(&rib, 3), [0, 1, 2, 3]);
        rib.unlink(slots[1]);
        rib.unlink(slots[0]);
        assert_eq!(peers(&rib, 3), [2, 3]);
        assert_eq!(rib.find(PrefixId(3), PeerIndex(3), 0), Some(slots[3]));
        assert_eq!(rib.len(), 3);
        assert!(rib.is_empty(PrefixId(1)) && rib.is_empty(PrefixId(77)));
    }

    #[test]
    fn a_slot_is_reused_only_after_release() {
        let mut rib = AdjRibIn::default();
        let first = rib.find_or_insert(PrefixId(0), PeerIndex(0), 7).0;
        rib.unlink(first);
        assert_ne!(rib.find_or_insert(PrefixId(0), PeerIndex(0), 7).0, first);
        rib.release(first);
        rib.release(first);
        assert_eq!(rib.find_or_insert(PrefixId(0), PeerIndex(1), 7).0, first);
        assert_ne!(rib.find_or_insert(PrefixId(0), PeerIndex(2), 7).0, first);
    }

    #[test]
    fn a_path_is_small_and_tells_everything() {
        assert_eq!(size_of::<Stored>(), 20);
        let mut rib = AdjRibIn::default();
        let us = PeerIndex::local(3);
        let (first, _) = rib.find_or_insert(PrefixId(8), us, 0);
        let (second, _) = rib.find_or_insert(PrefixId(8), PeerIndex(3), u32::MAX);
        rib.replace(second, (AttributesId(1), AttributesId(2)), 255, 77);
        let path = rib.path(second);
        assert_eq!((path.peer, path.epoch, path.changed_s), (PeerIndex(3), 255, 77));
        assert_eq!((path.received, path.accepted), (AttributesId(1), AttributesId(2)));
        assert_eq!((rib.path_id(first), rib.path_id(second)), (0, u32::MAX));
        assert_eq!(rib.path(first).peer, us);
        assert_eq!(
            (rib.prefix(first), rib.prefix(second)),
            (PrefixId(8), PrefixId(8))
        );
        rib.unlink(first);
        assert_eq!(
            (rib.prefix(first), rib.prefix(second)),
            (PrefixId(8), PrefixId(8))
        );
    }
}
