//! TABLE_DUMP_V2 (RFC 6396 §4.3, RFC 8050 §4).

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{Entry, MrtError, TABLE_DUMP_V2, route_attributes, route_next_hop, write_address, write_record};
use crate::asn::Asn;
use crate::attribute::{AttributeErrors, Attributes, code};
use crate::family::{Afi, Family, Safi};
use crate::next_hop::NextHop;
use crate::nlri::{Nlri, NlriBlock, NlriError, WirePrefix, WriteNlri};
use crate::reader::Reader;
use crate::update::UpdateError;

const PEER_INDEX_TABLE: u16 = 1;
/// What the length of a route's attributes leaves beside the longest next hop.
const MAX_ATTRIBUTES: usize = 65_535 - 36;

pub(super) fn parse(subtype: u16, body: &[u8]) -> Result<Entry<'_>, MrtError> {
    let (afi, safi) = match subtype {
        PEER_INDEX_TABLE => return peer_index_table(body).ok_or(MrtError::Truncated),
        2 | 8 => (Afi::IPV4, Safi::UNICAST),
        3 | 9 => (Afi::IPV4, Safi::MULTICAST),
        4 | 10 => (Afi::IPV6, Safi::UNICAST),
        5 | 11 => (Afi::IPV6, Safi::MULTICAST),
        6 | 12 => return rib_generic(subtype == 12, body).map(Entry::RibGeneric),
        _ => return Ok(Entry::Other),
    };
    let mut reader = Reader::new(body);
    let sequence = reader.u32().ok_or(MrtError::Truncated)?;
    let (prefix, rest) = match afi {
        Afi::IPV4 => prefix::<Ipv4Net>(reader.rest())?,
        _ => prefix::<Ipv6Net>(reader.rest())?,
    };
    let mut reader = Reader::new(rest);
    let count = reader.u16().ok_or(MrtError::Truncated)?;
    let rib = Rib {
        sequence,
        family: Family::new(afi, safi),
        prefix,
        add_path: subtype >= 8,
        count,
        entries: reader.rest(),
    };
    Ok(Entry::Rib(rib))
}

/// RFC 6396 §4.3.3; RFC 8050 §4.2 has the path identifier in the NLRI and leaves the routes as they are.
fn rib_generic(add_path: bool, body: &[u8]) -> Result<RibGeneric<'_>, MrtError> {
    let mut reader = Reader::new(body);
    let sequence = reader.u32().ok_or(MrtError::Truncated)?;
    let afi = Afi(reader.u16().ok_or(MrtError::Truncated)?);
    let safi = Safi(reader.u8().ok_or(MrtError::Truncated)?);
    let block = NlriBlock::new(Family::new(afi, safi), reader.rest(), add_path);
    let mut items = block.opaque();
    let nlri = items
        .next()
        .unwrap_or(Err(NlriError::Truncated))
        .map_err(|error| match error {
            NlriError::Family => MrtError::AddressFamily(afi.0),
            NlriError::PrefixLength(len) | NlriError::Form(len) => MrtError::PrefixLength(len),
            NlriError::Truncated => MrtError::Truncated,
        })?;
    let mut reader = Reader::new(items.rest());
    Ok(RibGeneric {
        sequence,
        family: block.family,
        nlri,
        add_path,
        count: reader.u16().ok_or(MrtError::Truncated)?,
        entries: reader.rest(),
    })
}

fn prefix<P: WirePrefix + Into<IpNet>>(bytes: &[u8]) -> Result<(IpNet, &[u8]), MrtError> {
    match P::split_from(bytes) {
        Ok((prefix, rest)) => Ok((prefix.into(), rest)),
        Err(NlriError::PrefixLength(len)) => Err(MrtError::PrefixLength(len)),
        Err(NlriError::Truncated | NlriError::Family | NlriError::Form(_)) => Err(MrtError::Truncated),
    }
}

fn peer_index_table(body: &[u8]) -> Option<Entry<'_>> {
    let mut reader = Reader::new(body);
    let collector = Ipv4Addr::from(reader.u32()?);
    let name_len = reader.u16()?;
    let view_name = reader.take(usize::from(name_len))?;
    let count = reader.u16()?;
    Some(Entry::PeerIndexTable(PeerIndexTable {
        collector,
        view_name,
        count,
        peers: reader.rest(),
    }))
}

