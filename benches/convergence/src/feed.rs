//! From a table to messages on the wire, and to what receivers should make of them.

use std::net::Ipv4Addr;

use bgp_codec::{Asn, Family, FamilySet, NextHop, Nlri, PathAttributes, UpdateWriter, WriteContext, header};

use crate::path::Rule;
use crate::table::{Prefix, Table};

const CONTEXT: WriteContext = WriteContext {
    four_octet_asn: true,
    max_message: header::MAX_MESSAGE,
    add_path: FamilySet::EMPTY,
};

/// What one sender announces: attributes for each group of the table.
pub struct Feed {
    pub attributes: Vec<PathAttributes>,
    pub next_hop: Ipv4Addr,
}

impl Feed {
    /// UPDATEs for some groups of a table.
    pub fn encode(&self, table: &Table, groups: impl IntoIterator<Item = usize>) -> Vec<u8> {
        let mut octets = Vec::new();
        for group in groups {
            let prefixes = &table.prefixes[table.groups[group].clone()];
            announce(&self.attributes[group], self.next_hop, prefixes, &mut octets);
        }
        octets
    }

    /// The number of a group's path at a receiver, behind `prepended` if the daemon puts an AS in front.
    pub fn path(&self, group: usize, prepended: Option<u32>, rule: &Rule) -> u32 {
        let mut attributes = self.attributes[group].clone();
        if let Some(asn) = prepended {
            attributes.as_path.prepend(Asn(asn), 1);
        }
        path(
            &attributes,
            self.next_hop,
            &Rule {
                prepend: None,
                ..rule.clone()
            },
        )
    }
}

/// The number of a path.
pub fn path(attributes: &PathAttributes, next_hop: Ipv4Addr, rule: &Rule) -> u32 {
    let mut block = vec![0x40, 3, 4];
    block.extend_from_slice(&next_hop.octets());
    attributes.encode_canonical(&mut block);
    rule.path(&block)
}

/// Appends UPDATEs that announce prefixes.
pub fn announce(attributes: &PathAttributes, next_hop: Ipv4Addr, prefixes: &[Prefix], out: &mut Vec<u8>) {
    let nlri = prefixes.iter().map(|prefix| Nlri::new(prefix.net()));
    let mut writer = UpdateWriter::new(out, CONTEXT);
    let written = writer.announce(Family::IPV4_UNICAST, attributes, NextHop::V4(next_hop), nlri);
    written.expect("attributes of a table fit a message");
}

/// Appends UPDATEs that withdraw prefixes.
pub fn withdraw(prefixes: &[Prefix], out: &mut Vec<u8>) {
    let nlri = prefixes.iter().map(|prefix| Nlri::new(prefix.net()));
    let written = UpdateWriter::new(out, CONTEXT).withdraw(Family::IPV4_UNICAST, nlri);
    written.expect("prefixes fit a message");
}

/// Appends the End-of-RIB of IPv4 unicast.
pub fn end_of_rib(out: &mut Vec<u8>) {
    UpdateWriter::new(out, CONTEXT).end_of_rib(Family::IPV4_UNICAST);
}
