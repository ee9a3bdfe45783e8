//! The daemons under test: how each is configured at its best, started, and ended.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrIn};
use nix::unistd::Pid;

use crate::engine::PORT;
use crate::lab::{DAEMON, Lab, STRANGER, end_processes};
use crate::usage;

mod bird;
mod frr;
mod gobgp;
mod openbgpd;
mod stonechat;

/// The AS of the daemon under test.
pub const ASN: u32 = 65_000;
/// How long a daemon may take until it listens.
const START: Duration = Duration::from_secs(15);
/// Between listening and the first connection: some listen before they have read everything.
const SETTLE: Duration = Duration::from_millis(500);

/// What the daemon is told about one peer.
#[derive(Clone, Debug)]
pub struct Peer {
    pub address: Ipv4Addr,
    pub asn: u32,
    /// It is a client of this reflector.
    pub client: bool,
    /// It is sent all paths.
    pub add_path: bool,
    /// It is not sent what lies inside this prefix.
    pub without: Option<String>,
    /// It may stay as it is for ever when it reads nothing.
    pub endless: bool,
}

/// Which daemon.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Stonechat,
    Bird,
    Frr,
    Gobgp,
    Openbgpd,
    /// No daemon: a thread that writes what a daemon would, as fast as sockets allow.
    Nobody,
}

pub const KINDS: [Kind; 5] = [
    Kind::Stonechat,
    Kind::Bird,
    Kind::Frr,
    Kind::Gobgp,
    Kind::Openbgpd,
];

/// Files and arguments of a daemon for one scenario.
struct Launch {
    files: Vec<(&'static str, String)>,
    command: Command,
    /// Why this daemon cannot play the part.
    lacks: Option<&'static str>,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Stonechat => "stonechat",
            Self::Bird => "bird",
            Self::Frr => "frr",
            Self::Gobgp => "gobgp",
            Self::Openbgpd => "openbgpd",
            Self::Nobody => "self",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        KINDS
            .into_iter()
            .chain([Self::Nobody])
            .find(|kind| kind.name() == name)
    }

    /// Its program, if it is installed.
    fn program(self, stonechat: &Path) -> Option<PathBuf> {
        let path = match self {
            Self::Stonechat => stonechat,
            Self::Bird => Path::new("/usr/sbin/bird"),
            Self::Frr => Path::new("/usr/lib/frr/bgpd"),
            Self::Gobgp => Path::new("/usr/bin/gobgpd"),
            Self::Openbgpd => Path::new("/usr/sbin/bgpd"),
            Self::Nobody => Path::new("/proc/self/exe"),
        };
        path.exists().then(|| path.to_owned())
    }

    pub fn installed(self, stonechat: &Path) -> bool {
        self.program(stonechat).is_some()
    }

    /// Its version, as it says itself.
    pub fn version(self, stonechat: &Path) -> String {
        let Some(program) = self.program(stonechat) else {
            return String::new();
        };
        let argument = match self {
            Self::Stonechat => "version",
            Self::Openbgpd => "-V",
            Self::Nobody => return env!("CARGO_PKG_VERSION").to_owned(),
            Self::Bird | Self::Frr | Self::Gobgp => "--version",
        };
        let Ok(output) = Command::new(program).arg(argument).output() else {
            return String::new();
        };
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let line = text.lines().next().unwrap_or_default();
        line.split_whitespace()
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
            .unwrap_or(line)
            .to_owned()
    }

    /// What is set beyond the peers themselves, for the reader of the figures.
    pub fn settings(self) -> &'static str {
        match self {
            Self::Stonechat => stonechat::SETTINGS,
            Self::Bird => bird::SETTINGS,
            Self::Frr => frr::SETTINGS,
            Self::Gobgp => gobgp::SETTINGS,
            Self::Openbgpd => openbgpd::SETTINGS,
            Self::Nobody => "a thread that takes the senders' octets and writes the expected ones in step",
        }
    }
}

/// A running daemon, ended when dropped.
pub struct Daemon {
    child: Child,
    namespace: String,
    log: PathBuf,
    pub pids: Vec<Pid>,
}

impl Daemon {
    /// Starts a daemon and waits until it listens.
    pub fn start(kind: Kind, stonechat: &Path, lab: &Lab, peers: &[Peer]) -> io::Result<Self> {
        let program = kind
            .program(stonechat)
            .ok_or_else(|| io::Error::other("not installed"))?;
        lab.clear()?;
        let Launch {
            files,
            mut command,
            lacks,
        } = match kind {
            Kind::Stonechat => stonechat::launch(&program, lab, peers),
            Kind::Bird => bird::launch(&program, lab, peers),
            Kind::Frr => frr::launch(&program, lab, peers)?,
            Kind::Gobgp => gobgp::launch(&program, lab, peers),
            Kind::Openbgpd => openbgpd::launch(&program, lab, peers),
            Kind::Nobody => return Err(io::Error::other("there is no such daemon")),
        };
        if let Some(reason) = lacks {
            return Err(io::Error::other(reason));
        }
        for (name, text) in files {
            fs::write(lab.file(name), text)?;
            fs::set_permissions(
                lab.file(name),
                std::os::unix::fs::PermissionsExt::from_mode(if kind == Kind::Openbgpd {
                    0o600
                } else {
                    0o644
                }),
            )?;
        }
        let log = lab.file("log");
        let output = File::create(&log)?;
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .current_dir(&lab.dir);
        let child = command.spawn()?;
        let mut daemon = Self {
            child,
            namespace: lab.namespace("daemon"),
            log,
            pids: Vec::new(),
        };
        daemon.await_listening()?;
        daemon.pids = lab.daemon_processes();
        Ok(daemon)
    }

    fn await_listening(&mut self) -> io::Result<()> {
        let start = Instant::now();
        while !listening() {
            if !self.running() || start.elapsed() > START {
                return Err(io::Error::other(format!(
                    "does not listen; its log ends: {}",
                    self.last_words()
                )));
            }
            thread::sleep(Duration::from_millis(20));
        }
        thread::sleep(SETTLE);
        Ok(())
    }

    pub fn running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().rev().take(4).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }

    pub fn cpu_seconds(&self) -> f64 {
        usage::cpu_seconds(&self.pids)
    }

    /// Peak and present, in MiB.
    pub fn memory_mib(&self) -> (f64, f64) {
        usage::memory_mib(&self.pids)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        end_processes(&self.namespace);
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A command that runs in the daemon's namespace, in the same process id, and does not outlive this process.
fn inside(lab: &Lab, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args([
            "--pdeathsig",
            "KILL",
            "ip",
            "netns",
            "exec",
            &lab.namespace("daemon"),
        ])
        .arg(program);
    command
}

fn listening() -> bool {
    let Ok(socket) = socket::socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    ) else {
        return false;
    };
    let bound = socket::bind(
        socket.as_raw_fd(),
        &SockaddrIn::from(SocketAddrV4::new(STRANGER, 0)),
    );
    bound.is_ok()
        && socket::connect(
            socket.as_raw_fd(),
            &SockaddrIn::from(SocketAddrV4::new(DAEMON, PORT)),
        )
        .is_ok()
}
