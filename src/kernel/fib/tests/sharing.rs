//! Nexthop objects: when they are made, how they move routes, how they go.

use std::time::Duration;

use bgp_codec::Family;

use crate::kernel::lab::{ETH0, ETH1, Lab, OURS, STATIC, route, settings};
use crate::kernel::settings::Settings;
use crate::kernel::wire::Route;

/// Enough routes to one place that an object pays.
pub(super) fn many(next_hops: &str) -> Vec<String> {
    (0..100_u32)
        .map(|index| format!("10.1.{index}.0/24 {next_hops}"))
        .collect()
}

/// Every route of ours has both next hops.
#[track_caller]
fn assert_two_hops_each(lab: &Lab) {
    let mut ours = lab.routes.values().filter(|route| route.protocol == OURS);
    assert!(ours.all(|route| lab.resolved(route).hops.len() == 2));
}

#[test]
fn many_routes_share_an_object_that_goes_with_the_last() {
    let mut lab = Lab::running(settings());
    lab.want_all(&many("172.16.40.202"));
    assert_eq!(lab.nexthop_log().len(), 1);
    let sharing = lab.routes.values().filter(|route| route.nexthop_id != 0).count();
    assert!(sharing > 30, "{sharing}");
    assert_eq!(lab.core.counts().installed, 100);
    lab.want_all(&many(""));
    assert_eq!(lab.ours(), [""; 0]);
    assert_eq!(lab.nexthop_log(), ["nexthop 0 goes"]);
}

#[test]
fn a_member_that_is_lost_moves_all_routes_with_one_request() {
    let mut lab = Lab::running(Settings {
        next_hop_via_default: false,
        ..settings()
    });
    lab.want_all(&many("172.16.40.202 10.99.0.9"));
    assert_eq!(lab.nexthop_log().len(), 3, "two gateways and a group");
    lab.log();
    let gone = "10.99.0.9".parse().unwrap();
    lab.core.set_suspect(gone, true, lab.now);
    lab.run();
    let repointed = lab.nexthop_log();
    assert!(
        repointed.iter().any(|line| line.contains("becomes Group")),
        "{repointed:?}"
    );
    assert_eq!(lab.log(), [""; 0]);
    // The RIB follows, and nothing is left to do.
    lab.want_all(&many("172.16.40.202"));
    lab.core.set_suspect(gone, false, lab.now);
    lab.run();
    assert_eq!(lab.log(), [""; 0]);
    assert_eq!(lab.core.counts().installed, 100);
    for route in lab.routes.values().filter(|route| route.protocol == OURS) {
        let hops = lab.resolved(route).hops;
        assert!(hops.len() == 1 && hops[0].interface == ETH0, "{route:?}");
    }
    // And back.
    lab.want_all(&many("172.16.40.202 10.99.0.9"));
    assert_two_hops_each(&lab);
}

#[test]
fn routes_go_silently_with_the_objects_of_a_link_and_come_back_with_it() {
    let mut lab = Lab::running(Settings {
        next_hop_via_default: false,
        ..settings()
    });
    lab.want_all(&many("172.16.40.202"));
    lab.want_all(&many("172.16.40.202 10.99.0.9"));
    lab.set_link(ETH1, false);
    lab.pass(Duration::from_secs(1));
    assert_eq!(lab.core.counts().installed, 100);
    lab.set_link(ETH0, false);
    lab.pass(Duration::from_secs(1));
    assert_eq!((lab.core.counts().pending, lab.ours().len()), (100, 0));
    for (index, subnet) in [(ETH0, "172.16.40.0/24 dev 2"), (ETH1, "10.99.0.0/24 dev 3")] {
        lab.set_link(index, true);
        lab.add(Route {
            protocol: 2,
            scope: 253,
            ..route(subnet)
        });
    }
    assert_eq!(lab.core.counts().installed, 100);
    assert_two_hops_each(&lab);
}

#[test]
fn objects_are_adopted_and_stale_ones_removed() {
    let mut lab = Lab::running(settings());
    lab.want_all(&many("172.16.40.202"));
    lab.want_all(&many("172.16.40.203"));
    let (routes, nexthops) = (lab.routes.clone(), lab.nexthops.clone());
    let mut lab = Lab::new(Some(settings()));
    (lab.routes, lab.nexthops) = (routes, nexthops);
    let stale = crate::kernel::wire::Nexthop {
        id: 0xb300_0077,
        ..lab.nexthops.values().next().unwrap().clone()
    };
    lab.nexthops.insert(stale.id, stale);
    lab.start();
    assert_eq!(lab.core.counts().stale, 100);
    lab.want_all(&many("172.16.40.203"));
    for family in [Family::IPV4_UNICAST, Family::IPV6_UNICAST] {
        lab.core.family_complete(family);
    }
    lab.run();
    assert_eq!(lab.log(), [""; 0], "what is right is not rewritten");
    assert!(!lab.nexthops.contains_key(&0xb300_0077));
    assert_eq!(lab.core.counts().installed, 100);
}

