//! One table and family: prefixes, paths, and which path is best. What is sent of it is in its update groups.

use std::collections::HashMap;

use bgp_codec::Family;

use super::adj_rib_in::AdjRibIn;
use super::aggregate::Aggregates;
use super::ids::{PathSlot, PeerIndex, PrefixId};
use super::prefix_table::PrefixTable;
use crate::route::{FromKernel, TableId};

/// What is known of routes, as against what is sent.
#[derive(Debug)]
pub(crate) struct TableData {
    pub(crate) id: TableId,
    pub(crate) family: Family,
    pub(crate) prefixes: PrefixTable,
    pub(crate) rib_in: AdjRibIn,
    pub(crate) aggregates: Aggregates,
    best: Vec<u32>,
    best_count: usize,
    /// What the kernel's table says of routes read from it.
    pub(crate) from_kernel: HashMap<(PeerIndex, PrefixId), FromKernel, foldhash::fast::FixedState>,
}

const NONE: u32 = u32::MAX;

impl TableData {
    pub(crate) fn new(id: TableId, family: Family, seed: u64) -> Self {
        Self {
            id,
            family,
            prefixes: PrefixTable::new(family.afi == bgp_codec::Afi::IPV6, seed),
            rib_in: AdjRibIn::default(),
            aggregates: Aggregates::default(),
            best: Vec::new(),
            best_count: 0,
            from_kernel: HashMap::with_hasher(foldhash::fast::FixedState::with_seed(seed)),
        }
    }

    /// Loc-RIB: the best path of a prefix.
    #[inline]
    pub(crate) fn best(&self, prefix: PrefixId) -> Option<PathSlot> {
        self.best
            .get(prefix.index())
            .copied()
            .filter(|slot| *slot != NONE)
            .map(PathSlot)
    }

    pub(crate) fn set_best(&mut self, prefix: PrefixId, slot: Option<PathSlot>) {
        if self.best.len() <= prefix.index() {
            if slot.is_none() {
                return;
            }
            self.best.resize(prefix.index() + 1, NONE);
        }
        let place = &mut self.best[prefix.index()];
        self.best_count += usize::from(slot.is_some());
        self.best_count -= usize::from(*place != NONE);
        *place = slot.map_or(NONE, |slot| slot.0);
    }

    /// Octets of the array that names the best paths.
    pub(crate) const fn best_bytes(&self) -> usize {
        self.best.capacity() * size_of::<u32>()
    }

    /// Prefixes that have a best path.
    pub(crate) const fn best_count(&self) -> usize {
        self.best_count
    }

    pub(crate) fn kernel_facts(&self, source: PeerIndex, prefix: PrefixId) -> Option<FromKernel> {
        if source.is_local() {
            self.from_kernel.get(&(source, prefix)).copied()
        } else {
            None
        }
    }
}
