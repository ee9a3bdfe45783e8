//! BGP sessions: the state machine, what it negotiates, and the thin edge that owns the sockets.
//!
//! `fsm.rs`, `negotiate.rs`, `collision.rs`, `deadlines.rs`, `change.rs`, `outbox.rs` and `peer.rs` are pure: no sockets, no
//! clock, no random source. `task.rs` (one for each peer), `wires.rs`, `outgoing.rs`, `listener.rs`, `handover.rs` and `socket.rs` do the I/O;
//! `supervisor.rs` is what the speaker holds.

// Bytes and text come from outside; tests may index and panic.
#![cfg_attr(
    not(test),
    warn(
        clippy::as_conversions,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::wildcard_enum_match_arm
    )
)]

pub mod change;
pub mod collision;
pub mod deadlines;
mod directory;
pub mod fsm;
pub mod handover;
pub mod listener;
pub mod local_addresses;
mod md5_counters;
pub mod negotiate;
pub mod outbox;
mod outgoing;
pub mod peer;
pub mod peer_ids;
mod place;
pub mod settings;
mod socket;
pub mod status;
pub mod supervisor;
mod task;
mod wires;
