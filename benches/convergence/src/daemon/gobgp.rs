//! GoBGP.

use std::fmt::Write;
use std::path::Path;

use super::{ASN, Launch, Peer, inside};
use crate::lab::{DAEMON, Lab};

pub const SETTINGS: &str = "no zebra; external-compare-router-id; log level error; as many threads as cores";

pub fn launch(program: &Path, lab: &Lab, peers: &[Peer]) -> Launch {
    let mut text = format!(
        "[global.config]\nas = {ASN}\nrouter-id = \"{DAEMON}\"\nlocal-address-list = [\"{DAEMON}\"]\n\
         [global.route-selection-options.config]\nexternal-compare-router-id = true\n"
    );
    let mut lacks = None;
    for peer in peers {
        let Peer { address, asn, .. } = peer;
        write!(
            text,
            "[[neighbors]]\n[neighbors.config]\nneighbor-address = \"{address}\"\npeer-as = {asn}\n\
             [neighbors.transport.config]\npassive-mode = true\n"
        )
        .expect("a string takes it");
        if peer.client {
            write!(
                text,
                "[neighbors.route-reflector.config]\nroute-reflector-client = true\nroute-reflector-cluster-id = \"{DAEMON}\"\n"
            )
            .expect("a string takes it");
        }
        if peer.without.is_some() {
            lacks = Some("its export policies belong to all peers together");
        }
        text.push_str(
            "[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"ipv4-unicast\"\n",
        );
        if peer.add_path {
            text.push_str("[neighbors.afi-safis.add-paths.config]\nsend-max = 8\n");
        }
    }
    let mut command = inside(lab, program);
    command
        .args(["--pprof-disable", "-p", "-l", "error", "-f"])
        .arg(lab.file("gobgpd.toml"));
    command
        .arg("--api-hosts")
        .arg(format!("unix://{}", lab.file("api").display()));
    Launch {
        files: vec![("gobgpd.toml", text)],
        command,
        lacks,
    }
}
