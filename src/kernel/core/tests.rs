use std::time::Duration;

use super::*;
use crate::kernel::lab::{ETH0, ETH1, Lab, OURS, link, route, settings};

#[test]
fn the_importer_gets_the_full_set_once_and_then_differences() {
    let mut lab = Lab::new(None);
    lab.start();
    assert_eq!(lab.imported(), ["=4"]);
    lab.add(route("10.244.0.0/24 metric 0"));
    assert_eq!(lab.imported(), ["+10.244.0.0/24 0"]);
    lab.delete("10.244.0.0/24");
    assert_eq!(lab.imported(), ["-10.244.0.0/24 0"]);
    lab.add(route("10.244.1.0/24 metric 0"));
    lab.delete("10.244.1.0/24");
    lab.add(route("10.244.1.0/24 metric 0"));
    assert_eq!(
        lab.imported(),
        ["+10.244.1.0/24 0"],
        "what nobody has fetched is not told twice"
    );
}

/// Trap 21.
#[test]
fn the_importer_never_sees_what_is_ours() {
    let mut lab = Lab::new(Some(settings()));
    lab.put(Route {
        protocol: OURS,
        ..route("10.4.0.0/16 via 172.16.40.202 dev 2 metric 200")
    });
    lab.start();
    assert_eq!(lab.imported(), ["=4"]);
    lab.want("10.1.0.0/16 172.16.40.202");
    lab.add(Route {
        protocol: OURS,
        ..route("10.5.0.0/16 via 172.16.40.202 dev 2 metric 200")
    });
    lab.pass(Duration::from_secs(1_300));
    assert_eq!(lab.imported(), [""; 0], "not even by an audit");
}

#[test]
fn without_a_kernel_section_routes_of_the_usual_protocol_are_left_alone() {
    let mut lab = Lab::new(None);
    lab.put(Route {
        protocol: OURS,
        ..route("10.4.0.0/16 via 172.16.40.202 dev 2 metric 200")
    });
    lab.start();
    lab.pass(Duration::from_secs(1_000));
    assert_eq!(lab.log(), [""; 0]);
    assert_eq!(lab.imported(), ["=4"]);
}

#[test]
fn a_pod_that_goes_with_its_link_is_withdrawn_at_once() {
    let mut lab = Lab::new(None);
    lab.put(route("10.244.0.76/32 dev 3"));
    lab.start();
    assert_eq!(lab.imported(), ["=5"]);
    lab.set_link(ETH1, false);
    let mut gone = lab.imported();
    gone.sort();
    assert_eq!(gone, ["-10.244.0.76/32 0", "-10.99.0.0/24 0"]);
    lab.pass(Duration::from_secs(1));
    assert_eq!(lab.imported(), [""; 0]);
}

#[test]
fn a_deleted_link_takes_its_routes_and_leaves_nothing_to_ask() {
    let mut lab = Lab::new(None);
    lab.put(route("10.244.0.76/32 dev 3"));
    lab.start();
    lab.imported();
    let asked = lab.dumps.len();
    lab.routes
        .retain(|_, route| route.hops.iter().all(|hop| hop.interface != ETH1));
    let down = link(ETH1, "eth1", false);
    lab.core.notified(Message::Link(Verb::New, down.clone()), lab.now);
    lab.core.notified(Message::Link(Verb::Delete, down), lab.now);
    lab.pass(Duration::from_secs(1));
    assert_eq!(lab.imported(), ["-10.99.0.0/24 0", "-10.244.0.76/32 0"]);
    assert_eq!(lab.dumps.len(), asked);
}

#[test]
fn a_route_that_the_kernel_kept_is_found_again() {
    let mut lab = Lab::new(None);
    lab.start();
    lab.imported();
    // The link flaps so fast that its routes were never dropped.
    lab.core
        .notified(Message::Link(Verb::New, link(ETH1, "eth1", false)), lab.now);
    lab.core
        .notified(Message::Link(Verb::New, link(ETH1, "eth1", true)), lab.now);
    lab.run();
    assert_eq!(lab.imported(), ["-10.99.0.0/24 0"]);
    lab.pass(Duration::from_millis(60));
    assert_eq!(lab.imported(), ["+10.99.0.0/24 0"]);
}

