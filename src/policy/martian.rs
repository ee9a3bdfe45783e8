//! Prefixes that can belong to nobody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::route::Prefix;

/// Whether the prefix lies in 0/8, 127/8, 169.254/16, 224/3, ::/8, fe80::/10 or ff00::/8.
///
/// Of ::/8, 64:ff9b::/96 is in use: translators announce it (RFC 6052 §2.1).
///
/// RFC 1918, 100.64/10 and ULA are where pods and VIPs live and are never martian.
#[must_use]
pub(super) fn is_martian(prefix: &Prefix) -> bool {
    match prefix.addr() {
        IpAddr::V4(address) => {
            let inside = |base: Ipv4Addr, len: u8| contains_v4(base, len, address, prefix.prefix_len());
            inside(Ipv4Addr::new(0, 0, 0, 0), 8)
                || inside(Ipv4Addr::new(127, 0, 0, 0), 8)
                || inside(Ipv4Addr::new(169, 254, 0, 0), 16)
                || inside(Ipv4Addr::new(224, 0, 0, 0), 3)
        }
        IpAddr::V6(address) => {
            let inside = |first: u16, len: u8| contains_v6(first, len, address, prefix.prefix_len());
            (inside(0, 8) && !is_nat64(prefix)) || inside(0xfe80, 10) || inside(0xff00, 8)
        }
    }
}

fn is_nat64(prefix: &Prefix) -> bool {
    let IpAddr::V6(address) = prefix.addr() else {
        return false;
    };
    let well_known = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);
    prefix.prefix_len() >= 96 && u128::from(address) >> 32 == u128::from(well_known) >> 32
}

fn contains_v4(base: Ipv4Addr, len: u8, address: Ipv4Addr, prefix_len: u8) -> bool {
    prefix_len >= len && (u32::from(base) ^ u32::from(address)) >> (32 - u32::from(len)) == 0
}

fn contains_v6(first: u16, len: u8, address: Ipv6Addr, prefix_len: u8) -> bool {
    let [head, ..] = address.segments();
    prefix_len >= len && (first ^ head) >> (16 - u32::from(len)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_ranges_are_martian() {
        for text in [
            "0.0.0.0/8",
            "0.1.2.3/32",
            "127.0.0.0/8",
            "127.0.0.1/32",
            "169.254.0.0/16",
            "169.254.1.0/24",
            "224.0.0.0/3",
            "239.1.1.1/32",
            "240.0.0.0/4",
            "255.255.255.255/32",
            "::/8",
            "::1/128",
            "64:ff9b::/95",
            "64:ff9b:1::/48",
            "fe80::/10",
            "fe80::1/128",
            "febf::/16",
            "ff00::/8",
            "ff02::1/128",
        ] {
            assert!(is_martian(&text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn private_ranges_and_the_rest_are_not() {
        for text in [
            "10.0.0.0/8",
            "172.16.99.10/32",
            "192.168.0.0/16",
            "100.64.0.0/10",
            "1.0.0.0/8",
            "126.0.0.0/8",
            "169.253.0.0/16",
            "169.0.0.0/8",
            "192.0.0.0/3",
            "0.0.0.0/0",
            "::/0",
            "64:ff9b::/96",
            "64:ff9b::c000:200/120",
            "fd00:10:244::/48",
            "fc00::/7",
            "2001:db8::/32",
            "fec0::/10",
            "100::/64",
            "fe00::/9",
        ] {
            assert!(!is_martian(&text.parse().unwrap()), "{text}");
        }
    }
}
