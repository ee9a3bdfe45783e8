//! The attribute list as such: type, flags and octets, without reading values.

use super::{code, flag};

/// One attribute, unread.
///
/// ```
/// use bgp_codec::attribute::{RawAttribute, RawAttributes};
/// let first = RawAttributes::new(&[0x40, 1, 1, 0]).next();
/// assert_eq!(first, Some(RawAttribute { flags: 0x40, code: 1, value: &[0] }));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct RawAttribute<'a> {
    /// See [`flag`].
    pub flags: u8,
    /// See [`code`].
    pub code: u8,
    /// Its octets.
    pub value: &'a [u8],
}

/// An attribute that this crate does not read, owned.
///
/// ```
/// use bgp_codec::{PathAttributes, UnknownAttribute};
/// let unknown = UnknownAttribute { flags: 0xe0, code: 99, value: vec![7] };
/// let mut block = Vec::new();
/// PathAttributes { unknown: vec![unknown], ..PathAttributes::default() }.encode_canonical(&mut block);
/// assert!(block.ends_with(&[0xe0, 99, 1, 7]));
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct UnknownAttribute {
    /// See [`flag`]; the length bit follows from the value when written.
    pub flags: u8,
    /// See [`code`].
    pub code: u8,
    /// Its octets.
    pub value: Vec<u8>,
}

impl From<RawAttribute<'_>> for UnknownAttribute {
    fn from(attribute: RawAttribute<'_>) -> Self {
        Self {
            flags: attribute.flags,
            code: attribute.code,
            value: attribute.value.to_vec(),
        }
    }
}

/// Iterator over an attribute block; ends where an attribute runs over the end.
///
/// ```
/// use bgp_codec::attribute::RawAttributes;
/// let mut attributes = RawAttributes::new(&[0x40, 1, 1, 0, 0xc0, 99]);
/// assert_eq!(attributes.by_ref().count(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct RawAttributes<'a> {
    rest: &'a [u8],
}

impl<'a> RawAttributes<'a> {
    /// Iterates over a block.
    ///
    /// ```
    /// use bgp_codec::attribute::RawAttributes;
    /// let mut attributes = RawAttributes::new(&[0x40, 1, 1, 0, 0xc0, 99]);
    /// assert!(attributes.next().is_some());
    /// ```
    #[must_use]
    pub const fn new(block: &'a [u8]) -> Self {
        Self { rest: block }
    }

    /// What has not been iterated over.
    ///
    /// ```
    /// use bgp_codec::attribute::RawAttributes;
    /// let mut attributes = RawAttributes::new(&[0x40, 1, 1, 0, 0xc0, 99]);
    /// while attributes.next().is_some() {}
    /// // An attribute that runs over the end.
    /// assert_eq!(attributes.rest(), [0xc0, 99]);
    /// ```
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for RawAttributes<'a> {
    type Item = RawAttribute<'a>;

    #[inline]
    fn next(&mut self) -> Option<RawAttribute<'a>> {
        let (attribute, rest) = split(self.rest)?;
        self.rest = rest;
        Some(attribute)
    }
}

/// The first attribute of a block and what follows it.
#[inline]
pub(crate) fn split(block: &[u8]) -> Option<(RawAttribute<'_>, &[u8])> {
    let (&[flags, code, first], rest) = block.split_first_chunk::<3>()?;
    let (len, rest) = if flags & flag::EXTENDED_LENGTH == 0 {
        (usize::from(first), rest)
    } else {
        let (second, rest) = rest.split_first()?;
        (usize::from(u16::from_be_bytes([first, *second])), rest)
    };
    let (value, rest) = rest.split_at_checked(len)?;
    Some((RawAttribute { flags, code, value }, rest))
}

/// Whether the walk reads values of that type.
pub(crate) const fn is_read(code: u8) -> bool {
    matches!(
        code,
        code::ORIGIN..=code::CLUSTER_LIST
            | code::MP_REACH_NLRI..=code::AS4_AGGREGATOR
            | code::IPV6_EXTENDED_COMMUNITIES
            | code::AIGP
            | code::LARGE_COMMUNITIES
            | code::ONLY_TO_CUSTOMER
    )
}

/// Attributes of the block that are not read and are transitive: the first of each type, with the Partial bit.
///
/// A type below 64 whose bit is not in `present` was discarded as malformed.
pub(crate) fn to_propagate(block: &[u8], present: u64) -> impl Iterator<Item = RawAttribute<'_>> {
    let mut seen = [0_u64; 4];
    RawAttributes::new(block).filter_map(move |attribute| {
        if is_read(attribute.code) || attribute.flags & flag::TRANSITIVE == 0 {
            return None;
        }
        if attribute.code < 64 && present & (1 << attribute.code) == 0 {
            return None;
        }
        let word = seen.get_mut(usize::from(attribute.code >> 6))?;
        let bit = 1 << (attribute.code & 63);
        if *word & bit != 0 {
            return None;
        }
        *word |= bit;
        // RFC 4271 §4.3: the unused bits are zero when sent; the length bit follows from the value.
        let flags = flag::OPTIONAL | flag::TRANSITIVE | flag::PARTIAL;
        Some(RawAttribute { flags, ..attribute })
    })
}

/// Appends one attribute, with a length of two octets only where one is too small.
pub(crate) fn write(flags: u8, code: u8, value: &[u8], out: &mut Vec<u8>) {
    // An attribute came in a message or is cut to the size that one can have.
    let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
    write_head(flags, code, value.len(), out);
    out.extend_from_slice(value);
}

/// Appends what stands before a value of `len` octets.
#[inline]
pub(crate) fn write_head(flags: u8, code: u8, len: usize, out: &mut Vec<u8>) {
    let flags = flags & !flag::EXTENDED_LENGTH;
    if let Ok(len) = u8::try_from(len) {
        out.extend_from_slice(&[flags, code, len]);
    } else {
        let [high, low] = u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
        out.extend_from_slice(&[flags | flag::EXTENDED_LENGTH, code, high, low]);
    }
}
