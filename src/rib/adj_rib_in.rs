//! Adj-RIB-In of all peers: the paths of each prefix as received, beside what import policy made of them.
//!
//! Paths live in one arena. A path's place in it is stable for the life of the path, so it also serves as the path id that
//! we send (RFC 7911). The paths of a prefix are linked, the oldest first.

use super::ids::{AttributesId, PathSlot, PeerIndex, PrefixId};

/// One path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    pub(crate) prefix: PrefixId,
    next: u32,
    /// Who sent it.
    pub(crate) peer: PeerIndex,
    /// RFC 7911 path id as received; 0 without.
    pub(crate) path_id: u32,
    /// What was received.
    pub(crate) received: AttributesId,
    /// What import policy made of it; [`AttributesId::NONE`] when rejected.
    pub(crate) accepted: AttributesId,
    /// Seconds between the shard's start and the path's last change.
    pub(crate) changed_s: u32,
    /// The peer's epoch when it was received: an older one is stale.
    pub(crate) epoch: u8,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Linked to its prefix.
    Live,
    /// Unlinked, but its place must not be used again yet.
    Dead,
    Free,
}

const NIL: u32 = u32::MAX;

/// All paths of one table and family.
#[derive(Debug, Default)]
pub(crate) struct AdjRibIn {
    paths: Vec<Path>,
    /// First path of each prefix.
    heads: Vec<u32>,
    free: Vec<PathSlot>,
    live: usize,
}

impl AdjRibIn {
    /// How many paths there are.
    pub(crate) const fn len(&self) -> usize {
        self.live
    }

    /// One more than the largest slot ever used.
    pub(crate) fn bound(&self) -> usize {
        self.paths.len()
    }

    /// The path in a slot, live or dead.
    #[inline]
    pub(crate) fn path(&self, slot: PathSlot) -> &Path {
        &self.paths[slot.index()]
    }

    #[inline]
    pub(crate) fn path_mut(&mut self, slot: PathSlot) -> &mut Path {
        &mut self.paths[slot.index()]
    }

    /// Whether the slot holds a path that is linked to its prefix.
    #[inline]
    pub(crate) fn is_live(&self, slot: PathSlot) -> bool {
        self.paths
            .get(slot.index())
            .is_some_and(|path| path.state == State::Live)
    }

    /// The paths of a prefix, in the order in which they came.
    #[inline]
    pub(crate) fn of(&self, prefix: PrefixId) -> impl Iterator<Item = (PathSlot, &Path)> + '_ {
        let mut next = self.heads.get(prefix.index()).copied().unwrap_or(NIL);
        std::iter::from_fn(move || {
            let path = self.paths.get(next as usize)?;
            let slot = PathSlot(next);
            next = path.next;
            Some((slot, path))
        })
    }

    /// Every live path.
    pub(crate) fn live(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter().filter(|path| path.state == State::Live)
    }

    /// Whether a prefix has no path.
    pub(crate) fn is_empty(&self, prefix: PrefixId) -> bool {
        self.heads.get(prefix.index()).is_none_or(|head| *head == NIL)
    }

    pub(crate) fn find(&self, prefix: PrefixId, peer: PeerIndex, path_id: u32) -> Option<PathSlot> {
        self.of(prefix)
            .find(|(_, path)| path.peer == peer && path.path_id == path_id)
            .map(|(slot, _)| slot)
    }

    /// Adds a path behind the others of its prefix, without attributes yet.
    pub(crate) fn insert(&mut self, prefix: PrefixId, peer: PeerIndex, path_id: u32) -> PathSlot {
        let path = Path {
            prefix,
            next: NIL,
            peer,
            path_id,
            received: AttributesId::NONE,
            accepted: AttributesId::NONE,
            changed_s: 0,
            epoch: 0,
            state: State::Live,
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
        if self.heads.len() <= prefix.index() {
            self.heads.resize(prefix.index() + 1, NIL);
        }
        match self.of(prefix).last().map(|(last, _)| last) {
            Some(last) => self.paths[last.index()].next = slot.0,
            None => self.heads[prefix.index()] = slot.0,
        }
        self.live += 1;
        slot
    }

    /// Takes a live path away from its prefix, and its attributes with it. Its slot stays taken until [`release`](Self::release).
    pub(crate) fn unlink(&mut self, slot: PathSlot) {
        let Path { prefix, next, .. } = self.paths[slot.index()];
        let before = self
            .of(prefix)
            .find(|(_, path)| path.next == slot.0)
            .map(|(before, _)| before);
        match before {
            Some(before) => self.paths[before.index()].next = next,
            None => self.heads[prefix.index()] = next,
        }
        let path = &mut self.paths[slot.index()];
        path.next = NIL;
        path.state = State::Dead;
        (path.received, path.accepted) = (AttributesId::NONE, AttributesId::NONE);
        self.live -= 1;
    }

    /// Lets the slot of an unlinked path be used again.
    pub(crate) fn release(&mut self, slot: PathSlot) {
        let path = &mut self.paths[slot.index()];
        if path.state == State::Dead {
            path.state = State::Free;
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
            .map(|peer| rib.insert(PrefixId(3), PeerIndex(peer), 0))
            .collect();
        rib.insert(PrefixId(0), PeerIndex(9), 0);
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
        let first = rib.insert(PrefixId(0), PeerIndex(0), 7);
        rib.unlink(first);
        assert_ne!(rib.insert(PrefixId(0), PeerIndex(0), 7), first);
        rib.release(first);
        rib.release(first);
        assert_eq!(rib.insert(PrefixId(0), PeerIndex(1), 7), first);
        assert_ne!(rib.insert(PrefixId(0), PeerIndex(2), 7), first);
    }
}
