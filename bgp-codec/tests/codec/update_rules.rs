//! Rules of RFC 7606 §3 to §5 about whole messages, and choices that a session makes: one rule a test.

use crate::common::{AS_PATH, MP_REACH, NEXT_HOP, NLRI, ORIGIN, attribute, body, external, internal};
use bgp_codec::{
    AsSets, AttributeErrorKind as Kind, DecodeContext, Family, FamilySet, Notification, PathAttributes,
    Treatment, Update, UpdateError,
};

const DISCARD: Option<Treatment> = Some(Treatment::AttributeDiscard);
const WITHDRAW: Option<Treatment> = Some(Treatment::TreatAsWithdraw);

#[test]
fn multiprotocol_attributes_with_wrong_flags_are_3_9() {
    for flags in [0x00, 0x40, 0xc0] {
        let mut reach = MP_REACH;
        reach[0] = flags;
        let unreach = attribute(flags, 15, &[0, 2, 1, 8, 0x20]);
        for wrong in [&reach[..], &unreach] {
            let bytes = body(&[], &[wrong, &ORIGIN, &AS_PATH, &NEXT_HOP], &NLRI);
            let error = Update::decode(&bytes, &external()).unwrap_err();
            assert_eq!(error.treatment(), Treatment::AfiSafiDisable);
            assert_eq!(error.family(), Some(Family::IPV6_UNICAST));
            assert_eq!(Notification::from(error), notification(9, wrong));
        }
    }
    // Partial means nothing here, and the length bit is not part of the kind.
    for flags in [0xa0, 0x8f] {
        let mut reach = MP_REACH;
        reach[0] = flags;
        let bytes = body(&[], &[&reach, &ORIGIN, &AS_PATH], &[]);
        assert_eq!(Update::decode(&bytes, &external()).unwrap().treatment(), None);
    }
}

#[test]
fn multiprotocol_attribute_that_runs_over_the_end_is_3_9() {
    for code in [14, 15] {
        for overrun in [
            &[0x80, code, 40, 0, 2, 1][..],
            &[0x90, code, 0, 40, 0, 2, 1],
            &[0x80, code, 1],
        ] {
            let bytes = body(&[8, 11], &[&ORIGIN, &AS_PATH, &NEXT_HOP, overrun], &NLRI);
            let error = Update::decode(&bytes, &external()).unwrap_err();
            assert_eq!(Notification::from(error), notification(9, overrun));
        }
        // Too few octets to be one: whatever it was to be, the routes found are withdrawn.
        let bytes = body(&[], &[&ORIGIN, &AS_PATH, &NEXT_HOP, &[0x80, code]], &NLRI);
        assert_eq!(Update::decode(&bytes, &external()).unwrap().treatment(), WITHDRAW);
    }
}

#[test]
fn an_mp_reach_that_announces_nothing_does_not_shield_a_withdraw_error() {
    let bad_origin = [0x40, 1, 1, 9];
    let empty_reach = &MP_REACH[..24];
    let mut empty_reach = empty_reach.to_vec();
    empty_reach[2] = 21;
    let bytes = body(&[], &[&empty_reach, &bad_origin, &AS_PATH], &[]);
    let error = Update::decode(&bytes, &external()).unwrap_err();
    assert_eq!(Notification::from(error), notification(6, &bad_origin));
    // Without an error it says nothing, and mandatory attributes are not missed.
    let bytes = body(&[], &[&empty_reach], &[]);
    let update = Update::decode(&bytes, &external()).unwrap();
    assert_eq!((update.treatment(), update.announced().count()), (None, 0));
    // What a family not in use announces is not known; the error is not worth a reset.
    let bytes = body(&[], &[&MP_REACH, &bad_origin, &AS_PATH], &[]);
    let only_ipv4 = DecodeContext {
        families: FamilySet::IPV4_UNICAST,
        ..external()
    };
    assert_eq!(Update::decode(&bytes, &only_ipv4).unwrap().treatment(), WITHDRAW);
}

