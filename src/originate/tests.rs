use super::settings::KernelMatch;
use super::*;
use crate::route::{KernelRoute, KernelRouteKind};

const BIRD: u8 = 12;
const OURS: u8 = 179;

#[test]
fn a_full_set_yields_exactly_the_difference() {
    let mut originator = Originator::new(OURS);
    originator.reconfigure(vec![fixed("a", &["10.0.0.0/16", "10.1.0.0/16"], false)]);
    assert_eq!(
        drain(&mut originator),
        ["+static:a 10.0.0.0/16", "+static:a 10.1.0.0/16"]
    );
    originator.reconfigure(vec![fixed("a", &["10.1.0.0/16", "10.2.0.0/16"], false)]);
    assert_eq!(
        drain(&mut originator),
        ["-static:a 10.0.0.0/16", "+static:a 10.2.0.0/16"]
    );
    originator.reconfigure(vec![fixed("a", &["10.1.0.0/16", "10.2.0.0/16"], true)]);
    assert_eq!(
        drain(&mut originator),
        [""; 0],
        "a discard route beneath changes nothing that is announced"
    );
    originator.reconfigure(vec![]);
    assert_eq!(
        drain(&mut originator),
        ["-static:a 10.1.0.0/16", "-static:a 10.2.0.0/16"]
    );
}

#[test]
fn changed_attributes_are_announced_without_a_withdraw() {
    let mut originator = Originator::new(OURS);
    originator.reconfigure(vec![fixed("a", &["10.0.0.0/16"], false)]);
    drain(&mut originator);
    let mut source = fixed("a", &["10.0.0.0/16"], false);
    source.med = Some(7);
    originator.reconfigure(vec![source]);
    let Some(LocalChange::Announce(route)) = originator.poll_output() else {
        panic!("nothing announced")
    };
    assert_eq!(route.attributes.med, Some(7));
    assert_eq!(originator.poll_output(), None);
    assert!(originator.take_own_prefixes().removed.is_empty());
}

#[test]
fn kernel_routes_of_several_metrics_are_one_announcement() {
    let mut originator = Originator::new(OURS);
    originator.reconfigure(vec![kernel("k", any())]);
    originator.kernel_changed(KernelTableChange::Full(vec![
        route("10.0.0.0/24", 200),
        route("10.0.0.0/24", 100),
    ]));
    assert_eq!(drain(&mut originator), ["+kernel:k 10.0.0.0/24 metric 100"]);
    originator.kernel_changed(removed("10.0.0.0/24", 100));
    assert_eq!(drain(&mut originator), ["+kernel:k 10.0.0.0/24 metric 200"]);
    originator.kernel_changed(KernelTableChange::Added(route("10.0.0.0/24", 300)));
    assert_eq!(drain(&mut originator), [""; 0]);
    originator.kernel_changed(removed("10.0.0.0/24", 200));
    originator.kernel_changed(removed("10.0.0.0/24", 300));
    assert_eq!(
        drain(&mut originator),
        ["+kernel:k 10.0.0.0/24 metric 300", "-kernel:k 10.0.0.0/24"]
    );
}

#[test]
fn a_full_table_after_an_overrun_yields_only_what_was_missed() {
    let mut originator = Originator::new(OURS);
    originator.reconfigure(vec![kernel("k", any())]);
    assert!(!originator.is_complete());
    originator.kernel_changed(KernelTableChange::Full(vec![
        route("10.0.0.0/24", 0),
        route("10.0.1.0/24", 0),
    ]));
    assert!(originator.is_complete());
    drain(&mut originator);
    originator.kernel_changed(KernelTableChange::Full(vec![
        route("10.0.1.0/24", 0),
        route("10.0.2.0/24", 0),
    ]));
    assert_eq!(
        drain(&mut originator),
        ["-kernel:k 10.0.0.0/24", "+kernel:k 10.0.2.0/24 metric 0"]
    );
}

