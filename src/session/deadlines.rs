//! When things are due: the timers of RFC 4271 §10, RFC 9687 §4 and the damping of RFC 4271 §8.1.1.
//!
//! Nothing here reads a clock or a random source: the time comes in with each call and jitter from a seed.

use std::time::{Duration, Instant};

/// How long the peer may take for its OPEN, RFC 4271 §8.2.2 ("a large value", 4 minutes is suggested).
pub const OPEN_HOLD_TIME: Duration = Duration::from_secs(240);
/// The longest wait in Idle that damping leads to.
pub const IDLE_HOLD_CAP: Duration = Duration::from_secs(120);

/// What a deadline is for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Timer {
    /// RFC 4271 §10 HoldTimer, before the OPEN [`OPEN_HOLD_TIME`].
    Hold,
    /// RFC 9687 SendHoldTimer.
    SendHold,
    /// RFC 4271 §10 KeepaliveTimer.
    Keepalive,
    /// RFC 4271 §10 ConnectRetryTimer.
    ConnectRetry,
    /// RFC 4271 §8.1.1 IdleHoldTimer.
    IdleHold,
    /// RFC 4271 §8.1.1 DelayOpenTimer.
    DelayOpen,
}

/// A seeded source of jitter (SplitMix64).
#[derive(Clone, Debug)]
pub struct Jitter(u64);

impl Jitter {
    /// A sequence that depends on nothing but the seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// RFC 4271 §10: the time multiplied by a factor between 0.75 and 1.0.
    pub fn apply(&mut self, time: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let sixteen_bits = u32::try_from(mixed >> 48).unwrap_or(0);
        let quarter = time / 4;
        quarter * 3 + quarter.mul_f64(f64::from(sixteen_bits) / 65_535.0)
    }
}

/// The timers of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectionTimers {
    /// When the peer must have been heard.
    pub hold: Option<Instant>,
    /// When our next KEEPALIVE is due.
    pub keepalive: Option<Instant>,
    /// When something must have been sent.
    pub send_hold: Option<Instant>,
    /// When our OPEN goes although the peer has not spoken.
    pub delay_open: Option<Instant>,
}

impl ConnectionTimers {
    /// The timer that is due first.
    #[must_use]
    pub fn next(&self) -> Option<(Instant, Timer)> {
        let timers = [
            (self.hold, Timer::Hold),
            (self.send_hold, Timer::SendHold),
            (self.keepalive, Timer::Keepalive),
            (self.delay_open, Timer::DelayOpen),
        ];
        timers
            .into_iter()
            .filter_map(|(at, timer)| Some((at?, timer)))
            .min()
    }

    /// Follows what the socket accepts, RFC 9687 §4: the timer runs while something waits and restarts with progress.
    pub fn sending(&mut self, progress: bool, waiting: bool, time: Duration, now: Instant) {
        if !waiting || time.is_zero() {
            self.send_hold = None;
        } else if progress || self.send_hold.is_none() {
            self.send_hold = Some(now + time);
        }
    }
}

/// Damping of peer oscillation, RFC 4271 §8.1.1: each failure doubles the wait in Idle, a stable session forgets it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Damping {
    failures: u32,
}

impl Damping {
    /// The wait after one more failure; `up_for` is how long the session had been Established.
    pub fn failed(&mut self, base: Duration, up_for: Option<Duration>) -> Duration {
        // A session that held for longer than the longest wait was no oscillation.
        if up_for.is_some_and(|up| up >= IDLE_HOLD_CAP) {
            self.failures = 0;
        }
        // Whatever is configured, a peer that fails again and again is not tried in a tight loop.
        let floor = if self.failures == 0 {
            Duration::ZERO
        } else {
            Duration::from_secs(1)
        };
        let wait = base
            .saturating_mul(1 << self.failures.min(16))
            .min(IDLE_HOLD_CAP.max(base))
            .max(floor);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// Whether this is an oscillation by now, so that the peer's own attempts are to be refused as well.
    #[must_use]
    pub const fn oscillates(&self) -> bool {
        self.failures > 3
    }

    /// Forgets all failures: an operator intervened.
    pub fn clear(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn jitter_stays_between_three_quarters_and_the_whole() {
        let mut jitter = Jitter::new(7);
        let mut seen = (Duration::MAX, Duration::ZERO);
        for _ in 0..10_000 {
            let time = jitter.apply(100 * SECOND);
            assert!(time >= 75 * SECOND && time <= 100 * SECOND, "{time:?}");
            seen = (seen.0.min(time), seen.1.max(time));
        }
        assert!(seen.0 < 76 * SECOND && seen.1 > 99 * SECOND, "{seen:?}");
    }

    #[test]
    fn jitter_depends_on_the_seed_alone() {
        let sequence = |seed| {
            let mut jitter = Jitter::new(seed);
            [jitter.apply(SECOND), jitter.apply(SECOND)]
        };
        assert_eq!(sequence(1), sequence(1));
        assert_ne!(sequence(1), sequence(2));
    }

    #[test]
    fn idle_hold_doubles_up_to_the_cap_and_a_stable_session_resets_it() {
        let mut damping = Damping::default();
        let waits: Vec<u64> = (0..7)
            .map(|_| damping.failed(5 * SECOND, None).as_secs())
            .collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 120, 120]);
        assert_eq!(damping.failed(5 * SECOND, Some(SECOND)), IDLE_HOLD_CAP);
        assert_eq!(damping.failed(5 * SECOND, Some(300 * SECOND)), 5 * SECOND);
    }

    #[test]
    fn a_configured_wait_above_the_cap_is_kept() {
        let mut damping = Damping::default();
        assert_eq!(damping.failed(600 * SECOND, None), 600 * SECOND);
        assert_eq!(damping.failed(600 * SECOND, None), 600 * SECOND);
    }

    #[test]
    fn send_hold_runs_while_something_waits_and_restarts_with_progress() {
        let start = epoch();
        let mut timers = ConnectionTimers::default();
        timers.sending(false, true, 10 * SECOND, start);
        assert_eq!(timers.send_hold, Some(start + 10 * SECOND));
        timers.sending(false, true, 10 * SECOND, start + 3 * SECOND);
        assert_eq!(timers.send_hold, Some(start + 10 * SECOND));
        timers.sending(true, true, 10 * SECOND, start + 4 * SECOND);
        assert_eq!(timers.send_hold, Some(start + 14 * SECOND));
        timers.sending(true, false, 10 * SECOND, start + 5 * SECOND);
        assert_eq!(timers.send_hold, None);
        timers.sending(true, true, Duration::ZERO, start);
        assert_eq!(timers.send_hold, None);
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a test needs some instant to count from"
    )]
    fn epoch() -> Instant {
        Instant::now()
    }
}
