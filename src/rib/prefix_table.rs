//! Prefixes of one family as dense, recycled ids.
//!
//! A seeded hash table holds ids only; the prefixes themselves are one packed array.
//! Every other table of the shard is an array indexed by [`PrefixId`].

use std::hash::{BuildHasher, Hash};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::id_table::IdTable;
use super::ids::PrefixId;
use crate::route::Prefix;
use foldhash::fast::FixedState;

/// Maps prefixes of one family to ids and back.
#[derive(Debug)]
pub(crate) struct PrefixTable {
    hasher: FixedState,
    ids: IdTable,
    keys: Keys,
    free: Vec<PrefixId>,
    /// How many prefixes there are of each length, so that a longest match tries only lengths that exist.
    lengths: [u32; 129],
}

#[derive(Debug)]
enum Keys {
    V4(Vec<u64>),
    V6(Vec<(u64, u64, u8)>),
}

/// Marks an unused place in [`Keys`]; no prefix has this length.
const FREE_LENGTH: u8 = 255;

impl PrefixTable {
    pub(crate) fn new(ipv6: bool, seed: u64) -> Self {
        Self {
            hasher: FixedState::with_seed(seed),
            ids: IdTable::default(),
            keys: if ipv6 {
                Keys::V6(Vec::new())
            } else {
                Keys::V4(Vec::new())
            },
            free: Vec::new(),
            lengths: [0; 129],
        }
    }

    /// How many prefixes have an id.
    pub(crate) const fn count(&self) -> usize {
        self.ids.len()
    }

    /// One more than the largest id ever given out.
    pub(crate) const fn bound(&self) -> usize {
        self.keys.len()
    }

    /// The id of a prefix, if it has one. Host bits must be zero.
    pub(crate) fn find(&self, prefix: Prefix) -> Option<PrefixId> {
        let key = Key::of(prefix, &self.keys)?;
        self.ids
            .find(self.hash(key), |id| self.keys.at(id) == key)
            .map(PrefixId)
    }

    /// The id of a prefix, given out now if need be. `None` if it is of the other address family.
    pub(crate) fn insert(&mut self, prefix: Prefix) -> Option<PrefixId> {
        let key = Key::of(prefix, &self.keys)?;
        Some(self.insert_key(key, self.hash(key)))
    }

    /// Looks a prefix up as far as memory is concerned: many at once wait together. What it yields is for `insert_hashed`.
    #[inline]
    pub(crate) fn touch(&self, prefix: Prefix) -> (u64, u64) {
        let hash = Key::of(prefix, &self.keys).map_or(0, |key| self.hash(key));
        (hash, self.ids.touch(hash))
    }

    /// [`find`](Self::find) with the hash known.
    pub(crate) fn find_hashed(&self, prefix: Prefix, hash: u64) -> Option<PrefixId> {
        let key = Key::of(prefix, &self.keys)?;
        self.ids.find(hash, |id| self.keys.at(id) == key).map(PrefixId)
    }

    /// [`insert`](Self::insert) with the hash known.
    #[inline]
    pub(crate) fn insert_hashed(&mut self, prefix: Prefix, hash: u64) -> Option<PrefixId> {
        let key = Key::of(prefix, &self.keys)?;
        Some(self.insert_key(key, hash))
    }

    /// Octets that it takes, the ids' table and the prefixes.
    pub(crate) fn bytes(&self) -> usize {
        let keys = match &self.keys {
            Keys::V4(keys) => keys.capacity() * size_of::<u64>(),
            Keys::V6(keys) => keys.capacity() * size_of::<(u64, u64, u8)>(),
        };
        self.ids.bytes() + keys + self.free.capacity() * size_of::<PrefixId>()
    }

    #[inline]
    fn insert_key(&mut self, key: Key, hash: u64) -> PrefixId {
        let Self { ids, keys, free, .. } = self;
        let fresh = || free.pop().unwrap_or_else(|| PrefixId::from_index(keys.len())).0;
        let (id, new) = ids.find_or_insert(hash, |id| keys.at(id) == key, fresh);
        let id = PrefixId(id);
        if new {
            self.keys.set(id, key);
            self.lengths[usize::from(key.length())] += 1;
        }
        id
    }

