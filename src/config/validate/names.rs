//! Names: unique where they are given, known where they are used.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;

use super::twice;
use crate::config::file::File;
use crate::config::file::filter::SOURCE_WORDS;
use crate::config::nearest::nearest;
use crate::config::reader::{Reader, Reference, Referent};
use crate::policy::SourcePattern;

/// Longest list of known names that an error repeats.
const NAMES_SHOWN: usize = 12;

pub(super) fn check(reader: &Reader<'_>, file: &File) {
    let names = Names::of(reader, file);
    reader.note_known(Referent::Filter, names.filters.keys().cloned());
    for Reference { to, name } in reader.references() {
        let (what, known, words) = names.among(to);
        // Where a name is missing, which is an error of its own, the name that is not found may be that one.
        if known.contains_key(name.get_ref().as_str()) || has_nameless(file, to) {
            continue;
        }
        let candidates: Vec<&str> = words
            .iter()
            .map(|(word, _)| *word)
            .chain(known.keys().map(|name| &**name))
            .collect();
        let help = match nearest(name.get_ref(), candidates.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if candidates.is_empty() => format!("there is no {what} at all"),
            None => format!("known: {}", shown(&candidates)),
        };
        reader.error(
            &name.span(),
            format!("there is no {what} `{}`", name.get_ref()),
            [help],
        );
    }
}

/// Words that are known without being given.
type Words = &'static [(&'static str, SourcePattern)];

/// Names of one kind and where each is given.
type Given = BTreeMap<Arc<str>, Range<usize>>;

/// All names of a file.
struct Names {
    filters: Given,
    groups: Given,
    peers: Given,
    sources: Given,
    prefix_sets: Given,
    community_sets: Given,
    as_path_sets: Given,
}

impl Names {
    /// Reports those given twice, and those that mean something else already.
    fn of(reader: &Reader<'_>, file: &File) -> Self {
        let filters = file.filters.iter().map(|filter| filter.name.as_ref());
        let groups = file.groups.iter().map(|group| group.own.name.as_ref());
        let peers = file.peers.iter().map(|peer| peer.own.name.as_ref());
        let originate = file.originate.iter().map(|source| source.name.as_ref());
        let vips = file.vips.iter().map(|vip| vip.name.as_ref());
        let aggregates = file.aggregates.iter().map(|keys| keys.name.as_ref());
        let prefix_sets = file.prefix_sets.iter().map(|set| set.name.as_ref());
        let community_sets = file.community_sets.iter().map(|set| set.name.as_ref());
        let as_path_sets = file.as_path_sets.iter().map(|set| set.name.as_ref());
        let names = Self {
            filters: unique(reader, "filter", filters),
            groups: unique(reader, "peer group", groups),
            peers: unique(reader, "peer", peers),
            // One space of names: `source` in a filter must not be ambiguous.
            sources: unique(
                reader,
                "`[[originate]]`, `[[vip]]` or `[[aggregate]]`",
                originate.chain(vips).chain(aggregates),
            ),
            prefix_sets: unique(reader, "prefix set", prefix_sets),
            community_sets: unique(reader, "community set", community_sets),
            as_path_sets: unique(reader, "AS-path set", as_path_sets),
        };
        for (name, span) in &names.sources {
            if SOURCE_WORDS.iter().any(|(word, _)| *word == &**name) {
                let help = "filters use this word in `source` for a kind of route; choose another name";
                reader.error(
                    span,
                    format!("`{name}` may not be a name here"),
                    [help.to_owned()],
                );
            }
        }
        names
    }

    /// What a reference may name: the kind in words, the names given, and words that are always known.
    fn among(&self, to: Referent) -> (&'static str, &Given, Words) {
        match to {
            Referent::PrefixSet => ("prefix set", &self.prefix_sets, &[]),
            Referent::CommunitySet => ("community set", &self.community_sets, &[]),
            Referent::AsPathSet => ("AS-path set", &self.as_path_sets, &[]),
            Referent::Filter => ("filter", &self.filters, &[]),
            Referent::Group => ("peer group", &self.groups, &[]),
            Referent::Peer => ("peer", &self.peers, &[]),
            Referent::Source => ("source", &self.sources, SOURCE_WORDS),
        }
    }
}

fn has_nameless(file: &File, to: Referent) -> bool {
    match to {
        Referent::Filter => file.filters.iter().any(|filter| filter.name.is_none()),
        Referent::Group => file.groups.iter().any(|group| group.own.name.is_none()),
        Referent::Peer => file.peers.iter().any(|peer| peer.own.name.is_none()),
        Referent::PrefixSet => file.prefix_sets.iter().any(|set| set.name.is_none()),
        Referent::CommunitySet => file.community_sets.iter().any(|set| set.name.is_none()),
        Referent::AsPathSet => file.as_path_sets.iter().any(|set| set.name.is_none()),
        Referent::Source => {
            file.originate.iter().any(|source| source.name.is_none())
                || file.vips.iter().any(|vip| vip.name.is_none())
        }
    }
}

/// Each name and where it is given; reports those given twice.
fn unique<'f>(
    reader: &Reader<'_>,
    what: &str,
    names: impl Iterator<Item = Option<&'f Spanned<Arc<str>>>>,
) -> Given {
    let mut known = Given::new();
    for name in names.flatten() {
        match known.get(name.get_ref()) {
            Some(first) => {
                twice(
                    reader,
                    &name.span(),
                    first,
                    format!("a second {what} is called `{}`", name.get_ref()),
                );
            }
            None => {
                known.insert(Arc::clone(name.get_ref()), name.span());
            }
        }
    }
    known
}

fn shown(names: &[&str]) -> String {
    let listed = names
        .iter()
        .take(NAMES_SHOWN)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    match names.len().checked_sub(NAMES_SHOWN) {
        Some(more) if more > 0 => format!("{listed} and {more} more"),
        _ => listed,
    }
}
