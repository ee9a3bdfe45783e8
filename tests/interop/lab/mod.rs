//! What a scenario is built from: network namespaces, the links between them, and other people's BGP daemons.
//!
//! A [`Lab`] owns everything a scenario made. Dropping it ends the daemons, removes the namespaces and the files, and
//! when the scenario failed prints the end of every log first. Labs share nothing, so scenarios run side by side.

pub(crate) mod article;
pub(crate) mod bird;
pub(crate) mod bird1;
pub(crate) mod exabgp;
pub(crate) mod frr;
pub(crate) mod gobgp;
pub(crate) mod link;
pub(crate) mod monitor;
pub(crate) mod namespace;
pub(crate) mod needs;
pub(crate) mod openbgpd;
pub(crate) mod outcome;
pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod speaker;
pub(crate) mod stonechat;
pub(crate) mod wait;
pub(crate) mod web;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) use namespace::Namespace;
pub(crate) use needs::{Need, skipped};
pub(crate) use wait::await_until;

static NEXT: AtomicU32 = AtomicU32::new(1);
static STALE: Once = Once::new();

/// How much of each log a failed scenario prints.
const LOG_TAIL_LINES: usize = 40;

/// One scenario's namespaces and files, all named after this process and a number.
pub(crate) struct Lab {
    name: String,
    dir: PathBuf,
}

impl Lab {
    pub(crate) fn new() -> Self {
        STALE.call_once(namespace::remove_stale);
        let name = format!(
            "sc{}.{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let dir = std::env::temp_dir().join(&name);
        fs::create_dir_all(&dir).expect("create the lab's directory");
        Self { name, dir }
    }

    /// Makes a namespace; `role` appears in its name.
    pub(crate) fn namespace(&self, role: &str) -> Namespace {
        Namespace::create(&format!("{}.{role}", self.name))
    }

    /// Makes a directory for a daemon's configuration, sockets and logs.
    pub(crate) fn dir(&self, name: &str) -> PathBuf {
        let dir = self.dir.join(name);
        fs::create_dir_all(&dir).expect("create a daemon's directory");
        dir
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            print_logs(&self.dir);
        }
        // Scenario fields are dropped in any order, so daemons may outlive this call by a moment.
        namespace::remove_all_of(&self.name);
        if std::env::var_os("STONECHAT_LAB_KEEP").is_none() {
            let _removed = fs::remove_dir_all(&self.dir);
        }
    }
}

/// Prints the end of every log file below `dir`.
fn print_logs(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            print_logs(&path);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "log" || extension == "said")
        {
            println!("--- {} (last {LOG_TAIL_LINES} lines)", path.display());
            println!("{}", tail(&path));
        }
    }
}

/// The last lines of a file, or why it cannot be read.
pub(crate) fn tail(path: &Path) -> String {
    match fs::read(path) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
        }
        Err(error) => format!("{}: {error}", path.display()),
    }
}
