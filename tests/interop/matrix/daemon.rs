//! The daemons of the matrix: how each is configured for a feature, and how it is asked and told what no common verb says.

use std::fmt::Write as _;

use nix::sys::signal::Signal;

use super::feature::many_of_theirs;
use crate::lab::bird::{Bird, Version, protocol};
use crate::lab::exabgp::Exabgp;
use crate::lab::frr::Frr;
use crate::lab::gobgp::Gobgp;
use crate::lab::openbgpd::Openbgpd;
use crate::lab::speaker::Speaker;
use crate::lab::{Lab, Namespace, Need};
use crate::pair::{LEFT, LEFT6, RIGHT, RIGHT6};

/// The AS of the other daemon: one that takes four octets.
pub(super) const THEIRS: &str = "4200000001";

/// Who is on the right.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Frr,
    Bird2,
    Bird1,
    Gobgp,
    Openbgpd,
    Exabgp,
}

/// All of them, in the order of the page's columns.
pub(super) const ALL: [Kind; 6] = [
    Kind::Frr,
    Kind::Bird2,
    Kind::Bird1,
    Kind::Gobgp,
    Kind::Openbgpd,
    Kind::Exabgp,
];

/// What the daemon's configuration says beyond the plain session.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    /// Of the speaker.
    pub(super) global: String,
    /// Of the peer.
    pub(super) peer: String,
    /// Of each of the peer's families.
    pub(super) family: String,
    /// FRR's, behind everything.
    pub(super) after: String,
    /// GoBGP's, of the peer's first table.
    pub(super) config: String,
    /// The session is over IPv6.
    pub(super) over_ipv6: bool,
}

impl Lines {
    /// Our address and theirs.
    pub(super) const fn ends(&self) -> (&'static str, &'static str) {
        if self.over_ipv6 {
            (LEFT6, RIGHT6)
        } else {
            (LEFT, RIGHT)
        }
    }
}

/// Lines for one peer alone.
pub(super) fn of_peer(text: &str) -> Option<Lines> {
    Some(Lines {
        peer: text.to_owned(),
        ..Lines::default()
    })
}

/// One of them, running.
pub(super) enum Daemon {
    Frr(Frr),
    Bird(Bird),
    Gobgp(Gobgp),
    Openbgpd(Openbgpd),
    Exabgp(Exabgp),
}

impl Kind {
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Frr => "FRR 8.4.4",
            Self::Bird2 => "BIRD 2.0.12",
            Self::Bird1 => "BIRD 1.6.8",
            Self::Gobgp => "GoBGP 3.10",
            Self::Openbgpd => "OpenBGPD 7.7",
            Self::Exabgp => "ExaBGP 4.2",
        }
    }

    pub(super) const fn need(self) -> Need {
        match self {
            Self::Frr => Need::Frr,
            Self::Bird2 => Need::Bird2,
            Self::Bird1 => Need::Bird1,
            Self::Gobgp => Need::Gobgp,
            Self::Openbgpd => Need::Openbgpd,
            Self::Exabgp => Need::Exabgp,
        }
    }

    /// One session carries both families.
    pub(super) const fn has_both_families(self) -> bool {
        !matches!(self, Self::Bird1)
    }

    /// Its part of 10,000 routes as configuration, where it takes them so.
    pub(super) fn many(self) -> String {
        let each = |line: &dyn Fn(&str) -> String| -> String {
            many_of_theirs().map(|prefix| line(&prefix)).collect()
        };
        match self {
            Self::Frr => format!(
                " address-family ipv4 unicast\n{} exit-address-family\n",
                each(&|prefix| format!("  network {prefix}\n"))
            ),
            Self::Bird2 => format!(
                "protocol static {{ ipv4; {} }}\n",
                each(&|prefix| format!("route {prefix} via {RIGHT};\n"))
            ),
            Self::Bird1 => format!(
                "protocol static {{ {} }}\n",
                each(&|prefix| format!("route {prefix} via {RIGHT};\n"))
            ),
            Self::Openbgpd => each(&|prefix| format!("network {prefix}\n")),
            Self::Gobgp | Self::Exabgp => String::new(),
        }
    }

    /// Starts it with a session to the left.
    pub(super) fn start(self, lab: &Lab, right: &Namespace, lines: &Lines) -> Daemon {
        match self {
            Self::Frr => Daemon::Frr(Frr::start(lab, right, "frr", &frr(lines))),
            Self::Bird2 => Daemon::Bird(Bird::start(lab, right, Version::Two, &bird2(lines))),
            Self::Bird1 => Daemon::Bird(Bird::start(lab, right, Version::One, &bird1(lines))),
            Self::Gobgp => Daemon::Gobgp(Gobgp::start(lab, right, &gobgp(lines))),
            Self::Openbgpd => Daemon::Openbgpd(Openbgpd::start(lab, right, &openbgpd(lines))),
            Self::Exabgp => {
                let (ours, theirs) = lines.ends();
                Daemon::Exabgp(Exabgp::start(lab, right, theirs, (ours, &exabgp(lines))))
            }
        }
    }
}

