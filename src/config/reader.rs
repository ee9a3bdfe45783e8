//! Walks a parsed TOML tree and collects everything that is wrong with it.
//!
//! A parser is a function from a [`Value`] to `Option<T>`: `None` means that the problem has been reported and that
//! reading goes on, so that one pass finds all of them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::environment::{Environment, SubstitutionError, substitute};
use super::file::Keys;
use super::file::filter::SetKeys;
use super::file::kernel::KernelKeys;
use super::file::peer::SharedKeys;
use super::file::speaker::SpeakerKeys;
use super::file::vip::CheckKeys;
use super::nearest::{meant, nearest, translated};
use super::report::{Problem, Severity};
use super::schema::Key;
use super::source::Source;
use crate::policy::Location;

/// What all parsers share: the source, the surroundings, and the problems so far.
pub(super) struct Reader<'a> {
    pub(super) environment: Environment<'a>,
    source: RefCell<Source>,
    /// Where the file that is being read begins in the source.
    base: Cell<usize>,
    problems: RefCell<Vec<Problem>>,
    references: RefCell<Vec<Reference>>,
    known: RefCell<BTreeSet<(Referent, Arc<str>)>>,
    /// Values in TOML by their span.
    values: Option<RefCell<BTreeMap<(usize, usize), String>>>,
}

/// A name that must exist elsewhere in the file; checked when everything has been read.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    pub(super) to: Referent,
    pub(super) name: Spanned<String>,
}

/// What a [`Reference`] names.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Referent {
    Filter,
    Group,
    Peer,
    PrefixSet,
    CommunitySet,
    AsPathSet,
    /// The name of an `[[originate]]` or `[[vip]]`.
    Source,
}

impl<'a> Reader<'a> {
    pub(super) fn new(environment: Environment<'a>) -> Self {
        Self {
            environment,
            source: RefCell::default(),
            base: Cell::new(0),
            problems: RefCell::new(Vec::new()),
            references: RefCell::default(),
            known: RefCell::default(),
            values: None,
        }
    }

    /// A reader that remembers each value as read, so that it can be shown.
    pub(super) fn recording(environment: Environment<'a>) -> Self {
        Self {
            values: Some(RefCell::default()),
            ..Self::new(environment)
        }
    }

