//! Entries as they lie in memory: 24 octets each for IPv4, 36 for IPv6. There are hundreds of thousands of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::{NonZeroU8, NonZeroU32};

use super::entries::{Entry, Held, Holdings};
use super::groups::GroupId;
use super::stamps::StampId;
use super::status::State;
use super::ways::WayId;
use crate::route::{Prefix, TableId};

/// Entries allocated at once.
const CHUNK: usize = 4_096;

const DISCARD: u8 = 1;
const BY_DEFAULT: u8 = 1 << 1;
const DECIDED: u8 = 1 << 2;
const BUSY: u8 = 1 << 3;
const QUEUED: u8 = 1 << 4;
/// The kernel holds more than one route of ours; the others are kept elsewhere.
const SEVERAL: u8 = 1 << 5;
/// Somebody lives there.
const LIVE: u8 = 1 << 6;

/// An address without what tells its family.
pub(super) trait Octets: Copy {
    /// With it.
    fn address(self) -> IpAddr;
}

impl Octets for [u8; 4] {
    fn address(self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(self))
    }
}

impl Octets for [u8; 16] {
    fn address(self) -> IpAddr {
        IpAddr::V6(Ipv6Addr::from(self))
    }
}

/// The number of a table; tables are few.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct TableNumber(u16);

/// Tables by number.
#[derive(Debug, Default)]
pub(super) struct Tables(Vec<TableId>);

impl Tables {
    /// The number of a table; none for one too many.
    pub(super) fn number(&mut self, table: TableId) -> Option<TableNumber> {
        if let Some(known) = self.find(table) {
            return Some(known);
        }
        let number = u16::try_from(self.0.len()).ok()?;
        self.0.push(table);
        Some(TableNumber(number))
    }

    /// The number of a table that has one.
    pub(super) fn find(&self, table: TableId) -> Option<TableNumber> {
        let place = self.0.iter().position(|known| *known == table)?;
        u16::try_from(place).ok().map(TableNumber)
    }

    /// As many as there can be, from 0 on.
    #[cfg(test)]
    pub(super) fn full() -> Self {
        Self((0..=u32::from(u16::MAX)).map(TableId).collect())
    }

    fn at(&self, number: TableNumber) -> TableId {
        self.0.get(usize::from(number.0)).copied().unwrap_or(TableId(0))
    }
}

/// An entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packed<A> {
    address: A,
    /// The group; 0 for none.
    wanted: u32,
    /// Of the first route that is held.
    metric: u32,
    way: u32,
    table: TableNumber,
    state: u16,
    /// 0 where none is held.
    stamp: u8,
    length: u8,
    attempts: u8,
    flags: u8,
}

impl<A: Octets> Packed<A> {
    pub(super) fn new(address: A, length: u8, table: TableNumber, entry: &Entry) -> Self {
        let mut packed = Self {
            address,
            wanted: 0,
            metric: 0,
            way: 0,
            table,
            state: 0,
            stamp: 0,
            length,
            attempts: 0,
            flags: LIVE,
        };
        packed.set(entry);
        packed
    }

    /// Takes over all but the key, and all but the first of the routes that are held.
    pub(super) fn set(&mut self, entry: &Entry) {
        let held = entry.held.first();
        self.wanted = entry.wanted.map_or(0, |group| group.0.get());
        self.metric = held.map_or(0, |held| held.metric);
        self.way = held.map_or(0, |held| held.way.0);
        self.stamp = held.map_or(0, |held| held.stamp.0.get());
        self.state = entry.state.to_code();
        self.attempts = entry.attempts;
        let flags = [
            (entry.discard, DISCARD),
            (entry.by_default, BY_DEFAULT),
            (entry.decided, DECIDED),
            (entry.busy, BUSY),
            (entry.queued, QUEUED),
            (entry.held.has_several(), SEVERAL),
        ];
        let set = flags.into_iter().filter(|(is_set, _)| *is_set);
        self.flags = set.fold(LIVE, |all, (_, flag)| all | flag);
    }

    /// As others see it; `more` yields the routes that are held beside the first.
    pub(super) fn get(&self, tables: &Tables, more: impl FnOnce() -> Vec<Held>) -> Entry {
        let first = NonZeroU8::new(self.stamp).map(|stamp| Held {
            metric: self.metric,
            way: WayId(self.way),
            stamp: StampId(stamp),
        });
        let is = |flag: u8| self.flags & flag != 0;
        let more = if is(SEVERAL) { more() } else { Vec::new() };
        Entry {
            key: (tables.at(self.table), self.prefix()),
            wanted: NonZeroU32::new(self.wanted).map(GroupId),
            held: Holdings::new(first, more),
            state: State::from_code(self.state),
            discard: is(DISCARD),
            by_default: is(BY_DEFAULT),
            decided: is(DECIDED),
            busy: is(BUSY),
            queued: is(QUEUED),
            attempts: self.attempts,
        }
    }

