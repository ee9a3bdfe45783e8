//! `stonechat reload`: what SIGHUP does, and its plan.

use super::{Error, Terminal};
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
}

pub(super) fn execute(arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<(), Error> {
    let Arguments { dry_run, no_reset } = *arguments;
    show_plan(
        &Request::Reload {
            file: None,
            dry_run,
            no_reset,
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
    format!("{heading}{lines}")
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
                applied: !dry_run,
            })
        });
        let reload = |dry_run| {
            daemon.text(|terminal| {
                execute(
                    &Arguments {
                        dry_run,
                        no_reset: false,
                    },
                    terminal,
                )
            })
        };
        assert_eq!(
            reload(false),
            "reloaded:\n  peer f5-a: max_prefixes 100 -> 200: live\n"
        );
        assert_eq!(
            reload(true),
            "would change:\n  peer f5-a: max_prefixes 100 -> 200: live\n"
        );
    }

    #[test]
    fn the_same_file_changes_nothing() {
        let daemon = Daemon::new(|_| {
            Response::Plan(Plan {
                changes: vec![],
                applied: true,
            })
        });
        let arguments = Arguments {
            dry_run: false,
            no_reset: false,
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
