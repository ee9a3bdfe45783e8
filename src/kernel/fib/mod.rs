//! The routes that we want in the kernel, those that it holds of ours, and the operations that lead from one to the other.
//!
//! Pure. One key is (table, prefix); at most one operation of a key is under way. Nothing that does not carry our protocol
//! is ever overwritten or deleted: routes are created with EXCL, replaced only where the kernel is known to hold ours, and
//! deletes name protocol, metric and table.
//!
//! ```text
//!            wanted, resolved            created            differs
//!   pending ──────────────────► create ───────────► installed ─────► replace ──► installed
//!     ▲  ▲                        │ EEXIST, errno       │ no longer wanted, or unreachable
//!     │  └── backoff ── rejected ◄┘                     └─────────────► delete ──► (gone)
//!     └───── the stranger's route went ──┘
//! ```
//!
//! | file | what it owns |
//! |---|---|
//! | `entries.rs` | one entry a key |
//! | `packed.rs` | entries as they lie in memory |
//! | `groups.rs` | what the RIB wants, and the hops that it comes to |
//! | `ways.rs` | nexthop objects, and hops that routes carry themselves |
//! | `plan.rs` | the next operation of a key, and the kernel's answer |
//! | `observe.rs` | what the kernel says of our routes |
//! | `removal.rs` | many routes that go at once, with the nexthop object that they share |
//! | `stamps.rs` | how routes are written beside where they lead |
//! | `status.rs` | where a route stands, in words |
//!
//! What the kernel holds of ours at start is adopted: it stays untouched until its prefix is decided, or until everything
//! wanted in its family has been put out; then the rest is stale and goes.

mod entries;
mod groups;
mod observe;
mod packed;
mod plan;
mod removal;
mod stamps;
mod status;
mod ways;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Instant;

use hashbrown::HashSet;

use self::entries::{Entries, Entry, Slot};
use self::groups::Groups;
pub(crate) use self::groups::Surroundings;
pub(crate) use self::observe::Seen;
pub(crate) use self::plan::{Action, Operation, RouteOperation};
pub use self::status::Counts;
use self::ways::Ways;
pub(crate) use self::ways::{Form, NexthopOperation};
use super::core::DEFAULT_PROTOCOL;
use super::mirror::Mirror;
use super::next_hops::{NextHops, OwnRoute, OwnRoutes};
use super::settings::Settings;
use super::wire::Stamp;
use crate::rib::interface::FibChange;
use crate::route::{Prefix, TableId};

/// Prefix lengths run from 0 to 128, in each family.
const LENGTHS: usize = 2 * 129;

/// In a [`FibChange`]: the table that `[kernel]` names.
const DEFAULT_TABLE: TableId = TableId::UNSPECIFIED;

/// A prefix in a table.
pub(crate) type FibKey = (TableId, Prefix);

/// The kernel's side of the world, as an operation is planned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    /// Everybody else's routes.
    pub(crate) mirror: &'a Mirror,
    /// When it is.
    pub(crate) now: Instant,
}

/// Wanted against installed.
#[derive(Debug)]
pub(crate) struct Fib {
    settings: Option<Settings>,
    entries: Entries,
    groups: Groups,
    ways: Ways,
    stamps: stamps::Stamps,
    /// How many prefixes of each length and family are wanted, for longest match.
    lengths: BTreeMap<TableId, Box<[u32]>>,
    /// Every table that ever had an entry.
    tables: BTreeSet<TableId>,
    /// Prefixes that this node originates.
    own: HashSet<Prefix>,
    discard: BTreeSet<Prefix>,
    /// Everything wanted has been put out: IPv4, IPv6.
    complete: [bool; 2],
    leaving: bool,
    queue: VecDeque<Slot>,
    retries: BTreeSet<(Instant, Slot)>,
    /// What goes with a peer that is gone, until all that followed from that is known.
    withheld: removal::Withheld,
    /// Requests about nexthop objects that have no answer yet.
    nexthops_asked: usize,
    counts: Counts,
    /// How many routes the kernel holds of ours: IPv4, IPv6.
    held: [usize; 2],
    held_version: u64,
    /// Entries that the kernel refused last time.
    failed: usize,
    /// Prefixes whose use for next-hop resolution changed.
    resolution_changed: Vec<Prefix>,
    /// Something of ours is in the kernel that we did not know of.
    surprised: bool,
}

