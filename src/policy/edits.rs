//! What rules change in a route.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use bgp_codec::{Asn, Community, ExtendedCommunity, LargeCommunity, Origin, PathAttributes};

use super::{CommunityPattern, ExtendedCommunityPattern, LargeCommunityPattern, Marks, RouteView};
use crate::route::TableId;

/// Changes to a route's attributes, in order. Cheap to clone; equal when the changes are.
///
/// A next hop is not an attribute that this can set: what "self" means differs per session, so it is told apart by
/// [`Edits::next_hop`]. Nor are [`Marks`], which nobody is sent: see [`Edits::marks`].
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Edits(Option<Arc<[Edit]>>);

/// One change.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Edit {
    /// Sets LOCAL_PREF.
    LocalPref(u32),
    /// Sets MULTI_EXIT_DISC.
    Med(u32),
    /// Adds to MULTI_EXIT_DISC, an absent one counting as 0 (RFC 4271 §9.1.2.2(c)); it ends at its largest value.
    AddMed(u32),
    /// Sets MULTI_EXIT_DISC to the interior cost: the kernel's metric of a route from its table, and of a learned route that of
    /// its next hop. A route for which neither is known keeps what it has.
    MedFromIgp,
    /// Removes MULTI_EXIT_DISC.
    RemoveMed,
    /// Sets ORIGIN.
    Origin(Origin),
    /// Prepends to AS_PATH.
    Prepend {
        /// Which AS; ours when absent.
        asn: Option<Asn>,
        /// How often.
        count: u8,
    },
    /// Removes the communities that match.
    RemoveCommunities(Vec<CommunityPattern>),
    /// Adds those that are not there yet.
    AddCommunities(Vec<Community>),
    /// Replaces all.
    SetCommunities(Vec<Community>),
    /// Removes the large communities that match.
    RemoveLargeCommunities(Vec<LargeCommunityPattern>),
    /// Adds those that are not there yet.
    AddLargeCommunities(Vec<LargeCommunity>),
    /// Replaces all.
    SetLargeCommunities(Vec<LargeCommunity>),
    /// Removes the extended communities that match.
    RemoveExtendedCommunities(Vec<ExtendedCommunityPattern>),
    /// Adds those that are not there yet.
    AddExtendedCommunities(Vec<ExtendedCommunity>),
    /// Replaces all.
    SetExtendedCommunities(Vec<ExtendedCommunity>),
    /// Chooses the next hop.
    NextHop(NextHopEdit),
    /// Sets [`Marks::weight`].
    Weight(u32),
    /// Sets [`Marks::tag`].
    Tag(u32),
    /// Sets [`Marks::table`].
    Table(TableId),
    /// Adds ONLY_TO_CUSTOMER where there is none (RFC 9234 §5); no rule says so, a session's role does.
    OnlyToCustomer(Asn),
}

/// How a rule chooses the next hop.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum NextHopEdit {
    /// This speaker's address on the session.
    Own,
    /// This address, for routes of its family.
    Address(IpAddr),
    /// As received.
    Unchanged,
}

impl Edits {
    /// No change.
    pub const NONE: Self = Self(None);

    /// These changes, in this order.
    #[must_use]
    pub fn new(edits: Vec<Edit>) -> Self {
        Self((!edits.is_empty()).then(|| edits.into()))
    }

