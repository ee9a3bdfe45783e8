//! One TCP connection of a peer: where its state machine stands, its timers and what was said in OPEN.

use std::time::{Duration, Instant};

use bgp_codec::Open;

use super::framing::Framing;
use super::interface::{ConnectionId, Endpoints};
use crate::session::collision::{Direction, Existing};
use crate::session::deadlines::{ConnectionTimers, Jitter, OPEN_HOLD_TIME};
use crate::session::negotiate::Agreement;
use crate::session::status::State;

/// One TCP connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) endpoints: Endpoints,
    pub(super) state: State,
    pub(super) timers: ConnectionTimers,
    pub(super) framing: Framing,
    /// What we sent.
    pub(super) our_open: Option<Open>,
    /// What both agreed on, from OpenConfirm on.
    pub(super) agreement: Option<Agreement>,
    /// The hold timer has run out, but what the socket holds is to be read before it counts.
    pub(super) hold_in_doubt: bool,
    pub(super) established_at: Option<Instant>,
}

impl Connection {
    /// A connection before our OPEN; `state` is the one whose machine it continues.
    pub(super) fn new(id: ConnectionId, endpoints: Endpoints, state: State) -> Self {
        Self {
            id,
            endpoints,
            state,
            timers: ConnectionTimers::default(),
            framing: Framing::default(),
            our_open: None,
            agreement: None,
            hold_in_doubt: false,
            established_at: None,
        }
    }

    pub(super) fn arm_open_hold(&mut self, now: Instant) {
        self.timers.hold = Some(now + OPEN_HOLD_TIME);
    }

    /// RFC 4271 §4.4: with a hold time of zero there are neither hold timer nor KEEPALIVEs.
    pub(super) fn arm_hold(&mut self, now: Instant) {
        let time = self
            .agreement
            .as_ref()
            .map_or(Duration::ZERO, |agreement| agreement.hold_time);
        self.timers.hold = (!time.is_zero()).then(|| now + time);
        self.hold_in_doubt = false;
    }

    pub(super) fn arm_keepalive(&mut self, jitter: &mut Jitter, now: Instant) {
        let time = self
            .agreement
            .as_ref()
            .map_or(Duration::ZERO, |agreement| agreement.keepalive_time);
        self.timers.keepalive = (!time.is_zero()).then(|| now + jitter.apply(time));
    }

    /// How collision resolution sees it beside another connection.
    pub(super) fn as_existing(&self) -> Existing {
        let direction = self.id.direction;
        match (self.state, &self.agreement) {
            (State::Established, agreement) => Existing::Established {
                graceful: agreement
                    .as_ref()
                    .is_some_and(|agreement| agreement.graceful_restart.is_some()),
            },
            (State::OpenConfirm, _) => Existing::OpenConfirm(direction),
            (State::Idle | State::Connect | State::Active | State::OpenSent, _) => {
                Existing::OpenSent(direction)
            }
        }
    }

    /// Opened by the peer, and its OPEN has not come.
    pub(super) fn is_pending(&self) -> bool {
        self.id.direction == Direction::Incoming && self.state == State::OpenSent
    }
}
