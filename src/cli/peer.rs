//! `stonechat peer NAME`.

use super::peers::state;
use super::span::since;
use super::table::{Column, Table, pairs};
use super::{Error, Terminal};
use crate::control::show::PeerReport;
use crate::control::{Request, Response};
use crate::rib::explain::PeerCounters;
use crate::session::status::{MessageCounts, Status};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The peer's name or address
    peer: String,
}

pub(super) fn execute(arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<(), Error> {
    let request = Request::Peer {
        name: arguments.peer.clone(),
    };
    let Response::Peer(peer) = terminal.client.ask(&request)? else {
        return Err(Error::Answer(String::from("it is no peer")));
    };
    let now = terminal.output.now_unix_s();
    terminal.output.print(&*peer, |peer| text(peer, now))
}

fn text(peer: &PeerReport, now_unix_s: u64) -> String {
    let mut text = session(&peer.status, now_unix_s);
    text.push('\n');
    text.push_str(&messages(&peer.status));
    if !peer.counters.is_empty() {
        text.push('\n');
        text.push_str(&families(&peer.counters));
    }
    text
}

fn session(status: &Status, now_unix_s: u64) -> String {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| String::from("-"));
    let since = since(status.since_unix_s, now_unix_s);
    let seconds = |seconds: u64| {
        if seconds == 0 {
            String::from("none")
        } else {
            format!("{seconds}s")
        }
    };
    let mut shown = vec![
        ("peer", status.name.to_string()),
        ("description", status.description.clone()),
        (
            "group",
            status
                .group
                .as_ref()
                .map_or_else(String::new, |group| group.to_string()),
        ),
        ("address", status.address.to_string()),
        (
            "AS",
            format!(
                "{} (ours {})",
                or_none(status.asn.map(|asn| asn.to_string())),
                status.local_asn
            ),
        ),
        ("state", format!("{} for {since}", state(status))),
        (
            "identifier",
            or_none(status.bgp_identifier.map(|id| id.to_string())),
        ),
        ("local end", or_none(status.local.map(|local| local.to_string()))),
        (
            "remote end",
            or_none(status.remote.map(|remote| remote.to_string())),
        ),
        ("hold time", seconds(status.hold_time_s)),
        ("keepalive time", seconds(status.keepalive_time_s)),
        ("families", status.families.join("\n")),
        ("capabilities", status.capabilities.join("\n")),
        (
            "established",
            format!("{} times, {} flaps", status.established_count, status.flaps),
        ),
        ("last error", status.last_error.clone().unwrap_or_default()),
        ("notes", status.notes.join("\n")),
    ];
    shown.retain(|(_, value)| !value.is_empty());
    pairs(shown)
}

fn messages(status: &Status) -> String {
    let mut table = Table::new([
        Column::Left("MESSAGES"),
        Column::Right("SENT"),
        Column::Right("RECEIVED"),
    ]);
    let both = kinds(status.messages_sent)
        .into_iter()
        .zip(kinds(status.messages_received));
    for ((kind, sent), (_, received)) in both {
        table.row([String::from(kind), sent.to_string(), received.to_string()]);
    }
    table.row([
        String::from("octets"),
        status.bytes_sent.to_string(),
        status.bytes_received.to_string(),
    ]);
    table.text()
}

fn kinds(counts: MessageCounts) -> [(&'static str, u64); 5] {
    let MessageCounts {
        open,
        update,
        notification,
        keepalive,
        route_refresh,
    } = counts;
    [
        ("open", open),
        ("update", update),
        ("notification", notification),
        ("keepalive", keepalive),
        ("route-refresh", route_refresh),
    ]
}

fn families(counters: &[PeerCounters]) -> String {
    let mut table = Table::new([
        Column::Left("FAMILY"),
        Column::Right("RECEIVED"),
        Column::Right("ACCEPTED"),
        Column::Right("BEST"),
        Column::Right("ADVERTISED"),
        Column::Right("STALE"),
        Column::Right("PENDING"),
        Column::Right("MALFORMED"),
        Column::Left("END-OF-RIB"),
    ]);
    for counters in counters {
        let end_of_rib = match (counters.end_of_rib_received, counters.end_of_rib_sent) {
            (true, true) => "received, sent",
            (true, false) => "received",
            (false, true) => "sent",
            (false, false) => "-",
        };
        table.row([
            if counters.disabled {
                format!("{} (disabled)", counters.family)
            } else {
                counters.family.clone()
            },
            counters.received.to_string(),
            counters.accepted.to_string(),
            counters.best.to_string(),
            counters.advertised.to_string(),
            counters.stale.to_string(),
            counters.pending.to_string(),
            counters.malformed.to_string(),
            String::from(end_of_rib),
        ]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::peers::tests::peers;
    use crate::cli::testing::Daemon;
    use crate::control::show::no_such_peer;

    #[test]
    fn everything_about_a_peer_is_shown() {
        let daemon = Daemon::new(|_| Response::Peer(Box::new(peers().remove(0))));
        let arguments = Arguments { peer: "f5-a".into() };
        assert_eq!(
            daemon.text(|terminal| execute(&arguments, terminal)),
            "\
peer            f5-a
address         172.16.40.202
AS              64512 (ours 64512)
state           Established for 1m40s
identifier      -
local end       -
remote end      -
hold time       90s
keepalive time  30s
families        ipv4-unicast
capabilities    route refresh
                4-octet AS
established     3 times, 2 flaps

MESSAGES       SENT  RECEIVED
open              0         0
update            0         7
notification      0         0
keepalive         0         0
route-refresh     0         0
octets            0       512

FAMILY        RECEIVED  ACCEPTED  BEST  ADVERTISED  STALE  PENDING  MALFORMED  END-OF-RIB
ipv4-unicast         5         3     2           1      0        0          0  received, sent
"
        );
        assert_eq!(
            daemon.json(|terminal| execute(&arguments, terminal))["name"],
            "f5-a"
        );
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        let daemon = Daemon::new(|request| {
            let Request::Peer { name } = request else {
                panic!("{request:?}")
            };
            Response::Failed(no_such_peer(&name, ["node1", "f5-a"]))
        });
        let arguments = Arguments { peer: "f5a".into() };
        let (_, refused) = daemon.ask(false, |terminal| execute(&arguments, terminal));
        assert_eq!(
            refused,
            Err("no peer \"f5a\"; the nearest are f5-a, node1".into())
        );
    }
}
