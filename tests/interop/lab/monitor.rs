//! `ip monitor route` in a namespace: every change of its routes, with the instant it was seen.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Namespace, await_until};

/// A change as `ip` prints it (`Deleted 10.244.0.0/24 via ...`), and when.
pub(crate) type Change = (Instant, String);

/// The watcher; dropping it ends it.
pub(crate) struct Monitor {
    child: Child,
    changes: Arc<Mutex<Vec<Change>>>,
}

impl Monitor {
    /// Starts to watch the main tables of both families.
    pub(crate) fn start(namespace: &Namespace) -> Self {
        let mut command = Command::new("ip");
        command.args(["-n", namespace.name(), "-N", "-o", "monitor", "route"]);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start ip monitor");
        let output = child.stdout.take().expect("its output is piped");
        let changes = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&changes);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                seen.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push((Instant::now(), line));
            }
        });
        let monitor = Self { child, changes };
        monitor.await_first(namespace);
        monitor
    }

    /// Every change so far.
    pub(crate) fn changes(&self) -> Vec<Change> {
        self.changes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The changes so far whose text begins with `start`.
    pub(crate) fn starting_with(&self, start: &str) -> Vec<String> {
        let texts = self.changes().into_iter().map(|(_, text)| text);
        texts.filter(|text| text.starts_with(start)).collect()
    }

    /// Waits for a change that begins with `start`, at most `bound`, and yields when it was seen.
    pub(crate) fn await_change(&self, start: &str, bound: Duration) -> Result<Instant, String> {
        let deadline = Instant::now() + bound;
        loop {
            if let Some((at, _)) = self.changes().iter().find(|(_, text)| text.starts_with(start)) {
                return Ok(*at);
            }
            if Instant::now() >= deadline {
                return Err(format!("no change `{start}` among {:#?}", self.changes()));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Changes a route of no consequence until the watcher reports it: from then on it misses nothing.
    fn await_first(&self, namespace: &Namespace) {
        await_until("ip monitor reports", || {
            namespace.ip("route add unreachable 192.0.0.8/32");
            namespace.ip("route del unreachable 192.0.0.8/32");
            if !self.changes().iter().any(|(_, text)| text.contains("192.0.0.8")) {
                Err("nothing yet".to_owned())
            } else {
                Ok(())
            }
        });
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _waited = self.child.wait();
    }
}
