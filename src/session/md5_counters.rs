//! What the kernel says of segments that it dropped for their TCP MD5 signature (RFC 2385).
//!
//! A wrong key is silent: the segments vanish, and the session just does not come up. The kernel counts them for the whole
//! machine, so what is shown beside a peer that does not come up is a hint and not a verdict.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far back the hint looks.
const WINDOW: Duration = Duration::from_secs(60);
/// Samples kept at most.
const SAMPLES: usize = 64;

/// Counters of `/proc/net/netstat`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Counts {
    /// A key is set here, and the segment had no signature.
    pub(super) unsigned: u64,
    /// The segment had a signature, and no key is set here.
    pub(super) unexpected: u64,
    /// The signature was made with another key.
    pub(super) wrong: u64,
}

impl Counts {
    /// Reads them out of the text of `/proc/net/netstat`; counters that the kernel does not have stay 0.
    pub(super) fn parse(netstat: &str) -> Self {
        let mut lines = netstat.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
        let (names, values) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
        let find = |wanted: &str| {
            let mut pairs = names.split_whitespace().zip(values.split_whitespace());
            let value = pairs.find(|(name, _)| *name == wanted).map(|(_, value)| value);
            value.and_then(|value| value.parse().ok()).unwrap_or(0)
        };
        Self {
            unsigned: find("TCPMD5NotFound"),
            unexpected: find("TCPMD5Unexpected"),
            wrong: find("TCPMD5Failure"),
        }
    }

    fn since(&self, earlier: &Self) -> Self {
        Self {
            unsigned: self.unsigned.saturating_sub(earlier.unsigned),
            unexpected: self.unexpected.saturating_sub(earlier.unexpected),
            wrong: self.wrong.saturating_sub(earlier.wrong),
        }
    }
}

/// The counters of the last minute.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<(Instant, Counts)>);

impl Recent {
    pub(super) fn note(&mut self, counts: Counts, now: Instant) {
        self.0.push_back((now, counts));
        while self.0.len() > SAMPLES
            || (self.0.len() > 1 && self.0.front().is_some_and(|(at, _)| *at + WINDOW < now))
        {
            self.0.pop_front();
        }
    }

    /// What an operator should know of a peer that does not come up.
    pub(super) fn hint(&self, has_key: bool) -> Option<String> {
        let ((_, first), (_, last)) = (self.0.front()?, self.0.back()?);
        let grown = last.since(first);
        let (count, what) = if has_key && grown.wrong > 0 {
            (grown.wrong, "with a wrong TCP MD5 signature: compare the keys")
        } else if has_key && grown.unsigned > 0 {
            (
                grown.unsigned,
                "without the TCP MD5 signature that a key here asks for: has the peer a key?",
            )
        } else if !has_key && grown.unexpected > 0 {
            (
                grown.unexpected,
                "with a TCP MD5 signature and no key here: does the peer expect a password?",
            )
        } else {
            return None;
        };
        Some(format!(
            "{count} segments came to this machine in the last minute {what}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::peer::tests::epoch;

    const NETSTAT: &str = "TcpExt: SyncookiesSent TCPMD5NotFound TCPMD5Unexpected TCPMD5Failure\n\
                           TcpExt: 1 20 300 4000\nIpExt: InNoRoutes\nIpExt: 7\n";

    #[test]
    fn counters_are_found_by_name() {
        let counts = Counts {
            unsigned: 20,
            unexpected: 300,
            wrong: 4_000,
        };
        assert_eq!(Counts::parse(NETSTAT), counts);
        assert_eq!(Counts::parse("TcpExt: A\nTcpExt: 1\n"), Counts::default());
        assert_eq!(Counts::parse(""), Counts::default());
    }

    #[test]
    fn only_what_grew_in_the_last_minute_is_a_hint() {
        let wrong = |wrong| Counts {
            wrong,
            ..Counts::default()
        };
        let start = epoch();
        let mut recent = Recent::default();
        recent.note(wrong(5), start);
        assert_eq!(recent.hint(true), None);
        recent.note(wrong(8), start + WINDOW / 2);
        let hint = recent.hint(true).unwrap();
        assert!(hint.starts_with("3 segments") && hint.contains("wrong"), "{hint}");
        assert_eq!(recent.hint(false), None, "a peer without a key is another matter");
        recent.note(wrong(8), start + WINDOW * 2);
        assert_eq!(recent.hint(true), None);
    }

    #[test]
    fn each_side_of_a_missing_key_has_its_own_words() {
        let mut recent = Recent::default();
        recent.note(Counts::default(), epoch());
        recent.note(
            Counts {
                unsigned: 1,
                unexpected: 2,
                wrong: 0,
            },
            epoch(),
        );
        assert!(recent.hint(true).unwrap().starts_with("1 segments"));
        assert!(recent.hint(false).unwrap().starts_with("2 segments"));
    }
}
