//! Answers to questions, but for the longest of them (`why.rs`). What is printed are the values that deciding code returned: nothing is decided here.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bgp_codec::Family;
use smallvec::SmallVec;

use super::core::Core;
use super::decision::Loss;
use super::explain::{Answer, Counters, PeerCounters, Query, RouteEntry, View};
use super::export;
use super::id_set::IdSet;
use super::ids::{AttributesId, PathSlot, PeerIndex, PrefixId};
use super::import;
use super::shard::Rib;
use super::table::{self, Candidates, Table};
use super::update_group::{self, UpdateGroup};
use crate::route::{Prefix, TableId};

/// Prefixes in one page at most.
const PAGE: usize = 4_096;

impl Rib {
    pub(super) fn answer(&self, query: &Query, now: Instant) -> Answer {
        match query {
            Query::Routes {
                view,
                family,
                within,
                after,
                limit,
            } => {
                let page = Page {
                    family: *family,
                    within: *within,
                    after: *after,
                    limit: (*limit).clamp(1, PAGE),
                };
                self.routes(*view, page, now)
            }
            Query::Lookup(address) => self.lookup(*address, now),
            Query::Why { prefix, peer } => self.why(prefix.trunc(), *peer, now),
            Query::Counters => Answer::Counters(self.counters()),
        }
    }

    fn routes(&self, view: View, page: Page, now: Instant) -> Answer {
        let peer = match view {
            View::Best => None,
            View::Received(id) | View::Advertised(id) => match self.core.peers.find(id) {
                Some(peer) => Some(peer),
                None => return Answer::NoSuchPeer,
            },
        };
        let mut found: Vec<(Prefix, usize, PrefixId)> = Vec::new();
        let mut more = false;
        for (index, table) in self.tables.iter().enumerate() {
            if page.family.is_some_and(|family| family != table.data.family) {
                continue;
            }
            let wanted = |id: PrefixId, prefix: Prefix| {
                page.within.is_none_or(|within| within.contains(&prefix))
                    && self.is_in_view(table, view, peer, id)
            };
            let (prefixes, rest) = table.data.prefixes.page(page.after, page.limit, wanted);
            more |= rest;
            found.extend(prefixes.into_iter().map(|(prefix, id)| (prefix, index, id)));
        }
        found.sort_unstable();
        more |= found.len() > page.limit;
        found.truncate(page.limit);
        let next = found.last().map(|(prefix, ..)| *prefix).filter(|_| more);
        let mut routes = Vec::new();
        for (_, table, id) in found {
            routes.extend(self.entries(&self.tables[table], (view, peer), id, now));
        }
        Answer::Routes { routes, next }
    }

    fn is_in_view(&self, table: &Table, view: View, peer: Option<PeerIndex>, id: PrefixId) -> bool {
        match (view, peer) {
            (View::Received(_), Some(peer)) => table.data.rib_in.of(id).any(|(_, path)| path.peer == peer),
            (View::Advertised(_), Some(peer)) => !self.advertised(table, peer, id).is_empty(),
            _ => !table.data.rib_in.is_empty(id),
        }
    }

    /// Ids under which a peer is sent a prefix.
    fn advertised(&self, table: &Table, peer: PeerIndex, id: PrefixId) -> SmallVec<[u32; 2]> {
        let Some(group) = group_of(table, peer) else {
            return SmallVec::new();
        };
        let ids: SmallVec<[u32; 2]> = if group.key.add_path {
            table.data.rib_in.of(id).map(|(slot, _)| slot.0).collect()
        } else {
            std::iter::once(id.0).collect()
        };
        ids.into_iter()
            .filter(|id| group.is_sent(peer, *id, &self.core, &table.data))
            .collect()
    }

    fn entries(
        &self,
        table: &Table,
        (view, peer): (View, Option<PeerIndex>),
        id: PrefixId,
        now: Instant,
    ) -> Vec<RouteEntry> {
        if let (View::Advertised(_), Some(peer)) = (view, peer) {
            let Some(group) = group_of(table, peer) else {
                return Vec::new();
            };
            let sent = self.advertised(table, peer, id).into_iter();
            return sent
                .filter_map(|id| self.sent_entry(table, group, peer, id))
                .collect();
        }
        let verdicts = Verdicts::of(&self.core, table, id);
        let paths = table
            .data
            .rib_in
            .of(id)
            .filter(|(_, path)| peer.is_none_or(|peer| path.peer == peer));
        let mut paths: Vec<RouteEntry> = paths
            .map(|(slot, _)| self.entry(table, &verdicts, slot, now))
            .collect();
        paths.sort_by_key(|path| !path.best);
        paths
    }

