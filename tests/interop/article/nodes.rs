//! What the nodes and the ADC tell each other: sessions, tables, pings, and a block that comes and goes.

use std::io::Write;
use std::time::{Duration, Instant};

use super::{Running, kernel_routes};
use crate::configs::{self, NODE, SERVICE_RANGE};
use crate::lab::article::{NODE1, NODE2, POD1, POD2, VIPS, ping};
use crate::lab::monitor::Monitor;
use crate::lab::wait::equal;
use crate::lab::{Need, await_until, skipped};

const NEEDS: [Need; 2] = [Need::Frr, Need::Ping];

/// The number of the route type that drops what is sent to it.
const BLACKHOLE: &str = "6";

/// How often a block is added to measure how long the ADC takes to have it.
const ROUNDS: u8 = 20;

#[test]
fn tables_and_pings_are_as_in_the_article() {
    if skipped(&NEEDS) {
        return;
    }
    let lab = Running::start(&format!("{NODE}{SERVICE_RANGE}"), &configs::adc(Some(5)));
    lab.await_sessions();
    lab.await_blocks();
    lab.await_vips();
    for node in [NODE1, NODE2] {
        await_until("capabilities are negotiated", || {
            let peer = lab.adc.peer(node)?;
            let capabilities = &peer["neighborCapabilities"];
            equal(&capabilities["4byteAs"], &"advertisedAndReceived".into())?;
            equal(&capabilities["routeRefresh"], &"advertisedAndReceivedNew".into())?;
            equal(&capabilities["gracefulRestart"], &"advertisedAndReceived".into())?;
            let family = &capabilities["multiprotocolExtensions"]["ipv4Unicast"];
            equal(&family["advertisedAndReceived"], &true.into())
        });
    }
    for namespace in [&lab.article.node1, &lab.article.node2] {
        for learned in VIPS {
            assert_eq!(
                kernel_routes(namespace, learned).len(),
                1,
                "{learned} on {}",
                namespace.name()
            );
        }
        let range = kernel_routes(namespace, "10.96.0.0/12");
        assert!(
            matches!(range.as_slice(), [route] if route["type"] == BLACKHOLE),
            "{range:?}"
        );
    }
    await_until("a pod reaches both VIPs", || {
        VIPS.iter().try_for_each(|vip| ping(&lab.article.pod1, vip))
    });
    await_until("the ADC reaches the pods", || {
        [POD1, POD2]
            .iter()
            .try_for_each(|pod| ping(&lab.article.adc, pod))
    });
    await_until("a pod reaches a pod on the other node", || {
        ping(&lab.article.pod1, POD2)
    });
    println!("{}", lab.adc.vtysh(&["show ip route"]));
    println!("{}", lab.article.node1.ip("route"));
}

/// IPv4 routes vanish with a link without a word from the kernel.
#[test]
fn a_link_that_flaps_gets_its_routes_back() {
    if skipped(&NEEDS) {
        return;
    }
    let lab = Running::converged(None);
    lab.article.node1.ip("link set eth0 down");
    for vip in VIPS {
        assert_eq!(
            kernel_routes(&lab.article.node1, vip).len(),
            0,
            "{vip} went with the link"
        );
    }
    lab.article.node1.ip("link set eth0 up");
    // The default route went too, and is not Stonechat's.
    lab.article.node1.ip("route add default via 172.16.40.1");
    lab.await_vips();
    lab.await_blocks();
    await_until("a pod reaches both VIPs", || {
        VIPS.iter().try_for_each(|vip| ping(&lab.article.pod1, vip))
    });
}

#[test]
fn a_block_added_or_deleted_reaches_the_adc() {
    if skipped(&NEEDS) {
        return;
    }
    let lab = Running::converged(None);
    let monitor = Monitor::start(&lab.article.adc);
    let mut latencies = Vec::new();
    for round in 0..ROUNDS {
        let block = format!("10.244.{}.0/24", 100 + round);
        let start = Instant::now();
        lab.article.node1.ip(&format!("route add blackhole {block}"));
        let seen = monitor
            .await_change(&format!("{block} "), Duration::from_secs(20))
            .expect("the block arrives");
        latencies.push(seen - start);
        lab.article.node1.ip(&format!("route del blackhole {block}"));
        monitor
            .await_change(&format!("Deleted {block} "), Duration::from_secs(20))
            .expect("the block leaves");
    }
    latencies.sort();
    let median = latencies[latencies.len() / 2];
    let (least, most) = (latencies[0], latencies[latencies.len() - 1]);
    // Written directly, since the test runner hides what a passing test prints.
    let _written = writeln!(
        std::io::stderr(),
        "ip route add blackhole to the ADC's kernel: median {median:.1?} of {ROUNDS} (least {least:.1?}, most {most:.1?})"
    );
    lab.await_blocks();
}
