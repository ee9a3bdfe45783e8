//! What this node announces: full sets from each source, and the difference to what was announced before.
//!
//! Pure: sources hand in what they have, `poll_output` yields the changes for the RIB. A source that hands in what it has
//! already announced causes nothing.

mod kernel_routes;
pub mod settings;
mod static_routes;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bgp_codec::{Community, LargeCommunity, Origin, PathAttributes};

use self::kernel_routes::KernelTable;
use self::settings::{Aggregate, From, Source};
use crate::rib::interface::LocalChange;
use crate::route::{KernelTableChange, LocalRoute, OriginKind, Prefix, TableId};

/// Everything this node originates.
#[derive(Debug)]
pub struct Originator {
    sources: Vec<Source>,
    aggregates: Vec<Aggregate>,
    /// Aggregates that are there.
    present: BTreeSet<Prefix>,
    kernel: KernelTable,
    /// What the RIB has been told, by source.
    announced: BTreeMap<(OriginKind, Arc<str>), BTreeMap<Prefix, LocalRoute>>,
    /// How many sources announce a prefix.
    prefixes: BTreeMap<Prefix, u32>,
    output: VecDeque<LocalChange>,
    own_prefixes: OwnPrefixes,
}

/// Prefixes that began or ceased to be ours: never installed from BGP.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OwnPrefixes {
    /// Originated now, and not before.
    pub added: BTreeSet<Prefix>,
    /// Not originated any more.
    pub removed: BTreeSet<Prefix>,
}

/// What a source adds to its routes.
#[derive(Clone, Copy, Debug)]
struct Extras<'a> {
    communities: &'a [Community],
    large_communities: &'a [LargeCommunity],
    med: Option<u32>,
}

impl Originator {
    /// Nothing announced. Kernel routes of `own_protocol` are never taken: they are what we installed.
    #[must_use]
    pub fn new(own_protocol: u8) -> Self {
        Self {
            sources: Vec::new(),
            aggregates: Vec::new(),
            present: BTreeSet::new(),
            kernel: KernelTable::new(own_protocol),
            announced: BTreeMap::new(),
            prefixes: BTreeMap::new(),
            output: VecDeque::new(),
            own_prefixes: OwnPrefixes::default(),
        }
    }

    /// From now on our own routes carry this protocol.
    pub fn set_own_protocol(&mut self, protocol: u8) {
        self.kernel.set_own_protocol(protocol);
    }

    /// Takes over the configured sources; yields exactly the difference.
    pub fn reconfigure(&mut self, sources: Vec<Source>) {
        let of_sources = |kind: OriginKind| kind == OriginKind::Static || kind == OriginKind::Kernel;
        let current: BTreeSet<_> = sources
            .iter()
            .map(|source| (kind_of(source), Arc::clone(&source.name)))
            .collect();
        let gone = self
            .announced
            .keys()
            .filter(|key| of_sources(key.0) && !current.contains(*key));
        for (kind, name) in gone.cloned().collect::<Vec<_>>() {
            self.set_source(kind, &name, Vec::new());
        }
        for source in &sources {
            let routes = match &source.from {
                From::Prefixes { prefixes, .. } => static_routes::routes(source, prefixes),
                From::Kernel(wanted) => self.kernel.routes(source, wanted),
            };
            self.set_source(kind_of(source), &source.name, routes);
        }
        self.sources = sources;
    }

    /// Takes over the configured aggregates; which of them are there is the tables' to say.
    pub fn set_aggregates(&mut self, aggregates: Vec<Aggregate>) {
        self.aggregates = aggregates;
    }

    /// The full set of aggregates that are there; replaces the earlier one. The tables announce them by themselves.
    pub fn aggregates_present(&mut self, present: &[Prefix]) {
        let present: BTreeSet<Prefix> = present.iter().copied().collect();
        let before = std::mem::replace(&mut self.present, present.clone());
        for prefix in present.difference(&before) {
            self.count(*prefix, true);
        }
        for prefix in before.difference(&present) {
            self.count(*prefix, false);
        }
    }

    /// Takes in the kernel's table or a change of it.
    pub fn kernel_changed(&mut self, change: KernelTableChange) {
        let sources = std::mem::take(&mut self.sources);
        let Some((table, prefix)) = self.kernel.apply(change) else {
            self.reconfigure(sources);
            return;
        };
        for source in &sources {
            let From::Kernel(wanted) = &source.from else {
                continue;
            };
            if wanted.table == table {
                let route = self.kernel.route(source, wanted, prefix);
                self.set_one(&(OriginKind::Kernel, Arc::clone(&source.name)), prefix, route);
            }
        }
        self.sources = sources;
    }

    /// The full set of what a source announces; replaces its earlier one.
    pub fn set_source(&mut self, kind: OriginKind, name: &Arc<str>, routes: Vec<LocalRoute>) {
        let key = (kind, Arc::clone(name));
        let wanted: BTreeMap<Prefix, LocalRoute> =
            routes.into_iter().map(|route| (route.prefix, route)).collect();
        let before = self.announced.get(&key).into_iter().flat_map(BTreeMap::keys);
        let gone: Vec<Prefix> = before
            .filter(|prefix| !wanted.contains_key(prefix))
            .copied()
            .collect();
        for prefix in gone {
            self.set_one(&key, prefix, None);
        }
        for (prefix, route) in wanted {
            self.set_one(&key, prefix, Some(route));
        }
    }