/// The peers of a table dump; routes name them by index.
///
/// ```
/// # use bgp_codec::{Asn, NextHop, mrt::{Entry, PeerEntry, PeerIndexTable, Record, RibEntry, RibGenericWriter, RibWriter}};
/// # let peers = [PeerEntry { bgp_identifier: [192, 0, 2, 1].into(), address: [192, 0, 2, 1].into(), asn: Asn(64_512) }];
/// # let entry = RibEntry { peer_index: 0, originated_s: 7, path_id: 0, raw_attributes: &[0x40, 1, 1, 0] };
/// # let next_hop = NextHop::V4([192, 0, 2, 1].into());
/// # let writer = RibWriter { sequence: 0, prefix: "192.0.2.0/24".parse()?, add_path: false };
/// # let (mut table_file, mut rib_file) = (Vec::new(), Vec::new());
/// # PeerIndexTable::encode([192, 0, 2, 9].into(), &peers, 0, &mut table_file);
/// # writer.encode(&[(entry, next_hop)], 0, &mut rib_file);
/// # let (table, rib) = (Record::split(&table_file)?.ok_or("")?.0, Record::split(&rib_file)?.ok_or("")?.0);
/// # let (Entry::PeerIndexTable(table), Entry::Rib(rib)) = (table.parse()?, rib.parse()?) else { return Err("".into()) };
/// assert_eq!((table.collector.to_string().as_str(), table.view_name), ("192.0.2.9", &[][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerIndexTable<'a> {
    /// BGP Identifier of who recorded.
    pub collector: Ipv4Addr,
    /// The name of the view, often empty.
    pub view_name: &'a [u8],
    count: u16,
    peers: &'a [u8],
}

/// A peer of a table dump.
///
/// ```
/// # use bgp_codec::{Asn, NextHop, mrt::{Entry, PeerEntry, PeerIndexTable, Record, RibEntry, RibGenericWriter, RibWriter}};
/// # let peers = [PeerEntry { bgp_identifier: [192, 0, 2, 1].into(), address: [192, 0, 2, 1].into(), asn: Asn(64_512) }];
/// # let entry = RibEntry { peer_index: 0, originated_s: 7, path_id: 0, raw_attributes: &[0x40, 1, 1, 0] };
/// # let next_hop = NextHop::V4([192, 0, 2, 1].into());
/// # let writer = RibWriter { sequence: 0, prefix: "192.0.2.0/24".parse()?, add_path: false };
/// # let (mut table_file, mut rib_file) = (Vec::new(), Vec::new());
/// # PeerIndexTable::encode([192, 0, 2, 9].into(), &peers, 0, &mut table_file);
/// # writer.encode(&[(entry, next_hop)], 0, &mut rib_file);
/// # let (table, rib) = (Record::split(&table_file)?.ok_or("")?.0, Record::split(&rib_file)?.ok_or("")?.0);
/// # let (Entry::PeerIndexTable(table), Entry::Rib(rib)) = (table.parse()?, rib.parse()?) else { return Err("".into()) };
/// assert_eq!(table.peers().next().ok_or("no peer")??, peers[0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PeerEntry {
    /// Its BGP Identifier.
    pub bgp_identifier: Ipv4Addr,
    /// Its address.
    pub address: IpAddr,
    /// Its AS.
    pub asn: Asn,
}

