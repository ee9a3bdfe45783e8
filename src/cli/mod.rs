//! The command line: one file a verb, which asks the daemon over its socket and prints text or JSON.
//!
//! What runs a speaker is not here: [`main`] is given the [`Entrypoints`], because the speaker and the demo import this
//! module and never the other way round. Exit codes: 0 done, 1 not done (standard error says what to do), 2 wrong usage.

mod check;
mod cleanup;
mod client;
mod completions;
mod config;
mod confirm;
mod demo;
mod drain;
mod enable;
mod memory;
mod output;
mod peer;
mod peers;
mod policy;
mod reload;
mod reset;
mod routes;
mod run;
mod shutdown;
mod span;
mod status;
mod stop;
mod table;
#[cfg(test)]
mod testing;
mod undrain;
mod version;
mod vips;
mod why;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde_json::json;

use self::client::Client;
use self::output::Output;
use crate::control::{DEFAULT_SOCKET, Failure, Request, Response};

pub use self::cleanup::CleanupOptions;
pub use self::demo::DemoOptions;
pub use self::run::RunOptions;

/// Where the configuration is, unless told otherwise.
pub const DEFAULT_CONFIG: &str = "/etc/stonechat/stonechat.toml";

/// What the verbs start that live in this process and not behind the socket. No thread runs when they are called.
#[derive(Clone, Copy, Debug)]
pub struct Entrypoints {
    /// The daemon; returns when it has stopped.
    pub run: fn(&RunOptions) -> Result<(), EntryError>,
    /// Removes what a dead daemon left in the kernel, and says what that was.
    pub cleanup: fn(&CleanupOptions) -> Result<String, EntryError>,
    /// The throwaway lab.
    pub demo: fn(&DemoOptions) -> ExitCode,
}

/// Why an entrypoint ended; shown to the operator as it is.
pub type EntryError = Box<dyn std::error::Error + Send + Sync>;

/// A BGP speaker for the machines that run workloads.
#[derive(Debug, Parser)]
#[command(name = "stonechat", disable_version_flag = true)]
struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
    /// The daemon's control socket
    #[arg(long, global = true, value_name = "PATH", env = "STONECHAT_SOCKET", default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the daemon
    Run(run::Arguments),
    /// Say whether a configuration is valid, or what it would change
    Check(check::Arguments),
    /// Print the effective configuration, or what can be configured
    Config(config::Arguments),
    /// Try filters out on routes written down in a file
    Policy(policy::Arguments),
    /// Show the daemon: uptime, tables, whether each part is well
    Status,
    /// Show what the tables' memory is used for
    Memory,
    /// Show every peer
    Peers,
    /// Show everything about one peer
    Peer(peer::Arguments),
    /// Show routes: the best ones, a peer's, or the longest match of an address
    Routes(routes::Arguments),
    /// Show every VIP, what its checks said and who announces it; with a name, everything about it
    Vips(vips::Arguments),
    /// Tell why a prefix is where it is, or is not
    Why(why::Arguments),
    /// Read the configuration again and print what changed
    Reload(reload::Arguments),
    /// Keep what `reload --confirm` has applied
    Confirm,
    /// Begin a peer's session or its routes anew
    Reset(reset::Arguments),
    /// Take a peer down and keep it down
    Shutdown(shutdown::Arguments),
    /// Let a peer up again
    Enable(enable::Arguments),
    /// Make a VIP, a peer or everything the last choice, then withdraw it; without a target, show what is drained
    Drain(drain::Arguments),
    /// End a drain
    Undrain(undrain::Arguments),
    /// Leave for good: withdraw everything, remove our routes, end the daemon
    Stop,
    /// Remove what a dead daemon left in the kernel
    Cleanup(cleanup::Arguments),
    /// Build a throwaway lab in network namespaces and tell its story
    Demo(demo::Arguments),
    /// Print completions for a shell
    Completions(completions::Arguments),
    /// Print the version
    Version,
}

/// What a verb works with.
#[derive(Debug)]
struct Terminal<'a> {
    client: Client,
    output: Output<'a>,
}

impl Terminal<'_> {
    /// Asks for something to be done and prints the daemon's sentence about it.
    fn ask_done(&mut self, request: &Request) -> Result<(), Error> {
        match self.client.ask(request)? {
            Response::Done { text } => self
                .output
                .print(&json!({ "text": text }), |_| format!("{text}\n")),
            _ => Err(Error::Answer(String::from(
                "it is the answer to another question",
            ))),
        }
    }
}

