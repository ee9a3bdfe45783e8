//! Packs what a group is sent into messages: ids of equal attributes and equal audience share UPDATEs.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bgp_codec::{Family, HEADER_LEN, Nlri, UpdateWriter, WriteError};
use bytes::Bytes;
use foldhash::fast::FixedState;

use super::adj_rib_out::OutSlot;
use super::export::OutNextHop;
use super::group::GroupKey;
use super::interface::NextHopField;
use super::ring::{Audience, Item, ItemKind, Part};
use crate::route::Prefix;

/// Bytes in one item at most; a session's window is never smaller.
pub(crate) const ITEM_BYTES: usize = 65_535;
/// Audiences that are looked for one by one: a change or two need no table.
const FEW: usize = 8;
/// Ids encoded between two looks at the size.
const RUN: usize = 1_024;

/// Ids to be told, each to an audience.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    list: Vec<Entry>,
    /// The audiences that entries name by number.
    audiences: Vec<Audience>,
    numbers: HashMap<Audience, u32, FixedState>,
}

/// One id to be told to an audience. Small, because it is sorted.
#[derive(Clone, Copy, Debug)]
struct Entry {
    audience: u32,
    id: u32,
    slot: OutSlot,
}

impl Entries {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self {
            list: Vec::with_capacity(capacity),
            ..Self::default()
        }
    }

    /// `None` withdraws.
    pub(crate) fn add(&mut self, id: u32, slot: Option<OutSlot>, audience: &Audience) {
        // Neighbours tend to have the same.
        let last = self.list.last().map(|entry| entry.audience);
        let audience = match last.filter(|last| self.audiences[*last as usize] == *audience) {
            Some(last) => last,
            None => self.number(audience),
        };
        let slot = slot.unwrap_or(OutSlot::EMPTY);
        self.list.push(Entry { audience, id, slot });
    }

    /// The same of another id, for the same audience.
    pub(crate) fn add_like_last(&mut self, id: u32) {
        if let Some(last) = self.list.last().copied() {
            self.list.push(Entry { id, ..last });
        }
    }

    fn number(&mut self, audience: &Audience) -> u32 {
        let known = if self.audiences.len() <= FEW {
            self.audiences.iter().position(|known| known == audience)
        } else {
            self.numbers.get(audience).map(|number| *number as usize)
        };
        let number = known.unwrap_or(self.audiences.len());
        let number = u32::try_from(number).expect("fewer than 2^32 audiences");
        if known.is_none() {
            self.audiences.push(audience.clone());
            if self.audiences.len() > FEW {
                let numbered = (0..).zip(&self.audiences).skip(self.numbers.len());
                self.numbers
                    .extend(numbered.map(|(number, audience)| (audience.clone(), number)));
            }
        }
        number
    }
}

/// What came of packing.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    pub(crate) items: Vec<Item>,
    /// Ids whose attributes do not fit: they have been withdrawn from the same audience.
    pub(crate) too_long: Vec<u32>,
    /// What was not reached before the limit of bytes, in order.
    pub(crate) left: Vec<u32>,
}

/// Encodes entries until about `limit` bytes are there. `outgoing` resolves an id's slot by the group's key: the canonical
/// block of its attributes is put down, the next hop yielded.
pub(crate) fn pack(
    (key, prefix): (&GroupKey, &dyn Fn(u32) -> Prefix),
    entries: Entries,
    limit: usize,
    mut outgoing: impl FnMut(u32, OutSlot, &mut Vec<u8>) -> Option<OutNextHop>,
) -> Packed {
    let mut block = Vec::new();
    let Entries {
        mut list, audiences, ..
    } = entries;
    // Ids stay in order within a run: neighbours in the table were neighbours in the UPDATE that brought them.
    list.sort_unstable_by_key(Entry::rank);
    let mut packer = Packer {
        key,
        prefix,
        packed: Packed::default(),
        open: Open::default(),
        total: 0,
    };
    let mut rest = list.as_slice();
    while let Some(first) = rest.first()
        && packer.total < limit
    {
        let length = rest
            .iter()
            .position(|entry| !entry.shares_message(first))
            .unwrap_or(rest.len());
        let (run, behind) = rest.split_at(length.min(RUN));
        packer.switch(&audiences[first.audience as usize]);
        block.clear();
        match first
            .slot
            .some()
            .and_then(|slot| outgoing(first.id, slot, &mut block))
        {
            Some(next_hop) => packer.announce(run, &block, next_hop),
            // The slot went, or cannot be sent after all.
            None => packer.withdraw(run),
        }
        rest = behind;
    }
    packer.close();
    packer.packed.left = rest.iter().map(|entry| entry.id).collect();
    packer.packed.left.sort_unstable();
    packer.packed
}

