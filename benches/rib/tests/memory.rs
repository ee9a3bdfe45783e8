//! `cargo test --manifest-path benches/rib/Cargo.toml`: what `stonechat memory` says against what the allocator counted.

use stonechat_bench_rib::rib::explain::{Answer, Query};
use stonechat_bench_rib::tables::Table;
use stonechat_bench_rib::world::{World, peer};

#[test]
fn the_report_is_what_the_allocator_counted() {
    let table = Table::new(100_000, 17_000);
    let mut world = World::new();
    let mut reported = 0;
    let counted = allocation_counter::measure(|| {
        let sender = world.up(peer(0, true));
        world.up(peer(1, true));
        let buffers = table.encode(Some(peer(0, true).asn), [10, 0, 0, 0].into(), 0);
        world.feed(vec![(sender, buffers.into_iter())]);
        let Answer::Counters(counters) = world.rib.query(&Query::Counters, world.now()) else {
            unreachable!("counters were asked for");
        };
        for used in &counters.memory {
            println!("{:20} {:>9} {:>12}", used.kind, used.count, used.bytes);
            reported += used.bytes;
        }
    });
    let counted = u64::try_from(counted.bytes_current).expect("more was taken than given back");
    println!("{:20} {:>9} {counted:>12}", "counted", "");
    assert!(
        reported.abs_diff(counted) <= counted / 10,
        "{reported} reported and {counted} counted"
    );
}