impl<'a> PeerIndexTable<'a> {
    /// The peers in the order of their indexes.
    ///
    /// ```
    /// # use bgp_codec::{Asn, NextHop, mrt::{Entry, PeerEntry, PeerIndexTable, Record, RibEntry, RibGenericWriter, RibWriter}};
    /// # let peers = [PeerEntry { bgp_identifier: [192, 0, 2, 1].into(), address: [192, 0, 2, 1].into(), asn: Asn(64_512) }];
    /// # let entry = RibEntry { peer_index: 0, originated_s: 7, path_id: 0, raw_attributes: &[0x40, 1, 1, 0] };
    /// # let next_hop = NextHop::V4([192, 0, 2, 1].into());
    /// # let writer = RibWriter { sequence: 0, prefix: "192.0.2.0/24".parse()?, add_path: false };
    /// # let (mut table_file, mut rib_file) = (Vec::new(), Vec::new());
    /// # PeerIndexTable::encode([192, 0, 2, 9].into(), &peers, 0, &mut table_file);
    /// # writer.encode(&[(entry, next_hop)], 0, &mut rib_file);
    /// # let (table, rib) = (Record::split(&table_file)?.ok_or("")?.0, Record::split(&rib_file)?.ok_or("")?.0);
    /// # let (Entry::PeerIndexTable(table), Entry::Rib(rib)) = (table.parse()?, rib.parse()?) else { return Err("".into()) };
    /// assert_eq!(table.peers().count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn peers(&self) -> Peers<'a> {
        Peers {
            reader: Reader::new(self.peers),
            left: self.count,
        }
    }

    /// Appends a record.
    ///
    /// ```
    /// use bgp_codec::{Asn, mrt::{PeerEntry, PeerIndexTable}};
    /// let peer = PeerEntry { bgp_identifier: [192, 0, 2, 1].into(), address: [192, 0, 2, 1].into(), asn: Asn(64_512) };
    /// let mut file = Vec::new();
    /// PeerIndexTable::encode([192, 0, 2, 9].into(), &[peer], 1_700_000_000, &mut file);
    /// assert_eq!(file.len(), 12 + 8 + 13);
    /// ```
    pub fn encode(collector: Ipv4Addr, peers: &[PeerEntry], timestamp_s: u32, out: &mut Vec<u8>) {
        write_record((timestamp_s, TABLE_DUMP_V2, PEER_INDEX_TABLE), out, |out| {
            out.extend_from_slice(&collector.octets());
            out.extend_from_slice(&[0, 0]);
            let count = u16::try_from(peers.len()).unwrap_or(u16::MAX);
            out.extend_from_slice(&count.to_be_bytes());
            for peer in peers.iter().take(usize::from(count)) {
                // The low bits say that the address is IPv6 and that the AS number has four octets.
                out.push(if peer.address.is_ipv4() { 2 } else { 3 });
                out.extend_from_slice(&peer.bgp_identifier.octets());
                write_address(peer.address, out);
                out.extend_from_slice(&peer.asn.0.to_be_bytes());
            }
        });
    }
}

/// Iterator over the peers of a [`PeerIndexTable`]; ends after the first error.
///
/// ```
/// # use bgp_codec::{Asn, NextHop, mrt::{Entry, PeerEntry, PeerIndexTable, Record, RibEntry, RibGenericWriter, RibWriter}};
/// # let peers = [PeerEntry { bgp_identifier: [192, 0, 2, 1].into(), address: [192, 0, 2, 1].into(), asn: Asn(64_512) }];
/// # let entry = RibEntry { peer_index: 0, originated_s: 7, path_id: 0, raw_attributes: &[0x40, 1, 1, 0] };
/// # let next_hop = NextHop::V4([192, 0, 2, 1].into());
/// # let writer = RibWriter { sequence: 0, prefix: "192.0.2.0/24".parse()?, add_path: false };
/// # let (mut table_file, mut rib_file) = (Vec::new(), Vec::new());
/// # PeerIndexTable::encode([192, 0, 2, 9].into(), &peers, 0, &mut table_file);
/// # writer.encode(&[(entry, next_hop)], 0, &mut rib_file);
/// # let (table, rib) = (Record::split(&table_file)?.ok_or("")?.0, Record::split(&rib_file)?.ok_or("")?.0);
/// # let (Entry::PeerIndexTable(table), Entry::Rib(rib)) = (table.parse()?, rib.parse()?) else { return Err("".into()) };
/// for peer in table.peers() {
///     assert_eq!(peer?.asn, Asn(64_512));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Peers<'a> {
    reader: Reader<'a>,
    left: u16,
}

impl Iterator for Peers<'_> {
    type Item = Result<PeerEntry, MrtError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let entry = self.entry().ok_or(MrtError::Truncated);
        if entry.is_err() {
            self.left = 0;
        }
        Some(entry)
    }
}

