//! Sessions that come and go: graceful restart on both sides, enhanced refresh, peers that are removed.

use bgp_codec::Community;

use super::*;

fn retain(seconds: u64) -> DownRoutes {
    DownRoutes::Retain {
        families: FamilySet::ALL,
        restart_time: Duration::from_secs(seconds),
        long_lived: LongLived::NONE,
    }
}

fn stale(lab: &Lab, peer: PeerId) -> u64 {
    lab.peer_counters(peer).stale
}

#[test]
fn stale_routes_stay_until_end_of_rib_and_only_what_was_not_renewed_goes() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24", "198.51.100.0/24"]);
    lab.forget_said();
    lab.down(a, retain(120));
    assert_eq!((lab.holds(b).len(), stale(&lab, a)), (2, 2));
    lab.pass(Duration::from_secs(60));
    lab.up([client(1)]);
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    assert_eq!(stale(&lab, a), 1);
    lab.end_of_rib(a, Family::IPV4_UNICAST);
    assert_eq!(lab.holds(b), ["192.0.2.0/24"]);
    assert_eq!(
        lab.said(b),
        [withdraw("198.51.100.0/24")],
        "the renewed route was not touched"
    );
    lab.pass(Duration::from_secs(1_000));
    assert_eq!(lab.holds(b), ["192.0.2.0/24"]);
}

#[test]
fn the_restart_timer_ends_it_when_the_peer_does_not_return() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    lab.down(a, retain(120));
    let due = lab.rib.next_deadline().unwrap();
    assert_eq!(due, lab.now + Duration::from_secs(120));
    lab.pass(Duration::from_secs(119));
    assert_eq!(lab.holds(b).len(), 1);
    lab.pass(Duration::from_secs(1));
    assert_eq!(lab.holds(b).len(), 0);
}

/// A lost session's next hop is doubted before anything is decided, and the doubt ends when all that follows is out.
#[test]
fn the_kernel_hears_of_a_lost_peer_before_its_routes_go_and_when_they_have_gone() {
    let mut lab = Lab::new(Settings {
        install: true,
        ..settings()
    });
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    let prefixes: Vec<String> = (0..200).map(|n| format!("10.9.{n}.0/24")).collect();
    let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    lab.announce(a, &via("10.0.0.1"), &prefixes);
    lab.announce(b, &via("10.0.0.2"), &prefixes[..100]);
    let mut order = Vec::new();
    let mut take = |lab: &mut Lab| {
        while let Some(output) = lab.rib.poll_output() {
            match output {
                Output::Suspect(address) => order.push(format!("suspect {address}")),
                Output::Settled(address) => order.push(format!("settled {address}")),
                Output::Fib(changes) => {
                    let gone = changes.iter().filter(|change| change.route.is_none()).count();
                    order.push(format!("{gone} of {} gone", changes.len()));
                }
                _ => {}
            }
        }
    };
    let (peer, routes) = (a, DownRoutes::Flush);
    lab.rib.handle(Input::PeerDown { peer, routes }, lab.now);
    take(&mut lab);
    while lab.rib.next_deadline().is_some_and(|at| at <= lab.now) {
        lab.rib.handle(Input::Tick, lab.now);
        take(&mut lab);
    }
    assert_eq!(order, ["suspect 10.0.0.1", "100 of 200 gone", "settled 10.0.0.1"]);
}

/// A session that ends with its routes kept is not doubted: that is what graceful restart is for.
#[test]
fn a_peer_that_restarts_is_not_doubted_and_one_that_is_back_no_longer() {
    let mut lab = Lab::new(Settings {
        install: true,
        ..settings()
    });
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    let doubts = |lab: &mut Lab, input| {
        let mut doubts = Vec::new();
        lab.rib.handle(input, lab.now);
        while let Some(output) = lab.rib.poll_output() {
            match output {
                Output::Suspect(address) => doubts.push((address, true)),
                Output::Settled(address) => doubts.push((address, false)),
                _ => {}
            }
        }
        doubts
    };
    let down = |peer, routes| Input::PeerDown { peer, routes };
    assert!(doubts(&mut lab, down(a, retain(120))).is_empty());
    let address = client(2).address;
    assert_eq!(doubts(&mut lab, down(b, DownRoutes::Flush)), [(address, true)]);
    // Before a slice of work came to it.
    let back = Input::PeerUp(Box::new(client(2)));
    assert_eq!(doubts(&mut lab, back), [(address, false)]);
}

