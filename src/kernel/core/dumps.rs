//! Which of the kernel's tables are to be read again, and when.
//!
//! A dump of a large table takes a good part of a second. However many events ask for one, a scope is read once for all that
//! came before, and afterwards left alone for ten times as long as that took.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::kernel::wire::DumpScope;
use crate::route::TableId;

/// A [`DumpScope`] that can be ordered: what is read first comes first.
pub(super) type Scope = (u8, TableId, bool, Option<u32>);
pub(super) const LINKS: Scope = (0, TableId(0), false, None);
pub(super) const ADDRESSES: Scope = (1, TableId(0), false, None);
pub(super) const NEXTHOPS: Scope = (2, TableId(0), false, None);
pub(super) const ROUTES: u8 = 3;

/// Events put a dump off for so long together; what comes later has one of its own.
const LONGEST_DELAY: Duration = Duration::from_millis(500);
/// After a dump its scope is left alone for so many times its duration.
const REST: u32 = 10;
/// But not for longer than this.
const LONGEST_REST: Duration = Duration::from_secs(5);

/// Dumps to run.
#[derive(Debug, Default)]
pub(super) struct Dumps {
    due: BTreeMap<Scope, Due>,
    /// Until when a scope is left alone.
    resting: BTreeMap<Scope, Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Due {
    at: Instant,
    /// It was first asked for, for this time.
    first: Instant,
    /// Somebody asked for it at a later time than it could be put off to.
    again: Option<Instant>,
}

impl Dumps {
    /// Has the scope read at `at` or a little later, but not before.
    pub(super) fn schedule(&mut self, scope: Scope, at: Instant) {
        let (kind, table, ipv6, interface) = scope;
        let whole = (kind, table, ipv6, None);
        let (scope, at) = if interface.is_some() && self.due.contains_key(&whole) {
            (whole, at)
        } else if kind == ROUTES && interface.is_none() {
            (whole, self.absorb_parts(whole, at))
        } else {
            (scope, at)
        };
        let at = self
            .resting
            .get(&resting_key(scope))
            .map_or(at, |until| at.max(*until));
        let due = self.due.entry(scope).or_insert(Due {
            at,
            first: at,
            again: None,
        });
        let latest = due.first + LONGEST_DELAY;
        due.at = due.at.max(at).min(latest);
        if at > latest {
            due.again = due.again.max(Some(at));
        }
    }

    /// What the whole is to be read for includes its parts; the latest of their times.
    fn absorb_parts(&mut self, (kind, table, ipv6, _): Scope, at: Instant) -> Instant {
        let parts = (kind, table, ipv6, Some(0))..=(kind, table, ipv6, Some(u32::MAX));
        let absorbed: Vec<(Scope, Due)> = self.due.range(parts).map(|(scope, due)| (*scope, *due)).collect();
        let mut latest = at;
        for (scope, due) in absorbed {
            self.due.remove(&scope);
            latest = latest.max(due.at).max(due.again.unwrap_or(due.at));
        }
        latest
    }

    /// The first scope that is due.
    pub(super) fn take(&mut self, now: Instant) -> Option<Scope> {
        let scope = *self.due.iter().find(|(_, due)| due.at <= now)?.0;
        let due = self.due.remove(&scope)?;
        if let Some(again) = due.again {
            self.schedule(scope, again);
        }
        Some(scope)
    }

    /// A dump that began at `started` is over. One that the start of the daemon waits for is repeated sooner.
    pub(super) fn ended(&mut self, scope: Scope, started: Instant, now: Instant, urgent: bool) {
        let took = now.saturating_duration_since(started);
        let rest = if urgent { took } else { took * REST };
        self.resting.retain(|_, until| *until > now);
        self.resting
            .insert(resting_key(scope), now + rest.min(LONGEST_REST));
    }

    /// When [`Dumps::take`] has something.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.due.values().map(|due| due.at).min()
    }

    /// There is nothing to ask about an interface that is gone.
    pub(super) fn forget_interface(&mut self, index: u32) {
        self.due.retain(|scope, _| scope.3 != Some(index));
    }
}

/// All parts of a scope rest together.
fn resting_key((kind, table, ipv6, interface): Scope) -> Scope {
    (kind, table, ipv6, interface.map(|_| 0))
}

/// The scope in the words of the wire.
pub(super) fn wire_scope(scope: Scope) -> DumpScope {
    match scope {
        LINKS => DumpScope::Links,
        ADDRESSES => DumpScope::Addresses,
        NEXTHOPS => DumpScope::Nexthops,
        (_, table, ipv6, interface) => DumpScope::Routes {
            table,
            ipv6,
            interface,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: Scope = (ROUTES, TableId::MAIN, false, None);
    const MILLISECOND: Duration = Duration::from_millis(1);

    fn start() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn part(interface: u32) -> Scope {
        (ROUTES, TableId::MAIN, false, Some(interface))
    }

    #[test]
    fn a_hundred_events_are_one_dump_that_comes_after_all_of_them() {
        let (mut dumps, now) = (Dumps::default(), start());
        for event in 0..100 {
            dumps.schedule(MAIN, now + MILLISECOND * (50 + event));
        }
        assert_eq!(dumps.take(now + MILLISECOND * 148), None);
        assert_eq!(dumps.take(now + MILLISECOND * 149), Some(MAIN));
        assert_eq!(dumps.next_deadline(), None);
    }

    #[test]
    fn events_without_end_do_not_put_a_dump_off_for_ever() {
        let (mut dumps, now) = (Dumps::default(), start());
        let mut taken = Vec::new();
        for at in 0..2_000_u32 {
            dumps.schedule(MAIN, now + MILLISECOND * (at + 50));
            if dumps.take(now + MILLISECOND * at).is_some() {
                taken.push(at);
            }
        }
        assert!((3..=4).contains(&taken.len()), "{taken:?}");
        assert!(
            dumps.next_deadline().is_some(),
            "the last event has its dump as well"
        );
    }

    #[test]
    fn the_whole_table_includes_its_interfaces() {
        let (mut dumps, now) = (Dumps::default(), start());
        dumps.schedule(part(2), now + MILLISECOND);
        dumps.schedule(part(3), now + MILLISECOND * 3);
        dumps.schedule(MAIN, now + MILLISECOND * 2);
        dumps.schedule(part(4), now + MILLISECOND * 2);
        assert_eq!(dumps.take(now + MILLISECOND * 2), None);
        assert_eq!(dumps.take(now + MILLISECOND * 3), Some(MAIN));
        assert_eq!(dumps.take(now + MILLISECOND * 9), None);
    }

    #[test]
    fn after_a_slow_dump_its_scope_rests() {
        let (mut dumps, now) = (Dumps::default(), start());
        dumps.ended(MAIN, now, now + MILLISECOND * 100, false);
        dumps.schedule(MAIN, now + MILLISECOND * 100);
        dumps.schedule(LINKS, now);
        assert_eq!(dumps.take(now + MILLISECOND * 1_099), Some(LINKS));
        assert_eq!(dumps.take(now + MILLISECOND * 1_099), None);
        assert_eq!(dumps.take(now + MILLISECOND * 1_100), Some(MAIN));
        dumps.ended(MAIN, now, now + MILLISECOND * 100, true);
        dumps.schedule(MAIN, now);
        assert_eq!(dumps.next_deadline(), Some(now + MILLISECOND * 200));
    }
}
