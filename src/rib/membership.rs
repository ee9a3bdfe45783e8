//! Who is in an update group, and where each member reads: how one joins, falls behind, leaves.

use std::net::IpAddr;
use std::sync::Arc;

use bgp_codec::route_refresh::Subtype;
use smallvec::{SmallVec, smallvec};

use super::before::{Before, Snapshot};
use super::core::Core;
use super::id_set::IdSet;
use super::ids::PeerIndex;
use super::refresh::Refresh;
use super::ring::{Audience, Cursor, Item, ItemKind, MemberId, Part};
use super::stream::{Marker, Stream, Walk};
use super::table_data::TableData;
use super::update_group::UpdateGroup;
use crate::policy::Chain;

/// Slots that are looked at in one slice of work to start members who come from elsewhere; about half a millisecond.
const STARTED: usize = 1 << 19;

/// One member.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) peer: PeerIndex,
    pub(crate) address: IpAddr,
    /// Its class of equal drop-only filters; none when it has no such filter.
    pub(crate) class: Option<usize>,
    /// The class that it goes over to as soon as that has looked at every slot.
    pub(super) next_class: Option<Option<usize>>,
    pub(crate) position: Position,
    /// A refresh was asked for during a walk: one more follows it.
    pub(super) again: Option<Refresh>,
}

/// Where a member reads.
#[derive(Debug)]
pub(crate) enum Position {
    /// The group or the member's filter is still being worked out. Some come from another group.
    Waiting { from: Option<Box<Carried>> },
    /// In a stream, and once that is closed, from a place in the ring on.
    Stream {
        stream: usize,
        cursor: Cursor,
        then: Option<Cursor>,
    },
    /// In step.
    Ring(Cursor),
}

/// What a member takes with it from one group to another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Carried {
    /// Ids that it may hold, beyond those of `before`.
    held: IdSet,
    /// What it held for certain; one for all that left together.
    before: Option<Arc<Before>>,
    /// What it has still to be told when it has been told everything.
    markers: SmallVec<[Marker; 2]>,
    /// It has not read the BoRR before those.
    begin_of_refresh: bool,
    again: Option<Refresh>,
}

/// What a member had not read when it was taken off a queue.
#[derive(Default)]
pub(super) struct Unread {
    ids: IdSet,
    end_of_rib: bool,
    begin_of_refresh: bool,
    end_of_refresh: bool,
}

impl Unread {
    fn markers(&self) -> SmallVec<[Marker; 2]> {
        let end_of_rib = self.end_of_rib.then_some(Marker::EndOfRib);
        let end_of_refresh = self.end_of_refresh.then_some(Marker::EndOfRefresh);
        end_of_rib.into_iter().chain(end_of_refresh).collect()
    }

    fn add(&mut self, member: MemberId, peer: PeerIndex, item: &Item) {
        if !item.audience.includes(member, peer) {
            return;
        }
        match item.kind {
            ItemKind::Routes => self.ids.extend(item.ids().iter().copied()),
            ItemKind::EndOfRib => self.end_of_rib = true,
            ItemKind::BeginOfRefresh => self.begin_of_refresh = true,
            ItemKind::EndOfRefresh => self.end_of_refresh = true,
        }
    }
}

impl Carried {
    fn may_hold(&self, id: u32) -> bool {
        let before = self.before.as_ref();
        self.held.contains(id) || before.is_some_and(|before| before.ids.contains(id))
    }
}

impl UpdateGroup {
    /// A peer joins. `from`: what it brings from another group; none when its session is new.
    pub(crate) fn join(&mut self, peer: PeerIndex, address: IpAddr, chain: &Chain, from: Option<Carried>) {
        let free = self.members.iter().position(Option::is_none);
        let index = free.unwrap_or_else(|| {
            self.members.push(None);
            self.members.len() - 1
        });
        let id = MemberId(u32::try_from(index).expect("fewer than 2^32 members"));
        let class = self.class_of(chain);
        if let Some(class) = class.and_then(|class| self.classes[class].as_mut()) {
            class.add(id);
        }
        let position = Position::Waiting {
            from: from.map(Box::new),
        };
        self.members[index] = Some(Member {
            peer,
            address,
            class,
            next_class: None,
            position,
            again: None,
        });
        self.by_peer.insert(peer, id);
        self.by_address.insert(address, id);
        self.forget_verdicts();
        self.active = true;
    }

    pub(crate) fn member(&self, id: MemberId) -> Option<&Member> {
        self.members.get(id.0 as usize).and_then(Option::as_ref)
    }

    pub(crate) fn member_mut(&mut self, id: MemberId) -> Option<&mut Member> {
        self.members.get_mut(id.0 as usize).and_then(Option::as_mut)
    }

