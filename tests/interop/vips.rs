//! One VIP on three nodes behind a router with multipath: spread, failure, drain, weights, and the address on the node.
//!
//! ```text
//!   client 10.8.0.2 ── router (FRR, AS 65001) ── 10.9.0.0/24 ─┬─ node1 .1 ┐
//!                                                             ├─ node2 .2 ├ AS 64512, VIP 203.0.113.10
//!                                                             └─ node3 .3 ┘
//! ```

mod backend;
mod exabgp;
mod load;
mod pass_on;
mod waiting;

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use self::backend::{Asking, Backend, CLIENTS, ask};
use crate::lab::frr::Frr;
use crate::lab::link::{Switch, add_address, veth};
use crate::lab::speaker::Speaker;
use crate::lab::stonechat::Stonechat;
use crate::lab::wait::equal;
use crate::lab::{Lab, Namespace, Need, await_until, skipped};

const VIP: &str = "203.0.113.10";
const TARGET: &str = "203.0.113.10:8080";
const ROUTER: &str = "10.9.0.254";
const NODES: [&str; 3] = ["10.9.0.1", "10.9.0.2", "10.9.0.3"];
const NAMES: [&str; 3] = ["node1", "node2", "node3"];

#[test]
fn three_nodes_share_a_vip_and_a_dead_backend_leaves() {
    if skipped(&[Need::Frr]) {
        return;
    }
    let lab = Lab::new();
    let mut site = Site::build(&lab);
    let stonechats: Vec<Stonechat> = (0..3).map(|node| site.start(&lab, node, "")).collect();
    site.await_next_hops(&[0, 1, 2]);

    let tally = ask(&site.client, TARGET, 1_000);
    println!(
        "1,000 requests: {:?}, {} failed",
        tally.answered,
        tally.failed.len()
    );
    assert_eq!((tally.total(), tally.failed.len()), (1_000, 0), "{tally:?}");
    for name in NAMES {
        assert!(tally.of(name) > 150, "not spread: {tally:?}");
    }

    let died = Instant::now();
    site.backends[1] = None;
    site.await_next_hops(&[0, 2]);
    println!("backend dead -> withdrawn at the router: {:?}", died.elapsed());
    let tally = ask(&site.client, TARGET, 200);
    assert_eq!((tally.failed.len(), tally.of("node2")), (0, 0), "{tally:?}");
    let shown = stonechats[1].cli("vips shop").stdout;
    assert!(shown.contains("refused"), "{shown}");
    site.await_address(1, false);

    // The others are heard of by way of the router.
    let shown = stonechats[0].cli("vips shop").stdout;
    assert!(shown.contains("told") && shown.contains("router"), "{shown}");
}

#[test]
fn a_drained_node_loses_no_request_but_what_is_under_way_as_the_router_moves() {
    if skipped(&[Need::Frr]) {
        return;
    }
    let lab = Lab::new();
    let site = Site::build(&lab);
    let mut stonechats: Vec<Stonechat> = (0..3).map(|node| site.start(&lab, node, "")).collect();
    site.await_next_hops(&[0, 1, 2]);

    let asking = Asking::begin(&site.client, TARGET, Duration::ZERO);
    let drain = stonechats[1].cli("drain --vip shop --settle 1s --wait");
    drain.expect_success();
    site.await_next_hops(&[0, 2]);
    let tally = asking.end();
    println!("while draining: {:?}, failed: {:?}", tally.answered, tally.failed);
    // The router moves once, and whatever each client has under way in that moment meets a node that does not know it; what
    // is begun before or after is answered.
    assert!(tally.failed.len() <= CLIENTS, "{tally:?}");
    assert!(tally.of("node1") > 0 && tally.of("node3") > 0, "{tally:?}");

    let tally = ask(&site.client, TARGET, 200);
    assert_eq!((tally.failed.len(), tally.of("node2")), (0, 0), "{tally:?}");
    await_until("a healthy VIP is drained", || {
        let shown = stonechats[1].cli("vips").stdout;
        equal(&shown.contains("up (drained)"), &true).map_err(|_| shown)
    });

    stonechats[1].restart();
    let shown = stonechats[1].cli("drain").stdout;
    assert!(shown.contains("drained"), "a drain survives a crash: {shown}");
    await_until("the session is back", || stonechats[1].established(ROUTER));
    site.await_next_hops(&[0, 2]);
    stonechats[1].cli("undrain --vip shop").expect_success();
    site.await_next_hops(&[0, 1, 2]);
}

