//! What configurations, probe results, addresses and time make the set do.

use std::time::Instant;

use bgp_codec::Community;

use super::*;
use crate::drain::{Drains, Stage, Target};
use crate::vip::binding::{Link, OnLink};
use crate::vip::settings::{Bandwidth, Carried, Check, Damping, Quorum, WaitFor};

#[test]
fn a_vip_without_check_is_announced_at_once_and_once() {
    let mut lab = Lab::of(vec![vip("shop", None)]);
    assert_eq!(lab.told(), ["+shop"]);
    lab.configure(vec![vip("shop", None)]);
    assert_eq!(lab.told(), [""; 0]);
    assert!(lab.set.all_verdicts_in());
}

#[test]
fn a_checked_vip_is_announced_when_its_check_says_so() {
    let mut lab = Lab::of(vec![vip("shop", Some(tcp(80)))]);
    assert_eq!(lab.outputs(), ["start 0 shop"]);
    assert!(!lab.set.all_verdicts_in());
    assert_eq!(lab.probe(0, "+"), [""; 0]);
    assert_eq!(lab.probe(0, "+"), ["+shop"]);
    assert_eq!(lab.probe(0, "+++--"), [""; 0]);
    assert_eq!(lab.probe(0, "-"), ["-shop"]);
    assert_eq!(lab.probe(0, "---"), [""; 0]);
    assert_eq!(lab.set.transitions(), 2);
}

#[test]
fn a_change_of_verdict_is_reported_with_the_result_that_decided() {
    let mut lab = Lab::of(vec![vip("shop", Some(tcp(80)))]);
    lab.outputs();
    lab.feed(0, "---");
    assert_eq!(
        lab.outputs(),
        ["shop unknown -> down: -, down"],
        "also where nothing was announced"
    );
    lab.feed(0, "--++");
    assert_eq!(lab.outputs(), ["shop down -> up: +, announced"]);
}

#[test]
fn a_receiver_that_is_slow_gets_the_latest_state_only() {
    let mut lab = Lab::of(vec![vip("shop", Some(tcp(80)))]);
    lab.feed(0, "++---");
    assert_eq!(lab.told(), [""; 0], "it came and went before anybody was told");
    lab.feed(0, "++---++");
    assert_eq!(lab.told(), ["+shop"]);
}

#[test]
fn a_vip_that_leaves_the_configuration_is_withdrawn_and_its_prober_stopped() {
    let mut lab = Lab::of(vec![vip("shop", Some(tcp(80))), vip("dns", None)]);
    lab.feed(0, "++");
    lab.outputs();
    lab.told();
    lab.configure(vec![vip("dns", None)]);
    assert_eq!(lab.outputs(), ["stop 0"]);
    assert_eq!(lab.told(), ["-shop"]);
    assert_eq!(lab.probe(0, "+++"), [""; 0], "its last results say nothing");
    assert_eq!(lab.set.is_changing(ProberId(0)), None);
}

#[test]
fn a_change_of_one_vip_touches_no_other() {
    let mut lab = Lab::of(vec![vip("a", Some(tcp(80))), vip("b", Some(tcp(80)))]);
    lab.feed(0, "++");
    lab.feed(1, "++");
    lab.outputs();
    lab.told();
    lab.configure(vec![vip("a", Some(tcp(80))), vip("b", Some(tcp(81)))]);
    assert_eq!(lab.outputs(), ["stop 1", "start 2 b"]);
    assert_eq!(lab.told(), [""; 0], "a new check keeps the verdict");
    assert_eq!(lab.probe(2, "---"), ["-b"]);
}

#[test]
fn new_attributes_are_announced_once_and_the_prober_goes_on() {
    let mut lab = Lab::of(vec![vip("a", Some(tcp(80)))]);
    lab.feed(0, "++");
    lab.outputs();
    lab.told();
    let changed = Vip {
        up: med(20),
        ..vip("a", Some(tcp(80)))
    };
    lab.configure(vec![changed.clone()]);
    assert_eq!(lab.outputs(), [""; 0]);
    assert_eq!(lab.told(), ["+a med 20"]);
    lab.configure(vec![changed]);
    assert_eq!(lab.told(), [""; 0]);
}

