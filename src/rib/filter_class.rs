//! A filter that only drops, shared by the members of a group that have an equal one.
//!
//! It is evaluated once for each change of a slot; the verdicts are one bit a prefix, so what a member held before a change is
//! known without evaluating anything again.

use super::adj_rib_out::{OutSlot, SlotCounts};
use super::id_set::IdSet;
use super::ring::{MemberId, MemberSet};
use crate::policy::Chain;

/// Members of one group with equal filters.
#[derive(Debug)]
pub(crate) struct FilterClass {
    pub(crate) chain: Chain,
    /// The verdict on a slot may become another while the slot stays as it is.
    pub(crate) reads_surroundings: bool,
    members: Vec<MemberId>,
    /// Members that go over to it once it has seen every slot.
    reserved: Vec<MemberId>,
    /// The members, those to come apart, as bits.
    pub(crate) set: MemberSet,
    /// Ids whose slots the filter lets pass.
    pub(crate) accepted: IdSet,
    /// Of those, how many are sent.
    pub(crate) counts: SlotCounts,
    /// Slots from here on have not been looked at yet.
    pub(crate) from: Option<u32>,
}

impl FilterClass {
    /// `from`: slots from there on are still to be looked at.
    pub(crate) fn new(chain: Chain, from: Option<u32>) -> Self {
        Self {
            reads_surroundings: chain.reads_surroundings(),
            chain,
            members: Vec::new(),
            reserved: Vec::new(),
            set: MemberSet::default(),
            accepted: IdSet::default(),
            counts: SlotCounts::default(),
            from,
        }
    }

    /// Keeps the class alive for a member to come.
    pub(crate) fn reserve(&mut self, member: MemberId) {
        self.reserved.push(member);
    }

    pub(crate) fn add(&mut self, member: MemberId) {
        self.reserved.retain(|other| *other != member);
        self.members.push(member);
        self.set.insert(member);
    }

    /// Takes a member out; whether nobody is left.
    pub(crate) fn remove(&mut self, member: MemberId) -> bool {
        self.reserved.retain(|other| *other != member);
        self.members.retain(|other| *other != member);
        self.set = MemberSet::default();
        self.members.iter().for_each(|member| self.set.insert(*member));
        self.members.is_empty() && self.reserved.is_empty()
    }

    /// Whether the verdict on this id is known.
    pub(crate) fn covers(&self, id: u32) -> bool {
        self.from.is_none_or(|from| id < from)
    }

    /// Takes note of a slot in the place of another; `new`: only if the filter lets it pass.
    pub(crate) fn note(&mut self, id: u32, old: Option<OutSlot>, new: Option<OutSlot>) {
        let was_sent = match new {
            Some(_) => !self.accepted.insert(id),
            None => self.accepted.remove(id),
        };
        if let Some(old) = old.filter(|_| was_sent) {
            self.counts.remove(old);
        }
        if let Some(new) = new {
            self.counts.add(new);
        }
    }

    /// A slot was found not to fit.
    pub(crate) fn note_too_long(&mut self, id: u32, slot: OutSlot) {
        if self.accepted.contains(id) {
            self.counts.remove(slot);
        }
    }
}
