//! D: a cluster's reflector. Every node announces four blocks of its own and two VIPs that all share, and is sent all of
//! it; then nodes drain one after the other, each time the one whose VIPs are in use.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp_codec::PathAttributes;

use super::{Bench, Failure, Outcome, Subject, settle};
use crate::daemon::{ASN, Kind, Peer};
use crate::engine::Engine;
use crate::feed;
use crate::lab::{DAEMON, address};
use crate::ledger::{Expected, Ledger};
use crate::path::{ABSENT, Rule};
use crate::relay::Relay;
use crate::report::quantile;
use crate::scenario::load::faults;
use crate::session::{Identity, Session};
use crate::table::Prefix;
use crate::usage;

const BLOCKS: usize = 4;
const VIPS: usize = 2;
/// How long a drain may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two drains.
const PAUSE: Duration = Duration::from_millis(30);

/// The cluster: prefixes are the VIPs, then the blocks of each node in turn.
struct Cluster {
    nodes: usize,
    prefixes: Vec<Prefix>,
    attributes: PathAttributes,
    rule: Rule,
}

impl Cluster {
    fn new(nodes: usize) -> Self {
        let vips =
            (0..VIPS as u32).map(|vip| Prefix::new(u32::from_be_bytes([172, 16, 99, 0]) + 10 + vip, 32));
        let blocks = (0..(nodes * BLOCKS) as u32)
            .map(|block| Prefix::new(u32::from_be_bytes([10, 244, 0, 0]) + block * 64, 26));
        Self {
            nodes,
            prefixes: vips.chain(blocks).collect(),
            attributes: PathAttributes {
                local_pref: Some(100),
                ..PathAttributes::default()
            },
            rule: Rule {
                external: None,
                prepend: None,
            },
        }
    }

    fn blocks(node: usize) -> std::ops::Range<usize> {
        VIPS + node * BLOCKS..VIPS + (node + 1) * BLOCKS
    }

    /// What a node announces: all have the same attributes, so the lowest router id wins the VIPs.
    fn announced(&self, node: usize) -> Vec<Prefix> {
        [&self.prefixes[..VIPS], &self.prefixes[Self::blocks(node)]].concat()
    }

    fn path(&self, node: usize) -> u32 {
        feed::path(&self.attributes, address(node), &self.rule)
    }

    /// The prefixes that a node is not told, while `best` has the VIPs in use.
    fn own(node: usize, best: usize) -> Vec<usize> {
        let vips = if node == best { 0..VIPS } else { 0..0 };
        vips.chain(Self::blocks(node)).collect()
    }

    fn engine(&self) -> Result<Engine, Failure> {
        let mut expected = Expected::new(&self.prefixes, self.rule.clone());
        expected.paths[..VIPS].fill(self.path(0));
        for node in 0..self.nodes {
            expected.paths[Self::blocks(node)].fill(self.path(node));
        }
        let session = |node: usize| {
            let identity = Identity {
                address: address(node),
                asn: ASN,
                hold_time_s: 90,
                add_path: false,
                slow: false,
            };
            Session::new(identity, Some(Ledger::new(&expected, &Self::own(node, 0))))
        };
        let sessions = (0..self.nodes).map(session).collect();
        Ok(Engine::new(DAEMON, sessions, expected)?)
    }

    fn peers(&self) -> Vec<Peer> {
        let peer = |node| Peer {
            address: address(node),
            asn: ASN,
            client: true,
            add_path: false,
            without: None,
            endless: false,
        };
        (0..self.nodes).map(peer).collect()
    }

    /// The stand-in writes everything to everybody.
    fn stand_in(&self, bench: &Bench) -> Relay {
        let mut output = Vec::new();
        for node in 0..self.nodes {
            let own = self.announced(node);
            let told = if node == 0 { &own[..] } else { &own[VIPS..] };
            feed::announce(&self.attributes, address(node), told, &mut output);
        }
        let mut message = Vec::new();
        feed::announce(&self.attributes, address(0), &self.announced(0), &mut message);
        Relay::hub(
            bench.lab.namespace("daemon"),
            message.len() * self.nodes,
            output.into(),
        )
    }

