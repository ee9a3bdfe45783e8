//! All VIPs of this node: what a configuration changes, which probers must run, and what is to be announced.
//!
//! Pure. Announcements are differences between what is wanted and what the receiver was told, so a receiver that is
//! slow gets the latest state and never a backlog, and nothing is announced again while nothing changed.
//!
//! What is wanted of one VIP may depend on others (its group, `depends_on`), on the machine's addresses, on the tables and
//! on time. Whatever changes marks the VIPs concerned as unsettled; settling works out why each is held back, if it is,
//! and goes on to those that look at it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp_codec::{Asn, PathAttributes};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::announcement::{self, Announcement, Moment};
use super::binding::{Bindings, Links, Obeyed, Order, Place};
use super::entry::Entry;
use super::settings::{Bandwidth, Dependency, Probe, RouteDependency, Vip};
use super::state::{ProbeResult, Thresholds};
use super::status::{Held, Status, Verdict};
use crate::drain::{Now, VipStages};

/// A verdict as kept across a restart.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SavedVerdict {
    /// The VIP's name.
    pub name: Arc<str>,
    /// Its verdict.
    pub verdict: Verdict,
    /// Since when, Unix time in seconds.
    pub since_unix_s: u64,
    /// Those of its checks, in their order.
    #[serde(default)]
    pub checks: Vec<Verdict>,
    /// Until when it is held down for having gone down too often, Unix time in seconds.
    #[serde(default)]
    pub damped_until_unix_s: Option<u64>,
}

/// What a predecessor left.
#[derive(Clone, Debug, Default)]
pub struct Legacy {
    /// Its verdicts.
    pub verdicts: Vec<SavedVerdict>,
    /// The addresses that it had added.
    pub bound: Vec<Place>,
}

/// What VIPs ask of the tables.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Outside {
    /// Since the start, the peers have told all their routes.
    pub end_of_rib: bool,
    /// And paths have been selected from them, so that a route that is not in `routes` is not there.
    pub selected: bool,
    /// And the kernel has held what was selected.
    pub kernel: bool,
    /// Of the routes that VIPs depend on, those that are there.
    pub routes: BTreeSet<RouteDependency>,
}

/// Identifies one run of probes; results of an earlier one are ignored.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ProberId(pub u64);

/// Something the set takes in.
#[derive(Clone, Debug)]
pub enum Input {
    /// The whole configuration.
    Configure(Vec<Vip>),
    /// Which VIPs are drained, and how far.
    Drain(VipStages),
    /// The machine's links and addresses, as they are.
    Looked(Links),
    /// The kernel has answered an order.
    Obeyed {
        /// About which address.
        place: Place,
        /// What became of it.
        obeyed: Obeyed,
    },
    /// What the tables say.
    Outside(Outside),
    /// A probe ended.
    Probed {
        /// Whose.
        prober: ProberId,
        /// How.
        result: ProbeResult,
    },
    /// [`Set::next_deadline`] has come.
    Tick,
}

/// Something the edge must do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Output {
    /// Run this check in its rhythm.
    Start {
        /// To be named in its results.
        prober: ProberId,
        /// Whose check.
        vip: Arc<Vip>,
        /// Which of its checks.
        check: usize,
        /// The first probe starts after this, so that the probes of many VIPs spread.
        delay: Duration,
    },
    /// End that run.
    Stop(ProberId),
    /// Ask the kernel.
    Address(Order),
    /// The kernel refuses an address, for a reason that was not told before: for the log.
    Refused(Place, String),
    /// A verdict changed, or a VIP is announced or is not any more: for the log and for hooks.
    Changed(Change),
    /// It went down too often and is held down: for the log.
    Damped(Arc<Vip>),
}

/// What became of a VIP.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// Which.
    pub vip: Arc<Vip>,
    /// The verdict before.
    pub from: Verdict,
    /// The verdict.
    pub to: Verdict,
    /// What the probe said that decided it.
    pub result: String,
    /// Why it is not announced; none where it is.
    pub held: Option<Held>,
}

/// The VIPs of a node.
#[derive(Debug)]
pub struct Set {
    asn: Asn,
    vips: BTreeMap<Arc<str>, Entry>,
    groups: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    /// Who depends on a VIP.
    dependents: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    probers: BTreeMap<ProberId, (Arc<str>, usize)>,
    next_prober: u64,
    saved: BTreeMap<Arc<str>, SavedVerdict>,
    outputs: VecDeque<Output>,
    told: BTreeMap<Key, Arc<PathAttributes>>,
    dirty: BTreeSet<Key>,
    unsettled: BTreeSet<Arc<str>>,
    /// Whose verdict or announcement may differ from what was reported.
    changed: BTreeSet<Arc<str>>,
    damped: BTreeSet<Arc<str>>,
    drains: VipStages,
    bindings: Bindings,
    /// Where an announced VIP's address is, and how long it stays when it is withdrawn.
    places: BTreeMap<Key, (Place, Duration)>,
    outside: Outside,
    transitions: u64,
    configurations: u64,
}

