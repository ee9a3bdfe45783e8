//! Echo requests, as `ping` sends them.

use std::{
    io::{self, Read as _},
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::time::Instant;

const REPLY: u8 = 0;
const REQUEST: u8 = 8;

/// What a request carries besides its header.
const PAYLOAD: &[u8; 24] = b"stonechat: a small chat ";

/// The longest packet looked at.
const LONGEST: usize = 512;

/// A reply that came back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Echo {
    /// How many hops it may still have taken.
    pub(super) ttl: u8,
    /// From request to reply.
    pub(super) time: Duration,
}

/// Sends one request and awaits its reply; `None` after `patience`.
///
/// # Errors
/// When there is no raw socket to be had.
pub(super) fn ping(to: Ipv4Addr, patience: Duration) -> io::Result<Option<Echo>> {
    let mut socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?;
    let identifier = u16::try_from(std::process::id() & 0xffff).unwrap_or_default();
    let started = Instant::now();
    // No route is silence too: it may come.
    match socket.send_to(&request(identifier), &SocketAddr::new(to.into(), 0).into()) {
        Ok(_) => {}
        Err(error) if unreachable(&error) => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut packet = [0; LONGEST];
    loop {
        let Some(left) = patience
            .checked_sub(started.elapsed())
            .filter(|left| !left.is_zero())
        else {
            return Ok(None);
        };
        socket.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        match socket.read(&mut packet) {
            Ok(length) => {
                let ttl = packet
                    .get(..length)
                    .and_then(|packet| reply(packet, to, identifier));
                if let Some(ttl) = ttl {
                    return Ok(Some(Echo {
                        ttl,
                        time: started.elapsed(),
                    }));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn unreachable(error: &io::Error) -> bool {
    use io::ErrorKind::{HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), HostUnreachable | NetworkUnreachable)
}

/// An echo request, RFC 792.
fn request(identifier: u16) -> Vec<u8> {
    let mut message = vec![REQUEST, 0, 0, 0];
    message.extend_from_slice(&identifier.to_be_bytes());
    message.extend_from_slice(&1_u16.to_be_bytes());
    message.extend_from_slice(PAYLOAD);
    let sum = checksum(&message).to_be_bytes();
    message.splice(2..4, sum);
    message
}

/// The TTL of an IPv4 packet if it is the awaited reply.
fn reply(packet: &[u8], from: Ipv4Addr, identifier: u16) -> Option<u8> {
    let header_length = usize::from(packet.first()? & 0x0f) * 4;
    let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    let message = packet.get(header_length..)?;
    let is_reply = message.first() == Some(&REPLY)
        && message.get(4..6)? == identifier.to_be_bytes()
        && Ipv4Addr::from(source) == from;
    is_reply.then(|| packet.get(8).copied())?
}

/// The internet checksum, RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match pair {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        [high] => u32::from(u16::from_be_bytes([*high, 0])),
        _ => 0,
    });
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !u16::try_from(folded).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_sums_to_zero() {
        assert_eq!(checksum(&request(0x1234)), 0);
    }

    #[test]
    fn only_the_awaited_reply_counts() {
        let from = Ipv4Addr::new(172, 16, 99, 99);
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 62, 1, 0, 0];
        packet.extend_from_slice(&from.octets());
        packet.extend_from_slice(&[10, 244, 0, 76]);
        packet.extend_from_slice(&[REPLY, 0, 0, 0, 0x12, 0x34, 0, 1]);
        assert_eq!(reply(&packet, from, 0x1234), Some(62));
        assert_eq!(reply(&packet, from, 0x1235), None);
        assert_eq!(reply(&packet, Ipv4Addr::LOCALHOST, 0x1234), None);
        assert_eq!(reply(&packet[..15], from, 0x1234), None);
    }
}
