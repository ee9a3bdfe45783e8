//! What members are sent who are not in step with their group: an initial table, a refresh, or catching up.
//!
//! A stream owns a set of ids instead of messages, and is encoded from the current Adj-RIB-Out as its members take it. Members
//! that come up together share one. When nothing is left, they go over to the group's ring in the same step.
//!
//! Where members wait between advertisements (RFC 4271 §9.2.1.1), each has a stream of its own and stays in it: what changes
//! waits in the dirty set until its turn has come, except what is to be withdrawn.

use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::before::Before;
use super::id_set::IdSet;
use super::ids::PeerIndex;
use super::ring::{Cursor, MemberId, Ring};

/// Bytes by which the members of one stream may be apart before the slower ones get a stream of their own.
pub(crate) const STREAM_BYTES: usize = 1024 * 1024;

/// What follows the last id of a walk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Marker {
    /// End-of-RIB, RFC 4724 §2.
    EndOfRib,
    /// EoRR, RFC 7313 §4; BoRR went before the first.
    EndOfRefresh,
}

/// The ids that were alive when a walk began and have not been sent. Its markers follow the last one, whatever became dirty
/// since, so that they come under endless churn too.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    pub(crate) ids: IdSet,
    pub(crate) markers: SmallVec<[Marker; 2]>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub(crate) members: Vec<MemberId>,
    /// Encoded, not yet read by all.
    pub(crate) ring: Ring,
    pub(crate) walk: Option<Walk>,
    /// Ids that changed behind the walk.
    pub(crate) dirty: IdSet,
    /// Ids that some member may hold as it was before: if they are gone, they are to be withdrawn.
    pub(crate) may_hold: IdSet,
    /// What the member held in the group that it comes from; nothing of that has to be told again.
    pub(crate) before: Option<Before>,
    /// Where those come from who have nothing else to be told; others from there join as long as it has not begun.
    pub(crate) origin: Option<Arc<Before>>,
    /// The members hold nothing but what this stream has sent.
    pub(crate) fresh: bool,
    /// Some of its ids have been looked at: whoever comes now would miss them.
    pub(crate) begun: bool,
    /// Nothing follows but the group's ring.
    pub(crate) closed: bool,
    /// Its member waits between advertisements.
    pub(crate) paced: bool,
    /// Ids of a paced stream that changed and whose turn has come.
    pub(crate) due: IdSet,
    /// Of the dirty ids of a paced stream those that the member may hold: perhaps they are to be withdrawn.
    pub(crate) urgent: IdSet,
    /// When the turn of the dirty ids of a paced stream comes; none: at once.
    pub(crate) not_before: Option<Instant>,
}

impl Stream {
    /// Takes note that an id changed; `held`: some member held it as it was.
    pub(crate) fn changed(&mut self, id: u32, held: bool) {
        if self.closed {
            return;
        }
        if self.walk.as_ref().is_some_and(|walk| walk.ids.contains(id)) {
            // It will be sent as it is by then. A fresh member does not hold what the walk has not reached.
            if held && !self.fresh {
                self.may_hold.insert(id);
            }
        } else if !self.due.contains(id) {
            if self.dirty.insert(id) && held {
                self.may_hold.insert(id);
            }
            if self.paced && self.may_hold.contains(id) {
                self.urgent.insert(id);
            }
        }
    }

    /// The same of many ids at once. `held`: those of them that some member held as they were.
    pub(crate) fn changed_all(&mut self, ids: &IdSet, held: &IdSet) {
        if self.closed {
            return;
        }
        let mut ids = ids.clone();
        if let Some(walk) = &self.walk {
            if !self.fresh {
                let mut held = held.clone();
                held.intersect(&walk.ids);
                held.intersect(&ids);
                self.may_hold.unite(&held);
            }
            ids.subtract(&walk.ids);
        }
        ids.subtract(&self.due);
        let mut new = ids.clone();
        new.subtract(&self.dirty);
        new.intersect(held);
        self.may_hold.unite(&new);
        self.dirty.unite(&ids);
        if self.paced {
            ids.intersect(&self.may_hold);
            self.urgent.unite(&ids);
        }
    }

