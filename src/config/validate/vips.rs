//! `[[vip]]`: checks with their rhythm, and what the keys of one VIP and of several mean together.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use toml::Spanned;

use super::{inner, or, twice};
use crate::config::file::vip::{
    BandwidthWritten, CarriedKeys, CheckKeys, DampingKeys, DependencyKeys, VipKeys, WaitWord,
};
use crate::config::reader::Reader;
use crate::vip::Verdict;
use crate::vip::settings::{
    Bandwidth, Carried, Check, Damping, Dependency, DnsKind, DnsProbe, HttpProbe, Probe, Quorum,
    RouteDependency, Tls, Vip, WaitFor,
};

const CHECK_INTERVAL: Duration = Duration::from_secs(2);
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);
const CHECK_RISE: u32 = 2;
const CHECK_FALL: u32 = 3;
const DAMPING: Damping = Damping {
    changes: 5,
    window: Duration::from_secs(60),
    hold: Duration::from_secs(120),
};
/// Where a name server is asked unless told otherwise.
const NAME_SERVER: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 53);

/// What a check asks: one of these.
const QUESTIONS: [&str; 6] = ["http", "tcp", "command", "dns", "file", "interface"];

pub(super) fn vips(reader: &Reader<'_>, written: &[VipKeys]) -> Option<Vec<Vip>> {
    let vips: Vec<Option<Vip>> = written.iter().map(|keys| vip(reader, keys)).collect();
    report_overlaps(
        reader,
        written.iter().filter_map(|keys| keys.address.as_ref()).collect(),
    );
    report_dependencies(reader, written);
    vips.into_iter().collect()
}

fn vip(reader: &Reader<'_>, keys: &VipKeys) -> Option<Vip> {
    let name = keys
        .header
        .require(reader, keys.name.as_ref(), "name", "\"shop\"");
    let address = keys
        .header
        .require(reader, keys.address.as_ref(), "address", "\"172.16.99.10/32\"");
    let written = keys.check.iter().flat_map(Spanned::get_ref);
    let checks: Vec<Option<Check>> = written.map(|keys| check(reader, keys)).collect();
    let checks: Option<Vec<Check>> = checks.into_iter().collect();
    let depends_on = keys.depends_on.iter().flat_map(Spanned::get_ref);
    let depends_on: Vec<Option<Dependency>> = depends_on.map(|keys| dependency(reader, keys)).collect();
    let depends_on: Option<Vec<Dependency>> = depends_on.into_iter().collect();
    let waits = or(keys.wait_for.as_ref(), Vec::new());
    let vip = Vip {
        checks: checks?,
        quorum: or(keys.at_least.as_ref(), Quorum::All),
        start: or(keys.start.as_ref(), Verdict::Unknown),
        up: Carried {
            communities: or(keys.community.as_ref(), Vec::new()),
            large_communities: or(keys.large_community.as_ref(), Vec::new()),
            med: inner(keys.med.as_ref()),
            local_pref: inner(keys.local_pref.as_ref()),
            prepend: or(keys.prepend.as_ref(), 0),
        },
        degraded: keys.degraded.as_ref().map(|keys| carried(keys.get_ref())),
        disabled: keys.disabled.as_ref().map(|keys| carried(keys.get_ref())),
        bandwidth: match &keys.bandwidth {
            Some(written) => Some(bandwidth(reader, written)?),
            None => None,
        },
        bind: inner(keys.bind.as_ref()),
        require_bound: or(keys.require_bound.as_ref(), false),
        group: inner(keys.group.as_ref()),
        depends_on: depends_on?,
        wait_for: WaitFor {
            kernel: waits.contains(&WaitWord::Kernel),
            end_of_rib: waits.contains(&WaitWord::EndOfRib),
        },
        damping: keys.damping.as_ref().map(|keys| damping(keys.get_ref())),
        on_change: inner(keys.on_change.as_ref()),
        origins: or(keys.origins.as_ref(), Vec::new()),
        ..Vip::new(Arc::clone(name?), *address?)
    };
    let vip = Vip {
        drain: or(keys.drain.as_ref(), vip.drain),
        ..vip
    };
    report_contradictions(reader, keys, &vip);
    Some(vip)
}

