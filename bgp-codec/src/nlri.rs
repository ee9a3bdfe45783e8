//! Network layer reachability information: prefixes as octets (RFC 4271 §4.3, RFC 7911 §3), checked while iterated.

use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use thiserror::Error;

use crate::family::{Afi, Family, Safi};
use crate::reader::Reader;

/// A prefix and, with Add-Path, the id of its path.
///
/// ```
/// use bgp_codec::Nlri;
/// let nlri = Nlri { path_id: 7, prefix: "192.0.2.0/24".parse::<ipnet::Ipv4Net>()? };
/// assert_eq!(nlri.prefix.prefix_len(), 24);
/// # Ok::<(), ipnet::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Nlri<P> {
    /// The path identifier of RFC 7911; 0 without Add-Path.
    pub path_id: u32,
    /// The prefix; bits behind its length are zero.
    pub prefix: P,
}

impl<P> Nlri<P> {
    /// A prefix without a path identifier.
    ///
    /// ```
    /// use bgp_codec::Nlri;
    /// let nlri = Nlri::new("192.0.2.0/24".parse::<ipnet::Ipv4Net>()?);
    /// assert_eq!(nlri.path_id, 0);
    /// # Ok::<(), ipnet::AddrParseError>(())
    /// ```
    #[must_use]
    pub const fn new(prefix: P) -> Self {
        Self { path_id: 0, prefix }
    }
}

/// NLRI that cannot be read; nothing behind it can be found.
///
/// ```
/// use bgp_codec::{NlriError, NlriIter};
/// let mut prefixes = NlriIter::<ipnet::Ipv4Net>::new(&[33, 10, 0, 0, 0, 0], false);
/// assert_eq!(prefixes.next(), Some(Err(NlriError::PrefixLength(33))));
/// ```
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum NlriError {
    /// The octets end inside an item.
    #[error("NLRI ends inside a prefix")]
    Truncated,
    /// A prefix longer than its address.
    #[error("prefix length {0} is too long")]
    PrefixLength(u8),
    /// An item whose length leaves no room for its labels, its route distinguisher or what else it must have.
    #[error("NLRI of {0} octets or bits cannot be of its family")]
    Form(u8),
    /// The family has no prefixes, or not of the kind asked for.
    #[error("NLRI of another family")]
    Family,
}

/// Prefixes with a fixed form on the wire: [`Ipv4Net`] and [`Ipv6Net`].
///
/// ```
/// use bgp_codec::WirePrefix;
/// let (prefix, rest) = ipnet::Ipv4Net::split_from(&[8, 10, 0])?;
/// assert_eq!((prefix.to_string().as_str(), rest), ("10.0.0.0/8", &[0][..]));
/// # Ok::<(), bgp_codec::NlriError>(())
/// ```
pub trait WirePrefix: Copy + fmt::Debug + 'static {
    /// The most bits a prefix can have.
    const MAX_BITS: u8;

    /// Reads the prefix that begins at `at`, and yields where the next one does; `None` if its length is too long or the
    /// octets too few. Octets before `at` have no meaning here, but where there are some, a short prefix is read faster.
    fn read_at(octets: &[u8], at: usize) -> Option<(Self, usize)>;

    /// Reads one prefix and what follows it.
    ///
    /// # Errors
    ///
    /// [`NlriError`] if the length is too long or the octets too few.
    #[inline]
    fn split_from(bytes: &[u8]) -> Result<(Self, &[u8]), NlriError> {
        match Self::read_at(bytes, 0) {
            Some((prefix, end)) => Ok((prefix, bytes.get(end..).unwrap_or_default())),
            None => Err(prefix_error(bytes, 0, Self::MAX_BITS)),
        }
    }

    /// Appends the prefix.
    ///
    /// ```
    /// use bgp_codec::WirePrefix;
    /// let mut out = Vec::new();
    /// "10.0.0.0/8".parse::<ipnet::Ipv4Net>()?.append_to(&mut out);
    /// assert_eq!(out, [8, 10]);
    /// # Ok::<(), ipnet::AddrParseError>(())
    /// ```
    fn append_to(self, out: &mut Vec<u8>);

    /// Whether the family's NLRI are such prefixes.
    ///
    /// ```
    /// use bgp_codec::{Family, WirePrefix};
    /// assert!(ipnet::Ipv6Net::is_of(Family::IPV6_UNICAST) && !ipnet::Ipv6Net::is_of(Family::IPV4_UNICAST));
    /// ```
    fn is_of(family: Family) -> bool;
}

