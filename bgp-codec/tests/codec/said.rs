//! What an UPDATE says, by way of the visitor and of the view: it must be the same.

use std::net::{IpAddr, Ipv4Addr};

use bgp_codec::{
    Aggregator, AsPath, Asn, Attributes, ClusterList, Communities, DecodeContext, ExtendedCommunities,
    Family, LargeCommunities, NextHop, Nlri, NlriBlock, Origin, Treatment, Update, UpdateVisitor, WirePrefix,
    visit,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// NLRI as they are iterated, up to the first that cannot be read.
type Prefixes = (Family, Vec<Option<Nlri<IpNet>>>);

/// What an UPDATE says, in owned values.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Said {
    origin: Option<Origin>,
    as_path: Option<String>,
    next_hop: Option<Ipv4Addr>,
    med: Option<u32>,
    local_pref: Option<u32>,
    atomic_aggregate: bool,
    aggregator: Option<Aggregator>,
    communities: Vec<String>,
    originator_id: Option<Ipv4Addr>,
    clusters: Vec<Ipv4Addr>,
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
    fn originator_id(&mut self, originator_id: Ipv4Addr) {
        self.originator_id = Some(originator_id);
    }
    fn cluster_list(&mut self, clusters: ClusterList<'_>) {
        self.clusters = clusters.iter().collect();
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
        originator_id: attributes.originator_id(),
        clusters: attributes.cluster_list().iter().collect(),
        only_to_customer: attributes.only_to_customer(),
        withdrawn: update.withdrawn().map(read).collect(),
        announced: update
            .announced()
            .map(|announced| (read(announced.nlri), announced.next_hop))
            .collect(),
    }
}

/// Both ways read the same, or fail the same; and prefixes are what their octets say.
pub(crate) fn agree(octets: &[u8], context: &DecodeContext) -> Option<Treatment> {
    let mut said = Said::default();
    let visited = visit::update(octets, context, &mut said);
    let decoded = Update::decode(octets, context);
    let Ok(update) = decoded else {
        assert_eq!(visited.err(), decoded.err());
        return None;
    };
    assert_eq!(visited, Ok(update.treatment()));
    assert_eq!(said, viewed(&update));
    for block in update.announced().map(|item| item.nlri).chain(update.withdrawn()) {
        check_prefixes(block);
    }
    update.treatment()
}

/// Prefixes read at once are those read octet by octet.
fn check_prefixes(block: NlriBlock<'_>) {
    let (ipv4, ipv6) = (Ipv4Net::is_of(block.family), Ipv6Net::is_of(block.family));
    if !ipv4 && !ipv6 {
        return;
    }
    let one_by_one = block.opaque().map(|item| {
        item.map(|Nlri { path_id, prefix }| {
            let mut address = [0; 16];
            address[..prefix.len() - 1].copy_from_slice(&prefix[1..]);
            let [a, b, c, d, ..] = address;
            let address = if ipv4 {
                IpAddr::from([a, b, c, d])
            } else {
                address.into()
            };
            let prefix = IpNet::new(address, prefix[0]).expect("checked").trunc();
            Nlri { path_id, prefix }
        })
    });
    assert!(block.ip_prefixes().eq(one_by_one), "{block:?}");
}
