//! The RIB without sockets: the three rooms that it is made of, tables to feed it with, and peers around it.
//!
//! The rooms are built from their sources, not as a dependency: that takes a minute, and the whole daemon several.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "the rooms are built without their users")]

#[path = "../../../src/policy/mod.rs"]
pub mod policy;
#[path = "../../../src/rib/mod.rs"]
pub mod rib;
#[path = "../../../src/route/mod.rs"]
pub mod route;

pub mod tables;
pub mod world;
