//! The vocabulary that every room shares: prefixes, tables, peers, and where a route comes from.
//!
//! Nothing here decides anything. Attribute types are the codec's; this module adds what exists only inside a speaker.

mod family;
mod kernel_route;
mod local;
mod secret;

use std::fmt;

pub use ipnet::IpNet as Prefix;
use serde::Serialize;

pub use self::family::{CARRIED, CARRIED_NAMES, UNICAST, unicast_of};
pub use self::kernel_route::{KernelRoute, KernelRouteKind, KernelTableChange};
pub use self::local::{FromKernel, LocalRoute, OriginKind};
pub use self::secret::Secret;

/// A routing table, numbered as the Linux kernel numbers its own (1 to 2^32 - 1).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct TableId(pub u32);

impl TableId {
    /// The kernel's main table, which is also the default BGP table.
    pub const MAIN: Self = Self(254);
    /// No table in particular (`RT_TABLE_UNSPEC`): for routes to install, the one that `[kernel]` names.
    pub const UNSPECIFIED: Self = Self(0);
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            254 => f.write_str("main"),
            253 => f.write_str("default"),
            255 => f.write_str("local"),
            number => write!(f, "{number}"),
        }
    }
}

/// A handle on a peer that stays distinct from any later peer in the same place.
///
/// `index` is dense and reused; `generation` grows with each reuse, so an event that was queued for a deleted peer
/// finds a handle that matches nobody.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct PeerId {
    /// Dense, recycled.
    pub index: u32,
    /// Which tenant of `index` this is.
    pub generation: u32,
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}
