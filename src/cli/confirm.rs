//! `stonechat confirm`: what `reload --confirm` applied stays.

use super::{Error, Terminal};
use crate::control::Request;

pub(super) fn execute(terminal: &mut Terminal<'_>) -> Result<(), Error> {
    terminal.ask_done(&Request::Confirm)
}
