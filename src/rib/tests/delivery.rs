//! Who is sent what, when, and in what order: split horizon, markers, refresh, members that lag, ids that are reused.

use super::*;

/// Trap 4: A gets an announce, B a withdraw, the rest a replace.
#[test]
fn source_flip_tells_each_member_its_own_story() {
    let mut lab = Lab::new(settings());
    let [a, b, c] = lab.up([client(1), client(2), client(3)])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    lab.forget_said();
    lab.announce(
        b,
        &PathAttributes {
            local_pref: Some(200),
            ..via("10.0.0.2")
        },
        &["192.0.2.0/24"],
    );
    assert_eq!(lab.said(a), [announce("192.0.2.0/24")]);
    assert_eq!(lab.said(b), [withdraw("192.0.2.0/24")]);
    assert_eq!(lab.said(c), [announce("192.0.2.0/24")]);
    assert_eq!(
        lab.held(c, "192.0.2.0/24").next_hop,
        Some(NextHop::V4([10, 0, 0, 2].into()))
    );
    lab.withdraw(b, &["192.0.2.0/24"]);
    assert_eq!(lab.said(a), [withdraw("192.0.2.0/24")]);
    assert_eq!(lab.said(b), [announce("192.0.2.0/24")]);
    assert_eq!(lab.said(c), [announce("192.0.2.0/24")]);
}

/// Trap 4, while the members lag: whatever they have read by then, they end up with the same.
#[test]
fn source_flip_reaches_members_that_lag_or_are_in_their_first_table() {
    for window in [0, 60, 100, 300, 1_000, 5_000] {
        let mut lab = Lab::new(settings());
        let [a, c] = lab.up([client(1), client(3)])[..] else {
            panic!()
        };
        lab.announce_nlri(a, &via("10.0.0.1"), &many(300));
        lab.settle();
        let b = lab.connect(client(2), false);
        lab.settle();
        lab.credit(b, window);
        lab.announce_nlri(
            b,
            &PathAttributes {
                local_pref: Some(200),
                ..via("10.0.0.2")
            },
            &many(300)[..150],
        );
        lab.settle();
        lab.credit(b, window);
        lab.withdraw_nlri(a, &many(300)[100..200]);
        lab.settle();
        lab.credit(b, 1 << 20);
        let ours = |range: std::ops::Range<usize>| {
            many(300)[range]
                .iter()
                .map(|nlri| nlri.prefix.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(lab.holds(b), ours(200..300), "window {window}");
        assert_eq!(lab.holds(a), ours(0..150), "window {window}");
        assert_eq!(
            lab.holds(c),
            [ours(0..150), ours(200..300)].concat(),
            "window {window}"
        );
    }
}

/// Trap 1.
#[test]
fn end_of_rib_follows_the_last_route() {
    let mut lab = Lab::new(settings());
    let [a] = lab.up([client(1)])[..] else { panic!() };
    lab.announce_nlri(a, &via("10.0.0.1"), &many(5_000));
    lab.settle();
    let [b] = lab.up([client(2)])[..] else { panic!() };
    let said = lab.said(b);
    let end = said
        .iter()
        .position(|at| *at == Said::EndOfRib(Family::IPV4_UNICAST))
        .unwrap();
    assert_eq!(end, 5_000);
    assert_eq!(said.len(), 5_002, "and one for IPv6");
    assert!(lab.peer_counters(b).end_of_rib_sent);
}

/// Trap 25: a walk covers what was alive when it began.
#[test]
fn end_of_rib_comes_under_endless_churn_with_a_slow_reader() {
    let mut lab = Lab::new(settings());
    let [a] = lab.up([client(1)])[..] else { panic!() };
    let all = many(20_000);
    // Distinct attributes, so that one chunk cannot hold everything.
    for (index, chunk) in all.chunks(10).enumerate() {
        lab.announce_nlri(
            a,
            &PathAttributes {
                med: Some(index as u32),
                ..via("10.0.0.1")
            },
            chunk,
        );
    }
    lab.settle();
    let b = lab.connect(client(2), false);
    lab.settle();
    let mut rounds = 0;
    while !lab.remote(b).said.contains(&Said::EndOfRib(Family::IPV4_UNICAST)) {
        let attributes = PathAttributes {
            med: Some(1_000_000 + rounds),
            ..via("10.0.0.1")
        };
        let from = (rounds as usize * 500) % 20_000;
        lab.announce_nlri(a, &attributes, &all[from..from + 500]);
        lab.credit(b, 8_192);
        rounds += 1;
        assert!(rounds < 2_000);
    }
    lab.credit(b, 10 << 20);
    assert_eq!(lab.holds(b).len(), 20_000);
    let got: Vec<_> = lab.remotes[&b].routes.values().map(|at| at.med).collect();
    let c = lab.up([client(3)])[0];
    assert_eq!(
        got,
        lab.remotes[&c]
            .routes
            .values()
            .map(|at| at.med)
            .collect::<Vec<_>>()
    );
}

/// Trap 17: a stuck member keeps nothing but ids; it catches up by distinct prefixes.
#[test]
fn a_stuck_member_falls_off_and_catches_up_by_state() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    let c = lab.connect(client(3), false);
    lab.settle();
    lab.credit(c, 46);
    let all = many(2_000);
    for round in 0..100 {
        for (index, chunk) in all.chunks(20).enumerate() {
            let med = Some(round * 1_000 + index as u32);
            lab.announce_nlri(
                a,
                &PathAttributes {
                    med,
                    unknown: padding(3_000),
                    ..via("10.0.0.1")
                },
                chunk,
            );
        }
        lab.settle();
    }
    assert!(
        lab.counters().ring_bytes <= 17 << 20,
        "{}",
        lab.counters().ring_bytes
    );
    lab.remote(c).updates = 0;
    lab.credit(c, 64 << 20);
    assert_eq!(lab.remotes[&c].routes, lab.remotes[&b].routes);
    assert_eq!(lab.counters().ring_bytes, 0);
    let updates = lab.remotes[&c].updates;
    assert!(
        (100..=2_000).contains(&updates),
        "200,000 changes of 2,000 prefixes came as {updates} UPDATEs"
    );
}

/// Trap 17: a member that reads a little now and then costs little, wherever in its queues it stands.
#[test]
fn a_member_that_hardly_reads_keeps_few_messages() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    let c = lab.connect(client(3), false);
    lab.settle();
    let all = many(1_500);
    let mut most = 0;
    for round in 0..6_000_u32 {
        let attributes = PathAttributes {
            med: Some(round),
            ..via("10.0.0.1")
        };
        let at = (round as usize * 7) % all.len();
        lab.announce_nlri(a, &attributes, &all[at..=at]);
        if round % 10 == 0 {
            lab.input(Input::Credit { peer: c, bytes: 40 });
        }
        lab.settle();
        let memory = lab.counters().memory;
        let queued = memory.iter().find(|of| &*of.kind == "messages queued").unwrap();
        most = most.max(queued.count);
    }
    assert!(most <= 1_000, "{most} messages");
    lab.credit(c, 64 << 20);
    assert_eq!(lab.remotes[&c].routes, lab.remotes[&b].routes);
}

