//! The next operation of a key, and what the kernel's answer to it means.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::entries::{Entry, Held, Slot};
use super::stamps::StampId;
use super::status::{Obstacle, State};
use super::ways::{Form, NexthopOperation, WayId};
use super::{Fib, FibKey, View};
use crate::kernel::mirror::Mirror;
use crate::kernel::settings::Metric;
use crate::kernel::wire::Stamp;
use crate::rib::interface::FibRoute;

/// First wait after a failed operation; doubled each time.
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// Longest wait between two attempts.
const RETRY_LAST: Duration = Duration::from_secs(30);
/// All refused routes together are not tried more often than once in this time.
const RETRY_SHARE: Duration = Duration::from_millis(10);
/// Refused routes that are tried at once when one of them is let in.
const HASTENED: usize = 64;
/// Metric of discard routes, and of IPv6 routes where 0 is configured: the kernel's own default for IPv6.
const DEFAULT_METRIC: u32 = 1024;
/// The kernel metric of Calico's BIRD is this less LOCAL_PREF.
const CALICO_METRIC_BASE: u32 = 2_147_483_647;

/// One request to the kernel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Operation {
    /// About a route.
    Route(RouteOperation),
    /// About a nexthop object.
    Nexthop(NexthopOperation),
}

/// What an operation does to a route.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    /// The kernel has no such route.
    Create,
    /// The kernel holds ours with other hops.
    Replace,
    /// Ours is to go.
    Delete,
}

/// One request about a route.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct RouteOperation {
    /// Which route.
    pub(crate) key: FibKey,
    /// `RTA_PRIORITY`.
    pub(crate) metric: u32,
    /// What to do.
    pub(crate) action: Action,
    /// Where it is to lead; of no meaning in a delete.
    pub(crate) form: Form,
    /// The nexthop object to name in place of the hops; 0 for none.
    pub(crate) nexthop: u32,
    /// How else it is written; in a delete only the protocol counts.
    pub(crate) stamp: Stamp,
    /// Whose request this is; none for those made by hand.
    planned: Option<(Slot, WayId, StampId)>,
}

impl RouteOperation {
    /// A request that no entry waits for.
    pub(crate) fn by_hand(key: FibKey, metric: u32, action: Action, form: Form, stamp: Stamp) -> Self {
        Self {
            key,
            metric,
            action,
            form,
            nexthop: 0,
            stamp,
            planned: None,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Route(operation) => write!(f, "{}", operation.key.1),
            Self::Nexthop(operation) => write!(f, "nexthop id {}", operation.id),
        }
    }
}

/// A step towards what is wanted.
#[derive(Clone, Copy, Debug)]
enum Step {
    Create(u32),
    Replace(u32),
    Delete(Held),
}

impl Fib {
    /// The next request to the kernel. Every one returned must be answered with [`Fib::done`].
    pub(crate) fn poll_operation(&mut self, view: View<'_>) -> Option<Operation> {
        while let Some(&(at, slot)) = self.retries.first().filter(|(at, _)| *at <= view.now) {
            self.retries.remove(&(at, slot));
            self.enqueue(slot);
        }
        self.ways.tick(view.now);
        if self.withheld.until().is_some_and(|at| at <= view.now) {
            self.release_withheld();
        }
        loop {
            if let Some(operation) = self.ways.poll_operation() {
                self.nexthops_asked += 1;
                return Some(Operation::Nexthop(operation));
            }
            // What a route refers to must be known to exist.
            if self.nexthops_asked > 0 {
                return None;
            }
            let Some(slot) = self.queue.pop_front() else {
                let (groups, leaving) = (&self.groups, self.leaving);
                self.ways.sweep(|form| !leaving && groups.wants(form));
                if self.ways.has_operations() {
                    continue;
                }
                self.withheld.forget_refusals();
                return None;
            };
            if let Some(operation) = self.plan(slot, view) {
                return Some(Operation::Route(operation));
            }
        }
    }

    /// The kernel's answer to an operation: a positive errno if it failed.
    pub(crate) fn done(&mut self, operation: &Operation, result: Result<(), i32>, view: View<'_>) {
        match operation {
            Operation::Route(operation) => self.route_done(operation, result, view),
            Operation::Nexthop(operation) => {
                self.nexthops_asked = self.nexthops_asked.saturating_sub(1);
                let changed = self.ways.done(operation, result, view.now);
                if operation.leads.is_none() && !matches!(result, Ok(()) | Err(libc::ENOENT)) {
                    self.withheld.refuse(&changed);
                }
                self.ways_changed(&changed);
            }
        }
    }

