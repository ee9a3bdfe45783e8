//! A timer that stays set: most of what wakes a session leaves its next deadline where it is.

use std::future::pending;
use std::pin::Pin;
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};

/// Rings once for each time that it is set to.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    at: Option<Instant>,
}

impl Alarm {
    /// Sets it, or stops it; nothing happens if it is set to that time already.
    pub(super) fn set(&mut self, at: Option<Instant>) {
        if self.at == at {
            return;
        }
        self.at = at;
        let Some(at) = at else { return };
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(at.into()),
            None => self.sleep = Some(Box::pin(sleep_until(at.into()))),
        }
    }

    /// Waits until it rings; for ever while it is not set.
    pub(super) async fn rings(&mut self) {
        let (Some(_), Some(sleep)) = (self.at, &mut self.sleep) else {
            return pending().await;
        };
        sleep.as_mut().await;
        self.at = None;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_rings_once_for_each_time() {
        let now = tokio::time::Instant::now().into_std();
        let mut alarm = Alarm::default();
        assert!(!rings_now(&mut alarm));
        alarm.set(Some(now + Duration::from_secs(3_600)));
        assert!(!rings_now(&mut alarm));
        alarm.set(Some(now));
        alarm.rings().await;
        assert!(!rings_now(&mut alarm));
        // The same time again is a new wish once it has rung.
        alarm.set(Some(now));
        alarm.rings().await;
        alarm.set(Some(now));
        alarm.set(None);
        assert!(!rings_now(&mut alarm));
    }

    fn rings_now(alarm: &mut Alarm) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        pin!(alarm.rings()).poll(&mut context).is_ready()
    }
}
