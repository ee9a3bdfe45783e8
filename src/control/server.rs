//! The control socket: a Unix socket that only its owner may open.

use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Interest};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::Question;
use super::protocol::{Failure, HandedSocket, Request, Response};
use crate::session::handover;

/// Connections served at the same time; more wait in the backlog.
const MOST_CONNECTIONS: usize = 32;

/// Octets of a request.
const LONGEST_REQUEST: u64 = 64 * 1_024;

/// How long a connection may be silent, and how long it may take to read an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the speaker may take; a reload reads files and waits for sessions to be told.
const ANSWER: Duration = Duration::from_secs(60);

/// Between two looks at whether a daemon has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Pause after a failed accept (out of file descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The socket, bound; its file goes when it is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    /// The file that is ours: a successor may have put its own in its place.
    file: u64,
}

/// Why the socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody answers there.
    #[error("another stonechat is running and listens on {0}; stop it, or choose another --socket")]
    Live(PathBuf),
    /// There is a file of another kind, which is not ours to remove.
    #[error("{0} exists and is no socket; choose another --socket")]
    NoSocket(PathBuf),
    /// The directory cannot be made, or the socket not be put there.
    #[error("cannot listen on {path}: {error}; run as root, or choose another --socket")]
    Bind {
        /// The socket's path.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl ControlSocket {
    /// Listens on `path`, replacing what a daemon that is gone left there. Must be called inside a runtime.
    ///
    /// # Errors
    /// [`BindError::Live`] when a daemon answers there; [`BindError::NoSocket`] when the path is something else;
    /// [`BindError::Bind`] for lack of permission and the like.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let failed = |error| BindError::Bind {
            path: path.to_path_buf(),
            error,
        };
        refuse_occupied(path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        std::fs::create_dir_all(folder).map_err(failed)?;
        // Made in a directory that only we can enter and moved into place when its mode is right: at no moment can
        // anybody else connect, and an old socket is replaced in one step.
        let private = nix::unistd::mkdtemp(&folder.join(".XXXXXX")).map_err(|error| failed(error.into()))?;
        let listener = bind_private(&private.join("s"), path);
        let removed = std::fs::remove_dir(&private);
        let listener = listener.map_err(failed)?;
        removed.map_err(failed)?;
        Ok(Self {
            file: std::fs::symlink_metadata(path).map_err(failed)?.ino(),
            listener,
            path: path.to_path_buf(),
        })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let is_ours = std::fs::symlink_metadata(&self.path).is_ok_and(|file| file.ino() == self.file);
        if !is_ours {
            return;
        }
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, path = %self.path.display(), "cannot remove the control socket");
        }
    }
}

/// Whether somebody listens behind `path`.
#[must_use]
pub fn is_live(path: &Path) -> bool {
    StdUnixStream::connect(path).is_ok()
}

/// Whether nobody listens behind `path` any more, after `patience` at the latest. Blocks the thread.
///
/// The end of one's own connection says less: a process that ends closes its sockets in no certain order, and tells nobody, so
/// that there is nothing to wait for but a look now and then.
#[must_use]
pub fn ends_within(path: &Path, patience: Duration) -> bool {
    let mut waited = Duration::ZERO;
    while is_live(path) {
        if waited >= patience {
            return false;
        }
        std::thread::sleep(LOOK_INTERVAL);
        waited += LOOK_INTERVAL;
    }
    true
}

fn refuse_occupied(path: &Path) -> Result<(), BindError> {
    let failed = |error| BindError::Bind {
        path: path.to_path_buf(),
        error,
    };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(file) if !file.file_type().is_socket() => return Err(BindError::NoSocket(path.to_path_buf())),
        Ok(_) => {}
    }
    match StdUnixStream::connect(path) {
        Ok(_) => Err(BindError::Live(path.to_path_buf())),
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

fn bind_private(private: &Path, path: &Path) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(private)?;
    let moved = std::fs::set_permissions(private, std::fs::Permissions::from_mode(0o600))
        .and_then(|()| std::fs::rename(private, path));
    if let Err(error) = moved {
        std::fs::remove_file(private)?;
        return Err(error);
    }
    Ok(listener)
}

/// Serves the socket until the task is aborted or the speaker is gone.
pub async fn serve(socket: ControlSocket, questions: mpsc::Sender<Question>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = socket.listener.accept(), if connections.len() < MOST_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, questions.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept on the control socket");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(ended) = connections.join_next() => if let Ok(Err(error)) = ended {
                tracing::debug!(%error, "a control connection broke");
            },
            () = questions.closed() => return,
        }
    }
}

/// Answers line by line until the other side closes or falls silent.
async fn converse(stream: UnixStream, questions: mpsc::Sender<Question>) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut reader).take(LONGEST_REQUEST);
        let read = bounded.read_until(b'\n', &mut line);
        let Ok(count) = tokio::time::timeout(PATIENCE, read).await else {
            return Ok(());
        };
        if count? == 0 {
            return Ok(());
        }
        let whole = line.ends_with(b"\n");
        let response = match serde_json::from_slice(&line) {
            Ok(Request::Takeover) => return hand_over(reader, writer, &questions).await,
            Ok(request) => answer(request, &questions).await,
            Err(error) => Response::Failed(Failure::NotUnderstood {
                text: error.to_string(),
            }),
        };
        tokio::time::timeout(PATIENCE, writer.write_all(&text(&response)?)).await??;
        if !whole {
            // A request that is too long has been refused; where the next one begins is anybody's guess.
            return Ok(());
        }
    }
}

/// Hands the listening sockets to whoever is on the connection, which stays open for as long as this process runs: its
/// end is the sign that the successor waits for.
async fn hand_over(
    _reader: BufReader<OwnedReadHalf>,
    mut writer: OwnedWriteHalf,
    questions: &mpsc::Sender<Question>,
) -> io::Result<()> {
    let (reply, handed) = oneshot::channel();
    let asked = questions.send(Question::Takeover { reply }).await;
    let (Ok(()), Ok(handed)) = (asked, handed.await) else {
        return writer
            .write_all(&text(&Response::Failed(Failure::Unanswered))?)
            .await;
    };
    let described = handed.iter().map(|handed| HandedSocket {
        address: handed.address,
        keyed: handed.keyed.clone(),
    });
    let octets = text(&Response::Handed(described.collect()))?;
    let stream: &UnixStream = writer.as_ref();
    let sent = stream
        .async_io(Interest::WRITABLE, || handover::send(stream, &octets, &handed))
        .await?;
    writer.write_all(octets.get(sent..).unwrap_or_default()).await?;
    std::future::pending().await
}

fn text(response: &Response) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(response)?;
    text.push(b'\n');
    Ok(text)
}

async fn answer(request: Request, questions: &mpsc::Sender<Question>) -> Response {
    let asked = async {
        let (reply, answered) = oneshot::channel();
        questions.send(Question::Control { request, reply }).await.ok()?;
        answered.await.ok()
    };
    let answered = tokio::time::timeout(ANSWER, asked).await;
    answered
        .ok()
        .flatten()
        .unwrap_or(Response::Failed(Failure::Unanswered))
}

#[cfg(test)]
mod tests;
