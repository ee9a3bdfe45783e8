//! Netlink bytes: message headers, attributes, and the route, link and address messages that this room speaks.
//!
//! Reading never panics and never allocates more than the message holds; what is malformed or of no interest is
//! skipped. Writing appends to a buffer, so that many requests go out in one send.

mod link;
mod nexthop;
mod request;
mod route;
mod stamp;

pub(crate) use self::link::{Address, Link};
pub(crate) use self::nexthop::{Leads, Nexthop, NexthopChange, encode_nexthop};
pub(crate) use self::request::{Change, DumpScope, Target, encode_change, encode_dump};
pub(crate) use self::route::{Hop, Hops, Route, protocol_name};
pub(crate) use self::stamp::Stamp;

/// `NLM_F_*` flags that appear in messages from the kernel.
pub(crate) mod flags {
    /// The dump missed changes that happened while it ran.
    pub(crate) const DUMP_INTERRUPTED: u16 = 16;
    /// In a notification: the route was added beside another of the same key.
    pub(crate) const APPEND: u16 = 0x800;
    /// In an acknowledgement: the request is not repeated after the error code.
    pub(crate) const CAPPED: u16 = 0x100;
    /// In an acknowledgement: attributes follow.
    pub(crate) const ACK_TLVS: u16 = 0x200;
}

const HEADER_LEN: usize = 16;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_OVERRUN: u16 = 4;
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_NEWNEXTHOP: u16 = 104;
const RTM_DELNEXTHOP: u16 = 105;
const NLMSGERR_ATTR_MSG: u16 = 1;

/// `AF_INET`.
pub(crate) const AF_INET: u8 = 2;
/// `AF_INET6`.
pub(crate) const AF_INET6: u8 = 10;

/// Appeared or changed, or went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verb {
    /// New or changed.
    New,
    /// Gone.
    Delete,
}

/// What one netlink message says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Message {
    /// A route, with the header's flags (`REPLACE`, `APPEND`).
    Route(Verb, u16, Route),
    /// A link.
    Link(Verb, Link),
    /// An address of an interface.
    Address(Verb, Address),
    /// A nexthop object.
    Nexthop(Verb, Nexthop),
    /// The answer to a request: errno (0 is success) and the kernel's words, if any.
    Answer {
        /// Positive errno; 0 for success.
        errno: i32,
        /// From the extended acknowledgement.
        text: Option<String>,
    },
    /// A dump is over; a positive errno if it failed.
    Done(i32),
    /// Messages were lost.
    Overrun,
    /// Of no interest, or malformed.
    Other,
}

/// The fixed part in front of every message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Header {
    /// `nlmsg_type`.
    pub(crate) kind: u16,
    /// `nlmsg_flags`.
    pub(crate) flags: u16,
    /// `nlmsg_seq`: the request's, in an answer.
    pub(crate) sequence: u32,
    /// `nlmsg_pid`: the port whose request caused the message.
    pub(crate) port: u32,
}

/// The messages of one datagram.
pub(crate) struct Messages<'a>(Cursor<'a>);

