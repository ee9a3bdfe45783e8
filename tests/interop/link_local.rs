//! Peers with the same link-local address on two links: each session belongs to its own.

use crate::lab::bird::{Bird, Version, protocol};
use crate::lab::link::{add_address, veth};
use crate::lab::stonechat::Stonechat;
use crate::lab::wait::equal;
use crate::lab::{Lab, Need, await_until, skipped};

/// Both neighbours' address, and ours on both links.
const THEIRS: &str = "fe80::1";
const OURS: &str = "fe80::2";

/// One neighbour connects to us, the other is connected to.
#[test]
fn one_address_on_two_links_is_two_peers() {
    if skipped(&[Need::Bird2]) {
        return;
    }
    let lab = Lab::new();
    let [left, east, west] = ["left", "east", "west"].map(|role| lab.namespace(role));
    for (number, neighbour) in [&east, &west].into_iter().enumerate() {
        let link = format!("eth{number}");
        veth((&left, &link), (neighbour, "eth0"));
        for (namespace, link, address) in [(&left, link.as_str(), OURS), (neighbour, "eth0", THEIRS)] {
            add_address(namespace, link, &format!("{address}/64"));
        }
        add_address(&left, &link, &format!("2001:db8:{number}::2/64"));
        add_address(neighbour, "eth0", &format!("2001:db8:{number}::1/64"));
    }
    let east = Bird::start(&lab, &east, Version::Two, &bird_conf(65_001, "10.0.0.1", "a", ""));
    let west = Bird::start(
        &lab,
        &west,
        Version::Two,
        &bird_conf(65_002, "10.0.0.2", "b", "passive yes;"),
    );
    let stonechat = Stonechat::start(&lab, &left, &config());
    for (name, asn, prefix) in [
        ("east", 65_001, "2001:db8:a::/48"),
        ("west", 65_002, "2001:db8:b::/48"),
    ] {
        await_until(&format!("{name} is up"), || {
            let peer = stonechat.json(&format!("peer {name}"))?;
            let found = (peer["state"].as_str(), peer["asn"].as_u64());
            equal(&found, &(Some("Established"), Some(asn))).map_err(|error| format!("{error}: {peer}"))
        });
        await_until(&format!("{name} has told its route"), || {
            let routes = stonechat.json(&format!("routes --received {name}"))?.to_string();
            let prefixes = ["2001:db8:a::/48", "2001:db8:b::/48"].map(|other| routes.contains(other));
            equal(
                &prefixes,
                &["2001:db8:a::/48", "2001:db8:b::/48"].map(|other| other == prefix),
            )
        });
    }
    for (bird, link) in [(&east, "eth0"), (&west, "eth1")] {
        await_until(&format!("the neighbour on {link} has a session"), || {
            let shown = bird.birdc(&format!("show protocols {}", protocol(OURS))).stdout;
            if shown.contains("Established") {
                Ok(())
            } else {
                Err(shown)
            }
        });
    }
}

fn config() -> String {
    let peer = |name: &str, link: &str, asn: u32, more: &str| {
        format!(
            "[[peer]]\nname = \"{name}\"\naddress = \"{THEIRS}\"\ninterface = \"{link}\"\nasn = {asn}\n\
             families = [\"ipv6-unicast\"]\nimport = \"any\"\nexport = \"any\"\nconnect_retry_time = \"1s\"\n{more}\n"
        )
    };
    format!(
        "[speaker]\nasn = 64512\nrouter_id = \"10.0.0.254\"\n\n\
         [[filter]]\nname = \"any\"\ndefault = \"accept\"\nrules = []\n\n{}\n{}",
        peer("east", "eth0", 65_001, "passive = true"),
        peer("west", "eth1", 65_002, "")
    )
}

fn bird_conf(asn: u32, id: &str, block: &str, more: &str) -> String {
    format!(
        "log stderr all;\nrouter id {id};\nprotocol device {{ scan time 1; }}\n\
         protocol direct {{ ipv6; interface \"eth0\"; }}\n\
         protocol static {{ ipv6; route 2001:db8:{block}::/48 unreachable; }}\n\
         protocol bgp {} {{ debug {{ states }}; interface \"eth0\"; local {THEIRS} as {asn}; neighbor {OURS} as 64512;\n\
         direct; ipv6 {{ import all; export where source = RTS_STATIC; }}; connect delay time 1; connect retry time 1;\n\
         error wait time 1,2; {more} }}\n",
        protocol(OURS)
    )
}
