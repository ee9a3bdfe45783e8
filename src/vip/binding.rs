//! The addresses that VIPs put on interfaces: added before the announcement, removed a while after the withdrawal, and
//! never taken from anybody else.
//!
//! ```text
//!            want                  the kernel shows it
//!   (none) ───────► asked for ───────────────────────► bound ◄──────── want
//!                                                        │               │
//!                                                        │ release       │
//!                                                        ▼               │
//!                                    gone ◄── its time ── leaving ───────┘
//! ```
//!
//! An address that was there before we asked for it is somebody else's: it counts as bound and is never removed.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Links and addresses of the machine at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Links {
    /// Each interface by name.
    pub interfaces: BTreeMap<Arc<str>, Link>,
    /// Every address.
    pub addresses: Vec<OnLink>,
}

/// One interface.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Link {
    /// It is set up and has carrier.
    pub up: bool,
    /// Its speed in bits per second, where the driver knows it.
    pub speed: Option<u64>,
}

/// One address of one interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OnLink {
    /// The address.
    pub address: IpAddr,
    /// Where it is.
    pub interface: Arc<str>,
    /// It is marked as ours.
    pub ours: bool,
}

impl Links {
    /// Whether some interface has the address.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|on| on.address == address)
    }

    fn find(&self, place: &Place) -> Option<&OnLink> {
        let mut addresses = self.addresses.iter();
        addresses.find(|on| on.address == place.address.addr() && on.interface == place.interface)
    }
}

/// An address and the interface that is to have it.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Place {
    /// With the length of a host prefix.
    pub address: IpNet,
    /// By name.
    pub interface: Arc<str>,
}

/// What the kernel is to be asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Order {
    /// Add the address, marked as ours.
    Add(Place),
    /// Remove it.
    Remove(Place),
}

/// The addresses that we added or mean to.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    links: Links,
    /// Whether the kernel has been looked at once.
    looked: bool,
    places: BTreeMap<Place, Binding>,
    orders: VecDeque<Order>,
}

#[derive(Debug, Default)]
struct Binding {
    /// We added it, so we may remove it.
    ours: bool,
    /// None while it is wanted.
    leaves: Option<Instant>,
    /// Why the kernel refused the last request.
    refused: Option<String>,
}

/// How far an address is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Bound {
    Yes,
    NotYet(Option<String>),
}

impl Bindings {
    /// Knows that a predecessor added these.
    pub(super) fn new(before: Vec<Place>, now: Instant) -> Self {
        let mut bindings = Self::default();
        for place in before {
            bindings.adopt(place, now);
        }
        bindings
    }

    /// What the kernel is to be asked for, until `None`.
    pub(super) fn poll_order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    pub(super) fn links(&self) -> &Links {
        &self.links
    }

    /// What we added and have not removed.
    pub(super) fn ours(&self) -> impl Iterator<Item = &Place> {
        self.places
            .iter()
            .filter(|(_, binding)| binding.ours)
            .map(|(place, _)| place)
    }

    /// The machine's links and addresses changed, or were looked at again. What is wanted and missing is asked for once more.
    pub(super) fn looked(&mut self, links: Links, now: Instant) {
        self.links = links;
        if !std::mem::replace(&mut self.looked, true) {
            let marked = self.links.addresses.iter().filter(|on| on.ours);
            let marked: Vec<Place> = marked.map(place_of).collect();
            for place in marked {
                self.adopt(place, now);
            }
        }
        let wanted = self
            .places
            .iter_mut()
            .filter(|(_, binding)| binding.leaves.is_none());
        for (place, binding) in wanted {
            match self.links.find(place) {
                Some(_) => binding.refused = None,
                None => {
                    binding.ours = true;
                    self.orders.push_back(Order::Add(place.clone()));
                }
            }
        }
    }

    /// The kernel refused to add it.
    pub(super) fn refused(&mut self, place: &Place, error: String) {
        if let Some(binding) = self.places.get_mut(place) {
            binding.refused = Some(error);
        }
    }

    /// The address is to be there.
    pub(super) fn want(&mut self, place: &Place) -> Bound {
        if let Some(binding) = self.places.get_mut(place) {
            binding.leaves = None;
        } else if self.looked {
            let missing = self.links.find(place).is_none();
            if missing {
                self.orders.push_back(Order::Add(place.clone()));
            }
            let binding = Binding {
                ours: missing,
                ..Binding::default()
            };
            self.places.insert(place.clone(), binding);
        }
        if self.links.find(place).is_some() {
            return Bound::Yes;
        }
        let binding = self.places.get(place);
        Bound::NotYet(binding.and_then(|binding| binding.refused.clone()))
    }

    /// The address may go, after so long.
    pub(super) fn release(&mut self, place: &Place, after: Duration, now: Instant) {
        let Some(binding) = self.places.get_mut(place) else {
            return;
        };
        if !binding.ours {
            self.places.remove(place);
        } else if binding.leaves.is_none() {
            binding.leaves = Some(now + after);
        }
    }

