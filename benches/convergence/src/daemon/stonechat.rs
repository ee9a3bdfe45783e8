//! Stonechat.

use std::fmt::Write;
use std::path::Path;

use super::{ASN, Launch, Peer, inside};
use crate::lab::{DAEMON, Lab};

pub const SETTINGS: &str = "no [kernel] section; filters that accept everything; IPv4 only";

pub fn launch(program: &Path, lab: &Lab, peers: &[Peer]) -> Launch {
    let mut text = format!(
        "[speaker]\nasn = {ASN}\nrouter_id = \"{DAEMON}\"\nlisten = [\"{DAEMON}:179\"]\nlog_level = \"warn\"\n\
         state_dir = \"{}\"\n\n[[filter]]\nname = \"all\"\ndefault = \"accept\"\n\n",
        lab.dir.display()
    );
    for (number, peer) in peers.iter().enumerate() {
        let Peer { address, asn, .. } = peer;
        let mut export = String::from("\"all\"");
        if let Some(prefix) = &peer.without {
            let rule = format!("{{ prefix = [\"{prefix} ge 8\"], action = \"reject\" }}");
            write!(text, "[[filter]]\nname = \"without{number}\"\nrules = [{rule}]\n")
                .expect("a string takes it");
            export = format!("\"without{number}\", \"all\"");
        }
        write!(
            text,
            "[[peer]]\nname = \"p{number}\"\naddress = \"{address}\"\nasn = {asn}\npassive = true\nfamilies = [\"ipv4-unicast\"]\n\
             import = [\"all\"]\nexport = [{export}]\n"
        )
        .expect("a string takes it");
        if peer.client {
            text.push_str("rr_client = true\n");
        }
        if peer.endless {
            text.push_str("send_hold_time = 0\n");
        }
        if peer.add_path {
            text.push_str("add_path = \"send\"\n");
        }
    }
    let mut command = inside(lab, program);
    command
        .args(["run", "--config"])
        .arg(lab.file("stonechat.toml"))
        .arg("--socket")
        .arg(lab.file("ctl"));
    Launch {
        files: vec![("stonechat.toml", text)],
        command,
        lacks: None,
    }
}
