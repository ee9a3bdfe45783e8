//! A named network namespace: made, entered by commands, and removed with every process left in it.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::outcome::Outcome;

/// Where `ip netns` keeps its names.
const NAMES: &str = "/run/netns";

/// A network namespace of this process, removed on drop.
#[derive(Debug)]
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    pub(super) fn create(name: &str) -> Self {
        Outcome::of(Command::new("ip").args(["netns", "add", name])).expect_success();
        let namespace = Self {
            name: name.to_owned(),
        };
        namespace.ip("link set lo up");
        // Link-local addresses are usable at once: FRR refuses IPv6 sessions over an interface without one.
        namespace.sysctl("net.ipv6.conf.default.accept_dad", "0");
        namespace
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run inside.
    ///
    /// `ip netns exec` replaces itself by the program, so the process id is the program's own.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs a command line (split at spaces) inside.
    pub(crate) fn exec(&self, line: &str) -> Outcome {
        let mut words = line.split_whitespace();
        let program = words.next().expect("a command has a name");
        Outcome::of(self.command(program).args(words))
    }

    /// Runs `ip` with `arguments` (split at spaces) on this namespace; it has to succeed.
    #[track_caller]
    pub(crate) fn ip(&self, arguments: &str) -> String {
        self.try_ip(arguments).expect_success()
    }

    /// Runs `ip` with `arguments` (split at spaces) on this namespace.
    pub(crate) fn try_ip(&self, arguments: &str) -> Outcome {
        Outcome::of(
            Command::new("ip")
                .args(["-n", &self.name])
                .args(arguments.split_whitespace()),
        )
    }

    /// The routes of a family's main table (`-4` or `-6`), protocols as numbers.
    pub(crate) fn routes(&self, family: &str) -> Vec<Value> {
        let mut command = Command::new("ip");
        let outcome = Outcome::of(command.args(["-n", &self.name, family, "-N", "-j", "route", "show"]));
        let json = if outcome.stdout.trim().is_empty() {
            Ok(Value::Array(Vec::new()))
        } else {
            outcome.json()
        };
        match json {
            Ok(Value::Array(routes)) => routes,
            other => panic!("ip -j route: {other:?}"),
        }
    }

    /// Writes a kernel setting below `/proc/sys`, as `net.ipv4.ip_forward`.
    pub(crate) fn sysctl(&self, setting: &str, value: &str) {
        // Interface names hold dots more rarely than settings do; those that do are not set here.
        let path = format!("/proc/sys/{}", setting.replace('.', "/"));
        Outcome::of(self.command("sh").args(["-c", &format!("echo {value} > {path}")])).expect_success();
    }

    /// Runs `inside` on a thread that has entered this namespace: the sockets it opens belong there.
    pub(crate) fn spawn_inside<T: Send + 'static>(
        &self,
        inside: impl FnOnce() -> T + Send + 'static,
    ) -> std::thread::JoinHandle<T> {
        let namespace = File::open(Path::new(NAMES).join(&self.name)).expect("open the namespace");
        std::thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("enter the namespace");
            inside()
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Removes what earlier runs left behind whose process is gone.
pub(super) fn remove_stale() {
    for name in names() {
        let Some((pid, _)) = name.strip_prefix("sc").and_then(|rest| rest.split_once('.')) else {
            continue;
        };
        if pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists() {
            remove(&name);
            let lab = name.rsplit_once('.').map_or(name.as_str(), |(lab, _role)| lab);
            let _removed = fs::remove_dir_all(std::env::temp_dir().join(lab));
        }
    }
}

/// Removes the namespaces of one lab that are still there.
pub(super) fn remove_all_of(lab: &str) {
    let prefix = format!("{lab}.");
    for name in names().iter().filter(|name| name.starts_with(&prefix)) {
        remove(name);
    }
}

fn names() -> Vec<String> {
    let Ok(entries) = fs::read_dir(NAMES) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// Ends every process in the namespace, then removes its name. A namespace that is gone already is fine.
fn remove(name: &str) {
    if !Path::new(NAMES).join(name).exists() {
        return;
    }
    let pids = Outcome::of(Command::new("ip").args(["netns", "pids", name]));
    for pid in pids.stdout.lines().filter_map(|line| line.trim().parse().ok()) {
        // The process may have ended since it was listed.
        let _sent = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    Outcome::of(Command::new("ip").args(["netns", "del", name]));
}
