//! The hand-written limit: reads and writes the benchmark's own streams and knows nothing else. It trusts the peer.

use crate::stream::{Route, Stream};
use crate::sum::Sum;

fn u16_at(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Every value of every message, without any check but the ends of slices.
pub fn read(stream: &Stream) -> Sum {
    if stream.add_path { walk::<true>(&stream.bytes) } else { walk::<false>(&stream.bytes) }
}

fn walk<const ADD_PATH: bool>(mut rest: &[u8]) -> Sum {
    let mut sum = Sum::default();
    while rest.len() >= 19 {
        let (message, after) = rest.split_at(u16_at(rest, 16));
        rest = after;
        let (withdrawn, tail) = message[21..].split_at(u16_at(message, 19));
        let (mut attributes, nlri) = tail[2..].split_at(u16_at(tail, 0));
        ipv4::<ADD_PATH>(withdrawn, &mut sum);
        while attributes.len() >= 3 {
            let extended = attributes[0] & 0x10 != 0;
            let (len, head) =
                if extended { (u16_at(attributes, 2), 4) } else { (usize::from(attributes[2]), 3) };
            let (value, after) = attributes[head..].split_at(len);
            attribute::<ADD_PATH>(attributes[1], value, &mut sum);
            attributes = after;
        }
        ipv4::<ADD_PATH>(nlri, &mut sum);
    }
    sum
}

#[inline(always)]
fn attribute<const ADD_PATH: bool>(code: u8, mut value: &[u8], sum: &mut Sum) {
    match code {
        1 => sum.value(u32::from(value[0])),
        2 => {
            while value.len() >= 2 {
                let (asns, after) = value[2..].split_at(usize::from(value[1]) * 4);
                words(asns, sum);
                value = after;
            }
        }
        3 | 4 | 5 => sum.value(u32_at(value, 0)),
        7 | 8 | 32 => words(value, sum),
        14 => {
            let next_hop = usize::from(value[3]);
            for address in value[4..4 + next_hop].as_chunks::<16>().0 {
                sum.address6(u128::from_be_bytes(*address));
            }
            ipv6(&value[5 + next_hop..], sum);
        }
        15 => ipv6(&value[3..], sum),
        _ => {}
    }
}

#[inline(always)]
fn words(value: &[u8], sum: &mut Sum) {
    for word in value.as_chunks::<4>().0 {
        sum.value(u32::from_be_bytes(*word));
    }
}

#[inline(always)]
fn ipv4<const ADD_PATH: bool>(mut rest: &[u8], sum: &mut Sum) {
    while !rest.is_empty() {
        let mut path_id = 0;
        if ADD_PATH {
            path_id = u32_at(rest, 0);
            rest = &rest[4..];
        }
        let bits = rest[0];
        let len = usize::from(bits).div_ceil(8);
        let mut octets = [0; 4];
        if rest.len() > 4 {
            octets = rest[1..5].try_into().unwrap();
        } else {
            octets[..len].copy_from_slice(&rest[1..=len]);
        }
        let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
        sum.ipv4(path_id, u32::from_be_bytes(octets) & mask, bits);
        rest = &rest[1 + len..];
    }
}

#[inline(always)]
fn ipv6(mut rest: &[u8], sum: &mut Sum) {
    while !rest.is_empty() {
        let bits = rest[0];
        let len = usize::from(bits).div_ceil(8);
        let mut octets = [0; 16];
        if rest.len() > 16 {
            octets = rest[1..17].try_into().unwrap();
        } else {
            octets[..len].copy_from_slice(&rest[1..=len]);
        }
        let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
        sum.ipv6(0, u128::from_be_bytes(octets) & mask, bits);
        rest = &rest[1 + len..];
    }
}

/// Writes every route from native fields into the buffer, emptied before each.
pub fn write(routes: &[Route], out: &mut Vec<u8>) -> usize {
    let mut octets = 0;
    for route in routes {
        out.clear();
        let attributes = &route.attributes;
        out.extend_from_slice(&[0xff; 16]);
        out.extend_from_slice(&[0, 0, 2, 0, 0, 0, 0, 0x40, 1, 1, attributes.origin.code()]);
        for segment in &attributes.as_path.segments {
            let len = segment.asns.len() as u8;
            out.extend_from_slice(&[0x40, 2, 2 + 4 * len, 2, len]);
            for asn in &segment.asns {
                out.extend_from_slice(&asn.0.to_be_bytes());
            }
        }
        out.extend_from_slice(&[0x40, 3, 4]);
        out.extend_from_slice(&route.next_hop.octets());
        if let Some(med) = attributes.med {
            out.extend_from_slice(&[0x80, 4, 4]);
            out.extend_from_slice(&med.to_be_bytes());
        }
        if let Some(local_pref) = attributes.local_pref {
            out.extend_from_slice(&[0x40, 5, 4]);
            out.extend_from_slice(&local_pref.to_be_bytes());
        }
        if attributes.atomic_aggregate {
            out.extend_from_slice(&[0x40, 6, 0]);
        }
        if let Some(aggregator) = attributes.aggregator {
            out.extend_from_slice(&[0xc0, 7, 8]);
            out.extend_from_slice(&aggregator.asn.0.to_be_bytes());
            out.extend_from_slice(&aggregator.address.octets());
        }
        if !attributes.communities.is_empty() {
            out.extend_from_slice(&[0xc0, 8, 4 * attributes.communities.len() as u8]);
            for community in &attributes.communities {
                out.extend_from_slice(&community.0.to_be_bytes());
            }
        }
        if !attributes.large_communities.is_empty() {
            out.extend_from_slice(&[0xc0, 32, 12 * attributes.large_communities.len() as u8]);
            for community in &attributes.large_communities {
                out.extend_from_slice(&community.global.to_be_bytes());
                out.extend_from_slice(&community.local1.to_be_bytes());
                out.extend_from_slice(&community.local2.to_be_bytes());
            }
        }
        let attributes_len = (out.len() - 23) as u16;
        out[21..23].copy_from_slice(&attributes_len.to_be_bytes());
        for nlri in &route.prefixes {
            let len = usize::from(nlri.prefix.prefix_len()).div_ceil(8);
            out.push(nlri.prefix.prefix_len());
            out.extend_from_slice(&nlri.prefix.addr().octets()[..len]);
        }
        let len = out.len() as u16;
        out[16..18].copy_from_slice(&len.to_be_bytes());
        octets += out.len();
    }
    octets
}
