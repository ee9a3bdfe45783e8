//! `stonechat vips`.

use super::span::since;
use super::table::{Column, Table};
use super::{Error, Terminal};
use crate::control::{Request, Response};
use crate::vip::{Status, Verdict};

pub(super) fn execute(terminal: &mut Terminal<'_>) -> Result<(), Error> {
    let Response::Vips(vips) = terminal.client.ask(&Request::Vips)? else {
        return Err(Error::Answer(String::from("it is no list of VIPs")));
    };
    let now = terminal.output.now_unix_s();
    terminal.output.print(&vips, |vips| text(vips, now))
}

fn text(vips: &[Status], now_unix_s: u64) -> String {
    if vips.is_empty() {
        return String::from("no VIPs\n");
    }
    let mut table = Table::new([
        Column::Left("VIP"),
        Column::Left("ADDRESS"),
        Column::Left("STATE"),
        Column::Right("SINCE"),
        Column::Left("CHECK"),
        Column::Left("IN A ROW"),
        Column::Right("AGO"),
        Column::Left("LAST RESULT"),
    ]);
    for vip in vips {
        let ago = vip.last_result_unix_s.map(|at| since(at, now_unix_s));
        table.row([
            vip.name.to_string(),
            vip.address.to_string(),
            state(vip),
            since(vip.since_unix_s, now_unix_s),
            vip.check.clone(),
            in_a_row(vip),
            ago.unwrap_or_else(|| String::from("-")),
            vip.last_result.clone().unwrap_or_else(|| String::from("-")),
        ]);
    }
    table.text()
}

/// The verdict, and what stands beside it.
fn state(vip: &Status) -> String {
    let saved = vip.saved.then(|| String::from("saved"));
    let drain = vip.drain.map(|stage| stage.to_string());
    let beside: Vec<String> = saved.into_iter().chain(drain).collect();
    if beside.is_empty() {
        vip.verdict.to_string()
    } else {
        format!("{} ({})", vip.verdict, beside.join(", "))
    }
}

/// What leads to a change: successes while it is not up, failures while it is not down.
fn in_a_row(vip: &Status) -> String {
    match vip.verdict {
        _ if vip.rise == 0 => String::from("-"),
        Verdict::Unknown | Verdict::Up if vip.failures > 0 => {
            format!("{} of {} failed", vip.failures, vip.fall)
        }
        Verdict::Unknown | Verdict::Down if vip.successes > 0 => {
            format!("{} of {} passed", vip.successes, vip.rise)
        }
        Verdict::Up => String::from("passing"),
        Verdict::Down => String::from("failing"),
        Verdict::Unknown => String::from("no result"),
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
            daemon.text(execute),
            "\
VIP    ADDRESS              STATE       SINCE  CHECK              IN A ROW       AGO  LAST RESULT
dns    2001:db8:53::53/128  up          1m40s  none               -                -  -
new    192.0.2.3/32         unknown     1m40s  tcp 127.0.0.1:443  1 of 2 passed   1s  connected
saved  192.0.2.4/32         up (saved)  1m40s  tcp 127.0.0.1:443  1 of 3 failed   1s  Connection refused (os error 111)
shop   192.0.2.1/32         down        1m40s  tcp 127.0.0.1:443  failing         1s  no answer within 1s
"
        );
        assert_eq!(daemon.json(execute)[3]["verdict"], "down");
    }

    pub(in crate::cli) fn vips() -> Vec<Status> {
        let checked = Status {
            name: "shop".into(),
            address: "192.0.2.1/32".parse().unwrap(),
            verdict: Verdict::Down,
            drain: None,
            announced: false,
            saved: false,
            since_unix_s: 999_900,
            check: "tcp 127.0.0.1:443".into(),
            last_result: Some("no answer within 1s".into()),
            last_result_unix_s: Some(999_999),
            successes: 0,
            rise: 2,
            failures: 4,
            fall: 3,
            passed_total: 10,
            failed_total: 4,
            transitions_total: 2,
        };
        let dns = Status {
            name: "dns".into(),
            address: "2001:db8:53::53/128".parse().unwrap(),
            verdict: Verdict::Up,
            check: "none".into(),
            last_result: None,
            last_result_unix_s: None,
            rise: 0,
            ..checked
        };
        let new = Status {
            name: "new".into(),
            address: "192.0.2.3/32".parse().unwrap(),
            verdict: Verdict::Unknown,
            successes: 1,
            failures: 0,
            last_result: Some("connected".into()),
            ..checked.clone()
        };
        let saved = Status {
            name: "saved".into(),
            address: "192.0.2.4/32".parse().unwrap(),
            verdict: Verdict::Up,
            saved: true,
            failures: 1,
            last_result: Some("Connection refused (os error 111)".into()),
            ..checked.clone()
        };
        vec![dns, new, saved, checked]
    }
}
