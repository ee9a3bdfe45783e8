//! All sessions on one thread and one clock, driven by epoll.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrIn, setsockopt, sockopt};

use crate::ledger::Expected;
use crate::session::{Identity, Session, State};

/// Where daemons listen.
pub const PORT: u16 = 179;
const SCRATCH: usize = 512 * 1024;
/// Octets read from one session before the next has its turn.
const READ: usize = 256 * 1024;
/// A refused connection is tried again after this.
const RETRY: Duration = Duration::from_millis(50);
/// The receive buffer of who reads slowly.
const SMALL_BUFFER: usize = 4096;
const SIGNAL: u64 = u64::MAX;

/// Why a run cannot go on.
#[derive(Debug)]
pub enum Trouble {
    /// Somebody asked the benchmark to end.
    Interrupted,
    Io(io::Error),
    /// What was waited for did not come in time.
    Late(String),
    /// A session ended by itself.
    Lost(String),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Interrupted => f.write_str("interrupted"),
            Self::Io(error) => write!(f, "{error}"),
            Self::Late(what) => write!(f, "not in time: {what}"),
            Self::Lost(what) => write!(f, "session lost: {what}"),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Errno> for Trouble {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

pub struct Engine {
    epoll: Epoll,
    signals: SignalFd,
    pub sessions: Vec<Session>,
    pub expected: Expected,
    daemon: Ipv4Addr,
    scratch: Vec<u8>,
    /// Whether epoll tells a session when it can write.
    writing: Vec<bool>,
    retry: Vec<(Instant, usize)>,
    keepalives_due: Instant,
    keepalive_every: Duration,
}

impl Engine {
    pub fn new(daemon: Ipv4Addr, sessions: Vec<Session>, expected: Expected) -> Result<Self, Trouble> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let mut wanted = SigSet::empty();
        wanted.add(Signal::SIGTERM);
        wanted.add(Signal::SIGINT);
        wanted.thread_block()?;
        let signals = SignalFd::with_flags(&wanted, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        epoll.add(signals.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, SIGNAL))?;
        let hold = sessions
            .iter()
            .map(|session| session.identity.hold_time_s)
            .min()
            .unwrap_or(90);
        let keepalive_every = Duration::from_secs(u64::from(hold.max(3))) / 3;
        let writing = vec![false; sessions.len()];
        Ok(Self {
            epoll,
            signals,
            sessions,
            expected,
            daemon,
            scratch: vec![0; SCRATCH],
            writing,
            retry: Vec::new(),
            keepalives_due: Instant::now() + keepalive_every,
            keepalive_every,
        })
    }

    /// Connects a session.
    pub fn connect(&mut self, at: usize) -> Result<(), Trouble> {
        let socket = dial(&self.sessions[at].identity, self.daemon)?;
        self.epoll.add(
            &socket,
            EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT, at as u64),
        )?;
        self.writing[at] = true;
        self.sessions[at].connecting(TcpStream::from(socket));
        Ok(())
    }

    /// Connects some sessions and waits until they are Established; a refused connection is tried again. Yields how long
    /// that took.
    pub fn establish(&mut self, which: &[usize], limit: Duration) -> Result<Duration, Trouble> {
        let start = Instant::now();
        for at in which {
            self.connect(*at)?;
        }
        let established = |engine: &Self| {
            which
                .iter()
                .all(|at| engine.sessions[*at].state == State::Established)
        };
        while !established(self) {
            self.turn(Duration::from_millis(5))?;
            let now = Instant::now();
            if now - start > limit {
                let up = which
                    .iter()
                    .filter(|at| self.sessions[**at].state == State::Established)
                    .count();
                let last = which
                    .iter()
                    .map(|at| &self.sessions[*at].state)
                    .find(|state| **state != State::Established);
                return Err(Trouble::Late(format!(
                    "{up} of {} sessions established, another is {last:?}",
                    which.len()
                )));
            }
            for at in which {
                let ended = matches!(self.sessions[*at].state, State::Ended(_));
                if ended && !self.retry.iter().any(|(_, waiting)| waiting == at) {
                    self.retry.push((now + RETRY, *at));
                }
            }
            let due: Vec<usize> = self
                .retry
                .extract_if(.., |(when, _)| *when <= now)
                .map(|(_, at)| at)
                .collect();
            for at in due {
                self.connect(at)?;
            }
        }
        Ok(start.elapsed())
    }

    /// Closes a session without a word, as a dead host does not but a stopped process does.
    pub fn close(&mut self, at: usize) {
        if let Some(socket) = self.sessions[at].socket.take() {
            let _gone = self.epoll.delete(&socket);
        }
        self.sessions[at].state = State::Idle;
    }

    /// One round: waits at most `wait`, then serves every session that has something to do.
    pub fn turn(&mut self, wait: Duration) -> Result<(), Trouble> {
        let mut events = [EpollEvent::empty(); 256];
        // Rounded up: a wait of less than a millisecond is not to become a spin that nobody asked for.
        let wait = u16::try_from(wait.as_micros().div_ceil(1_000)).unwrap_or(u16::MAX);
        let count = match self.epoll.wait(&mut events, EpollTimeout::from(wait)) {
            Err(Errno::EINTR) => 0,
            other => other?,
        };
        for event in &events[..count] {
            if event.data() == SIGNAL {
                let _which = self.signals.read_signal()?;
                return Err(Trouble::Interrupted);
            }
            self.serve(event.data() as usize, event.events());
        }
        if Instant::now() >= self.keepalives_due {
            self.keepalives_due += self.keepalive_every;
            for at in 0..self.sessions.len() {
                if self.sessions[at].state == State::Established {
                    self.sessions[at].send_keepalive();
                    self.flush(at);
                }
            }
        }
        Ok(())
    }

