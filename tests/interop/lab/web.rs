//! A tiny HTTP service inside a namespace, for VIP checks: healthy or not as the scenario says.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Namespace;

/// The service; dropping it closes its port.
pub(crate) struct Web {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    unhealthy: AtomicBool,
    ending: AtomicBool,
    asked: AtomicUsize,
}

impl Web {
    /// Listens on `address` inside `namespace` and answers `200 OK`.
    pub(crate) fn start(namespace: &Namespace, address: &str) -> Self {
        let address: SocketAddr = address.parse().expect("an address and a port");
        let shared = Arc::new(Shared::default());
        let (ready, listening) = std::sync::mpsc::sync_channel(1);
        let served = Arc::clone(&shared);
        let thread = namespace.spawn_inside(move || {
            let listener = TcpListener::bind(address).expect("listen");
            listener.set_nonblocking(true).expect("poll the listener");
            ready.send(()).expect("the scenario waits");
            serve(&listener, &served);
        });
        listening.recv().expect("the service listens");
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }

    /// Answers `503 Service Unavailable` from now on, or `200 OK` again.
    pub(crate) fn set_healthy(&self, healthy: bool) {
        self.shared.unhealthy.store(!healthy, Ordering::SeqCst);
    }

    /// How many requests came so far.
    pub(crate) fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            println!("the service on {} had panicked", self.address);
        }
    }
}

fn serve(listener: &TcpListener, shared: &Shared) {
    while !shared.ending.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok((stream, _)) => {
                // A client that goes away early is its own business.
                let _answered = answer(stream, shared);
            }
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

fn answer(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut request = [0; 2048];
    if stream.read(&mut request)? == 0 {
        return Ok(());
    }
    shared.asked.fetch_add(1, Ordering::SeqCst);
    let status = if shared.unhealthy.load(Ordering::SeqCst) {
        "503 Service Unavailable"
    } else {
        "200 OK"
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}
