//! The pure kernel edge: what is wanted, what the kernel says, and what follows for the kernel, the RIB and the importer.
//!
//! No I/O and no clock. `task.rs` drives it: it passes on inputs, runs the dumps and operations that are polled, and hands
//! over the reports. Nothing is asked of the kernel before its tables have been read once, and no operation runs while a
//! dump does, so that a dump never shows half of our own work.

mod dumps;
mod reading;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bgp_codec::{Afi, Family};

use self::dumps::{ADDRESSES, Dumps, LINKS, NEXTHOPS, ROUTES, Scope};
use self::reading::Running;
use super::fib::{Counts, Fib, FibKey, Operation, Surroundings, View};
use super::mirror::{Key, Mirror};
use super::next_hops::{Lookup, NextHops};
use super::settings::Settings;
use super::wire::{Address, Link, Message, Nexthop, Route, Verb};
use crate::rib::interface::{FibChange, Reachability};
use crate::route::{KernelTableChange, Prefix, TableId};

/// The protocol number whose routes are never imported where configuration names none.
pub(crate) const DEFAULT_PROTOCOL: u8 = 179;
/// After a silent loss the kernel is asked this much later: it announces a link before it drops the routes.
const VERIFY_AFTER: Duration = Duration::from_millis(50);
/// A dump that was interrupted by changes is repeated after this.
const INTERRUPTED_AFTER: Duration = Duration::from_millis(5);
/// Overruns cause at most one full dump in this time.
const OVERRUN_INTERVAL: Duration = Duration::from_secs(1);
/// Everything is read again this often, in case something was missed.
const AUDIT_INTERVAL: Duration = Duration::from_secs(600);
/// Changes waiting for the importer before they are replaced by one full set.
const MAX_TABLE_CHANGES: usize = 65_536;

/// The kernel edge without its sockets.
#[derive(Debug)]
pub(crate) struct Core {
    settings: Option<Settings>,
    /// Tables that configuration wants to import from, or to install into beside the one of `[kernel]`.
    imported: BTreeSet<TableId>,
    mirror: Mirror,
    next_hops: NextHops,
    fib: Fib,
    /// Dumps that have never run; the kernel's state is known when this is empty.
    unread: Option<BTreeSet<Scope>>,
    dumps: Dumps,
    running: Option<Running>,
    last_full: Option<Instant>,
    stale_after: Duration,
    stale_at: Option<Instant>,
    reachability: BTreeMap<IpAddr, Reachability>,
    table_changes: BTreeSet<Key>,
    full_table_due: bool,
    /// Somebody else's routes that changed, and what follows from them is to be found out.
    unsettled: BTreeSet<Key>,
}

impl Core {
    /// Nothing known. Routes of ours that nobody has spoken for go `stale_after` the first dump.
    pub(crate) fn new(
        settings: Option<Settings>,
        imported: BTreeSet<TableId>,
        stale_after: Duration,
    ) -> Self {
        Self {
            fib: Fib::new(settings.clone()),
            settings,
            imported,
            mirror: Mirror::default(),
            next_hops: NextHops::default(),
            unread: None,
            dumps: Dumps::default(),
            running: None,
            last_full: None,
            stale_after,
            stale_at: None,
            reachability: BTreeMap::new(),
            table_changes: BTreeSet::new(),
            full_table_due: false,
            unsettled: BTreeSet::new(),
        }
    }

    /// Asks for everything to be read; to be called first, and after the sockets were opened anew.
    pub(crate) fn read_all(&mut self, now: Instant) {
        let scopes = self.all_scopes();
        self.unread
            .get_or_insert_with(|| scopes.iter().copied().collect());
        self.last_full = Some(now);
        for scope in scopes {
            self.schedule(scope, now);
        }
    }

    /// The kernel lost notifications for us.
    pub(crate) fn overrun(&mut self, now: Instant) {
        let at = self
            .last_full
            .map_or(now, |last| now.max(last + OVERRUN_INTERVAL));
        self.last_full = Some(at);
        for scope in self.all_scopes() {
            self.schedule(scope, at);
        }
    }

    /// The wanted state of prefixes changed.
    pub(crate) fn change_routes(&mut self, changes: &[FibChange]) {
        for change in changes {
            self.fib.change(change, &mut self.next_hops, &self.mirror);
        }
        self.settle();
    }

    /// Everything wanted in this family has been put out.
    pub(crate) fn family_complete(&mut self, family: Family) {
        self.fib.family_complete(family.afi == Afi::IPV6);
    }