#[test]
fn attributes_that_may_not_be_empty_are_malformed_when_they_are() {
    for (code, flags, treatment) in [
        (1, 0x40, WITHDRAW),
        (3, 0x40, WITHDRAW),
        (4, 0x80, WITHDRAW),
        (5, 0x40, WITHDRAW),
        (7, 0xc0, DISCARD),
        (8, 0xc0, WITHDRAW),
        (9, 0x80, WITHDRAW),
        (10, 0x80, WITHDRAW),
        (16, 0xc0, WITHDRAW),
        (22, 0xc0, WITHDRAW),
        (23, 0xc0, WITHDRAW),
        (25, 0xc0, WITHDRAW),
        (26, 0x80, DISCARD),
        (29, 0x80, DISCARD),
        (32, 0xc0, WITHDRAW),
        (33, 0x80, WITHDRAW),
        (35, 0xc0, WITHDRAW),
        (40, 0xc0, DISCARD),
        (128, 0xc0, WITHDRAW),
    ] {
        assert_eq!(
            treatment_of(&attribute(flags, code, &[]), &internal()),
            treatment,
            "{code}"
        );
    }
    for (code, flags) in [(2, 0x40), (6, 0x40), (28, 0xc0), (99, 0xc0)] {
        assert_eq!(
            treatment_of(&attribute(flags, code, &[]), &internal()),
            None,
            "{code}"
        );
    }
    let narrow = DecodeContext {
        four_octet_asn: false,
        ..internal()
    };
    let path = attribute(0x40, 2, &[2, 1, 0xfc, 1]);
    for code in [17, 18] {
        let bytes = body(
            &[],
            &[&ORIGIN, &path, &NEXT_HOP, &attribute(0xc0, code, &[])],
            &NLRI,
        );
        assert_eq!(
            Update::decode(&bytes, &narrow).unwrap().treatment(),
            DISCARD,
            "{code}"
        );
    }
}

#[test]
fn confederation_segments_from_outside_withdraw() {
    for kind in [3, 4] {
        for path in [
            &[kind, 1, 0, 0, 0xfc, 1][..],
            &[kind, 1, 0, 0, 0xfc, 1, 2, 1, 0, 0, 0xfc, 2],
            &[2, 1, 0, 0, 0xfc, 2, kind, 1, 0, 0, 0xfc, 1],
        ] {
            let path = attribute(0x40, 2, path);
            assert_eq!(treatment_of(&path, &external()), WITHDRAW);
            assert_eq!(treatment_of(&path, &internal()), None);
        }
    }
}

#[test]
fn sets_are_accepted_or_withdraw_as_the_session_chooses() {
    let strict = |context: DecodeContext| DecodeContext {
        as_sets: AsSets::TreatAsWithdraw,
        ..context
    };
    let set = attribute(0x40, 2, &[2, 1, 0, 0, 0xfc, 1, 1, 2, 0, 0, 0, 7, 0, 0, 0, 8]);
    let confederation_set = attribute(0x40, 2, &[4, 1, 0, 0, 0, 7]);
    for (path, context) in [
        (&set, external()),
        (&set, internal()),
        (&confederation_set, internal()),
    ] {
        assert_eq!(treatment_of(path, &context), None);
        assert_eq!(treatment_of(path, &strict(context)), WITHDRAW);
        let bytes = body(&[], &[&ORIGIN, path, &NEXT_HOP], &NLRI);
        let update = Update::decode(&bytes, &strict(context)).unwrap();
        let error = update.errors().iter().next().unwrap();
        assert_eq!((error.code, error.kind, error.subcode()), (2, Kind::AsSet, 11));
    }
    assert_eq!(treatment_of(&AS_PATH, &strict(external())), None);
    // RFC 9774 §3 names AS4_PATH too, whose other errors only discard it.
    let narrow = DecodeContext {
        four_octet_asn: false,
        ..external()
    };
    let path = attribute(0x40, 2, &[2, 1, 0x5b, 0xa0, 1, 1, 0x5b, 0xa0]);
    let as4 = attribute(0xc0, 17, &[2, 1, 0, 1, 0, 0, 1, 1, 0, 1, 0, 1]);
    let bytes = body(&[], &[&ORIGIN, &path, &NEXT_HOP, &as4], &NLRI);
    let update = Update::decode(&bytes, &narrow).unwrap();
    assert_eq!(update.treatment(), None);
    let merged = PathAttributes::from(update.attributes());
    assert_eq!(merged.as_path.to_string(), "65536 {65537}");
    let strict = strict(narrow);
    assert_eq!(Update::decode(&bytes, &strict).unwrap().treatment(), WITHDRAW);
}

