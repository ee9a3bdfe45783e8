//! The three parts of an UPDATE (RFC 4271 §4.3) and where they begin and end.

use std::ops::Range;

use super::UpdateError;
use crate::header::MAX_EXTENDED;

/// The three parts of an UPDATE, unread.
///
/// ```
/// use bgp_codec::Sections;
/// let sections = Sections::split(&[0, 2, 8, 10, 0, 0])?;
/// assert_eq!((sections.withdrawn, sections.attributes, sections.nlri), (&[8, 10][..], &[][..], &[][..]));
/// # Ok::<(), bgp_codec::UpdateError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sections<'a> {
    /// Withdrawn routes, IPv4 unicast.
    pub withdrawn: &'a [u8],
    /// Path attributes.
    pub attributes: &'a [u8],
    /// NLRI, IPv4 unicast.
    pub nlri: &'a [u8],
}

impl<'a> Sections<'a> {
    /// Splits the body of an UPDATE.
    ///
    /// ```
    /// use bgp_codec::{Sections, UpdateError};
    /// assert_eq!(Sections::split(&[0, 9, 8, 10]), Err(UpdateError::MalformedAttributeList));
    /// ```
    ///
    /// # Errors
    ///
    /// [`UpdateError::MalformedAttributeList`] if the lengths exceed the body (RFC 4271 §6.3).
    #[inline]
    pub fn split(body: &'a [u8]) -> Result<Self, UpdateError> {
        let Bounds { start, end } = Bounds::find(body).ok_or(UpdateError::MalformedAttributeList)?;
        let part = |range: Range<usize>| body.get(range).unwrap_or_default();
        Ok(Self {
            withdrawn: part(2..start.saturating_sub(2)),
            attributes: part(start..end),
            nlri: part(end..body.len()),
        })
    }
}

/// Where the path attributes begin and end in the body of an UPDATE; all else follows from that.
pub(crate) struct Bounds {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Bounds {
    /// `None` if the lengths exceed the body, or the body what a message can hold.
    #[inline]
    pub(crate) fn find(body: &[u8]) -> Option<Self> {
        let field = |at: usize| {
            let field = body.get(at..)?.first_chunk::<2>()?;
            Some(usize::from(u16::from_be_bytes(*field)))
        };
        let withdrawn = field(0)?;
        let attributes = field(2 + withdrawn)?;
        let start = 4 + withdrawn;
        let end = start + attributes;
        (end <= body.len() && body.len() <= MAX_EXTENDED).then_some(Self { start, end })
    }
}
