//! `RTM_*ROUTE`: what the kernel says of a route.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use smallvec::SmallVec;

use super::{AF_INET, AF_INET6, Attributes, Cursor, align};
use crate::route::{KernelRoute, KernelRouteKind, Prefix, TableId};

/// `RTA_*`.
pub(super) mod attribute {
    pub(crate) const DST: u16 = 1;
    pub(crate) const OIF: u16 = 4;
    pub(crate) const GATEWAY: u16 = 5;
    pub(crate) const PRIORITY: u16 = 6;
    pub(crate) const PREFSRC: u16 = 7;
    pub(crate) const METRICS: u16 = 8;
    pub(crate) const MULTIPATH: u16 = 9;
    pub(crate) const FLOW: u16 = 11;
    pub(crate) const TABLE: u16 = 15;
    pub(crate) const VIA: u16 = 18;
    pub(crate) const NH_ID: u16 = 30;
}

/// `RTAX_*`, inside of [`attribute::METRICS`].
pub(super) mod metrics {
    pub(crate) const MTU: u16 = 2;
    pub(crate) const ADVMSS: u16 = 8;
}

/// `RTNH_F_ONLINK`: the gateway is taken as on the link whatever the table says.
pub(super) const ONLINK: u8 = 4;
/// `RTM_F_CLONED`: a cached exception, not a route.
const CLONED: u32 = 0x200;

/// Where a route sends packets. Most have one.
pub(crate) type Hops = SmallVec<[Hop; 1]>;

/// One immediate next hop of a kernel route.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Hop {
    /// Interface index; 0 when the kernel shall find it.
    pub(crate) interface: u32,
    /// None: the destination is on the link itself.
    pub(crate) gateway: Option<IpAddr>,
    /// 1 to 256.
    pub(crate) weight: u16,
    /// Taken as on the link whatever the table says.
    pub(crate) onlink: bool,
}

/// A route as the kernel reports it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Route {
    /// The table that holds it.
    pub(crate) table: TableId,
    /// Destination.
    pub(crate) prefix: Prefix,
    /// `rtm_tos`; such routes are nobody's concern here.
    pub(crate) tos: u8,
    /// `RTA_PRIORITY`; 0 when absent.
    pub(crate) metric: u32,
    /// What becomes of packets.
    pub(crate) kind: KernelRouteKind,
    /// Who installed it.
    pub(crate) protocol: u8,
    /// `rtm_scope`.
    pub(crate) scope: u8,
    /// Empty for routes that discard.
    pub(crate) hops: Hops,
    /// `RTA_PREFSRC`.
    pub(crate) preferred_source: Option<IpAddr>,
    /// `RTA_FLOW`.
    pub(crate) realm: u32,
    /// `RTA_NH_ID`; 0 when it names no nexthop object.
    pub(crate) nexthop_id: u32,
    /// `RTAX_MTU`; 0 when absent.
    pub(crate) mtu: u32,
    /// `RTAX_ADVMSS`; 0 when absent.
    pub(crate) advmss: u32,
}

impl Route {
    /// Reads the payload of `RTM_NEWROUTE` or `RTM_DELROUTE`; none if malformed, cached, or neither IPv4 nor IPv6.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let mut cursor = Cursor(payload);
        let [family, length, source_length, tos] = cursor.take()?;
        let [table, protocol, scope, kind] = cursor.take()?;
        let flags = cursor.u32()?;
        // Source-specific routes (`ip -6 route add .. from ..`) are another routing table altogether.
        if flags & CLONED != 0 || source_length != 0 {
            return None;
        }
        let mut route = Self {
            table: TableId(u32::from(table)),
            prefix: prefix(family, length, &[])?,
            tos,
            metric: 0,
            kind: route_kind(kind),
            protocol,
            scope,
            hops: Hops::new(),
            preferred_source: None,
            realm: 0,
            nexthop_id: 0,
            mtu: 0,
            advmss: 0,
        };
        let [hop_flags, ..] = flags.to_le_bytes();
        let mut hop = Hop {
            interface: 0,
            gateway: None,
            weight: 1,
            onlink: hop_flags & ONLINK != 0,
        };
        for (kind, value) in Attributes(cursor.0) {
            match kind {
                attribute::DST => route.prefix = prefix(family, length, value)?,
                attribute::TABLE => route.table = TableId(Cursor(value).u32()?),
                attribute::PRIORITY => route.metric = Cursor(value).u32()?,
                attribute::FLOW => route.realm = Cursor(value).u32()?,
                attribute::NH_ID => route.nexthop_id = Cursor(value).u32()?,
                attribute::PREFSRC => route.preferred_source = Some(address(family, value)?),
                attribute::METRICS => (route.mtu, route.advmss) = read_metrics(value)?,
                attribute::OIF => hop.interface = Cursor(value).u32()?,
                attribute::GATEWAY => hop.gateway = Some(address(family, value)?),
                attribute::VIA => hop.gateway = via(value),
                attribute::MULTIPATH => route.hops = multipath(family, value),
                _ => {}
            }
        }
        if route.hops.is_empty()
            && (hop.interface != 0 || hop.gateway.is_some())
            && matches!(
                route.kind,
                KernelRouteKind::Unicast | KernelRouteKind::Local | KernelRouteKind::Other(_)
            )
        {
            route.hops.push(hop);
        }
        Some(route)
    }

    /// The route in the importer's words; `interface` names the first hop's.
    pub(crate) fn to_kernel_route(&self, interface: Option<std::sync::Arc<str>>) -> KernelRoute {
        KernelRoute {
            table: self.table,
            prefix: self.prefix,
            metric: self.metric,
            kind: self.kind,
            protocol: self.protocol,
            scope: self.scope,
            interface,
            gateway: self.hops.first().and_then(|hop| hop.gateway),
            realm: self.realm,
        }
    }

    /// Made by the kernel for a subnet that an interface is on.
    pub(crate) fn is_connected(&self) -> bool {
        const KERNEL: u8 = 2;
        self.protocol == KERNEL
            && self.kind == KernelRouteKind::Unicast
            && self.hops.iter().all(|hop| hop.gateway.is_none())
    }
}

