//! Parsers of single values: numbers, durations, addresses, prefixes, communities, words.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bgp_codec::{Asn, Community, ExtendedCommunity, Family, FamilySet, LargeCommunity, Origin};
use ipnet::IpNet;

use super::file::Keys;
use super::nearest::{nearest, one_of};
use super::reader::Value;
use crate::policy::{
    AsPathPattern, CommunityPattern, ExtendedCommunityPattern, LargeCommunityPattern, NextHopEdit,
    PrefixPattern, PrefixSet,
};
use crate::route::{CARRIED, CARRIED_NAMES};

const DURATION: &str = "a duration such as \"90s\", \"1m30s\" or \"500ms\", or seconds as a number";
const SOCKET_ADDRESS: &str = "an address and port such as \"0.0.0.0:179\" or \"[::]:179\"";
const PREFIX: &str = "a prefix such as \"10.244.0.0/16\" or \"fd00:10:244::/48\"";
const PREFIX_PATTERN: &str = "a prefix, optionally with lengths: \"10.0.0.0/8 ge 16 le 24\"";
const COMMUNITY: &str = "a community such as \"64512:100\" or \"no-export\"";
const COMMUNITY_PATTERN: &str = "a community such as \"64512:100\", \"64512:*\" or \"no-export\"";
const LARGE_COMMUNITY_PATTERN: &str = "a large community such as \"64512:1:100\" or \"64512:1:*\"";
const EXTENDED_COMMUNITY: &str = "an extended community such as \"rt:64512:100\" or \"0x0002fc0000000064\"";
const EXTENDED_COMMUNITY_PATTERN: &str =
    "an extended community such as \"rt:64512:100\", \"rt:64512:*\" or \"soo:*\"";
const AS_PATH_PATTERN: &str = "a pattern such as \"_65001_\", \"^65001\" or \"65001$\"";
const LARGE_COMMUNITY: &str = "a large community such as \"64512:1:100\"";

pub(super) fn text(value: &Value<'_>) -> Option<String> {
    value.text("a string")
}

/// Names appear in logs, metrics and on command lines.
pub(super) fn name(value: &Value<'_>) -> Option<Arc<str>> {
    let name = value.text("a name")?;
    if name.is_empty() {
        return value.fail("an empty name", "expected a name such as \"node1\"");
    }
    if name.contains(|c: char| c.is_control() || c.is_whitespace() || c == '"') {
        return value.fail(
            format_args!("`{}` has a space or quote in it", name.escape_debug()),
            "names are one word",
        );
    }
    Some(name.into())
}

pub(super) fn boolean(value: &Value<'_>) -> Option<bool> {
    value.as_boolean().or_else(|| value.wrong_type("true or false"))
}

pub(super) fn path(value: &Value<'_>) -> Option<PathBuf> {
    value.text("a path").map(PathBuf::from)
}

/// A number from `LOW` to `HIGH` that fits `T`.
pub(super) fn number<T: TryFrom<u64>, const LOW: u64, const HIGH: u64>(value: &Value<'_>) -> Option<T> {
    T::try_from(value.number(&(LOW..=HIGH))?).ok()
}

pub(super) fn any_u32(value: &Value<'_>) -> Option<u32> {
    number::<u32, 0, 4_294_967_295>(value)
}

pub(super) fn asn(value: &Value<'_>) -> Option<Asn> {
    let asn = if value.is_text() {
        value.parse("an AS number from 1 to 4294967295", |text| {
            text.parse::<Asn>()
                .map_err(|_| format!("`{text}` is not an AS number"))
        })?
    } else {
        Asn(number::<u32, 1, 4_294_967_295>(value)?)
    };
    // RFC 7607 §2: AS 0 is nobody's.
    if asn.0 == 0 {
        value.fail("AS 0 is nobody's", "expected an AS number from 1 to 4294967295")
    } else {
        Some(asn)
    }
}

pub(super) fn duration(value: &Value<'_>) -> Option<Duration> {
    if value.is_text() {
        value.parse(DURATION, |text| {
            parse_duration(text).ok_or_else(|| format!("`{text}` is not a duration"))
        })
    } else {
        value.number(&(0..=31_536_000)).map(Duration::from_secs)
    }
}

/// A duration that is not zero.
pub(super) fn positive_duration(value: &Value<'_>) -> Option<Duration> {
    let duration = duration(value)?;
    if duration.is_zero() {
        value.fail("may not be zero", format_args!("expected {DURATION}"))
    } else {
        Some(duration)
    }
}