#[test]
fn new_thresholds_keep_the_prober() {
    let mut lab = Lab::of(vec![vip("a", Some(tcp(80)))]);
    lab.outputs();
    let eager = Check { rise: 1, ..tcp(80) };
    lab.configure(vec![vip("a", Some(eager))]);
    assert_eq!(lab.outputs(), [""; 0]);
    assert_eq!(lab.probe(0, "+"), ["+a"]);
}

#[test]
fn checks_that_change_places_keep_their_probers_and_results() {
    let both = |one, other| Vip {
        checks: vec![tcp(one), tcp(other)],
        ..vip("a", None)
    };
    let mut lab = Lab::of(vec![both(80, 81)]);
    lab.feed(0, "++");
    lab.feed(1, "+");
    lab.outputs();
    lab.configure(vec![both(81, 80)]);
    assert_eq!(lab.outputs(), [""; 0]);
    assert_eq!(lab.probe(1, "+"), ["+a"], "the second result of port 81");
}

#[test]
fn a_further_check_does_not_take_down_what_is_announced() {
    let mut lab = Lab::of(vec![vip("a", Some(tcp(80)))]);
    lab.feed(0, "++");
    lab.told();
    let more = Vip {
        checks: vec![tcp(80), tcp(81)],
        ..vip("a", None)
    };
    lab.configure(vec![more]);
    assert_eq!(lab.told(), [""; 0]);
    assert_eq!(lab.probe(1, "---"), ["-a"], "until it has results");
    lab.configure(vec![vip("a", Some(tcp(80)))]);
    assert_eq!(lab.told(), ["+a"], "and without it the other one decides");
}

#[test]
fn a_new_address_replaces_the_old_one() {
    let mut lab = Lab::of(vec![vip("a", None)]);
    lab.told();
    let moved = Vip {
        address: "2001:db8::1/128".parse().unwrap(),
        ..vip("a", None)
    };
    lab.configure(vec![moved]);
    let told: Vec<Announcement> = std::iter::from_fn(|| lab.set.poll_announcement(lab.now.at)).collect();
    let told: Vec<(String, bool)> = told
        .iter()
        .map(|told| (told.address.to_string(), told.attributes.is_some()))
        .collect();
    assert_eq!(
        told,
        [("192.0.2.1/32".into(), false), ("2001:db8::1/128".into(), true)]
    );
}

#[test]
fn saved_verdicts_start_new_probers_from_where_they_were() {
    let saved = |name: &str, verdict, checks: &[Verdict]| SavedVerdict {
        name: name.into(),
        verdict,
        since_unix_s: 50,
        checks: checks.to_vec(),
        damped_until_unix_s: None,
    };
    let verdicts = vec![
        saved("a", Verdict::Up, &[Verdict::Up]),
        saved("b", Verdict::Down, &[Verdict::Down]),
        saved("c", Verdict::Up, &[]),
    ];
    let legacy = Legacy {
        verdicts: verdicts.clone(),
        bound: vec![],
    };
    let mut lab = Lab::with(legacy);
    let vips = vec![
        vip("a", Some(tcp(80))),
        vip("b", Some(tcp(80))),
        vip("c", Some(tcp(80))),
    ];
    lab.configure(vips.clone());
    assert!(!lab.set.all_verdicts_in(), "not before they have been told");
    assert_eq!(lab.told(), ["+a", "+c"]);
    assert!(lab.set.all_verdicts_in());
    assert_eq!(lab.set.verdicts()[..2], verdicts[..2]);
    lab.configure(vec![]);
    lab.configure(vips);
    assert!(
        !lab.set.all_verdicts_in(),
        "a VIP configured later starts without"
    );
}

