//! `[[originate]]`.

use std::sync::Arc;

use bgp_codec::{Community, LargeCommunity};
use ipnet::IpNet;
use toml::Spanned;

use super::{kernel, keys};
use crate::config::reader::Value;
use crate::config::scalar;
use crate::config::schema::{
    BOOLEAN, COMMUNITIES, LARGE_COMMUNITIES, LIVE, METRIC_RANGE, NAME, NAMES, NONE, PREFIXES, REQUIRED,
    Shape, Table, U32, number, text,
};
use crate::route::{KernelRouteKind, TableId};

keys! {
    /// `[[originate]]`.
    OriginateKeys in "[[originate]]" {
        /// Unique among `[[originate]]`, `[[vip]]` and `[[aggregate]]`; filters use it in `source`. Not one of `local`, `static`,
        /// `kernel`, `vip`, `aggregate`, `internal`, `external`.
        name: Arc<str> = scalar::name => NAME, REQUIRED, LIVE;
        /// Prefixes to announce, always.
        prefixes: Vec<Spanned<IpNet>> = spanned_prefixes => PREFIXES, NONE, LIVE;
        /// Put a blackhole route of ours beneath each of the `prefixes`, so that packets for parts of it that nobody has do
        /// not loop. Routed before NAT: do not use it for a Kubernetes service range on a node whose own processes reach
        /// services.
        discard: bool = scalar::boolean => BOOLEAN, "`false`", LIVE;
        /// Announce routes of the kernel's table while they exist: those that meet every condition given in it.
        kernel: KernelMatchKeys = |value| value.table(KernelMatchKeys::SECTION, KernelMatchKeys::read)
            => Shape::Table(|| Table::new("originate.kernel", &[KernelMatchKeys::KEYS])), NONE, LIVE;
        /// Communities to attach: `"64512:100"`, `"no-export"`.
        community: Vec<Community> = scalar::communities => COMMUNITIES, NONE, LIVE;
        /// Large communities to attach: `"64512:1:100"`.
        large_community: Vec<LargeCommunity> = scalar::large_communities => LARGE_COMMUNITIES, NONE, LIVE;
        /// MED to attach.
        med: u32 = scalar::any_u32 => U32, NONE, LIVE;
    }
}

keys! {
    /// `kernel = { ... }` of an `[[originate]]`.
    KernelMatchKeys in "`kernel` of [[originate]]" {
        /// In this table.
        table: TableId = kernel::table => kernel::TABLE, "`\"main\"`", LIVE;
        /// Of one of these types.
        r#type: Vec<KernelRouteKind> = |value| value.one_or_many(kind) => Shape::OneOrMany(&Shape::Words(
            &["unicast", "blackhole", "unreachable", "prohibit", "local", "throw"],
        )), "any but `local`", LIVE;
        /// Installed by this protocol.
        protocol: Vec<u8> = |value| value.one_or_many(kernel::protocol) => Shape::OneOrMany(&kernel::PROTOCOL),
            "any (never our own)", LIVE;
        /// With this scope: a number, or `global`, `site`, `link`, `host`.
        scope: Vec<u8> = |value| value.one_or_many(kernel::scope)
            => Shape::OneOrMany(&Shape::Either(&[number(0, 255), text("a name", "link")])), "any", LIVE;
        /// Out of an interface whose name matches one of these: `"cali*"`.
        interface: Vec<String> = |value| value.one_or_many(scalar::text) => NAMES, "any", LIVE;
        /// Equal to or inside one of these prefixes.
        within: Vec<IpNet> = scalar::prefixes => PREFIXES, "any", LIVE;
        /// With at least this prefix length. For blocks of both families write two `[[originate]]`.
        ge: u8 = scalar::number::<u8, 0, 128> => number(0, 128), "any", LIVE;
        /// With at most this prefix length.
        le: u8 = scalar::number::<u8, 0, 128> => number(0, 128), "any", LIVE;
        /// With this metric, or in this range, both ends included: `"0-1023"`.
        metric: (u32, u32) = scalar::metric_range => METRIC_RANGE, "any", LIVE;
        /// With this realm, or in this range: routes can be marked with one (`ip route add ... realm 7`), IPv4 only.
        realm: (u32, u32) = scalar::metric_range => METRIC_RANGE, "any", LIVE;
    }
}

/// Types by the names that `ip route` prints.
const KINDS: &[(&str, KernelRouteKind)] = &[
    ("unicast", KernelRouteKind::Unicast),
    ("blackhole", KernelRouteKind::Blackhole),
    ("unreachable", KernelRouteKind::Unreachable),
    ("prohibit", KernelRouteKind::Prohibit),
    ("local", KernelRouteKind::Local),
    ("throw", KernelRouteKind::Other(9)),
];

fn kind(value: &Value<'_>) -> Option<KernelRouteKind> {
    scalar::word(value, KINDS)
}

fn spanned_prefixes(value: &Value<'_>) -> Option<Vec<Spanned<IpNet>>> {
    value.one_or_many(|value| scalar::prefix(value).map(|prefix| Spanned::new(value.span.clone(), prefix)))
}
