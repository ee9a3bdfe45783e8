//! The RIB: one shard owns its tables, takes inputs, decides each dirty prefix once, and sends.
//!
//! Pure: no I/O, no clock, no random source (the hash seed is given). `task.rs` alone knows about threads.

pub mod explain;
pub mod interface;
