//! `[[vip]]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bgp_codec::{Asn, Community, LargeCommunity};
use ipnet::IpNet;
use toml::Spanned;

use super::{Keys as _, keys};
use crate::config::reader::{Referent, Value};
use crate::config::scalar;
use crate::config::schema::{
    ASN, BOOLEAN, COMMUNITIES, DURATION, LARGE_COMMUNITIES, LIVE, NAME, NAMES, NONE, PATH, PREFIX, REQUIRED,
    SOCKET, Shape, Table, U32, number, text,
};
use crate::vip::Verdict;
use crate::vip::settings::{DnsKind, Quorum};

keys! {
    /// `[[vip]]`.
    VipKeys in "[[vip]]" {
        /// Unique among `[[originate]]` and `[[vip]]`.
        name: Arc<str> = scalar::name => NAME, REQUIRED, LIVE;
        /// The address, or a prefix. VIPs may not overlap.
        address: IpNet = scalar::prefix_or_address => text("an address", "172.16.99.10/32"), REQUIRED, LIVE;
        /// How to know that it is served.
        check: Vec<Spanned<CheckKeys>> = checks => Shape::OneOrMany(&CHECK), "none: always up", LIVE;
        /// How many of the checks whose failure takes it down must pass; `any` is 1.
        at_least: Quorum = quorum => Shape::Either(&[number(1, 1000), Shape::Words(&["all", "any"])]),
            "`\"all\"`", LIVE;
        /// The verdict until there are results, unless one was saved before a restart. An `unknown` one is not announced.
        start: Verdict = start => Shape::Words(&["unknown", "up", "down"]), "`\"unknown\"`", LIVE;
        /// Communities to attach.
        community: Vec<Community> = scalar::communities => COMMUNITIES, NONE, LIVE;
        /// Large communities to attach.
        large_community: Vec<LargeCommunity> = scalar::large_communities => LARGE_COMMUNITIES, NONE, LIVE;
        /// MED to attach.
        med: u32 = scalar::any_u32 => U32, NONE, LIVE;
        /// LOCAL_PREF to attach, for internal peers.
        local_pref: u32 = scalar::any_u32 => U32, NONE, LIVE;
        /// How often our AS is put in front once more, for external peers.
        prepend: u8 = scalar::number::<u8, 1, 64> => number(1, 64), NONE, LIVE;
        /// The link bandwidth extended community to attach, so that routers with unequal-cost multipath send traffic where
        /// capacity is: bits per second with K, M, G or T, or a table.
        bandwidth: BandwidthWritten = bandwidth => Shape::Either(&[
            BITS, Shape::Table(|| Table::new("vip.bandwidth", &[BandwidthKeys::KEYS])),
        ]), NONE, LIVE;
        /// What it carries, in place of the keys above, while it is degraded.
        degraded: CarriedKeys = scalar::table => CARRIED, "as when it is up", LIVE;
        /// What it carries, in place of the keys above, while it is disabled.
        disabled: CarriedKeys = scalar::table => CARRIED, "it is withdrawn", LIVE;
        /// Add the address to this interface before it is announced, and remove it `drain` after it was withdrawn. One that
        /// was there before is used and never removed.
        bind: Arc<str> = interface => INTERFACE, NONE, LIVE;
        /// Announce it only while somebody else has given the address to some interface.
        require_bound: bool = scalar::boolean => BOOLEAN, "`false`", LIVE;
        /// From the withdrawal to the removal of the address, for what is still on its way; at least 100 ms.
        drain: Duration = drain => DURATION, "`\"5s\"`", LIVE;
        /// VIPs of one group are announced all or none.
        group: Arc<str> = scalar::name => NAME, NONE, LIVE;
        /// What must be there for it to be announced.
        depends_on: Vec<DependencyKeys> = dependencies => Shape::OneOrMany(&DEPENDENCY), NONE, LIVE;
        /// What must have happened once since the start for it to be announced: the peers have told all their routes
        /// (`end-of-rib`), or that and the kernel holds what was selected from them (`kernel`).
        wait_for: Vec<WaitWord> = wait_for => Shape::OneOrMany(&Shape::Words(&["kernel", "end-of-rib"])), NONE, LIVE;
        /// How much change is too much.
        damping: DampingKeys = scalar::table => Shape::Table(|| Table::new("vip.damping", &[DampingKeys::KEYS])),
            "none", LIVE;
        /// Program (an absolute path) and its arguments, run without privileges when the verdict changes, or when the VIP is
        /// announced or withdrawn for another reason.
        on_change: Vec<String> = command => WORDS, NONE, LIVE;
        /// ASes besides ours that may originate the address; `stonechat vips` warns of others.
        origins: Vec<Asn> = asns => Shape::OneOrMany(&ASN), NONE, LIVE;
    }
}

