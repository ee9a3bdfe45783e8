//! What a peer is sent of a route: reflection, AS borders, next hops, communities, sizes.

use super::*;
use bgp_codec::{Community, ExtendedCommunity, UnknownAttribute};

/// Trap 6 and RFC 4456 §6.
#[test]
fn reflection_follows_who_is_a_client() {
    let mut lab = Lab::new(settings());
    let [a, b, c, d] = lab.up([client(1), client(2), internal(3), internal(4)])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    lab.announce(c, &via("10.0.0.3"), &["198.51.100.0/24"]);
    assert_eq!(lab.holds(b), ["192.0.2.0/24", "198.51.100.0/24"]);
    assert_eq!(lab.holds(a), ["198.51.100.0/24"]);
    assert_eq!(lab.holds(d), ["192.0.2.0/24"], "nothing between two non-clients");
    let story = lab.why("198.51.100.0/24");
    let export = story.exports.iter().find(|at| &*at.peer == "p4").unwrap();
    assert_eq!(
        export.reason,
        "not reflected: learned from an internal peer, and neither is a client"
    );
}

/// Trap 6.
#[test]
fn originator_is_set_once_and_the_cluster_prepended_at_each_reflection() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    let held = lab.held(b, "192.0.2.0/24").clone();
    assert_eq!(held.originator_id, Some(Ipv4Addr::new(10, 0, 0, 1)));
    assert_eq!(held.cluster_list, [Ipv4Addr::new(10, 0, 0, 254)]);
    let reflected = PathAttributes {
        originator_id: Some(Ipv4Addr::new(10, 9, 9, 9)),
        cluster_list: vec![Ipv4Addr::new(10, 8, 8, 8)],
        ..via("10.0.0.1")
    };
    lab.announce(a, &reflected, &["192.0.2.0/24"]);
    let held = lab.held(b, "192.0.2.0/24");
    assert_eq!(held.originator_id, Some(Ipv4Addr::new(10, 9, 9, 9)));
    assert_eq!(
        held.cluster_list,
        [Ipv4Addr::new(10, 0, 0, 254), Ipv4Addr::new(10, 8, 8, 8)]
    );
}

/// RFC 4456 §6: what a client brought was everybody's, what a non-client brings is not.
#[test]
fn best_that_moves_to_a_non_client_is_withdrawn_from_the_other_non_clients() {
    let mut lab = Lab::new(settings());
    let [a, b, c, d] = lab.up([client(1), client(2), internal(3), internal(4)])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    assert_eq!(lab.holds(d), ["192.0.2.0/24"]);
    lab.forget_said();
    let better = PathAttributes {
        local_pref: Some(200),
        ..via("10.0.0.3")
    };
    lab.announce(c, &better, &["192.0.2.0/24"]);
    assert_eq!(lab.said(d), [withdraw("192.0.2.0/24")]);
    assert_eq!(lab.said(c), [withdraw("192.0.2.0/24")], "its own path is best");
    assert_eq!(lab.said(b), [announce("192.0.2.0/24")]);
}

#[test]
fn external_routes_reach_internal_peers_without_reflection_attributes() {
    let mut lab = Lab::new(settings());
    let [e, a] = lab.up([external(1), internal(2)])[..] else {
        panic!()
    };
    lab.announce(
        e,
        &PathAttributes {
            med: Some(7),
            ..path("65001", "10.0.0.1")
        },
        &["192.0.2.0/24"],
    );
    let held = lab.held(a, "192.0.2.0/24");
    assert_eq!(
        (held.originator_id, held.cluster_list.len(), held.local_pref),
        (None, 0, Some(100))
    );
    assert_eq!(held.next_hop, Some(NextHop::V4([10, 0, 0, 1].into())));
    assert_eq!((held.as_path.to_string().as_str(), held.med), ("65001", Some(7)));
}

#[test]
fn an_as_border_strips_what_is_ours_and_prepends() {
    let mut lab = Lab::new(settings());
    let [a, e] = lab.up([client(1), external(2)])[..] else {
        panic!()
    };
    let attributes = PathAttributes {
        med: Some(7),
        local_pref: Some(300),
        originator_id: Some(Ipv4Addr::new(10, 9, 9, 9)),
        cluster_list: vec![Ipv4Addr::new(10, 8, 8, 8)],
        extended_communities: vec![
            ExtendedCommunity([0x40, 4, 0, 0, 0, 0, 0, 1]),
            ExtendedCommunity([0, 2, 0, 0, 0, 0, 0, 1]),
        ],
        as_path: "65009".parse().unwrap(),
        ..via("10.0.0.1")
    };
    lab.announce(a, &attributes, &["192.0.2.0/24"]);
    let held = lab.held(e, "192.0.2.0/24");
    assert_eq!(held.as_path.to_string(), "64512 65009");
    assert_eq!(
        (
            held.med,
            held.local_pref,
            held.originator_id,
            held.cluster_list.len()
        ),
        (None, None, None, 0)
    );
    assert_eq!(
        held.extended_communities,
        [ExtendedCommunity([0, 2, 0, 0, 0, 0, 0, 1])]
    );
    assert_eq!(held.next_hop, Some(NextHop::V4([10, 0, 0, 254].into())));
}

