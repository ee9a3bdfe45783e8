//! `stonechat stop`: ends when the daemon has ended.

use serde_json::json;

use super::{Error, Terminal};
use crate::control::{Request, Response};

pub(super) fn execute(terminal: &mut Terminal<'_>) -> Result<(), Error> {
    let answer = terminal.client.ask_and_wait(&Request::Stop)?;
    if !terminal.client.has_ended() {
        return Err(Error::StillStopping(terminal.client.path().to_path_buf()));
    }
    // A daemon that ends before its answer is out has stopped all the same.
    let text = match answer {
        Some(Response::Done { text }) => text,
        None => String::from("stopped"),
        Some(_) => {
            return Err(Error::Answer(String::from(
                "it is the answer to another question",
            )));
        }
    };
    terminal
        .output
        .print(&json!({ "text": text }), |_| format!("{text}\n"))
}
