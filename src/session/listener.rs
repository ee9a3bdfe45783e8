//! Accepting connections: one task for each listen address.
//!
//! An address that cannot be listened at (port taken, address not there yet, a key that the kernel refuses) is tried again
//! for ever, with the reason shown. Accepting never waits for a peer: a connection goes to the mailbox of the peer with
//! its address, and where that is full, or no peer has that address, it is closed.

use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bgp_codec::Notification;
use bgp_codec::notification::cease;
use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};

use super::handover::Handed;
use super::place::Place;
use super::socket;
use super::task::ToPeer;
use crate::route::Secret;

/// The first and the longest wait before an address is tried again.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// The wait when the kernel has no descriptor or memory for one more connection.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Who gets a connection, and which keys are in force; the supervisor knows.
pub(super) trait Directory: Send + Sync + 'static {
    /// Yields the mailbox of the peer that is there.
    fn peer_at(&self, place: &Place) -> Option<mpsc::Sender<ToPeer>>;
    /// Yields all keys.
    fn keys(&self) -> Vec<(IpNet, Secret)>;
}

/// One listen address, as others see it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListenerStatus {
    /// Where.
    pub address: SocketAddr,
    /// Why it does not listen, when it does not.
    pub error: Option<String>,
    /// Connections given to a peer.
    pub accepted: u64,
    /// Connections from addresses that are no peer's.
    pub unknown: u64,
    /// Connections that a peer had no room for.
    pub overflowed: u64,
}

/// One listen address.
pub(super) struct Listener {
    address: SocketAddr,
    state: Mutex<ListenState>,
    /// A key could not be set: listen anew or not at all.
    broken: Notify,
    accepted: AtomicU64,
    unknown: AtomicU64,
    overflowed: AtomicU64,
}

#[derive(Default)]
struct ListenState {
    socket: Option<Arc<TcpListener>>,
    /// What a predecessor handed over, until it is used.
    inherited: Option<Handed>,
    error: Option<String>,
}

impl Listener {
    pub(super) fn new(address: SocketAddr, inherited: Option<Handed>) -> Arc<Self> {
        let state = ListenState {
            inherited,
            ..ListenState::default()
        };
        Arc::new(Self {
            address,
            state: Mutex::new(state),
            broken: Notify::new(),
            accepted: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
        })
    }

    pub(super) fn status(&self) -> ListenerStatus {
        let (error, address) = {
            let state = self.state();
            let bound = state.socket.as_ref().and_then(|socket| socket.local_addr().ok());
            (state.error.clone(), bound.unwrap_or(self.address))
        };
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ListenerStatus {
            address,
            error,
            accepted: count(&self.accepted),
            unknown: count(&self.unknown),
            overflowed: count(&self.overflowed),
        }
    }

    /// Sets or removes a key on the open socket; one that cannot be set stops the listener until it can.
    pub(super) fn set_key(&self, network: IpNet, key: Option<&Secret>) {
        let mut state = self.state();
        let Some(socket) = &state.socket else { return };
        if !same_family(self.address, network) {
            return;
        }
        if let Err(error) = socket::set_key(socket.as_ref(), network, key) {
            tracing::error!(address = %self.address, %error, "not listening");
            *state = ListenState {
                error: Some(error.to_string()),
                ..ListenState::default()
            };
            self.broken.notify_one();
        }
    }

    /// Listens for ever.
    pub(super) async fn run(self: Arc<Self>, directory: Arc<impl Directory>) {
        let mut backoff = BACKOFF.0;
        loop {
            match self.listen(directory.as_ref()) {
                Ok(socket) => {
                    backoff = BACKOFF.0;
                    tokio::select! {
                        () = self.accept(&socket, directory.as_ref()) => {}
                        () = self.broken.notified() => {}
                    }
                }
                Err(error) => {
                    let error = error.to_string();
                    if self.state().error.as_ref() != Some(&error) {
                        tracing::error!(address = %self.address, error, "not listening; trying again");
                    }
                    self.state().error = Some(error);
                }
            }
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF.1);
        }
    }

    fn listen(&self, directory: &impl Directory) -> Result<Arc<TcpListener>, socket::SocketError> {
        // Held while keys are set, so that none is changed in between.
        let mut state = self.state();
        let mut keys = directory.keys();
        keys.retain(|(network, _)| same_family(self.address, *network));
        let socket = match state.inherited.take() {
            Some(inherited) => {
                let stale = inherited
                    .keyed
                    .iter()
                    .filter(|network| keys.iter().all(|key| key.0 != **network));
                for network in stale {
                    socket::set_key(&inherited.socket, *network, None)?;
                }
                Arc::new(socket::inherit(inherited.socket)?)
            }
            None => Arc::new(socket::listen(self.address)?),
        };
        for (network, key) in keys {
            socket::set_key(socket.as_ref(), network, Some(&key))?;
        }
        tracing::info!(address = %self.address, "listening");
        *state = ListenState {
            socket: Some(Arc::clone(&socket)),
            ..ListenState::default()
        };
        Ok(socket)
    }

    /// The socket for a successor; it stays open here until the process ends.
    pub(super) fn hand_over(&self, directory: &impl Directory) -> Option<Handed> {
        let state = self.state();
        let socket = state.socket.as_ref()?.as_fd().try_clone_to_owned().ok()?;
        let keys = directory.keys().into_iter().map(|(network, _)| network);
        Some(Handed {
            address: self.address,
            keyed: keys
                .filter(|network| same_family(self.address, *network))
                .collect(),
            socket,
        })
    }

    async fn accept(&self, socket: &TcpListener, directory: &impl Directory) {
        loop {
            match socket.accept().await {
                Ok((stream, remote)) => self.give(stream, remote, directory),
                Err(error) => {
                    // A connection that was gone before it was taken is nobody's trouble; anything else is waited out.
                    tracing::debug!(address = %self.address, %error, "cannot accept");
                    if error.kind() != std::io::ErrorKind::ConnectionAborted {
                        tokio::time::sleep(EXHAUSTED).await;
                    }
                }
            }
        }
    }

    fn give(&self, stream: TcpStream, remote: SocketAddr, directory: &impl Directory) {
        let Some(peer) = directory.peer_at(&Place::of_socket(remote)) else {
            self.unknown.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(%remote, "connection from an address that is no peer's");
            return reject(&stream);
        };
        match peer.try_send(ToPeer::Accepted(stream)) {
            Ok(()) => {
                self.accepted.fetch_add(1, Ordering::Relaxed);
            }
            Err(mpsc::error::TrySendError::Full(mail) | mpsc::error::TrySendError::Closed(mail)) => {
                self.overflowed.fetch_add(1, Ordering::Relaxed);
                if let ToPeer::Accepted(stream) = mail {
                    reject(&stream);
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, ListenState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// RFC 4486 §4: tells whoever connected that it was deliberate.
fn reject(stream: &TcpStream) {
    let mut bytes = Vec::new();
    Notification::cease(cease::CONNECTION_REJECTED).encode(&mut bytes);
    socket::send_now(stream, &bytes);
}

fn same_family(address: SocketAddr, network: IpNet) -> bool {
    address.is_ipv4() == network.addr().is_ipv4()
}
