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
//! What the kernel holds of ours at start is adopted: it stays untouched until its prefix is decided, or until everything
//! wanted in its family has been put out; then the rest is stale and goes.

mod groups;
mod status;

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

pub(crate) use self::groups::Form;
use self::groups::{GroupId, Groups};
pub use self::status::Counts;
use self::status::Status;
use super::mirror::Mirror;
use super::next_hops::{NextHops, OwnRoute, OwnRoutes};
use super::settings::{Metric, Settings};
use super::wire::{Route, Verb};
use crate::rib::interface::FibChange;
use crate::route::{KernelRouteKind, Prefix, TableId};

/// First wait after a failed operation; doubled each time.
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// Longest wait between two attempts.
const RETRY_LAST: Duration = Duration::from_secs(30);
/// Metric of discard routes, and of IPv6 routes where 0 is configured: the kernel's own default for IPv6.
const DEFAULT_METRIC: u32 = 1024;
/// The kernel metric of Calico's BIRD is this less LOCAL_PREF.
const CALICO_METRIC_BASE: u32 = 2_147_483_647;

/// A prefix in a table.
pub(crate) type FibKey = (TableId, Prefix);

/// What an operation does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    /// The kernel has no such route.
    Create,
    /// The kernel holds ours with other hops.
    Replace,
    /// Ours is to go.
    Delete,
}

/// One request to the kernel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Operation {
    /// Which route.
    pub(crate) key: FibKey,
    /// `RTA_PRIORITY`.
    pub(crate) metric: u32,
    /// What to do.
    pub(crate) action: Action,
    /// The hops; of no meaning in a delete.
    pub(crate) form: Form,
}

/// The kernel's side of the world, as an operation is planned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    /// Everybody else's routes.
    pub(crate) mirror: &'a Mirror,
    /// When it is.
    pub(crate) now: Instant,
}

/// A route of ours in the kernel.
#[derive(Clone, Debug)]
struct Held {
    metric: u32,
    form: Form,
}

/// What the RIB wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Wanted {
    group: GroupId,
    local_pref: u32,
}

#[derive(Debug, Default)]
struct Entry {
    wanted: Option<Wanted>,
    /// A blackhole of ours is to lie here, whatever the RIB wants.
    discard: bool,
    held: SmallVec<[Held; 1]>,
    status: Status,
    /// The RIB or the configuration has spoken; what is adopted and undecided waits.
    decided: bool,
    busy: bool,
    queued: bool,
    attempts: u8,
}

/// Wanted against installed.
#[derive(Debug)]
pub(crate) struct Fib {
    settings: Option<Settings>,
    entries: HashMap<FibKey, Entry>,
    groups: Groups,
    lengths: HashMap<(TableId, bool, u8), u32>,
    /// Every table that ever had an entry.
    tables: BTreeSet<TableId>,
    /// Prefixes that this node originates.
    own: HashSet<Prefix>,
    discard: BTreeSet<Prefix>,
    /// Everything wanted has been put out: IPv4, IPv6.
    complete: [bool; 2],
    leaving: bool,
    queue: VecDeque<FibKey>,
    retries: BTreeSet<(Instant, FibKey)>,
    counts: Counts,
    /// Prefixes whose use for next-hop resolution changed.
    resolution_changed: Vec<Prefix>,
    /// Something of ours is in the kernel that we did not know of.
    surprised: bool,
}

impl Fib {
    /// Nothing wanted, nothing known.
    pub(crate) fn new(settings: Option<Settings>) -> Self {
        let multipath = settings.as_ref().map_or(1, |settings| settings.multipath);
        Self {
            settings,
            entries: HashMap::new(),
            groups: Groups::new(multipath),
            lengths: HashMap::new(),
            tables: BTreeSet::new(),
            own: HashSet::new(),
            discard: BTreeSet::new(),
            complete: [false; 2],
            leaving: false,
            queue: VecDeque::new(),
            retries: BTreeSet::new(),
            counts: Counts::default(),
            resolution_changed: Vec::new(),
            surprised: false,
        }
    }

    /// Takes over other settings. Table and protocol are fixed while running; every other change is live.
    pub(crate) fn reconfigure(&mut self, settings: Option<Settings>) {
        self.groups
            .set_multipath(settings.as_ref().map_or(1, |settings| settings.multipath));
        self.settings = settings;
        self.enqueue_all();
    }

