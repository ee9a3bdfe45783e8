//! What is measured, one function a scene.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::daemon::{Cost, Daemon, Kind};
use crate::lab::{Lab, PEERS, within};
use crate::netlink::{Netlink, Via, interface};
use crate::session::{Session, updates};

const STATIC: u8 = 4;
const PATIENCE: Duration = Duration::from_secs(120);
/// Prefixes looked at while waiting; only when all are as they should be is the whole table read.
const SAMPLES: usize = 8;
/// Routes there before the daemon starts.
const EARLY: u32 = 10_000;
/// Single routes added to a running daemon.
const SINGLE: u32 = 300;
/// A daemon whose configuration is wrong has ended by then.
const STARTS: Duration = Duration::from_millis(300);
/// How long a daemon is watched that has nothing to do.
const REST: Duration = Duration::from_secs(30);
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(5);

/// How much.
#[derive(Clone, Debug)]
pub struct Size {
    pub routes: u32,
    /// Routes in the table while single ones are imported.
    pub loaded: u32,
    pub stonechat: PathBuf,
}

/// How long something took, and what it cost the daemon.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    pub took: Duration,
    pub cost: Cost,
}

/// Half and 99 of 100 took at most this.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    pub p50: Duration,
    pub p99: Duration,
}

/// `count` prefixes of length 24 from 20.0.0.0 on.
fn prefixes(count: u32) -> Vec<(u32, u8)> {
    (0..count).map(|index| ((20 << 24) + (index << 8), 24)).collect()
}

/// `count` prefixes of length 32.
fn hosts(first_octet: u32, count: u32) -> Vec<(u32, u8)> {
    (0..count)
        .map(|index| ((first_octet << 24) + index, 32))
        .collect()
}

/// A lab with a daemon and a look into its table.
struct Scene {
    daemon: Daemon,
    table: Netlink,
    sessions: Vec<Option<Session>>,
    lab: Lab,
    before: Cost,
}

impl Scene {
    fn start(kind: Kind, size: &Size, what: &str, sessions: usize) -> Result<Self> {
        let lab = Lab::new(what)?;
        let table = within(&lab.dut(), Netlink::open)??;
        Self::start_in(lab, table, kind, size, sessions)
    }

    fn start_in(lab: Lab, table: Netlink, kind: Kind, size: &Size, sessions: usize) -> Result<Self> {
        let mut daemon = kind.start(&lab, &size.stonechat)?;
        std::thread::sleep(STARTS);
        daemon.check()?;
        let sessions = (0..sessions).map(|index| Session::connect(&lab.peers(), index).map(Some));
        let sessions = sessions.collect::<Result<_>>()?;
        Ok(Self {
            daemon,
            table,
            sessions,
            lab,
            before: Cost::default(),
        })
    }

    /// Lets the daemon come to rest before the clock starts.
    fn settle(&mut self) -> Result<()> {
        std::thread::sleep(Duration::from_millis(700));
        self.before = self.daemon.cost()?;
        Ok(())
    }

    /// All these sessions send their table at the same time; until all prefixes have so many next hops.
    fn announce(&mut self, prefixes: &[(u32, u8)], senders: &[usize]) -> Result<Work> {
        let tables: Vec<Vec<u8>> = senders.iter().map(|&index| updates(index, prefixes)).collect();
        self.settle()?;
        let start = Instant::now();
        let end = std::thread::scope(|scope| {
            let mut writers = Vec::new();
            for (index, session) in self.sessions.iter_mut().enumerate() {
                if let (Some(session), Some(place)) =
                    (session, senders.iter().position(|&sender| sender == index))
                {
                    let table = &tables[place];
                    writers.push(scope.spawn(move || session.send(table)));
                }
            }
            let end = wait(&mut self.table, prefixes, Some(senders.len()));
            for writer in writers {
                writer.join().expect("a writer does not panic")?;
            }
            end
        })?;
        self.work(start, end)
    }

