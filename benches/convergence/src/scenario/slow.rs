//! S: one of many receivers hardly reads, or not at all, while the table churns. What does it cost the daemon, and do the
//! others notice?

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::load::{Cast, Plan, faults, load};
use super::{Bench, Failure, Outcome, Subject, settle};
use crate::daemon::Kind;
use crate::engine::Engine;
use crate::feed;
use crate::path::Rule;
use crate::report::quantile;
use crate::session::State;
use crate::table::{Prefix, Table};

/// Time between two changes: 2,000 a second.
const CHANGE_EVERY: Duration = Duration::from_micros(500);
/// Prefixes that change in turn.
const CHANGING: usize = 10_000;
/// Time between two changes of the prefix whose way is timed.
const PROBE_EVERY: Duration = Duration::from_millis(50);
/// How the slow one reads: so many octets each time.
const SIP_EVERY: Duration = Duration::from_millis(100);
const SIP: usize = 102;
/// Churn while all read: what is normal, and memory at its plateau.
const NORMAL: Duration = Duration::from_secs(10);
const FEEDER: usize = 0;
const PROBER: usize = 1;

/// What passes through while the clock runs.
struct Churn {
    /// Two versions of each changing prefix.
    messages: Vec<[Arc<[u8]>; 2]>,
    /// Two versions of the probe, with the number of its path.
    probe: [(Arc<[u8]>, u32); 2],
    place: usize,
    sent: usize,
    probes: usize,
}

/// What was seen of one stretch of churn.
struct Stretch {
    /// Seconds from a probe's departure to its arrival, for each receiver that reads.
    lags: Vec<f64>,
    rss_mib: f64,
    read: usize,
}

pub fn run(bench: &Bench, kind: Kind) -> Result<Outcome, Failure> {
    if kind == Kind::Nobody {
        return Err(Failure::Daemon(
            "nobody is there to serve a slow reader".to_owned(),
        ));
    }
    let table = bench.table(bench.pick(100_000, 20_000), bench.pick(17_000, 3_400))?;
    let cast = Cast {
        senders: 2,
        receivers: bench.pick(100, 20),
        internal: true,
        mixed: false,
    };
    let mut plan = Plan::of(&cast, &table, kind);
    if let Some(last) = plan.identities.last_mut() {
        last.slow = true;
    }
    if let Some(last) = plan.peers.last_mut() {
        last.endless = !bench.sips;
    }
    let churn = Churn::new(&plan, &table);
    let mut subject = Subject::start(bench, kind, &plan.peers, || plan.stand_in(bench))?;
    measure(&plan, churn, bench, &subject).map_err(|failure| subject.blame(failure))
}

fn measure(plan: &Plan, mut churn: Churn, bench: &Bench, subject: &Subject) -> Result<Outcome, Failure> {
    let mut engine = plan.engine()?;
    let all: Vec<usize> = (0..plan.identities.len()).collect();
    engine.establish(&all, bench.limit)?;
    settle(&mut engine)?;
    let first = load(&mut engine, plan, bench, subject)?.outcome(&engine, subject);
    if first.complaint.is_some() {
        return Ok(first);
    }
    subject.prepare(bench)?;
    let slow = all.len() - 1;
    let mut normal = churn.stretch(&mut engine, NORMAL.min(bench.duration), None, subject)?;
    engine.throttle(slow, true);
    let mut lame = churn.stretch(&mut engine, bench.duration, Some((slow, bench.sips)), subject)?;
    let lost = matches!(engine.sessions[slow].state, State::Ended(_));
    let mut complaint = lost.then(|| format!("the slow session ended: {:?}", engine.sessions[slow].state));
    if !lost {
        engine.throttle(slow, false);
        churn.finish(&mut engine);
        let came = engine.run_until(bench.limit, "the slow one catches up", |engine| engine.complete());
        complaint = came
            .err()
            .map(|trouble| format!("{trouble}; {}", faults(&engine)));
    }
    let at = |stretch: &mut Stretch, part: f64| quantile(&mut stretch.lags, part).unwrap_or(f64::NAN) * 1e3;
    let figures = vec![
        ("rss_growth_mib", lame.rss_mib - normal.rss_mib),
        ("lag_p50_ms", at(&mut lame, 0.5)),
        ("lag_p99_ms", at(&mut lame, 0.99)),
        ("lag_max_ms", at(&mut lame, 1.0)),
        ("normal_p50_ms", at(&mut normal, 0.5)),
        ("normal_p99_ms", at(&mut normal, 0.99)),
        ("normal_max_ms", at(&mut normal, 1.0)),
        ("read_by_slow", lame.read as f64),
        ("peak_mib", subject.memory_mib().0),
        ("rss_mib", lame.rss_mib),
        ("seconds", bench.duration.as_secs_f64()),
    ];
    Ok(Outcome { figures, complaint })
}

