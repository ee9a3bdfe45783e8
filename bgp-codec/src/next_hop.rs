//! Next hops as NEXT_HOP and MP_REACH_NLRI carry them (RFC 4271 §5.1.3, RFC 2545 §3, RFC 8950 §3).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

use crate::family::{Afi, Family, Safi};

/// Where packets for a route go.
///
/// ```
/// use bgp_codec::NextHop;
/// let next_hop = NextHop::V4([192, 0, 2, 1].into());
/// assert_eq!(next_hop.address().to_string(), "192.0.2.1");
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum NextHop {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address, usually global.
    V6(Ipv6Addr),
    /// An IPv6 address and the link-local one of the same interface, RFC 2545 §3.
    V6WithLinkLocal {
        /// The global address.
        global: Ipv6Addr,
        /// The link-local address.
        link_local: Ipv6Addr,
    },
}

impl NextHop {
    /// The address that identifies the next hop: the global one where there are two. A speaker whose interface has no global
    /// address sends the unspecified one beside its link-local (BIRD does); then that is the one.
    ///
    /// ```
    /// use bgp_codec::NextHop;
    /// let next_hop = NextHop::V6WithLinkLocal { global: "2001:db8::1".parse()?, link_local: "fe80::1".parse()? };
    /// assert_eq!(next_hop.address().to_string(), "2001:db8::1");
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    #[must_use]
    pub const fn address(self) -> IpAddr {
        match self {
            Self::V4(address) => IpAddr::V4(address),
            Self::V6WithLinkLocal { global, link_local } if global.is_unspecified() => IpAddr::V6(link_local),
            Self::V6(global) | Self::V6WithLinkLocal { global, .. } => IpAddr::V6(global),
        }
    }

    /// The link-local address, if the next hop has one beside the global one or is one.
    ///
    /// ```
    /// use bgp_codec::NextHop;
    /// assert_eq!(NextHop::V6("fe80::1".parse()?).link_local(), Some("fe80::1".parse()?));
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    #[must_use]
    pub fn link_local(self) -> Option<Ipv6Addr> {
        match self {
            Self::V4(_) => None,
            Self::V6(address) => address.is_unicast_link_local().then_some(address),
            Self::V6WithLinkLocal { link_local, .. } => Some(link_local),
        }
    }

    /// Whether the address can be that of a host, RFC 4271 §6.3: not 0/8, 127/8, class D or E, `::`, `::1`, ff00::/8.
    ///
    /// A route whose next hop is none is unusable; the session is not at fault (RFC 7606 §7.3).
    ///
    /// ```
    /// use bgp_codec::NextHop;
    /// assert!(!NextHop::V4([127, 0, 0, 1].into()).is_host());
    /// assert!(NextHop::V4([192, 0, 2, 1].into()).is_host());
    /// ```
    #[must_use]
    pub const fn is_host(self) -> bool {
        match self.address() {
            IpAddr::V4(address) => {
                let [first, ..] = address.octets();
                first != 0 && first != 127 && first < 224
            }
            IpAddr::V6(address) => {
                !address.is_unspecified() && !address.is_loopback() && !address.is_multicast()
            }
        }
    }

    /// Octets of the address or addresses: 4, 16 or 32.
    ///
    /// ```
    /// assert_eq!(bgp_codec::NextHop::V4([192, 0, 2, 1].into()).wire_len(), 4);
    /// ```
    #[must_use]
    pub const fn wire_len(self) -> usize {
        match self {
            Self::V4(_) => 4,
            Self::V6(_) => 16,
            Self::V6WithLinkLocal { .. } => 32,
        }
    }

    /// Reads 4, 16 or 32 octets, or those with a route distinguisher before each address (RFC 4364 §4.3.2).
    pub(crate) fn read(bytes: &[u8], with_distinguisher: bool) -> Option<Self> {
        let (addresses, link_local) = match (with_distinguisher, bytes.len()) {
            (false, 4 | 16) => (bytes, None),
            (false, 32) => bytes
                .split_at_checked(16)
                .map(|(global, local)| (global, Some(local)))?,
            (true, 12 | 24) => (bytes.get(8..)?, None),
            (true, 48) => (bytes.get(8..24)?, Some(bytes.get(32..)?)),
            _ => return None,
        };
        if let Ok(octets) = <[u8; 4]>::try_from(addresses) {
            return Some(Self::V4(octets.into()));
        }
        let global = Ipv6Addr::from(<[u8; 16]>::try_from(addresses).ok()?);
        Some(match link_local {
            None => Self::V6(global),
            Some(local) => Self::V6WithLinkLocal {
                global,
                link_local: <[u8; 16]>::try_from(local).ok()?.into(),
            },
        })
    }

    /// Reads any of the forms that [`NextHop::read`] knows, told apart by length.
    pub(crate) fn read_any(bytes: &[u8]) -> Option<Self> {
        Self::read(bytes, matches!(bytes.len(), 12 | 24 | 48))
    }

