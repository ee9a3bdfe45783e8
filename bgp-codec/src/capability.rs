//! Capabilities (RFC 5492): what an OPEN says its sender can do.
//!
//! A known capability whose value has a wrong length or content is kept as [`Capability::Unknown`]: it then counts as
//! not advertised, and never harms the session.

use nom::branch::alt;
use nom::combinator::{all_consuming, eof, map_opt};
use nom::multi::{length_data, many0};
use nom::number::complete::{be_u8, be_u16, be_u24, be_u32};
use nom::{IResult, Parser as _};

use crate::asn::Asn;
use crate::family::{Afi, Family, Safi};

/// Capability codes.
///
/// ```
/// assert_eq!(bgp_codec::capability::code::ADD_PATH, 69);
/// ```
pub mod code {
    /// RFC 4760.
    pub const MULTIPROTOCOL: u8 = 1;
    /// RFC 2918.
    pub const ROUTE_REFRESH: u8 = 2;
    /// RFC 8950.
    pub const EXTENDED_NEXT_HOP: u8 = 5;
    /// RFC 8654.
    pub const EXTENDED_MESSAGE: u8 = 6;
    /// RFC 8205; carried as bytes.
    pub const BGPSEC: u8 = 7;
    /// RFC 9234.
    pub const ROLE: u8 = 9;
    /// RFC 4724.
    pub const GRACEFUL_RESTART: u8 = 64;
    /// RFC 6793.
    pub const FOUR_OCTET_ASN: u8 = 65;
    /// RFC 7911.
    pub const ADD_PATH: u8 = 69;
    /// RFC 7313.
    pub const ENHANCED_ROUTE_REFRESH: u8 = 70;
    /// RFC 9494.
    pub const LONG_LIVED_GRACEFUL_RESTART: u8 = 71;
    /// draft-walton-bgp-hostname-capability.
    pub const FQDN: u8 = 73;
    /// draft-abraitis-bgp-version-capability.
    pub const SOFTWARE_VERSION: u8 = 75;
}

/// Octets that a capability's value can have.
const MAX_VALUE: usize = 255;

/// The relation of two neighbours, RFC 9234 §4.1.
///
/// ```
/// # use bgp_codec::{AddPathMode, Asn, Capability, ExtendedNextHopFamily, Family, FamilySet, GrFamily, LlgrFamily, Open, Role};
/// # let open = |capabilities| Open { version: 4, asn: 64_512, hold_time: 90, bgp_identifier: [192, 0, 2, 1].into(), capabilities };
/// let open = open(vec![Capability::Role(Role::Customer)]);
/// assert!(open.role().is_some_and(|remote| Role::Provider.pairs_with(remote)));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// The sender is a transit provider of the receiver.
    Provider,
    /// The sender is a route server.
    RouteServer,
    /// The sender is a client of a route server.
    RouteServerClient,
    /// The sender is a customer of the receiver.
    Customer,
    /// The two are lateral peers.
    Peer,
    /// A value from 5 on, which has no meaning yet and pairs with nothing.
    Unassigned(u8),
}

impl Role {
    /// The octet on the wire.
    ///
    /// ```
    /// assert_eq!(bgp_codec::Role::Customer.code(), 3);
    /// ```
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Provider => 0,
            Self::RouteServer => 1,
            Self::RouteServerClient => 2,
            Self::Customer => 3,
            Self::Peer => 4,
            Self::Unassigned(code) => code,
        }
    }

    const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Provider,
            1 => Self::RouteServer,
            2 => Self::RouteServerClient,
            3 => Self::Customer,
            4 => Self::Peer,
            _ => Self::Unassigned(code),
        }
    }

    /// Whether this role and the neighbour's make a pair that RFC 9234 §4.2 allows.
    ///
    /// ```
    /// use bgp_codec::Role;
    /// assert!(Role::Provider.pairs_with(Role::Customer));
    /// assert!(!Role::Provider.pairs_with(Role::Provider));
    /// ```
    #[must_use]
    pub const fn pairs_with(self, remote: Self) -> bool {
        matches!(
            (self, remote),
            (Self::Provider, Self::Customer)
                | (Self::Customer, Self::Provider)
                | (Self::RouteServer, Self::RouteServerClient)
                | (Self::RouteServerClient, Self::RouteServer)
                | (Self::Peer, Self::Peer)
        )
    }
}

