//! What RFC 4271 §6.3 and RFC 7606 call malformed, and what they say is done about it: one rule a test.

use crate::common::{AS_PATH, MP_REACH, NEXT_HOP, NLRI, ORIGIN, attribute, body, external, internal};
use bgp_codec::{
    AttributeErrorKind as Kind, DecodeContext, Family, FamilySet, Notification, Treatment, Update,
    UpdateError,
};

const DISCARD: Option<Treatment> = Some(Treatment::AttributeDiscard);
const WITHDRAW: Option<Treatment> = Some(Treatment::TreatAsWithdraw);

#[test]
fn clean_update_announces() {
    let update_body = body(&[], &[&ORIGIN, &AS_PATH, &NEXT_HOP], &NLRI);
    let update = Update::decode(&update_body, &external()).unwrap();
    assert_eq!(update.treatment(), None);
    assert_eq!(announced(&update), ["10.0.0.0/8"]);
    assert!(withdrawn(&update).is_empty());
}

#[test]
fn lengths_that_exceed_the_message_are_3_1() {
    for bytes in [
        &[][..],
        &[0],
        &[0, 0],
        &[0, 0, 0],
        &[0, 1, 0, 0],
        &[0, 0, 0, 1],
        &[0xff, 0xff, 0, 0, 0, 0],
        &[0, 2, 8, 10, 0, 9, 1],
    ] {
        refused(bytes, &external(), 1, &[]);
    }
}

#[test]
fn wrong_flags_withdraw() {
    for flags in [0x00, 0x80, 0xc0] {
        for (code, value) in [(1, vec![0]), (2, vec![]), (3, vec![192, 0, 2, 1]), (6, vec![])] {
            one(
                &external(),
                &attribute(flags, code, &value),
                WITHDRAW,
                Some((code, Kind::Flags)),
            );
        }
        one(
            &internal(),
            &attribute(flags, 5, &[0; 4]),
            WITHDRAW,
            Some((5, Kind::Flags)),
        );
    }
    for flags in [0x00, 0x40, 0x80] {
        for (code, len) in [(7, 8), (8, 4), (16, 8), (25, 20), (32, 12), (35, 4)] {
            one(
                &external(),
                &attribute(flags, code, &vec![1; len]),
                WITHDRAW,
                Some((code, Kind::Flags)),
            );
        }
    }
    for flags in [0x00, 0x40, 0xc0] {
        one(
            &external(),
            &attribute(flags, 4, &[0; 4]),
            WITHDRAW,
            Some((4, Kind::Flags)),
        );
        one(
            &internal(),
            &attribute(flags, 9, &[1; 4]),
            WITHDRAW,
            Some((9, Kind::Flags)),
        );
        one(
            &internal(),
            &attribute(flags, 10, &[1; 4]),
            WITHDRAW,
            Some((10, Kind::Flags)),
        );
    }
}

#[test]
fn unused_flag_bits_partial_and_extended_length_are_not_errors() {
    one(&external(), &[0x4f, 1, 1, 0], None, None);
    one(&external(), &[0x60, 1, 1, 0], None, None);
    one(&external(), &[0x50, 1, 0, 1, 0], None, None);
    one(&external(), &attribute(0xe0, 8, &[0; 4]), None, None);
}

#[test]
fn origin_of_wrong_length_or_value_withdraws() {
    one(&external(), &[0x40, 1, 0], WITHDRAW, Some((1, Kind::Length)));
    one(
        &external(),
        &[0x40, 1, 2, 0, 0],
        WITHDRAW,
        Some((1, Kind::Length)),
    );
    one(&external(), &[0x40, 1, 1, 3], WITHDRAW, Some((1, Kind::Value)));
}

#[test]
fn malformed_as_path_withdraws() {
    for value in [
        &[0, 1, 0, 0, 0, 1][..], // unknown segment kind
        &[5, 1, 0, 0, 0, 1],     // unknown segment kind
        &[2, 0],                 // empty segment
        &[2, 2, 0, 0, 0, 1],     // segment overrun
        &[2, 1, 0, 0, 0, 1, 2],  // a single stray octet
        &[2, 1, 0, 0, 0, 0],     // AS 0
        &[2, 2, 0, 0, 0, 1, 0, 0, 0, 0],
        &[1, 1, 0, 0, 0, 0],
    ] {
        one(
            &external(),
            &attribute(0x40, 2, value),
            WITHDRAW,
            Some((2, Kind::Value)),
        );
    }
    one(&internal(), &[0x40, 2, 0], None, None);
}

