//! Hold, keepalive, send hold, connect retry and idle hold.

use super::*;

#[test]
fn silence_in_open_sent_ends_after_four_minutes() {
    let mut bench = Bench::new(settings());
    bench.connect(outgoing(0));
    bench.wait(239 * SECOND);
    assert!(bench.is_open(outgoing(0)));
    bench.wait(2 * SECOND);
    assert_eq!(bench.told_parts(outgoing(0)), (4, 0, vec![]));
}

#[test]
fn the_negotiated_hold_time_counts_in_open_confirm() {
    let mut bench = Bench::new(settings());
    bench.connect(outgoing(0));
    bench.receive(outgoing(0), &open(2));
    bench.wait(89 * SECOND);
    assert!(bench.is_open(outgoing(0)));
    bench.wait(2 * SECOND);
    assert_eq!(bench.told_parts(outgoing(0)), (4, 0, vec![]));
}

#[test]
fn a_message_that_trickles_in_does_not_refresh_the_hold_timer() {
    let mut bench = Bench::established(settings(), &open(2));
    let update = message(2, &[0; 100]);
    for octet in &update[..85] {
        bench.wait(SECOND);
        bench.receive(outgoing(0), &[*octet]);
    }
    assert!(bench.is_open(outgoing(0)));
    bench.wait(6 * SECOND);
    assert_eq!(bench.told_parts(outgoing(0)), (4, 0, vec![]));
}

#[test]
fn keepalives_and_updates_refresh_the_hold_timer() {
    let mut bench = Bench::established(settings(), &open(2));
    for message in [keepalive(), end_of_rib(), keepalive(), end_of_rib()] {
        bench.wait(80 * SECOND);
        bench.receive(outgoing(0), &message);
    }
    assert_eq!(bench.core.state(), State::Established);
}

#[test]
fn what_the_socket_holds_is_read_before_the_hold_timer_decides() {
    let mut bench = Bench::established(settings(), &open(2));
    // Suspended for an hour: the KEEPALIVE waits in the socket.
    bench.now += 3600 * SECOND;
    bench.input(Input::Tick);
    assert_eq!(bench.read_now, [outgoing(0)]);
    assert!(bench.is_open(outgoing(0)));
    bench.receive(outgoing(0), &keepalive());
    bench.input(Input::ReadDone {
        connection: outgoing(0),
    });
    assert_eq!(bench.core.state(), State::Established);
    // Half a message is no message.
    bench.now += 91 * SECOND;
    bench.input(Input::Tick);
    bench.receive(outgoing(0), &keepalive()[..10]);
    bench.input(Input::ReadDone {
        connection: outgoing(0),
    });
    assert_eq!(bench.told_parts(outgoing(0)), (4, 0, vec![]));
}

#[test]
fn hold_time_zero_means_no_keepalives_and_no_expiry() {
    let mut open = open(2);
    open[22..24].copy_from_slice(&[0, 0]);
    let mut bench = Bench::established(settings(), &open);
    bench.wait(100_000 * SECOND);
    assert_eq!(bench.core.state(), State::Established);
    assert_eq!(bench.keepalives[&outgoing(0)], 1);
}

#[test]
fn keepalives_come_three_times_a_hold_time_with_jitter() {
    let mut bench = Bench::established(settings(), &open(2));
    for _ in 0..100 {
        bench.wait(60 * SECOND);
        bench.receive(outgoing(0), &keepalive());
    }
    // 6,000 s at 22.5 to 30 s each.
    let count = bench.keepalives[&outgoing(0)];
    assert!((200..=268).contains(&count), "{count}");
}

#[test]
fn a_blocked_socket_ends_the_session_after_the_send_hold_time() {
    let mut bench = Bench::established(settings(), &open(2));
    let blocked = Progress {
        bytes: 0,
        queued: 5000,
        ..Progress::default()
    };
    bench.input(Input::Written {
        connection: outgoing(0),
        progress: blocked,
    });
    for _ in 0..7 {
        bench.wait(60 * SECOND);
        bench.receive(outgoing(0), &keepalive());
    }
    // Some progress: the time starts again.
    let progress = Progress {
        bytes: 1,
        queued: 4999,
        ..Progress::default()
    };
    bench.input(Input::Written {
        connection: outgoing(0),
        progress,
    });
    for _ in 0..7 {
        bench.wait(60 * SECOND);
        bench.receive(outgoing(0), &keepalive());
    }
    assert_eq!(bench.core.state(), State::Established);
    bench.wait(61 * SECOND);
    assert_eq!(bench.told_parts(outgoing(0)), (8, 0, vec![]));
}

#[test]
fn a_blocked_socket_does_not_stop_the_hold_timer() {
    let mut bench = Bench::established(settings(), &open(2));
    let blocked = Progress {
        bytes: 0,
        queued: 5000,
        ..Progress::default()
    };
    bench.input(Input::Written {
        connection: outgoing(0),
        progress: blocked,
    });
    bench.wait(91 * SECOND);
    assert_eq!(bench.told_parts(outgoing(0)), (4, 0, vec![]));
}

#[test]
fn failed_attempts_are_repeated_soon_and_then_at_the_connect_retry_time() {
    let mut bench = Bench::new(settings());
    let mut gaps = Vec::new();
    for attempt in 0..9 {
        bench.input(Input::ConnectFailed {
            connection: outgoing(attempt),
            error: "refused".into(),
        });
        assert_eq!(bench.core.state(), State::Active);
        let begun = bench.now;
        while bench.attempts.last() == Some(&outgoing(attempt)) {
            bench.wait(SECOND / 100);
        }
        gaps.push((bench.now - begun).as_millis());
    }
    for (gap, most) in gaps
        .iter()
        .zip([250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000])
    {
        assert!((most * 3 / 4..=most + 10).contains(gap), "{gaps:?}");
    }
}