#[test]
fn a_drained_peer_is_told_first_and_shut_down_last() {
    if skipped(&[Need::Frr]) {
        return;
    }
    let lab = Lab::new();
    let site = Site::build(&lab);
    let stonechat = site.start(&lab, 0, "");
    site.await_next_hops(&[0]);
    stonechat
        .cli("drain --peer router --settle 3s --shutdown maintenance")
        .expect_success();
    await_until("the router hears that it is about to leave", || {
        let answer = site
            .router_frr
            .show(&format!("show bgp ipv4 unicast {VIP}/32 json"))?;
        let path = &answer["paths"][0];
        let communities = path["community"]["string"].as_str().unwrap_or_default();
        if communities.contains("graceful-shutdown") {
            // FRR honours it as RFC 8326 §4.1 has it.
            equal(&path["locPrf"].as_u64().unwrap_or(100), &0)
        } else {
            Err(answer.to_string())
        }
    });
    await_until("the router is told goodbye", || {
        let peer = site.router_frr.peer(NODES[0])?;
        let text = peer["lastShutdownDescription"].as_str().unwrap_or_default();
        equal(
            &(peer["bgpState"] == "Established", text),
            &(false, "maintenance"),
        )
    });
    stonechat.cli("undrain --peer router").expect_success();
    site.await_next_hops(&[0]);
}

#[test]
fn link_bandwidth_is_the_weight_of_a_next_hop() {
    if skipped(&[Need::Frr]) {
        return;
    }
    let lab = Lab::new();
    let site = Site::build(&lab);
    let stonechats: Vec<Stonechat> = ["1G", "2G", "4G"]
        .iter()
        .enumerate()
        .map(|(node, bandwidth)| site.start(&lab, node, &format!("bandwidth = \"{bandwidth}\"\n")))
        .collect();
    site.await_next_hops(&[0, 1, 2]);
    site.await_shares(&[1, 2, 4]);

    // Changing one is one UPDATE and no flap.
    let updates = |node: usize| stonechats[node].json("peer router").expect("an answer");
    let before = updates(0)["counters"][0]["updates_sent"].as_u64();
    stonechats[0].write_config(&config(0, "bandwidth = \"4G\"\n"));
    stonechats[0].cli("reload").expect_success();
    site.await_shares(&[4, 2, 4]);
    let after = updates(0)["counters"][0]["updates_sent"].as_u64();
    assert_eq!(after, before.map(|count| count + 1));
}

