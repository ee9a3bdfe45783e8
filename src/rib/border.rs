//! What happens to AS_PATH and ONLY_TO_CUSTOMER at the border to an external peer: the other AS number that we go by
//! there (RFC 7705), private numbers (RFC 6996), our own sites behind one AS, and roles (RFC 9234 §5).
//!
//! Everything here is a function of the route and of what is configured for the session.

use bgp_codec::{AsPathBuf, Asn, Family, PeerKind, Role, Safi};

use super::attributes::AttributeSet;
use super::interface::{Peer, RemovePrivate, Settings};
use crate::policy::{Edit, Edits};

/// What a group does to AS_PATH; part of its key.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct PathRules {
    /// The speaker's own AS, shown behind the one that the members know us by.
    behind: Option<Asn>,
    /// The members' AS, which ours takes the place of.
    overridden: Option<Asn>,
    remove_private: RemovePrivate,
    /// The members' AS, which is never removed as a private one: their own loop check needs it.
    kept: Option<Asn>,
}

impl PathRules {
    pub(crate) fn new(settings: &Settings, peer: &Peer) -> Self {
        if peer.kind == PeerKind::Internal {
            return Self::default();
        }
        let rules = peer.policy.as_path;
        let other = peer.local_asn != settings.asn;
        Self {
            behind: (other && !rules.replace_as).then_some(settings.asn),
            overridden: rules.as_override.then_some(peer.asn),
            remove_private: rules.remove_private,
            kept: (rules.remove_private != RemovePrivate::No).then_some(peer.asn),
        }
    }

    /// Rewrites the path of a learned route as it came, before anything of ours is put in front.
    pub(crate) fn rewrite(&self, path: &mut AsPathBuf, local_asn: Asn) {
        let removable = |asn: &Asn| is_private(*asn) && Some(*asn) != self.kept;
        match self.remove_private {
            RemovePrivate::No => {}
            RemovePrivate::Remove => {
                for segment in &mut path.segments {
                    segment.asns.retain(|asn| !removable(asn));
                }
                path.segments.retain(|segment| !segment.asns.is_empty());
            }
            RemovePrivate::Replace => replace(path, removable, local_asn),
        }
        if let Some(overridden) = self.overridden {
            replace(path, |asn| *asn == overridden, local_asn);
        }
    }

    /// Puts the speaker's own AS in front, behind which `local_asn` and what policy prepends come to stand.
    pub(crate) fn show_speaker(&self, path: &mut AsPathBuf) {
        if let Some(speaker) = self.behind {
            path.prepend(speaker, 1);
        }
    }
}

fn replace(path: &mut AsPathBuf, which: impl Fn(&Asn) -> bool, by: Asn) {
    let asns = path.segments.iter_mut().flat_map(|segment| &mut segment.asns);
    for asn in asns.filter(|asn| which(asn)) {
        *asn = by;
    }
}

/// RFC 6996 §5.
const fn is_private(asn: Asn) -> bool {
    matches!(asn.0, 64_512..=65_534 | 4_200_000_000..=4_294_967_294)
}

/// What every route from a peer gets, whatever policy says.
pub(crate) fn import_edits(settings: &Settings, peer: &Peer, family: Family, set: &AttributeSet) -> Edits {
    let mut edits = Vec::new();
    if peer.kind == PeerKind::Internal {
        return Edits::NONE;
    }
    // RFC 7705 §3.1: the rest of our AS sees the number that the neighbour knows us by.
    if peer.local_asn != settings.asn && !peer.policy.as_path.no_prepend {
        edits.push(Edit::Prepend {
            asn: Some(peer.local_asn),
            count: 1,
        });
    }
    // RFC 9234 §5: what comes from a provider, a lateral peer or a route server goes to customers only from here on.
    let from_above = matches!(
        role(peer, family),
        Some(Role::Customer | Role::Peer | Role::RouteServerClient)
    );
    if from_above && set.attributes().only_to_customer().is_none() {
        edits.push(Edit::OnlyToCustomer(peer.asn));
    }
    Edits::new(edits)
}

/// Whether routes from a peer may be refused or changed here.
pub(crate) fn concerns(settings: &Settings, peer: &Peer) -> bool {
    peer.kind == PeerKind::External && (peer.negotiated.role.is_some() || peer.local_asn != settings.asn)
}

/// The AS in ONLY_TO_CUSTOMER of a route that has leaked to us, RFC 9234 §5.
pub(crate) fn leaked_by(peer: &Peer, family: Family, set: &AttributeSet) -> Option<Asn> {
    let role = role(peer, family)?;
    let marked = set.attributes().only_to_customer()?;
    match role {
        Role::Provider | Role::RouteServer => Some(marked),
        Role::Peer => (marked != peer.asn).then_some(marked),
        Role::Customer | Role::RouteServerClient | Role::Unassigned(_) => None,
    }
}

/// Whether a route must not go to members to whom we are this, RFC 9234 §5.
pub(crate) fn would_leak(role: Option<Role>, set: &AttributeSet) -> bool {
    let upwards = matches!(role, Some(Role::Customer | Role::Peer | Role::RouteServerClient));
    upwards && set.attributes().only_to_customer().is_some()
}

/// Whether what we send to members to whom we are this is marked, RFC 9234 §5.
pub(crate) const fn marks(role: Option<Role>) -> bool {
    matches!(role, Some(Role::Provider | Role::Peer | Role::RouteServer))
}

/// RFC 9234 §5: roles are about unicast routes alone.
pub(crate) fn role(peer: &Peer, family: Family) -> Option<Role> {
    peer.negotiated
        .role
        .filter(|_| peer.kind == PeerKind::External && family.safi == Safi::UNICAST)
}
