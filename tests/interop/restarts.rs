//! Restarts of every kind under a probe both ways, a hundred packets a second: BIRD is the helper, and nothing is lost.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::lab::bird::{Bird, Version};
use crate::lab::speaker::Speaker;
use crate::lab::stonechat::Stonechat;
use crate::lab::wait::holds_for;
use crate::lab::{Lab, Namespace, Need, await_until, skipped};
use crate::pair::{LEFT, Pair, RIGHT};

const INTERVAL: Duration = Duration::from_millis(10);
/// How long the probe goes on when everything is up again: stale routes go, if they go, at the End-of-RIB.
const AFTERMATH: Duration = Duration::from_millis(500);
/// Behind Stonechat, and behind BIRD.
const NEAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

#[test]
fn no_packet_is_lost_across_restarts_reloads_and_upgrades() {
    if skipped(&[Need::Bird2]) {
        return;
    }
    let lab = Lab::new();
    let pair = Pair::build(&lab);
    pair.left.ip(&format!("address add {NEAR}/32 dev lo"));
    pair.right.ip(&format!("address add {FAR}/32 dev lo"));
    let _bird = Bird::start(&lab, &pair.right, Version::Two, &helper());
    let mut stonechat = Stonechat::start(&lab, &pair.left, &config(""));
    await_until("both kernels have the other's address", || {
        let there = |namespace: &Namespace, address: Ipv4Addr| {
            let found = namespace
                .routes("-4")
                .iter()
                .any(|route| route["dst"] == address.to_string());
            if found {
                Ok(())
            } else {
                Err(format!("{address} is not in {}", namespace.name()))
            }
        };
        there(&pair.left, FAR)?;
        there(&pair.right, NEAR)
    });

    check("SIGTERM and start", &pair, &mut stonechat, |stonechat| {
        assert!(stonechat.end(Signal::SIGTERM).success());
        stonechat.start_again();
    });
    check("SIGKILL and start", &pair, &mut stonechat, |stonechat| {
        stonechat.end(Signal::SIGKILL);
        stonechat.start_again();
    });
    check("a reload", &pair, &mut stonechat, |stonechat| {
        stonechat.write_config(&config(
            "[[originate]]\nname = \"more\"\nprefixes = [\"10.9.0.0/16\"]\n",
        ));
        stonechat.cli("reload").expect_success();
    });
    reset_by_a_reload(&pair, &stonechat);
    // Whoever connects while one daemon hands over to the next waits, and is not refused.
    let knocking = Knocking::start(&pair.right);
    check("a takeover", &pair, &mut stonechat, Stonechat::take_over);
    let (knocks, refused) = knocking.stop();
    assert!(
        knocks > 20 && refused == 0,
        "{refused} of {knocks} connections were refused"
    );
    let log = stonechat.log();
    assert!(log.contains("a successor takes over"), "{log}");
}

/// What the event loses, from before it until some time after the session is up again.
fn check(what: &str, pair: &Pair, stonechat: &mut Stonechat, event: impl FnOnce(&mut Stonechat)) {
    let probes = [
        Probe::start((&pair.left, &pair.right), FAR),
        Probe::start((&pair.right, &pair.left), NEAR),
    ];
    event(stonechat);
    // A helper flushes when the next restart begins before the last one's End-of-RIB, RFC 4724 §4.2.
    await_until(&format!("routes are selected again after {what}"), || {
        stonechat.established(RIGHT)?;
        is_selecting(&stonechat.log())
    });
    holds_for(AFTERMATH, &format!("the session is up after {what}"), || {
        stonechat.established(RIGHT)
    });
    for (direction, probe) in ["out", "in"].into_iter().zip(probes) {
        let (sent, received) = probe.stop();
        assert!(sent > 50, "{what}: the probe sent {sent} packets");
        assert_eq!(
            sent - received,
            0,
            "{what}: packets lost on the way {direction}, of {sent}"
        );
    }
}

/// BIRD has no N bit (RFC 8538), so that a NOTIFICATION would make it flush. What it holds of us stays; its own OPEN has the
/// F bit clear, as always unless it was started with `-R`, and so RFC 4724 §4.2 has us learn its routes anew.
fn reset_by_a_reload(pair: &Pair, stonechat: &Stonechat) {
    let inward = Probe::start((&pair.right, &pair.left), NEAR);
    let flaps = || stonechat.json("peer right").unwrap_or_default()["flaps"].as_u64();
    let before = flaps();
    let resets = config("").replace(
        "asn = 64512\nconnect",
        "asn = 64512\nextended_message = false\nconnect",
    );
    stonechat.write_config(&resets);
    let plan = stonechat.cli("reload").expect_success();
    assert!(
        plan.contains("resets") && plan.contains("extended_message"),
        "{plan}"
    );
    await_until("the session has ended and stands again", || {
        stonechat.established(RIGHT)?;
        if flaps() > before {
            Ok(())
        } else {
            Err(format!("{:?} flaps", flaps()))
        }
    });
    holds_for(AFTERMATH, "it stays", || stonechat.established(RIGHT));
    let (sent, received) = inward.stop();
    assert!(sent > 30, "the probe sent {sent} packets");
    assert_eq!(
        sent - received,
        0,
        "packets lost over a reset by a reload, of {sent}"
    );
}

