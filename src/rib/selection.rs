//! When route selection may begin after our own restart, RFC 4724 §4.1.
//!
//! A restarting speaker keeps what the kernel holds and waits, per family, until each peer that it awaits has sent its
//! End-of-RIB or need not be waited for. A deadline ends all waiting, so speakers that restart together do not wait for ever.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp_codec::{Family, FamilySet};

use super::interface::Restarting;
use super::peers::{PeerState, Peers};
use crate::route::PeerId;

/// How long a restarting speaker waits for the routes of a peer that says nothing about their end: one without graceful
/// restart, one that restarts itself, or one whose End-of-RIB came before any route, as that of a speaker does which
/// collects its UPDATEs for a second and sends the marker at once. FRR 8.4.4 was seen to set the R bit whenever it starts,
/// also for the first time, and to send the marker a second after Established: behind its routes when only its bgpd was
/// restarted, but before any of them when zebra, where they come from, was restarted too. Deciding earlier would take routes out of the kernel
/// that are about to come.
pub(crate) const SETTLE_TIME: Duration = Duration::from_secs(2);

/// Which families are being decided.
#[derive(Debug)]
pub(crate) struct Selection {
    restarting: Option<Restarting>,
    /// The first input.
    since: Option<Instant>,
    started: FamilySet,
    /// Every local source has reported.
    pub(crate) local_complete: bool,
}

impl Selection {
    pub(crate) const fn new(restarting: Option<Restarting>) -> Self {
        let started = if restarting.is_some() {
            FamilySet::EMPTY
        } else {
            FamilySet::ALL
        };
        Self {
            restarting,
            since: None,
            started,
            local_complete: false,
        }
    }

    /// Whether prefixes of the family are decided.
    pub(crate) const fn has_started(&self, family: Family) -> bool {
        self.started.contains(family)
    }

    /// Families whose time has come, each with the awaited peers that were not heard.
    pub(crate) fn start(&mut self, peers: &Peers, now: Instant) -> Vec<(Family, Vec<Arc<str>>)> {
        let Some(restarting) = &self.restarting else {
            return Vec::new();
        };
        let since = *self.since.get_or_insert(now);
        let over = now >= since + restarting.deadline;
        let may_establish = now < since + restarting.establish;
        let mut begun = Vec::new();
        for family in Family::KNOWN
            .iter()
            .copied()
            .filter(|family| !self.started.contains(*family))
        {
            let awaited = |id: &&PeerId| is_awaited(peers, **id, family, may_establish, now);
            let missing: Vec<Arc<str>> = restarting
                .peers
                .iter()
                .filter(awaited)
                .map(|id| name(peers, *id))
                .collect();
            if over || missing.is_empty() {
                begun.push((family, missing));
            }
        }
        self.started = begun
            .iter()
            .fold(self.started, |started, (family, _)| started.with(*family));
        begun
    }

    /// Whether End-of-RIB of the family may be sent as far as this speaker's own restart goes.
    pub(crate) fn allows_end_of_rib(&self, family: Family, now: Instant) -> bool {
        let deadline = self
            .restarting
            .as_ref()
            .zip(self.since)
            .map(|(restarting, since)| since + restarting.deadline);
        let local = self.local_complete || deadline.is_none_or(|deadline| now >= deadline);
        local && self.has_started(family)
    }

    /// When something may be due without any input.
    pub(crate) fn next_deadline(&self, peers: &Peers, now: Instant) -> Option<Instant> {
        let (restarting, since) = self.restarting.as_ref().zip(self.since)?;
        let times = [since + restarting.establish, since + restarting.deadline];
        let awaited = restarting
            .peers
            .iter()
            .filter_map(|id| peers.get(peers.find(*id)?));
        let settling = awaited.flat_map(|peer| peer.families.values());
        let settling = settling.filter_map(|family| family.settles_at);
        times.into_iter().chain(settling).filter(|at| *at > now).min()
    }
}

/// Whether the peer may still send what it has of the family.
fn is_awaited(peers: &Peers, id: PeerId, family: Family, may_establish: bool, now: Instant) -> bool {
    let Some(peer) = peers
        .find(id)
        .and_then(|index| peers.get(index))
        .filter(|peer| peer.up)
    else {
        return may_establish;
    };
    !is_released(peer, family, now)
}

fn is_released(peer: &PeerState, family: Family, now: Instant) -> bool {
    let Some(state) = peer.families.get(&family) else {
        return true;
    };
    let is_settled = state.settles_at.is_none_or(|at| now >= at);
    let Some(graceful) = peer.settings.negotiated.graceful_restart else {
        return is_settled;
    };
    let has_ended = state.end_of_rib_received || graceful.restarting;
    !graceful.families.contains(family) || (has_ended && is_settled)
}

fn name(peers: &Peers, id: PeerId) -> Arc<str> {
    let peer = peers.find(id).and_then(|index| peers.settings(index));
    peer.map_or_else(|| format!("peer {id}").into(), |peer| Arc::clone(&peer.name))
}
