//! How routes are written beside where they lead: one stamp for all that are written now, and those of before.
//!
//! An entry keeps the number of the stamp that its route was written with, so that a change of the configuration finds what
//! has to be written anew.

use std::num::NonZeroU8;

use crate::kernel::wire::{Route, Stamp};

/// Stamps remembered; beyond, the numbers of the oldest are used again, by then none of its routes is left.
const MOST: usize = 250;

/// The number of a stamp.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct StampId(pub(super) NonZeroU8);

/// All stamps in use.
#[derive(Debug)]
pub(super) struct Stamps {
    all: Vec<Remembered>,
    current: StampId,
    next: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Remembered {
    /// Written so by us.
    Known(Stamp),
    /// Seen with this protocol, and with something that we would not write.
    Odd(u8),
}

impl Stamps {
    pub(super) fn new(stamp: Stamp) -> Self {
        let mut stamps = Self {
            all: Vec::new(),
            current: StampId(NonZeroU8::MIN),
            next: 0,
        };
        stamps.set_current(stamp);
        stamps
    }

    /// From now on routes are written so; whether that is a change.
    pub(super) fn set_current(&mut self, stamp: Stamp) -> bool {
        let before = self.current;
        self.current = self.number(Remembered::Known(stamp));
        before != self.current
    }

    pub(super) fn current(&self) -> StampId {
        self.current
    }

    /// What is written now.
    pub(super) fn stamp(&self) -> Stamp {
        match self.get(self.current) {
            Some(Remembered::Known(stamp)) => *stamp,
            Some(Remembered::Odd(_)) | None => Stamp::plain(self.protocol(self.current)),
        }
    }

    /// The protocol of routes with this stamp.
    pub(super) fn protocol(&self, id: StampId) -> u8 {
        match self.get(id) {
            Some(Remembered::Known(stamp)) => stamp.protocol,
            Some(Remembered::Odd(protocol)) => *protocol,
            None => 0,
        }
    }

    /// The stamp of a route that the kernel shows.
    pub(super) fn of(&mut self, route: &Route) -> StampId {
        if self.stamp().is_on(route) {
            return self.current;
        }
        self.number(Remembered::Odd(route.protocol))
    }

    fn get(&self, id: StampId) -> Option<&Remembered> {
        self.all.get(usize::from(id.0.get()) - 1)
    }

    fn number(&mut self, wanted: Remembered) -> StampId {
        let known = self.all.iter().position(|known| *known == wanted);
        let place = known.unwrap_or_else(|| {
            if self.all.len() < MOST {
                self.all.push(wanted);
                return self.all.len() - 1;
            }
            // Never the one in use.
            if self.next + 1 == usize::from(self.current.0.get()) {
                self.next = (self.next + 1) % MOST;
            }
            let place = self.next;
            self.next = (self.next + 1) % MOST;
            if let Some(stamp) = self.all.get_mut(place) {
                *stamp = wanted;
            }
            place
        });
        let number = u8::try_from(place + 1).ok().and_then(NonZeroU8::new);
        StampId(number.unwrap_or(NonZeroU8::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_stamps_are_bounded_and_the_current_one_stays() {
        let mut stamps = Stamps::new(Stamp::plain(179));
        let stamp = |mtu| Stamp {
            mtu,
            ..Stamp::plain(179)
        };
        assert!(!stamps.set_current(Stamp::plain(179)));
        for mtu in 1..1_000 {
            assert!(stamps.set_current(stamp(mtu)));
            assert_eq!(
                (stamps.stamp(), stamps.protocol(stamps.current())),
                (stamp(mtu), 179)
            );
        }
        assert_eq!(stamps.all.len(), MOST);
        let current = stamps.current();
        for protocol in 0..=255 {
            stamps.number(Remembered::Odd(protocol));
            assert_eq!((stamps.current(), stamps.stamp()), (current, stamp(999)));
        }
    }
}
