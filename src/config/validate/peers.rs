//! Peers: what they have from their group, what is assumed, and what does not go together.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bgp_codec::{AsSets, Asn, FamilySet};
use ipnet::IpNet;
use toml::Spanned;

use super::{inner, or, password, profiles, twice};
use crate::config::file::File;
use crate::config::file::peer::{AddPath, Announcement, MaxPrefixAction, PeerTable, Restart, SharedKeys};
use crate::config::reader::Reader;
use crate::policy::{Chain, Edit, Fallthrough, Filter, ImportGuard};
use crate::rib::interface::{AsPathPolicy, NextHopPolicy, PeerPolicy, RemovePrivate, SentPaths};
use crate::route::{TableId, UNICAST};
use crate::session::settings::{
    Announced, CONNECT_RETRY_TIME, GracefulRestart, HOLD_TIME, IDLE_HOLD_TIME, OwnRole, PORT, PeerAddress,
    PeerSettings, RANGE_LIMIT, RemoteAsn, SEND_HOLD_TIME,
};

const RESTART_TIME: Duration = Duration::from_secs(120);
const MAX_PEER_RESTART_TIME: Duration = Duration::from_secs(360);

/// One session's worth of settings before it is known to be complete.
struct Draft<'f> {
    name: Option<Arc<str>>,
    group: Option<Arc<str>>,
    address: PeerAddress,
    /// Where the address or range stands.
    address_span: Range<usize>,
    header: &'f Range<usize>,
    keys: SharedKeys,
    /// An `asn` stands in the peer or its group, rightly or wrongly.
    asn_written: bool,
}

pub(super) fn build(reader: &Reader<'_>, file: &File, filters: &[Arc<Filter>]) -> Vec<PeerSettings> {
    let mut drafts: Vec<Draft<'_>> = file
        .peers
        .iter()
        .flat_map(|peer| peer_drafts(reader, peer, file))
        .collect();
    for group in &file.groups {
        let ranges = group
            .shared
            .listen_range
            .as_ref()
            .map_or(&[][..], |ranges| ranges.get_ref());
        drafts.extend(ranges.iter().map(|range| {
            Draft {
                name: group
                    .own
                    .name
                    .as_ref()
                    .map(|name| range_name(name.get_ref(), range, ranges.len())),
                group: inner(group.own.name.as_ref()),
                address: PeerAddress::Range(*range.get_ref()),
                address_span: range.span(),
                header: &group.own.header.span,
                asn_written: group.shared.header.has("asn"),
                keys: profiles::effective_keys(reader, &group.shared, None),
            }
        }));
    }
    report_shared_addresses(reader, &drafts);
    let local_asn = file.speaker.as_ref().and_then(|keys| inner(keys.asn.as_ref()));
    drafts
        .iter()
        .filter_map(|draft| settings(reader, draft, local_asn, filters))
        .collect()
}

/// The sessions of one `[[peer]]`: one, unless it lists several ranges.
fn peer_drafts<'f>(reader: &Reader<'_>, peer: &'f PeerTable, file: &'f File) -> Vec<Draft<'f>> {
    let header = &peer.own.header;
    let name = header.require(reader, peer.own.name.as_ref(), "name", "\"node1\"");
    let wanted = peer.own.group.as_ref().map(Spanned::get_ref);
    let group = file
        .groups
        .iter()
        .find(|group| wanted.is_some() && group.own.name.as_ref().map(Spanned::get_ref) == wanted);
    let keys = profiles::effective_keys(reader, &peer.shared, group);
    // A group that does not exist has been reported; what it would have said is not missing besides.
    let in_group = group.map_or_else(|| wanted.is_some(), |group| group.shared.header.has("asn"));
    let asn_written = peer.shared.header.has("asn") || in_group || keys.asn.is_some();
    let draft = |name, address, address_span| Draft {
        name,
        group: inner(peer.own.group.as_ref()),
        address,
        address_span,
        header: &header.span,
        keys: keys.clone(),
        asn_written,
    };
    match (&peer.own.address, &peer.shared.listen_range) {
        (Some(address), None) => {
            vec![draft(
                name.cloned(),
                PeerAddress::Address(*address.get_ref()),
                address.span(),
            )]
        }
        (None, Some(ranges)) => {
            let count = ranges.get_ref().len();
            let each = |range: &Spanned<IpNet>| {
                let name = name.map(|name| range_name(name, range, count));
                draft(name, PeerAddress::Range(*range.get_ref()), range.span())
            };
            ranges.get_ref().iter().map(each).collect()
        }
        (Some(_), Some(ranges)) => {
            let help = "a peer has one address, or accepts whoever connects from a range";
            reader.error(
                &ranges.span(),
                "`address` and `listen_range` exclude each other".to_owned(),
                [help.to_owned()],
            );
            Vec::new()
        }
        (None, None) => {
            if !header.has("address") && !peer.shared.header.has("listen_range") {
                let help =
                    "add `address = \"172.16.40.202\"`, or `listen_range` for peers that connect to us";
                reader.error(&header.span, "`address` is missing".to_owned(), [help.to_owned()]);
            }
            Vec::new()
        }
    }
}