/// The name of an `rtm_protocol`, as `ip route` prints it, or its number.
pub(crate) fn protocol_name(protocol: u8) -> String {
    let name = match protocol {
        1 => "redirect",
        2 => "kernel",
        3 => "boot",
        4 => "static",
        8 => "gated",
        9 => "ra",
        10 => "mrt",
        11 => "zebra",
        12 => "bird",
        14 => "xorp",
        15 => "ntk",
        16 => "dhcp",
        17 => "mrouted",
        18 => "keepalived",
        42 => "babel",
        186 => "bgp",
        187 => "isis",
        188 => "ospf",
        189 => "rip",
        192 => "eigrp",
        number => return number.to_string(),
    };
    name.to_owned()
}

fn route_kind(kind: u8) -> KernelRouteKind {
    match kind {
        1 => KernelRouteKind::Unicast,
        2 => KernelRouteKind::Local,
        6 => KernelRouteKind::Blackhole,
        7 => KernelRouteKind::Unreachable,
        8 => KernelRouteKind::Prohibit,
        other => KernelRouteKind::Other(other),
    }
}

fn prefix(family: u8, length: u8, value: &[u8]) -> Option<Prefix> {
    let prefix = match family {
        AF_INET => {
            let octets = if value.is_empty() {
                [0; 4]
            } else {
                *value.first_chunk()?
            };
            Prefix::V4(Ipv4Net::new(Ipv4Addr::from(octets), length).ok()?)
        }
        AF_INET6 => {
            let octets = if value.is_empty() {
                [0; 16]
            } else {
                *value.first_chunk()?
            };
            Prefix::V6(Ipv6Net::new(Ipv6Addr::from(octets), length).ok()?)
        }
        _ => return None,
    };
    Some(prefix.trunc())
}

pub(super) fn address(family: u8, value: &[u8]) -> Option<IpAddr> {
    match family {
        AF_INET => value.first_chunk::<4>().map(|octets| IpAddr::from(*octets)),
        AF_INET6 => value.first_chunk::<16>().map(|octets| IpAddr::from(*octets)),
        _ => None,
    }
}

/// `RTA_METRICS`: MTU and MSS, 0 where absent.
fn read_metrics(value: &[u8]) -> Option<(u32, u32)> {
    let (mut mtu, mut advmss) = (0, 0);
    for (kind, value) in Attributes(value) {
        match kind {
            metrics::MTU => mtu = Cursor(value).u32()?,
            metrics::ADVMSS => advmss = Cursor(value).u32()?,
            _ => {}
        }
    }
    Some((mtu, advmss))
}

/// `RTA_VIA`: a gateway with its own family.
fn via(value: &[u8]) -> Option<IpAddr> {
    let mut cursor = Cursor(value);
    let family = u8::try_from(cursor.u16()?).ok()?;
    address(family, cursor.0)
}

/// `RTA_MULTIPATH`: a list of `rtnexthop`, each with attributes of its own.
fn multipath(family: u8, value: &[u8]) -> Hops {
    let mut hops = Hops::new();
    let mut rest = value;
    while let Some(hop) = one_of_multipath(family, &mut rest) {
        hops.push(hop);
    }
    hops
}

fn one_of_multipath(family: u8, rest: &mut &[u8]) -> Option<Hop> {
    let mut cursor = Cursor(rest);
    let len = usize::from(cursor.u16()?);
    let [flags, weight] = cursor.take()?;
    let interface = cursor.u32()?;
    let mut hop = Hop {
        interface,
        gateway: None,
        weight: u16::from(weight) + 1,
        onlink: flags & ONLINK != 0,
    };
    let attributes = Attributes(cursor.0.get(..len.checked_sub(8)?)?);
    for (kind, value) in attributes {
        match kind {
            attribute::GATEWAY => hop.gateway = address(family, value),
            attribute::VIA => hop.gateway = via(value),
            _ => {}
        }
    }
    *rest = rest.get(align(len)..).unwrap_or_default();
    Some(hop)
}
