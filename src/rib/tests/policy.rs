//! Filters, groups and reload.

use super::*;
use crate::policy::{Action, Condition, Edit, Edits, Fallthrough, Filter, Location, PrefixPattern, Rule};

fn location(line: u32) -> crate::policy::Place {
    Location {
        file: "node.toml".into(),
        line,
    }
    .into()
}

/// Accepts what is in these prefixes and changes it so.
fn chain(prefixes: &[&str], edits: Vec<Edit>) -> Chain {
    let set = prefixes
        .iter()
        .map(|text| PrefixPattern::or_longer(prefix(text)))
        .collect();
    let rule = Rule {
        location: location(2),
        condition: Condition::Prefix(set),
        action: Action::Accept,
        edits: Edits::new(edits),
    };
    let filter = Filter {
        name: "own".into(),
        rules: vec![rule],
        default: Fallthrough::Reject,
        location: location(1),
    };
    Chain::new(vec![Arc::new(filter)])
}

fn exporting(n: u8, export: Chain) -> Peer {
    let mut peer = client(n);
    peer.policy.export = export;
    peer
}

fn reconfigure(lab: &mut Lab, peer: PeerId, policy: PeerPolicy) {
    lab.input(Input::Reconfigure {
        peer,
        policy: Box::new(policy),
    });
    lab.settle();
}

fn groups(lab: &Lab) -> usize {
    lab.rib.tables[0].groups.len()
}

#[test]
fn filters_that_only_drop_do_not_split_a_group() {
    let mut lab = Lab::new(settings());
    let peers = [
        client(1),
        exporting(2, chain(&["192.0.2.0/24"], vec![])),
        exporting(3, chain(&["198.51.100.0/24"], vec![])),
        exporting(4, chain(&["0.0.0.0/0"], vec![Edit::Med(5)])),
    ];
    let [a, b, c, d] = lab.up(peers)[..] else { panic!() };
    assert_eq!(groups(&lab), 2);
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24", "198.51.100.0/24"]);
    assert_eq!(lab.holds(b), ["192.0.2.0/24"]);
    assert_eq!(lab.holds(c), ["198.51.100.0/24"]);
    assert_eq!(lab.held(d, "192.0.2.0/24").med, Some(5));
    let story = lab.why("192.0.2.0/24");
    let reason = |name: &str| {
        story
            .exports
            .iter()
            .find(|at| &*at.peer == name)
            .unwrap()
            .reason
            .clone()
    };
    assert_eq!(reason("p2"), "accepted by rule 1 of filter own (node.toml:2)");
    assert_eq!(reason("p3"), "rejected by default of filter own (node.toml:1)");
    assert_eq!(
        (lab.peer_counters(b).advertised, lab.peer_counters(d).advertised),
        (1, 2)
    );
}

/// Trap 25.
#[test]
fn a_peer_that_accepts_few_prefixes_is_not_sent_withdraws_for_the_rest() {
    let mut lab = Lab::new(settings());
    let [a] = lab.up([client(1)])[..] else { panic!() };
    let all = many(10_000);
    lab.announce_nlri(a, &via("10.0.0.1"), &all);
    lab.settle();
    let few = chain(&["20.0.0.0/24", "20.0.1.0/24", "20.0.2.0/24"], vec![]);
    let b = lab.connect(exporting(2, few), false);
    lab.settle();
    // Churn before, during and after the first table.
    for round in 0..6 {
        lab.withdraw_nlri(a, &all[..5_000]);
        lab.settle();
        lab.announce_nlri(
            a,
            &PathAttributes {
                med: Some(round),
                ..via("10.0.0.1")
            },
            &all[..5_000],
        );
        lab.settle();
        lab.credit(b, if round == 2 { 100 } else { 10_000 });
    }
    assert_eq!(lab.holds(b).len(), 3);
    let said = lab.said(b);
    assert!(said.len() < 60, "{}", said.len());
    let ours = |said: &Said| match said {
        Said::Announce(at, _) | Said::Withdraw(at, _) => all[..3].iter().any(|nlri| nlri.prefix == *at),
        Said::EndOfRib(_) | Said::Refresh(_) => true,
    };
    assert!(said.iter().all(ours), "{said:?}");
}

