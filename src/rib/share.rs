//! Where there are several shards: which prefixes are one's own, and what they must count together.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bgp_codec::Family;
use foldhash::fast::FixedState;

use crate::route::{PeerId, Prefix};

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

/// What the limits of each peer and family count, in all shards of a speaker together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals(Arc<Mutex<Known>>);

type Known = BTreeMap<(PeerId, Family), Weak<Total>>;

/// Paths of one peer and family, received and accepted, in all shards.
#[derive(Debug, Default)]
pub(crate) struct Total([AtomicU32; 2]);

impl Totals {
    /// That of a peer and family; there is one as long as a shard has it.
    pub(crate) fn of(&self, peer: PeerId, family: Family) -> Arc<Total> {
        // Nothing panics while it holds the lock.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(&(peer, family)).and_then(Weak::upgrade) {
            return known;
        }
        all.retain(|_, total| total.strong_count() > 0);
        let total = Arc::default();
        all.insert((peer, family), Arc::downgrade(&total));
        total
    }
}

impl Total {
    /// Paths received and accepted.
    pub(crate) fn paths(&self) -> [u32; 2] {
        // Each count stands for itself: no other memory is read by what it says.
        self.0.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    /// Adds, or takes away; what there is then.
    pub(crate) fn add(&self, paths: [i32; 2]) -> [u32; 2] {
        let [received, accepted] = &self.0;
        [(received, paths[0]), (accepted, paths[1])].map(|(count, more)| {
            // Two's complement: a negative number takes away.
            let more = more.cast_unsigned();
            count.fetch_add(more, Ordering::Relaxed).wrapping_add(more)
        })
    }
}
