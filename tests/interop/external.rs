//! External peers: RFC 8212, AS loops, the next hop we set, and attributes that stay inside an AS.

use std::time::Duration;

use crate::lab::bird::{Bird, Version, protocol};
use crate::lab::frr::Frr;
use crate::lab::speaker::Speaker;
use crate::lab::stonechat::Stonechat;
use crate::lab::wait::{equal, holds_for};
use crate::lab::{Lab, Need, await_until, skipped};
use crate::pair::{LEFT, Pair, RIGHT};

/// An internal peer of Stonechat's, third on the segment.
const INSIDE: &str = "192.0.2.3";
const FROM_RIGHT: &str = "198.51.100.128/25";
const FROM_LEFT: &str = "198.51.100.0/25";
const FROM_INSIDE: &str = "203.0.113.0/24";
/// Announced by the right with our own AS in its path.
const LOOPED: &str = "198.18.0.0/16";

/// How long "nothing" is watched.
const WATCH: Duration = Duration::from_secs(2);

#[test]
fn without_policy_nothing_is_carried() {
    if skipped(&[Need::Frr]) {
        return;
    }
    let lab = Lab::new();
    let pair = Pair::build(&lab);
    let mut frr = Frr::start(&lab, &pair.right, "frr", &frr_conf());
    let mut stonechat = Stonechat::start(&lab, &pair.left, &config(""));
    frr.announce(FROM_RIGHT, RIGHT);
    stonechat.announce(FROM_LEFT, LEFT);
    await_until("the session is up", || frr.established(LEFT));
    holds_for(WATCH, "RFC 8212: no policy, no routes", || {
        frr.lacks(FROM_LEFT)?;
        stonechat.lacks(FROM_RIGHT)
    });
    let shown = stonechat.cli("peers").stdout + &stonechat.cli("peer right").stdout;
    assert!(shown.contains("8212"), "the operator is not told why: {shown}");
}

#[test]
fn routes_cross_the_border_of_the_as() {
    if skipped(&[Need::Frr, Need::Bird2]) {
        return;
    }
    let lab = Lab::new();
    let mut pair = Pair::build(&lab);
    let inside = lab.namespace("inside");
    pair.switch.plug(&inside, &["192.0.2.3/24"]);
    let mut frr = Frr::start(&lab, &pair.right, "frr", &frr_conf());
    let mut bird = Bird::start(&lab, &inside, Version::Two, &bird_conf());
    let mut stonechat = Stonechat::start(
        &lab,
        &pair.left,
        &config("import = [\"any\"]\nexport = [\"any\"]\nnext_hop = \"self\"\n"),
    );
    frr.announce(FROM_RIGHT, RIGHT);
    frr.announce(LOOPED, RIGHT);
    stonechat.announce(FROM_LEFT, LEFT);
    bird.announce(FROM_INSIDE, INSIDE);

    await_until("the right has our route", || frr.has(FROM_LEFT, LEFT));
    await_until(
        "the right has the internal peer's route with us as next hop",
        || frr.has(FROM_INSIDE, LEFT),
    );
    for prefix in [FROM_LEFT, FROM_INSIDE] {
        let answer = frr
            .show(&format!("show bgp ipv4 unicast {prefix} json"))
            .expect("FRR answers");
        let path = &answer["paths"][0];
        equal(&path["aspath"]["string"], &"64512".into()).expect("our AS once");
        assert!(
            path.get("locPrf").is_none(),
            "LOCAL_PREF crossed the border: {path}"
        );
    }
    await_until("we have the right's route", || stonechat.has(FROM_RIGHT, RIGHT));
    await_until("the internal peer has it too", || bird.has(FROM_RIGHT, RIGHT));
    let shown = bird.birdc(&format!("show route {FROM_RIGHT} all")).stdout;
    assert!(
        shown.contains("BGP.local_pref: 100"),
        "an internal peer is told LOCAL_PREF: {shown}"
    );
    assert!(
        shown.contains("BGP.as_path: 65001"),
        "the path is as received: {shown}"
    );
    holds_for(WATCH, "a path with our own AS is not used", || {
        stonechat.lacks(LOOPED)?;
        bird.lacks(LOOPED)
    });

    frr.withdraw(FROM_RIGHT);
    bird.withdraw(FROM_INSIDE);
    await_until("the internal peer forgets", || bird.lacks(FROM_RIGHT));
    await_until("the right forgets", || frr.lacks(FROM_INSIDE));
}

/// Stonechat in AS 64512 with an external peer on the right, to which `policy` applies, and an internal one.
fn config(policy: &str) -> String {
    format!(
        "[speaker]\nasn = 64512\nrouter_id = \"{LEFT}\"\n\n[kernel]\ninstall = true\n\n\
         [[originate]]\nname = \"blocks\"\nkernel = {{ type = [\"blackhole\"] }}\n\n\
         [[filter]]\nname = \"any\"\ndefault = \"accept\"\nrules = []\n\n\
         [[peer]]\nname = \"right\"\naddress = \"{RIGHT}\"\nasn = 65001\nconnect_retry_time = \"1s\"\n{policy}\n\
         [[peer]]\nname = \"inside\"\naddress = \"{INSIDE}\"\nasn = 64512\nconnect_retry_time = \"1s\"\n"
    )
}

fn frr_conf() -> String {
    format!(
        "ip prefix-list looped seq 5 permit {LOOPED}\n\
         route-map out permit 10\n match ip address prefix-list looped\n set as-path prepend 64512\nexit\n\
         route-map out permit 20\nexit\n\
         router bgp 65001\n bgp router-id {RIGHT}\n no bgp ebgp-requires-policy\n no bgp network import-check\n\
         neighbor {LEFT} remote-as 64512\n neighbor {LEFT} timers connect 1\n\
         neighbor {LEFT} advertisement-interval 0\n\
         address-family ipv4 unicast\n neighbor {LEFT} route-map out out\n exit-address-family\n"
    )
}

fn bird_conf() -> String {
    format!(
        "log stderr all;\nrouter id {INSIDE};\nprotocol device {{ scan time 1; }}\nprotocol direct {{ ipv4; }}\n\
         include \"announced.conf\";\n\
         protocol bgp {} {{ debug {{ states }}; local {INSIDE} as 64512; neighbor {LEFT} as 64512;\n\
         ipv4 {{ import all; export where source = RTS_STATIC; }};\n\
         connect delay time 1; connect retry time 1; error wait time 1,2; }}\n",
        protocol(LEFT)
    )
}
