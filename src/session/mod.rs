//! BGP sessions: the state machine, what it negotiates, and the thin edge that owns the sockets.
//!
//! `fsm.rs`, `negotiate.rs`, `collision.rs`, `deadlines.rs` are pure; `task.rs`, `listener.rs` and `socket.rs` do the I/O.

pub mod settings;
pub mod status;
