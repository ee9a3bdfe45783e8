//! Where values and blocks stand in a message.

/// Where a value stands, in one word: where it starts, and above that its length.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Span(u32);

impl Span {
    pub(crate) const NOWHERE: Self = Self(0);

    /// `start` and `len` lie in a message of at most 65,535 octets.
    #[inline]
    #[expect(
        clippy::as_conversions,
        reason = "no message is longer than its length field can say"
    )]
    pub(crate) const fn new(start: usize, len: usize) -> Self {
        Self((start as u32 & 0xffff) | (len as u32) << 16)
    }

    /// The same with the length that stands in the upper half of a word.
    #[inline]
    #[expect(
        clippy::as_conversions,
        reason = "no message is longer than its length field can say"
    )]
    pub(crate) const fn of_word(start: usize, word: u32) -> Self {
        Self((start as u32 & 0xffff) | (word & 0xffff_0000))
    }

    #[inline]
    #[expect(clippy::as_conversions, reason = "sixteen bits")]
    pub(crate) const fn start(self) -> usize {
        (self.0 & 0xffff) as usize
    }

    #[inline]
    #[expect(clippy::as_conversions, reason = "sixteen bits")]
    pub(crate) const fn len(self) -> usize {
        (self.0 >> 16) as usize
    }

    /// Where the value ends.
    #[inline]
    pub(crate) const fn end(self) -> usize {
        self.start() + self.len()
    }

    #[inline]
    pub(crate) const fn is_empty(self) -> bool {
        self.0 >> 16 == 0
    }

    /// The value, in what the span counts from.
    #[inline]
    pub(crate) fn of(self, octets: &[u8]) -> &[u8] {
        octets
            .get(self.start()..self.start() + self.len())
            .unwrap_or_default()
    }

    /// Where the value goes on behind its first `skip` octets, and where it ends.
    #[inline]
    #[expect(clippy::as_conversions, reason = "inside a message of at most 65,535 octets")]
    pub(crate) const fn behind(self, skip: usize) -> (u16, u16) {
        ((self.start() + skip) as u16, (self.start() + self.len()) as u16)
    }
}

/// Where a block begins and ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Bounds {
    start: u16,
    end: u16,
}

impl Bounds {
    /// Both lie in a message of at most 65,535 octets.
    #[inline]
    #[expect(
        clippy::as_conversions,
        reason = "no message is longer than its length field can say"
    )]
    pub(crate) const fn new(start: usize, end: usize) -> Self {
        Self {
            start: start as u16,
            end: end as u16,
        }
    }

    #[inline]
    pub(crate) fn start(self) -> usize {
        usize::from(self.start)
    }

    #[inline]
    pub(crate) fn end(self) -> usize {
        usize::from(self.end)
    }

    #[inline]
    pub(crate) const fn end_u16(self) -> u16 {
        self.end
    }
}
