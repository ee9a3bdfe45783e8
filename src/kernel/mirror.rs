//! A picture of the kernel's links, addresses and routes, fed by dumps and notifications.
//!
//! Pure. Routes of our own protocol are not here: `fib` owns those. A dump is a reconciliation: what it shows is put
//! in, and what it should have shown and did not is taken out, so a dump at any time leaves the truth.
//!
//! Linux takes IPv4 routes away without a notification when their link goes down, their link is deleted or the address
//! that they prefer as source goes. The mirror applies the kernel's own rule at that event; the caller has the kernel
//! asked as well.

mod users;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use smallvec::SmallVec;

use self::users::{Concerned, Thing, Users};
use super::wire::{Address, Hop, Link, Route, Verb, flags};
use crate::route::{KernelRoute, Prefix, TableId};

/// Names a kernel route for the importer.
pub(crate) type Key = (TableId, Prefix, u32);

/// Prefix lengths run from 0 to 128.
const LENGTHS: usize = 129;

/// What the kernel holds, apart from what is ours.
#[derive(Debug, Default)]
pub(crate) struct Mirror {
    links: BTreeMap<u32, Link>,
    /// Keyed by interface and address.
    addresses: BTreeMap<(u32, IpAddr), Address>,
    tables: BTreeMap<(TableId, bool), Table>,
    changed: BTreeSet<Key>,
    users: Users,
}

/// Routes of one table and family.
#[derive(Debug)]
struct Table {
    /// In the order of their metrics.
    routes: BTreeMap<Prefix, SmallVec<[Route; 1]>>,
    /// How many prefixes there are of each length: longest match asks only for those that exist.
    lengths: [u32; LENGTHS],
}

impl Default for Table {
    fn default() -> Self {
        Self {
            routes: BTreeMap::new(),
            lengths: [0; LENGTHS],
        }
    }
}

/// What a change of a link or an address means for routes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct LinkChange {
    /// Routes through the interface may be usable now, or no longer.
    pub(crate) usable_changed: bool,
    /// The kernel drops every IPv4 route that has a hop there.
    pub(crate) deleted: bool,
    /// The kernel drops every route all of whose hops are on interfaces that are down.
    pub(crate) went_down: bool,
}

impl Mirror {
    /// Takes in a link, and applies what its going down or away does to routes.
    pub(crate) fn link(&mut self, verb: Verb, link: Link) -> LinkChange {
        let index = link.index;
        let mut change = LinkChange::default();
        match verb {
            Verb::Delete => {
                if self.links.remove(&index).is_some() {
                    change = LinkChange {
                        usable_changed: true,
                        deleted: true,
                        went_down: false,
                    };
                }
                self.addresses.retain(|&(interface, _), _| interface != index);
            }
            Verb::New => {
                let is_up = link.up;
                let is_usable = link.is_usable();
                let name = Arc::clone(&link.name);
                let before = self.links.insert(index, link);
                change.usable_changed = before
                    .as_ref()
                    .is_none_or(|before| before.is_usable() != is_usable);
                change.went_down = before.as_ref().is_some_and(|before| before.up && !is_up);
                if before.is_some_and(|before| before.name != name) {
                    self.touch_interface(index);
                }
            }
        }
        if change.deleted || change.went_down {
            self.drop_dead(Thing::Interface(index), |mirror, route| {
                let uses = route.hops.iter().any(|hop| hop.interface == index);
                uses && (change.deleted && route.prefix.addr().is_ipv4() || mirror.all_down(&route.hops))
            });
        }
        change
    }

    /// Takes in an address; the interfaces whose routes the kernel may have dropped without saying so.
    pub(crate) fn address(&mut self, verb: Verb, address: Address) -> BTreeSet<u32> {
        let key = (address.interface, address.local);
        let mut suspects = BTreeSet::new();
        match verb {
            Verb::New => {
                self.addresses.insert(key, address);
            }
            Verb::Delete if self.addresses.remove(&key).is_some() => {
                suspects.insert(address.interface);
                self.drop_for_source(address.local, &mut suspects);
                // Without any IPv4 address an interface no longer does IPv4: the kernel treats it as down.
                let is_last = !self
                    .addresses_of(address.interface)
                    .any(|other| other.local.is_ipv4());
                if address.local.is_ipv4() && is_last {
                    self.drop_ipv4_of(address.interface);
                }
            }
            Verb::Delete => {}
        }
        suspects
    }