/// `1h30m`, `90s`, `1m30s`, `500ms`, `90`; each unit at most once, the larger first.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total_ms = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, behind) = rest.split_at(digits);
        let unit_len = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit_len);
        let (_, unit_ms) = units.find(|(name, _)| *name == unit)?;
        total_ms = total_ms.checked_add(number.parse::<u64>().ok()?.checked_mul(*unit_ms)?)?;
        rest = behind;
    }
    (!text.is_empty()).then_some(Duration::from_millis(total_ms))
}

pub(super) fn address(value: &Value<'_>) -> Option<IpAddr> {
    parsed(value, "an IP address", "an IP address such as \"172.16.40.202\"")
}

pub(super) fn ipv4_address(value: &Value<'_>) -> Option<Ipv4Addr> {
    parsed(value, "an IPv4 address", "an IPv4 address such as \"192.0.2.1\"")
}

pub(super) fn socket_address(value: &Value<'_>) -> Option<SocketAddr> {
    parsed(value, "an address and port", SOCKET_ADDRESS)
}

/// Text whose type says nothing useful when it does not parse: what it is not, and what was expected.
fn parsed<T: FromStr>(value: &Value<'_>, noun: &str, expected: &str) -> Option<T> {
    value.parse(expected, |text| {
        text.parse::<T>().map_err(|_| format!("`{text}` is not {noun}"))
    })
}

pub(super) fn socket_addresses(value: &Value<'_>) -> Option<Vec<SocketAddr>> {
    value.one_or_many(socket_address)
}

/// A prefix without host bits.
pub(super) fn prefix(value: &Value<'_>) -> Option<IpNet> {
    value.parse(PREFIX, |text| {
        let given: IpNet = text.parse().map_err(|_| format!("`{text}` is not a prefix"))?;
        let network = given.trunc();
        if given == network {
            Ok(network)
        } else {
            Err(format!("`{text}` has host bits set; the prefix is {network}"))
        }
    })
}

pub(super) fn prefixes(value: &Value<'_>) -> Option<Vec<IpNet>> {
    value.one_or_many(prefix)
}

/// A prefix, or an address for its host prefix.
pub(super) fn prefix_or_address(value: &Value<'_>) -> Option<IpNet> {
    let text = value.text(PREFIX)?;
    match text.parse::<IpAddr>() {
        Ok(address) => Some(address.into()),
        Err(_) => prefix(value),
    }
}

pub(super) fn prefix_patterns(value: &Value<'_>) -> Option<Vec<PrefixPattern>> {
    value.one_or_many(|value| value.parse(PREFIX_PATTERN, str::parse::<PrefixPattern>))
}

pub(super) fn prefix_set(value: &Value<'_>) -> Option<PrefixSet> {
    prefix_patterns(value).map(PrefixSet::new)
}

/// `1024`, or `"0-1023"` with both ends included.
pub(super) fn metric_range(value: &Value<'_>) -> Option<(u32, u32)> {
    if !value.is_text() {
        return any_u32(value).map(|metric| (metric, metric));
    }
    value.parse("a metric such as 1024, or a range such as \"0-1023\"", |text| {
        let parse = |number: &str| number.trim().parse::<u32>().ok();
        text.split_once('-')
            .and_then(|(low, high)| Some((parse(low)?, parse(high)?)))
            .filter(|(low, high)| low <= high)
            .ok_or_else(|| format!("`{text}` is not a range of metrics"))
    })
}

/// Next hops: addresses, or prefixes that contain them.
pub(super) fn address_set(value: &Value<'_>) -> Option<PrefixSet> {
    let pattern = |value: &Value<'_>| {
        value.parse("an address, or a prefix that contains it", |text| {
            let address = text.parse::<IpAddr>().map(IpNet::from);
            let prefix = address.or_else(|_| text.parse::<IpNet>());
            prefix
                .map(|prefix| PrefixPattern::or_longer(prefix.trunc()))
                .map_err(|_| format!("`{text}` is neither"))
        })
    };
    value.one_or_many(pattern).map(PrefixSet::new)
}

