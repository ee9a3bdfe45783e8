//! Commands that end: run one, keep what it said, and say so when it fails.

use std::process::{Command, Stdio};

use serde_json::Value;

/// What a finished command left behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) command: String,
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Runs `command` to its end.
    pub(crate) fn of(command: &mut Command) -> Self {
        let shown = format!("{command:?}");
        let output = command
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("cannot run {shown}: {error}"));
        Self {
            command: shown,
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The output of a command that has to succeed.
    #[track_caller]
    pub(crate) fn expect_success(self) -> String {
        assert!(
            self.success,
            "{} failed:\n{}{}",
            self.command, self.stdout, self.stderr
        );
        self.stdout
    }

    /// The output as JSON, or what was printed in its place.
    ///
    /// Some daemons' tools print warnings before the object, so reading begins at the first brace or bracket.
    pub(crate) fn json(&self) -> Result<Value, String> {
        let start = self.stdout.find(['{', '[']).unwrap_or(0);
        serde_json::from_str(&self.stdout[start..])
            .map_err(|error| format!("{}: {error}:\n{}{}", self.command, self.stdout, self.stderr))
    }
}