    /// The RIB asks about next hops.
    pub(crate) fn track(&mut self, track: Vec<IpAddr>, untrack: Vec<IpAddr>) {
        for address in &untrack {
            self.reachability.remove(address);
        }
        self.next_hops.untrack(untrack);
        self.next_hops.track(track);
        self.settle();
    }

    /// This node begins or ceases to originate these prefixes.
    pub(crate) fn change_own(&mut self, added: &[Prefix], removed: &[Prefix]) {
        self.fib.change_own(added, removed);
        self.settle();
    }

    /// Replaces the set of discard routes.
    pub(crate) fn set_discard(&mut self, prefixes: BTreeSet<Prefix>) {
        self.fib.set_discard(prefixes);
        self.settle();
    }

    /// Takes over other settings and other tables to import from.
    pub(crate) fn reconfigure(
        &mut self,
        settings: Option<Settings>,
        imported: BTreeSet<TableId>,
        now: Instant,
    ) {
        let (before, protocol) = (self.tables(), self.own_protocol());
        self.fib.reconfigure(settings.clone());
        self.settings = settings;
        self.imported = imported;
        let after = self.tables();
        self.mirror.retain_tables(&after);
        // Whose routes are ours is a matter of their protocol.
        let all_new = protocol != self.own_protocol();
        for table in after.iter().filter(|table| all_new || !before.contains(table)) {
            for ipv6 in [false, true] {
                self.schedule((ROUTES, *table, ipv6, None), now);
            }
        }
        self.gateways_changed(None);
        self.next_hops.all_changed();
        self.settle();
    }

    /// All routes of ours are to go.
    pub(crate) fn leave(&mut self) {
        self.fib.leave();
    }

    /// A notification. The importer can be told of a route before anything else follows from it: that is for [`Core::tick`].
    pub(crate) fn notified(&mut self, message: Message, now: Instant) {
        if let Message::Route(verb, flags, route) = message {
            self.route(verb, flags, route);
            return self.note_changes();
        }
        self.settle();
        match message {
            Message::Link(verb, link) => self.link(verb, link, now),
            Message::Address(verb, address) => self.address(verb, address, now),
            Message::Nexthop(verb, nexthop) => self.nexthop(verb, &nexthop, now),
            Message::Overrun => self.overrun(now),
            Message::Route(..) | Message::Answer { .. } | Message::Done(_) | Message::Other => {}
        }
        self.settle();
    }

    /// Appends up to `limit` operations; each must be answered with [`Core::done`].
    pub(crate) fn poll_operations(&mut self, limit: usize, now: Instant, operations: &mut Vec<Operation>) {
        if !self.is_ready() || self.running.is_some() {
            return;
        }
        while operations.len() < limit
            && let Some(operation) = self.fib.poll_operation(View {
                mirror: &self.mirror,
                now,
            })
        {
            operations.push(operation);
        }
        self.settle();
    }

    /// The kernel's answers, positive errno for failures.
    pub(crate) fn done(&mut self, operations: &[Operation], results: &[Result<(), i32>], now: Instant) {
        for (operation, result) in operations.iter().zip(results) {
            self.fib.done(
                operation,
                *result,
                View {
                    mirror: &self.mirror,
                    now,
                },
            );
        }
        if self.fib.take_surprised() {
            self.verify_all(now);
        }
        self.settle();
    }

    /// Next hops whose reachability changed.
    pub(crate) fn poll_reachability(&mut self) -> Vec<(IpAddr, Reachability)> {
        std::mem::take(&mut self.reachability).into_iter().collect()
    }

    /// Whether [`Core::poll_reachability`] has something.
    pub(crate) fn has_reachability(&self) -> bool {
        !self.reachability.is_empty()
    }

    /// The next change for the importer.
    pub(crate) fn poll_table_change(&mut self) -> Option<KernelTableChange> {
        if !self.is_ready() {
            return None;
        }
        if std::mem::take(&mut self.full_table_due) {
            self.table_changes.clear();
            return Some(KernelTableChange::Full(self.mirror.kernel_routes()));
        }
        let key = self.table_changes.pop_first()?;
        let (table, prefix, metric) = key;
        Some(match self.mirror.kernel_route(key) {
            Some(route) => KernelTableChange::Added(route),
            None => KernelTableChange::Removed {
                table,
                prefix,
                metric,
            },
        })
    }

    /// Whether [`Core::poll_table_change`] has something.
    pub(crate) fn has_table_change(&self) -> bool {
        self.is_ready() && (self.full_table_due || !self.table_changes.is_empty())
    }

    /// Hands the whole set to the importer again.
    pub(crate) fn repeat_table(&mut self) {
        self.full_table_due = true;
    }

