//! Attributes that are lists of items of one size: views over checked octets.

use std::net::Ipv4Addr;

use crate::community::{Community, ExtendedCommunity, Ipv6ExtendedCommunity, LargeCommunity};

macro_rules! list {
    ($(#[$doc:meta])* $name:ident, $item:ty, $size:literal, $read:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
        pub struct $name<'a>(&'a [u8]);

        impl<'a> $name<'a> {
            /// Octets of one item.
            pub const ITEM_LEN: usize = $size;

            /// A view over octets; what does not make a whole item at the end is left out.
            ///
            /// ```
            /// assert_eq!(bgp_codec::Communities::new(&[0xff, 0xff, 0xff, 1, 9]).len(), 1);
            /// ```
            #[must_use]
            #[inline]
            pub const fn new(bytes: &'a [u8]) -> Self {
                Self(bytes)
            }

            /// The items in order.
            ///
            /// ```
            /// use bgp_codec::{Communities, Community};
            /// let communities = Communities::new(&[0xfc, 0, 0, 1, 0xfc, 0, 0, 2]);
            /// assert!(communities.iter().rev().eq([Community::new(64_512, 2), Community::new(64_512, 1)]));
            /// ```
            #[inline]
            pub fn iter(self) -> impl ExactSizeIterator<Item = $item> + DoubleEndedIterator + Clone + 'a {
                self.0.as_chunks::<$size>().0.iter().map(|octets| $read(*octets))
            }

            /// Whether the item is in the list.
            ///
            /// ```
            /// use bgp_codec::{Communities, Community};
            /// assert!(Communities::new(&[0xff, 0xff, 0xff, 1]).contains(Community::NO_EXPORT));
            /// ```
            #[must_use]
            pub fn contains(self, item: $item) -> bool {
                self.iter().any(|member| member == item)
            }

            /// How many items there are.
            ///
            /// ```
            /// assert_eq!(bgp_codec::ClusterList::new(&[192, 0, 2, 1]).len(), 1);
            /// ```
            #[must_use]
            pub const fn len(self) -> usize {
                self.0.len() / $size
            }

            /// Whether there is no item.
            ///
            /// ```
            /// assert!(bgp_codec::LargeCommunities::default().is_empty());
            /// ```
            #[must_use]
            pub const fn is_empty(self) -> bool {
                self.len() == 0
            }

            /// The octets of the attribute's value.
            ///
            /// ```
            /// assert_eq!(bgp_codec::ClusterList::new(&[192, 0, 2, 1]).as_bytes(), [192, 0, 2, 1]);
            /// ```
            #[must_use]
            pub const fn as_bytes(self) -> &'a [u8] {
                self.0
            }
        }
    };
}

list!(
    /// COMMUNITIES, RFC 1997.
    ///
    /// ```
    /// use bgp_codec::{Communities, Community};
    /// assert!(Communities::new(&[0xfc, 0, 0, 1]).iter().eq([Community::new(64_512, 1)]));
    /// ```
    Communities, Community, 4, |octets| Community(u32::from_be_bytes(octets))
);
list!(
    /// EXTENDED COMMUNITIES, RFC 4360.
    ///
    /// ```
    /// let communities = bgp_codec::ExtendedCommunities::new(&[0, 2, 0xfc, 0, 0, 0, 0, 7]);
    /// assert!(communities.iter().map(|target| target.to_string()).eq(["rt:64512:7"]));
    /// ```
    ExtendedCommunities, ExtendedCommunity, 8, ExtendedCommunity
);
list!(
    /// IPv6 address specific extended communities, RFC 5701.
    ///
    /// ```
    /// let communities = bgp_codec::Ipv6ExtendedCommunities::new(&[0; 40]);
    /// assert_eq!(communities.iter().count(), 2);
    /// ```
    Ipv6ExtendedCommunities, Ipv6ExtendedCommunity, 20, Ipv6ExtendedCommunity
);
list!(
    /// LARGE COMMUNITIES, RFC 8092.
    ///
    /// ```
    /// let communities = bgp_codec::LargeCommunities::new(&[0, 0, 0xfc, 0, 0, 0, 0, 1, 0, 0, 0, 2]);
    /// assert!(communities.iter().map(|community| community.to_string()).eq(["64512:1:2"]));
    /// ```
    LargeCommunities, LargeCommunity, 12, LargeCommunity::from_octets
);
list!(
    /// CLUSTER_LIST, RFC 4456: the reflectors that the route has passed, nearest first.
    ///
    /// ```
    /// let clusters = bgp_codec::ClusterList::new(&[192, 0, 2, 1, 192, 0, 2, 2]);
    /// assert!(clusters.iter().next().is_some_and(|nearest| nearest.to_string() == "192.0.2.1"));
    /// ```
    ClusterList, Ipv4Addr, 4, |octets: [u8; 4]| Ipv4Addr::from(octets)
);
