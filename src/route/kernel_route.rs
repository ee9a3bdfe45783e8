//! A route of the kernel's table as the importer sees it.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet as Prefix;

use super::TableId;

/// What the kernel does with packets that match a route (`RTN_*`).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum KernelRouteKind {
    /// Forwarded through a gateway or link.
    Unicast,
    /// Delivered locally.
    Local,
    /// Silently discarded.
    Blackhole,
    /// Discarded with ICMP host unreachable.
    Unreachable,
    /// Discarded with ICMP administratively prohibited.
    Prohibit,
    /// Any other type, by its number.
    Other(u8),
}

/// One route as the kernel reports it; routes that differ in any of table, prefix or metric are distinct.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KernelRoute {
    /// The table that holds it.
    pub table: TableId,
    /// Destination.
    pub prefix: Prefix,
    /// `RTA_PRIORITY`; 0 when absent.
    pub metric: u32,
    /// Type.
    pub kind: KernelRouteKind,
    /// Who installed it (`rtm_protocol`: 2 kernel, 3 boot, 4 static, 12 BIRD, 179 ours by default).
    pub protocol: u8,
    /// `rtm_scope`: 0 global, 253 link, 254 host.
    pub scope: u8,
    /// Outgoing interface's name of the first next hop, when there is one.
    pub interface: Option<Arc<str>>,
    /// Gateway of the first next hop, when there is one.
    pub gateway: Option<IpAddr>,
    /// `RTA_FLOW`, the realm; 0 when absent.
    pub realm: u32,
}

/// What a kernel watcher tells the importer. Routes are keyed by (table, prefix, metric).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KernelTableChange {
    /// The whole set, at start and after an overrun.
    Full(Vec<KernelRoute>),
    /// A route appeared or replaced the one with the same key.
    Added(KernelRoute),
    /// The route with this key went.
    Removed {
        /// The table that held it.
        table: TableId,
        /// Destination.
        prefix: Prefix,
        /// `RTA_PRIORITY`; 0 when absent.
        metric: u32,
    },
}
