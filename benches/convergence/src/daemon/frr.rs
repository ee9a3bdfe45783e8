//! FRR's bgpd, alone.

use std::fmt::Write;
use std::io;
use std::os::unix::fs::chown;
use std::path::Path;

use nix::unistd::User;

use super::{ASN, Launch, Peer, inside};
use crate::lab::{DAEMON, Lab};

pub const SETTINGS: &str = "bgpd without zebra; coalesce-time 0; subgroup-pkt-queue-max 100; advertisement-interval 0; \
     compare-routerid; no ebgp-requires-policy";

pub fn launch(program: &Path, lab: &Lab, peers: &[Peer]) -> io::Result<Launch> {
    let mut text = format!(
        "router bgp {ASN}\n bgp router-id {DAEMON}\n no bgp ebgp-requires-policy\n no bgp network import-check\n\
         \x20bgp bestpath compare-routerid\n coalesce-time 0\n no bgp suppress-duplicates\n"
    );
    let mut family = String::from(" address-family ipv4 unicast\n  subgroup-pkt-queue-max 100\n");
    let mut filters = String::new();
    for (number, peer) in peers.iter().enumerate() {
        let Peer { address, asn, .. } = peer;
        write!(text, " neighbor {address} remote-as {asn}\n neighbor {address} passive\n neighbor {address} advertisement-interval 0\n")
            .expect("a string takes it");
        if peer.client {
            writeln!(family, "  neighbor {address} route-reflector-client").expect("a string takes it");
        }
        if peer.add_path {
            writeln!(family, "  neighbor {address} addpath-tx-all-paths").expect("a string takes it");
        }
        if let Some(prefix) = &peer.without {
            writeln!(family, "  neighbor {address} prefix-list without{number} out")
                .expect("a string takes it");
            writeln!(
                filters,
                "ip prefix-list without{number} seq 5 deny {prefix} le 32"
            )
            .expect("a string takes it");
            writeln!(filters, "ip prefix-list without{number} seq 10 permit any").expect("a string takes it");
        }
    }
    text = format!("{text}{family} exit-address-family\nexit\n{filters}");
    // bgpd gives up its privileges and has to write its socket and pid file.
    if let Ok(Some(user)) = User::from_name("frr") {
        chown(&lab.dir, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    }
    let mut command = inside(lab, program);
    command
        .arg("-Z")
        .arg("-f")
        .arg(lab.file("bgpd.conf"))
        .arg("-i")
        .arg(lab.file("pid"));
    command
        .arg("--vty_socket")
        .arg(&lab.dir)
        .args(["-P", "0", "--log", "stdout", "--log-level", "warnings"]);
    Ok(Launch {
        files: vec![("bgpd.conf", text)],
        command,
        lacks: None,
    })
}
