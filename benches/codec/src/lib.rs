//! What the codec benchmark measures: streams of UPDATEs, and three ways and more to read every value in them.

pub mod limit;
pub mod ours;
pub mod stream;
pub mod sum;

#[cfg(feature = "others")]
pub mod others;
