//! One, two or four RIB shards as one RIB: each is told everything, what they send goes out in one stream, and a marker goes
//! when the last of them has come to it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use bgp_codec::{
    DecodeContext, Family, HEADER_LEN, MAX_EXTENDED, MessageType, PeerKind, RouteRefresh, Update, header,
    route_refresh::Subtype,
};
use stonechat::rib::Rib;
use stonechat::rib::explain::{Answer, Counters, Query};
use stonechat::rib::interface::{Chunk, Event, Input, Output, Settings};
use stonechat::route::PeerId;

#[derive(Debug)]
pub(crate) struct Shards {
    ribs: Vec<Rib>,
    outputs: VecDeque<Output>,
    streams: BTreeMap<PeerId, Stream>,
    /// How many shards have put out everything of a family.
    complete: BTreeMap<Family, usize>,
    /// End-of-RIBs that one shard has told of.
    ended: BTreeSet<(PeerId, Family)>,
}

/// What goes to one session.
#[derive(Debug, Default)]
struct Stream {
    /// Octets on their way to the socket, and whose credit they were.
    unread: VecDeque<(usize, usize)>,
    /// How often each shard has come to each marker.
    reached: BTreeMap<(Marker, usize), usize>,
    /// What a shard has sent behind a BoRR while another has not ended the refresh before.
    held: BTreeMap<usize, VecDeque<Chunk>>,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Marker {
    EndOfRib(Family),
    BeginOfRefresh(Family),
    EndOfRefresh(Family),
}

impl Shards {
    pub(crate) fn new(settings: &Settings, count: u16) -> Self {
        Self {
            ribs: Rib::shards(settings, count),
            outputs: VecDeque::new(),
            streams: BTreeMap::new(),
            complete: BTreeMap::new(),
            ended: BTreeSet::new(),
        }
    }

    pub(crate) fn handle(&mut self, input: &Input, now: Instant) {
        match input {
            Input::PeerUp(peer) => {
                self.streams.insert(peer.id, Stream::default());
                self.ended.retain(|(id, _)| *id != peer.id);
            }
            Input::PeerDown { peer, .. } => drop(self.streams.remove(peer)),
            _ => {}
        }
        for number in 0..self.ribs.len() {
            self.ribs[number].handle(input.clone(), now);
            self.collect(number, now);
        }
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.ribs.iter().filter_map(Rib::next_deadline).min()
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: Instant) {
        for number in 0..self.ribs.len() {
            if self.ribs[number].next_deadline().is_some_and(|at| at <= now) {
                self.ribs[number].handle(Input::Tick, now);
                self.collect(number, now);
            }
        }
    }

    /// A session's socket took octets: credit for those that sent them.
    pub(crate) fn credit(&mut self, peer: PeerId, mut bytes: usize, now: Instant) {
        let mut owed = vec![0; self.ribs.len()];
        if let Some(stream) = self.streams.get_mut(&peer) {
            while bytes > 0
                && let Some((number, left)) = stream.unread.front_mut()
            {
                let taken = bytes.min(*left);
                owed[*number] += taken;
                *left -= taken;
                bytes -= taken;
                if *left == 0 {
                    stream.unread.pop_front();
                }
            }
        }
        for (number, bytes) in owed.into_iter().enumerate().filter(|(_, bytes)| *bytes > 0) {
            self.ribs[number].handle(Input::Credit { peer, bytes }, now);
            self.collect(number, now);
        }
    }

    pub(crate) fn query(&self, query: &Query, now: Instant) -> Vec<Answer> {
        self.ribs.iter().map(|rib| rib.query(query, now)).collect()
    }

    /// Counters of all shards: each as they are, to be added by the caller.
    pub(crate) fn counters(&self, now: Instant) -> Vec<Counters> {
        let answers = self.query(&Query::Counters, now).into_iter();
        answers
            .filter_map(|answer| match answer {
                Answer::Counters(counters) => Some(counters),
                _ => None,
            })
            .collect()
    }