    /// Appends the octets of the address or addresses.
    pub(crate) fn write(self, with_distinguisher: bool, out: &mut Vec<u8>) {
        let distinguisher: &[u8] = if with_distinguisher { &[0; 8] } else { &[] };
        out.extend_from_slice(distinguisher);
        match self {
            Self::V4(address) => out.extend_from_slice(&address.octets()),
            Self::V6(address) => out.extend_from_slice(&address.octets()),
            Self::V6WithLinkLocal { global, link_local } => {
                out.extend_from_slice(&global.octets());
                out.extend_from_slice(distinguisher);
                out.extend_from_slice(&link_local.octets());
            }
        }
    }
}

/// Whether next hops of the family carry a route distinguisher before each address.
pub(crate) const fn has_distinguisher(family: Family) -> bool {
    matches!(family.safi, Safi::MPLS_VPN)
}

/// Whether a next hop of that many octets may stand in MP_REACH_NLRI of the family.
///
/// `extended` says that RFC 8950 was negotiated for the family.
pub(crate) const fn length_is_valid(family: Family, len: usize, extended: bool) -> bool {
    match (family.afi, family.safi) {
        (Afi::IPV4, Safi::UNICAST | Safi::MULTICAST | Safi::LABELED_UNICAST) => {
            len == 4 || (extended && (len == 16 || len == 32))
        }
        (Afi::IPV4, Safi::MPLS_VPN) => len == 12 || (extended && (len == 24 || len == 48)),
        (Afi::IPV6, Safi::UNICAST | Safi::MULTICAST | Safi::LABELED_UNICAST) => len == 16 || len == 32,
        (Afi::IPV6, Safi::MPLS_VPN) => len == 24 || len == 48,
        (Afi::L2VPN, _) | (Afi::IPV4, Safi::ROUTE_TARGET) => len == 4 || len == 16,
        _ => true,
    }
}

impl From<IpAddr> for NextHop {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6(address),
        }
    }
}

impl From<[u8; 4]> for NextHop {
    fn from(octets: [u8; 4]) -> Self {
        Self::V4(octets.into())
    }
}

impl From<Ipv4Addr> for NextHop {
    fn from(address: Ipv4Addr) -> Self {
        Self::V4(address)
    }
}

impl From<Ipv6Addr> for NextHop {
    fn from(address: Ipv6Addr) -> Self {
        Self::V6(address)
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => fmt::Display::fmt(address, f),
            Self::V6(address) => fmt::Display::fmt(address, f),
            Self::V6WithLinkLocal { global, link_local } => write!(f, "{global} {link_local}"),
        }
    }
}

/// The text is no next hop.
///
/// ```
/// use bgp_codec::{NextHop, ParseNextHopError};
/// assert_eq!("here".parse::<NextHop>(), Err(ParseNextHopError));
/// ```
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not a next hop: expected an address, or two IPv6 addresses of which the second is link-local")]
pub struct ParseNextHopError;

impl FromStr for NextHop {
    type Err = ParseNextHopError;

    fn from_str(text: &str) -> Result<Self, ParseNextHopError> {
        let Some((global, link_local)) = text.split_once(' ') else {
            return text
                .parse::<IpAddr>()
                .map(Self::from)
                .map_err(|_| ParseNextHopError);
        };
        Ok(Self::V6WithLinkLocal {
            global: global.parse().map_err(|_| ParseNextHopError)?,
            link_local: link_local.parse().map_err(|_| ParseNextHopError)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(next_hop: NextHop, with_distinguisher: bool, len: usize) {
        let mut bytes = Vec::new();
        next_hop.write(with_distinguisher, &mut bytes);
        assert_eq!(bytes.len(), len);
        assert_eq!(NextHop::read(&bytes, with_distinguisher), Some(next_hop));
    }

    #[test]
    fn every_shape_round_trips() {
        let both = NextHop::V6WithLinkLocal {
            global: "2001:db8::1".parse().unwrap(),
            link_local: "fe80::1".parse().unwrap(),
        };
        check(NextHop::V4([192, 0, 2, 1].into()), false, 4);
        check(NextHop::V4([192, 0, 2, 1].into()), true, 12);
        check(NextHop::V6("2001:db8::1".parse().unwrap()), false, 16);
        check(NextHop::V6("2001:db8::1".parse().unwrap()), true, 24);
        check(both, false, 32);
        check(both, true, 48);
        assert_eq!(NextHop::read(&[0; 5], false), None);
    }

    #[test]
    fn impossible_hosts_are_recognised() {
        for text in [
            "0.1.2.3",
            "127.9.9.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "ff02::1",
        ] {
            assert!(
                !NextHop::from(text.parse::<IpAddr>().unwrap()).is_host(),
                "{text}"
            );
        }
        for text in ["10.0.0.1", "169.254.0.1", "fe80::1", "2001:db8::"] {
            assert!(NextHop::from(text.parse::<IpAddr>().unwrap()).is_host(), "{text}");
        }
    }
}