    /// A peer's session ends.
    pub(crate) fn leave(&mut self, peer: PeerIndex) {
        if let Some(id) = self.by_peer.get(&peer).copied() {
            self.take_out(peer, id);
        }
    }

    /// A peer goes over to another group; what it takes with it, unless it has not been sent anything.
    pub(crate) fn leave_for_another(&mut self, peer: PeerIndex, core: &mut Core) -> Option<Carried> {
        let id = self.by_peer.get(&peer).copied()?;
        // Who has read everything holds what all others from here do.
        self.send(id, core);
        let mut carried = self.carried(id, core);
        let again = self.member(id).and_then(|member| member.again);
        let unread = self.take_out(peer, id);
        let carried = carried.as_mut()?;
        carried.held.unite(&unread.ids);
        if let Some(before) = carried.before.as_mut().filter(|_| !unread.ids.is_empty()) {
            Arc::make_mut(before).ids.subtract(&unread.ids);
        }
        let mut markers = unread.markers();
        markers.append(&mut carried.markers);
        Some(Carried {
            held: std::mem::take(&mut carried.held),
            before: carried.before.take(),
            markers,
            begin_of_refresh: carried.begin_of_refresh || unread.begin_of_refresh,
            again: again.or(carried.again),
        })
    }

    /// Takes a member out of everything; what it had not read.
    fn take_out(&mut self, peer: PeerIndex, id: MemberId) -> Unread {
        self.by_peer.remove(&peer);
        self.forget_verdicts();
        let unread = self.take_off(id);
        let Some(member) = self.members[id.0 as usize].take() else {
            return unread;
        };
        if self.by_address.get(&member.address) == Some(&id) {
            self.by_address.remove(&member.address);
        }
        for class in [member.class, member.next_class.flatten()].into_iter().flatten() {
            self.leave_class(class, id);
        }
        unread
    }

    /// What a member holds and waits for, apart from what it has not read.
    fn carried(&mut self, id: MemberId, core: &Core) -> Option<Carried> {
        if let Some(Member {
            position: Position::Waiting { from },
            ..
        }) = self.member(id)
        {
            return from.as_deref().cloned();
        }
        let member = self.member(id)?;
        if self.is_in_step(id) {
            return Some(Carried {
                before: Some(self.before(member.class, core)),
                ..Carried::default()
            });
        }
        let peer = member.peer;
        let mut held = self.out.ids(|slot| slot.source != peer && !slot.is_too_long());
        if let Some(class) = member.class.and_then(|class| self.classes[class].as_ref()) {
            held.intersect(&class.accepted);
        }
        let mut carried = Carried {
            held,
            ..Carried::default()
        };
        if let Position::Stream { stream, .. } = member.position
            && let Some(stream) = &self.streams[stream]
        {
            if let Some(walk) = &stream.walk {
                carried.markers.clone_from(&walk.markers);
                // What is not sent yet is held only if it was before.
                if stream.fresh {
                    carried.held.subtract(&walk.ids);
                }
            }
            let may_hold = stream.may_hold.iter();
            carried
                .held
                .extend(may_hold.filter(|id| !stream.was_source(*id, peer)));
        }
        Some(carried)
    }

    /// Whether a member has been told everything, or will be by what is queued for it.
    fn is_in_step(&self, id: MemberId) -> bool {
        match self.member(id).map(|member| &member.position) {
            Some(Position::Ring(_)) => true,
            Some(Position::Stream { stream, then, .. }) => {
                then.is_some() || self.streams[*stream].as_ref().is_some_and(Stream::is_done)
            }
            Some(Position::Waiting { .. }) | None => false,
        }
    }

    /// Whether a member holds what everybody with its filter does, and waits for nothing.
    pub(super) fn has_read_all(&self, id: MemberId) -> bool {
        let Some(member) = self.member(id).filter(|member| member.again.is_none()) else {
            return false;
        };
        let read = |cursor: Cursor| cursor == self.ring.head();
        match member.position {
            Position::Ring(cursor) => read(cursor),
            Position::Stream {
                stream,
                cursor,
                then: Some(then),
            } => {
                read(then)
                    && self.streams[stream]
                        .as_ref()
                        .is_some_and(|at| at.ring.head() == cursor)
            }
            Position::Stream { then: None, .. } | Position::Waiting { .. } => false,
        }
    }

