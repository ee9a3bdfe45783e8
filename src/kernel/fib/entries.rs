//! One entry a key, found by key with one look at a hash index, and by slot without any.
//!
//! Hundreds of thousands of them are touched in one go, so they lie packed, and they do not move when there are more.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::net::IpAddr;

use hashbrown::HashTable;

use super::FibKey;
use super::groups::GroupId;
use super::packed::{Packed, Slab, TableNumber, Tables};
use super::stamps::StampId;
use super::status::State;
use super::ways::WayId;
use crate::route::{Prefix, TableId};

/// Where an entry is; it stays there as long as it lives. The last bit is the family.
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
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Holdings {
    first: Option<Held>,
    more: Vec<Held>,
}

/// What is known of a key.
#[derive(Clone, Debug, Eq, PartialEq)]
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
}

/// All entries.
#[derive(Debug, Default)]
pub(super) struct Entries {
    ipv4: Slab<[u8; 4]>,
    ipv6: Slab<[u8; 16]>,
    tables: Tables,
    /// What the kernel holds beside the first of a key.
    more: BTreeMap<Slot, Vec<Held>>,
    index: HashTable<Slot>,
    hasher: foldhash::fast::RandomState,
}

impl Entries {
    /// Where the key's entry is.
    pub(super) fn find(&self, key: FibKey) -> Option<Slot> {
        let table = self.tables.find(key.0)?;
        let is_it = |slot: &Slot| self.is_at(*slot, table, key.1);
        self.index.find(hash(&self.hasher, key), is_it).copied()
    }

    /// Where the key's entry is, made if need be; for a table too many a slot where nobody lives.
    pub(super) fn ensure(&mut self, key: FibKey) -> Slot {
        if let Some(slot) = self.find(key) {
            return slot;
        }
        let (Some(table), entry) = (self.tables.number(key.0), Entry::nobody()) else {
            return Slot::NOWHERE;
        };
        let length = key.1.prefix_len();
        let slot = match key.1.addr() {
            IpAddr::V4(address) => {
                Slot::ipv4(
                    self.ipv4
                        .put(Packed::new(address.octets(), length, table, &entry)),
                )
            }
            IpAddr::V6(address) => {
                Slot::ipv6(
                    self.ipv6
                        .put(Packed::new(address.octets(), length, table, &entry)),
                )
            }
        };
        let (ipv4, ipv6, tables, hasher) = (&self.ipv4, &self.ipv6, &self.tables, &self.hasher);
        let rehash = |slot: &Slot| {
            let key = match slot.place() {
                (place, false) => ipv4
                    .get(place)
                    .map(|packed| (packed.table(tables), packed.prefix())),
                (place, true) => ipv6
                    .get(place)
                    .map(|packed| (packed.table(tables), packed.prefix())),
            };
            key.map_or(0, |key| hash(hasher, key))
        };
        self.index.insert_unique(hash(hasher, key), slot, rehash);
        slot
    }

    pub(super) fn get(&self, slot: Slot) -> Option<Entry> {
        let more = || self.more_of(slot);
        match slot.place() {
            (place, false) => Some(self.ipv4.get(place)?.get(&self.tables, more)),
            (place, true) => Some(self.ipv6.get(place)?.get(&self.tables, more)),
        }
    }

    /// Puts an entry back where it was found.
    pub(super) fn set(&mut self, slot: Slot, entry: &Entry) {
        let had_several = match slot.place() {
            (place, false) => self.ipv4.get_mut(place).map(|packed| {
                let before = packed.has_several();
                packed.set(entry);
                before
            }),
            (place, true) => self.ipv6.get_mut(place).map(|packed| {
                let before = packed.has_several();
                packed.set(entry);
                before
            }),
        };
        if entry.held.has_several() {
            self.more.insert(slot, entry.held.more.clone());
        } else if had_several.unwrap_or_default() {
            self.more.remove(&slot);
        }
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
        self.more.remove(&slot);
        match slot.place() {
            (place, false) => self.ipv4.remove(place),
            (place, true) => self.ipv6.remove(place),
        }
        if self.index.is_empty() {
            // Nothing refers to any slot but what is checked when it is used.
            *self = Self::default();
        }
    }

