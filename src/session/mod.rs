//! BGP sessions: the state machine, what it negotiates, and the thin edge that owns the sockets.
//!
//! `fsm.rs`, `negotiate.rs`, `collision.rs`, `deadlines.rs`, `change.rs` and `peer.rs` are pure: no sockets, no clock, no
//! random source. `task.rs`, `listener.rs` and `socket.rs` do the I/O.

#![warn(
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm
)]

pub mod change;
pub mod collision;
pub mod deadlines;
pub mod fsm;
pub mod negotiate;
pub mod peer;
pub mod settings;
pub mod status;
