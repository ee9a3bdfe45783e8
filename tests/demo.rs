//! `stonechat demo` from beginning to end, as the user who runs the tests and as nobody.

#![expect(clippy::print_stderr, reason = "a skipped test says why")]

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
};

/// The user and group `nobody` of every Linux.
const NOBODY: u32 = 65_534;

/// What the demo says where it cannot work.
const FORBIDDEN: &str = "does not let this program make network namespaces";

#[test]
fn tells_its_story_and_leaves_nothing_behind() {
    let place = Place::new("own");
    check(Command::new(env!("CARGO_BIN_EXE_stonechat")), &place);
}

#[test]
fn needs_no_privileges_where_user_namespaces_are_allowed() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("skipped: the other test runs without privileges already");
    }
    let place = Place::new("nobody");
    fs::set_permissions(&place.0, fs::Permissions::from_mode(0o777)).expect("open the directory to nobody");
    // The build directory may be where nobody can look.
    let binary = place.0.with_extension("binary");
    fs::copy(env!("CARGO_BIN_EXE_stonechat"), &binary).expect("copy the binary");
    let mut command = Command::new(&binary);
    command.uid(NOBODY).gid(NOBODY).current_dir("/");
    check(command, &place);
    fs::remove_file(&binary).expect("remove the copy");
}

fn check(mut command: Command, place: &Place) {
    let output = command
        .arg("demo")
        .env("TMPDIR", &place.0)
        .output()
        .expect("start the demo");
    let story = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    if complaint.contains(FORBIDDEN) && std::env::var_os("CI").is_none() {
        return eprintln!("skipped: {complaint}");
    }
    assert!(output.status.success(), "{}\n{story}\n{complaint}", output.status);
    assert!(story.contains("Every session is as old as before."), "{story}");
    let left: Vec<_> = fs::read_dir(&place.0)
        .expect("list the temporary directory")
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

/// A temporary directory for the demo's own.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = Path::new("/tmp").join(format!("stonechat-test-{}-{name}", std::process::id()));
        fs::create_dir(&path).expect("make a temporary directory");
        Self(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}
