//! What a session tells those who ask; published by its task, read without disturbing it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// FSM state, RFC 4271 §8.2.2.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum State {
    /// Refuses connections; waits for a start event.
    #[default]
    Idle,
    /// Waits for TCP.
    Connect,
    /// Listens for TCP, tries again on ConnectRetryTimer.
    Active,
    /// Waits for an OPEN.
    OpenSent,
    /// Waits for a KEEPALIVE or NOTIFICATION.
    OpenConfirm,
    /// Routes may flow.
    Established,
}

/// One peer as `stonechat peers` shows it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Status {
    /// Configured name, or the address for a peer from a range.
    pub name: Arc<str>,
    /// Group joined.
    pub group: Option<Arc<str>>,
    /// Free text.
    pub description: String,
    /// Its address.
    pub address: IpAddr,
    /// Its AS as configured or, once known, as announced.
    pub asn: Option<u32>,
    /// Our AS on this session.
    pub local_asn: u32,
    /// FSM state.
    pub state: State,
    /// The address is one of this machine's: no session with oneself.
    pub is_self: bool,
    /// Administratively down.
    pub shutdown: bool,
    /// Unix time in seconds of the last change of `state` into or out of Established.
    pub since_unix_s: u64,
    /// Its BGP Identifier.
    pub bgp_identifier: Option<Ipv4Addr>,
    /// Both ends of the TCP connection.
    pub local: Option<SocketAddr>,
    /// The peer's end.
    pub remote: Option<SocketAddr>,
    /// Negotiated, seconds; 0 for none.
    pub hold_time_s: u64,
    /// Negotiated, seconds.
    pub keepalive_time_s: u64,
    /// Families negotiated (or, before that, configured).
    pub families: Vec<String>,
    /// Negotiated capabilities in words.
    pub capabilities: Vec<String>,
    /// How often the session left Established.
    pub flaps: u64,
    /// How often the session reached Established.
    pub established_count: u64,
    /// Messages by kind, sent and received: open, update, notification, keepalive, route-refresh.
    pub messages_sent: MessageCounts,
    /// The same, received.
    pub messages_received: MessageCounts,
    /// Octets.
    pub bytes_sent: u64,
    /// Octets.
    pub bytes_received: u64,
    /// Why the session last went down or does not come up, in words.
    pub last_error: Option<String>,
    /// What an operator should know (`no filters: carries nothing, RFC 8212`).
    pub notes: Vec<String>,
}

/// RFC 2918, among [`Status::capabilities`].
pub const ROUTE_REFRESH: &str = "route refresh";

impl Status {
    /// Whether this was negotiated.
    #[must_use]
    pub fn has(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|known| known == capability)
    }
}

/// Messages by kind.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct MessageCounts {
    /// OPEN.
    pub open: u64,
    /// UPDATE.
    pub update: u64,
    /// NOTIFICATION.
    pub notification: u64,
    /// KEEPALIVE.
    pub keepalive: u64,
    /// ROUTE-REFRESH.
    pub route_refresh: u64,
}
