//! Two connections at once, connection storms, and peers that come back before their old connection ended.

use super::*;

/// Both connections stand; OPENs come in the given order. Yields the survivor.
fn survivor(peer_identifier: u8, order: [ConnectionId; 2]) -> ConnectionId {
    let mut bench = Bench::new(settings());
    bench.connect(outgoing(0));
    bench.connect(incoming(0));
    for connection in order {
        if bench.is_open(connection) {
            bench.receive(connection, &open(peer_identifier));
        }
    }
    let open: Vec<ConnectionId> = [outgoing(0), incoming(0)]
        .into_iter()
        .filter(|connection| bench.is_open(*connection))
        .collect();
    assert_eq!(open.len(), 1, "exactly one survives");
    let loser = if open[0] == outgoing(0) {
        incoming(0)
    } else {
        outgoing(0)
    };
    assert_eq!(bench.told_parts(loser), (6, 7, vec![]));
    bench.receive(open[0], &keepalive());
    assert_eq!(bench.core.session(), Some(open[0]));
    assert_eq!(bench.ups.len(), 1);
    open[0]
}

#[test]
fn the_connection_of_the_higher_identifier_survives_in_either_order() {
    for order in [[outgoing(0), incoming(0)], [incoming(0), outgoing(0)]] {
        // Ours is 192.0.2.1.
        assert_eq!(survivor(2, order), incoming(0));
        assert_eq!(survivor(0, order), outgoing(0));
    }
}

#[test]
fn a_silent_connection_from_the_peers_address_does_not_stop_ours() {
    let mut bench = Bench::new(settings());
    bench.connect(incoming(0));
    bench.connect(outgoing(0));
    bench.receive(outgoing(0), &open(2));
    bench.receive(outgoing(0), &keepalive());
    assert_eq!(bench.core.session(), Some(outgoing(0)));
    assert_eq!(bench.told_parts(incoming(0)), (6, 7, vec![]));
}

#[test]
fn silent_connections_do_not_lock_the_peer_out() {
    let mut bench = Bench::new(settings());
    for serial in 0..100 {
        bench.connect(incoming(serial));
    }
    assert_eq!(
        (0..100).filter(|serial| bench.is_open(incoming(*serial))).count(),
        PENDING_LIMIT
    );
    bench.receive(incoming(99), &[open(2), keepalive()].concat());
    assert_eq!(bench.core.session(), Some(incoming(99)));
    assert!((0..99).all(|serial| !bench.is_open(incoming(serial))));
}

#[test]
fn garbage_from_the_peers_address_leaves_the_session_alone() {
    let mut bench = Bench::established(settings(), &open(2));
    for serial in 0..50 {
        bench.connect(incoming(serial));
        bench.receive(incoming(serial), &[0; 64]);
        assert_eq!(bench.told_parts(incoming(serial)), (1, 1, vec![]));
    }
    assert_eq!(bench.core.session(), Some(outgoing(0)));
    assert!(bench.downs.is_empty());
    // And without a session it neither damps nor delays our own attempts.
    bench.lose(outgoing(0));
    for serial in 50..100 {
        bench.connect(incoming(serial));
        bench.receive(incoming(serial), &[0; 64]);
    }
    bench.wait(6 * SECOND);
    assert_eq!(bench.attempts, [outgoing(0), outgoing(1)]);
}

#[test]
fn a_second_session_of_a_peer_without_graceful_restart_is_refused_and_the_first_probed() {
    let mut bench = Bench::established(settings(), &open(2));
    let before = bench.keepalives[&outgoing(0)];
    bench.connect(incoming(0));
    assert_eq!(bench.keepalives[&outgoing(0)], before + 1);
    bench.receive(incoming(0), &open(2));
    assert_eq!(bench.told_parts(incoming(0)), (6, 7, vec![]));
    assert_eq!(bench.core.session(), Some(outgoing(0)));
}

#[test]
fn a_graceful_restart_takes_over_from_a_session_that_still_looks_up() {
    let mut bench = Bench::established(graceful(), &graceful_open(false));
    bench.connect(incoming(0));
    assert!(bench.is_open(outgoing(0)), "an OPEN decides, not a connection");
    bench.receive(incoming(0), &graceful_open(false));
    assert_eq!(bench.closed[&outgoing(0)], Closing::Drop);
    assert_eq!(bench.told(outgoing(0)), None);
    let families = FamilySet::IPV4_UNICAST;
    assert_eq!(
        bench.downs,
        [DownRoutes::Retain {
            families,
            restart_time: 90 * SECOND,
            long_lived: LongLived::NONE,
        }]
    );
    bench.receive(incoming(0), &keepalive());
    assert_eq!(bench.core.session(), Some(incoming(0)));
    assert_eq!(bench.ups.len(), 2);
}

#[test]
fn a_bad_open_takes_nothing_over() {
    let mut bench = Bench::established(graceful(), &graceful_open(false));
    bench.connect(incoming(0));
    let mut bad = graceful_open(false);
    bad[19] = 3;
    bench.receive(incoming(0), &bad);
    assert_eq!(bench.core.session(), Some(outgoing(0)));
    assert!(bench.downs.is_empty());
}

#[test]
fn our_attempt_is_given_up_once_the_peers_open_is_there() {
    let mut bench = Bench::new(settings());
    bench.connect(incoming(0));
    bench.receive(incoming(0), &open(2));
    assert_eq!(bench.closed[&outgoing(0)], Closing::Drop);
    // It comes up all the same: too late.
    bench.closed.clear();
    bench.connect(outgoing(0));
    assert_eq!(bench.closed[&outgoing(0)], Closing::Drop);
    bench.receive(incoming(0), &keepalive());
    assert_eq!(bench.core.session(), Some(incoming(0)));
}

#[test]
fn a_peer_that_still_holds_the_old_session_is_not_tried_in_a_tight_loop() {
    let mut bench = Bench::new(settings());
    bench.connect(outgoing(0));
    let collision = Notification::cease(cease::CONNECTION_COLLISION);
    bench.receive(outgoing(0), &notification_message(&collision));
    assert_eq!(bench.attempts, [outgoing(0)]);
    bench.wait(6 * SECOND);
    assert_eq!(bench.attempts, [outgoing(0), outgoing(1)]);
}