    /// Takes an id back. The caller makes sure that nothing refers to it any more.
    pub(crate) fn remove(&mut self, id: PrefixId) {
        let key = self.keys.at(id.0);
        if key.length() == FREE_LENGTH {
            return;
        }
        if self.ids.remove(self.hash(key), id.0) {
            self.lengths[usize::from(key.length())] -= 1;
            self.keys.set(id, Key::free(&self.keys));
            self.free.push(id);
        }
    }

    /// The prefix of an id that is in use.
    pub(crate) fn prefix(&self, id: PrefixId) -> Prefix {
        self.keys.at(id.0).prefix()
    }

    /// Whether the id stands for a prefix.
    pub(crate) fn is_used(&self, id: PrefixId) -> bool {
        id.index() < self.bound() && self.keys.at(id.0).length() != FREE_LENGTH
    }

    /// Every id in use, in the order of ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = PrefixId> + '_ {
        (0..self.bound())
            .map(PrefixId::from_index)
            .filter(|id| self.is_used(*id))
    }

    /// Prefixes that cover the address, longest first.
    pub(crate) fn covering(&self, address: IpAddr) -> impl Iterator<Item = (PrefixId, Prefix)> + '_ {
        let longest: u8 = if address.is_ipv4() { 32 } else { 128 };
        (0..=longest)
            .rev()
            .filter(|length| self.lengths[usize::from(*length)] > 0)
            .filter_map(move |length| Prefix::new(address, length).ok())
            .filter_map(|prefix| self.find(prefix.trunc()).map(|id| (id, prefix.trunc())))
    }

    /// The first `limit` prefixes behind `after` that `wanted` accepts, in prefix order, and whether there are more.
    pub(crate) fn page(
        &self,
        after: Option<Prefix>,
        limit: usize,
        mut wanted: impl FnMut(PrefixId, Prefix) -> bool,
    ) -> (Vec<(Prefix, PrefixId)>, bool) {
        let limit = limit.max(1);
        let mut found: Vec<(Prefix, PrefixId)> = Vec::new();
        let mut more = false;
        for id in self.iter() {
            let prefix = self.prefix(id);
            if after.is_some_and(|after| prefix <= after) || !wanted(id, prefix) {
                continue;
            }
            found.push((prefix, id));
            // Keeps the smallest `limit` at a cost linear in the table, whatever the table's size.
            if found.len() >= limit.saturating_mul(2).saturating_add(64) {
                found.select_nth_unstable(limit);
                found.truncate(limit);
                more = true;
            }
        }
        found.sort_unstable();
        more |= found.len() > limit;
        found.truncate(limit);
        (found, more)
    }

    #[inline]
    fn hash(&self, key: Key) -> u64 {
        self.hasher.hash_one(key)
    }
}

/// A prefix in the form that is stored and hashed.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Key {
    V4(u64),
    V6(u64, u64, u8),
}

impl Key {
    #[inline]
    fn of(prefix: Prefix, keys: &Keys) -> Option<Self> {
        match (prefix, keys) {
            (Prefix::V4(net), Keys::V4(_)) => Some(Self::V4(
                (u64::from(net.addr().to_bits()) << 8) | u64::from(net.prefix_len()),
            )),
            (Prefix::V6(net), Keys::V6(_)) => {
                let bits = net.addr().to_bits();
                Some(Self::V6((bits >> 64) as u64, bits as u64, net.prefix_len()))
            }
            _ => None,
        }
    }

    const fn free(keys: &Keys) -> Self {
        match keys {
            Keys::V4(_) => Self::V4(FREE_LENGTH as u64),
            Keys::V6(_) => Self::V6(0, 0, FREE_LENGTH),
        }
    }

    #[inline]
    const fn length(self) -> u8 {
        match self {
            Self::V4(packed) => packed as u8,
            Self::V6(_, _, length) => length,
        }
    }

