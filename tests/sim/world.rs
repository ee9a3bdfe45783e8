//! The world: a clock that jumps to the next event, nodes, and the connections between them.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use stonechat::session::collision::Direction;
use stonechat::session::peer::{self, ConnectionId, Endpoints};

use super::node::{Effect, Kept, Node, Spec, socket};
use super::random::Random;
use super::wire::{Fault, Wire};

/// One end of a connection, at one node's peer.
#[derive(Debug)]
struct End {
    node: usize,
    peer: usize,
    id: ConnectionId,
    open: bool,
    /// Closing once what is queued has gone.
    flushing: bool,
}

#[derive(Debug)]
struct Connection {
    ends: [End; 2],
    /// `wires[i]` carries what `ends[i]` writes.
    wires: [Wire; 2],
    /// When the far end learns that `ends[i]` closed.
    eof: [Option<Instant>; 2],
}

/// A dial on its way.
#[derive(Debug)]
struct Dial {
    at: Instant,
    node: usize,
    peer: usize,
    connection: ConnectionId,
}

#[derive(Debug)]
pub(crate) struct World {
    pub now: Instant,
    pub random: Random,
    pub seed: u64,
    pub nodes: Vec<Option<Node>>,
    specs: Vec<Spec>,
    connections: Vec<Connection>,
    dials: Vec<Dial>,
    /// Pairs of nodes that cannot reach each other.
    parted: Vec<(usize, usize)>,
    /// Nodes that are paused, and until when.
    asleep: Vec<Option<Instant>>,
    /// When each node wants to be asked next.
    deadlines: Vec<Option<Instant>>,
    serial: u32,
}

