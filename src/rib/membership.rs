//! Who is in an update group, and where each member reads: how one joins, falls behind, asks again, changes its filter, leaves.

use std::net::IpAddr;

use bgp_codec::{RouteRefresh, route_refresh::Subtype};
use smallvec::{SmallVec, smallvec};

use super::core::Core;
use super::filter_class::FilterClass;
use super::id_set::IdSet;
use super::ids::PeerIndex;
use super::ring::{Audience, Cursor, Item, ItemKind, MemberId};
use super::stream::{Marker, Stream, Walk};
use super::table_data::TableData;
use super::update_group::UpdateGroup;
use crate::policy::Chain;

/// One member.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) peer: PeerIndex,
    pub(crate) address: IpAddr,
    /// Its class of equal drop-only filters; none when it has no such filter.
    pub(crate) class: Option<usize>,
    /// The class that it goes over to as soon as that has looked at every slot.
    next_class: Option<Option<usize>>,
    pub(crate) position: Position,
    /// A refresh was asked for during a walk: one more follows it.
    again: Option<Refresh>,
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
    /// Ids that it may hold.
    held: IdSet,
    /// What it has still to be told when it has been told everything.
    markers: SmallVec<[Marker; 2]>,
    /// It has not read the BoRR before those.
    begin_of_refresh: bool,
    again: Option<Refresh>,
}

/// How a table that is sent again is framed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Refresh {
    /// Not at all.
    Plain,
    /// By BoRR and EoRR, RFC 7313.
    Enhanced,
}

