//! The address families that a speaker carries: one table for all rooms.
//!
//! One more whose NLRI are prefixes takes its entry here and its line in the codec's table of families; one whose NLRI are
//! something else takes its NLRI codec besides.

use bgp_codec::Family;

use super::Prefix;

/// Families that a configuration may name.
pub const CARRIED: [Family; 2] = UNICAST;
/// The same as they are written.
pub const CARRIED_NAMES: &[&str] = &["ipv4-unicast", "ipv6-unicast"];

/// Families of routes of our own and of those that the kernel holds; peers carry them unless told otherwise.
pub const UNICAST: [Family; 2] = [Family::IPV4_UNICAST, Family::IPV6_UNICAST];

/// The unicast family of a prefix.
#[must_use]
pub const fn unicast_of(prefix: Prefix) -> Family {
    match prefix {
        Prefix::V4(_) => Family::IPV4_UNICAST,
        Prefix::V6(_) => Family::IPV6_UNICAST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_families_are_in_step() {
        let names = CARRIED.map(|family| family.to_string());
        assert_eq!(names.as_slice(), CARRIED_NAMES);
    }
}
