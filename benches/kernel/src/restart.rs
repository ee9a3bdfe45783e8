//! Packets lost while the daemon restarts: a probe both ways, 100 a second, over routes that it announced and installed.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::daemon::{Daemon, spawn_helper, start_again, take_over, write_restart_config};
use crate::lab::{Lab, within};
use crate::netlink::{Netlink, Via};

const STATIC: u8 = 4;
const PROBE_INTERVAL: Duration = Duration::from_millis(10);
/// Long enough for a helper that waits, and for a deferral that does not end.
const AFTERMATH: Duration = Duration::from_secs(15);
/// Behind the helper, and behind the daemon.
const FAR: Ipv4Addr = Ipv4Addr::new(50, 0, 0, 1);
const NEAR: Ipv4Addr = Ipv4Addr::new(60, 0, 0, 1);

/// One way of restarting, and what it lost: outbound and inbound.
pub struct Loss {
    pub what: &'static str,
    pub sent: [usize; 2],
    pub lost: [usize; 2],
}

/// SIGTERM, SIGKILL, a reload, an upgrade and a takeover, one after the other on the same daemon.
pub fn losses(program: &Path, helper: &'static str, routes: u32) -> Result<Vec<Loss>> {
    let lab = Lab::new("restart")?;
    for (namespace, address) in [(lab.dut(), NEAR), (lab.peers(), FAR)] {
        let status = Command::new("ip")
            .args([
                "-n",
                &namespace,
                "address",
                "add",
                &format!("{address}/32"),
                "dev",
                "lo",
            ])
            .status()?;
        if !status.success() {
            bail!("no address {address}");
        }
    }
    let peers = lab.peers();
    within(&peers, move || -> Result<()> {
        let far: Vec<(u32, u8)> = (0..routes).map(|index| ((20 << 24) + (index << 8), 24)).collect();
        Netlink::open()?.change(true, &far, STATIC, Via::Blackhole)
    })??;
    let _helper = spawn_helper(&lab, helper, FAR)?;
    let config = write_restart_config(&lab, NEAR, "")?;
    let mut daemon = start_again(&lab, program, &config)?;
    await_routes(&lab, &mut daemon, routes)?;
    let mut losses = Vec::new();
    for (what, signal) in [
        ("SIGTERM + start", Signal::SIGTERM),
        ("SIGKILL + start", Signal::SIGKILL),
    ] {
        losses.push(measure(&lab, what, || {
            daemon.end(signal)?;
            daemon = start_again(&lab, program, &config)?;
            Ok(())
        })?);
    }
    losses.push(measure(&lab, "reload", || {
        write_restart_config(
            &lab,
            NEAR,
            "[[originate]]\nname = \"more\"\nprefixes = [\"60.0.1.0/24\"]\n",
        )?;
        kill(Pid::from_raw(daemon.pid()), Signal::SIGHUP)?;
        Ok(())
    })?);
    let upgraded = lab.directory.join("upgraded");
    std::fs::copy(program, &upgraded)?;
    losses.push(measure(&lab, "binary upgrade", || {
        daemon.end(Signal::SIGTERM)?;
        daemon = start_again(&lab, &upgraded, &config)?;
        Ok(())
    })?);
    losses.push(measure(&lab, "takeover", || {
        daemon = take_over(&lab, program, &config, &mut daemon)?;
        Ok(())
    })?);
    await_routes(&lab, &mut daemon, routes)?;
    Ok(losses)
}

fn measure(lab: &Lab, what: &'static str, event: impl FnOnce() -> Result<()>) -> Result<Loss> {
    let probes = [
        Probe::start(&lab.dut(), &lab.peers(), FAR, 7001)?,
        Probe::start(&lab.peers(), &lab.dut(), NEAR, 7002)?,
    ];
    std::thread::sleep(Duration::from_secs(1));
    event()?;
    std::thread::sleep(AFTERMATH);
    let (mut sent, mut lost) = ([0; 2], [0; 2]);
    for (place, probe) in probes.into_iter().enumerate() {
        (sent[place], lost[place]) = probe.stop();
    }
    Ok(Loss { what, sent, lost })
}

/// Waits until the daemon's table has what the helper announces, and the helper's what the daemon does.
fn await_routes(lab: &Lab, daemon: &mut Daemon, routes: u32) -> Result<()> {
    let mut dut = within(&lab.dut(), Netlink::open)??;
    let mut peers = within(&lab.peers(), Netlink::open)??;
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        daemon.check()?;
        let mut count = 0;
        dut.dump(|route| count += u32::from(route.prefix.0 >> 24 == 20))?;
        if count == routes && dut.has((FAR.into(), 32))?.is_some() && peers.has((NEAR.into(), 32))?.is_some()
        {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("{count} of {routes} routes are there");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Packets with numbers, and who counts them at the other end.
struct Probe {
    /// The sender's, and the counter's.
    stop: [Arc<AtomicBool>; 2],
    received: Arc<AtomicUsize>,
    sender: JoinHandle<usize>,
    counter: JoinHandle<()>,
}

impl Probe {
    fn start(from: &str, to: &str, address: Ipv4Addr, port: u16) -> Result<Self> {
        let sink = within(to, move || UdpSocket::bind((address, port)))??;
        sink.set_read_timeout(Some(Duration::from_millis(200)))?;
        let source = within(from, || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))??;
        let stop = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let received = Arc::new(AtomicUsize::new(0));
        let (stopped, count) = (Arc::clone(&stop[1]), Arc::clone(&received));
        let counter = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if sink.recv(&mut [0; 16]).is_ok() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let stopped = Arc::clone(&stop[0]);
        let sender = std::thread::spawn(move || {
            let mut sent = 0;
            let mut next = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                // A packet for which there is no route is lost as well.
                source.send_to(b"probe", SocketAddr::from((address, port))).ok();
                sent += 1;
                next += PROBE_INTERVAL;
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            sent
        });
        Ok(Self {
            stop,
            received,
            sender,
            counter,
        })
    }

    /// How many were sent, and how many of them were lost.
    fn stop(self) -> (usize, usize) {
        // The sender ends first, so that the last packets are still counted.
        let Self {
            stop: [sending, counting],
            received,
            sender,
            counter,
        } = self;
        sending.store(true, Ordering::Relaxed);
        let sent = sender.join().expect("the sender does not panic");
        std::thread::sleep(Duration::from_millis(300));
        counting.store(true, Ordering::Relaxed);
        counter.join().expect("the counter does not panic");
        (sent, sent - received.load(Ordering::Relaxed))
    }
}
