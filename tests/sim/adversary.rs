//! A peer that does everything wrong: the exact NOTIFICATION of RFC 4271 §6, RFC 6608 and RFC 7313, or the treatment of
//! RFC 7606 as it shows at another peer, which notices nothing else.

use std::path::Path;
use std::time::Duration;

use bgp_codec::{DecodeContext, Family, FamilySet, MessageType, PeerKind, Update};
use stonechat::session::settings::OwnRole;
use stonechat::session::status::State;

use super::random::Random;
use super::stage::{
    HOSTILE, Message, OUR_ASN, Stage, WITNESS, attribute, drive, message, open, split, update,
};

const THEIR_ASN: u32 = 65_001;
const ORIGIN: [u8; 4] = [0x40, 1, 1, 0];
/// 65001.
const AS_PATH: [u8; 9] = [0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xe9];
const NEXT_HOP: [u8; 7] = [0x40, 3, 4, 192, 0, 2, 2];
const LOCAL_PREF: [u8; 7] = [0x40, 5, 4, 0, 0, 0, 100];
/// 203.0.113.0/24.
const NLRI: [u8; 4] = [24, 203, 0, 113];

/// Octets that are wrong, and the NOTIFICATION that answers them: code, subcode, data.
type Wrong = (Vec<u8>, (u8, u8, Vec<u8>));

/// The messages that lead to OpenSent, OpenConfirm and Established.
fn steps() -> [Vec<Vec<u8>>; 3] {
    let (open, keepalive) = (open(HOSTILE, THEIR_ASN), message(4, &[]));
    [vec![], vec![open.clone()], vec![open, keepalive]]
}

fn check(before: &[Vec<u8>], wrong: &Wrong) {
    let (bytes, answer) = wrong;
    let mut stage = Stage::new(THEIR_ASN);
    let connection = stage.connect(HOSTILE);
    for message in before {
        stage.send(HOSTILE, connection, message);
    }
    stage.send(HOSTILE, connection, bytes);
    let told = stage.told(HOSTILE, connection);
    assert_eq!(
        told.as_ref(),
        Some(answer),
        "{} messages, then {bytes:02x?}",
        before.len()
    );
    assert_ne!(stage.state(HOSTILE), State::Established);
    stage.assert_witness_is_well();
}

/// RFC 4271 §6.1.
#[test]
fn headers_are_answered_exactly_in_every_state() {
    let mut wrong: Vec<Wrong> = Vec::new();
    for position in 0..16 {
        let mut bytes = message(4, &[]);
        bytes[position] = 0xfe;
        wrong.push((bytes, (1, 1, vec![])));
    }
    let with = |len: u16, kind: u8| {
        let mut bytes = vec![0xff; 16];
        bytes.extend(len.to_be_bytes());
        bytes.push(kind);
        bytes
    };
    // Shorter than a header, longer than any message; too short and too long for the type.
    for (len, kind) in [
        (0, 4),
        (18, 4),
        (20, 4),
        (28, 1),
        (22, 2),
        (20, 3),
        (22, 5),
        (4_097, 1),
    ] {
        wrong.push((with(len, kind), (1, 2, len.to_be_bytes().to_vec())));
    }
    for kind in [0, 6, 7, 128, 255] {
        wrong.push((with(19, kind), (1, 3, vec![kind])));
    }
    for before in steps() {
        for wrong in &wrong {
            check(&before, wrong);
        }
    }
}

