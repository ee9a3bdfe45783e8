//! `RTM_*LINK` and `RTM_*ADDR`: interfaces and their addresses.

use std::net::IpAddr;
use std::sync::Arc;

use super::route::address;
use super::{Attributes, Cursor, words};

const IFF_UP: u32 = 1;
const IFF_LOOPBACK: u32 = 8;
const IFF_LOWER_UP: u32 = 1 << 16;
const IFLA_IFNAME: u16 = 3;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
const IFA_F_SECONDARY: u32 = 1;
const IFA_F_DADFAILED: u32 = 8;

/// An interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Link {
    /// Its index.
    pub(crate) index: u32,
    /// Its name.
    pub(crate) name: Arc<str>,
    /// Set up by the administrator.
    pub(crate) up: bool,
    /// It has a carrier.
    pub(crate) carrier: bool,
    /// It is a loopback.
    pub(crate) loopback: bool,
}

impl Link {
    /// Reads an `ifinfomsg`. Bridges report their ports in the same group under a family of their own, where a delete
    /// means that a port left the bridge: such messages are not about the link.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let mut cursor = Cursor(payload);
        let [family, _, _, _] = cursor.take()?;
        let index = cursor.u32()?;
        let flags = cursor.u32()?;
        let _change_mask = cursor.u32()?;
        if family != 0 {
            return None;
        }
        let name = Attributes(cursor.0)
            .find(|&(kind, _)| kind == IFLA_IFNAME)
            .map(|(_, value)| words(value))?;
        Some(Self {
            index,
            name: name.into(),
            up: flags & IFF_UP != 0,
            carrier: flags & IFF_LOWER_UP != 0,
            loopback: flags & IFF_LOOPBACK != 0,
        })
    }

    /// Packets can leave through it.
    pub(crate) fn is_usable(&self) -> bool {
        self.up && self.carrier
    }
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Address {
    /// The interface's index.
    pub(crate) interface: u32,
    /// Our own end.
    pub(crate) local: IpAddr,
    /// Length of the subnet.
    pub(crate) length: u8,
    /// `ifa_scope`: 0 global, 253 link, 254 host.
    pub(crate) scope: u8,
    /// Another address of the same subnet came first.
    pub(crate) secondary: bool,
    /// Duplicate address detection found another owner.
    pub(crate) duplicate: bool,
}

impl Address {
    /// Reads an `ifaddrmsg`.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let mut cursor = Cursor(payload);
        let [family, length, flags, scope] = cursor.take()?;
        let interface = cursor.u32()?;
        let (mut local, mut other, mut flags) = (None, None, u32::from(flags));
        for (kind, value) in Attributes(cursor.0) {
            match kind {
                // On a point-to-point link IFA_ADDRESS is the far end.
                IFA_LOCAL => local = address(family, value),
                IFA_ADDRESS => other = address(family, value),
                IFA_FLAGS => flags = Cursor(value).u32()?,
                _ => {}
            }
        }
        Some(Self {
            interface,
            local: local.or(other)?,
            length,
            scope,
            secondary: flags & IFA_F_SECONDARY != 0,
            duplicate: flags & IFA_F_DADFAILED != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_leaving_its_bridge_is_not_a_link_going() {
        let mut payload = vec![7, 0, 0, 0];
        payload.extend(5_u32.to_ne_bytes());
        payload.extend([0; 8]);
        payload.extend([9, 0, 3, 0, b'e', b't', b'h', b'0', 0, 0, 0, 0]);
        assert_eq!(Link::parse(&payload), None);
        payload[0] = 0;
        assert_eq!(
            Link::parse(&payload).map(|link| (link.index, link.name)),
            Some((5, "eth0".into()))
        );
    }

    #[test]
    fn the_local_end_of_a_point_to_point_address_is_ours() {
        let mut payload = vec![2, 32, 0x80, 0];
        payload.extend(9_u32.to_ne_bytes());
        payload.extend([8, 0, 1, 0, 10, 0, 0, 2, 8, 0, 2, 0, 10, 0, 0, 1]);
        let address = Address::parse(&payload).unwrap();
        assert_eq!(address.local, IpAddr::from([10, 0, 0, 1]));
        assert_eq!((address.interface, address.length), (9, 32));
    }
}
