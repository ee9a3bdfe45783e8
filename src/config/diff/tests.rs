use super::*;
use crate::config::tests::parse;

const BASE: &str = r#"
[speaker]
asn = 64512

[kernel]
metric = 200

[[originate]]
name = "pods"
kernel = { type = ["blackhole"], within = ["10.244.0.0/16"] }

[[vip]]
name = "shop"
address = "172.16.99.10/32"
check = { tcp = "127.0.0.1:80", interval = "1s" }

[[filter]]
name = "in"
rules = [ { prefix = "172.16.99.0/24 ge 32", action = "accept" } ]

[[filter]]
name = "out"
rules = [ { source = "pods", action = "accept" } ]

[[peer_group]]
name = "nodes"
asn = "internal"

[[peer]]
name = "node1"
address = "172.16.40.199"
group = "nodes"
export = "out"

[[peer]]
name = "f5-a"
address = "172.16.40.202"
asn = 64512
import = ["in"]
export = ["out"]
max_prefixes = 100
"#;

#[test]
fn the_same_file_changes_nothing() {
    let plan = plan(BASE, BASE);
    assert!(plan.is_empty() && !plan.originate && !plan.vips && !plan.kernel && !plan.log_level);
    assert_eq!(plan.peers, PeerChanges::default());
    assert_eq!(plan.result, config(BASE));
    assert_eq!(plan.to_string(), "nothing changes\n");
}

#[test]
fn a_comment_moves_lines_and_changes_nothing() {
    assert!(plan(BASE, &format!("# moved\n\n{BASE}")).is_empty());
}

#[test]
fn what_needs_no_new_session_is_live() {
    check(
        "max_prefixes = 100",
        "max_prefixes = 200\ndescription = \"x\"",
        "peer f5-a: description changed, max_prefixes 100 -> 200: live\n",
    );
    check(
        "asn = 64512\nimport = [\"in\"]",
        "asn = 64512",
        "peer f5-a: import [in] -> none: live\n",
    );
}

#[test]
fn what_is_in_the_open_resets_that_session_only() {
    let plan = check(
        "group = \"nodes\"",
        "group = \"nodes\"\nextended_message = false",
        "peer node1: extended_message true -> false: resets session node1 (because of extended_message)\n",
    );
    assert_eq!(plan.resets().map(|name| &**name).collect::<Vec<_>>(), ["node1"]);
    assert_eq!(plan.peers.changed.len(), 1);
}

#[test]
fn times_that_an_open_tells_wait_for_the_next_session() {
    let plan = check(
        "group = \"nodes\"",
        "group = \"nodes\"\nhold_time = \"30s\"",
        "peer node1: hold_time 90s -> 30s: live (hold_time at the next session)\n",
    );
    assert_eq!(plan.resets().count(), 0);
    assert_eq!(plan.peers.changed.len(), 1);
}

#[test]
fn another_text_of_a_shutdown_is_a_change() {
    let with = |text: &str| {
        let peer = "[speaker]\nasn = 64512\n[[peer]]\nname = \"p\"\naddress = \"192.0.2.7\"\nasn = 64512\n";
        parse("test.toml", &format!("{peer}shutdown = \"{text}\"\n"))
            .unwrap()
            .config
    };
    let plan = Plan::new(&with("rack move"), with("new disks"));
    assert_eq!(
        plan.to_string(),
        "peer p: shutdown `rack move` -> `new disks`: live\n"
    );
    assert!(!plan.is_empty() && plan.peers.changed.len() == 1);
}

#[test]
fn a_groups_change_reaches_its_members() {
    check(
        "asn = \"internal\"",
        "asn = \"internal\"\nfamilies = \"ipv4-unicast\"\nconnect_retry_time = \"10s\"",
        "peer node1: connect_retry_time 5s -> 10s, families [ipv4-unicast, ipv6-unicast] -> [ipv4-unicast]: \
         resets session node1 (because of families)\n",
    );
}

#[test]
fn a_filters_change_is_live_and_hands_its_users_over() {
    let plan = check(
        "172.16.99.0/24 ge 32",
        "172.16.98.0/23 ge 32",
        "filter in: rule 1 changed: live\n",
    );
    let changed: Vec<&str> = plan.peers.changed.iter().map(|peer| &*peer.name).collect();
    assert_eq!(changed, ["f5-a"]);
    check(
        "name = \"out\"",
        "name = \"out\"\ndefault = \"accept\"",
        "filter out: default next -> accept: live\n",
    );
}