    fn collect(&mut self, number: usize, now: Instant) {
        while let Some(output) = self.ribs[number].poll_output() {
            match output {
                Output::Send { peer, chunks } => {
                    let swallowed = self.send(number, peer, chunks);
                    if swallowed > 0 {
                        let bytes = swallowed;
                        self.ribs[number].handle(Input::Credit { peer, bytes }, now);
                    }
                }
                Output::FibComplete(family) => {
                    let count = self.complete.entry(family).or_default();
                    *count += 1;
                    if *count == self.ribs.len() {
                        self.outputs.push_back(Output::FibComplete(family));
                    }
                }
                Output::Event(Event::EndOfRibReceived { peer, family }) => {
                    if self.ended.insert((peer, family)) {
                        let event = Event::EndOfRibReceived { peer, family };
                        self.outputs.push_back(Output::Event(event));
                    }
                }
                other => self.outputs.push_back(other),
            }
        }
    }

    /// Passes on what a shard sends; yields the octets of markers that are left out.
    fn send(&mut self, number: usize, peer: PeerId, chunks: Vec<Chunk>) -> usize {
        let shards = self.ribs.len();
        let Some(stream) = self.streams.get_mut(&peer) else {
            return 0;
        };
        let (mut out, mut swallowed) = (Vec::new(), 0);
        for chunk in chunks {
            stream.pass(number, shards, chunk, (&mut out, &mut swallowed));
        }
        if !out.is_empty() {
            self.outputs.push_back(Output::Send { peer, chunks: out });
        }
        swallowed
    }
}

impl Stream {
    fn pass(&mut self, number: usize, shards: usize, chunk: Chunk, into: (&mut Vec<Chunk>, &mut usize)) {
        let (out, swallowed) = into;
        if shards == 1 {
            return self.put(number, chunk, out);
        }
        if let Some(held) = self.held.get_mut(&number) {
            return held.push_back(chunk);
        }
        let Some(marker) = marker(&chunk) else {
            return self.put(number, chunk, out);
        };
        let family = match marker {
            Marker::EndOfRib(family) | Marker::BeginOfRefresh(family) | Marker::EndOfRefresh(family) => {
                family
            }
        };
        let count = |stream: &Self, marker, shard| stream.reached.get(&(marker, shard)).copied().unwrap_or(0);
        let ended = |stream: &Self| {
            let all = (0..shards).map(|shard| count(stream, Marker::EndOfRefresh(family), shard));
            all.min().unwrap_or(0)
        };
        let reached = count(self, marker, number) + 1;
        if matches!(marker, Marker::BeginOfRefresh(_)) && ended(self) + 1 < reached {
            // Another shard is still in the refresh before this one.
            self.held.insert(number, VecDeque::from([chunk]));
            return;
        }
        let others = (0..shards).filter(|shard| *shard != number);
        let mut others = others.map(|shard| count(self, marker, shard));
        let passes = match marker {
            Marker::BeginOfRefresh(_) => others.all(|other| other < reached),
            Marker::EndOfRib(_) | Marker::EndOfRefresh(_) => others.all(|other| other >= reached),
        };
        self.reached.insert((marker, number), reached);
        if passes {
            self.put(number, chunk, out);
        } else {
            *swallowed += chunk.bytes.len();
        }
        if passes && matches!(marker, Marker::EndOfRefresh(_)) {
            for (shard, chunks) in std::mem::take(&mut self.held) {
                for chunk in chunks {
                    // What is left out of another shard's is credit that it does without: a few octets a refresh.
                    self.pass(shard, shards, chunk, (&mut *out, &mut 0));
                }
            }
        }
    }

    fn put(&mut self, number: usize, chunk: Chunk, out: &mut Vec<Chunk>) {
        self.unread.push_back((number, chunk.bytes.len()));
        out.push(chunk);
    }
}

/// Markers are chunks of one message.
fn marker(chunk: &Chunk) -> Option<Marker> {
    let frame = header::frame(&chunk.bytes, MAX_EXTENDED).ok().flatten()?;
    let body = chunk.bytes.get(HEADER_LEN..frame.len)?;
    match frame.kind {
        MessageType::Update => {
            let update = Update::decode(body, &DecodeContext::all(PeerKind::Internal)).ok()?;
            update.end_of_rib().map(Marker::EndOfRib)
        }
        MessageType::RouteRefresh => {
            let refresh = RouteRefresh::decode(body).ok().flatten()?;
            match refresh.subtype {
                Subtype::BeginOfRib => Some(Marker::BeginOfRefresh(refresh.family)),
                Subtype::EndOfRib => Some(Marker::EndOfRefresh(refresh.family)),
                Subtype::Request => None,
            }
        }
        _ => None,
    }
}
