//! Packs what a group is sent into messages: ids of equal attributes and equal audience share UPDATEs.

use std::sync::Arc;

use bgp_codec::{Family, HEADER_LEN, Nlri, UpdateWriter, WriteError};
use bytes::Bytes;

use super::adj_rib_out::OutSlot;
use super::export::OutNextHop;
use super::group::GroupKey;
use super::ids::AttributesId;
use super::interface::NextHopField;
use super::ring::{Audience, Item, ItemKind};
use crate::route::Prefix;

/// Bytes in one item at most; a session's window is never smaller.
pub(crate) const ITEM_BYTES: usize = 65_535;
/// Ids encoded between two looks at the size.
const RUN: usize = 1_024;

/// One id to be told to an audience.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: u32,
    pub(crate) prefix: Prefix,
    /// `None` withdraws.
    pub(crate) slot: Option<OutSlot>,
    pub(crate) audience: Audience,
}

/// The attributes and next hop of a slot, as the group is sent them.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    /// The canonical block.
    pub(crate) block: Vec<u8>,
    pub(crate) next_hop: OutNextHop,
}

/// What came of packing.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    pub(crate) items: Vec<Item>,
    /// Ids whose attributes do not fit: they have been withdrawn from the same audience.
    pub(crate) too_long: Vec<u32>,
    /// What was not reached before the limit of bytes.
    pub(crate) left: Vec<Entry>,
}

/// Encodes entries until about `limit` bytes are there. `outgoing` resolves a slot by the group's key.
pub(crate) fn pack(
    key: &GroupKey,
    mut entries: Vec<Entry>,
    limit: usize,
    mut outgoing: impl FnMut(&Entry, OutSlot) -> Option<Outgoing>,
) -> Packed {
    // Ids stay in order within a run: neighbours in the table were neighbours in the UPDATE that brought them.
    entries.sort_by(|a, b| a.rank().cmp(&b.rank()));
    let mut packer = Packer {
        key,
        packed: Packed::default(),
        open: Open::default(),
        total: 0,
    };
    let mut rest = entries.as_slice();
    while let Some(first) = rest.first()
        && packer.total < limit
    {
        let length = rest
            .iter()
            .position(|entry| !entry.shares_message(first))
            .unwrap_or(rest.len());
        let (run, behind) = rest.split_at(length.min(RUN));
        packer.switch(&first.audience);
        match first.slot.map(|slot| outgoing(first, slot)) {
            Some(Some(outgoing)) => packer.announce(run, &outgoing),
            // The slot went, or cannot be sent after all.
            None | Some(None) => packer.withdraw(run),
        }
        rest = behind;
    }
    packer.close();
    let left = rest.to_vec();
    Packed {
        left,
        ..packer.packed
    }
}

impl Entry {
    fn rank(&self) -> (&Audience, (AttributesId, u32, u32), u32) {
        let slot = self.slot.map_or((AttributesId::NONE, 0, 0), |slot| {
            (slot.attributes, slot.edits(), slot.source.0)
        });
        (&self.audience, slot, self.id)
    }

    fn shares_message(&self, other: &Self) -> bool {
        let same_slot = match (self.slot, other.slot) {
            (None, None) => true,
            (Some(one), Some(two)) => one.is_same(two),
            _ => false,
        };
        same_slot && self.audience == other.audience
    }
}

/// Messages for one audience that are not an item yet.
#[derive(Default)]
struct Open {
    audience: Audience,
    bytes: Vec<u8>,
    fields: Vec<NextHopField>,
    ids: Vec<u32>,
}

struct Packer<'a> {
    key: &'a GroupKey,
    packed: Packed,
    open: Open,
    total: usize,
}

