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
    let deciding = rules.iter().flatten().position(|rule| {
        rule.condition == Condition::always() && matches!(rule.action, Action::Accept | Action::Reject)
    });
    if let Some(beyond) = deciding.and_then(|index| written.get(index + 1)) {
        reader.warning(
            &beyond.conditions.header.span,
            "no route reaches this rule".to_owned(),
            ["the rule before it has no condition and decides for every route".to_owned()],
        );
    }
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
