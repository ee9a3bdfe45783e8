//! The border to another AS: local-as, as-override, private numbers, roles.

use bgp_codec::Role;

use super::*;
use crate::policy::{Edit, Edits};

/// An external peer that knows us as AS 65099.
fn known_as(n: u8, rules: AsPathPolicy) -> Peer {
    let mut peer = external(n);
    peer.local_asn = Asn(65_099);
    peer.policy.as_path = rules;
    peer
}

fn with_rules(n: u8, rules: AsPathPolicy) -> Peer {
    let mut peer = external(n);
    peer.policy.as_path = rules;
    peer
}

fn with_role(n: u8, role: Role) -> Peer {
    let mut peer = external(n);
    peer.negotiated.role = Some(role);
    peer
}

/// The path that `to` is sent for a route that `from` sends with this one.
fn path_between(from: Peer, to: Peer, sent: &str) -> String {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([from, to])[..] else { panic!() };
    lab.announce(a, &path(sent, "10.0.0.1"), &["192.0.2.0/24"]);
    lab.held(b, "192.0.2.0/24").as_path.to_string()
}

/// RFC 7705 §3.
#[test]
fn another_local_as_is_seen_on_both_sides_unless_told_otherwise() {
    let rules = |no_prepend, replace_as| AsPathPolicy {
        no_prepend,
        replace_as,
        ..AsPathPolicy::default()
    };
    assert_eq!(
        path_between(client(1), known_as(2, rules(false, false)), "65009"),
        "65099 64512 65009"
    );
    assert_eq!(
        path_between(client(1), known_as(2, rules(false, true)), "65009"),
        "65099 65009"
    );
    assert_eq!(
        path_between(known_as(1, rules(false, false)), client(2), "65001 65009"),
        "65099 65001 65009"
    );
    assert_eq!(
        path_between(known_as(1, rules(true, false)), client(2), "65001 65009"),
        "65001 65009"
    );
}

#[test]
fn as_override_puts_our_as_in_the_place_of_the_peers() {
    let rules = AsPathPolicy {
        as_override: true,
        ..AsPathPolicy::default()
    };
    assert_eq!(
        path_between(external(1), with_rules(2, rules), "65001 65002 65002 65003"),
        "64512 65001 64512 64512 65003"
    );
}

/// RFC 6996.
#[test]
fn private_numbers_go_or_are_replaced_but_for_the_peers_own() {
    let sent = "65001 3356 64600 4200000001 65002";
    let rules = |remove_private| AsPathPolicy {
        remove_private,
        ..AsPathPolicy::default()
    };
    assert_eq!(
        path_between(external(1), with_rules(2, rules(RemovePrivate::Remove)), sent),
        "64512 3356 65002"
    );
    assert_eq!(
        path_between(external(1), with_rules(2, rules(RemovePrivate::Replace)), sent),
        "64512 64512 3356 64512 64512 65002"
    );
}

/// What policy prepends is ours: no rule about paths that others made touches it.
#[test]
fn prepends_of_the_export_policy_stand_behind_every_rule_about_the_path() {
    let sent = "65001 64600 65002";
    let replace = AsPathPolicy {
        remove_private: RemovePrivate::Replace,
        ..AsPathPolicy::default()
    };
    let remove = AsPathPolicy {
        remove_private: RemovePrivate::Remove,
        ..replace
    };
    let as_override = AsPathPolicy {
        as_override: true,
        ..AsPathPolicy::default()
    };
    let replace_as = AsPathPolicy {
        replace_as: true,
        ..AsPathPolicy::default()
    };
    for (to, expected) in [
        (
            with_rules(2, AsPathPolicy::default()),
            "64512 64512 64512 64512 65001 64600 65002",
        ),
        (with_rules(2, remove), "64512 64512 64512 64512 65002"),
        (
            with_rules(2, replace),
            "64512 64512 64512 64512 64512 64512 65002",
        ),
        (
            with_rules(2, as_override),
            "64512 64512 64512 64512 65001 64600 64512",
        ),
        (
            known_as(2, AsPathPolicy::default()),
            "65099 65099 65099 65099 64512 65001 64600 65002",
        ),
        (
            known_as(2, replace_as),
            "65099 65099 65099 65099 65001 64600 65002",
        ),
    ] {
        let mut to = to;
        let prepend = Edit::Prepend { asn: None, count: 3 };
        to.policy.export = to.policy.export.ending_with(&Edits::new(vec![prepend]));
        let rules = to.policy.as_path;
        assert_eq!(path_between(external(1), to, sent), expected, "{rules:?}");
    }
}