#[test]
fn what_a_filter_lets_through_no_more_is_withdrawn_from_that_member_alone() {
    let mut lab = Lab::new(settings());
    let only_med_0 = {
        let rule = Rule {
            location: location(2),
            condition: Condition::Not(Box::new(Condition::Med(7))),
            action: Action::Accept,
            edits: Edits::NONE,
        };
        let filter = Filter {
            name: "no-7".into(),
            rules: vec![rule],
            default: Fallthrough::Reject,
            location: location(1),
        };
        Chain::new(vec![Arc::new(filter)])
    };
    let [a, b, c] = lab.up([client(1), client(2), exporting(3, only_med_0)])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    lab.forget_said();
    lab.announce(
        a,
        &PathAttributes {
            med: Some(7),
            ..via("10.0.0.1")
        },
        &["192.0.2.0/24"],
    );
    assert_eq!(lab.said(b), [announce("192.0.2.0/24")]);
    assert_eq!(lab.said(c), [withdraw("192.0.2.0/24")]);
    lab.announce(
        a,
        &PathAttributes {
            med: Some(7),
            local_pref: Some(50),
            ..via("10.0.0.1")
        },
        &["192.0.2.0/24"],
    );
    assert_eq!(lab.said(c), [], "dropped before and after: nothing");
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    assert_eq!(lab.said(c), [announce("192.0.2.0/24")]);
}

/// Trap 12.
#[test]
fn a_reload_of_equal_content_sends_nothing() {
    let mut lab = Lab::new(settings());
    let peers = || {
        [
            exporting(1, chain(&["0.0.0.0/0"], vec![Edit::Med(5)])),
            exporting(2, chain(&["0.0.0.0/0"], vec![])),
        ]
    };
    let [a, b] = lab.up(peers())[..] else { panic!() };
    lab.local(&["10.244.0.0/24"]);
    lab.forget_said();
    for peer in peers() {
        reconfigure(&mut lab, peer.id, peer.policy);
    }
    assert_eq!((lab.said(a), lab.said(b)), (vec![], vec![]));
}

/// Trap 12: a knob of one peer never touches another.
#[test]
fn a_filter_that_changes_tells_its_peer_the_difference_and_nobody_else_anything() {
    let mut lab = Lab::new(settings());
    let narrow = chain(&["192.0.2.0/24", "198.51.100.0/24"], vec![]);
    let [a, b, c] = lab.up([client(1), exporting(2, narrow.clone()), exporting(3, narrow)])[..] else {
        panic!()
    };
    lab.announce(
        a,
        &via("10.0.0.1"),
        &["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"],
    );
    lab.forget_said();
    let changed = exporting(2, chain(&["198.51.100.0/24", "203.0.113.0/24"], vec![])).policy;
    reconfigure(&mut lab, b, changed);
    assert_eq!(lab.holds(b), ["198.51.100.0/24", "203.0.113.0/24"]);
    let mut said = lab.said(b);
    said.sort_by_key(|said| format!("{said:?}"));
    assert_eq!(said, [announce("203.0.113.0/24"), withdraw("192.0.2.0/24")]);
    assert_eq!((lab.said(a), lab.said(c)), (vec![], vec![]));
    assert_eq!(lab.holds(c), ["192.0.2.0/24", "198.51.100.0/24"]);
    // And it is in step again.
    lab.withdraw(a, &["198.51.100.0/24", "203.0.113.0/24"]);
    assert_eq!((lab.holds(b).len(), lab.holds(c).len()), (0, 1));
}

