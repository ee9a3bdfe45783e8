//! Who peers with whom.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bgp_codec::{Asn, FamilySet};
use stonechat::route::Prefix;
use stonechat::session::settings::{GracefulRestart, PeerSettings};

use super::node::{Spec, both_families};
use super::world::World;

const AS: u32 = 64512;

/// What a topology varies in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub graceful_restart: bool,
    pub add_path: bool,
    pub routes_each: usize,
    pub hold_time: Duration,
    /// RIB shards of each node.
    pub shards: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            graceful_restart: false,
            add_path: false,
            routes_each: 3,
            hold_time: Duration::from_secs(9),
            shards: 1,
        }
    }
}

/// `count` nodes of one AS, each peering with each.
pub(crate) fn full_mesh(count: usize, options: Options) -> Vec<Spec> {
    let pairs: Vec<(usize, usize)> = (0..count)
        .flat_map(|one| {
            (0..count)
                .filter(move |other| *other != one)
                .map(move |other| (one, other))
        })
        .collect();
    specs(count, options, &|_| AS, &pairs, &|_, _| false)
}

/// Node 0 and 1 are reflectors for the rest, and peer with each other.
pub(crate) fn reflectors(clients: usize, options: Options) -> Vec<Spec> {
    let count = clients + 2;
    let mut pairs = vec![(0, 1), (1, 0)];
    for client in 2..count {
        for reflector in [0, 1] {
            pairs.push((client, reflector));
            pairs.push((reflector, client));
        }
    }
    specs(count, options, &|_| AS, &pairs, &|from, to| from < 2 && to >= 2)
}

/// A chain of nodes, each in an AS of its own.
pub(crate) fn chain(count: usize, options: Options) -> Vec<Spec> {
    let pairs: Vec<(usize, usize)> = (1..count)
        .flat_map(|node| [(node - 1, node), (node, node - 1)])
        .collect();
    specs(
        count,
        options,
        &|node| AS + u32::try_from(node).unwrap(),
        &pairs,
        &|_, _| false,
    )
}

/// The prefixes that a node originates.
pub(crate) fn prefixes_of(node: usize, count: usize) -> Vec<Prefix> {
    (0..count)
        .map(|index| {
            if index % 3 == 2 {
                format!("fd00:{node}:{index}::/64").parse().unwrap()
            } else {
                format!("10.{node}.{index}.0/24").parse().unwrap()
            }
        })
        .collect()
}

fn specs(
    count: usize,
    options: Options,
    asn: &dyn Fn(usize) -> u32,
    pairs: &[(usize, usize)],
    client: &dyn Fn(usize, usize) -> bool,
) -> Vec<Spec> {
    (0..count)
        .map(|node| Spec {
            name: format!("n{node}"),
            asn: asn(node),
            address: World::address(node),
            peers: pairs
                .iter()
                .filter(|(from, _)| *from == node)
                .map(|(_, to)| {
                    let mut settings = peer(
                        &format!("n{to}"),
                        World::address(*to),
                        (asn(node), asn(*to)),
                        options,
                    );
                    settings.policy.rr_client = client(node, *to);
                    settings
                })
                .collect(),
            routes: prefixes_of(node, options.routes_each),
            install: true,
            shards: options.shards,
        })
        .collect()
}

pub(crate) fn peer(
    name: &str,
    address: Ipv4Addr,
    (local, remote): (u32, u32),
    options: Options,
) -> PeerSettings {
    let families = both_families();
    let add_path = if options.add_path {
        families
    } else {
        FamilySet::EMPTY
    };
    PeerSettings {
        hold_time: options.hold_time,
        idle_hold_time: Duration::from_secs(1),
        send_hold_time: Duration::from_secs(60),
        add_path_receive: add_path,
        add_path_send: add_path,
        graceful_restart: options.graceful_restart.then_some(GracefulRestart {
            restart_time: Duration::from_secs(30),
            max_peer_restart_time: Duration::from_secs(30),
            long_lived: None,
        }),
        ..PeerSettings::new(name, IpAddr::V4(address), (Asn(local), Asn(remote)))
    }
}
