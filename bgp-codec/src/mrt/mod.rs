//! MRT files (RFC 6396, RFC 8050): recorded messages and table dumps, read one record at a time and written.
//!
//! ```
//! use bgp_codec::Asn;
//! use bgp_codec::mrt::{self, Entry, Record};
//! let mut file = Vec::new();
//! let message = mrt::Message {
//!     session: mrt::Session::new(Asn(64_512), Asn(64_513), [192, 0, 2, 1].into(), [192, 0, 2, 2].into()),
//!     add_path: false,
//!     sent: false,
//!     bytes: &[0xff; 19],
//! };
//! message.encode(1_700_000_000, &mut file);
//!
//! let (record, rest) = Record::split(&file)?.ok_or("no record")?;
//! assert_eq!(record.parse()?, Entry::Message(message));
//! assert!(rest.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::io;
use std::net::IpAddr;

use thiserror::Error;

use crate::asn::Asn;
use crate::attribute::{AttributeErrors, Attributes, RawAttributes, code, walk};
use crate::family::{Afi, FamilySet};
use crate::header::{self, MessageType};
use crate::next_hop::NextHop;
use crate::reader::Reader as Cursor;
use crate::update::{DecodeContext, PeerKind, Update, UpdateError};

mod record_text;
mod route_text;
mod stream;
mod table_dump;
mod table_dump_v1;

pub use record_text::RecordText;
pub use route_text::RouteText;
pub use stream::{Reader, Writer};
pub use table_dump::{
    Entries, PeerEntry, PeerIndexTable, Peers, Rib, RibEntry, RibGeneric, RibGenericWriter, RibWriter,
};
pub use table_dump_v1::TableDump;

/// The longest record that is read: no table dump comes near it.
pub const MAX_RECORD: usize = 16 * 1024 * 1024;
/// Octets of a record's header.
const HEADER_LEN: usize = 12;

const TABLE_DUMP: u16 = 12;
const TABLE_DUMP_V2: u16 = 13;
const BGP4MP: u16 = 16;
const BGP4MP_ET: u16 = 17;

/// What is wrong with a record.
///
/// ```
/// use bgp_codec::mrt::{MrtError, Record};
/// let record = Record { timestamp_s: 0, microseconds: 0, kind: 16, subtype: 4, body: &[] };
/// assert_eq!(record.parse(), Err(MrtError::Truncated));
/// ```
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum MrtError {
    /// The record claims more octets than [`MAX_RECORD`].
    #[error("record of {0} octets")]
    TooLong(u32),
    /// The record ends inside a field.
    #[error("record ends inside a field")]
    Truncated,
    /// Neither IPv4 nor IPv6.
    #[error("address family {0} is not known")]
    AddressFamily(u16),
    /// A prefix longer than its address.
    #[error("prefix length {0} is too long")]
    PrefixLength(u8),
}

/// One record, its body unread.
///
/// ```
/// # use bgp_codec::{Asn, mrt::{self, Entry, MrtError, Record}};
/// # let session = mrt::Session::new(Asn(64_512), Asn(64_513), [192, 0, 2, 1].into(), [192, 0, 2, 2].into());
/// # let message = mrt::Message { session, add_path: false, sent: false, bytes: &[0xff; 19] };
/// # let change = mrt::StateChange { session, from: 5, to: 6 };
/// # let mut file = Vec::<u8>::new();
/// change.encode(1_700_000_000, &mut file);
/// let (record, _) = Record::split(&file)?.ok_or("no record")?;
/// assert_eq!((record.timestamp_s, record.kind, record.subtype), (1_700_000_000, 16, 5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Record<'a> {
    /// When it was recorded, in seconds since 1970.
    pub timestamp_s: u32,
    /// Microseconds of the second, in the extended form.
    pub microseconds: u32,
    /// Type, RFC 6396 §4.
    pub kind: u16,
    /// Subtype, depends on the type.
    pub subtype: u16,
    /// What follows the header.
    pub body: &'a [u8],
}

