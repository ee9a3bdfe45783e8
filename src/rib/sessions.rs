//! Sessions that come and go: graceful restart as a helper (RFC 4724 §4.2), groups joined and left, policy that changes.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use bgp_codec::{Family, FamilySet};

use super::group::GroupKey;
use super::ids::PeerIndex;
use super::interface::{DownRoutes, LongLived, Output, Peer, PeerPolicy};
use super::jobs::{Job, JobKind};
use super::limits;
use super::peers::PeerFamily;
use super::selection::SETTLE_TIME;
use super::shard::{Rib, is_carried};

/// How long stale routes outlive the return of the session when End-of-RIB does not come, RFC 4724 §4.2.
const STALE_TIME: Duration = Duration::from_secs(360);

impl Rib {
    pub(super) fn peer_up(&mut self, peer: Peer, now: Instant) {
        if let Some(index) = self.core.peers.find(peer.id)
            && self.core.peers.get(index).is_some_and(|state| state.up)
        {
            self.replace_session(index, now);
        }
        // What others were told of the peer's routes was worked out from what it was then: that must stay known until they
        // have been told otherwise.
        if let Some(index) = self.core.peers.find(peer.id)
            && !self
                .core
                .peers
                .settings(index)
                .is_some_and(|before| is_same_speaker(before, &peer))
        {
            self.peer_removed(index, now);
        }
        let known = self.core.peers.find(peer.id);
        let before = known.and_then(|index| self.core.peers.settings(index));
        let regrouped = before.is_some_and(|before| before.policy.group != peer.policy.group);
        let index = self.core.peers.bring_up(peer);
        let Some(settings) = self.core.peers.settings(index).cloned() else {
            return;
        };
        self.take_back_families(index, &settings, now);
        if regrouped {
            self.redecide(index);
        }
        if self.suspects.contains(&settings.address) {
            self.suspects.retain(|suspect| *suspect != settings.address);
            self.core.outputs.push_back(Output::Settled(settings.address));
        }
        let mut changed = Vec::new();
        for address in own_addresses(&settings) {
            changed.extend(self.core.attributes.next_hops.add_own(address));
        }
        self.next_hops_changed(&changed);
        for family in settings
            .negotiated
            .families
            .iter()
            .filter(|family| is_carried(*family))
        {
            let table = self.ensure_table(settings.table, family);
            let key = GroupKey::new(&self.core.settings, &settings, family);
            let group = self.ensure_group(table, key);
            group.join(index, settings.address, &settings.policy.export, None);
        }
    }

    /// RFC 4724 §4.2: a new connection of a peer with graceful restart takes over from one that still looks up.
    fn replace_session(&mut self, peer: PeerIndex, now: Instant) {
        let Some(settings) = self.core.peers.settings(peer) else {
            return;
        };
        let routes = match settings.negotiated.graceful_restart {
            Some(graceful) => DownRoutes::Retain {
                families: graceful.families,
                restart_time: STALE_TIME,
                long_lived: LongLived::NONE,
            },
            None => DownRoutes::Flush,
        };
        self.peer_down(peer, &routes, now);
    }

