//! One entry a key, in a slab: found by key with one look at a hash index, and by slot without any.
//!
//! Hundreds of thousands of them are touched in one go, so they are small, and they do not move when there are more.

use std::hash::BuildHasher;

use hashbrown::HashTable;

use super::FibKey;
use super::groups::GroupId;
use super::stamps::StampId;
use super::status::State;
use super::ways::WayId;
use crate::route::{Prefix, TableId};

/// Entries allocated at once.
const CHUNK: usize = 4_096;

/// Where an entry is; it stays there as long as it lives.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Slot(u32);

/// A route of ours in the kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Held {
    /// `RTA_PRIORITY`.
    pub(super) metric: u32,
    /// Where it leads.
    pub(super) way: WayId,
    /// How else it is written.
    pub(super) stamp: StampId,
}

/// The routes of one key that the kernel holds of ours: mostly none or one, more where the metric changed.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    first: Option<Held>,
    #[expect(
        clippy::box_collection,
        reason = "nearly always none, and then 8 octets and not 24"
    )]
    more: Option<Box<Vec<Held>>>,
}

/// What is known of a key.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: FibKey,
    /// What the RIB wants.
    pub(super) wanted: Option<GroupId>,
    pub(super) held: Holdings,
    pub(super) state: State,
    /// A blackhole of ours is to lie here, whatever the RIB wants.
    pub(super) discard: bool,
    /// It is in this table because `[kernel]` says so, and follows when that says another.
    pub(super) by_default: bool,
    /// The RIB or the configuration has spoken; what is adopted and undecided waits.
    pub(super) decided: bool,
    /// An operation is under way.
    pub(super) busy: bool,
    pub(super) queued: bool,
    pub(super) attempts: u8,
    live: bool,
}

/// All entries.
#[derive(Debug, Default)]
pub(super) struct Entries {
    chunks: Vec<Vec<Entry>>,
    free: Vec<Slot>,
    index: HashTable<Slot>,
    hasher: foldhash::fast::RandomState,
}

impl Entries {
    /// Where the key's entry is.
    pub(super) fn find(&self, key: FibKey) -> Option<Slot> {
        let chunks = &self.chunks;
        let is_it = |slot: &Slot| at(chunks, *slot).is_some_and(|entry| entry.key == key);
        self.index.find(hash(&self.hasher, key), is_it).copied()
    }

    /// Where the key's entry is, made if need be.
    pub(super) fn ensure(&mut self, key: FibKey) -> Slot {
        if let Some(slot) = self.find(key) {
            return slot;
        }
        let entry = Entry {
            key,
            live: true,
            ..Entry::nobody()
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                if let Some(place) = at_mut(&mut self.chunks, slot) {
                    *place = entry;
                }
                slot
            }
            None => self.push(entry),
        };
        let (chunks, hasher) = (&self.chunks, &self.hasher);
        let rehash = |slot: &Slot| at(chunks, *slot).map_or(0, |entry| hash(hasher, entry.key));
        self.index.insert_unique(hash(hasher, key), slot, rehash);
        slot
    }

    fn push(&mut self, entry: Entry) -> Slot {
        let full = self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK);
        if full {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let place = self.chunks.last_mut().map_or(0, |chunk| {
            chunk.push(entry);
            chunk.len() - 1
        });
        Slot(u32::try_from(before + place).unwrap_or(u32::MAX))
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Entry> {
        at(&self.chunks, slot).filter(|entry| entry.live)
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Entry> {
        at_mut(&mut self.chunks, slot).filter(|entry| entry.live)
    }

    /// Forgets an entry.
    pub(super) fn remove(&mut self, slot: Slot) {
        let Some(key) = self.get(slot).map(|entry| entry.key) else {
            return;
        };
        let hash = hash(&self.hasher, key);
        if let Ok(place) = self.index.find_entry(hash, |other| *other == slot) {
            place.remove();
        }
        if let Some(entry) = self.get_mut(slot) {
            entry.live = false;
        }
        self.free.push(slot);
        if self.index.is_empty() {
            // Nothing refers to any slot but what is checked when it is used.
            self.chunks = Vec::new();
            self.free = Vec::new();
            self.index = HashTable::new();
        }
    }

    /// All entries, in no order that means anything, but the same in every run.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &Entry)> {
        let chunks = self.chunks.iter().enumerate();
        let all = chunks.flat_map(|(chunk, entries)| {
            let places = entries.iter().enumerate();
            places.map(move |(place, entry)| (slot_at(chunk, place), entry))
        });
        all.filter(|(_, entry)| entry.live)
    }

    /// Slots are below this.
    pub(super) fn bound(&self) -> usize {
        self.chunks.len() * CHUNK
    }
}