impl Fib {
    /// Nothing wanted, nothing known.
    pub(crate) fn new(settings: Option<Settings>) -> Self {
        let mut groups = Groups::new();
        groups.configure(settings.as_ref());
        Self {
            stamps: stamps::Stamps::new(stamp_of(settings.as_ref())),
            settings,
            entries: Entries::default(),
            groups,
            ways: Ways::new(),
            lengths: BTreeMap::new(),
            tables: BTreeSet::new(),
            own: HashSet::new(),
            discard: BTreeSet::new(),
            complete: [false; 2],
            leaving: false,
            queue: VecDeque::new(),
            retries: BTreeSet::new(),
            withheld: removal::Withheld::default(),
            nexthops_asked: 0,
            counts: Counts::default(),
            held: [0; 2],
            held_version: 0,
            failed: 0,
            resolution_changed: Vec::new(),
            surprised: false,
        }
    }

    /// Takes over other settings. What is written differently now is written anew, in place; what goes to another table
    /// is there before it leaves the one of before.
    pub(crate) fn reconfigure(&mut self, settings: Option<Settings>) {
        self.groups.configure(settings.as_ref());
        let protocol = self.stamps.stamp().protocol;
        let table = self.kernel_table(DEFAULT_TABLE);
        let stamp = stamp_of(settings.as_ref());
        self.stamps.set_current(stamp);
        self.settings = settings;
        if stamp.protocol != protocol {
            self.ways.retire();
        }
        self.move_to(table, self.kernel_table(DEFAULT_TABLE));
        self.enqueue_all();
    }

    /// Asks again for what the kernel refused.
    pub(crate) fn retry_failed(&mut self) {
        self.enqueue_where(|entry| entry.state.is_failed());
    }

    /// Tables in which something of ours may be.
    pub(crate) fn tables(&self) -> &BTreeSet<TableId> {
        &self.tables
    }

    fn move_to(&mut self, from: TableId, to: TableId) {
        if from == to {
            return;
        }
        let moves = |entry: &Entry| entry.by_default && entry.is_wanted() && entry.key.0 == from;
        let entries = self.entries.iter().map(|(_, entry)| entry);
        let mut moving: Vec<_> = entries
            .filter(|entry| moves(entry))
            .map(|entry| (entry.key.1, entry.wanted, entry.discard))
            .collect();
        moving.sort_unstable();
        for (prefix, wanted, discard) in &moving {
            self.decide((to, *prefix), |entry| {
                (entry.wanted, entry.discard, entry.by_default) = (*wanted, *discard, true);
            });
        }
        for (prefix, ..) in moving {
            self.decide((from, prefix), |entry| {
                (entry.wanted, entry.discard) = (None, false);
            });
        }
    }

    /// The wanted state of a prefix changed.
    pub(crate) fn change(&mut self, change: &FibChange, next_hops: &mut NextHops, mirror: &Mirror) {
        let table = self.kernel_table(change.table);
        let route = change.route.as_ref().filter(|route| !route.next_hops.is_empty());
        let wanted = route.map(|route| self.groups.acquire(route, &mut self.ways, next_hops, mirror));
        let before = self.decide((table, change.prefix), |entry| {
            entry.by_default = change.table == DEFAULT_TABLE;
            std::mem::replace(&mut entry.wanted, wanted)
        });
        let left = change.left.map(|left| self.kernel_table(left));
        let elsewhere = left
            .filter(|left| *left != table)
            .and_then(|left| self.decide((left, change.prefix), |entry| entry.wanted.take()));
        for before in before.into_iter().chain(elsewhere) {
            self.groups.release(before, next_hops);
        }
    }

    /// Replaces the set of discard routes.
    pub(crate) fn set_discard(&mut self, prefixes: BTreeSet<Prefix>) {
        let table = self.kernel_table(DEFAULT_TABLE);
        let gone: Vec<Prefix> = self.discard.difference(&prefixes).copied().collect();
        let new: Vec<Prefix> = prefixes.difference(&self.discard).copied().collect();
        self.discard = prefixes;
        for prefix in gone {
            self.decide((table, prefix), |entry| entry.discard = false);
        }
        for prefix in new {
            self.decide((table, prefix), |entry| {
                (entry.discard, entry.by_default) = (true, true);
            });
        }
    }

