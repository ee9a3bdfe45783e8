//! What every peer is owed, worked out by the reference speaker from what its neighbours sent it: a table per peer, no groups,
//! no interning, nothing incremental.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bgp_codec::{
    Asn, Community, DecodeContext, Family, FamilySet, HEADER_LEN, MAX_EXTENDED, MessageType, NextHop, Nlri,
    PathAttributes, PeerKind, Update, UpdateWriter, WriteContext, header,
};
use stonechat::policy::{CanonicalBlock, Chain, Edit, Edits, Marks, NextHopEdit, RouteView, Source};
use stonechat::rib::interface::{LocalChange, NextHopPolicy, Peer, Reachability, SentPaths, Settings};
use stonechat::route::{OriginKind, PeerId, Prefix};

use self::naive::{Naive, Told};
use super::node::{Node, peer_id};
use super::world::World;

#[path = "../../src/rib/tests/oracle/naive.rs"]
#[expect(dead_code, reason = "the shard's tests use the rest")]
mod naive;

/// What a peer holds of each prefix, path ids apart.
pub(crate) type Held = BTreeMap<Prefix, Vec<Told>>;

/// Every session, both ways: what the far end heard in it is what the reference speaker would have sent. And every FIB has the
/// reference speaker's choice.
pub(crate) fn everybody_holds_what_is_owed(world: &World) {
    let naive: Vec<Option<Naive>> = world
        .nodes
        .iter()
        .map(|node| node.as_ref().map(reference))
        .collect();
    for (a, a_peer, b, b_peer) in world.sessions() {
        for ((from, from_peer), (to, to_peer)) in [((a, a_peer), (b, b_peer)), ((b, b_peer), (a, a_peer))] {
            let owed = naive[from]
                .as_ref()
                .map(|naive| naive.held_by(&naive.peers[&peer_id(from_peer)]));
            let held = held(world.node(to), to_peer);
            assert_eq!(
                owed.as_ref(),
                Some(&held),
                "n{from} -> n{to}: owed (left) is not held (right)"
            );
        }
    }
    for (index, naive) in naive.iter().enumerate() {
        if let Some(naive) = naive {
            let chosen = naive.loc_rib().into_iter();
            let learned: BTreeMap<Prefix, IpAddr> = chosen
                .filter_map(|(prefix, from)| Some((prefix, from?.1)))
                .collect();
            let fib = &world.node(index).fib;
            let fib: BTreeMap<Prefix, IpAddr> = fib
                .iter()
                .map(|(prefix, route)| (*prefix, route.next_hops[0].address))
                .collect();
            assert_eq!(learned, fib, "n{index}: Loc-RIB (left) is not the FIB (right)");
        }
    }
}

/// What all nodes hold of all peers.
pub(crate) fn holdings(world: &World) -> BTreeMap<(usize, usize), Held> {
    let nodes = world.nodes.iter().enumerate();
    nodes
        .filter_map(|(index, node)| Some((index, node.as_ref()?)))
        .flat_map(|(index, node)| (0..node.peers.len()).map(move |peer| ((index, peer), held(node, peer))))
        .collect()
}

/// RFC 4724 §2: in each session and family, End-of-RIB came once; where `last`, nothing came behind it.
pub(crate) fn end_of_rib_came_once(node: &Node, peer: usize, last: bool) {
    let Some(settings) = &node.peers[peer].up else {
        return;
    };
    let mut ends: BTreeMap<Family, usize> = BTreeMap::new();
    let mut behind = Vec::new();
    each_update(node, peer, |update| match update.end_of_rib() {
        Some(family) => *ends.entry(family).or_default() += 1,
        None => {
            let mut touched = update.withdrawn().map(|block| block.family).collect::<Vec<_>>();
            touched.extend(update.announced().map(|announced| announced.nlri.family));
            behind.extend(touched.into_iter().filter(|family| ends.contains_key(family)));
        }
    });
    for family in settings.negotiated.families.iter() {
        assert_eq!(
            ends.get(&family),
            Some(&1),
            "{}: {family} of {}",
            node.spec.name,
            settings.name
        );
    }
    assert!(
        !last || behind.is_empty(),
        "{}: {behind:?} of {} behind End-of-RIB",
        node.spec.name,
        settings.name
    );
}

/// The reference speaker in a node's place.
fn reference(node: &Node) -> Naive {
    let mut naive = Naive::new(node.settings.clone());
    for (index, neighbour) in node.peers.iter().enumerate() {
        if let Some(peer) = &neighbour.up {
            naive.peers.insert(peer_id(index), (**peer).clone());
        }
    }
    for (index, _) in node.peers.iter().enumerate() {
        each_route(node, index, |nlri, attributes| match attributes {
            Some(attributes) => naive.announce(peer_id(index), &attributes, &[nlri]),
            None => naive.withdraw(peer_id(index), &[nlri]),
        });
    }
    for prefix in &node.announced {
        naive.local(&LocalChange::Announce(super::node::local_route(*prefix)));
    }
    naive
}

/// What a node was told in its present session with a peer.
fn held(node: &Node, peer: usize) -> Held {
    let mut routes: BTreeMap<(Prefix, u32), Told> = BTreeMap::new();
    each_route(node, peer, |nlri, attributes| {
        match attributes {
            Some(attributes) => routes.insert((nlri.prefix, nlri.path_id), naive::told(&attributes)),
            None => routes.remove(&(nlri.prefix, nlri.path_id)),
        };
    });
    let mut held = Held::new();
    for ((prefix, _), told) in routes {
        held.entry(prefix).or_default().push(told);
    }
    held.values_mut().for_each(|told| told.sort());
    held
}

fn each_route(node: &Node, peer: usize, mut take: impl FnMut(Nlri<Prefix>, Option<PathAttributes>)) {
    each_update(node, peer, |update| {
        for nlri in update.withdrawn().flat_map(|block| block.ip_prefixes()).flatten() {
            take(nlri, None);
        }
        for announced in update.announced() {
            let attributes = PathAttributes {
                next_hop: announced.next_hop,
                ..PathAttributes::from(update.attributes())
            };
            for nlri in announced.nlri.ip_prefixes().flatten() {
                take(nlri, Some(attributes.clone()));
            }
        }
    });
}

fn each_update(node: &Node, peer: usize, mut take: impl FnMut(&Update<'_>)) {
    let neighbour = &node.peers[peer];
    let Some(settings) = &neighbour.up else { return };
    let context = context(settings);
    for mut rest in neighbour.heard.iter().map(|bytes| bytes.as_ref()) {
        while let Ok(Some(frame)) = header::frame(rest, MAX_EXTENDED) {
            let (message, behind) = rest.split_at(frame.len);
            if frame.kind == MessageType::Update {
                let update =
                    Update::decode(&message[HEADER_LEN..], &context).expect("speakers send what can be read");
                assert_eq!(update.treatment(), None, "{:?}", update.errors());
                take(&update);
            }
            rest = behind;
        }
    }
}

fn context(peer: &Peer) -> DecodeContext {
    let negotiated = &peer.negotiated;
    DecodeContext {
        peer: peer.kind,
        four_octet_asn: negotiated.four_octet_asn,
        families: negotiated.families,
        add_path: negotiated.add_path_receive,
        extended_next_hop: FamilySet::EMPTY,
        as_sets: bgp_codec::AsSets::Accept,
    }
}