    /// The next change for the RIB.
    pub fn poll_output(&mut self) -> Option<LocalChange> {
        self.output.pop_front()
    }

    /// Which prefixes began or ceased to be ours since the last call.
    pub fn take_own_prefixes(&mut self) -> OwnPrefixes {
        std::mem::take(&mut self.own_prefixes)
    }

    /// Prefixes beneath which a blackhole of ours is wanted.
    #[must_use]
    pub fn discard_prefixes(&self) -> Vec<Prefix> {
        let sources = self.sources.iter().filter_map(|source| match &source.from {
            From::Prefixes {
                prefixes,
                discard: true,
            } => Some(prefixes),
            From::Prefixes { .. } | From::Kernel(_) => None,
        });
        let aggregates = self.aggregates.iter().filter(|aggregate| aggregate.discard);
        let aggregates = aggregates.map(|aggregate| aggregate.rule.prefix);
        let aggregates = aggregates.filter(|prefix| self.present.contains(prefix));
        let prefixes: BTreeSet<Prefix> = sources.flatten().map(Prefix::trunc).chain(aggregates).collect();
        prefixes.into_iter().collect()
    }

    /// Kernel tables that sources read.
    #[must_use]
    pub fn kernel_tables(&self) -> BTreeSet<TableId> {
        let kernel = self.sources.iter().filter_map(|source| match &source.from {
            From::Kernel(wanted) => Some(wanted.table),
            From::Prefixes { .. } => None,
        });
        kernel.collect()
    }

    /// Every source has reported once: the kernel's table has been read, or nobody needs it.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.kernel.is_loaded() || self.kernel_tables().is_empty()
    }

    fn set_one(&mut self, key: &(OriginKind, Arc<str>), prefix: Prefix, route: Option<LocalRoute>) {
        let routes = match self.announced.get_mut(key) {
            Some(routes) => routes,
            None if route.is_none() => return,
            None => self.announced.entry(key.clone()).or_default(),
        };
        match (routes.entry(prefix), route) {
            (Entry::Occupied(known), Some(route)) if *known.get() == route => {}
            (Entry::Occupied(mut known), Some(route)) => {
                known.insert(route.clone());
                self.output.push_back(LocalChange::Announce(route));
            }
            (Entry::Occupied(known), None) => {
                known.remove();
                let was_last = routes.is_empty();
                if was_last {
                    self.announced.remove(key);
                }
                self.output.push_back(LocalChange::Withdraw {
                    kind: key.0,
                    name: Arc::clone(&key.1),
                    prefix,
                });
                self.count(prefix, false);
            }
            (Entry::Vacant(place), Some(route)) => {
                place.insert(route.clone());
                self.output.push_back(LocalChange::Announce(route));
                self.count(prefix, true);
            }
            (Entry::Vacant(_), None) => {}
        }
    }

    fn count(&mut self, prefix: Prefix, more: bool) {
        let count = self.prefixes.entry(prefix).or_default();
        let before = *count;
        *count = if more {
            before + 1
        } else {
            before.saturating_sub(1)
        };
        match (before, *count) {
            (0, _) => self.own_prefixes.added(prefix),
            (_, 0) => {
                self.prefixes.remove(&prefix);
                self.own_prefixes.removed(prefix);
            }
            _ => {}
        }
    }
}

impl OwnPrefixes {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }

    fn added(&mut self, prefix: Prefix) {
        if !self.removed.remove(&prefix) {
            self.added.insert(prefix);
        }
    }

    fn removed(&mut self, prefix: Prefix) {
        if !self.added.remove(&prefix) {
            self.removed.insert(prefix);
        }
    }
}

/// The route that announces a VIP.
#[must_use]
pub fn vip_route(name: &Arc<str>, prefix: Prefix, attributes: Arc<PathAttributes>) -> LocalRoute {
    LocalRoute {
        prefix: prefix.trunc(),
        kind: OriginKind::Vip,
        name: Arc::clone(name),
        attributes,
        from_kernel: None,
    }
}

/// Attributes to start from. What is written down is interior to our AS: IGP. What was found in the kernel's
/// table was learned by other means: INCOMPLETE, RFC 4271 §5.1.1.
fn attributes(origin: Origin, extras: Extras<'_>) -> Arc<PathAttributes> {
    Arc::new(PathAttributes {
        origin,
        med: extras.med,
        communities: extras.communities.to_vec(),
        large_communities: extras.large_communities.to_vec(),
        ..PathAttributes::default()
    })
}

impl Source {
    fn extras(&self) -> Extras<'_> {
        Extras {
            communities: &self.communities,
            large_communities: &self.large_communities,
            med: self.med,
        }
    }
}

fn kind_of(source: &Source) -> OriginKind {
    match source.from {
        From::Prefixes { .. } => OriginKind::Static,
        From::Kernel(_) => OriginKind::Kernel,
    }
}

#[cfg(test)]
mod tests;
