//! Where a peer is: its address and, where that means nothing without, the link (RFC 4007 §6).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::settings::{PeerAddress, PeerSettings};

/// See the module.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Place {
    pub(super) address: IpAddr,
    /// The interface, of a link-local address only: two links may each have a machine with it.
    pub(super) link: Option<Arc<str>>,
}

impl Place {
    pub(super) fn new(address: IpAddr, interface: Option<&Arc<str>>) -> Self {
        Self {
            address,
            link: interface.filter(|_| is_link_local(address)).cloned(),
        }
    }

    /// Of the far end of a connection; the name of its interface is asked from the kernel.
    pub(super) fn of_socket(address: SocketAddr) -> Self {
        let link = match address {
            SocketAddr::V6(address) if address.ip().is_unicast_link_local() => {
                nix::net::if_::if_indextoname(address.scope_id())
                    .ok()
                    .and_then(|name| name.into_string().ok())
            }
            SocketAddr::V4(_) | SocketAddr::V6(_) => None,
        };
        Self {
            address: address.ip().to_canonical(),
            link: link.map(Arc::from),
        }
    }

    /// Of a peer; a range has none.
    pub(super) fn of_peer(settings: &PeerSettings) -> Option<Self> {
        match settings.address {
            PeerAddress::Address(address) => Some(Self::new(address, settings.interface.as_ref())),
            PeerAddress::Range(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.link {
            Some(link) => write!(f, "{}%{link}", self.address),
            None => self.address.fmt(f),
        }
    }
}

/// RFC 4291 §2.5.6.
pub(super) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_link_local_address_has_a_link() {
        let eth0: Arc<str> = "eth0".into();
        let place = |text: &str| Place::new(text.parse().unwrap(), Some(&eth0)).to_string();
        assert_eq!(place("fe80::1"), "fe80::1%eth0");
        assert_eq!(place("2001:db8::1"), "2001:db8::1");
        assert_eq!(place("192.0.2.1"), "192.0.2.1");
    }
}
