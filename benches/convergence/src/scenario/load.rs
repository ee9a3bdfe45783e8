//! A, B, C and M: senders send all they have; the clock stops when every receiver holds every prefix with the right path.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp_codec::Asn;
use ipnet::Ipv4Net;

use super::{Bench, Failure, Outcome, Scenario, Subject, settle};
use crate::daemon::{ASN, Kind, Peer};
use crate::engine::Engine;
use crate::feed::{self, Feed};
use crate::lab::{DAEMON, address};
use crate::ledger::{Expected, Ledger};
use crate::path::Rule;
use crate::relay::Relay;
use crate::session::{Identity, Session};
use crate::table::{Prefix, Table};
use crate::usage;

/// How long the receivers stay complete to count as done: a daemon may say more than it should.
const LINGER: Duration = Duration::from_millis(300);
const HOLD_TIME_S: u16 = 90;

/// One scenario's cast, script and expected end.
pub struct Plan {
    pub peers: Vec<Peer>,
    pub identities: Vec<Identity>,
    /// What each sender sends; senders come first among the sessions.
    pub streams: Vec<Arc<[u8]>>,
    pub prefixes: Vec<Prefix>,
    pub paths: Vec<u32>,
    pub rule: Rule,
    /// What a receiver is told when all went well, for the stand-in.
    pub output: Arc<[u8]>,
    /// Attributes of each group as each sender has them.
    pub feeds: Vec<Feed>,
}

/// Who sends and who receives.
pub struct Cast {
    pub senders: usize,
    pub receivers: usize,
    pub internal: bool,
    /// Some receivers have filters of their own, or take several paths.
    pub mixed: bool,
}

impl Plan {
    fn new(scenario: Scenario, bench: &Bench, kind: Kind) -> Result<Self, Failure> {
        let cast = Cast {
            senders: 1,
            receivers: 1,
            internal: false,
            mixed: false,
        };
        let (cast, table) = match scenario {
            Scenario::BestPath => (
                Cast { senders: 8, ..cast },
                bench.table(bench.pick(500_000, 50_000), bench.pick(85_000, 8_500))?,
            ),
            Scenario::Reflector | Scenario::Mixed => {
                let cast = Cast {
                    senders: 2,
                    receivers: bench.pick(100, 50),
                    internal: true,
                    mixed: scenario == Scenario::Mixed,
                };
                (
                    cast,
                    bench.table(bench.pick(100_000, 20_000), bench.pick(17_000, 3_400))?,
                )
            }
            _ => (
                cast,
                bench.table(bench.pick(1_000_000, 100_000), bench.pick(170_000, 17_000))?,
            ),
        };
        Ok(Self::of(&cast, &table, kind))
    }

    pub fn of(cast: &Cast, table: &Table, kind: Kind) -> Self {
        let asn = |number: usize| {
            if cast.internal {
                ASN
            } else {
                ASN + 1 + number as u32
            }
        };
        let of_ten =
            |number: usize, wanted: usize| cast.mixed && number >= cast.senders && number % 10 == wanted;
        let identities: Vec<Identity> = (0..cast.senders + cast.receivers)
            .map(|number| Identity {
                address: address(number),
                asn: asn(number),
                hold_time_s: HOLD_TIME_S,
                add_path: of_ten(number, 1),
                slow: false,
            })
            .collect();
        let peer = |(number, identity): (usize, &Identity)| Peer {
            address: identity.address,
            asn: identity.asn,
            client: cast.internal,
            add_path: identity.add_path,
            // Each has a filter of its own: none is like another.
            without: of_ten(number, 2).then(|| format!("{}.0.0.0/8", 20 + number % 100)),
            endless: false,
        };
        let peers = identities.iter().enumerate().map(peer).collect();
        let mut next_hops: Vec<Ipv4Addr> = identities.iter().map(|identity| identity.address).collect();
        next_hops.push(DAEMON);
        let prepend = (kind == Kind::Nobody && !cast.internal).then_some(ASN);
        let rule = Rule {
            external: (!cast.internal).then_some(next_hops),
            prepend,
        };
        let feeds: Vec<Feed> = (0..cast.senders)
            .map(|number| Feed {
                attributes: table.feed(number as u64, (!cast.internal).then_some(Asn(asn(number)))),
                next_hop: address(number),
            })
            .collect();
        // Internal senders share the table out, one half each; external ones all send all of it.
        let groups = |number: usize| {
            let all = 0..table.groups.len();
            all.filter(move |group| !cast.internal || group % cast.senders == number)
        };
        let streams = feeds.iter().enumerate().map(|(number, feed)| {
            let mut octets = feed.encode(table, groups(number));
            feed::end_of_rib(&mut octets);
            Arc::from(octets)
        });
        let streams = streams.collect();
        let best = |group: usize| {
            if cast.internal {
                group % cast.senders
            } else {
                best(&feeds, group)
            }
        };
        let mut paths = vec![0; table.prefixes.len()];
        let mut output = Vec::new();
        for (group, range) in table.groups.iter().enumerate() {
            let feed = &feeds[best(group)];
            paths[range.clone()].fill(feed.path(group, (!cast.internal).then_some(ASN), &rule));
            output.append(&mut feed.encode(table, [group]));
        }
        Self {
            peers,
            identities,
            streams,
            prefixes: table.prefixes.clone(),
            paths,
            rule,
            output: output.into(),
            feeds,
        }
    }

