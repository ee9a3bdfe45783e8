//! What a configuration changes: VIPs come, go or change, and each keeps what it can.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use super::super::entry::{Checked, Entry, same_probes};
use super::super::settings::{Dependency, Probe, Vip};
use super::super::state::State;
use super::super::status::Verdict;
use super::{Output, ProberId, START_SPREAD, Set};
use crate::drain::Now;

impl Set {
    pub(super) fn configure(&mut self, vips: Vec<Vip>, now: Now) {
        let count = u32::try_from(vips.iter().map(|vip| vip.checks.len()).sum::<usize>()).unwrap_or(u32::MAX);
        let mut before = std::mem::take(&mut self.vips);
        self.configurations += 1;
        self.groups.clear();
        self.dependents.clear();
        for vip in vips {
            let vip = Arc::new(vip);
            if let Some(group) = &vip.group {
                let members = self.groups.entry(Arc::clone(group)).or_default();
                members.push(Arc::clone(&vip.name));
            }
            for dependency in &vip.depends_on {
                if let Dependency::Vip(on) = dependency {
                    let dependents = self.dependents.entry(Arc::clone(on)).or_default();
                    dependents.push(Arc::clone(&vip.name));
                }
            }
            let entry = match before.remove(&vip.name) {
                Some(entry) => self.changed(entry, vip, count, now),
                None => self.added(vip, count, now),
            };
            self.vips.insert(Arc::clone(&entry.vip.name), entry);
        }
        for entry in before.into_values() {
            for check in &entry.checks {
                self.stop(check.prober);
            }
            self.damped.remove(&entry.vip.name);
            self.mark(&entry.vip);
        }
        self.saved.clear();
        self.unsettle_all();
    }

    fn added(&mut self, vip: Arc<Vip>, count: u32, now: Now) -> Entry {
        let saved = self.saved.get(&vip.name);
        let mut entry = Entry::new(vip, saved, now);
        if entry.damper.is_held() {
            self.damped.insert(Arc::clone(&entry.vip.name));
        }
        self.start_missing(&mut entry, count);
        entry
    }

    fn changed(&mut self, mut entry: Entry, vip: Arc<Vip>, count: u32, now: Now) -> Entry {
        let old = std::mem::replace(&mut entry.vip, vip);
        self.mark(&old);
        let moved = old.address != entry.vip.address;
        let mut before: Vec<Option<Checked>> =
            std::mem::take(&mut entry.checks).into_iter().map(Some).collect();
        let same = |index: usize, at: usize| {
            let (Some(one), Some(other)) = (old.checks.get(at), entry.vip.checks.get(index)) else {
                return false;
            };
            // A command is told the address.
            same_probes(one, other) && !(moved && matches!(one.probe, Probe::Command(_)))
        };
        let count_of_checks = entry.vip.checks.len();
        let mut after: Vec<Option<Checked>> = (0..count_of_checks)
            .map(|index| {
                let mut places = std::iter::once(index).chain(0..before.len());
                let at =
                    places.find(|at| same(index, *at) && before.get(*at).is_some_and(Option::is_some))?;
                before.get_mut(at)?.take()
            })
            .collect();
        // One that asks something else keeps the verdict until results change it.
        for (place, old) in after.iter_mut().zip(&mut before) {
            if place.is_none()
                && let Some(mut check) = old.take()
            {
                self.stop(check.prober.take());
                check.state.check_changed();
                *place = Some(check);
            }
        }
        for check in before.into_iter().flatten() {
            self.stop(check.prober);
        }
        // A further check does not take down what is announced before it has a result.
        let assumed = if entry.allows(entry.verdict) {
            Verdict::Up
        } else {
            Verdict::Unknown
        };
        let fresh = || Checked::new(State::assumed(assumed, now.unix_s));
        entry.checks = after
            .into_iter()
            .map(|check| check.unwrap_or_else(fresh))
            .collect();
        if entry.vip.damping.is_none() {
            entry.damper = Default::default();
            self.damped.remove(&entry.vip.name);
        }
        self.start_missing(&mut entry, count);
        self.judge(&mut entry, "the configuration changed", now);
        entry
    }

    fn start_missing(&mut self, entry: &mut Entry, count: u32) {
        for (index, checked) in entry.checks.iter_mut().enumerate() {
            if let Some(prober) = checked.prober {
                // It may have another place among the checks.
                self.probers.insert(prober, (Arc::clone(&entry.vip.name), index));
                continue;
            }
            let Some(check) = entry.vip.checks.get(index) else {
                continue;
            };
            let prober = ProberId(self.next_prober);
            self.next_prober += 1;
            self.probers.insert(prober, (Arc::clone(&entry.vip.name), index));
            checked.prober = Some(prober);
            let window = check.interval.min(START_SPREAD.saturating_mul(count));
            self.outputs.push_back(Output::Start {
                prober,
                vip: Arc::clone(&entry.vip),
                check: index,
                delay: spread(&entry.vip.name, index, window),
            });
        }
    }

    fn stop(&mut self, prober: Option<ProberId>) {
        if let Some(prober) = prober {
            self.probers.remove(&prober);
            self.outputs.push_back(Output::Stop(prober));
        }
    }
}

/// A point in the window that depends on the name alone.
fn spread(name: &str, check: usize, window: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    (name, check).hash(&mut hasher);
    let window_ns = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(hasher.finish().checked_rem(window_ns).unwrap_or(0))
}
