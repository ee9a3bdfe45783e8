//! A daemon that gives known answers, for the tests of the verbs.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use super::{Client, Error, Output, Terminal};
use crate::control::{Request, Response};

/// Listens in a temporary directory until dropped.
pub(super) struct Daemon(PathBuf);

impl Daemon {
    /// Answers each request with what the closure says.
    pub(super) fn new(answer: impl Fn(Request) -> Response + Send + 'static) -> Self {
        Self::listening(move |line| {
            let request = serde_json::from_str(line).expect("a request");
            serde_json::to_string(&answer(request)).expect("a response") + "\n"
        })
    }

    /// Closes the connection without an answer.
    pub(super) fn silent() -> Self {
        Self::listening(|_| String::new())
    }

    /// A socket that a dead daemon left.
    pub(super) fn dead() -> Self {
        let daemon = Self::directory();
        drop(UnixListener::bind(daemon.socket()).expect("bind"));
        daemon
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.0.join("s")
    }

    /// What a verb prints, and how it ends.
    pub(super) fn ask(
        &self,
        json: bool,
        verb: impl FnOnce(&mut Terminal<'_>) -> Result<(), Error>,
    ) -> (String, Result<(), String>) {
        let mut printed = Vec::new();
        let mut terminal = Terminal {
            client: Client::new(self.socket()),
            output: Output::at(&mut printed, json, 1_000_000),
        };
        let done = verb(&mut terminal);
        (
            String::from_utf8(printed).expect("text"),
            done.map_err(|error| error.to_string()),
        )
    }

    /// What a verb that succeeds prints.
    pub(super) fn text(&self, verb: impl FnOnce(&mut Terminal<'_>) -> Result<(), Error>) -> String {
        let (printed, done) = self.ask(false, verb);
        done.expect("the verb succeeds");
        printed
    }

    /// The JSON that a verb prints.
    pub(super) fn json(
        &self,
        verb: impl FnOnce(&mut Terminal<'_>) -> Result<(), Error>,
    ) -> serde_json::Value {
        let (printed, done) = self.ask(true, verb);
        done.expect("the verb succeeds");
        serde_json::from_str(&printed).expect("JSON")
    }

    fn directory() -> Self {
        let template = std::env::temp_dir().join("stonechat-cli-XXXXXX");
        Self(nix::unistd::mkdtemp(&template).expect("make a directory"))
    }

    fn listening(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        let daemon = Self::directory();
        let listener = UnixListener::bind(daemon.socket()).expect("bind");
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.expect("accept"));
                let mut line = String::new();
                // A connection without a question is somebody who looks whether the daemon lives.
                if reader.read_line(&mut line).expect("read") > 0 {
                    reader
                        .get_mut()
                        .write_all(answer(&line).as_bytes())
                        .expect("write");
                }
            }
        });
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("remove the directory");
    }
}
