//! OpenBGPD.

use std::fmt::Write;
use std::path::Path;

use super::{ASN, Launch, Peer, inside};
use crate::lab::{DAEMON, Lab};

pub const SETTINGS: &str = "fib-update no; allow from any, allow to any; passive";

pub fn launch(_program: &Path, lab: &Lab, peers: &[Peer]) -> Launch {
    let mut text = format!(
        "AS {ASN}\nrouter-id {DAEMON}\nlisten on {DAEMON}\nfib-update no\nnexthop qualify via default\nsocket \"{}\"\n",
        lab.file("ctl").display()
    );
    let mut filters = String::from("allow from any\nallow to any\n");
    for peer in peers {
        let Peer { address, asn, .. } = peer;
        let client = if peer.client { "\troute-reflector\n" } else { "" };
        let add_path = if peer.add_path {
            "\tannounce add-path send all\n"
        } else {
            ""
        };
        writeln!(
            text,
            "neighbor {address} {{\n\tremote-as {asn}\n\tpassive\n\tannounce IPv6 none\n{client}{add_path}}}"
        )
        .expect("a string takes it");
        if let Some(prefix) = &peer.without {
            writeln!(filters, "deny to {address} prefix {prefix} prefixlen >= 8").expect("a string takes it");
        }
    }
    // Its processes change root to /run/openbgpd, so it gets a /run of its own.
    let mut command = inside(lab, Path::new("sh"));
    command.args([
        "-c",
        "mount -t tmpfs tmpfs /run && mkdir -m 755 /run/openbgpd && exec /usr/sbin/bgpd -d -f \"$0\"",
    ]);
    command.arg(lab.file("bgpd.conf"));
    Launch {
        files: vec![("bgpd.conf", text + &filters)],
        command,
        lacks: None,
    }
}