impl Peers<'_> {
    fn entry(&mut self) -> Option<PeerEntry> {
        let kind = self.reader.u8()?;
        let bgp_identifier = Ipv4Addr::from(self.reader.u32()?);
        let address = match kind & 1 {
            0 => IpAddr::from(self.reader.array::<4>()?),
            _ => IpAddr::from(self.reader.array::<16>()?),
        };
        let asn = match kind & 2 {
            0 => Asn::from(self.reader.u16()?),
            _ => Asn(self.reader.u32()?),
        };
        Some(PeerEntry {
            bgp_identifier,
            address,
            asn,
        })
    }
}

/// One prefix of a table dump and its routes.
///
/// ```
/// # use bgp_codec::{Asn, NextHop, mrt::{Entry, PeerEntry, PeerIndexTable, Record, RibEntry, RibGenericWriter, RibWriter}};
/// # let peers = [PeerEntry { bgp_identifier: [192, 0, 2, 1].into(), address: [192, 0, 2, 1].into(), asn: Asn(64_512) }];
/// # let entry = RibEntry { peer_index: 0, originated_s: 7, path_id: 0, raw_attributes: &[0x40, 1, 1, 0] };
/// # let next_hop = NextHop::V4([192, 0, 2, 1].into());
/// # let writer = RibWriter { sequence: 0, prefix: "192.0.2.0/24".parse()?, add_path: false };
/// # let (mut table_file, mut rib_file) = (Vec::new(), Vec::new());
/// # PeerIndexTable::encode([192, 0, 2, 9].into(), &peers, 0, &mut table_file);
/// # writer.encode(&[(entry, next_hop)], 0, &mut rib_file);
/// # let (table, rib) = (Record::split(&table_file)?.ok_or("")?.0, Record::split(&rib_file)?.ok_or("")?.0);
/// # let (Entry::PeerIndexTable(table), Entry::Rib(rib)) = (table.parse()?, rib.parse()?) else { return Err("".into()) };
/// assert_eq!((rib.prefix.to_string().as_str(), rib.add_path), ("192.0.2.0/24", false));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rib<'a> {
    /// Number of the record in the dump.
    pub sequence: u32,
    /// The family.
    pub family: Family,
    /// The prefix.
    pub prefix: IpNet,
    /// Whether the routes have path identifiers.
    pub add_path: bool,
    count: u16,
    entries: &'a [u8],
}

impl<'a> Rib<'a> {
    /// The routes.
    ///
    /// ```
    /// # use bgp_codec::{Asn, NextHop, mrt::{Entry, PeerEntry, PeerIndexTable, Record, RibEntry, RibGenericWriter, RibWriter}};
    /// # let peers = [PeerEntry { bgp_identifier: [192, 0, 2, 1].into(), address: [192, 0, 2, 1].into(), asn: Asn(64_512) }];
    /// # let entry = RibEntry { peer_index: 0, originated_s: 7, path_id: 0, raw_attributes: &[0x40, 1, 1, 0] };
    /// # let next_hop = NextHop::V4([192, 0, 2, 1].into());
    /// # let writer = RibWriter { sequence: 0, prefix: "192.0.2.0/24".parse()?, add_path: false };
    /// # let (mut table_file, mut rib_file) = (Vec::new(), Vec::new());
    /// # PeerIndexTable::encode([192, 0, 2, 9].into(), &peers, 0, &mut table_file);
    /// # writer.encode(&[(entry, next_hop)], 0, &mut rib_file);
    /// # let (table, rib) = (Record::split(&table_file)?.ok_or("")?.0, Record::split(&rib_file)?.ok_or("")?.0);
    /// # let (Entry::PeerIndexTable(table), Entry::Rib(rib)) = (table.parse()?, rib.parse()?) else { return Err("".into()) };
    /// assert_eq!(rib.entries().count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn entries(&self) -> Entries<'a> {
        Entries {
            reader: Reader::new(self.entries),
            left: self.count,
            add_path: self.add_path,
        }
    }
}

