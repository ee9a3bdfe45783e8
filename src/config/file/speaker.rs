//! `[speaker]`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bgp_codec::Asn;

use super::keys;
use crate::config::reader::Value;
use crate::config::{LogFormat, scalar};
use crate::telemetry;

keys! {
    /// `[speaker]`.
    SpeakerKeys in "[speaker]" {
        asn: Asn = scalar::asn;
        router_id: Ipv4Addr = scalar::ipv4_address;
        cluster_id: Ipv4Addr = scalar::ipv4_address;
        listen: Vec<SocketAddr> = scalar::socket_addresses;
        http: Option<SocketAddr> = address_or_off;
        state_dir: PathBuf = scalar::path;
        deferral_time: Duration = scalar::positive_duration;
        always_compare_med: bool = scalar::boolean;
        log_level: String = log_level;
        log_format: LogFormat = log_format;
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
