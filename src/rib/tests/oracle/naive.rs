//! A reference speaker, for the shard's tests and for the simulation: a table per peer, no groups, no interning, no queues. Whatever is asked is worked out anew from what
//! peers have sent, in the plainest way that the RFCs allow.

use super::*;

/// Attributes as compared: the canonical block and the next hop.
pub(crate) type Told = (Vec<u8>, Option<IpAddr>);

/// One path that may be chosen.
#[derive(Clone)]
struct Path {
    /// Who sent it; none for a route of our own.
    from: Option<PeerId>,
    path_id: u32,
    kind: OriginKind,
    name: Arc<str>,
    attributes: PathAttributes,
    metric: u32,
}

pub(crate) struct Naive {
    settings: Settings,
    pub(crate) peers: BTreeMap<PeerId, Peer>,
    /// As received.
    received: BTreeMap<(PeerId, Prefix, u32), PathAttributes>,
    own: BTreeMap<(OriginKind, Arc<str>, Prefix), PathAttributes>,
    pub(crate) next_hops: BTreeMap<IpAddr, Reachability>,
}

impl Naive {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            peers: BTreeMap::new(),
            received: BTreeMap::new(),
            own: BTreeMap::new(),
            next_hops: BTreeMap::new(),
        }
    }

    pub(crate) fn announce(&mut self, peer: PeerId, attributes: &PathAttributes, nlri: &[Nlri<Prefix>]) {
        for at in nlri {
            self.received
                .insert((peer, at.prefix, at.path_id), attributes.clone());
        }
    }

    pub(crate) fn withdraw(&mut self, peer: PeerId, nlri: &[Nlri<Prefix>]) {
        for at in nlri {
            self.received.remove(&(peer, at.prefix, at.path_id));
        }
    }

    pub(crate) fn down(&mut self, peer: PeerId) {
        self.peers.remove(&peer);
        self.received.retain(|(from, ..), _| *from != peer);
    }

    pub(crate) fn local(&mut self, change: &LocalChange) {
        match change {
            LocalChange::Announce(route) => {
                let key = (route.kind, Arc::clone(&route.name), route.prefix);
                self.own.insert(key, (*route.attributes).clone());
            }
            LocalChange::Withdraw { kind, name, prefix } => {
                self.own.remove(&(*kind, Arc::clone(name), *prefix));
            }
        }
    }

    /// What a peer is to hold, its path ids apart.
    pub(crate) fn held_by(&self, peer: &Peer) -> BTreeMap<Prefix, Vec<Told>> {
        let mut held: BTreeMap<Prefix, Vec<Told>> = BTreeMap::new();
        for (prefix, paths) in self.usable() {
            let best = self.best(&paths);
            let family = family_of(prefix);
            if !peer.negotiated.families.contains(family) {
                continue;
            }
            let sent = if peer.negotiated.add_path_send.contains(family) {
                self.sent_by_path(paths, peer.policy.sent_paths)
            } else {
                vec![paths[best].clone()]
            };
            let told: Vec<Told> = sent
                .iter()
                .filter_map(|path| self.export(prefix, path, peer))
                .collect();
            if !told.is_empty() {
                held.insert(prefix, told);
            }
        }
        held.values_mut().for_each(|told| told.sort());
        held
    }

    /// What goes to a peer that takes path ids, export apart.
    fn sent_by_path(&self, mut paths: Vec<Path>, choice: SentPaths) -> Vec<Path> {
        match choice {
            SentPaths::All => paths,
            SentPaths::Equal => {
                let equal = self.equal(&paths);
                equal.into_iter().map(|at| paths[at].clone()).collect()
            }
            SentPaths::Best(count) => {
                let count = paths.len().min(count.get().into());
                (0..count).map(|_| paths.remove(self.best(&paths))).collect()
            }
        }
    }

    /// The best path of each prefix: who sent it, and its next hop; none for our own routes.
    pub(crate) fn loc_rib(&self) -> BTreeMap<Prefix, Option<(PeerId, IpAddr)>> {
        let chosen = |paths: Vec<Path>| {
            let best = &paths[self.best(&paths)];
            best.from
                .zip(best.attributes.next_hop.map(|next_hop| next_hop.address()))
        };
        let usable = self.usable().into_iter();
        usable.map(|(prefix, paths)| (prefix, chosen(paths))).collect()
    }

    fn usable(&self) -> BTreeMap<Prefix, Vec<Path>> {
        let mut usable: BTreeMap<Prefix, Vec<Path>> = BTreeMap::new();
        for ((from, prefix, path_id), attributes) in &self.received {
            if let Some(attributes) = self.import(&self.peers[from], *prefix, attributes)
                && let Some(metric) = self.metric(attributes.next_hop.unwrap())
            {
                usable.entry(*prefix).or_default().push(Path {
                    from: Some(*from),
                    path_id: *path_id,
                    kind: OriginKind::Static,
                    name: "".into(),
                    attributes,
                    metric,
                });
            }
        }
        for ((kind, name, prefix), attributes) in &self.own {
            usable.entry(*prefix).or_default().push(Path {
                from: None,
                path_id: 0,
                kind: *kind,
                name: Arc::clone(name),
                attributes: attributes.clone(),
                metric: 0,
            });
        }
        usable
    }

    fn import(&self, peer: &Peer, prefix: Prefix, attributes: &PathAttributes) -> Option<PathAttributes> {
        let path = asns(attributes);
        let times = |asn: Asn| path.iter().filter(|at| **at == asn).count();
        let looped = times(self.settings.asn).max(times(peer.local_asn));
        let first = attributes.as_path.segments.first().and_then(|at| at.asns.first());
        let external = peer.kind == PeerKind::External;
        if looped > usize::from(peer.policy.allow_own_as)
            || attributes.originator_id == Some(self.settings.bgp_identifier)
            || attributes.cluster_list.contains(&self.settings.cluster_id)
            || external && peer.policy.enforce_first_as && first != Some(&peer.asn)
        {
            return None;
        }
        let (accept, edits) = evaluate(
            &peer.policy.import,
            prefix,
            (source(peer), peer.local_asn),
            attributes,
        );
        let mut attributes = attributes.clone();
        edits.apply(&mut attributes, peer.local_asn);
        if let Some(NextHopEdit::Address(address)) = edits.next_hop() {
            attributes.next_hop = Some(address.into());
        }
        accept.then_some(attributes)
    }

    /// Interior cost; none where the next hop cannot be used.
    fn metric(&self, next_hop: NextHop) -> Option<u32> {
        let address = next_hop.address();
        let ours = |peer: &Peer| {
            let own = &peer.self_addresses;
            let own = [own.ipv4.map(IpAddr::V4), own.ipv6.map(IpAddr::V6)];
            peer.local_address == address || own.contains(&Some(address))
        };
        if !next_hop.is_host() || self.peers.values().any(ours) {
            return None;
        }
        if !self.settings.track_next_hops {
            return Some(0);
        }
        match self.next_hops.get(&address) {
            Some(Reachability::Reachable { metric, .. }) => Some(*metric),
            _ => None,
        }
    }

    /// RFC 4271 §9.1.2.2 (f) and (g) among those that are equal until then.
    fn best(&self, paths: &[Path]) -> usize {
        let mut left = self.equal(paths);
        let mut keep = |rank: &dyn Fn(&Path) -> u64| {
            let lowest = left.iter().map(|at| rank(&paths[*at])).min().unwrap();
            left.retain(|at| rank(&paths[*at]) == lowest);
        };
        let peer = |path: &Path| path.from.map(|from| &self.peers[&from]);
        keep(&|path| {
            let id = path.attributes.originator_id;
            id.or_else(|| peer(path).map(|peer| peer.bgp_identifier))
                .map_or(0, |id| id.to_bits().into())
        });
        keep(&|path| path.attributes.cluster_list.len() as u64);
        keep(&|path| match peer(path).map(|peer| peer.address) {
            Some(IpAddr::V4(address)) => address.to_bits().into(),
            _ => 0,
        });
        keep(&|path| path.path_id.into());
        left[0]
    }

    /// RFC 4271 §9.1.2.2 by elimination, up to the interior cost.
    fn equal(&self, paths: &[Path]) -> Vec<usize> {
        let mut left: Vec<usize> = (0..paths.len()).collect();
        let mut keep = |rank: &dyn Fn(&Path) -> u64| {
            let lowest = left.iter().map(|at| rank(&paths[*at])).min().unwrap();
            left.retain(|at| rank(&paths[*at]) == lowest);
            left.clone()
        };
        keep(&|path| u64::from(path.from.is_some()));
        keep(&|path| u64::from(u32::MAX - path.attributes.local_pref.unwrap_or(100)));
        let options = self.settings.decision;
        if !options.ignore_as_path_length {
            keep(&|path| path_length(&path.attributes));
        }
        let after_origin = keep(&|path| u64::from(path.attributes.origin.code()));
        let missing = if options.med_missing_as_worst { u32::MAX } else { 0 };
        let med = |path: &Path| path.attributes.med.unwrap_or(missing);
        let rivals = |at: usize| {
            let this = &paths[at];
            after_origin.iter().map(|at| &paths[*at]).filter(move |other| {
                self.settings.always_compare_med
                    || first_asn(&other.attributes) == first_asn(&this.attributes)
            })
        };
        let mut left: Vec<usize> = after_origin
            .iter()
            .copied()
            .filter(|at| rivals(*at).all(|other| med(other) >= med(&paths[*at])))
            .collect();
        let mut keep = |rank: &dyn Fn(&Path) -> u64| {
            let lowest = left.iter().map(|at| rank(&paths[*at])).min().unwrap();
            left.retain(|at| rank(&paths[*at]) == lowest);
        };
        let peer = |path: &Path| path.from.map(|from| &self.peers[&from]);
        keep(&|path| u64::from(peer(path).is_none_or(|peer| peer.kind != PeerKind::External)));
        if !options.ignore_next_hop_metric {
            keep(&|path| path.metric.into());
        }
        left
    }

    fn export(&self, prefix: Prefix, path: &Path, to: &Peer) -> Option<Told> {
        let from = path.from.map(|from| &self.peers[&from]);
        let external = to.kind == PeerKind::External;
        let reflected = !external && from.is_some_and(|from| from.kind == PeerKind::Internal);
        let has = |community| path.attributes.communities.contains(&community);
        if from.is_some_and(|from| from.id == to.id)
            || has(Community::NO_ADVERTISE)
            || external && (has(Community::NO_EXPORT) || has(Community::NO_EXPORT_SUBCONFED))
            || reflected && !to.policy.rr_client && !from.is_some_and(|from| from.policy.rr_client)
        {
            return None;
        }
        let source = match from {
            Some(from) => source(from),
            None => Source::Local {
                kind: path.kind,
                name: &path.name,
            },
        };
        let (accept, edits) = evaluate(
            &to.policy.export,
            prefix,
            (source, to.local_asn),
            &path.attributes,
        );
        let next_hop = self.next_hop((prefix, path), to, (reflected, &edits));
        // RFC 4271 §5.1.3: not the peer's own address.
        if !accept || next_hop == to.address {
            return None;
        }
        let mut attributes = path.attributes.clone();
        edits.apply(&mut attributes, to.local_asn);
        if external {
            attributes.local_pref = None;
            attributes.originator_id = None;
            attributes.cluster_list.clear();
            let sets_med = edits.as_slice().iter().any(|edit| matches!(edit, Edit::Med(_)));
            let from_outside = path.from.is_some() && !path.attributes.as_path.is_empty();
            if from_outside && !sets_med && !to.policy.route_server_client {
                attributes.med = None;
            }
            if !to.policy.route_server_client {
                attributes.as_path.prepend(to.local_asn, 1);
            }
        } else {
            attributes.local_pref.get_or_insert(100);
            if let Some(from) = from.filter(|_| reflected) {
                attributes.originator_id.get_or_insert(from.bgp_identifier);
                attributes.cluster_list.insert(0, self.settings.cluster_id);
            }
        }
        let told = told(&PathAttributes {
            next_hop: Some(next_hop.into()),
            ..attributes
        });
        fits(&told, prefix, to).then_some(told)
    }

    fn next_hop(
        &self,
        (prefix, path): (Prefix, &Path),
        to: &Peer,
        (reflected, edits): (bool, &Edits),
    ) -> IpAddr {
        let own = match prefix {
            Prefix::V4(_) => IpAddr::V4(to.self_addresses.ipv4.unwrap()),
            Prefix::V6(_) => IpAddr::V6(to.self_addresses.ipv6.unwrap()),
        };
        let Some(received) = path.attributes.next_hop.map(|at| at.address()) else {
            return match edits.next_hop() {
                Some(NextHopEdit::Address(address)) => address,
                _ => own,
            };
        };
        let keep = match (edits.next_hop(), to.policy.next_hop) {
            (Some(NextHopEdit::Address(address)), _) => return address,
            (Some(NextHopEdit::Own), _) => false,
            (Some(NextHopEdit::Unchanged), _) | (_, NextHopPolicy::Unchanged) => true,
            (_, NextHopPolicy::OwnForced) => false,
            (_, NextHopPolicy::Own) => reflected,
            // RFC 4271 §5.1.3: to an external peer, only what comes from the subnet that all three share.
            (_, NextHopPolicy::Standard) => {
                let from = path.from.map(|from| &self.peers[&from]);
                let shared = from.is_some_and(|from| {
                    from.shared_link
                        && to.shared_link
                        && from.local_address == to.local_address
                        && from.address == received
                });
                to.kind == PeerKind::Internal || to.policy.route_server_client || shared
            }
        };
        if keep { received } else { own }
    }
}