impl<'a> Messages<'a> {
    /// Reads `datagram` from its beginning.
    pub(crate) fn new(datagram: &'a [u8]) -> Self {
        Self(Cursor(datagram))
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = (Header, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let mut ahead = Cursor(self.0.0);
        let len = usize::try_from(ahead.u32()?).ok()?;
        let header = Header {
            kind: ahead.u16()?,
            flags: ahead.u16()?,
            sequence: ahead.u32()?,
            port: ahead.u32()?,
        };
        let payload = ahead.0.get(..len.checked_sub(HEADER_LEN)?)?;
        self.0.0 = self.0.0.get(align(len)..).unwrap_or_default();
        Some((header, payload))
    }
}

/// Reads what follows a header.
pub(crate) fn parse(header: Header, payload: &[u8]) -> Message {
    let parsed = match header.kind {
        RTM_NEWROUTE => Route::parse(payload).map(|route| Message::Route(Verb::New, header.flags, route)),
        RTM_DELROUTE => Route::parse(payload).map(|route| Message::Route(Verb::Delete, header.flags, route)),
        RTM_NEWLINK => Link::parse(payload).map(|link| Message::Link(Verb::New, link)),
        RTM_DELLINK => Link::parse(payload).map(|link| Message::Link(Verb::Delete, link)),
        RTM_NEWADDR => Address::parse(payload).map(|address| Message::Address(Verb::New, address)),
        RTM_DELADDR => Address::parse(payload).map(|address| Message::Address(Verb::Delete, address)),
        RTM_NEWNEXTHOP => Nexthop::parse(payload).map(|nexthop| Message::Nexthop(Verb::New, nexthop)),
        RTM_DELNEXTHOP => Nexthop::parse(payload).map(|nexthop| Message::Nexthop(Verb::Delete, nexthop)),
        NLMSG_ERROR => answer(header, payload),
        NLMSG_DONE => Some(Message::Done(Cursor(payload).u32().map_or(0, errno))),
        NLMSG_OVERRUN => Some(Message::Overrun),
        _ => None,
    };
    parsed.unwrap_or(Message::Other)
}

fn answer(header: Header, payload: &[u8]) -> Option<Message> {
    let mut cursor = Cursor(payload);
    let errno = errno(cursor.u32()?);
    let mut text = None;
    if header.flags & flags::ACK_TLVS != 0 {
        // The request's header always follows; its payload only where it is not capped.
        let request_len = usize::try_from(Cursor(cursor.0).u32()?).ok()?;
        let skip = if header.flags & flags::CAPPED != 0 {
            HEADER_LEN
        } else {
            align(request_len)
        };
        let attributes = Attributes(cursor.0.get(skip..)?);
        text = attributes
            .filter(|&(kind, _)| kind == NLMSGERR_ATTR_MSG)
            .map(|(_, value)| words(value))
            .next();
    }
    Some(Message::Answer { errno, text })
}

/// The kernel sends `-errno`.
fn errno(raw: u32) -> i32 {
    0_i32.wrapping_sub(i32::from_ne_bytes(raw.to_ne_bytes()))
}

fn words(value: &[u8]) -> String {
    let end = value.iter().position(|&octet| octet == 0).unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or_default()).into_owned()
}

/// Netlink pads headers, messages and attributes to 4 octets.
fn align(len: usize) -> usize {
    len.saturating_add(3) & !3
}

/// Reads native-endian integers from the front of a slice.
#[derive(Clone, Copy)]
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_ne_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_ne_bytes)
    }
}

/// The attributes (`rtattr`) of a message: type without its flag bits, and value.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let mut cursor = Cursor(self.0);
        let len = usize::from(cursor.u16()?);
        // The two high bits say "nested" and "network byte order".
        let kind = cursor.u16()? & 0x3fff;
        let value = cursor.0.get(..len.checked_sub(4)?)?;
        self.0 = self.0.get(align(len)..).unwrap_or_default();
        Some((kind, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncated_and_overlong_messages_end_the_datagram() {
        for len in 0..HEADER_LEN {
            assert_eq!(Messages::new(&vec![0xff; len]).count(), 0);
        }
        // A length that claims more than there is.
        let mut datagram = vec![0; 20];
        datagram[..4].copy_from_slice(&64_u32.to_ne_bytes());
        assert_eq!(Messages::new(&datagram).count(), 0);
        // A length below the header's own must not loop.
        datagram[..4].copy_from_slice(&3_u32.to_ne_bytes());
        assert_eq!(Messages::new(&datagram).count(), 0);
    }

    #[test]
    fn an_error_answer_carries_errno_and_words() {
        let mut payload = (-17_i32).to_ne_bytes().to_vec();
        payload.extend(28_u32.to_ne_bytes());
        payload.extend([0; 12]);
        payload.extend(12_u16.to_ne_bytes());
        payload.extend(1_u16.to_ne_bytes());
        payload.extend(b"exists\0\0");
        let header = Header {
            kind: NLMSG_ERROR,
            flags: flags::CAPPED | flags::ACK_TLVS,
            sequence: 7,
            port: 1,
        };
        assert_eq!(
            parse(header, &payload),
            Message::Answer {
                errno: 17,
                text: Some("exists".to_owned())
            }
        );
    }

    #[test]
    fn every_prefix_of_garbage_is_survived() {
        let garbage: Vec<u8> = (0..200_u8).map(|octet| octet.wrapping_mul(37)).collect();
        for kind in [2, 3, 16, 17, 20, 21, 24, 25, 104, 105] {
            for end in 0..garbage.len() {
                let header = Header {
                    kind,
                    flags: 0x300,
                    sequence: 0,
                    port: 0,
                };
                let _message = parse(header, &garbage[..end]);
            }
        }
    }
}
