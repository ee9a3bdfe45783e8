//! The daemons: each with the configuration that does the job, and what it costs.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::sys::signal::Signal;

use crate::lab::{DUT, Lab, PEERS};
use crate::process::Process;

/// Who is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Stonechat,
    Bird,
    Frr,
}

/// A daemon that runs in the namespace under test.
pub struct Daemon {
    processes: Vec<Process>,
}

/// What a daemon has used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub cpu: Duration,
    /// Most memory ever, KiB.
    pub peak_kib: u64,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Stonechat, Self::Bird, Self::Frr];

    pub fn name(self) -> &'static str {
        match self {
            Self::Stonechat => "stonechat",
            Self::Bird => "BIRD 2",
            Self::Frr => "FRR",
        }
    }

    /// The programs, if they are here.
    pub fn is_here(self, stonechat: &Path) -> bool {
        match self {
            Self::Stonechat => stonechat.exists(),
            Self::Bird => Path::new("/usr/sbin/bird").exists(),
            Self::Frr => Path::new("/usr/lib/frr/bgpd").exists() || Path::new("/usr/sbin/bgpd").exists(),
        }
    }

    pub fn start(self, lab: &Lab, stonechat: &Path) -> Result<Daemon> {
        let directory = &lab.directory;
        let processes = match self {
            Self::Stonechat => vec![start_stonechat(lab, directory, stonechat)?],
            Self::Bird => vec![start_bird(lab, directory)?],
            Self::Frr => start_frr(lab, directory)?,
        };
        Ok(Daemon { processes })
    }
}

impl Daemon {
    /// Whether it still runs; if not, with what it said last.
    pub fn check(&mut self) -> Result<()> {
        for process in &mut self.processes {
            process.check()?;
        }
        Ok(())
    }

    /// What it has used since it started.
    pub fn cost(&self) -> Result<Cost> {
        let mut cost = Cost::default();
        for process in &self.processes {
            let path = format!("/proc/{}", process.pid());
            let stat = fs::read_to_string(format!("{path}/stat"))?;
            let fields: Vec<&str> = stat
                .rsplit(')')
                .next()
                .unwrap_or_default()
                .split_whitespace()
                .collect();
            let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
            cost.cpu += Duration::from_millis(ticks * 10);
            let status = fs::read_to_string(format!("{path}/status"))?;
            let peak = status
                .lines()
                .find_map(|line| line.strip_prefix("VmHWM:"))
                .unwrap_or_default();
            cost.peak_kib += peak
                .trim()
                .trim_end_matches(" kB")
                .parse::<u64>()
                .unwrap_or_default();
        }
        Ok(cost)
    }
}

impl Daemon {
    /// The process, of those that have one.
    pub fn pid(&self) -> i32 {
        self.processes.first().map_or(0, |process| process.pid().as_raw())
    }

    /// What it holds now, KiB, and how often it has gone to sleep by itself.
    pub fn rest(&self) -> Result<(u64, u64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let field = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let word = line.and_then(|line| line.split_whitespace().next());
            word.and_then(|word| word.parse().ok()).unwrap_or_default()
        };
        Ok((field("VmRSS:"), field("voluntary_ctxt_switches:")))
    }

    /// Sends a signal and waits for the end.
    pub fn end(&mut self, signal: Signal) -> Result<()> {
        if let Some(process) = self.processes.first() {
            process.signal(signal)?;
        }
        for process in &mut self.processes {
            process.wait()?;
        }
        Ok(())
    }
}