keys! {
    /// `check = { ... }` of a `[[vip]]`.
    CheckKeys in "`check` of [[vip]]" {
        /// URL to get, `"http://127.0.0.1:8080/healthz"` or `"https://..."`. The host is an address or `localhost`: a check
        /// does not depend on name resolution.
        http: HttpTarget = http_target => text("a URL", "http://127.0.0.1:8080/healthz"), NONE, LIVE;
        /// Address and port to connect to.
        tcp: SocketAddr = scalar::socket_address => SOCKET, NONE, LIVE;
        /// Program (an absolute path) and its arguments, without a shell; exit code 0 is healthy. It runs without
        /// privileges.
        command: Vec<String> = command => WORDS, NONE, LIVE;
        /// Name to ask a name server for.
        dns: String = dns_name => text("a domain name", "shop.example"), NONE, LIVE;
        /// Path of a file that must be there.
        file: PathBuf = absolute_path => PATH, NONE, LIVE;
        /// Interface that must be up and have carrier.
        interface: Arc<str> = interface => INTERFACE, NONE, LIVE;
        /// From the start of one probe to the start of the next.
        interval: Duration = scalar::positive_duration => DURATION, "`\"2s\"`", LIVE;
        /// The same while results do not agree with the verdict. At most `interval`.
        fast_interval: Duration = scalar::positive_duration => DURATION, "`interval`", LIVE;
        /// Each probe is put off by a random part of this. At most `interval`.
        jitter: Duration = scalar::duration => DURATION, "none", LIVE;
        /// A probe that takes longer has failed. At most `interval`.
        timeout: Duration = scalar::positive_duration => DURATION, "`\"1s\"`, or `interval` if that is less", LIVE;
        /// Successes in a row before the check passes.
        rise: u32 = scalar::number::<u32, 1, 1000> => number(1, 1000), "`2`", LIVE;
        /// Failures in a row before it fails.
        fall: u32 = scalar::number::<u32, 1, 1000> => number(1, 1000), "`3`", LIVE;
        /// What its failure makes of the VIP.
        on_fail: Verdict = on_fail => Shape::Words(&["down", "degraded", "disabled"]), "`\"down\"`", LIVE;
        /// With `http`: the status of the answer.
        status: u16 = scalar::number::<u16, 100, 599> => number(100, 599), "200 to 399", LIVE;
        /// With `http`: text that the first 256 KiB of the body contain.
        body: String = scalar::text => text("text", "ready"), NONE, LIVE;
        /// With `http`: further headers of the request.
        headers: Vec<(String, String)> = headers => Shape::OneOrMany(&text("a header", "X-Check: stonechat")),
            NONE, LIVE;
        /// With `https://`: the name that the server is asked by (SNI), that is its `Host`, and that its certificate must be
        /// for.
        server_name: String = server_name => text("a domain name", "shop.example"), "the address of the URL", LIVE;
        /// With `https://`: PEM file of the CAs, or of the certificate itself, that may vouch for the server. Read again when
        /// it changes.
        ca_file: PathBuf = absolute_path => PATH, "the system's bundle", LIVE;
        /// With `dns`: the name server, with its port unless that is 53.
        server: SocketAddr = name_server => text("an address", "127.0.0.1"), "`\"127.0.0.1\"`", LIVE;
        /// With `dns`: the record to ask for. `A` and `AAAA` must be there; for `SOA` an answer without an error will do.
        record: DnsKind = record => Shape::Words(&["A", "AAAA", "SOA"]), "`\"A\"`", LIVE;
        /// With `file`: it must not be there.
        absent: bool = scalar::boolean => BOOLEAN, "`false`", LIVE;
    }
}

