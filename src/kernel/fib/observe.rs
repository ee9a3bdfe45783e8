//! What the kernel says of our routes: at start, in dumps, and when somebody else changed them.

use super::entries::{Held, Slot};
use super::ways::WayId;
use super::{Fib, FibKey};
use crate::kernel::mirror::Mirror;
use crate::kernel::wire::{Hops, Nexthop, Route, Verb};
use crate::route::{KernelRouteKind, TableId};

/// Which routes of ours a dump has shown.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// By slot.
    slots: Vec<bool>,
    /// With their metrics, where a key has several.
    several: Vec<(Slot, u32)>,
}

impl Fib {
    /// The kernel says that a route of ours came or went, and it was not we who asked.
    pub(crate) fn observe(&mut self, verb: Verb, route: &Route) {
        let key = (route.table, route.prefix);
        match verb {
            Verb::New => {
                let (slot, held) = (self.ensure(key), self.held_as(route));
                self.hold(slot, held);
                self.enqueue(slot);
            }
            Verb::Delete => {
                if let Some(slot) = self.entries.find(key) {
                    self.drop_held(slot, route.metric);
                    self.enqueue(slot);
                }
            }
        }
    }

    /// A route of ours that a dump shows: it is held. What the dump does not show is for [`Fib::drop_unseen`].
    pub(crate) fn seen(&mut self, route: &Route, seen: &mut Seen) {
        let (slot, held) = (self.ensure((route.table, route.prefix)), self.held_as(route));
        let Some(entry) = self.entries.get(slot) else {
            return;
        };
        if entry.held.at(held.metric) != Some(held) {
            self.hold(slot, held);
            self.enqueue(slot);
        }
        if seen.slots.len() <= slot.index() {
            seen.slots
                .resize(self.entries.bound().max(slot.index() + 1), false);
        }
        let Some(place) = seen.slots.get_mut(slot.index()) else {
            return;
        };
        let before = std::mem::replace(place, true);
        if entry.held.iter().any(|other| other.metric != held.metric) {
            // One that was alone when it was shown is not in the list yet.
            let first = entry.held.first().filter(|_| before && !entry.held.has_several());
            seen.several.extend(first.map(|first| (slot, first.metric)));
            seen.several.push((slot, held.metric));
        }
    }

    /// Drops what a dump of a table and family (perhaps only through one interface) should have shown and did not.
    pub(crate) fn drop_unseen(
        &mut self,
        (table, ipv6, interface): (TableId, bool, Option<u32>),
        mut seen: Seen,
    ) {
        seen.several.sort_unstable();
        let mut gone: Vec<(FibKey, Slot, u32)> = Vec::new();
        for (slot, entry) in self.entries.iter() {
            if entry.key.0 != table || entry.key.1.addr().is_ipv6() != ipv6 {
                continue;
            }
            let is_shown = seen.slots.get(slot.index()).copied().unwrap_or_default();
            let several = entry.held.has_several();
            for held in entry.held.iter() {
                let there =
                    is_shown && (!several || seen.several.binary_search(&(slot, held.metric)).is_ok());
                let hops = self.ways.content(held.way);
                let in_scope =
                    interface.is_none_or(|interface| hops.iter().any(|hop| hop.interface == interface));
                if !there && in_scope {
                    gone.push((entry.key, slot, held.metric));
                }
            }
        }
        gone.sort_unstable();
        for (_, slot, metric) in gone {
            self.drop_held(slot, metric);
            self.enqueue(slot);
        }
    }

    /// The kernel dropped routes through this interface without saying so; `deleted`: every IPv4 route that has a hop
    /// there. Nexthop objects there are gone in any case.
    pub(crate) fn interface_died(&mut self, interface: u32, deleted: bool, mirror: &Mirror) {
        if !self.ways.uses_interface(interface) {
            return;
        }
        let mut dead: Vec<(FibKey, Slot, u32)> = Vec::new();
        for (slot, entry) in self.entries.iter() {
            for held in entry.held.iter() {
                let hops = self.ways.content(held.way);
                let uses = hops.iter().any(|hop| hop.interface == interface);
                let own_hops = self.ways.nexthop_id(held.way) == 0;
                if uses && own_hops && (deleted && entry.key.1.addr().is_ipv4() || mirror.all_down(hops)) {
                    dead.push((entry.key, slot, held.metric));
                }
            }
        }
        dead.sort_unstable();
        for (_, slot, metric) in dead {
            self.drop_held(slot, metric);
            self.enqueue(slot);
        }
    }

