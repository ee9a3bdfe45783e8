//! `stonechat peers`.

use super::span::since;
use super::table::{Column, Table};
use super::{Error, Terminal};
use crate::control::show::PeerReport;
use crate::control::{Request, Response};
use crate::rib::explain::PeerCounters;
use crate::session::status::{State, Status};

pub(super) fn execute(terminal: &mut Terminal<'_>) -> Result<(), Error> {
    let Response::Peers(peers) = terminal.client.ask(&Request::Peers)? else {
        return Err(Error::Answer(String::from("it is no list of peers")));
    };
    let now = terminal.output.now_unix_s();
    terminal.output.print(&peers, |peers| text(peers, now))
}

/// The state in one word.
pub(super) fn state(status: &Status) -> String {
    match status {
        Status { is_self: true, .. } => String::from("self"),
        Status { shutdown: true, .. } => String::from("Shutdown"),
        Status { state, .. } => format!("{state:?}"),
    }
}

fn text(peers: &[PeerReport], now_unix_s: u64) -> String {
    if peers.is_empty() {
        return String::from("no peers\n");
    }
    let mut table = Table::new([
        Column::Left("PEER"),
        Column::Left("ADDRESS"),
        Column::Right("AS"),
        Column::Left("STATE"),
        Column::Right("SINCE"),
        Column::Right("RECEIVED"),
        Column::Right("ACCEPTED"),
        Column::Right("ADVERTISED"),
    ]);
    for PeerReport { status, counters } in peers {
        let sum = |count: fn(&PeerCounters) -> u64| match counters.as_slice() {
            [] => String::from("-"),
            counters => counters.iter().map(count).sum::<u64>().to_string(),
        };
        table.row([
            status.name.to_string(),
            status.address.to_string(),
            status
                .asn
                .map_or_else(|| String::from("-"), |asn| asn.to_string()),
            state(status),
            if status.is_self {
                String::from("-")
            } else {
                since(status.since_unix_s, now_unix_s)
            },
            sum(|counters| counters.received),
            sum(|counters| counters.accepted),
            sum(|counters| counters.advertised),
        ]);
    }
    let mut text = table.text();
    for line in peers.iter().flat_map(|peer| remarks(&peer.status)) {
        text.extend([line.as_str(), "\n"]);
    }
    text
}

/// What an operator should know, and why a session that should be up is not.
fn remarks(status: &Status) -> Vec<String> {
    let mut remarks: Vec<String> = status
        .notes
        .iter()
        .map(|note| format!("{}: {note}", status.name))
        .collect();
    let idle = status.is_self || status.shutdown || status.state == State::Established;
    if let Some(error) = status.last_error.as_ref().filter(|_| !idle) {
        remarks.push(format!("{}: last error: {error}", status.name));
    }
    remarks
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cli::testing::Daemon;
    use crate::route::PeerId;
    use crate::session::status::MessageCounts;

    #[test]
    fn peers_stand_in_columns_with_remarks_beneath() {
        let daemon = Daemon::new(|_| Response::Peers(peers()));
        assert_eq!(
            daemon.text(execute),
            "\
PEER   ADDRESS            AS  STATE        SINCE  RECEIVED  ACCEPTED  ADVERTISED
f5-a   172.16.40.202   64512  Established  1m40s         5         3           1
far    2001:db8:ff::1  65001  Active       1m40s         -         -           -
node1  172.16.40.199   64512  self             -         -         -           -
far: no filters: carries nothing, RFC 8212
far: last error: connection refused
"
        );
    }

    #[test]
    fn json_has_the_session_and_the_counts() {
        let daemon = Daemon::new(|_| Response::Peers(peers()));
        let json = daemon.json(execute);
        assert_eq!(json[0]["address"], "172.16.40.202");
        assert_eq!(json[0]["state"], "Established");
        assert_eq!(json[0]["counters"][0]["received"], 5);
        assert_eq!(json[2]["is_self"], true);
    }

    pub(in crate::cli) fn peers() -> Vec<PeerReport> {
        let f5 = status("f5-a", "172.16.40.202", 64_512, State::Established);
        let mut far = status("far", "2001:db8:ff::1", 65_001, State::Active);
        far.last_error = Some("connection refused".into());
        far.notes = vec!["no filters: carries nothing, RFC 8212".into()];
        let own = Status {
            is_self: true,
            ..status("node1", "172.16.40.199", 64_512, State::Idle)
        };
        vec![
            PeerReport {
                status: f5,
                counters: vec![counters("f5-a")],
            },
            PeerReport {
                status: far,
                counters: vec![],
            },
            PeerReport {
                status: own,
                counters: vec![],
            },
        ]
    }

    fn status(name: &str, address: &str, asn: u32, state: State) -> Status {
        Status {
            name: name.into(),
            group: None,
            description: String::new(),
            address: address.parse().unwrap(),
            asn: Some(asn),
            local_asn: 64_512,
            state,
            is_self: false,
            shutdown: false,
            since_unix_s: 999_900,
            bgp_identifier: None,
            local: None,
            remote: None,
            hold_time_s: 90,
            keepalive_time_s: 30,
            families: vec!["ipv4-unicast".into()],
            capabilities: vec!["route refresh".into(), "4-octet AS".into()],
            flaps: 2,
            established_count: 3,
            messages_sent: MessageCounts::default(),
            messages_received: MessageCounts {
                update: 7,
                ..MessageCounts::default()
            },
            bytes_sent: 0,
            bytes_received: 512,
            last_error: None,
            notes: vec![],
        }
    }

    fn counters(name: &str) -> PeerCounters {
        PeerCounters {
            peer: PeerId {
                index: 0,
                generation: 0,
            },
            name: name.into(),
            family: "ipv4-unicast".into(),
            received: 5,
            accepted: 3,
            best: 2,
            advertised: 1,
            stale: 0,
            pending: 0,
            end_of_rib_received: true,
            disabled: false,
            end_of_rib_sent: true,
            updates_received: 7,
            updates_sent: 1,
            malformed: 0,
        }
    }
}