/// The body of a record.
///
/// ```
/// # use bgp_codec::{Asn, mrt::{self, Entry, MrtError, Record}};
/// # let session = mrt::Session::new(Asn(64_512), Asn(64_513), [192, 0, 2, 1].into(), [192, 0, 2, 2].into());
/// # let message = mrt::Message { session, add_path: false, sent: false, bytes: &[0xff; 19] };
/// # let change = mrt::StateChange { session, from: 5, to: 6 };
/// # let mut file = Vec::<u8>::new();
/// change.encode(0, &mut file);
/// let (record, _) = Record::split(&file)?.ok_or("no record")?;
/// assert_eq!(record.parse()?, Entry::StateChange(change));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Entry<'a> {
    /// The peers that the other records of a table dump refer to.
    PeerIndexTable(PeerIndexTable<'a>),
    /// One prefix and its routes.
    Rib(Rib<'a>),
    /// One item of another family and its routes.
    RibGeneric(RibGeneric<'a>),
    /// One route of an older table dump.
    TableDump(TableDump<'a>),
    /// A BGP message.
    Message(Message<'a>),
    /// A session went from one state to another.
    StateChange(StateChange),
    /// Any other record.
    Other,
}

/// The two ends of a session.
///
/// ```
/// # use bgp_codec::{Asn, mrt::{self, Entry, MrtError, Record}};
/// # let session = mrt::Session::new(Asn(64_512), Asn(64_513), [192, 0, 2, 1].into(), [192, 0, 2, 2].into());
/// # let message = mrt::Message { session, add_path: false, sent: false, bytes: &[0xff; 19] };
/// # let change = mrt::StateChange { session, from: 5, to: 6 };
/// # let mut file = Vec::<u8>::new();
/// let ipv6 = mrt::Session { peer: "2001:db8::1".parse()?, local: "2001:db8::2".parse()?, ..session };
/// assert!(ipv6.four_octet_asn);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Session {
    /// The peer's AS.
    pub peer_asn: Asn,
    /// The AS of who recorded.
    pub local_asn: Asn,
    /// Index of the interface, 0 if unknown.
    pub interface: u16,
    /// The peer's address.
    pub peer: IpAddr,
    /// The address of who recorded; of the same family as the peer's.
    pub local: IpAddr,
    /// AS numbers in recorded messages take four octets.
    pub four_octet_asn: bool,
}

impl Session {
    /// A session with four-octet AS numbers.
    ///
    /// ```
    /// # use bgp_codec::{Asn, mrt::{self, Entry, MrtError, Record}};
    /// # let session = mrt::Session::new(Asn(64_512), Asn(64_513), [192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    /// # let message = mrt::Message { session, add_path: false, sent: false, bytes: &[0xff; 19] };
    /// # let change = mrt::StateChange { session, from: 5, to: 6 };
    /// # let mut file = Vec::<u8>::new();
    /// assert_eq!((session.peer_asn, session.interface), (Asn(64_512), 0));
    /// ```
    #[must_use]
    pub const fn new(peer_asn: Asn, local_asn: Asn, peer: IpAddr, local: IpAddr) -> Self {
        Self {
            peer_asn,
            local_asn,
            interface: 0,
            peer,
            local,
            four_octet_asn: true,
        }
    }

    fn read(reader: &mut Cursor<'_>, four_octet_asn: bool) -> Result<Self, MrtError> {
        let mut asn = || match four_octet_asn {
            true => reader.u32().map(Asn),
            false => reader.u16().map(Asn::from),
        };
        let (peer_asn, local_asn) = (asn(), asn());
        let (interface, afi) = (reader.u16(), reader.u16());
        let afi = Afi(afi.ok_or(MrtError::Truncated)?);
        let (peer, local) = (address(reader, afi)?, address(reader, afi)?);
        Ok(Self {
            peer_asn: peer_asn.ok_or(MrtError::Truncated)?,
            local_asn: local_asn.ok_or(MrtError::Truncated)?,
            interface: interface.ok_or(MrtError::Truncated)?,
            peer,
            local,
            four_octet_asn,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        for asn in [self.peer_asn, self.local_asn] {
            if self.four_octet_asn {
                out.extend_from_slice(&asn.0.to_be_bytes());
            } else {
                out.extend_from_slice(&asn.to_two_octets().to_be_bytes());
            }
        }
        out.extend_from_slice(&self.interface.to_be_bytes());
        let (peer, local) = match (self.peer, self.local) {
            (IpAddr::V4(peer), IpAddr::V4(local)) => (IpAddr::V4(peer), IpAddr::V4(local)),
            // One field says the family of both.
            (peer, local) => (IpAddr::V6(ipv6(peer)), IpAddr::V6(ipv6(local))),
        };
        let afi = if peer.is_ipv4() { Afi::IPV4 } else { Afi::IPV6 };
        out.extend_from_slice(&afi.0.to_be_bytes());
        write_address(peer, out);
        write_address(local, out);
    }
}

/// A recorded BGP message.
///
/// ```
/// # use bgp_codec::{Asn, mrt::{self, Entry, MrtError, Record}};
/// # let session = mrt::Session::new(Asn(64_512), Asn(64_513), [192, 0, 2, 1].into(), [192, 0, 2, 2].into());
/// # let message = mrt::Message { session, add_path: false, sent: false, bytes: &[0xff; 19] };
/// # let change = mrt::StateChange { session, from: 5, to: 6 };
/// # let mut file = Vec::<u8>::new();
/// message.encode(0, &mut file);
/// let (record, _) = Record::split(&file)?.ok_or("no record")?;
/// assert_eq!(record.parse()?, Entry::Message(message));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Message<'a> {
    /// Whose message it is.
    pub session: Session,
    /// NLRI in it have path identifiers, RFC 8050 §3.
    pub add_path: bool,
    /// The recorder sent it to the peer, RFC 6396 §4.4.3; else the peer sent it.
    pub sent: bool,
    /// The whole message, header included.
    pub bytes: &'a [u8],
}

impl<'a> Message<'a> {
    const fn subtype(&self) -> u16 {
        match (self.sent, self.session.four_octet_asn, self.add_path) {
            (false, false, false) => 1,
            (false, true, false) => 4,
            (true, false, false) => 6,
            (true, true, false) => 7,
            (false, false, true) => 8,
            (false, true, true) => 9,
            (true, false, true) => 10,
            (true, true, true) => 11,
        }
    }

    /// The UPDATE that was recorded; `None` if it is a message of another kind, or not whole.
    ///
    /// It is read as from an internal peer, so that nothing is discarded for where it came from, and in any family.
    ///
    /// ```
    /// # use bgp_codec::{Asn, mrt::{self, Entry, MrtError, Record}};
    /// # let session = mrt::Session::new(Asn(64_512), Asn(64_513), [192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    /// # let message = mrt::Message { session, add_path: false, sent: false, bytes: &[0xff; 19] };
    /// # let change = mrt::StateChange { session, from: 5, to: 6 };
    /// # let mut file = Vec::<u8>::new();
    /// let mut bytes = Vec::new();
    /// # let context = bgp_codec::WriteContext { four_octet_asn: true, max_message: 4096, add_path: bgp_codec::FamilySet::EMPTY };
    /// bgp_codec::UpdateWriter::new(&mut bytes, context).end_of_rib(bgp_codec::Family::IPV6_UNICAST);
    /// let recorded = mrt::Message { bytes: &bytes, ..message };
    /// assert_eq!(recorded.update()?.and_then(|update| update.end_of_rib()), Some(bgp_codec::Family::IPV6_UNICAST));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`UpdateError`] as [`Update::decode`].
    pub fn update(&self) -> Result<Option<Update<'a>>, UpdateError> {
        let frame = header::frame(self.bytes, header::MAX_EXTENDED).ok().flatten();
        let Some(frame) = frame.filter(|frame| frame.kind == MessageType::Update) else {
            return Ok(None);
        };
        let context = DecodeContext {
            four_octet_asn: self.session.four_octet_asn,
            add_path: if self.add_path {
                FamilySet::ALL
            } else {
                FamilySet::EMPTY
            },
            ..DecodeContext::all(PeerKind::Internal)
        };
        let body = self.bytes.get(header::HEADER_LEN..frame.len).unwrap_or_default();
        Update::decode(body, &context).map(Some)
    }

    /// Appends a record.
    ///
    /// ```
    /// # use bgp_codec::{Asn, mrt::{self, Entry, MrtError, Record}};
    /// # let session = mrt::Session::new(Asn(64_512), Asn(64_513), [192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    /// # let message = mrt::Message { session, add_path: false, sent: false, bytes: &[0xff; 19] };
    /// # let change = mrt::StateChange { session, from: 5, to: 6 };
    /// # let mut file = Vec::<u8>::new();
    /// message.encode(1_700_000_000, &mut file);
    /// assert_eq!(file.len(), 12 + 20 + 19);
    /// ```
    pub fn encode(&self, timestamp_s: u32, out: &mut Vec<u8>) {
        write_record((timestamp_s, BGP4MP, self.subtype()), out, |out| {
            self.session.write(out);
            out.extend_from_slice(self.bytes);
        });
    }

    /// Appends a record whose time has microseconds, RFC 6396 §3.
    ///
    /// ```
    /// # use bgp_codec::{Asn, mrt::{self, Entry, MrtError, Record}};
    /// # let session = mrt::Session::new(Asn(64_512), Asn(64_513), [192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    /// # let message = mrt::Message { session, add_path: false, sent: false, bytes: &[0xff; 19] };
    /// # let change = mrt::StateChange { session, from: 5, to: 6 };
    /// # let mut file = Vec::<u8>::new();
    /// message.encode_extended(1_700_000_000, 250_000, &mut file);
    /// let (record, _) = Record::split(&file)?.ok_or("no record")?;
    /// assert_eq!(record.microseconds, 250_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn encode_extended(&self, timestamp_s: u32, microseconds: u32, out: &mut Vec<u8>) {
        write_record((timestamp_s, BGP4MP_ET, self.subtype()), out, |out| {
            out.extend_from_slice(&microseconds.to_be_bytes());
            self.session.write(out);
            out.extend_from_slice(self.bytes);
        });
    }
}

/// A recorded change of a session's state.
///
/// ```
/// # use bgp_codec::{Asn, mrt::{self, Entry, MrtError, Record}};
/// # let session = mrt::Session::new(Asn(64_512), Asn(64_513), [192, 0, 2, 1].into(), [192, 0, 2, 2].into());
/// # let message = mrt::Message { session, add_path: false, sent: false, bytes: &[0xff; 19] };
/// # let change = mrt::StateChange { session, from: 5, to: 6 };
/// # let mut file = Vec::<u8>::new();
/// let lost = mrt::StateChange { session, from: 6, to: 1 };
/// lost.encode(0, &mut file);
/// assert!(file.ends_with(&[0, 6, 0, 1]));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct StateChange {
    /// Whose state it is.
    pub session: Session,
    /// The state before: 1 Idle to 6 Established.
    pub from: u16,
    /// The state after.
    pub to: u16,
}

impl StateChange {
    /// Appends a record.
    ///
    /// ```
    /// # use bgp_codec::{Asn, mrt::{self, Entry, MrtError, Record}};
    /// # let session = mrt::Session::new(Asn(64_512), Asn(64_513), [192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    /// # let message = mrt::Message { session, add_path: false, sent: false, bytes: &[0xff; 19] };
    /// # let change = mrt::StateChange { session, from: 5, to: 6 };
    /// # let mut file = Vec::<u8>::new();
    /// change.encode(0, &mut file);
    /// assert_eq!(file.len(), 12 + 20 + 4);
    /// ```
    pub fn encode(&self, timestamp_s: u32, out: &mut Vec<u8>) {
        let subtype = if self.session.four_octet_asn { 5 } else { 0 };
        write_record((timestamp_s, BGP4MP, subtype), out, |out| {
            self.session.write(out);
            out.extend_from_slice(&self.from.to_be_bytes());
            out.extend_from_slice(&self.to.to_be_bytes());
        });
    }
}

impl<'a> Record<'a> {
    /// Splits one record from the beginning of a buffer; `None` if more octets are needed.
    ///
    /// ```
    /// # use bgp_codec::{Asn, mrt::{self, Entry, MrtError, Record}};
    /// # let session = mrt::Session::new(Asn(64_512), Asn(64_513), [192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    /// # let message = mrt::Message { session, add_path: false, sent: false, bytes: &[0xff; 19] };
    /// # let change = mrt::StateChange { session, from: 5, to: 6 };
    /// # let mut file = Vec::<u8>::new();
    /// change.encode(0, &mut file);
    /// assert!(Record::split(&file[..20])?.is_none(), "more is needed");
    /// assert!(Record::split(&file)?.is_some_and(|(_, rest)| rest.is_empty()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`MrtError::TooLong`], and [`MrtError::Truncated`] for an extended record without microseconds.
    pub fn split(buffer: &'a [u8]) -> Result<Option<(Self, &'a [u8])>, MrtError> {
        let mut reader = Cursor::new(buffer);
        let (Some(timestamp_s), Some(kind), Some(subtype), Some(len)) =
            (reader.u32(), reader.u16(), reader.u16(), reader.u32())
        else {
            return Ok(None);
        };
        let len = length(len)?;
        let Some(body) = reader.take(len) else {
            return Ok(None);
        };
        let mut record = Self {
            timestamp_s,
            microseconds: 0,
            kind,
            subtype,
            body,
        };
        if kind == BGP4MP_ET {
            let mut reader = Cursor::new(body);
            record.microseconds = reader.u32().ok_or(MrtError::Truncated)?;
            record.body = reader.rest();
        }
        Ok(Some((record, reader.rest())))
    }

    /// Reads the body.
    ///
    /// ```
    /// # use bgp_codec::{Asn, mrt::{self, Entry, MrtError, Record}};
    /// # let session = mrt::Session::new(Asn(64_512), Asn(64_513), [192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    /// # let message = mrt::Message { session, add_path: false, sent: false, bytes: &[0xff; 19] };
    /// # let change = mrt::StateChange { session, from: 5, to: 6 };
    /// # let mut file = Vec::<u8>::new();
    /// let record = Record { timestamp_s: 0, microseconds: 0, kind: 99, subtype: 0, body: &[] };
    /// assert_eq!(record.parse()?, Entry::Other);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`MrtError`] if the body is of a known kind and malformed.
    pub fn parse(&self) -> Result<Entry<'a>, MrtError> {
        match self.kind {
            BGP4MP | BGP4MP_ET => bgp4mp(self.subtype, self.body),
            TABLE_DUMP => {
                Ok(table_dump_v1::parse(self.subtype, self.body)?.map_or(Entry::Other, Entry::TableDump))
            }
            TABLE_DUMP_V2 => table_dump::parse(self.subtype, self.body),
            _ => Ok(Entry::Other),
        }
    }
}

