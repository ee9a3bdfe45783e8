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
use super::schema::{Key, NONE, REQUIRED, Shape, Table};
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
    file.aggregates
        .iter()
        .for_each(|keys| page.table("[[aggregate]]", entries(keys)));
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
                Some(value) => {
                    let mut words = Vec::new();
                    let value = completed(&key.shape, name, value, &mut words);
                    self.line(&format!("{name} = {value}"));
                    words.iter().for_each(|line| self.line(line));
                }
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

/// A value with the defaults of every table in it; what is assumed in words becomes lines of their own.
fn completed(shape: &Shape, name: &str, written: String, words: &mut Vec<String>) -> String {
    let parsed: Option<toml::Table> = toml::from_str(&format!("value = {written}")).ok();
    match parsed.and_then(|mut table| table.remove("value")) {
        Some(value) if value.is_table() || value.is_array() => render(shape, name, &value, words),
        _ => written,
    }
}

fn render(shape: &Shape, name: &str, value: &toml::Value, words: &mut Vec<String>) -> String {
    match (value, table_of(shape)) {
        (toml::Value::Table(written), Some(table)) => {
            let mut pairs = Vec::new();
            for key in table.keys() {
                let place = format!("{name}.{}", key.name);
                match (written.get(key.name), key.default_text()) {
                    (Some(value), _) => {
                        pairs.push(format!(
                            "{} = {}",
                            key.name,
                            render(&key.shape, &place, value, words)
                        ));
                    }
                    (None, _) if key.companion().is_some_and(|with| !written.contains_key(with)) => {}
                    (None, Some(default)) if key.default_value().is_some() => {
                        pairs.push(format!("{} = {default}", key.name));
                    }
                    (None, _) if key.default == NONE || key.default == REQUIRED => {}
                    (None, _) => words.push(format!("# {place}: {}", key.default)),
                }
            }
            if pairs.is_empty() {
                "{}".to_owned()
            } else {
                format!("{{ {} }}", pairs.join(", "))
            }
        }
        (toml::Value::Array(items), _) => {
            let item = item_of(shape);
            let mut places = Vec::new();
            for (index, value) in items.iter().enumerate() {
                places.push(render(item, &format!("{name}[{index}]"), value, words));
            }
            format!("[{}]", places.join(", "))
        }
        (other, _) => other.to_string(),
    }
}

/// The table that a value of this shape may be.
fn table_of(shape: &Shape) -> Option<Table> {
    match shape {
        Shape::Table(table) => Some(table()),
        Shape::Either(shapes) => shapes.iter().find_map(table_of),
        Shape::OneOrMany(item) => table_of(item),
        Shape::Boolean
        | Shape::False
        | Shape::Number { .. }
        | Shape::Text { .. }
        | Shape::Words(_)
        | Shape::List(_) => None,
    }
}

/// What items of a list of this shape are.
fn item_of(shape: &Shape) -> &Shape {
    match shape {
        Shape::OneOrMany(item) | Shape::List(item) => item,
        Shape::Either(shapes) => shapes
            .iter()
            .find(|shape| matches!(shape, Shape::OneOrMany(_) | Shape::List(_)))
            .map_or(shape, item_of),
        Shape::Boolean
        | Shape::False
        | Shape::Number { .. }
        | Shape::Text { .. }
        | Shape::Words(_)
        | Shape::Table(_) => shape,
    }
}
