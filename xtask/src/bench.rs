//! The benchmarks that are programs of their own: `cargo xtask bench <codec|convergence|sessions|kernel|policy|vips> [OPTIONS]`.

use anyhow::Result;

use crate::bench_codec;
use crate::run::{self, Step};

const CONVERGENCE: &str = "benches/convergence/Cargo.toml";

/// Runs the benchmark that the first argument names, or those that cargo knows.
pub(crate) fn run(rest: &[String]) -> Result<()> {
    match rest.split_first() {
        Some((name, options)) if name == "codec" => bench_codec::run(options),
        Some((name, options)) if name == "convergence" => convergence(options),
        Some((name, options)) if name == "sessions" => sessions(options),
        Some((name, options)) if name == "kernel" => kernel(options),
        Some((name, options)) if name == "policy" => policy(options),
        Some((name, _)) if name == "vips" => vips(),
        _ => run::all(&[Step::cargo("bench --workspace").and(rest)]),
    }
}

/// Builds the daemon and the load generator as they ship, then runs the scenarios.
fn convergence(options: &[String]) -> Result<()> {
    let separator = std::iter::once("--".to_owned());
    let options: Vec<String> = separator.chain(options.iter().cloned()).collect();
    run::all(&[
        Step::cargo("build --release --bin stonechat"),
        Step::cargo("run --release --quiet --manifest-path")
            .and(&[CONVERGENCE.to_owned()])
            .and(&options),
    ])
}

/// A thousand sessions to one Stonechat, with a whole table and then churn: the same generator, one scenario.
fn sessions(options: &[String]) -> Result<()> {
    let fixed = ["--scenario", "N", "--daemon", "stonechat", "--runs", "1"].map(str::to_owned);
    convergence(&[&fixed[..], options].concat())
}

/// Installing, removing and importing, beside BIRD and FRR; as root, in namespaces of its own.
fn kernel(rest: &[String]) -> Result<()> {
    run::all(&[
        Step::cargo("build --release --bin stonechat"),
        Step::cargo("run --release --quiet --manifest-path benches/kernel/Cargo.toml --").and(rest),
    ])
}

/// What filters cost a route, and what their reload costs everybody.
fn policy(rest: &[String]) -> Result<()> {
    run::all(&[
        Step::cargo("build --release --bin stonechat"),
        Step::cargo("run --release --quiet --manifest-path benches/policy/Cargo.toml --").and(rest),
    ])
}

/// How soon a dead backend is withdrawn, beside ExaBGP's health check, and what 2,000 checks cost; as root, in namespaces.
fn vips() -> Result<()> {
    let measure = "test --test interop -- --ignored --nocapture --test-threads=1 vips::";
    run::all(&[
        Step::cargo("build --release --bin stonechat"),
        Step::cargo(measure).with("STONECHAT", "target/release/stonechat"),
    ])
}