    /// One path as received.
    pub(super) fn entry(
        &self,
        table: &Table,
        verdicts: &Verdicts,
        slot: PathSlot,
        now: Instant,
    ) -> RouteEntry {
        let path = table.data.rib_in.path(slot);
        let shown = path.accepted.some().unwrap_or(path.received);
        let stale = self
            .core
            .peers
            .family(path.peer, table.data.family)
            .is_some_and(|at| at.epoch != path.epoch);
        let age_s = self.core.seconds_at(now).saturating_sub(path.changed_s).into();
        let unusable = match table.candidate(&self.core, slot) {
            Ok(Some(_)) => None,
            Ok(None) => Some(self.import_words(table, slot)),
            Err(unusable) => Some(unusable.to_string()),
        };
        RouteEntry {
            prefix: table.data.prefixes.prefix(table.data.rib_in.prefix(slot)),
            path_id: table.data.rib_in.path_id(slot),
            source: self.core.source_name(path.peer),
            best: verdicts.best == Some(slot),
            multipath: verdicts.multipath.contains(&slot),
            stale,
            unusable,
            age_s,
            ..self.attributes_entry(shown)
        }
    }

    /// What a peer is sent.
    fn sent_entry(&self, table: &Table, group: &UpdateGroup, peer: PeerIndex, id: u32) -> Option<RouteEntry> {
        let slot = group.out.at(id)?;
        let prefix = update_group::prefix_id(&group.key, id, &table.data);
        let route = update_group::route(&self.core, &table.data, prefix, (slot.source, slot.attributes));
        let edits = self.core.edits.at(slot.edits());
        let next_hop = export::next_hop(&group.key, &route, &edits).ok()?;
        let own = self.core.peers.settings(peer).map(|peer| peer.self_addresses);
        let next_hop = next_hop.address().or_else(|| {
            let own = own?;
            let ipv6 = own.ipv6.map(IpAddr::V6);
            if table.data.family.afi == bgp_codec::Afi::IPV4 {
                own.ipv4.map(IpAddr::V4).or(ipv6)
            } else {
                ipv6
            }
        });
        let attributes = export::outgoing(&group.key, route.set, route.origin, &edits);
        Some(RouteEntry {
            prefix: table.data.prefixes.prefix(prefix),
            path_id: if group.key.add_path { id.wrapping_add(1) } else { 0 },
            source: self.core.source_name(slot.source),
            next_hop,
            best: true,
            ..words(&attributes)
        })
    }

    fn attributes_entry(&self, id: AttributesId) -> RouteEntry {
        let set = self.core.attributes.set(id);
        let attributes = bgp_codec::PathAttributes::from(&set.attributes());
        let marks = set.marks();
        RouteEntry {
            next_hop: set.next_hop().map(bgp_codec::NextHop::address),
            weight: marks.weight,
            tag: marks.tag,
            table: marks.table.map(|table| table.0),
            ..words(&attributes)
        }
    }

    /// What import decided, in words.
    pub(super) fn import_words(&self, table: &Table, slot: PathSlot) -> String {
        let path = table.data.rib_in.path(slot);
        let route = (
            table.data.family,
            table.data.prefixes.prefix(table.data.rib_in.prefix(slot)),
        );
        if path.peer.is_local() {
            return match table.data.aggregates.at(route.1) {
                Some((_, contributors)) if self.core.is_aggregate(path.peer) => {
                    format!("aggregate of {}", self.contributors(table, contributors))
                }
                _ => "originated here".to_owned(),
            };
        }
        match import::import(
            &self.core,
            path.peer,
            route,
            self.core.attributes.set(path.received),
        ) {
            Ok((_, reason)) => format!("accepted by {reason}"),
            Err(rejected) => rejected.to_string(),
        }
    }

    /// How many contributors there are, and one of them.
    fn contributors(&self, table: &Table, contributors: &IdSet) -> String {
        let first = contributors.iter().next();
        let first = first.map(|id| table.data.prefixes.prefix(PrefixId(id)));
        match (contributors.len(), first) {
            (1, Some(only)) => format!("one route: {only}"),
            (count, Some(first)) => format!("{count} routes, {first} among them"),
            (_, None) => "no route".to_owned(),
        }
    }

    fn lookup(&self, address: IpAddr, now: Instant) -> Answer {
        let mut routes = Vec::new();
        let mut tables: Vec<&Table> = self.tables.iter().filter(|table| is_unicast(table)).collect();
        tables.sort_by_key(|table| table.data.id != TableId::MAIN);
        if let Some((table, prefix)) = tables
            .into_iter()
            .find_map(|table| Some((table, table.lookup(address)?.0)))
        {
            routes = self.entries(table, (View::Best, None), prefix, now);
        }
        Answer::Routes { routes, next: None }
    }