#[test]
fn sources_come_and_go_live() {
    let plan = check(
        "[[filter]]\nname = \"in\"",
        "[[originate]]\nname = \"more\"\nprefixes = [\"10.96.0.0/12\"]\n\n[[filter]]\nname = \"in\"",
        "originate more: added: live\n",
    );
    assert!(plan.originate && !plan.vips && plan.peers == PeerChanges::default());
    let plan = check(
        "interval = \"1s\" }",
        "interval = \"2s\", fall = 5 }\nmed = 7",
        "vip shop: interval 1s -> 2s, fall 3 -> 5, med none -> 7: live\n",
    );
    assert!(plan.vips && !plan.originate);
}

#[test]
fn peers_come_and_go_live() {
    let plan = check(
        "[[peer]]\nname = \"node1\"",
        "[[peer]]\nname = \"node9\"",
        "peer node9: added: live\npeer node1: removed: live\n",
    );
    assert_eq!(plan.peers.removed, [Arc::from("node1")]);
    assert_eq!(plan.peers.added.len(), 1);
}

#[test]
fn installing_begins_and_ends_while_running() {
    let plan = check(
        "metric = 200",
        "metric = 200\ninstall = false\nblackhole = true",
        "kernel: install true -> false, blackhole false -> true: live\n",
    );
    let kernel = plan.result.kernel.clone().unwrap();
    assert!(plan.kernel && !kernel.install && kernel.blackhole);
}

#[test]
fn what_needs_a_restart_stays_as_it_is() {
    let plan = check(
        "metric = 200",
        "metric = 100\ntable = 100\nmultipath = 2",
        "kernel: metric 200 -> 100, table main -> 100, multipath 16 -> 2: live\n",
    );
    let kernel = plan.result.kernel.clone().unwrap();
    assert!(plan.kernel && kernel.metric == kernel::settings::Metric::Fixed(100));
    assert_eq!((kernel.table, kernel.multipath), (crate::route::TableId(100), 2));
    check(
        "metric = 200",
        "metric = 200\nprotocol = 12\nsrc = \"192.0.2.1\"\nmtu = 1400\nblackhole = \"unreachable\"",
        "kernel: blackhole false -> unreachable, protocol 179 -> 12, src none -> 192.0.2.1, mtu none -> 1400: live\n",
    );
    let plan = check("[kernel]\nmetric = 200\n", "", "kernel: removed: needs restart\n");
    assert!(plan.result.kernel.is_some() && !plan.kernel);
    let plan = check(
        "asn = 64512\n\n[kernel]",
        "asn = 64512\nlog_level = \"debug\"\nlisten = [\"[::]:1179\"]\n\n[kernel]",
        "speaker: log_level info -> debug: live\n\
         speaker: listen [0.0.0.0:179, [::]:179] -> [[::]:1179]: needs restart\n",
    );
    assert!(plan.log_level && plan.result.speaker.log_level == "debug");
    assert_eq!(plan.result.speaker.listen.len(), 2);
}

#[test]
fn another_asn_takes_nothing_else_over() {
    let wanted = BASE
        .replace("asn = 64512", "asn = 64513")
        .replace("metric = 200", "metric = 100");
    let plan = plan(BASE, &wanted);
    let text = "speaker: asn 64512 -> 64513; everything depends on it, so nothing else is taken over either: needs restart\n";
    assert_eq!(plan.to_string(), text);
    assert_eq!(plan.result, config(BASE));
}

#[test]
fn a_password_is_never_printed() {
    let plan = check(
        "max_prefixes = 100",
        "max_prefixes = 100\npassword_file = \"good.key\"",
        "peer f5-a: password_file none -> good.key: resets session f5-a (because of password_file)\n",
    );
    assert!(!format!("{plan:?}").contains("s3cret"));
}

/// The plan for one replacement in [`BASE`], which must read so.
fn check(from: &str, to: &str, expected: &str) -> Plan {
    assert!(BASE.contains(from), "{from}");
    let plan = plan(BASE, &BASE.replacen(from, to, 1));
    assert_eq!(plan.to_string(), expected);
    plan
}

fn plan(running: &str, wanted: &str) -> Plan {
    Plan::new(&config(running), config(wanted))
}

fn config(text: &str) -> Config {
    parse("test.toml", text)
        .unwrap_or_else(|report| panic!("{report}"))
        .config
}
