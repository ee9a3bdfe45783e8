//! The HTTP pages, over real connections to a port that the kernel chooses.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::control::{QUESTIONS, Readiness};
use crate::metrics::Snapshot;

#[tokio::test]
async fn metrics_are_rendered_from_the_speakers_snapshot() {
    let server = Server::start(|question| {
        let Question::Metrics { reply } = question else {
            panic!("{question:?}")
        };
        drop(reply.send(Snapshot {
            uptime_s: 42,
            ..Snapshot::default()
        }));
    })
    .await;
    let answer = server.get("/metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("\r\ncontent-type: text/plain; version=0.0.4\r\n"),
        "{answer}"
    );
    assert!(answer.contains("\nstonechat_uptime_seconds 42\n"), "{answer}");
}

#[tokio::test]
async fn readiness_says_which_part_is_not_well_and_why() {
    let server = Server::start(|question| {
        let Question::Readiness { reply } = question else {
            panic!("{question:?}")
        };
        let mut readiness = Readiness::default();
        readiness.part("listener", Ok(String::new()));
        readiness.part("kernel", Err("no permission".into()));
        drop(reply.send(readiness));
    })
    .await;
    let answer = server.get("/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(
        answer.ends_with("\r\n\r\nlistener: ok\nkernel: not ready: no permission\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn ready_is_200() {
    let server = Server::start(|question| {
        let Question::Readiness { reply } = question else {
            panic!("{question:?}")
        };
        drop(reply.send(Readiness::default()));
    })
    .await;
    assert!(server.get("/readyz").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn health_does_not_need_the_speakers_attention() {
    let server = Server::start(|question| panic!("{question:?}")).await;
    assert!(server.get("/healthz").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_question_that_the_speaker_drops_is_503() {
    let server = Server::start(drop).await;
    assert!(server.get("/readyz").await.starts_with("HTTP/1.1 503 "));
    assert!(server.get("/metrics").await.starts_with("HTTP/1.1 503 "));
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let server = Server::start(|question| panic!("{question:?}")).await;
    assert!(server.get("/").await.starts_with("HTTP/1.1 404 "));
    let answer = server
        .send("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    assert!(answer.contains("\r\nallow: GET, HEAD\r\n"), "{answer}");
    assert!(
        server
            .send("\u{0}\u{1}\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 400 ")
    );
}

#[tokio::test]
async fn silent_clients_hold_up_others_no_longer_than_their_deadline() {
    let server = Server::start(|question| panic!("{question:?}")).await;
    let mut silent = Vec::new();
    for _ in 0..MOST_CONNECTIONS {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    assert!(server.get("/healthz").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_taken_address_is_tried_again() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let (sender, _questions) = mpsc::channel(QUESTIONS);
    let serving = tokio::spawn(serve_patiently(address, sender, SHORT));
    let server = Server { address, serving };
    // The backlog of the one who holds the address takes the connection; nobody answers it.
    let nobody = tokio::time::timeout(Duration::from_millis(100), server.get("/healthz")).await;
    assert!(nobody.is_err(), "{nobody:?}");
    drop(taken);
    let connected = async {
        while TcpStream::connect(address).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), connected)
        .await
        .unwrap();
    assert!(server.get("/healthz").await.starts_with("HTTP/1.1 200 "));
}

const SHORT: Patience = Patience {
    request: Duration::from_millis(200),
    connection: Duration::from_secs(10),
    bind: (Duration::from_millis(1), Duration::from_millis(20)),
};

struct Server {
    address: SocketAddr,
    serving: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(speaker: impl Fn(Question) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, mut questions) = mpsc::channel(QUESTIONS);
        let serving = tokio::spawn(async move {
            tokio::join!(serve_listener(listener, sender, SHORT), async {
                while let Some(question) = questions.recv().await {
                    speaker(question);
                }
            });
        });
        Self { address, serving }
    }

    async fn get(&self, path: &str) -> String {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
            .await
    }

    /// Sends this and reads until the server closes.
    async fn send(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
