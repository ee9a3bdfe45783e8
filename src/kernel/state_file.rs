//! What a daemon leaves for its successor: a file in the state directory.
//!
//! It decides two bits of the graceful restart capability, RFC 4724 §3. R says that we have restarted: only if the file
//! exists and was written since this machine booted. F says for a family that forwarding went on: nothing was installed,
//! so that nothing could stop, or the kernel still shows what the file lists. Helpers flush at once on F = 0.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::fib::FibKey;
use crate::route::Prefix;

/// The file's name in the state directory.
const FILE_NAME: &str = "state.json";
/// Routes listed one by one in a family; above it only their number is kept.
const MAX_LISTED: usize = 4096;

/// Where only the number is kept, one route in so many may be missing.
const TOLERANCE: usize = 16;

/// The content of the file.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SavedState {
    /// `/proc/sys/kernel/random/boot_id` when it was written.
    pub boot_id: String,
    /// BGP Identifier in use: kept across restarts.
    pub router_id: Ipv4Addr,
    /// What the kernel held of ours.
    pub installed: Installed,
    /// The daemon ended on purpose, so the file is exact.
    pub clean: bool,
    /// Whatever the speaker wants to find again: VIP verdicts, drain states.
    #[serde(default)]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// What the kernel holds of ours, by family.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Installed {
    /// IPv4 routes.
    pub ipv4: Routes,
    /// IPv6 routes.
    pub ipv6: Routes,
}

/// Routes of one family.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Routes {
    /// How many.
    pub count: usize,
    /// Their prefixes, unless there are too many to list.
    pub prefixes: Option<BTreeSet<Prefix>>,
}

/// For which families forwarding was kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ForwardingKept {
    /// IPv4.
    pub ipv4: bool,
    /// IPv6.
    pub ipv6: bool,
}

impl Routes {
    /// So many routes; `held` is asked only where they are listed.
    pub(crate) fn new(count: usize, held: impl FnOnce() -> Vec<(FibKey, u32)>) -> Self {
        let list = || held().into_iter().map(|((_, prefix), _)| prefix).collect();
        Self {
            count,
            prefixes: (count <= MAX_LISTED).then(list),
        }
    }

    /// Whether everything here is in `present` as well.
    fn is_in(&self, present: &Self) -> bool {
        match (&self.prefixes, &present.prefixes) {
            (Some(before), Some(after)) => before.is_subset(after),
            // The present is too much to list, the past was not: each of its prefixes may well be there.
            (Some(_), None) => true,
            // The file lags by a second, in which some may have gone rightly.
            (None, _) => self.count - self.count / TOLERANCE <= present.count,
        }
    }
}

impl SavedState {
    /// For which families forwarding went on, given what the first dump shows.
    #[must_use]
    pub fn forwarding_kept(&self, present: &Installed) -> ForwardingKept {
        ForwardingKept {
            ipv4: self.installed.ipv4.is_in(&present.ipv4),
            ipv6: self.installed.ipv6.is_in(&present.ipv6),
        }
    }

    /// Writes the file so that a reader finds the old one or the new one, never half of one.
    ///
    /// # Errors
    ///
    /// The directory cannot be made or written.
    pub fn save(&self, state_dir: &Path) -> io::Result<()> {
        fs::create_dir_all(state_dir)?;
        let temporary = state_dir.join(format!("{FILE_NAME}.new"));
        let mut file = fs::File::create(&temporary)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        // The directory is on a tmpfs that a crash of the machine takes along: no fsync.
        fs::rename(&temporary, state_dir.join(FILE_NAME))
    }
}

/// Reads what a predecessor of this boot left; none where there is no such file, or it is another boot's or damaged.
#[must_use]
pub fn load(state_dir: &Path, boot_id: &str) -> Option<SavedState> {
    let bytes = fs::read(state_dir.join(FILE_NAME)).ok()?;
    match serde_json::from_slice::<SavedState>(&bytes) {
        Ok(state) if state.boot_id == boot_id => Some(state),
        Ok(_) => None,
        Err(error) => {
            tracing::warn!(%error, "the state file is damaged and is ignored");
            None
        }
    }
}

/// Says that the daemon lives, to a successor that asks for the file's [`age`].
///
/// # Errors
///
/// There is no file, or it cannot be written.
pub fn touch(state_dir: &Path, now: SystemTime) -> io::Result<()> {
    let file = fs::File::options().write(true).open(state_dir.join(FILE_NAME))?;
    file.set_modified(now)
}

