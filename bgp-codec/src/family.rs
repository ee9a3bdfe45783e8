//! Address families (RFC 4760): what a session carries, and small sets of them.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// An address family identifier.
///
/// ```
/// assert_eq!(bgp_codec::Afi::IPV6.0, 2);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Afi(pub u16);

impl Afi {
    /// IP version 4.
    pub const IPV4: Self = Self(1);
    /// IP version 6.
    pub const IPV6: Self = Self(2);
    /// Layer-2 VPN.
    pub const L2VPN: Self = Self(25);
    /// BGP-LS.
    pub const BGP_LS: Self = Self(16_388);
}

/// A subsequent address family identifier.
///
/// ```
/// assert_eq!(bgp_codec::Safi::UNICAST.0, 1);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Safi(pub u8);

impl Safi {
    /// Unicast forwarding.
    pub const UNICAST: Self = Self(1);
    /// Multicast RPF.
    pub const MULTICAST: Self = Self(2);
    /// Prefixes with MPLS labels, RFC 8277.
    pub const LABELED_UNICAST: Self = Self(4);
    /// VPLS, RFC 4761.
    pub const VPLS: Self = Self(65);
    /// EVPN, RFC 7432.
    pub const EVPN: Self = Self(70);
    /// BGP-LS, RFC 9552.
    pub const BGP_LS: Self = Self(71);
    /// Labelled VPN prefixes, RFC 4364.
    pub const MPLS_VPN: Self = Self(128);
    /// Route target constraints, RFC 4684.
    pub const ROUTE_TARGET: Self = Self(132);
    /// Flow specification, RFC 8955.
    pub const FLOWSPEC: Self = Self(133);
    /// Flow specification for VPNs, RFC 8955.
    pub const FLOWSPEC_VPN: Self = Self(134);
}

/// A pair of AFI and SAFI.
///
/// ```
/// use bgp_codec::Family;
/// assert_eq!(Family::IPV4_UNICAST.to_string(), "ipv4-unicast");
/// assert_eq!("ipv6-unicast".parse(), Ok(Family::IPV6_UNICAST));
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Family {
    /// Address family.
    pub afi: Afi,
    /// Subsequent address family.
    pub safi: Safi,
}

