//! `[[peer]]` and `[[peer_group]]`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bgp_codec::FamilySet;
use ipnet::IpNet;
use toml::Spanned;

use super::filter::reference;
use super::{Keys, keys};
use crate::config::reader::{Referent, Section, Value};
use crate::config::scalar;
use crate::rib::interface::NextHopPolicy;
use crate::session::settings::RemoteAsn;

keys! {
    /// What only a `[[peer]]` has.
    PeerKeys in "[[peer]]" {
        name: Arc<str> = scalar::name;
        address: IpAddr = scalar::address;
        group: Arc<str> = |value| reference(value, Referent::Group);
    }
}

keys! {
    /// What only a `[[peer_group]]` has.
    GroupKeys in "[[peer_group]]" {
        name: Arc<str> = scalar::name;
    }
}

/// Declares [`SharedKeys`] and how a peer's keys override its group's.
macro_rules! shared_keys {
    ($($key:ident: $type:ty = $parser:expr;)*) => {
        keys! {
            /// What a peer may have from its group.
            SharedKeys in "[[peer]] and [[peer_group]]" { $($key: $type = $parser;)* }
        }

        impl SharedKeys {
            /// These keys, and the group's where there are none.
            #[must_use]
            pub(in crate::config) fn or(self, group: &Self) -> Self {
                Self { header: self.header, $($key: self.$key.or_else(|| group.$key.clone()),)* }
            }
        }
    };
}

shared_keys! {
    description: String = scalar::text;
    asn: RemoteAsn = remote_asn;
    local_asn: bgp_codec::Asn = scalar::asn;
    listen_range: Vec<Spanned<IpNet>> = ranges;
    range_limit: usize = scalar::number::<usize, 1, 100_000>;
    port: u16 = scalar::number::<u16, 1, 65_535>;
    passive: bool = scalar::boolean;
    shutdown: Shutdown = shutdown;
    password_file: PathBuf = scalar::path;
    hold_time: Duration = hold_time;
    keepalive_time: Duration = scalar::positive_duration;
    connect_retry_time: Duration = scalar::positive_duration;
    idle_hold_time: Duration = scalar::positive_duration;
    send_hold_time: Duration = scalar::duration;
    families: FamilySet = scalar::families;
    add_path: AddPath = add_path;
    extended_message: bool = scalar::boolean;
    extended_next_hop: bool = scalar::boolean;
    graceful_restart: Restart = graceful_restart;
    multihop: u8 = scalar::number::<u8, 1, 255>;
    ttl_security: u8 = scalar::number::<u8, 1, 254>;
    source_address: IpAddr = scalar::address;
    interface: Arc<str> = interface;
    import: Vec<Arc<str>> = |value| value.one_or_many(|value| reference(value, Referent::Filter));
    export: Vec<Arc<str>> = |value| value.one_or_many(|value| reference(value, Referent::Filter));
    accept_default_route: bool = scalar::boolean;
    rr_client: bool = scalar::boolean;
    route_server_client: bool = scalar::boolean;
    next_hop: NextHopPolicy = next_hop;
    allow_own_as: u8 = scalar::number::<u8, 0, 10>;
    enforce_first_as: bool = scalar::boolean;
    max_prefixes: u32 = scalar::number::<u32, 1, 4_294_967_295>;
    max_prefixes_accepted: u32 = scalar::number::<u32, 1, 4_294_967_295>;
    max_prefix_restart: Duration = scalar::positive_duration;
    install: bool = scalar::boolean;
}

/// A `[[peer]]` as written.
#[derive(Clone, Debug)]
pub(in crate::config) struct PeerTable {
    pub(in crate::config) own: PeerKeys,
    pub(in crate::config) shared: SharedKeys,
}

impl PeerTable {
    pub(in crate::config) const SECTION: &'static str = PeerKeys::SECTION;

    pub(in crate::config) fn read(section: &Section<'_>) -> Self {
        Self {
            own: PeerKeys::read(section),
            shared: SharedKeys::read(section),
        }
    }
}

/// A `[[peer_group]]` as written.
#[derive(Clone, Debug)]
pub(in crate::config) struct PeerGroup {
    pub(in crate::config) own: GroupKeys,
    pub(in crate::config) shared: SharedKeys,
}

impl PeerGroup {
    pub(in crate::config) const SECTION: &'static str = GroupKeys::SECTION;

    pub(in crate::config) fn read(section: &Section<'_>) -> Self {
        Self {
            own: GroupKeys::read(section),
            shared: SharedKeys::read(section),
        }
    }
}

/// `shutdown = true`, or the text that the peer is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::config) struct Shutdown(pub(in crate::config) Option<String>);

/// `add_path`: which way several paths per prefix go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::config) struct AddPath {
    pub(in crate::config) receive: bool,
    pub(in crate::config) send: bool,
}

