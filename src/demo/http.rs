//! The workload behind a VIP: a web server small enough for a health check.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";

/// The longest request head that is read.
const LONGEST_HEAD: usize = 4096;

/// A client that says nothing for this long is let go.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers every request with 200, one after the other, for ever.
///
/// # Errors
/// When the address is not to be had.
pub(super) fn serve(address: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    loop {
        let (client, _) = listener.accept()?;
        // A client that hangs up early is the client's affair.
        drop(answer(client));
    }
}

fn answer(mut client: TcpStream) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    let mut head = Vec::new();
    let mut part = [0; 512];
    while !head.windows(4).any(|four| four == b"\r\n\r\n") && head.len() < LONGEST_HEAD {
        let length = client.read(&mut part)?;
        if length == 0 {
            return Ok(());
        }
        head.extend_from_slice(part.get(..length).unwrap_or_default());
    }
    client.write_all(ANSWER)
}
