//! OPEN (RFC 4271 §4.2, §6.2) with optional parameters of RFC 5492 and RFC 9072.

use std::net::Ipv4Addr;

use nom::multi::length_data;
use nom::number::complete::{be_u8, be_u16, be_u32};
use nom::{IResult, Parser as _};
use thiserror::Error;

use crate::asn::Asn;
use crate::capability::{self, AddPathMode, Capability, GrFamily, LlgrFamily, Role};
use crate::family::{Family, FamilySet};
use crate::header::{self, MessageType};

/// The version of BGP that is spoken.
pub const VERSION: u8 = 4;

const PARAMETER_CAPABILITIES: u8 = 2;
/// RFC 9072 §2: as the first parameter type it says that lengths have two octets.
const PARAMETER_EXTENDED: u8 = 255;
/// What a message of 4,096 octets leaves for capabilities in the extended form.
const MAX_CAPABILITIES: usize = header::MAX_MESSAGE - 29 - 3 - 3;

/// An OPEN message.
///
/// ```
/// use bgp_codec::{Capability, Open};
/// let open = Open {
///     version: 4,
///     asn: 64_512,
///     hold_time: 90,
///     bgp_identifier: [192, 0, 2, 1].into(),
///     capabilities: vec![Capability::RouteRefresh],
/// };
/// let mut bytes = Vec::new();
/// open.encode(&mut bytes);
/// assert_eq!(Open::decode(&bytes[19..])?, open);
/// # Ok::<(), bgp_codec::OpenError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Open {
    /// Always [`VERSION`].
    pub version: u8,
    /// The two-octet field: the sender's number or [`crate::AS_TRANS`]; see [`Open::asn`].
    pub asn: u16,
    /// Proposed hold time in seconds: 0 or at least 3.
    pub hold_time: u16,
    /// The sender's BGP Identifier, never zero (RFC 6286 §2.2).
    pub bgp_identifier: Ipv4Addr,
    /// Capabilities in the order received; exact duplicates are dropped (RFC 5492 §4).
    pub capabilities: Vec<Capability>,
}

/// What is wrong with an OPEN; each maps to a NOTIFICATION of code 2.
///
/// ```
/// use bgp_codec::{Notification, OpenError};
/// let notification = Notification::from(OpenError::UnsupportedVersion(3));
/// assert_eq!((notification.code, notification.subcode, notification.data), (2, 1, vec![0, 4]));
/// ```
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum OpenError {
    /// Lengths that do not fit: 2/0.
    #[error("malformed open message")]
    Malformed,
    /// Another version than 4: 2/1, data is the version spoken here.
    #[error("unsupported version {0}")]
    UnsupportedVersion(u8),
    /// AS number 0 (RFC 7607), in the field or the capability: 2/2.
    #[error("bad peer AS")]
    BadPeerAs,
    /// BGP Identifier zero: 2/3.
    #[error("bad BGP identifier {0}")]
    BadBgpIdentifier(Ipv4Addr),
    /// Not a capabilities parameter: 2/4.
    #[error("unsupported optional parameter {0}")]
    UnsupportedParameter(u8),
    /// Hold time of one or two seconds: 2/6.
    #[error("unacceptable hold time {0}")]
    UnacceptableHoldTime(u16),
    /// Role capabilities that contradict each other (RFC 9234 §4.2): 2/11.
    #[error("contradicting roles")]
    RoleMismatch,
}

