//! What configuration says of a VIP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bgp_codec::{Community, LargeCommunity};
use ipnet::IpNet;

/// One `[[vip]]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Vip {
    /// Unique; filters match it in `source`.
    pub name: Arc<str>,
    /// What is announced.
    pub address: IpNet,
    /// How to know that it is served; none: always.
    pub check: Option<Check>,
    /// Communities that it carries.
    pub communities: Vec<Community>,
    /// Large communities that it carries.
    pub large_communities: Vec<LargeCommunity>,
    /// MED that it carries.
    pub med: Option<u32>,
}

/// A health check and its rhythm.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Check {
    /// What is asked.
    pub probe: Probe,
    /// From the start of one probe to the start of the next.
    pub interval: Duration,
    /// A probe that takes longer has failed.
    pub timeout: Duration,
    /// Consecutive successes before the VIP is announced.
    pub rise: u32,
    /// Consecutive failures before it is withdrawn.
    pub fall: u32,
}

/// What a check asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Probe {
    /// A TCP connection opens.
    Tcp(SocketAddr),
    /// `GET` answers with a status in 200..=399 (or the one given).
    Http {
        /// Where to connect.
        target: SocketAddr,
        /// `Host` header.
        host: String,
        /// Path and query.
        path: String,
        /// The status to expect; `None`: 200 to 399.
        status: Option<u16>,
    },
    /// The command exits with 0.
    Command(Vec<String>),
}
