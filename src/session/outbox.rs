//! What waits to be written to one connection, in the order in which it may go (pure).
//!
//! A message that has begun is finished first; then come the session's own messages, then a KEEPALIVE that is due, then
//! what the RIB has queued. So a KEEPALIVE waits for one message at most, never for a table.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::{Ipv4Addr, Ipv6Addr};

use bgp_codec::{HEADER_LEN, MessageType};
use bytes::{Buf, Bytes, BytesMut};
use smallvec::SmallVec;

use super::peer::{Progress, keepalive_bytes};
use super::status::MessageCounts;
use crate::rib::interface::{Chunk, SelfAddresses};

/// Pieces offered to one system call.
const SLICES: usize = 64;
/// Chunks that wait before small ones are put together: a peer that hardly reads costs the octets that wait for it, not also
/// an allocation for each change.
const LOOSE: usize = 16;
/// A chunk below this is small.
const SMALL: usize = 2 * 1024;
/// Octets of small chunks in one piece.
const PIECE: usize = 32 * 1024;

/// The sending end of one connection. Bounded by the credit that the RIB was given, and a few messages of the session.
#[derive(Debug)]
pub struct Outbox {
    /// The rest of a message that has begun, and whether it is the RIB's.
    begun: Bytes,
    begun_is_ribs: bool,
    own: VecDeque<Bytes>,
    keepalive: Bytes,
    keepalive_due: bool,
    chunks: VecDeque<Piece>,
    /// Small chunks behind those.
    tail: BytesMut,
    /// UPDATEs in them; there is nothing else.
    tail_updates: u32,
    queued: usize,
}

/// Whole messages of the RIB's.
#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    /// How many, if all of them are UPDATEs; else zero.
    updates: u32,
}

/// What came of one write.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Accepted {
    /// For the core of the peer.
    pub progress: Progress,
    /// Octets of the RIB's: its credit for more.
    pub credit: usize,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            begun: Bytes::new(),
            begun_is_ribs: false,
            own: VecDeque::new(),
            keepalive: keepalive_bytes(),
            keepalive_due: false,
            chunks: VecDeque::new(),
            tail: BytesMut::new(),
            tail_updates: 0,
            queued: 0,
        }
    }
}

impl Outbox {
    /// Queues a whole message of the session's own.
    pub fn push_own(&mut self, message: Bytes) {
        self.queued += message.len();
        self.own.push_back(message);
    }

    /// Queues a KEEPALIVE; one that still waits is enough.
    pub fn push_keepalive(&mut self) {
        if !std::mem::replace(&mut self.keepalive_due, true) {
            self.queued += self.keepalive.len();
        }
    }

    /// Queues whole messages of the RIB's, with our addresses in their next-hop fields.
    pub fn push_chunk(&mut self, chunk: &Chunk, addresses: &SelfAddresses) {
        let bytes = with_next_hops(chunk, addresses);
        self.queued += bytes.len();
        let updates = chunk.updates;
        let small = bytes.len() < SMALL && updates > 0 && self.chunks.len() >= LOOSE;
        if !small || self.tail.len() + bytes.len() > PIECE {
            self.end_piece();
        }
        if small {
            if self.tail.capacity() == 0 {
                self.tail.reserve(PIECE);
            }
            self.tail.extend_from_slice(&bytes);
            self.tail_updates += updates;
        } else {
            self.chunks.push_back(Piece { bytes, updates });
        }
    }

