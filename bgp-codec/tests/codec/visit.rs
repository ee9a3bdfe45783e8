//! The visitor is told what the view says, of whatever octets.

use bgp_codec::{
    AsPathBuf, Asn, Community, DecodeContext, Family, FamilySet, LargeCommunity, NextHop, Nlri,
    PathAttributes, PeerKind, Treatment, UpdateWriter, WriteContext, header,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;

use crate::targets::said::agree;

fn context(internal: bool, four_octet_asn: bool, add_path: bool) -> DecodeContext {
    let kind = if internal {
        PeerKind::Internal
    } else {
        PeerKind::External
    };
    DecodeContext {
        four_octet_asn,
        add_path: families(add_path),
        ..DecodeContext::all(kind)
    }
}

fn families(all: bool) -> FamilySet {
    if all { FamilySet::ALL } else { FamilySet::EMPTY }
}

/// Octets of an UPDATE's body, written for this context.
fn body(context: &DecodeContext, ipv6: bool, rich: bool) -> Vec<u8> {
    let internal = context.peer == PeerKind::Internal;
    let attributes = PathAttributes {
        as_path: AsPathBuf::from_sequence([64_512, 64_513].map(Asn)),
        med: rich.then_some(10),
        local_pref: internal.then_some(100),
        originator_id: (internal && rich).then_some([192, 0, 2, 9].into()),
        cluster_list: if internal && rich {
            vec![[192, 0, 2, 7].into(), [192, 0, 2, 8].into()]
        } else {
            vec![]
        },
        communities: vec![Community::new(64_512, 1), Community::new(64_512, 2)],
        large_communities: if rich {
            vec![LargeCommunity {
                global: 64_512,
                local1: 1,
                local2: 2,
            }]
        } else {
            vec![]
        },
        ..PathAttributes::default()
    };
    let mut out = Vec::new();
    let write = WriteContext {
        four_octet_asn: context.four_octet_asn,
        max_message: 4096,
        add_path: context.add_path,
    };
    let mut writer = UpdateWriter::new(&mut out, write);
    let nlri = |prefix: IpNet| Nlri { path_id: 7, prefix };
    if ipv6 {
        let prefixes =
            [48, 64].map(|len| nlri(Ipv6Net::new([0x2001; 8].into(), len).unwrap().trunc().into()));
        let next_hop = NextHop::V6("2001:db8::1".parse().unwrap());
        writer
            .announce(Family::IPV6_UNICAST, &attributes, next_hop, prefixes)
            .unwrap();
    } else {
        let prefixes =
            [9, 24].map(|len| nlri(Ipv4Net::new([10, 1, 2, 0].into(), len).unwrap().trunc().into()));
        writer
            .announce(Family::IPV4_UNICAST, &attributes, [192, 0, 2, 1].into(), prefixes)
            .unwrap();
    }
    out.split_off(header::HEADER_LEN)
}

/// ORIGIN, AS_PATH of so many numbers and NEXT_HOP, with the length of AS_PATH in one octet or in two; then a prefix.
fn usual(numbers: &[u32], long: bool) -> Vec<u8> {
    let len = u8::try_from(2 + 4 * numbers.len()).unwrap();
    let mut attributes = vec![0x40, 1, 1, 0];
    attributes.extend_from_slice(if long { &[0x50, 2, 0] } else { &[0x40, 2] });
    attributes.extend([len, 2, u8::try_from(numbers.len()).unwrap()]);
    numbers
        .iter()
        .for_each(|number| attributes.extend(number.to_be_bytes()));
    attributes.extend([0x40, 3, 4, 192, 0, 2, 1]);
    let mut body = vec![0, 0, 0, u8::try_from(attributes.len()).unwrap()];
    body.extend(attributes);
    body.extend([24, 198, 51, 100]);
    body
}

#[test]
fn as_zero_is_found_at_every_place_of_a_path() {
    for count in 1..=18 {
        for long in [false, true] {
            let mut numbers: Vec<u32> = (0..count).map(|number| 0x0001_0000 << (number % 8)).collect();
            let context = context(false, true, false);
            assert_eq!(agree(&usual(&numbers, long), &context), None);
            for place in 0..numbers.len() {
                let number = std::mem::take(&mut numbers[place]);
                let treatment = agree(&usual(&numbers, long), &context);
                assert_eq!(treatment, Some(Treatment::TreatAsWithdraw), "{place} of {count}");
                numbers[place] = number;
            }
        }
    }
}

#[test]
fn attributes_may_end_anywhere_among_the_usual_ones() {
    let whole = usual(&[64_512, 64_513], false);
    for len in 0..=whole[3] + 4 {
        let mut body = whole.clone();
        body[3] = len;
        agree(&body, &context(false, true, false));
        agree(&body[..4 + usize::from(len)], &context(false, true, false));
    }
}

/// MP_REACH_NLRI before all others, with its length in one octet or in two, then ORIGIN and AS_PATH.
fn reach_first(long: bool) -> Vec<u8> {
    let next_hop = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let value = [&[0, 2, 1, 16][..], &next_hop, &[0, 32, 0x20, 1, 0x0d, 0xb8]].concat();
    let mut attributes = if long { vec![0x90, 14, 0] } else { vec![0x80, 14] };
    attributes.push(u8::try_from(value.len()).unwrap());
    attributes.extend(value);
    attributes.extend([0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0]);
    let mut body = vec![0, 0, 0, u8::try_from(attributes.len()).unwrap()];
    body.extend(attributes);
    body
}

#[test]
fn attributes_may_end_anywhere_behind_a_first_mp_reach_nlri() {
    let context = context(false, true, false);
    for long in [false, true] {
        let whole = reach_first(long);
        assert_eq!(agree(&whole, &context), None);
        for len in 0..=whole[3] {
            let mut body = whole.clone();
            body[3] = len;
            agree(&body, &context);
            agree(&body[..4 + usize::from(len)], &context);
            body.extend([24, 198, 51, 100]);
            agree(&body, &context);
        }
        let at = if long { 7 } else { 6 };
        for len in 0..=u8::MAX {
            let mut body = whole.clone();
            body[at] = len;
            agree(&body, &context);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 4096 }))]

    #[test]
    fn visitor_hears_what_the_view_says(
        (internal, four_octet, add_path, ipv6, rich) in any::<(bool, bool, bool, bool, bool)>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let context = context(internal, four_octet, add_path);
        let mut octets = body(&context, ipv6, rich);
        let untouched = changes.is_empty();
        for (at, octet) in changes {
            let at = at.index(octets.len());
            octets[at] = octet;
        }
        let treatment = agree(&octets, &context);
        prop_assert!(!untouched || treatment.is_none());
    }

    #[test]
    fn visitor_and_view_agree_on_any_octets(
        (internal, four_octet, add_path) in any::<(bool, bool, bool)>(),
        octets in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        agree(&octets, &context(internal, four_octet, add_path));
    }
}
