//! What each key of the file is: its values, its meaning, its default, and what changing it takes.
//!
//! # To add a key
//!
//! Add one entry to the `keys!` of its table in `config/file/`, and nothing else that describes it:
//!
//! ```text
//! /// Proposed hold time (RFC 4271 §4.2).
//! hold_time: Duration = hold_time => DURATION, "`\"90s\"`", RESETS;
//! //  |        |           |            |           |          `- on reload: LIVE, RESETS, RESTART, or words
//! //  |        |           |            |           `- default: a TOML value in backquotes, words, NONE or REQUIRED
//! //  |        |           |            `- its shape: what editors complete and `tests` tries out
//! //  |        |           `- its parser: `fn(&Value) -> Option<Type>`, of `config/scalar.rs` or beside the table
//! //  |        `- what the parser yields
//! //  `- as written in the file
//! ```
//!
//! The comment is the documentation, in Markdown; it needs neither the values nor the default, which the page shows in
//! columns of their own. `UPDATE=1 cargo test --lib config::schema` rewrites the tables of `docs/configuration.md`
//! (prose outside the tables is written there by hand), and without `UPDATE` that test fails while the page is old.
//! `stonechat config schema` prints the same as a JSON Schema. A default in backquotes is tried out too: a file that
//! writes it out must mean the same as one that does not.
//!
//! Then use the value in `config/validate/`, and give its verdict on reload in `config/diff/`.
//!
//! To add a table, write its `keys!`, and name it in [`sections`] or as the [`Shape::Table`] of a key.

mod json;
#[cfg(test)]
mod page;
#[cfg(test)]
mod tests;

pub(in crate::config) use self::json::json_schema;

/// One key of a table; made by `keys!` alone.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct Key {
    /// As written in the file.
    pub(in crate::config) name: &'static str,
    /// What it does: the comment in `keys!`, a line each.
    pub(in crate::config) meaning: &'static [&'static str],
    pub(in crate::config) shape: Shape,
    /// A TOML value in backquotes, words, [`NONE`] or [`REQUIRED`].
    pub(in crate::config) default: &'static str,
    /// What changing it takes.
    pub(in crate::config) reload: &'static str,
}

/// The key must be there.
pub(in crate::config) const REQUIRED: &str = "required";
/// Without the key, nothing.
pub(in crate::config) const NONE: &str = "";

/// Changing the key disturbs no session.
pub(in crate::config) const LIVE: &str = "live";
/// Changing the key closes the sessions concerned.
pub(in crate::config) const RESETS: &str = "resets";
/// Changing the key disturbs no session; what it changes takes effect with the next one.
pub(in crate::config) const NEXT_SESSION: &str = "live, at the next session";
/// Changing the key waits for the next start.
pub(in crate::config) const RESTART: &str = "restart";

/// What values a key takes.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) enum Shape {
    /// `true` or `false`.
    Boolean,
    /// Only `false`, as another way to write `"off"`.
    False,
    /// A whole number in this range, ends included; from the environment, a string.
    Number { low: u64, high: u64 },
    /// A string, what it is, and one that is right.
    Text {
        noun: &'static str,
        example: &'static str,
    },
    /// One of these strings.
    Words(&'static [&'static str]),
    /// Any of these.
    Either(&'static [Self]),
    /// A list of these, or one without brackets.
    OneOrMany(&'static Self),
    /// A list of these.
    List(&'static Self),
    /// A table.
    Table(fn() -> Table),
}

/// The keys of a table, which may have several `keys!`.
#[derive(Clone, Debug)]
pub(in crate::config) struct Table {
    /// In the JSON Schema's `$defs`, and in the page's markers.
    pub(in crate::config) name: &'static str,
    pub(in crate::config) parts: Vec<&'static [Key]>,
}

impl Table {
    pub(in crate::config) fn new(name: &'static str, parts: &[&'static [Key]]) -> Self {
        Self {
            name,
            parts: parts.to_vec(),
        }
    }

    /// Every key, in the order of the documentation.
    pub(in crate::config) fn keys(&self) -> impl Iterator<Item = &'static Key> {
        self.parts.iter().flat_map(|part| part.iter())
    }
}

