//! Aggregates: `[[aggregate]]`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use ipnet::IpNet;

use super::{inner, or, twice};
use crate::config::file::aggregate::AggregateKeys;
use crate::config::reader::Reader;
use crate::originate::settings::Aggregate;
use crate::policy::{Chain, Filter};
use crate::rib::interface;

pub(super) fn aggregates(
    reader: &Reader<'_>,
    written: &[AggregateKeys],
    filters: &[Arc<Filter>],
) -> Option<Vec<Aggregate>> {
    let mut seen: BTreeMap<IpNet, Range<usize>> = BTreeMap::new();
    for prefix in written.iter().filter_map(|keys| keys.prefix.as_ref()) {
        if let Some(first) = seen.get(prefix.get_ref()) {
            let message = format!("{} is aggregated twice", prefix.get_ref());
            twice(reader, &prefix.span(), first, message);
        }
        seen.insert(*prefix.get_ref(), prefix.span());
        if prefix.get_ref().prefix_len() == prefix.get_ref().max_prefix_len() {
            let help = "write a shorter prefix, or announce it with `[[originate]]`";
            reader.error(
                &prefix.span(),
                format!("nothing can be more specific than {}", prefix.get_ref()),
                [help.to_owned()],
            );
        }
    }
    let aggregates: Vec<Option<Aggregate>> = written
        .iter()
        .map(|keys| aggregate(reader, keys, filters))
        .collect();
    aggregates.into_iter().collect()
}

fn aggregate(reader: &Reader<'_>, keys: &AggregateKeys, filters: &[Arc<Filter>]) -> Option<Aggregate> {
    let prefix = keys
        .header
        .require(reader, keys.prefix.as_ref(), "prefix", "\"10.244.0.0/16\"")?;
    // A name without a filter has been reported, and so the chain without it is never used.
    let contributing = keys.contributing.as_ref().map(|names| {
        let found = names
            .get_ref()
            .iter()
            .filter_map(|name| filters.iter().find(|filter| filter.name == *name));
        Chain::new(found.cloned().collect())
    });
    Some(Aggregate {
        rule: interface::Aggregate {
            name: inner(keys.name.as_ref()).unwrap_or_else(|| prefix.to_string().into()),
            prefix: *prefix,
            contributing,
            summary_only: or(keys.summary_only.as_ref(), false),
            communities: or(keys.community.as_ref(), Vec::new()),
            large_communities: or(keys.large_community.as_ref(), Vec::new()),
            med: inner(keys.med.as_ref()),
        },
        discard: or(keys.discard.as_ref(), true),
    })
}