    /// A session ends; until all prefixes have so many next hops.
    fn close(&mut self, index: usize, prefixes: &[(u32, u8)], hops: Option<usize>) -> Result<Work> {
        self.settle()?;
        let start = Instant::now();
        if let Some(session) = self.sessions[index].take() {
            session.close()?;
        }
        let end = wait(&mut self.table, prefixes, hops)?;
        self.work(start, end)
    }

    fn work(&self, start: Instant, end: Instant) -> Result<Work> {
        let cost = self.daemon.cost()?;
        let cpu = cost.cpu.saturating_sub(self.before.cpu);
        Ok(Work {
            took: end - start,
            cost: Cost {
                cpu,
                peak_kib: cost.peak_kib,
            },
        })
    }
}

/// One peer announces everything, and goes.
pub fn install(kind: Kind, size: &Size) -> Result<[Work; 2]> {
    let prefixes = prefixes(size.routes);
    let mut scene = Scene::start(kind, size, "install", 1)?;
    let install = scene.announce(&prefixes, &[0])?;
    let remove = scene.close(0, &prefixes, None)?;
    Ok([install, remove])
}

/// Two peers announce the same, and one goes.
pub fn multipath(kind: Kind, size: &Size) -> Result<[Work; 2]> {
    let prefixes = prefixes(size.routes);
    let mut scene = Scene::start(kind, size, "multipath", 2)?;
    let install = scene.announce(&prefixes, &[0, 1])?;
    let remove = scene.close(1, &prefixes, Some(1))?;
    Ok([install, remove])
}

/// Single kernel routes on their way to a peer, with `loaded` routes of another peer in the table.
pub fn import(kind: Kind, size: &Size, loaded: u32) -> Result<Latency> {
    let mut scene = Scene::start(kind, size, "import", 2)?;
    if loaded > 0 {
        scene.announce(&prefixes(loaded), &[1])?;
    }
    scene.settle()?;
    let via =
        within(&scene.lab.dut(), || interface("d0"))?.map(|index| Via::Gateway(PEERS[0].into(), index))?;
    let Some(session) = &scene.sessions[0] else {
        bail!("no session")
    };
    let mut times = Vec::new();
    for prefix in hosts(30, SINGLE) {
        let start = Instant::now();
        scene.table.change(true, &[prefix], STATIC, via)?;
        let heard = loop {
            let heard = session.hear()?;
            if heard.prefixes.contains(&prefix) {
                break heard;
            }
        };
        times.push(heard.at - start);
        std::thread::sleep(PAUSE);
    }
    times.sort_unstable();
    Ok(Latency {
        p50: times[times.len() / 2],
        p99: times[times.len() * 99 / 100],
    })
}

/// From Established until the last of the routes that were there before the daemon is at the peer: the daemon has been up
/// for a while, and the peer connects as soon as it can.
pub fn early(kind: Kind, size: &Size) -> Result<[Duration; 2]> {
    let mut results = [Duration::ZERO; 2];
    for (late, result) in [true, false].into_iter().zip(&mut results) {
        let lab = Lab::new("early")?;
        let mut table = within(&lab.dut(), Netlink::open)??;
        let early = hosts(40, EARLY);
        table.change(true, &early, STATIC, Via::Blackhole)?;
        let daemon = kind.start(&lab, &size.stonechat)?;
        if late {
            std::thread::sleep(Duration::from_secs(2));
        }
        let session = Session::connect(&lab.peers(), 0)?;
        let mut missing: std::collections::BTreeSet<(u32, u8)> = early.into_iter().collect();
        while !missing.is_empty() {
            let heard = session.hear()?;
            for prefix in &heard.prefixes {
                missing.remove(prefix);
            }
            *result = heard.at.saturating_duration_since(session.established);
        }
        drop(daemon);
    }
    Ok(results)
}

/// What a daemon costs that has nothing to do.
#[derive(Clone, Copy, Debug)]
pub struct Rest {
    pub rss_kib: u64,
    /// Of a core, in percent.
    pub cpu: f64,
    /// Times a second that it woke.
    pub wakes: f64,
}

