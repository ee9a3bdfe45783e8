//! The streams: whole messages one behind the other, as a socket's buffer holds them.

use std::net::{Ipv4Addr, Ipv6Addr};

use bgp_codec::mrt::{self, Entry, Record};
use bgp_codec::{
    AsPathBuf, Asn, Community, Family, FamilySet, LargeCommunity, MessageType, NextHop, Nlri, PathAttributes,
    UpdateWriter, WriteContext, header,
};
use ipnet::{Ipv4Net, Ipv6Net};

/// Messages and what was negotiated for them.
pub struct Stream {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    /// Where each message ends.
    pub ends: Vec<usize>,
    pub add_path: bool,
    pub four_octet_asn: bool,
    /// The bytes once more, for crates that read from shared buffers.
    pub shared: bytes::Bytes,
}

/// One UPDATE of the IPv4 table, unwritten.
pub struct Route {
    pub attributes: PathAttributes,
    pub next_hop: Ipv4Addr,
    pub prefixes: Vec<Nlri<Ipv4Net>>,
}

/// How many UPDATEs a generated stream has: it exceeds the second-level cache, as a table does.
pub const UPDATES: usize = 20_000;

/// A small generator of numbers, the same in every run.
pub struct Random(u64);

impl Random {
    pub fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) % u64::from(limit)) as u32
    }
}

impl Stream {
    fn new(name: &'static str, bytes: Vec<u8>, add_path: bool) -> Self {
        let mut ends = Vec::new();
        let mut at = 0;
        while let Ok(Some(frame)) = header::frame(&bytes[at..], header::MAX_MESSAGE) {
            at += frame.len;
            ends.push(at);
        }
        assert_eq!(at, bytes.len());
        let shared = bytes::Bytes::copy_from_slice(&bytes);
        Self {
            name,
            bytes,
            ends,
            add_path,
            four_octet_asn: true,
            shared,
        }
    }

    /// The stream in parts of so many messages.
    pub fn parts(&self, messages: usize) -> Vec<Self> {
        let mut start = 0;
        let part = |ends: &[usize]| {
            let end = ends.last().copied().unwrap_or(start);
            let bytes = self.bytes[start..end].to_vec();
            start = end;
            Self::new(self.name, bytes, self.add_path)
        };
        self.ends.chunks(messages).map(part).collect()
    }

    /// The messages one by one.
    pub fn messages(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| &self.bytes[start..*end])
    }
}

/// Routes as a full table has them: paths of 3 to 6 numbers, communities on two of three, about six prefixes.
pub fn routes(add_path: bool, updates: usize) -> Vec<Route> {
    let mut random = Random(0x5eed_0001);
    let mut routes = Vec::new();
    for _ in 0..updates {
        let hops = 3 + random.below(4);
        let asns: Vec<_> = (0..hops).map(|_| Asn(1 + random.below(400_000))).collect();
        let mut attributes = PathAttributes {
            as_path: AsPathBuf::from_sequence(asns),
            ..PathAttributes::default()
        };
        attributes.local_pref = Some(100);
        attributes.med = (random.below(3) == 0).then(|| random.below(1000));
        if random.below(3) > 0 {
            let count = 1 + random.below(6);
            attributes.communities = (0..count).map(|_| Community(random.below(u32::MAX))).collect();
        }
        if random.below(8) == 0 {
            attributes.large_communities = vec![LargeCommunity {
                global: 64_512,
                local1: 1,
                local2: random.below(9),
            }];
        }
        if random.below(10) == 0 {
            let asn = Asn(1 + random.below(400_000));
            attributes.aggregator = Some(bgp_codec::Aggregator {
                asn,
                address: random.below(u32::MAX).into(),
            });
            attributes.atomic_aggregate = true;
        }
        let count = 1 + random.below(11);
        let prefixes = (0..count).map(|_| {
            let len = [24, 24, 24, 24, 24, 23, 22, 22, 21, 20, 19, 16][random.below(12) as usize];
            let prefix = Ipv4Net::new(Ipv4Addr::from(random.below(u32::MAX)), len)
                .unwrap()
                .trunc();
            Nlri {
                path_id: if add_path { random.below(9) } else { 0 },
                prefix,
            }
        });
        routes.push(Route {
            attributes,
            next_hop: [192, 0, 2, 1].into(),
            prefixes: prefixes.collect(),
        });
    }
    routes
}

fn writer(out: &mut Vec<u8>, add_path: bool) -> UpdateWriter<'_> {
    let add_path = if add_path {
        FamilySet::ALL
    } else {
        FamilySet::EMPTY
    };
    UpdateWriter::new(
        out,
        WriteContext {
            four_octet_asn: true,
            max_message: header::MAX_MESSAGE,
            add_path,
        },
    )
}

pub fn ipv4(add_path: bool, updates: usize) -> Stream {
    let mut bytes = Vec::new();
    for route in routes(add_path, updates) {
        let next_hop = NextHop::V4(route.next_hop);
        writer(&mut bytes, add_path)
            .announce(Family::IPV4_UNICAST, &route.attributes, next_hop, &route.prefixes)
            .unwrap();
    }
    Stream::new(
        if add_path { "ipv4 add-path" } else { "ipv4 table" },
        bytes,
        add_path,
    )
}

pub fn ipv6(updates: usize) -> Stream {
    let mut bytes = Vec::new();
    let mut random = Random(0x5eed_0002);
    let global: Ipv6Addr = "2001:db8::1".parse().unwrap();
    let next_hop = NextHop::V6WithLinkLocal {
        global,
        link_local: "fe80::1".parse().unwrap(),
    };
    for route in routes(false, updates) {
        let prefixes = route.prefixes.iter().map(|nlri| {
            let len = [48, 48, 48, 32, 40, 44][random.below(6) as usize];
            let address = (0x2001_u128 << 112) | (u128::from(u32::from(nlri.prefix.addr())) << 80);
            Nlri::new(Ipv6Net::new(address.into(), len).unwrap().trunc())
        });
        writer(&mut bytes, false)
            .announce(Family::IPV6_UNICAST, &route.attributes, next_hop, prefixes)
            .unwrap();
    }
    Stream::new("ipv6 mp-reach", bytes, false)
}

pub fn withdrawals(updates: usize) -> Stream {
    let mut bytes = Vec::new();
    for route in routes(false, updates) {
        writer(&mut bytes, false)
            .withdraw(Family::IPV4_UNICAST, &route.prefixes)
            .unwrap();
    }
    Stream::new("withdrawals", bytes, false)
}

/// The streams that are made, of so many UPDATEs each.
pub fn made(updates: usize) -> [Stream; 4] {
    [
        ipv4(false, updates),
        ipv6(updates),
        withdrawals(updates),
        ipv4(true, updates),
    ]
}

/// The UPDATEs of an MRT file, those with four-octet AS numbers.
pub fn recorded(path: &std::path::Path) -> std::io::Result<Stream> {
    let mut file = std::io::BufReader::new(std::fs::File::open(path)?);
    let (mut buffer, mut bytes) = (Vec::new(), Vec::new());
    while mrt::read_record(&mut file, &mut buffer)? {
        let Ok(Some((record, _))) = Record::split(&buffer) else {
            break;
        };
        if let Ok(Entry::Message(message)) = record.parse()
            && message.session.four_octet_asn
            && let Ok(Some(frame)) = header::frame(message.bytes, header::MAX_MESSAGE)
            && frame.kind == MessageType::Update
        {
            bytes.extend_from_slice(message.bytes);
        }
    }
    Ok(Stream::new("mrt updates", bytes, false))
}
