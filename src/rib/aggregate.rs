//! Aggregates: routes of our own that exist while a more specific route contributes to them, RFC 4271 §9.1.4 and §9.2.2.2.
//!
//! Whether a prefix contributes is settled when it is decided, from its best path. The first contributor brings the aggregate,
//! which is decided at once: it is advertised before anything that it stands for is taken back. The last one takes it away.
//!
//! Contributors are counted within a shard. Where several divide the prefixes, whoever drives them must add up what each
//! reports before any may announce; the one shard that ships has them all.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bgp_codec::{Aggregator, Origin, PathAttributes};
use foldhash::fast::FixedState;
use smallvec::SmallVec;

use super::core::Core;
use super::id_set::IdSet;
use super::ids::{PathSlot, PrefixId};
use super::interface::Aggregate;
use super::table::Table;
use super::table_data::TableData;
use crate::policy::{CanonicalBlock, RouteView};
use crate::route::{OriginKind, Prefix};

/// The aggregates of one table and family.
#[derive(Debug, Default)]
pub(crate) struct Aggregates {
    entries: Vec<Entry>,
    by_prefix: HashMap<Prefix, usize, FixedState>,
    /// Their lengths, each once, shortest first.
    lengths: Vec<u8>,
}

#[derive(Debug)]
struct Entry {
    rule: Aggregate,
    /// Every contributor.
    contributors: IdSet,
    /// Those whose AS_PATH is not empty.
    with_path: IdSet,
    /// Those whose ORIGIN is EGP.
    egp: IdSet,
    /// Those whose ORIGIN is INCOMPLETE.
    incomplete: IdSet,
    /// What the route that is there was made of; none: there is none.
    present: Option<Summary>,
}

/// What the contributors together mean for the aggregate's attributes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Summary {
    origin: Origin,
    /// AS numbers of contributors are missing in the aggregate's path.
    hides_path: bool,
}

/// What one route contributes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Contribution {
    origin: u8,
    has_path: bool,
}

impl Aggregates {
    pub(crate) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Aggregates that are there.
    pub(crate) fn present(&self) -> impl Iterator<Item = Prefix> + '_ {
        let present = self.entries.iter().filter(|entry| entry.present.is_some());
        present.map(|entry| entry.rule.prefix)
    }

    /// Contributors, each counted with every aggregate that it contributes to, and the octets that remembering them takes.
    pub(crate) fn usage(&self) -> (usize, usize) {
        let sets = |entry: &Entry| {
            entry.contributors.bytes()
                + entry.with_path.bytes()
                + entry.egp.bytes()
                + entry.incomplete.bytes()
        };
        let count = self.entries.iter().map(|entry| entry.contributors.len()).sum();
        (count, self.entries.iter().map(sets).sum())
    }

    /// Aggregates of which the prefix is a part, shortest first.
    fn covering(&self, prefix: Prefix) -> impl Iterator<Item = usize> + '_ {
        let shorter = self
            .lengths
            .iter()
            .take_while(move |len| **len < prefix.prefix_len());
        shorter.filter_map(move |len| {
            let covering = Prefix::new(prefix.addr(), *len).ok()?.trunc();
            self.by_prefix.get(&covering).copied()
        })
    }

    /// The aggregate that keeps a contributor from being advertised, if one does.
    pub(crate) fn suppresses(&self, id: PrefixId, prefix: Prefix) -> Option<&Arc<str>> {
        let mut covering = self.covering(prefix).map(|index| &self.entries[index]);
        let entry = covering.find(|entry| entry.rule.summary_only && entry.contributors.contains(id.0))?;
        Some(&entry.rule.name)
    }

    /// Names of the aggregates that a prefix contributes to.
    pub(crate) fn contributes_to(&self, id: PrefixId, prefix: Prefix) -> Vec<Arc<str>> {
        let covering = self.covering(prefix).map(|index| &self.entries[index]);
        let contributing = covering.filter(|entry| entry.contributors.contains(id.0));
        contributing.map(|entry| Arc::clone(&entry.rule.name)).collect()
    }

    /// The aggregate of exactly this prefix: its name, and its contributors.
    pub(crate) fn at(&self, prefix: Prefix) -> Option<(&Arc<str>, &IdSet)> {
        let entry = self.by_prefix.get(&prefix).map(|index| &self.entries[*index])?;
        Some((&entry.rule.name, &entry.contributors))
    }

    fn index(&mut self) {
        let prefixes = || self.entries.iter().map(|entry| entry.rule.prefix);
        self.by_prefix = prefixes()
            .enumerate()
            .map(|(index, prefix)| (prefix, index))
            .collect();
        let lengths: BTreeSet<u8> = prefixes().map(|prefix| prefix.prefix_len()).collect();
        self.lengths = lengths.into_iter().collect();
    }
}