/// What was wrong at `at` with a prefix of at most `max_bits`.
#[cold]
fn prefix_error(octets: &[u8], at: usize, max_bits: u8) -> NlriError {
    match octets.get(at) {
        Some(bits) if *bits > max_bits => NlriError::PrefixLength(*bits),
        _ => NlriError::Truncated,
    }
}

/// How many octets so many bits take.
#[inline]
fn octets_of(bits: u8) -> usize {
    (usize::from(bits) + 7) >> 3
}

/// The `len` octets before `end`, at most eight, as the high ones of a number, for a field with fewer than eight octets
/// before `end`.
#[cold]
fn short_field(octets: &[u8], end: usize, len: usize) -> Option<u64> {
    let octets = octets.get(end.checked_sub(len)?..end)?;
    let mut number = [0; 8];
    number.get_mut(..octets.len())?.copy_from_slice(octets);
    Some(u64::from_be_bytes(number))
}

impl WirePrefix for Ipv4Net {
    const MAX_BITS: u8 = 32;

    #[inline]
    fn read_at(octets: &[u8], at: usize) -> Option<(Self, usize)> {
        let &bits = octets.get(at)?;
        let len = octets_of(bits);
        let end = at + 1 + len;
        if bits > 32 {
            return None;
        }
        // The four octets that end with the prefix are all there, except in front of the field: reading them and
        // shifting out what is before the prefix has no loop and no branch that depends on its length.
        let value = match octets.get(end.wrapping_sub(4)..end).and_then(<[u8]>::first_chunk) {
            Some(word) => u64::from(u32::from_be_bytes(*word)) << (32 - 8 * len),
            None => short_field(octets, end, len)? >> 32,
        };
        let prefix = Self::new(Ipv4Addr::from_bits(low_half(value) & ipv4_mask(bits)), bits);
        Some((prefix.ok()?, end))
    }

    #[inline]
    fn append_to(self, out: &mut Vec<u8>) {
        // All octets, then back: copying as many as there happen to be is a call.
        let [a, b, c, d] = self.addr().octets();
        let end = out.len() + 1 + octets_of(self.prefix_len());
        out.extend_from_slice(&[self.prefix_len(), a, b, c, d]);
        out.truncate(end);
    }

    #[inline]
    fn is_of(family: Family) -> bool {
        family.afi == Afi::IPV4 && matches!(family.safi, Safi::UNICAST | Safi::MULTICAST)
    }
}

/// The mask of a length up to 32.
#[inline]
const fn ipv4_mask(bits: u8) -> u32 {
    low_half(0xffff_ffff_0000_0000_u64 >> bits)
}

#[inline]
#[expect(clippy::as_conversions, reason = "the high half is what is shifted out")]
const fn low_half(number: u64) -> u32 {
    number as u32
}

impl WirePrefix for Ipv6Net {
    const MAX_BITS: u8 = 128;

    #[inline]
    fn read_at(octets: &[u8], at: usize) -> Option<(Self, usize)> {
        let &bits = octets.get(at)?;
        let len = octets_of(bits);
        let end = at + 1 + len;
        if !(1..=64).contains(&bits) {
            return long_ipv6(octets, at, bits);
        }
        // As for IPv4, with the eight octets that end with the prefix.
        let high = match octets.get(end.wrapping_sub(8)..end).and_then(<[u8]>::first_chunk) {
            Some(word) => u64::from_be_bytes(*word) << (64 - 8 * len),
            None => short_field(octets, end, len)?,
        };
        let high = high & (u64::MAX << (64 - bits));
        let prefix = Self::new(Ipv6Addr::from_bits(u128::from(high) << 64), bits);
        Some((prefix.ok()?, end))
    }