/// `graceful_restart`: off, or on with what is given.
#[derive(Clone, Debug)]
pub(in crate::config) enum Restart {
    Off,
    On(Option<RestartKeys>),
}

keys! {
    /// `graceful_restart = { ... }`.
    RestartKeys in "`graceful_restart` of [[peer]]" {
        restart_time: Duration = restart_time;
        max_peer_restart_time: Duration = restart_time;
    }
}

/// RFC 9003 §2: the text is at most 255 octets of UTF-8.
const SHUTDOWN_TEXT_LIMIT: usize = 255;

/// `IFNAMSIZ` less the terminating zero.
const INTERFACE_NAME_LIMIT: usize = 15;

fn remote_asn(value: &Value<'_>) -> Option<RemoteAsn> {
    const WORDS: [(&str, RemoteAsn); 3] = [
        ("internal", RemoteAsn::Internal),
        ("external", RemoteAsn::External),
        ("any", RemoteAsn::Any),
    ];
    if value.is_text() {
        let written = value.text("an AS number")?;
        if let Some((_, asn)) = WORDS.into_iter().find(|(word, _)| *word == written) {
            return Some(asn);
        }
        if !written.starts_with(|c: char| c.is_ascii_digit()) {
            return value.fail(
                format_args!("`{written}` is not known"),
                "expected an AS number from 1 to 4294967295, `internal`, `external` or `any`",
            );
        }
    }
    scalar::asn(value).map(RemoteAsn::Is)
}

fn ranges(value: &Value<'_>) -> Option<Vec<Spanned<IpNet>>> {
    value.one_or_many(|value| scalar::prefix(value).map(|prefix| Spanned::new(value.span.clone(), prefix)))
}

fn shutdown(value: &Value<'_>) -> Option<Shutdown> {
    if let Some(down) = value.as_boolean() {
        return Some(Shutdown(down.then(String::new)));
    }
    let text = value.text("true, false or a text for the peer")?;
    if text.len() > SHUTDOWN_TEXT_LIMIT {
        return value.fail(
            "too long",
            format_args!("at most {SHUTDOWN_TEXT_LIMIT} octets reach the peer"),
        );
    }
    Some(Shutdown(Some(text)))
}

/// RFC 4271 §4.2: zero (no KEEPALIVEs) or at least 3 s; the field has 16 bits.
fn hold_time(value: &Value<'_>) -> Option<Duration> {
    let expected = "0 for none, or 3 s to 65535 s in whole seconds";
    let duration = scalar::duration(value)?;
    let valid = duration.is_zero() || (3..=65_535).contains(&duration.as_secs());
    if !valid || duration.subsec_nanos() != 0 {
        return value.fail(
            "not a hold time",
            format_args!("expected {expected} (RFC 4271 §4.2)"),
        );
    }
    Some(duration)
}

/// RFC 4724 §3: 12 bits of seconds.
fn restart_time(value: &Value<'_>) -> Option<Duration> {
    let duration = scalar::duration(value)?;
    if !(1..=4_095).contains(&duration.as_secs()) || duration.subsec_nanos() != 0 {
        return value.fail(
            "not a restart time",
            "expected 1 s to 4095 s in whole seconds (RFC 4724 §3)",
        );
    }
    Some(duration)
}

fn graceful_restart(value: &Value<'_>) -> Option<Restart> {
    match value.as_boolean() {
        Some(true) => Some(Restart::On(None)),
        Some(false) => Some(Restart::Off),
        None if value.is_table() => value.keys::<RestartKeys>().map(|keys| Restart::On(Some(keys))),
        None => value.wrong_type("true, false or a table such as { restart_time = \"120s\" }"),
    }
}

fn add_path(value: &Value<'_>) -> Option<AddPath> {
    let way = |receive, send| AddPath { receive, send };
    let words = [
        ("receive", way(true, false)),
        ("send", way(false, true)),
        ("both", way(true, true)),
        ("off", way(false, false)),
    ];
    scalar::word(value, &words)
}

fn next_hop(value: &Value<'_>) -> Option<NextHopPolicy> {
    let words = [
        ("standard", NextHopPolicy::Standard),
        ("self", NextHopPolicy::Own),
        ("self-forced", NextHopPolicy::OwnForced),
        ("unchanged", NextHopPolicy::Unchanged),
    ];
    scalar::word(value, &words)
}

fn interface(value: &Value<'_>) -> Option<Arc<str>> {
    let name = scalar::name(value)?;
    if name.len() > INTERFACE_NAME_LIMIT || name.contains('/') {
        return value.fail(
            format_args!("`{name}` is no interface"),
            "an interface's name has at most 15 characters and no `/`",
        );
    }
    Some(name)
}
