//! What a successor must know, written as it changes (design: stopping has two meanings).

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bgp_codec::{Family, FamilySet};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::answer::Answerer;
use crate::drain;
use crate::kernel::settings;
use crate::kernel::state_file::{self, Installed, SavedState};
use crate::vip;

/// The key of the VIPs' verdicts in the state file.
const VERDICTS: &str = "vips";
/// The key of the addresses that VIPs added.
const BOUND: &str = "bound";
/// The key of the peers from ranges whose routes we had.
const MEMBERS: &str = "members";
/// The key of the drains.
const DRAINS: &str = "drains";
/// The key of the peers that the operator shut down.
const SHUTDOWNS: &str = "shutdowns";
/// Writes follow each other no faster: thousands of VIPs may change at once.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);

/// The state file of this process and what its predecessor left.
#[derive(Debug)]
pub(super) struct Memory {
    state_dir: PathBuf,
    boot_id: String,
    router_id: Ipv4Addr,
    /// The last write failed; said once, not at every change.
    failing: bool,
    saved_at: Option<Instant>,
    save_at: Option<Instant>,
}

/// Between two signs of life in the state file.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);
/// What a VIP's checks said longer ago than this says nothing: whatever serves it may have died with the machine's other
/// services.
const VERDICTS_LAST: Duration = Duration::from_secs(120);

/// What the predecessor of this boot left.
pub(super) struct Legacy {
    state: Option<SavedState>,
    /// Since the predecessor lived.
    age: Duration,
}

impl Legacy {
    /// Reads it; nothing where there was none, or the machine has booted since (RFC 4724 §4.1: forwarding state is lost).
    pub(super) fn read(state_dir: &Path, boot_id: &str) -> Self {
        Self {
            state: state_file::load(state_dir, boot_id),
            age: state_file::age(state_dir, time_of_day()).unwrap_or_default(),
        }
    }

    /// The R bit may be set.
    pub(super) fn is_restart(&self) -> bool {
        self.state.is_some()
    }

    pub(super) fn router_id(&self) -> Option<Ipv4Addr> {
        self.state.as_ref().map(|state| state.router_id)
    }

    /// The F bit per family: nothing was supposed to be installed, or the kernel still shows what the file says.
    pub(super) fn forwarding(&self, kernel: Option<&settings::Settings>, present: &Installed) -> FamilySet {
        let Some(state) = &self.state else {
            return FamilySet::EMPTY;
        };
        let kept = state.forwarding_kept(present);
        let installs = kernel.is_some_and(|kernel| kernel.install);
        let families = [
            (Family::IPV4_UNICAST, kept.ipv4),
            (Family::IPV6_UNICAST, kept.ipv6),
        ];
        families
            .into_iter()
            .filter(|(_, kept)| *kept || !installs)
            .map(|(family, _)| family)
            .collect()
    }

    /// Verdicts that are too old to be true are left out: their VIPs begin as they do the first time.
    pub(super) fn vips(&self) -> vip::Legacy {
        let verdicts = if self.age <= VERDICTS_LAST {
            self.extra(VERDICTS)
        } else {
            Vec::new()
        };
        vip::Legacy {
            verdicts,
            bound: self.extra(BOUND),
        }
    }

    pub(super) fn drains(&self) -> Vec<drain::Status> {
        self.extra(DRAINS)
    }

    /// Names of the peers that the operator shut down, and the texts.
    pub(super) fn shutdowns(&self) -> Vec<(Arc<str>, String)> {
        self.extra(SHUTDOWNS)
    }

    /// Addresses of the peers from ranges whose routes we had; none where the file does not say.
    pub(super) fn members(&self) -> Option<Vec<IpAddr>> {
        let state = self.state.as_ref()?;
        state.extra.contains_key(MEMBERS).then(|| self.extra(MEMBERS))
    }

    /// A list of the file; empty where another version wrote something else.
    fn extra<T: DeserializeOwned>(&self, key: &str) -> Vec<T> {
        let saved = self
            .state
            .as_ref()
            .and_then(|state| state.extra.get(key))
            .cloned();
        saved
            .and_then(|value| serde_json::from_value(value).ok())
            .unwrap_or_default()
    }
}

