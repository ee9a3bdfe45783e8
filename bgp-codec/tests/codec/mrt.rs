//! MRT records of every kind, written and read back, and files read as streams.

use std::io;

use bgp_codec::mrt::{
    Entry, Message, MrtError, Reader, Record, RibEntry, RibGenericWriter, Session, TableDump, Writer,
    read_record,
};
use bgp_codec::{Asn, Family, NextHop, Nlri, Treatment};

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