/// Reads one whole record into `buffer`, replacing what is there; `false` at the end of the file.
///
/// ```
/// use bgp_codec::mrt::{Record, read_record};
/// let mut file: &[u8] = &[0; 12];
/// let mut buffer = Vec::new();
/// while read_record(&mut file, &mut buffer)? {
///     assert!(Record::split(&buffer)?.is_some());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// As the reader; [`io::ErrorKind::InvalidData`] for a record longer than [`MAX_RECORD`], and
/// [`io::ErrorKind::UnexpectedEof`] for a file that ends inside a record.
pub fn read_record(reader: &mut impl io::Read, buffer: &mut Vec<u8>) -> io::Result<bool> {
    buffer.clear();
    let by_ref = io::Read::by_ref(reader);
    let header = u64::try_from(HEADER_LEN).unwrap_or_default();
    if io::Read::read_to_end(&mut io::Read::take(by_ref, header), buffer)? == 0 {
        return Ok(false);
    }
    let Some(&[.., a, b, c, d]) = buffer.first_chunk::<HEADER_LEN>() else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let len = length(u32::from_be_bytes([a, b, c, d]))
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let by_ref = io::Read::by_ref(reader);
    let wanted = u64::try_from(len).unwrap_or_default();
    if io::Read::read_to_end(&mut io::Read::take(by_ref, wanted), buffer)? < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(true)
}

