//! Stops, resets, shutdowns, reloads, and what becomes of the routes.

use super::*;

const RETAINED: DownRoutes = DownRoutes::Retain {
    families: FamilySet::IPV4_UNICAST,
    restart_time: Duration::from_secs(90),
    long_lived: LongLived::NONE,
};

fn text(text: &str) -> String {
    text.into()
}

#[test]
fn a_lost_connection_keeps_routes_only_with_graceful_restart() {
    let mut plain = Bench::established(settings(), &graceful_open(true));
    plain.lose(outgoing(0));
    assert_eq!(plain.downs, [DownRoutes::Flush]);
    let mut bench = Bench::established(graceful(), &graceful_open(false));
    bench.lose(outgoing(0));
    assert_eq!(bench.downs, [RETAINED]);
    assert_eq!(
        bench.core.status(bench.now, SECOND).notes,
        ["its routes are kept for a graceful restart"]
    );
}

#[test]
fn the_hold_timer_keeps_routes_only_with_the_n_bit() {
    for (notification, expected) in [(false, DownRoutes::Flush), (true, RETAINED)] {
        let mut bench = Bench::established(graceful(), &graceful_open(notification));
        bench.wait(91 * SECOND);
        assert_eq!(bench.told_parts(outgoing(0)), (4, 0, vec![]));
        assert_eq!(bench.downs, [expected]);
    }
}

#[test]
fn a_received_cease_keeps_routes_only_with_the_n_bit_and_no_hard_reset() {
    let shutdown = Notification::administrative_shutdown("bye");
    let hard = Notification::hard_reset(&shutdown);
    for (notification, heard, expected) in [
        (false, &shutdown, DownRoutes::Flush),
        (true, &shutdown, RETAINED),
        (true, &hard, DownRoutes::Flush),
    ] {
        let mut bench = Bench::established(graceful(), &graceful_open(notification));
        bench.receive(outgoing(0), &notification_message(heard));
        assert_eq!(bench.downs, [expected]);
        assert!(
            bench
                .core
                .status(bench.now, SECOND)
                .last_error
                .unwrap()
                .ends_with("bye")
        );
    }
}

#[test]
fn an_administrative_shutdown_tells_its_text_and_stays_down() {
    let mut bench = Bench::established(settings(), &open(2));
    bench.input(Input::Command(Command::Shutdown(text("maintenance"))));
    assert_eq!(
        bench.told(outgoing(0)),
        Some(Notification::administrative_shutdown("maintenance"))
    );
    bench.wait(10_000 * SECOND);
    assert_eq!(bench.attempts.len(), 1);
    bench.connect(incoming(0));
    assert_eq!(
        bench.told(incoming(0)),
        Some(Notification::administrative_shutdown("maintenance"))
    );
    bench.input(Input::Command(Command::Enable));
    assert_eq!(bench.core.state(), State::Connect);
}

#[test]
fn a_shutdown_of_a_graceful_peer_is_a_hard_reset_and_flushes() {
    let mut bench = Bench::established(graceful(), &graceful_open(true));
    bench.input(Input::Command(Command::Shutdown(text("bye"))));
    let told = bench.told(outgoing(0)).unwrap();
    assert_eq!(
        told.hard_reset_reason(),
        Some(Notification::administrative_shutdown("bye"))
    );
    assert_eq!(bench.downs, [DownRoutes::Flush]);
}

#[test]
fn a_shutdown_also_ends_routes_that_were_kept() {
    let mut bench = Bench::established(graceful(), &graceful_open(true));
    bench.lose(outgoing(0));
    bench.input(Input::Command(Command::Shutdown(text("bye"))));
    assert_eq!(bench.downs, [RETAINED, DownRoutes::Flush]);
}

#[test]
fn a_hard_reset_connects_again_at_once() {
    let mut bench = Bench::established(settings(), &open(2));
    bench.input(Input::Command(Command::Reset(Reset::Hard {
        text: text("once more"),
    })));
    assert_eq!(
        bench.told(outgoing(0)),
        Some(Notification::administrative_reset("once more"))
    );
    assert_eq!(bench.attempts, [outgoing(0), outgoing(1)]);
}

