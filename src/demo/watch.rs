//! Waiting: for something to come true, with a deadline, and for the user's Ctrl-C at every moment.

use std::{fmt::Display, io, thread, time::Duration};

use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};
use tokio::time::Instant;

use super::Error;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// The clock of the story, and the ear for signals.
pub(super) struct Watch {
    signals: SignalFd,
    started: Instant,
    most: Duration,
}

impl Watch {
    /// Starts the clock; from here on signals that end a program are read from here only.
    ///
    /// # Errors
    /// When the kernel gives no signal descriptor.
    pub(super) fn start(most: Duration) -> io::Result<Self> {
        let ending: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
            .into_iter()
            .collect();
        ending.thread_block()?;
        let signals = SignalFd::with_flags(&ending, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Self {
            signals,
            started: Instant::now(),
            most,
        })
    }

    /// Since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Looks again and again until `look` finds something; it says what it saw instead otherwise.
    ///
    /// # Errors
    /// [`Error::NotTrue`] after `patience` or when the whole story takes too long, [`Error::Interrupted`] on a
    /// signal, and whatever `look` fails with.
    pub(super) fn until<T, S: Display>(
        &self,
        what: impl Display,
        patience: Duration,
        mut look: impl FnMut() -> Result<Result<T, S>, Error>,
    ) -> Result<T, Error> {
        let begun = Instant::now();
        loop {
            self.check()?;
            let last = match look()? {
                Ok(found) => return Ok(found),
                Err(last) => last,
            };
            if begun.elapsed() >= patience || self.elapsed() >= self.most {
                let seconds = begun.elapsed().as_secs();
                return Err(Error::NotTrue {
                    what: what.to_string(),
                    seconds,
                    last: last.to_string(),
                });
            }
            thread::sleep(PAUSE);
        }
    }

    /// Fails if somebody wants the program to end.
    ///
    /// # Errors
    /// [`Error::Interrupted`] then.
    pub(super) fn check(&self) -> Result<(), Error> {
        match self.signals.read_signal() {
            Ok(None) => Ok(()),
            _ => Err(Error::Interrupted),
        }
    }

    /// Waits until somebody wants the program to end; `look` is asked meanwhile whether all is well.
    ///
    /// # Errors
    /// Whatever `look` fails with.
    pub(super) fn rest(&self, mut look: impl FnMut() -> Result<(), Error>) -> Result<(), Error> {
        loop {
            if self.check().is_err() {
                return Ok(());
            }
            look()?;
            thread::sleep(PAUSE * 5);
        }
    }
}
