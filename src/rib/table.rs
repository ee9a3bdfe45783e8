//! One table and family at work: paths come and go, prefixes become dirty, each is decided once, and groups are told.

use std::net::IpAddr;

use bgp_codec::{Afi, Family, NextHop, PeerKind, Safi};
use smallvec::SmallVec;

use super::adj_rib_out::AdjRibOut;
use super::attributes::{AS_PATH_LENGTH_OF_RANK, DEFAULT_LOCAL_PREF, KeyValues, bandwidth};
use super::core::Core;
use super::decision::{self, Candidate, Loss, Rules};
use super::dirty::Dirty;
use super::fib::FibId;
use super::graveyard::Graveyard;
use super::ids::{AttributesId, PathSlot, PeerIndex, PrefixId};
use super::interface::{FibChange, FibNextHop, FibRoute, SentPaths};
use super::next_hop::Unusable;
use super::sent_paths::Ranking;
use super::table_data::TableData;
use super::update_group::UpdateGroup;
use crate::route::{Prefix, TableId};

/// See the module.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) data: TableData,
    pub(crate) groups: Vec<UpdateGroup>,
    dirty: Dirty,
    /// What the kernel was last told to hold.
    fib: Vec<FibId>,
    pub(crate) fib_changes: Vec<FibChange>,
    pub(crate) graveyard: Graveyard,
    /// Prefixes that were dirty when selection began and are not decided yet.
    pub(crate) initial: usize,
    pub(crate) moves_of_gone_groups: u64,
    /// What gone groups had sent, until it has been let go of.
    pub(crate) gone: Vec<AdjRibOut>,
    /// The group that is served first.
    pub(crate) turn: usize,
}

/// One if there is a set.
fn present(set: AttributesId) -> i32 {
    i32::from(set != AttributesId::NONE)
}

/// The best path, then those equal to it.
type Winners = SmallVec<[PathSlot; 4]>;

/// The paths of a prefix as the decision sees them.
pub(crate) type Candidates = SmallVec<[(PathSlot, Candidate); 8]>;

impl Table {
    pub(crate) fn new(id: TableId, family: Family, seed: u64) -> Self {
        Self {
            data: TableData::new(id, family, seed),
            groups: Vec::new(),
            dirty: Dirty::default(),
            fib: Vec::new(),
            fib_changes: Vec::new(),
            graveyard: Graveyard::default(),
            initial: 0,
            moves_of_gone_groups: 0,
            gone: Vec::new(),
            turn: 0,
        }
    }

    /// Prefixes that wait to be decided.
    pub(crate) fn dirty(&self) -> usize {
        self.dirty.len()
    }

    /// Octets that they take.
    pub(crate) fn dirty_bytes(&self) -> usize {
        self.dirty.bytes()
    }

    #[inline]
    pub(crate) fn mark(&mut self, prefix: PrefixId) {
        self.dirty.mark(prefix);
    }

    /// Gives back what a burst needed.
    pub(crate) fn shrink(&mut self) {
        self.dirty.shrink();
        for group in &mut self.groups {
            group.latest.get_mut().clear();
        }
    }

    /// Stores what a source says of a prefix. Takes over one reference to each set.
    pub(crate) fn store(
        &mut self,
        core: &mut Core,
        (prefix, source, path_id): (PrefixId, PeerIndex, u32),
        (received, accepted): (AttributesId, AttributesId),
    ) {
        let family = self.data.family;
        let now_s = core.seconds();
        let counts = core.peers.family_mut(source, family);
        let epoch = counts.as_ref().map_or(0, |counts| counts.epoch);
        let (slot, new) = self.data.rib_in.find_or_insert(prefix, source, path_id);
        let before = self.data.rib_in.replace(slot, (received, accepted), epoch, now_s);
        if let Some(counts) = counts {
            counts.count([i32::from(new), present(accepted) - present(before.1)]);
        }
        core.attributes.release(before.0);
        core.attributes.release(before.1);
        if before.1 != accepted {
            self.mark(prefix);
        }
    }

