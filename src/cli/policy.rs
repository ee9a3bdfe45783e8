//! `stonechat policy test FILE`: filters tried out on routes, without a daemon.

use std::path::PathBuf;

use serde_json::json;

use super::{Error, Terminal};
use crate::config::{CaseResult, policy_test};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Try the cases of a file: route in, verdict and attributes out
    Test {
        /// The cases
        file: PathBuf,
    },
}

pub(super) fn execute(arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<(), Error> {
    let What::Test { file } = &arguments.what;
    let results = policy_test(file, &|name| std::env::var(name).ok());
    let results = results.map_err(|report| Error::Configuration(report.to_string()))?;
    let failed = results.iter().filter(|result| !result.wrong.is_empty()).count();
    let json = json!({ "passed": results.len() - failed, "failed": failed, "cases": results });
    terminal.output.print(&json, |_| text(&results))?;
    if failed == 0 {
        return Ok(());
    }
    let cases = results.len();
    Err(Error::Configuration(format!(
        "{failed} of {cases} cases are not as expected"
    )))
}

fn text(results: &[CaseResult]) -> String {
    let mut text = String::new();
    for result in results {
        let mark = if result.wrong.is_empty() {
            "ok    "
        } else {
            "FAILED"
        };
        text += &format!(
            "{mark} {} ({}): {}\n",
            result.name, result.location, result.verdict
        );
        for wrong in &result.wrong {
            text += &format!("         {wrong}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::Daemon;

    #[test]
    fn cases_of_the_samples_are_as_expected() {
        for (name, cases) in [("node.toml", 8), ("border.toml", 14)] {
            let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/tests");
            let file = directory.join(name);
            let (text, _) = Daemon::dead().ask(false, |terminal| execute(&test(file.clone()), terminal));
            assert!(
                text.lines().count() >= cases && !text.contains("FAILED"),
                "{text}"
            );
            let json = Daemon::dead().json(|terminal| execute(&test(file), terminal));
            assert_eq!(json["failed"], 0);
        }
    }

    #[test]
    fn a_case_that_is_not_as_expected_fails_and_says_how() {
        let daemon = Daemon::dead();
        let directory = daemon
            .socket()
            .parent()
            .map(std::path::Path::to_path_buf)
            .unwrap();
        std::fs::write(
            directory.join("node.toml"),
            "[speaker]\nasn = 1\n[[filter]]\nname = \"f\"\ndefault = \"reject\"\nrules = [ { prefix = \"10.0.0.0/8\", \
             action = \"accept\", set = { med = { add = 5 }, extended_community.add = \"rt:1:2\" } } ]\n\
             [[peer]]\nname = \"p\"\naddress = \"192.0.2.1\"\nasn = 1\nimport = \"f\"\n",
        )
        .unwrap();
        let cases = directory.join("cases.toml");
        std::fs::write(
            &cases,
            "config = \"node.toml\"\n\
             [[case]]\nname = \"good\"\npeer = \"p\"\nroute = { prefix = \"10.0.0.0/8\", med = 1 }\n\
             expect = { action = \"accept\", med = 6, extended_community = \"rt:1:2\", because = \"rule 1 of filter f\" }\n\
             [[case]]\nname = \"bad\"\nfilter = \"f\"\nroute = { prefix = \"10.0.0.0/8\" }\n\
             expect = { action = \"accept\", med = 6, community = \"1:1\" }\n\
             [[case]]\nname = \"worse\"\nfilter = \"f\"\nroute = { prefix = \"10.0.0.0/9\" }\n\
             expect = { action = \"accept\" }\n",
        )
        .unwrap();
        let (text, failed) = daemon.ask(false, |terminal| execute(&test(cases), terminal));
        assert!(failed.is_err());
        let wrong: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("   "))
            .map(str::trim)
            .collect();
        assert_eq!(
            wrong,
            [
                "med: expected 6, is 5",
                "community: expected [1:1], is []",
                "expected accept"
            ],
            "{text}"
        );
    }

    fn test(file: PathBuf) -> Arguments {
        Arguments {
            what: What::Test { file },
        }
    }
}
