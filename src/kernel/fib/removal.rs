//! Many routes that go at once: with one request, if they share a nexthop object that nobody wants any more.
//!
//! The kernel takes every route along that refers to an object that goes, in one pass over its table; asked for each of
//! 200,000 it takes twenty times as long. So while a peer that is gone is being taken back prefix by prefix, what shares
//! an object with many others waits, for a moment at most, and then it is known whether all of them go.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::Fib;
use super::entries::{Entry, Slot};
use super::ways::WayId;

/// From so many routes on, one request for all of them is sought.
const MANY: u32 = 256;
/// Nothing waits longer than this for what else goes.
const PATIENCE: Duration = Duration::from_secs(1);

/// Removals that wait for others.
#[derive(Debug, Default)]
pub(super) struct Withheld {
    slots: Vec<Slot>,
    until: Option<Instant>,
    /// Ways that others still need, looked at since the queue was last empty.
    needed: BTreeSet<WayId>,
}

impl Withheld {
    /// When waiting ends.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Their objects cannot go: each route is asked for.
    pub(super) fn refuse(&mut self, ways: &[WayId]) {
        self.needed.extend(ways);
    }

    /// What could not go as a whole is looked at anew when there is something new.
    pub(super) fn forget_refusals(&mut self) {
        self.needed.clear();
    }
}

impl Fib {
    /// A peer is gone: what goes with it is collected.
    pub(super) fn withhold(&mut self, now: Instant) {
        self.withheld.until.get_or_insert(now + PATIENCE);
    }

    /// All that was to go is known, or has waited long enough.
    pub(super) fn release_withheld(&mut self) {
        self.withheld.until = None;
        for slot in std::mem::take(&mut self.withheld.slots) {
            self.enqueue(slot);
        }
    }

    /// Whether a route that is to go need not be asked for by itself: it waits for others, or its nexthop object goes.
    pub(super) fn goes_with_others(&mut self, slot: Slot, way: WayId) -> bool {
        if self.ways.sharers(way) < MANY || self.withheld.needed.contains(&way) {
            return false;
        }
        if self.withheld.until.is_some() {
            self.withheld.slots.push(slot);
            return true;
        }
        if self.ways.is_gone(way) {
            // Asked for; the answer settles this one as well.
            return true;
        }
        let stays = |entry: &Entry| entry.held.iter().any(|held| held.way == way) && !self.is_doomed(entry);
        if self.entries.iter().any(|(_, entry)| stays(&entry)) || !self.ways.remove_whole(way) {
            self.withheld.needed.insert(way);
            return false;
        }
        true
    }

    /// Whether everything that is held for the entry is to go.
    fn is_doomed(&self, entry: &Entry) -> bool {
        let [ipv4_complete, ipv6_complete] = self.complete;
        let complete = if entry.key.1.addr().is_ipv6() {
            ipv6_complete
        } else {
            ipv4_complete
        };
        if !entry.decided && !complete && !self.leaving {
            return false;
        }
        !entry.is_wanted() || !self.installs()
    }
}
