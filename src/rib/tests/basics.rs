//! One path through: UPDATE in, decision, group, UPDATE out; and what the kernel and the CLI are told.

use super::*;
use crate::rib::explain::View;

#[test]
fn a_route_goes_from_one_client_to_the_others() {
    let mut lab = Lab::new(settings());
    let [a, b, c] = lab.up([client(1), client(2), client(3)])[..] else {
        panic!()
    };
    lab.forget_said();
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24", "198.51.100.0/24"]);
    for peer in [b, c] {
        assert_eq!(lab.holds(peer), ["192.0.2.0/24", "198.51.100.0/24"]);
        assert_eq!(
            lab.said(peer),
            [announce("192.0.2.0/24"), announce("198.51.100.0/24")]
        );
    }
    assert_eq!(lab.said(a), []);
    assert_eq!(
        lab.fib[&prefix("192.0.2.0/24")].next_hops[0].address,
        IpAddr::from([10, 0, 0, 1])
    );
    lab.withdraw(a, &["192.0.2.0/24"]);
    assert_eq!(lab.holds(b), ["198.51.100.0/24"]);
    assert_eq!(lab.said(b), [withdraw("192.0.2.0/24")]);
    assert!(!lab.fib.contains_key(&prefix("192.0.2.0/24")));
}

/// Whoever waits for a prefix hears of its decisions and of no other's.
#[test]
fn a_watched_prefix_tells_of_its_decisions() {
    let mut lab = Lab::new(settings());
    let a = lab.up([client(1)])[0];
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    assert_eq!(lab.watched_decided, 0);
    lab.input(Input::Watch([prefix("192.0.2.0/24")].into()));
    lab.announce(a, &via("10.0.0.1"), &["198.51.100.0/24"]);
    assert_eq!(lab.watched_decided, 0);
    lab.withdraw(a, &["192.0.2.0/24"]);
    assert_eq!(lab.watched_decided, 1);
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24", "203.0.113.0/24"]);
    assert_eq!(lab.watched_decided, 2);
    lab.input(Input::Watch(BTreeSet::new()));
    lab.withdraw(a, &["192.0.2.0/24"]);
    assert_eq!(lab.watched_decided, 2);
}

/// What one read buffer announces, it may withdraw: the counts follow, and the last word stands.
#[test]
fn a_buffer_may_withdraw_what_it_announced() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    let nlri = [Nlri::new(prefix("192.0.2.0/24"))];
    let write = lab.remotes[&a].write;
    let (mut announced, mut withdrawn) = (Vec::new(), Vec::new());
    UpdateWriter::new(&mut announced, write)
        .announce(
            Family::IPV4_UNICAST,
            &via("10.0.0.1"),
            NextHop::V4([10, 0, 0, 1].into()),
            nlri,
        )
        .unwrap();
    UpdateWriter::new(&mut withdrawn, write)
        .withdraw(Family::IPV4_UNICAST, nlri)
        .unwrap();
    let received = |lab: &Lab| {
        let counters = lab.peer_counters(a);
        (counters.received, counters.accepted)
    };
    lab.send(a, [&announced[..], &withdrawn, &announced, &withdrawn].concat());
    lab.settle();
    assert_eq!((received(&lab), lab.holds(b)), ((0, 0), vec![]));
    lab.send(a, [&withdrawn[..], &announced, &withdrawn, &announced].concat());
    lab.settle();
    assert_eq!(
        (received(&lab), lab.holds(b)),
        ((1, 1), vec!["192.0.2.0/24".to_owned()])
    );
}

#[test]
fn our_own_routes_go_out_with_ourselves_as_next_hop_and_are_not_installed() {
    let mut lab = Lab::new(settings());
    let [a] = lab.up([internal(1)])[..] else { panic!() };
    lab.local(&["10.244.0.0/24", "fd00:1::/64"]);
    assert_eq!(lab.holds(a), ["10.244.0.0/24", "fd00:1::/64"]);
    assert_eq!(
        lab.held(a, "10.244.0.0/24").next_hop,
        Some(NextHop::V4([10, 0, 0, 254].into()))
    );
    assert_eq!(lab.held(a, "10.244.0.0/24").local_pref, Some(100));
    assert_eq!(
        lab.held(a, "fd00:1::/64").next_hop,
        Some(NextHop::V6("2001:db8::fe".parse().unwrap()))
    );
    assert!(lab.fib.is_empty());
    lab.local_withdraw(&["10.244.0.0/24"]);
    assert_eq!(lab.holds(a), ["fd00:1::/64"]);
}

