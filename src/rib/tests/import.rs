//! What is taken from a peer: RFC 7606 treatments, loops, limits, interning.

use super::*;

/// An UPDATE from raw parts.
fn raw_update(withdrawn: &[u8], attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xff; 16];
    let len = 19 + 4 + withdrawn.len() + attributes.len() + nlri.len();
    bytes.extend(u16::try_from(len).unwrap().to_be_bytes());
    bytes.push(2);
    for part in [withdrawn, attributes] {
        bytes.extend(u16::try_from(part.len()).unwrap().to_be_bytes());
        bytes.extend(part);
    }
    bytes.extend(nlri);
    bytes
}

const ORIGIN: [u8; 4] = [0x40, 1, 1, 0];
const NO_PATH: [u8; 3] = [0x40, 2, 0];
const NEXT_HOP: [u8; 7] = [0x40, 3, 4, 10, 0, 0, 1];
const LOCAL_PREF: [u8; 7] = [0x40, 5, 4, 0, 0, 0, 100];
const NET: [u8; 4] = [24, 192, 0, 2];

/// Trap 3.
#[test]
fn a_new_version_that_is_treated_as_withdraw_withdraws_the_old() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24", "198.51.100.0/24"]);
    // COMMUNITIES of length 3.
    let attributes = [
        &ORIGIN[..],
        &NO_PATH,
        &NEXT_HOP,
        &LOCAL_PREF,
        &[0xc0, 8, 3, 1, 2, 3],
    ]
    .concat();
    lab.send(a, raw_update(&[], &attributes, &NET));
    lab.settle();
    assert_eq!(lab.holds(b), ["198.51.100.0/24"]);
    assert!(lab.remotes[&a].closed.is_none());
    assert_eq!(lab.peer_counters(a).malformed, 1);
    assert!(lab.why("192.0.2.0/24").malformed[0].contains("treated as withdraw"));
    let named = lab.events.iter().any(|event| {
        matches!(event, Event::MalformedUpdate { prefixes, .. } if *prefixes == [prefix("192.0.2.0/24")])
    });
    assert!(named);
}

/// Trap 3.
#[test]
fn a_new_version_that_is_a_loop_withdraws_the_old() {
    let looped = [
        path("65009 64512", "10.0.0.1"),
        path("65009 {65010 64512}", "10.0.0.1"),
        PathAttributes {
            originator_id: Some(Ipv4Addr::new(10, 0, 0, 254)),
            ..via("10.0.0.1")
        },
        PathAttributes {
            cluster_list: vec![Ipv4Addr::new(10, 7, 7, 7), Ipv4Addr::new(10, 0, 0, 254)],
            ..via("10.0.0.1")
        },
    ];
    for attributes in looped {
        let mut lab = Lab::new(settings());
        let [a, b] = lab.up([client(1), client(2)])[..] else {
            panic!()
        };
        lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
        let attributes = PathAttributes {
            local_pref: Some(100),
            ..attributes
        };
        lab.announce(a, &attributes, &["192.0.2.0/24"]);
        assert_eq!(lab.holds(b), Vec::<String>::new(), "{attributes:?}");
        let story = lab.why("192.0.2.0/24");
        assert!(
            story.paths[0]
                .route
                .unusable
                .as_ref()
                .unwrap()
                .starts_with("loop"),
            "{story:?}"
        );
    }
}

#[test]
fn our_own_as_is_accepted_as_often_as_allowed() {
    let mut lab = Lab::new(settings());
    let mut peer = external(1);
    peer.policy.allow_own_as = 1;
    let [e] = lab.up([peer])[..] else { panic!() };
    lab.announce(e, &path("65001 64512", "10.0.0.1"), &["192.0.2.0/24"]);
    lab.announce(e, &path("65001 64512 64512", "10.0.0.1"), &["198.51.100.0/24"]);
    assert_eq!(lab.fib.keys().collect::<Vec<_>>(), [&prefix("192.0.2.0/24")]);
}

#[test]
fn the_first_as_is_the_peers_where_that_is_asked_for() {
    let mut lab = Lab::new(settings());
    let mut peer = external(1);
    peer.policy.enforce_first_as = true;
    let [e] = lab.up([peer])[..] else { panic!() };
    lab.announce(e, &path("65001 65002", "10.0.0.1"), &["192.0.2.0/24"]);
    lab.announce(e, &path("65002 65001", "10.0.0.1"), &["198.51.100.0/24"]);
    assert_eq!(lab.fib.len(), 1);
}

