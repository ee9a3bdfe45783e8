//! What a route of ours carries beside where it leads.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Route;
use crate::route::{KernelRouteKind, Prefix};

/// The same for all routes that are written under the same settings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Stamp {
    /// `rtm_protocol`.
    pub(crate) protocol: u8,
    /// `RTA_PREFSRC` of IPv4 routes.
    pub(crate) ipv4_source: Option<Ipv4Addr>,
    /// `RTA_PREFSRC` of IPv6 routes.
    pub(crate) ipv6_source: Option<Ipv6Addr>,
    /// `RTAX_MTU`, octets; 0 for the interface's.
    pub(crate) mtu: u32,
    /// `RTAX_ADVMSS`, octets; 0 for what follows from the MTU.
    pub(crate) advmss: u32,
    /// Routes that discard say so to whoever sends (`RTN_UNREACHABLE`); others are `RTN_BLACKHOLE`.
    pub(crate) unreachable: bool,
}

impl Stamp {
    /// Nothing but a protocol.
    pub(crate) const fn plain(protocol: u8) -> Self {
        Self {
            protocol,
            ipv4_source: None,
            ipv6_source: None,
            mtu: 0,
            advmss: 0,
            unreachable: false,
        }
    }

    /// `RTA_PREFSRC` of a route to this prefix.
    pub(crate) fn source(&self, prefix: Prefix) -> Option<IpAddr> {
        match prefix {
            Prefix::V4(_) => self.ipv4_source.map(IpAddr::V4),
            Prefix::V6(_) => self.ipv6_source.map(IpAddr::V6),
        }
    }

    /// Whether a route that the kernel shows is written like this. One that discards has no more than a protocol.
    pub(crate) fn is_on(&self, route: &Route) -> bool {
        let rest = (route.preferred_source, route.mtu, route.advmss);
        let expected = (self.source(route.prefix), self.mtu, self.advmss);
        let written_so = match route.kind {
            KernelRouteKind::Unicast => rest == expected,
            KernelRouteKind::Unreachable => self.unreachable,
            KernelRouteKind::Blackhole => !self.unreachable,
            KernelRouteKind::Local | KernelRouteKind::Prohibit | KernelRouteKind::Other(_) => false,
        };
        route.protocol == self.protocol && written_so
    }
}
