//! The article's lab: two nodes and an ADC, asserted from what the ADC and the kernels say.

mod adc;
mod calico;
mod ipv6;
mod nodes;
mod reload;
mod restart;
mod vips;

use serde_json::Value;

use crate::configs;
use crate::lab::article::{ADC, Article, NODE1, NODE2};
use crate::lab::frr::Frr;
use crate::lab::speaker::Speaker;
use crate::lab::stonechat::Stonechat;
use crate::lab::wait::equal;
use crate::lab::{Lab, Namespace, await_until};

/// The kernel's protocol number for Stonechat's routes.
const STONECHAT: &str = "179";

/// The whole lab with its daemons. The daemons end before the namespaces go.
struct Running {
    adc: Frr,
    node1: Stonechat,
    _node2: Stonechat,
    article: Article,
    lab: Lab,
}

impl Running {
    /// Stonechat on both nodes from the same text, FRR on the ADC.
    fn start(node_toml: &str, adc_conf: &str) -> Self {
        let lab = Lab::new();
        let article = Article::build(&lab);
        let adc = Frr::start(&lab, &article.adc, "adc", adc_conf);
        let node1 = Stonechat::start(&lab, &article.node1, node_toml);
        let node2 = Stonechat::start(&lab, &article.node2, node_toml);
        Self {
            adc,
            node1,
            _node2: node2,
            article,
            lab,
        }
    }

    /// [`Running::start`] with the article's files, up to the point where every table is as it should be.
    fn converged(restart_time_s: Option<u32>) -> Self {
        let running = Self::start(configs::NODE, &configs::adc(restart_time_s));
        running.await_sessions();
        running.await_blocks();
        running.await_vips();
        running
    }

    fn await_sessions(&self) {
        for node in [NODE1, NODE2] {
            await_until(&format!("the ADC's session with {node} is up"), || {
                self.adc.established(node)
            });
        }
    }

    /// The ADC's BGP routes are the two blocks, and each node has the other's.
    fn await_blocks(&self) {
        await_until("the ADC has both blocks and nothing else", || {
            equal(&self.adc.bgp_routes("ip")?, &configs::blocks_at_adc())
        });
        let (node1, node2) = (&self.article.node1, &self.article.node2);
        await_until("node1 has node2's block", || {
            has_route(node1, crate::lab::article::BLOCK2, NODE2)
        });
        await_until("node2 has node1's block", || {
            has_route(node2, crate::lab::article::BLOCK1, NODE1)
        });
    }

    /// Both nodes have both VIPs.
    fn await_vips(&self) {
        for vip in crate::lab::article::VIPS {
            for node in [&self.article.node1, &self.article.node2] {
                await_until(&format!("{} has the VIP {vip}", node.name()), || {
                    has_route(node, vip, ADC)
                });
            }
        }
    }
}

/// The routes to exactly this prefix in a kernel's main table.
fn kernel_routes(namespace: &Namespace, prefix: &str) -> Vec<Value> {
    let family = if prefix.contains(':') { "-6" } else { "-4" };
    let mut routes = namespace.routes(family);
    routes.retain(|route| route["dst"] == prefix);
    routes
}

/// `Ok` when the kernel has this prefix once, through Stonechat, via this gateway.
fn has_route(namespace: &Namespace, prefix: &str, gateway: &str) -> Result<(), String> {
    match kernel_routes(namespace, prefix).as_slice() {
        [route] if route["gateway"] == gateway && route["protocol"] == STONECHAT => Ok(()),
        others => Err(format!("{}: routes to {prefix}: {others:?}", namespace.name())),
    }
}

/// `Ok` when the kernel does not have this prefix.
fn lacks_route(namespace: &Namespace, prefix: &str) -> Result<(), String> {
    match kernel_routes(namespace, prefix).as_slice() {
        [] => Ok(()),
        others => Err(format!("{}: routes to {prefix}: {others:?}", namespace.name())),
    }
}

/// Everything of Stonechat's in a kernel's main tables.
fn stonechat_routes(namespace: &Namespace) -> Vec<Value> {
    let mut routes = namespace.routes("-4");
    routes.extend(namespace.routes("-6"));
    routes.retain(|route| route["protocol"] == STONECHAT);
    routes
}
