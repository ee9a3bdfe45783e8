//! Network namespaces: the machine under test between two peers.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The peers' addresses, each on a link of its own.
pub const PEERS: [[u8; 4]; 4] = [[10, 0, 1, 1], [10, 0, 2, 1], [10, 0, 3, 1], [10, 0, 4, 1]];
/// The other ends of those links.
pub const DUT: [[u8; 4]; 4] = [[10, 0, 1, 2], [10, 0, 2, 2], [10, 0, 3, 2], [10, 0, 4, 2]];

/// One lab; everything goes with it.
pub struct Lab {
    name: String,
    pub directory: PathBuf,
    /// Where the daemon keeps its state: on a tmpfs, as it would.
    pub state: PathBuf,
}

impl Lab {
    pub fn new(what: &str) -> Result<Self> {
        remove_stale()?;
        let name = format!("sc{}.{what}", std::process::id());
        let directory = std::env::temp_dir().join(&name);
        fs::create_dir_all(&directory)?;
        let state = Path::new("/run").join(&name);
        let lab = Self {
            name,
            directory,
            state,
        };
        let (dut, peers) = (lab.dut(), lab.peers());
        for namespace in [&dut, &peers] {
            ip(&format!("netns add {namespace}"))?;
            ip(&format!("-n {namespace} link set lo up"))?;
        }
        for (index, (peer, own)) in PEERS.into_iter().zip(DUT).enumerate() {
            ip(&format!(
                "-n {dut} link add d{index} type veth peer name p{index} netns {peers}"
            ))?;
            for (namespace, device, address) in [
                (&dut, format!("d{index}"), own),
                (&peers, format!("p{index}"), peer),
            ] {
                let address = std::net::Ipv4Addr::from(address);
                ip(&format!("-n {namespace} address add {address}/24 dev {device}"))?;
                ip(&format!("-n {namespace} link set {device} up"))?;
            }
        }
        Ok(lab)
    }

    /// The namespace of the daemon under test.
    pub fn dut(&self) -> String {
        format!("{}.d", self.name)
    }

    /// The namespace of its peers.
    pub fn peers(&self) -> String {
        format!("{}.p", self.name)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for namespace in [self.dut(), self.peers()] {
            if let Err(error) = ip(&format!("netns del {namespace}")) {
                eprintln!("{error:#}");
            }
        }
        // Not every daemon makes it.
        fs::remove_dir_all(&self.state).ok();
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            eprintln!("{}: {error}", self.directory.display());
        }
    }
}

/// Removes what a run left behind that was killed, its daemons first.
fn remove_stale() -> Result<()> {
    let Ok(names) = fs::read_dir("/run/netns") else {
        return Ok(());
    };
    for name in names
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
    {
        let pid = name
            .strip_prefix("sc")
            .and_then(|rest| rest.split_once('.'))
            .map(|(pid, _)| pid);
        let is_bench = [".d", ".p"].iter().any(|end| name.ends_with(end)) && name.matches('.').count() == 2;
        if !is_bench
            || pid.is_none_or(|pid| pid.parse::<u32>().is_err() || Path::new("/proc").join(pid).exists())
        {
            continue;
        }
        let pids = Command::new("ip").args(["netns", "pids", &name]).output()?;
        for pid in String::from_utf8_lossy(&pids.stdout)
            .lines()
            .filter_map(|pid| pid.trim().parse().ok())
        {
            // It may have ended since it was listed.
            kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
        }
        ip(&format!("netns del {name}"))?;
    }
    Ok(())
}

/// Runs `inside` on a thread that has entered the namespace: the sockets it opens belong there.
pub fn within<T: Send + 'static>(namespace: &str, inside: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let file = File::open(Path::new("/run/netns").join(namespace)).context("no such namespace")?;
    let thread = std::thread::spawn(move || {
        setns(file, CloneFlags::CLONE_NEWNET).expect("root enters a namespace");
        inside()
    });
    thread
        .join()
        .map_err(|_| anyhow::anyhow!("the thread in {namespace} panicked"))
}

fn ip(arguments: &str) -> Result<()> {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .context("cannot run ip")?;
    if !output.status.success() {
        bail!(
            "ip {arguments}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
