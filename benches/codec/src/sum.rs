//! What a reader does with a value: the same for all, and little.

/// Adds up everything that was read, so that readers can be held against each other and none is optimised away.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sum {
    /// Prefixes seen.
    pub prefixes: u64,
    /// All values, added.
    pub values: u64,
}

impl Sum {
    #[inline(always)]
    pub fn value(&mut self, value: u32) {
        self.values = self.values.wrapping_add(u64::from(value));
    }

    #[inline(always)]
    pub fn ipv4(&mut self, path_id: u32, address: u32, len: u8) {
        self.prefixes += 1;
        self.values = self
            .values
            .wrapping_add(u64::from(address) + u64::from(path_id) + u64::from(len));
    }

    #[inline(always)]
    pub fn ipv6(&mut self, path_id: u32, address: u128, len: u8) {
        self.prefixes += 1;
        let halves = ((address >> 64) as u64).wrapping_add(address as u64);
        self.values = self
            .values
            .wrapping_add(halves)
            .wrapping_add(u64::from(path_id) + u64::from(len));
    }

    #[inline(always)]
    pub fn address6(&mut self, address: u128) {
        self.values = self
            .values
            .wrapping_add((address >> 64) as u64)
            .wrapping_add(address as u64);
    }
}
