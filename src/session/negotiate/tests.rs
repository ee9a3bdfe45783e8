//! Our OPEN, the checks on the peer's with their exact answers, and what both agree on.

use super::*;
use crate::session::peer::tests::{epoch, identity, settings};
use crate::session::settings::{Announced, GracefulRestart, OwnRole, StaleTimes};

const LOCAL: Asn = Asn(64_512);

fn peer_open(capabilities: Vec<Capability>) -> Open {
    Open {
        version: 4,
        asn: 64_512,
        hold_time: 90,
        bgp_identifier: [192, 0, 2, 2].into(),
        capabilities,
    }
}

fn modern() -> Open {
    peer_open(vec![
        Capability::Multiprotocol(Family::IPV4_UNICAST),
        Capability::Multiprotocol(Family::IPV6_UNICAST),
        Capability::RouteRefresh,
        Capability::FourOctetAsn(LOCAL),
    ])
}

fn body(open: &Open) -> Vec<u8> {
    let mut bytes = Vec::new();
    open.encode(&mut bytes);
    bytes.split_off(19)
}

fn ours(settings: &PeerSettings) -> Open {
    our_open(settings, &identity(), FamilySet::EMPTY, epoch())
}

fn agreed(settings: &PeerSettings, theirs: &Open) -> Agreement {
    agree(settings, &ours(settings), &body(theirs)).unwrap()
}

/// The code, subcode and data of the NOTIFICATION that `theirs` is answered with.
fn refused(settings: &PeerSettings, theirs: &[u8]) -> (u8, u8, Vec<u8>) {
    let notification = Notification::from(agree(settings, &ours(settings), theirs).unwrap_err());
    (notification.code, notification.subcode, notification.data)
}

#[test]
fn an_open_without_parameters_gives_ipv4_unicast_and_two_octet_numbers() {
    let agreement = agreed(&settings(), &peer_open(vec![]));
    assert_eq!(agreement.negotiated.families, FamilySet::IPV4_UNICAST);
    assert!(!agreement.negotiated.four_octet_asn);
    assert!(!agreement.negotiated.route_refresh);
    assert_eq!(agreement.kind, PeerKind::Internal);
    assert_eq!(agreement.negotiated.max_message, 4096);
}

#[test]
fn another_version_is_told_ours_in_two_octets() {
    let mut open = body(&modern());
    open[0] = 5;
    assert_eq!(refused(&settings(), &open), (2, 1, vec![0, 4]));
}

#[test]
fn a_wrong_asn_is_refused() {
    let mut open = modern();
    open.capabilities.pop();
    open.asn = 64_513;
    assert_eq!(refused(&settings(), &body(&open)), (2, 2, vec![]));
    // The capability decides, RFC 6793.
    open.asn = 64_512;
    open.capabilities
        .push(Capability::FourOctetAsn(Asn(4_200_000_000)));
    assert_eq!(refused(&settings(), &body(&open)), (2, 2, vec![]));
    open.asn = 0;
    assert_eq!(refused(&settings(), &body(&open)), (2, 2, vec![]));
}

#[test]
fn as_trans_is_nobodys_number() {
    let mut settings = settings();
    settings.remote_asn = RemoteAsn::Any;
    let mut open = peer_open(vec![]);
    open.asn = 23_456;
    assert_eq!(refused(&settings, &body(&open)), (2, 2, vec![]));
}

#[test]
fn remote_asn_by_kind() {
    let mut external = modern();
    external.asn = 64_999;
    external.capabilities.pop();
    for (remote, internal_passes, external_passes) in [
        (RemoteAsn::Internal, true, false),
        (RemoteAsn::External, false, true),
        (RemoteAsn::Any, true, true),
        (RemoteAsn::Is(Asn(64_999)), false, true),
        (RemoteAsn::Among([LOCAL].into()), true, false),
        (RemoteAsn::Among([Asn(65_000), Asn(64_999)].into()), false, true),
    ] {
        let mut settings = settings();
        settings.remote_asn = remote;
        let ours = ours(&settings);
        assert_eq!(
            agree(&settings, &ours, &body(&modern())).is_ok(),
            internal_passes,
            "{settings:?}"
        );
        assert_eq!(
            agree(&settings, &ours, &body(&external)).is_ok(),
            external_passes,
            "{settings:?}"
        );
    }
}

