//! `stonechat reload`: what SIGHUP does, and its plan.

use std::time::Duration;

use super::{Error, Terminal};
use crate::config::parse_duration;
use crate::control::show::Plan;
use crate::control::{Request, Response};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only print what would change
    #[arg(long)]
    dry_run: bool,
    /// Change nothing if that would reset a session
    #[arg(long)]
    no_reset: bool,
    /// Go back after this time unless `stonechat confirm` comes first: 60s
    #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with = "dry_run")]
    confirm: Option<Duration>,
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text).filter(|time| (1..=86_400).contains(&time.as_secs()));
    time.ok_or_else(|| format!("{text:?} is no time from 1s to 24h, such as 60s or 5m"))
}

pub(super) fn execute(arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<(), Error> {
    let Arguments {
        dry_run,
        no_reset,
        confirm,
    } = *arguments;
    show_plan(
        &Request::Reload {
            file: None,
            dry_run,
            no_reset,
            confirm_s: confirm.map(|time| time.as_secs()),
        },
        terminal,
    )
}

/// Asks for a reload, or for what it would do, and prints the plan.
pub(super) fn show_plan(request: &Request, terminal: &mut Terminal<'_>) -> Result<(), Error> {
    match terminal.client.ask(request)? {
        Response::Plan(plan) => terminal.output.print(&plan, text),
        _ => Err(Error::Answer(String::from("it is no plan"))),
    }
}

fn text(plan: &Plan) -> String {
    let heading = match (plan.changes.is_empty(), plan.applied) {
        (true, _) => "",
        (false, true) => "reloaded:\n",
        (false, false) => "would change:\n",
    };
    let lines = plan.text();
    let indent = if heading.is_empty() { "" } else { "  " };
    let lines: String = lines.lines().map(|line| format!("{indent}{line}\n")).collect();
    let until = plan.confirm_s.map_or_else(String::new, |seconds| {
        format!("undone in {seconds} s unless `stonechat confirm` comes first\n")
    });
    let warnings: String = plan
        .warnings
        .iter()
        .map(|warning| format!("{warning}\n"))
        .collect();
    format!("{heading}{lines}{until}{warnings}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::Daemon;
    use crate::control::Failure;
    use crate::control::show::PlannedChange;

    #[test]
    fn the_plan_is_printed_as_done_or_as_planned() {
        let daemon = Daemon::new(|request| {
            let Request::Reload { dry_run, .. } = request else {
                panic!("{request:?}")
            };
            Response::Plan(Plan {
                changes: changes(),
                warnings: vec!["node.toml:9:1: warning: no peer uses filter `own`".into()],
                applied: !dry_run,
                confirm_s: None,
            })
        });
        let reload = |dry_run| {
            daemon.text(|terminal| {
                execute(
                    &Arguments {
                        dry_run,
                        no_reset: false,
                        confirm: None,
                    },
                    terminal,
                )
            })
        };
        assert_eq!(
            reload(false),
            "reloaded:\n  peer f5-a: max_prefixes 100 -> 200: live\n\
             node.toml:9:1: warning: no peer uses filter `own`\n"
        );
        assert_eq!(
            reload(true),
            "would change:\n  peer f5-a: max_prefixes 100 -> 200: live\n\
             node.toml:9:1: warning: no peer uses filter `own`\n"
        );
    }

    #[test]
    fn the_same_file_changes_nothing() {
        let daemon = Daemon::new(|_| {
            Response::Plan(Plan {
                changes: vec![],
                warnings: vec![],
                applied: true,
                confirm_s: None,
            })
        });
        let arguments = Arguments {
            dry_run: false,
            no_reset: false,
            confirm: None,
        };
        assert_eq!(
            daemon.text(|terminal| execute(&arguments, terminal)),
            "nothing changes\n"
        );
    }

    #[test]
    fn a_wrong_file_is_a_failure_with_its_text() {
        let daemon = Daemon::new(|_| {
            Response::Failed(Failure::Configuration {
                text: "node.toml:4:3: no key `pear`".into(),
            })
        });
        let arguments = Arguments {
            dry_run: false,
            no_reset: false,
            confirm: None,
        };
        let (_, refused) = daemon.ask(false, |terminal| execute(&arguments, terminal));
        assert_eq!(refused, Err("node.toml:4:3: no key `pear`".into()));
    }

    fn changes() -> Vec<PlannedChange> {
        vec![PlannedChange {
            what: "peer f5-a: max_prefixes 100 -> 200".into(),
            effect: "live".into(),
        }]
    }
}
