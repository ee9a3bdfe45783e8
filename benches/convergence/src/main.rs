//! `cargo xtask bench convergence`: how fast and at what cost BGP daemons take tables in and pass them on.
//!
//! One process holds all sender and receiver sessions on one thread and one clock; the daemon under test is alone in a
//! network namespace at the other end of a veth pair. Messages are encoded before the clock starts, and every prefix and
//! path is checked at every receiver.

#![forbid(unsafe_code)]

use std::fs;
use std::process::ExitCode;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use daemon::Kind;
use options::{Options, USAGE};
use report::Run;
use scenario::{Bench, Failure, SCENARIOS, Size};

mod daemon;
mod dump;
mod engine;
mod feed;
mod lab;
mod ledger;
mod options;
mod path;
mod random;
mod relay;
mod report;
mod scenario;
mod session;
mod table;
mod usage;

/// Addresses that the generator's sessions can have.
const ADDRESSES: usize = 1_100;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            for scenario in SCENARIOS {
                eprintln!("  {}  {}", scenario.letter(), scenario.title(Size::Full));
            }
            return ExitCode::FAILURE;
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    if !nix::unistd::Uid::effective().is_root() {
        return Err(Failure::Daemon(
            "this makes network namespaces: run it as root".to_owned(),
        ));
    }
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).map_err(std::io::Error::from)?;
    setrlimit(Resource::RLIMIT_NOFILE, most.min(65_536), most).map_err(std::io::Error::from)?;
    let stonechat = fs::canonicalize(&options.stonechat).unwrap_or_else(|_| options.stonechat.clone());
    let daemons: Vec<Kind> = options
        .daemons
        .iter()
        .copied()
        .filter(|kind| kind.installed(&stonechat))
        .collect();
    let facts = facts(&daemons, &stonechat);
    for (name, value) in &facts {
        println!("{name}: {value}");
    }
    for missing in options.daemons.iter().filter(|kind| !daemons.contains(kind)) {
        println!("{}: not installed, left out", missing.name());
    }
    let bench = Bench {
        lab: lab::Lab::build(ADDRESSES)?,
        size: options.size,
        stonechat,
        limit: options.limit,
        recorded: options.table.clone(),
        before: options.before.clone(),
        duration: options.duration,
        sips: !options.stuck,
    };
    let mut runs = Vec::new();
    let mut ended = Ok(());
    'all: for scenario in &options.scenarios {
        println!("\n{}: {}", scenario.letter(), scenario.title(options.size));
        for round in 1..=options.runs {
            for kind in &daemons {
                let result = match scenario.run(&bench, *kind) {
                    Err(Failure::Interrupted) => {
                        ended = Err(Failure::Interrupted);
                        break 'all;
                    }
                    other => other.map_err(|failure| failure.to_string()),
                };
                println!("  run {round}, {}: {}", kind.name(), line(&result));
                runs.push(Run {
                    scenario: *scenario,
                    kind: *kind,
                    result,
                });
            }
        }
    }
    for scenario in &options.scenarios {
        println!("\n{}", report::table(*scenario, options.size, &runs));
    }
    if let Some(path) = &options.json {
        fs::write(path, report::json(&facts, options.size, &runs))?;
    }
    ended
}

fn line(result: &Result<scenario::Outcome, String>) -> String {
    match result {
        Ok(outcome) => {
            let figures = outcome
                .figures
                .iter()
                .map(|(name, value)| format!("{name} {value:.3}"));
            let complaint = outcome.complaint.iter().map(|text| format!("COMPLAINT: {text}"));
            figures.chain(complaint).collect::<Vec<_>>().join(", ")
        }
        Err(error) => error.clone(),
    }
}

/// The machine, and each daemon's version and settings.
fn facts(daemons: &[Kind], stonechat: &std::path::Path) -> Vec<(String, String)> {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models = || cpus.lines().filter(|line| line.starts_with("model name"));
    let model = models()
        .next()
        .and_then(|line| line.split(": ").nth(1))
        .unwrap_or("unknown");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<u64>().ok())
        .unwrap_or(0)
        >> 20;
    let machine = format!(
        "{} x {model}, {memory} GiB, Linux {}",
        models().count(),
        kernel.trim()
    );
    let versions = daemons.iter().map(|kind| {
        (
            kind.name().to_owned(),
            format!("{}; {}", kind.version(stonechat), kind.settings()),
        )
    });
    std::iter::once(("machine".to_owned(), machine))
        .chain(versions)
        .collect()
}
