//! Messages and records as text, for the vectors.

use std::fmt::Write;

use bgp_codec::mrt::{self, Entry, PeerEntry, RibEntry};
use bgp_codec::{
    Attributes, DecodeContext, FamilySet, MessageType, Nlri, NlriBlock, Notification, Open, PathAttributes,
    PeerKind, RouteRefresh, Safi, UnknownAttribute, Update, header,
};

/// The file as text: a line a record, and a line for each thing in it.
pub(crate) fn file(file: &[u8], add_path: FamilySet) -> String {
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
            writeln!(out, "{} {} {path_id}", rib.family, hex(prefix)).unwrap();
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
    print_octets(message.bytes, &context, out);
}

/// One whole message.
pub(crate) fn print_octets(bytes: &[u8], context: &DecodeContext, out: &mut String) {
    let frame = header::frame(bytes, header::MAX_EXTENDED).unwrap().unwrap();
    assert_eq!(frame.len, bytes.len());
    let body = &bytes[header::HEADER_LEN..];
    match frame.kind {
        MessageType::Open => print_open(body, out),
        MessageType::Notification => {
            writeln!(out, "notification {}", Notification::decode(body).unwrap()).unwrap();
        }
        MessageType::Keepalive => out.push_str("keepalive\n"),
        MessageType::RouteRefresh => match RouteRefresh::decode(body) {
            Ok(Some(refresh)) => writeln!(out, "refresh {:?} {}", refresh.subtype, refresh.family).unwrap(),
            other => writeln!(out, "refresh {other:?}").unwrap(),
        },
        MessageType::Update => match Update::decode(body, context) {
            Ok(update) => print_update(&update, out),
            Err(error) => writeln!(out, "update refused: {error}").unwrap(),
        },
    }
}

fn print_open(body: &[u8], out: &mut String) {
    match Open::decode(body) {
        Ok(open) => {
            let Open {
                version,
                asn,
                hold_time,
                bgp_identifier,
                capabilities,
            } = &open;
            writeln!(
                out,
                "open version {version} AS {} ({asn}) hold time {hold_time} id {bgp_identifier}",
                open.asn()
            )
            .unwrap();
            for capability in capabilities {
                writeln!(out, "  {capability:?}").unwrap();
            }
        }
        Err(error) => writeln!(out, "open refused: {error}").unwrap(),
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
    let family = block.family;
    if !matches!(family.safi, Safi::UNICAST | Safi::MULTICAST) {
        for nlri in block.opaque() {
            match nlri {
                Ok(Nlri { path_id, prefix }) => {
                    writeln!(out, "  {verb} {family} {} {path_id}{next_hop}", hex(prefix)).unwrap();
                }
                Err(error) => writeln!(out, "  {family} {error}").unwrap(),
            }
        }
        return;
    }
    for nlri in block.ip_prefixes() {
        match nlri {
            Ok(Nlri { path_id, prefix }) => writeln!(out, "  {verb} {prefix} {path_id}{next_hop}").unwrap(),
            Err(error) => writeln!(out, "  {family} {error}").unwrap(),
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
    for community in &attributes.ipv6_extended_communities {
        write!(out, " {community}").unwrap();
    }
    for community in &attributes.large_communities {
        write!(out, " {community}").unwrap();
    }
    if let Some(originator) = attributes.originator_id {
        write!(out, " originator {originator}").unwrap();
    }
    for cluster in &attributes.cluster_list {
        write!(out, " cluster {cluster}").unwrap();
    }
    if let Some(aigp) = attributes.aigp {
        write!(out, " aigp {aigp}").unwrap();
    }
    if let Some(asn) = attributes.only_to_customer {
        write!(out, " only to customer {asn}").unwrap();
    }
    for UnknownAttribute { flags, code, value } in &attributes.unknown {
        write!(out, " unknown {code} ({flags:02x}) {}", hex(value)).unwrap();
    }
    out.push('\n');
}

pub(crate) fn hex(octets: &[u8]) -> String {
    let mut out = String::new();
    for octet in octets {
        write!(out, "{octet:02x}").unwrap();
    }
    out
}