fn length(len: u32) -> Result<usize, MrtError> {
    usize::try_from(len)
        .ok()
        .filter(|len| *len <= MAX_RECORD)
        .ok_or(MrtError::TooLong(len))
}

fn bgp4mp(subtype: u16, body: &[u8]) -> Result<Entry<'_>, MrtError> {
    let mut reader = Cursor::new(body);
    match subtype {
        0 | 5 => {
            let session = Session::read(&mut reader, subtype == 5)?;
            let from = reader.u16().ok_or(MrtError::Truncated)?;
            let to = reader.u16().ok_or(MrtError::Truncated)?;
            Ok(Entry::StateChange(StateChange { session, from, to }))
        }
        // RFC 6396 §4.4, RFC 8050 §3.
        1 | 4 | 6..=11 => {
            let four_octet_asn = matches!(subtype, 4 | 7 | 9 | 11);
            let session = Session::read(&mut reader, four_octet_asn)?;
            Ok(Entry::Message(Message {
                session,
                add_path: subtype >= 8,
                sent: matches!(subtype, 6 | 7 | 10 | 11),
                bytes: reader.rest(),
            }))
        }
        _ => Ok(Entry::Other),
    }
}

/// The attributes of a route in a table dump.
fn route_attributes(
    block: &[u8],
    four_octet_asn: bool,
) -> Result<(Attributes<'_>, AttributeErrors), UpdateError> {
    let mut errors = AttributeErrors::NONE;
    // Without families the walk steps over MP_REACH_NLRI, which is not in its usual form here.
    let context = DecodeContext {
        four_octet_asn,
        families: FamilySet::EMPTY,
        ..DecodeContext::all(PeerKind::Internal)
    };
    let mut attributes = Attributes::unread_block(block, four_octet_asn);
    if let Some(clean) = attributes.clean(&context) {
        return Ok((clean.without_multiprotocol(), errors));
    }
    walk::walk(&mut attributes, &context, &mut errors)?;
    Ok((attributes, errors))
}

