//! E: how soon a receiver sees one prefix come and go while the daemon holds a table and others flap.
//!
//! The generator does not sleep meanwhile: its own wake-ups would be a good part of what is measured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp_codec::{AsPathBuf, Asn, PathAttributes};

use super::load::{Cast, Plan, faults, load};
use super::{Bench, Failure, Outcome, Subject, settle};
use crate::daemon::{ASN, Kind, Peer};
use crate::engine::Engine;
use crate::feed;
use crate::lab::address;
use crate::path::ABSENT;
use crate::random::Random;
use crate::report::quantile;
use crate::session::Identity;
use crate::table::{Prefix, Table};
use crate::usage;

/// Time between two flaps: 2,000 a second. A flap is one UPDATE; every other one withdraws a prefix, the rest announce
/// one that was withdrawn 50 flaps before.
pub const FLAP_EVERY: Duration = Duration::from_micros(500);
/// The same of one peer that wants more than its share: 10,000 a second.
pub const CHANGE_EVERY: Duration = Duration::from_micros(100);
const DOWN: usize = 25;
/// Prefixes that flap in turn.
const FLAPPING: usize = 1_000;
/// A probe that is not seen by then is lost.
const PATIENCE: Duration = Duration::from_secs(5);
const FEEDER: usize = 0;
const RECEIVER: usize = 1;
const PROBER: usize = 2;

pub fn run(bench: &Bench, kind: Kind, every: Duration) -> Result<Outcome, Failure> {
    if kind == Kind::Nobody {
        return Err(Failure::Daemon("nobody is there to pass a probe on".to_owned()));
    }
    let table = bench.table(bench.pick(500_000, 50_000), bench.pick(85_000, 8_500))?;
    let mut plan = Plan::of(
        &Cast {
            senders: 1,
            receivers: 1,
            internal: false,
            mixed: false,
        },
        &table,
        kind,
    );
    plan.prefixes
        .push(Prefix::new(u32::from_be_bytes([198, 18, 7, 0]), 24));
    plan.paths.push(ABSENT);
    let asn = ASN + 1 + PROBER as u32;
    plan.identities.push(Identity {
        address: address(PROBER),
        asn,
        ..plan.identities[0].clone()
    });
    plan.peers.push(Peer {
        address: address(PROBER),
        asn,
        ..plan.peers[0].clone()
    });
    if let Some(next_hops) = &mut plan.rule.external {
        next_hops.push(address(PROBER));
    }
    let flaps = Flaps::new(&plan, &table, every);
    let mut subject = Subject::start(bench, kind, &plan.peers, || plan.stand_in(bench))?;
    measure(&plan, flaps, bench, &subject).map_err(|failure| subject.blame(failure))
}

fn measure(plan: &Plan, mut flaps: Flaps, bench: &Bench, subject: &Subject) -> Result<Outcome, Failure> {
    let mut engine = plan.engine()?;
    engine.sessions[PROBER].ledger = None;
    engine.establish(&[FEEDER, RECEIVER, PROBER], bench.limit)?;
    settle(&mut engine)?;
    let first = load(&mut engine, plan, bench, subject)?.outcome(&engine, subject);
    if first.complaint.is_some() {
        return Ok(first);
    }
    settle(&mut engine)?;
    subject.prepare(bench)?;
    let (cpu, start) = (subject.cpu_seconds(), Instant::now());
    let (own_cpu, queued) = (usage::own_cpu_seconds(), subject.queued_seconds());
    flaps.next = start;
    let (mut seen, lost) = probe(
        &mut engine,
        plan,
        &mut flaps,
        start + bench.pick(Duration::from_secs(15), Duration::from_secs(4)),
    )?;
    let wall_s = start.elapsed().as_secs_f64();
    let (cpu_s, own_cpu_s) = (subject.cpu_seconds() - cpu, usage::own_cpu_seconds() - own_cpu);
    let queued_s = subject.queued_seconds() - queued;
    flaps.finish(&mut engine);
    let settled = engine.run_until(bench.limit, "the table as it was", |engine| engine.complete());
    let mut complaint = settled
        .err()
        .map(|trouble| format!("{trouble}; {}", faults(&engine)));
    if lost > 0 {
        complaint = Some(format!("{lost} probes not seen within {} s", PATIENCE.as_secs()));
    }
    let mut at = |which: usize, part: f64| quantile(&mut seen[which], part).unwrap_or(f64::NAN) * 1e3;
    let figures = vec![
        ("announce_p50_ms", at(0, 0.5)),
        ("announce_p99_ms", at(0, 0.99)),
        ("withdraw_p50_ms", at(1, 0.5)),
        ("withdraw_p99_ms", at(1, 0.99)),
        ("cpu_percent", cpu_s / wall_s * 100.0),
        ("flaps_per_s", flaps.sent as f64 / wall_s),
        ("peak_mib", subject.memory_mib().0),
        ("generator_cpu_s", own_cpu_s),
        ("queued_s", queued_s),
    ];
    Ok(Outcome { figures, complaint })
}

