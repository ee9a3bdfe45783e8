//! `stonechat demo`.

/// How the demo is run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DemoOptions {
    /// Leave the lab running and print what to type.
    pub keep: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Leave the lab running until Ctrl-C, and print what to type
    #[arg(long)]
    keep: bool,
}

impl Arguments {
    pub(super) fn options(&self) -> DemoOptions {
        DemoOptions { keep: self.keep }
    }
}
