//! Max-prefix: decided before an UPDATE takes effect, counted after implicit replacement.

use std::collections::BTreeMap;

use bgp_codec::{Family, Treatment, Update};

use super::core::Core;
use super::ids::PeerIndex;
use super::import;
use super::interface::Event;
use super::shard::Rib;
use crate::route::Prefix;

/// The family in which an UPDATE would exceed a limit of its peer, and the limit. One that exceeds none has its places.
pub(super) fn exceeded(rib: &mut Rib, peer: PeerIndex, update: &Update<'_>) -> Option<(Family, u32)> {
    let policy = &rib.core.peers.settings(peer)?.policy;
    let limits = [policy.max_prefixes, policy.max_prefixes_accepted];
    if limits == [None, None] || policy.max_prefix_warn_only {
        return None;
    }
    if update.treatment() >= Some(Treatment::TreatAsWithdraw) {
        return None;
    }
    for block in update.nlri().into_iter().chain(update.mp_nlri()) {
        let family = block.family;
        let counts = rib.core.peers.family(peer, family)?.paths();
        let new = u32::try_from(block.ip_prefixes().count()).unwrap_or(u32::MAX);
        // Most UPDATEs fit even if all that they announce were new; where others count as well, the exact number is needed.
        let suspect =
            |(limit, count): (Option<u32>, u32)| limit.is_some_and(|limit| count.saturating_add(new) > limit);
        let exact = rib.core.totals.is_some();
        if !exact && !limits.into_iter().zip(counts).any(suspect) {
            continue;
        }
        let more = growth(rib, peer, family, update);
        let counts = rib.core.peers.family_mut(peer, family)?;
        let after = counts.claim(more);
        // A limit that was lowered beneath what is there is for what comes on top: a replacement is innocent.
        let over = (0..limits.len()).filter(|at| more[*at] > 0);
        let mut over = over.filter_map(|at| limits[at].filter(|limit| after[at] > *limit));
        if let Some(limit) = over.next() {
            counts.disclaim();
            return Some((family, limit));
        }
    }
    None
}

/// How many paths more this shard would have after an UPDATE: received, and accepted by import policy.
fn growth(rib: &Rib, peer: PeerIndex, family: Family, update: &Update<'_>) -> [i32; 2] {
    let Some(table) = rib.table_of(peer, family).map(|table| &rib.tables[table]) else {
        return [0; 2];
    };
    let [mut received, mut accepted] = [0; 2];
    // What becomes of each path that the UPDATE names: gone, or there and accepted or not.
    let mut named: BTreeMap<(Prefix, u32), Option<bool>> = BTreeMap::new();
    for nlri in update
        .withdrawn()
        .filter(|block| block.family == family)
        .flat_map(|block| block.ip_prefixes())
        .flatten()
    {
        named.insert((nlri.prefix, nlri.path_id), None);
    }
    let attributes = bgp_codec::PathAttributes::from(update.attributes());
    let set = rib.core.attributes.preview(&attributes);
    let announced = update
        .nlri()
        .into_iter()
        .chain(update.mp_nlri())
        .filter(|block| block.family == family);
    for nlri in announced.flat_map(|block| block.ip_prefixes()).flatten() {
        let accept = import::import(&rib.core, peer, (family, nlri.prefix), &set).is_ok();
        named.insert((nlri.prefix, nlri.path_id), Some(accept));
    }
    for ((prefix, path_id), now) in named {
        if !rib.core.share.holds(prefix) {
            continue;
        }
        let known = table
            .data
            .prefixes
            .find(prefix)
            .and_then(|id| table.data.rib_in.find(id, peer, path_id));
        if let Some(path) = known.map(|slot| table.data.rib_in.path(slot)) {
            received -= 1;
            accepted -= i32::from(path.accepted.some().is_some());
        }
        if let Some(accept) = now {
            received += 1;
            accepted += i32::from(accept);
        }
    }
    [received, accepted]
}

/// Warns once, and once more when a limit changes: when three quarters of it are reached, or where it only warns, when it is
/// exceeded.
pub(super) fn warn(core: &mut Core, peer: PeerIndex) {
    let Some(state) = core.peers.get_mut(peer).filter(|state| state.is_limited()) else {
        return;
    };
    let policy = &state.settings.policy;
    let (received, accepted) = (policy.max_prefixes, policy.max_prefixes_accepted);
    let (id, warn_only) = (state.settings.id, policy.max_prefix_warn_only);
    let mut events = Vec::new();
    for (family, counts) in &mut state.families {
        let reached = |limit: Option<u32>, count: u32| {
            let over = |limit: &u32| match warn_only {
                true => count > *limit,
                false => count > 0 && u64::from(count) * 4 >= u64::from(*limit) * 3,
            };
            limit.filter(over).map(|limit| (count, limit))
        };
        let [all, passed] = counts.paths();
        let over = reached(received, all).or_else(|| reached(accepted, passed));
        if let Some((count, limit)) = over.filter(|_| !counts.warned) {
            counts.warned = true;
            events.push(Event::MaxPrefixWarning {
                peer: id,
                family: *family,
                count,
                limit,
            });
        }
    }
    events.into_iter().for_each(|event| core.event(event));
}
