//! An update group: members that are sent the same bytes, their Adj-RIB-Out, the ring, and the streams of those not in step.
//!
//! A change of a slot is recorded once. It goes into the ring for the members in step, at the end of the slice of work, and
//! into the dirty sets of the others at once. What depends on a single member is data: the source of a route is not sent it, nor
//! the member whose address is the route's next hop, nor those whose own filter drops it. A member that held the old state
//! and is not to hold the new one gets a withdraw of its own, in its place in the ring.
//!
//! Who comes and goes is in `membership.rs`, who is sent what and when in `delivery.rs`.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::adj_rib_out::{AdjRibOut, OutSlot};
use super::before::Before;
use super::canonical;
use super::core::Core;
use super::export::{self, ExportRoute, Verdict};
use super::filter_class::FilterClass;
use super::group::GroupKey;
use super::ids::{AttributesId, PathSlot, PeerIndex, PrefixId};
use super::membership::Member;
use super::pack::{self, Entries, Packed};
use super::ring::{Audience, MemberId, MemberSet, Ring};
use super::sent_paths::Ranking;
use super::stream::Stream;
use super::table_data::TableData;

/// See the module.
#[derive(Debug)]
pub(crate) struct UpdateGroup {
    pub(crate) key: GroupKey,
    /// Distinguishes it from a later group in the same place.
    pub(crate) serial: u64,
    pub(crate) out: AdjRibOut,
    pub(crate) members: Vec<Option<Member>>,
    pub(crate) by_peer: BTreeMap<PeerIndex, MemberId>,
    pub(crate) by_address: BTreeMap<IpAddr, MemberId>,
    pub(crate) classes: Vec<Option<FilterClass>>,
    pub(crate) ring: Ring,
    pub(crate) streams: Vec<Option<Stream>>,
    /// The stream that had its turn last.
    pub(crate) turn: usize,
    changes: Vec<Change>,
    /// Prefixes from here on have not been exported to it yet.
    pub(crate) fill: Option<u32>,
    /// Something is to be done for its members.
    pub(crate) active: bool,
    /// End-of-RIB could go when its members were last served.
    pub(crate) was_open: bool,
    /// How often a member took what it had not read elsewhere.
    pub(crate) moves: u64,
    /// What members hold who are in step, by their class: for those who leave for another group, as long as it is true.
    pub(crate) latest: RefCell<Vec<(Option<usize>, Arc<Before>)>>,
    decided: Cell<Option<Decided>>,
    owner: Cell<Option<Owner>>,
}

/// The latest verdict of a group whose policy does not look at prefixes: neighbours in a table tend to share attributes.
#[derive(Clone, Copy, Debug)]
struct Decided {
    path: (AttributesId, u32, PeerIndex),
    slot: Option<OutSlot>,
}

/// The latest answer to who owns the next hop of a slot.
#[derive(Clone, Copy, Debug)]
struct Owner {
    slot: OutSlot,
    generation: u32,
    owner: Option<MemberId>,
}

/// A slot that changed since the last flush, as it was.
#[derive(Debug)]
struct Change {
    id: u32,
    old: Option<OutSlot>,
    /// Members that did not hold the old state, its source apart.
    old_except: MemberSet,
}

impl UpdateGroup {
    pub(crate) fn new(key: GroupKey, serial: u64) -> Self {
        Self {
            key,
            serial,
            out: AdjRibOut::default(),
            members: Vec::new(),
            by_peer: BTreeMap::new(),
            by_address: BTreeMap::new(),
            classes: Vec::new(),
            ring: Ring::default(),
            streams: Vec::new(),
            turn: 0,
            changes: Vec::new(),
            fill: Some(0),
            active: true,
            was_open: false,
            moves: 0,
            latest: RefCell::default(),
            decided: Cell::new(None),
            owner: Cell::new(None),
        }
    }

    /// Members or settings of peers changed: what was worked out from them is to be worked out anew.
    pub(crate) fn forget_verdicts(&self) {
        self.decided.set(None);
        self.owner.set(None);
    }

    /// Exports the present state of a prefix. `ranking`: as deep as the group's choice of paths needs it.
    pub(crate) fn export(
        &mut self,
        (prefix, ranking): (PrefixId, &Ranking),
        core: &mut Core,
        data: &TableData,
    ) {
        if self.key.add_path {
            let slots: smallvec::SmallVec<[PathSlot; 8]> =
                data.rib_in.of(prefix).map(|(slot, _)| slot).collect();
            for slot in slots {
                let sent = ranking.sends(self.key.paths, slot);
                let new = if sent { self.decide(slot, core, data) } else { None };
                self.apply(slot.0, new, core, data);
            }
        } else {
            let new = data.best(prefix).and_then(|slot| self.decide(slot, core, data));
            self.apply(prefix.0, new, core, data);
        }
    }

