//! Ids of prefixes and paths that are gone, until nobody can confuse them with what takes their place.
//!
//! A member that has not seen a withdraw yet needs the id to mean what it meant. So an id is used again only when no dirty set
//! names it and every message that was queued by then has been read.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::FixedState;

use super::ids::{PathSlot, PeerIndex, PrefixId};
use super::ring::Cursor;
use super::table::Table;

/// Ids that a member may keep from being used again; beyond, the member with the most is closed.
pub(crate) const PINNED: usize = 1 << 18;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Graveyard {
    prefixes: Vec<PrefixId>,
    paths: Vec<PathSlot>,
    batches: VecDeque<Batch>,
    serial: u64,
    /// The latest batch that each prefix is in: an earlier one's places are too early for it.
    latest: HashMap<PrefixId, u64, FixedState>,
    /// Paths of a prefix that are gone and not released.
    paths_of: HashMap<PrefixId, u32, FixedState>,
    /// Ids that a dirty set names; looked at again when one has been worked off.
    pinned: Batch,
    /// When `pinned` was last looked at: the number of ids that waited in streams then.
    looked_at: usize,
}

/// Ids whose end has been queued at the same time.
#[derive(Debug, Default)]
struct Batch {
    prefixes: Vec<PrefixId>,
    paths: Vec<PathSlot>,
    /// Places in rings that must have been passed: group, stream (none: the group's own ring), place.
    barriers: Vec<(u64, Option<usize>, Cursor)>,
    serial: u64,
    /// How often members had taken unread messages elsewhere by then.
    moves: u64,
}

impl Graveyard {
    pub(crate) fn bury_prefix(&mut self, prefix: PrefixId) {
        self.prefixes.push(prefix);
    }

    pub(crate) fn bury_path(&mut self, path: PathSlot, prefix: PrefixId) {
        self.paths.push(path);
        *self.paths_of.entry(prefix).or_insert(0) += 1;
    }

    /// Ids that members who lag behind keep from being used again.
    pub(crate) const fn pinned(&self) -> usize {
        self.pinned.prefixes.len() + self.pinned.paths.len()
    }
}

impl Table {
    /// Lets ids be used again that nobody can confuse any more. To be called when all groups have been flushed.
    pub(crate) fn recycle(&mut self) {
        let waiting = self
            .groups
            .iter()
            .flat_map(|group| group.streams.iter().flatten());
        let waiting: usize = waiting.map(|stream| stream.pending() + 1).sum();
        let grave = &mut self.graveyard;
        let mut prefixes = std::mem::take(&mut grave.prefixes);
        let mut paths = std::mem::take(&mut grave.paths);
        if waiting != grave.looked_at || waiting == 0 {
            prefixes.append(&mut grave.pinned.prefixes);
            paths.append(&mut grave.pinned.paths);
            grave.looked_at = waiting;
        }
        if !prefixes.is_empty() || !paths.is_empty() {
            self.lay(prefixes, paths);
        }
        while let Some(batch) = self.graveyard.batches.pop_front() {
            if !self.is_passed(&batch) {
                self.graveyard.batches.push_front(batch);
                break;
            }
            if batch.moves == self.moves() {
                self.release(batch);
            } else {
                // Some of the messages may not have been read but become ids again, and messages elsewhere.
                let latest = &self.graveyard.latest;
                let current = batch
                    .prefixes
                    .into_iter()
                    .filter(|prefix| latest.get(prefix) == Some(&batch.serial));
                let current = current.collect();
                self.lay(current, batch.paths);
            }
        }
    }

    fn moves(&self) -> u64 {
        self.moves_of_gone_groups + self.groups.iter().map(|group| group.moves).sum::<u64>()
    }

    /// Notes behind which messages the end of these ids stands; those that a dirty set names have no such place yet.
    fn lay(&mut self, prefixes: Vec<PrefixId>, paths: Vec<PathSlot>) {
        let paths: Vec<PathSlot> = paths
            .into_iter()
            .filter(|path| self.keep_pinned_path(*path))
            .collect();
        let prefixes: Vec<PrefixId> = prefixes
            .into_iter()
            .filter(|prefix| self.keep_pinned_prefix(*prefix))
            .collect();
        if prefixes.is_empty() && paths.is_empty() {
            return;
        }
        let (barriers, moves) = (self.barriers(), self.moves());
        let grave = &mut self.graveyard;
        grave.serial += 1;
        let serial = grave.serial;
        grave
            .latest
            .extend(prefixes.iter().map(|prefix| (*prefix, serial)));
        grave.batches.push_back(Batch {
            prefixes,
            paths,
            barriers,
            serial,
            moves,
        });
    }

