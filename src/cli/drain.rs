//! `stonechat drain`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::span::span;
use super::table::{Column, Table};
use super::{Error, Terminal};
use crate::config::parse_duration;
use crate::control::{Failure, Request, Response};
use crate::drain::{Stage, Status, Target};

/// Between two looks at whether it is done.
const PAUSE: Duration = Duration::from_millis(200);

/// What to drain or undrain; one kind at a time.
#[derive(Debug, Default, clap::Args)]
#[group(multiple = false)]
pub(super) struct Which {
    /// This VIP; may be given several times
    #[arg(long, value_name = "NAME")]
    vip: Vec<String>,
    /// All that this peer is told and tells, by its name or address; may be given several times
    #[arg(long, value_name = "PEER")]
    peer: Vec<String>,
    /// Every VIP and every peer
    #[arg(long)]
    all: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    which: Which,
    /// How long it is still announced, as the last choice, so that others can move away
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    settle: Duration,
    /// Shut the peers' sessions down at the end, with this text for their logs (RFC 9003)
    #[arg(long, value_name = "TEXT", conflicts_with = "vip")]
    shutdown: Option<String>,
    /// Return when it is withdrawn
    #[arg(long)]
    wait: bool,
}

impl Which {
    pub(super) fn targets(&self) -> Vec<Target> {
        if self.all {
            return vec![Target::All];
        }
        let vips = self.vip.iter().map(|name| Target::Vip(Arc::from(name.as_str())));
        let peers = self
            .peer
            .iter()
            .map(|name| Target::Peer(Arc::from(name.as_str())));
        vips.chain(peers).collect()
    }
}

pub(super) fn execute(arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<(), Error> {
    let targets = arguments.which.targets();
    if targets.is_empty() {
        let drains = ask(terminal, &Request::Drains)?;
        return show(terminal, &drains);
    }
    let mut drains = ask(
        terminal,
        &Request::Drain {
            targets,
            settle_ms: u64::try_from(arguments.settle.as_millis()).unwrap_or(u64::MAX),
            shutdown: arguments.shutdown.clone(),
        },
    )?;
    while arguments.wait && drains.iter().any(|drain| drain.stage == Stage::Settling) {
        std::thread::sleep(PAUSE);
        let all = ask(terminal, &Request::Drains)?;
        drains = drains
            .iter()
            .map(|drain| still(drain, &all))
            .collect::<Result<_, _>>()?;
    }
    show(terminal, &drains)
}

fn ask(terminal: &Terminal<'_>, request: &Request) -> Result<Vec<Status>, Error> {
    match terminal.client.ask(request)? {
        Response::Drains(drains) => Ok(drains),
        _ => Err(Error::Answer(String::from("it is no list of drains"))),
    }
}

/// The drain as it stands; somebody may have ended it while we waited.
fn still(drain: &Status, all: &[Status]) -> Result<Status, Error> {
    let found = all.iter().find(|status| status.target == drain.target).cloned();
    found.ok_or_else(|| {
        Error::Refused(Failure::Other {
            text: format!("{} was undrained meanwhile", drain.target),
        })
    })
}

fn show(terminal: &mut Terminal<'_>, drains: &[Status]) -> Result<(), Error> {
    let now = terminal.output.now_unix_s();
    terminal.output.print(&json!(drains), |_| text(drains, now))
}

fn text(drains: &[Status], now_unix_s: u64) -> String {
    if drains.is_empty() {
        return String::from("nothing is drained; name it with --vip, --peer or --all\n");
    }
    let mut table = Table::new([
        Column::Left("TARGET"),
        Column::Left("STATE"),
        Column::Right("SINCE"),
        Column::Right("WITHDRAWN IN"),
        Column::Left("SHUTDOWN"),
    ]);
    for drain in drains {
        let left = match drain.stage {
            Stage::Settling => span(drain.settled_unix_s.saturating_sub(now_unix_s)),
            Stage::Withdrawn => String::from("-"),
        };
        table.row([
            drain.target.to_string(),
            drain.stage.to_string(),
            span(now_unix_s.saturating_sub(drain.since_unix_s)),
            left,
            drain.shutdown.clone().unwrap_or_else(|| String::from("-")),
        ]);
    }
    table.text()
}

fn time(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| format!("`{text}` is not a duration such as \"10s\" or \"500ms\""))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::cli::testing::Daemon;

    #[test]
    fn waiting_ends_when_it_is_withdrawn() {
        let asked = AtomicU32::new(0);
        let daemon = Daemon::new(move |request| {
            let stage = match request {
                Request::Drain {
                    targets, settle_ms, ..
                } => {
                    assert_eq!((targets, settle_ms), (vec![Target::Vip("shop".into())], 500));
                    Stage::Settling
                }
                Request::Drains if asked.fetch_add(1, Ordering::SeqCst) == 0 => Stage::Settling,
                Request::Drains => Stage::Withdrawn,
                other => panic!("{other:?}"),
            };
            Response::Drains(vec![status(stage)])
        });
        let printed = daemon.text(|terminal| execute(&arguments(), terminal));
        assert!(printed.contains("vip shop  drained"), "{printed}");
    }

    #[test]
    fn waiting_for_what_somebody_undrains_is_a_failure() {
        let daemon = Daemon::new(|request| match request {
            Request::Drain { .. } => Response::Drains(vec![status(Stage::Settling)]),
            _ => Response::Drains(vec![]),
        });
        let (_, done) = daemon.ask(false, |terminal| execute(&arguments(), terminal));
        assert_eq!(done.unwrap_err(), "vip shop was undrained meanwhile");
    }

    #[test]
    fn without_a_target_it_shows_what_is_drained() {
        let daemon = Daemon::new(|request| match request {
            Request::Drains => Response::Drains(vec![status(Stage::Settling)]),
            other => panic!("{other:?}"),
        });
        let shown = Arguments {
            which: Which::default(),
            ..arguments()
        };
        assert_eq!(
            daemon.text(|terminal| execute(&shown, terminal)),
            "\
TARGET    STATE     SINCE  WITHDRAWN IN  SHUTDOWN
vip shop  draining    10s            5s  -
"
        );
        assert_eq!(
            daemon.json(|terminal| execute(&shown, terminal))[0]["target"]["vip"],
            "shop"
        );
    }

    fn arguments() -> Arguments {
        Arguments {
            which: Which {
                vip: vec!["shop".into()],
                ..Which::default()
            },
            settle: Duration::from_millis(500),
            shutdown: None,
            wait: true,
        }
    }

    fn status(stage: Stage) -> Status {
        Status {
            target: Target::Vip("shop".into()),
            stage,
            since_unix_s: 999_990,
            settled_unix_s: 1_000_005,
            shutdown: None,
        }
    }
}