    /// Sets up the session's families, and decides which routes of an earlier session may stay.
    fn take_back_families(&mut self, peer: PeerIndex, settings: &Peer, now: Instant) {
        let kept = settings
            .negotiated
            .graceful_restart
            .map(|graceful| graceful.families.intersection(graceful.forwarding));
        let kept_long = settings
            .negotiated
            .graceful_restart
            .and_then(|graceful| graceful.long_lived)
            .unwrap_or(FamilySet::EMPTY);
        let mut flush = Vec::new();
        let Some(state) = self.core.peers.get_mut(peer) else {
            return;
        };
        for (family, at) in &mut state.families {
            let negotiated = settings.negotiated.families.contains(*family);
            // RFC 4724 §4.2: capability or family missing, or forwarding state lost: at once.
            let keep =
                negotiated && at.table == settings.table && kept.is_some_and(|kept| kept.contains(*family));
            // RFC 9494 §4.2: once the restart time is over, the other capability's F bit counts.
            let keep_long = negotiated && at.table == settings.table && kept_long.contains(*family);
            let keep = if at.lingering { keep_long } else { keep };
            at.retained_until = at.retained_until.filter(|_| keep).map(|_| now + STALE_TIME);
            at.long_lived = None;
            at.lingering &= keep;
            at.session_epoch = at.epoch;
            (
                at.refreshing,
                at.end_of_rib_received,
                at.end_of_rib_sent,
                at.warned,
            ) = (false, false, false, false);
            if at.retained_until.is_none() && at.received > 0 {
                flush.push((*family, at.epoch, at.table));
            }
        }
        for (family, keep, table) in flush {
            if let Some(table) = self.find_table(table, family) {
                self.jobs
                    .push_back(Job::new(table, JobKind::Sweep { peer, keep }));
            }
        }
        // RFC 4724 §4.1: a peer that restarts itself waits for us, and so is not waited for to the end.
        let graceful = settings.negotiated.graceful_restart;
        let silent = graceful.is_none_or(|graceful| graceful.restarting);
        for family in settings
            .negotiated
            .families
            .iter()
            .filter(|family| is_carried(*family))
        {
            self.ensure_table(settings.table, family);
            let total = self.core.totals.as_ref().map(|all| all.of(settings.id, family));
            if let Some(state) = self.core.peers.get_mut(peer) {
                let at = state
                    .families
                    .entry(family)
                    .or_insert_with(|| PeerFamily::new(settings.table, total));
                at.settles_at = silent.then(|| now + SETTLE_TIME);
            }
        }
    }

    pub(super) fn peer_down(&mut self, peer: PeerIndex, routes: &DownRoutes, now: Instant) {
        let Some(state) = self.core.peers.get_mut(peer).filter(|state| state.up) else {
            return;
        };
        state.up = false;
        state.credit = 0;
        let settings = state.settings.clone();
        self.leave_groups(peer);
        let mut changed = Vec::new();
        for address in own_addresses(&settings) {
            changed.extend(self.core.attributes.next_hops.remove_own(address));
        }
        self.next_hops_changed(&changed);
        if *routes == DownRoutes::Flush && self.core.settings.install {
            self.core.outputs.push_back(Output::Suspect(settings.address));
            self.suspects.push(settings.address);
        }
        let families: Vec<Family> = self
            .core
            .peers
            .get(peer)
            .map(|state| state.families.keys().copied().collect())
            .unwrap_or_default();
        for family in families {
            match routes {
                DownRoutes::Retain {
                    families,
                    restart_time,
                    long_lived,
                } if families.contains(family) || long_lived.time(family).is_some() => {
                    let time = if families.contains(family) {
                        *restart_time
                    } else {
                        Duration::ZERO
                    };
                    self.retain(peer, family, now + time);
                    let long = long_lived.time(family);
                    if let Some(at) = self.core.peers.family_mut(peer, family) {
                        at.long_lived = long;
                    }
                }
                DownRoutes::Retain { .. } | DownRoutes::Flush => self.flush(peer, family),
            }
        }
    }

    /// RFC 4724 §4.2: stale from now on. What was stale already has had its chance.
    fn retain(&mut self, peer: PeerIndex, family: Family, until: Instant) {
        let Some(at) = self.core.peers.family_mut(peer, family) else {
            return;
        };
        let session = at.session_epoch;
        let stale_already = at.retained_until.is_some();
        at.epoch = at.epoch.wrapping_add(1);
        at.retained_until = Some(until);
        at.refreshing = false;
        at.lingering = false;
        if stale_already {
            self.sweep(peer, family, session);
        }
    }

    fn flush(&mut self, peer: PeerIndex, family: Family) {
        let Some(at) = self.core.peers.family_mut(peer, family) else {
            return;
        };
        at.epoch = at.epoch.wrapping_add(1);
        at.retained_until = None;
        (at.long_lived, at.lingering) = (None, false);
        at.refreshing = false;
        let keep = at.epoch;
        self.sweep(peer, family, keep);
    }

