//! Attribute sets, interned by content.
//!
//! A block that is in canonical form already, as most are, is looked up as it is. Any other is looked up by its raw octets
//! with the context they were read in, and only if they are not known it is brought into that form. A set keeps its octets, ready to send, and
//! the few values that deciding code compares.

use std::hash::{BuildHasher, Hash};
use std::net::Ipv4Addr;

use bgp_codec::{Asn, Attributes, Community, NextHop, PathAttributes, PeerKind};
use foldhash::fast::FixedState;

use super::canonical;
use super::id_table::IdTable;
use super::ids::AttributesId;
use super::next_hop::{NextHopId, NextHopTable, Unusable};
use crate::policy::Marks;

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

/// One interned set, in 56 octets and its own.
#[derive(Debug)]
pub(crate) struct AttributeSet {
    /// The canonical block, and behind it the octets of the next hop and those of what policy has noted.
    octets: Box<[u8]>,
    /// What RFC 4271 §9.1.2.2 compares before MULTI_EXIT_DISC, as one number: the lower the better.
    rank: u64,
    next_hop: u32,
    references: u32,
    /// The number of the set among all that there have been.
    generation: u32,
    med: u32,
    first_as: u32,
    originator_id: u32,
    cluster_list_length: u16,
    /// Which of the optional values there are, and the communities with a meaning.
    flags: u16,
    own_as: u8,
    next_hop_len: u8,
    marks_len: u8,
}

const NO_NEXT_HOP: u32 = u32::MAX;
const LOCAL_PREF: u16 = 1;
const MED: u16 = 1 << 1;
const FIRST_AS: u16 = 1 << 2;
const ORIGINATOR_ID: u16 = 1 << 3;
const OWN_CLUSTER: u16 = 1 << 4;
const NO_EXPORT: u16 = 1 << 5;
const NO_ADVERTISE: u16 = 1 << 6;
const NO_EXPORT_SUBCONFED: u16 = 1 << 7;
const GRACEFUL_SHUTDOWN: u16 = 1 << 8;
const LLGR_STALE: u16 = 1 << 9;
const NO_LLGR: u16 = 1 << 10;
const NO_PEER: u16 = 1 << 11;
const BLACKHOLE: u16 = 1 << 12;
/// Of a path, as far as it is compared: an attribute cannot hold more.
const MAX_PATH_LENGTH: u32 = (1 << 24) - 1;
/// The bits of [`AttributeSet::rank`] that are the length of AS_PATH.
pub(crate) const AS_PATH_LENGTH_OF_RANK: u64 = (MAX_PATH_LENGTH as u64) << 8;

impl AttributeSet {
    fn new(octets: &[u8], (next_hop_len, marks_len): (u8, u8), next_hop: u32, key: &KeyValues) -> Self {
        let flag = |has: bool, flag: u16| if has { flag } else { 0 };
        let local_pref = key.local_pref.unwrap_or(DEFAULT_LOCAL_PREF);
        let length = key.as_path_length.min(MAX_PATH_LENGTH);
        Self {
            octets: octets.into(),
            rank: u64::from(!local_pref) << 32 | u64::from(length) << 8 | u64::from(key.origin),
            next_hop,
            references: 1,
            generation: 0,
            med: key.med.unwrap_or(0),
            first_as: key.first_as.map_or(0, |asn| asn.0),
            originator_id: key.originator_id.map_or(0, Ipv4Addr::to_bits),
            cluster_list_length: u16::try_from(key.cluster_list_length).unwrap_or(u16::MAX),
            flags: flag(key.local_pref.is_some(), LOCAL_PREF)
                | flag(key.med.is_some(), MED)
                | flag(key.first_as.is_some(), FIRST_AS)
                | flag(key.originator_id.is_some(), ORIGINATOR_ID)
                | flag(key.own_cluster, OWN_CLUSTER)
                | flag(key.no_export, NO_EXPORT)
                | flag(key.no_advertise, NO_ADVERTISE)
                | flag(key.no_export_subconfed, NO_EXPORT_SUBCONFED)
                | flag(key.graceful_shutdown, GRACEFUL_SHUTDOWN)
                | flag(key.llgr_stale, LLGR_STALE)
                | flag(key.no_llgr, NO_LLGR)
                | flag(key.no_peer, NO_PEER)
                | flag(key.blackhole, BLACKHOLE),
            own_as: key.own_as,
            next_hop_len,
            marks_len,
        }
    }

    /// The values that deciding code looks at.
    #[inline]
    pub(crate) fn key(&self) -> KeyValues {
        let has = |flag: u16| self.flags & flag != 0;
        KeyValues {
            local_pref: has(LOCAL_PREF).then_some(!((self.rank >> 32) as u32)),
            med: has(MED).then_some(self.med),
            as_path_length: (self.rank >> 8) as u32 & MAX_PATH_LENGTH,
            first_as: has(FIRST_AS).then_some(Asn(self.first_as)),
            originator_id: has(ORIGINATOR_ID).then(|| Ipv4Addr::from_bits(self.originator_id)),
            cluster_list_length: self.cluster_list_length.into(),
            own_as: self.own_as,
            own_cluster: has(OWN_CLUSTER),
            origin: self.rank as u8,
            no_export: has(NO_EXPORT),
            no_advertise: has(NO_ADVERTISE),
            no_export_subconfed: has(NO_EXPORT_SUBCONFED),
            graceful_shutdown: has(GRACEFUL_SHUTDOWN),
            llgr_stale: has(LLGR_STALE),
            no_llgr: has(NO_LLGR),
            no_peer: has(NO_PEER),
            blackhole: has(BLACKHOLE),
        }
    }

