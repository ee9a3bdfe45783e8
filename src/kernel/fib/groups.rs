//! Sets of BGP next hops, shared by all routes that use the same, and the hops that they come to.
//!
//! A node has few of them, so that a next hop that moves is worked out once and not once a route. One group is also
//! what one kernel nexthop object would be.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashSet;
use smallvec::SmallVec;

use crate::kernel::mirror::Mirror;
use crate::kernel::next_hops::{NextHops, Resolution, Unreachable, link_hop};
use crate::kernel::wire::{Hop, Hops};
use crate::rib::interface::FibNextHop;

/// Where the kernel sends packets; empty: it discards them. In a canonical order, and interned, so that equal forms are
/// the same allocation.
pub(crate) type Form = Arc<[Hop]>;

type NextHopSet = SmallVec<[FibNextHop; 2]>;

/// A handle on a group.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct GroupId(u32);

/// All groups in use.
#[derive(Debug)]
pub(crate) struct Groups {
    slots: Vec<Group>,
    free: Vec<GroupId>,
    by_content: BTreeMap<NextHopSet, GroupId>,
    forms: HashSet<Form>,
    multipath: usize,
}

#[derive(Debug)]
struct Group {
    next_hops: NextHopSet,
    users: u32,
    target: Result<Form, (IpAddr, Unreachable)>,
}

impl Groups {
    /// No groups; a form has at most `multipath` hops.
    pub(crate) fn new(multipath: u16) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_content: BTreeMap::new(),
            forms: HashSet::new(),
            multipath: usize::from(multipath.max(1)),
        }
    }

    /// Changes the limit of hops; groups must be refreshed.
    pub(crate) fn set_multipath(&mut self, multipath: u16) {
        self.multipath = usize::from(multipath.max(1));
    }

    /// One more route uses this set.
    pub(crate) fn acquire(&mut self, set: &NextHopSet, next_hops: &mut NextHops, mirror: &Mirror) -> GroupId {
        if let Some(&id) = self.by_content.get(set) {
            if let Some(group) = self.slot_mut(id) {
                group.users += 1;
            }
            return id;
        }
        next_hops.acquire(set);
        let target = self.work_out(set, next_hops, mirror);
        let group = Group {
            next_hops: set.clone(),
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
                GroupId(u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX))
            }
        };
        self.by_content.insert(set.clone(), id);
        id
    }

    /// One route fewer uses it.
    pub(crate) fn release(&mut self, id: GroupId, next_hops: &mut NextHops) {
        let Some(group) = self.slot_mut(id) else { return };
        group.users = group.users.saturating_sub(1);
        if group.users > 0 {
            return;
        }
        let set = std::mem::take(&mut group.next_hops);
        next_hops.release(&set);
        self.by_content.remove(&set);
        self.free.push(id);
    }

    /// Works out again the groups that use any of `changed` (all, for none); those whose form differs.
    pub(crate) fn refresh(
        &mut self,
        changed: Option<&BTreeSet<IpAddr>>,
        next_hops: &NextHops,
        mirror: &Mirror,
    ) -> BTreeSet<GroupId> {
        let mut differ = BTreeSet::new();
        for index in 0..self.slots.len() {
            let id = GroupId(u32::try_from(index).unwrap_or(u32::MAX));
            let Some(group) = self.slot(id).filter(|group| group.users > 0) else {
                continue;
            };
            let concerned = changed
                .is_none_or(|changed| group.next_hops.iter().any(|hop| changed.contains(&hop.address)));
            if !concerned {
                continue;
            }
            let set = group.next_hops.clone();
            let target = self.work_out(&set, next_hops, mirror);
            if let Some(group) = self.slot_mut(id)
                && group.target != target
            {
                group.target = target;
                differ.insert(id);
            }
        }
        differ
    }

    /// What routes of the group become, or which next hop stands in the way.
    pub(crate) fn target(&self, id: GroupId) -> Result<&Form, (IpAddr, Unreachable)> {
        match self.slot(id) {
            Some(group) => group.target.as_ref().map_err(|reason| *reason),
            None => Err((IpAddr::from([0; 4]), Unreachable::Unknown)),
        }
    }

    /// The group's BGP next hops.
    pub(crate) fn next_hops(&self, id: GroupId) -> &[FibNextHop] {
        self.slot(id).map_or(&[], |group| &group.next_hops)
    }

    /// Whether any form in use has a hop on this interface.
    pub(crate) fn uses_interface(&self, interface: u32) -> bool {
        self.forms
            .iter()
            .any(|form| form.iter().any(|hop| hop.interface == interface))
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

    /// The union of what each next hop comes to, each weighted as the route says. Next hops that are not reachable are
    /// left out as long as one is.
    fn work_out(
        &mut self,
        set: &NextHopSet,
        next_hops: &NextHops,
        mirror: &Mirror,
    ) -> Result<Form, (IpAddr, Unreachable)> {
        let mut union = Hops::new();
        let mut failure = None;
        for next_hop in set {
            let direct = link_hop(next_hop, mirror);
            let hops = match (&direct, next_hops.resolution(next_hop.address)) {
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
        Ok(self.intern(union))
    }

    fn slot(&self, id: GroupId) -> Option<&Group> {
        self.slots.get(usize::try_from(id.0).ok()?)
    }

    fn slot_mut(&mut self, id: GroupId) -> Option<&mut Group> {
        self.slots.get_mut(usize::try_from(id.0).ok()?)
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
