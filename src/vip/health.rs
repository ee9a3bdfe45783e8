//! One probe: asks, waits no longer than the timeout, and says in words what happened.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;

use super::binding::Links;
use super::files::Files;
use super::settings::{Probe, Vip};
use super::state::ProbeResult;
use super::tls::{TlsError, Trust};
use super::{command, dns, http};

/// What a probe may look at besides its target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings<'a> {
    /// Links and addresses; none before they have been looked at.
    pub(super) links: Option<&'a Links>,
    /// Different for each probe.
    pub(super) number: u16,
    /// Who is trusted over TLS.
    pub(super) trust: &'a Trust,
    /// The way to files.
    pub(super) files: &'a Files,
}

/// Asks once; ends after `timeout` at the latest.
pub(super) async fn probe(
    vip: &Vip,
    probe: &Probe,
    timeout: Duration,
    surroundings: Surroundings<'_>,
) -> ProbeResult {
    let answer = match probe {
        Probe::Tcp(target) => within(CONNECTION, timeout, tcp(*target)).await,
        Probe::Http(asked) => http::ask(asked, surroundings, timeout).await,
        Probe::Command(words) => command::run(vip, words, &[], timeout).await,
        Probe::Dns(asked) => within(ANSWER, timeout, dns::ask(asked, surroundings.number)).await,
        Probe::File { path, absent } => {
            within(ANSWER, timeout, file(surroundings.files, path, *absent)).await
        }
        Probe::Interface(name) => interface(surroundings.links, name),
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
    #[error("no {awaited} within {timeout:?}")]
    Timeout {
        /// What it waited for.
        awaited: &'static str,
        /// For how long, from the beginning of the probe.
        timeout: Duration,
    },
    /// No connection.
    #[error("{0}")]
    Connect(std::io::Error),
    /// The connection broke or did not speak HTTP.
    #[error("no HTTP answer: {}", with_causes(.0))]
    Http(#[from] hyper::Error),
    /// The host, path or headers of the configuration make no valid request.
    #[error("cannot ask: {0}")]
    Request(#[from] hyper::http::Error),
    /// No handshake: the server is not who it should be, or speaks no TLS.
    #[error("no TLS: {0}")]
    Tls(#[from] TlsError),
    /// Another status than the expected one.
    #[error("status {0}")]
    Status(hyper::StatusCode),
    /// The body is not as expected.
    #[error("status {0}, but the body lacks the text")]
    Body(hyper::StatusCode),
    /// The name server says no.
    #[error("{0}")]
    Dns(&'static str),
    /// The file is not there, or is.
    #[error("{0}")]
    File(String),
    /// The interface is not as it should be.
    #[error("{0}")]
    Interface(&'static str),
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

/// What a probe waits for, in the words of its failure.
pub(super) const CONNECTION: &str = "connection";
pub(super) const ANSWER: &str = "answer";

async fn within(
    awaited: &'static str,
    timeout: Duration,
    answer: impl Future<Output = Result<String, ProbeError>>,
) -> Result<String, ProbeError> {
    tokio::time::timeout(timeout, answer)
        .await
        .unwrap_or(Err(ProbeError::Timeout { awaited, timeout }))
}

/// An error and what it comes from: hyper says by itself no more than where it was.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

async fn tcp(target: SocketAddr) -> Result<String, ProbeError> {
    let stream = TcpStream::connect(target).await.map_err(ProbeError::Connect)?;
    // A reset instead of a FIN: thousands of checks would use up the ports of their side by waiting in TIME_WAIT.
    if let Err(error) = SockRef::from(&stream).set_linger(Some(Duration::ZERO)) {
        tracing::debug!(%error, "a check's connection lingers");
    }
    Ok(String::from("connected"))
}

async fn file(files: &Files, path: &Path, absent: bool) -> Result<String, ProbeError> {
    let version = files.version(path).await;
    let there = version
        .map_err(|error| ProbeError::File(error.to_string()))?
        .is_some();
    let text = String::from(if there { "it is there" } else { "it is not there" });
    if there == absent {
        Err(ProbeError::File(text))
    } else {
        Ok(text)
    }
}

fn interface(links: Option<&Links>, name: &str) -> Result<String, ProbeError> {
    let links = links.ok_or(ProbeError::Interface(
        "the interfaces have not been looked at yet",
    ))?;
    match links.interfaces.get(name) {
        Some(link) if link.up => Ok(String::from("up")),
        Some(_) => Err(ProbeError::Interface("down, or without carrier")),
        None => Err(ProbeError::Interface("there is no such interface")),
    }
}

#[cfg(test)]
mod tests;
