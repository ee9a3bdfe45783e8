//! Whether and how a route goes to an update group: reflection, well-known communities, policy, next hop.
//!
//! Everything here is a function of the group's key and of the route. What depends on a single member (the route's own
//! source, its own address as next hop, a filter that only drops) is decided member by member
//! in `update_group.rs`, with [`filter`] from here.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bgp_codec::{Afi, AsPathBuf, Asn, Family, NextHop, PathAttributes, PeerKind, Role};

use super::attributes::{AttributeSet, DEFAULT_LOCAL_PREF};
use super::border;
use super::group::{GroupKey, OwnNextHop};
use super::interface::{NextHopPolicy, SentPaths};
use crate::policy::{CanonicalBlock, Chain, Edit, Edits, NextHopEdit, Reason, RouteView, Source};
use crate::route::{FromKernel, Prefix};

/// Where a route comes from, as far as export rules look.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin {
    /// Originated here.
    Local,
    /// Learned from an internal peer.
    Internal {
        /// The peer is a client of ours.
        rr_client: bool,
        bgp_identifier: Ipv4Addr,
    },
    /// Learned from an external peer.
    External,
}

/// A route that may be exported.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExportRoute<'a> {
    pub(crate) prefix: Prefix,
    pub(crate) family: Family,
    pub(crate) set: &'a AttributeSet,
    pub(crate) origin: Origin,
    /// The address that the source has on a subnet that it shares with us, and ours on it.
    pub(crate) on_subnet: Option<(IpAddr, IpAddr)>,
    pub(crate) source: Source<'a>,
    pub(crate) from_kernel: Option<FromKernel>,
    /// Interior cost to the next hop of a learned route.
    pub(crate) next_hop_metric: Option<u32>,
}

/// What export decided for a group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// It goes out with these changes; the reason is missing where members decide by filters of their own.
    Advertise {
        edits: Edits,
        reason: Option<Reason>,
    },
    Withhold(Withheld),
}

/// Why a route is not advertised.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Withheld {
    /// There is no usable route.
    NoRoute,
    /// It contributes to this aggregate, which is sent in its place.
    Summarised(Arc<str>),
    /// Others of the prefix are sent.
    NotChosen(SentPaths),
    /// RFC 4456 §6: between two non-clients.
    NotReflected,
    /// RFC 1997.
    NoAdvertise,
    /// RFC 1997.
    NoExport,
    /// RFC 1997.
    NoExportSubconfed,
    /// RFC 9494 §4.5: the peer does not know what LLGR_STALE means.
    LongStale,
    /// RFC 9234 §5: it came from a provider, a lateral peer or a route server.
    OnlyToCustomers,
    /// RFC 3765: not between two networks that peer with each other.
    NoPeer,
    /// RFC 7999 §3.2: whoever was asked to drop the traffic is not to pass the wish on.
    Blackhole,
    /// A filter, or none where one is needed (RFC 8212).
    Policy(Reason),
    /// "Self" has no address of the family on this session.
    NoOwnAddress,
    /// An IPv6 next hop for IPv4 without RFC 8950.
    NextHopFamily,
    /// The peer sent it.
    SplitHorizon,
    /// RFC 4271 §5.1.3: its own address.
    PeersOwnNextHop,
    /// The attributes exceed the largest message that the peer takes.
    TooLong,
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRoute => "no usable route",
            Self::Summarised(name) => {
                return write!(
                    f,
                    "part of aggregate {name}, which is sent in its place (summary_only)"
                );
            }
            Self::NotChosen(SentPaths::Best(count)) => {
                return write!(f, "not among the best paths: add_path_send = {count}");
            }
            Self::NotChosen(SentPaths::Equal) => {
                "not equal to the best path up to the interior cost: add_path_send = \"ecmp\""
            }
            Self::NotChosen(SentPaths::All) => "not chosen",
            Self::NotReflected => "not reflected: learned from an internal peer, and neither is a client",
            Self::NoAdvertise => "community NO_ADVERTISE",
            Self::NoExport => "community NO_EXPORT",
            Self::NoExportSubconfed => "community NO_EXPORT_SUBCONFED",
            Self::LongStale => "stale for long, and the peer has no long-lived graceful restart (RFC 9494)",
            Self::NoPeer => "community NOPEER, and the peer's role is that of a lateral peer",
            Self::Blackhole => "community BLACKHOLE on a learned route: it stays in this AS (RFC 7999)",
            Self::OnlyToCustomers => "ONLY_TO_CUSTOMER: it goes to customers alone (RFC 9234)",
            Self::Policy(reason) => return write!(f, "rejected by {reason}"),
            Self::NoOwnAddress => "this session has no address of the family to use as next hop",
            Self::NextHopFamily => "IPv6 next hop for IPv4, and RFC 8950 is not negotiated",
            Self::SplitHorizon => "split horizon: learned from this peer",
            Self::PeersOwnNextHop => "its next hop is the peer itself",
            Self::TooLong => "attributes exceed the largest message that the peer takes",
        })
    }
}

