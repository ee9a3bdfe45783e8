//! AS_PATH in its owned, editable form, and the operators' notation of it.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::as_path::{AsPath, MAX_SEGMENT, Segment, SegmentKind, fmt_segment};
use crate::asn::Asn;

/// An owned segment.
///
/// ```
/// use bgp_codec::{AsPathBuf, AsPathSegment, Asn, SegmentKind};
/// let set = AsPathSegment { kind: SegmentKind::Set, asns: vec![Asn(1), Asn(2)] };
/// assert_eq!(AsPathBuf { segments: vec![set] }.to_string(), "{1,2}");
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct AsPathSegment {
    /// Its kind.
    pub kind: SegmentKind,
    /// Its numbers: 1 to [`MAX_SEGMENT`].
    pub asns: Vec<Asn>,
}

/// An owned AS path that can be edited.
///
/// ```
/// use bgp_codec::{AsPathBuf, Asn};
/// let mut path: AsPathBuf = "64513".parse()?;
/// path.prepend(Asn(64_512), 2);
/// assert_eq!(path.to_string(), "64512 64512 64513");
/// # Ok::<(), bgp_codec::ParseAsPathError>(())
/// ```
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct AsPathBuf {
    /// Segments, nearest first; each is written as several if it has more than [`MAX_SEGMENT`] numbers.
    pub segments: Vec<AsPathSegment>,
}

impl AsPathBuf {
    /// A path of one sequence.
    ///
    /// ```
    /// use bgp_codec::{AsPathBuf, Asn};
    /// assert_eq!(AsPathBuf::from_sequence([Asn(64_512), Asn(64_513)]).to_string(), "64512 64513");
    /// ```
    #[must_use]
    pub fn from_sequence(asns: impl IntoIterator<Item = Asn>) -> Self {
        let asns: Vec<_> = asns.into_iter().collect();
        let sequence = |asns: &[Asn]| AsPathSegment {
            kind: SegmentKind::Sequence,
            asns: asns.to_vec(),
        };
        Self {
            segments: asns.chunks(MAX_SEGMENT).map(sequence).collect(),
        }
    }

    /// Puts a number before the path `count` times; a full segment or one that is no sequence gets a new one before it
    /// (RFC 4271 §5.1.2(b)).
    ///
    /// ```
    /// # use bgp_codec::{AsPathBuf, Asn};
    /// let mut path: AsPathBuf = "{64513}".parse()?;
    /// path.prepend(Asn(64_512), 1);
    /// assert_eq!(path.to_string(), "64512 {64513}");
    /// # Ok::<(), bgp_codec::ParseAsPathError>(())
    /// ```
    pub fn prepend(&mut self, asn: Asn, count: usize) {
        self.prepend_kind(SegmentKind::Sequence, asn, count);
    }

    /// The same inside a confederation, RFC 5065 §4.1.
    ///
    /// ```
    /// # use bgp_codec::{AsPathBuf, Asn};
    /// let mut path: AsPathBuf = "64513".parse()?;
    /// path.prepend_confederation(Asn(65_001), 1);
    /// assert_eq!(path.to_string(), "(65001) 64513");
    /// # Ok::<(), bgp_codec::ParseAsPathError>(())
    /// ```
    pub fn prepend_confederation(&mut self, asn: Asn, count: usize) {
        self.prepend_kind(SegmentKind::ConfedSequence, asn, count);
    }

    fn prepend_kind(&mut self, kind: SegmentKind, asn: Asn, count: usize) {
        let mut left = count;
        while left > 0 {
            match self.segments.first_mut() {
                Some(first) if first.kind == kind && first.asns.len() < MAX_SEGMENT => {
                    let fits = left.min(MAX_SEGMENT.saturating_sub(first.asns.len()));
                    first.asns.splice(0..0, std::iter::repeat_n(asn, fits));
                    left = left.saturating_sub(fits);
                }
                _ => self.segments.insert(
                    0,
                    AsPathSegment {
                        kind,
                        asns: Vec::new(),
                    },
                ),
            }
        }
    }

    /// Drops the confederation segments at the head, as on leaving the confederation (RFC 5065 §4.1).
    ///
    /// ```
    /// # use bgp_codec::{AsPathBuf, Asn};
    /// let mut path: AsPathBuf = "(65001) 64513".parse()?;
    /// path.strip_confederation();
    /// assert_eq!(path.to_string(), "64513");
    /// # Ok::<(), bgp_codec::ParseAsPathError>(())
    /// ```
    pub fn strip_confederation(&mut self) {
        self.segments.retain(|segment| !segment.kind.is_confederation());
    }