/// So many octets of an attribute that nobody knows.
fn padding(len: usize) -> Vec<bgp_codec::UnknownAttribute> {
    vec![bgp_codec::UnknownAttribute {
        flags: 0xe0,
        code: 99,
        value: vec![7; len],
    }]
}

/// Trap 17: members detach by bytes.
#[test]
fn queues_stay_within_their_budget() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    let stuck: Vec<_> = (3..6).map(|n| lab.connect(client(n), true)).collect();
    lab.settle();
    for peer in &stuck {
        lab.remote(*peer).reads = false;
    }
    let all = many(4_000);
    for round in 0..40 {
        for (index, chunk) in all.chunks(4).enumerate() {
            let med = Some(round * 10_000 + index as u32);
            lab.announce_nlri(
                a,
                &PathAttributes {
                    med,
                    unknown: padding(900),
                    ..via("10.0.0.1")
                },
                chunk,
            );
        }
        lab.settle();
        assert!(
            lab.counters().ring_bytes <= 17 << 20,
            "{}",
            lab.counters().ring_bytes
        );
    }
    for peer in stuck {
        lab.credit(peer, 64 << 20);
        assert_eq!(lab.remotes[&peer].routes, lab.remotes[&b].routes);
    }
}

/// Trap 8.
#[test]
fn refresh_during_the_first_walk_and_during_a_refresh() {
    let mut lab = Lab::new(settings());
    let [a] = lab.up([client(1)])[..] else { panic!() };
    for (index, chunk) in many(4_000).chunks(10).enumerate() {
        lab.announce_nlri(
            a,
            &PathAttributes {
                med: Some(index as u32),
                ..via("10.0.0.1")
            },
            chunk,
        );
    }
    lab.settle();
    let b = lab.connect(client(2), false);
    lab.settle();
    lab.credit(b, 10_000);
    assert!(lab.remote(b).routes.len() < 4_000);
    lab.refresh(b, Subtype::Request);
    lab.credit(b, 70_000);
    lab.refresh(b, Subtype::Request);
    lab.refresh(b, Subtype::Request);
    lab.credit(b, 10 << 20);
    let marks: Vec<_> = lab
        .said(b)
        .into_iter()
        .filter(|said| !matches!(said, Said::Announce(..)))
        .collect();
    let (begin, end) = (
        Said::Refresh(Subtype::BeginOfRib),
        Said::Refresh(Subtype::EndOfRib),
    );
    let first = Said::EndOfRib(Family::IPV4_UNICAST);
    assert!(marks.contains(&first));
    let refreshes: Vec<_> = marks
        .iter()
        .filter(|mark| matches!(mark, Said::Refresh(_)))
        .cloned()
        .collect();
    assert!(refreshes.len() == 2 || refreshes.len() == 4, "{refreshes:?}");
    for pair in refreshes.chunks(2) {
        assert_eq!(pair, [begin.clone(), end.clone()]);
    }
    assert_eq!(lab.holds(b).len(), 4_000);
}