keys! {
    /// `degraded` and `disabled` of a `[[vip]]`.
    CarriedKeys in "`degraded` and `disabled` of [[vip]]" {
        /// Communities to attach.
        community: Vec<Community> = scalar::communities => COMMUNITIES, NONE, LIVE;
        /// Large communities to attach.
        large_community: Vec<LargeCommunity> = scalar::large_communities => LARGE_COMMUNITIES, NONE, LIVE;
        /// MED to attach.
        med: u32 = scalar::any_u32 => U32, NONE, LIVE;
        /// LOCAL_PREF to attach, for internal peers.
        local_pref: u32 = scalar::any_u32 => U32, NONE, LIVE;
        /// How often our AS is put in front once more, for external peers.
        prepend: u8 = scalar::number::<u8, 1, 64> => number(1, 64), NONE, LIVE;
    }
}

keys! {
    /// `bandwidth = { ... }` of a `[[vip]]`.
    BandwidthKeys in "`bandwidth` of [[vip]]" {
        /// So much for each check that passes, of those whose failure takes the VIP down.
        per_healthy: u64 = bits_per_second => BITS, NONE, LIVE;
        /// The speed of this interface, as its driver knows it.
        interface: Arc<str> = interface => INTERFACE, NONE, LIVE;
    }
}

keys! {
    /// An item of `depends_on` of a `[[vip]]`.
    DependencyKeys in "`depends_on` of [[vip]]" {
        /// This other VIP is announced.
        vip: Spanned<String> = vip_name => NAME, NONE, LIVE;
        /// There is a usable path to exactly this prefix.
        route: IpNet = scalar::prefix_or_address => PREFIX, NONE, LIVE;
        /// With `route`: the path comes from one of these peers.
        peer: Vec<Arc<str>> = peers => NAMES, "any", LIVE;
    }
}

keys! {
    /// `damping = { ... }` of a `[[vip]]`.
    DampingKeys in "`damping` of [[vip]]" {
        /// So many times down ...
        changes: u32 = scalar::number::<u32, 1, 100> => number(1, 100), "`5`", LIVE;
        /// ... within this time ...
        window: Duration = scalar::positive_duration => DURATION, "`\"1m\"`", LIVE;
        /// ... and it stays withdrawn until it has not gone down for so long.
        hold: Duration = scalar::positive_duration => DURATION, "`\"2m\"`", LIVE;
    }
}

/// One check.
const CHECK: Shape = Shape::Table(|| Table::new("vip.check", &[CheckKeys::KEYS]));
/// What a route carries.
const CARRIED: Shape = Shape::Table(|| Table::new("vip.carried", &[CarriedKeys::KEYS]));
/// One dependency.
const DEPENDENCY: Shape = Shape::Table(|| Table::new("vip.depends_on", &[DependencyKeys::KEYS]));
/// A command line.
const WORDS: Shape = Shape::List(&text("a word", "/usr/local/bin/check"));
const INTERFACE: Shape = text("an interface", "eth0");
const BITS: Shape = text("bits per second", "10G");

/// `bandwidth` as written.
#[derive(Clone, Debug)]
pub(in crate::config) enum BandwidthWritten {
    /// Bits per second.
    Fixed(u64),
    /// A table.
    Keys(BandwidthKeys),
}

/// A word of `wait_for`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::config) enum WaitWord {
    Kernel,
    EndOfRib,
}

