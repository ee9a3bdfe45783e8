//! `stonechat why PREFIX`: prints what the deciding code returned, and decides nothing itself.

use std::net::IpAddr;

use super::routes::flags;
use super::span::{since, span};
use super::table::{Column, Table};
use super::{Error, Terminal};
use crate::control::show::WhyReport;
use crate::control::{Request, Response};
use crate::rib::explain::{ExportStory, GroupStory, PathStory};
use crate::route::Prefix;
use crate::vip;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The prefix, exactly; an address is its host route
    #[arg(value_parser = parse_prefix)]
    prefix: Prefix,
    /// Advertisement to this peer only
    #[arg(long)]
    peer: Option<String>,
}

pub(super) fn execute(arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<(), Error> {
    let request = Request::Why {
        prefix: arguments.prefix,
        peer: arguments.peer.clone(),
    };
    let Response::Why(report) = terminal.client.ask(&request)? else {
        return Err(Error::Answer(String::from("it is no explanation")));
    };
    let now = terminal.output.now_unix_s();
    terminal.output.print(&*report, |report| text(report, now))
}

fn text(report: &WhyReport, now_unix_s: u64) -> String {
    let story = &report.explanation;
    let mut text = format!("{}\n", story.prefix);
    if story.paths.is_empty() {
        text.push_str("\nno paths: nobody sent it and we do not originate it\n");
    } else {
        text.push_str("\npaths:\n");
        story
            .paths
            .iter()
            .for_each(|path| text.push_str(&path_text(path)));
    }
    let vips: Vec<String> = report.vips.iter().map(|vip| vip_text(vip, now_unix_s)).collect();
    section(&mut text, "originated while its check passes", &vips);
    section(&mut text, "aggregates", &story.aggregates);
    section(&mut text, "nearby prefixes that exist", &story.nearby);
    section(&mut text, "kernel", kernel_lines(report));
    if !story.exports.is_empty() {
        text.push_str("\nadvertised:\n");
        text.push_str(&exports_text(&story.exports));
    }
    section(&mut text, "malformed updates that concerned it", &story.malformed);
    text
}

/// What the kernel's edge says, or why it was not asked to hold anything.
fn kernel_lines(report: &WhyReport) -> &[String] {
    if report.kernel.is_empty() {
        report.explanation.not_installed.as_slice()
    } else {
        &report.kernel
    }
}

fn section(text: &mut String, heading: &str, lines: &[String]) {
    if !lines.is_empty() {
        text.push_str(&format!("\n{heading}:\n"));
        lines
            .iter()
            .for_each(|line| text.push_str(&format!("  {line}\n")));
    }
}

fn vip_text(vip: &vip::Status, now_unix_s: u64) -> String {
    let span = since(vip.since_unix_s, now_unix_s);
    let check = vip.deciding_check();
    let asked = check.map_or("none", |check| check.check.as_str());
    let result = check.and_then(|check| check.last_result.as_ref());
    let result = result.map_or_else(String::new, |result| format!(", last result: {result}"));
    let held = vip
        .held
        .as_ref()
        .filter(|_| matches!(vip.verdict, vip::Verdict::Up | vip::Verdict::Degraded))
        .map_or_else(String::new, |held| format!(", not announced: {held}"));
    format!(
        "vip {} is {} for {span}{held}, check {asked}{result}",
        vip.name, vip.verdict
    )
}

fn path_text(story: &PathStory) -> String {
    let PathStory {
        route,
        import,
        decision,
    } = story;
    let next_hop = route
        .next_hop
        .map_or_else(String::new, |next_hop| format!(", next hop {next_hop}"));
    let med = route.med.map_or_else(String::new, |med| format!(", MED {med}"));
    let weight = match route.weight {
        0 => String::new(),
        weight => format!("weight {weight}, "),
    };
    let as_path = if route.as_path.is_empty() {
        "empty"
    } else {
        &route.as_path
    };
    let mut text = format!(
        "  {:2}from {}{next_hop}, {weight}LOCAL_PREF {}{med}, AS path {as_path}, {}, {} old\n",
        flags(route),
        route.source,
        route.local_pref,
        route.origin,
        span(route.age_s),
    );
    if !route.communities.is_empty() {
        text.push_str(&format!("      communities: {}\n", route.communities.join(" ")));
    }
    let tag = (route.tag != 0).then(|| format!("tag {}", route.tag));
    let table = route.table.map(|table| format!("kernel table {table}"));
    let marks: Vec<String> = tag.into_iter().chain(table).collect();
    if !marks.is_empty() {
        text.push_str(&format!("      {}\n", marks.join(", ")));
    }
    if let Some(originator) = route.originator_id {
        let clusters: Vec<String> = route.cluster_list.iter().map(IpAddr::to_string).collect();
        text.push_str(&format!(
            "      originator {originator}, clusters {}\n",
            clusters.join(" ")
        ));
    }
    for (name, value) in [("import", import), ("decision", decision)] {
        if !value.is_empty() {
            text.push_str(&format!("      {name}: {value}\n"));
        }
    }
    text
}

fn exports_text(exports: &[ExportStory]) -> String {
    let mut table = Table::new([
        Column::Left("  PEER"),
        Column::Left("TOLD"),
        Column::Left("GROUP"),
        Column::Left("BECAUSE"),
    ]);
    for ExportStory {
        peer,
        advertised,
        reason,
        pending,
        group,
    } in exports
    {
        let told = match (advertised, pending) {
            (true, false) => "yes",
            (false, false) => "no",
            (true, true) => "yes, a change waits",
            (false, true) => "no, a change waits",
        };
        let group = group.as_ref().map_or_else(|| String::from("-"), group_text);
        table.row([format!("  {peer}"), String::from(told), group, reason.clone()]);
    }
    table.text()
}

fn group_text(group: &GroupStory) -> String {
    let GroupStory {
        number,
        members,
        behind,
    } = group;
    let peers = if *members == 1 { "peer" } else { "peers" };
    match behind {
        0 => format!("{number} ({members} {peers}), in step"),
        behind => format!("{number} ({members} {peers}), {behind} behind"),
    }
}

fn parse_prefix(text: &str) -> Result<Prefix, String> {
    let prefix = text
        .parse::<IpAddr>()
        .map(Prefix::from)
        .or_else(|_| text.parse::<Prefix>());
    let prefix = prefix.map_err(|_| format!("{text:?} is no prefix such as 10.244.0.0/24"))?;
    let whole = prefix.trunc();
    if whole == prefix {
        Ok(prefix)
    } else {
        Err(format!("{text} has host bits set; did you mean {whole}?"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::routes::tests::route;
    use crate::cli::testing::Daemon;
    use crate::rib::explain::Explanation;

    #[test]
    fn the_whole_story_is_told() {
        let daemon = Daemon::new(|_| Response::Why(Box::new(report())));
        let arguments = Arguments {
            prefix: parse_prefix("10.244.1.0/24").unwrap(),
            peer: None,
        };
        assert_eq!(
            daemon.text(|terminal| execute(&arguments, terminal)),
            "\
10.244.1.0/24

paths:
  * from node2, next hop 172.16.40.198, LOCAL_PREF 100, AS path 65001, igp, 1m05s old
      import: accepted by rule 1 of filter any (node.toml:12)
      decision: best
  x from f5-a, next hop 172.16.40.198, LOCAL_PREF 100, AS path 65001, igp, 1m05s old
      communities: 64512:100
      import: rejected by the default of filter adc-vips (node.toml:31)
      decision: rejected by import policy

kernel:
  installed in main via 172.16.40.198, metric 200

advertised:
  PEER   TOLD  GROUP                 BECAUSE
  f5-a   yes   3 (2 peers), in step  accepted by rule 1 of filter own (node.toml:40)
  node1  no    -                     not reflected: both are internal non-clients
"
        );
        let json = daemon.json(|terminal| execute(&arguments, terminal));
        assert_eq!(json["paths"][0]["decision"], "best");
        assert_eq!(json["exports"][1]["advertised"], false);
    }

    #[test]
    fn a_prefix_that_nobody_sent_is_told_with_its_neighbours() {
        let daemon = Daemon::new(|_| {
            let nearby = vec!["10.244.0.0/16 from node2".into()];
            let explanation = Explanation {
                prefix: "10.244.9.0/24".into(),
                nearby,
                ..Explanation::default()
            };
            Response::Why(Box::new(WhyReport::join(explanation, vec![], vec![])))
        });
        let arguments = Arguments {
            prefix: parse_prefix("10.244.9.0/24").unwrap(),
            peer: None,
        };
        assert_eq!(
            daemon.text(|terminal| execute(&arguments, terminal)),
            "10.244.9.0/24\n\nno paths: nobody sent it and we do not originate it\n\nnearby prefixes that exist:\n  \
             10.244.0.0/16 from node2\n"
        );
    }

    #[test]
    fn a_vip_that_is_down_is_told_with_its_last_result() {
        let daemon = Daemon::new(|_| {
            let explanation = Explanation {
                prefix: "192.0.2.1/32".into(),
                ..Explanation::default()
            };
            let report = WhyReport::join(explanation, vec![], crate::cli::vips::tests::statuses());
            Response::Why(Box::new(report))
        });
        let arguments = Arguments {
            prefix: parse_prefix("192.0.2.1").unwrap(),
            peer: None,
        };
        assert_eq!(
            daemon.text(|terminal| execute(&arguments, terminal)),
            "192.0.2.1/32\n\nno paths: nobody sent it and we do not originate it\n\n\
             originated while its check passes:\n  vip shop is down for 1m40s, check tcp 127.0.0.1:443, last result: \
             no answer within 1s\n"
        );
    }

    #[test]
    fn host_bits_are_pointed_out() {
        assert_eq!(parse_prefix("192.0.2.1").unwrap().to_string(), "192.0.2.1/32");
        assert_eq!(
            parse_prefix("2001:db8::1").unwrap().to_string(),
            "2001:db8::1/128"
        );
        assert_eq!(
            parse_prefix("10.244.0.1/24").unwrap_err(),
            "10.244.0.1/24 has host bits set; did you mean 10.244.0.0/24?"
        );
        assert!(parse_prefix("node1").is_err());
    }

    fn report() -> WhyReport {
        let best = PathStory {
            route: route("10.244.1.0/24", "node2"),
            import: "accepted by rule 1 of filter any (node.toml:12)".into(),
            decision: "best".into(),
        };
        let mut rejected = PathStory {
            route: route("10.244.1.0/24", "f5-a"),
            import: "rejected by the default of filter adc-vips (node.toml:31)".into(),
            decision: "rejected by import policy".into(),
        };
        rejected.route.best = false;
        rejected.route.unusable = Some("rejected by import policy".into());
        rejected.route.communities = vec!["64512:100".into()];
        let export = |peer: &str, advertised, reason: &str| ExportStory {
            peer: peer.into(),
            advertised,
            reason: reason.into(),
            pending: false,
            group: advertised.then_some(GroupStory {
                number: 3,
                members: 2,
                behind: 0,
            }),
        };
        let explanation = Explanation {
            prefix: "10.244.1.0/24".into(),
            paths: vec![best, rejected],
            exports: vec![
                export("f5-a", true, "accepted by rule 1 of filter own (node.toml:40)"),
                export("node1", false, "not reflected: both are internal non-clients"),
            ],
            ..Explanation::default()
        };
        WhyReport::join(
            explanation,
            vec!["installed in main via 172.16.40.198, metric 200".into()],
            vec![],
        )
    }
}
