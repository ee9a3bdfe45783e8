//! Prefixes of a fixed form on the wire, read without a loop and without a branch that depends on their length.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use super::NlriError;
use crate::family::{Afi, Family, Safi};

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
    ///
    /// ```
    /// use bgp_codec::WirePrefix;
    /// // 10.0.0.0/8 and 192.0.2.0/24.
    /// let octets = [8, 10, 24, 192, 0, 2];
    /// let (prefix, next) = ipnet::Ipv4Net::read_at(&octets, 2).ok_or("no prefix")?;
    /// assert_eq!((prefix.to_string().as_str(), next), ("192.0.2.0/24", 6));
    /// assert_eq!(ipnet::Ipv4Net::read_at(&octets, next), None);
    /// # Ok::<(), &str>(())
    /// ```
    fn read_at(octets: &[u8], at: usize) -> Option<(Self, usize)>;

    /// Reads one prefix and what follows it.
    ///
    /// ```
    /// use bgp_codec::{NlriError, WirePrefix};
    /// let (prefix, rest) = ipnet::Ipv6Net::split_from(&[32, 0x20, 1, 0xd, 0xb8, 0])?;
    /// assert_eq!((prefix.to_string().as_str(), rest), ("2001:db8::/32", &[0][..]));
    /// assert_eq!(ipnet::Ipv6Net::split_from(&[129]), Err(NlriError::PrefixLength(129)));
    /// # Ok::<(), NlriError>(())
    /// ```
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
pub(super) fn prefix_error(octets: &[u8], at: usize, max_bits: u8) -> NlriError {
    match octets.get(at) {
        Some(bits) if *bits > max_bits => NlriError::PrefixLength(*bits),
        _ => NlriError::Truncated,
    }
}

/// How many octets so many bits take.
#[inline]
pub(super) fn octets_of(bits: u8) -> usize {
    (usize::from(bits) + 7) >> 3
}

/// The bits of an address that count, by the length of the prefix.
static IPV4_MASKS: [u32; 33] = {
    let (mut masks, mut mask) = ([0; 33], 0);
    let mut rest: &mut [u32] = &mut masks;
    while let Some((first, behind)) = rest.split_first_mut() {
        *first = mask;
        mask = (mask >> 1) | 0x8000_0000;
        rest = behind;
    }
    masks
};

/// The same of the first half of an IPv6 address.
static IPV6_MASKS: [u64; 65] = {
    let (mut masks, mut mask) = ([0; 65], 0);
    let mut rest: &mut [u64] = &mut masks;
    while let Some((first, behind)) = rest.split_first_mut() {
        *first = mask;
        mask = (mask >> 1) | 0x8000_0000_0000_0000;
        rest = behind;
    }
    masks
};

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
        let rest = octets.get(at..)?;
        let &bits = rest.first()?;
        let mask = IPV4_MASKS.get(usize::from(bits))?;
        let len = octets_of(bits);
        let end = at + 1 + len;
        // All octets that an address can have, and the mask takes off what is not of the prefix: no loop and no branch
        // that depends on its length. Where the field ends before that, those that end with the prefix, moved up.
        let address = match rest.first_chunk::<5>() {
            Some([_, address @ ..]) => u32::from_be_bytes(*address),
            None => match octets.get(end.wrapping_sub(4)..end).and_then(<[u8]>::first_chunk) {
                Some(word) => low_half(u64::from(u32::from_be_bytes(*word)) << (32 - 8 * len)),
                None => low_half(short_field(octets, end, len)? >> 32),
            },
        };
        let prefix = Self::new(Ipv4Addr::from_bits(address & mask), bits);
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

#[inline]
#[expect(clippy::as_conversions, reason = "the high half is what is shifted out")]
const fn low_half(number: u64) -> u32 {
    number as u32
}

impl WirePrefix for Ipv6Net {
    const MAX_BITS: u8 = 128;

    #[inline]
    fn read_at(octets: &[u8], at: usize) -> Option<(Self, usize)> {
        let rest = octets.get(at..)?;
        let &bits = rest.first()?;
        let len = octets_of(bits);
        let end = at + 1 + len;
        let address = match IPV6_MASKS.get(usize::from(bits)) {
            Some(mask) => {
                // As for IPv4, with eight octets.
                let high = match rest.first_chunk::<9>() {
                    Some([_, high @ ..]) => u64::from_be_bytes(*high),
                    None => match octets.get(end.wrapping_sub(8)..end).and_then(<[u8]>::first_chunk) {
                        Some(_) if len == 0 => 0,
                        Some(word) => u64::from_be_bytes(*word) << (64 - 8 * len),
                        None => short_field(octets, end, len)?,
                    },
                };
                u128::from(high & mask) << 64
            }
            None => long_ipv6(rest, bits)?,
        };
        let prefix = Self::new(Ipv6Addr::from_bits(address), bits);
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

/// The address at the beginning of `rest`, of which more bits count than the first half has; `None` if they are more than
/// there are in all.
#[inline(never)]
fn long_ipv6(rest: &[u8], bits: u8) -> Option<u128> {
    let ignored = 128_u32.checked_sub(u32::from(bits))?;
    let found = rest.get(1..=octets_of(bits))?;
    let mut address = [0; 16];
    for (to, from) in address.iter_mut().zip(found) {
        *to = *from;
    }
    Some(u128::from_be_bytes(address) & u128::MAX.checked_shl(ignored)?)
}
