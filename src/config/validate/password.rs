//! TCP MD5 keys from files.

use std::path::PathBuf;

use toml::Spanned;

use crate::config::reader::Reader;
use crate::route::Secret;
use crate::session::settings::Password;

/// `TCP_MD5SIG_MAXKEYLEN`.
const KEY_LIMIT: usize = 80;
const OTHERS_MAY_READ: u32 = 0o004;
const OTHERS_MAY_WRITE: u32 = 0o002;
const GROUP_MAY_WRITE: u32 = 0o020;

/// Reads the key; a relative path is relative to the configuration file.
pub(super) fn read(reader: &Reader<'_>, path: &Spanned<PathBuf>) -> Option<Password> {
    let file = reader.directory(&path.span()).join(path.get_ref());
    let fail = |wrong: String, help: &str| {
        reader.error(
            &path.span(),
            format!("`password_file`: {}: {wrong}", file.display()),
            [help.to_owned()],
        );
    };
    let content = match (reader.environment.secret)(&file) {
        Ok(content) => content,
        Err(error) => {
            fail(
                error.to_string(),
                "expected a file that holds the key and nothing else",
            );
            return None;
        }
    };
    let key = without_line_break(&content.bytes);
    if key.is_empty() {
        fail(
            "the file is empty".to_owned(),
            "expected a file that holds the key and nothing else",
        );
        return None;
    }
    if key.len() > KEY_LIMIT {
        fail(
            format!("the key is longer than {KEY_LIMIT} octets"),
            "Linux takes TCP MD5 keys of at most 80 octets",
        );
        return None;
    }
    let chmod = format!("chmod 600 {}", file.display());
    if content.mode & OTHERS_MAY_WRITE != 0 {
        fail("every user may write it".to_owned(), &chmod);
        return None;
    }
    if content.mode & GROUP_MAY_WRITE != 0 {
        let message = format!("`password_file`: {}: its group may write it", file.display());
        reader.warning(&path.span(), message, [chmod.clone()]);
    }
    if content.mode & OTHERS_MAY_READ != 0 {
        let message = format!("`password_file`: {}: every user may read it", file.display());
        reader.warning(&path.span(), message, [chmod]);
    }
    Some(Password {
        key: Secret::new(key.to_vec()),
        file,
    })
}

/// Editors end files with a line break that is not part of the key.
fn without_line_break(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}
