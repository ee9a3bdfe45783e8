//! The kernel edge: what learned routes become, what the kernel's tables tell us, and whether next hops are reachable.
//!
//! `fib.rs` (wanted against installed) is pure; `netlink.rs` owns the sockets.

pub mod settings;
