//! `stonechat shutdown PEER`.

use super::{Error, Terminal};
use crate::control::Request;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The peer's name or address
    peer: String,
    /// Told to the peer and kept in its log (RFC 9003)
    #[arg(long, default_value = "")]
    text: String,
}

pub(super) fn execute(arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<(), Error> {
    let Arguments { peer, text } = arguments;
    terminal.ask_done(&Request::ShutdownPeer {
        name: peer.clone(),
        text: text.clone(),
    })
}
