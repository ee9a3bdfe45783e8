//! A check that asks a name server: one question over UDP, any answer without an error passes.
//!
//! The answer must be to our question: id, the response bit, and the question itself are compared (RFC 5452 §9).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::UdpSocket;

use super::health::ProbeError;
use super::settings::{DnsKind, DnsProbe};

/// Octets of an answer that are read; RFC 1035 §4.2.1 has no longer ones without EDNS.
const LONGEST: usize = 512;
const HEADER: usize = 12;
/// Recursion desired, RFC 1035 §4.1.1.
const RECURSION: u8 = 0x01;
const RESPONSE: u8 = 0x80;
const TRUNCATED: u8 = 0x02;
const CLASS_IN: u16 = 1;

impl DnsKind {
    /// QTYPE, RFC 1035 §3.2.2 and RFC 3596 §2.1.
    const fn code(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Soa => 6,
            Self::Aaaa => 28,
        }
    }
}

impl fmt::Display for DnsKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Soa => "SOA",
        })
    }
}

/// Asks once; waits for an answer as long as it is let.
pub(super) async fn ask(probe: &DnsProbe, id: u16) -> Result<String, ProbeError> {
    let own = match probe.server {
        SocketAddr::V4(_) => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        SocketAddr::V6(_) => SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
    };
    let socket = UdpSocket::bind(own).await.map_err(ProbeError::Connect)?;
    socket.connect(probe.server).await.map_err(ProbeError::Connect)?;
    let question = question(probe, id);
    socket.send(&question).await.map_err(ProbeError::Connect)?;
    let mut buffer = [0; LONGEST];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(ProbeError::Connect)?;
        let answer = buffer.get(..length).unwrap_or_default();
        // What answers no question of ours is ignored, as by any resolver.
        if let Some(answer) = read(answer, &question) {
            return judge(probe.kind, &answer);
        }
    }
}

/// A query with one question, RFC 1035 §4.1.
fn question(probe: &DnsProbe, id: u16) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER + probe.name.len() + 6);
    message.extend(id.to_be_bytes());
    message.extend([RECURSION, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in probe.name.split('.').filter(|label| !label.is_empty()) {
        message.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
        message.extend(label.bytes());
    }
    message.push(0);
    message.extend(probe.kind.code().to_be_bytes());
    message.extend(CLASS_IN.to_be_bytes());
    message
}

/// What matters of an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Answer {
    response_code: u8,
    records: u16,
    truncated: bool,
}

/// The answer, if it is one to the question.
fn read(message: &[u8], question: &[u8]) -> Option<Answer> {
    let (header, body) = message.split_at_checked(HEADER)?;
    let [id_high, id_low, flags, more, 0, 1, high, low, ..] = *header else {
        return None;
    };
    let (asked_header, asked) = question.split_at_checked(HEADER)?;
    let same_id = asked_header.starts_with(&[id_high, id_low]);
    let repeated = body.get(..asked.len())?.eq_ignore_ascii_case(asked);
    (same_id && repeated && flags & RESPONSE != 0).then_some(Answer {
        response_code: more & 0x0f,
        records: u16::from_be_bytes([high, low]),
        truncated: flags & TRUNCATED != 0,
    })
}

fn judge(kind: DnsKind, answer: &Answer) -> Result<String, ProbeError> {
    let said = match answer.response_code {
        0 => "NOERROR",
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        _ => "an error",
    };
    if answer.response_code != 0 {
        return Err(ProbeError::Dns(said));
    }
    let enough = kind == DnsKind::Soa || answer.records > 0 || answer.truncated;
    if enough {
        Ok(format!("{said}, {} records", answer.records))
    } else {
        Err(ProbeError::Dns("NOERROR without such a record"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_laid_out_as_rfc_1035_has_it() {
        assert_eq!(
            question(&probe(DnsKind::Aaaa), 0x1234),
            b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04shop\x07example\x00\x00\x1c\x00\x01"
        );
    }

    #[test]
    fn only_an_answer_to_the_question_is_one() {
        let asked = question(&probe(DnsKind::A), 7);
        let good = answer(&asked, 0, 1);
        assert!(read(&good, &asked).is_some());
        assert_eq!(read(&asked, &asked), None, "a question is no answer");
        for index in [0, 1, 13, 25] {
            let mut other = good.clone();
            other[index] ^= 0x0f;
            assert_eq!(read(&other, &asked), None, "octet {index}");
        }
        for length in 0..good.len() {
            assert_eq!(read(&good[..length], &asked), None, "cut to {length}");
        }
        let mut shouted = good;
        shouted[13..17].copy_from_slice(b"SHOP");
        assert!(read(&shouted, &asked).is_some(), "names have no case");
    }

    #[test]
    fn an_error_or_no_record_fails() {
        let asked = question(&probe(DnsKind::A), 7);
        let said = |code, records, kind| {
            let answer = read(&answer(&asked, code, records), &asked).unwrap();
            judge(kind, &answer).map_err(|error| error.to_string())
        };
        assert_eq!(said(0, 2, DnsKind::A), Ok("NOERROR, 2 records".into()));
        assert_eq!(said(3, 0, DnsKind::A), Err("NXDOMAIN".into()));
        assert_eq!(said(2, 0, DnsKind::Soa), Err("SERVFAIL".into()));
        assert_eq!(
            said(0, 0, DnsKind::A),
            Err("NOERROR without such a record".into())
        );
        assert_eq!(said(0, 0, DnsKind::Soa), Ok("NOERROR, 0 records".into()));
    }

    fn answer(asked: &[u8], code: u8, records: u8) -> Vec<u8> {
        let mut message = asked.to_vec();
        message[2] |= RESPONSE;
        message[3] = 0x80 | code;
        message[7] = records;
        message
    }

    fn probe(kind: DnsKind) -> DnsProbe {
        DnsProbe {
            server: ([127, 0, 0, 1], 53).into(),
            name: "shop.example".into(),
            kind,
        }
    }
}
