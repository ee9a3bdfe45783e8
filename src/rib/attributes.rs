//! Attribute sets, interned by content.
//!
//! First by the raw attribute block of the message with the context it was read in: a hit parses nothing. Then by canonical
//! octets and next hop. A set keeps its octets, ready to send, and the few values that the decision compares.

use std::hash::{BuildHasher, Hash};
use std::net::Ipv4Addr;

use bgp_codec::{Asn, Attributes, Community, NextHop, PathAttributes, PeerKind};
use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::ids::AttributesId;
use super::next_hop::{NextHopId, NextHopTable, Unusable};

/// LOCAL_PREF of a route that came without one.
pub(crate) const DEFAULT_LOCAL_PREF: u32 = 100;

/// Raw blocks remembered at most; further ones replace earlier ones.
const RAW_LINES: usize = 16_384;
/// Longest raw block that is remembered, octets.
const RAW_LEN: usize = 1_024;

/// The values of a set that deciding code looks at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct KeyValues {
    pub(crate) local_pref: Option<u32>,
    pub(crate) med: Option<u32>,
    pub(crate) as_path_length: u32,
    /// The AS that MULTI_EXIT_DISC compares within and that `enforce_first_as` looks at.
    pub(crate) first_as: Option<Asn>,
    pub(crate) originator_id: Option<Ipv4Addr>,
    pub(crate) cluster_list_length: u32,
    /// How often our own AS is in AS_PATH, at most 255.
    pub(crate) own_as: u8,
    /// Our cluster is in CLUSTER_LIST.
    pub(crate) own_cluster: bool,
    pub(crate) origin: u8,
    pub(crate) no_export: bool,
    pub(crate) no_advertise: bool,
    pub(crate) no_export_subconfed: bool,
    pub(crate) llgr_stale: bool,
    pub(crate) no_llgr: bool,
    /// RFC 8326.
    pub(crate) graceful_shutdown: bool,
    /// RFC 3765.
    pub(crate) no_peer: bool,
    /// RFC 7999.
    pub(crate) blackhole: bool,
}

/// Who we are, as far as loops are concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) asn: Asn,
    pub(crate) cluster_id: Ipv4Addr,
}

/// What gives the octets of a raw block their meaning.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct RawContext {
    pub(crate) four_octet_asn: bool,
    pub(crate) peer: PeerKind,
    /// The next hop stands in MP_REACH_NLRI, not in NEXT_HOP.
    pub(crate) multiprotocol: bool,
}

/// One interned set.
#[derive(Debug)]
pub(crate) struct AttributeSet {
    canonical: Box<[u8]>,
    next_hop: Option<NextHop>,
    next_hop_id: Option<NextHopId>,
    pub(crate) key: KeyValues,
    references: u32,
    /// Grows whenever the id gets a new meaning.
    generation: u32,
}

impl AttributeSet {
    /// The attributes without next hop.
    pub(crate) fn attributes(&self) -> Attributes<'_> {
        Attributes::from_canonical(&self.canonical)
    }

    /// None for routes of our own.
    pub(crate) const fn next_hop(&self) -> Option<NextHop> {
        self.next_hop
    }

    pub(crate) const fn next_hop_id(&self) -> Option<NextHopId> {
        self.next_hop_id
    }
}

#[derive(Debug)]
struct RawLine {
    hash: u64,
    context: RawContext,
    block: Box<[u8]>,
    id: AttributesId,
    generation: u32,
}

/// All attribute sets of a shard, and the next hops that they refer to.
#[derive(Debug)]
pub(crate) struct AttributeTable {
    identity: Identity,
    hasher: FixedState,
    ids: HashTable<u32>,
    sets: Vec<AttributeSet>,
    free: Vec<AttributesId>,
    raw: Vec<Option<RawLine>>,
    scratch: Vec<u8>,
    pub(crate) next_hops: NextHopTable,
}

impl AttributeTable {
    pub(crate) fn new(identity: Identity, seed: u64, track_next_hops: bool) -> Self {
        Self {
            identity,
            hasher: FixedState::with_seed(seed.rotate_left(32) ^ 0x5eed),
            ids: HashTable::new(),
            sets: Vec::new(),
            free: Vec::new(),
            raw: Vec::new(),
            scratch: Vec::new(),
            next_hops: NextHopTable::new(track_next_hops),
        }
    }

    /// How many distinct sets there are.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    #[inline]
    pub(crate) fn set(&self, id: AttributesId) -> &AttributeSet {
        &self.sets[id.index()]
    }

    /// Interior cost to the set's next hop; 0 for routes of our own.
    #[inline]
    pub(crate) fn metric(&self, id: AttributesId) -> Result<u32, Unusable> {
        self.set(id)
            .next_hop_id
            .map_or(Ok(0), |next_hop| self.next_hops.usable(next_hop))
    }

