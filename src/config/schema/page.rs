//! The tables of `docs/configuration.md`.
//!
//! A table stands between `<!-- keys: NAME -->` and `<!-- end -->`, where NAME is that of a [`Table`]; everything else of
//! the page is prose.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Key, NONE, REQUIRED, Shape, Table, sections};

const BEGIN: &str = "<!-- keys: ";
const BEGIN_END: &str = " -->\n";
const END: &str = "<!-- end -->";

/// The page with each of its tables as the schema has it.
///
/// # Panics
///
/// If the page has no place for a table, or a place for one that is not there: this runs in tests alone.
pub(super) fn renewed(page: &str) -> String {
    let mut tables = all_tables();
    let mut result = String::new();
    let mut rest = page;
    while let Some((before, behind)) = rest.split_once(BEGIN) {
        let (name, behind) = behind.split_once(BEGIN_END).expect("a marker ends on its line");
        let (_, behind) = behind.split_once(END).expect("a table has an end");
        let table = tables.remove(name);
        let table = table.unwrap_or_else(|| panic!("there is no table `{name}`, or the page has it twice"));
        write!(
            result,
            "{before}{BEGIN}{name}{BEGIN_END}\n{}\n{END}",
            rendered(&table)
        )
        .expect("a String takes all");
        rest = behind;
    }
    let missing: Vec<&str> = tables.into_keys().collect();
    assert!(
        missing.is_empty(),
        "docs/configuration.md has no `{BEGIN}NAME{BEGIN_END}{END}` for {missing:?}"
    );
    result + rest
}

/// Every table by name, each key in one of them.
pub(super) fn all_tables() -> BTreeMap<&'static str, Table> {
    let mut tables = BTreeMap::new();
    for section in sections() {
        collect(&section.table, &mut tables);
    }
    // Its keys are those of `peer`, but `address` and `group`.
    tables.remove("peer_group");
    // A rule is a condition and more.
    let whole: Vec<&[Key]> = tables
        .values()
        .filter_map(|table| match table.parts.as_slice() {
            [only] => Some(*only),
            _ => None,
        })
        .collect();
    for table in tables.values_mut().filter(|table| table.parts.len() > 1) {
        table
            .parts
            .retain(|part| !whole.iter().any(|other| same_keys(other, part)));
    }
    tables
}

/// By name: a constant has as many addresses as the compiler likes.
fn same_keys(left: &[Key], right: &[Key]) -> bool {
    left.iter()
        .map(|key| key.name)
        .eq(right.iter().map(|key| key.name))
}

fn collect(table: &Table, tables: &mut BTreeMap<&'static str, Table>) {
    if tables.contains_key(table.name) {
        return;
    }
    tables.insert(table.name, table.clone());
    for key in table.keys() {
        collect_shape(&key.shape, tables);
    }
}

fn collect_shape(shape: &Shape, tables: &mut BTreeMap<&'static str, Table>) {
    match shape {
        Shape::Table(table) => collect(&table(), tables),
        Shape::OneOrMany(item) | Shape::List(item) => collect_shape(item, tables),
        Shape::Either(shapes) => shapes.iter().for_each(|shape| collect_shape(shape, tables)),
        Shape::Boolean | Shape::False | Shape::Number { .. } | Shape::Text { .. } | Shape::Words(_) => {}
    }
}

/// Columns that would say the same in every row are left out.
fn rendered(table: &Table) -> String {
    let with_default = table.keys().any(|key| key.default != NONE);
    let with_reload = table.keys().any(|key| key.reload != super::LIVE);
    let mut text = String::from("| key | value | meaning |");
    let mut rule = String::from("|---|---|---|");
    for (present, title) in [(with_default, " default |"), (with_reload, " on reload |")] {
        if present {
            text += title;
            rule += "---|";
        }
    }
    text = format!("{text}\n{rule}\n");
    for key in table.keys() {
        let cells = format!("| `{}` | {} | {} |", key.name, value(&key.shape), meaning(key));
        text += &cells;
        if with_default {
            text += &format!(" {} |", default(key));
        }
        if with_reload {
            text += &format!(" {} |", key.reload);
        }
        text.push('\n');
    }
    text
}

fn meaning(key: &Key) -> String {
    key.meaning_text().replace('|', "\\|")
}

fn default(key: &Key) -> &str {
    match key.default {
        REQUIRED => "**required**",
        other => other,
    }
}

/// What a key takes, in words.
fn value(shape: &Shape) -> String {
    match shape {
        Shape::Boolean => "`true`, `false`".to_owned(),
        Shape::False => "`false`".to_owned(),
        Shape::Number { low, high } => match *high {
            4_294_967_295 => format!("{low} to 2^32-1"),
            31_536_000 => "seconds".to_owned(),
            high => format!("{low} to {high}"),
        },
        Shape::Text { noun, .. } => noun.trim_start_matches("a ").trim_start_matches("an ").to_owned(),
        Shape::Words(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
            words.join(", ")
        }
        Shape::Either(shapes) => {
            let shapes: Vec<String> = shapes.iter().map(value).collect();
            shapes.join(", ")
        }
        Shape::OneOrMany(item) | Shape::List(item) => format!("list: {}", value(item)),
        Shape::Table(table) => format!("table: `{}`", table().name),
    }
}
