//! `stonechat memory`.

use super::table::{Column, Table};
use super::{Error, Terminal};
use crate::control::{Request, Response};
use crate::rib::explain::MemoryUse;

pub(super) fn execute(terminal: &mut Terminal<'_>) -> Result<(), Error> {
    let Response::Status(status) = terminal.client.ask(&Request::Status)? else {
        return Err(Error::Answer(String::from("it is no status")));
    };
    terminal
        .output
        .print(&status.counters.memory, |memory| text(memory))
}

fn text(memory: &[MemoryUse]) -> String {
    let mut table = Table::new([
        Column::Left("KIND"),
        Column::Right("COUNT"),
        Column::Right("KiB"),
        Column::Right("OCTETS EACH"),
    ]);
    for used in memory {
        let each = used.bytes.checked_div(used.count);
        table.row([
            used.kind.to_string(),
            used.count.to_string(),
            used.bytes.div_ceil(1_024).to_string(),
            each.map_or_else(|| String::from("-"), |each| each.to_string()),
        ]);
    }
    let all: u64 = memory.iter().map(|used| used.bytes).sum();
    table.row([
        String::from("all of the RIB"),
        String::new(),
        all.div_ceil(1_024).to_string(),
        String::new(),
    ]);
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_line_and_the_sum_is_last() {
        let used = |kind: &str, count, bytes| MemoryUse {
            kind: kind.into(),
            count,
            bytes,
        };
        let text = text(&[used("paths", 1_000, 20_480), used("messages queued", 0, 0)]);
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(lines[1], ["paths", "1000", "20", "20"]);
        assert_eq!(lines[2], ["messages", "queued", "0", "0", "-"]);
        assert_eq!(lines[3], ["all", "of", "the", "RIB", "20"]);
    }
}
