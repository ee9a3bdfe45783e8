//! Several paths of one prefix, RFC 7911.

use super::*;

fn add_path(n: u8, send: bool, receive: bool) -> Peer {
    let mut peer = client(n);
    let families = FamilySet::IPV4_UNICAST.with(Family::IPV6_UNICAST);
    peer.negotiated.add_path_send = if send { families } else { FamilySet::EMPTY };
    peer.negotiated.add_path_receive = if receive { families } else { FamilySet::EMPTY };
    peer
}

fn paths(lab: &Lab, peer: PeerId) -> Vec<(u32, IpAddr)> {
    let routes = lab.remotes[&peer].routes.iter();
    routes
        .map(|((_, id), attributes)| (*id, attributes.next_hop.unwrap().address()))
        .collect()
}

/// Trap 2.
#[test]
fn two_paths_have_two_ids_that_survive_a_change_of_best() {
    let mut lab = Lab::new(settings());
    let [a, b, c] = lab.up([client(1), client(2), add_path(3, true, true)])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    lab.announce(b, &via("10.0.0.2"), &["192.0.2.0/24"]);
    let before = paths(&lab, c);
    assert_eq!(
        before.iter().map(|(_, at)| *at).collect::<Vec<_>>(),
        [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])]
    );
    assert_ne!(before[0].0, before[1].0);
    lab.forget_said();
    lab.announce(
        b,
        &PathAttributes {
            local_pref: Some(200),
            ..via("10.0.0.2")
        },
        &["192.0.2.0/24"],
    );
    assert_eq!(paths(&lab, c), before);
    assert_eq!(
        lab.said(c),
        [Said::Announce(prefix("192.0.2.0/24"), before[1].0)],
        "only the path that changed"
    );
    lab.withdraw(a, &["192.0.2.0/24"]);
    assert_eq!(lab.said(c), [Said::Withdraw(prefix("192.0.2.0/24"), before[0].0)]);
    assert_eq!(paths(&lab, c), [before[1]]);
}

/// Trap 2 and trap 15.
#[test]
fn an_id_is_not_reused_before_its_withdraw_was_read() {
    let mut lab = Lab::new(settings());
    let [a, b, c] = lab.up([client(1), client(2), add_path(3, true, true)])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    lab.announce(b, &via("10.0.0.2"), &["192.0.2.0/24"]);
    let held = paths(&lab, c);
    lab.remote(c).reads = false;
    lab.input(Input::Credit { peer: c, bytes: 0 });
    // Uses up the credit that is left, so that c lags from here on.
    for n in 0..3_000 {
        lab.announce(
            b,
            &PathAttributes {
                med: Some(n),
                ..via("10.0.0.2")
            },
            &["192.0.2.0/24"],
        );
    }
    lab.withdraw(a, &["192.0.2.0/24"]);
    lab.announce(a, &via("10.0.0.77"), &["198.51.100.0/24", "192.0.2.0/24"]);
    lab.credit(c, 10 << 20);
    let now = paths(&lab, c);
    assert_eq!(now.len(), 3);
    let fresh = now
        .iter()
        .filter(|(_, at)| *at == IpAddr::from([10, 0, 0, 77]))
        .map(|(id, _)| *id);
    assert!(fresh.clone().all(|id| id != held[0].0), "{held:?} {now:?}");
}

#[test]
fn received_path_ids_tell_paths_apart_whatever_their_value() {
    let mut lab = Lab::new(settings());
    let [a, b, c] = lab.up([add_path(1, false, true), client(2), add_path(3, true, false)])[..] else {
        panic!()
    };
    let net = prefix("192.0.2.0/24");
    for (path_id, next_hop) in [(0, "10.0.0.1"), (u32::MAX, "10.0.0.11"), (7, "10.0.0.12")] {
        lab.announce_nlri(a, &via(next_hop), &[Nlri { path_id, prefix: net }]);
    }
    lab.settle();
    assert_eq!(lab.peer_counters(a).received, 3);
    assert_eq!(
        lab.holds(b),
        ["192.0.2.0/24"],
        "the best one alone without Add-Path"
    );
    assert_eq!(paths(&lab, c).len(), 3);
    lab.withdraw_nlri(
        a,
        &[Nlri {
            path_id: 0,
            prefix: net,
        }],
    );
    lab.settle();
    assert_eq!(paths(&lab, c).len(), 2);
    assert_eq!(lab.holds(b), ["192.0.2.0/24"]);
    lab.withdraw_nlri(
        a,
        &[
            Nlri {
                path_id: u32::MAX,
                prefix: net,
            },
            Nlri {
                path_id: 7,
                prefix: net,
            },
        ],
    );
    lab.settle();
    assert!(paths(&lab, c).is_empty() && lab.holds(b).is_empty());
}

