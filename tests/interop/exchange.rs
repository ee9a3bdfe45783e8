//! Two daemons, one session: routes go both ways, are withdrawn, and come back after one of the two crashed.

use crate::lab::bird::{Bird, Version, protocol};
use crate::lab::exabgp::Exabgp;
use crate::lab::frr::Frr;
use crate::lab::gobgp::Gobgp;
use crate::lab::link::Switch;
use crate::lab::openbgpd::Openbgpd;
use crate::lab::speaker::Speaker;
use crate::lab::{Lab, Namespace, Need, await_until, skipped};

const LEFT: &str = "192.0.2.1";
const RIGHT: &str = "192.0.2.2";

#[test]
fn frr_and_bird2() {
    between_frr_and(&[Need::Frr, Need::Bird2], |lab, namespace| {
        Box::new(Bird::start(lab, namespace, Version::Two, &bird2(RIGHT, LEFT)))
    });
}

#[test]
fn frr_and_bird1() {
    between_frr_and(&[Need::Frr, Need::Bird1], |lab, namespace| {
        Box::new(Bird::start(lab, namespace, Version::One, &bird1(RIGHT, LEFT)))
    });
}

#[test]
fn frr_and_gobgp() {
    between_frr_and(&[Need::Frr, Need::Gobgp], |lab, namespace| {
        Box::new(Gobgp::start(lab, namespace, &gobgp(RIGHT, LEFT)))
    });
}

#[test]
fn frr_and_exabgp() {
    between_frr_and(&[Need::Frr, Need::Exabgp], |lab, namespace| {
        Box::new(Exabgp::start(lab, namespace, RIGHT, (LEFT, &exabgp(RIGHT))))
    });
}

#[test]
fn frr_and_openbgpd() {
    between_frr_and(&[Need::Frr, Need::Openbgpd], |lab, namespace| {
        Box::new(Openbgpd::start(lab, namespace, &openbgpd(RIGHT, LEFT)))
    });
}

fn between_frr_and(needs: &[Need], other: impl Fn(&Lab, &Namespace) -> Box<dyn Speaker>) {
    if skipped(needs) {
        return;
    }
    let lab = Lab::new();
    let (left, right) = (lab.namespace("left"), lab.namespace("right"));
    let mut switch = Switch::new(&lab, "switch");
    switch.plug(&left, &["192.0.2.1/24"]);
    switch.plug(&right, &["192.0.2.2/24"]);
    let mut frr = Frr::start(&lab, &left, "frr", &frr(LEFT, RIGHT));
    let mut other = other(&lab, &right);
    exchange(&mut frr, other.as_mut());
}

fn exchange(left: &mut dyn Speaker, right: &mut dyn Speaker) {
    await_until("the session is up on the left", || left.established(RIGHT));
    await_until("the session is up on the right", || right.established(LEFT));
    left.announce("198.51.100.0/25", LEFT);
    right.announce("198.51.100.128/25", RIGHT);
    await_until("the right learns", || right.has("198.51.100.0/25", LEFT));
    await_until("the left learns", || left.has("198.51.100.128/25", RIGHT));
    left.withdraw("198.51.100.0/25");
    right.withdraw("198.51.100.128/25");
    await_until("the right forgets", || right.lacks("198.51.100.0/25"));
    await_until("the left forgets", || left.lacks("198.51.100.128/25"));
    right.restart();
    right.announce("198.51.100.128/25", RIGHT);
    await_until("the left learns again", || left.has("198.51.100.128/25", RIGHT));
}

fn frr(local: &str, peer: &str) -> String {
    format!(
        "router bgp 64512\n bgp router-id {local}\n no bgp network import-check\n\
         neighbor {peer} remote-as 64512\n neighbor {peer} timers connect 1\n\
         neighbor {peer} advertisement-interval 0\n"
    )
}

fn bird2(local: &str, peer: &str) -> String {
    format!(
        "router id {local};\nprotocol device {{ scan time 1; }}\ninclude \"announced.conf\";\n\
         protocol bgp {} {{ local {local} as 64512; neighbor {peer} as 64512;\n\
         ipv4 {{ import all; export all; }};\nconnect delay time 1; connect retry time 1; error wait time 1,2; }}\n",
        protocol(peer)
    )
}

fn bird1(local: &str, peer: &str) -> String {
    format!(
        "router id {local};\nprotocol device {{ scan time 1; }}\ninclude \"announced.conf\";\n\
         protocol bgp {} {{ local {local} as 64512; neighbor {peer} as 64512;\n\
         import all; export all;\nconnect delay time 1; connect retry time 1; error wait time 1,2; }}\n",
        protocol(peer)
    )
}

fn gobgp(local: &str, peer: &str) -> String {
    format!(
        "[global.config]\nas = 64512\nrouter-id = \"{local}\"\n[[neighbors]]\n[neighbors.config]\n\
         neighbor-address = \"{peer}\"\npeer-as = 64512\n[neighbors.timers.config]\nconnect-retry = 1\n\
         hold-time = 9\nkeepalive-interval = 3\n"
    )
}

fn exabgp(local: &str) -> String {
    format!(
        "router-id {local}; local-address {local}; local-as 64512; peer-as 64512; hold-time 9;\n\
         family {{ ipv4 unicast; }}"
    )
}

fn openbgpd(local: &str, peer: &str) -> String {
    format!(
        "AS 64512\nrouter-id {local}\nfib-update no\nlisten on {local}\n\
         neighbor {peer} {{\n remote-as 64512\n holdtime 9\n}}\nallow from ibgp\nallow to ibgp\n"
    )
}