/// Decides for a group.
pub(crate) fn export(key: &GroupKey, route: &ExportRoute<'_>) -> Verdict {
    if let Some(withheld) = withheld_by_rules(key, route) {
        return Verdict::Withhold(withheld);
    }
    let (edits, reason) = match &key.policy {
        None => (Edits::NONE, None),
        Some(chain) => {
            let verdict = evaluate(chain, route, key.local_asn);
            if !verdict.accept {
                return Verdict::Withhold(Withheld::Policy(verdict.reason));
            }
            (verdict.edits, Some(verdict.reason))
        }
    };
    match next_hop(key, route, &edits) {
        Ok(_) => Verdict::Advertise { edits, reason },
        Err(withheld) => Verdict::Withhold(withheld),
    }
}

/// What no policy can override.
fn withheld_by_rules(key: &GroupKey, route: &ExportRoute<'_>) -> Option<Withheld> {
    let communities = route.set.key();
    let external = key.kind == PeerKind::External;
    if communities.no_advertise {
        return Some(Withheld::NoAdvertise);
    }
    if external && communities.no_export {
        return Some(Withheld::NoExport);
    }
    if external && communities.no_export_subconfed {
        return Some(Withheld::NoExportSubconfed);
    }
    if communities.llgr_stale && !key.long_lived {
        return Some(Withheld::LongStale);
    }
    if external && communities.no_peer && key.role == Some(Role::Peer) {
        return Some(Withheld::NoPeer);
    }
    if external && communities.blackhole && !matches!(route.origin, Origin::Local) {
        return Some(Withheld::Blackhole);
    }
    if border::would_leak(key.role, route.set) {
        return Some(Withheld::OnlyToCustomers);
    }
    match route.origin {
        Origin::Internal { rr_client, .. } if !external && !rr_client && !key.rr_client => {
            Some(Withheld::NotReflected)
        }
        _ => None,
    }
}

fn evaluate(chain: &Chain, route: &ExportRoute<'_>, local_asn: Asn) -> crate::policy::Verdict {
    let attributes = CanonicalBlock::new(route.set.canonical());
    chain.evaluate(&view(route, &attributes, local_asn))
}

/// A route as filters see it.
fn view<'a>(route: &ExportRoute<'a>, attributes: &'a CanonicalBlock<'a>, local_asn: Asn) -> RouteView<'a> {
    RouteView {
        prefix: route.prefix,
        family: route.family,
        source: route.source,
        attributes,
        next_hop: route.set.next_hop(),
        from_kernel: route.from_kernel,
        next_hop_metric: route.next_hop_metric,
        marks: route.set.marks(),
        local_asn,
    }
}

/// [`filter`] without the rule that decided.
pub(crate) fn passes(chain: &Chain, route: &ExportRoute<'_>, local_asn: Asn) -> bool {
    viewed(route, local_asn, |view| chain.passes(view))
}

