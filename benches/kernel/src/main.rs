//! The kernel edge measured: installing, removing, importing, beside BIRD 2 and FRR, and the raw limit of netlink.
//!
//! Takes root. Everything happens in network namespaces of its own, which go when it ends.

mod daemon;
mod lab;
mod measure;
mod netlink;
#[path = "../../common/process.rs"]
mod process;
mod restart;
mod session;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};

use daemon::Kind;
use measure::{Latency, Rest, Size, Work};

const USAGE: &str = "\
usage: cargo xtask bench kernel [--quick] [--daemon NAME]... [--scene NAME]...

  --quick         20,000 routes in place of 200,000, 50,000 loaded in place of 500,000
  --daemon NAME   stonechat, bird or frr; all of them without
  --scene NAME    raw, restart, install, multipath, import, loaded, early or idle; all of them without
  --program PATH  the stonechat to measure; target/release/stonechat without";

struct Options {
    size: Size,
    daemons: Vec<Kind>,
    scenes: Vec<String>,
}

fn main() -> Result<()> {
    let options = options()?;
    let wanted = |scene: &str| options.scenes.is_empty() || options.scenes.iter().any(|name| name == scene);
    let size = &options.size;
    println!(
        "{} routes, {} loaded; median and 99th percentile where two times are given\n",
        size.routes, size.loaded
    );
    if wanted("raw") {
        print!("{:22}", "raw netlink");
        for (what, took) in measure::raw(size)? {
            print!(" {what} {:.2} s;", took.as_secs_f64());
        }
        println!("\n");
    }
    if wanted("restart") && options.size.stonechat.exists() {
        show_losses(size);
    }
    for kind in &options.daemons {
        println!("{}", kind.name());
        if wanted("install") {
            show(
                &["install", "remove all"],
                measure::install(*kind, size).map(|works| works.map(work)),
            );
        }
        if wanted("multipath") {
            let works = measure::multipath(*kind, size).map(|works| works.map(work));
            show(&["install, ECMP of 2", "one of two peers gone"], works);
        }
        if wanted("import") {
            show(
                &["import"],
                measure::import(*kind, size, 0).map(|times| [latency(times)]),
            );
        }
        if wanted("loaded") {
            let times = measure::import(*kind, size, size.loaded).map(|times| [latency(times)]);
            show(&["import, table loaded"], times);
        }
        if wanted("early") {
            let times = measure::early(*kind, size).map(|times| times.map(millis));
            show(&["10,000 at start, late", "10,000 at start, at once"], times);
        }
        if wanted("idle") {
            show(&["idle"], measure::idle(*kind, size).map(|rest| [at_rest(rest)]));
        }
        println!();
    }
    Ok(())
}

/// Stonechat restarts; FRR and BIRD 2 are the helpers, one after the other.
fn show_losses(size: &Size) {
    let routes = size.routes / 10;
    for helper in ["frr", "bird"] {
        println!("stonechat restarts, {helper} is the helper, {routes} routes: packets lost out and in");
        match restart::losses(&size.stonechat, helper, routes) {
            Ok(losses) => {
                for loss in losses {
                    let [out, back] = loss.sent;
                    println!(
                        "  {:26} {} of {out}, {} of {back}",
                        loss.what, loss.lost[0], loss.lost[1]
                    );
                }
            }
            Err(error) => println!("  failed: {error:#}"),
        }
        println!();
    }
}

/// One daemon's failure is a line of the table; the others are still measured.
fn show<const N: usize>(rows: &[&str; N], values: Result<[String; N]>) {
    match values {
        Ok(values) => {
            for (row, value) in rows.iter().zip(values) {
                println!("  {row:26} {value}");
            }
        }
        Err(error) => println!("  {:26} failed: {error:#}", rows[0]),
    }
}

fn work(work: Work) -> String {
    format!(
        "{:5.2} s  {:5.2} CPU s  {:4} MiB",
        work.took.as_secs_f64(),
        work.cost.cpu.as_secs_f64(),
        work.cost.peak_kib / 1024
    )
}

fn at_rest(rest: Rest) -> String {
    format!(
        "{:.1} MiB, {:.3} % of a core, {:.1} wakes a second",
        rest.rss_kib as f64 / 1024.0,
        rest.cpu,
        rest.wakes
    )
}

fn latency(latency: Latency) -> String {
    format!("{} / {}", millis(latency.p50), millis(latency.p99))
}

fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1_000.0)
}

fn options() -> Result<Options> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut options = Options {
        size: Size {
            routes: 200_000,
            loaded: 500_000,
            stonechat: root.join("target/release/stonechat"),
        },
        daemons: Vec::new(),
        scenes: Vec::new(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| anyhow::anyhow!("{argument} takes a value\n{USAGE}"))
        };
        match argument.as_str() {
            "--quick" => (options.size.routes, options.size.loaded) = (20_000, 50_000),
            "--scene" => options.scenes.push(value()?),
            "--program" => options.size.stonechat = value()?.into(),
            "--daemon" => options.daemons.push(match value()?.as_str() {
                "stonechat" => Kind::Stonechat,
                "bird" => Kind::Bird,
                "frr" => Kind::Frr,
                other => bail!("no such daemon: {other}\n{USAGE}"),
            }),
            _ => bail!("{USAGE}"),
        }
    }
    if !nix::unistd::geteuid().is_root() {
        bail!("namespaces take root");
    }
    if options.daemons.is_empty() {
        options.daemons = Kind::ALL.to_vec();
    }
    options.daemons.retain(|kind| {
        let here = kind.is_here(&options.size.stonechat);
        if !here {
            println!("{} is not here", kind.name());
        }
        here
    });
    options.size.stonechat = options
        .size
        .stonechat
        .canonicalize()
        .unwrap_or(options.size.stonechat);
    Ok(options)
}