impl World {
    pub(crate) fn new(specs: Vec<Spec>, seed: u64) -> Self {
        // The simulation's own zero: all times are offsets from it, so that the run depends on the seed alone.
        #[expect(
            clippy::disallowed_methods,
            reason = "an Instant cannot be made otherwise; only differences are used"
        )]
        let start = Instant::now();
        let mut world = Self {
            now: start,
            random: Random::new(seed),
            seed,
            nodes: Vec::new(),
            connections: Vec::new(),
            dials: Vec::new(),
            parted: Vec::new(),
            asleep: Vec::new(),
            deadlines: Vec::new(),
            serial: 0,
            specs: Vec::new(),
        };
        for (index, spec) in specs.into_iter().enumerate() {
            world.specs.push(spec.clone());
            world.asleep.push(None);
            world.deadlines.push(None);
            world.nodes.push(Some(Node::new(
                spec,
                None,
                seed.wrapping_add(index as u64),
                start,
            )));
        }
        for index in 0..world.nodes.len() {
            world.carry_out(index);
        }
        world
    }

    pub(crate) fn node(&self, index: usize) -> &Node {
        self.nodes[index].as_ref().expect("the node runs")
    }

    pub(crate) fn is_up(&self, index: usize) -> bool {
        self.nodes[index].is_some()
    }

    /// Lets the node do something, then carries out what it wants.
    pub(crate) fn with(&mut self, index: usize, act: impl FnOnce(&mut Node, Instant)) {
        let now = self.now;
        if let Some(node) = self.nodes[index].as_mut() {
            act(node, now);
            self.carry_out(index);
        }
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.next_event().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.deliver();
        }
        self.now = end;
    }

    /// Runs until `done` holds; false when it does not within `limit`.
    pub(crate) fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        while !done(self) {
            let Some(at) = self.next_event().filter(|at| *at <= end) else {
                return false;
            };
            self.now = self.now.max(at);
            self.deliver();
        }
        true
    }

    /// Both directions of every connection between two nodes are reset.
    pub(crate) fn cut(&mut self, one: usize, other: usize) {
        for index in 0..self.connections.len() {
            if self.joins(index, one, other) {
                self.reset(index);
            }
        }
    }

    /// One end aborts: what is in flight is lost, and the other end learns of it a moment later.
    pub(crate) fn abort(&mut self, one: usize, other: usize) {
        for index in 0..self.connections.len() {
            if !self.joins(index, one, other) {
                continue;
            }
            let delay = self.connections[index].wires[0].delay;
            let connection = &mut self.connections[index];
            connection.wires.iter_mut().for_each(Wire::lose);
            let End {
                node, peer, id, open, ..
            } = connection.ends[0];
            connection.ends[0].open = false;
            connection.eof[0] = Some(self.now + delay);
            if open {
                self.lose(node, peer, id);
            }
        }
    }

    /// Everything between two nodes takes so long, so that what others send overtakes it.
    pub(crate) fn set_delay(&mut self, one: usize, other: usize, delay: Duration) {
        for index in 0..self.connections.len() {
            if self.joins(index, one, other) {
                self.connections[index]
                    .wires
                    .iter_mut()
                    .for_each(|wire| wire.delay = delay);
            }
        }
    }

    /// Whether two nodes' packets reach each other; connections that stand fall silent.
    pub(crate) fn part(&mut self, one: usize, other: usize, parted: bool) {
        let pair = (one.min(other), one.max(other));
        self.parted.retain(|known| *known != pair);
        if parted {
            self.parted.push(pair);
        }
        let fault = if parted { Fault::Stalled } else { Fault::None };
        self.set_fault(one, other, fault);
    }

    /// The clocks of all jump ahead, as after a suspend: nothing has been read meanwhile.
    pub(crate) fn jump(&mut self, time: Duration) {
        self.now += time;
    }

    /// A node does nothing for a while, as when its machine is paused; what comes for it waits in its sockets.
    pub(crate) fn pause(&mut self, node: usize, time: Duration) {
        self.asleep[node] = Some(self.now + time);
    }

    pub(crate) fn set_fault(&mut self, one: usize, other: usize, fault: Fault) {
        for index in 0..self.connections.len() {
            if self.joins(index, one, other) {
                self.connections[index]
                    .wires
                    .iter_mut()
                    .for_each(|wire| wire.fault = fault);
                self.pump(index, 0);
                self.pump(index, 1);
            }
        }
    }

    /// Ends a node without a word; its kernel keeps the routes when `keep`, and its TCP connections are reset.
    pub(crate) fn crash(&mut self, index: usize, keep: bool) -> Option<Kept> {
        let node = self.nodes[index].take()?;
        self.deadlines[index] = None;
        for connection in 0..self.connections.len() {
            if self.connections[connection]
                .ends
                .iter()
                .any(|end| end.node == index && end.open)
            {
                self.reset(connection);
            }
        }
        self.dials.retain(|dial| dial.node != index);
        keep.then_some(Kept { fib: node.fib })
    }

    pub(crate) fn restart(&mut self, index: usize, kept: Option<Kept>) {
        let seed = self.random.next();
        self.nodes[index] = Some(Node::new(self.specs[index].clone(), kept, seed, self.now));
        self.carry_out(index);
    }

    /// Who opened the connections that stand between two nodes.
    pub(crate) fn openers(&self, one: usize, other: usize) -> Vec<usize> {
        let joining = (0..self.connections.len()).filter(|index| self.joins(*index, one, other));
        let standing = joining.map(|index| &self.connections[index].ends);
        standing
            .filter(|ends| ends.iter().all(|end| end.open))
            .map(|ends| ends[0].node)
            .collect()
    }

    fn joins(&self, connection: usize, one: usize, other: usize) -> bool {
        let [a, b] = &self.connections[connection].ends;
        (a.node, b.node) == (one, other) || (a.node, b.node) == (other, one)
    }

    fn next_event(&self) -> Option<Instant> {
        let awake = |node: usize, at: Instant| self.asleep[node].map_or(at, |until| at.max(until));
        let deadlines = self.deadlines.iter().enumerate();
        let nodes = deadlines.filter_map(|(index, at)| Some(awake(index, (*at)?)));
        let dials = self.dials.iter().map(|dial| dial.at);
        let wires = self.connections.iter().flat_map(|connection| {
            [0, 1].into_iter().filter_map(|from| {
                let reader = &connection.ends[1 - from];
                let data = connection.wires[from].next_arrival();
                let eof = connection.eof[from].filter(|_| connection.wires[from].fault != Fault::Stalled);
                let at = if reader.open { data.or(eof) } else { None };
                at.map(|at| awake(reader.node, at))
            })
        });
        nodes.chain(dials).chain(wires).min()
    }

    fn deliver(&mut self) {
        for asleep in &mut self.asleep {
            *asleep = asleep.filter(|until| *until > self.now);
        }
        for index in 0..self.nodes.len() {
            if self.asleep[index].is_none() && self.deadlines[index].is_some_and(|at| at <= self.now) {
                self.with(index, Node::tick);
            }
        }
        let now = self.now;
        while let Some(position) = self.dials.iter().position(|dial| dial.at <= now) {
            let dial = self.dials.remove(position);
            self.answer(&dial);
        }
        for index in 0..self.connections.len() {
            for from in [0, 1] {
                self.read(index, from, false);
            }
        }
        self.connections
            .retain(|connection| connection.ends.iter().any(|end| end.open));
    }

    /// Gives the far end what has arrived from `ends[from]`; everything in flight when `all`.
    fn read(&mut self, index: usize, from: usize, all: bool) {
        loop {
            let connection = &mut self.connections[index];
            let reader = &connection.ends[1 - from];
            if !reader.open || (self.asleep[reader.node].is_some() && !all) {
                return;
            }
            let (node, peer, id) = (reader.node, reader.peer, reader.id);
            if let Some(bytes) = connection.wires[from].read(self.now) {
                let input = peer::Input::Received {
                    connection: id,
                    bytes: bytes.into(),
                };
                self.with(node, |node, now| node.peer_input(peer, input, now));
                self.pump(index, from);
                if all || self.connections[index].wires[from].fault == Fault::OneByte {
                    continue;
                }
                return;
            }
            let eof = connection.eof[from].filter(|at| *at <= self.now);
            if eof.is_some()
                && connection.wires[from].next_arrival().is_none()
                && connection.wires[from].fault != Fault::Stalled
            {
                connection.ends[1 - from].open = false;
                let error = String::from("connection closed by the peer");
                self.with(node, |node, _| node.forget(peer, id));
                let input = peer::Input::Closed {
                    connection: id,
                    error,
                };
                self.with(node, |node, now| node.peer_input(peer, input, now));
            }
            return;
        }
    }

    /// A dial reaches the other machine, or does not.
    fn answer(&mut self, dial: &Dial) {
        let Some(node) = self.nodes[dial.node].as_ref() else {
            return;
        };
        let own = node.spec.address;
        let target = node.peers[dial.peer].address;
        let far = self.nodes.iter().position(|node| {
            node.as_ref()
                .is_some_and(|node| IpAddr::V4(node.spec.address) == target)
        });
        let far = far.filter(|far| !self.parted.contains(&(dial.node.min(*far), dial.node.max(*far))));
        let accepted = far.and_then(|far| {
            let peers = &self.node(far).peers;
            peers
                .iter()
                .position(|peer| peer.address == IpAddr::V4(own))
                .map(|peer| (far, peer))
        });
        let Some((far, far_peer)) = accepted else {
            let input = peer::Input::ConnectFailed {
                connection: dial.connection,
                error: "refused".into(),
            };
            self.with(dial.node, |node, now| node.peer_input(dial.peer, input, now));
            return;
        };
        self.serial += 1;
        let far_id = ConnectionId {
            direction: Direction::Incoming,
            serial: self.serial,
        };
        let end = |node, peer, id| End {
            node,
            peer,
            id,
            open: true,
            flushing: false,
        };
        let delay = Duration::from_micros(200 + self.random.next() % 800);
        let port = 1024 + u16::try_from(self.serial % 60_000).unwrap();
        let far_address = self.node(far).spec.address;
        self.connections.push(Connection {
            ends: [
                end(dial.node, dial.peer, dial.connection),
                end(far, far_peer, far_id),
            ],
            wires: [Wire::new(delay), Wire::new(delay)],
            eof: [None, None],
        });
        self.connected(
            dial.node,
            dial.peer,
            dial.connection,
            (socket(own, port), socket(far_address, 179)),
        );
        self.connected(
            far,
            far_peer,
            far_id,
            (socket(far_address, 179), socket(own, port)),
        );
    }

    fn connected(
        &mut self,
        node: usize,
        peer: usize,
        connection: ConnectionId,
        (local, remote): (std::net::SocketAddr, std::net::SocketAddr),
    ) {
        let self_addresses = self.node(node).peers[peer].self_addresses;
        let endpoints = Endpoints {
            local,
            remote,
            self_addresses,
            shared_link: true,
            link: 0,
        };
        self.with(node, |node, now| node.connected(peer, connection, endpoints, now));
    }

    fn carry_out(&mut self, node: usize) {
        while let Some(effect) = self.nodes[node].as_mut().and_then(Node::next_effect) {
            match effect {
                Effect::Connect { peer, connection } => {
                    let at = self.now + Duration::from_micros(100 + self.random.next() % 400);
                    self.dials.push(Dial {
                        at,
                        node,
                        peer,
                        connection,
                    });
                }
                Effect::Write { peer, connection } => {
                    if let Some((index, end)) = self.locate(node, peer, connection) {
                        self.pump(index, end);
                    }
                }
                Effect::ReadNow { peer, connection } => {
                    if let Some((index, end)) = self.locate(node, peer, connection) {
                        self.read(index, 1 - end, true);
                    }
                    self.with(node, |node, now| {
                        node.peer_input(peer, peer::Input::ReadDone { connection }, now)
                    });
                }
                Effect::Close { peer, connection } => self.close((node, peer, connection)),
            }
        }
        self.deadlines[node] = self.nodes[node].as_ref().and_then(Node::next_deadline);
    }

    fn locate(&self, node: usize, peer: usize, id: ConnectionId) -> Option<(usize, usize)> {
        self.connections
            .iter()
            .enumerate()
            .find_map(|(index, connection)| {
                let end = connection
                    .ends
                    .iter()
                    .position(|end| end.open && (end.node, end.peer, end.id) == (node, peer, id));
                end.map(|end| (index, end))
            })
    }

    /// Writes what the wire takes.
    fn pump(&mut self, index: usize, end: usize) {
        let now = self.now;
        let writer = &self.connections[index].ends[end];
        if !writer.open {
            return;
        }
        let (node, peer, id, flushing) = (writer.node, writer.peer, writer.id, writer.flushing);
        let jitter = Duration::from_micros(self.random.next() % 1_000);
        let room = self.connections[index].wires[end].room();
        let Some(speaker) = self.nodes[node].as_mut() else {
            return;
        };
        if speaker.queued(peer, id) > 0 {
            let bytes = speaker.write(peer, id, room, now);
            if !bytes.is_empty() {
                self.connections[index].wires[end].write(bytes, now + jitter);
            }
        }
        if flushing && speaker.queued(peer, id) == 0 {
            speaker.forget(peer, id);
            let connection = &mut self.connections[index];
            connection.ends[end].open = false;
            connection.eof[end] = Some(connection.wires[end].behind_all(now));
        }
        self.carry_out(node);
    }

    fn close(&mut self, (node, peer, id): (usize, usize, ConnectionId)) {
        self.dials
            .retain(|dial| (dial.node, dial.peer, dial.connection) != (node, peer, id));
        if let Some((index, end)) = self.locate(node, peer, id) {
            self.connections[index].ends[end].flushing = true;
            self.pump(index, end);
        }
    }

    fn reset(&mut self, index: usize) {
        for end in [0, 1] {
            let End {
                node, peer, id, open, ..
            } = self.connections[index].ends[end];
            self.connections[index].ends[end].open = false;
            if open {
                self.lose(node, peer, id);
            }
        }
    }

    fn lose(&mut self, node: usize, peer: usize, connection: ConnectionId) {
        self.with(node, |node, _| node.forget(peer, connection));
        let error = "connection reset".into();
        let input = peer::Input::Closed { connection, error };
        self.with(node, |node, now| node.peer_input(peer, input, now));
    }

    /// Every peer's state in words, for a failure's report.
    pub(crate) fn states(&self) -> String {
        let mut text = String::new();
        for node in self.nodes.iter().flatten() {
            for peer in &node.peers {
                let status = peer.core.status(self.now, Duration::ZERO);
                let next = peer.core.next_deadline();
                let next = next.map(|(at, timer)| (timer, at.saturating_duration_since(self.now)));
                text += &format!(
                    "{} -> {}: {:?}, {:?}, {:?}, next {next:?}\n",
                    node.spec.name, status.name, status.state, status.last_error, status.notes
                );
            }
        }
        for connection in &self.connections {
            text += &format!("{connection:?}\n");
        }
        text
    }

    /// Sessions that stand, both ends, as (node, peer, node, peer).
    pub(crate) fn sessions(&self) -> Vec<(usize, usize, usize, usize)> {
        let mut all = Vec::new();
        for connection in &self.connections {
            let [a, b] = &connection.ends;
            let stands = |end: &End| {
                end.open
                    && self.nodes[end.node]
                        .as_ref()
                        .is_some_and(|node| node.peers[end.peer].core.session() == Some(end.id))
            };
            if stands(a) && stands(b) {
                all.push((a.node, a.peer, b.node, b.peer));
            }
        }
        all
    }

    pub(crate) fn address(index: usize) -> Ipv4Addr {
        Ipv4Addr::new(192, 0, 2, u8::try_from(index + 1).unwrap())
    }
}