macro_rules! families {
    ($($bit:literal $name:ident $afi:ident $safi:ident $text:literal)*) => {
        impl Family {
            $(#[doc = concat!("`", $text, "`.")]
            pub const $name: Self = Self::new(Afi::$afi, Safi::$safi);)*

            /// Every family that has a name here and can be in a [`FamilySet`].
            pub const KNOWN: &'static [Self] = &[$(Self::$name),*];

            #[inline]
            #[expect(clippy::as_conversions, reason = "sixteen bits into thirty-two")]
            const fn bit(self) -> u32 {
                // Nearly always one of the first two, whose bits are their AFIs.
                if let (Afi(1 | 2), Safi::UNICAST) = (self.afi, self.safi) {
                    return self.afi.0 as u32;
                }
                match (self.afi, self.safi) {
                    $((Afi::$afi, Safi::$safi) => 1 << $bit,)*
                    _ => 0,
                }
            }

            const fn name(self) -> Option<&'static str> {
                match (self.afi, self.safi) {
                    $((Afi::$afi, Safi::$safi) => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

families! {
    0 IPV4_UNICAST IPV4 UNICAST "ipv4-unicast"
    1 IPV6_UNICAST IPV6 UNICAST "ipv6-unicast"
    2 IPV4_MULTICAST IPV4 MULTICAST "ipv4-multicast"
    3 IPV6_MULTICAST IPV6 MULTICAST "ipv6-multicast"
    4 IPV4_LABELED_UNICAST IPV4 LABELED_UNICAST "ipv4-labeled-unicast"
    5 IPV6_LABELED_UNICAST IPV6 LABELED_UNICAST "ipv6-labeled-unicast"
    6 IPV4_MPLS_VPN IPV4 MPLS_VPN "ipv4-vpn"
    7 IPV6_MPLS_VPN IPV6 MPLS_VPN "ipv6-vpn"
    8 IPV4_FLOWSPEC IPV4 FLOWSPEC "ipv4-flowspec"
    9 IPV6_FLOWSPEC IPV6 FLOWSPEC "ipv6-flowspec"
    10 IPV4_FLOWSPEC_VPN IPV4 FLOWSPEC_VPN "ipv4-flowspec-vpn"
    11 IPV6_FLOWSPEC_VPN IPV6 FLOWSPEC_VPN "ipv6-flowspec-vpn"
    12 L2VPN_EVPN L2VPN EVPN "l2vpn-evpn"
    13 L2VPN_VPLS L2VPN VPLS "l2vpn-vpls"
    14 ROUTE_TARGET IPV4 ROUTE_TARGET "route-target"
    15 BGP_LS BGP_LS BGP_LS "bgp-ls"
}

impl Family {
    /// Joins an AFI and a SAFI.
    ///
    /// ```
    /// use bgp_codec::{Afi, Family, Safi};
    /// assert_eq!(Family::new(Afi(2), Safi(1)), Family::IPV6_UNICAST);
    /// ```
    #[must_use]
    pub const fn new(afi: Afi, safi: Safi) -> Self {
        Self { afi, safi }
    }
}

impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "afi-{}-safi-{}", self.afi.0, self.safi.0),
        }
    }
}

/// The text names no family.
///
/// ```
/// use bgp_codec::{Family, ParseFamilyError};
/// assert_eq!("ipv5-unicast".parse::<Family>(), Err(ParseFamilyError));
/// ```
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not a family: expected a name such as ipv4-unicast or ipv6-unicast, or afi-N-safi-N")]
pub struct ParseFamilyError;

impl FromStr for Family {
    type Err = ParseFamilyError;

    fn from_str(text: &str) -> Result<Self, ParseFamilyError> {
        if let Some(known) = Self::KNOWN.iter().find(|family| family.name() == Some(text)) {
            return Ok(*known);
        }
        let (afi, safi) = text
            .strip_prefix("afi-")
            .and_then(|rest| rest.split_once("-safi-"))
            .ok_or(ParseFamilyError)?;
        let afi = afi.parse().map_err(|_| ParseFamilyError)?;
        let safi = safi.parse().map_err(|_| ParseFamilyError)?;
        Ok(Self::new(Afi(afi), Safi(safi)))
    }
}

/// A set of [known](Family::KNOWN) families, four octets in size.
///
/// ```
/// use bgp_codec::{Family, FamilySet};
/// let set: FamilySet = [Family::IPV4_UNICAST, Family::IPV6_UNICAST].into_iter().collect();
/// assert!(set.contains(Family::IPV6_UNICAST));
/// assert_eq!(set.len(), 2);
/// ```
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FamilySet(u32);

impl FamilySet {
    /// No family.
    pub const EMPTY: Self = Self(0);
    /// Every known family.
    pub const ALL: Self = Self(0xffff);
    /// `ipv4-unicast` alone: a session without the multiprotocol capability.
    pub const IPV4_UNICAST: Self = Self::EMPTY.with(Family::IPV4_UNICAST);

    /// The set with one family more; unchanged if the family is not a [known](Family::KNOWN) one.
    ///
    /// ```
    /// use bgp_codec::{Family, FamilySet};
    /// assert!(FamilySet::EMPTY.with(Family::L2VPN_EVPN).contains(Family::L2VPN_EVPN));
    /// ```
    #[must_use]
    pub const fn with(self, family: Family) -> Self {
        Self(self.0 | family.bit())
    }

    /// Adds a family; `false` if it is not a [known](Family::KNOWN) one and so was not added.
    ///
    /// ```
    /// use bgp_codec::{Afi, Family, FamilySet, Safi};
    /// assert!(!FamilySet::EMPTY.insert(Family::new(Afi(99), Safi(1))));
    /// ```
    pub fn insert(&mut self, family: Family) -> bool {
        self.0 |= family.bit();
        family.bit() != 0
    }

    /// Removes a family.
    ///
    /// ```
    /// use bgp_codec::{Family, FamilySet};
    /// let mut set = FamilySet::IPV4_UNICAST;
    /// set.remove(Family::IPV4_UNICAST);
    /// assert!(set.is_empty());
    /// ```
    pub fn remove(&mut self, family: Family) {
        self.0 &= !family.bit();
    }

    /// Whether the family is in the set.
    ///
    /// ```
    /// use bgp_codec::{Family, FamilySet};
    /// assert!(!FamilySet::IPV4_UNICAST.contains(Family::IPV6_UNICAST));
    /// ```
    #[must_use]
    #[inline]
    pub const fn contains(self, family: Family) -> bool {
        self.0 & family.bit() != 0
    }

    /// Families that are in both sets.
    ///
    /// ```
    /// use bgp_codec::FamilySet;
    /// assert_eq!(FamilySet::ALL.intersection(FamilySet::IPV4_UNICAST), FamilySet::IPV4_UNICAST);
    /// ```
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Families that are in either set.
    ///
    /// ```
    /// use bgp_codec::FamilySet;
    /// assert_eq!(FamilySet::EMPTY.union(FamilySet::IPV4_UNICAST), FamilySet::IPV4_UNICAST);
    /// ```
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// How many families are in the set.
    ///
    /// ```
    /// assert_eq!(bgp_codec::FamilySet::IPV4_UNICAST.len(), 1);
    /// ```
    #[must_use]
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether no family is in the set.
    ///
    /// ```
    /// assert!(bgp_codec::FamilySet::EMPTY.is_empty());
    /// ```
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The families, in the order of [`Family::KNOWN`].
    ///
    /// ```
    /// use bgp_codec::{Family, FamilySet};
    /// assert_eq!(FamilySet::IPV4_UNICAST.iter().next(), Some(Family::IPV4_UNICAST));
    /// ```
    pub fn iter(self) -> impl Iterator<Item = Family> + Clone {
        Family::KNOWN
            .iter()
            .copied()
            .filter(move |family| self.contains(*family))
    }
}

impl FromIterator<Family> for FamilySet {
    fn from_iter<I: IntoIterator<Item = Family>>(families: I) -> Self {
        families.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Debug for FamilySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(|family| family.to_string()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for family in Family::KNOWN
            .iter()
            .copied()
            .chain([Family::new(Afi(1), Safi(99))])
        {
            assert_eq!(family.to_string().parse(), Ok(family));
        }
        assert_eq!("ipv5-unicast".parse::<Family>(), Err(ParseFamilyError));
    }

    #[test]
    fn all_holds_exactly_the_known_families() {
        assert_eq!(
            Family::KNOWN.iter().copied().collect::<FamilySet>(),
            FamilySet::ALL
        );
        assert_eq!(FamilySet::ALL.iter().count(), Family::KNOWN.len());
    }

    #[test]
    fn unknown_families_are_never_members() {
        let unknown = Family::new(Afi(7), Safi(7));
        assert!(!FamilySet::ALL.with(unknown).contains(unknown));
    }
}
