//! `[speaker]`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bgp_codec::Asn;

use super::keys;
use crate::config::reader::Value;
use crate::config::schema::{
    ASN, BOOLEAN, DURATION, IPV4, LIVE, PATH, REQUIRED, RESTART, SOCKET, Shape, text,
};
use crate::config::{LogFormat, scalar};
use crate::telemetry;

keys! {
    /// `[speaker]`.
    SpeakerKeys in "[speaker]" {
        /// Our AS, also in asdot notation.
        asn: Asn = scalar::asn => ASN, REQUIRED, "restart, and nothing else of the file is taken over";
        /// BGP Identifier.
        router_id: Ipv4Addr = scalar::ipv4_address => IPV4,
            "the source address of the default route, else the lowest global IPv4 address, else a hash of the machine id", RESTART;
        /// CLUSTER_ID of a route reflector (RFC 4456).
        cluster_id: Ipv4Addr = scalar::ipv4_address => IPV4, "the router id", RESTART;
        /// Addresses and ports to accept peers on; `[]` for none.
        listen: Vec<SocketAddr> = scalar::socket_addresses => Shape::OneOrMany(&SOCKET),
            "`[\"0.0.0.0:179\", \"[::]:179\"]`", RESTART;
        /// Where `/metrics`, `/healthz` and `/readyz` are served.
        http: Option<SocketAddr> = address_or_off => Shape::Either(&[SOCKET, Shape::Words(&["off"]), Shape::False]), "`\"off\"`", LIVE;
        /// Directory of the state file that makes a restart graceful.
        state_dir: PathBuf = scalar::path => PATH, "`\"/run/stonechat\"`", RESTART;
        /// Directory of fragments: each `*.toml` in it is read as part of this file. A relative path starts at this file's
        /// directory.
        conf_d: PathBuf = scalar::path => PATH, "none", LIVE;
        /// After a restart: how long to wait for peers' End-of-RIB before choosing routes (RFC 4724 §4.1). Must be below
        /// every `restart_time`.
        deferral_time: Duration = scalar::positive_duration => DURATION,
            "`\"60s\"`, or half of the shortest `restart_time` if that is less", "live (counts at the next start)";
        /// Compare MED between paths from different neighbouring ASes too.
        always_compare_med: bool = scalar::boolean => BOOLEAN, "`false`", LIVE;
        /// A path without MED loses against any that has one, where it would be taken for 0, the best.
        med_missing_as_worst: bool = scalar::boolean => BOOLEAN, "`false`", LIVE;
        /// Leave out the length of AS_PATH when choosing the best path.
        ignore_as_path_length: bool = scalar::boolean => BOOLEAN, "`false`", LIVE;
        /// Leave out the metric of the route to the next hop when choosing the best path.
        ignore_next_hop_metric: bool = scalar::boolean => BOOLEAN, "`false`", LIVE;
        /// Among equal paths from external peers keep the one that has been there longest (RFC 5004), where the lowest
        /// router id would win.
        prefer_oldest: bool = scalar::boolean => BOOLEAN, "`false`", LIVE;
        /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `"info,stonechat::rib=debug"`.
        log_level: String = log_level => text("a level", "info"), "`\"info\"`", LIVE;
        /// For people, or one JSON object a line.
        log_format: LogFormat = log_format => Shape::Words(&["text", "json"]), "`\"text\"`", LIVE;
    }
}

/// `false` and `"off"` turn a listener off that a shared file turns on.
#[expect(
    clippy::option_option,
    reason = "the outer says whether it parses, the inner is what was written"
)]
fn address_or_off(value: &Value<'_>) -> Option<Option<SocketAddr>> {
    if value.as_boolean() == Some(false) {
        return Some(None);
    }
    if value.is_text() && value.text("an address")? == "off" {
        return Some(None);
    }
    scalar::socket_address(value).map(Some)
}

fn log_level(value: &Value<'_>) -> Option<String> {
    value.parse(
        "`error`, `warn`, `info`, `debug`, `trace`, or a filter such as \"info,stonechat::rib=debug\"",
        |level| telemetry::check_level(level).map(|()| level.to_owned()),
    )
}

fn log_format(value: &Value<'_>) -> Option<LogFormat> {
    scalar::word(value, &[("text", LogFormat::Text), ("json", LogFormat::Json)])
}