/// An announcement's identity.
type Key = (Arc<str>, IpNet);

/// The first probes of n VIPs spread over n times this, at most over their interval.
const START_SPREAD: Duration = Duration::from_millis(1);

impl Set {
    /// An empty set of this AS that knows what a predecessor left; the first configuration uses its verdicts up.
    #[must_use]
    pub fn new(asn: Asn, legacy: Legacy, now: Instant) -> Self {
        let saved = legacy.verdicts.into_iter();
        Self {
            asn,
            saved: saved.map(|verdict| (verdict.name.clone(), verdict)).collect(),
            bindings: Bindings::new(legacy.bound, now),
            vips: BTreeMap::new(),
            groups: BTreeMap::new(),
            dependents: BTreeMap::new(),
            probers: BTreeMap::new(),
            next_prober: 0,
            outputs: VecDeque::new(),
            told: BTreeMap::new(),
            dirty: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            changed: BTreeSet::new(),
            damped: BTreeSet::new(),
            drains: VipStages::default(),
            places: BTreeMap::new(),
            outside: Outside::default(),
            transitions: 0,
            configurations: 0,
        }
    }

    /// Takes in one input.
    pub fn handle(&mut self, input: Input, now: Now) {
        match input {
            Input::Configure(vips) => self.configure(vips, now),
            Input::Drain(stages) => {
                self.drains = stages;
                self.unsettle_all();
            }
            Input::Looked(links) => {
                let news = self.bindings.looked(links, now.at);
                self.unsettle_concerned(&news);
            }
            Input::Obeyed { place, obeyed } => {
                let error = match &obeyed {
                    Obeyed::Refused(error) => Some(error.clone()),
                    Obeyed::Added | Obeyed::WasThere | Obeyed::Removed => None,
                };
                if self.bindings.obeyed(&place, obeyed, now.at) {
                    self.unsettle_bound(&place);
                    let refused = error.map(|error| Output::Refused(place, error));
                    self.outputs.extend(refused);
                }
            }
            Input::Outside(outside) => {
                if self.outside != outside {
                    self.outside = outside;
                    self.unsettle_all();
                }
            }
            Input::Probed { prober, result } => self.probed(prober, result, now),
            Input::Tick => self.tick(now),
        }
        self.settle(now);
        self.report();
        while let Some(order) = self.bindings.poll_order() {
            self.outputs.push_back(Output::Address(order));
        }
    }