    /// What the group is sent of a path.
    fn decide(&self, slot: PathSlot, core: &mut Core, data: &TableData) -> Option<OutSlot> {
        let path = data.rib_in.path(slot);
        let attributes = path.accepted.some()?;
        let prefix = data.rib_in.prefix(slot);
        if !self.key.more_specifics && data.is_suppressed(prefix) {
            return None;
        }
        let path = (
            attributes,
            core.attributes.set(attributes).generation(),
            path.peer,
        );
        if let Some(known) = self.decided.get().filter(|known| known.path == path) {
            return known.slot;
        }
        let slot = self.decide_anew(prefix, (path.2, attributes), core, data);
        if self.key.policy.is_none() {
            self.decided.set(Some(Decided { path, slot }));
        }
        slot
    }

    fn decide_anew(
        &self,
        prefix: PrefixId,
        (source, attributes): (PeerIndex, AttributesId),
        core: &mut Core,
        data: &TableData,
    ) -> Option<OutSlot> {
        if core.attributes.metric(attributes).is_err() {
            return None;
        }
        let route = route(core, data, prefix, (source, attributes));
        match export::export(&self.key, &route) {
            Verdict::Advertise { edits, .. } => {
                let edits = core.edits.number(&edits);
                Some(OutSlot::new(attributes, edits, source))
            }
            Verdict::Withhold(_) => None,
        }
    }

    /// Puts down what the group is sent for an id, and takes note of whom that concerns.
    pub(crate) fn apply(&mut self, id: u32, new: Option<OutSlot>, core: &mut Core, data: &TableData) {
        let old = self.out.at(id);
        match (old, new) {
            (None, None) => return,
            (Some(old), Some(new)) if old.is_same(new) => {
                let mut classes = self.classes.iter().flatten();
                if !old.is_too_long() && classes.any(|class| class.reads_surroundings) {
                    self.judge_again(id, old, core, data);
                }
                return;
            }
            _ => {}
        }
        let held = old.filter(|old| !old.is_too_long());
        let old_except = held
            .map(|old| self.except(id, old, core, data))
            .unwrap_or_default();
        if let Some(new) = new {
            core.attributes.retain(new.attributes);
        }
        self.latest.get_mut().clear();
        self.out.set(id, new);
        self.judge(id, (old, new), core, data);
        if !self.note_change(id, old, old_except)
            && let Some(old) = old
        {
            core.attributes.release(old.attributes);
        }
    }

    /// Asks the filters whose verdict may be another one now, and takes note of whom that concerns.
    fn judge_again(&mut self, id: u32, slot: OutSlot, core: &mut Core, data: &TableData) {
        let route = route(
            core,
            data,
            prefix_id(&self.key, id, data),
            (slot.source, slot.attributes),
        );
        let local_asn = self.key.local_asn;
        let is_other = |class: &FilterClass| {
            class.reads_surroundings
                && class.covers(id)
                && export::passes(&class.chain, &route, local_asn) != class.accepted.contains(id)
        };
        if !self.classes.iter().flatten().any(is_other) {
            return;
        }
        let old_except = self.except(id, slot, core, data);
        self.latest.get_mut().clear();
        self.judge(id, (Some(slot), Some(slot)), core, data);
        if self.note_change(id, Some(slot), old_except) {
            core.attributes.retain(slot.attributes);
        }
    }

    /// Takes note of a change for the members: in the streams at once, in the ring when it is flushed. Whether there is
    /// somebody who reads that.
    fn note_change(&mut self, id: u32, old: Option<OutSlot>, old_except: MemberSet) -> bool {
        let held = old.filter(|old| !old.is_too_long());
        for stream in self.streams.iter_mut().flatten() {
            let holds = |member: &MemberId| {
                let peer = self.members[member.0 as usize].as_ref().map(|member| member.peer);
                held.is_some_and(|old| Some(old.source) != peer) && !old_except.contains(*member)
            };
            let held_by_some = stream.members.iter().any(holds);
            stream.changed(id, held_by_some);
        }
        self.active = true;
        let is_read = self.ring.readers() > 0;
        if is_read {
            self.changes.push(Change { id, old, old_except });
        }
        is_read
    }

