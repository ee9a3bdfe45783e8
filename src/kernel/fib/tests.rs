mod live;
mod sharing;

use std::collections::BTreeSet;
use std::time::Duration;

use bgp_codec::Family;

use self::sharing::many;
use crate::kernel::lab::{ETH0, ETH1, Lab, OURS, STATIC, route, settings};
use crate::kernel::settings::{Metric, Settings};
use crate::kernel::wire::Route;
use crate::route::Prefix;

#[test]
fn a_route_goes_in_with_its_immediate_gateway() {
    let mut lab = Lab::running(settings());
    lab.want("10.1.0.0/16 172.16.40.202");
    assert_eq!(
        lab.log(),
        ["create 10.1.0.0/16 via 172.16.40.202 dev 2 metric 200"]
    );
    assert_eq!(
        lab.state("10.1.0.0/16"),
        "table main: installed: via 172.16.40.202 dev eth0 metric 200"
    );
    lab.want("10.1.0.0/16 172.16.40.202");
    assert_eq!(lab.log(), [""; 0], "the same again is nothing");
    lab.want("10.1.0.0/16 172.16.40.203");
    assert_eq!(
        lab.log(),
        ["replace 10.1.0.0/16 via 172.16.40.203 dev 2 metric 200"]
    );
    lab.want("10.1.0.0/16");
    assert_eq!(lab.log(), ["delete 10.1.0.0/16 metric 200"]);
    assert_eq!(lab.core.counts(), super::Counts::default());
}

#[test]
fn nothing_is_asked_before_the_tables_are_read() {
    let mut lab = Lab::new(Some(settings()));
    lab.want("10.1.0.0/16 172.16.40.202");
    assert_eq!(lab.log(), [""; 0]);
    lab.start();
    assert_eq!(
        lab.log(),
        ["create 10.1.0.0/16 via 172.16.40.202 dev 2 metric 200"]
    );
}

#[test]
fn what_is_right_is_adopted_without_being_rewritten() {
    let mut lab = Lab::new(Some(settings()));
    lab.put(ours("10.1.0.0/16 via 172.16.40.202 dev 2 metric 200"));
    lab.put(ours("10.2.0.0/16 via 172.16.40.202 dev 2 metric 200"));
    lab.put(ours(
        "10.3.0.0/16 via 172.16.40.203 dev 2 via 172.16.40.202 dev 2 metric 200",
    ));
    lab.put(ours("10.4.0.0/16 via 172.16.40.202 dev 2 metric 200"));
    lab.start();
    assert_eq!(lab.core.counts().stale, 4);
    lab.want("10.1.0.0/16 172.16.40.202");
    lab.want("10.3.0.0/16 172.16.40.202 172.16.40.203");
    assert_eq!(lab.log(), [""; 0]);
    lab.want("10.2.0.0/16 172.16.40.203");
    assert_eq!(
        lab.log(),
        ["replace 10.2.0.0/16 via 172.16.40.203 dev 2 metric 200"]
    );
    assert!(
        lab.state("10.4.0.0/16").contains("kept from before the restart"),
        "{}",
        lab.state("10.4.0.0/16")
    );
    lab.core.family_complete(Family::IPV6_UNICAST);
    lab.run();
    assert_eq!(lab.log(), [""; 0], "the other family is not concerned");
    lab.core.family_complete(Family::IPV4_UNICAST);
    lab.run();
    assert_eq!(lab.log(), ["delete 10.4.0.0/16 metric 200"]);
}

#[test]
fn stale_routes_go_at_the_deadline_too() {
    let mut lab = Lab::new(Some(settings()));
    lab.put(ours("10.4.0.0/16 via 172.16.40.202 dev 2 metric 200"));
    lab.start();
    lab.pass(Duration::from_secs(59));
    assert_eq!(lab.log(), [""; 0]);
    lab.pass(Duration::from_secs(2));
    assert_eq!(lab.log(), ["delete 10.4.0.0/16 metric 200"]);
}

