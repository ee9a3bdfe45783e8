//! GoBGP, asked through its command line over a Unix socket.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::outcome::Outcome;
use super::process::Process;
use super::speaker::Speaker;
use super::{Lab, Namespace, await_until};

/// The number by which GoBGP's JSON calls Established.
const ESTABLISHED: u64 = 6;

/// GoBGP in one namespace.
pub(crate) struct Gobgp {
    dir: PathBuf,
    network_namespace: String,
    process: Option<Process>,
}

impl Gobgp {
    /// Starts gobgpd with a TOML configuration.
    pub(crate) fn start(lab: &Lab, namespace: &Namespace, config: &str) -> Self {
        let dir = lab.dir(&format!("gobgp.{}", namespace.name()));
        fs::write(dir.join("gobgpd.toml"), config).expect("write gobgpd.toml");
        let mut gobgp = Self {
            dir,
            network_namespace: namespace.name().to_owned(),
            process: None,
        };
        gobgp.start_again();
        gobgp
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("gobgpd.log")).unwrap_or_default()
    }

    /// Stops it with `signal`.
    pub(crate) fn stop(&mut self, signal: Signal) {
        let mut process = self.process.take().expect("it runs");
        process.stop(signal);
    }

    pub(crate) fn start_again(&mut self) {
        let _removed = fs::remove_file(self.dir.join("api"));
        let mut command = Command::new("ip");
        command.args([
            "netns",
            "exec",
            &self.network_namespace,
            "gobgpd",
            "--pprof-disable",
            "-p",
        ]);
        command
            .arg("-f")
            .arg(self.dir.join("gobgpd.toml"))
            .args(["--api-hosts", &self.target()]);
        let mut process = Process::start("gobgpd", &mut command, &self.dir.join("gobgpd.log"));
        await_until("gobgpd is ready", || {
            process.assert_running();
            self.gobgp("global").json().map(drop)
        });
        self.process = Some(process);
    }

    fn target(&self) -> String {
        format!("unix://{}", self.dir.join("api").display())
    }

    pub(crate) fn gobgp(&self, arguments: &str) -> Outcome {
        let mut command = Command::new("gobgp");
        Outcome::of(
            command
                .args(["--target", &self.target(), "-j"])
                .args(arguments.split_whitespace()),
        )
    }
}

impl Speaker for Gobgp {
    fn name(&self) -> &str {
        "gobgp"
    }

    fn established(&self, peer: &str) -> Result<(), String> {
        let answer = self.gobgp(&format!("neighbor {peer}")).json()?;
        let state = &answer["state"]["session_state"];
        if state.as_u64() == Some(ESTABLISHED) {
            Ok(())
        } else {
            Err(format!("GoBGP: session state {state}"))
        }
    }

    fn next_hops(&self, prefix: &str) -> Result<Vec<String>, String> {
        let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
        let all = self.gobgp(&format!("global rib -a {family}")).json()?;
        let paths = all[prefix].as_array().cloned().unwrap_or_default();
        // A path of GoBGP's own names no neighbour.
        let learned = paths.iter().filter(|path| {
            path.get("source-id")
                .or_else(|| path.get("neighbor-ip"))
                .is_some()
        });
        let next_hop = |path: &Value| {
            let attributes = path["attrs"].as_array()?;
            attributes
                .iter()
                .find_map(|attribute| attribute["nexthop"].as_str().map(str::to_owned))
        };
        Ok(learned.filter_map(next_hop).collect())
    }

    fn announce(&mut self, prefix: &str, next_hop: &str) {
        let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
        self.gobgp(&format!("global rib -a {family} add {prefix} nexthop {next_hop}"))
            .expect_success();
    }

    fn withdraw(&mut self, prefix: &str) {
        let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
        self.gobgp(&format!("global rib -a {family} del {prefix}"))
            .expect_success();
    }

    fn restart(&mut self) {
        let mut process = self.process.take().expect("gobgpd runs");
        process.stop(Signal::SIGKILL);
        self.start_again();
    }
}
