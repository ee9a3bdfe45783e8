//! `cargo xtask bench codec`: nanoseconds for an UPDATE read or written in full, against the hand-written limit and, with
//! the feature `others`, against other crates. `-- --mrt FILE` adds the UPDATEs of an MRT file; `-- --count READER STREAM
//! TIMES` reads one stream (or MRT file) so often and prints its UPDATEs, for valgrind; `-- --list` names both.

use std::hint::black_box;
use std::time::{Duration, Instant};

use stonechat_bench_codec::stream::{self, Route, Stream};
use stonechat_bench_codec::{OURS, Reader, allocations, label, limit, ours};

/// Rounds of each measurement.
const ROUNDS: usize = 15;
/// Messages in a part: short enough that most parts are read without being interrupted.
const PART: usize = 500;
/// UPDATEs of a stream whose instructions are counted.
const COUNTED: usize = 2000;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match &words[..] {
        ["--count", reader, stream, times] => {
            count(reader, stream, times.parse().expect("a number of times"))
        }
        ["--list"] => list(),
        ["--mrt", file] => table(Some(file)),
        [] => table(None),
        _ => panic!("arguments: [--mrt FILE | --list | --count READER STREAM TIMES]"),
    }
}

fn readers() -> Vec<Reader> {
    #[cfg(feature = "others")]
    return [OURS, stonechat_bench_codec::others::READERS].concat();
    #[cfg(not(feature = "others"))]
    OURS.to_vec()
}

fn list() {
    for stream in stream::made(1) {
        for (reader, _) in OURS {
            println!("{reader}\t{}", stream.name);
        }
    }
}

fn count(reader: &str, stream: &str, times: usize) {
    let read = OURS
        .iter()
        .find(|(name, _)| *name == reader)
        .expect("no such reader")
        .1;
    let stream = stream::made(COUNTED)
        .into_iter()
        .find(|candidate| candidate.name == stream)
        .unwrap_or_else(|| stream::recorded(stream.as_ref()).expect("no such stream, and no MRT file"));
    for _ in 0..times {
        black_box(read(black_box(&stream)));
    }
    println!("{}", stream.ends.len());
}

fn table(mrt: Option<&str>) {
    let mut streams = Vec::from(stream::made(stream::UPDATES));
    if let Some(path) = mrt {
        streams.push(stream::recorded(path.as_ref()).expect("--mrt names an MRT file"));
    }
    println!(
        "{:14} {:26} {:>9} {:>8} {:>9} {:>11}  prefixes",
        "stream", "reader", "ns/UPDATE", "spread", "x limit", "allocations"
    );
    for stream in &streams {
        measure(stream, &readers());
    }
    writers();
}

fn measure(stream: &Stream, readers: &[Reader]) {
    let expected = limit::read(stream);
    for (name, read) in &OURS[1..] {
        assert_eq!(
            read(stream),
            expected,
            "{}: {name} read something else",
            stream.name
        );
    }
    // A figure of a reader that finds less is no figure.
    for (name, read) in readers {
        assert_eq!(
            read(stream).prefixes,
            expected.prefixes,
            "{}: {name} found another number of prefixes",
            stream.name
        );
    }
    let parts = stream.parts(PART);
    let mut times = vec![vec![Vec::new(); parts.len()]; readers.len()];
    for _ in 0..ROUNDS {
        for (index, part) in parts.iter().enumerate() {
            for ((_, read), times) in readers.iter().zip(&mut times) {
                times[index].push(time(|| read(black_box(part))));
            }
        }
    }
    let updates = stream.ends.len() as f64;
    let results: Vec<_> = times.iter_mut().map(|times| Result::of(times, updates)).collect();
    for ((name, read), result) in readers.iter().zip(&results) {
        let allocations = allocations::during(|| read(stream)) as f64 / updates;
        result.print(
            stream.name,
            &label(name),
            &results[0],
            allocations,
            expected.prefixes,
        );
    }
}

fn writers() {
    let routes = stream::routes(false, stream::UPDATES);
    let blocks: Vec<_> = routes
        .iter()
        .map(|route| {
            let mut block = Vec::new();
            route.attributes.encode_canonical(&mut block);
            (block, route)
        })
        .collect();
    let mut out = Vec::with_capacity(65_536);
    let octets = limit::write(&routes, &mut out);
    assert_eq!(octets, ours::write(&blocks, &mut out));
    assert_eq!(octets, ours::write_owned(&routes, &mut out));
    let count = routes.len().div_ceil(PART);
    let mut times = vec![vec![Vec::new(); count]; 3];
    for _ in 0..ROUNDS {
        for (index, (routes, blocks)) in routes.chunks(PART).zip(blocks.chunks(PART)).enumerate() {
            times[0][index].push(time(|| limit::write(routes, &mut out)));
            times[1][index].push(time(|| ours::write(blocks, &mut out)));
            times[2][index].push(time(|| ours::write_owned(routes, &mut out)));
        }
    }
    let updates = routes.len() as f64;
    let results: Vec<_> = times.iter_mut().map(|times| Result::of(times, updates)).collect();
    let counted = [
        allocations::during(|| limit::write(&routes, &mut out)),
        allocations::during(|| ours::write(&blocks, &mut out)),
        allocations::during(|| ours::write_owned(&routes, &mut out)),
    ];
    let names = ["limit", "bgp-codec, interned block", "bgp-codec, owned fields"];
    let prefixes = |routes: &[Route]| -> u64 { routes.iter().map(|route| route.prefixes.len() as u64).sum() };
    for ((name, result), counted) in names.into_iter().zip(&results).zip(counted) {
        let each = counted as f64 / updates;
        result.print("write ipv4", name, &results[0], each, prefixes(&routes));
    }
}

fn time<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    black_box(work());
    start.elapsed()
}

/// Nanoseconds for an UPDATE.
struct Result {
    median: f64,
    /// Between the quartiles.
    spread: f64,
}

impl Result {
    /// The median round of each part, and its quartiles, summed over the parts.
    fn of(parts: &mut [Vec<Duration>], updates: f64) -> Self {
        let mut quarters = [0.0; 3];
        for rounds in parts {
            rounds.sort_unstable();
            for (quarter, sum) in (1..).zip(&mut quarters) {
                *sum += rounds[(rounds.len() - 1) * quarter / 4].as_nanos() as f64;
            }
        }
        let [low, median, high] = quarters.map(|sum| sum / updates);
        Self {
            median,
            spread: high - low,
        }
    }

    fn print(&self, stream: &str, reader: &str, limit: &Self, allocations: f64, prefixes: u64) {
        let ratio = self.median / limit.median;
        println!(
            "{stream:14} {reader:26} {:9.1} {:8.1} {ratio:9.2} {allocations:11.2}  {prefixes}",
            self.median, self.spread
        );
    }
}
