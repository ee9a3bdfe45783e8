//! The lab of the article: two nodes with pods and an ADC with two VIPs, all on one segment and in AS 64512.
//!
//! ```text
//!   pod 10.244.0.76 ── node1 .199 ──┐                             ┌── 172.16.99.99
//!   pod 10.244.0.77 ──┘             ├── 172.16.40.0/24 ── adc .202 ┤
//!   pod 10.244.1.76 ── node2 .198 ──┘      fd00:40::/64           └── 172.16.40.81
//! ```

use super::link::{Switch, add_address, veth};
use super::{Lab, Namespace};

/// The VIPs that the ADC serves.
pub(crate) const VIPS: [&str; 2] = ["172.16.99.99", "172.16.40.81"];
/// Their like in IPv6.
pub(crate) const VIPS6: [&str; 2] = ["fd00:99::99", "fd00:99::81"];

pub(crate) const ADC: &str = "172.16.40.202";
pub(crate) const NODE1: &str = "172.16.40.199";
pub(crate) const NODE2: &str = "172.16.40.198";
pub(crate) const ADC6: &str = "fd00:40::202";
pub(crate) const NODE1_6: &str = "fd00:40::199";
pub(crate) const NODE2_6: &str = "fd00:40::198";

pub(crate) const BLOCK1: &str = "10.244.0.0/24";
pub(crate) const BLOCK2: &str = "10.244.1.0/24";
pub(crate) const BLOCK1_6: &str = "fd00:244::/122";
pub(crate) const BLOCK2_6: &str = "fd00:244::40/122";

pub(crate) const POD1: &str = "10.244.0.76";
pub(crate) const POD2: &str = "10.244.1.76";
pub(crate) const POD1_6: &str = "fd00:244::c";
pub(crate) const POD2_6: &str = "fd00:244::4c";

/// The namespaces. Daemons are the scenario's to start.
pub(crate) struct Article {
    pub(crate) adc: Namespace,
    pub(crate) node1: Namespace,
    pub(crate) node2: Namespace,
    pub(crate) pod1: Namespace,
    pub(crate) pod2: Namespace,
    pub(crate) switch: Switch,
    /// Holds the VIPs; nobody asks it anything directly.
    _service: Namespace,
    _pod1b: Namespace,
}

impl Article {
    pub(crate) fn build(lab: &Lab) -> Self {
        let mut switch = Switch::new(lab, "switch");
        let adc = router(lab, "adc");
        let node1 = router(lab, "node1");
        let node2 = router(lab, "node2");
        switch.plug(&adc, &["172.16.40.202/24", "fd00:40::202/64"]);
        switch.plug(&node1, &["172.16.40.199/24", "fd00:40::199/64"]);
        switch.plug(&node2, &["172.16.40.198/24", "fd00:40::198/64"]);
        for (node, block, block6) in [(&node1, BLOCK1, BLOCK1_6), (&node2, BLOCK2, BLOCK2_6)] {
            node.ip(&format!("route add blackhole {block}"));
            node.ip(&format!("-6 route add blackhole {block6}"));
            // Without any route to 169.254.1.1 a node does not answer its pods' ARP requests for it.
            node.ip("route add default via 172.16.40.1");
        }
        let pod1 = pod(lab, &node1, "pod1", [POD1, POD1_6]);
        let pod1b = pod(lab, &node1, "pod1b", ["10.244.0.77", "fd00:244::d"]);
        let pod2 = pod(lab, &node2, "pod2", [POD2, POD2_6]);
        let service = service(lab, &adc);
        Self {
            adc,
            node1,
            node2,
            pod1,
            pod2,
            switch,
            _service: service,
            _pod1b: pod1b,
        }
    }
}

fn router(lab: &Lab, role: &str) -> Namespace {
    let namespace = lab.namespace(role);
    namespace.sysctl("net.ipv4.ip_forward", "1");
    namespace.sysctl("net.ipv6.conf.all.forwarding", "1");
    namespace
}

/// A pod as Calico makes it: a /32 in a namespace, a host route to its `cali` interface, and a gateway that the node
/// answers for.
fn pod(lab: &Lab, node: &Namespace, role: &str, [address, address6]: [&str; 2]) -> Namespace {
    let pod = lab.namespace(role);
    let interface = format!("cali{role}");
    veth((&pod, "eth0"), (node, &interface));
    node.sysctl(&format!("net.ipv4.conf.{interface}.proxy_arp"), "1");
    node.sysctl(&format!("net.ipv4.neigh.{interface}.proxy_delay"), "0");
    add_address(node, &interface, "fe80::1/64");
    add_address(&pod, "eth0", &format!("{address}/32"));
    add_address(&pod, "eth0", &format!("{address6}/128"));
    pod.ip("route add 169.254.1.1 dev eth0 scope link");
    pod.ip("route add default via 169.254.1.1");
    pod.ip("-6 route add default via fe80::1 dev eth0");
    node.ip(&format!("route add {address}/32 dev {interface} scope link"));
    node.ip(&format!("-6 route add {address6}/128 dev {interface}"));
    pod
}

/// The namespace that answers for the VIPs, behind kernel routes on the ADC.
fn service(lab: &Lab, adc: &Namespace) -> Namespace {
    let service = lab.namespace("service");
    veth((adc, "vips"), (&service, "eth0"));
    add_address(adc, "vips", "169.254.7.1/30");
    add_address(&service, "eth0", "169.254.7.2/30");
    add_address(adc, "vips", "fe80::1/64");
    service.ip("route add default via 169.254.7.1");
    service.ip("-6 route add default via fe80::1 dev eth0");
    for vip in VIPS {
        add_address(&service, "eth0", &format!("{vip}/32"));
        adc.ip(&format!("route add {vip}/32 dev vips"));
    }
    for vip in VIPS6 {
        add_address(&service, "eth0", &format!("{vip}/128"));
        adc.ip(&format!("-6 route add {vip}/128 dev vips"));
    }
    service
}

/// `ping` once from a namespace, as an answer to ask again for.
pub(crate) fn ping(from: &Namespace, to: &str) -> Result<(), String> {
    let outcome = from.exec(&format!("ping -n -c 1 -W 1 {to}"));
    if outcome.success {
        Ok(())
    } else {
        Err(format!("{}{}", outcome.stdout, outcome.stderr))
    }
}
