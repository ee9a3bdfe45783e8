//! Next hops that attribute sets refer to: which exist, which the kernel is asked about, and which can be used.
//!
//! An unresolvable next hop keeps a route out of the decision (RFC 4271 §9.1.2), and so do addresses that cannot be a next hop
//! at all and our own (§5.1.3).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use bgp_codec::NextHop;

use super::interface::Reachability;

/// Dense number of a next hop.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct NextHopId(u32);

impl NextHopId {
    /// The number, for a compact record.
    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    /// The next hop of a [`number`](Self::number).
    pub(crate) const fn from_number(number: u32) -> Self {
        Self(number)
    }
}

/// Why a next hop cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unusable {
    /// 0/8, 127/8, class D or E, `::`, `::1`, `ff00::/8`.
    Impossible,
    /// One of our own addresses.
    Own,
    /// The kernel has no route to it.
    Unreachable,
    /// The kernel has not answered yet.
    Unresolved,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Impossible => "next hop cannot be a host",
            Self::Own => "next hop is our own address",
            Self::Unreachable => "next hop is unreachable",
            Self::Unresolved => "next hop is not resolved yet",
        })
    }
}

#[derive(Debug)]
struct Entry {
    address: IpAddr,
    references: u32,
    reachability: Option<Reachability>,
    /// What follows from everything that is known.
    usable: Result<u32, Unusable>,
}

/// All next hops in use.
#[derive(Debug)]
pub(crate) struct NextHopTable {
    track: bool,
    ids: BTreeMap<IpAddr, NextHopId>,
    entries: Vec<Entry>,
    free: Vec<NextHopId>,
    /// Our own addresses, each with the number of sessions that use it.
    own: BTreeMap<IpAddr, u32>,
    /// What the kernel is asked to watch.
    told: BTreeSet<IpAddr>,
    /// Whose use began or ended since the kernel was last told.
    changed: BTreeSet<IpAddr>,
}

impl NextHopTable {
    pub(crate) const fn new(track: bool) -> Self {
        Self {
            track,
            ids: BTreeMap::new(),
            entries: Vec::new(),
            free: Vec::new(),
            own: BTreeMap::new(),
            told: BTreeSet::new(),
            changed: BTreeSet::new(),
        }
    }