impl Open {
    /// Reads the body of an OPEN, that is the message without its header.
    ///
    /// ```
    /// use bgp_codec::{Open, OpenError};
    /// let open = Open::decode(&[4, 0xfc, 0, 0, 90, 192, 0, 2, 1, 0])?;
    /// assert_eq!((open.asn, open.hold_time), (64_512, 90));
    /// assert_eq!(Open::decode(&[4, 0, 0, 0, 90, 192, 0, 2, 1, 0]), Err(OpenError::BadPeerAs));
    /// # Ok::<(), OpenError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`OpenError`] as RFC 4271 §6.2 says; the peer is told code 2 with the subcode that the variant names.
    pub fn decode(body: &[u8]) -> Result<Self, OpenError> {
        let (rest, version) = be_u8(body).map_err(malformed)?;
        if version != VERSION {
            return Err(OpenError::UnsupportedVersion(version));
        }
        let (rest, (asn, hold_time, bgp_identifier, parameters)) =
            (be_u16, be_u16, be_u32.map(Ipv4Addr::from), be_u8)
                .parse(rest)
                .map_err(malformed)?;
        let capabilities = decode_parameters(usize::from(parameters), rest)?;
        let open = Self {
            version,
            asn,
            hold_time,
            bgp_identifier,
            capabilities,
        };
        open.check()?;
        Ok(open)
    }

    fn check(&self) -> Result<(), OpenError> {
        // RFC 7607 §2.
        if self.asn == 0 || self.capabilities.contains(&Capability::FourOctetAsn(Asn(0))) {
            return Err(OpenError::BadPeerAs);
        }
        // RFC 4271 §4.2: zero or at least three seconds.
        if matches!(self.hold_time, 1 | 2) {
            return Err(OpenError::UnacceptableHoldTime(self.hold_time));
        }
        if self.bgp_identifier.is_unspecified() {
            return Err(OpenError::BadBgpIdentifier(self.bgp_identifier));
        }
        let mut roles = self.roles();
        let first = roles.next();
        if roles.any(|role| Some(role) != first) {
            return Err(OpenError::RoleMismatch);
        }
        Ok(())
    }

