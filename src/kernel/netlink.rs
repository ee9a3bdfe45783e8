//! The sockets: one for requests and dumps, one that listens.
//!
//! The kernel handles rtnetlink requests while they are being sent, so the answers are there when `send` returns and the
//! request socket never has to wait. Many requests go out in one send, and only the last asks for an acknowledgement;
//! failures are answered in any case and are matched by their sequence number.

use std::io;
use std::time::Duration;

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket, Socket, TokioSocket};
use nix::sys::socket::{setsockopt, sockopt};

use super::fib::{Action, Operation, RouteOperation};
use super::wire::{
    self, Change, DumpScope, Message, Messages, NexthopChange, Target, encode_change, encode_dump,
    encode_nexthop, flags,
};

/// Requests in one send.
pub(crate) const BATCH: usize = 256;
/// Octets in one send; multipath routes are long.
const BATCH_BYTES: usize = 64 * 1024;
/// The kernel fills dump messages up to 32 KiB if the reader has room.
const READ_BUFFER: usize = 64 * 1024;
/// Answers to a whole batch of failures must fit.
const REQUEST_RECEIVE_BUFFER: usize = 4 * 1024 * 1024;
/// Notifications of a table that changes at once must fit.
const NOTIFICATION_RECEIVE_BUFFER: usize = 16 * 1024 * 1024;
/// Datagrams read before others get their turn.
const READ_AT_ONCE: usize = 256;
/// After a failure to open the sockets.
pub(crate) const REOPEN_AFTER: Duration = Duration::from_secs(1);

/// The socket for requests and dumps.
pub(crate) struct Requests {
    socket: Socket,
    port: u32,
    sequence: u32,
    out: Vec<u8>,
    buffer: Vec<u8>,
}

/// What a round of operations came to.
pub(crate) struct Answers {
    /// The outcome of each operation, in order; a positive errno for failures.
    pub(crate) results: Vec<Result<(), i32>>,
    /// The kernel's words on the last failure.
    pub(crate) text: Option<String>,
}

/// How far a dump has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Progress {
    /// More datagrams follow.
    More,
    /// That was all; a positive errno if the kernel gave up.
    Done(i32),
}

