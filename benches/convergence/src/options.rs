//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use crate::daemon::{KINDS, Kind};
use crate::scenario::{SCENARIOS, Scenario, Size, USUAL};

pub const USAGE: &str = "\
usage: cargo xtask bench convergence [OPTIONS]      (as root: it makes network namespaces)

  --quick                  smaller tables, fewer receivers
  --scenario A,B           which scenarios; A to F and M by default
  --daemon stonechat,bird  which daemons; all that are installed by default
  --self                   also the load generator against itself
  --runs N                 runs of each, in turn; medians are shown (3)
  --limit SECONDS          how long a run may take before it counts as lost (120)
  --table FILE             a recorded table (MRT, also .bz2 or .gz) where one would be made up
  --seconds N              how long the slow reader of S is watched, and N churns (60)
  --stuck                  in S, it reads nothing at all
  --json FILE              all figures of all runs
  --stonechat FILE         the program to measure
  --before COMMAND         run by sh before the clock starts; $1 is the daemon's process id

what the letters mean:";

pub struct Options {
    pub size: Size,
    pub scenarios: Vec<Scenario>,
    pub daemons: Vec<Kind>,
    pub runs: usize,
    pub limit: Duration,
    pub table: Option<PathBuf>,
    pub json: Option<PathBuf>,
    pub stonechat: PathBuf,
    pub before: Option<String>,
    pub duration: Duration,
    pub stuck: bool,
}

impl Options {
    /// Reads the arguments, or says what is wrong with them.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            size: Size::Full,
            scenarios: SCENARIOS[..USUAL].to_vec(),
            daemons: KINDS.to_vec(),
            runs: 3,
            limit: Duration::from_secs(120),
            table: None,
            json: None,
            stonechat: PathBuf::from("target/release/stonechat"),
            before: None,
            duration: Duration::from_secs(60),
            stuck: false,
        };
        let mut alone = false;
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .ok_or_else(|| format!("{argument} takes a value"))
            };
            match argument.as_str() {
                "--quick" => options.size = Size::Quick,
                "--self" => alone = true,
                "--scenario" => options.scenarios = list(&value()?, Scenario::of)?,
                "--daemon" => options.daemons = list(&value()?, Kind::of)?,
                "--runs" => options.runs = number(&value()?)?.max(1) as usize,
                "--limit" => options.limit = Duration::from_secs(number(&value()?)?),
                "--table" => options.table = Some(value()?.into()),
                "--seconds" => options.duration = Duration::from_secs(number(&value()?)?),
                "--stuck" => options.stuck = true,
                "--json" => options.json = Some(value()?.into()),
                "--stonechat" => options.stonechat = value()?.into(),
                "--before" => options.before = Some(value()?),
                other => return Err(format!("no such option: {other}")),
            }
        }
        if alone && !options.daemons.contains(&Kind::Nobody) {
            options.daemons.push(Kind::Nobody);
        }
        Ok(options)
    }
}

fn list<T>(text: &str, of: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, String> {
    text.split(',')
        .map(|name| of(name).ok_or_else(|| format!("no such thing: {name}")))
        .collect()
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("not a number: {text}"))
}
