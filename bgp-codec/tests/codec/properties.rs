//! Properties over generated values and arbitrary octets.

use crate::targets;
use bgp_codec::{
    AddPathMode, Afi, Aggregator, AsPathBuf, AsPathSegment, Asn, Attributes, Capability, Community,
    DecodeContext, ExtendedCommunity, Family, FamilySet, Frame, GrFamily, Ipv6ExtendedCommunity,
    LargeCommunity, MessageType, NextHop, Nlri, Notification, Open, Origin, PathAttributes, PeerKind,
    RouteRefresh, Safi, SegmentKind, UnknownAttribute, Update, UpdateWriter, WriteContext, WriteError,
    header, keepalive,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_octets_panic(bytes in vec(any::<u8>(), 0..300), flags in any::<u8>()) {
        targets::open(&bytes);
        targets::message(&bytes);
        targets::mrt(&bytes);
        targets::update(&[&[flags], &bytes[..]].concat());
    }

    #[test]
    fn no_damaged_update_panics(
        attributes in path_attributes(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        flags in any::<u8>(),
    ) {
        let mut bytes = Vec::new();
        let nlri = [Nlri::new("10.0.0.0/8".parse::<Ipv4Net>().unwrap())];
        let mut writer = UpdateWriter::new(&mut bytes, write_context(true, FamilySet::EMPTY));
        prop_assume!(writer.announce(Family::IPV4_UNICAST, &attributes, [192, 0, 2, 1].into(), nlri).is_ok());
        for (index, octet) in damage {
            let index = index.index(bytes.len());
            bytes[index] = octet;
        }
        targets::update(&[&[flags], &bytes[19..]].concat());
    }

    #[test]
    fn attributes_round_trip(attributes in path_attributes(), four_octet_asn in any::<bool>()) {
        let mut bytes = Vec::new();
        let nlri = [Nlri::new("10.0.0.0/8".parse::<Ipv4Net>().unwrap())];
        let mut writer = UpdateWriter::new(&mut bytes, write_context(four_octet_asn, FamilySet::EMPTY));
        let next_hop = NextHop::from([192, 0, 2, 1]);
        match writer.announce(Family::IPV4_UNICAST, &attributes, next_hop, nlri) {
            Ok(messages) => prop_assert_eq!(messages, 1),
            Err(WriteError::TooLong { .. }) => return Ok(()),
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        }
        let context = DecodeContext { four_octet_asn, ..DecodeContext::all(PeerKind::Internal) };
        let update = Update::decode(&bytes[19..], &context).unwrap();
        prop_assert_eq!(update.treatment(), None);
        let read = PathAttributes::from(update.attributes());
        let expected = PathAttributes { next_hop: Some(next_hop), ..attributes };
        if four_octet_asn {
            prop_assert_eq!(&read, &expected);
        } else {
            // The merge may join sequences that were apart; what the path says is the same.
            prop_assert_eq!(read.as_path.to_string(), expected.as_path.to_string());
        }
    }

    #[test]
    fn canonical_blocks_are_stable(attributes in path_attributes()) {
        let mut block = Vec::new();
        attributes.encode_canonical(&mut block);
        let view = Attributes::from_canonical(&block);
        prop_assert_eq!(view.med(), attributes.med);
        prop_assert_eq!(view.communities().iter().collect::<Vec<_>>(), attributes.communities.clone());
        prop_assert_eq!(usize::try_from(view.as_path().unwrap().path_length()).unwrap(), attributes.as_path.path_length());
        let again = PathAttributes::from(&view);
        prop_assert_eq!(&again, &PathAttributes { next_hop: None, ..attributes });
        let mut second = Vec::new();
        again.encode_canonical(&mut second);
        prop_assert_eq!(block, second);
    }

    #[test]
    fn prefixes_round_trip_in_order(
        ipv4 in vec((any::<u32>(), 0..=32_u8, any::<u32>()), 0..2000),
        ipv6 in vec((any::<u128>(), 0..=128_u8, any::<u32>()), 0..700),
        add_path in any::<bool>(),
    ) {
        let add_path = if add_path { FamilySet::ALL } else { FamilySet::EMPTY };
        let id = |path_id: u32| if add_path.is_empty() { 0 } else { path_id };
        let ipv4: Vec<_> = ipv4.into_iter().map(|(address, len, path_id)| Nlri {
            path_id: id(path_id),
            prefix: IpNet::V4(Ipv4Net::new(address.into(), len).unwrap().trunc()),
        }).collect();
        let ipv6: Vec<_> = ipv6.into_iter().map(|(address, len, path_id)| Nlri {
            path_id: id(path_id),
            prefix: IpNet::V6(Ipv6Net::new(address.into(), len).unwrap().trunc()),
        }).collect();
        let mut bytes = Vec::new();
        let mut writer = UpdateWriter::new(&mut bytes, write_context(true, add_path));
        let attributes = PathAttributes::default();
        let global: std::net::Ipv6Addr = "2001:db8::1".parse().unwrap();
        writer.announce(Family::IPV4_UNICAST, &attributes, [192, 0, 2, 1].into(), &ipv4).unwrap();
        writer.announce(Family::IPV6_UNICAST, &attributes, global.into(), &ipv6).unwrap();
        writer.withdraw(Family::IPV6_UNICAST, &ipv6).unwrap();
        writer.withdraw(Family::IPV4_UNICAST, &ipv4).unwrap();
        let context = DecodeContext { add_path, ..DecodeContext::all(PeerKind::External) };
        let (mut announced, mut withdrawn) = (Vec::new(), Vec::new());
        for (kind, body) in frames(&bytes) {
            prop_assert_eq!(kind, MessageType::Update);
            let update = Update::decode(body, &context).unwrap();
            prop_assert_eq!(update.check_nlri(), Ok(()));
            announced.extend(update.announced().flat_map(|item| item.nlri.ip_prefixes()).map(Result::unwrap));
            withdrawn.extend(update.withdrawn().flat_map(|block| block.ip_prefixes()).map(Result::unwrap));
        }
        prop_assert_eq!(announced, [&ipv4[..], &ipv6].concat());
        prop_assert_eq!(withdrawn, [&ipv6[..], &ipv4].concat());
    }

    #[test]
    fn opens_round_trip(open in open()) {
        let mut bytes = Vec::new();
        open.encode(&mut bytes);
        let [(kind, body)] = frames(&bytes)[..] else { return Err(TestCaseError::fail("not one message")) };
        prop_assert_eq!(kind, MessageType::Open);
        prop_assert_eq!(Open::decode(body).unwrap(), open);
    }

    #[test]
    fn notifications_round_trip(code in any::<u8>(), subcode in any::<u8>(), data in vec(any::<u8>(), 0..300)) {
        let notification = Notification { code, subcode, data };
        let mut bytes = Vec::new();
        notification.encode(&mut bytes);
        prop_assert_eq!(Notification::decode(&bytes[19..]).unwrap(), notification);
    }

    #[test]
    fn splitting_a_stream_changes_nothing(cuts in vec(1..40_usize, 1..40), messages in vec(0..4_u8, 1..6)) {
        let mut stream = Vec::new();
        for kind in messages {
            match kind {
                0 => keepalive::encode(&mut stream),
                1 => Notification::administrative_shutdown("bye").encode(&mut stream),
                2 => UpdateWriter::new(&mut stream, write_context(true, FamilySet::EMPTY)).end_of_rib(Family::IPV6_UNICAST),
                _ => RouteRefresh { family: Family::IPV4_UNICAST, subtype: bgp_codec::route_refresh::Subtype::Request }
                    .encode(&mut stream),
            }
        }
        let whole = framed(&stream, std::iter::once(stream.len()));
        prop_assert_eq!(framed(&stream, cuts.into_iter().cycle()), whole);
    }

    #[test]
    fn text_round_trips(path in as_path(), community in any::<u32>(), extended in any::<[u8; 8]>(), large in any::<[u32; 3]>()) {
        let joined: AsPathBuf = path.to_string().parse().unwrap();
        prop_assert_eq!(joined.to_string(), path.to_string());
        prop_assert_eq!(Community(community).to_string().parse(), Ok(Community(community)));
        prop_assert_eq!(ExtendedCommunity(extended).to_string().parse(), Ok(ExtendedCommunity(extended)));
        let large = LargeCommunity { global: large[0], local1: large[1], local2: large[2] };
        prop_assert_eq!(large.to_string().parse(), Ok(large));
    }

    #[test]
    fn text_of_named_kinds_round_trips(
        asn in any::<u32>(),
        kind in prop::sample::select(vec![[0, 2], [0, 3], [1, 2], [2, 3], [3, 0x0b], [3, 0x0c], [0x40, 4], [0x43, 0]]),
        rest in any::<[u8; 6]>(),
        small in prop::bool::ANY,
        octets in any::<[u8; 20]>(),
        addresses in any::<[u128; 2]>(),
    ) {
        let asn = Asn(asn);
        prop_assert_eq!(format!("{asn:#}").parse(), Ok(asn));
        // Those with names have zeros behind the kind.
        let [a, b, .., y, z] = rest;
        let rest = if small { [0, 0, 0, 0, y & 1, z & 3] } else { [a, b, rest[2], rest[3], y, z] };
        let extended = ExtendedCommunity([kind[0], kind[1], rest[0], rest[1], rest[2], rest[3], rest[4], rest[5]]);
        prop_assert_eq!(extended.to_string().parse(), Ok(extended));
        let mut ipv6 = Ipv6ExtendedCommunity(octets);
        prop_assert_eq!(ipv6.to_string().parse(), Ok(ipv6));
        ipv6.0[0] = 0;
        ipv6.0[1] = 2 + octets[1] % 2;
        prop_assert_eq!(ipv6.to_string().parse(), Ok(ipv6));
        let aggregator = Aggregator { asn, address: rest[..4].iter().fold(0, |bits, octet| bits << 8 | u32::from(*octet)).into() };
        prop_assert_eq!(aggregator.to_string().parse(), Ok(aggregator));
        let [global, link_local] = addresses.map(std::net::Ipv6Addr::from_bits);
        for next_hop in [NextHop::V4(aggregator.address), NextHop::V6(global), NextHop::V6WithLinkLocal { global, link_local }] {
            prop_assert_eq!(next_hop.to_string().parse(), Ok(next_hop));
        }
        for origin in [Origin::Igp, Origin::Egp, Origin::Incomplete] {
            prop_assert_eq!(origin.to_string().parse(), Ok(origin));
        }
    }
}

fn write_context(four_octet_asn: bool, add_path: FamilySet) -> WriteContext {
    WriteContext {
        four_octet_asn,
        max_message: header::MAX_MESSAGE,
        add_path,
    }
}

fn frames(mut rest: &[u8]) -> Vec<(MessageType, &[u8])> {
    let mut messages = Vec::new();
    while let Some(Frame { kind, len }) = header::frame(rest, header::MAX_MESSAGE).unwrap() {
        messages.push((kind, &rest[header::HEADER_LEN..len]));
        rest = &rest[len..];
    }
    assert!(rest.is_empty());
    messages
}

/// The messages that show when the stream arrives in pieces.
fn framed(stream: &[u8], pieces: impl Iterator<Item = usize>) -> Vec<Vec<u8>> {
    let (mut buffer, mut messages, mut rest) = (Vec::new(), Vec::new(), stream);
    for piece in pieces {
        let (arrived, later) = rest.split_at(piece.min(rest.len()));
        buffer.extend_from_slice(arrived);
        rest = later;
        while let Some(frame) = header::frame(&buffer, header::MAX_MESSAGE).unwrap() {
            messages.push(buffer.drain(..frame.len).collect());
        }
        if rest.is_empty() {
            break;
        }
    }
    messages
}

fn asn() -> impl Strategy<Value = Asn> {
    prop_oneof![1..=65_535_u32, 65_536..=u32::MAX].prop_map(Asn)
}

fn as_path() -> impl Strategy<Value = AsPathBuf> {
    let sequence = || {
        vec(asn(), 1..20).prop_map(|asns| AsPathSegment {
            kind: SegmentKind::Sequence,
            asns,
        })
    };
    let set = vec(asn(), 1..5).prop_map(|asns| AsPathSegment {
        kind: SegmentKind::Set,
        asns,
    });
    // A confederation's own numbers have no companion on a two-octet session (RFC 6793 §4.2.2): they are narrow.
    let narrow = (1..=65_535_u32).prop_map(Asn);
    let confederation = vec(narrow, 1..5).prop_map(|asns| AsPathSegment {
        kind: SegmentKind::ConfedSequence,
        asns,
    });
    (of(confederation), of(sequence()), of(set), of(sequence())).prop_map(|(first, second, third, fourth)| {
        AsPathBuf {
            segments: [first, second, third, fourth].into_iter().flatten().collect(),
        }
    })
}

fn path_attributes() -> impl Strategy<Value = PathAttributes> {
    let scalars = (
        prop_oneof![Just(Origin::Igp), Just(Origin::Egp), Just(Origin::Incomplete)],
        of(any::<u32>()),
        of(any::<u32>()),
        any::<bool>(),
        of((asn(), any::<u32>())),
        of(any::<u32>()),
        of(any::<u64>()),
        of(asn()),
    );
    let lists = (
        vec(any::<u32>().prop_map(Community), 0..80),
        vec(any::<[u8; 8]>().prop_map(ExtendedCommunity), 0..4),
        vec(any::<[u8; 20]>().prop_map(Ipv6ExtendedCommunity), 0..3),
        vec(any::<[u32; 3]>(), 0..4),
        vec(any::<u32>().prop_map(std::net::Ipv4Addr::from), 0..4),
        prop::collection::btree_map(36..=255_u8, vec(any::<u8>(), 0..300), 0..4),
    );
    (as_path(), scalars, lists).prop_map(|(as_path, scalars, lists)| {
        let (origin, med, local_pref, atomic_aggregate, aggregator, originator_id, aigp, otc) = scalars;
        let (communities, extended_communities, ipv6_extended_communities, large, cluster_list, unknown) =
            lists;
        let large = large.into_iter().map(|[global, local1, local2]| LargeCommunity {
            global,
            local1,
            local2,
        });
        let unknown = unknown.into_iter().filter(|(code, _)| ![40, 128].contains(code));
        PathAttributes {
            origin,
            as_path,
            next_hop: None,
            med,
            local_pref,
            atomic_aggregate,
            aggregator: aggregator.map(|(asn, address)| Aggregator {
                asn,
                address: address.into(),
            }),
            communities,
            extended_communities,
            ipv6_extended_communities,
            large_communities: large.collect(),
            originator_id: originator_id.map(Into::into),
            cluster_list,
            aigp,
            only_to_customer: otc,
            unknown: unknown
                .map(|(code, value)| UnknownAttribute {
                    flags: 0xe0,
                    code,
                    value,
                })
                .collect(),
            partial: 0,
        }
    })
}

fn capability() -> impl Strategy<Value = Capability> {
    let family = || (any::<u16>(), any::<u8>()).prop_map(|(afi, safi)| Family::new(Afi(afi), Safi(safi)));
    let mode = prop_oneof![
        Just(AddPathMode::Receive),
        Just(AddPathMode::Send),
        Just(AddPathMode::Both)
    ];
    prop_oneof![
        family().prop_map(Capability::Multiprotocol),
        Just(Capability::RouteRefresh),
        Just(Capability::ExtendedMessage),
        asn().prop_map(Capability::FourOctetAsn),
        vec((family(), mode), 0..6).prop_map(Capability::AddPath),
        (
            any::<bool>(),
            any::<bool>(),
            0..4096_u16,
            vec((family(), any::<bool>()), 0..6)
        )
            .prop_map(|(restarting, notification, restart_time_s, families)| {
                Capability::GracefulRestart {
                    restarting,
                    notification,
                    restart_time_s,
                    families: families
                        .into_iter()
                        .map(|(family, forwarding)| GrFamily { family, forwarding })
                        .collect(),
                }
            }),
        ("[a-z]{0,20}", "[a-z.]{0,20}").prop_map(|(hostname, domain)| Capability::Fqdn { hostname, domain }),
        (128..=255_u8, vec(any::<u8>(), 0..200))
            .prop_map(|(code, value)| Capability::Unknown { code, value }),
    ]
}

fn open() -> impl Strategy<Value = Open> {
    (
        1..=u16::MAX,
        prop_oneof![Just(0), 3..=u16::MAX],
        1..=u32::MAX,
        vec(capability(), 0..12),
    )
        .prop_map(|(asn, hold_time, identifier, capabilities)| {
            let mut distinct = Vec::new();
            for capability in capabilities {
                if !distinct.contains(&capability) {
                    distinct.push(capability);
                }
            }
            Open {
                version: 4,
                asn,
                hold_time,
                bgp_identifier: identifier.into(),
                capabilities: distinct,
            }
        })
}
