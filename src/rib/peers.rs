//! What a shard knows of each peer beside its routes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp_codec::{DecodeContext, Family, FamilySet};

use super::ids::PeerIndex;
use super::interface::Peer;
use super::share::Total;
use crate::policy::Chain;
use crate::route::{PeerId, TableId};

/// Malformed UPDATEs remembered for `why`.
const REMEMBERED_ERRORS: usize = 32;

/// One family of one peer.
#[derive(Debug)]
pub(crate) struct PeerFamily {
    /// Where its routes are.
    pub(crate) table: TableId,
    /// Paths in Adj-RIB-In, stale ones included.
    pub(crate) received: u32,
    /// Of those, accepted by import policy.
    pub(crate) accepted: u32,
    /// Of those, best of their prefix.
    pub(crate) best: u32,
    /// Paths of an older epoch are stale.
    pub(crate) epoch: u8,
    /// The epoch in which the session came up: End-of-RIB sweeps what is older.
    pub(crate) session_epoch: u8,
    /// Stale paths are kept until End-of-RIB or the deadline, RFC 4724 §4.2.
    pub(crate) retained_until: Option<Instant>,
    /// How much longer they are kept after that, as the last resort (RFC 9494).
    pub(crate) long_lived: Option<Duration>,
    /// That time runs: what is stale is marked, and nobody prefers it.
    pub(crate) lingering: bool,
    /// BoRR came and EoRR did not, RFC 7313.
    pub(crate) refreshing: bool,
    pub(crate) end_of_rib_received: bool,
    /// Routes may still come although nothing announces them: until then a restarting speaker waits.
    pub(crate) settles_at: Option<Instant>,
    pub(crate) end_of_rib_sent: bool,
    /// The warning of max-prefix was given in this session.
    pub(crate) warned: bool,
    /// Paths in all shards, where there are several.
    total: Option<Arc<Total>>,
    /// Paths that stand in the total and are yet to be stored: received, accepted.
    claimed: [u32; 2],
}

impl PeerFamily {
    pub(crate) const fn new(table: TableId, total: Option<Arc<Total>>) -> Self {
        Self {
            total,
            claimed: [0; 2],
            table,
            received: 0,
            accepted: 0,
            best: 0,
            epoch: 0,
            session_epoch: 0,
            retained_until: None,
            long_lived: None,
            lingering: false,
            refreshing: false,
            end_of_rib_received: false,
            settles_at: None,
            end_of_rib_sent: false,
            warned: false,
        }
    }

    /// Takes note of so many paths more (or fewer), received and accepted.
    pub(crate) fn count(&mut self, more: [i32; 2]) {
        self.received = self.received.saturating_add_signed(more[0]);
        self.accepted = self.accepted.saturating_add_signed(more[1]);
        let Some(total) = &self.total else { return };
        let mut unclaimed = more;
        for (more, claimed) in unclaimed.iter_mut().zip(&mut self.claimed) {
            let known = u32::try_from(*more).unwrap_or(0).min(*claimed);
            *claimed -= known;
            *more -= known.cast_signed();
        }
        total.add(unclaimed);
    }

    /// Paths in all shards: received, accepted.
    pub(crate) fn paths(&self) -> [u32; 2] {
        match &self.total {
            Some(total) => total.paths(),
            None => [self.received, self.accepted],
        }
    }

    /// How many paths there would be with so many more. Where there are several shards, these have their place in the total
    /// before they are stored, so that two that are at work at the same time cannot both use the last.
    pub(crate) fn claim(&mut self, more: [i32; 2]) -> [u32; 2] {
        let Some(total) = &self.total else {
            return [
                self.received.saturating_add_signed(more[0]),
                self.accepted.saturating_add_signed(more[1]),
            ];
        };
        let more = more.map(|more| more.max(0));
        for (claimed, more) in self.claimed.iter_mut().zip(more) {
            *claimed += more.cast_unsigned();
        }
        total.add(more)
    }

    /// Gives back what was claimed and is not needed.
    pub(crate) fn disclaim(&mut self) {
        let left = std::mem::take(&mut self.claimed);
        if let Some(total) = &self.total {
            total.add(left.map(|left| left.cast_signed().saturating_neg()));
        }
    }
}

/// Paths that another shard has stay with it.
impl Drop for PeerFamily {
    fn drop(&mut self) {
        self.disclaim();
        if let Some(total) = &self.total {
            let own = [self.received, self.accepted];
            total.add(own.map(|own| own.cast_signed().saturating_neg()));
        }
    }
}

/// One peer.
#[derive(Debug)]
pub(crate) struct PeerState {
    pub(crate) settings: Peer,
    /// Established.
    pub(crate) up: bool,
    /// We asked for the session to be closed: what still comes is not read.
    pub(crate) closing: bool,
    /// No longer configured: its place is free once its last path is gone.
    pub(crate) removed: bool,
    pub(crate) families: BTreeMap<Family, PeerFamily>,
    /// Families that the rest of the session does without, RFC 7606 §7 and RFC 4760 §7.
    pub(crate) disabled: FamilySet,
    pub(crate) context: DecodeContext,
    /// Bytes that the session can still take.
    pub(crate) credit: usize,
    pub(crate) updates_received: u64,
    pub(crate) updates_sent: u64,
    pub(crate) malformed: u64,
    /// The latest malformed UPDATEs: what was wrong, and the prefixes as text.
    pub(crate) errors: VecDeque<(String, Vec<crate::route::Prefix>)>,
}

