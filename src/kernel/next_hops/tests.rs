use crate::kernel::lab::{ETH0, ETH1, Lab, link, route, settings};
use crate::kernel::settings::Settings;
use crate::kernel::wire::{Message, Verb};
use crate::rib::interface::Reachability;

const CONNECTED: Reachability = Reachability::Reachable {
    metric: 0,
    connected: true,
};

#[test]
fn every_tracked_next_hop_is_reported_once_and_then_on_change() {
    let mut lab = Lab::running(settings());
    lab.track(&["172.16.40.202", "203.0.113.1"]);
    let via_default = Reachability::Reachable {
        metric: 0,
        connected: false,
    };
    assert_eq!(
        lab.reachability(),
        expected(&[("172.16.40.202", CONNECTED), ("203.0.113.1", via_default)])
    );
    lab.add(route("198.51.100.0/24 via 172.16.40.7 dev 2"));
    assert_eq!(lab.reachability(), []);
    lab.add(route("203.0.113.0/24 via 172.16.40.7 dev 2 metric 20"));
    let better = Reachability::Reachable {
        metric: 20,
        connected: false,
    };
    assert_eq!(lab.reachability(), expected(&[("203.0.113.1", better)]));
    lab.track(&["203.0.113.1"]);
    assert_eq!(
        lab.reachability(),
        expected(&[("203.0.113.1", better)]),
        "asked again, told again"
    );
}

#[test]
fn what_was_asked_before_the_first_dump_is_answered_after_it() {
    let mut lab = Lab::new(Some(settings()));
    lab.track(&["172.16.40.202", "2001:db8:ffff::1"]);
    assert_eq!(lab.reachability(), []);
    lab.start();
    assert_eq!(
        lab.reachability(),
        expected(&[
            ("172.16.40.202", CONNECTED),
            ("2001:db8:ffff::1", Reachability::Unreachable)
        ])
    );
}

#[test]
fn an_own_address_is_no_next_hop() {
    let mut lab = Lab::running(settings());
    lab.track(&["172.16.40.199"]);
    assert_eq!(
        lab.reachability(),
        expected(&[("172.16.40.199", Reachability::Unreachable)])
    );
    lab.want("10.1.0.0/16 172.16.40.199");
    assert!(lab.state("10.1.0.0/16").contains("it is an address of this node"));
}

#[test]
fn the_default_route_counts_only_where_it_may() {
    let mut lab = Lab::running(Settings {
        next_hop_via_default: false,
        ..settings()
    });
    lab.track(&["203.0.113.1"]);
    assert_eq!(
        lab.reachability(),
        expected(&[("203.0.113.1", Reachability::Unreachable)])
    );
    lab.want("10.1.0.0/16 203.0.113.1");
    assert!(
        lab.state("10.1.0.0/16")
            .contains("only the default route matches"),
        "{}",
        lab.state("10.1.0.0/16")
    );
    lab.core.reconfigure(Some(settings()), [].into(), lab.now);
    lab.run();
    assert_eq!(lab.log(), ["create 10.1.0.0/16 via 172.16.40.1 dev 2 metric 200"]);
}

#[test]
fn a_route_that_discards_hides_the_default_route() {
    let mut lab = Lab::running(settings());
    lab.add(route("203.0.113.0/24 metric 5"));
    lab.track(&["203.0.113.1"]);
    assert_eq!(
        lab.reachability(),
        expected(&[("203.0.113.1", Reachability::Unreachable)])
    );
}

#[test]
fn the_longest_match_wins_and_then_the_lowest_metric() {
    let mut lab = Lab::running(settings());
    lab.add(route("203.0.112.0/20 via 172.16.40.4 dev 2"));
    lab.add(route("203.0.113.0/24 via 172.16.40.5 dev 2 metric 30"));
    lab.add(route("203.0.113.0/24 via 172.16.40.6 dev 2 metric 20"));
    lab.want("10.1.0.0/16 203.0.113.1");
    assert_eq!(lab.log(), ["create 10.1.0.0/16 via 172.16.40.6 dev 2 metric 200"]);
    lab.delete("203.0.113.0/24");
    // Both metrics go one after the other: the first step already moves the route.
    assert_eq!(
        lab.log().last().unwrap(),
        "replace 10.1.0.0/16 via 172.16.40.4 dev 2 metric 200"
    );
}

#[test]
fn an_interface_without_a_carrier_is_passed_over() {
    let mut lab = Lab::running(settings());
    lab.add(route("203.0.113.0/24 via 172.16.40.5 dev 2 metric 20"));
    lab.add(route("203.0.113.0/24 via 10.99.0.5 dev 3 metric 30"));
    lab.want("10.1.0.0/16 203.0.113.1");
    assert_eq!(lab.log(), ["create 10.1.0.0/16 via 172.16.40.5 dev 2 metric 200"]);
    let mut without = link(ETH0, "eth0", true);
    without.carrier = false;
    lab.core.notified(Message::Link(Verb::New, without), lab.now);
    lab.run();
    assert_eq!(lab.log(), ["replace 10.1.0.0/16 via 10.99.0.5 dev 3 metric 200"]);
    lab.core
        .notified(Message::Link(Verb::New, link(ETH0, "eth0", true)), lab.now);
    lab.run();
    assert_eq!(
        lab.log(),
        ["replace 10.1.0.0/16 via 172.16.40.5 dev 2 metric 200"]
    );
}

