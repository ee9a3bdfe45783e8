//! Prints an MRT file as `bgpdump -m` does: `cargo run --release --example print_mrt -- FILE`.

use std::io::{BufWriter, Write, stderr, stdout};

use bgp_codec::mrt::{Entry, PeerEntry, Reader};
use bgp_codec::{Attributes, NextHop, NlriBlock, PathAttributes};

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
                    let route = route(&entry.attributes()?.0, entry.next_hop());
                    let peer = peers.get(usize::from(entry.peer_index)).ok_or("no such peer")?;
                    let (address, asn) = (peer.address, peer.asn);
                    writeln!(out, "TABLE_DUMP2|{time}|B|{address}|{asn}|{}|{route}", rib.prefix)?;
                }
            }
            Entry::StateChange(change) => {
                let (peer, asn) = (change.session.peer, change.session.peer_asn);
                writeln!(
                    out,
                    "BGP4MP|{time}|STATE|{peer}|{asn}|{}|{}",
                    change.from, change.to
                )?;
            }
            Entry::Message(message) => match message.update() {
                Ok(Some(update)) => {
                    let (peer, asn) = (message.session.peer, message.session.peer_asn);
                    for nlri in update.withdrawn().flat_map(NlriBlock::ip_prefixes) {
                        writeln!(out, "BGP4MP|{time}|W|{peer}|{asn}|{}", nlri?.prefix)?;
                    }
                    for announced in update.announced() {
                        let route = route(update.attributes(), announced.next_hop);
                        for nlri in announced.nlri.ip_prefixes() {
                            writeln!(out, "BGP4MP|{time}|A|{peer}|{asn}|{}|{route}", nlri?.prefix)?;
                        }
                    }
                }
                Ok(None) => {}
                Err(error) => writeln!(stderr(), "{time}: {error}")?,
            },
            _ => {}
        }
    }
    Ok(out.flush()?)
}

/// What stands behind the prefix.
fn route(attributes: &Attributes<'_>, next_hop: Option<NextHop>) -> String {
    let route = PathAttributes::from(attributes);
    let (path, origin) = (&route.as_path, route.origin.to_string().to_uppercase());
    let next_hop = next_hop.map_or_else(String::new, |next_hop| next_hop.address().to_string());
    let (local_pref, med) = (route.local_pref.unwrap_or(0), route.med.unwrap_or(0));
    let communities = route.communities.iter().map(ToString::to_string);
    let communities = communities.collect::<Vec<_>>().join(" ");
    let atomic = if route.atomic_aggregate { "AG" } else { "NAG" };
    let aggregator = route.aggregator.map_or_else(String::new, |who| who.to_string());
    format!("{path}|{origin}|{next_hop}|{local_pref}|{med}|{communities}|{atomic}|{aggregator}|")
}