    /// Reads a file's text; what does not parse is reported, and what `read` can make of the rest it yields.
    pub(super) fn file<T>(&self, name: &str, text: &str, read: impl FnOnce(&Spanned<DeTable<'_>>) -> T) -> T {
        let base = self.source.borrow_mut().add(name, text);
        let (table, errors) = DeTable::parse_recoverable(text);
        let before = self.base.replace(base);
        for error in &errors {
            let span = error.span().unwrap_or(0..0);
            self.error(&self.shifted(span), error.message().to_owned(), []);
        }
        let result = read(&table);
        self.base.set(before);
        result
    }

    /// Takes up a file that is not TOML, for messages that point into it; yields where it begins.
    pub(super) fn plain_file(&self, name: &str, text: &str) -> usize {
        self.source.borrow_mut().add(name, text)
    }

    /// A span of the file that is being read, as one of the whole source.
    pub(super) fn shifted(&self, span: Range<usize>) -> Range<usize> {
        let base = self.base.get();
        span.start + base..span.end + base
    }

    /// The directory of the file in which this stands; relative paths start there.
    pub(super) fn directory(&self, span: &Range<usize>) -> PathBuf {
        let location = self.location(span);
        Path::new(&*location.file)
            .parent()
            .map_or_else(PathBuf::new, Path::to_path_buf)
    }

    /// A value as it was read, if this reader was to remember values.
    pub(super) fn written(&self, span: &Range<usize>) -> Option<String> {
        self.values
            .as_ref()?
            .borrow()
            .get(&(span.start, span.end))
            .cloned()
    }

    /// Reports an error; `help` says what to write.
    pub(super) fn error(&self, span: &Range<usize>, message: String, help: impl IntoIterator<Item = String>) {
        let problem = Problem::new(&self.source.borrow(), span, Severity::Error, message).with_help(help);
        self.problems.borrow_mut().push(problem);
    }

    /// Whether something is wrong so far: what is left out for it may make the rest look odd.
    pub(super) fn has_errors(&self) -> bool {
        !self.problems.borrow().iter().all(Problem::is_warning)
    }

    pub(super) fn warning(
        &self,
        span: &Range<usize>,
        message: String,
        help: impl IntoIterator<Item = String>,
    ) {
        let problem = Problem::new(&self.source.borrow(), span, Severity::Warning, message).with_help(help);
        self.problems.borrow_mut().push(problem);
    }

    pub(super) fn refer(&self, to: Referent, name: Spanned<String>) {
        self.references.borrow_mut().push(Reference { to, name });
    }

    /// Whether such a name is given somewhere; known once the names have been checked.
    pub(super) fn is_known(&self, to: Referent, name: &str) -> bool {
        self.known.borrow().contains(&(to, name.into()))
    }

    pub(super) fn note_known(&self, to: Referent, names: impl Iterator<Item = Arc<str>>) {
        self.known.borrow_mut().extend(names.map(|name| (to, name)));
    }

    /// A value in TOML, environment variables put in.
    fn rendered(&self, node: &DeValue<'_>) -> String {
        match node {
            DeValue::String(text) => {
                let text = substitute(text, self.environment.variable).unwrap_or_else(|_| text.to_string());
                toml::Value::String(text).to_string()
            }
            DeValue::Array(items) => {
                let items: Vec<String> = items.iter().map(|item| self.rendered(item.get_ref())).collect();
                format!("[{}]", items.join(", "))
            }
            DeValue::Table(table) => {
                let pairs = table.iter().map(|(key, value)| {
                    let key = key.get_ref();
                    let bare = key
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
                    let value = self.rendered(value.get_ref());
                    if bare {
                        format!("{key} = {value}")
                    } else {
                        format!("{key:?} = {value}")
                    }
                });
                let pairs: Vec<String> = pairs.collect();
                format!("{{ {} }}", pairs.join(", "))
            }
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| number.as_str().to_owned(), |number| number.to_string()),
            DeValue::Float(number) => number.as_str().to_owned(),
            DeValue::Boolean(value) => value.to_string(),
            DeValue::Datetime(value) => value.to_string(),
        }
    }

    /// Who answers for the file read last.
    pub(super) fn set_owner(&self, owner: Arc<str>) {
        self.source.borrow_mut().set_owner(owner);
    }

    pub(super) fn references(&self) -> Vec<Reference> {
        self.references.borrow().clone()
    }

    pub(super) fn location(&self, span: &Range<usize>) -> Location {
        self.source.borrow().location(span)
    }

    /// `on line 12`, or `in conf.d/web.toml:12`, for messages that point at a second place.
    pub(super) fn elsewhere(&self, from: &Range<usize>, to: &Range<usize>) -> String {
        let source = self.source.borrow();
        let location = source.location(to);
        if source.same_file(from.start, to.start) {
            format!("on line {}", location.line)
        } else {
            match source.owner(to) {
                Some(owner) => format!("in {location}, whose owner is {owner}"),
                None => format!("in {location}"),
            }
        }
    }

    /// All problems, in the order of the file.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by(|a, b| a.sort_key().cmp(&b.sort_key()));
        problems.dedup();
        problems
    }
}

/// A value of the tree and the key it stands under.
pub(super) struct Value<'r> {
    pub(super) reader: &'r Reader<'r>,
    pub(super) span: Range<usize>,
    node: &'r DeValue<'r>,
    key: &'r str,
}

impl<'r> Value<'r> {
    /// Reports that this value is wrong.
    pub(super) fn fail<T>(&self, wrong: impl Display, help: impl Display) -> Option<T> {
        self.reader
            .error(&self.span, format!("`{}`: {wrong}", self.key), [help.to_string()]);
        None
    }

    /// Reports a value of the wrong type.
    pub(super) fn wrong_type<T>(&self, expected: impl Display) -> Option<T> {
        self.fail(a(self.node.type_str()), format_args!("expected {expected}"))
    }

    pub(super) const fn is_text(&self) -> bool {
        matches!(self.node, DeValue::String(_))
    }

    pub(super) const fn is_list(&self) -> bool {
        matches!(self.node, DeValue::Array(_))
    }

