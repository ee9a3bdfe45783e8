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
