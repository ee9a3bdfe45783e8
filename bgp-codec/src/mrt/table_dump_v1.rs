//! TABLE_DUMP (RFC 6396 §4.2): the older form of a table dump, one record a route.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{MrtError, TABLE_DUMP, address, route_attributes, route_next_hop, write_address, write_record};
use crate::asn::Asn;
use crate::attribute::{AttributeErrors, Attributes};
use crate::family::Afi;
use crate::next_hop::NextHop;
use crate::nlri;
use crate::reader::Reader;
use crate::update::UpdateError;

/// One route of an older table dump.
///
/// ```
/// use bgp_codec::{Asn, mrt::{Entry, Record, TableDump}};
/// let route = TableDump {
///     view: 0,
///     sequence: 1,
///     prefix: "192.0.2.0/24".parse()?,
///     originated_s: 1_000_000_000,
///     peer: [192, 0, 2, 1].into(),
///     peer_asn: Asn(64_512),
///     four_octet_asn: false,
///     raw_attributes: &[0x40, 1, 1, 0, 0x40, 2, 4, 2, 1, 0xfc, 0, 0x40, 3, 4, 192, 0, 2, 1],
/// };
/// let mut file = Vec::new();
/// route.encode(1_000_000_000, &mut file);
/// let (record, _) = Record::split(&file)?.ok_or("no record")?;
/// assert_eq!(record.parse()?, Entry::TableDump(route));
/// assert_eq!(route.attributes()?.0.as_path().map(|path| path.to_string()).as_deref(), Some("64512"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TableDump<'a> {
    /// Which of several views, usually 0.
    pub view: u16,
    /// Number of the record in the dump; begins again after 65,535.
    pub sequence: u16,
    /// The prefix; its family is unicast.
    pub prefix: IpNet,
    /// When it was received, in seconds since 1970.
    pub originated_s: u32,
    /// The peer's address, of the same family as the prefix.
    pub peer: IpAddr,
    /// The peer's AS.
    pub peer_asn: Asn,
    /// AS numbers take four octets: not in RFC 6396, but some collectors wrote such records as subtypes 3 and 4.
    pub four_octet_asn: bool,
    /// The attribute block.
    pub raw_attributes: &'a [u8],
}

pub(super) fn parse(subtype: u16, body: &[u8]) -> Result<Option<TableDump<'_>>, MrtError> {
    let (afi, four_octet_asn) = match subtype {
        1 => (Afi::IPV4, false),
        2 => (Afi::IPV6, false),
        3 => (Afi::IPV4, true),
        4 => (Afi::IPV6, true),
        _ => return Ok(None),
    };
    let mut reader = Reader::new(body);
    let view = reader.u16().ok_or(MrtError::Truncated)?;
    let sequence = reader.u16().ok_or(MrtError::Truncated)?;
    let network = address(&mut reader, afi)?;
    let prefix_len = reader.u8().ok_or(MrtError::Truncated)?;
    let prefix = nlri::truncated(network, prefix_len).map_err(|_| MrtError::PrefixLength(prefix_len))?;
    // The status has no meaning, RFC 6396 §4.2.
    let _status = reader.u8().ok_or(MrtError::Truncated)?;
    let originated_s = reader.u32().ok_or(MrtError::Truncated)?;
    let peer = address(&mut reader, afi)?;
    let peer_asn = if four_octet_asn {
        reader.u32().map(Asn)
    } else {
        reader.u16().map(Asn::from)
    };
    let peer_asn = peer_asn.ok_or(MrtError::Truncated)?;
    let len = reader.u16().ok_or(MrtError::Truncated)?;
    let raw_attributes = reader.take(usize::from(len)).ok_or(MrtError::Truncated)?;
    Ok(Some(TableDump {
        view,
        sequence,
        prefix,
        originated_s,
        peer,
        peer_asn,
        four_octet_asn,
        raw_attributes,
    }))
}

