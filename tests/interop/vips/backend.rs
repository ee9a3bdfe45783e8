//! A service that says which node answered, and a client that asks it again and again, each time anew.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::lab::Namespace;

/// Between two looks for connections.
const PAUSE: Duration = Duration::from_millis(1);
/// A connection or an answer that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(2);

/// Listens on port 8080 of every address of its node; dropping it closes the port.
pub(super) struct Backend {
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Backend {
    pub(super) fn start(namespace: &Namespace, name: &'static str) -> Self {
        let ending = Arc::new(AtomicBool::new(false));
        let (ready, listening) = std::sync::mpsc::sync_channel(1);
        let asked_to_end = Arc::clone(&ending);
        let thread = namespace.spawn_inside(move || {
            let listener = TcpListener::bind("0.0.0.0:8080").expect("listen");
            listener.set_nonblocking(true).expect("poll the listener");
            ready.send(()).expect("the scenario waits");
            while !asked_to_end.load(Ordering::SeqCst) {
                match listener.accept() {
                    // A client that goes away early is its own business.
                    Ok((stream, _)) => drop(std::thread::spawn(move || answer(stream, name))),
                    Err(_) => std::thread::sleep(PAUSE),
                }
            }
        });
        listening.recv().expect("the service listens");
        Self {
            ending,
            thread: Some(thread),
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            println!("a service had panicked");
        }
    }
}

fn answer(mut stream: TcpStream, name: &str) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let (mut request, mut piece) = (Vec::new(), [0; 1024]);
    while !request.ends_with(b"\r\n\r\n") {
        let octets = stream.read(&mut piece)?;
        if octets == 0 {
            return Ok(());
        }
        request.extend_from_slice(&piece[..octets]);
    }
    let length = name.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{name}"
    )
}

/// What became of requests: how many each node answered, and why others failed.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) answered: BTreeMap<String, usize>,
    pub(super) failed: Vec<String>,
}

impl Tally {
    pub(super) fn total(&self) -> usize {
        self.answered.values().sum::<usize>() + self.failed.len()
    }

    pub(super) fn of(&self, node: &str) -> usize {
        self.answered.get(node).copied().unwrap_or(0)
    }

    fn count(&mut self, outcome: Result<String, String>) {
        match outcome {
            Ok(node) => *self.answered.entry(node).or_default() += 1,
            Err(error) => self.failed.push(error),
        }
    }

    fn add(mut self, other: Self) -> Self {
        for (node, count) in other.answered {
            *self.answered.entry(node).or_default() += count;
        }
        self.failed.extend(other.failed);
        self
    }
}

/// Threads that ask at the same time.
pub(super) const CLIENTS: usize = 4;

/// Asks so many times, each over a connection of its own.
pub(super) fn ask(from: &Namespace, target: &str, times: usize) -> Tally {
    let target: SocketAddr = target.parse().expect("an address and a port");
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            from.spawn_inside(move || tally((0..times / CLIENTS).map(|_| request(target, Duration::ZERO))))
        })
        .collect();
    clients
        .into_iter()
        .map(|client| client.join().expect("the client ends"))
        .fold(Tally::default(), Tally::add)
}

/// Asks without pause until told to end.
pub(super) struct Asking {
    ending: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Tally>>,
}

impl Asking {
    /// Each request takes its client so long to write.
    pub(super) fn begin(from: &Namespace, target: &str, writing: Duration) -> Self {
        let target: SocketAddr = target.parse().expect("an address and a port");
        let ending = Arc::new(AtomicBool::new(false));
        let clients = (0..CLIENTS).map(|_| {
            let ending = Arc::clone(&ending);
            from.spawn_inside(move || {
                tally(std::iter::from_fn(|| {
                    (!ending.load(Ordering::SeqCst)).then(|| request(target, writing))
                }))
            })
        });
        let clients = clients.collect();
        Self { ending, clients }
    }

    pub(super) fn end(self) -> Tally {
        self.ending.store(true, Ordering::SeqCst);
        self.clients
            .into_iter()
            .map(|client| client.join().expect("the client ends"))
            .fold(Tally::default(), Tally::add)
    }
}

fn tally(outcomes: impl Iterator<Item = Result<String, String>>) -> Tally {
    outcomes.fold(Tally::default(), |mut tally, outcome| {
        tally.count(outcome);
        tally
    })
}

fn request(target: SocketAddr, writing: Duration) -> Result<String, String> {
    let said = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&target, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET / HTTP/1.1\r\n")?;
        if !writing.is_zero() {
            std::thread::sleep(writing);
        }
        stream.write_all(b"Host: shop\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = said().map_err(|error| error.to_string())?;
    match answer.split_once("\r\n\r\n") {
        Some((_, body)) if !body.is_empty() => Ok(body.to_owned()),
        _ => Err(format!("cut off: {answer:?}")),
    }
}
