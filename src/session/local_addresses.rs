//! The addresses of this machine: which peers are ourselves, and what "next hop self" means on a connection.
//!
//! Reading them is one call; what follows from them is pure.

use std::io;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;

use super::place::{Place, is_link_local};
use crate::rib::interface::SelfAddresses;

/// All addresses of all interfaces at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LocalAddresses(Vec<InterfaceAddress>);

/// One address of one interface.
#[derive(Clone, Debug, Eq, PartialEq)]
struct InterfaceAddress {
    interface: String,
    address: IpAddr,
    /// What is reached directly: the address's subnet, or the other end of a point-to-point link.
    link: Option<IpNet>,
}

impl LocalAddresses {
    /// Reads them from the kernel.
    ///
    /// # Errors
    ///
    /// Whatever `getifaddrs` says.
    pub fn read() -> io::Result<Self> {
        let addresses = getifaddrs()?.filter_map(|entry| {
            let address = ip(entry.address.as_ref()?)?;
            let link = match entry
                .destination
                .as_ref()
                .and_then(ip)
                .filter(|other| *other != address)
            {
                Some(other_end) => Some(IpNet::from(other_end)),
                None => entry
                    .netmask
                    .as_ref()
                    .and_then(ip)
                    .and_then(|mask| IpNet::with_netmask(address, mask).ok()),
            };
            Some(InterfaceAddress {
                interface: entry.interface_name,
                address,
                link,
            })
        });
        Ok(Self(addresses.collect()))
    }

    /// Whether the address is one of this machine's, on its link if it is link-local.
    #[must_use]
    pub(super) fn contains(&self, place: &Place) -> bool {
        self.0.iter().any(|entry| entry.is_at(place))
    }

    /// The index of the interface that has the address; 0 for none.
    #[must_use]
    pub fn link(&self, address: IpAddr) -> u32 {
        let entry = self.0.iter().find(|entry| entry.address == address);
        entry
            .and_then(|entry| nix::net::if_::if_nametoindex(entry.interface.as_str()).ok())
            .unwrap_or(0)
    }

    /// Yields what "next hop self" means on a connection from `place` to `remote`, and whether both share a link.
    #[must_use]
    pub(super) fn of_connection(&self, place: &Place, remote: IpAddr) -> (SelfAddresses, bool) {
        let interface = self
            .0
            .iter()
            .find(|entry| entry.is_at(place))
            .map(|entry| &entry.interface);
        let local = place.address;
        let same = || {
            self.0
                .iter()
                .filter(move |entry| Some(&entry.interface) == interface)
        };
        let shared_link = is_link_local(remote)
            || same().any(|entry| entry.link.is_some_and(|link| link.contains(&remote)));
        let ipv6 = |wanted: fn(&Ipv6Addr) -> bool| {
            same().find_map(|entry| match entry.address {
                IpAddr::V6(address) if wanted(&address) => Some(address),
                IpAddr::V6(_) | IpAddr::V4(_) => None,
            })
        };
        let link_local = match local {
            IpAddr::V6(local) if local.is_unicast_link_local() => Some(local),
            IpAddr::V6(_) | IpAddr::V4(_) => ipv6(Ipv6Addr::is_unicast_link_local),
        };
        let mut addresses = SelfAddresses {
            ipv4: same().find_map(|entry| match entry.address {
                IpAddr::V4(address) => Some(address),
                IpAddr::V6(_) => None,
            }),
            ipv6: ipv6(is_global),
            // RFC 2545 §3: a link-local next hop is of use only to those on the link.
            link_local: link_local.filter(|_| shared_link),
        };
        match local {
            IpAddr::V4(local) => addresses.ipv4 = Some(local),
            IpAddr::V6(local) if !local.is_unicast_link_local() => addresses.ipv6 = Some(local),
            IpAddr::V6(_) => {}
        }
        (addresses, shared_link)
    }
}