#[test]
fn an_adopted_route_with_another_metric_goes_after_the_new_one_is_in() {
    let mut lab = Lab::new(Some(settings()));
    lab.put(ours("10.1.0.0/16 via 172.16.40.202 dev 2 metric 50"));
    lab.start();
    lab.want("10.1.0.0/16 172.16.40.202");
    let expected = [
        "create 10.1.0.0/16 via 172.16.40.202 dev 2 metric 200",
        "delete 10.1.0.0/16 metric 50",
    ];
    assert_eq!(lab.log(), expected);
}

/// Traps 19 and 27.
#[test]
fn a_strangers_equal_route_is_never_overwritten_or_deleted() {
    let mut lab = Lab::new(Some(settings()));
    lab.put(route("10.1.0.0/16 via 172.16.40.7 dev 2 metric 200"));
    lab.start();
    lab.want("10.1.0.0/16 172.16.40.202");
    assert_eq!(lab.log(), [""; 0]);
    assert_eq!(
        lab.state("10.1.0.0/16"),
        "table main: rejected: prefix held by proto static metric 200"
    );
    assert_eq!(lab.core.counts().rejected, 1);
    lab.pass(Duration::from_secs(300));
    lab.want("10.1.0.0/16");
    lab.want("10.1.0.0/16 172.16.40.202");
    assert_eq!(lab.log(), [""; 0]);
    lab.delete("10.1.0.0/16");
    assert_eq!(
        lab.log(),
        ["create 10.1.0.0/16 via 172.16.40.202 dev 2 metric 200"]
    );
}

#[test]
fn a_strangers_route_that_was_not_reported_is_found_by_asking() {
    let mut lab = Lab::running(settings());
    lab.put(route("10.1.0.0/16 via 172.16.40.7 dev 2 metric 200"));
    lab.want("10.1.0.0/16 172.16.40.202");
    assert!(
        lab.state("10.1.0.0/16").contains("File exists"),
        "{}",
        lab.state("10.1.0.0/16")
    );
    lab.pass(Duration::from_secs(1));
    assert_eq!(
        lab.state("10.1.0.0/16"),
        "table main: rejected: prefix held by proto static metric 200"
    );
}

#[test]
fn a_route_of_ours_that_we_lost_sight_of_is_adopted() {
    let mut lab = Lab::running(settings());
    lab.put(ours("10.1.0.0/16 via 172.16.40.202 dev 2 metric 200"));
    lab.want("10.1.0.0/16 172.16.40.202");
    assert_eq!(
        lab.log(),
        ["create 10.1.0.0/16 via 172.16.40.202 dev 2 metric 200 = 17"]
    );
    lab.pass(Duration::from_secs(1));
    assert_eq!(lab.log(), [""; 0]);
    assert!(
        lab.state("10.1.0.0/16").contains("installed"),
        "{}",
        lab.state("10.1.0.0/16")
    );
}

#[test]
fn a_strangers_route_with_another_metric_is_no_obstacle() {
    let mut lab = Lab::running(settings());
    lab.put(route("10.1.0.0/16 via 172.16.40.7 dev 2 metric 100"));
    lab.want("10.1.0.0/16 172.16.40.202");
    assert_eq!(
        lab.log(),
        ["create 10.1.0.0/16 via 172.16.40.202 dev 2 metric 200"]
    );
}

#[test]
fn a_refused_route_is_tried_again_ever_more_slowly() {
    let mut lab = Lab::running(settings());
    lab.fail = Some(libc::EPERM);
    lab.want("10.1.0.0/16 172.16.40.202");
    assert_eq!(lab.log().len(), 1);
    assert_eq!(lab.core.counts().rejected, 1);
    let state = lab.state("10.1.0.0/16");
    assert!(
        state.contains("rejected: Operation not permitted") && state.contains("tried 1 times"),
        "{state}"
    );
    lab.pass(Duration::from_millis(350));
    assert_eq!(lab.log().len(), 2, "after 100 and 300 ms");
    lab.pass(Duration::from_secs(600));
    let attempts = lab.log().len();
    assert!((20..40).contains(&attempts), "{attempts}");
    lab.fail = None;
    lab.pass(Duration::from_secs(31));
    assert_eq!(
        lab.log(),
        ["create 10.1.0.0/16 via 172.16.40.202 dev 2 metric 200"]
    );
    assert_eq!(lab.core.counts().rejected, 0);
}