/// Of our own routes nothing was made by others.
#[test]
fn what_our_own_routes_are_prepended_with_stays() {
    let remove = AsPathPolicy {
        remove_private: RemovePrivate::Remove,
        ..AsPathPolicy::default()
    };
    let mut lab = Lab::new(settings());
    let [e] = lab.up([with_rules(1, remove)])[..] else {
        panic!()
    };
    lab.input(Input::Local(vec![LocalChange::Announce(LocalRoute {
        prefix: prefix("10.244.0.0/24"),
        kind: OriginKind::Vip,
        name: "shop".into(),
        attributes: Arc::new(PathAttributes {
            as_path: "64512 64512".parse().unwrap(),
            ..PathAttributes::default()
        }),
        from_kernel: None,
    })]));
    lab.settle();
    assert_eq!(
        lab.held(e, "10.244.0.0/24").as_path.to_string(),
        "64512 64512 64512"
    );
}

/// A rule that changes the bytes splits the group; a change of it is a difference and no new session.
#[test]
fn as_path_rules_are_live() {
    let mut lab = Lab::new(settings());
    let [a, b, c] = lab.up([client(1), external(2), external(3)])[..] else {
        panic!()
    };
    lab.announce(a, &path("3356 64600", "10.0.0.1"), &["192.0.2.0/24"]);
    lab.forget_said();
    let policy = with_rules(
        2,
        AsPathPolicy {
            remove_private: RemovePrivate::Remove,
            ..AsPathPolicy::default()
        },
    )
    .policy;
    lab.input(Input::Reconfigure {
        peer: b,
        policy: Box::new(policy),
    });
    lab.settle();
    assert_eq!(lab.held(b, "192.0.2.0/24").as_path.to_string(), "64512 3356");
    assert_eq!(lab.said(c), []);
}

/// RFC 9234 §5, on receipt.
#[test]
fn routes_that_leak_to_us_are_not_used() {
    let marked = |asn| PathAttributes {
        only_to_customer: Some(Asn(asn)),
        ..path("65001 65009", "10.0.0.1")
    };
    for (role, asn, used) in [
        (Role::Provider, 65_009, false),
        (Role::RouteServer, 65_001, false),
        (Role::Peer, 65_009, false),
        (Role::Peer, 65_001, true),
        (Role::Customer, 65_009, true),
        (Role::RouteServerClient, 65_009, true),
    ] {
        let mut lab = Lab::new(settings());
        let [a] = lab.up([with_role(1, role)])[..] else {
            panic!()
        };
        lab.announce(a, &marked(asn), &["192.0.2.0/24"]);
        assert_eq!(lab.fib.len(), usize::from(used), "{role:?} {asn}");
        let why = lab.why("192.0.2.0/24").paths[0].route.unusable.clone();
        assert_eq!(
            why.is_some_and(|why| why.contains("route leak")),
            !used,
            "{role:?} {asn}"
        );
    }
}

/// RFC 9234 §5: marked on receipt, so that every router of our AS knows.
#[test]
fn what_comes_from_above_goes_to_customers_alone() {
    for (role, marked) in [
        (Role::Customer, Some(Asn(65_001))),
        (Role::Peer, Some(Asn(65_001))),
        (Role::RouteServerClient, Some(Asn(65_001))),
        (Role::Provider, None),
    ] {
        let mut lab = Lab::new(settings());
        let peers = [
            with_role(1, role),
            client(2),
            with_role(3, Role::Customer),
            with_role(4, Role::Provider),
        ];
        let [a, inside, provider, customer] = lab.up(peers)[..] else {
            panic!()
        };
        lab.announce(a, &path("65001", "10.0.0.1"), &["192.0.2.0/24"]);
        assert_eq!(
            lab.held(inside, "192.0.2.0/24").only_to_customer,
            marked,
            "{role:?}"
        );
        assert_eq!(lab.holds(provider).is_empty(), marked.is_some(), "{role:?}");
        let told = lab.held(customer, "192.0.2.0/24").only_to_customer;
        assert_eq!(told, marked.or(Some(US)), "{role:?}");
    }
}

/// RFC 9234 §5: an internal session knows no roles, and the mark of another AS is never changed.
#[test]
fn a_mark_is_never_changed() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([client(1), with_role(2, Role::Provider)])[..] else {
        panic!()
    };
    let attributes = PathAttributes {
        only_to_customer: Some(Asn(65_009)),
        ..path("65009", "10.0.0.1")
    };
    lab.announce(a, &attributes, &["192.0.2.0/24"]);
    assert_eq!(lab.held(b, "192.0.2.0/24").only_to_customer, Some(Asn(65_009)));
}

/// RFC 3765: a lateral peer, by its role, is not told; a provider is.
#[test]
fn no_peer_keeps_a_route_from_lateral_peers() {
    let mut lab = Lab::new(settings());
    let [a, peer, provider] = lab.up([client(1), with_role(2, Role::Peer), with_role(3, Role::Customer)])[..]
    else {
        panic!()
    };
    let tagged = PathAttributes {
        communities: vec![bgp_codec::Community::NO_PEER],
        ..via("10.0.0.1")
    };
    lab.announce(a, &tagged, &["192.0.2.0/24"]);
    assert_eq!((lab.holds(peer).len(), lab.holds(provider).len()), (0, 1));
}