/// Every peer is up, with its share of 500 routes.
pub fn idle(kind: Kind, size: &Size) -> Result<Rest> {
    let mut scene = Scene::start(kind, size, "idle", PEERS.len())?;
    let prefixes = prefixes(500);
    for (index, share) in prefixes.chunks(500 / PEERS.len()).enumerate() {
        scene.announce(share, &[index])?;
    }
    std::thread::sleep(Duration::from_secs(2));
    let (cpu, (_, woken), start) = (scene.daemon.cost()?.cpu, scene.daemon.rest()?, Instant::now());
    std::thread::sleep(REST);
    let (rss_kib, wakes) = scene.daemon.rest()?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(Rest {
        rss_kib,
        cpu: (scene.daemon.cost()?.cpu - cpu).as_secs_f64() / seconds * 100.0,
        wakes: (wakes - woken) as f64 / seconds,
    })
}

/// What netlink itself takes, nobody listening: plain, with a nexthop object, with a group of two; removal; a dump.
pub fn raw(size: &Size) -> Result<Vec<(&'static str, Duration)>> {
    let lab = Lab::new("raw")?;
    let prefixes = prefixes(size.routes);
    within(&lab.dut(), move || {
        let mut netlink = Netlink::open()?;
        let gateways: Vec<(Ipv4Addr, u32)> = vec![
            (PEERS[0].into(), interface("d0")?),
            (PEERS[1].into(), interface("d1")?),
        ];
        netlink.add_nexthop(1, Some(gateways[0]), &[])?;
        netlink.add_nexthop(2, Some(gateways[1]), &[])?;
        netlink.add_nexthop(3, None, &[1, 2])?;
        let mut results = Vec::new();
        for (what, via) in [
            ("plain", Via::Gateway(gateways[0].0, gateways[0].1)),
            ("nexthop object", Via::Nexthop(1)),
            ("nexthop group of 2", Via::Nexthop(3)),
        ] {
            let start = Instant::now();
            netlink.change(true, &prefixes, STATIC, via)?;
            results.push((what, start.elapsed()));
            let start = Instant::now();
            let mut count = 0;
            netlink.dump(|_| count += 1)?;
            if what == "plain" {
                results.push(("dump", start.elapsed()));
            }
            let start = Instant::now();
            netlink.change(false, &prefixes, STATIC, via)?;
            if what == "plain" {
                results.push(("remove", start.elapsed()));
            }
            if count < prefixes.len() {
                bail!("the dump shows {count} routes");
            }
        }
        Ok(results)
    })?
}

/// Waits until every prefix has so many next hops, or for none is gone; when that was seen.
fn wait(table: &mut Netlink, prefixes: &[(u32, u8)], hops: Option<usize>) -> Result<Instant> {
    let deadline = Instant::now() + PATIENCE;
    let spread = (0..SAMPLES).map(|part| prefixes[prefixes.len() * part / SAMPLES]);
    let mut samples: Vec<(u32, u8)> = spread.chain(prefixes.last().copied()).collect();
    loop {
        let seen = Instant::now();
        if seen > deadline {
            bail!(
                "the table is not as expected; {:?} is not, for one",
                samples.last()
            );
        }
        while let Some(&prefix) = samples.last() {
            if table.has(prefix)?.map(|route| route.hops) != hops {
                break;
            }
            samples.pop();
        }
        if !samples.is_empty() {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        let mut found = vec![None; prefixes.len()];
        let first = prefixes[0].0;
        table.dump(|route| {
            let place = (route.prefix.0.wrapping_sub(first) >> 8) as usize;
            if let Some(place) = found.get_mut(place).filter(|_| route.prefix.1 == 24) {
                *place = Some(route.hops);
            }
        })?;
        let wrong = found.iter().zip(prefixes).filter(|(found, _)| **found != hops);
        samples = wrong.map(|(_, prefix)| *prefix).collect();
        if samples.is_empty() {
            return Ok(seen);
        }
        // A handful, spread over what is left.
        let step = samples.len().div_ceil(SAMPLES);
        samples = samples.into_iter().step_by(step).collect();
    }
}
