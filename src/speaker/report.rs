//! What the shard wants an operator to read.

use std::sync::Arc;

use crate::rib::interface::Event;
use crate::route::PeerId;
use crate::session::supervisor::Sessions;

pub(super) fn log(event: &Event, sessions: &Sessions) {
    match event {
        Event::MalformedUpdate { peer, text, prefixes } => {
            let peer = name(sessions, *peer);
            tracing::warn!(%peer, error = %text, ?prefixes, "malformed update");
        }
        Event::MaxPrefixWarning {
            peer,
            family,
            count,
            limit,
        } => {
            tracing::warn!(peer = %name(sessions, *peer), %family, count, limit, "max_prefixes is near");
        }
        Event::EndOfRibReceived { peer, family } => {
            tracing::debug!(peer = %name(sessions, *peer), %family, "end-of-rib received");
        }
        Event::EndOfRibSent { peer, family } => {
            tracing::debug!(peer = %name(sessions, *peer), %family, "end-of-rib sent");
        }
        Event::SelectionStarted { family, missing } if missing.is_empty() => {
            tracing::info!(%family, "restart: all peers were heard, selection begins");
        }
        Event::SelectionStarted { family, missing } => {
            tracing::warn!(%family, ?missing, "restart: selection begins without some peers");
        }
    }
}

fn name(sessions: &Sessions, id: PeerId) -> Arc<str> {
    sessions.peer_name(id).unwrap_or_else(|| id.to_string().into())
}
