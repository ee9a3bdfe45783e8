//! Questions to a shard and its answers. Reading never changes a table, and a long listing comes in pages.

use std::net::IpAddr;
use std::sync::Arc;

use bgp_codec::Family;
use serde::{Deserialize, Serialize};

use crate::route::{PeerId, Prefix};

/// A question; each is answered within one slice of work.
#[derive(Clone, Debug)]
pub enum Query {
    /// A page of a listing, in prefix order.
    Routes {
        /// Which view.
        view: View,
        /// One family, or all.
        family: Option<Family>,
        /// Only prefixes equal to or inside this one.
        within: Option<Prefix>,
        /// Continue behind this prefix.
        after: Option<Prefix>,
        /// At most this many prefixes.
        limit: usize,
    },
    /// The longest match of an address in Loc-RIB.
    Lookup(IpAddr),
    /// Everything about one prefix.
    Why {
        /// Which; exact.
        prefix: Prefix,
        /// Advertisement to this peer only.
        peer: Option<PeerId>,
    },
    /// Counts per peer and family, and of the tables.
    Counters,
}

/// Which table a listing shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum View {
    /// Loc-RIB: every path of each prefix, the best first.
    Best,
    /// Adj-RIB-In of a peer, rejected routes included.
    Received(PeerId),
    /// What a peer holds from us: Adj-RIB-Out.
    Advertised(PeerId),
}

/// The answer to a [`Query`].
#[derive(Clone, Debug)]
pub enum Answer {
    /// A page, and where to go on if there is more.
    Routes {
        /// In prefix order.
        routes: Vec<RouteEntry>,
        /// Pass as `after` for the next page.
        next: Option<Prefix>,
    },
    /// Everything about one prefix.
    Why(Box<Explanation>),
    /// Counts.
    Counters(Counters),
    /// The peer of the query is not Established or not known.
    NoSuchPeer,
}

/// One path as `stonechat routes` shows it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RouteEntry {
    /// Destination.
    pub prefix: Prefix,
    /// Path id on the wire; 0 without Add-Path.
    pub path_id: u32,
    /// Peer name, or `kind:name` for a route of our own (`kernel:pod-blocks`).
    pub source: Arc<str>,
    /// Next hop; none for our own routes.
    pub next_hop: Option<IpAddr>,
    /// `igp`, `egp` or `incomplete`.
    pub origin: String,
    /// AS_PATH in the operators' notation.
    pub as_path: String,
    /// LOCAL_PREF as compared (default 100).
    pub local_pref: u32,
    /// MED, when present.
    pub med: Option<u32>,
    /// What import policy gave it, compared before LOCAL_PREF; 0 where it did not.
    #[serde(default)]
    pub weight: u32,
    /// What import policy marked it with; 0 where it did not.
    #[serde(default)]
    pub tag: u32,
    /// The kernel table that import policy chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
    /// Communities of all kinds in the operators' notation.
    pub communities: Vec<String>,
    /// ORIGINATOR_ID, when present.
    pub originator_id: Option<IpAddr>,
    /// CLUSTER_LIST.
    pub cluster_list: Vec<IpAddr>,
    /// Best path of its prefix.
    pub best: bool,
    /// Used beside the best path (ECMP).
    pub multipath: bool,
    /// Kept from before the peer's restart.
    pub stale: bool,
    /// Why it cannot be used: import verdict, unreachable next hop, loop; `None` when it can.
    pub unusable: Option<String>,
    /// Seconds since it was received or last changed.
    pub age_s: u64,
}

/// The whole story of one prefix.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Explanation {
    /// The prefix asked about.
    pub prefix: String,
    /// Each path: what import decided (rule, file:line) and how it fared against the best one.
    pub paths: Vec<PathStory>,
    /// Each Established peer: whether it is advertised to, or what stopped it.
    pub exports: Vec<ExportStory>,
    /// What aggregates have to do with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aggregates: Vec<String>,
    /// Why the best path is none for the kernel, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_installed: Option<String>,
    /// Recent malformed UPDATEs that concerned it.
    pub malformed: Vec<String>,
    /// The next more specific and less specific prefixes that exist, when the prefix itself does not.
    pub nearby: Vec<String>,
}

/// One path in an [`Explanation`].
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PathStory {
    /// The path.
    pub route: RouteEntry,
    /// `accepted by rule 2 of filter adc-vips (node.toml:31)` and so on.
    pub import: String,
    /// `best: beats node2: shorter AS_PATH (1 < 2)`, or `loses to f5-a: higher LOCAL_PREF (200 > 100)`, or why it does not take part.
    pub decision: String,
}

/// One peer in an [`Explanation`].
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ExportStory {
    /// The peer's name.
    pub peer: Arc<str>,
    /// Whether the peer has been told of the prefix.
    pub advertised: bool,
    /// `rule 1 of filter own (node.toml:40)`, `split horizon: learned from this peer`, `not reflected: ...`.
    pub reason: String,
    /// Changes for this peer that wait for its socket.
    pub pending: bool,
    /// The update group that it is in; none while it is not Established.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupStory>,
}

/// The update group of a peer in an [`ExportStory`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct GroupStory {
    /// Tells it from other groups, as long as the daemon runs.
    pub number: u64,
    /// Peers that are sent the same.
    pub members: u64,
    /// What this one is yet to be told: prefixes (paths with Add-Path), and messages that are ready for it.
    pub behind: u64,
}

/// Counts for `peers` and for metrics.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Counters {
    /// Prefixes in Loc-RIB that have a best path.
    pub prefixes: u64,
    /// Paths held.
    pub paths: u64,
    /// Distinct attribute sets.
    pub attribute_sets: u64,
    /// Prefixes that wait to be decided.
    #[serde(default)]
    pub undecided: u64,
    /// Update groups.
    pub groups: u64,
    /// Bytes in all rings.
    pub ring_bytes: u64,
    /// What memory is used for.
    #[serde(default)]
    pub memory: Vec<MemoryUse>,
    /// Per Established (or retained) peer.
    pub peers: Vec<PeerCounters>,
}

/// Memory of one kind.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MemoryUse {
    /// What it is used for, such as `paths`.
    pub kind: Arc<str>,
    /// How many of them there are.
    pub count: u64,
    /// Octets.
    pub bytes: u64,
}

/// Counts of one peer and family.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PeerCounters {
    /// Its handle.
    #[serde(skip, default = "no_peer")]
    pub peer: PeerId,
    /// Its name.
    pub name: Arc<str>,
    /// Family.
    pub family: String,
    /// Prefixes (paths with Add-Path) as received.
    pub received: u64,
    /// After import policy.
    pub accepted: u64,
    /// Of those, best.
    pub best: u64,
    /// What the peer holds from us.
    pub advertised: u64,
    /// Kept from before its restart.
    pub stale: u64,
    /// Changes that wait for its socket.
    pub pending: u64,
    /// Ignored for the rest of the session after an UPDATE that could not be read (RFC 7606 §7).
    #[serde(default)]
    pub disabled: bool,
    /// Its End-of-RIB came.
    pub end_of_rib_received: bool,
    /// Ours went out.
    pub end_of_rib_sent: bool,
    /// UPDATEs received since the session came up.
    pub updates_received: u64,
    /// UPDATEs queued to it since the session came up.
    pub updates_sent: u64,
    /// UPDATEs with an RFC 7606 treatment.
    pub malformed: u64,
}

fn no_peer() -> PeerId {
    PeerId {
        index: u32::MAX,
        generation: 0,
    }
}
