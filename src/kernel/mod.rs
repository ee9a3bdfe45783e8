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
//!
//! Only routes of our own protocol number are ever overwritten or deleted, and none of them is imported.

#![warn(
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm
)]

mod core;
mod fib;
mod mirror;
mod next_hops;
pub mod settings;
mod wire;
