//! `cargo bench --manifest-path benches/rib/Cargo.toml --bench stages`: the shard stage by stage, with 100,000 prefixes in
//! 17,000 sets of attributes.
//!
//! The stages are told apart as a user of the shard can: taking messages in (parse, intern, insert), what one slice after the
//! other makes of them (decide, export, flush, pack), one decision among many paths, and packing a table for a newcomer.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use stonechat_bench_rib::policy::Chain;
use stonechat_bench_rib::rib::interface::{Input, Peer};
use stonechat_bench_rib::route::PeerId;
use stonechat_bench_rib::tables::Table;
use stonechat_bench_rib::world::{World, peer};

const PREFIXES: usize = 100_000;
const SETS: usize = 17_000;

fn buffers(table: &Table, n: u32, flavour: u32) -> Vec<Bytes> {
    table.encode(Some(peer(n, true).asn), [10, 0, 0, n as u8].into(), flavour)
}

fn take_in(world: &mut World, peer: PeerId, buffers: &[Bytes]) {
    for messages in buffers.iter().cloned() {
        world.handle(Input::Received { peer, messages });
    }
}

/// Our side sends it nothing.
fn mute(mut peer: Peer) -> Peer {
    peer.policy.export = Chain::no_policy();
    peer
}

/// A shard that has been sent the table and has not decided anything; whether somebody is to be told of it.
fn received(feed: &[Bytes], somebody: bool) -> World {
    let mut world = World::new();
    let sender = world.up(mute(peer(0, true)));
    if somebody {
        world.up(peer(1, true));
    }
    for messages in feed.iter().cloned() {
        let received = Input::Received { peer: sender, messages };
        world.rib.handle(received, world.now());
    }
    world
}

fn stages(criterion: &mut Criterion) {
    let table = Table::new(PREFIXES, SETS);
    let feed = buffers(&table, 0, 0);
    let mut group = criterion.benchmark_group("table");
    group.throughput(Throughput::Elements(PREFIXES as u64)).sample_size(20);
    group.bench_function("receive: parse, intern, insert", |bench| {
        let fresh = || {
            let mut world = World::new();
            let sender = world.up(mute(peer(0, true)));
            (world, sender)
        };
        bench.iter_batched_ref(
            fresh,
            |(world, sender)| take_in(world, *sender, &feed),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("decide, nobody to tell", |bench| {
        bench.iter_batched_ref(|| received(&feed, false), World::settle, BatchSize::PerIteration);
    });
    group.bench_function("decide, export and flush to a member in step", |bench| {
        bench.iter_batched_ref(|| received(&feed, true), World::settle, BatchSize::PerIteration);
    });
    group.bench_function("pack: the table for a newcomer", |bench| {
        let full = || {
            let mut world = received(&feed, true);
            world.settle();
            world
        };
        bench.iter_batched_ref(full, |world| world.up(peer(2, true)), BatchSize::PerIteration);
    });
    group.finish();
}

/// The best of many paths flaps; every other flap decides among one path less.
fn decision(criterion: &mut Criterion) {
    let table = Table::new(1, 1);
    let mut group = criterion.benchmark_group("a change of a prefix with so many paths");
    for paths in [2, 8, 400] {
        let mut world = World::new();
        let peers: Vec<PeerId> = (0..paths).map(|n| world.up(peer(n, true))).collect();
        for (n, id) in peers.iter().enumerate() {
            take_in(&mut world, *id, &buffers(&table, n as u32, 0));
        }
        world.settle();
        let versions = [buffers(&table, 0, 1), buffers(&table, 0, 0)];
        let mut turn = 0;
        group.bench_function(BenchmarkId::from_parameter(paths), |bench| {
            bench.iter(|| {
                turn += 1;
                take_in(&mut world, peers[0], &versions[turn % 2]);
                black_box(world.settle())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, stages, decision);
criterion_main!(benches);