    /// The wanted state of a prefix changed.
    pub(crate) fn change(&mut self, change: &FibChange, next_hops: &mut NextHops, mirror: &Mirror) {
        let key = (self.kernel_table(change.table), change.prefix);
        let route = change.route.as_ref().filter(|route| !route.next_hops.is_empty());
        let wanted = route.map(|route| Wanted {
            group: self.groups.acquire(&route.next_hops, next_hops, mirror),
            local_pref: route.local_pref,
        });
        let before = self.entries.get(&key).and_then(|entry| entry.wanted);
        self.decide(key, |entry| entry.wanted = wanted);
        if let Some(before) = before {
            self.groups.release(before.group, next_hops);
        }
    }

    /// Replaces the set of discard routes.
    pub(crate) fn set_discard(&mut self, prefixes: BTreeSet<Prefix>) {
        let table = self.kernel_table(TableId::MAIN);
        let gone: Vec<Prefix> = self.discard.difference(&prefixes).copied().collect();
        let new: Vec<Prefix> = prefixes.difference(&self.discard).copied().collect();
        self.discard = prefixes;
        for prefix in gone {
            self.decide((table, prefix), |entry| entry.discard = false);
        }
        for prefix in new {
            self.decide((table, prefix), |entry| entry.discard = true);
        }
    }

    /// This node begins or ceases to originate these prefixes.
    pub(crate) fn change_own(&mut self, added: &[Prefix], removed: &[Prefix]) {
        for prefix in removed {
            self.own.remove(prefix);
        }
        self.own.extend(added);
        let table = self.kernel_table(TableId::MAIN);
        for prefix in added.iter().chain(removed) {
            self.resolution_changed.push(*prefix);
            self.enqueue((table, *prefix));
        }
    }

    /// Everything wanted in this family has been put out: what is held beyond is stale.
    pub(crate) fn family_complete(&mut self, ipv6: bool) {
        let [ipv4_flag, ipv6_flag] = &mut self.complete;
        *(if ipv6 { ipv6_flag } else { ipv4_flag }) = true;
        let stale = self
            .entries
            .iter()
            .filter(|(key, entry)| key.1.addr().is_ipv6() == ipv6 && !entry.decided);
        let mut stale: Vec<FibKey> = stale.map(|(key, _)| *key).collect();
        stale.sort_unstable();
        for key in stale {
            self.enqueue(key);
        }
    }

    /// Everything of ours is to go.
    pub(crate) fn leave(&mut self) {
        self.leaving = true;
        self.enqueue_all();
    }

    /// Next hops moved: works out what that means for routes.
    pub(crate) fn gateways_changed(
        &mut self,
        changed: Option<&BTreeSet<IpAddr>>,
        next_hops: &NextHops,
        mirror: &Mirror,
    ) {
        let groups = self.groups.refresh(changed, next_hops, mirror);
        if groups.is_empty() {
            return;
        }
        self.enqueue_where(|entry| entry.wanted.is_some_and(|wanted| groups.contains(&wanted.group)));
    }

    /// Somebody else's route to this prefix came, changed or went.
    pub(crate) fn stranger_changed(&mut self, key: FibKey) {
        self.enqueue(key);
    }

    /// The kernel says that a route of ours came or went, and it was not we who asked.
    pub(crate) fn observe(&mut self, verb: Verb, route: &Route) {
        let key = (route.table, route.prefix);
        match verb {
            Verb::New => {
                let form = self.form_of(route);
                self.edit(key, |entry| entry.hold(route.metric, form));
            }
            Verb::Delete if self.entries.contains_key(&key) => {
                self.edit(key, |entry| entry.drop_held(route.metric))
            }
            Verb::Delete => {}
        }
        self.enqueue(key);
    }

    /// Replaces what is known to be held in a table and family (perhaps only through one interface).
    pub(crate) fn reconcile(&mut self, table: TableId, ipv6: bool, interface: Option<u32>, seen: &[Route]) {
        let shown: HashSet<(FibKey, u32)> = seen
            .iter()
            .map(|route| ((route.table, route.prefix), route.metric))
            .collect();
        let in_scope = |held: &Held| {
            interface.is_none_or(|interface| held.form.iter().any(|hop| hop.interface == interface))
        };
        let of_table = self
            .entries
            .iter()
            .filter(|(key, _)| key.0 == table && key.1.addr().is_ipv6() == ipv6);
        let mut gone: Vec<(FibKey, u32)> = of_table
            .flat_map(|(key, entry)| {
                entry
                    .held
                    .iter()
                    .filter(|held| in_scope(held))
                    .map(|held| (*key, held.metric))
            })
            .filter(|held| !shown.contains(held))
            .collect();
        gone.sort_unstable();
        for (key, metric) in gone {
            self.edit(key, |entry| entry.drop_held(metric));
            self.enqueue(key);
        }
        for route in seen {
            let form = self.form_of(route);
            let key = (route.table, route.prefix);
            let known = self
                .entries
                .get(&key)
                .and_then(|entry| entry.held_at(route.metric));
            if known.is_none_or(|known| !Arc::ptr_eq(&known.form, &form)) {
                self.edit(key, |entry| entry.hold(route.metric, form));
                self.enqueue(key);
            }
        }
    }

