//! What is wrong with a configuration, as an operator reads it.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::source::{Position, Source};

/// One thing that is wrong, or at least odd, in a configuration file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    file: Arc<str>,
    position: Position,
    /// The line that it is about, and how many characters of it.
    line: String,
    width: usize,
    message: String,
    /// What to write instead, what is allowed, or where the other one is.
    help: Vec<String>,
    severity: Severity,
}

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
        /// Errors and warnings, in file order.
        problems: Vec<Problem>,
    },
}

impl Report {
    /// How many errors there are, warnings not counted.
    #[must_use]
    pub fn error_count(&self) -> usize {
        match self {
            Self::Unreadable { .. } => 1,
            Self::Invalid { problems } => problems.iter().filter(|problem| !problem.is_warning()).count(),
        }
    }
}

impl Problem {
    pub(super) fn new(source: &Source, span: &Range<usize>, severity: Severity, message: String) -> Self {
        Self {
            file: Arc::clone(&source.name),
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
        (self.position, &self.message)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { line, column } = self.position;
        let severity = if self.is_warning() { "warning: " } else { "" };
        write!(f, "{}:{line}:{column}: {severity}{}", self.file, self.message)?;
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        let before = usize::try_from(column).unwrap_or(1).saturating_sub(1);
        // A tab stays a tab beneath the line, so that the marker stands where the text does.
        let indent: String = self.line.chars().take(before).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        write!(f, "\n  {number} | {}", self.line)?;
        write!(f, "\n  {margin} | {indent}{}", "^".repeat(self.width))?;
        for help in &self.help {
            write!(f, "\n  {margin} = {help}")?;
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
        let warnings = self.0.iter().filter(|problem| problem.is_warning()).count();
        write!(f, "{}", Count(self.0.len() - warnings, "error"))?;
        if warnings > 0 {
            write!(f, ", {}", Count(warnings, "warning"))?;
        }
        Ok(())
    }
}

/// `1 error`, `2 errors`.
struct Count(usize, &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.0, self.1, if self.0 == 1 { "" } else { "s" })
    }
}
