//! AS_PATH (RFC 4271 §5.1.2, RFC 5065) as a borrowed view; the owned form is beside it.

use std::fmt;

use crate::asn::Asn;

/// The most numbers one segment can hold.
pub const MAX_SEGMENT: usize = 255;

/// The kinds of segment.
///
/// ```
/// use bgp_codec::{AsPathBuf, SegmentKind};
/// let path: AsPathBuf = "64512 {64513,64514}".parse()?;
/// assert_eq!(path.segments.iter().map(|segment| segment.kind).collect::<Vec<_>>(), [SegmentKind::Sequence, SegmentKind::Set]);
/// # Ok::<(), bgp_codec::ParseAsPathError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum SegmentKind {
    /// AS_SET: unordered.
    Set,
    /// AS_SEQUENCE: ordered, nearest first.
    Sequence,
    /// AS_CONFED_SEQUENCE, RFC 5065.
    ConfedSequence,
    /// AS_CONFED_SET, RFC 5065.
    ConfedSet,
}

impl SegmentKind {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Set => 1,
            Self::Sequence => 2,
            Self::ConfedSequence => 3,
            Self::ConfedSet => 4,
        }
    }

    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Set,
            2 => Self::Sequence,
            3 => Self::ConfedSequence,
            4 => Self::ConfedSet,
            _ => return None,
        })
    }

    /// Whether the segment belongs to a confederation and so never leaves it.
    ///
    /// ```
    /// assert!(bgp_codec::SegmentKind::ConfedSet.is_confederation());
    /// ```
    #[must_use]
    pub const fn is_confederation(self) -> bool {
        matches!(self, Self::ConfedSequence | Self::ConfedSet)
    }
}

/// What the octets of an AS path hold that not every session may send.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Found {
    /// AS 0, RFC 7607.
    pub(crate) as_zero: bool,
    /// Bit N: a segment of kind N.
    kinds: u8,
}

impl Found {
    /// Only sequences, and no AS 0.
    #[inline]
    pub(crate) const fn is_plain(self) -> bool {
        !self.as_zero && self.kinds & !(1 << 2) == 0
    }

    pub(crate) const fn set(self) -> bool {
        self.kinds & ((1 << 1) | (1 << 4)) != 0
    }

    pub(crate) const fn confederation(self) -> bool {
        self.kinds & ((1 << 3) | (1 << 4)) != 0
    }
}

/// Checked octets of an AS path: every segment is of a known kind, whole and not empty.
///
/// ```
/// use bgp_codec::{AsPathBuf, Asn};
/// let path: AsPathBuf = "64512 64513 {64514 64515}".parse()?;
/// let bytes = path.to_bytes();
/// let path = bgp_codec::AsPath::from_bytes(&bytes, true).ok_or(bgp_codec::ParseAsPathError)?;
/// assert_eq!(path.path_length(), 3);
/// assert_eq!(path.first_asn(), Some(Asn(64_512)));
/// assert!(path.contains(Asn(64_515)));
/// # Ok::<(), bgp_codec::ParseAsPathError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct AsPath<'a> {
    bytes: &'a [u8],
    four_octet: bool,
}

