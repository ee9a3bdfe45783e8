//! One of the nodes run by BIRD as Calico configures it, the other by Stonechat.

use super::{has_route, kernel_routes};
use crate::configs;
use crate::lab::article::{ADC, Article, BLOCK1, BLOCK2, NODE1, NODE2, POD1, POD2, VIPS, ping};
use crate::lab::bird::{Bird, Version};
use crate::lab::frr::Frr;
use crate::lab::stonechat::Stonechat;
use crate::lab::wait::equal;
use crate::lab::{Lab, Namespace, Need, await_until, skipped};

/// The kernel's protocol number for BIRD's routes.
const BIRD: &str = "12";

#[test]
fn a_node_run_by_bird2_as_calico_configures_it() {
    if !skipped(&[Need::Frr, Need::Bird2, Need::Ping]) {
        beside(Version::Two, &configs::calico_bird2());
    }
}

#[test]
fn a_node_run_by_bird1_as_calico_configures_it() {
    if !skipped(&[Need::Frr, Need::Bird1, Need::Ping]) {
        beside(Version::One, &configs::calico_bird1());
    }
}

fn beside(version: Version, bird_conf: &str) {
    let lab = Lab::new();
    let article = Article::build(&lab);
    // BIRD makes the blackhole itself.
    article.node2.ip(&format!("route del blackhole {BLOCK2}"));
    let adc = Frr::start(&lab, &article.adc, "adc", &configs::adc(None));
    let _node1 = Stonechat::start(&lab, &article.node1, configs::NODE);
    let _node2 = Bird::start(&lab, &article.node2, version, bird_conf);
    await_until("the ADC has both blocks and nothing else", || {
        equal(&adc.bgp_routes("ip")?, &configs::blocks_at_adc())
    });
    await_until("node1 has BIRD's block", || {
        has_route(&article.node1, BLOCK2, NODE2)
    });
    await_until("BIRD has node1's block", || {
        has_bird_route(&article.node2, BLOCK1, NODE1)
    });
    for vip in VIPS {
        await_until("node1 has the VIP", || has_route(&article.node1, vip, ADC));
        await_until("BIRD has the VIP", || has_bird_route(&article.node2, vip, ADC));
    }
    await_until("pods of both reach each other and the VIPs", || {
        ping(&article.pod1, POD2)?;
        ping(&article.pod2, POD1)?;
        VIPS.iter().try_for_each(|vip| ping(&article.pod2, vip))
    });
    article.node1.ip(&format!("route del blackhole {BLOCK1}"));
    await_until("BIRD forgets a block that went", || {
        match kernel_routes(&article.node2, BLOCK1).as_slice() {
            [] => Ok(()),
            others => Err(format!("{others:?}")),
        }
    });
}

fn has_bird_route(namespace: &Namespace, prefix: &str, gateway: &str) -> Result<(), String> {
    let routes = kernel_routes(namespace, prefix);
    if routes
        .iter()
        .any(|route| route["gateway"] == gateway && route["protocol"] == BIRD)
    {
        Ok(())
    } else {
        Err(format!("routes to {prefix}: {routes:?}"))
    }
}
