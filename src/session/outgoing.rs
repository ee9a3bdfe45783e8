//! The sending half of one connection: what waits for it, and the socket that takes it.
//!
//! The session's task owns it. The RIB's edge may use it in between, as long as nothing waits: a change that the socket takes at
//! once then reaches every peer without a turn of as many tasks.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::tcp::OwnedWriteHalf;

use super::outbox::{Accepted, Outbox};
use super::peer::Progress;
use super::status::Status;
use super::wires::is_transient;
use crate::rib::interface::{Chunk, SelfAddresses};
use crate::rib::task::{Outlet, Written};

/// See the module.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// None once the connection is gone.
    half: Option<OwnedWriteHalf>,
    pub(super) outbox: Outbox,
    /// It is being closed: the RIB has nothing more to say.
    pub(super) closing: bool,
    /// How often the RIB has had the task write something.
    handed_over: u64,
    /// What the RIB's edge has written and the task has not seen.
    aside: Progress,
    /// Why it could not; for the task.
    error: Option<io::Error>,
}

/// One [`Outgoing`], for the task and the RIB's edge.
#[derive(Clone, Debug)]
pub(super) struct SharedOutgoing(Arc<Mutex<Outgoing>>);

impl SharedOutgoing {
    pub(super) fn new(half: OwnedWriteHalf) -> Self {
        Self(Arc::new(Mutex::new(Outgoing {
            half: Some(half),
            outbox: Outbox::default(),
            closing: false,
            handed_over: 0,
            aside: Progress::default(),
            error: None,
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Outgoing> {
        // Nothing panics while it holds the lock, and the state is valid between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of the socket, whoever still knows of this.
    pub(super) fn abandon(&self) {
        // Not a word to the peer: the socket is closed as a whole.
        if let Some(half) = self.lock().half.take() {
            half.forget();
        }
    }

    /// What the RIB's edge has written since this was last asked; none if nothing.
    pub(super) fn take_aside(&self) -> Option<Progress> {
        let mut outgoing = self.lock();
        let aside = std::mem::take(&mut outgoing.aside);
        (aside.bytes > 0).then(|| Progress {
            queued: outgoing.outbox.queued(),
            ..aside
        })
    }
}

impl Outgoing {
    /// Takes what the RIB has the task write.
    pub(super) fn hand_over(&mut self, chunks: &[Chunk], addresses: &SelfAddresses) {
        self.handed_over += 1;
        for chunk in chunks {
            self.outbox.push_chunk(chunk, addresses);
        }
    }

    /// Writes what the socket takes.
    pub(super) fn write(&mut self) -> io::Result<Accepted> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let mut sum = Accepted::default();
        while self.outbox.queued() > 0 {
            let Some(half) = &self.half else {
                return Err(io::ErrorKind::NotConnected.into());
            };
            let written = half.try_write_vectored(&self.outbox.slices());
            match written {
                Ok(len) => {
                    let accepted = self.outbox.advance(len);
                    sum.credit += accepted.credit;
                    sum.progress.bytes += accepted.progress.bytes;
                    sum.progress.messages.add(&accepted.progress.messages);
                }
                Err(error) if is_transient(&error) => break,
                Err(error) => return Err(error),
            }
        }
        sum.progress.queued = self.outbox.queued();
        Ok(sum)
    }

    /// Whether nothing keeps the RIB's edge from writing what comes after `handed_over` writes of the task.
    fn is_free(&self, handed_over: u64) -> bool {
        let idle = self.outbox.queued() == 0 && self.error.is_none();
        idle && self.handed_over == handed_over && !self.closing && self.half.is_some()
    }
}

/// What the RIB's edge may write to.
#[derive(Debug)]
pub(super) struct Direct {
    pub(super) outgoing: SharedOutgoing,
    pub(super) addresses: SelfAddresses,
    /// The peer as others see it: its counters are never behind what has been written.
    pub(super) status: Arc<Mutex<Status>>,
}

impl Outlet for Direct {
    fn write(&self, chunks: Vec<Chunk>, handed_over: u64) -> Written {
        let mut outgoing = self.outgoing.lock();
        if !outgoing.is_free(handed_over) {
            return Written::Refused(chunks);
        }
        for chunk in &chunks {
            outgoing.outbox.push_chunk(chunk, &self.addresses);
        }
        let accepted = match outgoing.write() {
            Ok(accepted) => accepted,
            Err(error) => {
                outgoing.error = Some(error);
                return Written::Partly(0);
            }
        };
        let Accepted { progress, credit } = accepted;
        outgoing.aside.bytes += progress.bytes;
        outgoing.aside.messages.add(&progress.messages);
        drop(outgoing);
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.bytes_sent += u64::try_from(progress.bytes).unwrap_or_default();
        status.messages_sent.add(&progress.messages);
        if progress.queued == 0 {
            Written::All(credit)
        } else {
            Written::Partly(credit)
        }
    }
}