/// RFC 9234 §4.2.
#[test]
fn roles_must_pair_and_silence_is_refused_only_when_strict() {
    use Role::{Customer, Peer, Provider, RouteServer, RouteServerClient};
    let with = |role, strict| PeerSettings {
        role: Some(OwnRole { role, strict }),
        ..settings()
    };
    let saying = |role: Option<Role>| {
        let mut open = modern();
        open.capabilities.extend(role.map(Capability::Role));
        open
    };
    for (ours, theirs) in [
        (Provider, Customer),
        (Customer, Provider),
        (Peer, Peer),
        (RouteServer, RouteServerClient),
        (RouteServerClient, RouteServer),
    ] {
        let agreement = agreed(&with(ours, true), &saying(Some(theirs)));
        assert_eq!(agreement.roles, Some((ours, Some(theirs))));
        assert_eq!(agreement.negotiated.role, Some(ours));
    }
    for (ours, theirs) in [(Provider, Provider), (Peer, Customer), (RouteServer, Customer)] {
        let answer = refused(&with(ours, false), &body(&saying(Some(theirs))));
        assert_eq!(answer, (2, 11, vec![]));
    }
    assert_eq!(agreed(&with(Peer, false), &modern()).roles, Some((Peer, None)));
    assert_eq!(refused(&with(Peer, true), &body(&modern())), (2, 11, vec![]));
    assert!(ours(&with(Customer, false)).has(&Capability::Role(Customer)));
    // Without a role of our own the peer's is its own affair.
    assert_eq!(agreed(&settings(), &saying(Some(Peer))).negotiated.role, None);
}

#[test]
fn names_go_out_only_when_asked_for_and_are_shown_without_control_characters() {
    let settings = PeerSettings {
        announce: Announced {
            hostname: true,
            version: true,
        },
        ..settings()
    };
    let open = ours(&settings);
    let fqdn = Capability::Fqdn {
        hostname: "node1".into(),
        domain: "example.net".into(),
    };
    assert!(open.has(&fqdn), "{open:?}");
    assert!(open.has(&Capability::SoftwareVersion(SOFTWARE.into())));
    assert!(!ours(&super::super::peer::tests::settings()).has(&fqdn));
    let mut theirs = modern();
    theirs.capabilities.push(Capability::Fqdn {
        hostname: "router\u{1b}[2J".into(),
        domain: String::new(),
    });
    theirs
        .capabilities
        .push(Capability::SoftwareVersion("FRRouting/8.4.4".into()));
    let agreement = agreed(&settings, &theirs);
    assert_eq!(agreement.hostname.as_deref(), Some("router[2J"));
    assert_eq!(agreement.software.as_deref(), Some("FRRouting/8.4.4"));
}

#[test]
fn bad_identifiers_are_refused() {
    let mut open = modern();
    open.bgp_identifier = [0, 0, 0, 0].into();
    assert_eq!(refused(&settings(), &body(&open)), (2, 3, vec![]));
    open.bgp_identifier = identity().bgp_identifier;
    assert_eq!(refused(&settings(), &body(&open)), (2, 3, vec![]));
    // RFC 6286 §2.2: identifiers need be unique within an AS only.
    let mut settings = settings();
    settings.remote_asn = RemoteAsn::External;
    open.capabilities.pop();
    open.asn = 65_000;
    assert!(agree(&settings, &ours(&settings), &body(&open)).is_ok());
}

#[test]
fn hold_time_is_the_smaller_and_one_or_two_are_refused() {
    let mut open = modern();
    for (theirs, expected) in [(90, 90), (240, 180), (3, 3), (0, 0)] {
        open.hold_time = theirs;
        let agreement = agreed(&settings(), &open);
        assert_eq!(agreement.hold_time.as_secs(), expected);
        assert_eq!(agreement.keepalive_time, Duration::from_secs(expected) / 3);
    }
    for theirs in [1, 2] {
        open.hold_time = theirs;
        assert_eq!(refused(&settings(), &body(&open)), (2, 6, vec![]));
    }
}

#[test]
fn a_configured_keepalive_time_never_exceeds_a_third() {
    let mut settings = settings();
    settings.keepalive_time = Some(Duration::from_secs(20));
    let mut open = modern();
    assert_eq!(agreed(&settings, &open).keepalive_time.as_secs(), 20);
    open.hold_time = 9;
    assert_eq!(agreed(&settings, &open).keepalive_time.as_secs(), 3);
}