/// The name of a range: its own, with the range when it is one of several.
fn range_name(name: &Arc<str>, range: &Spanned<IpNet>, count: usize) -> Arc<str> {
    if count == 1 {
        Arc::clone(name)
    } else {
        format!("{name}[{}]", range.get_ref()).into()
    }
}

fn settings(
    reader: &Reader<'_>,
    draft: &Draft<'_>,
    speaker_asn: Option<Asn>,
    filters: &[Arc<Filter>],
) -> Option<PeerSettings> {
    let keys = &draft.keys;
    if keys.asn.is_none() && !draft.asn_written {
        let help = "add `asn = 64512` to the peer or its group (or `internal`, `external`, `any`)";
        reader.error(draft.header, "`asn` is missing".to_owned(), [help.to_owned()]);
    }
    check_address(reader, draft);
    check_timers(reader, keys);
    check_add_path(reader, keys);
    let password = keys
        .password_file
        .as_ref()
        .map(|path| password::read(reader, path));
    let remote_asn = inner(keys.asn.as_ref())?;
    let local_asn = inner(keys.local_asn.as_ref()).or(speaker_asn)?;
    let internal = remote_asn.is_internal(local_asn);
    check_kind(reader, keys, internal);
    if let Some(role) = &keys.role
        && !internal
        && remote_asn.allows_all_of(&RemoteAsn::Internal, local_asn)
    {
        let help = "write `asn = \"external\"` or the AS numbers: roles are between ASes (RFC 9234 §4), and our \
                    OPEN tells them before the peer has told its AS";
        let message = "`role` of a peer that may be internal".to_owned();
        reader.error(&role.span(), message, [help.to_owned()]);
    }
    let is_range = matches!(draft.address, PeerAddress::Range(_));
    let families = families(keys);
    let hold_time = or(keys.hold_time.as_ref(), HOLD_TIME);
    Some(PeerSettings {
        name: draft.name.clone()?,
        description: or(keys.description.as_ref(), String::new()),
        address: draft.address,
        port: or(keys.port.as_ref(), PORT),
        local_asn,
        remote_asn,
        passive: is_range || or(keys.passive.as_ref(), false),
        shutdown: keys
            .shutdown
            .as_ref()
            .and_then(|shutdown| shutdown.get_ref().0.clone()),
        password: match password {
            Some(read) => Some(read?),
            None => None,
        },
        hold_time,
        keepalive_time: inner(keys.keepalive_time.as_ref()),
        delay_open: or(keys.delay_open.as_ref(), Duration::ZERO),
        connect_retry_time: or(keys.connect_retry_time.as_ref(), CONNECT_RETRY_TIME),
        idle_hold_time: or(keys.idle_hold_time.as_ref(), IDLE_HOLD_TIME),
        send_hold_time: or(keys.send_hold_time.as_ref(), SEND_HOLD_TIME.max(hold_time * 2)),
        families: families.announced,
        add_path_receive: families.received_by_path,
        add_path_send: families.sent_by_path,
        extended_message: or(keys.extended_message.as_ref(), true),
        extended_next_hop: or(keys.extended_next_hop.as_ref(), false),
        role: role(keys),
        announce: announced(keys),
        graceful_restart: graceful_restart(keys),
        multihop: inner(keys.multihop.as_ref()),
        ttl_security: inner(keys.ttl_security.as_ref()),
        source_address: inner(keys.source_address.as_ref()),
        interface: inner(keys.interface.as_ref()),
        table: TableId::MAIN,
        range_limit: or(keys.range_limit.as_ref(), RANGE_LIMIT),
        policy: policy(reader, draft, internal, filters),
    })
}

/// Families to announce, and those of them with Add-Path.
struct Families {
    announced: FamilySet,
    received_by_path: FamilySet,
    sent_by_path: FamilySet,
}

fn families(keys: &SharedKeys) -> Families {
    let both = || UNICAST.into_iter().collect();
    let announced = inner(keys.families.as_ref()).unwrap_or_else(both);
    let add_path = or(
        keys.add_path.as_ref(),
        AddPath {
            receive: false,
            send: false,
        },
    );
    let only_if = |on: bool| if on { announced } else { FamilySet::EMPTY };
    Families {
        announced,
        received_by_path: only_if(add_path.receive),
        sent_by_path: only_if(add_path.send),
    }
}

