//! Conditions as meant: the sets and filters that they name put in.

use std::collections::BTreeMap;
use std::sync::Arc;

use toml::Spanned;

use super::inner;
use crate::config::file::File;
use crate::config::file::filter::ConditionKeys;
use crate::config::file::sets::PrefixSetKeys;
use crate::config::reader::{Reader, Referent};
use crate::policy::{Condition, Filter, PrefixPattern, PrefixSet};

/// Wrong lines of one file that are reported; behind so many, the file is something else.
const WRONG_LINES_SHOWN: usize = 20;

/// What conditions name.
#[derive(Debug, Default)]
pub(super) struct Named {
    prefix_sets: BTreeMap<Arc<str>, Condition>,
    community_sets: BTreeMap<Arc<str>, Condition>,
    as_path_sets: BTreeMap<Arc<str>, Condition>,
    /// Those above the one that is read.
    pub(super) filters: BTreeMap<Arc<str>, Arc<Filter>>,
}

impl Named {
    pub(super) fn new(reader: &Reader<'_>, file: &File) -> Self {
        let mut named = Self::default();
        for set in &file.prefix_sets {
            let name = set
                .header
                .require(reader, set.name.as_ref(), "name", "\"customers\"");
            if set.prefixes.is_none()
                && set.file.is_none()
                && !set.header.has("prefixes")
                && !set.header.has("file")
            {
                let help = "add `prefixes = [\"10.0.0.0/8 le 24\"]` or `file = \"customers.prefixes\"`";
                reader.error(&set.header.span, "the set is empty".to_owned(), [help.to_owned()]);
            }
            let prefixes = Condition::Prefix(prefix_set(reader, set));
            named
                .prefix_sets
                .extend(name.map(|name| (Arc::clone(name), prefixes)));
        }
        for set in &file.community_sets {
            let name = set
                .header
                .require(reader, set.name.as_ref(), "name", "\"customers\"");
            if ["community", "large_community", "extended_community"]
                .iter()
                .all(|kind| !set.header.has(kind))
            {
                let help = "add `community = [\"64512:*\"]`, `large_community` or `extended_community`";
                reader.error(&set.header.span, "the set is empty".to_owned(), [help.to_owned()]);
            }
            let kinds = [
                inner(set.community.as_ref()).map(Condition::Community),
                inner(set.large_community.as_ref()).map(Condition::LargeCommunity),
                inner(set.extended_community.as_ref()).map(Condition::ExtendedCommunity),
            ];
            let kinds = kinds.into_iter().flatten().collect();
            named
                .community_sets
                .extend(name.map(|name| (Arc::clone(name), Condition::Any(kinds))));
        }
        for set in &file.as_path_sets {
            let name = set
                .header
                .require(reader, set.name.as_ref(), "name", "\"customers\"");
            let patterns = set
                .header
                .require(reader, set.patterns.as_ref(), "patterns", "[\"_65001_\"]");
            let patterns = Condition::AsPath(patterns.cloned().unwrap_or_default());
            named
                .as_path_sets
                .extend(name.map(|name| (Arc::clone(name), patterns)));
        }
        named.warn_of_unused(reader, file);
        named
    }

    fn warn_of_unused(&self, reader: &Reader<'_>, file: &File) {
        let references = reader.references();
        let unused = |what: &str, to: Referent, name: Option<&Spanned<Arc<str>>>| {
            let Some(name) = name else { return };
            let used = |name: &str| {
                references
                    .iter()
                    .any(|to_it| to_it.to == to && to_it.name.get_ref() == name)
            };
            if !used(name.get_ref()) {
                let message = format!("no filter uses {what} `{}`", name.get_ref());
                reader.warning(&name.span(), message, []);
            }
        };
        for set in &file.prefix_sets {
            unused("prefix set", Referent::PrefixSet, set.name.as_ref());
        }
        for set in &file.community_sets {
            unused("community set", Referent::CommunitySet, set.name.as_ref());
        }
        for set in &file.as_path_sets {
            unused("AS-path set", Referent::AsPathSet, set.name.as_ref());
        }
    }