    /// This node begins or ceases to originate these prefixes.
    pub(crate) fn change_own(&mut self, added: &[Prefix], removed: &[Prefix]) {
        for prefix in removed {
            self.own.remove(prefix);
        }
        self.own.extend(added);
        let table = self.kernel_table(DEFAULT_TABLE);
        for prefix in added.iter().chain(removed) {
            self.resolution_changed.push(*prefix);
            self.enqueue_key((table, *prefix));
        }
    }

    /// Everything wanted in this family has been put out: what is held beyond is stale.
    pub(crate) fn family_complete(&mut self, ipv6: bool) {
        let [ipv4_flag, ipv6_flag] = &mut self.complete;
        *(if ipv6 { ipv6_flag } else { ipv4_flag }) = true;
        self.enqueue_where(|entry| entry.key.1.addr().is_ipv6() == ipv6 && !entry.decided);
    }

    /// Everything of ours is to go.
    pub(crate) fn leave(&mut self) {
        self.leaving = true;
        self.enqueue_all();
    }

    /// A peer's session is gone, or all that followed from that is done. Routes that have another way lose this one at
    /// once, before each of them has been decided anew.
    pub(crate) fn set_suspect(
        &mut self,
        next_hop: IpAddr,
        suspect: bool,
        around: Surroundings<'_>,
        now: Instant,
    ) {
        self.groups.set_suspect(next_hop, suspect);
        if suspect {
            self.withhold(now);
        } else if !self.groups.has_suspects() {
            self.release_withheld();
        }
        self.gateways_changed(Some(&BTreeSet::from([next_hop])), around);
    }

    /// Next hops moved: works out what that means for routes.
    pub(crate) fn gateways_changed(&mut self, changed: Option<&BTreeSet<IpAddr>>, around: Surroundings<'_>) {
        let refreshed = self.groups.refresh(changed, &mut self.ways, around);
        for (from, to) in &refreshed.moved {
            self.ways.repoint(from, to);
        }
        if !refreshed.groups.is_empty() {
            self.enqueue_where(|entry| {
                entry
                    .wanted
                    .is_some_and(|wanted| refreshed.groups.contains(&wanted))
            });
        }
    }

    /// Somebody else's route to this prefix came, changed or went.
    pub(crate) fn stranger_changed(&mut self, key: FibKey) {
        self.enqueue_key(key);
    }

    /// Whether the kernel holds anything of ours through this interface.
    pub(crate) fn uses_interface(&self, interface: u32) -> bool {
        self.ways.uses_interface(interface)
    }

