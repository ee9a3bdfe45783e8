//! Settings that change while running, tables of a route's own, and what the kernel refuses for a while.

use std::collections::BTreeSet;
use std::time::Duration;

use super::ours;
use super::sharing::{many, thousand};
use crate::kernel::lab::{Lab, OURS, settings};
use crate::kernel::settings::Settings;
use crate::kernel::wire::Route;
use crate::route::TableId;

fn reconfigure(lab: &mut Lab, settings: Settings) {
    lab.core.reconfigure(Some(settings), BTreeSet::new(), lab.now);
    lab.run();
}

#[test]
fn a_change_of_table_puts_routes_there_before_they_leave_the_old_one() {
    let mut lab = Lab::running(settings());
    lab.core
        .set_discard(BTreeSet::from(["10.96.0.0/12".parse().unwrap()]));
    lab.want("10.1.0.0/16 172.16.40.202");
    lab.log();
    reconfigure(
        &mut lab,
        Settings {
            table: TableId(100),
            ..settings()
        },
    );
    let expected = [
        "create 10.1.0.0/16 via 172.16.40.202 dev 2 metric 200",
        "create 10.96.0.0/12 blackhole metric 200",
        "delete 10.1.0.0/16 metric 200",
        "delete 10.96.0.0/12 metric 200",
    ];
    assert_eq!(lab.log(), expected);
    let tables: BTreeSet<TableId> = ours_of(&lab, OURS).map(|route| route.table).collect();
    assert_eq!(tables, BTreeSet::from([TableId(100)]));
    assert!(
        lab.state("10.1.0.0/16").starts_with("table 100: installed"),
        "{}",
        lab.state("10.1.0.0/16")
    );
    lab.want("10.1.0.0/16");
    assert_eq!(lab.log(), ["delete 10.1.0.0/16 metric 200"]);
}

#[test]
fn a_change_of_protocol_rewrites_routes_and_objects_in_place() {
    let mut lab = Lab::running(settings());
    lab.want_all(&many("172.16.40.202"));
    lab.log();
    reconfigure(
        &mut lab,
        Settings {
            protocol: 12,
            ..settings()
        },
    );
    let log = lab.log();
    assert!(
        log.len() == 100 && log.iter().all(|line| line.starts_with("replace ")),
        "{log:?}"
    );
    assert_eq!((ours_of(&lab, OURS).count(), ours_of(&lab, 12).count()), (0, 100));
    assert_eq!(lab.nexthops.len(), 1, "the object of before is gone");
    assert_eq!(lab.core.counts().installed, 100);
    // What carries the old number now is somebody else's.
    lab.add(ours("10.1.0.0/24 via 172.16.40.9 dev 2 metric 7"));
    lab.pass(Duration::from_secs(700));
    assert_eq!(lab.log(), [""; 0]);
}

#[test]
fn source_mtu_and_mss_are_written_and_adopted() {
    let stamped = Settings {
        ipv4_source: Some([172, 16, 40, 199].into()),
        mtu: Some(1_400),
        advmss: Some(1_300),
        ..settings()
    };
    let mut lab = Lab::running(settings());
    lab.want("10.1.0.0/16 172.16.40.202");
    lab.log();
    reconfigure(&mut lab, stamped.clone());
    assert_eq!(
        lab.log(),
        ["replace 10.1.0.0/16 via 172.16.40.202 dev 2 metric 200"]
    );
    let route = ours_of(&lab, OURS).next().unwrap().clone();
    assert_eq!((route.mtu, route.advmss), (1_400, 1_300));
    assert_eq!(route.preferred_source, Some([172, 16, 40, 199].into()));
    for (settings, writes) in [(stamped, 0), (settings(), 1)] {
        let mut next = Lab::new(Some(settings));
        next.put(route.clone());
        next.start();
        next.want("10.1.0.0/16 172.16.40.202");
        assert_eq!(next.log().len(), writes);
    }
}

#[test]
fn a_route_may_lie_in_a_table_of_its_own_and_change_it() {
    let mut lab = Lab::running(settings());
    lab.want("10.1.0.0/16 172.16.40.202");
    let mut there = crate::kernel::lab::want("10.1.0.0/16 172.16.40.203", 100);
    (there.table, there.left) = (TableId(100), Some(TableId::UNSPECIFIED));
    lab.core.change_routes(&[there]);
    lab.run();
    let place = |lab: &Lab| ours_of(lab, OURS).map(|route| route.table).collect::<Vec<_>>();
    assert_eq!(place(&lab), [TableId(100)]);
    let mut back = crate::kernel::lab::want("10.1.0.0/16 172.16.40.203", 100);
    back.left = Some(TableId(100));
    lab.core.change_routes(&[back]);
    lab.run();
    assert_eq!(place(&lab), [TableId::MAIN]);
    // Named or not, it is the same table: nothing is written.
    lab.log();
    let mut named = crate::kernel::lab::want("10.1.0.0/16 172.16.40.203", 100);
    (named.table, named.left) = (TableId::MAIN, Some(TableId::UNSPECIFIED));
    lab.core.change_routes(&[named]);
    lab.run();
    assert_eq!(lab.log(), [""; 0]);
    // But now it does not follow `[kernel] table`.
    reconfigure(
        &mut lab,
        Settings {
            table: TableId(100),
            ..settings()
        },
    );
    assert_eq!(place(&lab), [TableId::MAIN]);
}

#[test]
fn a_full_table_is_not_asked_for_each_route_again_and_again() {
    let mut lab = Lab::running(settings());
    lab.room = Some(lab.routes.len() + 10);
    lab.want_all(&thousand("172.16.40.202"));
    assert_eq!(
        (lab.core.counts().installed, lab.core.counts().rejected),
        (10, 990)
    );
    lab.log();
    lab.pass(Duration::from_secs(60));
    let asked = lab.log().len();
    assert!((10..7_000).contains(&asked), "{asked} requests in a minute");
    lab.room = None;
    lab.pass(Duration::from_secs(30));
    assert_eq!(lab.core.counts().installed, 1_000);
}

#[test]
fn an_object_refused_for_lack_of_memory_is_tried_again() {
    let mut lab = Lab::running(settings());
    lab.fail_nexthops = Some(libc::ENOMEM);
    lab.want_all(&many("172.16.40.202"));
    assert_eq!((lab.nexthop_log().len(), lab.nexthops.len()), (1, 0));
    lab.fail_nexthops = None;
    lab.pass(Duration::from_secs(2));
    lab.want_all(&many("172.16.40.203"));
    assert_eq!(lab.nexthops.len(), 1);
}

fn ours_of(lab: &Lab, protocol: u8) -> impl Iterator<Item = &Route> {
    lab.routes
        .values()
        .filter(move |route| route.protocol == protocol)
}
