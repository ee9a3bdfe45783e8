//! What operators read when a file is wrong, held as text; what they get when it is right.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::environment::{Environment, SecretFile};
use super::load::{self, Loaded};
use super::source::Source;
use super::*;

/// Each `tests/wrong/NAME.toml` yields `tests/wrong/NAME.txt`; `UPDATE=1` rewrites what changed, for review.
#[test]
fn wrong_files_say_what_to_write() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/tests/wrong");
    let update = std::env::var_os("UPDATE").is_some();
    let mut names: Vec<PathBuf> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    names.sort();
    assert!(names.len() >= 20, "{} samples", names.len());
    let mut different = BTreeMap::new();
    for path in names {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let report = parse(&name, &text).expect_err(&name).to_string() + "\n";
        let expected = path.with_extension("txt");
        if std::fs::read_to_string(&expected).unwrap_or_default() != report {
            if update {
                std::fs::write(&expected, &report).unwrap();
            } else {
                different.insert(name, report);
            }
        }
    }
    for (name, report) in &different {
        println!("==== {name}\n{report}");
    }
    assert!(
        different.is_empty(),
        "reports differ from the .txt files; if that is right, rewrite them with UPDATE=1"
    );
}

#[test]
fn every_sample_loads_without_a_warning() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut loaded = Vec::new();
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let sample = Config::load(&path, &variable).unwrap_or_else(|report| panic!("{report}"));
            assert!(sample.warnings.is_empty(), "{}", sample.warnings[0]);
            loaded.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    for name in ["node.toml", "reflector.toml", "tor.toml"] {
        assert!(loaded.contains(&name.to_owned()), "{loaded:?}");
    }
}

#[test]
fn the_minimal_file_is_one_that_works() {
    let loaded = parse("minimal.toml", minimal_file()).unwrap_or_else(|report| panic!("{report}"));
    assert!(loaded.warnings.is_empty());
    assert_eq!((loaded.config.peers.len(), loaded.config.originate.len()), (1, 1));
}

#[test]
fn a_missing_file_is_told_from_an_unreadable_one() {
    let missing = Config::load(Path::new("/nonexistent/stonechat.toml"), &variable).unwrap_err();
    assert!(
        matches!(&missing, Report::Unreadable { missing: true, .. }),
        "{missing}"
    );
    let directory = Config::load(Path::new("/"), &variable).unwrap_err();
    assert!(
        matches!(&directory, Report::Unreadable { missing: false, .. }),
        "{directory}"
    );
}

pub(super) fn parse(name: &str, text: &str) -> Result<Loaded, Report> {
    let source = Source::new(name, text.to_owned());
    load::parse(
        &source,
        Environment {
            variable: &variable,
            secret: &secret,
        },
    )
}

fn variable(name: &str) -> Option<String> {
    match name {
        "NODE_IP" => Some("172.16.40.199".to_owned()),
        "ASN" => Some("64512".to_owned()),
        "WORD" => Some("abc".to_owned()),
        _ => None,
    }
}

fn secret(path: &Path) -> io::Result<SecretFile> {
    let (bytes, mode): (&[u8], u32) = match path.to_str().unwrap_or_default() {
        "good.key" => (b"s3cret\n", 0o600),
        "public.key" => (b"s3cret", 0o644),
        "writable.key" => (b"s3cret", 0o666),
        "long.key" => (&[b'x'; 81], 0o600),
        "empty.key" => (b"\n", 0o600),
        _ => {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "No such file or directory",
            ));
        }
    };
    Ok(SecretFile {
        bytes: bytes.to_vec(),
        mode,
    })
}
