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
