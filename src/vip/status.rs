//! What a VIP tells those who ask.

use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::drain::Stage;

/// Whether a VIP can be served, as far as its check knows.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Not enough results yet; not announced.
    #[default]
    Unknown,
    /// Cannot be served; not announced.
    Down,
    /// Can be served; announced.
    Up,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unknown => "unknown",
            Self::Down => "down",
            Self::Up => "up",
        })
    }
}

/// One VIP as `stonechat vips` shows it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Status {
    /// Its configured name.
    pub name: Arc<str>,
    /// What is announced.
    pub address: IpNet,
    /// Whether it can be served.
    pub verdict: Verdict,
    /// How far it is drained; none while it is not.
    pub drain: Option<Stage>,
    /// The RIB has been told to announce it.
    pub announced: bool,
    /// The verdict was taken over from before a restart and no result has confirmed it.
    pub saved: bool,
    /// Unix time in seconds of the last change of `verdict`.
    pub since_unix_s: u64,
    /// What is asked, in words; `none` without a check.
    pub check: String,
    /// What the last probe said, in words.
    pub last_result: Option<String>,
    /// Unix time in seconds of the last probe's end.
    pub last_result_unix_s: Option<u64>,
    /// Successes in a row.
    pub successes: u32,
    /// Successes in a row that bring it up.
    pub rise: u32,
    /// Failures in a row.
    pub failures: u32,
    /// Failures in a row that take it down.
    pub fall: u32,
    /// Probes that succeeded.
    pub passed_total: u64,
    /// Probes that failed.
    pub failed_total: u64,
    /// Changes of the verdict.
    pub transitions_total: u64,
}
