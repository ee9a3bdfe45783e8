//! One probe: asks, waits no longer than the timeout, and says in words what happened.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::command;
use super::settings::{Probe, Vip};
use super::state::ProbeResult;

/// Runs the check of this VIP once; ends after `timeout` at the latest.
pub(super) async fn probe(vip: &Vip, probe: &Probe, timeout: Duration) -> ProbeResult {
    let answer = match probe {
        Probe::Tcp(target) => within(timeout, tcp(*target)).await,
        Probe::Http {
            target,
            host,
            path,
            status,
        } => within(timeout, http(*target, host, path, *status)).await,
        Probe::Command(words) => command::run(vip, words, timeout).await,
    };
    let (passed, text) = match answer {
        Ok(text) => (true, text),
        Err(error) => (false, error.to_string()),
    };
    ProbeResult { passed, text }
}

/// Why a probe failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    /// It did not end in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// No connection.
    #[error("{0}")]
    Connect(std::io::Error),
    /// The connection broke or did not speak HTTP.
    #[error("no HTTP answer: {0}")]
    Http(#[from] hyper::Error),
    /// The host or path of the configuration makes no valid request.
    #[error("cannot ask: {0}")]
    Request(#[from] hyper::http::Error),
    /// Another status than the expected one.
    #[error("status {0}")]
    Status(hyper::StatusCode),
    /// The command could not be started.
    #[error("cannot run {program}: {error}")]
    Spawn {
        /// The first word.
        program: String,
        /// Why not.
        error: std::io::Error,
    },
    /// The command would have inherited capabilities.
    #[error("cannot run a command without privileges: {0}")]
    Privileges(String),
    /// The command said no, or was killed.
    #[error("{status}{output}")]
    Exit {
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it printed, with a separator in front.
        output: String,
    },
}

async fn within(
    timeout: Duration,
    answer: impl Future<Output = Result<String, ProbeError>>,
) -> Result<String, ProbeError> {
    tokio::time::timeout(timeout, answer)
        .await
        .unwrap_or(Err(ProbeError::Timeout(timeout)))
}

async fn tcp(target: SocketAddr) -> Result<String, ProbeError> {
    TcpStream::connect(target).await.map_err(ProbeError::Connect)?;
    Ok(String::from("connected"))
}

/// Asks once over a connection of its own; redirects are answers like any other and are not followed.
async fn http(
    target: SocketAddr,
    host: &str,
    path: &str,
    expected: Option<u16>,
) -> Result<String, ProbeError> {
    let request = Request::get(path)
        .header(HOST, host)
        .header(USER_AGENT, concat!("stonechat/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let stream = TcpStream::connect(target).await.map_err(ProbeError::Connect)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answer = sender.send_request(request);
    tokio::pin!(connection, answer);
    let response = tokio::select! {
        response = &mut answer => response?,
        ended = &mut connection => {
            // The connection may end with the answer already at hand; else the answer says what is wrong.
            ended?;
            answer.await?
        }
    };
    let status = response.status();
    let passed = match expected {
        Some(expected) => status == expected,
        None => (200..400).contains(&status.as_u16()),
    };
    if passed {
        Ok(format!("status {status}"))
    } else {
        Err(ProbeError::Status(status))
    }
}

#[cfg(test)]
mod tests;
