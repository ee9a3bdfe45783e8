//! RFC 8326: what neighbours say of paths that they are about to take away, and what we say of ours.

use bgp_codec::Community;

use super::*;
use crate::policy::{CommunityPattern, Edit, Edits, Fallthrough, Filter, Location, Reason, Rule};

#[test]
fn a_path_that_is_about_to_leave_is_the_last_choice() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([external(1), external(2)])[..] else {
        panic!()
    };
    lab.announce(a, &path("65001", "10.0.0.1"), &["192.0.2.0/24"]);
    lab.announce(b, &path("65002 65009", "10.0.0.2"), &["192.0.2.0/24"]);
    assert_eq!(best(&lab), "p1");
    lab.announce(a, &leaving("65001", "10.0.0.1"), &["192.0.2.0/24"]);
    assert_eq!(best(&lab), "p2");
    let story = lab.why("192.0.2.0/24");
    let left = story.paths.iter().find(|path| &*path.route.source == "p1");
    assert_eq!(left.unwrap().route.local_pref, 0);
    lab.withdraw(b, &["192.0.2.0/24"]);
    assert_eq!(best(&lab), "p1", "it is used while there is no other");
}

#[test]
fn inside_the_as_the_preference_has_been_said() {
    let mut lab = Lab::new(settings());
    let [a] = lab.up([internal(1)])[..] else { panic!() };
    lab.announce(a, &leaving("65001", "10.0.0.1"), &["192.0.2.0/24"]);
    assert_eq!(lab.why("192.0.2.0/24").paths[0].route.local_pref, 100);
}

#[test]
fn a_filter_that_removes_the_community_has_the_last_word() {
    let mut lab = Lab::new(settings());
    let pattern: CommunityPattern = "graceful-shutdown".parse().unwrap();
    let mut peer = external(1);
    peer.policy.import = editing(vec![Edit::RemoveCommunities(vec![pattern])]);
    let [a] = lab.up([peer])[..] else { panic!() };
    lab.announce(a, &leaving("65001", "10.0.0.1"), &["192.0.2.0/24"]);
    assert_eq!(lab.why("192.0.2.0/24").paths[0].route.local_pref, 100);
}

#[test]
fn a_drained_peer_is_told_so_then_told_nothing_and_then_everything_again() {
    let mut lab = Lab::new(settings());
    let [inside, outside, other] = lab.up([internal(1), external(2), internal(3)])[..] else {
        panic!()
    };
    lab.local(&["192.0.2.0/24"]);
    lab.forget_said();
    for peer in [inside, outside] {
        let settling = PeerPolicy {
            import: Chain::accept_all().ending_with(Edits::lowest_preference()),
            export: Chain::accept_all().ending_with(Edits::last_resort()),
            ..policy()
        };
        reconfigure(&mut lab, peer, settling);
        let held = lab.held(peer, "192.0.2.0/24");
        assert_eq!(held.communities, [Community::GRACEFUL_SHUTDOWN]);
        assert_eq!(held.med, Some(u32::MAX));
    }
    assert_eq!(lab.held(inside, "192.0.2.0/24").local_pref, Some(0));
    assert_eq!(lab.held(outside, "192.0.2.0/24").local_pref, None);
    assert!(lab.said(other).is_empty(), "nobody else hears of it");
    lab.announce(outside, &path("65002", "10.0.0.2"), &["198.51.100.0/24"]);
    assert_eq!(lab.why("198.51.100.0/24").paths[0].route.local_pref, 0);
    let drained = PeerPolicy {
        export: Chain::drained(),
        ..policy()
    };
    reconfigure(&mut lab, inside, drained);
    assert!(lab.holds(inside).is_empty());
    let story = lab.why("192.0.2.0/24");
    let export = story.exports.iter().find(|export| &*export.peer == "p1").unwrap();
    assert!(export.reason.contains(&Reason::Drained.to_string()), "{export:?}");
    reconfigure(&mut lab, inside, policy());
    assert_eq!(lab.held(inside, "192.0.2.0/24").communities, []);
}

#[test]
fn what_our_own_route_is_prepended_with_stays_outside_the_as() {
    let mut lab = Lab::new(settings());
    let [inside, outside] = lab.up([internal(1), external(2)])[..] else {
        panic!()
    };
    let attributes = PathAttributes {
        as_path: "64512 64512".parse().unwrap(),
        ..PathAttributes::default()
    };
    lab.input(Input::Local(vec![LocalChange::Announce(LocalRoute {
        prefix: prefix("192.0.2.0/24"),
        kind: OriginKind::Vip,
        name: "shop".into(),
        attributes: Arc::new(attributes),
        from_kernel: None,
    })]));
    lab.settle();
    assert_eq!(lab.held(inside, "192.0.2.0/24").as_path.to_string(), "");
    assert_eq!(
        lab.held(outside, "192.0.2.0/24").as_path.to_string(),
        "64512 64512 64512"
    );
}

fn best(lab: &Lab) -> String {
    let story = lab.why("192.0.2.0/24");
    let best = story.paths.iter().find(|path| path.route.best);
    best.map_or_else(String::new, |path| path.route.source.to_string())
}

fn leaving(as_path: &str, next_hop: &str) -> PathAttributes {
    PathAttributes {
        communities: vec![Community::GRACEFUL_SHUTDOWN],
        ..path(as_path, next_hop)
    }
}

fn editing(edits: Vec<Edit>) -> Chain {
    let location: crate::policy::Place = Location {
        file: "test".into(),
        line: 1,
    }
    .into();
    let rule = Rule {
        location: location.clone(),
        condition: crate::policy::Condition::All(vec![]),
        action: crate::policy::Action::Accept,
        edits: Edits::new(edits),
    };
    Chain::new(vec![Arc::new(Filter {
        name: "f".into(),
        rules: vec![rule],
        default: Fallthrough::Reject,
        location,
    })])
}

fn reconfigure(lab: &mut Lab, peer: PeerId, policy: PeerPolicy) {
    lab.input(Input::Reconfigure {
        peer,
        policy: Box::new(policy),
    });
    lab.settle();
}
