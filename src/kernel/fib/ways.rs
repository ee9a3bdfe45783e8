//! How routes are told where to lead: by hops of their own, or by a nexthop object of ours that many of them share.
//!
//! An object pays where many routes lead the same way: the kernel takes such a route in two thirds of the time, and when
//! the way changes, one request moves them all. What two ways come to is their content; a route whose way has the wanted
//! content is right, however it was told.
//!
//! Objects have numbers in a range of our own, are created EXCL, and go when nothing refers to them: the kernel takes
//! every route along that refers to an object that goes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

use crate::kernel::wire::{Hop, Hops, Leads, Nexthop, Verb};

/// Where the kernel sends packets; empty: it discards them. In a canonical order, and interned, so that equal forms are
/// the same allocation.
pub(crate) type Form = Arc<[Hop]>;

/// The first number of ours; 179 in the high octet.
const FIRST_ID: u32 = 0xb300_0000;
/// And behind the last.
const END_OF_IDS: u32 = 0xb400_0000;
/// Routes from which on an object pays.
const PAYS: u32 = 64;
/// Objects and groups at most; beyond, routes carry their hops.
const MAX_OBJECTS: usize = 4_096;

/// A handle on a way.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct WayId(u32);

/// One request about a nexthop object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct NexthopOperation {
    /// Its number.
    pub(crate) id: u32,
    /// What it is to be; none: it is to go.
    pub(crate) leads: Option<Leads>,
    /// It exists, and changes.
    pub(crate) replace: bool,
}

/// All ways in use.
#[derive(Debug)]
pub(crate) struct Ways {
    slots: Vec<Way>,
    free: Vec<WayId>,
    plain: HashMap<Form, WayId>,
    /// Objects of ours by their numbers.
    objects: BTreeMap<u32, WayId>,
    forms: HashSet<Form>,
    next_id: u32,
    /// Why objects are not used: the kernel refused one, or has none at all.
    refused: Option<i32>,
    operations: VecDeque<NexthopOperation>,
    /// Something may have lost its last user.
    unswept: bool,
}

#[derive(Debug)]
struct Way {
    content: Form,
    /// Routes that the kernel holds or is being told of.
    users: u32,
    object: Option<Object>,
}

#[derive(Debug)]
struct Object {
    id: u32,
    /// Of which objects it is the group; empty for one that has a gateway itself.
    members: SmallVec<[u32; 2]>,
    is_group: bool,
    /// Groups that it is in.
    groups: u32,
    /// The kernel refused it, or it went: nothing may refer to it any more.
    gone: bool,
}

