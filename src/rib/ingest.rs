//! What peers send: UPDATE and ROUTE-REFRESH messages into Adj-RIB-In, with the answers of RFC 7606.

use std::time::Duration;

use bgp_codec::{
    Family, HEADER_LEN, MAX_EXTENDED, MessageType, NlriBlock, Notification, PathAttributes, RouteRefresh,
    Treatment, Update, UpdateError, header, route_refresh::Subtype,
};

use super::attributes::RawContext;
use super::batch::Batch;
use super::core::Core;
use super::ids::{AttributesId, PeerIndex};
use super::interface::{Event, Output};
use super::jobs::{Job, JobKind};
use super::limits;
use super::peers::PeerState;
use super::refresh::Refresh;
use super::selection::SETTLE_TIME;
use super::shard::Rib;
use crate::route::Prefix;

/// Prefixes named in an event at most.
const NAMED: usize = 5;
/// Prefixes of one UPDATE that questions about them find its error by.
const FOUND_BY: usize = 128;

/// What has been read of a peer's messages and has not taken effect.
#[derive(Default)]
struct Reading {
    batch: Batch,
    /// The table that the batch is for.
    table: Option<usize>,
}

impl Rib {
    /// Reads whole messages in order, until one makes the session end.
    pub(super) fn received(&mut self, peer: PeerIndex, messages: &[u8]) {
        let mut rest = messages;
        let mut reading = Reading::default();
        let mut updates = 0;
        while self.core.peers.get(peer).is_some_and(PeerState::is_heard) {
            let frame = match header::frame(rest, MAX_EXTENDED) {
                Ok(Some(frame)) => frame,
                // The session hands over whole messages only.
                Ok(None) => break,
                Err(error) => {
                    self.close(peer, error.into(), Some(Duration::ZERO));
                    break;
                }
            };
            let (message, behind) = rest.split_at(frame.len);
            let body = &message[HEADER_LEN..];
            match frame.kind {
                MessageType::Update => {
                    updates += 1;
                    self.update(peer, body, &mut reading);
                }
                MessageType::RouteRefresh => {
                    self.take_effect(peer, &mut reading);
                    self.route_refresh(peer, body);
                }
                MessageType::Open | MessageType::Notification | MessageType::Keepalive => {}
            }
            rest = behind;
        }
        self.take_effect(peer, &mut reading);
        if let Some(state) = self.core.peers.get_mut(peer) {
            state.updates_received += updates;
        }
    }

    /// Stores what has been read so far.
    fn take_effect(&mut self, peer: PeerIndex, reading: &mut Reading) {
        if let Some(table) = reading.table.take() {
            reading.batch.apply(&mut self.tables[table], &mut self.core, peer);
            let family = self.tables[table].data.family;
            if let Some(counts) = self.core.peers.family_mut(peer, family) {
                counts.disclaim();
            }
            limits::warn(&mut self.core, peer);
        }
    }

    fn update(&mut self, peer: PeerIndex, body: &[u8], reading: &mut Reading) {
        let Some(state) = self.core.peers.get(peer) else {
            return;
        };
        let context = state.context;
        let limited = state.is_limited();
        let checked = Update::decode(body, &context).and_then(|update| update.check_nlri().map(|()| update));
        let update = match checked {
            Ok(update) => update,
            Err(error) => {
                self.take_effect(peer, reading);
                return self.refuse(peer, body, error);
            }
        };
        if let Some(family) = update.end_of_rib() {
            self.take_effect(peer, reading);
            return self.end_of_rib_received(peer, family);
        }
        if let Some(treatment) = update.treatment() {
            self.report(peer, &update, treatment);
        }
        if limited {
            // Counting looks at what is stored.
            self.take_effect(peer, reading);
            if let Some((family, limit)) = limits::exceeded(self, peer, &update) {
                let settings = self.core.peers.settings(peer);
                let idle = settings.and_then(|peer| peer.policy.max_prefix_restart);
                return self.close(peer, Notification::maximum_prefixes(family, limit), idle);
            }
        }
        for block in update.withdrawn() {
            if self.turn_to(peer, block.family, reading) {
                reading.batch.withdraw(block);
            }
        }
        if update.treatment() < Some(Treatment::TreatAsWithdraw) {
            self.announce(peer, &update, reading);
        }
        if reading.batch.is_full() {
            self.take_effect(peer, reading);
        }
    }

