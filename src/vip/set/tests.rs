//! What a configuration and probe results make the set do.

use bgp_codec::Community;

use tokio::time::Instant;

use super::*;
use crate::drain::{Drains, Now, Target};

#[test]
fn a_vip_without_check_is_announced_at_once_and_once() {
    let mut set = configured(&[vip("shop", "192.0.2.1/32", None)]);
    assert_eq!(announcements(&mut set), ["+shop 192.0.2.1/32"]);
    set.handle(Input::Configure(vec![vip("shop", "192.0.2.1/32", None)]), 5);
    assert_eq!(announcements(&mut set), [""; 0]);
    assert!(set.all_verdicts_in());
}

#[test]
fn a_checked_vip_is_announced_when_its_check_says_so() {
    let mut set = configured(&[vip("shop", "192.0.2.1/32", Some(tcp(80)))]);
    assert_eq!(outputs(&mut set), ["start 0 shop"]);
    assert!(!set.all_verdicts_in());
    assert_eq!(probe(&mut set, 0, "+"), [""; 0]);
    assert_eq!(probe(&mut set, 0, "+"), ["+shop 192.0.2.1/32"]);
    assert_eq!(probe(&mut set, 0, "+++--"), [""; 0]);
    assert_eq!(probe(&mut set, 0, "-"), ["-shop 192.0.2.1/32"]);
    assert_eq!(probe(&mut set, 0, "---"), [""; 0]);
    assert_eq!(set.transitions(), 2);
}

#[test]
fn a_change_of_verdict_is_reported_with_the_result_that_decided() {
    let mut set = configured(&[vip("shop", "192.0.2.1/32", Some(tcp(80)))]);
    outputs(&mut set);
    feed(&mut set, 0, "---");
    assert_eq!(
        outputs(&mut set),
        ["shop down: -"],
        "also where nothing was announced"
    );
    feed(&mut set, 0, "--++");
    assert_eq!(outputs(&mut set), ["shop up: +"]);
}

#[test]
fn a_receiver_that_is_slow_gets_the_latest_state_only() {
    let mut set = configured(&[vip("shop", "192.0.2.1/32", Some(tcp(80)))]);
    feed(&mut set, 0, "++---");
    assert_eq!(
        announcements(&mut set),
        [""; 0],
        "it came and went before anybody was told"
    );
    feed(&mut set, 0, "++---++");
    assert_eq!(announcements(&mut set), ["+shop 192.0.2.1/32"]);
}

#[test]
fn a_vip_that_leaves_the_configuration_is_withdrawn_and_its_prober_stopped() {
    let mut set = configured(&[
        vip("shop", "192.0.2.1/32", Some(tcp(80))),
        vip("dns", "192.0.2.2/32", None),
    ]);
    feed(&mut set, 0, "++");
    outputs(&mut set);
    announcements(&mut set);
    set.handle(Input::Configure(vec![vip("dns", "192.0.2.2/32", None)]), 5);
    assert_eq!(outputs(&mut set), ["stop 0"]);
    assert_eq!(announcements(&mut set), ["-shop 192.0.2.1/32"]);
    assert_eq!(probe(&mut set, 0, "+++"), [""; 0], "its last results say nothing");
}

#[test]
fn a_change_of_one_vip_touches_no_other() {
    let mut set = configured(&[
        vip("a", "192.0.2.1/32", Some(tcp(80))),
        vip("b", "192.0.2.2/32", Some(tcp(80))),
    ]);
    feed(&mut set, 0, "++");
    feed(&mut set, 1, "++");
    outputs(&mut set);
    announcements(&mut set);
    let changed = vip("b", "192.0.2.2/32", Some(tcp(81)));
    set.handle(
        Input::Configure(vec![vip("a", "192.0.2.1/32", Some(tcp(80))), changed]),
        5,
    );
    assert_eq!(outputs(&mut set), ["stop 1", "start 2 b"]);
    assert_eq!(announcements(&mut set), [""; 0], "a new check keeps the verdict");
    assert_eq!(probe(&mut set, 2, "---"), ["-b 192.0.2.2/32"]);
}