impl Entry {
    fn new(rule: Aggregate) -> Self {
        Self {
            rule,
            contributors: IdSet::default(),
            with_path: IdSet::default(),
            egp: IdSet::default(),
            incomplete: IdSet::default(),
            present: None,
        }
    }

    /// Takes note of what a prefix contributes; whether the aggregate is to change.
    fn note(&mut self, prefix: PrefixId, contribution: Option<Contribution>) -> bool {
        let is = |code: Origin| contribution.is_some_and(|at| at.origin == code.code());
        let places = [
            (&mut self.contributors, contribution.is_some()),
            (&mut self.with_path, contribution.is_some_and(|at| at.has_path)),
            (&mut self.egp, is(Origin::Egp)),
            (&mut self.incomplete, is(Origin::Incomplete)),
        ];
        let mut changed = false;
        for (set, belongs) in places {
            changed |= if belongs {
                set.insert(prefix.0)
            } else {
                set.remove(prefix.0)
            };
        }
        changed && self.summary() != self.present
    }

    fn summary(&self) -> Option<Summary> {
        // RFC 4271 §9.2.2.2: the worst ORIGIN; §5.1.6: whoever leaves out AS numbers says so with ATOMIC_AGGREGATE.
        let origin = match (self.incomplete.is_empty(), self.egp.is_empty()) {
            (false, _) => Origin::Incomplete,
            (true, false) => Origin::Egp,
            (true, true) => Origin::Igp,
        };
        (!self.contributors.is_empty()).then(|| Summary {
            origin,
            hides_path: !self.with_path.is_empty(),
        })
    }

    /// RFC 9774 §3: an aggregate has no AS_SET, so its path begins with us.
    ///
    /// Deviates from RFC 1997, "Aggregation": communities of contributors are not gathered, because they would come and go
    /// with each of them; the aggregate carries those that its configuration gives it.
    fn attributes(&self, summary: Summary, core: &Core) -> PathAttributes {
        PathAttributes {
            origin: summary.origin,
            atomic_aggregate: summary.hides_path,
            aggregator: Some(Aggregator {
                asn: core.settings.asn,
                address: core.settings.bgp_identifier,
            }),
            med: self.rule.med,
            communities: self.rule.communities.clone(),
            large_communities: self.rule.large_communities.clone(),
            ..PathAttributes::default()
        }
    }
}

impl TableData {
    /// Whether an aggregate keeps a prefix from being advertised.
    #[inline]
    pub(crate) fn is_suppressed(&self, prefix: PrefixId) -> bool {
        !self.aggregates.is_empty()
            && self
                .aggregates
                .suppresses(prefix, self.prefixes.prefix(prefix))
                .is_some()
    }
}

