//! What goes into a RIB shard and what comes out: plain data, so that a failure replays as a test.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use bgp_codec::{
    AsSets, Asn, Community, Family, FamilySet, LargeCommunity, NextHop, Notification, PeerKind, Role,
};
use bytes::Bytes;
use smallvec::SmallVec;

use crate::policy::Chain;
use crate::route::{LocalRoute, PeerId, Prefix, TableId};

/// One thing for the shard to take in.
#[derive(Clone, Debug)]
pub enum Input {
    /// A session reached Established. A second one for the same peer replaces the first.
    PeerUp(Box<Peer>),
    /// A session ended.
    PeerDown {
        /// Whose.
        peer: PeerId,
        /// What becomes of its routes.
        routes: DownRoutes,
    },
    /// The peer is no longer configured: nothing of it may stay, not even stale routes.
    PeerRemoved {
        /// Which.
        peer: PeerId,
    },
    /// Whole UPDATE and ROUTE-REFRESH messages, headers included, in the order received.
    Received {
        /// From whom.
        peer: PeerId,
        /// One read buffer's worth.
        messages: Bytes,
    },
    /// The session's edge can take this many more bytes. The shard never sends more than the credit it was given.
    Credit {
        /// Whose.
        peer: PeerId,
        /// Added to what is left of earlier credit.
        bytes: usize,
    },
    /// Routes of our own changed.
    Local(Vec<LocalChange>),
    /// All aggregates of the main table; replaces the earlier ones.
    Aggregates(Vec<Aggregate>),
    /// How paths are compared, from now on.
    Decision {
        /// [`Settings::always_compare_med`].
        always_compare_med: bool,
        /// [`Settings::decision`].
        options: DecisionOptions,
    },
    /// What the kernel says of next hops that [`Output::TrackNextHops`] asked about.
    NextHops(Vec<(IpAddr, Reachability)>),
    /// Policy and other per-peer settings that need no new session changed; results are re-decided from memory.
    Reconfigure {
        /// Whose.
        peer: PeerId,
        /// The new ones.
        policy: Box<PeerPolicy>,
    },
    /// Asks the peer's whole table to be advertised again (`soft out`).
    Readvertise {
        /// To whom.
        peer: PeerId,
    },
    /// Say when one of exactly these prefixes has been decided ([`Output::WatchedDecided`]).
    Watch(BTreeSet<Prefix>),
    /// Paths installed per prefix at most, from now on.
    Multipath(u16),
    /// After a restart: every local source has reported once, so our own End-of-RIB may go (design D11).
    LocalRoutesComplete,
    /// A deadline from `next_deadline` has come, or there is slack to go on with sliced work.
    Tick,
}

/// One thing that the shard wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Bytes for one session, in order, within its credit.
    Send {
        /// To whom.
        peer: PeerId,
        /// Whole messages.
        chunks: Vec<Chunk>,
    },
    /// The session must be closed with this message (RFC 7606 session reset, max-prefix, out of resources).
    Close {
        /// Whose.
        peer: PeerId,
        /// What to tell it.
        notification: Notification,
        /// How long it stays down before the next attempt, beyond the usual idle hold; `None` for ever.
        idle: Option<Duration>,
    },
    /// Ask the peer to send its routes again (only where import must see what was not kept).
    RequestRefresh {
        /// Whom.
        peer: PeerId,
        /// Which family.
        family: Family,
    },
    /// The wanted state of these prefixes in the kernel changed.
    Fib(Vec<FibChange>),
    /// After a restart: everything that is wanted has been put out for this family; what the kernel holds beyond is stale.
    FibComplete(Family),
    /// Watch or no longer watch these BGP next hops.
    TrackNextHops {
        /// Report reachability of each, at once and on change.
        track: Vec<IpAddr>,
        /// No longer of interest.
        untrack: Vec<IpAddr>,
    },
    /// The session of the peer with this address ended: routes in the kernel that have another next hop had better use
    /// that, before each has been decided anew.
    Suspect(IpAddr),
    /// All that followed from that has been put out.
    Settled(IpAddr),
    /// A prefix of [`Input::Watch`] has been decided, perhaps as before: whoever waits for it may ask.
    WatchedDecided,
    /// All aggregates that are there; follows every change.
    Aggregates(Vec<Prefix>),
    /// Something an operator should read in the log or metrics.
    Event(Event),
}

