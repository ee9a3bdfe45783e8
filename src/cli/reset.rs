//! `stonechat reset PEER`.

use super::{Error, Terminal};
use crate::control::Request;
use crate::control::protocol::Reset;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The peer's name or address
    peer: String,
    /// Keep the session; ask the peer for its routes again
    #[arg(long, conflicts_with = "soft_out")]
    soft_in: bool,
    /// Keep the session; advertise our routes again
    #[arg(long)]
    soft_out: bool,
}

pub(super) fn execute(arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<(), Error> {
    let how = match (arguments.soft_in, arguments.soft_out) {
        (true, _) => Reset::SoftIn,
        (_, true) => Reset::SoftOut,
        _ => Reset::Hard,
    };
    terminal.ask_done(&Request::ResetPeer {
        name: arguments.peer.clone(),
        how,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::Daemon;
    use crate::control::Response;

    #[test]
    fn the_daemon_is_asked_for_what_was_said() {
        for (soft_in, soft_out, text) in [
            (false, false, "Hard"),
            (true, false, "SoftIn"),
            (false, true, "SoftOut"),
        ] {
            let daemon = Daemon::new(|request| match request {
                Request::ResetPeer { name, how } => Response::Done {
                    text: format!("{name} {how:?}"),
                },
                other => panic!("{other:?}"),
            });
            let arguments = Arguments {
                peer: "f5-a".into(),
                soft_in,
                soft_out,
            };
            assert_eq!(
                daemon.text(|terminal| execute(&arguments, terminal)),
                format!("f5-a {text}\n")
            );
            assert_eq!(
                daemon.json(|terminal| execute(&arguments, terminal))["text"],
                format!("f5-a {text}")
            );
        }
    }
}
