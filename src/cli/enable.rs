//! `stonechat enable PEER`.

use super::{Error, Terminal};
use crate::control::Request;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The peer's name or address
    peer: String,
}

pub(super) fn execute(arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<(), Error> {
    terminal.ask_done(&Request::EnablePeer {
        name: arguments.peer.clone(),
    })
}
