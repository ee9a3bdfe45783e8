//! ExaBGP, told what to announce through a pipe; what its peers send is replayed from the events it prints.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::Value;

use super::process::Process;
use super::speaker::Speaker;
use super::{Lab, Namespace, await_until};

/// ExaBGP in one namespace, with one peer. A pipe is made at every start, since a killed ExaBGP leaves its relay behind.
pub(crate) struct Exabgp {
    dir: PathBuf,
    network_namespace: String,
    local: String,
    /// Routes announced, with the next hop that the withdrawal has to name again.
    announced: BTreeMap<String, String>,
    process: Option<Process>,
}

impl Exabgp {
    /// Starts ExaBGP at address `local`; `neighbor` is the text of one `neighbor` section without its `api`.
    pub(crate) fn start(lab: &Lab, namespace: &Namespace, local: &str, neighbor: (&str, &str)) -> Self {
        let dir = lab.dir(&format!("exabgp.{}", namespace.name()));
        let (peer, settings) = neighbor;
        let config = format!(
            "process lab {{ run {dir}/relay.sh; encoder json; }}\n\
             neighbor {peer} {{\n{settings}\n\
             api {{ processes [ lab ]; neighbor-changes; receive {{ parsed; update; }} }}\n}}\n",
            dir = dir.display()
        );
        fs::write(dir.join("exabgp.conf"), config).expect("write exabgp.conf");
        // What ExaBGP says goes to a file, what the scenario writes into the pipe goes to ExaBGP. The shell would give
        // a background command an empty input, so the input is duplicated first.
        let relay = format!(
            "#!/bin/sh\nexec 4<&0 3<>{dir}/pipe\ncat <&4 >>{dir}/said &\nexec cat <&3\n",
            dir = dir.display()
        );
        fs::write(dir.join("relay.sh"), relay).expect("write the relay");
        fs::set_permissions(dir.join("relay.sh"), fs::Permissions::from_mode(0o755))
            .expect("make it a program");
        let mut exabgp = Self {
            dir,
            network_namespace: namespace.name().to_owned(),
            local: local.to_owned(),
            announced: BTreeMap::new(),
            process: None,
        };
        exabgp.start_again();
        exabgp
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("exabgp.log")).unwrap_or_default()
    }

    /// Stops it with `signal`.
    pub(crate) fn stop(&mut self, signal: Signal) {
        let mut process = self.process.take().expect("it runs");
        process.stop(signal);
    }

    pub(crate) fn start_again(&mut self) {
        fs::write(self.dir.join("said"), "").expect("begin the record");
        let pipe = self.dir.join("pipe");
        let _removed = fs::remove_file(&pipe);
        mkfifo(&pipe, Mode::from_bits_truncate(0o600)).expect("make the pipe");
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.network_namespace, "env"]);
        command.args([
            "exabgp.daemon.user=root",
            "exabgp.daemon.drop=false",
            "exabgp.daemon.daemonize=false",
        ]);
        command.args(["exabgp.api.cli=false", "exabgp.log.all=false"]);
        command
            .arg(format!("exabgp.tcp.bind={}", self.local))
            .arg("exabgp")
            .arg(self.dir.join("exabgp.conf"));
        let mut process = Process::start("exabgp", &mut command, &self.dir.join("exabgp.log"));
        await_until("ExaBGP is ready", || {
            process.assert_running();
            let log = fs::read_to_string(self.dir.join("exabgp.log")).map_err(|error| error.to_string())?;
            if log.contains("loaded new configuration") {
                Ok(())
            } else {
                Err(log)
            }
        });
        self.process = Some(process);
    }

    pub(crate) fn tell(&self, line: &str) {
        let mut pipe = fs::File::options()
            .write(true)
            .open(self.dir.join("pipe"))
            .expect("open the pipe");
        writeln!(pipe, "{line}").expect("tell ExaBGP");
    }

    pub(crate) fn events(&self) -> Result<Vec<Value>, String> {
        let said = fs::read_to_string(self.dir.join("said")).map_err(|error| error.to_string())?;
        Ok(said
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }
}

impl Speaker for Exabgp {
    fn name(&self) -> &str {
        "exabgp"
    }

    fn established(&self, _peer: &str) -> Result<(), String> {
        let events = self.events()?;
        let mut states = events
            .iter()
            .filter_map(|event| event["neighbor"]["state"].as_str());
        match states.next_back() {
            Some("up") => Ok(()),
            other => Err(format!("ExaBGP: {other:?}")),
        }
    }

    fn next_hops(&self, prefix: &str) -> Result<Vec<String>, String> {
        let mut next_hops = Vec::new();
        for event in self.events()? {
            if event["neighbor"]["state"] == "down" {
                next_hops.clear();
            }
            let update = &event["neighbor"]["message"]["update"];
            for families in update["announce"]
                .as_object()
                .into_iter()
                .flat_map(|families| families.values())
            {
                for (next_hop, routes) in families.as_object().into_iter().flatten() {
                    // A link-local address may come beside the global one.
                    if names(routes, prefix) && !next_hop.starts_with("fe80:") {
                        next_hops = vec![next_hop.clone()];
                    }
                }
            }
            if update["withdraw"]
                .as_object()
                .into_iter()
                .flatten()
                .any(|(_, routes)| names(routes, prefix))
            {
                next_hops.clear();
            }
        }
        Ok(next_hops)
    }

    fn announce(&mut self, prefix: &str, next_hop: &str) {
        self.tell(&format!("announce route {prefix} next-hop {next_hop}"));
        self.announced.insert(prefix.to_owned(), next_hop.to_owned());
    }

    fn withdraw(&mut self, prefix: &str) {
        let next_hop = self.announced.remove(prefix).expect("announced before");
        self.tell(&format!("withdraw route {prefix} next-hop {next_hop}"));
    }

    fn restart(&mut self) {
        let mut process = self.process.take().expect("ExaBGP runs");
        process.stop(Signal::SIGKILL);
        self.announced.clear();
        self.start_again();
    }
}

/// Whether a list of ExaBGP's `{"nlri": prefix}` names this prefix.
fn names(routes: &Value, prefix: &str) -> bool {
    routes
        .as_array()
        .into_iter()
        .flatten()
        .any(|route| route["nlri"] == prefix)
}
