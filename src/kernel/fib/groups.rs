//! Routes as the RIB wants them, shared by all prefixes that want the same, and the hops that they come to.
//!
//! A node has few of them, so that a next hop that moves is worked out once and not once a prefix.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use hashbrown::HashMap;

use super::ways::{Form, Ways};
use crate::kernel::mirror::Mirror;
use crate::kernel::next_hops::{NextHops, Resolution, Unreachable, link_hop};
use crate::kernel::settings::Settings;
use crate::kernel::wire::{Hop, Hops};
use crate::rib::interface::{FibNextHop, FibRoute};

/// A handle on a group.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct GroupId(pub(super) NonZeroU32);

/// What stands in the way: a next hop, and why it cannot be used.
pub(crate) type Obstacle = (IpAddr, Unreachable);

/// What it takes to work out what a group comes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings<'a> {
    /// How next hops resolve.
    pub(crate) next_hops: &'a NextHops,
    /// Links that are up.
    pub(crate) mirror: &'a Mirror,
}

/// All groups in use.
#[derive(Debug)]
pub(crate) struct Groups {
    slots: Vec<Group>,
    free: Vec<GroupId>,
    by_content: HashMap<Arc<FibRoute>, GroupId>,
    /// The group asked for last: a table comes in runs of equal routes.
    last: Option<GroupId>,
    /// Next hops of peers that are gone, while their routes are still being taken back one by one.
    suspects: BTreeSet<IpAddr>,
    multipath: usize,
    /// Routes with the community BLACKHOLE discard packets.
    blackhole: bool,
    /// Gateways are on their link, whatever the kernel knows of the way there.
    onlink: bool,
}

#[derive(Debug)]
struct Group {
    route: Arc<FibRoute>,
    users: u32,
    target: Result<Form, Obstacle>,
}

/// What a refresh changed.
#[derive(Debug, Default)]
pub(crate) struct Refreshed {
    /// Groups whose form differs.
    pub(crate) groups: BTreeSet<GroupId>,
    /// Forms that nobody wants any more because all that wanted them want the same other.
    pub(crate) moved: Vec<(Form, Form)>,
}