/// An `http://` URL taken apart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::config) struct HttpTarget {
    pub(in crate::config) target: SocketAddr,
    /// `Host` header: the authority as written.
    pub(in crate::config) host: String,
    /// Path and query, at least `/`.
    pub(in crate::config) path: String,
    /// It is `https://`.
    pub(in crate::config) tls: bool,
}

/// Why a text is not an [`HttpTarget`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
enum UrlError {
    #[error("`{0}` does not begin with `http://` or `https://`")]
    Scheme(String),
    #[error("`{0}` is not an address: a check must not depend on name resolution")]
    Name(String),
    #[error("`{0}` is not a port")]
    Port(String),
    #[error("`{0}` has characters that a URL may not have")]
    Characters(String),
}

/// One check, or a list of them.
fn checks(value: &Value<'_>) -> Option<Vec<Spanned<CheckKeys>>> {
    value.one_or_many(|item| {
        let span = item.span.clone();
        item.keys().map(|keys| Spanned::new(span, keys))
    })
}

fn quorum(value: &Value<'_>) -> Option<Quorum> {
    if value.is_text() {
        let words = [("all", Quorum::All), ("any", Quorum::AtLeast(1))];
        return scalar::word(value, &words);
    }
    scalar::number::<usize, 1, 1000>(value).map(Quorum::AtLeast)
}

fn start(value: &Value<'_>) -> Option<Verdict> {
    let words = [
        ("unknown", Verdict::Unknown),
        ("up", Verdict::Up),
        ("down", Verdict::Down),
    ];
    scalar::word(value, &words)
}

fn on_fail(value: &Value<'_>) -> Option<Verdict> {
    let words = [
        ("down", Verdict::Down),
        ("degraded", Verdict::Degraded),
        ("disabled", Verdict::Disabled),
    ];
    scalar::word(value, &words)
}

fn record(value: &Value<'_>) -> Option<DnsKind> {
    let words = [("A", DnsKind::A), ("AAAA", DnsKind::Aaaa), ("SOA", DnsKind::Soa)];
    scalar::word(value, &words)
}

/// The withdrawal passes through the tables and every session before the address may go.
fn drain(value: &Value<'_>) -> Option<Duration> {
    const SHORTEST: Duration = Duration::from_millis(100);
    let drain = scalar::duration(value)?;
    if drain < SHORTEST {
        return value.fail(
            format_args!("{drain:?} is too short: the address would be gone before routers hear of it"),
            "expected \"100ms\" or more",
        );
    }
    Some(drain)
}

fn wait_for(value: &Value<'_>) -> Option<Vec<WaitWord>> {
    let words = [("kernel", WaitWord::Kernel), ("end-of-rib", WaitWord::EndOfRib)];
    value.one_or_many(|item| scalar::word(item, &words))
}

fn dependencies(value: &Value<'_>) -> Option<Vec<DependencyKeys>> {
    value.one_or_many(|item| item.keys())
}

/// The name of another VIP; whether there is one is checked when all have been read.
fn vip_name(value: &Value<'_>) -> Option<Spanned<String>> {
    let name = scalar::name(value)?;
    Some(Spanned::new(value.span.clone(), String::from(&*name)))
}

fn peers(value: &Value<'_>) -> Option<Vec<Arc<str>>> {
    value.one_or_many(|item| {
        let name = scalar::name(item)?;
        let written = Spanned::new(item.span.clone(), String::from(&*name));
        item.reader.refer(Referent::Peer, written);
        Some(name)
    })
}

fn asns(value: &Value<'_>) -> Option<Vec<Asn>> {
    value.one_or_many(scalar::asn)
}

/// The kernel's limit on an interface's name, without the octet that ends it.
const LONGEST_INTERFACE: usize = 15;

fn interface(value: &Value<'_>) -> Option<Arc<str>> {
    let name = scalar::name(value)?;
    if name.len() > LONGEST_INTERFACE || name.contains('/') {
        return value.fail(
            format_args!("`{name}` is not an interface"),
            "expected a name such as \"lo\" or \"eth0\"",
        );
    }
    Some(name)
}