    fn route_done(&mut self, operation: &RouteOperation, result: Result<(), i32>, view: View<'_>) {
        let Some((slot, way, stamp)) = operation.planned else {
            return;
        };
        let (key, metric) = (operation.key, operation.metric);
        let failure = match (operation.action, result) {
            (_, Ok(())) => None,
            // Gone already: as good as deleted, and what was to be replaced will be created.
            (Action::Delete | Action::Replace, Err(libc::ESRCH | libc::ENOENT)) => None,
            (Action::Create, Err(libc::EEXIST)) if view.mirror.holder((key.0, key.1, metric)).is_some() => {
                None
            }
            // The object that it named went in the meantime.
            (Action::Create | Action::Replace, Err(_)) if self.ways.is_gone(way) => None,
            (_, Err(errno)) => Some(errno),
        };
        // In the way is a route that has not been reported yet, or one of ours that we lost sight of.
        self.surprised |= operation.action == Action::Create && failure == Some(libc::EEXIST);
        match (operation.action, result) {
            (Action::Create | Action::Replace, Ok(())) => self.hold(slot, Held { metric, way, stamp }),
            (Action::Delete, Ok(()) | Err(libc::ESRCH | libc::ENOENT))
            | (Action::Replace, Err(libc::ENOENT | libc::ESRCH)) => self.drop_held(slot, metric),
            (Action::Create | Action::Replace | Action::Delete, Err(_)) => {}
        }
        self.ways.release(way);
        let mut attempts = 0;
        self.edit(slot, |entry| {
            entry.busy = false;
            attempts = entry.attempts;
            entry.attempts = if failure.is_some() {
                attempts.saturating_add(1)
            } else {
                0
            };
            entry.state = failure.map_or(State::Pending, State::failed);
        });
        if failure.is_some() {
            let failed = u32::try_from(self.failed).unwrap_or(u32::MAX);
            let wait = backoff(attempts).max(RETRY_SHARE.saturating_mul(failed));
            self.retries.insert((view.now + wait, slot));
            return;
        }
        if attempts > 0 {
            // What stood against this one may not stand against others any more.
            for _ in 0..HASTENED {
                let Some((_, other)) = self.retries.pop_first() else {
                    break;
                };
                self.enqueue(other);
            }
        }
        self.finish(slot, view);
    }

    /// What most answers lead to is that nothing is left to do: no need to queue for that.
    fn finish(&mut self, slot: Slot, view: View<'_>) {
        let Some(entry) = self.entries.get(slot).filter(|entry| !entry.queued) else {
            return;
        };
        if entry.is_idle() {
            self.entries.remove(slot);
            return;
        }
        match self.target(&entry, view.mirror) {
            Ok((metric, form)) if self.step(&entry, metric, &form, view.mirror).is_none() => {
                self.edit(slot, |entry| entry.state = State::Installed);
            }
            Ok(_) | Err(_) => self.enqueue(slot),
        }
    }

    /// What the kernel should hold for the key: metric and form, or why nothing.
    pub(super) fn target(&self, entry: &Entry, mirror: &Mirror) -> Result<(u32, Form), Obstacle> {
        let key = entry.key;
        if !entry.is_wanted() {
            return Err(Obstacle::NotWanted);
        }
        if !self.installs() {
            return Err(Obstacle::NotInstalled);
        }
        let others = mirror.at(key.0, key.1);
        let Some(group) = entry.wanted.filter(|_| !entry.discard) else {
            // Beneath what is really there: any route of anybody else to the same prefix is better than ours.
            return match others.first() {
                Some(route) => Err(Obstacle::HeldBy {
                    protocol: route.protocol,
                    metric: route.metric,
                }),
                None => Ok((self.metric(key, None), Form::from([]))),
            };
        };
        if self.own.contains(&key.1) {
            return Err(Obstacle::OwnPrefix);
        }
        if let Some(route) = others.iter().find(|route| route.is_connected()) {
            return Err(Obstacle::Connected {
                interface: route.hops.first().map_or(0, |hop| hop.interface),
            });
        }
        let metric = self.metric(key, self.groups.route(group));
        if let Some(route) = others.iter().find(|route| route.metric == metric) {
            return Err(Obstacle::HeldBy {
                protocol: route.protocol,
                metric,
            });
        }
        let form = self.groups.target(group).map_err(|_| Obstacle::Unresolved)?;
        let has_ipv4_gateway = || {
            let mut gateways = form.iter().filter_map(|hop| hop.gateway);
            gateways.any(|gateway| gateway.is_ipv4())
        };
        if key.1.addr().is_ipv6() && has_ipv4_gateway() {
            return Err(Obstacle::WrongFamily);
        }
        Ok((metric, Arc::clone(form)))
    }

