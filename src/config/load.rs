//! From a path to a configuration, or to everything that is wrong with the file.

use std::path::Path;

use toml::de::DeTable;

use super::Config;
use super::environment::{Environment, Variables, read_secret};
use super::file::File;
use super::reader::Reader;
use super::report::{Problem, Report};
use super::source::Source;
use super::validate::validate;

/// A configuration, and what an operator should know about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Ready to use.
    pub config: Config,
    /// Odd, but not wrong; each displays itself with its place in the file.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// Reads and checks a file and the password files that it names. `variables` looks up environment variables.
    ///
    /// # Errors
    ///
    /// [`Report::Unreadable`] if the file cannot be read, [`Report::Invalid`] with every problem if it is wrong.
    pub fn load(path: &Path, variables: Variables<'_>) -> Result<Loaded, Report> {
        let unreadable = |missing, error| Report::Unreadable {
            path: path.to_owned(),
            missing,
            error,
        };
        let bytes = std::fs::read(path)
            .map_err(|error| unreadable(error.kind() == std::io::ErrorKind::NotFound, error.to_string()))?;
        let text =
            String::from_utf8(bytes).map_err(|error| unreadable(false, error.utf8_error().to_string()))?;
        let source = Source::new(&path.display().to_string(), text);
        parse(
            &source,
            Environment {
                variable: variables,
                secret: &read_secret,
            },
        )
    }
}

/// The smallest file that does something useful, for somebody who has none yet.
#[must_use]
pub const fn minimal_file() -> &'static str {
    include_str!("minimal.toml")
}

/// The whole way from text to configuration.
pub(super) fn parse(source: &Source, environment: Environment<'_>) -> Result<Loaded, Report> {
    let reader = Reader::new(source, environment);
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    for error in &errors {
        reader.error(&error.span().unwrap_or(0..0), error.message().to_owned(), []);
    }
    let file = File::read(&reader, &table);
    let config = validate(&reader, &file);
    let (warnings, errors): (Vec<_>, Vec<_>) =
        reader.into_problems().into_iter().partition(Problem::is_warning);
    match config {
        Some(config) if errors.is_empty() => Ok(Loaded { config, warnings }),
        // Warnings about a file that is wrong anyway are often consequences of the errors.
        _ => Err(Report::Invalid { problems: errors }),
    }
}