/// Trap 12.
#[test]
fn a_peer_that_changes_groups_ends_up_as_if_it_had_always_been_there() {
    let mut lab = Lab::new(settings());
    let [a, b, c] = lab.up([
        client(1),
        exporting(2, chain(&["192.0.2.0/24"], vec![])),
        client(3),
    ])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24", "198.51.100.0/24"]);
    lab.forget_said();
    reconfigure(
        &mut lab,
        b,
        exporting(2, chain(&["198.51.100.0/24"], vec![Edit::Med(9)])).policy,
    );
    assert_eq!(lab.holds(b), ["198.51.100.0/24"]);
    assert_eq!(lab.held(b, "198.51.100.0/24").med, Some(9));
    assert_eq!(lab.said(c), []);
    assert_eq!(groups(&lab), 2);
    reconfigure(&mut lab, b, client(2).policy);
    assert_eq!((lab.holds(b).len(), groups(&lab)), (2, 1));
    assert_eq!(lab.held(b, "198.51.100.0/24").med, None);
    lab.withdraw(a, &["192.0.2.0/24"]);
    assert_eq!(lab.said(c), [withdraw("192.0.2.0/24")]);
    assert_eq!(lab.holds(b), ["198.51.100.0/24"]);
}

/// Trap 12: the peer goes over to another group, and what is the same in both is not said again.
#[test]
fn a_reload_that_changes_groups_tells_exactly_the_difference() {
    let part = |prefixes: &[&str], med| {
        let filter = chain(prefixes, vec![Edit::Med(med)]).filters()[0]
            .as_ref()
            .clone();
        Arc::new(Filter {
            default: Fallthrough::Next,
            ..filter
        })
    };
    let all = ["20.0.0.0/8"];
    let mut lab = Lab::new(settings());
    let members = [
        exporting(2, Chain::new(vec![part(&all, 5)])),
        client(3),
        client(4),
    ];
    let [a, b, c, d] = lab.up(std::iter::once(client(1)).chain(members))[..] else {
        panic!()
    };
    lab.announce_nlri(a, &via("10.0.0.1"), &many(100));
    lab.settle();
    lab.forget_said();
    let some = ["20.0.0.0/19"];
    let export = |filters| PeerPolicy {
        export: Chain::new(filters),
        rr_client: true,
        ..policy()
    };
    reconfigure(&mut lab, b, export(vec![part(&some, 7), part(&all, 5)]));
    assert_eq!(lab.said(b).len(), 32, "those of the /19");
    assert_eq!(lab.held(b, "20.0.31.0/24").med, Some(7));
    assert_eq!(lab.held(b, "20.0.32.0/24").med, Some(5));
    // From a filter that changes nothing to one that changes some, and drops others.
    reconfigure(&mut lab, c, export(vec![part(&some, 7)]));
    let said = lab.said(c);
    let announced = said.iter().filter(|said| matches!(said, Said::Announce(..)));
    assert_eq!((announced.count(), said.len()), (32, 100));
    // And to another way to choose next hops, which makes no difference to our own routes.
    lab.local(&["198.51.100.0/24"]);
    lab.forget_said();
    let own = PeerPolicy {
        next_hop: NextHopPolicy::OwnForced,
        rr_client: true,
        ..policy()
    };
    reconfigure(&mut lab, d, own);
    assert_eq!(lab.said(d).len(), 100);
    assert!(lab.said(b).is_empty() && lab.said(c).is_empty() && lab.said(a).is_empty());
}

#[test]
fn import_policy_is_applied_again_from_memory() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24", "198.51.100.0/24"]);
    let mut policy = client(1).policy;
    policy.import = chain(&["192.0.2.0/24"], vec![Edit::LocalPref(250)]);
    reconfigure(&mut lab, a, policy.clone());
    assert_eq!(lab.holds(b), ["192.0.2.0/24"]);
    assert_eq!(lab.held(b, "192.0.2.0/24").local_pref, Some(250));
    assert_eq!(
        (lab.peer_counters(a).received, lab.peer_counters(a).accepted),
        (2, 1)
    );
    lab.forget_said();
    // Trap 3: a new version that policy rejects withdraws the old one.
    policy.import = chain(&["198.51.100.0/24"], vec![]);
    reconfigure(&mut lab, a, policy);
    assert_eq!(lab.holds(b), ["198.51.100.0/24"]);
    reconfigure(&mut lab, a, client(1).policy);
    assert_eq!(lab.holds(b).len(), 2);
    assert_eq!(lab.held(b, "192.0.2.0/24").local_pref, Some(100));
}