#[test]
fn two_octet_as_paths_are_read_by_session() {
    let context = DecodeContext {
        four_octet_asn: false,
        ..external()
    };
    one(&context, &[0x40, 2, 4, 2, 1, 0xfc, 0], None, None);
    one(
        &context,
        &[0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0],
        WITHDRAW,
        Some((2, Kind::Value)),
    );
}

#[test]
fn wrong_lengths_of_scalars_withdraw() {
    for len in [0, 3, 5] {
        one(
            &external(),
            &attribute(0x40, 3, &vec![1; len]),
            WITHDRAW,
            Some((3, Kind::Length)),
        );
        one(
            &external(),
            &attribute(0x80, 4, &vec![1; len]),
            WITHDRAW,
            Some((4, Kind::Length)),
        );
        one(
            &internal(),
            &attribute(0x40, 5, &vec![1; len]),
            WITHDRAW,
            Some((5, Kind::Length)),
        );
        one(
            &internal(),
            &attribute(0x80, 9, &vec![1; len]),
            WITHDRAW,
            Some((9, Kind::Length)),
        );
        one(
            &internal(),
            &attribute(0x80, 10, &vec![1; len]),
            WITHDRAW,
            Some((10, Kind::Length)),
        );
        one(
            &external(),
            &attribute(0xc0, 35, &vec![1; len]),
            WITHDRAW,
            Some((35, Kind::Length)),
        );
    }
}

#[test]
fn internal_attributes_from_external_peers_are_discarded_even_when_malformed() {
    for (code, flags) in [(5, 0x40), (9, 0x80), (10, 0x80)] {
        for value in [&[0, 0, 0, 9][..], &[1]] {
            for flags in [flags, 0xc0] {
                let bytes = attribute(flags, code, value);
                one(&external(), &bytes, DISCARD, Some((code, Kind::FromExternalPeer)));
            }
        }
    }
    let bytes = body(
        &[],
        &[&ORIGIN, &AS_PATH, &NEXT_HOP, &attribute(0x40, 5, &[0, 0, 0, 9])],
        &NLRI,
    );
    let update = Update::decode(&bytes, &external()).unwrap();
    assert_eq!(update.attributes().local_pref(), None);
    assert_eq!(announced(&update), ["10.0.0.0/8"]);
}

#[test]
fn atomic_aggregate_with_a_value_is_discarded() {
    one(&external(), &[0x40, 6, 1, 0], DISCARD, Some((6, Kind::Length)));
}

#[test]
fn aggregator_is_eight_octets_or_six_by_session() {
    let narrow = DecodeContext {
        four_octet_asn: false,
        ..external()
    };
    let path = [0x40, 2, 4, 2, 1, 0xfc, 0];
    one(
        &external(),
        &attribute(0xc0, 7, &[0, 0, 0xfc, 0, 1, 1, 1, 1]),
        None,
        None,
    );
    one(
        &external(),
        &attribute(0xc0, 7, &[0xfc, 0, 1, 1, 1, 1]),
        DISCARD,
        Some((7, Kind::Length)),
    );
    let with = |value: &[u8]| {
        body(
            &[],
            &[&ORIGIN, &path, &NEXT_HOP, &attribute(0xc0, 7, value)],
            &NLRI,
        )
    };
    let treatment = |bytes: &[u8]| Update::decode(bytes, &narrow).unwrap().treatment();
    assert_eq!(treatment(&with(&[0xfc, 0, 1, 1, 1, 1])), None);
    assert_eq!(treatment(&with(&[0, 0, 0xfc, 0, 1, 1, 1, 1])), DISCARD);
}

#[test]
fn as_zero_in_aggregator_discards_it() {
    one(
        &external(),
        &attribute(0xc0, 7, &[0, 0, 0, 0, 1, 1, 1, 1]),
        DISCARD,
        Some((7, Kind::Value)),
    );
}