impl Ways {
    /// None.
    pub(crate) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            plain: HashMap::new(),
            objects: BTreeMap::new(),
            forms: HashSet::new(),
            next_id: FIRST_ID,
            refused: None,
            operations: VecDeque::new(),
            unswept: false,
        }
    }

    /// The one allocation of this form. `hops` may come in any order.
    pub(crate) fn intern(&mut self, mut hops: Hops) -> Form {
        if let [only] = hops.as_mut_slice() {
            only.weight = 1;
        }
        hops.sort_unstable();
        if let Some(form) = self.forms.get(hops.as_slice()) {
            return Arc::clone(form);
        }
        // Forms that only this set holds are forgotten before it grows.
        if self.forms.len() == self.forms.capacity() {
            self.forms.retain(|form| Arc::strong_count(form) > 1);
        }
        let form: Form = Arc::from(hops.as_slice());
        self.forms.insert(Arc::clone(&form));
        form
    }

    /// Whether any form in use has a hop on this interface.
    pub(crate) fn uses_interface(&self, interface: u32) -> bool {
        self.forms.iter().any(|form| leads_through(form, interface))
    }

    /// What a way comes to.
    pub(crate) fn content(&self, way: WayId) -> &Form {
        static NOWHERE: std::sync::LazyLock<Form> = std::sync::LazyLock::new(|| Form::from([]));
        self.slot(way).map_or(&NOWHERE, |slot| &slot.content)
    }

    /// Whether a way comes to this.
    pub(crate) fn comes_to(&self, way: WayId, form: &Form) -> bool {
        let content = self.content(way);
        !self.is_gone(way) && (Arc::ptr_eq(content, form) || content == form)
    }

    /// The number of the way's object; 0 for hops of its own.
    pub(crate) fn nexthop_id(&self, way: WayId) -> u32 {
        let object = self.slot(way).and_then(|slot| slot.object.as_ref());
        object.map_or(0, |object| object.id)
    }

    /// Whether nothing may refer to the way any more.
    pub(crate) fn is_gone(&self, way: WayId) -> bool {
        let object = self.slot(way).and_then(|slot| slot.object.as_ref());
        object.is_some_and(|object| object.gone)
    }

    /// The way to tell one of so many routes that is to come to `form`.
    pub(crate) fn choose(&mut self, form: &Form, routes: u32) -> WayId {
        let shared = (routes >= PAYS && !form.is_empty()).then(|| self.object_for(form));
        shared.flatten().unwrap_or_else(|| self.plain(form))
    }

    /// The way of a route that the kernel shows.
    pub(crate) fn observed(&mut self, nexthop_id: u32, hops: Hops) -> WayId {
        let known = self
            .objects
            .get(&nexthop_id)
            .copied()
            .filter(|way| !self.is_gone(*way));
        known.unwrap_or_else(|| {
            let form = self.intern(hops);
            self.plain(&form)
        })
    }

    /// One more route refers to it.
    pub(crate) fn retain(&mut self, way: WayId) {
        if let Some(slot) = self.slot_mut(way) {
            slot.users += 1;
        }
    }

    /// One route fewer refers to it.
    pub(crate) fn release(&mut self, way: WayId) {
        if let Some(slot) = self.slot_mut(way) {
            slot.users = slot.users.saturating_sub(1);
            self.unswept |= slot.users == 0;
        }
    }

    /// Everything that came to `from` shall come to `to`: the objects that can are changed, and routes with them.
    pub(crate) fn repoint(&mut self, from: &Form, to: &Form) {
        let concerned = self
            .objects
            .values()
            .copied()
            .filter(|way| self.comes_to(*way, from));
        for way in concerned.collect::<Vec<_>>() {
            let Some(object) = self.slot(way).and_then(|slot| slot.object.as_ref()) else {
                continue;
            };
            let (id, is_group, in_groups) = (object.id, object.is_group, object.groups > 0);
            let leads = match (is_group, &**to) {
                (_, []) => continue,
                (true, hops) => match self.members(hops) {
                    Some(members) => Leads::Group(members),
                    None => continue,
                },
                // A single object that is in a group stands for its gateway there.
                (false, [only]) if !in_groups => Leads::Hop(*only),
                (false, _) => continue,
            };
            self.operations.push_back(NexthopOperation {
                id,
                leads: Some(leads.clone()),
                replace: true,
            });
            self.set_leads(way, Arc::clone(to), &leads);
        }
    }

    /// An interface can no longer be used: the kernel drops the objects there, and their routes, without a word, and takes
    /// them out of their groups. Ways that changed.
    pub(crate) fn interface_died(&mut self, interface: u32) -> Vec<WayId> {
        let mut changed = Vec::new();
        let objects: Vec<WayId> = self.objects.values().copied().collect();
        for way in objects {
            if self.is_gone(way) || !leads_through(self.content(way), interface) {
                continue;
            }
            let rest = self.content(way).iter().filter(|hop| hop.interface != interface);
            let rest: Hops = rest.copied().collect();
            self.lose(way, rest);
            changed.push(way);
        }
        changed
    }

    /// What the kernel says of a nexthop object; ways that changed.
    pub(crate) fn observe(&mut self, verb: Verb, nexthop: &Nexthop, own_protocol: u8) -> Vec<WayId> {
        let known = self.objects.get(&nexthop.id).copied();
        match (known, verb, &nexthop.leads) {
            (Some(way), Verb::Delete, _) if !self.is_gone(way) => {
                self.lose(way, Hops::new());
                vec![way]
            }
            (Some(_), Verb::Delete, _) | (None, Verb::Delete, _) | (None, Verb::New, None) => Vec::new(),
            (Some(way), Verb::New, None) => {
                self.lose(way, Hops::new());
                vec![way]
            }
            (Some(way), Verb::New, Some(leads)) => {
                let form = self.content_of(leads);
                if self.comes_to(way, &form) {
                    return Vec::new();
                }
                self.set_leads(way, form, leads);
                vec![way]
            }
            (None, Verb::New, Some(leads)) => {
                let ours = (FIRST_ID..END_OF_IDS).contains(&nexthop.id);
                if ours && nexthop.protocol == own_protocol {
                    let form = self.content_of(leads);
                    let way = self.add(form, Some(Object::new(nexthop.id, leads)));
                    self.count_members(way, true);
                    self.unswept = true;
                }
                Vec::new()
            }
        }
    }

    /// Replaces what is known by what a dump showed; ways that changed.
    pub(crate) fn reconcile(&mut self, mut seen: Vec<Nexthop>, own_protocol: u8) -> Vec<WayId> {
        self.refused = self.refused.filter(|errno| *errno == libc::EOPNOTSUPP);
        // Members before their groups.
        seen.sort_by_key(|nexthop| matches!(nexthop.leads, Some(Leads::Group(_))));
        let mut changed = Vec::new();
        let missing: Vec<WayId> = self
            .objects
            .iter()
            .filter(|(id, _)| !seen.iter().any(|nexthop| nexthop.id == **id))
            .map(|(_, way)| *way)
            .filter(|way| !self.is_gone(*way))
            .collect();
        for way in missing {
            self.lose(way, Hops::new());
            changed.push(way);
        }
        for nexthop in &seen {
            changed.extend(self.observe(Verb::New, nexthop, own_protocol));
        }
        changed
    }

    /// Requests about objects wait. No route may refer to an object before the kernel has said yes: somebody else may have
    /// taken its number.
    pub(crate) fn has_operations(&self) -> bool {
        !self.operations.is_empty()
    }

    /// The next request about an object.
    pub(crate) fn poll_operation(&mut self) -> Option<NexthopOperation> {
        self.operations.pop_front()
    }

    /// The kernel's answer to a request; ways that changed.
    pub(crate) fn done(&mut self, operation: &NexthopOperation, result: Result<(), i32>) -> Vec<WayId> {
        let Err(errno) = result else { return Vec::new() };
        match (operation.leads.is_some(), errno) {
            (false, _) => return Vec::new(),
            // Somebody has the number; the next attempt takes another.
            (true, libc::EEXIST) => {}
            (true, _) => {
                tracing::debug!(id = operation.id, errno, "a nexthop object was refused");
                self.refused = Some(errno);
            }
        }
        let Some(way) = self.objects.get(&operation.id).copied() else {
            return Vec::new();
        };
        if operation.replace && errno != libc::ENOENT {
            // It is what it was; its routes are told one by one.
            let nowhere = self.intern(Hops::new());
            if let Some(slot) = self.slot_mut(way) {
                slot.content = nowhere;
            }
        } else {
            self.lose(way, Hops::new());
        }
        vec![way]
    }

    /// Asks for the removal of objects that nothing refers to, other than those that are `wanted`.
    pub(crate) fn sweep(&mut self, wanted: impl Fn(&Form) -> bool) {
        if !std::mem::take(&mut self.unswept) {
            return;
        }
        // Groups first: their members are free afterwards.
        for groups in [true, false] {
            let objects: Vec<WayId> = self.objects.values().copied().collect();
            for way in objects {
                let Some(Way {
                    content,
                    users: 0,
                    object: Some(object),
                }) = self.slot(way)
                else {
                    continue;
                };
                let idle = object.is_group == groups && object.groups == 0;
                if !idle || !object.gone && wanted(content) {
                    continue;
                }
                let (id, gone) = (object.id, object.gone);
                if !gone {
                    self.operations.push_back(NexthopOperation {
                        id,
                        leads: None,
                        replace: false,
                    });
                }
                self.remove(way);
            }
        }
        let empty = self.plain.values().copied();
        let empty: Vec<WayId> = empty
            .filter(|way| self.slot(*way).is_some_and(|slot| slot.users == 0))
            .collect();
        for way in empty {
            self.remove(way);
        }
    }

    fn plain(&mut self, form: &Form) -> WayId {
        if let Some(way) = self.plain.get(form) {
            return *way;
        }
        let way = self.add(Arc::clone(form), None);
        self.plain.insert(Arc::clone(form), way);
        way
    }

    /// The object that comes to this; made if that is possible.
    fn object_for(&mut self, form: &Form) -> Option<WayId> {
        let known = self
            .objects
            .values()
            .copied()
            .find(|way| self.comes_to(*way, form));
        if known.is_some() {
            return known;
        }
        let leads = match &**form {
            [only] => Leads::Hop(*only),
            hops => Leads::Group(self.members(hops)?),
        };
        self.create(Arc::clone(form), leads)
    }

    /// An object for each hop.
    fn members(&mut self, hops: &[Hop]) -> Option<SmallVec<[(u32, u16); 2]>> {
        let mut members = SmallVec::new();
        for hop in hops {
            let single = self.intern(Hops::from_elem(Hop { weight: 1, ..*hop }, 1));
            let known = self.objects.values().copied().find(|way| {
                let object = self.slot(*way).and_then(|slot| slot.object.as_ref());
                object.is_some_and(|object| !object.is_group) && self.comes_to(*way, &single)
            });
            let way = match known {
                Some(way) => way,
                None => self.create(Arc::clone(&single), Leads::Hop(Hop { weight: 1, ..*hop }))?,
            };
            members.push((self.nexthop_id(way), hop.weight));
        }
        Some(members)
    }

    fn create(&mut self, form: Form, leads: Leads) -> Option<WayId> {
        let complete = form.iter().all(|hop| hop.gateway.is_some() && hop.interface != 0);
        if self.refused.is_some() || !complete || self.objects.len() >= MAX_OBJECTS {
            return None;
        }
        let id = self.free_id()?;
        let way = self.add(form, Some(Object::new(id, &leads)));
        self.count_members(way, true);
        self.operations.push_back(NexthopOperation {
            id,
            leads: Some(leads),
            replace: false,
        });
        Some(way)
    }

    fn free_id(&mut self) -> Option<u32> {
        for _ in 0..=MAX_OBJECTS {
            let id = self.next_id;
            self.next_id = if id + 1 == END_OF_IDS { FIRST_ID } else { id + 1 };
            if !self.objects.contains_key(&id) {
                return Some(id);
            }
        }
        None
    }

    fn add(&mut self, content: Form, object: Option<Object>) -> WayId {
        let id = object.as_ref().map(|object| object.id);
        let way = Way {
            content,
            users: 0,
            object,
        };
        let place = match self.free.pop() {
            Some(place) => {
                if let Some(slot) = self.slot_mut(place) {
                    *slot = way;
                }
                place
            }
            None => {
                self.slots.push(way);
                WayId(u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX))
            }
        };
        if let Some(id) = id {
            self.objects.insert(id, place);
        }
        place
    }

    fn remove(&mut self, way: WayId) {
        self.count_members(way, false);
        let Some(slot) = self.slot_mut(way) else { return };
        let content = std::mem::replace(&mut slot.content, Form::from([]));
        match slot.object.take() {
            Some(object) => {
                self.objects.remove(&object.id);
            }
            None => {
                self.plain.remove(&content);
            }
        }
        self.free.push(way);
    }

    /// An object comes to less than it did, or to nothing: then it is gone.
    fn lose(&mut self, way: WayId, rest: Hops) {
        let content = self.intern(rest);
        let gone = content.is_empty();
        if let Some(slot) = self.slot_mut(way) {
            slot.content = content;
            if let Some(object) = &mut slot.object {
                object.gone |= gone;
            }
        }
        self.unswept = true;
    }

    fn set_leads(&mut self, way: WayId, form: Form, leads: &Leads) {
        self.count_members(way, false);
        if let Some(slot) = self.slot_mut(way) {
            slot.content = form;
            if let Some(object) = &mut slot.object {
                *object = Object {
                    groups: object.groups,
                    ..Object::new(object.id, leads)
                };
            }
        }
        self.count_members(way, true);
        self.unswept = true;
    }

    fn count_members(&mut self, way: WayId, more: bool) {
        let object = self.slot(way).and_then(|slot| slot.object.as_ref());
        let members = object.map(|object| object.members.clone()).unwrap_or_default();
        for member in members {
            let object = self
                .objects
                .get(&member)
                .copied()
                .and_then(|way| self.slot_mut(way)?.object.as_mut());
            if let Some(object) = object {
                object.groups = if more {
                    object.groups + 1
                } else {
                    object.groups.saturating_sub(1)
                };
            }
        }
    }

    fn content_of(&mut self, leads: &Leads) -> Form {
        let mut hops = Hops::new();
        match leads {
            Leads::Hop(hop) => hops.push(*hop),
            Leads::Group(members) => {
                for (id, weight) in members {
                    let way = self.objects.get(id).copied();
                    let content = way.map(|way| Arc::clone(self.content(way)));
                    // A member that is not ours is a hop that nobody wants.
                    let unknown = Hop {
                        interface: 0,
                        gateway: None,
                        weight: *weight,
                        onlink: false,
                    };
                    let hop = content
                        .and_then(|content| content.first().copied())
                        .unwrap_or(unknown);
                    hops.push(Hop {
                        weight: *weight,
                        ..hop
                    });
                }
            }
        }
        self.intern(hops)
    }

    fn slot(&self, way: WayId) -> Option<&Way> {
        self.slots.get(usize::try_from(way.0).ok()?)
    }

    fn slot_mut(&mut self, way: WayId) -> Option<&mut Way> {
        self.slots.get_mut(usize::try_from(way.0).ok()?)
    }
}

impl Object {
    fn new(id: u32, leads: &Leads) -> Self {
        let members = match leads {
            Leads::Hop(_) => SmallVec::new(),
            Leads::Group(members) => members.iter().map(|(id, _)| *id).collect(),
        };
        Self {
            id,
            is_group: matches!(leads, Leads::Group(_)),
            members,
            groups: 0,
            gone: false,
        }
    }
}

fn leads_through(form: &Form, interface: u32) -> bool {
    form.iter().any(|hop| hop.interface == interface)
}