    /// Takes in a route that is not ours.
    pub(crate) fn route(&mut self, verb: Verb, header_flags: u16, route: Route) {
        if route.tos != 0 {
            return;
        }
        let (key, prefix) = (key_of(&route), route.prefix);
        let table = (route.table, prefix.addr().is_ipv6());
        let table = self.tables.entry(table).or_default();
        let before = table.routes.get(&prefix).cloned().unwrap_or_default();
        let changed = match verb {
            Verb::New => table.insert(route, header_flags),
            Verb::Delete => table.remove(&route),
        };
        if changed {
            before.iter().for_each(|route| self.users.remove(route));
            let after = table.routes.get(&prefix).into_iter().flatten();
            after.for_each(|route| self.users.add(route));
            self.changed.insert(key);
        }
    }

    /// Keys of routes that came, changed or went since the last call.
    pub(crate) fn take_changed(&mut self) -> BTreeSet<Key> {
        std::mem::take(&mut self.changed)
    }

    /// Forgets tables that nobody watches any more.
    pub(crate) fn retain_tables(&mut self, watched: &BTreeSet<TableId>) {
        let gone = self
            .tables
            .iter()
            .filter(|((table, _), _)| !watched.contains(table));
        for route in gone.flat_map(|(_, table)| table.routes.values().flatten()) {
            self.changed.insert(key_of(route));
            self.users.remove(route);
        }
        self.tables.retain(|(table, _), _| watched.contains(table));
    }

    /// Starts a reconciliation with a dump of links.
    pub(crate) fn link_indices(&self) -> BTreeSet<u32> {
        self.links.keys().copied().collect()
    }

    /// The addresses known, for a reconciliation.
    pub(crate) fn address_keys(&self) -> BTreeSet<(u32, IpAddr)> {
        self.addresses.keys().copied().collect()
    }

    /// Takes out links that a dump did not show; their indices.
    pub(crate) fn drop_links(&mut self, indices: &BTreeSet<u32>) {
        for index in indices {
            if let Some(link) = self.links.get(index).cloned() {
                self.link(Verb::Delete, link);
            }
        }
    }

    /// Takes out addresses that a dump did not show.
    pub(crate) fn drop_addresses(&mut self, keys: &BTreeSet<(u32, IpAddr)>) {
        for key in keys {
            if let Some(address) = self.addresses.get(key).copied() {
                self.address(Verb::Delete, address);
            }
        }
    }

    /// Replaces what is known of a table and family (perhaps only through one interface) by what a dump showed.
    pub(crate) fn reconcile(&mut self, table: TableId, ipv6: bool, interface: Option<u32>, seen: Vec<Route>) {
        let entry = self.tables.entry((table, ipv6)).or_default();
        let in_scope = |route: &Route| {
            interface.is_none_or(|interface| route.hops.iter().any(|hop| hop.interface == interface))
        };
        let mut fresh: BTreeMap<Prefix, SmallVec<[Route; 1]>> = BTreeMap::new();
        for route in seen.into_iter().filter(|route| route.tos == 0) {
            fresh.entry(route.prefix).or_default().push(route);
        }
        // Routes outside the scope stay as they are.
        let mut emptied = Vec::new();
        for (prefix, routes) in &mut entry.routes {
            let shown = fresh.remove(prefix).unwrap_or_default();
            if routes.iter().filter(|route| in_scope(route)).eq(&shown) {
                continue;
            }
            routes.iter().for_each(|route| self.users.remove(route));
            for route in routes
                .iter()
                .filter(|route| in_scope(route) && !shown.contains(route))
            {
                self.changed.insert(key_of(route));
            }
            for route in shown.iter().filter(|route| !routes.contains(route)) {
                self.changed.insert(key_of(route));
            }
            routes.retain(|route| !in_scope(route));
            // A route may have come into the scope from outside it: the dump is right.
            routes.retain(|route| !shown.iter().any(|new| new.metric == route.metric));
            routes.extend(shown);
            routes.sort_by_key(|route| route.metric);
            routes.iter().for_each(|route| self.users.add(route));
            if routes.is_empty() {
                emptied.push(*prefix);
            }
        }
        for prefix in emptied {
            entry.routes.remove(&prefix);
            entry.count(prefix, false);
        }
        for (prefix, mut routes) in fresh {
            self.changed.extend(routes.iter().map(key_of));
            routes.iter().for_each(|route| self.users.add(route));
            routes.sort_by_key(|route| route.metric);
            entry.routes.insert(prefix, routes);
            entry.count(prefix, true);
        }
    }

