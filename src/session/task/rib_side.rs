//! The RIB's side of a session: the lane towards the shard, and what the shard wants written.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bgp_codec::Notification;
use bgp_codec::notification::cease;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::Task;
use crate::rib::interface::{DownRoutes, Peer, SelfAddresses};
use crate::rib::task::{Lane, SessionEnd, ToSession};
use crate::session::outgoing::{Direct, SharedOutgoing};
use crate::session::peer::{ConnectionId, Input};

/// Octets that the RIB may have under way to one peer.
const CREDIT: usize = 256 * 1024;
/// Words of the RIB that may wait; the octets in them are bounded by the credit.
const RIB_QUEUE: usize = 16;
/// How long the last messages of a lost session may wait for room in the lane before the routes are retained without.
const LAST_MESSAGES: Duration = Duration::from_secs(1);

/// The RIB's side of an Established session.
pub(super) struct Session {
    pub(super) lane: Lane,
    pub(super) from_rib: mpsc::Receiver<ToSession>,
    pub(super) connection: ConnectionId,
    /// The connection's, which the shard's edge may write to as well.
    outgoing: SharedOutgoing,
    pub(super) addresses: SelfAddresses,
    /// Read, but not in the lane yet.
    pub(super) unread: VecDeque<Bytes>,
}

impl Task {
    pub(super) async fn told_by_rib(&mut self, told: Option<ToSession>) {
        match told {
            Some(ToSession::Write(chunks)) => {
                let Some(session) = &self.session else { return };
                let Some(wire) = self.wires.live(session.connection) else {
                    return;
                };
                wire.outgoing.lock().hand_over(&chunks, &session.addresses);
                self.dirty.push(session.connection);
                let mut inputs = VecDeque::new();
                self.flush(&mut inputs);
                self.feed_all(inputs).await;
            }
            Some(ToSession::Close { notification, idle }) => {
                self.feed(Input::Close { notification, idle }).await;
            }
            // The shard has gone; nothing could be learned or advertised.
            None => {
                let notification = Notification::cease(cease::OUT_OF_RESOURCES);
                self.feed(Input::Close {
                    notification,
                    idle: Some(Duration::ZERO),
                })
                .await;
            }
        }
    }

    pub(super) async fn rib_up(&mut self, peer: Peer) {
        let Some(connection) = self.core.session() else {
            return;
        };
        let Some(outgoing) = self.wires.live(connection).map(|wire| wire.outgoing.clone()) else {
            return;
        };
        let (told, from_rib) = mpsc::channel(RIB_QUEUE);
        let addresses = peer.self_addresses;
        let direct = Direct {
            outgoing: outgoing.clone(),
            addresses,
            status: self.status(),
        };
        let session = SessionEnd {
            told,
            outlet: Some(Arc::new(direct)),
        };
        let lane = self.rib.peer_up(peer, session).await;
        lane.credit(CREDIT);
        self.session = Some(Session {
            lane,
            from_rib,
            connection,
            outgoing,
            addresses,
            unread: VecDeque::new(),
        });
    }

    /// What the shard's edge has written to the socket by itself.
    pub(super) fn written_aside(&self) -> Option<Input> {
        let session = self.session.as_ref()?;
        let progress = session.outgoing.take_aside()?;
        Some(Input::Written {
            connection: session.connection,
            progress,
        })
    }

    pub(super) async fn hand_over(&mut self, messages: Bytes) {
        let Some(session) = &mut self.session else { return };
        if session.unread.is_empty() && session.lane.has_space() {
            session.lane.received(messages).await;
        } else {
            session.unread.push_back(messages);
        }
    }

    pub(super) async fn rib_down(&mut self, routes: DownRoutes) {
        let Some(session) = self.session.take() else {
            // Routes of an earlier session, kept for a restart that is not awaited any more.
            return self.rib.peer_removed(self.core.id()).await;
        };
        if routes != DownRoutes::Flush && !session.unread.is_empty() {
            let rest = async {
                for messages in &session.unread {
                    session.lane.received(messages.clone()).await;
                }
            };
            if tokio::time::timeout(LAST_MESSAGES, rest).await.is_err() {
                tracing::warn!("the RIB is busy: the last messages of the session are lost");
            }
        }
        session.lane.down(routes);
    }
}
