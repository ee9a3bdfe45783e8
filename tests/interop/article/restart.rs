//! Crash, planned restart and leaving: what stays in the kernels and at the ADC, and what does not.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{Running, lacks_route, stonechat_routes};
use crate::lab::article::{BLOCK1, NODE1, VIPS};
use crate::lab::monitor::Monitor;
use crate::lab::wait::{equal, holds_for};
use crate::lab::{Need, await_until, skipped};

/// How long tables are watched for a late change after everything is up again.
const AFTERMATH: Duration = Duration::from_secs(2);

#[test]
fn killed_and_started_again_it_adopts_its_routes() {
    if !skipped(&[Need::Frr]) {
        nothing_changes_across(Signal::SIGKILL);
    }
}

#[test]
fn a_planned_restart_changes_no_route_anywhere() {
    if !skipped(&[Need::Frr]) {
        nothing_changes_across(Signal::SIGTERM);
    }
}

fn nothing_changes_across(signal: Signal) {
    let mut lab = Running::converged(Some(30));
    let before = stonechat_routes(&lab.article.node1);
    let sessions = times_established(&lab);
    let at_node = Monitor::start(&lab.article.node1);
    let at_adc = Monitor::start(&lab.article.adc);
    let ended = lab.node1.end(signal);
    assert!(signal == Signal::SIGKILL || ended.success(), "{signal}: {ended}");
    assert_eq!(
        stonechat_routes(&lab.article.node1),
        before,
        "routes right after {signal}"
    );
    lab.node1.start_again();
    await_until("the ADC's session is a new one", || {
        let now = times_established(&lab);
        if now > sessions {
            Ok(())
        } else {
            Err(format!("established {now} times, {sessions} before"))
        }
    });
    lab.await_sessions();
    lab.await_blocks();
    lab.await_vips();
    holds_for(AFTERMATH, "node1's routes are as before", || {
        equal(&stonechat_routes(&lab.article.node1), &before)
    });
    for vip in VIPS {
        let rewritten = at_node.starting_with(vip);
        assert!(
            rewritten.is_empty(),
            "the route to {vip} was written again: {:#?}",
            at_node.changes()
        );
        let deleted = at_node.starting_with(&format!("Deleted {vip}"));
        assert!(deleted.is_empty(), "the route to {vip} was deleted: {deleted:?}");
    }
    let lost = at_adc.starting_with(&format!("Deleted {BLOCK1}"));
    assert!(lost.is_empty(), "the ADC lost the block: {lost:?}");
}

/// How often the ADC's session with node1 came up.
fn times_established(lab: &Running) -> u64 {
    let peer = lab.adc.peer(NODE1).unwrap_or(Value::Null);
    peer["connectionsEstablished"].as_u64().unwrap_or(0)
}

#[test]
fn stop_leaves_nothing_behind() {
    if skipped(&[Need::Frr]) {
        return;
    }
    let mut lab = Running::converged(Some(30));
    lab.node1.cli("stop").expect_success();
    let ended = lab.node1.await_end();
    assert!(ended.success(), "{ended}");
    assert_nothing_left(&lab);
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    if skipped(&[Need::Frr]) {
        return;
    }
    let mut lab = Running::converged(Some(30));
    let ended = lab.node1.end(Signal::SIGINT);
    assert!(ended.success(), "{ended}");
    assert_nothing_left(&lab);
}

/// Nothing of node1 anywhere, although graceful restart had been negotiated: it left for good.
fn assert_nothing_left(lab: &Running) {
    assert_eq!(
        stonechat_routes(&lab.article.node1),
        Vec::<Value>::new(),
        "node1's own routes"
    );
    await_until("node2 forgets node1's block", || {
        lacks_route(&lab.article.node2, BLOCK1)
    });
    await_until("the ADC forgets node1's block", || {
        let routes = lab.adc.bgp_routes("ip")?;
        if routes.iter().any(|(prefix, _)| prefix == BLOCK1) {
            Err(format!("{routes:?}"))
        } else {
            Ok(())
        }
    });
}
