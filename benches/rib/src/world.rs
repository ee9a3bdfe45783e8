//! A shard with peers around it, driven as its task drives it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use bgp_codec::{Asn, DecodeContext, FamilySet, HEADER_LEN, MAX_EXTENDED, PeerKind, Update, header};
use bytes::Bytes;

use crate::policy::Chain;
use crate::rib::Rib;
use crate::rib::interface::{
    DecisionOptions,
    Input, Negotiated, NextHopPolicy, Output, Peer, PeerPolicy, SelfAddresses, Settings,
};
use crate::route::{PeerId, Prefix, TableId};

pub const US: Asn = Asn(64_512);
/// What a session lets the shard queue.
const WINDOW: usize = 256 * 1024;

/// Time spent inside the shard.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    pub receive: Duration,
    pub work: Duration,
    pub longest: Duration,
}

pub struct World {
    pub rib: Rib,
    pub times: Times,
    now: Instant,
    /// Octets and UPDATEs that each peer was sent.
    pub sent: BTreeMap<PeerId, (u64, u64)>,
    /// What each peer holds, where that is looked at.
    pub held: Option<BTreeMap<PeerId, BTreeMap<Prefix, u64>>>,
    /// Peers that do not read.
    pub stuck: Vec<PeerId>,
}

impl World {
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "a bench has a clock")]
    pub fn new() -> Self {
        let settings = Settings {
            asn: US,
            bgp_identifier: Ipv4Addr::new(10, 255, 0, 1),
            cluster_id: Ipv4Addr::new(10, 255, 0, 1),
            hash_seed: 0x5eed,
            multipath: 1,
            track_next_hops: false,
            install: false,
            always_compare_med: false,
            decision: DecisionOptions::default(),
            restarting: None,
        };
        Self {
            rib: Rib::new(settings),
            times: Times::default(),
            now: Instant::now(),
            sent: BTreeMap::new(),
            held: None,
            stuck: Vec::new(),
        }
    }

    /// The time of this world, which stands still.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    pub fn up(&mut self, peer: Peer) -> PeerId {
        let id = peer.id;
        self.handle(Input::PeerUp(Box::new(peer)));
        self.handle(Input::Credit {
            peer: id,
            bytes: WINDOW,
        });
        self.settle();
        id
    }

    /// Feeds the peers' buffers in turn, a tick after each round, until all is taken in and sent.
    pub fn feed(&mut self, mut input: Vec<(PeerId, std::vec::IntoIter<Bytes>)>) {
        loop {
            let mut any = false;
            for (peer, buffers) in &mut input {
                if let Some(messages) = buffers.next() {
                    any = true;
                    let input = Input::Received {
                        peer: *peer,
                        messages,
                    };
                    let begun = Instant::now();
                    self.rib.handle(input, self.now);
                    let took = begun.elapsed();
                    self.times.receive += took;
                    self.times.longest = self.times.longest.max(took);
                }
            }
            self.handle(Input::Tick);
            if !any {
                break;
            }
        }
        self.settle();
    }

    pub fn handle(&mut self, input: Input) {
        let begun = Instant::now();
        self.rib.handle(input, self.now);
        let took = begun.elapsed();
        self.times.work += took;
        self.times.longest = self.times.longest.max(took);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.rib.poll_output() {
            if let Output::Send { peer, chunks } = output {
                let bytes: usize = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
                let entry = self.sent.entry(peer).or_default();
                entry.0 += bytes as u64;
                if let Some(held) = &mut self.held {
                    let held = held.entry(peer).or_default();
                    entry.1 += chunks.iter().map(|chunk| read(&chunk.bytes, held)).sum::<u64>();
                }
                if !self.stuck.contains(&peer) {
                    self.rib.handle(Input::Credit { peer, bytes }, self.now);
                }
            }
        }
    }

    /// Works until nothing is left to do at this time; how many ticks that took.
    pub fn settle(&mut self) -> usize {
        let mut ticks = 0;
        while self.rib.next_deadline().is_some_and(|at| at <= self.now) {
            self.handle(Input::Tick);
            ticks += 1;
        }
        ticks
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// Keeps what a peer holds up to date, each with a sum of its attributes; how many UPDATEs there were.
fn read(mut bytes: &[u8], held: &mut BTreeMap<Prefix, u64>) -> u64 {
    use std::hash::{Hash, Hasher};
    let mut updates = 0;
    while let Ok(Some(frame)) = header::frame(bytes, MAX_EXTENDED) {
        let (message, behind) = bytes.split_at(frame.len);
        bytes = behind;
        let context = DecodeContext {
            families: FamilySet::ALL,
            ..DecodeContext::all(PeerKind::Internal)
        };
        let context = DecodeContext {
            add_path: FamilySet::EMPTY,
            ..context
        };
        let update = Update::decode(&message[HEADER_LEN..], &context).expect("what we send is well-formed");
        updates += 1;
        for nlri in update.withdrawn().flat_map(|block| block.ip_prefixes()).flatten() {
            held.remove(&nlri.prefix);
        }
        let mut scratch = Vec::new();
        let mut sum = std::hash::DefaultHasher::new();
        update.interning_key(&mut scratch).hash(&mut sum);
        let sum = sum.finish();
        for nlri in update.announced().flat_map(|at| at.nlri.ip_prefixes()).flatten() {
            held.insert(nlri.prefix, sum);
        }
    }
    updates
}

/// A peer of AS 65,000 + `n`, or a reflection client.
#[must_use]
pub fn peer(n: u32, external: bool) -> Peer {
    let address = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n));
    Peer {
        id: PeerId {
            index: n,
            generation: 1,
        },
        name: format!("p{n}").into(),
        address,
        local_address: IpAddr::from([10, 255, 0, 1]),
        self_addresses: SelfAddresses {
            ipv4: Some([10, 255, 0, 1].into()),
            ipv6: None,
            link_local: None,
        },
        bgp_identifier: Ipv4Addr::from_bits(0x0a00_0000 + n),
        local_asn: US,
        asn: if external { Asn(65_000 + n) } else { US },
        kind: if external {
            PeerKind::External
        } else {
            PeerKind::Internal
        },
        shared_link: false,
        link: 0,
        negotiated: Negotiated {
            families: FamilySet::IPV4_UNICAST,
            four_octet_asn: true,
            max_message: 4_096,
            add_path_receive: FamilySet::EMPTY,
            add_path_send: FamilySet::EMPTY,
            extended_next_hop: false,
            route_refresh: true,
            enhanced_route_refresh: true,
            graceful_restart: None,
            role: None,
        },
        policy: PeerPolicy {
            rr_client: !external,
            enforce_first_as: external,
            ..PeerPolicy::accept_all()
        },
        table: TableId::MAIN,
    }
}