    /// What members with one filter hold who are in step; those who leave one after the other share it.
    pub(super) fn before(&self, class: Option<usize>, core: &Core) -> Arc<Before> {
        let mut latest = self.latest.borrow_mut();
        let known = latest.iter().find(|(of, _)| *of == class);
        if let Some((_, before)) = known {
            return Arc::clone(before);
        }
        let snapshot = match latest.first() {
            Some((_, before)) => Arc::clone(&before.snapshot),
            None => Arc::new(Snapshot::new(&self.key, self.out.slots(), core)),
        };
        let mut ids = self.out.ids(|slot| !slot.is_too_long());
        if let Some(class) = class.and_then(|class| self.classes[class].as_ref()) {
            ids.intersect(&class.accepted);
        }
        let before = Arc::new(Before { snapshot, ids });
        latest.push((class, Arc::clone(&before)));
        before
    }

    /// Takes a member off whatever it reads, and yields what it had not read.
    pub(super) fn take_off(&mut self, id: MemberId) -> Unread {
        let mut unread = Unread::default();
        self.moves += 1;
        let Some(member) = self.members[id.0 as usize].as_mut() else {
            return unread;
        };
        let peer = member.peer;
        match std::mem::replace(&mut member.position, Position::Waiting { from: None }) {
            Position::Waiting { .. } => {}
            Position::Ring(cursor) => self.ring.detach(cursor, |item| unread.add(id, peer, item)),
            Position::Stream { stream, cursor, then } => {
                self.leave_stream(stream, id, cursor, |item| unread.add(id, peer, item));
                if let Some(cursor) = then {
                    self.ring.detach(cursor, |item| unread.add(id, peer, item));
                }
            }
        }
        unread
    }

    /// Ends a member's part in a stream; the last one takes the stream with it.
    pub(crate) fn leave_stream(
        &mut self,
        stream: usize,
        member: MemberId,
        cursor: Cursor,
        unread: impl FnMut(&Item),
    ) {
        if let Some(at) = self.streams[stream].as_mut() {
            at.ring.detach(cursor, unread);
            at.members.retain(|other| *other != member);
            if at.members.is_empty() {
                self.streams[stream] = None;
            }
        }
    }

    fn add_stream(&mut self, mut stream: Stream) -> usize {
        stream.paced = !self.key.min_advertisement_interval.is_zero();
        match self.streams.iter().position(Option::is_none) {
            Some(free) => {
                self.streams[free] = Some(stream);
                free
            }
            None => {
                self.streams.push(Some(stream));
                self.streams.len() - 1
            }
        }
    }

    pub(super) fn enter_stream(&mut self, id: MemberId, stream: usize) {
        let Some(at) = self.streams[stream].as_mut() else {
            return;
        };
        at.members.push(id);
        let cursor = at.ring.attach();
        if let Some(member) = self.member_mut(id) {
            member.position = Position::Stream {
                stream,
                cursor,
                then: None,
            };
        }
        self.active = true;
    }

    /// Starts the members that waited, and those whose new filter has seen everything, as many as fit into a slice of work;
    /// whether some are left.
    pub(crate) fn start_waiting(&mut self, core: &mut Core, data: &TableData) -> bool {
        if self.fill.is_some() {
            return false;
        }
        let mut looked_at = 0;
        let mut left = false;
        for index in 0..self.members.len() {
            let id = MemberId(u32::try_from(index).unwrap_or(u32::MAX));
            let Some(member) = self.member(id) else { continue };
            if let Some(next) = member.next_class.filter(|next| self.is_judged(*next)) {
                if looked_at > STARTED {
                    left = true;
                } else {
                    looked_at += self.switch_class(id, next, core, data);
                }
            }
            let Some(member) = self.members[index].as_mut() else {
                continue;
            };
            let class = member.class;
            if let Position::Waiting { from } = &mut member.position {
                let from = from.take();
                if !self.is_judged(class) || (from.is_some() && looked_at > STARTED) {
                    left |= self.is_judged(class);
                    if let Some(member) = self.member_mut(id) {
                        member.position = Position::Waiting { from };
                    }
                } else {
                    looked_at += self.start(id, from);
                }
            }
        }
        left
    }

    pub(super) fn present(&self) -> IdSet {
        self.out.ids(|_| true)
    }