fn absolute_path(value: &Value<'_>) -> Option<PathBuf> {
    let path = scalar::path(value)?;
    if path.is_absolute() {
        Some(path)
    } else {
        value.fail(
            format_args!("`{}` is not an absolute path", path.display()),
            "begin with `/`",
        )
    }
}

/// A name server: an address, and a port unless it is 53.
fn name_server(value: &Value<'_>) -> Option<SocketAddr> {
    const DNS: u16 = 53;
    value.parse("an address such as \"127.0.0.1\" or \"[::1]:5353\"", |text| {
        let address = text
            .parse::<IpAddr>()
            .map(|address| SocketAddr::new(address, DNS));
        address
            .or_else(|_| text.parse())
            .map_err(|_| format!("`{text}` is not an address"))
    })
}

/// A name of a certificate: a domain name or an address.
fn server_name(value: &Value<'_>) -> Option<String> {
    let text = value.text("a name such as \"shop.example\"")?;
    if rustls::pki_types::ServerName::try_from(text.as_str()).is_ok() {
        return Some(text);
    }
    value.fail(
        format_args!("`{text}` is not a server's name"),
        "expected a domain name or an address",
    )
}

/// RFC 1035 §2.3.4: labels of 1 to 63 octets, 253 characters in all.
fn dns_name(value: &Value<'_>) -> Option<String> {
    value.parse("a name such as \"shop.example\"", |text| {
        let name = text.strip_suffix('.').unwrap_or(text);
        let label = |label: &str| {
            (1..=63).contains(&label.len()) && label.bytes().all(|octet| octet.is_ascii_graphic())
        };
        if name.len() <= 253 && name.split('.').all(label) {
            Ok(name.to_owned())
        } else {
            Err(format!("`{text}` is not a domain name"))
        }
    })
}

/// `["Name: value"]`.
fn headers(value: &Value<'_>) -> Option<Vec<(String, String)>> {
    value.one_or_many(|item| {
        item.parse("a header such as \"X-Check: stonechat\"", |text| {
            let (name, value) = text
                .split_once(':')
                .ok_or_else(|| format!("`{text}` has no colon"))?;
            let header = hyper::header::HeaderName::try_from(name.trim());
            let content = hyper::header::HeaderValue::try_from(value.trim());
            match (header, content) {
                (Ok(_), Ok(_)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
                _ => Err(format!("`{text}` is not a header")),
            }
        })
    })
}

fn bandwidth(value: &Value<'_>) -> Option<BandwidthWritten> {
    if value.is_table() {
        value.keys().map(BandwidthWritten::Keys)
    } else {
        bits_per_second(value).map(BandwidthWritten::Fixed)
    }
}

/// `"10G"`: bits per second, with K, M, G or T for powers of a thousand.
fn bits_per_second(value: &Value<'_>) -> Option<u64> {
    value.parse("bits per second such as \"10G\" or \"500M\"", |text| {
        parse_bits(text).ok_or_else(|| format!("`{text}` is no bandwidth"))
    })
}

fn parse_bits(text: &str) -> Option<u64> {
    const UNITS: [(char, u64); 4] = [
        ('K', 1_000),
        ('M', 1_000_000),
        ('G', 1_000_000_000),
        ('T', 1_000_000_000_000),
    ];
    let unit = UNITS.iter().find(|(letter, _)| text.ends_with(*letter));
    let digits = text.strip_suffix(|c: char| unit.is_some_and(|(letter, _)| c == *letter));
    let number: u64 = digits.unwrap_or(text).parse().ok()?;
    let bits = number.checked_mul(unit.map_or(1, |(_, factor)| *factor))?;
    (bits >= 8).then_some(bits)
}

fn http_target(value: &Value<'_>) -> Option<HttpTarget> {
    value.parse("a URL such as \"http://127.0.0.1:8080/healthz\"", parse_url)
}

fn parse_url(url: &str) -> Result<HttpTarget, UrlError> {
    let (rest, tls) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
        (Some(rest), _) => (rest, false),
        (None, Some(rest)) => (rest, true),
        (None, None) => return Err(UrlError::Scheme(url.to_owned())),
    };
    if !rest.bytes().all(|octet| octet.is_ascii_graphic()) {
        return Err(UrlError::Characters(url.to_owned()));
    }
    let rest = rest.split('#').next().unwrap_or_default();
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let path = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    };
    Ok(HttpTarget {
        target: parse_authority(authority, if tls { 443 } else { 80 })?,
        host: authority.to_owned(),
        path,
        tls,
    })
}

