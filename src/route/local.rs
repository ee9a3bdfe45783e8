//! Routes that this speaker originates.

use std::fmt;
use std::sync::Arc;

use bgp_codec::PathAttributes;
use ipnet::IpNet as Prefix;
use serde::{Deserialize, Serialize};

/// What made us originate a route; a filter's `source` matches these words as well as the name.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OriginKind {
    /// Written in the configuration.
    Static,
    /// Read from the kernel's table.
    Kernel,
    /// A load-balancer address with health checks.
    Vip,
    /// Stands for more specific routes.
    Aggregate,
}

impl fmt::Display for OriginKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Static => "static",
            Self::Kernel => "kernel",
            Self::Vip => "vip",
            Self::Aggregate => "aggregate",
        })
    }
}

/// A route of our own, before any export policy; its next hop is always this speaker.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LocalRoute {
    /// Destination.
    pub prefix: Prefix,
    /// What made us originate it.
    pub kind: OriginKind,
    /// The `name` of the `[[originate]]` or `[[vip]]` it comes from.
    pub name: Arc<str>,
    /// Attributes to start from: ORIGIN, and what the source sets. No next hop, an empty AS_PATH.
    pub attributes: Arc<PathAttributes>,
    /// What the kernel's table says of it, for routes read from there.
    pub from_kernel: Option<FromKernel>,
}

/// What filters may ask of a route that was read from the kernel's table.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct FromKernel {
    /// Its metric, `RTA_PRIORITY`.
    pub metric: u32,
    /// Its realm, `RTA_FLOW`; 0 when it has none.
    pub realm: u32,
}