fn asns(attributes: &PathAttributes) -> Vec<Asn> {
    let segments = attributes.as_path.segments.iter();
    segments.flat_map(|at| at.asns.clone()).collect()
}

fn first_asn(attributes: &PathAttributes) -> Option<Asn> {
    asns(attributes).first().copied()
}

/// Only sequences are sent in these worlds.
fn path_length(attributes: &PathAttributes) -> u64 {
    asns(attributes).len() as u64
}

fn source(peer: &Peer) -> Source<'_> {
    Source::Peer {
        name: &peer.name,
        group: peer.policy.group.as_deref(),
        address: peer.address,
        asn: peer.asn,
        kind: peer.kind,
        role: peer.negotiated.role,
    }
}

fn evaluate(
    chain: &Chain,
    prefix: Prefix,
    (source, local_asn): (Source<'_>, Asn),
    attributes: &PathAttributes,
) -> (bool, Edits) {
    let (block, _) = told(attributes);
    let verdict = chain.evaluate(&RouteView {
        prefix,
        family: family_of(prefix),
        source,
        attributes: &CanonicalBlock::new(&block),
        next_hop: attributes.next_hop,
        from_kernel: None,
        next_hop_metric: None,
        marks: Marks::default(),
        local_asn,
    });
    (verdict.accept, verdict.edits)
}

pub(crate) fn told(attributes: &PathAttributes) -> Told {
    let mut block = Vec::new();
    attributes.encode_canonical(&mut block);
    (block, attributes.next_hop.map(|at| at.address()))
}

fn family_of(prefix: Prefix) -> Family {
    match prefix {
        Prefix::V4(_) => Family::IPV4_UNICAST,
        Prefix::V6(_) => Family::IPV6_UNICAST,
    }
}

/// Whether one prefix with these attributes fits into a message of the peer's.
fn fits((block, next_hop): &Told, prefix: Prefix, to: &Peer) -> bool {
    let context = WriteContext {
        four_octet_asn: to.negotiated.four_octet_asn,
        max_message: to.negotiated.max_message,
        add_path: to.negotiated.add_path_send,
    };
    let mut bytes = Vec::new();
    let next_hop = next_hop.map(NextHop::from);
    let nlri = [Nlri::new(prefix)];
    UpdateWriter::new(&mut bytes, context)
        .announce_canonical(family_of(prefix), block, next_hop, nlri)
        .is_ok()
}
