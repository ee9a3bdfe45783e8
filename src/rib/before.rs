//! What a member held when it came from another update group, so that it is told only what is different now.

use std::sync::Arc;

use super::adj_rib_out::OutSlot;
use super::core::Core;
use super::export;
use super::group::GroupKey;
use super::id_set::IdSet;
use super::ids::{PeerIndex, PrefixId};
use super::table_data::TableData;
use super::update_group::route;

/// The Adj-RIB-Out of a group at one moment, shared by all members that left it then.
#[derive(Debug)]
pub(crate) struct Snapshot {
    key: GroupKey,
    slots: Vec<OutSlot>,
    /// Of the latest set of attributes there was: an id that stands for a later one meant something else.
    generation: u32,
}

impl Snapshot {
    pub(crate) fn new(key: &GroupKey, slots: &[OutSlot], core: &Core) -> Self {
        Self {
            key: key.clone(),
            slots: slots.to_vec(),
            generation: core.attributes.generation(),
        }
    }

    /// What was sent of an id.
    fn at(&self, id: u32) -> Option<OutSlot> {
        self.slots
            .get(id as usize)
            .and_then(|slot| slot.some())
            .filter(|slot| !slot.is_too_long())
    }

    /// Whether what an id of a set stands for is older than the snapshot.
    const fn knows(&self, generation: u32) -> bool {
        // The half of the numbers behind is later: they start again at zero.
        generation.wrapping_sub(self.generation).wrapping_sub(1) > u32::MAX / 2
    }
}

/// What a member held of a snapshot, or what all members with one filter did who left together.
#[derive(Clone, Debug)]
pub(crate) struct Before {
    pub(crate) snapshot: Arc<Snapshot>,
    /// Ids that it certainly held as they are there, unless it is where they came from.
    pub(crate) ids: IdSet,
}

impl Before {
    /// Whom an id came from, who was not sent it therefore; none if it may have been told something else since.
    pub(crate) fn source(&self, id: u32) -> Option<PeerIndex> {
        let slot = self.snapshot.at(id).filter(|_| self.ids.contains(id));
        slot.map(|slot| slot.source)
    }

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
        let generation = core.attributes.set(slot.attributes).generation();
        let held = self.snapshot.at(id).filter(|_| self.ids.contains(id));
        if !held.is_some_and(|held| held.is_same(slot)) || !self.snapshot.knows(generation) {
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
