//! A queue of encoded messages that several members read at their own pace.
//!
//! Each member owns a cursor. An item is freed when the slowest member that is attached has passed it. Items are tagged with
//! whom they concern; a member skips what does not concern it.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::ids::PeerIndex;
use super::interface::{Chunk, NextHopField};
use super::pack::ITEM_BYTES;

/// The number of a member within its group.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct MemberId(pub(crate) u32);

/// A set of members, as bits.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct MemberSet(SmallVec<[u64; 2]>);

impl MemberSet {
    pub(crate) fn insert(&mut self, member: MemberId) {
        let word = member.0 as usize / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (member.0 % 64);
    }

    pub(crate) fn union(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0
            .iter_mut()
            .zip(&other.0)
            .for_each(|(ours, theirs)| *ours |= theirs);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub(crate) fn contains(&self, member: MemberId) -> bool {
        self.0
            .get(member.0 as usize / 64)
            .is_some_and(|word| word >> (member.0 % 64) & 1 == 1)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = MemberId> + '_ {
        (0u32..).zip(&self.0).flat_map(|(index, word)| {
            (0..64)
                .filter(move |bit| word >> bit & 1 == 1)
                .map(move |bit| MemberId(index * 64 + bit))
        })
    }
}

/// Whom an item concerns.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Audience {
    /// The only member, if not all.
    pub(crate) only: Option<MemberId>,
    /// Not the one that the routes come from.
    pub(crate) except_source: Option<PeerIndex>,
    /// Nor these.
    pub(crate) except: MemberSet,
}

impl Audience {
    /// One member alone.
    pub(crate) fn only(member: MemberId) -> Self {
        Self {
            only: Some(member),
            ..Self::default()
        }
    }

    pub(crate) fn includes(&self, member: MemberId, peer: PeerIndex) -> bool {
        self.only.is_none_or(|only| only == member)
            && self.except_source != Some(peer)
            && !self.except.contains(member)
    }
}

/// What an item is, beyond its bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ItemKind {
    Routes,
    EndOfRib,
    /// BoRR, RFC 7313.
    BeginOfRefresh,
    /// EoRR, RFC 7313.
    EndOfRefresh,
}

/// A part of what items that were made together share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Part<T> {
    pub(crate) of: T,
    pub(crate) range: Range<usize>,
}

/// Some whole messages.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) kind: ItemKind,
    pub(crate) audience: Audience,
    /// The messages, among those of the items around it.
    pub(crate) bytes: Part<Bytes>,
    pub(crate) next_hops: Arc<[NextHopField]>,
    /// Ids whose state it carries, so that a member that falls off can be told again.
    pub(crate) ids: Part<Arc<[u32]>>,
    /// UPDATEs in it.
    pub(crate) updates: u32,
}

impl Item {
    /// Octets of its messages.
    pub(crate) fn len(&self) -> usize {
        self.bytes.range.len()
    }

    /// Ids whose state it carries.
    pub(crate) fn ids(&self) -> &[u32] {
        self.ids.of.get(self.ids.range.clone()).unwrap_or_default()
    }
}

/// What a member is handed at once. Items that are neighbours in one buffer become one chunk: a member that skips few of
/// them is written few pieces, however many there are.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    done: Vec<Chunk>,
    open: Part<Bytes>,
    /// UPDATEs in that.
    updates: u32,
}

impl Chunks {
    /// Chunks so far, the one that may still grow apart.
    pub(crate) fn len(&self) -> usize {
        self.done.len()
    }

    pub(crate) fn add(&mut self, item: &Item) {
        let (open, part) = (&mut self.open, &item.bytes);
        let follows = open.range.end == part.range.start
            && open.of.as_ptr() == part.of.as_ptr()
            && part.range.end - open.range.start <= ITEM_BYTES;
        if !open.range.is_empty() && follows && item.next_hops.is_empty() {
            open.range.end = part.range.end;
            self.updates += item.updates;
            return;
        }
        self.close();
        if item.next_hops.is_empty() {
            self.open = part.clone();
            self.updates = item.updates;
        } else {
            self.done.push(Chunk {
                bytes: part.of.slice(part.range.clone()),
                next_hops: Arc::clone(&item.next_hops),
                updates: item.updates,
            });
        }
    }

    fn close(&mut self) {
        let open = std::mem::take(&mut self.open);
        if !open.range.is_empty() {
            self.done.push(Chunk {
                bytes: open.of.slice(open.range),
                next_hops: Arc::default(),
                updates: self.updates,
            });
        }
    }

    /// All of them.
    pub(crate) fn finish(mut self) -> Vec<Chunk> {
        self.close();
        self.done
    }
}

#[derive(Debug)]
struct Place {
    item: Item,
    /// Attached members that have not passed.
    waiting: u32,
}

/// A position in a [`Ring`]: the next item to read.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Cursor(u64);

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    places: VecDeque<Place>,
    base: u64,
    bytes: usize,
    readers: u32,
}

impl Ring {
    /// Bytes held.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Items held.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Octets of the ids that the items name; those made together share them.
    pub(crate) fn id_bytes(&self) -> usize {
        let ids = self.places.iter().map(|place| &place.item.ids.of);
        let mut last = std::ptr::null();
        ids.filter(|ids| std::mem::replace(&mut last, ids.as_ptr()) != ids.as_ptr())
            .map(|ids| size_of_val(&**ids))
            .sum()
    }

