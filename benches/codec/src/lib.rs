//! What the codec benchmark measures: streams of UPDATEs, and two ways to read every value in them and to write them.

pub mod limit;
pub mod ours;
pub mod stream;
pub mod sum;
