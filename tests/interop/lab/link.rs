//! Links: a bridge in a namespace of its own as the shared segment, and veth pairs between two namespaces.

use super::{Lab, Namespace};

/// A switch: an Ethernet segment that namespaces are plugged into.
pub(crate) struct Switch {
    namespace: Namespace,
    ports: u32,
}

impl Switch {
    pub(crate) fn new(lab: &Lab, name: &str) -> Self {
        let namespace = lab.namespace(name);
        namespace.ip("link add br0 type bridge");
        namespace.ip("link set br0 up");
        Self { namespace, ports: 0 }
    }

    /// Gives `namespace` an `eth0` on this segment with these addresses (`172.16.40.199/24`).
    pub(crate) fn plug(&mut self, namespace: &Namespace, addresses: &[&str]) {
        let port = format!("p{}", self.ports);
        self.ports += 1;
        veth((namespace, "eth0"), (&self.namespace, &port));
        self.namespace.ip(&format!("link set {port} master br0"));
        for address in addresses {
            add_address(namespace, "eth0", address);
        }
    }
}

/// Connects two namespaces by a veth pair whose ends have these names, and sets both up.
pub(crate) fn veth(a: (&Namespace, &str), b: (&Namespace, &str)) {
    let line = format!(
        "link add {} netns {} type veth peer name {} netns {}",
        a.1,
        a.0.name(),
        b.1,
        b.0.name()
    );
    a.0.ip(&line);
    a.0.ip(&format!("link set {} up", a.1));
    b.0.ip(&format!("link set {} up", b.1));
}

/// Adds an address; IPv6 addresses are usable at once, without duplicate address detection.
pub(crate) fn add_address(namespace: &Namespace, interface: &str, address: &str) {
    let nodad = if address.contains(':') { " nodad" } else { "" };
    namespace.ip(&format!("address add {address} dev {interface}{nodad}"));
}
