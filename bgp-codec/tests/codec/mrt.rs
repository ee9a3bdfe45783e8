//! MRT records of every kind, written and read back, and files read as streams.

use std::io;

use bgp_codec::mrt::{
    Entry, Message, MrtError, Reader, Record, RecordText, RibEntry, RibGenericWriter, RouteText, Session,
    StateChange, TableDump, Writer, read_record,
};
use bgp_codec::{Asn, Attributes, Community, Family, NextHop, Nlri, PathAttributes, Treatment};

/// 64512, two octets; NEXT_HOP 192.0.2.1.
const NARROW: &[u8] = &[0x40, 1, 1, 0, 0x40, 2, 4, 2, 1, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1];
/// 64512, four octets; MP_REACH_NLRI cut down to 2001:db8::1.
const WIDE: &[u8] = &[
    0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x80, 14, 17, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 1,
];

fn route() -> TableDump<'static> {
    TableDump {
        view: 1,
        sequence: 65_535,
        prefix: "192.0.2.0/24".parse().unwrap(),
        originated_s: 1_000_000_000,
        peer: [198, 51, 100, 1].into(),
        peer_asn: Asn(64_512),
        four_octet_asn: false,
        raw_attributes: NARROW,
    }
}

#[test]
fn older_table_dumps_are_read_octet_by_octet() {
    let mut file = Vec::new();
    route().encode(7, &mut file);
    let expected = [
        &[0, 0, 0, 7, 0, 12, 0, 1, 0, 0, 0, 40][..],
        &[0, 1, 0xff, 0xff, 192, 0, 2, 0, 24, 1, 0x3b, 0x9a, 0xca, 0],
        &[198, 51, 100, 1, 0xfc, 0, 0, 18],
        NARROW,
    ];
    assert_eq!(file, expected.concat());
    assert_eq!(parse(&file), Ok(Entry::TableDump(route())));
    for (prefix, peer, four_octet_asn, subtype) in [
        ("2001:db8::/32", "2001:db8::9", false, 2),
        ("10.0.0.0/8", "192.0.2.9", true, 3),
        ("::/0", "2001:db8::9", true, 4),
    ] {
        let route = TableDump {
            prefix: prefix.parse().unwrap(),
            peer: peer.parse().unwrap(),
            four_octet_asn,
            raw_attributes: WIDE,
            ..route()
        };
        let mut file = Vec::new();
        route.encode(7, &mut file);
        assert_eq!(file[7], subtype);
        assert_eq!(parse(&file), Ok(Entry::TableDump(route)));
        assert_eq!(
            route.next_hop(),
            Some(NextHop::V6("2001:db8::1".parse().unwrap()))
        );
    }
}

#[test]
fn older_table_dumps_have_attributes_of_two_octets() {
    let (attributes, errors) = route().attributes().unwrap();
    assert_eq!(errors.treatment(), None);
    assert_eq!(attributes.as_path().unwrap().to_string(), "64512");
    assert_eq!(route().next_hop(), Some([192, 0, 2, 1].into()));
    let wrong_width = TableDump {
        four_octet_asn: true,
        ..route()
    };
    let (_, errors) = wrong_width.attributes().unwrap();
    assert_eq!(errors.treatment(), Some(Treatment::TreatAsWithdraw));
}

#[test]
fn malformed_table_dumps_are_refused() {
    let mut file = Vec::new();
    route().encode(7, &mut file);
    let (record, _) = Record::split(&file).unwrap().unwrap();
    for len in 0..record.body.len() {
        let cut = Record {
            body: &record.body[..len],
            ..record
        };
        assert_eq!(cut.parse(), Err(MrtError::Truncated), "{len}");
    }
    file[20] = 33;
    assert_eq!(parse(&file), Err(MrtError::PrefixLength(33)));
    file[7] = 9;
    assert_eq!(parse(&file), Ok(Entry::Other));
}

