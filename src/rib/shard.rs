//! The shard: takes inputs, decides each dirty prefix once, sends. Pure.
//!
//! Inputs only store and mark. The work that follows is done at [`Input::Tick`], a slice at a time: as long as there is more,
//! [`Rib::next_deadline`] says "at once".

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use bgp_codec::{Afi, Family, FamilySet, Notification, Safi};

use super::core::Core;
use super::delivery::{Gate, ROUNDS};
use super::explain::{Answer, Query};
use super::graveyard;
use super::group::GroupKey;
use super::ids::PeerIndex;
use super::interface::{Aggregate, DecisionOptions, Event, Input, LocalChange, Output, Settings};
use super::jobs::{EFFORT_OF_PATH, Job, JobKind};
use super::next_hop::NextHopId;
use super::refresh::Refresh;
use super::selection::Selection;
use super::share::{Share, Totals};
use super::table::Table;
use super::update_group::UpdateGroup;
use crate::route::{Prefix, TableId, UNICAST};

/// Prefixes decided, or paths looked at, in one slice; about 2 ms.
const SLICE: usize = 2_048;
/// Bytes in all queues together; beyond, the slowest members of the largest ring fall off.
const QUEUED_BYTES: usize = 16 * 1024 * 1024;
/// Items in one ring, beyond which members that can take none fall off. Churn makes small items, which take much more than
/// their octets: a member so far behind is told the state rather than its history.
const RING_ITEMS: usize = 512;
/// Prefixes in one [`Output::Fib`].
const FIB_BATCH: usize = 1_024;

/// A RIB shard: sole owner of its tables.
#[derive(Debug)]
pub struct Rib {
    pub(super) core: Core,
    pub(super) tables: Vec<Table>,
    pub(super) jobs: VecDeque<Job>,
    selection: Selection,
    serial: u64,
    /// Ids that lagging members may keep from being used again.
    pub(super) pinned: usize,
    /// Something is left to do.
    busy: bool,
    /// Families whose initial state has been put out to the kernel.
    complete: FamilySet,
    /// Addresses of peers whose sessions ended, until what follows has been put out.
    pub(super) suspects: Vec<IpAddr>,
}

