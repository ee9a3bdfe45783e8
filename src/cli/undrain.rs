//! `stonechat undrain`.

use super::drain::Which;
use super::{Error, Terminal};
use crate::control::Request;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    which: Which,
}

pub(super) fn execute(arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<(), Error> {
    let targets = arguments.which.targets();
    if targets.is_empty() {
        return Err(Error::Usage("name what to undrain with --vip, --peer or --all"));
    }
    terminal.ask_done(&Request::Undrain { targets })
}