#[test]
fn a_refresh_sends_everything_between_its_markers_and_withdraws_what_went_meanwhile() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    lab.announce_nlri(a, &via("10.0.0.1"), &many(100));
    lab.settle();
    lab.forget_said();
    lab.remote(b).reads = false;
    let mut bytes = Vec::new();
    RouteRefresh {
        family: Family::IPV4_UNICAST,
        subtype: Subtype::Request,
    }
    .encode(&mut bytes);
    lab.send(b, bytes);
    lab.withdraw_nlri(a, &many(100)[50..60]);
    lab.settle();
    lab.credit(b, 1 << 20);
    let said = lab.said(b);
    assert_eq!(said.first(), Some(&Said::Refresh(Subtype::BeginOfRib)));
    let end = said
        .iter()
        .position(|at| *at == Said::Refresh(Subtype::EndOfRib))
        .unwrap();
    let announced = said[..end]
        .iter()
        .filter(|at| matches!(at, Said::Announce(..)))
        .count();
    assert!(announced >= 90, "{announced}");
    assert_eq!(lab.holds(b).len(), 90);
}

/// RFC 7313 §4: a refresh that begins here is marked as well, where the peer knows the marks.
#[test]
fn readvertise_sends_everything_again_between_marks() {
    let mut lab = Lab::new(settings());
    let mut plain = client(3);
    plain.negotiated.enhanced_route_refresh = false;
    let [a, b, c] = lab.up([client(1), client(2), plain])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    lab.forget_said();
    for peer in [b, c] {
        lab.input(Input::Readvertise { peer });
        lab.settle();
    }
    let said: Vec<_> = lab
        .said(b)
        .into_iter()
        .filter(|said| *said != Said::Refresh(Subtype::BeginOfRib))
        .collect();
    let end = Said::Refresh(Subtype::EndOfRib);
    // IPv6 is refreshed too, and has nothing.
    assert_eq!(said, [announce("192.0.2.0/24"), end.clone(), end]);
    assert_eq!(lab.said(c), [announce("192.0.2.0/24")]);
    assert_eq!(lab.said(a), []);
}

/// Trap 15.
#[test]
fn a_prefix_id_is_not_recycled_before_a_lagging_member_saw_the_withdraw() {
    for window in [0, 50, 500] {
        let mut lab = Lab::new(settings());
        let [a, b] = lab.up([client(1), client(2)])[..] else {
            panic!()
        };
        lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24", "198.51.100.0/24"]);
        lab.remote(b).reads = false;
        lab.credit(b, window);
        // Uses up what credit there is, then lags.
        for n in 0..3_000u32 {
            let attributes = PathAttributes {
                med: Some(n),
                ..via("10.0.0.1")
            };
            lab.announce(a, &attributes, &["203.0.113.0/24"]);
        }
        lab.withdraw(a, &["192.0.2.0/24"]);
        lab.announce(a, &via("10.0.0.1"), &["100.64.0.0/16"]);
        lab.withdraw(a, &["100.64.0.0/16"]);
        lab.announce(a, &via("10.0.0.1"), &["100.65.0.0/16"]);
        lab.credit(b, 10 << 20);
        assert_eq!(
            lab.holds(b),
            ["100.65.0.0/16", "198.51.100.0/24", "203.0.113.0/24"]
        );
        lab.withdraw(a, &["100.65.0.0/16", "198.51.100.0/24", "203.0.113.0/24"]);
        lab.credit(b, 10 << 20);
        assert_eq!(lab.holds(b), Vec::<String>::new());
        assert_eq!(
            lab.rib
                .tables
                .iter()
                .map(|table| table.data.prefixes.count())
                .sum::<usize>(),
            0
        );
    }
}

