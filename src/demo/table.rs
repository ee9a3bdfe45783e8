//! A routing table as people read it: the lines of `ip route`.

use std::{collections::BTreeMap, fmt, net::Ipv4Addr};

use ipnet::Ipv4Net;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteNextHop, RouteProtocol, RouteScope, RouteType,
};

/// The protocol number that Stonechat marks its routes with unless it is told otherwise.
pub(super) const STONECHAT: u8 = 179;

/// One way out of a route.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Hop {
    /// The router; nothing when the destination is on the link.
    pub(super) via: Option<Ipv4Addr>,
    link: Option<String>,
}

/// One line of a table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Line {
    /// Where to.
    pub(super) prefix: Ipv4Net,
    /// The number of the program that put it there.
    pub(super) protocol: u8,
    /// The ways out; none for a blackhole.
    pub(super) hops: Vec<Hop>,
    kind: RouteType,
    on_link: bool,
    source: Option<Ipv4Addr>,
    metric: Option<u32>,
}

impl Line {
    /// Reads a route of the kernel; `names` has the links by index.
    pub(super) fn read(route: &RouteMessage, names: &BTreeMap<u32, String>) -> Self {
        let header = &route.header;
        let mut line = Self {
            prefix: Ipv4Net::default(),
            protocol: header.protocol.into(),
            hops: Vec::new(),
            kind: header.kind,
            on_link: header.scope == RouteScope::Link,
            source: None,
            metric: None,
        };
        let mut destination = Ipv4Addr::UNSPECIFIED;
        for attribute in &route.attributes {
            match attribute {
                RouteAttribute::Destination(RouteAddress::Inet(address)) => destination = *address,
                RouteAttribute::PrefSource(RouteAddress::Inet(address)) => line.source = Some(*address),
                RouteAttribute::Priority(metric) => line.metric = Some(*metric),
                RouteAttribute::MultiPath(hops) => {
                    line.hops = hops.iter().map(|hop| Hop::of(hop, names)).collect()
                }
                _ => {}
            }
        }
        if line.hops.is_empty() && header.kind == RouteType::Unicast {
            let link = route.attributes.iter().find_map(|attribute| match attribute {
                RouteAttribute::Oif(index) => names.get(index).cloned(),
                _ => None,
            });
            line.hops.push(Hop {
                via: gateway(&route.attributes),
                link,
            });
        }
        line.prefix = Ipv4Net::new(destination, header.destination_prefix_length).unwrap_or_default();
        line
    }

    /// Every router that the line names, in order.
    pub(super) fn routers(&self) -> Vec<Ipv4Addr> {
        let mut routers: Vec<Ipv4Addr> = self.hops.iter().filter_map(|hop| hop.via).collect();
        routers.sort_unstable();
        routers
    }
}

impl Hop {
    fn of(hop: &RouteNextHop, names: &BTreeMap<u32, String>) -> Self {
        Self {
            via: gateway(&hop.attributes),
            link: names.get(&hop.interface_index).cloned(),
        }
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(via) = self.via {
            write!(f, " via {via}")?;
        }
        self.link.as_ref().map_or(Ok(()), |link| write!(f, " dev {link}"))
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            RouteType::BlackHole => f.write_str("blackhole ")?,
            RouteType::Unreachable => f.write_str("unreachable ")?,
            RouteType::Prohibit => f.write_str("prohibit ")?,
            _ => {}
        }
        match self.prefix.prefix_len() {
            0 => f.write_str("default")?,
            32 => write!(f, "{}", self.prefix.addr())?,
            _ => write!(f, "{}", self.prefix)?,
        }
        if let [hop] = self.hops.as_slice() {
            write!(f, "{hop}")?;
        }
        // What `ip route add` puts in goes without saying.
        if self.protocol != u8::from(RouteProtocol::Boot) {
            match RouteProtocol::from(self.protocol) {
                RouteProtocol::Kernel => f.write_str(" proto kernel")?,
                RouteProtocol::Static => f.write_str(" proto static")?,
                _ => write!(f, " proto {}", self.protocol)?,
            }
        }
        if self.on_link {
            f.write_str(" scope link")?;
        }
        if let Some(source) = self.source {
            write!(f, " src {source}")?;
        }
        if let Some(metric) = self.metric {
            write!(f, " metric {metric}")?;
        }
        if self.hops.len() > 1 {
            for hop in &self.hops {
                write!(f, "\n        nexthop{hop}")?;
            }
        }
        Ok(())
    }
}

fn gateway(attributes: &[RouteAttribute]) -> Option<Ipv4Addr> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(address)) => Some(*address),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blackhole_reads_as_ip_route_prints_it() {
        let mut route = RouteMessage::default();
        route.header.destination_prefix_length = 24;
        route.header.kind = RouteType::BlackHole;
        route.header.protocol = RouteProtocol::Boot;
        route.attributes = vec![RouteAttribute::Destination(Ipv4Addr::new(10, 244, 0, 0).into())];
        check(&route, "blackhole 10.244.0.0/24");
    }

    #[test]
    fn a_learned_route_shows_router_protocol_and_metric() {
        let mut route = RouteMessage::default();
        route.header.destination_prefix_length = 32;
        route.header.kind = RouteType::Unicast;
        route.header.protocol = RouteProtocol::Other(STONECHAT);
        route.attributes = vec![
            RouteAttribute::Destination(Ipv4Addr::new(172, 16, 99, 99).into()),
            RouteAttribute::Gateway(Ipv4Addr::new(172, 16, 40, 202).into()),
            RouteAttribute::Oif(2),
            RouteAttribute::Priority(200),
        ];
        check(
            &route,
            "172.16.99.99 via 172.16.40.202 dev eth0 proto 179 metric 200",
        );
    }

    #[test]
    fn two_ways_out_are_two_lines() {
        let mut route = RouteMessage::default();
        route.header.kind = RouteType::Unicast;
        let hops = [1, 2].map(|last| {
            let mut hop = RouteNextHop::default();
            hop.interface_index = 2;
            hop.attributes = vec![RouteAttribute::Gateway(Ipv4Addr::new(172, 16, 40, last).into())];
            hop
        });
        route.header.protocol = RouteProtocol::Boot;
        route.attributes = vec![RouteAttribute::MultiPath(hops.to_vec())];
        check(
            &route,
            "default\n        nexthop via 172.16.40.1 dev eth0\n        nexthop via 172.16.40.2 dev eth0",
        );
    }

    fn check(route: &RouteMessage, expected: &str) {
        let names = BTreeMap::from([(2, "eth0".to_owned())]);
        assert_eq!(Line::read(route, &names).to_string(), expected);
    }
}