    /// Routes to exactly `prefix`, the preferred (lowest metric) first.
    pub(crate) fn at(&self, table: TableId, prefix: Prefix) -> &[Route] {
        let table = self.tables.get(&(table, prefix.addr().is_ipv6()));
        table
            .and_then(|table| table.routes.get(&prefix))
            .map_or(&[], |routes| routes)
    }

    /// Whoever holds exactly this route.
    pub(crate) fn holder(&self, (table, prefix, metric): Key) -> Option<&Route> {
        self.at(table, prefix).iter().find(|route| route.metric == metric)
    }

    /// Whether the table has a prefix of this length.
    pub(crate) fn has_length(&self, table: TableId, ipv6: bool, length: u8) -> bool {
        let table = self.tables.get(&(table, ipv6));
        table
            .and_then(|table| table.lengths.get(usize::from(length)))
            .is_some_and(|&count| count > 0)
    }

    /// The interface's name, or its number.
    pub(crate) fn link_name(&self, index: u32) -> Arc<str> {
        self.links
            .get(&index)
            .map_or_else(|| format!("if{index}").into(), |link| Arc::clone(&link.name))
    }

    /// Whether packets can leave through the interface.
    pub(crate) fn is_usable(&self, index: u32) -> bool {
        self.links.get(&index).is_some_and(Link::is_usable)
    }

    /// Whether some interface other than a loopback can carry link-local traffic of this family.
    pub(crate) fn has_usable_link(&self) -> bool {
        self.links.values().any(|link| link.is_usable() && !link.loopback)
    }

    /// Whether the address is one of this node's.
    pub(crate) fn is_local(&self, address: IpAddr) -> bool {
        self.addresses.values().any(|own| own.local == address)
    }

    /// All addresses of the node, by interface.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.addresses.values()
    }

    /// The route with this key in the importer's words.
    pub(crate) fn kernel_route(&self, key: Key) -> Option<KernelRoute> {
        self.holder(key).map(|route| self.describe(route))
    }

    /// Every route, in order, in the importer's words.
    pub(crate) fn kernel_routes(&self) -> Vec<KernelRoute> {
        let mut routes = Vec::new();
        for route in self
            .tables
            .values()
            .flat_map(|table| table.routes.values().flatten())
        {
            if routes
                .last()
                .is_none_or(|last: &KernelRoute| (last.table, last.prefix, last.metric) != key_of(route))
            {
                routes.push(self.describe(route));
            }
        }
        routes
    }

    /// Takes out whatever has this key: a route of ours took its place.
    pub(crate) fn evict(&mut self, key: Key) {
        if let Some(route) = self.holder(key).cloned() {
            self.route(Verb::Delete, 0, route);
        }
    }

    /// Whether any route leaves through this interface.
    pub(crate) fn uses_interface(&self, index: u32) -> bool {
        self.users.has(Thing::Interface(index))
    }

    /// Takes out the routes that refer to a nexthop object that is gone.
    pub(crate) fn drop_nexthop(&mut self, id: u32) {
        self.drop_dead(Thing::Nexthop(id), |_, route| route.nexthop_id == id);
    }

    /// Whether any route refers to this nexthop object.
    pub(crate) fn uses_nexthop(&self, id: u32) -> bool {
        self.users.has(Thing::Nexthop(id))
    }

    /// Whether all interfaces of these hops are down.
    pub(crate) fn all_down(&self, hops: &[Hop]) -> bool {
        !hops.is_empty()
            && hops
                .iter()
                .all(|hop| self.links.get(&hop.interface).is_none_or(|link| !link.up))
    }

    fn describe(&self, route: &Route) -> KernelRoute {
        let interface = route.hops.first().filter(|hop| hop.interface != 0);
        route.to_kernel_route(interface.map(|hop| self.link_name(hop.interface)))
    }

    fn addresses_of(&self, interface: u32) -> impl Iterator<Item = &Address> {
        self.addresses
            .values()
            .filter(move |address| address.interface == interface)
    }

    fn touch_interface(&mut self, index: u32) {
        let thing = Thing::Interface(index);
        let touched = self.concerned(thing, |route| route.hops.iter().any(|hop| hop.interface == index));
        self.changed.extend(touched.iter().map(key_of));
    }

    fn drop_for_source(&mut self, source: IpAddr, suspects: &mut BTreeSet<u32>) {
        let names_it = |route: &Route| route.preferred_source == Some(source);
        for route in self.concerned(Thing::Source(source), names_it) {
            suspects.extend(route.hops.iter().map(|hop| hop.interface));
            if source.is_ipv4() {
                self.route(Verb::Delete, 0, route);
            }
        }
    }

    fn drop_ipv4_of(&mut self, interface: u32) {
        self.drop_dead(Thing::Interface(interface), |_, route| {
            let on_it = route.hops.iter().all(|hop| hop.interface == interface);
            route.prefix.addr().is_ipv4() && !route.hops.is_empty() && on_it
        });
    }

    fn drop_dead(&mut self, thing: Thing, is_dead: impl Fn(&Self, &Route) -> bool) {
        for route in self.concerned(thing, |route| is_dead(self, route)) {
            self.route(Verb::Delete, 0, route);
        }
    }

    /// Routes that depend on something, of which those are meant for which `wanted` holds.
    fn concerned(&self, thing: Thing, wanted: impl Fn(&Route) -> bool) -> Vec<Route> {
        let mut found = Vec::new();
        match self.users.of(thing) {
            Concerned::These(keys) => {
                for (table, prefix, metric) in keys {
                    let routes = self.at(table, prefix).iter();
                    found.extend(
                        routes
                            .filter(|route| route.metric == metric && wanted(route))
                            .cloned(),
                    );
                }
            }
            Concerned::Any => {
                let routes = self
                    .tables
                    .values()
                    .flat_map(|table| table.routes.values().flatten());
                found.extend(routes.filter(|route| wanted(route)).cloned());
            }
        }
        found
    }
}

