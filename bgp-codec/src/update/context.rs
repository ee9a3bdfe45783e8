//! What a session has negotiated and an UPDATE does not say of itself.

use crate::family::FamilySet;

/// Whether a peer is in our AS.
///
/// ```
/// use bgp_codec::{DecodeContext, PeerKind, Update};
/// // LOCAL_PREF counts only inside the AS.
/// let body = [0, 0, 0, 7, 0x40, 5, 4, 0, 0, 0, 200];
/// let from = |peer| Update::decode(&body, &DecodeContext::all(peer)).map(|update| update.attributes().local_pref());
/// assert_eq!(from(PeerKind::Internal)?, Some(200));
/// assert_eq!(from(PeerKind::External)?, None);
/// # Ok::<(), bgp_codec::UpdateError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum PeerKind {
    /// iBGP, or a peer in the same confederation (RFC 5065).
    Internal,
    /// eBGP.
    External,
}

/// What is done about an AS_SET or AS_CONFED_SET in AS_PATH or AS4_PATH, RFC 9774 §3.
///
/// ```
/// use bgp_codec::{AsSets, DecodeContext, PeerKind, Treatment, Update};
/// let context = DecodeContext { as_sets: AsSets::TreatAsWithdraw, ..DecodeContext::all(PeerKind::External) };
/// // ORIGIN, AS_PATH {64512}, NEXT_HOP 192.0.2.1; 10.0.0.0/8.
/// let body = [0, 0, 0, 20, 0x40, 1, 1, 0, 0x40, 2, 6, 1, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1, 8, 10];
/// assert_eq!(Update::decode(&body, &context)?.treatment(), Some(Treatment::TreatAsWithdraw));
/// # Ok::<(), bgp_codec::UpdateError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum AsSets {
    /// They are read as RFC 4271 says, which RFC 9774 leaves to operators who ask for it.
    #[default]
    Accept,
    /// The UPDATE is treated as withdraw.
    TreatAsWithdraw,
}

/// What the session has negotiated and the octets of an UPDATE do not say.
///
/// ```
/// use bgp_codec::{DecodeContext, FamilySet, PeerKind};
/// let two_octets = DecodeContext { four_octet_asn: false, families: FamilySet::IPV4_UNICAST, ..DecodeContext::all(PeerKind::Internal) };
/// assert!(two_octets.add_path.is_empty());
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct DecodeContext {
    /// AS numbers take four octets, RFC 6793.
    pub four_octet_asn: bool,
    /// Where the peer is.
    pub peer: PeerKind,
    /// Families that are in use; NLRI of others are ignored.
    pub families: FamilySet,
    /// Families whose NLRI come with path identifiers, RFC 7911.
    pub add_path: FamilySet,
    /// Families whose next hop may be an IPv6 address, RFC 8950.
    pub extended_next_hop: FamilySet,
    /// What is done about AS_SETs.
    pub as_sets: AsSets,
}

impl DecodeContext {
    #[inline]
    pub(crate) const fn is_internal(&self) -> bool {
        matches!(self.peer, PeerKind::Internal)
    }

    /// Accepts whatever a session could carry, without Add-Path: for recorded messages.
    ///
    /// ```
    /// use bgp_codec::{DecodeContext, FamilySet, PeerKind};
    /// assert_eq!(DecodeContext::all(PeerKind::External).families, FamilySet::ALL);
    /// ```
    #[must_use]
    pub const fn all(peer: PeerKind) -> Self {
        Self {
            four_octet_asn: true,
            peer,
            families: FamilySet::ALL,
            add_path: FamilySet::EMPTY,
            extended_next_hop: FamilySet::ALL,
            as_sets: AsSets::Accept,
        }
    }
}