    fn serve(&mut self, at: usize, events: EpollFlags) {
        let session = &mut self.sessions[at];
        let mut outcome = Ok(());
        let hung_up = EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
        if session.state == State::Connecting {
            let failed = session
                .socket
                .as_ref()
                .and_then(|socket| socket.take_error().ok().flatten());
            outcome = match failed {
                Some(error) => Err(error),
                None if events.contains(EpollFlags::EPOLLOUT) => session.connected(),
                None => Ok(()),
            };
        } else if session.throttled {
            if events.intersects(hung_up) {
                outcome = Err(io::ErrorKind::ConnectionReset.into());
            }
        } else if events.intersects(EpollFlags::EPOLLIN | hung_up) {
            outcome = session
                .read_some(&mut self.scratch, READ, &mut self.expected)
                .map(drop);
        }
        match outcome {
            Ok(()) => self.flush(at),
            Err(error) => self.end(at, &error),
        }
    }

    /// Reads at most `limit` octets from a throttled session.
    pub fn sip(&mut self, at: usize, limit: usize) -> usize {
        match self.sessions[at].read_some(&mut self.scratch, limit, &mut self.expected) {
            Ok(count) => count,
            Err(error) => {
                self.end(at, &error);
                0
            }
        }
    }

    /// Leaves a session's socket unread from here on, or reads it again.
    pub fn throttle(&mut self, at: usize, throttled: bool) {
        self.sessions[at].throttled = throttled;
        self.interest(at);
    }

    /// Writes what a session has queued, and asks to be told when the rest can go.
    pub fn flush(&mut self, at: usize) {
        let session = &mut self.sessions[at];
        if session.state != State::Connecting
            && session.wants_to_write()
            && let Err(error) = session.flush()
        {
            self.end(at, &error);
            return;
        }
        if self.sessions[at].wants_to_write() != self.writing[at] {
            self.interest(at);
        }
    }

    fn interest(&mut self, at: usize) {
        let session = &self.sessions[at];
        let mut flags = EpollFlags::empty();
        flags.set(EpollFlags::EPOLLIN, !session.throttled);
        flags.set(EpollFlags::EPOLLOUT, session.wants_to_write());
        self.writing[at] = session.wants_to_write();
        if let Some(socket) = &session.socket {
            let changed = self.epoll.modify(socket, &mut EpollEvent::new(flags, at as u64));
            if let Err(errno) = changed {
                self.end(at, &errno.into());
            }
        }
    }

    fn end(&mut self, at: usize, error: &io::Error) {
        let session = &mut self.sessions[at];
        if let Some(socket) = session.socket.take() {
            let _gone = self.epoll.delete(&socket);
        }
        if !matches!(session.state, State::Ended(_)) {
            session.state = State::Ended(format!("{error} in {:?}", session.state));
        }
    }

    /// Takes turns until `done` or the limit; a session that ends fails it.
    pub fn run_until(
        &mut self,
        limit: Duration,
        what: &str,
        mut done: impl FnMut(&mut Self) -> bool,
    ) -> Result<(), Trouble> {
        let start = Instant::now();
        while !done(self) {
            self.turn(Duration::from_millis(20))?;
            if start.elapsed() > limit {
                return Err(Trouble::Late(what.to_owned()));
            }
            self.all_alive()?;
        }
        Ok(())
    }

    /// Takes turns for a while.
    pub fn run_for(&mut self, time: Duration) -> Result<(), Trouble> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn(Duration::from_millis(5))?;
        }
        self.all_alive()
    }

    /// Fails if a session has ended.
    pub fn all_alive(&self) -> Result<(), Trouble> {
        for session in &self.sessions {
            if let State::Ended(reason) = &session.state {
                return Err(Trouble::Lost(format!("{}: {reason}", session.identity.address)));
            }
        }
        Ok(())
    }

    /// Whether every receiver holds what it should.
    pub fn complete(&self) -> bool {
        self.sessions
            .iter()
            .filter_map(|session| session.ledger.as_ref())
            .all(crate::ledger::Ledger::complete)
    }
}

/// Starts a connection, without waiting for it.
fn dial(identity: &Identity, daemon: Ipv4Addr) -> Result<OwnedFd, Trouble> {
    let socket = socket::socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    setsockopt(&socket, sockopt::TcpNoDelay, &true)?;
    if identity.slow {
        setsockopt(&socket, sockopt::RcvBuf, &SMALL_BUFFER)?;
    }
    socket::bind(
        socket.as_raw_fd(),
        &SockaddrIn::from(SocketAddrV4::new(identity.address, 0)),
    )?;
    match socket::connect(
        socket.as_raw_fd(),
        &SockaddrIn::from(SocketAddrV4::new(daemon, PORT)),
    ) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(socket),
        Err(errno) => Err(errno.into()),
    }
}
