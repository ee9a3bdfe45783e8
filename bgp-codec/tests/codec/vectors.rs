//! Recorded messages and table dumps as text that was reviewed; `UPDATE=1` writes it anew.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use bgp_codec::mrt::{self, Entry, PeerEntry, PeerIndexTable, Record, RibEntry, RibWriter};
use bgp_codec::{
    Asn, Attributes, DecodeContext, FamilySet, MessageType, NextHop, Nlri, NlriBlock, Notification, Open,
    PathAttributes, PeerKind, RouteRefresh, Safi, Update, header,
};

#[test]
fn bird6_session() {
    // The session has Add-Path; the record, older than RFC 8050, does not say so.
    check_with("bird6_bgp", FamilySet::ALL);
}

#[test]
fn openbgpd_session() {
    check("openbgpd_bgp");
}

#[test]
fn quagga_session() {
    check("quagga_bgp");
}

#[test]
fn ipv4_table_with_path_ids() {
    check("bview.ipv4_unicast_add_path");
}

#[test]
fn ipv6_table_with_path_ids() {
    check("bview.ipv6_unicast_add_path");
}

#[test]
fn record_over_64_kilobytes() {
    check("bview.64k_stream_overflow");
}

#[test]
fn withdrawal_over_4096_octets() {
    check("updates.long_withdrawal");
}

#[test]
fn bits_behind_the_prefix_length() {
    check("updates.nlri_mask_trailing_bits");
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
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/mrt");
    let path = |extension: &str| -> PathBuf { directory.join(format!("{name}.{extension}")) };
    let bytes = std::fs::read(path("mrt")).unwrap();
    let text = print(&bytes, add_path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path("txt"), &text).unwrap();
    }
    let expected = std::fs::read_to_string(path("txt")).unwrap();
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

/// The file as text: a line a record, and a line for each thing in it.
fn print(file: &[u8], add_path: FamilySet) -> String {
    let mut out = String::new();
    let mut reader = mrt::Reader::new(file);
    while let Some(record) = reader.next_record().unwrap() {
        write!(out, "{} ", record.timestamp_s).unwrap();
        match record.parse().unwrap() {
            Entry::StateChange(mrt::StateChange { session, from, to }) => {
                writeln!(out, "{} state {from} to {to}", session.peer).unwrap();
            }
            Entry::Message(message) => {
                let session = message.session;
                write!(out, "{} AS {} ", session.peer, session.peer_asn).unwrap();
                print_message(&message, add_path, &mut out);
            }
            Entry::Other => writeln!(out, "type {}/{}", record.kind, record.subtype).unwrap(),
            dump => print_dump(&dump, &mut out),
        }
    }
    out
}

fn print_dump(entry: &Entry<'_>, out: &mut String) {
    match entry {
        Entry::PeerIndexTable(table) => {
            writeln!(out, "peers of {}", table.collector).unwrap();
            for peer in table.peers() {
                let PeerEntry {
                    bgp_identifier,
                    address,
                    asn,
                } = peer.unwrap();
                writeln!(out, "  {address} AS {asn} id {bgp_identifier}").unwrap();
            }
        }
        Entry::Rib(rib) => {
            writeln!(out, "{} {}", rib.family, rib.prefix).unwrap();
            for entry in rib.entries() {
                print_route(&entry.unwrap(), out);
            }
        }
        Entry::RibGeneric(rib) => {
            let Nlri { path_id, prefix } = rib.nlri;
            writeln!(out, "{} {prefix:02x?} {path_id}", rib.family).unwrap();
            for entry in rib.entries() {
                print_route(&entry.unwrap(), out);
            }
        }
        Entry::TableDump(route) => {
            let next_hop = route.next_hop().unwrap();
            write!(
                out,
                "{} from {} AS {} next hop {next_hop}",
                route.prefix, route.peer, route.peer_asn
            )
            .unwrap();
            print_attributes(&route.attributes().unwrap().0, out);
        }
        other => panic!("{other:?}"),
    }
}

fn print_route(entry: &RibEntry<'_>, out: &mut String) {
    let (attributes, errors) = entry.attributes().unwrap();
    let next_hop = entry
        .next_hop()
        .map(|next_hop| next_hop.to_string())
        .unwrap_or_default();
    write!(
        out,
        "  peer {} path {} next hop {next_hop}",
        entry.peer_index, entry.path_id
    )
    .unwrap();
    print_attributes(&attributes, out);
    for error in errors.iter() {
        writeln!(out, "    {error}").unwrap();
    }
}