/// How long ago the file was written or touched last; none without a file, zero where a clock was set back.
#[must_use]
pub fn age(state_dir: &Path, now: SystemTime) -> Option<Duration> {
    let modified = fs::metadata(state_dir.join(FILE_NAME)).ok()?.modified().ok()?;
    Some(now.duration_since(modified).unwrap_or_default())
}

/// Removes the file: leaving for good leaves nothing behind.
///
/// # Errors
///
/// It exists and cannot be removed.
pub fn remove(state_dir: &Path) -> io::Result<()> {
    match fs::remove_file(state_dir.join(FILE_NAME)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// This boot's id.
///
/// # Errors
///
/// `/proc` is not there.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::TableId;

    #[test]
    fn a_reflector_kept_its_forwarding_because_it_had_none() {
        let state = state(&[]);
        assert_eq!(
            state.forwarding_kept(&installed(&[])),
            ForwardingKept {
                ipv4: true,
                ipv6: true
            }
        );
        assert_eq!(
            state.forwarding_kept(&installed(&["10.0.0.0/8"])),
            ForwardingKept {
                ipv4: true,
                ipv6: true
            }
        );
    }

    #[test]
    fn routes_that_are_gone_clear_the_bit_of_their_family_alone() {
        let state = state(&["10.0.0.0/8", "2001:db8::/32"]);
        let both = installed(&["10.0.0.0/8", "2001:db8::/32", "10.1.0.0/16"]);
        assert_eq!(
            state.forwarding_kept(&both),
            ForwardingKept {
                ipv4: true,
                ipv6: true
            }
        );
        let flushed = installed(&["10.1.0.0/16", "2001:db8::/32"]);
        assert_eq!(
            state.forwarding_kept(&flushed),
            ForwardingKept {
                ipv4: false,
                ipv6: true
            }
        );
    }

    #[test]
    fn a_long_list_is_kept_as_a_number() {
        let many: Vec<(FibKey, u32)> = (0..=MAX_LISTED)
            .map(|index| u32::try_from(index).unwrap())
            .map(|index| {
                (
                    (
                        TableId::MAIN,
                        Prefix::new(Ipv4Addr::from(index).into(), 32).unwrap(),
                    ),
                    1,
                )
            })
            .collect();
        let before = of(many.clone());
        assert_eq!(
            (before.ipv4.count, &before.ipv4.prefixes),
            (MAX_LISTED + 1, &None)
        );
        let mut state = state(&[]);
        state.installed = before;
        assert!(state.forwarding_kept(&of(many[1..].to_vec())).ipv4);
        assert!(!state.forwarding_kept(&of(many[many.len() / 10..].to_vec())).ipv4);
        assert!(!state.forwarding_kept(&of(Vec::new())).ipv4);
    }

    #[test]
    fn only_a_file_of_this_boot_counts() {
        let directory = std::env::temp_dir().join(format!("sc{}-state", std::process::id()));
        let mut state = state(&["10.0.0.0/8"]);
        state
            .extra
            .insert("vips".to_owned(), serde_json::json!({ "shop": true }));
        state.save(&directory).unwrap();
        assert_eq!(load(&directory, "this"), Some(state));
        assert_eq!(load(&directory, "that"), None);
        fs::write(directory.join(FILE_NAME), "{").unwrap();
        assert_eq!(load(&directory, "this"), None);
        remove(&directory).unwrap();
        remove(&directory).unwrap();
        fs::remove_dir(&directory).unwrap();
    }

    fn state(prefixes: &[&str]) -> SavedState {
        SavedState {
            boot_id: "this".to_owned(),
            router_id: Ipv4Addr::new(192, 0, 2, 1),
            installed: installed(prefixes),
            clean: true,
            extra: serde_json::Map::new(),
        }
    }

    fn installed(prefixes: &[&str]) -> Installed {
        let held = prefixes
            .iter()
            .map(|prefix| ((TableId::MAIN, prefix.parse().unwrap()), 200));
        of(held.collect())
    }

    fn of(held: Vec<(FibKey, u32)>) -> Installed {
        let (ipv6, ipv4): (Vec<_>, Vec<_>) = held
            .into_iter()
            .partition(|((_, prefix), _)| prefix.addr().is_ipv6());
        Installed {
            ipv4: Routes::new(ipv4.len(), || ipv4),
            ipv6: Routes::new(ipv6.len(), || ipv6),
        }
    }
}
