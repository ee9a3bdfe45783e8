//! Taking over from a daemon that still runs: it stops as for a restart, and its listening sockets pass to this process.

use std::io::{self, ErrorKind, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::cli::EntryError;
use crate::control::protocol::HandedSocket;
use crate::control::{self, Request, Response};
use crate::session::handover::{self, Handed};

/// How long the predecessor may take to stop, and then to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// Octets of its answer; a key's network takes 20.
const LONGEST_ANSWER: usize = 4 * 1_024 * 1_024;

/// Asks the daemon behind `path` to end, and returns when it has. Where none runs there is nothing to take over.
///
/// # Errors
///
/// It does not do as asked; then it still runs, or will not for long.
pub(super) fn take(path: &Path) -> Result<Vec<Handed>, EntryError> {
    let mut stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            tracing::info!("no daemon runs here: nothing to take over");
            return Ok(Vec::new());
        }
        Err(error) => return Err(format!("cannot ask the daemon on {}: {error}", path.display()).into()),
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request = serde_json::to_vec(&Request::Takeover)?;
    request.push(b'\n');
    stream.write_all(&request)?;
    let failed = |error: io::Error| format!("the daemon on {} did not hand over: {error}", path.display());
    let (answer, sockets) = listen(&stream).map_err(failed)?;
    match serde_json::from_slice(&answer)? {
        Response::Handed(described) => {
            if !control::ends_within(path, PATIENCE) {
                return Err(format!("the daemon on {} handed over and does not end", path.display()).into());
            }
            Ok(pair(described, sockets))
        }
        Response::Failed(failure) => Err(failure.into()),
        _ => Err("the daemon answered another question; is it of an older version? Restart it".into()),
    }
}

/// Reads to the end of the connection, which is that of the predecessor.
fn listen(stream: &UnixStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let (mut answer, mut sockets) = (Vec::new(), Vec::new());
    let mut buffer = vec![0; 64 * 1_024];
    loop {
        let count = match handover::receive(stream, &mut buffer, &mut sockets) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            // A process that is killed leaves the connection so.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            other => other?,
        };
        answer.extend(buffer.iter().take(count));
        match count {
            0 if answer.is_empty() => return Err(ErrorKind::UnexpectedEof.into()),
            0 => return Ok((answer, sockets)),
            _ if answer.len() > LONGEST_ANSWER => return Err(ErrorKind::InvalidData.into()),
            // A refusal is all that comes: such a daemon does not end.
            _ if is_refusal(&answer) => return Ok((answer, sockets)),
            _ => {}
        }
    }
}

fn is_refusal(answer: &[u8]) -> bool {
    answer.ends_with(b"\n") && matches!(serde_json::from_slice(answer), Ok(Response::Failed(_)))
}

fn pair(described: Vec<HandedSocket>, sockets: Vec<OwnedFd>) -> Vec<Handed> {
    let pairs = described.into_iter().zip(sockets);
    let handed = pairs.map(|(HandedSocket { address, keyed }, socket)| Handed {
        address,
        keyed,
        socket,
    });
    handed.collect()
}
