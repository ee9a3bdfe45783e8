//! The `stonechat` binary.

fn main() {}
