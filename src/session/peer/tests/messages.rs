//! What is said in each state, and how wrong messages are answered.

use super::*;

#[test]
fn open_keepalive_and_a_session() {
    let mut bench = Bench::new(settings());
    assert_eq!(bench.attempts, [outgoing(0)]);
    assert_eq!(bench.core.state(), State::Connect);
    bench.connect(outgoing(0));
    assert_eq!(bench.core.state(), State::OpenSent);
    let sent = &bench.written[&outgoing(0)];
    assert_eq!(
        Open::decode(&sent[19..]).unwrap().bgp_identifier,
        identity().bgp_identifier
    );
    bench.receive(outgoing(0), &open(2));
    assert_eq!(bench.core.state(), State::OpenConfirm);
    assert_eq!(bench.keepalives[&outgoing(0)], 1);
    assert!(bench.ups.is_empty());
    bench.receive(outgoing(0), &keepalive());
    assert_eq!(bench.core.state(), State::Established);
    assert_eq!(bench.ups.len(), 1);
    assert_eq!(bench.ups[0].bgp_identifier, std::net::Ipv4Addr::new(192, 0, 2, 2));
    bench.receive(outgoing(0), &end_of_rib());
    assert_eq!(bench.delivered, end_of_rib());
}

#[test]
fn octet_by_octet_is_no_different() {
    let mut bench = Bench::new(settings());
    bench.connect(outgoing(0));
    let mut stream = open(2);
    stream.extend(keepalive());
    stream.extend(end_of_rib());
    stream.extend(message(5, &[0, 1, 0, 1]));
    for octet in &stream {
        bench.receive(outgoing(0), &[*octet]);
    }
    assert_eq!(bench.core.state(), State::Established);
    let mut expected = end_of_rib();
    expected.extend(message(5, &[0, 1, 0, 1]));
    assert_eq!(bench.delivered, expected);
}

#[test]
fn everything_in_one_portion_is_no_different() {
    let mut bench = Bench::new(settings());
    bench.connect(outgoing(0));
    let mut stream = open(2);
    stream.extend(keepalive());
    stream.extend(end_of_rib());
    bench.receive(outgoing(0), &stream);
    assert_eq!(bench.core.state(), State::Established);
    assert_eq!(bench.delivered, end_of_rib());
}

#[test]
fn unexpected_messages_are_named_by_state_and_type() {
    let refresh = message(5, &[0, 1, 0, 1]);
    for (unexpected, kind) in [(end_of_rib(), 2), (keepalive(), 4), (refresh.clone(), 5)] {
        let mut bench = Bench::new(settings());
        bench.connect(outgoing(0));
        bench.receive(outgoing(0), &unexpected);
        assert_eq!(bench.told_parts(outgoing(0)), (5, 1, vec![kind]));
        assert!(!bench.is_open(outgoing(0)));
    }
    for (unexpected, kind) in [(end_of_rib(), 2), (open(2), 1), (refresh, 5)] {
        let mut bench = Bench::new(settings());
        bench.connect(outgoing(0));
        bench.receive(outgoing(0), &open(2));
        bench.receive(outgoing(0), &unexpected);
        assert_eq!(bench.told_parts(outgoing(0)), (5, 2, vec![kind]));
    }
    let mut bench = Bench::established(settings(), &open(2));
    bench.receive(outgoing(0), &open(2));
    assert_eq!(bench.told_parts(outgoing(0)), (5, 3, vec![1]));
    assert_eq!(bench.downs, [DownRoutes::Flush]);
}

#[test]
fn headers_are_checked_in_every_state() {
    let bad_marker = [0_u8; 19].to_vec();
    let bad_type = message(9, &[]);
    let long_keepalive = message(4, &[0]);
    for (bad, expected) in [
        (bad_marker, (1, 1, vec![])),
        (bad_type, (1, 3, vec![9])),
        (long_keepalive, (1, 2, vec![0, 20])),
        (
            [[0xff; 16].as_slice(), &[0x10, 0x01, 2]].concat(),
            (1, 2, vec![0x10, 0x01]),
        ),
    ] {
        for steps in 0..3 {
            let mut bench = Bench::new(settings());
            bench.connect(outgoing(0));
            for message in [open(2), keepalive()].iter().take(steps) {
                bench.receive(outgoing(0), message);
            }
            bench.receive(outgoing(0), &bad);
            assert_eq!(bench.told_parts(outgoing(0)), expected, "after {steps} messages");
        }
    }
}

