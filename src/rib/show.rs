//! Answers to questions. What is printed are the values that deciding code returned: nothing is decided here.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bgp_codec::Family;
use smallvec::SmallVec;

use super::core::Core;
use super::decision::{Candidate, Loss};
use super::explain::{
    Answer, Counters, Explanation, ExportStory, GroupStory, PathStory, PeerCounters, Query, RouteEntry, View,
};
use super::export::{self, Verdict, Withheld};
use super::id_set::IdSet;
use super::ids::{AttributesId, PathSlot, PeerIndex, PrefixId};
use super::import;
use super::shard::{Rib, family_of};
use super::table::{self, Candidates, Table};
use super::update_group::{self, UpdateGroup};
use crate::route::{PeerId, Prefix, TableId};

/// Prefixes in one page at most.
const PAGE: usize = 4_096;
/// Rivals of the best path that its story names.
const MOST_RIVALS: usize = 16;

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
    fn entry(&self, table: &Table, verdicts: &Verdicts, slot: PathSlot, now: Instant) -> RouteEntry {
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
    fn import_words(&self, table: &Table, slot: PathSlot) -> String {
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

    /// What aggregates have to do with a prefix.
    fn aggregate_stories(&self, table: &Table, prefix: Prefix, found: Option<PrefixId>) -> Vec<String> {
        let aggregates = &table.data.aggregates;
        let own = aggregates
            .at(prefix)
            .filter(|(_, contributors)| contributors.is_empty());
        let own = own
            .map(|(name, _)| format!("aggregate {name}: nothing contributes to it, so it is not announced"));
        let part_of = found
            .map(|id| aggregates.contributes_to(id, prefix))
            .unwrap_or_default();
        let part_of = part_of
            .into_iter()
            .map(|name| format!("contributes to aggregate {name}"));
        own.into_iter().chain(part_of).collect()
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

    fn why(&self, prefix: Prefix, peer: Option<PeerId>, now: Instant) -> Answer {
        let only = match peer.map(|peer| self.core.peers.find(peer)) {
            Some(None) => return Answer::NoSuchPeer,
            Some(found) => found,
            None => None,
        };
        let mut story = Explanation {
            prefix: prefix.to_string(),
            ..Explanation::default()
        };
        for table in self
            .tables
            .iter()
            .filter(|table| is_unicast(table) && table.data.family == family_of(prefix))
        {
            let found = table
                .data
                .prefixes
                .find(prefix)
                .filter(|id| !table.data.rib_in.is_empty(*id));
            story.not_installed = found
                .and_then(|id| self.not_installed(table, id))
                .or(story.not_installed);
            match found {
                Some(id) => story.paths.extend(self.path_stories(table, id, now)),
                None => story.nearby.extend(nearby(table, prefix)),
            }
            story
                .aggregates
                .extend(self.aggregate_stories(table, prefix, found));
            let peers = self
                .core
                .peers
                .iter()
                .filter(|(index, peer)| peer.up && only.is_none_or(|only| only == *index));
            story
                .exports
                .extend(peers.filter_map(|(peer, _)| self.export_story(table, peer, found)));
        }
        for (_, state) in self.core.peers.iter() {
            let about = state
                .errors
                .iter()
                .filter(|(_, prefixes)| prefixes.contains(&prefix));
            story
                .malformed
                .extend(about.map(|(text, _)| format!("{}: {text}", state.settings.name)));
        }
        Answer::Why(Box::new(story))
    }

    fn path_stories(&self, table: &Table, id: PrefixId, now: Instant) -> Vec<PathStory> {
        let verdicts = Verdicts::of(&self.core, table, id);
        let mut stories: Vec<PathStory> = table
            .data
            .rib_in
            .of(id)
            .map(|(slot, _)| PathStory {
                route: self.entry(table, &verdicts, slot, now),
                import: self.import_words(table, slot),
                decision: self.decision_words(table, &verdicts, slot),
            })
            .collect();
        stories.sort_by_key(|story| !story.route.best);
        stories
    }

    fn decision_words(&self, table: &Table, verdicts: &Verdicts, slot: PathSlot) -> String {
        match table.candidate(&self.core, slot) {
            Ok(None) => return "does not take part: rejected by import".to_owned(),
            Err(unusable) => return format!("does not take part: {unusable}"),
            Ok(Some(_)) => {}
        }
        if verdicts.best == Some(slot) {
            return self.best_words(table, verdicts, slot);
        }
        let lost = verdicts
            .losses
            .iter()
            .find(|loss| verdicts.candidates[loss.loser].0 == slot);
        let Some(loss) = lost else {
            return "not decided yet".to_owned();
        };
        let (rival, step) = self.loss_words(table, verdicts, loss);
        format!("loses to {rival}: {step}")
    }

    /// What each rival of the best path lost by.
    fn best_words(&self, table: &Table, verdicts: &Verdicts, best: PathSlot) -> String {
        let source = |at: usize| {
            self.core
                .source_name(table.data.rib_in.path(verdicts.candidates[at].0).peer)
        };
        let mut rivals: Vec<String> = Vec::new();
        for loss in verdicts.losses.iter().take(MOST_RIVALS) {
            let (winner, step) = self.loss_words(table, verdicts, loss);
            let loser = source(loss.loser);
            rivals.push(if verdicts.candidates[loss.against].0 == best {
                format!("beats {loser}: {step}")
            } else {
                format!("{loser} loses to {winner}: {step}")
            });
        }
        match (rivals.is_empty(), verdicts.losses.len().checked_sub(MOST_RIVALS)) {
            (true, _) => "best".to_owned(),
            (false, Some(more)) if more > 0 => format!("best: {}; and {more} more", rivals.join("; ")),
            (false, _) => format!("best: {}", rivals.join("; ")),
        }
    }

    /// Whom a path lost against, and the step with the values that it compared.
    fn loss_words(&self, table: &Table, verdicts: &Verdicts, loss: &Loss) -> (Arc<str>, String) {
        let (against, winner) = &verdicts.candidates[loss.against];
        let loser: &Candidate = &verdicts.candidates[loss.loser].1;
        let values = loss
            .step
            .values(winner, loser)
            .map(|values| format!(" ({values})"))
            .unwrap_or_default();
        let rival = self.core.source_name(table.data.rib_in.path(*against).peer);
        (rival, format!("{}{values}", loss.step))
    }

    /// Why the kernel is not to hold the best path.
    fn not_installed(&self, table: &Table, prefix: PrefixId) -> Option<String> {
        if !self.core.settings.install {
            return Some("not installed: there is no `[kernel]` section".to_owned());
        }
        let best = table.data.best(prefix)?;
        match self.core.peers.settings(table.data.rib_in.path(best).peer) {
            None => Some("not installed: the best path is our own".to_owned()),
            Some(peer) if !peer.policy.install => {
                Some(format!("not installed: `install = false` for {}", peer.name))
            }
            Some(_) => None,
        }
    }

    fn export_story(&self, table: &Table, peer: PeerIndex, found: Option<PrefixId>) -> Option<ExportStory> {
        let group = group_of(table, peer)?;
        let name = Arc::clone(&self.core.peers.settings(peer)?.name);
        let ids: SmallVec<[(u32, PathSlot); 2]> = match found {
            None => SmallVec::new(),
            Some(prefix) if group.key.add_path => table
                .data
                .rib_in
                .of(prefix)
                .map(|(slot, _)| (slot.0, slot))
                .collect(),
            Some(prefix) => table
                .data
                .best(prefix)
                .map(|slot| (prefix.0, slot))
                .into_iter()
                .collect(),
        };
        let mut reasons = Vec::new();
        let (mut advertised, mut pending) = (false, false);
        let ranking = found.map(|prefix| table.ranking_for(&self.core, prefix, group.key.paths));
        for (id, slot) in ids {
            if ranking
                .as_ref()
                .is_some_and(|ranking| !ranking.sends(group.key.paths, slot))
            {
                let reason = Withheld::NotChosen(group.key.paths).to_string();
                if !reasons.contains(&reason) {
                    reasons.push(reason);
                }
                continue;
            }
            let (sent, reason) = self.export_words(table, group, peer, (id, slot));
            advertised |= sent;
            pending |= group.is_pending(peer, id);
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        if reasons.is_empty() {
            reasons.push(Withheld::NoRoute.to_string());
        }
        Some(ExportStory {
            peer: name,
            advertised,
            reason: reasons.join("; "),
            pending,
            group: Some(GroupStory {
                number: group.serial,
                members: group.by_peer.len() as u64,
                behind: group.pending(peer),
            }),
        })
    }

    fn export_words(
        &self,
        table: &Table,
        group: &UpdateGroup,
        peer: PeerIndex,
        (id, slot): (u32, PathSlot),
    ) -> (bool, String) {
        let path = table.data.rib_in.path(slot);
        let Some(attributes) = path.accepted.some() else {
            return (false, Withheld::NoRoute.to_string());
        };
        if let Err(unusable) = self.core.attributes.metric(attributes) {
            return (false, unusable.to_string());
        }
        let route = update_group::route(
            &self.core,
            &table.data,
            table.data.rib_in.prefix(slot),
            (path.peer, attributes),
        );
        let suppressed = table
            .data
            .aggregates
            .suppresses(table.data.rib_in.prefix(slot), route.prefix);
        if let Some(name) = suppressed.filter(|_| !group.key.more_specifics) {
            return (false, Withheld::Summarised(Arc::clone(name)).to_string());
        }
        let (edits, reason) = match export::export(&group.key, &route) {
            Verdict::Withhold(withheld) => return (false, withheld.to_string()),
            Verdict::Advertise { edits, reason } => (edits, reason),
        };
        if path.peer == peer {
            return (false, Withheld::SplitHorizon.to_string());
        }
        let settings = self.core.peers.settings(peer);
        let sent = export::next_hop(&group.key, &route, &edits)
            .ok()
            .and_then(export::OutNextHop::address);
        if sent.is_some() && sent == settings.map(|peer| peer.address) {
            return (false, Withheld::PeersOwnNextHop.to_string());
        }
        let filtered = match (&reason, settings) {
            (None, Some(settings)) => export::filter(&settings.policy.export, &route, settings.local_asn),
            (Some(reason), _) => Ok(reason.clone()),
            (None, None) => Err(Withheld::NoRoute),
        };
        match filtered {
            Err(withheld) => (false, withheld.to_string()),
            Ok(_)
                if group
                    .out
                    .at(id)
                    .is_some_and(super::adj_rib_out::OutSlot::is_too_long) =>
            {
                (false, Withheld::TooLong.to_string())
            }
            Ok(reason) => (
                group.is_sent(peer, id, &self.core, &table.data),
                format!("accepted by {reason}"),
            ),
        }
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
struct Verdicts {
    candidates: Candidates,
    best: Option<PathSlot>,
    multipath: SmallVec<[PathSlot; 4]>,
    losses: Vec<Loss>,
}

impl Verdicts {
    fn of(core: &Core, table: &Table, prefix: PrefixId) -> Self {
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

fn group_of(table: &Table, peer: PeerIndex) -> Option<&UpdateGroup> {
    table
        .groups
        .iter()
        .find(|group| group.by_peer.contains_key(&peer))
}

fn is_unicast(table: &Table) -> bool {
    table.data.family.safi == bgp_codec::Safi::UNICAST
}

/// The next less specific prefix and the first more specific ones.
fn nearby(table: &Table, prefix: Prefix) -> Vec<String> {
    let live = |id: PrefixId| !table.data.rib_in.is_empty(id);
    let covering = table.data.prefixes.covering(prefix.addr());
    let shorter = covering
        .filter(|(id, at)| live(*id) && at.prefix_len() < prefix.prefix_len())
        .map(|(_, at)| at)
        .next();
    let inside = |id: PrefixId, at: Prefix| live(id) && at != prefix && prefix.contains(&at);
    let (longer, _) = table.data.prefixes.page(None, 3, inside);
    shorter
        .into_iter()
        .chain(longer.into_iter().map(|(at, _)| at))
        .map(|at| at.to_string())
        .collect()
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
