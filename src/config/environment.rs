//! What a configuration takes from its surroundings: environment variables and password files.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Looks up an environment variable.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A file that holds a secret, as read.
#[derive(Clone, Debug)]
pub(super) struct SecretFile {
    pub(super) bytes: Vec<u8>,
    /// Permission bits.
    pub(super) mode: u32,
}

/// What a configuration may ask of its surroundings; given, so that tests need neither environment nor files.
#[derive(Clone, Copy)]
pub(super) struct Environment<'a> {
    pub(super) variable: Variables<'a>,
    pub(super) secret: &'a dyn Fn(&Path) -> io::Result<SecretFile>,
    /// The text of a file that the configuration names.
    pub(super) text: &'a dyn Fn(&Path) -> io::Result<String>,
    /// The files of a directory.
    pub(super) list: &'a dyn Fn(&Path) -> io::Result<Vec<PathBuf>>,
}

/// Why a string with `${...}` in it has no value.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum SubstitutionError {
    #[error("environment variable `{0}` is not set")]
    Unset(String),
    #[error("`${{` without `}}`")]
    Unclosed,
    #[error("`{0}` is not the name of an environment variable")]
    Name(String),
}

/// Longest password file that is read; a TCP MD5 key has at most 80 octets.
const SECRET_LIMIT: u64 = 4_096;

/// Longest list of prefixes that is read.
const TEXT_LIMIT: u64 = 64 << 20;

/// Reads a text file.
pub(super) fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    file.take(TEXT_LIMIT + 1).read_to_string(&mut text)?;
    if u64::try_from(text.len()).is_ok_and(|len| len > TEXT_LIMIT) {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 64 MiB"));
    }
    Ok(text)
}

/// Lists a directory, in the order of the names.
pub(super) fn list_directory(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = std::fs::read_dir(path)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<PathBuf>>>()?;
    files.sort();
    Ok(files)
}

/// Reads a password file and its mode.
pub(super) fn read_secret(path: &Path) -> io::Result<SecretFile> {
    use std::os::unix::fs::PermissionsExt;

    let file = std::fs::File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(SECRET_LIMIT).read_to_end(&mut bytes)?;
    Ok(SecretFile {
        bytes,
        mode: metadata.permissions().mode() & 0o7777,
    })
}

/// Replaces each `${NAME}` by the variable's value, and `${NAME:-text}` by `text` where it is not set or empty. What
/// is put in is not looked at again; a `$` without `{` stays.
pub(super) fn substitute(text: &str, variable: Variables<'_>) -> Result<String, SubstitutionError> {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        let (inside, after) = behind.split_once('}').ok_or(SubstitutionError::Unclosed)?;
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if !is_variable_name(name) {
            return Err(SubstitutionError::Name(name.to_owned()));
        }
        result.push_str(before);
        match (variable(name), default) {
            (Some(value), None) => result.push_str(&value),
            (Some(value), Some(_)) if !value.is_empty() => result.push_str(&value),
            (_, Some(default)) => result.push_str(default),
            (None, None) => return Err(SubstitutionError::Unset(name.to_owned())),
        }
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}

fn is_variable_name(name: &str) -> bool {
    let mut octets = name.bytes();
    octets
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && octets.all(|octet| octet.is_ascii_alphanumeric() || octet == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_once() {
        check("a-${NODE}-${EMPTY}-b", Ok("a-n1--b"));
        check("${NESTED}", Ok("${NODE}"));
        check("_65001$ $NODE $", Ok("_65001$ $NODE $"));
    }

    #[test]
    fn defaults_stand_in_for_unset_and_empty() {
        check("${MISSING:-x}", Ok("x"));
        check("${EMPTY:-x}", Ok("x"));
        check("${NODE:-x}", Ok("n1"));
        check("${MISSING:-}", Ok(""));
    }

    #[test]
    fn what_is_wrong_is_named() {
        check("${MISSING}", Err(SubstitutionError::Unset("MISSING".to_owned())));
        check("a ${NODE", Err(SubstitutionError::Unclosed));
        check("${}", Err(SubstitutionError::Name(String::new())));
        check("${1A}", Err(SubstitutionError::Name("1A".to_owned())));
        check("${A B}", Err(SubstitutionError::Name("A B".to_owned())));
    }

    fn check(text: &str, expected: Result<&str, SubstitutionError>) {
        let variable = |name: &str| match name {
            "NODE" => Some("n1".to_owned()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${NODE}".to_owned()),
            _ => None,
        };
        assert_eq!(substitute(text, &variable), expected.map(str::to_owned), "{text}");
    }
}