/// Whether the daemon that was started last has begun to select IPv4 routes; one that did not restart does so at once.
fn is_selecting(log: &str) -> Result<(), String> {
    let of_interest = |line: &&str| {
        let selection = line.contains("selection begins") && line.contains("family=ipv4-unicast");
        selection || line.contains("stonechat starts")
    };
    match log.lines().rev().find(of_interest) {
        Some(line) if line.contains("restart=true") => Err(line.to_owned()),
        Some(_) | None => Ok(()),
    }
}

fn config(more: &str) -> String {
    format!(
        "[speaker]\nasn = 64512\nrouter_id = \"{LEFT}\"\n\n[kernel]\n\n\
         [[originate]]\nname = \"near\"\nprefixes = [\"{NEAR}/32\"]\n\n{more}\n\
         [[peer]]\nname = \"right\"\naddress = \"{RIGHT}\"\nasn = 64512\nconnect_retry_time = \"1s\"\n"
    )
}

fn helper() -> String {
    format!(
        "router id {RIGHT};\nprotocol device {{}}\n\
         protocol kernel {{ ipv4 {{ export where source = RTS_BGP; }}; }}\n\
         protocol static {{ ipv4; route {FAR}/32 via \"lo\"; }}\n\
         protocol bgp left {{ local {RIGHT} as 64512; neighbor {LEFT} as 64512; direct; graceful restart on; \
         connect delay time 1; connect retry time 1; error wait time 1, 1; \
         ipv4 {{ import all; next hop self; export where source = RTS_STATIC; }}; }}\n"
    )
}

/// Packets to an address, and who counts them there.
struct Probe {
    sending: Arc<AtomicBool>,
    counting: Arc<AtomicBool>,
    sender: JoinHandle<usize>,
    counter: JoinHandle<usize>,
}

impl Probe {
    fn start((from, to): (&Namespace, &Namespace), address: Ipv4Addr) -> Self {
        let sink = to.spawn_inside(move || UdpSocket::bind((address, 7001)).expect("the probe's address"));
        let sink = sink.join().expect("a socket");
        sink.set_read_timeout(Some(Duration::from_millis(100)))
            .expect("a timeout");
        let (sending, counting) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
        let going = Arc::clone(&counting);
        let counter = std::thread::spawn(move || {
            let mut count = 0;
            while going.load(Ordering::Relaxed) {
                count += usize::from(sink.recv(&mut [0; 8]).is_ok());
            }
            count
        });
        let going = Arc::clone(&sending);
        let sender = from.spawn_inside(move || {
            let source = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a socket");
            let (mut sent, mut next) = (0, Instant::now());
            while going.load(Ordering::Relaxed) {
                // A packet for which there is no route is lost as well.
                source.send_to(b"probe", (address, 7001)).ok();
                sent += 1;
                next += INTERVAL;
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            sent
        });
        Self {
            sending,
            counting,
            sender,
            counter,
        }
    }

    /// How many were sent, and how many of them came.
    fn stop(self) -> (usize, usize) {
        self.sending.store(false, Ordering::Relaxed);
        let sent = self.sender.join().expect("the sender ends");
        // What is still on its way arrives within the reader's timeout.
        std::thread::sleep(Duration::from_millis(100));
        self.counting.store(false, Ordering::Relaxed);
        (sent, self.counter.join().expect("the counter ends"))
    }
}

/// Somebody without a session who connects to port 179 again and again.
struct Knocking {
    going: Arc<AtomicBool>,
    refused: Arc<AtomicUsize>,
    knocker: JoinHandle<usize>,
}

impl Knocking {
    fn start(from: &Namespace) -> Self {
        let (going, refused) = (Arc::new(AtomicBool::new(true)), Arc::default());
        let (still, count): (_, Arc<AtomicUsize>) = (Arc::clone(&going), Arc::clone(&refused));
        let knocker = from.spawn_inside(move || {
            let door = SocketAddr::V4(SocketAddrV4::new(LEFT.parse().expect("an address"), 179));
            let mut knocks = 0;
            while still.load(Ordering::Relaxed) {
                knocks += 1;
                let outcome = TcpStream::connect_timeout(&door, Duration::from_secs(5));
                count.fetch_add(usize::from(outcome.is_err()), Ordering::Relaxed);
                std::thread::sleep(INTERVAL);
            }
            knocks
        });
        Self {
            going,
            refused,
            knocker,
        }
    }

    fn stop(self) -> (usize, usize) {
        self.going.store(false, Ordering::Relaxed);
        let knocks = self.knocker.join().expect("the knocker ends");
        (knocks, self.refused.load(Ordering::Relaxed))
    }
}