/// Directions of Add-Path that the sender of a capability can do, RFC 7911 §4.
///
/// ```
/// # use bgp_codec::{AddPathMode, Asn, Capability, ExtendedNextHopFamily, Family, FamilySet, GrFamily, LlgrFamily, Open, Role};
/// # let open = |capabilities| Open { version: 4, asn: 64_512, hold_time: 90, bgp_identifier: [192, 0, 2, 1].into(), capabilities };
/// let open = open(vec![Capability::AddPath(vec![(Family::IPV4_UNICAST, AddPathMode::Send)])]);
/// assert_eq!(open.add_path(Family::IPV4_UNICAST), Some(AddPathMode::Send));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum AddPathMode {
    /// It can receive several paths.
    Receive,
    /// It can send several paths.
    Send,
    /// Both.
    Both,
}

impl AddPathMode {
    /// Whether the sender of the capability can receive several paths.
    ///
    /// ```
    /// assert!(bgp_codec::AddPathMode::Both.receives());
    /// ```
    #[must_use]
    pub const fn receives(self) -> bool {
        matches!(self, Self::Receive | Self::Both)
    }

    /// Whether the sender of the capability can send several paths.
    ///
    /// ```
    /// assert!(!bgp_codec::AddPathMode::Receive.sends());
    /// ```
    #[must_use]
    pub const fn sends(self) -> bool {
        matches!(self, Self::Send | Self::Both)
    }

    const fn code(self) -> u8 {
        match self {
            Self::Receive => 1,
            Self::Send => 2,
            Self::Both => 3,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Receive,
            2 => Self::Send,
            3 => Self::Both,
            _ => return None,
        })
    }
}

/// A family in the graceful restart capability, RFC 4724 §3.
///
/// ```
/// # use bgp_codec::{AddPathMode, Asn, Capability, ExtendedNextHopFamily, Family, FamilySet, GrFamily, LlgrFamily, Open, Role};
/// # let open = |capabilities| Open { version: 4, asn: 64_512, hold_time: 90, bgp_identifier: [192, 0, 2, 1].into(), capabilities };
/// let families = vec![GrFamily { family: Family::IPV4_UNICAST, forwarding: true }];
/// let open = open(vec![Capability::GracefulRestart { restarting: true, notification: true, restart_time_s: 120, families }]);
/// assert!(open.graceful_restart().is_some_and(|restart| restart.families[0].forwarding));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct GrFamily {
    /// The family.
    pub family: Family,
    /// F bit: forwarding state was preserved through the restart.
    pub forwarding: bool,
}

/// A family in the long-lived graceful restart capability, RFC 9494 §3.
///
/// ```
/// # use bgp_codec::{AddPathMode, Asn, Capability, ExtendedNextHopFamily, Family, FamilySet, GrFamily, LlgrFamily, Open, Role};
/// # let open = |capabilities| Open { version: 4, asn: 64_512, hold_time: 90, bgp_identifier: [192, 0, 2, 1].into(), capabilities };
/// let day = LlgrFamily { family: Family::IPV4_UNICAST, forwarding: true, stale_time_s: 86_400 };
/// let open = open(vec![Capability::LongLivedGracefulRestart(vec![day])]);
/// assert_eq!(open.long_lived_graceful_restart(), [day]);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct LlgrFamily {
    /// The family.
    pub family: Family,
    /// F bit: forwarding state was preserved through the restart.
    pub forwarding: bool,
    /// How long stale routes are kept, in seconds; 24 bits.
    pub stale_time_s: u32,
}

