//! The rows of the matrix: what each daemon's configuration needs for a feature, and what shows that it works. Rows that take
//! a third speaker are in `through.rs`.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::daemon::{Daemon, Kind, Lines, THEIRS, of_peer};
use super::through::{self, Feeds};
use crate::lab::await_until;
use crate::lab::speaker::Speaker as _;
use crate::lab::stonechat::Stonechat;
use crate::lab::wait::holds_for;
use crate::pair::{LEFT, LEFT6, RIGHT, RIGHT6};

/// A row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Feature {
    Session,
    FourOctetAsn,
    BothFamilies,
    Communities,
    Refresh,
    ShutdownMessage,
    Collision,
    Md5,
    Gtsm,
    AddPath,
    GracefulHelper,
    GracefulRestarter,
    LongLived,
    LongLivedRestarter,
    Role,
    ExtendedNextHop,
    TenThousand,
}

/// Those that one plain session shows, in this order: the last ones end it.
pub(super) const PLAIN: [Feature; 6] = [
    Feature::Session,
    Feature::FourOctetAsn,
    Feature::BothFamilies,
    Feature::Collision,
    Feature::Refresh,
    Feature::ShutdownMessage,
];

/// Those that take a session of their own.
pub(super) const OWN_SESSION: [Feature; 11] = [
    Feature::Communities,
    Feature::Md5,
    Feature::Gtsm,
    Feature::AddPath,
    Feature::GracefulHelper,
    Feature::GracefulRestarter,
    Feature::LongLived,
    Feature::LongLivedRestarter,
    Feature::Role,
    Feature::ExtendedNextHop,
    Feature::TenThousand,
];

const FROM_LEFT: &str = "198.51.100.0/25";
const FROM_RIGHT: &str = "203.0.113.0/24";
const FROM_LEFT6: &str = "2001:db8:a::/48";
const FROM_RIGHT6: &str = "2001:db8:b::/48";
/// Routes each way of [`Feature::TenThousand`].
const MANY: usize = 10_000;
/// How long a session is watched that must not come up or down.
const WATCH: Duration = Duration::from_secs(2);
/// What FRR announces must be in its configuration to be there after a crash.
const FRR_GRACEFUL: &str = " bgp graceful-restart\n bgp graceful-restart preserve-fw-state\n \
                            address-family ipv4 unicast\n network 203.0.113.0/24\n exit-address-family\n";
/// The key of [`Feature::Md5`].
pub(super) const KEY: &str = "interop";

