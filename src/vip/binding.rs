//! The addresses that VIPs put on interfaces: added before the announcement, removed a while after the withdrawal, and
//! never taken from anybody else.
//!
//! ```text
//!            want                  the kernel did it
//!   (none) ───────► asked for ───────────────────────► ours ◄───────── want
//!                       │                                │               │
//!                       │ it was there already           │ release       │
//!                       ▼                                ▼               │
//!                  somebody else's          gone ◄─── leaving ───────────┘
//!                                   the kernel did it,
//!                                      or asked again
//! ```
//!
//! An address is ours once the kernel has added it because we asked, or where it bears our mark. One that was there before,
//! or that somebody adds while the kernel refuses us, counts as bound and is never removed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// After a refusal nothing is asked for again for so long, unless the interface changes.
const RETRY: Duration = Duration::from_secs(10);

/// Links and addresses of the machine at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Links {
    /// Each interface by name.
    pub interfaces: BTreeMap<Arc<str>, Link>,
    /// Every address.
    pub addresses: BTreeSet<OnLink>,
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
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
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
        self.with(address).next().is_some()
    }

    fn find(&self, place: &Place) -> Option<&OnLink> {
        self.with(place.address.addr())
            .find(|on| on.interface == place.interface)
    }

    fn with(&self, address: IpAddr) -> impl Iterator<Item = &OnLink> {
        let first = OnLink {
            address,
            interface: Arc::default(),
            ours: false,
        };
        self.addresses
            .range(first..)
            .take_while(move |on| on.address == address)
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

/// What became of an [`Order`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Obeyed {
    /// The kernel added it.
    Added,
    /// Somebody else had been there before.
    WasThere,
    /// It is gone, because of us or not.
    Removed,
    /// The kernel did not want to, and why.
    Refused(String),
}

/// What a look showed to be different.
#[derive(Debug, Default)]
pub(super) struct News {
    /// It was the first.
    pub(super) first: bool,
    /// Addresses that came or went.
    pub(super) addresses: BTreeSet<IpAddr>,
    /// Interfaces that came, went, or changed.
    pub(super) interfaces: BTreeSet<Arc<str>>,
}

/// The addresses that we added or mean to.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    links: Links,
    /// Whether the kernel has been looked at once.
    looked: bool,
    /// The kernel keeps marks, as one of ours has shown.
    marks: bool,
    places: BTreeMap<Place, Binding>,
    orders: VecDeque<Order>,
}

#[derive(Debug, Default)]
struct Binding {
    /// We added it, so we may remove it.
    ours: bool,
    /// The kernel has not answered an order yet.
    asked: bool,
    /// None while it is wanted.
    leaves: Option<Instant>,
    /// Why the kernel refused the last order, and when to ask again.
    refused: Option<(String, Instant)>,
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

    /// Whether the machine has been looked at once.
    pub(super) const fn have_looked(&self) -> bool {
        self.looked
    }

    /// What we added and have not removed.
    pub(super) fn ours(&self) -> impl Iterator<Item = &Place> {
        self.places
            .iter()
            .filter(|(_, binding)| binding.ours)
            .map(|(place, _)| place)
    }

    /// The machine was looked at again. What is wanted and missing is asked for once more.
    pub(super) fn looked(&mut self, links: Links, now: Instant) -> News {
        let before = std::mem::replace(&mut self.links, links);
        let mut news = difference(&before, &self.links);
        news.first = !std::mem::replace(&mut self.looked, true);
        self.marks |= self.links.addresses.iter().any(|on| on.ours);
        if news.first {
            let marked = self.links.addresses.iter().filter(|on| on.ours);
            let marked: Vec<Place> = marked.map(place_of).collect();
            for place in marked {
                self.adopt(place, now);
            }
        }
        for (place, binding) in &mut self.places {
            match self.links.find(place) {
                Some(on) => {
                    binding.refused = binding.refused.take().filter(|_| binding.leaves.is_some());
                    // Where the kernel keeps marks, one without is somebody else's in the place of ours.
                    binding.ours = on.ours || binding.ours && (binding.asked || !self.marks);
                }
                None if binding.asked => {}
                None if binding.leaves.is_none() => {
                    binding.ours = false;
                    let changed = news.interfaces.contains(&place.interface);
                    if changed || binding.refused.as_ref().is_none_or(|(_, again)| *again <= now) {
                        binding.asked = true;
                        self.orders.push_back(Order::Add(place.clone()));
                    }
                }
                None => binding.ours = false,
            }
        }
        self.places
            .retain(|_, binding| binding.leaves.is_none() || binding.ours || binding.asked);
        news
    }

