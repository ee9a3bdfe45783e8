//! What the fuzzer runs, one function a target; each panics if a promise of the codec is broken.

use std::fmt::Display;
use std::str::FromStr;

use bgp_codec::mrt::{Entry, Reader, Record, RibGenericWriter};
use bgp_codec::{
    Aggregator, AsPath, AsPathBuf, AsSets, Asn, Attributes, Community, DecodeContext, ExtendedCommunity,
    Family, FamilySet, Ipv6ExtendedCommunity, LargeCommunity, MessageType, NextHop, Nlri, Notification, Open,
    Origin, PathAttributes, PeerKind, RouteRefresh, Update, UpdateWriter, WriteContext, header,
};
use ipnet::IpNet;

#[path = "said.rs"]
pub(crate) mod said;

/// A stream of messages.
pub(crate) fn message(data: &[u8]) {
    let mut rest = data;
    for _ in 0..data.len() {
        match header::frame(rest, header::MAX_EXTENDED) {
            Ok(Some(frame)) => {
                assert!(frame.len <= rest.len() && frame.len >= header::HEADER_LEN);
                // The header alone already decides whether the message can be one.
                assert_eq!(
                    header::frame(&rest[..frame.len - 1], header::MAX_EXTENDED),
                    Ok(None)
                );
                body(frame.kind, &rest[header::HEADER_LEN..frame.len]);
                rest = &rest[frame.len..];
            }
            Ok(None) => return,
            Err(error) => {
                assert_eq!(Notification::from(error).code, 1);
                return;
            }
        }
    }
}

fn body(kind: MessageType, body: &[u8]) {
    match kind {
        MessageType::Open => open(body),
        MessageType::Update => read_update(body, &decode_context(0)),
        MessageType::Keepalive => assert!(body.is_empty()),
        MessageType::Notification => {
            let notification = Notification::decode(body).expect("the frame has two octets");
            assert!(!notification.to_string().is_empty());
            let mut bytes = Vec::new();
            notification.encode(&mut bytes);
            assert!(body.len() > 4077 || bytes[header::HEADER_LEN..] == *body);
        }
        MessageType::RouteRefresh => match RouteRefresh::decode(body) {
            Ok(Some(refresh)) => {
                let mut bytes = Vec::new();
                refresh.encode(&mut bytes);
                assert_eq!(
                    RouteRefresh::decode(&bytes[header::HEADER_LEN..]),
                    Ok(Some(refresh))
                );
            }
            Ok(None) => {}
            Err(error) => assert!([1, 7].contains(&Notification::from(error).code)),
        },
    }
}

/// The body of an OPEN.
pub(crate) fn open(data: &[u8]) {
    match Open::decode(data) {
        Ok(open) => {
            let mut bytes = Vec::new();
            open.encode(&mut bytes);
            let frame = header::frame(&bytes, header::MAX_MESSAGE)
                .expect("ours")
                .expect("whole");
            assert_eq!(frame.len, bytes.len());
            let again = Open::decode(&bytes[header::HEADER_LEN..]).expect("ours");
            // Only what does not fit a message of 4,096 octets is lost.
            assert!(again == open || data.len() > 4000);
        }
        Err(error) => assert_eq!(Notification::from(error).code, 2),
    }
}

/// An octet that chooses what was negotiated, and the body of an UPDATE.
pub(crate) fn update(data: &[u8]) {
    if let Some((flags, body)) = data.split_first() {
        read_update(body, &decode_context(*flags));
    }
}

pub(crate) fn read_update(bytes: &[u8], context: &DecodeContext) {
    said::agree(bytes, context);
    let update = match Update::decode(bytes, context) {
        Ok(update) => update,
        Err(error) => {
            assert_eq!(Notification::from(error).code, 3);
            return;
        }
    };
    let mut all_whole = true;
    for block in update.announced().map(|item| item.nlri).chain(update.withdrawn()) {
        let whole = block.opaque().all(|item| item.is_ok());
        assert_eq!(whole, block.check().is_ok());
        all_whole &= whole;
    }
    assert_eq!(all_whole, update.check_nlri().is_ok());
    let attributes = PathAttributes::from(update.attributes());
    let mut block = Vec::new();
    attributes.encode_canonical(&mut block);
    let again = PathAttributes::from(&Attributes::from_canonical(&block));
    assert_eq!(
        again,
        PathAttributes {
            next_hop: None,
            ..attributes
        }
    );
    let mut scratch = Vec::new();
    assert!(update.interning_key(&mut scratch).len() <= bytes.len());
    write_again(&update, &block, context);
}

/// What was read is written so that it reads the same.
fn write_again(update: &Update<'_>, block: &[u8], context: &DecodeContext) {
    if update.check_nlri().is_err() {
        return;
    }
    let context = DecodeContext {
        four_octet_asn: true,
        peer: PeerKind::Internal,
        as_sets: AsSets::Accept,
        ..*context
    };
    let write = WriteContext {
        four_octet_asn: true,
        max_message: header::MAX_EXTENDED,
        add_path: context.add_path,
    };
    for announced in update.announced() {
        let items = || announced.nlri.opaque().map(|item| item.expect("checked"));
        let mut bytes = Vec::new();
        let family = announced.nlri.family;
        let mut writer = UpdateWriter::new(&mut bytes, write);
        if writer
            .announce_canonical(family, block, announced.next_hop, items())
            .is_err()
        {
            continue;
        }
        let mut read = 0;
        let mut rest = &bytes[..];
        while let Some(frame) = header::frame(rest, header::MAX_EXTENDED).expect("ours") {
            let update = Update::decode(&rest[header::HEADER_LEN..frame.len], &context).expect("ours");
            assert_eq!(update.treatment(), None);
            for (ours, theirs) in update
                .announced()
                .flat_map(|item| item.nlri.opaque())
                .zip(items().skip(read))
            {
                assert_eq!(ours, Ok(theirs));
                read += 1;
            }
            assert!(update.announced().all(|item| item.next_hop == announced.next_hop));
            rest = &rest[frame.len..];
        }
        assert_eq!(read, items().count());
    }
}

