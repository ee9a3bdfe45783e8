//! FRR: zebra and bgpd with sockets of their own, asked through vtysh.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use nix::unistd::User;
use serde_json::Value;

use super::outcome::Outcome;
use super::process::Process;
use super::speaker::Speaker;
use super::{Lab, Namespace, await_until};

/// FRR in one namespace.
pub(crate) struct Frr {
    name: String,
    dir: PathBuf,
    network_namespace: String,
    zebra: Option<Process>,
    bgpd: Option<Process>,
}

impl Frr {
    /// Starts zebra and bgpd; `bgpd_conf` is bgpd's configuration.
    pub(crate) fn start(lab: &Lab, namespace: &Namespace, name: &str, bgpd_conf: &str) -> Self {
        let dir = lab.dir(name);
        fs::write(dir.join("zebra.conf"), "").expect("write zebra.conf");
        fs::write(dir.join("bgpd.conf"), bgpd_conf).expect("write bgpd.conf");
        give_to_frr(&dir);
        let mut frr = Self {
            name: name.to_owned(),
            dir,
            network_namespace: namespace.name().to_owned(),
            zebra: None,
            bgpd: None,
        };
        frr.start_again();
        frr
    }

    /// Starts what is not running.
    pub(crate) fn start_again(&mut self) {
        if self.zebra.is_none() {
            self.zebra = Some(self.run("zebra", "zserv.api"));
        }
        if self.bgpd.is_none() {
            self.bgpd = Some(self.run("bgpd", "bgpd.vty"));
        }
    }

    /// Stops bgpd with `signal`; zebra keeps running.
    pub(crate) fn stop_bgpd(&mut self, signal: Signal) {
        let mut bgpd = self.bgpd.take().expect("bgpd runs");
        bgpd.stop(signal);
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("bgpd.log")).unwrap_or_default()
    }

    /// Runs commands in vtysh; they have to succeed.
    #[track_caller]
    pub(crate) fn vtysh(&self, commands: &[&str]) -> String {
        self.vtysh_outcome(commands).expect_success()
    }

    /// The JSON that a `show ... json` command prints.
    pub(crate) fn show(&self, command: &str) -> Result<Value, String> {
        self.vtysh_outcome(&[command]).json()
    }

    /// What `show ip bgp neighbors json` (or its IPv6 form) says of one peer.
    pub(crate) fn peer(&self, peer: &str) -> Result<Value, String> {
        let all = self.show(&format!("show bgp neighbors {peer} json"))?;
        all.get(peer)
            .cloned()
            .ok_or_else(|| format!("FRR knows no peer {peer}: {all}"))
    }

    /// The prefixes of zebra's table whose selected route is BGP's, with their next hops, in order.
    ///
    /// `family` is `ip` or `ipv6`.
    pub(crate) fn bgp_routes(&self, family: &str) -> Result<Vec<(String, Vec<String>)>, String> {
        let all = self.show(&format!("show {family} route bgp json"))?;
        let table = all.as_object().ok_or_else(|| all.to_string())?;
        let mut routes = Vec::new();
        for (prefix, entries) in table {
            let Some(selected) = entries
                .as_array()
                .into_iter()
                .flatten()
                .find(|entry| entry["selected"] == true)
            else {
                continue;
            };
            let next_hops = selected["nexthops"].as_array().into_iter().flatten();
            let next_hops = next_hops.filter_map(|hop| hop["ip"].as_str().map(str::to_owned));
            routes.push((prefix.clone(), next_hops.collect()));
        }
        routes.sort();
        Ok(routes)
    }

    fn vtysh_outcome(&self, commands: &[&str]) -> Outcome {
        let mut vtysh = Command::new("vtysh");
        vtysh.arg("--vty_socket").arg(&self.dir);
        for command in commands {
            vtysh.args(["-c", command]);
        }
        Outcome::of(&mut vtysh)
    }

    /// Starts one of FRR's daemons and waits for the socket that shows it is ready.
    fn run(&self, daemon: &str, socket: &str) -> Process {
        let socket = self.dir.join(socket);
        // A socket left by a killed daemon would look ready.
        let _removed = fs::remove_file(&socket);
        let mut command = Command::new("ip");
        command.args([
            "netns",
            "exec",
            &self.network_namespace,
            &format!("/usr/lib/frr/{daemon}"),
        ]);
        command.arg("-f").arg(self.dir.join(format!("{daemon}.conf")));
        command.arg("-i").arg(self.dir.join(format!("{daemon}.pid")));
        command.arg("-z").arg(self.dir.join("zserv.api"));
        command.arg("--vty_socket").arg(&self.dir);
        command.args(["-P", "0", "--log", "stdout"]);
        let mut process = Process::start(daemon, &mut command, &self.dir.join(format!("{daemon}.log")));
        await_until(&format!("{daemon} is ready"), || {
            process.assert_running();
            if socket.exists() {
                Ok(())
            } else {
                Err(format!("no {}", socket.display()))
            }
        });
        process
    }
}

impl Speaker for Frr {
    fn name(&self) -> &str {
        &self.name
    }

    fn established(&self, peer: &str) -> Result<(), String> {
        let peer = self.peer(peer)?;
        if peer["bgpState"] == "Established" {
            Ok(())
        } else {
            Err(format!(
                "FRR: {}, last reset {}",
                peer["bgpState"], peer["lastResetDueTo"]
            ))
        }
    }

    fn next_hops(&self, prefix: &str) -> Result<Vec<String>, String> {
        let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
        let all = self.show(&format!("show bgp {family} unicast {prefix} json"))?;
        let paths = all["paths"].as_array().cloned().unwrap_or_default();
        let learned = paths
            .iter()
            .filter(|path| path["peer"]["peerId"] != "0.0.0.0" && path["peer"]["peerId"] != "::");
        let global = |path: &Value| {
            let hops = path["nexthops"].as_array()?;
            let hop = hops.iter().find(|hop| hop["scope"] != "link-local")?;
            hop["ip"].as_str().map(str::to_owned)
        };
        Ok(learned.filter_map(global).collect())
    }

    fn announce(&mut self, prefix: &str, _next_hop: &str) {
        self.network(prefix, &format!("network {prefix}"));
    }

    fn withdraw(&mut self, prefix: &str) {
        self.network(prefix, &format!("no network {prefix}"));
    }

    fn restart(&mut self) {
        self.stop_bgpd(Signal::SIGKILL);
        self.start_again();
    }
}

impl Frr {
    /// Gives bgpd a line in the address family of `prefix`.
    fn network(&self, prefix: &str, line: &str) {
        let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
        self.vtysh(&[
            "configure terminal",
            "router bgp",
            &format!("address-family {family} unicast"),
            line,
        ]);
    }
}

/// FRR's daemons drop to the user `frr`, which must be able to write sockets and pid files.
fn give_to_frr(dir: &Path) {
    if let Ok(Some(user)) = User::from_name("frr") {
        chown(dir, Some(user.uid.as_raw()), Some(user.gid.as_raw())).expect("give the directory to frr");
    }
}
