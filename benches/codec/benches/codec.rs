//! `cargo bench --manifest-path benches/codec/Cargo.toml`: nanoseconds for an UPDATE read or written in full, against the
//! hand-written limit. `STONECHAT_MRT=FILE` adds the UPDATEs of an MRT file. `-- --count READER STREAM`
//! reads one stream three times and prints nothing, for valgrind.

use std::hint::black_box;
use std::time::{Duration, Instant};

use stonechat_bench_codec::stream::{self, Stream};
use stonechat_bench_codec::sum::Sum;
use stonechat_bench_codec::{limit, ours};

type Reader = (&'static str, fn(&Stream) -> Sum);

/// Rounds of each measurement; the readers take turns, so that a noisy moment hits all.
const ROUNDS: usize = 15;

fn main() {
    let mut streams = vec![
        stream::ipv4(false),
        stream::ipv6(),
        stream::withdrawals(),
        stream::ipv4(true),
    ];
    if let Some(path) = std::env::var_os("STONECHAT_MRT") {
        streams.push(stream::recorded(path.as_ref()).expect("STONECHAT_MRT names an MRT file"));
    }
    let readers: [Reader; 2] = [("limit", limit::read), ("bgp-codec", ours::read)];
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    if let [_, reader, stream] = &arguments[..] {
        count(&readers, &streams, reader, stream);
        return;
    }
    println!(
        "{:16} {:28} {:>9} {:>9} {:>7}",
        "stream", "reader", "ns/UPDATE", "spread", "ratio"
    );
    for stream in &streams {
        let expected = limit::read(stream);
        assert_eq!(
            ours::read(stream),
            expected,
            "{}: the readers disagree",
            stream.name
        );
        measure(stream, &readers);
    }
    writers();
}

fn measure(stream: &Stream, readers: &[Reader]) {
    let mut times = vec![Vec::new(); readers.len()];
    for _ in 0..ROUNDS {
        for ((_, read), times) in readers.iter().zip(&mut times) {
            times.push(time(|| read(black_box(stream))));
        }
    }
    report(
        stream.name,
        readers.iter().map(|(name, _)| *name),
        &mut times,
        stream.ends.len(),
    );
}

fn writers() {
    let routes = stream::routes(false);
    let blocks: Vec<_> = routes
        .iter()
        .map(|route| {
            let mut block = Vec::new();
            route.attributes.encode_canonical(&mut block);
            (block, route)
        })
        .collect();
    let mut out = Vec::with_capacity(65_536);
    assert_eq!(limit::write(&routes, &mut out), ours::write(&blocks, &mut out));
    let mut times = vec![Vec::new(); 3];
    for _ in 0..ROUNDS {
        times[0].push(time(|| limit::write(&routes, &mut out)));
        times[1].push(time(|| ours::write(&blocks, &mut out)));
        times[2].push(time(|| ours::write_owned(&routes, &mut out)));
    }
    let names = [
        "limit",
        "bgp-codec, interned block",
        "bgp-codec, owned attributes",
    ];
    report("write ipv4", names, &mut times, routes.len());
}

fn time<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    black_box(work());
    start.elapsed()
}

/// The fastest round counts; the spread is that of the middle half.
fn report(
    stream: &str,
    names: impl IntoIterator<Item = &'static str>,
    times: &mut [Vec<Duration>],
    updates: usize,
) {
    let each = |time: Duration| time.as_nanos() as f64 / updates as f64;
    let limit = times[0].iter().min().copied().map_or(1.0, each);
    for (name, times) in names.into_iter().zip(times) {
        times.sort_unstable();
        let best = each(times[0]);
        let spread = each(times[ROUNDS * 3 / 4]) - each(times[ROUNDS / 4]);
        println!(
            "{stream:16} {name:28} {best:9.1} {spread:9.1} {:7.2}",
            best / limit
        );
    }
}

fn count(readers: &[Reader], streams: &[Stream], reader: &str, stream: &str) {
    let read = readers
        .iter()
        .find(|(name, _)| *name == reader)
        .expect("no such reader")
        .1;
    let stream = streams
        .iter()
        .find(|candidate| candidate.name == stream)
        .expect("no such stream");
    for _ in 0..3 {
        black_box(read(black_box(stream)));
    }
}
