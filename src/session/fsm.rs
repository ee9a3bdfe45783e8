//! The finite state machine, RFC 4271 §8, with RFC 6608 (unexpected messages) and RFC 9687 (send hold timer).
//!
//! It is a table: [`step`] takes a state and an event and yields the next state and what to do. It holds nothing, so
//! one function serves the side that connects and every connection that the peer opens to us (RFC 4271 §8.2.1 asks for
//! one machine each; the peer is known by its address from the start).
//!
//! ```text
//!            Start                 TcpFailed
//!   ┌──────┐ ────────► ┌─────────┐ ──────────────────► ┌────────┐ ◄─── StartPassive
//!   │ Idle │           │ Connect │ ◄────────────────── │ Active │ ◄─── a connection that the peer opens begins here
//!   └──────┘           └────┬────┘  ConnectRetryExpired└───┬────┘
//!       ▲                   │ TcpConnected: OPEN           │ TcpConnected: OPEN
//!       │ anything that     ▼                              ▼
//!       │ ends a       ┌──────────┐ Open: KEEPALIVE ┌─────────────┐ Keepalive ┌─────────────┐
//!       │ connection   │ OpenSent │ ──────────────► │ OpenConfirm │ ────────► │ Established │
//!       │              └────┬─────┘                 └──────┬──────┘           └──────┬──────┘
//!       └───────────────────┴──────────────────────────────┴─────────────────────────┘
//! ```
//!
//! Waiting in Idle before the next attempt, and damping, belong to `deadlines.rs`.
//!
//! Deviates from RFC 4271 §8.2.2 (DelayOpen): a connection that lets the peer speak first is in OpenSent from the start,
//! with its OPEN still to be sent. Nobody outside can tell, and the machine of a connection keeps three states.

#![cfg_attr(
    not(test),
    expect(
        clippy::wildcard_enum_match_arm,
        reason = "what a state does not name it ignores, as RFC 4271 §8.2.2 does"
    )
)]

pub use super::status::State;

/// What can happen to a machine; RFC 4271 §8.1 numbers in the comments.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Event {
    /// Connect actively (1, 3, 6).
    Start,
    /// Wait for the peer to connect (4, 5, 7).
    StartPassive,
    /// End it, telling the peer why (2, 8, and 28 when the RIB asks for it).
    Stop,
    /// The time to connect again has come (9).
    ConnectRetryExpired,
    /// Nothing complete was heard for the hold time (10).
    HoldExpired,
    /// A KEEPALIVE is due (11).
    KeepaliveExpired,
    /// Nothing could be sent for the send hold time (29, RFC 9687).
    SendHoldExpired,
    /// A TCP connection stands (16, 17).
    TcpConnected,
    /// A TCP connection stands, and the peer may speak first (16, 17 with DelayOpen).
    TcpConnectedDelayed,
    /// The peer has not spoken first (12), or it has.
    DelayOpenExpired,
    /// The attempt failed, or the connection is gone (18).
    TcpFailed,
    /// A valid OPEN (19).
    Open,
    /// A header or an OPEN with an error (21, 22).
    BadMessage,
    /// The other connection won, RFC 4271 §6.8 (23).
    CollisionLost,
    /// NOTIFICATION (24, 25).
    Notification,
    /// KEEPALIVE (26).
    Keepalive,
    /// UPDATE or ROUTE-REFRESH (27).
    Update,
}

/// What to do on the way to the next state, in order.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Action {
    /// Begin a TCP connection.
    Connect,
    /// Give up the TCP connection that is being made.
    Abandon,
    /// Arm ConnectRetryTimer.
    ArmConnectRetry,
    /// Send our OPEN.
    SendOpen,
    /// Arm DelayOpenTimer.
    ArmDelayOpen,
    /// Wait for the peer's OPEN no longer than RFC 4271 §8.2.2 suggests: 4 minutes.
    ArmOpenHold,
    /// Send a KEEPALIVE.
    SendKeepalive,
    /// Arm the hold timer with the negotiated time.
    ArmHold,
    /// Arm the keepalive timer.
    ArmKeepalive,
    /// The session is up: tell the RIB.
    Up,
    /// Give the message to the RIB.
    Deliver,
    /// Send the NOTIFICATION that belongs to the event.
    Notify,
    /// Send the NOTIFICATION of a message that the state does not allow, with this RFC 6608 subcode.
    NotifyUnexpected(u8),
    /// Close the connection, and end the session if there was one.
    Release,
}