/// Families whose next hop may belong to another address family, RFC 8950 §4.
///
/// ```
/// # use bgp_codec::{AddPathMode, Asn, Capability, ExtendedNextHopFamily, Family, FamilySet, GrFamily, LlgrFamily, Open, Role};
/// # let open = |capabilities| Open { version: 4, asn: 64_512, hold_time: 90, bgp_identifier: [192, 0, 2, 1].into(), capabilities };
/// let over_ipv6 = ExtendedNextHopFamily { family: Family::IPV4_UNICAST, next_hop: bgp_codec::Afi::IPV6 };
/// let open = open(vec![Capability::ExtendedNextHop(vec![over_ipv6])]);
/// assert!(open.extended_next_hop().contains(Family::IPV4_UNICAST));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ExtendedNextHopFamily {
    /// The family of the NLRI.
    pub family: Family,
    /// The address family of the next hop.
    pub next_hop: Afi,
}

/// One capability.
///
/// ```
/// # use bgp_codec::{AddPathMode, Asn, Capability, ExtendedNextHopFamily, Family, FamilySet, GrFamily, LlgrFamily, Open, Role};
/// # let open = |capabilities| Open { version: 4, asn: 64_512, hold_time: 90, bgp_identifier: [192, 0, 2, 1].into(), capabilities };
/// let open = open(vec![Capability::Multiprotocol(Family::IPV6_UNICAST), Capability::FourOctetAsn(Asn(64_512))]);
/// let mut bytes = Vec::new();
/// open.encode(&mut bytes);
/// assert_eq!(Open::decode(&bytes[19..]), Ok(open));
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Capability {
    /// RFC 4760: the sender carries a family.
    Multiprotocol(Family),
    /// RFC 2918.
    RouteRefresh,
    /// RFC 7313.
    EnhancedRouteRefresh,
    /// RFC 8950.
    ExtendedNextHop(Vec<ExtendedNextHopFamily>),
    /// RFC 8654.
    ExtendedMessage,
    /// RFC 9234.
    Role(Role),
    /// RFC 4724 and RFC 8538.
    GracefulRestart {
        /// R bit: the sender has restarted.
        restarting: bool,
        /// N bit: graceful restart also covers NOTIFICATIONs, RFC 8538 §2.
        notification: bool,
        /// How long until the session is back, in seconds; 12 bits.
        restart_time_s: u16,
        /// Families whose routes are to be kept.
        families: Vec<GrFamily>,
    },
    /// RFC 9494.
    LongLivedGracefulRestart(Vec<LlgrFamily>),
    /// RFC 6793.
    FourOctetAsn(Asn),
    /// RFC 7911.
    AddPath(Vec<(Family, AddPathMode)>),
    /// The sender's name, as operators know it.
    Fqdn {
        /// Host part.
        hostname: String,
        /// Domain part, often empty.
        domain: String,
    },
    /// What software the sender runs.
    SoftwareVersion(String),
    /// Any other capability, or a malformed one.
    Unknown {
        /// Capability code.
        code: u8,
        /// Its value; at most 255 octets are written.
        value: Vec<u8>,
    },
}