    pub(crate) const fn readers(&self) -> u32 {
        self.readers
    }

    pub(crate) fn head(&self) -> Cursor {
        Cursor(self.base + self.places.len() as u64)
    }

    /// One more member reads from here on.
    pub(crate) fn attach(&mut self) -> Cursor {
        self.readers += 1;
        self.head()
    }

    /// The member reads no more. Calls back for each item that it had not read.
    pub(crate) fn detach(&mut self, cursor: Cursor, mut unread: impl FnMut(&Item)) {
        let from = (cursor.0 - self.base) as usize;
        for place in self.places.range_mut(from..) {
            unread(&place.item);
            place.waiting -= 1;
        }
        self.readers -= 1;
        self.free();
    }

    /// Queues an item for the members that are attached; nobody to read it, nothing to keep.
    pub(crate) fn push(&mut self, item: Item) {
        if self.readers > 0 {
            self.bytes += item.len();
            self.places.push_back(Place {
                item,
                waiting: self.readers,
            });
        }
    }

    /// The item at a cursor.
    pub(crate) fn peek(&self, cursor: Cursor) -> Option<&Item> {
        self.places
            .get((cursor.0 - self.base) as usize)
            .map(|place| &place.item)
    }

    /// Moves a cursor past its item.
    pub(crate) fn pass(&mut self, cursor: &mut Cursor) {
        if let Some(place) = self.places.get_mut((cursor.0 - self.base) as usize) {
            place.waiting -= 1;
            cursor.0 += 1;
            self.free();
        }
    }

    /// Items between a cursor and the head, whomever they concern.
    pub(crate) fn unread(&self, cursor: Cursor) -> usize {
        (self.base + self.places.len() as u64 - cursor.0) as usize
    }

    /// Whether an unread item is about an id.
    pub(crate) fn names(&self, cursor: Cursor, id: u32) -> bool {
        let from = (cursor.0 - self.base) as usize;
        self.places
            .range(from..)
            .any(|place| place.item.ids().contains(&id))
    }

    /// Whether every item before a place has been read by all.
    pub(crate) const fn is_past(&self, place: Cursor) -> bool {
        self.base >= place.0
    }

    fn free(&mut self) {
        while let Some(first) = self.places.front()
            && first.waiting == 0
        {
            self.bytes -= first.item.len();
            self.places.pop_front();
            self.base += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(bytes: &'static [u8]) -> Item {
        Item {
            kind: ItemKind::Routes,
            audience: Audience::default(),
            bytes: Part {
                of: Bytes::from_static(bytes),
                range: 0..bytes.len(),
            },
            next_hops: Arc::default(),
            ids: Part::default(),
            updates: 1,
        }
    }

    #[test]
    fn neighbours_in_one_buffer_become_one_chunk() {
        let buffer = Bytes::from_static(b"one two three");
        let other = Bytes::from_static(b"four");
        let part = |of: &Bytes, range: Range<usize>| Item {
            bytes: Part {
                of: of.clone(),
                range,
            },
            ..item(b"")
        };
        let mut chunks = Chunks::default();
        chunks.add(&part(&buffer, 0..4));
        chunks.add(&part(&buffer, 4..8));
        chunks.add(&part(&other, 0..4));
        chunks.add(&part(&buffer, 8..10));
        // What lies between is not for this member.
        chunks.add(&part(&buffer, 12..13));
        let bytes: Vec<Bytes> = chunks.finish().into_iter().map(|chunk| chunk.bytes).collect();
        assert_eq!(bytes, ["one two ", "four", "th", "e"]);
    }

    #[test]
    fn a_chunk_is_freed_when_the_slowest_attached_member_passed() {
        let mut ring = Ring::default();
        ring.push(item(b"nobody reads this"));
        assert_eq!(ring.bytes(), 0);
        let (mut fast, mut slow) = (ring.attach(), ring.attach());
        ring.push(item(b"one"));
        ring.push(item(b"two"));
        ring.pass(&mut fast);
        ring.pass(&mut fast);
        assert_eq!(ring.peek(fast).map(Item::len), None);
        assert_eq!((ring.bytes(), ring.unread(slow)), (6, 2));
        ring.pass(&mut slow);
        assert_eq!((ring.bytes(), ring.unread(slow)), (3, 1));
        let mut unread = Vec::new();
        ring.detach(slow, |item| unread.push(item.bytes.of.clone()));
        assert_eq!(unread, [Bytes::from_static(b"two")]);
        assert_eq!((ring.bytes(), ring.readers()), (0, 1));
    }

    #[test]
    fn an_audience_leaves_out_source_and_exceptions() {
        let mut except = MemberSet::default();
        except.insert(MemberId(70));
        let audience = Audience {
            only: None,
            except_source: Some(PeerIndex(3)),
            except,
        };
        assert!(audience.includes(MemberId(0), PeerIndex(1)));
        assert!(!audience.includes(MemberId(0), PeerIndex(3)));
        assert!(!audience.includes(MemberId(70), PeerIndex(1)));
        let private = Audience {
            only: Some(MemberId(2)),
            ..Audience::default()
        };
        assert!(private.includes(MemberId(2), PeerIndex(1)) && !private.includes(MemberId(1), PeerIndex(2)));
    }
}
