//! Which paths of a prefix go to peers that take several (`add_path_send`): so many at FRR, the equal ones at BIRD, of those
//! that ExaBGP announces.

use crate::lab::bird::{Bird, Version, protocol};
use crate::lab::exabgp::Exabgp;
use crate::lab::frr::Frr;
use crate::lab::speaker::Speaker as _;
use crate::lab::stonechat::Stonechat;
use crate::lab::wait::equal;
use crate::lab::{Lab, Need, await_until, skipped};
use crate::pair::{LEFT, Pair, RIGHT};

const FEED: &str = "192.0.2.3";
const OTHER: &str = "192.0.2.4";
const PREFIX: &str = "198.18.0.0/24";

#[test]
fn the_best_two_at_one_peer_and_the_equal_ones_at_another() {
    if skipped(&[Need::Frr, Need::Bird2, Need::Exabgp]) {
        return;
    }
    let lab = Lab::new();
    let mut pair = Pair::build(&lab);
    let (feed, other) = (lab.namespace("feed"), lab.namespace("other"));
    pair.switch.plug(&feed, &[&format!("{FEED}/24")]);
    pair.switch.plug(&other, &[&format!("{OTHER}/24")]);
    let settings = format!(
        "router-id {FEED}; local-address {FEED}; local-as 64512; peer-as 64512; hold-time 9;\n\
         family {{ ipv4 unicast; }}\ncapability {{ route-refresh; add-path send/receive; }}"
    );
    let feed = Exabgp::start(&lab, &feed, FEED, (LEFT, &settings));
    let frr = Frr::start(&lab, &pair.right, "frr", &frr_conf());
    let bird = Bird::start(&lab, &other, Version::Two, &bird_conf());
    let stonechat = Stonechat::start(&lab, &pair.left, &config());
    await_until("the feed is up", || feed.established(LEFT));
    await_until("FRR is up", || frr.established(LEFT));
    await_until("BIRD is up", || bird.established(LEFT));

    let announce = |path: u8, local_pref: u32| {
        feed.tell(&format!(
            "announce route {PREFIX} next-hop {FEED} path-information 0.0.0.{path} local-preference {local_pref} \
             community [ 65001:{path} ]"
        ));
    };
    let settles = |what: &str, two: &[u8], same: &[u8]| {
        await_until(&format!("FRR: {what}"), || {
            let said = frr.vtysh(&[&format!("show bgp ipv4 unicast {PREFIX}")]);
            equal(&tags(&said, "65001:"), &two.to_vec())
        });
        await_until(&format!("BIRD: {what}"), || {
            let said = bird.birdc(&format!("show route {PREFIX} all")).stdout;
            equal(&tags(&said, "(65001,"), &same.to_vec())
        });
    };
    announce(1, 300);
    announce(2, 200);
    announce(3, 100);
    settles("the two best of three, and the best", &[1, 2], &[1]);
    announce(4, 250);
    settles("the second is another", &[1, 4], &[1]);
    announce(2, 300);
    settles("two are equal", &[1, 2], &[1, 2]);
    feed.tell(&format!(
        "withdraw route {PREFIX} next-hop {FEED} path-information 0.0.0.1"
    ));
    settles("the third moves up", &[2, 4], &[2]);
    let why = stonechat.cli(&format!("why {PREFIX}")).stdout;
    assert!(
        why.contains("not among the best paths: add_path_send = 2"),
        "{why}"
    );

    stonechat.write_config(&config().replace("add_path_send = 2", "add_path_send = \"all\""));
    let reloaded = stonechat.cli("reload").expect_success();
    assert!(reloaded.contains("add_path_send"), "{reloaded}");
    settles("all of them, in the same session", &[2, 3, 4], &[2]);
    let flaps = stonechat.json("peer frr").expect("it answers")["flaps"].as_u64();
    assert_eq!(flaps, Some(0));
}

/// The numbers of the communities that tell the paths apart.
fn tags(said: &str, before: &str) -> Vec<u8> {
    let mut tags: Vec<u8> = said
        .split(before)
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok())
        .collect();
    tags.sort_unstable();
    tags
}

fn config() -> String {
    let client = |name: &str, address: &str, more: &str| {
        format!(
            "[[peer]]\nname = \"{name}\"\naddress = \"{address}\"\nasn = 64512\nrr_client = true\n\
             connect_retry_time = \"1s\"\n{more}\n\n"
        )
    };
    format!(
        "[speaker]\nasn = 64512\nrouter_id = \"{LEFT}\"\n\n{}{}{}",
        client("feed", FEED, "add_path = \"receive\""),
        client("frr", RIGHT, "add_path = \"send\"\nadd_path_send = 2"),
        client("bird", OTHER, "add_path = \"send\"\nadd_path_send = \"ecmp\"")
    )
}

fn frr_conf() -> String {
    format!(
        "router bgp 64512\n bgp router-id {RIGHT}\n neighbor {LEFT} remote-as 64512\n neighbor {LEFT} timers connect 1\n"
    )
}

fn bird_conf() -> String {
    format!(
        "log stderr all;\nrouter id {OTHER};\nprotocol device {{ scan time 1; }}\n\
         protocol direct {{ ipv4; interface \"eth0\"; }}\n\
         protocol bgp {} {{ debug {{ states }}; local {OTHER} as 64512; neighbor {LEFT} as 64512;\n\
         ipv4 {{ import all; export none; add paths rx; }}; connect delay time 1; connect retry time 1; \
         error wait time 1,2; }}\n",
        protocol(LEFT)
    )
}
