//! Stonechat as a route reflector between clients of other kinds, RFC 4456.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::lab::bird::{Bird, Version, protocol};
use crate::lab::exabgp::Exabgp;
use crate::lab::frr::Frr;
use crate::lab::link::Switch;
use crate::lab::monitor::Monitor;
use crate::lab::speaker::Speaker;
use crate::lab::stonechat::Stonechat;
use crate::lab::wait::{equal, holds_for};
use crate::lab::{Lab, Need, await_until, skipped};

const REFLECTOR: &str = "192.0.2.1";
const CLUSTER: &str = "192.0.2.100";
const BIRD: &str = "192.0.2.2";
const FRR: &str = "192.0.2.3";
const EXABGP: &str = "192.0.2.4";

const FROM_BIRD: &str = "198.51.100.0/25";
const FROM_FRR: &str = "198.51.100.128/25";

/// How long a looped route is watched for being reflected.
const WATCH: Duration = Duration::from_secs(2);

#[test]
fn clients_learn_from_each_other_and_loops_are_dropped() {
    if skipped(&[Need::Frr, Need::Bird2, Need::Exabgp]) {
        return;
    }
    let lab = Lab::new();
    let mut switch = Switch::new(&lab, "switch");
    let namespaces = [REFLECTOR, BIRD, FRR, EXABGP].map(|address| {
        let namespace = lab.namespace(&format!("n{}", address.replace('.', "")));
        switch.plug(&namespace, &[&format!("{address}/24")]);
        namespace
    });
    let [reflector, bird, frr, exabgp] = &namespaces;
    let _reflector = Stonechat::start(&lab, reflector, &reflector_config());
    let mut bird = Bird::start(&lab, bird, Version::Two, &bird_conf());
    let mut frr = Frr::start(&lab, frr, "frr", &frr_conf());
    let settings = format!(
        "router-id {EXABGP}; local-address {EXABGP}; local-as 64512; peer-as 64512; hold-time 9;\n\
         family {{ ipv4 unicast; }}"
    );
    let mut exabgp = Exabgp::start(&lab, exabgp, EXABGP, (REFLECTOR, &settings));

    bird.announce(FROM_BIRD, BIRD);
    frr.announce(FROM_FRR, FRR);
    await_until("FRR has BIRD's route with its next hop unchanged", || {
        frr.has(FROM_BIRD, BIRD)
    });
    await_until("BIRD has FRR's route with its next hop unchanged", || {
        bird.has(FROM_FRR, FRR)
    });
    await_until("ExaBGP has both", || {
        exabgp.has(FROM_BIRD, BIRD)?;
        exabgp.has(FROM_FRR, FRR)
    });
    let answer = frr
        .show(&format!("show bgp ipv4 unicast {FROM_BIRD} json"))
        .expect("FRR answers");
    let path = &answer["paths"][0];
    equal(&path["originatorId"], &BIRD.into()).expect("ORIGINATOR_ID is the client's");
    equal(&path["clusterList"]["list"], &serde_json::json!([CLUSTER])).expect("CLUSTER_LIST is ours alone");

    exabgp.announce("203.0.113.0/26", &format!("{EXABGP} cluster-list [ {CLUSTER} ]"));
    exabgp.announce("203.0.113.64/26", &format!("{EXABGP} originator-id {REFLECTOR}"));
    exabgp.announce(
        "203.0.113.128/26",
        &format!("{EXABGP} originator-id 192.0.2.77 cluster-list [ 192.0.2.99 ]"),
    );
    await_until("FRR has the route of another cluster", || {
        frr.has("203.0.113.128/26", EXABGP)
    });
    let answer = frr
        .show("show bgp ipv4 unicast 203.0.113.128/26 json")
        .expect("FRR answers");
    let path = &answer["paths"][0];
    equal(&path["originatorId"], &"192.0.2.77".into()).expect("ORIGINATOR_ID is set once");
    equal(
        &path["clusterList"]["list"],
        &serde_json::json!([CLUSTER, "192.0.2.99"]),
    )
    .expect("ours comes first");
    holds_for(WATCH, "looped routes are not reflected", || {
        frr.lacks("203.0.113.0/26")?;
        frr.lacks("203.0.113.64/26")
    });

    bird.withdraw(FROM_BIRD);
    await_until("FRR forgets BIRD's route", || frr.lacks(FROM_BIRD));
    await_until("ExaBGP forgets BIRD's route", || exabgp.lacks(FROM_BIRD));
}

