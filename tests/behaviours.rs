//! Every test that `docs/behaviours.md` names exists, and every behaviour there has one.

#![expect(clippy::unwrap_used, reason = "the whole file is a test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn every_behaviour_has_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut known = BTreeSet::new();
    for folder in ["src", "tests", "bgp-codec/src", "bgp-codec/tests"] {
        collect(&root.join(folder), &mut known);
    }
    assert!(known.len() > 400, "only {} tests were found", known.len());
    let page = fs::read_to_string(root.join("docs/behaviours.md")).unwrap();
    let mut wrong = Vec::new();
    for line in page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| behaviour"))
    {
        let tests = line.rsplit('|').nth(1).unwrap_or_default();
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        if named.is_empty() {
            wrong.push(format!("no test: {line}"));
        }
        wrong.extend(
            named
                .into_iter()
                .filter(|name| !known.contains(*name))
                .map(|name| format!("there is no test {name}")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The names of all test functions below a folder.
fn collect(folder: &Path, known: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, known);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let mut is_test = false;
            for line in text.lines().map(str::trim) {
                if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                    is_test = true;
                } else if let Some(name) = line
                    .trim_start_matches("async ")
                    .strip_prefix("fn ")
                    .and_then(|rest| rest.split('(').next())
                {
                    if is_test || text.contains("proptest!") {
                        known.insert(name.to_owned());
                    }
                    is_test = false;
                }
            }
        }
    }
}