    fn prefix(self) -> Prefix {
        let (address, length) = match self {
            Self::V4(packed) => (
                IpAddr::V4(Ipv4Addr::from_bits((packed >> 8) as u32)),
                packed as u8,
            ),
            Self::V6(high, low, length) => (
                IpAddr::V6(Ipv6Addr::from_bits((u128::from(high) << 64) | u128::from(low))),
                length,
            ),
        };
        Prefix::new(address, length).expect("only valid prefixes are stored")
    }
}

impl Hash for Key {
    #[inline]
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        match self {
            Self::V4(packed) => state.write_u64(*packed),
            Self::V6(high, low, length) => {
                state.write_u64(*high);
                state.write_u64(*low);
                state.write_u8(*length);
            }
        }
    }
}

impl Keys {
    const fn len(&self) -> usize {
        match self {
            Self::V4(keys) => keys.len(),
            Self::V6(keys) => keys.len(),
        }
    }

    #[inline]
    fn at(&self, id: u32) -> Key {
        match self {
            Self::V4(keys) => Key::V4(keys[id as usize]),
            Self::V6(keys) => {
                let (high, low, length) = keys[id as usize];
                Key::V6(high, low, length)
            }
        }
    }

    fn set(&mut self, id: PrefixId, key: Key) {
        match (self, key) {
            (Self::V4(keys), Key::V4(packed)) => put(keys, id, packed),
            (Self::V6(keys), Key::V6(high, low, length)) => put(keys, id, (high, low, length)),
            _ => {}
        }
    }
}

fn put<T>(keys: &mut Vec<T>, id: PrefixId, value: T) {
    match keys.get_mut(id.index()) {
        Some(place) => *place = value,
        None => keys.push(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn ids_are_dense_and_recycled() {
        let mut table = PrefixTable::new(false, 7);
        let ids: Vec<_> = (0..1000u32)
            .map(|n| {
                table
                    .insert(Prefix::new(IpAddr::V4((n << 8).into()), 24).unwrap())
                    .unwrap()
            })
            .collect();
        assert_eq!(
            ids.iter().map(|id| id.0).collect::<Vec<_>>(),
            (0..1000).collect::<Vec<_>>()
        );
        table.remove(ids[17]);
        assert!(!table.is_used(ids[17]));
        assert_eq!(table.find(prefix("0.0.17.0/24")), None);
        assert_eq!(table.insert(prefix("10.0.0.0/8")), Some(ids[17]));
        assert_eq!(table.prefix(ids[17]), prefix("10.0.0.0/8"));
        assert_eq!((table.count(), table.bound()), (1000, 1000));
    }

    #[test]
    fn families_do_not_mix_and_ipv6_round_trips() {
        let mut table = PrefixTable::new(true, 7);
        assert_eq!(table.insert(prefix("10.0.0.0/8")), None);
        for text in ["::/0", "2001:db8::/32", "2001:db8::1/128", "fd00::/8"] {
            let id = table.insert(prefix(text)).unwrap();
            assert_eq!(table.prefix(id), prefix(text));
            assert_eq!(table.find(prefix(text)), Some(id));
        }
    }

    #[test]
    fn longest_match_comes_first() {
        let mut table = PrefixTable::new(false, 7);
        for text in [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.1.0.0/16",
            "10.1.2.3/32",
            "11.0.0.0/8",
        ] {
            table.insert(prefix(text));
        }
        let found: Vec<_> = table
            .covering([10, 1, 2, 4].into())
            .map(|(_, prefix)| prefix.to_string())
            .collect();
        assert_eq!(found, ["10.1.0.0/16", "10.0.0.0/8", "0.0.0.0/0"]);
    }

    #[test]
    fn pages_are_sorted_and_complete() {
        let mut table = PrefixTable::new(false, 7);
        for n in (0..500u32).rev() {
            table.insert(Prefix::new(IpAddr::V4(n.wrapping_mul(0x9e37_79b9).into()), 32).unwrap());
        }
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let (page, more) = table.page(after, 7, |_, _| true);
            all.extend(page.iter().map(|(prefix, _)| *prefix));
            after = all.last().copied();
            if !more {
                break;
            }
        }
        let mut sorted: Vec<_> = table.iter().map(|id| table.prefix(id)).collect();
        sorted.sort_unstable();
        assert_eq!(all, sorted);
    }
}
