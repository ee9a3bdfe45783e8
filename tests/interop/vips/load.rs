//! What many checks cost.
//!
//! Not part of the test command: `cargo xtask bench vips` prints the share of a core.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::lab::process::Process;
use crate::lab::{Lab, await_until, skipped};

const VIPS: u32 = 2_000;
/// How long the daemon is watched once every VIP is up.
const WATCHED: Duration = Duration::from_secs(20);

#[test]
#[ignore = "a measurement of half a minute, for docs/vips.md"]
fn two_thousand_tcp_checks_of_a_second() {
    if skipped(&[]) {
        return;
    }
    let lab = Lab::new();
    let node = lab.namespace("node");
    let (ready, listening) = std::sync::mpsc::sync_channel(1);
    let _server = node.spawn_inside(move || {
        let listener = TcpListener::bind("127.0.0.1:9000").expect("listen");
        ready.send(()).expect("the measurement waits");
        listener.incoming().for_each(drop);
    });
    listening.recv().expect("the server listens");

    let dir = lab.dir("load");
    let mut config = format!(
        "[speaker]\nasn = 64512\nrouter_id = \"192.0.2.1\"\nlisten = []\nstate_dir = \"{}\"\n",
        dir.display()
    );
    for number in 0..VIPS {
        write!(
            config,
            "[[vip]]\nname = \"v{number}\"\naddress = \"10.{}.{}.{}/32\"\n\
             check = {{ tcp = \"127.0.0.1:9000\", interval = \"1s\" }}\n",
            number / 65_536,
            number / 256 % 256,
            number % 256
        )
        .expect("a string takes it");
    }
    fs::write(dir.join("node.toml"), config).expect("write the configuration");
    let binary = std::env::var_os("STONECHAT").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_stonechat")),
        |path| fs::canonicalize(path).expect("the binary is there"),
    );
    let mut command = node.command(&binary);
    command.args(["run", "--config"]).arg(dir.join("node.toml"));
    command.arg("--socket").arg(dir.join("ctl"));
    let process = Process::start("stonechat", &mut command, &dir.join("stonechat.log"));
    await_until("every VIP is announced", || {
        let mut vips = std::process::Command::new(&binary);
        let outcome = vips
            .args(["vips", "--json", "--socket"])
            .arg(dir.join("ctl"))
            .output();
        let shown = String::from_utf8_lossy(&outcome.map_err(|error| error.to_string())?.stdout).into_owned();
        let up = shown.matches("\"announced\":true").count() + shown.matches("\"announced\": true").count();
        crate::lab::wait::equal(&up, &2_000)
    });
    let (before, began) = (
        cpu(u32::try_from(process.pid().as_raw()).expect("a pid")),
        Instant::now(),
    );
    std::thread::sleep(WATCHED);
    let (after, took) = (
        cpu(u32::try_from(process.pid().as_raw()).expect("a pid")),
        began.elapsed(),
    );
    println!(
        "{VIPS} tcp checks of 1 s: {:.1} % of one core over {took:?}",
        (after - before).as_secs_f64() / took.as_secs_f64() * 100.0
    );
}

/// Processor time of a process so far, user and system.
fn cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    let (_, fields) = stat.rsplit_once(") ").expect("a name in brackets");
    let fields: Vec<u64> = fields.split(' ').filter_map(|field| field.parse().ok()).collect();
    // After the state come 10 fields, then utime and stime in ticks of 10 ms.
    Duration::from_millis((fields[10] + fields[11]) * 10)
}