impl Requests {
    /// Opens the socket.
    ///
    /// # Errors
    ///
    /// The kernel refuses: no netlink in this sandbox, or out of descriptors.
    pub(crate) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        let port = socket.bind_auto()?.port_number();
        receive_buffer(&socket, REQUEST_RECEIVE_BUFFER)?;
        // Kernels before 4.20 lack one or the other; then dumps are filtered here and errors have no words.
        for unsupported in [
            socket.set_cap_ack(true),
            socket.set_ext_ack(true),
            socket.set_netlink_get_strict_chk(true),
        ] {
            if let Err(error) = unsupported {
                tracing::debug!(%error, "netlink option not supported");
            }
        }
        Ok(Self {
            socket,
            port,
            sequence: 0,
            out: Vec::new(),
            buffer: Vec::with_capacity(READ_BUFFER),
        })
    }

    /// The port that the kernel names in notifications of what this socket did.
    pub(crate) fn port(&self) -> u32 {
        self.port
    }

    /// Has the kernel do these operations on routes of `protocol`.
    ///
    /// # Errors
    ///
    /// The socket failed, or answers were lost: what was done is not known.
    pub(crate) fn run(&mut self, protocol: u8, operations: &[Operation]) -> io::Result<Answers> {
        let mut results = vec![Ok(()); operations.len()];
        let mut text = None;
        let (mut operations, mut rest) = (operations, results.as_mut_slice());
        while !operations.is_empty() {
            let sent = self.send_batch(protocol, operations)?;
            operations = operations.get(sent..).unwrap_or_default();
            let (batch, later) = rest.split_at_mut(sent);
            let first = self
                .sequence
                .wrapping_sub(u32::try_from(sent).unwrap_or(u32::MAX))
                .wrapping_add(1);
            self.read_answers(first, batch, &mut text)?;
            rest = later;
        }
        Ok(Answers { results, text })
    }

    /// Asks for a dump; read it with [`Requests::read_dump`] to its end.
    ///
    /// # Errors
    ///
    /// The socket failed.
    pub(crate) fn start_dump(&mut self, scope: DumpScope) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        self.out.clear();
        encode_dump(&mut self.out, scope, self.sequence);
        send(&self.socket, &self.out)
    }

    /// Reads one datagram of the dump; `sink` gets each message and whether the dump was interrupted.
    ///
    /// # Errors
    ///
    /// The socket failed, or answers were lost.
    pub(crate) fn read_dump(&mut self, mut sink: impl FnMut(Message, bool)) -> io::Result<Progress> {
        receive(&self.socket, &mut self.buffer)?;
        for (header, payload) in Messages::new(&self.buffer) {
            if header.sequence != self.sequence {
                continue;
            }
            let interrupted = header.flags & flags::DUMP_INTERRUPTED != 0;
            match wire::parse(header, payload) {
                Message::Done(errno) | Message::Answer { errno, .. } => {
                    sink(Message::Other, interrupted);
                    return Ok(Progress::Done(errno));
                }
                message @ (Message::Route(..)
                | Message::Link(..)
                | Message::Address(..)
                | Message::Nexthop(..)
                | Message::Overrun
                | Message::Other) => sink(message, interrupted),
            }
        }
        Ok(Progress::More)
    }

    /// Runs a whole dump at once.
    ///
    /// # Errors
    ///
    /// The socket failed, or the kernel refused.
    pub(crate) fn dump(&mut self, scope: DumpScope) -> io::Result<Vec<Message>> {
        const ATTEMPTS: usize = 8;
        for _ in 0..ATTEMPTS {
            let (mut messages, mut interrupted) = (Vec::new(), false);
            self.start_dump(scope)?;
            let errno = loop {
                let progress = self.read_dump(|message, missed| {
                    interrupted |= missed;
                    messages.push(message);
                })?;
                if let Progress::Done(errno) = progress {
                    break errno;
                }
            };
            match errno {
                0 if interrupted => {}
                0 => return Ok(messages),
                _ if is_empty_scope(scope, errno) => return Ok(Vec::new()),
                errno => return Err(io::Error::from_raw_os_error(errno)),
            }
        }
        Err(io::Error::from_raw_os_error(libc::EAGAIN))
    }

    /// Sends as many of the operations as fit one batch; how many.
    fn send_batch(&mut self, protocol: u8, operations: &[Operation]) -> io::Result<usize> {
        self.out.clear();
        let mut sent = 0;
        let mut last = operations.iter().take(BATCH).peekable();
        while let Some(operation) = last.next() {
            self.sequence = self.sequence.wrapping_add(1);
            sent += 1;
            let is_last = last.peek().is_none() || self.out.len() >= BATCH_BYTES;
            encode(&mut self.out, protocol, operation, self.sequence, is_last);
            if is_last {
                break;
            }
        }
        send(&self.socket, &self.out)?;
        Ok(sent)
    }

    fn read_answers(
        &mut self,
        first: u32,
        batch: &mut [Result<(), i32>],
        words: &mut Option<String>,
    ) -> io::Result<()> {
        loop {
            receive(&self.socket, &mut self.buffer)?;
            for (header, payload) in Messages::new(&self.buffer) {
                let Message::Answer { errno, text } = wire::parse(header, payload) else {
                    continue;
                };
                let place = usize::try_from(header.sequence.wrapping_sub(first)).ok();
                let Some(result) = place.and_then(|place| batch.get_mut(place)) else {
                    continue;
                };
                if errno != 0 {
                    *result = Err(errno);
                    *words = text.or_else(|| words.take());
                }
                if header.sequence == self.sequence {
                    return Ok(());
                }
            }
        }
    }
}

/// A table that nobody has used, or an interface that is gone, has no routes; an old kernel has no nexthop objects.
pub(crate) fn is_empty_scope(scope: DumpScope, errno: i32) -> bool {
    match scope {
        DumpScope::Routes { .. } => matches!(errno, libc::ENOENT | libc::ENODEV),
        // Kernels before 5.3 have no nexthop objects.
        DumpScope::Nexthops => matches!(errno, libc::EOPNOTSUPP | libc::EINVAL),
        DumpScope::Links | DumpScope::Addresses => false,
    }
}

fn encode(out: &mut Vec<u8>, protocol: u8, operation: &Operation, sequence: u32, acknowledge: bool) {
    match operation {
        Operation::Route(route) => {
            let (table, prefix) = route.key;
            let key = (table, prefix, route.metric, &route.stamp);
            encode_change(out, key, change_of(route), sequence, acknowledge);
        }
        Operation::Nexthop(nexthop) => {
            let change = match &nexthop.leads {
                Some(leads) if nexthop.replace => NexthopChange::Replace(leads),
                Some(leads) => NexthopChange::Create(leads),
                None => NexthopChange::Delete,
            };
            encode_nexthop(out, (nexthop.id, protocol), change, sequence, acknowledge);
        }
    }
}

