//! What the RIB, an operator or the configuration wants of a peer.

use std::time::{Duration, Instant};

use bgp_codec::notification::cease;
use bgp_codec::{Family, MessageType, Notification, RouteRefresh, route_refresh};

use super::ending::{Ending, for_good, is_for_good};
use super::interface::{Command, ConnectionId, Output, Reset, Stop};
use super::{Cause, Core, Running};
use crate::rib::interface::DownRoutes;
use crate::session::change::{Change, settings_change};
use crate::session::fsm::Event;
use crate::session::negotiate;
use crate::session::settings::PeerSettings;

impl Core {
    pub(super) fn close(&mut self, notification: Notification, idle: Option<Duration>, now: Instant) {
        let Some(connection) = self.established() else {
            return;
        };
        let id = connection.id;
        let notification = if is_for_good(&notification) {
            for_good(notification, connection.agreement.as_ref())
        } else {
            notification
        };
        self.drive(id, Event::Stop, Cause::End(Ending::Told(notification)), now);
        match idle {
            Some(Duration::ZERO) => {}
            Some(idle) => self.rest_longer(idle, now),
            None => self.rest_for_ever(),
        }
    }

    pub(super) fn request_refresh(&mut self, family: Family) {
        let Some(connection) = self.established() else {
            return;
        };
        let able = connection.agreement.as_ref().is_some_and(|agreement| {
            agreement.negotiated.route_refresh && agreement.negotiated.families.contains(family)
        });
        if able {
            let id = connection.id;
            let mut bytes = Vec::new();
            RouteRefresh {
                family,
                subtype: route_refresh::Subtype::Request,
            }
            .encode(&mut bytes);
            self.statistics.sent.count(MessageType::RouteRefresh);
            self.write(id, bytes.into());
        }
    }

    pub(super) fn command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Shutdown(text) => self.shut_down(text, now),
            Command::Enable => {
                self.shutdown = None;
                self.wake();
            }
            Command::Reset(Reset::Hard { text }) => {
                self.end_all(&Notification::administrative_reset(&text), now);
                self.flush_retained();
                self.wake();
            }
            Command::Reset(Reset::SoftIn) => {
                for family in self.settings.families.iter() {
                    self.request_refresh(family);
                }
            }
            Command::Reset(Reset::SoftOut) => {
                if self.session().is_some() {
                    self.push(Output::RibReadvertise);
                }
            }
        }
    }

    fn shut_down(&mut self, text: String, now: Instant) {
        self.end_all(&Notification::administrative_shutdown(&text), now);
        self.flush_retained();
        self.stop_dialing();
        self.shutdown = Some(text);
        self.statistics.revision += 1;
    }

    /// Ends every connection for good with this NOTIFICATION.
    fn end_all(&mut self, notification: &Notification, now: Instant) {
        let connections: Vec<(ConnectionId, Notification)> = self
            .connections
            .iter()
            .map(|connection| {
                (
                    connection.id,
                    for_good(notification.clone(), connection.agreement.as_ref()),
                )
            })
            .collect();
        for (id, notification) in connections {
            self.drive(id, Event::Stop, Cause::End(Ending::Told(notification)), now);
        }
    }

    fn flush_retained(&mut self) {
        if self.retained_until.take().is_some() {
            self.push(Output::RibDown(DownRoutes::Flush));
        }
    }

    pub(super) fn start(&mut self) {
        if self.running != Running::Stopped {
            self.running = Running::Yes;
            self.statistics.revision += 1;
        }
    }

    pub(super) fn stop(&mut self, stop: &Stop, now: Instant) {
        self.running = if *stop == Stop::IsSelf {
            Running::IsSelf
        } else {
            Running::Stopped
        };
        match stop {
            Stop::Removed => self.end_all(&Notification::cease(cease::PEER_DECONFIGURED), now),
            Stop::Leave { text } => self.end_all(&Notification::administrative_shutdown(text), now),
            Stop::IsSelf => self.end_all(&Notification::cease(cease::CONNECTION_REJECTED), now),
            Stop::Restart { text } => {
                // RFC 4724 §4.1: a NOTIFICATION would make the peer drop our routes.
                let graceful = self.established().filter(|session| {
                    session
                        .agreement
                        .as_ref()
                        .is_some_and(|it| it.graceful_restart.is_some())
                });
                if let Some(id) = graceful.map(|session| session.id) {
                    self.drive(id, Event::TcpFailed, Cause::End(Ending::Restarting), now);
                }
                self.end_all(&Notification::administrative_shutdown(text), now);
            }
        }
        self.stop_dialing();
        self.statistics.revision += 1;
    }

    pub(super) fn reconfigure(&mut self, settings: PeerSettings, now: Instant) {
        let change = settings_change(&self.settings, &settings);
        let old = std::mem::replace(&mut self.settings, settings);
        self.statistics.revision += 1;
        match change {
            Change::None => return,
            Change::Live | Change::NextSession(_) => self.apply_live(&old, now),
            Change::Reset(_) => {
                // RFC 4724 §4: without the N bit (RFC 8538) a NOTIFICATION would end the routes of both sides.
                let graceful = self.established().filter(|session| {
                    let graceful = session
                        .agreement
                        .as_ref()
                        .and_then(|it| it.graceful_restart.as_ref());
                    graceful.is_some_and(|graceful| !graceful.notification)
                });
                let carried_on = graceful.map(|session| session.id);
                if let Some(id) = carried_on.filter(|_| continues(&old, &self.settings)) {
                    self.drive(id, Event::TcpFailed, Cause::End(Ending::Reconfigured), now);
                }
                let notification = Notification::cease(cease::OTHER_CONFIGURATION_CHANGE);
                let ids: Vec<ConnectionId> =
                    self.connections.iter().map(|connection| connection.id).collect();
                for id in ids {
                    self.drive(
                        id,
                        Event::Stop,
                        Cause::End(Ending::Told(notification.clone())),
                        now,
                    );
                }
                self.wake();
            }
        }
        match (&old.shutdown, &self.settings.shutdown) {
            (None, Some(text)) => self.shut_down(text.clone(), now),
            (Some(_), None) => self.command(Command::Enable, now),
            (Some(_), Some(text)) => self.shutdown = Some(text.clone()),
            (None, None) => {}
        }
    }

    fn apply_live(&mut self, old: &PeerSettings, now: Instant) {
        let keepalive_time = self.settings.keepalive_time;
        if old.keepalive_time != keepalive_time {
            for connection in &mut self.connections {
                if let Some(agreement) = &mut connection.agreement {
                    agreement.keepalive_time = negotiate::keepalive_time(keepalive_time, agreement.hold_time);
                    connection.arm_keepalive(&mut self.jitter, now);
                }
            }
        }
        if old.policy != self.settings.policy && self.session().is_some() {
            self.push(Output::RibReconfigure(Box::new(self.settings.policy.clone())));
        }
        if old.passive != self.settings.passive || old.port != self.settings.port {
            self.stop_dialing();
        }
    }
}

/// Whether the session after a reset carries on with the routes of the one before it.
fn continues(old: &PeerSettings, new: &PeerSettings) -> bool {
    let same_ends = old.address == new.address
        && old.local_asn == new.local_asn
        && old.remote_asn == new.remote_asn
        && old.table == new.table;
    let all_families = old.families.iter().all(|family| new.families.contains(family));
    same_ends && all_families && new.graceful_restart.is_some()
}
