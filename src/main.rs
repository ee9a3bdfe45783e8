//! The `stonechat` binary: the daemon and its command line.

use std::process::ExitCode;

use stonechat::cli::{self, Entrypoints};
use stonechat::{demo, speaker};

fn main() -> ExitCode {
    // A role of the demo must enter its namespaces before any thread starts.
    if let Some(code) = demo::reenter() {
        return code;
    }
    cli::main(Entrypoints {
        run: speaker::run,
        cleanup: speaker::cleanup,
        demo: demo::run,
    })
}
