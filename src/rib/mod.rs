//! The RIB: one shard owns its tables, takes inputs, decides each dirty prefix once, and sends.
//!
//! Pure: no I/O, no clock, no random source (the hash seed is given). `task.rs` alone knows about threads.

mod adj_rib_in;
mod adj_rib_out;
mod aggregate;
mod attributes;
mod batch;
mod before;
mod border;
mod canonical;
mod core;
mod decision;
mod delivery;
mod dirty;
pub mod explain;
mod export;
mod fib;
mod filter_class;
mod graveyard;
mod group;
mod id_set;
mod id_table;
mod ids;
mod import;
mod ingest;
pub mod interface;
mod jobs;
mod lane;
mod limits;
mod member_filters;
mod membership;
mod memory;
mod next_hop;
mod pack;
mod peers;
mod prefix_table;
mod refresh;
mod ring;
mod selection;
mod sent_paths;
mod sessions;
mod shard;
mod share;
mod show;
mod stream;
mod table;
mod table_data;
pub mod task;
#[cfg(test)]
mod tests;
mod update_group;
mod watch;
mod why;

pub use shard::Rib;
