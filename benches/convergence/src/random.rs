//! A small generator of numbers, the same in every run, and the mixing function that hashes share.

/// xorshift64; never zero.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(mix(seed, 0x5eed_0001) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, limit: u32) -> u32 {
        ((self.next() >> 32) * u64::from(limit) >> 32) as u32
    }

    /// True in `percent` of 100 cases.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    /// Any item, all equally often.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u32) as usize]
    }

    /// An index below `limit` whose density falls with its square root: few are common, most are rare.
    pub fn skewed(&mut self, limit: u32) -> u32 {
        let a = u64::from(self.below(1 << 16));
        let b = u64::from(self.below(1 << 16));
        ((a * b >> 16) * u64::from(limit) >> 16) as u32
    }
}

/// Folds `value` into `hash`.
#[inline]
pub fn mix(hash: u64, value: u64) -> u64 {
    let product = u128::from(hash ^ value ^ 0xa076_1d64_78bd_642f)
        * u128::from(value.rotate_left(29) ^ 0xe703_7ed1_a0b4_28db);
    (product as u64) ^ ((product >> 64) as u64)
}