pub(super) fn family(value: &Value<'_>) -> Option<Family> {
    let words = || CARRIED_NAMES.iter().copied();
    let written = value.text(&one_of(words()))?;
    match CARRIED.into_iter().find(|family| family.to_string() == written) {
        Some(family) => Some(family),
        None => value.fail(
            format_args!("`{written}` is not a family"),
            format_args!("expected {}", one_of(words())),
        ),
    }
}

pub(super) fn families(value: &Value<'_>) -> Option<FamilySet> {
    let families: FamilySet = value.one_or_many(family)?.into_iter().collect();
    if families.is_empty() {
        value.fail("no family", "leave the key out for both unicast families")
    } else {
        Some(families)
    }
}

pub(super) fn communities(value: &Value<'_>) -> Option<Vec<Community>> {
    value.one_or_many(|value| parsed(value, "a community", COMMUNITY))
}

pub(super) fn large_communities(value: &Value<'_>) -> Option<Vec<LargeCommunity>> {
    value.one_or_many(|value| parsed(value, "a large community", LARGE_COMMUNITY))
}

pub(super) fn community_patterns(value: &Value<'_>) -> Option<Vec<CommunityPattern>> {
    value.one_or_many(|value| parsed(value, "a community", COMMUNITY_PATTERN))
}

pub(super) fn large_community_patterns(value: &Value<'_>) -> Option<Vec<LargeCommunityPattern>> {
    value.one_or_many(|value| parsed(value, "a large community", LARGE_COMMUNITY_PATTERN))
}

pub(super) fn extended_communities(value: &Value<'_>) -> Option<Vec<ExtendedCommunity>> {
    value.one_or_many(|value| parsed(value, "an extended community", EXTENDED_COMMUNITY))
}

pub(super) fn extended_community_patterns(value: &Value<'_>) -> Option<Vec<ExtendedCommunityPattern>> {
    value.one_or_many(|value| parsed(value, "an extended community", EXTENDED_COMMUNITY_PATTERN))
}

pub(super) fn as_path_patterns(value: &Value<'_>) -> Option<Vec<AsPathPattern>> {
    value.one_or_many(|value| value.parse(AS_PATH_PATTERN, str::parse::<AsPathPattern>))
}

pub(super) fn origin(value: &Value<'_>) -> Option<Origin> {
    word(
        value,
        &[
            ("igp", Origin::Igp),
            ("egp", Origin::Egp),
            ("incomplete", Origin::Incomplete),
        ],
    )
}

/// A next hop to set.
pub(super) fn next_hop(value: &Value<'_>) -> Option<NextHopEdit> {
    let expected = "`self`, `unchanged` or an address";
    match value.text(expected)?.as_str() {
        "self" => Some(NextHopEdit::Own),
        "unchanged" => Some(NextHopEdit::Unchanged),
        other => match other.parse::<IpAddr>() {
            Ok(address) => Some(NextHopEdit::Address(address)),
            Err(_) => value.fail(
                format_args!("`{other}` is not known"),
                format_args!("expected {expected}"),
            ),
        },
    }
}

/// An inline table of keys.
pub(super) fn table<T: Keys>(value: &Value<'_>) -> Option<T> {
    value.keys()
}

/// One of some words.
pub(super) fn word<T: Copy>(value: &Value<'_>, words: &[(&str, T)]) -> Option<T> {
    let known = || words.iter().map(|(word, _)| *word);
    let written = value.text(&one_of(known()))?;
    if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == written) {
        return Some(*meaning);
    }
    let expected = one_of(known());
    match nearest(&written, known()) {
        Some(meant) => value.fail(
            format_args!("`{written}` is not known"),
            format_args!("did you mean `{meant}`? (expected {expected})"),
        ),
        None => value.fail(
            format_args!("`{written}` is not known"),
            format_args!("expected {expected}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_units_in_falling_order() {
        for (text, expected_ms) in [
            ("90s", Some(90_000)),
            ("1m30s", Some(90_000)),
            ("2h", Some(7_200_000)),
            ("500ms", Some(500)),
            ("1s500ms", Some(1_500)),
            ("90", Some(90_000)),
            ("0s", Some(0)),
            ("", None),
            ("s", None),
            ("-1s", None),
            ("1.5s", None),
            ("30s1m", None),
            ("1s1s", None),
            ("1 s", None),
            ("1d", None),
            ("18446744073709551615h", None),
        ] {
            assert_eq!(
                parse_duration(text),
                expected_ms.map(Duration::from_millis),
                "{text}"
            );
        }
    }
}
