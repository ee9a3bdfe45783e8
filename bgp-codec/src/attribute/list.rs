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
            #[must_use]
            #[inline]
            pub const fn new(bytes: &'a [u8]) -> Self {
                Self(bytes)
            }

            /// The items in order.
            #[inline]
            pub fn iter(self) -> impl ExactSizeIterator<Item = $item> + DoubleEndedIterator + Clone + 'a {
                self.0.as_chunks::<$size>().0.iter().map(|octets| $read(*octets))
            }

            /// Whether the item is in the list.
            #[must_use]
            pub fn contains(self, item: $item) -> bool {
                self.iter().any(|member| member == item)
            }

            /// How many items there are.
            #[must_use]
            pub const fn len(self) -> usize {
                self.0.len() / $size
            }

            /// Whether there is no item.
            #[must_use]
            pub const fn is_empty(self) -> bool {
                self.len() == 0
            }

            /// The octets of the attribute's value.
            #[must_use]
            pub const fn as_bytes(self) -> &'a [u8] {
                self.0
            }
        }
    };
}

list!(
    /// COMMUNITIES, RFC 1997.
    Communities, Community, 4, |octets| Community(u32::from_be_bytes(octets))
);
list!(
    /// EXTENDED COMMUNITIES, RFC 4360.
    ExtendedCommunities, ExtendedCommunity, 8, ExtendedCommunity
);
list!(
    /// IPv6 address specific extended communities, RFC 5701.
    Ipv6ExtendedCommunities, Ipv6ExtendedCommunity, 20, Ipv6ExtendedCommunity
);
list!(
    /// LARGE COMMUNITIES, RFC 8092.
    LargeCommunities, LargeCommunity, 12, LargeCommunity::from_octets
);
list!(
    /// CLUSTER_LIST, RFC 4456: the reflectors that the route has passed, nearest first.
    ClusterList, Ipv4Addr, 4, |octets: [u8; 4]| Ipv4Addr::from(octets)
);
