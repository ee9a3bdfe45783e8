//! The text of a configuration file, and where in it something stands.

use std::ops::Range;
use std::sync::Arc;

use crate::policy::Location;

/// A file's name and text.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// As named on the command line.
    pub(super) name: Arc<str>,
    pub(super) text: String,
    /// Byte offset of each line's first character.
    line_starts: Vec<usize>,
}

/// A place in a file: 1-based line, and 1-based column in characters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Position {
    pub(super) line: u32,
    pub(super) column: u32,
}

impl Source {
    pub(super) fn new(name: &str, text: String) -> Self {
        let newlines = text
            .bytes()
            .enumerate()
            .filter(|(_, octet)| *octet == b'\n')
            .map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(newlines).collect();
        Self {
            name: name.into(),
            text,
            line_starts,
        }
    }

    /// Where the character at this byte offset stands; an offset beyond the text is its end.
    pub(super) fn position(&self, offset: usize) -> Position {
        let line = self.line_index(offset);
        let start = self.line_start(line);
        let before = self
            .text
            .get(start..offset.min(self.text.len()))
            .unwrap_or_default();
        Position {
            line: number(line + 1),
            column: number(before.chars().count() + 1),
        }
    }

    pub(super) fn location(&self, span: &Range<usize>) -> Location {
        Location {
            file: Arc::clone(&self.name),
            line: self.position(span.start).line,
        }
    }

    /// The line that holds this byte offset, without its line break.
    pub(super) fn line_at(&self, offset: usize) -> &str {
        let line = self.line_index(offset);
        let end = self.line_starts.get(line + 1).copied().unwrap_or(self.text.len());
        self.text
            .get(self.line_start(line)..end)
            .unwrap_or_default()
            .trim_end_matches(['\n', '\r'])
    }

    /// How many characters of the span are on the line where it begins; at least one, so that there is something to
    /// underline.
    pub(super) fn width_on_line(&self, span: &Range<usize>) -> usize {
        let spanned = self.text.get(span.clone()).unwrap_or_default();
        spanned
            .lines()
            .next()
            .unwrap_or_default()
            .trim_end()
            .chars()
            .count()
            .max(1)
    }

    fn line_index(&self, offset: usize) -> usize {
        self.line_starts
            .partition_point(|start| *start <= offset)
            .saturating_sub(1)
    }

    fn line_start(&self, line: usize) -> usize {
        self.line_starts.get(line).copied().unwrap_or_default()
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters() {
        let source = Source::new("f", "é = 1\nab\n".to_owned());
        let at = |offset| {
            let Position { line, column } = source.position(offset);
            (line, column)
        };
        assert_eq!(
            [at(0), at(3), at(6), at(7), at(8), at(9), at(99)],
            [(1, 1), (1, 3), (1, 6), (2, 1), (2, 2), (2, 3), (3, 1)]
        );
        assert_eq!(source.line_at(8), "ab");
        assert_eq!(source.line_at(99), "");
    }

    #[test]
    fn a_span_over_several_lines_is_underlined_on_its_first() {
        let source = Source::new("f", "a = [\n 1,\n]\n".to_owned());
        assert_eq!(source.width_on_line(&(4..11)), 1);
        assert_eq!(source.width_on_line(&(0..3)), 3);
        assert_eq!(source.width_on_line(&(5..5)), 1);
    }
}