#[test]
fn a_restart_is_silent_where_graceful_and_a_cease_elsewhere() {
    let mut silent = Bench::established(graceful(), &graceful_open(true));
    silent.input(Input::Stop(Stop::Restart {
        text: text("back soon"),
    }));
    assert_eq!(silent.told(outgoing(0)), None);
    assert!(!silent.is_open(outgoing(0)));
    let mut told = Bench::established(settings(), &open(2));
    told.input(Input::Stop(Stop::Restart {
        text: text("back soon"),
    }));
    assert_eq!(
        told.told(outgoing(0)),
        Some(Notification::administrative_shutdown("back soon"))
    );
    for bench in [&mut silent, &mut told] {
        bench.wait(10_000 * SECOND);
        assert_eq!(bench.attempts.len(), 1);
        assert_eq!(bench.core.state(), State::Idle);
    }
}

#[test]
fn leaving_and_removal_are_hard_where_routes_would_be_kept() {
    for (stop, reason) in [
        (
            Stop::Leave {
                text: text("drained"),
            },
            Notification::administrative_shutdown("drained"),
        ),
        (Stop::Removed, Notification::cease(cease::PEER_DECONFIGURED)),
    ] {
        let mut plain = Bench::established(graceful(), &graceful_open(false));
        plain.input(Input::Stop(stop.clone()));
        assert_eq!(plain.told(outgoing(0)), Some(reason.clone()));
        let mut graceful = Bench::established(graceful(), &graceful_open(true));
        graceful.input(Input::Stop(stop));
        assert_eq!(
            graceful.told(outgoing(0)).unwrap().hard_reset_reason(),
            Some(reason)
        );
        assert_eq!(graceful.downs, [DownRoutes::Flush]);
    }
}

#[test]
fn max_prefix_without_a_restart_time_stays_down_until_enabled() {
    let mut bench = Bench::established(settings(), &open(2));
    let notification = Notification::maximum_prefixes(Family::IPV4_UNICAST, 10);
    bench.input(Input::Close {
        notification: notification.clone(),
        idle: None,
    });
    assert_eq!(bench.told(outgoing(0)), Some(notification));
    bench.wait(100_000 * SECOND);
    assert_eq!(bench.attempts.len(), 1);
    bench.connect(incoming(0));
    assert_eq!(bench.refusals, [Refusal::IdleHold]);
    bench.input(Input::Command(Command::Enable));
    assert_eq!(bench.attempts.len(), 2);
}

#[test]
fn max_prefix_with_a_restart_time_waits_that_long_in_idle() {
    let mut bench = Bench::established(settings(), &open(2));
    let notification = Notification::maximum_prefixes(Family::IPV4_UNICAST, 10);
    bench.input(Input::Close {
        notification,
        idle: Some(60 * SECOND),
    });
    bench.wait(60 * SECOND);
    assert_eq!(bench.attempts.len(), 1);
    bench.wait(6 * SECOND);
    assert_eq!(bench.attempts.len(), 2);
}

#[test]
fn an_address_of_our_own_is_no_peer() {
    let mut bench = Bench::new(settings());
    bench.input(Input::Stop(Stop::IsSelf));
    assert!(bench.core.status(bench.now, SECOND).is_self);
    assert!(!bench.is_open(outgoing(0)));
    bench.wait(1000 * SECOND);
    assert_eq!(bench.attempts.len(), 1);
    bench.input(Input::Start);
    assert_eq!(bench.attempts.len(), 2);
    assert!(!bench.core.status(bench.now, SECOND).is_self);
}

#[test]
fn live_settings_leave_the_session_alone() {
    let mut bench = Bench::established(settings(), &open(2));
    let mut new = settings();
    new.policy.rr_client = true;
    bench.input(Input::Reconfigure(Box::new(new.clone())));
    assert_eq!((bench.core.state(), bench.reconfigured), (State::Established, 1));
    bench.input(Input::Reconfigure(Box::new(new.clone())));
    assert_eq!(bench.reconfigured, 1);
    new.extended_message = !new.extended_message;
    bench.input(Input::Reconfigure(Box::new(new)));
    assert_eq!(bench.told_parts(outgoing(0)), (6, 6, vec![]));
    assert_eq!(bench.attempts, [outgoing(0), outgoing(1)]);
}

