//! Who of an update group is sent what, and when: streams are encoded as their members take them, rings are read, those who
//! lag behind fall off.

use std::time::Instant;

use bgp_codec::route_refresh::Subtype;

use super::core::Core;
use super::ids::PeerIndex;
use super::interface::{Chunk, Event, Output};
use super::membership::Position;
use super::pack::{self, Entries, ITEM_BYTES};
use super::ring::{Audience, Chunks, Cursor, Item, ItemKind, MemberId, Ring};
use super::stream::{Marker, STREAM_BYTES, Stream, Walk};
use super::table_data::TableData;
use super::update_group::{UpdateGroup, prefix_id};

/// Ids that are encoded for a stream at once.
const BATCH: usize = 4_096;
/// Bytes at which encoding a batch stops.
const BATCH_BYTES: usize = 256 * 1024;
/// Batches that all streams of a table are given together before everything else has its turn.
pub(crate) const ROUNDS: usize = 2;
/// Chunks handed to a session in one output.
const CHUNKS: usize = 64;

/// What the group may do at this time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gate {
    /// End-of-RIB may go: selection has begun and everything that it began with has been exported.
    pub(crate) end_of_rib: bool,
    /// The time.
    pub(crate) now: Instant,
}

impl UpdateGroup {
    /// Sends what can be sent, of streams up to `rounds` batches; whether there is more to do at once.
    pub(crate) fn serve(
        &mut self,
        core: &mut Core,
        data: &TableData,
        gate: Gate,
        rounds: &mut usize,
    ) -> bool {
        self.active = false;
        self.flush(core, data);
        self.cover_late_changes(gate);
        let left = self.start_waiting(core, data);
        let interval = self.key.min_advertisement_interval;
        for stream in self.streams.iter_mut().flatten() {
            stream.take_turn(interval, gate.now);
        }
        let more = self.serve_streams((core, data), gate, rounds);
        for index in 0..self.members.len() {
            self.send(MemberId(u32::try_from(index).unwrap_or(u32::MAX)), core);
        }
        self.active |= more || left;
        self.active
    }

    /// What changed before End-of-RIB was allowed goes before it: it is part of what we had when we came up.
    fn cover_late_changes(&mut self, gate: Gate) {
        if std::mem::replace(&mut self.was_open, gate.end_of_rib) {
            return;
        }
        for stream in self.streams.iter_mut().flatten() {
            if let Some(walk) = &mut stream.walk
                && walk.markers.contains(&Marker::EndOfRib)
            {
                walk.ids.extend(std::mem::take(&mut stream.dirty).iter());
            }
        }
    }

    /// Whether a stream waits for nothing but the permission to end.
    pub(crate) fn is_held_up(&self, open: bool) -> bool {
        let waits = |walk: &Walk| walk.ids.is_empty() && !walk.markers.is_empty();
        open && self
            .streams
            .iter()
            .flatten()
            .any(|stream| stream.walk.as_ref().is_some_and(waits))
    }

    /// Encodes and sends streams as far as their members take them, a batch of each in turn; whether there is more to do.
    fn serve_streams(
        &mut self,
        (core, data): (&mut Core, &TableData),
        gate: Gate,
        rounds: &mut usize,
    ) -> bool {
        let count = self.streams.len();
        let mut idle = 0;
        while idle < count {
            if *rounds == 0 {
                return true;
            }
            self.turn = (self.turn + 1) % count;
            if self.serve_stream(self.turn, core, data, gate) {
                *rounds -= 1;
                idle = 0;
            } else {
                idle += 1;
            }
        }
        false
    }

    /// Encodes a batch of a stream if its members can take it; whether that made something new.
    fn serve_stream(&mut self, index: usize, core: &mut Core, data: &TableData, gate: Gate) -> bool {
        let Some(stream) = self.streams[index].as_ref().filter(|stream| !stream.closed) else {
            return false;
        };
        for member in stream.members.clone() {
            self.send(member, core);
        }
        if !self.is_wanted(index, core) {
            return false;
        }
        self.shed_slow_readers(index);
        self.produce(index, core, data, gate)
    }