/// Trap 27: a number that somebody has is left to him, and routes never refer to it.
#[test]
fn somebody_elses_object_is_never_used() {
    let mut lab = Lab::running(settings());
    let theirs = crate::kernel::wire::Nexthop {
        id: 0xb300_0000,
        protocol: STATIC,
        leads: None,
    };
    lab.nexthops.insert(theirs.id, theirs.clone());
    lab.want_all(&many("172.16.40.202"));
    assert_eq!(lab.nexthops[&theirs.id], theirs);
    assert!(lab.routes.values().all(|route| route.nexthop_id != theirs.id));
    assert!(lab.routes.values().any(|route| route.nexthop_id == theirs.id + 1));
}

#[test]
fn without_objects_routes_carry_their_hops() {
    let mut lab = Lab::running(settings());
    lab.fail_nexthops = Some(libc::EOPNOTSUPP);
    lab.want_all(&many("172.16.40.202"));
    assert!(lab.routes.values().all(|route| route.nexthop_id == 0));
    assert_eq!(lab.core.counts().installed, 100);
    assert_eq!(lab.nexthop_log().len(), 1, "asked once");
}

#[test]
fn an_object_that_somebody_deletes_is_made_again() {
    let mut lab = Lab::running(settings());
    lab.want_all(&many("172.16.40.202"));
    let nexthop = lab.nexthops.pop_first().unwrap().1;
    lab.routes.retain(|_, route| route.nexthop_id != nexthop.id);
    let message = crate::kernel::wire::Message::Nexthop(crate::kernel::wire::Verb::Delete, nexthop);
    lab.core.notified(message, lab.now);
    lab.run();
    lab.pass(Duration::from_secs(1));
    assert_eq!((lab.core.counts().installed, lab.ours().len()), (100, 100));
}

/// Enough routes that one request for all of them is sought when they go.
pub(super) fn thousand(next_hops: &str) -> Vec<String> {
    let place = |index: u32| format!("10.{}.{}.0/24 {next_hops}", 1 + index / 250, index % 250);
    (0..1_000_u32).map(place).collect()
}

#[test]
fn a_peer_that_goes_takes_its_routes_with_one_request() {
    let mut lab = Lab::running(settings());
    lab.want_all(&thousand("172.16.40.202"));
    // A few were told of their hops before an object was worth it; they go one by one.
    let alone = lab
        .routes
        .values()
        .filter(|route| route.protocol == OURS && route.nexthop_id == 0);
    let alone = alone.count();
    assert!(alone < 100, "{alone}");
    lab.log();
    lab.nexthop_log();
    let gone = "172.16.40.202".parse().unwrap();
    lab.core.set_suspect(gone, true, lab.now);
    for part in thousand("").chunks(300) {
        lab.want_all(part);
    }
    assert_eq!(lab.ours().len(), 1_000 - alone, "they wait for each other");
    lab.core.set_suspect(gone, false, lab.now);
    lab.run();
    assert_eq!(lab.nexthop_log(), ["nexthop 0 goes"]);
    assert_eq!((lab.log().len(), lab.ours().len()), (alone, 0));
    assert_eq!(lab.core.counts(), crate::kernel::fib::Counts::default());
    assert_eq!(lab.core.held_count(), [0, 0]);
    // And the same again, with an object of its own.
    lab.want_all(&thousand("172.16.40.202"));
    assert_eq!(lab.core.counts().installed, 1_000);
}

#[test]
fn what_goes_waits_a_second_at_most_for_others() {
    let mut lab = Lab::running(settings());
    lab.want_all(&thousand("172.16.40.202"));
    lab.core
        .set_suspect("172.16.40.202".parse().unwrap(), true, lab.now);
    lab.want("10.4.249.0/24");
    assert_eq!(lab.ours().len(), 1_000);
    lab.pass(Duration::from_millis(1_001));
    assert_eq!(lab.ours().len(), 999, "and nothing else goes with it");
}

#[test]
fn an_object_that_one_route_still_needs_stays() {
    let mut lab = Lab::running(settings());
    lab.want_all(&thousand("172.16.40.202"));
    let gone = "172.16.40.202".parse().unwrap();
    lab.core.set_suspect(gone, true, lab.now);
    lab.want_all(&thousand("")[..999]);
    lab.core.set_suspect(gone, false, lab.now);
    lab.run();
    assert_eq!(lab.ours().len(), 1);
    assert!(!lab.nexthops.is_empty());
    assert_eq!(lab.core.counts().installed, 1);
}

#[test]
fn a_kernel_that_keeps_an_object_is_asked_for_each_route() {
    let mut lab = Lab::running(settings());
    lab.want_all(&thousand("172.16.40.202"));
    lab.fail_nexthops = Some(libc::EPERM);
    lab.want_all(&thousand(""));
    assert_eq!((lab.ours().len(), lab.core.held_count()), (0, [0, 0]));
}

#[test]
fn ipv6_routes_go_one_by_one() {
    let mut lab = Lab::running(settings());
    let want = |next_hop: &str| -> Vec<String> {
        let place = |index: u32| format!("2001:db8:1:{index:x}::/64 {next_hop}");
        (0..600_u32).map(place).collect()
    };
    lab.want_all(&want("2001:db8:40::7"));
    lab.log();
    lab.nexthop_log();
    lab.want_all(&want(""));
    assert_eq!((lab.log().len(), lab.ours().len()), (600, 0));
}