/// RFC 4271 §6.2, RFC 5492 §5, RFC 6286, RFC 7607, RFC 9072.
#[test]
fn opens_are_answered_exactly() {
    let edited = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = open(HOSTILE, THEIR_ASN);
        edit(&mut bytes);
        bytes
    };
    // Version, AS, hold time, identifier, parameters.
    let plain = |parameters: &[u8]| {
        let mut body = vec![4, 0xfd, 0xe9, 0, 9, 192, 0, 2, 2];
        body.push(u8::try_from(parameters.len()).unwrap());
        body.extend(parameters);
        message(1, &body)
    };
    let wrong: Vec<Wrong> = vec![
        (edited(&|bytes| bytes[19] = 3), (2, 1, vec![0, 4])),
        (edited(&|bytes| bytes[19] = 5), (2, 1, vec![0, 4])),
        (open(HOSTILE, 65_002), (2, 2, vec![])),
        (open(HOSTILE, OUR_ASN), (2, 2, vec![])),
        (open(HOSTILE, 0), (2, 2, vec![])),
        (open(HOSTILE, 23_456), (2, 2, vec![])),
        (edited(&|bytes| bytes[24..28].fill(0)), (2, 3, vec![])),
        (plain(&[1, 2, 7, 7]), (2, 4, vec![])),
        (plain(&[9, 0]), (2, 4, vec![])),
        (
            edited(&|bytes| bytes[22..24].copy_from_slice(&[0, 1])),
            (2, 6, vec![]),
        ),
        (
            edited(&|bytes| bytes[22..24].copy_from_slice(&[0, 2])),
            (2, 6, vec![]),
        ),
        // VPNv4 alone.
        (
            plain(&[2, 6, 1, 4, 0, 1, 0, 128]),
            (2, 7, vec![1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1]),
        ),
        // Overruns and stray octets, at once: of the parameters, of one parameter, of a capability.
        (plain(&[2]), (2, 0, vec![])),
        (plain(&[2, 9, 1, 4, 0, 1, 0, 1]), (2, 0, vec![])),
        (plain(&[2, 3, 1, 4, 0]), (2, 0, vec![])),
        (plain(&[2, 1, 1]), (2, 0, vec![])),
        (edited(&|bytes| bytes[28] -= 1), (2, 0, vec![])),
        (edited(&|bytes| bytes[28] += 1), (2, 0, vec![])),
    ];
    for wrong in &wrong {
        check(&[], wrong);
    }
}

/// RFC 9234 §4.2.
#[test]
fn a_role_that_does_not_pair_is_2_11() {
    let mut stage = Stage::with(THEIR_ASN, |spec| {
        spec.peers[HOSTILE].role = Some(OwnRole {
            role: bgp_codec::Role::Customer,
            strict: true,
        });
    });
    let connection = stage.connect(HOSTILE);
    stage.send(HOSTILE, connection, &open(HOSTILE, THEIR_ASN));
    assert_eq!(stage.told(HOSTILE, connection), Some((2, 11, vec![])));
}

/// RFC 6608.
#[test]
fn messages_out_of_turn_are_answered_exactly() {
    let [none, opened, established] = steps();
    let keepalive = message(4, &[]);
    let end_of_rib = update(&[], &[], &[]);
    let refresh = message(5, &[0, 1, 0, 1]);
    for (bytes, kind) in [(&keepalive, 4), (&end_of_rib, 2), (&refresh, 5)] {
        check(&none, &(bytes.clone(), (5, 1, vec![kind])));
    }
    let again = open(HOSTILE, THEIR_ASN);
    for (bytes, kind) in [(&again, 1), (&end_of_rib, 2), (&refresh, 5)] {
        check(&opened, &(bytes.clone(), (5, 2, vec![kind])));
    }
    check(&established, &(again, (5, 3, vec![1])));
}

/// RFC 4271 §6.3 as far as RFC 7606 leaves it.
#[test]
fn updates_that_end_the_session_are_answered_exactly() {
    let good: [&[u8]; 3] = [&ORIGIN, &AS_PATH, &NEXT_HOP];
    let unknown = attribute(0x40, 77, &[1, 2]);
    let reach = attribute(0x80, 14, &[0, 1, 1, 4, 192, 0, 2, 2, 0]);
    let unreach = attribute(0x80, 15, &[0, 1, 1]);
    let wrong: Vec<Wrong> = vec![
        // Lengths that exceed the message.
        (message(2, &[0, 9, 0, 0]), (3, 1, vec![])),
        (message(2, &[0, 0, 0, 9]), (3, 1, vec![])),
        (message(2, &[0xff, 0xff, 0xff, 0xff]), (3, 1, vec![])),
        // An unknown well-known attribute, with the attribute.
        (
            update(&[], &[&ORIGIN, &AS_PATH, &NEXT_HOP, &unknown], &NLRI),
            (3, 2, unknown.clone()),
        ),
        // The same multiprotocol attribute twice.
        (update(&[], &[&reach, &reach], &[]), (3, 1, vec![])),
        (update(&[], &[&unreach, &unreach], &[]), (3, 1, vec![])),
        // Prefixes that cannot be read.
        (update(&[], &good, &[33, 203, 0, 113, 1, 1]), (3, 10, vec![])),
        (update(&[], &good, &[24, 203, 0]), (3, 10, vec![])),
        (update(&[33, 1, 1, 1, 1, 1], &[], &[]), (3, 10, vec![])),
    ];
    let [_, _, established] = steps();
    for wrong in &wrong {
        check(&established, wrong);
    }
    // RFC 7313 §5: the whole message comes back.
    let refresh = message(5, &[0, 1, 1, 1, 9]);
    check(&established, &(refresh.clone(), (7, 1, refresh)));
}

