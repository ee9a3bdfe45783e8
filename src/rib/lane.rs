//! A session's own inbox, bounded in bytes: what a peer sends waits here, and only here, for the shard.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use super::interface::DownRoutes;
use crate::route::PeerId;

/// Bytes that may wait in one lane before its session stops reading the socket.
pub(crate) const LANE_BYTES: usize = 256 * 1024;
/// Credit below this waits for company: the shard is not woken for each little message that a socket took. What a session gives
/// in all is larger by more than one item of a ring, so the shard can never wait for what is held back here.
const CREDIT_STEP: usize = 64 * 1024;

/// The session's end of its inbox.
///
/// Dropping it without [`down`](Self::down) flushes the peer's routes: a session that died without a word.
#[derive(Debug)]
pub struct Lane {
    inbox: Arc<Inbox>,
    ready: Arc<Ready>,
    closed: bool,
}

impl Lane {
    pub(super) fn new(inbox: Arc<Inbox>, ready: Arc<Ready>) -> Self {
        Self {
            inbox,
            ready,
            closed: false,
        }
    }

    /// Hands over whole UPDATE and ROUTE-REFRESH messages; waits while the lane is full.
    pub async fn received(&self, messages: Bytes) {
        if messages.is_empty() {
            return;
        }
        loop {
            let space = self.inbox.space.notified();
            if self.inbox.push(&messages) {
                break;
            }
            space.await;
        }
        self.ready.announce(&self.inbox);
    }

    /// Whether [`received`](Self::received) would not wait.
    #[must_use]
    pub fn has_space(&self) -> bool {
        self.inbox.lock().bytes < LANE_BYTES
    }

    /// The session can take this many more bytes. The shard hears of it with the lane's next word, or when enough has come
    /// together.
    pub fn credit(&self, bytes: usize) {
        self.inbox.credit(bytes, &self.ready);
    }

    /// The session has ended. What still waits in the lane is discarded when the routes are flushed, and read first
    /// when they are retained.
    pub fn down(mut self, routes: DownRoutes) {
        self.end(routes);
    }

    fn end(&mut self, routes: DownRoutes) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let mut state = self.inbox.lock();
        if routes == DownRoutes::Flush {
            state.queue.clear();
            state.bytes = 0;
        }
        state.down = Some(routes);
        drop(state);
        self.ready.announce(&self.inbox);
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.end(DownRoutes::Flush);
    }
}

/// The lane itself, shared by the session and the shard's driver.
#[derive(Debug)]
pub(super) struct Inbox {
    pub(super) peer: PeerId,
    state: Mutex<State>,
    space: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Bytes>,
    bytes: usize,
    credit: usize,
    down: Option<DownRoutes>,
    /// It stands in the list of lanes to serve.
    listed: bool,
}

/// What the driver takes from a lane at one visit.
#[derive(Debug, Default)]
pub(super) struct Visit {
    pub(super) credit: usize,
    pub(super) messages: Vec<Bytes>,
    /// Only once the queue is empty.
    pub(super) down: Option<DownRoutes>,
    /// The lane holds more than the budget allowed.
    pub(super) more: bool,
}

impl Inbox {
    pub(super) fn new(peer: PeerId) -> Self {
        Self {
            peer,
            state: Mutex::default(),
            space: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock, and the state is valid between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, messages: &Bytes) -> bool {
        let mut state = self.lock();
        if state.bytes >= LANE_BYTES {
            return false;
        }
        state.bytes += messages.len();
        state.queue.push_back(messages.clone());
        true
    }

    /// See [`Lane::credit`].
    pub(super) fn credit(self: &Arc<Self>, bytes: usize, ready: &Ready) {
        let mut state = self.lock();
        state.credit += bytes;
        let enough = state.credit >= CREDIT_STEP;
        drop(state);
        if enough {
            ready.announce(self);
        }
    }

    /// Forgets that the lane is listed, so that its next word lists it again.
    pub(super) fn unlist(&self) {
        self.lock().listed = false;
    }

    /// Takes at most `budget` bytes of messages (but at least one buffer) and everything else.
    pub(super) fn visit(&self, budget: usize) -> Visit {
        let mut state = self.lock();
        state.listed = false;
        let was_full = state.bytes >= LANE_BYTES;
        let mut visit = Visit {
            credit: std::mem::take(&mut state.credit),
            ..Visit::default()
        };
        let mut taken = 0;
        while taken < budget
            && let Some(messages) = state.queue.pop_front()
        {
            taken += messages.len();
            visit.messages.push(messages);
        }
        state.bytes -= taken;
        visit.more = !state.queue.is_empty();
        if !visit.more {
            visit.down = state.down.take();
        }
        let has_space = state.bytes < LANE_BYTES;
        drop(state);
        if was_full && has_space {
            self.space.notify_waiters();
        }
        visit
    }
}

/// Lanes that have something for the driver, in the order in which they said so.
#[derive(Debug, Default)]
pub(super) struct Ready {
    lanes: Mutex<VecDeque<Arc<Inbox>>>,
    wake: Notify,
}

impl Ready {
    /// Lists a lane (once) and wakes the driver.
    pub(super) fn announce(&self, inbox: &Arc<Inbox>) {
        if std::mem::replace(&mut inbox.lock().listed, true) {
            return;
        }
        self.lock().push_back(Arc::clone(inbox));
        self.wake.notify_one();
    }

    /// The lanes to serve in this round.
    pub(super) fn take(&self) -> VecDeque<Arc<Inbox>> {
        std::mem::take(&mut *self.lock())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(super) async fn wait(&self) {
        self.wake.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Inbox>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane() -> (Lane, Arc<Inbox>, Arc<Ready>) {
        let inbox = Arc::new(Inbox::new(PeerId {
            index: 1,
            generation: 1,
        }));
        let ready = Arc::new(Ready::default());
        (Lane::new(Arc::clone(&inbox), Arc::clone(&ready)), inbox, ready)
    }

    #[tokio::test]
    async fn a_full_lane_waits_and_goes_on() {
        let (lane, inbox, ready) = lane();
        lane.received(vec![0; LANE_BYTES].into()).await;
        assert!(!lane.has_space());
        let waiting = tokio::spawn(async move {
            lane.received(Bytes::from_static(b"x")).await;
            lane
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        assert_eq!(ready.take().len(), 1);
        assert_eq!(inbox.visit(1).messages.len(), 1);
        drop(waiting.await.unwrap());
        // The drop flushes: the byte that waited is gone.
        let visit = inbox.visit(1);
        assert!(visit.messages.is_empty());
        assert_eq!(visit.down, Some(DownRoutes::Flush));
    }

    #[tokio::test]
    async fn down_with_retained_routes_comes_behind_the_messages() {
        let (lane, inbox, _) = lane();
        lane.received(Bytes::from_static(b"one")).await;
        lane.received(Bytes::from_static(b"two")).await;
        lane.credit(5);
        let retain = DownRoutes::Retain {
            families: bgp_codec::FamilySet::IPV4_UNICAST,
            restart_time: std::time::Duration::from_secs(120),
            long_lived: crate::rib::interface::LongLived::NONE,
        };
        lane.down(retain.clone());
        let first = inbox.visit(1);
        assert_eq!(
            (first.messages.len(), first.credit, first.more, first.down),
            (1, 5, true, None)
        );
        assert_eq!(inbox.visit(100).down, Some(retain));
    }
}