impl Packer<'_> {
    /// Begins another item where the audience changes or enough is in this one.
    fn switch(&mut self, audience: &Audience) {
        if self.open.audience != *audience || self.open.bytes.len() > ITEM_BYTES / 2 {
            self.close();
            self.open.audience = audience.clone();
        }
    }

    fn announce(&mut self, run: &[Entry], outgoing: &Outgoing) {
        let family = self.key.family;
        let mut rest = run;
        while !rest.is_empty() {
            let before = self.open.bytes.len();
            let mut writer = UpdateWriter::new(&mut self.open.bytes, self.key.write_context());
            let next_hop = Some(outgoing.next_hop.placeholder());
            let written = writer.announce_canonical(family, &outgoing.block, next_hop, nlri(rest));
            if matches!(outgoing.next_hop, OutNextHop::Own(_)) {
                self.open
                    .fields
                    .extend(writer.next_hop_ranges().iter().filter_map(|range| {
                        let offset = u32::try_from(range.start).ok()?;
                        Some(NextHopField {
                            offset,
                            len: u8::try_from(range.len()).ok()?,
                        })
                    }));
            }
            self.total += self.open.bytes.len() - before;
            let count = match written {
                Ok(_) => rest.len(),
                Err(WriteError::TooLong { written, .. } | WriteError::Family { written, .. }) => written,
                Err(WriteError::NextHop { .. }) => 0,
            };
            self.open.ids.extend(rest[..count].iter().map(|entry| entry.id));
            let Some((failed, behind)) = rest[count..].split_first() else {
                break;
            };
            self.packed.too_long.push(failed.id);
            self.withdraw(std::slice::from_ref(failed));
            rest = behind;
        }
    }

    fn withdraw(&mut self, run: &[Entry]) {
        let before = self.open.bytes.len();
        let mut writer = UpdateWriter::new(&mut self.open.bytes, self.key.write_context());
        // The only error is a prefix of another family, and a table holds one family.
        writer.withdraw(self.key.family, nlri(run)).ok();
        self.open.ids.extend(run.iter().map(|entry| entry.id));
        self.total += self.open.bytes.len() - before;
    }

    fn close(&mut self) {
        let open = std::mem::take(&mut self.open);
        if open.bytes.is_empty() {
            return;
        }
        let ids: Arc<[u32]> = open.ids.into();
        let bytes = Bytes::from(open.bytes);
        let mut fields = open.fields.into_iter().peekable();
        for (start, end, updates) in split(&bytes) {
            let mut next_hops = Vec::new();
            while let Some(field) = fields.next_if(|field| (field.offset as usize) < end) {
                let offset = u32::try_from(field.offset as usize - start).unwrap_or_default();
                next_hops.push(NextHopField { offset, ..field });
            }
            self.packed.items.push(Item {
                kind: ItemKind::Routes,
                audience: open.audience.clone(),
                bytes: bytes.slice(start..end),
                next_hops: next_hops.into(),
                ids: Arc::clone(&ids),
                updates,
            });
        }
    }
}

/// Cuts whole messages into pieces of at most [`ITEM_BYTES`]: begin, end, and how many messages.
fn split(bytes: &[u8]) -> Vec<(usize, usize, u32)> {
    let mut pieces: Vec<(usize, usize, u32)> = Vec::new();
    let mut at = 0;
    while let Some([high, low]) = bytes.get(at + 16..at + 18) {
        let end = at + usize::from(u16::from_be_bytes([*high, *low])).max(HEADER_LEN);
        match pieces.last_mut() {
            Some((start, piece_end, updates)) if end - *start <= ITEM_BYTES => {
                *piece_end = end;
                *updates += 1;
            }
            _ => pieces.push((at, end, 1)),
        }
        at = end;
    }
    pieces
}

/// The path id is the id itself: with Add-Path, ids are places in the arena of paths. Without, it is not written.
fn nlri(entries: &[Entry]) -> impl Iterator<Item = Nlri<Prefix>> + '_ {
    entries.iter().map(|entry| Nlri {
        path_id: entry.id.wrapping_add(1),
        prefix: entry.prefix,
    })
}

/// An End-of-RIB marker, RFC 4724 §2.
pub(crate) fn end_of_rib(key: &GroupKey, family: Family) -> Vec<u8> {
    let mut bytes = Vec::new();
    UpdateWriter::new(&mut bytes, key.write_context()).end_of_rib(family);
    bytes
}
