//! What peers send: UPDATE and ROUTE-REFRESH messages into Adj-RIB-In, with the answers of RFC 7606.

use std::time::Duration;

use bgp_codec::{
    Family, HEADER_LEN, MAX_EXTENDED, MessageType, NlriBlock, Notification, PathAttributes, RouteRefresh,
    Treatment, Update, header, route_refresh::Subtype,
};

use super::attributes::RawContext;
use super::core::Core;
use super::ids::{AttributesId, PeerIndex};
use super::import::Importer;
use super::interface::{Event, Output};
use super::jobs::{Job, JobKind};
use super::limits;
use super::membership::Refresh;
use super::selection::SETTLE_TIME;
use super::shard::Rib;
use crate::route::Prefix;

/// Prefixes named in an event at most.
const NAMED: usize = 5;

impl Rib {
    /// Reads whole messages in order, until one makes the session end.
    pub(super) fn received(&mut self, peer: PeerIndex, messages: &[u8]) {
        let mut rest = messages;
        while self
            .core
            .peers
            .get(peer)
            .is_some_and(|peer| peer.up && !peer.closing)
        {
            let frame = match header::frame(rest, MAX_EXTENDED) {
                Ok(Some(frame)) => frame,
                // The session hands over whole messages only.
                Ok(None) => return,
                Err(error) => return self.close(peer, error.into(), Some(Duration::ZERO)),
            };
            let (message, behind) = rest.split_at(frame.len);
            let body = &message[HEADER_LEN..];
            match frame.kind {
                MessageType::Update => self.update(peer, body),
                MessageType::RouteRefresh => self.route_refresh(peer, body),
                MessageType::Open | MessageType::Notification | MessageType::Keepalive => {}
            }
            rest = behind;
        }
    }

    fn update(&mut self, peer: PeerIndex, body: &[u8]) {
        let Some(state) = self.core.peers.get_mut(peer) else {
            return;
        };
        state.updates_received += 1;
        let context = state.context;
        let checked = Update::decode(body, &context).and_then(|update| update.check_nlri().map(|()| update));
        let update = match checked {
            Ok(update) => update,
            Err(error) => {
                self.malformed(peer, format!("{error}: session reset"), Vec::new());
                return self.close(peer, error.into(), Some(Duration::ZERO));
            }
        };
        if let Some(family) = update.end_of_rib() {
            return self.end_of_rib_received(peer, family);
        }
        if let Some(treatment) = update.treatment() {
            self.report(peer, &update, treatment);
        }
        if let Some((family, limit)) = limits::exceeded(self, peer, &update) {
            let idle = self
                .core
                .peers
                .settings(peer)
                .and_then(|peer| peer.policy.max_prefix_restart);
            return self.close(peer, Notification::maximum_prefixes(family, limit), idle);
        }
        for block in update.withdrawn() {
            self.withdraw(peer, block);
        }
        if update.treatment() < Some(Treatment::TreatAsWithdraw) {
            self.announce(peer, &update);
        }
        limits::warn(&mut self.core, peer);
    }

    fn withdraw(&mut self, peer: PeerIndex, block: NlriBlock<'_>) {
        let Some(table) = self.table_of(peer, block.family) else {
            return;
        };
        let table = &mut self.tables[table];
        for nlri in block.ip_prefixes().flatten() {
            let found = table.data.prefixes.find(nlri.prefix);
            if let Some(slot) = found.and_then(|prefix| table.data.rib_in.find(prefix, peer, nlri.path_id)) {
                table.remove(&mut self.core, slot);
            }
        }
    }

    fn announce(&mut self, peer: PeerIndex, update: &Update<'_>) {
        let classic = update.nlri().map(|block| (block, false));
        let multiprotocol = update.mp_nlri().map(|block| (block, true));
        for (block, multiprotocol) in classic.into_iter().chain(multiprotocol) {
            let Some(table) = self.table_of(peer, block.family) else {
                continue;
            };
            let received = intern(&mut self.core, peer, update, multiprotocol);
            let table = &mut self.tables[table];
            let mut importer = Importer::default();
            let share = self.core.share;
            let nlri = block.ip_prefixes().flatten();
            for nlri in nlri.filter(|nlri| share.holds(nlri.prefix)) {
                let Some(prefix) = table.data.prefixes.insert(nlri.prefix) else {
                    continue;
                };
                let accepted = importer.accepted(&mut self.core, peer, (block.family, nlri.prefix), received);
                self.core.attributes.retain(received);
                table.store(&mut self.core, (prefix, peer, nlri.path_id), (received, accepted));
            }
            importer.forget(&mut self.core);
            self.core.attributes.release(received);
        }
    }

