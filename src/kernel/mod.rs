//! The kernel edge: what learned routes become, what the kernel's tables tell us, and whether next hops are reachable.
//!
//! | file | what it owns |
//! |---|---|
//! | `core.rs` | all pure parts together: inputs in, requests and reports out |
//! | `fib/` | routes wanted against routes installed, and the operations between them |
//! | `next_hops.rs` | BGP next hops resolved through the table |
//! | `mirror.rs` | the picture of links, addresses and routes |
//! | `wire/` | netlink bytes |
//! | `netlink.rs` | the sockets |
//! | `task.rs` | the task that owns both, and its handle |
//! | `state_file.rs` | what a daemon leaves for its successor |
//! | `router_id.rs`, `cleanup.rs` | what is asked or done once, at start or by hand |
//!
//! Only routes of our own protocol number are ever overwritten or deleted, and none of them is imported.

#![cfg_attr(
    not(test),
    warn(
        clippy::as_conversions,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::wildcard_enum_match_arm
    )
)]

pub mod cleanup;
mod core;
mod fib;
#[cfg(test)]
mod lab;
mod mirror;
mod netlink;
mod next_hops;
pub mod router_id;
pub mod settings;
pub mod state_file;
pub mod task;
mod wire;

pub use self::fib::Counts;
pub use self::task::{Edges, KernelHandle, Setup, Status, spawn};