/// Encoded messages for one session, shared with the other members of its update group.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Whole messages.
    pub bytes: Bytes,
    /// Next-hop fields that the session overwrites with its own addresses while writing; empty in most chunks.
    pub next_hops: Arc<[NextHopField]>,
    /// How many, if all of them are UPDATEs; else zero.
    pub updates: u32,
}

/// A next-hop field inside a [`Chunk`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NextHopField {
    /// Offset in the chunk's bytes.
    pub offset: u32,
    /// 4 (IPv4), 16 (IPv6 global) or 32 (IPv6 global and link-local) octets.
    pub len: u8,
}

/// The addresses that a session tells its peer as "self".
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SelfAddresses {
    /// For IPv4 NLRI: the session's local address, or over an IPv6 session the interface's IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// For IPv6 NLRI: the session's local address, or over an IPv4 session a global IPv6 address of the same interface.
    pub ipv6: Option<Ipv6Addr>,
    /// The interface's link-local address, where the peer shares the link (RFC 2545 §3).
    pub link_local: Option<Ipv6Addr>,
}

/// What becomes of a peer's routes when its session ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DownRoutes {
    /// Removed at once.
    Flush,
    /// Kept as stale for the peer's restart time in these families (RFC 4724 §4.2), flushed in the others.
    Retain {
        /// Families that the peer announced in its graceful restart capability.
        families: FamilySet,
        /// The peer's restart time.
        restart_time: Duration,
        /// What is kept beyond it (RFC 9494).
        long_lived: LongLived,
    },
}

/// Long-lived graceful restart as agreed with a peer, RFC 9494: families whose stale routes are kept as the last resort, each
/// with how long after the restart time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LongLived {
    /// RFC 9494 §3.1: every family has a time of its own.
    pub times: Vec<(Family, Duration)>,
}

impl LongLived {
    /// Nothing is kept beyond the restart time.
    pub const NONE: Self = Self { times: Vec::new() };

    /// How long the routes of a family are kept beyond the restart time; none: not at all.
    #[must_use]
    pub fn time(&self, family: Family) -> Option<Duration> {
        let known = self.times.iter().find(|(at, _)| *at == family);
        known.map(|(_, time)| *time)
    }

    /// The families that are kept.
    #[must_use]
    pub fn families(&self) -> FamilySet {
        self.times.iter().map(|(family, _)| *family).collect()
    }

    /// The longest time of any family.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.times.iter().map(|(_, time)| *time).max().unwrap_or_default()
    }
}

/// What the shard must know of an Established session.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its handle.
    pub id: PeerId,
    /// Its configured name, or its address for a peer from a range.
    pub name: Arc<str>,
    /// Its address.
    pub address: IpAddr,
    /// The session's local address.
    pub local_address: IpAddr,
    /// What "next hop self" means on this session.
    pub self_addresses: SelfAddresses,
    /// From its OPEN.
    pub bgp_identifier: Ipv4Addr,
    /// Our AS on this session.
    pub local_asn: Asn,
    /// Its AS.
    pub asn: Asn,
    /// Inside or outside our AS.
    pub kind: PeerKind,
    /// Whether both sit on one subnet (decides link-local next hops and third-party next hops).
    pub shared_link: bool,
    /// Index of the interface that the session runs over; 0 where that is not known.
    pub link: u32,
    /// What was negotiated.
    pub negotiated: Negotiated,
    /// Policy and the settings that need no new session.
    pub policy: PeerPolicy,
    /// Where its routes go.
    pub table: TableId,
}

