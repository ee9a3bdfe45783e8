//! A peer made of a bare socket: octets as the scenario wants them, messages as they come.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use bgp_codec::{Asn, Capability, Family, Open};
use socket2::{Domain, Socket, Type};

/// How long a message may take.
const REPLY: Duration = Duration::from_secs(20);

/// Message types, RFC 4271 §4.1.
pub(crate) const OPEN: u8 = 1;
pub(crate) const UPDATE: u8 = 2;
pub(crate) const NOTIFICATION: u8 = 3;
pub(crate) const KEEPALIVE: u8 = 4;

/// One connection.
pub(crate) struct Raw(TcpStream);

impl Raw {
    /// Connects to port 179 of `to`; whatever is sent has this TTL.
    pub(crate) fn connect(from: Ipv4Addr, to: Ipv4Addr, ttl: u32) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_ttl_v4(ttl)?;
        socket.bind(&SocketAddr::new(IpAddr::V4(from), 0).into())?;
        socket.connect_timeout(&SocketAddr::new(IpAddr::V4(to), 179).into(), REPLY)?;
        Self::over(socket.into())
    }

    /// Takes a connection that stands.
    pub(crate) fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(REPLY))?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    pub(crate) fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.0.write_all(octets)
    }

    /// The next message: its type and body.
    pub(crate) fn next(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 19];
        self.0.read_exact(&mut head)?;
        let length = usize::from(u16::from_be_bytes([head[16], head[17]]));
        let mut body = vec![0; length.saturating_sub(head.len())];
        self.0.read_exact(&mut body)?;
        Ok((head[18], body))
    }

    /// Reads until a message of this type, and yields its body.
    pub(crate) fn until(&mut self, wanted: u8) -> io::Result<Vec<u8>> {
        loop {
            match self.next()? {
                (kind, body) if kind == wanted => return Ok(body),
                (NOTIFICATION, body) => {
                    return Err(io::Error::other(format!("NOTIFICATION {body:?}")));
                }
                _ => {}
            }
        }
    }

    /// Whether nothing of this type comes for so long.
    pub(crate) fn is_without(&mut self, unwanted: u8, time: Duration) -> io::Result<bool> {
        self.0.set_read_timeout(Some(time))?;
        let silent = loop {
            match self.next() {
                Ok((kind, _)) if kind == unwanted => break false,
                Ok(_) => {}
                Err(_) => break true,
            }
        };
        self.0.set_read_timeout(Some(REPLY))?;
        Ok(silent)
    }

    /// Does what a peer does until the session stands.
    pub(crate) fn establish(&mut self, open: &[u8]) -> io::Result<()> {
        self.send(open)?;
        self.until(OPEN)?;
        self.send(&message(KEEPALIVE, &[]))?;
        self.until(KEEPALIVE).map(drop)
    }
}

/// The OPEN of a peer that can do the usual.
pub(crate) fn open(asn: u32, bgp_identifier: Ipv4Addr) -> Vec<u8> {
    let mut octets = Vec::new();
    Open {
        version: 4,
        asn: Asn(asn).to_two_octets(),
        hold_time: 90,
        bgp_identifier,
        capabilities: vec![
            Capability::Multiprotocol(Family::IPV4_UNICAST),
            Capability::RouteRefresh,
            Capability::FourOctetAsn(Asn(asn)),
        ],
    }
    .encode(&mut octets);
    octets
}

/// A message of any type with any body.
pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut octets = vec![0xff; 16];
    let length = u16::try_from(19 + body.len()).expect("it fits a message");
    octets.extend(length.to_be_bytes());
    octets.push(kind);
    octets.extend(body);
    octets
}

/// An UPDATE from its withdrawn prefixes, attributes and prefixes.
pub(crate) fn update(withdrawn: &[u8], attributes: &[&[u8]], nlri: &[u8]) -> Vec<u8> {
    let attributes = attributes.concat();
    let mut body = Vec::new();
    for part in [withdrawn, &attributes] {
        body.extend(u16::try_from(part.len()).expect("it fits").to_be_bytes());
        body.extend(part);
    }
    body.extend(nlri);
    message(UPDATE, &body)
}