#[test]
fn the_verdict_to_begin_with_can_be_chosen() {
    let begins = |start| Vip {
        start,
        ..vip("a", Some(tcp(80)))
    };
    let mut lab = Lab::of(vec![begins(Verdict::Up)]);
    assert_eq!(lab.told(), ["+a"]);
    assert!(!lab.set.statuses()[0].saved);
    assert_eq!(lab.probe(0, "---"), ["-a"]);
    let mut lab = Lab::of(vec![begins(Verdict::Down)]);
    assert_eq!(lab.told(), [""; 0]);
    assert!(lab.set.all_verdicts_in());
}

#[test]
fn several_checks_decide_together_and_a_share_is_degraded() {
    let three = Vip {
        checks: vec![tcp(80), tcp(81), tcp(82)],
        quorum: Quorum::AtLeast(2),
        degraded: Some(med(50)),
        ..vip("a", None)
    };
    let mut lab = Lab::of(vec![three]);
    assert_eq!(lab.probe(0, "++"), [""; 0]);
    assert_eq!(lab.probe(1, "++"), ["+a"], "two are enough, the third is open");
    assert_eq!(lab.probe(2, "---"), ["+a med 50"]);
    assert_eq!(lab.set.statuses()[0].verdict, Verdict::Degraded);
    assert_eq!(lab.probe(1, "---"), ["-a"]);
    assert_eq!(lab.probe(1, "++"), ["+a med 50"]);
    assert_eq!(lab.probe(2, "++"), ["+a"]);
}

#[test]
fn a_switch_disables_with_attributes_or_withdraws() {
    let switch = Check {
        on_fail: Verdict::Disabled,
        rise: 1,
        fall: 1,
        ..tcp(81)
    };
    let vip = |disabled| Vip {
        checks: vec![switch.clone()],
        disabled,
        ..vip("a", None)
    };
    let mut lab = Lab::of(vec![vip(None)]);
    assert_eq!(lab.told(), ["+a"], "only its failure says anything");
    assert_eq!(lab.probe(0, "-"), ["-a"]);
    lab.configure(vec![vip(Some(med(900)))]);
    assert_eq!(lab.told(), ["+a med 900"]);
    assert_eq!(lab.probe(0, "+"), ["+a"]);
}

#[test]
fn capacity_follows_the_healthy_checks_and_the_interface() {
    let vip = |bandwidth| Vip {
        checks: vec![tcp(80), tcp(81)],
        quorum: Quorum::AtLeast(1),
        bandwidth: Some(bandwidth),
        ..vip("a", None)
    };
    let mut lab = Lab::of(vec![vip(Bandwidth::PerHealthy(8_000))]);
    assert_eq!(lab.probe(0, "++"), ["+a 1000 B/s"]);
    assert_eq!(lab.probe(1, "++"), ["+a 2000 B/s"]);
    assert_eq!(lab.probe(0, "---"), ["+a 1000 B/s"]);
    lab.configure(vec![vip(Bandwidth::Interface("eth0".into()))]);
    assert_eq!(lab.told(), ["+a"], "its speed is not known yet");
    let warnings = lab.set.statuses().remove(0).warnings;
    assert!(warnings[0].ends_with("the speed of eth0"), "{warnings:?}");
    let mut links = Links::default();
    let link = Link {
        up: true,
        speed: Some(80_000),
    };
    links.interfaces.insert("eth0".into(), link);
    lab.input(Input::Looked(links));
    assert_eq!(lab.told(), ["+a 10000 B/s"]);
}