/// `127.0.0.1`, `[::1]:8080`, `localhost:8080`; the scheme's port unless given.
fn parse_authority(authority: &str, default_port: u16) -> Result<SocketAddr, UrlError> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse().map_err(|_| UrlError::Port(port.to_owned()))?)
        }
        _ => (authority, default_port),
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let address = match bare {
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        other => other.parse().map_err(|_| UrlError::Name(other.to_owned()))?,
    };
    Ok(SocketAddr::new(address, port))
}

/// The program and its arguments; no shell is involved.
fn command(value: &Value<'_>) -> Option<Vec<String>> {
    if value.is_text() {
        return value.fail(
            "a string",
            "no shell is involved: write a list, `[\"/usr/local/bin/check\", \"--fast\"]`",
        );
    }
    let words = value.list("a list of words", scalar::text)?;
    match words.first() {
        Some(program) if program.starts_with('/') => Some(words),
        Some(program) => value.fail(
            format_args!("`{program}` is not an absolute path"),
            "begin with the program's path",
        ),
        None => value.fail(
            "an empty command",
            "expected a list such as [\"/usr/local/bin/check\"]",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_come_apart() {
        for (url, target, host, path) in [
            (
                "http://127.0.0.1:8080/healthz",
                "127.0.0.1:8080",
                "127.0.0.1:8080",
                "/healthz",
            ),
            ("http://10.0.0.1", "10.0.0.1:80", "10.0.0.1", "/"),
            ("http://localhost:81?x=1", "127.0.0.1:81", "localhost:81", "/?x=1"),
            ("http://[::1]:8080/a?b#c", "[::1]:8080", "[::1]:8080", "/a?b"),
            ("http://[fd00::1]/", "[fd00::1]:80", "[fd00::1]", "/"),
            ("https://127.0.0.1/a", "127.0.0.1:443", "127.0.0.1", "/a"),
            ("https://127.0.0.1:8443", "127.0.0.1:8443", "127.0.0.1:8443", "/"),
        ] {
            let expected = HttpTarget {
                target: target.parse().unwrap(),
                host: host.into(),
                path: path.into(),
                tls: url.starts_with("https"),
            };
            assert_eq!(parse_url(url), Ok(expected), "{url}");
        }
    }

    #[test]
    fn other_urls_are_refused() {
        for (url, error) in [
            ("ftp://127.0.0.1/", UrlError::Scheme("ftp://127.0.0.1/".into())),
            ("127.0.0.1:80", UrlError::Scheme("127.0.0.1:80".into())),
            ("http://shop.example/", UrlError::Name("shop.example".into())),
            ("http://127.0.0.1:http/", UrlError::Port("http".into())),
            (
                "http://127.0.0.1/a b",
                UrlError::Characters("http://127.0.0.1/a b".into()),
            ),
            ("http://", UrlError::Name(String::new())),
        ] {
            assert_eq!(parse_url(url), Err(error), "{url}");
        }
    }

    #[test]
    fn bandwidths_are_bits_per_second() {
        for (text, bits) in [
            ("10G", Some(10_000_000_000)),
            ("500M", Some(500_000_000)),
            ("64K", Some(64_000)),
            ("8", Some(8)),
            ("7", None),
            ("10g", None),
            ("G", None),
            ("-1G", None),
            ("99999999999T", None),
        ] {
            assert_eq!(parse_bits(text), bits, "{text}");
        }
    }
}
