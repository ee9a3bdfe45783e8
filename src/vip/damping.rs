//! Damping: a VIP that went down too often in a short time stays withdrawn until it has been quiet.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::settings::Damping;

/// How often one VIP went down lately.
#[derive(Clone, Debug, Default)]
pub(super) struct Damper {
    /// When it went down, oldest first; never more than damping counts.
    downs: VecDeque<Instant>,
    until: Option<Instant>,
}

impl Damper {
    /// Held down for the rest of a time that began before a restart.
    pub(super) fn held_for(left: Duration, now: Instant) -> Self {
        Self {
            downs: VecDeque::new(),
            until: (!left.is_zero()).then(|| now + left),
        }
    }

    /// It went down; true when it is held down from here on, or longer than before.
    pub(super) fn went_down(&mut self, damping: &Damping, now: Instant) -> bool {
        self.downs.push_back(now);
        self.forget(damping, now);
        let many = usize::try_from(damping.changes).unwrap_or(usize::MAX);
        if self.is_held() || self.downs.len() >= many.max(1) {
            self.until = Some(now + damping.hold);
            self.downs.clear();
            return true;
        }
        false
    }

    /// Ends the hold when its time has come; true when it did.
    pub(super) fn tick(&mut self, now: Instant) -> bool {
        let over = self.until.is_some_and(|until| until <= now);
        if over {
            self.until = None;
        }
        over
    }

    pub(super) const fn is_held(&self) -> bool {
        self.until.is_some()
    }

    /// Until when it is held down.
    pub(super) const fn until(&self) -> Option<Instant> {
        self.until
    }

    fn forget(&mut self, damping: &Damping, now: Instant) {
        while let Some(oldest) = self.downs.front() {
            if now.saturating_duration_since(*oldest) <= damping.window {
                return;
            }
            self.downs.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAMPING: Damping = Damping {
        changes: 3,
        window: Duration::from_secs(60),
        hold: Duration::from_secs(120),
    };

    #[test]
    fn too_many_in_the_window_hold_it_down_for_a_while() {
        let start = start();
        let mut damper = Damper::default();
        assert!(!damper.went_down(&DAMPING, at(start, 0)));
        assert!(!damper.went_down(&DAMPING, at(start, 30)));
        assert!(damper.went_down(&DAMPING, at(start, 60)));
        assert_eq!(damper.until(), Some(at(start, 180)));
        assert!(!damper.tick(at(start, 179)));
        assert!(damper.tick(at(start, 180)) && !damper.is_held());
        assert!(!damper.went_down(&DAMPING, at(start, 181)), "it counts anew");
    }

    #[test]
    fn slow_changes_do_not_count_together() {
        let start = start();
        let mut damper = Damper::default();
        for seconds in [0, 40, 80, 120, 160] {
            assert!(!damper.went_down(&DAMPING, at(start, seconds)));
        }
    }

    #[test]
    fn one_that_goes_on_is_held_until_it_is_quiet() {
        let start = start();
        let mut damper = Damper::default();
        for seconds in [0, 1, 2] {
            damper.went_down(&DAMPING, at(start, seconds));
        }
        assert!(damper.went_down(&DAMPING, at(start, 100)));
        assert_eq!(damper.until(), Some(at(start, 220)));
    }

    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn start() -> Instant {
        Instant::now()
    }

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }
}