/// RFC 4360 §6 is about what others attached.
#[test]
fn non_transitive_communities_that_our_export_policy_sets_cross_the_border() {
    let (theirs, ours) = (
        ExtendedCommunity([0x40, 4, 0, 0, 0, 0, 0, 1]),
        ExtendedCommunity([0x40, 4, 0xfc, 0, 0, 0, 0, 2]),
    );
    let mut lab = Lab::new(settings());
    let mut member = external(2);
    let edit = crate::policy::Edit::AddExtendedCommunities(vec![ours]);
    let edits = crate::policy::Edits::new(vec![edit]);
    member.policy.export = member.policy.export.ending_with(&edits);
    let [a, e] = lab.up([client(1), member])[..] else {
        panic!()
    };
    let attributes = PathAttributes {
        extended_communities: vec![theirs],
        ..via("10.0.0.1")
    };
    lab.announce(a, &attributes, &["192.0.2.0/24"]);
    assert_eq!(lab.held(e, "192.0.2.0/24").extended_communities, [ours]);
    // One of a VIP is ours as well.
    lab.input(Input::Local(vec![LocalChange::Announce(LocalRoute {
        prefix: prefix("10.244.0.0/24"),
        kind: OriginKind::Vip,
        name: "shop".into(),
        attributes: Arc::new(PathAttributes {
            extended_communities: vec![theirs],
            ..PathAttributes::default()
        }),
        from_kernel: None,
    })]));
    lab.settle();
    assert_eq!(lab.held(e, "10.244.0.0/24").extended_communities, [theirs, ours]);
}

/// Trap 7.
#[test]
fn next_hop_own_touches_reflected_routes_only_when_forced() {
    for (policy, reflected, learned) in [
        (NextHopPolicy::Standard, [10, 0, 0, 1], [10, 0, 0, 9]),
        (NextHopPolicy::Own, [10, 0, 0, 1], [10, 0, 0, 254]),
        (NextHopPolicy::OwnForced, [10, 0, 0, 254], [10, 0, 0, 254]),
    ] {
        let mut lab = Lab::new(settings());
        let mut target = client(2);
        target.policy.next_hop = policy;
        let [a, b, e] = lab.up([client(1), target, external(9)])[..] else {
            panic!()
        };
        lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
        lab.announce(e, &path("65009", "10.0.0.9"), &["198.51.100.0/24"]);
        assert_eq!(
            lab.held(b, "192.0.2.0/24").next_hop,
            Some(NextHop::V4(reflected.into())),
            "{policy:?}"
        );
        assert_eq!(
            lab.held(b, "198.51.100.0/24").next_hop,
            Some(NextHop::V4(learned.into())),
            "{policy:?}"
        );
    }
}

/// Trap 7: RFC 2545 §3.
#[test]
fn our_link_local_address_is_told_only_on_a_shared_link() {
    let mut lab = Lab::new(settings());
    let with_link_local = |n: u8, shared: bool| {
        let mut peer = internal(n);
        peer.self_addresses.link_local = Some("fe80::1".parse().unwrap());
        peer.shared_link = shared;
        peer
    };
    let [near, far] = lab.up([with_link_local(1, true), with_link_local(2, false)])[..] else {
        panic!()
    };
    lab.local(&["fd00:1::/64"]);
    assert_eq!(
        lab.held(near, "fd00:1::/64").next_hop.unwrap().link_local(),
        Some("fe80::1".parse().unwrap())
    );
    assert_eq!(
        lab.held(far, "fd00:1::/64").next_hop,
        Some(NextHop::V6("2001:db8::fe".parse().unwrap()))
    );
}