#[test]
fn one_that_goes_down_too_often_is_held_down_until_it_is_quiet() {
    let damped = Vip {
        damping: Some(Damping {
            changes: 2,
            window: Duration::from_secs(60),
            hold: Duration::from_secs(100),
        }),
        ..vip(
            "a",
            Some(Check {
                rise: 1,
                fall: 1,
                ..tcp(80)
            }),
        )
    };
    let mut lab = Lab::of(vec![damped]);
    assert_eq!(lab.probe(0, "+"), ["+a"]);
    assert_eq!(lab.probe(0, "-"), ["-a"]);
    assert_eq!(lab.probe(0, "+"), ["+a"]);
    lab.outputs();
    assert_eq!(lab.probe(0, "-"), ["-a"]);
    assert_eq!(lab.outputs(), ["damped a", "a up -> down: -, down"]);
    assert_eq!(lab.probe(0, "+"), [""; 0], "healthy, and held");
    let status = lab.set.statuses().remove(0);
    assert_eq!((status.verdict, status.damped_total), (Verdict::Up, 1));
    assert!(status.held.unwrap().starts_with("damped"));
    assert_eq!(
        lab.set.next_deadline(),
        Some(lab.now.at + Duration::from_secs(100))
    );
    lab.pass(99);
    assert_eq!(lab.told(), [""; 0]);
    lab.pass(1);
    assert_eq!(lab.told(), ["+a"]);
    assert_eq!(lab.set.next_deadline(), None);
}

#[test]
fn a_group_is_announced_all_or_none() {
    let member = |name: &str, address: &str| Vip {
        address: address.parse().unwrap(),
        group: Some("web".into()),
        ..vip(name, Some(tcp(80)))
    };
    let mut lab = Lab::of(vec![
        member("a", "192.0.2.1/32"),
        member("b", "192.0.2.2/32"),
        vip("lone", None),
    ]);
    assert_eq!(lab.told(), ["+lone"]);
    assert_eq!(lab.probe(0, "++"), [""; 0]);
    assert_eq!(
        lab.set.statuses()[0].held.as_deref(),
        Some("b of its group cannot be announced")
    );
    assert_eq!(lab.probe(1, "++"), ["+a", "+b"]);
    assert_eq!(lab.probe(0, "---"), ["-a", "-b"]);
    assert_eq!(lab.probe(0, "++"), ["+a", "+b"]);
    lab.configure(vec![member("a", "192.0.2.1/32"), vip("lone", None)]);
    assert_eq!(lab.told(), ["-b"], "who is gone holds nobody back");
}

#[test]
fn what_a_vip_depends_on_may_come_with_the_first_tables() {
    let route = RouteDependency {
        prefix: "0.0.0.0/0".parse().unwrap(),
        peers: vec![],
    };
    let on_route = Vip {
        depends_on: vec![Dependency::Route(route.clone())],
        ..vip("a", None)
    };
    let required = Vip {
        require_bound: true,
        address: "192.0.2.2/32".parse().unwrap(),
        ..vip("b", None)
    };
    let mut lab = Lab::of(vec![on_route, required]);
    lab.told();
    assert!(lab.set.waits_for_tables() && !lab.set.all_verdicts_in());
    lab.looked(&["192.0.2.2"]);
    assert_eq!(lab.told(), ["+b"]);
    let told = Outside {
        end_of_rib: true,
        ..Outside::default()
    };
    lab.input(Input::Outside(told.clone()));
    assert!(!lab.set.all_verdicts_in(), "told, and not selected yet");
    lab.input(Input::Outside(Outside {
        selected: true,
        routes: [route].into(),
        ..told
    }));
    assert!(!lab.set.all_verdicts_in(), "there, and not announced yet");
    assert_eq!(lab.told(), ["+a"]);
    assert!(lab.set.all_verdicts_in() && !lab.set.waits_for_tables());
    lab.input(Input::Outside(Outside {
        selected: true,
        ..told
    }));
    assert_eq!(lab.told(), ["-a"]);
    assert!(
        lab.set.all_verdicts_in(),
        "it is not there, and nobody waits for it"
    );
}

