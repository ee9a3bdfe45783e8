//! The effective configuration: what is written, what groups and profiles add to it, and every default.
//!
//! Values are shown as they were read, environment variables put in; a password file is named and never opened up.

use std::ops::Range;
use std::path::Path;

use super::environment::Variables;
use super::file::{File, Keys};
use super::load;
use super::reader::Reader;
use super::report::Report;
use super::schema::{Key, NONE, REQUIRED};
use super::validate::{effective_keys, validate};

/// A key, and where its value stands.
type Entry = (&'static Key, Option<Range<usize>>);

/// The effective configuration as TOML; what is assumed in words stands in comments.
///
/// # Errors
///
/// As [`Config::load`](super::Config::load).
pub fn effective(path: &Path, variables: Variables<'_>) -> Result<String, Report> {
    let text = load::read(path)?;
    let reader = Reader::recording(load::real(variables));
    let file = load::files(&reader, &path.display().to_string(), &text);
    let shown = validate(&reader, &file).map(|_| shown(&reader, &file));
    load::finish(reader, shown).map(|(text, _)| text)
}

fn shown(reader: &Reader<'_>, file: &File) -> String {
    let mut page = Page {
        reader,
        text: String::new(),
    };
    if let Some(keys) = &file.speaker {
        page.table("[speaker]", entries(keys));
    }
    if let Some(keys) = &file.kernel {
        page.table("[kernel]", entries(keys));
    }
    file.originate
        .iter()
        .for_each(|keys| page.table("[[originate]]", entries(keys)));
    file.vips
        .iter()
        .for_each(|keys| page.table("[[vip]]", entries(keys)));
    file.prefix_sets
        .iter()
        .for_each(|keys| page.table("[[prefix_set]]", entries(keys)));
    file.community_sets
        .iter()
        .for_each(|keys| page.table("[[community_set]]", entries(keys)));
    file.as_path_sets
        .iter()
        .for_each(|keys| page.table("[[as_path_set]]", entries(keys)));
    file.filters
        .iter()
        .for_each(|keys| page.table("[[filter]]", entries(keys)));
    for group in &file.groups {
        let shared = effective_keys(reader, &group.shared, None);
        let own = entries(&group.own).into_iter();
        page.table("[[peer_group]]", own.chain(entries(&shared)).collect());
    }
    for peer in &file.peers {
        let wanted = peer.own.group.as_ref().map(toml::Spanned::get_ref);
        let group = file
            .groups
            .iter()
            .find(|group| wanted.is_some() && group.own.name.as_ref().map(toml::Spanned::get_ref) == wanted);
        let shared = effective_keys(reader, &peer.shared, group);
        let own = entries(&peer.own).into_iter();
        page.table("[[peer]]", own.chain(entries(&shared)).collect());
    }
    page.text
}

fn entries<T: Keys>(keys: &T) -> Vec<Entry> {
    T::KEYS.iter().zip(keys.spans()).collect()
}

struct Page<'r, 'a> {
    reader: &'r Reader<'a>,
    text: String,
}

impl Page<'_, '_> {
    fn table(&mut self, header: &str, entries: Vec<Entry>) {
        let gap = if self.text.is_empty() { "" } else { "\n" };
        self.line(&format!("{gap}{header}"));
        for (key, span) in entries {
            let name = key.name;
            match span.and_then(|span| self.reader.written(&span)) {
                Some(value) => self.line(&format!("{name} = {value}")),
                None => match key.default_text() {
                    Some(value) => self.line(&format!("{name} = {value}")),
                    None if key.default == NONE || key.default == REQUIRED => {}
                    None => self.line(&format!("# {name}: {}", key.default)),
                },
            }
        }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }
}