/// What the witness hears of one prefix after a wrong UPDATE that follows a good one.
fn treatment(bytes: &[u8]) -> (Vec<Message>, Stage) {
    let mut stage = Stage::new(THEIR_ASN);
    let connection = stage.up(HOSTILE);
    stage.send(
        HOSTILE,
        connection,
        &update(&[], &[&ORIGIN, &AS_PATH, &NEXT_HOP], &NLRI),
    );
    assert_eq!(
        announced(&stage.witness_hears()),
        1,
        "the good route comes through first"
    );
    stage.send(HOSTILE, connection, bytes);
    assert_eq!(stage.state(HOSTILE), State::Established, "{bytes:02x?}");
    let heard = stage.witness_hears();
    stage.assert_witness_is_well();
    (heard, stage)
}

/// RFC 7606: the session stays, and the old route goes at every peer that has it.
#[test]
fn updates_treated_as_withdraw_take_the_old_route_away() {
    for (what, bytes) in withdrawing() {
        let (heard, _) = treatment(&bytes);
        assert_eq!((announced(&heard), withdrawn(&heard)), (0, 1), "{what}");
    }
}

/// What RFC 7606 treats as withdraw, and what is not used though it is well-formed.
fn withdrawing() -> Vec<(&'static str, Vec<u8>)> {
    let [origin, path, hop]: [&[u8]; 3] = [&ORIGIN, &AS_PATH, &NEXT_HOP];
    let of = |attributes: &[&[u8]]| update(&[], attributes, &NLRI);
    let origin_is = |bytes: &[u8]| of(&[bytes, path, hop]);
    let path_is = |value: &[u8]| of(&[origin, &attribute(0x40, 2, value), hop]);
    let hop_is = |value: &[u8]| of(&[origin, path, &attribute(0x40, 3, value)]);
    let with = |bytes: &[u8]| of(&[origin, path, hop, bytes]);
    vec![
        ("ORIGIN flags 00", origin_is(&[0, 1, 1, 0])),
        ("ORIGIN flags c0", origin_is(&[0xc0, 1, 1, 0])),
        ("ORIGIN 3", origin_is(&[0x40, 1, 1, 3])),
        ("ORIGIN of two octets", origin_is(&[0x40, 1, 2, 0, 0])),
        ("no ORIGIN", of(&[path, hop])),
        ("no AS_PATH", of(&[origin, hop])),
        ("no NEXT_HOP", of(&[origin, path])),
        ("AS 0", path_is(&[2, 1, 0, 0, 0, 0])),
        ("an empty segment", path_is(&[2, 0])),
        ("a segment of kind 9", path_is(&[9, 1])),
        ("NEXT_HOP of 3", hop_is(&[1, 1, 1])),
        ("MED of 3", with(&[0x80, 4, 3, 1, 1, 1])),
        ("COMMUNITIES of 0", with(&[0xc0, 8, 0])),
        ("COMMUNITIES of 3", with(&[0xc0, 8, 3, 1, 1, 1])),
        ("extended of 7", with(&attribute(0xc0, 16, &[1; 7]))),
        ("large of 0", with(&[0xc0, 32, 0])),
        ("OTC of 3", with(&[0xc0, 35, 3, 1, 1, 1])),
        ("a stray octet", with(&[0xc0])),
        ("three stray octets", with(&[0xc0, 8, 9])),
        ("an overrun", with(&[0xc0, 8, 200, 1])),
        ("a loop", path_is(&[2, 2, 0, 0, 0xfd, 0xe9, 0, 0, 0xfc, 0])),
        ("our own address as next hop", hop_is(&[192, 0, 2, 1])),
        ("another first AS", path_is(&[2, 1, 0, 0, 0xfd, 0xea])),
        ("more ASes than octets", path_is(&[2, 9, 0, 0, 0xfd, 0xe9])),
        ("fewer ASes than octets", path_is(&[2, 1, 0, 0, 0xfd, 0xe9, 0, 0])),
        ("half a segment's head", path_is(&[2, 1, 0, 0, 0xfd, 0xe9, 2])),
    ]
}

