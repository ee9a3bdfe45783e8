//! What configuration says of originated routes.

use std::sync::Arc;

use bgp_codec::{Community, LargeCommunity};
use ipnet::IpNet;

use crate::rib::interface;
use crate::route::{KernelRouteKind, TableId};

/// One `[[originate]]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    /// Unique; filters match it in `source`.
    pub name: Arc<str>,
    /// Where its prefixes come from.
    pub from: From,
    /// Communities that its routes carry.
    pub communities: Vec<Community>,
    /// Large communities that its routes carry.
    pub large_communities: Vec<LargeCommunity>,
    /// MED that its routes carry.
    pub med: Option<u32>,
}

/// Where the prefixes of a [`Source`] come from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum From {
    /// Written down.
    Prefixes {
        /// Which.
        prefixes: Vec<IpNet>,
        /// A blackhole of ours is installed beneath each, so that strays do not loop.
        discard: bool,
    },
    /// The kernel's table.
    Kernel(KernelMatch),
}

/// Which kernel routes a source takes; every condition given must hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KernelMatch {
    /// In this table.
    pub table: TableId,
    /// Of one of these types; empty: any but local.
    pub kinds: Vec<KernelRouteKind>,
    /// Of one of these protocols; empty: any.
    pub protocols: Vec<u8>,
    /// With one of these scopes; empty: any.
    pub scopes: Vec<u8>,
    /// Out of an interface whose name matches one of these globs; empty: any.
    pub interfaces: Vec<String>,
    /// Inside one of these; empty: any.
    pub within: Vec<IpNet>,
    /// Prefix length at least.
    pub ge: Option<u8>,
    /// Prefix length at most.
    pub le: Option<u8>,
    /// Metric in this range, inclusive.
    pub metric: Option<(u32, u32)>,
    /// Realm in this range, inclusive; a route without one has 0.
    pub realm: Option<(u32, u32)>,
}

/// One `[[aggregate]]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Aggregate {
    /// What the tables make of it.
    pub rule: interface::Aggregate,
    /// A blackhole of ours is installed beneath it while it is there, RFC 4632 §5.1.
    pub discard: bool,
}
