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
    /// Ids that it may hold.
    held: IdSet,
    /// What it held of them for certain.
    before: Option<Before>,
    /// What it has still to be told when it has been told everything.
    markers: SmallVec<[Marker; 2]>,
    /// It has not read the BoRR before those.
    begin_of_refresh: bool,
    again: Option<Refresh>,
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
            ItemKind::Routes => self.ids.extend(item.ids().iter().copied()),
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
    pub(crate) fn leave_for_another(&mut self, peer: PeerIndex, core: &Core) -> Option<Carried> {
        let id = self.by_peer.get(&peer).copied()?;
        let mut carried = self.carried(id, core);
        let again = self.member(id).and_then(|member| member.again);
        let unread = self.take_out(peer, id);
        let carried = carried.as_mut()?;
        carried.held.extend(unread.ids.iter());
        if let Some(before) = &mut carried.before {
            unread.ids.iter().for_each(|id| {
                before.ids.remove(id);
            });
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
        let snapshot = self.is_in_step(id).then(|| self.snapshot(core));
        let member = self.member(id)?;
        let stream = match &member.position {
            Position::Stream { stream, .. } => {
                self.streams[*stream].as_ref().filter(|stream| !stream.is_done())
            }
            Position::Waiting { .. } | Position::Ring(_) => None,
        };
        let mut carried = Carried::default();
        let accepted = member
            .class
            .and_then(|class| self.classes[class].as_ref())
            .map(|class| &class.accepted);
        let passes = |id: &u32| accepted.is_none_or(|accepted| accepted.contains(*id));
        let slots = self.out.iter();
        let held = slots.filter(|(_, slot)| slot.source != member.peer && !slot.is_too_long());
        carried.held.extend(held.map(|(id, _)| id).filter(passes));
        match stream {
            None => {
                carried.before = snapshot.map(|snapshot| Before {
                    snapshot,
                    ids: carried.held.clone(),
                });
            }
            Some(stream) => {
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

    /// The slots as they are; those who leave one after the other share it.
    fn snapshot(&mut self, core: &Core) -> Arc<Snapshot> {
        let Self { key, out, latest, .. } = self;
        let latest = latest.get_or_insert_with(|| Arc::new(Snapshot::new(key, out.slots(), core)));
        Arc::clone(latest)
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

    pub(super) fn present(&self) -> IdSet {
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
            before,
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
            before,
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
        if !self.key.min_advertisement_interval.is_zero() {
            return None;
        }
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
                    Position::Waiting { from } => from.as_ref().is_some_and(|from| from.held.contains(id)),
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