#[test]
fn an_overrun_is_healed_by_reading_again_but_not_too_often() {
    let mut lab = Lab::new(Some(settings()));
    lab.start();
    lab.imported();
    lab.pass(Duration::from_secs(5));
    lab.put(route("10.244.0.0/24 metric 0"));
    let before = lab.dumps.len();
    for _ in 0..50 {
        lab.core.notified(Message::Overrun, lab.now);
        lab.run();
    }
    assert_eq!(lab.imported(), ["+10.244.0.0/24 0"]);
    assert!(
        lab.dumps.len() <= before + 5,
        "one full dump, and the next one later"
    );
    lab.take("10.244.0.0/24");
    lab.pass(Duration::from_secs(60));
    assert_eq!(lab.imported(), ["-10.244.0.0/24 0"]);
}

#[test]
fn an_interrupted_dump_is_repeated() {
    let mut lab = Lab::new(Some(settings()));
    lab.interrupt_dumps = 3;
    lab.core.read_all(lab.now);
    lab.run();
    assert!(!lab.core.is_ready());
    lab.pass(Duration::from_millis(100));
    assert!(lab.core.is_ready());
    assert_eq!(lab.dumps.len(), 4 + 3);
}

#[test]
fn a_renamed_interface_is_told_to_the_importer() {
    let mut lab = Lab::new(None);
    lab.start();
    lab.imported();
    lab.core
        .notified(Message::Link(Verb::New, link(ETH1, "pods0", true)), lab.now);
    let Some(KernelTableChange::Added(route)) = lab.core.poll_table_change() else {
        panic!("nothing told")
    };
    assert_eq!(route.interface.as_deref(), Some("pods0"));
}

#[test]
fn an_audit_finds_what_no_notification_said() {
    let mut lab = Lab::running(settings());
    lab.want("10.1.0.0/16 172.16.40.202");
    lab.log();
    lab.take("10.1.0.0/16");
    lab.pass(Duration::from_secs(599));
    assert_eq!(lab.log(), [""; 0]);
    lab.pass(Duration::from_secs(2));
    assert_eq!(
        lab.log(),
        ["create 10.1.0.0/16 via 172.16.40.202 dev 2 metric 200"]
    );
}

#[test]
fn an_unwatched_table_is_not_imported_until_it_is() {
    let vrf = TableId(100);
    let mut lab = Lab::new(None);
    lab.put(Route {
        table: vrf,
        ..route("10.7.0.0/16 metric 0")
    });
    lab.start();
    lab.add(Route {
        table: vrf,
        ..route("10.8.0.0/16 metric 0")
    });
    assert_eq!(lab.imported(), ["=4"]);
    lab.core.reconfigure(None, [vrf].into(), lab.now);
    lab.run();
    assert_eq!(lab.imported(), ["+10.7.0.0/16 0", "+10.8.0.0/16 0"]);
    lab.core.reconfigure(None, BTreeSet::new(), lab.now);
    lab.run();
    assert_eq!(lab.imported(), ["-10.7.0.0/16 0", "-10.8.0.0/16 0"]);
}

#[test]
fn a_discard_route_without_a_kernel_section_waits_for_nothing() {
    let prefix: Prefix = "10.96.0.0/12".parse().unwrap();
    let described = |settings| {
        let mut lab = Lab::new(settings);
        lab.start();
        lab.core.set_discard([prefix].into());
        lab.run();
        lab.core.describe(prefix)
    };
    assert_eq!(described(None), None);
    assert!(described(Some(settings())).is_some());
}

#[test]
fn ours_in_the_place_of_a_strangers_route_ends_the_import() {
    let mut lab = Lab::running(settings());
    lab.add(route("10.6.0.0/16 via 172.16.40.7 dev 2 metric 9"));
    lab.imported();
    let ours = Route {
        protocol: OURS,
        ..route("10.6.0.0/16 via 172.16.40.7 dev 2 metric 9")
    };
    lab.core.notified(Message::Route(Verb::New, 0x100, ours), lab.now);
    assert_eq!(lab.imported(), ["-10.6.0.0/16 9"]);
}

#[test]
fn the_last_address_takes_ipv4_with_it() {
    let mut lab = Lab::new(None);
    lab.put(route("10.8.0.0/16 via 172.16.40.7 dev 2 metric 9"));
    lab.start();
    lab.imported();
    lab.take("10.8.0.0/16");
    lab.take("172.16.40.0/24");
    lab.take("0.0.0.0/0");
    let gone = crate::kernel::lab::address(ETH0, "172.16.40.199", 24);
    lab.core.notified(Message::Address(Verb::Delete, gone), lab.now);
    lab.run();
    let mut changes = lab.imported();
    changes.sort();
    assert_eq!(changes, ["-0.0.0.0/0 0", "-10.8.0.0/16 9", "-172.16.40.0/24 0"]);
    assert!(lab.core.describe("172.16.40.0/24".parse().unwrap()).is_none());
}
