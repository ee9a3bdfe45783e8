//! What configuration says of the kernel.

use crate::route::TableId;

/// The `[kernel]` section.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Learned routes are installed.
    pub install: bool,
    /// Into this table.
    pub table: TableId,
    /// `rtm_protocol` of our routes; 179.
    pub protocol: u8,
    /// How `RTA_PRIORITY` is chosen.
    pub metric: Metric,
    /// Next hops per route at most; 1 for no ECMP.
    pub multipath: u16,
    /// A route with the community BLACKHOLE (RFC 7999) discards packets.
    pub blackhole: bool,
    /// A next hop may be resolved by the default route.
    pub next_hop_via_default: bool,
    /// What becomes of our routes when the daemon stops for good or for a restart.
    pub on_stop: OnStop,
}

/// How the kernel metric of an installed route is chosen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Metric {
    /// Always this.
    Fixed(u32),
    /// 2,147,483,647 less LOCAL_PREF, as Calico's BIRD does.
    CalicoLocalPref,
}

/// What SIGTERM means for installed routes (design: stopping has two meanings).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnStop {
    /// A planned restart: they stay and are adopted at start.
    #[default]
    Keep,
    /// They go.
    Remove,
}
