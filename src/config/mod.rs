//! Configuration: the TOML file's shape (`file.rs`), its validation (`validate.rs`), and the plan of a reload (`diff.rs`).
//!
//! A [`Config`] is always valid: nobody parses again behind an `expect`.

#![cfg_attr(
    not(test),
    warn(
        clippy::as_conversions,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::wildcard_enum_match_arm
    )
)]

mod diff;
mod environment;
mod file;
mod load;
mod nearest;
mod policy_test;
mod reader;
mod report;
mod scalar;
mod schema;
mod show;
mod source;
#[cfg(test)]
mod tests;
mod validate;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bgp_codec::Asn;

pub use self::diff::{Change, Effect, PeerChanges, Plan};
pub use self::environment::Variables;
pub use self::load::{Loaded, minimal_file};
pub use self::policy_test::{CaseResult, policy_test};
pub use self::report::{Problem, Report};
pub(crate) use self::scalar::parse_duration;
pub use self::show::effective;
use crate::policy::Filter;
use crate::rib::interface::DecisionOptions;
use crate::{kernel, originate, session, vip};

/// The file as a JSON Schema (draft 2020-12), with the meaning and default of each key.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    schema::json_schema()
}

/// A whole, valid configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// `[speaker]`.
    pub speaker: Speaker,
    /// `[kernel]`; without it nothing is installed.
    pub kernel: Option<kernel::settings::Settings>,
    /// `[[originate]]`, in file order.
    pub originate: Vec<originate::settings::Source>,
    /// `[[aggregate]]`, in file order.
    pub aggregates: Vec<originate::settings::Aggregate>,
    /// `[[vip]]`, in file order.
    pub vips: Vec<vip::settings::Vip>,
    /// `[[filter]]`, in file order; peers hold those they use.
    pub filters: Vec<Arc<Filter>>,
    /// `[[peer]]` and `[[peer_group]]` with `listen_range`, in file order, group settings folded in.
    pub peers: Vec<session::settings::PeerSettings>,
}

/// `[speaker]`: fixed while running unless the plan says otherwise.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Speaker {
    /// Our AS.
    pub asn: Asn,
    /// As given; chosen at start when absent.
    pub router_id: Option<Ipv4Addr>,
    /// CLUSTER_ID, RFC 4456; the router id when absent.
    pub cluster_id: Option<Ipv4Addr>,
    /// Where to listen; empty: nowhere. Default `0.0.0.0:179` and `[::]:179`.
    pub listen: Vec<SocketAddr>,
    /// Where to serve `/metrics`, `/healthz` and `/readyz`; absent: nowhere.
    pub http: Option<SocketAddr>,
    /// Where the state file lives; `/run/stonechat`.
    pub state_dir: PathBuf,
    /// After a restart: selection and our End-of-RIB wait no longer than this (RFC 4724 §4.1); below the restart time.
    pub deferral_time: Duration,
    /// RFC 4271 §9.1.2.2(c) across neighbouring ASes.
    pub always_compare_med: bool,
    /// Steps of RFC 4271 §9.1.2.2 that are left out or changed.
    pub decision: DecisionOptions,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter expression.
    pub log_level: String,
    /// `text` or `json`.
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}
