//! One VIP of the set: its checks with their states, its verdict, and whether something holds it back.

use std::sync::Arc;
use std::time::Duration;

use super::damping::Damper;
use super::judge;
use super::set::{ProberId, SavedVerdict};
use super::settings::{Bandwidth, Check, Probe, Vip};
use super::state::State;
use super::status::{CheckStatus, Held, Verdict};
use crate::drain::Now;

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) vip: Arc<Vip>,
    /// In the order of the VIP's checks.
    pub(super) checks: Vec<Checked>,
    pub(super) verdict: Verdict,
    pub(super) since_unix_s: u64,
    pub(super) transitions: u64,
    pub(super) damper: Damper,
    pub(super) damped: u64,
    /// When the last hold ends.
    pub(super) damped_until_unix_s: u64,
    /// Why it cannot be announced, its group and its address apart.
    pub(super) unfit: Option<Held>,
    /// Why it waits for its address, where nothing else holds it back.
    pub(super) unbound: Option<Held>,
    /// It is to have its address.
    pub(super) asks_address: bool,
    /// Why it is not announced.
    pub(super) held: Option<Held>,
    /// What the probe said that decided its verdict.
    pub(super) because: String,
    /// The verdict, and whether it is announced, as hooks and the log know them.
    pub(super) reported: (Verdict, bool),
}

/// One check.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) state: State,
    pub(super) prober: Option<ProberId>,
}

impl Checked {
    pub(super) const fn new(state: State) -> Self {
        Self { state, prober: None }
    }
}

impl Entry {
    /// A VIP as configured, or as it was before a restart.
    pub(super) fn new(vip: Arc<Vip>, saved: Option<&SavedVerdict>, now: Now) -> Self {
        let now_unix_s = now.unix_s;
        let since = saved.map_or(now_unix_s, |saved| saved.since_unix_s.min(now_unix_s));
        let checks = vip.checks.iter().enumerate().map(|(index, check)| {
            let state = match saved {
                Some(saved) => State::saved(saved.of_check(index, check), since),
                None => State::assumed(vip.start, now_unix_s),
            };
            Checked::new(state)
        });
        let checks: Vec<Checked> = checks.collect();
        let verdict = judge::judge(&vip, |index| verdict_of(&checks, index));
        let until_unix_s = saved.and_then(|saved| saved.damped_until_unix_s);
        let until_unix_s = until_unix_s.filter(|_| vip.damping.is_some()).unwrap_or(0);
        // A clock that was set back must not make it longer than it was.
        let longest_s = vip.damping.map_or(0, |damping| damping.hold.as_secs());
        let left_s = until_unix_s.saturating_sub(now_unix_s).min(longest_s);
        Self {
            vip,
            checks,
            verdict,
            since_unix_s: since,
            transitions: 0,
            damper: Damper::held_for(Duration::from_secs(left_s), now.at),
            damped: 0,
            damped_until_unix_s: now_unix_s + left_s,
            unfit: Some(Held::Verdict(Verdict::Unknown)),
            unbound: None,
            asks_address: false,
            held: Some(Held::Verdict(Verdict::Unknown)),
            because: String::new(),
            reported: (verdict, false),
        }
    }

    /// What its checks say together.
    pub(super) fn judged(&self) -> Verdict {
        judge::judge(&self.vip, |index| verdict_of(&self.checks, index))
    }

    /// Whether a verdict allows its announcement.
    pub(super) fn allows(&self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Up | Verdict::Degraded => true,
            Verdict::Disabled => self.vip.disabled.is_some(),
            Verdict::Unknown | Verdict::Down => false,
        }
    }

    /// Its capacity in bits per second, where that is to be told.
    pub(super) fn bandwidth(&self, speed: impl Fn(&str) -> Option<u64>) -> Option<u64> {
        match self.vip.bandwidth.as_ref()? {
            Bandwidth::Fixed(bits) => Some(*bits),
            Bandwidth::PerHealthy(bits) => {
                let healthy = judge::healthy(&self.vip, |index| verdict_of(&self.checks, index));
                let healthy = u64::try_from(healthy).unwrap_or(u64::MAX);
                Some(bits.saturating_mul(healthy))
            }
            Bandwidth::Interface(name) => speed(name),
        }
    }

    /// A verdict from before a restart that no result has confirmed.
    pub(super) fn is_saved(&self) -> bool {
        self.checks.iter().any(|check| check.state.is_saved())
    }

    /// To be kept across a restart; nothing where there is nothing to know.
    pub(super) fn saved(&self) -> Option<SavedVerdict> {
        (!self.checks.is_empty() && self.verdict != Verdict::Unknown).then(|| SavedVerdict {
            name: Arc::clone(&self.vip.name),
            verdict: self.verdict,
            since_unix_s: self.since_unix_s,
            checks: self.checks.iter().map(|check| check.state.verdict()).collect(),
            damped_until_unix_s: self.damper.is_held().then_some(self.damped_until_unix_s),
        })
    }

    pub(super) fn check_statuses(&self) -> Vec<CheckStatus> {
        let checks = self.vip.checks.iter().zip(&self.checks);
        let statuses = checks.map(|(check, Checked { state, .. })| {
            let (successes, failures) = state.in_a_row();
            let (passed_total, failed_total) = state.totals();
            CheckStatus {
                check: describe(&check.probe),
                verdict: state.verdict(),
                on_fail: check.on_fail,
                last_result: state.last().map(|(result, _)| result.text.clone()),
                last_result_unix_s: state.last().map(|(_, at)| at),
                successes,
                rise: check.rise,
                failures,
                fall: check.fall,
                passed_total,
                failed_total,
            }
        });
        statuses.collect()
    }
}

impl SavedVerdict {
    /// What the check's verdict was, or must have been.
    fn of_check(&self, index: usize, check: &Check) -> Verdict {
        match (self.checks.get(index), self.verdict) {
            (Some(verdict), _) => *verdict,
            (None, Verdict::Disabled) if check.on_fail == Verdict::Disabled => Verdict::Down,
            (None, Verdict::Up | Verdict::Degraded | Verdict::Disabled) => Verdict::Up,
            (None, other) => other,
        }
    }
}

fn verdict_of(checks: &[Checked], index: usize) -> Verdict {
    checks
        .get(index)
        .map_or(Verdict::Unknown, |check| check.state.verdict())
}

/// A running prober serves both checks; rise, fall and what a failure means are not its business.
pub(super) fn same_probes(one: &Check, other: &Check) -> bool {
    let rhythm = |check: &Check| (check.interval, check.fast_interval, check.jitter, check.timeout);
    one.probe == other.probe && rhythm(one) == rhythm(other)
}

/// What a probe asks, in words. A command's arguments and headers may hold secrets and are left out.
pub(crate) fn describe(probe: &Probe) -> String {
    match probe {
        Probe::Tcp(target) => format!("tcp {target}"),
        Probe::Http(http) => {
            let scheme = if http.tls.is_some() { "https" } else { "http" };
            let (target, host, path) = (http.target, &http.host, &http.path);
            if *host == target.to_string() {
                format!("{scheme}://{target}{path}")
            } else {
                format!("{scheme}://{host}{path} at {target}")
            }
        }
        Probe::Command(words) => format!("command {}", words.first().map_or("", String::as_str)),
        Probe::Dns(dns) => format!("dns {} {} at {}", dns.kind, dns.name, dns.server),
        Probe::File { path, absent: false } => format!("file {}", path.display()),
        Probe::File { path, absent: true } => format!("no file {}", path.display()),
        Probe::Interface(name) => format!("interface {name}"),
    }
}
