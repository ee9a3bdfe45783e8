//! What the OPEN exchange settles: our OPEN, the checks on the peer's (RFC 4271 §6.2), and what both agree on.
//!
//! Pure. An OPEN that is refused yields an [`OpenRefusal`], which knows its NOTIFICATION.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use bgp_codec::header::{MAX_EXTENDED, MAX_MESSAGE};
use bgp_codec::notification::{code, open_message};
use bgp_codec::{
    AS_TRANS, AddPathMode, Afi, Asn, Capability, ExtendedNextHopFamily, Family, FamilySet, GrFamily,
    LlgrFamily, Notification, Open, OpenError, PeerKind, Role,
};
use thiserror::Error;

use super::settings::{GracefulRestart, PeerSettings, RemoteAsn, SpeakerIdentity};
use crate::rib::interface::{LongLived, Negotiated, PeerGracefulRestart};

/// RFC 4724 §3: twelve bits.
const MAX_RESTART_TIME_S: u16 = 4095;
/// RFC 9494 §3.1: 24 bits.
const MAX_STALE_TIME_S: u32 = 0xff_ffff;

/// What we say that we run.
const SOFTWARE: &str = concat!("stonechat/", env!("CARGO_PKG_VERSION"));

/// What two OPENs agree on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Agreement {
    /// What the RIB must know.
    pub negotiated: Negotiated,
    /// The peer's AS.
    pub asn: Asn,
    /// The peer's BGP Identifier.
    pub bgp_identifier: Ipv4Addr,
    /// Inside or outside our AS.
    pub kind: PeerKind,
    /// RFC 4271 §4.2; zero for none.
    pub hold_time: Duration,
    /// How often we send KEEPALIVEs; zero for never.
    pub keepalive_time: Duration,
    /// The longest message we take, octets.
    pub max_receive: usize,
    /// Graceful restart as both announced it.
    pub graceful_restart: Option<Graceful>,
    /// Our role and the peer's, where we have one (RFC 9234).
    pub roles: Option<(Role, Option<Role>)>,
    /// What the peer calls itself.
    pub hostname: Option<String>,
    /// What the peer runs.
    pub software: Option<String>,
}

/// Graceful restart in force on a session (RFC 4724): both sides announced it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Graceful {
    /// Families whose routes are kept when the session is lost.
    pub families: FamilySet,
    /// For how long: what the peer asks for, within our own limit.
    pub restart_time: Duration,
    /// What is kept beyond that time (RFC 9494).
    pub long_lived: LongLived,
    /// NOTIFICATIONs too leave the routes in place, RFC 8538 (both set the N bit).
    pub notification: bool,
}

/// Why the peer's OPEN is refused.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum OpenRefusal {
    /// It is malformed, or says what no OPEN may say.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Another AS than configured: 2/2.
    #[error("the peer announces AS {announced}, which is not what is configured for it")]
    WrongAsn {
        /// What it said.
        announced: Asn,
    },
    /// An internal peer with our own BGP Identifier, RFC 6286 §2.2: 2/3.
    #[error("the peer has our own BGP identifier {0}")]
    OurIdentifier(Ipv4Addr),
    /// The roles of the two do not pair, RFC 9234 §4.2: 2/11.
    #[error("our role is {ours:?}, and the peer says that it is {theirs:?}")]
    RoleMismatch {
        /// As configured.
        ours: Role,
        /// As announced; none where it says nothing and we insist.
        theirs: Option<Role>,
    },
    /// No family in common, so nothing could be exchanged: 2/7 with the families we would take (RFC 5492 §5).
    #[error("no address family in common: ours are {0:?}")]
    NoCommonFamily(FamilySet),
}

