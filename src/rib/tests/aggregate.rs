//! Aggregates: they come with the first contributor, go with the last, and stand in for what they cover.

use bgp_codec::{Aggregator, Community, Origin};

use super::*;
use crate::policy::{Action, Condition, Edits, Fallthrough, Filter, Location, PrefixPattern, Rule};

const BLOCK: &str = "10.244.0.0/16";

#[test]
fn an_aggregate_comes_with_the_first_contributor_and_goes_with_the_last() {
    let (mut lab, peer) = lab(vec![aggregate(BLOCK)]);
    assert!(lab.holds(peer).is_empty());
    lab.local(&["10.244.1.0/26", "10.245.1.0/26"]);
    assert_eq!(
        lab.holds(peer),
        ["10.244.0.0/16", "10.244.1.0/26", "10.245.1.0/26"]
    );
    assert_eq!(lab.aggregates, [prefix(BLOCK)]);
    lab.local(&["10.244.2.0/26"]);
    lab.local_withdraw(&["10.244.1.0/26"]);
    assert_eq!(
        lab.holds(peer),
        ["10.244.0.0/16", "10.244.2.0/26", "10.245.1.0/26"]
    );
    lab.local_withdraw(&["10.244.2.0/26"]);
    assert_eq!(lab.holds(peer), ["10.245.1.0/26"]);
    assert!(lab.aggregates.is_empty());
}

#[test]
fn the_block_itself_does_not_contribute() {
    let (mut lab, peer) = lab(vec![aggregate(BLOCK)]);
    lab.local(&[BLOCK]);
    assert!(lab.aggregates.is_empty());
    assert_eq!(lab.holds(peer), [BLOCK]);
    assert_eq!(lab.held(peer, BLOCK).aggregator, None);
}

#[test]
fn with_summary_only_the_parts_are_never_mentioned() {
    let (mut lab, peer) = lab(vec![summary(BLOCK)]);
    lab.local(&["10.244.1.0/26", "10.244.2.0/26", "192.0.2.0/24"]);
    let told: Vec<String> = announced(&lab.said(peer));
    assert_eq!(told, ["10.244.0.0/16", "192.0.2.0/24"]);
    lab.local_withdraw(&["10.244.1.0/26", "10.244.2.0/26"]);
    assert_eq!(lab.said(peer), [Said::Withdraw(prefix(BLOCK), 0)]);
}

#[test]
fn a_peer_that_needs_the_parts_is_sent_them() {
    let (mut lab, peer) = lab(vec![summary(BLOCK)]);
    let mut other = client(2);
    other.policy.more_specifics = true;
    let [other] = lab.up([other])[..] else { panic!() };
    lab.local(&["10.244.1.0/26"]);
    assert_eq!(lab.holds(peer), [BLOCK]);
    assert_eq!(lab.holds(other), [BLOCK, "10.244.1.0/26"]);
    // And no longer, without a new session.
    lab.forget_said();
    lab.input(Input::Reconfigure {
        peer: other,
        policy: Box::new(PeerPolicy {
            rr_client: true,
            ..policy()
        }),
    });
    lab.settle();
    assert_eq!(lab.said(other), [Said::Withdraw(prefix("10.244.1.0/26"), 0)]);
}

#[test]
fn the_block_is_told_before_its_parts_are_taken_back() {
    let (mut lab, peer) = lab(vec![]);
    lab.local(&["10.244.1.0/26", "10.244.2.0/26"]);
    lab.forget_said();
    configure(&mut lab, vec![summary(BLOCK)]);
    let said = lab.said(peer);
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said.contains(&Said::Announce(prefix(BLOCK), 0)), "{said:?}");
    configure(&mut lab, vec![aggregate(BLOCK)]);
    assert_eq!(announced(&lab.said(peer)), ["10.244.1.0/26", "10.244.2.0/26"]);
    configure(&mut lab, vec![aggregate(BLOCK)]);
    assert!(lab.said(peer).is_empty(), "the same again says nothing");
    configure(&mut lab, vec![]);
    assert_eq!(lab.said(peer), [Said::Withdraw(prefix(BLOCK), 0)]);
    assert!(lab.aggregates.is_empty());
}

#[test]
fn only_what_passes_the_filters_contributes_and_is_suppressed() {
    let only_hosts = Filter {
        name: "blocks".into(),
        rules: vec![Rule {
            location: place(),
            condition: Condition::Prefix(
                ["10.244.0.0/16 ge 26 le 26".parse::<PrefixPattern>().unwrap()]
                    .into_iter()
                    .collect(),
            ),
            action: Action::Accept,
            edits: Edits::NONE,
        }],
        default: Fallthrough::Reject,
        location: place(),
    };
    let rule = Aggregate {
        contributing: Some(Chain::new(vec![Arc::new(only_hosts)])),
        ..summary(BLOCK)
    };
    let (mut lab, peer) = lab(vec![rule]);
    lab.local(&["10.244.1.7/32"]);
    assert_eq!(lab.holds(peer), ["10.244.1.7/32"]);
    lab.local(&["10.244.1.0/26"]);
    assert_eq!(lab.holds(peer), [BLOCK, "10.244.1.7/32"]);
    configure(&mut lab, vec![summary(BLOCK)]);
    assert_eq!(lab.holds(peer), [BLOCK]);
}