#[test]
fn malformed_as4_attributes_are_discarded() {
    let context = DecodeContext {
        four_octet_asn: false,
        ..external()
    };
    let path = [0x40, 2, 4, 2, 1, 0xfc, 0];
    for (code, value) in [
        (17, &[2, 1, 0, 1][..]),
        (17, &[2, 1, 0, 0, 0, 0]),
        (18, &[1; 6]),
        (18, &[0, 0, 0, 0, 1, 1, 1, 1]),
    ] {
        let bytes = body(
            &[],
            &[&ORIGIN, &path, &NEXT_HOP, &attribute(0xc0, code, value)],
            &NLRI,
        );
        let update = Update::decode(&bytes, &context).unwrap();
        assert_eq!(update.treatment(), DISCARD, "{code} {value:?}");
        assert!(update.attributes().as4_path().is_none() && update.attributes().as4_aggregator().is_none());
    }
    // From a peer with four-octet numbers they mean nothing, whatever they hold (RFC 6793 §4.1).
    one(&external(), &attribute(0xc0, 17, &[9]), None, None);
}

#[test]
fn communities_that_are_empty_or_not_whole_withdraw() {
    for (code, item) in [(8, 4), (16, 8), (25, 20), (32, 12)] {
        for len in [0, item - 1, item + 1, item * 2 - 1] {
            one(
                &external(),
                &attribute(0xc0, code, &vec![1; len]),
                WITHDRAW,
                Some((code, Kind::Length)),
            );
        }
        for len in [item, item * 3] {
            one(&external(), &attribute(0xc0, code, &vec![1; len]), None, None);
        }
    }
}

#[test]
fn malformed_aigp_is_discarded() {
    for (flags, value) in [
        (0x80, &[][..]),
        (0x80, &[1, 0, 10, 0, 0, 0, 0, 0, 0, 1]),
        (0x80, &[1, 0, 11, 0, 0]),
        (0x80, &[1, 0, 2]),
        (0xc0, &[1, 0, 11, 0, 0, 0, 0, 0, 0, 0, 1]),
    ] {
        let bytes = body(
            &[],
            &[&ORIGIN, &AS_PATH, &NEXT_HOP, &attribute(flags, 26, value)],
            &NLRI,
        );
        let update = Update::decode(&bytes, &external()).unwrap();
        assert_eq!(
            (update.treatment(), update.attributes().aigp()),
            (DISCARD, None),
            "{value:?}"
        );
    }
    let value = [1, 0, 11, 0, 0, 0, 0, 0, 0, 1, 2];
    let bytes = body(
        &[],
        &[&ORIGIN, &AS_PATH, &NEXT_HOP, &attribute(0x80, 26, &value)],
        &NLRI,
    );
    assert_eq!(
        Update::decode(&bytes, &external()).unwrap().attributes().aigp(),
        Some(258)
    );
}

#[test]
fn garbage_in_opaque_attributes_never_resets() {
    for (code, flags, treatment) in [
        (22, 0xc0, WITHDRAW),
        (23, 0xc0, WITHDRAW),
        (25, 0xc0, WITHDRAW),
        (26, 0x80, DISCARD),
        (28, 0xc0, None),
        (29, 0x80, DISCARD),
        (40, 0xc0, DISCARD),
        (128, 0xc0, WITHDRAW),
    ] {
        let bytes = body(
            &[],
            &[&ORIGIN, &AS_PATH, &NEXT_HOP, &attribute(flags, code, &[0xff; 3])],
            &NLRI,
        );
        let update = Update::decode(&bytes, &external()).unwrap();
        assert_eq!(update.treatment(), treatment, "{code}");
        for flags in [0x00, 0x40, 0x80, 0xc0] {
            let attribute = attribute(flags, code, &[0xff; 3]);
            let bytes = body(&[], &[&ORIGIN, &AS_PATH, &NEXT_HOP, &attribute], &NLRI);
            let read = Update::decode(&bytes, &external());
            assert!(read.is_ok(), "{code} with flags {flags:02x}");
        }
    }
}

#[test]
fn first_of_duplicate_attributes_counts() {
    let second = [0x40, 1, 1, 2];
    let bytes = body(&[], &[&ORIGIN, &AS_PATH, &NEXT_HOP, &second], &NLRI);
    let update = Update::decode(&bytes, &external()).unwrap();
    assert_eq!(update.attributes().origin(), Some(bgp_codec::Origin::Igp));
    assert_eq!(update.treatment(), DISCARD);
    // A malformed first is not repaired by a good second.
    let bytes = body(&[], &[&[0x40, 1, 0], &AS_PATH, &NEXT_HOP, &ORIGIN], &NLRI);
    assert_eq!(Update::decode(&bytes, &external()).unwrap().treatment(), WITHDRAW);
}

