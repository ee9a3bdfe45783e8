//! `stonechat run`.

use std::path::{Path, PathBuf};

use super::{DEFAULT_CONFIG, EntryError, Error, Terminal};
use crate::config;

/// How the daemon is run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RunOptions {
    /// Its configuration.
    pub config: PathBuf,
    /// Where it listens for this command line.
    pub socket: PathBuf,
    /// Take over from the daemon that listens there, if one does.
    pub takeover: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Take over from the daemon that runs: it stops as for a restart, and its listening sockets never close
    #[arg(long)]
    takeover: bool,
}

pub(super) fn execute(
    arguments: &Arguments,
    terminal: &mut Terminal<'_>,
    run: fn(&RunOptions) -> Result<(), EntryError>,
) -> Result<(), Error> {
    let config = match &arguments.config {
        Some(config) => config.clone(),
        None => default_config(Path::new(DEFAULT_CONFIG))?,
    };
    let socket = terminal.client.path().to_path_buf();
    let takeover = arguments.takeover;
    run(&RunOptions {
        config,
        socket,
        takeover,
    })
    .map_err(Error::Entry)
}

fn default_config(path: &Path) -> Result<PathBuf, Error> {
    if path.exists() {
        return Ok(path.to_path_buf());
    }
    let smallest: String = config::minimal_file()
        .lines()
        .map(|line| format!("  {line}\n"))
        .collect();
    let path = path.display();
    Err(Error::Configuration(format!(
        "there is no {path}; write one, or name another with --config. The smallest that does something:\n\n{smallest}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::Daemon;

    #[test]
    fn without_a_file_it_says_so_with_the_smallest_one() {
        let error = default_config(Path::new("/nonexistent/stonechat.toml"))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("there is no /nonexistent/stonechat.toml"),
            "{error}"
        );
        assert!(error.contains("\n  [speaker]\n  asn = 64512\n"), "{error}");
    }

    #[test]
    fn the_daemon_is_run_with_the_file_and_the_socket() {
        let nobody = Daemon::dead();
        let arguments = Arguments {
            config: Some("/etc/x.toml".into()),
            takeover: true,
        };
        let (_, ended) = nobody.ask(false, |terminal| {
            execute(&arguments, terminal, |options| {
                Err(format!(
                    "{} {} {}",
                    options.config.display(),
                    options.socket.is_absolute(),
                    options.takeover
                )
                .into())
            })
        });
        assert_eq!(ended, Err("/etc/x.toml true true".into()));
    }
}