impl PeerState {
    fn new(settings: Peer) -> Self {
        Self {
            context: context(&settings),
            settings,
            up: true,
            closing: false,
            removed: false,
            families: BTreeMap::new(),
            disabled: FamilySet::EMPTY,
            credit: 0,
            updates_received: 0,
            updates_sent: 0,
            malformed: 0,
            errors: VecDeque::new(),
        }
    }

    pub(crate) fn remember_error(&mut self, text: String, prefixes: Vec<crate::route::Prefix>) {
        self.malformed += 1;
        if self.errors.len() == REMEMBERED_ERRORS {
            self.errors.pop_front();
        }
        self.errors.push_back((text, prefixes));
    }

    /// Has the rest of the session do without a family.
    pub(crate) fn disable(&mut self, family: Family) {
        self.disabled.insert(family);
        self.context.families.remove(family);
    }

    /// Settings for a family: of one that is disabled, nothing is sent.
    pub(crate) fn settings_for(&self, family: Family) -> Peer {
        let mut settings = self.settings.clone();
        if self.disabled.contains(family) {
            settings.policy.export = Chain::no_policy();
        }
        settings
    }

    /// Whether what it sends is read.
    pub(crate) const fn is_heard(&self) -> bool {
        self.up && !self.closing
    }

    /// Whether it may send only so many prefixes.
    pub(crate) const fn is_limited(&self) -> bool {
        let policy = &self.settings.policy;
        policy.max_prefixes.is_some() || policy.max_prefixes_accepted.is_some()
    }

    /// Paths held in all families.
    pub(crate) fn paths(&self) -> u32 {
        self.families.values().map(|family| family.received).sum()
    }
}

fn context(peer: &Peer) -> DecodeContext {
    let negotiated = &peer.negotiated;
    DecodeContext {
        four_octet_asn: negotiated.four_octet_asn,
        peer: peer.kind,
        families: negotiated.families,
        add_path: negotiated.add_path_receive,
        extended_next_hop: if negotiated.extended_next_hop {
            FamilySet::IPV4_UNICAST
        } else {
            FamilySet::EMPTY
        },
        // Deviates from RFC 9774 §3 unless configured: aggregates with sets are still around, and losing them would surprise.
        as_sets: peer.policy.as_sets,
    }
}

/// All peers of a shard. A place stays taken as long as any path refers to it.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    list: Vec<Option<Box<PeerState>>>,
    ids: BTreeMap<PeerId, PeerIndex>,
}

impl Peers {
    /// The place of a peer whose session came up, with what is remembered of earlier sessions.
    pub(crate) fn bring_up(&mut self, peer: Peer) -> PeerIndex {
        if let Some(index) = self.ids.get(&peer.id).copied()
            && let Some(state) = self.list.get_mut(index.index()).and_then(Option::as_mut)
        {
            state.context = context(&peer);
            state.settings = peer;
            state.disabled = FamilySet::EMPTY;
            (state.up, state.closing, state.removed) = (true, false, false);
            (
                state.credit,
                state.updates_received,
                state.updates_sent,
                state.malformed,
            ) = (0, 0, 0, 0);
            return index;
        }
        let free = self.list.iter().position(Option::is_none);
        let index = free.unwrap_or_else(|| {
            self.list.push(None);
            self.list.len() - 1
        });
        let id = peer.id;
        self.list[index] = Some(Box::new(PeerState::new(peer)));
        let index = PeerIndex::from_index(index);
        self.ids.insert(id, index);
        index
    }

    /// The place of a handle; handles of deleted peers have none.
    pub(crate) fn find(&self, id: PeerId) -> Option<PeerIndex> {
        self.ids.get(&id).copied()
    }

    #[inline]
    pub(crate) fn get(&self, index: PeerIndex) -> Option<&PeerState> {
        self.list.get(index.index()).and_then(Option::as_deref)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, index: PeerIndex) -> Option<&mut PeerState> {
        self.list.get_mut(index.index()).and_then(Option::as_deref_mut)
    }

    #[inline]
    pub(crate) fn family_mut(&mut self, index: PeerIndex, family: Family) -> Option<&mut PeerFamily> {
        self.get_mut(index)
            .and_then(|peer| peer.families.get_mut(&family))
    }

    pub(crate) fn family(&self, index: PeerIndex, family: Family) -> Option<&PeerFamily> {
        self.get(index).and_then(|peer| peer.families.get(&family))
    }

    /// What is configured and negotiated; none for our own sources.
    #[inline]
    pub(crate) fn settings(&self, index: PeerIndex) -> Option<&Peer> {
        self.get(index).map(|peer| &peer.settings)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (PeerIndex, &PeerState)> {
        self.list
            .iter()
            .enumerate()
            .filter_map(|(index, peer)| Some((PeerIndex::from_index(index), peer.as_deref()?)))
    }

    /// Forgets the handle of a peer that is no longer configured; its place follows when nothing refers to it.
    pub(crate) fn forget(&mut self, index: PeerIndex) {
        self.ids.retain(|_, at| *at != index);
        if let Some(peer) = self.get_mut(index) {
            peer.removed = true;
        }
    }

    /// Frees the places of forgotten peers without paths. Only when no change is under way that names them as a source.
    pub(crate) fn recycle(&mut self) {
        for place in &mut self.list {
            if place
                .as_ref()
                .is_some_and(|peer| peer.removed && !peer.up && peer.paths() == 0)
            {
                *place = None;
            }
        }
    }
}