#[test]
fn becoming_a_client_opens_reflection_without_a_new_session() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([internal(1), internal(2)])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    assert!(lab.holds(b).is_empty());
    reconfigure(&mut lab, a, client(1).policy);
    assert_eq!(lab.holds(b), ["192.0.2.0/24"]);
    reconfigure(&mut lab, a, internal(1).policy);
    assert!(lab.holds(b).is_empty());
}

#[test]
fn what_a_peer_must_not_install_stays_out_of_the_kernel() {
    let mut lab = Lab::new(settings());
    let [a] = lab.up([client(1)])[..] else { panic!() };
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    assert_eq!(lab.fib.len(), 1);
    reconfigure(
        &mut lab,
        a,
        PeerPolicy {
            install: false,
            ..client(1).policy
        },
    );
    assert!(lab.fib.is_empty());
}

#[test]
fn a_filter_that_changes_while_its_member_lags_is_told_right() {
    for window in [0, 100, 400, 3_000] {
        let mut lab = Lab::new(settings());
        let [a] = lab.up([client(1)])[..] else { panic!() };
        lab.announce_nlri(a, &via("10.0.0.1"), &many(600));
        lab.settle();
        let b = lab.connect(exporting(2, chain(&["20.0.0.0/16"], vec![])), false);
        lab.settle();
        lab.credit(b, window);
        reconfigure(&mut lab, b, exporting(2, chain(&["20.1.0.0/16"], vec![])).policy);
        lab.withdraw_nlri(a, &many(600)[250..300]);
        lab.settle();
        lab.credit(b, window);
        reconfigure(
            &mut lab,
            b,
            exporting(2, chain(&["20.0.128.0/17", "20.1.0.0/17"], vec![])).policy,
        );
        lab.credit(b, 1 << 20);
        let expected: Vec<_> = (128..250)
            .chain(300..384)
            .map(|at: usize| many(600)[at].prefix.to_string())
            .collect();
        assert_eq!(lab.holds(b), expected, "window {window}");
    }
}

#[test]
fn weight_decides_before_local_pref_and_only_here() {
    let mut lab = Lab::new(settings());
    let mut heavy = client(1);
    heavy.policy.import = chain(&["0.0.0.0/0"], vec![Edit::Weight(7), Edit::Tag(9)]);
    let [heavy, preferred, other] = lab.up([heavy, client(2), client(3)])[..] else {
        panic!()
    };
    let strong = PathAttributes {
        local_pref: Some(500),
        ..via("10.0.0.2")
    };
    lab.announce(preferred, &strong, &["192.0.2.0/24"]);
    lab.announce(heavy, &via("10.0.0.1"), &["192.0.2.0/24"]);
    let story = lab.why("192.0.2.0/24");
    assert_eq!(
        (&*story.paths[0].route.source, story.paths[0].route.weight),
        ("p1", 7)
    );
    assert_eq!(story.paths[0].route.tag, 9);
    assert_eq!(story.paths[1].decision, "loses to p1: higher weight (7 > 0)");
    // Nobody is sent it: what the others hold is as the peer said it.
    assert_eq!(
        lab.held(other, "192.0.2.0/24"),
        &PathAttributes {
            originator_id: Some([10, 0, 0, 1].into()),
            cluster_list: vec![settings().cluster_id],
            ..lab.held(other, "192.0.2.0/24").clone()
        }
    );
    reconfigure(&mut lab, heavy, client(1).policy);
    assert_eq!(&*lab.why("192.0.2.0/24").paths[0].route.source, "p2");
}