    /// Starts a member; how many slots that took to look at.
    fn start(&mut self, id: MemberId, from: Option<Box<Carried>>) -> usize {
        let Some(from) = from else {
            let stream = self.joinable(id).unwrap_or_else(|| {
                let walk = Walk {
                    ids: self.present(),
                    markers: smallvec![Marker::EndOfRib],
                };
                self.add_stream(Stream {
                    walk: Some(walk),
                    fresh: true,
                    ..Stream::default()
                })
            });
            self.enter_stream(id, stream);
            return 0;
        };
        let Carried {
            mut held,
            before,
            markers,
            begin_of_refresh,
            again,
        } = *from;
        let alone = !held.is_empty() || !markers.is_empty() || begin_of_refresh || again.is_some();
        let origin = before.clone().filter(|_| !alone);
        if let Some(stream) = origin.as_ref().and_then(|origin| self.joinable_from(id, origin)) {
            self.enter_stream(id, stream);
            return 0;
        }
        if let Some(before) = &before {
            held.unite(&before.ids);
        }
        let mut ids = self.present();
        ids.unite(&held);
        let walk = Some(Walk { ids, markers });
        let stream = self.add_stream(Stream {
            walk,
            may_hold: held,
            before: before.map(Arc::unwrap_or_clone),
            origin,
            ..Stream::default()
        });
        self.enter_stream(id, stream);
        if begin_of_refresh {
            self.push_refresh(stream, Subtype::BeginOfRib);
        }
        if let Some(member) = self.member_mut(id) {
            member.again = member.again.max(again);
        }
        self.out.bound() as usize
    }

    /// A stream of members that came from the same place with nothing else to be told, and have the same filter.
    pub(super) fn joinable_from(&self, id: MemberId, origin: &Arc<Before>) -> Option<usize> {
        let class = |id: &MemberId| self.member(*id).and_then(|member| member.class);
        self.streams.iter().position(|stream| {
            stream.as_ref().is_some_and(|stream| {
                stream.is_untouched()
                    && stream.origin.as_ref().is_some_and(|at| Arc::ptr_eq(at, origin))
                    && stream.members.first().map(class) == Some(class(&id))
            })
        })
    }

    /// A stream of members that came up together with this one and have not been sent anything. Their filters are equal, so
    /// that one of them is never told to withdraw what only another was sent.
    fn joinable(&self, id: MemberId) -> Option<usize> {
        let class = |id: &MemberId| self.member(*id).and_then(|member| member.class);
        self.streams.iter().position(|stream| {
            stream.as_ref().is_some_and(|stream| {
                stream.fresh && stream.is_untouched() && stream.members.first().map(class) == Some(class(&id))
            })
        })
    }

    /// Gives a member a stream of its own that goes on where the member is: its unread messages become ids again.
    pub(crate) fn split_off(&mut self, id: MemberId) -> Option<usize> {
        let member = self.member(id)?;
        let mut stream = Stream::default();
        if let Position::Stream { stream: at, .. } = &member.position
            && let Some(at) = self.streams[*at].as_ref().filter(|at| !at.closed)
        {
            stream.walk.clone_from(&at.walk);
            stream.dirty.clone_from(&at.dirty);
            stream.may_hold.clone_from(&at.may_hold);
            stream.before.clone_from(&at.before);
            stream.fresh = at.fresh;
            stream.due.clone_from(&at.due);
            stream.urgent.clone_from(&at.urgent);
            stream.not_before = at.not_before;
        }
        let unread = self.take_off(id);
        stream.may_hold.extend(unread.ids.iter());
        let mut markers = unread.markers();
        if markers.is_empty() {
            for id in unread.ids.iter().filter(|id| !stream.due.contains(*id)) {
                stream.dirty.insert(id);
                stream.urgent.insert(id);
            }
        } else {
            // What was to be read before a marker comes before it still.
            let walk = stream.walk.get_or_insert_with(|| Walk {
                ids: IdSet::default(),
                markers: SmallVec::new(),
            });
            walk.ids.extend(unread.ids.iter());
            markers.append(&mut walk.markers);
            walk.markers = markers;
        }
        stream.leave_to_walk();
        let index = self.add_stream(stream);
        self.enter_stream(id, index);
        if unread.begin_of_refresh {
            self.push_refresh(index, Subtype::BeginOfRib);
        }
        Some(index)
    }

    /// Whether an id is still to be told to somebody.
    pub(crate) fn is_pinned(&self, id: u32) -> bool {
        self.out.at(id).is_some()
            || self.streams.iter().flatten().any(|stream| stream.contains(id))
            || self
                .members
                .iter()
                .flatten()
                .any(|member| match &member.position {
                    Position::Waiting { from } => from.as_ref().is_some_and(|from| from.may_hold(id)),
                    Position::Stream { .. } | Position::Ring(_) => false,
                })
    }
}

impl Item {
    pub(super) fn marker(kind: ItemKind, bytes: Vec<u8>) -> Self {
        Self {
            kind,
            audience: Audience::default(),
            bytes: Part {
                range: 0..bytes.len(),
                of: bytes.into(),
            },
            next_hops: Arc::default(),
            ids: Part::default(),
            updates: u32::from(kind == ItemKind::EndOfRib),
        }
    }

    pub(crate) fn end_of_rib(bytes: Vec<u8>) -> Self {
        Self::marker(ItemKind::EndOfRib, bytes)
    }
}