    fn end_piece(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push_back(Piece {
                bytes: std::mem::take(&mut self.tail).freeze(),
                updates: std::mem::take(&mut self.tail_updates),
            });
        }
    }

    /// Drops what the RIB has queued, except a message that has begun: only a NOTIFICATION follows.
    pub fn finish(&mut self) {
        self.end_piece();
        self.queued -= self
            .chunks
            .drain(..)
            .map(|piece| piece.bytes.len())
            .sum::<usize>();
    }

    /// Octets that wait.
    #[must_use]
    pub const fn queued(&self) -> usize {
        self.queued
    }

    /// What to offer to the socket: the front of the queue, and all of it where that is short.
    #[must_use]
    pub fn slices(&self) -> SmallVec<[IoSlice<'_>; 4]> {
        let begun = (!self.begun.is_empty()).then_some(&self.begun);
        let keepalive = self.keepalive_due.then_some(&self.keepalive);
        let all = begun
            .into_iter()
            .chain(&self.own)
            .chain(keepalive)
            .chain(self.chunks.iter().map(|piece| &piece.bytes));
        all.take(SLICES).map(|bytes| IoSlice::new(bytes)).collect()
    }

    /// Forgets the first `len` octets of [`Outbox::slices`]: the socket has accepted them.
    pub fn advance(&mut self, len: usize) -> Accepted {
        let mut rest = len.min(self.queued);
        self.queued -= rest;
        let mut accepted = Accepted {
            progress: Progress {
                bytes: rest,
                queued: self.queued,
                ..Progress::default()
            },
            credit: 0,
        };
        let taken = rest.min(self.begun.len());
        self.begun.advance(taken);
        rest -= taken;
        if self.begun_is_ribs {
            accepted.credit += taken;
        }
        while rest > 0 {
            if let Some(message) = self.own.pop_front() {
                rest -= self.begin(message, rest, false);
            } else if self.keepalive_due {
                self.keepalive_due = false;
                rest -= self.begin(self.keepalive.clone(), rest, false);
            } else if let Some(piece) = self.chunks.pop_front() {
                let taken = self.begin_piece(piece, rest, &mut accepted.progress.messages);
                accepted.credit += taken;
                rest -= taken;
            } else {
                break;
            }
        }
        if self.chunks.len() < LOOSE {
            self.end_piece();
        }
        accepted
    }

    /// Takes up to `rest` octets of one message; what is left of it goes first from here on.
    fn begin(&mut self, mut message: Bytes, rest: usize, is_ribs: bool) -> usize {
        let taken = rest.min(message.len());
        message.advance(taken);
        self.begun = message;
        self.begun_is_ribs = is_ribs;
        taken
    }

    fn begin_piece(&mut self, piece: Piece, rest: usize, counts: &mut MessageCounts) -> usize {
        let Piece { mut bytes, updates } = piece;
        if rest >= bytes.len() && updates > 0 {
            counts.update += u64::from(updates);
            return self.begin(bytes, rest, true);
        }
        // The first message boundary that is not before what was accepted.
        let (mut boundary, mut counted) = (0, 0);
        while boundary < rest.min(bytes.len()) {
            let Some((kind, len)) = bytes.get(boundary..).and_then(message_at) else {
                // No message of ours looks like that; it goes in one piece.
                boundary = bytes.len();
                break;
            };
            counts.count(kind);
            counted += 1;
            boundary = boundary.saturating_add(len).min(bytes.len());
        }
        let first = bytes.split_to(boundary);
        if !bytes.is_empty() {
            let updates = updates.saturating_sub(counted);
            self.chunks.push_front(Piece { bytes, updates });
        }
        self.begin(first, rest, true)
    }
}

fn message_at(bytes: &[u8]) -> Option<(MessageType, usize)> {
    let header: &[u8; HEADER_LEN] = bytes.first_chunk()?;
    let [.., high, low, kind] = header;
    let len = usize::from(u16::from_be_bytes([*high, *low]));
    (len >= HEADER_LEN).then_some((MessageType::from_code(*kind)?, len))
}