/// What the OPEN exchange settled, as far as the RIB needs it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Negotiated {
    /// Families that both sides announced.
    pub families: FamilySet,
    /// 4-octet AS numbers in both directions, RFC 6793.
    pub four_octet_asn: bool,
    /// Largest message that the peer takes, octets: 4,096 or 65,535 (RFC 8654).
    pub max_message: usize,
    /// Families in which the peer sends path ids, RFC 7911.
    pub add_path_receive: FamilySet,
    /// Families in which we send path ids, RFC 7911.
    pub add_path_send: FamilySet,
    /// IPv4 NLRI may carry IPv6 next hops, RFC 8950.
    pub extended_next_hop: bool,
    /// ROUTE-REFRESH may be sent, RFC 2918.
    pub route_refresh: bool,
    /// BoRR and EoRR are understood, RFC 7313.
    pub enhanced_route_refresh: bool,
    /// The peer's graceful restart capability, RFC 4724; none when it has none.
    pub graceful_restart: Option<PeerGracefulRestart>,
    /// What we are to the peer, RFC 9234; none: leaks are not looked for.
    pub role: Option<Role>,
}

/// A peer's graceful restart capability, RFC 4724 §3.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerGracefulRestart {
    /// R bit: it has just restarted and its End-of-RIB is not to be waited for by a restarting speaker.
    pub restarting: bool,
    /// Families listed.
    pub families: FamilySet,
    /// Families listed with the F bit: forwarding state was kept.
    pub forwarding: FamilySet,
    /// Families with the F bit in its long-lived graceful restart capability, RFC 9494; none: it has no such capability.
    pub long_lived: Option<FamilySet>,
}

/// Which paths of a prefix a peer is sent that takes path ids, RFC 7911 §3. The choice is made before export policy.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum SentPaths {
    /// All usable ones.
    #[default]
    All,
    /// The best one, and those equal to it up to the interior cost.
    Equal,
    /// So many, in the order in which they would be chosen if those before them went.
    Best(NonZeroU8),
}

/// Per-peer settings that take effect without a new session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerPolicy {
    /// Its group's name, if any: filters ask for it.
    pub group: Option<Arc<str>>,
    /// Filters on what the peer sends; [`Chain::no_policy`] for an eBGP peer without any (RFC 8212).
    pub import: Chain,
    /// Filters on what the peer is sent.
    pub export: Chain,
    /// The peer is a route reflection client, RFC 4456.
    pub rr_client: bool,
    /// The peer is a route server client, RFC 7947.
    pub route_server_client: bool,
    /// Next hop on export.
    pub next_hop: NextHopPolicy,
    /// Accept our own AS in AS_PATH this many times.
    pub allow_own_as: u8,
    /// What becomes of AS_PATH towards and from the peer.
    pub as_path: AsPathPolicy,
    /// Prefixes accepted from the peer per family before the session is closed; `None` for no limit.
    pub max_prefixes: Option<u32>,
    /// The same, counted after import policy.
    pub max_prefixes_accepted: Option<u32>,
    /// Idle time after max-prefix closed the session; `None`: stays down until reset by an operator.
    pub max_prefix_restart: Option<Duration>,
    /// More than that is logged, and the session stays.
    pub max_prefix_warn_only: bool,
    /// Refuse an eBGP route whose first AS is not the peer's.
    pub enforce_first_as: bool,
    /// Routes from this peer go to the kernel.
    pub install: bool,
    /// The peer is sent what aggregates with `summary_only` keep from others.
    pub more_specifics: bool,
    /// Which paths of a prefix the peer is sent where it takes path ids.
    pub sent_paths: SentPaths,
    /// RFC 4271 §9.2.1.1: how long after an advertisement of changes the peer waits for the next; zero for not at all. What
    /// is withdrawn never waits.
    pub min_advertisement_interval: Duration,
    /// What becomes of paths with sets of AS numbers (RFC 9774).
    pub as_sets: AsSets,
    /// To this table of it; none for the one that `[kernel]` names.
    pub install_table: Option<TableId>,
}