#[test]
fn a_peer_is_not_sent_its_own_paths_and_unusable_ones_go_nowhere() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([add_path(1, true, true), add_path(2, true, true)])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    lab.announce(b, &via("127.0.0.1"), &["192.0.2.0/24"]);
    lab.local(&["10.244.0.0/24"]);
    assert_eq!(lab.holds(a), ["10.244.0.0/24"]);
    assert_eq!(lab.holds(b), ["10.244.0.0/24", "192.0.2.0/24"]);
}

#[test]
fn a_late_member_gets_every_path_and_then_end_of_rib() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    lab.announce_nlri(a, &via("10.0.0.1"), &many(3_000));
    lab.announce_nlri(b, &via("10.0.0.2"), &many(3_000)[..1_000]);
    lab.settle();
    let [c] = lab.up([add_path(3, true, true)])[..] else {
        panic!()
    };
    assert_eq!(lab.remotes[&c].routes.len(), 4_000);
    let said: Vec<_> = lab
        .said(c)
        .into_iter()
        .filter(|at| *at != Said::EndOfRib(Family::IPV6_UNICAST))
        .collect();
    assert_eq!(
        said.iter()
            .position(|at| *at == Said::EndOfRib(Family::IPV4_UNICAST)),
        Some(4_000)
    );
    lab.down(a, DownRoutes::Flush);
    assert_eq!(lab.remotes[&c].routes.len(), 1_000);
    lab.down(b, DownRoutes::Flush);
    assert!(lab.remotes[&c].routes.is_empty());
    assert_eq!((lab.counters().paths, lab.counters().attribute_sets), (0, 0));
    assert_eq!(
        lab.rib
            .tables
            .iter()
            .map(|table| table.data.prefixes.count())
            .sum::<usize>(),
        0
    );
}

fn best(count: u8) -> SentPaths {
    SentPaths::Best(NonZeroU8::new(count).unwrap())
}

/// A client that is sent several paths: these.
fn chooser(n: u8, paths: SentPaths) -> Peer {
    let mut peer = add_path(n, true, false);
    peer.policy.sent_paths = paths;
    peer
}

fn preferred(next_hop: &str, local_pref: u32) -> PathAttributes {
    PathAttributes {
        local_pref: Some(local_pref),
        ..via(next_hop)
    }
}

fn last_octets(lab: &Lab, peer: PeerId) -> Vec<u8> {
    let mut octets: Vec<u8> = paths(lab, peer)
        .iter()
        .map(|(_, at)| match at {
            IpAddr::V4(at) => at.octets()[3],
            IpAddr::V6(_) => 0,
        })
        .collect();
    octets.sort_unstable();
    octets
}

#[test]
fn the_nth_path_leaves_when_a_better_one_comes() {
    const NET: &str = "192.0.2.0/24";
    let mut lab = Lab::new(settings());
    let [a, b, c, two, one] = lab.up([
        client(1),
        client(2),
        client(3),
        chooser(4, best(2)),
        chooser(5, best(1)),
    ])[..] else {
        panic!()
    };
    lab.announce(a, &preferred("10.0.0.1", 300), &[NET]);
    lab.announce(b, &preferred("10.0.0.2", 100), &[NET]);
    assert_eq!(
        (last_octets(&lab, two), last_octets(&lab, one)),
        (vec![1, 2], vec![1])
    );
    let before = paths(&lab, two);
    lab.forget_said();
    lab.announce(c, &preferred("10.0.0.3", 200), &[NET]);
    let after = paths(&lab, two);
    assert_eq!(last_octets(&lab, two), [1, 3]);
    let new = after.iter().find(|path| !before.contains(path)).unwrap();
    let mut said = lab.said(two);
    said.sort_by_key(|said| matches!(said, Said::Announce(..)));
    assert_eq!(
        said,
        [
            Said::Withdraw(prefix(NET), before[1].0),
            Said::Announce(prefix(NET), new.0)
        ],
        "the first path keeps its id and is not told again"
    );
    assert!(
        lab.said(one).is_empty(),
        "who is sent one path learns nothing of the others"
    );
    // The order changes, the choice does not.
    lab.forget_said();
    lab.announce(c, &preferred("10.0.0.3", 400), &[NET]);
    assert_eq!(lab.said(two), [Said::Announce(prefix(NET), new.0)]);
    assert_eq!(last_octets(&lab, one), [3]);
    lab.withdraw(a, &[NET]);
    assert_eq!(last_octets(&lab, two), [2, 3], "the next one moves up");
}