    /// `RTA_PRIORITY` of a route that the RIB wants, or of a discard route.
    pub(super) fn metric(&self, key: FibKey, route: Option<&FibRoute>) -> u32 {
        let metric = match (self.settings.as_ref().map(|settings| settings.metric), route) {
            (Some(Metric::Fixed(metric)), _) => metric,
            (Some(Metric::CalicoLocalPref), Some(route)) => {
                CALICO_METRIC_BASE.saturating_sub(route.local_pref).max(1)
            }
            (Some(Metric::CalicoLocalPref), None) | (None, _) => DEFAULT_METRIC,
        };
        if metric == 0 && key.1.addr().is_ipv6() {
            DEFAULT_METRIC
        } else {
            metric
        }
    }

    /// The next step for a key, if there is one.
    fn plan(&mut self, slot: Slot, view: View<'_>) -> Option<RouteOperation> {
        let mut entry = self.entries.get(slot).filter(|entry| entry.queued)?;
        entry.queued = false;
        self.entries.set(slot, &entry);
        if entry.busy {
            return None;
        }
        let (key, wanted) = (entry.key, entry.wanted);
        let target = self.target(&entry, view.mirror);
        let [ipv4_complete, ipv6_complete] = self.complete;
        let complete = if key.1.addr().is_ipv6() {
            ipv6_complete
        } else {
            ipv4_complete
        };
        let undecided = !entry.decided && !complete && !self.leaving;
        let step = match &target {
            Ok((metric, form)) => self.step(&entry, *metric, form, view.mirror),
            Err(_) if undecided => None,
            Err(_) => entry.held.iter().next().map(Step::Delete),
        };
        let state = match &target {
            Ok(_) if step.is_none() => State::Installed,
            Ok(_) => State::Pending,
            Err(_) if undecided => State::Adopted,
            Err(obstacle) => obstacle.state(),
        };
        if let Some(Step::Delete(held)) = step
            && target.is_err()
            && self.goes_with_others(slot, held.way)
        {
            self.edit(slot, |entry| entry.state = state);
            return None;
        }
        let operation = step.and_then(|step| {
            let form = target.map_or_else(|_| Form::from([]), |(_, form)| form);
            let routes = wanted.map_or(0, |group| self.groups.users(group));
            self.request(slot, key, step, (form, routes))
        });
        let waits = step.is_some() && operation.is_none();
        self.edit(slot, |entry| {
            entry.busy = operation.is_some();
            entry.queued = waits;
            entry.state = state;
        });
        if waits {
            // For a nexthop object; it is asked for first.
            self.queue.push_front(slot);
        } else if self.entries.get(slot).is_some_and(|entry| entry.is_idle()) {
            self.entries.remove(slot);
        }
        operation
    }

    /// The request that takes the step; none while a nexthop object has to be made for it.
    fn request(
        &mut self,
        slot: Slot,
        key: FibKey,
        step: Step,
        (form, routes): (Form, u32),
    ) -> Option<RouteOperation> {
        let current = self.stamps.current();
        let (metric, action, way, stamp) = match step {
            Step::Create(metric) => (metric, Action::Create, self.ways.choose(&form, routes), current),
            Step::Replace(metric) => (metric, Action::Replace, self.ways.choose(&form, routes), current),
            Step::Delete(held) => (held.metric, Action::Delete, held.way, held.stamp),
        };
        if self.ways.has_operations() {
            return None;
        }
        self.ways.retain(way);
        Some(RouteOperation {
            key,
            metric,
            action,
            form,
            nexthop: self.ways.nexthop_id(way),
            stamp: if stamp == current {
                self.stamps.stamp()
            } else {
                Stamp::plain(self.stamps.protocol(stamp))
            },
            planned: Some((slot, way, stamp)),
        })
    }

    /// The step towards holding exactly this: the new route before the old one goes, so that no packet is lost.
    fn step(&self, entry: &Entry, metric: u32, form: &Form, mirror: &Mirror) -> Option<Step> {
        match entry.held.at(metric) {
            None => Some(Step::Create(metric)),
            Some(held) if held.stamp != self.stamps.current() || !self.ways.comes_to(held.way, form) => {
                // REPLACE takes the first route of this key, whoever owns it.
                let alone = mirror.holder((entry.key.0, entry.key.1, metric)).is_none();
                Some(if alone {
                    Step::Replace(metric)
                } else {
                    Step::Delete(held)
                })
            }
            Some(_) => {
                let mut others = entry.held.iter().filter(|held| held.metric != metric);
                others.next().map(Step::Delete)
            }
        }
    }
}

fn backoff(attempts: u8) -> Duration {
    let doubled = RETRY_FIRST.saturating_mul(1_u32.checked_shl(u32::from(attempts)).unwrap_or(u32::MAX));
    doubled.min(RETRY_LAST)
}