    /// Every number, nearest first.
    ///
    /// ```
    /// # use bgp_codec::{AsPathBuf, Asn};
    /// let path: AsPathBuf = "64512 {64513}".parse()?;
    /// assert_eq!(path.asns().count(), 2);
    /// # Ok::<(), bgp_codec::ParseAsPathError>(())
    /// ```
    pub fn asns(&self) -> impl Iterator<Item = Asn> + '_ {
        self.segments
            .iter()
            .flat_map(|segment| segment.asns.iter().copied())
    }

    /// Whether the number is anywhere in the path.
    ///
    /// ```
    /// # use bgp_codec::{AsPathBuf, Asn};
    /// let path: AsPathBuf = "64512 {64513}".parse()?;
    /// assert!(path.contains(Asn(64_513)));
    /// # Ok::<(), bgp_codec::ParseAsPathError>(())
    /// ```
    #[must_use]
    pub fn contains(&self, asn: Asn) -> bool {
        self.asns().any(|member| member == asn)
    }

    /// See [`AsPath::path_length`].
    ///
    /// ```
    /// # use bgp_codec::{AsPathBuf, Asn};
    /// let path: AsPathBuf = "64512 {64513,64514}".parse()?;
    /// assert_eq!(path.path_length(), 2);
    /// # Ok::<(), bgp_codec::ParseAsPathError>(())
    /// ```
    #[must_use]
    pub fn path_length(&self) -> usize {
        let length = |segment: &AsPathSegment| match segment.kind {
            SegmentKind::Sequence => segment.asns.len(),
            SegmentKind::Set => 1,
            SegmentKind::ConfedSequence | SegmentKind::ConfedSet => 0,
        };
        self.segments.iter().map(length).sum()
    }

    /// See [`AsPath::first_asn`].
    ///
    /// ```
    /// # use bgp_codec::{AsPathBuf, Asn};
    /// let path: AsPathBuf = "64512 64513".parse()?;
    /// assert_eq!(path.first_asn(), Some(Asn(64_512)));
    /// # Ok::<(), bgp_codec::ParseAsPathError>(())
    /// ```
    #[must_use]
    pub fn first_asn(&self) -> Option<Asn> {
        let first = self
            .segments
            .iter()
            .find(|segment| !segment.kind.is_confederation())?;
        if first.kind == SegmentKind::Sequence {
            first.asns.first().copied()
        } else {
            None
        }
    }

    /// Whether there is no segment.
    ///
    /// ```
    /// assert!(bgp_codec::AsPathBuf::default().is_empty());
    /// ```
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// The attribute's value with four octets a number.
    ///
    /// ```
    /// # use bgp_codec::{AsPathBuf, Asn};
    /// let path: AsPathBuf = "64512".parse()?;
    /// assert_eq!(path.to_bytes(), [2, 1, 0, 0, 0xfc, 0]);
    /// # Ok::<(), bgp_codec::ParseAsPathError>(())
    /// ```
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(true, &mut out);
        out
    }

    /// Octets of the attribute's value with four octets a number.
    pub(crate) fn encoded_len(&self) -> usize {
        let segment = |segment: &AsPathSegment| {
            let count = segment.asns.len();
            count
                .div_ceil(MAX_SEGMENT)
                .saturating_mul(2)
                .saturating_add(count.saturating_mul(4))
        };
        self.segments.iter().map(segment).sum()
    }

    /// Appends the attribute's value; with two octets a number, those that need four become [`crate::AS_TRANS`].
    ///
    /// ```
    /// # use bgp_codec::AsPathBuf;
    /// let path: AsPathBuf = "4200000000".parse()?;
    /// let mut value = Vec::new();
    /// path.encode(false, &mut value);
    /// assert_eq!(value, [2, 1, 0x5b, 0xa0]);
    /// # Ok::<(), bgp_codec::ParseAsPathError>(())
    /// ```
    pub fn encode(&self, four_octet: bool, out: &mut Vec<u8>) {
        for segment in &self.segments {
            for asns in segment.asns.chunks(MAX_SEGMENT) {
                out.extend_from_slice(&[segment.kind.code(), u8::try_from(asns.len()).unwrap_or(u8::MAX)]);
                for asn in asns {
                    if four_octet {
                        out.extend_from_slice(&asn.0.to_be_bytes());
                    } else {
                        out.extend_from_slice(&asn.to_two_octets().to_be_bytes());
                    }
                }
            }
        }
    }
}

impl From<AsPath<'_>> for AsPathBuf {
    fn from(path: AsPath<'_>) -> Self {
        let owned = |segment: Segment<'_>| AsPathSegment {
            kind: segment.kind,
            asns: segment.asns().collect(),
        };
        Self {
            segments: path.segments().map(owned).collect(),
        }
    }
}

impl fmt::Display for AsPathBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.segments.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            fmt_segment(f, segment.kind, segment.asns.iter().copied())?;
        }
        Ok(())
    }
}

/// The text is not an AS path.
///
/// ```
/// use bgp_codec::{AsPathBuf, ParseAsPathError};
/// assert_eq!("64512 {".parse::<AsPathBuf>(), Err(ParseAsPathError));
/// ```
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not an AS path: expected AS numbers, sets in {{}}, confederation segments in () or []")]
pub struct ParseAsPathError;

impl FromStr for AsPathBuf {
    type Err = ParseAsPathError;

    fn from_str(text: &str) -> Result<Self, ParseAsPathError> {
        let mut path = Self::default();
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let (kind, close) = match first {
                '{' => (SegmentKind::Set, Some('}')),
                '(' => (SegmentKind::ConfedSequence, Some(')')),
                '[' => (SegmentKind::ConfedSet, Some(']')),
                _ => (SegmentKind::Sequence, None),
            };
            let (inside, after) = match close {
                Some(close) => rest
                    .get(1..)
                    .and_then(|rest| rest.split_once(close))
                    .ok_or(ParseAsPathError)?,
                None => rest.split_at(rest.find(['{', '(', '[']).unwrap_or(rest.len())),
            };
            let asns = inside
                .split(|separator: char| separator == ',' || separator.is_whitespace())
                .filter(|word| !word.is_empty())
                .map(|word| word.parse().map_err(|_| ParseAsPathError))
                .collect::<Result<Vec<Asn>, _>>()?;
            if asns.is_empty() {
                return Err(ParseAsPathError);
            }
            path.segments.push(AsPathSegment { kind, asns });
            rest = after.trim_start();
        }
        Ok(path)
    }
}