#[test]
fn next_hops_resolve_through_routes_of_our_own() {
    let mut lab = Lab::running(Settings {
        next_hop_via_default: false,
        ..settings()
    });
    lab.want("10.1.0.0/16 10.2.0.1");
    assert!(
        lab.state("10.1.0.0/16")
            .contains("pending: next hop 10.2.0.1: only the default route")
    );
    lab.want("10.2.0.0/16 172.16.40.202");
    let expected = [
        "create 10.2.0.0/16 via 172.16.40.202 dev 2 metric 200",
        "create 10.1.0.0/16 via 172.16.40.202 dev 2 metric 200",
    ];
    let mut log = lab.log();
    log.sort();
    let mut sorted = expected.map(str::to_owned);
    sorted.sort();
    assert_eq!(log, sorted, "the immediate gateway is what is installed");
    lab.want("10.2.0.0/16 10.99.0.9");
    let mut log = lab.log();
    log.sort();
    assert_eq!(
        log,
        [
            "replace 10.1.0.0/16 via 10.99.0.9 dev 3 metric 200",
            "replace 10.2.0.0/16 via 10.99.0.9 dev 3 metric 200"
        ]
    );
    lab.want("10.2.0.0/16");
    assert_eq!(lab.ours(), [""; 0]);
}

#[test]
fn a_route_never_resolves_through_itself() {
    let mut lab = Lab::running(settings());
    // The peer's own address, as a /32 with itself as next hop, and a covering prefix with a next hop inside it.
    lab.want("172.16.40.202/32 172.16.40.202");
    lab.want("203.0.113.0/24 203.0.113.1");
    let expected = [
        "172.16.40.202/32 via 172.16.40.202 dev 2 metric 200",
        "203.0.113.0/24 via 172.16.40.1 dev 2 metric 200",
    ];
    assert_eq!(lab.ours(), expected);
}

#[test]
fn mutual_recursion_ends_the_same_in_any_order() {
    let routes = [
        "10.1.0.0/16 10.2.0.1",
        "10.2.0.0/16 10.1.0.1",
        "10.3.0.0/16 10.1.0.9",
    ];
    let mut outcomes = Vec::new();
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for via_default in [false, true] {
            let mut lab = Lab::running(Settings {
                next_hop_via_default: via_default,
                ..settings()
            });
            for index in order {
                lab.want(routes[index]);
            }
            outcomes.push((via_default, lab.ours()));
        }
    }
    outcomes.sort();
    outcomes.dedup();
    let via = |prefix: &str| format!("{prefix} via 172.16.40.1 dev 2 metric 200");
    let all = vec![via("10.1.0.0/16"), via("10.2.0.0/16"), via("10.3.0.0/16")];
    assert_eq!(outcomes, [(false, vec![]), (true, all)]);
}

#[test]
fn several_gateways_of_a_kernel_route_are_all_used() {
    let mut lab = Lab::running(settings());
    lab.add(route(
        "203.0.113.0/24 via 172.16.40.5 dev 2 via 10.99.0.5 dev 3 metric 20",
    ));
    lab.want("10.1.0.0/16 203.0.113.1");
    assert_eq!(
        lab.log(),
        ["create 10.1.0.0/16 via 172.16.40.5 dev 2 via 10.99.0.5 dev 3 metric 200"]
    );
    lab.set_link(ETH1, false);
    assert_eq!(lab.ours(), ["10.1.0.0/16 via 172.16.40.5 dev 2 metric 200"]);
}

#[test]
fn a_link_local_next_hop_needs_its_interface() {
    let mut lab = Lab::running(settings());
    lab.track(&["fe80::1"]);
    assert_eq!(lab.reachability(), expected(&[("fe80::1", CONNECTED)]));
    lab.want("2001:db8:1::/48 fe80::1");
    assert!(
        lab.state("2001:db8:1::/48").contains("without an interface"),
        "{}",
        lab.state("2001:db8:1::/48")
    );
    lab.want("2001:db8:2::/48 fe80::1/fe80::1/3");
    assert_eq!(lab.ours(), ["2001:db8:2::/48 via fe80::1 dev 3 metric 200"]);
}

fn expected(list: &[(&str, Reachability)]) -> Vec<(String, Reachability)> {
    list.iter()
        .map(|(address, state)| ((*address).to_owned(), *state))
        .collect()
}
