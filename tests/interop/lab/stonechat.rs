//! Stonechat itself: the built binary with a configuration, a socket and a `/run` of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::outcome::Outcome;
use super::process::Process;
use super::speaker::Speaker;
use super::{Lab, Namespace, await_until};

/// Stonechat in one namespace.
pub(crate) struct Stonechat {
    dir: PathBuf,
    network_namespace: String,
    process: Option<Process>,
}

impl Stonechat {
    /// Starts `stonechat run` with this configuration and waits until its socket answers.
    pub(crate) fn start(lab: &Lab, namespace: &Namespace, config: &str) -> Self {
        let dir = lab.dir(&format!("stonechat.{}", namespace.name()));
        fs::create_dir_all(dir.join("run")).expect("make its /run");
        let mut stonechat = Self {
            dir,
            network_namespace: namespace.name().to_owned(),
            process: None,
        };
        stonechat.write_config(config);
        stonechat.start_again();
        stonechat
    }

    /// Starts it after it ended, with the configuration and the state that are there.
    pub(crate) fn start_again(&mut self) {
        self.run(&[]);
    }

    /// Starts another that takes over from the one that runs, which ends by itself.
    #[track_caller]
    pub(crate) fn take_over(&mut self) {
        let mut before = self.process.take().expect("stonechat runs");
        self.run(&["--takeover"]);
        let ended = before.await_end();
        assert!(ended.success(), "{ended}: {}", self.log());
    }

    fn run(&mut self, options: &[&str]) {
        let mut command = self.inside();
        command
            .args(["run", "--config"])
            .arg(self.config_path())
            .arg("--socket")
            .arg(self.socket())
            .args(options);
        let process = Process::start("stonechat", &mut command, &self.dir.join("stonechat.log"));
        self.process = Some(process);
        await_until("stonechat answers on its socket", || {
            self.process.as_mut().expect("just started").assert_running();
            let outcome = self.cli("peers --json");
            if outcome.success {
                Ok(())
            } else {
                Err(outcome.stderr)
            }
        });
    }

    /// The file it was started with.
    pub(crate) fn config_path(&self) -> PathBuf {
        self.dir.join("node.toml")
    }

    /// A file beside the configuration, for secrets.
    pub(crate) fn write_file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.join(name);
        fs::write(&path, text).expect("write a file beside the configuration");
        path
    }

    /// Writes another configuration, without telling the daemon.
    pub(crate) fn write_config(&self, config: &str) {
        fs::write(self.config_path(), config).expect("write the configuration");
    }

    /// What the daemon has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("stonechat.log")).unwrap_or_default()
    }

    /// What it has written for its successor.
    pub(crate) fn state(&self) -> Result<Value, String> {
        let bytes = fs::read(self.dir.join("run/stonechat/state.json")).map_err(|error| error.to_string())?;
        serde_json::from_slice(&bytes).map_err(|error| error.to_string())
    }

    /// Runs a verb of the command line (split at spaces) against this daemon.
    pub(crate) fn cli(&self, line: &str) -> Outcome {
        let mut command = Command::new(program());
        command
            .args(line.split_whitespace())
            .arg("--socket")
            .arg(self.socket());
        Outcome::of(&mut command)
    }

    /// Runs another program (a line split at spaces) in its namespace.
    pub(crate) fn exec(&self, line: &str) -> Result<String, String> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.network_namespace, "sh", "-c", line]);
        let outcome = Outcome::of(&mut command);
        if outcome.success {
            Ok(outcome.stdout)
        } else {
            Err(outcome.stderr)
        }
    }

    /// The JSON that a verb prints.
    pub(crate) fn json(&self, line: &str) -> Result<Value, String> {
        self.cli(&format!("{line} --json")).json()
    }

    /// Sends a signal and goes on.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.as_ref().expect("stonechat runs").signal(signal);
    }

    /// Sends a signal and waits for the end.
    #[track_caller]
    pub(crate) fn end(&mut self, signal: Signal) -> ExitStatus {
        self.process.take().expect("stonechat runs").stop(signal)
    }

    /// Waits until the daemon has ended by itself.
    #[track_caller]
    pub(crate) fn await_end(&mut self) -> ExitStatus {
        self.process.take().expect("stonechat runs").await_end()
    }

    fn socket(&self) -> PathBuf {
        self.dir.join("ctl")
    }

    /// The binary in its namespace. What it keeps below `/run` is kept apart from other instances, and survives it.
    fn inside(&self) -> Command {
        in_private_run(&self.network_namespace, &self.dir.join("run"))
    }
}

/// Told through its namespace's kernel table, as the configurations of the scenarios have it: it originates blackholes
/// and installs what it learns.
impl Speaker for Stonechat {
    fn name(&self) -> &str {
        "stonechat"
    }

    fn established(&self, peer: &str) -> Result<(), String> {
        let peers = self.json("peers")?;
        let list = peers
            .as_array()
            .or_else(|| peers["peers"].as_array())
            .ok_or_else(|| peers.to_string())?;
        let found = list
            .iter()
            .find(|status| status["address"] == peer)
            .ok_or_else(|| peers.to_string())?;
        if found["state"] == "Established" {
            Ok(())
        } else {
            Err(found.to_string())
        }
    }

    fn next_hops(&self, prefix: &str) -> Result<Vec<String>, String> {
        let family = if prefix.contains(':') { "-6" } else { "-4" };
        let outcome = self.ip(&format!("{family} -N -j route show {prefix} proto 179"));
        if outcome.stdout.trim().is_empty() {
            return Ok(Vec::new());
        }
        let routes = outcome.json()?;
        let gateways = routes
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|route| route["gateway"].as_str());
        Ok(gateways.map(str::to_owned).collect())
    }

    fn announce(&mut self, prefix: &str, _next_hop: &str) {
        self.ip(&format!("route add blackhole {prefix}")).expect_success();
    }

    fn withdraw(&mut self, prefix: &str) {
        self.ip(&format!("route del blackhole {prefix}")).expect_success();
    }

    fn restart(&mut self) {
        self.end(Signal::SIGKILL);
        self.start_again();
    }
}

impl Stonechat {
    fn ip(&self, arguments: &str) -> Outcome {
        let mut command = Command::new("ip");
        Outcome::of(
            command
                .args(["-n", &self.network_namespace])
                .args(arguments.split_whitespace()),
        )
    }
}

fn in_private_run(network_namespace: &str, run: &Path) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", network_namespace, "sh", "-c"]);
    command
        .arg("mount --bind \"$0\" /run && exec \"$@\"")
        .arg(run)
        .arg(program());
    command
}

/// The one that was built with this test, or another that the environment names: a measurement takes a release build.
fn program() -> PathBuf {
    let named = std::env::var_os("STONECHAT").map(PathBuf::from);
    let program = named.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_stonechat")));
    std::path::absolute(&program).unwrap_or(program)
}
