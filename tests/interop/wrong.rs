//! A peer of bare octets that does wrong what can be done wrong behind the header, or what no daemon can be made to do: the
//! exact NOTIFICATION over a real socket, unknown attributes through us to a third party, connections that collide, packets
//! that come from too far away.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use bgp_codec::{AsSets, DecodeContext, FamilySet, PathAttributes, PeerKind, Update};
use stonechat::route::Prefix;

use crate::lab::raw::{KEEPALIVE, NOTIFICATION, OPEN, Raw, UPDATE, message, open, update};
use crate::lab::stonechat::Stonechat;
use crate::lab::{Lab, Namespace, skipped};
use crate::pair::{LEFT, Pair};

/// Ours.
const US: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const ASN: u32 = 65_001;
const MAX_TTL: u32 = 255;

const ORIGIN: [u8; 4] = [0x40, 1, 1, 0];
const AS_PATH: [u8; 9] = [0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xe9];
const NEXT_HOP: [u8; 7] = [0x40, 3, 4, 192, 0, 2, 64];

/// How long a packet from too far away is watched for having an effect.
const WATCH: Duration = Duration::from_secs(2);

/// What is sent, and the body of the NOTIFICATION that answers it.
type Wrong = (Vec<u8>, Vec<u8>);

#[test]
fn opens_and_updates_are_answered_exactly() {
    let Some((_lab, raw, stonechat)) = start("") else {
        return;
    };
    let watched = inside(&raw, || {
        let mut witness = Raw::connect(address(50), US, MAX_TTL)?;
        witness.establish(&open(65_050, address(50)))?;
        let cases = wrong_opens().into_iter().map(|wrong| (false, wrong));
        let cases = cases.chain(wrong_updates().into_iter().map(|wrong| (true, wrong)));
        for (number, (established, (octets, expected))) in cases.enumerate() {
            // Each from an address of its own: after an error a peer has to wait.
            let from = address(64 + u8::try_from(number).expect("few cases"));
            let mut raw = Raw::connect(from, US, MAX_TTL)?;
            if established {
                raw.establish(&open(ASN, from))?;
            }
            raw.send(&octets)?;
            let told = raw.until(NOTIFICATION)?;
            assert_eq!(told, expected, "{octets:02x?}");
        }
        let from = address(60);
        let mut good = Raw::connect(from, US, MAX_TTL)?;
        good.establish(&open(ASN, from))?;
        good.send(&update(&[], &[&ORIGIN, &AS_PATH, &NEXT_HOP], &[24, 203, 0, 113]))?;
        // It hears of the good route, and never of an end.
        while !witness.until(UPDATE)?.ends_with(&[24, 203, 0, 113]) {}
        Ok(())
    });
    finish(watched, &stonechat);
}

/// RFC 4271 §6.2.
fn wrong_opens() -> Vec<Wrong> {
    let edited = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut octets = open(ASN, address(64));
        edit(&mut octets);
        octets
    };
    // Version, AS, hold time, identifier, parameters.
    let plain = |parameters: &[u8]| {
        let mut body = vec![4, 0xfd, 0xe9, 0, 90, 192, 0, 2, 64];
        body.push(u8::try_from(parameters.len()).expect("few"));
        body.extend(parameters);
        message(OPEN, &body)
    };
    vec![
        (edited(&|octets| octets[19] = 3), vec![2, 1, 0, 4]),
        (open(64_512, address(64)), vec![2, 2]),
        (open(0, address(64)), vec![2, 2]),
        (edited(&|octets| octets[24..28].fill(0)), vec![2, 3]),
        (plain(&[1, 2, 7, 7]), vec![2, 4]),
        (
            edited(&|octets| octets[22..24].copy_from_slice(&[0, 2])),
            vec![2, 6],
        ),
        (plain(&[2]), vec![2, 0]),
        (plain(&[2, 9, 1, 4, 0, 1, 0, 1]), vec![2, 0]),
        (plain(&[2, 1, 1]), vec![2, 0]),
        (message(KEEPALIVE, &[]), vec![5, 1, 4]),
        (update(&[], &[], &[]), vec![5, 1, 2]),
    ]
}