fn role(keys: &SharedKeys) -> Option<OwnRole> {
    Some(OwnRole {
        role: inner(keys.role.as_ref())?,
        strict: or(keys.role_strict.as_ref(), false),
    })
}

fn announced(keys: &SharedKeys) -> Announced {
    let words = inner(keys.announce.as_ref()).unwrap_or_default();
    Announced {
        hostname: words.contains(&Announcement::Hostname),
        version: words.contains(&Announcement::Version),
    }
}

fn as_path(keys: &SharedKeys) -> AsPathPolicy {
    AsPathPolicy {
        no_prepend: or(keys.local_asn_no_prepend.as_ref(), false),
        replace_as: or(keys.local_asn_replace_as.as_ref(), false),
        as_override: or(keys.as_override.as_ref(), false),
        remove_private: or(keys.remove_private_as.as_ref(), RemovePrivate::No),
    }
}

fn graceful_restart(keys: &SharedKeys) -> Option<GracefulRestart> {
    let written = match keys.graceful_restart.as_ref().map(Spanned::get_ref) {
        Some(Restart::Off) => return None,
        Some(Restart::On(Some(written))) => Some(written),
        Some(Restart::On(None)) | None => None,
    };
    let time = |value: Option<&Spanned<Duration>>, default| or(value, default);
    Some(GracefulRestart {
        restart_time: time(written.and_then(|keys| keys.restart_time.as_ref()), RESTART_TIME),
        max_peer_restart_time: time(
            written.and_then(|keys| keys.max_peer_restart_time.as_ref()),
            MAX_PEER_RESTART_TIME,
        ),
        long_lived: written.and_then(|keys| inner(keys.long_lived.as_ref())),
    })
}

fn policy(reader: &Reader<'_>, draft: &Draft<'_>, internal: bool, filters: &[Arc<Filter>]) -> PeerPolicy {
    let keys = &draft.keys;
    let chain = |names: Option<&Spanned<Vec<Arc<str>>>>| match names {
        // A name without a filter has been reported, and so the chain without it is never used.
        Some(names) => Chain::new(
            names
                .get_ref()
                .iter()
                .filter_map(|name| filters.iter().find(|filter| filter.name == *name))
                .cloned()
                .collect(),
        ),
        None if internal => Chain::accept_all(),
        None => Chain::no_policy(),
    };
    for names in [keys.import.as_ref(), keys.export.as_ref()].into_iter().flatten() {
        warn_of_unasked(reader, names, filters);
    }
    if let Some(names) = &keys.export {
        warn_of_marks(reader, names, filters);
    }
    let martians = keys.accept_martians.as_ref().map(Spanned::get_ref);
    let martians = martians.into_iter().flatten();
    let guard = ImportGuard {
        accept_default_route: or(keys.accept_default_route.as_ref(), false),
        accept_martians: martians.map(|prefix| prefix.get_ref().trunc()).collect(),
    };
    let (import, export) = (
        chain(keys.import.as_ref()).guarded(guard),
        chain(keys.export.as_ref()),
    );
    let silent = match (import.is_no_policy(), export.is_no_policy()) {
        (true, true) => Some("neither receives nor sends routes: it has no `import` and no `export`"),
        (true, false) => Some("receives no routes: it has no `import`"),
        (false, true) => Some("sends no routes: it has no `export`"),
        (false, false) => None,
    };
    if let (Some(silent), Some(name)) = (silent, &draft.name) {
        let help = "an external peer carries nothing without filters (RFC 8212)".to_owned();
        reader.warning(draft.header, format!("external peer `{name}` {silent}"), [help]);
    }
    PeerPolicy {
        group: draft.group.clone(),
        import,
        export,
        rr_client: or(keys.rr_client.as_ref(), false),
        route_server_client: or(keys.route_server_client.as_ref(), false),
        next_hop: or(keys.next_hop.as_ref(), NextHopPolicy::Standard),
        allow_own_as: or(keys.allow_own_as.as_ref(), 0),
        as_path: as_path(keys),
        max_prefixes: inner(keys.max_prefixes.as_ref()),
        max_prefixes_accepted: inner(keys.max_prefixes_accepted.as_ref()),
        max_prefix_restart: inner(keys.max_prefix_restart.as_ref()),
        max_prefix_warn_only: inner(keys.max_prefix_action.as_ref()) == Some(MaxPrefixAction::Warn),
        enforce_first_as: or(keys.enforce_first_as.as_ref(), true),
        install: or(keys.install.as_ref(), true),
        more_specifics: or(keys.more_specifics.as_ref(), false),
        sent_paths: or(keys.add_path_send.as_ref(), SentPaths::All),
        min_advertisement_interval: or(keys.min_advertisement_interval.as_ref(), Duration::ZERO),
        as_sets: or(keys.as_sets.as_ref(), AsSets::Accept),
        install_table: inner(keys.table.as_ref()),
    }
}