#[test]
fn every_refusal_has_a_name_and_another_attempt() {
    for (errno, words) in [
        (libc::EBUSY, "Device or resource busy"),
        (libc::ENETUNREACH, "Network is unreachable"),
        (libc::ENOSPC, "No space left on device"),
        (libc::ENOMEM, "Cannot allocate memory"),
        (libc::ENOBUFS, "No buffer space available"),
    ] {
        let mut lab = Lab::running(settings());
        lab.fail = Some(errno);
        lab.want("10.1.0.0/16 172.16.40.202");
        let state = lab.state("10.1.0.0/16");
        assert!(state.contains(&format!("rejected: {words}")), "{state}");
        assert_eq!(lab.core.counts().rejected, 1);
        lab.fail = None;
        lab.pass(Duration::from_millis(150));
        assert!(lab.state("10.1.0.0/16").contains("installed"), "{errno}");
    }
}

#[test]
fn a_table_that_is_full_takes_what_fits_and_the_rest_later() {
    let mut lab = Lab::running(settings());
    lab.room = Some(lab.routes.len() + 40);
    lab.want_all(&many("172.16.40.202"));
    assert_eq!(
        (lab.core.counts().installed, lab.core.counts().rejected),
        (40, 60)
    );
    lab.pass(Duration::from_secs(5));
    assert_eq!(
        (lab.core.counts().installed, lab.core.counts().rejected),
        (40, 60)
    );
    lab.room = None;
    lab.pass(Duration::from_secs(31));
    assert_eq!(lab.core.counts().installed, 100);
}

#[test]
fn a_flush_is_undone_and_one_that_nobody_told_of_by_the_audit() {
    let mut lab = Lab::running(settings());
    lab.want("10.1.0.0/16 172.16.40.202");
    lab.want("10.2.0.0/16 172.16.40.202");
    lab.delete("10.1.0.0/16");
    lab.delete("10.2.0.0/16");
    assert_eq!(lab.ours().len(), 2);
    lab.take("10.1.0.0/16");
    lab.take("10.2.0.0/16");
    lab.pass(Duration::from_secs(599));
    assert_eq!(lab.ours(), [""; 0], "no event, no look");
    lab.pass(Duration::from_secs(2));
    assert_eq!(lab.ours().len(), 2);
}

/// RFC 7999 §3.3: only where that is allowed.
#[test]
fn a_blackholed_route_discards_where_that_is_allowed() {
    let mut lab = Lab::running(settings());
    lab.want_with("10.1.0.9/32 172.16.40.202", crate::kernel::lab::BLACKHOLED);
    assert_eq!(lab.log(), ["create 10.1.0.9/32 blackhole metric 200"]);
    let forbidden = Settings {
        blackhole: false,
        ..settings()
    };
    lab.core.reconfigure(Some(forbidden), BTreeSet::new(), lab.now);
    lab.run();
    assert_eq!(
        lab.log(),
        ["replace 10.1.0.9/32 via 172.16.40.202 dev 2 metric 200"]
    );
}

#[test]
fn a_route_that_somebody_deletes_is_put_back() {
    let mut lab = Lab::running(settings());
    lab.want("10.1.0.0/16 172.16.40.202");
    lab.log();
    lab.delete("10.1.0.0/16");
    assert_eq!(
        lab.log(),
        ["create 10.1.0.0/16 via 172.16.40.202 dev 2 metric 200"]
    );
}

#[test]
fn a_route_of_our_protocol_that_nobody_wants_is_removed() {
    let mut lab = Lab::running(settings());
    lab.core.family_complete(Family::IPV4_UNICAST);
    lab.add(ours("10.1.0.0/16 via 172.16.40.202 dev 2 metric 7"));
    assert_eq!(lab.log(), ["delete 10.1.0.0/16 metric 7"]);
}