fn carried(keys: &CarriedKeys) -> Carried {
    Carried {
        communities: or(keys.community.as_ref(), Vec::new()),
        large_communities: or(keys.large_community.as_ref(), Vec::new()),
        med: inner(keys.med.as_ref()),
        local_pref: inner(keys.local_pref.as_ref()),
        prepend: or(keys.prepend.as_ref(), 0),
    }
}

fn damping(keys: &DampingKeys) -> Damping {
    Damping {
        changes: or(keys.changes.as_ref(), DAMPING.changes),
        window: or(keys.window.as_ref(), DAMPING.window),
        hold: or(keys.hold.as_ref(), DAMPING.hold),
    }
}

fn bandwidth(reader: &Reader<'_>, written: &Spanned<BandwidthWritten>) -> Option<Bandwidth> {
    let keys = match written.get_ref() {
        BandwidthWritten::Fixed(bits) => return Some(Bandwidth::Fixed(*bits)),
        BandwidthWritten::Keys(keys) => keys,
    };
    match (&keys.per_healthy, &keys.interface) {
        (Some(bits), None) => Some(Bandwidth::PerHealthy(*bits.get_ref())),
        (None, Some(name)) => Some(Bandwidth::Interface(Arc::clone(name.get_ref()))),
        _ => {
            reader.error(
                &written.span(),
                "`bandwidth` comes from one thing".to_owned(),
                ["expected `\"10G\"`, `{ per_healthy = \"1G\" }` or `{ interface = \"eth0\" }`".to_owned()],
            );
            None
        }
    }
}

fn dependency(reader: &Reader<'_>, keys: &DependencyKeys) -> Option<Dependency> {
    match (&keys.vip, &keys.route) {
        (Some(vip), None) if keys.peer.is_none() => {
            Some(Dependency::Vip(Arc::from(vip.get_ref().get_ref().as_str())))
        }
        (None, Some(route)) => Some(Dependency::Route(RouteDependency {
            prefix: *route.get_ref(),
            peers: or(keys.peer.as_ref(), Vec::new()),
        })),
        _ => {
            reader.error(
                &keys.header.span,
                "it depends on one thing".to_owned(),
                ["expected `{ vip = \"dns\" }` or `{ route = \"0.0.0.0/0\", peer = \"tor\" }`".to_owned()],
            );
            None
        }
    }
}

fn check(reader: &Reader<'_>, keys: &Spanned<CheckKeys>) -> Option<Check> {
    let (span, keys) = (keys.span(), keys.get_ref());
    let interval = or(keys.interval.as_ref(), CHECK_INTERVAL);
    let fast_interval = or(keys.fast_interval.as_ref(), interval);
    if let Some(written) = keys.fast_interval.as_ref().filter(|_| fast_interval > interval) {
        reader.error(
            &written.span(),
            "`fast_interval` is longer than `interval`".to_owned(),
            [format!("expected at most {interval:?}")],
        );
    }
    let timeout = or(keys.timeout.as_ref(), CHECK_TIMEOUT.min(interval));
    if let Some(written) = keys.timeout.as_ref().filter(|_| timeout > interval) {
        let help = format!("expected at most {interval:?}, so that probes do not overlap");
        reader.error(
            &written.span(),
            "`timeout` is longer than `interval`".to_owned(),
            [help],
        );
    }
    let jitter = or(keys.jitter.as_ref(), Duration::ZERO);
    if let Some(written) = keys.jitter.as_ref().filter(|_| jitter > interval) {
        reader.error(
            &written.span(),
            "`jitter` is longer than `interval`".to_owned(),
            [format!("expected at most {interval:?}")],
        );
    }
    report_strays(reader, keys);
    Some(Check {
        probe: probe(reader, &span, keys)?,
        interval,
        fast_interval,
        jitter,
        timeout,
        rise: or(keys.rise.as_ref(), CHECK_RISE),
        fall: or(keys.fall.as_ref(), CHECK_FALL),
        on_fail: or(keys.on_fail.as_ref(), Verdict::Down),
    })
}

