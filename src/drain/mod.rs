//! Draining, RFC 8326: what is about to leave is first made everybody's last choice, and only then withdrawn.
//!
//! ```text
//!   begin ──► Settling ──── settle time ────► Withdrawn
//!                │                               │
//!                └────────────── end ◄───────────┘
//! ```
//!
//! Pure: which VIPs and peers are drained, how far, and until when. What that means for a VIP is `vip`'s business, for a
//! peer the speaker's. Two clocks are passed in: the monotonic one decides, the other one is for people and for a successor.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What is drained.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Every VIP and every peer, those of later configurations too.
    All,
    /// One VIP, by name.
    Vip(Arc<str>),
    /// One peer, by name: all that it is told and all that it tells.
    Peer(Arc<str>),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("everything"),
            Self::Vip(name) => write!(f, "vip {name}"),
            Self::Peer(name) => write!(f, "peer {name}"),
        }
    }
}

/// How far a drain is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Still announced, as the last choice; others are moving away.
    Settling,
    /// Withdrawn.
    Withdrawn,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Settling => "draining",
            Self::Withdrawn => "drained",
        })
    }
}

/// Now, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Decides.
    pub at: Instant,
    /// Unix time in seconds, for people and for a successor.
    pub unix_s: u64,
}

/// A drain as it is shown and as it is kept across a restart.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Status {
    /// What is drained.
    pub target: Target,
    /// How far.
    pub stage: Stage,
    /// Unix time in seconds at which it began.
    pub since_unix_s: u64,
    /// Unix time in seconds at which settling ends or ended.
    pub settled_unix_s: u64,
    /// The peer's session, or every one, is shut down at the end, with this text (RFC 9003).
    pub shutdown: Option<String>,
}

/// How far each VIP is drained.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct VipStages {
    all: Option<Stage>,
    one: BTreeMap<Arc<str>, Stage>,
}

impl VipStages {
    /// The VIP's stage; none while it is not drained.
    #[must_use]
    pub fn of(&self, vip: &str) -> Option<Stage> {
        self.all.max(self.one.get(vip).copied())
    }
}

/// All drains of a speaker.
#[derive(Clone, Debug, Default)]
pub struct Drains(BTreeMap<Target, Drain>);

#[derive(Clone, Debug)]
struct Drain {
    since_unix_s: u64,
    settled_unix_s: u64,
    /// None once it is withdrawn.
    settled: Option<Instant>,
    shutdown: Option<String>,
}

impl Drain {
    const fn stage(&self) -> Stage {
        match self.settled {
            Some(_) => Stage::Settling,
            None => Stage::Withdrawn,
        }
    }
}

impl Drains {
    /// Takes up what a predecessor left: settling goes on for what was left of it.
    #[must_use]
    pub fn restored(saved: Vec<Status>, now: Now) -> Self {
        let drains = saved.into_iter().map(|status| {
            let left_s = status.settled_unix_s.saturating_sub(now.unix_s);
            // A clock that was set back must not make it longer than it was.
            let left_s = left_s.min(status.settled_unix_s.saturating_sub(status.since_unix_s));
            let settling = status.stage == Stage::Settling && left_s > 0;
            let drain = Drain {
                since_unix_s: status.since_unix_s,
                settled_unix_s: status.settled_unix_s,
                settled: settling.then(|| now.at + Duration::from_secs(left_s)),
                shutdown: status.shutdown,
            };
            (status.target, drain)
        });
        Self(drains.collect())
    }

    /// Begins a drain. One that is under way goes on as it is and only takes over the text of the shutdown.
    pub fn begin(&mut self, target: Target, settle: Duration, shutdown: Option<String>, now: Now) {
        if let Some(drain) = self.0.get_mut(&target) {
            drain.shutdown = shutdown.or_else(|| drain.shutdown.take());
            return;
        }
        let drain = Drain {
            since_unix_s: now.unix_s,
            settled_unix_s: now.unix_s.saturating_add(settle.as_secs()),
            settled: (!settle.is_zero()).then(|| now.at + settle),
            shutdown,
        };
        self.0.insert(target, drain);
    }

    /// Ends a drain, or with [`Target::All`] every one; yields what is no longer drained.
    pub fn end(&mut self, target: &Target) -> Vec<Target> {
        if *target == Target::All {
            return std::mem::take(&mut self.0).into_keys().collect();
        }
        let ended = self.0.remove_entry(target);
        ended.into_iter().map(|(target, _)| target).collect()
    }

