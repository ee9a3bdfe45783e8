//! A table from an MRT dump: one route a prefix, the first that is well formed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use bgp_codec::{Community, PathAttributes};
use bgp_codec::mrt::{self, Entry, Record};
use ipnet::IpNet;

use crate::table::{Prefix, Table};

/// Attributes that two dumped routes share, as octets.
type Block = Vec<u8>;

/// Reads an MRT file, packed by bzip2 or gzip or not at all.
pub fn read(path: &Path) -> io::Result<Table> {
    let (reader, mut child) = open(path)?;
    let mut reader = BufReader::with_capacity(1 << 20, reader);
    let (mut buffer, mut place_of) = (Vec::new(), HashMap::<Block, usize>::new());
    let mut groups: Vec<(PathAttributes, Vec<Prefix>)> = Vec::new();
    while mrt::read_record(&mut reader, &mut buffer)? {
        let Ok(Some((record, _))) = Record::split(&buffer) else {
            break;
        };
        let Ok(Entry::Rib(rib)) = record.parse() else {
            continue;
        };
        let IpNet::V4(net) = rib.prefix else { continue };
        // Default routes and martians are refused by some daemons, which would look like a loss.
        let first = net.addr().octets()[0];
        if first == 0 || first == 127 || first >= 224 || rib.prefix.prefix_len() < 8 || net.trunc() != net {
            continue;
        }
        let usable = rib.entries().flatten().find_map(|entry| {
            let (attributes, errors) = entry.attributes().ok()?;
            // RFC 9774 has routes with AS_SET withdrawn.
            let fine = attributes
                .as_path()
                .is_some_and(|path| !path.is_empty() && !path.has_set());
            // RFC 1997: these are passed on to nobody.
            let kept = |community| matches!(community, Community::NO_EXPORT | Community::NO_ADVERTISE);
            let kept = attributes.communities().iter().any(kept);
            (fine && !kept && errors.treatment().is_none())
                .then(|| (entry.raw_attributes.to_vec(), PathAttributes::from(&attributes)))
        });
        let Some((block, attributes)) = usable else {
            continue;
        };
        let place = *place_of.entry(block).or_insert_with(|| {
            groups.push((attributes, Vec::new()));
            groups.len() - 1
        });
        groups[place]
            .1
            .push(Prefix::new(net.addr().into(), net.prefix_len()));
    }
    if let Some(child) = &mut child {
        child.wait()?;
    }
    if groups.is_empty() {
        return Err(io::Error::other("no IPv4 routes in it"));
    }
    Ok(Table::recorded(groups))
}

type Opened = (Box<dyn Read>, Option<std::process::Child>);

fn open(path: &Path) -> io::Result<Opened> {
    let unpack = match path.extension().and_then(|extension| extension.to_str()) {
        Some("bz2") => "bzip2",
        Some("gz") => "gzip",
        _ => return Ok((Box::new(File::open(path)?), None)),
    };
    let mut child = Command::new(unpack)
        .arg("-dc")
        .arg(path)
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().ok_or_else(|| io::Error::other("no pipe"))?;
    Ok((Box::new(output), Some(child)))
}