    /// What to start and stop, until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether there is anything to poll.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.outputs.is_empty() || !self.dirty.is_empty()
    }

    /// Whether [`Set::poll_announcement`] may yield something.
    #[must_use]
    pub fn has_announcements(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// When an [`Input::Tick`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let damped = self.damped.iter().filter_map(|name| self.vips.get(name));
        let damped = damped.filter_map(|entry| entry.damper.until()).min();
        [damped, self.bindings.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The next difference between what is wanted and what has been told, which counts as told with this.
    pub fn poll_announcement(&mut self, now: Instant) -> Option<Announcement> {
        while let Some(key) = self.dirty.pop_first() {
            let wanted = self.wanted(&key).map(Arc::new);
            if wanted.is_none()
                && !self.asks_address(&key)
                && let Some((place, drain)) = self.places.remove(&key)
            {
                // Withdrawn with this; the address stays until those who still send have heard of it.
                self.bindings.release(&place, drain, now);
            }
            if self.told.get(&key) == wanted.as_ref() {
                continue;
            }
            let (name, address) = key.clone();
            match &wanted {
                Some(attributes) => self.told.insert(key, Arc::clone(attributes)),
                None => self.told.remove(&key),
            };
            return Some(Announcement {
                name,
                address,
                attributes: wanted,
            });
        }
        None
    }

    /// Each VIP has a verdict (a saved one counts), none waits for what must come anyway, and the receiver has been told:
    /// our End-of-RIB need not wait for any.
    ///
    /// What a VIP depends on may be there once peers have told their routes and the machine has been looked at. A VIP that a
    /// group or another VIP holds back waits for one that is counted here itself.
    #[must_use]
    pub fn all_verdicts_in(&self) -> bool {
        let waits = |entry: &Entry| match &entry.held {
            Some(Held::Binding(None) | Held::Kernel | Held::EndOfRib) => true,
            Some(Held::NoRoute(_)) => !self.outside.selected,
            Some(Held::NotBound) => !self.bindings.have_looked(),
            _ => false,
        };
        let open = |entry: &Entry| entry.verdict == Verdict::Unknown || waits(entry);
        self.dirty.is_empty() && !self.vips.values().any(open)
    }

    /// Configurations so far.
    #[must_use]
    pub fn configurations(&self) -> u64 {
        self.configurations
    }

    /// Whether there is a VIP of this name.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.vips.contains_key(name)
    }

    /// Changes of verdicts so far, all VIPs together.
    #[must_use]
    pub fn transitions(&self) -> u64 {
        self.transitions
    }

    /// Every VIP, by name.
    #[must_use]
    pub fn statuses(&self) -> Vec<Status> {
        self.vips.values().map(|entry| self.status(entry)).collect()
    }

    /// The verdicts to keep across a restart.
    #[must_use]
    pub fn verdicts(&self) -> Vec<SavedVerdict> {
        self.vips.values().filter_map(Entry::saved).collect()
    }

    /// The addresses that we added.
    #[must_use]
    pub fn bound(&self) -> Vec<Place> {
        self.bindings.ours().cloned().collect()
    }

    /// The routes that VIPs depend on.
    #[must_use]
    pub fn route_dependencies(&self) -> BTreeSet<RouteDependency> {
        let all = self.vips.values().flat_map(|entry| &entry.vip.depends_on);
        let routes = all.filter_map(|dependency| match dependency {
            Dependency::Route(route) => Some(route.clone()),
            Dependency::Vip(_) => None,
        });
        routes.collect()
    }

    /// A VIP waits for the kernel or for End-of-RIB, or depends on a route that may come with the first tables.
    #[must_use]
    pub fn waits_for_tables(&self) -> bool {
        let of_route = |dependency: &Dependency| matches!(dependency, Dependency::Route(_));
        let waits = |entry: &Entry| {
            let wait_for = entry.vip.wait_for;
            wait_for.kernel && !self.outside.kernel
                || wait_for.end_of_rib && !self.outside.end_of_rib
                || !self.outside.selected && entry.vip.depends_on.iter().any(of_route)
        };
        self.vips.values().any(waits)
    }

    /// Interfaces whose speed is asked for; none where links and addresses need not be watched.
    #[must_use]
    pub fn watched_links(&self) -> Option<BTreeSet<Arc<str>>> {
        let mut names = BTreeSet::new();
        let mut needed = self.bindings.ours().next().is_some();
        for vip in self.vips.values().map(|entry| &entry.vip) {
            if let Some(Bandwidth::Interface(name)) = &vip.bandwidth {
                names.insert(Arc::clone(name));
            }
            let of_link = |check: &super::settings::Check| matches!(check.probe, Probe::Interface(_));
            needed |= vip.bind.is_some() || vip.require_bound || vip.checks.iter().any(of_link);
        }
        (needed || !names.is_empty()).then_some(names)
    }

    /// Whether the prober's check may be about to change; none when nobody listens to it any more.
    #[must_use]
    pub fn is_changing(&self, prober: ProberId) -> Option<bool> {
        let (name, index) = self.probers.get(&prober)?;
        let check = self.vips.get(name)?.checks.get(*index)?;
        Some(check.state.is_changing())
    }

    fn probed(&mut self, prober: ProberId, result: ProbeResult, now: Now) {
        // A result of a prober that was stopped while its probe ran.
        let Some((name, index)) = self.probers.get(&prober).cloned() else {
            return;
        };
        let Some(entry) = self.vips.get_mut(&name) else {
            return;
        };
        let (Some(check), Some(checked)) = (entry.vip.checks.get(index), entry.checks.get_mut(index)) else {
            return;
        };
        let thresholds = Thresholds {
            rise: check.rise,
            fall: check.fall,
        };
        let text = result.text.clone();
        if checked.state.record(result, thresholds, now.unix_s)
            && let Some(mut entry) = self.vips.remove(&name)
        {
            self.judge(&mut entry, &text, now);
            // The share of healthy checks may be told even where the verdict is the same.
            self.unsettled.insert(Arc::clone(&name));
            self.vips.insert(name, entry);
        }
    }

    /// Takes over what the checks say together.
    fn judge(&mut self, entry: &mut Entry, because: &str, now: Now) {
        let from = entry.verdict;
        let to = entry.judged();
        if from == to {
            return;
        }
        entry.verdict = to;
        entry.since_unix_s = now.unix_s;
        entry.transitions += 1;
        self.transitions += 1;
        because.clone_into(&mut entry.because);
        self.unsettled.insert(Arc::clone(&entry.vip.name));
        self.changed.insert(Arc::clone(&entry.vip.name));
        if let Some(damping) = &entry.vip.damping
            && entry.allows(from)
            && !entry.allows(to)
            && entry.damper.went_down(damping, now.at)
        {
            entry.damped += 1;
            entry.damped_until_unix_s = now.unix_s.saturating_add(damping.hold.as_secs());
            self.damped.insert(Arc::clone(&entry.vip.name));
            self.outputs.push_back(Output::Damped(Arc::clone(&entry.vip)));
        }
    }

    fn tick(&mut self, now: Now) {
        self.bindings.tick(now.at);
        for name in self.damped.clone() {
            let over = self
                .vips
                .get_mut(&name)
                .is_none_or(|entry| entry.damper.tick(now.at));
            if over {
                self.damped.remove(&name);
                self.unsettled.insert(name);
            }
        }
    }

    /// Says what differs from what was said last.
    fn report(&mut self) {
        for name in std::mem::take(&mut self.changed) {
            let Some(entry) = self.vips.get_mut(&name) else {
                continue;
            };
            let now = (entry.verdict, entry.held.is_none());
            let (from, _) = entry.reported;
            if std::mem::replace(&mut entry.reported, now) != now {
                self.outputs.push_back(Output::Changed(Change {
                    vip: Arc::clone(&entry.vip),
                    from,
                    to: entry.verdict,
                    result: entry.because.clone(),
                    held: entry.held.clone(),
                }));
            }
        }
    }

    fn asks_address(&self, (name, address): &Key) -> bool {
        let entry = self.vips.get(name);
        entry.is_some_and(|entry| entry.asks_address && entry.vip.address == *address)
    }

    fn mark(&mut self, vip: &Vip) {
        self.dirty.insert((Arc::clone(&vip.name), vip.address));
    }

    fn wanted(&self, (name, address): &Key) -> Option<PathAttributes> {
        let entry = self.vips.get(name)?;
        if entry.vip.address != *address || entry.held.is_some() {
            return None;
        }
        let interfaces = &self.bindings.links().interfaces;
        let moment = Moment {
            verdict: entry.verdict,
            drain: self.drains.of(name),
            bandwidth: entry.bandwidth(|link| interfaces.get(link)?.speed),
            asn: self.asn,
        };
        Some(announcement::attributes(&entry.vip, moment))
    }

    fn status(&self, entry: &Entry) -> Status {
        let vip = &entry.vip;
        let place = vip.bind.as_ref().map(|interface| Place {
            address: vip.address,
            interface: Arc::clone(interface),
        });
        let interfaces = &self.bindings.links().interfaces;
        let bandwidth_bits = entry.bandwidth(|link| interfaces.get(link)?.speed);
        let ours = place.filter(|place| self.bindings.ours().any(|ours| ours == place));
        Status {
            name: Arc::clone(&vip.name),
            address: vip.address,
            verdict: entry.verdict,
            drain: self.drains.of(&vip.name),
            announced: self.told.contains_key(&(Arc::clone(&vip.name), vip.address)),
            held: entry.held.as_ref().map(Held::to_string),
            saved: entry.is_saved(),
            since_unix_s: entry.since_unix_s,
            transitions_total: entry.transitions,
            damped_total: entry.damped,
            damped_until_unix_s: entry.damper.is_held().then_some(entry.damped_until_unix_s),
            bound: ours.map(|place| place.interface),
            bandwidth_bits,
            warnings: speedless(vip, bandwidth_bits).into_iter().collect(),
            origins: vip.origins.iter().map(|asn| asn.0).collect(),
            checks: entry.check_statuses(),
        }
    }
}

/// One path without link bandwidth makes routers ignore that of all others.
fn speedless(vip: &Vip, bandwidth_bits: Option<u64>) -> Option<String> {
    match &vip.bandwidth {
        Some(Bandwidth::Interface(name)) if bandwidth_bits.is_none() => Some(format!(
            "it goes without link bandwidth, because nobody knows the speed of {name}"
        )),
        _ => None,
    }
}

mod reload;
mod settle;
#[cfg(test)]
mod tests;