    /// Whether everything is drained.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.0.contains_key(&Target::All)
    }

    /// Withdraws what has settled; true when there was something.
    pub fn tick(&mut self, now: Instant) -> bool {
        let mut changed = false;
        for drain in self.0.values_mut() {
            if drain.settled.is_some_and(|settled| settled <= now) {
                drain.settled = None;
                changed = true;
            }
        }
        changed
    }

    /// When [`Drains::tick`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.0.values().filter_map(|drain| drain.settled).min()
    }

    /// How far each VIP is.
    #[must_use]
    pub fn vips(&self) -> VipStages {
        let one = self.0.iter().filter_map(|(target, drain)| match target {
            Target::Vip(name) => Some((Arc::clone(name), drain.stage())),
            Target::All | Target::Peer(_) => None,
        });
        VipStages {
            all: self.0.get(&Target::All).map(Drain::stage),
            one: one.collect(),
        }
    }

    /// How far the peer is, and the text of its shutdown; none while it is not drained.
    #[must_use]
    pub fn peer(&self, name: &Arc<str>) -> Option<(Stage, Option<&str>)> {
        let all = self.0.get(&Target::All);
        let own = self.0.get(&Target::Peer(Arc::clone(name)));
        let stage = all.map(Drain::stage).max(own.map(Drain::stage))?;
        // A text counts when its own drain has come to the end.
        let text = [own, all].into_iter().flatten().find_map(|drain| {
            let text = drain.shutdown.as_deref()?;
            (drain.stage() == Stage::Withdrawn).then_some(text)
        });
        Some((stage, text))
    }

    /// Every drain.
    #[must_use]
    pub fn statuses(&self) -> Vec<Status> {
        let statuses = self.0.iter().map(|(target, drain)| Status {
            target: target.clone(),
            stage: drain.stage(),
            since_unix_s: drain.since_unix_s,
            settled_unix_s: drain.settled_unix_s,
            shutdown: drain.shutdown.clone(),
        });
        statuses.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(10);

    #[test]
    fn a_drain_settles_and_then_withdraws() {
        let now = now();
        let mut drains = Drains::default();
        drains.begin(vip("shop"), SETTLE, None, now);
        assert_eq!(drains.vips().of("shop"), Some(Stage::Settling));
        assert_eq!(drains.vips().of("other"), None);
        assert_eq!(drains.next_deadline(), Some(now.at + SETTLE));
        assert!(!drains.tick(now.at + SETTLE / 2));
        assert!(drains.tick(now.at + SETTLE));
        assert_eq!(drains.vips().of("shop"), Some(Stage::Withdrawn));
        assert_eq!(drains.next_deadline(), None);
        assert_eq!(drains.end(&vip("shop")), [vip("shop")]);
        assert_eq!(drains.vips(), VipStages::default());
    }

    #[test]
    fn a_second_drain_of_the_same_does_not_begin_anew() {
        let now = now();
        let mut drains = Drains::default();
        drains.begin(peer("a"), SETTLE, None, now);
        drains.begin(peer("a"), SETTLE * 9, Some("upgrade".into()), after(now, 5));
        assert_eq!(drains.next_deadline(), Some(now.at + SETTLE));
        assert_eq!(drains.peer(&"a".into()), Some((Stage::Settling, None)));
        drains.tick(now.at + SETTLE);
        assert_eq!(
            drains.peer(&"a".into()),
            Some((Stage::Withdrawn, Some("upgrade")))
        );
    }

    #[test]
    fn everything_is_every_vip_and_every_peer() {
        let now = now();
        let mut drains = Drains::default();
        drains.begin(peer("a"), Duration::ZERO, None, now);
        drains.begin(Target::All, SETTLE, Some("upgrade".into()), now);
        assert_eq!(drains.vips().of("any"), Some(Stage::Settling));
        assert_eq!(drains.peer(&"b".into()), Some((Stage::Settling, None)));
        assert_eq!(
            drains.peer(&"a".into()),
            Some((Stage::Withdrawn, None)),
            "the further stage counts, and the text not before its own drain is through"
        );
        assert_eq!(drains.end(&Target::All).len(), 2);
        assert_eq!(drains.peer(&"a".into()), None);
    }

    #[test]
    fn a_successor_goes_on_where_it_was() {
        let now = now();
        let mut drains = Drains::default();
        drains.begin(vip("settling"), SETTLE, None, now);
        drains.begin(vip("overdue"), SETTLE / 10, None, now);
        drains.begin(peer("done"), Duration::ZERO, Some("bye".into()), now);
        let restored = Drains::restored(drains.statuses(), after(now, 4));
        assert_eq!(restored.next_deadline(), Some(now.at + SETTLE));
        assert_eq!(restored.vips().of("overdue"), Some(Stage::Withdrawn));
        assert_eq!(
            restored.peer(&"done".into()),
            Some((Stage::Withdrawn, Some("bye")))
        );
        let set_back = Now {
            unix_s: 1,
            ..after(now, 4)
        };
        let restored = Drains::restored(drains.statuses(), set_back);
        assert_eq!(
            restored.next_deadline(),
            Some(set_back.at + SETTLE / 10),
            "never longer than it was to be"
        );
    }

    fn vip(name: &str) -> Target {
        Target::Vip(name.into())
    }

    fn peer(name: &str) -> Target {
        Target::Peer(name.into())
    }

    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn now() -> Now {
        Now {
            at: Instant::now(),
            unix_s: 1_000,
        }
    }

    fn after(now: Now, seconds: u64) -> Now {
        Now {
            at: now.at + Duration::from_secs(seconds),
            unix_s: now.unix_s + seconds,
        }
    }
}