/// The next hop, from NEXT_HOP or from MP_REACH_NLRI in either form: whole, or cut down (RFC 6396 §4.3.4).
fn route_next_hop(block: &[u8]) -> Option<NextHop> {
    let wanted = |wanted: u8| {
        RawAttributes::new(block)
            .find(|attribute| attribute.code == wanted)
            .map(|found| found.value)
    };
    if let Some(value) = wanted(code::MP_REACH_NLRI) {
        return match value {
            [len, next_hop @ ..] if usize::from(*len) == next_hop.len() => NextHop::read_any(next_hop),
            [_, _, _, len, rest @ ..] => NextHop::read_any(rest.get(..usize::from(*len))?),
            _ => None,
        };
    }
    NextHop::read(wanted(code::NEXT_HOP)?, false)
}

fn address(reader: &mut Cursor<'_>, afi: Afi) -> Result<IpAddr, MrtError> {
    match afi {
        Afi::IPV4 => reader.array::<4>().map(IpAddr::from).ok_or(MrtError::Truncated),
        Afi::IPV6 => reader.array::<16>().map(IpAddr::from).ok_or(MrtError::Truncated),
        Afi(other) => Err(MrtError::AddressFamily(other)),
    }
}

fn write_address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => out.extend_from_slice(&address.octets()),
        IpAddr::V6(address) => out.extend_from_slice(&address.octets()),
    }
}

const fn ipv6(address: IpAddr) -> std::net::Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// Appends a header of timestamp, type and subtype, and the body that `body` writes.
fn write_record(
    (timestamp_s, kind, subtype): (u32, u16, u16),
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut Vec<u8>),
) {
    out.extend_from_slice(&timestamp_s.to_be_bytes());
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&subtype.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    let start = out.len();
    body(out);
    let len = u32::try_from(out.len().saturating_sub(start)).unwrap_or(u32::MAX);
    if let Some(field) = out.get_mut(start.saturating_sub(4)..start) {
        field.copy_from_slice(&len.to_be_bytes());
    }
}