impl Feature {
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Session => "session, routes and withdrawals both ways",
            Self::FourOctetAsn => "4-octet AS numbers (RFC 6793)",
            Self::BothFamilies => "both families on one session (RFC 4760)",
            Self::Communities => "communities, plain, large and extended, through us unchanged, both ways",
            Self::Refresh => "route refresh, asked for by either that can ask (RFC 2918)",
            Self::ShutdownMessage => "shutdown message, told and shown (RFC 9003)",
            Self::Collision => "both may connect, one connection stays (RFC 4271 §6.8)",
            Self::Md5 => "TCP MD5 (RFC 2385)",
            Self::Gtsm => "GTSM at both ends (RFC 5082)",
            Self::AddPath => "two paths of one prefix, both ways (Add-Path, RFC 7911)",
            Self::GracefulHelper => "graceful restart of the peer, with us as helper (RFC 4724)",
            Self::GracefulRestarter => "graceful restart of ours, with the peer as helper (RFC 4724)",
            Self::LongLived => "long-lived graceful restart of the peer, with us as helper (RFC 9494)",
            Self::LongLivedRestarter => {
                "long-lived graceful restart of ours, with the peer as helper (RFC 9494)"
            }
            Self::Role => "roles (RFC 9234)",
            Self::ExtendedNextHop => "IPv4 routes with IPv6 next hops, both ways (RFC 8950)",
            Self::TenThousand => "10,000 routes each way",
        }
    }

    /// What the other daemon's configuration says; `None` where it has no such thing.
    pub(super) fn lines(self, kind: Kind) -> Option<Lines> {
        use Kind::{Bird1, Bird2, Exabgp, Frr, Gobgp, Openbgpd};
        let plain = Some(Lines::default());
        match (self, kind) {
            (Self::Md5, Frr) => of_peer(&format!(" neighbor LEFT password {KEY}")),
            (Self::Md5, Bird1 | Bird2) => of_peer(&format!("password \"{KEY}\";")),
            (Self::Md5, Gobgp) => Some(Lines {
                config: format!("auth-password = \"{KEY}\""),
                ..Lines::default()
            }),
            (Self::Md5, Openbgpd) => of_peer(&format!(" tcp md5sig password \"{KEY}\"")),
            (Self::Md5, Exabgp) => of_peer(&format!("md5-password \"{KEY}\";")),
            (Self::Gtsm, Frr) => of_peer(" neighbor LEFT ttl-security hops 1"),
            (Self::Gtsm, Bird1 | Bird2) => of_peer("ttl security on;"),
            (Self::Gtsm, Gobgp) => of_peer("[neighbors.ttl-security.config]\nenabled = true\nttl-min = 255"),
            (Self::Gtsm, Openbgpd) => of_peer(" ttl-security yes"),
            (Self::Gtsm, Exabgp) => of_peer("outgoing-ttl 255; incoming-ttl 255;"),
            (Self::Communities, _) => Some(through::tagging(kind)),
            (Self::AddPath, _) => Some(through::two_paths(kind)),
            (
                Self::GracefulHelper | Self::GracefulRestarter | Self::LongLived | Self::LongLivedRestarter,
                _,
            ) => self.graceful_lines(kind),
            (Self::Role, Frr) => of_peer(" neighbor LEFT local-role customer strict-mode"),
            (Self::Role, Bird2) => of_peer("local role customer; require roles yes;"),
            (Self::Role, Openbgpd) => of_peer(" announce policy customer enforce"),
            (Self::Role, Bird1 | Gobgp | Exabgp) => None,
            // It announces the capability over IPv6 alone.
            (Self::ExtendedNextHop, Frr) => Some(Lines {
                peer: " neighbor LEFT capability extended-nexthop".into(),
                over_ipv6: true,
                ..Lines::default()
            }),
            (Self::ExtendedNextHop, Bird2) => Some(Lines {
                global: through::bird_over_ipv6(),
                family: "extended next hop on;".into(),
                ..Lines::default()
            }),
            (Self::ExtendedNextHop, Exabgp) => {
                of_peer("capability { nexthop; }\nnexthop { ipv4 unicast ipv6; }")
            }
            (Self::ExtendedNextHop, Bird1 | Openbgpd) => None,
            (Self::BothFamilies, Bird1) | (Self::ShutdownMessage, Exabgp) => None,
            (Self::TenThousand, _) => Some(Lines {
                global: kind.many(),
                ..Lines::default()
            }),
            _ => plain,
        }
    }

    /// Of those, what has to do with restarts.
    fn graceful_lines(self, kind: Kind) -> Option<Lines> {
        use Kind::{Bird1, Bird2, Exabgp, Frr, Gobgp, Openbgpd};
        match (self, kind) {
            (Self::GracefulHelper | Self::GracefulRestarter, Frr) => Some(Lines {
                global: FRR_GRACEFUL.into(),
                ..Lines::default()
            }),
            (Self::GracefulHelper | Self::GracefulRestarter, Bird2 | Bird1) => of_peer("graceful restart on;"),
            (Self::GracefulHelper | Self::GracefulRestarter, Gobgp) => Some(Lines {
                peer: "[neighbors.graceful-restart.config]\nenabled = true\nrestart-time = 60".into(),
                family: "[neighbors.afi-safis.mp-graceful-restart.config]\nenabled = true".into(),
                ..Lines::default()
            }),
            // It keeps nothing over its own restart, but holds on to what others keep.
            (Self::GracefulHelper, Openbgpd) => None,
            (Self::GracefulRestarter, Openbgpd) => of_peer(" announce restart yes"),
            (Self::GracefulHelper, Exabgp) => of_peer("capability { graceful-restart 60; }"),
            (Self::GracefulRestarter, Exabgp) => None,
            (Self::LongLived | Self::LongLivedRestarter, Frr) => Some(Lines {
                global: format!(
                    "{FRR_GRACEFUL} bgp graceful-restart restart-time 1\n \
                     bgp long-lived-graceful-restart stale-time 3600\n"
                ),
                ..Lines::default()
            }),
            (Self::LongLived | Self::LongLivedRestarter, Bird2) => of_peer("graceful restart on; graceful restart time 1; long lived graceful restart on;"),
            (Self::LongLived | Self::LongLivedRestarter, Gobgp) => Some(Lines {
                peer: "[neighbors.graceful-restart.config]\nenabled = true\nrestart-time = 1\nlong-lived-enabled = true".into(),
                family: "[neighbors.afi-safis.mp-graceful-restart.config]\nenabled = true\n\
                         [neighbors.afi-safis.long-lived-graceful-restart.config]\nenabled = true\nrestart-time = 3600"
                    .into(),
                ..Lines::default()
            }),
            (Self::LongLived | Self::LongLivedRestarter, Bird1 | Openbgpd | Exabgp) => None,
            _ => Some(Lines::default()),
        }
    }

    /// What is known not to work, and that it is the other daemon's doing.
    pub(super) const fn known_failure(self, kind: Kind) -> Option<&'static str> {
        match (self, kind) {
            (Self::Refresh, Kind::Openbgpd) => Some(
                "OpenBGPD 7.7 logs `AID IPv4 unicast not negotiated` for a ROUTE-REFRESH of the family that both \
                 announced, and answers nothing; BIRD 2 gets no answer either",
            ),
            (Self::Refresh, Kind::Exabgp) => Some(
                "ExaBGP 4.2 ends the session at a ROUTE-REFRESH when it has routes to send again: \
                 `TypeError: 'RouteRefresh' object is not iterable`",
            ),
            _ => None,
        }
    }

    /// More lines of our `[[peer]]`.
    pub(super) const fn ours(self) -> &'static str {
        match self {
            Self::Md5 => "password_file = \"key\"\n",
            Self::Gtsm => "ttl_security = 1\n",
            Self::AddPath => "add_path = \"both\"\n",
            Self::LongLived => "graceful_restart = { restart_time = \"120s\", long_lived = \"1h\" }\n",
            Self::LongLivedRestarter => "graceful_restart = { restart_time = \"1s\", long_lived = \"1h\" }\n",
            Self::Role => "role = \"provider\"\nrole_strict = true\n",
            Self::ExtendedNextHop => "extended_next_hop = true\nnext_hop = \"unchanged\"\n",
            _ => "",
        }
    }

    /// Whether it takes other speakers beside the two.
    pub(super) const fn is_fed(self) -> bool {
        matches!(self, Self::Communities | Self::AddPath | Self::ExtendedNextHop)
    }

    /// Whether it works; panics where it does not. `false`: the daemon has no command for it.
    pub(super) fn show(
        self,
        kind: Kind,
        (left, right): (&mut Stonechat, &mut Daemon),
        feeds: Option<&mut Feeds>,
    ) -> bool {
        if let Some(feeds) = feeds {
            match self {
                Self::Communities => through::communities(kind, left, right, feeds),
                Self::AddPath => through::add_path(kind, left, right, feeds),
                _ => through::extended_next_hop(kind, left, right, feeds),
            }
            return true;
        }
        match self {
            Self::Session | Self::Md5 | Self::Gtsm => exchange(left, right),
            Self::FourOctetAsn => four_octets(left),
            Self::BothFamilies => both_families(left, right),
            Self::Refresh => return refresh(left, right),
            Self::ShutdownMessage => return shutdown(kind, left, right),
            Self::Collision => one_connection(left),
            Self::GracefulHelper => peer_restarts(kind, left, right),
            Self::GracefulRestarter => we_restart(left, right),
            Self::LongLived => long_lived(left, right),
            Self::LongLivedRestarter => we_stay_away(left, right),
            Self::Role => role(left, right),
            Self::TenThousand => ten_thousand(left, right),
            Self::Communities | Self::AddPath | Self::ExtendedNextHop => unreachable!("they are fed"),
        }
        true
    }
}

