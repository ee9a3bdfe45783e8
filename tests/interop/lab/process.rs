//! A process that runs until it is told to stop: its log, its signals, its end.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::tail;
use super::wait::await_within;

/// How long a process may take to end after a signal that asks it to.
const END: Duration = Duration::from_secs(15);

/// A running daemon; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output going to `log`, which is appended to when it exists.
    pub(crate) fn start(name: &str, command: &mut Command, log: &Path) -> Self {
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .expect("open a daemon's log");
        let copy = file.try_clone().expect("share a daemon's log");
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(copy)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name} ({command:?}): {error}"));
        Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        }
    }

    /// The process id, as the kernel's calls want it.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("process ids fit"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap_or_else(|error| panic!("{signal} to {}: {error}", self.name));
    }

    /// Fails with the end of the log if the process is gone.
    #[track_caller]
    pub(crate) fn assert_running(&mut self) {
        let ended = self.child.try_wait();
        assert!(
            matches!(ended, Ok(None)),
            "{} has ended ({ended:?}):\n{}",
            self.name,
            tail(&self.log)
        );
    }

    /// Sends `signal` and waits for the end.
    #[track_caller]
    pub(crate) fn stop(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.await_end()
    }

    /// Waits until the process has ended by itself.
    #[track_caller]
    pub(crate) fn await_end(&mut self) -> ExitStatus {
        let (name, child, log) = (&self.name, &mut self.child, &self.log);
        await_within(END, &format!("{name} ends"), || match child.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}; log:\n{}", tail(log))),
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _killed = self.child.kill();
            let _waited = self.child.wait();
        }
    }
}
