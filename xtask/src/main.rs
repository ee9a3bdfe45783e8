//! Repository tasks: `cargo xtask <check|test|interop|sim|fuzz|miri|bench|rfc>`.
//!
//! Each verb is plain commands underneath, printed before they run, so that anybody can type them. The one verb
//! with logic of its own is `rfc`, which lists what the code cites.
#![expect(
    clippy::print_stdout,
    reason = "a command line tool speaks on standard output"
)]
#![expect(
    clippy::print_stderr,
    reason = "a command line tool complains on standard error"
)]

mod bench;
mod bench_codec;
mod daemons;
mod fuzz;
mod rfc;
mod run;

use std::{env, path::Path, process::ExitCode};

use anyhow::{Context as _, Result, bail};

use run::Step;

const USAGE: &str = "\
usage: cargo xtask VERB [ARGUMENTS]

  check     format, lints, documentation, layering; every warning is an error
  test      everything that is tested; as root it first installs the daemons that are missing (Debian)
  interop   only the scenarios against other BGP daemons; with --matrix all of the matrix, which writes docs/interop.md
  sim       many seeds of the simulation, optimised: cargo xtask sim [SEEDS]; a thousand of each scenario by default
  fuzz      fuzz the decoder: cargo xtask fuzz [TARGET] [--minutes N], or --minimise; takes a nightly toolchain
  miri      the codec's unit tests under Miri; takes a nightly toolchain with it
  bench     the benchmarks; `bench convergence`, `kernel` and `vips`, as root, measure beside other daemons; `bench policy` filters
            and reloads
  rfc       what the code cites: RFC citations and deviations, by document";

fn main() -> ExitCode {
    match verb() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn verb() -> Result<()> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = manifest
        .parent()
        .context("xtask lives one folder below the workspace")?;
    env::set_current_dir(root).context("cannot enter the workspace")?;
    let mut arguments = env::args().skip(1);
    let verb = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    match verb.as_str() {
        "check" => check(),
        "test" => {
            daemons::provide()?;
            run::all(&[Step::cargo("test --workspace").and(&rest)])
        }
        "interop" => {
            daemons::provide()?;
            interop(&rest)
        }
        "sim" => {
            let seeds = rest.first().map_or("1000", String::as_str);
            let run = Step::cargo("test --release --test sim").with("SIM_SEEDS", seeds);
            run::all(&[run])
        }
        "fuzz" => fuzz::run(&rest),
        "miri" => fuzz::miri(&rest),
        "bench" => bench::run(&rest),
        "rfc" => rfc::list(),
        _ => bail!("no such verb: {verb:?}\n{USAGE}"),
    }
}

/// The scenarios, or with `--matrix` every feature with every daemon, which takes minutes.
fn interop(rest: &[String]) -> Result<()> {
    if rest.iter().any(|argument| argument == "--matrix") {
        let page = "test --test interop -- matrix::the_page --ignored --nocapture";
        return run::all(&[Step::cargo(page)]);
    }
    run::all(&[Step::cargo("test --test interop -- --nocapture").and(rest)])
}

fn check() -> Result<()> {
    run::all(&[
        Step::cargo("fmt --all --check"),
        Step::cargo("clippy --workspace --all-targets -- -D warnings"),
        Step::cargo("doc --workspace --no-deps --document-private-items").with("RUSTDOCFLAGS", "-D warnings"),
        Step::cargo("test --quiet --test tidy"),
    ])
}