#[test]
fn several_next_hops_are_one_route_up_to_the_limit() {
    let mut lab = Lab::running(Settings {
        multipath: 2,
        ..settings()
    });
    lab.want("10.1.0.0/16 172.16.40.202 10.99.0.9");
    assert_eq!(
        lab.log(),
        ["create 10.1.0.0/16 via 172.16.40.202 dev 2 via 10.99.0.9 dev 3 metric 200"]
    );
    lab.want("10.1.0.0/16 172.16.40.201 172.16.40.202 172.16.40.203");
    assert_eq!(
        lab.log(),
        ["replace 10.1.0.0/16 via 172.16.40.201 dev 2 via 172.16.40.202 dev 2 metric 200"]
    );
}

#[test]
fn a_lost_member_leaves_the_others_in() {
    let mut lab = Lab::running(settings());
    lab.want("10.1.0.0/16 172.16.40.202 10.99.0.9");
    lab.want("10.2.0.0/16 10.99.0.9");
    lab.core.reconfigure(
        Some(Settings {
            next_hop_via_default: false,
            ..settings()
        }),
        BTreeSet::new(),
        lab.now,
    );
    lab.run();
    lab.log();
    lab.set_link(ETH1, false);
    assert_eq!(
        lab.log(),
        ["replace 10.1.0.0/16 via 172.16.40.202 dev 2 metric 200"]
    );
    assert!(
        lab.state("10.2.0.0/16").contains("pending: next hop 10.99.0.9"),
        "{}",
        lab.state("10.2.0.0/16")
    );
    assert_eq!(lab.core.counts().pending, 1);
}

#[test]
fn calicos_metric_follows_local_pref_and_never_leaves_a_gap() {
    let mut lab = Lab::running(Settings {
        metric: Metric::CalicoLocalPref,
        ..settings()
    });
    lab.want_with("10.1.0.0/16 172.16.40.202", 100);
    lab.want_with("10.1.0.0/16 172.16.40.202", 2_147_482_623);
    let expected = [
        "create 10.1.0.0/16 via 172.16.40.202 dev 2 metric 2147483547",
        "create 10.1.0.0/16 via 172.16.40.202 dev 2 metric 1024",
        "delete 10.1.0.0/16 metric 2147483547",
    ];
    assert_eq!(lab.log(), expected);
}

#[test]
fn the_kernels_default_metric_of_ipv6_is_named() {
    let mut lab = Lab::running(Settings {
        metric: Metric::Fixed(0),
        ..settings()
    });
    lab.want("2001:db8:1::/48 2001:db8:40::202");
    lab.want("10.1.0.0/16 172.16.40.202");
    let expected = [
        "create 2001:db8:1::/48 via 2001:db8:40::202 dev 2 metric 1024",
        "create 10.1.0.0/16 via 172.16.40.202 dev 2 metric 0",
    ];
    assert_eq!(lab.log(), expected);
}

#[test]
fn what_is_ours_is_never_installed_over_but_its_more_specifics_are() {
    let mut lab = Lab::running(settings());
    let block: Prefix = "10.244.0.0/24".parse().unwrap();
    lab.core.change_own(&[block], &[]);
    lab.want("10.244.0.0/24 172.16.40.202");
    lab.want("172.16.40.0/24 172.16.40.202");
    assert_eq!(lab.log(), [""; 0]);
    assert_eq!(
        lab.state("10.244.0.0/24"),
        "table main: rejected: this node originates the prefix"
    );
    assert_eq!(
        lab.state("172.16.40.0/24"),
        "table main: rejected: this node is connected to the prefix (eth0)"
    );
    lab.want("10.244.0.9/32 172.16.40.202");
    assert_eq!(
        lab.log(),
        ["create 10.244.0.9/32 via 172.16.40.202 dev 2 metric 200"]
    );
    lab.core.change_own(&[], &[block]);
    lab.run();
    assert_eq!(
        lab.log(),
        ["create 10.244.0.0/24 via 172.16.40.202 dev 2 metric 200"]
    );
    lab.core.change_own(&[block], &[]);
    lab.run();
    assert_eq!(lab.log(), ["delete 10.244.0.0/24 metric 200"]);
}

