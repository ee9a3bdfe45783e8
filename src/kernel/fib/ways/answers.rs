//! What the kernel says of nexthop objects: in answers, in dumps, and without being asked.

use std::sync::Arc;
use std::time::Instant;

use super::{
    END_OF_IDS, FIRST_ID, Form, NexthopOperation, Object, REFUSED_FOR, Refusal, WayId, Ways, leads_through,
};
use crate::kernel::wire::{Hop, Hops, Leads, Nexthop, Verb};

impl Ways {
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
        if self.refused != Refusal::Ever {
            self.refused = Refusal::None;
        }
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

    /// The kernel's answer to a request; ways that changed.
    pub(crate) fn done(
        &mut self,
        operation: &NexthopOperation,
        result: Result<(), i32>,
        now: Instant,
    ) -> Vec<WayId> {
        if operation.leads.is_none() {
            return self.removed(operation.id, result);
        }
        let Err(errno) = result else { return Vec::new() };
        match errno {
            // Somebody has the number; the next attempt takes another.
            libc::EEXIST => {}
            _ => {
                tracing::debug!(id = operation.id, errno, "a nexthop object was refused");
                self.refused = match errno {
                    libc::EOPNOTSUPP => Refusal::Ever,
                    libc::EINVAL | libc::EPERM => Refusal::UntilRead,
                    _ => Refusal::Until(now + REFUSED_FOR),
                };
            }
        }
        let Some(way) = self.objects.get(&operation.id).copied() else {
            return Vec::new();
        };
        if operation.replace && errno != libc::ENOENT {
            // It is what it was; its routes are told one by one.
            let nowhere = self.intern(Hops::new());
            self.set_content(way, nowhere);
        } else {
            self.lose(way, Hops::new());
        }
        vec![way]
    }

    /// The kernel's answer to a removal. Objects that nothing referred to have been forgotten already.
    fn removed(&mut self, id: u32, result: Result<(), i32>) -> Vec<WayId> {
        let Some(way) = self.objects.get(&id).copied() else {
            return Vec::new();
        };
        if matches!(result, Ok(()) | Err(libc::ENOENT)) {
            self.lose(way, Hops::new());
        } else if let Some(object) = self.slot_mut(way).and_then(|slot| slot.object.as_mut()) {
            object.gone = false;
        }
        vec![way]
    }

    /// An object comes to less than it did, or to nothing: then it is gone.
    pub(super) fn lose(&mut self, way: WayId, rest: Hops) {
        let content = self.intern(rest);
        let gone = content.is_empty();
        self.set_content(way, content);
        if let Some(object) = self.slot_mut(way).and_then(|slot| slot.object.as_mut()) {
            object.gone |= gone;
        }
        self.unswept = true;
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
}
