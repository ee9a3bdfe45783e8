//! What is measured: who sends what to whom, when the clock starts, and when it stops.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::daemon::{Daemon, Kind, Peer};
use crate::engine::{Engine, Trouble};
use crate::lab::Lab;
use crate::relay::Relay;
use crate::table::Table;
use crate::usage;

mod cluster;
mod latency;
mod load;
mod reconnect;
mod sessions;
mod slow;

/// The scenarios, in the order they run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scenario {
    FullTable,
    BestPath,
    Reflector,
    Cluster,
    Latency,
    Reconnect,
    Mixed,
    Slow,
    Greedy,
    Sessions,
}

pub const SCENARIOS: [Scenario; 10] = [
    Scenario::FullTable,
    Scenario::BestPath,
    Scenario::Reflector,
    Scenario::Cluster,
    Scenario::Latency,
    Scenario::Reconnect,
    Scenario::Mixed,
    Scenario::Slow,
    Scenario::Greedy,
    Scenario::Sessions,
];

/// How many of them run unless asked otherwise: the others take minutes.
pub const USUAL: usize = 7;

impl Scenario {
    pub fn letter(self) -> &'static str {
        match self {
            Self::FullTable => "A",
            Self::BestPath => "B",
            Self::Reflector => "C",
            Self::Cluster => "D",
            Self::Latency => "E",
            Self::Reconnect => "F",
            Self::Mixed => "M",
            Self::Slow => "S",
            Self::Greedy => "G",
            Self::Sessions => "N",
        }
    }

    pub fn of(letter: &str) -> Option<Self> {
        SCENARIOS
            .into_iter()
            .find(|scenario| scenario.letter().eq_ignore_ascii_case(letter))
    }

    /// What it does, with its sizes.
    pub fn title(self, size: Size) -> String {
        let text = |full, quick| if size == Size::Full { full } else { quick };
        match self {
            Self::FullTable => format!(
                "full table: 1 eBGP sender x {} prefixes -> 1 receiver",
                text("1,000,000", "100,000")
            ),
            Self::BestPath => {
                format!(
                    "best path: 8 eBGP senders x the same {} prefixes, different paths -> 1 receiver",
                    text("500,000", "50,000")
                )
            }
            Self::Reflector => {
                format!(
                    "reflector: 2 iBGP clients send {} -> {} clients",
                    text("100,000", "20,000"),
                    text("100", "50")
                )
            }
            Self::Cluster => {
                format!(
                    "cluster: {} iBGP clients, each sends 4 blocks and 2 shared VIPs, all get all; then drains",
                    text("400", "100")
                )
            }
            Self::Latency => {
                format!(
                    "latency: a probe comes and goes, {} prefixes loaded, 2,000 flaps/s",
                    text("500,000", "50,000")
                )
            }
            Self::Reconnect => format!(
                "reconnect: a receiver comes back, {} prefixes loaded",
                text("500,000", "50,000")
            ),
            Self::Mixed => format!(
                "mixed: as C, a tenth of the {} clients with filters of their own, a tenth with Add-Path",
                text("100", "50")
            ),
            Self::Slow => format!(
                "slow: one of {} reflector clients hardly reads, 2,000 changes/s",
                text("100", "20")
            ),
            Self::Greedy => format!(
                "greedy: as E, but one peer makes 10,000 changes/s, {} prefixes loaded",
                text("500,000", "50,000")
            ),
            Self::Sessions => format!(
                "sessions: {} reflector clients with hold time 9 s, {} prefixes are loaded to all, then churn",
                text("1,000", "200"),
                text("1,000,000", "100,000")
            ),
        }
    }

    pub fn run(self, bench: &Bench, kind: Kind) -> Result<Outcome, Failure> {
        match self {
            Self::FullTable | Self::BestPath | Self::Reflector | Self::Mixed => load::run(self, bench, kind),
            Self::Cluster => cluster::run(bench, kind),
            Self::Latency => latency::run(bench, kind, latency::FLAP_EVERY),
            Self::Greedy => latency::run(bench, kind, latency::CHANGE_EVERY),
            Self::Reconnect => reconnect::run(bench, kind),
            Self::Slow => slow::run(bench, kind),
            Self::Sessions => sessions::run(bench, kind),
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Size {
    Full,
    Quick,
}

/// What all runs share.
pub struct Bench {
    pub lab: Lab,
    pub size: Size,
    /// Stonechat's program.
    pub stonechat: PathBuf,
    /// How long a run may take before it counts as lost.
    pub limit: Duration,
    /// A recorded table to use where a generated one would be.
    pub recorded: Option<PathBuf>,
    /// Told the daemon's process id when the clock is about to start: a profiler, say.
    pub before: Option<String>,
    /// How long a slow reader is watched.
    pub duration: Duration,
    /// Whether it reads at all.
    pub sips: bool,
}

impl Bench {
    pub fn pick<T>(&self, full: T, quick: T) -> T {
        if self.size == Size::Full { full } else { quick }
    }

    /// A table of at most this many prefixes with so many sets of attributes.
    pub fn table(&self, prefixes: usize, sets: usize) -> std::io::Result<Table> {
        match &self.recorded {
            None => Ok(Table::generate(prefixes, sets)),
            Some(path) => {
                let mut table = crate::dump::read(path)?;
                table.truncate(prefixes);
                Ok(table)
            }
        }
    }
}

/// The figures of one run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Name, value, unit; the first are the ones to compare.
    pub figures: Vec<(&'static str, f64)>,
    /// What was not as it should be.
    pub complaint: Option<String>,
}

impl Outcome {
    pub fn figure(&self, name: &str) -> Option<f64> {
        self.figures
            .iter()
            .find(|(own, _)| *own == name)
            .map(|(_, value)| *value)
    }
}

/// Why there are no figures.
pub enum Failure {
    /// The whole benchmark is to end.
    Interrupted,
    /// This daemon failed this scenario.
    Daemon(String),
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Interrupted => Self::Interrupted,
            other => Self::Daemon(other.to_string()),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Daemon(error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => f.write_str("interrupted"),
            Self::Daemon(text) => f.write_str(text),
        }
    }
}

/// Who stands in the middle.
pub enum Subject {
    Daemon(Daemon),
    Nobody(Relay),
}

impl Subject {
    /// Starts the daemon, or the thread that takes its place and sends `output` to every receiver.
    pub fn start(
        bench: &Bench,
        kind: Kind,
        peers: &[Peer],
        stand_in: impl FnOnce() -> Relay,
    ) -> Result<Self, Failure> {
        if kind == Kind::Nobody {
            return Ok(Self::Nobody(stand_in()));
        }
        Ok(Self::Daemon(Daemon::start(
            kind,
            &bench.stonechat,
            &bench.lab,
            peers,
        )?))
    }

    pub fn cpu_seconds(&self) -> f64 {
        match self {
            Self::Daemon(daemon) => daemon.cpu_seconds(),
            Self::Nobody(relay) => relay.cpu_seconds(),
        }
    }

    /// Seconds that it and the generator waited for a core.
    pub fn queued_seconds(&self) -> f64 {
        match self {
            Self::Daemon(daemon) => usage::queued_seconds(&daemon.pids),
            Self::Nobody(_) => usage::queued_seconds(&[]),
        }
    }

    /// Peak and present, in MiB.
    pub fn memory_mib(&self) -> (f64, f64) {
        match self {
            Self::Daemon(daemon) => daemon.memory_mib(),
            Self::Nobody(_) => (0.0, 0.0),
        }
    }

    /// Adds to a failure what the daemon itself said of it.
    pub fn blame(&mut self, failure: Failure) -> Failure {
        match (failure, self) {
            (Failure::Daemon(text), Self::Daemon(daemon)) => {
                let state = if daemon.running() {
                    "its log ends"
                } else {
                    "it has ended; its log ends"
                };
                Failure::Daemon(format!("{text}; {state}: {}", daemon.last_words()))
            }
            (failure, _) => failure,
        }
    }

    /// Runs the command to run before the clock starts, with the daemon's process id as its argument.
    pub fn prepare(&self, bench: &Bench) -> Result<(), Failure> {
        if let (Some(command), Self::Daemon(daemon)) = (&bench.before, self) {
            let pid = daemon.pids.first().map_or_else(String::new, ToString::to_string);
            std::process::Command::new("sh")
                .args(["-c", command, "before", &pid])
                .status()?;
        }
        Ok(())
    }
}

/// Waits until sessions have settled: what daemons have to say after Established is said.
pub fn settle(engine: &mut Engine) -> Result<(), Trouble> {
    engine.run_for(Duration::from_millis(700))
}