#[test]
fn new_attributes_are_announced_once_and_the_prober_goes_on() {
    let mut set = configured(&[vip("a", "192.0.2.1/32", Some(tcp(80)))]);
    feed(&mut set, 0, "++");
    outputs(&mut set);
    announcements(&mut set);
    let changed = Vip {
        med: Some(20),
        ..vip("a", "192.0.2.1/32", Some(tcp(80)))
    };
    set.handle(Input::Configure(vec![changed.clone()]), 5);
    assert_eq!(outputs(&mut set), [""; 0]);
    assert_eq!(announcements(&mut set), ["+a 192.0.2.1/32 med 20"]);
    set.handle(Input::Configure(vec![changed]), 6);
    assert_eq!(announcements(&mut set), [""; 0]);
}

#[test]
fn new_thresholds_keep_the_prober() {
    let mut set = configured(&[vip("a", "192.0.2.1/32", Some(tcp(80)))]);
    outputs(&mut set);
    let eager = Check { rise: 1, ..tcp(80) };
    set.handle(Input::Configure(vec![vip("a", "192.0.2.1/32", Some(eager))]), 5);
    assert_eq!(outputs(&mut set), [""; 0]);
    assert_eq!(probe(&mut set, 0, "+"), ["+a 192.0.2.1/32"]);
}

#[test]
fn a_new_address_replaces_the_old_one() {
    let mut set = configured(&[vip("a", "192.0.2.1/32", None)]);
    announcements(&mut set);
    set.handle(Input::Configure(vec![vip("a", "2001:db8::1/128", None)]), 5);
    assert_eq!(announcements(&mut set), ["-a 192.0.2.1/32", "+a 2001:db8::1/128"]);
}

#[test]
fn saved_verdicts_start_new_probers_from_where_they_were() {
    let saved = vec![
        SavedVerdict {
            name: "a".into(),
            verdict: Verdict::Up,
            since_unix_s: 50,
        },
        SavedVerdict {
            name: "b".into(),
            verdict: Verdict::Down,
            since_unix_s: 60,
        },
    ];
    let mut set = Set::new(saved.clone());
    let vips = vec![
        vip("a", "192.0.2.1/32", Some(tcp(80))),
        vip("b", "192.0.2.2/32", Some(tcp(80))),
    ];
    set.handle(Input::Configure(vips.clone()), 100);
    assert!(set.all_verdicts_in());
    assert_eq!(announcements(&mut set), ["+a 192.0.2.1/32"]);
    assert_eq!(set.verdicts(), saved);
    set.handle(Input::Configure(vec![]), 101);
    set.handle(Input::Configure(vips), 102);
    assert!(!set.all_verdicts_in(), "a VIP configured later starts without");
}

#[test]
fn statuses_say_what_is_asked_and_what_was_answered() {
    let mut set = configured(&[vip("a", "192.0.2.1/32", Some(tcp(80)))]);
    feed(&mut set, 0, "++-");
    let status = set.statuses().remove(0);
    assert_eq!(status.check, "tcp 127.0.0.1:80");
    assert_eq!(status.verdict, Verdict::Up);
    assert_eq!(status.last_result.as_deref(), Some("-"));
    assert_eq!((status.failures, status.fall, status.passed_total), (1, 3, 2));
}

#[test]
fn a_commands_arguments_are_not_shown() {
    let probe = Probe::Command(vec!["/bin/check".into(), "--password=hunter2".into()]);
    assert_eq!(describe(&probe), "command /bin/check");
}

