//! Spans of time as people read them: two units, the larger one first.

/// `7s`, `3m12s`, `2h05m`, `3d04h`.
pub(super) fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

/// How long ago that was; never negative, whatever the clocks say.
pub(super) fn since(then_unix_s: u64, now_unix_s: u64) -> String {
    span(now_unix_s.saturating_sub(then_unix_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m00s"),
            (3_599, "59m59s"),
            (7_500, "2h05m"),
            (86_400, "1d00h"),
            (273_600, "3d04h"),
        ] {
            assert_eq!(span(seconds), text);
        }
        assert_eq!(since(200, 100), "0s");
    }
}
