//! The whole story of a prefix: who sent it, what import and the decision made of it, where it stands in the kernel, and who is
//! told of it. What is said are the values that deciding code returned.

use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;

use super::decision::{Candidate, Loss};
use super::explain::{Answer, Explanation, ExportStory, GroupStory, PathStory};
use super::export::{self, Verdict, Withheld};
use super::ids::{PathSlot, PeerIndex, PrefixId};
use super::shard::{Rib, family_of};
use super::show::{Verdicts, group_of, is_unicast};
use super::table::Table;
use super::update_group::{self, UpdateGroup};
use crate::route::{PeerId, Prefix};

/// Rivals of the best path that its story names.
const MOST_RIVALS: usize = 16;

impl Rib {
    pub(super) fn why(&self, prefix: Prefix, peer: Option<PeerId>, now: Instant) -> Answer {
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