/// The outcome of an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Step {
    /// The state that follows.
    pub next: State,
    /// What to do, in order.
    pub actions: &'static [Action],
}

/// Yields what `event` means in `state`.
#[must_use]
pub fn step(state: State, event: Event) -> Step {
    match state {
        State::Idle => idle(event),
        State::Connect => connect(event),
        State::Active => active(event),
        State::OpenSent => open_sent(event),
        State::OpenConfirm => open_confirm(event),
        State::Established => established(event),
    }
}

const fn to(next: State, actions: &'static [Action]) -> Step {
    Step { next, actions }
}

const BEGIN: &[Action] = &[Action::Connect, Action::ArmConnectRetry];
const GREET: &[Action] = &[Action::SendOpen, Action::ArmOpenHold];
const LISTEN: &[Action] = &[Action::ArmOpenHold, Action::ArmDelayOpen];
const TELL_AND_END: &[Action] = &[Action::Notify, Action::Release];
const END: &[Action] = &[Action::Release];

fn idle(event: Event) -> Step {
    match event {
        Event::Start => to(State::Connect, BEGIN),
        Event::StartPassive => to(State::Active, &[]),
        _ => to(State::Idle, &[]),
    }
}

fn connect(event: Event) -> Step {
    match event {
        Event::Stop => to(State::Idle, &[Action::Abandon]),
        Event::ConnectRetryExpired => to(
            State::Connect,
            &[Action::Abandon, Action::Connect, Action::ArmConnectRetry],
        ),
        // Waiting passively: the attempt under way is of no use.
        Event::StartPassive => to(State::Active, &[Action::Abandon]),
        Event::TcpConnected => to(State::OpenSent, GREET),
        Event::TcpConnectedDelayed => to(State::OpenSent, LISTEN),
        // Deviates from RFC 4271 §8.2.2 (Connect, event 18 without DelayOpen): Active in place of Idle, so that a peer
        // that comes up while we wait for the next attempt can connect to us.
        Event::TcpFailed => to(State::Active, &[Action::ArmConnectRetry]),
        _ => to(State::Connect, &[]),
    }
}

fn active(event: Event) -> Step {
    match event {
        Event::Stop => to(State::Idle, &[]),
        Event::Start | Event::ConnectRetryExpired => to(State::Connect, BEGIN),
        Event::TcpConnected => to(State::OpenSent, GREET),
        Event::TcpConnectedDelayed => to(State::OpenSent, LISTEN),
        _ => to(State::Active, &[]),
    }
}

fn open_sent(event: Event) -> Step {
    match event {
        Event::Open => {
            // RFC 4271 §8.2.2: the negotiated hold time counts from here on, not from Established.
            to(
                State::OpenConfirm,
                &[Action::SendKeepalive, Action::ArmHold, Action::ArmKeepalive],
            )
        }
        Event::DelayOpenExpired => to(State::OpenSent, &[Action::SendOpen]),
        Event::Keepalive | Event::Update => to(State::Idle, &[Action::NotifyUnexpected(1), Action::Release]),
        other => with_connection(State::OpenSent, other),
    }
}

fn open_confirm(event: Event) -> Step {
    match event {
        Event::Keepalive => to(State::Established, &[Action::ArmHold, Action::Up]),
        Event::KeepaliveExpired => to(State::OpenConfirm, &[Action::SendKeepalive, Action::ArmKeepalive]),
        Event::Open | Event::Update => to(State::Idle, &[Action::NotifyUnexpected(2), Action::Release]),
        other => with_connection(State::OpenConfirm, other),
    }
}

fn established(event: Event) -> Step {
    match event {
        Event::Keepalive => to(State::Established, &[Action::ArmHold]),
        Event::Update => to(State::Established, &[Action::ArmHold, Action::Deliver]),
        Event::KeepaliveExpired => to(State::Established, &[Action::SendKeepalive, Action::ArmKeepalive]),
        Event::Open => to(State::Idle, &[Action::NotifyUnexpected(3), Action::Release]),
        other => with_connection(State::Established, other),
    }
}

