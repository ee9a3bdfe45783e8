//! An ordered set of dense ids that is small when sparse and a bitmap when full.

use std::collections::BTreeMap;

/// Ids in pages of 4,096 bits; 512 octets for each page that has any.
#[derive(Clone, Debug, Default)]
pub(crate) struct IdSet {
    pages: BTreeMap<u32, Box<[u64; PAGE_WORDS]>>,
    len: usize,
}

const PAGE_WORDS: usize = 64;
const PAGE_BITS: u32 = 4096;

impl IdSet {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Octets that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.pages.len() * (size_of::<[u64; PAGE_WORDS]>() + 2 * size_of::<usize>())
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an id; whether it was new.
    pub(crate) fn insert(&mut self, id: u32) -> bool {
        let page = self
            .pages
            .entry(id / PAGE_BITS)
            .or_insert_with(|| Box::new([0; PAGE_WORDS]));
        let (word, bit) = place(id);
        let new = page[word] & bit == 0;
        page[word] |= bit;
        self.len += usize::from(new);
        new
    }

    /// Takes an id out; whether it was there.
    pub(crate) fn remove(&mut self, id: u32) -> bool {
        let Some(page) = self.pages.get_mut(&(id / PAGE_BITS)) else {
            return false;
        };
        let (word, bit) = place(id);
        let was = page[word] & bit != 0;
        page[word] &= !bit;
        self.len -= usize::from(was);
        if was && page.iter().all(|word| *word == 0) {
            self.pages.remove(&(id / PAGE_BITS));
        }
        was
    }

    pub(crate) fn contains(&self, id: u32) -> bool {
        let (word, bit) = place(id);
        self.pages
            .get(&(id / PAGE_BITS))
            .is_some_and(|page| page[word] & bit != 0)
    }

    /// Takes out up to `limit` of the smallest ids, in order.
    pub(crate) fn take(&mut self, limit: usize, into: &mut Vec<u32>) {
        let mut left = limit;
        while left > 0 {
            let Some(mut entry) = self.pages.first_entry() else {
                return;
            };
            let base = entry.key() * PAGE_BITS;
            let page = entry.get_mut();
            let mut empty = true;
            for (index, word) in page.iter_mut().enumerate() {
                while *word != 0 && left > 0 {
                    into.push(base + index as u32 * 64 + word.trailing_zeros());
                    *word &= *word - 1;
                    left -= 1;
                    self.len -= 1;
                }
                if *word != 0 {
                    empty = false;
                    break;
                }
            }
            if empty {
                entry.remove();
            }
        }
    }

    /// Every id, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.pages.iter().flat_map(|(page, words)| {
            words.iter().enumerate().flat_map(move |(index, word)| {
                let base = page * PAGE_BITS + index as u32 * 64;
                (0..64)
                    .filter(move |bit| word >> bit & 1 == 1)
                    .map(move |bit| base + bit)
            })
        })
    }
}

impl Extend<u32> for IdSet {
    fn extend<I: IntoIterator<Item = u32>>(&mut self, ids: I) {
        for id in ids {
            self.insert(id);
        }
    }
}

const fn place(id: u32) -> (usize, u64) {
    let bit = id % PAGE_BITS;
    ((bit / 64) as usize, 1 << (bit % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_out_once_in_order() {
        let mut set = IdSet::default();
        let ids = [5_000_000, 0, 63, 64, 4095, 4096, 70, 8191];
        set.extend(ids);
        assert!(!set.insert(64));
        let mut sorted = ids.to_vec();
        sorted.sort_unstable();
        assert_eq!(set.iter().collect::<Vec<_>>(), sorted);
        let mut taken = Vec::new();
        set.take(3, &mut taken);
        assert_eq!((taken.len(), set.len()), (3, 5));
        assert!(!set.contains(63) && set.contains(70));
        set.take(usize::MAX, &mut taken);
        assert_eq!(taken, sorted);
        assert!(set.is_empty() && set.pages.is_empty());
    }

    #[test]
    fn empty_pages_are_given_back() {
        let mut set = IdSet::default();
        set.insert(9);
        assert!(set.remove(9) && !set.remove(9));
        assert!(set.pages.is_empty());
    }
}
