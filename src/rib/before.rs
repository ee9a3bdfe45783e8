//! What a member held when it came from another update group, so that it is told only what is different now.

use std::sync::Arc;

use super::adj_rib_out::OutSlot;
use super::core::Core;
use super::export;
use super::group::GroupKey;
use super::id_set::IdSet;
use super::ids::PrefixId;
use super::table_data::TableData;
use super::update_group::route;

/// The Adj-RIB-Out of a group at one moment, shared by all members that left it then.
#[derive(Debug)]
pub(crate) struct Snapshot {
    key: GroupKey,
    /// Each slot, and which of the sets that its id stands for in turn it means.
    slots: Vec<(OutSlot, u32)>,
}

impl Snapshot {
    pub(crate) fn new(key: &GroupKey, slots: &[OutSlot], core: &Core) -> Self {
        let meant = |slot: &OutSlot| {
            let generation = slot
                .some()
                .map(|slot| core.attributes.set(slot.attributes).generation());
            (*slot, generation.unwrap_or_default())
        };
        Self {
            key: key.clone(),
            slots: slots.iter().map(meant).collect(),
        }
    }
}

/// What one member held of a snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Before {
    pub(crate) snapshot: Arc<Snapshot>,
    /// Ids that it certainly held as they are there.
    pub(crate) ids: IdSet,
}

impl Before {
    /// Whether the member has exactly what a slot of its new group would tell it of an id.
    ///
    /// What is on the wire follows from the slot and the key. Two keys that differ in policy alone write equal slots alike,
    /// because what policy changes is in the slot; if the rules for next hops differ, those are worked out by both.
    pub(crate) fn has(
        &self,
        (id, prefix): (u32, PrefixId),
        slot: OutSlot,
        key: &GroupKey,
        (core, data): (&Core, &TableData),
    ) -> bool {
        let Some((held, generation)) = self.snapshot.slots.get(id as usize).copied() else {
            return false;
        };
        if !self.ids.contains(id)
            || held.is_too_long()
            || !held.is_same(slot)
            || core.attributes.set(slot.attributes).generation() != generation
        {
            return false;
        }
        let old = &self.snapshot.key;
        if old.next_hop == key.next_hop && old.is_written_like(key) {
            return true;
        }
        let route = route(core, data, prefix, (slot.source, slot.attributes));
        let edits = core.edits.at(slot.edits());
        old.is_written_like(key)
            && export::next_hop(old, &route, &edits) == export::next_hop(key, &route, &edits)
    }
}
