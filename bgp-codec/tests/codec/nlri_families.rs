//! Families that are carried as octets: where an item ends, and what cannot be one.

use crate::common::{AS_PATH, ORIGIN, attribute, body, external, internal};
use bgp_codec::{
    DecodeContext, Family, FamilySet, Nlri, NlriBlock, NlriError, Update, UpdateWriter, WriteContext,
};

/// One good item of each family; some twice, in another form.
fn items() -> Vec<(Family, Vec<u8>)> {
    let distinguisher = [0, 0, 0xfc, 0, 0, 0, 0, 1];
    let label = [0x00, 0x01, 0x01];
    let vpn = |bits: u8, prefix: &[u8]| [&[bits][..], &label, &distinguisher, prefix].concat();
    vec![
        (Family::IPV4_UNICAST, vec![24, 192, 0, 2]),
        (Family::IPV6_MULTICAST, vec![32, 0x20, 1, 0xd, 0xb8]),
        (
            Family::IPV4_LABELED_UNICAST,
            [&[48][..], &label, &[192, 0, 2]].concat(),
        ),
        // Two labels; the bottom of the stack is the second.
        (Family::IPV4_LABELED_UNICAST, vec![56, 0, 1, 0, 0, 1, 1, 10]),
        // A withdrawal stands for any label, RFC 8277 §2.4.
        (Family::IPV4_LABELED_UNICAST, vec![32, 0x80, 0, 0, 10]),
        (Family::IPV4_LABELED_UNICAST, vec![24, 0, 0, 0]),
        (
            Family::IPV6_LABELED_UNICAST,
            [&[56][..], &label, &[0x20, 1, 0xd, 0xb8]].concat(),
        ),
        (Family::IPV4_MPLS_VPN, vpn(112, &[192, 0, 2])),
        (Family::IPV4_MPLS_VPN, vpn(88, &[])),
        (Family::IPV6_MPLS_VPN, vpn(120, &[0x20, 1, 0xd, 0xb8])),
        // RFC 8955 §4.3: all packets to 192.0.2/24 and TCP.
        (Family::IPV4_FLOWSPEC, vec![8, 1, 24, 192, 0, 2, 3, 0x81, 6]),
        (Family::IPV4_FLOWSPEC, [&[0xf0, 0xf1][..], &[3; 241]].concat()),
        (Family::IPV6_FLOWSPEC, vec![3, 3, 0x81, 6]),
        (
            Family::IPV4_FLOWSPEC_VPN,
            [&[11][..], &distinguisher, &[3, 0x81, 6]].concat(),
        ),
        // EVPN type 3, RFC 7432 §7.3.
        (
            Family::L2VPN_EVPN,
            [&[3, 17][..], &distinguisher, &[0; 4], &[32, 192, 0, 2, 1]].concat(),
        ),
        // RFC 4761 §3.2.2.
        (
            Family::L2VPN_VPLS,
            [&[0, 17][..], &distinguisher, &[0; 9]].concat(),
        ),
        (Family::ROUTE_TARGET, vec![0]),
        (
            Family::ROUTE_TARGET,
            [&[96, 0, 0, 0xfc, 0][..], &[0, 2, 0xfc, 0, 0, 0, 0, 1]].concat(),
        ),
        (Family::BGP_LS, vec![0, 1, 0, 3, 1, 2, 3]),
    ]
}

#[test]
fn items_end_where_their_family_says() {
    for (family, item) in items() {
        for add_path in [false, true] {
            let mut bytes = Vec::new();
            for path_id in [7_u32, u32::MAX] {
                if add_path {
                    bytes.extend(path_id.to_be_bytes());
                }
                bytes.extend_from_slice(&item);
            }
            let block = NlriBlock::new(family, &bytes, add_path);
            let read: Vec<_> = block.opaque().map(|item| item.unwrap()).collect();
            let ids = if add_path { [7, u32::MAX] } else { [0, 0] };
            let expected = ids.map(|path_id| Nlri {
                path_id,
                prefix: &item[..],
            });
            assert_eq!(read, expected, "{family}");
            assert_eq!(block.check(), Ok(()));
            // Cut anywhere, the last one is an error and the first is still there.
            let one = bytes.len() / 2;
            for len in one + 1..bytes.len() {
                let cut = NlriBlock::new(family, &bytes[..len], add_path);
                assert_eq!(cut.check(), Err(NlriError::Truncated), "{family} {len}");
                assert_eq!(cut.opaque().next().unwrap().unwrap(), expected[0]);
                assert_eq!(cut.opaque().count(), 2);
            }
        }
    }
}