#[test]
fn the_address_is_ours_while_it_is_announced_and_never_anybody_elses() {
    if skipped(&[Need::Frr]) {
        return;
    }
    let lab = Lab::new();
    let site = Site::build(&lab);
    let mut stonechat = site.start(&lab, 0, "");
    site.await_next_hops(&[0]);
    site.await_address(0, true);
    let shown = site.nodes[0].ip("-4 -d address show dev lo");
    assert!(shown.contains("203.0.113.10/32"), "{shown}");

    // A crash and a restart leave it where it is.
    stonechat.restart();
    site.await_next_hops(&[0]);
    site.await_address(0, true);
    stonechat.end(Signal::SIGTERM);
    site.await_address(0, true);
    stonechat.start_again();
    site.await_next_hops(&[0]);

    // Without the VIP it goes, a little after the withdrawal.
    let without = config(0, "")
        .split("[[vip]]")
        .next()
        .unwrap_or_default()
        .to_owned();
    stonechat.write_config(&without);
    stonechat.cli("reload").expect_success();
    site.await_next_hops(&[]);
    site.await_address(0, false);

    // Leaving takes it along.
    stonechat.write_config(&config(0, ""));
    stonechat.cli("reload").expect_success();
    site.await_next_hops(&[0]);
    stonechat.cli("stop").expect_success();
    stonechat.await_end();
    site.await_address(0, false);
    site.await_next_hops(&[]);
    stonechat.write_config(&without);
    stonechat.start_again();

    // One that was there before stays, whatever becomes of the VIP.
    add_address(&site.nodes[0], "lo", &format!("{VIP}/32"));
    stonechat.write_config(&config(0, ""));
    stonechat.cli("reload").expect_success();
    site.await_next_hops(&[0]);
    stonechat.cli("stop").expect_success();
    stonechat.await_end();
    site.await_address(0, true);
}

#[test]
fn a_vip_waits_for_the_tables_and_goes_with_the_route_it_depends_on() {
    if skipped(&[Need::Frr]) {
        return;
    }
    let lab = Lab::new();
    let mut site = Site::build(&lab);
    let needs = "wait_for = [\"kernel\", \"end-of-rib\"]\n\
                 depends_on = { route = \"198.51.100.0/24\", peer = \"router\" }\n";
    let stonechat = site.start(&lab, 0, needs);
    await_until("the reason is told", || {
        let shown = stonechat.cli("vips").stdout;
        if shown.contains("there is no route to 198.51.100.0/24") {
            Ok(())
        } else {
            Err(shown)
        }
    });
    site.await_next_hops(&[]);
    site.router.ip("route add blackhole 198.51.100.0/24");
    site.router_frr.announce("198.51.100.0/24", ROUTER);
    site.await_next_hops(&[0]);
    site.router_frr.withdraw("198.51.100.0/24");
    site.await_next_hops(&[]);
    site.await_address(0, false);
}

/// The router, its client and three nodes with a backend each. Stonechats are the scenario's to start.
struct Site {
    router_frr: Frr,
    router: Namespace,
    client: Namespace,
    nodes: Vec<Namespace>,
    backends: Vec<Option<Backend>>,
    _switch: Switch,
}

impl Site {
    fn build(lab: &Lab) -> Self {
        let mut switch = Switch::new(lab, "switch");
        let (router, client) = (lab.namespace("router"), lab.namespace("client"));
        router.sysctl("net.ipv4.ip_forward", "1");
        // Ports count too, so that each connection of one client goes its own way.
        router.sysctl("net.ipv4.fib_multipath_hash_policy", "1");
        switch.plug(&router, &[&format!("{ROUTER}/24")]);
        veth((&router, "client"), (&client, "eth0"));
        add_address(&router, "client", "10.8.0.1/24");
        add_address(&client, "eth0", "10.8.0.2/24");
        client.ip("route add default via 10.8.0.1");
        let nodes: Vec<Namespace> = NAMES.iter().map(|name| lab.namespace(name)).collect();
        for (node, address) in nodes.iter().zip(NODES) {
            switch.plug(node, &[&format!("{address}/24")]);
            node.ip(&format!("route add default via {ROUTER}"));
        }
        let backends = nodes
            .iter()
            .zip(NAMES)
            .map(|(node, name)| Some(Backend::start(node, name)));
        Self {
            router_frr: Frr::start(lab, &router, "frr", &frr_conf()),
            router,
            client,
            backends: backends.collect(),
            nodes,
            _switch: switch,
        }
    }

    fn start(&self, lab: &Lab, node: usize, vip: &str) -> Stonechat {
        Stonechat::start(lab, &self.nodes[node], &config(node, vip))
    }

