//! What all tables of a shard share: attribute sets, peers, our own sources, and the queue of outputs.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use bgp_codec::{Family, PeerKind};

use super::attributes::{AttributeTable, Identity};
use super::export::{ExportRoute, Origin};
use super::fib::FibTable;
use super::ids::{AttributesId, PeerIndex};
use super::interface::{Event, Output, Settings};
use super::peers::Peers;
use super::share::{Share, Totals};
use super::watch::Watched;
use crate::policy::{Edits, Source};
use crate::route::{FromKernel, OriginKind, Prefix};

/// Everything of a shard but its tables.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) settings: Settings,
    pub(crate) share: Share,
    /// Where there are several shards.
    pub(crate) totals: Option<Totals>,
    pub(crate) attributes: AttributeTable,
    pub(crate) peers: Peers,
    pub(crate) sources: Sources,
    pub(crate) edits: EditsTable,
    pub(crate) fib: FibTable,
    pub(crate) watched: Watched,
    pub(crate) outputs: VecDeque<Output>,
    /// Aggregates came or went since that was last put out.
    pub(crate) aggregates_changed: bool,
    /// The time of the latest input; none before the first.
    pub(crate) now: Option<Instant>,
    started: Option<Instant>,
}

impl Core {
    pub(crate) fn new(settings: Settings, share: Share, totals: Option<Totals>) -> Self {
        let identity = Identity {
            asn: settings.asn,
            cluster_id: settings.cluster_id,
        };
        Self {
            attributes: AttributeTable::new(identity, settings.hash_seed, settings.track_next_hops),
            settings,
            share,
            totals,
            peers: Peers::default(),
            sources: Sources::default(),
            edits: EditsTable::default(),
            fib: FibTable::default(),
            watched: Watched::default(),
            outputs: VecDeque::new(),
            aggregates_changed: false,
            now: None,
            started: None,
        }
    }

    /// Seconds since the shard's first input.
    pub(crate) fn seconds(&self) -> u32 {
        self.now.map_or(0, |now| self.seconds_at(now))
    }

    pub(crate) fn seconds_at(&self, now: Instant) -> u32 {
        let since = self
            .started
            .map_or(0, |started| now.saturating_duration_since(started).as_secs());
        u32::try_from(since).unwrap_or(u32::MAX)
    }

    /// Takes note of the time; it never runs backwards.
    pub(crate) fn advance(&mut self, now: Instant) -> Instant {
        let now = self.now.map_or(now, |before| before.max(now));
        self.started.get_or_insert(now);
        self.now = Some(now);
        now
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Where a route comes from, in the words of export rules.
    pub(crate) fn origin(&self, source: PeerIndex) -> Origin {
        let Some(peer) = self.peers.settings(source) else {
            return Origin::Local;
        };
        match peer.kind {
            PeerKind::External => Origin::External,
            PeerKind::Internal => Origin::Internal {
                rr_client: peer.policy.rr_client,
                bgp_identifier: peer.bgp_identifier,
            },
        }
    }

    /// Where a route comes from, in the words of filters.
    pub(crate) fn source(&self, source: PeerIndex) -> Source<'_> {
        match (source.local_source(), self.peers.settings(source)) {
            (None, Some(peer)) => Source::Peer {
                name: &peer.name,
                group: peer.policy.group.as_deref(),
                address: peer.address,
                asn: peer.asn,
                kind: peer.kind,
                role: peer.negotiated.role,
            },
            (number, _) => {
                let (kind, name) = self.sources.at(number.unwrap_or_default());
                Source::Local { kind, name }
            }
        }
    }

    /// Whether a source of our own is an aggregate.
    pub(crate) fn is_aggregate(&self, source: PeerIndex) -> bool {
        let number = source.local_source();
        number.is_some_and(|number| self.sources.at(number).0 == OriginKind::Aggregate)
    }

    /// The name that listings show for a source.
    pub(crate) fn source_name(&self, source: PeerIndex) -> Arc<str> {
        match (source.local_source(), self.peers.settings(source)) {
            (None, Some(peer)) => Arc::clone(&peer.name),
            (number, _) => {
                let (kind, name) = self.sources.at(number.unwrap_or_default());
                format!("{kind}:{name}").into()
            }
        }
    }

    pub(crate) fn export_route(
        &self,
        (family, prefix): (Family, Prefix),
        (source, attributes): (PeerIndex, AttributesId),
        from_kernel: Option<FromKernel>,
    ) -> ExportRoute<'_> {
        let peer = self.peers.settings(source);
        ExportRoute {
            prefix,
            family,
            set: self.attributes.set(attributes),
            origin: self.origin(source),
            on_subnet: peer
                .filter(|peer| peer.shared_link)
                .map(|peer| (peer.address, peer.local_address)),
            source: self.source(source),
            from_kernel,
            next_hop_metric: peer.and_then(|_| self.attributes.metric(attributes).ok()),
        }
    }
}

/// Our own sources of routes, numbered; the numbers are never reused, because names come from configuration only.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    list: Vec<(OriginKind, Arc<str>)>,
}

impl Sources {
    pub(crate) fn number(&mut self, kind: OriginKind, name: &Arc<str>) -> PeerIndex {
        let known = self
            .list
            .iter()
            .position(|(other, at)| *other == kind && at == name);
        PeerIndex::local(known.unwrap_or_else(|| {
            self.list.push((kind, Arc::clone(name)));
            self.list.len() - 1
        }))
    }

    fn at(&self, number: usize) -> (OriginKind, &str) {
        self.list
            .get(number)
            .map_or((OriginKind::Static, ""), |(kind, name)| (*kind, name))
    }
}

/// What policies change, numbered by content; number 0 changes nothing.
#[derive(Debug, Default)]
pub(crate) struct EditsTable {
    list: Vec<Edits>,
    numbers: HashMap<Edits, u32, foldhash::fast::FixedState>,
}

impl EditsTable {
    pub(crate) fn number(&mut self, edits: &Edits) -> u32 {
        if edits.is_empty() {
            return 0;
        }
        if let Some(number) = self.numbers.get(edits) {
            return *number;
        }
        self.list.push(edits.clone());
        let number = u32::try_from(self.list.len()).expect("rules are few");
        self.numbers.insert(edits.clone(), number);
        number
    }

    pub(crate) fn at(&self, number: u32) -> Edits {
        let index = (number as usize).checked_sub(1);
        index
            .and_then(|index| self.list.get(index))
            .cloned()
            .unwrap_or_default()
    }
}