/// A path of this many ASes, the peer's own first, in segments of 255 at most.
fn long_path(len: usize) -> Vec<u8> {
    let mut value = Vec::new();
    let asns: Vec<u32> = std::iter::once(THEIR_ASN)
        .chain((1..len).map(|_| 64_999))
        .collect();
    for segment in asns.chunks(255) {
        value.extend([2, u8::try_from(segment.len()).unwrap()]);
        value.extend(segment.iter().flat_map(|asn| asn.to_be_bytes()));
    }
    attribute(0x40, 2, &value)
}

/// RFC 4271 §4.3: a path of hundreds of ASes is a path like another, also when it is full and ours come in front of it; one
/// that fits no message of the next peer's withdraws there what it replaces.
#[test]
fn overlong_paths_pass_as_far_as_they_fit() {
    for (len, fits) in [
        (255, true),
        (256, true),
        (900, true),
        (1_010, true),
        (1_011, false),
    ] {
        let mut stage = Stage::with(THEIR_ASN, |spec| {
            spec.asn = OUR_ASN;
            let outside = bgp_codec::Asn(65_009);
            spec.peers[WITNESS].remote_asn = stonechat::session::settings::RemoteAsn::Is(outside);
        });
        let connection = stage.up(HOSTILE);
        let good = update(&[], &[&ORIGIN, &AS_PATH, &NEXT_HOP], &NLRI);
        stage.send(HOSTILE, connection, &good);
        assert_eq!(announced(&stage.witness_hears()), 1);
        let long = update(&[], &[&ORIGIN, &long_path(len), &NEXT_HOP], &NLRI);
        assert!(long.len() <= 4_096, "{}", long.len());
        stage.send(HOSTILE, connection, &long);
        assert_eq!(stage.state(HOSTILE), State::Established, "{len}");
        let heard = stage.witness_hears();
        let told = (announced(&heard), withdrawn(&heard));
        assert_eq!(told, if fits { (1, 0) } else { (0, 1) }, "{len} ASes");
        stage.assert_witness_is_well();
    }
}

/// RFC 7606 §5.3 and §7: what cannot be read of one family ends that family for the session and no more, both ways.
#[test]
fn ipv6_that_cannot_be_read_ends_ipv6_and_leaves_ipv4() {
    let reach = |nlri: &[u8]| {
        let mut value = vec![0, 2, 1, 16];
        value.extend("2001:db8::2".parse::<std::net::Ipv6Addr>().unwrap().octets());
        value.push(0);
        value.extend(nlri);
        attribute(0x80, 14, &value)
    };
    let ipv6 = |nlri: &[u8]| update(&[], &[&ORIGIN, &AS_PATH, &reach(nlri)], &[]);
    let good = ipv6(&[32, 0x20, 1, 0x0d, 0xb8]);
    let short_hop = {
        let value = [&[0, 2, 1, 4, 192, 0, 2, 2, 0][..], &[32, 0x20, 1, 0x0d, 0xb8]].concat();
        update(&[], &[&ORIGIN, &AS_PATH, &attribute(0x80, 14, &value)], &[])
    };
    let unreach = |nlri: &[u8]| update(&[], &[&attribute(0x80, 15, &[&[0, 2, 1], nlri].concat())], &[]);
    for bad in [ipv6(&[129; 18]), ipv6(&[64, 0x20]), unreach(&[129]), short_hop] {
        let mut stage = Stage::new(THEIR_ASN);
        let connection = stage.up(HOSTILE);
        stage.witness_sends(&update(
            &[],
            &[
                &ORIGIN,
                &[0x40, 2, 0],
                &LOCAL_PREF,
                &reach(&[48, 0x20, 1, 0x0d, 0xb8, 0, 9]),
            ],
            &[],
        ));
        stage.send(HOSTILE, connection, &good);
        let ipv4 = update(&[], &[&ORIGIN, &AS_PATH, &NEXT_HOP], &NLRI);
        stage.send(HOSTILE, connection, &ipv4);
        assert_eq!(announced(&stage.witness_hears()), 2);
        assert_eq!(announced(&stage.hear(HOSTILE, connection)), 1);
        stage.send(HOSTILE, connection, &bad);
        assert_eq!(stage.state(HOSTILE), State::Established, "{bad:02x?}");
        // Its IPv6 route goes everywhere, and what it had from us is withdrawn.
        assert_eq!(withdrawn(&stage.witness_hears()), 1);
        assert_eq!(withdrawn(&stage.hear(HOSTILE, connection)), 1);
        stage.send(HOSTILE, connection, &good);
        assert_eq!(stage.witness_hears().len(), 0, "the family is ignored");
        let counters = &stage.node.counters(stage.now)[0].peers;
        let disabled: Vec<(&str, bool)> = counters
            .iter()
            .filter(|counters| &*counters.name == "hostile")
            .map(|counters| (counters.family.as_str(), counters.disabled))
            .collect();
        assert_eq!(disabled, [("ipv4-unicast", false), ("ipv6-unicast", true)]);
        // IPv4 goes on, and the next session has both again.
        stage.send(HOSTILE, connection, &update(&NLRI, &[], &[]));
        assert_eq!(withdrawn(&stage.witness_hears()), 1);
        stage.close(HOSTILE, connection);
        stage.wait(Duration::from_secs(10));
        let connection = stage.up(HOSTILE);
        stage.send(HOSTILE, connection, &good);
        assert_eq!(announced(&stage.witness_hears()), 1);
        stage.assert_witness_is_well();
    }
}