    #[inline]
    fn append_to(self, out: &mut Vec<u8>) {
        let mut item = [0; 17];
        let (len, octets) = item.split_at_mut(1);
        len.copy_from_slice(&[self.prefix_len()]);
        octets.copy_from_slice(&self.addr().octets());
        let end = out.len() + 1 + octets_of(self.prefix_len());
        out.extend_from_slice(&item);
        out.truncate(end);
    }

    #[inline]
    fn is_of(family: Family) -> bool {
        family.afi == Afi::IPV6 && matches!(family.safi, Safi::UNICAST | Safi::MULTICAST)
    }
}

/// Host routes, the default route, and what is neither.
#[inline(never)]
fn long_ipv6(octets: &[u8], at: usize, bits: u8) -> Option<(Ipv6Net, usize)> {
    if bits > 128 {
        return None;
    }
    let end = at + 1 + octets_of(bits);
    let found = octets.get(at + 1..end)?;
    let mut address = [0; 16];
    for (to, from) in address.iter_mut().zip(found) {
        *to = *from;
    }
    let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
    let prefix = Ipv6Net::new(Ipv6Addr::from_bits(u128::from_be_bytes(address) & mask), bits);
    Some((prefix.ok()?, end))
}

/// Iterator over the prefixes of a field; ends after the first error.
///
/// ```
/// use bgp_codec::NlriIter;
/// // With path identifiers.
/// let prefixes = NlriIter::<ipnet::Ipv4Net>::new(&[0, 0, 0, 7, 8, 10, 0, 0, 0, 8, 8, 10], true);
/// assert_eq!(prefixes.flatten().map(|nlri| nlri.path_id).collect::<Vec<_>>(), [7, 8]);
/// ```
#[derive(Clone, Debug)]
pub struct NlriIter<'a, P> {
    /// What ends with the field.
    octets: &'a [u8],
    at: usize,
    form: Form,
    prefix: PhantomData<P>,
}

/// What stands before each prefix.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    Plain,
    PathId,
    /// The octets are of another family.
    Mismatch,
}

impl<'a, P: WirePrefix> NlriIter<'a, P> {
    /// Iterates over raw octets.
    ///
    /// ```
    /// use bgp_codec::NlriIter;
    /// let mut prefixes = NlriIter::<ipnet::Ipv4Net>::new(&[24, 192, 0, 2], false);
    /// let first = prefixes.next().transpose()?.map(|nlri| nlri.prefix.to_string());
    /// assert_eq!(first.as_deref(), Some("192.0.2.0/24"));
    /// # Ok::<(), bgp_codec::NlriError>(())
    /// ```
    #[must_use]
    #[inline]
    pub const fn new(bytes: &'a [u8], add_path: bool) -> Self {
        let form = if add_path { Form::PathId } else { Form::Plain };
        Self {
            octets: bytes,
            at: 0,
            form,
            prefix: PhantomData,
        }
    }
}

impl<P: WirePrefix> Iterator for NlriIter<'_, P> {
    type Item = Result<Nlri<P>, NlriError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.octets.len() {
            return None;
        }
        let item = match self.form {
            Form::Plain => P::read_at(self.octets, self.at).map(|(prefix, end)| (0, prefix, end)),
            Form::PathId => with_path_id(self.octets, self.at),
            Form::Mismatch => None,
        };
        let Some((path_id, prefix, end)) = item else {
            return Some(Err(self.error()));
        };
        self.at = end;
        Some(Ok(Nlri { path_id, prefix }))
    }
}

impl<P: WirePrefix> NlriIter<'_, P> {
    /// What is wrong with the next item; nothing behind it can be found.
    #[cold]
    fn error(&mut self) -> NlriError {
        let at = std::mem::replace(&mut self.at, usize::MAX);
        match self.form {
            Form::Plain => prefix_error(self.octets, at, P::MAX_BITS),
            Form::PathId => prefix_error(self.octets, at.saturating_add(4), P::MAX_BITS),
            Form::Mismatch => NlriError::Family,
        }
    }
}