impl Groups {
    /// No groups.
    pub(crate) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_content: HashMap::new(),
            last: None,
            suspects: BTreeSet::new(),
            multipath: 1,
            blackhole: false,
            onlink: false,
        }
    }

    /// Takes over other settings; groups must be refreshed.
    pub(crate) fn configure(&mut self, settings: Option<&Settings>) {
        self.multipath = settings.map_or(1, |settings| usize::from(settings.multipath.max(1)));
        self.blackhole = settings.is_some_and(|settings| settings.blackhole);
        self.onlink = settings.is_some_and(|settings| settings.onlink);
    }

    /// Whether packets to what wants this route are discarded.
    pub(crate) fn discards(&self, route: &FibRoute) -> bool {
        self.blackhole && route.blackhole
    }

    /// A peer's session is gone, or all that followed from that is done; groups must be refreshed.
    pub(crate) fn set_suspect(&mut self, next_hop: IpAddr, suspect: bool) {
        if suspect {
            self.suspects.insert(next_hop);
        } else {
            self.suspects.remove(&next_hop);
        }
    }

    /// Whether any peer's session is gone while its routes are still being taken back.
    pub(crate) fn has_suspects(&self) -> bool {
        !self.suspects.is_empty()
    }

    /// One more prefix wants this route.
    pub(crate) fn acquire(
        &mut self,
        route: &Arc<FibRoute>,
        ways: &mut Ways,
        next_hops: &mut NextHops,
        mirror: &Mirror,
    ) -> GroupId {
        let same = |group: &Group| group.users > 0 && Arc::ptr_eq(&group.route, route);
        let last = self.last.filter(|id| self.slot(*id).is_some_and(same));
        if let Some(id) = last.or_else(|| self.by_content.get(route).copied()) {
            self.last = Some(id);
            if let Some(group) = self.slot_mut(id) {
                group.users += 1;
            }
            return id;
        }
        next_hops.acquire(&route.next_hops);
        let target = self.work_out(route, ways, Surroundings { next_hops, mirror });
        let group = Group {
            route: Arc::clone(route),
            users: 1,
            target,
        };
        let id = match self.free.pop() {
            Some(id) => {
                if let Some(slot) = self.slot_mut(id) {
                    *slot = group;
                }
                id
            }
            None => {
                self.slots.push(group);
                GroupId::of(self.slots.len() - 1)
            }
        };
        self.by_content.insert(Arc::clone(route), id);
        self.last = Some(id);
        id
    }

    /// One prefix fewer wants it.
    pub(crate) fn release(&mut self, id: GroupId, next_hops: &mut NextHops) {
        let Some(group) = self.slot_mut(id) else { return };
        group.users = group.users.saturating_sub(1);
        if group.users > 0 {
            return;
        }
        let route = Arc::clone(&group.route);
        next_hops.release(&route.next_hops);
        self.by_content.remove(&route);
        self.free.push(id);
    }

    /// Works out again the groups that use any of `changed` (all, for none).
    pub(crate) fn refresh(
        &mut self,
        changed: Option<&BTreeSet<IpAddr>>,
        ways: &mut Ways,
        around: Surroundings<'_>,
    ) -> Refreshed {
        let mut refreshed = Refreshed::default();
        for index in 0..self.slots.len() {
            let id = GroupId::of(index);
            let Some(group) = self.slot(id).filter(|group| group.users > 0) else {
                continue;
            };
            let mut hops = group.route.next_hops.iter();
            if changed.is_some_and(|changed| !hops.any(|hop| changed.contains(&hop.address))) {
                continue;
            }
            let route = Arc::clone(&group.route);
            let target = self.work_out(&route, ways, around);
            if let Some(group) = self.slot_mut(id)
                && group.target != target
            {
                let before = std::mem::replace(&mut group.target, target.clone());
                refreshed.groups.insert(id);
                if let (Ok(from), Ok(to)) = (before, target) {
                    refreshed.moved.push((from, to));
                }
            }
        }
        let moved = std::mem::take(&mut refreshed.moved);
        for (from, to) in &moved {
            let unanimous = moved.iter().all(|(other, target)| other != from || target == to);
            let known = refreshed.moved.iter().any(|(other, _)| other == from);
            if unanimous && !known && !self.wants(from) {
                refreshed.moved.push((Arc::clone(from), Arc::clone(to)));
            }
        }
        refreshed
    }

    /// Whether a group in use comes to this form.
    pub(crate) fn wants(&self, form: &Form) -> bool {
        let mut used = self.slots.iter().filter(|group| group.users > 0);
        used.any(|group| group.target.as_ref() == Ok(form))
    }

    /// What routes of the group become, or which next hop stands in the way.
    pub(crate) fn target(&self, id: GroupId) -> Result<&Form, Obstacle> {
        match self.slot(id) {
            Some(group) => group.target.as_ref().map_err(|reason| *reason),
            None => Err((IpAddr::from([0; 4]), Unreachable::Unknown)),
        }
    }

    /// The group's route in the RIB's words.
    pub(crate) fn route(&self, id: GroupId) -> Option<&FibRoute> {
        self.slot(id).map(|group| &*group.route)
    }

    /// How many prefixes want it.
    pub(crate) fn users(&self, id: GroupId) -> u32 {
        self.slot(id).map_or(0, |group| group.users)
    }

    /// The union of what each next hop comes to, each weighted as the route says. Next hops that are not reachable, or
    /// whose peer is gone, are left out as long as another one is there.
    fn work_out(
        &self,
        route: &FibRoute,
        ways: &mut Ways,
        around: Surroundings<'_>,
    ) -> Result<Form, Obstacle> {
        if self.discards(route) {
            return Ok(ways.intern(Hops::new()));
        }
        let is_suspect = |hop: &&FibNextHop| self.suspects.contains(&hop.address);
        let (trusted, suspects): (Vec<_>, Vec<_>) = route.next_hops.iter().partition(|hop| !is_suspect(hop));
        let mut union = self.union(&trusted, around);
        if !matches!(&union, Ok(hops) if !hops.is_empty()) && !suspects.is_empty() {
            let all: Vec<_> = route.next_hops.iter().collect();
            union = self.union(&all, around);
        }
        Ok(ways.intern(union?))
    }

    fn union(&self, next_hops: &[&FibNextHop], around: Surroundings<'_>) -> Result<Hops, Obstacle> {
        let mut union = Hops::new();
        let mut failure = None;
        for next_hop in next_hops {
            let direct = link_hop(next_hop, around.mirror);
            let hops = match (&direct, around.next_hops.resolution(next_hop.address)) {
                (Some(hop), _) => std::slice::from_ref(hop),
                (None, Resolution::Reachable { hops, .. }) => hops.as_slice(),
                (None, Resolution::Unreachable(reason)) => {
                    failure.get_or_insert((next_hop.address, *reason));
                    continue;
                }
            };
            if hops.iter().any(|hop| hop.interface == 0) {
                failure.get_or_insert((next_hop.address, Unreachable::NoInterface));
                continue;
            }
            add_weighted(&mut union, hops, next_hop.weight);
        }
        if let (true, Some(failure)) = (union.is_empty(), failure) {
            return Err(failure);
        }
        union.truncate(self.multipath);
        for hop in &mut union {
            hop.onlink |= self.onlink && hop.gateway.is_some();
        }
        Ok(union)
    }

    fn slot(&self, id: GroupId) -> Option<&Group> {
        self.slots.get(id.index())
    }

    fn slot_mut(&mut self, id: GroupId) -> Option<&mut Group> {
        self.slots.get_mut(id.index())
    }
}

impl GroupId {
    fn of(index: usize) -> Self {
        let number = u32::try_from(index + 1).ok().and_then(NonZeroU32::new);
        Self(number.unwrap_or(NonZeroU32::MAX))
    }

    fn index(self) -> usize {
        usize::try_from(self.0.get() - 1).unwrap_or(usize::MAX)
    }
}

/// The kernel takes weights of 1 to 256; two next hops behind one gateway add up.
fn add_weighted(union: &mut Hops, hops: &[Hop], weight: u16) {
    const MAX_WEIGHT: u16 = 256;
    for hop in hops {
        let weight = hop.weight.saturating_mul(weight.max(1)).min(MAX_WEIGHT);
        let known = union
            .iter_mut()
            .find(|known| (known.interface, known.gateway) == (hop.interface, hop.gateway));
        match known {
            // Equal shares through one gateway are one hop; only unequal ones need counting.
            Some(known) if weight > 1 || known.weight > 1 => {
                known.weight = known.weight.saturating_add(weight).min(MAX_WEIGHT);
            }
            Some(_) => {}
            None => union.push(Hop { weight, ..*hop }),
        }
    }
}
