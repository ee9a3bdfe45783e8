//! `stonechat completions SHELL`.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{CommandLine, Error, Terminal};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// For which shell
    shell: Shell,
}

pub(super) fn execute(arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut CommandLine::command(),
        "stonechat",
        &mut script,
    );
    Ok(terminal.output.writer().write_all(&script)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::Daemon;

    #[test]
    fn each_shell_gets_a_script_that_names_the_verbs() {
        let daemon = Daemon::dead();
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = daemon.text(|terminal| execute(&Arguments { shell }, terminal));
            assert!(
                script.contains("vips") && script.contains("socket"),
                "{shell}: {script}"
            );
        }
    }
}