#[test]
fn impossible_next_hops_and_our_own_are_unusable_without_reset() {
    let mut lab = Lab::new(settings());
    let [a] = lab.up([client(1)])[..] else { panic!() };
    for next_hop in [
        "0.0.0.1",
        "127.0.0.1",
        "224.0.0.5",
        "255.255.255.255",
        "10.0.0.254",
    ] {
        lab.announce(a, &via(next_hop), &["192.0.2.0/24"]);
        assert!(lab.fib.is_empty(), "{next_hop}");
    }
    lab.announce(a, &via("2001:db8::fe"), &["2001:db8:1::/48"]);
    assert!(lab.fib.is_empty());
    assert!(lab.remotes[&a].closed.is_none());
    assert_eq!(
        lab.why("192.0.2.0/24").paths[0].route.unusable.as_deref(),
        Some("next hop is our own address")
    );
}

#[test]
fn a_prefix_withdrawn_and_announced_in_one_update_is_announced() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    let attributes = [&ORIGIN[..], &NO_PATH, &NEXT_HOP, &LOCAL_PREF].concat();
    lab.send(a, raw_update(&NET, &attributes, &NET));
    lab.settle();
    assert_eq!(lab.holds(b), ["192.0.2.0/24"]);
}

#[test]
fn nlri_that_cannot_be_read_take_no_effect_and_reset_the_session() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    let attributes = [&ORIGIN[..], &NO_PATH, &NEXT_HOP, &LOCAL_PREF].concat();
    let good = raw_update(&[], &attributes, &[24, 198, 51, 100]);
    let bad = raw_update(&[], &attributes, &[24, 192, 0, 2, 33, 1, 2, 3, 4, 5]);
    lab.send(a, [good.clone(), bad, good].concat());
    lab.settle();
    assert_eq!(lab.holds(b), ["198.51.100.0/24"]);
    let (notification, idle) = lab.remotes[&a].closed.clone().unwrap();
    assert_eq!(
        (notification.code, notification.subcode, idle),
        (3, 10, Some(Duration::ZERO))
    );
    assert_eq!(
        lab.peer_counters(a).updates_received,
        2,
        "what follows is not read"
    );
    lab.remotes.get_mut(&a).unwrap().closed = None;
    lab.down(a, DownRoutes::Flush);
    assert!(lab.holds(b).is_empty());
}

/// Trap 24.
#[test]
fn equal_octets_mean_three_things_to_three_peers() {
    let mut lab = Lab::new(settings());
    let mut old = external(3);
    old.negotiated.four_octet_asn = false;
    let [e, a, o] = lab.up([external(1), internal(2), old])[..] else {
        panic!()
    };
    // A path of one four-octet number, or to a two-octet peer of 256 segments that do not fit: malformed. LOCAL_PREF from
    // outside is discarded.
    let path: [u8; 9] = [0x40, 2, 6, 2, 1, 0, 0, 0xfe, 9];
    let attributes = [&ORIGIN[..], &path, &NEXT_HOP, &[0x40, 5, 4, 0, 0, 0, 200]].concat();
    for (peer, net) in [
        (e, [24, 192, 0, 2]),
        (a, [24, 198, 51, 100]),
        (o, [24, 203, 0, 113]),
    ] {
        lab.send(peer, raw_update(&[], &attributes, &net));
        lab.settle();
    }
    let local_pref = |text: &str| lab.why(text).paths.first().map(|path| path.route.local_pref);
    assert_eq!(local_pref("192.0.2.0/24"), Some(100));
    assert_eq!(local_pref("198.51.100.0/24"), Some(200));
    assert_eq!(local_pref("203.0.113.0/24"), None, "treated as withdraw");
}

/// Trap 13.
#[test]
fn equal_attributes_are_one_set_however_they_were_written() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    let in_order = [&ORIGIN[..], &NO_PATH, &NEXT_HOP, &LOCAL_PREF].concat();
    let shuffled = [&LOCAL_PREF[..], &NEXT_HOP, &ORIGIN, &NO_PATH].concat();
    let extended_length = [&ORIGIN[..], &[0x50, 2, 0, 0], &NEXT_HOP, &LOCAL_PREF].concat();
    for (index, attributes) in [in_order, shuffled, extended_length].iter().enumerate() {
        lab.send(a, raw_update(&[], attributes, &[24, 20, 0, index as u8]));
        lab.send(a, raw_update(&[], attributes, &[24, 21, 0, index as u8]));
    }
    lab.settle();
    assert_eq!(lab.holds(b).len(), 6);
    assert_eq!(lab.counters().attribute_sets, 1);
    lab.down(a, DownRoutes::Flush);
    assert_eq!(lab.counters().attribute_sets, 0);
}

