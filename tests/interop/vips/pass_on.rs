//! A drain that breaks no request, behind a router that hashes: whichever node gets a packet of a connection that it does not
//! know passes it on to the node that is drained. docs/vips.md has the same lines.

use std::fs;
use std::time::Duration;

use super::backend::{Asking, ask};
use super::{NODES, Site, TARGET, VIP};
use crate::lab::stonechat::Stonechat;
use crate::lab::{Lab, Namespace, Need, skipped};

/// How long a client takes over a request, so that some are under way whenever the router moves.
const WRITING: Duration = Duration::from_millis(50);

#[test]
fn a_drained_node_finishes_its_requests_where_others_pass_them_on() {
    if skipped(&[Need::Frr, Need::Nft]) {
        return;
    }
    let lab = Lab::new();
    let site = Site::build(&lab);
    let stonechats: Vec<Stonechat> = (0..3).map(|node| site.start(&lab, node, "")).collect();
    site.await_next_hops(&[0, 1, 2]);
    for node in [0, 2] {
        pass_on(&lab, &site.nodes[node], NODES[1]);
    }
    let asking = Asking::begin(&site.client, TARGET, WRITING);
    std::thread::sleep(10 * WRITING);
    let drain = stonechats[1].cli("drain --vip shop --settle 1s --wait");
    drain.expect_success();
    site.await_next_hops(&[0, 2]);
    let tally = asking.end();
    println!(
        "while draining, {WRITING:?} each: {:?}, {} failed",
        tally.answered,
        tally.failed.len()
    );
    assert!(tally.failed.is_empty(), "{tally:?}");
    assert!(tally.of("node2") > 0, "it had something to finish: {tally:?}");
    let tally = ask(&site.client, TARGET, 200);
    assert_eq!((tally.failed.len(), tally.of("node2")), (0, 0), "{tally:?}");
}

/// Packets to the VIP that begin no connection and belong to none here go to the other node.
fn pass_on(lab: &Lab, node: &Namespace, to: &str) {
    let rules = format!(
        "table ip stonechat-drain {{\n chain pass-on {{\n  type filter hook prerouting priority mangle;\n  \
         ip daddr {VIP} tcp flags & (syn | rst) == 0 socket wildcard 1 meta mark set 0xb3\n }}\n}}\n"
    );
    let file = lab.dir(&format!("nft.{}", node.name())).join("rules");
    fs::write(&file, rules).expect("write the rules");
    node.exec(&format!("nft -f {}", file.display())).expect_success();
    for setting in [
        "ip_forward=1",
        "conf.all.send_redirects=0",
        "conf.eth0.send_redirects=0",
    ] {
        let (name, value) = setting.split_once('=').expect("a value");
        node.sysctl(&format!("net.ipv4.{name}"), value);
    }
    // Before the table of local addresses, of which the VIP is one.
    node.ip("rule add pref 10 table local");
    node.ip("rule del pref 0 table local");
    node.ip("rule add pref 5 fwmark 0xb3 table 179");
    node.ip(&format!("route add {VIP}/32 via {to} table 179"));
}
