//! Differences in the words of the file: `hold_time 90s -> 30s`.

use std::fmt::{self, Debug, Display};
use std::sync::Arc;

use bgp_codec::{AsSets, FamilySet};

use crate::config::{LogFormat, Speaker};
use crate::kernel::settings::{Metric, OnStop, Settings};
use crate::originate::settings::{Aggregate, From, Source};
use crate::policy::{Chain, Filter};
use crate::rib::interface::{NextHopPolicy, PeerPolicy, SentPaths};
use crate::session::settings::{PeerAddress, PeerSettings, RemoteAsn};

/// Settings that differ, each with its old and new value.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Differences(Vec<String>);

impl Differences {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes a setting if it differs.
    pub(super) fn setting<T: PartialEq>(&mut self, key: &str, old: &T, new: &T, show: impl Fn(&T) -> String) {
        if old != new {
            self.0.push(format!("{key} {} -> {}", show(old), show(new)));
        }
    }

    pub(super) fn plain<T: PartialEq + Display>(&mut self, key: &str, old: &T, new: &T) {
        self.setting(key, old, new, T::to_string);
    }

    pub(super) fn optional<T: PartialEq + Display>(&mut self, key: &str, old: &Option<T>, new: &Option<T>) {
        self.setting(key, old, new, |value| or_none(value.as_ref()));
    }

    /// Durations: `90s`.
    pub(super) fn debug<T: PartialEq + Debug>(&mut self, key: &str, old: &T, new: &T) {
        self.setting(key, old, new, |value| format!("{value:?}"));
    }

    pub(super) fn list<T: PartialEq + Display>(&mut self, key: &str, old: &[T], new: &[T]) {
        if old != new {
            self.0.push(format!("{key} {} -> {}", listed(old), listed(new)));
        }
    }

    /// Notes something in words.
    pub(super) fn note(&mut self, text: &str) {
        self.0.push(text.to_owned());
    }

    /// Notes that something differs that is too long to print, or secret.
    pub(super) fn changed(&mut self, key: &str, differs: bool) {
        if differs {
            self.0.push(format!("{key} changed"));
        }
    }
}

impl Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

/// Differences of `[speaker]`: what is live, and what needs a restart.
pub(super) fn speaker(old: &Speaker, new: &Speaker) -> (Differences, Differences) {
    let mut live = Differences::default();
    live.debug("deferral_time", &old.deferral_time, &new.deferral_time);
    live.plain("log_level", &old.log_level, &new.log_level);
    live.setting("log_format", &old.log_format, &new.log_format, |format| {
        match format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        }
        .to_owned()
    });
    live.optional("http", &old.http, &new.http);
    live.plain(
        "always_compare_med",
        &old.always_compare_med,
        &new.always_compare_med,
    );
    let (was, is) = (&old.decision, &new.decision);
    live.plain(
        "med_missing_as_worst",
        &was.med_missing_as_worst,
        &is.med_missing_as_worst,
    );
    live.plain(
        "ignore_as_path_length",
        &was.ignore_as_path_length,
        &is.ignore_as_path_length,
    );
    live.plain(
        "ignore_next_hop_metric",
        &was.ignore_next_hop_metric,
        &is.ignore_next_hop_metric,
    );
    live.plain("prefer_oldest", &was.prefer_oldest, &is.prefer_oldest);
    let mut restart = Differences::default();
    restart.optional("router_id", &old.router_id, &new.router_id);
    restart.optional("cluster_id", &old.cluster_id, &new.cluster_id);
    restart.list("listen", &old.listen, &new.listen);
    restart.setting("state_dir", &old.state_dir, &new.state_dir, |path| {
        path.display().to_string()
    });
    (live, restart)
}