/// One item of a family without a subtype of its own, and its routes.
///
/// ```
/// use bgp_codec::mrt::{Entry, Record, RibGenericWriter};
/// use bgp_codec::{Family, Nlri};
/// let item = Nlri { path_id: 7, prefix: &[3, 3, 0x81, 6][..] };
/// let writer = RibGenericWriter { sequence: 1, family: Family::IPV4_FLOWSPEC, nlri: item, add_path: true };
/// let mut file = Vec::new();
/// assert!(writer.encode(&[], 0, &mut file));
/// let (record, _) = Record::split(&file)?.ok_or("no record")?;
/// let Entry::RibGeneric(rib) = record.parse()? else { return Err("another record".into()) };
/// assert_eq!((rib.family, rib.nlri, rib.entries().count()), (Family::IPV4_FLOWSPEC, item, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RibGeneric<'a> {
    /// Number of the record in the dump.
    pub sequence: u32,
    /// The family.
    pub family: Family,
    /// The item as octets, its own length field included, and the path identifier that all its routes share.
    pub nlri: Nlri<&'a [u8]>,
    /// Whether there is a path identifier, RFC 8050 §4.2. GoBGP and OpenBGPD write it into each route instead, against
    /// the RFC; such records are not read.
    pub add_path: bool,
    count: u16,
    entries: &'a [u8],
}

impl<'a> RibGeneric<'a> {
    /// The routes; their own `path_id` is 0.
    ///
    /// ```
    /// # use bgp_codec::{Family, Nlri, mrt::{Entry, Record, RibEntry, RibGenericWriter}};
    /// # let entry = RibEntry { peer_index: 0, originated_s: 7, path_id: 0, raw_attributes: &[0x40, 1, 1, 0] };
    /// let writer = RibGenericWriter { sequence: 0, family: Family::ROUTE_TARGET, nlri: Nlri::new(&[0]), add_path: false };
    /// let mut file = Vec::new();
    /// assert!(writer.encode(&[entry], 0, &mut file));
    /// let (record, _) = Record::split(&file)?.ok_or("no record")?;
    /// let Entry::RibGeneric(rib) = record.parse()? else { return Err("another record".into()) };
    /// assert_eq!(rib.entries().next().ok_or("no route")??, entry);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn entries(&self) -> Entries<'a> {
        Entries {
            reader: Reader::new(self.entries),
            left: self.count,
            add_path: false,
        }
    }
}

/// One route of a table dump.
///
/// ```
/// # use bgp_codec::{Asn, NextHop, mrt::{Entry, PeerEntry, PeerIndexTable, Record, RibEntry, RibGenericWriter, RibWriter}};
/// # let peers = [PeerEntry { bgp_identifier: [192, 0, 2, 1].into(), address: [192, 0, 2, 1].into(), asn: Asn(64_512) }];
/// # let entry = RibEntry { peer_index: 0, originated_s: 7, path_id: 0, raw_attributes: &[0x40, 1, 1, 0] };
/// # let next_hop = NextHop::V4([192, 0, 2, 1].into());
/// # let writer = RibWriter { sequence: 0, prefix: "192.0.2.0/24".parse()?, add_path: false };
/// # let (mut table_file, mut rib_file) = (Vec::new(), Vec::new());
/// # PeerIndexTable::encode([192, 0, 2, 9].into(), &peers, 0, &mut table_file);
/// # writer.encode(&[(entry, next_hop)], 0, &mut rib_file);
/// # let (table, rib) = (Record::split(&table_file)?.ok_or("")?.0, Record::split(&rib_file)?.ok_or("")?.0);
/// # let (Entry::PeerIndexTable(table), Entry::Rib(rib)) = (table.parse()?, rib.parse()?) else { return Err("".into()) };
/// assert_eq!(rib.entries().next().ok_or("no route")??.originated_s, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RibEntry<'a> {
    /// Index of the peer in the [`PeerIndexTable`].
    pub peer_index: u16,
    /// When it was received, in seconds since 1970.
    pub originated_s: u32,
    /// Path identifier, 0 without Add-Path.
    pub path_id: u32,
    /// The attribute block: AS numbers of four octets, MP_REACH_NLRI cut down to its next hop.
    pub raw_attributes: &'a [u8],
}

