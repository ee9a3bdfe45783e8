//! Hooks: a command at each change of a VIP's verdict or announcement, in order for each VIP, and never in anybody's way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};

use super::command;
use super::set::Change;

/// A hook that takes longer is killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Changes of one VIP that may wait; a hook that is slower than that misses some, and the log says so.
const WAITING: usize = 16;

/// Hooks that run at the same time; more wait for their turn.
const MOST: usize = 64;

/// One worker for each VIP with a hook, while it has something to do.
#[derive(Debug)]
pub(super) struct Hooks {
    workers: BTreeMap<Arc<str>, mpsc::Sender<Change>>,
    turns: Arc<Semaphore>,
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            workers: BTreeMap::new(),
            turns: Arc::new(Semaphore::new(MOST)),
        }
    }
}

impl Hooks {
    /// Runs the VIP's hook, if it has one, when those of its earlier changes have ended.
    pub(super) fn changed(&mut self, change: Change) {
        if change.vip.on_change.is_none() {
            return;
        }
        let name = Arc::clone(&change.vip.name);
        let worker = self.workers.entry(name).or_insert_with(|| {
            let (sender, receiver) = mpsc::channel(WAITING);
            tokio::spawn(work(receiver, Arc::clone(&self.turns)));
            sender
        });
        if let Err(error) = worker.try_send(change) {
            tracing::warn!(%error, "a hook is too slow and misses a change");
        }
    }

    /// Lets go of the workers of VIPs that are gone; what waits is still run.
    pub(super) fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.workers.retain(|name, _| is_there(name));
    }
}

async fn work(mut changes: mpsc::Receiver<Change>, turns: Arc<Semaphore>) {
    while let Some(change) = changes.recv().await {
        let Change {
            vip,
            from,
            to,
            result,
            held,
        } = change;
        let Some(words) = &vip.on_change else { continue };
        let environment = [
            ("STONECHAT_STATE", to.to_string()),
            ("STONECHAT_PREVIOUS_STATE", from.to_string()),
            // No process can be started with a NUL in its environment.
            ("STONECHAT_RESULT", result.replace('\0', "")),
            (
                "STONECHAT_ANNOUNCED",
                String::from(if held.is_none() { "yes" } else { "no" }),
            ),
            (
                "STONECHAT_REASON",
                held.map_or_else(String::new, |held| held.to_string()),
            ),
        ];
        let _turn = turns.acquire().await;
        let name = &*vip.name;
        match command::run(&vip, words, &environment, PATIENCE).await {
            Ok(said) => tracing::debug!(vip = name, said, "hook has run"),
            Err(error) => tracing::warn!(vip = name, %error, "a hook failed"),
        }
    }
}