    /// The set that these octets stood for before, with one more reference.
    pub(crate) fn find_raw(&mut self, context: RawContext, block: &[u8]) -> Option<AttributesId> {
        let hash = self.raw_hash(context, block);
        let line = self.raw.get(hash as usize % RAW_LINES)?.as_ref()?;
        let same = line.hash == hash && line.context == context && *line.block == *block;
        let (id, generation) = (line.id, line.generation);
        let alive = self.sets[id.index()].generation == generation && self.sets[id.index()].references > 0;
        if !same || !alive {
            return None;
        }
        self.retain(id);
        Some(id)
    }

    /// Remembers what a block stood for. Only blocks without any error may be remembered: the errors' treatment is not.
    pub(crate) fn remember_raw(&mut self, context: RawContext, block: &[u8], id: AttributesId) {
        if block.len() > RAW_LEN {
            return;
        }
        if self.raw.is_empty() {
            self.raw.resize_with(RAW_LINES, || None);
        }
        let hash = self.raw_hash(context, block);
        let generation = self.sets[id.index()].generation;
        self.raw[hash as usize % RAW_LINES] = Some(RawLine {
            hash,
            context,
            block: block.into(),
            id,
            generation,
        });
    }

    /// The id of these attributes, with one more reference. The next hop is part of what is compared.
    pub(crate) fn intern(&mut self, attributes: &PathAttributes) -> AttributesId {
        let mut canonical = std::mem::take(&mut self.scratch);
        canonical.clear();
        attributes.encode_canonical(&mut canonical);
        let id = self.intern_canonical(&canonical, attributes.next_hop);
        self.scratch = canonical;
        id
    }

    fn intern_canonical(&mut self, canonical: &[u8], next_hop: Option<NextHop>) -> AttributesId {
        let hash = self.hash(canonical, next_hop);
        let same = |set: &AttributeSet| set.next_hop == next_hop && *set.canonical == *canonical;
        if let Some(id) = self.ids.find(hash, |id| same(&self.sets[*id as usize])) {
            let id = AttributesId(*id);
            self.retain(id);
            return id;
        }
        let mut set = AttributeSet {
            canonical: canonical.into(),
            next_hop,
            next_hop_id: next_hop.map(|next_hop| self.next_hops.acquire(next_hop)),
            key: key_values(&Attributes::from_canonical(canonical), self.identity),
            references: 1,
            generation: 0,
        };
        let id = match self.free.pop() {
            Some(id) => {
                set.generation = self.sets[id.index()].generation.wrapping_add(1);
                self.sets[id.index()] = set;
                id
            }
            None => {
                self.sets.push(set);
                AttributesId::from_index(self.sets.len() - 1)
            }
        };
        let (hasher, sets) = (&self.hasher, &self.sets);
        self.ids.insert_unique(hash, id.0, |id| {
            let set = &sets[*id as usize];
            hasher.hash_one((&*set.canonical, set.next_hop))
        });
        id
    }

    /// A set as it would be interned, for questions alone.
    pub(crate) fn preview(&self, attributes: &PathAttributes) -> AttributeSet {
        let mut canonical = Vec::new();
        attributes.encode_canonical(&mut canonical);
        AttributeSet {
            key: key_values(&Attributes::from_canonical(&canonical), self.identity),
            canonical: canonical.into(),
            next_hop: attributes.next_hop,
            next_hop_id: None,
            references: 0,
            generation: 0,
        }
    }

    /// Takes one more reference.
    #[inline]
    pub(crate) fn retain(&mut self, id: AttributesId) {
        self.sets[id.index()].references += 1;
    }

    /// Gives a reference back; [`AttributesId::NONE`] is let pass.
    #[inline]
    pub(crate) fn release(&mut self, id: AttributesId) {
        if id == AttributesId::NONE {
            return;
        }
        let set = &mut self.sets[id.index()];
        set.references -= 1;
        if set.references == 0 {
            self.forget(id);
        }
    }

    fn forget(&mut self, id: AttributesId) {
        let set = &self.sets[id.index()];
        let hash = self.hash(&set.canonical, set.next_hop);
        if let Ok(entry) = self.ids.find_entry(hash, |other| *other == id.0) {
            entry.remove();
        }
        let set = &mut self.sets[id.index()];
        set.canonical = Box::default();
        if let Some(next_hop) = set.next_hop_id.take() {
            self.next_hops.release(next_hop);
        }
        self.free.push(id);
    }

    fn hash(&self, canonical: &[u8], next_hop: Option<NextHop>) -> u64 {
        self.hasher.hash_one((canonical, next_hop))
    }