    /// RFC 4760 §7: what was learned of a family goes, and neither side is told more of it in this session. What the peer has
    /// from us is withdrawn, so that it does not keep what nobody would update.
    pub(super) fn disable_family(&mut self, peer: PeerIndex, family: Family) {
        self.flush(peer, family);
        let Some(state) = self.core.peers.get_mut(peer) else {
            return;
        };
        if let Some(at) = state.families.get_mut(&family) {
            // A restarting speaker does not wait for it.
            at.end_of_rib_received = true;
            at.settles_at = None;
        }
        let settings = state.settings_for(family);
        if let Some(table) = self.table_of(peer, family) {
            self.regroup(peer, table, &settings, family);
        }
    }

    pub(super) fn peer_removed(&mut self, peer: PeerIndex, now: Instant) {
        self.peer_down(peer, &DownRoutes::Flush, now);
        let families: Vec<Family> = self
            .core
            .peers
            .get(peer)
            .map(|state| state.families.keys().copied().collect())
            .unwrap_or_default();
        for family in families {
            self.flush(peer, family);
        }
        self.core.peers.forget(peer);
    }

    /// Routes whose peer did not come back in time, or did not say that it had sent everything.
    pub(super) fn expire(&mut self, now: Instant) {
        let mut due = Vec::new();
        for (peer, state) in self.core.peers.iter() {
            for (family, at) in &state.families {
                if at.retained_until.is_some_and(|until| until <= now) {
                    due.push((peer, *family, if state.up { at.session_epoch } else { at.epoch }));
                }
            }
        }
        for (peer, family, keep) in due {
            if self.linger(peer, family, now) {
                continue;
            }
            if let Some(at) = self.core.peers.family_mut(peer, family) {
                at.retained_until = None;
                at.lingering = false;
            }
            self.sweep(peer, family, keep);
        }
    }

    /// RFC 9494 §4.2: the restart time is over, and what is stale stays as the last resort, marked as such.
    fn linger(&mut self, peer: PeerIndex, family: Family, now: Instant) -> bool {
        let Some(at) = self.core.peers.family_mut(peer, family) else {
            return false;
        };
        let Some(time) = at.long_lived.take() else {
            return false;
        };
        at.lingering = true;
        at.retained_until = Some(now + time);
        if let Some(table) = self.table_of(peer, family) {
            self.jobs.push_back(Job::new(table, JobKind::Reimport { peer }));
        }
        true
    }

    fn leave_groups(&mut self, peer: PeerIndex) {
        for table in 0..self.tables.len() {
            let groups = &mut self.tables[table].groups;
            let group = groups.iter().position(|group| group.by_peer.contains_key(&peer));
            if let Some(group) = group {
                groups[group].leave(peer);
                self.dissolve_if_empty(table, group);
            }
        }
    }

    /// The last member takes its group with it.
    fn dissolve_if_empty(&mut self, table: usize, group: usize) {
        let table = &mut self.tables[table];
        if table.groups[group].by_peer.is_empty() {
            let mut gone = table.groups.swap_remove(group);
            table.moves_of_gone_groups += gone.moves;
            let slots = gone.dissolve(&mut self.core);
            table.gone.push(slots);
        }
    }

