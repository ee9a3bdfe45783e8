//! Sessions of the load generator: many on one thread, each counting what it is told and when.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use bgp_codec::{Asn, Capability, Family, MessageType, Open, header};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt,
};

use crate::daemon::{LISTEN, address};

pub const ASN: u32 = 64_512;
/// The first octet of prefixes that come and go all the time, counted apart.
pub const PROBE: u8 = 203;
const KEEPALIVE: [u8; 19] = [
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 19, 4,
];
const KEEPALIVE_EVERY: Duration = Duration::from_millis(900);

/// What a session was told since [`Session::forget`].
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub announced: u64,
    pub withdrawn: u64,
    pub updates: u64,
    /// The latest UPDATE about something other than probes.
    pub last: Option<Instant>,
    /// Longest time between two UPDATEs.
    pub update_gap: Duration,
    /// Longest time between two messages.
    pub silence: Duration,
    latest_update: Option<Instant>,
    latest_message: Option<Instant>,
}

pub struct Session {
    socket: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    written: usize,
    pub established: bool,
    pub told: Told,
}

pub struct Sessions {
    pub all: Vec<Session>,
    keepalives: Instant,
    scratch: Vec<u8>,
}

impl Sessions {
    /// Connects so many peers and waits until all are Established.
    pub fn establish(count: usize) -> io::Result<Self> {
        let mut sessions = Self {
            all: (0..count).map(dial).collect::<io::Result<_>>()?,
            keepalives: Instant::now(),
            scratch: vec![0; 256 * 1024],
        };
        sessions.until(Duration::from_secs(20), "sessions", |all| {
            all.iter().all(|session| session.established)
        })?;
        Ok(sessions)
    }

    /// Reads and writes until the condition holds.
    pub fn until(
        &mut self,
        limit: Duration,
        what: &str,
        mut done: impl FnMut(&mut Vec<Session>) -> bool,
    ) -> io::Result<()> {
        let begun = Instant::now();
        while !done(&mut self.all) {
            self.turn(2)?;
            if begun.elapsed() > limit {
                return Err(io::Error::other(format!("not in {limit:?}: {what}")));
            }
        }
        Ok(())
    }

    /// Takes turns for so long.
    pub fn pass(&mut self, time: Duration) -> io::Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn(2)?;
        }
        Ok(())
    }

    pub fn forget(&mut self) {
        self.all.iter_mut().for_each(Session::forget);
    }

    /// Waits at most so many milliseconds and serves whoever has something.
    pub fn turn(&mut self, wait_ms: u8) -> io::Result<()> {
        if self.keepalives.elapsed() > KEEPALIVE_EVERY {
            self.keepalives = Instant::now();
            let up = self.all.iter_mut().filter(|session| session.established);
            up.for_each(|session| session.send(&KEEPALIVE));
        }
        let mut ready = Vec::with_capacity(self.all.len());
        {
            let mut polled: Vec<PollFd<'_>> = self
                .all
                .iter()
                .map(|session| {
                    let mut flags = PollFlags::POLLIN;
                    flags.set(PollFlags::POLLOUT, session.written < session.output.len());
                    PollFd::new(session.socket.as_fd(), flags)
                })
                .collect();
            poll(&mut polled, PollTimeout::from(wait_ms))?;
            ready.extend(polled.iter().map(|at| at.revents().unwrap_or(PollFlags::empty())));
        }
        for (session, ready) in self.all.iter_mut().zip(ready) {
            if ready.contains(PollFlags::POLLOUT) {
                session.flush()?;
            }
            if ready.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
                session.read(&mut self.scratch)?;
            }
        }
        Ok(())
    }
}

fn dial(number: usize) -> io::Result<Session> {
    let own = SocketAddr::from((address(number), 0));
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    let ipv4 = |address: SocketAddr| match address {
        SocketAddr::V4(address) => SockaddrIn::from(address),
        SocketAddr::V6(_) => unreachable!("addresses of the loopback interface"),
    };
    bind(socket.as_raw_fd(), &ipv4(own))?;
    connect(socket.as_raw_fd(), &ipv4(SocketAddr::from(LISTEN)))?;
    let socket = TcpStream::from(socket);
    socket.set_nodelay(true)?;
    socket.set_nonblocking(true)?;
    let open = Open {
        version: bgp_codec::open::VERSION,
        asn: Asn(ASN).to_two_octets(),
        hold_time: 3,
        bgp_identifier: address(number),
        capabilities: vec![
            Capability::Multiprotocol(Family::IPV4_UNICAST),
            Capability::FourOctetAsn(Asn(ASN)),
        ],
    };
    let mut output = Vec::new();
    open.encode(&mut output);
    Ok(Session {
        socket,
        input: Vec::new(),
        output,
        written: 0,
        established: false,
        told: Told::default(),
    })
}

impl Session {
    pub fn send(&mut self, octets: &[u8]) {
        self.output.extend_from_slice(octets);
    }

    fn forget(&mut self) {
        let Told {
            latest_update,
            latest_message,
            ..
        } = self.told;
        self.told = Told {
            latest_update,
            latest_message,
            ..Told::default()
        };
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.written < self.output.len() {
            match self.socket.write(&self.output[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.written = 0;
        Ok(())
    }

    fn read(&mut self, scratch: &mut [u8]) -> io::Result<()> {
        let count = match self.socket.read(scratch) {
            Ok(0) => return Err(io::Error::other("the daemon closed a session")),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let now = Instant::now();
        let mut input = std::mem::take(&mut self.input);
        input.extend_from_slice(&scratch[..count]);
        let mut rest = input.as_slice();
        while let Some(frame) = header::frame(rest, header::MAX_MESSAGE).map_err(io::Error::other)? {
            let (message, behind) = rest.split_at(frame.len);
            self.message(frame.kind, &message[header::HEADER_LEN..], now)?;
            rest = behind;
        }
        self.input = rest.to_vec();
        Ok(())
    }

    fn message(&mut self, kind: MessageType, body: &[u8], now: Instant) -> io::Result<()> {
        let told = &mut self.told;
        if let Some(before) = told.latest_message.replace(now) {
            told.silence = told.silence.max(now - before);
        }
        match kind {
            MessageType::Open => self.send(&KEEPALIVE),
            MessageType::Keepalive => self.established = true,
            MessageType::Update => {
                told.updates += 1;
                if let Some(before) = told.latest_update.replace(now) {
                    told.update_gap = told.update_gap.max(now - before);
                }
                let (withdrawn, announced) = counts(body);
                told.withdrawn += withdrawn;
                told.announced += announced;
                if withdrawn + announced > 0 {
                    told.last = Some(now);
                }
            }
            MessageType::Notification => {
                return Err(io::Error::other(format!("NOTIFICATION {:?}", body.get(..2))));
            }
            _ => {}
        }
        Ok(())
    }
}

/// Prefixes withdrawn and announced, probes apart.
fn counts(body: &[u8]) -> (u64, u64) {
    let length = |at: usize| usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
    let withdrawn = length(0);
    let attributes = length(2 + withdrawn);
    (
        prefixes(&body[2..2 + withdrawn]),
        prefixes(&body[4 + withdrawn + attributes..]),
    )
}

fn prefixes(mut nlri: &[u8]) -> u64 {
    let mut count = 0;
    while let [length, rest @ ..] = nlri {
        count += u64::from(rest.first() != Some(&PROBE));
        nlri = &rest[usize::from(*length).div_ceil(8)..];
    }
    count
}