    /// Import policy changed its mind about a path.
    pub(crate) fn count_accepted(
        &self,
        core: &mut Core,
        peer: PeerIndex,
        before: AttributesId,
        after: AttributesId,
    ) {
        if let Some(counts) = core.peers.family_mut(peer, self.data.family) {
            counts.count([0, present(after) - present(before)]);
        }
    }

    /// Removes a path; its prefix is decided again.
    pub(crate) fn remove(&mut self, core: &mut Core, slot: PathSlot) {
        let path = self.data.rib_in.path(slot);
        let prefix = self.data.rib_in.prefix(slot);
        if self.data.best(prefix) == Some(slot) {
            self.set_best(core, prefix, None);
        }
        if let Some(counts) = core.peers.family_mut(path.peer, self.data.family) {
            counts.count([-1, -present(path.accepted)]);
        }
        core.attributes.release(path.received);
        core.attributes.release(path.accepted);
        self.data.rib_in.unlink(slot);
        if path.peer.is_local() {
            self.data.from_kernel.remove(&(path.peer, prefix));
        }
        let mut named = false;
        for group in self.groups.iter_mut().filter(|group| group.key.add_path) {
            group.apply(slot.0, None, core, &self.data);
            named = true;
        }
        if named {
            self.graveyard.bury_path(slot, prefix);
        } else {
            self.data.rib_in.release(slot);
        }
        self.mark(prefix);
    }

    fn set_best(&mut self, core: &mut Core, prefix: PrefixId, slot: Option<PathSlot>) {
        let old = self.data.best(prefix);
        if old == slot {
            return;
        }
        for (slot, more) in old
            .map(|slot| (slot, false))
            .into_iter()
            .chain(slot.map(|slot| (slot, true)))
        {
            let peer = self.data.rib_in.path(slot).peer;
            if let Some(counts) = core.peers.family_mut(peer, self.data.family) {
                counts.best = if more { counts.best + 1 } else { counts.best - 1 };
            }
        }
        self.data.set_best(prefix, slot);
    }

    /// Lets go of up to `limit` slots of gone groups; whether some are left.
    pub(crate) fn release_gone(&mut self, core: &mut Core, limit: usize) -> bool {
        let Some(gone) = self.gone.last_mut() else {
            return false;
        };
        let slots: SmallVec<[AttributesId; 64]> = gone.dismantle(limit).map(|slot| slot.attributes).collect();
        slots
            .into_iter()
            .for_each(|attributes| core.attributes.release(attributes));
        if gone.bound() == 0 {
            self.gone.pop();
        }
        !self.gone.is_empty()
    }

    /// Decides up to `limit` dirty prefixes and tells the groups; how many there were.
    pub(crate) fn decide_dirty(&mut self, core: &mut Core, limit: usize) -> usize {
        // Each group is another place to look at the prefix from.
        let limit = (limit * 4 / (3 + self.groups.len())).clamp(64, limit);
        self.groups.iter().for_each(UpdateGroup::forget_verdicts);
        let mut decided = 0;
        while decided < limit
            && let Some(prefix) = self.dirty.pop()
        {
            self.initial = self.initial.saturating_sub(1);
            self.decide(core, prefix);
            decided += 1;
        }
        decided
    }

    pub(crate) fn decide(&mut self, core: &mut Core, prefix: PrefixId) {
        let winners = self.winners(core, prefix);
        self.set_best(core, prefix, winners.first().copied());
        core.watched.decided(|| self.data.prefixes.prefix(prefix));
        if !self.data.aggregates.is_empty() {
            self.contribute(core, prefix, winners.first().copied());
        }
        if core.settings.install && self.data.family.safi == Safi::UNICAST {
            self.install(core, prefix, &winners);
        }
        let ranking = self.ranking(core, (prefix, winners), self.ranked());
        for group in &mut self.groups {
            group.export((prefix, &ranking), core, &self.data);
        }
        if self.data.rib_in.is_empty(prefix) {
            self.graveyard.bury_prefix(prefix);
        }
    }

