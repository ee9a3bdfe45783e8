//! An ADC that goes and comes back: its VIPs leave the nodes, or stay as long as graceful restart says.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::{Running, has_route, lacks_route};
use crate::lab::article::{ADC, VIPS};
use crate::lab::monitor::Monitor;
use crate::lab::wait::holds_for;
use crate::lab::{Namespace, Need, await_until, skipped};

#[test]
fn vips_leave_with_the_adc_and_return_with_it() {
    if skipped(&[Need::Frr]) {
        return;
    }
    let mut lab = Running::converged(None);
    lab.adc.stop_bgpd(Signal::SIGTERM);
    let nodes = [&lab.article.node1, &lab.article.node2];
    for node in nodes {
        await_until("the VIPs leave", || {
            VIPS.iter().try_for_each(|vip| lacks_route(node, vip))
        });
    }
    lab.adc.start_again();
    lab.await_vips();
    lab.await_blocks();
}

#[test]
fn graceful_restart_keeps_the_vips_of_an_adc_that_returns_in_time() {
    if skipped(&[Need::Frr]) {
        return;
    }
    let mut lab = Running::converged(Some(30));
    let monitor = Monitor::start(&lab.article.node1);
    lab.adc.stop_bgpd(Signal::SIGKILL);
    lab.adc.start_again();
    lab.await_sessions();
    lab.await_blocks();
    lab.await_vips();
    let deleted = monitor.starting_with("Deleted 172.16.");
    assert!(
        deleted.is_empty(),
        "VIPs left although the ADC was restarting: {deleted:?}"
    );
}

#[test]
fn graceful_restart_gives_up_the_vips_of_an_adc_that_stays_away() {
    if skipped(&[Need::Frr]) {
        return;
    }
    let mut lab = Running::converged(Some(4));
    lab.adc.stop_bgpd(Signal::SIGKILL);
    let node = &lab.article.node1;
    holds_for(
        Duration::from_secs(2),
        "the VIPs stay within the restart time",
        || vips_via_adc(node),
    );
    await_until("the VIPs leave after the restart time", || {
        VIPS.iter().try_for_each(|vip| lacks_route(node, vip))
    });
    lab.adc.start_again();
    lab.await_vips();
}

fn vips_via_adc(node: &Namespace) -> Result<(), String> {
    VIPS.iter().try_for_each(|vip| has_route(node, vip, ADC))
}