impl InterfaceAddress {
    fn is_at(&self, place: &Place) -> bool {
        self.address == place.address && place.link.as_ref().is_none_or(|link| **link == *self.interface)
    }
}

fn is_global(address: &Ipv6Addr) -> bool {
    !address.is_unicast_link_local() && !address.is_loopback() && !address.is_multicast()
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
        (Some(address), _) => Some(IpAddr::V4(address.ip())),
        (None, Some(address)) => Some(IpAddr::V6(address.ip())),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> LocalAddresses {
        let entry = |interface: &str, address: &str, link: Option<&str>| InterfaceAddress {
            interface: interface.into(),
            address: address.parse().unwrap(),
            link: link.map(|link| link.parse().unwrap()),
        };
        LocalAddresses(vec![
            entry("lo", "127.0.0.1", Some("127.0.0.1/8")),
            entry("lo", "::1", Some("::1/128")),
            entry("eth0", "172.16.40.199", Some("172.16.40.199/24")),
            entry("eth0", "fe80::199", Some("fe80::199/64")),
            entry("eth0", "2001:db8:40::199", Some("2001:db8:40::199/64")),
            entry("wg0", "10.9.0.1", Some("10.9.0.2/32")),
        ])
    }

    fn on(address: &str, interface: &str) -> Place {
        Place::new(address.parse().unwrap(), Some(&interface.into()))
    }

    fn check(local: &str, remote: &str, expected: [Option<&str>; 3], shared_link: bool) {
        let (addresses, shared) = machine().of_connection(&on(local, "eth0"), remote.parse().unwrap());
        let parse = |text: Option<&str>| text.map(|text| text.parse::<IpAddr>().unwrap());
        let [ipv4, ipv6, link_local] = expected;
        assert_eq!(addresses.ipv4.map(IpAddr::V4), parse(ipv4));
        assert_eq!(addresses.ipv6.map(IpAddr::V6), parse(ipv6));
        assert_eq!(addresses.link_local.map(IpAddr::V6), parse(link_local));
        assert_eq!(shared, shared_link);
    }

    #[test]
    fn ipv6_routes_over_an_ipv4_session_get_the_interfaces_ipv6_address() {
        let eth0 = [Some("172.16.40.199"), Some("2001:db8:40::199"), Some("fe80::199")];
        check("172.16.40.199", "172.16.40.202", eth0, true);
        check("2001:db8:40::199", "2001:db8:40::202", eth0, true);
        check("fe80::199", "fe80::202", eth0, true);
    }

    #[test]
    fn a_distant_peer_gets_no_link_local_address() {
        let eth0 = [Some("172.16.40.199"), Some("2001:db8:40::199"), None];
        check("172.16.40.199", "192.0.2.7", eth0, false);
        check("2001:db8:40::199", "2001:db8:77::1", eth0, false);
    }

    #[test]
    fn the_other_end_of_a_point_to_point_link_shares_it() {
        check("10.9.0.1", "10.9.0.2", [Some("10.9.0.1"), None, None], true);
    }

    #[test]
    fn the_loopback_address_is_nobodys_ipv6_next_hop() {
        check("127.0.0.1", "127.0.0.2", [Some("127.0.0.1"), None, None], true);
    }

    #[test]
    fn a_link_local_address_is_ours_on_its_own_link_alone() {
        assert!(machine().contains(&on("fe80::199", "eth0")));
        assert!(
            !machine().contains(&on("fe80::199", "wg0")),
            "that is somebody else's"
        );
        assert!(
            machine().contains(&on("172.16.40.199", "wg0")),
            "others belong to the machine"
        );
    }

    #[test]
    fn this_machine_has_a_loopback_address() {
        let addresses = LocalAddresses::read().unwrap();
        assert!(addresses.contains(&on("127.0.0.1", "lo")) || addresses.0.is_empty());
        assert!(!addresses.contains(&on("192.0.2.77", "lo")));
    }
}
