//! Stonechat among other people's daemons, in network namespaces that each scenario builds and removes.
//!
//! Needs root; what is missing on the machine skips the scenarios that need it, with the reason printed.

#![expect(
    clippy::disallowed_methods,
    reason = "scenarios wait for real daemons on the real clock"
)]
#![expect(clippy::print_stdout, reason = "what a failed scenario prints is its report")]

mod aggregate;
mod article;
mod configs;
mod exchange;
mod external;
mod hostile;
mod lab;
mod link_local;
mod matrix;
mod md5;
mod operator;
mod pair;
mod paths;
mod reflector;
mod reload;
mod restarts;
mod start;
mod tables;
mod vips;
mod wrong;