    /// Nodes stop announcing, each time the one that has the VIPs in use. Yields the seconds until all others knew.
    fn drain(&self, engine: &mut Engine, drains: usize) -> Result<Vec<f64>, Failure> {
        let mut took = Vec::new();
        for node in 0..drains {
            let mut message = Vec::new();
            feed::withdraw(&self.announced(node), &mut message);
            engine.expected.paths[Self::blocks(node)].fill(ABSENT);
            engine.expected.paths[..VIPS].fill(self.path(node + 1));
            for (other, session) in engine.sessions.iter_mut().enumerate() {
                if let Some(ledger) = &mut session.ledger {
                    ledger.set_own(&Self::own(other, node + 1));
                    ledger.recount(&engine.expected);
                    ledger.complete_at = None;
                }
            }
            let start = Instant::now();
            engine.sessions[node].send(&message.into());
            engine.flush(node);
            engine
                .run_until(PATIENCE, "everybody knows of a drain", |engine| engine.complete())
                .map_err(|trouble| Failure::Daemon(format!("{trouble}; drain {node}: {}", faults(engine))))?;
            let last = engine
                .sessions
                .iter()
                .filter_map(|session| session.ledger.as_ref()?.complete_at)
                .max();
            took.extend(last.map(|last| (last - start).as_secs_f64()));
            engine.run_for(PAUSE)?;
        }
        Ok(took)
    }
}

pub fn run(bench: &Bench, kind: Kind) -> Result<Outcome, Failure> {
    let cluster = Cluster::new(bench.pick(400, 100));
    let mut subject = Subject::start(bench, kind, &cluster.peers(), || cluster.stand_in(bench))?;
    measure(&cluster, bench, kind, &subject).map_err(|failure| subject.blame(failure))
}

fn measure(cluster: &Cluster, bench: &Bench, kind: Kind, subject: &Subject) -> Result<Outcome, Failure> {
    let mut engine = cluster.engine()?;
    let all: Vec<usize> = (0..cluster.nodes).collect();
    let connects = engine.establish(&all, bench.limit)?;
    settle(&mut engine)?;
    subject.prepare(bench)?;
    let messages: Vec<Arc<[u8]>> = all
        .iter()
        .map(|node| {
            let mut message = Vec::new();
            feed::announce(
                &cluster.attributes,
                address(*node),
                &cluster.announced(*node),
                &mut message,
            );
            message.into()
        })
        .collect();
    let (cpu, own_cpu) = (subject.cpu_seconds(), usage::own_cpu_seconds());
    let start = Instant::now();
    for (node, message) in messages.iter().enumerate() {
        engine.sessions[node].send(message);
        engine.flush(node);
    }
    let came = engine.run_until(bench.limit, "all blocks and VIPs at every node", |engine| {
        engine.complete()
    });
    let last = engine
        .sessions
        .iter()
        .filter_map(|session| session.ledger.as_ref()?.complete_at)
        .max();
    let load = last.map_or_else(|| start.elapsed(), |last| last - start);
    let (cpu_s, own_cpu_s) = (subject.cpu_seconds() - cpu, usage::own_cpu_seconds() - own_cpu);
    let mut figures = vec![
        ("load_s", load.as_secs_f64()),
        ("cpu_s", cpu_s),
        ("peak_mib", subject.memory_mib().0),
    ];
    let mut complaint = came
        .err()
        .map(|trouble| format!("{trouble}; {}", faults(&engine)));
    if complaint.is_none() && kind != Kind::Nobody {
        engine.run_for(Duration::from_millis(300))?;
        let cpu = subject.cpu_seconds();
        match cluster.drain(&mut engine, bench.pick(60, 20)) {
            Ok(mut took) => {
                figures.push(("drain_p50_ms", quantile(&mut took, 0.5).unwrap_or(f64::NAN) * 1e3));
                figures.push((
                    "drain_p99_ms",
                    quantile(&mut took, 0.99).unwrap_or(f64::NAN) * 1e3,
                ));
                figures.push((
                    "drain_cpu_ms",
                    (subject.cpu_seconds() - cpu) / took.len() as f64 * 1e3,
                ));
            }
            Err(Failure::Interrupted) => return Err(Failure::Interrupted),
            Err(Failure::Daemon(text)) => complaint = Some(text),
        }
    }
    let echoes: u64 = engine
        .sessions
        .iter()
        .filter_map(|session| session.ledger.as_ref())
        .map(|ledger| ledger.echoes)
        .sum();
    figures.extend([
        ("connect_s", connects.as_secs_f64()),
        ("echoes", echoes as f64),
        ("generator_cpu_s", own_cpu_s),
    ]);
    Ok(Outcome { figures, complaint })
}