#[test]
fn duplicate_multiprotocol_attributes_are_3_1() {
    refused(
        &body(&[], &[&MP_REACH, &MP_REACH, &ORIGIN, &AS_PATH], &[]),
        &external(),
        1,
        &[],
    );
    let unreach = attribute(0x80, 15, &[0, 2, 1]);
    refused(&body(&[], &[&unreach, &unreach], &[]), &external(), 1, &[]);
}

#[test]
fn missing_mandatory_attributes_withdraw() {
    for (attributes, code) in [
        ([&AS_PATH[..], &NEXT_HOP], 1),
        ([&ORIGIN[..], &NEXT_HOP], 2),
        ([&ORIGIN[..], &AS_PATH], 3),
    ] {
        let bytes = body(&[], &attributes, &NLRI);
        let update = Update::decode(&bytes, &external()).unwrap();
        assert_eq!(update.treatment(), WITHDRAW);
        let errors: Vec<_> = update
            .errors()
            .iter()
            .map(|error| (error.code, error.kind))
            .collect();
        assert_eq!(errors, [(code, Kind::Missing)]);
        assert_eq!(withdrawn(&update), ["10.0.0.0/8"]);
    }
    let bytes = body(&[], &[&MP_REACH, &ORIGIN, &AS_PATH], &[]);
    assert_eq!(Update::decode(&bytes, &external()).unwrap().treatment(), None);
    let bytes = body(&[], &[&MP_REACH, &AS_PATH], &[]);
    assert_eq!(Update::decode(&bytes, &external()).unwrap().treatment(), WITHDRAW);
}

#[test]
fn overrun_and_stray_octets_inside_the_attributes_withdraw() {
    for stray in [
        &[0x40][..],
        &[0x40, 1],
        &[0x40, 1, 9],
        &[0x50, 1, 0],
        &[0x40, 1, 2, 0],
        &[0x50, 1, 0xff, 0xff, 0],
    ] {
        let bytes = body(&[8, 11], &[&ORIGIN, &AS_PATH, &NEXT_HOP, stray], &NLRI);
        let update = Update::decode(&bytes, &external()).unwrap();
        assert_eq!(update.treatment(), WITHDRAW, "{stray:?}");
        assert!(announced(&update).is_empty());
        assert_eq!(withdrawn(&update), ["11.0.0.0/8", "10.0.0.0/8"]);
    }
}

#[test]
fn treat_as_withdraw_covers_every_field() {
    let unreach = attribute(0x80, 15, &[0, 2, 1, 32, 0x20, 1, 0xd, 0xb9]);
    let bytes = body(
        &[8, 11],
        &[&MP_REACH, &unreach, &[0x40, 1, 1, 9], &AS_PATH, &NEXT_HOP],
        &NLRI,
    );
    let update = Update::decode(&bytes, &external()).unwrap();
    assert_eq!(update.treatment(), WITHDRAW);
    assert_eq!(
        withdrawn(&update),
        ["11.0.0.0/8", "2001:db9::/32", "10.0.0.0/8", "2001:db8::/32"]
    );
    assert!(announced(&update).is_empty());
}

#[test]
fn withdraw_errors_without_reachable_nlri_reset() {
    let bad_origin = [0x40, 1, 1, 9];
    refused(&body(&[8, 11], &[&bad_origin], &[]), &external(), 6, &bad_origin);
    refused(
        &body(&[], &[&[0x40, 2, 1, 9], &ORIGIN], &[]),
        &external(),
        11,
        &[0x40, 2, 1, 9],
    );
    refused(&body(&[], &[&ORIGIN, &[0x40, 2]], &[]), &external(), 1, &[]);
    refused(&body(&[], &[&ORIGIN, &[0x40, 1, 9]], &[]), &external(), 1, &[]);
    // Discarding loses nothing.
    assert!(Update::decode(&body(&[], &[&[0x40, 6, 1, 1]], &[]), &external()).is_ok());
}