#[test]
fn unknown_parameters_and_overruns_are_told_apart() {
    let mut open = body(&peer_open(vec![]));
    open[9] = 3;
    open.extend([1, 1, 0]);
    assert_eq!(refused(&settings(), &open), (2, 4, vec![]));
    open[10] = 2;
    open[11] = 9;
    assert_eq!(refused(&settings(), &open), (2, 0, vec![]));
}

#[test]
fn without_a_common_family_the_peer_is_told_ours() {
    let mut settings = settings();
    settings.families = [Family::IPV6_UNICAST].into_iter().collect();
    assert_eq!(
        refused(&settings, &body(&peer_open(vec![]))),
        (2, 7, vec![1, 4, 0, 2, 0, 1])
    );
}

#[test]
fn add_path_needs_both_directions_to_agree() {
    let mut settings = settings();
    settings.add_path_receive = FamilySet::IPV4_UNICAST;
    settings.add_path_send = FamilySet::IPV4_UNICAST;
    for (theirs, receive, send) in [
        (AddPathMode::Receive, false, true),
        (AddPathMode::Send, true, false),
        (AddPathMode::Both, true, true),
    ] {
        let mut open = modern();
        open.capabilities
            .push(Capability::AddPath(vec![(Family::IPV4_UNICAST, theirs)]));
        let negotiated = agreed(&settings, &open).negotiated;
        assert_eq!(
            negotiated.add_path_receive.contains(Family::IPV4_UNICAST),
            receive,
            "{theirs:?}"
        );
        assert_eq!(
            negotiated.add_path_send.contains(Family::IPV4_UNICAST),
            send,
            "{theirs:?}"
        );
    }
}

#[test]
fn extended_messages_and_next_hops_need_both_sides() {
    let mut open = modern();
    open.capabilities.push(Capability::ExtendedMessage);
    let entry = ExtendedNextHopFamily {
        family: Family::IPV4_UNICAST,
        next_hop: Afi::IPV6,
    };
    open.capabilities.push(Capability::ExtendedNextHop(vec![entry]));
    let mut settings = settings();
    let plain = agreed(&settings, &open);
    assert_eq!((plain.negotiated.max_message, plain.max_receive), (4096, 4096));
    assert!(!plain.negotiated.extended_next_hop);
    settings.extended_message = true;
    settings.extended_next_hop = true;
    let extended = agreed(&settings, &open);
    assert_eq!(
        (extended.negotiated.max_message, extended.max_receive),
        (65_535, 65_535)
    );
    assert!(extended.negotiated.extended_next_hop);
    // RFC 8654 §4: what we announced we take, whatever the peer announced.
    assert_eq!(agreed(&settings, &modern()).max_receive, 65_535);
    assert_eq!(agreed(&settings, &modern()).negotiated.max_message, 4096);
}

fn graceful_settings() -> PeerSettings {
    let mut settings = settings();
    settings.graceful_restart = Some(GracefulRestart {
        restart_time: Duration::from_secs(120),
        max_peer_restart_time: Duration::from_secs(60),
        long_lived: None,
    });
    settings
}

fn graceful_open(notification: bool) -> Open {
    let mut open = modern();
    open.capabilities.push(Capability::GracefulRestart {
        restarting: true,
        notification,
        restart_time_s: 300,
        families: vec![
            GrFamily {
                family: Family::IPV4_UNICAST,
                forwarding: true,
            },
            GrFamily {
                family: Family::IPV6_UNICAST,
                forwarding: false,
            },
        ],
    });
    open
}

#[test]
fn graceful_restart_needs_both_sides_and_keeps_within_our_limit() {
    let agreement = agreed(&graceful_settings(), &graceful_open(true));
    let graceful = agreement.graceful_restart.unwrap();
    assert_eq!(graceful.restart_time.as_secs(), 60);
    assert_eq!(graceful.families, settings().families);
    assert!(graceful.notification);
    let theirs = agreement.negotiated.graceful_restart.unwrap();
    assert!(theirs.restarting);
    assert_eq!(theirs.forwarding, FamilySet::IPV4_UNICAST);
    assert!(
        !agreed(&graceful_settings(), &graceful_open(false))
            .graceful_restart
            .unwrap()
            .notification
    );
    assert_eq!(agreed(&settings(), &graceful_open(true)).graceful_restart, None);
    assert_eq!(agreed(&graceful_settings(), &modern()).graceful_restart, None);
}

