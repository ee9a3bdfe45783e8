//! Reloads of a running daemon over real sockets: from SIGHUP to the last UPDATE, and what the other peers notice of it.
//!
//! While the filters change, probe prefixes are announced anew two hundred times a second: peers that hear of them measure the
//! longest time between two UPDATEs, and a tenth of the peers, whose filter keeps the probes away, that between two KEEPALIVEs,
//! of which one a second is due.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use bgp_codec::{Family, FamilySet, NextHop, Nlri, PathAttributes, UpdateWriter, WriteContext};
use stonechat_bench_rib::route::Prefix;
use stonechat_bench_rib::tables::Table;

use crate::daemon::Daemon;
use crate::session::{PROBE, Session, Sessions};

const PEERS: usize = 100;
const ROUTES: usize = 100_000;
/// Peers from here on are not told of probes.
const QUIET: usize = 91;
/// The peer whose filter changes.
const ONE: usize = 1;
const PROBE_EVERY: Duration = Duration::from_millis(5);
const LIMIT: Duration = Duration::from_secs(60);
/// How long "nothing more comes" is waited for.
const CALM: Duration = Duration::from_secs(2);

pub fn run(stonechat: &Path) -> io::Result<()> {
    println!("reload: the daemon with {PEERS} peers that hold {ROUTES} routes; from SIGHUP on");
    let daemon = Daemon::start(stonechat, PEERS + 1, &|number| usual(number, "\"all\""))?;
    let mut bench = Bench {
        sessions: Sessions::establish(PEERS + 1)?,
        probe: 0,
        probed: Instant::now(),
    };
    let table = Table::new(ROUTES, ROUTES / 6);
    for buffer in table.encode(None, [10, 0, 0, 1].into(), 0) {
        bench.sessions.all[0].send(&buffer);
    }
    let begun = Instant::now();
    bench.wait("the first table", |all| told_all(all, 1..=PEERS, |at| at.announced))?;
    println!("  the first table: {:.2} s", begun.elapsed().as_secs_f64());
    bench.run("nothing (for comparison)", || Ok(Instant::now()), ONE..=ONE, |_| true)?;

    let short = table.runs.iter().flatten().filter(|prefix| prefix.prefix_len() >= 24).count() as u64;
    daemon.write(&|number| usual(number, if number == ONE { "\"short\", \"all\"" } else { "\"all\"" }))?;
    let what = format!("one peer, a filter that drops {short}");
    bench.run(&what, || daemon.hangup(), ONE..=ONE, |all| all[ONE].told.withdrawn == short)?;
    daemon.write(&|number| usual(number, "\"all\""))?;
    bench.run("and back", || daemon.hangup(), ONE..=ONE, |all| all[ONE].told.announced == short)?;
    let marked = |all: &[Session]| told_all(all, ONE..=ONE, |at| at.announced);
    daemon.write(&|number| usual(number, if number == ONE { "\"marked\"" } else { "\"all\"" }))?;
    bench.run("one peer, a filter that sets a community", || daemon.hangup(), ONE..=ONE, marked)?;
    daemon.write(&|number| usual(number, if number == ONE { "\"marked_again\"" } else { "\"all\"" }))?;
    bench.run("another community", || daemon.hangup(), ONE..=ONE, marked)?;
    daemon.write(&|number| usual(number, if number == ONE { "\"all\"" } else { "\"marked\"" }))?;
    let everybody = |all: &[Session]| told_all(all, 1..=PEERS, |at| at.announced);
    bench.run("all peers, a filter that sets a community", || daemon.hangup(), 1..=PEERS, everybody)?;

    bench.sessions.pass(CALM)?;
    bench.sessions.forget();
    let (took, text) = daemon.reload()?;
    bench.sessions.pass(CALM)?;
    let updates: u64 = bench.sessions.all.iter().map(|session| session.told.updates).sum();
    println!(
        "  the same file: answered after {:.0} ms ({text}), {updates} UPDATEs to all peers within {CALM:?}",
        took.as_secs_f64() * 1e3
    );
    if updates == 0 {
        Ok(())
    } else {
        Err(io::Error::other("the same file caused UPDATEs"))
    }
}