#[test]
fn ecmp_follows_the_set_of_equal_paths() {
    const NET: &str = "192.0.2.0/24";
    let mut lab = Lab::new(settings());
    let [a, b, c, equal] = lab.up([client(1), client(2), client(3), chooser(4, SentPaths::Equal)])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.1"), &[NET]);
    lab.announce(b, &via("10.0.0.2"), &[NET]);
    lab.announce(c, &preferred("10.0.0.3", 50), &[NET]);
    assert_eq!(last_octets(&lab, equal), [1, 2], "what is worse stays away");
    let before = paths(&lab, equal);
    lab.forget_said();
    lab.announce(b, &preferred("10.0.0.2", 99), &[NET]);
    assert_eq!(lab.said(equal), [Said::Withdraw(prefix(NET), before[1].0)]);
    lab.announce(a, &preferred("10.0.0.1", 50), &[NET]);
    assert_eq!(last_octets(&lab, equal), [2]);
    lab.announce(b, &preferred("10.0.0.2", 50), &[NET]);
    assert_eq!(last_octets(&lab, equal), [1, 2, 3]);
    assert_eq!(
        paths(&lab, equal)[..2]
            .iter()
            .map(|path| path.0)
            .collect::<Vec<_>>(),
        before.iter().map(|path| path.0).collect::<Vec<_>>()
    );
}

/// RFC 4271 §9.1.2.2(c): who is second is not who lost last.
#[test]
fn the_second_path_is_the_best_without_the_first() {
    const NET: &str = "192.0.2.0/24";
    let mut lab = Lab::new(settings());
    let [a, b, c, two] = lab.up([client(1), client(2), client(3), chooser(4, best(2))])[..] else {
        panic!()
    };
    let of = |next_hop: &str, asn: u32, med: u32| {
        let mut attributes = PathAttributes {
            med: Some(med),
            ..via(next_hop)
        };
        attributes.as_path.prepend(Asn(asn), 1);
        attributes
    };
    // The first beats the second by MED within one AS; the second would win over the third by router id.
    lab.announce(c, &of("10.0.0.3", 65_002, 0), &[NET]);
    lab.announce(b, &of("10.0.0.2", 65_001, 20), &[NET]);
    lab.announce(a, &of("10.0.0.1", 65_001, 10), &[NET]);
    assert_eq!(last_octets(&lab, two), [1, 2]);
}

#[test]
fn how_many_paths_go_changes_without_a_session() {
    let mut lab = Lab::new(settings());
    let [a, b, c, member] = lab.up([client(1), client(2), client(3), chooser(4, SentPaths::All)])[..] else {
        panic!()
    };
    for (peer, next_hop) in [(a, "10.0.0.1"), (b, "10.0.0.2"), (c, "10.0.0.3")] {
        lab.announce_nlri(peer, &via(next_hop), &many(500));
    }
    lab.settle();
    assert_eq!(lab.remotes[&member].routes.len(), 1_500);
    lab.forget_said();
    let reconfigure = |lab: &mut Lab, paths| {
        lab.input(Input::Reconfigure {
            peer: member,
            policy: Box::new(chooser(4, paths).policy),
        });
        lab.settle();
    };
    reconfigure(&mut lab, best(2));
    assert_eq!(lab.remotes[&member].routes.len(), 1_000);
    let said = lab.said(member);
    let withdrawn = |said: &Said| matches!(said, Said::Withdraw(..));
    assert_eq!(
        (said.len(), said.iter().all(withdrawn)),
        (500, true),
        "nothing is told again"
    );
    let why = lab.why("20.0.0.0/24");
    let export = why.exports.iter().find(|export| &*export.peer == "p4").unwrap();
    assert!(export.advertised);
    assert!(
        export
            .reason
            .contains("not among the best paths: add_path_send = 2"),
        "{export:?}"
    );
    reconfigure(&mut lab, SentPaths::Equal);
    assert_eq!(lab.remotes[&member].routes.len(), 1_500);
}
