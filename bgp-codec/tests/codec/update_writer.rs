//! The writer: packing, splitting, next hop places, what does not fit.

use std::net::{Ipv4Addr, Ipv6Addr};

use bgp_codec::{
    AsPathBuf, Asn, Community, DecodeContext, Family, FamilySet, MessageType, NextHop, Nlri, PathAttributes,
    PeerKind, Update, UpdateWriter, WriteContext, WriteError, header,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

const MAX: usize = header::MAX_MESSAGE;

#[test]
fn messages_are_full_to_the_last_prefix_that_fits() {
    // Header, lengths and attributes (ORIGIN 4, AS_PATH 9, NEXT_HOP 7) leave 4096 - 43 octets; a /24 takes four.
    let per_message = (MAX - 43) / 4;
    for count in [
        1,
        per_message - 1,
        per_message,
        per_message + 1,
        2 * per_message,
        2 * per_message + 1,
    ] {
        let mut out = Vec::new();
        let messages = UpdateWriter::new(&mut out, context())
            .announce(
                Family::IPV4_UNICAST,
                &attributes(),
                [192, 0, 2, 1].into(),
                ipv4(count),
            )
            .unwrap();
        assert_eq!(messages, count.div_ceil(per_message));
        let lengths: Vec<_> = updates(&out).iter().map(|message| message.len()).collect();
        assert_eq!(lengths.len(), messages);
        assert!(
            lengths[..messages - 1]
                .iter()
                .all(|len| *len == 43 + 4 * per_message)
        );
        assert_eq!(announced(&out, &context()), ipv4(count).collect::<Vec<_>>());
    }
}

#[test]
fn exact_fit_uses_every_octet() {
    let mut attributes = attributes();
    attributes.unknown.push(bgp_codec::UnknownAttribute {
        flags: 0xe0,
        code: 200,
        value: vec![0; 4096 - 43 - 4 - 4],
    });
    let mut out = Vec::new();
    let mut writer = UpdateWriter::new(&mut out, context());
    assert_eq!(
        writer.announce(Family::IPV4_UNICAST, &attributes, [192, 0, 2, 1].into(), ipv4(1)),
        Ok(1)
    );
    assert_eq!(out.len(), MAX);
    attributes.unknown[0].value.push(0);
    out.clear();
    let mut writer = UpdateWriter::new(&mut out, context());
    let error = writer
        .announce(Family::IPV4_UNICAST, &attributes, [192, 0, 2, 1].into(), ipv4(1))
        .unwrap_err();
    assert_eq!(
        error,
        WriteError::TooLong {
            size: MAX + 1,
            limit: MAX,
            written: 0
        }
    );
    assert!(out.is_empty());
    // A shorter prefix still fits.
    let short: [Nlri<Ipv4Net>; 1] = [Nlri::new("10.0.0.0/8".parse().unwrap())];
    let mut writer = UpdateWriter::new(&mut out, context());
    assert_eq!(
        writer.announce(Family::IPV4_UNICAST, &attributes, [192, 0, 2, 1].into(), short),
        Ok(1)
    );
}

#[test]
fn what_does_not_fit_says_how_much_was_written() {
    let mut attributes = attributes();
    attributes.unknown.push(bgp_codec::UnknownAttribute {
        flags: 0xe0,
        code: 200,
        value: vec![0; 4096 - 43 - 4 - 2],
    });
    let nlri: Vec<Nlri<Ipv4Net>> = ["10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/24"]
        .map(|text| Nlri::new(text.parse().unwrap()))
        .to_vec();
    let mut out = Vec::new();
    let error = UpdateWriter::new(&mut out, context())
        .announce(Family::IPV4_UNICAST, &attributes, [192, 0, 2, 1].into(), &nlri)
        .unwrap_err();
    assert_eq!(
        error,
        WriteError::TooLong {
            size: MAX + 2,
            limit: MAX,
            written: 2
        }
    );
    assert_eq!(announced(&out, &context()).len(), 2);
}

#[test]
fn next_hop_ranges_point_at_the_addresses() {
    let ipv6 = |count: u32| {
        (0..count).map(|index| Nlri::new(Ipv6Net::new(Ipv6Addr::from(u128::from(index) << 80), 48).unwrap()))
    };
    let global: Ipv6Addr = "2001:db8::1".parse().unwrap();
    let both = NextHop::V6WithLinkLocal {
        global,
        link_local: "fe80::1".parse().unwrap(),
    };
    let mut out = vec![0xaa; 5];
    let mut writer = UpdateWriter::new(&mut out, context());
    writer
        .announce(
            Family::IPV4_UNICAST,
            &attributes(),
            [192, 0, 2, 1].into(),
            ipv4(2000),
        )
        .unwrap();
    writer
        .announce(Family::IPV6_UNICAST, &attributes(), both, ipv6(2))
        .unwrap();
    writer
        .announce(Family::IPV4_UNICAST, &attributes(), global.into(), ipv4(1))
        .unwrap();
    let ranges = writer.into_next_hop_ranges();
    assert_eq!(ranges.len(), 4);
    assert_eq!(out[ranges[0].clone()], [192, 0, 2, 1]);
    assert_eq!(out[ranges[1].clone()], [192, 0, 2, 1]);
    assert_eq!(out[ranges[2].clone()][..16], global.octets());
    assert_eq!(ranges[2].len(), 32);
    assert_eq!(out[ranges[3].clone()], global.octets());
    // Patched in place, the message means the other address.
    out[ranges[0].clone()].copy_from_slice(&[203, 0, 113, 9]);
    let first = updates(&out[5..])[0];
    let update = Update::decode(&first[19..], &DecodeContext::all(PeerKind::External)).unwrap();
    assert_eq!(
        update.announced().next().unwrap().next_hop,
        Some([203, 0, 113, 9].into())
    );
}

#[test]
fn multiprotocol_withdraws_split_too() {
    let nlri = || {
        (0..2000_u32)
            .map(|index| Nlri::new(Ipv6Net::new(Ipv6Addr::from(u128::from(index) << 80), 48).unwrap()))
    };
    let mut out = Vec::new();
    let mut writer = UpdateWriter::new(&mut out, context());
    let messages = writer.withdraw(Family::IPV6_UNICAST, nlri()).unwrap();
    let ipv4_messages = writer.withdraw(Family::IPV4_UNICAST, ipv4(2000)).unwrap();
    // 4096 - 23 - 7 octets for seven each; 4096 - 23 octets for four each.
    assert_eq!(
        (messages, ipv4_messages),
        (2000_usize.div_ceil(4066 / 7), 2000_usize.div_ceil(4073 / 4))
    );
    let mut withdrawn = Vec::new();
    for message in updates(&out) {
        let update = Update::decode(&message[19..], &DecodeContext::all(PeerKind::Internal)).unwrap();
        assert_eq!(update.treatment(), None);
        assert_eq!(update.end_of_rib(), None);
        withdrawn.extend(
            update
                .withdrawn()
                .flat_map(|block| block.ip_prefixes())
                .map(|nlri| nlri.unwrap().prefix),
        );
    }
    let expected: Vec<IpNet> = nlri()
        .map(|nlri| nlri.prefix.into())
        .chain(ipv4(2000).map(|nlri| nlri.prefix.into()))
        .collect();
    assert_eq!(withdrawn, expected);
}

#[test]
fn path_ids_go_out_where_negotiated() {
    let context = WriteContext {
        add_path: FamilySet::IPV4_UNICAST,
        ..context()
    };
    let nlri = [0, 1, u32::MAX].map(|path_id| Nlri {
        path_id,
        prefix: "10.0.0.0/8".parse::<Ipv4Net>().unwrap(),
    });
    let mut out = Vec::new();
    let mut writer = UpdateWriter::new(&mut out, context);
    writer
        .announce(Family::IPV4_UNICAST, &attributes(), [192, 0, 2, 1].into(), nlri)
        .unwrap();
    assert_eq!(announced(&out, &context), nlri);
}

#[test]
fn opaque_families_pass_through() {
    // An EVPN route of type 3, and a labelled VPN prefix.
    let evpn: &[u8] = &[3, 4, 1, 2, 3, 4];
    let vpn: &[u8] = &[112, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1, 10, 1, 2];
    let flow: &[u8] = &[3, 1, 8, 10];
    for (family, item, next_hop) in [
        (Family::L2VPN_EVPN, evpn, Some([192, 0, 2, 1].into())),
        (Family::IPV4_MPLS_VPN, vpn, Some([192, 0, 2, 1].into())),
        (Family::IPV4_FLOWSPEC, flow, None),
    ] {
        let mut block = Vec::new();
        attributes().encode_canonical(&mut block);
        let mut out = Vec::new();
        let mut writer = UpdateWriter::new(&mut out, context());
        assert_eq!(
            writer.announce_canonical(family, &block, next_hop, [Nlri::new(item), Nlri::new(item)]),
            Ok(1)
        );
        if next_hop.is_some() {
            let ranges = writer.into_next_hop_ranges();
            assert_eq!(out[ranges[0].clone()], [192, 0, 2, 1]);
        }
        let update = Update::decode(&out[19..], &DecodeContext::all(PeerKind::Internal)).unwrap();
        assert_eq!(update.check_nlri(), Ok(()));
        let announced = update.announced().next().unwrap();
        assert_eq!(announced.next_hop, next_hop);
        let items: Vec<_> = announced.nlri.opaque().map(|item| item.unwrap().prefix).collect();
        assert_eq!(items, [item, item]);
    }
}

#[test]
fn wrong_families_and_next_hops_are_refused() {
    let mut out = Vec::new();
    let mut writer = UpdateWriter::new(&mut out, context());
    assert_eq!(
        writer.announce(
            Family::IPV6_UNICAST,
            &attributes(),
            "2001:db8::1".parse::<Ipv6Addr>().unwrap().into(),
            ipv4(1)
        ),
        Err(WriteError::Family {
            family: Family::IPV6_UNICAST,
            written: 0
        })
    );
    let next_hop = NextHop::from([192, 0, 2, 1]);
    assert_eq!(
        writer.announce(Family::IPV6_UNICAST, &attributes(), next_hop, ipv4(1)),
        Err(WriteError::NextHop {
            family: Family::IPV6_UNICAST,
            next_hop
        })
    );
    let family = Family::IPV6_UNICAST;
    let prefix = Ipv6Net::default();
    assert_eq!(
        writer.announce_canonical(family, &[], None, [Nlri::new(prefix)]),
        Err(WriteError::NoNextHop { family })
    );
    assert_eq!(
        writer.withdraw(Family::IPV4_UNICAST, std::iter::empty::<Nlri<Ipv4Net>>()),
        Ok(0)
    );
    assert!(out.is_empty());
}

#[test]
fn end_of_rib_reads_back_in_every_family() {
    for family in Family::KNOWN.iter().copied() {
        let mut out = Vec::new();
        UpdateWriter::new(&mut out, context()).end_of_rib(family);
        let message = updates(&out)[0];
        let update = Update::decode(&message[19..], &DecodeContext::all(PeerKind::Internal)).unwrap();
        assert_eq!(update.end_of_rib(), Some(family));
    }
}

#[test]
fn prepending_opens_a_segment_when_the_first_is_full_or_a_set() {
    let mut path = AsPathBuf::from_sequence((1..=254).map(Asn));
    path.prepend(Asn(9), 3);
    assert_eq!(
        path.segments
            .iter()
            .map(|segment| segment.asns.len())
            .collect::<Vec<_>>(),
        [2, 255]
    );
    let mut path: AsPathBuf = "{1 2}".parse().unwrap();
    path.prepend(Asn(9), 1);
    assert_eq!(path.to_string(), "9 {1,2}");
    let mut path: AsPathBuf = "(64600) 1".parse().unwrap();
    path.prepend_confederation(Asn(64_601), 1);
    assert_eq!(path.to_string(), "(64601 64600) 1");
    path.strip_confederation();
    path.prepend(Asn(9), 600);
    assert_eq!(path.path_length(), 601);
    assert!(path.segments.iter().all(|segment| segment.asns.len() <= 255));
}

#[test]
fn canonical_blocks_ignore_the_order_received() {
    let communities = crate::common::attribute(0xc0, 8, &[0, 1, 0, 2]);
    let unknown = crate::common::attribute(0xe0, 9 + 11, &[7]);
    let body = |attributes: &[&[u8]]| {
        let bytes = crate::common::body(&[], attributes, &crate::common::NLRI);
        let update = Update::decode(&bytes, &crate::common::external()).unwrap();
        assert_eq!(update.treatment(), None);
        let mut block = Vec::new();
        PathAttributes::from(update.attributes()).encode_canonical(&mut block);
        block
    };
    use crate::common::{AS_PATH, NEXT_HOP, ORIGIN};
    let one = body(&[&ORIGIN, &AS_PATH, &NEXT_HOP, &communities, &unknown]);
    let other = body(&[&unknown, &communities, &NEXT_HOP, &AS_PATH, &ORIGIN]);
    assert_eq!(one, other);
    let codes: Vec<_> = bgp_codec::Attributes::from_canonical(&one)
        .iter_raw()
        .map(|attribute| attribute.code)
        .collect();
    assert_eq!(codes, [1, 2, 8, 20]);
}

/// RFC 4271 §5: ascending types; RFC 7606 §5.1: MP_REACH_NLRI before all.
#[test]
fn attributes_go_out_in_one_order() {
    let unknown = |code| bgp_codec::UnknownAttribute {
        flags: 0xe0,
        code,
        value: vec![7],
    };
    let attributes = PathAttributes {
        as_path: "64512 4200000000".parse().unwrap(),
        med: Some(1),
        local_pref: Some(2),
        atomic_aggregate: true,
        aggregator: "4200000000 192.0.2.9".parse().ok(),
        communities: vec![Community::NO_EXPORT],
        originator_id: Some([192, 0, 2, 8].into()),
        cluster_list: vec![[192, 0, 2, 7].into()],
        extended_communities: vec!["rt:1:2".parse().unwrap()],
        ipv6_extended_communities: vec!["rt:[::1]:2".parse().unwrap()],
        large_communities: vec!["1:2:3".parse().unwrap()],
        aigp: Some(4),
        only_to_customer: Some(Asn(5)),
        unknown: [11, 19, 30, 99, 200].map(unknown).to_vec(),
        ..PathAttributes::default()
    };
    let mut later = vec![4, 5, 6, 7, 8, 9, 10, 11, 16, 19, 25, 26, 30, 32, 35, 99, 200];
    for four_octet_asn in [true, false] {
        if !four_octet_asn {
            later.extend([17, 18]);
            later.sort_unstable();
        }
        let context = WriteContext {
            four_octet_asn,
            ..context()
        };
        let mut out = Vec::new();
        let mut writer = UpdateWriter::new(&mut out, context);
        let global: Ipv6Addr = "2001:db8::1".parse().unwrap();
        let ipv6 = [Nlri::new("2001:db8::/32".parse::<Ipv6Net>().unwrap())];
        writer
            .announce(Family::IPV4_UNICAST, &attributes, [192, 0, 2, 1].into(), ipv4(1))
            .unwrap();
        writer
            .announce(Family::IPV6_UNICAST, &attributes, global.into(), ipv6)
            .unwrap();
        let read = DecodeContext {
            four_octet_asn,
            ..DecodeContext::all(PeerKind::Internal)
        };
        for (message, first) in updates(&out).into_iter().zip([&[1, 2, 3][..], &[14, 1, 2]]) {
            let update = Update::decode(&message[19..], &read).unwrap();
            assert_eq!(update.treatment(), None);
            let codes: Vec<_> = update
                .attributes()
                .iter_raw()
                .map(|attribute| attribute.code)
                .collect();
            assert_eq!(codes, [first, &later].concat());
        }
    }
}

#[test]
fn interning_key_leaves_out_only_the_nlri() {
    use crate::common::{AS_PATH, MP_REACH, ORIGIN, body, external};
    let mut other = MP_REACH;
    other[28] = 0xb9;
    let key = |attributes: &[&[u8]]| {
        let bytes = body(&[], attributes, &[]);
        let update = Update::decode(&bytes, &external()).unwrap();
        let mut scratch = Vec::new();
        update.interning_key(&mut scratch).to_vec()
    };
    let one = key(&[&MP_REACH, &ORIGIN, &AS_PATH]);
    assert_eq!(one, key(&[&other, &ORIGIN, &AS_PATH]));
    other[7] = 9;
    assert_ne!(one, key(&[&other, &ORIGIN, &AS_PATH]));
    assert_ne!(one, key(&[&MP_REACH, &[0x40, 1, 1, 2], &AS_PATH]));
}

#[test]
fn partial_bit_of_known_attributes_stays() {
    let bytes = crate::common::body(
        &[],
        &[
            &crate::common::ORIGIN,
            &crate::common::AS_PATH,
            &crate::common::NEXT_HOP,
            &[0xe0, 8, 4, 0, 1, 0, 2],
        ],
        &crate::common::NLRI,
    );
    let update = Update::decode(&bytes, &crate::common::external()).unwrap();
    let owned = PathAttributes::from(update.attributes());
    assert_eq!(owned.communities, [Community::new(1, 2)]);
    let mut block = Vec::new();
    owned.encode_canonical(&mut block);
    assert!(block.ends_with(&[0xe0, 8, 4, 0, 1, 0, 2]));
    assert_eq!(
        PathAttributes::from(&bgp_codec::Attributes::from_canonical(&block)),
        PathAttributes {
            next_hop: None,
            ..owned
        }
    );
}

fn context() -> WriteContext {
    WriteContext {
        four_octet_asn: true,
        max_message: MAX,
        add_path: FamilySet::EMPTY,
    }
}

/// ORIGIN and an AS_PATH of one number.
fn attributes() -> PathAttributes {
    PathAttributes {
        as_path: "64512".parse().unwrap(),
        ..PathAttributes::default()
    }
}

fn ipv4(count: usize) -> impl Iterator<Item = Nlri<Ipv4Net>> {
    (0..u32::try_from(count).unwrap())
        .map(|index| Nlri::new(Ipv4Net::new(Ipv4Addr::from((10 << 24) | (index << 8)), 24).unwrap()))
}

/// The messages of a buffer.
fn updates(mut rest: &[u8]) -> Vec<&[u8]> {
    let mut messages = Vec::new();
    while let Some(frame) = header::frame(rest, MAX).unwrap() {
        assert_eq!(frame.kind, MessageType::Update);
        messages.push(&rest[..frame.len]);
        rest = &rest[frame.len..];
    }
    assert!(rest.is_empty());
    messages
}

fn announced(bytes: &[u8], context: &WriteContext) -> Vec<Nlri<Ipv4Net>> {
    let context = DecodeContext {
        add_path: context.add_path,
        ..DecodeContext::all(PeerKind::External)
    };
    let mut nlri = Vec::new();
    for message in updates(bytes) {
        let update = Update::decode(&message[19..], &context).unwrap();
        assert_eq!(update.treatment(), None);
        for announced in update.announced() {
            nlri.extend(announced.nlri.prefixes::<Ipv4Net>().map(|nlri| nlri.unwrap()));
        }
    }
    nlri
}
