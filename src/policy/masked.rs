//! Values made of fields, some of which may be anything: what all kinds of community patterns come down to.

use std::fmt;

/// Fields of these widths in bits, the first of them highest; together at most 128.
pub(super) type Widths = &'static [u32];

/// The bits that count, and what they must be.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Masked {
    bits: u128,
    mask: u128,
}

impl Masked {
    /// Where `mask` is set, as in `bits`.
    pub(super) const fn new(bits: u128, mask: u128) -> Self {
        Self {
            bits: bits & mask,
            mask,
        }
    }

    pub(super) const fn matches(self, value: u128) -> bool {
        value & self.mask == self.bits
    }

    pub(super) const fn bits(self) -> u128 {
        self.bits
    }

    pub(super) const fn mask(self) -> u128 {
        self.mask
    }

    /// Reads fields between colons, each a plain decimal number or `*`.
    pub(super) fn fields(text: &str, widths: Widths) -> Option<Self> {
        let mut parts = text.split(':');
        let (mut bits, mut mask) = (0, 0);
        for width in widths {
            let (part, all) = (parts.next()?, (1_u128 << width) - 1);
            (bits, mask) = (bits << width, mask << width);
            if part != "*" {
                bits |= number(part).filter(|number| *number <= all)?;
                mask |= all;
            }
        }
        parts.next().is_none().then_some(Self { bits, mask })
    }

    /// Whether no field may be anything.
    pub(super) fn is_exact(self, widths: Widths) -> bool {
        self.mask.count_ones() == widths.iter().sum::<u32>()
    }

    /// Writes what [`Masked::fields`] reads.
    pub(super) fn write(self, widths: Widths, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut below: u32 = widths.iter().sum();
        for (index, width) in widths.iter().enumerate() {
            if index > 0 {
                f.write_str(":")?;
            }
            below -= width;
            let all = (1_u128 << width) - 1;
            if self.mask >> below & all == 0 {
                f.write_str("*")?;
            } else {
                write!(f, "{}", self.bits >> below & all)?;
            }
        }
        Ok(())
    }
}

fn number(text: &str) -> Option<u128> {
    let plain = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}