fn change_of(route: &RouteOperation) -> Change<'_> {
    let target = match route.nexthop {
        0 => Target::Hops(&route.form),
        id => Target::Nexthop(id),
    };
    match route.action {
        Action::Create => Change::Create(target),
        Action::Replace => Change::Replace(target),
        Action::Delete => Change::Delete,
    }
}

/// The socket that listens.
pub(crate) struct Notifications {
    socket: TokioSocket,
    buffer: Vec<u8>,
    /// Another datagram has come right behind the last one.
    burst: bool,
}

impl Notifications {
    /// Subscribes to links, addresses, routes and nexthop objects; what `port` itself causes is dropped in the kernel.
    ///
    /// # Errors
    ///
    /// The kernel refuses, or there is no runtime.
    pub(crate) fn open(port: u32) -> io::Result<Self> {
        const LINK: u32 = 1;
        const IPV4_IFADDR: u32 = 5;
        const IPV4_ROUTE: u32 = 7;
        const IPV6_IFADDR: u32 = 9;
        const IPV6_ROUTE: u32 = 11;
        const NEXTHOP: u32 = 32;
        let mut notifications = Self {
            socket: TokioSocket::new(NETLINK_ROUTE)?,
            buffer: Vec::with_capacity(READ_BUFFER),
            burst: false,
        };
        let socket = notifications.socket.socket_mut();
        socket.bind_auto()?;
        receive_buffer(socket, NOTIFICATION_RECEIVE_BUFFER)?;
        drop_echo(socket, port)?;
        for group in [LINK, IPV4_IFADDR, IPV6_IFADDR, IPV4_ROUTE, IPV6_ROUTE] {
            socket.add_membership(group)?;
        }
        if let Err(error) = socket.add_membership(NEXTHOP) {
            tracing::debug!(%error, "this kernel has no nexthop objects");
        }
        Ok(notifications)
    }

    /// Waits for a datagram; [`Notifications::read`] reads it and what came with it. Nothing is lost if it is dropped.
    ///
    /// # Errors
    ///
    /// The socket failed, or (ENOBUFS) notifications were lost.
    pub(crate) async fn wait(&mut self) -> io::Result<()> {
        let Self {
            socket,
            buffer,
            burst,
        } = self;
        buffer.clear();
        std::future::poll_fn(|context| {
            let received = socket.poll_recv(context, buffer);
            *burst &= received.is_ready();
            received
        })
        .await
    }

    /// Reads what is there, up to a bound, beginning with what [`Notifications::wait`] came to; an overrun is a message
    /// as well.
    ///
    /// One that comes alone is read alone: whoever is to be told of it does not wait for a second read that finds nothing.
    /// The next wait finds out whether there is more.
    ///
    /// # Errors
    ///
    /// The socket failed.
    pub(crate) fn read(&mut self, waited: io::Result<()>, mut sink: impl FnMut(Message)) -> io::Result<()> {
        let mut received = waited;
        let mut left = READ_AT_ONCE;
        loop {
            match received {
                Ok(()) => {
                    for (header, payload) in Messages::new(&self.buffer) {
                        sink(wire::parse(header, payload));
                    }
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => sink(Message::Overrun),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
            left -= 1;
            if left == 0 || !std::mem::replace(&mut self.burst, true) {
                return Ok(());
            }
            received = receive(self.socket.socket_ref(), &mut self.buffer);
        }
    }
}

/// A classic BPF program: drop what carries our port in `nlmsg_pid`, at offset 12 of the header.
fn drop_echo(socket: &Socket, port: u32) -> io::Result<()> {
    use socket2::SockFilter;
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    // BPF loads words in network order.
    let port = u32::from_be_bytes(port.to_ne_bytes());
    socket2::SockRef::from(socket).attach_filter(&[
        SockFilter::new(LOAD_WORD, 0, 0, 12),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, port),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}

/// Beyond `rmem_max` where privileges allow it.
fn receive_buffer(socket: &Socket, bytes: usize) -> io::Result<()> {
    if setsockopt(socket, sockopt::RcvBufForce, &bytes).is_err() {
        setsockopt(socket, sockopt::RcvBuf, &bytes)?;
    }
    Ok(())
}

fn send(socket: &Socket, bytes: &[u8]) -> io::Result<()> {
    loop {
        match socket.send(bytes, 0) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads one datagram into the emptied buffer. Never waits: answers are there, or they are lost.
fn receive(socket: &Socket, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.clear();
    loop {
        match socket.recv(buffer, libc::MSG_DONTWAIT) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