    /// The sessions' side of it.
    pub fn engine(&self) -> Result<Engine, Failure> {
        self.engine_with(|expected, peer| Ledger::new(expected, &self.kept_from(peer)))
    }

    /// The same with other ledgers.
    pub fn engine_with(&self, ledger: impl Fn(&Expected, &Peer) -> Ledger) -> Result<Engine, Failure> {
        let mut expected = Expected::new(&self.prefixes, self.rule.clone());
        expected.paths.clone_from(&self.paths);
        let senders = self.streams.len();
        let cast = self.identities.iter().zip(&self.peers).enumerate();
        let sessions = cast.map(|(number, (identity, peer))| {
            Session::new(
                identity.clone(),
                (number >= senders).then(|| ledger(&expected, peer)),
            )
        });
        let sessions = sessions.collect();
        Ok(Engine::new(DAEMON, sessions, expected)?)
    }

    /// The prefixes that a peer's filter keeps from it.
    fn kept_from(&self, peer: &Peer) -> Vec<usize> {
        let without = peer.without.as_ref();
        let Some(net) = without.and_then(|without| without.parse::<Ipv4Net>().ok()) else {
            return Vec::new();
        };
        let all = self.prefixes.iter().enumerate();
        all.filter(|(_, prefix)| net.contains(&prefix.net()))
            .map(|(place, _)| place)
            .collect()
    }

    pub fn stand_in(&self, bench: &Bench) -> Relay {
        let senders = self.identities[..self.streams.len()]
            .iter()
            .map(|identity| identity.address)
            .collect();
        let input = self.streams.iter().map(|stream| stream.len()).sum();
        Relay::start(
            bench.lab.namespace("daemon"),
            senders,
            input,
            Arc::clone(&self.output),
        )
    }
}

/// The sender whose path wins: the shortest, then the best origin, then the lowest router id. All are of different
/// neighbouring ASes, so MED does not count.
fn best(feeds: &[Feed], group: usize) -> usize {
    let rank = |number: &usize| {
        let attributes = &feeds[*number].attributes[group];
        (attributes.as_path.path_length(), attributes.origin, *number)
    };
    (0..feeds.len()).min_by_key(rank).unwrap_or(0)
}

pub fn run(scenario: Scenario, bench: &Bench, kind: Kind) -> Result<Outcome, Failure> {
    let plan = Plan::new(scenario, bench, kind)?;
    let mut subject = Subject::start(bench, kind, &plan.peers, || plan.stand_in(bench))?;
    measure(&plan, bench, &subject).map_err(|failure| subject.blame(failure))
}

pub fn measure(plan: &Plan, bench: &Bench, subject: &Subject) -> Result<Outcome, Failure> {
    let mut engine = plan.engine()?;
    let all: Vec<usize> = (0..plan.identities.len()).collect();
    let connects = engine.establish(&all, bench.limit)?;
    settle(&mut engine)?;
    subject.prepare(bench)?;
    let load = load(&mut engine, plan, bench, subject)?;
    let mut outcome = load.outcome(&engine, subject);
    outcome.figures.push(("connect_s", connects.as_secs_f64()));
    Ok(outcome)
}

