//! What the compiler does not check about the sources: sizes, who may import whom, words, the shape of citations.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A file has at most this many lines before its tests.
const MOST_LINES: usize = 800;

/// Tables of constants may be longer.
const TABLES: [&str; 1] = ["bgp-codec/src/iana.rs"];

/// Who may import whom: a module sees itself, what its row names, and what every module sees.
///
/// Each row stands on those above it and arrows never turn round. `session`, `originate`, `vip` and `kernel` never
/// import each other. A module that is missing here fails the test: a new one is a decision.
const ARROWS: [(&str, &[&str]); 16] = [
    ("metrics", &[]),
    ("telemetry", &[]),
    ("route", &[]),
    ("policy", &["route"]),
    ("drain", &[]),
    ("rib", &["route", "policy"]),
    ("session", &["route", "policy", "rib"]),
    ("originate", &["route", "policy", "rib"]),
    ("vip", &["route", "policy", "rib", "drain"]),
    ("kernel", &["route", "policy", "rib"]),
    (
        "config",
        &["route", "policy", "rib", "session", "originate", "vip", "kernel"],
    ),
    (
        "control",
        &[
            "route",
            "policy",
            "drain",
            "rib",
            "session",
            "originate",
            "vip",
            "kernel",
            "config",
        ],
    ),
    (
        "cli",
        &[
            "route",
            "policy",
            "drain",
            "rib",
            "session",
            "originate",
            "vip",
            "kernel",
            "config",
            "control",
        ],
    ),
    (
        "speaker",
        &[
            "route",
            "policy",
            "drain",
            "rib",
            "session",
            "originate",
            "vip",
            "kernel",
            "config",
            "control",
            "cli",
        ],
    ),
    (
        "demo",
        &[
            "route",
            "policy",
            "drain",
            "rib",
            "session",
            "originate",
            "vip",
            "kernel",
            "config",
            "control",
            "cli",
        ],
    ),
    ("lib", &[]),
];

/// Modules that every module may use: they know nothing of the others.
const EVERYWHERE: [&str; 2] = ["metrics", "telemetry"];

/// Names that say "a drawer" and not a concept.
const DRAWERS: [&str; 6] = ["utils", "util", "helpers", "types", "misc", "common"];

/// Words that belong in a commit message or an issue and not in a source file.
const WORDS: [&str; 6] = ["TODO", "FIXME", "XXX", "HACK", "WIP", "for now"];

#[test]
fn files_are_short() {
    let long = sources()
        .filter(|file| !TABLES.contains(&file.name.as_str()))
        .filter_map(|file| {
            let lines = file.before_tests().lines().count();
            (lines > MOST_LINES).then(|| {
                format!(
                    "{}: {lines} lines before its tests, at most {MOST_LINES}",
                    file.name
                )
            })
        });
    expect_none(long);
}

#[test]
fn files_say_what_they_own() {
    let silent = sources()
        .filter(|file| !file.name.ends_with("/tests.rs"))
        // A fuzz target is one line; what it does is said in the crate's root.
        .filter(|file| !file.name.starts_with("fuzz/fuzz_targets/"))
        .filter(|file| !file.text.starts_with("//!"))
        .map(|file| format!("{}: opens without `//!`", file.name));
    expect_none(silent);
}

#[test]
fn files_are_named_after_a_concept() {
    let sources = sources().filter(|file| file.name.contains("src/"));
    let drawers = sources.filter(|file| {
        let path = Path::new(&file.name);
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let folder = path
            .parent()
            .and_then(Path::file_name)
            .and_then(|folder| folder.to_str());
        stem.is_some_and(|stem| DRAWERS.contains(&stem)) || folder.is_some_and(|name| DRAWERS.contains(&name))
    });
    expect_none(drawers.map(|file| format!("{}: named after a drawer", file.name)));
}

#[test]
fn imports_follow_the_arrows() {
    let mut wrong = Vec::new();
    for file in sources() {
        let Some(module) = file.module() else { continue };
        if module == "lib" || module == "main" {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{}: `{module}` is not in the list of modules", file.name));
            continue;
        };
        for imported in imported_modules(&file.code_before_tests()) {
            let known = ARROWS.iter().any(|(name, _)| *name == imported);
            let fine = imported == module
                || !known
                || allowed.contains(&imported.as_str())
                || (EVERYWHERE.contains(&imported.as_str()) && !EVERYWHERE.contains(&module));
            if !fine {
                wrong.push(format!("{}: `{module}` imports `{imported}`", file.name));
            }
        }
    }
    expect_none(wrong);
}

#[test]
fn the_codec_stands_alone() {
    let text = fs::read_to_string(root().join("bgp-codec/Cargo.toml")).expect("the codec has a manifest");
    let heavy = ["tokio", "tracing", "socket2", "netlink", "stonechat"];
    expect_none(
        heavy
            .iter()
            .filter(|name| text.contains(*name))
            .map(|name| format!("bgp-codec uses {name}")),
    );
}

#[test]
fn comments_hold_no_left_over_words() {
    let mut wrong = Vec::new();
    for file in sources() {
        for (number, comment) in file.comments() {
            for word in WORDS.iter().filter(|word| has_word(comment, word)) {
                wrong.push(format!("{}:{number}: {word:?} in a comment", file.name));
            }
        }
    }
    expect_none(wrong);
}