    /// When an attempt is due.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let retry = self.retries.first().map(|(at, _)| *at);
        retry.into_iter().chain(self.withheld.until()).min()
    }

    /// Prefixes whose part in next-hop resolution changed since the last call.
    pub(crate) fn take_resolution_changed(&mut self) -> Vec<Prefix> {
        std::mem::take(&mut self.resolution_changed)
    }

    /// Whether a dump of our own routes is needed to understand the kernel's answers.
    pub(crate) fn take_surprised(&mut self) -> bool {
        std::mem::take(&mut self.surprised)
    }

    /// How many routes are in which state.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// How many routes the kernel refused last time they were tried.
    pub(crate) fn failed_count(&self) -> usize {
        self.failed
    }

    /// How many routes the kernel holds of ours: IPv4, IPv6.
    pub(crate) fn held_count(&self) -> [usize; 2] {
        self.held
    }

    /// Changes whenever a route comes to be held or ceases to.
    pub(crate) fn held_version(&self) -> u64 {
        self.held_version
    }

    /// What is held of ours in a family, in order: for the state file.
    pub(crate) fn held(&self, ipv6: bool) -> Vec<(FibKey, u32)> {
        let all = self.entries.iter().map(|(_, entry)| entry);
        let of_family = all.filter(|entry| entry.key.1.addr().is_ipv6() == ipv6);
        let mut held = Vec::new();
        for entry in of_family {
            held.extend(entry.held.iter().map(|route| (entry.key, route.metric)));
        }
        held.sort_unstable();
        held
    }

    /// The table of the kernel that is meant.
    fn kernel_table(&self, table: TableId) -> TableId {
        match &self.settings {
            Some(settings) if table == DEFAULT_TABLE => settings.table,
            None if table == DEFAULT_TABLE => TableId::MAIN,
            _ => table,
        }
    }

    fn installs(&self) -> bool {
        self.settings.as_ref().is_some_and(|settings| settings.install) && !self.leaving
    }

    /// Changes what is wanted for a key.
    fn decide<T>(&mut self, key: FibKey, change: impl FnOnce(&mut Entry) -> T) -> T {
        let slot = self.ensure(key);
        let (mut before, mut after) = (false, false);
        let result = self.edit(slot, |entry| {
            before = entry.is_wanted();
            let result = change(entry);
            entry.decided = true;
            after = entry.is_wanted();
            result
        });
        if before != after {
            let counts = self
                .lengths
                .entry(key.0)
                .or_insert_with(|| vec![0; LENGTHS].into_boxed_slice());
            if let Some(count) = counts.get_mut(length_index(key.1.addr().is_ipv6(), key.1.prefix_len())) {
                *count = if after {
                    *count + 1
                } else {
                    count.saturating_sub(1)
                };
            }
        }
        self.resolution_changed.push(key.1);
        self.enqueue(slot);
        result
    }

    fn ensure(&mut self, key: FibKey) -> Slot {
        if !self.tables.contains(&key.0) {
            self.tables.insert(key.0);
        }
        self.entries.ensure(key)
    }

    /// Changes an entry that is there, and keeps the counts right.
    fn edit<T>(&mut self, slot: Slot, change: impl FnOnce(&mut Entry) -> T) -> T {
        let Some(mut entry) = self.entries.get(slot) else {
            // Slots come from entries that live; a change of one that does not is a change of nothing.
            return change(&mut Entry::nobody());
        };
        let before = entry.state;
        self.counts
            .forget(entry.is_wanted(), !entry.held.is_empty(), before);
        let result = change(&mut entry);
        self.entries.set(slot, &entry);
        self.counts
            .count(entry.is_wanted(), !entry.held.is_empty(), entry.state);
        match (before.is_failed(), entry.state.is_failed()) {
            (false, true) => self.failed += 1,
            (true, false) => self.failed = self.failed.saturating_sub(1),
            (true, true) | (false, false) => {}
        }
        if before.stands_aside() != entry.state.stands_aside() {
            self.resolution_changed.push(entry.key.1);
        }
        result
    }

    fn enqueue_key(&mut self, key: FibKey) {
        if let Some(slot) = self.entries.find(key) {
            self.enqueue(slot);
        }
    }

    fn enqueue(&mut self, slot: Slot) {
        if let Some(mut entry) = self.entries.get(slot)
            && !entry.queued
        {
            entry.queued = true;
            self.entries.set(slot, &entry);
            self.queue.push_back(slot);
        }
    }

    fn enqueue_all(&mut self) {
        self.enqueue_where(|_| true);
    }

    fn enqueue_where(&mut self, concerned: impl Fn(&Entry) -> bool) {
        let concerned = self.entries.iter().filter(|(_, entry)| concerned(entry));
        let mut slots: Vec<(FibKey, Slot)> = concerned.map(|(slot, entry)| (entry.key, slot)).collect();
        slots.sort_unstable();
        for (_, slot) in slots {
            self.enqueue(slot);
        }
    }
}

impl OwnRoutes for Fib {
    fn own_route(&self, table: TableId, prefix: Prefix) -> Option<(u32, OwnRoute<'_>)> {
        if !self.installs() {
            return None;
        }
        let entry = self.entries.get(self.entries.find((table, prefix))?)?;
        if entry.state.stands_aside() {
            return None;
        }
        if entry.discard {
            return Some((self.metric((table, prefix), None), OwnRoute::Discard));
        }
        let wanted = entry.wanted.filter(|_| !self.own.contains(&prefix))?;
        let route = self.groups.route(wanted)?;
        let metric = self.metric((table, prefix), Some(route));
        if self.groups.discards(route) {
            return Some((metric, OwnRoute::Discard));
        }
        Some((metric, OwnRoute::Via(&route.next_hops)))
    }

    fn has_length(&self, table: TableId, ipv6: bool, length: u8) -> bool {
        let counts = self.lengths.get(&table);
        counts.is_some_and(|counts| {
            counts
                .get(length_index(ipv6, length))
                .is_some_and(|&count| count > 0)
        })
    }
}

fn stamp_of(settings: Option<&Settings>) -> Stamp {
    settings.map_or(Stamp::plain(DEFAULT_PROTOCOL), Settings::stamp)
}

fn length_index(ipv6: bool, length: u8) -> usize {
    usize::from(length) + if ipv6 { LENGTHS / 2 } else { 0 }
}

#[cfg(test)]
mod tests;
