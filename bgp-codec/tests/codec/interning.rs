//! The key that is found without decoding agrees with what decoding says.

use bgp_codec::{
    AsPathBuf, Asn, Community, DecodeContext, Family, FamilySet, NextHop, Nlri, PathAttributes, PeerKind,
    RawUpdate, Update, UpdateWriter, WriteContext, header,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;

fn attributes() -> impl Strategy<Value = PathAttributes> {
    // Few values, so that two sets are often the same.
    (1..3_u32, 0..2_u32, prop::option::of(0..2_u32)).prop_map(|(asn, community, med)| PathAttributes {
        as_path: AsPathBuf::from_sequence([Asn(asn)]),
        communities: vec![Community(community)],
        med,
        ..PathAttributes::default()
    })
}

/// The body of an UPDATE that announces, and may withdraw in the same message.
fn body() -> impl Strategy<Value = Vec<u8>> {
    (
        attributes(),
        0..2_u8,
        any::<bool>(),
        1..4_u8,
        prop::bool::weighted(0.3),
    )
        .prop_map(|(attributes, hop, ipv6, count, withdraws)| {
            let context = WriteContext {
                four_octet_asn: true,
                max_message: 4096,
                add_path: FamilySet::EMPTY,
            };
            let mut out = Vec::new();
            let mut writer = UpdateWriter::new(&mut out, context);
            if ipv6 {
                let prefixes = (0..count).map(|n| {
                    Nlri::new(Ipv6Net::new([0x2001, 0, 0, n.into(), 0, 0, 0, 0].into(), 64).unwrap())
                });
                let next_hop = NextHop::V6([0x2001, 0, 0, 0, 0, 0, 0, hop.into()].into());
                writer
                    .announce(Family::IPV6_UNICAST, &attributes, next_hop, prefixes)
                    .unwrap();
            } else {
                let prefixes = (0..count).map(|n| Nlri::new(Ipv4Net::new([10, 0, n, 0].into(), 24).unwrap()));
                writer
                    .announce(
                        Family::IPV4_UNICAST,
                        &attributes,
                        [192, 0, 2, hop].into(),
                        prefixes,
                    )
                    .unwrap();
            }
            let mut body = out.split_off(header::HEADER_LEN);
            if withdraws {
                // MP_UNREACH_NLRI of 2001:db8::/32 at the end of the attributes.
                let unreach = [0x80, 15, 8, 0, 2, 1, 32, 0x20, 1, 0x0d, 0xb8];
                let len = u16::from_be_bytes([body[2], body[3]]);
                let end = 4 + usize::from(len);
                body.splice(end..end, unreach);
                let len = len + u16::try_from(unreach.len()).unwrap();
                body[2..4].copy_from_slice(&len.to_be_bytes());
            }
            body
        })
}

fn prefixes(block: bgp_codec::NlriBlock<'_>) -> Vec<IpNet> {
    block.ip_prefixes().map(|nlri| nlri.unwrap().prefix).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 2048 }))]

    #[test]
    fn equal_keys_mean_equal_attributes(one in body(), other in body()) {
        let context = DecodeContext::all(PeerKind::Internal);
        let mut seen = Vec::new();
        for body in [&one, &other] {
            let update = Update::decode(body, &context).unwrap();
            let raw = RawUpdate::find(body, &context).unwrap();
            let mut key = Vec::new();
            raw.append_key(&mut key);
            prop_assert!(raw.is_key(&key));
            prop_assert!(!raw.is_key(&key[1..]));
            let withdrawn: Vec<_> = raw.withdrawn().map(prefixes).collect();
            prop_assert_eq!(withdrawn, update.withdrawn().map(prefixes).collect::<Vec<_>>());
            let announced: Vec<_> = raw.announced().map(|item| prefixes(item.nlri)).collect();
            prop_assert_eq!(announced, update.announced().map(|item| prefixes(item.nlri)).collect::<Vec<_>>());
            seen.push((PathAttributes::from(update.attributes()), key, raw.hash(1), raw.hash(2)));
        }
        let [(attributes, key, hash, seeded), (other, other_key, other_hash, other_seeded)] = &seen[..] else {
            unreachable!()
        };
        prop_assert_eq!(attributes == other, key == other_key);
        prop_assert_eq!(key == other_key, hash == other_hash);
        prop_assert_eq!(key == other_key, seeded == other_seeded);
        prop_assert_ne!(hash, seeded);
    }

    /// Of any octets: whoever has met the key with clean attributes reads the same without decoding.
    #[test]
    fn a_clean_key_is_clean_wherever_it_comes(mut one in body(), at in any::<prop::sample::Index>(), octet in any::<u8>()) {
        let context = DecodeContext::all(PeerKind::External);
        let before = one.clone();
        let at = at.index(one.len());
        one[at] = octet;
        let (Some(raw), Some(known)) = (RawUpdate::find(&one, &context), RawUpdate::find(&before, &context)) else {
            return Ok(());
        };
        let mut key = Vec::new();
        known.append_key(&mut key);
        let clean = Update::decode(&before, &context).is_ok_and(|update| update.treatment().is_none());
        if clean && raw.is_key(&key) {
            let update = Update::decode(&one, &context).unwrap();
            prop_assert_eq!(update.treatment(), None);
            prop_assert_eq!(update.announced().count(), raw.announced().count());
            prop_assert_eq!(update.withdrawn().count(), raw.withdrawn().count());
        }
    }
}
