//! When route selection may begin after our own restart, RFC 4724 §4.1.
//!
//! A restarting speaker keeps what the kernel holds and waits, per family, until each peer that it awaits has sent its
//! End-of-RIB or need not be waited for. A deadline ends all waiting, so speakers that restart together do not wait for ever.

use std::sync::Arc;
use std::time::Instant;

use bgp_codec::{Family, FamilySet};

use super::interface::Restarting;
use super::peers::{PeerState, Peers};
use crate::route::PeerId;

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
            let awaited = |id: &&PeerId| is_awaited(peers, **id, family, may_establish);
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
    pub(crate) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let (restarting, since) = self.restarting.as_ref().zip(self.since)?;
        let times = [since + restarting.establish, since + restarting.deadline];
        times.into_iter().filter(|at| *at > now).min()
    }
}

/// Whether the peer may still send what it has of the family.
fn is_awaited(peers: &Peers, id: PeerId, family: Family, may_establish: bool) -> bool {
    let Some(peer) = peers
        .find(id)
        .and_then(|index| peers.get(index))
        .filter(|peer| peer.up)
    else {
        return may_establish;
    };
    !is_released(peer, family)
}

fn is_released(peer: &PeerState, family: Family) -> bool {
    let Some(graceful) = peer.settings.negotiated.graceful_restart else {
        return true;
    };
    // RFC 4724 §4.1: a peer that restarts itself waits for us.
    graceful.restarting
        || !graceful.families.contains(family)
        || peer
            .families
            .get(&family)
            .is_none_or(|family| family.end_of_rib_received)
}

fn name(peers: &Peers, id: PeerId) -> Arc<str> {
    let peer = peers.find(id).and_then(|index| peers.settings(index));
    peer.map_or_else(|| format!("peer {id}").into(), |peer| Arc::clone(&peer.name))
}