#[test]
fn its_attributes_say_what_was_left_out() {
    let mut rule = aggregate(BLOCK);
    rule.communities = vec![Community::NO_EXPORT];
    rule.med = Some(7);
    let (mut lab, inside) = lab(vec![rule.clone()]);
    let [outside] = lab.up([external(2)])[..] else {
        panic!()
    };
    lab.local(&["10.244.1.0/26"]);
    let held = lab.held(inside, BLOCK).clone();
    assert_eq!(
        held.aggregator,
        Some(Aggregator {
            asn: US,
            address: settings().bgp_identifier
        })
    );
    assert_eq!((held.atomic_aggregate, held.med), (false, Some(7)));
    assert_eq!(held.communities, [Community::NO_EXPORT]);
    assert!(!lab.holds(outside).contains(&BLOCK.to_owned()), "NO_EXPORT");
    // A learned part with a path: RFC 4271 §5.1.6, and the worst ORIGIN of all.
    let learned = PathAttributes {
        origin: Origin::Incomplete,
        ..path("65002 65010", "10.0.0.2")
    };
    lab.announce(outside, &learned, &["10.244.9.0/24"]);
    let held = lab.held(inside, BLOCK).clone();
    assert!(held.atomic_aggregate && held.as_path.is_empty());
    assert_eq!(held.origin, Origin::Incomplete);
    // Another community alone renews it, and nothing else.
    lab.forget_said();
    rule.communities = vec!["64512:1".parse().unwrap()];
    configure(&mut lab, vec![rule]);
    assert_eq!(lab.said(inside), [Said::Announce(prefix(BLOCK), 0)]);
    lab.down(outside, DownRoutes::Flush);
    assert_eq!(lab.held(inside, BLOCK).origin, Origin::Igp);
}

#[test]
fn an_aggregate_contributes_to_a_shorter_one() {
    let (mut lab, peer) = lab(vec![summary("10.0.0.0/8"), aggregate(BLOCK)]);
    lab.local(&["10.244.1.0/26"]);
    assert_eq!(lab.holds(peer), ["10.0.0.0/8"]);
    lab.local_withdraw(&["10.244.1.0/26"]);
    assert!(lab.holds(peer).is_empty());
    assert_eq!(lab.rib.tables[0].data.aggregates.usage().0, 0);
}

#[test]
fn our_aggregate_wins_over_the_same_block_of_another_and_lets_go_of_it() {
    let (mut lab, peer) = lab(vec![aggregate(BLOCK)]);
    let [other] = lab.up([client(2)])[..] else {
        panic!()
    };
    lab.announce(other, &via("10.0.0.2"), &[BLOCK]);
    assert!(lab.fib.contains_key(&prefix(BLOCK)));
    lab.local(&["10.244.1.0/26"]);
    assert!(!lab.fib.contains_key(&prefix(BLOCK)), "never installed over ours");
    assert!(lab.held(peer, BLOCK).aggregator.is_some());
    lab.local_withdraw(&["10.244.1.0/26"]);
    assert!(lab.fib.contains_key(&prefix(BLOCK)));
    assert!(lab.held(peer, BLOCK).aggregator.is_none());
}

#[test]
fn the_story_names_aggregate_and_parts() {
    let (mut lab, _) = lab(vec![summary(BLOCK)]);
    assert_eq!(
        lab.why(BLOCK).aggregates,
        ["aggregate block: nothing contributes to it, so it is not announced"]
    );
    lab.local(&["10.244.1.0/26"]);
    assert_eq!(
        lab.why(BLOCK).paths[0].import,
        "aggregate of one route: 10.244.1.0/26"
    );
    let part = lab.why("10.244.1.0/26");
    assert_eq!(part.aggregates, ["contributes to aggregate block"]);
    assert_eq!(
        part.exports[0].reason,
        "part of aggregate block, which is sent in its place (summary_only)"
    );
    assert!(!part.exports[0].advertised);
}

fn lab(aggregates: Vec<Aggregate>) -> (Lab, PeerId) {
    let mut lab = Lab::new(settings());
    configure(&mut lab, aggregates);
    let peer = lab.up([client(1)])[0];
    lab.forget_said();
    (lab, peer)
}

fn configure(lab: &mut Lab, aggregates: Vec<Aggregate>) {
    lab.input(Input::Aggregates(aggregates));
    lab.settle();
}

fn aggregate(text: &str) -> Aggregate {
    Aggregate {
        name: if text == BLOCK {
            "block".into()
        } else {
            text.into()
        },
        prefix: prefix(text),
        contributing: None,
        summary_only: false,
        communities: Vec::new(),
        large_communities: Vec::new(),
        med: None,
    }
}

fn summary(text: &str) -> Aggregate {
    Aggregate {
        summary_only: true,
        ..aggregate(text)
    }
}

fn announced(said: &[Said]) -> Vec<String> {
    let mut announced: Vec<String> = said
        .iter()
        .filter_map(|said| match said {
            Said::Announce(prefix, _) => Some(prefix.to_string()),
            Said::Withdraw(..) | Said::EndOfRib(_) | Said::Refresh(_) => None,
        })
        .collect();
    announced.sort();
    announced
}

fn place() -> crate::policy::Place {
    Location {
        file: "node.toml".into(),
        line: 1,
    }
    .into()
}
