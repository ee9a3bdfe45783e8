//! What makes peers share an update group: everything that changes the bytes they are sent, and nothing else.
//!
//! The encoder sees only the key and the route, never a peer, so a setting that is forgotten here cannot leak into the bytes.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bgp_codec::{Asn, Family, FamilySet, PeerKind, Role, WriteContext};

use super::border::{self, PathRules};
use super::interface::{NextHopPolicy, Peer, SentPaths, Settings};
use crate::policy::Chain;
use crate::route::TableId;

/// The content that decides which group a peer is in, for one family.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct GroupKey {
    pub(crate) table: TableId,
    pub(crate) family: Family,
    pub(crate) kind: PeerKind,
    /// Our AS towards the members.
    pub(crate) local_asn: Asn,
    pub(crate) cluster_id: Ipv4Addr,
    pub(crate) four_octet_asn: bool,
    pub(crate) max_message: usize,
    /// Paths are sent with path ids.
    pub(crate) add_path: bool,
    /// Which, then.
    pub(crate) paths: SentPaths,
    /// IPv4 NLRI may carry an IPv6 next hop.
    pub(crate) extended_next_hop: bool,
    pub(crate) rr_client: bool,
    pub(crate) route_server_client: bool,
    /// The members know what LLGR_STALE means, RFC 9494.
    pub(crate) long_lived: bool,
    /// What we are to the members, RFC 9234.
    pub(crate) role: Option<Role>,
    pub(crate) as_path: PathRules,
    /// What aggregates keep from others is sent.
    pub(crate) more_specifics: bool,
    pub(crate) next_hop: NextHopPolicy,
    /// What "self" looks like on the wire; each session fills in its own.
    pub(crate) own_next_hop: Option<OwnNextHop>,
    /// Our address on the subnet that an external member shares with us: next hops of others on it are kept
    /// (RFC 4271 §5.1.3(3)).
    pub(crate) shared_subnet: Option<IpAddr>,
    /// How long the members wait between advertisements, RFC 4271 §9.2.1.1.
    pub(crate) min_advertisement_interval: Duration,
    /// Export policy, unless it only drops routes: then members keep it, and it does not split the group.
    pub(crate) policy: Option<Chain>,
}

/// The form of our own next hop.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum OwnNextHop {
    V4,
    V6,
    V6WithLinkLocal,
}

impl GroupKey {
    pub(crate) fn new(settings: &Settings, peer: &Peer, family: Family) -> Self {
        let external = peer.kind == PeerKind::External;
        let negotiated = &peer.negotiated;
        let extended_next_hop = family == Family::IPV4_UNICAST && negotiated.extended_next_hop;
        let chain = &peer.policy.export;
        let add_path = negotiated.add_path_send.contains(family);
        Self {
            table: peer.table,
            family,
            kind: peer.kind,
            local_asn: peer.local_asn,
            cluster_id: settings.cluster_id,
            four_octet_asn: negotiated.four_octet_asn,
            max_message: negotiated.max_message,
            add_path,
            paths: if add_path {
                peer.policy.sent_paths
            } else {
                SentPaths::All
            },
            extended_next_hop,
            rr_client: peer.policy.rr_client && !external,
            route_server_client: peer.policy.route_server_client && external,
            long_lived: negotiated
                .graceful_restart
                .is_some_and(|graceful| graceful.long_lived.is_some()),
            role: border::role(peer, family),
            as_path: PathRules::new(settings, peer),
            more_specifics: peer.policy.more_specifics,
            next_hop: peer.policy.next_hop,
            own_next_hop: own_next_hop(peer, family, extended_next_hop),
            shared_subnet: (external && peer.shared_link).then_some(peer.local_address),
            min_advertisement_interval: peer.policy.min_advertisement_interval,
            policy: (!chain.is_drop_only()).then(|| chain.clone()),
        }
    }

    /// Whether equal routes with equal next hops look the same: the keys differ in nothing but which routes are sent, how
    /// their next hop is chosen, and when they go.
    pub(crate) fn is_written_like(&self, other: &Self) -> bool {
        let same = Self {
            policy: other.policy.clone(),
            rr_client: other.rr_client,
            paths: other.paths,
            more_specifics: other.more_specifics,
            next_hop: other.next_hop,
            min_advertisement_interval: other.min_advertisement_interval,
            ..self.clone()
        };
        same == *other
    }

    /// How the codec must write for this group.
    pub(crate) fn write_context(&self) -> WriteContext {
        let add_path = if self.add_path {
            FamilySet::EMPTY.with(self.family)
        } else {
            FamilySet::EMPTY
        };
        WriteContext {
            four_octet_asn: self.four_octet_asn,
            max_message: self.max_message,
            add_path,
        }
    }
}

/// RFC 2545 §3: the link-local address is told only to a peer on the same link.
fn own_next_hop(peer: &Peer, family: Family, extended: bool) -> Option<OwnNextHop> {
    let own = &peer.self_addresses;
    let ipv6 = own.ipv6.map(|_| match own.link_local {
        Some(_) if peer.shared_link => OwnNextHop::V6WithLinkLocal,
        _ => OwnNextHop::V6,
    });
    if family.afi == bgp_codec::Afi::IPV4 {
        own.ipv4
            .map(|_| OwnNextHop::V4)
            .or(if extended { ipv6 } else { None })
    } else {
        ipv6
    }
}
