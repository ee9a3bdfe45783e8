use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::net::Ipv4Addr;
use std::sync::Arc;

use bgp_codec::{AsPathBuf, Community, LargeCommunity, Origin, PathAttributes};

use super::*;

#[test]
fn first_accept_or_reject_ends() {
    let chain = Chain::new(vec![
        filter(
            "a",
            Fallthrough::Next,
            vec![rule(prefix("10.0.0.0/8 ge 32"), Action::Reject)],
        ),
        filter(
            "b",
            Fallthrough::Accept,
            vec![rule(prefix("10.0.0.0/8"), Action::Reject)],
        ),
    ]);
    check(&chain, "10.0.0.1/32", false, "rule 1 of filter a (test.toml:11)");
    check(&chain, "10.0.0.0/8", false, "rule 1 of filter b (test.toml:11)");
    check(&chain, "11.0.0.0/8", true, "default of filter b (test.toml:10)");
}

#[test]
fn end_of_filters_rejects() {
    let chain = Chain::new(vec![filter("a", Fallthrough::Next, vec![])]);
    check(&chain, "10.0.0.0/8", false, "end of filters: none accepted");
    check(
        &Chain::new(vec![]),
        "10.0.0.0/8",
        false,
        "end of filters: none accepted",
    );
}

#[test]
fn chains_without_filters_say_why() {
    check(&Chain::no_policy(), "10.0.0.0/8", false, "no filters: RFC 8212");
    check(
        &Chain::accept_all(),
        "10.0.0.0/8",
        true,
        "no filter needed (iBGP)",
    );
    assert!(Chain::no_policy().is_no_policy() && !Chain::accept_all().is_no_policy());
}

#[test]
fn guard_refuses_before_the_filters() {
    let chain = Chain::accept_all().guarded(ImportGuard::default());
    check(
        &chain,
        "0.0.0.0/0",
        false,
        "default route: accepted only with `accept_default_route`",
    );
    check(
        &chain,
        "::/0",
        false,
        "default route: accepted only with `accept_default_route`",
    );
    check(
        &chain,
        "127.1.0.0/16",
        false,
        "martian prefix: never accepted from a peer",
    );
    check(&chain, "10.0.0.0/8", true, "no filter needed (iBGP)");
    let some = Chain::accept_all().guarded(ImportGuard {
        accept_martians: vec!["127.1.0.0/16".parse().unwrap()],
        ..ImportGuard::default()
    });
    check(&some, "127.1.2.0/24", true, "no filter needed (iBGP)");
    for refused in ["127.0.0.0/8", "127.2.0.0/16"] {
        check(
            &some,
            refused,
            false,
            "martian prefix: never accepted from a peer",
        );
    }
    let trusting = Chain::no_policy().guarded(ImportGuard {
        accept_default_route: true,
        ..ImportGuard::default()
    });
    check(&trusting, "0.0.0.0/0", false, "no filters: RFC 8212");
    assert!(trusting.is_no_policy());
}

#[test]
fn continue_collects_edits_in_order() {
    let mut first = rule(Condition::always(), Action::Continue);
    first.edits = Edits::new(vec![Edit::LocalPref(200)]);
    let mut second = rule(prefix("10.0.0.0/8"), Action::Accept);
    second.edits = Edits::new(vec![Edit::Med(5)]);
    let last = rule(Condition::always(), Action::Accept);
    let chain = Chain::new(vec![filter("a", Fallthrough::Next, vec![first, second, last])]);
    assert_eq!(edits(&chain, "10.0.0.0/8"), [Edit::LocalPref(200), Edit::Med(5)]);
    assert_eq!(edits(&chain, "11.0.0.0/8"), [Edit::LocalPref(200)]);
    assert!(!chain.is_drop_only());
}

#[test]
fn a_rejected_route_carries_no_edits() {
    let mut first = rule(Condition::always(), Action::Continue);
    first.edits = Edits::new(vec![Edit::LocalPref(200)]);
    let chain = Chain::new(vec![filter("a", Fallthrough::Reject, vec![first])]);
    assert!(edits(&chain, "10.0.0.0/8").is_empty());
}