    /// Asks every filter of the members about a slot.
    fn judge(
        &mut self,
        id: u32,
        (old, new): (Option<OutSlot>, Option<OutSlot>),
        core: &Core,
        data: &TableData,
    ) {
        if self.classes.is_empty() {
            return;
        }
        let classes = self.classes.iter_mut().flatten().filter(|class| class.covers(id));
        let Some(slot) = new else {
            return classes.for_each(|class| class.note(id, old, None));
        };
        let prefix = prefix_id(&self.key, id, data);
        let route = route(core, data, prefix, (slot.source, slot.attributes));
        export::viewed(&route, self.key.local_asn, |view| {
            for class in classes {
                let accepted = class.chain.passes(view);
                class.note(id, old, new.filter(|_| accepted));
            }
        });
    }

    /// Looks at slots for filters that are new to the group, up to `limit` in all; whether all are done.
    pub(crate) fn judge_further(&mut self, limit: &mut u32, core: &Core, data: &TableData) -> bool {
        let bound = self.out.bound();
        let mut done = true;
        for class in self.classes.iter_mut().flatten() {
            let Some(from) = class.from else { continue };
            let end = from.saturating_add(*limit).min(bound);
            *limit = limit.saturating_sub(end.saturating_sub(from));
            for id in from..end {
                let Some(slot) = self.out.at(id) else { continue };
                let route = route(
                    core,
                    data,
                    prefix_id(&self.key, id, data),
                    (slot.source, slot.attributes),
                );
                let accepted = export::passes(&class.chain, &route, self.key.local_asn);
                class.note(id, None, Some(slot).filter(|_| accepted));
            }
            class.from = (end < bound).then_some(end);
            done &= class.from.is_none();
            // Members wait for the last verdict.
            self.active |= class.from.is_none();
        }
        done
    }

    /// Members that do not get a slot though they are not its source.
    pub(crate) fn except(&self, id: u32, slot: OutSlot, core: &Core, data: &TableData) -> MemberSet {
        let mut except = MemberSet::default();
        for class in self.classes.iter().flatten() {
            if !class.accepted.contains(id) {
                except.union(&class.set);
            }
        }
        if let Some(member) = self.owner_of_next_hop(id, slot, core, data) {
            except.insert(member);
        }
        except
    }

    /// RFC 4271 §5.1.3: a route is not sent to the peer whose address is its next hop.
    fn owner_of_next_hop(&self, id: u32, slot: OutSlot, core: &Core, data: &TableData) -> Option<MemberId> {
        let generation = core.attributes.set(slot.attributes).generation();
        if let Some(known) = self.owner.get()
            && known.slot == slot
            && known.generation == generation
        {
            return known.owner;
        }
        let owner = self.find_owner(id, slot, core, data);
        self.owner.set(Some(Owner {
            slot,
            generation,
            owner,
        }));
        owner
    }

    fn find_owner(&self, id: u32, slot: OutSlot, core: &Core, data: &TableData) -> Option<MemberId> {
        let set = core.attributes.set(slot.attributes);
        let received = set
            .next_hop()
            .is_some_and(|at| self.by_address.contains_key(&at.address()));
        if !received && slot.edits() == 0 {
            return None;
        }
        let route = route(
            core,
            data,
            prefix_id(&self.key, id, data),
            (slot.source, slot.attributes),
        );
        let sent = export::next_hop(&self.key, &route, &core.edits.at(slot.edits())).ok()?;
        let owner = self.by_address.get(&sent.address()?).copied();
        // Its own route is not sent to it anyway.
        owner.filter(|owner| self.by_peer.get(&slot.source) != Some(owner))
    }

    /// Whom a slot is for.
    pub(crate) fn audience(&self, id: u32, slot: OutSlot, core: &Core, data: &TableData) -> Audience {
        Audience {
            only: None,
            except_source: self.by_peer.contains_key(&slot.source).then_some(slot.source),
            except: self.except(id, slot, core, data),
        }
    }

