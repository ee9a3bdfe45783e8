//! RFC 4271 §9.2.1.1: a peer that waits between advertisements.

use super::*;

const INTERVAL: Duration = Duration::from_secs(5);

/// A client that waits.
fn paced(n: u8) -> Peer {
    let mut peer = client(n);
    peer.policy.min_advertisement_interval = INTERVAL;
    peer
}

/// A sender, one that waits, and one that does not.
fn three(lab: &mut Lab) -> [PeerId; 3] {
    lab.up([internal(1), paced(2), client(3)])
        .try_into()
        .expect("three")
}

#[test]
fn changes_wait_for_their_turn_and_come_as_what_they_have_come_to() {
    let mut lab = Lab::new(settings());
    let [from, waits, other] = three(&mut lab);
    lab.forget_said();
    lab.announce(from, &via("10.0.0.1"), &["20.0.0.0/24"]);
    assert_eq!(
        lab.said(waits),
        [announce("20.0.0.0/24")],
        "the first goes at once"
    );
    lab.forget_said();
    for med in 1..=3 {
        let attributes = PathAttributes {
            med: Some(med),
            ..via("10.0.0.1")
        };
        lab.announce(from, &attributes, &["20.0.0.0/24"]);
        lab.pass(Duration::from_secs(1));
    }
    lab.announce(from, &via("10.0.0.1"), &["20.0.1.0/24"]);
    assert_eq!(lab.said(other).len(), 4, "nobody else waits");
    assert_eq!(lab.said(waits), []);
    assert_eq!(lab.peer_counters(waits).pending, 2);
    let due = lab.rib.next_deadline().expect("its turn comes");
    lab.pass(due.saturating_duration_since(lab.now));
    assert_eq!(lab.said(waits).len(), 2, "each once");
    assert_eq!(lab.holds(waits), ["20.0.0.0/24", "20.0.1.0/24"]);
    assert_eq!(lab.held(waits, "20.0.0.0/24").med, Some(3));
    assert_eq!(lab.peer_counters(waits).pending, 0);
    lab.pass(3 * INTERVAL);
    assert_eq!(lab.said(waits), [], "told once");
}

#[test]
fn withdrawals_never_wait() {
    let mut lab = Lab::new(settings());
    let [from, waits, _] = three(&mut lab);
    lab.announce(from, &via("10.0.0.1"), &["20.0.0.0/24"]);
    lab.forget_said();
    // Not told of yet, so there is nothing to take back either.
    lab.announce(from, &via("10.0.0.1"), &["20.0.1.0/24"]);
    lab.withdraw(from, &["20.0.0.0/24", "20.0.1.0/24"]);
    assert_eq!(lab.said(waits), [withdraw("20.0.0.0/24")]);
    // What comes back waits, and if it goes again was never there.
    lab.announce(from, &via("10.0.0.1"), &["20.0.0.0/24"]);
    lab.withdraw(from, &["20.0.0.0/24"]);
    lab.pass(2 * INTERVAL);
    assert_eq!(lab.said(waits), []);
    assert_eq!(lab.holds(waits), Vec::<String>::new());
}

/// Trap 4: best moves to the path of the peer that waits.
#[test]
fn a_source_flip_withdraws_at_once() {
    let mut lab = Lab::new(settings());
    let [from, waits, other] = three(&mut lab);
    lab.announce(from, &via("10.0.0.1"), &["20.0.0.0/24"]);
    let attributes = PathAttributes {
        med: Some(7),
        ..via("10.0.0.1")
    };
    lab.announce(from, &attributes, &["20.0.0.0/24"]);
    lab.forget_said();
    let better = PathAttributes {
        local_pref: Some(200),
        ..via("10.0.0.2")
    };
    lab.announce(waits, &better, &["20.0.0.0/24"]);
    assert_eq!(lab.said(waits), [withdraw("20.0.0.0/24")]);
    assert_eq!(lab.said(other), [announce("20.0.0.0/24")]);
    lab.withdraw(waits, &["20.0.0.0/24"]);
    assert_eq!(lab.said(waits), []);
    lab.pass(INTERVAL);
    assert_eq!(lab.said(waits), [announce("20.0.0.0/24")]);
}

/// The first table and its End-of-RIB do not wait, a refresh does not either, and a peer whose interval changes is told nothing.
#[test]
fn tables_and_refreshes_go_at_once_and_a_reload_sends_nothing() {
    let mut lab = Lab::new(settings());
    let from = lab.up([internal(1)])[0];
    lab.announce(from, &via("10.0.0.1"), &["20.0.0.0/24", "20.0.1.0/24"]);
    let waits = lab.up([paced(2)])[0];
    let said = lab.said(waits);
    assert_eq!(said.len(), 4, "{said:?}");
    assert!(said.contains(&Said::EndOfRib(Family::IPV4_UNICAST)));
    lab.announce(from, &via("10.0.0.1"), &["20.0.2.0/24"]);
    lab.announce(from, &via("10.0.0.1"), &["20.0.3.0/24"]);
    assert_eq!(lab.said(waits), [announce("20.0.2.0/24")]);
    lab.refresh(waits, Subtype::Request);
    let said = lab.said(waits);
    assert_eq!(said.first(), Some(&Said::Refresh(Subtype::BeginOfRib)));
    assert!(said.contains(&announce("20.0.3.0/24")));
    lab.pass(2 * INTERVAL);
    lab.forget_said();
    for seconds in [9, 0, 5] {
        let mut policy = paced(2).policy;
        policy.min_advertisement_interval = Duration::from_secs(seconds);
        lab.input(Input::Reconfigure {
            peer: waits,
            policy: Box::new(policy),
        });
        lab.settle();
        lab.pass(2 * INTERVAL);
        assert_eq!(lab.said(waits), [], "{seconds} s");
    }
    lab.announce(from, &via("10.0.0.1"), &["20.0.4.0/24"]);
    assert_eq!(lab.said(waits), [announce("20.0.4.0/24")]);
}

/// A peer that waits and reads nothing does not keep the shard awake.
#[test]
fn a_peer_that_waits_and_does_not_read_costs_nothing() {
    let mut lab = Lab::new(settings());
    let from = lab.up([internal(1)])[0];
    lab.connect(paced(2), false);
    lab.settle();
    for med in 0..10 {
        let attributes = PathAttributes {
            med: Some(med),
            ..via("10.0.0.1")
        };
        lab.announce(from, &attributes, &["20.0.0.0/24"]);
        lab.pass(Duration::from_secs(2));
    }
    lab.pass(2 * INTERVAL);
    assert_eq!(lab.rib.next_deadline(), None);
}
