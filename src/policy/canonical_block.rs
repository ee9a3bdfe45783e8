//! Attributes that are read when a condition first asks for one: most conditions look at the prefix or the source alone.

use std::cell::OnceCell;
use std::ops::Deref;

use bgp_codec::Attributes;

/// The attributes of a route in their canonical form, see [`bgp_codec::PathAttributes::encode_canonical`].
#[derive(Debug)]
pub struct CanonicalBlock<'a> {
    block: &'a [u8],
    read: OnceCell<Attributes<'a>>,
}

impl<'a> CanonicalBlock<'a> {
    /// Octets that have been checked.
    #[must_use]
    pub const fn new(block: &'a [u8]) -> Self {
        Self {
            block,
            read: OnceCell::new(),
        }
    }
}

impl<'a> Deref for CanonicalBlock<'a> {
    type Target = Attributes<'a>;

    fn deref(&self) -> &Self::Target {
        self.read.get_or_init(|| Attributes::from_canonical(self.block))
    }
}
