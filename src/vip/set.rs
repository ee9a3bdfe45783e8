//! All VIPs of this node: what a configuration changes, which probers must run, and what is to be announced.
//!
//! Pure. Announcements are differences between what is wanted and what the receiver was told, so a receiver that is
//! slow gets the latest state and never a backlog, and nothing is announced again while nothing changed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use bgp_codec::PathAttributes;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::announcement::{self, Announcement};
use super::settings::{Check, Probe, Vip};
use super::state::{ProbeResult, State, Thresholds};
use super::status::{Status, Verdict};
use crate::drain::{Stage, VipStages};

/// A verdict as kept across a restart.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SavedVerdict {
    /// The VIP's name.
    pub name: Arc<str>,
    /// Its verdict.
    pub verdict: Verdict,
    /// Since when, Unix time in seconds.
    pub since_unix_s: u64,
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
    /// A probe ended.
    Probed {
        /// Whose.
        prober: ProberId,
        /// How.
        result: ProbeResult,
    },
}

/// Something the edge must do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Output {
    /// Run this VIP's check in its rhythm.
    Start {
        /// To be named in its results.
        prober: ProberId,
        /// Whose check; it has one.
        vip: Arc<Vip>,
        /// The first probe starts after this, so that the probes of many VIPs spread.
        delay: Duration,
    },
    /// End that run.
    Stop(ProberId),
    /// Results changed a verdict: for the log.
    Changed {
        /// Whose.
        vip: Arc<Vip>,
        /// The new one.
        verdict: Verdict,
        /// What the probe that decided said.
        result: String,
    },
}

/// The VIPs of a node.
#[derive(Debug, Default)]
pub struct Set {
    vips: BTreeMap<Arc<str>, Entry>,
    probers: BTreeMap<ProberId, Arc<str>>,
    next_prober: u64,
    saved: BTreeMap<Arc<str>, SavedVerdict>,
    outputs: VecDeque<Output>,
    told: BTreeMap<Key, Arc<PathAttributes>>,
    dirty: BTreeSet<Key>,
    drains: VipStages,
    transitions: u64,
}

/// An announcement's identity.
type Key = (Arc<str>, IpNet);

#[derive(Debug)]
struct Entry {
    vip: Arc<Vip>,
    state: State,
    prober: Option<ProberId>,
}

/// The first probes of n VIPs spread over n times this, at most over their interval.
const START_SPREAD: Duration = Duration::from_millis(1);

impl Set {
    /// An empty set that knows these verdicts from before a restart; the first configuration uses them up.
    #[must_use]
    pub fn new(saved: Vec<SavedVerdict>) -> Self {
        let saved = saved
            .into_iter()
            .map(|verdict| (verdict.name.clone(), verdict))
            .collect();
        Self {
            saved,
            ..Self::default()
        }
    }

    /// Takes in one input.
    pub fn handle(&mut self, input: Input, now_unix_s: u64) {
        match input {
            Input::Configure(vips) => self.configure(vips, now_unix_s),
            Input::Drain(stages) => self.drain(stages),
            Input::Probed { prober, result } => self.probed(prober, result, now_unix_s),
        }
    }