    /// Whether somebody has read all of a stream and can take more.
    fn is_wanted(&self, index: usize, core: &Core) -> bool {
        let Some(stream) = self.streams[index].as_ref() else {
            return false;
        };
        stream.members.iter().any(|id| {
            self.member(*id).is_some_and(|member| {
                let at_head =
                    matches!(member.position, Position::Stream { cursor, .. } if cursor == stream.ring.head());
                at_head && core.peers.get(member.peer).is_some_and(|peer| peer.credit > 0)
            })
        })
    }

    /// Members that are too far behind the fastest one go on alone.
    fn shed_slow_readers(&mut self, index: usize) {
        while let Some(stream) = self.streams[index].as_ref()
            && stream.ring.bytes() > STREAM_BYTES
            && stream.members.len() > 1
        {
            let place = |id: &MemberId| match self.member(*id).map(|member| &member.position) {
                Some(Position::Stream { cursor, .. }) => *cursor,
                _ => Cursor::default(),
            };
            let Some(slowest) = stream.members.iter().copied().min_by_key(place) else {
                return;
            };
            self.split_off(slowest);
        }
    }

    /// Encodes the next ids of a stream, its markers, and its end. Whether anything came of it.
    fn produce(&mut self, index: usize, core: &Core, data: &TableData, gate: Gate) -> bool {
        let Some(stream) = self.streams[index].as_mut() else {
            return false;
        };
        let before = stream.ring.head();
        if stream.ready() > 0 {
            self.encode(index, core, data);
        }
        self.push_markers(index, gate);
        let Some(stream) = self.streams[index].as_mut() else {
            return false;
        };
        let moved = stream.ring.head() != before || stream.ready() > 0;
        if stream.walk.is_none() && !self.start_waiting_refreshes(index) {
            self.close_if_done(index);
        }
        moved
    }

    fn encode(&mut self, index: usize, core: &Core, data: &TableData) {
        let bytes = self.batch_bytes(index, core);
        let Some(stream) = self.streams[index].as_mut() else {
            return;
        };
        let limit = BATCH * bytes / BATCH_BYTES;
        let mut ids = Vec::with_capacity(limit.min(stream.ready()));
        let of_walk = stream.take(limit, &mut ids);
        let members = stream.members.clone();
        self.take_withdrawals(index, &mut ids, (core, data));
        let mut entries = Entries::with_capacity(ids.len());
        for id in &ids {
            let Some(stream) = self.streams[index].as_ref() else {
                continue;
            };
            self.stream_entries(*id, (stream, &members), (core, data), &mut entries);
        }
        let packed = self.pack(entries, bytes, core, data);
        let Some(stream) = self.streams[index].as_mut() else {
            return;
        };
        for id in ids {
            if packed.left.binary_search(&id).is_ok() {
                stream.put_back(id, of_walk.contains(id));
            } else {
                stream.may_hold.remove(id);
                if let Some(before) = &mut stream.before {
                    before.ids.remove(id);
                }
            }
        }
        packed.items.into_iter().for_each(|item| stream.ring.push(item));
    }

    /// How much of a stream to encode at once. For members that lag it is what the readiest of them can take, so that little is
    /// kept for one that hardly reads; a table for those that come up is better packed in one piece.
    fn batch_bytes(&self, index: usize, core: &Core) -> usize {
        let Some(stream) = self.streams[index].as_ref().filter(|stream| !stream.fresh) else {
            return BATCH_BYTES;
        };
        let peers = stream.members.iter();
        let peers = peers.filter_map(|id| core.peers.get(self.member(*id)?.peer));
        let credit = peers.map(|peer| peer.credit).max().unwrap_or(0);
        credit.clamp(ITEM_BYTES, BATCH_BYTES)
    }