impl From<OpenRefusal> for Notification {
    fn from(refusal: OpenRefusal) -> Self {
        let (subcode, data) = match refusal {
            OpenRefusal::Open(error) => return error.into(),
            OpenRefusal::WrongAsn { .. } => (open_message::BAD_PEER_AS, Vec::new()),
            OpenRefusal::OurIdentifier(_) => (open_message::BAD_BGP_IDENTIFIER, Vec::new()),
            OpenRefusal::RoleMismatch { .. } => (open_message::ROLE_MISMATCH, Vec::new()),
            OpenRefusal::NoCommonFamily(families) => (
                open_message::UNSUPPORTED_CAPABILITY,
                families.iter().flat_map(multiprotocol_octets).collect(),
            ),
        };
        Self {
            code: code::OPEN_MESSAGE,
            subcode,
            data,
        }
    }
}

/// RFC 4760 §8: the multiprotocol capability with its code and length.
fn multiprotocol_octets(family: Family) -> [u8; 6] {
    let [high, low] = family.afi.0.to_be_bytes();
    [
        bgp_codec::capability::code::MULTIPROTOCOL,
        4,
        high,
        low,
        0,
        family.safi.0,
    ]
}

/// Builds the OPEN that a peer is sent; `kept` are families whose forwarding state has outlived the last session.
#[must_use]
pub fn our_open(settings: &PeerSettings, identity: &SpeakerIdentity, kept: FamilySet, now: Instant) -> Open {
    let mut capabilities: Vec<Capability> = settings.families.iter().map(Capability::Multiprotocol).collect();
    capabilities.push(Capability::RouteRefresh);
    capabilities.push(Capability::EnhancedRouteRefresh);
    capabilities.push(Capability::FourOctetAsn(settings.local_asn));
    if settings.extended_message {
        capabilities.push(Capability::ExtendedMessage);
    }
    if settings.extended_next_hop && settings.families.contains(Family::IPV4_UNICAST) {
        let family = ExtendedNextHopFamily {
            family: Family::IPV4_UNICAST,
            next_hop: Afi::IPV6,
        };
        capabilities.push(Capability::ExtendedNextHop(vec![family]));
    }
    let add_path: Vec<_> = settings
        .families
        .iter()
        .filter_map(|family| Some((family, add_path_mode(settings, family)?)))
        .collect();
    if !add_path.is_empty() {
        capabilities.push(Capability::AddPath(add_path));
    }
    if let Some(own) = settings.role {
        capabilities.push(Capability::Role(own.role));
    }
    if settings.announce.hostname {
        let (hostname, domain) = identity
            .hostname
            .split_once('.')
            .unwrap_or((&identity.hostname, ""));
        capabilities.push(Capability::Fqdn {
            hostname: hostname.to_owned(),
            domain: domain.to_owned(),
        });
    }
    if settings.announce.version {
        capabilities.push(Capability::SoftwareVersion(SOFTWARE.to_owned()));
    }
    if let Some(graceful) = settings.graceful_restart {
        let forwarding = identity.forwarding.union(kept);
        let families = settings
            .families
            .iter()
            .map(|family| GrFamily {
                family,
                forwarding: forwarding.contains(family),
            })
            .collect();
        capabilities.push(Capability::GracefulRestart {
            restarting: identity.restarting_until.is_some_and(|until| now < until),
            notification: true,
            restart_time_s: seconds(graceful.restart_time).min(MAX_RESTART_TIME_S),
            families,
        });
        capabilities.extend(long_lived_capability(settings, forwarding));
    }
    Open {
        version: bgp_codec::open::VERSION,
        asn: settings.local_asn.to_two_octets(),
        hold_time: seconds(settings.hold_time),
        bgp_identifier: identity.bgp_identifier,
        capabilities,
    }
}

/// RFC 9494 §3.1: beside the graceful restart capability only.
fn long_lived_capability(settings: &PeerSettings, forwarding: FamilySet) -> Option<Capability> {
    let times = settings.graceful_restart?.long_lived?;
    let families = settings.families.iter().filter_map(|family| {
        let stale_time_s = u32::try_from(times.time(family)?.as_secs()).unwrap_or(MAX_STALE_TIME_S);
        Some(LlgrFamily {
            family,
            forwarding: forwarding.contains(family),
            stale_time_s: stale_time_s.min(MAX_STALE_TIME_S),
        })
    });
    Some(Capability::LongLivedGracefulRestart(families.collect()))
}