    /// Encodes what changed into the ring.
    pub(crate) fn flush(&mut self, core: &mut Core, data: &TableData) {
        if self.changes.is_empty() {
            return;
        }
        let mut entries = Entries::with_capacity(self.changes.len());
        let changes = std::mem::take(&mut self.changes);
        let mut latest = None;
        for change in &changes {
            let new = self.out.at(change.id).filter(|slot| !slot.is_too_long());
            // What is new to everybody is for the same members as its neighbour with the same attributes.
            if self.classes.is_empty() && change.old.is_none() && new.is_some() && new == latest {
                entries.add_like_last(change.id);
                continue;
            }
            self.entries_of(change, core, data, &mut entries);
            latest = new.filter(|_| change.old.is_none());
        }
        let packed = self.pack(entries, usize::MAX, core, data);
        packed.items.into_iter().for_each(|item| self.ring.push(item));
        for old in changes.into_iter().filter_map(|change| change.old) {
            core.attributes.release(old.attributes);
        }
    }

    fn entries_of(&self, change: &Change, core: &Core, data: &TableData, entries: &mut Entries) {
        let id = change.id;
        let held = change.old.filter(|old| !old.is_too_long());
        let Some(slot) = self.out.at(id).filter(|slot| !slot.is_too_long()) else {
            if let Some(old) = held {
                let except_source = self.by_peer.contains_key(&old.source).then_some(old.source);
                let audience = Audience {
                    only: None,
                    except_source,
                    except: change.old_except.clone(),
                };
                entries.add(id, None, &audience);
            }
            return;
        };
        let audience = self.audience(id, slot, core, data);
        if let Some(old) = held {
            let source = audience
                .except_source
                .and_then(|source| self.by_peer.get(&source).copied());
            for member in source.into_iter().chain(audience.except.iter()) {
                let held_by = self.members[member.0 as usize]
                    .as_ref()
                    .is_some_and(|member| member.peer != old.source);
                if held_by && !change.old_except.contains(member) {
                    entries.add(id, None, &Audience::only(member));
                }
            }
        }
        if held.is_some_and(|old| old.is_same(slot)) {
            // Only filters changed their minds: who has it already is not told again.
            let source = self.by_peer.get(&slot.source).copied();
            for member in change.old_except.iter().filter(|member| Some(*member) != source) {
                if !audience.except.contains(member) && self.member(member).is_some() {
                    entries.add(id, Some(slot), &Audience::only(member));
                }
            }
            return;
        }
        entries.add(id, Some(slot), &audience);
    }

    /// Encodes entries and takes note of those that do not fit.
    pub(crate) fn pack(&mut self, entries: Entries, limit: usize, core: &Core, data: &TableData) -> Packed {
        let key = &self.key;
        let prefix = |id| data.prefixes.prefix(prefix_id(key, id, data));
        let packed = pack::pack((key, &prefix), entries, limit, |id, slot, block| {
            let prefix = prefix_id(key, id, data);
            let route = route(core, data, prefix, (slot.source, slot.attributes));
            let edits = core.edits.at(slot.edits());
            let next_hop = export::next_hop(key, &route, &edits).ok()?;
            let copied =
                edits.is_empty() && canonical::outgoing(key, route.set.canonical(), route.origin, block);
            if !copied {
                block.clear();
                export::outgoing(key, route.set, route.origin, &edits).encode_canonical(block);
            }
            Some(next_hop)
        });
        for id in &packed.too_long {
            self.latest.get_mut().clear();
            if let Some(slot) = self.out.at(*id).filter(|slot| !slot.is_too_long()) {
                let classes = self.classes.iter_mut().flatten();
                classes.for_each(|class| class.note_too_long(*id, slot));
            }
            self.out.mark_too_long(*id);
        }
        packed
    }

    /// Lets go of what it refers to, but for its slots.
    pub(crate) fn dissolve(&mut self, core: &mut Core) -> AdjRibOut {
        for change in self.changes.drain(..) {
            core.attributes
                .release(change.old.map_or(AttributesId::NONE, |old| old.attributes));
        }
        std::mem::take(&mut self.out)
    }
}

/// The prefix that an id of a group stands for.
pub(crate) fn prefix_id(key: &GroupKey, id: u32, data: &TableData) -> PrefixId {
    if key.add_path {
        data.rib_in.prefix(PathSlot(id))
    } else {
        PrefixId(id)
    }
}

/// A route as export rules see it.
pub(crate) fn route<'a>(
    core: &'a Core,
    data: &TableData,
    prefix: PrefixId,
    (source, attributes): (PeerIndex, AttributesId),
) -> ExportRoute<'a> {
    let from_kernel = data.kernel_facts(source, prefix);
    core.export_route(
        (data.family, data.prefixes.prefix(prefix)),
        (source, attributes),
        from_kernel,
    )
}