#[test]
fn other_families_have_generic_records_with_the_path_id_in_the_nlri() {
    let entry = RibEntry {
        peer_index: 3,
        originated_s: 5,
        path_id: 0,
        raw_attributes: WIDE,
    };
    let item = [3, 3, 0x81, 6];
    for (add_path, subtype, id) in [(false, 6, &[][..]), (true, 12, &[0, 0, 0, 9])] {
        let writer = RibGenericWriter {
            sequence: 2,
            family: Family::IPV4_FLOWSPEC,
            nlri: Nlri {
                path_id: if add_path { 9 } else { 0 },
                prefix: &item,
            },
            add_path,
        };
        let mut file = Vec::new();
        assert!(writer.encode(&[entry, entry], 7, &mut file));
        let one = [&[0, 3, 0, 0, 0, 5, 0, 33][..], WIDE].concat();
        let body = [&[0, 0, 0, 2, 0, 1, 133][..], id, &item, &[0, 2], &one, &one].concat();
        assert_eq!((file[7], &file[12..]), (subtype, &body[..]));
        let Ok(Entry::RibGeneric(rib)) = parse(&file) else {
            panic!("{:?}", parse(&file))
        };
        assert_eq!(
            (rib.sequence, rib.family, rib.nlri),
            (2, Family::IPV4_FLOWSPEC, writer.nlri)
        );
        assert_eq!(
            rib.entries().map(Result::unwrap).collect::<Vec<_>>(),
            [entry, entry]
        );
    }
    let odd = RibGenericWriter {
        sequence: 2,
        family: Family::IPV4_FLOWSPEC,
        nlri: Nlri::new(&[200, 1]),
        add_path: false,
    };
    let mut file = Vec::new();
    assert!(!odd.encode(&[], 7, &mut file));
    assert!(file.is_empty());
}

#[test]
fn generic_records_of_unknown_families_are_refused() {
    let record = |body: &'static [u8]| Record {
        timestamp_s: 0,
        microseconds: 0,
        kind: 13,
        subtype: 6,
        body,
    };
    assert_eq!(
        record(&[0, 0, 0, 0, 0, 99, 1, 8, 10, 0, 0]).parse(),
        Err(MrtError::AddressFamily(99))
    );
    for body in [
        &[][..],
        &[0, 0, 0, 0, 0, 1, 1],
        &[0, 0, 0, 0, 0, 1, 1, 8],
        &[0, 0, 0, 0, 0, 1, 1, 8, 10, 0],
    ] {
        assert_eq!(record(body).parse(), Err(MrtError::Truncated));
    }
    assert_eq!(
        record(&[0, 0, 0, 0, 0, 1, 1, 33, 0, 0, 0, 0, 0, 0, 0]).parse(),
        Err(MrtError::PrefixLength(33))
    );
}

#[test]
fn every_subtype_of_messages_round_trips() {
    let narrow = Session {
        four_octet_asn: false,
        ..Session::new(Asn(1), Asn(2), [192, 0, 2, 1].into(), [192, 0, 2, 2].into())
    };
    let wide = Session::new(
        Asn(u32::MAX),
        Asn(2),
        "2001:db8::1".parse().unwrap(),
        "2001:db8::2".parse().unwrap(),
    );
    let mut subtypes = Vec::new();
    for session in [narrow, wide] {
        for (add_path, sent) in [(false, false), (false, true), (true, false), (true, true)] {
            let message = Message {
                session,
                add_path,
                sent,
                bytes: &[0xff; 19],
            };
            let mut file = Vec::new();
            message.encode(7, &mut file);
            subtypes.push(file[7]);
            assert_eq!(parse(&file), Ok(Entry::Message(message)));
            file.clear();
            message.encode_extended(7, 999_999, &mut file);
            let (record, _) = Record::split(&file).unwrap().unwrap();
            assert_eq!(
                (record.timestamp_s, record.microseconds, record.kind),
                (7, 999_999, 17)
            );
            assert_eq!(record.parse(), Ok(Entry::Message(message)));
        }
    }
    assert_eq!(subtypes, [1, 6, 8, 10, 4, 7, 9, 11]);
}

#[test]
fn state_changes_are_read_in_both_widths_and_with_microseconds() {
    let session = Session::new(
        Asn(65_010),
        Asn(65_020),
        [192, 0, 2, 1].into(),
        [192, 0, 2, 2].into(),
    );
    for (four_octet_asn, subtype, asns) in [
        (false, 0, &[0xfd, 0xf2, 0xfd, 0xfc][..]),
        (true, 5, &[0, 0, 0xfd, 0xf2, 0, 0, 0xfd, 0xfc]),
    ] {
        let change = StateChange {
            session: Session {
                four_octet_asn,
                ..session
            },
            from: 6,
            to: 1,
        };
        let body = [asns, &[0, 0, 0, 1, 192, 0, 2, 1, 192, 0, 2, 2, 0, 6, 0, 1]].concat();
        let mut file = Vec::new();
        change.encode(7, &mut file);
        assert_eq!((&file[4..8], &file[12..]), (&[0, 16, 0, subtype][..], &body[..]));
        assert_eq!(parse(&file), Ok(Entry::StateChange(change)));
        let body = [&[0, 0, 0, 9][..], &body].concat();
        let len = u8::try_from(body.len()).unwrap();
        let extended = [&[0, 0, 0, 7, 0, 17, 0, subtype, 0, 0, 0, len], &body[..]].concat();
        let (record, _) = Record::split(&extended).unwrap().unwrap();
        assert_eq!(
            (record.microseconds, record.parse()),
            (9, Ok(Entry::StateChange(change)))
        );
    }
}

