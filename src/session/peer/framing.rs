//! Whole messages out of octets that come in any portions.
//!
//! Octets of one portion that already form whole messages are handed on without a copy; only a message that spans
//! portions is put together.

use bgp_codec::MessageType;
use bgp_codec::header::{self, HeaderError};
use bytes::{Bytes, BytesMut};

use crate::session::status::MessageCounts;

/// The receiving end of one connection. Holds less than one message beyond the latest portion.
#[derive(Clone, Debug, Default)]
pub(super) struct Framing {
    /// The beginning of a message that spans portions.
    begun: BytesMut,
    /// What has not been looked at.
    rest: Bytes,
}

/// Whole messages: one of the session's own, or as many UPDATE and ROUTE-REFRESH messages as follow each other.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Run {
    /// The kind of the first message.
    pub(super) kind: MessageType,
    /// The messages with their headers.
    pub(super) bytes: Bytes,
    /// How many of which kind.
    pub(super) counts: MessageCounts,
}

impl Framing {
    /// Takes in the next portion.
    pub(super) fn feed(&mut self, bytes: Bytes) {
        if self.rest.is_empty() {
            self.rest = bytes;
        } else {
            let mut joined = BytesMut::with_capacity(self.rest.len() + bytes.len());
            joined.extend_from_slice(&self.rest);
            joined.extend_from_slice(&bytes);
            self.rest = joined.freeze();
        }
    }

    /// Yields the next whole messages, or nothing until more octets come.
    ///
    /// # Errors
    ///
    /// [`HeaderError`], as soon as the octets that are there show it; what preceded it has been yielded.
    pub(super) fn next(&mut self, max_len: usize) -> Result<Option<Run>, HeaderError> {
        if !self.begun.is_empty() {
            return self.finish_begun(max_len);
        }
        let mut counts = MessageCounts::default();
        let mut first = None;
        let mut end: usize = 0;
        loop {
            let frame = match header::frame(self.rest.get(end..).unwrap_or_default(), max_len) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                // What stands before the error is handed on first.
                Err(_) if first.is_some() => break,
                Err(error) => return Err(error),
            };
            if first.is_some() && !is_for_rib(frame.kind) {
                break;
            }
            counts.count(frame.kind);
            first.get_or_insert(frame.kind);
            end += frame.len;
            if !is_for_rib(frame.kind) {
                break;
            }
        }
        let Some(kind) = first else {
            self.begun.extend_from_slice(&self.rest);
            self.rest = Bytes::new();
            return Ok(None);
        };
        Ok(Some(Run {
            kind,
            bytes: self.rest.split_to(end),
            counts,
        }))
    }

    fn finish_begun(&mut self, max_len: usize) -> Result<Option<Run>, HeaderError> {
        // The header says how much is missing; until it is whole, only the header is completed.
        loop {
            let wanted = match header::frame(&self.begun, max_len)? {
                Some(frame) => {
                    let mut counts = MessageCounts::default();
                    counts.count(frame.kind);
                    let bytes = self.begun.split_to(frame.len).freeze();
                    return Ok(Some(Run {
                        kind: frame.kind,
                        bytes,
                        counts,
                    }));
                }
                None => length_field(&self.begun).unwrap_or(header::HEADER_LEN),
            };
            let missing = wanted.saturating_sub(self.begun.len()).min(self.rest.len());
            if missing == 0 {
                return Ok(None);
            }
            self.begun.extend_from_slice(&self.rest.split_to(missing));
        }
    }
}

/// The length that a complete header announces.
fn length_field(bytes: &[u8]) -> Option<usize> {
    let header: &[u8; header::HEADER_LEN] = bytes.first_chunk()?;
    let [.., high, low, _] = header;
    Some(usize::from(u16::from_be_bytes([*high, *low])))
}

fn is_for_rib(kind: MessageType) -> bool {
    matches!(kind, MessageType::Update | MessageType::RouteRefresh)
}

impl MessageCounts {
    /// Adds one message.
    pub(crate) fn count(&mut self, kind: MessageType) {
        let counter = match kind {
            MessageType::Open => &mut self.open,
            MessageType::Update => &mut self.update,
            MessageType::Notification => &mut self.notification,
            MessageType::Keepalive => &mut self.keepalive,
            MessageType::RouteRefresh => &mut self.route_refresh,
        };
        *counter += 1;
    }

    /// Adds all of `other`.
    pub(crate) fn add(&mut self, other: &Self) {
        self.open += other.open;
        self.update += other.update;
        self.notification += other.notification;
        self.keepalive += other.keepalive;
        self.route_refresh += other.route_refresh;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0xff; 16];
        bytes.extend(u16::try_from(19 + body.len()).unwrap().to_be_bytes());
        bytes.push(kind);
        bytes.extend(body);
        bytes
    }

    fn stream() -> Vec<u8> {
        let mut bytes = message(4, &[]);
        bytes.extend(message(2, &[0; 4]));
        bytes.extend(message(2, &[0, 0, 0, 0, 7, 7]));
        bytes.extend(message(5, &[0, 1, 0, 1]));
        bytes.extend(message(4, &[]));
        bytes.extend(message(2, &[0; 4]));
        bytes
    }

    /// Feeds `bytes` in portions of `size` and returns kinds and octets of all messages in order.
    fn drain(bytes: &[u8], size: usize) -> (Vec<MessageType>, Vec<u8>, MessageCounts) {
        let mut framing = Framing::default();
        let (mut kinds, mut octets, mut counts) = (Vec::new(), Vec::new(), MessageCounts::default());
        for portion in bytes.chunks(size) {
            framing.feed(Bytes::copy_from_slice(portion));
            while let Some(run) = framing.next(4096).unwrap() {
                kinds.push(run.kind);
                octets.extend(&run.bytes);
                counts.add(&run.counts);
            }
        }
        (kinds, octets, counts)
    }

    #[test]
    fn every_portion_size_yields_the_same_messages() {
        let whole = stream();
        for size in 1..=whole.len() {
            let (_, octets, counts) = drain(&whole, size);
            assert_eq!(octets, whole, "portions of {size}");
            let expected = MessageCounts {
                update: 3,
                keepalive: 2,
                route_refresh: 1,
                ..MessageCounts::default()
            };
            assert_eq!(counts, expected, "portions of {size}");
        }
    }

    #[test]
    fn messages_for_the_rib_come_in_one_piece() {
        let (kinds, _, _) = drain(&stream(), 4096);
        use MessageType::{Keepalive, Update};
        assert_eq!(kinds, [Keepalive, Update, Keepalive, Update]);
    }

    #[test]
    fn what_precedes_a_bad_header_is_yielded_first() {
        let mut bytes = message(2, &[0; 4]);
        bytes.extend(message(9, &[]));
        let mut framing = Framing::default();
        framing.feed(Bytes::from(bytes));
        assert_eq!(
            framing.next(4096).unwrap().map(|run| run.kind),
            Some(MessageType::Update)
        );
        assert_eq!(framing.next(4096), Err(HeaderError::BadType(9)));
    }

    #[test]
    fn a_bad_marker_shows_in_a_partial_header() {
        let mut framing = Framing::default();
        framing.feed(Bytes::from_static(&[0xff, 0xff]));
        assert_eq!(framing.next(4096), Ok(None));
        framing.feed(Bytes::from_static(&[0]));
        assert_eq!(framing.next(4096), Err(HeaderError::NotSynchronized));
    }
}
