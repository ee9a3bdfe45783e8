use super::*;
use crate::kernel::lab::{link, route};

const APPEND: u16 = flags::APPEND;

#[test]
fn ipv4_keeps_appended_routes_apart() {
    let mut mirror = mirror();
    mirror.route(Verb::New, 0, route("10.0.0.0/8 via 192.0.2.1 dev 2 metric 5"));
    mirror.route(
        Verb::New,
        APPEND,
        route("10.0.0.0/8 via 192.0.2.2 dev 2 metric 5"),
    );
    assert_eq!(gateways(&mirror, "10.0.0.0/8"), ["192.0.2.1", "192.0.2.2"]);
    mirror.route(Verb::Delete, 0, route("10.0.0.0/8 via 192.0.2.1 dev 2 metric 5"));
    assert_eq!(gateways(&mirror, "10.0.0.0/8"), ["192.0.2.2"]);
}

#[test]
fn ipv6_merges_and_loses_hops_one_by_one() {
    let mut mirror = mirror();
    mirror.route(Verb::New, 0, route("2001:db8::/32 via fe80::1 dev 2 metric 1024"));
    let both = route("2001:db8::/32 via fe80::1 dev 2 via fe80::2 dev 2 metric 1024");
    mirror.route(Verb::New, APPEND, both);
    assert_eq!(gateways(&mirror, "2001:db8::/32"), ["fe80::1", "fe80::2"]);
    mirror.route(
        Verb::Delete,
        0,
        route("2001:db8::/32 via fe80::1 dev 2 metric 1024"),
    );
    assert_eq!(gateways(&mirror, "2001:db8::/32"), ["fe80::2"]);
    mirror.route(
        Verb::Delete,
        0,
        route("2001:db8::/32 via fe80::2 dev 2 metric 1024"),
    );
    assert_eq!(mirror.at(TableId::MAIN, "2001:db8::/32".parse().unwrap()), []);
    assert!(!mirror.has_length(TableId::MAIN, true, 32));
}

#[test]
fn the_delete_of_another_protocols_route_is_not_taken_for_ours() {
    let mut mirror = mirror();
    mirror.route(Verb::New, 0, route("10.0.0.0/8 via 192.0.2.1 dev 2 metric 5"));
    mirror.route(
        Verb::Delete,
        0,
        Route {
            protocol: 12,
            ..route("10.0.0.0/8 via 192.0.2.9 dev 2 metric 5")
        },
    );
    assert_eq!(gateways(&mirror, "10.0.0.0/8"), ["192.0.2.1"]);
}

#[test]
fn a_route_of_two_links_survives_one_going_down_but_not_one_deleted() {
    let both = "10.0.0.0/8 via 192.0.2.1 dev 2 via 198.51.100.1 dev 3 metric 5";
    let mut mirror = mirror();
    mirror.route(Verb::New, 0, route(both));
    mirror.link(Verb::New, link(3, "eth1", false));
    assert_eq!(gateways(&mirror, "10.0.0.0/8").len(), 2);
    mirror.link(Verb::Delete, link(3, "eth1", false));
    assert_eq!(gateways(&mirror, "10.0.0.0/8").len(), 0);
}

#[test]
fn reconciling_one_interface_leaves_the_others_alone() {
    let mut mirror = mirror();
    for text in ["10.0.0.0/8 dev 2", "10.1.0.0/16 dev 3", "10.2.0.0/16 dev 2"] {
        mirror.route(Verb::New, 0, route(text));
    }
    mirror.take_changed();
    mirror.reconcile(
        TableId::MAIN,
        false,
        Some(2),
        vec![route("10.2.0.0/16 dev 2"), route("10.3.0.0/16 dev 2")],
    );
    let changed: Vec<String> = mirror
        .take_changed()
        .iter()
        .map(|key| key.1.to_string())
        .collect();
    assert_eq!(changed, ["10.0.0.0/8", "10.3.0.0/16"]);
    assert!(mirror.at(TableId::MAIN, "10.0.0.0/8".parse().unwrap()).is_empty());
    assert_eq!(mirror.at(TableId::MAIN, "10.1.0.0/16".parse().unwrap()).len(), 1);
    assert!(!mirror.has_length(TableId::MAIN, false, 8));
}

#[test]
fn routes_go_with_their_nexthop_object_and_with_their_source_address() {
    let mut mirror = mirror();
    mirror.route(
        Verb::New,
        0,
        Route {
            nexthop_id: 7,
            ..route("10.0.0.0/8 via 192.0.2.1 dev 2")
        },
    );
    let source = "192.0.2.200".parse().unwrap();
    mirror.route(
        Verb::New,
        0,
        Route {
            preferred_source: Some(source),
            ..route("10.1.0.0/16 dev 3")
        },
    );
    let address = crate::kernel::lab::address(2, "192.0.2.200", 24);
    mirror.address(Verb::New, address);
    mirror.address(Verb::New, crate::kernel::lab::address(2, "192.0.2.201", 24));
    assert!(mirror.uses_nexthop(7));
    mirror.drop_nexthop(7);
    assert!(!mirror.uses_nexthop(7));
    assert_eq!(mirror.address(Verb::Delete, address), [2, 3].into());
    assert!(
        mirror
            .at(TableId::MAIN, "10.1.0.0/16".parse().unwrap())
            .is_empty()
    );
}

fn mirror() -> Mirror {
    let mut mirror = Mirror::default();
    mirror.link(Verb::New, link(2, "eth0", true));
    mirror.link(Verb::New, link(3, "eth1", true));
    mirror
}

fn gateways(mirror: &Mirror, prefix: &str) -> Vec<String> {
    let routes = mirror.at(TableId::MAIN, prefix.parse().unwrap());
    let gateways = routes
        .iter()
        .flat_map(|route| &route.hops)
        .filter_map(|hop| hop.gateway);
    gateways.map(|gateway| gateway.to_string()).collect()
}

#[test]
fn what_depends_on_an_interface_is_found_whether_few_or_many_do() {
    for count in [1_u32, 1_000, 3_000] {
        let mut mirror = Mirror::default();
        mirror.link(Verb::New, link(7, "cali7", true));
        for index in 0..count {
            let text = format!("10.{}.{}.0/24 dev 7", index / 250, index % 250);
            mirror.route(Verb::New, 0x400, route(&text));
        }
        mirror.route(Verb::New, 0x400, route("172.16.0.0/16 dev 8"));
        mirror.take_changed();
        assert!(mirror.uses_interface(7) && !mirror.uses_interface(9));
        mirror.link(Verb::Delete, link(7, "cali7", false));
        assert_eq!(mirror.take_changed().len(), usize::try_from(count).unwrap());
        assert!(!mirror.uses_interface(7) && mirror.uses_interface(8));
        let left: Vec<_> = mirror.kernel_routes();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}
