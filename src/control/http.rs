//! HTTP for monitoring: `/metrics`, `/healthz`, `/readyz`. Read-only and without secrets.
//!
//! Clients are strangers: connections are few and short, one request each, and a slow one ends at its deadline.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::Question;
use crate::metrics;

/// Connections served at the same time; more wait in the backlog.
const MOST_CONNECTIONS: usize = 64;

/// How long the speaker may take.
const ANSWER: Duration = Duration::from_secs(5);

/// Pause after a failed accept (out of file descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What strangers are granted.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// From the connection to its whole request.
    request: Duration,
    /// A connection ends after this, whatever it is doing.
    connection: Duration,
    /// Between attempts to bind: at first, doubled each time, and at most.
    bind: (Duration, Duration),
}

const PATIENCE: Patience = Patience {
    request: Duration::from_secs(5),
    connection: Duration::from_secs(20),
    bind: (Duration::from_secs(1), Duration::from_secs(30)),
};

/// Serves HTTP on this address until the task is aborted or the speaker is gone. While the address is taken or not
/// this machine's, that is logged and tried again.
pub async fn serve_http(address: SocketAddr, questions: mpsc::Sender<Question>) {
    serve_patiently(address, questions, PATIENCE).await;
}

async fn serve_patiently(address: SocketAddr, questions: mpsc::Sender<Question>, patience: Patience) {
    let (mut pause, longest) = patience.bind;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                tracing::info!(%address, "serving http");
                return serve_listener(listener, questions, patience).await;
            }
            Err(error) => tracing::warn!(%address, %error, retry_s = pause.as_secs(), "cannot serve http"),
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(longest),
            () = questions.closed() => return,
        }
    }
}

async fn serve_listener(listener: TcpListener, questions: mpsc::Sender<Question>, patience: Patience) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, questions.clone(), patience));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept an http connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = questions.closed() => return,
        }
    }
}

async fn serve_connection(stream: TcpStream, questions: mpsc::Sender<Question>, patience: Patience) {
    let service = service_fn(|request| {
        let questions = &questions;
        async move { Ok::<_, Infallible>(answer(&request, questions).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.request)
        .keep_alive(false)
        .max_buf_size(16 * 1_024)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(patience.connection, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an http connection broke"),
        Err(_) => tracing::debug!("an http connection was too slow"),
    }
}

async fn answer(request: &Request<Incoming>, questions: &mpsc::Sender<Question>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        response
            .headers_mut()
            .insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/metrics" => metrics_page(questions).await,
        "/readyz" => readiness(questions).await,
        // Alive means that this process takes questions; whether it does its job is `/readyz`.
        "/healthz" if !questions.is_closed() => text(StatusCode::OK, "ok\n"),
        "/healthz" => text(StatusCode::SERVICE_UNAVAILABLE, "the speaker is gone\n"),
        _ => text(
            StatusCode::NOT_FOUND,
            "there are /metrics, /healthz and /readyz\n",
        ),
    }
}

async fn metrics_page(questions: &mpsc::Sender<Question>) -> Response<Full<Bytes>> {
    let Some(snapshot) = ask(questions, |reply| Question::Metrics { reply }).await else {
        return unanswered();
    };
    match metrics::render(&snapshot) {
        Ok(page) => typed(StatusCode::OK, metrics::CONTENT_TYPE, page),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

async fn readiness(questions: &mpsc::Sender<Question>) -> Response<Full<Bytes>> {
    let Some(readiness) = ask(questions, |reply| Question::Readiness { reply }).await else {
        return unanswered();
    };
    let status = if readiness.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    text(status, readiness.text())
}

async fn ask<T>(
    questions: &mpsc::Sender<Question>,
    question: impl FnOnce(oneshot::Sender<T>) -> Question,
) -> Option<T> {
    let asked = async {
        let (reply, answered) = oneshot::channel();
        questions.send(question(reply)).await.ok()?;
        answered.await.ok()
    };
    tokio::time::timeout(ANSWER, asked).await.ok().flatten()
}

fn unanswered() -> Response<Full<Bytes>> {
    text(
        StatusCode::SERVICE_UNAVAILABLE,
        format!("speaker: not ready: no answer within {ANSWER:?}\n"),
    )
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    typed(status, "text/plain; charset=utf-8", body)
}

fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        hyper::header::HeaderValue::from_static(content_type),
    );
    headers.insert(CACHE_CONTROL, hyper::header::HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
