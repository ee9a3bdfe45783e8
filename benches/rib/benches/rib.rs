//! `cargo bench --manifest-path benches/rib/Cargo.toml --bench rib [-- SCENARIO [DIVISOR] [check]]`: what the shard itself
//! takes for the scenarios of `docs/performance.md`, without sockets, sessions or threads.

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;
use stonechat_bench_rib::rib::interface::{DownRoutes, Input};
use stonechat_bench_rib::route::PeerId;
use stonechat_bench_rib::tables::Table;
use stonechat_bench_rib::world::{World, peer};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|at| at != "--bench").collect();
    let named: Vec<char> = arguments
        .first()
        .map_or_else(|| "abcf".chars().collect(), |at| at.chars().collect());
    let divisor = arguments.get(1).and_then(|at| at.parse().ok()).unwrap_or(1);
    let check = arguments.iter().any(|at| at == "check");
    println!(
        "{:28} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9}",
        "scenario", "total", "receive", "work", "longest", "peak MiB", "sent MiB"
    );
    for name in named {
        scenario(name, divisor, check);
    }
}

fn scenario(name: char, divisor: usize, check: bool) {
    match name {
        'a' => {
            let table = Table::new(1_000_000 / divisor, 170_000 / divisor);
            run("A 1 sender x 1M, 1 receiver", &table, &[0], (&[1], true), check);
        }
        'b' => {
            let table = Table::new(500_000 / divisor, 85_000 / divisor);
            let senders: Vec<u32> = (0..8).collect();
            run("B 8 senders x 500k", &table, &senders, (&[8], true), check);
        }
        'c' => {
            let table = Table::new(100_000 / divisor, 17_000 / divisor);
            let receivers: Vec<u32> = (2..102).collect();
            run(
                "C 2 x 100k to 100 clients",
                &table,
                &[0, 1],
                (&receivers, false),
                check,
            );
        }
        'f' => reconnect(divisor),
        other => eprintln!("no scenario {other}"),
    }
}

fn run(name: &str, table: &Table, senders: &[u32], (receivers, external): (&[u32], bool), check: bool) {
    let mut world = World::new();
    if check {
        world.held = Some(BTreeMap::new());
    }
    let all: Vec<u32> = senders.iter().chain(receivers).copied().collect();
    let ids: BTreeMap<u32, PeerId> = all.iter().map(|n| (*n, world.up(peer(*n, external)))).collect();
    let input: Vec<(PeerId, Vec<Bytes>)> = senders
        .iter()
        .map(|n| {
            let peer = peer(*n, external);
            let std::net::IpAddr::V4(address) = peer.address else {
                unreachable!()
            };
            (ids[n], table.encode(external.then_some(peer.asn), address, *n))
        })
        .collect();
    world.times = Default::default();
    reset_peak();
    let before = resident("VmRSS:");
    let begun = Instant::now();
    let given: u64 = input
        .iter()
        .flat_map(|(_, buffers)| buffers)
        .map(|at| at.len() as u64)
        .sum();
    world.feed(
        input
            .into_iter()
            .map(|(id, buffers)| (id, buffers.into_iter()))
            .collect(),
    );
    let total = begun.elapsed();
    let peak = (resident("VmHWM:") as f64 - before as f64) / 1024.0;
    let sent = world.sent.values().map(|(bytes, _)| *bytes).sum::<u64>() as f64 / 1_048_576.0;
    let times = world.times;
    println!(
        "{name:28} {:7.3}s {:7.3}s {:7.3}s {:6.2}ms {peak:9.1} {sent:9.1}   (input {:.1} MiB is freed meanwhile)",
        total.as_secs_f64(),
        times.receive.as_secs_f64(),
        times.work.as_secs_f64(),
        times.longest.as_secs_f64() * 1e3,
        given as f64 / 1_048_576.0,
    );
    for n in receivers {
        let id = ids[n];
        if let Some(held) = &world.held {
            assert_eq!(held[&id].len(), table.len(), "peer {n}");
        }
    }
}

/// A receiver that comes back when the table is full; then the sender goes.
fn reconnect(divisor: usize) {
    let table = Table::new(500_000 / divisor, 85_000 / divisor);
    let mut world = World::new();
    let sender = world.up(peer(0, true));
    let receiver = world.up(peer(1, true));
    let buffers = table.encode(Some(peer(0, true).asn), [10, 0, 0, 0].into(), 0);
    world.feed(vec![(sender, buffers.into_iter())]);
    world.handle(Input::PeerDown {
        peer: receiver,
        routes: DownRoutes::Flush,
    });
    world.settle();
    world.times = Default::default();
    world.sent.clear();
    world.held = Some(BTreeMap::new());
    let begun = Instant::now();
    let back = world.up(peer(1, true));
    let total = begun.elapsed();
    let (bytes, updates) = world.sent[&back];
    println!(
        "{:28} {:7.3}s {:>8} {:7.3}s {:6.2}ms {:>9} {:9.1}   ({updates} UPDATEs)",
        "F reconnect at 500k",
        total.as_secs_f64(),
        "",
        world.times.work.as_secs_f64(),
        world.times.longest.as_secs_f64() * 1e3,
        "",
        bytes as f64 / 1_048_576.0
    );
    world.times = Default::default();
    let begun = Instant::now();
    world.handle(Input::PeerDown {
        peer: sender,
        routes: DownRoutes::Flush,
    });
    world.settle();
    println!(
        "{:28} {:7.3}s {:>8} {:7.3}s {:6.2}ms",
        "  its sender goes",
        begun.elapsed().as_secs_f64(),
        "",
        world.times.work.as_secs_f64(),
        world.times.longest.as_secs_f64() * 1e3
    );
}

/// KiB, from the kernel's own count.
fn resident(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or_default()
}

fn reset_peak() {
    std::fs::write("/proc/self/clear_refs", "5").ok();
}