#[inline]
fn with_path_id<P: WirePrefix>(octets: &[u8], at: usize) -> Option<(u32, P, usize)> {
    let id = octets.get(at..)?.first_chunk()?;
    let (prefix, end) = P::read_at(octets, at + 4)?;
    Some((u32::from_be_bytes(*id), prefix, end))
}

/// Steps over all prefixes from `at` on.
fn check_prefixes<P: WirePrefix>(octets: &[u8], mut at: usize, add_path: bool) -> Result<(), NlriError> {
    let lead = if add_path { 4 } else { 0 };
    while at < octets.len() {
        let Some(&bits) = octets.get(at + lead) else {
            return Err(NlriError::Truncated);
        };
        if bits > P::MAX_BITS {
            return Err(NlriError::PrefixLength(bits));
        }
        at += lead + 1 + octets_of(bits);
    }
    // Whatever goes over the end is the last.
    if at == octets.len() {
        Ok(())
    } else {
        Err(NlriError::Truncated)
    }
}

/// The NLRI of one family in one field of an UPDATE, unread.
///
/// ```
/// use bgp_codec::{Family, NlriBlock};
/// let block = NlriBlock::new(Family::IPV4_UNICAST, &[8, 10, 24, 192, 0, 2], false);
/// assert_eq!(block.ip_prefixes().count(), 2);
/// ```
#[derive(Clone, Copy)]
pub struct NlriBlock<'a> {
    /// The family.
    pub family: Family,
    /// Whether each item has a path identifier before it.
    pub add_path: bool,
    /// Where the field begins in `octets`, with whose end it ends: see [`WirePrefix::read_at`].
    start: u16,
    octets: &'a [u8],
}

impl PartialEq for NlriBlock<'_> {
    fn eq(&self, other: &Self) -> bool {
        (self.family, self.add_path, self.bytes()) == (other.family, other.add_path, other.bytes())
    }
}

impl Eq for NlriBlock<'_> {}

impl fmt::Debug for NlriBlock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NlriBlock")
            .field("family", &self.family)
            .field("add_path", &self.add_path)
            .field("bytes", &self.bytes())
            .finish()
    }
}

impl<'a> NlriBlock<'a> {
    /// NLRI that stand alone.
    ///
    /// ```
    /// use bgp_codec::{Family, NlriBlock};
    /// let block = NlriBlock::new(Family::IPV4_UNICAST, &[8, 10], false);
    /// assert_eq!(block.check(), Ok(()));
    /// ```
    #[must_use]
    pub const fn new(family: Family, bytes: &'a [u8], add_path: bool) -> Self {
        Self {
            family,
            add_path,
            start: 0,
            octets: bytes,
        }
    }

    /// NLRI from `start` in a message on; `octets` end where they do.
    #[inline]
    pub(crate) const fn within(family: Family, octets: &'a [u8], start: u16, add_path: bool) -> Self {
        Self {
            family,
            add_path,
            start,
            octets,
        }
    }

