//! `stonechat check`: without a daemon whether a file is valid, with `--diff` what it would change in the running one.

use std::path::PathBuf;

use serde_json::json;

use super::reload::show_plan;
use super::{DEFAULT_CONFIG, Error, Terminal, output};
use crate::config::{Config, Loaded};
use crate::control::Request;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The configuration
    #[arg(value_name = "FILE", default_value = DEFAULT_CONFIG)]
    file: PathBuf,
    /// Print what it would change in the running daemon
    #[arg(long)]
    diff: bool,
}

pub(super) fn execute(arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<(), Error> {
    if arguments.diff {
        // The daemon reads the file itself: `${VAR}` means what it means there.
        let file = std::path::absolute(&arguments.file)?;
        return show_plan(
            &Request::Reload {
                file: Some(file),
                dry_run: true,
                no_reset: false,
                confirm_s: None,
            },
            terminal,
        );
    }
    let file = &arguments.file;
    match Config::load(file, &|name| std::env::var(name).ok()) {
        Ok(Loaded { config, warnings }) => {
            let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
            let valid = json!({ "valid": true, "warnings": warnings });
            if !terminal.output.wants_json() {
                warnings.iter().for_each(|warning| output::complain(warning));
            }
            let file = file.display();
            let (peers, vips) = (config.peers.len(), config.vips.len());
            terminal.output.print(&valid, |_| {
                format!("{file} is valid: {peers} peers, {vips} VIPs\n")
            })
        }
        Err(report) => {
            if terminal.output.wants_json() {
                let invalid = json!({ "valid": false, "problems": report.to_string() });
                terminal.output.print(&invalid, |_| String::new())?;
            }
            Err(Error::Configuration(report.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::Daemon;
    use crate::control::Response;
    use crate::control::show::Plan;

    #[test]
    fn a_valid_file_is_said_to_be_valid() {
        let (file, daemon) = written("[speaker]\nasn = 64512\n");
        let text = daemon.text(|terminal| execute(&arguments(&file), terminal));
        assert_eq!(text, format!("{} is valid: 0 peers, 0 VIPs\n", file.display()));
        assert_eq!(
            daemon.json(|terminal| execute(&arguments(&file), terminal))["valid"],
            true
        );
    }

    #[test]
    fn a_wrong_file_is_refused_with_its_place() {
        let (file, daemon) = written("[speaker]\nasn = 64512\n[[pear]]\n");
        let (_, refused) = daemon.ask(false, |terminal| execute(&arguments(&file), terminal));
        let place = format!("{}:3:3", file.display());
        assert!(
            refused.as_ref().is_err_and(|text| text.contains(&place)),
            "{refused:?}"
        );
        let (json, refused) = daemon.ask(true, |terminal| execute(&arguments(&file), terminal));
        assert!(refused.is_err());
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["valid"], false);
    }

    /// The operator's view of every wrong file whose surroundings a test can give it.
    #[test]
    fn wrong_files_are_refused_in_the_words_of_the_snapshots() {
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/tests/wrong");
        let mut checked = 0;
        for entry in std::fs::read_dir(&directory).unwrap() {
            let file = entry.unwrap().path();
            let name = file.file_stem().unwrap().to_string_lossy().into_owned();
            if file.extension().is_none_or(|extension| extension != "toml")
                || ["environment", "passwords"].contains(&&*name)
            {
                continue;
            }
            let (_, refused) = Daemon::dead().ask(false, |terminal| execute(&arguments(&file), terminal));
            let report = refused.expect_err(&name).to_string();
            let report = report.replace(&format!("{}/", directory.display()), "");
            let snapshot = std::fs::read_to_string(file.with_extension("txt")).unwrap();
            assert_eq!(words(&report), words(&snapshot), "{name}");
            checked += 1;
        }
        assert!(checked >= 30, "{checked}");
    }

    /// Where lines are broken depends on the length of the directory's name.
    fn words(text: &str) -> Vec<&str> {
        text.split_whitespace().collect()
    }

    #[test]
    fn the_difference_is_asked_of_the_daemon_by_absolute_path() {
        let daemon = Daemon::new(|request| {
            let Request::Reload {
                file: Some(file),
                dry_run: true,
                ..
            } = request
            else {
                panic!("{request:?}")
            };
            assert!(file.is_absolute());
            Response::Plan(Plan::default())
        });
        let arguments = Arguments {
            file: "some/node.toml".into(),
            diff: true,
        };
        assert_eq!(
            daemon.text(|terminal| execute(&arguments, terminal)),
            "nothing changes\n"
        );
    }

    fn arguments(file: &std::path::Path) -> Arguments {
        Arguments {
            file: file.to_path_buf(),
            diff: false,
        }
    }

    /// A file with this text, in the directory of a daemon that is dead.
    fn written(text: &str) -> (PathBuf, Daemon) {
        let daemon = Daemon::dead();
        let file = daemon.socket().with_file_name("node.toml");
        std::fs::write(&file, text).unwrap();
        (file, daemon)
    }
}