    /// Appends the whole message; takes the form of RFC 9072 when the capabilities exceed 253 octets.
    ///
    /// Capabilities that do not fit a message of 4,096 octets are left out.
    ///
    /// ```
    /// # use bgp_codec::{AddPathMode, Asn, Capability, ExtendedNextHopFamily, Family, FamilySet, GrFamily, LlgrFamily, Open, Role};
    /// # let open = |capabilities| Open { version: 4, asn: 64_512, hold_time: 90, bgp_identifier: [192, 0, 2, 1].into(), capabilities };
    /// let mut message = Vec::new();
    /// open(vec![Capability::RouteRefresh]).encode(&mut message);
    /// assert!(message.ends_with(&[4, 2, 2, 2, 0]));
    /// ```
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut capabilities = Vec::new();
        for capability in &self.capabilities {
            let before = capabilities.len();
            capability.encode(&mut capabilities);
            if capabilities.len() > MAX_CAPABILITIES {
                capabilities.truncate(before);
            }
        }
        let start = header::start(MessageType::Open, out);
        out.push(self.version);
        out.extend_from_slice(&self.asn.to_be_bytes());
        out.extend_from_slice(&self.hold_time.to_be_bytes());
        out.extend_from_slice(&self.bgp_identifier.octets());
        let len = capabilities.len();
        match (u8::try_from(len), u8::try_from(len.saturating_add(2))) {
            (Ok(0), _) => out.push(0),
            (Ok(value), Ok(total)) => out.extend_from_slice(&[total, PARAMETER_CAPABILITIES, value]),
            _ => {
                let value = u16::try_from(len).unwrap_or(u16::MAX);
                out.extend_from_slice(&[255, PARAMETER_EXTENDED]);
                out.extend_from_slice(&value.saturating_add(3).to_be_bytes());
                out.push(PARAMETER_CAPABILITIES);
                out.extend_from_slice(&value.to_be_bytes());
            }
        }
        out.extend_from_slice(&capabilities);
        header::finish(start, out);
    }

    /// The sender's AS number: from the capability where there is one (RFC 6793 §4.1), else from the field.
    ///
    /// ```
    /// use bgp_codec::{Asn, Capability, Open};
    /// # let mut open = Open { version: 4, asn: 23_456, hold_time: 0, bgp_identifier: [1, 1, 1, 1].into(), capabilities: vec![] };
    /// open.capabilities.push(Capability::FourOctetAsn(Asn(4_200_000_000)));
    /// assert_eq!(open.asn(), Asn(4_200_000_000));
    /// ```
    #[must_use]
    pub fn asn(&self) -> Asn {
        self.four_octet_asn().unwrap_or_else(|| Asn::from(self.asn))
    }

    /// The AS number in the four-octet AS capability.
    ///
    /// ```
    /// # use bgp_codec::{AddPathMode, Asn, Capability, ExtendedNextHopFamily, Family, FamilySet, GrFamily, LlgrFamily, Open, Role};
    /// # let open = |capabilities| Open { version: 4, asn: 64_512, hold_time: 90, bgp_identifier: [192, 0, 2, 1].into(), capabilities };
    /// assert_eq!(open(vec![]).four_octet_asn(), None);
    /// ```
    #[must_use]
    pub fn four_octet_asn(&self) -> Option<Asn> {
        self.find(|capability| {
            if let Capability::FourOctetAsn(asn) = capability {
                Some(*asn)
            } else {
                None
            }
        })
    }

    /// The families of all multiprotocol capabilities; without any, IPv4 unicast (RFC 4760 §8).
    ///
    /// ```
    /// # use bgp_codec::{FamilySet, Open};
    /// # let open = Open { version: 4, asn: 1, hold_time: 0, bgp_identifier: [1, 1, 1, 1].into(), capabilities: vec![] };
    /// assert_eq!(open.families(), FamilySet::IPV4_UNICAST);
    /// ```
    #[must_use]
    pub fn families(&self) -> FamilySet {
        let named = |capability: &Capability| {
            if let Capability::Multiprotocol(family) = capability {
                Some(*family)
            } else {
                None
            }
        };
        let mut families = self.capabilities.iter().filter_map(named).peekable();
        if families.peek().is_none() {
            FamilySet::IPV4_UNICAST
        } else {
            families.collect()
        }
    }

    /// Whether the capability without a value, such as [`Capability::RouteRefresh`], is there.
    ///
    /// ```
    /// # use bgp_codec::{AddPathMode, Asn, Capability, ExtendedNextHopFamily, Family, FamilySet, GrFamily, LlgrFamily, Open, Role};
    /// # let open = |capabilities| Open { version: 4, asn: 64_512, hold_time: 90, bgp_identifier: [192, 0, 2, 1].into(), capabilities };
    /// assert!(open(vec![Capability::RouteRefresh]).has(&Capability::RouteRefresh));
    /// ```
    #[must_use]
    pub fn has(&self, capability: &Capability) -> bool {
        self.capabilities.contains(capability)
    }

    /// The role, RFC 9234.
    ///
    /// ```
    /// # use bgp_codec::{AddPathMode, Asn, Capability, ExtendedNextHopFamily, Family, FamilySet, GrFamily, LlgrFamily, Open, Role};
    /// # let open = |capabilities| Open { version: 4, asn: 64_512, hold_time: 90, bgp_identifier: [192, 0, 2, 1].into(), capabilities };
    /// assert_eq!(open(vec![Capability::Role(Role::Peer)]).role(), Some(Role::Peer));
    /// ```
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        self.roles().next()
    }

    /// Restart flags, time and families: the last graceful restart capability counts (RFC 4724 §3).
    ///
    /// ```
    /// # use bgp_codec::{AddPathMode, Asn, Capability, ExtendedNextHopFamily, Family, FamilySet, GrFamily, LlgrFamily, Open, Role};
    /// # let open = |capabilities| Open { version: 4, asn: 64_512, hold_time: 90, bgp_identifier: [192, 0, 2, 1].into(), capabilities };
    /// let families = vec![GrFamily { family: Family::IPV4_UNICAST, forwarding: true }];
    /// let open = open(vec![Capability::GracefulRestart { restarting: true, notification: true, restart_time_s: 120, families }]);
    /// assert_eq!(open.graceful_restart().map(|restart| restart.restart_time_s), Some(120));
    /// ```
    #[must_use]
    pub fn graceful_restart(&self) -> Option<GracefulRestart<'_>> {
        let mut last = None;
        for capability in &self.capabilities {
            if let Capability::GracefulRestart {
                restarting,
                notification,
                restart_time_s,
                families,
            } = capability
            {
                last = Some(GracefulRestart {
                    restarting: *restarting,
                    notification: *notification,
                    restart_time_s: *restart_time_s,
                    families,
                });
            }
        }
        last
    }

    /// Families of the last long-lived graceful restart capability; counts only beside [`Open::graceful_restart`]
    /// (RFC 9494 §3).
    ///
    /// ```
    /// # use bgp_codec::{AddPathMode, Asn, Capability, ExtendedNextHopFamily, Family, FamilySet, GrFamily, LlgrFamily, Open, Role};
    /// # let open = |capabilities| Open { version: 4, asn: 64_512, hold_time: 90, bgp_identifier: [192, 0, 2, 1].into(), capabilities };
    /// let day = LlgrFamily { family: Family::IPV4_UNICAST, forwarding: true, stale_time_s: 86_400 };
    /// let open = open(vec![Capability::LongLivedGracefulRestart(vec![day])]);
    /// assert_eq!(open.long_lived_graceful_restart(), [day]);
    /// ```
    #[must_use]
    pub fn long_lived_graceful_restart(&self) -> &[LlgrFamily] {
        let mut last: &[LlgrFamily] = &[];
        for capability in &self.capabilities {
            if let Capability::LongLivedGracefulRestart(families) = capability {
                last = families;
            }
        }
        last
    }

    /// What the sender can do with Add-Path in a family.
    ///
    /// ```
    /// # use bgp_codec::{AddPathMode, Asn, Capability, ExtendedNextHopFamily, Family, FamilySet, GrFamily, LlgrFamily, Open, Role};
    /// # let open = |capabilities| Open { version: 4, asn: 64_512, hold_time: 90, bgp_identifier: [192, 0, 2, 1].into(), capabilities };
    /// let open = open(vec![Capability::AddPath(vec![(Family::IPV4_UNICAST, AddPathMode::Both)])]);
    /// assert!(open.add_path(Family::IPV4_UNICAST).is_some_and(AddPathMode::receives));
    /// assert_eq!(open.add_path(Family::IPV6_UNICAST), None);
    /// ```
    #[must_use]
    pub fn add_path(&self, family: Family) -> Option<AddPathMode> {
        self.find(|capability| {
            let Capability::AddPath(entries) = capability else {
                return None;
            };
            entries
                .iter()
                .find(|(entry, _)| *entry == family)
                .map(|(_, mode)| *mode)
        })
    }

    /// Families in which the sender accepts an IPv6 next hop for IPv4 NLRI, RFC 8950.
    ///
    /// ```
    /// # use bgp_codec::{AddPathMode, Asn, Capability, ExtendedNextHopFamily, Family, FamilySet, GrFamily, LlgrFamily, Open, Role};
    /// # let open = |capabilities| Open { version: 4, asn: 64_512, hold_time: 90, bgp_identifier: [192, 0, 2, 1].into(), capabilities };
    /// let over_ipv6 = ExtendedNextHopFamily { family: Family::IPV4_UNICAST, next_hop: bgp_codec::Afi::IPV6 };
    /// let open = open(vec![Capability::ExtendedNextHop(vec![over_ipv6])]);
    /// assert_eq!(open.extended_next_hop(), FamilySet::IPV4_UNICAST);
    /// ```
    #[must_use]
    pub fn extended_next_hop(&self) -> FamilySet {
        let mut set = FamilySet::EMPTY;
        for capability in &self.capabilities {
            if let Capability::ExtendedNextHop(entries) = capability {
                let ipv6 = entries.iter().filter(|entry| entry.next_hop == crate::Afi::IPV6);
                set = set.union(ipv6.map(|entry| entry.family).collect());
            }
        }
        set
    }

    fn roles(&self) -> impl Iterator<Item = Role> {
        self.capabilities.iter().filter_map(|capability| {
            if let Capability::Role(role) = capability {
                Some(*role)
            } else {
                None
            }
        })
    }

    fn find<'a, T>(&'a self, wanted: impl FnMut(&'a Capability) -> Option<T>) -> Option<T> {
        self.capabilities.iter().find_map(wanted)
    }
}

