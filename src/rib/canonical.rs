//! The canonical form of attributes, as octets: what is in it already, or needs an attribute more or less, is copied and not
//! read and written.

use std::net::{Ipv4Addr, Ipv6Addr};

use bgp_codec::attribute::{RawAttribute, RawAttributes, code, flag};
use bgp_codec::{Attributes, NextHop, PeerKind};

use super::attributes::DEFAULT_LOCAL_PREF;
use super::border::{self, PathRules};
use super::export::Origin;
use super::group::GroupKey;

const OPTIONAL_TRANSITIVE: u8 = flag::OPTIONAL | flag::TRANSITIVE;

/// Copies the attributes of a session with four-octet numbers, next hop and NLRI apart; `false` if they are not in canonical
/// form, or not all of them are used as they are. They must be without errors.
pub(crate) fn copy(received: &Attributes<'_>, peer: PeerKind, out: &mut Vec<u8>) -> bool {
    let internal = peer == PeerKind::Internal;
    let mut last = 0;
    for RawAttribute { flags, code, value } in received.iter_raw() {
        let flags = flags & !flag::EXTENDED_LENGTH;
        let as_usual = match code {
            code::NEXT_HOP | code::MP_REACH_NLRI | code::MP_UNREACH_NLRI => continue,
            code::ORIGIN | code::AS_PATH | code::ATOMIC_AGGREGATE => flags == flag::TRANSITIVE,
            code::LOCAL_PREF => internal && flags == flag::TRANSITIVE,
            code::MULTI_EXIT_DISC => flags == flag::OPTIONAL,
            code::ORIGINATOR_ID | code::CLUSTER_LIST => internal && flags == flag::OPTIONAL,
            code::AGGREGATOR | code::COMMUNITIES | code::EXTENDED_COMMUNITIES | code::LARGE_COMMUNITIES => {
                flags & !flag::PARTIAL == OPTIONAL_TRANSITIVE
            }
            _ => false,
        };
        if !as_usual || code <= last {
            return false;
        }
        last = code;
        write(flags, code, &[value], out);
    }
    true
}

/// Appends what `export::outgoing` makes of a set when policy changes nothing; `false` where it takes more than copying.
pub(crate) fn outgoing(key: &GroupKey, canonical: &[u8], origin: Origin, out: &mut Vec<u8>) -> bool {
    if border::marks(key.role) || key.as_path != PathRules::default() {
        return false;
    }
    match key.kind {
        // What our own routes are prepended with stays outside.
        PeerKind::Internal if matches!(origin, Origin::Local) => false,
        PeerKind::Internal => {
            to_internal(key, canonical, origin, out);
            true
        }
        PeerKind::External => to_external(key, canonical, origin, out),
    }
}

/// LOCAL_PREF is there, and ORIGINATOR_ID and CLUSTER_LIST if the route is reflected.
fn to_internal(key: &GroupKey, canonical: &[u8], origin: Origin, out: &mut Vec<u8>) {
    let originator = match origin {
        Origin::Internal { bgp_identifier, .. } => Some(bgp_identifier),
        Origin::Local | Origin::External => None,
    };
    let mut from = 0;
    for RawAttribute { flags, code, value } in RawAttributes::new(canonical) {
        add_missing(key, originator, from..code, out);
        from = code.saturating_add(1);
        match originator {
            Some(_) if code == code::CLUSTER_LIST => {
                write(flags, code, &[&key.cluster_id.octets(), value], out);
            }
            _ => write(flags, code, &[value], out),
        }
    }
    add_missing(key, originator, from..u8::MAX, out);
}

/// Adds those attributes of these types that an internal peer must see.
fn add_missing(key: &GroupKey, originator: Option<Ipv4Addr>, types: std::ops::Range<u8>, out: &mut Vec<u8>) {
    if types.contains(&code::LOCAL_PREF) {
        let value = DEFAULT_LOCAL_PREF.to_be_bytes();
        write(flag::TRANSITIVE, code::LOCAL_PREF, &[&value], out);
    }
    let Some(originator) = originator else { return };
    if types.contains(&code::ORIGINATOR_ID) {
        write(flag::OPTIONAL, code::ORIGINATOR_ID, &[&originator.octets()], out);
    }
    if types.contains(&code::CLUSTER_LIST) {
        write(
            flag::OPTIONAL,
            code::CLUSTER_LIST,
            &[&key.cluster_id.octets()],
            out,
        );
    }
}