/// Who sends is sent nothing of it; some are kept from probes.
fn usual(number: usize, export: &str) -> &str {
    match (number >= QUIET, export) {
        (false, _) => export,
        (true, "\"marked\"") => "\"quiet\", \"marked\"",
        (true, _) => "\"quiet\", \"all\"",
    }
}

fn told_all(
    all: &[Session],
    which: std::ops::RangeInclusive<usize>,
    count: impl Fn(&crate::session::Told) -> u64,
) -> bool {
    all[which].iter().all(|session| count(&session.told) >= ROUTES as u64)
}

struct Bench {
    sessions: Sessions,
    probe: u32,
    probed: Instant,
}

impl Bench {
    /// One reload under churn: until the peers concerned have been told all, and a second more.
    fn run(
        &mut self,
        what: &str,
        reload: impl FnOnce() -> io::Result<Instant>,
        concerned: std::ops::RangeInclusive<usize>,
        done: impl Fn(&[Session]) -> bool,
    ) -> io::Result<()> {
        self.churn(Duration::from_millis(1_500))?;
        self.sessions.forget();
        let begun = reload()?;
        self.wait(what, &done)?;
        self.churn(Duration::from_millis(1_500))?;
        let all = &self.sessions.all;
        let last = all[concerned.clone()].iter().filter_map(|session| session.told.last).max();
        let last = last.map_or(0.0, |last| last.saturating_duration_since(begun).as_secs_f64());
        let others = |session: &(usize, &Session)| session.0 > 0 && !concerned.contains(&session.0);
        let numbered = || all.iter().enumerate();
        let probed = numbered().filter(|(number, _)| *number < QUIET).filter(others);
        let gap = probed.map(|(_, session)| session.told.update_gap).max();
        let quiet = numbered().filter(|(number, _)| *number >= QUIET);
        let silence = quiet.map(|(_, session)| session.told.silence).max();
        let strangers = numbered().filter(others).map(|(_, session)| {
            session.told.announced + session.told.withdrawn
        });
        let ms = |time: Option<Duration>| time.map_or("-".to_owned(), |time| format!("{:.1} ms", time.as_secs_f64() * 1e3));
        println!(
            "  {what}: last UPDATE after {last:.3} s; longest gap in others' UPDATEs {}, in KEEPALIVEs {}; \
             routes told to others: {}",
            ms(gap),
            ms(silence),
            strangers.sum::<u64>()
        );
        Ok(())
    }

    fn wait(&mut self, what: &str, done: impl Fn(&[Session]) -> bool) -> io::Result<()> {
        let begun = Instant::now();
        while !done(&self.sessions.all) {
            self.step()?;
            if begun.elapsed() > LIMIT {
                return Err(io::Error::other(format!("not in {LIMIT:?}: {what}")));
            }
        }
        Ok(())
    }

    fn churn(&mut self, time: Duration) -> io::Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.step()?;
        }
        Ok(())
    }

    /// A turn, and a probe when one is due.
    fn step(&mut self) -> io::Result<()> {
        if self.probed.elapsed() >= PROBE_EVERY {
            self.probed = Instant::now();
            self.probe += 1;
            let octets = probe(self.probe);
            self.sessions.all[0].send(&octets);
        }
        self.sessions.turn(1)
    }
}

fn probe(number: u32) -> Vec<u8> {
    let context = WriteContext {
        four_octet_asn: true,
        max_message: 4_096,
        add_path: FamilySet::EMPTY,
    };
    let attributes = PathAttributes {
        local_pref: Some(100),
        med: Some(number),
        ..PathAttributes::default()
    };
    let prefix = Prefix::new([PROBE, 0, (number % 200) as u8, 0].into(), 24).expect("a valid length");
    let next_hop = NextHop::V4([10, 0, 0, 1].into());
    let mut octets = Vec::new();
    UpdateWriter::new(&mut octets, context)
        .announce(Family::IPV4_UNICAST, &attributes, next_hop, vec![Nlri::new(prefix)])
        .expect("it fits");
    octets
}