#[test]
fn a_tag_set_on_import_is_seen_on_export() {
    let tagged = Rule {
        location: location(2),
        condition: Condition::Tag(vec![5]),
        action: Action::Accept,
        edits: Edits::NONE,
    };
    let export = Chain::new(vec![Arc::new(Filter {
        name: "tagged".into(),
        rules: vec![tagged],
        default: Fallthrough::Reject,
        location: location(1),
    })]);
    let mut lab = Lab::new(settings());
    let mut marking = client(1);
    marking.policy.import = chain(&["192.0.2.0/24"], vec![Edit::Tag(5)]);
    let [a, b, c] = lab.up([marking, client(2), exporting(3, export)])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    lab.announce(b, &via("10.0.0.2"), &["198.51.100.0/24"]);
    assert_eq!(lab.holds(c), ["192.0.2.0/24"]);
}

#[test]
fn med_follows_the_way_to_the_next_hop() {
    let mut lab = Lab::new(Settings {
        track_next_hops: true,
        ..settings()
    });
    let [a, b] = lab.up([
        client(1),
        exporting(2, chain(&["0.0.0.0/0"], vec![Edit::MedFromIgp])),
    ])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    for metric in [20, 30] {
        let reachable = Reachability::Reachable {
            metric,
            connected: false,
        };
        lab.input(Input::NextHops(vec![("10.0.0.1".parse().unwrap(), reachable)]));
        lab.settle();
        assert_eq!(lab.held(b, "192.0.2.0/24").med, Some(metric));
    }
}

#[test]
fn another_way_to_compare_decides_everything_again() {
    let mut lab = Lab::new(settings());
    let [near, far] = lab.up([external(1), external(2)])[..] else {
        panic!()
    };
    lab.announce(near, &path("65001", "10.0.0.1"), &["192.0.2.0/24"]);
    let worse = PathAttributes {
        med: Some(0),
        ..path("65002 65010", "10.0.0.2")
    };
    lab.announce(far, &worse, &["192.0.2.0/24"]);
    let best = |lab: &Lab| lab.why("192.0.2.0/24").paths[0].route.source.to_string();
    assert_eq!(best(&lab), "p1");
    lab.input(Input::Decision {
        always_compare_med: true,
        options: DecisionOptions {
            ignore_as_path_length: true,
            med_missing_as_worst: true,
            ..DecisionOptions::default()
        },
    });
    lab.settle();
    assert_eq!(best(&lab), "p2");
}

/// Filters of many peers change in one reload: who holds the same goes on together, and each is told exactly its difference,
/// those from whom some of it comes too.
#[test]
fn peers_that_change_together_share_what_they_are_told() {
    let members = |export: &Chain| -> Vec<Peer> { (1..=4).map(|n| exporting(n, export.clone())).collect() };
    let some = ["20.0.0.0/19"];
    let rest = |edits| {
        let first = chain(&some, edits).filters()[0].as_ref().clone();
        let first = Filter {
            default: Fallthrough::Accept,
            ..first
        };
        Chain::new(vec![Arc::new(first)])
    };
    let changes = [
        ("a filter that changes some", rest(vec![Edit::Med(7)]), (32, 0)),
        ("another that changes them", rest(vec![Edit::Med(8)]), (32, 0)),
        ("none", Chain::accept_all(), (32, 0)),
        ("one that drops", chain(&some, vec![]), (0, 68)),
        ("none again", Chain::accept_all(), (68, 0)),
    ];
    let mut lab = Lab::new(settings());
    let peers = lab.up(members(&Chain::accept_all()));
    lab.announce_nlri(peers[0], &via("10.0.0.1"), &many(100));
    lab.announce(peers[1], &via("10.0.0.2"), &["20.0.1.0/24", "20.0.99.0/24"]);
    lab.withdraw(peers[0], &["20.0.1.0/24", "20.0.99.0/24"]);
    lab.settle();
    for (what, export, (announced, withdrawn)) in changes {
        lab.forget_said();
        for (peer, settings) in peers.iter().zip(members(&export)) {
            lab.input(Input::Reconfigure {
                peer: *peer,
                policy: Box::new(settings.policy),
            });
        }
        lab.settle();
        let counts = |said: &[Said]| {
            let announced = said.iter().filter(|said| matches!(said, Said::Announce(..)));
            let announced = announced.count();
            (announced, said.len() - announced)
        };
        for peer in &peers[2..] {
            assert_eq!(counts(&lab.said(*peer)), (announced, withdrawn), "{what}");
        }
        // One of each part comes from the second peer, and the rest from the first.
        let less = |count: usize| count - usize::from(count > 0);
        assert_eq!(
            counts(&lab.said(peers[1])),
            (less(announced), less(withdrawn)),
            "{what}"
        );
        let one = |count: usize| usize::from(count > 0);
        assert_eq!(
            counts(&lab.said(peers[0])),
            (one(announced), one(withdrawn)),
            "{what}"
        );
    }
    assert_eq!(groups(&lab), 1);
}

