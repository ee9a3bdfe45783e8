//! OPEN, capabilities, NOTIFICATION and ROUTE-REFRESH.

use bgp_codec::capability::code;
use bgp_codec::notification::{self, cease};
use bgp_codec::route_refresh::Subtype;
use bgp_codec::{
    AddPathMode, Afi, Asn, Capability, ExtendedNextHopFamily, Family, FamilySet, GrFamily, LlgrFamily,
    MessageType, Notification, Open, OpenError, Role, RouteRefresh, header,
};

/// RFC 4271 §6.1.
#[test]
fn header_errors_are_1_1_and_with_the_field_1_2_and_1_3() {
    let header = |first: u8, len: u16, kind: u8| {
        let [high, low] = len.to_be_bytes();
        [&[first][..], &[0xff; 15], &[high, low, kind]].concat()
    };
    for (octets, subcode, data) in [
        (header(0xfe, 19, 4), 1, &[][..]),
        (header(0xff, 18, 4), 2, &[0, 18]),
        (header(0xff, 4097, 2), 2, &[16, 1]),
        (header(0xff, 28, 1), 2, &[0, 28]),
        (header(0xff, 22, 2), 2, &[0, 22]),
        (header(0xff, 20, 3), 2, &[0, 20]),
        (header(0xff, 20, 4), 2, &[0, 20]),
        (header(0xff, 65_535, 4), 2, &[0xff, 0xff]),
        (header(0xff, 19, 0), 3, &[0]),
        (header(0xff, 4096, 255), 3, &[255]),
        // Marker before length, length before type.
        (header(0, 18, 9), 1, &[]),
        (header(0xff, 18, 9), 2, &[0, 18]),
    ] {
        let error = header::frame(&octets, header::MAX_MESSAGE).unwrap_err();
        let expected = Notification {
            code: 1,
            subcode,
            data: data.to_vec(),
        };
        assert_eq!(Notification::from(error), expected, "{octets:?}");
    }
}

#[test]
fn other_versions_are_2_1_with_ours() {
    for version in [0, 3, 5, 255] {
        refused(
            &[version, 0xfc, 0, 0, 90, 1, 1, 1, 1, 0],
            OpenError::UnsupportedVersion(version),
            1,
            &[0, 4],
        );
    }
}

#[test]
fn as_zero_is_2_2() {
    refused(&[4, 0, 0, 0, 90, 1, 1, 1, 1, 0], OpenError::BadPeerAs, 2, &[]);
    refused(&with(&[2, 6, 65, 4, 0, 0, 0, 0]), OpenError::BadPeerAs, 2, &[]);
}

#[test]
fn identifier_zero_is_2_3() {
    let identifier = OpenError::BadBgpIdentifier([0, 0, 0, 0].into());
    refused(&[4, 0xfc, 0, 0, 90, 0, 0, 0, 0, 0], identifier, 3, &[]);
}

#[test]
fn hold_times_one_and_two_are_2_6() {
    for seconds in [1, 2] {
        let error = OpenError::UnacceptableHoldTime(seconds.into());
        refused(&[4, 0xfc, 0, 0, seconds, 1, 1, 1, 1, 0], error, 6, &[]);
    }
    for seconds in [0, 3] {
        assert!(Open::decode(&[4, 0xfc, 0, 0, seconds, 1, 1, 1, 1, 0]).is_ok());
    }
}

#[test]
fn parameters_other_than_capabilities_are_2_4() {
    for kind in [0, 1, 3, 254] {
        refused(
            &with(&[kind, 1, 0]),
            OpenError::UnsupportedParameter(kind),
            4,
            &[],
        );
    }
}

#[test]
fn lengths_that_do_not_fit_are_2_0() {
    for parameters in [
        &[2][..],         // a stray octet
        &[2, 1],          // parameter overrun
        &[2, 2, 2, 0, 2], // a stray octet behind the parameter
        &[2, 1, 2],       // a stray octet inside the parameter
        &[2, 3, 2, 4, 0], // capability overrun
        &[2, 2, 65, 4],   // capability overrun
    ] {
        refused(&with(parameters), OpenError::Malformed, 0, &[]);
    }
    let open = [4, 0xfc, 0, 0, 90, 1, 1, 1, 1];
    for len in 0..open.len() {
        let error = Open::decode(&open[..len]).unwrap_err();
        assert_eq!(error, OpenError::Malformed, "{len}");
    }
    refused(&[4, 0xfc, 0, 0, 90, 1, 1, 1, 1, 1], OpenError::Malformed, 0, &[]);
    refused(
        &[4, 0xfc, 0, 0, 90, 1, 1, 1, 1, 0, 2, 0],
        OpenError::Malformed,
        0,
        &[],
    );
}