#[test]
fn the_restart_bit_lasts_until_the_deadline_and_forwarding_bits_say_what_survived() {
    let now = epoch();
    let mut identity = identity();
    identity.restarting_until = Some(now + Duration::from_secs(10));
    identity.forwarding = FamilySet::IPV4_UNICAST;
    let open = |kept, at| our_open(&graceful_settings(), &identity, kept, at);
    let restarting = open(FamilySet::EMPTY, now);
    let capability = restarting.graceful_restart().unwrap();
    assert!(capability.restarting && capability.notification);
    assert_eq!(capability.restart_time_s, 120);
    let forwarding: Vec<bool> = capability.families.iter().map(|entry| entry.forwarding).collect();
    assert_eq!(forwarding, [true, false]);
    let later = open(settings().families, now + Duration::from_secs(10));
    let capability = later.graceful_restart().unwrap();
    assert!(!capability.restarting);
    assert!(capability.families.iter().all(|entry| entry.forwarding));
}

#[test]
fn our_open_says_as_trans_where_the_number_does_not_fit() {
    let mut settings = settings();
    settings.local_asn = Asn(4_200_000_000);
    let open = ours(&settings);
    assert_eq!(open.asn, 23_456);
    assert_eq!(open.four_octet_asn(), Some(Asn(4_200_000_000)));
}

/// RFC 9494 §3.1, §4.2.
#[test]
fn long_lived_graceful_restart_keeps_the_shorter_time_of_each_family() {
    let mut settings = graceful_settings();
    let llgr = |seconds| {
        let entry = |family, stale_time_s| LlgrFamily {
            family,
            forwarding: true,
            stale_time_s,
        };
        let families = [
            entry(Family::IPV4_UNICAST, seconds),
            entry(Family::IPV6_UNICAST, seconds / 2),
        ];
        Capability::LongLivedGracefulRestart(families.into())
    };
    let with = |seconds| {
        let mut open = modern();
        open.capabilities.push(Capability::GracefulRestart {
            restarting: false,
            notification: false,
            restart_time_s: 60,
            families: vec![],
        });
        open.capabilities.push(llgr(seconds));
        open
    };
    assert_eq!(
        agreed(&settings, &with(9)).graceful_restart.unwrap().long_lived,
        LongLived::NONE,
        "not without our own wish"
    );
    settings.graceful_restart.as_mut().unwrap().long_lived =
        Some(StaleTimes::all(Duration::from_secs(3_600)));
    for (asked, ipv4, ipv6) in [(600, 600, 300), (4_000, 3_600, 2_000), (86_400, 3_600, 3_600)] {
        let agreement = agreed(&settings, &with(asked));
        let long_lived = agreement.graceful_restart.unwrap().long_lived;
        let time = |family| long_lived.time(family);
        assert_eq!(time(Family::IPV4_UNICAST), Some(Duration::from_secs(ipv4)));
        assert_eq!(time(Family::IPV6_UNICAST), Some(Duration::from_secs(ipv6)));
        let told = agreement.negotiated.graceful_restart.unwrap().long_lived;
        assert_eq!(told, Some(FamilySet::IPV4_UNICAST.with(Family::IPV6_UNICAST)));
    }
    let ours = ours(&settings);
    assert_eq!(ours.long_lived_graceful_restart()[0].stale_time_s, 3_600);
    assert!(!ours.long_lived_graceful_restart()[0].forwarding);
    let first_alone = StaleTimes::each([Some(Duration::from_secs(60)), None]);
    settings.graceful_restart.as_mut().unwrap().long_lived = Some(first_alone);
    let own = self::ours(&settings);
    let told = own.long_lived_graceful_restart();
    assert_eq!((told.len(), told[0].stale_time_s), (1, 60));
    let kept = agreed(&settings, &with(600)).graceful_restart.unwrap().long_lived;
    assert_eq!(kept.time(Family::IPV4_UNICAST), Some(Duration::from_secs(60)));
    assert_eq!(kept.time(Family::IPV6_UNICAST), None);
}
