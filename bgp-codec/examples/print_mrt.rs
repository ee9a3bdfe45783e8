//! Prints an MRT file as `bgpdump -m` does: `cargo run --release --example print_mrt -- FILE`.

use std::io::{BufWriter, Write, stdout};

use bgp_codec::NlriBlock;
use bgp_codec::mrt::{Entry, PeerEntry, Reader, RouteText};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::fs::File::open(std::env::args_os().nth(1).ok_or("print_mrt FILE")?)?;
    let (mut reader, mut out) = (Reader::new(file), BufWriter::new(stdout().lock()));
    let mut peers: Vec<PeerEntry> = Vec::new();
    while let Some(record) = reader.next_record()? {
        let time = record.timestamp_s;
        match record.parse()? {
            Entry::PeerIndexTable(table) => peers = table.peers().collect::<Result<_, _>>()?,
            Entry::Rib(rib) => {
                for entry in rib.entries().flatten() {
                    let PeerEntry { address, asn, .. } = peers[usize::from(entry.peer_index)];
                    let route = RouteText::new(&entry.attributes()?.0, entry.next_hop());
                    writeln!(out, "TABLE_DUMP2|{time}|B|{address}|{asn}|{}|{route}", rib.prefix)?;
                }
            }
            Entry::Message(message) => {
                let (peer, asn) = (message.session.peer, message.session.peer_asn);
                let Some(update) = message.update()? else { continue };
                for nlri in update.withdrawn().flat_map(NlriBlock::ip_prefixes) {
                    writeln!(out, "BGP4MP|{time}|W|{peer}|{asn}|{}", nlri?.prefix)?;
                }
                for announced in update.announced() {
                    let route = RouteText::new(update.attributes(), announced.next_hop);
                    for nlri in announced.nlri.ip_prefixes() {
                        writeln!(out, "BGP4MP|{time}|A|{peer}|{asn}|{}|{route}", nlri?.prefix)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(out.flush()?)
}
