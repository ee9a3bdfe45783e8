//! What must hold once everything is quiet, whatever happened before.

use std::collections::BTreeSet;

use stonechat::rib::explain::RouteEntry;
use stonechat::route::Prefix;

use super::world::World;

/// What a peer holds is what it was sent: nothing lost, no ghost, the same attributes.
pub(crate) fn both_ends_agree(world: &World) {
    for (a, a_peer, b, b_peer) in world.sessions() {
        agree(world, (a, a_peer), (b, b_peer));
        agree(world, (b, b_peer), (a, a_peer));
    }
}

fn agree(world: &World, (sender, sender_peer): (usize, usize), (receiver, receiver_peer): (usize, usize)) {
    let sent = world.node(sender).advertised(sender_peer, world.now);
    let held = world.node(receiver).received(receiver_peer, world.now);
    let view = |routes: &[RouteEntry]| -> BTreeSet<(Prefix, u32, String, Option<u32>)> {
        routes
            .iter()
            .map(|route| (route.prefix, route.path_id, route.as_path.clone(), route.med))
            .collect()
    };
    assert_eq!(
        view(&sent),
        view(&held),
        "n{sender} -> n{receiver}: advertised (left) is not what was received (right)"
    );
    assert!(
        held.iter().all(|route| !route.stale),
        "n{receiver} holds stale routes of n{sender}: {held:?}"
    );
}

/// No prefix goes back to the peer that its best path came from.
pub(crate) fn no_echo(world: &World) {
    for (a, a_peer, b, b_peer) in world.sessions() {
        for (node, peer) in [(a, a_peer), (b, b_peer)] {
            let name = world.node(node).peers[peer].core.settings().name.clone();
            let from_peer: BTreeSet<Prefix> = world
                .node(node)
                .best(world.now)
                .iter()
                .filter(|route| route.source == name)
                .map(|route| route.prefix)
                .collect();
            for route in world.node(node).advertised(peer, world.now) {
                assert!(
                    route.path_id != 0 || !from_peer.contains(&route.prefix),
                    "n{node} echoes {} to {name}",
                    route.prefix
                );
            }
        }
    }
}

/// What is in the FIB is what Loc-RIB learned from peers.
pub(crate) fn fib_is_loc_rib(world: &World) {
    for index in 0..world.nodes.len() {
        if !world.is_up(index) {
            continue;
        }
        let node = world.node(index);
        let learned = |route: &&RouteEntry| !route.source.contains(':');
        let best: BTreeSet<Prefix> = node
            .best(world.now)
            .iter()
            .filter(learned)
            .map(|route| route.prefix)
            .collect();
        let fib: BTreeSet<Prefix> = node.fib.keys().copied().collect();
        assert_eq!(best, fib, "n{index}: Loc-RIB (left) is not the FIB (right)");
    }
}

/// Every prefix that a running node originates is known to every running node, and nothing else is.
pub(crate) fn everybody_knows_everything(world: &World, originated: &BTreeSet<Prefix>) {
    for index in 0..world.nodes.len() {
        if world.is_up(index) {
            let node = world.node(index);
            let known: BTreeSet<Prefix> = node.fib.keys().chain(&node.announced).copied().collect();
            assert_eq!(
                &known, originated,
                "n{index} knows (left) other prefixes than there are (right)"
            );
        }
    }
}

/// Without a route anywhere there is neither path nor attribute set, and no octet waits for a reader.
pub(crate) fn nothing_is_kept(world: &World) {
    for node in world.nodes.iter().flatten() {
        for counters in node.counters(world.now) {
            assert_eq!(
                (
                    counters.prefixes,
                    counters.paths,
                    counters.attribute_sets,
                    counters.ring_bytes
                ),
                (0, 0, 0, 0),
                "{} still keeps something",
                node.spec.name
            );
        }
        assert_eq!(
            node.all_queued(),
            0,
            "{} still has something to write",
            node.spec.name
        );
        assert!(node.fib.is_empty(), "{}: {:?}", node.spec.name, node.fib);
    }
}

/// No NOTIFICATION went out but those that the scenario provoked: codes in `expected`.
pub(crate) fn no_notification_but(world: &World, expected: &[u8]) {
    for node in world.nodes.iter().flatten() {
        for (peer, notification) in &node.sent {
            assert!(
                expected.contains(&notification.code),
                "{} told peer {peer}: {notification}",
                node.spec.name
            );
        }
    }
}