/// What is the same in all three states that have a TCP connection.
fn with_connection(state: State, event: Event) -> Step {
    match event {
        Event::Stop
        | Event::HoldExpired
        | Event::SendHoldExpired
        | Event::BadMessage
        | Event::CollisionLost => to(State::Idle, TELL_AND_END),
        Event::Notification | Event::TcpFailed => to(State::Idle, END),
        _ => to(state, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 6] = [
        State::Idle,
        State::Connect,
        State::Active,
        State::OpenSent,
        State::OpenConfirm,
        State::Established,
    ];
    const EVENTS: [Event; 17] = [
        Event::Start,
        Event::StartPassive,
        Event::Stop,
        Event::ConnectRetryExpired,
        Event::HoldExpired,
        Event::KeepaliveExpired,
        Event::SendHoldExpired,
        Event::TcpConnected,
        Event::TcpConnectedDelayed,
        Event::DelayOpenExpired,
        Event::TcpFailed,
        Event::Open,
        Event::BadMessage,
        Event::CollisionLost,
        Event::Notification,
        Event::Keepalive,
        Event::Update,
    ];

    fn all() -> impl Iterator<Item = (State, Event, Step)> {
        STATES.into_iter().flat_map(|state| {
            EVENTS
                .into_iter()
                .map(move |event| (state, event, step(state, event)))
        })
    }

    fn has_connection(state: State) -> bool {
        state >= State::OpenSent
    }

    #[test]
    fn a_connection_is_released_exactly_when_it_is_left() {
        for (state, event, step) in all() {
            let left = has_connection(state) && !has_connection(step.next);
            let released = step
                .actions
                .iter()
                .filter(|action| **action == Action::Release)
                .count();
            assert_eq!(released, usize::from(left), "{state:?} {event:?}");
            if left {
                assert_eq!(step.actions.last(), Some(&Action::Release), "{state:?} {event:?}");
                assert_eq!(step.next, State::Idle, "{state:?} {event:?}");
            }
        }
    }

    #[test]
    fn the_peer_is_told_except_when_it_ended_the_connection_itself() {
        for (state, event, step) in all().filter(|(state, _, _)| has_connection(*state)) {
            let told = step
                .actions
                .iter()
                .any(|action| matches!(action, Action::Notify | Action::NotifyUnexpected(_)));
            let silent = matches!(event, Event::Notification | Event::TcpFailed);
            assert_eq!(told, step.next == State::Idle && !silent, "{state:?} {event:?}");
        }
    }

    #[test]
    fn only_open_then_keepalive_lead_to_established() {
        for (state, event, step) in all() {
            if step.next == State::Established && state != State::Established {
                assert_eq!((state, event), (State::OpenConfirm, Event::Keepalive));
                assert!(step.actions.contains(&Action::Up));
            }
            if step.next == State::OpenConfirm && state != State::OpenConfirm {
                assert_eq!((state, event), (State::OpenSent, Event::Open));
            }
            if step.actions.contains(&Action::Deliver) {
                assert_eq!(state, State::Established);
            }
        }
    }

    #[test]
    fn unexpected_messages_carry_the_subcode_of_the_state() {
        for (state, event, subcode) in [
            (State::OpenSent, Event::Keepalive, 1),
            (State::OpenSent, Event::Update, 1),
            (State::OpenConfirm, Event::Open, 2),
            (State::OpenConfirm, Event::Update, 2),
            (State::Established, Event::Open, 3),
        ] {
            assert_eq!(
                step(state, event).actions,
                [Action::NotifyUnexpected(subcode), Action::Release],
                "{state:?} {event:?}"
            );
        }
    }

    #[test]
    fn idle_refuses_everything_but_a_start() {
        for event in EVENTS {
            let next = step(State::Idle, event).next;
            assert_eq!(
                next != State::Idle,
                matches!(event, Event::Start | Event::StartPassive),
                "{event:?}"
            );
        }
    }

    #[test]
    fn a_failed_attempt_waits_in_active_and_tries_again() {
        let failed = step(State::Connect, Event::TcpFailed);
        assert_eq!(
            (failed.next, failed.actions),
            (State::Active, [Action::ArmConnectRetry].as_slice())
        );
        assert_eq!(
            step(State::Active, Event::ConnectRetryExpired).next,
            State::Connect
        );
    }

    #[test]
    fn the_hold_timer_is_armed_with_the_negotiated_time_in_open_confirm() {
        assert!(
            step(State::OpenSent, Event::Open)
                .actions
                .contains(&Action::ArmHold)
        );
    }
}