impl Capability {
    /// The capability code.
    ///
    /// ```
    /// assert_eq!(bgp_codec::Capability::RouteRefresh.code(), 2);
    /// ```
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Multiprotocol(_) => code::MULTIPROTOCOL,
            Self::RouteRefresh => code::ROUTE_REFRESH,
            Self::EnhancedRouteRefresh => code::ENHANCED_ROUTE_REFRESH,
            Self::ExtendedNextHop(_) => code::EXTENDED_NEXT_HOP,
            Self::ExtendedMessage => code::EXTENDED_MESSAGE,
            Self::Role(_) => code::ROLE,
            Self::GracefulRestart { .. } => code::GRACEFUL_RESTART,
            Self::LongLivedGracefulRestart(_) => code::LONG_LIVED_GRACEFUL_RESTART,
            Self::FourOctetAsn(_) => code::FOUR_OCTET_ASN,
            Self::AddPath(_) => code::ADD_PATH,
            Self::Fqdn { .. } => code::FQDN,
            Self::SoftwareVersion(_) => code::SOFTWARE_VERSION,
            Self::Unknown { code, .. } => *code,
        }
    }

    /// Whether of several with different values the last counts: RFC 4724 §3, RFC 9494 §3.
    pub(crate) const fn last_counts(&self) -> bool {
        matches!(
            self,
            Self::GracefulRestart { .. } | Self::LongLivedGracefulRestart(_)
        )
    }

    /// Reads one value; a malformed one becomes [`Capability::Unknown`].
    pub(crate) fn decode(code: u8, value: &[u8]) -> Self {
        known(code, value).unwrap_or_else(|| Self::Unknown {
            code,
            value: value.to_vec(),
        })
    }

    /// Appends code, length and value.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.code(), 0]);
        let start = out.len();
        self.encode_value(out);
        out.truncate(start.saturating_add(MAX_VALUE));
        let len = u8::try_from(out.len().saturating_sub(start)).unwrap_or(u8::MAX);
        if let Some(field) = out.get_mut(start.saturating_sub(1)) {
            *field = len;
        }
    }

    fn encode_value(&self, out: &mut Vec<u8>) {
        match self {
            Self::Multiprotocol(family) => {
                out.extend_from_slice(&family.afi.0.to_be_bytes());
                out.extend_from_slice(&[0, family.safi.0]);
            }
            Self::RouteRefresh | Self::EnhancedRouteRefresh | Self::ExtendedMessage => {}
            Self::ExtendedNextHop(families) => {
                for entry in families.iter().take(42) {
                    out.extend_from_slice(&entry.family.afi.0.to_be_bytes());
                    out.extend_from_slice(&[0, entry.family.safi.0]);
                    out.extend_from_slice(&entry.next_hop.0.to_be_bytes());
                }
            }
            Self::Role(role) => out.push(role.code()),
            Self::GracefulRestart {
                restarting,
                notification,
                restart_time_s,
                families,
            } => {
                let flags = (u16::from(*restarting) << 15) | (u16::from(*notification) << 14);
                out.extend_from_slice(&(flags | (restart_time_s & 0x0fff)).to_be_bytes());
                for entry in families.iter().take(63) {
                    encode_family(entry.family, out);
                    out.push(u8::from(entry.forwarding) << 7);
                }
            }
            Self::LongLivedGracefulRestart(families) => {
                for entry in families.iter().take(36) {
                    encode_family(entry.family, out);
                    out.push(u8::from(entry.forwarding) << 7);
                    let [_, time @ ..] = entry.stale_time_s.min(0x00ff_ffff).to_be_bytes();
                    out.extend_from_slice(&time);
                }
            }
            Self::FourOctetAsn(asn) => out.extend_from_slice(&asn.0.to_be_bytes()),
            Self::AddPath(families) => {
                for (family, mode) in families.iter().take(63) {
                    encode_family(*family, out);
                    out.push(mode.code());
                }
            }
            Self::Fqdn { hostname, domain } => {
                let taken = encode_text(hostname, MAX_VALUE - 2, out);
                encode_text(domain, (MAX_VALUE - 2).saturating_sub(taken), out);
            }
            Self::SoftwareVersion(version) => {
                encode_text(version, MAX_VALUE - 1, out);
            }
            Self::Unknown { value, .. } => out.extend_from_slice(value),
        }
    }
}

fn encode_family(family: Family, out: &mut Vec<u8>) {
    out.extend_from_slice(&family.afi.0.to_be_bytes());
    out.push(family.safi.0);
}

/// Appends length and text, cut at a character so that it has at most `limit` octets; yields how many it has.
fn encode_text(text: &str, limit: usize, out: &mut Vec<u8>) -> usize {
    let end = (0..=limit.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    let text = end.and_then(|end| text.get(..end)).unwrap_or_default();
    out.push(u8::try_from(text.len()).unwrap_or_default());
    out.extend_from_slice(text.as_bytes());
    text.len()
}

/// What is left of the octets, and what was read; why nothing was read makes no difference.
type Parsed<'a, T> = IResult<&'a [u8], T, ()>;

/// Code, length and value: a capability, or an optional parameter of the short form.
pub(crate) fn field(input: &[u8]) -> Parsed<'_, (u8, &[u8])> {
    (be_u8, length_data(be_u8)).parse(input)
}