    /// The kernel has answered an order; whether what is known of the place changed.
    pub(super) fn obeyed(&mut self, place: &Place, obeyed: Obeyed, now: Instant) -> bool {
        let Some(binding) = self.places.get_mut(place) else {
            return false;
        };
        binding.asked = false;
        let refused = match obeyed {
            Obeyed::Added => {
                binding.ours = true;
                None
            }
            Obeyed::WasThere => None,
            Obeyed::Removed => {
                binding.ours = false;
                None
            }
            Obeyed::Refused(error) => Some(error),
        };
        let before = binding.refused.take().map(|(error, _)| error);
        let changed = before != refused;
        if refused.is_some() && binding.ours && binding.leaves.is_some() {
            binding.leaves = Some(now + RETRY);
        }
        binding.refused = refused.map(|error| (error, now + RETRY));
        if binding.leaves.is_some() && !binding.ours {
            self.places.remove(place);
        }
        changed
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
                asked: missing,
                ..Binding::default()
            };
            self.places.insert(place.clone(), binding);
        }
        let binding = self.places.get(place);
        // One that is being removed is as good as gone.
        let going = binding.is_some_and(|binding| binding.asked && binding.ours);
        if !going && self.links.find(place).is_some() {
            return Bound::Yes;
        }
        let refused = binding.and_then(|binding| binding.refused.clone());
        Bound::NotYet(refused.map(|(error, _)| error))
    }

    /// The address may go, after so long.
    pub(super) fn release(&mut self, place: &Place, after: Duration, now: Instant) {
        let Some(binding) = self.places.get_mut(place) else {
            return;
        };
        if !binding.ours && !binding.asked {
            self.places.remove(place);
        } else if binding.leaves.is_none() {
            binding.leaves = Some(now + after);
        }
    }

    /// Removes those whose time has come.
    pub(super) fn tick(&mut self, now: Instant) {
        for (place, binding) in &mut self.places {
            let due = binding.leaves.is_some_and(|leaves| leaves <= now);
            if due && binding.ours && !binding.asked {
                binding.asked = true;
                self.orders.push_back(Order::Remove(place.clone()));
            }
        }
    }

    /// When [`Bindings::tick`] is due.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let leaving = self.places.values().filter(|binding| !binding.asked);
        leaving.filter_map(|binding| binding.leaves).min()
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

