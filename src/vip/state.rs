//! Rise and fall: how the results of one check's probes become its verdict.
//!
//! ```text
//!              rise successes in a row            rise successes in a row
//!   Unknown ────────────────────────────► Up ◄──────────────────────────── Down
//!      │                                   │                                 ▲
//!      │                                   └─────── fall failures in a row ──┤
//!      └─────────────────────────────────────────── fall failures in a row ──┘
//! ```
//!
//! A check starts as `Unknown`, as its VIP's `start` says, or with the verdict that was saved before a restart.
//! Pure: Unix time in seconds is passed in, because people read it.

use super::status::Verdict;

/// How one probe ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProbeResult {
    /// It passed.
    pub passed: bool,
    /// What happened, in words, one line.
    pub text: String,
}

/// The thresholds of a check.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Thresholds {
    /// Successes in a row that make it pass; zero counts as one.
    pub rise: u32,
    /// Failures in a row that make it fail; zero counts as one.
    pub fall: u32,
}

/// The state of one check.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct State {
    verdict: Verdict,
    saved: bool,
    since_unix_s: u64,
    successes: u32,
    failures: u32,
    last: Option<(ProbeResult, u64)>,
    passed: u64,
    failed: u64,
}

impl State {
    /// A check without results, with a verdict to begin with.
    #[must_use]
    pub fn assumed(verdict: Verdict, now_unix_s: u64) -> Self {
        Self {
            verdict,
            saved: false,
            since_unix_s: now_unix_s,
            successes: 0,
            failures: 0,
            last: None,
            passed: 0,
            failed: 0,
        }
    }

    /// A check as it was before a restart.
    #[must_use]
    pub fn saved(verdict: Verdict, since_unix_s: u64) -> Self {
        let saved = verdict != Verdict::Unknown;
        Self {
            saved,
            ..Self::assumed(verdict, since_unix_s)
        }
    }

    /// Takes in one result; true when the verdict changed.
    pub fn record(&mut self, result: ProbeResult, thresholds: Thresholds, now_unix_s: u64) -> bool {
        let verdict = if result.passed {
            self.passed += 1;
            self.failures = 0;
            self.successes = self.successes.saturating_add(1);
            (self.successes >= thresholds.rise.max(1)).then_some(Verdict::Up)
        } else {
            self.failed += 1;
            self.successes = 0;
            self.failures = self.failures.saturating_add(1);
            (self.failures >= thresholds.fall.max(1)).then_some(Verdict::Down)
        };
        self.last = Some((result, now_unix_s));
        verdict.is_some_and(|verdict| self.decide(verdict, now_unix_s))
    }

    /// The check itself changed: what was counted for the old one says nothing, the verdict stays until results change it.
    pub fn check_changed(&mut self) {
        self.successes = 0;
        self.failures = 0;
    }

