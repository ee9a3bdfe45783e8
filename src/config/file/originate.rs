//! `[[originate]]`.

use std::sync::Arc;

use bgp_codec::{Community, LargeCommunity};
use ipnet::IpNet;
use toml::Spanned;

use super::{kernel, keys};
use crate::config::reader::Value;
use crate::config::scalar;
use crate::route::{KernelRouteKind, TableId};

keys! {
    /// `[[originate]]`.
    OriginateKeys in "[[originate]]" {
        name: Arc<str> = scalar::name;
        prefixes: Vec<Spanned<IpNet>> = spanned_prefixes;
        discard: bool = scalar::boolean;
        kernel: KernelMatchKeys = |value| value.table(KernelMatchKeys::SECTION, KernelMatchKeys::read);
        community: Vec<Community> = scalar::communities;
        large_community: Vec<LargeCommunity> = scalar::large_communities;
        med: u32 = scalar::any_u32;
    }
}

keys! {
    /// `kernel = { ... }` of an `[[originate]]`.
    KernelMatchKeys in "`kernel` of [[originate]]" {
        table: TableId = kernel::table;
        r#type: Vec<KernelRouteKind> = |value| value.one_or_many(kind);
        protocol: Vec<u8> = |value| value.one_or_many(kernel::protocol);
        scope: Vec<u8> = |value| value.one_or_many(kernel::scope);
        interface: Vec<String> = |value| value.one_or_many(scalar::text);
        within: Vec<IpNet> = scalar::prefixes;
        ge: u8 = scalar::number::<u8, 0, 128>;
        le: u8 = scalar::number::<u8, 0, 128>;
        metric: (u32, u32) = metric_range;
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

/// `1024`, or `"0-1023"` with both ends included.
fn metric_range(value: &Value<'_>) -> Option<(u32, u32)> {
    if !value.is_text() {
        return scalar::any_u32(value).map(|metric| (metric, metric));
    }
    value.parse("a metric such as 1024, or a range such as \"0-1023\"", |text| {
        let parse = |number: &str| number.trim().parse::<u32>().ok();
        text.split_once('-')
            .and_then(|(low, high)| Some((parse(low)?, parse(high)?)))
            .filter(|(low, high)| low <= high)
            .ok_or_else(|| format!("`{text}` is not a range of metrics"))
    })
}