impl Table {
    /// Takes over the configured aggregates; yields prefixes beneath which everything is to be decided again.
    pub(crate) fn set_aggregates(&mut self, core: &mut Core, rules: Vec<Aggregate>) -> Vec<Prefix> {
        let mut known = std::mem::take(&mut self.data.aggregates).entries;
        let mut again = Vec::new();
        let mut entries = Vec::new();
        for rule in rules {
            let same = |entry: &Entry| entry.rule.name == rule.name && entry.rule.prefix == rule.prefix;
            let Some(place) = known.iter().position(same) else {
                again.push(rule.prefix);
                entries.push(Entry::new(rule));
                continue;
            };
            let mut entry = known.swap_remove(place);
            if entry.rule.contributing != rule.contributing || entry.rule.summary_only != rule.summary_only {
                again.push(rule.prefix);
            }
            entry.rule = rule;
            entries.push(entry);
        }
        self.data.aggregates.entries = entries;
        self.data.aggregates.index();
        for entry in known {
            again.push(entry.rule.prefix);
            self.withdraw_aggregate(core, &entry.rule);
        }
        // What the configuration gives them may differ.
        for index in 0..self.data.aggregates.entries.len() {
            if self.data.aggregates.entries[index].present.is_some() {
                self.renew_aggregate(core, index);
            }
        }
        core.aggregates_changed = true;
        again
    }

    /// Takes note of the best path of a prefix that has been decided.
    pub(crate) fn contribute(&mut self, core: &mut Core, prefix: PrefixId, best: Option<PathSlot>) {
        let at = self.data.prefixes.prefix(prefix);
        let covering: SmallVec<[usize; 4]> = self.data.aggregates.covering(at).collect();
        for index in covering {
            let contribution = best.and_then(|slot| self.contribution(core, index, (at, slot)));
            if self.data.aggregates.entries[index].note(prefix, contribution) {
                self.renew_aggregate(core, index);
            }
        }
    }

    fn contribution(
        &self,
        core: &Core,
        index: usize,
        (prefix, slot): (Prefix, PathSlot),
    ) -> Option<Contribution> {
        let path = self.data.rib_in.path(slot);
        let set = core.attributes.set(path.accepted.some()?);
        if let Some(chain) = &self.data.aggregates.entries[index].rule.contributing {
            let verdict = chain.evaluate(&RouteView {
                prefix,
                family: self.data.family,
                source: core.source(path.peer),
                attributes: &CanonicalBlock::new(set.canonical()),
                next_hop: set.next_hop(),
                from_kernel: self.data.kernel_facts(path.peer, self.data.rib_in.prefix(slot)),
                next_hop_metric: None,
                marks: set.marks(),
                local_asn: core.settings.asn,
            });
            if !verdict.accept {
                return None;
            }
        }
        let key = set.key();
        Some(Contribution {
            origin: key.origin,
            has_path: key.first_as.is_some(),
        })
    }

    /// Makes the aggregate's route what its contributors mean. The depth of what follows is bounded by the lengths of
    /// prefixes: an aggregate contributes to shorter ones only.
    fn renew_aggregate(&mut self, core: &mut Core, index: usize) {
        let entry = &mut self.data.aggregates.entries[index];
        entry.present = entry.summary();
        core.aggregates_changed = true;
        let entry = &self.data.aggregates.entries[index];
        let Some(summary) = entry.present else {
            let rule = entry.rule.clone();
            self.withdraw_aggregate(core, &rule);
            return;
        };
        let attributes = entry.attributes(summary, core);
        let source = core.sources.number(OriginKind::Aggregate, &entry.rule.name);
        let Some(prefix) = self.data.prefixes.insert(entry.rule.prefix) else {
            return;
        };
        let set = core.attributes.intern(&attributes);
        core.attributes.retain(set);
        self.store(core, (prefix, source, 0), (set, set));
        self.decide(core, prefix);
    }

    fn withdraw_aggregate(&mut self, core: &mut Core, rule: &Aggregate) {
        let source = core.sources.number(OriginKind::Aggregate, &rule.name);
        let prefix = self.data.prefixes.find(rule.prefix);
        if let Some(slot) = prefix.and_then(|prefix| self.data.rib_in.find(prefix, source, 0)) {
            self.remove(core, slot);
        }
    }
}
