//! Where the view keeps the place of a value: one slot for each attribute that routes are commonly asked for.

use super::code;

/// A power of two, so that a mask keeps every index inside.
pub(crate) const COUNT: usize = 16;

/// What has no value, or none that is asked for often.
pub(crate) const NONE: u8 = 0;
pub(crate) const ORIGIN: u8 = 1;
pub(crate) const AS_PATH: u8 = 2;
pub(crate) const NEXT_HOP: u8 = 3;
pub(crate) const MULTI_EXIT_DISC: u8 = 4;
pub(crate) const LOCAL_PREF: u8 = 5;
pub(crate) const AIGP: u8 = 6;
pub(crate) const AGGREGATOR: u8 = 7;
pub(crate) const COMMUNITIES: u8 = 8;
pub(crate) const ORIGINATOR_ID: u8 = 9;
pub(crate) const CLUSTER_LIST: u8 = 10;
pub(crate) const EXTENDED_COMMUNITIES: u8 = 11;
pub(crate) const LARGE_COMMUNITIES: u8 = 12;
pub(crate) const ONLY_TO_CUSTOMER: u8 = 13;
pub(crate) const MP_REACH_NLRI: u8 = 14;
pub(crate) const MP_UNREACH_NLRI: u8 = 15;

/// The slot of a type.
pub(crate) const fn of(code: u8) -> u8 {
    match code {
        code::ORIGIN => ORIGIN,
        code::AS_PATH => AS_PATH,
        code::NEXT_HOP => NEXT_HOP,
        code::MULTI_EXIT_DISC => MULTI_EXIT_DISC,
        code::LOCAL_PREF => LOCAL_PREF,
        code::AGGREGATOR => AGGREGATOR,
        code::COMMUNITIES => COMMUNITIES,
        code::ORIGINATOR_ID => ORIGINATOR_ID,
        code::CLUSTER_LIST => CLUSTER_LIST,
        code::MP_REACH_NLRI => MP_REACH_NLRI,
        code::MP_UNREACH_NLRI => MP_UNREACH_NLRI,
        code::EXTENDED_COMMUNITIES => EXTENDED_COMMUNITIES,
        code::AIGP => AIGP,
        code::LARGE_COMMUNITIES => LARGE_COMMUNITIES,
        code::ONLY_TO_CUSTOMER => ONLY_TO_CUSTOMER,
        _ => NONE,
    }
}