impl PeerPolicy {
    /// Everything passes both ways unchanged, without limits; the first AS of an external peer's paths is checked.
    #[must_use]
    pub fn accept_all() -> Self {
        Self {
            group: None,
            import: Chain::accept_all(),
            export: Chain::accept_all(),
            rr_client: false,
            route_server_client: false,
            next_hop: NextHopPolicy::Standard,
            allow_own_as: 0,
            as_path: AsPathPolicy::default(),
            max_prefixes: None,
            max_prefixes_accepted: None,
            max_prefix_restart: None,
            max_prefix_warn_only: false,
            enforce_first_as: true,
            install: true,
            more_specifics: false,
            sent_paths: SentPaths::All,
            min_advertisement_interval: Duration::ZERO,
            as_sets: AsSets::Accept,
            install_table: None,
        }
    }
}

/// Changes of AS_PATH at the border to an external peer.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct AsPathPolicy {
    /// Where `local_asn` is another than the speaker's: what is received does not get it prepended (RFC 7705 §3.1).
    pub no_prepend: bool,
    /// Where `local_asn` is another than the speaker's: the speaker's own AS is not shown to the peer (RFC 7705 §3.2).
    pub replace_as: bool,
    /// The peer's own AS is replaced by ours in what it is sent, so that sites of one AS can reach each other over us.
    pub as_override: bool,
    /// Private AS numbers in what the peer is sent.
    pub remove_private: RemovePrivate,
}

/// What becomes of private AS numbers (RFC 6996) on the way to an external peer.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum RemovePrivate {
    /// They stay.
    #[default]
    No,
    /// They go.
    Remove,
    /// Ours takes their place, so that the path keeps its length.
    Replace,
}

/// How the next hop of what a peer is sent is chosen.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum NextHopPolicy {
    /// RFC 4271 §5.1.3: unchanged to internal peers, self to external ones unless on one subnet.
    #[default]
    Standard,
    /// Always this speaker, for routes learned from external peers and our own.
    Own,
    /// Always this speaker, for reflected routes as well.
    OwnForced,
    /// Never changed.
    Unchanged,
}

/// One change of our own routes, keyed by (kind, name, prefix).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LocalChange {
    /// New, or replaces the one with the same key.
    Announce(LocalRoute),
    /// Gone.
    Withdraw {
        /// Key, with `name` and `prefix`.
        kind: crate::route::OriginKind,
        /// Key.
        name: Arc<str>,
        /// Key.
        prefix: Prefix,
    },
}

/// A route of our own that exists while a more specific one contributes to it, RFC 4271 §9.2.2.2.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Aggregate {
    /// Unique.
    pub name: Arc<str>,
    /// Without host bits; no two aggregates have the same.
    pub prefix: Prefix,
    /// Which of the more specific routes contribute; `None`: each that is used.
    pub contributing: Option<Chain>,
    /// Contributors are not advertised, except to peers with [`PeerPolicy::more_specifics`].
    pub summary_only: bool,
    /// Communities that it carries.
    pub communities: Vec<Community>,
    /// Large communities that it carries.
    pub large_communities: Vec<LargeCommunity>,
    /// MED that it carries.
    pub med: Option<u32>,
}

/// What the kernel says of a next hop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reachability {
    /// No route to it.
    Unreachable,
    /// There is a route.
    Reachable {
        /// Its metric; feeds RFC 4271 §9.1.2.2(e).
        metric: u32,
        /// Over a directly connected subnet.
        connected: bool,
    },
}

/// The wanted state of one prefix in the kernel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FibChange {
    /// In which of the kernel's tables; [`TableId::UNSPECIFIED`] for the one that `[kernel]` names.
    pub table: TableId,
    /// The table that it leaves for that one.
    pub left: Option<TableId>,
    /// Destination.
    pub prefix: Prefix,
    /// What it should be; `None`: gone.
    pub route: Option<Arc<FibRoute>>,
}

