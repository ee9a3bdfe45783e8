//! What messages of one peer say of single prefixes, taken in stage by stage.
//!
//! A table of a million prefixes does not fit into any cache. Looking many prefixes up before the first is stored lets the
//! reads wait for memory together; one after the other they would wait each in its turn.

use bgp_codec::NlriBlock;

use super::core::Core;
use super::ids::{AttributesId, PeerIndex, PrefixId};
use super::import::{Importer, Passage};
use super::table::Table;
use crate::route::Prefix;

/// Prefixes taken in together at most.
const BATCH: usize = 1_024;

/// Announcements and withdrawals for one table, in the order received.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    entries: Vec<Entry>,
    /// Sets that the entries name, with the reference of the message that brought each.
    sets: Vec<AttributesId>,
}

#[derive(Debug)]
struct Entry {
    prefix: Prefix,
    path_id: u32,
    /// [`AttributesId::NONE`] withdraws.
    received: AttributesId,
    hash: u64,
    /// What was read ahead; only the reading matters.
    ahead: u64,
    id: Option<PrefixId>,
}

impl Batch {
    pub(crate) const fn is_full(&self) -> bool {
        self.entries.len() >= BATCH
    }

    /// Adds withdrawals.
    pub(crate) fn withdraw(&mut self, block: NlriBlock<'_>) {
        self.extend(block, AttributesId::NONE);
    }

    /// Adds announcements, and takes over the reference to their attributes.
    pub(crate) fn announce(&mut self, block: NlriBlock<'_>, received: AttributesId) {
        self.sets.push(received);
        self.extend(block, received);
    }

    fn extend(&mut self, block: NlriBlock<'_>, received: AttributesId) {
        let entry = |nlri: bgp_codec::Nlri<Prefix>| Entry {
            prefix: nlri.prefix,
            path_id: nlri.path_id,
            received,
            hash: 0,
            ahead: 0,
            id: None,
        };
        self.entries.extend(block.ip_prefixes().flatten().map(entry));
    }

    /// Lets everything take effect.
    pub(crate) fn apply(&mut self, table: &mut Table, core: &mut Core, peer: PeerIndex) {
        let share = core.share;
        self.entries.retain(|entry| share.holds(entry.prefix));
        for entry in &mut self.entries {
            (entry.hash, entry.ahead) = table.data.prefixes.touch(entry.prefix);
        }
        for entry in &mut self.entries {
            entry.id = if entry.received == AttributesId::NONE {
                table.data.prefixes.find_hashed(entry.prefix, entry.hash)
            } else {
                table.data.prefixes.insert_hashed(entry.prefix, entry.hash)
            };
        }
        for entry in &mut self.entries {
            entry.ahead = entry.id.map_or(0, |id| table.data.rib_in.touch(id));
        }
        let mut store = Store {
            table,
            core,
            peer,
            importer: Importer::default(),
            received: 0,
            accepted: 0,
        };
        for run in self.entries.chunk_by(|one, next| one.received == next.received) {
            store.run(run);
        }
        store.finish();
        for set in self.sets.drain(..) {
            core.attributes.release(set);
        }
        self.entries.clear();
    }
}

/// Entries on their way into Adj-RIB-In.
struct Store<'a> {
    table: &'a mut Table,
    core: &'a mut Core,
    peer: PeerIndex,
    importer: Importer,
    received: u32,
    accepted: i64,
}

impl Store<'_> {
    /// Stores a run of entries with equal attributes.
    fn run(&mut self, run: &[Entry]) {
        let Some(received) = run.first().and_then(|entry| entry.received.some()) else {
            // What this batch announced may be withdrawn by it: it has to be in the counts first.
            self.count();
            for entry in run {
                let rib_in = &self.table.data.rib_in;
                let slot = entry.id.and_then(|id| rib_in.find(id, self.peer, entry.path_id));
                if let Some(slot) = slot {
                    self.table.remove(self.core, slot);
                }
            }
            return;
        };
        let family = self.table.data.family;
        let passage = Passage::of(self.core, self.peer, received);
        let now_s = self.core.seconds();
        let epoch = self.core.peers.family(self.peer, family).map_or(0, |at| at.epoch);
        for entry in run {
            let Some(id) = entry.id else { continue };
            self.core.attributes.retain(received);
            let accepted = match passage {
                Passage::Closed => AttributesId::NONE,
                Passage::Guarded if !self.admits(entry.prefix) => AttributesId::NONE,
                Passage::Open | Passage::Guarded => {
                    self.core.attributes.retain(received);
                    received
                }
                Passage::Policy => {
                    let route = (family, entry.prefix);
                    self.importer.accepted(self.core, self.peer, route, received)
                }
            };
            let rib_in = &mut self.table.data.rib_in;
            let (slot, new) = rib_in.find_or_insert(id, self.peer, entry.path_id);
            let before = rib_in.replace(slot, (received, accepted), epoch, now_s);
            self.received += u32::from(new);
            self.accepted += i64::from(accepted != AttributesId::NONE);
            if !new {
                self.accepted -= i64::from(before.1 != AttributesId::NONE);
                self.core.attributes.release(before.0);
                self.core.attributes.release(before.1);
            }
            if before.1 != accepted {
                self.table.mark(id);
            }
        }
    }

    /// Whether the peer may send routes of a prefix at all.
    fn admits(&self, prefix: Prefix) -> bool {
        let settings = self.core.peers.settings(self.peer);
        settings.is_none_or(|peer| peer.policy.import.admits(prefix))
    }

    fn finish(mut self) {
        self.importer.forget(self.core);
        self.count();
    }

    /// Adds what was stored since to what the peer has.
    fn count(&mut self) {
        let family = self.table.data.family;
        if let Some(counts) = self.core.peers.family_mut(self.peer, family) {
            let more = [i64::from(self.received), self.accepted];
            counts.count(more.map(|more| i32::try_from(more).unwrap_or_default()));
        }
        (self.received, self.accepted) = (0, 0);
    }
}