    /// All entries, in no order that means anything, but the same in every run.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, Entry)> {
        let more = move |slot| move || self.more_of(slot);
        let ipv4 = self.ipv4.iter().map(move |(place, packed)| {
            let slot = Slot::ipv4(place);
            (slot, packed.get(&self.tables, more(slot)))
        });
        let ipv6 = self.ipv6.iter().map(move |(place, packed)| {
            let slot = Slot::ipv6(place);
            (slot, packed.get(&self.tables, more(slot)))
        });
        ipv4.chain(ipv6)
    }

    /// Slots are below this.
    pub(super) fn bound(&self) -> usize {
        self.ipv4.bound().max(self.ipv6.bound()) * 2
    }

    fn is_at(&self, slot: Slot, table: TableNumber, prefix: Prefix) -> bool {
        match slot.place() {
            (place, false) => self
                .ipv4
                .get(place)
                .is_some_and(|packed| packed.is_at(table, prefix)),
            (place, true) => self
                .ipv6
                .get(place)
                .is_some_and(|packed| packed.is_at(table, prefix)),
        }
    }

    fn more_of(&self, slot: Slot) -> Vec<Held> {
        self.more.get(&slot).cloned().unwrap_or_default()
    }
}

impl Slot {
    /// Nobody is ever there.
    const NOWHERE: Self = Self(u32::MAX);

    fn ipv4(place: u32) -> Self {
        Self(place.saturating_mul(2))
    }

    fn ipv6(place: u32) -> Self {
        Self(place.saturating_mul(2).saturating_add(1))
    }

    /// Where in the slab of its family, and whether that is IPv6.
    const fn place(self) -> (u32, bool) {
        (self.0 / 2, self.0 % 2 == 1)
    }

    pub(super) fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

fn hash(hasher: &foldhash::fast::RandomState, (table, prefix): FibKey) -> u64 {
    let bits = match prefix.addr() {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
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
    /// Of the first and those beside it.
    pub(super) fn new(first: Option<Held>, more: Vec<Held>) -> Self {
        Self { first, more }
    }

    pub(super) fn first(&self) -> Option<Held> {
        self.first
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Held> {
        self.first.iter().chain(&self.more).copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn has_several(&self) -> bool {
        !self.more.is_empty()
    }

    pub(super) fn at(&self, metric: u32) -> Option<Held> {
        self.iter().find(|held| held.metric == metric)
    }

    /// Puts one in; what it takes the place of.
    pub(super) fn put(&mut self, new: Held) -> Option<Held> {
        let mut all = self.first.iter_mut().chain(&mut self.more);
        if let Some(held) = all.find(|held| held.metric == new.metric) {
            return Some(std::mem::replace(held, new));
        }
        if self.first.is_none() {
            self.first = Some(new);
        } else {
            self.more.push(new);
        }
        None
    }

    /// Takes one out.
    pub(super) fn take(&mut self, metric: u32) -> Option<Held> {
        if let Some(held) = self.first.filter(|held| held.metric == metric) {
            self.first = self.more.pop();
            return Some(held);
        }
        let place = self.more.iter().position(|held| held.metric == metric)?;
        Some(self.more.swap_remove(place))
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
        assert_ne!(entries.ensure(key("fd00::/8")), first);
        assert_eq!(entries.ensure(key("10.64.0.0/10")), first);
        assert_eq!(entries.find(key("10.0.0.0/9")), Some(second));
        assert_eq!(entries.iter().count(), 3);
    }

    #[test]
    fn what_is_set_is_found_and_goes_with_its_entry() {
        let held = |metric| Held {
            metric,
            way: WayId(1),
            stamp: StampId(std::num::NonZeroU8::MIN),
        };
        let mut entries = Entries::default();
        let keys = ["10.0.0.0/8", "fd00::/8"].map(|text| (TableId(7), text.parse().unwrap()));
        for key in keys {
            let slot = entries.ensure(key);
            let mut entry = entries.get(slot).unwrap();
            entry.held.put(held(1));
            entry.held.put(held(2));
            entry.queued = true;
            entries.set(slot, &entry);
            assert_eq!(entries.get(slot), Some(entry.clone()));
            assert_eq!(entries.iter().last(), Some((slot, entry.clone())));
            assert!(slot.index() < entries.bound());
            entry.held.take(1);
            entries.set(slot, &entry);
            assert_eq!(
                entries.get(slot).unwrap().held.iter().collect::<Vec<_>>(),
                [held(2)]
            );
            assert!(entries.more.is_empty());
        }
        for key in keys {
            entries.remove(entries.find(key).unwrap());
        }
        assert_eq!(entries.bound(), 0);
    }

    #[test]
    fn a_table_too_many_has_no_entries() {
        let mut entries = Entries {
            tables: Tables::full(),
            ..Entries::default()
        };
        let key = |table| (TableId(table), "10.0.0.0/8".parse().unwrap());
        let [nowhere, somewhere] = [70_000, 65_535].map(|table| entries.ensure(key(table)));
        assert_eq!(entries.get(nowhere), None);
        assert!(entries.get(somewhere).is_some());
    }
}
