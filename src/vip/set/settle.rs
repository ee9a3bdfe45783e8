//! Why each VIP is held back, if it is: its verdict, its drain, what it waits for and depends on, its group, its address.

use std::sync::Arc;

use super::super::binding::{Bound, News, Place};
use super::super::entry::Entry;
use super::super::settings::{Bandwidth, Dependency, Vip};
use super::super::status::Held;
use super::Set;
use crate::drain::{Now, Stage};

impl Set {
    pub(super) fn unsettle_all(&mut self) {
        self.unsettled.extend(self.vips.keys().cloned());
    }

    /// Those that look at an address or a link that changed.
    pub(super) fn unsettle_concerned(&mut self, news: &News) {
        if news.first {
            self.unsettle_all();
            return;
        }
        let concerned = |vip: &Vip| {
            let at_address = vip.bind.is_some() || vip.require_bound;
            let of_link = match &vip.bandwidth {
                Some(Bandwidth::Interface(name)) => news.interfaces.contains(name),
                _ => false,
            };
            of_link || at_address && news.addresses.contains(&vip.address.addr())
        };
        let vips = self.vips.values().filter(|entry| concerned(&entry.vip));
        self.unsettled
            .extend(vips.map(|entry| Arc::clone(&entry.vip.name)));
    }

    /// Those that are to have this address.
    pub(super) fn unsettle_bound(&mut self, place: &Place) {
        let binds = |vip: &Vip| vip.bind.as_ref() == Some(&place.interface) && vip.address == place.address;
        let vips = self.vips.values().filter(|entry| binds(&entry.vip));
        self.unsettled
            .extend(vips.map(|entry| Arc::clone(&entry.vip.name)));
    }

    /// Works out why each unsettled VIP is held back, and unsettles those that look at one that changed. It ends because
    /// configuration lets nobody depend on itself.
    pub(super) fn settle(&mut self, now: Now) {
        while let Some(name) = self.unsettled.pop_first() {
            let Some(vip) = self.vips.get(&name).map(|entry| Arc::clone(&entry.vip)) else {
                continue;
            };
            self.mark(&vip);
            let Some(entry) = self.vips.get(&name) else {
                continue;
            };
            let unfit = self.unfit(entry);
            let group = vip
                .group
                .as_ref()
                .and_then(|group| self.groups.get(group))
                .cloned();
            let waits = unfit
                .clone()
                .or_else(|| self.held_by_group(&name, group.as_deref(), |other| other.unfit.is_some()));
            // Addresses of a group come when all could be announced, and announcements when all have theirs.
            let unbound = match waits {
                Some(_) => None,
                None => self.held_by_address(&vip, now),
            };
            let held = waits
                .clone()
                .or_else(|| unbound.clone())
                .or_else(|| self.held_by_group(&name, group.as_deref(), |other| other.unbound.is_some()));
            let Some(entry) = self.vips.get_mut(&name) else {
                continue;
            };
            entry.asks_address = waits.is_none();
            let told_others = (entry.unfit == unfit, entry.unbound == unbound) == (true, true);
            (entry.unfit, entry.unbound) = (unfit, unbound);
            let moved = held.is_none() != entry.held.is_none();
            entry.held = held;
            if !told_others {
                let others = group.into_iter().flatten().filter(|other| *other != name);
                self.unsettled.extend(others);
            }
            if moved {
                if let Some(dependents) = self.dependents.get(&name) {
                    self.unsettled.extend(dependents.iter().cloned());
                }
                self.changed.insert(name);
            }
        }
    }

    /// Why it cannot be announced, its group and its address apart.
    fn unfit(&self, entry: &Entry) -> Option<Held> {
        let vip = &entry.vip;
        if self.drains.of(&vip.name) == Some(Stage::Withdrawn) {
            return Some(Held::Drained);
        }
        if !entry.allows(entry.verdict) {
            return Some(Held::Verdict(entry.verdict));
        }
        if entry.damper.is_held() {
            return Some(Held::Damped);
        }
        if vip.wait_for.kernel && !self.outside.kernel {
            return Some(Held::Kernel);
        }
        if vip.wait_for.end_of_rib && !self.outside.end_of_rib {
            return Some(Held::EndOfRib);
        }
        if vip.require_bound && !self.bindings.links().has(vip.address.addr()) {
            return Some(Held::NotBound);
        }
        vip.depends_on
            .iter()
            .find_map(|dependency| self.missing(dependency))
    }

    fn missing(&self, dependency: &Dependency) -> Option<Held> {
        match dependency {
            Dependency::Vip(name) => {
                let there = self.vips.get(name).is_some_and(|other| other.held.is_none());
                (!there).then(|| Held::DependsOn(Arc::clone(name)))
            }
            Dependency::Route(route) => {
                let there = self.outside.routes.contains(route);
                (!there).then_some(Held::NoRoute(route.prefix))
            }
        }
    }

    fn held_by_group(
        &self,
        name: &str,
        group: Option<&[Arc<str>]>,
        holds: impl Fn(&Entry) -> bool,
    ) -> Option<Held> {
        let mut others = group?.iter().filter(|other| ***other != *name);
        let holding = others.find(|other| self.vips.get(*other).is_none_or(&holds))?;
        Some(Held::Group(Arc::clone(holding)))
    }

    /// The address first, then the announcement.
    fn held_by_address(&mut self, vip: &Vip, now: Now) -> Option<Held> {
        let place = Place {
            address: vip.address,
            interface: Arc::clone(vip.bind.as_ref()?),
        };
        let bound = self.bindings.want(&place);
        let key = (Arc::clone(&vip.name), vip.address);
        if let Some((before, drain)) = self.places.insert(key, (place.clone(), vip.drain))
            && before != place
        {
            self.bindings.release(&before, drain, now.at);
        }
        match bound {
            Bound::Yes => None,
            Bound::NotYet(error) => Some(Held::Binding(error)),
        }
    }
}
