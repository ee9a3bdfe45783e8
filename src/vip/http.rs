//! A check that asks a web server: one `GET` over a connection of its own.

use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::health::{self, ProbeError, Surroundings};
use super::settings::HttpProbe;

/// Octets of a body that are searched for the expected text.
const LONGEST_BODY: usize = 256 * 1_024;

/// Asks once; redirects are answers like any other and are not followed. One timeout holds for all steps together, and the
/// failure names the one that it ended in.
pub(super) async fn ask(
    probe: &HttpProbe,
    surroundings: Surroundings<'_>,
    timeout: Duration,
) -> Result<String, ProbeError> {
    let deadline = Instant::now() + timeout;
    let late = |awaited| ProbeError::Timeout { awaited, timeout };
    let stream = timeout_at(deadline, TcpStream::connect(probe.target))
        .await
        .map_err(|_| late(health::CONNECTION))?
        .map_err(ProbeError::Connect)?;
    let answer = match &probe.tls {
        None => timeout_at(deadline, converse(probe, stream)).await,
        Some(tls) => {
            let stream = timeout_at(
                deadline,
                surroundings.trust.connect(tls, surroundings.files, stream),
            )
            .await
            .map_err(|_| late("TLS handshake"))??;
            timeout_at(deadline, converse(probe, stream)).await
        }
    };
    answer.map_err(|_| late(health::ANSWER))?
}

async fn converse(
    probe: &HttpProbe,
    stream: impl AsyncRead + AsyncWrite + Unpin,
) -> Result<String, ProbeError> {
    let mut request = Request::get(&probe.path)
        .header(HOST, &probe.host)
        .header(USER_AGENT, concat!("stonechat/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close");
    for (name, value) in &probe.headers {
        request = request.header(name, value);
    }
    let request = request.body(Empty::<Bytes>::new())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let response = sender.send_request(request).await?;
        judge(probe, response).await
    };
    tokio::pin!(connection, answer);
    tokio::select! {
        answer = &mut answer => answer,
        ended = &mut connection => {
            // The connection may end with the answer already at hand; else the answer says what is wrong.
            ended?;
            answer.await
        }
    }
}

async fn judge(probe: &HttpProbe, response: Response<Incoming>) -> Result<String, ProbeError> {
    let status = response.status();
    let passed = match probe.status {
        Some(expected) => status == expected,
        None => (200..400).contains(&status.as_u16()),
    };
    if !passed {
        return Err(ProbeError::Status(status));
    }
    if let Some(text) = &probe.body {
        // A body that breaks off or is too long does not hold the text as far as anybody knows.
        let body = Limited::new(response.into_body(), LONGEST_BODY).collect().await;
        let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        if !contains(&body, text.as_bytes()) {
            return Err(ProbeError::Body(status));
        }
    }
    Ok(format!("status {status}"))
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|window| window == text)
}