/// What a member had not read when it was taken off a queue.
#[derive(Default)]
struct Unread {
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
            ItemKind::Routes => self.ids.extend(item.ids.iter().copied()),
            ItemKind::EndOfRib => self.end_of_rib = true,
            ItemKind::BeginOfRefresh => self.begin_of_refresh = true,
            ItemKind::EndOfRefresh => self.end_of_refresh = true,
        }
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
        self.active = true;
    }

    /// The class of a filter, made now if need be.
    fn class_of(&mut self, chain: &Chain) -> Option<usize> {
        if !chain.is_drop_only() || *chain == Chain::accept_all() {
            return None;
        }
        let same = |class: &Option<FilterClass>| class.as_ref().is_some_and(|class| class.chain == *chain);
        if let Some(known) = self.classes.iter().position(same) {
            return Some(known);
        }
        let from = (self.out.bound() > 0).then_some(0);
        let class = Some(FilterClass::new(chain.clone(), from));
        match self.classes.iter().position(Option::is_none) {
            Some(free) => {
                self.classes[free] = class;
                Some(free)
            }
            None => {
                self.classes.push(class);
                Some(self.classes.len() - 1)
            }
        }
    }

    pub(crate) fn member(&self, id: MemberId) -> Option<&Member> {
        self.members.get(id.0 as usize).and_then(Option::as_ref)
    }

    pub(crate) fn member_mut(&mut self, id: MemberId) -> Option<&mut Member> {
        self.members.get_mut(id.0 as usize).and_then(Option::as_mut)
    }

    /// A peer leaves; what it takes with it to another group, unless it has not been sent anything.
    pub(crate) fn leave(&mut self, peer: PeerIndex) -> Option<Carried> {
        let id = self.by_peer.remove(&peer)?;
        let carried = self.carried(id);
        let unread = self.take_off(id);
        let member = self.members[id.0 as usize].take()?;
        if self.by_address.get(&member.address) == Some(&id) {
            self.by_address.remove(&member.address);
        }
        for class in [member.class, member.next_class.flatten()].into_iter().flatten() {
            self.leave_class(class, id);
        }
        let mut carried = carried?;
        carried.held.extend(unread.ids.iter());
        let mut markers = unread.markers();
        markers.append(&mut carried.markers);
        carried.begin_of_refresh |= unread.begin_of_refresh;
        Some(Carried {
            markers,
            again: member.again.or(carried.again),
            ..carried
        })
    }

    fn leave_class(&mut self, class: usize, member: MemberId) {
        if self.classes[class]
            .as_mut()
            .is_some_and(|class| class.remove(member))
        {
            self.classes[class] = None;
        }
    }

    /// What a member holds and waits for, apart from what it has not read.
    fn carried(&self, id: MemberId) -> Option<Carried> {
        let member = self.member(id)?;
        let stream = match &member.position {
            Position::Waiting { from } => return from.as_deref().cloned(),
            Position::Stream { stream, .. } => self.streams[*stream].as_ref().filter(|stream| !stream.closed),
            Position::Ring(_) => None,
        };
        let mut carried = Carried::default();
        let accepted = member
            .class
            .and_then(|class| self.classes[class].as_ref())
            .map(|class| &class.accepted);
        for (slot_id, slot) in self.out.iter() {
            let passes = accepted.is_none_or(|accepted| accepted.contains(slot_id));
            if passes && slot.source != member.peer && !slot.is_too_long() {
                carried.held.insert(slot_id);
            }
        }
        if let Some(stream) = stream {
            if let Some(walk) = &stream.walk {
                carried.markers.clone_from(&walk.markers);
                // What is not sent yet is held only if it was before.
                if stream.fresh {
                    walk.ids.iter().for_each(|id| {
                        carried.held.remove(id);
                    });
                }
            }
            carried.held.extend(stream.may_hold.iter());
        }
        Some(carried)
    }

    /// Takes a member off whatever it reads, and yields what it had not read.
    fn take_off(&mut self, id: MemberId) -> Unread {
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

    fn add_stream(&mut self, stream: Stream) -> usize {
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

    fn enter_stream(&mut self, id: MemberId, stream: usize) {
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

    /// Starts the members that waited, and those whose new filter has seen everything.
    pub(crate) fn start_waiting(&mut self, core: &mut Core, data: &TableData) {
        if self.fill.is_some() {
            return;
        }
        for index in 0..self.members.len() {
            let id = MemberId(u32::try_from(index).unwrap_or(u32::MAX));
            let Some(member) = self.member(id) else { continue };
            if let Some(next) = member.next_class
                && self.is_judged(next)
            {
                self.switch_class(id, next, core, data);
            }
            let Some(member) = self.members[index].as_mut() else {
                continue;
            };
            let class = member.class;
            if let Position::Waiting { from } = &mut member.position {
                let from = from.take();
                if self.is_judged(class) {
                    self.start(id, from);
                } else if let Some(member) = self.member_mut(id) {
                    member.position = Position::Waiting { from };
                }
            }
        }
    }

    fn is_judged(&self, class: Option<usize>) -> bool {
        class
            .and_then(|class| self.classes[class].as_ref())
            .is_none_or(|class| class.from.is_none())
    }

    fn present(&self) -> IdSet {
        let mut ids = IdSet::default();
        ids.extend(self.out.iter().map(|(id, _)| id));
        ids
    }

    fn start(&mut self, id: MemberId, from: Option<Box<Carried>>) {
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
            return self.enter_stream(id, stream);
        };
        let Carried {
            held,
            markers,
            begin_of_refresh,
            again,
        } = *from;
        let mut ids = self.present();
        ids.extend(held.iter());
        let walk = Some(Walk { ids, markers });
        let stream = self.add_stream(Stream {
            walk,
            may_hold: held,
            ..Stream::default()
        });
        self.enter_stream(id, stream);
        if begin_of_refresh {
            self.push_refresh(stream, Subtype::BeginOfRib);
        }
        if let Some(member) = self.member_mut(id) {
            member.again = member.again.max(again);
        }
    }

    /// A stream of members that came up together with this one and have not been sent anything. Their filters are equal, so
    /// that one of them is never told to withdraw what only another was sent.
    fn joinable(&self, id: MemberId) -> Option<usize> {
        let class = |id: &MemberId| self.member(*id).and_then(|member| member.class);
        self.streams.iter().position(|stream| {
            stream.as_ref().is_some_and(|stream| {
                stream.fresh
                    && !stream.begun
                    && !stream.closed
                    && stream.ring.head() == Cursor::default()
                    && stream.members.first().map(class) == Some(class(&id))
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
            stream.fresh = at.fresh;
        }
        let unread = self.take_off(id);
        stream.may_hold.extend(unread.ids.iter());
        let mut markers = unread.markers();
        if markers.is_empty() {
            // What the walk has to come to anyway is in one set only: a change of it must not be looked for in the other.
            let walked = |id: &u32| stream.walk.as_ref().is_some_and(|walk| walk.ids.contains(*id));
            stream.dirty.extend(unread.ids.iter().filter(|id| !walked(id)));
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
        let index = self.add_stream(stream);
        self.enter_stream(id, index);
        if unread.begin_of_refresh {
            self.push_refresh(index, Subtype::BeginOfRib);
        }
        Some(index)
    }

    /// Sends a member everything again: at once, or behind the walk that it is in.
    pub(crate) fn refresh(&mut self, peer: PeerIndex, how: Refresh, core: &mut Core, data: &TableData) {
        let Some(id) = self.by_peer.get(&peer).copied() else {
            return;
        };
        // A member that leaves the ring takes along what is in it: everything must be.
        self.flush(core, data);
        self.active = true;
        let Some(member) = self.member_mut(id) else { return };
        let walking = match &member.position {
            Position::Waiting { .. } => true,
            Position::Stream { stream, .. } => {
                let stream = *stream;
                self.streams[stream]
                    .as_ref()
                    .is_some_and(|stream| stream.walk.is_some())
            }
            Position::Ring(_) => false,
        };
        if !walking {
            self.start_refresh(id, how);
        } else if let Some(member) = self.member_mut(id) {
            member.again = member.again.max(Some(how));
        }
    }

    fn start_refresh(&mut self, id: MemberId, how: Refresh) {
        let present = self.present();
        let Some(index) = self.split_off(id) else { return };
        if self.streams[index]
            .as_ref()
            .is_some_and(|stream| stream.walk.is_some())
        {
            // The end of an earlier walk is still to be read: this one follows it.
            if let Some(member) = self.member_mut(id) {
                member.again = member.again.max(Some(how));
            }
            return;
        }
        if how == Refresh::Enhanced {
            self.push_refresh(index, Subtype::BeginOfRib);
        }
        let Some(stream) = self.streams[index].as_mut() else {
            return;
        };
        let walk = stream.walk.get_or_insert_with(|| Walk {
            ids: IdSet::default(),
            markers: SmallVec::new(),
        });
        walk.ids.extend(present.iter());
        if how == Refresh::Enhanced {
            walk.markers.push(Marker::EndOfRefresh);
        }
        stream.fresh = false;
    }

    /// Starts the refreshes of members that have read the walk before it to its end; whether others still have to.
    pub(crate) fn start_waiting_refreshes(&mut self, stream: usize) -> bool {
        let Some(at) = self.streams[stream].as_ref() else {
            return false;
        };
        let (head, members) = (at.ring.head(), at.members.clone());
        let mut waiting = false;
        for id in members {
            let Some(member) = self.member_mut(id).filter(|member| member.again.is_some()) else {
                continue;
            };
            if matches!(member.position, Position::Stream { cursor, .. } if cursor == head) {
                let how = member.again.take().unwrap_or(Refresh::Plain);
                self.start_refresh(id, how);
            } else {
                waiting = true;
            }
        }
        waiting
    }

    pub(crate) fn push_refresh(&mut self, stream: usize, subtype: Subtype) {
        let mut bytes = Vec::new();
        RouteRefresh {
            family: self.key.family,
            subtype,
        }
        .encode(&mut bytes);
        let kind = match subtype {
            Subtype::EndOfRib => ItemKind::EndOfRefresh,
            Subtype::Request | Subtype::BeginOfRib => ItemKind::BeginOfRefresh,
        };
        if let Some(stream) = self.streams[stream].as_mut() {
            stream.ring.push(Item::marker(kind, bytes));
        }
    }

    /// A member's drop-only filter became another one.
    pub(crate) fn set_filter(&mut self, peer: PeerIndex, chain: &Chain, core: &mut Core, data: &TableData) {
        let Some(id) = self.by_peer.get(&peer).copied() else {
            return;
        };
        let class = self.class_of(chain);
        let Some(member) = self.member(id) else { return };
        let (present, coming) = (member.class, member.next_class);
        if coming == Some(class) || (coming.is_none() && present == class) {
            return;
        }
        if let Some(coming) = coming.flatten() {
            self.leave_class(coming, id);
        }
        if let Some(member) = self.member_mut(id) {
            member.next_class = Some(class).filter(|class| *class != present);
        }
        if class != present
            && let Some(new) = class.and_then(|class| self.classes[class].as_mut())
        {
            new.reserve(id);
        }
        self.active = true;
        if class != present && self.is_judged(class) && self.fill.is_none() {
            self.switch_class(id, class, core, data);
        }
    }

    /// Goes over to another filter, all at once: only ids on which the two differ are told.
    fn switch_class(&mut self, id: MemberId, class: Option<usize>, core: &mut Core, data: &TableData) {
        // What is under way was decided by the old filter.
        self.flush(core, data);
        let Some(member) = self.member_mut(id) else { return };
        let (peer, old) = (member.peer, member.class);
        member.next_class = None;
        let accepts = |class: Option<usize>, slot_id: u32| {
            class
                .and_then(|class| self.classes[class].as_ref())
                .is_none_or(|class| class.accepted.contains(slot_id))
        };
        let mut differ: Vec<(u32, bool)> = Vec::new();
        for (slot_id, slot) in self.out.iter() {
            let (before, after) = (accepts(old, slot_id), accepts(class, slot_id));
            if before != after && slot.source != peer && !slot.is_too_long() {
                differ.push((slot_id, before));
            }
        }
        let waiting = matches!(
            self.member(id).map(|member| &member.position),
            Some(Position::Waiting { .. })
        );
        if !waiting && !differ.is_empty() {
            let stream = self.split_off(id).and_then(|index| self.streams[index].as_mut());
            if let Some(stream) = stream {
                differ
                    .into_iter()
                    .for_each(|(slot_id, held)| stream.changed(slot_id, held));
            }
        }
        if let Some(old) = old {
            self.leave_class(old, id);
        }
        if let Some(new) = class.and_then(|class| self.classes[class].as_mut()) {
            new.add(id);
        }
        if let Some(member) = self.member_mut(id) {
            member.class = class;
        }
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
                    Position::Waiting { from } => from.as_ref().is_some_and(|from| from.held.contains(id)),
                    Position::Stream { .. } | Position::Ring(_) => false,
                })
    }
}

impl Item {
    fn marker(kind: ItemKind, bytes: Vec<u8>) -> Self {
        Self {
            kind,
            audience: Audience::default(),
            bytes: bytes.into(),
            next_hops: std::sync::Arc::default(),
            ids: std::sync::Arc::default(),
            updates: u32::from(kind == ItemKind::EndOfRib),
        }
    }

    pub(crate) fn end_of_rib(bytes: Vec<u8>) -> Self {
        Self::marker(ItemKind::EndOfRib, bytes)
    }
}
