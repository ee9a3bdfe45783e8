//! From what is written to what is meant: defaults, inheritance, cross-checks.
//!
//! Reading goes on after a problem, so every function here takes what could be read and yields `None` where something
//! it needs is missing; the problem has been reported by then.

mod aggregates;
mod conditions;
mod filters;
mod names;
mod password;
mod peers;
mod profiles;
mod sources;
mod vips;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;

use super::file::File;
use super::file::kernel::{Blackhole, KernelKeys};
use super::file::speaker::SpeakerKeys;
use super::reader::Reader;
use super::{Config, Speaker};
use crate::kernel::settings::{Metric, OnStop, Settings};
use crate::rib::interface::DecisionOptions;
use crate::route::TableId;
use crate::session::settings::{PORT, PeerSettings};

pub(super) use self::profiles::effective_keys;

/// rtm_protocol of our routes.
const KERNEL_PROTOCOL: u8 = 179;
/// `RTA_PRIORITY` of our routes: behind static routes and link routes, before IPv6's 1024.
const KERNEL_METRIC: u32 = 200;
const KERNEL_MULTIPATH: u16 = 16;
const STATE_DIR: &str = "/run/stonechat";
const DEFERRAL_TIME: Duration = Duration::from_secs(60);

/// The configuration that the file means; `None` if it means none, which has been reported.
pub(super) fn validate(reader: &Reader<'_>, file: &File) -> Option<Config> {
    names::check(reader, file);
    let speaker = match &file.speaker {
        Some(keys) => speaker(reader, keys),
        None if file.speaker_meant => None,
        None => {
            reader.error(
                &(0..0),
                "`[speaker]` is missing".to_owned(),
                ["begin with `[speaker]` and `asn = 64512`".to_owned()],
            );
            None
        }
    };
    let filters = filters::build(reader, file);
    let peers = peers::build(reader, file, &filters);
    let originate = sources::originate(reader, &file.originate);
    let aggregates = aggregates::aggregates(reader, &file.aggregates, &filters);
    let vips = vips::vips(reader, &file.vips);
    sources::warn_of_families(reader, file, &peers);
    let mut speaker = speaker?;
    speaker.deferral_time = deferral_time(reader, file.speaker.as_ref()?, &peers);
    Some(Config {
        speaker,
        kernel: file.kernel.as_ref().map(|keys| kernel(reader, keys)),
        originate: originate?,
        aggregates: aggregates?,
        vips: vips?,
        filters,
        peers,
    })
}

/// The value, or what stands in for it.
fn or<T: Clone>(value: Option<&Spanned<T>>, default: T) -> T {
    value.map_or(default, |value| value.get_ref().clone())
}

fn inner<T: Clone>(value: Option<&Spanned<T>>) -> Option<T> {
    value.map(|value| value.get_ref().clone())
}

fn speaker(reader: &Reader<'_>, keys: &SpeakerKeys) -> Option<Speaker> {
    for (id, key) in [(&keys.router_id, "router_id"), (&keys.cluster_id, "cluster_id")] {
        if let Some(id) = id.as_ref().filter(|id| !is_identifier(*id.get_ref())) {
            reader.error(
                &id.span(),
                format!("`{key}`: {} identifies nobody", id.get_ref()),
                ["expected an IPv4 address of this node, not 0.0.0.0 and not in 224.0.0.0/3".to_owned()],
            );
        }
    }
    let asn = keys.header.require(reader, keys.asn.as_ref(), "asn", "64512")?;
    let everywhere = || {
        [
            SocketAddr::from(([0; 4], PORT)),
            SocketAddr::from(([0_u16; 8], PORT)),
        ]
        .to_vec()
    };
    Some(Speaker {
        asn: *asn,
        router_id: inner(keys.router_id.as_ref()),
        cluster_id: inner(keys.cluster_id.as_ref()),
        listen: inner(keys.listen.as_ref()).unwrap_or_else(everywhere),
        http: inner(keys.http.as_ref()).flatten(),
        state_dir: inner(keys.state_dir.as_ref()).unwrap_or_else(|| PathBuf::from(STATE_DIR)),
        deferral_time: DEFERRAL_TIME,
        always_compare_med: or(keys.always_compare_med.as_ref(), false),
        decision: DecisionOptions {
            med_missing_as_worst: or(keys.med_missing_as_worst.as_ref(), false),
            ignore_as_path_length: or(keys.ignore_as_path_length.as_ref(), false),
            ignore_next_hop_metric: or(keys.ignore_next_hop_metric.as_ref(), false),
            prefer_oldest: or(keys.prefer_oldest.as_ref(), false),
        },
        log_level: inner(keys.log_level.as_ref()).unwrap_or_else(|| "info".to_owned()),
        log_format: inner(keys.log_format.as_ref()).unwrap_or_default(),
    })
}

