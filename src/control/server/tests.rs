//! The control socket in a temporary directory, with a speaker that gives known answers.

use tokio::io::AsyncBufReadExt as _;

use super::*;
use crate::control::QUESTIONS;

#[tokio::test]
async fn a_request_reaches_the_speaker_and_its_answer_comes_back() {
    let place = Place::new();
    let served = place.serve();
    let mut client = Client::connect(&place.socket()).await;
    assert_eq!(
        client.ask(r#"{"peer":{"name":"f5-a"}}"#).await,
        r#"{"done":{"text":"asked for f5-a"}}"#
    );
    assert_eq!(
        client.ask(r#""vips""#).await,
        r#"{"vips":[]}"#,
        "the connection serves the next request"
    );
    served.abort();
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_connection_goes_on() {
    let place = Place::new();
    let served = place.serve();
    let mut client = Client::connect(&place.socket()).await;
    let refused = client.ask(r#"{"fly":{}}"#).await;
    assert!(
        refused.starts_with(r#"{"failed":{"not_understood":{"text":"unknown variant `fly`"#),
        "{refused}"
    );
    let refused = client.ask("hello").await;
    assert!(refused.starts_with(r#"{"failed":{"not_understood""#), "{refused}");
    assert_eq!(client.ask(r#""vips""#).await, r#"{"vips":[]}"#);
    served.abort();
}

#[tokio::test]
async fn a_line_without_end_is_refused() {
    let place = Place::new();
    let served = place.serve();
    let mut client = Client::connect(&place.socket()).await;
    let long = vec![b'x'; usize::try_from(LONGEST_REQUEST).unwrap()];
    client.writer.write_all(&long).await.unwrap();
    assert!(client.line().await.starts_with(r#"{"failed""#));
    assert_eq!(client.line().await, "", "and the connection ends");
    served.abort();
}

#[tokio::test]
async fn a_question_that_the_speaker_drops_is_unanswered() {
    let place = Place::new();
    let served = place.serve();
    let mut client = Client::connect(&place.socket()).await;
    assert_eq!(client.ask(r#""status""#).await, r#"{"failed":"unanswered"}"#);
    served.abort();
}

#[tokio::test]
async fn only_the_owner_may_open_the_socket() {
    let place = Place::new();
    let socket = ControlSocket::bind(&place.socket()).unwrap();
    let mode = std::fs::metadata(place.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        place.entries(),
        ["control.sock"],
        "nothing else is left in its directory"
    );
    drop(socket);
    assert_eq!(place.entries(), [""; 0]);
}

#[tokio::test]
async fn a_dead_daemons_socket_is_replaced() {
    let place = Place::new();
    drop(std::os::unix::net::UnixListener::bind(place.socket()).unwrap());
    assert!(place.socket().exists());
    let served = place.serve();
    let mut client = Client::connect(&place.socket()).await;
    assert_eq!(client.ask(r#""vips""#).await, r#"{"vips":[]}"#);
    served.abort();
}

#[tokio::test]
async fn a_live_daemons_socket_is_not() {
    let place = Place::new();
    let _first = ControlSocket::bind(&place.socket()).unwrap();
    let error = ControlSocket::bind(&place.socket()).unwrap_err();
    assert!(matches!(error, BindError::Live(_)), "{error}");
    assert!(place.socket().exists());
}

#[tokio::test]
async fn what_is_no_socket_is_not_touched() {
    let place = Place::new();
    std::fs::write(place.socket(), "precious").unwrap();
    let error = ControlSocket::bind(&place.socket()).unwrap_err();
    assert!(matches!(error, BindError::NoSocket(_)), "{error}");
    assert_eq!(std::fs::read_to_string(place.socket()).unwrap(), "precious");
}

#[tokio::test]
async fn a_missing_directory_is_made() {
    let place = Place::new();
    let deep = place.0.join("run/stonechat/control.sock");
    let _socket = ControlSocket::bind(&deep).unwrap();
    assert!(deep.exists());
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_their_turn() {
    let place = Place::new();
    let served = place.serve();
    let mut idle = Vec::new();
    for _ in 0..MOST_CONNECTIONS {
        let mut client = Client::connect(&place.socket()).await;
        assert_eq!(client.ask(r#""vips""#).await, r#"{"vips":[]}"#);
        idle.push(client);
    }
    let mut late = Client::connect(&place.socket()).await;
    drop(idle.pop());
    assert_eq!(late.ask(r#""vips""#).await, r#"{"vips":[]}"#);
    served.abort();
}

/// A temporary directory, removed when dropped.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        let template = std::env::temp_dir().join("stonechat-control-XXXXXX");
        Self(nix::unistd::mkdtemp(&template).unwrap())
    }

    fn socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    fn entries(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    fn serve(&self) -> tokio::task::JoinHandle<()> {
        let (sender, mut questions) = mpsc::channel(QUESTIONS);
        let socket = ControlSocket::bind(&self.socket()).unwrap();
        tokio::spawn(async move {
            tokio::join!(serve(socket, sender), async {
                while let Some(question) = questions.recv().await {
                    let Question::Control { request, reply } = question else {
                        continue;
                    };
                    let response = match request {
                        Request::Peer { name } => Response::Done {
                            text: format!("asked for {name}"),
                        },
                        Request::Vips => Response::Vips(vec![]),
                        _ => continue,
                    };
                    drop(reply.send(response));
                }
            });
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

struct Client {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Client {
    async fn connect(path: &Path) -> Self {
        let (reader, writer) = UnixStream::connect(path).await.unwrap().into_split();
        Self {
            reader: BufReader::new(reader),
            writer,
        }
    }

    async fn ask(&mut self, line: &str) -> String {
        self.writer.write_all(line.as_bytes()).await.unwrap();
        self.writer.write_all(b"\n").await.unwrap();
        self.line().await
    }

    async fn line(&mut self) -> String {
        let mut answer = String::new();
        self.reader.read_line(&mut answer).await.unwrap();
        String::from(answer.trim_end())
    }
}