#[test]
fn a_drained_vip_is_the_last_choice_and_then_withdrawn_and_comes_back() {
    let now = Now {
        at: Instant::now().into_std(),
        unix_s: 100,
    };
    let settle = Duration::from_secs(10);
    let mut set = configured(&[vip("a", "192.0.2.1/32", None), vip("b", "192.0.2.2/32", None)]);
    announcements(&mut set);
    let mut drains = Drains::default();
    drains.begin(Target::Vip("a".into()), settle, None, now);
    set.handle(Input::Drain(drains.vips()), 100);
    assert_eq!(
        announcements(&mut set),
        ["+a 192.0.2.1/32 med 4294967295 last"],
        "and b is left alone"
    );
    drains.tick(now.at + settle);
    set.handle(Input::Drain(drains.vips()), 110);
    assert_eq!(announcements(&mut set), ["-a 192.0.2.1/32"]);
    let status = set.statuses().remove(0);
    assert_eq!(
        (status.drain, status.announced, status.verdict),
        (Some(Stage::Withdrawn), false, Verdict::Up)
    );
    set.handle(Input::Configure(vec![vip("a", "192.0.2.1/32", None)]), 111);
    assert_eq!(
        announcements(&mut set),
        ["-b 192.0.2.2/32"],
        "a reload ends no drain"
    );
    drains.end(&Target::All);
    set.handle(Input::Drain(drains.vips()), 120);
    assert_eq!(announcements(&mut set), ["+a 192.0.2.1/32"]);
}

#[test]
fn first_probes_spread_over_a_window_that_grows_with_their_number() {
    let many: Vec<Vip> = (0..500)
        .map(|number| vip(&format!("v{number}"), "192.0.2.1/32", Some(tcp(80))))
        .collect();
    let mut set = configured(&many);
    let mut delays = Vec::new();
    while let Some(Output::Start { delay, .. }) = set.poll_output() {
        delays.push(delay);
    }
    delays.sort();
    assert!(delays.iter().all(|delay| *delay < Duration::from_millis(500)));
    assert!(
        delays[400] - delays[100] > Duration::from_millis(200),
        "{delays:?}"
    );
}

fn configured(vips: &[Vip]) -> Set {
    let mut set = Set::new(vec![]);
    set.handle(Input::Configure(vips.to_vec()), 1);
    set
}

fn probe(set: &mut Set, prober: u64, results: &str) -> Vec<String> {
    feed(set, prober, results);
    announcements(set)
}

fn feed(set: &mut Set, prober: u64, results: &str) {
    for sign in results.chars() {
        let result = ProbeResult {
            passed: sign == '+',
            text: sign.to_string(),
        };
        set.handle(
            Input::Probed {
                prober: ProberId(prober),
                result,
            },
            100,
        );
    }
}

fn announcements(set: &mut Set) -> Vec<String> {
    let told = std::iter::from_fn(|| set.poll_announcement());
    told.map(|told| {
        let Some(attributes) = &told.attributes else {
            return format!("-{} {}", told.name, told.address);
        };
        let med = attributes
            .med
            .map_or_else(String::new, |med| format!(" med {med}"));
        let last = attributes.communities.contains(&Community::GRACEFUL_SHUTDOWN);
        let last = if last && attributes.local_pref == Some(0) {
            " last"
        } else {
            ""
        };
        format!("+{} {}{med}{last}", told.name, told.address)
    })
    .collect()
}

fn outputs(set: &mut Set) -> Vec<String> {
    let outputs = std::iter::from_fn(|| set.poll_output());
    outputs
        .map(|output| match output {
            Output::Start { prober, vip, .. } => format!("start {} {}", prober.0, vip.name),
            Output::Stop(prober) => format!("stop {}", prober.0),
            Output::Changed { vip, verdict, result } => format!("{} {verdict}: {result}", vip.name),
        })
        .collect()
}

fn vip(name: &str, address: &str, check: Option<Check>) -> Vip {
    Vip {
        name: name.into(),
        address: address.parse().unwrap(),
        check,
        communities: vec![],
        large_communities: vec![],
        med: None,
    }
}

fn tcp(port: u16) -> Check {
    Check {
        probe: Probe::Tcp(([127, 0, 0, 1], port).into()),
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        rise: 2,
        fall: 3,
    }
}