fn add_path_mode(settings: &PeerSettings, family: Family) -> Option<AddPathMode> {
    match (
        settings.add_path_receive.contains(family),
        settings.add_path_send.contains(family),
    ) {
        (true, true) => Some(AddPathMode::Both),
        (true, false) => Some(AddPathMode::Receive),
        (false, true) => Some(AddPathMode::Send),
        (false, false) => None,
    }
}

fn seconds(time: Duration) -> u16 {
    u16::try_from(time.as_secs()).unwrap_or(u16::MAX)
}

/// Checks the body of the peer's OPEN against `settings` and yields what it and `ours` agree on.
///
/// # Errors
///
/// [`OpenRefusal`]; the peer is told code 2 with the subcode that the variant names.
pub fn agree(settings: &PeerSettings, ours: &Open, body: &[u8]) -> Result<Agreement, OpenRefusal> {
    let theirs = Open::decode(body)?;
    let asn = theirs.asn();
    let kind = if asn == settings.local_asn {
        PeerKind::Internal
    } else {
        PeerKind::External
    };
    let expected = match &settings.remote_asn {
        RemoteAsn::Is(expected) => asn == *expected,
        RemoteAsn::Internal => kind == PeerKind::Internal,
        RemoteAsn::External => kind == PeerKind::External,
        RemoteAsn::Any => true,
        RemoteAsn::Among(allowed) => allowed.contains(&asn),
    };
    // RFC 6793 §9: AS_TRANS is nobody's number.
    if !expected || asn == AS_TRANS {
        return Err(OpenRefusal::WrongAsn { announced: asn });
    }
    // RFC 6286 §2.2: zero is refused while decoding; within an AS identifiers are unique.
    if kind == PeerKind::Internal && theirs.bgp_identifier == ours.bgp_identifier {
        return Err(OpenRefusal::OurIdentifier(theirs.bgp_identifier));
    }
    let roles = roles(settings, &theirs)?;
    let families = settings.families.intersection(theirs.families());
    if families.is_empty() {
        return Err(OpenRefusal::NoCommonFamily(settings.families));
    }
    let hold_time = Duration::from_secs(u64::from(ours.hold_time.min(theirs.hold_time)));
    Ok(Agreement {
        negotiated: negotiated(settings, ours, &theirs, families),
        asn,
        bgp_identifier: theirs.bgp_identifier,
        kind,
        hold_time,
        keepalive_time: keepalive_time(settings.keepalive_time, hold_time),
        max_receive: if settings.extended_message {
            MAX_EXTENDED
        } else {
            MAX_MESSAGE
        },
        graceful_restart: graceful(settings, ours, &theirs, families),
        roles,
        hostname: hostname(&theirs),
        software: software(&theirs),
    })
}

/// RFC 9234 §4.2: roles that do not pair end the session; a peer that says nothing is taken at our word.
fn roles(settings: &PeerSettings, theirs: &Open) -> Result<Option<(Role, Option<Role>)>, OpenRefusal> {
    let Some(own) = settings.role else {
        return Ok(None);
    };
    let theirs = theirs.role();
    let pairs = theirs.map_or(!own.strict, |theirs| own.role.pairs_with(theirs));
    if pairs {
        Ok(Some((own.role, theirs)))
    } else {
        Err(OpenRefusal::RoleMismatch {
            ours: own.role,
            theirs,
        })
    }
}

fn hostname(theirs: &Open) -> Option<String> {
    theirs.capabilities.iter().find_map(|capability| {
        if let Capability::Fqdn { hostname, domain } = capability {
            let dot = if domain.is_empty() { "" } else { "." };
            Some(printable(&format!("{hostname}{dot}{domain}")))
        } else {
            None
        }
    })
}

