//! From what the rooms say of themselves to what a metrics page needs.

use std::sync::Arc;

use crate::metrics::{Peer, PeerFamily, Rib, Snapshot, Vip};
use crate::rib::explain::{Counters, PeerCounters};
use crate::session::status::{MessageCounts, State, Status};
use crate::vip;

use super::show::Readiness;

/// Everything that a scrape is made of.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// Seconds since the process started.
    pub uptime_s: u64,
    /// Every session.
    pub peers: &'a [Status],
    /// The RIB's counts.
    pub counters: &'a Counters,
    /// Every VIP.
    pub vips: &'a [vip::Status],
    /// Routes in the kernel by kind.
    pub fib: &'a [(&'static str, u64)],
    /// Reloads by result.
    pub reloads: &'a [(&'static str, u64)],
    /// As `/readyz` has it.
    pub readiness: &'a Readiness,
}

/// One moment of all of them.
#[must_use]
pub fn snapshot(sources: Sources<'_>) -> Snapshot {
    let Counters {
        prefixes,
        paths,
        undecided: _,
        attribute_sets,
        groups,
        ring_bytes,
        memory,
        peers,
    } = sources.counters;
    // A session of this machine with itself never comes up and would look like a failure.
    let sessions = sources.peers.iter().filter(|status| !status.is_self);
    let parts = sources.readiness.parts.iter();
    Snapshot {
        uptime_s: sources.uptime_s,
        peers: sessions.map(peer).collect(),
        families: peers.iter().map(family).collect(),
        rib: Rib {
            prefixes: *prefixes,
            paths: *paths,
            attribute_sets: *attribute_sets,
            groups: *groups,
            ring_bytes: *ring_bytes,
            memory: memory
                .iter()
                .map(|used| (Arc::clone(&used.kind), used.bytes))
                .collect(),
        },
        fib: sources.fib.to_vec(),
        vips: sources.vips.iter().map(vip).collect(),
        reloads: sources.reloads.to_vec(),
        parts: parts.map(|part| (part.name.clone(), part.well)).collect(),
    }
}

fn peer(status: &Status) -> Peer {
    Peer {
        name: String::from(&*status.name),
        state: match status.state {
            State::Idle => 1,
            State::Connect => 2,
            State::Active => 3,
            State::OpenSent => 4,
            State::OpenConfirm => 5,
            State::Established => 6,
        },
        established: status.established_count,
        flaps: status.flaps,
        sent: kinds(status.messages_sent),
        received: kinds(status.messages_received),
        bytes_sent: status.bytes_sent,
        bytes_received: status.bytes_received,
    }
}

fn kinds(counts: MessageCounts) -> Vec<(&'static str, u64)> {
    let MessageCounts {
        open,
        update,
        notification,
        keepalive,
        route_refresh,
    } = counts;
    vec![
        ("open", open),
        ("update", update),
        ("notification", notification),
        ("keepalive", keepalive),
        ("route_refresh", route_refresh),
    ]
}

fn family(counters: &PeerCounters) -> PeerFamily {
    PeerFamily {
        peer: String::from(&*counters.name),
        family: counters.family.clone(),
        stages: vec![
            ("received", counters.received),
            ("accepted", counters.accepted),
            ("best", counters.best),
            ("advertised", counters.advertised),
            ("stale", counters.stale),
            ("pending", counters.pending),
        ],
        malformed: counters.malformed,
        disabled: counters.disabled,
    }
}

/// As the metric's help has them.
const fn verdict_code(verdict: vip::Verdict) -> u64 {
    match verdict {
        vip::Verdict::Unknown => 0,
        vip::Verdict::Down => 1,
        vip::Verdict::Disabled => 2,
        vip::Verdict::Degraded => 3,
        vip::Verdict::Up => 4,
    }
}

fn vip(status: &vip::Status) -> Vip {
    Vip {
        name: String::from(&*status.name),
        up: status.announced,
        transitions: status.transitions_total,
        passed: status.checks.iter().map(|check| check.passed_total).sum(),
        failed: status.checks.iter().map(|check| check.failed_total).sum(),
        verdict: verdict_code(status.verdict),
        damped: status.damped_total,
    }
}