/// The chunk as it goes out on a session with these addresses.
fn with_next_hops(chunk: &Chunk, addresses: &SelfAddresses) -> Bytes {
    if chunk.next_hops.is_empty() {
        return chunk.bytes.clone();
    }
    let ipv4 = addresses.ipv4.unwrap_or(Ipv4Addr::UNSPECIFIED).octets();
    let link_local = addresses.link_local.unwrap_or(Ipv6Addr::UNSPECIFIED);
    let ipv6 = addresses.ipv6.unwrap_or(link_local);
    let mut both = [0; 32];
    let (first, second) = both.split_at_mut(16);
    first.copy_from_slice(&ipv6.octets());
    second.copy_from_slice(&link_local.octets());
    let mut bytes = BytesMut::from(chunk.bytes.as_ref());
    for field in chunk.next_hops.iter() {
        let start = usize::try_from(field.offset).unwrap_or(usize::MAX);
        let own: &[u8] = match field.len {
            4 => &ipv4,
            len => both.get(..usize::from(len)).unwrap_or_default(),
        };
        if let Some(place) = bytes.get_mut(start..start.saturating_add(own.len())) {
            place.copy_from_slice(own);
        }
    }
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::rib::interface::NextHopField;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0xff; 16];
        bytes.extend(u16::try_from(19 + body.len()).unwrap().to_be_bytes());
        bytes.push(kind);
        bytes.extend(body);
        bytes
    }

    fn chunk(messages: &[Vec<u8>]) -> Chunk {
        let updates = messages.iter().all(|message| message[18] == 2);
        Chunk {
            updates: if updates {
                u32::try_from(messages.len()).unwrap()
            } else {
                0
            },
            bytes: messages.concat().into(),
            next_hops: Arc::default(),
        }
    }

    /// Writes everything in portions of `size`, with `between` called before each write.
    fn drain(
        outbox: &mut Outbox,
        size: usize,
        mut between: impl FnMut(usize, &mut Outbox),
    ) -> (Vec<u8>, Accepted) {
        let mut written = Vec::new();
        let mut sum = Accepted::default();
        for round in 0.. {
            between(round, outbox);
            let offered: Vec<u8> = outbox.slices().iter().flat_map(|slice| slice.to_vec()).collect();
            let len = offered.len().min(size);
            written.extend(&offered[..len]);
            let accepted = outbox.advance(len);
            sum.credit += accepted.credit;
            sum.progress.bytes += accepted.progress.bytes;
            sum.progress.messages.add(&accepted.progress.messages);
            assert_eq!(accepted.progress.queued, outbox.queued());
            if outbox.queued() == 0 {
                break;
            }
        }
        (written, sum)
    }

    #[test]
    fn what_goes_in_comes_out_for_every_portion_size() {
        let updates = [
            message(2, &[0; 4]),
            message(2, &[7; 30]),
            message(5, &[0, 1, 1, 1]),
        ];
        for size in 1..150 {
            let mut outbox = Outbox::default();
            outbox.push_chunk(&chunk(&updates), &SelfAddresses::default());
            outbox.push_chunk(&chunk(&updates[..1]), &SelfAddresses::default());
            let expected = [updates.concat(), updates[0].clone()].concat();
            let (written, sum) = drain(&mut outbox, size, |_, _| {});
            assert_eq!(written, expected, "portions of {size}");
            assert_eq!((sum.credit, sum.progress.bytes), (expected.len(), expected.len()));
            let counts = MessageCounts {
                update: 3,
                route_refresh: 1,
                ..MessageCounts::default()
            };
            assert_eq!(sum.progress.messages, counts, "portions of {size}");
        }
    }

    #[test]
    fn a_keepalive_goes_at_the_next_message_boundary() {
        let updates = vec![message(2, &[1; 30]); 4];
        for when in 0..10 {
            let mut outbox = Outbox::default();
            outbox.push_chunk(&chunk(&updates), &SelfAddresses::default());
            let (written, sum) = drain(&mut outbox, 20, |round, outbox| {
                if round == when {
                    outbox.push_keepalive();
                    outbox.push_keepalive();
                }
            });
            let messages = split(&written);
            let position = messages
                .iter()
                .position(|message| *message == keepalive_bytes())
                .unwrap();
            // 20 octets a round, 49 a message: those that had begun and no more.
            assert_eq!(position, (when * 20).div_ceil(49), "due in round {when}");
            assert_eq!(messages.len(), 5);
            assert_eq!(sum.credit, written.len() - 19);
        }
    }

    #[test]
    fn many_small_chunks_take_little_more_than_their_octets() {
        let mut outbox = Outbox::default();
        let mut expected: Vec<u8> = Vec::new();
        for number in 0..4_000_u16 {
            let [high, low] = number.to_be_bytes();
            let update = message(2, &[high, low, 0, 0, 9]);
            expected.extend(&update);
            outbox.push_chunk(&chunk(&[update]), &SelfAddresses::default());
        }
        assert!(outbox.chunks.len() <= LOOSE + expected.len() / PIECE + 1);
        let (written, sum) = drain(&mut outbox, 1_500, |_, _| {});
        assert_eq!(written, expected);
        assert_eq!(sum.progress.messages.update, 4_000);
    }

    #[test]
    fn finishing_keeps_the_message_in_hand_and_the_notification() {
        let updates = vec![message(2, &[1; 30]); 4];
        let mut outbox = Outbox::default();
        outbox.push_chunk(&chunk(&updates), &SelfAddresses::default());
        outbox.advance(60);
        outbox.push_own(message(3, &[6, 2]).into());
        outbox.finish();
        let (written, _) = drain(&mut outbox, 1000, |_, _| {});
        assert_eq!(written, [&updates[1][11..], &message(3, &[6, 2])].concat());
    }

    #[test]
    fn own_messages_precede_a_keepalive_and_the_rib() {
        let mut outbox = Outbox::default();
        outbox.push_chunk(&chunk(&[message(2, &[0; 4])]), &SelfAddresses::default());
        outbox.push_keepalive();
        outbox.push_own(message(1, &[0; 10]).into());
        let (written, _) = drain(&mut outbox, 1000, |_, _| {});
        let kinds: Vec<u8> = split(&written).iter().map(|message| message[18]).collect();
        assert_eq!(kinds, [1, 4, 2]);
    }

    #[test]
    fn next_hop_fields_get_our_addresses_and_the_shared_bytes_stay() {
        let bytes = Bytes::from(vec![0xee; 80]);
        let field = |offset, len| NextHopField { offset, len };
        let chunk = Chunk {
            updates: 0,
            bytes: bytes.clone(),
            next_hops: Arc::new([field(2, 4), field(10, 16), field(40, 32), field(78, 4)]),
        };
        let addresses = SelfAddresses {
            ipv4: Some([192, 0, 2, 1].into()),
            ipv6: Some("2001:db8::1".parse().unwrap()),
            link_local: Some("fe80::1".parse().unwrap()),
        };
        let patched = with_next_hops(&chunk, &addresses);
        assert_eq!(patched[2..6], [192, 0, 2, 1]);
        assert_eq!(patched[10..26], addresses.ipv6.unwrap().octets());
        assert_eq!(patched[40..56], addresses.ipv6.unwrap().octets());
        assert_eq!(patched[56..72], addresses.link_local.unwrap().octets());
        assert_eq!(
            patched[72..],
            [0xee; 8],
            "a field that does not fit is left alone"
        );
        assert_eq!(bytes, vec![0xee; 80]);
    }

    fn split(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        while let Some((_, len)) = message_at(bytes) {
            let (message, rest) = bytes.split_at(len);
            messages.push(message.to_vec());
            bytes = rest;
        }
        messages
    }
}
