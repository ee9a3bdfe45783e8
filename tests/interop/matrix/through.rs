//! Rows of the matrix that take a third speaker: what comes from one peer and goes through us to another. ExaBGP feeds us, and
//! where the daemon on the right cannot have two paths by itself, another one feeds that.

use super::daemon::{Daemon, Kind, Lines};
use super::feature::{Feature, capability};
use crate::lab::exabgp::Exabgp;
use crate::lab::speaker::Speaker as _;
use crate::lab::stonechat::Stonechat;
use crate::lab::{Lab, Namespace, await_until};
use crate::pair::{LEFT, Pair, RIGHT, RIGHT6};

const FEED: &str = "192.0.2.3";
const FEED6: &str = "2001:db8::3";
/// Feeds the daemon on the right.
const FEED_OF_RIGHT: &str = "192.0.2.4";

/// The lines of our configuration for the feed.
pub(super) const OUR_FEED: &str = "\n[[peer]]\nname = \"feed\"\naddress = \"192.0.2.3\"\nasn = 65010\nimport = \"any\"\n\
     export = \"any\"\nadd_path = \"both\"\nextended_next_hop = true\nconnect_retry_time = \"1s\"\nhold_time = \"9s\"\n";

/// From the feed to the right.
const OUT: &str = "198.18.0.0/24";
/// From the right to the feed.
const BACK: &str = "203.0.113.128/25";
/// With what: 65001:7, 65001:8:9, and the route target 65001:10.
const RUNS: [&[u64]; 3] = [&[65_001, 7], &[65_001, 8, 9], &[65_001, 10]];
const EXABGP_TAGS: &str =
    "community [ 65001:7 ] large-community [ 65001:8:9 ] extended-community [ target:65001:10 ]";

/// The speakers beside the two.
pub(super) struct Feeds {
    ours: Exabgp,
    theirs: Option<Exabgp>,
    _namespaces: Vec<Namespace>,
}

impl Feeds {
    pub(super) fn start(lab: &Lab, pair: &mut Pair, kind: Kind, features: &[Feature]) -> Self {
        let namespace = lab.namespace("feed");
        pair.switch
            .plug(&namespace, &[&format!("{FEED}/24"), &format!("{FEED6}/64")]);
        let capabilities = match features {
            [Feature::AddPath] => "capability { route-refresh; add-path send/receive; }",
            [Feature::ExtendedNextHop] => "capability { nexthop; }\nnexthop { ipv4 unicast ipv6; }",
            _ => "capability { route-refresh; }",
        };
        let ours = exabgp(lab, &namespace, (FEED, 65_010), (LEFT, "64512", capabilities));
        let mut namespaces = vec![namespace];
        let alone = kind == Kind::Frr && features == [Feature::AddPath];
        let theirs = alone.then(|| {
            let namespace = lab.namespace("feed2");
            pair.switch.plug(&namespace, &[&format!("{FEED_OF_RIGHT}/24")]);
            let to = (RIGHT, super::daemon::THEIRS, "capability { route-refresh; }");
            let feed = exabgp(lab, &namespace, (FEED_OF_RIGHT, 65_020), to);
            namespaces.push(namespace);
            feed
        });
        await_until("the feed is up", || ours.established(LEFT));
        Self {
            ours,
            theirs,
            _namespaces: namespaces,
        }
    }
}

fn exabgp(
    lab: &Lab,
    namespace: &Namespace,
    (address, asn): (&str, u32),
    (peer, peer_asn, capabilities): (&str, &str, &str),
) -> Exabgp {
    let settings = format!(
        "router-id {address}; local-address {address}; local-as {asn}; peer-as {peer_asn}; hold-time 9;\n\
         family {{ ipv4 unicast; ipv6 unicast; }}\n{capabilities}"
    );
    Exabgp::start(lab, namespace, address, (peer, &settings))
}

