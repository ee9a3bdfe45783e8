//! Which of a prefix's paths go to groups with path ids, RFC 7911.
//!
//! The choice is made once for a group, before its export policy, so that members share their bytes. Ids are those of the
//! paths themselves: whoever enters or leaves the choice moves no other.

use smallvec::SmallVec;

use super::ids::PathSlot;
use super::interface::SentPaths;

/// What there is to choose from.
#[derive(Debug, Default)]
pub(crate) struct Ranking {
    /// The best path, then those equal to it up to the interior cost.
    pub(crate) equal: SmallVec<[PathSlot; 4]>,
    /// The usable paths in the order in which they would be best if all before them went, as many as are asked for.
    pub(crate) order: SmallVec<[PathSlot; 4]>,
}

impl Ranking {
    /// Whether a usable path goes out.
    pub(crate) fn sends(&self, paths: SentPaths, slot: PathSlot) -> bool {
        match paths {
            SentPaths::All => true,
            SentPaths::Equal => self.equal.contains(&slot),
            SentPaths::Best(count) => self.order.iter().take(count.get().into()).any(|at| *at == slot),
        }
    }
}

impl SentPaths {
    /// How far an order is needed.
    pub(crate) const fn depth(self) -> usize {
        match self {
            Self::All | Self::Equal => 0,
            Self::Best(count) => count.get() as usize,
        }
    }
}
