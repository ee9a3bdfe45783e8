//! Waiting for what others say: ask again until the answer is right, within a bound generous enough for a busy machine.

use std::time::{Duration, Instant};

/// How long a scenario waits for an event before it fails. No scenario measures time against it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// How long to wait before asking again; the questions themselves cost more.
const PAUSE: Duration = Duration::from_millis(60);

/// Asks `question` until it answers `Ok`, and fails with its last `Err` once [`PATIENCE`] is over.
#[track_caller]
pub(crate) fn await_until<T>(what: &str, question: impl FnMut() -> Result<T, String>) -> T {
    await_within(PATIENCE, what, question)
}

/// [`await_until`] with a bound of its own.
#[track_caller]
pub(crate) fn await_within<T>(
    bound: Duration,
    what: &str,
    mut question: impl FnMut() -> Result<T, String>,
) -> T {
    let deadline = Instant::now() + bound;
    loop {
        match question() {
            Ok(answer) => return answer,
            Err(last) if Instant::now() >= deadline => {
                panic!("waited {bound:?} in vain for: {what}\nlast answer: {last}")
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// Asks `question` for the whole of `span` and fails at the first `Err`: something has to stay as it is.
#[track_caller]
pub(crate) fn holds_for(span: Duration, what: &str, mut question: impl FnMut() -> Result<(), String>) {
    let end = Instant::now() + span;
    while Instant::now() < end {
        if let Err(last) = question() {
            panic!("did not hold for {span:?}: {what}\nanswer: {last}");
        }
        std::thread::sleep(PAUSE);
    }
}

/// `Ok` when both are equal; otherwise what was found.
pub(crate) fn equal<T: PartialEq + std::fmt::Debug>(found: &T, wanted: &T) -> Result<(), String> {
    if found == wanted {
        Ok(())
    } else {
        Err(format!("found {found:?}, wanted {wanted:?}"))
    }
}