    pub(super) fn reconfigure(&mut self, peer: PeerIndex, policy: PeerPolicy) {
        let Some(state) = self.core.peers.get_mut(peer) else {
            return;
        };
        let old = std::mem::replace(&mut state.settings.policy, policy);
        if old == state.settings.policy {
            return;
        }
        let (new, up) = (&state.settings.policy, state.up);
        let limits = |policy: &PeerPolicy| {
            let limits = (policy.max_prefixes, policy.max_prefixes_accepted);
            (limits, policy.max_prefix_warn_only)
        };
        let limited_anew = up && limits(&old) != limits(new);
        let regrouped = old.group != new.group;
        let reimport = old.import != new.import
            || regrouped && new.import.reads_surroundings()
            || old.allow_own_as != new.allow_own_as
            || old.enforce_first_as != new.enforce_first_as
            || old.as_path.no_prepend != new.as_path.no_prepend;
        // Filters towards others may ask for the group.
        let redecide = regrouped
            || (old.install, old.install_table, old.rr_client)
                != (new.install, new.install_table, new.rr_client);
        let families: Vec<(Family, Peer)> = state
            .families
            .keys()
            .map(|family| (*family, state.settings_for(*family)))
            .collect();
        let decode_anew = old.as_sets != state.settings.policy.as_sets;
        if limited_anew {
            state.families.values_mut().for_each(|at| at.warned = false);
            limits::warn(&mut self.core, peer);
        }
        if decode_anew {
            self.decode_anew(peer);
        }
        for (family, settings) in families {
            let Some(table) = self.table_of(peer, family) else {
                continue;
            };
            if reimport {
                self.jobs.push_back(Job::new(table, JobKind::Reimport { peer }));
            }
            if redecide {
                self.jobs.push_back(Job::new(table, JobKind::Redecide { peer }));
            }
            if up && settings.negotiated.families.contains(family) {
                self.regroup(peer, table, &settings, family);
            }
        }
    }

    /// Decides what a peer has sent again: filters towards others may see it in another light.
    fn redecide(&mut self, peer: PeerIndex) {
        let families = self.core.peers.get(peer).map(|state| &state.families);
        let families: Vec<Family> = families.into_iter().flat_map(|at| at.keys().copied()).collect();
        for family in families {
            if let Some(table) = self.table_of(peer, family) {
                self.jobs.push_back(Job::new(table, JobKind::Redecide { peer }));
            }
        }
    }

    /// Messages are read in another way from here on: what was received is asked for again (RFC 2918).
    fn decode_anew(&mut self, peer: PeerIndex) {
        let Some(state) = self.core.peers.get_mut(peer) else {
            return;
        };
        state.context.as_sets = state.settings.policy.as_sets;
        let id = state.settings.id;
        if state.up {
            for family in state.context.families.iter() {
                self.core
                    .outputs
                    .push_back(Output::RequestRefresh { peer: id, family });
            }
        }
    }

    /// Moves a peer to the group that its settings ask for; nothing happens if that is the one it is in.
    fn regroup(&mut self, peer: PeerIndex, table: usize, settings: &Peer, family: Family) {
        let key = GroupKey::new(&self.core.settings, settings, family);
        let at = &mut self.tables[table];
        let place = at
            .groups
            .iter()
            .position(|group| group.by_peer.contains_key(&peer));
        let Some(place) = place else { return };
        let group = &mut at.groups[place];
        if group.key == key {
            group.set_filter(peer, &settings.policy.export);
            return;
        }
        group.flush(&mut self.core, &at.data);
        let carried = group.leave_for_another(peer, &mut self.core);
        self.dissolve_if_empty(table, place);
        let group = self.ensure_group(table, key);
        group.join(peer, settings.address, &settings.policy.export, carried);
    }
}

/// Whether a session's routes go on from the last one's: nothing is different that the export of its routes looks at.
fn is_same_speaker(before: &Peer, now: &Peer) -> bool {
    let identity = |peer: &Peer| {
        let ends = (peer.address, peer.local_address, peer.shared_link);
        (peer.kind, peer.asn, peer.bgp_identifier, ends)
    };
    identity(before) == identity(now)
}

fn own_addresses(peer: &Peer) -> Vec<IpAddr> {
    let own = &peer.self_addresses;
    let all = [
        Some(peer.local_address),
        own.ipv4.map(IpAddr::V4),
        own.ipv6.map(IpAddr::V6),
        own.link_local.map(IpAddr::V6),
    ];
    let mut all: Vec<IpAddr> = all.into_iter().flatten().collect();
    all.sort_unstable();
    all.dedup();
    all
}