impl<'a> RibEntry<'a> {
    /// Reads the attributes; [`RibEntry::next_hop`] knows what is left of MP_REACH_NLRI.
    ///
    /// ```
    /// # use bgp_codec::{Asn, NextHop, mrt::{Entry, PeerEntry, PeerIndexTable, Record, RibEntry, RibGenericWriter, RibWriter}};
    /// # let peers = [PeerEntry { bgp_identifier: [192, 0, 2, 1].into(), address: [192, 0, 2, 1].into(), asn: Asn(64_512) }];
    /// # let entry = RibEntry { peer_index: 0, originated_s: 7, path_id: 0, raw_attributes: &[0x40, 1, 1, 0] };
    /// # let next_hop = NextHop::V4([192, 0, 2, 1].into());
    /// # let writer = RibWriter { sequence: 0, prefix: "192.0.2.0/24".parse()?, add_path: false };
    /// # let (mut table_file, mut rib_file) = (Vec::new(), Vec::new());
    /// # PeerIndexTable::encode([192, 0, 2, 9].into(), &peers, 0, &mut table_file);
    /// # writer.encode(&[(entry, next_hop)], 0, &mut rib_file);
    /// # let (table, rib) = (Record::split(&table_file)?.ok_or("")?.0, Record::split(&rib_file)?.ok_or("")?.0);
    /// # let (Entry::PeerIndexTable(table), Entry::Rib(rib)) = (table.parse()?, rib.parse()?) else { return Err("".into()) };
    /// let (attributes, errors) = rib.entries().next().ok_or("no route")??.attributes()?;
    /// assert_eq!((attributes.origin(), errors.treatment()), (Some(bgp_codec::Origin::Igp), None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`UpdateError`] as for an UPDATE.
    pub fn attributes(&self) -> Result<(Attributes<'a>, AttributeErrors), UpdateError> {
        route_attributes(self.raw_attributes, true)
    }

    /// The next hop, from NEXT_HOP or from MP_REACH_NLRI in either form: whole, or cut down (RFC 6396 §4.3.4).
    ///
    /// ```
    /// # use bgp_codec::{Asn, NextHop, mrt::{Entry, PeerEntry, PeerIndexTable, Record, RibEntry, RibGenericWriter, RibWriter}};
    /// # let peers = [PeerEntry { bgp_identifier: [192, 0, 2, 1].into(), address: [192, 0, 2, 1].into(), asn: Asn(64_512) }];
    /// # let entry = RibEntry { peer_index: 0, originated_s: 7, path_id: 0, raw_attributes: &[0x40, 1, 1, 0] };
    /// # let next_hop = NextHop::V4([192, 0, 2, 1].into());
    /// # let writer = RibWriter { sequence: 0, prefix: "192.0.2.0/24".parse()?, add_path: false };
    /// # let (mut table_file, mut rib_file) = (Vec::new(), Vec::new());
    /// # PeerIndexTable::encode([192, 0, 2, 9].into(), &peers, 0, &mut table_file);
    /// # writer.encode(&[(entry, next_hop)], 0, &mut rib_file);
    /// # let (table, rib) = (Record::split(&table_file)?.ok_or("")?.0, Record::split(&rib_file)?.ok_or("")?.0);
    /// # let (Entry::PeerIndexTable(table), Entry::Rib(rib)) = (table.parse()?, rib.parse()?) else { return Err("".into()) };
    /// assert_eq!(rib.entries().next().ok_or("no route")??.next_hop(), Some(next_hop));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn next_hop(&self) -> Option<NextHop> {
        route_next_hop(self.raw_attributes)
    }
}

/// Iterator over the routes of a [`Rib`]; ends after the first error.
///
/// ```
/// # use bgp_codec::{Asn, NextHop, mrt::{Entry, PeerEntry, PeerIndexTable, Record, RibEntry, RibGenericWriter, RibWriter}};
/// # let peers = [PeerEntry { bgp_identifier: [192, 0, 2, 1].into(), address: [192, 0, 2, 1].into(), asn: Asn(64_512) }];
/// # let entry = RibEntry { peer_index: 0, originated_s: 7, path_id: 0, raw_attributes: &[0x40, 1, 1, 0] };
/// # let next_hop = NextHop::V4([192, 0, 2, 1].into());
/// # let writer = RibWriter { sequence: 0, prefix: "192.0.2.0/24".parse()?, add_path: false };
/// # let (mut table_file, mut rib_file) = (Vec::new(), Vec::new());
/// # PeerIndexTable::encode([192, 0, 2, 9].into(), &peers, 0, &mut table_file);
/// # writer.encode(&[(entry, next_hop)], 0, &mut rib_file);
/// # let (table, rib) = (Record::split(&table_file)?.ok_or("")?.0, Record::split(&rib_file)?.ok_or("")?.0);
/// # let (Entry::PeerIndexTable(table), Entry::Rib(rib)) = (table.parse()?, rib.parse()?) else { return Err("".into()) };
/// for entry in rib.entries() {
///     assert_eq!(peers[usize::from(entry?.peer_index)].asn, Asn(64_512));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    reader: Reader<'a>,
    left: u16,
    add_path: bool,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<RibEntry<'a>, MrtError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let entry = self.entry().ok_or(MrtError::Truncated);
        if entry.is_err() {
            self.left = 0;
        }
        Some(entry)
    }
}