/// RFC 4271 §6.3: the data is the attribute; RFC 7606 §5.2 leaves these where nothing is announced.
#[test]
fn attribute_errors_without_reachable_nlri_have_the_subcodes_of_rfc_4271() {
    for (attribute, subcode) in [
        (attribute(0x80, 1, &[0]), 4),
        (attribute(0x40, 8, &[0, 1, 0, 2]), 4),
        (attribute(0xc0, 40, &[]), 0),
        (attribute(0x40, 1, &[0, 0]), 5),
        (attribute(0x40, 3, &[192, 0, 2]), 5),
        (attribute(0x80, 4, &[0; 5]), 5),
        (attribute(0xc0, 8, &[0; 3]), 5),
        (attribute(0xc0, 16, &[1; 300]), 5),
        (attribute(0x40, 1, &[3]), 6),
        (attribute(0x40, 2, &[2, 1, 0, 0, 0, 0]), 11),
        (attribute(0x40, 2, &[2, 9, 0, 0, 0, 1]), 11),
    ] {
        let bytes = body(&[8, 11], &[&attribute], &[]);
        if subcode == 0 {
            // What is only discarded costs nothing.
            assert_eq!(Update::decode(&bytes, &external()).unwrap().treatment(), DISCARD);
        } else {
            refused(&bytes, &external(), subcode, &attribute);
        }
    }
    let sets = DecodeContext {
        as_sets: bgp_codec::AsSets::TreatAsWithdraw,
        ..external()
    };
    let set = attribute(0x40, 2, &[1, 1, 0, 0, 0, 1]);
    refused(&body(&[8, 11], &[&set], &[]), &sets, 11, &set);
}

/// Where routes are withdrawn instead, the error still knows the subcode for the log.
#[test]
fn errors_that_withdraw_have_the_subcodes_of_rfc_4271() {
    for (attributes, subcode) in [
        ([&AS_PATH[..], &NEXT_HOP, &[]], 3),
        ([&ORIGIN[..], &AS_PATH, &[0x80, 3, 4, 192, 0, 2, 1]], 4),
        ([&ORIGIN[..], &AS_PATH, &[0x40, 3, 3, 192, 0, 2]], 5),
        ([&[0x40, 1, 1, 3][..], &AS_PATH, &NEXT_HOP], 6),
        ([&ORIGIN[..], &[0x40, 2, 2, 9, 9], &NEXT_HOP], 11),
        ([&ORIGIN[..], &AS_PATH, &[0x40, 3, 9]], 1),
    ] {
        let bytes = body(&[], &attributes, &NLRI);
        let update = Update::decode(&bytes, &external()).unwrap();
        assert_eq!(update.treatment(), WITHDRAW);
        assert_eq!(update.errors().iter().next().unwrap().subcode(), subcode);
    }
}

#[test]
fn unknown_well_known_attribute_is_3_2_with_the_attribute() {
    for flags in [0x00, 0x40] {
        let unknown = attribute(flags, 99, &[1, 2, 3]);
        refused(&body(&[], &[&ORIGIN, &unknown], &NLRI), &external(), 2, &unknown);
    }
}

#[test]
fn unknown_transitive_attributes_get_the_partial_bit_and_keep_their_value() {
    for code in [19, 41, 63, 64, 127, 200, 255] {
        for len in [0, 1, 255, 256, 3000] {
            let value = vec![0xab; len];
            let bytes = body(
                &[],
                &[&ORIGIN, &AS_PATH, &NEXT_HOP, &attribute(0xc0, code, &value)],
                &NLRI,
            );
            let update = Update::decode(&bytes, &external()).unwrap();
            let unknown: Vec<_> = update.attributes().unknown().collect();
            assert_eq!(unknown.len(), 1);
            assert_eq!(
                (unknown[0].flags & 0xe0, unknown[0].code, unknown[0].value),
                (0xe0, code, &value[..])
            );
        }
    }
}

#[test]
fn unknown_attributes_that_are_not_transitive_or_come_again_are_dropped() {
    for code in [41, 200] {
        let bytes = body(
            &[],
            &[
                &attribute(0x80, code, &[1]),
                &attribute(0xc0, code + 1, &[2]),
                &attribute(0xc0, code + 1, &[3]),
            ],
            &[],
        );
        let update = Update::decode(&bytes, &external()).unwrap();
        let unknown: Vec<_> = update
            .attributes()
            .unknown()
            .map(|attribute| attribute.value.to_vec())
            .collect();
        assert_eq!(unknown, [[2]]);
    }
}