    /// RFC 4271 §9.2.1.1: what the member of a paced stream is to hold no longer does not wait for its turn.
    fn take_withdrawals(&mut self, index: usize, ids: &mut Vec<u32>, (core, data): (&Core, &TableData)) {
        let Some(stream) = self.streams[index].as_mut().filter(|stream| stream.paced) else {
            return;
        };
        let mut urgent = Vec::new();
        stream.urgent.take(BATCH, &mut urgent);
        let Some(member) = stream.members.first().copied() else {
            return;
        };
        let Some(peer) = self.member(member).map(|at| at.peer) else {
            return;
        };
        urgent.retain(|id| {
            let slot = self.out.at(*id).filter(|slot| !slot.is_too_long());
            !slot.is_some_and(|slot| self.audience(*id, slot, core, data).includes(member, peer))
        });
        if let Some(stream) = self.streams[index].as_mut() {
            urgent.retain(|id| stream.dirty.remove(*id));
        }
        ids.extend(urgent);
    }

    /// When something of a paced stream has its turn; none within for at once.
    pub(crate) fn next_turn(&self) -> Option<Option<Instant>> {
        if self.key.min_advertisement_interval.is_zero() {
            return None;
        }
        self.streams.iter().flatten().filter_map(Stream::next_turn).min()
    }

    /// What the members of a stream are told of an id.
    fn stream_entries(
        &self,
        id: u32,
        (stream, members): (&Stream, &[MemberId]),
        (core, data): (&Core, &TableData),
        entries: &mut Entries,
    ) {
        let held = stream.may_hold.contains(id);
        let before = stream.before.as_ref();
        let Some(slot) = self.out.at(id).filter(|slot| !slot.is_too_long()) else {
            if held {
                let source = before.and_then(|before| before.source(id));
                let audience = Audience {
                    except_source: source.filter(|source| self.by_peer.contains_key(source)),
                    ..Audience::default()
                };
                entries.add(id, None, &audience);
            }
            return;
        };
        let audience = self.audience(id, slot, core, data);
        let of = |id: &MemberId| self.member(*id).map(|member| member.peer);
        let included = |id: &MemberId| of(id).is_some_and(|peer| audience.includes(*id, peer));
        if held {
            let held_by = |id_of: &MemberId| of(id_of).is_some_and(|peer| !stream.was_source(id, peer));
            // Where no filter of a member's own has dropped it, it is the source alone that is not told.
            let source = audience
                .except_source
                .and_then(|source| self.by_peer.get(&source));
            let source = source.copied().filter(|source| members.contains(source));
            let others = if audience.except.is_empty() {
                source.as_slice()
            } else {
                members
            };
            for member in others
                .iter()
                .filter(|member| !included(member) && held_by(member))
            {
                entries.add(id, None, &Audience::only(*member));
            }
        }
        // What they bring from another group is not told again.
        let prefix = prefix_id(&self.key, id, data);
        let same = before.is_some_and(|before| before.has((id, prefix), slot, &self.key, (core, data)));
        if !same && members.iter().any(included) {
            entries.add(id, Some(slot), &audience);
        }
    }

    /// RFC 4724 §2, RFC 7313 §4: markers stand behind the last message of what they end.
    fn push_markers(&mut self, index: usize, gate: Gate) {
        loop {
            let Some(stream) = self.streams[index].as_mut() else {
                return;
            };
            let Some(walk) = stream.walk.as_mut().filter(|walk| walk.ids.is_empty()) else {
                return;
            };
            match walk.markers.first() {
                None => stream.walk = None,
                Some(Marker::EndOfRib) if !gate.end_of_rib => return,
                Some(Marker::EndOfRib) => {
                    walk.markers.remove(0);
                    let bytes = pack::end_of_rib(&self.key, self.key.family);
                    stream.ring.push(Item::end_of_rib(bytes));
                }
                Some(Marker::EndOfRefresh) => {
                    walk.markers.remove(0);
                    self.push_refresh(index, Subtype::EndOfRib);
                }
            }
        }
    }