fn start_stonechat(lab: &Lab, directory: &Path, program: &Path) -> Result<Process> {
    let state = &lab.state;
    // A file of an earlier run would make this one a restart.
    fs::remove_dir_all(state).ok();
    let mut config = format!(
        "[speaker]\nasn = 64512\nrouter_id = \"10.0.1.2\"\nstate_dir = \"{}\"\n\n[kernel]\n\n\
         [[originate]]\nname = \"single\"\nkernel = {{ protocol = [\"static\"], within = [\"30.0.0.0/8\"] }}\n\n\
         [[originate]]\nname = \"early\"\nkernel = {{ protocol = [\"static\"], within = [\"40.0.0.0/8\"] }}\n",
        state.display()
    );
    for (index, peer) in PEERS.into_iter().enumerate() {
        let peer = Ipv4Addr::from(peer);
        config +=
            &format!("\n[[peer]]\nname = \"p{index}\"\naddress = \"{peer}\"\nasn = 64512\npassive = true\n");
    }
    let file = directory.join("stonechat.toml");
    fs::write(&file, config)?;
    Ok(Process::stonechat(inside(lab, program), &file, directory, &[])?)
}

fn start_bird(lab: &Lab, directory: &Path) -> Result<Process> {
    let mut config = String::from(
        "router id 10.0.1.2;\nprotocol device {}\nprotocol direct { ipv4; }\n\
         protocol kernel kernel1 { learn; persist; merge paths on; metric 200; ipv4 { import all; export where source = RTS_BGP; }; }\n",
    );
    for (index, peer) in PEERS.into_iter().enumerate() {
        let peer = Ipv4Addr::from(peer);
        config += &format!(
            "protocol bgp p{index} {{ local as 64512; neighbor {peer} as 64512; passive; direct; \
             ipv4 {{ gateway direct; import all; export where source = RTS_INHERIT; next hop self; }}; }}\n"
        );
    }
    let file = directory.join("bird.conf");
    fs::write(&file, config)?;
    let mut command = inside(lab, Path::new("/usr/sbin/bird"));
    command
        .arg("-f")
        .arg("-c")
        .arg(file)
        .arg("-s")
        .arg(directory.join("bird.ctl"));
    Ok(Process::spawn(command, &directory.join("bird.log"))?)
}

fn start_frr(lab: &Lab, directory: &Path) -> Result<Vec<Process>> {
    let mut config = String::from(
        "router bgp 64512\n bgp router-id 10.0.1.2\n no bgp default ipv4-unicast\n no bgp network import-check\n",
    );
    for peer in PEERS.map(Ipv4Addr::from) {
        config += &format!(" neighbor {peer} remote-as 64512\n neighbor {peer} passive\n");
    }
    config += " address-family ipv4 unicast\n  redistribute kernel\n  redistribute static\n  maximum-paths ibgp 2\n";
    for peer in PEERS.map(Ipv4Addr::from) {
        config += &format!("  neighbor {peer} activate\n");
    }
    config += " exit-address-family\n";
    start_frr_with(directory, &config, |program| inside(lab, program))
}