    /// An interface cannot be used any more: the kernel drops its nexthop objects, and their routes, without a word.
    /// Whether there were any.
    pub(crate) fn objects_died(&mut self, interface: u32) -> bool {
        let changed = self.ways.interface_died(interface);
        self.ways_changed(&changed);
        !changed.is_empty()
    }

    /// What the kernel says of a nexthop object.
    pub(crate) fn nexthop(&mut self, verb: Verb, nexthop: &Nexthop, own_protocol: u8) -> bool {
        let changed = self.ways.observe(verb, nexthop, own_protocol);
        self.ways_changed(&changed);
        !changed.is_empty()
    }

    /// Replaces what is known of nexthop objects by what a dump showed.
    pub(crate) fn reconcile_nexthops(&mut self, seen: Vec<Nexthop>, own_protocol: u8) {
        let changed = self.ways.reconcile(seen, own_protocol);
        self.ways_changed(&changed);
    }

    /// Ways come to something else, or to nothing: then the routes that were told so are gone.
    pub(super) fn ways_changed(&mut self, changed: &[WayId]) {
        if changed.is_empty() {
            return;
        }
        let mut concerned: Vec<(FibKey, Slot, Held)> = Vec::new();
        let mut done: Vec<(Slot, u32)> = Vec::new();
        for (slot, entry) in self.entries.iter() {
            let held = entry.held.iter().filter(|held| changed.contains(&held.way));
            let nobody_waits = !entry.is_wanted() && !entry.busy && !entry.held.has_several();
            for held in held {
                if nobody_waits && self.ways.is_gone(held.way) {
                    done.push((slot, held.metric));
                } else {
                    concerned.push((entry.key, slot, held));
                }
            }
        }
        for (slot, metric) in done {
            self.drop_held(slot, metric);
            self.entries.remove(slot);
        }
        concerned.sort_unstable_by_key(|(key, slot, held)| (*key, *slot, held.metric));
        for (_, slot, held) in concerned {
            if self.ways.is_gone(held.way) {
                self.drop_held(slot, held.metric);
            }
            self.enqueue(slot);
        }
    }

    /// The kernel holds this.
    pub(super) fn hold(&mut self, slot: Slot, held: Held) {
        self.ways.retain(held.way);
        let before = self.edit(slot, |entry| entry.held.put(held));
        match before {
            Some(before) => self.ways.release(before.way),
            None => self.count_held(slot, true),
        }
    }

    /// The kernel does not hold this.
    pub(super) fn drop_held(&mut self, slot: Slot, metric: u32) {
        if let Some(held) = self.edit(slot, |entry| entry.held.take(metric)) {
            self.ways.release(held.way);
            self.count_held(slot, false);
        }
    }

    fn count_held(&mut self, slot: Slot, more: bool) {
        let ipv6 = self
            .entries
            .get(slot)
            .is_some_and(|entry| entry.key.1.addr().is_ipv6());
        self.held_version += 1;
        let [ipv4_count, ipv6_count] = &mut self.held;
        let count = if ipv6 { ipv6_count } else { ipv4_count };
        *count = if more { *count + 1 } else { count.saturating_sub(1) };
    }

    fn held_as(&mut self, route: &Route) -> Held {
        let hops = if route.kind == KernelRouteKind::Unicast {
            route.hops.clone()
        } else {
            Hops::new()
        };
        Held {
            metric: route.metric,
            way: self.ways.observed(route.nexthop_id, hops),
            stamp: self.stamps.of(route),
        }
    }

    /// Whether this is a route that we wrote, under the protocol of now or of before.
    pub(crate) fn is_ours(&self, route: &Route) -> bool {
        if route.protocol == self.stamps.stamp().protocol {
            return true;
        }
        let slot = self.entries.find((route.table, route.prefix));
        let held = slot.and_then(|slot| self.entries.get(slot)?.held.at(route.metric));
        held.is_some_and(|held| self.stamps.protocol(held.stamp) == route.protocol)
    }
}
