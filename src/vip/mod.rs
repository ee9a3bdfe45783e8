//! Load-balancer addresses: announced while their checks pass, withdrawn the moment they do not.
//!
//! `state.rs` (rise, fall, verdict) is pure; `health.rs` runs the probes.

pub mod settings;