impl<'a> Entries<'a> {
    fn entry(&mut self) -> Option<RibEntry<'a>> {
        let peer_index = self.reader.u16()?;
        let originated_s = self.reader.u32()?;
        let path_id = if self.add_path { self.reader.u32()? } else { 0 };
        let len = self.reader.u16()?;
        let raw_attributes = self.reader.take(usize::from(len))?;
        Some(RibEntry {
            peer_index,
            originated_s,
            path_id,
            raw_attributes,
        })
    }
}

/// Writes the record of one item of a family without a subtype of its own.
///
/// ```
/// # use bgp_codec::{Family, Nlri, mrt::{Entry, Record, RibEntry, RibGenericWriter}};
/// # let entry = RibEntry { peer_index: 0, originated_s: 7, path_id: 0, raw_attributes: &[0x40, 1, 1, 0] };
/// let writer = RibGenericWriter { sequence: 0, family: Family::ROUTE_TARGET, nlri: Nlri::new(&[0]), add_path: false };
/// let mut file = Vec::new();
/// assert!(writer.encode(&[entry], 0, &mut file));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RibGenericWriter<'a> {
    /// Number of the record in the dump.
    pub sequence: u32,
    /// The family.
    pub family: Family,
    /// The item.
    pub nlri: Nlri<&'a [u8]>,
    /// Whether its path identifier is written.
    pub add_path: bool,
}

impl RibGenericWriter<'_> {
    /// Appends a record; the attributes of the routes are written as they are, MP_REACH_NLRI with the next hop among
    /// them. `false`, and nothing written, if the item is not of the family.
    ///
    /// ```
    /// # use bgp_codec::{Family, Nlri, mrt::{Entry, Record, RibEntry, RibGenericWriter}};
    /// # let entry = RibEntry { peer_index: 0, originated_s: 7, path_id: 0, raw_attributes: &[0x40, 1, 1, 0] };
    /// let writer = RibGenericWriter { sequence: 0, family: Family::ROUTE_TARGET, nlri: Nlri::new(&[0]), add_path: false };
    /// let mut file = Vec::new();
    /// assert!(writer.encode(&[entry], 0, &mut file));
    /// // Octets that are no item of the family are not written.
    /// assert!(!RibGenericWriter { nlri: Nlri::new(&[9]), ..writer }.encode(&[entry], 0, &mut file));
    /// ```
    #[must_use]
    pub fn encode(&self, routes: &[RibEntry<'_>], timestamp_s: u32, out: &mut Vec<u8>) -> bool {
        let mut nlri = Vec::new();
        if !self.nlri.write(self.family, self.add_path, &mut nlri) {
            return false;
        }
        let subtype = if self.add_path { 12 } else { 6 };
        write_record((timestamp_s, TABLE_DUMP_V2, subtype), out, |out| {
            out.extend_from_slice(&self.sequence.to_be_bytes());
            out.extend_from_slice(&self.family.afi.0.to_be_bytes());
            out.push(self.family.safi.0);
            out.extend_from_slice(&nlri);
            let fits = |route: &&RibEntry<'_>| u16::try_from(route.raw_attributes.len()).is_ok();
            let routes = || routes.iter().filter(fits).take(usize::from(u16::MAX));
            out.extend_from_slice(&u16::try_from(routes().count()).unwrap_or(u16::MAX).to_be_bytes());
            for route in routes() {
                out.extend_from_slice(&route.peer_index.to_be_bytes());
                out.extend_from_slice(&route.originated_s.to_be_bytes());
                let len = u16::try_from(route.raw_attributes.len()).unwrap_or(u16::MAX);
                out.extend_from_slice(&len.to_be_bytes());
                out.extend_from_slice(route.raw_attributes);
            }
        });
        true
    }
}