#[test]
fn no_parameters_mean_ipv4_unicast_and_two_octet_numbers() {
    let open = Open::decode(&[4, 0xfc, 0, 0, 90, 1, 1, 1, 1, 0]).unwrap();
    assert_eq!(open.families(), FamilySet::IPV4_UNICAST);
    assert_eq!((open.asn(), open.four_octet_asn()), (Asn(64_512), None));
}

#[test]
fn extended_parameters_are_accepted_also_when_short() {
    let capability = [2, 0, 2, 2, 0];
    for length in [255, 4, 1] {
        let mut body = vec![4, 0xfc, 0, 0, 90, 1, 1, 1, 1, length, 255, 0, 5];
        body.extend(capability);
        assert_eq!(
            Open::decode(&body).unwrap().capabilities,
            [Capability::RouteRefresh],
            "{length}"
        );
        body.push(0);
        assert_eq!(Open::decode(&body), Err(OpenError::Malformed));
    }
    let mut body = vec![4, 0xfc, 0, 0, 90, 1, 1, 1, 1, 255, 255, 0, 6];
    body.extend(capability);
    assert_eq!(Open::decode(&body), Err(OpenError::Malformed));
}

#[test]
fn known_capabilities_of_wrong_length_are_kept_as_octets() {
    for (code, lengths) in [
        (code::MULTIPROTOCOL, &[0, 1, 3, 5, 255][..]),
        (code::ROUTE_REFRESH, &[1]),
        (code::EXTENDED_NEXT_HOP, &[1, 5, 7]),
        (code::EXTENDED_MESSAGE, &[1]),
        (code::ROLE, &[0, 2]),
        (code::GRACEFUL_RESTART, &[0, 1, 3, 5]),
        (code::FOUR_OCTET_ASN, &[0, 2, 3, 5]),
        (code::ADD_PATH, &[1, 3, 5]),
        (code::ENHANCED_ROUTE_REFRESH, &[1]),
        (code::LONG_LIVED_GRACEFUL_RESTART, &[1, 6, 8]),
        (code::FQDN, &[0, 1, 3]),
        (code::SOFTWARE_VERSION, &[0, 1]),
    ] {
        for len in lengths {
            let value = vec![9; *len];
            let open = Open::decode(&with_capability(code, &value)).unwrap();
            assert_eq!(
                open.capabilities,
                [Capability::Unknown { code, value }],
                "{code} {len}"
            );
        }
    }
}

#[test]
fn unknown_capabilities_are_kept() {
    for code in [0, 3, 7, 67, 128, 255] {
        let open = Open::decode(&with_capability(code, &[1, 2])).unwrap();
        assert_eq!(
            open.capabilities,
            [Capability::Unknown {
                code,
                value: vec![1, 2]
            }]
        );
    }
}

#[test]
fn repeated_capabilities_mean_nothing_more() {
    let open = Open::decode(&with(&[2, 4, 2, 0, 2, 0, 2, 2, 2, 0])).unwrap();
    assert_eq!(open.capabilities, [Capability::RouteRefresh]);
}

#[test]
fn last_graceful_restart_capability_counts() {
    let open = Open::decode(&with(&[2, 8, 64, 2, 0, 120, 64, 2, 0x80, 60])).unwrap();
    let restart = open.graceful_restart().unwrap();
    assert_eq!((restart.restarting, restart.restart_time_s), (true, 60));
}

#[test]
fn of_repeated_restart_capabilities_the_last_counts_also_if_it_came_before() {
    let open = Open::decode(&with(&[2, 12, 64, 2, 0, 120, 64, 2, 0, 60, 64, 2, 0, 120])).unwrap();
    assert_eq!(open.graceful_restart().unwrap().restart_time_s, 120);
    let long = |time| [71, 7, 0, 1, 1, 0x80, 0, 0, time];
    let open = Open::decode(&with(&[&[2, 27][..], &long(1), &long(2), &long(1)].concat())).unwrap();
    assert_eq!(open.long_lived_graceful_restart()[0].stale_time_s, 1);
    let open = Open::decode(&with(&[&[2, 18][..], &long(1), &long(2)].concat())).unwrap();
    assert_eq!(open.long_lived_graceful_restart()[0].stale_time_s, 2);
}

#[test]
fn unassigned_roles_are_kept_and_pair_with_nothing() {
    let open = Open::decode(&with(&[2, 3, 9, 1, 7])).unwrap();
    assert_eq!(open.role(), Some(Role::Unassigned(7)));
    for role in [Role::Provider, Role::Customer, Role::Peer, Role::Unassigned(7)] {
        assert!(!role.pairs_with(Role::Unassigned(7)));
    }
    assert_eq!(round_trip(&open), open);
}