    /// Removes those whose time has come.
    pub(super) fn tick(&mut self, now: Instant) {
        let due = |binding: &Binding| binding.leaves.is_some_and(|leaves| leaves <= now);
        let gone: Vec<Place> = self
            .places
            .iter()
            .filter(|(_, binding)| due(binding))
            .map(|(place, _)| place.clone())
            .collect();
        for place in gone {
            self.places.remove(&place);
            self.orders.push_back(Order::Remove(place));
        }
    }

    /// When [`Bindings::tick`] is due.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.places.values().filter_map(|binding| binding.leaves).min()
    }

    /// One that was there when we began; whoever wants it says so soon.
    fn adopt(&mut self, place: Place, now: Instant) {
        let binding = self.places.entry(place).or_insert_with(|| Binding {
            leaves: Some(now + super::settings::DRAIN),
            ..Binding::default()
        });
        binding.ours = true;
    }
}

fn place_of(on: &OnLink) -> Place {
    Place {
        address: on.address.into(),
        interface: Arc::clone(&on.interface),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAIN: Duration = Duration::from_secs(3);

    #[test]
    fn an_address_is_added_and_removed_a_while_after_it_was_released() {
        let now = now();
        let mut bindings = Bindings::default();
        bindings.looked(links(&[]), now);
        assert_eq!(bindings.want(&place()), Bound::NotYet(None));
        assert_eq!(orders(&mut bindings), [Order::Add(place())]);
        bindings.want(&place());
        assert_eq!(orders(&mut bindings), [], "it is asked for once");
        bindings.looked(links(&[true]), now);
        assert_eq!(bindings.want(&place()), Bound::Yes);
        bindings.release(&place(), DRAIN, now);
        bindings.release(&place(), DRAIN, now + DRAIN / 2);
        assert_eq!(bindings.next_deadline(), Some(now + DRAIN));
        bindings.tick(now + DRAIN / 2);
        assert_eq!(orders(&mut bindings), []);
        bindings.tick(now + DRAIN);
        assert_eq!(orders(&mut bindings), [Order::Remove(place())]);
        assert_eq!(bindings.ours().count(), 0);
    }

    #[test]
    fn what_was_there_before_is_used_and_never_removed() {
        let now = now();
        let mut bindings = Bindings::default();
        bindings.looked(links(&[false]), now);
        assert_eq!(bindings.want(&place()), Bound::Yes);
        bindings.release(&place(), DRAIN, now);
        bindings.tick(now + DRAIN * 100);
        assert_eq!(orders(&mut bindings), []);
    }

    #[test]
    fn wanted_again_in_time_it_stays() {
        let now = now();
        let mut bindings = bound(now);
        bindings.release(&place(), DRAIN, now);
        assert_eq!(bindings.want(&place()), Bound::Yes);
        bindings.tick(now + DRAIN * 2);
        assert_eq!(orders(&mut bindings), []);
    }

    #[test]
    fn one_that_somebody_removes_is_added_again() {
        let now = now();
        let mut bindings = bound(now);
        bindings.looked(links(&[]), now);
        assert_eq!(orders(&mut bindings), [Order::Add(place())]);
        bindings.refused(&place(), "no such device".into());
        assert_eq!(
            bindings.want(&place()),
            Bound::NotYet(Some("no such device".into()))
        );
    }

    #[test]
    fn what_a_predecessor_added_is_taken_over_or_removed() {
        let now = now();
        let mut bindings = Bindings::default();
        bindings.want(&place());
        bindings.looked(links(&[true]), now);
        assert_eq!(bindings.want(&place()), Bound::Yes);
        bindings.tick(now + Duration::from_secs(3_600));
        assert_eq!(orders(&mut bindings), [], "somebody wants it");

        for mut bindings in [Bindings::new(vec![place()], now), Bindings::default()] {
            bindings.looked(links(&[true]), now);
            bindings.tick(now + Duration::from_secs(3_600));
            assert_eq!(orders(&mut bindings), [Order::Remove(place())], "nobody does");
        }
    }

    fn bound(now: Instant) -> Bindings {
        let mut bindings = Bindings::default();
        bindings.looked(links(&[]), now);
        bindings.want(&place());
        bindings.looked(links(&[true]), now);
        orders(&mut bindings);
        bindings
    }

    fn orders(bindings: &mut Bindings) -> Vec<Order> {
        std::iter::from_fn(|| bindings.poll_order()).collect()
    }

    fn place() -> Place {
        Place {
            address: "192.0.2.1/32".parse().unwrap(),
            interface: "lo".into(),
        }
    }

    fn links(ours: &[bool]) -> Links {
        let addresses = ours.iter().map(|ours| OnLink {
            address: place().address.addr(),
            interface: "lo".into(),
            ours: *ours,
        });
        Links {
            addresses: addresses.collect(),
            ..Links::default()
        }
    }

    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn now() -> Instant {
        Instant::now()
    }
}