/// Trap 23: one group, each member its own address.
#[test]
fn own_next_hop_differs_per_member_of_one_group() {
    let mut lab = Lab::new(settings());
    let at = |n: u8| {
        let mut peer = internal(n);
        peer.self_addresses.ipv4 = Some([10, n, 0, 254].into());
        peer
    };
    let peers = lab.up([at(1), at(2), at(3)]);
    lab.local(&["10.244.0.0/24", "10.244.1.0/24"]);
    assert_eq!(lab.counters().groups, 2, "one a family");
    for (n, peer) in (1..).zip(peers) {
        assert_eq!(
            lab.held(peer, "10.244.1.0/24").next_hop,
            Some(NextHop::V4([10, n, 0, 254].into()))
        );
    }
}

/// Trap 23: RFC 4271 §5.1.3.
#[test]
fn a_peer_is_never_told_its_own_address_as_next_hop() {
    let mut lab = Lab::new(settings());
    let [a, b, c] = lab.up([client(1), client(2), client(3)])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.3"), &["192.0.2.0/24"]);
    assert_eq!(lab.holds(b), ["192.0.2.0/24"]);
    assert_eq!(lab.holds(c), Vec::<String>::new());
    lab.forget_said();
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    assert_eq!(lab.said(c), [announce("192.0.2.0/24")]);
    lab.announce(a, &via("10.0.0.3"), &["192.0.2.0/24"]);
    assert_eq!(lab.said(c), [withdraw("192.0.2.0/24")]);
    let story = lab.why("192.0.2.0/24");
    let export = story.exports.iter().find(|at| &*at.peer == "p3").unwrap();
    assert_eq!(
        (export.advertised, export.reason.as_str()),
        (false, "its next hop is the peer itself")
    );
}

#[test]
fn external_peers_on_one_subnet_keep_each_others_next_hop() {
    let mut lab = Lab::new(settings());
    let on_subnet = |n: u8| Peer {
        shared_link: true,
        link: 0,
        ..external(n)
    };
    let [e, f, g] = lab.up([on_subnet(1), on_subnet(2), external(3)])[..] else {
        panic!()
    };
    lab.announce(e, &path("65001", "10.0.0.1"), &["192.0.2.0/24"]);
    assert_eq!(
        lab.held(f, "192.0.2.0/24").next_hop,
        Some(NextHop::V4([10, 0, 0, 1].into()))
    );
    assert_eq!(
        lab.held(g, "192.0.2.0/24").next_hop,
        Some(NextHop::V4([10, 0, 0, 254].into()))
    );
}

#[test]
fn a_route_server_is_not_on_the_path() {
    let mut lab = Lab::new(settings());
    let member = |n: u8| {
        let mut peer = external(n);
        peer.policy.route_server_client = true;
        peer
    };
    let [e, f] = lab.up([member(1), member(2)])[..] else {
        panic!()
    };
    lab.announce(
        e,
        &PathAttributes {
            med: Some(3),
            ..path("65001", "10.0.0.1")
        },
        &["192.0.2.0/24"],
    );
    let held = lab.held(f, "192.0.2.0/24");
    assert_eq!((held.as_path.to_string().as_str(), held.med), ("65001", Some(3)));
    assert_eq!(held.next_hop, Some(NextHop::V4([10, 0, 0, 1].into())));
}

/// RFC 1997, RFC 3765 and RFC 7999, without any policy.
#[test]
fn well_known_communities_hold() {
    for (community, internal_gets, external_gets) in [
        (Community::NO_EXPORT, true, false),
        (Community::NO_EXPORT_SUBCONFED, true, false),
        (Community::NO_ADVERTISE, false, false),
        (Community::BLACKHOLE, true, false),
        // Only between lateral peers, and nothing says that these are.
        (Community::NO_PEER, true, true),
    ] {
        let mut lab = Lab::new(settings());
        let [a, b, e] = lab.up([client(1), client(2), external(3)])[..] else {
            panic!()
        };
        let tagged = |next_hop| PathAttributes {
            communities: vec![community],
            ..via(next_hop)
        };
        lab.announce(a, &tagged("10.0.0.1"), &["192.0.2.0/24"]);
        lab.announce(a, &tagged("2001:db8::1"), &["2001:db8:1::/48"]);
        assert_eq!(
            lab.holds(b).len(),
            if internal_gets { 2 } else { 0 },
            "{community}"
        );
        assert_eq!(
            lab.holds(e).len(),
            if external_gets { 2 } else { 0 },
            "{community}"
        );
    }
}

