//! Which prefixes are a shard's own, where there are several.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use crate::route::Prefix;

/// One of several shards that divide the prefixes among them. All are told everything, and each keeps what it holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Share {
    /// From 0 on.
    pub(crate) number: u16,
    /// How many there are.
    pub(crate) of: u16,
}

impl Share {
    /// The only shard holds everything.
    pub(crate) const WHOLE: Self = Self { number: 0, of: 1 };

    /// Whether the prefix is this shard's. Every shard of a speaker gives the same answer, so the hash is not seeded.
    #[inline]
    pub(crate) fn holds(self, prefix: Prefix) -> bool {
        self.of <= 1
            || FixedState::with_seed(0).hash_one(prefix) % u64::from(self.of) == u64::from(self.number)
    }
}