/// Trap 21.
#[test]
fn a_route_that_we_install_is_not_imported_again() {
    let mut originator = Originator::new(OURS);
    originator.reconfigure(vec![kernel("k", any())]);
    let mut ours = route("10.0.0.0/24", 200);
    ours.protocol = OURS;
    originator.kernel_changed(KernelTableChange::Full(vec![ours.clone()]));
    originator.kernel_changed(KernelTableChange::Added(ours.clone()));
    assert_eq!(drain(&mut originator), [""; 0]);
    originator.kernel_changed(KernelTableChange::Added(route("10.0.0.0/24", 200)));
    assert_eq!(drain(&mut originator), ["+kernel:k 10.0.0.0/24 metric 200"]);
    originator.kernel_changed(KernelTableChange::Added(ours));
    assert_eq!(
        drain(&mut originator),
        ["-kernel:k 10.0.0.0/24"],
        "ours took its place"
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn every_condition_of_a_kernel_source_must_hold() {
    let blackhole = KernelMatch {
        kinds: vec![KernelRouteKind::Blackhole],
        within: vec!["10.244.0.0/16".parse().unwrap()],
        le: Some(26),
        ..any()
    };
    let block = KernelRoute {
        kind: KernelRouteKind::Blackhole,
        ..route("10.244.0.0/24", 0)
    };
    check(&blackhole, &block, true);
    check(&blackhole, &route("10.244.0.0/24", 0), false);
    check(
        &blackhole,
        &KernelRoute {
            prefix: "10.244.0.76/32".parse().unwrap(),
            ..block.clone()
        },
        false,
    );
    check(
        &blackhole,
        &KernelRoute {
            prefix: "10.245.0.0/24".parse().unwrap(),
            ..block.clone()
        },
        false,
    );
    check(
        &KernelMatch {
            protocols: vec![BIRD],
            ..any()
        },
        &block,
        true,
    );
    check(
        &KernelMatch {
            protocols: vec![4],
            ..any()
        },
        &block,
        false,
    );
    let marked = KernelRoute {
        realm: 7,
        ..route("10.0.0.0/8", 10)
    };
    for (realm, expected) in [((7, 7), true), ((1, 9), true), ((0, 6), false)] {
        let wanted = KernelMatch {
            realm: Some(realm),
            ..any()
        };
        check(&wanted, &marked, expected);
    }
    check(
        &KernelMatch {
            metric: Some((0, 9)),
            ..any()
        },
        &route("10.0.0.0/8", 10),
        false,
    );
    check(
        &KernelMatch {
            metric: Some((0, 10)),
            ..any()
        },
        &route("10.0.0.0/8", 10),
        true,
    );
    check(
        &KernelMatch {
            table: TableId(100),
            ..any()
        },
        &route("10.0.0.0/8", 0),
        false,
    );
    check(
        &KernelMatch {
            interfaces: vec!["cali*".to_owned()],
            ..any()
        },
        &route("10.0.0.0/8", 0),
        false,
    );
    check(
        &KernelMatch {
            interfaces: vec!["eth*".to_owned()],
            ..any()
        },
        &route("10.0.0.0/8", 0),
        true,
    );
    check(
        &KernelMatch {
            scopes: vec![253],
            ..any()
        },
        &route("10.0.0.0/8", 0),
        false,
    );
    check(
        &any(),
        &KernelRoute {
            kind: KernelRouteKind::Local,
            ..route("10.0.0.1/32", 0)
        },
        false,
    );
    check(&any(), &route("fe80::/64", 256), false);
    check(&any(), &route("ff00::/8", 256), false);
    check(&any(), &route("::/0", 0), true);
    check(&any(), &route("2001:db8::/32", 0), true);
}

#[test]
fn a_prefix_is_ours_while_any_source_announces_it() {
    let mut originator = Originator::new(OURS);
    originator.reconfigure(vec![
        fixed("a", &["10.0.0.0/16"], false),
        fixed("b", &["10.0.0.0/16"], true),
    ]);
    let prefix: Prefix = "10.0.0.0/16".parse().unwrap();
    assert_eq!(
        originator.take_own_prefixes(),
        OwnPrefixes {
            added: [prefix].into(),
            removed: [].into()
        }
    );
    assert_eq!(originator.discard_prefixes(), [prefix]);
    originator.reconfigure(vec![fixed("a", &["10.0.0.0/16"], false)]);
    assert!(originator.take_own_prefixes().is_empty());
    assert!(originator.discard_prefixes().is_empty());
    originator.reconfigure(vec![]);
    assert_eq!(
        originator.take_own_prefixes(),
        OwnPrefixes {
            added: [].into(),
            removed: [prefix].into()
        }
    );
}

#[test]
fn a_vip_is_a_source_that_reloads_leave_alone() {
    let mut originator = Originator::new(OURS);
    let name: Arc<str> = "shop".into();
    let shop = vip_route(&name, "172.16.99.10/32".parse().unwrap(), Arc::default());
    originator.set_source(OriginKind::Vip, &name, vec![shop]);
    assert_eq!(drain(&mut originator), ["+vip:shop 172.16.99.10/32"]);
    originator.reconfigure(vec![]);
    assert_eq!(drain(&mut originator), [""; 0]);
    originator.set_source(OriginKind::Vip, &name, vec![]);
    assert_eq!(drain(&mut originator), ["-vip:shop 172.16.99.10/32"]);
}

#[test]
fn origin_says_how_a_route_was_learned() {
    let mut originator = Originator::new(OURS);
    originator.reconfigure(vec![kernel("k", any()), fixed("s", &["10.9.0.0/16"], false)]);
    originator.kernel_changed(KernelTableChange::Full(vec![route("10.0.0.0/24", 0)]));
    let mut origins = BTreeMap::new();
    while let Some(change) = originator.poll_output() {
        let LocalChange::Announce(route) = change else {
            panic!("{change:?}")
        };
        origins.insert(route.name.to_string(), route.attributes.origin);
    }
    let expected = [
        ("k".to_owned(), Origin::Incomplete),
        ("s".to_owned(), Origin::Igp),
    ];
    assert_eq!(origins, BTreeMap::from(expected));
}

fn check(wanted: &KernelMatch, route: &KernelRoute, expected: bool) {
    let mut originator = Originator::new(OURS);
    originator.reconfigure(vec![kernel("k", wanted.clone())]);
    originator.kernel_changed(KernelTableChange::Full(vec![]));
    originator.kernel_changed(KernelTableChange::Added(route.clone()));
    assert_eq!(
        originator.poll_output().is_some(),
        expected,
        "{wanted:?} {route:?}"
    );
}

fn drain(originator: &mut Originator) -> Vec<String> {
    std::iter::from_fn(|| originator.poll_output())
        .map(|change| match change {
            LocalChange::Announce(route) => {
                let metric = route
                    .from_kernel
                    .map(|facts| format!(" metric {}", facts.metric))
                    .unwrap_or_default();
                format!("+{}:{} {}{metric}", route.kind, route.name, route.prefix)
            }
            LocalChange::Withdraw { kind, name, prefix } => format!("-{kind}:{name} {prefix}"),
        })
        .collect()
}

fn fixed(name: &str, prefixes: &[&str], discard: bool) -> Source {
    let prefixes = prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect();
    source(name, From::Prefixes { prefixes, discard })
}

fn kernel(name: &str, wanted: KernelMatch) -> Source {
    source(name, From::Kernel(wanted))
}

fn source(name: &str, from: From) -> Source {
    Source {
        name: name.into(),
        from,
        communities: vec![],
        large_communities: vec![],
        med: None,
    }
}

fn any() -> KernelMatch {
    KernelMatch {
        table: TableId::MAIN,
        kinds: vec![],
        protocols: vec![],
        scopes: vec![],
        interfaces: vec![],
        within: vec![],
        ge: None,
        le: None,
        metric: None,
        realm: None,
    }
}

fn route(prefix: &str, metric: u32) -> KernelRoute {
    KernelRoute {
        table: TableId::MAIN,
        prefix: prefix.parse().unwrap(),
        metric,
        kind: KernelRouteKind::Unicast,
        protocol: BIRD,
        scope: 0,
        interface: Some("eth0".into()),
        gateway: None,
        realm: 0,
    }
}

fn removed(prefix: &str, metric: u32) -> KernelTableChange {
    KernelTableChange::Removed {
        table: TableId::MAIN,
        prefix: prefix.parse().unwrap(),
        metric,
    }
}