impl Table {
    /// Whether anything changed.
    ///
    /// IPv4 can hold several routes of one key (`ip route append`), each its own; IPv6 merges them into one route of
    /// several hops and reports the whole.
    fn insert(&mut self, route: Route, header_flags: u16) -> bool {
        let prefix = route.prefix;
        let routes = self.routes.entry(prefix).or_default();
        let is_first = routes.is_empty();
        let beside = route.prefix.addr().is_ipv4() && header_flags & flags::APPEND != 0;
        if routes.contains(&route) {
            return false;
        }
        match routes.iter_mut().find(|known| known.metric == route.metric) {
            Some(known) if !beside => *known = route,
            _ => {
                let place = routes
                    .iter()
                    .take_while(|known| known.metric <= route.metric)
                    .count();
                routes.insert(place, route);
            }
        }
        if is_first {
            self.count(prefix, true);
        }
        true
    }

    fn remove(&mut self, route: &Route) -> bool {
        let Some(routes) = self.routes.get_mut(&route.prefix) else {
            return false;
        };
        let same_key = |known: &Route| known.metric == route.metric;
        let exact = routes.iter().position(|known| known == route);
        let alike = || {
            routes
                .iter()
                .position(|known| same_key(known) && known.protocol == route.protocol)
        };
        let Some(index) = exact.or_else(alike) else {
            return false;
        };
        if let Some(known) = routes.get_mut(index) {
            // IPv6 reports the loss of one hop of several as the delete of a route with that hop.
            let left: SmallVec<[Hop; 1]> = known
                .hops
                .iter()
                .filter(|hop| !route.hops.contains(hop))
                .copied()
                .collect();
            let is_part =
                route.hops.len() < known.hops.len() && !left.is_empty() && left.len() < known.hops.len();
            if route.prefix.addr().is_ipv6() && is_part {
                known.hops = left;
                return true;
            }
        }
        routes.remove(index);
        if routes.is_empty() {
            self.routes.remove(&route.prefix);
            self.count(route.prefix, false);
        }
        true
    }

    fn count(&mut self, prefix: Prefix, more: bool) {
        if let Some(count) = self.lengths.get_mut(usize::from(prefix.prefix_len())) {
            *count = if more {
                count.saturating_add(1)
            } else {
                count.saturating_sub(1)
            };
        }
    }
}

fn key_of(route: &Route) -> Key {
    (route.table, route.prefix, route.metric)
}

#[cfg(test)]
mod tests;
