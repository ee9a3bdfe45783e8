//! The visitor is told what the view says, of whatever octets.

use bgp_codec::{
    Aggregator, AsPath, AsPathBuf, Asn, Attributes, Communities, Community, DecodeContext,
    ExtendedCommunities, Family, FamilySet, LargeCommunities, LargeCommunity, NextHop, Nlri, NlriBlock,
    Origin, PathAttributes, PeerKind, Treatment, Update, UpdateVisitor, UpdateWriter, WriteContext, header,
    visit,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;
use std::net::Ipv4Addr;

/// NLRI as they are iterated, up to the first that cannot be read.
type Prefixes = (Family, Vec<Option<Nlri<IpNet>>>);

/// What an UPDATE says, in owned values.
#[derive(Debug, Default, PartialEq)]
struct Said {
    origin: Option<Origin>,
    as_path: Option<String>,
    next_hop: Option<Ipv4Addr>,
    med: Option<u32>,
    local_pref: Option<u32>,
    atomic_aggregate: bool,
    aggregator: Option<Aggregator>,
    communities: Vec<String>,
    only_to_customer: Option<Asn>,
    withdrawn: Vec<Prefixes>,
    announced: Vec<(Prefixes, Option<NextHop>)>,
}

fn read(nlri: NlriBlock<'_>) -> Prefixes {
    (nlri.family, nlri.ip_prefixes().map(Result::ok).collect())
}

impl UpdateVisitor for Said {
    fn begin(&mut self) {
        *self = Self::default();
    }
    fn origin(&mut self, origin: Origin) {
        self.origin = Some(origin);
    }
    fn as_path(&mut self, path: AsPath<'_>) {
        self.as_path = Some(path.to_string());
    }
    fn next_hop(&mut self, next_hop: Ipv4Addr) {
        self.next_hop = Some(next_hop);
    }
    fn med(&mut self, med: u32) {
        self.med = Some(med);
    }
    fn local_pref(&mut self, local_pref: u32) {
        self.local_pref = Some(local_pref);
    }
    fn atomic_aggregate(&mut self) {
        self.atomic_aggregate = true;
    }
    fn aggregator(&mut self, aggregator: Aggregator) {
        self.aggregator = Some(aggregator);
    }
    fn communities(&mut self, communities: Communities<'_>) {
        self.communities
            .extend(communities.iter().map(|one| format!("{one}")));
    }
    fn extended_communities(&mut self, communities: ExtendedCommunities<'_>) {
        self.communities
            .extend(communities.iter().map(|one| format!("extended {one}")));
    }
    fn large_communities(&mut self, communities: LargeCommunities<'_>) {
        self.communities
            .extend(communities.iter().map(|one| format!("large {one}")));
    }
    fn only_to_customer(&mut self, asn: Asn) {
        self.only_to_customer = Some(asn);
    }
    fn withdraw(&mut self, nlri: NlriBlock<'_>) {
        self.withdrawn.push(read(nlri));
    }
    fn announce(&mut self, nlri: NlriBlock<'_>, next_hop: Option<NextHop>) {
        self.announced.push((read(nlri), next_hop));
    }
}

/// The same by way of the view.
fn viewed(update: &Update<'_>) -> Said {
    let attributes: &Attributes<'_> = update.attributes();
    let plain = attributes.communities().iter().map(|one| format!("{one}"));
    let extended = attributes
        .extended_communities()
        .iter()
        .map(|one| format!("extended {one}"));
    let large = attributes
        .large_communities()
        .iter()
        .map(|one| format!("large {one}"));
    Said {
        origin: attributes.origin(),
        as_path: attributes.as_path().map(|path| path.to_string()),
        next_hop: attributes.next_hop(),
        med: attributes.med(),
        local_pref: attributes.local_pref(),
        atomic_aggregate: attributes.atomic_aggregate(),
        aggregator: attributes.aggregator(),
        communities: plain.chain(extended).chain(large).collect(),
        only_to_customer: attributes.only_to_customer(),
        withdrawn: update.withdrawn().map(read).collect(),
        announced: update
            .announced()
            .map(|announced| (read(announced.nlri), announced.next_hop))
            .collect(),
    }
}

fn context(internal: bool, four_octet_asn: bool, add_path: bool) -> DecodeContext {
    let kind = if internal {
        PeerKind::Internal
    } else {
        PeerKind::External
    };
    DecodeContext {
        four_octet_asn,
        add_path: families(add_path),
        ..DecodeContext::all(kind)
    }
}

fn families(all: bool) -> FamilySet {
    if all { FamilySet::ALL } else { FamilySet::EMPTY }
}

/// Octets of an UPDATE's body, written for this context.
fn body(context: &DecodeContext, ipv6: bool, rich: bool) -> Vec<u8> {
    let attributes = PathAttributes {
        as_path: AsPathBuf::from_sequence([64_512, 64_513].map(Asn)),
        med: rich.then_some(10),
        local_pref: (context.peer == PeerKind::Internal).then_some(100),
        communities: vec![Community::new(64_512, 1), Community::new(64_512, 2)],
        large_communities: if rich {
            vec![LargeCommunity {
                global: 64_512,
                local1: 1,
                local2: 2,
            }]
        } else {
            vec![]
        },
        ..PathAttributes::default()
    };
    let mut out = Vec::new();
    let write = WriteContext {
        four_octet_asn: context.four_octet_asn,
        max_message: 4096,
        add_path: context.add_path,
    };
    let mut writer = UpdateWriter::new(&mut out, write);
    let nlri = |prefix: IpNet| Nlri { path_id: 7, prefix };
    if ipv6 {
        let prefixes =
            [48, 64].map(|len| nlri(Ipv6Net::new([0x2001; 8].into(), len).unwrap().trunc().into()));
        let next_hop = NextHop::V6("2001:db8::1".parse().unwrap());
        writer
            .announce(Family::IPV6_UNICAST, &attributes, next_hop, prefixes)
            .unwrap();
    } else {
        let prefixes =
            [9, 24].map(|len| nlri(Ipv4Net::new([10, 1, 2, 0].into(), len).unwrap().trunc().into()));
        writer
            .announce(Family::IPV4_UNICAST, &attributes, [192, 0, 2, 1].into(), prefixes)
            .unwrap();
    }
    out.split_off(header::HEADER_LEN)
}

/// Both ways read the same, or fail the same.
fn check(octets: &[u8], context: &DecodeContext) -> Result<Option<Treatment>, TestCaseError> {
    let mut said = Said::default();
    match (
        visit::update(octets, context, &mut said),
        Update::decode(octets, context),
    ) {
        (Ok(treatment), Ok(update)) => {
            prop_assert_eq!(treatment, update.treatment());
            prop_assert_eq!(said, viewed(&update));
            Ok(treatment)
        }
        (visited, decoded) => {
            prop_assert_eq!(visited.err(), decoded.err());
            Ok(None)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 4096 }))]

    #[test]
    fn visitor_hears_what_the_view_says(
        (internal, four_octet, add_path, ipv6, rich) in any::<(bool, bool, bool, bool, bool)>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let context = context(internal, four_octet, add_path);
        let mut octets = body(&context, ipv6, rich);
        let untouched = changes.is_empty();
        for (at, octet) in changes {
            let at = at.index(octets.len());
            octets[at] = octet;
        }
        let treatment = check(&octets, &context)?;
        prop_assert!(!untouched || treatment.is_none());
    }

    #[test]
    fn visitor_and_view_agree_on_any_octets(
        (internal, four_octet, add_path) in any::<(bool, bool, bool)>(),
        octets in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        check(&octets, &context(internal, four_octet, add_path))?;
    }
}