/// Trap 13: RFC 4271 §5.
#[test]
fn unknown_transitive_attributes_pass_with_the_partial_bit_and_others_do_not() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    let unknown: [u8; 10] = [0xc0, 200, 2, 1, 2, 0x80, 201, 2, 3, 4];
    let attributes = [&ORIGIN[..], &NO_PATH, &NEXT_HOP, &LOCAL_PREF, &unknown].concat();
    // Twice, so that the second one is found by its raw octets.
    lab.send(a, raw_update(&[], &attributes, &NET));
    lab.send(a, raw_update(&[], &attributes, &[24, 198, 51, 100]));
    lab.settle();
    for text in ["192.0.2.0/24", "198.51.100.0/24"] {
        let held = &lab.held(b, text).unknown;
        assert_eq!((held.len(), held[0].code, held[0].flags & 0xe0), (1, 200, 0xe0));
    }
}

/// Trap 10.
#[test]
fn max_prefix_fires_on_the_one_too_many_before_it_takes_effect() {
    let mut lab = Lab::new(settings());
    let mut peer = client(1);
    peer.policy.max_prefixes = Some(10);
    peer.policy.max_prefix_restart = Some(Duration::from_secs(60));
    let [a, b] = lab.up([peer, client(2)])[..] else {
        panic!()
    };
    for nlri in &many(10) {
        lab.announce_nlri(a, &via("10.0.0.1"), &[*nlri]);
    }
    lab.settle();
    let warnings = |lab: &Lab| {
        lab.events
            .iter()
            .filter(|at| matches!(at, Event::MaxPrefixWarning { .. }))
            .count()
    };
    assert_eq!(warnings(&lab), 1, "once");
    // Replacements, and the same prefix twice in one message, are not new.
    lab.announce_nlri(
        a,
        &PathAttributes {
            med: Some(1),
            ..via("10.0.0.1")
        },
        &many(10),
    );
    lab.announce_nlri(a, &via("10.0.0.1"), &[many(10), many(10)].concat());
    lab.announce(a, &via("2001:db8::1"), &["2001:db8:1::/48"]);
    assert!(lab.remotes[&a].closed.is_none(), "families count apart");
    lab.announce_nlri(a, &via("10.0.0.1"), &many(11)[10..]);
    lab.settle();
    let (notification, idle) = lab.remotes[&a].closed.clone().unwrap();
    assert_eq!((notification.code, notification.subcode), (6, 1));
    assert_eq!(notification.data, [0, 1, 1, 0, 0, 0, 10]);
    assert_eq!(idle, Some(Duration::from_secs(60)));
    assert_eq!(lab.peer_counters(a).received, 10);
    assert_eq!(lab.holds(b).len(), 11);
}

/// Trap 10.
#[test]
fn a_message_that_withdraws_as_many_as_it_announces_fits() {
    let mut lab = Lab::new(settings());
    let mut peer = client(1);
    peer.policy.max_prefixes = Some(1);
    let [a, b] = lab.up([peer, client(2)])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    let attributes = [&ORIGIN[..], &NO_PATH, &NEXT_HOP, &LOCAL_PREF].concat();
    lab.send(a, raw_update(&NET, &attributes, &[24, 198, 51, 100]));
    lab.settle();
    assert_eq!(lab.holds(b), ["198.51.100.0/24"]);
    assert!(lab.remotes[&a].closed.is_none());
}

/// A reload may lower a limit beneath what is there.
#[test]
fn a_lowered_limit_is_said_at_once_and_closes_only_when_there_comes_more() {
    let mut lab = Lab::new(settings());
    let [a] = lab.up([client(1)])[..] else { panic!() };
    lab.announce_nlri(a, &via("10.0.0.1"), &many(10));
    let mut policy = client(1).policy;
    policy.max_prefixes = Some(5);
    lab.input(Input::Reconfigure {
        peer: a,
        policy: Box::new(policy),
    });
    lab.settle();
    let said = |event: &Event| {
        matches!(
            event,
            Event::MaxPrefixWarning {
                count: 10,
                limit: 5,
                ..
            }
        )
    };
    assert_eq!(lab.events.iter().filter(|at| said(at)).count(), 1);
    let again = PathAttributes {
        med: Some(1),
        ..via("10.0.0.1")
    };
    lab.announce_nlri(a, &again, &many(10));
    assert!(lab.remotes[&a].closed.is_none(), "replacements");
    lab.announce_nlri(a, &again, &many(11)[10..]);
    lab.settle();
    assert!(lab.remotes[&a].closed.is_some());
}