#[test]
fn items_are_carried_from_message_to_message() {
    for (family, item) in items() {
        let context = WriteContext {
            four_octet_asn: true,
            max_message: 4096,
            add_path: FamilySet::ALL,
        };
        let nlri = Nlri {
            path_id: 9,
            prefix: &item[..],
        };
        let mut out = Vec::new();
        let mut block = Vec::new();
        bgp_codec::PathAttributes::default().encode_canonical(&mut block);
        let next_hop: std::net::IpAddr = match family.afi.0 {
            1 => [192, 0, 2, 1].into(),
            _ => "2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().into(),
        };
        let mut writer = UpdateWriter::new(&mut out, context);
        writer
            .announce_canonical(family, &block, Some(next_hop.into()), [nlri])
            .unwrap();
        writer.withdraw(family, [nlri]).unwrap();
        let receive = DecodeContext {
            add_path: FamilySet::ALL,
            ..internal()
        };
        let len = usize::from(u16::from_be_bytes([out[16], out[17]]));
        let update = Update::decode(&out[19..len], &receive).unwrap();
        update.check_nlri().unwrap();
        let announced = update.announced().next().unwrap();
        assert_eq!(announced.nlri.opaque().next().unwrap().unwrap(), nlri, "{family}");
        let update = Update::decode(&out[len + 19..], &receive).unwrap();
        assert_eq!(
            update
                .withdrawn()
                .next()
                .unwrap()
                .opaque()
                .next()
                .unwrap()
                .unwrap(),
            nlri
        );
    }
}

#[test]
fn impossible_items_are_refused() {
    for (family, bytes, error) in [
        (
            Family::IPV4_UNICAST,
            &[33, 1, 1, 1, 1, 1][..],
            NlriError::PrefixLength(33),
        ),
        (Family::IPV6_UNICAST, &[129; 18], NlriError::PrefixLength(129)),
        // No room for a label; no bottom of the stack; an address too long behind it.
        (Family::IPV4_LABELED_UNICAST, &[16, 1, 1], NlriError::Form(16)),
        (
            Family::IPV4_LABELED_UNICAST,
            &[48, 0, 1, 0, 0, 1, 0],
            NlriError::Form(48),
        ),
        (
            Family::IPV4_LABELED_UNICAST,
            &[57, 0, 1, 1, 1, 1, 1, 1, 1],
            NlriError::Form(57),
        ),
        (
            Family::IPV4_MPLS_VPN,
            &[80, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0],
            NlriError::Form(80),
        ),
        (Family::IPV4_FLOWSPEC_VPN, &[3, 3, 0x81, 6], NlriError::Form(3)),
        (Family::ROUTE_TARGET, &[31, 0, 0, 0, 0], NlriError::Form(31)),
        (Family::ROUTE_TARGET, &[97; 14], NlriError::PrefixLength(97)),
    ] {
        let block = NlriBlock::new(family, bytes, false);
        assert_eq!(block.check(), Err(error), "{family} {bytes:?}");
        let value = [&[0, family.afi.0.to_be_bytes()[1], family.safi.0][..], bytes].concat();
        let message = body(&[], &[&attribute(0x80, 15, &value)], &[]);
        let error = Update::decode(&message, &external())
            .unwrap()
            .check_nlri()
            .unwrap_err();
        assert_eq!((error.subcode(), error.family()), (9, Some(family)));
    }
}

#[test]
fn families_without_a_next_hop_are_announced_without_one() {
    let value = [&[0, 1, 133, 0, 0][..], &[3, 3, 0x81, 6]].concat();
    let bytes = body(&[], &[&attribute(0x80, 14, &value), &ORIGIN, &AS_PATH], &[]);
    let update = Update::decode(&bytes, &external()).unwrap();
    let announced = update.announced().next().unwrap();
    assert_eq!(
        (announced.next_hop, announced.nlri.family),
        (None, Family::IPV4_FLOWSPEC)
    );
}