fn start_frr_with(directory: &Path, config: &str, inside: impl Fn(&Path) -> Command) -> Result<Vec<Process>> {
    fs::write(directory.join("bgpd.conf"), config)?;
    fs::write(directory.join("zebra.conf"), "")?;
    if let Some(user) = nix::unistd::User::from_name("frr")? {
        chown(directory, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    }
    let mut processes = Vec::new();
    for (daemon, ready) in [("zebra", "zserv.api"), ("bgpd", "bgpd.vty")] {
        let ready = directory.join(ready);
        fs::remove_file(&ready).ok();
        let mut command = inside(&Path::new("/usr/lib/frr").join(daemon));
        command.arg("-f").arg(directory.join(format!("{daemon}.conf")));
        command.arg("-i").arg(directory.join(format!("{daemon}.pid")));
        command.arg("-z").arg(directory.join("zserv.api"));
        command.arg("--vty_socket").arg(directory);
        command.args(["-P", "0", "--log", "stdout"]);
        processes.push(Process::spawn(command, &directory.join(format!("{daemon}.log")))?);
        let deadline = Instant::now() + Duration::from_secs(10);
        while !ready.exists() {
            if Instant::now() > deadline {
                bail!("{daemon} does not get ready");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(processes)
}

/// A command in the namespace under test; `ip netns exec` becomes the program, so the process id is the program's own.
fn inside(lab: &Lab, program: &Path) -> Command {
    let mut command = Command::new("ip");
    command
        .args(["netns", "exec", &lab.dut()])
        .arg(program)
        .current_dir(&lab.directory);
    command
}

/// Stonechat for the restarts: it announces `near` and installs what the helper announces.
pub fn write_restart_config(lab: &Lab, near: Ipv4Addr, more: &str) -> Result<PathBuf> {
    let file = lab.directory.join("restart.toml");
    let config = format!(
        "[speaker]\nasn = 64512\nrouter_id = \"10.0.1.2\"\nstate_dir = \"{}\"\n\n[kernel]\n\n\
         [[originate]]\nname = \"near\"\nprefixes = [\"{near}/32\"]\n{more}\n\
         [[peer]]\nname = \"helper\"\naddress = \"{}\"\nasn = 64512\n",
        lab.state.display(),
        Ipv4Addr::from(PEERS[0])
    );
    fs::write(&file, config)?;
    Ok(file)
}

/// Starts stonechat with what its predecessor left.
pub fn start_again(lab: &Lab, program: &Path, config: &Path) -> Result<Daemon> {
    start_with(lab, program, config, &[])
}

/// Starts stonechat to take over from `before`, and waits for the end of that.
pub fn take_over(lab: &Lab, program: &Path, config: &Path, before: &mut Daemon) -> Result<Daemon> {
    let next = start_with(lab, program, config, &["--takeover"])?;
    for process in &mut before.processes {
        process.wait()?;
    }
    Ok(next)
}

fn start_with(lab: &Lab, program: &Path, config: &Path, options: &[&str]) -> Result<Daemon> {
    let process = Process::stonechat(inside(lab, program), config, &lab.directory, options)?;
    Ok(Daemon {
        processes: vec![process],
    })
}

/// The other end: BIRD or FRR in the namespace of the peers, with its kernel's routes and `far` announced.
pub fn spawn_helper(lab: &Lab, which: &str, far: Ipv4Addr) -> Result<Daemon> {
    let (own, other) = (Ipv4Addr::from(PEERS[0]), Ipv4Addr::from(DUT[0]));
    match which {
        "bird" => {
            let config = format!(
                "router id {own};\nprotocol device {{}}\nprotocol direct {{ ipv4; }}\n\
                 protocol kernel {{ learn; persist; metric 200; ipv4 {{ import all; export where source = RTS_BGP; }}; }}\n\
                 protocol bgp dut {{ local {own} as 64512; neighbor {other} as 64512; direct; graceful restart on; \
                 ipv4 {{ gateway direct; import all; next hop self; \
                 export where source = RTS_INHERIT || net = {far}/32; }}; }}\n"
            );
            let file = lab.directory.join("helper.conf");
            fs::write(&file, config)?;
            let mut command = inside_peers(lab, Path::new("/usr/sbin/bird"));
            command
                .arg("-f")
                .arg("-c")
                .arg(file)
                .arg("-s")
                .arg(lab.directory.join("helper.ctl"));
            let log = lab.directory.join("helper.log");
            Ok(Daemon {
                processes: vec![Process::spawn(command, &log)?],
            })
        }
        _ => {
            let config = format!(
                "router bgp 64512\n bgp router-id {own}\n no bgp default ipv4-unicast\n no bgp network import-check\n \
                 bgp graceful-restart\n neighbor {other} remote-as 64512\n neighbor {other} timers connect 1\n \
                 address-family ipv4 unicast\n  redistribute kernel\n  redistribute static\n  network {far}/32\n  \
                 neighbor {other} activate\n  neighbor {other} next-hop-self force\n exit-address-family\n"
            );
            let directory = lab.directory.join("helper");
            fs::create_dir_all(&directory)?;
            let processes = start_frr_with(&directory, &config, |program| inside_peers(lab, program))?;
            Ok(Daemon { processes })
        }
    }
}

fn inside_peers(lab: &Lab, program: &Path) -> Command {
    let mut command = Command::new("ip");
    command
        .args(["netns", "exec", &lab.peers()])
        .arg(program)
        .current_dir(&lab.directory);
    command
}
