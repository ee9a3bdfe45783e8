//! OpenBGPD, asked through bgpctl.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;

use super::outcome::Outcome;
use super::process::Process;
use super::speaker::Speaker;
use super::{Lab, Namespace, await_until};

/// OpenBGPD in one namespace.
pub(crate) struct Openbgpd {
    dir: PathBuf,
    network_namespace: String,
    process: Option<Process>,
}

impl Openbgpd {
    /// Starts bgpd with `config`; the control socket is added to it.
    pub(crate) fn start(lab: &Lab, namespace: &Namespace, config: &str) -> Self {
        let dir = lab.dir(&format!("openbgpd.{}", namespace.name()));
        let file = dir.join("bgpd.conf");
        let socket = dir.join("ctl");
        fs::write(&file, format!("socket \"{}\"\n{config}", socket.display())).expect("write bgpd.conf");
        // It refuses a configuration that others can read.
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("protect bgpd.conf");
        let mut openbgpd = Self {
            dir,
            network_namespace: namespace.name().to_owned(),
            process: None,
        };
        openbgpd.start_again();
        openbgpd
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("bgpd.log")).unwrap_or_default()
    }

    /// Stops it with `signal`.
    pub(crate) fn stop(&mut self, signal: Signal) {
        let mut process = self.process.take().expect("it runs");
        process.stop(signal);
    }

    pub(crate) fn start_again(&mut self) {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.network_namespace, "sh", "-c"]);
        // Its processes change root to /run/openbgpd, so each instance gets a /run of its own.
        command.arg(
            "mount -t tmpfs tmpfs /run && mkdir -m 755 /run/openbgpd && exec /usr/sbin/bgpd -d -f \"$0\"",
        );
        command.arg(self.dir.join("bgpd.conf"));
        let mut process = Process::start("openbgpd", &mut command, &self.dir.join("bgpd.log"));
        await_until("OpenBGPD is ready", || {
            process.assert_running();
            let outcome = self.bgpctl("show");
            if outcome.success {
                Ok(())
            } else {
                Err(outcome.stderr)
            }
        });
        self.process = Some(process);
    }

    pub(crate) fn bgpctl(&self, arguments: &str) -> Outcome {
        let mut command = Command::new("/usr/sbin/bgpctl");
        command.arg("-j").arg("-s").arg(self.dir.join("ctl"));
        Outcome::of(command.args(arguments.split_whitespace()))
    }
}

impl Speaker for Openbgpd {
    fn name(&self) -> &str {
        "openbgpd"
    }

    fn established(&self, peer: &str) -> Result<(), String> {
        let answer = self.bgpctl(&format!("show neighbor {peer}")).json()?;
        let state = &answer["neighbors"][0]["state"];
        if state == "Established" {
            Ok(())
        } else {
            Err(format!("OpenBGPD: {state}"))
        }
    }

    fn next_hops(&self, prefix: &str) -> Result<Vec<String>, String> {
        let answer = self.bgpctl(&format!("show rib {prefix}")).json()?;
        let routes = answer["rib"].as_array().cloned().unwrap_or_default();
        let learned = routes
            .iter()
            .filter(|route| route["neighbor"]["description"] != "LOCAL");
        Ok(learned
            .filter_map(|route| route["exit_nexthop"].as_str().map(str::to_owned))
            .collect())
    }

    fn announce(&mut self, prefix: &str, next_hop: &str) {
        self.bgpctl(&format!("network add {prefix} nexthop {next_hop}"))
            .expect_success();
    }

    fn withdraw(&mut self, prefix: &str) {
        self.bgpctl(&format!("network delete {prefix}")).expect_success();
    }

    fn restart(&mut self) {
        let mut process = self.process.take().expect("OpenBGPD runs");
        // Its parent process has to take the others along.
        process.stop(Signal::SIGTERM);
        self.start_again();
    }
}
