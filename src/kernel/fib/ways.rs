//! How routes are told where to lead: by hops of their own, or by a nexthop object of ours that many of them share.
//!
//! An object pays where many routes lead the same way: the kernel takes such a route in two thirds of the time, and when
//! the way changes, one request moves them all. What two ways come to is their content; a route whose way has the wanted
//! content is right, however it was told.
//!
//! Objects have numbers in a range of our own, are created EXCL, and go when nothing refers to them: the kernel takes
//! every route along that refers to an object that goes.

mod answers;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

use crate::kernel::wire::{Hop, Hops, Leads};

/// Where the kernel sends packets; empty: it discards them. In a canonical order, and interned, so that equal forms are
/// the same allocation.
pub(crate) type Form = Arc<[Hop]>;

/// The first number of ours; 179 in the high octet.
const FIRST_ID: u32 = 0xb300_0000;
/// And behind the last.
const END_OF_IDS: u32 = 0xb400_0000;
/// Routes from which on an object pays.
const PAYS: u32 = 64;
/// After a refusal that may pass (no memory, no buffer) routes carry their hops for so long.
const REFUSED_FOR: Duration = Duration::from_secs(1);
/// Objects and groups at most; beyond, routes carry their hops.
const MAX_OBJECTS: usize = 4_096;

/// A handle on a way.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct WayId(pub(super) u32);

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
    /// Objects of ours by what they come to.
    by_content: HashMap<Form, SmallVec<[WayId; 2]>>,
    next_id: u32,
    /// Objects are not used: the kernel refused one. For good, where it has none at all.
    refused: Refusal,
    operations: VecDeque<NexthopOperation>,
    /// Something may have lost its last user.
    unswept: bool,
}

/// Whether objects may be asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Refusal {
    /// They may.
    None,
    /// Not before this.
    Until(Instant),
    /// Not before the kernel's objects have been read again.
    UntilRead,
    /// The kernel has none.
    Ever,
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
    /// Made under another protocol: routes leave it as they are written anew.
    retired: bool,
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
            by_content: HashMap::new(),
            next_id: FIRST_ID,
            refused: Refusal::None,
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

    /// No route is told of the objects that are there any more.
    pub(crate) fn retire(&mut self) {
        for slot in &mut self.slots {
            if let Some(object) = &mut slot.object {
                object.retired = true;
            }
        }
        self.unswept = true;
    }

    fn is_retired(&self, way: WayId) -> bool {
        let object = self.slot(way).and_then(|slot| slot.object.as_ref());
        object.is_some_and(|object| object.retired)
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
        for way in self.objects_to(from).collect::<Vec<_>>() {
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

    /// Lets go of a refusal that has lasted long enough.
    pub(crate) fn tick(&mut self, now: Instant) {
        if matches!(self.refused, Refusal::Until(at) if at <= now) {
            self.refused = Refusal::None;
        }
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

    /// Asks for the removal of a way's object, and so of every route that refers to it; whether that can be done.
    ///
    /// Only where all gateways are IPv4: then the kernel takes the routes, which are IPv4, in one pass and without a
    /// word. IPv6 routes it would take one by one and tell everybody of each.
    pub(crate) fn remove_whole(&mut self, way: WayId) -> bool {
        let ipv4 = |hop: &Hop| hop.gateway.is_some_and(|gateway| gateway.is_ipv4());
        let Some(slot) = self.slot_mut(way).filter(|way| way.content.iter().all(ipv4)) else {
            return false;
        };
        let Some(object) = slot
            .object
            .as_mut()
            .filter(|object| !object.gone && object.groups == 0)
        else {
            return false;
        };
        object.gone = true;
        let id = object.id;
        self.operations.push_back(NexthopOperation {
            id,
            leads: None,
            replace: false,
        });
        true
    }

    /// How many routes refer to the way's object; 0 for hops of their own.
    pub(crate) fn sharers(&self, way: WayId) -> u32 {
        let slot = self.slot(way).filter(|slot| slot.object.is_some());
        slot.map_or(0, |slot| slot.users)
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
                if !idle || !object.gone && !object.retired && wanted(content) {
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
        let known = self.objects_to(form).find(|way| !self.is_retired(*way));
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
                object.is_some_and(|object| !object.is_group && !object.retired)
                    && self.comes_to(*way, &single)
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
        if self.refused != Refusal::None || !complete || self.objects.len() >= MAX_OBJECTS {
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

    /// Objects that come to this.
    fn objects_to(&self, form: &Form) -> impl Iterator<Item = WayId> {
        let ways = self.by_content.get(form).into_iter().flatten().copied();
        ways.filter(|way| !self.is_gone(*way))
    }

    /// An object comes to something else.
    fn set_content(&mut self, way: WayId, content: Form) {
        self.unlist(way);
        if self.slot(way).is_some_and(|slot| slot.object.is_some()) {
            self.by_content.entry(Arc::clone(&content)).or_default().push(way);
        }
        if let Some(slot) = self.slot_mut(way) {
            slot.content = content;
        }
    }

    fn unlist(&mut self, way: WayId) {
        let content = Arc::clone(self.content(way));
        if let Some(ways) = self.by_content.get_mut(&content) {
            ways.retain(|other| *other != way);
            if ways.is_empty() {
                self.by_content.remove(&content);
            }
        }
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
            let content = Arc::clone(self.content(place));
            self.set_content(place, content);
        }
        place
    }

    fn remove(&mut self, way: WayId) {
        self.count_members(way, false);
        self.unlist(way);
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

    fn set_leads(&mut self, way: WayId, form: Form, leads: &Leads) {
        self.count_members(way, false);
        self.set_content(way, form);
        if let Some(object) = self.slot_mut(way).and_then(|slot| slot.object.as_mut()) {
            *object = Object {
                groups: object.groups,
                retired: object.retired,
                ..Object::new(object.id, leads)
            };
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
            retired: false,
        }
    }
}

fn leads_through(form: &Form, interface: u32) -> bool {
    form.iter().any(|hop| hop.interface == interface)
}