impl Rib {
    /// An empty shard, the only one.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self::with_share(settings, Share::WHOLE, None)
    }

    /// Several shards that are told everything and divide the prefixes among them. Limits of a peer count what all of them hold.
    #[must_use]
    pub fn shards(settings: &Settings, of: u16) -> Vec<Self> {
        let totals = (of > 1).then(Totals::default);
        let share = |number| Share { number, of };
        (0..of)
            .map(|number| Self::with_share(settings.clone(), share(number), totals.clone()))
            .collect()
    }

    fn with_share(settings: Settings, share: Share, totals: Option<Totals>) -> Self {
        Self {
            selection: Selection::new(settings.restarting.clone()),
            core: Core::new(settings, share, totals),
            tables: Vec::new(),
            jobs: VecDeque::new(),
            serial: 0,
            pinned: graveyard::PINNED,
            busy: true,
            complete: FamilySet::EMPTY,
            suspects: Vec::new(),
        }
    }

    /// Takes in one thing. Outputs are to be drained before the next deadline is asked for.
    pub fn handle(&mut self, input: Input, now: Instant) {
        let now = self.core.advance(now);
        self.busy = true;
        match input {
            Input::PeerUp(peer) => self.peer_up(*peer, now),
            Input::PeerDown { peer, routes } => {
                if let Some(peer) = self.core.peers.find(peer) {
                    self.peer_down(peer, &routes, now);
                }
            }
            Input::PeerRemoved { peer } => {
                if let Some(peer) = self.core.peers.find(peer) {
                    self.peer_removed(peer, now);
                }
            }
            Input::Received { peer, messages } => {
                if let Some(peer) = self.core.peers.find(peer) {
                    self.received(peer, &messages);
                }
            }
            Input::Credit { peer, bytes } => self.credit(peer, bytes),
            Input::Local(changes) => changes.into_iter().for_each(|change| self.local(change)),
            Input::Aggregates(rules) => self.set_aggregates(&rules),
            Input::Decision {
                always_compare_med,
                options,
            } => self.set_decision(always_compare_med, options),
            Input::NextHops(changes) => {
                let next_hops = &mut self.core.attributes.next_hops;
                let ids: Vec<_> = changes
                    .into_iter()
                    .filter_map(|(address, state)| next_hops.update(address, state))
                    .collect();
                self.next_hops_changed(&ids);
            }
            Input::Reconfigure { peer, policy } => {
                if let Some(peer) = self.core.peers.find(peer) {
                    self.reconfigure(peer, *policy);
                }
            }
            Input::Readvertise { peer } => {
                if let Some(peer) = self.core.peers.find(peer) {
                    self.readvertise(peer);
                }
            }
            Input::Watch(prefixes) => self.core.watched.watch(prefixes),
            Input::Multipath(limit) => {
                self.core.settings.multipath = limit;
                let tables = 0..self.tables.len();
                self.jobs
                    .extend(tables.map(|table| Job::new(table, JobKind::RedecideAll)));
            }
            Input::LocalRoutesComplete => self.local_routes_complete(),
            Input::Tick => self.work(now),
        }
    }

    fn readvertise(&mut self, peer: PeerIndex) {
        // RFC 7313 §4: a refresh that begins here is marked as well.
        let settings = self.core.peers.settings(peer);
        let how = if settings.is_some_and(|peer| peer.negotiated.enhanced_route_refresh) {
            Refresh::Enhanced
        } else {
            Refresh::Plain
        };
        let state = self.core.peers.get(peer);
        let families: Vec<Family> = state
            .map(|peer| peer.families.keys().copied().collect())
            .unwrap_or_default();
        for family in families {
            self.refresh(peer, family, how);
        }
    }

    /// What is to be done next; `None` when there is nothing more.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.core.outputs.pop_front()
    }

    /// When [`Input::Tick`] is due. A time that has passed means at once.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let now = self.core.now?;
        if self.busy {
            return Some(now);
        }
        let retained = self
            .core
            .peers
            .iter()
            .flat_map(|(_, peer)| peer.families.values());
        let retained = retained.filter_map(|family| family.retained_until).min();
        let groups = self.tables.iter().flat_map(|table| &table.groups);
        let turns = groups.filter_map(UpdateGroup::next_turn);
        retained
            .into_iter()
            .chain(turns.map(|at| at.unwrap_or(now)))
            .chain(self.selection.next_deadline(&self.core.peers, now))
            .min()
    }

    /// Answers a question; no table changes by it.
    #[must_use]
    pub fn query(&self, query: &Query, now: Instant) -> Answer {
        self.answer(query, now)
    }

    fn credit(&mut self, peer: crate::route::PeerId, bytes: usize) {
        let Some(index) = self.core.peers.find(peer) else {
            return;
        };
        if let Some(peer) = self.core.peers.get_mut(index).filter(|peer| peer.up) {
            peer.credit = peer.credit.saturating_add(bytes);
        }
        for group in self.tables.iter_mut().flat_map(|table| &mut table.groups) {
            group.active |= group.by_peer.contains_key(&index);
        }
    }

    fn local(&mut self, change: LocalChange) {
        match change {
            LocalChange::Announce(route) if self.core.share.holds(route.prefix.trunc()) => {
                let source = self.core.sources.number(route.kind, &route.name);
                let prefix = route.prefix.trunc();
                let table = self.ensure_table(TableId::MAIN, family_of(prefix));
                let table = &mut self.tables[table];
                let Some(id) = table.data.prefixes.insert(prefix) else {
                    return;
                };
                let mut attributes = (*route.attributes).clone();
                attributes.next_hop = None;
                let set = self.core.attributes.intern(&attributes);
                self.core.attributes.retain(set);
                let before = match route.from_kernel {
                    Some(facts) => table.data.from_kernel.insert((source, id), facts),
                    None => table.data.from_kernel.remove(&(source, id)),
                };
                table.store(&mut self.core, (id, source, 0), (set, set));
                // A filter may look at the metric or the realm alone.
                if before != route.from_kernel {
                    table.mark(id);
                }
            }
            LocalChange::Announce(_) => {}
            LocalChange::Withdraw { kind, name, prefix } => {
                let source = self.core.sources.number(kind, &name);
                let prefix = prefix.trunc();
                let Some(table) = self.find_table(TableId::MAIN, family_of(prefix)) else {
                    return;
                };
                let table = &mut self.tables[table];
                let found = table.data.prefixes.find(prefix);
                if let Some(slot) = found.and_then(|id| table.data.rib_in.find(id, source, 0)) {
                    table.remove(&mut self.core, slot);
                }
            }
        }
    }

    fn set_aggregates(&mut self, rules: &[Aggregate]) {
        for family in UNICAST {
            let own = rules.iter().filter(|rule| family_of(rule.prefix) == family);
            let own: Vec<Aggregate> = own.cloned().collect();
            if own.is_empty() && self.find_table(TableId::MAIN, family).is_none() {
                continue;
            }
            let table = self.ensure_table(TableId::MAIN, family);
            let prefixes = self.tables[table].set_aggregates(&mut self.core, own);
            if !prefixes.is_empty() {
                self.jobs.push_back(Job::new(table, JobKind::Within { prefixes }));
            }
        }
    }

    /// Every prefix is decided again, by the new rules.
    fn set_decision(&mut self, always_compare_med: bool, options: DecisionOptions) {
        self.core.settings.always_compare_med = always_compare_med;
        self.core.settings.decision = options;
        let everything = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let prefixes: Vec<Prefix> = everything
            .into_iter()
            .filter_map(|address: IpAddr| Prefix::new(address, 0).ok())
            .collect();
        for table in 0..self.tables.len() {
            let prefixes = prefixes.clone();
            self.jobs.push_back(Job::new(table, JobKind::Within { prefixes }));
        }
    }

    /// What local sources have reported is exported before End-of-RIB.
    fn local_routes_complete(&mut self) {
        self.selection.local_complete = true;
        for table in &mut self.tables {
            table.initial = table.dirty();
        }
    }

    pub(super) fn next_hops_changed(&mut self, ids: &[NextHopId]) {
        if !ids.is_empty() {
            for table in 0..self.tables.len() {
                self.jobs
                    .push_back(Job::new(table, JobKind::NextHops { ids: ids.to_vec() }));
            }
        }
    }

    pub(super) fn find_table(&self, id: TableId, family: Family) -> Option<usize> {
        self.tables
            .iter()
            .position(|table| table.data.id == id && table.data.family == family)
    }

    pub(super) fn ensure_table(&mut self, id: TableId, family: Family) -> usize {
        self.find_table(id, family).unwrap_or_else(|| {
            self.tables
                .push(Table::new(id, family, self.core.settings.hash_seed));
            self.tables.len() - 1
        })
    }

    /// The table in which a peer's routes of a family are.
    pub(super) fn table_of(&self, peer: PeerIndex, family: Family) -> Option<usize> {
        let table = self.core.peers.family(peer, family)?.table;
        self.find_table(table, family)
    }

    /// Sends a peer what it is sent of a family again.
    pub(super) fn refresh(&mut self, peer: PeerIndex, family: Family, how: Refresh) {
        if let Some(table) = self.table_of(peer, family) {
            let table = &mut self.tables[table];
            for group in &mut table.groups {
                group.refresh(peer, how, &mut self.core, &table.data);
            }
        }
    }

    /// The group of a key, made now if need be.
    pub(super) fn ensure_group(&mut self, table: usize, key: GroupKey) -> &mut UpdateGroup {
        let table = &mut self.tables[table];
        let known = table.groups.iter().position(|group| group.key == key);
        let index = known.unwrap_or_else(|| {
            self.serial += 1;
            table.groups.push(UpdateGroup::new(key, self.serial));
            table.groups.len() - 1
        });
        &mut table.groups[index]
    }

    /// One slice of work.
    fn work(&mut self, now: Instant) {
        self.expire(now);
        self.begin_selection(now);
        let mut more = self.run_jobs();
        for index in 0..self.tables.len() {
            let family = self.tables[index].data.family;
            if self.selection.has_started(family) {
                let table = &mut self.tables[index];
                table.decide_dirty(&mut self.core, SLICE);
                more |= table.dirty() > 0;
                more |= !table.fill_groups(&mut self.core, SLICE as u32);
            }
            more |= self.serve_groups(index, now);
            more |= self.tables[index].release_gone(&mut self.core, SLICE * 4);
        }
        self.shed();
        self.put_out();
        more |= self
            .tables
            .iter()
            .flat_map(|table| &table.groups)
            .any(|group| group.active);
        self.busy = more;
        if !more {
            self.tables.iter_mut().for_each(Table::shrink);
            self.core.peers.recycle();
        }
    }

    fn begin_selection(&mut self, now: Instant) {
        for (family, missing) in self.selection.start(&self.core.peers, now) {
            for table in self.tables.iter_mut().filter(|table| table.data.family == family) {
                table.initial = table.dirty();
            }
            if UNICAST.contains(&family) {
                self.core.event(Event::SelectionStarted { family, missing });
            }
        }
    }

    fn run_jobs(&mut self) -> bool {
        let mut effort = SLICE * EFFORT_OF_PATH;
        while let Some(job) = self.jobs.front_mut()
            && effort > 0
        {
            if job.step(&mut self.tables[job.table], &mut self.core, &mut effort) {
                self.jobs.pop_front();
            }
        }
        !self.jobs.is_empty()
    }

    fn serve_groups(&mut self, index: usize, now: Instant) -> bool {
        let table = &mut self.tables[index];
        let family = table.data.family;
        let open = self.selection.allows_end_of_rib(family, now) && table.initial == 0;
        let mut more = false;
        let mut rounds = ROUNDS;
        table.turn = (table.turn + 1) % table.groups.len().max(1);
        let (first, last) = table.groups.split_at_mut(table.turn);
        for group in last.iter_mut().chain(first) {
            let is_turn = group.next_turn().is_some_and(|at| at.is_none_or(|at| at <= now));
            if group.active || group.is_held_up(open) || is_turn {
                let gate = Gate {
                    end_of_rib: open,
                    now,
                };
                group.serve(&mut self.core, &table.data, gate, &mut rounds);
                more |= group.active;
            }
        }
        table.recycle();
        more
    }

    /// Keeps queues within their budget, and ids that lagging members pin within theirs.
    fn shed(&mut self) {
        for group in self.tables.iter_mut().flat_map(|table| &mut table.groups) {
            while group.ring.len() > RING_ITEMS && group.detach_stuck(&self.core) {}
        }
        let groups = || self.tables.iter().flat_map(|table| &table.groups);
        let mut queued: usize = groups().map(UpdateGroup::queued_bytes).sum();
        while queued > QUEUED_BYTES {
            let rings = self.tables.iter_mut().flat_map(|table| &mut table.groups);
            let Some(largest) = rings.max_by_key(|group| group.ring.bytes()) else {
                break;
            };
            let before = largest.ring.bytes();
            largest.detach_slowest();
            let freed = before - largest.ring.bytes();
            if before == 0 {
                break;
            }
            queued = queued.saturating_sub(freed.max(1));
        }
        let mut stuck = Vec::new();
        for table in self
            .tables
            .iter()
            .filter(|table| table.graveyard.pinned() > self.pinned)
        {
            stuck.extend(table.most_pinning());
        }
        for peer in stuck {
            // RFC 4486 §4: out of resources.
            self.close(peer, Notification::cease(8), Some(std::time::Duration::ZERO));
        }
    }

    /// Kernel state and next hops to watch.
    fn put_out(&mut self) {
        if let Some((track, untrack)) = self.core.attributes.next_hops.take_changes() {
            self.core
                .outputs
                .push_back(Output::TrackNextHops { track, untrack });
        }
        for table in &mut self.tables {
            while !table.fib_changes.is_empty() {
                let rest = table
                    .fib_changes
                    .split_off(table.fib_changes.len().min(FIB_BATCH));
                let batch = std::mem::replace(&mut table.fib_changes, rest);
                self.core.outputs.push_back(Output::Fib(batch));
            }
        }
        if self.core.watched.take() {
            self.core.outputs.push_back(Output::WatchedDecided);
        }
        if std::mem::take(&mut self.core.aggregates_changed) {
            let present = self
                .tables
                .iter()
                .flat_map(|table| table.data.aggregates.present());
            let present = Output::Aggregates(present.collect());
            self.core.outputs.push_back(present);
        }
        if self.jobs.is_empty() && self.tables.iter().all(|table| table.dirty() == 0) {
            let settled = self.suspects.drain(..).map(Output::Settled);
            self.core.outputs.extend(settled);
        }
        // A route whose next hop the kernel has not spoken of is wanted a moment later: what is adopted for it must not go.
        let incomplete = UNICAST.iter().any(|family| !self.complete.contains(*family));
        let unresolved = incomplete && self.core.attributes.next_hops.has_unresolved();
        for family in UNICAST {
            let undecided = |table: &Table| table.initial > 0 || table.dirty() > 0;
            let waits = unresolved
                || self
                    .tables
                    .iter()
                    .any(|table| table.data.family == family && undecided(table));
            if self.core.settings.install
                && !waits
                && self.selection.has_started(family)
                && !self.complete.contains(family)
            {
                self.complete.insert(family);
                self.core.outputs.push_back(Output::FibComplete(family));
            }
        }
    }
}

pub(super) use crate::route::unicast_of as family_of;

/// Families whose NLRI are plain prefixes; others are not carried.
pub(super) fn is_carried(family: Family) -> bool {
    matches!(family.afi, Afi::IPV4 | Afi::IPV6) && matches!(family.safi, Safi::UNICAST | Safi::MULTICAST)
}