fn known(code: u8, value: &[u8]) -> Option<Capability> {
    let capability = |input| match code {
        code::MULTIPROTOCOL => spaced_family.map(Capability::Multiprotocol).parse(input),
        code::ROUTE_REFRESH => Ok((input, Capability::RouteRefresh)),
        code::ENHANCED_ROUTE_REFRESH => Ok((input, Capability::EnhancedRouteRefresh)),
        code::EXTENDED_NEXT_HOP => many0(extended_next_hop)
            .map(Capability::ExtendedNextHop)
            .parse(input),
        code::EXTENDED_MESSAGE => Ok((input, Capability::ExtendedMessage)),
        code::ROLE => be_u8.map(Role::from_code).map(Capability::Role).parse(input),
        code::GRACEFUL_RESTART => graceful_restart(input),
        code::LONG_LIVED_GRACEFUL_RESTART => many0(llgr_family)
            .map(Capability::LongLivedGracefulRestart)
            .parse(input),
        code::FOUR_OCTET_ASN => be_u32.map(Asn).map(Capability::FourOctetAsn).parse(input),
        code::ADD_PATH => add_path(input),
        code::FQDN => fqdn(input),
        code::SOFTWARE_VERSION => text.map(Capability::SoftwareVersion).parse(input),
        _ => Err(nom::Err::Error(())),
    };
    let (_, capability) = all_consuming(capability).parse(value).ok()?;
    Some(capability)
}

fn family(input: &[u8]) -> Parsed<'_, Family> {
    let family = |(afi, safi)| Family::new(Afi(afi), Safi(safi));
    (be_u16, be_u8).map(family).parse(input)
}

/// With a reserved octet in between: RFC 4760 §8; RFC 8950 §4 has a SAFI of two octets there.
fn spaced_family(input: &[u8]) -> Parsed<'_, Family> {
    let family = |(afi, _, safi)| Family::new(Afi(afi), Safi(safi));
    (be_u16, be_u8, be_u8).map(family).parse(input)
}

fn extended_next_hop(input: &[u8]) -> Parsed<'_, ExtendedNextHopFamily> {
    let entry = |(family, next_hop)| ExtendedNextHopFamily {
        family,
        next_hop: Afi(next_hop),
    };
    (spaced_family, be_u16).map(entry).parse(input)
}

fn graceful_restart(input: &[u8]) -> Parsed<'_, Capability> {
    let capability = |(first, families)| Capability::GracefulRestart {
        restarting: first & 0x8000 != 0,
        notification: first & 0x4000 != 0,
        restart_time_s: first & 0x0fff,
        families,
    };
    (be_u16, many0(gr_family)).map(capability).parse(input)
}

fn gr_family(input: &[u8]) -> Parsed<'_, GrFamily> {
    let entry = |(family, flags)| GrFamily {
        family,
        forwarding: flags & 0x80 != 0,
    };
    (family, be_u8).map(entry).parse(input)
}

fn llgr_family(input: &[u8]) -> Parsed<'_, LlgrFamily> {
    let entry = |(GrFamily { family, forwarding }, stale_time_s)| LlgrFamily {
        family,
        forwarding,
        stale_time_s,
    };
    (gr_family, be_u24).map(entry).parse(input)
}

fn add_path(input: &[u8]) -> Parsed<'_, Capability> {
    // RFC 7911 §4: an entry whose Send/Receive field has another value is ignored.
    let known = |(family, mode)| AddPathMode::from_code(mode).map(|mode| (family, mode));
    let capability = |entries: Vec<_>| Capability::AddPath(entries.into_iter().filter_map(known).collect());
    many0((family, be_u8)).map(capability).parse(input)
}

fn fqdn(input: &[u8]) -> Parsed<'_, Capability> {
    // Some senders leave out an empty domain altogether.
    let domain = alt((eof.map(|_| String::new()), text));
    let capability = |(hostname, domain)| Capability::Fqdn { hostname, domain };
    (text, domain).map(capability).parse(input)
}

fn text(input: &[u8]) -> Parsed<'_, String> {
    let owned = |octets| std::str::from_utf8(octets).ok().map(str::to_owned);
    map_opt(length_data(be_u8), owned).parse(input)
}
