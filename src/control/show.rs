//! What answers are made of, where no other room owns the words.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::protocol::Failure;
use crate::drain;
use crate::rib::explain::{Counters, Explanation, ExportStory, PeerCounters};
use crate::session::status::{State, Status};
use crate::vip;

/// One peer: its session and its counts.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PeerReport {
    /// The session.
    #[serde(flatten)]
    pub status: Status,
    /// Counts per family; empty while it holds nothing.
    pub counters: Vec<PeerCounters>,
}

impl PeerReport {
    /// Joins sessions with their counts, ordered by name.
    #[must_use]
    pub fn join(statuses: Vec<Status>, counters: &Counters) -> Vec<Self> {
        let mut reports: Vec<Self> = statuses
            .into_iter()
            .map(|status| {
                let own = counters.peers.iter().filter(|count| count.name == status.name);
                Self {
                    counters: own.cloned().collect(),
                    status,
                }
            })
            .collect();
        reports.sort_by(|one, other| one.status.name.cmp(&other.status.name));
        reports
    }
}

/// The daemon as a whole.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct DaemonStatus {
    /// Its version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// Our AS.
    pub asn: u32,
    /// Our BGP Identifier.
    pub router_id: Ipv4Addr,
    /// Where its configuration is.
    pub config: PathBuf,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// Whether each part is well.
    pub readiness: Readiness,
    /// What the last reload did, in words; none before the first.
    pub last_reload: Option<String>,
    /// What is drained.
    pub drains: Vec<drain::Status>,
    /// The tables.
    pub counters: Counters,
}

/// Whether the daemon does its job, part by part.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Readiness {
    /// Each part; ready when all are well.
    pub parts: Vec<Part>,
}

/// One part of a [`Readiness`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Part {
    /// `kernel`, `listener`, `peers`, `vips`, ...: bounded, because it is a label of a metric.
    pub name: String,
    /// It does what it should.
    pub well: bool,
    /// Why it does not, or what it waits for; may be empty when it does.
    pub text: String,
}

impl Readiness {
    /// Adds a part; `Err` says why it is not well.
    pub fn part(&mut self, name: &str, state: Result<String, String>) {
        let well = state.is_ok();
        let text = state.unwrap_or_else(|reason| reason);
        self.parts.push(Part {
            name: String::from(name),
            well,
            text,
        });
    }

    /// Every part is well.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.parts.iter().all(|part| part.well)
    }

    /// One line a part.
    #[must_use]
    pub fn text(&self) -> String {
        let lines = self.parts.iter().map(|part| {
            let separator = if part.text.is_empty() { "" } else { ": " };
            let state = if part.well { "ok" } else { "not ready" };
            format!("{}: {state}{separator}{}\n", part.name, part.text)
        });
        lines.collect()
    }
}

/// The whole story of one prefix: the RIB's, and the kernel's.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct WhyReport {
    /// What the shard decided, from the values that its deciding code returned.
    #[serde(flatten)]
    pub explanation: Explanation,
    /// What became of it in the kernel, one sentence each; empty where nothing is installed.
    pub kernel: Vec<String>,
    /// The VIPs of ours with this address: their checks decide whether we originate it.
    pub vips: Vec<vip::Status>,
}

impl WhyReport {
    /// Joins the RIB's story with the kernel's, and picks the VIPs that it concerns.
    #[must_use]
    pub fn join(explanation: Explanation, kernel: Vec<String>, vips: Vec<vip::Status>) -> Self {
        let concerned = |vip: &vip::Status| vip.address.to_string() == explanation.prefix;
        let vips = vips.into_iter().filter(concerned).collect();
        Self {
            explanation,
            kernel,
            vips,
        }
    }
}

impl Explanation {
    /// Adds the peers that are told nothing because there is no session.
    pub(crate) fn add_absent(&mut self, statuses: &[Status]) {
        for status in statuses {
            if self.exports.iter().any(|export| export.peer == status.name) {
                continue;
            }
            self.exports.push(ExportStory {
                peer: Arc::clone(&status.name),
                advertised: false,
                reason: absence(status),
                pending: false,
                group: None,
            });
        }
        self.exports.sort_by(|one, other| one.peer.cmp(&other.peer));
    }
}

/// Why there is no session.
fn absence(status: &Status) -> String {
    if status.is_self {
        return String::from("its address is ours: no session with oneself");
    }
    let state = if status.shutdown {
        String::from("shut down")
    } else if status.state == State::Established {
        String::from("no family in common carries it")
    } else {
        format!("no session: {:?}", status.state)
    };
    match &status.last_error {
        Some(error) if status.state != State::Established => format!("{state}; last error: {error}"),
        _ => state,
    }
}

/// What a reload changes (design: reload is a plan).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Plan {
    /// Each change; empty when the file says what runs already.
    pub changes: Vec<PlannedChange>,
    /// It has been done, and is not only a plan.
    pub applied: bool,
    /// What the file says that is right and perhaps not meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// It is undone after so many seconds unless it is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_s: Option<u64>,
}

/// One change of a [`Plan`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PlannedChange {
    /// What differs, in the words of the file.
    pub what: String,
    /// What it takes, in words: `live`, `resets session X (because ...)`, `needs restart`.
    pub effect: String,
}

impl Plan {
    /// One line a change.
    #[must_use]
    pub fn text(&self) -> String {
        if self.changes.is_empty() {
            return String::from("nothing changes\n");
        }
        let lines = self.changes.iter();
        lines
            .map(|change| format!("{}: {}\n", change.what, change.effect))
            .collect()
    }
}

/// The failure for a peer that nobody knows, with the names most like it.
pub fn no_such_peer<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Failure {
    Failure::NoSuchPeer {
        name: String::from(name),
        nearest: nearest(name, known),
    }
}

/// The failure for a VIP that nobody knows, with the names most like it.
pub fn no_such_vip<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Failure {
    let nearest = nearest(name, known);
    let hint = match nearest.as_slice() {
        [] => String::from("there are no VIPs"),
        names => format!("the nearest are {}", names.join(", ")),
    };
    Failure::Other {
        text: format!("no VIP {name:?}; {hint}"),
    }
}

/// How many names are offered for one that does not exist.
const OFFERED: usize = 3;

fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<(usize, &str)> = known
        .into_iter()
        .map(|known| {
            (
                strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase()),
                known,
            )
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(OFFERED);
    names.into_iter().map(|(_, name)| String::from(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_come_first() {
        let known = ["adc", "node1", "node2", "f5-a"];
        assert_eq!(nearest("Node-1", known)[..2], ["node1", "node2"]);
        assert_eq!(nearest("f5a", known)[0], "f5-a");
        assert_eq!(nearest("x", []), [""; 0]);
    }

    #[test]
    fn ready_means_that_every_part_is_well() {
        let mut readiness = Readiness::default();
        readiness.part("listener", Ok("0.0.0.0:179".into()));
        readiness.part("vips", Ok(String::new()));
        assert!(readiness.is_ready());
        readiness.part("kernel", Err("no permission (CAP_NET_ADMIN)".into()));
        assert!(!readiness.is_ready());
        assert_eq!(
            readiness.text(),
            "listener: ok: 0.0.0.0:179\nvips: ok\nkernel: not ready: no permission (CAP_NET_ADMIN)\n"
        );
    }
}