impl Churn {
    fn new(plan: &Plan, table: &Table) -> Self {
        let (feeder, rule) = (&plan.feeds[FEEDER], &plan.rule);
        // The feeder has every other group; the last prefix of the other sender is the probe.
        let mut changing = Vec::new();
        for group in (0..table.groups.len()).step_by(2) {
            changing.extend(table.groups[group].clone().map(|place| (group, place)));
        }
        changing.truncate(CHANGING);
        let messages = changing.iter().map(|(group, place)| {
            versions(feeder, *group, &table.prefixes[*place..][..1], rule).map(|(message, _)| message)
        });
        let last = (1..table.groups.len()).step_by(2).last().unwrap_or(1);
        let place = table.groups[last].start;
        let probe = versions(&plan.feeds[PROBER], last, &table.prefixes[place..][..1], rule);
        Self {
            messages: messages.collect(),
            probe,
            place,
            sent: 0,
            probes: 0,
        }
    }

    /// Churns for a while; a throttled session takes its sips, if it may.
    fn stretch(
        &mut self,
        engine: &mut Engine,
        time: Duration,
        slow: Option<(usize, bool)>,
        subject: &Subject,
    ) -> Result<Stretch, Failure> {
        let start = Instant::now();
        let (mut next_change, mut next_probe, mut next_sip) = (start, start, start);
        let mut stretch = Stretch {
            lags: Vec::new(),
            rss_mib: 0.0,
            read: 0,
        };
        let mut departed = None;
        while start.elapsed() < time {
            let now = Instant::now();
            while now >= next_change {
                next_change += CHANGE_EVERY;
                let version = (self.sent / self.messages.len() + 1) % 2;
                engine.sessions[FEEDER].send(&self.messages[self.sent % self.messages.len()][version]);
                self.sent += 1;
            }
            engine.flush(FEEDER);
            if now >= next_probe {
                next_probe += PROBE_EVERY;
                self.collect(engine, departed, slow, &mut stretch.lags);
                departed = Some(self.depart(engine));
            }
            if let Some((at, true)) = slow
                && now >= next_sip
            {
                next_sip += SIP_EVERY;
                stretch.read += engine.sip(at, SIP);
            }
            engine.turn(Duration::from_millis(1))?;
            let ended = |(at, session): (usize, &crate::session::Session)| {
                matches!(session.state, State::Ended(_)) && slow.is_none_or(|(slow, _)| slow != at)
            };
            if engine.sessions.iter().enumerate().any(ended) {
                engine.all_alive()?;
            }
        }
        engine.flush(FEEDER);
        stretch.rss_mib = subject.memory_mib().1;
        Ok(stretch)
    }

    /// Sends the probe's other version.
    fn depart(&mut self, engine: &mut Engine) -> Instant {
        self.probes += 1;
        for session in &mut engine.sessions {
            if let Some(ledger) = &mut session.ledger {
                ledger.watch = self.place;
                ledger.watch_at = None;
            }
        }
        let now = Instant::now();
        engine.sessions[PROBER].send(&self.probe[self.probes % 2].0);
        engine.flush(PROBER);
        now
    }

    /// When the last probe came to each receiver; one that did not come has taken as long as it was waited for.
    fn collect(
        &self,
        engine: &Engine,
        departed: Option<Instant>,
        slow: Option<(usize, bool)>,
        lags: &mut Vec<f64>,
    ) {
        let Some(departed) = departed else { return };
        let now = Instant::now();
        for (at, session) in engine.sessions.iter().enumerate() {
            if slow.is_some_and(|(slow, _)| slow == at) {
                continue;
            }
            if let Some(ledger) = &session.ledger {
                let came = ledger.held(self.place) == self.probe[self.probes % 2].1;
                let seen = ledger.watch_at.filter(|_| came).unwrap_or(now);
                lags.push((seen - departed).as_secs_f64());
            }
        }
    }

    /// Puts everything back to how it began.
    fn finish(&self, engine: &mut Engine) {
        for message in &self.messages {
            engine.sessions[FEEDER].send(&message[0]);
        }
        engine.sessions[PROBER].send(&self.probe[0].0);
        engine.flush(FEEDER);
        engine.flush(PROBER);
    }
}

/// A prefix as the table has it, and with another MED.
fn versions(feed: &feed::Feed, group: usize, prefix: &[Prefix], rule: &Rule) -> [(Arc<[u8]>, u32); 2] {
    [None, Some(4_242)].map(|med| {
        let mut attributes = feed.attributes[group].clone();
        attributes.med = med.or(attributes.med);
        let mut message = Vec::new();
        feed::announce(&attributes, feed.next_hop, prefix, &mut message);
        (message.into(), feed::path(&attributes, feed.next_hop, rule))
    })
}
