//! What this node announces besides VIPs: `[[originate]]`.

use std::sync::Arc;

use bgp_codec::Family;
use ipnet::IpNet;
use toml::Spanned;

use super::{inner, or, twice};
use crate::config::file::File;
use crate::config::file::originate::{KernelMatchKeys, OriginateKeys};
use crate::config::reader::Reader;
use crate::originate::settings::{From, KernelMatch, Source};
use crate::route::TableId;
use crate::session::settings::PeerSettings;

pub(super) fn originate(reader: &Reader<'_>, written: &[OriginateKeys]) -> Option<Vec<Source>> {
    let sources: Vec<Option<Source>> = written.iter().map(|keys| source(reader, keys)).collect();
    sources.into_iter().collect()
}

fn source(reader: &Reader<'_>, keys: &OriginateKeys) -> Option<Source> {
    let name = keys
        .header
        .require(reader, keys.name.as_ref(), "name", "\"pod-blocks\"");
    if let (Some(discard), None) = (&keys.discard, &keys.prefixes)
        && *discard.get_ref()
    {
        reader.error(
            &discard.span(),
            "`discard` goes with `prefixes`".to_owned(),
            ["routes that come from the kernel's table are in the kernel already".to_owned()],
        );
    }
    let from = match (&keys.prefixes, &keys.kernel) {
        (Some(prefixes), None) => From::Prefixes {
            prefixes: distinct(reader, prefixes.get_ref()),
            discard: or(keys.discard.as_ref(), false),
        },
        (None, Some(kernel)) => From::Kernel(kernel_match(reader, kernel)?),
        (Some(_), Some(kernel)) => {
            reader.error(
                &kernel.span(),
                "`prefixes` and `kernel` exclude each other".to_owned(),
                ["write two `[[originate]]`".to_owned()],
            );
            return None;
        }
        (None, None) => {
            if !keys.header.has("prefixes") && !keys.header.has("kernel") {
                let help = "add `prefixes = [\"10.96.0.0/12\"]` or `kernel = { type = [\"blackhole\"] }`";
                reader.error(
                    &keys.header.span,
                    "it announces nothing".to_owned(),
                    [help.to_owned()],
                );
            }
            return None;
        }
    };
    Some(Source {
        name: Arc::clone(name?),
        from,
        communities: or(keys.community.as_ref(), Vec::new()),
        large_communities: or(keys.large_community.as_ref(), Vec::new()),
        med: inner(keys.med.as_ref()),
    })
}

/// What is announced in a family that no peer carries reaches nobody, and a rule about one meets nothing.
pub(super) fn warn_of_families(reader: &Reader<'_>, file: &File, peers: &[PeerSettings]) {
    let is_carried =
        |family: Family| peers.is_empty() || peers.iter().any(|peer| peer.families.contains(family));
    let carried = |prefix: &IpNet| is_carried(crate::route::unicast_of(*prefix));
    let help = || ["see `families` of the peers".to_owned()];
    let prefixes = file
        .originate
        .iter()
        .filter_map(|source| source.prefixes.as_ref());
    let prefixes = prefixes.flat_map(|prefixes| prefixes.get_ref());
    let vips = file.vips.iter().filter_map(|vip| vip.address.as_ref());
    let aggregates = file.aggregates.iter().filter_map(|keys| keys.prefix.as_ref());
    let announced = prefixes.chain(vips).chain(aggregates);
    for prefix in announced.filter(|prefix| !carried(prefix.get_ref())) {
        let message = format!("no peer is told of {}: none carries its family", prefix.get_ref());
        reader.warning(&prefix.span(), message, help());
    }
    let kernel = file.originate.iter().filter_map(|source| source.kernel.as_ref());
    let within = kernel.filter_map(|kernel| kernel.get_ref().within.as_ref());
    for within in
        within.filter(|within| !within.get_ref().is_empty() && !within.get_ref().iter().any(carried))
    {
        let message = "no peer is told of these routes: none carries their family".to_owned();
        reader.warning(&within.span(), message, help());
    }
    let rules = file.filters.iter().filter_map(|filter| filter.rules.as_ref());
    for rule in rules.flat_map(|rules| rules.get_ref()) {
        for families in rule.conditions.families() {
            if !families.get_ref().iter().any(is_carried) {
                reader.warning(
                    &families.span(),
                    "no route meets this: no peer carries the family".to_owned(),
                    help(),
                );
            }
        }
    }
}

/// The prefixes without repetitions, which are reported.
fn distinct(reader: &Reader<'_>, written: &[Spanned<IpNet>]) -> Vec<IpNet> {
    let mut sorted: Vec<&Spanned<IpNet>> = written.iter().collect();
    sorted.sort();
    for pair in sorted.windows(2) {
        if let [first, second] = pair
            && first.get_ref() == second.get_ref()
        {
            twice(
                reader,
                &second.span(),
                &first.span(),
                format!("{} is listed twice", second.get_ref()),
            );
        }
    }
    written.iter().map(|prefix| *prefix.get_ref()).collect()
}

fn kernel_match(reader: &Reader<'_>, keys: &Spanned<KernelMatchKeys>) -> Option<KernelMatch> {
    let (span, keys) = (keys.span(), keys.get_ref());
    let within = or(keys.within.as_ref(), Vec::new());
    let shortest = within.iter().map(IpNet::prefix_len).min().unwrap_or(0);
    if let (Some(ge), Some(le)) = (&keys.ge, &keys.le)
        && ge.get_ref() > le.get_ref()
    {
        reader.error(
            &le.span(),
            "`le` is below `ge`: no prefix matches".to_owned(),
            [format!("expected {} or more", ge.get_ref())],
        );
        return None;
    }
    if let Some(le) = keys.le.as_ref().filter(|le| *le.get_ref() < shortest) {
        reader.error(
            &le.span(),
            "`le` is shorter than every prefix of `within`: no prefix matches".to_owned(),
            [format!("expected {shortest} or more")],
        );
        return None;
    }
    let selects = keys.within.is_some()
        || keys.r#type.is_some()
        || keys.protocol.is_some()
        || keys.scope.is_some()
        || keys.interface.is_some()
        || keys.metric.is_some()
        || keys.realm.is_some();
    if !selects {
        let help = "add `within`, `type` or `protocol` to say which";
        reader.warning(
            &span,
            "every route of the kernel's table is announced".to_owned(),
            [help.to_owned()],
        );
    }
    Some(KernelMatch {
        table: or(keys.table.as_ref(), TableId::MAIN),
        kinds: or(keys.r#type.as_ref(), Vec::new()),
        protocols: or(keys.protocol.as_ref(), Vec::new()),
        scopes: or(keys.scope.as_ref(), Vec::new()),
        interfaces: or(keys.interface.as_ref(), Vec::new()),
        within,
        ge: inner(keys.ge.as_ref()),
        le: inner(keys.le.as_ref()),
        metric: inner(keys.metric.as_ref()),
        realm: inner(keys.realm.as_ref()),
    })
}