/// Writes the record of one prefix.
///
/// ```
/// use bgp_codec::{NextHop, PathAttributes, mrt::{RibEntry, RibWriter}};
/// let mut block = Vec::new();
/// PathAttributes::default().encode_canonical(&mut block);
/// let entry = RibEntry { peer_index: 0, originated_s: 0, path_id: 7, raw_attributes: &block };
/// let writer = RibWriter { sequence: 0, prefix: "192.0.2.0/24".parse()?, add_path: true };
/// let mut file = Vec::new();
/// writer.encode(&[(entry, NextHop::V4([192, 0, 2, 1].into()))], 0, &mut file);
/// assert_eq!(file[4..8], [0, 13, 0, 8]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RibWriter {
    /// Number of the record in the dump.
    pub sequence: u32,
    /// The prefix; its family is unicast.
    pub prefix: IpNet,
    /// Whether the routes have path identifiers.
    pub add_path: bool,
}

impl RibWriter {
    /// Appends a record with canonical blocks as attributes, each with its next hop. Left out are routes whose
    /// attributes exceed what a record can say.
    ///
    /// ```
    /// use bgp_codec::{NextHop, PathAttributes, mrt::{RibEntry, RibWriter}};
    /// let mut block = Vec::new();
    /// PathAttributes::default().encode_canonical(&mut block);
    /// let entry = RibEntry { peer_index: 0, originated_s: 0, path_id: 7, raw_attributes: &block };
    /// let writer = RibWriter { sequence: 0, prefix: "192.0.2.0/24".parse()?, add_path: true };
    /// let mut file = Vec::new();
    /// writer.encode(&[(entry, NextHop::V4([192, 0, 2, 1].into()))], 0, &mut file);
    /// assert_eq!(file[4..8], [0, 13, 0, 8]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn encode(&self, routes: &[(RibEntry<'_>, NextHop)], timestamp_s: u32, out: &mut Vec<u8>) {
        let subtype = match (self.prefix, self.add_path) {
            (IpNet::V4(_), false) => 2,
            (IpNet::V6(_), false) => 4,
            (IpNet::V4(_), true) => 8,
            (IpNet::V6(_), true) => 10,
        };
        write_record((timestamp_s, TABLE_DUMP_V2, subtype), out, |out| {
            out.extend_from_slice(&self.sequence.to_be_bytes());
            match self.prefix {
                IpNet::V4(prefix) => prefix.append_to(out),
                IpNet::V6(prefix) => prefix.append_to(out),
            }
            // Two octets hold the length of a route's attributes, and as many the number of routes.
            let fits = |(route, _): &&(RibEntry<'_>, NextHop)| route.raw_attributes.len() <= MAX_ATTRIBUTES;
            let routes = || routes.iter().filter(fits).take(usize::from(u16::MAX));
            out.extend_from_slice(&u16::try_from(routes().count()).unwrap_or(u16::MAX).to_be_bytes());
            for (route, next_hop) in routes() {
                self.encode_route(route, *next_hop, out);
            }
        });
    }

    fn encode_route(&self, route: &RibEntry<'_>, next_hop: NextHop, out: &mut Vec<u8>) {
        out.extend_from_slice(&route.peer_index.to_be_bytes());
        out.extend_from_slice(&route.originated_s.to_be_bytes());
        if self.add_path {
            out.extend_from_slice(&route.path_id.to_be_bytes());
        }
        let mut hop = Vec::with_capacity(36);
        match next_hop {
            NextHop::V4(address) => {
                hop.extend_from_slice(&[0x40, code::NEXT_HOP, 4]);
                hop.extend_from_slice(&address.octets());
            }
            NextHop::V6(_) | NextHop::V6WithLinkLocal { .. } => {
                let len = u8::try_from(next_hop.wire_len()).unwrap_or_default();
                hop.extend_from_slice(&[0x80, code::MP_REACH_NLRI, len.saturating_add(1), len]);
                next_hop.write(false, &mut hop);
            }
        }
        let len = u16::try_from(route.raw_attributes.len().saturating_add(hop.len())).unwrap_or(u16::MAX);
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(route.raw_attributes);
        out.extend_from_slice(&hop);
    }
}