    /// The raw octets.
    ///
    /// ```
    /// use bgp_codec::{Family, NlriBlock};
    /// assert_eq!(NlriBlock::new(Family::IPV4_UNICAST, &[8, 10], false).bytes(), [8, 10]);
    /// ```
    #[must_use]
    #[inline]
    pub fn bytes(self) -> &'a [u8] {
        self.octets.get(usize::from(self.start)..).unwrap_or_default()
    }

    /// The prefixes, of the type that fits the family; of another type, one [`NlriError::Family`].
    ///
    /// ```
    /// use bgp_codec::{Family, NlriBlock};
    /// let block = NlriBlock::new(Family::IPV4_UNICAST, &[8, 10], false);
    /// assert!(block.prefixes::<ipnet::Ipv4Net>().all(|nlri| nlri.is_ok()));
    /// assert!(block.prefixes::<ipnet::Ipv6Net>().all(|nlri| nlri.is_err()));
    /// ```
    #[must_use]
    #[inline]
    pub fn prefixes<P: WirePrefix>(self) -> NlriIter<'a, P> {
        let mut prefixes = NlriIter::new(self.octets, self.add_path);
        prefixes.at = usize::from(self.start);
        if !P::is_of(self.family) {
            prefixes.form = Form::Mismatch;
        }
        prefixes
    }

    /// The prefixes of an IPv4 or IPv6 unicast or multicast family.
    ///
    /// ```
    /// use bgp_codec::{Family, NlriBlock};
    /// let block = NlriBlock::new(Family::IPV4_UNICAST, &[8, 10, 24, 192, 0, 2], false);
    /// assert!(block.ip_prefixes().flatten().map(|nlri| nlri.prefix.to_string()).eq(["10.0.0.0/8", "192.0.2.0/24"]));
    /// ```
    #[inline]
    pub fn ip_prefixes(self) -> impl Iterator<Item = Result<Nlri<IpNet>, NlriError>> + Clone + 'a {
        let ipv4 = Ipv4Net::is_of(self.family);
        let none = Self::new(self.family, &[], self.add_path);
        let (ipv4, ipv6) = if ipv4 { (self, none) } else { (none, self) };
        let ipv4 = ipv4.prefixes::<Ipv4Net>().map(|nlri| {
            nlri.map(|Nlri { path_id, prefix }| Nlri {
                path_id,
                prefix: IpNet::V4(prefix),
            })
        });
        ipv4.chain(ipv6.prefixes::<Ipv6Net>().map(|nlri| {
            nlri.map(|Nlri { path_id, prefix }| Nlri {
                path_id,
                prefix: IpNet::V6(prefix),
            })
        }))
    }

    /// The items as octets, of any known family: what a reflector needs to carry a family that it does not read.
    ///
    /// `prefix` is the item without path identifier, its own length field included.
    ///
    /// ```
    /// use bgp_codec::{Family, NlriBlock};
    /// let block = NlriBlock::new(Family::IPV4_UNICAST, &[8, 10, 24, 192, 0, 2], false);
    /// assert!(block.opaque().flatten().map(|nlri| nlri.prefix).eq([&[8, 10][..], &[24, 192, 0, 2]]));
    /// ```
    #[must_use]
    pub fn opaque(self) -> OpaqueIter<'a> {
        OpaqueIter {
            rest: self.bytes(),
            family: self.family,
            add_path: self.add_path,
        }
    }

    /// Steps over every item for its errors alone.
    ///
    /// ```
    /// use bgp_codec::{Family, NlriBlock};
    /// let block = NlriBlock::new(Family::IPV4_UNICAST, &[8, 10, 24, 192, 0, 2], false);
    /// assert_eq!(block.check(), Ok(()));
    /// assert!(NlriBlock::new(Family::IPV4_UNICAST, &[8], false).check().is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// The first [`NlriError`].
    pub fn check(self) -> Result<(), NlriError> {
        let start = usize::from(self.start);
        match self.family {
            Family::IPV4_UNICAST | Family::IPV4_MULTICAST => {
                check_prefixes::<Ipv4Net>(self.octets, start, self.add_path)
            }
            Family::IPV6_UNICAST | Family::IPV6_MULTICAST => {
                check_prefixes::<Ipv6Net>(self.octets, start, self.add_path)
            }
            _ => self.opaque().try_for_each(|item| item.map(|_| ())),
        }
    }
}

/// Iterator over items as octets; see [`NlriBlock::opaque`].
///
/// ```
/// use bgp_codec::{Family, NlriBlock};
/// // Packets of TCP, RFC 8955 §4.
/// let block = NlriBlock::new(Family::IPV4_FLOWSPEC, &[3, 3, 0x81, 6], false);
/// assert_eq!(block.opaque().count(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct OpaqueIter<'a> {
    rest: &'a [u8],
    family: Family,
    add_path: bool,
}