fn print_message(message: &mrt::Message<'_>, add_path: FamilySet, out: &mut String) {
    let frame = header::frame(message.bytes, header::MAX_EXTENDED)
        .unwrap()
        .unwrap();
    assert_eq!(frame.len, message.bytes.len());
    let body = &message.bytes[header::HEADER_LEN..];
    match frame.kind {
        MessageType::Open => writeln!(out, "open {:?}", Open::decode(body)).unwrap(),
        MessageType::Notification => {
            writeln!(out, "notification {}", Notification::decode(body).unwrap()).unwrap()
        }
        MessageType::Keepalive => out.push_str("keepalive\n"),
        MessageType::RouteRefresh => writeln!(out, "refresh {:?}", RouteRefresh::decode(body)).unwrap(),
        MessageType::Update => {
            let session = message.session;
            let same = session.peer_asn == session.local_asn;
            let context = DecodeContext {
                four_octet_asn: session.four_octet_asn,
                add_path: if message.add_path {
                    FamilySet::ALL
                } else {
                    add_path
                },
                ..DecodeContext::all(if same {
                    PeerKind::Internal
                } else {
                    PeerKind::External
                })
            };
            match Update::decode(body, &context) {
                Ok(update) => print_update(&update, out),
                Err(error) => writeln!(out, "update refused: {error}").unwrap(),
            }
        }
    }
}

fn print_update(update: &Update<'_>, out: &mut String) {
    out.push_str("update");
    if let Some(family) = update.end_of_rib() {
        writeln!(out, " end of rib {family}").unwrap();
        return;
    }
    print_attributes(update.attributes(), out);
    for error in update.errors().iter() {
        writeln!(out, "    {error}").unwrap();
    }
    for block in update.withdrawn() {
        print_nlri(block, "withdraw", "", out);
    }
    for announced in update.announced() {
        let next_hop = announced
            .next_hop
            .map(|next_hop| format!(" via {next_hop}"))
            .unwrap_or_default();
        print_nlri(announced.nlri, "announce", &next_hop, out);
    }
}

fn print_nlri(block: NlriBlock<'_>, verb: &str, next_hop: &str, out: &mut String) {
    if !matches!(block.family.safi, Safi::UNICAST | Safi::MULTICAST) {
        for nlri in block.opaque() {
            let nlri = nlri.unwrap();
            writeln!(
                out,
                "  {verb} {} {:02x?} {}{next_hop}",
                block.family, nlri.prefix, nlri.path_id
            )
            .unwrap();
        }
        return;
    }
    for nlri in block.ip_prefixes() {
        match nlri {
            Ok(nlri) => writeln!(out, "  {verb} {} {}{next_hop}", nlri.prefix, nlri.path_id).unwrap(),
            Err(error) => writeln!(out, "  {} {error}", block.family).unwrap(),
        }
    }
}

/// What there is, on the line begun; merged with AS4_PATH.
fn print_attributes(view: &Attributes<'_>, out: &mut String) {
    let attributes = PathAttributes::from(view);
    if let Some(origin) = view.origin() {
        write!(out, " {origin} path [{}]", attributes.as_path).unwrap();
    }
    for (name, value) in [("med", attributes.med), ("local-pref", attributes.local_pref)] {
        if let Some(value) = value {
            write!(out, " {name} {value}").unwrap();
        }
    }
    if attributes.atomic_aggregate {
        out.push_str(" atomic");
    }
    if let Some(aggregator) = attributes.aggregator {
        write!(out, " aggregator {aggregator}").unwrap();
    }
    for community in &attributes.communities {
        write!(out, " {community}").unwrap();
    }
    for community in &attributes.extended_communities {
        write!(out, " {community}").unwrap();
    }
    for community in &attributes.large_communities {
        write!(out, " {community}").unwrap();
    }
    if let Some(originator) = attributes.originator_id {
        write!(
            out,
            " originator {originator} clusters {:?}",
            attributes.cluster_list
        )
        .unwrap();
    }
    for unknown in &attributes.unknown {
        write!(out, " unknown {} of {} octets", unknown.code, unknown.value.len()).unwrap();
    }
    out.push('\n');
}