/// Trap 5: one generic table, not a copy a family.
#[test]
fn an_empty_selection_withdraws_in_every_family() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    lab.announce(a, &via("2001:db8::1"), &["2001:db8:1::/48"]);
    assert_eq!(lab.holds(b).len(), 2);
    lab.withdraw(a, &["192.0.2.0/24"]);
    lab.withdraw(a, &["2001:db8:1::/48"]);
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

#[test]
fn a_replacement_is_never_withdraw_plus_announce() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    lab.forget_said();
    lab.announce(
        a,
        &PathAttributes {
            med: Some(5),
            ..via("10.0.0.1")
        },
        &["192.0.2.0/24"],
    );
    assert_eq!(lab.said(b), [announce("192.0.2.0/24")]);
    assert_eq!(lab.held(b, "192.0.2.0/24").med, Some(5));
    lab.announce(
        a,
        &PathAttributes {
            med: Some(5),
            ..via("10.0.0.1")
        },
        &["192.0.2.0/24"],
    );
    assert_eq!(lab.said(b), [], "the same again says nothing");
}

/// Each dirty prefix is decided once, however often it changed since.
#[test]
fn a_burst_is_compressed_by_state() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    lab.forget_said();
    for med in 0..50 {
        let attributes = PathAttributes {
            med: Some(med),
            ..via("10.0.0.1")
        };
        lab.announce_nlri(a, &attributes, &[Nlri::new(prefix("192.0.2.0/24"))]);
    }
    lab.settle();
    assert_eq!(lab.said(b), [announce("192.0.2.0/24")]);
    assert_eq!(lab.held(b, "192.0.2.0/24").med, Some(49));
}

#[test]
fn equal_paths_are_installed_together_up_to_the_limit() {
    let mut lab = Lab::new(Settings {
        multipath: 2,
        ..settings()
    });
    let [a, b, c] = lab.up([client(1), client(2), client(3)])[..] else {
        panic!()
    };
    for (peer, next_hop) in [(a, "10.0.0.1"), (b, "10.0.0.2"), (c, "10.0.0.3")] {
        lab.announce(peer, &via(next_hop), &["192.0.2.0/24"]);
    }
    let installed: Vec<_> = lab.fib[&prefix("192.0.2.0/24")]
        .next_hops
        .iter()
        .map(|at| at.address)
        .collect();
    assert_eq!(
        installed,
        [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])]
    );
    lab.announce(
        a,
        &PathAttributes {
            local_pref: Some(50),
            ..via("10.0.0.1")
        },
        &["192.0.2.0/24"],
    );
    let installed: Vec<_> = lab.fib[&prefix("192.0.2.0/24")]
        .next_hops
        .iter()
        .map(|at| at.address)
        .collect();
    assert_eq!(
        installed,
        [IpAddr::from([10, 0, 0, 2]), IpAddr::from([10, 0, 0, 3])]
    );
}

#[test]
fn next_hops_are_tracked_and_keep_routes_out() {
    let mut lab = Lab::new(Settings {
        track_next_hops: true,
        ..settings()
    });
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    lab.announce(a, &via("192.0.2.1"), &["198.51.100.0/24"]);
    let next_hop = IpAddr::from([192, 0, 2, 1]);
    assert!(lab.tracked.contains(&next_hop));
    assert!(lab.fib.is_empty() && lab.holds(b).is_empty());
    let says = |lab: &mut Lab, reachability| {
        lab.input(Input::NextHops(vec![(next_hop, reachability)]));
        lab.settle();
    };
    says(
        &mut lab,
        Reachability::Reachable {
            metric: 10,
            connected: false,
        },
    );
    assert_eq!((lab.fib.len(), lab.holds(b).len()), (1, 1));
    says(&mut lab, Reachability::Unreachable);
    assert_eq!((lab.fib.len(), lab.holds(b).len()), (0, 0));
    assert_eq!(
        lab.why("198.51.100.0/24").paths[0].decision,
        "does not take part: next hop is unreachable"
    );
    lab.withdraw(a, &["198.51.100.0/24"]);
    assert!(lab.tracked.is_empty());
}

