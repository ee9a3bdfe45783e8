//! The article's lab in IPv6: blocks, VIPs and next hops, over sessions of either family.

use super::{Running, has_route};
use crate::configs;
use crate::lab::article::{ADC6, BLOCK1_6, BLOCK2_6, NODE1_6, NODE2_6, POD1_6, POD2_6, VIPS6, ping};
use crate::lab::frr::Frr;
use crate::lab::wait::equal;
use crate::lab::{Need, await_until, skipped};

const NEEDS: [Need; 2] = [Need::Frr, Need::Ping];

#[test]
fn ipv6_over_an_ipv6_session() {
    if skipped(&NEEDS) {
        return;
    }
    let lab = Running::start(&configs::node_over_ipv6(), &configs::adc_over_ipv6());
    check(&lab);
}

#[test]
fn ipv6_over_an_ipv4_session() {
    if skipped(&NEEDS) {
        return;
    }
    let lab = Running::start(configs::NODE, &configs::adc(None));
    check(&lab);
    lab.await_blocks();
    lab.await_vips();
}

fn check(lab: &Running) {
    await_until("the ADC has both IPv6 blocks and nothing else", || {
        adc_has_blocks(&lab.adc)
    });
    let (node1, node2) = (&lab.article.node1, &lab.article.node2);
    await_until("node1 has node2's block", || has_route(node1, BLOCK2_6, NODE2_6));
    await_until("node2 has node1's block", || has_route(node2, BLOCK1_6, NODE1_6));
    for vip in VIPS6 {
        for node in [node1, node2] {
            await_until("a node has the VIP", || has_route(node, vip, ADC6));
        }
    }
    await_until("a pod reaches both VIPs", || {
        VIPS6.iter().try_for_each(|vip| ping(&lab.article.pod1, vip))
    });
    await_until("the ADC reaches a pod", || ping(&lab.article.adc, POD1_6));
    await_until("a pod reaches a pod on the other node", || {
        ping(&lab.article.pod1, POD2_6)
    });
}

/// zebra may show a link-local next hop, so the global ones are taken from bgpd.
fn adc_has_blocks(adc: &Frr) -> Result<(), String> {
    let prefixes: Vec<String> = adc
        .bgp_routes("ipv6")?
        .into_iter()
        .map(|(prefix, _)| prefix)
        .collect();
    equal(&prefixes, &vec![BLOCK1_6.to_owned(), BLOCK2_6.to_owned()])?;
    crate::lab::speaker::Speaker::has(adc, BLOCK1_6, NODE1_6)?;
    crate::lab::speaker::Speaker::has(adc, BLOCK2_6, NODE2_6)
}