/// An UPDATE that has IPv4 routes beside what cannot be read would lose them: the session ends.
#[test]
fn ipv6_that_cannot_be_read_beside_ipv4_ends_the_session() {
    let unreach = attribute(0x80, 15, &[0, 2, 1, 129]);
    let bytes = update(&[], &[&ORIGIN, &AS_PATH, &NEXT_HOP, &unreach], &NLRI);
    let [_, _, established] = steps();
    check(&established, &(bytes, (3, 9, unreach)));
}

/// RFC 7606: attributes that are discarded leave the route as it was.
#[test]
fn updates_with_discarded_attributes_change_nothing() {
    let [origin, path, hop]: [&[u8]; 3] = [&ORIGIN, &AS_PATH, &NEXT_HOP];
    for (what, extra) in [
        ("LOCAL_PREF from outside", LOCAL_PREF.to_vec()),
        ("LOCAL_PREF of 3 from outside", attribute(0x40, 5, &[1; 3])),
        ("ORIGINATOR_ID from outside", attribute(0x80, 9, &[1; 4])),
        ("CLUSTER_LIST of 0 from outside", attribute(0x80, 10, &[])),
        ("ATOMIC_AGGREGATE with a value", attribute(0x40, 6, &[1])),
        ("AGGREGATOR of 6", attribute(0xc0, 7, &[1; 6])),
        (
            "AGGREGATOR with AS 0",
            attribute(0xc0, 7, &[0, 0, 0, 0, 1, 1, 1, 1]),
        ),
        ("a second ORIGIN", vec![0x40, 1, 1, 2]),
        ("unknown and not transitive", attribute(0x80, 200, &[1, 2, 3])),
        ("AS4_PATH from a 4-octet peer", attribute(0xc0, 17, &[9])),
    ] {
        let (heard, stage) = treatment(&update(&[], &[origin, path, hop, &extra], &NLRI));
        assert_eq!((announced(&heard), withdrawn(&heard)), (0, 0), "{what}");
        assert_eq!(stage.node.fib.len(), 1, "{what}");
    }
}

/// Every type with every combination of flags and several lengths: the session stays or is told 3/x, and nothing else.
#[test]
fn every_attribute_with_every_flag_harms_nobody() {
    let mut random = Random::new(7);
    let mut stage = Stage::new(THEIR_ASN);
    let mut connection = stage.up(HOSTILE);
    for code in 0..=255 {
        for flags in 0..16 {
            for len in [0, 1, 4, 300] {
                let value: Vec<u8> = (0..len).map(|_| random.next().to_be_bytes()[0]).collect();
                let extra = attribute(flags << 4, code, &value);
                stage.send(
                    HOSTILE,
                    connection,
                    &update(&[], &[&ORIGIN, &AS_PATH, &NEXT_HOP, &extra], &NLRI),
                );
                if stage.state(HOSTILE) != State::Established {
                    let told = stage.told(HOSTILE, connection).map(|(code, _, _)| code);
                    assert_eq!(told, Some(3), "{extra:02x?}");
                    stage.assert_witness_is_well();
                    stage = Stage::new(THEIR_ASN);
                    connection = stage.up(HOSTILE);
                }
            }
        }
        stage.hear(HOSTILE, connection);
        stage.witness_hears();
    }
    stage.assert_witness_is_well();
}