/// RFC 6396 §4.3.1: the low bits of a peer's type say what size address and AS number have.
#[test]
fn peers_of_all_four_types_are_read() {
    let peers = [
        &[0, 10, 0, 0, 1, 192, 0, 2, 1, 0xfd, 0xf2][..],
        &[
            1, 10, 0, 0, 2, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xfd, 0xf2,
        ],
        &[2, 10, 0, 0, 3, 192, 0, 2, 1, 0, 1, 0, 0],
        &[
            3, 10, 0, 0, 4, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0,
        ],
    ]
    .concat();
    let body = [&[192, 0, 2, 9, 0, 2, b'v', b'w', 0, 4][..], &peers].concat();
    let Ok(Entry::PeerIndexTable(table)) = table_dump_v2(1, &body).parse() else {
        panic!("{body:?}")
    };
    assert_eq!(
        (table.collector, table.view_name),
        ([192, 0, 2, 9].into(), &b"vw"[..])
    );
    let peers: Vec<_> = table
        .peers()
        .map(|peer| peer.map(|peer| format!("{} {} {}", peer.bgp_identifier, peer.address, peer.asn)))
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(
        peers,
        [
            "10.0.0.1 192.0.2.1 65010",
            "10.0.0.2 2001:db8::1 65010",
            "10.0.0.3 192.0.2.1 65536",
            "10.0.0.4 2001:db8::1 65536"
        ]
    );
    let short = table_dump_v2(1, &body[..body.len() - 1]);
    let Ok(Entry::PeerIndexTable(table)) = short.parse() else {
        panic!("{short:?}")
    };
    assert_eq!(table.peers().filter(Result::is_err).count(), 1);
}

#[test]
fn routes_of_every_subtype_of_table_dumps_are_read() {
    // What is left of MP_REACH_NLRI, RFC 6396 §4.3.4, and the whole of it, which some write all the same.
    let whole = [&[0x40, 1, 1, 0, 0x80, 14, 21, 0, 2, 1, 16][..], &WIDE[17..], &[0]].concat();
    for (subtypes, family, prefix, text) in [
        ([2, 8], Family::IPV4_UNICAST, &[8, 10][..], "10.0.0.0/8"),
        ([3, 9], Family::IPV4_MULTICAST, &[8, 10], "10.0.0.0/8"),
        (
            [4, 10],
            Family::IPV6_UNICAST,
            &[32, 0x20, 1, 0xd, 0xb8],
            "2001:db8::/32",
        ),
        (
            [5, 11],
            Family::IPV6_MULTICAST,
            &[32, 0x20, 1, 0xd, 0xb8],
            "2001:db8::/32",
        ),
    ] {
        for (subtype, raw_attributes) in subtypes.into_iter().flat_map(|one| [(one, WIDE), (one, &whole)]) {
            let id = if subtype >= 8 { &[0, 0, 0, 9][..] } else { &[] };
            let len = u8::try_from(raw_attributes.len()).unwrap();
            let body = [
                &[0, 0, 0, 2][..],
                prefix,
                &[0, 1, 0, 3, 0, 0, 0, 5],
                id,
                &[0, len],
                raw_attributes,
            ]
            .concat();
            let Ok(Entry::Rib(rib)) = table_dump_v2(subtype, &body).parse() else {
                panic!("{subtype}")
            };
            assert_eq!(
                (rib.sequence, rib.family, rib.prefix.to_string().as_str()),
                (2, family, text)
            );
            let entries: Vec<_> = rib.entries().map(Result::unwrap).collect();
            let expected = RibEntry {
                peer_index: 3,
                originated_s: 5,
                path_id: if subtype >= 8 { 9 } else { 0 },
                raw_attributes,
            };
            assert_eq!(entries, [expected]);
            assert_eq!(
                expected.next_hop(),
                Some(NextHop::V6("2001:db8::1".parse().unwrap()))
            );
        }
    }
}

