//! Listening sockets on their way from a daemon to its successor, over a Unix socket.
//!
//! A connection that a peer opens between the two waits in the backlog of a socket that never closed.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ipnet::IpNet;

use super::socket;

/// One listening socket that changes hands.
#[derive(Debug)]
pub struct Handed {
    /// The address as configured, by which the successor knows it.
    pub address: SocketAddr,
    /// Networks for which it has TCP MD5 keys (RFC 2385); the keys themselves are not told.
    pub keyed: Vec<IpNet>,
    /// The socket.
    pub socket: OwnedFd,
}

/// Sends octets with the sockets attached; how many octets went out.
///
/// # Errors
///
/// Whatever the kernel says; `WouldBlock` where there is no room.
pub fn send(stream: impl AsFd, octets: &[u8], sockets: &[Handed]) -> io::Result<usize> {
    let sockets: Vec<BorrowedFd<'_>> = sockets.iter().map(|handed| handed.socket.as_fd()).collect();
    socket::send_descriptors(stream, octets, &sockets)
}

/// Reads what is there into `buffer`, and takes what sockets come with it; no octets mean the end.
///
/// # Errors
///
/// Whatever the kernel says.
pub fn receive(stream: impl AsFd, buffer: &mut [u8], sockets: &mut Vec<OwnedFd>) -> io::Result<usize> {
    socket::receive_descriptors(stream, buffer, sockets)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_socket_that_changes_hands_still_listens() {
        let (from, to) = UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let handed = Handed {
            address,
            keyed: Vec::new(),
            socket: listener.into(),
        };
        assert_eq!(send(&from, b"two\n", &[handed]).unwrap(), 4);
        drop(from);
        // Nobody accepts, and nobody is refused.
        let early = TcpStream::connect(address).unwrap();
        let (mut buffer, mut sockets) = ([0; 64], Vec::new());
        assert_eq!(receive(&to, &mut buffer, &mut sockets).unwrap(), 4);
        assert_eq!(receive(&to, &mut buffer, &mut sockets).unwrap(), 0);
        let listener = TcpListener::from(sockets.pop().unwrap());
        assert!(sockets.is_empty());
        let (_, remote) = listener.accept().unwrap();
        assert_eq!(remote, early.local_addr().unwrap());
    }
}