#[test]
fn sources_match_by_kind_and_by_name() {
    let kernel = Source::Local {
        kind: OriginKind::Kernel,
        name: "pod-blocks",
    };
    let peer = Source::Peer {
        name: "f5-a",
        group: Some("adcs"),
        address: Ipv4Addr::new(172, 16, 40, 202).into(),
        asn: Asn(64_512),
        kind: PeerKind::Internal,
        role: None,
    };
    let name = |name: &str| SourcePattern::Name(name.into());
    for (pattern, of_kernel, of_peer) in [
        (SourcePattern::Local, true, false),
        (SourcePattern::Kind(OriginKind::Kernel), true, false),
        (SourcePattern::Kind(OriginKind::Vip), false, false),
        (name("pod-blocks"), true, false),
        (name("f5-a"), false, false),
        (SourcePattern::Internal, false, true),
        (SourcePattern::External, false, false),
    ] {
        let condition = Condition::Source(vec![pattern.clone()]);
        assert_eq!(matches_from(&condition, kernel), of_kernel, "{pattern:?}");
        assert_eq!(matches_from(&condition, peer), of_peer, "{pattern:?}");
    }
    assert!(matches_from(
        &Condition::Peer(vec!["x".into(), "f5-a".into()]),
        peer
    ));
    assert!(!matches_from(&Condition::Peer(vec!["pod-blocks".into()]), kernel));
    assert!(matches_from(&Condition::Group(vec!["adcs".into()]), peer));
    assert!(!matches_from(&Condition::Group(vec!["nodes".into()]), peer));
}

#[test]
fn attributes_are_looked_at() {
    let community = |text: &str| Condition::Community(vec![text.parse().unwrap()]);
    let large = |text: &str| Condition::LargeCommunity(vec![text.parse().unwrap()]);
    let as_path = |text: &str| Condition::AsPath(vec![text.parse().unwrap()]);
    let next_hop = |text: &str| Condition::NextHop(PrefixSet::new(vec![text.parse().unwrap()]));
    for (condition, expected) in [
        (community("64512:*"), true),
        (community("64513:*"), false),
        (large("64512:1:*"), true),
        (large("64512:2:*"), false),
        (as_path("^65001_"), true),
        (as_path("_65003$"), true),
        (as_path("^65003"), false),
        (next_hop("192.0.2.0/24 ge 32"), true),
        (next_hop("198.51.100.0/24 ge 32"), false),
        (Condition::Origin(vec![Origin::Egp, Origin::Igp]), true),
        (Condition::Origin(vec![Origin::Incomplete]), false),
        (Condition::Med(7), true),
        (Condition::Med(0), false),
        (Condition::LocalPref(100), true),
        (Condition::LocalPref(0), false),
        (
            Condition::Family([Family::IPV4_UNICAST].into_iter().collect()),
            true,
        ),
        (
            Condition::Family([Family::IPV6_UNICAST].into_iter().collect()),
            false,
        ),
    ] {
        assert_eq!(matches(&condition), expected, "{condition:?}");
        assert_eq!(
            matches(&Condition::Not(Box::new(condition.clone()))),
            !expected,
            "not {condition:?}"
        );
    }
}

#[test]
fn any_and_all_combine() {
    let (yes, no) = (Condition::Med(7), Condition::Med(8));
    assert!(matches(&Condition::Any(vec![no.clone(), yes.clone()])));
    assert!(!matches(&Condition::Any(vec![no.clone()])));
    assert!(!matches(&Condition::Any(vec![])));
    assert!(!matches(&Condition::All(vec![yes.clone(), no])));
    assert!(matches(&Condition::All(vec![yes])));
    assert!(matches(&Condition::always()));
}

#[test]
fn edits_change_what_they_name() {
    let mut attributes = attributes();
    let list = vec![
        Edit::LocalPref(300),
        Edit::RemoveMed,
        Edit::Origin(Origin::Incomplete),
        Edit::Prepend { asn: None, count: 2 },
        Edit::Prepend {
            asn: Some(Asn(65_009)),
            count: 1,
        },
        Edit::RemoveCommunities(vec!["64512:*".parse().unwrap()]),
        Edit::AddCommunities(vec![
            Community::NO_EXPORT,
            Community::new(1, 2),
            Community::NO_EXPORT,
        ]),
        Edit::SetLargeCommunities(vec![LargeCommunity {
            global: 1,
            local1: 2,
            local2: 3,
        }]),
        Edit::NextHop(NextHopEdit::Unchanged),
        Edit::NextHop(NextHopEdit::Own),
    ];
    let edits = Edits::new(list);
    edits.apply(&mut attributes, Asn(64_512));
    let expected = PathAttributes {
        origin: Origin::Incomplete,
        as_path: "65009 64512 64512 65001 65002 65003".parse().unwrap(),
        local_pref: Some(300),
        communities: vec![Community::new(1, 2), Community::NO_EXPORT],
        large_communities: vec![LargeCommunity {
            global: 1,
            local1: 2,
            local2: 3,
        }],
        ..PathAttributes::default()
    };
    assert_eq!(attributes, expected);
    assert_eq!(edits.next_hop(), Some(NextHopEdit::Own));
    assert!(Edits::new(vec![]).is_empty() && Edits::NONE.next_hop().is_none());
}

