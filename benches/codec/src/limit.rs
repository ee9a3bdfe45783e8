//! The hand-written limit: reads and writes the benchmark's own streams and knows nothing else.

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
    if stream.add_path {
        walk::<true, false>(&stream.bytes)
    } else {
        walk::<false, false>(&stream.bytes)
    }
}

/// The same with the checks of syntax: header, flags, lengths, duplicates, values, segments, prefix lengths. What is wrong
/// ends the walk.
pub fn read_checking(stream: &Stream) -> Sum {
    if stream.add_path {
        walk::<true, true>(&stream.bytes)
    } else {
        walk::<false, true>(&stream.bytes)
    }
}

fn walk<const ADD_PATH: bool, const CHECK: bool>(mut rest: &[u8]) -> Sum {
    let mut sum = Sum::default();
    while rest.len() >= 19 {
        if CHECK && (rest[..16] != [0xff; 16] || !(23..=4096).contains(&u16_at(rest, 16)) || rest[18] != 2) {
            return sum;
        }
        // Everything is read from slices that go to the end of the stream; `after` is what behind the message is.
        let after = &rest[u16_at(rest, 16)..];
        let withdrawn = u16_at(rest, 19);
        if !ipv4::<ADD_PATH, CHECK>(&rest[21..], withdrawn, &mut sum) {
            return sum;
        }
        rest = &rest[21 + withdrawn..];
        let end = rest.len() - 2 - u16_at(rest, 0);
        rest = &rest[2..];
        let mut seen = 0_u64;
        while rest.len() > end {
            let (flags, code) = (rest[0], rest[1]);
            let (len, head) = if flags & 0x10 != 0 {
                (u16_at(rest, 2), 4)
            } else {
                (usize::from(rest[2]), 3)
            };
            let value = &rest[head..];
            if CHECK && (code > 63 || seen & (1 << code) != 0 || !is_right(flags & 0xc0, code, &value[..len]))
            {
                return sum;
            }
            seen |= 1 << (code & 63);
            if !attribute::<CHECK>(code, value, len, &mut sum) {
                return sum;
            }
            rest = &value[len..];
        }
        if CHECK
            && (rest.len() != end
                || rest.len() < after.len()
                || (rest.len() > after.len() && seen & 0b1110 != 0b1110))
        {
            return sum;
        }
        if !ipv4::<ADD_PATH, CHECK>(rest, rest.len() - after.len(), &mut sum) {
            return sum;
        }
        rest = after;
    }
    sum
}

/// Flags and length.
#[inline(always)]
fn is_right(kind: u8, code: u8, value: &[u8]) -> bool {
    let len = value.len();
    match code {
        1 => kind == 0x40 && len == 1 && value[0] <= 2,
        2 => kind == 0x40,
        3 | 5 => kind == 0x40 && len == 4,
        4 => kind == 0x80 && len == 4,
        6 => kind == 0x40 && len == 0,
        7 => kind == 0xc0 && len == 8,
        8 => kind == 0xc0 && len != 0 && len.is_multiple_of(4),
        32 => kind == 0xc0 && len != 0 && len.is_multiple_of(12),
        14 => kind == 0x80 && len >= 5 && len > 4 + usize::from(value[3]),
        15 => kind == 0x80 && len >= 3,
        _ => true,
    }
}

