//! From the verdicts of a VIP's checks to the VIP's own.
//!
//! ```text
//!   a check that may disable it fails ─────────────────────────► Disabled
//!   else fewer of the checks that may take it down pass than
//!        must, and no more can ────────────────────────────────► Down      (still open: Unknown)
//!   else one that may degrade it fails, or one that may take
//!        it down fails beyond those that must pass ────────────► Degraded
//!   else ──────────────────────────────────────────────────────► Up
//! ```

use super::settings::{Quorum, Vip};
use super::status::Verdict;

/// The VIP's verdict, given those of its checks in their order.
pub(super) fn judge(vip: &Vip, verdicts: impl Fn(usize) -> Verdict) -> Verdict {
    let of = |effect: Verdict, verdict: Verdict| {
        let checks = vip.checks.iter().enumerate();
        checks
            .filter(|(index, check)| check.on_fail == effect && verdicts(*index) == verdict)
            .count()
    };
    if of(Verdict::Disabled, Verdict::Down) > 0 {
        return Verdict::Disabled;
    }
    let (up, open, down) = (
        of(Verdict::Down, Verdict::Up),
        of(Verdict::Down, Verdict::Unknown),
        of(Verdict::Down, Verdict::Down),
    );
    let needed = match vip.quorum {
        Quorum::All => up + open + down,
        Quorum::AtLeast(count) => count.min(up + open + down),
    };
    if up < needed {
        return if up + open < needed {
            Verdict::Down
        } else {
            Verdict::Unknown
        };
    }
    if down > 0 || of(Verdict::Degraded, Verdict::Down) > 0 {
        Verdict::Degraded
    } else {
        Verdict::Up
    }
}

/// How many of the checks that may take it down pass.
pub(super) fn healthy(vip: &Vip, verdicts: impl Fn(usize) -> Verdict) -> usize {
    let checks = vip.checks.iter().enumerate();
    checks
        .filter(|(index, check)| check.on_fail == Verdict::Down && verdicts(*index) == Verdict::Up)
        .count()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::vip::settings::{Check, Probe};

    #[test]
    fn without_checks_it_is_up() {
        check("", Quorum::All, "", Verdict::Up);
        check("", Quorum::AtLeast(2), "", Verdict::Up);
    }

    #[test]
    fn all_must_pass_unless_fewer_are_asked_for() {
        check("ddd", Quorum::All, "+++", Verdict::Up);
        check("ddd", Quorum::All, "+-+", Verdict::Down);
        check("ddd", Quorum::All, "+?+", Verdict::Unknown);
        check("ddd", Quorum::All, "-?+", Verdict::Down);
        check("ddd", Quorum::AtLeast(1), "?-+", Verdict::Degraded);
        check("ddd", Quorum::AtLeast(1), "??+", Verdict::Up);
        check("ddd", Quorum::AtLeast(2), "+--", Verdict::Down);
        check("ddd", Quorum::AtLeast(2), "+-?", Verdict::Unknown);
        check("ddd", Quorum::AtLeast(2), "+-+", Verdict::Degraded);
    }

    #[test]
    fn a_check_does_what_its_failure_means() {
        check("dg", Quorum::All, "+-", Verdict::Degraded);
        check("dg", Quorum::All, "+?", Verdict::Up);
        check("dg", Quorum::All, "--", Verdict::Down);
        check("dx", Quorum::All, "+-", Verdict::Disabled);
        check("dx", Quorum::All, "--", Verdict::Disabled);
        check("x", Quorum::All, "+", Verdict::Up);
    }

    #[test]
    fn only_checks_that_may_take_it_down_are_capacity() {
        let vip = vip("ddg", Quorum::AtLeast(1));
        assert_eq!(healthy(&vip, |index| verdict("+-+", index)), 1);
    }

    fn check(effects: &str, quorum: Quorum, verdicts: &str, expected: Verdict) {
        let vip = vip(effects, quorum);
        let judged = judge(&vip, |index| verdict(verdicts, index));
        assert_eq!(judged, expected, "{effects} {quorum:?} {verdicts}");
    }

    fn verdict(verdicts: &str, index: usize) -> Verdict {
        match verdicts.as_bytes()[index] {
            b'+' => Verdict::Up,
            b'-' => Verdict::Down,
            _ => Verdict::Unknown,
        }
    }

    fn vip(effects: &str, quorum: Quorum) -> Vip {
        let effect = |letter| match letter {
            'd' => Verdict::Down,
            'g' => Verdict::Degraded,
            _ => Verdict::Disabled,
        };
        let second = Duration::from_secs(1);
        let checks = effects.chars().map(|letter| Check {
            probe: Probe::Tcp(([127, 0, 0, 1], 80).into()),
            interval: second,
            fast_interval: second,
            jitter: Duration::ZERO,
            timeout: second,
            rise: 1,
            fall: 1,
            on_fail: effect(letter),
        });
        Vip {
            checks: checks.collect(),
            quorum,
            ..Vip::new("v".into(), "192.0.2.1/32".parse().unwrap())
        }
    }
}
