//! A program under measurement: started with its log in a file, asked whether it still runs, ended with whoever measures it.
//!
//! Part of each benchmark that starts daemons, by `#[path]`: they are workspaces of their own.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Lines of the log that are shown of one that has ended.
const LAST: usize = 8;

/// A running program; it is killed when this is dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it with what it says in `log`.
    pub fn spawn(mut command: Command, log: &Path) -> io::Result<Self> {
        let file = File::create(log)?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        let child = command
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("cannot run {command:?}: {error}")))?;
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    /// Starts Stonechat; `command` runs the program, perhaps somewhere else, and takes its arguments.
    pub fn stonechat(
        mut command: Command,
        config: &Path,
        directory: &Path,
        more: &[&str],
    ) -> io::Result<Self> {
        command.args(["run", "--config"]).arg(config);
        command.arg("--socket").arg(socket(directory)).args(more);
        Self::spawn(command, &directory.join("stonechat.log"))
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Fails with what it said last if it has ended.
    pub fn check(&mut self) -> io::Result<()> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(());
        };
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(LAST)..];
        Err(io::Error::other(format!(
            "it ended ({status}): {}",
            last.join("\n")
        )))
    }

    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill(self.pid(), signal)?)
    }

    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Where a daemon of this directory listens to the command line.
pub fn socket(directory: &Path) -> PathBuf {
    directory.join("control")
}