    /// The kernel dropped routes through this interface without saying so.
    pub(crate) fn interface_died(&mut self, interface: u32, deleted: bool, mirror: &Mirror) {
        if !self.groups.uses_interface(interface) {
            return;
        }
        let is_dead = |key: &FibKey, held: &Held| {
            let uses = held.form.iter().any(|hop| hop.interface == interface);
            uses && (deleted && key.1.addr().is_ipv4() || mirror.all_down(&held.form))
        };
        let dead = self.entries.iter().flat_map(|(key, entry)| {
            entry
                .held
                .iter()
                .filter(|held| is_dead(key, held))
                .map(|held| (*key, held.metric))
        });
        let mut dead: Vec<(FibKey, u32)> = dead.collect();
        dead.sort_unstable();
        for (key, metric) in dead {
            self.edit(key, |entry| entry.drop_held(metric));
            self.enqueue(key);
        }
    }

    /// Whether the kernel holds anything of ours through this interface.
    pub(crate) fn uses_interface(&self, interface: u32) -> bool {
        self.groups.uses_interface(interface)
    }

    /// The next request to the kernel. Every one returned must be answered with [`Fib::done`].
    pub(crate) fn poll_operation(&mut self, view: View<'_>) -> Option<Operation> {
        while let Some(&(at, key)) = self.retries.first().filter(|(at, _)| *at <= view.now) {
            self.retries.remove(&(at, key));
            self.enqueue(key);
        }
        while let Some(key) = self.queue.pop_front() {
            if let Some(operation) = self.plan(key, view) {
                return Some(operation);
            }
        }
        None
    }

    /// The kernel's answer to an operation: a positive errno if it failed.
    pub(crate) fn done(&mut self, operation: &Operation, result: Result<(), i32>, view: View<'_>) {
        let key = operation.key;
        let metric = operation.metric;
        let attempts = self.entries.get(&key).map_or(0, |entry| entry.attempts);
        let failure = match (operation.action, result) {
            (_, Ok(())) => None,
            // Gone already: as good as deleted, and what was to be replaced will be created.
            (Action::Delete | Action::Replace, Err(libc::ESRCH | libc::ENOENT)) => None,
            (Action::Create, Err(libc::EEXIST)) if view.mirror.holder((key.0, key.1, metric)).is_some() => {
                None
            }
            (_, Err(errno)) => Some(errno),
        };
        // In the way is a route that has not been reported yet, or one of ours that we lost sight of.
        self.surprised |= operation.action == Action::Create && failure == Some(libc::EEXIST);
        self.edit(key, |entry| {
            entry.busy = false;
            match (operation.action, result) {
                (Action::Create | Action::Replace, Ok(())) => entry.hold(metric, Arc::clone(&operation.form)),
                (Action::Delete, Ok(()) | Err(libc::ESRCH | libc::ENOENT))
                | (Action::Replace, Err(libc::ENOENT | libc::ESRCH)) => entry.drop_held(metric),
                (Action::Create | Action::Replace | Action::Delete, Err(_)) => {}
            }
            entry.attempts = if failure.is_some() {
                attempts.saturating_add(1)
            } else {
                0
            };
            entry.status = failure.map_or(Status::Pending, |errno| Status::Failed { errno });
        });
        if failure.is_some() {
            self.retries.insert((view.now + backoff(attempts), key));
        } else {
            self.enqueue(key);
        }
    }

    /// When an attempt is due.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.retries.first().map(|(at, _)| *at)
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

    /// What is held of ours, in order: for the state file.
    pub(crate) fn held(&self) -> Vec<(FibKey, u32)> {
        let all = self.entries.iter();
        let mut held: Vec<_> = all
            .flat_map(|(key, entry)| entry.held.iter().map(|held| (*key, held.metric)))
            .collect();
        held.sort_unstable();
        held
    }

    /// The table of the kernel that a BGP table goes to.
    pub(crate) fn kernel_table(&self, table: TableId) -> TableId {
        match &self.settings {
            Some(settings) if table == TableId::MAIN => settings.table,
            _ => table,
        }
    }