impl<'a> OpaqueIter<'a> {
    /// What has not been iterated over; nothing after an error.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for OpaqueIter<'a> {
    type Item = Result<Nlri<&'a [u8]>, NlriError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let mut reader = Reader::new(std::mem::take(&mut self.rest));
        let path_id = if self.add_path { reader.u32() } else { Some(0) };
        let item = path_id.ok_or(NlriError::Truncated).and_then(|path_id| {
            let len = opaque_len(self.family, reader.rest())?;
            let prefix = reader.take(len).ok_or(NlriError::Truncated)?;
            Ok(Nlri { path_id, prefix })
        });
        if item.is_ok() {
            self.rest = reader.rest();
        }
        Some(item)
    }
}

/// Octets of the first item, its length field included.
fn opaque_len(family: Family, bytes: &[u8]) -> Result<usize, NlriError> {
    let first = *bytes.first().ok_or(NlriError::Truncated)?;
    let bits = |limit: u16| {
        if u16::from(first) > limit {
            Err(NlriError::PrefixLength(first))
        } else {
            Ok(usize::from(first).div_ceil(8).saturating_add(1))
        }
    };
    let address: u16 = match family.afi {
        Afi::IPV4 => 32,
        _ => 128,
    };
    match (family.afi, family.safi) {
        (Afi::IPV4 | Afi::IPV6, Safi::UNICAST | Safi::MULTICAST) => bits(address),
        (Afi::IPV4 | Afi::IPV6, Safi::LABELED_UNICAST) => labelled(bytes, 0, address),
        (Afi::IPV4 | Afi::IPV6, Safi::MPLS_VPN) => labelled(bytes, 64, address),
        // RFC 4684 §4: nothing, or at least the origin AS.
        (Afi::IPV4, Safi::ROUTE_TARGET) if matches!(first, 1..32) => Err(NlriError::Form(first)),
        (Afi::IPV4, Safi::ROUTE_TARGET) => bits(96),
        // RFC 8955 §8: a route distinguisher first.
        (Afi::IPV4 | Afi::IPV6, Safi::FLOWSPEC_VPN) if first < 8 => Err(NlriError::Form(first)),
        // RFC 8955 §4: lengths from 240 take two octets.
        (Afi::IPV4 | Afi::IPV6, Safi::FLOWSPEC | Safi::FLOWSPEC_VPN) => match bytes {
            [high, low, ..] if *high >= 0xf0 => {
                Ok(usize::from(u16::from_be_bytes([*high & 0x0f, *low])).saturating_add(2))
            }
            [high, ..] if *high >= 0xf0 => Err(NlriError::Truncated),
            _ => Ok(usize::from(first).saturating_add(1)),
        },
        // RFC 7432 §7: route type, length.
        (Afi::L2VPN, Safi::EVPN) => match bytes {
            [_, len, ..] => Ok(usize::from(*len).saturating_add(2)),
            _ => Err(NlriError::Truncated),
        },
        // RFC 4761 §3.2.2: a length of two octets.
        (Afi::L2VPN, Safi::VPLS) => match bytes {
            [high, low, ..] => Ok(usize::from(u16::from_be_bytes([*high, *low])).saturating_add(2)),
            _ => Err(NlriError::Truncated),
        },
        // RFC 9552 §5.2: type and length of two octets each.
        (Afi::BGP_LS, _) => match bytes {
            [_, _, high, low, ..] => Ok(usize::from(u16::from_be_bytes([*high, *low])).saturating_add(4)),
            _ => Err(NlriError::Truncated),
        },
        _ => Err(NlriError::Family),
    }
}