impl<'a> TableDump<'a> {
    /// Reads the attributes.
    ///
    /// ```
    /// # use bgp_codec::{Asn, mrt::TableDump};
    /// # let route = TableDump {
    /// #     view: 0,
    /// #     sequence: 1,
    /// #     prefix: "192.0.2.0/24".parse()?,
    /// #     originated_s: 0,
    /// #     peer: [192, 0, 2, 1].into(),
    /// #     peer_asn: Asn(64_512),
    /// #     four_octet_asn: false,
    /// #     raw_attributes: &[0x40, 1, 1, 0],
    /// # };
    /// let (attributes, errors) = route.attributes()?;
    /// assert_eq!((attributes.origin(), errors.treatment()), (Some(bgp_codec::Origin::Igp), None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`UpdateError`] as for an UPDATE.
    pub fn attributes(&self) -> Result<(Attributes<'a>, AttributeErrors), UpdateError> {
        route_attributes(self.raw_attributes, self.four_octet_asn)
    }

    /// The next hop, from NEXT_HOP or MP_REACH_NLRI.
    ///
    /// ```
    /// # use bgp_codec::{Asn, NextHop, mrt::TableDump};
    /// # let route = TableDump {
    /// #     view: 0,
    /// #     sequence: 1,
    /// #     prefix: "192.0.2.0/24".parse()?,
    /// #     originated_s: 0,
    /// #     peer: [192, 0, 2, 1].into(),
    /// #     peer_asn: Asn(64_512),
    /// #     four_octet_asn: false,
    /// #     raw_attributes: &[0x40, 3, 4, 192, 0, 2, 1],
    /// # };
    /// assert_eq!(route.next_hop(), Some(NextHop::V4([192, 0, 2, 1].into())));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn next_hop(&self) -> Option<NextHop> {
        route_next_hop(self.raw_attributes)
    }

    /// Appends a record; attributes beyond 65,535 octets are cut off.
    ///
    /// The peer's address is written in the prefix's family: an IPv4 one as an IPv4-mapped IPv6 address, an IPv6 one as
    /// 0.0.0.0.
    ///
    /// ```
    /// # use bgp_codec::{Asn, mrt::TableDump};
    /// # let route = TableDump {
    /// #     view: 0,
    /// #     sequence: 1,
    /// #     prefix: "192.0.2.0/24".parse()?,
    /// #     originated_s: 0,
    /// #     peer: [192, 0, 2, 1].into(),
    /// #     peer_asn: Asn(64_512),
    /// #     four_octet_asn: false,
    /// #     raw_attributes: &[],
    /// # };
    /// let mut file = Vec::new();
    /// route.encode(1_000_000_000, &mut file);
    /// assert_eq!(file.len(), 12 + 22);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn encode(&self, timestamp_s: u32, out: &mut Vec<u8>) {
        let subtype = match (self.prefix, self.four_octet_asn) {
            (IpNet::V4(_), false) => 1,
            (IpNet::V6(_), false) => 2,
            (IpNet::V4(_), true) => 3,
            (IpNet::V6(_), true) => 4,
        };
        write_record((timestamp_s, TABLE_DUMP, subtype), out, |out| {
            out.extend_from_slice(&self.view.to_be_bytes());
            out.extend_from_slice(&self.sequence.to_be_bytes());
            write_address(self.prefix.addr(), out);
            out.extend_from_slice(&[self.prefix.prefix_len(), 1]);
            out.extend_from_slice(&self.originated_s.to_be_bytes());
            let peer = match (self.prefix, self.peer) {
                (IpNet::V4(_), IpAddr::V6(_)) => IpAddr::from([0, 0, 0, 0]),
                (IpNet::V6(_), IpAddr::V4(peer)) => IpAddr::V6(peer.to_ipv6_mapped()),
                (IpNet::V4(_), IpAddr::V4(_)) | (IpNet::V6(_), IpAddr::V6(_)) => self.peer,
            };
            write_address(peer, out);
            if self.four_octet_asn {
                out.extend_from_slice(&self.peer_asn.0.to_be_bytes());
            } else {
                out.extend_from_slice(&self.peer_asn.to_two_octets().to_be_bytes());
            }
            let len = u16::try_from(self.raw_attributes.len()).unwrap_or(u16::MAX);
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(self.raw_attributes.get(..usize::from(len)).unwrap_or_default());
        });
    }
}