fn exchange(left: &mut Stonechat, right: &mut Daemon) {
    left.announce(FROM_LEFT, LEFT);
    right.speaker().announce(FROM_RIGHT, RIGHT);
    await_until("the right learns", || right.speaker().has(FROM_LEFT, LEFT));
    await_until("the left learns", || left.has(FROM_RIGHT, RIGHT));
    left.withdraw(FROM_LEFT);
    await_until("the right forgets", || right.speaker().lacks(FROM_LEFT));
    right.speaker().withdraw(FROM_RIGHT);
    await_until("the left forgets", || left.lacks(FROM_RIGHT));
    left.announce(FROM_LEFT, LEFT);
    right.speaker().announce(FROM_RIGHT, RIGHT);
    await_until("the right learns again", || right.speaker().has(FROM_LEFT, LEFT));
    await_until("the left learns again", || left.has(FROM_RIGHT, RIGHT));
}

fn peer(left: &Stonechat) -> Result<serde_json::Value, String> {
    left.json("peer right")
}

pub(super) fn capability(left: &Stonechat, wanted: &str) {
    await_until(&format!("`{wanted}` is negotiated"), || {
        let shown = peer(left)?.to_string();
        if shown.contains(wanted) {
            Ok(())
        } else {
            Err(shown)
        }
    });
}