    pub(super) const fn is_table(&self) -> bool {
        matches!(self.node, DeValue::Table(_))
    }

    pub(super) fn as_boolean(&self) -> Option<bool> {
        self.node.as_bool()
    }

    /// A string, with environment variables put in.
    pub(super) fn text(&self, expected: &str) -> Option<String> {
        let DeValue::String(text) = self.node else {
            return self.wrong_type(expected);
        };
        match substitute(text, self.reader.environment.variable) {
            Ok(text) => Some(text),
            Err(error @ SubstitutionError::Unset(_)) => self.fail(
                error,
                "set it, or write `${NAME:-text}` to say what stands in for it",
            ),
            Err(error) => self.fail(
                error,
                "environment variables are written `${NAME}` or `${NAME:-text}`",
            ),
        }
    }

    /// A string that `parse` understands.
    pub(super) fn parse<T, E: Display>(
        &self,
        expected: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(expected)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => self.fail(error, format_args!("expected {expected}")),
        }
    }

    /// A number in the range, written plainly or as a string from the environment (`"${PORT}"`).
    pub(super) fn number(&self, range: &std::ops::RangeInclusive<u64>) -> Option<u64> {
        let expected = format!("a number from {} to {}", range.start(), range.end());
        let (written, parsed) = if let Some(integer) = self.node.as_integer() {
            (
                integer.to_string(),
                u64::from_str_radix(integer.as_str(), integer.radix()).ok(),
            )
        } else if self.node.as_str().is_some_and(|text| text.contains("${")) {
            let text = self.text(&expected)?;
            let parsed = text.parse().ok();
            (text, parsed)
        } else {
            return self.wrong_type(expected);
        };
        match parsed.filter(|number| range.contains(number)) {
            Some(number) => Some(number),
            None => self.fail(
                format_args!("{written} is out of range"),
                format_args!("expected {expected}"),
            ),
        }
    }

    /// Every item of an array; all wrong ones are reported.
    pub(super) fn list<T>(&self, expected: &str, item: impl Fn(&Value<'_>) -> Option<T>) -> Option<Vec<T>> {
        let DeValue::Array(array) = self.node else {
            return self.wrong_type(expected);
        };
        let mut items = Vec::with_capacity(array.len());
        let mut complete = true;
        for node in array {
            let value = Value {
                reader: self.reader,
                span: self.reader.shifted(node.span()),
                node: node.get_ref(),
                key: self.key,
            };
            match item(&value) {
                Some(item) => items.push(item),
                None => complete = false,
            }
        }
        complete.then_some(items)
    }

    /// The items of an array that are right; the wrong ones are reported.
    pub(super) fn list_of_good<T>(&self, item: impl Fn(&Value<'_>) -> Option<T>) -> Option<Vec<T>> {
        let goods = RefCell::new(Vec::new());
        self.list("a list", |value| {
            goods.borrow_mut().extend(item(value));
            Some(())
        })?;
        Some(goods.into_inner())
    }

    /// An array, or one item without brackets.
    pub(super) fn one_or_many<T>(&self, item: impl Fn(&Value<'_>) -> Option<T>) -> Option<Vec<T>> {
        if matches!(self.node, DeValue::Array(_)) {
            self.list("a list", item)
        } else {
            item(self).map(|item| vec![item])
        }
    }

    /// A table; what `read` leaves unread is an unknown key.
    pub(super) fn table<T>(&self, name: &'static str, read: impl FnOnce(&Section<'_>) -> T) -> Option<T> {
        let DeValue::Table(table) = self.node else {
            return self.wrong_type("a table");
        };
        Some(Section::new(self.reader, table, self.span.clone(), name).read_whole(read))
    }

    /// An inline table of keys; an empty one says nothing, which is hardly meant.
    pub(super) fn keys<T: Keys>(&self) -> Option<T> {
        let keys = self.table(T::SECTION, T::read)?;
        // Unknown keys have been reported.
        let says_nothing = matches!(self.node, DeValue::Table(table) if table.is_empty());
        if says_nothing && keys.header().is_empty() {
            let known: Vec<&str> = T::KEYS.iter().map(|key| key.name).collect();
            let help = format!("known here: {}", known.join(", "));
            self.reader
                .warning(&self.span, format!("`{}` is empty", self.key), [help]);
        }
        Some(keys)
    }
}

/// The table that has a key which another one has not.
fn home(key: &str, table: &str) -> Option<String> {
    const HOMES: &[(&str, &[Key])] = &[
        (CheckKeys::SECTION, CheckKeys::KEYS),
        (SharedKeys::SECTION, SharedKeys::KEYS),
        (SetKeys::SECTION, SetKeys::KEYS),
        (SpeakerKeys::SECTION, SpeakerKeys::KEYS),
        (KernelKeys::SECTION, KernelKeys::KEYS),
    ];
    // What is in two places may belong in a third.
    let mut homes = HOMES
        .iter()
        .filter(|(_, keys)| keys.iter().any(|known| known.name == key));
    let (home, _) = homes.next().filter(|_| homes.next().is_none())?;
    (*home != table).then(|| (*home).to_owned())
}

/// A table of the tree; remembers which keys were asked for.
pub(super) struct Section<'r> {
    pub(super) reader: &'r Reader<'r>,
    pub(super) span: Range<usize>,
    table: &'r DeTable<'r>,
    /// How messages call it: `[speaker]`, `[[peer]]`, `a rule`.
    name: &'static str,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'r> Section<'r> {
    pub(super) const fn new(
        reader: &'r Reader<'r>,
        table: &'r DeTable<'r>,
        span: Range<usize>,
        name: &'static str,
    ) -> Self {
        Self {
            reader,
            span,
            table,
            name,
            asked: RefCell::new(BTreeSet::new()),
        }
    }

    /// Reads, then reports the keys that nobody asked for.
    pub(super) fn read_whole<T>(&self, read: impl FnOnce(&Self) -> T) -> T {
        let result = read(self);
        let asked = self.asked.borrow();
        for key in self
            .table
            .keys()
            .filter(|key| !asked.contains(key.get_ref().as_ref()))
        {
            let here = || asked.iter().copied();
            let help = if let Some(ours) = translated(key.get_ref(), here()) {
                format!("did you mean `{ours}`?")
            } else if let Some(home) = home(key.get_ref(), self.name) {
                format!("`{}` belongs in {home}", key.get_ref())
            } else if let Some(meant) = nearest(key.get_ref(), here()) {
                format!("did you mean `{meant}`?")
            } else {
                format!("known here: {}", here().collect::<Vec<_>>().join(", "))
            };
            self.reader.error(
                &self.reader.shifted(key.span()),
                format!("unknown key `{}` in {}", key.get_ref(), self.name),
                [help],
            );
        }
        result
    }

    /// The value of a key, parsed; `None` if absent or wrong.
    pub(super) fn read<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&Value<'_>) -> Option<T>,
    ) -> Option<Spanned<T>> {
        self.asked.borrow_mut().insert(key);
        let node = self.table.get(key)?;
        let value = Value {
            reader: self.reader,
            span: self.reader.shifted(node.span()),
            node: node.get_ref(),
            key,
        };
        if let Some(values) = &self.reader.values {
            let text = self.reader.rendered(value.node);
            values
                .borrow_mut()
                .insert((value.span.start, value.span.end), text);
        }
        parse(&value).map(|parsed| Spanned::new(value.span.clone(), parsed))
    }

    /// Whether the key stands in the table, rightly or wrongly: with a bad value, or by another name.
    pub(super) fn means(&self, key: &'static str) -> bool {
        self.table
            .keys()
            .any(|written| written.get_ref() == key || meant(written.get_ref(), [key]).is_some())
    }

    /// Which of the keys stand in the table, rightly or wrongly: with a bad value, or misspelt.
    pub(super) fn present(&self, keys: &[Key]) -> BTreeSet<&'static str> {
        let names = || keys.iter().map(|key| key.name);
        let asked = self.asked.borrow();
        let written = |name: &str| self.table.contains_key(name);
        let slips = self.table.keys().filter_map(|key| {
            let key = key.get_ref();
            let known = asked.contains(&**key) || names().any(|name| *name == **key);
            (!known).then(|| meant(key, names())).flatten()
        });
        names().filter(|name| written(name)).chain(slips).collect()
    }
}

/// `an array`, `a string`.
fn a(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {noun}")
}