/// Octets of a prefix with labels, and in VPNs with a route distinguisher, before it; one octet of bits counts them all
/// (RFC 8277 §2, RFC 4364 §4.3.4).
fn labelled(bytes: &[u8], distinguisher: u16, address: u16) -> Result<usize, NlriError> {
    let (&bits, rest) = bytes.split_first().ok_or(NlriError::Truncated)?;
    let len = usize::from(bits).div_ceil(8);
    let item = rest.get(..len).ok_or(NlriError::Truncated)?;
    let mut prefix = u16::from(bits);
    for label in item.as_chunks::<3>().0 {
        prefix = prefix.checked_sub(24).ok_or(NlriError::Form(bits))?;
        let &[_, _, low] = label;
        // The bottom of the stack, or one of the two values that stand for any label in a withdrawal (RFC 8277 §2.4).
        if low & 1 != 0 || matches!(label, [0x80, 0, 0] | [0, 0, 0]) {
            let whole = prefix >= distinguisher && prefix <= distinguisher.saturating_add(address);
            return if whole {
                Ok(len.saturating_add(1))
            } else {
                Err(NlriError::Form(bits))
            };
        }
    }
    Err(NlriError::Form(bits))
}

/// What can be written as NLRI of a family.
///
/// ```
/// use bgp_codec::{Family, Nlri, WriteNlri};
/// let nlri = Nlri::new("10.0.0.0/8".parse::<ipnet::Ipv4Net>()?);
/// let mut out = Vec::new();
/// assert!(nlri.write(Family::IPV4_UNICAST, false, &mut out));
/// assert_eq!(out, [8, 10]);
/// # Ok::<(), ipnet::AddrParseError>(())
/// ```
pub trait WriteNlri {
    /// Appends the item, with its path identifier if `add_path`; `false`, and nothing written, if it is of another family.
    ///
    /// ```
    /// use bgp_codec::{Family, Nlri, WriteNlri};
    /// let nlri = Nlri::new("10.0.0.0/8".parse::<ipnet::Ipv4Net>()?);
    /// assert!(!nlri.write(Family::IPV6_UNICAST, false, &mut Vec::new()));
    /// # Ok::<(), ipnet::AddrParseError>(())
    /// ```
    fn write(&self, family: Family, add_path: bool, out: &mut Vec<u8>) -> bool;
}

impl<P: WirePrefix> WriteNlri for Nlri<P> {
    #[inline]
    fn write(&self, family: Family, add_path: bool, out: &mut Vec<u8>) -> bool {
        if !P::is_of(family) {
            return false;
        }
        if add_path {
            out.extend_from_slice(&self.path_id.to_be_bytes());
        }
        self.prefix.append_to(out);
        true
    }
}

impl WriteNlri for Nlri<IpNet> {
    #[inline]
    fn write(&self, family: Family, add_path: bool, out: &mut Vec<u8>) -> bool {
        match self.prefix {
            IpNet::V4(prefix) => Nlri {
                path_id: self.path_id,
                prefix,
            }
            .write(family, add_path, out),
            IpNet::V6(prefix) => Nlri {
                path_id: self.path_id,
                prefix,
            }
            .write(family, add_path, out),
        }
    }
}

impl WriteNlri for Nlri<&[u8]> {
    fn write(&self, family: Family, add_path: bool, out: &mut Vec<u8>) -> bool {
        if opaque_len(family, self.prefix) != Ok(self.prefix.len()) {
            return false;
        }
        if add_path {
            out.extend_from_slice(&self.path_id.to_be_bytes());
        }
        out.extend_from_slice(self.prefix);
        true
    }
}

impl<T: WriteNlri> WriteNlri for &T {
    #[inline]
    fn write(&self, family: Family, add_path: bool, out: &mut Vec<u8>) -> bool {
        (*self).write(family, add_path, out)
    }
}

/// A prefix with the bits behind its length set to zero.
///
/// ```
/// let net = bgp_codec::nlri::truncated([192, 0, 2, 9].into(), 24)?;
/// assert_eq!(net.to_string(), "192.0.2.0/24");
/// # Ok::<(), ipnet::PrefixLenError>(())
/// ```
///
/// # Errors
///
/// If the length is too long for the address.
pub fn truncated(address: IpAddr, prefix_len: u8) -> Result<IpNet, ipnet::PrefixLenError> {
    IpNet::new(address, prefix_len).map(|net| net.trunc())
}