    fn counters(&self) -> Counters {
        let mut counters = Counters {
            attribute_sets: self.core.attributes.len() as u64,
            memory: self.memory(),
            ..Counters::default()
        };
        for table in &self.tables {
            counters.prefixes += table.data.best_count() as u64;
            counters.paths += table.data.rib_in.len() as u64;
            counters.undecided += table.dirty() as u64;
            counters.groups += table.groups.len() as u64;
            counters.ring_bytes += table
                .groups
                .iter()
                .map(|group| group.queued_bytes() as u64)
                .sum::<u64>();
        }
        for (peer, state) in self.core.peers.iter() {
            for family in state
                .families
                .keys()
                .filter(|family| state.up || state.families[family].received > 0)
            {
                counters.peers.extend(self.peer_counters(peer, *family));
            }
        }
        counters
    }

    fn peer_counters(&self, peer: PeerIndex, family: Family) -> Option<PeerCounters> {
        let state = self.core.peers.get(peer)?;
        let at = state.families.get(&family)?;
        let table = self.table_of(peer, family).map(|table| &self.tables[table])?;
        let group = group_of(table, peer);
        let is_stale = at.retained_until.is_some() || at.refreshing;
        let stale = if is_stale && at.received > 0 {
            table
                .data
                .rib_in
                .live()
                .filter(|path| path.peer == peer && path.epoch != at.epoch)
                .count() as u64
        } else {
            0
        };
        Some(PeerCounters {
            peer: state.settings.id,
            name: Arc::clone(&state.settings.name),
            family: family.to_string(),
            received: at.received.into(),
            accepted: at.accepted.into(),
            best: at.best.into(),
            advertised: group.map_or(0, |group| group.advertised(peer)),
            stale,
            pending: group.map_or(0, |group| group.pending(peer)),
            disabled: state.disabled.contains(family),
            end_of_rib_received: at.end_of_rib_received,
            end_of_rib_sent: at.end_of_rib_sent,
            updates_received: state.updates_received,
            updates_sent: state.updates_sent,
            malformed: state.malformed,
        })
    }
}

#[derive(Clone, Copy)]
struct Page {
    family: Option<Family>,
    within: Option<Prefix>,
    after: Option<Prefix>,
    limit: usize,
}

/// What the decision says of a prefix, with the loser of each step.
pub(super) struct Verdicts {
    pub(super) candidates: Candidates,
    pub(super) best: Option<PathSlot>,
    pub(super) multipath: SmallVec<[PathSlot; 4]>,
    pub(super) losses: Vec<Loss>,
}

impl Verdicts {
    pub(super) fn of(core: &Core, table: &Table, prefix: PrefixId) -> Self {
        let candidates = table.candidates(core, prefix);
        let mut losses = Vec::new();
        let choice = table::choose(core, &candidates, |loss| losses.push(loss));
        let slot = |at: &usize| candidates[*at].0;
        let limit = usize::from(core.settings.multipath.max(1));
        Self {
            // What has been decided, not what would be: a prefix may still wait for its turn.
            best: table.data.best(prefix),
            multipath: choice
                .multipath
                .iter()
                .map(slot)
                .take(limit)
                .filter(|_| limit > 1)
                .collect(),
            losses,
            candidates,
        }
    }
}

pub(super) fn group_of(table: &Table, peer: PeerIndex) -> Option<&UpdateGroup> {
    table
        .groups
        .iter()
        .find(|group| group.by_peer.contains_key(&peer))
}

pub(super) fn is_unicast(table: &Table) -> bool {
    table.data.family.safi == bgp_codec::Safi::UNICAST
}

/// Attributes in the operators' notation.
fn words(attributes: &bgp_codec::PathAttributes) -> RouteEntry {
    let communities = attributes.communities.iter().map(ToString::to_string);
    let large = attributes.large_communities.iter().map(ToString::to_string);
    let extended = attributes.extended_communities.iter().map(ToString::to_string);
    RouteEntry {
        prefix: Prefix::default(),
        path_id: 0,
        source: Arc::from(""),
        next_hop: attributes.next_hop.map(bgp_codec::NextHop::address),
        origin: attributes.origin.to_string(),
        as_path: attributes.as_path.to_string(),
        local_pref: attributes
            .local_pref
            .unwrap_or(super::attributes::DEFAULT_LOCAL_PREF),
        med: attributes.med,
        weight: 0,
        tag: 0,
        table: None,
        communities: communities.chain(large).chain(extended).collect(),
        originator_id: attributes.originator_id.map(IpAddr::V4),
        cluster_list: attributes.cluster_list.iter().copied().map(IpAddr::V4).collect(),
        best: false,
        multipath: false,
        stale: false,
        unusable: None,
        age_s: 0,
    }
}
