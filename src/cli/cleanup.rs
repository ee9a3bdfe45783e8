//! `stonechat cleanup`: only where no daemon runs.

use std::path::PathBuf;

use serde_json::json;

use super::{DEFAULT_CONFIG, EntryError, Error, Terminal};

/// What a cleanup is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CleanupOptions {
    /// The configuration that the dead daemon ran with: it names the table, the protocol and the state directory.
    pub config: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The configuration that the daemon ran with
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
}

pub(super) fn execute(
    arguments: &Arguments,
    terminal: &mut Terminal<'_>,
    cleanup: fn(&CleanupOptions) -> Result<String, EntryError>,
) -> Result<(), Error> {
    if terminal.client.is_live() {
        return Err(Error::StillRunning(terminal.client.path().to_path_buf()));
    }
    let text = cleanup(&CleanupOptions {
        config: arguments.config.clone(),
    })
    .map_err(Error::Entry)?;
    terminal
        .output
        .print(&json!({ "text": text }), |_| format!("{text}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::Daemon;
    use crate::control::Response;

    #[test]
    fn a_live_daemon_is_left_alone() {
        let arguments = Arguments {
            config: "/etc/x.toml".into(),
        };
        let live = Daemon::new(|_| Response::Vips(vec![]));
        let (_, refused) = live.ask(false, |terminal| {
            execute(&arguments, terminal, |_| panic!("not called"))
        });
        assert!(refused.unwrap_err().contains("stonechat stop"));
        let dead = Daemon::dead();
        let text = dead.text(|terminal| {
            execute(&arguments, terminal, |options| {
                Ok(format!("2 routes of {}", options.config.display()))
            })
        });
        assert_eq!(text, "2 routes of /etc/x.toml\n");
    }
}