#[test]
fn why_names_the_deciding_step_and_its_values() {
    let mut lab = Lab::new(settings());
    let [a, b, _] = lab.up([client(1), client(2), internal(3)])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    lab.announce(
        b,
        &PathAttributes {
            local_pref: Some(200),
            ..via("10.0.0.2")
        },
        &["192.0.2.0/24"],
    );
    let story = lab.why("192.0.2.0/24");
    assert!(
        story.paths[0].decision.starts_with("best"),
        "{}",
        story.paths[0].decision
    );
    assert_eq!(
        story.paths[1].decision,
        "loses to p2: higher LOCAL_PREF (200 > 100)"
    );
    let export = |name: &str| story.exports.iter().find(|at| &*at.peer == name).unwrap();
    assert!(export("p1").advertised && export("p3").advertised);
    assert_eq!(export("p2").reason, "split horizon: learned from this peer");
    assert_eq!(lab.why("192.0.2.0/25").nearby, ["192.0.2.0/24"]);
}

#[test]
fn listings_come_in_sorted_pages() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    lab.announce_nlri(a, &via("10.0.0.1"), &many(100));
    lab.settle();
    for view in [View::Best, View::Received(a), View::Advertised(b)] {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let query = Query::Routes {
                view,
                family: None,
                within: None,
                after,
                limit: 30,
            };
            let Answer::Routes { routes, next } = lab.rib.query(&query, lab.now) else {
                panic!()
            };
            assert!(routes.len() <= 30);
            all.extend(routes.into_iter().map(|route| route.prefix));
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(
            all,
            many(100).iter().map(|nlri| nlri.prefix).collect::<Vec<_>>(),
            "{view:?}"
        );
    }
    let Answer::Routes { routes, .. } = lab.rib.query(&Query::Lookup([20, 0, 7, 9].into()), lab.now) else {
        panic!()
    };
    assert_eq!(routes[0].prefix, prefix("20.0.7.0/24"));
    assert!(routes[0].best);
}

/// Nothing in the shard names families: the codec's table and an NLRI codec are all that one more takes.
#[test]
fn a_third_family_goes_through() {
    const THIRD: Family = Family::IPV4_MULTICAST;
    let mut lab = Lab::new(settings());
    let peer = |n| {
        let mut peer = client(n);
        peer.negotiated.families = FamilySet::EMPTY.with(THIRD);
        peer
    };
    let [a, b] = lab.up([peer(1), peer(2)])[..] else {
        panic!()
    };
    assert_eq!(lab.said(b), [Said::EndOfRib(THIRD)]);
    let nlri = [Nlri::new(prefix("192.0.2.0/24"))];
    let attributes = via("10.0.0.1");
    let mut bytes = Vec::new();
    let mut writer = UpdateWriter::new(&mut bytes, lab.remotes[&a].write);
    writer
        .announce(THIRD, &attributes, attributes.next_hop.unwrap(), nlri.to_vec())
        .unwrap();
    lab.send(a, bytes);
    lab.end_of_rib(a, THIRD);
    assert_eq!(lab.said(b), [announce("192.0.2.0/24")]);
    assert!(lab.fib.is_empty(), "the kernel forwards unicast");
    let mut bytes = Vec::new();
    UpdateWriter::new(&mut bytes, lab.remotes[&a].write)
        .withdraw(THIRD, nlri.to_vec())
        .unwrap();
    lab.send(a, bytes);
    lab.settle();
    assert_eq!(lab.said(b), [withdraw("192.0.2.0/24")]);
}
