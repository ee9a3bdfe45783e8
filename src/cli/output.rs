//! The one place that prints.

use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::Error;

/// Where a verb prints, in which form, and the time that ages are counted from.
pub(super) struct Output<'a> {
    writer: &'a mut dyn Write,
    json: bool,
    now_unix_s: u64,
}

impl std::fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output")
            .field("json", &self.json)
            .field("now_unix_s", &self.now_unix_s)
            .finish_non_exhaustive()
    }
}

impl<'a> Output<'a> {
    #[expect(clippy::disallowed_methods, reason = "an edge: ages are printed against this")]
    pub(super) fn new(writer: &'a mut dyn Write, json: bool) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self::at(writer, json, now.map_or(0, |since| since.as_secs()))
    }

    /// As if printed at this time.
    pub(super) fn at(writer: &'a mut dyn Write, json: bool, now_unix_s: u64) -> Self {
        Self {
            writer,
            json,
            now_unix_s,
        }
    }

    /// JSON is wanted.
    pub(super) fn wants_json(&self) -> bool {
        self.json
    }

    /// Unix time in seconds.
    pub(super) fn now_unix_s(&self) -> u64 {
        self.now_unix_s
    }

    /// Prints this as JSON where that is wanted, else as the text.
    pub(super) fn print<T: Serialize + ?Sized>(
        &mut self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Error> {
        if !self.json {
            return self.text(&text(value));
        }
        let json = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
        self.text(&json)?;
        self.text("\n")
    }

    /// Prints exactly this.
    pub(super) fn text(&mut self, text: &str) -> Result<(), Error> {
        Ok(self.writer.write_all(text.as_bytes())?)
    }

    /// The writer, for those who generate text.
    pub(super) fn writer(&mut self) -> &mut dyn Write {
        self.writer
    }
}

/// Says on standard error what is wrong.
pub(super) fn complain(message: &str) {
    // Where standard error is closed the exit code still tells.
    drop(writeln!(io::stderr(), "{}", message.trim_end()));
}
