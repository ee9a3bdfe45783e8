//! Network layer reachability information: prefixes as octets (RFC 4271 §4.3, RFC 7911 §3), checked while iterated.

use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use thiserror::Error;

use crate::family::Family;

mod opaque;
mod prefix;

pub use opaque::OpaqueIter;
pub use prefix::WirePrefix;

use opaque::opaque_len;
use prefix::{octets_of, prefix_error};

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
        OpaqueIter::new(self.bytes(), self.family, self.add_path)
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