    fn raw_hash(&self, context: RawContext, block: &[u8]) -> u64 {
        let mut state = self.hasher.build_hasher();
        context.hash(&mut state);
        block.hash(&mut state);
        std::hash::Hasher::finish(&state)
    }
}

fn key_values(attributes: &Attributes<'_>, identity: Identity) -> KeyValues {
    let path = attributes.as_path();
    let communities = attributes.communities();
    let has = |wanted: Community| communities.iter().any(|community| community == wanted);
    KeyValues {
        local_pref: attributes.local_pref(),
        med: attributes.med(),
        as_path_length: path.map_or(0, bgp_codec::AsPath::path_length),
        first_as: path.and_then(bgp_codec::AsPath::first_asn),
        originator_id: attributes.originator_id(),
        cluster_list_length: u32::try_from(attributes.cluster_list().iter().count()).unwrap_or(u32::MAX),
        own_as: path.map_or(0, |path| {
            u8::try_from(path.count(identity.asn)).unwrap_or(u8::MAX)
        }),
        own_cluster: attributes
            .cluster_list()
            .iter()
            .any(|cluster| cluster == identity.cluster_id),
        origin: attributes.origin().map_or(2, bgp_codec::Origin::code),
        no_export: has(Community::NO_EXPORT),
        no_advertise: has(Community::NO_ADVERTISE),
        no_export_subconfed: has(Community::NO_EXPORT_SUBCONFED),
        llgr_stale: has(Community::LLGR_STALE),
        no_llgr: has(Community::NO_LLGR),
        graceful_shutdown: has(Community::GRACEFUL_SHUTDOWN),
        no_peer: has(Community::NO_PEER),
        blackhole: has(Community::BLACKHOLE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> AttributeTable {
        let identity = Identity {
            asn: Asn(64_512),
            cluster_id: Ipv4Addr::new(10, 0, 0, 1),
        };
        AttributeTable::new(identity, 7, false)
    }

    fn attributes(path: &str, next_hop: [u8; 4]) -> PathAttributes {
        PathAttributes {
            as_path: path.parse().unwrap(),
            next_hop: Some(NextHop::V4(next_hop.into())),
            ..PathAttributes::default()
        }
    }

    #[test]
    fn equal_content_is_one_set_and_another_next_hop_another() {
        let mut table = table();
        let first = table.intern(&attributes("65001", [10, 0, 0, 9]));
        assert_eq!(table.intern(&attributes("65001", [10, 0, 0, 9])), first);
        assert_ne!(table.intern(&attributes("65001", [10, 0, 0, 8])), first);
        assert_ne!(table.intern(&attributes("65002", [10, 0, 0, 9])), first);
        assert_eq!(table.len(), 3);
        table.release(first);
        assert_eq!(table.len(), 3);
        table.release(first);
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn key_values_count_loops_in_sets_too() {
        let mut table = table();
        let looped = PathAttributes {
            cluster_list: vec![Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 1)],
            communities: vec![Community::NO_ADVERTISE],
            ..attributes("65001 64512 {64513 64512}", [10, 0, 0, 9])
        };
        let id = table.intern(&looped);
        let key = table.set(id).key;
        assert_eq!(
            (key.own_as, key.own_cluster, key.cluster_list_length),
            (2, true, 2)
        );
        assert_eq!((key.first_as, key.as_path_length), (Some(Asn(65_001)), 3));
        assert!(key.no_advertise && !key.no_export);
    }

    #[test]
    fn a_raw_block_is_known_only_in_its_own_context_and_while_its_set_lives() {
        let mut table = table();
        let context = RawContext {
            four_octet_asn: true,
            peer: PeerKind::External,
            multiprotocol: false,
        };
        let id = table.intern(&attributes("65001", [10, 0, 0, 9]));
        table.remember_raw(context, b"block", id);
        assert_eq!(table.find_raw(context, b"block"), Some(id));
        assert_eq!(
            table.find_raw(
                RawContext {
                    four_octet_asn: false,
                    ..context
                },
                b"block"
            ),
            None
        );
        assert_eq!(
            table.find_raw(
                RawContext {
                    peer: PeerKind::Internal,
                    ..context
                },
                b"block"
            ),
            None
        );
        assert_eq!(
            table.find_raw(
                RawContext {
                    multiprotocol: true,
                    ..context
                },
                b"block"
            ),
            None
        );
        table.release(id);
        table.release(id);
        assert_eq!(table.find_raw(context, b"block"), None);
        let other = table.intern(&attributes("65002", [10, 0, 0, 9]));
        assert_eq!(other, id, "the id is used again");
        assert_eq!(table.find_raw(context, b"block"), None);
    }
}
