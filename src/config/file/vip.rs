//! `[[vip]]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bgp_codec::{Community, LargeCommunity};
use ipnet::IpNet;

use super::keys;
use crate::config::reader::Value;
use crate::config::scalar;
use crate::config::schema::{
    COMMUNITIES, DURATION, LARGE_COMMUNITIES, LIVE, NAME, NONE, REQUIRED, SOCKET, Shape, Table, U32, number,
    text,
};

keys! {
    /// `[[vip]]`.
    VipKeys in "[[vip]]" {
        /// Unique among `[[originate]]` and `[[vip]]`.
        name: Arc<str> = scalar::name => NAME, REQUIRED, LIVE;
        /// The address, or a prefix. VIPs may not overlap.
        address: IpNet = scalar::prefix_or_address => text("an address", "172.16.99.10/32"), REQUIRED, LIVE;
        /// How to know that it is served.
        check: CheckKeys = scalar::table => Shape::Table(|| Table::new("vip.check", &[CheckKeys::KEYS])),
            "none: always announced", LIVE;
        /// Communities to attach.
        community: Vec<Community> = scalar::communities => COMMUNITIES, NONE, LIVE;
        /// Large communities to attach.
        large_community: Vec<LargeCommunity> = scalar::large_communities => LARGE_COMMUNITIES, NONE, LIVE;
        /// MED to attach.
        med: u32 = scalar::any_u32 => U32, NONE, LIVE;
    }
}

keys! {
    /// `check = { ... }` of a `[[vip]]`.
    CheckKeys in "`check` of [[vip]]" {
        /// URL to get, `"http://127.0.0.1:8080/healthz"`. The host is an address or `localhost`: a check does not depend on
        /// name resolution.
        http: HttpTarget = http_target => text("a URL", "http://127.0.0.1:8080/healthz"), NONE, LIVE;
        /// Address and port to connect to.
        tcp: SocketAddr = scalar::socket_address => SOCKET, NONE, LIVE;
        /// Program (an absolute path) and its arguments, without a shell; exit code 0 is healthy. It runs without
        /// privileges.
        command: Vec<String> = command => Shape::List(&text("a word", "/usr/local/bin/check")), NONE, LIVE;
        /// From the start of one probe to the start of the next.
        interval: Duration = scalar::positive_duration => DURATION, "`\"2s\"`", LIVE;
        /// A probe that takes longer has failed. At most `interval`.
        timeout: Duration = scalar::positive_duration => DURATION, "`\"1s\"`, or `interval` if that is less", LIVE;
        /// Successes in a row before the VIP is announced.
        rise: u32 = scalar::number::<u32, 1, 1000> => number(1, 1000), "`2`", LIVE;
        /// Failures in a row before it is withdrawn.
        fall: u32 = scalar::number::<u32, 1, 1000> => number(1, 1000), "`3`", LIVE;
        /// Status that `http` must answer with.
        status: u16 = scalar::number::<u16, 100, 599> => number(100, 599), "200 to 399", LIVE;
    }
}

/// An `http://` URL taken apart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::config) struct HttpTarget {
    pub(in crate::config) target: SocketAddr,
    /// `Host` header: the authority as written.
    pub(in crate::config) host: String,
    /// Path and query, at least `/`.
    pub(in crate::config) path: String,
}

/// Why a text is not an [`HttpTarget`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
enum UrlError {
    #[error("https is not spoken; a `command` check can call a program that does")]
    Https,
    #[error("`{0}` does not begin with `http://`")]
    Scheme(String),
    #[error("`{0}` is not an address: a check must not depend on name resolution")]
    Name(String),
    #[error("`{0}` is not a port")]
    Port(String),
    #[error("`{0}` has characters that a URL may not have")]
    Characters(String),
}

fn http_target(value: &Value<'_>) -> Option<HttpTarget> {
    value.parse("a URL such as \"http://127.0.0.1:8080/healthz\"", parse_url)
}

fn parse_url(url: &str) -> Result<HttpTarget, UrlError> {
    let rest = url.strip_prefix("http://").ok_or_else(|| {
        if url.starts_with("https://") {
            UrlError::Https
        } else {
            UrlError::Scheme(url.to_owned())
        }
    })?;
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
        target: parse_authority(authority)?,
        host: authority.to_owned(),
        path,
    })
}

/// `127.0.0.1`, `[::1]:8080`, `localhost:8080`; port 80 unless given.
fn parse_authority(authority: &str) -> Result<SocketAddr, UrlError> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse().map_err(|_| UrlError::Port(port.to_owned()))?)
        }
        _ => (authority, 80),
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
        ] {
            let expected = HttpTarget {
                target: target.parse().unwrap(),
                host: host.into(),
                path: path.into(),
            };
            assert_eq!(parse_url(url), Ok(expected), "{url}");
        }
    }

    #[test]
    fn other_urls_are_refused() {
        for (url, error) in [
            ("https://127.0.0.1/", UrlError::Https),
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
}
