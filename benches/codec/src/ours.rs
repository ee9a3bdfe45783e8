//! Reading and writing with `bgp-codec`.

use std::hint::black_box;

use bgp_codec::{
    DecodeContext, Family, FamilySet, NextHop, NlriBlock, PeerKind, Update, UpdateWriter, WriteContext, header,
};
use ipnet::{Ipv4Net, Ipv6Net};

use crate::stream::{Route, Stream};
use crate::sum::Sum;

/// The whole stream: framing, all checks, every value.
pub fn read(stream: &Stream) -> Sum {
    let context = DecodeContext {
        four_octet_asn: stream.four_octet_asn,
        add_path: if stream.add_path { FamilySet::ALL } else { FamilySet::EMPTY },
        ..DecodeContext::all(PeerKind::Internal)
    };
    let mut sum = Sum::default();
    let mut rest = &stream.bytes[..];
    while let Ok(Some(frame)) = header::frame(rest, header::MAX_MESSAGE) {
        let (message, after) = rest.split_at(frame.len);
        rest = after;
        let decoded = Update::decode(&message[header::HEADER_LEN..], &context);
        let Ok(update) = &decoded else { continue };
        sum = one(update, sum);
    }
    sum
}

#[inline(never)]
fn one(update: &Update<'_>, mut sum: Sum) -> Sum {
    for block in update.withdrawn() {
        sum = nlri(block, sum);
    }
    let attributes = update.attributes();
    if let Some(origin) = attributes.origin() {
        sum.value(u32::from(origin.code()));
    }
    if let Some(path) = attributes.as_path() {
        for segment in path.segments() {
            for asn in segment.asns() {
                sum.value(asn.0);
            }
        }
    }
    if let Some(med) = attributes.med() {
        sum.value(med);
    }
    if let Some(local_pref) = attributes.local_pref() {
        sum.value(local_pref);
    }
    if let Some(aggregator) = attributes.aggregator() {
        sum.value(aggregator.asn.0);
        sum.value(aggregator.address.into());
    }
    for community in attributes.communities().iter() {
        sum.value(community.0);
    }
    for community in attributes.large_communities().iter() {
        sum.value(community.global);
        sum.value(community.local1);
        sum.value(community.local2);
    }
    for announced in update.announced() {
        match announced.next_hop {
            Some(NextHop::V4(address)) => sum.value(address.into()),
            Some(NextHop::V6(address)) => sum.address6(address.into()),
            Some(NextHop::V6WithLinkLocal { global, link_local }) => {
                sum.address6(global.into());
                sum.address6(link_local.into());
            }
            None => {}
        }
        sum = nlri(announced.nlri, sum);
    }
    sum
}

#[inline]
fn nlri(block: NlriBlock<'_>, mut sum: Sum) -> Sum {
    match block.family {
        Family::IPV4_UNICAST => {
            for nlri in block.prefixes::<Ipv4Net>() {
                let Ok(nlri) = nlri else { break };
                sum.ipv4(nlri.path_id, nlri.prefix.addr().into(), nlri.prefix.prefix_len());
            }
        }
        Family::IPV6_UNICAST => {
            for nlri in block.prefixes::<Ipv6Net>() {
                let Ok(nlri) = nlri else { break };
                sum.ipv6(nlri.path_id, nlri.prefix.addr().into(), nlri.prefix.prefix_len());
            }
        }
        _ => {}
    }
    sum
}

/// Writes every route into the buffer, emptied before each.
pub fn write(routes: &[(Vec<u8>, &Route)], out: &mut Vec<u8>) -> usize {
    let context =
        WriteContext { four_octet_asn: true, max_message: header::MAX_MESSAGE, add_path: FamilySet::EMPTY };
    let mut octets = 0;
    for (block, route) in routes {
        out.clear();
        let mut writer = UpdateWriter::new(out, context);
        let next_hop = Some(NextHop::V4(route.next_hop));
        let written = writer.announce_canonical(Family::IPV4_UNICAST, block, next_hop, &route.prefixes);
        black_box(written.is_ok());
        octets += out.len();
    }
    octets
}

/// The same from owned attributes.
pub fn write_owned(routes: &[Route], out: &mut Vec<u8>) -> usize {
    let context =
        WriteContext { four_octet_asn: true, max_message: header::MAX_MESSAGE, add_path: FamilySet::EMPTY };
    let mut octets = 0;
    for route in routes {
        out.clear();
        let mut writer = UpdateWriter::new(out, context);
        let next_hop = NextHop::V4(route.next_hop);
        let written = writer.announce(Family::IPV4_UNICAST, &route.attributes, next_hop, &route.prefixes);
        black_box(written.is_ok());
        octets += out.len();
    }
    octets
}
