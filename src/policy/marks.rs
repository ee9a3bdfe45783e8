//! What import policy notes about a route for this speaker alone.

use crate::route::TableId;

/// Never on the wire, and nothing of it is asked of a peer.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Marks {
    /// Compared before LOCAL_PREF; the higher wins.
    pub weight: u32,
    /// For filters to recognise; 0 where none was set.
    pub tag: u32,
    /// The kernel table that the route is installed in, where it is another than that of its peer.
    pub table: Option<TableId>,
}

/// Octets of [`Marks::encode`].
const LEN: usize = 12;

impl Marks {
    /// Whether nothing is noted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Appends them in a form that [`Marks::decode`] reads: nothing where nothing is noted.
    pub fn encode(&self, octets: &mut Vec<u8>) {
        if !self.is_empty() {
            let table = self.table.map_or(0, |table| table.0);
            for number in [self.weight, self.tag, table] {
                octets.extend(number.to_be_bytes());
            }
        }
    }

    /// Reads what [`Marks::encode`] wrote; nothing is noted in what it did not write.
    #[must_use]
    pub fn decode(octets: &[u8]) -> Self {
        let Ok(octets) = <[u8; LEN]>::try_from(octets) else {
            return Self::default();
        };
        let number =
            |at: usize| u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]);
        let table = Some(number(8)).filter(|table| *table != 0).map(TableId);
        Self {
            weight: number(0),
            tag: number(4),
            table,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_as_they_were_written() {
        for marks in [
            Marks::default(),
            Marks {
                weight: 7,
                ..Marks::default()
            },
            Marks {
                weight: u32::MAX,
                tag: 1,
                table: Some(TableId(100)),
            },
        ] {
            let mut octets = Vec::new();
            marks.encode(&mut octets);
            assert_eq!(octets.is_empty(), marks.is_empty());
            assert_eq!(Marks::decode(&octets), marks);
        }
    }
}