/// What stays inside the AS is left out, and our AS stands first in AS_PATH. `false`: look closer.
fn to_external(key: &GroupKey, canonical: &[u8], origin: Origin, out: &mut Vec<u8>) -> bool {
    let learned = !matches!(origin, Origin::Local);
    let mut keep_med = !learned || key.route_server_client;
    for RawAttribute { flags, code, value } in RawAttributes::new(canonical) {
        match code {
            code::LOCAL_PREF | code::ORIGINATOR_ID | code::CLUSTER_LIST | code::AIGP => {}
            code::MULTI_EXIT_DISC if !keep_med => {}
            // Among them may be some that stop here.
            code::EXTENDED_COMMUNITIES | code::IPV6_EXTENDED_COMMUNITIES if learned => return false,
            code::AS_PATH => {
                keep_med |= value.is_empty();
                if !is_plain(value) {
                    return false;
                }
                if key.route_server_client {
                    write(flags, code, &[value], out);
                } else {
                    prepend(key, value, out);
                }
            }
            _ => write(flags, code, &[value], out),
        }
    }
    true
}

const SEQUENCE: u8 = 2;

/// Whether a path has no segments of a confederation.
fn is_plain(mut path: &[u8]) -> bool {
    while let [kind, count, rest @ ..] = path {
        if *kind > SEQUENCE {
            return false;
        }
        path = rest.get(usize::from(*count) * 4..).unwrap_or_default();
    }
    true
}

/// RFC 4271 §5.1.2(b): a full segment or one that is no sequence gets a new one before it.
fn prepend(key: &GroupKey, path: &[u8], out: &mut Vec<u8>) {
    let asn = key.local_asn.0.to_be_bytes();
    match path {
        [SEQUENCE, count @ 1..=254, rest @ ..] => {
            write(
                flag::TRANSITIVE,
                code::AS_PATH,
                &[&[SEQUENCE, count + 1], &asn, rest],
                out,
            );
        }
        _ => write(
            flag::TRANSITIVE,
            code::AS_PATH,
            &[&[SEQUENCE, 1], &asn, path],
            out,
        ),
    }
}

/// Appends an attribute, its value in pieces.
fn write(flags: u8, code: u8, value: &[&[u8]], out: &mut Vec<u8>) {
    let len: usize = value.iter().map(|piece| piece.len()).sum();
    let flags = flags & !flag::EXTENDED_LENGTH;
    match u8::try_from(len) {
        Ok(len) => out.extend_from_slice(&[flags, code, len]),
        Err(_) => {
            let [high, low] = u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
            out.extend_from_slice(&[flags | flag::EXTENDED_LENGTH, code, high, low]);
        }
    }
    value.iter().for_each(|piece| out.extend_from_slice(piece));
}

/// Appends a next hop: 0, 4, 16 or 32 octets.
pub(crate) fn append_next_hop(next_hop: Option<NextHop>, out: &mut Vec<u8>) {
    match next_hop {
        None => {}
        Some(NextHop::V4(address)) => out.extend_from_slice(&address.octets()),
        Some(NextHop::V6(address)) => out.extend_from_slice(&address.octets()),
        Some(NextHop::V6WithLinkLocal { global, link_local }) => {
            out.extend_from_slice(&global.octets());
            out.extend_from_slice(&link_local.octets());
        }
    }
}

