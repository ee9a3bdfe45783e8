//! `stonechat vips [NAME]`.

use super::span::{since, span};
use super::table::{Column, Table, pairs};
use super::{Error, Terminal};
use crate::control::announcers::{Heard, VipReport};
use crate::control::show::no_such_vip;
use crate::control::{Request, Response};
use crate::vip::{CheckStatus, Status, Verdict};

#[derive(Debug, Default, clap::Args)]
pub(super) struct Arguments {
    /// Everything about this VIP
    name: Option<String>,
}

pub(super) fn execute(arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<(), Error> {
    let Response::Vips(vips) = terminal.client.ask(&Request::Vips)? else {
        return Err(Error::Answer(String::from("it is no list of VIPs")));
    };
    let now = terminal.output.now_unix_s();
    let Some(name) = &arguments.name else {
        return terminal.output.print(&vips, |vips| text(vips, now));
    };
    match vips.iter().find(|vip| *vip.status.name == **name) {
        Some(vip) => terminal.output.print(vip, |vip| detail(vip, now)),
        None => {
            let names = vips.iter().map(|vip| &*vip.status.name);
            Err(Error::Refused(no_such_vip(name, names)))
        }
    }
}

fn text(vips: &[VipReport], now_unix_s: u64) -> String {
    if vips.is_empty() {
        return String::from("no VIPs\n");
    }
    let mut table = Table::new([
        Column::Left("VIP"),
        Column::Left("ADDRESS"),
        Column::Left("STATE"),
        Column::Right("SINCE"),
        Column::Right("TOLD"),
        Column::Right("OTHERS"),
        Column::Left("CHECK"),
        Column::Left("IN A ROW"),
        Column::Right("AGO"),
        Column::Left("LAST RESULT"),
    ]);
    for report in vips {
        let vip = &report.status;
        let check = vip.deciding_check();
        let dash = || String::from("-");
        table.row([
            vip.name.to_string(),
            vip.address.to_string(),
            state(vip),
            since(vip.since_unix_s, now_unix_s),
            report.told.len().to_string(),
            report.others().to_string(),
            check.map_or_else(|| String::from("none"), |check| check.check.clone()),
            check.map_or_else(dash, in_a_row),
            check
                .and_then(|check| check.last_result_unix_s)
                .map_or_else(dash, |at| since(at, now_unix_s)),
            check
                .and_then(|check| check.last_result.clone())
                .unwrap_or_else(dash),
        ]);
    }
    let mut text = table.text();
    let notes = vips.iter().flat_map(|vip| notes(vip, now_unix_s));
    for (index, note) in notes.enumerate() {
        if index == 0 {
            text.push('\n');
        }
        text.push_str(&note);
        text.push('\n');
    }
    text
}

/// What does not fit the table: why a healthy VIP is held back, and warnings.
fn notes(report: &VipReport, now_unix_s: u64) -> Vec<String> {
    let vip = &report.status;
    let healthy = matches!(vip.verdict, Verdict::Up | Verdict::Degraded);
    let held = vip.held.iter().filter(|_| healthy && vip.drain.is_none());
    let left = vip
        .damped_until_unix_s
        .map(|until| span(until.saturating_sub(now_unix_s)));
    let left = left.map_or_else(String::new, |left| format!(" (for another {left})"));
    let held = held.map(|held| format!("{} is not announced: {held}{left}", vip.name));
    let warnings = report
        .warnings
        .iter()
        .map(|warning| format!("{}: warning: {warning}", vip.name));
    held.chain(warnings).collect()
}

/// The verdict, and what stands beside it.
fn state(vip: &Status) -> String {
    let saved = vip.saved.then(|| String::from("saved"));
    let drain = vip.drain.map(|stage| stage.to_string());
    let held = vip.held.is_some() && matches!(vip.verdict, Verdict::Up | Verdict::Degraded);
    let held = (held && drain.is_none()).then(|| String::from("held"));
    let beside: Vec<String> = [saved, drain, held].into_iter().flatten().collect();
    if beside.is_empty() {
        vip.verdict.to_string()
    } else {
        format!("{} ({})", vip.verdict, beside.join(", "))
    }
}

/// What leads to a change: successes while it does not pass, failures while it does not fail.
fn in_a_row(check: &CheckStatus) -> String {
    match check.verdict {
        Verdict::Unknown | Verdict::Up if check.failures > 0 => {
            format!("{} of {} failed", check.failures, check.fall)
        }
        Verdict::Unknown | Verdict::Down if check.successes > 0 => {
            format!("{} of {} passed", check.successes, check.rise)
        }
        Verdict::Up | Verdict::Degraded => String::from("passing"),
        Verdict::Down | Verdict::Disabled => String::from("failing"),
        Verdict::Unknown => String::from("no result"),
    }
}

fn detail(report: &VipReport, now_unix_s: u64) -> String {
    let vip = &report.status;
    let announced = match (&vip.held, vip.announced) {
        (Some(held), false) => format!("no: {held}"),
        (Some(held), true) => format!("about to be withdrawn: {held}"),
        (None, true) => String::from("yes"),
        (None, false) => String::from("about to be"),
    };
    let mut lines = vec![
        ("address", vip.address.to_string()),
        (
            "state",
            format!("{} for {}", state(vip), since(vip.since_unix_s, now_unix_s)),
        ),
        ("announced", announced),
        (
            "changes",
            format!("{}, damped {} times", vip.transitions_total, vip.damped_total),
        ),
    ];
    if let Some(interface) = &vip.bound {
        lines.push(("bound", format!("by us, on {interface}")));
    }
    if let Some(bits) = vip.bandwidth_bits {
        lines.push(("bandwidth", format!("{bits} bit/s")));
    }
    lines.push(("told", list(report.told.iter().map(ToString::to_string))));
    lines.push(("heard", list(report.heard.iter().map(heard))));
    lines.push(("warnings", list(report.warnings.iter().cloned())));
    lines.push((
        "checks",
        list(vip.checks.iter().map(|check| check_text(check, now_unix_s))),
    ));
    format!("{}\n{}", vip.name, pairs(lines))
}

fn heard(heard: &Heard) -> String {
    let next_hop = heard
        .next_hop
        .map_or_else(String::new, |next_hop| format!(", next hop {next_hop}"));
    let path = if heard.as_path.is_empty() {
        String::from("of our AS")
    } else {
        format!("AS path {}", heard.as_path)
    };
    let own = if heard.own { " (our own, come back)" } else { "" };
    format!("from {}: {path}{next_hop}{own}", heard.from)
}

fn check_text(check: &CheckStatus, now_unix_s: u64) -> String {
    let result = match (&check.last_result, check.last_result_unix_s) {
        (Some(result), Some(at)) => format!("{result} ({} ago)", since(at, now_unix_s)),
        _ => String::from("no result yet"),
    };
    let on_fail = match check.on_fail {
        Verdict::Down => String::new(),
        effect => format!(", else {effect}"),
    };
    format!(
        "{}{on_fail}: {}; {result}; {} passed, {} failed",
        check.check,
        in_a_row(check),
        check.passed_total,
        check.failed_total
    )
}

/// One line each.
fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() {
        String::from("-")
    } else {
        items.join("\n")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cli::testing::Daemon;

    #[test]
    fn each_vip_says_why_it_is_announced_or_not() {
        let daemon = Daemon::new(|_| Response::Vips(vips()));
        assert_eq!(
            daemon.text(|terminal| execute(&Arguments::default(), terminal)),
            "\
VIP    ADDRESS              STATE       SINCE  TOLD  OTHERS  CHECK              IN A ROW       AGO  LAST RESULT
dns    2001:db8:53::53/128  up (held)   1m40s     0       0  none               -                -  -
new    192.0.2.3/32         unknown     1m40s     0       0  tcp 127.0.0.1:443  1 of 2 passed   1s  connected
saved  192.0.2.4/32         up (saved)  1m40s     1       1  tcp 127.0.0.1:443  1 of 3 failed   1s  Connection refused (os error 111)
shop   192.0.2.1/32         down        1m40s     0       0  tcp 127.0.0.1:443  failing         1s  no answer within 1s

dns is not announced: VIP shop is not announced
saved: warning: AS 65009 announces it too, heard from tor
"
        );
        let json = daemon.json(|terminal| execute(&Arguments::default(), terminal));
        assert_eq!(json[3]["verdict"], "down");
        assert_eq!(json[2]["heard"][0]["from"], "tor");
    }

    #[test]
    fn one_vip_tells_everything() {
        let daemon = Daemon::new(|_| Response::Vips(vips()));
        let one = |name: &str| Arguments {
            name: Some(name.into()),
        };
        assert_eq!(
            daemon.text(|terminal| execute(&one("saved"), terminal)),
            "\
saved
address    192.0.2.4/32
state      up (saved) for 1m40s
announced  yes
changes    2, damped 0 times
told       tor
heard      from tor: AS path 65009, next hop 192.0.2.9
warnings   AS 65009 announces it too, heard from tor
checks     tcp 127.0.0.1:443: 1 of 3 failed; Connection refused (os error 111) (1s ago); 10 passed, 4 failed
"
        );
        let (_, done) = daemon.ask(false, |terminal| execute(&one("sohp"), terminal));
        assert!(done.unwrap_err().contains("shop"));
    }

    /// Two that are healthy, one new and one down, without what the RIB knows.
    pub(in crate::cli) fn statuses() -> Vec<Status> {
        let check = CheckStatus {
            check: "tcp 127.0.0.1:443".into(),
            verdict: Verdict::Down,
            on_fail: Verdict::Down,
            last_result: Some("no answer within 1s".into()),
            last_result_unix_s: Some(999_999),
            successes: 0,
            rise: 2,
            failures: 4,
            fall: 3,
            passed_total: 10,
            failed_total: 4,
        };
        let shop = Status {
            name: "shop".into(),
            address: "192.0.2.1/32".parse().unwrap(),
            verdict: Verdict::Down,
            drain: None,
            announced: false,
            held: Some("down".into()),
            saved: false,
            since_unix_s: 999_900,
            transitions_total: 2,
            damped_total: 0,
            damped_until_unix_s: None,
            bound: None,
            bandwidth_bits: None,
            warnings: vec![],
            origins: vec![],
            checks: vec![check.clone()],
        };
        let dns = Status {
            name: "dns".into(),
            address: "2001:db8:53::53/128".parse().unwrap(),
            verdict: Verdict::Up,
            held: Some("VIP shop is not announced".into()),
            checks: vec![],
            ..shop.clone()
        };
        let new = Status {
            name: "new".into(),
            address: "192.0.2.3/32".parse().unwrap(),
            verdict: Verdict::Unknown,
            held: Some("no verdict yet".into()),
            checks: vec![CheckStatus {
                verdict: Verdict::Unknown,
                successes: 1,
                failures: 0,
                last_result: Some("connected".into()),
                ..check.clone()
            }],
            ..shop.clone()
        };
        let saved = Status {
            name: "saved".into(),
            address: "192.0.2.4/32".parse().unwrap(),
            verdict: Verdict::Up,
            held: None,
            announced: true,
            saved: true,
            checks: vec![CheckStatus {
                verdict: Verdict::Up,
                failures: 1,
                last_result: Some("Connection refused (os error 111)".into()),
                ..check
            }],
            ..shop.clone()
        };
        vec![dns, new, saved, shop]
    }

    fn vips() -> Vec<VipReport> {
        let reports = statuses().into_iter().map(|status| VipReport {
            status,
            told: vec![],
            heard: vec![],
            warnings: vec![],
        });
        let mut reports: Vec<VipReport> = reports.collect();
        reports[2].told = vec!["tor".into()];
        reports[2].heard = vec![Heard {
            from: "tor".into(),
            next_hop: Some("192.0.2.9".parse().unwrap()),
            as_path: "65009".into(),
            originator: None,
            own: false,
        }];
        reports[2].warnings = vec!["AS 65009 announces it too, heard from tor".into()];
        reports
    }
}