    /// Takes one more reference to a next hop.
    pub(crate) fn acquire(&mut self, next_hop: NextHop) -> NextHopId {
        let address = next_hop.address();
        if let Some(id) = self.ids.get(&address) {
            self.entries[id.0 as usize].references += 1;
            return *id;
        }
        let entry = Entry {
            address,
            references: 1,
            reachability: None,
            usable: self.verdict(address, None),
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.entries[id.0 as usize] = entry;
                id
            }
            None => {
                self.entries.push(entry);
                NextHopId(u32::try_from(self.entries.len() - 1).expect("fewer than 2^32 next hops"))
            }
        };
        self.ids.insert(address, id);
        self.changed.insert(address);
        id
    }

    /// Gives a reference back.
    pub(crate) fn release(&mut self, id: NextHopId) {
        let entry = &mut self.entries[id.0 as usize];
        entry.references -= 1;
        if entry.references == 0 {
            // Freed when the kernel is told, so that a next hop that comes back at once keeps its answer.
            self.changed.insert(entry.address);
        }
    }

    /// Interior cost to the next hop, if it can be used.
    #[inline]
    pub(crate) fn usable(&self, id: NextHopId) -> Result<u32, Unusable> {
        self.entries[id.0 as usize].usable
    }

    /// Works out anew whether a next hop can be used.
    fn refresh(&mut self, id: NextHopId) {
        let entry = &self.entries[id.0 as usize];
        let usable = self.verdict(entry.address, entry.reachability);
        self.entries[id.0 as usize].usable = usable;
    }

    fn verdict(&self, address: IpAddr, reachability: Option<Reachability>) -> Result<u32, Unusable> {
        if !NextHop::from(address).is_host() {
            return Err(Unusable::Impossible);
        }
        if self.own.contains_key(&address) {
            return Err(Unusable::Own);
        }
        if !self.track || is_link_local(address) {
            return Ok(0);
        }
        match reachability {
            None => Err(Unusable::Unresolved),
            Some(Reachability::Unreachable) => Err(Unusable::Unreachable),
            Some(Reachability::Reachable { metric, .. }) => Ok(metric),
        }
    }

    /// The kernel has yet to speak of a next hop in use.
    pub(crate) fn has_unresolved(&self) -> bool {
        self.ids.values().any(|id| {
            self.entries[id.0 as usize].references > 0 && self.usable(*id) == Err(Unusable::Unresolved)
        })
    }

    /// Takes in what the kernel says; the id if something depends on it and it changed.
    pub(crate) fn update(&mut self, address: IpAddr, reachability: Reachability) -> Option<NextHopId> {
        let id = *self.ids.get(&address)?;
        let entry = &mut self.entries[id.0 as usize];
        let changed = entry.reachability.replace(reachability) != Some(reachability);
        self.refresh(id);
        changed.then_some(id)
    }

    /// A session uses this address of ours; the id if routes that use it as next hop must be decided again.
    pub(crate) fn add_own(&mut self, address: IpAddr) -> Option<NextHopId> {
        let uses = self.own.entry(address).or_insert(0);
        *uses += 1;
        if *uses > 1 {
            return None;
        }
        let id = self.ids.get(&address).copied();
        id.inspect(|id| self.refresh(*id))
    }

    /// The session ended.
    pub(crate) fn remove_own(&mut self, address: IpAddr) -> Option<NextHopId> {
        let uses = self.own.get_mut(&address)?;
        *uses -= 1;
        if *uses > 0 {
            return None;
        }
        self.own.remove(&address);
        let id = self.ids.get(&address).copied();
        id.inspect(|id| self.refresh(*id))
    }

    /// What to watch and what no longer to, since the last call; `None` if nothing changed.
    pub(crate) fn take_changes(&mut self) -> Option<(Vec<IpAddr>, Vec<IpAddr>)> {
        let (mut track, mut untrack) = (Vec::new(), Vec::new());
        for address in std::mem::take(&mut self.changed) {
            let id = self.ids.get(&address).copied();
            let used = id.is_some_and(|id| self.entries[id.0 as usize].references > 0);
            if let Some(id) = id.filter(|_| !used) {
                self.ids.remove(&address);
                self.free.push(id);
            }
            let wanted = self.track && used && NextHop::from(address).is_host() && !is_link_local(address);
            if wanted && self.told.insert(address) {
                track.push(address);
            } else if !wanted && self.told.remove(&address) {
                untrack.push(address);
            }
        }
        (!track.is_empty() || !untrack.is_empty()).then_some((track, untrack))
    }
}

/// Only the interface tells where a link-local address is; the kernel cannot be asked about it alone.
fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn use_is_told_once_and_taken_back() {
        let mut table = NextHopTable::new(true);
        let first = table.acquire(address("10.0.0.1").into());
        assert_eq!(table.acquire(address("10.0.0.1").into()), first);
        assert_eq!(table.take_changes(), Some((vec![address("10.0.0.1")], vec![])));
        table.release(first);
        assert_eq!(table.take_changes(), None);
        table.release(first);
        let again = table.acquire(address("10.0.0.1").into());
        assert_eq!(table.take_changes(), None);
        table.release(again);
        assert_eq!(table.take_changes(), Some((vec![], vec![address("10.0.0.1")])));
    }

    #[test]
    fn only_reachable_hosts_that_are_not_us_are_usable() {
        let mut table = NextHopTable::new(true);
        let id = table.acquire(address("10.0.0.1").into());
        assert_eq!(table.usable(id), Err(Unusable::Unresolved));
        assert_eq!(
            table.update(address("10.0.0.1"), Reachability::Unreachable),
            Some(id)
        );
        assert_eq!(table.usable(id), Err(Unusable::Unreachable));
        let reachable = Reachability::Reachable {
            metric: 20,
            connected: false,
        };
        assert_eq!(table.update(address("10.0.0.1"), reachable), Some(id));
        assert_eq!(table.update(address("10.0.0.1"), reachable), None);
        assert_eq!(table.usable(id), Ok(20));
        assert_eq!(table.add_own(address("10.0.0.1")), Some(id));
        assert_eq!(table.usable(id), Err(Unusable::Own));
        assert_eq!(table.remove_own(address("10.0.0.1")), Some(id));
        let loopback = table.acquire(address("127.0.0.1").into());
        assert_eq!(table.usable(loopback), Err(Unusable::Impossible));
        assert_eq!(table.take_changes(), Some((vec![address("10.0.0.1")], vec![])));
    }
}