#[test]
fn external_peers_without_policy_carry_nothing() {
    let mut lab = Lab::new(settings());
    let mut bare = external(1);
    bare.policy.import = Chain::no_policy();
    bare.policy.export = Chain::no_policy();
    let [e, a] = lab.up([bare, internal(2)])[..] else {
        panic!()
    };
    lab.local(&["10.244.0.0/24"]);
    lab.announce(e, &path("65001", "10.0.0.1"), &["192.0.2.0/24"]);
    assert_eq!(lab.holds(e), Vec::<String>::new());
    assert_eq!(lab.holds(a), ["10.244.0.0/24"]);
    assert_eq!(lab.peer_counters(e).received, 1, "kept, not used");
    assert!(lab.why("192.0.2.0/24").paths[0].import.contains("RFC 8212"));
    assert!(lab.why("10.244.0.0/24").exports[0].reason.contains("RFC 8212"));
}

/// Trap 14.
#[test]
fn attributes_that_do_not_fit_withdraw_the_old_route_there() {
    let mut lab = Lab::new(settings());
    let mut wide = client(3);
    wide.negotiated.max_message = MAX_EXTENDED;
    let [a, b, c] = lab.up([client(1), client(2), wide])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24", "198.51.100.0/24"]);
    let unknown = vec![UnknownAttribute {
        flags: 0xe0,
        code: 99,
        value: vec![1; 5_000],
    }];
    lab.announce(
        a,
        &PathAttributes {
            unknown,
            ..via("10.0.0.1")
        },
        &["192.0.2.0/24"],
    );
    assert_eq!(lab.holds(b), ["198.51.100.0/24"]);
    assert_eq!(lab.holds(c).len(), 2);
    assert!(lab.remotes[&b].closed.is_none());
    let story = lab.why("192.0.2.0/24");
    let export = story.exports.iter().find(|at| &*at.peer == "p2").unwrap();
    assert_eq!(
        (export.advertised, export.reason.as_str()),
        (false, "attributes exceed the largest message that the peer takes")
    );
    assert_eq!(lab.peer_counters(b).advertised, 1);
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    assert_eq!(lab.holds(b).len(), 2);
}

/// Trap 14: to the octet. Header, lengths, ORIGIN, AS_PATH, NEXT_HOP, LOCAL_PREF, ORIGINATOR_ID, CLUSTER_LIST, one /24.
#[test]
fn the_exact_size_decides() {
    let fixed = 19 + 4 + 4 + 3 + 7 + 7 + 7 + 7 + 4;
    for (len, fits) in [(4_096 - fixed - 4, true), (4_096 - fixed - 4 + 1, false)] {
        let mut lab = Lab::new(settings());
        let [a, b] = lab.up([client(1), client(2)])[..] else {
            panic!()
        };
        let unknown = vec![UnknownAttribute {
            flags: 0xe0,
            code: 99,
            value: vec![1; len],
        }];
        lab.announce(
            a,
            &PathAttributes {
                unknown,
                ..via("10.0.0.1")
            },
            &["192.0.2.0/24"],
        );
        assert_eq!(lab.holds(b).len(), usize::from(fits), "{len}");
    }
}

#[test]
fn ipv4_routes_with_ipv6_next_hops_need_both_sides_to_know_them() {
    let mut lab = Lab::new(settings());
    let mut able = client(1);
    able.negotiated.extended_next_hop = true;
    let mut target = client(2);
    target.negotiated.extended_next_hop = true;
    let [a, b, c] = lab.up([able, target, client(3)])[..] else {
        panic!()
    };
    lab.announce(a, &via("2001:db8::1"), &["192.0.2.0/24"]);
    assert_eq!(
        lab.held(b, "192.0.2.0/24").next_hop,
        Some(NextHop::V6("2001:db8::1".parse().unwrap()))
    );
    assert_eq!(lab.holds(c), Vec::<String>::new());
}

#[test]
fn a_session_without_an_address_of_the_family_is_not_sent_what_needs_one() {
    let mut lab = Lab::new(settings());
    let mut peer = internal(1);
    peer.self_addresses.ipv6 = None;
    let [a] = lab.up([peer])[..] else { panic!() };
    lab.local(&["10.244.0.0/24", "fd00:1::/64"]);
    assert_eq!(lab.holds(a), ["10.244.0.0/24"]);
    assert!(
        lab.why("fd00:1::/64").exports[0]
            .reason
            .contains("no address of the family")
    );
}

#[test]
fn two_octet_peers_get_as_trans_and_the_whole_path() {
    let mut lab = Lab::new(settings());
    let mut old = external(2);
    old.negotiated.four_octet_asn = false;
    let [e, f] = lab.up([external(1), old])[..] else {
        panic!()
    };
    lab.announce(e, &path("65001 4200000001", "10.0.0.1"), &["192.0.2.0/24"]);
    assert_eq!(
        lab.held(f, "192.0.2.0/24").as_path.to_string(),
        "64512 65001 4200000001"
    );
}
