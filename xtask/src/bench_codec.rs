//! `cargo xtask bench codec`: the table of times beside other crates, or the count of instructions.
//!
//! Times say who is faster on a quiet machine; instructions show a regression on any. They are held in a file of the
//! repository, one line a reader and stream.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::run::{self, Step};

const MANIFEST: &str = "benches/codec/Cargo.toml";
const RECORD: &str = "benches/codec/instructions.toml";
/// By how much a figure may grow before it is called a regression.
const TOLERANCE: f64 = 1.03;
const HEADING: &str = "\
# Instructions for an UPDATE, as `cargo xtask bench codec --instructions` counts them with callgrind; written anew by
# `--instructions --record`.
";

/// Counts instructions with `--instructions`, also into the record with `--record` behind it; else measures times.
pub(crate) fn run(options: &[String]) -> Result<()> {
    let words: Vec<&str> = options.iter().map(String::as_str).collect();
    match &words[..] {
        ["--instructions"] => instructions(false),
        ["--instructions", "--record"] => instructions(true),
        _ => run::all(&[Step::cargo("bench --features others --manifest-path")
            .and(&[MANIFEST.to_owned(), "--".to_owned()])
            .and(options)]),
    }
}

fn instructions(record: bool) -> Result<()> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        bail!("counting instructions takes valgrind, which this machine does not have; nothing was compared");
    }
    let program = build()?;
    let listed = output(Command::new(&program).arg("--list"))?.0;
    let known = read_record();
    if known.is_empty() && !record {
        bail!(
            "{RECORD} holds no figures to compare with: `cargo xtask bench codec --instructions --record` writes them"
        );
    }
    let mut found = BTreeMap::new();
    let mut grown = Vec::new();
    println!("{:44} {:>10} {:>10}", "stream / reader", "recorded", "counted");
    for line in listed.lines() {
        let (reader, stream) = line
            .split_once('\t')
            .context("the bench lists readers and streams")?;
        let key = format!("{stream} / {reader}");
        let counted = count(&program, reader, stream)?;
        let before = known.get(&key).copied();
        println!(
            "{key:44} {:>10} {counted:>10.1}",
            before.map_or(String::new(), |before| format!("{before:.1}"))
        );
        if before.is_some_and(|before| has_grown(before, counted)) {
            grown.push(key.clone());
        }
        found.insert(key, counted);
    }
    if record {
        let lines = found
            .iter()
            .map(|(key, counted)| format!("{key:?} = {counted:.1}\n"));
        fs::write(RECORD, HEADING.to_owned() + &lines.collect::<String>()).context(RECORD)?;
        return Ok(());
    }
    if !grown.is_empty() {
        bail!(
            "more than 3 % more instructions than recorded: {}",
            grown.join(", ")
        );
    }
    Ok(())
}

fn has_grown(before: f64, counted: f64) -> bool {
    counted > before * TOLERANCE
}

fn read_record() -> BTreeMap<String, f64> {
    parse(&fs::read_to_string(RECORD).unwrap_or_default())
}

fn parse(text: &str) -> BTreeMap<String, f64> {
    text.lines()
        .filter_map(|line| line.rsplit_once(" = "))
        .filter_map(|(key, value)| Some((key.trim_matches('"').to_owned(), value.parse().ok()?)))
        .collect()
}

/// Builds the bench without the other crates; yields its program.
fn build() -> Result<String> {
    let mut cargo = Command::new("cargo");
    cargo.args(["bench", "--no-run", "--manifest-path", MANIFEST]);
    let told = output(&mut cargo)?.1;
    // `Executable benches/codec.rs (PATH)`, where the path begins here.
    let named = told.rsplit_once('(').and_then(|(_, rest)| rest.split_once(')'));
    let (program, _) = named.context("cargo names the program it built")?;
    Ok(program.to_owned())
}

/// What one UPDATE takes: the difference between reading the stream once and three times.
fn count(program: &str, reader: &str, stream: &str) -> Result<f64> {
    let total = |times: &str| -> Result<(f64, f64)> {
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", program]);
        let (updates, told) = output(valgrind.args(["--count", reader, stream, times]))?;
        let collected = told
            .rsplit_once("Collected :")
            .context("callgrind says what it collected")?
            .1;
        let collected = collected.split_whitespace().next().unwrap_or_default();
        Ok((collected.parse()?, updates.trim().parse()?))
    };
    let (once, updates) = total("1")?;
    let (thrice, _) = total("3")?;
    Ok((thrice - once) / (2.0 * updates))
}

/// Standard output and standard error of a command that succeeds.
fn output(command: &mut Command) -> Result<(String, String)> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !output.status.success() {
        bail!("{command:?} failed: {}", text(&output.stderr));
    }
    Ok((text(&output.stdout), text(&output.stderr)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_tolerance_is_a_regression() {
        let record = parse("# heading\n\"withdrawals / bgp-codec, visitor\" = 100.0\n");
        let before = record["withdrawals / bgp-codec, visitor"];
        assert!(!has_grown(before, 102.9));
        assert!(has_grown(before, 103.1));
    }

    #[test]
    fn the_committed_record_has_a_figure_for_each_reader_and_stream() {
        let record = parse(include_str!("../../benches/codec/instructions.toml"));
        assert_eq!(record.len(), 16);
        assert!(record.values().all(|counted| *counted > 0.0));
    }
}