#[test]
fn chains_are_equal_by_content_wherever_they_stand() {
    let here = Chain::new(vec![filter(
        "a",
        Fallthrough::Next,
        vec![rule(prefix("10.0.0.0/8"), Action::Accept)],
    )]);
    let mut moved = filter(
        "a",
        Fallthrough::Next,
        vec![rule(prefix("10.0.0.0/8"), Action::Accept)],
    );
    let inner = Arc::make_mut(&mut moved);
    inner.location = location(99);
    inner.rules[0].location = location(100);
    let there = Chain::new(vec![moved]);
    assert_eq!(here, there);
    assert_eq!(hash(&here), hash(&there));
    let other = Chain::new(vec![filter(
        "a",
        Fallthrough::Next,
        vec![rule(prefix("10.0.0.0/9"), Action::Accept)],
    )]);
    assert_ne!(here, other);
    assert_ne!(here, here.clone().guarded(ImportGuard::default()));
    assert_ne!(Chain::accept_all(), Chain::no_policy());
    assert!(here.is_drop_only());
}

fn check(chain: &Chain, prefix: &str, accept: bool, reason: &str) {
    let verdict = evaluate(chain, prefix);
    assert_eq!(
        (verdict.accept, verdict.reason.to_string().as_str()),
        (accept, reason),
        "{prefix}"
    );
}

fn edits(chain: &Chain, prefix: &str) -> Vec<Edit> {
    evaluate(chain, prefix).edits.as_slice().to_vec()
}

fn evaluate(chain: &Chain, prefix: &str) -> Verdict {
    with_view(
        prefix,
        Source::Local {
            kind: OriginKind::Static,
            name: "x",
        },
        |view| chain.evaluate(view),
    )
}

fn matches(condition: &Condition) -> bool {
    matches_from(
        condition,
        Source::Local {
            kind: OriginKind::Static,
            name: "x",
        },
    )
}

fn matches_from(condition: &Condition, source: Source<'_>) -> bool {
    with_view("10.0.0.0/8", source, |view| condition.matches(view))
}

fn with_view<T>(prefix: &str, source: Source<'_>, look: impl FnOnce(&RouteView<'_>) -> T) -> T {
    let mut block = Vec::new();
    attributes().encode_canonical(&mut block);
    let prefix: Prefix = prefix.parse().unwrap();
    look(&RouteView {
        prefix,
        family: if prefix.addr().is_ipv4() {
            Family::IPV4_UNICAST
        } else {
            Family::IPV6_UNICAST
        },
        source,
        attributes: &CanonicalBlock::new(&block),
        next_hop: Some(NextHop::V4(Ipv4Addr::new(192, 0, 2, 1))),
        from_kernel: None,
        next_hop_metric: None,
        marks: Marks::default(),
        local_asn: Asn(64_512),
    })
}

/// No LOCAL_PREF: an absent one counts as 100.
fn attributes() -> PathAttributes {
    PathAttributes {
        as_path: AsPathBuf::from_sequence([65_001, 65_002, 65_003].map(Asn)),
        med: Some(7),
        communities: vec![Community::new(64_512, 100), Community::new(1, 2)],
        large_communities: vec![LargeCommunity {
            global: 64_512,
            local1: 1,
            local2: 9,
        }],
        ..PathAttributes::default()
    }
}

fn prefix(pattern: &str) -> Condition {
    Condition::Prefix(PrefixSet::new(vec![pattern.parse().unwrap()]))
}

fn rule(condition: Condition, action: Action) -> Rule {
    Rule {
        location: location(11),
        condition,
        action,
        edits: Edits::NONE,
    }
}

fn filter(name: &str, default: Fallthrough, rules: Vec<Rule>) -> Arc<Filter> {
    Arc::new(Filter {
        name: name.into(),
        rules,
        default,
        location: location(10),
    })
}