    /// Whether RFC 9494 makes it the last resort.
    #[inline]
    pub(crate) const fn is_last_resort(&self) -> bool {
        self.flags & LLGR_STALE != 0
    }

    /// Tells apart the sets that one id stands for in turn; a later set of the shard has a higher one, with wrapping.
    #[inline]
    pub(crate) const fn generation(&self) -> u32 {
        self.generation
    }

    /// LOCAL_PREF, length of AS_PATH and ORIGIN as one number: the lower the better.
    #[inline]
    pub(crate) const fn rank(&self) -> u64 {
        self.rank
    }

    /// The canonical block.
    #[inline]
    pub(crate) fn canonical(&self) -> &[u8] {
        &self.octets[..self.octets.len() - usize::from(self.next_hop_len) - usize::from(self.marks_len)]
    }

    /// What import policy has noted.
    #[inline]
    pub(crate) fn marks(&self) -> Marks {
        Marks::decode(&self.octets[self.octets.len() - usize::from(self.marks_len)..])
    }

    /// [`Marks::weight`].
    #[inline]
    pub(crate) fn weight(&self) -> u32 {
        if self.marks_len == 0 {
            0
        } else {
            self.marks().weight
        }
    }

    /// The attributes without next hop.
    pub(crate) fn attributes(&self) -> Attributes<'_> {
        Attributes::from_canonical(self.canonical())
    }

    /// None for routes of our own.
    #[inline]
    pub(crate) fn next_hop(&self) -> Option<NextHop> {
        let end = self.octets.len() - usize::from(self.marks_len);
        canonical::read_next_hop(&self.octets[end - usize::from(self.next_hop_len)..end])
    }

    #[inline]
    pub(crate) fn next_hop_id(&self) -> Option<NextHopId> {
        (self.next_hop != NO_NEXT_HOP).then(|| NextHopId::from_number(self.next_hop))
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
    ids: IdTable,
    sets: Vec<AttributeSet>,
    free: Vec<AttributesId>,
    /// Of the latest set.
    generation: u32,
    raw: Vec<Option<RawLine>>,
    scratch: Vec<u8>,
    /// Octets that the sets own.
    octets: usize,
    pub(crate) next_hops: NextHopTable,
}

impl AttributeTable {
    pub(crate) fn new(identity: Identity, seed: u64, track_next_hops: bool) -> Self {
        Self {
            identity,
            hasher: FixedState::with_seed(seed.rotate_left(32) ^ 0x5eed),
            ids: IdTable::default(),
            sets: Vec::new(),
            free: Vec::new(),
            generation: 0,
            raw: Vec::new(),
            scratch: Vec::new(),
            octets: 0,
            next_hops: NextHopTable::new(track_next_hops),
        }
    }

    /// [`AttributeSet::generation`] of the latest set.
    pub(crate) const fn generation(&self) -> u32 {
        self.generation
    }

    /// How many distinct sets there are.
    pub(crate) const fn len(&self) -> usize {
        self.ids.len()
    }

    /// Octets that the sets take, the table that finds them included.
    pub(crate) fn bytes(&self) -> usize {
        let lines = self
            .raw
            .iter()
            .flatten()
            .map(|line| line.block.len())
            .sum::<usize>();
        self.octets
            + self.ids.bytes()
            + self.sets.capacity() * size_of::<AttributeSet>()
            + self.free.capacity() * size_of::<AttributesId>()
            + self.raw.capacity() * size_of::<Option<RawLine>>()
            + lines
    }

    #[inline]
    pub(crate) fn set(&self, id: AttributesId) -> &AttributeSet {
        &self.sets[id.index()]
    }

    /// Interior cost to the set's next hop; 0 for routes of our own.
    #[inline]
    pub(crate) fn metric(&self, id: AttributesId) -> Result<u32, Unusable> {
        self.set(id)
            .next_hop_id()
            .map_or(Ok(0), |next_hop| self.next_hops.usable(next_hop))
    }

    /// The set of a received block without errors, with one more reference, if the block is in canonical form but for its next
    /// hop; `received` is the same block, read.
    pub(crate) fn intern_received(
        &mut self,
        context: RawContext,
        received: &Attributes<'_>,
        next_hop: Option<NextHop>,
    ) -> Option<AttributesId> {
        if !context.four_octet_asn {
            return None;
        }
        let mut octets = std::mem::take(&mut self.scratch);
        octets.clear();
        let canonical = canonical::copy(received, context.peer, &mut octets);
        let id = canonical.then(|| self.intern_octets(&mut octets, (next_hop, Marks::default()), received));
        self.scratch = octets;
        id
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
        self.intern_marked(attributes, Marks::default())
    }