    /// Waits until the router's kernel sends the VIP to exactly these nodes.
    #[track_caller]
    fn await_next_hops(&self, nodes: &[usize]) {
        let wanted: Vec<(String, u64)> = nodes.iter().map(|node| (NODES[*node].to_owned(), 1)).collect();
        let wanted: Vec<String> = wanted.into_iter().map(|(node, _)| node).collect();
        await_until(&format!("the VIP is at {wanted:?}"), || {
            let found = self.next_hops()?.into_iter().map(|(node, _)| node).collect();
            equal::<Vec<String>>(&found, &wanted)
        });
    }

    /// Waits until the nodes' weights in the router's kernel are in these proportions.
    #[track_caller]
    fn await_shares(&self, shares: &[u64]) {
        let all: u64 = shares.iter().sum();
        await_until(&format!("weights {shares:?}"), || {
            let found = self.next_hops()?;
            let weights: Vec<u64> = found.iter().map(|(_, weight)| *weight).collect();
            let sum: u64 = weights.iter().sum();
            // FRR's weights are whole numbers out of 100.
            let close =
                |(weight, share): (&u64, &u64)| (weight * 100 / sum.max(1)).abs_diff(share * 100 / all) <= 2;
            let fits = weights.len() == shares.len() && weights.iter().zip(shares).all(close);
            if fits {
                println!("shares {shares:?} are weights {weights:?}");
                Ok(())
            } else {
                Err(format!("{found:?}"))
            }
        });
    }

    /// The next hops of the VIP in the router's kernel with their weights, by address.
    fn next_hops(&self) -> Result<Vec<(String, u64)>, String> {
        let mut found = Vec::new();
        for route in self.router.routes("-4") {
            if route["dst"] != VIP {
                continue;
            }
            match route["nexthops"].as_array() {
                Some(hops) => found.extend(hops.iter().map(|hop| {
                    let gateway = hop["gateway"].as_str().unwrap_or_default();
                    (gateway.to_owned(), hop["weight"].as_u64().unwrap_or(1))
                })),
                None => found.push((route["gateway"].as_str().unwrap_or_default().to_owned(), 1)),
            }
        }
        found.sort();
        Ok(found)
    }

    #[track_caller]
    fn await_address(&self, node: usize, there: bool) {
        await_until(&format!("the address is there: {there}"), || {
            let shown = self.nodes[node].ip("-4 -o address show dev lo");
            equal(&shown.contains(VIP), &there)
        });
    }
}

/// Stonechat of a node; `vip` are more lines of its `[[vip]]`.
fn config(node: usize, vip: &str) -> String {
    config_with(node, vip, "")
}

/// With something more to say of the check.
fn config_with(node: usize, vip: &str, check: &str) -> String {
    format!(
        "[speaker]\nasn = 64512\nrouter_id = \"{address}\"\n\n\
         [[filter]]\nname = \"any\"\ndefault = \"accept\"\nrules = []\n\n\
         [[peer]]\nname = \"router\"\naddress = \"{ROUTER}\"\nasn = 65001\nconnect_retry_time = \"1s\"\n\
         import = [\"any\"]\nexport = [\"any\"]\nallow_own_as = 1\n\n\
         [[vip]]\nname = \"shop\"\naddress = \"{VIP}/32\"\nbind = \"lo\"\ndrain = \"500ms\"\n{vip}\
         check = {{ http = \"http://127.0.0.1:8080/\", interval = \"250ms\", rise = 2, fall = 4{check} }}\n",
        address = NODES[node],
    )
}

fn frr_conf() -> String {
    let neighbors: String = NODES
        .iter()
        .map(|node| {
            format!(
                " neighbor {node} remote-as 64512\n neighbor {node} timers connect 1\n \
                 neighbor {node} advertisement-interval 0\n"
            )
        })
        .collect();
    format!(
        "router bgp 65001\n bgp router-id {ROUTER}\n no bgp ebgp-requires-policy\n{neighbors}\
         address-family ipv4 unicast\n maximum-paths 8\n exit-address-family\n"
    )
}
