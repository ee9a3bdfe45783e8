//! The BGP Identifier of a speaker that was given none, and the addresses of this node.
//!
//! In order: the source address of the default route; the lowest global IPv4 address; a hash of the machine's id, so that
//! an IPv6-only node has one as well (RFC 6286 §2.1 asks for a non-zero number that is unique in the AS). Never 0, never
//! class D or E.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use super::mirror::Mirror;
use super::netlink::Requests;
use super::wire::{DumpScope, Message};
use crate::route::{Prefix, TableId};

/// Chooses a router id from the kernel's present state.
///
/// # Errors
///
/// The kernel cannot be asked.
pub fn discover() -> io::Result<Ipv4Addr> {
    let mirror = snapshot(true)?;
    let machine_id = fs::read("/etc/machine-id")
        .or_else(|_| fs::read("/proc/sys/kernel/hostname"))
        .unwrap_or_default();
    Ok(choose(&mirror, &machine_id))
}

/// All addresses of this node, loopback and link-local ones included.
///
/// # Errors
///
/// The kernel cannot be asked.
pub fn local_addresses() -> io::Result<Vec<IpAddr>> {
    Ok(snapshot(false)?
        .addresses()
        .map(|address| address.local)
        .collect())
}

fn snapshot(routes: bool) -> io::Result<Mirror> {
    let mut requests = Requests::open()?;
    let mut mirror = Mirror::default();
    let mut scopes = vec![DumpScope::Links, DumpScope::Addresses];
    if routes {
        scopes.push(DumpScope::Routes {
            table: TableId::MAIN,
            ipv6: false,
            interface: None,
        });
    }
    for scope in scopes {
        for message in requests.dump(scope)? {
            match message {
                Message::Link(verb, link) => drop(mirror.link(verb, link)),
                Message::Address(verb, address) => drop(mirror.address(verb, address)),
                Message::Route(verb, flags, route) if route.prefix.prefix_len() == 0 => {
                    mirror.route(verb, flags, route)
                }
                Message::Route(..)
                | Message::Nexthop(..)
                | Message::Answer { .. }
                | Message::Done(_)
                | Message::Overrun
                | Message::Other => {}
            }
        }
    }
    Ok(mirror)
}

fn choose(mirror: &Mirror, machine_id: &[u8]) -> Ipv4Addr {
    source_of_default(mirror)
        .or_else(|| lowest_global(mirror))
        .unwrap_or_else(|| hashed(machine_id))
}

/// The address that packets by the default route carry: the route's own hint, else the first address of the interface on
/// the gateway's subnet, else the interface's first.
fn source_of_default(mirror: &Mirror) -> Option<Ipv4Addr> {
    let default = mirror
        .at(TableId::MAIN, Prefix::V4(ipnet::Ipv4Net::default()))
        .first()?;
    if let Some(IpAddr::V4(source)) = default.preferred_source {
        return is_valid(source).then_some(source);
    }
    let hop = default.hops.first()?;
    let of_interface = || {
        mirror
            .addresses()
            .filter(|address| address.interface == hop.interface && !address.secondary)
    };
    let beside_gateway = of_interface().find(|address| {
        let subnet = Prefix::new(address.local, address.length);
        hop.gateway
            .is_some_and(|gateway| subnet.is_ok_and(|subnet| subnet.contains(&gateway)))
    });
    let mut candidates = beside_gateway.into_iter().chain(of_interface());
    candidates.find_map(|address| usable(address.local))
}

fn lowest_global(mirror: &Mirror) -> Option<Ipv4Addr> {
    let global = mirror.addresses().filter(|address| address.scope == 0);
    global
        .filter_map(|address| usable(address.local))
        .filter(|address| !address.is_loopback() && !address.is_link_local())
        .min()
}

/// FNV-1a, folded into the valid range.
fn hashed(machine_id: &[u8]) -> Ipv4Addr {
    let mut hash: u32 = 0x811c_9dc5;
    for octet in machine_id.trim_ascii() {
        hash = (hash ^ u32::from(*octet)).wrapping_mul(0x0100_0193);
    }
    // 1.0.0.0 to 223.255.255.255.
    Ipv4Addr::from(0x0100_0000 + hash % 0xdf00_0000)
}

fn usable(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => is_valid(address).then_some(address),
        IpAddr::V6(_) => None,
    }
}

fn is_valid(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    !address.is_unspecified() && first < 224
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;
    use crate::kernel::wire::{Address, Hop, Route, Verb};
    use crate::route::KernelRouteKind;

    #[test]
    fn the_default_routes_source_comes_first() {
        let mut mirror = Mirror::default();
        add(&mut mirror, 2, "192.0.2.1", 24);
        add(&mut mirror, 3, "198.51.100.7", 24);
        assert_eq!(
            choose(&mirror, b"x").to_string(),
            "192.0.2.1",
            "the lowest, without a default route"
        );
        let mut route = default_via(3, "198.51.100.254");
        mirror.route(Verb::New, 0, route.clone());
        assert_eq!(choose(&mirror, b"x").to_string(), "198.51.100.7");
        route.preferred_source = Some("203.0.113.9".parse().unwrap());
        mirror.route(Verb::New, 0, route);
        assert_eq!(choose(&mirror, b"x").to_string(), "203.0.113.9");
    }

    /// Trap 22.
    #[test]
    fn an_ipv6_only_node_has_a_stable_valid_id() {
        let mut mirror = Mirror::default();
        add(&mut mirror, 2, "2001:db8::1", 64);
        for id in ["", "0", "9f2b1c0d5e", "another machine\n", "zzzz"] {
            let first = choose(&mirror, id.as_bytes());
            assert_eq!(first, choose(&mirror, id.as_bytes()));
            assert!(is_valid(first) && first.octets()[0] != 0, "{id}: {first}");
        }
        assert_ne!(choose(&mirror, b"a"), choose(&mirror, b"b"));
        assert_eq!(choose(&mirror, b"a\n"), choose(&mirror, b"a"));
    }

    #[test]
    fn loopback_and_link_local_addresses_are_passed_over() {
        let mut mirror = Mirror::default();
        add(&mut mirror, 1, "127.0.0.1", 8);
        add(&mut mirror, 2, "169.254.1.1", 16);
        add(&mut mirror, 2, "198.51.100.7", 24);
        assert_eq!(choose(&mirror, b"x").to_string(), "198.51.100.7");
    }

    fn add(mirror: &mut Mirror, interface: u32, local: &str, length: u8) {
        let local = local.parse().unwrap();
        let address = Address {
            interface,
            local,
            length,
            scope: 0,
            secondary: false,
            duplicate: false,
        };
        mirror.address(Verb::New, address);
    }

    fn default_via(interface: u32, gateway: &str) -> Route {
        Route {
            table: TableId::MAIN,
            prefix: "0.0.0.0/0".parse().unwrap(),
            tos: 0,
            metric: 0,
            kind: KernelRouteKind::Unicast,
            protocol: 4,
            scope: 0,
            hops: smallvec![Hop {
                interface,
                gateway: Some(gateway.parse().unwrap()),
                weight: 1,
                onlink: false
            }],
            preferred_source: None,
            realm: 0,
            nexthop_id: 0,
            mtu: 0,
            advmss: 0,
        }
    }
}
