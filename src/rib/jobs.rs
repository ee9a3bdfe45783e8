//! Work over all paths of a table, done a slice at a time.

use super::core::Core;
use super::ids::{PathSlot, PeerIndex};
use super::import::Importer;
use super::next_hop::NextHopId;
use super::table::Table;
use crate::route::Prefix;

/// What it takes to change a path, where looking at one is one.
pub(crate) const EFFORT_OF_PATH: usize = 8;

/// One pass over the arena of paths.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) table: usize,
    pub(crate) kind: JobKind,
    next: usize,
}

/// What is done to each path.
#[derive(Debug)]
pub(crate) enum JobKind {
    /// Removes the peer's paths of epochs before this one.
    Sweep { peer: PeerIndex, keep: u8 },
    /// Applies the peer's import policy again.
    Reimport { peer: PeerIndex },
    /// Decides the prefixes of the peer's paths again.
    Redecide { peer: PeerIndex },
    /// Decides every prefix again.
    RedecideAll,
    /// Decides prefixes whose paths use these next hops again.
    NextHops { ids: Vec<NextHopId> },
    /// Decides what lies in one of these prefixes again.
    Within { prefixes: Vec<Prefix> },
}

impl Job {
    pub(crate) const fn new(table: usize, kind: JobKind) -> Self {
        Self { table, kind, next: 0 }
    }

    /// Goes on until `effort` is used up; whether all paths have been looked at.
    pub(crate) fn step(&mut self, table: &mut Table, core: &mut Core, effort: &mut usize) -> bool {
        if self.is_pointless(table, core) {
            return true;
        }
        let bound = table.data.rib_in.bound();
        let mut importer = Importer::default();
        while self.next < bound && *effort > 0 {
            let slot = PathSlot::from_index(self.next);
            self.next += 1;
            let changed = table.data.rib_in.is_live(slot) && self.visit(slot, table, core, &mut importer);
            *effort = effort.saturating_sub(if changed { EFFORT_OF_PATH } else { 1 });
        }
        importer.forget(core);
        self.next >= bound
    }

    /// Whether there is no path that it could concern.
    fn is_pointless(&self, table: &Table, core: &Core) -> bool {
        match &self.kind {
            JobKind::Sweep { peer, .. } | JobKind::Reimport { peer } | JobKind::Redecide { peer } => core
                .peers
                .family(*peer, table.data.family)
                .is_none_or(|family| family.received == 0),
            JobKind::NextHops { .. } | JobKind::Within { .. } | JobKind::RedecideAll => false,
        }
    }

    /// Does what is to be done to a path; whether that is more than to mark its prefix.
    fn visit(&self, slot: PathSlot, table: &mut Table, core: &mut Core, importer: &mut Importer) -> bool {
        let path = table.data.rib_in.path(slot);
        let family = table.data.family;
        match &self.kind {
            JobKind::Sweep { peer, keep } if path.peer == *peer => {
                let current = core
                    .peers
                    .family(*peer, family)
                    .map_or(*keep, |family| family.epoch);
                if current.wrapping_sub(path.epoch) > current.wrapping_sub(*keep) {
                    table.remove(core, slot);
                    return true;
                }
            }
            JobKind::Reimport { peer } if path.peer == *peer => {
                let id = table.data.rib_in.prefix(slot);
                let prefix = table.data.prefixes.prefix(id);
                importer.long_stale = core
                    .peers
                    .family(*peer, family)
                    .is_some_and(|at| at.lingering && path.epoch != at.epoch);
                let accepted = importer.accepted(core, *peer, (family, prefix), path.received);
                let before = table.data.rib_in.set_accepted(slot, accepted);
                core.attributes.release(before);
                if before != accepted {
                    table.count_accepted(core, *peer, before, accepted);
                    table.mark(id);
                }
                return true;
            }
            JobKind::Redecide { peer } if path.peer == *peer => {
                table.mark(table.data.rib_in.prefix(slot));
            }
            JobKind::RedecideAll => table.mark(table.data.rib_in.prefix(slot)),
            JobKind::NextHops { ids } => {
                let next_hop = path
                    .accepted
                    .some()
                    .and_then(|id| core.attributes.set(id).next_hop_id());
                if next_hop.is_some_and(|id| ids.contains(&id)) {
                    table.mark(table.data.rib_in.prefix(slot));
                }
            }
            JobKind::Within { prefixes } => {
                let id = table.data.rib_in.prefix(slot);
                let prefix = table.data.prefixes.prefix(id);
                if prefixes.iter().any(|within| within.contains(&prefix)) {
                    table.mark(id);
                }
            }
            JobKind::Sweep { .. } | JobKind::Reimport { .. } | JobKind::Redecide { .. } => {}
        }
        false
    }
}