fn four_octets(left: &Stonechat) {
    capability(left, "4-octet AS");
    let why = left.cli(&format!("why {FROM_RIGHT}")).stdout;
    assert!(why.contains(THEIRS), "the path does not say {THEIRS}: {why}");
}

fn both_families(left: &mut Stonechat, right: &mut Daemon) {
    left.announce(FROM_LEFT6, LEFT6);
    right.speaker().announce(FROM_RIGHT6, RIGHT6);
    await_until("the right learns in IPv6", || {
        right.speaker().has(FROM_LEFT6, LEFT6)
    });
    await_until("the left learns in IPv6", || {
        let routes = left.json("routes --received right")?.to_string();
        if routes.contains(FROM_RIGHT6) {
            Ok(())
        } else {
            Err(routes)
        }
    });
}

fn refresh(left: &Stonechat, right: &mut Daemon) -> bool {
    capability(left, "route refresh");
    let count = |direction: &str, kind: &str| {
        let all = peer(left).unwrap_or_default();
        all[direction][kind].as_u64().unwrap_or(0)
    };
    let flaps = || peer(left).unwrap_or_default()["flaps"].as_u64();
    let before = flaps();
    let updates = count("messages_received", "update");
    left.cli("reset right --soft-in").expect_success();
    await_until("it sends everything again", || {
        let now = count("messages_received", "update");
        if now > updates {
            Ok(())
        } else {
            Err(format!("{now} UPDATEs"))
        }
    });
    assert_eq!(flaps(), before, "the session is still the same");
    if !right.refresh() {
        // It has answered, and has no command to ask.
        return true;
    }
    await_until("it asks us", || {
        let asked = count("messages_received", "route_refresh");
        if asked > 0 {
            Ok(())
        } else {
            Err("not asked".into())
        }
    });
    true
}

fn one_connection(left: &Stonechat) {
    holds_for(WATCH, "one connection and no flap", || {
        let connections = left.exec("ss -Htn state established '( sport = :179 or dport = :179 )'")?;
        let count = connections.lines().count();
        let flaps = peer(left)?["flaps"].as_u64();
        if count == 1 && flaps == Some(0) {
            Ok(())
        } else {
            Err(format!("{count} connections, {flaps:?} flaps"))
        }
    });
}

fn shutdown(kind: Kind, left: &Stonechat, right: &mut Daemon) -> bool {
    const TEXT: &str = "maintenance-window-42";
    let received = "restarted-by-its-operator";
    left.cli(&format!("shutdown right --text {TEXT}"))
        .expect_success();
    await_until("it logs or shows our text", || {
        let everything = right.everything_said();
        if everything.contains(TEXT) {
            Ok(())
        } else {
            Err(format!("no such text among {} octets", everything.len()))
        }
    });
    left.cli("enable right").expect_success();
    await_until("the session is back", || left.established(RIGHT));
    if !right.shut_down(received) {
        // What it cannot send it cannot be blamed for.
        return kind == Kind::Exabgp;
    }
    await_until("we show its text", || {
        let shown = left.cli("peer right").stdout + &left.log();
        if shown.contains(received) {
            Ok(())
        } else {
            Err(shown)
        }
    });
    true
}

fn peer_restarts(kind: Kind, left: &mut Stonechat, right: &mut Daemon) {
    right.speaker().announce(FROM_RIGHT, RIGHT);
    await_until("the left learns", || left.has(FROM_RIGHT, RIGHT));
    right.kill();
    await_until("the session is lost", || match left.established(RIGHT) {
        Ok(()) => Err("still up".to_owned()),
        Err(_) => Ok(()),
    });
    holds_for(WATCH, "the route is kept", || left.has(FROM_RIGHT, RIGHT));
    right.start_again();
    if kind == Kind::Exabgp || kind == Kind::Gobgp {
        right.speaker().announce(FROM_RIGHT, RIGHT);
    }
    await_until("the session is back", || left.established(RIGHT));
    holds_for(WATCH, "the route is there after all", || {
        left.has(FROM_RIGHT, RIGHT)
    });
}