/// Kind and time of each record, and one of its prefixes, as `bgpdump` 1.6.2 prints them; but that one takes the two kinds
/// of RFC 8050 §3 that were sent for received.
#[test]
fn records_have_the_names_that_bgpdump_gives_them() {
    for (kind, subtype, text, prefix) in [
        (12, 1, "TABLE_DUMP|7", "10.0.0.0/8"),
        (13, 2, "TABLE_DUMP2|7", "10.0.0.0/8"),
        (13, 8, "TABLE_DUMP2_AP|7", "10.0.0.0/8|9"),
        (16, 0, "BGP4MP|7", "10.0.0.0/8"),
        (16, 4, "BGP4MP|7", "10.0.0.0/8"),
        (16, 7, "BGP4MP_LOCAL|7", "10.0.0.0/8"),
        (16, 9, "BGP4MP_AP|7", "10.0.0.0/8|9"),
        (16, 11, "BGP4MP_LOCAL_AP|7", "10.0.0.0/8|9"),
        (17, 5, "BGP4MP_ET|7.000250", "10.0.0.0/8"),
        (17, 6, "BGP4MP_ET_LOCAL|7.000250", "10.0.0.0/8"),
        (17, 8, "BGP4MP_ET_AP|7.000250", "10.0.0.0/8|9"),
        (32, 0, "TYPE_32|7", "10.0.0.0/8"),
    ] {
        let record = Record {
            timestamp_s: 7,
            microseconds: 250,
            kind,
            subtype,
            body: &[],
        };
        let nlri = Nlri {
            path_id: 9,
            prefix: "10.0.0.0/8".parse().unwrap(),
        };
        assert_eq!(RecordText::new(&record).to_string(), text);
        assert_eq!(
            RecordText::new(&record).prefix(nlri).to_string(),
            prefix,
            "{text}"
        );
    }
}

/// `bgpdump` has names for the communities of RFC 1997 alone.
#[test]
fn routes_have_the_communities_that_bgpdump_prints() {
    let attributes = PathAttributes {
        communities: [
            0xffff_0000,
            0xffff_029a,
            0xffff_ff01,
            0xffff_ff02,
            0xffff_ff03,
            0xffff_ff04,
            1,
        ]
        .map(Community)
        .to_vec(),
        ..PathAttributes::default()
    };
    let mut block = Vec::new();
    attributes.encode_canonical(&mut block);
    assert_eq!(
        RouteText::new(&Attributes::from_canonical(&block), None).to_string(),
        "|IGP||0|0|65535:0 65535:666 no-export no-advertise local-AS 65535:65284 0:1|NAG||"
    );
}

#[test]
fn streams_give_the_same_records_however_they_arrive() {
    let mut writer = Writer::new(Vec::new());
    // One record is longer than the reader's buffer.
    for len in [0, 1, 300_000, 18] {
        let bytes = vec![0xff; len];
        let message = Message {
            session: Session::new(Asn(1), Asn(2), [192, 0, 2, 1].into(), [192, 0, 2, 2].into()),
            add_path: false,
            sent: false,
            bytes: &bytes,
        };
        writer.record(|out| message.encode(7, out)).unwrap();
    }
    let file = writer.into_inner();
    for step in [1, 7, 4096, usize::MAX] {
        let mut reader = Reader::new(Trickle { rest: &file, step });
        let mut whole = &file[..];
        while let Some(record) = reader.next_record().unwrap() {
            let (expected, rest) = Record::split(whole).unwrap().unwrap();
            assert_eq!(record, expected);
            whole = rest;
        }
        assert!(whole.is_empty(), "{step}");
    }
    let mut plain = &file[..];
    let mut buffer = Vec::new();
    while read_record(&mut plain, &mut buffer).unwrap() {
        assert!(Record::split(&buffer).unwrap().unwrap().1.is_empty());
    }
    for len in [1, 11, 12, 13, file.len() - 1] {
        let mut reader = Reader::new(&file[..len]);
        let error = loop {
            match reader.next_record() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("cut at {len}"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{len}");
    }
    let too_long = [&[0; 8][..], &[0xff; 4]].concat();
    let error = Reader::new(&too_long[..]).next_record().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

/// Gives out a few octets at a time, interrupted now and then.
struct Trickle<'a> {
    rest: &'a [u8],
    step: usize,
}

impl io::Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.len() % 5 == 4 {
            self.step = self.step.max(2) - 1;
            if self.step.is_multiple_of(2) {
                return Err(io::ErrorKind::Interrupted.into());
            }
        }
        let len = self.step.min(buffer.len()).min(self.rest.len());
        buffer[..len].copy_from_slice(&self.rest[..len]);
        self.rest = &self.rest[len..];
        Ok(len)
    }
}

fn parse(file: &[u8]) -> Result<Entry<'_>, MrtError> {
    let (record, rest) = Record::split(file)?.unwrap();
    assert!(rest.is_empty());
    record.parse()
}

fn table_dump_v2(subtype: u16, body: &[u8]) -> Record<'_> {
    Record {
        timestamp_s: 0,
        microseconds: 0,
        kind: 13,
        subtype,
        body,
    }
}
