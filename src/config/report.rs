//! What is wrong with a configuration, as an operator reads it.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use super::source::{Position, Source};

/// One thing that is wrong, or at least odd, in a configuration file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    position: Position,
    /// The line that it is about, and how many characters of it.
    line: String,
    width: usize,
    message: String,
    /// What to write instead, what is allowed, or where the other one is.
    help: Vec<String>,
    severity: Severity,
}

/// A list of keys is longer than a terminal is wide.
const HELP_WIDTH: usize = 100;

/// Whether a [`Problem`] makes the configuration unusable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Severity {
    Error,
    Warning,
}

/// Why a configuration cannot be used: everything that is wrong with it, not only the first thing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Report {
    /// The file cannot be read.
    #[error("{}: cannot be read: {error}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Whether there is no such file.
        missing: bool,
        /// The operating system's words.
        error: String,
    },
    /// The file was read and is wrong.
    #[error("{}", Listing(problems))]
    Invalid {
        /// Every error and every warning, in file order.
        problems: Vec<Problem>,
    },
}

impl Report {
    /// How many errors there are.
    #[must_use]
    pub fn error_count(&self) -> usize {
        match self {
            Self::Unreadable { .. } => 1,
            Self::Invalid { problems } => errors(problems),
        }
    }
}

impl Problem {
    pub(super) fn new(source: &Source, span: &Range<usize>, severity: Severity, message: String) -> Self {
        Self {
            position: source.position(span.start),
            line: source.line_at(span.start).to_owned(),
            width: source.width_on_line(span),
            message,
            help: Vec::new(),
            severity,
        }
    }

    pub(super) fn with_help(mut self, help: impl IntoIterator<Item = String>) -> Self {
        self.help.extend(help);
        self
    }

    /// Whether the configuration can be used all the same.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        self.severity == Severity::Warning
    }

    /// In the order of the file.
    pub(super) fn sort_key(&self) -> (Position, &str) {
        (self.position.clone(), &self.message)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position {
            file, line, column, ..
        } = &self.position;
        let severity = if self.is_warning() { "warning: " } else { "" };
        write!(f, "{file}:{line}:{column}: {severity}{}", self.message)?;
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        let before = usize::try_from(*column).unwrap_or(1).saturating_sub(1);
        // A tab stays a tab beneath the line, so that the marker stands where the text does.
        let indent: String = self
            .line
            .chars()
            .take(before)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        write!(f, "\n  {number} | {}", self.line)?;
        write!(f, "\n  {margin} | {indent}{}", "^".repeat(self.width))?;
        for help in &self.help {
            for (index, line) in wrapped(help).iter().enumerate() {
                let mark = if index == 0 { '=' } else { ' ' };
                write!(f, "\n  {margin} {mark} {line}")?;
            }
        }
        Ok(())
    }
}

/// Problems, a blank line between them, and their number.
struct Listing<'a>(&'a [Problem]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in self.0 {
            write!(f, "{problem}\n\n")?;
        }
        let errors = errors(self.0);
        let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        f.write_str(&count(errors, "error"))?;
        match self.0.len() - errors {
            0 => Ok(()),
            warnings => write!(f, ", {}", count(warnings, "warning")),
        }
    }
}

fn errors(problems: &[Problem]) -> usize {
    problems.iter().filter(|problem| !problem.is_warning()).count()
}

/// The text in lines of at most [`HELP_WIDTH`] characters, broken at spaces.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= HELP_WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