#[test]
fn whatever_holds_a_vip_back_is_reported() {
    let mut lab = Lab::of(vec![vip("a", None), on_vip("b", "a")]);
    assert_eq!(
        lab.outputs(),
        ["a up -> up: , announced", "b up -> up: , announced"]
    );
    let mut drains = Drains::default();
    drains.begin(Target::Vip("a".into()), Duration::ZERO, None, lab.now);
    lab.input(Input::Drain(drains.vips()));
    assert_eq!(
        lab.outputs(),
        ["a up -> up: , drained", "b up -> up: , VIP a is not announced"]
    );
    lab.input(Input::Drain(drains.vips()));
    assert_eq!(lab.outputs(), [""; 0]);
}

#[test]
fn a_hold_outlasts_a_restart() {
    let damped = || Vip {
        damping: Some(Damping {
            changes: 1,
            window: Duration::from_secs(60),
            hold: Duration::from_secs(100),
        }),
        ..vip("a", Some(Check { fall: 1, ..tcp(80) }))
    };
    let mut lab = Lab::of(vec![damped()]);
    lab.feed(0, "++-");
    lab.pass(40);
    lab.feed(0, "++");
    let verdicts = lab.set.verdicts();
    assert_eq!(verdicts[0].damped_until_unix_s, Some(200));
    let mut successor = Lab::with(Legacy {
        verdicts,
        bound: vec![],
    });
    successor.now.unix_s = 150;
    successor.configure(vec![damped()]);
    assert_eq!(successor.told(), [""; 0], "healthy, and held");
    successor.pass(49);
    assert_eq!(successor.told(), [""; 0]);
    successor.pass(1);
    assert_eq!(successor.told(), ["+a"]);
}

#[test]
fn a_vip_goes_with_what_it_depends_on() {
    let route = RouteDependency {
        prefix: "0.0.0.0/0".parse().unwrap(),
        peers: vec!["tor".into()],
    };
    let on = |name: &str, on: Dependency| Vip {
        depends_on: vec![on],
        ..vip(name, None)
    };
    let mut lab = Lab::of(vec![
        on("c", Dependency::Vip("b".into())),
        on("b", Dependency::Vip("a".into())),
        vip("a", Some(tcp(80))),
        on("r", Dependency::Route(route.clone())),
    ]);
    assert_eq!(lab.told(), [""; 0]);
    assert_eq!(lab.set.route_dependencies(), [route.clone()].into());
    assert_eq!(lab.probe(0, "++"), ["+a", "+b", "+c"]);
    let there = Outside {
        routes: [route].into(),
        ..Outside::default()
    };
    lab.input(Input::Outside(there));
    assert_eq!(lab.told(), ["+r"]);
    lab.input(Input::Outside(Outside::default()));
    assert_eq!(lab.told(), ["-r"]);
    assert_eq!(lab.probe(0, "---"), ["-a", "-b", "-c"]);
}

#[test]
fn what_waits_for_the_tables_waits() {
    let waits = Vip {
        wait_for: WaitFor {
            kernel: true,
            end_of_rib: true,
        },
        ..vip("a", None)
    };
    let mut lab = Lab::of(vec![waits]);
    assert_eq!(lab.told(), [""; 0]);
    assert!(lab.set.waits_for_tables() && !lab.set.all_verdicts_in());
    let kernel = Outside {
        kernel: true,
        ..Outside::default()
    };
    lab.input(Input::Outside(kernel.clone()));
    assert_eq!(lab.told(), [""; 0]);
    lab.input(Input::Outside(Outside {
        end_of_rib: true,
        ..kernel
    }));
    assert_eq!(lab.told(), ["+a"]);
    assert!(!lab.set.waits_for_tables() && lab.set.all_verdicts_in());
}