    /// Puts a path aside that is still to be told to somebody; whether it is not.
    fn keep_pinned_path(&mut self, slot: PathSlot) -> bool {
        let pinned = self
            .groups
            .iter()
            .any(|group| group.key.add_path && group.is_pinned(slot.0));
        if pinned {
            self.graveyard.pinned.paths.push(slot);
        }
        !pinned
    }

    /// The same of a prefix; one that has a path again is dropped: when that goes, it will be buried again.
    fn keep_pinned_prefix(&mut self, prefix: PrefixId) -> bool {
        if !self.data.rib_in.is_empty(prefix) {
            self.graveyard.latest.remove(&prefix);
            return false;
        }
        let pinned = !self.is_idle(prefix);
        if pinned {
            self.graveyard.pinned.prefixes.push(prefix);
        }
        !pinned
    }

    /// The member whose dirty set names the most ids that are gone.
    pub(crate) fn most_pinning(&self) -> Option<PeerIndex> {
        let mut most = None;
        for group in &self.groups {
            let pinned: Vec<u32> = if group.key.add_path {
                self.graveyard.pinned.paths.iter().map(|slot| slot.0).collect()
            } else {
                self.graveyard
                    .pinned
                    .prefixes
                    .iter()
                    .map(|prefix| prefix.0)
                    .collect()
            };
            for stream in group.streams.iter().flatten() {
                let count = pinned.iter().filter(|id| stream.contains(**id)).count();
                let peer = stream
                    .members
                    .first()
                    .and_then(|id| group.member(*id))
                    .map(|member| member.peer);
                most = most.max(peer.filter(|_| count > 0).map(|peer| (count, peer)));
            }
        }
        most.map(|(_, peer)| peer)
    }

    fn barriers(&self) -> Vec<(u64, Option<usize>, Cursor)> {
        let mut barriers = Vec::new();
        for group in &self.groups {
            if group.ring.bytes() > 0 {
                barriers.push((group.serial, None, group.ring.head()));
            }
            for (index, stream) in group.streams.iter().enumerate() {
                if let Some(stream) = stream.as_ref().filter(|stream| stream.ring.bytes() > 0) {
                    barriers.push((group.serial, Some(index), stream.ring.head()));
                }
            }
        }
        barriers
    }

    /// A stream in the place of an earlier one has a shorter ring: waiting for it as well costs time, never an id too early.
    fn is_passed(&self, batch: &Batch) -> bool {
        batch.barriers.iter().all(|(serial, stream, place)| {
            let Some(group) = self.groups.iter().find(|group| group.serial == *serial) else {
                return true;
            };
            match stream {
                None => group.ring.is_past(*place),
                Some(index) => group
                    .streams
                    .get(*index)
                    .and_then(Option::as_ref)
                    .is_none_or(|stream| stream.ring.bytes() == 0 || stream.ring.is_past(*place)),
            }
        })
    }

    fn release(&mut self, batch: Batch) {
        for slot in batch.paths {
            if !self.keep_pinned_path(slot) {
                continue;
            }
            let prefix = self.data.rib_in.prefix(slot);
            if let Some(count) = self.graveyard.paths_of.get_mut(&prefix) {
                *count -= 1;
                if *count == 0 {
                    self.graveyard.paths_of.remove(&prefix);
                }
            }
            self.data.rib_in.release(slot);
        }
        for prefix in batch.prefixes {
            if self.graveyard.latest.get(&prefix) != Some(&batch.serial) || !self.keep_pinned_prefix(prefix) {
                continue;
            }
            if self.graveyard.paths_of.contains_key(&prefix) {
                // Its paths stand behind it in the queue, or are pinned.
                self.graveyard.prefixes.push(prefix);
            } else {
                self.graveyard.latest.remove(&prefix);
                self.data.prefixes.remove(prefix);
            }
        }
    }
}