/// Keys that belong to another kind of check.
fn report_strays(reader: &Reader<'_>, keys: &CheckKeys) {
    let strays = [
        ("status", "http", keys.status.as_ref().map(Spanned::span)),
        ("body", "http", keys.body.as_ref().map(Spanned::span)),
        ("headers", "http", keys.headers.as_ref().map(Spanned::span)),
        ("server", "dns", keys.server.as_ref().map(Spanned::span)),
        ("record", "dns", keys.record.as_ref().map(Spanned::span)),
        ("absent", "file", keys.absent.as_ref().map(Spanned::span)),
    ];
    let plain = keys.http.as_ref().is_none_or(|http| !http.get_ref().tls);
    for (key, span) in [
        ("server_name", keys.server_name.as_ref().map(Spanned::span)),
        ("ca_file", keys.ca_file.as_ref().map(Spanned::span)),
    ] {
        if let Some(span) = span.filter(|_| plain) {
            reader.error(&span, format!("`{key}` goes with `https://`"), []);
        }
    }
    for (key, question, span) in strays {
        if let Some(span) = span.filter(|_| !keys.header.has(question)) {
            reader.error(&span, format!("`{key}` goes with `{question}`"), []);
        }
    }
}

fn probe(reader: &Reader<'_>, span: &Range<usize>, keys: &CheckKeys) -> Option<Probe> {
    let given = QUESTIONS.iter().filter(|key| keys.header.has(key)).count();
    if given != 1 {
        let message = if given == 0 {
            "the check asks nothing"
        } else {
            "the check asks two things"
        };
        let help = if given == 0 {
            "expected one of `http`, `tcp`, `command`, `dns`, `file` and `interface`"
        } else {
            "expected one of `http`, `tcp`, `command`, `dns`, `file` and `interface`; `check` may be a list"
        };
        reader.error(span, message.to_owned(), [help.to_owned()]);
        return None;
    }
    let http = keys.http.as_ref().map(|http| {
        let http = http.get_ref().clone();
        let name = inner(keys.server_name.as_ref());
        let tls = http.tls.then(|| Tls {
            server_name: name.clone().unwrap_or_else(|| http.target.ip().to_string()),
            ca_file: inner(keys.ca_file.as_ref()),
        });
        Probe::Http(HttpProbe {
            target: http.target,
            host: name.unwrap_or(http.host),
            path: http.path,
            tls,
            headers: or(keys.headers.as_ref(), Vec::new()),
            status: inner(keys.status.as_ref()),
            body: inner(keys.body.as_ref()),
        })
    });
    let dns = || {
        keys.dns.as_ref().map(|name| {
            Probe::Dns(DnsProbe {
                server: or(keys.server.as_ref(), NAME_SERVER),
                name: name.get_ref().clone(),
                kind: or(keys.record.as_ref(), DnsKind::A),
            })
        })
    };
    let file = || {
        keys.file.as_ref().map(|path| Probe::File {
            path: path.get_ref().clone(),
            absent: or(keys.absent.as_ref(), false),
        })
    };
    http.or_else(|| inner(keys.tcp.as_ref()).map(Probe::Tcp))
        .or_else(|| inner(keys.command.as_ref()).map(Probe::Command))
        .or_else(dns)
        .or_else(file)
        .or_else(|| inner(keys.interface.as_ref()).map(Probe::Interface))
}

/// What the keys of one VIP say against each other.
fn report_contradictions(reader: &Reader<'_>, keys: &VipKeys, vip: &Vip) {
    let host = vip.address.prefix_len() == vip.address.max_prefix_len();
    for (key, span) in [
        ("bind", keys.bind.as_ref().map(Spanned::span)),
        ("require_bound", keys.require_bound.as_ref().map(Spanned::span)),
    ] {
        if let Some(span) = span.filter(|_| !host) {
            reader.error(
                &span,
                format!("`{key}`: {} is no single address", vip.address),
                ["an interface has addresses, not prefixes".to_owned()],
            );
        }
    }
    if let (Some(bind), Some(require)) = (&keys.bind, &keys.require_bound)
        && *require.get_ref()
    {
        twice(
            reader,
            &require.span(),
            &bind.span(),
            "`require_bound` waits for somebody else, `bind` does it".to_owned(),
        );
    }
    let capacity = vip
        .checks
        .iter()
        .filter(|check| check.on_fail == Verdict::Down)
        .count();
    if let (Some(written), Quorum::AtLeast(count)) = (&keys.at_least, vip.quorum)
        && count > capacity
    {
        let help = format!("there are {capacity} checks whose failure takes it down");
        reader.error(
            &written.span(),
            format!("`at_least`: {count} can never pass"),
            [help],
        );
    }
    if let (Some(written), Some(Bandwidth::PerHealthy(_)), 0) = (&keys.bandwidth, &vip.bandwidth, capacity) {
        reader.error(
            &written.span(),
            "`per_healthy`: there is no check to be healthy".to_owned(),
            ["add a `check`".to_owned()],
        );
    }
    report_check_of_bound(reader, keys, vip);
}