/// Any value up to the longest that fits comes through, with the Partial bit.
#[test]
fn unknown_transitive_attributes_of_any_length_pass() {
    for len in [0, 1, 255, 256, 3_900] {
        let value = vec![0xa5; len];
        let extra = attribute(0xc0, 222, &value);
        let (heard, _) = treatment(&update(&[], &[&ORIGIN, &AS_PATH, &NEXT_HOP, &extra], &NLRI));
        let passed = heard.iter().any(|(_, body)| {
            let head = if len > 255 { [0xf0, 222] } else { [0xe0, 222] };
            body.windows(2).any(|pair| pair == head)
                && body.windows(len.max(1)).any(|at| at == value || len == 0)
        });
        assert!(passed, "length {len}: {heard:02x?}");
    }
}

#[test]
fn whatever_a_peer_does_the_witness_is_well_and_the_peer_may_come_back() {
    let mut random = Random::new(13);
    for _ in 0..150 {
        let len = random.below(400);
        let data: Vec<u8> = (0..len).map(|_| random.next().to_be_bytes()[0]).collect();
        drive(&data);
    }
}

/// What the fuzzer found worth keeping.
#[test]
fn the_corpus_of_the_fuzzer_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/session");
    let mut played = 0;
    for entry in std::fs::read_dir(corpus).unwrap().flatten() {
        drive(&std::fs::read(entry.path()).unwrap());
        played += 1;
    }
    assert!(played > 0, "the corpus is empty");
}

/// No OPEN parameters of any shape end anything but their own connection.
#[test]
fn random_opens_harm_nobody() {
    let mut random = Random::new(11);
    for _ in 0..300 {
        let mut stage = Stage::new(THEIR_ASN);
        let connection = stage.connect(HOSTILE);
        let mut bytes = open(HOSTILE, THEIR_ASN);
        for _ in 0..1 + random.below(4) {
            let at = 19 + random.below(bytes.len() - 19);
            bytes[at] = random.next().to_be_bytes()[0];
        }
        stage.send(HOSTILE, connection, &bytes);
        stage.send(HOSTILE, connection, &message(4, &[]));
        stage.assert_witness_is_well();
    }
}

/// RFC 4271 §4.2: version, AS, hold time and identifier are enough.
#[test]
fn a_peer_without_capabilities_exchanges_routes() {
    let mut stage = Stage::new(THEIR_ASN);
    let connection = stage.connect(HOSTILE);
    stage.send(
        HOSTILE,
        connection,
        &message(1, &[4, 0xfd, 0xe9, 0, 9, 192, 0, 2, 2, 0]),
    );
    stage.send(HOSTILE, connection, &message(4, &[]));
    assert_eq!(stage.state(HOSTILE), State::Established);
    let path = [0x40, 2, 4, 2, 1, 0xfd, 0xe9];
    stage.send(
        HOSTILE,
        connection,
        &update(&[], &[&ORIGIN, &path, &NEXT_HOP], &NLRI),
    );
    assert_eq!(announced(&stage.witness_hears()), 1);
    let hop = [0x40, 3, 4, 192, 0, 2, 3];
    stage.witness_sends(&update(
        &[],
        &[&ORIGIN, &[0x40, 2, 0], &hop, &LOCAL_PREF],
        &[24, 198, 51, 100],
    ));
    let told = stage.hear(HOSTILE, connection);
    let narrow = told.iter().any(|(_, body)| {
        // AS 64512 in two octets.
        body.windows(7).any(|at| at == [0x40, 2, 4, 2, 1, 0xfc, 0])
    });
    assert!(narrow, "{told:02x?}");
}

#[test]
fn a_burst_of_65k_messages_is_taken_at_once() {
    let mut stage = Stage::new(THEIR_ASN);
    let connection = stage.up(HOSTILE);
    let one = update(&[], &[&ORIGIN, &AS_PATH, &NEXT_HOP], &NLRI);
    let back = update(&NLRI, &[], &[]);
    let burst = [one, back].concat().repeat(32_768);
    for portion in burst.chunks(65_536) {
        stage.send(HOSTILE, connection, portion);
    }
    assert_eq!(stage.state(HOSTILE), State::Established);
    stage.assert_witness_is_well();
    let counters = &stage.node.counters(stage.now)[0];
    assert_eq!((counters.paths, counters.prefixes), (0, 0));
    // State, not history, is what another peer is sent.
    let heard = stage.witness_hears().len();
    assert!(heard < 500, "{heard} messages for a route that is not there");
}