fn software(theirs: &Open) -> Option<String> {
    theirs.capabilities.iter().find_map(|capability| {
        if let Capability::SoftwareVersion(version) = capability {
            Some(printable(version))
        } else {
            None
        }
    })
}

/// What a peer says goes to terminals and logs.
fn printable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).collect()
}

/// RFC 4271 §4.4: a third of the hold time, or more often where that is configured.
pub(super) fn keepalive_time(configured: Option<Duration>, hold_time: Duration) -> Duration {
    let third = hold_time / 3;
    configured.map_or(third, |time| time.min(third))
}

fn negotiated(settings: &PeerSettings, ours: &Open, theirs: &Open, families: FamilySet) -> Negotiated {
    let add_path = |wanted: FamilySet, able: fn(AddPathMode) -> bool| {
        let both = wanted.intersection(families).iter();
        both.filter(|family| theirs.add_path(*family).is_some_and(able))
            .collect()
    };
    let both = |capability: Capability| ours.has(&capability) && theirs.has(&capability);
    let listed = theirs.long_lived_graceful_restart();
    let kept = listed
        .iter()
        .filter(|entry| entry.forwarding)
        .map(|entry| entry.family);
    let long_lived_forwarding = (!listed.is_empty()).then(|| kept.collect());
    let graceful_restart = theirs.graceful_restart().map(|theirs| PeerGracefulRestart {
        restarting: theirs.restarting,
        families: theirs.families.iter().map(|entry| entry.family).collect(),
        forwarding: theirs
            .families
            .iter()
            .filter(|entry| entry.forwarding)
            .map(|entry| entry.family)
            .collect(),
        long_lived: long_lived_forwarding,
    });
    Negotiated {
        families,
        four_octet_asn: theirs.four_octet_asn().is_some(),
        max_message: if both(Capability::ExtendedMessage) {
            MAX_EXTENDED
        } else {
            MAX_MESSAGE
        },
        add_path_receive: add_path(settings.add_path_receive, AddPathMode::sends),
        add_path_send: add_path(settings.add_path_send, AddPathMode::receives),
        extended_next_hop: families.contains(Family::IPV4_UNICAST)
            && ours.extended_next_hop().contains(Family::IPV4_UNICAST)
            && theirs.extended_next_hop().contains(Family::IPV4_UNICAST),
        route_refresh: both(Capability::RouteRefresh),
        enhanced_route_refresh: both(Capability::EnhancedRouteRefresh),
        graceful_restart,
        role: settings.role.map(|own| own.role),
    }
}

fn graceful(settings: &PeerSettings, ours: &Open, theirs: &Open, families: FamilySet) -> Option<Graceful> {
    let (configured, announced) = (settings.graceful_restart?, ours.graceful_restart()?);
    let long_lived = long_lived(configured, theirs, families);
    let theirs = theirs.graceful_restart()?;
    let kept = theirs.families.iter().map(|entry| entry.family).collect();
    Some(Graceful {
        families: families.intersection(kept),
        restart_time: Duration::from_secs(u64::from(theirs.restart_time_s))
            .min(configured.max_peer_restart_time),
        long_lived,
        notification: announced.notification && theirs.notification,
    })
}

/// RFC 9494 §4.2: what the peer asks for in each family, within our own limit.
fn long_lived(configured: GracefulRestart, theirs: &Open, families: FamilySet) -> LongLived {
    let Some(limits) = configured.long_lived else {
        return LongLived::NONE;
    };
    let asked = theirs
        .long_lived_graceful_restart()
        .iter()
        .filter(|entry| entry.stale_time_s > 0 && families.contains(entry.family));
    let time = |entry: &LlgrFamily| {
        let limit = limits.time(entry.family)?;
        let time = Duration::from_secs(u64::from(entry.stale_time_s)).min(limit);
        Some((entry.family, time))
    };
    LongLived {
        times: asked.filter_map(time).collect(),
    }
}

#[cfg(test)]
mod tests;
