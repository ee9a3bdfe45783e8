//! The table and the exact walk agree: what the table calls perfect has no error, and reads the same.

use proptest::prelude::*;

use super::*;
use crate::attribute::{AttributeErrors, PathAttributes};
use crate::family::FamilySet;

/// An attribute that is often right, and often nearly so.
fn attribute() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![
        8 => prop::sample::select(vec![1_u8, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14, 15, 16, 17, 18, 26, 32, 35]),
        1 => any::<u8>(),
    ];
    let flags = prop_oneof![
        8 => Just(None),
        1 => any::<u8>().prop_map(Some),
    ];
    let fits = prop::bool::weighted(0.8);
    (
        code,
        flags,
        fits,
        any::<bool>(),
        prop::collection::vec(0..4_u8, 0..40),
    )
        .prop_map(|(code, flags, fits, long, mut value)| {
            if fits {
                shape(code, &mut value);
            }
            let flags = flags.unwrap_or_else(|| usual_flags(code)) & !flag::EXTENDED_LENGTH;
            let len = u8::try_from(value.len()).unwrap();
            let mut out = if long {
                vec![flags | flag::EXTENDED_LENGTH, code, 0, len]
            } else {
                vec![flags, code, len]
            };
            out.append(&mut value);
            out
        })
}

fn usual_flags(code: u8) -> u8 {
    match code {
        1 | 2 | 3 | 5 | 6 => walk::WELL_KNOWN,
        4 | 9 | 10 | 14 | 15 | 26 => walk::OPTIONAL,
        _ => walk::OPTIONAL_TRANSITIVE,
    }
}

/// Makes the value as long as its type wants it, and a path's segment as long as the path.
fn shape(code: u8, value: &mut Vec<u8>) {
    match code {
        1 => value.resize(1, 0),
        2 | 17 => {
            let numbers = value.len() / 4;
            value.splice(0..0, [2, u8::try_from(numbers).unwrap()]);
            value.truncate(2 + 4 * numbers);
        }
        3 | 4 | 5 | 9 | 35 => value.resize(4, 1),
        6 => value.clear(),
        7 => value.resize(8, 1),
        8 | 10 => value.resize(4 + value.len() / 4 * 4, 1),
        14 => {
            value.splice(0..0, [0, 2, 1, 16]);
            value.resize(21 + value.len() % 5, 0);
        }
        15 => {
            value.splice(0..0, [0, 1, 1]);
        }
        16 => value.resize(8 + value.len() / 8 * 8, 1),
        32 => value.resize(12 + value.len() / 12 * 12, 1),
        _ => {}
    }
}

fn context() -> impl Strategy<Value = DecodeContext> {
    (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(four_octet_asn, internal, all, strict)| DecodeContext {
            four_octet_asn,
            families: if all {
                FamilySet::ALL
            } else {
                FamilySet::IPV4_UNICAST
            },
            as_sets: if strict {
                crate::AsSets::TreatAsWithdraw
            } else {
                crate::AsSets::Accept
            },
            ..DecodeContext::all(if internal {
                PeerKind::Internal
            } else {
                PeerKind::External
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 4096 }))]

    #[test]
    fn what_the_table_accepts_the_walk_finds_perfect(
        attributes in prop::collection::vec(attribute(), 0..6),
        cut in 0..4_usize,
        tail in 0..40_usize,
        context in context(),
    ) {
        let mut block = attributes.concat();
        block.truncate(block.len() - cut.min(block.len()) / 2);
        let end = block.len();
        block.resize(end + tail, 0);
        check(&block, end, &context)?;
    }

    #[test]
    fn any_octets_read_the_same_both_ways(
        block in prop::collection::vec(0..48_u8, 0..80),
        context in context(),
    ) {
        check(&block, block.len(), &context)?;
    }
}

fn check(octets: &[u8], end: usize, context: &DecodeContext) -> Result<(), TestCaseError> {
    let unread = Attributes::unread(octets, 0, end, context.four_octet_asn);
    let mut clean = unread;
    let perfect = read(&mut clean, context);
    let reach = clean.value_in(slot::MP_REACH_NLRI);
    let unreach = walk::split_family(clean.value_in(slot::MP_UNREACH_NLRI));
    let perfect = perfect
        && (reach.is_empty() || super::reach(reach, context).is_some())
        && unreach.is_none_or(|(family, _)| context.families.contains(family));
    if !perfect {
        return Ok(());
    }
    let mut exact = unread;
    let mut errors = AttributeErrors::NONE;
    prop_assert!(walk::walk(&mut exact, context, &mut errors).is_ok());
    prop_assert_eq!(errors.treatment(), None);
    prop_assert_eq!(exact.present, clean.present);
    prop_assert_eq!(PathAttributes::from(&exact), PathAttributes::from(&clean));
    prop_assert_eq!(exact.mp_reach(), clean.mp_reach());
    prop_assert_eq!(exact.mp_unreach(), clean.mp_unreach());
    Ok(())
}

#[test]
fn common_blocks_take_the_table() {
    let context = DecodeContext::all(PeerKind::Internal);
    let mut block = vec![0x40, 1, 1, 0, 0x50, 2, 0, 10, 2, 2, 0, 0, 0xfc, 0, 0, 0, 0xfc, 1];
    block.extend([
        0x40, 3, 4, 192, 0, 2, 1, 0x80, 4, 4, 0, 0, 0, 9, 0x40, 5, 4, 0, 0, 0, 100,
    ]);
    block.extend([
        0x40, 6, 0, 0xc0, 7, 8, 0, 0, 0xfc, 0, 192, 0, 2, 1, 0xc0, 8, 4, 0, 1, 0, 1,
    ]);
    block.extend([
        0xe0, 16, 8, 0, 2, 0, 1, 0, 0, 0, 1, 0xc0, 32, 12, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1,
    ]);
    let mut attributes = Attributes::unread_block(&block, true);
    assert!(read(&mut attributes, &context));
    assert_eq!(attributes.med(), Some(9));
    // Each octet of the first three headers matters.
    for at in [0, 1, 2, 4, 5, 18, 19, 20] {
        let mut wrong = block.clone();
        wrong[at] ^= 0x80;
        assert!(
            !read(&mut Attributes::unread_block(&wrong, true), &context),
            "{at}"
        );
    }
}
