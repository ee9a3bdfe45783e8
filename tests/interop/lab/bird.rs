//! BIRD, the installed version 2 or the unpacked 1.6, asked through birdc.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;

use super::outcome::Outcome;
use super::process::Process;
use super::speaker::Speaker;
use super::{Lab, Namespace, await_until, bird1};

/// Which BIRD.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Version {
    /// One daemon for both families.
    Two,
    /// 1.6, the daemon for IPv4.
    One,
    /// 1.6, the daemon for IPv6.
    OneForIpv6,
}

impl Version {
    fn programs(self) -> (PathBuf, PathBuf) {
        let root = match self {
            Self::Two => PathBuf::from("/"),
            Self::One | Self::OneForIpv6 => {
                bird1::unpacked().expect("checked before the scenario").to_owned()
            }
        };
        let suffix = if self == Self::OneForIpv6 { "6" } else { "" };
        let sbin = root.join("usr/sbin");
        (
            sbin.join(format!("bird{suffix}")),
            sbin.join(format!("birdc{suffix}")),
        )
    }
}

/// BIRD in one namespace.
pub(crate) struct Bird {
    name: String,
    version: Version,
    dir: PathBuf,
    network_namespace: String,
    /// What [`Speaker::announce`] added: prefix and next hop.
    announced: Vec<(String, String)>,
    process: Option<Process>,
}

impl Bird {
    /// Starts BIRD with `config`, in which the peer of address A is the protocol named by [`protocol`].
    ///
    /// A configuration for use with [`Speaker::announce`] includes `announced.conf`.
    pub(crate) fn start(lab: &Lab, namespace: &Namespace, version: Version, config: &str) -> Self {
        let name = match version {
            Version::Two => "bird2",
            Version::One => "bird1",
            Version::OneForIpv6 => "bird1-ipv6",
        };
        let dir = lab.dir(&format!("{name}.{}", namespace.name()));
        fs::write(dir.join("bird.conf"), config).expect("write bird.conf");
        let mut bird = Self {
            name: name.to_owned(),
            version,
            dir,
            network_namespace: namespace.name().to_owned(),
            announced: Vec::new(),
            process: None,
        };
        bird.start_again();
        bird
    }

    /// Starts BIRD after it was stopped.
    pub(crate) fn start_again(&mut self) {
        self.run(&[]);
    }

    /// Starts BIRD after it crashed, so that it takes up its graceful restart (`-R`).
    pub(crate) fn start_again_gracefully(&mut self) {
        self.run(&["-R"]);
    }

    fn run(&mut self, more: &[&str]) {
        self.write_announced();
        let control = self.dir.join("ctl");
        let _removed = fs::remove_file(&control);
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.network_namespace])
            .arg(self.version.programs().0);
        command
            .arg("-f")
            .arg("-c")
            .arg(self.dir.join("bird.conf"))
            .arg("-s")
            .arg(&control);
        command.args(more).current_dir(&self.dir);
        let mut process = Process::start(&self.name, &mut command, &self.dir.join("bird.log"));
        await_until("BIRD is ready", || {
            process.assert_running();
            if control.exists() {
                Ok(())
            } else {
                Err("no control socket".to_owned())
            }
        });
        self.process = Some(process);
    }

    /// Stops BIRD with `signal`.
    pub(crate) fn stop(&mut self, signal: Signal) {
        let mut process = self.process.take().expect("BIRD runs");
        process.stop(signal);
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("bird.log")).unwrap_or_default()
    }

    /// What birdc prints for a command.
    pub(crate) fn birdc(&self, command: &str) -> Outcome {
        let mut birdc = Command::new(self.version.programs().1);
        birdc
            .arg("-s")
            .arg(self.dir.join("ctl"))
            .args(command.split_whitespace());
        Outcome::of(&mut birdc)
    }

    fn write_announced(&self) {
        let mut text = String::new();
        for (prefix, next_hop) in &self.announced {
            let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
            let channel = if self.version == Version::Two {
                format!("{family};")
            } else {
                String::new()
            };
            let route = format!("route {prefix} via {next_hop}");
            writeln!(text, "protocol static {{ {channel} {route}; }}").expect("a string takes it");
        }
        fs::write(self.dir.join("announced.conf"), text).expect("write announced.conf");
    }

    fn reconfigure(&self) {
        self.write_announced();
        let said = self.birdc("configure").expect_success();
        assert!(
            said.contains("Reconfigur"),
            "BIRD refused its configuration: {said}"
        );
    }
}

/// The name a configuration gives to the protocol of the peer with this address.
pub(crate) fn protocol(peer: &str) -> String {
    format!("peer_{}", peer.replace(['.', ':'], "_"))
}

impl Speaker for Bird {
    fn name(&self) -> &str {
        &self.name
    }

    fn established(&self, peer: &str) -> Result<(), String> {
        let said = self.birdc(&format!("show protocols {}", protocol(peer))).stdout;
        if said.contains("Established") {
            Ok(())
        } else {
            Err(said)
        }
    }

    fn next_hops(&self, prefix: &str) -> Result<Vec<String>, String> {
        let outcome = self.birdc(&format!("show route {prefix} all"));
        let lines = outcome.stdout.lines();
        let next_hops = lines.filter_map(|line| line.trim().strip_prefix("BGP.next_hop: "));
        // An IPv6 next hop may be followed by a link-local one.
        Ok(next_hops
            .filter_map(|hops| hops.split_whitespace().next())
            .map(str::to_owned)
            .collect())
    }

    fn announce(&mut self, prefix: &str, next_hop: &str) {
        self.announced.push((prefix.to_owned(), next_hop.to_owned()));
        self.reconfigure();
    }

    fn withdraw(&mut self, prefix: &str) {
        self.announced.retain(|(announced, _)| announced != prefix);
        self.reconfigure();
    }

    fn restart(&mut self) {
        self.stop(Signal::SIGKILL);
        self.announced.clear();
        self.start_again();
    }
}