    pub(super) fn is_at(&self, table: TableNumber, prefix: Prefix) -> bool {
        self.table == table && self.prefix() == prefix
    }

    pub(super) fn table(&self, tables: &Tables) -> TableId {
        tables.at(self.table)
    }

    pub(super) fn prefix(&self) -> Prefix {
        let address = self.address.address();
        // The length came with the address.
        Prefix::new(address, self.length).unwrap_or_else(|_| Prefix::from(address))
    }

    pub(super) fn has_several(&self) -> bool {
        self.flags & SEVERAL != 0
    }

    /// Nobody lives here any more.
    pub(super) fn clear(&mut self) {
        self.flags = 0;
    }
}

/// Entries of one family, in chunks, so that none moves when there are more.
#[derive(Debug)]
pub(super) struct Slab<A> {
    chunks: Vec<Vec<Packed<A>>>,
    free: Vec<u32>,
}

impl<A> Default for Slab<A> {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<A: Octets> Slab<A> {
    /// Puts one in; its place.
    pub(super) fn put(&mut self, packed: Packed<A>) -> u32 {
        if let Some(place) = self.free.pop() {
            if let Some(at) = self.place_mut(place) {
                *at = packed;
            }
            return place;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let place = self.chunks.last_mut().map_or(0, |chunk| {
            chunk.push(packed);
            chunk.len() - 1
        });
        u32::try_from(before + place).unwrap_or(u32::MAX)
    }

    pub(super) fn get(&self, place: u32) -> Option<&Packed<A>> {
        let place = index(place);
        let packed = self.chunks.get(place / CHUNK)?.get(place % CHUNK);
        packed.filter(|packed| packed.flags & LIVE != 0)
    }

    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut Packed<A>> {
        self.place_mut(place).filter(|packed| packed.flags & LIVE != 0)
    }

    /// Forgets one that lives.
    pub(super) fn remove(&mut self, place: u32) {
        if let Some(packed) = self.get_mut(place) {
            packed.clear();
            self.free.push(place);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Packed<A>)> {
        let all = (0_u32..).zip(self.chunks.iter().flatten());
        all.filter(|(_, packed)| packed.flags & LIVE != 0)
    }

    /// Places are below this.
    pub(super) fn bound(&self) -> usize {
        self.chunks.len() * CHUNK
    }

    fn place_mut(&mut self, place: u32) -> Option<&mut Packed<A>> {
        let place = index(place);
        self.chunks.get_mut(place / CHUNK)?.get_mut(place % CHUNK)
    }
}

fn index(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_small() {
        assert_eq!(
            (size_of::<Packed<[u8; 4]>>(), size_of::<Packed<[u8; 16]>>()),
            (24, 36)
        );
    }

    #[test]
    fn nothing_of_an_entry_is_lost() {
        let mut tables = Tables::default();
        let held = |metric| Held {
            metric,
            way: WayId(7),
            stamp: StampId(NonZeroU8::MAX),
        };
        let states = [State::Pending, State::StandsAside, State::failed(libc::ENOSPC)];
        for (bits, state) in (0..32).zip(states.into_iter().cycle()) {
            let is = |bit: u8| bits & 1 << bit != 0;
            let entry = Entry {
                key: (TableId(100), "10.1.2.3/31".parse().unwrap()),
                wanted: NonZeroU32::new(u32::MAX).filter(|_| is(0)).map(GroupId),
                held: Holdings::new(is(1).then(|| held(200)), Vec::new()),
                state,
                discard: is(0),
                by_default: is(1),
                decided: is(2),
                busy: is(3),
                queued: is(4),
                attempts: bits,
            };
            let number = tables.number(TableId(100)).unwrap();
            let packed = Packed::new([10, 1, 2, 3], 31, number, &entry);
            assert_eq!(packed.get(&tables, Vec::new), entry);
            assert!(packed.is_at(number, entry.key.1));
        }
        let several = Entry {
            held: Holdings::new(Some(held(1)), vec![held(2)]),
            ..Entry::nobody()
        };
        let number = tables.number(TableId(5)).unwrap();
        let packed = Packed::new([0; 16], 0, number, &several);
        assert_eq!(packed.get(&tables, || vec![held(2)]).held, several.held);
        assert_eq!((packed.table(&tables), number), (TableId(5), TableNumber(1)));
    }
}
