//! Prints an MRT file as `bgpdump -m` does: `cargo run --release --example print_mrt -- FILE`.
//!
//! What cannot be read is told on standard error, and the rest of the file is printed all the same. One group of zeros in
//! an address stays, as RFC 5952 §4.2.2 says, where `bgpdump` has `::`.

use std::io::{BufWriter, Write, stderr, stdout};

use bgp_codec::mrt::{Entry, PeerEntry, Reader, Record, RecordText, RouteText, StateChange};
use bgp_codec::{Nlri, NlriBlock};

type Printed = Result<(), Box<dyn std::error::Error>>;

fn main() -> Printed {
    let file = std::fs::File::open(std::env::args_os().nth(1).ok_or("print_mrt FILE")?)?;
    let (mut reader, mut out, mut peers) = (Reader::new(file), BufWriter::new(stdout().lock()), vec![]);
    while let Some(record) = reader.next_record()? {
        let text = RecordText::new(&record);
        match print(&record, text, &mut peers, &mut out) {
            Err(error) if !error.is::<std::io::Error>() => writeln!(stderr(), "{text}: {error}")?,
            printed => printed?,
        }
    }
    Ok(out.flush()?)
}

fn print(record: &Record<'_>, text: RecordText, peers: &mut Vec<PeerEntry>, out: &mut impl Write) -> Printed {
    match record.parse()? {
        Entry::PeerIndexTable(table) => *peers = table.peers().collect::<Result<_, _>>()?,
        Entry::Rib(rib) => {
            for entry in rib.entries() {
                let (entry, prefix) = (entry?, rib.prefix);
                let (path_id, attributes) = (entry.path_id, entry.attributes()?.0);
                let peer = peers.get(usize::from(entry.peer_index)).ok_or("no such peer")?;
                let route = RouteText::new(&attributes, entry.next_hop());
                let prefix = text.prefix(Nlri { path_id, prefix });
                writeln!(out, "{text}|B|{}|{}|{prefix}|{route}", peer.address, peer.asn)?;
            }
        }
        Entry::StateChange(StateChange { session, from, to }) => {
            let (peer, asn) = (session.peer, session.peer_asn);
            writeln!(out, "{text}|STATE|{peer}|{asn}|{from}|{to}")?;
        }
        Entry::Message(message) => {
            let (peer, asn) = (message.session.peer, message.session.peer_asn);
            let Some(update) = message.update()? else {
                return Ok(());
            };
            for nlri in update.withdrawn().flat_map(NlriBlock::ip_prefixes) {
                writeln!(out, "{text}|W|{peer}|{asn}|{}", text.prefix(nlri?))?;
            }
            for announced in update.announced() {
                let route = RouteText::new(update.attributes(), announced.next_hop);
                for nlri in announced.nlri.ip_prefixes() {
                    writeln!(out, "{text}|A|{peer}|{asn}|{}|{route}", text.prefix(nlri?))?;
                }
            }
        }
        _ => {}
    }
    Ok(())
}