/// The context that the bits of an octet stand for.
pub(crate) fn decode_context(flags: u8) -> DecodeContext {
    let set = |bit: u8| {
        if flags & bit == 0 {
            FamilySet::EMPTY
        } else {
            FamilySet::ALL
        }
    };
    DecodeContext {
        four_octet_asn: flags & 1 == 0,
        peer: if flags & 2 == 0 {
            PeerKind::External
        } else {
            PeerKind::Internal
        },
        families: if flags & 4 == 0 {
            FamilySet::ALL
        } else {
            FamilySet::IPV4_UNICAST
        },
        add_path: set(8),
        extended_next_hop: set(16),
        as_sets: if flags & 32 == 0 {
            AsSets::Accept
        } else {
            AsSets::TreatAsWithdraw
        },
    }
}

/// An MRT file.
pub(crate) fn mrt(data: &[u8]) {
    let mut rest = data;
    // As a stream, in the same records.
    let mut reader = Reader::new(data);
    while let Ok(Some((record, after))) = Record::split(rest) {
        assert_eq!(reader.next_record().ok(), Some(Some(record)));
        rest = after;
    }
    assert_eq!(
        reader.next_record().is_ok_and(|record| record.is_none()),
        rest.is_empty()
    );
    rest = data;
    while let Ok(Some((record, after))) = Record::split(rest) {
        assert!(after.len() < rest.len());
        rest = after;
        match record.parse() {
            Ok(Entry::Message(message)) => {
                self::message(message.bytes);
                let mut bytes = Vec::new();
                message.encode(record.timestamp_s, &mut bytes);
                let (again, _) = Record::split(&bytes).expect("ours").expect("whole");
                assert_eq!(again.parse(), Ok(Entry::Message(message)));
            }
            Ok(Entry::Rib(rib)) => {
                for entry in rib.entries().flatten() {
                    let next_hop = entry.next_hop().map(NextHop::address);
                    assert!(next_hop.is_none() || !entry.raw_attributes.is_empty());
                    if let Ok((attributes, _)) = entry.attributes() {
                        let _owned = PathAttributes::from(&attributes);
                    }
                }
            }
            Ok(Entry::TableDump(route)) => {
                if let Ok((attributes, _)) = route.attributes() {
                    let _owned = PathAttributes::from(&attributes);
                }
                let mut bytes = Vec::new();
                route.encode(record.timestamp_s, &mut bytes);
                let (again, _) = Record::split(&bytes).expect("ours").expect("whole");
                assert_eq!(again.parse(), Ok(Entry::TableDump(route)));
            }
            Ok(Entry::RibGeneric(rib)) => {
                let entries: Vec<_> = rib.entries().flatten().collect();
                let writer = RibGenericWriter {
                    sequence: rib.sequence,
                    family: rib.family,
                    nlri: rib.nlri,
                    add_path: rib.add_path,
                };
                let mut bytes = Vec::new();
                assert!(writer.encode(&entries, record.timestamp_s, &mut bytes));
                let (again, _) = Record::split(&bytes).expect("ours").expect("whole");
                let Ok(Entry::RibGeneric(again)) = again.parse() else {
                    panic!("{again:?}")
                };
                assert_eq!(again.nlri, rib.nlri);
                assert_eq!(again.entries().flatten().collect::<Vec<_>>(), entries);
            }
            Ok(Entry::PeerIndexTable(table)) => assert!(table.peers().count() <= usize::from(u16::MAX)),
            Ok(Entry::StateChange(_) | Entry::Other) | Err(_) => {}
        }
    }
}

/// Text in the operators' notation.
pub(crate) fn text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    round_trip::<Asn>(text);
    round_trip::<Community>(text);
    round_trip::<ExtendedCommunity>(text);
    round_trip::<LargeCommunity>(text);
    round_trip::<Family>(text);
    round_trip::<Ipv6ExtendedCommunity>(text);
    round_trip::<Origin>(text);
    round_trip::<Aggregator>(text);
    round_trip::<NextHop>(text);
    round_trip::<AsPathBuf>(text);
    if let Ok(path) = text.parse::<AsPathBuf>() {
        let bytes = path.to_bytes();
        let view = AsPath::from_bytes(&bytes, true).expect("ours");
        // A segment too long for one is written as several, and of sets each counts.
        let split = path.segments.iter().any(|segment| segment.asns.len() > 255);
        assert!(split || usize::try_from(view.path_length()) == Ok(path.path_length()));
    }
    if let Ok(prefix) = text.parse::<IpNet>() {
        let mut bytes = Vec::new();
        let family = if prefix.addr().is_ipv4() {
            Family::IPV4_UNICAST
        } else {
            Family::IPV6_UNICAST
        };
        let context = WriteContext {
            four_octet_asn: true,
            max_message: header::MAX_MESSAGE,
            add_path: FamilySet::EMPTY,
        };
        let nlri = [Nlri::new(prefix.trunc())];
        assert_eq!(
            UpdateWriter::new(&mut bytes, context).withdraw(family, nlri),
            Ok(1)
        );
        read_update(&bytes[header::HEADER_LEN..], &decode_context(0));
    }
}

/// What parses prints as something that parses to the same.
fn round_trip<T: FromStr + Display + PartialEq>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let printed = value.to_string();
        assert!(
            printed.parse::<T>().is_ok_and(|again| again == value),
            "{text:?} printed as {printed:?}"
        );
    }
}
