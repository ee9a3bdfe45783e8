//! Asking the daemon: one connection a question, so that a reader that pauses between two pages holds nothing up.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Error;
use crate::control::{self, Request, Response};

/// A little more than the daemon takes before it gives up itself.
const PATIENCE: Duration = Duration::from_secs(70);

/// How long a daemon that has closed the connection may take to end.
const DYING: Duration = Duration::from_secs(3);

/// The daemon behind a socket.
#[derive(Debug)]
pub(super) struct Client {
    path: PathBuf,
}

impl Client {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Nobody listens on the socket any more, at the latest after [`DYING`].
    pub(super) fn has_ended(&self) -> bool {
        control::ends_within(&self.path, DYING)
    }

    /// Somebody listens on the socket.
    pub(super) fn is_live(&self) -> bool {
        control::is_live(&self.path)
    }

    /// Asks one thing; a refusal is an error.
    pub(super) fn ask(&self, request: &Request) -> Result<Response, Error> {
        let mut reader = self.send(request)?;
        match self.read(&mut reader)? {
            Some(response) => Ok(response),
            None => Err(self.broken(ErrorKind::UnexpectedEof.into())),
        }
    }

    /// Asks, and returns when the daemon has closed the connection: by its end, or because it waits for no more.
    pub(super) fn ask_and_wait(&self, request: &Request) -> Result<Option<Response>, Error> {
        let mut reader = self.send(request)?;
        let answer = self.read(&mut reader)?;
        while self.read(&mut reader)?.is_some() {}
        Ok(answer)
    }

    fn send(&self, request: &Request) -> Result<BufReader<UnixStream>, Error> {
        let mut stream = UnixStream::connect(&self.path).map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => Error::NotRunning(self.path.clone()),
            ErrorKind::PermissionDenied => Error::Permission(self.path.clone()),
            _ => self.broken(error),
        })?;
        let mut line = serde_json::to_string(request).map_err(|error| Error::Answer(error.to_string()))?;
        line.push('\n');
        let sent = stream
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| stream.write_all(line.as_bytes()));
        sent.map_err(|error| self.broken(error))?;
        Ok(BufReader::new(stream))
    }

    fn read(&self, reader: &mut BufReader<UnixStream>) -> Result<Option<Response>, Error> {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            // A daemon that is killed leaves the connection so.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(self.broken(error)),
        }
        match serde_json::from_str(&line) {
            Ok(Response::Failed(failure)) => Err(Error::Refused(failure)),
            Ok(response) => Ok(Some(response)),
            Err(error) => Err(Error::Answer(error.to_string())),
        }
    }

    fn broken(&self, error: io::Error) -> Error {
        Error::Broken {
            path: self.path.clone(),
            error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::Daemon;
    use crate::control::Failure;

    #[test]
    fn a_missing_socket_and_a_dead_one_mean_that_no_daemon_runs() {
        let daemon = Daemon::dead();
        let client = Client::new(daemon.socket());
        assert!(matches!(client.ask(&Request::Peers), Err(Error::NotRunning(_))));
        let client = Client::new("/nonexistent/control.sock".into());
        assert!(matches!(client.ask(&Request::Peers), Err(Error::NotRunning(_))));
        assert!(!client.is_live());
    }

    #[test]
    fn a_refusal_is_an_error_with_the_daemons_words() {
        let daemon = Daemon::new(|_| {
            Response::Failed(Failure::Other {
                text: "not today".into(),
            })
        });
        let error = Client::new(daemon.socket()).ask(&Request::Vips).unwrap_err();
        assert_eq!(error.to_string(), "not today");
    }

    #[test]
    fn an_answer_that_is_cut_off_is_an_error() {
        let daemon = Daemon::silent();
        let error = Client::new(daemon.socket()).ask(&Request::Vips).unwrap_err();
        assert!(matches!(error, Error::Broken { .. }), "{error}");
    }
}