#[test]
fn a_drained_vip_is_the_last_choice_and_then_withdrawn_and_comes_back() {
    let settle = Duration::from_secs(10);
    let mut lab = Lab::of(vec![vip("a", None), vip("b", None)]);
    lab.told();
    let mut drains = Drains::default();
    drains.begin(Target::Vip("a".into()), settle, None, lab.now);
    lab.input(Input::Drain(drains.vips()));
    assert_eq!(lab.told(), ["+a med 4294967295 last"], "and b is left alone");
    lab.pass(10);
    drains.tick(lab.now.at);
    lab.input(Input::Drain(drains.vips()));
    assert_eq!(lab.told(), ["-a"]);
    let status = lab.set.statuses().remove(0);
    assert_eq!(
        (status.drain, status.announced, status.verdict),
        (Some(Stage::Withdrawn), false, Verdict::Up)
    );
    lab.configure(vec![vip("a", None)]);
    assert_eq!(lab.told(), ["-b"], "a reload ends no drain");
    drains.end(&Target::All);
    lab.input(Input::Drain(drains.vips()));
    assert_eq!(lab.told(), ["+a"]);
}

#[test]
fn statuses_say_what_is_asked_and_what_was_answered() {
    let mut lab = Lab::of(vec![vip("a", Some(tcp(80)))]);
    lab.feed(0, "++-");
    let status = lab.set.statuses().remove(0);
    let check = status.deciding_check().unwrap();
    assert_eq!((&*check.check, check.verdict), ("tcp 127.0.0.1:80", Verdict::Up));
    assert_eq!(check.last_result.as_deref(), Some("-"));
    assert_eq!((check.failures, check.fall, check.passed_total), (1, 3, 2));
    assert_eq!(lab.set.is_changing(ProberId(0)), Some(true));
}

#[test]
fn a_commands_arguments_are_not_shown() {
    let probe = Probe::Command(vec!["/bin/check".into(), "--password=hunter2".into()]);
    assert_eq!(crate::vip::describe(&probe), "command /bin/check");
}

#[test]
fn first_probes_spread_over_a_window_that_grows_with_their_number() {
    let many: Vec<Vip> = (0..500)
        .map(|number| vip(&format!("v{number}"), Some(tcp(80))))
        .collect();
    let mut lab = Lab::of(many);
    let mut delays = Vec::new();
    while let Some(Output::Start { delay, .. }) = lab.set.poll_output() {
        delays.push(delay);
    }
    delays.sort();
    assert!(delays.iter().all(|delay| *delay < Duration::from_millis(500)));
    assert!(
        delays[400] - delays[100] > Duration::from_millis(200),
        "{delays:?}"
    );
}

mod addresses;

/// A set and its clock.
struct Lab {
    set: Set,
    now: Now,
}

impl Lab {
    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn with(legacy: Legacy) -> Self {
        let now = Now {
            at: Instant::now(),
            unix_s: 100,
        };
        Self {
            set: Set::new(Asn(64_512), legacy, now.at),
            now,
        }
    }

    fn of(vips: Vec<Vip>) -> Self {
        let mut lab = Self::with(Legacy::default());
        lab.configure(vips);
        lab
    }

    fn input(&mut self, input: Input) {
        self.set.handle(input, self.now);
    }

    fn configure(&mut self, vips: Vec<Vip>) {
        self.input(Input::Configure(vips));
    }

    fn pass(&mut self, seconds: u64) {
        self.now.at += Duration::from_secs(seconds);
        self.now.unix_s += seconds;
        self.input(Input::Tick);
    }

    /// The kernel has done what it was asked for, and these addresses are on `lo`.
    fn looked(&mut self, addresses: &[&str]) {
        for address in addresses {
            self.obeyed(address, Obeyed::Added);
        }
        let addresses = addresses.iter().map(|address| OnLink {
            address: address.parse().unwrap(),
            interface: "lo".into(),
            ours: false,
        });
        self.input(Input::Looked(Links {
            addresses: addresses.collect(),
            ..Links::default()
        }));
    }

    fn obeyed(&mut self, address: &str, obeyed: Obeyed) {
        let address: std::net::IpAddr = address.parse().unwrap();
        let place = Place {
            address: address.into(),
            interface: "lo".into(),
        };
        self.input(Input::Obeyed { place, obeyed });
    }

