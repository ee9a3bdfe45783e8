//! What a rule looks at.

use std::sync::Arc;

use bgp_codec::{AsPath, Asn, FamilySet, Origin, PeerKind, Role, SegmentKind};
use ipnet::IpNet;
use smallvec::SmallVec;

use super::as_path_pattern::Hop;
use super::{
    AsPathPattern, CommunityPattern, ExtendedCommunityPattern, Filter, LargeCommunityPattern, PrefixSet,
    RouteView, Source, chain,
};
use crate::route::OriginKind;

/// A predicate over routes. Conditions with a list hold when any item does; an empty [`Condition::All`] always holds.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Condition {
    /// The prefix is in the set.
    Prefix(PrefixSet),
    /// The route comes from one of these.
    Source(Vec<SourcePattern>),
    /// The route was learned from one of these peers, by name.
    Peer(Vec<Arc<str>>),
    /// The route was learned from a peer of one of these groups.
    Group(Vec<Arc<str>>),
    /// The route carries one of these communities.
    Community(Vec<CommunityPattern>),
    /// The route carries one of these large communities.
    LargeCommunity(Vec<LargeCommunityPattern>),
    /// The route carries one of these extended communities.
    ExtendedCommunity(Vec<ExtendedCommunityPattern>),
    /// The AS path matches one of these.
    AsPath(Vec<AsPathPattern>),
    /// The AS path begins with one of these: the neighbour's AS, unless a route server stands between.
    FirstAsn(Vec<Asn>),
    /// The kernel's metric of a route read from its table lies in this range, ends included.
    KernelMetric(u32, u32),
    /// The realm of a route read from the kernel's table lies in this range, ends included.
    KernelRealm(u32, u32),
    /// This filter, asked alone, accepts the route.
    Filter(Arc<Filter>),
    /// The next hop, as a host prefix, is in the set; a route of our own has none.
    NextHop(PrefixSet),
    /// The route is of one of these families.
    Family(FamilySet),
    /// ORIGIN is one of these.
    Origin(Vec<Origin>),
    /// MULTI_EXIT_DISC is present and equal.
    Med(u32),
    /// LOCAL_PREF is equal; an absent one counts as 100.
    LocalPref(u32),
    /// The tag is one of these.
    Tag(Vec<u32>),
    /// The route was learned from a peer to which we have one of these roles.
    Role(Vec<Role>),
    /// The condition does not hold.
    Not(Box<Self>),
    /// At least one holds.
    Any(Vec<Self>),
    /// Each holds.
    All(Vec<Self>),
}

/// Where a route comes from, as a filter writes it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum SourcePattern {
    /// Any route of our own.
    Local,
    /// A route of our own of this kind.
    Kind(OriginKind),
    /// Learned from an internal peer.
    Internal,
    /// Learned from an external peer.
    External,
    /// The `name` of an `[[originate]]` or `[[vip]]`.
    Name(Arc<str>),
}

/// LOCAL_PREF of a route that carries none.
const DEFAULT_LOCAL_PREF: u32 = 100;

impl Condition {
    /// Holds for every route.
    #[must_use]
    pub const fn always() -> Self {
        Self::All(Vec::new())
    }

