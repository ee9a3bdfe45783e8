//! One direction of a TCP connection: octets that arrive later, in pieces, or not at all.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What is wrong with a wire just now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    None,
    /// Every read returns one octet.
    OneByte,
    /// Nothing arrives until the fault is lifted; what is written queues up to the window.
    Stalled,
    /// The reader's window is closed: nothing more can be written.
    ZeroWindow,
}

/// Octets in flight from one end to the other.
#[derive(Debug)]
pub(crate) struct Wire {
    pub delay: Duration,
    pub fault: Fault,
    in_flight: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
}

/// What a socket buffer and its peer's window take together.
const WINDOW: usize = 64 * 1024;

impl Wire {
    pub(crate) fn new(delay: Duration) -> Self {
        Self {
            delay,
            fault: Fault::None,
            in_flight: VecDeque::new(),
            bytes: 0,
        }
    }

    /// How many octets a write would take now.
    pub(crate) fn room(&self) -> usize {
        if self.fault == Fault::ZeroWindow {
            0
        } else {
            WINDOW.saturating_sub(self.bytes)
        }
    }

    /// Sends at `now`; what was sent before arrives before.
    pub(crate) fn write(&mut self, bytes: Vec<u8>, now: Instant) {
        self.bytes += bytes.len();
        let at = self.behind_all(now);
        self.in_flight.push_back((at, bytes));
    }

    /// What is in flight never arrives.
    pub(crate) fn lose(&mut self) {
        self.in_flight.clear();
        self.bytes = 0;
    }

    /// When something sent now arrives.
    pub(crate) fn behind_all(&self, now: Instant) -> Instant {
        let last = self.in_flight.back().map_or(now, |(at, _)| *at);
        last.max(now + self.delay)
    }

    /// When `read` will next yield something.
    pub(crate) fn next_arrival(&self) -> Option<Instant> {
        if self.fault == Fault::Stalled {
            return None;
        }
        self.in_flight.front().map(|(at, _)| *at)
    }

    /// What the far end reads now, if anything has arrived.
    pub(crate) fn read(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.next_arrival()? > now {
            return None;
        }
        let (at, mut bytes) = self.in_flight.pop_front()?;
        if self.fault == Fault::OneByte && bytes.len() > 1 {
            let rest = bytes.split_off(1);
            self.in_flight.push_front((at, rest));
        }
        self.bytes -= bytes.len();
        Some(bytes)
    }
}
