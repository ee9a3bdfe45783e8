//! What the state machine of a connection says is to be done.

use std::time::Instant;

use bgp_codec::notification::cease;
use bgp_codec::{MessageType, Notification};

use super::connection::Connection;
use super::ending::Ending;
use super::interface::{Closing, ConnectionId, LogEvent, Output};
use super::{Cause, Core, encoded};
use crate::rib::interface::{DownRoutes, Peer};
use crate::session::collision::Direction;
use crate::session::deadlines::Jitter;
use crate::session::fsm::{self, Action, Event};
use crate::session::negotiate;
use crate::session::status::State;

impl Core {
    /// Takes one event through the state machine of a connection.
    pub(super) fn drive(&mut self, id: ConnectionId, event: Event, mut cause: Cause, now: Instant) {
        let Some(connection) = self.find(id) else { return };
        let before = connection.state;
        let step = fsm::step(before, event);
        connection.state = step.next;
        for action in step.actions {
            match action {
                Action::SendOpen => self.send_open(id, now),
                Action::SendKeepalive => self.send_keepalive(id),
                Action::ArmDelayOpen => {
                    let at = now + self.settings.delay_open;
                    self.with(id, |connection, _| connection.timers.delay_open = Some(at));
                }
                Action::ArmOpenHold => self.with(id, |connection, _| connection.arm_open_hold(now)),
                Action::ArmHold => self.with(id, |connection, _| connection.arm_hold(now)),
                Action::ArmKeepalive => {
                    self.with(id, |connection, jitter| connection.arm_keepalive(jitter, now));
                }
                Action::Up => self.up(id, now),
                Action::Deliver => {
                    if let Cause::Message(run) = &cause {
                        self.push(Output::RibReceived(run.bytes.clone()));
                    }
                }
                Action::Notify => {
                    if let Cause::End(Ending::Told(notification)) = &cause {
                        self.notify(id, notification.clone());
                    }
                }
                Action::NotifyUnexpected(subcode) => {
                    if let Cause::Message(run) = &cause {
                        let notification = Notification::unexpected_message(*subcode, run.kind);
                        self.notify(id, notification.clone());
                        cause = Cause::End(Ending::Told(notification));
                    }
                }
                Action::Release => {
                    let ending = match std::mem::replace(&mut cause, Cause::Plain) {
                        Cause::End(ending) => ending,
                        Cause::Plain | Cause::Message(_) => Ending::Lost("closed".into()),
                    };
                    self.release(id, before, &ending, now);
                }
                // The dialer's: a machine with a connection has no use for them.
                Action::Connect | Action::Abandon | Action::ArmConnectRetry => {}
            }
        }
    }

    fn with(&mut self, id: ConnectionId, change: impl FnOnce(&mut Connection, &mut Jitter)) {
        if let Some(connection) = self.connections.iter_mut().find(|connection| connection.id == id) {
            change(connection, &mut self.jitter);
        }
    }

    fn send_keepalive(&mut self, id: ConnectionId) {
        self.statistics.sent.count(MessageType::Keepalive);
        self.push(Output::Keepalive { connection: id });
    }

    fn send_open(&mut self, id: ConnectionId, now: Instant) {
        let open = negotiate::our_open(&self.settings, &self.identity, self.kept, now);
        let mut bytes = Vec::new();
        open.encode(&mut bytes);
        if let Some(connection) = self.find(id) {
            connection.our_open = Some(open);
            connection.timers.delay_open = None;
        }
        self.statistics.sent.count(MessageType::Open);
        self.write(id, bytes.into());
    }

    fn notify(&mut self, id: ConnectionId, notification: Notification) {
        self.statistics.sent.count(MessageType::Notification);
        self.write(id, encoded(&notification));
        self.push(Output::Log(LogEvent::Sent(notification)));
    }

    fn up(&mut self, id: ConnectionId, now: Instant) {
        // Whatever else stands began before this session: it has lost (RFC 4271 §6.8), and a later one is new.
        let others: Vec<ConnectionId> = self
            .connections
            .iter()
            .map(|connection| connection.id)
            .filter(|other| *other != id)
            .collect();
        for other in others {
            self.lose_collision(other, now);
        }
        self.stop_dialing();
        self.dialer.session_stands();
        self.statistics.established_count += 1;
        self.retained_until = None;
        let Some(connection) = self.connections.iter_mut().find(|connection| connection.id == id) else {
            return;
        };
        connection.established_at = Some(now);
        let Some(agreement) = &connection.agreement else {
            return;
        };
        let endpoints = connection.endpoints;
        self.kept = self.kept.union(agreement.negotiated.families);
        let peer = Peer {
            id: self.id,
            name: self.settings.name.clone(),
            address: endpoints.remote.ip(),
            local_address: endpoints.local.ip(),
            self_addresses: endpoints.self_addresses,
            bgp_identifier: agreement.bgp_identifier,
            local_asn: self.settings.local_asn,
            asn: agreement.asn,
            kind: agreement.kind,
            shared_link: endpoints.shared_link,
            link: endpoints.link,
            negotiated: agreement.negotiated,
            policy: self.settings.policy.clone(),
            table: self.settings.table,
        };
        self.statistics.last_error = None;
        self.push(Output::RibUp(Box::new(peer)));
    }

    /// Forgets a connection whose machine has gone to Idle.
    fn release(&mut self, id: ConnectionId, before: State, ending: &Ending, now: Instant) {
        let Some(index) = self.connections.iter().position(|connection| connection.id == id) else {
            return;
        };
        let connection = self.connections.remove(index);
        let closing = if matches!(ending, Ending::Told(_)) {
            Closing::Flush
        } else {
            Closing::Drop
        };
        self.push(Output::Close {
            connection: id,
            closing,
        });
        let lost_collision = matches!(ending, Ending::Told(notification)
            | Ending::Heard(notification) if *notification == Notification::cease(cease::CONNECTION_COLLISION));
        if let Ending::Lost(error) = ending {
            self.push(Output::Log(LogEvent::Lost { error: error.clone() }));
        }
        if !lost_collision {
            self.statistics.last_error = Some(ending.to_string());
        }
        if before == State::Established {
            let routes = connection
                .agreement
                .as_ref()
                .map_or(DownRoutes::Flush, |agreement| ending.routes(agreement));
            self.retained_until = match &routes {
                DownRoutes::Retain {
                    restart_time,
                    long_lived,
                    ..
                } => Some(now + *restart_time + long_lived.longest()),
                DownRoutes::Flush => None,
            };
            self.statistics.flaps += 1;
            self.push(Output::RibDown(routes));
        }
        // Without a winner here (the peer still holds a session that we have lost) it is a failure like any other.
        let superseded = *ending == Ending::TakenOver || (lost_collision && !self.connections.is_empty());
        let ours = before == State::Established || id.direction == Direction::Outgoing;
        if ours && before < State::Established && ending.is_not_yet() {
            self.await_turn(now);
        } else if ours && !superseded {
            let up_for = connection
                .established_at
                .map(|since| now.saturating_duration_since(since));
            self.rest_after_failure(up_for, now);
        }
    }
}
