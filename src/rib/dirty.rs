//! Prefixes that wait to be decided, each once, in the order in which they were marked.

use std::collections::VecDeque;

use super::ids::PrefixId;

/// The queue, and a bit for each prefix that stands in it.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    queue: VecDeque<PrefixId>,
    marked: Vec<u64>,
}

impl Dirty {
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    #[inline]
    pub(crate) fn mark(&mut self, prefix: PrefixId) {
        let (word, bit) = place(prefix);
        if self.marked.len() <= word {
            self.marked.resize(word + 1, 0);
        }
        if self.marked[word] & bit == 0 {
            self.marked[word] |= bit;
            self.queue.push_back(prefix);
        }
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<PrefixId> {
        let prefix = self.queue.pop_front()?;
        let (word, bit) = place(prefix);
        self.marked[word] &= !bit;
        Some(prefix)
    }

    pub(crate) fn contains(&self, prefix: PrefixId) -> bool {
        let (word, bit) = place(prefix);
        self.marked.get(word).is_some_and(|marked| marked & bit != 0)
    }

    /// Octets that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.queue.capacity() * size_of::<PrefixId>() + self.marked.capacity() * size_of::<u64>()
    }

    /// Gives back what a burst needed.
    pub(crate) fn shrink(&mut self) {
        if self.queue.is_empty() && self.queue.capacity() > 4_096 {
            self.queue = VecDeque::new();
        }
    }
}

const fn place(prefix: PrefixId) -> (usize, u64) {
    (prefix.index() / 64, 1 << (prefix.0 % 64))
}
