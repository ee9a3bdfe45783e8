//! `stonechat config`: what can be configured, without a daemon.

use super::{Error, Terminal};
use crate::config::json_schema;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Print a JSON Schema of the configuration file, for editors
    Schema,
}

pub(super) fn execute(arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<(), Error> {
    match arguments.what {
        What::Schema => {
            let schema = json_schema();
            terminal.output.print(&schema, |schema| format!("{schema:#}\n"))
        }
    }
}
