//! Members' own filters, those that only drop: which class a member is in, and how it goes over to another.

use super::core::Core;
use super::filter_class::FilterClass;
use super::id_set::IdSet;
use super::ids::PeerIndex;
use super::membership::Position;
use super::ring::MemberId;
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
        }
    }

    pub(super) fn is_judged(&self, class: Option<usize>) -> bool {
        class
            .and_then(|class| self.classes[class].as_ref())
            .is_none_or(|class| class.from.is_none())
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
    pub(super) fn switch_class(
        &mut self,
        id: MemberId,
        class: Option<usize>,
        core: &mut Core,
        data: &TableData,
    ) {
        // What is under way was decided by the old filter.
        self.flush(core, data);
        let Some(member) = self.member_mut(id) else { return };
        let (peer, old) = (member.peer, member.class);
        member.next_class = None;
        let accepted = |class: Option<usize>| {
            let class = class.and_then(|class| self.classes[class].as_ref());
            class.map(|class| &class.accepted)
        };
        // Whole words of verdicts are compared: what the filters agree on costs next to nothing.
        let differ: Vec<(u32, bool)> = IdSet::differences((accepted(old), accepted(class)), self.out.bound())
            .filter(|(slot_id, _)| {
                let slot = self.out.at(*slot_id);
                slot.is_some_and(|slot| slot.source != peer && !slot.is_too_long())
            })
            .collect();
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
}