impl Daemon {
    pub(super) fn speaker(&mut self) -> &mut dyn Speaker {
        match self {
            Self::Frr(daemon) => daemon,
            Self::Bird(daemon) => daemon,
            Self::Gobgp(daemon) => daemon,
            Self::Openbgpd(daemon) => daemon,
            Self::Exabgp(daemon) => daemon,
        }
    }

    /// Everything it says of a prefix.
    pub(super) fn describe(&self, prefix: &str) -> String {
        let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
        match self {
            Self::Frr(frr) => frr.vtysh(&[&format!("show bgp {family} unicast {prefix}")]),
            Self::Bird(bird) => bird.birdc(&format!("show route {prefix} all")).stdout,
            Self::Gobgp(gobgp) => gobgp.gobgp(&format!("global rib -a {family} {prefix}")).stdout,
            Self::Openbgpd(openbgpd) => openbgpd.bgpctl(&format!("show rib detail {prefix}")).stdout,
            Self::Exabgp(exabgp) => {
                let events = exabgp.events().unwrap_or_default();
                let named = events
                    .iter()
                    .map(ToString::to_string)
                    .filter(|event| event.contains(prefix));
                named.collect::<Vec<_>>().join("\n")
            }
        }
    }

    /// Has it ask for all routes again; false where it has no such command.
    pub(super) fn refresh(&self) -> bool {
        match self {
            Self::Frr(frr) => drop(frr.vtysh(&[&format!("clear bgp ipv4 unicast {LEFT} soft in")])),
            Self::Bird(bird) => drop(bird.birdc(&format!("reload in {}", protocol(LEFT)))),
            // Its soft reset asks its memory and not the peer.
            Self::Gobgp(_) => return false,
            Self::Openbgpd(openbgpd) => drop(openbgpd.bgpctl(&format!("neighbor {LEFT} refresh"))),
            Self::Exabgp(exabgp) => exabgp.tell("announce route-refresh ipv4 unicast"),
        }
        true
    }

    /// Has it end the session with a text for us; false where it has no such command.
    pub(super) fn shut_down(&self, text: &str) -> bool {
        match self {
            Self::Frr(frr) => {
                let line = format!("neighbor {LEFT} shutdown message {text}");
                frr.vtysh(&["configure terminal", "router bgp", &line]);
            }
            Self::Bird(bird) => drop(bird.birdc(&format!("disable {} \"{text}\"", protocol(LEFT)))),
            Self::Gobgp(gobgp) => drop(gobgp.gobgp(&format!("neighbor {LEFT} shutdown --reason {text}"))),
            Self::Openbgpd(openbgpd) => drop(openbgpd.bgpctl(&format!("neighbor {LEFT} down {text}"))),
            Self::Exabgp(_) => return false,
        }
        true
    }

