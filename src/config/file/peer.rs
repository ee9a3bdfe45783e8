//! `[[peer]]` and `[[peer_group]]`.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bgp_codec::{AsSets, Family, FamilySet, Role};
use ipnet::IpNet;
use toml::Spanned;

use super::filter::reference;
use super::{Keys, kernel, keys};
use crate::config::reader::{Referent, Section, Value};
use crate::config::scalar;
use crate::config::schema::{
    ADDRESS, ASN, BOOLEAN, DURATION, FAMILIES, LIVE, NAME, NAMES, NEXT_SESSION, NONE, PATH, PREFIXES,
    REQUIRED, RESETS, Shape, TEXT, Table, number, text,
};
use crate::rib::interface::{NextHopPolicy, RemovePrivate, SentPaths};
use crate::route::{CARRIED, TableId};
use crate::session::settings::{RemoteAsn, StaleTimes};

keys! {
    /// What only a `[[peer]]` has.
    PeerKeys in "[[peer]]" {
        /// Unique, one word. Another name is another peer.
        name: Arc<str> = scalar::name => NAME, REQUIRED, NONE;
        /// The peer's IP address. A link-local one needs `interface`.
        address: IpAddr = scalar::address => ADDRESS, "this or `listen_range`", RESETS;
        /// Only in `[[peer]]`: the group whose keys it takes over.
        group: Arc<str> = |value| reference(value, Referent::Group) => NAME, "none", LIVE;
    }
}

keys! {
    /// What only a `[[peer_group]]` has.
    GroupKeys in "[[peer_group]]" {
        /// Unique, one word.
        name: Arc<str> = scalar::name => NAME, REQUIRED, NONE;
    }
}