/// What the kernel should hold for a prefix, in BGP's terms; the kernel edge resolves next hops to gateways.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct FibRoute {
    /// BGP next hops, ordered, no duplicates; several for ECMP.
    pub next_hops: SmallVec<[FibNextHop; 2]>,
    /// LOCAL_PREF of the best path, for the metric mapping.
    pub local_pref: u32,
    /// The best path came from an external peer.
    pub external: bool,
    /// The best path carries BLACKHOLE, RFC 7999: where that is allowed, packets are discarded.
    pub blackhole: bool,
    /// As in [`FibChange::table`].
    pub table: TableId,
}

/// One BGP next hop of a [`FibRoute`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FibNextHop {
    /// Global address.
    pub address: IpAddr,
    /// Link-local address of an IPv6 next hop, usable on the session's link.
    pub link_local: Option<Ipv6Addr>,
    /// Interface index for `link_local`; 0 when unknown.
    pub interface: u32,
    /// Relative weight, 1 to 256.
    pub weight: u16,
}

/// Something that an operator should read.
#[derive(Clone, Debug)]
pub enum Event {
    /// RFC 7606 applied to an UPDATE.
    MalformedUpdate {
        /// From whom.
        peer: PeerId,
        /// What was wrong and what was done, in words.
        text: String,
        /// The prefixes concerned, at most a handful.
        prefixes: Vec<Prefix>,
    },
    /// A peer's count crossed its warning threshold.
    MaxPrefixWarning {
        /// Whose.
        peer: PeerId,
        /// Which family.
        family: Family,
        /// How many there are.
        count: u32,
        /// The limit.
        limit: u32,
    },
    /// A peer's End-of-RIB came.
    EndOfRibReceived {
        /// From whom.
        peer: PeerId,
        /// Which family.
        family: Family,
    },
    /// Our End-of-RIB went out.
    EndOfRibSent {
        /// To whom.
        peer: PeerId,
        /// Which family.
        family: Family,
    },
    /// After a restart: selection began for this family (all awaited peers came, or the deadline).
    SelectionStarted {
        /// Which family.
        family: Family,
        /// Names of peers that were not heard in time.
        missing: Vec<Arc<str>>,
    },
}

/// What a shard is built with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our AS.
    pub asn: Asn,
    /// Our BGP Identifier.
    pub bgp_identifier: Ipv4Addr,
    /// CLUSTER_ID, RFC 4456 §7; the BGP Identifier unless configured.
    pub cluster_id: Ipv4Addr,
    /// Seed of the prefix and attribute hashes.
    pub hash_seed: u64,
    /// Paths installed per prefix at most, 1 for no multipath.
    pub multipath: u16,
    /// Next hops are asked about; without it all are taken as reachable (a reflector without `[kernel]`).
    pub track_next_hops: bool,
    /// Learned routes are put out as [`Output::Fib`].
    pub install: bool,
    /// MED compares between different neighbouring ASes too.
    pub always_compare_med: bool,
    /// Which steps of the decision are left out or changed.
    pub decision: DecisionOptions,
    /// We restart with forwarding state kept: defer selection (RFC 4724 §4.1).
    pub restarting: Option<Restarting>,
}

/// What operators may change in the decision, beside comparing MED between neighbours.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DecisionOptions {
    /// A path without MULTI_EXIT_DISC loses against any that has one; RFC 4271 §9.1.2.2(c) takes it for 0, the best.
    pub med_missing_as_worst: bool,
    /// RFC 4271 §9.1.2.2(a) is left out.
    pub ignore_as_path_length: bool,
    /// RFC 4271 §9.1.2.2(e) is left out.
    pub ignore_next_hop_metric: bool,
    /// RFC 5004: among equal paths from external peers the one that has been there longest stays, so that the best path
    /// changes less often.
    pub prefer_oldest: bool,
}

/// Which peers a restarting speaker waits for.
#[derive(Clone, Debug)]
pub struct Restarting {
    /// All configured peers, and those from ranges whose routes we had before.
    pub peers: Vec<PeerId>,
    /// Selection starts this long after the first input at the latest.
    pub deadline: Duration,
    /// A peer that is not Established after this time is not waited for.
    pub establish: Duration,
}

/// A next hop as the RIB keeps it: none for our own routes.
pub type RouteNextHop = Option<NextHop>;
