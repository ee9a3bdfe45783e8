//! F: a receiver goes and comes back while the daemon holds a table. The clock starts when its new session is
//! Established.

use std::time::Duration;

use super::load::{Cast, Plan, faults, load};
use super::{Bench, Failure, Outcome, Subject, settle};
use crate::daemon::Kind;
use crate::usage;

/// How long the receiver stays away.
const AWAY: Duration = Duration::from_secs(1);
/// The receiver's place among the sessions.
const RECEIVER: usize = 1;

pub fn run(bench: &Bench, kind: Kind) -> Result<Outcome, Failure> {
    let table = bench.table(bench.pick(500_000, 50_000), bench.pick(85_000, 8_500))?;
    let plan = Plan::of(
        &Cast {
            senders: 1,
            receivers: 1,
            internal: false,
            mixed: false,
        },
        &table,
        kind,
    );
    let mut subject = Subject::start(bench, kind, &plan.peers, || plan.stand_in(bench))?;
    measure(&plan, bench, &subject).map_err(|failure| subject.blame(failure))
}

fn measure(plan: &Plan, bench: &Bench, subject: &Subject) -> Result<Outcome, Failure> {
    let mut engine = plan.engine()?;
    engine.establish(&[0, RECEIVER], bench.limit)?;
    settle(&mut engine)?;
    let first = load(&mut engine, plan, bench, subject)?.outcome(&engine, subject);
    if first.complaint.is_some() {
        return Ok(first);
    }
    engine.close(RECEIVER);
    engine.run_for(AWAY)?;
    let mut before = (0, 0);
    if let Some(ledger) = &mut engine.sessions[RECEIVER].ledger {
        before = (ledger.updates, ledger.octets);
        ledger.forget(&engine.expected);
    }
    subject.prepare(bench)?;
    let queued = subject.queued_seconds();
    let (cpu, own_cpu) = (subject.cpu_seconds(), usage::own_cpu_seconds());
    let connect = engine.establish(&[RECEIVER], bench.limit)?;
    let came = engine.run_until(bench.limit, "the table again", |engine| engine.complete());
    let (cpu_s, own_cpu_s) = (subject.cpu_seconds() - cpu, usage::own_cpu_seconds() - own_cpu);
    let queued_s = subject.queued_seconds() - queued;
    let complaint = came
        .err()
        .map(|trouble| format!("{trouble}; {}", faults(&engine)));
    let session = &engine.sessions[RECEIVER];
    let ledger = session
        .ledger
        .as_ref()
        .ok_or_else(|| Failure::Daemon("no receiver".to_owned()))?;
    let wall = session
        .established_at
        .zip(ledger.complete_at)
        .map(|(start, end)| end.saturating_duration_since(start));
    let (peak_mib, now_mib) = subject.memory_mib();
    let figures = vec![
        ("wall_s", wall.unwrap_or(bench.limit).as_secs_f64()),
        ("cpu_s", cpu_s),
        ("peak_mib", peak_mib),
        ("updates", (ledger.updates - before.0) as f64),
        ("wire_mib", (ledger.octets - before.1) as f64 / (1 << 20) as f64),
        ("rss_mib", now_mib),
        ("generator_cpu_s", own_cpu_s),
        ("queued_s", queued_s),
        ("connect_s", connect.as_secs_f64()),
    ];
    Ok(Outcome { figures, complaint })
}
