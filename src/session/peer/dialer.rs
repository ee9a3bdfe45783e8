//! When we connect ourselves: the part of the state machine that has no connection (Idle, Connect, Active), the rests
//! between attempts and their damping (RFC 4271 §8.1.1).
//!
//! After a failure the dialer waits in Active, where the peer may connect, and tries again when the idle hold time is
//! over. A peer that keeps failing is made to wait in Idle, where its own attempts are refused too.

use std::time::{Duration, Instant};

use super::interface::{Closing, ConnectionId, Output};
use super::{Core, LogEvent, Running};
use crate::session::collision::Direction;
use crate::session::deadlines::Timer;
use crate::session::fsm::{self, Action, Event};
use crate::session::status::State;

/// The wait after the first attempt that fails; it doubles up to ConnectRetryTime.
const FIRST_RETRY: Duration = Duration::from_millis(250);

/// The machine of the side that connects.
#[derive(Clone, Debug, Default)]
pub(super) struct Dialer {
    /// Idle, Connect or Active.
    pub(super) state: State,
    /// The attempt under way.
    pub(super) attempt: Option<ConnectionId>,
    /// When to try again.
    connect_retry: Option<Instant>,
    /// Attempts that failed since the last connection or rest.
    failed_attempts: u32,
    /// Connections that the peer refused since the last session.
    refusals: u32,
    /// Why it is Idle.
    pub(super) rest: Rest,
    serial: u32,
}

/// Whether connections are refused for a time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Rest {
    /// No.
    #[default]
    No,
    /// RFC 4271 §8.1.1 IdleHoldTimer.
    Until(Instant),
    /// Until an operator resets or enables the peer.
    ForEver,
}

impl Dialer {
    pub(super) fn next_deadline(&self) -> Option<(Instant, Timer)> {
        let rest = match self.rest {
            Rest::Until(at) => Some((at, Timer::IdleHold)),
            Rest::No | Rest::ForEver => None,
        };
        rest.into_iter()
            .chain(self.connect_retry.map(|at| (at, Timer::ConnectRetry)))
            .min()
    }

    pub(super) fn session_stands(&mut self) {
        self.refusals = 0;
    }

    /// The attempt has become a connection, whose machine goes on from here.
    pub(super) fn connected(&mut self) {
        self.state = State::Idle;
        self.attempt = None;
        self.connect_retry = None;
        self.failed_attempts = 0;
    }
}

impl Core {
    pub(super) fn connect_failed(&mut self, id: ConnectionId, error: String, now: Instant) {
        if self.dialer.attempt == Some(id) {
            self.dialer.attempt = None;
            self.dial(Event::TcpFailed, now);
            self.statistics.last_error = Some(error.clone());
            self.push(Output::Log(LogEvent::ConnectFailed { error }));
        }
    }

    /// Begins to connect, or to wait for the peer, when nothing speaks against it.
    pub(super) fn dial_if_due(&mut self, now: Instant) {
        let wanted = self.running == Running::Yes
            && self.shutdown.is_none()
            && self.dialer.rest == Rest::No
            && self.dialer.state == State::Idle
            && !self.connections.iter().any(|connection| {
                connection.id.direction == Direction::Outgoing || connection.state >= State::OpenConfirm
            });
        if wanted {
            let event = if self.is_passive() {
                Event::StartPassive
            } else {
                Event::Start
            };
            self.dial(event, now);
        }
    }

    pub(super) fn dialer_tick(&mut self, now: Instant) {
        if matches!(self.dialer.rest, Rest::Until(at) if at <= now) {
            self.dialer.rest = Rest::No;
        }
        if self.dialer.connect_retry.is_some_and(|at| at <= now) {
            // A connection that has brought an OPEN is as good as a session: no second one is opened beside it.
            if self
                .connections
                .iter()
                .any(|connection| connection.state >= State::OpenConfirm)
            {
                self.arm_connect_retry(now);
            } else {
                self.dialer.connect_retry = None;
                self.dial(Event::ConnectRetryExpired, now);
            }
        }
    }

    /// A connection from the peer is about to become the session: an attempt of ours would only collide with it.
    pub(super) fn pause_dialing(&mut self, now: Instant) {
        if self.dialer.state == State::Connect {
            self.dial(Event::StartPassive, now);
            self.arm_connect_retry(now);
        }
    }