#[test]
fn a_discard_route_lies_beneath_everybody_elses() {
    let mut lab = Lab::running(settings());
    let aggregate: Prefix = "10.96.0.0/12".parse().unwrap();
    lab.core.change_own(&[aggregate], &[]);
    lab.core.set_discard([aggregate].into());
    lab.run();
    assert_eq!(lab.log(), ["create 10.96.0.0/12 blackhole metric 200"]);
    lab.want("10.96.0.0/12 172.16.40.202");
    lab.want("10.96.0.0/12");
    assert_eq!(
        lab.log(),
        [""; 0],
        "what the RIB thinks of the aggregate does not matter"
    );
    lab.add(route("10.96.0.0/12 via 172.16.40.7 dev 2 metric 1024"));
    assert_eq!(lab.log(), ["delete 10.96.0.0/12 metric 200"]);
    assert!(
        lab.state("10.96.0.0/12")
            .contains("held by proto static metric 1024")
    );
    lab.delete("10.96.0.0/12");
    assert_eq!(lab.log(), ["create 10.96.0.0/12 blackhole metric 200"]);
    lab.core.set_discard(BTreeSet::new());
    lab.run();
    assert_eq!(lab.log(), ["delete 10.96.0.0/12 metric 200"]);
}

#[test]
fn a_discard_route_is_adopted() {
    let mut lab = Lab::new(Some(settings()));
    lab.put(ours("10.96.0.0/12 metric 200"));
    lab.core.set_discard(["10.96.0.0/12".parse().unwrap()].into());
    lab.start();
    lab.core.family_complete(Family::IPV4_UNICAST);
    lab.run();
    assert_eq!(lab.log(), [""; 0]);
    assert!(
        lab.state("10.96.0.0/12").contains("installed: blackhole"),
        "{}",
        lab.state("10.96.0.0/12")
    );
}

#[test]
fn routes_that_go_silently_with_their_link_come_back_with_it() {
    let mut lab = Lab::running(Settings {
        next_hop_via_default: false,
        ..settings()
    });
    lab.want("10.1.0.0/16 172.16.40.202");
    lab.want("10.2.0.0/16 10.99.0.9");
    lab.log();
    lab.set_link(ETH0, false);
    assert_eq!(lab.ours(), ["10.2.0.0/16 via 10.99.0.9 dev 3 metric 200"]);
    lab.pass(Duration::from_secs(1));
    lab.set_link(ETH0, true);
    lab.add(Route {
        protocol: 2,
        scope: 253,
        ..route("172.16.40.0/24 dev 2")
    });
    assert_eq!(
        lab.log(),
        ["create 10.1.0.0/16 via 172.16.40.202 dev 2 metric 200"]
    );
}

#[test]
fn a_silent_loss_that_the_link_does_not_explain_is_found_by_asking() {
    let mut lab = Lab::running(settings());
    lab.want("10.1.0.0/16 172.16.40.202");
    lab.log();
    // An address goes that is not the last one; somehow the kernel drops our route as well.
    let gone = crate::kernel::lab::address(ETH0, "172.16.40.77", 24);
    lab.core
        .notified(message(crate::kernel::wire::Verb::New, gone), lab.now);
    lab.take("10.1.0.0/16");
    lab.core
        .notified(message(crate::kernel::wire::Verb::Delete, gone), lab.now);
    lab.pass(Duration::from_millis(60));
    assert_eq!(
        lab.log(),
        ["create 10.1.0.0/16 via 172.16.40.202 dev 2 metric 200"]
    );
    let through_eth0 = |scope: &crate::kernel::wire::DumpScope| {
        matches!(
            scope,
            crate::kernel::wire::DumpScope::Routes {
                interface: Some(ETH0),
                ..
            }
        )
    };
    assert!(
        lab.dumps.iter().any(through_eth0),
        "only what depends on the interface is asked for"
    );
}