    /// The best path of a prefix, and those equal to it.
    ///
    /// Most prefixes are decided by weight, LOCAL_PREF, AS_PATH and ORIGIN, which are two numbers of each set. Only paths that share the
    /// lowest go through the decision step by step: the others would not get beyond those steps.
    fn winners(&self, core: &Core, prefix: PrefixId) -> Winners {
        let mut best = None;
        let mut lowest = (true, true, u32::MAX, u64::MAX);
        let mut shared = false;
        for (slot, path) in self.data.rib_in.of(prefix) {
            let Some(accepted) = path.accepted.some() else {
                continue;
            };
            let set = core.attributes.set(accepted);
            let usable = |next_hop| core.attributes.next_hops.usable(next_hop).is_ok();
            if !set.next_hop_id().is_none_or(usable) {
                continue;
            }
            let rank = (
                !path.peer.is_local(),
                set.is_last_resort(),
                !set.weight(),
                compared(core, set.rank()),
            );
            if best.is_none() || rank < lowest {
                (best, lowest, shared) = (Some(slot), rank, false);
            } else if rank == lowest {
                shared = true;
            }
        }
        if !shared {
            return best.into_iter().collect();
        }
        let mut candidates = self.candidates(core, prefix);
        candidates.retain(|(slot, candidate)| {
            let accepted = self.data.rib_in.accepted(*slot);
            (
                !candidate.local,
                candidate.llgr_stale,
                !candidate.weight,
                compared(core, core.attributes.set(accepted).rank()),
            ) == lowest
        });
        let choice = choose(core, &candidates, |_| ());
        choice.multipath.iter().map(|at| candidates[*at].0).collect()
    }

    /// How many paths of a prefix some group asks for in order.
    fn ranked(&self) -> usize {
        let depths = self.groups.iter().map(|group| group.key.paths.depth());
        depths.max().unwrap_or_default()
    }

    /// What groups choose from that send several paths. `winners`: the best path, and those equal to it.
    fn ranking(&self, core: &Core, (prefix, winners): (PrefixId, Winners), depth: usize) -> Ranking {
        let mut order: Winners = SmallVec::new();
        if depth > 0 {
            let mut candidates = self.candidates(core, prefix);
            // RFC 4271 §9.1.2.2(c): who is next is known only when the best one is away, not by where it lost.
            while order.len() < depth
                && let Some(best) = choose(core, &candidates, |_| ()).best
            {
                order.push(candidates.remove(best).0);
            }
        }
        Ranking {
            equal: winners,
            order,
        }
    }

    /// Which paths of a prefix a group chooses.
    pub(crate) fn ranking_for(&self, core: &Core, prefix: PrefixId, paths: SentPaths) -> Ranking {
        if paths == SentPaths::All {
            return Ranking::default();
        }
        self.ranking(core, (prefix, self.winners(core, prefix)), paths.depth())
    }

    /// The usable paths of a prefix.
    pub(crate) fn candidates(&self, core: &Core, prefix: PrefixId) -> Candidates {
        let usable =
            |(slot, _): (PathSlot, _)| self.candidate(core, slot).ok().flatten().map(|at| (slot, at));
        self.data.rib_in.of(prefix).filter_map(usable).collect()
    }

    /// What the decision compares of a path; `None` for one that import rejected.
    ///
    /// # Errors
    ///
    /// Why its next hop keeps it out.
    pub(crate) fn candidate(&self, core: &Core, slot: PathSlot) -> Result<Option<Candidate>, Unusable> {
        let path = self.data.rib_in.path(slot);
        let Some(accepted) = path.accepted.some() else {
            return Ok(None);
        };
        let metric = core.attributes.metric(accepted)?;
        let KeyValues {
            local_pref,
            med,
            as_path_length,
            first_as,
            originator_id,
            cluster_list_length,
            origin,
            llgr_stale,
            ..
        } = core.attributes.set(accepted).key();
        let peer = core.peers.settings(path.peer);
        let router_id = originator_id.or_else(|| peer.map(|peer| peer.bgp_identifier));
        Ok(Some(Candidate {
            local: path.peer.is_local(),
            llgr_stale,
            weight: core.attributes.set(accepted).weight(),
            local_pref: local_pref.unwrap_or(DEFAULT_LOCAL_PREF),
            as_path_length,
            origin,
            med: med.unwrap_or(if core.settings.decision.med_missing_as_worst {
                u32::MAX
            } else {
                0
            }),
            neighbour_as: first_as.map_or(0, |asn| asn.0),
            external: peer.is_some_and(|peer| peer.kind == PeerKind::External),
            metric,
            changed_s: path.changed_s,
            router_id: router_id.map_or(0, std::net::Ipv4Addr::to_bits),
            cluster_list_length,
            peer_address: peer.map(|peer| peer.address),
            path_id: if path.peer.is_local() {
                path.peer.0
            } else {
                self.data.rib_in.path_id(slot)
            },
        }))
    }

