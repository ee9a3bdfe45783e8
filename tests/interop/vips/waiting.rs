//! VIPs that wait for tables, routes and addresses: at the first start and across a restart; and addresses that are none of
//! ours.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::{NODES, ROUTER, Site, VIP};
use crate::lab::link::add_address;
use crate::lab::monitor::Monitor;
use crate::lab::speaker::Speaker;
use crate::lab::stonechat::Stonechat;
use crate::lab::wait::{equal, holds_for};
use crate::lab::{Lab, Need, await_until, skipped};

/// VIPs of the first node that something besides their check holds back.
const HELD: [(&str, &str, &str); 3] = [
    (
        "tables",
        "203.0.113.11",
        "wait_for = [\"kernel\", \"end-of-rib\"]",
    ),
    (
        "route",
        "203.0.113.12",
        "depends_on = { route = \"198.51.100.0/24\", peer = \"router\" }",
    ),
    ("bound", "203.0.113.13", "require_bound = true"),
];

#[test]
fn a_restart_withdraws_no_vip_whatever_it_waits_for() {
    if skipped(&[Need::Frr]) {
        return;
    }
    let lab = Lab::new();
    let mut site = Site::build(&lab);
    site.router.ip("route add blackhole 198.51.100.0/24");
    site.router_frr.announce("198.51.100.0/24", ROUTER);
    add_address(&site.nodes[0], "lo", "203.0.113.13/32");
    let held: String = HELD
        .iter()
        .map(|(name, address, keys)| vip(name, address, keys))
        .collect();
    let mut stonechat = Stonechat::start(&lab, &site.nodes[0], &config(65001, &held));
    await_all(&site);
    let before = times_established(&site);
    let router = Monitor::start(&site.router);
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        stonechat.end(signal);
        stonechat.start_again();
        await_until("our End-of-RIB has gone out", || {
            let peer = stonechat.json("peer router")?;
            equal(&(peer["counters"][0]["end_of_rib_sent"] == true), &true)
        });
        await_until("every VIP is announced", || {
            let shown = stonechat.cli("vips --json").stdout;
            equal(&shown.matches("\"announced\":true").count(), &HELD.len()).or_else(|error| {
                equal(&shown.matches("\"announced\": true").count(), &HELD.len()).map_err(|_| error)
            })
        });
    }
    holds_for(Duration::from_secs(1), "the router has every VIP", || {
        let lost = router.starting_with("Deleted 203.0.113.1");
        equal(&lost, &Vec::<String>::new())
    });
    assert!(times_established(&site) > before, "the session is another one");
}

#[test]
fn waiting_for_the_kernel_means_that_peers_have_told_their_routes() {
    if skipped(&[Need::Frr]) {
        return;
    }
    let lab = Lab::new();
    let site = Site::build(&lab);
    let waits = vip("tables", "203.0.113.11", "wait_for = \"kernel\"");
    // The router's AS is another one: the session does not come up.
    let stonechat = Stonechat::start(&lab, &site.nodes[0], &config(65_009, &waits));
    await_until("it is healthy", || {
        let shown = stonechat.cli("vips").stdout;
        equal(&shown.contains("up (held)"), &true).map_err(|_| shown)
    });
    holds_for(Duration::from_secs(1), "it is held", || {
        let shown = stonechat.cli("vips").stdout;
        let said = shown.contains("waits for the kernel to hold what was selected");
        equal(&said, &true).map_err(|_| shown)
    });
    stonechat.write_config(&config(65_001, &waits));
    stonechat.cli("reload").expect_success();
    await_until("the router has it", || has(&site, "203.0.113.11"));
}

#[test]
fn an_address_that_somebody_adds_where_the_kernel_refused_ours_stays() {
    if skipped(&[Need::Frr]) {
        return;
    }
    let lab = Lab::new();
    let site = Site::build(&lab);
    let node = &site.nodes[0];
    let binds = vip("late", VIP, "bind = \"later0\"\ndrain = \"100ms\"");
    let stonechat = Stonechat::start(&lab, node, &config(65_001, &binds));
    await_until("the refusal is told", || {
        let shown = stonechat.cli("vips").stdout;
        equal(
            &shown.contains("cannot be put on its interface: No such device"),
            &true,
        )
        .map_err(|_| shown)
    });
    assert_eq!(
        stonechat.log().matches("the kernel refuses an address").count(),
        1,
        "{}",
        stonechat.log()
    );
    // While the interface is another's name, nobody asks the kernel.
    node.ip("link add elsewhere0 type veth peer name other0");
    node.ip(&format!("address add {VIP}/32 dev elsewhere0"));
    node.ip("link set elsewhere0 name later0");
    node.ip("link set later0 up");
    node.ip("link set other0 up");
    await_until("the router has it", || has(&site, VIP));
    stonechat.write_config(&config(65_001, ""));
    stonechat.cli("reload").expect_success();
    await_until("the router has it no longer", || match has(&site, VIP) {
        Ok(()) => Err(String::from("it has")),
        Err(_) => Ok(()),
    });
    holds_for(Duration::from_secs(1), "the address stays", || {
        let shown = node.ip("-4 -o address show dev later0");
        equal(&shown.contains(VIP), &true)
    });
}

fn await_all(site: &Site) {
    for (name, address, _) in HELD {
        await_until(&format!("the router has VIP {name}"), || has(site, address));
    }
}

/// Whether the router's kernel has a route to the address.
fn has(site: &Site, address: &str) -> Result<(), String> {
    let routes = site.router.routes("-4");
    if routes.iter().any(|route| route["dst"] == address) {
        Ok(())
    } else {
        Err(format!("{routes:?}"))
    }
}

fn times_established(site: &Site) -> u64 {
    let peer = site.router_frr.peer(NODES[0]).unwrap_or_default();
    peer["connectionsEstablished"].as_u64().unwrap_or(0)
}

/// A VIP with the backend's check.
fn vip(name: &str, address: &str, keys: &str) -> String {
    format!(
        "[[vip]]\nname = \"{name}\"\naddress = \"{address}/32\"\n{keys}\n\
         check = {{ http = \"http://127.0.0.1:8080/\", interval = \"250ms\", rise = 2, fall = 4 }}\n\n"
    )
}

/// Stonechat of the first node, with routes in the kernel.
fn config(router: u32, vips: &str) -> String {
    format!(
        "[speaker]\nasn = 64512\nrouter_id = \"{address}\"\n\n[kernel]\n\n\
         [[filter]]\nname = \"any\"\ndefault = \"accept\"\nrules = []\n\n\
         [[peer]]\nname = \"router\"\naddress = \"{ROUTER}\"\nasn = {router}\nconnect_retry_time = \"1s\"\n\
         import = [\"any\"]\nexport = [\"any\"]\n\n{vips}",
        address = NODES[0],
    )
}