#[test]
fn next_hop_length_is_checked_by_family() {
    for (afi, safi, good) in [
        (1, 1, &[4][..]),
        (1, 2, &[4]),
        (1, 4, &[4]),
        (1, 128, &[12]),
        (2, 1, &[16, 32]),
        (2, 2, &[16, 32]),
        (2, 4, &[16, 32]),
        (2, 128, &[24, 48]),
        (25, 70, &[4, 16]),
    ] {
        for len in 0..=49_u8 {
            let attribute = reach(afi, safi, len);
            let bytes = body(&[], &[&ORIGIN, &AS_PATH, &attribute], &[]);
            if good.contains(&len) {
                assert!(Update::decode(&bytes, &external()).is_ok(), "{afi}/{safi} {len}");
            } else {
                refused(&bytes, &external(), 9, &attribute);
            }
        }
    }
}

#[test]
fn ipv6_next_hops_for_ipv4_need_negotiation() {
    let context = DecodeContext {
        extended_next_hop: FamilySet::IPV4_UNICAST,
        ..external()
    };
    for len in [4, 16, 32] {
        let bytes = body(&[], &[&ORIGIN, &AS_PATH, &reach(1, 1, len)], &[]);
        assert!(Update::decode(&bytes, &context).is_ok());
        assert_eq!(Update::decode(&bytes, &external()).is_ok(), len == 4);
    }
    refused(
        &body(&[], &[&reach(1, 1, 24)], &[]),
        &context,
        9,
        &reach(1, 1, 24),
    );
}

#[test]
fn truncated_multiprotocol_attributes_are_3_9() {
    for value in [
        &[][..],
        &[0, 2],
        &[0, 2, 1],
        &[0, 2, 1, 16, 0x20],
        &[0, 2, 1, 4, 1, 1, 1, 1],
    ] {
        let attribute = attribute(0x80, 14, value);
        refused(&body(&[], &[&attribute], &[]), &external(), 9, &attribute);
    }
    for value in [&[][..], &[0], &[0, 2]] {
        let attribute = attribute(0x80, 15, value);
        refused(&body(&[], &[&attribute], &[]), &external(), 9, &attribute);
    }
}

#[test]
fn families_not_negotiated_are_ignored_whatever_they_hold() {
    let context = DecodeContext {
        families: FamilySet::IPV4_UNICAST,
        ..external()
    };
    for attribute in [
        reach(2, 1, 7),
        attribute(0x80, 15, &[0, 2, 1, 255]),
        attribute(0x80, 14, &[0, 99, 1, 0]),
    ] {
        let bytes = body(&[], &[&ORIGIN, &AS_PATH, &NEXT_HOP, &attribute], &NLRI);
        let update = Update::decode(&bytes, &context).unwrap();
        assert_eq!(update.check_nlri(), Ok(()));
        assert_eq!(announced(&update), ["10.0.0.0/8"]);
        assert!(withdrawn(&update).is_empty());
    }
    let only_ipv6 = DecodeContext {
        families: [Family::IPV6_UNICAST].into_iter().collect(),
        ..external()
    };
    let bytes = body(&[8, 11], &[&ORIGIN, &AS_PATH, &NEXT_HOP, &MP_REACH], &NLRI);
    let update = Update::decode(&bytes, &only_ipv6).unwrap();
    assert_eq!(announced(&update), ["2001:db8::/32"]);
    assert!(withdrawn(&update).is_empty());
}

#[test]
fn nlri_that_cannot_be_read_are_refused() {
    for nlri in [
        &[33, 10, 0, 0, 0, 0][..],
        &[255],
        &[8],
        &[24, 10, 0],
        &[8, 10, 32, 1, 2, 3],
    ] {
        for bytes in [
            body(nlri, &[], &[]),
            body(&[], &[&ORIGIN, &AS_PATH, &NEXT_HOP], nlri),
        ] {
            let update = Update::decode(&bytes, &external()).unwrap();
            let error = update.check_nlri().unwrap_err();
            assert_eq!(error, UpdateError::InvalidNetworkField(Family::IPV4_UNICAST));
            assert_eq!(error.treatment(), Treatment::SessionReset);
            assert_eq!(Notification::from(error), Notification::new(3, 10));
        }
    }
    for nlri in [&[129][..], &[128, 1], &[8]] {
        let attribute = attribute(0x80, 15, &[&[0, 2, 1][..], nlri].concat());
        let bytes = body(&[], &[&attribute], &[]);
        let error = Update::decode(&bytes, &external())
            .unwrap()
            .check_nlri()
            .unwrap_err();
        assert_eq!(
            (error.treatment(), error.family()),
            (Treatment::AfiSafiDisable, Some(Family::IPV6_UNICAST))
        );
        assert_eq!(
            Notification::from(error),
            Notification {
                code: 3,
                subcode: 9,
                data: attribute
            }
        );
    }
}