/// Half a message is no sign of life, and its sender is not waited for beyond the hold time.
#[test]
fn one_octet_a_second_does_not_keep_a_session() {
    let mut stage = Stage::new(THEIR_ASN);
    let connection = stage.up(HOSTILE);
    for octet in &update(&[], &[&ORIGIN, &AS_PATH, &NEXT_HOP], &NLRI)[..12] {
        stage.send(HOSTILE, connection, &[*octet]);
        stage.wait(Duration::from_secs(1));
    }
    assert_eq!(stage.told(HOSTILE, connection), Some((4, 0, vec![])));
    stage.assert_witness_is_well();
}

/// A peer that reads nothing costs a constant, gets the present state once it reads, and is closed if it never does.
#[test]
fn a_reader_that_stops_costs_a_constant_and_delays_nobody() {
    let mut stage = Stage::new(THEIR_ASN);
    let connection = stage.up(HOSTILE);
    stage.hear(HOSTILE, connection);
    let mut most = 0;
    for round in 0..60_u8 {
        for third in 0..250_u8 {
            let nlri: Vec<u8> = (0..4).flat_map(|last| [32, 198, 51, third, last]).collect();
            let med = attribute(0x80, 4, &[0, 0, 0, round]);
            let hop = [0x40, 3, 4, 192, 0, 2, 3];
            stage.witness_sends(&update(
                &[],
                &[&ORIGIN, &[0x40, 2, 0], &hop, &med, &LOCAL_PREF],
                &nlri,
            ));
        }
        let counters = &stage.node.counters(stage.now)[0];
        most = most.max(counters.ring_bytes);
        assert!(stage.node.queued(HOSTILE, connection) <= 256 * 1024);
    }
    assert!(most < 4 << 20, "{most} octets wait for one reader");
    let heard = stage.hear(HOSTILE, connection);
    let routes = announced(&heard);
    assert!(
        (1_000..=14_000).contains(&routes),
        "60,000 changes came as {routes} routes"
    );
    let updates = heard
        .iter()
        .filter(|(kind, _)| *kind == MessageType::Update)
        .count();
    // A full ring of what was queued before it stopped, and then the state, once.
    assert!(updates <= 3_000, "60,000 changes came as {updates} UPDATEs");
    stage.assert_witness_is_well();
}

/// Connections without an OPEN are few at any time, and a peer that then behaves gets in.
#[test]
fn half_open_connections_do_not_lock_the_peer_out() {
    let mut stage = Stage::new(THEIR_ASN);
    for _ in 0..5_000 {
        stage.connect(HOSTILE);
    }
    stage.assert_witness_is_well();
    stage.up(HOSTILE);
    stage.assert_witness_is_well();
}

fn context() -> DecodeContext {
    DecodeContext {
        peer: PeerKind::Internal,
        four_octet_asn: true,
        families: FamilySet::IPV4_UNICAST.with(Family::IPV6_UNICAST),
        add_path: FamilySet::EMPTY,
        extended_next_hop: FamilySet::EMPTY,
        as_sets: bgp_codec::AsSets::Accept,
    }
}

fn announced(heard: &[Message]) -> usize {
    count(heard, |update| {
        update
            .nlri()
            .into_iter()
            .chain(update.mp_nlri())
            .flat_map(|block| block.ip_prefixes())
            .flatten()
            .count()
    })
}

fn withdrawn(heard: &[Message]) -> usize {
    count(heard, |update| {
        update
            .withdrawn()
            .flat_map(|block| block.ip_prefixes())
            .flatten()
            .count()
    })
}

fn count(heard: &[Message], of: impl Fn(&Update<'_>) -> usize) -> usize {
    let updates = heard.iter().filter(|(kind, _)| *kind == MessageType::Update);
    updates
        .map(|(_, body)| Update::decode(body, &context()).map_or(0, |update| of(&update)))
        .sum()
}

#[test]
fn what_is_read_is_split_at_messages() {
    let bytes = [message(4, &[]), update(&[], &[], &[])].concat();
    assert_eq!(split(&bytes).len(), 2);
}