/// RFC 9234 §4.2, table 2.
#[test]
fn roles_pair_as_the_table_says() {
    let mut pairs = Vec::new();
    for ours in 0..=5 {
        for theirs in 0..=5 {
            let role = |code| Open::decode(&with(&[2, 3, 9, 1, code])).unwrap().role().unwrap();
            assert_eq!(role(ours).code(), ours);
            if role(ours).pairs_with(role(theirs)) {
                pairs.push((ours, theirs));
            }
        }
    }
    assert_eq!(pairs, [(0, 3), (1, 2), (2, 1), (3, 0), (4, 4)]);
}

#[test]
fn contradicting_roles_are_2_11() {
    refused(&with(&[2, 6, 9, 1, 0, 9, 1, 3]), OpenError::RoleMismatch, 11, &[]);
    assert_eq!(
        Open::decode(&with(&[2, 6, 9, 1, 3, 9, 1, 3])).unwrap().role(),
        Some(Role::Customer)
    );
}

#[test]
fn add_path_entries_of_unknown_mode_are_ignored() {
    let value = [0, 1, 1, 0, 0, 2, 1, 3, 0, 1, 2, 4];
    let open = Open::decode(&with_capability(code::ADD_PATH, &value)).unwrap();
    assert_eq!(
        open.capabilities,
        [Capability::AddPath(vec![(
            Family::IPV6_UNICAST,
            AddPathMode::Both
        )])]
    );
    assert_eq!(open.add_path(Family::IPV4_UNICAST), None);
}

#[test]
fn every_capability_round_trips() {
    let open = Open {
        version: 4,
        asn: 23_456,
        hold_time: 90,
        bgp_identifier: [192, 0, 2, 1].into(),
        capabilities: vec![
            Capability::Multiprotocol(Family::IPV6_UNICAST),
            Capability::RouteRefresh,
            Capability::EnhancedRouteRefresh,
            Capability::ExtendedNextHop(vec![ExtendedNextHopFamily {
                family: Family::IPV4_UNICAST,
                next_hop: Afi::IPV6,
            }]),
            Capability::ExtendedMessage,
            Capability::Role(Role::Peer),
            Capability::GracefulRestart {
                restarting: true,
                notification: true,
                restart_time_s: 4095,
                families: vec![GrFamily {
                    family: Family::IPV4_UNICAST,
                    forwarding: true,
                }],
            },
            Capability::LongLivedGracefulRestart(vec![LlgrFamily {
                family: Family::IPV6_UNICAST,
                forwarding: false,
                stale_time_s: 0x00ff_ffff,
            }]),
            Capability::FourOctetAsn(Asn(4_200_000_000)),
            Capability::AddPath(vec![(Family::IPV4_UNICAST, AddPathMode::Send)]),
            Capability::Fqdn {
                hostname: "node1".into(),
                domain: String::new(),
            },
            Capability::SoftwareVersion("stonechat".into()),
            Capability::Unknown {
                code: 200,
                value: vec![1, 2, 3],
            },
        ],
    };
    assert_eq!(round_trip(&open), open);
    assert_eq!(open.asn(), Asn(4_200_000_000));
    assert_eq!(open.extended_next_hop(), FamilySet::IPV4_UNICAST);
}

#[test]
fn many_capabilities_take_the_extended_form() {
    let unknown = |code| Capability::Unknown {
        code,
        value: vec![code; 200],
    };
    let mut open = Open {
        version: 4,
        asn: 1,
        hold_time: 0,
        bgp_identifier: [1, 1, 1, 1].into(),
        capabilities: vec![unknown(200)],
    };
    let mut bytes = Vec::new();
    open.encode(&mut bytes);
    assert_eq!(bytes[28..30], [204, 2]);
    open.capabilities = (200..210).map(unknown).collect();
    bytes.clear();
    open.encode(&mut bytes);
    assert_eq!(bytes[28..30], [255, 255]);
    assert_eq!(round_trip(&open), open);
    // What exceeds the message is left out; the rest is still a good message.
    open.capabilities = (100..200).map(unknown).collect();
    assert_eq!(round_trip(&open).capabilities.len(), 20);
}