/// Looks at a route as filters do; several of them look at the same.
pub(crate) fn viewed<T>(
    route: &ExportRoute<'_>,
    local_asn: Asn,
    look: impl FnOnce(&RouteView<'_>) -> T,
) -> T {
    let attributes = CanonicalBlock::new(route.set.canonical());
    look(&view(route, &attributes, local_asn))
}

/// Whether a member's own filter, one that only drops, lets the route pass.
///
/// # Errors
///
/// The rule that dropped it.
pub(crate) fn filter(chain: &Chain, route: &ExportRoute<'_>, local_asn: Asn) -> Result<Reason, Withheld> {
    let verdict = evaluate(chain, route, local_asn);
    if verdict.accept {
        Ok(verdict.reason)
    } else {
        Err(Withheld::Policy(verdict.reason))
    }
}

/// The next hop on the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OutNextHop {
    /// Ours, in this form; each session writes its own address.
    Own(OwnNextHop),
    /// This one.
    Address(NextHop),
}

impl OutNextHop {
    /// The address that a member may find to be its own.
    pub(crate) const fn address(self) -> Option<IpAddr> {
        match self {
            Self::Own(_) => None,
            Self::Address(next_hop) => Some(next_hop.address()),
        }
    }

    /// What the writer puts down; zeros where sessions fill in their own.
    pub(crate) const fn placeholder(self) -> NextHop {
        use std::net::Ipv6Addr;
        match self {
            Self::Address(next_hop) => next_hop,
            Self::Own(OwnNextHop::V4) => NextHop::V4(Ipv4Addr::UNSPECIFIED),
            Self::Own(OwnNextHop::V6) => NextHop::V6(Ipv6Addr::UNSPECIFIED),
            Self::Own(OwnNextHop::V6WithLinkLocal) => NextHop::V6WithLinkLocal {
                global: Ipv6Addr::UNSPECIFIED,
                link_local: Ipv6Addr::UNSPECIFIED,
            },
        }
    }
}

/// Chooses the next hop, RFC 4271 §5.1.3, RFC 4456 §10, RFC 7947 §2.2.1.
///
/// # Errors
///
/// Why there is none to be had.
pub(crate) fn next_hop(
    key: &GroupKey,
    route: &ExportRoute<'_>,
    edits: &Edits,
) -> Result<OutNextHop, Withheld> {
    let own = || {
        key.own_next_hop
            .map(OutNextHop::Own)
            .ok_or(Withheld::NoOwnAddress)
    };
    let received = match route.set.next_hop() {
        // Of a link-local address only the link knows where it is, and that link need not be the member's.
        Some(NextHop::V6WithLinkLocal { global, .. }) => Some(NextHop::V6(global)),
        Some(next_hop) if next_hop.link_local().is_some() => None,
        other => other,
    };
    let reflected = matches!(route.origin, Origin::Internal { .. }) && key.kind == PeerKind::Internal;
    let keep = match (edits.next_hop(), key.next_hop) {
        (Some(NextHopEdit::Own), _) => false,
        (Some(NextHopEdit::Address(address)), _) if fits(key, address.into()) => {
            return Ok(OutNextHop::Address(address.into()));
        }
        (Some(NextHopEdit::Unchanged), _) | (_, NextHopPolicy::Unchanged) => true,
        (_, NextHopPolicy::OwnForced) => false,
        (_, NextHopPolicy::Own) => reflected,
        (_, NextHopPolicy::Standard) => {
            key.kind == PeerKind::Internal || key.route_server_client || is_on_shared_subnet(key, route)
        }
    };
    match received.filter(|_| keep) {
        None => own(),
        Some(next_hop) if fits(key, next_hop) => Ok(OutNextHop::Address(next_hop)),
        Some(_) => Err(Withheld::NextHopFamily),
    }
}

