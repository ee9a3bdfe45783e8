//! Whether a received route may take part in the decision, and with what attributes.

use std::fmt;

use bgp_codec::{Asn, Community, Family, PathAttributes, PeerKind};

use super::attributes::AttributeSet;
use super::border;
use super::core::Core;
use super::ids::{AttributesId, PeerIndex};
use super::interface::Peer;
use crate::policy::{CanonicalBlock, Edit, Edits, Marks, NextHopEdit, Reason, RouteView};
use crate::route::Prefix;

/// Why a received route is kept but not used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Rejected {
    /// RFC 4271 §9.1.2: our own AS in AS_PATH, sets included, more often than allowed.
    OwnAs(u8),
    /// RFC 4456 §8: we brought it into the AS.
    OwnOriginator,
    /// RFC 4456 §8: it has been through our cluster.
    OwnCluster,
    /// RFC 4271 §6.3: the first AS of an external peer's route is not the peer's.
    FirstAs,
    /// RFC 9234 §5: a customer or lateral peer passed on what another AS had marked for customers alone.
    Leaked(Asn),
    /// A filter, or none where one is needed (RFC 8212).
    Policy(Reason),
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnAs(count) => write!(f, "loop: our own AS is {count} times in AS_PATH"),
            Self::OwnOriginator => f.write_str("loop: ORIGINATOR_ID is our own"),
            Self::OwnCluster => f.write_str("loop: our own cluster is in CLUSTER_LIST"),
            Self::FirstAs => f.write_str("the first AS is not the peer's"),
            Self::Leaked(by) => write!(f, "route leak: AS {by} marked it for customers alone (RFC 9234)"),
            Self::Policy(reason) => write!(f, "rejected by {reason}"),
        }
    }
}

/// Decides on one route of a peer.
///
/// # Errors
///
/// Why it is not used.
pub(crate) fn import(
    core: &Core,
    peer: PeerIndex,
    (family, prefix): (Family, Prefix),
    set: &AttributeSet,
) -> Result<(Edits, Reason), Rejected> {
    // Our own routes have passed no filter: what makes them is the configuration itself.
    let Some(settings) = core.peers.settings(peer) else {
        return Ok((Edits::NONE, Reason::NoFilterNeeded));
    };
    check_loops(core, settings, set)?;
    if let Some(asn) = border::leaked_by(settings, family, set) {
        return Err(Rejected::Leaked(asn));
    }
    let verdict = settings.policy.import.evaluate(&RouteView {
        prefix,
        family,
        source: core.source(peer),
        attributes: &CanonicalBlock::new(set.canonical()),
        next_hop: set.next_hop(),
        from_kernel: None,
        // It may not be known yet, and changes without anything new from the peer.
        next_hop_metric: None,
        marks: Marks::default(),
        local_asn: settings.local_asn,
    });
    if !verdict.accept {
        return Err(Rejected::Policy(verdict.reason));
    }
    let border = border::import_edits(&core.settings, settings, family, set);
    // RFC 8326 §4.1: the neighbour is about to take the path away; a filter that removes the community says otherwise.
    let leaving = verdict
        .edits
        .carries(Community::GRACEFUL_SHUTDOWN, set.key().graceful_shutdown);
    if leaving && settings.kind == PeerKind::External {
        return Ok((
            verdict.edits.then(Edits::lowest_preference()).then(&border),
            verdict.reason,
        ));
    }
    Ok((verdict.edits.then(&border), verdict.reason))
}

fn check_loops(core: &Core, peer: &Peer, set: &AttributeSet) -> Result<(), Rejected> {
    let own_as = if peer.local_asn == core.settings.asn {
        set.key().own_as
    } else {
        let count = set
            .attributes()
            .as_path()
            .map_or(0, |path| path.count(peer.local_asn));
        set.key().own_as.max(u8::try_from(count).unwrap_or(u8::MAX))
    };
    if own_as > peer.policy.allow_own_as {
        return Err(Rejected::OwnAs(own_as));
    }
    if set.key().originator_id == Some(core.settings.bgp_identifier) {
        return Err(Rejected::OwnOriginator);
    }
    if set.key().own_cluster {
        return Err(Rejected::OwnCluster);
    }
    let external = peer.kind == PeerKind::External;
    if external && peer.policy.enforce_first_as && set.key().first_as != Some(peer.asn) {
        return Err(Rejected::FirstAs);
    }
    Ok(())
}

/// What becomes of all routes of a peer with the same attributes, as far as that does not depend on the prefix.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Passage {
    /// They are used as they are.
    Open,
    /// Those whose prefix is none that nobody may send are used as they are.
    Guarded,
    /// None is used.
    Closed,
    /// The peer's filters have to be asked about each.
    Policy,
}

impl Passage {
    pub(crate) fn of(core: &Core, peer: PeerIndex, received: AttributesId) -> Self {
        let Some(settings) = core.peers.settings(peer) else {
            return Self::Open;
        };
        let set = core.attributes.set(received);
        let leaving = settings.kind == PeerKind::External && set.key().graceful_shutdown;
        let import = &settings.policy.import;
        if check_loops(core, settings, set).is_err() {
            Self::Closed
        } else if !import.is_open() || leaving || border::concerns(&core.settings, settings) {
            Self::Policy
        } else if import.accepts_all() {
            Self::Open
        } else {
            Self::Guarded
        }
    }
}

/// Carries out import edits one route after another; equal ones of a message are worked out once.
#[derive(Debug, Default)]
pub(crate) struct Importer {
    last: Option<(AttributesId, Edits, AttributesId)>,
    /// What comes is stale for long (RFC 9494).
    pub(crate) long_stale: bool,
}

impl Importer {
    /// What the decision is to see of a received route, with one more reference; [`AttributesId::NONE`] if it is rejected.
    pub(crate) fn accepted(
        &mut self,
        core: &mut Core,
        peer: PeerIndex,
        route: (Family, Prefix),
        received: AttributesId,
    ) -> AttributesId {
        let Ok((edits, _)) = import(core, peer, route, core.attributes.set(received)) else {
            return AttributesId::NONE;
        };
        let edits = if self.long_stale {
            // RFC 9494 §4.2: what must not be kept so long goes, the rest is marked.
            if core.attributes.set(received).key().no_llgr {
                return AttributesId::NONE;
            }
            edits.then(&Edits::new(vec![Edit::AddCommunities(vec![
                Community::LLGR_STALE,
            ])]))
        } else {
            edits
        };
        if edits.is_empty() {
            core.attributes.retain(received);
            return received;
        }
        if let Some((from, by, to)) = &self.last
            && *from == received
            && *by == edits
        {
            core.attributes.retain(*to);
            return *to;
        }
        let local_asn = core
            .peers
            .settings(peer)
            .map_or(core.settings.asn, |peer| peer.local_asn);
        let set = core.attributes.set(received);
        let mut attributes = PathAttributes {
            next_hop: set.next_hop(),
            ..PathAttributes::from(&set.attributes())
        };
        edits.apply(&mut attributes, local_asn);
        if let Some(NextHopEdit::Address(address)) = edits.next_hop() {
            attributes.next_hop = Some(address.into());
        }
        let id = core
            .attributes
            .intern_marked(&attributes, edits.marks(Marks::default()));
        self.forget(core);
        core.attributes.retain(received);
        core.attributes.retain(id);
        self.last = Some((received, edits, id));
        id
    }

    /// Gives back what it remembers.
    pub(crate) fn forget(&mut self, core: &mut Core) {
        if let Some((from, _, to)) = self.last.take() {
            core.attributes.release(from);
            core.attributes.release(to);
        }
    }
}
