//! An ordered set of dense ids that is small when sparse and a bitmap when full.

/// Ids in pages of 4,096 bits; 512 octets for each page that has any, and 8 for each page up to the last.
#[derive(Clone, Debug, Default)]
pub(crate) struct IdSet {
    pages: Vec<Option<Box<Page>>>,
    /// Pages that there are.
    present: usize,
    /// No page before this one has any id.
    first: usize,
    len: usize,
}

type Page = [u64; PAGE_WORDS];

const PAGE_WORDS: usize = 64;
const PAGE_BITS: u32 = 4096;

impl IdSet {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Octets that it takes.
    pub(crate) const fn bytes(&self) -> usize {
        self.present * size_of::<Page>() + self.pages.capacity() * size_of::<Option<Box<Page>>>()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    fn page(&self, number: usize) -> Option<&Page> {
        self.pages.get(number).and_then(Option::as_deref)
    }

    fn page_mut(&mut self, number: usize) -> &mut Page {
        if self.pages.len() <= number {
            self.pages.resize_with(number + 1, || None);
        }
        self.first = self.first.min(number);
        let place = &mut self.pages[number];
        self.present += usize::from(place.is_none());
        place.get_or_insert_with(|| Box::new([0; PAGE_WORDS]))
    }

    /// Gives back the memory of a page without ids.
    fn drop_page(&mut self, number: usize) {
        self.present -= usize::from(self.pages[number].take().is_some());
        if self.present == 0 {
            (self.pages, self.first) = (Vec::new(), 0);
        }
    }

    /// Adds an id; whether it was new.
    pub(crate) fn insert(&mut self, id: u32) -> bool {
        let (number, word, bit) = place(id);
        let page = self.page_mut(number);
        let new = page[word] & bit == 0;
        page[word] |= bit;
        self.len += usize::from(new);
        new
    }

    /// Takes an id out; whether it was there.
    pub(crate) fn remove(&mut self, id: u32) -> bool {
        let (number, word, bit) = place(id);
        let Some(page) = self.pages.get_mut(number).and_then(Option::as_deref_mut) else {
            return false;
        };
        let was = page[word] & bit != 0;
        page[word] &= !bit;
        self.len -= usize::from(was);
        if was && page[word] == 0 && page.iter().all(|word| *word == 0) {
            self.drop_page(number);
        }
        was
    }

    #[inline]
    pub(crate) fn contains(&self, id: u32) -> bool {
        let (number, word, bit) = place(id);
        self.page(number).is_some_and(|page| page[word] & bit != 0)
    }

    /// Takes out up to `limit` of the smallest ids, in order.
    pub(crate) fn take(&mut self, limit: usize, into: &mut Vec<u32>) {
        let mut left = limit;
        while left > 0 && self.first < self.pages.len() {
            let number = self.first;
            let Some(page) = self.pages[number].as_deref_mut() else {
                self.first += 1;
                continue;
            };
            let mut empty = true;
            for (index, word) in page.iter_mut().enumerate() {
                while *word != 0 && left > 0 {
                    into.push(id_at(number, index) + word.trailing_zeros());
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
                self.first += 1;
                self.drop_page(number);
            }
        }
    }

    /// Adds the ids whose bits are set in a word; `number`: of 64 ids each.
    pub(crate) fn add_word(&mut self, number: usize, word: u64) {
        if word != 0 {
            let own = &mut self.page_mut(number / PAGE_WORDS)[number % PAGE_WORDS];
            let added = (word & !*own).count_ones();
            *own |= word;
            self.len += added as usize;
        }
    }

    /// Adds the ids of another set.
    pub(crate) fn unite(&mut self, other: &Self) {
        self.combine(other, |own, other| own | other);
    }

    /// Keeps only what another set holds as well.
    pub(crate) fn intersect(&mut self, other: &Self) {
        self.combine(other, |own, other| own & other);
    }

    /// Takes out what another set holds.
    pub(crate) fn subtract(&mut self, other: &Self) {
        self.combine(other, |own, other| own & !other);
    }

    /// Works out each word from what it was and another set's.
    fn combine(&mut self, other: &Self, word: impl Fn(u64, u64) -> u64) {
        const NONE: &Page = &[0; PAGE_WORDS];
        for number in 0..self.pages.len().max(other.pages.len()) {
            if self.page(number).is_none() && other.page(number).is_none() {
                continue;
            }
            let page = self.page_mut(number);
            let (mut before, mut after) = (0, 0);
            for (own, other) in page.iter_mut().zip(other.page(number).unwrap_or(NONE)) {
                before += own.count_ones() as usize;
                *own = word(*own, *other);
                after += own.count_ones() as usize;
            }
            self.len = self.len - before + after;
            if after == 0 {
                self.drop_page(number);
            }
        }
    }

    /// Every id, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let pages = self.pages.iter().enumerate();
        pages
            .filter_map(|(number, page)| Some((number, page.as_deref()?)))
            .flat_map(|(number, page)| {
                let words = page.iter().enumerate();
                words.flat_map(move |(index, word)| bits(*word).map(move |bit| id_at(number, index) + bit))
            })
    }
}

impl Extend<u32> for IdSet {
    fn extend<I: IntoIterator<Item = u32>>(&mut self, ids: I) {
        let mut ids = ids.into_iter().peekable();
        while let Some(first) = ids.peek().copied() {
            // Neighbours are in one page mostly.
            let number = place(first).0;
            let page = self.page_mut(number);
            let mut added = 0;
            while let Some(id) = ids.next_if(|id| place(*id).0 == number) {
                let (_, word, bit) = place(id);
                added += usize::from(page[word] & bit == 0);
                page[word] |= bit;
            }
            self.len += added;
        }
    }
}

/// The bits that are set, as numbers.
fn bits(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(bit)
    })
}

/// The id of the first bit of a word.
const fn id_at(page: usize, word: usize) -> u32 {
    page as u32 * PAGE_BITS + word as u32 * 64
}

/// Page, word and bit.
#[inline]
const fn place(id: u32) -> (usize, usize, u64) {
    let bit = id % PAGE_BITS;
    ((id / PAGE_BITS) as usize, (bit / 64) as usize, 1 << (bit % 64))
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
    fn sets_combine_as_their_ids_do() {
        let set = |ids: &[u32]| {
            let mut set = IdSet::default();
            set.extend(ids.iter().copied());
            set
        };
        let check = |combine: fn(&mut IdSet, &IdSet), expected: &[u32]| {
            let mut one = set(&[1, 64, 4_095, 9_000, 70_000]);
            combine(&mut one, &set(&[1, 65, 9_000, 100_000]));
            assert_eq!(one.iter().collect::<Vec<_>>(), expected);
            assert_eq!(one.len(), expected.len());
        };
        check(IdSet::unite, &[1, 64, 65, 4_095, 9_000, 70_000, 100_000]);
        check(IdSet::intersect, &[1, 9_000]);
        check(IdSet::subtract, &[64, 4_095, 70_000]);
        let mut emptied = set(&[5, 5_000]);
        emptied.subtract(&set(&[5, 5_000]));
        assert!(emptied.is_empty() && emptied.pages.is_empty());
        emptied.add_word(64, 0b101);
        assert_eq!(emptied.iter().collect::<Vec<_>>(), [4_096, 4_098]);
    }

    #[test]
    fn empty_pages_are_given_back() {
        let mut set = IdSet::default();
        set.insert(9);
        assert!(set.remove(9) && !set.remove(9));
        assert!(set.pages.is_empty());
    }
}