impl<'a> AsPath<'a> {
    /// The path without segments: a route of our own AS.
    pub const EMPTY: AsPath<'static> = AsPath {
        bytes: &[],
        four_octet: true,
    };

    /// Checks the octets of the attribute's value; `None` if they are malformed.
    ///
    /// AS 0 is let through here: the caller decides (RFC 7607 §2 makes an UPDATE with it a withdraw).
    ///
    /// ```
    /// use bgp_codec::AsPath;
    /// let path = AsPath::from_bytes(&[2, 1, 0xfc, 0], false);
    /// assert_eq!(path.map(|path| path.to_string()).as_deref(), Some("64512"));
    /// assert_eq!(AsPath::from_bytes(&[2, 1, 0xfc], false), None);
    /// ```
    #[must_use]
    pub fn from_bytes(bytes: &'a [u8], four_octet: bool) -> Option<Self> {
        check(bytes, four_octet).map(|_| Self { bytes, four_octet })
    }

    /// Trusts that the octets have been checked.
    #[inline]
    pub(crate) const fn trusted(bytes: &'a [u8], four_octet: bool) -> Self {
        Self { bytes, four_octet }
    }

    /// The attribute's value as it was on the wire.
    ///
    /// ```
    /// assert_eq!(bgp_codec::AsPath::EMPTY.as_bytes(), []);
    /// ```
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Whether numbers take four octets each.
    ///
    /// ```
    /// assert!(bgp_codec::AsPath::EMPTY.is_four_octet());
    /// ```
    #[must_use]
    pub const fn is_four_octet(self) -> bool {
        self.four_octet
    }

    /// Whether there is no segment.
    ///
    /// ```
    /// assert!(bgp_codec::AsPath::EMPTY.is_empty());
    /// ```
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    /// The segments, nearest first.
    ///
    /// ```
    /// # use bgp_codec::{AsPath, AsPathBuf, Asn};
    /// # let bytes = "64512 {64513,64514}".parse::<AsPathBuf>()?.to_bytes();
    /// # let path = AsPath::from_bytes(&bytes, true).ok_or(bgp_codec::ParseAsPathError)?;
    /// // 64512 {64513,64514}
    /// assert_eq!(path.segments().map(|segment| segment.count()).collect::<Vec<_>>(), [1, 2]);
    /// # Ok::<(), bgp_codec::ParseAsPathError>(())
    /// ```
    #[must_use]
    #[inline]
    pub const fn segments(self) -> Segments<'a> {
        Segments {
            rest: self.bytes,
            four_octet: self.four_octet,
        }
    }

    /// Every number, of whatever segment, nearest first.
    ///
    /// ```
    /// # use bgp_codec::{AsPath, AsPathBuf, Asn};
    /// # let bytes = "64512 {64513,64514}".parse::<AsPathBuf>()?.to_bytes();
    /// # let path = AsPath::from_bytes(&bytes, true).ok_or(bgp_codec::ParseAsPathError)?;
    /// // 64512 {64513,64514}
    /// assert_eq!(path.asns().last(), Some(Asn(64_514)));
    /// # Ok::<(), bgp_codec::ParseAsPathError>(())
    /// ```
    #[inline]
    pub fn asns(self) -> impl Iterator<Item = Asn> + Clone + 'a {
        self.segments().flat_map(Segment::asns)
    }

    /// Length for the decision: a set counts one (RFC 4271 §9.1.2.2(a)), confederation segments nothing (RFC 5065 §5.3).
    ///
    /// ```
    /// # use bgp_codec::{AsPath, AsPathBuf, Asn};
    /// # let bytes = "(65001) 64512 {64513,64514}".parse::<AsPathBuf>()?.to_bytes();
    /// # let path = AsPath::from_bytes(&bytes, true).ok_or(bgp_codec::ParseAsPathError)?;
    /// // (65001) 64512 {64513,64514}
    /// assert_eq!(path.path_length(), 2);
    /// # Ok::<(), bgp_codec::ParseAsPathError>(())
    /// ```
    #[must_use]
    pub fn path_length(self) -> u32 {
        self.segments().map(|segment| segment.path_length()).sum()
    }

    /// The neighbouring AS: the first number of the first segment outside the confederation, if that is a sequence.
    ///
    /// ```
    /// # use bgp_codec::{AsPath, AsPathBuf, Asn};
    /// # let bytes = "(65001) 64512 64513".parse::<AsPathBuf>()?.to_bytes();
    /// # let path = AsPath::from_bytes(&bytes, true).ok_or(bgp_codec::ParseAsPathError)?;
    /// // (65001) 64512 64513
    /// assert_eq!(path.first_asn(), Some(Asn(64_512)));
    /// # Ok::<(), bgp_codec::ParseAsPathError>(())
    /// ```
    #[must_use]
    pub fn first_asn(self) -> Option<Asn> {
        let first = self.segments().find(|segment| !segment.kind.is_confederation())?;
        if first.kind == SegmentKind::Sequence {
            first.asns().next()
        } else {
            None
        }
    }

    /// The AS that originated the route: the last number, unless it is in a set.
    ///
    /// ```
    /// # use bgp_codec::{AsPath, AsPathBuf, Asn};
    /// # let bytes = "64512 64513".parse::<AsPathBuf>()?.to_bytes();
    /// # let path = AsPath::from_bytes(&bytes, true).ok_or(bgp_codec::ParseAsPathError)?;
    /// // 64512 64513
    /// assert_eq!(path.origin_asn(), Some(Asn(64_513)));
    /// # Ok::<(), bgp_codec::ParseAsPathError>(())
    /// ```
    #[must_use]
    pub fn origin_asn(self) -> Option<Asn> {
        let last = self
            .segments()
            .filter(|segment| !segment.kind.is_confederation())
            .last()?;
        if last.kind == SegmentKind::Sequence {
            last.asns().last()
        } else {
            None
        }
    }

    /// Whether the number is anywhere in the path, sets and confederation segments included.
    ///
    /// ```
    /// # use bgp_codec::{AsPath, AsPathBuf, Asn};
    /// # let bytes = "64512 {64513}".parse::<AsPathBuf>()?.to_bytes();
    /// # let path = AsPath::from_bytes(&bytes, true).ok_or(bgp_codec::ParseAsPathError)?;
    /// // 64512 {64513}
    /// assert!(path.contains(Asn(64_513)) && !path.contains(Asn(1)));
    /// # Ok::<(), bgp_codec::ParseAsPathError>(())
    /// ```
    #[must_use]
    pub fn contains(self, asn: Asn) -> bool {
        self.asns().any(|member| member == asn)
    }

    /// Whether there is an AS_SET or AS_CONFED_SET, RFC 9774; see [`AsSets`](crate::AsSets).
    ///
    /// ```
    /// # use bgp_codec::{AsPath, AsPathBuf, Asn};
    /// # let bytes = "64512 {64513}".parse::<AsPathBuf>()?.to_bytes();
    /// # let path = AsPath::from_bytes(&bytes, true).ok_or(bgp_codec::ParseAsPathError)?;
    /// // 64512 {64513}
    /// assert!(path.has_set());
    /// # Ok::<(), bgp_codec::ParseAsPathError>(())
    /// ```
    #[must_use]
    pub fn has_set(self) -> bool {
        self.segments()
            .any(|segment| matches!(segment.kind, SegmentKind::Set | SegmentKind::ConfedSet))
    }

    /// How often the number is in the path.
    ///
    /// ```
    /// # use bgp_codec::{AsPath, AsPathBuf, Asn};
    /// # let bytes = "64512 64512".parse::<AsPathBuf>()?.to_bytes();
    /// # let path = AsPath::from_bytes(&bytes, true).ok_or(bgp_codec::ParseAsPathError)?;
    /// // 64512 64512
    /// assert_eq!(path.count(Asn(64_512)), 2);
    /// # Ok::<(), bgp_codec::ParseAsPathError>(())
    /// ```
    #[must_use]
    pub fn count(self, asn: Asn) -> usize {
        self.asns().filter(|member| *member == asn).count()
    }
}

