//! What configuration says of the kernel.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::wire::Stamp;
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
    /// Routes that discard answer with ICMP host unreachable.
    pub unreachable: bool,
    /// A next hop may be resolved by the default route.
    pub next_hop_via_default: bool,
    /// The kernel takes gateways for being on their link, whatever it knows of the way there (`RTNH_F_ONLINK`).
    pub onlink: bool,
    /// The address that this node's own packets carry as source on IPv4 routes of ours (`RTA_PREFSRC`).
    pub ipv4_source: Option<Ipv4Addr>,
    /// The same on IPv6 routes.
    pub ipv6_source: Option<Ipv6Addr>,
    /// Path MTU on routes of ours, octets; none: that of the interface.
    pub mtu: Option<u32>,
    /// TCP MSS that is advertised on routes of ours, octets; none: what follows from the MTU.
    pub advmss: Option<u32>,
    /// What becomes of our routes when the daemon stops for good or for a restart.
    pub on_stop: OnStop,
}

impl Settings {
    /// How routes are written.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp {
            protocol: self.protocol,
            ipv4_source: self.ipv4_source,
            ipv6_source: self.ipv6_source,
            mtu: self.mtu.unwrap_or(0),
            advmss: self.advmss.unwrap_or(0),
            unreachable: self.unreachable,
        }
    }

    /// Whether routes of ours name this address as their source.
    pub(crate) fn is_source(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.ipv4_source == Some(address),
            IpAddr::V6(address) => self.ipv6_source == Some(address),
        }
    }
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
