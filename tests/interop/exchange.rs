//! Stonechat and each of the others: a session, routes both ways, withdrawals, and a new session after a crash of
//! either side, in both families.

use crate::lab::bird::{Bird, Version, protocol};
use crate::lab::exabgp::Exabgp;
use crate::lab::frr::Frr;
use crate::lab::gobgp::Gobgp;
use crate::lab::openbgpd::Openbgpd;
use crate::lab::speaker::Speaker;
use crate::lab::stonechat::Stonechat;
use crate::lab::{Lab, Namespace, Need, await_until, skipped};
use crate::pair::{self, LEFT, LEFT6, Pair, RIGHT, RIGHT6};

/// The addresses of a session and the prefixes that cross it.
struct Family {
    left: &'static str,
    right: &'static str,
    name: &'static str,
    from_left: &'static str,
    from_right: &'static str,
    /// Whether the right has it before anything is announced, and never lets go of it.
    from_right_again: &'static str,
}

const IPV4: Family = Family {
    left: LEFT,
    right: RIGHT,
    name: "ipv4",
    from_left: "198.51.100.0/25",
    from_right: "198.51.100.128/25",
    from_right_again: "203.0.113.0/24",
};

const IPV6: Family = Family {
    left: LEFT6,
    right: RIGHT6,
    name: "ipv6",
    from_left: "2001:db8:a::/48",
    from_right: "2001:db8:b::/48",
    from_right_again: "2001:db8:c::/48",
};

#[test]
fn frr_in_ipv4() {
    with(&IPV4, Need::Frr, |lab, right| {
        Box::new(Frr::start(lab, right, "frr", &frr(&IPV4)))
    });
}

#[test]
fn frr_in_ipv6() {
    with(&IPV6, Need::Frr, |lab, right| {
        Box::new(Frr::start(lab, right, "frr", &frr(&IPV6)))
    });
}

#[test]
fn bird2_in_ipv4() {
    with(&IPV4, Need::Bird2, |lab, right| {
        Box::new(Bird::start(lab, right, Version::Two, &bird2(&IPV4)))
    });
}

#[test]
fn bird2_in_ipv6() {
    with(&IPV6, Need::Bird2, |lab, right| {
        Box::new(Bird::start(lab, right, Version::Two, &bird2(&IPV6)))
    });
}

#[test]
fn bird1_in_ipv4() {
    with(&IPV4, Need::Bird1, |lab, right| {
        Box::new(Bird::start(lab, right, Version::One, &bird1(&IPV4)))
    });
}

#[test]
fn bird1_in_ipv6() {
    with(&IPV6, Need::Bird1, |lab, right| {
        Box::new(Bird::start(lab, right, Version::OneForIpv6, &bird1(&IPV6)))
    });
}

#[test]
fn gobgp_in_ipv4() {
    with(&IPV4, Need::Gobgp, |lab, right| {
        Box::new(Gobgp::start(lab, right, &gobgp(&IPV4)))
    });
}

#[test]
fn gobgp_in_ipv6() {
    with(&IPV6, Need::Gobgp, |lab, right| {
        Box::new(Gobgp::start(lab, right, &gobgp(&IPV6)))
    });
}

#[test]
fn exabgp_in_ipv4() {
    with(&IPV4, Need::Exabgp, |lab, right| {
        Box::new(Exabgp::start(lab, right, RIGHT, (LEFT, &exabgp(&IPV4))))
    });
}

#[test]
fn exabgp_in_ipv6() {
    with(&IPV6, Need::Exabgp, |lab, right| {
        Box::new(Exabgp::start(lab, right, RIGHT6, (LEFT6, &exabgp(&IPV6))))
    });
}

#[test]
fn openbgpd_in_ipv4() {
    with(&IPV4, Need::Openbgpd, |lab, right| {
        Box::new(Openbgpd::start(lab, right, &openbgpd(&IPV4)))
    });
}

#[test]
fn openbgpd_in_ipv6() {
    with(&IPV6, Need::Openbgpd, |lab, right| {
        Box::new(Openbgpd::start(lab, right, &openbgpd(&IPV6)))
    });
}