/// Differences of `[kernel]`; all of it is live.
pub(super) fn kernel(old: &Settings, new: &Settings) -> Differences {
    let mut live = Differences::default();
    live.setting("metric", &old.metric, &new.metric, |metric| match metric {
        Metric::Fixed(metric) => metric.to_string(),
        Metric::CalicoLocalPref => "calico".to_owned(),
    });
    live.plain("install", &old.install, &new.install);
    live.plain("blackhole", &blackhole(old), &blackhole(new));
    live.plain(
        "next_hop_via_default",
        &old.next_hop_via_default,
        &new.next_hop_via_default,
    );
    live.plain("onlink", &old.onlink, &new.onlink);
    live.setting("on_stop", &old.on_stop, &new.on_stop, |on_stop| match on_stop {
        OnStop::Keep => "keep".to_owned(),
        OnStop::Remove => "remove".to_owned(),
    });
    live.plain("table", &old.table, &new.table);
    live.plain("protocol", &old.protocol, &new.protocol);
    live.plain("multipath", &old.multipath, &new.multipath);
    live.optional("src", &old.ipv4_source, &new.ipv4_source);
    live.optional("src", &old.ipv6_source, &new.ipv6_source);
    live.optional("mtu", &old.mtu, &new.mtu);
    live.optional("advmss", &old.advmss, &new.advmss);
    live
}

fn blackhole(settings: &Settings) -> &'static str {
    match (settings.blackhole, settings.unreachable) {
        (true, true) => "unreachable",
        (true, false) => "true",
        (false, _) => "false",
    }
}

pub(super) fn originate(old: &Source, new: &Source) -> Differences {
    let mut differences = Differences::default();
    match (&old.from, &new.from) {
        (
            From::Prefixes {
                prefixes: old_prefixes,
                discard: old_discard,
            },
            From::Prefixes {
                prefixes: new_prefixes,
                discard: new_discard,
            },
        ) => {
            differences.list("prefixes", old_prefixes, new_prefixes);
            differences.plain("discard", old_discard, new_discard);
        }
        (From::Kernel(old), From::Kernel(new)) => differences.changed("kernel", old != new),
        (From::Prefixes { .. }, From::Kernel(_)) => differences.0.push("prefixes -> kernel".to_owned()),
        (From::Kernel(_), From::Prefixes { .. }) => differences.0.push("kernel -> prefixes".to_owned()),
    }
    differences.list("community", &old.communities, &new.communities);
    differences.list("large_community", &old.large_communities, &new.large_communities);
    differences.optional("med", &old.med, &new.med);
    differences
}

pub(super) fn aggregate(old: &Aggregate, new: &Aggregate) -> Differences {
    let mut differences = Differences::default();
    differences.plain("discard", &old.discard, &new.discard);
    let (old, new) = (&old.rule, &new.rule);
    differences.plain("prefix", &old.prefix, &new.prefix);
    differences.plain("summary_only", &old.summary_only, &new.summary_only);
    let filters = |written: &Option<Chain>| written.as_ref().map(chain);
    let (old_filters, new_filters) = (filters(&old.contributing), filters(&new.contributing));
    differences.optional("contributing", &old_filters, &new_filters);
    let same_names = old_filters == new_filters;
    differences.changed(
        "filters of contributing",
        same_names && old.contributing != new.contributing,
    );
    differences.list("community", &old.communities, &new.communities);
    differences.list("large_community", &old.large_communities, &new.large_communities);
    differences.optional("med", &old.med, &new.med);
    differences
}

pub(super) fn filter(old: &Arc<Filter>, new: &Arc<Filter>) -> Differences {
    let mut differences = Differences::default();
    differences.setting("default", &old.default, &new.default, |default| {
        format!("{default:?}").to_lowercase()
    });
    let count = |filter: &Filter| match filter.rules.len() {
        1 => "1 rule".to_owned(),
        count => format!("{count} rules"),
    };
    if old.rules.len() != new.rules.len() {
        differences.0.push(format!("{} -> {}", count(old), count(new)));
    } else {
        let changed = old
            .rules
            .iter()
            .zip(&new.rules)
            .enumerate()
            .filter(|(_, (old, new))| old != new);
        differences
            .0
            .extend(changed.map(|(index, _)| format!("rule {} changed", index + 1)));
    }
    differences
}