    fn installs(&self) -> bool {
        self.settings.as_ref().is_some_and(|settings| settings.install) && !self.leaving
    }

    /// Changes what is wanted for a key.
    fn decide(&mut self, key: FibKey, change: impl FnOnce(&mut Entry)) {
        let before = self.entries.get(&key).is_some_and(Entry::is_wanted);
        self.edit(key, |entry| {
            change(entry);
            entry.decided = true;
        });
        let after = self.entries.get(&key).is_some_and(Entry::is_wanted);
        if before != after {
            let count = self
                .lengths
                .entry((key.0, key.1.addr().is_ipv6(), key.1.prefix_len()))
                .or_default();
            *count = if after {
                *count + 1
            } else {
                count.saturating_sub(1)
            };
        }
        self.resolution_changed.push(key.1);
        self.enqueue(key);
    }

    /// What the kernel should hold for the key: metric and form, or why nothing.
    fn target(&self, key: FibKey, entry: &Entry, mirror: &Mirror) -> Result<(u32, Form), Status> {
        if !entry.is_wanted() {
            return Err(Status::NotWanted);
        }
        if !self.installs() {
            return Err(Status::NotInstalled);
        }
        let others = mirror.at(key.0, key.1);
        let Some(Wanted { group, local_pref }) = entry.wanted.filter(|_| !entry.discard) else {
            // Beneath what is really there: any route of anybody else to the same prefix is better than ours.
            return match others.first() {
                Some(route) => Err(Status::HeldBy {
                    protocol: route.protocol,
                    metric: route.metric,
                }),
                None => Ok((self.metric(key, None), Form::from([]))),
            };
        };
        if self.own.contains(&key.1) {
            return Err(Status::OwnPrefix);
        }
        if let Some(route) = others.iter().find(|route| route.is_connected()) {
            return Err(Status::Connected {
                interface: route.hops.first().map_or(0, |hop| hop.interface),
            });
        }
        let metric = self.metric(key, Some(local_pref));
        if let Some(route) = others.iter().find(|route| route.metric == metric) {
            return Err(Status::HeldBy {
                protocol: route.protocol,
                metric,
            });
        }
        let target = self.groups.target(group);
        let form = target.map_err(|(next_hop, reason)| Status::Unresolved { next_hop, reason })?;
        let has_ipv4_gateway = form
            .iter()
            .any(|hop| hop.gateway.is_some_and(|gateway| gateway.is_ipv4()));
        if key.1.addr().is_ipv6() && has_ipv4_gateway {
            return Err(Status::WrongFamily);
        }
        Ok((metric, Arc::clone(form)))
    }

    fn metric(&self, key: FibKey, local_pref: Option<u32>) -> u32 {
        let metric = match (self.settings.as_ref().map(|settings| settings.metric), local_pref) {
            (Some(Metric::Fixed(metric)), _) => metric,
            (Some(Metric::CalicoLocalPref), Some(local_pref)) => {
                CALICO_METRIC_BASE.saturating_sub(local_pref).max(1)
            }
            (Some(Metric::CalicoLocalPref), None) | (None, _) => DEFAULT_METRIC,
        };
        if metric == 0 && key.1.addr().is_ipv6() {
            DEFAULT_METRIC
        } else {
            metric
        }
    }

    /// The next step for a key, if there is one.
    fn plan(&mut self, key: FibKey, view: View<'_>) -> Option<Operation> {
        let entry = self.entries.get_mut(&key)?;
        entry.queued = false;
        if entry.busy {
            return None;
        }
        let entry = self.entries.get(&key)?;
        let target = self.target(key, entry, view.mirror);
        let [ipv4_complete, ipv6_complete] = self.complete;
        let complete = if key.1.addr().is_ipv6() {
            ipv6_complete
        } else {
            ipv4_complete
        };
        let undecided = !entry.decided && !complete && !self.leaving;
        let operation = match &target {
            Ok((metric, form)) => entry.towards(key, *metric, form, view.mirror),
            Err(_) if undecided => None,
            Err(_) => entry.held.first().map(|held| delete(key, held)),
        };
        let status = match target {
            Ok(_) if operation.is_none() => Status::Installed,
            Ok(_) => Status::Pending,
            Err(_) if undecided => Status::Adopted,
            Err(status) => status,
        };
        let is_busy = operation.is_some();
        self.edit(key, |entry| {
            entry.busy = is_busy;
            entry.status = status;
        });
        if !is_busy && self.entries.get(&key).is_some_and(Entry::is_empty) {
            self.entries.remove(&key);
        }
        operation
    }

