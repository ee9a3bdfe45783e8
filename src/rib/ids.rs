//! Dense numbers that stand for prefixes, paths, attribute sets and peers inside one shard.

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub(crate) struct $name(pub(crate) u32);

        impl $name {
            /// Position in the arrays that it indexes.
            #[inline]
            pub(crate) const fn index(self) -> usize {
                self.0 as usize
            }

            /// The id of a position.
            ///
            /// # Panics
            ///
            /// When 2^32 - 1 are in use at once, which no machine's memory allows.
            #[inline]
            pub(crate) fn from_index(index: usize) -> Self {
                Self(u32::try_from(index).expect("fewer than 2^32 entries"))
            }
        }
    };
}

id! {
    /// A prefix of one table and family; recycled when nothing refers to it.
    PrefixId
}
id! {
    /// A path of one table and family: its place in the arena, and its path id on the wire (RFC 7911).
    PathSlot
}
id! {
    /// An interned attribute set.
    AttributesId
}
id! {
    /// A peer as long as the shard remembers anything of it.
    PeerIndex
}

impl PeerIndex {
    pub(crate) const LOCAL: u32 = 1 << 31;

    /// Stands for one of our own sources of routes, an `[[originate]]` or a `[[vip]]`, by its number.
    pub(crate) fn local(source: usize) -> Self {
        Self(Self::from_index(source).0 | Self::LOCAL)
    }

    /// The number of the source if it is one of our own.
    #[inline]
    pub(crate) const fn local_source(self) -> Option<usize> {
        if self.is_local() {
            Some((self.0 & !Self::LOCAL) as usize)
        } else {
            None
        }
    }

    /// Whether the source is this speaker.
    #[inline]
    pub(crate) const fn is_local(self) -> bool {
        self.0 & Self::LOCAL != 0
    }
}

impl AttributesId {
    /// No attributes: rejected by import, or not advertised.
    pub(crate) const NONE: Self = Self(u32::MAX);

    /// The id unless it is [`NONE`](Self::NONE).
    #[inline]
    pub(crate) fn some(self) -> Option<Self> {
        (self != Self::NONE).then_some(self)
    }
}