/// RFC 6286 §2.1: an identifier is not zero. Class D and E are refused as slips.
fn is_identifier(id: Ipv4Addr) -> bool {
    let [first, ..] = id.octets();
    !id.is_unspecified() && first < 224
}

/// Peers keep our routes for the restart time, so we must have decided before it ends.
fn deferral_time(reader: &Reader<'_>, keys: &SpeakerKeys, peers: &[PeerSettings]) -> Duration {
    let shortest = peers
        .iter()
        .filter_map(|peer| Some(peer.graceful_restart?.restart_time))
        .min();
    let Some(written) = &keys.deferral_time else {
        return shortest.map_or(DEFERRAL_TIME, |shortest| DEFERRAL_TIME.min(shortest / 2));
    };
    if let Some(shortest) = shortest.filter(|shortest| written.get_ref() >= shortest) {
        reader.error(
            &written.span(),
            format!(
                "`deferral_time`: {:?} is not below the shortest `restart_time`",
                written.get_ref()
            ),
            [format!("peers keep our routes for {shortest:?}; expected less")],
        );
    }
    *written.get_ref()
}

fn kernel(reader: &Reader<'_>, keys: &KernelKeys) -> Settings {
    let (mut ipv4_source, mut ipv6_source) = (None, None);
    if let Some(src) = &keys.src {
        for address in src.get_ref() {
            let before = match address {
                IpAddr::V4(address) => ipv4_source.replace(*address).map(IpAddr::V4),
                IpAddr::V6(address) => ipv6_source.replace(*address).map(IpAddr::V6),
            };
            if let Some(before) = before {
                let message = format!("`src`: {before} and {address} are of one family");
                reader.error(
                    &src.span(),
                    message,
                    ["a route has one source: leave one of them out".to_owned()],
                );
            }
        }
    }
    let blackhole = or(keys.blackhole.as_ref(), Blackhole::No);
    Settings {
        ipv4_source,
        ipv6_source,
        mtu: inner(keys.mtu.as_ref()),
        advmss: inner(keys.advmss.as_ref()),
        install: or(keys.install.as_ref(), true),
        table: or(keys.table.as_ref(), TableId::MAIN),
        protocol: or(keys.protocol.as_ref(), KERNEL_PROTOCOL),
        metric: or(keys.metric.as_ref(), Metric::Fixed(KERNEL_METRIC)),
        multipath: or(keys.multipath.as_ref(), KERNEL_MULTIPATH),
        blackhole: blackhole != Blackhole::No,
        unreachable: blackhole == Blackhole::Unreachable,
        next_hop_via_default: or(keys.next_hop_via_default.as_ref(), true),
        onlink: or(keys.onlink.as_ref(), false),
        on_stop: or(keys.on_stop.as_ref(), OnStop::Keep),
    }
}

/// `also on line 12`, for a second of something that may exist once.
fn twice(reader: &Reader<'_>, second: &Range<usize>, first: &Range<usize>, message: String) {
    reader.error(
        second,
        message,
        [format!("the other one is {}", reader.elsewhere(second, first))],
    );
}
