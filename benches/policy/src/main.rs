//! `cargo xtask bench policy`: what filters cost a route, and what their reload costs everybody.
//!
//! | part | measures |
//! |---|---|
//! | `filter` | a set of 10,000 prefixes asked about 1,000,000 routes |
//! | `unit` | reloads on a shard of 100 peers and 100,000 routes: the longest piece of work that cannot be interrupted |
//! | `reload` | the same with the daemon's process and sockets: until the last UPDATE, and what the others notice |
//!
//! Needs neither root nor namespaces: peers are addresses of the loopback interface.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

mod daemon;
mod filter;
#[path = "../../common/process.rs"]
mod process;
mod reload;
mod session;
mod unit;

const USAGE: &str = "usage: cargo xtask bench policy [filter] [unit] [reload] [--stonechat PROGRAM]";

fn main() -> ExitCode {
    let mut stonechat = PathBuf::from("target/release/stonechat");
    let mut parts = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match (
            argument.as_str(),
            ["filter", "unit", "reload"].contains(&argument.as_str()),
        ) {
            ("--stonechat", _) => stonechat = arguments.next().map_or(stonechat, PathBuf::from),
            (_, true) => parts.push(argument),
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::FAILURE;
            }
        }
    }
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    if wanted("filter") {
        filter::run();
    }
    if wanted("unit") {
        unit::run();
    }
    if wanted("reload")
        && let Err(error) = reload::run(&stonechat)
    {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
