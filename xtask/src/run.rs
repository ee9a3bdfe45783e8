//! Runs plain commands, each printed first.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// One command as a person would type it.
pub(crate) struct Step {
    environment: Vec<(String, String)>,
    words: Vec<String>,
}

impl Step {
    /// `cargo` with arguments separated by blanks.
    pub(crate) fn cargo(arguments: &str) -> Self {
        Self::program("cargo", arguments)
    }

    /// Any program with arguments separated by blanks.
    pub(crate) fn program(name: &str, arguments: &str) -> Self {
        let words = std::iter::once(name)
            .chain(arguments.split_whitespace())
            .map(str::to_owned)
            .collect();
        Self {
            environment: Vec::new(),
            words,
        }
    }

    /// The same with more arguments behind.
    pub(crate) fn and(mut self, more: &[String]) -> Self {
        self.words.extend_from_slice(more);
        self
    }

    /// The same with a variable in its environment.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The line to type, quoted where a shell would split it.
    fn line(&self) -> String {
        let variables = self
            .environment
            .iter()
            .map(|(name, value)| format!("{name}={}", quoted(value)));
        variables
            .chain(self.words.iter().map(|word| quoted(word)))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Prints the command and runs it to its end.
    pub(crate) fn run(&self) -> Result<()> {
        println!("$ {}", self.line());
        let (program, arguments) = self.words.split_first().context("an empty command")?;
        let status = Command::new(program)
            .args(arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .status()
            .with_context(|| format!("cannot run {program}"))?;
        if !status.success() {
            bail!("failed ({status}): {}", self.line());
        }
        Ok(())
    }
}

/// Runs steps in order and stops at the first that fails.
pub(crate) fn all(steps: &[Step]) -> Result<()> {
    steps.iter().try_for_each(Step::run)
}

fn quoted(word: &str) -> String {
    if word.contains(char::is_whitespace) {
        format!("'{word}'")
    } else {
        word.to_owned()
    }
}
