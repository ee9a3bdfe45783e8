//! A hash table of dense ids that knows nothing of what they stand for.
//!
//! A slot is eight octets: 32 bits of the hash and the id. Slots are in the order of their hashes, so that growing is one
//! pass from front to back that reads no key, and grows by a third, not by twice. A lookup that finds no equal 32 bits reads no key either.

/// Ids by hash.
#[derive(Debug, Default)]
pub(crate) struct IdTable {
    slots: Vec<u64>,
    /// Slots that a hash can point to; those behind hold what overflows at the end, so that no lookup wraps around.
    places: usize,
    len: usize,
}

const EMPTY: u64 = u64::MAX;
/// Places of the first table.
const FIRST: usize = 64;

impl IdTable {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Octets that it takes.
    pub(crate) const fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u64>()
    }

    #[inline]
    const fn home(&self, tag: u32) -> usize {
        ((tag as u64 * self.places as u64) >> 32) as usize
    }

    /// Reads the slot that a hash points to, so that many lookups wait for memory at the same time.
    #[inline]
    pub(crate) fn touch(&self, hash: u64) -> u64 {
        self.slots.get(self.home(tag_of(hash))).copied().unwrap_or(EMPTY)
    }

    /// The id with this hash that is the one meant.
    #[inline]
    pub(crate) fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        let tag = tag_of(hash);
        for slot in self.slots.get(self.home(tag)..)? {
            // Slots are in order: behind a larger hash there is no equal one. The empty slot is the largest.
            let there = (*slot >> 32) as u32;
            if there > tag {
                return None;
            }
            let id = *slot as u32;
            if there == tag && is(id) {
                return Some(id);
            }
        }
        None
    }

    /// Adds an id that is not there.
    pub(crate) fn insert(&mut self, hash: u64, id: u32) {
        self.make_room();
        self.place(slot_of(hash, id), self.home(tag_of(hash)));
        self.len += 1;
    }

    /// The id with this hash that is the one meant, or a new one; whether it is new. One walk finds either its place.
    #[inline]
    pub(crate) fn find_or_insert(
        &mut self,
        hash: u64,
        is: impl Fn(u32) -> bool,
        new: impl FnOnce() -> u32,
    ) -> (u32, bool) {
        self.make_room();
        let tag = tag_of(hash);
        let mut at = self.home(tag);
        while self
            .slots
            .get(at)
            .is_some_and(|slot| ((*slot >> 32) as u32) < tag)
        {
            at += 1;
        }
        let from = at;
        while let Some(slot) = self.slots.get(at).copied()
            && (slot >> 32) as u32 == tag
        {
            if is(slot as u32) {
                return (slot as u32, false);
            }
            at += 1;
        }
        let id = new();
        self.place(slot_of(hash, id), from);
        self.len += 1;
        (id, true)
    }

    /// Grows before one more id would make it too full.
    #[inline]
    fn make_room(&mut self) {
        if (self.len + 1) * 5 > self.places * 4 {
            self.grow();
        }
    }

    /// Takes out an id; whether it was there.
    pub(crate) fn remove(&mut self, hash: u64, id: u32) -> bool {
        let wanted = slot_of(hash, id);
        let mut at = self.home(tag_of(hash));
        loop {
            match self.slots.get(at) {
                Some(slot) if *slot == wanted => break,
                Some(slot) if *slot != EMPTY => at += 1,
                _ => return false,
            }
        }
        // What stands behind moves up, unless it is where it belongs.
        while let Some(next) = self.slots.get(at + 1).copied()
            && next != EMPTY
            && self.home((next >> 32) as u32) <= at
        {
            self.slots[at] = next;
            at += 1;
        }
        self.slots[at] = EMPTY;
        self.len -= 1;
        true
    }

    /// Puts a slot where it belongs in the order, `from` there or behind; what is in its way moves on by one.
    #[inline]
    fn place(&mut self, slot: u64, from: usize) {
        let mut at = from;
        while self.slots.get(at).is_some_and(|there| *there < slot) {
            at += 1;
        }
        let mut moving = slot;
        while moving != EMPTY {
            match self.slots.get_mut(at) {
                Some(there) => std::mem::swap(there, &mut moving),
                None => self.slots.push(std::mem::replace(&mut moving, EMPTY)),
            }
            at += 1;
        }
    }

    #[cold]
    fn grow(&mut self) {
        self.places = (self.places + self.places / 3).max(FIRST);
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; self.places]);
        // In order, so each goes to its home or behind the one before.
        let mut free = 0;
        for slot in old.into_iter().filter(|slot| *slot != EMPTY) {
            let at = self.home((slot >> 32) as u32).max(free);
            match self.slots.get_mut(at) {
                Some(there) => *there = slot,
                None => self.slots.push(slot),
            }
            free = at + 1;
        }
    }
}

#[inline]
const fn tag_of(hash: u64) -> u32 {
    let tag = (hash >> 32) as u32;
    // The largest would look like an empty slot.
    if tag == u32::MAX { tag - 1 } else { tag }
}

#[inline]
const fn slot_of(hash: u64, id: u32) -> u64 {
    (tag_of(hash) as u64) << 32 | id as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn hash(id: u32, spread: u64) -> u64 {
        (u64::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15) % spread).wrapping_mul(u64::MAX / spread)
    }

    fn check(spread: u64) {
        let (mut table, mut model) = (IdTable::default(), BTreeMap::new());
        for step in 0..20_000_u32 {
            let id = step.wrapping_mul(2_654_435_761) % 3_000;
            let found = table.find(hash(id, spread), |at| at == id);
            assert_eq!(found.is_some(), model.contains_key(&id));
            if found.is_none() {
                if step % 2 == 0 {
                    table.insert(hash(id, spread), id);
                } else {
                    let placed = table.find_or_insert(hash(id, spread), |at| at == id, || id);
                    assert_eq!(placed, (id, true));
                }
                let again = table.find_or_insert(hash(id, spread), |at| at == id, || unreachable!());
                assert_eq!(again, (id, false));
                model.insert(id, ());
            } else if step % 3 > 0 {
                assert!(table.remove(hash(id, spread), id));
                assert!(!table.remove(hash(id, spread), id));
                model.remove(&id);
            }
            assert_eq!(table.len(), model.len());
        }
        for id in 0..3_000 {
            let found = table.find(hash(id, spread), |at| at == id);
            assert_eq!(found.is_some(), model.contains_key(&id));
        }
        assert!(
            table
                .slots
                .is_sorted_by(|a, b| *a < *b || *a == EMPTY || *b == EMPTY)
        );
    }

    #[test]
    fn ids_are_found_until_they_are_removed() {
        check(u64::MAX);
    }

    #[test]
    fn equal_hashes_are_told_apart_wherever_they_are() {
        check(64);
        check(1);
        let mut table = IdTable::default();
        (0..1_000).for_each(|id| table.insert(u64::MAX, id));
        assert!((0..1_000).all(|id| table.find(u64::MAX, |at| at == id) == Some(id)));
    }
}