fn with(family: &Family, need: Need, other: impl Fn(&Lab, &Namespace) -> Box<dyn Speaker>) {
    if skipped(&[need]) {
        return;
    }
    let lab = Lab::new();
    let pair = Pair::build(&lab);
    let families = format!(
        "families = [\"{}-unicast\"]\nconnect_retry_time = \"1s\"",
        family.name
    );
    let mut stonechat = Stonechat::start(&lab, &pair.left, &pair::stonechat(family.right, &families));
    let mut other = other(&lab, &pair.right);
    exchange(family, &mut stonechat, other.as_mut());
}

fn exchange(family: &Family, left: &mut dyn Speaker, right: &mut dyn Speaker) {
    await_until("the session is up on the left", || left.established(family.right));
    await_until("the session is up on the right", || {
        right.established(family.left)
    });
    left.announce(family.from_left, family.left);
    right.announce(family.from_right, family.right);
    await_until("the right learns", || right.has(family.from_left, family.left));
    await_until("the left learns", || left.has(family.from_right, family.right));
    right.withdraw(family.from_right);
    await_until("the left forgets", || left.lacks(family.from_right));
    right.restart();
    right.announce(family.from_right_again, family.right);
    await_until("the left learns again", || {
        left.has(family.from_right_again, family.right)
    });
    await_until("the right learns again", || {
        right.has(family.from_left, family.left)
    });
    left.restart();
    await_until("the left has it after its own crash", || {
        left.has(family.from_right_again, family.right)
    });
    left.withdraw(family.from_left);
    await_until("the right forgets", || right.lacks(family.from_left));
}

fn frr(family: &Family) -> String {
    let Family { left, name, .. } = family;
    format!(
        "router bgp 64512\n bgp router-id {RIGHT}\n no bgp network import-check\n no bgp default ipv4-unicast\n\
         neighbor {left} remote-as 64512\n neighbor {left} timers connect 1\n\
         neighbor {left} advertisement-interval 0\n\
         address-family {name} unicast\n neighbor {left} activate\n exit-address-family\n"
    )
}

fn bird2(family: &Family) -> String {
    let Family {
        left, right, name, ..
    } = family;
    format!(
        "log stderr all;\nrouter id {RIGHT};\nprotocol device {{ scan time 1; }}\ninclude \"announced.conf\";\n\
         protocol bgp {} {{ debug {{ states }}; local {right} as 64512; neighbor {left} as 64512;\n\
         {name} {{ import all; export all; }};\nconnect delay time 1; connect retry time 1; error wait time 1,2; }}\n",
        protocol(left)
    )
}

fn bird1(family: &Family) -> String {
    let Family { left, right, .. } = family;
    format!(
        "log stderr all;\nrouter id {RIGHT};\nprotocol device {{ scan time 1; }}\ninclude \"announced.conf\";\n\
         protocol bgp {} {{ debug {{ states }}; local {right} as 64512; neighbor {left} as 64512;\n\
         import all; export all;\nconnect delay time 1; connect retry time 1; error wait time 1,2; }}\n",
        protocol(left)
    )
}

fn gobgp(family: &Family) -> String {
    let Family {
        left, right, name, ..
    } = family;
    format!(
        "[global.config]\nas = 64512\nrouter-id = \"{RIGHT}\"\n[[neighbors]]\n[neighbors.config]\n\
         neighbor-address = \"{left}\"\npeer-as = 64512\n[neighbors.transport.config]\n\
         local-address = \"{right}\"\n[neighbors.timers.config]\nconnect-retry = 1\n\
         hold-time = 9\nkeepalive-interval = 3\n[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\n\
         afi-safi-name = \"{name}-unicast\"\n"
    )
}

fn exabgp(family: &Family) -> String {
    let Family { right, name, .. } = family;
    format!(
        "router-id {RIGHT}; local-address {right}; local-as 64512; peer-as 64512; hold-time 9;\n\
         family {{ {name} unicast; }}"
    )
}

fn openbgpd(family: &Family) -> String {
    let Family {
        left, right, name, ..
    } = family;
    let name = name.replace("ip", "IP");
    format!(
        "AS 64512\nrouter-id {RIGHT}\nfib-update no\nlisten on {right}\n\
         neighbor {left} {{\n remote-as 64512\n local-address {right}\n holdtime 9\n\
         announce {name} unicast\n}}\nallow from ibgp\nallow to ibgp\n"
    )
}