/// Why a verb did not do as asked.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// Nobody listens.
    #[error(
        "no daemon listens on {}: start it with `stonechat run`, or name its socket with --socket or STONECHAT_SOCKET",
        .0.display()
    )]
    NotRunning(PathBuf),
    /// The socket belongs to somebody else.
    #[error("no permission to ask the daemon on {}: run as the user that runs it (usually root)", .0.display())]
    Permission(PathBuf),
    /// The conversation broke.
    #[error("the daemon on {} did not answer: {error}", path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// How.
        error: io::Error,
    },
    /// The daemon speaks differently.
    #[error(
        "the daemon's answer is not understood ({0}); is it of another version? `stonechat status` tells"
    )]
    Answer(String),
    /// The daemon refused.
    #[error(transparent)]
    Refused(#[from] Failure),
    /// No route covers the address.
    #[error("no route to {0}")]
    NoRoute(std::net::IpAddr),
    /// The daemon is still there.
    #[error("the daemon on {} is still stopping", .0.display())]
    StillStopping(PathBuf),
    /// A daemon runs, and this is for a dead one.
    #[error("a daemon listens on {}: `stonechat stop` removes its routes; cleanup is for one that died", .0.display())]
    StillRunning(PathBuf),
    /// The configuration is wrong.
    #[error("{0}")]
    Configuration(String),
    /// The daemon, or the cleanup, says what is wrong.
    #[error("{0}")]
    Entry(EntryError),
    /// Something must be named.
    #[error("{0}")]
    Usage(&'static str),
    /// Cannot print.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}

/// Parses the command line, does what it says, and yields the exit code.
#[must_use]
pub fn main(entrypoints: Entrypoints) -> ExitCode {
    let CommandLine { verb, socket, json } = CommandLine::parse();
    if let Verb::Demo(arguments) = &verb {
        return (entrypoints.demo)(&arguments.options());
    }
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    let mut terminal = Terminal {
        client: Client::new(socket),
        output: Output::new(&mut stdout, json),
    };
    let done = verb.execute(&mut terminal, entrypoints);
    let done = done.and_then(|()| Ok(stdout.flush()?));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has seen enough (`| head`).
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        // A problem in a file begins with its place, where editors look for it.
        Err(error @ (Error::Configuration(_) | Error::Entry(_))) => failed(&error.to_string()),
        Err(error) => failed(&format!("stonechat: {error}")),
    }
}

fn failed(message: &str) -> ExitCode {
    output::complain(message);
    ExitCode::FAILURE
}

impl Verb {
    fn execute(&self, terminal: &mut Terminal<'_>, entrypoints: Entrypoints) -> Result<(), Error> {
        match self {
            Self::Run(arguments) => run::execute(arguments, terminal, entrypoints.run),
            Self::Check(arguments) => check::execute(arguments, terminal),
            Self::Policy(arguments) => policy::execute(arguments, terminal),
            Self::Confirm => confirm::execute(terminal),
            Self::Config(arguments) => config::execute(arguments, terminal),
            Self::Status => status::execute(terminal),
            Self::Memory => memory::execute(terminal),
            Self::Peers => peers::execute(terminal),
            Self::Peer(arguments) => peer::execute(arguments, terminal),
            Self::Routes(arguments) => routes::execute(arguments, terminal),
            Self::Vips(arguments) => vips::execute(arguments, terminal),
            Self::Why(arguments) => why::execute(arguments, terminal),
            Self::Reload(arguments) => reload::execute(arguments, terminal),
            Self::Reset(arguments) => reset::execute(arguments, terminal),
            Self::Shutdown(arguments) => shutdown::execute(arguments, terminal),
            Self::Enable(arguments) => enable::execute(arguments, terminal),
            Self::Drain(arguments) => drain::execute(arguments, terminal),
            Self::Undrain(arguments) => undrain::execute(arguments, terminal),
            Self::Stop => stop::execute(terminal),
            Self::Cleanup(arguments) => cleanup::execute(arguments, terminal, entrypoints.cleanup),
            Self::Completions(arguments) => completions::execute(arguments, terminal),
            Self::Version => version::execute(terminal),
            // `main` took it before anything was opened.
            Self::Demo(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn every_verb_takes_socket_and_json_behind_it() {
        for verb in CommandLine::command().get_subcommands() {
            let words = [
                "stonechat",
                verb.get_name(),
                "--socket",
                "/tmp/s",
                "--json",
                "--help",
            ];
            let error = CommandLine::try_parse_from(words).unwrap_err();
            assert_eq!(
                error.kind(),
                clap::error::ErrorKind::DisplayHelp,
                "{}",
                verb.get_name()
            );
        }
    }

    #[test]
    fn help_may_be_asked_for_in_three_ways() {
        for words in [
            &["stonechat", "help"][..],
            &["stonechat", "help", "why"],
            &["stonechat", "why", "--help"],
        ] {
            let error = CommandLine::try_parse_from(words).unwrap_err();
            assert_eq!(error.kind(), clap::error::ErrorKind::DisplayHelp, "{words:?}");
        }
    }

    #[test]
    fn wrong_usage_exits_with_2() {
        for words in [
            &["stonechat"][..],
            &["stonechat", "fly"],
            &["stonechat", "peer"],
            &["stonechat", "why", "x"],
        ] {
            assert_eq!(
                CommandLine::try_parse_from(words).unwrap_err().exit_code(),
                2,
                "{words:?}"
            );
        }
    }

    #[test]
    fn nobody_listening_says_where_and_what_to_do() {
        let error = Error::NotRunning("/run/stonechat/control.sock".into());
        assert_eq!(
            error.to_string(),
            "no daemon listens on /run/stonechat/control.sock: start it with `stonechat run`, or name its socket with \
             --socket or STONECHAT_SOCKET"
        );
    }
}
