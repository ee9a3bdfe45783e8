//! The addresses that VIPs put on interfaces, before the announcement and after the withdrawal.

use super::*;

#[test]
fn the_address_comes_first_and_goes_last() {
    let mut lab = Lab::of(vec![bound()]);
    lab.looked(&[]);
    assert_eq!(lab.probe(0, "++"), [""; 0], "not before it has its address");
    assert!(!lab.set.all_verdicts_in());
    assert_eq!(lab.addresses(), ["add 192.0.2.1/32 lo"]);
    lab.looked(&["192.0.2.1"]);
    assert_eq!(lab.told(), ["+a"]);
    assert!(lab.set.all_verdicts_in());
    lab.feed(0, "---");
    lab.pass(10);
    assert_eq!(
        lab.addresses(),
        [""; 0],
        "time runs from the moment at which the withdrawal was handed over"
    );
    assert_eq!(lab.told(), ["-a"]);
    assert_eq!(lab.set.next_deadline(), Some(lab.now.at + Duration::from_secs(3)));
    lab.pass(2);
    assert_eq!(lab.addresses(), [""; 0]);
    lab.pass(1);
    assert_eq!(lab.addresses(), ["remove 192.0.2.1/32 lo"]);
}

#[test]
fn a_bound_vip_that_leaves_the_configuration_takes_its_address_along() {
    let mut lab = Lab::of(vec![bound()]);
    lab.looked(&[]);
    lab.feed(0, "++");
    lab.looked(&["192.0.2.1"]);
    lab.told();
    lab.addresses();
    assert_eq!(lab.set.bound().len(), 1);
    lab.configure(vec![]);
    assert_eq!(lab.told(), ["-a"]);
    lab.pass(3);
    assert_eq!(lab.addresses(), ["remove 192.0.2.1/32 lo"]);
    assert_eq!(lab.set.bound().len(), 1, "until the kernel has done it");
    lab.obeyed("192.0.2.1", Obeyed::Removed);
    assert_eq!(lab.set.bound(), []);
}

#[test]
fn an_address_that_somebody_takes_away_withdraws_until_it_is_back() {
    let mut lab = Lab::of(vec![bound()]);
    lab.looked(&[]);
    lab.feed(0, "++");
    lab.looked(&["192.0.2.1"]);
    assert_eq!(lab.told(), ["+a"]);
    lab.addresses();
    lab.looked(&[]);
    assert_eq!(lab.told(), ["-a"]);
    assert_eq!(lab.addresses(), ["add 192.0.2.1/32 lo"]);
    lab.outputs();
    lab.obeyed("192.0.2.1", Obeyed::Refused("no permission".into()));
    assert_eq!(lab.outputs(), ["refused 192.0.2.1/32 no permission"]);
    lab.obeyed("192.0.2.1", Obeyed::Refused("no permission".into()));
    assert_eq!(lab.outputs(), [""; 0], "the same is said once");
    let held = lab.set.statuses().remove(0).held.unwrap();
    assert!(held.ends_with("no permission"), "{held}");
    assert_eq!(lab.told(), [""; 0]);
    assert!(lab.set.all_verdicts_in(), "no use in waiting for it");
    lab.looked(&["192.0.2.1"]);
    assert_eq!(lab.told(), ["+a"]);
}

#[test]
fn one_that_must_be_bound_by_others_waits_for_them() {
    let required = Vip {
        require_bound: true,
        ..vip("a", None)
    };
    let mut lab = Lab::of(vec![required]);
    assert_eq!(lab.told(), [""; 0]);
    lab.looked(&["192.0.2.1"]);
    assert_eq!(lab.told(), ["+a"]);
    lab.looked(&["192.0.2.7"]);
    assert_eq!(lab.told(), ["-a"]);
    assert_eq!(lab.addresses(), [""; 0]);
}

#[test]
fn a_group_waits_for_all_its_addresses() {
    let member = |name: &str, address: &str| Vip {
        address: address.parse().unwrap(),
        group: Some("web".into()),
        bind: Some("lo".into()),
        ..vip(name, Some(tcp(80)))
    };
    let mut lab = Lab::of(vec![member("a", "192.0.2.1/32"), member("b", "192.0.2.2/32")]);
    lab.looked(&[]);
    lab.feed(0, "++");
    assert_eq!(lab.addresses(), [""; 0], "b is not healthy yet");
    lab.feed(1, "++");
    assert_eq!(lab.addresses(), ["add 192.0.2.2/32 lo", "add 192.0.2.1/32 lo"]);
    lab.obeyed("192.0.2.2", Obeyed::Refused("no such device".into()));
    lab.looked(&["192.0.2.1"]);
    assert_eq!(lab.told(), [""; 0], "a has its address, b does not");
    assert_eq!(
        lab.set.statuses()[0].held.as_deref(),
        Some("b of its group cannot be announced")
    );
    lab.pass(100);
    assert_eq!(lab.addresses(), [""; 0], "what is there for the group stays");
    lab.looked(&["192.0.2.1", "192.0.2.2"]);
    assert_eq!(lab.told(), ["+a", "+b"]);
    lab.looked(&["192.0.2.1"]);
    assert_eq!(lab.told(), ["-a", "-b"]);
    assert_eq!(lab.addresses(), ["add 192.0.2.2/32 lo"]);
    lab.feed(1, "---");
    lab.told();
    lab.pass(10);
    assert_eq!(lab.addresses(), ["remove 192.0.2.1/32 lo"]);
}