/// The graceful restart capability that counts.
///
/// ```
/// # use bgp_codec::{AddPathMode, Asn, Capability, ExtendedNextHopFamily, Family, FamilySet, GrFamily, LlgrFamily, Open, Role};
/// # let open = |capabilities| Open { version: 4, asn: 64_512, hold_time: 90, bgp_identifier: [192, 0, 2, 1].into(), capabilities };
/// let families = vec![GrFamily { family: Family::IPV4_UNICAST, forwarding: true }];
/// let open = open(vec![Capability::GracefulRestart { restarting: true, notification: true, restart_time_s: 120, families }]);
/// assert!(open.graceful_restart().is_some_and(|restart| restart.restarting && restart.notification));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GracefulRestart<'a> {
    /// R bit: the sender has restarted.
    pub restarting: bool,
    /// N bit: NOTIFICATIONs too restart gracefully, RFC 8538.
    pub notification: bool,
    /// How long until the session is back, in seconds.
    pub restart_time_s: u16,
    /// Families whose routes are to be kept.
    pub families: &'a [GrFamily],
}

fn decode_parameters(len: usize, rest: &[u8]) -> Result<Vec<Capability>, OpenError> {
    // RFC 9072 §2: the length octet is ignored in the extended form, unless it says that there are no parameters.
    let (parameters, extended) = match rest {
        [PARAMETER_EXTENDED, high, low, parameters @ ..] if len != 0 => {
            let len = usize::from(u16::from_be_bytes([*high, *low]));
            if parameters.len() != len {
                return Err(OpenError::Malformed);
            }
            (parameters, true)
        }
        _ if rest.len() != len => return Err(OpenError::Malformed),
        _ => (rest, false),
    };
    let parameter = if extended {
        extended_parameter
    } else {
        capability::field
    };
    let mut rest = parameters;
    let mut capabilities = Vec::new();
    while !rest.is_empty() {
        let (behind, (kind, value)) = parameter(rest).map_err(malformed)?;
        if kind != PARAMETER_CAPABILITIES {
            return Err(OpenError::UnsupportedParameter(kind));
        }
        decode_capabilities(value, &mut capabilities)?;
        rest = behind;
    }
    Ok(capabilities)
}

/// RFC 9072 §2.
fn extended_parameter(input: &[u8]) -> IResult<&[u8], (u8, &[u8]), ()> {
    (be_u8, length_data(be_u16)).parse(input)
}

fn decode_capabilities(value: &[u8], capabilities: &mut Vec<Capability>) -> Result<(), OpenError> {
    let mut rest = value;
    while !rest.is_empty() {
        let (behind, (code, value)) = capability::field(rest).map_err(malformed)?;
        let capability = Capability::decode(code, value);
        // RFC 5492 §4: repeating a capability with the same value means nothing more; where the last one counts, it is
        // the last that is kept.
        if capability.last_counts() {
            capabilities.retain(|known| *known != capability);
        }
        if !capabilities.contains(&capability) {
            capabilities.push(capability);
        }
        rest = behind;
    }
    Ok(())
}

fn malformed(_: nom::Err<()>) -> OpenError {
    OpenError::Malformed
}
