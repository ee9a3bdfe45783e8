//! Prints an MRT file, one line a prefix: `cargo run --example print_mrt -- FILE`.

#![expect(clippy::print_stderr, reason = "a command line tool")]

use std::io::{BufReader, BufWriter, Write};

use bgp_codec::mrt::{self, Entry, Record};
use bgp_codec::{DecodeContext, FamilySet, MessageType, PeerKind, Update, header};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(path) = std::env::args_os().nth(1) else {
        return Err("print_mrt FILE".into());
    };
    let mut file = BufReader::new(std::fs::File::open(path)?);
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut buffer = Vec::new();
    while mrt::read_record(&mut file, &mut buffer)? {
        let Some((record, _)) = Record::split(&buffer)? else {
            break;
        };
        let time = record.timestamp_s;
        match record.parse()? {
            Entry::Rib(rib) => {
                for entry in rib.entries() {
                    let (attributes, _) = entry?.attributes()?;
                    if let (Some(origin), Some(path)) = (attributes.origin(), attributes.as_path()) {
                        writeln!(out, "{time}|B|{}|{path}|{origin}", rib.prefix)?;
                    }
                }
            }
            Entry::Message(message) => {
                if let Err(error) = print(time, &message, &mut out) {
                    eprintln!("{time}: {error}");
                }
            }
            _ => {}
        }
    }
    Ok(out.flush()?)
}

fn print(
    time: u32,
    message: &mrt::Message<'_>,
    out: &mut impl Write,
) -> Result<(), Box<dyn std::error::Error>> {
    let session = message.session;
    let kind = if session.peer_asn == session.local_asn {
        PeerKind::Internal
    } else {
        PeerKind::External
    };
    let add_path = if message.add_path {
        FamilySet::ALL
    } else {
        FamilySet::EMPTY
    };
    let four_octet_asn = session.four_octet_asn;
    let context = DecodeContext {
        four_octet_asn,
        add_path,
        ..DecodeContext::all(kind)
    };
    let Some(frame) = header::frame(message.bytes, header::MAX_EXTENDED)? else {
        return Ok(());
    };
    let Some(body) = message.bytes.get(header::HEADER_LEN..frame.len) else {
        return Ok(());
    };
    if frame.kind != MessageType::Update {
        return Ok(());
    }
    let update = Update::decode(body, &context)?;
    for error in update.errors().iter() {
        eprintln!("{time} {} AS {}: {error}", session.peer, session.peer_asn);
    }
    for nlri in update.withdrawn().flat_map(|block| block.ip_prefixes()) {
        writeln!(
            out,
            "{time}|W|{}|{}|{}",
            session.peer, session.peer_asn, nlri?.prefix
        )?;
    }
    for announced in update.announced() {
        let Some(path) = update.attributes().as_path() else {
            continue;
        };
        for nlri in announced.nlri.ip_prefixes() {
            writeln!(
                out,
                "{time}|A|{}|{}|{}|{path}",
                session.peer, session.peer_asn, nlri?.prefix
            )?;
        }
    }
    Ok(())
}
