//! `stonechat config`: what can be configured and what is, without a daemon.

use std::path::PathBuf;

use super::{DEFAULT_CONFIG, Error, Terminal};
use crate::config::{effective, json_schema};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Print the configuration with everything that groups, profiles and defaults add
    Show {
        /// The configuration
        #[arg(value_name = "FILE", default_value = DEFAULT_CONFIG)]
        file: PathBuf,
    },
    /// Print a JSON Schema of the configuration file, for editors
    Schema,
}

pub(super) fn execute(arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<(), Error> {
    match &arguments.what {
        What::Show { file } => {
            let text = effective(file, &|name| std::env::var(name).ok());
            let text = text.map_err(|report| Error::Configuration(report.to_string()))?;
            if !terminal.output.wants_json() {
                return terminal.output.text(&text);
            }
            let table: toml::Table =
                toml::from_str(&text).map_err(|error| Error::Configuration(error.to_string()))?;
            terminal.output.print(&table, |_| String::new())
        }
        What::Schema => {
            let schema = json_schema();
            terminal.output.print(&schema, |schema| format!("{schema:#}\n"))
        }
    }
}