/// A table at the top of the file.
#[derive(Clone, Debug)]
pub(in crate::config) struct SectionSchema {
    pub(in crate::config) key: &'static str,
    /// `[[key]]`, not `[key]`.
    pub(in crate::config) repeated: bool,
    pub(in crate::config) meaning: &'static str,
    pub(in crate::config) table: Table,
}

/// Every table at the top of the file.
pub(in crate::config) fn sections() -> Vec<SectionSchema> {
    super::file::sections()
}

pub(in crate::config) const BOOLEAN: Shape = Shape::Boolean;
pub(in crate::config) const U32: Shape = Shape::Number {
    low: 0,
    high: 4_294_967_295,
};
/// AS numbers, also in asdot notation (RFC 5396).
pub(in crate::config) const ASN: Shape =
    Shape::Either(&[number(1, 4_294_967_295), text("an AS number", "1.10")]);
pub(in crate::config) const NAME: Shape = text("a name", "node1");
pub(in crate::config) const TEXT: Shape = text("text", "the rack on the left");
pub(in crate::config) const PATH: Shape = text("a path", "/etc/stonechat/file");
pub(in crate::config) const DURATION: Shape =
    Shape::Either(&[text("a duration", "1m30s"), number(1, 31_536_000)]);
pub(in crate::config) const ADDRESS: Shape = text("an address", "192.0.2.1");
pub(in crate::config) const IPV4: Shape = text("an IPv4 address", "192.0.2.1");
pub(in crate::config) const SOCKET: Shape = text("an address and port", "127.0.0.1:9179");
pub(in crate::config) const PREFIX: Shape = text("a prefix", "10.244.0.0/16");
pub(in crate::config) const COMMUNITY: Shape = text("a community", "64512:100");
pub(in crate::config) const LARGE_COMMUNITY: Shape = text("a large community", "64512:1:100");
pub(in crate::config) const FAMILY: Shape = Shape::Words(crate::route::CARRIED_NAMES);
pub(in crate::config) const NAMES: Shape = Shape::OneOrMany(&NAME);
pub(in crate::config) const PREFIXES: Shape = Shape::OneOrMany(&PREFIX);
pub(in crate::config) const COMMUNITIES: Shape = Shape::OneOrMany(&COMMUNITY);
pub(in crate::config) const LARGE_COMMUNITIES: Shape = Shape::OneOrMany(&LARGE_COMMUNITY);
pub(in crate::config) const COMMUNITY_PATTERNS: Shape = Shape::OneOrMany(&text("a community", "64512:*"));
pub(in crate::config) const LARGE_COMMUNITY_PATTERNS: Shape =
    Shape::OneOrMany(&text("a large community", "64512:1:*"));
pub(in crate::config) const EXTENDED_COMMUNITIES: Shape =
    Shape::OneOrMany(&text("an extended community", "rt:64512:100"));
pub(in crate::config) const EXTENDED_COMMUNITY_PATTERNS: Shape =
    Shape::OneOrMany(&text("an extended community", "rt:64512:*"));
pub(in crate::config) const AS_PATH_PATTERNS: Shape = Shape::OneOrMany(&text("a pattern", "_65001_"));
pub(in crate::config) const PREFIX_PATTERNS: Shape =
    Shape::OneOrMany(&text("a prefix with lengths", "10.0.0.0/8 ge 16 le 24"));
pub(in crate::config) const METRIC_RANGE: Shape = Shape::Either(&[U32, text("a range", "0-1023")]);
pub(in crate::config) const FAMILIES: Shape = Shape::OneOrMany(&FAMILY);

/// A whole number in this range, ends included.
pub(in crate::config) const fn number(low: u64, high: u64) -> Shape {
    Shape::Number { low, high }
}

/// A string: what it is, and one that is right.
pub(in crate::config) const fn text(noun: &'static str, example: &'static str) -> Shape {
    Shape::Text { noun, example }
}
