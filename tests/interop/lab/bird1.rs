//! Debian's BIRD 1.6.8, the version that Calico ships. It cannot be installed beside bird2, so its package is
//! downloaded once and unpacked below the build directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::outcome::Outcome;

/// The directory that holds `usr/sbin/bird`, `bird6`, `birdc` and `birdc6`, or why there is none.
pub(crate) fn unpacked() -> Result<&'static Path, String> {
    static UNPACKED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    UNPACKED.get_or_init(unpack).as_deref().map_err(Clone::clone)
}

fn unpack() -> Result<PathBuf, String> {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bird1");
    let root = cache.join("root");
    if root.join("usr/sbin/bird").exists() {
        return Ok(root);
    }
    // Unpacked apart and then renamed, because a half-unpacked package must not pass for a whole one.
    let partial = cache.join(format!("partial.{}", std::process::id()));
    fs::create_dir_all(&partial).map_err(|error| format!("{}: {error}", partial.display()))?;
    run(Command::new("apt-get")
        .args(["download", "bird"])
        .current_dir(&partial))?;
    let entries = fs::read_dir(&partial).map_err(|error| error.to_string())?;
    let package = entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .ok_or("apt-get downloaded no package")?;
    run(Command::new("dpkg")
        .arg("-x")
        .arg(package)
        .arg(partial.join("root")))?;
    let renamed = fs::rename(partial.join("root"), &root);
    let _removed = fs::remove_dir_all(&partial);
    // Another test process may have been first.
    if renamed.is_err() && !root.join("usr/sbin/bird").exists() {
        return Err(format!("cannot move BIRD 1.6 to {}", root.display()));
    }
    Ok(root)
}

fn run(command: &mut Command) -> Result<(), String> {
    let outcome = Outcome::of(command);
    if outcome.success {
        Ok(())
    } else {
        Err(format!("BIRD 1.6: {}: {}", outcome.command, outcome.stderr))
    }
}
