//! Stonechat on the left, another daemon on the right, one cable.

use crate::lab::link::Switch;
use crate::lab::{Lab, Namespace};

pub(crate) const LEFT: &str = "192.0.2.1";
pub(crate) const RIGHT: &str = "192.0.2.2";
pub(crate) const LEFT6: &str = "2001:db8::1";
pub(crate) const RIGHT6: &str = "2001:db8::2";

/// Two namespaces on one segment.
pub(crate) struct Pair {
    pub(crate) left: Namespace,
    pub(crate) right: Namespace,
    pub(crate) switch: Switch,
}

impl Pair {
    pub(crate) fn build(lab: &Lab) -> Self {
        let mut switch = Switch::new(lab, "switch");
        let (left, right) = (lab.namespace("left"), lab.namespace("right"));
        switch.plug(&left, &["192.0.2.1/24", "2001:db8::1/64"]);
        switch.plug(&right, &["192.0.2.2/24", "2001:db8::2/64"]);
        Self { left, right, switch }
    }
}

/// The left Stonechat with the right as peer, both in AS 64512; `peer` are more lines of its `[[peer]]`.
///
/// It originates its namespace's blackholes and installs what it learns.
pub(crate) fn stonechat(right: &str, peer: &str) -> String {
    format!(
        "[speaker]\nasn = 64512\nrouter_id = \"{LEFT}\"\n\n[kernel]\ninstall = true\n\n\
         [[originate]]\nname = \"blocks\"\nkernel = {{ type = [\"blackhole\"] }}\n\n\
         [[peer]]\nname = \"right\"\naddress = \"{right}\"\nasn = 64512\n{peer}\n"
    )
}