/// A filter whose default decides leaves nothing to those behind it.
fn warn_of_unasked(reader: &Reader<'_>, names: &Spanned<Vec<Arc<str>>>, filters: &[Arc<Filter>]) {
    let decides = |name: &&Arc<str>| {
        let filter = filters.iter().find(|filter| filter.name == **name);
        filter.is_some_and(|filter| filter.default != Fallthrough::Next)
    };
    let mut asked = names.get_ref().iter();
    if let (Some(last), Some(never)) = (asked.find(decides), asked.next()) {
        let help = format!("give `{last}` `default = \"next\"`, or leave `{never}` out");
        let message = format!("filter `{never}` is never asked: `{last}` before it decides for every route");
        reader.warning(&names.span(), message, [help]);
    }
}

/// Weight and kernel table are this speaker's own affair: on the way out nobody looks at them.
fn warn_of_marks(reader: &Reader<'_>, names: &Spanned<Vec<Arc<str>>>, filters: &[Arc<Filter>]) {
    let marks = |filter: &&Arc<Filter>| {
        let mut edits = filter.rules.iter().flat_map(|rule| rule.edits.as_slice());
        edits.any(|edit| matches!(edit, Edit::Weight(_) | Edit::Table(_)))
    };
    let named = |filter: &&Arc<Filter>| names.get_ref().contains(&filter.name);
    for filter in filters.iter().filter(named).filter(marks) {
        let message = format!(
            "filter `{}` sets `weight` or `table`, which do nothing in `export`",
            filter.name
        );
        reader.warning(
            &names.span(),
            message,
            ["set them in a filter of `import`".to_owned()],
        );
    }
}

/// What needs an internal or an external peer.
fn check_kind(reader: &Reader<'_>, keys: &SharedKeys, internal: bool) {
    let set = |key: &Option<Spanned<bool>>| key.as_ref().filter(|key| *key.get_ref()).map(Spanned::span);
    if let Some(span) = set(&keys.rr_client).filter(|_| !internal) {
        let help = "reflection clients are in our own AS (RFC 4456 §2)".to_owned();
        reader.error(&span, "`rr_client` of an external peer".to_owned(), [help]);
    }
    let external_only = [
        (
            set(&keys.route_server_client),
            "route_server_client",
            "route server clients are in other ASes (RFC 7947 §2)",
        ),
        (
            keys.role.as_ref().map(Spanned::span),
            "role",
            "roles are between ASes (RFC 9234 §4)",
        ),
        (
            set(&keys.as_override),
            "as_override",
            "paths inside an AS are not rewritten",
        ),
        (
            set(&keys.local_asn_no_prepend),
            "local_asn_no_prepend",
            "it is about the border to another AS",
        ),
        (
            set(&keys.local_asn_replace_as),
            "local_asn_replace_as",
            "it is about the border to another AS",
        ),
    ];
    for (span, key, help) in external_only {
        if let Some(span) = span.filter(|_| internal) {
            reader.error(&span, format!("`{key}` of an internal peer"), [help.to_owned()]);
        }
    }
}

fn check_add_path(reader: &Reader<'_>, keys: &SharedKeys) {
    let sends = keys.add_path.as_ref().is_some_and(|way| way.get_ref().send);
    if let Some(choice) = keys.add_path_send.as_ref().filter(|_| !sends) {
        let help = "set `add_path = \"send\"` or `\"both\"`, or leave it out".to_owned();
        let message = "`add_path_send` without `add_path`: one path of each prefix is sent".to_owned();
        reader.warning(&choice.span(), message, [help]);
    }
}

fn check_timers(reader: &Reader<'_>, keys: &SharedKeys) {
    let hold_time = or(keys.hold_time.as_ref(), HOLD_TIME);
    if let Some(keepalive) = keys
        .keepalive_time
        .as_ref()
        .filter(|time| *time.get_ref() >= hold_time)
    {
        let (message, help) = if hold_time.is_zero() {
            (
                "`keepalive_time` with a hold time of 0",
                "no KEEPALIVEs are sent then (RFC 4271 §4.4)".to_owned(),
            )
        } else {
            (
                "`keepalive_time` is not below the hold time",
                format!("expected less than {hold_time:?}"),
            )
        };
        reader.error(&keepalive.span(), message.to_owned(), [help]);
    }
    if let (Some(multihop), Some(_)) = (&keys.multihop, &keys.ttl_security) {
        let help = "`ttl_security = N` already lets the peer be N hops away".to_owned();
        reader.error(
            &multihop.span(),
            "`multihop` and `ttl_security` exclude each other".to_owned(),
            [help],
        );
    }
}