    /// Whether the condition holds for the route.
    #[must_use]
    pub fn matches(&self, route: &RouteView<'_>) -> bool {
        match self {
            Self::Prefix(set) => set.matches(&route.prefix),
            Self::Source(patterns) => patterns.iter().any(|pattern| pattern.matches(&route.source)),
            Self::Peer(names) => match route.source {
                Source::Peer { name, .. } => names.iter().any(|wanted| **wanted == *name),
                Source::Local { .. } => false,
            },
            Self::Group(names) => match route.source {
                Source::Peer {
                    group: Some(group), ..
                } => names.iter().any(|wanted| **wanted == *group),
                Source::Peer { group: None, .. } | Source::Local { .. } => false,
            },
            Self::Community(patterns) => route
                .attributes
                .communities()
                .iter()
                .any(|community| patterns.iter().any(|pattern| pattern.matches(community))),
            Self::LargeCommunity(patterns) => route
                .attributes
                .large_communities()
                .iter()
                .any(|community| patterns.iter().any(|pattern| pattern.matches(community))),
            Self::AsPath(patterns) => {
                let path = hops(route);
                patterns.iter().any(|pattern| pattern.matches(&path))
            }
            Self::ExtendedCommunity(patterns) => route
                .attributes
                .extended_communities()
                .iter()
                .any(|community| patterns.iter().any(|pattern| pattern.matches(community))),
            Self::FirstAsn(asns) => {
                let path = route.attributes.as_path().unwrap_or(AsPath::EMPTY);
                path.first_asn().is_some_and(|first| asns.contains(&first))
            }
            Self::KernelMetric(low, high) => route
                .from_kernel
                .is_some_and(|facts| (*low..=*high).contains(&facts.metric)),
            Self::KernelRealm(low, high) => route
                .from_kernel
                .is_some_and(|facts| (*low..=*high).contains(&facts.realm)),
            Self::Filter(filter) => chain::accepts(filter, route),
            Self::NextHop(set) => route
                .next_hop
                .is_some_and(|next_hop| set.matches(&IpNet::from(next_hop.address()))),
            Self::Family(families) => families.contains(route.family),
            Self::Origin(origins) => route
                .attributes
                .origin()
                .is_some_and(|origin| origins.contains(&origin)),
            Self::Med(value) => route.attributes.med() == Some(*value),
            Self::LocalPref(value) => route.attributes.local_pref().unwrap_or(DEFAULT_LOCAL_PREF) == *value,
            Self::Tag(tags) => tags.contains(&route.marks.tag),
            Self::Role(roles) => match route.source {
                Source::Peer { role: Some(role), .. } => roles.contains(&role),
                Source::Peer { role: None, .. } | Source::Local { .. } => false,
            },
            Self::Not(condition) => !condition.matches(route),
            Self::Any(conditions) => conditions.iter().any(|condition| condition.matches(route)),
            Self::All(conditions) => conditions.iter().all(|condition| condition.matches(route)),
        }
    }
}

impl Condition {
    /// Whether it looks at something that an edit can change.
    #[must_use]
    pub fn reads_attributes(&self) -> bool {
        match self {
            Self::Prefix(_)
            | Self::Source(_)
            | Self::Peer(_)
            | Self::Group(_)
            | Self::Role(_)
            | Self::Family(_)
            | Self::KernelMetric(..)
            | Self::KernelRealm(..) => false,
            Self::Community(_)
            | Self::LargeCommunity(_)
            | Self::ExtendedCommunity(_)
            | Self::AsPath(_)
            | Self::FirstAsn(_)
            | Self::NextHop(_)
            | Self::Origin(_)
            | Self::Med(_)
            | Self::LocalPref(_)
            | Self::Tag(_)
            | Self::Filter(_) => true,
            Self::Not(condition) => condition.reads_attributes(),
            Self::Any(conditions) | Self::All(conditions) => conditions.iter().any(Self::reads_attributes),
        }
    }
}

impl Condition {
    /// Whether it looks at what may change while the route itself stays as it is: where its source belongs, and what the kernel
    /// says of a route of our own.
    #[must_use]
    pub fn reads_surroundings(&self) -> bool {
        match self {
            Self::Group(_) | Self::KernelMetric(..) | Self::KernelRealm(..) => true,
            Self::Filter(filter) => filter.reads_surroundings(),
            Self::Not(condition) => condition.reads_surroundings(),
            Self::Any(conditions) | Self::All(conditions) => conditions.iter().any(Self::reads_surroundings),
            _ => false,
        }
    }
}

impl SourcePattern {
    fn matches(&self, source: &Source<'_>) -> bool {
        match (self, source) {
            (Self::Local, Source::Local { .. }) => true,
            (Self::Kind(wanted), Source::Local { kind, .. }) => wanted == kind,
            (Self::Name(wanted), Source::Local { name, .. }) => **wanted == **name,
            (Self::Internal, Source::Peer { kind, .. }) => *kind == PeerKind::Internal,
            (Self::External, Source::Peer { kind, .. }) => *kind != PeerKind::Internal,
            _ => false,
        }
    }
}

/// The AS path as patterns see it: an AS_SET is one place.
fn hops(route: &RouteView<'_>) -> SmallVec<[Hop; 8]> {
    let mut hops = SmallVec::new();
    let path = route.attributes.as_path().unwrap_or(AsPath::EMPTY);
    for segment in path.segments() {
        match segment.kind {
            SegmentKind::Sequence | SegmentKind::ConfedSequence => hops.extend(segment.asns().map(Hop::One)),
            SegmentKind::Set | SegmentKind::ConfedSet => {
                hops.push(Hop::Set(segment.asns().collect::<SmallVec<[Asn; 4]>>()));
            }
        }
    }
    hops
}