impl fmt::Display for AsPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.segments().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            fmt_segment(f, segment.kind, segment.asns())?;
        }
        Ok(())
    }
}

/// One segment of an [`AsPath`].
///
/// ```
/// # use bgp_codec::{AsPath, AsPathBuf, Asn};
/// # let bytes = "64512 {64513,64514}".parse::<AsPathBuf>()?.to_bytes();
/// # let path = AsPath::from_bytes(&bytes, true).ok_or(bgp_codec::ParseAsPathError)?;
/// // 64512 {64513,64514}
/// let set = path.segments().last().ok_or(bgp_codec::ParseAsPathError)?;
/// assert_eq!((set.kind, set.count()), (bgp_codec::SegmentKind::Set, 2));
/// # Ok::<(), bgp_codec::ParseAsPathError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Segment<'a> {
    /// Its kind.
    pub kind: SegmentKind,
    bytes: &'a [u8],
    four_octet: bool,
}

impl<'a> Segment<'a> {
    /// Its numbers.
    ///
    /// ```
    /// # use bgp_codec::{AsPath, AsPathBuf, Asn};
    /// # let bytes = "64512 64513".parse::<AsPathBuf>()?.to_bytes();
    /// # let path = AsPath::from_bytes(&bytes, true).ok_or(bgp_codec::ParseAsPathError)?;
    /// // 64512 64513
    /// let asns = path.segments().next().map(|segment| segment.asns().collect::<Vec<_>>());
    /// assert_eq!(asns, Some(vec![Asn(64_512), Asn(64_513)]));
    /// # Ok::<(), bgp_codec::ParseAsPathError>(())
    /// ```
    #[must_use]
    #[inline]
    pub const fn asns(self) -> Asns<'a> {
        Asns {
            rest: self.bytes,
            four_octet: self.four_octet,
        }
    }

    /// How many numbers it has.
    ///
    /// ```
    /// # use bgp_codec::{AsPath, AsPathBuf, Asn};
    /// # let bytes = "{1,2,3}".parse::<AsPathBuf>()?.to_bytes();
    /// # let path = AsPath::from_bytes(&bytes, true).ok_or(bgp_codec::ParseAsPathError)?;
    /// // {1,2,3}
    /// assert_eq!(path.segments().next().map(|segment| segment.count()), Some(3));
    /// # Ok::<(), bgp_codec::ParseAsPathError>(())
    /// ```
    #[must_use]
    pub const fn count(self) -> usize {
        self.bytes.len() / if self.four_octet { 4 } else { 2 }
    }

    fn path_length(self) -> u32 {
        match self.kind {
            SegmentKind::Sequence => u32::try_from(self.count()).unwrap_or(u32::MAX),
            SegmentKind::Set => 1,
            SegmentKind::ConfedSequence | SegmentKind::ConfedSet => 0,
        }
    }
}

