//! Nobody in the middle: a thread in the daemon's place that takes the senders' octets and writes the expected ones to
//! every receiver, in step. What it reaches is the load generator's own limit over the same sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};

use bgp_codec::{Asn, Capability, Family, Open, header, keepalive};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::unistd::{Pid, gettid};

use crate::daemon::ASN;
use crate::engine::PORT;
use crate::lab::{DAEMON, enter};
use crate::usage;

const CHUNK: usize = 256 * 1024;
const LISTENER: u64 = u64::MAX;

pub struct Relay {
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    tid: Pid,
}

impl Relay {
    /// The same where everybody both sends and receives.
    pub fn hub(namespace: String, input: usize, output: Arc<[u8]>) -> Self {
        Self::start(namespace, Vec::new(), input, output)
    }

    /// Starts it; it listens when this returns. The senders together send `input` octets, End-of-RIB included.
    pub fn start(namespace: String, senders: Vec<Ipv4Addr>, input: usize, output: Arc<[u8]>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (ready, started): (_, Receiver<Pid>) = mpsc::channel();
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            enter(&namespace).expect("the daemon's namespace is there");
            let listener = TcpListener::bind((DAEMON, PORT)).expect("nobody else listens there");
            listener
                .set_nonblocking(true)
                .expect("a socket can be made non-blocking");
            let middle = Middle {
                senders,
                input,
                output,
                seen: 0,
                ends: Vec::new(),
            };
            ready.send(gettid()).expect("who started this waits for it");
            middle.serve(&listener, &stopped);
        });
        let tid = started.recv().expect("the stand-in starts");
        Self {
            thread: Some(thread),
            stop,
            tid,
        }
    }

    pub fn cpu_seconds(&self) -> f64 {
        usage::thread_cpu_seconds(self.tid)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

struct End {
    socket: TcpStream,
    sends: bool,
    receives: bool,
    /// Octets of the handshake that are still to come; not known before the OPEN is there.
    handshake: Option<usize>,
    /// How much of the output it has been sent.
    at: usize,
    writable: bool,
    open: bool,
}

struct Middle {
    senders: Vec<Ipv4Addr>,
    input: usize,
    output: Arc<[u8]>,
    seen: usize,
    ends: Vec<End>,
}

impl Middle {
    fn serve(mut self, listener: &TcpListener, stop: &AtomicBool) {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("epoll is there");
        epoll
            .add(listener.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))
            .expect("a listener can be polled");
        let mut scratch = vec![0; CHUNK];
        let mut events = [EpollEvent::empty(); 256];
        while !stop.load(Ordering::Relaxed) {
            let count = epoll.wait(&mut events, EpollTimeout::from(20_u16)).unwrap_or(0);
            for event in &events[..count] {
                if event.data() == LISTENER {
                    self.accept(listener, &epoll);
                    continue;
                }
                let at = event.data() as usize;
                if event.events().contains(EpollFlags::EPOLLOUT) {
                    self.ends[at].writable = true;
                }
                if event
                    .events()
                    .intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP)
                {
                    self.read(at, &mut scratch);
                }
            }
            self.write();
        }
    }

    fn accept(&mut self, listener: &TcpListener, epoll: &Epoll) {
        while let Ok((mut socket, from)) = listener.accept() {
            let SocketAddr::V4(from) = from else { continue };
            let sends = self.senders.is_empty() || self.senders.contains(from.ip());
            let receives = self.senders.is_empty() || !sends;
            let fits = socket.set_nonblocking(true).is_ok() && socket.write_all(&greeting()).is_ok();
            let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
            if fits
                && epoll
                    .add(&socket, EpollEvent::new(flags, self.ends.len() as u64))
                    .is_ok()
            {
                self.ends.push(End {
                    socket,
                    sends,
                    receives,
                    handshake: None,
                    at: 0,
                    writable: true,
                    open: true,
                });
            }
        }
    }

    /// Reads all that is there: epoll tells of it once.
    fn read(&mut self, at: usize, scratch: &mut [u8]) {
        let end = &mut self.ends[at];
        loop {
            match end.socket.read(scratch) {
                Ok(0) => {
                    end.open = false;
                    return;
                }
                Ok(count) => {
                    // An OPEN and a KEEPALIVE come first; the OPEN says how long it is.
                    let open = usize::from(u16::from_be_bytes([scratch[16], scratch[17]]));
                    let handshake = end.handshake.get_or_insert(open + header::HEADER_LEN);
                    let skipped = count.min(*handshake);
                    *handshake -= skipped;
                    self.seen += if end.sends { count - skipped } else { 0 };
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    end.open &= error.kind() == ErrorKind::WouldBlock;
                    return;
                }
            }
        }
    }

    fn write(&mut self) {
        let due = (self.output.len() as u128 * self.seen.min(self.input) as u128 / self.input.max(1) as u128)
            as usize;
        for end in self.ends.iter_mut().filter(|end| end.open && end.receives) {
            while end.writable && end.at < due && end.open {
                match end.socket.write(&self.output[end.at..due.min(end.at + CHUNK)]) {
                    Ok(count) => end.at += count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => end.writable = false,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => end.open = false,
                }
            }
        }
    }
}

/// OPEN and KEEPALIVE: the generator's side checks no more than that they come.
fn greeting() -> Vec<u8> {
    let open = Open {
        version: bgp_codec::open::VERSION,
        asn: Asn(ASN).to_two_octets(),
        hold_time: 0,
        bgp_identifier: DAEMON,
        capabilities: vec![
            Capability::Multiprotocol(Family::IPV4_UNICAST),
            Capability::FourOctetAsn(Asn(ASN)),
        ],
    };
    let mut octets = Vec::new();
    open.encode(&mut octets);
    keepalive::encode(&mut octets);
    octets
}
