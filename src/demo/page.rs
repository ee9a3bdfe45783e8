//! The page that the story is written on.

use std::{
    fmt::Display,
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use super::Error;

/// Standard output, with headings that stand out on a terminal.
pub(super) struct Page {
    bold: &'static str,
    plain: &'static str,
    chapters: u32,
}

impl Page {
    /// An empty page.
    pub(super) fn new() -> Self {
        let (bold, plain) = if io::stdout().is_terminal() {
            ("\x1b[1m", "\x1b[0m")
        } else {
            ("", "")
        };
        Self {
            bold,
            plain,
            chapters: 0,
        }
    }

    /// Begins a chapter.
    ///
    /// # Errors
    /// When nobody reads on: the story ends then.
    pub(super) fn chapter(&mut self, title: &str, since_start: Duration) -> Result<(), Error> {
        self.chapters += 1;
        let (bold, plain, number) = (self.bold, self.plain, self.chapters);
        write(format_args!(
            "\n{bold}{number}. {title}{plain}  [{:.1} s]\n",
            since_start.as_secs_f32()
        ))
    }

    /// A sentence.
    ///
    /// # Errors
    /// When nobody reads on.
    pub(super) fn say(&self, sentence: impl Display) -> Result<(), Error> {
        write(format_args!("   {sentence}\n"))
    }

    /// A command typed somewhere, and what it printed.
    ///
    /// # Errors
    /// When nobody reads on.
    pub(super) fn show(&self, place: &str, command: &str, lines: &str) -> Result<(), Error> {
        let (bold, plain) = (self.bold, self.plain);
        let indented = lines
            .lines()
            .fold(String::new(), |all, line| format!("{all}     {line}\n"));
        write(format_args!("\n   {bold}{place}# {command}{plain}\n{indented}"))
    }
}

fn write(text: std::fmt::Arguments<'_>) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_fmt(text)
        .and_then(|()| out.flush())
        .map_err(|source| Error::Io {
            what: "write to standard output".to_owned(),
            source,
        })
}