/// A table that has been sent.
pub struct Load {
    wall: Duration,
    cpu_s: f64,
    own_cpu_s: f64,
    queued_s: f64,
    complaint: Option<String>,
}

/// Sends all streams and waits until the receivers have all.
pub fn load(engine: &mut Engine, plan: &Plan, bench: &Bench, subject: &Subject) -> Result<Load, Failure> {
    let (cpu, own_cpu) = (subject.cpu_seconds(), usage::own_cpu_seconds());
    let queued = subject.queued_seconds();
    let start = Instant::now();
    for (at, stream) in plan.streams.iter().enumerate() {
        engine.sessions[at].send(stream);
        engine.flush(at);
    }
    let came = engine.run_until(bench.limit, "every prefix at every receiver", |engine| {
        engine.complete()
    });
    let (cpu_s, own_cpu_s) = (subject.cpu_seconds() - cpu, usage::own_cpu_seconds() - own_cpu);
    let queued_s = subject.queued_seconds() - queued;
    let mut complaint = None;
    if let Err(trouble) = came {
        complaint = Some(format!("{trouble}; {}", faults(engine)));
        if !matches!(trouble, crate::engine::Trouble::Late(_)) {
            return Err(Failure::from(trouble));
        }
    } else {
        engine.run_for(LINGER)?;
        if !engine.complete() {
            complaint = Some(format!("did not stay complete: {}", faults(engine)));
        }
    }
    let last = engine
        .sessions
        .iter()
        .filter_map(|session| session.ledger.as_ref()?.complete_at)
        .max();
    let wall = last.map_or_else(|| start.elapsed(), |last| last - start);
    Ok(Load {
        wall,
        cpu_s,
        own_cpu_s,
        queued_s,
        complaint,
    })
}

impl Load {
    /// The figures so far.
    pub fn outcome(self, engine: &Engine, subject: &Subject) -> Outcome {
        let (peak_mib, now_mib) = subject.memory_mib();
        let ledgers = || {
            engine
                .sessions
                .iter()
                .filter_map(|session| session.ledger.as_ref())
        };
        let receivers = ledgers().count().max(1) as f64;
        let mean = |of: fn(&Ledger) -> u64| ledgers().map(of).sum::<u64>() as f64 / receivers;
        let mut complaint = self.complaint;
        let strange: u64 = ledgers().map(|ledger| ledger.unknown + ledger.malformed).sum();
        let echoes: u64 = ledgers().map(|ledger| ledger.echoes).sum();
        if strange + echoes > 0 {
            let text = format!(
                " {strange} prefixes that nobody sent; {echoes} told to whom they should be kept from"
            );
            complaint.get_or_insert_default().push_str(&text);
        }
        let figures = vec![
            ("wall_s", self.wall.as_secs_f64()),
            ("cpu_s", self.cpu_s),
            ("peak_mib", peak_mib),
            ("updates", mean(|ledger| ledger.updates)),
            ("wire_mib", mean(|ledger| ledger.octets) / (1 << 20) as f64),
            ("announced", mean(|ledger| ledger.announced)),
            ("rss_mib", now_mib),
            ("generator_cpu_s", self.own_cpu_s),
            ("queued_s", self.queued_s),
        ];
        Outcome { figures, complaint }
    }
}

/// What receivers lack, in words.
pub fn faults(engine: &Engine) -> String {
    let mut sums = (0, 0, 0);
    let mut incomplete = 0;
    for ledger in engine
        .sessions
        .iter()
        .filter_map(|session| session.ledger.as_ref())
    {
        let (missing, wrong, ghosts) = ledger.faults(&engine.expected);
        sums = (sums.0 + missing, sums.1 + wrong, sums.2 + ghosts);
        incomplete += usize::from(!ledger.complete());
    }
    format!(
        "{incomplete} receivers incomplete: {} prefixes missing, {} with another path, {} too many",
        sums.0, sums.1, sums.2
    )
}