    /// What to start and stop, until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether [`Set::poll_announcement`] may yield something.
    #[must_use]
    pub fn has_announcements(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// The next difference between what is wanted and what has been told, which counts as told with this.
    pub fn poll_announcement(&mut self) -> Option<Announcement> {
        while let Some(key) = self.dirty.pop_first() {
            let wanted = self.wanted(&key).map(Arc::new);
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

    /// Each VIP has a verdict: our End-of-RIB need not wait for any (a saved one counts).
    #[must_use]
    pub fn all_verdicts_in(&self) -> bool {
        self.vips
            .values()
            .all(|entry| entry.state.verdict() != Verdict::Unknown)
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
        let known = self
            .vips
            .values()
            .filter(|entry| entry.vip.check.is_some() && entry.state.verdict() != Verdict::Unknown);
        known
            .map(|entry| SavedVerdict {
                name: Arc::clone(&entry.vip.name),
                verdict: entry.state.verdict(),
                since_unix_s: entry.state.since_unix_s(),
            })
            .collect()
    }

    fn configure(&mut self, vips: Vec<Vip>, now_unix_s: u64) {
        let count = u32::try_from(vips.len()).unwrap_or(u32::MAX);
        let mut before = std::mem::take(&mut self.vips);
        for vip in vips {
            let vip = Arc::new(vip);
            let entry = match before.remove(&vip.name) {
                Some(entry) => self.changed(entry, vip, count, now_unix_s),
                None => self.added(vip, count, now_unix_s),
            };
            self.vips.insert(Arc::clone(&entry.vip.name), entry);
        }
        for entry in before.into_values() {
            self.stop(entry.prober);
            self.mark(&entry.vip);
        }
        self.saved.clear();
    }

    fn added(&mut self, vip: Arc<Vip>, count: u32, now_unix_s: u64) -> Entry {
        let saved = self.saved.get(&vip.name);
        let state = match (&vip.check, saved) {
            (None, _) => State::unchecked(now_unix_s),
            (Some(_), Some(saved)) => State::saved(saved.verdict, saved.since_unix_s.min(now_unix_s)),
            (Some(_), None) => State::unknown(now_unix_s),
        };
        self.mark(&vip);
        let prober = self.start(&vip, count);
        Entry { vip, state, prober }
    }

    fn changed(&mut self, mut entry: Entry, vip: Arc<Vip>, count: u32, now_unix_s: u64) -> Entry {
        let old = std::mem::replace(&mut entry.vip, vip);
        self.mark(&old);
        self.mark(&entry.vip);
        if same_probes(old.check.as_ref(), entry.vip.check.as_ref()) {
            return entry;
        }
        self.stop(entry.prober.take());
        entry.prober = self.start(&entry.vip, count);
        if entry.vip.check.is_some() {
            entry.state.check_changed();
        } else if entry.state.check_removed(now_unix_s) {
            self.transitions += 1;
        }
        entry
    }

    fn probed(&mut self, prober: ProberId, result: ProbeResult, now_unix_s: u64) {
        // A result of a prober that was stopped while its probe ran.
        let Some(name) = self.probers.get(&prober) else {
            return;
        };
        let Some(entry) = self.vips.get_mut(name) else {
            return;
        };
        let Some(check) = &entry.vip.check else { return };
        let thresholds = Thresholds {
            rise: check.rise,
            fall: check.fall,
        };
        let text = result.text.clone();
        if entry.state.record(result, thresholds, now_unix_s) {
            self.transitions += 1;
            let vip = Arc::clone(&entry.vip);
            let verdict = entry.state.verdict();
            self.mark(&vip);
            self.outputs.push_back(Output::Changed {
                vip,
                verdict,
                result: text,
            });
        }
    }

    fn start(&mut self, vip: &Arc<Vip>, count: u32) -> Option<ProberId> {
        let check = vip.check.as_ref()?;
        let prober = ProberId(self.next_prober);
        self.next_prober += 1;
        self.probers.insert(prober, Arc::clone(&vip.name));
        let delay = spread(&vip.name, check.interval.min(START_SPREAD.saturating_mul(count)));
        self.outputs.push_back(Output::Start {
            prober,
            vip: Arc::clone(vip),
            delay,
        });
        Some(prober)
    }

    fn stop(&mut self, prober: Option<ProberId>) {
        if let Some(prober) = prober {
            self.probers.remove(&prober);
            self.outputs.push_back(Output::Stop(prober));
        }
    }

    fn mark(&mut self, vip: &Vip) {
        self.dirty.insert((Arc::clone(&vip.name), vip.address));
    }

    fn wanted(&self, (name, address): &Key) -> Option<PathAttributes> {
        let entry = self.vips.get(name)?;
        let drain = self.drains.of(name);
        let up = entry.vip.address == *address
            && entry.state.verdict() == Verdict::Up
            && drain != Some(Stage::Withdrawn);
        up.then(|| announcement::attributes(&entry.vip, drain))
    }

    fn drain(&mut self, stages: VipStages) {
        let before = std::mem::replace(&mut self.drains, stages);
        let changed = self
            .vips
            .values()
            .filter(|entry| before.of(&entry.vip.name) != self.drains.of(&entry.vip.name))
            .map(|entry| (Arc::clone(&entry.vip.name), entry.vip.address));
        self.dirty.extend(changed);
    }

    fn status(&self, entry: &Entry) -> Status {
        let Entry { vip, state, .. } = entry;
        let (successes, failures) = state.in_a_row();
        let (passed_total, failed_total, transitions_total) = state.totals();
        let check = vip.check.as_ref();
        Status {
            name: Arc::clone(&vip.name),
            address: vip.address,
            verdict: state.verdict(),
            drain: self.drains.of(&vip.name),
            announced: self.told.contains_key(&(Arc::clone(&vip.name), vip.address)),
            saved: state.is_saved(),
            since_unix_s: state.since_unix_s(),
            check: check.map_or_else(|| String::from("none"), |check| describe(&check.probe)),
            last_result: state.last().map(|(result, _)| result.text.clone()),
            last_result_unix_s: state.last().map(|(_, at)| at),
            successes,
            rise: check.map_or(0, |check| check.rise),
            failures,
            fall: check.map_or(0, |check| check.fall),
            passed_total,
            failed_total,
            transitions_total,
        }
    }
}

/// A running prober serves both; rise and fall are not its business.
fn same_probes(one: Option<&Check>, other: Option<&Check>) -> bool {
    let rhythm = |check: &Check| (check.interval, check.timeout);
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => one.probe == other.probe && rhythm(one) == rhythm(other),
        _ => false,
    }
}

/// A point in the window that depends on the name alone.
fn spread(name: &str, window: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let window_ns = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(hasher.finish().checked_rem(window_ns).unwrap_or(0))
}

/// What a probe asks, in words. A command's arguments may hold secrets and are left out.
fn describe(probe: &Probe) -> String {
    match probe {
        Probe::Tcp(target) => format!("tcp {target}"),
        Probe::Http {
            target, host, path, ..
        } if *host == target.to_string() => format!("http://{target}{path}"),
        Probe::Http {
            target, host, path, ..
        } => format!("http://{host}{path} at {target}"),
        Probe::Command(words) => format!("command {}", words.first().map_or("", String::as_str)),
    }
}

#[cfg(test)]
mod tests;