fn location(line: u32) -> Place {
    Location {
        file: "test.toml".into(),
        line,
    }
    .into()
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn later_rules_see_what_continue_rules_have_set() {
    let marked = |filters: Vec<Arc<Filter>>| {
        with_view(
            "10.0.0.0/8",
            Source::Local {
                kind: OriginKind::Static,
                name: "x",
            },
            |view| Chain::new(filters).evaluate(view),
        )
    };
    let mark = || {
        let edits = vec![
            Edit::AddCommunities(vec![Community::new(9, 9)]),
            Edit::LocalPref(300),
            Edit::AddMed(10),
            Edit::Prepend { asn: None, count: 1 },
        ];
        Rule {
            edits: Edits::new(edits),
            ..rule(prefix("10.0.0.0/8"), Action::Continue)
        }
    };
    let sees = Condition::All(vec![
        Condition::Community(vec!["9:9".parse().unwrap()]),
        Condition::LocalPref(300),
        Condition::Med(17),
        Condition::FirstAsn(vec![Asn(64_512)]),
    ]);
    let accept = || rule(sees.clone(), Action::Accept);
    // In the same filter, and in the next one.
    let same = marked(vec![filter("a", Fallthrough::Reject, vec![mark(), accept()])]);
    let next = marked(vec![
        filter("a", Fallthrough::Next, vec![mark()]),
        filter("b", Fallthrough::Reject, vec![accept()]),
    ]);
    let before = marked(vec![filter("a", Fallthrough::Reject, vec![accept(), mark()])]);
    assert!(same.accept && next.accept && !before.accept);
    assert_eq!(same.edits.as_slice().len(), 4);
}

#[test]
fn a_filter_asked_by_another_decides_and_sets_nothing() {
    let inner = filter(
        "inner",
        Fallthrough::Next,
        vec![Rule {
            edits: Edits::new(vec![Edit::LocalPref(7)]),
            ..rule(prefix("10.0.0.0/8 le 24"), Action::Accept)
        }],
    );
    let outer = Chain::new(vec![filter(
        "outer",
        Fallthrough::Reject,
        vec![rule(Condition::Filter(inner), Action::Accept)],
    )]);
    let verdict = |prefix: &str| {
        with_view(
            prefix,
            Source::Local {
                kind: OriginKind::Static,
                name: "x",
            },
            |view| outer.evaluate(view),
        )
    };
    assert!(verdict("10.1.0.0/16").accept);
    assert!(verdict("10.1.0.0/16").edits.is_empty());
    assert!(!verdict("11.0.0.0/8").accept);
}

#[test]
fn med_comes_from_the_kernel_where_there_is_one() {
    let chain = Chain::new(vec![filter(
        "f",
        Fallthrough::Reject,
        vec![Rule {
            edits: Edits::new(vec![Edit::MedFromIgp]),
            ..rule(Condition::always(), Action::Accept)
        }],
    )]);
    let med = |metric: Option<u32>| {
        with_view(
            "10.0.0.0/8",
            Source::Local {
                kind: OriginKind::Kernel,
                name: "x",
            },
            |view| {
                let verdict = chain.evaluate(&RouteView {
                    from_kernel: metric.map(|metric| FromKernel { metric, realm: 0 }),
                    ..*view
                });
                let mut attributes = attributes();
                verdict.edits.apply(&mut attributes, Asn(64_512));
                attributes.med
            },
        )
    };
    assert_eq!((med(Some(1024)), med(None)), (Some(1024), Some(7)));
}

#[test]
fn conditions_on_what_the_kernel_says_and_first_as() {
    with_view(
        "10.0.0.0/8",
        Source::Local {
            kind: OriginKind::Kernel,
            name: "x",
        },
        |view| {
            let route = RouteView {
                from_kernel: Some(FromKernel {
                    metric: 1023,
                    realm: 7,
                }),
                ..*view
            };
            assert!(Condition::KernelMetric(0, 1023).matches(&route));
            assert!(!Condition::KernelMetric(1024, 2000).matches(&route));
            assert!(!Condition::KernelMetric(0, u32::MAX).matches(view));
            assert!(Condition::KernelRealm(7, 7).matches(&route));
            assert!(!Condition::KernelRealm(0, 6).matches(&route));
            assert!(!Condition::KernelRealm(0, u32::MAX).matches(view));
            assert!(Condition::FirstAsn(vec![Asn(65_001)]).matches(view));
            assert!(!Condition::FirstAsn(vec![Asn(65_002)]).matches(view));
        },
    );
}

#[test]
fn equal_filters_are_shared_and_move_together() {
    let running = filter(
        "a",
        Fallthrough::Next,
        vec![rule(prefix("10.0.0.0/8"), Action::Accept)],
    );
    let mut wanted = filter(
        "a",
        Fallthrough::Next,
        vec![rule(prefix("10.0.0.0/8"), Action::Accept)],
    );
    let inner = Arc::make_mut(&mut wanted);
    inner.location = location(20);
    inner.rules[0].location = location(21);
    let mut chain = Chain::new(vec![wanted.clone()]);
    chain.share(&[Arc::clone(&running)]);
    assert!(Arc::ptr_eq(&chain.filters()[0], &running));
    running.move_to(&wanted);
    assert_eq!(chain.filters()[0].rules[0].location.to_string(), "test.toml:21");
}