    /// When [`Core::tick`], a dump or an operation is due.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let dump = self.dumps.next_deadline();
        let audit = self.last_full.map(|last| last + AUDIT_INTERVAL);
        let retry = self.fib.next_deadline().filter(|_| self.is_ready());
        [dump, audit, retry, self.stale_at].into_iter().flatten().min()
    }

    /// Does what has become due, and what follows from notifications about routes.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.settle();
        if self.stale_at.is_some_and(|at| at <= now) {
            self.stale_at = None;
            self.fib.family_complete(false);
            self.fib.family_complete(true);
        }
        if self.last_full.is_some_and(|last| last + AUDIT_INTERVAL <= now) {
            self.read_all(now);
        }
    }

    /// The kernel's state has been read once.
    pub(crate) fn is_ready(&self) -> bool {
        self.unread.as_ref().is_some_and(BTreeSet::is_empty)
    }

    /// How many routes are in which state.
    pub(crate) fn counts(&self) -> Counts {
        self.fib.counts()
    }

    /// How many routes the kernel refused last time they were tried.
    pub(crate) fn failed_count(&self) -> usize {
        self.fib.failed_count()
    }

    /// How many next hops are watched.
    pub(crate) fn next_hop_count(&self) -> usize {
        self.next_hops.len()
    }

    /// How many routes the kernel holds of ours: IPv4, IPv6.
    pub(crate) fn held_count(&self) -> [usize; 2] {
        self.fib.held_count()
    }

    /// Changes whenever what the kernel holds of ours does.
    pub(crate) fn held_version(&self) -> u64 {
        self.fib.held_version()
    }

    /// What the kernel holds of ours in a family.
    pub(crate) fn held(&self, ipv6: bool) -> Vec<(FibKey, u32)> {
        self.fib.held(ipv6)
    }

    /// A peer's session is gone, or all that followed from that is done: see [`Fib::set_suspect`].
    pub(crate) fn set_suspect(&mut self, next_hop: IpAddr, suspect: bool, now: Instant) {
        let around = Surroundings {
            next_hops: &self.next_hops,
            mirror: &self.mirror,
        };
        self.fib.set_suspect(next_hop, suspect, around, now);
        self.settle();
    }

    /// A prefix in the operator's words; nothing without `[kernel]`, when nobody asks the kernel for anything.
    pub(crate) fn describe(&self, prefix: Prefix) -> Option<String> {
        self.settings.as_ref()?;
        self.fib.describe(prefix, &self.mirror)
    }

    /// `rtm_protocol` of our routes.
    pub(crate) fn own_protocol(&self) -> u8 {
        self.settings
            .as_ref()
            .map_or(DEFAULT_PROTOCOL, |settings| settings.protocol)
    }

    fn route(&mut self, verb: Verb, flags: u16, route: Route) {
        if !self.watches(route.table) || route.tos != 0 {
            return;
        }
        if !self.fib.is_ours(&route) {
            self.mirror.route(verb, flags, route);
            return;
        }
        // Ours in the place of somebody else's: theirs is gone.
        let key = (route.table, route.prefix, route.metric);
        if verb == Verb::New && flags & super::wire::flags::APPEND == 0 {
            self.mirror.evict(key);
        }
        if self.settings.is_some() {
            self.fib.observe(verb, &route);
        }
    }

    fn link(&mut self, verb: Verb, link: Link, now: Instant) {
        let index = link.index;
        let may_lose_routes = (verb == Verb::Delete || !link.up) && self.uses_interface(index);
        let change = self.mirror.link(verb, link);
        if change.deleted || change.went_down {
            self.fib.interface_died(index, change.deleted, &self.mirror);
        }
        if change.deleted {
            self.dumps.forget_interface(index);
        } else if change.went_down && may_lose_routes {
            self.verify(index, now);
        }
        if change.usable_changed {
            if !self.mirror.is_usable(index) && self.fib.objects_died(index) {
                self.verify_all(now);
            }
            self.next_hops.interface_changed(index);
            self.gateways_changed(None);
        }
    }

    fn nexthop(&mut self, verb: Verb, nexthop: &Nexthop, now: Instant) {
        let own_protocol = self.own_protocol();
        let ours = self.fib.nexthop(verb, nexthop, own_protocol);
        // Routes follow a nexthop object silently: they go with it, and change with it.
        let others = self.mirror.uses_nexthop(nexthop.id);
        if others && verb == Verb::Delete {
            self.mirror.drop_nexthop(nexthop.id);
        }
        if ours || others {
            self.verify_all(now);
        }
    }

    fn gateways_changed(&mut self, changed: Option<&BTreeSet<IpAddr>>) {
        let around = Surroundings {
            next_hops: &self.next_hops,
            mirror: &self.mirror,
        };
        self.fib.gateways_changed(changed, around);
    }

    fn address(&mut self, verb: Verb, address: Address, now: Instant) {
        let may_lose_routes = verb == Verb::Delete && self.uses_interface(address.interface);
        let suspects = self.mirror.address(verb, address);
        self.next_hops.address_changed(address.local);
        for interface in suspects.into_iter().filter(|_| may_lose_routes) {
            self.verify(interface, now);
        }
        let settings = self.settings.as_ref();
        if settings.is_some_and(|settings| settings.is_source(address.local)) {
            // Without the address the kernel keeps no route that names it as source, and takes none.
            match verb {
                Verb::Delete => self.verify_all(now),
                Verb::New => self.fib.retry_failed(),
            }
        }
    }

    fn uses_interface(&self, interface: u32) -> bool {
        self.mirror.uses_interface(interface) || self.fib.uses_interface(interface)
    }

    /// Has the kernel asked which routes are left on an interface: not at once, because it announces a link or an address
    /// before it drops the routes, and would still show them.
    fn verify(&mut self, interface: u32, now: Instant) {
        for (table, ipv6) in self.route_scopes() {
            self.schedule((ROUTES, table, ipv6, Some(interface)), now + VERIFY_AFTER);
        }
    }

    /// Has the kernel asked what is there, of nexthop objects and of routes.
    fn verify_all(&mut self, now: Instant) {
        self.schedule(NEXTHOPS, now + VERIFY_AFTER);
        for (table, ipv6) in self.route_scopes() {
            self.schedule((ROUTES, table, ipv6, None), now + VERIFY_AFTER);
        }
    }

    /// What somebody else's routes have become is for the importer.
    fn note_changes(&mut self) {
        if !self.is_ready() {
            return;
        }
        for key in self.mirror.take_changed() {
            self.unsettled.insert(key);
            self.table_changes.insert(key);
        }
        if self.table_changes.len() > MAX_TABLE_CHANGES {
            self.table_changes.clear();
            self.full_table_due = true;
        }
    }

    /// Carries changes through until nothing follows from them.
    fn settle(&mut self) {
        if !self.is_ready() {
            return;
        }
        loop {
            for prefix in self.fib.take_resolution_changed() {
                self.next_hops.prefix_changed(prefix);
            }
            self.note_changes();
            for key in std::mem::take(&mut self.unsettled) {
                self.next_hops.prefix_changed(key.1);
                self.fib.stranger_changed((key.0, key.1));
            }
            let lookup = self.lookup();
            let changes = self.next_hops.update(lookup, &self.mirror, &self.fib);
            self.reachability.extend(changes.reachability);
            if changes.gateways.is_empty() {
                return;
            }
            self.gateways_changed(Some(&changes.gateways));
        }
    }

    fn lookup(&self) -> Lookup {
        match &self.settings {
            Some(settings) => Lookup {
                table: settings.table,
                via_default: settings.next_hop_via_default,
            },
            None => Lookup {
                table: TableId::MAIN,
                via_default: true,
            },
        }
    }

    fn tables(&self) -> BTreeSet<TableId> {
        let mut tables = self.imported.clone();
        tables.insert(TableId::MAIN);
        tables.extend(self.settings.as_ref().map(|settings| settings.table));
        tables.extend(self.fib.tables());
        tables
    }

    /// Whether the table is one of [`Core::tables`].
    fn watches(&self, table: TableId) -> bool {
        let is_default = || {
            self.settings
                .as_ref()
                .is_some_and(|settings| settings.table == table)
        };
        table == TableId::MAIN
            || is_default()
            || self.imported.contains(&table)
            || self.fib.tables().contains(&table)
    }

    fn route_scopes(&self) -> Vec<(TableId, bool)> {
        self.tables()
            .into_iter()
            .flat_map(|table| [(table, false), (table, true)])
            .collect()
    }

    fn all_scopes(&self) -> Vec<Scope> {
        let mut scopes = vec![LINKS, ADDRESSES, NEXTHOPS];
        scopes.extend(
            self.route_scopes()
                .into_iter()
                .map(|(table, ipv6)| (ROUTES, table, ipv6, None)),
        );
        scopes
    }

    fn schedule(&mut self, scope: Scope, at: Instant) {
        self.dumps.schedule(scope, at);
    }
}

#[cfg(test)]
mod tests;