fn check_address(reader: &Reader<'_>, draft: &Draft<'_>) {
    let PeerAddress::Address(address) = draft.address else {
        return;
    };
    if address.is_unspecified() || address.is_multicast() {
        let message = format!("`address`: {address} is nobody's address");
        reader.error(
            &draft.address_span,
            message,
            ["expected a peer's address".to_owned()],
        );
    }
    if is_link_local(address) && draft.keys.interface.is_none() {
        let message = format!("`address`: {address} is link-local");
        reader.error(
            &draft.address_span,
            message,
            ["add `interface = \"eth0\"` to say on which link".to_owned()],
        );
    }
    if let Some(source) = &draft.keys.source_address
        && source.get_ref().is_ipv4() != address.is_ipv4()
    {
        let help = format!("expected an address of the same family as {address}");
        reader.error(
            &source.span(),
            "`source_address` is of the other family".to_owned(),
            [help],
        );
    }
}

/// Two peers at one address, and ranges that overlap: a connection would have two owners.
fn report_shared_addresses(reader: &Reader<'_>, drafts: &[Draft<'_>]) {
    let mut addresses: BTreeMap<(IpAddr, Option<Arc<str>>), &Range<usize>> = BTreeMap::new();
    let mut ranges: Vec<(IpNet, &Range<usize>)> = Vec::new();
    for draft in drafts {
        match draft.address {
            PeerAddress::Address(address) => {
                // Only a link-local address can be there twice.
                let link = inner(draft.keys.interface.as_ref()).filter(|_| is_link_local(address));
                let key = (address, link);
                match addresses.get(&key) {
                    Some(first) => twice(
                        reader,
                        &draft.address_span,
                        first,
                        format!("a second peer at {address}"),
                    ),
                    None => {
                        addresses.insert(key, &draft.address_span);
                    }
                }
            }
            PeerAddress::Range(range) => ranges.push((range, &draft.address_span)),
        }
    }
    report_differing_keys(reader, drafts);
    warn_of_range_keys(reader, drafts);
    ranges.sort_by_key(|(range, _)| *range);
    let mut widest: Option<(IpNet, &Range<usize>)> = None;
    for (range, span) in ranges {
        match widest {
            Some((other, first)) if other.contains(&range) => {
                twice(
                    reader,
                    span,
                    first,
                    format!("range {range} overlaps range {other}"),
                );
            }
            _ => widest = Some((range, span)),
        }
    }
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// The kernel knows one key for an address, on whatever link.
fn report_differing_keys(reader: &Reader<'_>, drafts: &[Draft<'_>]) {
    let mut keys: BTreeMap<IpAddr, Option<&PathBuf>> = BTreeMap::new();
    for draft in drafts {
        let PeerAddress::Address(address) = draft.address else {
            continue;
        };
        if !is_link_local(address) {
            continue;
        }
        let key = draft.keys.password_file.as_ref().map(Spanned::get_ref);
        if *keys.entry(address).or_insert(key) != key {
            let message = format!("two peers at {address} with different keys");
            let help =
                "the kernel keeps one key for an address: give both the same `password_file`".to_owned();
            reader.error(&draft.address_span, message, [help]);
        }
    }
}

/// The kernel asks for a range's key from every address in it, also from one that has a peer of its own.
fn warn_of_range_keys(reader: &Reader<'_>, drafts: &[Draft<'_>]) {
    for peer in drafts.iter().filter(|draft| draft.keys.password_file.is_none()) {
        let PeerAddress::Address(address) = peer.address else {
            continue;
        };
        let around = drafts.iter().find_map(|draft| match draft.address {
            PeerAddress::Range(range) if range.contains(&address) => {
                draft.keys.password_file.as_ref().map(|_| range)
            }
            PeerAddress::Range(_) | PeerAddress::Address(_) => None,
        });
        if let Some(range) = around {
            let message = format!(
                "{address} has no password, but range {range} around it has one: it cannot connect to us"
            );
            let help =
                "give the peer a `password_file` too, or leave its address out of the range".to_owned();
            reader.warning(&peer.address_span, message, [help]);
        }
    }
}