/// Shows a successor until when this daemon lived; must be spawned.
pub(super) async fn keep_alive(state_dir: PathBuf) {
    let mut signs = tokio::time::interval(SIGN_OF_LIFE);
    loop {
        signs.tick().await;
        // Before the first write and after leaving there is no file.
        if let Err(error) = state_file::touch(&state_dir, time_of_day()) {
            tracing::debug!(%error, "no sign of life in the state file");
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "an edge: a successor reads the file's time"
)]
fn time_of_day() -> SystemTime {
    SystemTime::now()
}

impl Memory {
    pub(super) fn new(state_dir: PathBuf, boot_id: String, router_id: Ipv4Addr) -> Self {
        Self {
            state_dir,
            boot_id,
            router_id,
            failing: false,
            saved_at: None,
            save_at: None,
        }
    }

    /// Something that belongs into the file changed.
    pub(super) fn changed(&mut self, now: Instant) {
        let earliest = self
            .saved_at
            .map_or(now, |saved| (saved + SAVE_INTERVAL).max(now));
        self.save_at.get_or_insert(earliest);
    }

    /// When the file is to be written.
    pub(super) const fn next_deadline(&self) -> Option<Instant> {
        self.save_at
    }

    /// Writes the file anew; a failure is logged, and the next change tries again.
    pub(super) async fn save(&mut self, rooms: &Answerer, clean: bool) {
        self.saved_at = Some(Instant::now());
        self.save_at = None;
        let installed = rooms.kernel.installed().await.unwrap_or_default();
        let verdicts = serde_json::to_value(rooms.vips.verdicts()).unwrap_or(Value::Null);
        let bound = serde_json::to_value(rooms.vips.bound()).unwrap_or(Value::Null);
        let members = serde_json::to_value(&*rooms.sessions.members().borrow()).unwrap_or(Value::Null);
        let drains = serde_json::to_value(rooms.drains.statuses()).unwrap_or(Value::Null);
        let shutdowns = serde_json::to_value(rooms.shutdowns.all()).unwrap_or(Value::Null);
        let extra = Map::from_iter([
            (String::from(VERDICTS), verdicts),
            (String::from(BOUND), bound),
            (String::from(MEMBERS), members),
            (String::from(DRAINS), drains),
            (String::from(SHUTDOWNS), shutdowns),
        ]);
        let state = SavedState {
            boot_id: self.boot_id.clone(),
            router_id: self.router_id,
            installed,
            clean,
            extra,
        };
        match state.save(&self.state_dir) {
            Ok(()) => self.failing = false,
            Err(error) if !self.failing => {
                self.failing = true;
                let directory = self.state_dir.display();
                tracing::warn!(%directory, %error, "the state file cannot be written; a restart would not be graceful");
            }
            Err(_) => {}
        }
    }

    /// Leaving for good leaves no file.
    pub(super) fn forget(&self) {
        if let Err(error) = state_file::remove(&self.state_dir) {
            tracing::warn!(%error, "the state file cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_change_is_written_at_once_and_those_behind_it_together() {
        let now = Instant::now();
        let mut memory = Memory::new(PathBuf::new(), String::new(), Ipv4Addr::LOCALHOST);
        memory.changed(now);
        assert_eq!(memory.next_deadline(), Some(now));
        (memory.saved_at, memory.save_at) = (Some(now), None);
        memory.changed(now + SAVE_INTERVAL / 4);
        memory.changed(now + SAVE_INTERVAL / 2);
        assert_eq!(memory.next_deadline(), Some(now + SAVE_INTERVAL));
        (memory.saved_at, memory.save_at) = (Some(now), None);
        memory.changed(now + SAVE_INTERVAL * 3);
        assert_eq!(memory.next_deadline(), Some(now + SAVE_INTERVAL * 3));
    }

    #[test]
    fn verdicts_of_a_daemon_that_is_long_dead_say_nothing() {
        let template = std::env::temp_dir().join("stonechat-memory-XXXXXX");
        let directory = nix::unistd::mkdtemp(&template).unwrap();
        let place = json!({ "address": "192.0.2.1/32", "interface": "lo" });
        let extra = [
            (
                VERDICTS,
                json!([{ "name": "shop", "verdict": "up", "since_unix_s": 1 }]),
            ),
            (BOUND, json!([place])),
        ];
        let state = SavedState {
            boot_id: "this".into(),
            router_id: Ipv4Addr::LOCALHOST,
            installed: Installed::default(),
            clean: true,
            extra: extra
                .into_iter()
                .map(|(key, value)| (key.into(), value))
                .collect(),
        };
        state.save(&directory).unwrap();
        let kept = |age: Duration| {
            state_file::touch(&directory, time_of_day() - age).unwrap();
            let legacy = Legacy::read(&directory, "this");
            assert!(legacy.is_restart());
            let vips = legacy.vips();
            (vips.verdicts.len(), vips.bound.len())
        };
        assert_eq!(kept(Duration::from_secs(60)), (1, 1));
        assert_eq!(kept(Duration::from_secs(3 * 3_600)), (0, 1));
        std::fs::remove_dir_all(directory).unwrap();
    }
}
