//! Which routes depend on an interface, a source address or a nexthop object: asked at each event of those, and a node whose pods
//! come and go has many of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use smallvec::SmallVec;

use super::{Key, key_of};
use crate::kernel::wire::Route;

/// Beyond so many routes they are counted only: whoever asks then looks at all routes, as most of them are concerned.
const LISTED: usize = 1_024;

/// What a route depends on.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Thing {
    /// It leaves through this interface.
    Interface(u32),
    /// It names this source address.
    Source(IpAddr),
    /// It refers to this nexthop object.
    Nexthop(u32),
}

/// Routes by what they depend on.
#[derive(Debug, Default)]
pub(super) struct Users(BTreeMap<Thing, Of>);

#[derive(Debug)]
struct Of {
    count: usize,
    /// None once there were too many.
    keys: Option<BTreeSet<Key>>,
}

/// Routes to look at.
#[derive(Debug)]
pub(super) enum Concerned {
    /// These, and no others.
    These(Vec<Key>),
    /// Any may be.
    Any,
}

impl Users {
    pub(super) fn add(&mut self, route: &Route) {
        for thing in things(route) {
            let of = self.0.entry(thing).or_insert_with(|| Of {
                count: 0,
                keys: Some(BTreeSet::new()),
            });
            of.count += 1;
            if let Some(keys) = &mut of.keys {
                keys.insert(key_of(route));
            }
            of.keys = of.keys.take().filter(|keys| keys.len() <= LISTED);
        }
    }

    /// Several routes of one key may depend on the same; the key stays listed for the others, which costs a look.
    pub(super) fn remove(&mut self, route: &Route) {
        for thing in things(route) {
            let Some(of) = self.0.get_mut(&thing) else {
                continue;
            };
            of.count = of.count.saturating_sub(1);
            if of.count == 0 {
                self.0.remove(&thing);
            }
        }
    }

    /// Whether any route depends on it.
    pub(super) fn has(&self, thing: Thing) -> bool {
        self.0.contains_key(&thing)
    }

    /// Routes that may depend on it.
    pub(super) fn of(&self, thing: Thing) -> Concerned {
        match self.0.get(&thing) {
            None => Concerned::These(Vec::new()),
            Some(Of { keys: Some(keys), .. }) => Concerned::These(keys.iter().copied().collect()),
            Some(Of { keys: None, .. }) => Concerned::Any,
        }
    }
}

/// Each once.
fn things(route: &Route) -> SmallVec<[Thing; 4]> {
    let interfaces = route.hops.iter().map(|hop| Thing::Interface(hop.interface));
    let source = route.preferred_source.map(Thing::Source);
    let nexthop = Some(route.nexthop_id).filter(|id| *id != 0).map(Thing::Nexthop);
    let mut things: SmallVec<[Thing; 4]> = interfaces.chain(source).chain(nexthop).collect();
    things.sort_unstable();
    things.dedup();
    things
}