/// Declares [`SharedKeys`] and how a peer's keys override its group's.
macro_rules! shared_keys {
    ($($(#[doc = $meaning:literal])+
       $key:ident: $type:ty = $parser:expr => $shape:expr, $default:expr, $reload:expr;)*) => {
        keys! {
            /// What a peer may have from its group.
            SharedKeys in "[[peer]] and [[peer_group]]" {
                $($(#[doc = $meaning])+ $key: $type = $parser => $shape, $default, $reload;)*
            }
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
    /// What is assumed for keys that neither the peer nor its group has: see below.
    profile: Profile = profile => Shape::Words(&["bigip", "calico-bird", "frr", "tor"]), "none", "as the keys that it stands for";
    /// Free text.
    description: String = scalar::text => TEXT, "empty", LIVE;
    /// The AS that the peer must announce, a list of those that it may announce, or `"internal"` (ours), `"external"` (any
    /// but ours), `"any"`. Required, here or in the group.
    asn: RemoteAsn = remote_asn => Shape::Either(&[
        ASN, Shape::Words(&["internal", "external", "any"]), Shape::List(&ASN),
    ]), NONE, "live if it still allows all that it did; else resets";
    /// Our AS towards this peer (RFC 7705). Of an external peer, routes get it in front on their way in, and it stands
    /// before our own AS on the way out.
    local_asn: bgp_codec::Asn = scalar::asn => ASN, "that of `[speaker]`", RESETS;
    /// Routes from the peer do not get `local_asn` in front. External peers only.
    local_asn_no_prepend: bool = scalar::boolean => BOOLEAN, "`false`", LIVE;
    /// The peer sees `local_asn` alone and not our own AS behind it. External peers only.
    local_asn_replace_as: bool = scalar::boolean => BOOLEAN, "`false`", LIVE;
    /// Prefixes from which any peer may connect; they never overlap. A configured address wins over a range. In a group, it
    /// belongs to the group and not to its peers.
    listen_range: Vec<Spanned<IpNet>> = ranges => PREFIXES, "none", "ranges of a list come and go live";
    /// Sessions of one range at most.
    range_limit: usize = scalar::number::<usize, 1, 100_000> => number(1, 100_000), "`1000`", LIVE;
    /// TCP port that we connect to.
    port: u16 = scalar::number::<u16, 1, 65_535> => number(1, 65_535), "`179`", LIVE;
    /// Never connect, only accept. Always so for a range.
    passive: bool = scalar::boolean => BOOLEAN, "`false`", LIVE;
    /// Administratively down: `true`, or a text that the peer is told (RFC 9003), at most 255 octets.
    shutdown: Shutdown = shutdown => Shape::Either(&[BOOLEAN, TEXT]), "`false`", LIVE;
    /// File with the TCP MD5 key (RFC 2385), at most 80 octets, a line break at its end not counted. A relative path starts
    /// at the configuration's directory. Nobody else should be able to read it. Read again at each reload.
    password_file: PathBuf = scalar::path => PATH, "none", "another key: live; with or without: resets";
    /// Proposed hold time (RFC 4271 §4.2): 0 for none, or 3 s to 65535 s.
    hold_time: Duration = hold_time => Shape::Either(&[text("a duration", "1m30s"), number(0, 0), number(3, 65_535)]),
        "`\"90s\"`", NEXT_SESSION;
    /// KEEPALIVE interval. Must be below the hold time.
    keepalive_time: Duration = scalar::positive_duration => DURATION, "a third of the negotiated hold time", LIVE;
    /// Let the peer send its OPEN first for so long (RFC 4271 §8.1.1); 0 for not at all.
    delay_open: Duration = scalar::duration => Shape::Either(&[DURATION, number(0, 0)]), "`0`", LIVE;
    /// Between attempts to connect. The first ones that fail follow each other sooner: after a quarter of a second, then
    /// twice as long each time.
    connect_retry_time: Duration = scalar::positive_duration => DURATION, "`\"5s\"`", LIVE;
    /// Pause after an error, doubled while the peer keeps failing.
    idle_hold_time: Duration = scalar::positive_duration => DURATION, "`\"5s\"`", LIVE;
    /// Close the session when nothing could be sent for so long (RFC 9687); 0 for never.
    send_hold_time: Duration = scalar::duration => Shape::Either(&[DURATION, number(0, 0)]),
        "`\"480s\"`, or twice the hold time if that is more", LIVE;
    /// Which routes are exchanged.
    families: FamilySet = scalar::families => FAMILIES, "`[\"ipv4-unicast\", \"ipv6-unicast\"]`", RESETS;
    /// Several paths per prefix (RFC 7911), in all families.
    add_path: AddPath = add_path => Shape::Words(&["receive", "send", "both", "off"]), "`\"off\"`", RESETS;
    /// Which usable paths of a prefix `add_path = "send"` and `"both"` offer to `export`: `all`, those as good as the best one
    /// up to the distance of their next hops (`ecmp`), or this many, the best first.
    add_path_send: SentPaths = add_path_send => Shape::Either(&[Shape::Words(&["all", "ecmp"]), number(1, 32)]),
        "`\"all\"`", LIVE;
    /// Messages up to 65535 octets (RFC 8654).
    extended_message: bool = scalar::boolean => BOOLEAN, "`true`", RESETS;
    /// IPv6 next hops for IPv4 routes (RFC 8950).
    extended_next_hop: bool = scalar::boolean => BOOLEAN, "`false`", RESETS;
    /// What we are to the peer (RFC 9234). A peer whose own role does not fit is refused, routes that leak are not used, and
    /// what came from a provider, a lateral peer or a route server goes to customers alone. External peers only.
    role: Role = role => ROLE,
        "none", RESETS;
    /// Refuse a peer that does not say its role.
    role_strict: bool = scalar::boolean => BOOLEAN, "`false`", RESETS;
    /// What else the OPEN says of us.
    announce: Vec<Announcement> = |value| value.one_or_many(announcement) =>
        Shape::OneOrMany(&Shape::Words(&["hostname", "version"])), "nothing", RESETS;
    /// Graceful restart (RFC 4724), with its times if they are to differ.
    graceful_restart: Restart = graceful_restart => Shape::Either(&[
        BOOLEAN, Shape::Table(|| Table::new("peer.graceful_restart", &[RestartKeys::KEYS])),
    ]), "`true`", "on or off: resets; its times: at the next session";
    /// TTL towards an external peer that is not on a shared subnet.
    multihop: u8 = scalar::number::<u8, 1, 255> => number(1, 255), "1: directly connected", LIVE;
    /// GTSM (RFC 5082): how many hops away the peer may be. Not with `multihop`.
    ttl_security: u8 = scalar::number::<u8, 1, 254> => number(1, 254), "off", LIVE;
    /// Local address of the session.
    source_address: IpAddr = scalar::address => ADDRESS, "the kernel's choice", RESETS;
    /// Interface that the session is bound to.
    interface: Arc<str> = interface => text("an interface", "eth0"), "none", RESETS;
    /// Names of the filters on what the peer sends.
    import: Vec<Arc<str>> = |value| value.one_or_many(|value| reference(value, Referent::Filter)) => NAMES,
        "internal: accept all; external: nothing passes (RFC 8212)", LIVE;
    /// Names of the filters on what the peer is sent.
    export: Vec<Arc<str>> = |value| value.one_or_many(|value| reference(value, Referent::Filter)) => NAMES, "the same", LIVE;
    /// A default route from the peer reaches the filters.
    accept_default_route: bool = scalar::boolean => BOOLEAN, "`false`", LIVE;
    /// Prefixes that reach the filters although they, or what they lie in, can belong to nobody (0.0.0.0/8, 127.0.0.0/8,
    /// 169.254.0.0/16, 224.0.0.0/3, ::/8 but for 64:ff9b::/96, fe80::/10, ff00::/8), with all that lies in them.
    accept_martians: Vec<Spanned<IpNet>> = ranges => PREFIXES, "none", LIVE;
    /// The peer is a reflection client (RFC 4456). Internal peers only.
    rr_client: bool = scalar::boolean => BOOLEAN, "`false`", LIVE;
    /// The peer is a route server client (RFC 7947). External peers only.
    route_server_client: bool = scalar::boolean => BOOLEAN, "`false`", LIVE;
    /// Next hop of what the peer is sent: `standard` (RFC 4271 §5.1.3), `self` (reflected routes keep theirs), `self-forced`
    /// (those too), `unchanged`.
    next_hop: NextHopPolicy = next_hop => Shape::Words(&["standard", "self", "self-forced", "unchanged"]),
        "`\"standard\"`", LIVE;
    /// Accept paths with our own AS in them this many times.
    allow_own_as: u8 = scalar::number::<u8, 0, 10> => number(0, 10), "`0`", LIVE;
    /// Our AS takes the place of the peer's in the paths that it is sent, so that two sites of one AS reach each other
    /// through us. External peers only.
    as_override: bool = scalar::boolean => BOOLEAN, "`false`", LIVE;
    /// Private AS numbers (RFC 6996), but for the peer's own, go from the paths that it is sent, or are replaced by ours.
    remove_private_as: RemovePrivate = remove_private => Shape::Either(&[BOOLEAN, Shape::Words(&["replace"])]),
        "`false`", LIVE;
    /// Refuse a path from an external peer that does not begin with its AS. Set it to `false` towards a route server.
    enforce_first_as: bool = scalar::boolean => BOOLEAN, "`true`", LIVE;
    /// Prefixes from the peer, per family, as received; one more closes the session.
    max_prefixes: u32 = scalar::number::<u32, 1, 4_294_967_295> => number(1, 4_294_967_295), "no limit", LIVE;
    /// The same, counted after import filters.
    max_prefixes_accepted: u32 = scalar::number::<u32, 1, 4_294_967_295> => number(1, 4_294_967_295), "no limit", LIVE;
    /// Connect again so long after a limit closed the session.
    max_prefix_restart: Duration = scalar::positive_duration => DURATION,
        "never, until an operator resets the peer", LIVE;
    /// Time between advertisements of changes (RFC 4271 §9.2.1.1): what changes meanwhile is told when it is over, and of
    /// each prefix only what it has come to. Withdrawals never wait.
    min_advertisement_interval: Duration = scalar::duration => Shape::Either(&[DURATION, number(0, 0)]), "`0`: at once", LIVE;
    /// Paths with an AS_SET, which RFC 9774 deprecates: `accept`, or `withdraw` the routes. A change asks for the routes again.
    as_sets: AsSets = as_sets => Shape::Words(&["accept", "withdraw"]), "`\"accept\"`", LIVE;
    /// What exceeding a limit leads to: `close` the session, or only `warn` in the log, once a session.
    max_prefix_action: MaxPrefixAction = max_prefix_action => Shape::Words(&["close", "warn"]), "`\"close\"`", LIVE;
    /// What the peer sends is installed in the kernel.
    install: bool = scalar::boolean => BOOLEAN, "`true`", LIVE;
    /// The peer is also sent what `summary_only` of an `[[aggregate]]` keeps from others.
    more_specifics: bool = scalar::boolean => BOOLEAN, "`false`", LIVE;
    /// In this routing table.
    table: TableId = kernel::table => kernel::TABLE, "`table` of `[kernel]`", LIVE;
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

/// A kind of counterpart whose best settings are known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::config) enum Profile {
    /// F5 BIG-IP (ZebOS).
    BigIp,
    /// BIRD as Calico configures it.
    CalicoBird,
    /// FRR with its defaults.
    Frr,
    /// A top-of-rack router, next to us, in another AS.
    Tor,
}

const PROFILES: [(&str, Profile); 4] = [
    ("bigip", Profile::BigIp),
    ("calico-bird", Profile::CalicoBird),
    ("frr", Profile::Frr),
    ("tor", Profile::Tor),
];

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = PROFILES.iter().find(|(_, profile)| profile == self);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

fn profile(value: &Value<'_>) -> Option<Profile> {
    scalar::word(value, &PROFILES)
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

/// `max_prefix_action`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::config) enum MaxPrefixAction {
    Close,
    Warn,
}

fn max_prefix_action(value: &Value<'_>) -> Option<MaxPrefixAction> {
    scalar::word(
        value,
        &[("close", MaxPrefixAction::Close), ("warn", MaxPrefixAction::Warn)],
    )
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
        /// How long the peer is asked to keep our routes.
        restart_time: Duration = restart_time => Shape::Either(&[text("a duration", "1m30s"), number(1, 4_095)]),
            "`\"120s\"`", NEXT_SESSION;
        /// How long we keep a peer's routes at most, whatever it asks for.
        max_peer_restart_time: Duration = restart_time => Shape::Either(&[text("a duration", "1m30s"), number(1, 4_095)]),
            "`\"360s\"`", LIVE;
        /// Long-lived graceful restart (RFC 9494): how long the peer is asked to keep our routes after the restart time, and
        /// how long we keep its routes then at most: as a last resort, marked with the community `llgr-stale`.
        long_lived: StaleTimes = stale_times => Shape::Either(&[STALE_TIME,
            Shape::Table(|| Table::new("peer.graceful_restart.long_lived", &[StaleKeys::KEYS])),
        ]), "not at all", "with or without: resets; another time: at the next session";
    }
}

const STALE_TIME: Shape = Shape::Either(&[text("a duration", "1m30s"), number(1, 16_777_215)]);

keys! {
    /// `long_lived = { ... }`: a time for each family, none for those left out.
    StaleKeys in "`long_lived` of [[peer]]" {
        /// Of IPv4 unicast.
        ipv4_unicast: Duration = stale_time => STALE_TIME, "not at all", NEXT_SESSION;
        /// Of IPv6 unicast.
        ipv6_unicast: Duration = stale_time => STALE_TIME, "not at all", NEXT_SESSION;
    }
}

/// One time for all families, or one for each.
fn stale_times(value: &Value<'_>) -> Option<StaleTimes> {
    if !value.is_table() {
        return stale_time(value).map(StaleTimes::all);
    }
    let keys = value.keys::<StaleKeys>()?;
    let times = CARRIED.map(|family| {
        let written = match family {
            Family::IPV4_UNICAST => &keys.ipv4_unicast,
            Family::IPV6_UNICAST => &keys.ipv6_unicast,
            _ => &None,
        };
        written.as_ref().map(|time| *time.get_ref())
    });
    Some(StaleTimes::each(times))
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
    if value.is_list() {
        return value
            .list("AS numbers", scalar::asn)
            .and_then(|asns| among(value, asns));
    }
    if value.is_text() {
        let written = value.text("an AS number")?;
        if let Some((_, asn)) = WORDS.into_iter().find(|(word, _)| *word == written) {
            return Some(asn);
        }
        if !written.starts_with(|c: char| c.is_ascii_digit()) {
            return value.fail(
                format_args!("`{written}` is not known"),
                "expected an AS number from 1 to 4294967295, a list of them, `internal`, `external` or `any`",
            );
        }
    }
    scalar::asn(value).map(RemoteAsn::Is)
}

fn among(value: &Value<'_>, asns: Vec<bgp_codec::Asn>) -> Option<RemoteAsn> {
    if asns.is_empty() {
        return value.fail("an empty list", "expected at least one AS number, or `any`");
    }
    Some(RemoteAsn::Among(asns.into()))
}

/// One word of `announce`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::config) enum Announcement {
    Hostname,
    Version,
}

fn announcement(value: &Value<'_>) -> Option<Announcement> {
    scalar::word(
        value,
        &[
            ("hostname", Announcement::Hostname),
            ("version", Announcement::Version),
        ],
    )
}

/// Roles, RFC 9234.
pub(super) const ROLE: Shape = Shape::Words(&[
    "provider",
    "customer",
    "peer",
    "route-server",
    "route-server-client",
]);

pub(super) fn role(value: &Value<'_>) -> Option<Role> {
    scalar::word(
        value,
        &[
            ("provider", Role::Provider),
            ("customer", Role::Customer),
            ("peer", Role::Peer),
            ("route-server", Role::RouteServer),
            ("route-server-client", Role::RouteServerClient),
        ],
    )
}

fn as_sets(value: &Value<'_>) -> Option<AsSets> {
    scalar::word(
        value,
        &[("accept", AsSets::Accept), ("withdraw", AsSets::TreatAsWithdraw)],
    )
}

fn remove_private(value: &Value<'_>) -> Option<RemovePrivate> {
    match value.as_boolean() {
        Some(true) => Some(RemovePrivate::Remove),
        Some(false) => Some(RemovePrivate::No),
        None => scalar::word(value, &[("replace", RemovePrivate::Replace)]),
    }
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

/// RFC 9494 §3.1: 24 bits of seconds.
fn stale_time(value: &Value<'_>) -> Option<Duration> {
    let duration = scalar::duration(value)?;
    if !(1..=16_777_215).contains(&duration.as_secs()) || duration.subsec_nanos() != 0 {
        return value.fail(
            "not a stale time",
            "expected 1 s to 16777215 s (194 days) in whole seconds (RFC 9494 §3.1)",
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

/// Ordering the paths of a prefix takes a decision for each of them.
const SENT_PATHS_LIMIT: u64 = 32;

fn add_path_send(value: &Value<'_>) -> Option<SentPaths> {
    if value.is_text() {
        return scalar::word(value, &[("all", SentPaths::All), ("ecmp", SentPaths::Equal)]);
    }
    scalar::number::<u8, 1, SENT_PATHS_LIMIT>(value)
        .and_then(NonZeroU8::new)
        .map(SentPaths::Best)
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