#[test]
fn notifications_read_as_words() {
    for (notification, text) in [
        (Notification::new(4, 0), "hold timer expired"),
        (Notification::new(8, 0), "send hold timer expired"),
        (Notification::new(2, 2), "open message error / bad peer AS"),
        (Notification::new(9, 9), "code 9 / subcode 9"),
        (
            OpenError::UnsupportedVersion(3).into(),
            "open message error / unsupported version number (data 0004)",
        ),
        (
            Notification::administrative_shutdown(""),
            "cease / administrative shutdown",
        ),
        (
            Notification::administrative_reset("a\nb"),
            "cease / administrative reset: a\\nb",
        ),
        (
            Notification::hard_reset(&Notification::administrative_shutdown("bye")),
            "cease / hard reset (cease / administrative shutdown): bye",
        ),
        (
            Notification::unexpected_message(
                notification::finite_state_machine::UNEXPECTED_IN_OPEN_SENT,
                MessageType::Update,
            ),
            "finite state machine error / unexpected message in OpenSent (data 02)",
        ),
    ] {
        assert_eq!(notification.to_string(), text);
    }
}

#[test]
fn shutdown_communication_is_cut_at_255_octets_and_a_character() {
    let text = Notification::administrative_shutdown(&"é".repeat(200))
        .shutdown_communication()
        .unwrap();
    assert_eq!(text, "é".repeat(127));
    // RFC 9003 §2: invalid UTF-8 is no reason to refuse; a length beyond the data holds no text.
    let broken = Notification {
        data: vec![2, 0xff, b'a'],
        ..Notification::cease(cease::ADMINISTRATIVE_RESET)
    };
    assert_eq!(broken.shutdown_communication().as_deref(), Some("\u{fffd}a"));
    let short = Notification {
        data: vec![9, b'a'],
        ..Notification::cease(cease::ADMINISTRATIVE_RESET)
    };
    assert_eq!(short.shutdown_communication(), None);
}

#[test]
fn notifications_round_trip_within_a_message() {
    let long = Notification {
        code: 3,
        subcode: 2,
        data: vec![7; 5000],
    };
    let mut bytes = Vec::new();
    long.encode(&mut bytes);
    assert_eq!(bytes.len(), 4096);
    let frame = header::frame(&bytes, header::MAX_MESSAGE).unwrap().unwrap();
    assert_eq!((frame.kind, frame.len), (MessageType::Notification, 4096));
    assert_eq!(Notification::decode(&bytes[19..]).unwrap().data.len(), 4096 - 21);
}

#[test]
fn route_refresh_lengths_are_checked_by_subtype() {
    for (subtype, code) in [
        (Subtype::Request, 0),
        (Subtype::BeginOfRib, 1),
        (Subtype::EndOfRib, 2),
    ] {
        let message = RouteRefresh {
            family: Family::IPV6_UNICAST,
            subtype,
        };
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        assert_eq!(bytes[19..], [0, 2, code, 1]);
        assert_eq!(RouteRefresh::decode(&bytes[19..]), Ok(Some(message)));
        bytes.push(0);
        bytes[17] = 24;
        let notification = Notification::from(RouteRefresh::decode(&bytes[19..]).unwrap_err());
        let expected = match subtype {
            Subtype::Request => Notification {
                code: 1,
                subcode: 2,
                data: vec![0, 24],
            },
            _ => Notification {
                code: 7,
                subcode: 1,
                data: bytes,
            },
        };
        assert_eq!(notification, expected);
    }
    assert_eq!(RouteRefresh::decode(&[0, 1, 3, 1]), Ok(None));
}

fn with(parameters: &[u8]) -> Vec<u8> {
    let mut body = vec![
        4,
        0xfc,
        0,
        0,
        90,
        1,
        1,
        1,
        1,
        u8::try_from(parameters.len()).unwrap(),
    ];
    body.extend_from_slice(parameters);
    body
}

fn with_capability(code: u8, value: &[u8]) -> Vec<u8> {
    let len = u8::try_from(value.len()).unwrap();
    let mut body = vec![4, 0xfc, 0, 0, 90, 1, 1, 1, 1, 255, 255, 0, 0, 2, 0, 0, code, len];
    body[12] = u8::try_from((value.len() + 5) & 0xff).unwrap();
    body[11] = u8::try_from((value.len() + 5) >> 8).unwrap();
    body[15] = u8::try_from((value.len() + 2) & 0xff).unwrap();
    body[14] = u8::try_from((value.len() + 2) >> 8).unwrap();
    body.extend_from_slice(value);
    body
}

fn refused(body: &[u8], error: OpenError, subcode: u8, data: &[u8]) {
    assert_eq!(Open::decode(body), Err(error), "{body:?}");
    assert_eq!(
        Notification::from(error),
        Notification {
            code: 2,
            subcode,
            data: data.to_vec()
        }
    );
}

fn round_trip(open: &Open) -> Open {
    let mut bytes = Vec::new();
    open.encode(&mut bytes);
    let frame = header::frame(&bytes, header::MAX_MESSAGE).unwrap().unwrap();
    assert_eq!((frame.kind, frame.len), (MessageType::Open, bytes.len()));
    Open::decode(&bytes[19..]).unwrap()
}
