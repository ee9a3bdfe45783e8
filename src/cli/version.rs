//! `stonechat version`.

use serde_json::json;

use super::{Error, Terminal};

pub(super) fn execute(terminal: &mut Terminal<'_>) -> Result<(), Error> {
    let version = json!({ "version": env!("CARGO_PKG_VERSION") });
    let text = concat!("stonechat ", env!("CARGO_PKG_VERSION"), "\n");
    terminal.output.print(&version, |_| String::from(text))
}