#[test]
fn a_bad_open_is_answered_exactly() {
    let mut version = open(2);
    version[19] = 3;
    let mut hold = open(2);
    hold[22..24].copy_from_slice(&[0, 2]);
    for (bad, expected) in [
        (version, (2, 1, vec![0, 4])),
        (hold, (2, 6, vec![])),
        (open(1), (2, 3, vec![])),
    ] {
        let mut bench = Bench::new(settings());
        bench.connect(outgoing(0));
        bench.receive(outgoing(0), &bad);
        assert_eq!(bench.told_parts(outgoing(0)), expected);
        assert_eq!(bench.closed[&outgoing(0)], Closing::Flush);
        assert!(bench.ups.is_empty());
    }
}

#[test]
fn what_follows_a_fault_is_not_looked_at() {
    let mut bench = Bench::new(settings());
    bench.connect(outgoing(0));
    let mut stream = message(9, &[]);
    stream.extend(open(2));
    bench.receive(outgoing(0), &stream);
    bench.receive(outgoing(0), &keepalive());
    assert_eq!(bench.told_parts(outgoing(0)), (1, 3, vec![9]));
    assert!(bench.ups.is_empty());
}

#[test]
fn extended_messages_are_taken_once_announced() {
    let settings = PeerSettings {
        extended_message: true,
        ..settings()
    };
    let mut bench = Bench::established(settings, &open_with(2, vec![Capability::ExtendedMessage]));
    let long = message(2, &vec![0; 60_000]);
    bench.receive(outgoing(0), &long);
    assert_eq!(bench.delivered.len(), long.len());
    assert_eq!(bench.ups[0].negotiated.max_message, 65_535);
    let mut plain = Bench::established(super::settings(), &open(2));
    plain.receive(outgoing(0), &long);
    assert_eq!(plain.told_parts(outgoing(0)).0, 1);
}

#[test]
fn refresh_is_asked_for_only_where_negotiated() {
    let mut bench = Bench::established(settings(), &open(2));
    let before = bench.written[&outgoing(0)].len();
    bench.input(Input::Command(Command::Reset(Reset::SoftIn)));
    // The peer announced no multiprotocol capability: IPv4 unicast alone.
    assert_eq!(bench.written[&outgoing(0)][before..], message(5, &[0, 1, 0, 1]));
    bench.input(Input::Command(Command::Reset(Reset::SoftOut)));
    assert_eq!(bench.readvertised, 1);
    let mut old = Bench::established(settings(), &open_with(2, vec![]));
    let before = old.written[&outgoing(0)].len();
    old.input(Input::RequestRefresh(Family::IPV4_UNICAST));
    assert_eq!(old.written[&outgoing(0)].len(), before);
}

#[test]
fn messages_are_counted_both_ways() {
    let mut bench = Bench::established(settings(), &open(2));
    bench.receive(outgoing(0), &[end_of_rib(), end_of_rib(), keepalive()].concat());
    let messages = MessageCounts {
        update: 7,
        ..MessageCounts::default()
    };
    bench.input(Input::Written {
        connection: outgoing(0),
        progress: Progress {
            bytes: 700,
            queued: 0,
            messages,
        },
    });
    let status = bench.core.status(bench.now, SECOND * 1000);
    assert_eq!(
        status.messages_received,
        MessageCounts {
            open: 1,
            update: 2,
            keepalive: 2,
            ..Default::default()
        }
    );
    assert_eq!(
        status.messages_sent,
        MessageCounts {
            open: 1,
            update: 7,
            keepalive: 1,
            ..Default::default()
        }
    );
    assert_eq!(status.bytes_sent, 700);
    assert_eq!((status.established_count, status.flaps), (1, 0));
    assert_eq!(status.families, ["ipv4-unicast"]);
    assert_eq!(status.hold_time_s, 90);
}