/// A table that takes many slices to judge, and nothing else that would wake the group.
#[test]
fn a_filter_takes_effect_on_a_quiet_table() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    lab.announce_nlri(a, &via("10.0.0.1"), &many(6_000));
    let some = chain(&["20.0.0.0/19"], vec![]);
    reconfigure(&mut lab, b, exporting(2, some.clone()).policy);
    assert_eq!(lab.holds(b).len(), 32);
    reconfigure(&mut lab, b, client(2).policy);
    assert_eq!(lab.holds(b).len(), 6_000);
    let late = lab.up([exporting(3, some)])[0];
    assert_eq!(lab.holds(late).len(), 32);
}

/// Nothing of a session changes when its peer joins a group, but filters may ask for it.
#[test]
fn a_peer_that_joins_a_group_is_judged_anew() {
    let of_group = |name: &str, edits: Vec<Edit>| {
        let filter = chain(&[], edits).filters()[0].as_ref().clone();
        let mut rule = filter.rules[0].clone();
        rule.condition = Condition::Group(vec![name.into()]);
        Chain::new(vec![Arc::new(Filter {
            rules: vec![rule],
            ..filter
        })])
    };
    let mut lab = Lab::new(settings());
    let [a, b, c, d, e] = lab.up([
        client(1),
        exporting(2, of_group("new", vec![])),
        exporting(3, of_group("new", vec![Edit::Med(3)])),
        client(4),
        exporting(5, of_group("old", vec![])),
    ])[..] else {
        panic!()
    };
    lab.announce(a, &via("10.0.0.1"), &["192.0.2.0/24"]);
    let join = |lab: &mut Lab, group: &str, import: Chain| {
        lab.forget_said();
        let joined = PeerPolicy {
            group: Some(group.into()),
            import,
            ..client(1).policy
        };
        reconfigure(lab, a, joined);
    };
    join(&mut lab, "old", Chain::accept_all());
    assert_eq!([b, c, d, e].map(|peer| lab.holds(peer).len()), [0, 0, 1, 1]);
    assert_eq!(
        (lab.said(e), lab.said(d)),
        (vec![announce("192.0.2.0/24")], vec![])
    );
    join(&mut lab, "new", Chain::accept_all());
    assert_eq!([b, c, d, e].map(|peer| lab.holds(peer).len()), [1, 1, 1, 0]);
    assert_eq!(
        (lab.said(b), lab.said(d)),
        (vec![announce("192.0.2.0/24")], vec![])
    );
    assert_eq!(lab.said(e), [withdraw("192.0.2.0/24")]);
    // Its own import filter asks as well.
    join(&mut lab, "new", of_group("new", vec![]));
    assert_eq!(lab.holds(d).len(), 1);
    join(&mut lab, "old", of_group("new", vec![]));
    assert_eq!([b, c, d, e].map(|peer| lab.holds(peer).len()), [0, 0, 0, 0]);
    join(&mut lab, "new", of_group("new", vec![]));
    assert_eq!([b, c, d, e].map(|peer| lab.holds(peer).len()), [1, 1, 1, 0]);
}