    /// Works out what the kernel should hold. `paths`: the best, then those equal to it.
    fn install(&mut self, core: &mut Core, prefix: PrefixId, paths: &[PathSlot]) {
        let route = paths.first().and_then(|best| self.fib_route(core, *best, paths));
        if self.fib.len() <= prefix.index() {
            if route.is_none() {
                return;
            }
            self.fib.resize(prefix.index() + 1, FibId::NONE);
        }
        let id = &mut self.fib[prefix.index()];
        let before = core.fib.route(*id).map(|route| route.table);
        if core.fib.replace(id, route) {
            let route = core.fib.route(*id).cloned();
            let after = route.as_ref().map(|route| route.table);
            self.fib_changes.push(FibChange {
                table: after.or(before).unwrap_or(TableId::UNSPECIFIED),
                left: before.filter(|before| after.is_some_and(|after| after != *before)),
                prefix: self.data.prefixes.prefix(prefix),
                route,
            });
        }
    }

    fn fib_route(&self, core: &Core, best: PathSlot, paths: &[PathSlot]) -> Option<FibRoute> {
        let source = |slot: PathSlot| core.peers.settings(self.data.rib_in.path(slot).peer);
        // A route of our own is in the kernel already, or is an address of this machine.
        let peer = source(best).filter(|peer| peer.policy.install)?;
        let set = core.attributes.set(self.data.rib_in.path(best).accepted);
        let mut next_hops: SmallVec<[FibNextHop; 2]> = SmallVec::new();
        let mut bandwidths: SmallVec<[u64; 2]> = SmallVec::new();
        let limit = usize::from(core.settings.multipath.max(1));
        for slot in paths {
            let usable = source(*slot).is_some_and(|peer| peer.policy.install);
            let set = core.attributes.set(self.data.rib_in.path(*slot).accepted);
            let link = source(*slot)
                .filter(|peer| peer.shared_link)
                .map_or(0, |peer| peer.link);
            let next_hop = set.next_hop().filter(|_| usable);
            if let Some(next_hop) = next_hop.map(|next_hop| fib_next_hop(next_hop, link))
                && !next_hops.contains(&next_hop)
                && next_hops.len() < limit
            {
                next_hops.push(next_hop);
                // Nobody shares with a path that is alone.
                bandwidths.push(if paths.len() > 1 {
                    bandwidth(&set.attributes())
                } else {
                    0
                });
            }
        }
        for (next_hop, weight) in next_hops.iter_mut().zip(weights(&bandwidths)) {
            next_hop.weight = weight;
        }
        next_hops.sort_unstable();
        Some(FibRoute {
            next_hops,
            local_pref: set.key().local_pref.unwrap_or(DEFAULT_LOCAL_PREF),
            external: peer.kind == PeerKind::External,
            blackhole: set.key().blackhole,
            table: match set.marks().table.or(peer.policy.install_table) {
                Some(table) => table,
                None if self.data.id == TableId::MAIN => TableId::UNSPECIFIED,
                None => self.data.id,
            },
        })
    }

    /// Exports to groups that are new, up to `limit` prefixes in all; whether all are done.
    pub(crate) fn fill_groups(&mut self, core: &mut Core, mut limit: u32) -> bool {
        let bound = u32::try_from(self.data.prefixes.bound()).unwrap_or(u32::MAX);
        let mut done = true;
        for at in 0..self.groups.len() {
            self.groups[at].forget_verdicts();
            let paths = self.groups[at].key.paths;
            if let Some(from) = self.groups[at].fill {
                let end = from.saturating_add(limit).min(bound);
                for prefix in (from..end).map(PrefixId) {
                    if self.data.prefixes.is_used(prefix) {
                        let ranking = self.ranking_for(core, prefix, paths);
                        self.groups[at].export((prefix, &ranking), core, &self.data);
                    }
                }
                limit = limit.saturating_sub(end - from);
                let group = &mut self.groups[at];
                group.fill = (end < bound).then_some(end);
                group.active = true;
            }
            let group = &mut self.groups[at];
            if group.fill.is_none() {
                done &= group.judge_further(&mut limit, core, &self.data);
            } else {
                done = false;
            }
        }
        done
    }

