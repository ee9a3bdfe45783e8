//! What configuration says of a peer.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bgp_codec::{Asn, Family, FamilySet, Role};
use ipnet::IpNet;

use crate::rib::interface::PeerPolicy;
use crate::route::{CARRIED, Secret, TableId};

/// Proposed hold time, RFC 4271 §10.
pub const HOLD_TIME: Duration = Duration::from_secs(90);
/// Between attempts to connect, RFC 4271 §10 (which suggests 120 s: a peer is wanted back sooner).
pub const CONNECT_RETRY_TIME: Duration = Duration::from_secs(5);
/// After an error, before oscillation is damped.
pub const IDLE_HOLD_TIME: Duration = Duration::from_secs(5);
/// RFC 9687 §3: the greater of 8 minutes and twice the hold time.
pub const SEND_HOLD_TIME: Duration = Duration::from_secs(480);
/// Sessions of one range.
pub const RANGE_LIMIT: usize = 1_000;
/// The TCP port of BGP.
pub const PORT: u16 = 179;

/// A peer, or a range of addresses that may connect (`listen_range`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerSettings {
    /// Unique.
    pub name: Arc<str>,
    /// Free text.
    pub description: String,
    /// Its address, or the range that passive peers may come from.
    pub address: PeerAddress,
    /// TCP port we connect to; 179.
    pub port: u16,
    /// Our AS towards it.
    pub local_asn: Asn,
    /// The AS it must announce.
    pub remote_asn: RemoteAsn,
    /// Never connect, only accept.
    pub passive: bool,
    /// Administratively down, with the text to tell the peer (RFC 9003).
    pub shutdown: Option<String>,
    /// TCP MD5 (RFC 2385), and the file it came from.
    pub password: Option<Password>,
    /// Proposed hold time; zero for none.
    pub hold_time: Duration,
    /// KEEPALIVE interval; a third of the negotiated hold time when not given.
    pub keepalive_time: Option<Duration>,
    /// DelayOpenTime, RFC 4271 §8.1.1: how long the peer may speak first; zero for not at all.
    pub delay_open: Duration,
    /// ConnectRetryTime, RFC 4271 §8.
    pub connect_retry_time: Duration,
    /// IdleHoldTime after an error; doubled while the peer oscillates (RFC 4271 §8.1.1).
    pub idle_hold_time: Duration,
    /// SendHoldTime, RFC 9687; zero for none.
    pub send_hold_time: Duration,
    /// Families to announce.
    pub families: FamilySet,
    /// Families in which we take several paths per prefix (RFC 7911).
    pub add_path_receive: FamilySet,
    /// Families in which we send all paths (RFC 7911).
    pub add_path_send: FamilySet,
    /// RFC 8654.
    pub extended_message: bool,
    /// RFC 8950.
    pub extended_next_hop: bool,
    /// Our role towards the peer, RFC 9234; none: not announced.
    pub role: Option<OwnRole>,
    /// What else the OPEN says of us.
    pub announce: Announced,
    /// Graceful restart, RFC 4724; none: not announced.
    pub graceful_restart: Option<GracefulRestart>,
    /// TTL of packets sent to an external peer that is not directly connected; 1 for a directly connected one.
    pub multihop: Option<u8>,
    /// GTSM, RFC 5082: the number of hops the peer may be away.
    pub ttl_security: Option<u8>,
    /// Local address to connect from and to be connected at.
    pub source_address: Option<IpAddr>,
    /// Interface to bind to.
    pub interface: Option<Arc<str>>,
    /// Where its routes go.
    pub table: TableId,
    /// Limit of sessions for a `listen_range`.
    pub range_limit: usize,
    /// What needs no new session.
    pub policy: PeerPolicy,
}

impl PeerSettings {
    /// What a configuration without any other key gives, but that both directions accept everything and that graceful restart
    /// is not announced: a peer of either kind to start from.
    #[must_use]
    pub fn new(name: &str, address: IpAddr, (local, remote): (Asn, Asn)) -> Self {
        Self {
            name: name.into(),
            description: String::new(),
            address: PeerAddress::Address(address),
            port: PORT,
            local_asn: local,
            remote_asn: RemoteAsn::Is(remote),
            passive: false,
            shutdown: None,
            password: None,
            hold_time: HOLD_TIME,
            keepalive_time: None,
            delay_open: Duration::ZERO,
            connect_retry_time: CONNECT_RETRY_TIME,
            idle_hold_time: IDLE_HOLD_TIME,
            send_hold_time: SEND_HOLD_TIME,
            families: FamilySet::IPV4_UNICAST.with(Family::IPV6_UNICAST),
            add_path_receive: FamilySet::EMPTY,
            add_path_send: FamilySet::EMPTY,
            extended_message: true,
            extended_next_hop: false,
            role: None,
            announce: Announced::default(),
            graceful_restart: None,
            multihop: None,
            ttl_security: None,
            source_address: None,
            interface: None,
            table: TableId::MAIN,
            range_limit: RANGE_LIMIT,
            policy: PeerPolicy::accept_all(),
        }
    }
}