    /// Ends it as a crash would.
    pub(super) fn kill(&mut self) {
        match self {
            Self::Frr(frr) => frr.stop_bgpd(Signal::SIGKILL),
            Self::Bird(bird) => bird.stop(Signal::SIGKILL),
            Self::Gobgp(gobgp) => gobgp.stop(Signal::SIGKILL),
            Self::Openbgpd(openbgpd) => openbgpd.stop(Signal::SIGTERM),
            Self::Exabgp(exabgp) => exabgp.stop(Signal::SIGKILL),
        }
    }

    /// Starts it after [`Daemon::kill`].
    pub(super) fn start_again(&mut self) {
        match self {
            Self::Frr(frr) => frr.start_again(),
            Self::Bird(bird) => bird.start_again_gracefully(),
            Self::Gobgp(gobgp) => gobgp.start_again(),
            Self::Openbgpd(openbgpd) => openbgpd.start_again(),
            Self::Exabgp(exabgp) => exabgp.start_again(),
        }
    }

    /// Its log and what it shows of us.
    pub(super) fn everything_said(&self) -> String {
        match self {
            Self::Frr(frr) => frr.log() + &frr.vtysh(&[&format!("show bgp neighbors {LEFT}")]),
            Self::Bird(bird) => bird.log() + &bird.birdc("show protocols all").stdout,
            Self::Gobgp(gobgp) => gobgp.log() + &gobgp.gobgp(&format!("neighbor {LEFT}")).stdout,
            Self::Openbgpd(openbgpd) => {
                openbgpd.log() + &openbgpd.bgpctl(&format!("show neighbor {LEFT}")).stdout
            }
            Self::Exabgp(exabgp) => {
                let events = exabgp.events().unwrap_or_default();
                let lines: Vec<String> = events.iter().map(ToString::to_string).collect();
                exabgp.log() + &lines.join("\n")
            }
        }
    }

    /// Announces what its configuration could not.
    pub(super) fn announce_rest(&mut self, prefixes: impl Iterator<Item = String>) {
        match self {
            Self::Frr(_) | Self::Bird(_) | Self::Openbgpd(_) => {}
            Self::Gobgp(gobgp) => {
                for prefix in prefixes {
                    gobgp.announce(&prefix, RIGHT);
                }
            }
            Self::Exabgp(exabgp) => {
                for prefix in prefixes {
                    exabgp.announce(&prefix, RIGHT);
                }
            }
        }
    }

    /// How many prefixes it has from us, where it can be asked cheaply.
    pub(super) fn count(&self) -> Result<usize, String> {
        let number = |value: &serde_json::Value| value.as_u64().unwrap_or(0) as usize;
        match self {
            Self::Frr(frr) => Ok(number(
                &frr.peer(LEFT)?["addressFamilyInfo"]["ipv4Unicast"]["acceptedPrefixCounter"],
            )),
            Self::Bird(bird) => {
                let said = bird
                    .birdc(&format!("show route protocol {} count", protocol(LEFT)))
                    .stdout;
                // "10000 of 10000 routes for 10000 networks"
                let line = said.lines().find(|line| line.contains(" routes for "));
                let first = line.and_then(|line| line.split_whitespace().next());
                Ok(first.and_then(|word| word.parse().ok()).unwrap_or(0))
            }
            Self::Gobgp(gobgp) => {
                let all = gobgp.gobgp(&format!("neighbor {LEFT} adj-in")).json()?;
                Ok(all.as_object().map_or(0, serde_json::Map::len))
            }
            Self::Openbgpd(openbgpd) => {
                let said = openbgpd.bgpctl(&format!("show neighbor {LEFT}")).json()?;
                Ok(number(&said["neighbors"][0]["stats"]["prefixes"]["received"]))
            }
            Self::Exabgp(exabgp) => {
                let said = exabgp.events()?;
                let nlri = |event: &serde_json::Value| event.to_string().matches("\"nlri\"").count();
                Ok(said.iter().map(nlri).sum())
            }
        }
    }
}

