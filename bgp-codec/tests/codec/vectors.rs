//! Recorded messages and table dumps as text that was reviewed; `UPDATE=1` writes it anew.

use std::path::{Path, PathBuf};

use bgp_codec::mrt::{self, Entry, PeerEntry, PeerIndexTable, Record, RibEntry, RibWriter};
use bgp_codec::{Asn, DecodeContext, FamilySet, NextHop, PathAttributes, PeerKind};

use crate::{print, targets};

#[test]
fn bird6_session() {
    // The session has Add-Path; the record, older than RFC 8050, does not say so.
    check_with("mrt/bird6_bgp", FamilySet::ALL);
}

#[test]
fn openbgpd_session() {
    check("mrt/openbgpd_bgp");
}

#[test]
fn quagga_session() {
    check("mrt/quagga_bgp");
}

#[test]
fn ipv4_table_with_path_ids() {
    check("mrt/bview.ipv4_unicast_add_path");
}

#[test]
fn ipv6_table_with_path_ids() {
    check("mrt/bview.ipv6_unicast_add_path");
}

#[test]
fn record_over_64_kilobytes() {
    check("mrt/bview.64k_stream_overflow");
}

#[test]
fn withdrawal_over_4096_octets() {
    check("mrt/updates.long_withdrawal");
}

#[test]
fn bits_behind_the_prefix_length() {
    check("mrt/updates.nlri_mask_trailing_bits");
}

#[test]
fn every_message_and_capability() {
    check_hex("rfc/messages");
}

#[test]
fn every_attribute() {
    check_hex("rfc/attributes");
}

#[test]
fn every_family() {
    check_hex("rfc/families");
}

/// What each daemon sends when it is told to announce a little of everything; the texts say what that was.
#[test]
fn sessions_of_daemons() {
    for daemon in [
        "bird_ebgp",
        "bird_ibgp_addpath",
        "exabgp_ebgp_addpath",
        "exabgp_ibgp",
        "frr_ebgp",
        "frr_ibgp_addpath",
        "frr_narrow",
        "gobgp_ebgp",
        "gobgp_ibgp_addpath",
        "openbgpd_ebgp",
        "openbgpd_ibgp_addpath",
    ] {
        check(&format!("daemons/{daemon}"));
    }
}

/// What is announced in the vectors is written anew and reads the same; written once more, it is the same octets.
#[test]
fn what_was_read_is_written_in_one_canonical_form() {
    let mut seen = 0;
    for name in ["messages", "attributes", "families"] {
        let text = std::fs::read_to_string(place(&format!("rfc/{name}"), "hex")).unwrap();
        for block in text.split("\n\n") {
            let (_, rest) = block.split_once('\n').unwrap();
            let (session, octets) = rest.split_once('\n').unwrap();
            let octets = read_hex(octets);
            if octets[18] == 2 && !session.contains("narrow") && !session.contains("add-path") {
                targets::read_update(&octets[19..], &DecodeContext::all(PeerKind::Internal));
                seen += 1;
            }
        }
    }
    assert!(seen > 30, "{seen}");
}

#[test]
fn recorded_messages_are_written_as_they_were_read() {
    for name in [
        "bird6_bgp",
        "openbgpd_bgp",
        "quagga_bgp",
        "updates.long_withdrawal",
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/vectors/mrt/{name}.mrt"));
        let file = std::fs::read(path).unwrap();
        let (mut written, mut rest) = (Vec::new(), &file[..]);
        while let Some((record, after)) = Record::split(rest).unwrap() {
            match record.parse().unwrap() {
                Entry::Message(message) => message.encode(record.timestamp_s, &mut written),
                Entry::StateChange(change) => change.encode(record.timestamp_s, &mut written),
                other => panic!("{other:?}"),
            }
            rest = after;
        }
        assert!(rest.is_empty());
        assert!(written == file, "{name}");
    }
}

