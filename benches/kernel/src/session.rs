//! The peer: a BGP session that says what it was told to, and notes when prefixes come.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::lab::{DUT, PEERS, within};

const ASN: u16 = 64_512;
const OPEN: u8 = 1;
const UPDATE: u8 = 2;
const NOTIFICATION: u8 = 3;
const KEEPALIVE: u8 = 4;
const HEADER: usize = 19;
/// Prefixes with the same attributes.
const ALIKE: usize = 100;
const PATIENCE: Duration = Duration::from_secs(120);

/// Prefixes that one UPDATE announced, and when they were read.
pub struct Heard {
    pub at: Instant,
    pub prefixes: Vec<(u32, u8)>,
}

/// An Established session.
pub struct Session {
    stream: TcpStream,
    pub heard: Receiver<Heard>,
    pub established: Instant,
}

impl Session {
    /// Connects from the namespace of the peers until the daemon answers.
    pub fn connect(namespace: &str, index: usize) -> Result<Self> {
        within(namespace, move || Self::establish(index))?
    }

    fn establish(index: usize) -> Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Self::attempt(index) {
                Ok(session) => return Ok(session),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    fn attempt(index: usize) -> Result<Self> {
        let mut stream = TcpStream::connect(SocketAddr::from((DUT[index], 179)))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(&open(Ipv4Addr::from(PEERS[index])))?;
        let mut opened = false;
        loop {
            match read_message(&mut stream)? {
                (OPEN, _) => {
                    stream.write_all(&message(KEEPALIVE, &[]))?;
                    opened = true;
                }
                (KEEPALIVE, _) if opened => break,
                (kind, body) => bail!("message {kind} {body:02x?} before the session is up"),
            }
        }
        let established = Instant::now();
        stream.set_read_timeout(None)?;
        let (sender, heard) = channel();
        let mut reading = stream.try_clone()?;
        std::thread::spawn(move || {
            while let Ok((kind, body)) = read_message(&mut reading) {
                let at = Instant::now();
                match kind {
                    UPDATE => {
                        // Nobody listens any more: the session is about to close.
                        sender
                            .send(Heard {
                                at,
                                prefixes: announced(&body),
                            })
                            .ok();
                    }
                    NOTIFICATION => return,
                    _ => {}
                }
            }
        });
        let mut writing = stream.try_clone()?;
        std::thread::spawn(move || {
            let keepalive = message(KEEPALIVE, &[]);
            while writing.write_all(&keepalive).is_ok() {
                std::thread::sleep(Duration::from_secs(20));
            }
        });
        Ok(Self {
            stream,
            heard,
            established,
        })
    }

    /// Writes whole messages.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream
            .write_all(bytes)
            .context("the daemon closed the session")
    }

    /// Waits for the next UPDATE that announces something.
    pub fn hear(&self) -> Result<Heard> {
        loop {
            match self.heard.recv_timeout(PATIENCE) {
                Ok(heard) if heard.prefixes.is_empty() => {}
                Ok(heard) => return Ok(heard),
                Err(RecvTimeoutError::Timeout) => bail!("nothing was announced"),
                Err(RecvTimeoutError::Disconnected) => bail!("the daemon closed the session"),
            }
        }
    }

    /// Says goodbye: its routes go at once.
    pub fn close(mut self) -> Result<()> {
        self.send(&message(NOTIFICATION, &[6, 2]))?;
        self.stream.shutdown(std::net::Shutdown::Write)?;
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The reader ends with the stream.
        self.stream.shutdown(std::net::Shutdown::Both).ok();
    }
}

/// UPDATEs that announce these prefixes through the peer's own address.
pub fn updates(index: usize, prefixes: &[(u32, u8)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (group, prefixes) in prefixes.chunks(ALIKE).enumerate() {
        let origin_as = 4_200_000_000 + group as u32;
        let mut attributes = vec![0x40, 1, 1, 0, 0x40, 2, 10, 2, 2];
        attributes.extend(65_010_u32.to_be_bytes());
        attributes.extend(origin_as.to_be_bytes());
        attributes.extend([0x40, 3, 4]);
        attributes.extend(PEERS[index]);
        attributes.extend([0x40, 5, 4, 0, 0, 0, 100]);
        let mut body = vec![0, 0];
        body.extend((attributes.len() as u16).to_be_bytes());
        body.extend(attributes);
        for &(address, length) in prefixes {
            body.push(length);
            body.extend(&address.to_be_bytes()[..usize::from(length.div_ceil(8))]);
        }
        out.extend(message(UPDATE, &body));
    }
    out.extend(message(UPDATE, &[0; 4]));
    out
}

fn open(identifier: Ipv4Addr) -> Vec<u8> {
    let mut capabilities = vec![1, 4, 0, 1, 0, 1, 65, 4];
    capabilities.extend(u32::from(ASN).to_be_bytes());
    let mut body = vec![4];
    body.extend(ASN.to_be_bytes());
    body.extend(90_u16.to_be_bytes());
    body.extend(identifier.octets());
    body.extend([capabilities.len() as u8 + 2, 2, capabilities.len() as u8]);
    body.extend(capabilities);
    message(OPEN, &body)
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0xff; 16];
    out.extend(((HEADER + body.len()) as u16).to_be_bytes());
    out.push(kind);
    out.extend(body);
    out
}

fn read_message(stream: &mut TcpStream) -> Result<(u8, Vec<u8>)> {
    let mut header = [0; HEADER];
    stream.read_exact(&mut header)?;
    let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
    let mut body = vec![0; length.saturating_sub(HEADER)];
    stream.read_exact(&mut body)?;
    Ok((header[18], body))
}

/// The NLRI of an UPDATE; IPv4 is in its own field, no attribute has any here.
fn announced(body: &[u8]) -> Vec<(u32, u8)> {
    let field = |at: usize| usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
    let attributes = 2 + field(0);
    let mut rest = &body[attributes + 2 + field(attributes)..];
    let mut prefixes = Vec::new();
    while let [length, more @ ..] = rest {
        let octets = usize::from(length.div_ceil(8));
        let mut address = [0; 4];
        address[..octets].copy_from_slice(&more[..octets]);
        prefixes.push((u32::from_be_bytes(address), *length));
        rest = &more[octets..];
    }
    prefixes
}