/// Iterator over the segments of an [`AsPath`].
///
/// ```
/// # use bgp_codec::{AsPath, AsPathBuf, Asn};
/// # let bytes = "64512 {64513}".parse::<AsPathBuf>()?.to_bytes();
/// # let path = AsPath::from_bytes(&bytes, true).ok_or(bgp_codec::ParseAsPathError)?;
/// // 64512 {64513}
/// assert_eq!(path.segments().count(), 2);
/// # Ok::<(), bgp_codec::ParseAsPathError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    rest: &'a [u8],
    four_octet: bool,
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    #[inline]
    fn next(&mut self) -> Option<Segment<'a>> {
        let ([code, count], rest) = self.rest.split_first_chunk::<2>()?;
        let len = usize::from(*count) << if self.four_octet { 2 } else { 1 };
        let (bytes, rest) = rest.split_at_checked(len)?;
        self.rest = rest;
        Some(Segment {
            kind: SegmentKind::from_code(*code)?,
            bytes,
            four_octet: self.four_octet,
        })
    }
}

/// Iterator over the numbers of a [`Segment`].
///
/// ```
/// # use bgp_codec::{AsPath, AsPathBuf, Asn};
/// # let bytes = "64512 64513".parse::<AsPathBuf>()?.to_bytes();
/// # let path = AsPath::from_bytes(&bytes, true).ok_or(bgp_codec::ParseAsPathError)?;
/// // 64512 64513
/// assert_eq!(path.segments().flat_map(|segment| segment.asns()).count(), 2);
/// # Ok::<(), bgp_codec::ParseAsPathError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Asns<'a> {
    rest: &'a [u8],
    four_octet: bool,
}

impl Iterator for Asns<'_> {
    type Item = Asn;

    #[inline]
    fn next(&mut self) -> Option<Asn> {
        if self.four_octet {
            let (asn, rest) = self.rest.split_first_chunk::<4>()?;
            self.rest = rest;
            return Some(Asn(u32::from_be_bytes(*asn)));
        }
        let (asn, rest) = self.rest.split_first_chunk::<2>()?;
        self.rest = rest;
        Some(Asn::from(u16::from_be_bytes(*asn)))
    }

    /// Decides on the width once.
    #[inline]
    fn fold<B, F: FnMut(B, Asn) -> B>(self, init: B, mut fold: F) -> B {
        if self.four_octet {
            let asns = self.rest.as_chunks::<4>().0.iter();
            return asns.fold(init, |sum, asn| fold(sum, Asn(u32::from_be_bytes(*asn))));
        }
        let asns = self.rest.as_chunks::<2>().0.iter();
        asns.fold(init, |sum, asn| fold(sum, Asn::from(u16::from_be_bytes(*asn))))
    }
}

/// What is in the path; `None` if it is malformed.
#[inline]
pub(crate) fn check(bytes: &[u8], four_octet: bool) -> Option<Found> {
    if four_octet {
        check_width::<4>(bytes)
    } else {
        check_width::<2>(bytes)
    }
}

/// RFC 7606 §7.2: unknown segment kind, segment overrun, underrun of a single octet, segment of length zero.
#[inline]
fn check_width<const WIDTH: usize>(mut rest: &[u8]) -> Option<Found> {
    let mut found = Found::default();
    while let Some(([code, count], after)) = rest.split_first_chunk::<2>() {
        if !(1..=4).contains(code) || *count == 0 {
            return None;
        }
        let (asns, after) = after.split_at_checked(usize::from(*count).wrapping_mul(WIDTH))?;
        found.kinds |= 1 << *code;
        found.as_zero |= asns.as_chunks::<WIDTH>().0.contains(&[0; WIDTH]);
        rest = after;
    }
    rest.is_empty().then_some(found)
}

pub(super) fn fmt_segment(
    f: &mut fmt::Formatter<'_>,
    kind: SegmentKind,
    asns: impl Iterator<Item = Asn>,
) -> fmt::Result {
    let (open, separator, close) = match kind {
        SegmentKind::Sequence => ("", " ", ""),
        SegmentKind::Set => ("{", ",", "}"),
        SegmentKind::ConfedSequence => ("(", " ", ")"),
        SegmentKind::ConfedSet => ("[", ",", "]"),
    };
    f.write_str(open)?;
    for (index, asn) in asns.enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        fmt::Display::fmt(&asn, f)?;
    }
    f.write_str(close)
}
