//! The comparison with ExaBGP's health check: how long until the router has forgotten a dead backend.
//!
//! Not part of the test command: `cargo xtask bench vips` prints the times.

use std::fs;
use std::time::{Duration, Instant};

use super::backend::Backend;
use super::{NAMES, NODES, ROUTER, Site, VIP, config_with};
use crate::lab::link::add_address;
use crate::lab::process::Process;
use crate::lab::stonechat::Stonechat;
use crate::lab::{Lab, Namespace, Need, skipped};

/// Backends killed on each node. Both check four times a second, and give up at the fourth failure.
const ROUNDS: usize = 10;

#[test]
#[ignore = "a measurement of two minutes, for docs/vips.md"]
fn time_to_withdraw_beside_exabgps_health_check() {
    if skipped(&[Need::Frr, Need::Exabgp]) {
        return;
    }
    let lab = Lab::new();
    let mut site = Site::build(&lab);
    add_address(&site.nodes[2], "lo", &format!("{VIP}/32"));
    site.backends[1] = None;
    for (rhythm, check, fast_interval) in [
        ("always every 250 ms", "", 0.25),
        (
            "every 50 ms from the first failure on",
            ", fast_interval = \"50ms\"",
            0.05,
        ),
    ] {
        let _stonechat = Stonechat::start(&lab, &site.nodes[0], &config_with(0, "", check));
        let _exabgp = exabgp(&lab, &site.nodes[2], fast_interval);
        site.await_next_hops(&[0, 2]);
        measure(&mut site, rhythm);
    }
}

/// Kills a backend again and again, on one node and on the other, and prints how long the router sends requests there.
fn measure(site: &mut Site, rhythm: &str) {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (place, node, other) in [(0, 0, 2), (1, 2, 0)] {
            // At different moments of the checks' rhythms.
            std::thread::sleep(Duration::from_millis(
                500 + 37 * u64::try_from(times[place].len()).unwrap_or(0),
            ));
            let died = Instant::now();
            site.backends[node] = None;
            site.await_next_hops(&[other]);
            times[place].push(died.elapsed());
            site.backends[node] = Some(Backend::start(&site.nodes[node], NAMES[node]));
            site.await_next_hops(&[0, 2]);
        }
    }
    for (name, times) in ["stonechat", "exabgp"].iter().zip(&mut times) {
        times.sort();
        println!(
            "{rhythm}, {name}: withdrawn after {:?} (median of {ROUNDS}), {:?} to {:?}",
            times[ROUNDS / 2],
            times[0],
            times[ROUNDS - 1]
        );
    }
}

/// ExaBGP with its health check in the rhythm that `config` gives Stonechat's.
fn exabgp(lab: &Lab, node: &Namespace, fast_interval: f64) -> Process {
    let dir = lab.dir("exabgp.healthcheck");
    let config = format!(
        "process check {{ run /usr/bin/python3 -m exabgp healthcheck --interval 0.25 --fast-interval {fast_interval} --timeout 1 \
         --rise 2 --fall 4 --withdraw-on-down --no-syslog --no-ip-setup --ip {VIP}/32 --up-metric 0 \
         --command \"curl -sf -m 1 http://127.0.0.1:8080/\"; encoder text; }}\n\
         neighbor {ROUTER} {{ local-address {address}; router-id {address}; local-as 64512; peer-as 65001; \
         api {{ processes [ check ]; }} }}\n",
        address = NODES[2],
    );
    fs::write(dir.join("exabgp.conf"), config).expect("write exabgp.conf");
    let mut command = node.command("env");
    command.args([
        "exabgp.daemon.user=root",
        "exabgp.daemon.drop=false",
        "exabgp.daemon.daemonize=false",
        "exabgp.api.cli=false",
    ]);
    command.arg(format!("exabgp.tcp.bind={}", NODES[2]));
    command.arg("exabgp").arg(dir.join("exabgp.conf"));
    Process::start("exabgp", &mut command, &dir.join("exabgp.log"))
}