    fn feed(&mut self, prober: u64, results: &str) {
        for sign in results.chars() {
            let result = ProbeResult {
                passed: sign == '+',
                text: sign.to_string(),
            };
            self.input(Input::Probed {
                prober: ProberId(prober),
                result,
            });
        }
    }

    fn probe(&mut self, prober: u64, results: &str) -> Vec<String> {
        self.feed(prober, results);
        self.told()
    }

    /// What the RIB is told.
    fn told(&mut self) -> Vec<String> {
        let told = std::iter::from_fn(|| self.set.poll_announcement(self.now.at));
        told.map(|told| {
            let Some(attributes) = &told.attributes else {
                return format!("-{}", told.name);
            };
            let med = attributes.med.map(|med| format!("med {med}"));
            let last = attributes.communities.contains(&Community::GRACEFUL_SHUTDOWN)
                && attributes.local_pref == Some(0);
            let last = last.then(|| String::from("last"));
            let bandwidth = attributes.extended_communities.first().map(|community| {
                let [_, _, _, _, a, b, c, d] = community.0;
                format!("{} B/s", f32::from_be_bytes([a, b, c, d]))
            });
            let words: Vec<String> = [Some(format!("+{}", told.name)), med, last, bandwidth]
                .into_iter()
                .flatten()
                .collect();
            words.join(" ")
        })
        .collect()
    }

    fn outputs(&mut self) -> Vec<String> {
        let outputs = std::iter::from_fn(|| self.set.poll_output());
        outputs
            .map(|output| match output {
                Output::Start { prober, vip, .. } => format!("start {} {}", prober.0, vip.name),
                Output::Stop(prober) => format!("stop {}", prober.0),
                Output::Changed(change) => {
                    let Change {
                        vip,
                        from,
                        to,
                        result,
                        held,
                    } = change;
                    let held = held.map_or_else(|| String::from("announced"), |held| held.to_string());
                    format!("{} {from} -> {to}: {result}, {held}", vip.name)
                }
                Output::Refused(place, error) => format!("refused {} {error}", place.address),
                Output::Damped(vip) => format!("damped {}", vip.name),
                Output::Address(Order::Add(place)) => format!("add {} {}", place.address, place.interface),
                Output::Address(Order::Remove(place)) => {
                    format!("remove {} {}", place.address, place.interface)
                }
            })
            .collect()
    }

    /// What the kernel is asked for.
    fn addresses(&mut self) -> Vec<String> {
        let mut outputs = self.outputs();
        outputs.retain(|output| output.starts_with("add") || output.starts_with("remove"));
        outputs
    }
}

fn on_vip(name: &str, on: &str) -> Vip {
    Vip {
        depends_on: vec![Dependency::Vip(on.into())],
        address: "192.0.2.9/32".parse().unwrap(),
        ..vip(name, None)
    }
}

/// Bound to `lo` for three seconds longer than announced.
fn bound() -> Vip {
    Vip {
        bind: Some("lo".into()),
        drain: Duration::from_secs(3),
        ..vip("a", Some(tcp(80)))
    }
}

fn med(med: u32) -> Carried {
    Carried {
        med: Some(med),
        ..Carried::default()
    }
}

fn vip(name: &str, check: Option<Check>) -> Vip {
    Vip {
        checks: check.into_iter().collect(),
        ..Vip::new(name.into(), "192.0.2.1/32".parse().unwrap())
    }
}

fn tcp(port: u16) -> Check {
    let second = Duration::from_secs(1);
    Check {
        probe: Probe::Tcp(([127, 0, 0, 1], port).into()),
        interval: second,
        fast_interval: second,
        jitter: Duration::ZERO,
        timeout: second,
        rise: 2,
        fall: 3,
        on_fail: Verdict::Down,
    }
}
