//! Filters, and warnings about rules that cannot do what they say.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::conditions::Named;
use super::or;
use crate::config::file::File;
use crate::config::file::filter::{FilterKeys, RuleKeys};
use crate::config::reader::{Reader, Referent};
use crate::policy::{Action, Condition, Edits, Fallthrough, Filter, Rule};

pub(super) fn build(reader: &Reader<'_>, file: &File) -> Vec<Arc<Filter>> {
    let used: BTreeSet<String> = reader
        .references()
        .into_iter()
        .filter(|reference| reference.to == Referent::Filter)
        .map(|reference| reference.name.into_inner())
        .collect();
    for name in file.filters.iter().filter_map(|keys| keys.name.as_ref()) {
        if !used.contains(&**name.get_ref()) {
            let help = "name it in `import` or `export` of a peer or group";
            reader.warning(
                &name.span(),
                format!("no peer uses filter `{}`", name.get_ref()),
                [help.to_owned()],
            );
        }
    }
    let mut named = Named::new(reader, file);
    let mut filters = Vec::new();
    for keys in &file.filters {
        if let Some(filter) = filter(reader, keys, &named).map(Arc::new) {
            named
                .filters
                .insert(Arc::clone(&filter.name), Arc::clone(&filter));
            filters.push(filter);
        }
    }
    filters
}

fn filter(reader: &Reader<'_>, keys: &FilterKeys, named: &Named) -> Option<Filter> {
    let written: &[RuleKeys] = keys.rules.as_ref().map_or(&[][..], |rules| rules.get_ref());
    let rules: Vec<Option<Rule>> = written.iter().map(|keys| rule(reader, keys, named)).collect();
    warn_of_unreachable(reader, written, &rules);
    let name = keys
        .header
        .require(reader, keys.name.as_ref(), "name", "\"own\"")?;
    Some(Filter {
        name: Arc::clone(name),
        rules: rules.into_iter().collect::<Option<_>>()?,
        default: or(keys.default.as_ref(), Fallthrough::Next),
        location: reader.location(&keys.header.span).into(),
    })
}

/// Rules of a filter that are compared with those before them.
const MOST_RULES: usize = 500;

/// A rule is for nothing if one before it decides for every route that meets its conditions.
fn warn_of_unreachable(reader: &Reader<'_>, written: &[RuleKeys], rules: &[Option<Rule>]) {
    // A condition that could not be read is missing from its rule.
    if reader.has_errors() {
        return;
    }
    let rules: Vec<(&RuleKeys, &Rule)> = written
        .iter()
        .zip(rules)
        .filter_map(|(keys, rule)| Some((keys, rule.as_ref()?)))
        .take(MOST_RULES)
        .collect();
    for (index, (keys, rule)) in rules.iter().enumerate() {
        let span = &keys.conditions.header.span;
        let (before, _) = rules.split_at(index);
        let Some((number, decides)) = before.iter().enumerate().find(|(at, (_, earlier))| {
            let between = before.iter().skip(at + 1);
            // What is set in between may make a route meet what it did not meet before.
            let changed = between.into_iter().any(|(_, rule)| !rule.edits.is_empty());
            matches!(earlier.action, Action::Accept | Action::Reject)
                && rule.condition.implies(&earlier.condition)
                && !(changed && earlier.condition.reads_attributes())
        }) else {
            continue;
        };
        let help = if decides.1.condition == Condition::always() {
            "the rule before it has no condition and decides for every route".to_owned()
        } else {
            let line = reader.elsewhere(span, &decides.0.conditions.header.span);
            format!(
                "rule {}, {line}, decides for every route that meets its conditions",
                number + 1
            )
        };
        reader.warning(span, "no route reaches this rule".to_owned(), [help]);
        if decides.1.condition == Condition::always() {
            return;
        }
    }
}

fn rule(reader: &Reader<'_>, keys: &RuleKeys, named: &Named) -> Option<Rule> {
    let header = &keys.verdict.header;
    let action = *header.require(reader, keys.verdict.action.as_ref(), "action", "\"accept\"")?;
    let set = keys
        .verdict
        .set
        .clone()
        .map(|set| (set.span(), set.into_inner().into_edits()));
    match (action, &set) {
        (Action::Reject, Some((span, _))) => {
            reader.warning(span, "`set` of a rule that rejects does nothing".to_owned(), []);
        }
        (Action::Continue, None) => {
            let help = "`continue` without `set` goes on as if the rule were not there";
            reader.warning(
                &header.span,
                "the rule does nothing".to_owned(),
                [help.to_owned()],
            );
        }
        (Action::Accept | Action::Reject | Action::Continue, _) => {}
    }
    let edits = match (action, set) {
        (Action::Reject, _) | (_, None) => Edits::NONE,
        (_, Some((_, edits))) => Edits::new(edits),
    };
    let location = reader.location(&header.span).into();
    Some(Rule {
        location,
        condition: named.condition(reader, &keys.conditions),
        action,
        edits,
    })
}