    pub(super) fn stop_dialing(&mut self) {
        if let Some(connection) = self.dialer.attempt.take() {
            self.push(Output::Close {
                connection,
                closing: Closing::Drop,
            });
        }
        self.dialer.state = State::Idle;
        self.dialer.connect_retry = None;
        self.dialer.failed_attempts = 0;
    }

    /// Waits after a session or an attempt of ours failed.
    pub(super) fn rest_after_failure(&mut self, up_for: Option<Duration>, now: Instant) {
        let wait = self.damping.failed(self.settings.idle_hold_time, up_for);
        let until = now + self.jitter.apply(wait);
        self.stop_dialing();
        if self.damping.oscillates() {
            self.dialer.rest = Rest::Until(until);
        } else if self.running == Running::Yes && self.shutdown.is_none() {
            self.dial(Event::StartPassive, now);
            self.dialer.connect_retry = (!self.is_passive()).then_some(until);
        }
    }

    /// Waits where the peer can connect, and tries again as after an attempt that failed.
    ///
    /// Deviates from RFC 4271 §8.1.1: that the peer rests is no failure of ours. If it were, two speakers that both rest
    /// would refuse each other with ever longer rests and need not meet again.
    pub(super) fn await_turn(&mut self, now: Instant) {
        let failed_attempts = self.dialer.failed_attempts;
        self.stop_dialing();
        if self.running == Running::Yes && self.shutdown.is_none() && self.dialer.rest == Rest::No {
            self.dial(Event::StartPassive, now);
            self.dialer.failed_attempts = failed_attempts.max(self.dialer.refusals);
            self.dialer.refusals = self.dialer.refusals.saturating_add(1);
            self.arm_next_attempt(now);
        }
    }

    /// Waits in Idle that much beyond what the failure itself has led to.
    pub(super) fn rest_longer(&mut self, idle: Duration, now: Instant) {
        let base = match self.dialer.rest {
            Rest::Until(until) => until,
            Rest::No | Rest::ForEver => self.dialer.connect_retry.unwrap_or(now),
        };
        self.stop_dialing();
        self.dialer.rest = Rest::Until(base + idle);
    }

    pub(super) fn rest_for_ever(&mut self) {
        self.stop_dialing();
        self.dialer.rest = Rest::ForEver;
    }

    /// Ends all waiting: an operator or the configuration intervened.
    pub(super) fn wake(&mut self) {
        self.damping.clear();
        self.dialer.rest = Rest::No;
        self.stop_dialing();
        self.statistics.revision += 1;
    }

    fn arm_connect_retry(&mut self, now: Instant) {
        let time = self.jitter.apply(self.settings.connect_retry_time);
        self.dialer.connect_retry = (!self.is_passive()).then(|| now + time);
    }

    /// The first attempts follow each other quickly: two speakers that start together find each other's ports closed for
    /// a moment, and neither should wait out its ConnectRetryTime.
    fn arm_next_attempt(&mut self, now: Instant) {
        let backoff = FIRST_RETRY.saturating_mul(1 << self.dialer.failed_attempts.min(16));
        self.dialer.failed_attempts = self.dialer.failed_attempts.saturating_add(1);
        let time = self.jitter.apply(backoff.min(self.settings.connect_retry_time));
        self.dialer.connect_retry = (!self.is_passive()).then(|| now + time);
    }

    fn dial(&mut self, event: Event, now: Instant) {
        let step = fsm::step(self.dialer.state, event);
        self.dialer.state = step.next;
        for action in step.actions {
            match action {
                Action::Connect => {
                    let connection = ConnectionId {
                        direction: Direction::Outgoing,
                        serial: self.dialer.serial,
                    };
                    self.dialer.serial = self.dialer.serial.wrapping_add(1);
                    self.dialer.attempt = Some(connection);
                    self.push(Output::Connect { connection });
                }
                Action::Abandon => {
                    if let Some(connection) = self.dialer.attempt.take() {
                        self.push(Output::Close {
                            connection,
                            closing: Closing::Drop,
                        });
                    }
                }
                Action::ArmConnectRetry if event == Event::TcpFailed => self.arm_next_attempt(now),
                Action::ArmConnectRetry => self.arm_connect_retry(now),
                // Those of a machine with a connection, which the dialer is not.
                Action::SendOpen
                | Action::ArmDelayOpen
                | Action::ArmOpenHold
                | Action::SendKeepalive
                | Action::ArmHold
                | Action::ArmKeepalive
                | Action::Up
                | Action::Deliver
                | Action::Notify
                | Action::NotifyUnexpected(_)
                | Action::Release => {}
            }
        }
    }
}