    /// Whether nothing has been said in it.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.begun && !self.closed && !self.paced && self.ring.head() == Cursor::default()
    }

    /// Whether a member did not hold what others held of an id, because that came from it.
    pub(crate) fn was_source(&self, id: u32, peer: PeerIndex) -> bool {
        let before = self.before.as_ref();
        before.is_some_and(|before| before.source(id) == Some(peer))
    }

    /// Everything is told again, also to a member (this peer) that has it.
    pub(crate) fn forget_before(&mut self, peer: Option<PeerIndex>) {
        let Some(before) = self.before.take() else { return };
        for id in before.ids.iter().filter(|id| before.source(*id) == peer) {
            self.may_hold.remove(id);
        }
    }

    /// RFC 4271 §9.2.1.1: lets what has changed go if its turn has come; what changes from here on waits for the next.
    pub(crate) fn take_turn(&mut self, interval: Duration, now: Instant) {
        if self.is_turn(now) {
            self.due.extend(std::mem::take(&mut self.dirty).iter());
            self.urgent = IdSet::default();
            self.not_before = Some(now + interval);
        }
    }

    /// Whether something waits for its turn, and that has come.
    pub(crate) fn is_turn(&self, now: Instant) -> bool {
        self.next_turn().is_some_and(|at| at.is_none_or(|at| at <= now))
    }

    /// When the turn of what waits comes: none if nothing waits, and none within for at once.
    pub(crate) fn next_turn(&self) -> Option<Option<Instant>> {
        (self.paced && !self.dirty.is_empty()).then_some(self.not_before)
    }

    /// Whether its members know everything, or will by what has been encoded.
    pub(crate) fn is_done(&self) -> bool {
        self.closed || (self.paced && self.walk.is_none() && self.pending() == 0)
    }

    /// Leaves what the walk comes to anyway to the walk: an id is in one set only, because what is known of its being held
    /// ends when it is told.
    pub(crate) fn leave_to_walk(&mut self) {
        let Some(walk) = &self.walk else { return };
        for set in [&mut self.dirty, &mut self.due, &mut self.urgent] {
            let walked: Vec<u32> = set.iter().filter(|id| walk.ids.contains(*id)).collect();
            for id in walked {
                set.remove(id);
            }
        }
    }

    /// Whether an id waits to be told.
    pub(crate) fn contains(&self, id: u32) -> bool {
        self.dirty.contains(id)
            || self.due.contains(id)
            || self.walk.as_ref().is_some_and(|walk| walk.ids.contains(id))
    }

    /// Takes up to `limit` ids to be told: those that changed and those of the walk by halves, so that neither starves the
    /// other. Yields which of them are the walk's.
    pub(crate) fn take(&mut self, limit: usize, into: &mut Vec<u32>) -> IdSet {
        self.begun = true;
        let changed = if self.paced {
            &mut self.due
        } else {
            &mut self.dirty
        };
        changed.take(limit / 2, into);
        let mut walked = Vec::new();
        if let Some(walk) = &mut self.walk {
            walk.ids.take(limit.saturating_sub(into.len()), &mut walked);
        }
        into.extend(&walked);
        changed.take(limit.saturating_sub(into.len()), into);
        let mut of_walk = IdSet::default();
        of_walk.extend(walked);
        of_walk
    }

    /// Puts an id back that was taken and not told.
    pub(crate) fn put_back(&mut self, id: u32, of_walk: bool) {
        match &mut self.walk {
            Some(walk) if of_walk => walk.ids.insert(id),
            _ if self.paced => self.due.insert(id),
            _ => self.dirty.insert(id),
        };
    }

    /// Octets of its sets of ids.
    pub(crate) fn set_bytes(&self) -> usize {
        let walk = self.walk.as_ref().map_or(0, |walk| walk.ids.bytes());
        let before = self.before.as_ref().map_or(0, |before| before.ids.bytes());
        walk + before + self.dirty.bytes() + self.due.bytes() + self.urgent.bytes() + self.may_hold.bytes()
    }

    /// How many ids wait.
    pub(crate) fn pending(&self) -> usize {
        self.dirty.len() + self.due.len() + self.walked()
    }

    /// Of those, how many may be told at once.
    pub(crate) fn ready(&self) -> usize {
        if self.paced {
            self.due.len() + self.urgent.len() + self.walked()
        } else {
            self.pending()
        }
    }

    fn walked(&self) -> usize {
        self.walk.as_ref().map_or(0, |walk| walk.ids.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(fresh: bool) -> Stream {
        let mut ids = IdSet::default();
        ids.extend(0..10);
        Stream {
            walk: Some(Walk {
                ids,
                markers: smallvec::smallvec![Marker::EndOfRib],
            }),
            fresh,
            ..Stream::default()
        }
    }

    #[test]
    fn a_fresh_member_holds_only_what_was_sent() {
        let mut stream = stream(true);
        let mut sent = Vec::new();
        stream.take(4, &mut sent);
        assert_eq!(sent, [0, 1, 2, 3]);
        stream.changed(2, true);
        stream.changed(7, true);
        assert!(stream.may_hold.contains(2) && stream.dirty.contains(2));
        assert!(!stream.may_hold.contains(7) && !stream.dirty.contains(7));
        assert_eq!(stream.pending(), 7);
    }

    #[test]
    fn during_a_refresh_the_member_still_holds_what_is_to_come() {
        let mut stream = stream(false);
        stream.changed(7, true);
        assert!(stream.may_hold.contains(7) && stream.dirty.is_empty());
    }

    #[test]
    fn many_changes_are_those_of_each() {
        let set = |ids: std::ops::Range<u32>| {
            let mut set = IdSet::default();
            set.extend(ids);
            set
        };
        for (fresh, paced) in [(true, false), (false, false), (false, true)] {
            let prepared = || {
                let mut stream = Stream {
                    paced,
                    ..stream(fresh)
                };
                stream.due = set(12..14);
                stream.dirty = set(14..17);
                stream
            };
            let (mut one_by_one, mut at_once) = (prepared(), prepared());
            (5..25).for_each(|id| one_by_one.changed(id, id % 3 == 0));
            let mut held = IdSet::default();
            held.extend((0..40).filter(|id| id % 3 == 0));
            at_once.changed_all(&set(5..25), &held);
            let sets = |stream: &Stream| {
                let sets = [&stream.dirty, &stream.due, &stream.urgent, &stream.may_hold];
                sets.map(|set| set.iter().collect::<Vec<_>>())
            };
            assert_eq!(sets(&at_once), sets(&one_by_one), "{fresh} {paced}");
        }
    }

    #[test]
    fn churn_does_not_hold_up_the_walk() {
        let mut stream = stream(true);
        let mut rounds = 0;
        while !stream.walk.as_ref().unwrap().ids.is_empty() {
            (100..200).for_each(|id| stream.changed(id, true));
            stream.take(4, &mut Vec::new());
            rounds += 1;
        }
        assert_eq!(rounds, 5);
        assert!(!stream.dirty.is_empty());
    }
}
