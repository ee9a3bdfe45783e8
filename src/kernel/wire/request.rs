//! Requests: adding, replacing and deleting routes, and dumps.

use std::net::IpAddr;

use super::route::{ONLINK, attribute, metrics};
use super::{AF_INET, AF_INET6, HEADER_LEN, Hop, Stamp, align};
use crate::route::{Prefix, TableId};

const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETLINK: u16 = 18;
const RTM_GETADDR: u16 = 22;
const RTM_GETROUTE: u16 = 26;
const RTM_GETNEXTHOP: u16 = 106;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_REPLACE: u16 = 0x100;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_DUMP: u16 = 0x300;
const RTN_UNICAST: u8 = 1;
const RTN_BLACKHOLE: u8 = 6;
const RTN_UNREACHABLE: u8 = 7;
/// `RT_SCOPE_NOWHERE`: in a delete, any scope.
const SCOPE_ANY: u8 = 255;

/// A change of one kernel route.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Change<'a> {
    /// `CREATE|EXCL`: fails with EEXIST where any route has the same table, prefix and metric.
    Create(Target<'a>),
    /// `REPLACE` without `CREATE`: overwrites the route of the same table, prefix and metric, whoever owns it.
    Replace(Target<'a>),
    /// Names protocol, metric and table, so that nobody else's route matches.
    Delete,
}

/// Where a route is to lead.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Target<'a> {
    /// Through these hops; without any it discards.
    Hops(&'a [Hop]),
    /// Wherever this nexthop object leads.
    Nexthop(u32),
}

/// What a dump asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum DumpScope {
    /// All links.
    Links,
    /// All addresses.
    Addresses,
    /// All nexthop objects.
    Nexthops,
    /// Routes of one table and family, perhaps only those through one interface.
    Routes {
        /// Which table; [`TableId::UNSPECIFIED`] for all of them.
        table: TableId,
        /// IPv6, not IPv4.
        ipv6: bool,
        /// Only through this interface.
        interface: Option<u32>,
    },
}

/// Appends a request that changes the route of (`table`, `prefix`, `metric`) that belongs to the stamp's protocol.
///
/// `acknowledge` asks for an answer on success as well; a failure is always answered.
pub(crate) fn encode_change(
    out: &mut Vec<u8>,
    (table, prefix, metric, stamp): (TableId, Prefix, u32, &Stamp),
    change: Change<'_>,
    sequence: u32,
    acknowledge: bool,
) {
    let (kind, flags, scope, rtn) = match change {
        Change::Create(target) => (
            RTM_NEWROUTE,
            NLM_F_CREATE | NLM_F_EXCL,
            0,
            route_type(target, stamp),
        ),
        Change::Replace(target) => (RTM_NEWROUTE, NLM_F_REPLACE, 0, route_type(target, stamp)),
        Change::Delete => (RTM_DELROUTE, 0, SCOPE_ANY, 0),
    };
    let acknowledge = if acknowledge { NLM_F_ACK } else { 0 };
    let start = begin(out, kind, NLM_F_REQUEST | acknowledge | flags, sequence);
    let family = if prefix.addr().is_ipv4() {
        AF_INET
    } else {
        AF_INET6
    };
    let (hops, nexthop) = match change {
        Change::Create(Target::Hops(hops)) | Change::Replace(Target::Hops(hops)) => (hops, None),
        Change::Create(Target::Nexthop(id)) | Change::Replace(Target::Nexthop(id)) => {
            ([].as_slice(), Some(id))
        }
        Change::Delete => ([].as_slice(), None),
    };
    let route_flags = match hops {
        [only] if only.onlink => ONLINK,
        _ => 0,
    };
    out.extend([family, prefix.prefix_len(), 0, 0]);
    out.extend([u8::try_from(table.0).unwrap_or(0), stamp.protocol, scope, rtn]);
    out.extend(u32::from(route_flags).to_ne_bytes());
    put_address(out, attribute::DST, prefix.addr());
    put(out, attribute::TABLE, &table.0.to_ne_bytes());
    put(out, attribute::PRIORITY, &metric.to_ne_bytes());
    if let Some(id) = nexthop {
        put(out, attribute::NH_ID, &id.to_ne_bytes());
    }
    if nexthop.is_some() || !hops.is_empty() {
        put_stamp(out, prefix, stamp);
    }
    match hops {
        [] => {}
        [only] => {
            put_gateway(out, family, only);
            if only.interface != 0 {
                put(out, attribute::OIF, &only.interface.to_ne_bytes());
            }
        }
        several => {
            let list = begin_attribute(out, attribute::MULTIPATH);
            for hop in several {
                put_rtnexthop(out, family, hop);
            }
            end(out, list, true);
        }
    }
    end(out, start, false);
}