/// Differences of a peer; filters that changed under their names are not among them.
pub(super) fn peer(old: &PeerSettings, new: &PeerSettings) -> Differences {
    let mut differences = Differences::default();
    identity(&mut differences, old, new);
    differences.debug("hold_time", &old.hold_time, &new.hold_time);
    differences.setting(
        "keepalive_time",
        &old.keepalive_time,
        &new.keepalive_time,
        |time| match time {
            Some(time) => format!("{time:?}"),
            None => "a third of the hold time".to_owned(),
        },
    );
    differences.debug("delay_open", &old.delay_open, &new.delay_open);
    differences.debug(
        "connect_retry_time",
        &old.connect_retry_time,
        &new.connect_retry_time,
    );
    differences.debug("idle_hold_time", &old.idle_hold_time, &new.idle_hold_time);
    differences.debug("send_hold_time", &old.send_hold_time, &new.send_hold_time);
    differences.setting("families", &old.families, &new.families, families);
    let add_path =
        |peer: &PeerSettings| match (peer.add_path_receive.is_empty(), peer.add_path_send.is_empty()) {
            (true, true) => "off",
            (false, true) => "receive",
            (true, false) => "send",
            (false, false) => "both",
        };
    differences.plain("add_path", &add_path(old), &add_path(new));
    differences.plain("extended_message", &old.extended_message, &new.extended_message);
    differences.plain(
        "extended_next_hop",
        &old.extended_next_hop,
        &new.extended_next_hop,
    );
    differences.setting("role", &old.role, &new.role, |role| match role {
        Some(own) => format!("{:?}", own.role).to_lowercase(),
        None => "none".to_owned(),
    });
    let strict = |peer: &PeerSettings| peer.role.is_some_and(|own| own.strict);
    differences.plain("role_strict", &strict(old), &strict(new));
    differences.debug("announce", &old.announce, &new.announce);
    differences.setting(
        "graceful_restart",
        &old.graceful_restart,
        &new.graceful_restart,
        |restart| match restart {
            Some(restart) => format!(
                "{:?} (at most {:?})",
                restart.restart_time, restart.max_peer_restart_time
            ),
            None => "off".to_owned(),
        },
    );
    let long_lived = |peer: &PeerSettings| peer.graceful_restart.and_then(|restart| restart.long_lived);
    differences.setting(
        "graceful_restart.long_lived",
        &long_lived(old),
        &long_lived(new),
        |times| or_none(times.as_ref()),
    );
    differences.plain("range_limit", &old.range_limit, &new.range_limit);
    policy(&mut differences, old, new);
    differences
}

/// Who the peer is and how it is reached.
fn identity(differences: &mut Differences, old: &PeerSettings, new: &PeerSettings) {
    differences.optional("group", &old.policy.group, &new.policy.group);
    differences.changed("description", old.description != new.description);
    differences.setting("address", &old.address, &new.address, |address| match address {
        PeerAddress::Address(address) => address.to_string(),
        PeerAddress::Range(range) => range.to_string(),
    });
    differences.plain("port", &old.port, &new.port);
    differences.plain("local_asn", &old.local_asn, &new.local_asn);
    differences.setting("asn", &old.remote_asn, &new.remote_asn, |asn| match asn {
        RemoteAsn::Is(asn) => asn.to_string(),
        RemoteAsn::Internal => "internal".to_owned(),
        RemoteAsn::External => "external".to_owned(),
        RemoteAsn::Any => "any".to_owned(),
        RemoteAsn::Among(asns) => listed(asns),
    });
    differences.plain("passive", &old.passive, &new.passive);
    differences.setting(
        "shutdown",
        &old.shutdown,
        &new.shutdown,
        |shutdown| match shutdown {
            None => "no".to_owned(),
            Some(text) if text.is_empty() => "yes".to_owned(),
            Some(text) => format!("`{text}`"),
        },
    );
    let file = |peer: &PeerSettings| {
        peer.password
            .as_ref()
            .map(|password| password.file.display().to_string())
    };
    differences.optional("password_file", &file(old), &file(new));
    let key = |peer: &PeerSettings| peer.password.as_ref().map(|password| password.key.clone());
    differences.changed("password", file(old) == file(new) && key(old) != key(new));
    differences.optional("multihop", &old.multihop, &new.multihop);
    differences.optional("ttl_security", &old.ttl_security, &new.ttl_security);
    differences.optional("source_address", &old.source_address, &new.source_address);
    differences.optional("interface", &old.interface, &new.interface);
}