#[test]
fn without_install_nothing_is_installed_until_it_is() {
    let off = Settings {
        install: false,
        ..settings()
    };
    let mut lab = Lab::running(off.clone());
    lab.want("10.1.0.0/16 172.16.40.202");
    assert_eq!(lab.log(), [""; 0]);
    assert_eq!(
        lab.state("10.1.0.0/16"),
        "table main: not installed: install is off"
    );
    lab.core.reconfigure(Some(settings()), BTreeSet::new(), lab.now);
    lab.run();
    assert_eq!(
        lab.log(),
        ["create 10.1.0.0/16 via 172.16.40.202 dev 2 metric 200"]
    );
    lab.core.reconfigure(Some(off), BTreeSet::new(), lab.now);
    lab.run();
    assert_eq!(lab.log(), ["delete 10.1.0.0/16 metric 200"]);
}

#[test]
fn the_same_settings_again_ask_nothing_of_the_kernel() {
    let mut lab = Lab::running(settings());
    lab.want("10.1.0.0/16 172.16.40.202");
    lab.log();
    lab.core.reconfigure(Some(settings()), BTreeSet::new(), lab.now);
    lab.run();
    assert_eq!(lab.log(), [""; 0]);
}

#[test]
fn another_limit_of_multipath_is_live() {
    let mut lab = Lab::running(settings());
    lab.want("10.1.0.0/16 172.16.40.202 172.16.40.203");
    lab.log();
    lab.core.reconfigure(
        Some(Settings {
            multipath: 1,
            ..settings()
        }),
        BTreeSet::new(),
        lab.now,
    );
    lab.run();
    assert_eq!(
        lab.log(),
        ["replace 10.1.0.0/16 via 172.16.40.202 dev 2 metric 200"]
    );
}

#[test]
fn leaving_removes_all_of_ours_and_nothing_else() {
    let mut lab = Lab::new(Some(settings()));
    lab.put(ours("10.4.0.0/16 via 172.16.40.202 dev 2 metric 200"));
    lab.start();
    lab.want("10.1.0.0/16 172.16.40.202");
    lab.core.set_discard(["10.96.0.0/12".parse().unwrap()].into());
    lab.run();
    let strangers = lab.routes.values().filter(|route| route.protocol != OURS).count();
    lab.core.leave();
    lab.run();
    assert_eq!(lab.ours(), [""; 0]);
    assert_eq!(lab.routes.len(), strangers);
    assert!(lab.routes.values().any(|route| route.protocol == STATIC));
    lab.want("10.5.0.0/16 172.16.40.202");
    assert_eq!(lab.ours(), [""; 0], "what comes late is not installed");
}

#[test]
fn an_ipv4_route_takes_an_ipv6_gateway_and_not_the_other_way_round() {
    let mut lab = Lab::running(settings());
    lab.want("10.1.0.0/16 2001:db8:40::202/fe80::202/2");
    lab.want("10.2.0.0/16 2001:db8:40::202");
    lab.want("2001:db8:1::/48 172.16.40.202");
    let expected = [
        "create 10.1.0.0/16 via fe80::202 dev 2 metric 200",
        "create 10.2.0.0/16 via 2001:db8:40::202 dev 2 metric 200",
    ];
    assert_eq!(lab.log(), expected);
    assert!(
        lab.state("2001:db8:1::/48")
            .contains("rejected: an IPv6 route cannot")
    );
}

#[test]
fn other_tables_are_kept_apart() {
    let vrf = crate::route::TableId(100);
    let mut lab = Lab::running(Settings {
        table: vrf,
        ..settings()
    });
    lab.put(route("10.1.0.0/16 via 172.16.40.7 dev 2 metric 200"));
    lab.want("10.1.0.0/16 172.16.40.202");
    assert_eq!(
        lab.log(),
        ["create 10.1.0.0/16 via 172.16.40.202 dev 2 metric 200"]
    );
    assert!(
        lab.routes
            .contains_key(&(vrf, "10.1.0.0/16".parse().unwrap(), 200))
    );
    assert!(lab.state("10.1.0.0/16").starts_with("table 100: installed"));
}

fn ours(text: &str) -> Route {
    Route {
        protocol: OURS,
        ..route(text)
    }
}

fn message(
    verb: crate::kernel::wire::Verb,
    address: crate::kernel::wire::Address,
) -> crate::kernel::wire::Message {
    crate::kernel::wire::Message::Address(verb, address)
}