#[test]
fn a_limit_that_only_warns_does_so_once_when_it_is_exceeded() {
    let mut lab = Lab::new(settings());
    let mut peer = client(1);
    peer.policy.max_prefixes = Some(10);
    peer.policy.max_prefix_warn_only = true;
    let [a] = lab.up([peer])[..] else { panic!() };
    let warnings = |lab: &Lab| {
        let warning = |at: &&Event| matches!(at, Event::MaxPrefixWarning { .. });
        lab.events.iter().filter(warning).count()
    };
    lab.announce_nlri(a, &via("10.0.0.1"), &many(10));
    assert_eq!(warnings(&lab), 0);
    for nlri in &many(20)[10..] {
        lab.announce_nlri(a, &via("10.0.0.1"), &[*nlri]);
    }
    lab.settle();
    assert_eq!(warnings(&lab), 1);
    assert!(lab.remotes[&a].closed.is_none());
    assert_eq!(lab.peer_counters(a).received, 20);
}

#[test]
fn max_prefixes_accepted_counts_behind_the_policy() {
    let mut lab = Lab::new(settings());
    let mut peer = external(1);
    peer.policy.max_prefixes_accepted = Some(1);
    peer.policy.enforce_first_as = true;
    let [e] = lab.up([peer])[..] else { panic!() };
    lab.announce_nlri(e, &path("65002", "10.0.0.1"), &many(10));
    lab.announce(e, &path("65001", "10.0.0.1"), &["192.0.2.0/24"]);
    assert!(lab.remotes[&e].closed.is_none());
    assert_eq!(
        (lab.peer_counters(e).received, lab.peer_counters(e).accepted),
        (11, 1)
    );
    lab.announce(e, &path("65001", "10.0.0.1"), &["198.51.100.0/24"]);
    assert_eq!(
        lab.remotes[&e].closed.as_ref().unwrap().1,
        None,
        "until an operator resets it"
    );
}

/// The whole set decides, whatever the order in which it came.
#[test]
fn the_med_trap_has_one_winner_at_rib_level() {
    let routes = [(1, "65001", 20), (2, "65002", 5), (3, "65001", 10)];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut lab = Lab::new(settings());
        let peers = lab.up([client(1), client(2), client(3)]);
        for at in order {
            let (n, as_path, med) = routes[at];
            let attributes = PathAttributes {
                med: Some(med),
                local_pref: Some(100),
                ..path(as_path, &format!("10.0.0.{n}"))
            };
            lab.announce(peers[at], &attributes, &["192.0.2.0/24"]);
        }
        let story = lab.why("192.0.2.0/24");
        assert_eq!(&*story.paths[0].route.source, "p2", "{order:?}");
    }
}

/// RFC 9774 §3, for those who want it; the change asks for what was read in the other way.
#[test]
fn paths_with_sets_are_withdrawn_where_that_is_configured() {
    let mut lab = Lab::new(settings());
    let [from, to] = lab.up([external(1), client(2)])[..] else {
        panic!("two");
    };
    let set = path("65001 {65010 65011}", "10.0.0.1");
    lab.announce(from, &set, &["20.0.0.0/24"]);
    assert_eq!(lab.holds(to), ["20.0.0.0/24"]);
    let mut policy = external(1).policy;
    policy.as_sets = bgp_codec::AsSets::TreatAsWithdraw;
    lab.input(Input::Reconfigure {
        peer: from,
        policy: Box::new(policy),
    });
    let asked = [Family::IPV4_UNICAST, Family::IPV6_UNICAST].map(|family| (from, family));
    assert_eq!(lab.asked, asked);
    lab.announce(from, &set, &["20.0.0.0/24"]);
    assert_eq!(lab.holds(to), Vec::<String>::new());
    assert_eq!(lab.peer_counters(from).malformed, 1);
    lab.announce(from, &path("65001 65010", "10.0.0.1"), &["20.0.0.0/24"]);
    assert_eq!(lab.holds(to), ["20.0.0.0/24"]);
}