/// Reads back what [`append_next_hop`] wrote.
#[inline]
pub(crate) fn read_next_hop(octets: &[u8]) -> Option<NextHop> {
    let address = |octets: &[u8]| <[u8; 16]>::try_from(octets).ok().map(Ipv6Addr::from);
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets)
            .ok()
            .map(|octets| NextHop::V4(octets.into())),
        16 => address(octets).map(NextHop::V6),
        32 => Some(NextHop::V6WithLinkLocal {
            global: address(&octets[..16])?,
            link_local: address(&octets[16..])?,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bgp_codec::{DecodeContext, PathAttributes, Update};
    use proptest::prelude::*;

    use crate::policy::Edits;
    use crate::rib::attributes::{AttributeTable, Identity};
    use crate::rib::tests::{external, internal, settings};

    fn segments() -> impl Strategy<Value = String> {
        prop_oneof![
            Just(String::new()),
            Just("65001".into()),
            Just("65001 4200000001 {65003 65004}".into()),
            Just("{65003} 65009".into()),
            Just("(65010 65011) 65001".into()),
            Just("65001 ".repeat(254)),
            Just("65001 ".repeat(255)),
            Just("65001 ".repeat(300)),
        ]
    }

    prop_compose! {
        fn attributes()(
            path in segments(),
            (med, local_pref, originator) in any::<(Option<u32>, Option<u32>, Option<u32>)>(),
            (communities, clusters, large) in any::<(u8, u8, bool)>(),
            (extended, atomic, unknown) in any::<(Option<[u8; 8]>, bool, Option<(u8, u8)>)>(),
            partial in any::<bool>(),
        ) -> PathAttributes {
            let mut attributes = PathAttributes {
                as_path: path.trim().parse().unwrap_or_default(),
                med,
                local_pref,
                originator_id: originator.map(Ipv4Addr::from_bits),
                cluster_list: (0..u32::from(clusters % 3)).map(Ipv4Addr::from_bits).collect(),
                communities: (0..u32::from(communities)).map(bgp_codec::Community).collect(),
                atomic_aggregate: atomic,
                partial: if partial { 1 << code::COMMUNITIES } else { 0 },
                ..PathAttributes::default()
            };
            if large {
                attributes.large_communities.push(bgp_codec::LargeCommunity { global: 1, local1: 2, local2: 3 });
            }
            attributes.extended_communities.extend(extended.map(bgp_codec::ExtendedCommunity));
            if let Some((number, len)) = unknown {
                attributes.unknown.push(bgp_codec::UnknownAttribute {
                    flags: 0xe0,
                    code: 50 + number % 150,
                    value: vec![7; usize::from(len)],
                });
            }
            attributes
        }
    }

    /// A block as a peer sends it: the canonical one with NEXT_HOP in its place.
    fn received(canonical: &[u8]) -> Vec<u8> {
        let mut block = Vec::new();
        for RawAttribute { flags, code, value } in RawAttributes::new(canonical) {
            if code > code::NEXT_HOP && !block.windows(2).any(|at| at == [0x40, code::NEXT_HOP]) {
                write(flag::TRANSITIVE, code::NEXT_HOP, &[&[10, 0, 0, 1]], &mut block);
            }
            write(flags, code, &[value], &mut block);
        }
        block
    }

    proptest! {
        /// Copying is what reading and writing comes to, whenever it is possible.
        #[test]
        fn a_copy_is_canonical(attributes in attributes(), external in any::<bool>()) {
            let mut canonical = Vec::new();
            attributes.encode_canonical(&mut canonical);
            let block = received(&canonical);
            let kind = if external { PeerKind::External } else { PeerKind::Internal };
            let mut body = vec![0, 0];
            body.extend(u16::try_from(block.len()).unwrap().to_be_bytes());
            body.extend(&block);
            body.extend([24, 192, 0, 2]);
            let context = DecodeContext::all(kind);
            let context = DecodeContext { add_path: bgp_codec::FamilySet::EMPTY, ..context };
            let update = Update::decode(&body, &context).unwrap();
            let mut copied = Vec::new();
            if update.treatment().is_none() && copy(update.attributes(), kind, &mut copied) {
                let mut expected = Vec::new();
                PathAttributes::from(update.attributes()).encode_canonical(&mut expected);
                prop_assert_eq!(copied, expected);
            }
        }

        /// So is what goes out.
        #[test]
        fn what_goes_out_is_the_same(attributes in attributes(), to in 0..4, from in 0..3) {
            let mut peer = if to < 2 { internal(1) } else { external(1) };
            peer.policy.route_server_client = to == 3;
            let key = GroupKey::new(&settings(), &peer, bgp_codec::Family::IPV4_UNICAST);
            let origin = match from {
                0 => Origin::Local,
                1 => Origin::External,
                _ => Origin::Internal { rr_client: true, bgp_identifier: [10, 0, 0, 9].into() },
            };
            let identity = Identity { asn: bgp_codec::Asn(1), cluster_id: [10, 0, 0, 254].into() };
            let set = AttributeTable::new(identity, 7, false).preview(&attributes);
            let mut expected = Vec::new();
            crate::rib::export::outgoing(&key, &set, origin, &Edits::NONE).encode_canonical(&mut expected);
            let mut out = Vec::new();
            if outgoing(&key, set.canonical(), origin, &mut out) {
                prop_assert_eq!(out, expected);
            }
        }

        #[test]
        fn next_hops_come_back(v4 in any::<[u8; 4]>(), v6 in any::<[u8; 16]>(), form in 0..4) {
            let next_hop = match form {
                0 => None,
                1 => Some(NextHop::V4(v4.into())),
                2 => Some(NextHop::V6(v6.into())),
                _ => Some(NextHop::V6WithLinkLocal { global: v6.into(), link_local: v6.into() }),
            };
            let mut octets = Vec::new();
            append_next_hop(next_hop, &mut octets);
            prop_assert_eq!(read_next_hop(&octets), next_hop);
        }
    }
}