impl Entry {
    fn rank(&self) -> (u64, u64, u32) {
        let pair = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        let slot = self.slot;
        (
            pair(self.audience, slot.attributes.0),
            pair(slot.edits(), slot.source.0),
            self.id,
        )
    }

    fn shares_message(&self, other: &Self) -> bool {
        self.audience == other.audience && self.slot.is_same(other.slot)
    }
}

/// Messages that are not items yet, in one buffer.
#[derive(Default)]
struct Open {
    /// Whom those are for that no section holds yet.
    audience: Audience,
    bytes: Vec<u8>,
    fields: Vec<NextHopField>,
    ids: Vec<u32>,
    sections: Vec<Section>,
}

/// Messages for one audience.
struct Section {
    audience: Audience,
    bytes: Range<usize>,
    ids: Range<usize>,
}

impl Open {
    /// Ends the messages for the present audience.
    fn end_section(&mut self) {
        let (bytes, ids) = self
            .sections
            .last()
            .map_or((0, 0), |last| (last.bytes.end, last.ids.end));
        if bytes < self.bytes.len() {
            self.sections.push(Section {
                audience: std::mem::take(&mut self.audience),
                bytes: bytes..self.bytes.len(),
                ids: ids..self.ids.len(),
            });
        }
    }
}

struct Packer<'a> {
    key: &'a GroupKey,
    prefix: &'a dyn Fn(u32) -> Prefix,
    packed: Packed,
    open: Open,
    total: usize,
}

impl Packer<'_> {
    /// Begins another item where the audience changes, and another buffer where enough is in this one.
    fn switch(&mut self, audience: &Audience) {
        if self.open.bytes.len() > ITEM_BYTES / 2 {
            self.close();
        }
        if self.open.audience != *audience {
            self.open.end_section();
            self.open.audience = audience.clone();
        }
    }

    fn announce(&mut self, run: &[Entry], block: &[u8], next_hop: OutNextHop) {
        let family = self.key.family;
        let mut rest = run;
        while !rest.is_empty() {
            let before = self.open.bytes.len();
            let mut writer = UpdateWriter::new(&mut self.open.bytes, self.key.write_context());
            let placeholder = Some(next_hop.placeholder());
            let written = writer.announce_canonical(family, block, placeholder, nlri(self.prefix, rest));
            if matches!(next_hop, OutNextHop::Own(_)) {
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
                Err(WriteError::NextHop { .. } | WriteError::NoNextHop { .. }) => 0,
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
        writer.withdraw(self.key.family, nlri(self.prefix, run)).ok();
        self.open.ids.extend(run.iter().map(|entry| entry.id));
        self.total += self.open.bytes.len() - before;
    }

    fn close(&mut self) {
        let mut open = std::mem::take(&mut self.open);
        open.end_section();
        let ids: Arc<[u32]> = open.ids.into();
        let bytes = Bytes::from(open.bytes);
        let mut fields = open.fields.into_iter().peekable();
        for section in open.sections {
            for (start, end, updates) in split(&bytes, section.bytes) {
                let mut next_hops = Vec::new();
                while let Some(field) = fields.next_if(|field| (field.offset as usize) < end) {
                    let offset = u32::try_from(field.offset as usize - start).unwrap_or_default();
                    next_hops.push(NextHopField { offset, ..field });
                }
                self.packed.items.push(Item {
                    kind: ItemKind::Routes,
                    audience: section.audience.clone(),
                    bytes: Part {
                        of: bytes.clone(),
                        range: start..end,
                    },
                    next_hops: next_hops.into(),
                    ids: Part {
                        of: Arc::clone(&ids),
                        range: section.ids.clone(),
                    },
                    updates,
                });
            }
        }
    }
}

/// Cuts whole messages into pieces of at most [`ITEM_BYTES`]: begin, end, and how many messages.
fn split(bytes: &[u8], section: Range<usize>) -> Vec<(usize, usize, u32)> {
    let mut pieces: Vec<(usize, usize, u32)> = Vec::new();
    let mut at = section.start;
    while at < section.end
        && let Some([high, low]) = bytes.get(at + 16..at + 18)
    {
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
fn nlri<'a>(
    prefix: &'a dyn Fn(u32) -> Prefix,
    entries: &'a [Entry],
) -> impl Iterator<Item = Nlri<Prefix>> + 'a {
    entries.iter().map(|entry| Nlri {
        path_id: entry.id.wrapping_add(1),
        prefix: prefix(entry.id),
    })
}

/// An End-of-RIB marker, RFC 4724 §2.
pub(crate) fn end_of_rib(key: &GroupKey, family: Family) -> Vec<u8> {
    let mut bytes = Vec::new();
    UpdateWriter::new(&mut bytes, key.write_context()).end_of_rib(family);
    bytes
}