    fn end_of_rib_received(&mut self, peer: PeerIndex, family: Family) {
        let now = self.core.now;
        let Some(state) = self.core.peers.family_mut(peer, family) else {
            return;
        };
        let keep = state.session_epoch;
        let swept = state.retained_until.take().is_some();
        (state.long_lived, state.lingering) = (None, false);
        let first = !std::mem::replace(&mut state.end_of_rib_received, true);
        if first && state.received == 0 {
            state.settles_at = now.map(|now| now + SETTLE_TIME);
        }
        if swept {
            self.sweep(peer, family, keep);
        }
        if first && let Some(id) = self.core.peers.settings(peer).map(|peer| peer.id) {
            self.core.event(Event::EndOfRibReceived { peer: id, family });
        }
    }

    /// Removes the paths of a peer that are of older epochs than `keep`.
    pub(super) fn sweep(&mut self, peer: PeerIndex, family: Family, keep: u8) {
        if let Some(table) = self.table_of(peer, family) {
            self.jobs
                .push_back(Job::new(table, JobKind::Sweep { peer, keep }));
        }
    }

    fn route_refresh(&mut self, peer: PeerIndex, body: &[u8]) {
        let message = match RouteRefresh::decode(body) {
            Ok(Some(message)) => message,
            Ok(None) => return,
            Err(error) => return self.close(peer, error.into(), Some(Duration::ZERO)),
        };
        let Some(settings) = self.core.peers.settings(peer) else {
            return;
        };
        let enhanced = settings.negotiated.enhanced_route_refresh;
        let family = message.family;
        // RFC 2918 §4: a family that was not negotiated is ignored.
        if !settings.negotiated.families.contains(family) {
            return;
        }
        match message.subtype {
            Subtype::Request => {
                let how = if enhanced {
                    Refresh::Enhanced
                } else {
                    Refresh::Plain
                };
                self.refresh(peer, family, how);
            }
            Subtype::BeginOfRib if enhanced => {
                if let Some(state) = self.core.peers.family_mut(peer, family) {
                    state.epoch = state.epoch.wrapping_add(1);
                    state.refreshing = true;
                }
            }
            // RFC 7313 §4: without BoRR before it, EoRR is ignored.
            Subtype::EndOfRib if enhanced => {
                let Some(state) = self.core.peers.family_mut(peer, family) else {
                    return;
                };
                let keep = state.epoch;
                if std::mem::replace(&mut state.refreshing, false) {
                    self.sweep(peer, family, keep);
                }
            }
            Subtype::BeginOfRib | Subtype::EndOfRib => {}
        }
    }

    /// Has a session closed. What it still delivers is not read.
    pub(super) fn close(&mut self, peer: PeerIndex, notification: Notification, idle: Option<Duration>) {
        let Some(state) = self.core.peers.get_mut(peer) else {
            return;
        };
        state.closing = true;
        let peer = state.settings.id;
        self.core.outputs.push_back(Output::Close {
            peer,
            notification,
            idle,
        });
    }

    fn report(&mut self, peer: PeerIndex, update: &Update<'_>, treatment: Treatment) {
        let what = update
            .errors()
            .iter()
            .map(|error| error.to_string())
            .collect::<Vec<_>>()
            .join(", ");
        let done = match treatment {
            Treatment::AttributeDiscard => "attribute discarded",
            Treatment::TreatAsWithdraw => "treated as withdraw",
            Treatment::AfiSafiDisable | Treatment::SessionReset => "session reset",
        };
        let announced = update.nlri().into_iter().chain(update.mp_nlri());
        let prefixes = announced
            .flat_map(NlriBlock::ip_prefixes)
            .flatten()
            .map(|nlri| nlri.prefix);
        self.malformed(peer, format!("{what}: {done}"), prefixes.take(NAMED).collect());
    }

    fn malformed(&mut self, peer: PeerIndex, text: String, prefixes: Vec<Prefix>) {
        let Some(state) = self.core.peers.get_mut(peer) else {
            return;
        };
        state.remember_error(text.clone(), prefixes.clone());
        let peer = state.settings.id;
        self.core.event(Event::MalformedUpdate { peer, text, prefixes });
    }
}

/// The attributes of an UPDATE for the NLRI of one of its two fields, with one reference.
fn intern(core: &mut Core, peer: PeerIndex, update: &Update<'_>, multiprotocol: bool) -> AttributesId {
    let mut scratch = Vec::new();
    let block = update.interning_key(&mut scratch);
    let settings = core.peers.settings(peer);
    let context = RawContext {
        four_octet_asn: settings.is_some_and(|peer| peer.negotiated.four_octet_asn),
        peer: settings.map_or(bgp_codec::PeerKind::External, |peer| peer.kind),
        multiprotocol,
    };
    let clean = update.treatment().is_none();
    if clean && let Some(known) = core.attributes.find_raw(context, block) {
        return known;
    }
    let attributes = update.attributes();
    let next_hop = if multiprotocol {
        attributes.mp_reach().and_then(|reach| reach.next_hop)
    } else {
        attributes.next_hop().map(bgp_codec::NextHop::V4)
    };
    let id = core.attributes.intern(&PathAttributes {
        next_hop,
        ..PathAttributes::from(attributes)
    });
    if clean {
        core.attributes.remember_raw(context, block, id);
    }
    id
}