/// Trap 11: RFC 4724 §4.2.
#[test]
fn routes_go_at_once_when_forwarding_family_or_capability_is_missing_on_return() {
    let lost = |change: fn(&mut Negotiated)| {
        let mut lab = Lab::new(settings());
        let [a, b] = lab.up([client(1), client(2)])[..] else {
            panic!()
        };
        lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
        lab.announce(a, &via("2001:db8::1"), &["2001:db8:1::/48"]);
        lab.down(a, retain(120));
        let mut back = client(1);
        change(&mut back.negotiated);
        lab.up([back]);
        lab.holds(b)
    };
    assert_eq!(lost(|_| ()).len(), 2);
    assert_eq!(lost(|negotiated| negotiated.graceful_restart = None).len(), 0);
    assert_eq!(
        lost(|at| at.graceful_restart.as_mut().unwrap().forwarding = FamilySet::EMPTY).len(),
        0
    );
    assert_eq!(
        lost(|at| at.graceful_restart.as_mut().unwrap().families = FamilySet::IPV4_UNICAST),
        ["192.0.2.0/24"]
    );
    assert_eq!(lost(|at| at.families = FamilySet::IPV4_UNICAST), ["192.0.2.0/24"]);
}

/// Trap 11.
#[test]
fn a_second_restart_during_the_first_flushes_what_was_stale_already() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24", "198.51.100.0/24"]);
    lab.down(a, retain(120));
    lab.up([client(1)]);
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    lab.down(a, retain(120));
    assert_eq!(lab.holds(b), ["192.0.2.0/24"]);
    lab.up([client(1)]);
    lab.end_of_rib(a, Family::IPV4_UNICAST);
    assert!(lab.holds(b).is_empty());
}

#[test]
fn families_outside_the_capability_are_flushed() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    lab.announce(a, &via("2001:db8::1"), &["2001:db8:1::/48"]);
    let families = FamilySet::IPV4_UNICAST;
    lab.down(
        a,
        DownRoutes::Retain {
            families,
            restart_time: Duration::from_secs(120),
            long_lived: LongLived::NONE,
        },
    );
    assert_eq!(lab.holds(b), ["192.0.2.0/24"]);
    lab.input(Input::PeerRemoved { peer: a });
    lab.settle();
    assert!(lab.holds(b).is_empty(), "of a removed peer nothing stays");
}

#[test]
fn a_graceful_reconnect_takes_over_from_a_session_that_looks_up() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24", "198.51.100.0/24"]);
    lab.forget_said();
    lab.up([client(1)]);
    assert_eq!((lab.holds(b).len(), lab.said(b)), (2, vec![]));
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    lab.end_of_rib(a, Family::IPV4_UNICAST);
    assert_eq!(lab.holds(b), ["192.0.2.0/24"]);
}

/// Trap 8: the sweep does not depend on graceful restart.
#[test]
fn enhanced_refresh_sweeps_at_its_end_and_only_then() {
    for graceful_restart in [None, Some(graceful())] {
        let mut lab = Lab::new(settings());
        let mut peer = client(1);
        peer.negotiated.graceful_restart = graceful_restart;
        let [a, b] = lab.up([peer, client(2)])[..] else {
            panic!()
        };
        lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24", "198.51.100.0/24"]);
        lab.refresh(a, Subtype::EndOfRib);
        assert_eq!(lab.holds(b).len(), 2, "EoRR without BoRR is ignored");
        lab.refresh(a, Subtype::BeginOfRib);
        lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
        assert_eq!((lab.holds(b).len(), stale(&lab, a)), (2, 1));
        lab.refresh(a, Subtype::EndOfRib);
        assert_eq!(lab.holds(b), ["192.0.2.0/24"]);
    }
}

fn restarting(peers: &[PeerId]) -> Settings {
    let restarting = Restarting {
        peers: peers.to_vec(),
        deadline: Duration::from_secs(100),
        establish: Duration::from_secs(30),
    };
    Settings {
        restarting: Some(restarting),
        ..settings()
    }
}

fn id(n: u32) -> PeerId {
    PeerId {
        index: n,
        generation: 1,
    }
}

/// Trap 1: selection and our own End-of-RIB wait for the awaited peers.
#[test]
fn after_a_restart_selection_waits_for_end_of_rib_of_the_awaited_peers() {
    let mut lab = Lab::new(restarting(&[id(1), id(2)]));
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    lab.input(Input::LocalRoutesComplete);
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    lab.end_of_rib(a, Family::IPV4_UNICAST);
    assert!(lab.fib.is_empty() && lab.said(b).is_empty() && lab.fib_complete.is_empty());
    lab.announce(b, &via("10.0.0.2"), &["198.51.100.0/24"]);
    lab.end_of_rib(b, Family::IPV4_UNICAST);
    assert_eq!(lab.fib.len(), 2);
    assert_eq!(lab.fib_complete, [Family::IPV4_UNICAST]);
    assert_eq!(
        lab.said(b),
        [announce("192.0.2.0/24"), Said::EndOfRib(Family::IPV4_UNICAST)]
    );
    assert_eq!(
        lab.said(a),
        [announce("198.51.100.0/24"), Said::EndOfRib(Family::IPV4_UNICAST)]
    );
}