/// An address that is bound while its check passes cannot be what the check asks.
fn report_check_of_bound(reader: &Reader<'_>, keys: &VipKeys, vip: &Vip) {
    if vip.bind.is_none() {
        return;
    }
    let written = keys.check.iter().flat_map(Spanned::get_ref);
    for (written, check) in written.zip(&vip.checks) {
        let target = match &check.probe {
            Probe::Tcp(target) => *target,
            Probe::Http(http) => http.target,
            Probe::Dns(dns) => dns.server,
            Probe::Command(_) | Probe::File { .. } | Probe::Interface(_) => continue,
        };
        if target.ip() == vip.address.addr() {
            reader.error(
                &written.span(),
                format!(
                    "the check asks {}, which is bound only once it passes",
                    target.ip()
                ),
                ["ask another address of the service, such as 127.0.0.1, or leave `bind` out".to_owned()],
            );
        }
    }
}

/// Two VIPs that share addresses would be withdrawn for each other's sake.
fn report_overlaps(reader: &Reader<'_>, mut addresses: Vec<&Spanned<IpNet>>) {
    addresses.sort();
    let mut widest: Option<&Spanned<IpNet>> = None;
    for address in addresses {
        match widest {
            Some(other) if other.get_ref().contains(address.get_ref()) => {
                let message = format!("VIP {} overlaps VIP {}", address.get_ref(), other.get_ref());
                twice(reader, &address.span(), &other.span(), message);
            }
            _ => widest = Some(address),
        }
    }
}

/// A VIP that depends on one that does not exist, or on itself in the end, would never be announced. The members of a
/// group wait for each other, so that what one depends on all do.
fn report_dependencies(reader: &Reader<'_>, written: &[VipKeys]) {
    let named = written
        .iter()
        .filter_map(|keys| Some((&**keys.name.as_ref()?.get_ref(), keys)));
    let vips: BTreeMap<&str, &VipKeys> = named.collect();
    for keys in vips.values() {
        for on in on_vips(keys) {
            if !vips.contains_key(on.get_ref().as_str()) {
                let help = format!("known: {}", vips.keys().copied().collect::<Vec<_>>().join(", "));
                reader.error(&on.span(), format!("there is no VIP `{}`", on.get_ref()), [help]);
            } else if reaches(&vips, on.get_ref(), &cluster(&vips, keys)) {
                let message = "it depends on itself in the end".to_owned();
                let help = "VIPs of one group count as one".to_owned();
                reader.error(&on.span(), message, [help]);
            }
        }
    }
}

fn on_vips(keys: &VipKeys) -> impl Iterator<Item = &Spanned<String>> {
    let all = keys.depends_on.iter().flat_map(Spanned::get_ref);
    all.filter_map(|dependency| dependency.vip.as_ref().map(Spanned::get_ref))
}

/// The VIP and those of its group.
fn cluster<'k>(vips: &BTreeMap<&'k str, &'k VipKeys>, keys: &'k VipKeys) -> BTreeSet<&'k str> {
    let group = keys.group.as_ref().map(Spanned::get_ref);
    let same = |other: &VipKeys| group.is_some() && other.group.as_ref().map(Spanned::get_ref) == group;
    let own = keys.name.as_ref().map(|name| &**name.get_ref());
    let members = vips
        .iter()
        .filter(|(_, other)| same(other))
        .map(|(name, _)| *name);
    own.into_iter().chain(members).collect()
}

/// Whether following dependencies from `start` comes to one of `ends`.
fn reaches<'k>(vips: &BTreeMap<&'k str, &'k VipKeys>, start: &str, ends: &BTreeSet<&str>) -> bool {
    let mut seen = BTreeSet::new();
    let mut next: Vec<&str> = vips
        .get_key_value(start)
        .map(|(name, _)| *name)
        .into_iter()
        .collect();
    while let Some(name) = next.pop() {
        if ends.contains(name) {
            return true;
        }
        let Some(keys) = vips.get(name).filter(|_| seen.insert(name)) else {
            continue;
        };
        for member in cluster(vips, keys) {
            let on = vips.get(member).into_iter().flat_map(|keys| on_vips(keys));
            next.extend(on.map(|on| on.get_ref().as_str()));
        }
    }
    false
}
