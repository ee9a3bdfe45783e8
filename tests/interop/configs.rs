//! Configuration texts of the article's lab, for every kind of daemon that plays a part in it.

use crate::lab::article::{ADC, ADC6, BLOCK1, BLOCK2, NODE1, NODE1_6, NODE2, NODE2_6};

/// What all nodes share: one file, each peer skips itself.
pub(crate) const NODE: &str = include_str!("../../config/node.toml");

/// A range that nodes originate for themselves; the filter `own` keeps it from the peers.
pub(crate) const SERVICE_RANGE: &str =
    "\n[[originate]]\nname = \"service-range\"\nprefixes = [\"10.96.0.0/12\"]\ndiscard = true\n";

/// [`NODE`] with its sessions over IPv6.
pub(crate) fn node_over_ipv6() -> String {
    let pairs = [(NODE1, NODE1_6), (NODE2, NODE2_6), (ADC, ADC6)];
    pairs.iter().fold(NODE.to_owned(), |text, (address, address6)| {
        text.replace(address, address6)
    })
}

/// The ADC: FRR with its VIPs as kernel routes, redistributed to the nodes.
///
/// `restart_time_s` announces graceful restart with this restart time.
pub(crate) fn adc(restart_time_s: Option<u32>) -> String {
    adc_with_peers(&[NODE1, NODE2], restart_time_s)
}

/// [`adc`] with sessions over IPv6.
pub(crate) fn adc_over_ipv6() -> String {
    adc_with_peers(&[NODE1_6, NODE2_6], None)
}

fn adc_with_peers(peers: &[&str], restart_time_s: Option<u32>) -> String {
    let restart = restart_time_s.map_or_else(String::new, |seconds| {
        format!(
            " bgp graceful-restart\n bgp graceful-restart preserve-fw-state\n\
             bgp graceful-restart restart-time {seconds}\n"
        )
    });
    let neighbors: String = peers
        .iter()
        .map(|peer| format!(" neighbor {peer} peer-group nodes\n"))
        .collect();
    format!(
        "router bgp 64512\n bgp router-id {ADC}\n no bgp default ipv4-unicast\n coalesce-time 0\n{restart}\
         neighbor nodes peer-group\n neighbor nodes remote-as 64512\n neighbor nodes timers connect 1\n\
         neighbor nodes advertisement-interval 0\n{neighbors}\
         address-family ipv4 unicast\n neighbor nodes activate\n redistribute kernel\n exit-address-family\n\
         address-family ipv6 unicast\n neighbor nodes activate\n redistribute kernel\n exit-address-family\n"
    )
}

/// What Calico generates for node2's BIRD 2.
pub(crate) fn calico_bird2() -> String {
    let family =
        "ipv4 { gateway recursive; import all; export filter calico_export_to_bgp_peers; add paths on; };";
    calico(
        "protocol kernel { learn; persist; scan time 2; merge paths on; graceful restart;\n\
            ipv4 { import all; export filter calico_kernel_programming; }; }\n\
            protocol direct { debug { states }; ipv4; interface -\"cali*\", -\"kube-ipvs*\", \"*\"; }\n",
        "ipv4;",
        family,
    )
}

/// What Calico generates for node2's BIRD 1.6.
pub(crate) fn calico_bird1() -> String {
    let channel = "gateway recursive; import all; export filter calico_export_to_bgp_peers; add paths on;";
    calico(
        "protocol kernel { learn; persist; scan time 2; import all;\n\
            export filter calico_kernel_programming; graceful restart; merge paths on; }\n\
            protocol direct { debug { states }; interface -\"cali*\", -\"kube-ipvs*\", \"*\"; }\n",
        "",
        channel,
    )
}

/// The parts that both versions share.
fn calico(tables: &str, static_channel: &str, bgp_channel: &str) -> String {
    let protocols: String = [NODE1, ADC]
        .iter()
        .map(|peer| {
            let name = crate::lab::bird::protocol(peer);
            format!("protocol bgp {name} from bgp_template {{ neighbor {peer} as 64512; source address {NODE2}; }}\n")
        })
        .collect();
    format!(
        "log stderr all;\nrouter id {NODE2};\n\
         protocol static {{ {static_channel} route {BLOCK2} blackhole; }}\n\
         function calico_aggr() {{\n\
         if ( net = {BLOCK2} ) then {{ accept; }}\n\
         if ( net ~ {BLOCK2} ) then {{ reject; }}\n}}\n\
         filter calico_export_to_bgp_peers {{ calico_aggr(); if ( net ~ 10.244.0.0/16 ) then {{ accept; }} reject; }}\n\
         filter calico_kernel_programming {{ accept; }}\n\
         {tables}\
         protocol device {{ debug {{ states }}; scan time 2; }}\n\
         template bgp bgp_template {{ debug {{ states }}; description \"Connection to BGP peer\"; local as 64512;\n\
         multihop; {bgp_channel} graceful restart; connect delay time 2; connect retry time 5;\n\
         error wait time 5,30; }}\n\
         {protocols}"
    )
}

/// Blocks and the node that each one is behind, as the ADC has to see them.
pub(crate) fn blocks_at_adc() -> Vec<(String, Vec<String>)> {
    vec![
        (BLOCK1.to_owned(), vec![NODE1.to_owned()]),
        (BLOCK2.to_owned(), vec![NODE2.to_owned()]),
    ]
}