#[test]
fn shutdown_in_the_settings_is_live() {
    let mut bench = Bench::established(settings(), &open(2));
    let down = PeerSettings {
        shutdown: Some(text("rack move")),
        ..settings()
    };
    bench.input(Input::Reconfigure(Box::new(down)));
    assert_eq!(
        bench.told(outgoing(0)),
        Some(Notification::administrative_shutdown("rack move"))
    );
    assert!(bench.core.status(bench.now, SECOND).shutdown);
    bench.input(Input::Reconfigure(Box::new(settings())));
    assert_eq!(bench.attempts.len(), 2);
}

#[test]
fn the_source_address_is_also_where_the_peer_must_come_to() {
    let settings = PeerSettings {
        source_address: Some([192, 0, 2, 99].into()),
        ..settings()
    };
    let mut bench = Bench::new(settings);
    bench.connect(incoming(0));
    assert_eq!(bench.refusals, [Refusal::WrongLocalAddress]);
    assert_eq!(bench.told_parts(incoming(0)), (6, 5, vec![]));
}

/// RFC 4724 §4 and RFC 8538: how a reload closes the session decides whether routes outlive it.
#[test]
fn a_reset_by_a_reload_keeps_routes_wherever_graceful_restart_allows() {
    let check = |mut bench: Bench, told: Option<(u8, u8)>, kept: bool| {
        let mut new = bench.core.settings().clone();
        new.extended_message = !new.extended_message;
        bench.input(Input::Reconfigure(Box::new(new)));
        let notification = bench.told(outgoing(0)).map(|told| (told.code, told.subcode));
        assert_eq!(notification, told);
        assert_eq!(bench.downs, [if kept { RETAINED } else { DownRoutes::Flush }]);
        assert!(!bench.is_open(outgoing(0)));
        assert_eq!(bench.attempts, [outgoing(0), outgoing(1)]);
    };
    check(Bench::established(settings(), &open(2)), Some((6, 6)), false);
    check(Bench::established(graceful(), &graceful_open(false)), None, true);
    check(
        Bench::established(graceful(), &graceful_open(true)),
        Some((6, 6)),
        true,
    );
}

#[test]
fn a_reset_that_ends_graceful_restart_itself_is_told() {
    let mut bench = Bench::established(graceful(), &graceful_open(false));
    bench.input(Input::Reconfigure(Box::new(settings())));
    assert_eq!(bench.told_parts(outgoing(0)), (6, 6, vec![]));
    assert_eq!(bench.downs, [DownRoutes::Flush]);
}

/// What was decided about a peer from a range outlives its last connection.
#[test]
fn a_peer_that_rests_or_is_shut_down_is_not_forgotten() {
    let mut bench = Bench::established(settings(), &open(2));
    assert!(!bench.core.is_held_down());
    bench.input(Input::Close {
        notification: Notification::maximum_prefixes(Family::IPV4_UNICAST, 10),
        idle: None,
    });
    bench.wait(100_000 * SECOND);
    assert!(bench.core.is_held_down(), "until an operator says otherwise");
    bench.input(Input::Command(Command::Enable));
    assert!(!bench.core.is_held_down());
    bench.input(Input::Command(Command::Shutdown(text("rack move"))));
    bench.wait(100_000 * SECOND);
    assert!(bench.core.is_held_down());
    // What the configuration says of the whole range need not be remembered for each.
    let down = PeerSettings {
        shutdown: Some(text("rack move")),
        ..settings()
    };
    assert!(!Bench::new(down).core.is_held_down());
}

#[test]
fn times_that_an_open_has_told_wait_for_the_next_one() {
    let mut bench = Bench::established(settings(), &open(2));
    let new = PeerSettings {
        hold_time: 30 * SECOND,
        ..settings()
    };
    bench.input(Input::Reconfigure(Box::new(new)));
    assert_eq!(bench.core.state(), State::Established);
    assert_eq!(bench.core.status(bench.now, SECOND).hold_time_s, 90);
    bench.input(Input::Command(Command::Reset(Reset::Hard { text: text("now") })));
    bench.connect(outgoing(1));
    bench.receive(outgoing(1), &open(2));
    assert_eq!(bench.core.status(bench.now, SECOND).hold_time_s, 30);
}