fn frr(lines: &Lines) -> String {
    let Lines {
        global,
        peer,
        family,
        after,
        ..
    } = lines;
    let (left, _) = lines.ends();
    let mut text = format!(
        "router bgp {THEIRS}\n bgp router-id {RIGHT}\n no bgp ebgp-requires-policy\n no bgp network import-check\n\
         no bgp default ipv4-unicast\n bgp log-neighbor-changes\n{global}\nneighbor LEFT remote-as 64512\n neighbor LEFT timers connect 1\n\
         neighbor LEFT advertisement-interval 0\n{peer}\n"
    );
    for name in ["ipv4", "ipv6"] {
        write!(
            text,
            " address-family {name} unicast\n neighbor LEFT activate\n{family}\n exit-address-family\n"
        )
        .expect("a string takes it");
    }
    text.push_str(after);
    text.replace("LEFT", left)
}

fn bird2(lines: &Lines) -> String {
    let Lines {
        global, peer, family, ..
    } = lines;
    let (left, right) = lines.ends();
    format!(
        "log stderr all;\nrouter id {RIGHT};\n{global}\nprotocol device {{ scan time 1; }}\n\
         protocol direct {{ ipv4; ipv6; interface \"eth0\"; }}\ninclude \"announced.conf\";\n\
         protocol bgp {} {{ debug {{ states, events }}; local {right} as {THEIRS}; neighbor {left} as 64512;\n{peer}\n\
         ipv4 {{ import all; export where source = RTS_STATIC; {family} }};\n\
         ipv6 {{ import all; export where source = RTS_STATIC; {family} }};\n\
         connect delay time 1; connect retry time 1; error wait time 1,2; }}\n",
        protocol(left)
    )
}

fn bird1(lines: &Lines) -> String {
    let Lines {
        global, peer, family, ..
    } = lines;
    let (left, right) = lines.ends();
    format!(
        "log stderr all;\nrouter id {RIGHT};\n{global}\nprotocol device {{ scan time 1; }}\n\
         protocol direct {{ interface \"eth0\"; }}\ninclude \"announced.conf\";\n\
         protocol bgp {} {{ debug {{ states, events }}; local {right} as {THEIRS}; neighbor {left} as 64512;\n{peer}\n{family}\n\
         import all; export where source = RTS_STATIC;\n\
         connect delay time 1; connect retry time 1; error wait time 1,2; }}\n",
        protocol(left)
    )
}

fn gobgp(lines: &Lines) -> String {
    let Lines {
        global,
        peer,
        family,
        config,
        ..
    } = lines;
    let (left, right) = lines.ends();
    let mut text = format!(
        "[global.config]\nas = {THEIRS}\nrouter-id = \"{RIGHT}\"\n{global}\n[[neighbors]]\n[neighbors.config]\n\
         neighbor-address = \"{left}\"\npeer-as = 64512\n{config}\n[neighbors.transport.config]\n\
         local-address = \"{right}\"\n[neighbors.timers.config]\nconnect-retry = 1\nidle-hold-time-after-reset = 1\n{peer}\n"
    );
    for name in ["ipv4", "ipv6"] {
        write!(
            text,
            "[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"{name}-unicast\"\n{family}\n"
        )
        .expect("a string takes it");
    }
    text
}

fn openbgpd(lines: &Lines) -> String {
    let Lines { global, peer, .. } = lines;
    format!(
        "AS {THEIRS} 65010\nrouter-id {RIGHT}\nfib-update no\nlisten on {RIGHT}\n{global}\n\
         neighbor {LEFT} {{\n remote-as 64512\n local-address {RIGHT}\n holdtime 9\n\
         announce IPv4 unicast\n announce IPv6 unicast\n{peer}\n}}\nallow from any\nallow to any\n"
    )
}

fn exabgp(lines: &Lines) -> String {
    // It does not announce route refresh unless told to.
    let refresh = if lines.peer.contains("capability") {
        ""
    } else {
        "capability { route-refresh; }"
    };
    let Lines { peer, .. } = lines;
    let (_, right) = lines.ends();
    format!(
        "router-id {RIGHT}; local-address {right}; local-as {THEIRS}; peer-as 64512; hold-time 9;\n\
         family {{ ipv4 unicast; ipv6 unicast; }}\n{refresh}\n{peer}\n"
    )
}