fn difference(before: &Links, after: &Links) -> News {
    let mut news = News::default();
    if before.addresses != after.addresses {
        let changed = before.addresses.symmetric_difference(&after.addresses);
        news.addresses = changed.map(|on| on.address).collect();
    }
    if before.interfaces != after.interfaces {
        let names = before.interfaces.keys().chain(after.interfaces.keys());
        let changed = names.filter(|name| before.interfaces.get(*name) != after.interfaces.get(*name));
        news.interfaces = changed.cloned().collect();
    }
    news
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAIN: Duration = Duration::from_secs(3);

    /// It is somebody else's: good enough to announce, and left alone when the VIP lets it go.
    #[track_caller]
    fn assert_used_and_never_removed(bindings: &mut Bindings, now: Instant) {
        assert_eq!(bindings.want(&place()), Bound::Yes);
        bindings.release(&place(), DRAIN, now);
        bindings.tick(now + DRAIN * 100);
        assert_eq!(orders(bindings), []);
    }

    /// Trap 20.
    #[test]
    fn an_address_is_added_and_removed_a_while_after_it_was_released() {
        let now = now();
        let mut bindings = Bindings::default();
        bindings.looked(links(&[]), now);
        assert_eq!(bindings.want(&place()), Bound::NotYet(None));
        assert_eq!(orders(&mut bindings), [Order::Add(place())]);
        bindings.want(&place());
        assert_eq!(orders(&mut bindings), [], "it is asked for once");
        bindings.obeyed(&place(), Obeyed::Added, now);
        bindings.looked(links(&[true]), now);
        assert_eq!(bindings.want(&place()), Bound::Yes);
        bindings.release(&place(), DRAIN, now);
        bindings.release(&place(), DRAIN, now + DRAIN / 2);
        assert_eq!(bindings.next_deadline(), Some(now + DRAIN));
        bindings.tick(now + DRAIN / 2);
        assert_eq!(orders(&mut bindings), []);
        bindings.tick(now + DRAIN);
        assert_eq!(orders(&mut bindings), [Order::Remove(place())]);
        assert_eq!((bindings.ours().count(), bindings.next_deadline()), (1, None));
        bindings.obeyed(&place(), Obeyed::Removed, now);
        assert_eq!(bindings.ours().count(), 0);
    }

    #[test]
    fn a_refused_removal_is_tried_again_and_stays_ours() {
        let now = now();
        let mut bindings = bound(now);
        bindings.release(&place(), DRAIN, now);
        bindings.tick(now + DRAIN);
        assert_eq!(orders(&mut bindings), [Order::Remove(place())]);
        let later = now + DRAIN + RETRY;
        bindings.obeyed(&place(), Obeyed::Refused("busy".into()), now + DRAIN);
        assert_eq!(
            (bindings.ours().count(), bindings.next_deadline()),
            (1, Some(later))
        );
        bindings.tick(later);
        assert_eq!(orders(&mut bindings), [Order::Remove(place())]);
        bindings.looked(links(&[]), later);
        bindings.obeyed(&place(), Obeyed::Removed, later);
        assert_eq!((bindings.ours().count(), bindings.next_deadline()), (0, None));
    }

    #[test]
    fn what_somebody_adds_while_the_kernel_refuses_us_is_theirs() {
        let now = now();
        for in_between in [Obeyed::Refused("no such device".into()), Obeyed::WasThere] {
            let mut bindings = Bindings::default();
            bindings.looked(links(&[]), now);
            bindings.want(&place());
            assert_eq!(orders(&mut bindings), [Order::Add(place())]);
            bindings.obeyed(&place(), in_between, now);
            assert_eq!(bindings.ours().count(), 0);
            bindings.looked(links(&[false]), now);
            assert_used_and_never_removed(&mut bindings, now);
        }
    }

    #[test]
    fn somebody_elses_in_the_place_of_ours_is_theirs() {
        let now = now();
        let mut bindings = bound(now);
        bindings.looked(links(&[false]), now);
        assert_used_and_never_removed(&mut bindings, now);
    }

    #[test]
    fn one_that_is_let_go_before_the_kernel_answers_is_removed_all_the_same() {
        let now = now();
        let mut bindings = Bindings::default();
        bindings.looked(links(&[]), now);
        bindings.want(&place());
        orders(&mut bindings);
        bindings.release(&place(), DRAIN, now);
        bindings.tick(now + DRAIN);
        assert_eq!(orders(&mut bindings), []);
        bindings.obeyed(&place(), Obeyed::Added, now);
        bindings.tick(now + DRAIN);
        assert_eq!(orders(&mut bindings), [Order::Remove(place())]);
    }

    #[test]
    fn what_was_there_before_is_used_and_never_removed() {
        let now = now();
        let mut bindings = Bindings::default();
        bindings.looked(links(&[false]), now);
        assert_used_and_never_removed(&mut bindings, now);
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
        bindings.looked(links(&[]), now);
        assert_eq!(orders(&mut bindings), [], "while the kernel has not answered");
        assert!(bindings.obeyed(&place(), Obeyed::Refused("no such device".into()), now));
        assert_eq!(
            bindings.want(&place()),
            Bound::NotYet(Some("no such device".into()))
        );
        bindings.looked(links(&[]), now);
        assert_eq!(orders(&mut bindings), [], "not over and over");
        let mut came = links(&[]);
        came.interfaces.insert("lo".into(), Link::default());
        bindings.looked(came.clone(), now);
        assert_eq!(
            orders(&mut bindings),
            [Order::Add(place())],
            "its interface changed"
        );
        assert!(!bindings.obeyed(&place(), Obeyed::Refused("no such device".into()), now));
        bindings.looked(came, now + RETRY);
        assert_eq!(orders(&mut bindings), [Order::Add(place())], "time has passed");
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
        bindings.obeyed(&place(), Obeyed::Added, now);
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