/// The attribute is the first `len` octets of `behind`.
#[inline(always)]
fn attribute<const CHECK: bool>(code: u8, behind: &[u8], len: usize, sum: &mut Sum) -> bool {
    let mut value = &behind[..len];
    match code {
        1 => sum.value(u32::from(value[0])),
        2 => {
            while value.len() >= 2 {
                if CHECK && (!(1..=4).contains(&value[0]) || value[1] == 0) {
                    return false;
                }
                let (asns, after) = value[2..].split_at(usize::from(value[1]) * 4);
                if CHECK && asns.as_chunks::<4>().0.contains(&[0; 4]) {
                    return false;
                }
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
            return family::<CHECK>(behind, 5 + next_hop, len, sum);
        }
        15 => return family::<CHECK>(behind, 3, len, sum),
        _ => {}
    }
    true
}

/// NLRI in a multiprotocol attribute of so many octets, from `start` on.
#[inline(always)]
fn family<const CHECK: bool>(value: &[u8], start: usize, len: usize, sum: &mut Sum) -> bool {
    if value[..3] == [0, 2, 1] {
        ipv6::<CHECK>(&value[start..], len - start, sum)
    } else {
        true
    }
}

#[inline(always)]
fn words(value: &[u8], sum: &mut Sum) {
    for word in value.as_chunks::<4>().0 {
        sum.value(u32::from_be_bytes(*word));
    }
}

/// The bits of an address that count, by the length of the prefix; lengths that no prefix has have no bits.
static IPV4_MASKS: [u32; 256] = {
    let (mut masks, mut bits) = ([0; 256], 1);
    while bits <= 32 {
        masks[bits] = u32::MAX << (32 - bits);
        bits += 1;
    }
    masks
};

/// The same of the first half of an IPv6 address.
static IPV6_MASKS: [u64; 256] = {
    let (mut masks, mut bits) = ([0; 256], 1);
    while bits <= 64 {
        masks[bits] = u64::MAX << (64 - bits);
        bits += 1;
    }
    masks
};

/// The first `len` octets of `rest` are prefixes. What stands behind them is read with them, so that no length decides how
/// much is read; only the very last prefix of a stream has nothing behind it.
#[inline(always)]
fn ipv4<const ADD_PATH: bool, const CHECK: bool>(mut rest: &[u8], len: usize, sum: &mut Sum) -> bool {
    let end = rest.len() - len;
    while rest.len() > end {
        let mut path_id = 0;
        if ADD_PATH {
            path_id = u32_at(rest, 0);
            rest = &rest[4..];
        }
        let (bits, octets) = match *rest {
            [bits, a, b, c, d, ..] => (bits, [a, b, c, d]),
            _ => last(rest),
        };
        if CHECK && bits > 32 {
            return false;
        }
        sum.ipv4(
            path_id,
            u32::from_be_bytes(octets) & IPV4_MASKS[usize::from(bits)],
            bits,
        );
        rest = &rest[1 + ((usize::from(bits) + 7) >> 3)..];
    }
    !CHECK || rest.len() == end
}

#[inline(always)]
fn ipv6<const CHECK: bool>(mut rest: &[u8], len: usize, sum: &mut Sum) -> bool {
    let end = rest.len() - len;
    while rest.len() > end {
        let (bits, octets) = match *rest {
            [bits, a, b, c, d, e, f, g, h, ..] => (bits, [a, b, c, d, e, f, g, h]),
            _ => last(rest),
        };
        let mut address = u128::from(u64::from_be_bytes(octets) & IPV6_MASKS[usize::from(bits)]) << 64;
        if bits > 64 {
            if CHECK && bits > 128 {
                return false;
            }
            address = long_ipv6(rest, bits);
        }
        sum.ipv6(0, address, bits);
        rest = &rest[1 + ((usize::from(bits) + 7) >> 3)..];
    }
    !CHECK || rest.len() == end
}

#[cold]
fn last<const LEN: usize>(rest: &[u8]) -> (u8, [u8; LEN]) {
    let mut octets = [0; LEN];
    octets[..rest.len() - 1].copy_from_slice(&rest[1..]);
    (rest[0], octets)
}

#[cold]
fn long_ipv6(rest: &[u8], bits: u8) -> u128 {
    let mut octets = [0; 16];
    let len = usize::from(bits).div_ceil(8);
    octets[..len].copy_from_slice(&rest[1..=len]);
    u128::from_be_bytes(octets) & (u128::MAX << (128 - u32::from(bits)))
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
