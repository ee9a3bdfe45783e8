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
            let mut table: toml::Table =
                toml::from_str(&text).map_err(|error| Error::Configuration(error.to_string()))?;
            table.insert("assumed".to_owned(), assumed(&text).into());
            terminal.output.print(&table, |_| String::new())
        }
        What::Schema => {
            let schema = json_schema();
            terminal.output.print(&schema, |schema| format!("{schema:#}\n"))
        }
    }
}

/// The defaults that are no values but words, each with its key and the table it would stand in.
fn assumed(text: &str) -> Vec<toml::Value> {
    let mut place = toml::Table::new();
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            place = toml::Table::new();
            place.insert("table".to_owned(), line.trim_matches(['[', ']']).into());
        } else if let Some(name) = line.strip_prefix("name = ") {
            place.insert("name".to_owned(), name.trim_matches('"').into());
        } else if let Some((key, words)) = line.strip_prefix("# ").and_then(|line| line.split_once(": ")) {
            let mut entry = place.clone();
            entry.insert("key".to_owned(), key.into());
            entry.insert("default".to_owned(), words.into());
            found.push(entry.into());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_in_words_are_told_with_their_place() {
        let text = "[speaker]\nasn = 64512\n# router_id: found\n\n[[peer]]\nname = \"f5-a\"\n# keepalive_time: a third: of it\n";
        let found: Vec<String> = assumed(text).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                r#"{ default = "found", key = "router_id", table = "speaker" }"#,
                r#"{ default = "a third: of it", key = "keepalive_time", name = "f5-a", table = "peer" }"#,
            ]
        );
    }
}