#[test]
fn bits_behind_the_prefix_length_are_ignored() {
    let bytes = body(&[9, 10, 0xff], &[], &[]);
    let update = Update::decode(&bytes, &external()).unwrap();
    assert_eq!(withdrawn(&update), ["10.128.0.0/9"]);
}

#[test]
fn strongest_of_several_errors_wins() {
    let bytes = body(
        &[],
        &[
            &ORIGIN,
            &[0x40, 6, 1, 1],
            &AS_PATH,
            &[0x40, 3, 1, 1],
            &[0x40, 6, 0],
        ],
        &NLRI,
    );
    let update = Update::decode(&bytes, &external()).unwrap();
    assert_eq!(update.treatment(), WITHDRAW);
    let errors: Vec<_> = update
        .errors()
        .iter()
        .map(|error| (error.code, error.kind))
        .collect();
    assert_eq!(
        errors,
        [(6, Kind::Length), (3, Kind::Length), (6, Kind::Duplicate)]
    );
}

#[test]
fn end_of_rib_is_an_update_that_says_nothing_else() {
    let unreach = attribute(0x80, 15, &[0, 2, 1]);
    let long = [0x90, 15, 0, 3, 0, 2, 1];
    for (bytes, expected) in [
        (body(&[], &[], &[]), Some(Family::IPV4_UNICAST)),
        (body(&[], &[&unreach], &[]), Some(Family::IPV6_UNICAST)),
        (body(&[], &[&long], &[]), Some(Family::IPV6_UNICAST)),
        (body(&[8, 10], &[], &[]), None),
        (body(&[8, 10], &[&unreach], &[]), None),
        (body(&[], &[&attribute(0x80, 15, &[0, 2, 1, 0])], &[]), None),
        (body(&[], &[&unreach, &ORIGIN], &[]), None),
    ] {
        assert_eq!(
            Update::decode(&bytes, &external()).unwrap().end_of_rib(),
            expected,
            "{bytes:?}"
        );
    }
}

/// Decodes an UPDATE in which `bytes` stand in place of a good attribute of the same type.
fn one(context: &DecodeContext, bytes: &[u8], treatment: Option<Treatment>, error: Option<(u8, Kind)>) {
    let good = [&ORIGIN[..], &AS_PATH, &NEXT_HOP];
    let mut attributes: Vec<&[u8]> = good.into_iter().filter(|good| good[1] != bytes[1]).collect();
    if !context.four_octet_asn {
        attributes.retain(|attribute| attribute[1] != 2 || bytes[1] == 2);
    }
    attributes.push(bytes);
    let message = body(&[], &attributes, &NLRI);
    let update = Update::decode(&message, context).unwrap();
    assert_eq!(update.treatment(), treatment, "{bytes:02x?}");
    assert_eq!(
        update
            .errors()
            .iter()
            .map(|error| (error.code, error.kind))
            .next(),
        error,
        "{bytes:02x?}"
    );
    let withdraws = treatment >= WITHDRAW;
    assert_eq!(announced(&update).is_empty(), withdraws);
    assert_eq!(withdrawn(&update).is_empty(), !withdraws);
}

fn refused(bytes: &[u8], context: &DecodeContext, subcode: u8, data: &[u8]) {
    let error = Update::decode(bytes, context).unwrap_err();
    assert_eq!(
        Notification::from(error),
        Notification {
            code: 3,
            subcode,
            data: data.to_vec()
        }
    );
}

fn reach(afi: u8, safi: u8, next_hop: u8) -> Vec<u8> {
    let mut value = vec![0, afi, safi, next_hop];
    value.extend(vec![1; usize::from(next_hop)]);
    value.push(0);
    attribute(0x80, 14, &value)
}

fn announced(update: &Update<'_>) -> Vec<String> {
    let nlri = update.announced().flat_map(|item| item.nlri.ip_prefixes());
    nlri.map(|nlri| nlri.unwrap().prefix.to_string()).collect()
}

fn withdrawn(update: &Update<'_>) -> Vec<String> {
    let nlri = update.withdrawn().flat_map(|block| block.ip_prefixes());
    nlri.map(|nlri| nlri.unwrap().prefix.to_string()).collect()
}
