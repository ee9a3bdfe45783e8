//! From a path to a configuration, or to everything that is wrong with its files.

use std::path::Path;

use toml::Spanned;

use super::Config;
use super::environment::{Environment, Variables, list_directory, read_secret, read_text};
use super::file::File;
use super::reader::Reader;
use super::report::{Problem, Report};
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
    /// Reads and checks a file, its fragments, and the files that they name. `variables` looks up environment variables.
    ///
    /// # Errors
    ///
    /// [`Report::Unreadable`] if the file cannot be read, [`Report::Invalid`] with every problem if it is wrong.
    pub fn load(path: &Path, variables: Variables<'_>) -> Result<Loaded, Report> {
        let text = read(path)?;
        parse(&path.display().to_string(), &text, real(variables))
    }
}

/// The smallest file that does something useful, for somebody who has none yet.
#[must_use]
pub const fn minimal_file() -> &'static str {
    include_str!("minimal.toml")
}

/// The text of the file itself.
pub(super) fn read(path: &Path) -> Result<String, Report> {
    let unreadable = |missing, error| Report::Unreadable {
        path: path.to_owned(),
        missing,
        error,
    };
    let bytes = std::fs::read(path)
        .map_err(|error| unreadable(error.kind() == std::io::ErrorKind::NotFound, error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| unreadable(false, error.utf8_error().to_string()))
}

/// The surroundings of a real daemon.
pub(super) fn real(variables: Variables<'_>) -> Environment<'_> {
    Environment {
        variable: variables,
        secret: &read_secret,
        text: &read_text,
        list: &list_directory,
    }
}

/// The whole way from text to configuration.
pub(super) fn parse(name: &str, text: &str, environment: Environment<'_>) -> Result<Loaded, Report> {
    let reader = Reader::new(environment);
    let file = files(&reader, name, text);
    let config = validate(&reader, &file);
    finish(reader, config).map(|(config, warnings)| Loaded { config, warnings })
}

/// What was made of the files, unless there are errors.
pub(super) fn finish<T>(reader: Reader<'_>, made: Option<T>) -> Result<(T, Vec<Problem>), Report> {
    let problems = reader.into_problems();
    match made {
        Some(made) if problems.iter().all(Problem::is_warning) => Ok((made, problems)),
        _ => Err(Report::Invalid { problems }),
    }
}

/// The file and its fragments, as one.
pub(super) fn files(reader: &Reader<'_>, name: &str, text: &str) -> File {
    let mut file = reader.file(name, text, |table| File::read(reader, table));
    let directory = file.speaker.as_ref().and_then(|speaker| speaker.conf_d.clone());
    if let Some(directory) = directory {
        fragments(reader, &directory, &mut file);
    }
    file
}

/// Every `*.toml` of `conf_d`, in the order of their names.
fn fragments(reader: &Reader<'_>, directory: &Spanned<std::path::PathBuf>, file: &mut File) {
    let span = directory.span();
    let directory = reader.directory(&span).join(directory.get_ref());
    let unreadable = |path: &Path, error: std::io::Error| {
        let message = format!("`conf_d`: {}: {error}", path.display());
        reader.error(&span, message, ["expected a directory of TOML files".to_owned()]);
    };
    let paths = match (reader.environment.list)(&directory) {
        Ok(paths) => paths,
        Err(error) => return unreadable(&directory, error),
    };
    for path in paths {
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        match (reader.environment.text)(&path) {
            Ok(text) => {
                let name = path.display().to_string();
                let fragment = reader.file(&name, &text, |table| File::read(reader, table));
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                file.merge(reader, fragment, &stem);
            }
            Err(error) => unreadable(&path, error),
        }
    }
}
