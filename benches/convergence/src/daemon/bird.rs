//! BIRD 2.

use std::fmt::Write;
use std::path::Path;

use super::{ASN, Launch, Peer, inside};
use crate::lab::{DAEMON, Lab};

pub const SETTINGS: &str =
    "no kernel protocol; gateway direct (no recursive next hops); import and export all; passive";

pub fn launch(program: &Path, lab: &Lab, peers: &[Peer]) -> Launch {
    let mut text = format!(
        "log stderr {{ warning, error, fatal, bug }};\nrouter id {DAEMON};\nprotocol device {{ scan time 3600; }}\n"
    );
    for (number, peer) in peers.iter().enumerate() {
        let Peer { address, asn, .. } = peer;
        let client = if peer.client { "rr client; " } else { "" };
        let export = match &peer.without {
            Some(prefix) => format!("where !(net ~ [ {prefix}+ ])"),
            None => "all".to_owned(),
        };
        // BIRD takes internal neighbours for distant ones unless told.
        let near = if *asn == ASN { "direct; " } else { "" };
        let add_path = if peer.add_path { "add paths tx; " } else { "" };
        writeln!(
            text,
            "protocol bgp p{number} {{ local {DAEMON} as {ASN}; neighbor {address} as {asn}; passive on; {near}{client}\
             ipv4 {{ import all; export {export}; gateway direct; {add_path}}}; }}"
        )
        .expect("a string takes it");
    }
    let mut command = inside(lab, program);
    command
        .arg("-f")
        .arg("-c")
        .arg(lab.file("bird.conf"))
        .arg("-s")
        .arg(lab.file("ctl"));
    Launch {
        files: vec![("bird.conf", text)],
        command,
        lacks: None,
    }
}
