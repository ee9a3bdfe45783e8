//! Members' own filters, those that only drop: which class a member is in, and how it goes over to another.

use std::sync::Arc;

use super::before::Before;
use super::core::Core;
use super::filter_class::FilterClass;
use super::id_set::IdSet;
use super::ids::PeerIndex;
use super::membership::Position;
use super::ring::MemberId;
use super::stream::Stream;
use super::table_data::TableData;
use super::update_group::UpdateGroup;
use crate::policy::Chain;

impl UpdateGroup {
    /// The class of a filter, made now if need be.
    pub(super) fn class_of(&mut self, chain: &Chain) -> Option<usize> {
        if !chain.is_drop_only() || chain.accepts_all() {
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

    pub(super) fn leave_class(&mut self, class: usize, member: MemberId) {
        if self.classes[class]
            .as_mut()
            .is_some_and(|class| class.remove(member))
        {
            self.classes[class] = None;
            // Another filter may get its place.
            self.latest.get_mut().retain(|(of, _)| *of != Some(class));
        }
    }

    pub(super) fn is_judged(&self, class: Option<usize>) -> bool {
        class
            .and_then(|class| self.classes[class].as_ref())
            .is_none_or(|class| class.from.is_none())
    }

    /// A member's drop-only filter became another one: it goes over to that when it is next served and all is judged.
    pub(crate) fn set_filter(&mut self, peer: PeerIndex, chain: &Chain) {
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
    }

    /// Goes over to another filter: only ids on which the two differ are told. How many slots that took to look at.
    pub(super) fn switch_class(
        &mut self,
        id: MemberId,
        class: Option<usize>,
        core: &mut Core,
        data: &TableData,
    ) -> usize {
        // What is under way was decided by the old filter.
        self.flush(core, data);
        self.send(id, core);
        let Some(member) = self.member_mut(id) else {
            return 0;
        };
        let old = member.class;
        member.next_class = None;
        let waiting = matches!(member.position, Position::Waiting { .. });
        let looked_at = if waiting {
            0
        } else {
            self.tell_difference(id, (old, class), core)
        };
        if let Some(old) = old {
            self.leave_class(old, id);
        }
        if let Some(new) = class.and_then(|class| self.classes[class].as_mut()) {
            new.add(id);
        }
        if let Some(member) = self.member_mut(id) {
            member.class = class;
        }
        looked_at
    }

    /// Puts a member into a stream that tells it on what two filters differ; how many slots that took to look at.
    fn tell_difference(
        &mut self,
        id: MemberId,
        (old, new): (Option<usize>, Option<usize>),
        core: &Core,
    ) -> usize {
        let origin = self.has_read_all(id).then(|| self.before(old, core));
        let joinable = |stream: &Stream| {
            let same = |at: &Arc<Before>| origin.as_ref().is_some_and(|origin| Arc::ptr_eq(at, origin));
            let class = |id: &MemberId| self.member(*id).and_then(|member| member.class);
            stream.is_untouched()
                && stream.origin.as_ref().is_some_and(same)
                && stream.members.first().map(class) == Some(new)
        };
        let known = self
            .streams
            .iter()
            .position(|stream| stream.as_ref().is_some_and(joinable));
        if let Some(stream) = known {
            self.take_off(id);
            self.enter_stream(id, stream);
            return 0;
        }
        let looked_at = self.out.bound() as usize;
        let (differ, held) = self.difference(id, (old, new), origin.is_some());
        if differ.is_empty() {
            return looked_at;
        }
        let stream = self.split_off(id).and_then(|index| self.streams[index].as_mut());
        if let Some(stream) = stream {
            stream.changed_all(&differ, &held);
            if let Some(origin) = origin {
                stream.before = Some(Before {
                    snapshot: Arc::clone(&origin.snapshot),
                    ids: held,
                });
                stream.origin = Some(origin);
            }
        }
        looked_at
    }

    /// Ids on which two filters differ, and which of them the first lets pass.
    fn difference(
        &self,
        id: MemberId,
        (old, new): (Option<usize>, Option<usize>),
        for_others: bool,
    ) -> (IdSet, IdSet) {
        let peer = self.member(id).map(|member| member.peer).filter(|_| !for_others);
        let sent = self
            .out
            .ids(|slot| !slot.is_too_long() && Some(slot.source) != peer);
        let accepted = |class: Option<usize>| {
            let mut accepted = sent.clone();
            if let Some(class) = class.and_then(|class| self.classes[class].as_ref()) {
                accepted.intersect(&class.accepted);
            }
            accepted
        };
        let (mut held, mut wanted) = (accepted(old), accepted(new));
        let both = held.clone();
        held.subtract(&wanted);
        wanted.subtract(&both);
        let mut differ = wanted;
        differ.unite(&held);
        (differ, held)
    }
}