#[test]
fn table_dumps_round_trip() {
    let peers = [("192.0.2.1", 1), ("2001:db8::1", u32::MAX)].map(|(address, asn)| PeerEntry {
        bgp_identifier: [1, 1, 1, 1].into(),
        address: address.parse().unwrap(),
        asn: Asn(asn),
    });
    let mut block = Vec::new();
    PathAttributes {
        as_path: "64512".parse().unwrap(),
        ..PathAttributes::default()
    }
    .encode_canonical(&mut block);
    let route = RibEntry {
        peer_index: 1,
        originated_s: 7,
        path_id: 9,
        raw_attributes: &block,
    };
    let ipv6 = NextHop::V6("2001:db8::1".parse().unwrap());
    for (prefix, next_hop) in [
        ("10.0.0.0/8", NextHop::from([192, 0, 2, 1])),
        ("2001:db8::/32", ipv6),
    ] {
        let writer = RibWriter {
            sequence: 3,
            prefix: prefix.parse().unwrap(),
            add_path: true,
        };
        let mut file = Vec::new();
        PeerIndexTable::encode([9, 9, 9, 9].into(), &peers, 1, &mut file);
        writer.encode(&[(route, next_hop), (route, next_hop)], 1, &mut file);
        let (record, rest) = Record::split(&file).unwrap().unwrap();
        let Entry::PeerIndexTable(table) = record.parse().unwrap() else {
            panic!("no table")
        };
        assert_eq!(table.peers().collect::<Result<Vec<_>, _>>().unwrap(), peers);
        let (record, rest) = Record::split(rest).unwrap().unwrap();
        let Entry::Rib(rib) = record.parse().unwrap() else {
            panic!("no routes")
        };
        assert_eq!(
            (rib.sequence, rib.prefix.to_string().as_str(), rib.add_path),
            (3, prefix, true)
        );
        let entries = rib.entries().collect::<Result<Vec<_>, _>>().unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(
            (entries[1].peer_index, entries[1].originated_s, entries[1].path_id),
            (1, 7, 9)
        );
        assert_eq!(entries[1].next_hop(), Some(next_hop));
        let (attributes, errors) = entries[1].attributes().unwrap();
        assert_eq!(errors.treatment(), None);
        assert_eq!(attributes.as_path().unwrap().to_string(), "64512");
        assert!(rest.is_empty());
    }
}

#[test]
fn records_cut_anywhere_are_awaited_or_refused() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/mrt/bird6_bgp.mrt");
    let file = std::fs::read(path).unwrap();
    let (first, rest) = Record::split(&file).unwrap().unwrap();
    let whole = file.len() - rest.len();
    for len in 0..whole {
        assert_eq!(Record::split(&file[..len]), Ok(None), "{len}");
        let read = mrt::read_record(&mut &file[..len], &mut Vec::new());
        assert_eq!(read.is_err(), len > 0, "{len}");
    }
    for len in 0..first.body.len() {
        assert!(
            Record {
                body: &first.body[..len],
                ..first
            }
            .parse()
            .is_err(),
            "{len}"
        );
    }
    let too_long = [&file[..8], &[0xff; 4]].concat();
    assert_eq!(Record::split(&too_long), Err(mrt::MrtError::TooLong(u32::MAX)));
}

fn check(name: &str) {
    check_with(name, FamilySet::EMPTY);
}

fn check_with(name: &str, add_path: FamilySet) {
    let bytes = std::fs::read(place(name, "mrt")).unwrap();
    compare(name, &print::file(&bytes, add_path));
}

/// Messages written out in hexadecimal, each behind a title and a line that says what the session has negotiated.
fn check_hex(name: &str) {
    let text = std::fs::read_to_string(place(name, "hex")).unwrap();
    let mut out = String::new();
    for block in text.split("\n\n") {
        let (title, rest) = block.split_once('\n').unwrap();
        let (session, octets) = rest.split_once('\n').unwrap();
        let has = |word: &str| session.split(' ').any(|own| own == word);
        let context = DecodeContext {
            four_octet_asn: !has("narrow"),
            add_path: if has("add-path") {
                FamilySet::ALL
            } else {
                FamilySet::EMPTY
            },
            ..DecodeContext::all(if has("internal") {
                PeerKind::Internal
            } else {
                PeerKind::External
            })
        };
        out.push_str(title);
        out.push('\n');
        print::print_octets(&read_hex(octets), &context, &mut out);
    }
    compare(name, &out);
}

/// Pairs of digits; blanks, and what stands behind a semicolon, say nothing.
fn read_hex(text: &str) -> Vec<u8> {
    let code = text.lines().filter_map(|line| line.split(';').next());
    let digits: Vec<u8> = code
        .flat_map(str::chars)
        .filter(|digit| !digit.is_whitespace())
        .map(|digit| u8::try_from(digit.to_digit(16).unwrap()).unwrap())
        .collect();
    let (pairs, rest) = digits.as_chunks::<2>();
    assert!(rest.is_empty());
    pairs.iter().map(|[high, low]| high << 4 | low).collect()
}

fn place(name: &str, extension: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/vectors/{name}.{extension}"))
}

fn compare(name: &str, text: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(place(name, "txt"), text).unwrap();
    }
    let expected = std::fs::read_to_string(place(name, "txt")).unwrap();
    let difference = text
        .lines()
        .zip(expected.lines())
        .enumerate()
        .find(|(_, (ours, theirs))| ours != theirs);
    assert_eq!(
        difference, None,
        "{name}: first difference; UPDATE=1 writes the text anew"
    );
    assert_eq!(text.lines().count(), expected.lines().count());
}
