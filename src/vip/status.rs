//! What a VIP tells those who ask.

use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::drain::Stage;

/// Whether a VIP, or one of its checks, can be served; a check is never degraded nor disabled.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Not enough results yet; not announced.
    #[default]
    Unknown,
    /// Cannot be served; not announced.
    Down,
    /// Switched off; announced only where `disabled` says how.
    Disabled,
    /// Can be served, with less than everything; announced as `degraded` says.
    Degraded,
    /// Can be served; announced.
    Up,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unknown => "unknown",
            Self::Down => "down",
            Self::Disabled => "disabled",
            Self::Degraded => "degraded",
            Self::Up => "up",
        })
    }
}

/// Why a VIP is not announced.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Held {
    /// Its verdict does not allow it.
    Verdict(Verdict),
    /// It has been drained.
    Drained,
    /// It went down too often.
    Damped,
    /// What was selected is not in the kernel yet.
    Kernel,
    /// The peers have not told all their routes yet.
    EndOfRib,
    /// Another VIP is not announced.
    DependsOn(Arc<str>),
    /// There is no such route.
    NoRoute(IpNet),
    /// Nobody has given the address to an interface.
    NotBound,
    /// This one of its group cannot be announced.
    Group(Arc<str>),
    /// The address is not on its interface yet; why, if the kernel refused.
    Binding(Option<String>),
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verdict(Verdict::Unknown) => f.write_str("no verdict yet"),
            Self::Verdict(verdict) => write!(f, "{verdict}"),
            Self::Drained => f.write_str("drained"),
            Self::Damped => f.write_str("damped: it went down too often"),
            Self::Kernel => f.write_str("waits for the kernel to hold what was selected"),
            Self::EndOfRib => f.write_str("waits for the peers' End-of-RIB"),
            Self::DependsOn(vip) => write!(f, "VIP {vip} is not announced"),
            Self::NoRoute(prefix) => write!(f, "there is no route to {prefix} as `depends_on` has it"),
            Self::NotBound => f.write_str("no interface has the address"),
            Self::Group(vip) => write!(f, "{vip} of its group cannot be announced"),
            Self::Binding(None) => f.write_str("the address is not on its interface yet"),
            Self::Binding(Some(error)) => write!(f, "the address cannot be put on its interface: {error}"),
        }
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
    /// Why it is not, or not any more; none where nothing stands in the way.
    pub held: Option<String>,
    /// The verdict was taken over from before a restart and no result has confirmed it.
    pub saved: bool,
    /// Unix time in seconds of the last change of `verdict`.
    pub since_unix_s: u64,
    /// Changes of the verdict.
    pub transitions_total: u64,
    /// Times it was held down for having gone down too often.
    pub damped_total: u64,
    /// Unix time in seconds until which it is held down.
    pub damped_until_unix_s: Option<u64>,
    /// The interface that has its address because of us.
    pub bound: Option<Arc<str>>,
    /// The link bandwidth that it carries while it is announced, in bits per second.
    #[serde(default)]
    pub bandwidth_bits: Option<u64>,
    /// What is wrong with it besides its checks; a report shows them among its own.
    #[serde(skip)]
    pub warnings: Vec<String>,
    /// ASes that may originate it besides ours.
    pub origins: Vec<u32>,
    /// Its checks, in the order of the file.
    pub checks: Vec<CheckStatus>,
}

impl Status {
    /// The check that says most: the first that does not pass, else the first.
    #[must_use]
    pub fn deciding_check(&self) -> Option<&CheckStatus> {
        let failing = self.checks.iter().find(|check| check.verdict != Verdict::Up);
        failing.or_else(|| self.checks.first())
    }
}

/// One check of a VIP.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CheckStatus {
    /// What is asked, in words.
    pub check: String,
    /// Whether it passes.
    pub verdict: Verdict,
    /// What its failure makes of the VIP.
    pub on_fail: Verdict,
    /// What the last probe said, in words.
    pub last_result: Option<String>,
    /// Unix time in seconds of the last probe's end.
    pub last_result_unix_s: Option<u64>,
    /// Successes in a row.
    pub successes: u32,
    /// Successes in a row that make it pass.
    pub rise: u32,
    /// Failures in a row.
    pub failures: u32,
    /// Failures in a row that make it fail.
    pub fall: u32,
    /// Probes that succeeded.
    pub passed_total: u64,
    /// Probes that failed.
    pub failed_total: u64,
}