#[test]
fn citations_have_one_shape() {
    let mut wrong = Vec::new();
    for file in sources() {
        for (number, comment) in file.comments() {
            if let Some(bad) = misshapen_citation(comment) {
                wrong.push(format!("{}:{number}: {bad:?}, write `RFC 4271 §6.8`", file.name));
            }
        }
    }
    expect_none(wrong);
}

#[test]
fn every_package_takes_the_workspace_lints() {
    let manifests = ["Cargo.toml", "bgp-codec/Cargo.toml", "xtask/Cargo.toml"];
    expect_none(manifests.iter().filter_map(|name| {
        let text = fs::read_to_string(root().join(name)).expect("a manifest of the workspace");
        (!text.contains("[lints]\nworkspace = true")).then(|| format!("{name}: no workspace lints"))
    }));
}

#[test]
fn nested_and_qualified_imports_are_seen() {
    let code =
        "use crate::{\n  rib::{Shard, task::X},\n  route::Prefix,\n};\nfn f() { crate::vip::state() }\n";
    assert_eq!(imported_modules(code), ["rib", "route", "vip"]);
}

#[test]
fn misshapen_citations_are_seen() {
    assert!(misshapen_citation("// RFC4271 §6").is_some());
    assert!(misshapen_citation("// RFC 4271, section 6").is_some());
    assert!(misshapen_citation("// RFC 4271 Section 6").is_some());
    assert!(misshapen_citation("// RFC 4271 §6.8 and RFC 1918").is_none());
}

struct Source {
    name: String,
    text: String,
}

impl Source {
    /// The text up to the module of tests; nothing where the whole file is tests.
    fn before_tests(&self) -> &str {
        if self.name.ends_with("tests.rs") || self.name.starts_with("tests/") {
            return "";
        }
        self.text
            .split("#[cfg(test)]\nmod tests")
            .next()
            .unwrap_or_default()
    }

    /// The same without comments, so that a link in a doc comment is no import.
    fn code_before_tests(&self) -> String {
        let lines = self
            .before_tests()
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default());
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The module of the daemon that this file belongs to.
    fn module(&self) -> Option<&str> {
        let path = self.name.strip_prefix("src/")?;
        let first = path.split('/').next()?;
        Some(first.strip_suffix(".rs").unwrap_or(first))
    }

    /// Comment lines with their numbers; this file, which must name what it forbids, has none.
    fn comments(&self) -> impl Iterator<Item = (usize, &str)> {
        let own = self.name == "tests/tidy.rs";
        let lines = self.text.lines().enumerate().filter(move |_| !own);
        lines
            .map(|(index, line)| (index + 1, line.trim_start()))
            .filter(|(_, l)| l.starts_with("//"))
    }
}

/// Modules of this crate that the code names, in order.
fn imported_modules(code: &str) -> Vec<String> {
    let mut modules = Vec::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(list) => modules.extend(top_level_names(list)),
            None => modules.push(identifier(rest)),
        }
    }
    modules
}

/// The first name of each item in `a::b, c::{d, e}, f}`.
fn top_level_names(list: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut depth, mut fresh) = (0_u32, true);
    for (index, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if depth == 0 && fresh && !c.is_whitespace() => {
                names.push(identifier(list.get(index..).unwrap_or_default()));
                fresh = false;
            }
            _ => {}
        }
    }
    names
}

fn identifier(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

fn has_word(comment: &str, word: &str) -> bool {
    comment.match_indices(word).any(|(start, _)| {
        let before = comment.get(..start).and_then(|text| text.chars().next_back());
        let after = comment
            .get(start + word.len()..)
            .and_then(|text| text.chars().next());
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

fn misshapen_citation(comment: &str) -> Option<String> {
    for (start, _) in comment.match_indices("RFC") {
        let rest = comment.get(start..).unwrap_or_default();
        let after = rest.get(3..).unwrap_or_default();
        if after.starts_with(|c: char| c.is_ascii_digit()) {
            return Some(rest.chars().take(12).collect());
        }
        let behind = after
            .trim_start()
            .trim_start_matches(|c: char| c.is_ascii_digit());
        let behind = behind.trim_start_matches([',', ' ']).to_ascii_lowercase();
        if after.starts_with(' ') && (behind.starts_with("section ") || behind.starts_with("sec. ")) {
            return Some(rest.chars().take(20).collect());
        }
    }
    None
}

fn expect_none(wrong: impl IntoIterator<Item = String>) {
    let wrong: Vec<String> = wrong.into_iter().collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> impl Iterator<Item = Source> {
    let mut files = Vec::new();
    for folder in [
        "src",
        "bgp-codec/src",
        "bgp-codec/tests",
        "xtask/src",
        "tests",
        "benches",
        "fuzz",
    ] {
        collect(&root().join(folder), &mut files);
    }
    assert!(files.len() > 4, "the sources are where this test looks for them");
    files.into_iter().map(|path| {
        let name = path
            .strip_prefix(root())
            .expect("found below the root")
            .display()
            .to_string();
        let text = fs::read_to_string(&path).expect("a source file is readable text");
        Source { name, text }
    })
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
