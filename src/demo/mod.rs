//! The throwaway lab of `stonechat demo`: two nodes, an ADC, pods and VIPs in network namespaces, with Stonechat in
//! every role, and a story told while it runs.
//!
//! It calls no outside program: namespaces, links, tables and echo requests are here. Nothing of it has a name on the
//! machine, so nothing can be left behind: namespaces live as long as the processes of the lab, those die with it,
//! and sockets, state and configurations are in one temporary directory.
//!
//! `stonechat demo` replaces itself by the lab, a process with one thread (moving between namespaces takes that),
//! which starts this same binary once for every role. So `main` asks [`reenter`] before it does anything else.

mod echo;
mod http;
mod lab;
mod namespace;
mod netlink;
mod page;
mod role;
mod speaker;
mod story;
mod table;
mod watch;

use std::{
    ffi::OsString,
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
};

use crate::cli::DemoOptions;
use role::Role;

/// The first argument of a process that plays a role.
const MARK: &str = "__demo";

/// This binary, whatever it is called and even if its file is replaced meanwhile.
const OWN_BINARY: &str = "/proc/self/exe";

/// A step of the demo that did not come true.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The network could not be built or read.
    #[error(transparent)]
    Namespace(#[from] namespace::Error),
    /// The kernel refused a link, an address or a route.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// A file or a process failed.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// The reason.
        source: io::Error,
    },
    /// Something awaited did not happen.
    #[error("this did not come true within {seconds} s: {what}{}", seen(.last))]
    NotTrue {
        /// What was awaited.
        what: String,
        /// For how long.
        seconds: u64,
        /// What was there at the last look.
        last: String,
    },
    /// A speaker ended by itself.
    #[error("the speaker of {name} ended ({status}); its last words:\n{log}")]
    SpeakerEnded {
        /// Whose.
        name: &'static str,
        /// How.
        status: std::process::ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// Somebody pressed Ctrl-C, or asked the process to end.
    #[error("interrupted")]
    Interrupted,
}

fn seen(last: &str) -> String {
    if last.is_empty() {
        String::new()
    } else {
        format!("\nAt the last look:\n{}", last.trim_end())
    }
}

/// Plays a role of the lab if this process was started for one; otherwise `None`.
///
/// `main` calls it before anything else: a role needs a process with one thread.
#[must_use]
pub fn reenter() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != MARK {
        return None;
    }
    let arguments: Vec<OsString> = arguments.collect();
    Some(match Role::parse(&arguments) {
        Some(role) => role.play(),
        None => complain("this verb is for the demo's own processes"),
    })
}

/// Builds the lab, tells its story and removes it.
///
/// Replaces the process by the lab's own and returns only if that fails.
#[must_use]
pub fn run(options: &DemoOptions) -> ExitCode {
    let role = Role::Lab { keep: options.keep };
    let error = Command::new(OWN_BINARY)
        .arg0("stonechat")
        .args(role.arguments())
        .exec();
    complain(&format!("cannot start the lab: {error}"))
}

/// Says on standard error what is wrong; the exit code of failure.
fn complain(message: &str) -> ExitCode {
    // Where standard error is closed the exit code still tells.
    drop(writeln!(io::stderr(), "stonechat demo: {message}"));
    ExitCode::FAILURE
}
