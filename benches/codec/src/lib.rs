//! What the codec benchmark measures: streams of UPDATEs, and ways to read every value in them and to write them.

pub mod allocations;
pub mod limit;
#[cfg(feature = "others")]
pub mod others;
pub mod ours;
pub mod stream;
pub mod sum;

/// A name, and what reads a whole stream.
pub type Reader = (&'static str, fn(&stream::Stream) -> sum::Sum);

/// Both limits and both ways to read with this codec; the first is what ratios refer to.
pub const OURS: &[Reader] = &[
    ("limit", limit::read),
    ("limit, checking", limit::read_checking),
    ("bgp-codec, view", ours::read),
    ("bgp-codec, visitor", ours::visit),
];

/// A reader's name, with the version if it is that of a crate in the lock file.
pub fn label(name: &str) -> String {
    const LOCK: &str = include_str!("../Cargo.lock");
    let entry = format!("name = \"{name}\"\nversion = \"");
    let behind = LOCK.split_once(&entry).map(|(_, behind)| behind);
    match behind.and_then(|behind| behind.split('"').next()) {
        Some(version) => format!("{name} {version}"),
        None => name.to_owned(),
    }
}