/// Traps 15 and 17: ids that nobody may use again are bounded. Who keeps the most is closed, nobody else notices.
#[test]
fn a_member_that_pins_too_many_ids_is_closed() {
    let mut lab = Lab::new(settings());
    lab.rib.pinned = 500;
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    lab.announce_nlri(a, &via("10.0.0.1"), &many(600));
    lab.settle();
    let stuck = lab.connect(client(3), false);
    lab.settle();
    lab.withdraw_nlri(a, &many(600)[..400]);
    lab.settle();
    assert!(lab.remote(stuck).closed.is_none());
    lab.withdraw_nlri(a, &many(600)[400..]);
    lab.settle();
    // RFC 4486 §4: out of resources; it may come back at once.
    let (notification, idle) = lab.remote(stuck).closed.clone().expect("it is closed");
    assert_eq!((notification.code, notification.subcode), (6, 8));
    assert_eq!(idle, Some(Duration::ZERO));
    assert!(lab.remote(a).closed.is_none() && lab.remote(b).closed.is_none());
    assert!(lab.holds(b).is_empty());
    lab.down(stuck, DownRoutes::Flush);
    let prefixes: usize = lab
        .rib
        .tables
        .iter()
        .map(|table| table.data.prefixes.count())
        .sum();
    assert_eq!(prefixes, 0, "its ids are free again");
}

/// Trap 9.
#[test]
fn peers_that_join_or_leave_in_the_middle_of_a_flush() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    lab.announce_nlri(a, &via("10.0.0.1"), &many(9_000));
    lab.tick();
    let c = lab.connect(client(3), true);
    lab.tick();
    lab.remotes.remove(&b);
    lab.input(Input::PeerDown {
        peer: b,
        routes: DownRoutes::Flush,
    });
    lab.withdraw_nlri(a, &many(9_000)[..100]);
    lab.tick();
    // Events of a deleted peer are for nobody, even when its place has a new tenant.
    lab.input(Input::PeerRemoved { peer: b });
    let mut heir = client(2);
    heir.id.generation = 2;
    let d = lab.connect(heir, true);
    lab.input(Input::PeerDown {
        peer: b,
        routes: DownRoutes::Flush,
    });
    lab.input(Input::Credit { peer: b, bytes: 1 });
    lab.settle();
    assert_eq!(lab.holds(c).len(), 8_900);
    assert_eq!(lab.holds(d).len(), 8_900);
    lab.down(a, DownRoutes::Flush);
    assert!(lab.holds(c).is_empty() && lab.holds(d).is_empty());
}

#[test]
fn members_that_come_up_together_share_one_walk() {
    let mut lab = Lab::new(settings());
    let [a] = lab.up([client(1)])[..] else { panic!() };
    lab.announce_nlri(a, &via("10.0.0.1"), &many(1_000));
    lab.settle();
    for n in 2..22 {
        lab.connect(client(n), false);
    }
    lab.settle();
    let streams = lab.rib.tables[0].groups[0].streams.iter().flatten().count();
    assert_eq!(streams, 1);
    for n in 2..22 {
        lab.credit(
            PeerId {
                index: n,
                generation: 1,
            },
            1 << 20,
        );
        assert_eq!(
            lab.holds(PeerId {
                index: n,
                generation: 1
            })
            .len(),
            1_000
        );
    }
}

/// The shard sends no byte beyond the credit it was given.
#[test]
fn credit_is_never_exceeded() {
    let mut lab = Lab::new(settings());
    let [a] = lab.up([client(1)])[..] else { panic!() };
    lab.announce_nlri(a, &via("10.0.0.1"), &many(30_000));
    lab.settle();
    let b = lab.connect(client(2), false);
    lab.settle();
    assert_eq!(lab.remote(b).bytes, 0);
    let mut given = 0;
    for _ in 0..20 {
        given += 33_000;
        lab.credit(b, 33_000);
        assert!(lab.remote(b).bytes <= given);
    }
    assert_eq!(lab.holds(b).len(), 30_000);
}