    /// Nothing left: from here on the members read the ring. What has been flushed into it they have had from the stream.
    fn close_if_done(&mut self, index: usize) {
        let Some(stream) = self.streams[index].as_mut() else {
            return;
        };
        if stream.closed || stream.paced || stream.walk.is_some() || stream.pending() > 0 {
            return;
        }
        stream.closed = true;
        for id in stream.members.clone() {
            let from = self.ring.attach();
            if let Some(member) = self.member_mut(id)
                && let Position::Stream { then, .. } = &mut member.position
            {
                *then = Some(from);
            }
        }
    }

    /// Hands a member what it can take.
    pub(crate) fn send(&mut self, id: MemberId, core: &mut Core) {
        let mut chunks = Chunks::default();
        let Some(member) = self.member(id) else { return };
        let peer = member.peer;
        let Some(mut credit) = core.peers.get(peer).map(|peer| peer.credit) else {
            return;
        };
        let mut updates = 0;
        let mut end_of_rib = false;
        while let Some((ring, cursor)) = self.reading(id) {
            let mut at = cursor;
            let Some(item) = ring.peek(cursor) else { break };
            if item.audience.includes(id, peer) {
                if item.len() > credit || chunks.len() >= CHUNKS && item.kind == ItemKind::Routes {
                    break;
                }
                credit -= item.len();
                updates += u64::from(item.updates);
                end_of_rib |= item.kind == ItemKind::EndOfRib;
                chunks.add(item);
            }
            ring.pass(&mut at);
            self.advance(id, at);
        }
        self.hand_over(peer, chunks.finish(), (credit, updates, end_of_rib), core);
    }

    fn hand_over(
        &mut self,
        peer: PeerIndex,
        chunks: Vec<Chunk>,
        (credit, updates, end_of_rib): (usize, u64, bool),
        core: &mut Core,
    ) {
        if chunks.is_empty() {
            return;
        }
        self.active |= chunks.len() >= CHUNKS;
        let family = self.key.family;
        let Some(state) = core.peers.get_mut(peer) else {
            return;
        };
        state.credit = credit;
        state.updates_sent += updates;
        let id = state.settings.id;
        if end_of_rib && let Some(at) = state.families.get_mut(&family) {
            at.end_of_rib_sent = true;
        }
        core.outputs.push_back(Output::Send { peer: id, chunks });
        if end_of_rib {
            core.event(Event::EndOfRibSent { peer: id, family });
        }
    }

    /// The queue that a member reads, and where; a closed stream that it has read to the end is left for the ring.
    fn reading(&mut self, id: MemberId) -> Option<(&mut Ring, Cursor)> {
        if let Position::Stream {
            stream,
            cursor,
            then: Some(then),
        } = self.member(id)?.position
            && self.streams[stream]
                .as_ref()
                .is_some_and(|stream| cursor == stream.ring.head())
        {
            self.leave_stream(stream, id, cursor, |_| ());
            self.member_mut(id)?.position = Position::Ring(then);
        }
        match self.member(id)?.position {
            Position::Waiting { .. } => None,
            Position::Ring(cursor) => Some((&mut self.ring, cursor)),
            Position::Stream { stream, cursor, .. } => self.streams[stream]
                .as_mut()
                .map(|stream| (&mut stream.ring, cursor)),
        }
    }

    fn advance(&mut self, id: MemberId, to: Cursor) {
        match self.member_mut(id).map(|member| &mut member.position) {
            Some(Position::Ring(cursor) | Position::Stream { cursor, .. }) => *cursor = to,
            Some(Position::Waiting { .. }) | None => {}
        }
    }

    /// Takes the slowest member off the ring.
    pub(crate) fn detach_slowest(&mut self) {
        if let Some((_, slowest)) = self.slowest() {
            self.split_off(slowest);
        }
    }

    /// Takes the slowest member off the ring if it can take nothing; whether it did.
    pub(crate) fn detach_stuck(&mut self, core: &Core) -> bool {
        let Some((_, slowest)) = self.slowest() else {
            return false;
        };
        let peer = self.member(slowest).map(|at| at.peer);
        let credit = peer
            .and_then(|peer| core.peers.get(peer))
            .map_or(0, |peer| peer.credit);
        // It may stand before what its stream has left for it.
        let next = self.reading(slowest).and_then(|(queue, at)| queue.peek(at));
        let stuck = next.is_some_and(|item| item.len() > credit);
        if stuck {
            self.split_off(slowest);
        }
        stuck
    }