    /// The same for attributes of which policy has noted something.
    pub(crate) fn intern_marked(&mut self, attributes: &PathAttributes, marks: Marks) -> AttributesId {
        let mut octets = Vec::new();
        attributes.encode_canonical(&mut octets);
        let block = octets.clone();
        self.intern_octets(
            &mut octets,
            (attributes.next_hop, marks),
            &Attributes::from_canonical(&block),
        )
    }

    /// `octets`: the canonical block of `attributes`; the rest is appended.
    fn intern_octets(
        &mut self,
        octets: &mut Vec<u8>,
        (next_hop, marks): (Option<NextHop>, Marks),
        attributes: &Attributes<'_>,
    ) -> AttributesId {
        let block_len = octets.len();
        canonical::append_next_hop(next_hop, octets);
        let next_hop_len = u8::try_from(octets.len() - block_len).unwrap_or_default();
        let marks_at = octets.len();
        marks.encode(octets);
        let marks_len = u8::try_from(octets.len() - marks_at).unwrap_or_default();
        let lens = (next_hop_len, marks_len);
        let hash = self.hash(octets);
        let same = |set: &AttributeSet| (set.next_hop_len, set.marks_len) == lens && *set.octets == **octets;
        if let Some(id) = self.ids.find(hash, |id| same(&self.sets[id as usize])) {
            let id = AttributesId(id);
            self.retain(id);
            return id;
        }
        let next_hop = next_hop.map_or(NO_NEXT_HOP, |next_hop| self.next_hops.acquire(next_hop).number());
        let key = key_values(attributes, self.identity);
        let mut set = AttributeSet::new(octets, lens, next_hop, &key);
        self.octets += octets.len();
        self.generation = self.generation.wrapping_add(1);
        set.generation = self.generation;
        let id = match self.free.pop() {
            Some(id) => {
                self.sets[id.index()] = set;
                id
            }
            None => {
                self.sets.push(set);
                AttributesId::from_index(self.sets.len() - 1)
            }
        };
        self.ids.insert(hash, id.0);
        id
    }

    /// A set as it would be interned, for questions alone.
    pub(crate) fn preview(&self, attributes: &PathAttributes) -> AttributeSet {
        let mut octets = Vec::new();
        attributes.encode_canonical(&mut octets);
        let key = key_values(&Attributes::from_canonical(&octets), self.identity);
        let block_len = octets.len();
        canonical::append_next_hop(attributes.next_hop, &mut octets);
        let next_hop_len = u8::try_from(octets.len() - block_len).unwrap_or_default();
        AttributeSet::new(&octets, (next_hop_len, 0), NO_NEXT_HOP, &key)
    }

    /// Takes one more reference.
    #[inline]
    pub(crate) fn retain(&mut self, id: AttributesId) {
        self.retain_many(id, 1);
    }

    /// Takes more references.
    #[inline]
    pub(crate) fn retain_many(&mut self, id: AttributesId, count: u32) {
        self.sets[id.index()].references += count;
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
        let hash = self.hash(&set.octets);
        self.ids.remove(hash, id.0);
        let set = &mut self.sets[id.index()];
        self.octets -= set.octets.len();
        set.octets = Box::default();
        (set.next_hop_len, set.marks_len) = (0, 0);
        if let Some(next_hop) = set.next_hop_id() {
            set.next_hop = NO_NEXT_HOP;
            self.next_hops.release(next_hop);
        }
        self.free.push(id);
    }

    fn hash(&self, octets: &[u8]) -> u64 {
        self.hasher.hash_one(octets)
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

/// Link bandwidth, octets per second; 0 where there is none. draft-ietf-idr-link-bandwidth: a floating-point number, in a
/// community that is transitive or not.
pub(crate) fn bandwidth(attributes: &Attributes<'_>) -> u64 {
    const TRANSITIVE: u8 = 0x00;
    const NON_TRANSITIVE: u8 = 0x40;
    const LINK_BANDWIDTH: u8 = 4;
    let mut communities = attributes.extended_communities().iter();
    let found = communities.find_map(|community| match community.0 {
        [TRANSITIVE | NON_TRANSITIVE, LINK_BANDWIDTH, _, _, rate @ ..] => Some(f32::from_be_bytes(rate)),
        _ => None,
    });
    // A negative number or none at all becomes 0, and too large a one the largest.
    found.map_or(0, |rate| rate as u64)
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
            communities: vec![Community::NO_ADVERTISE, Community::BLACKHOLE],
            extended_communities: vec!["lb:64512:1250000".parse().unwrap()],
            ..attributes("65001 64512 {64513 64512}", [10, 0, 0, 9])
        };
        let id = table.intern(&looped);
        let key = table.set(id).key();
        assert_eq!(
            (key.own_as, key.own_cluster, key.cluster_list_length),
            (2, true, 2)
        );
        assert_eq!((key.first_as, key.as_path_length), (Some(Asn(65_001)), 3));
        assert!(key.no_advertise && !key.no_export && key.blackhole);
        assert_eq!(bandwidth(&table.set(id).attributes()), 1_250_000);
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