/// Announces and withdraws the probe until `end`. Yields the seconds that each took, and how many were not seen.
fn probe(
    engine: &mut Engine,
    plan: &Plan,
    flaps: &mut Flaps,
    end: Instant,
) -> Result<([Vec<f64>; 2], usize), Failure> {
    let place = plan.prefixes.len() - 1;
    let prefix = &plan.prefixes[place..];
    let attributes = PathAttributes {
        as_path: AsPathBuf::from_sequence([Asn(plan.identities[PROBER].asn)]),
        ..PathAttributes::default()
    };
    let mut messages: [Vec<u8>; 2] = Default::default();
    feed::announce(&attributes, address(PROBER), prefix, &mut messages[0]);
    feed::withdraw(prefix, &mut messages[1]);
    let messages: [Arc<[u8]>; 2] = messages.map(Arc::from);
    if let Some(ledger) = &mut engine.sessions[RECEIVER].ledger {
        ledger.watch = place;
    }
    let (mut seen, mut lost, mut random) = ([Vec::new(), Vec::new()], 0, Random::new(5));
    let mut round = 0;
    while Instant::now() < end {
        // Not in step with the flaps.
        let pause = Instant::now() + Duration::from_micros(500 + u64::from(random.below(2_500)));
        while Instant::now() < pause {
            flaps.due(engine);
            engine.turn(Duration::ZERO)?;
        }
        let which = round % 2;
        round += 1;
        if let Some(ledger) = &mut engine.sessions[RECEIVER].ledger {
            ledger.watch_at = None;
        }
        let sent = Instant::now();
        engine.sessions[PROBER].send(&messages[which]);
        engine.flush(PROBER);
        loop {
            let watched = engine.sessions[RECEIVER]
                .ledger
                .as_ref()
                .and_then(|ledger| ledger.watch_at);
            if let Some(at) = watched {
                seen[which].push((at - sent).as_secs_f64());
                break;
            }
            if sent.elapsed() > PATIENCE {
                lost += 1;
                break;
            }
            flaps.due(engine);
            engine.turn(Duration::ZERO)?;
        }
        engine.all_alive()?;
    }
    // The probe ends withdrawn, as it began.
    if round % 2 == 1 {
        engine.sessions[PROBER].send(&messages[1]);
        engine.flush(PROBER);
    }
    Ok((seen, lost))
}

/// Prefixes of the feeder that come and go.
struct Flaps {
    /// Withdrawal and announcement of each.
    messages: Vec<[Arc<[u8]>; 2]>,
    every: Duration,
    next: Instant,
    sent: usize,
}

impl Flaps {
    fn new(plan: &Plan, table: &Table, every: Duration) -> Self {
        let step = (table.groups.len() / FLAPPING).max(1);
        let groups = (0..table.groups.len()).step_by(step);
        let messages = groups.map(|group| {
            let first = &table.prefixes[table.groups[group].start..][..1];
            let (mut down, mut up) = (Vec::new(), Vec::new());
            feed::withdraw(first, &mut down);
            feed::announce(
                &plan.feeds[FEEDER].attributes[group],
                plan.feeds[FEEDER].next_hop,
                first,
                &mut up,
            );
            [down.into(), up.into()]
        });
        Self {
            messages: messages.collect(),
            every,
            next: Instant::now(),
            sent: 0,
        }
    }

    /// Sends what is due.
    fn due(&mut self, engine: &mut Engine) {
        while Instant::now() >= self.next {
            self.next += self.every;
            self.send(engine);
        }
    }

    fn send(&mut self, engine: &mut Engine) {
        let (round, up) = (self.sent / 2, self.sent % 2);
        self.sent += 1;
        if let Some(round) = round.checked_sub(up * DOWN) {
            engine.sessions[FEEDER].send(&self.messages[round % self.messages.len()][up]);
            engine.flush(FEEDER);
        }
    }

    /// Announces what is still withdrawn.
    fn finish(&self, engine: &mut Engine) {
        let rounds = self.sent.div_ceil(2);
        for round in rounds.saturating_sub(DOWN + 1)..rounds {
            engine.sessions[FEEDER].send(&self.messages[round % self.messages.len()][1]);
        }
        engine.flush(FEEDER);
    }
}
