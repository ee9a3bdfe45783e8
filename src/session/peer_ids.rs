//! Handles for peers: dense, reused, and never mistaken for an earlier tenant (pure).

use crate::route::PeerId;

/// Gives out [`PeerId`]s.
#[derive(Clone, Debug, Default)]
pub struct PeerIds {
    /// The generation that each index is in, and whether it is in use.
    indexes: Vec<(u32, bool)>,
}

impl PeerIds {
    /// An id that nobody has and that no event of a former peer names.
    ///
    /// # Panics
    ///
    /// With 2^32 peers at once.
    pub fn allocate(&mut self) -> PeerId {
        let free = self
            .indexes
            .iter()
            .position(|(_, used)| !used)
            .unwrap_or(self.indexes.len());
        if free == self.indexes.len() {
            self.indexes.push((0, false));
        }
        let index = u32::try_from(free).expect("fewer than 2^32 peers fit memory");
        let generation = self.indexes.get_mut(free).map_or(0, |(generation, used)| {
            *used = true;
            *generation
        });
        PeerId { index, generation }
    }

    /// The peer is gone; its index may be used again.
    pub fn release(&mut self, id: PeerId) {
        let place = usize::try_from(id.index)
            .ok()
            .and_then(|index| self.indexes.get_mut(index));
        if let Some((generation, used)) = place.filter(|(generation, _)| *generation == id.generation) {
            *used = false;
            *generation = generation.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_reused_in_a_new_generation() {
        let mut ids = PeerIds::default();
        let (first, second) = (ids.allocate(), ids.allocate());
        assert_eq!((first.index, second.index), (0, 1));
        ids.release(first);
        let third = ids.allocate();
        assert_eq!((third.index, third.generation), (0, 1));
        // A late release of the former tenant changes nothing.
        ids.release(first);
        assert_eq!(ids.allocate().index, 2);
    }
}
