//! Prefixes that somebody outside waits for: says that one of them was decided anew, and leaves it to them to ask.

use std::collections::BTreeSet;

use crate::route::Prefix;

/// What is watched, and whether there is news of it.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    prefixes: BTreeSet<Prefix>,
    decided: bool,
}

impl Watched {
    /// Watches these and no others.
    pub(crate) fn watch(&mut self, prefixes: BTreeSet<Prefix>) {
        self.prefixes = prefixes;
    }

    /// A prefix was decided. Mostly nobody waits for any, which costs one compare.
    #[inline]
    pub(crate) fn decided(&mut self, prefix: impl FnOnce() -> Prefix) {
        if !self.prefixes.is_empty() && !self.decided {
            self.decided = self.prefixes.contains(&prefix());
        }
    }

    /// Whether there is news since this was last asked.
    pub(crate) fn take(&mut self) -> bool {
        std::mem::take(&mut self.decided)
    }
}