/// A TCP MD5 key and its origin, for reloads and for messages that may name the file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Password {
    /// The key, at most 80 octets.
    pub key: Secret,
    /// `password_file`.
    pub file: PathBuf,
}

/// Where a peer is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum PeerAddress {
    /// One configured address.
    Address(IpAddr),
    /// Any address in this range, passively.
    Range(IpNet),
}

/// The AS that a peer may announce.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RemoteAsn {
    /// Exactly this one.
    Is(Asn),
    /// Ours.
    Internal,
    /// Any but ours.
    External,
    /// Any.
    Any,
    /// One of these.
    Among(Arc<[Asn]>),
}

impl RemoteAsn {
    /// Whether it allows this AS where ours is `local`.
    #[must_use]
    pub fn allows(&self, asn: Asn, local: Asn) -> bool {
        match self {
            Self::Is(allowed) => *allowed == asn,
            Self::Internal => asn == local,
            Self::External => asn != local,
            Self::Any => true,
            Self::Among(allowed) => allowed.contains(&asn),
        }
    }

    /// Whether it allows whatever `other` does, where ours is `local`.
    #[must_use]
    pub fn allows_all_of(&self, other: &Self, local: Asn) -> bool {
        match other {
            Self::Is(asn) => self.allows(*asn, local),
            Self::Internal => self.allows(local, local),
            Self::Among(asns) => asns.iter().all(|asn| self.allows(*asn, local)),
            Self::External => matches!(self, Self::External | Self::Any),
            Self::Any => *self == Self::Any,
        }
    }

    /// Whether every AS that it allows is `local`.
    #[must_use]
    pub fn is_internal(&self, local: Asn) -> bool {
        match self {
            Self::Is(asn) => *asn == local,
            Self::Internal => true,
            Self::External | Self::Any => false,
            Self::Among(asns) => asns.iter().all(|asn| *asn == local),
        }
    }

    /// Whether every AS that it allows is another than `local`.
    #[must_use]
    pub fn is_external(&self, local: Asn) -> bool {
        match self {
            Self::Is(asn) => *asn != local,
            Self::External => true,
            Self::Internal | Self::Any => false,
            Self::Among(asns) => !asns.contains(&local),
        }
    }
}

/// Our role on a session, RFC 9234 §4.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OwnRole {
    /// What we are to the peer.
    pub role: Role,
    /// A peer that does not say its own role is refused (RFC 9234 §4.2).
    pub strict: bool,
}

/// What the OPEN says of us for the eyes of the peer's operator.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Announced {
    /// The name of this machine (draft-walton-bgp-hostname-capability).
    pub hostname: bool,
    /// Name and version of this program (draft-abraitis-bgp-version-capability).
    pub version: bool,
}

/// Graceful restart as configured for a peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GracefulRestart {
    /// How long the peer is asked to keep our routes, 1 to 4,095 s.
    pub restart_time: Duration,
    /// Cap on how long we keep a peer's routes, whatever it announces.
    pub max_peer_restart_time: Duration,
    /// Long-lived graceful restart (RFC 9494): how long the peer is asked to keep our routes after the restart time, and how
    /// long we keep its routes at most; none: not announced.
    pub long_lived: Option<StaleTimes>,
}

/// A time for each family that has one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StaleTimes([Option<Duration>; CARRIED.len()]);

impl StaleTimes {
    /// The same time for every family.
    #[must_use]
    pub const fn all(time: Duration) -> Self {
        Self([Some(time); CARRIED.len()])
    }

    /// These times, in the order of [`CARRIED`].
    #[must_use]
    pub const fn each(times: [Option<Duration>; CARRIED.len()]) -> Self {
        Self(times)
    }

    /// That of a family.
    #[must_use]
    pub fn time(&self, family: Family) -> Option<Duration> {
        let place = CARRIED.iter().position(|carried| *carried == family)?;
        self.0.get(place).copied().flatten()
    }
}

impl fmt::Display for StaleTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = CARRIED.iter().zip(&self.0);
        let named = times.filter_map(|(family, time)| Some(format!("{family} {:?}", (*time)?)));
        f.write_str(&named.collect::<Vec<_>>().join(", "))
    }
}

/// What a session must know of the speaker itself; fixed while running.
#[derive(Clone, Debug)]
pub struct SpeakerIdentity {
    /// Our AS.
    pub asn: Asn,
    /// Our BGP Identifier.
    pub bgp_identifier: std::net::Ipv4Addr,
    /// The name of this machine.
    pub hostname: Arc<str>,
    /// Families whose forwarding state survived our restart (F bit).
    pub forwarding: FamilySet,
    /// Until when OPENs carry the R bit; none when this is not a restart.
    pub restarting_until: Option<std::time::Instant>,
}
