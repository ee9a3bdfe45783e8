//! Tests of the codec through its public interface, in one binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod as4;
mod common;
mod corpus;
mod interning;
mod mrt;
mod nlri_families;
mod open;
mod print;
mod properties;
mod targets;
mod text;
mod update_errors;
mod update_rules;
mod update_writer;
mod vectors;
mod visit;
