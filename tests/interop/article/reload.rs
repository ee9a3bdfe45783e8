//! SIGHUP: what was added takes effect, everything else stays as it is; a wrong file changes nothing.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::{Running, has_route, kernel_routes, lacks_route};
use crate::configs::NODE;
use crate::lab::article::{ADC, NODE1, NODE2, VIPS};
use crate::lab::bird::{Bird, Version, protocol};
use crate::lab::speaker::Speaker;
use crate::lab::wait::{equal, holds_for};
use crate::lab::{Need, await_until, skipped};

/// How long to watch that a reload without a change changes nothing.
const QUIET: Duration = Duration::from_secs(2);

#[test]
fn a_prefix_a_filter_rule_and_a_vip_change_only_themselves() {
    if skipped(&[Need::Frr]) {
        return;
    }
    let lab = Running::converged(None);
    let before = Sessions::of(&lab);

    let with_prefix = changed(
        "source = [\"pod-blocks\", ",
        "source = [\"pod-blocks\", \"extra\", ",
    ) + "\n[[originate]]\nname = \"extra\"\nprefixes = [\"10.99.0.0/24\"]\n";
    lab.reload(&with_prefix);
    await_until("the ADC has the added prefix", || {
        lab.adc_has("10.99.0.0/24", true)
    });
    lab.reload(NODE);
    await_until("the ADC loses the removed prefix", || {
        lab.adc_has("10.99.0.0/24", false)
    });

    let with_rule = changed("\"172.16.40.80/28 ge 32\", ", "");
    lab.reload(&with_rule);
    await_until("the VIP that is filtered leaves", || {
        lacks_route(&lab.article.node1, VIPS[1])
    });
    has_route(&lab.article.node1, VIPS[0], ADC).expect("the other VIP stays");
    lab.reload(NODE);
    await_until("the VIP returns from memory", || {
        has_route(&lab.article.node1, VIPS[1], ADC)
    });

    let with_vip = format!("{NODE}\n[[vip]]\nname = \"till\"\naddress = \"172.16.99.20/32\"\n");
    lab.reload(&with_vip);
    await_until("the ADC has the added VIP", || {
        lab.adc_has("172.16.99.20/32", true)
    });
    lab.reload(NODE);
    await_until("the ADC loses the removed VIP", || {
        lab.adc_has("172.16.99.20/32", false)
    });

    let after = Sessions::of(&lab);
    assert_eq!(after.established, before.established, "sessions were reset");
    assert_eq!(after.refreshes, 0, "the ADC was asked for its routes again");
    assert_eq!(
        after.updates[1], before.updates[1],
        "node2 was not reloaded, yet it spoke"
    );
}

#[test]
fn an_added_peer_disturbs_no_other() {
    if skipped(&[Need::Frr, Need::Bird2]) {
        return;
    }
    let mut lab = Running::converged(None);
    let before = Sessions::of(&lab);
    let third = lab.lab.namespace("third");
    lab.article.switch.plug(&third, &["172.16.40.197/24"]);
    let bird = Bird::start(
        &lab.lab,
        &third,
        Version::Two,
        &format!(
            "log stderr all;\nrouter id 172.16.40.197;\nprotocol device {{ scan time 1; }}\n\
             protocol bgp {} {{ local 172.16.40.197 as 64512; neighbor {NODE1} as 64512;\n\
             ipv4 {{ import all; export none; }}; connect delay time 1; connect retry time 1; }}\n",
            protocol(NODE1)
        ),
    );
    let peer = "\n[[peer]]\nname = \"third\"\naddress = \"172.16.40.197\"\nasn = 64512\nexport = [\"own\"]\n";
    lab.reload(&format!("{NODE}{peer}"));
    await_until("the added peer's session is up", || bird.established(NODE1));
    await_until("it has node1's block", || {
        bird.has(crate::lab::article::BLOCK1, NODE1)
    });
    assert_eq!(Sessions::of(&lab), before, "another session noticed");
    lab.reload(NODE);
    await_until("the removed peer's session is down", || {
        match bird.established(NODE1) {
            Ok(()) => Err("still up".to_owned()),
            Err(_) => Ok(()),
        }
    });
    assert_eq!(Sessions::of(&lab), before, "another session noticed");
}

#[test]
fn the_same_file_and_a_wrong_file_change_nothing() {
    if skipped(&[Need::Frr]) {
        return;
    }
    let lab = Running::converged(None);
    let before = Sessions::of(&lab);
    let routes = kernel_routes(&lab.article.node1, VIPS[0]);

    lab.reload(NODE);
    lab.node1.cli("reload").expect_success();
    let wrong = changed("max_prefixes  = 200", "max_prefixs = 200")
        + "\n[[originate]]\nname = \"extra\"\nprefixes = [\"10.97.0.0/16\"]\ndiscard = true\n";
    let line = wrong
        .lines()
        .position(|line| line.contains("max_prefixs"))
        .expect("it is there")
        + 1;
    lab.reload(&wrong);
    let refused = lab.node1.cli("reload");
    assert!(!refused.success, "a wrong file was accepted: {}", refused.stdout);
    let said = format!("{}{}", refused.stdout, refused.stderr);
    for part in ["node.toml", &format!("{line}"), "max_prefixs", "max_prefixes"] {
        assert!(said.contains(part), "`{part}` is not named in: {said}");
    }
    await_until("the log names the mistake", || {
        let log = lab.node1.log();
        if log.contains("max_prefixs") {
            Ok(())
        } else {
            Err(log)
        }
    });
    holds_for(QUIET, "nothing changes", || {
        equal(&Sessions::of(&lab), &before)?;
        equal(&kernel_routes(&lab.article.node1, VIPS[0]), &routes)?;
        equal(&kernel_routes(&lab.article.node1, "10.97.0.0/16").len(), &0)
    });
}

/// The nodes' file with one text replaced by another.
fn changed(from: &str, to: &str) -> String {
    assert!(NODE.contains(from), "`{from}` is not in the file");
    NODE.replace(from, to)
}

/// What the ADC counts of its sessions with node1 and node2.
#[derive(Debug, PartialEq)]
struct Sessions {
    established: [u64; 2],
    updates: [u64; 2],
    refreshes: u64,
}

impl Sessions {
    fn of(lab: &Running) -> Self {
        let peers = [NODE1, NODE2].map(|node| lab.adc.peer(node).expect("the ADC answers"));
        let count = |pointer: &str| {
            [0, 1].map(|index: usize| {
                peers[index]
                    .pointer(pointer)
                    .and_then(serde_json::Value::as_u64)
                    .unwrap_or(0)
            })
        };
        Self {
            established: count("/connectionsEstablished"),
            updates: count("/messageStats/updatesRecv"),
            refreshes: count("/messageStats/routeRefreshRecv").iter().sum(),
        }
    }
}

impl Running {
    /// Gives node1 another configuration and tells it so by SIGHUP.
    fn reload(&self, config: &str) {
        self.node1.write_config(config);
        self.node1.signal(Signal::SIGHUP);
    }

    /// Whether the ADC routes this prefix to node1, or not at all.
    fn adc_has(&self, prefix: &str, wanted: bool) -> Result<(), String> {
        let routes = self.adc.bgp_routes("ip")?;
        let found = routes
            .iter()
            .any(|(found, hops)| found == prefix && hops == &[NODE1.to_owned()]);
        if found == wanted {
            Ok(())
        } else {
            Err(format!("{routes:?}"))
        }
    }
}
