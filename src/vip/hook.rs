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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    use std::path::Path;

    use tokio::time::Instant;

    use super::*;
    use crate::vip::settings::Vip;
    use crate::vip::status::Verdict;

    /// A node whose backends all die at once does not start a process for each VIP at once.
    #[tokio::test]
    async fn so_many_hooks_run_at_once_and_the_others_after_them() {
        let template = std::env::temp_dir().join("stonechat-hooks-XXXXXX");
        let directory = nix::unistd::mkdtemp(&template).unwrap();
        let everybody = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(&directory, everybody.clone()).unwrap();
        // Each says that it runs, and waits until somebody writes into the pipe.
        let pipe = directory.join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::fs::set_permissions(&pipe, everybody).unwrap();
        let script = format!(
            ": > {0}/began.$STONECHAT_VIP; read _ < {0}/pipe; exit 0",
            directory.display()
        );
        let mut hooks = Hooks::default();
        let all = MOST + 1;
        for number in 0..all {
            let mut vip = Vip::new(format!("v{number}").into(), "192.0.2.1/32".parse().unwrap());
            vip.on_change = Some(vec!["/bin/sh".into(), "-c".into(), script.clone()]);
            hooks.changed(Change {
                vip: Arc::new(vip),
                from: Verdict::Unknown,
                to: Verdict::Up,
                result: String::new(),
                held: None,
            });
        }
        until_begun(&directory, MOST, || {}).await;
        assert_eq!(hooks.turns.available_permits(), 0);
        let release = || {
            let writer = std::fs::File::options()
                .write(true)
                .custom_flags(libc::O_NONBLOCK)
                .open(&pipe);
            // Nobody reads yet, or any more.
            drop(writer.ok());
        };
        until_begun(&directory, all, release).await;
        while hooks.turns.available_permits() < MOST {
            release();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        std::fs::remove_dir_all(directory).unwrap();
    }

    async fn until_begun(directory: &Path, wanted: usize, meanwhile: impl Fn()) {
        let patience = Instant::now() + PATIENCE;
        loop {
            let files = std::fs::read_dir(directory).unwrap();
            let began = files.filter(|file| {
                let name = file.as_ref().unwrap().file_name();
                name.to_string_lossy().starts_with("began.")
            });
            let began = began.count();
            assert!(began <= wanted, "{began} at once");
            if began == wanted {
                return;
            }
            assert!(Instant::now() < patience, "{began} of {wanted}");
            meanwhile();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