/// Trap 1.
#[test]
fn our_end_of_rib_waits_for_our_own_routes() {
    let mut lab = Lab::new(restarting(&[]));
    let [a] = lab.up([client(1)])[..] else { panic!() };
    assert_eq!(lab.said(a), []);
    lab.local(&["10.244.0.0/24"]);
    lab.input(Input::LocalRoutesComplete);
    lab.settle();
    assert_eq!(
        lab.said(a)[..2],
        [announce("10.244.0.0/24"), Said::EndOfRib(Family::IPV4_UNICAST)]
    );
}

/// Trap 1: peers that restart themselves, do graceful restart not at all, or do not come, are not waited for.
#[test]
fn nobody_waits_for_ever() {
    let started = |lab: &Lab| lab.fib_complete.contains(&Family::IPV4_UNICAST);
    let mut lab = Lab::new(restarting(&[id(1), id(2)]));
    let mut also = client(1);
    also.negotiated.graceful_restart.as_mut().unwrap().restarting = true;
    let mut never = client(2);
    never.negotiated.graceful_restart = None;
    lab.up([also, never]);
    assert!(!started(&lab), "they may have routes all the same");
    lab.pass(Duration::from_secs(2));
    assert!(started(&lab));

    let mut lab = Lab::new(restarting(&[id(1), id(2)]));
    let [a] = lab.up([client(1)])[..] else { panic!() };
    lab.end_of_rib(a, Family::IPV4_UNICAST);
    assert!(!started(&lab));
    lab.pass(Duration::from_secs(30));
    assert!(started(&lab), "peer 2 was not Established in time");

    let mut lab = Lab::new(restarting(&[id(1)]));
    lab.up([client(1)]);
    lab.pass(Duration::from_secs(99));
    assert!(!started(&lab));
    lab.pass(Duration::from_secs(1));
    assert!(started(&lab), "the deadline");
    let missing = lab.events.iter().any(|event| {
        matches!(event, Event::SelectionStarted { missing, .. } if missing.iter().any(|name| &**name == "p1"))
    });
    assert!(missing);
}

/// Some speakers send End-of-RIB at once and their first UPDATEs a moment later.
#[test]
fn an_end_of_rib_before_any_route_is_not_taken_at_its_word() {
    let mut lab = Lab::new(restarting(&[id(1)]));
    let [a] = lab.up([client(1)])[..] else { panic!() };
    lab.end_of_rib(a, Family::IPV4_UNICAST);
    lab.pass(Duration::from_secs(1));
    assert!(lab.fib_complete.is_empty());
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    lab.pass(Duration::from_secs(1));
    assert_eq!(lab.fib.len(), 1);
    assert!(lab.fib_complete.contains(&Family::IPV4_UNICAST));
}

/// Trap 1, with readers that take little at a time.
#[test]
fn end_of_rib_after_a_restart_follows_everything_for_slow_readers_too() {
    let mut lab = Lab::new(restarting(&[id(1)]));
    let [a] = lab.up([client(1)])[..] else { panic!() };
    let b = lab.connect(client(2), false);
    lab.settle();
    for (index, chunk) in many(9_000).chunks(30).enumerate() {
        lab.announce_nlri(
            a,
            &PathAttributes {
                med: Some(index as u32),
                ..via("10.0.0.1")
            },
            chunk,
        );
    }
    lab.end_of_rib(a, Family::IPV4_UNICAST);
    lab.local(&["10.244.0.0/24"]);
    lab.input(Input::LocalRoutesComplete);
    lab.settle();
    while !lab.remote(b).said.contains(&Said::EndOfRib(Family::IPV4_UNICAST)) {
        lab.credit(b, 5_000);
    }
    assert_eq!(lab.holds(b).len(), 9_001);
}

/// Trap 26: a reflector that restarts sends what it has before it says that it has sent everything.
#[test]
fn a_restarting_reflector_ends_its_rib_behind_everything_it_relearned() {
    let mut lab = Lab::new(Settings {
        install: false,
        ..restarting(&[id(1), id(2)])
    });
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    lab.input(Input::LocalRoutesComplete);
    lab.announce_nlri(a, &via("10.0.0.1"), &many(6_000));
    lab.end_of_rib(a, Family::IPV4_UNICAST);
    lab.end_of_rib(b, Family::IPV4_UNICAST);
    lab.pass(Duration::from_secs(2));
    let said = lab.said(b);
    assert_eq!(
        said.iter()
            .position(|at| *at == Said::EndOfRib(Family::IPV4_UNICAST)),
        Some(6_000)
    );
    assert!(lab.fib_complete.is_empty(), "nothing is installed");
}

