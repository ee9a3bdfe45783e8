//! Reading and writing with `bgp-codec`.

use std::hint::black_box;

use bgp_codec::{
    Aggregator, AsPath, Communities, DecodeContext, Family, FamilySet, LargeCommunities, MessageType,
    NextHop, NlriBlock, Origin, PeerKind, Update, UpdateVisitor, UpdateWriter, WriteContext, header, visit,
};
use ipnet::{Ipv4Net, Ipv6Net};

use crate::stream::{Route, Stream};
use crate::sum::Sum;

fn context(stream: &Stream) -> DecodeContext {
    DecodeContext {
        four_octet_asn: stream.four_octet_asn,
        add_path: if stream.add_path {
            FamilySet::ALL
        } else {
            FamilySet::EMPTY
        },
        ..DecodeContext::all(PeerKind::Internal)
    }
}

/// The bodies of the UPDATEs, framed and checked.
#[inline(always)]
fn bodies(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        while let Ok(Some(frame)) = header::frame(rest, header::MAX_MESSAGE) {
            let (message, after) = rest.split_at(frame.len);
            rest = after;
            if frame.kind == MessageType::Update {
                return Some(&message[header::HEADER_LEN..]);
            }
        }
        None
    })
}

/// The whole stream, by way of the view: framing, all checks, every value.
#[inline(never)]
pub fn read(stream: &Stream) -> Sum {
    let context = context(stream);
    let mut sum = Sum::default();
    for body in bodies(&stream.bytes) {
        let decoded = Update::decode(body, &context);
        let Ok(update) = &decoded else { continue };
        sum = one(update, sum);
    }
    sum
}

/// The same with a visitor.
#[inline(never)]
pub fn visit(stream: &Stream) -> Sum {
    let context = context(stream);
    let mut visitor = Visitor::default();
    for body in bodies(&stream.bytes) {
        if visit::update(body, &context, &mut visitor).is_ok() {
            visitor.before = visitor.sum;
        } else {
            visitor.sum = visitor.before;
        }
    }
    visitor.sum
}

#[derive(Default)]
struct Visitor {
    /// Without the message that is being read.
    before: Sum,
    sum: Sum,
}

impl UpdateVisitor for Visitor {
    #[inline]
    fn begin(&mut self) {
        self.sum = self.before;
    }
    #[inline]
    fn origin(&mut self, origin: Origin) {
        self.sum.value(u32::from(origin.code()));
    }
    #[inline]
    fn as_path(&mut self, path: AsPath<'_>) {
        for segment in path.segments() {
            segment.asns().for_each(|asn| self.sum.value(asn.0));
        }
    }
    #[inline]
    fn med(&mut self, med: u32) {
        self.sum.value(med);
    }
    #[inline]
    fn local_pref(&mut self, local_pref: u32) {
        self.sum.value(local_pref);
    }
    #[inline]
    fn aggregator(&mut self, aggregator: Aggregator) {
        self.sum.value(aggregator.asn.0);
        self.sum.value(aggregator.address.into());
    }
    #[inline(never)]
    fn communities(&mut self, communities: Communities<'_>) {
        communities
            .iter()
            .for_each(|community| self.sum.value(community.0));
    }
    #[inline(never)]
    fn large_communities(&mut self, communities: LargeCommunities<'_>) {
        for community in communities.iter() {
            self.sum.value(community.global);
            self.sum.value(community.local1);
            self.sum.value(community.local2);
        }
    }
    #[inline]
    fn withdraw(&mut self, block: NlriBlock<'_>) {
        self.sum = nlri(block, self.sum);
    }
    #[inline]
    fn announce(&mut self, block: NlriBlock<'_>, next_hop: Option<NextHop>) {
        self.sum = nlri(block, hop(next_hop, self.sum));
    }
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
            segment.asns().for_each(|asn| sum.value(asn.0));
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
        sum = hop(announced.next_hop, sum);
        sum = nlri(announced.nlri, sum);
    }
    sum
}

#[inline(always)]
fn hop(next_hop: Option<NextHop>, mut sum: Sum) -> Sum {
    match next_hop {
        Some(NextHop::V4(address)) => sum.value(address.into()),
        Some(NextHop::V6(address)) => sum.address6(address.into()),
        Some(NextHop::V6WithLinkLocal { global, link_local }) => {
            sum.address6(global.into());
            sum.address6(link_local.into());
        }
        None => {}
    }
    sum
}

#[inline(always)]
fn nlri(block: NlriBlock<'_>, sum: Sum) -> Sum {
    match block.family {
        Family::IPV4_UNICAST => ipv4(block, sum),
        Family::IPV6_UNICAST => ipv6(block, sum),
        _ => sum,
    }
}

#[inline(never)]
fn ipv4(block: NlriBlock<'_>, mut sum: Sum) -> Sum {
    for nlri in block.prefixes::<Ipv4Net>() {
        let Ok(nlri) = nlri else { break };
        sum.ipv4(nlri.path_id, nlri.prefix.addr().into(), nlri.prefix.prefix_len());
    }
    sum
}

#[inline(never)]
fn ipv6(block: NlriBlock<'_>, mut sum: Sum) -> Sum {
    for nlri in block.prefixes::<Ipv6Net>() {
        let Ok(nlri) = nlri else { break };
        sum.ipv6(nlri.path_id, nlri.prefix.addr().into(), nlri.prefix.prefix_len());
    }
    sum
}

/// Writes every route into the buffer, emptied before each.
pub fn write(routes: &[(Vec<u8>, &Route)], out: &mut Vec<u8>) -> usize {
    let context = WriteContext {
        four_octet_asn: true,
        max_message: header::MAX_MESSAGE,
        add_path: FamilySet::EMPTY,
    };
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
    let context = WriteContext {
        four_octet_asn: true,
        max_message: header::MAX_MESSAGE,
        add_path: FamilySet::EMPTY,
    };
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