#[test]
fn an_attempt_that_hangs_is_given_up_for_the_next() {
    let mut bench = Bench::new(settings());
    bench.wait(14 * SECOND);
    assert_eq!(bench.attempts.len(), 1);
    bench.wait(6 * SECOND);
    assert_eq!(bench.attempts, [outgoing(0), outgoing(1)]);
    assert_eq!(bench.closed[&outgoing(0)], Closing::Drop);
}

#[test]
fn with_delay_open_the_peer_may_speak_first() {
    let delayed = || PeerSettings {
        delay_open: 3 * SECOND,
        ..settings()
    };
    let mut bench = Bench::new(delayed());
    bench.connect(outgoing(0));
    assert!(!bench.written.contains_key(&outgoing(0)));
    bench.receive(outgoing(0), &open(2));
    assert_eq!(bench.core.state(), State::OpenConfirm);
    assert_eq!(bench.written[&outgoing(0)][18], 1, "our OPEN answers the peer's");
    bench.receive(outgoing(0), &keepalive());
    assert_eq!(bench.core.state(), State::Established);

    let mut silent = Bench::new(delayed());
    silent.connect(outgoing(0));
    silent.wait(2 * SECOND);
    assert!(!silent.written.contains_key(&outgoing(0)));
    silent.wait(2 * SECOND);
    assert_eq!(silent.written[&outgoing(0)][18], 1, "its time is over");
    let sent = silent.written[&outgoing(0)].len();
    silent.receive(outgoing(0), &open(2));
    assert_eq!(silent.written[&outgoing(0)].len(), sent, "one OPEN is enough");
    silent.receive(outgoing(0), &keepalive());
    assert_eq!(silent.core.state(), State::Established);
}

#[test]
fn a_passive_peer_never_connects() {
    let mut bench = Bench::new(PeerSettings {
        passive: true,
        ..settings()
    });
    bench.wait(10_000 * SECOND);
    assert!(bench.attempts.is_empty());
    assert_eq!(bench.core.state(), State::Active);
    bench.connect(incoming(0));
    bench.receive(incoming(0), &[open(2), keepalive()].concat());
    assert_eq!(bench.core.state(), State::Established);
    bench.lose(incoming(0));
    bench.wait(10_000 * SECOND);
    assert!(bench.attempts.is_empty());
    assert_eq!(bench.core.state(), State::Active);
}

#[test]
fn failures_are_damped_and_then_refused_in_idle() {
    let mut bench = Bench::new(settings());
    let mut gaps = Vec::new();
    for attempt in 0..6 {
        let begun = bench.now;
        bench.connect(outgoing(attempt));
        bench.receive(outgoing(attempt), &message(9, &[]));
        while bench.attempts.len() <= usize::try_from(attempt).unwrap() + 1 {
            bench.wait(SECOND);
        }
        gaps.push((bench.now - begun).as_secs());
    }
    for (gap, expected) in gaps.iter().zip([5, 10, 20, 40, 80, 120]) {
        assert!((expected * 3 / 4..=expected + 1).contains(gap), "{gaps:?}");
    }
}

#[test]
fn an_oscillating_peer_is_refused_while_it_rests() {
    let mut bench = Bench::new(settings());
    for failures in 1..=4 {
        let attempt = *bench.attempts.last().unwrap();
        bench.connect(attempt);
        bench.receive(attempt, &message(9, &[]));
        if failures < 4 {
            assert_eq!(bench.core.state(), State::Active);
            let attempts = bench.attempts.len();
            while bench.attempts.len() == attempts {
                bench.wait(SECOND);
            }
        }
    }
    assert_eq!(bench.core.state(), State::Idle);
    bench.connect(incoming(0));
    assert_eq!(bench.refusals, [Refusal::IdleHold]);
    assert_eq!(bench.told_parts(incoming(0)), (6, 5, vec![]));
}

/// Two that rest would otherwise refuse each other for ever.
#[test]
fn a_peer_that_rests_is_awaited_in_active() {
    let mut bench = Bench::new(settings());
    let rejected = notification_message(&Notification::cease(cease::CONNECTION_REJECTED));
    for attempt in 0..8 {
        bench.connect(outgoing(attempt));
        bench.receive(outgoing(attempt), &rejected);
        assert_eq!(bench.core.state(), State::Active, "attempt {attempt}");
        let begun = bench.now;
        while bench.attempts.last() == Some(&outgoing(attempt)) {
            bench.wait(SECOND / 10);
        }
        assert!(bench.now - begun <= settings().connect_retry_time + SECOND);
    }
    // Its rest is over: it comes by itself.
    bench.connect(incoming(0));
    bench.receive(incoming(0), &[open(2), keepalive()].concat());
    assert_eq!(bench.core.state(), State::Established);
}

#[test]
fn a_lost_session_is_sought_again_within_the_idle_hold_time() {
    let mut bench = Bench::established(settings(), &open(2));
    bench.lose(outgoing(0));
    assert_eq!(bench.core.state(), State::Active);
    bench.wait(6 * SECOND);
    assert_eq!(bench.attempts, [outgoing(0), outgoing(1)]);
    // Meanwhile the peer may come by itself.
    bench.connect(incoming(0));
    bench.receive(incoming(0), &[open(2), keepalive()].concat());
    assert_eq!(bench.core.state(), State::Established);
    assert!(!bench.is_open(outgoing(1)));
}
