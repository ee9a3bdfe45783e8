//! Two network namespaces and a veth pair: the daemon in one, the load generator in the other.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The daemon's address; the generator's sessions have others of the same subnet.
pub const DAEMON: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
/// An address of the generator that no daemon knows.
pub const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 99, 255, 1);
const NAMES: &str = "/run/netns";
const PREFIX_LEN: u8 = 16;

/// The address of session `number`, counted from 0.
pub fn address(number: usize) -> Ipv4Addr {
    let number = u32::try_from(number).expect("fewer sessions than addresses");
    // 200 in each third octet, so that the last one is never 0 or 255.
    Ipv4Addr::new(10, 99, (number / 200) as u8, (number % 200) as u8 + 10)
}

/// The namespaces and a directory for files; all of it goes when this is dropped.
pub struct Lab {
    name: String,
    pub dir: PathBuf,
}

impl Lab {
    /// Builds the laboratory and moves the calling thread into the generator's side.
    pub fn build(addresses: usize) -> io::Result<Self> {
        remove_stale();
        let name = format!("sc{}", std::process::id());
        let lab = Self {
            dir: std::env::temp_dir().join(&name),
            name,
        };
        fs::create_dir_all(&lab.dir)?;
        // Daemons that give up their privileges still have to find their files.
        fs::set_permissions(&lab.dir, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        for side in ["daemon", "load"] {
            ip(&["netns", "add", &lab.namespace(side)])?;
        }
        ip(&[
            "link",
            "add",
            "eth0",
            "netns",
            &lab.namespace("daemon"),
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            &lab.namespace("load"),
        ])?;
        let mut batch = format!("address add {STRANGER}/{PREFIX_LEN} dev eth0\n");
        for number in 0..addresses {
            batch += &format!("address add {}/{PREFIX_LEN} dev eth0\n", address(number));
        }
        lab.batch("load", &batch)?;
        lab.batch("daemon", &format!("address add {DAEMON}/{PREFIX_LEN} dev eth0\n"))?;
        for side in ["daemon", "load"] {
            lab.batch(side, "link set lo up\nlink set eth0 up\n")?;
        }
        enter(&lab.namespace("load"))?;
        // A thousand neighbours answer from one interface: their entries must not be pushed out of the daemon's cache.
        let _fewer = fs::write("/proc/sys/net/ipv4/neigh/default/gc_thresh3", "8192");
        Ok(lab)
    }

    /// The name of one side's namespace.
    pub fn namespace(&self, side: &str) -> String {
        format!("{}.{side}", self.name)
    }

    /// A file of the daemon under test.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Starts from an empty directory.
    pub fn clear(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.dir)?;
        fs::create_dir_all(&self.dir)?;
        fs::set_permissions(&self.dir, std::os::unix::fs::PermissionsExt::from_mode(0o755))
    }

    fn batch(&self, side: &str, lines: &str) -> io::Result<()> {
        let mut command = Command::new("ip");
        command
            .args(["-n", &self.namespace(side), "-batch", "-"])
            .stdin(Stdio::piped());
        let mut child = command.spawn()?;
        child
            .stdin
            .take()
            .ok_or_else(|| io::Error::other("no pipe"))?
            .write_all(lines.as_bytes())?;
        if child.wait()?.success() {
            Ok(())
        } else {
            Err(io::Error::other("ip -batch failed"))
        }
    }

    /// The processes in the daemon's namespace.
    pub fn daemon_processes(&self) -> Vec<Pid> {
        processes_in(&self.namespace("daemon"))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for side in ["daemon", "load"] {
            remove(&self.namespace(side));
        }
        let _gone = fs::remove_dir_all(&self.dir);
    }
}

/// Moves the calling thread into a namespace.
pub fn enter(namespace: &str) -> io::Result<()> {
    let file = File::open(Path::new(NAMES).join(namespace))?;
    setns(file, CloneFlags::CLONE_NEWNET).map_err(Into::into)
}

fn ip(arguments: &[&str]) -> io::Result<()> {
    let status = Command::new("ip").args(arguments).status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("ip {} failed", arguments.join(" "))))
    }
}

/// What earlier runs left behind whose process is gone: killed by force, a run cannot clean up.
fn remove_stale() {
    for entry in fs::read_dir(NAMES).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some((pid, side)) = name.strip_prefix("sc").and_then(|rest| rest.split_once('.')) else {
            continue;
        };
        let ours = ["daemon", "load"].contains(&side);
        if ours && pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists() {
            remove(&name);
            let _gone = fs::remove_dir_all(std::env::temp_dir().join(format!("sc{pid}")));
        }
    }
}

/// Removes a namespace's name, and on the daemon's side what runs there. On the other side there are only this process and
/// what was asked to run beside it.
fn remove(name: &str) {
    if name.ends_with(".daemon") {
        end_processes(name);
    }
    let _removed = Command::new("ip")
        .args(["netns", "del", name])
        .stderr(Stdio::null())
        .status();
}

/// Ends the processes in a namespace; only what this benchmark started can be there.
pub fn end_processes(name: &str) {
    for pid in processes_in(name) {
        let _gone = kill(pid, Signal::SIGKILL);
    }
}

fn processes_in(name: &str) -> Vec<Pid> {
    let output = Command::new("ip")
        .args(["netns", "pids", name])
        .stderr(Stdio::null())
        .output();
    let text = output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    text.lines()
        .filter_map(|line| line.trim().parse().ok())
        .map(Pid::from_raw)
        .collect()
}