/// RFC 4271 §6.3 as far as RFC 7606 leaves it, and what is out of turn.
fn wrong_updates() -> Vec<Wrong> {
    let good: [&[u8]; 3] = [&ORIGIN, &AS_PATH, &NEXT_HOP];
    let mut wrong = vec![
        (message(UPDATE, &[0, 9, 0, 0]), vec![3, 1]),
        (message(UPDATE, &[0, 0, 0, 9]), vec![3, 1]),
        (update(&[], &good, &[33, 203, 0, 113, 1, 1]), vec![3, 10]),
        (update(&[33, 1, 1, 1, 1, 1], &[], &[]), vec![3, 10]),
        (open(ASN, address(64)), vec![5, 3, 1]),
        (message(KEEPALIVE, &[0]), vec![1, 2, 0, 20]),
        (message(9, &[]), vec![1, 3, 9]),
    ];
    // Unknown attributes that claim to be well-known come back.
    for flags in [0x00, 0x20, 0x40, 0x60] {
        let unknown = [flags, 99, 2, 1, 2];
        let octets = update(&[], &[&ORIGIN, &AS_PATH, &NEXT_HOP, &unknown], &[24, 203, 0, 113]);
        wrong.push((octets, [&[3, 2], &unknown[..]].concat()));
    }
    wrong
}

/// RFC 4271 §5 and §9: with each combination of flags; what is passed on has the Partial bit.
#[test]
fn unknown_attributes_reach_a_third_party_as_the_rfc_has_it() {
    let Some((_lab, raw, stonechat)) = start("") else {
        return;
    };
    // Optional and transitive: with and without Partial, Extended Length, and bits that mean nothing.
    let transitive = [0xc0, 0xe0, 0xd0, 0xf0, 0xcf];
    let local = [0x80, 0xa0, 0x90, 0x8f];
    let seen = inside(&raw, move || {
        let mut collector = Raw::connect(address(50), US, MAX_TTL)?;
        collector.establish(&open(65_050, address(50)))?;
        let mut sender = Raw::connect(address(64), US, MAX_TTL)?;
        sender.establish(&open(ASN, address(64)))?;
        let all = transitive.into_iter().chain(local);
        for (number, flags) in all.clone().enumerate() {
            let number = u8::try_from(number).expect("few");
            let length: &[u8] = if flags & 0x10 == 0 { &[2] } else { &[0, 2] };
            let unknown = [&[flags, 200 + number], length, &[7, number]].concat();
            let nlri = [24, 203, 0, number];
            sender.send(&update(&[], &[&ORIGIN, &AS_PATH, &NEXT_HOP, &unknown], &nlri))?;
        }
        let mut seen = BTreeMap::new();
        while seen.len() < all.clone().count() {
            take(&collector.until(UPDATE)?, &mut seen);
        }
        Ok(seen)
    });
    let seen = finish(seen, &stonechat);
    for (number, (prefix, unknown)) in seen.iter().enumerate() {
        assert_eq!(prefix.to_string(), format!("203.0.{number}.0/24"));
        let octet = u8::try_from(number).expect("few");
        let expected = if number < transitive.len() {
            vec![(0xe0, 200 + octet, vec![7, octet])]
        } else {
            Vec::new()
        };
        assert_eq!(*unknown, expected, "{prefix}");
    }
}

/// An attribute: flags without the form of the length, type, value.
type Attribute = (u8, u8, Vec<u8>);

/// The unknown attributes of each prefix of an UPDATE.
fn take(body: &[u8], seen: &mut BTreeMap<Prefix, Vec<Attribute>>) {
    let context = DecodeContext {
        peer: PeerKind::External,
        four_octet_asn: true,
        families: FamilySet::ALL,
        add_path: FamilySet::EMPTY,
        extended_next_hop: FamilySet::EMPTY,
        as_sets: AsSets::Accept,
    };
    let update = Update::decode(body, &context).expect("we send what can be read");
    let attributes = PathAttributes::from(update.attributes());
    for announced in update.announced() {
        for nlri in announced.nlri.ip_prefixes().flatten() {
            let unknown = attributes.unknown.iter();
            let unknown = unknown.map(|at| (at.flags & !0x10, at.code, at.value.clone()));
            seen.insert(nlri.prefix, unknown.collect());
        }
    }
}

