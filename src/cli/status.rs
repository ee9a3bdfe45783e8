//! `stonechat status`.

use super::span::span;
use super::table::pairs;
use super::{Error, Terminal};
use crate::control::show::DaemonStatus;
use crate::control::{Request, Response};
use crate::drain;

pub(super) fn execute(terminal: &mut Terminal<'_>) -> Result<(), Error> {
    let Response::Status(status) = terminal.client.ask(&Request::Status)? else {
        return Err(Error::Answer(String::from("it is no status")));
    };
    terminal.output.print(&*status, text)
}

fn text(status: &DaemonStatus) -> String {
    let counters = &status.counters;
    let other = status.version != env!("CARGO_PKG_VERSION");
    let version = if other {
        format!(
            "{} (this command line is {})",
            status.version,
            env!("CARGO_PKG_VERSION")
        )
    } else {
        status.version.clone()
    };
    pairs([
        ("version", version),
        ("process", format!("{}, up {}", status.pid, span(status.uptime_s))),
        ("AS", status.asn.to_string()),
        ("router id", status.router_id.to_string()),
        ("configuration", status.config.display().to_string()),
        (
            "last reload",
            status.last_reload.clone().unwrap_or_else(|| String::from("-")),
        ),
        ("drained", drains(&status.drains)),
        (
            "prefixes",
            format!("{} with {} paths", counters.prefixes, counters.paths),
        ),
        ("attribute sets", counters.attribute_sets.to_string()),
        ("update groups", counters.groups.to_string()),
        (
            "ready",
            if status.readiness.is_ready() { "yes" } else { "no" }.to_owned(),
        ),
        ("parts", status.readiness.text()),
    ])
}

/// `vip shop (draining), peer f5-a (drained)`.
fn drains(drains: &[drain::Status]) -> String {
    if drains.is_empty() {
        return String::from("-");
    }
    let drains = drains
        .iter()
        .map(|drain| format!("{} ({})", drain.target, drain.stage));
    drains.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::Daemon;
    use crate::control::Readiness;
    use crate::rib::explain::Counters;

    #[test]
    fn the_daemon_says_what_is_not_well() {
        let daemon = Daemon::new(|_| {
            let mut readiness = Readiness::default();
            readiness.part("listener", Ok(String::new()));
            readiness.part("kernel", Err("no permission".into()));
            Response::Status(Box::new(DaemonStatus {
                version: env!("CARGO_PKG_VERSION").into(),
                pid: 7,
                asn: 64_512,
                router_id: [192, 0, 2, 1].into(),
                config: "/etc/stonechat/stonechat.toml".into(),
                uptime_s: 61,
                readiness,
                last_reload: None,
                drains: vec![],
                counters: Counters {
                    prefixes: 3,
                    paths: 4,
                    ..Counters::default()
                },
            }))
        });
        let text = daemon.text(execute);
        assert!(text.contains("process         7, up 1m01s\n"), "{text}");
        assert!(text.contains("prefixes        3 with 4 paths\n"), "{text}");
        assert!(text.contains("ready           no\n"), "{text}");
        assert!(
            text.ends_with(
                "parts           listener: ok\n                kernel: not ready: no permission\n"
            ),
            "{text}"
        );
    }
}