/// The daemon announces [`BACK`] with communities of all kinds, as far as its configuration does that.
pub(super) fn tagging(kind: Kind) -> Lines {
    let mut lines = Lines::default();
    let bird = "bgp_community.add((65001,7)); bgp_large_community.add((65001,8,9)); bgp_ext_community.add((rt,65001,10));";
    match kind {
        Kind::Frr => {
            lines.global = format!(
                " address-family ipv4 unicast\n network {BACK} route-map TAGS\n exit-address-family\n"
            );
            lines.after =
                "route-map TAGS permit 10\n set community 65001:7\n set large-community 65001:8:9\n \
                           set extcommunity rt 65001:10\n"
                    .into();
        }
        Kind::Bird2 => {
            lines.global = format!("protocol static {{ ipv4; route {BACK} via {RIGHT} {{ {bird} }}; }}\n");
        }
        Kind::Bird1 => {
            lines.global = format!("protocol static {{ route {BACK} via {RIGHT} {{ {bird} }}; }}\n");
        }
        Kind::Openbgpd => {
            lines.global = format!(
                "network {BACK} set {{ community 65001:7 large-community 65001:8:9 ext-community rt 65001:10 }}\n"
            );
        }
        Kind::Gobgp | Kind::Exabgp => {}
    }
    lines
}

pub(super) fn communities(kind: Kind, left: &Stonechat, right: &mut Daemon, feeds: &mut Feeds) {
    feeds.ours.announce(OUT, &format!("{FEED} {EXABGP_TAGS}"));
    await_until("the right sees what the feed attached", || {
        all_runs(&right.describe(OUT), &RUNS)
    });
    match (kind, &mut *right) {
        (Kind::Gobgp, Daemon::Gobgp(gobgp)) => {
            let tags = "community 65001:7 large-community 65001:8:9 rt 65001:10";
            gobgp
                .gobgp(&format!("global rib add {BACK} nexthop {RIGHT} {tags}"))
                .expect_success();
        }
        (Kind::Exabgp, _) => right.speaker().announce(BACK, &format!("{RIGHT} {EXABGP_TAGS}")),
        _ => {}
    }
    await_until("we have them", || {
        let why = left.cli(&format!("why {BACK}")).stdout;
        all_runs(&why, &RUNS)
    });
    await_until("the feed has them", || all_runs(&heard(&feeds.ours, BACK), &RUNS));
}

/// The daemon has two paths of [`BACK`], 65001:1 and 65001:2, as far as its configuration does that.
pub(super) fn two_paths(kind: Kind) -> Lines {
    let mut lines = Lines::default();
    let bird = |channel: &str| {
        let path = |number: u8| {
            format!(
                "protocol static path{number} {{ {channel} preference {}; {} route {BACK} via {RIGHT} {{ \
                 bgp_community.add((65001,{number})); }}; }}\n",
                150 + number,
                if channel.is_empty() { "" } else { "};" }
            )
        };
        path(1) + &path(2)
    };
    match kind {
        Kind::Frr => {
            lines.global = format!(
                " neighbor {FEED_OF_RIGHT} remote-as 65020\n neighbor {FEED_OF_RIGHT} timers connect 1\n \
                 address-family ipv4 unicast\n neighbor {FEED_OF_RIGHT} activate\n network {BACK} route-map ONE\n \
                 exit-address-family\n"
            );
            lines.family = " neighbor LEFT addpath-tx-all-paths".into();
            lines.after = "route-map ONE permit 10\n set community 65001:1\n".into();
        }
        Kind::Bird2 => {
            lines.global = bird("ipv4 {");
            lines.family = "add paths on;".into();
        }
        Kind::Bird1 => {
            lines.global = bird("");
            lines.peer = "add paths on;".into();
        }
        Kind::Gobgp => {
            lines.family = "[neighbors.afi-safis.add-paths.config]\nreceive = true\nsend-max = 8".into();
        }
        Kind::Openbgpd => {
            lines.peer = " announce add-path recv yes\n announce add-path send all".into();
        }
        Kind::Exabgp => lines.peer = "capability { add-path send/receive; }".into(),
    }
    lines
}

