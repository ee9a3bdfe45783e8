//! The daemon under test: its configuration, its process, and SIGHUP.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::process::{Process, socket};
use crate::session::ASN;

/// Where the daemon listens; nobody else does on this machine.
pub const LISTEN: ([u8; 4], u16) = ([127, 0, 0, 1], 21_790);
/// How long it may take until it listens.
const START: Duration = Duration::from_secs(10);

/// The address of peer `number`.
pub fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 99, (number / 200) as u8, (number % 200) as u8 + 10)
}

/// What a peer's `export` names.
pub type Export<'a> = &'a dyn Fn(usize) -> &'a str;

/// A running daemon with a directory of its own; both go when this is dropped.
pub struct Daemon {
    process: Process,
    dir: PathBuf,
    program: PathBuf,
    peers: usize,
}

impl Daemon {
    pub fn start(program: &Path, peers: usize, export: Export<'_>) -> io::Result<Self> {
        let dir = std::env::temp_dir().join(format!("sc{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("node.toml"), config(&dir, peers, export))?;
        let process = Process::stonechat(Command::new(program), &dir.join("node.toml"), &dir, &[])?;
        let mut daemon = Self {
            process,
            dir,
            program: program.to_owned(),
            peers,
        };
        let begun = Instant::now();
        while TcpStream::connect(SocketAddr::from(LISTEN)).is_err() {
            daemon.process.check()?;
            if begun.elapsed() > START {
                return Err(io::Error::other(format!("{} does not listen", program.display())));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(daemon)
    }

    pub fn write(&self, export: Export<'_>) -> io::Result<()> {
        fs::write(self.dir.join("node.toml"), config(&self.dir, self.peers, export))
    }

    pub fn hangup(&self) -> io::Result<Instant> {
        self.process.signal(Signal::SIGHUP)?;
        Ok(Instant::now())
    }

    /// `stonechat reload`, and what it printed.
    pub fn reload(&self) -> io::Result<(Duration, String)> {
        let begun = Instant::now();
        let output = Command::new(&self.program)
            .args(["reload", "--socket"])
            .arg(socket(&self.dir))
            .output()?;
        let text = [output.stdout, output.stderr].concat();
        Ok((begun.elapsed(), String::from_utf8_lossy(&text).trim().to_owned()))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Before its files go.
        let _killed = self.process.signal(Signal::SIGKILL);
        let _status = self.process.wait();
        let _removed = fs::remove_dir_all(&self.dir);
    }
}

fn config(dir: &Path, peers: usize, export: Export<'_>) -> String {
    let listen = SocketAddr::from(LISTEN);
    let mut text = format!(
        "[speaker]\nasn = {ASN}\nrouter_id = \"10.255.0.1\"\nlisten = [\"{listen}\"]\nlog_level = \"warn\"\n\
         state_dir = \"{}\"\n\n",
        dir.display()
    );
    let filters = [
        ("all", "action = \"accept\""),
        ("quiet", "prefix = \"203.0.0.0/8 ge 8\", action = \"reject\""),
        ("short", "prefix = \"0.0.0.0/1 ge 24\", action = \"reject\""),
        (
            "marked",
            "action = \"accept\", set = { community.add = [\"64512:1\"], med = 5 }",
        ),
        (
            "marked_again",
            "action = \"accept\", set = { community.add = [\"64512:2\"], med = 6 }",
        ),
    ];
    for (name, rule) in filters {
        write!(text, "[[filter]]\nname = \"{name}\"\nrules = [{{ {rule} }}]\n\n").expect("a string takes it");
    }
    for number in 0..peers {
        write!(
            text,
            "[[peer]]\nname = \"p{number}\"\naddress = \"{}\"\nasn = {ASN}\npassive = true\nrr_client = true\n\
             hold_time = \"3s\"\nkeepalive_time = \"1s\"\nfamilies = [\"ipv4-unicast\"]\nexport = [{}]\n\n",
            address(number),
            export(number)
        )
        .expect("a string takes it");
    }
    text
}
