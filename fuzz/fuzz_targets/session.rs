//! A whole speaker between a peer that does what the octets say and a witness that must not notice.
#![no_main]
#![allow(dead_code, reason = "the simulation's modules, of which this needs a part")]

#[path = "../../tests/sim/node.rs"]
mod node;
#[path = "../../tests/sim/random.rs"]
mod random;
#[path = "../../tests/sim/shards.rs"]
mod shards;
#[path = "../../tests/sim/stage.rs"]
mod stage;
#[path = "../../tests/sim/topology.rs"]
mod topology;
#[path = "../../tests/sim/wire.rs"]
mod wire;
#[path = "../../tests/sim/world.rs"]
mod world;

libfuzzer_sys::fuzz_target!(|data: &[u8]| stage::drive(data));
