//! Lists what the code cites: `RFC nnnn §x` by document and section, and every known deviation.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

const ROOTS: [&str; 3] = ["bgp-codec/src", "src", "tests"];

/// Where each section of each document is cited.
#[derive(Default)]
struct Citations {
    sections: BTreeMap<u32, BTreeMap<String, BTreeSet<String>>>,
    deviations: Vec<String>,
}

/// Prints citations by document, then the deviations.
pub(crate) fn list() -> Result<()> {
    println!("$ grep -rnE 'RFC [0-9]+ §|Deviates from' {}", ROOTS.join(" "));
    let mut citations = Citations::default();
    for root in ROOTS {
        for file in rust_files(Path::new(root))? {
            let text =
                fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            citations.read(&file, &text);
        }
    }
    for (document, sections) in &citations.sections {
        println!("RFC {document}");
        for (section, places) in sections {
            println!(
                "  §{section}  {}",
                places.iter().cloned().collect::<Vec<_>>().join(" ")
            );
        }
    }
    println!("\nDeviations: {}", citations.deviations.len());
    for deviation in &citations.deviations {
        println!("  {deviation}");
    }
    Ok(())
}

impl Citations {
    fn read(&mut self, file: &Path, text: &str) {
        let name = file.display().to_string();
        for (index, line) in text.lines().enumerate() {
            for (document, section) in citations_in(line) {
                let places = self
                    .sections
                    .entry(document)
                    .or_default()
                    .entry(section)
                    .or_default();
                places.insert(name.clone());
            }
            if let Some((_, deviation)) = line.split_once("// Deviates from ") {
                self.deviations.push(format!("{name}:{}: {deviation}", index + 1));
            }
        }
    }
}

/// The citations `RFC nnnn §x` of one line; `RFC nnnn §x, §y` names two sections of one document.
fn citations_in(line: &str) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    for part in line.split("RFC ").skip(1) {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        let Ok(document) = digits.parse() else { continue };
        for section in part.split('§').skip(1) {
            let number: String = section
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '(' | ')'))
                .collect();
            let number = number.trim_end_matches(['.', ')']);
            let number = if number.contains('(') {
                format!("{number})")
            } else {
                number.to_owned()
            };
            found.push((document, number));
        }
    }
    found
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    if !folder.exists() {
        return Ok(files);
    }
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_sections_of_one_document_are_two_citations() {
        let line = "/// RFC 7606 §3(h), §7.1 and RFC 4271 §6.3.";
        let expected = [
            (7606, "3(h)".to_owned()),
            (7606, "7.1".to_owned()),
            (4271, "6.3".to_owned()),
        ];
        assert_eq!(citations_in(line), expected);
    }

    #[test]
    fn a_document_without_a_section_is_no_citation() {
        assert!(citations_in("// as RFC 1918 has it").is_empty());
    }
}
