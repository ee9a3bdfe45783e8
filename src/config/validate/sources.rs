//! What this node announces: `[[originate]]` and `[[vip]]`.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use toml::Spanned;

use super::{inner, or, twice};
use crate::config::file::originate::{KernelMatchKeys, OriginateKeys};
use crate::config::file::vip::{CheckKeys, VipKeys};
use crate::config::reader::Reader;
use crate::originate::settings::{From, KernelMatch, Source};
use crate::route::TableId;
use crate::vip::settings::{Check, Probe, Vip};

const CHECK_INTERVAL: Duration = Duration::from_secs(2);
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);
const CHECK_RISE: u32 = 2;
const CHECK_FALL: u32 = 3;

pub(super) fn originate(reader: &Reader<'_>, written: &[OriginateKeys]) -> Option<Vec<Source>> {
    let sources: Vec<Option<Source>> = written.iter().map(|keys| source(reader, keys)).collect();
    sources.into_iter().collect()
}

fn source(reader: &Reader<'_>, keys: &OriginateKeys) -> Option<Source> {
    let name = keys
        .header
        .require(reader, keys.name.as_ref(), "name", "\"pod-blocks\"");
    if let (Some(discard), None) = (&keys.discard, &keys.prefixes) {
        reader.error(
            &discard.span(),
            "`discard` goes with `prefixes`".to_owned(),
            ["routes that come from the kernel's table are in the kernel already".to_owned()],
        );
    }
    let from = match (&keys.prefixes, &keys.kernel) {
        (Some(prefixes), None) => From::Prefixes {
            prefixes: distinct(reader, prefixes.get_ref()),
            discard: or(keys.discard.as_ref(), false),
        },
        (None, Some(kernel)) => From::Kernel(kernel_match(reader, kernel)?),
        (Some(_), Some(kernel)) => {
            reader.error(
                &kernel.span(),
                "`prefixes` and `kernel` exclude each other".to_owned(),
                ["write two `[[originate]]`".to_owned()],
            );
            return None;
        }
        (None, None) => {
            if !keys.header.has("prefixes") && !keys.header.has("kernel") {
                let help = "add `prefixes = [\"10.96.0.0/12\"]` or `kernel = { type = [\"blackhole\"] }`";
                reader.error(
                    &keys.header.span,
                    "it announces nothing".to_owned(),
                    [help.to_owned()],
                );
            }
            return None;
        }
    };
    Some(Source {
        name: Arc::clone(name?),
        from,
        communities: or(keys.community.as_ref(), Vec::new()),
        large_communities: or(keys.large_community.as_ref(), Vec::new()),
        med: inner(keys.med.as_ref()),
    })
}

/// The prefixes without repetitions, which are reported.
fn distinct(reader: &Reader<'_>, written: &[Spanned<IpNet>]) -> Vec<IpNet> {
    let mut sorted: Vec<&Spanned<IpNet>> = written.iter().collect();
    sorted.sort();
    for pair in sorted.windows(2) {
        if let [first, second] = pair
            && first.get_ref() == second.get_ref()
        {
            twice(
                reader,
                &second.span(),
                &first.span(),
                format!("{} is listed twice", second.get_ref()),
            );
        }
    }
    written.iter().map(|prefix| *prefix.get_ref()).collect()
}