    /// The last results do not agree with the verdict, so that it may change soon.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        match self.verdict {
            Verdict::Up => self.failures > 0,
            Verdict::Down => self.successes > 0,
            Verdict::Unknown | Verdict::Disabled | Verdict::Degraded => true,
        }
    }

    /// Whether the check passes.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The verdict is from before a restart and unconfirmed.
    #[must_use]
    pub fn is_saved(&self) -> bool {
        self.saved
    }

    /// When the verdict last changed.
    #[must_use]
    pub fn since_unix_s(&self) -> u64 {
        self.since_unix_s
    }

    /// The last result and when it came.
    #[must_use]
    pub fn last(&self) -> Option<(&ProbeResult, u64)> {
        self.last.as_ref().map(|(result, at)| (result, *at))
    }

    /// Successes and failures in a row; one of them is zero.
    #[must_use]
    pub fn in_a_row(&self) -> (u32, u32) {
        (self.successes, self.failures)
    }

    /// Probes passed, probes failed.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        (self.passed, self.failed)
    }

    fn decide(&mut self, verdict: Verdict, now_unix_s: u64) -> bool {
        self.saved = false;
        if self.verdict == verdict {
            return false;
        }
        self.verdict = verdict;
        self.since_unix_s = now_unix_s;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_THREE: Thresholds = Thresholds { rise: 2, fall: 3 };

    #[test]
    fn comes_up_after_rise_successes_in_a_row() {
        let mut state = State::assumed(Verdict::Unknown, 10);
        check(&mut state, "+-+", Verdict::Unknown);
        check(&mut state, "-++", Verdict::Up);
        assert_eq!(state.since_unix_s(), 102);
        assert_eq!(state.totals(), (4, 2));
    }

    #[test]
    fn goes_down_after_fall_failures_in_a_row() {
        let mut state = State::assumed(Verdict::Unknown, 10);
        check(&mut state, "++", Verdict::Up);
        check(&mut state, "--+--", Verdict::Up);
        check(&mut state, "-", Verdict::Down);
        assert_eq!(state.in_a_row(), (0, 3));
    }

    #[test]
    fn unknown_goes_down_without_having_been_up() {
        let mut state = State::assumed(Verdict::Unknown, 10);
        check(&mut state, "--", Verdict::Unknown);
        check(&mut state, "-", Verdict::Down);
        check(&mut state, "+", Verdict::Down);
        check(&mut state, "+", Verdict::Up);
    }

    #[test]
    fn only_a_change_of_the_verdict_is_a_change() {
        let mut state = State::assumed(Verdict::Unknown, 10);
        let changes = feed(&mut state, "+++++---------+++");
        assert_eq!(
            changes,
            [1, 7, 15],
            "up at the 2nd, down at the 8th, up at the 16th result"
        );
    }

    #[test]
    fn a_saved_verdict_holds_until_results_change_it() {
        let mut state = State::saved(Verdict::Up, 5);
        assert!(state.is_saved());
        check(&mut state, "--", Verdict::Up);
        assert!(state.is_saved() && state.since_unix_s() == 5);
        check(&mut state, "-", Verdict::Down);
        assert!(!state.is_saved());
    }

    #[test]
    fn a_confirmed_saved_verdict_is_not_a_change() {
        let mut state = State::saved(Verdict::Up, 5);
        assert_eq!(feed(&mut state, "+++"), [0_usize; 0]);
        assert!(!state.is_saved());
        assert_eq!(state.since_unix_s(), 5);
    }

    #[test]
    fn a_new_check_starts_to_count_anew_and_keeps_the_verdict() {
        let mut state = State::saved(Verdict::Up, 5);
        feed(&mut state, "--");
        state.check_changed();
        check(&mut state, "--", Verdict::Up);
        check(&mut state, "-", Verdict::Down);
    }

    #[test]
    fn it_is_changing_while_results_disagree_with_the_verdict() {
        let mut state = State::assumed(Verdict::Unknown, 10);
        let mut changing = String::new();
        for sign in ["+", "+", "+", "-", "+", "-", "-", "-", "-", "+", "-"] {
            feed(&mut state, sign);
            changing.push(if state.is_changing() { '!' } else { '.' });
        }
        assert_eq!(changing, "!..!.!!..!.");
    }

    #[test]
    fn thresholds_of_zero_count_as_one() {
        let mut state = State::assumed(Verdict::Unknown, 0);
        let zero = Thresholds { rise: 0, fall: 0 };
        assert!(state.record(result(true), zero, 1));
        assert!(state.record(result(false), zero, 2));
    }

    fn check(state: &mut State, results: &str, expected: Verdict) {
        feed(state, results);
        assert_eq!(state.verdict(), expected, "after {results}");
    }

    /// Feeds results at 100 and following seconds; yields the positions that changed the verdict.
    fn feed(state: &mut State, results: &str) -> Vec<usize> {
        let mut changes = Vec::new();
        for (index, sign) in results.chars().enumerate() {
            let now = 100 + u64::try_from(index).expect("small");
            if state.record(result(sign == '+'), TWO_THREE, now) {
                changes.push(index);
            }
        }
        changes
    }

    fn result(passed: bool) -> ProbeResult {
        ProbeResult {
            passed,
            text: String::from(if passed { "200" } else { "refused" }),
        }
    }
}