    /// RFC 7606 §5.3 and §7: an UPDATE that cannot be read ends the session, or the part of a family in it where nothing else
    /// is lost by that.
    fn refuse(&mut self, peer: PeerIndex, body: &[u8], error: UpdateError) {
        let Some(state) = self.core.peers.get_mut(peer) else {
            return;
        };
        let mut others = state.context.families;
        let family = error
            .family()
            .filter(|_| error.treatment() == Treatment::AfiSafiDisable);
        if let Some(family) = family {
            others.remove(family);
        }
        match family {
            Some(family) if !others.is_empty() && !names_ipv4(body) => {
                state.disable(family);
                let text = format!("{error}: {family} is ignored for the rest of the session");
                self.malformed(peer, text, Vec::new());
                self.disable_family(peer, family);
            }
            _ => {
                self.malformed(peer, format!("{error}: session reset"), Vec::new());
                self.close(peer, error.into(), Some(Duration::ZERO));
            }
        }
    }

    /// Makes the batch one for the table of a family; `false` if the peer has none.
    fn turn_to(&mut self, peer: PeerIndex, family: Family, reading: &mut Reading) -> bool {
        if let Some(table) = reading.table
            && self.tables[table].data.family == family
        {
            return true;
        }
        self.take_effect(peer, reading);
        reading.table = self.table_of(peer, family);
        reading.table.is_some()
    }

    fn announce(&mut self, peer: PeerIndex, update: &Update<'_>, reading: &mut Reading) {
        let classic = update.nlri().map(|block| (block, false));
        let multiprotocol = update.mp_nlri().map(|block| (block, true));
        for (block, multiprotocol) in classic.into_iter().chain(multiprotocol) {
            if self.turn_to(peer, block.family, reading) {
                let received = intern(&mut self.core, peer, update, multiprotocol);
                reading.batch.announce(block, received);
            }
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
        let families = settings.negotiated.families;
        let disabled = |state: &PeerState| state.disabled.contains(family);
        if !families.contains(family) || self.core.peers.get(peer).is_some_and(disabled) {
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
        self.malformed(peer, format!("{what}: {done}"), prefixes.take(FOUND_BY).collect());
    }

    fn malformed(&mut self, peer: PeerIndex, text: String, prefixes: Vec<Prefix>) {
        let Some(state) = self.core.peers.get_mut(peer) else {
            return;
        };
        let peer = state.settings.id;
        let named = prefixes.iter().take(NAMED).copied().collect();
        state.remember_error(text.clone(), prefixes);
        self.core.event(Event::MalformedUpdate {
            peer,
            text,
            prefixes: named,
        });
    }
}

/// Whether an UPDATE has something in the two fields for IPv4, RFC 4271 §4.3.
fn names_ipv4(body: &[u8]) -> bool {
    let field = |bytes: &[u8]| {
        bytes
            .first_chunk()
            .map(|len| usize::from(u16::from_be_bytes(*len)))
    };
    let withdrawn = field(body).unwrap_or_default();
    let behind = body.get(2 + withdrawn..).unwrap_or_default();
    let attributes = field(behind).unwrap_or_default();
    withdrawn > 0 || behind.len() > 2 + attributes
}

/// The attributes of an UPDATE for the NLRI of one of its two fields, with one reference.
fn intern(core: &mut Core, peer: PeerIndex, update: &Update<'_>, multiprotocol: bool) -> AttributesId {
    let settings = core.peers.settings(peer);
    let context = RawContext {
        four_octet_asn: settings.is_some_and(|peer| peer.negotiated.four_octet_asn),
        peer: settings.map_or(bgp_codec::PeerKind::External, |peer| peer.kind),
        multiprotocol,
    };
    let clean = update.treatment().is_none();
    let attributes = update.attributes();
    let next_hop = if multiprotocol {
        attributes.mp_reach().and_then(|reach| reach.next_hop)
    } else {
        attributes.next_hop().map(bgp_codec::NextHop::V4)
    };
    if clean && let Some(known) = core.attributes.intern_received(context, attributes, next_hop) {
        return known;
    }
    let mut scratch = Vec::new();
    let block = update.interning_key(&mut scratch);
    if clean && let Some(known) = core.attributes.find_raw(context, block) {
        return known;
    }
    let id = core.attributes.intern(&PathAttributes {
        next_hop,
        ..PathAttributes::from(attributes)
    });
    if clean {
        core.attributes.remember_raw(context, block, id);
    }
    id
}