fn kernel_match(reader: &Reader<'_>, keys: &Spanned<KernelMatchKeys>) -> Option<KernelMatch> {
    let (span, keys) = (keys.span(), keys.get_ref());
    let within = or(keys.within.as_ref(), Vec::new());
    let shortest = within.iter().map(IpNet::prefix_len).min().unwrap_or(0);
    if let (Some(ge), Some(le)) = (&keys.ge, &keys.le)
        && ge.get_ref() > le.get_ref()
    {
        reader.error(
            &le.span(),
            "`le` is below `ge`: no prefix matches".to_owned(),
            [format!("expected {} or more", ge.get_ref())],
        );
        return None;
    }
    if let Some(le) = keys.le.as_ref().filter(|le| *le.get_ref() < shortest) {
        reader.error(
            &le.span(),
            "`le` is shorter than every prefix of `within`: no prefix matches".to_owned(),
            [format!("expected {shortest} or more")],
        );
        return None;
    }
    let selects = keys.within.is_some()
        || keys.r#type.is_some()
        || keys.protocol.is_some()
        || keys.scope.is_some()
        || keys.interface.is_some()
        || keys.metric.is_some();
    if !selects {
        let help = "add `within`, `type` or `protocol` to say which";
        reader.warning(
            &span,
            "every route of the kernel's table is announced".to_owned(),
            [help.to_owned()],
        );
    }
    Some(KernelMatch {
        table: or(keys.table.as_ref(), TableId::MAIN),
        kinds: or(keys.r#type.as_ref(), Vec::new()),
        protocols: or(keys.protocol.as_ref(), Vec::new()),
        scopes: or(keys.scope.as_ref(), Vec::new()),
        interfaces: or(keys.interface.as_ref(), Vec::new()),
        within,
        ge: inner(keys.ge.as_ref()),
        le: inner(keys.le.as_ref()),
        metric: inner(keys.metric.as_ref()),
    })
}

pub(super) fn vips(reader: &Reader<'_>, written: &[VipKeys]) -> Option<Vec<Vip>> {
    let vips: Vec<Option<Vip>> = written.iter().map(|keys| vip(reader, keys)).collect();
    report_overlaps(
        reader,
        written.iter().filter_map(|keys| keys.address.as_ref()).collect(),
    );
    vips.into_iter().collect()
}

fn vip(reader: &Reader<'_>, keys: &VipKeys) -> Option<Vip> {
    let name = keys
        .header
        .require(reader, keys.name.as_ref(), "name", "\"shop\"");
    let address = keys
        .header
        .require(reader, keys.address.as_ref(), "address", "\"172.16.99.10/32\"");
    let check = match &keys.check {
        Some(check) => Some(self::check(reader, check)?),
        None => None,
    };
    Some(Vip {
        name: Arc::clone(name?),
        address: *address?,
        check,
        communities: or(keys.community.as_ref(), Vec::new()),
        large_communities: or(keys.large_community.as_ref(), Vec::new()),
        med: inner(keys.med.as_ref()),
    })
}

fn check(reader: &Reader<'_>, keys: &Spanned<CheckKeys>) -> Option<Check> {
    let (span, keys) = (keys.span(), keys.get_ref());
    let interval = or(keys.interval.as_ref(), CHECK_INTERVAL);
    let timeout = or(keys.timeout.as_ref(), CHECK_TIMEOUT.min(interval));
    if let Some(written) = keys.timeout.as_ref().filter(|_| timeout > interval) {
        let help = format!("expected at most {interval:?}, so that probes do not overlap");
        reader.error(
            &written.span(),
            "`timeout` is longer than `interval`".to_owned(),
            [help],
        );
    }
    if let (Some(status), None) = (&keys.status, &keys.http) {
        reader.error(&status.span(), "`status` goes with `http`".to_owned(), []);
    }
    let probe = probe(reader, &span, keys)?;
    Some(Check {
        probe,
        interval,
        timeout,
        rise: or(keys.rise.as_ref(), CHECK_RISE),
        fall: or(keys.fall.as_ref(), CHECK_FALL),
    })
}

fn probe(reader: &Reader<'_>, span: &Range<usize>, keys: &CheckKeys) -> Option<Probe> {
    let given = ["http", "tcp", "command"]
        .into_iter()
        .filter(|key| keys.header.has(key))
        .count();
    if given != 1 {
        let message = if given == 0 {
            "the check asks nothing"
        } else {
            "the check asks two things"
        };
        reader.error(
            span,
            message.to_owned(),
            ["expected one of `http`, `tcp` and `command`".to_owned()],
        );
        return None;
    }
    let http = keys.http.as_ref().map(|http| {
        let http = http.get_ref().clone();
        let status = inner(keys.status.as_ref());
        Probe::Http {
            target: http.target,
            host: http.host,
            path: http.path,
            status,
        }
    });
    http.or_else(|| inner(keys.tcp.as_ref()).map(Probe::Tcp))
        .or_else(|| inner(keys.command.as_ref()).map(Probe::Command))
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