/// RFC 4271 §5.1.3(3): the source itself, when it sits on the subnet that the member shares with us.
fn is_on_shared_subnet(key: &GroupKey, route: &ExportRoute<'_>) -> bool {
    let (Some(ours), Some((source, ours_to_source))) = (key.shared_subnet, route.on_subnet) else {
        return false;
    };
    ours == ours_to_source
        && route
            .set
            .next_hop()
            .is_some_and(|next_hop| next_hop.address() == source)
}

/// Whether the group can be sent such a next hop.
fn fits(key: &GroupKey, next_hop: NextHop) -> bool {
    match next_hop {
        NextHop::V4(_) => key.family.afi == Afi::IPV4,
        NextHop::V6(_) | NextHop::V6WithLinkLocal { .. } => {
            key.family.afi == Afi::IPV6 || key.extended_next_hop
        }
    }
}

/// The attributes on the wire, next hop apart.
pub(crate) fn outgoing(key: &GroupKey, set: &AttributeSet, origin: Origin, edits: &Edits) -> PathAttributes {
    let mut attributes = PathAttributes::from(&set.attributes());
    let from_outside = !attributes.as_path.is_empty();
    if matches!(origin, Origin::Local) && key.kind == PeerKind::Internal {
        // What our own routes are prepended with is for other ASes; within ours it would be a loop (RFC 4271 §9.1.2).
        attributes.as_path = AsPathBuf::default();
    }
    let learned = !matches!(origin, Origin::Local);
    if key.kind == PeerKind::External {
        // What came in is made fit for the border first: what our policy adds behind that is meant for the peer.
        clean(key, &mut attributes, learned);
    }
    edits.apply(&mut attributes, key.local_asn);
    match key.kind {
        PeerKind::Internal => to_internal(key, &mut attributes, origin),
        PeerKind::External => {
            let sets_med = edits
                .as_slice()
                .iter()
                .any(|edit| matches!(edit, Edit::Med(_) | Edit::AddMed(_)));
            // RFC 4271 §5.1.4: a neighbour's MULTI_EXIT_DISC is not for other neighbours. RFC 7947 §2.2.3: a route server
            // passes it on.
            if learned && from_outside && !sets_med && !key.route_server_client {
                attributes.med = None;
            }
            to_external(key, &mut attributes);
        }
    }
    attributes
}

fn to_internal(key: &GroupKey, attributes: &mut PathAttributes, origin: Origin) {
    attributes.local_pref.get_or_insert(DEFAULT_LOCAL_PREF);
    // RFC 4456 §8: a reflected route says who brought it into the AS, once, and through which clusters it came.
    if let Origin::Internal { bgp_identifier, .. } = origin {
        attributes.originator_id.get_or_insert(bgp_identifier);
        attributes.cluster_list.insert(0, key.cluster_id);
    }
}

/// Takes away what others meant for this AS alone, and rewrites the path that they made.
fn clean(key: &GroupKey, attributes: &mut PathAttributes, learned: bool) {
    attributes.as_path.strip_confederation();
    if learned {
        // RFC 4360 §6: what others made non-transitive stops at the border.
        attributes
            .extended_communities
            .retain(|community| community.is_transitive());
        attributes
            .ipv6_extended_communities
            .retain(|community| community.is_transitive());
        key.as_path.rewrite(&mut attributes.as_path, key.local_asn);
    }
    key.as_path.show_speaker(&mut attributes.as_path);
}

fn to_external(key: &GroupKey, attributes: &mut PathAttributes) {
    attributes.local_pref = None;
    attributes.originator_id = None;
    attributes.cluster_list.clear();
    // RFC 7311 §3.4: not beyond the sessions that are configured for it, which none is.
    attributes.aigp = None;
    if border::marks(key.role) {
        attributes.only_to_customer.get_or_insert(key.local_asn);
    }
    // RFC 7947 §2.2.2: a route server is not on the path.
    if !key.route_server_client {
        attributes.as_path.prepend(key.local_asn, 1);
    }
}