    /// Changes an entry (made if need be) and keeps the counts right.
    fn edit(&mut self, key: FibKey, change: impl FnOnce(&mut Entry)) {
        self.tables.insert(key.0);
        let entry = self.entries.entry(key).or_default();
        let before = entry.status;
        self.counts
            .forget(entry.is_wanted(), !entry.held.is_empty(), before);
        change(entry);
        self.counts
            .count(entry.is_wanted(), !entry.held.is_empty(), entry.status);
        if before.stands_aside() != entry.status.stands_aside() {
            self.resolution_changed.push(key.1);
        }
    }

    fn enqueue(&mut self, key: FibKey) {
        if let Some(entry) = self.entries.get_mut(&key)
            && !entry.queued
        {
            entry.queued = true;
            self.queue.push_back(key);
        }
    }

    fn enqueue_all(&mut self) {
        self.enqueue_where(|_| true);
    }

    fn enqueue_where(&mut self, concerned: impl Fn(&Entry) -> bool) {
        let concerned = self.entries.iter().filter(|(_, entry)| concerned(entry));
        let mut keys: Vec<FibKey> = concerned.map(|(key, _)| *key).collect();
        keys.sort_unstable();
        for key in keys {
            self.enqueue(key);
        }
    }

    fn form_of(&mut self, route: &Route) -> Form {
        let hops = if route.kind == KernelRouteKind::Unicast {
            route.hops.clone()
        } else {
            SmallVec::new()
        };
        self.groups.intern(hops)
    }
}

impl OwnRoutes for Fib {
    fn own_route(&self, table: TableId, prefix: Prefix) -> Option<(u32, OwnRoute<'_>)> {
        if !self.installs() {
            return None;
        }
        let entry = self.entries.get(&(table, prefix))?;
        if entry.status.stands_aside() {
            return None;
        }
        if entry.discard {
            return Some((self.metric((table, prefix), None), OwnRoute::Discard));
        }
        let wanted = entry.wanted.filter(|_| !self.own.contains(&prefix))?;
        let metric = self.metric((table, prefix), Some(wanted.local_pref));
        Some((metric, OwnRoute::Via(self.groups.next_hops(wanted.group))))
    }

    fn has_length(&self, table: TableId, ipv6: bool, length: u8) -> bool {
        self.lengths
            .get(&(table, ipv6, length))
            .is_some_and(|&count| count > 0)
    }
}

impl Entry {
    fn is_wanted(&self) -> bool {
        self.wanted.is_some() || self.discard
    }

    fn is_empty(&self) -> bool {
        !self.is_wanted() && self.held.is_empty()
    }

    fn held_at(&self, metric: u32) -> Option<&Held> {
        self.held.iter().find(|held| held.metric == metric)
    }

    fn hold(&mut self, metric: u32, form: Form) {
        match self.held.iter_mut().find(|held| held.metric == metric) {
            Some(held) => held.form = form,
            None => self.held.push(Held { metric, form }),
        }
    }

    fn drop_held(&mut self, metric: u32) {
        self.held.retain(|held| held.metric != metric);
    }

    /// The step towards holding exactly this: the new route before the old one goes, so that no packet is lost.
    fn towards(&self, key: FibKey, metric: u32, form: &Form, mirror: &Mirror) -> Option<Operation> {
        let operation = |action| Operation {
            key,
            metric,
            action,
            form: Arc::clone(form),
        };
        match self.held_at(metric) {
            None => Some(operation(Action::Create)),
            Some(held) if held.form != *form => {
                // REPLACE takes the first route of this key, whoever owns it.
                let alone = mirror.holder((key.0, key.1, metric)).is_none();
                Some(if alone {
                    operation(Action::Replace)
                } else {
                    delete(key, held)
                })
            }
            Some(_) => self
                .held
                .iter()
                .find(|held| held.metric != metric)
                .map(|held| delete(key, held)),
        }
    }
}

fn delete(key: FibKey, held: &Held) -> Operation {
    Operation {
        key,
        metric: held.metric,
        action: Action::Delete,
        form: Arc::clone(&held.form),
    }
}

fn backoff(attempts: u8) -> Duration {
    let doubled = RETRY_FIRST.saturating_mul(1_u32.checked_shl(u32::from(attempts)).unwrap_or(u32::MAX));
    doubled.min(RETRY_LAST)
}

#[cfg(test)]
mod tests;