    /// All conditions given, as one.
    pub(super) fn condition(&self, reader: &Reader<'_>, keys: &ConditionKeys) -> Condition {
        let each = |keys: &Option<Spanned<Vec<ConditionKeys>>>| {
            let keys = keys.as_ref()?.get_ref();
            Some(
                keys.iter()
                    .map(|keys| self.condition(reader, keys))
                    .collect::<Vec<_>>(),
            )
        };
        let mut all: Vec<Condition> = [
            inner(keys.prefix.as_ref()).map(Condition::Prefix),
            any_of(&self.prefix_sets, keys.prefix_set.as_ref()),
            inner(keys.source.as_ref()).map(Condition::Source),
            inner(keys.peer.as_ref()).map(Condition::Peer),
            inner(keys.group.as_ref()).map(Condition::Group),
            inner(keys.family.as_ref()).map(Condition::Family),
            inner(keys.origin.as_ref()).map(Condition::Origin),
            inner(keys.med.as_ref()).map(Condition::Med),
            inner(keys.local_pref.as_ref()).map(Condition::LocalPref),
            inner(keys.tag.as_ref()).map(Condition::Tag),
            inner(keys.role.as_ref()).map(Condition::Role),
            inner(keys.kernel_metric.as_ref()).map(|(low, high)| Condition::KernelMetric(low, high)),
            inner(keys.kernel_realm.as_ref()).map(|(low, high)| Condition::KernelRealm(low, high)),
            inner(keys.next_hop.as_ref()).map(Condition::NextHop),
            inner(keys.community.as_ref()).map(Condition::Community),
            inner(keys.large_community.as_ref()).map(Condition::LargeCommunity),
            inner(keys.extended_community.as_ref()).map(Condition::ExtendedCommunity),
            any_of(&self.community_sets, keys.community_set.as_ref()),
            inner(keys.as_path.as_ref()).map(Condition::AsPath),
            any_of(&self.as_path_sets, keys.as_path_set.as_ref()),
            inner(keys.first_asn.as_ref()).map(Condition::FirstAsn),
            self.filter(reader, keys),
            keys.not
                .as_ref()
                .map(|not| Condition::Not(Box::new(self.condition(reader, not.get_ref())))),
            each(&keys.any).map(Condition::Any),
            each(&keys.all).map(Condition::All),
        ]
        .into_iter()
        .flatten()
        .collect();
        match all.pop() {
            Some(only) if all.is_empty() => only,
            Some(last) => {
                all.push(last);
                Condition::All(all)
            }
            None => Condition::always(),
        }
    }

    /// A filter may ask those above it, so that none asks itself.
    fn filter(&self, reader: &Reader<'_>, keys: &ConditionKeys) -> Option<Condition> {
        let names = keys.filter.as_ref()?;
        let mut asked = Vec::new();
        for name in names.get_ref() {
            match self.filters.get(name) {
                Some(filter) => asked.push(Condition::Filter(Arc::clone(filter))),
                // That there is none at all is reported with the names.
                None if reader.is_known(Referent::Filter, name) => {
                    let help = format!("move `[[filter]]` `{name}` above this one");
                    let message = format!("filter `{name}` stands below, or is this one");
                    reader.error(&names.span(), message, [help]);
                }
                None => {}
            }
        }
        Some(one_or_any(asked))
    }
}

/// A condition over any of the sets; that one is not there is reported with the names.
fn any_of(sets: &BTreeMap<Arc<str>, Condition>, names: Option<&Spanned<Vec<Arc<str>>>>) -> Option<Condition> {
    let found = names?.get_ref().iter().filter_map(|name| sets.get(name).cloned());
    Some(one_or_any(found.collect()))
}

fn one_or_any(mut conditions: Vec<Condition>) -> Condition {
    match conditions.pop() {
        Some(only) if conditions.is_empty() => only,
        Some(last) => {
            conditions.push(last);
            Condition::Any(conditions)
        }
        None => Condition::Any(conditions),
    }
}

fn prefix_set(reader: &Reader<'_>, keys: &PrefixSetKeys) -> PrefixSet {
    let mut patterns = inner(keys.prefixes.as_ref()).unwrap_or_default();
    if let Some(path) = &keys.file {
        let file = reader.directory(&path.span()).join(path.get_ref());
        match (reader.environment.text)(&file) {
            Ok(text) => read_patterns(reader, &file.display().to_string(), &text, &mut patterns),
            Err(error) => {
                let message = format!("`file`: {}: {error}", file.display());
                let help = "expected a file with a prefix on each line, such as `10.0.0.0/8 le 24`";
                reader.error(&path.span(), message, [help.to_owned()]);
            }
        }
    }
    PrefixSet::new(patterns)
}

fn read_patterns(reader: &Reader<'_>, name: &str, text: &str, patterns: &mut Vec<PrefixPattern>) {
    let base = reader.plain_file(name, text);
    let (mut at, mut wrong) = (base, 0);
    for line in text.split_inclusive('\n') {
        let written = line.split('#').next().unwrap_or_default();
        let pattern = written.trim();
        let start = at + (written.len() - written.trim_start().len());
        at += line.len();
        if pattern.is_empty() {
            continue;
        }
        match pattern.parse::<PrefixPattern>() {
            Ok(pattern) => patterns.push(pattern),
            Err(error) => {
                wrong += 1;
                if wrong <= WRONG_LINES_SHOWN {
                    let help = "expected a prefix, optionally with lengths: `10.0.0.0/8 ge 16 le 24`";
                    reader.error(
                        &(start..start + pattern.len()),
                        error.to_string(),
                        [help.to_owned()],
                    );
                }
            }
        }
    }
    if wrong > WRONG_LINES_SHOWN {
        let more = wrong - WRONG_LINES_SHOWN;
        reader.error(&(at..at), format!("{more} more lines of {name} are wrong"), []);
    }
}
