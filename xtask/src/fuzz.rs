//! Fuzzing and Miri: with a nightly toolchain alone, so that nothing else needs to be installed.

use anyhow::{Context as _, Result, bail};

use crate::run::{self, Step};

/// One for each way in which octets or text from outside come in.
const TARGETS: [&str; 6] = ["message", "update", "open", "mrt", "text", SESSION];
/// The one that takes the whole daemon, behind a feature so that the others build without it.
const SESSION: &str = "session";

/// What tells libFuzzer which paths an input took. No sanitizer: the codec has no unsafe code, and without one it runs
/// several times as often; overflow and debug assertions are on.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// Octets of an input at most: more than the longest message, so that lengths can be exceeded.
const MAX_LEN: u32 = 70_000;
/// The same of the target that plays whole sessions, each octet a part of what happens.
const MAX_PLAY: u32 = 4_096;
/// An input that takes longer than this many seconds is a finding.
const SLOW_S: u32 = 5;
/// Memory that is a finding.
const MEMORY_MIB: u32 = 1024;
/// Octets of an input at most that goes into the repository.
const SMALL: u32 = 512;

const USAGE: &str = "usage: cargo xtask fuzz [TARGET] [--minutes N] | fuzz --minimise [TARGET]";

struct Arguments {
    targets: Vec<&'static str>,
    minutes: u32,
    minimise: bool,
}

/// Fuzzes one target or each in turn; a finding ends it and stays in `fuzz/artifacts`.
pub(crate) fn run(rest: &[String]) -> Result<()> {
    let arguments = Arguments::parse(rest)?;
    need(
        "--version",
        "a nightly toolchain: rustup toolchain install nightly",
    )?;
    let host = host()?;
    for target in &arguments.targets {
        build(target, &host).run()?;
        let found = format!("fuzz/target/corpus/{target}");
        let artifacts = format!("fuzz/artifacts/{target}");
        for directory in [&found, &artifacts] {
            std::fs::create_dir_all(directory).with_context(|| format!("cannot create {directory}"))?;
        }
        let binary = format!("fuzz/target/{host}/release/{target}");
        let kept = format!("fuzz/corpus/{target}");
        let step = if arguments.minimise {
            Step::program(
                &binary,
                &format!("-set_cover_merge=1 -max_len={SMALL} {kept} {found}"),
            )
        } else {
            let seconds = arguments.minutes.saturating_mul(60);
            let max_len = if *target == SESSION { MAX_PLAY } else { MAX_LEN };
            Step::program(
                &binary,
                &format!(
                    "-max_total_time={seconds} -max_len={max_len} -timeout={SLOW_S} -rss_limit_mb={MEMORY_MIB} \
                     -artifact_prefix={artifacts}/ -print_final_stats=1 {found} {kept}"
                ),
            )
        };
        step.run()?;
    }
    Ok(())
}

/// The codec's unit tests under Miri, which sees undefined behaviour wherever a dependency might have it.
pub(crate) fn miri(rest: &[String]) -> Result<()> {
    need(
        "miri --version",
        "Miri, which this toolchain does not have: rustup +nightly component add miri",
    )?;
    run::all(&[Step::cargo("+nightly miri test -p bgp-codec --lib")
        .with("MIRIFLAGS", "-Zmiri-disable-isolation")
        .and(rest)])
}

impl Arguments {
    fn parse(rest: &[String]) -> Result<Self> {
        let mut parsed = Self {
            targets: TARGETS.to_vec(),
            minutes: 1,
            minimise: false,
        };
        let mut words = rest.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--minutes" => {
                    let minutes = words.next().context(USAGE)?;
                    parsed.minutes = minutes
                        .parse()
                        .with_context(|| format!("not a number of minutes: {minutes:?}"))?;
                }
                "--minimise" => parsed.minimise = true,
                name => match TARGETS.iter().find(|target| **target == name) {
                    Some(target) => parsed.targets = vec![target],
                    None => bail!("no such target: {name:?}, only {}\n{USAGE}", TARGETS.join(", ")),
                },
            }
        }
        Ok(parsed)
    }
}

fn build(target: &str, host: &str) -> Step {
    let features = if target == SESSION {
        " --features session"
    } else {
        ""
    };
    // The flags hold only for a named target, and so not for build scripts.
    Step::cargo(&format!(
        "+nightly build --release --manifest-path fuzz/Cargo.toml --bin {target} --target {host}{features}"
    ))
    .with("RUSTFLAGS", COVERAGE)
}

/// Fails with what is missing unless `cargo +nightly` takes the arguments.
fn need(arguments: &str, what: &str) -> Result<()> {
    let mut cargo = std::process::Command::new("cargo");
    let asked = cargo.arg("+nightly").args(arguments.split_whitespace()).output();
    if asked.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    bail!("this takes {what}")
}

/// What `rustc` calls this machine.
fn host() -> Result<String> {
    let output = std::process::Command::new("rustc")
        .args(["+nightly", "-vV"])
        .output()
        .context("cannot run rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .context("rustc does not say what machine this is")
}