/// Appends a dump request. With strict checking the kernel filters; without, the reader must.
pub(crate) fn encode_dump(out: &mut Vec<u8>, scope: DumpScope, sequence: u32) {
    let kind = match scope {
        DumpScope::Links => RTM_GETLINK,
        DumpScope::Addresses => RTM_GETADDR,
        DumpScope::Nexthops => RTM_GETNEXTHOP,
        DumpScope::Routes { .. } => RTM_GETROUTE,
    };
    let start = begin(out, kind, NLM_F_REQUEST | NLM_F_DUMP, sequence);
    match scope {
        DumpScope::Links => out.extend([0; 16]),
        DumpScope::Addresses | DumpScope::Nexthops => out.extend([0; 8]),
        DumpScope::Routes {
            table,
            ipv6,
            interface,
        } => {
            out.extend([if ipv6 { AF_INET6 } else { AF_INET }, 0, 0, 0]);
            out.extend([u8::try_from(table.0).unwrap_or(0), 0, 0, 0]);
            out.extend([0; 4]);
            if table != TableId::UNSPECIFIED {
                put(out, attribute::TABLE, &table.0.to_ne_bytes());
            }
            if let Some(interface) = interface {
                put(out, attribute::OIF, &interface.to_ne_bytes());
            }
        }
    }
    end(out, start, false);
}

fn put_stamp(out: &mut Vec<u8>, prefix: Prefix, stamp: &Stamp) {
    if let Some(source) = stamp.source(prefix) {
        put_address(out, attribute::PREFSRC, source);
    }
    if stamp.mtu == 0 && stamp.advmss == 0 {
        return;
    }
    let list = begin_attribute(out, attribute::METRICS);
    for (kind, value) in [(metrics::MTU, stamp.mtu), (metrics::ADVMSS, stamp.advmss)] {
        if value != 0 {
            put(out, kind, &value.to_ne_bytes());
        }
    }
    end(out, list, true);
}

fn route_type(target: Target<'_>, stamp: &Stamp) -> u8 {
    match target {
        Target::Hops([]) if stamp.unreachable => RTN_UNREACHABLE,
        Target::Hops([]) => RTN_BLACKHOLE,
        Target::Hops(_) | Target::Nexthop(_) => RTN_UNICAST,
    }
}

fn put_rtnexthop(out: &mut Vec<u8>, family: u8, hop: &Hop) {
    let start = out.len();
    out.extend([0, 0]);
    let weight = u8::try_from(hop.weight.saturating_sub(1)).unwrap_or(u8::MAX);
    out.extend([if hop.onlink { ONLINK } else { 0 }, weight]);
    out.extend(hop.interface.to_ne_bytes());
    put_gateway(out, family, hop);
    end(out, start, true);
}

/// A gateway of the route's own family is `RTA_GATEWAY`; an IPv6 gateway of an IPv4 route is `RTA_VIA`.
fn put_gateway(out: &mut Vec<u8>, family: u8, hop: &Hop) {
    match hop.gateway {
        None => {}
        Some(IpAddr::V6(gateway)) if family == AF_INET => {
            let mut via = u16::from(AF_INET6).to_ne_bytes().to_vec();
            via.extend(gateway.octets());
            put(out, attribute::VIA, &via);
        }
        Some(gateway) => put_address(out, attribute::GATEWAY, gateway),
    }
}

fn put_address(out: &mut Vec<u8>, kind: u16, address: IpAddr) {
    match address {
        IpAddr::V4(address) => put(out, kind, &address.octets()),
        IpAddr::V6(address) => put(out, kind, &address.octets()),
    }
}

pub(super) fn put(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let start = begin_attribute(out, kind);
    out.extend(value);
    end(out, start, true);
}

pub(super) fn begin(out: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32) -> usize {
    let start = out.len();
    out.reserve(HEADER_LEN + 64);
    out.extend([0; 4]);
    out.extend(kind.to_ne_bytes());
    out.extend(flags.to_ne_bytes());
    out.extend(sequence.to_ne_bytes());
    // The port is the kernel's to fill in.
    out.extend([0; 4]);
    start
}

pub(super) fn begin_attribute(out: &mut Vec<u8>, kind: u16) -> usize {
    let start = out.len();
    out.extend([0; 2]);
    out.extend(kind.to_ne_bytes());
    start
}