/// What was an external peer comes back as an internal one: its old routes' next hop was ours, and is now the member's own.
#[test]
fn routes_of_a_peer_that_became_another_speaker_are_withdrawn_from_those_who_hold_them() {
    let mut lab = Lab::new(settings());
    let mut member = internal(2);
    member.policy.next_hop = NextHopPolicy::Own;
    let [a, b] = lab.up([external(1), member])[..] else {
        panic!()
    };
    lab.announce(a, &path("65001", "10.0.0.2"), &["192.0.2.0/24"]);
    assert_eq!(lab.holds(b), ["192.0.2.0/24"]);
    lab.remotes.remove(&a);
    lab.input(Input::PeerDown {
        peer: a,
        routes: DownRoutes::Flush,
    });
    let mut again = client(1);
    again.id = a;
    lab.connect(again, true);
    lab.settle();
    assert_eq!(lab.holds(b), Vec::<String>::new());
}

/// RFC 9494 §4.2.
fn retain_long(seconds: u64) -> DownRoutes {
    DownRoutes::Retain {
        families: FamilySet::ALL,
        restart_time: Duration::from_secs(seconds),
        long_lived: LongLived {
            times: vec![
                (Family::IPV4_UNICAST, Duration::from_secs(3_600)),
                (Family::IPV6_UNICAST, Duration::from_secs(1_800)),
            ],
        },
    }
}

/// A client that knows long-lived graceful restart.
fn long_lived(n: u8) -> Peer {
    let mut peer = client(n);
    peer.negotiated.graceful_restart = Some(PeerGracefulRestart {
        long_lived: Some(FamilySet::ALL),
        ..graceful()
    });
    peer
}

#[test]
fn stale_routes_linger_as_the_last_resort_and_go_only_to_who_knows_what_that_means() {
    let mut lab = Lab::new(settings());
    let [a, b, c, d] = lab.up([long_lived(1), long_lived(2), client(3), client(4)])[..] else {
        panic!()
    };
    let preferred = PathAttributes {
        local_pref: Some(500),
        ..via("10.0.0.1")
    };
    lab.announce(a, &preferred, &["192.0.2.0/24", "198.51.100.0/24"]);
    let kept_short = PathAttributes {
        communities: vec![Community::NO_LLGR],
        ..preferred.clone()
    };
    lab.announce(a, &kept_short, &["203.0.113.0/24"]);
    lab.announce(d, &via("10.0.0.4"), &["198.51.100.0/24"]);
    lab.down(a, retain_long(120));
    lab.pass(Duration::from_secs(119));
    assert_eq!(lab.holds(c).len(), 3, "within the restart time nothing changes");
    lab.pass(Duration::from_secs(2));
    assert_eq!(lab.holds(b), ["192.0.2.0/24", "198.51.100.0/24"], "NO_LLGR goes");
    assert!(
        lab.held(b, "192.0.2.0/24")
            .communities
            .contains(&Community::LLGR_STALE)
    );
    assert_eq!(
        lab.held(b, "198.51.100.0/24").next_hop,
        Some(NextHop::V4([10, 0, 0, 4].into())),
        "any other path is better"
    );
    assert_eq!(
        lab.holds(c),
        ["198.51.100.0/24"],
        "it would not know what is stale"
    );
    assert_eq!(lab.why("198.51.100.0/24").paths.len(), 2);
    lab.pass(Duration::from_secs(3_600));
    assert_eq!(lab.holds(b), ["198.51.100.0/24"]);
}

#[test]
fn a_peer_that_returns_after_its_restart_time_takes_its_routes_back() {
    for (forwards, kept) in [(FamilySet::ALL, true), (FamilySet::EMPTY, false)] {
        let mut lab = Lab::new(settings());
        let [a, b] = lab.up([long_lived(1), long_lived(2)])[..] else {
            panic!()
        };
        lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24", "198.51.100.0/24"]);
        lab.down(a, retain_long(10));
        lab.pass(Duration::from_secs(600));
        let mut back = long_lived(1);
        back.negotiated.graceful_restart = Some(PeerGracefulRestart {
            long_lived: Some(forwards),
            ..graceful()
        });
        lab.up([back]);
        assert_eq!(lab.holds(b).len(), if kept { 2 } else { 0 });
        lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
        assert_eq!(lab.held(b, "192.0.2.0/24").communities, []);
        lab.end_of_rib(a, Family::IPV4_UNICAST);
        assert_eq!(lab.holds(b), ["192.0.2.0/24"]);
    }
}