/// What needs no new session.
fn policy(differences: &mut Differences, old: &PeerSettings, new: &PeerSettings) {
    let (old, new) = (&old.policy, &new.policy);
    differences.setting("import", &chain(&old.import), &chain(&new.import), String::clone);
    differences.plain(
        "accept_default_route",
        &old.import.accepts_default_route(),
        &new.import.accepts_default_route(),
    );
    differences.list(
        "accept_martians",
        old.import.accepted_martians(),
        new.import.accepted_martians(),
    );
    differences.setting("export", &chain(&old.export), &chain(&new.export), String::clone);
    differences.plain("rr_client", &old.rr_client, &new.rr_client);
    differences.plain(
        "route_server_client",
        &old.route_server_client,
        &new.route_server_client,
    );
    differences.setting("next_hop", &old.next_hop, &new.next_hop, |next_hop| {
        match next_hop {
            NextHopPolicy::Standard => "standard",
            NextHopPolicy::Own => "self",
            NextHopPolicy::OwnForced => "self-forced",
            NextHopPolicy::Unchanged => "unchanged",
        }
        .to_owned()
    });
    as_path(differences, old, new);
    max_prefixes(differences, old, new);
    differences.plain("enforce_first_as", &old.enforce_first_as, &new.enforce_first_as);
    differences.plain("install", &old.install, &new.install);
    differences.plain("more_specifics", &old.more_specifics, &new.more_specifics);
    differences.setting(
        "add_path_send",
        &old.sent_paths,
        &new.sent_paths,
        |paths| match paths {
            SentPaths::All => "all".to_owned(),
            SentPaths::Equal => "ecmp".to_owned(),
            SentPaths::Best(count) => count.to_string(),
        },
    );
    differences.debug(
        "min_advertisement_interval",
        &old.min_advertisement_interval,
        &new.min_advertisement_interval,
    );
    differences.setting("as_sets", &old.as_sets, &new.as_sets, |as_sets| {
        match as_sets {
            AsSets::Accept => "accept",
            AsSets::TreatAsWithdraw => "withdraw",
        }
        .to_owned()
    });
    differences.optional("table", &old.install_table, &new.install_table);
}

fn as_path(differences: &mut Differences, old: &PeerPolicy, new: &PeerPolicy) {
    differences.plain("allow_own_as", &old.allow_own_as, &new.allow_own_as);
    differences.plain(
        "local_asn_no_prepend",
        &old.as_path.no_prepend,
        &new.as_path.no_prepend,
    );
    differences.plain(
        "local_asn_replace_as",
        &old.as_path.replace_as,
        &new.as_path.replace_as,
    );
    differences.plain("as_override", &old.as_path.as_override, &new.as_path.as_override);
    differences.setting(
        "remove_private_as",
        &old.as_path.remove_private,
        &new.as_path.remove_private,
        |remove| format!("{remove:?}").to_lowercase(),
    );
}

fn max_prefixes(differences: &mut Differences, old: &PeerPolicy, new: &PeerPolicy) {
    differences.optional("max_prefixes", &old.max_prefixes, &new.max_prefixes);
    differences.optional(
        "max_prefixes_accepted",
        &old.max_prefixes_accepted,
        &new.max_prefixes_accepted,
    );
    differences.setting(
        "max_prefix_restart",
        &old.max_prefix_restart,
        &new.max_prefix_restart,
        |time| match time {
            Some(time) => format!("{time:?}"),
            None => "never".to_owned(),
        },
    );
    let action = |policy: &PeerPolicy| {
        if policy.max_prefix_warn_only {
            "warn"
        } else {
            "close"
        }
    };
    differences.plain("max_prefix_action", &action(old), &action(new));
}

fn or_none<T: Display>(value: Option<&T>) -> String {
    value.map_or_else(|| "none".to_owned(), T::to_string)
}

fn listed<T: Display>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(T::to_string).collect();
    format!("[{}]", items.join(", "))
}

fn families(families: &FamilySet) -> String {
    listed(&families.iter().collect::<Vec<_>>())
}

/// The names of a chain's filters.
fn chain(chain: &Chain) -> String {
    if chain.filters().is_empty() {
        return if chain.is_no_policy() {
            "none (RFC 8212)"
        } else {
            "none"
        }
        .to_owned();
    }
    listed(
        &chain
            .filters()
            .iter()
            .map(|filter| &filter.name)
            .collect::<Vec<_>>(),
    )
}
