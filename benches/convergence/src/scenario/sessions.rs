//! N: a thousand sessions with a short hold time come up at once, a whole table is sent to all of them, then it churns.
//! Are KEEPALIVEs in time, and does every session stay?

use std::time::{Duration, Instant};

use super::load::{Cast, Plan, faults, load};
use super::{Bench, Failure, Outcome, Subject, settle};
use crate::daemon::Kind;
use crate::engine::Engine;
use crate::feed;
use crate::ledger::Ledger;
use crate::report::quantile;
use crate::table::Table;

const HOLD_TIME_S: u16 = 9;
/// RFC 4271 §10: a third of the hold time lies between KEEPALIVEs.
const INTERVAL_S: f64 = 3.0;
/// Time between two changes: 200 a second, each to every session.
const CHANGE_EVERY: Duration = Duration::from_millis(5);
const FEEDER: usize = 0;

pub fn run(bench: &Bench, kind: Kind) -> Result<Outcome, Failure> {
    let table = bench.table(bench.pick(1_000_000, 100_000), bench.pick(170_000, 17_000))?;
    let cast = Cast {
        senders: 1,
        receivers: bench.pick(1_000, 200),
        internal: true,
        mixed: false,
    };
    let mut plan = Plan::of(&cast, &table, kind);
    for identity in &mut plan.identities {
        identity.hold_time_s = HOLD_TIME_S;
    }
    let mut subject = Subject::start(bench, kind, &plan.peers, || plan.stand_in(bench))?;
    measure(&plan, &table, bench, &subject).map_err(|failure| subject.blame(failure))
}

fn measure(plan: &Plan, table: &Table, bench: &Bench, subject: &Subject) -> Result<Outcome, Failure> {
    let mut engine = plan.engine_with(|expected, _| Ledger::sum_only(expected))?;
    let all: Vec<usize> = (0..plan.identities.len()).collect();
    let connects = engine.establish(&all, bench.limit)?;
    // Two intervals of nothing but KEEPALIVEs.
    engine.run_for(Duration::from_secs(2 * u64::from(HOLD_TIME_S) / 3))?;
    settle(&mut engine)?;
    let mut quiet = lateness(&mut engine);
    subject.prepare(bench)?;
    let mut outcome = load(&mut engine, plan, bench, subject)?.outcome(&engine, subject);
    let mut busy = lateness(&mut engine);
    let came = churn(&mut engine, plan, table, bench);
    let mut churned = lateness(&mut engine);
    if let Err(failure) = came {
        let Failure::Daemon(text) = failure else {
            return Err(failure);
        };
        outcome
            .complaint
            .get_or_insert_default()
            .push_str(&format!("under churn: {text}; {}", faults(&engine)));
    }
    let late = |of: &mut Vec<f64>, part| quantile(of, part).unwrap_or(f64::NAN) * 1e3;
    outcome.figures.insert(0, ("establish_s", connects.as_secs_f64()));
    outcome.figures.extend([
        ("late_idle_p999_ms", late(&mut quiet, 0.999)),
        ("late_load_p50_ms", late(&mut busy, 0.5)),
        ("late_load_p999_ms", late(&mut busy, 0.999)),
        ("late_load_max_ms", late(&mut busy, 1.0)),
        ("late_churn_p999_ms", late(&mut churned, 0.999)),
        ("late_churn_max_ms", late(&mut churned, 1.0)),
        ("keepalives", (quiet.len() + busy.len() + churned.len()) as f64),
    ]);
    Ok(outcome)
}

/// By how many seconds the daemon's messages came after they were due, since the last time this was asked; negative where
/// they came early, as a third of the hold time less jitter allows.
fn lateness(engine: &mut Engine) -> Vec<f64> {
    let silences = engine
        .sessions
        .iter_mut()
        .flat_map(|session| std::mem::take(&mut session.heartbeat.silences));
    silences.map(|silence| silence - INTERVAL_S).collect()
}

/// Prefixes change one after the other; the sessions are to be there at the end.
fn churn(engine: &mut Engine, plan: &Plan, table: &Table, bench: &Bench) -> Result<(), Failure> {
    let start = Instant::now();
    let (mut next, mut round) = (start, 0);
    while start.elapsed() < bench.duration {
        while Instant::now() >= next {
            next += CHANGE_EVERY;
            let group = round % table.groups.len();
            let mut attributes = plan.feeds[FEEDER].attributes[group].clone();
            attributes.med = Some(round as u32);
            let mut message = Vec::new();
            let first = &table.prefixes[table.groups[group].start..][..1];
            feed::announce(&attributes, plan.feeds[FEEDER].next_hop, first, &mut message);
            engine.sessions[FEEDER].send(&message.into());
            engine.flush(FEEDER);
            round += 1;
        }
        engine.turn(Duration::from_millis(2))?;
        engine.all_alive()?;
    }
    Ok(())
}
