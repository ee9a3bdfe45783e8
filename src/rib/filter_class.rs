//! A filter that only drops, shared by the members of a group that have an equal one.
//!
//! It is evaluated once for each change of a slot; the verdicts are one bit a prefix, so what a member held before a change is
//! known without evaluating anything again.

use super::id_set::IdSet;
use super::ring::{MemberId, MemberSet};
use crate::policy::Chain;

/// Members of one group with equal filters.
#[derive(Debug)]
pub(crate) struct FilterClass {
    pub(crate) chain: Chain,
    members: Vec<MemberId>,
    /// Members that go over to it once it has seen every slot.
    reserved: Vec<MemberId>,
    /// The members, those to come apart, as bits.
    pub(crate) set: MemberSet,
    /// Ids whose slots the filter lets pass.
    pub(crate) accepted: IdSet,
    /// Slots from here on have not been looked at yet.
    pub(crate) from: Option<u32>,
}

impl FilterClass {
    /// `from`: slots from there on are still to be looked at.
    pub(crate) fn new(chain: Chain, from: Option<u32>) -> Self {
        Self {
            chain,
            members: Vec::new(),
            reserved: Vec::new(),
            set: MemberSet::default(),
            accepted: IdSet::default(),
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

    pub(crate) fn note(&mut self, id: u32, accepted: bool) {
        if accepted {
            self.accepted.insert(id);
        } else {
            self.accepted.remove(id);
        }
    }
}