/// A reflector that knows its clients only by a range restarts: it must not say that it has sent everything before they
/// are back, or those who are back first lose the routes of the others.
#[test]
fn a_reflector_with_ranges_alone_restarts_and_no_client_loses_a_route() {
    if skipped(&[Need::Frr, Need::Bird2]) {
        return;
    }
    let lab = Lab::new();
    let mut switch = Switch::new(&lab, "switch");
    let namespaces = [REFLECTOR, BIRD, FRR].map(|address| {
        let namespace = lab.namespace(&format!("r{}", address.replace('.', "")));
        switch.plug(&namespace, &[&format!("{address}/24")]);
        namespace
    });
    let [reflector, bird, frr] = &namespaces;
    let mut stonechat = Stonechat::start(&lab, reflector, &reflector_config());
    // Back some seconds after the other.
    let slow = bird_conf().replace(
        "connect delay time 1; connect retry time 1",
        "connect delay time 4; connect retry time 4",
    );
    let slow = slow.replace("error wait time 1,2", "error wait time 4,4; graceful restart on");
    let mut bird = Bird::start(&lab, bird, Version::Two, &slow);
    let frr_namespace = frr;
    let restarts = frr_conf().replace(" no bgp network", " bgp graceful-restart\n no bgp network");
    let frr = Frr::start(&lab, frr, "frr", &restarts);
    bird.announce(FROM_BIRD, BIRD);
    await_until("FRR has BIRD's route", || frr.has(FROM_BIRD, BIRD));
    let mut known = || {
        let state = stonechat.state()?;
        equal(&state["extra"]["members"], &serde_json::json!([BIRD, FRR]))
    };
    await_until("the state file names both clients", &mut known);

    let routes = Monitor::start(frr_namespace);
    stonechat.end(Signal::SIGTERM);
    stonechat.start_again();
    await_until("both sessions stand again", || {
        stonechat.established(FRR)?;
        stonechat.established(BIRD)
    });
    holds_for(WATCH, "FRR keeps BIRD's route", || frr.has(FROM_BIRD, BIRD));
    let lost = routes.starting_with(&format!("Deleted {FROM_BIRD}"));
    assert!(lost.is_empty(), "FRR lost BIRD's route: {lost:?}");
}

fn reflector_config() -> String {
    format!(
        "[speaker]\nasn = 64512\nrouter_id = \"{REFLECTOR}\"\ncluster_id = \"{CLUSTER}\"\n\n\
         [[peer_group]]\nname = \"clients\"\nasn = 64512\nrr_client = true\nlisten_range = [\"192.0.2.0/24\"]\n"
    )
}

fn bird_conf() -> String {
    format!(
        "log stderr all;\nrouter id {BIRD};\nprotocol device {{ scan time 1; }}\nprotocol direct {{ ipv4; }}\n\
         include \"announced.conf\";\n\
         protocol bgp {} {{ debug {{ states }}; local {BIRD} as 64512; neighbor {REFLECTOR} as 64512;\n\
         ipv4 {{ import all; export where source = RTS_STATIC; }};\n\
         connect delay time 1; connect retry time 1; error wait time 1,2; }}\n",
        protocol(REFLECTOR)
    )
}

fn frr_conf() -> String {
    format!(
        "router bgp 64512\n bgp router-id {FRR}\n no bgp network import-check\n\
         neighbor {REFLECTOR} remote-as 64512\n neighbor {REFLECTOR} timers connect 1\n\
         neighbor {REFLECTOR} advertisement-interval 0\n"
    )
}