pub(super) fn add_path(kind: Kind, left: &Stonechat, right: &mut Daemon, feeds: &mut Feeds) {
    capability(left, "add-path receive ipv4-unicast");
    capability(left, "add-path send ipv4-unicast");
    let two = |exabgp: &Exabgp, prefix: &str, next_hop: &str, first: u8| {
        for number in [first, first + 1] {
            exabgp.tell(&format!(
                "announce route {prefix} next-hop {next_hop} path-information 0.0.0.{number} community [ 65001:{number} ]"
            ));
        }
    };
    two(&feeds.ours, OUT, FEED, 3);
    await_until("the right has both paths", || {
        all_runs(&right.describe(OUT), &[&[65_001, 3], &[65_001, 4]])
    });
    if kind == Kind::Openbgpd {
        // It has one path of a prefix of its own, and its session with a second feed does not come up.
        return;
    }
    match (kind, &mut *right) {
        (_, Daemon::Gobgp(gobgp)) => {
            for number in [1, 2] {
                let route = format!("{BACK} identifier {number} nexthop {RIGHT} community 65001:{number}");
                gobgp.gobgp(&format!("global rib add {route}")).expect_success();
            }
        }
        (_, Daemon::Exabgp(exabgp)) => two(exabgp, BACK, RIGHT, 1),
        _ => {}
    }
    if let Some(feed) = &mut feeds.theirs {
        await_until("its feed is up", || feed.established(RIGHT));
        feed.announce(BACK, &format!("{FEED_OF_RIGHT} community [ 65001:2 ]"));
    }
    await_until("we have both of its paths", || {
        let why = left.cli(&format!("why {BACK}")).stdout;
        all_runs(&why, &[&[65_001, 1], &[65_001, 2]])
    });
}

/// BIRD announces [`BACK`] with a gateway in IPv6.
pub(super) fn bird_over_ipv6() -> String {
    format!("protocol static {{ ipv4; route {BACK} via {FEED6}; }}\n")
}

pub(super) fn extended_next_hop(kind: Kind, left: &Stonechat, right: &mut Daemon, feeds: &mut Feeds) {
    capability(left, "extended next hop");
    feeds.ours.announce(OUT, FEED6);
    await_until("an IPv4 route goes with an IPv6 next hop", || {
        let described = right.describe(OUT);
        if described.contains(FEED6) {
            Ok(())
        } else {
            Err(described)
        }
    });
    let next_hop = if kind == Kind::Bird2 {
        FEED6
    } else {
        right.speaker().announce(BACK, RIGHT6);
        RIGHT6
    };
    await_until("an IPv4 route comes with an IPv6 next hop", || {
        let why = left.cli(&format!("why {BACK}")).stdout;
        if why.contains(&format!("next hop {next_hop}")) {
            Ok(())
        } else {
            Err(why)
        }
    });
}

/// What an ExaBGP was told of a prefix.
fn heard(exabgp: &Exabgp, prefix: &str) -> String {
    let events = exabgp.events().unwrap_or_default();
    let named = events
        .iter()
        .map(ToString::to_string)
        .filter(|event| event.contains(prefix));
    named.collect::<Vec<_>>().join("\n")
}

/// The numbers of each run stand behind one another in what a daemon says, however it writes them.
fn all_runs(text: &str, runs: &[&[u64]]) -> Result<(), String> {
    let numbers: Vec<u64> = text
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .collect();
    let holds = |run: &[u64]| numbers.windows(run.len()).any(|window| window == run);
    let found = |run: &&[u64]| match run {
        // GoBGP's JSON has a community as one number, and names the parts of a large one `LocalData1` and `LocalData2`.
        [asn, value] => holds(run) || numbers.contains(&(asn << 16 | value)),
        [asn, one, two] => holds(run) || holds(&[*asn, 1, *one, 2, *two]),
        _ => holds(run),
    };
    match runs.iter().find(|run| !found(run)) {
        None => Ok(()),
        Some(run) => Err(format!("no {run:?} in {text}")),
    }
}