fn we_restart(left: &mut Stonechat, right: &mut Daemon) {
    left.announce(FROM_LEFT, LEFT);
    await_until("the right learns", || right.speaker().has(FROM_LEFT, LEFT));
    left.end(Signal::SIGTERM);
    holds_for(WATCH, "the right keeps the route", || {
        right.speaker().has(FROM_LEFT, LEFT)
    });
    left.start_again();
    await_until("the session is back", || left.established(RIGHT));
    holds_for(WATCH, "the route is there after all", || {
        right.speaker().has(FROM_LEFT, LEFT)
    });
}

fn long_lived(left: &mut Stonechat, right: &mut Daemon) {
    right.speaker().announce(FROM_RIGHT, RIGHT);
    await_until("the left learns", || left.has(FROM_RIGHT, RIGHT));
    capability(left, "long-lived graceful restart");
    right.kill();
    await_until("the route is stale for long", || {
        let why = left.cli(&format!("why {FROM_RIGHT}")).stdout;
        if why.contains("llgr-stale") {
            Ok(())
        } else {
            Err(why)
        }
    });
    left.has(FROM_RIGHT, RIGHT).expect("it is still used");
}

fn we_stay_away(left: &mut Stonechat, right: &mut Daemon) {
    left.announce(FROM_LEFT, LEFT);
    await_until("the right learns", || right.speaker().has(FROM_LEFT, LEFT));
    let marked = |right: &Daemon| {
        let described = right.describe(FROM_LEFT).to_lowercase();
        // The community, as each of them writes 65535:6.
        let marks = ["llgr-stale", "llgr_stale", "65535:6", "(65535,6)", "4294901766"];
        let found = marks.iter().any(|mark| described.contains(mark));
        (found, described)
    };
    assert!(!marked(right).0, "nothing is stale yet");
    left.end(Signal::SIGKILL);
    await_until("our route is its last resort", || match marked(right) {
        (true, _) => Ok(()),
        (false, described) => Err(described),
    });
    left.start_again();
    await_until("the session is back", || left.established(RIGHT));
    await_until("our route is as good as new", || match marked(right) {
        (false, described) if described.contains("64512") => Ok(()),
        (_, described) => Err(described),
    });
}

fn role(left: &mut Stonechat, right: &mut Daemon) {
    capability(left, "role provider (the peer's: customer)");
    left.announce(FROM_LEFT, LEFT);
    await_until("the right learns", || right.speaker().has(FROM_LEFT, LEFT));
    await_until("the right sees the mark", || {
        let described = right.describe(FROM_LEFT).to_lowercase();
        let marked = ["otc", "only to customer", "only_to_customer", "only-to-customer"];
        if marked.iter().any(|mark| described.contains(mark)) {
            Ok(())
        } else {
            Err(described)
        }
    });
}

fn ten_thousand(left: &mut Stonechat, right: &mut Daemon) {
    await_until("the right has all of ours", || {
        let count = right.count()?;
        if count >= MANY {
            Ok(())
        } else {
            Err(format!("{count} prefixes"))
        }
    });
    right.announce_rest(many_of_theirs());
    await_until("the left has all of its", || {
        let all = peer(left)?;
        let counters = all["counters"].as_array().cloned().unwrap_or_default();
        let received: u64 = counters
            .iter()
            .filter_map(|counter| counter["received"].as_u64())
            .sum();
        if received >= MANY as u64 {
            Ok(())
        } else {
            Err(format!("{received} prefixes: {all}"))
        }
    });
}

/// Our configuration of 10,000 prefixes.
pub(super) fn many_of_ours() -> String {
    let prefixes: Vec<String> = (0..MANY)
        .map(|index| format!("\"10.{}.{}.0/24\"", index / 250, index % 250))
        .collect();
    format!(
        "[[originate]]\nname = \"many\"\nprefixes = [{}]\n\n",
        prefixes.join(", ")
    )
}

/// The prefixes of [`Feature::TenThousand`] on the right.
pub(super) fn many_of_theirs() -> impl Iterator<Item = String> {
    (0..MANY).map(|index| format!("100.{}.{}.0/24", 64 + index / 250, index % 250))
}