    /// Makes a route the last choice of whoever honours the community, and of those who only compare: GRACEFUL_SHUTDOWN
    /// and the lowest LOCAL_PREF (RFC 8326 §4.2), and the highest MED for neighbours that do not know the community.
    #[must_use]
    pub fn last_resort() -> &'static Self {
        static LAST_RESORT: LazyLock<Edits> = LazyLock::new(|| {
            Edits::new(vec![
                Edit::AddCommunities(vec![Community::GRACEFUL_SHUTDOWN]),
                Edit::LocalPref(0),
                Edit::Med(u32::MAX),
            ])
        });
        &LAST_RESORT
    }

    /// The lowest LOCAL_PREF, for what comes from where one is about to leave, RFC 8326 §4.2.
    #[must_use]
    pub fn lowest_preference() -> &'static Self {
        static LOWEST: LazyLock<Edits> = LazyLock::new(|| Edits::new(vec![Edit::LocalPref(0)]));
        &LOWEST
    }

    /// Whether nothing changes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The changes, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Edit] {
        self.0.as_deref().unwrap_or_default()
    }

    /// These changes, then those.
    #[must_use]
    pub fn then(&self, later: &Self) -> Self {
        match (&self.0, &later.0) {
            (None, _) => later.clone(),
            (_, None) => self.clone(),
            (Some(first), Some(second)) => Self(Some(first.iter().chain(second.iter()).cloned().collect())),
        }
    }

    /// The same changes, with what depends on more of a route than its attributes worked out for this one.
    pub(super) fn for_route(&self, route: &RouteView<'_>) -> Self {
        if !self.as_slice().contains(&Edit::MedFromIgp) {
            return self.clone();
        }
        let worked_out = |edit: &Edit| match edit {
            Edit::MedFromIgp => route
                .from_kernel
                .map(|facts| facts.metric)
                .or(route.next_hop_metric)
                .map(Edit::Med),
            other => Some(other.clone()),
        };
        Self::new(self.as_slice().iter().filter_map(worked_out).collect())
    }

    /// What the last next-hop change says, if there is one.
    #[must_use]
    pub fn next_hop(&self) -> Option<NextHopEdit> {
        self.as_slice().iter().rev().find_map(|edit| match edit {
            Edit::NextHop(next_hop) => Some(*next_hop),
            _ => None,
        })
    }

    /// What is noted of a route after these changes, given what was before.
    #[must_use]
    pub fn marks(&self, before: Marks) -> Marks {
        self.as_slice().iter().fold(before, |marks, edit| match edit {
            Edit::Weight(weight) => Marks {
                weight: *weight,
                ..marks
            },
            Edit::Tag(tag) => Marks { tag: *tag, ..marks },
            Edit::Table(table) => Marks {
                table: Some(*table),
                ..marks
            },
            _ => marks,
        })
    }

    /// Whether a route carries the community after these changes, given whether it did before.
    #[must_use]
    pub fn carries(&self, community: Community, before: bool) -> bool {
        self.as_slice().iter().fold(before, |carried, edit| match edit {
            Edit::RemoveCommunities(patterns) => {
                carried && !patterns.iter().any(|pattern| pattern.matches(community))
            }
            Edit::AddCommunities(added) => carried || added.contains(&community),
            Edit::SetCommunities(all) => all.contains(&community),
            _ => carried,
        })
    }

    /// Carries the changes out, except those of the next hop. `local_asn` is what a prepend without AS prepends.
    pub fn apply(&self, attributes: &mut PathAttributes, local_asn: Asn) {
        for edit in self.as_slice() {
            edit.apply(attributes, local_asn);
        }
    }
}

impl Edit {
    fn apply(&self, attributes: &mut PathAttributes, local_asn: Asn) {
        match self {
            Self::LocalPref(value) => attributes.local_pref = Some(*value),
            Self::Med(value) => attributes.med = Some(*value),
            Self::AddMed(more) => attributes.med = Some(attributes.med.unwrap_or(0).saturating_add(*more)),
            // `Edits::for_route` has put the metric in its place, or there is none.
            Self::MedFromIgp => {}
            Self::RemoveMed => attributes.med = None,
            Self::Origin(origin) => attributes.origin = *origin,
            Self::Prepend { asn, count } => attributes
                .as_path
                .prepend(asn.unwrap_or(local_asn), usize::from(*count)),
            Self::RemoveCommunities(patterns) => {
                attributes
                    .communities
                    .retain(|at| !patterns.iter().any(|pattern| pattern.matches(*at)));
            }
            Self::AddCommunities(added) => add_missing(&mut attributes.communities, added),
            Self::SetCommunities(all) => attributes.communities.clone_from(all),
            Self::RemoveLargeCommunities(patterns) => {
                attributes
                    .large_communities
                    .retain(|at| !patterns.iter().any(|pattern| pattern.matches(*at)));
            }
            Self::AddLargeCommunities(added) => add_missing(&mut attributes.large_communities, added),
            Self::SetLargeCommunities(all) => attributes.large_communities.clone_from(all),
            Self::RemoveExtendedCommunities(patterns) => {
                attributes
                    .extended_communities
                    .retain(|at| !patterns.iter().any(|pattern| pattern.matches(*at)));
            }
            Self::AddExtendedCommunities(added) => add_missing(&mut attributes.extended_communities, added),
            Self::SetExtendedCommunities(all) => attributes.extended_communities.clone_from(all),
            Self::NextHop(_) | Self::Weight(_) | Self::Tag(_) | Self::Table(_) => {}
            Self::OnlyToCustomer(asn) => {
                attributes.only_to_customer.get_or_insert(*asn);
            }
        }
    }
}

fn add_missing<T: Copy + PartialEq>(list: &mut Vec<T>, added: &[T]) {
    for item in added {
        if !list.contains(item) {
            list.push(*item);
        }
    }
}