#[test]
fn same_prefix_withdrawn_and_announced_ends_as_announced() {
    let bytes = body(&NLRI, &[&ORIGIN, &AS_PATH, &NEXT_HOP], &NLRI);
    let update = Update::decode(&bytes, &external()).unwrap();
    // Applied in the order documented, the announcement has the last word.
    let order: Vec<_> = update
        .withdrawn()
        .map(|block| (false, block.bytes()))
        .chain(update.announced().map(|announced| (true, announced.nlri.bytes())))
        .collect();
    assert_eq!(order, [(false, &NLRI[..]), (true, &NLRI[..])]);
}

#[test]
fn impossible_next_hops_are_read_and_recognised_without_an_error() {
    for (octets, host) in [
        ([0, 1, 2, 3], false),
        ([127, 0, 0, 1], false),
        ([224, 0, 0, 1], false),
        ([240, 0, 0, 1], false),
        ([255, 255, 255, 255], false),
        ([169, 254, 1, 1], true),
        ([192, 0, 2, 1], true),
    ] {
        let [a, b, c, d] = octets;
        let bytes = body(&[], &[&ORIGIN, &AS_PATH, &[0x40, 3, 4, a, b, c, d]], &NLRI);
        let update = Update::decode(&bytes, &external()).unwrap();
        assert_eq!(update.treatment(), None);
        let next_hop = update.announced().next().unwrap().next_hop.unwrap();
        assert_eq!(next_hop.is_host(), host, "{next_hop}");
    }
    for (last, first, host) in [(0, 0, false), (1, 0, false), (1, 0xff, false), (1, 0xfe, true)] {
        let mut reach = MP_REACH;
        reach[7..23].copy_from_slice(&[0; 16]);
        reach[7] = first;
        reach[8] = if first == 0xfe { 0x80 } else { 0 };
        reach[22] = last;
        let bytes = body(&[], &[&reach, &ORIGIN, &AS_PATH], &[]);
        let update = Update::decode(&bytes, &external()).unwrap();
        assert_eq!(update.treatment(), None);
        let next_hop = update.announced().next().unwrap().next_hop.unwrap();
        assert_eq!(next_hop.is_host(), host, "{next_hop}");
    }
}

#[test]
fn attributes_may_stand_in_any_order_and_fields_together() {
    let unreach = attribute(0x80, 15, &[0, 2, 1, 32, 0x20, 1, 0xd, 0xb9]);
    let bytes = body(
        &[8, 11],
        &[&NEXT_HOP, &unreach, &AS_PATH, &MP_REACH, &ORIGIN],
        &NLRI,
    );
    let update = Update::decode(&bytes, &external()).unwrap();
    assert_eq!(update.treatment(), None);
    assert_eq!((update.announced().count(), update.withdrawn().count()), (2, 2));
}

#[test]
fn a_second_error_after_an_overrun_of_the_list_is_not_looked_for() {
    // What follows the overrun cannot be told apart, and so a duplicate behind it is none.
    let bytes = body(&[], &[&MP_REACH, &[0x40, 1, 200], &MP_REACH], &NLRI);
    assert_eq!(Update::decode(&bytes, &external()).unwrap().treatment(), WITHDRAW);
    let bytes = body(&[], &[&MP_REACH, &MP_REACH, &[0x40, 1, 200]], &NLRI);
    let error = Update::decode(&bytes, &external()).unwrap_err();
    assert_eq!(error, UpdateError::DuplicateMultiprotocol(14));
}

/// What is done about an UPDATE in which `bytes` stand in place of a good attribute of the same type.
fn treatment_of(bytes: &[u8], context: &DecodeContext) -> Option<Treatment> {
    let good = [&ORIGIN[..], &AS_PATH, &NEXT_HOP];
    let mut attributes: Vec<&[u8]> = good.into_iter().filter(|good| good[1] != bytes[1]).collect();
    attributes.push(bytes);
    let message = body(&[], &attributes, &NLRI);
    let update = Update::decode(&message, context).unwrap();
    assert_eq!(update.errors().treatment(), update.treatment());
    update.treatment()
}

fn notification(subcode: u8, data: &[u8]) -> Notification {
    Notification {
        code: 3,
        subcode,
        data: data.to_vec(),
    }
}