    /// Whether the prefix can be forgotten.
    pub(crate) fn is_idle(&self, prefix: PrefixId) -> bool {
        self.data.rib_in.is_empty(prefix)
            && !self.dirty.contains(prefix)
            && !self
                .groups
                .iter()
                .any(|group| !group.key.add_path && group.is_pinned(prefix.0))
    }

    /// The longest match of an address among prefixes that have a best path.
    pub(crate) fn lookup(&self, address: IpAddr) -> Option<(PrefixId, Prefix)> {
        let fits = address.is_ipv4() == (self.data.family.afi == Afi::IPV4);
        let mut covering = self.data.prefixes.covering(address).filter(|_| fits);
        covering.find(|(prefix, _)| self.data.best(*prefix).is_some())
    }
}

/// Of [`AttributeSet::rank`](super::attributes::AttributeSet::rank) what the shard's options compare.
#[inline]
const fn compared(core: &Core, rank: u64) -> u64 {
    if core.settings.decision.ignore_as_path_length {
        rank & !AS_PATH_LENGTH_OF_RANK
    } else {
        rank
    }
}

/// The decision with the shard's options.
pub(crate) fn choose(core: &Core, candidates: &Candidates, lost: impl FnMut(Loss)) -> decision::Choice {
    let rules = Rules {
        always_compare_med: core.settings.always_compare_med,
        options: core.settings.decision,
    };
    let values: SmallVec<[Candidate; 8]> = candidates.iter().map(|(_, candidate)| *candidate).collect();
    decision::decide(&values, rules, lost)
}

/// Shares of the traffic, 1 to 256 as the kernel has them, in the smallest numbers that say the same; equal shares unless
/// every path names its bandwidth.
fn weights(bandwidths: &[u64]) -> SmallVec<[u16; 2]> {
    const LARGEST: u128 = 256;
    let most = bandwidths.iter().copied().max().unwrap_or_default();
    if bandwidths.contains(&0) || bandwidths.iter().all(|bandwidth| *bandwidth == most) {
        return SmallVec::from_elem(1, bandwidths.len());
    }
    let shares = bandwidths.iter().map(|bandwidth| {
        let share = (u128::from(*bandwidth) * LARGEST + u128::from(most) / 2) / u128::from(most);
        u16::try_from(share.clamp(1, LARGEST)).unwrap_or(u16::MAX)
    });
    let shares: SmallVec<[u16; 2]> = shares.collect();
    let common = shares
        .iter()
        .copied()
        .reduce(greatest_common_divisor)
        .unwrap_or(1);
    shares.into_iter().map(|share| share / common).collect()
}

const fn greatest_common_divisor(a: u16, b: u16) -> u16 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

/// `link`: the interface of the session, which a next hop that is link-local needs to mean anything. Beside a global one the
/// link-local address is not used: the global one is what the kernel resolves, and follows.
fn fib_next_hop(next_hop: NextHop, link: u32) -> FibNextHop {
    let address = next_hop.address();
    let needs_link = match address {
        IpAddr::V6(address) => address.is_unicast_link_local(),
        IpAddr::V4(_) => false,
    };
    FibNextHop {
        address,
        link_local: next_hop.link_local(),
        interface: if needs_link { link } else { 0 },
        weight: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::weights;

    #[test]
    fn weights_follow_bandwidth_where_every_path_names_it() {
        let check =
            |bandwidths: &[u64], expected: &[u16]| assert_eq!(weights(bandwidths).as_slice(), expected);
        check(&[], &[]);
        check(&[10], &[1]);
        check(&[10, 10], &[1, 1]);
        check(&[0, 20], &[1, 1]);
        check(&[10, 20], &[1, 2]);
        check(&[30, 10, 20], &[256, 85, 171]);
        check(&[1, u64::MAX], &[1, 256]);
    }
}