impl Slot {
    pub(super) fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

fn slot_at(chunk: usize, place: usize) -> Slot {
    Slot(u32::try_from(chunk * CHUNK + place).unwrap_or(u32::MAX))
}

fn at(chunks: &[Vec<Entry>], slot: Slot) -> Option<&Entry> {
    chunks.get(slot.index() / CHUNK)?.get(slot.index() % CHUNK)
}

fn at_mut(chunks: &mut [Vec<Entry>], slot: Slot) -> Option<&mut Entry> {
    chunks
        .get_mut(slot.index() / CHUNK)?
        .get_mut(slot.index() % CHUNK)
}

fn hash(hasher: &foldhash::fast::RandomState, (table, prefix): FibKey) -> u64 {
    let bits = match prefix.addr() {
        std::net::IpAddr::V4(address) => u128::from(address.to_bits()),
        std::net::IpAddr::V6(address) => address.to_bits(),
    };
    let rest = u64::from(table.0) << 8 | u64::from(prefix.prefix_len());
    hasher.hash_one((bits, rest))
}

impl Entry {
    /// An entry of nothing.
    pub(super) fn nobody() -> Self {
        Self {
            key: (TableId(0), Prefix::V4(ipnet::Ipv4Net::default())),
            wanted: None,
            held: Holdings::default(),
            state: State::Pending,
            by_default: false,
            discard: false,
            decided: false,
            busy: false,
            queued: false,
            attempts: 0,
            live: false,
        }
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.is_some() || self.discard
    }

    /// Nobody needs to know of it.
    pub(super) fn is_idle(&self) -> bool {
        !self.is_wanted() && !self.busy && self.held.first.is_none()
    }
}

impl Holdings {
    pub(super) fn iter(&self) -> impl Iterator<Item = Held> {
        let more = self.more.iter().flat_map(|more| more.iter());
        self.first.iter().chain(more).copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn has_several(&self) -> bool {
        self.more.is_some()
    }

    pub(super) fn at(&self, metric: u32) -> Option<Held> {
        self.iter().find(|held| held.metric == metric)
    }

    /// Puts one in; what it takes the place of.
    pub(super) fn put(&mut self, new: Held) -> Option<Held> {
        if let Some(held) = self.iter_mut().find(|held| held.metric == new.metric) {
            return Some(std::mem::replace(held, new));
        }
        if self.first.is_none() {
            self.first = Some(new);
        } else {
            self.more.get_or_insert_default().push(new);
        }
        None
    }

    /// Takes one out.
    pub(super) fn take(&mut self, metric: u32) -> Option<Held> {
        if let Some(held) = self.first.filter(|held| held.metric == metric) {
            self.first = self.more.as_mut().and_then(|more| more.pop());
            self.shrink();
            return Some(held);
        }
        let more = self.more.as_mut()?;
        let place = more.iter().position(|held| held.metric == metric)?;
        let held = more.swap_remove(place);
        self.shrink();
        Some(held)
    }

    fn shrink(&mut self) {
        if self.more.as_ref().is_some_and(|more| more.is_empty()) {
            self.more = None;
        }
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Held> {
        let more = self.more.iter_mut().flat_map(|more| more.iter_mut());
        self.first.iter_mut().chain(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_found_by_key_and_used_again() {
        let key = |text: &str| (TableId::MAIN, text.parse().unwrap());
        let mut entries = Entries::default();
        let first = entries.ensure(key("10.0.0.0/8"));
        let second = entries.ensure(key("10.0.0.0/9"));
        assert_eq!(entries.ensure(key("10.0.0.0/8")), first);
        entries.remove(first);
        assert_eq!(entries.find(key("10.0.0.0/8")), None);
        assert!(entries.get(first).is_none());
        assert_eq!(entries.ensure(key("fd00::/8")), first);
        assert_eq!(entries.find(key("10.0.0.0/9")), Some(second));
        assert_eq!(entries.iter().count(), 2);
    }

    #[test]
    fn an_entry_stays_small() {
        assert!(size_of::<Entry>() <= 64, "{}", size_of::<Entry>());
    }
}