/// Writes the length at `start` (16 bits wide for attributes, 32 for messages) and pads.
pub(super) fn end(out: &mut Vec<u8>, start: usize, short: bool) {
    let len = out.len() - start;
    let field = out.get_mut(start..).unwrap_or_default();
    if short {
        let len = u16::try_from(len).unwrap_or(u16::MAX);
        if let Some(field) = field.first_chunk_mut::<2>() {
            *field = len.to_ne_bytes();
        }
    } else if let Some(field) = field.first_chunk_mut::<4>() {
        *field = u32::try_from(len).unwrap_or(u32::MAX).to_ne_bytes();
    }
    out.resize(start + align(len), 0);
}

#[cfg(test)]
mod tests {
    use super::super::{Message, Messages, Verb, parse};
    use super::*;
    use crate::route::KernelRouteKind;

    fn hop(interface: u32, gateway: &str, weight: u16) -> Hop {
        Hop {
            interface,
            gateway: Some(gateway.parse().unwrap()),
            weight,
            onlink: false,
        }
    }

    /// What is written reads back as the route that was meant.
    fn check(prefix: &str, hops: &[Hop]) {
        let mut out = Vec::new();
        let stamp = Stamp {
            ipv4_source: Some([192, 0, 2, 7].into()),
            ipv6_source: Some(std::net::Ipv6Addr::LOCALHOST),
            mtu: 1_400,
            advmss: 1_300,
            ..Stamp::plain(179)
        };
        let key = (TableId(70_000), prefix.parse().unwrap(), 200, &stamp);
        encode_change(&mut out, key, Change::Create(Target::Hops(hops)), 5, true);
        encode_change(&mut out, key, Change::Delete, 6, false);
        assert_eq!(out.len() % 4, 0);
        let read: Vec<_> = Messages::new(&out)
            .map(|(header, payload)| (header, parse(header, payload)))
            .collect();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].0.sequence, read[1].0.sequence), (5, 6));
        assert_eq!(
            read[0].0.flags,
            NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL
        );
        let Message::Route(Verb::New, _, route) = &read[0].1 else {
            panic!("not a route: {:?}", read[0])
        };
        assert_eq!((route.table, route.prefix, route.metric), (key.0, key.1, key.2));
        assert!(stamp.is_on(route) && !Stamp::plain(12).is_on(route), "{route:?}");
        assert_eq!(Stamp::plain(179).is_on(route), hops.is_empty());
        assert_eq!(route.hops.as_slice(), hops);
        let kind = if hops.is_empty() {
            KernelRouteKind::Blackhole
        } else {
            KernelRouteKind::Unicast
        };
        assert_eq!(route.kind, kind);
        let Message::Route(Verb::Delete, _, route) = &read[1].1 else {
            panic!("not a delete: {:?}", read[1])
        };
        assert_eq!((route.table, route.prefix, route.metric), (key.0, key.1, key.2));
        assert_eq!(route.protocol, 179);
    }

    #[test]
    fn a_route_may_refer_to_a_nexthop_object() {
        let mut out = Vec::new();
        let stamp = Stamp::plain(179);
        let key = (TableId::MAIN, "10.1.0.0/16".parse().unwrap(), 200, &stamp);
        encode_change(
            &mut out,
            key,
            Change::Create(Target::Nexthop(0xb300_0001)),
            5,
            true,
        );
        let (header, payload) = Messages::new(&out).next().unwrap();
        let Message::Route(Verb::New, _, route) = parse(header, payload) else {
            panic!("not a route")
        };
        assert_eq!(
            (route.nexthop_id, route.kind),
            (0xb300_0001, KernelRouteKind::Unicast)
        );
        assert_eq!((route.table, route.prefix, route.metric), (key.0, key.1, key.2));
    }

    #[test]
    fn requests_read_back_as_written() {
        check("10.1.0.0/16", &[hop(3, "192.0.2.1", 1)]);
        check("10.1.0.0/16", &[]);
        check("0.0.0.0/0", &[hop(3, "192.0.2.1", 1), hop(4, "192.0.2.9", 256)]);
        check("2001:db8::/32", &[hop(3, "fe80::1", 1)]);
        check("2001:db8::/32", &[hop(3, "fe80::1", 1), hop(3, "fe80::2", 1)]);
        check("::/0", &[]);
        check("10.1.0.0/16", &[hop(3, "fe80::1", 1)]);
        check("10.1.0.0/16", &[hop(3, "fe80::1", 2), hop(4, "192.0.2.1", 3)]);
        check(
            "10.1.0.0/16",
            &[Hop {
                onlink: true,
                ..hop(3, "192.0.2.1", 1)
            }],
        );
    }
}