    /// The member that has read the least of the ring.
    fn slowest(&self) -> Option<(Cursor, MemberId)> {
        let place = |id: MemberId| match self.member(id)?.position {
            Position::Ring(cursor)
            | Position::Stream {
                then: Some(cursor), ..
            } => Some((cursor, id)),
            Position::Waiting { .. } | Position::Stream { then: None, .. } => None,
        };
        self.by_peer.values().filter_map(|id| place(*id)).min()
    }

    /// Bytes in all queues of the group.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.ring.bytes()
            + self
                .streams
                .iter()
                .flatten()
                .map(|stream| stream.ring.bytes())
                .sum::<usize>()
    }

    /// Items in all queues of the group.
    pub(crate) fn queued_items(&self) -> usize {
        self.rings().map(Ring::len).sum()
    }

    /// Octets of the ids that the queued items name.
    pub(crate) fn queued_id_bytes(&self) -> usize {
        self.rings().map(Ring::id_bytes).sum()
    }

    fn rings(&self) -> impl Iterator<Item = &Ring> {
        let streams = self.streams.iter().flatten().map(|stream| &stream.ring);
        std::iter::once(&self.ring).chain(streams)
    }

    /// Octets of the verdicts of members' own filters.
    pub(crate) fn filter_bytes(&self) -> usize {
        let classes = self.classes.iter().flatten();
        classes.map(|class| class.accepted.bytes()).sum()
    }

    /// Ids and chunks that wait for a member.
    pub(crate) fn pending(&self, peer: PeerIndex) -> u64 {
        let Some(member) = self.by_peer.get(&peer).and_then(|id| self.member(*id)) else {
            return 0;
        };
        let pending = match &member.position {
            Position::Waiting { .. } => self.out.sent_to(peer) as usize,
            Position::Stream { stream, cursor, then } => {
                let stream = self.streams[*stream].as_ref();
                stream.map_or(0, |stream| stream.pending() + stream.ring.unread(*cursor))
                    + then.map_or(0, |cursor| self.ring.unread(cursor))
            }
            Position::Ring(cursor) => self.ring.unread(*cursor),
        };
        pending as u64
    }

    /// Whether a member has been told of an id, as far as the group goes: what still waits for it does not count.
    pub(crate) fn is_sent(&self, peer: PeerIndex, id: u32, core: &Core, data: &TableData) -> bool {
        let Some(member) = self.by_peer.get(&peer) else {
            return false;
        };
        let Some(slot) = self.out.at(id).filter(|slot| !slot.is_too_long()) else {
            return false;
        };
        self.audience(id, slot, core, data).includes(*member, peer) && !self.is_pending(peer, id)
    }

    /// Whether something about an id waits for a member.
    pub(crate) fn is_pending(&self, peer: PeerIndex, id: u32) -> bool {
        let Some(member) = self.by_peer.get(&peer).and_then(|id| self.member(*id)) else {
            return false;
        };
        match &member.position {
            Position::Waiting { .. } => true,
            Position::Ring(cursor) => self.ring.names(*cursor, id),
            Position::Stream { stream, cursor, then } => {
                let stream = self.streams[*stream].as_ref();
                stream.is_some_and(|stream| stream.contains(id) || stream.ring.names(*cursor, id))
                    || then.is_some_and(|cursor| self.ring.names(cursor, id))
            }
        }
    }

    /// How many ids a member is sent.
    pub(crate) fn advertised(&self, peer: PeerIndex) -> u64 {
        let Some(member) = self.by_peer.get(&peer).and_then(|id| self.member(*id)) else {
            return 0;
        };
        let class = member.class.and_then(|class| self.classes[class].as_ref());
        class
            .map_or_else(|| self.out.sent_to(peer), |class| class.counts.sent_to(peer))
            .into()
    }
}