/// RFC 4271 §6.8, both outcomes: both sides have connected, and of two connections the one stays that the higher identifier
/// opened.
#[test]
fn of_two_connections_the_higher_identifiers_stays() {
    let twin = |name: &str, last: u8| {
        format!(
            "[[peer]]\nname = \"{name}\"\naddress = \"192.0.2.{last}\"\nasn = {ASN}\nimport = \"any\"\nexport = \"any\"\n\
             connect_retry_time = \"1s\"\n"
        )
    };
    let Some((_lab, raw, stonechat)) = start(&(twin("higher", 61) + &twin("lower", 62))) else {
        return;
    };
    let settled = inside(&raw, || {
        for (last, id, theirs_stays) in [
            (61, Ipv4Addr::new(203, 0, 113, 9), true),
            (62, Ipv4Addr::new(10, 0, 0, 9), false),
        ] {
            let listener = TcpListener::bind((address(last), 179))?;
            let mut ours = Raw::over(listener.accept()?.0)?;
            let mut theirs = Raw::connect(address(last), US, MAX_TTL)?;
            ours.until(OPEN)?;
            theirs.until(OPEN)?;
            ours.send(&open(ASN, id))?;
            theirs.send(&open(ASN, id))?;
            let (mut stays, mut goes) = if theirs_stays {
                (theirs, ours)
            } else {
                (ours, theirs)
            };
            assert_eq!(goes.until(NOTIFICATION)?, [6, 7], "{id}");
            stays.send(&message(KEEPALIVE, &[]))?;
            stays.until(KEEPALIVE)?;
            // End-of-RIB: the session stands.
            stays.until(UPDATE)?;
        }
        Ok(())
    });
    finish(settled, &stonechat);
}

/// RFC 5082 §3: what has come over a router is not heard.
#[test]
fn packets_from_too_far_away_are_not_heard() {
    let near = format!(
        "[[peer]]\nname = \"near\"\naddress = \"192.0.2.61\"\nasn = {ASN}\nimport = \"any\"\nexport = \"any\"\n\
         ttl_security = 1\npassive = true\n"
    );
    let Some((_lab, raw, stonechat)) = start(&near) else {
        return;
    };
    let heard = inside(&raw, || {
        let mut far = Raw::connect(address(61), US, MAX_TTL - 1)?;
        far.send(&open(ASN, address(61)))?;
        assert!(far.is_without(KEEPALIVE, WATCH)?, "its OPEN was answered");
        let mut near = Raw::connect(address(61), US, MAX_TTL)?;
        near.establish(&open(ASN, address(61)))?;
        // End-of-RIB: the session stands.
        near.until(UPDATE).map(drop)
    });
    finish(heard, &stonechat);
    assert!(
        stonechat
            .log()
            .contains("it began with TTL 254, and ttl_security asks for 255"),
        "{}",
        stonechat.log()
    );
}

/// Stonechat, and a namespace with many addresses that it takes as external peers.
fn start(more: &str) -> Option<((Pair, Lab), Namespace, Stonechat)> {
    if skipped(&[]) {
        return None;
    }
    let lab = Lab::new();
    let mut pair = Pair::build(&lab);
    let raw = lab.namespace("raw");
    let addresses: Vec<String> = (50..110).map(|last| format!("192.0.2.{last}/24")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    pair.switch.plug(&raw, &addresses);
    let config = format!(
        "[speaker]\nasn = 64512\nrouter_id = \"{LEFT}\"\n\n\
         [[filter]]\nname = \"any\"\ndefault = \"accept\"\nrules = []\n\n\
         [[peer]]\nname = \"raw\"\nlisten_range = [\"192.0.2.32/27\", \"192.0.2.64/26\"]\nasn = \"external\"\n\
         import = \"any\"\nexport = \"any\"\n\n{more}\n"
    );
    let stonechat = Stonechat::start(&lab, &pair.left, &config);
    Some(((pair, lab), raw, stonechat))
}

const fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, last)
}

fn inside<T: Send + 'static>(
    namespace: &Namespace,
    act: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> JoinHandle<io::Result<T>> {
    namespace.spawn_inside(act)
}

/// What came of it, once it has ended and the daemon still runs.
#[track_caller]
fn finish<T>(acted: JoinHandle<io::Result<T>>, stonechat: &Stonechat) -> T {
    let outcome = acted.join().expect("no panic").expect("the connections stand");
    stonechat.cli("peers --json").expect_success();
    outcome
}
