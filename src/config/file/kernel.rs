//! `[kernel]`, and the numbers that Linux gives names to.

use std::net::IpAddr;

use super::keys;
use crate::config::nearest::nearest;
use crate::config::reader::Value;
use crate::config::scalar;
use crate::config::schema::{ADDRESS, BOOLEAN, LIVE, NONE, Shape, U32, number, text};
use crate::kernel::settings::{Metric, OnStop};
use crate::route::TableId;

keys! {
    /// `[kernel]`.
    KernelKeys in "[kernel]" {
        /// Install learned routes.
        install: bool = scalar::boolean => BOOLEAN, "`true`", LIVE;
        /// Routing table.
        table: TableId = table => TABLE, "`\"main\"`", LIVE;
        /// Protocol that marks our routes: a number, or a name of `/etc/iproute2/rt_protos`. Only routes with this number
        /// are ever touched.
        protocol: u8 = protocol => PROTOCOL, "`179`", LIVE;
        /// Metric of installed routes; `"calico"` is 2147483647 less LOCAL_PREF, as Calico's BIRD does.
        metric: Metric = metric => Shape::Either(&[U32, Shape::Words(&["calico"])]), "`200`", LIVE;
        /// Next hops per route at most; 1 for no ECMP.
        multipath: u16 = scalar::number::<u16, 1, 256> => number(1, 256), "`16`", LIVE;
        /// Routes that carry the community BLACKHOLE (RFC 7999) discard packets. Filters decide from whom such routes are
        /// accepted. `"unreachable"`: whoever sends them is told so, and what `discard` puts beneath prefixes does the same.
        blackhole: Blackhole = blackhole => Shape::Either(&[BOOLEAN, Shape::Words(&["unreachable"])]), "`false`", LIVE;
        /// Source address that this node's own packets get on installed routes, one of each family at most. It must be an
        /// address of this node: while it is not, the kernel takes no such route.
        src: Vec<IpAddr> = |value| value.one_or_many(scalar::address) => Shape::OneOrMany(&ADDRESS), NONE, LIVE;
        /// Path MTU on installed routes, octets.
        mtu: u32 = scalar::number::<u32, 68, 65_535> => number(68, 65_535), "the interface's", LIVE;
        /// TCP MSS that is advertised on installed routes, octets.
        advmss: u32 = scalar::number::<u32, 8, 65_495> => number(8, 65_495), "what follows from the MTU", LIVE;
        /// A BGP next hop may be reached over the default route.
        next_hop_via_default: bool = scalar::boolean => BOOLEAN, "`true`", LIVE;
        /// The kernel takes gateways for being on their link, whatever it knows of the way there: for a subnet whose route is not
        /// of link scope, or is in a table that the kernel does not look at.
        onlink: bool = scalar::boolean => BOOLEAN, "`false`", LIVE;
        /// What SIGTERM does to installed routes: `keep` (a planned restart) or `remove`.
        on_stop: OnStop = on_stop => Shape::Words(&["keep", "remove"]), "`\"keep\"`", LIVE;
    }
}

/// A routing table.
pub(in crate::config) const TABLE: Shape = Shape::Either(&[
    number(1, 4_294_967_295),
    Shape::Words(&["main", "default", "local"]),
]);

/// A route protocol.
pub(super) const PROTOCOL: Shape = Shape::Either(&[number(1, 255), text("a name", "static")]);

/// As in `/etc/iproute2/rt_tables`.
const TABLES: &[(&str, u8)] = &[("main", 254), ("default", 253), ("local", 255)];

/// As in `/etc/iproute2/rt_protos`.
const PROTOCOLS: &[(&str, u8)] = &[
    ("redirect", 1),
    ("kernel", 2),
    ("boot", 3),
    ("static", 4),
    ("gated", 8),
    ("ra", 9),
    ("mrt", 10),
    ("zebra", 11),
    ("bird", 12),
    ("dnrouted", 13),
    ("xorp", 14),
    ("ntk", 15),
    ("dhcp", 16),
    ("keepalived", 18),
    ("babel", 42),
    ("stonechat", 179),
    ("bgp", 186),
    ("isis", 187),
    ("ospf", 188),
    ("rip", 189),
    ("eigrp", 192),
];

/// As in `/etc/iproute2/rt_scopes`.
const SCOPES: &[(&str, u8)] = &[
    ("global", 0),
    ("universe", 0),
    ("site", 200),
    ("link", 253),
    ("host", 254),
    ("nowhere", 255),
];

/// A routing table, by name or number.
pub(in crate::config) fn table(value: &Value<'_>) -> Option<TableId> {
    if value.is_text() {
        named(value, TABLES, "a table: a number, `main`, `default` or `local`")
            .map(|table| TableId(table.into()))
    } else {
        scalar::number::<u32, 1, 4_294_967_295>(value).map(TableId)
    }
}

/// A route protocol, by name or number.
pub(super) fn protocol(value: &Value<'_>) -> Option<u8> {
    if value.is_text() {
        named(
            value,
            PROTOCOLS,
            "a protocol: a number from 1 to 255, or a name such as `static`, `bird` or `zebra`",
        )
    } else {
        scalar::number::<u8, 1, 255>(value)
    }
}

/// A route scope, by name or number.
pub(super) fn scope(value: &Value<'_>) -> Option<u8> {
    if value.is_text() {
        named(
            value,
            SCOPES,
            "a scope: a number from 0 to 255, `global`, `site`, `link`, `host` or `nowhere`",
        )
    } else {
        scalar::number::<u8, 0, 255>(value)
    }
}

fn named(value: &Value<'_>, names: &[(&str, u8)], expected: &str) -> Option<u8> {
    let written = value.text(expected)?;
    if let Some((_, number)) = names.iter().find(|(name, _)| *name == written) {
        return Some(*number);
    }
    if let Ok(number) = written.parse::<u8>() {
        return Some(number);
    }
    let expected = format!("expected {expected}");
    match nearest(&written, names.iter().map(|(name, _)| *name)) {
        Some(meant) => value.fail(
            format_args!("`{written}` is not known"),
            format_args!("did you mean `{meant}`? ({expected})"),
        ),
        None => value.fail(format_args!("`{written}` is not known"), expected),
    }
}

fn metric(value: &Value<'_>) -> Option<Metric> {
    if value.is_text() {
        let calico = |text: &str| match text {
            "calico" => Ok(Metric::CalicoLocalPref),
            other => Err(format!("`{other}` is not known")),
        };
        value.parse(
            "a number, or `calico` to derive it from LOCAL_PREF as Calico does",
            calico,
        )
    } else {
        scalar::any_u32(value).map(Metric::Fixed)
    }
}

/// What becomes of packets to routes with the community BLACKHOLE.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::config) enum Blackhole {
    /// As to any other route.
    No,
    /// They are discarded.
    Discard,
    /// They are discarded, and the sender is told.
    Unreachable,
}

fn blackhole(value: &Value<'_>) -> Option<Blackhole> {
    if value.is_text() {
        return scalar::word(value, &[("unreachable", Blackhole::Unreachable)]);
    }
    scalar::boolean(value).map(|discard| {
        if discard {
            Blackhole::Discard
        } else {
            Blackhole::No
        }
    })
}

fn on_stop(value: &Value<'_>) -> Option<OnStop> {
    scalar::word(value, &[("keep", OnStop::Keep), ("remove", OnStop::Remove)])
}
