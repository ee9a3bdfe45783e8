//! The texts of a configuration's files, and where in them something stands.
//!
//! A span is a range of bytes in all texts behind each other, so that it says which file it is in.

use std::ops::Range;
use std::sync::Arc;

use crate::policy::Location;

/// Files in the order in which they were read.
#[derive(Clone, Debug, Default)]
pub(super) struct Source {
    files: Vec<SourceFile>,
    text: String,
    /// Byte offset of each line's first character.
    line_starts: Vec<usize>,
}

#[derive(Clone, Debug)]
struct SourceFile {
    /// As named on the command line, or as found from there.
    name: Arc<str>,
    /// Byte offset of its first character.
    start: usize,
    /// Index of its first line.
    first_line: usize,
    /// Who answers for it, if it is a fragment.
    owner: Option<Arc<str>>,
}

/// A place in the files: which of them, 1-based line, and 1-based column in characters.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Position {
    /// In the order in which they were read.
    pub(super) index: usize,
    pub(super) file: Arc<str>,
    pub(super) line: u32,
    pub(super) column: u32,
}

impl Source {
    /// Takes up a file, and yields what its own offsets are to be shifted by.
    pub(super) fn add(&mut self, name: &str, text: &str) -> usize {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        let start = self.text.len();
        self.files.push(SourceFile {
            name: name.into(),
            start,
            first_line: self.line_starts.len(),
            owner: None,
        });
        let newlines = text.bytes().enumerate().filter(|(_, octet)| *octet == b'\n');
        self.line_starts.push(start);
        self.line_starts.extend(newlines.map(|(at, _)| start + at + 1));
        self.text.push_str(text);
        start
    }

    fn file(&self, offset: usize) -> Option<(usize, &SourceFile)> {
        let index = self
            .files
            .partition_point(|file| file.start <= offset)
            .saturating_sub(1);
        self.files.get(index).map(|file| (index, file))
    }

    /// Who answers for the file added last.
    pub(super) fn set_owner(&mut self, owner: Arc<str>) {
        if let Some(last) = self.files.last_mut() {
            last.owner = Some(owner);
        }
    }

    /// Who answers for the file in which this stands, if that is a fragment.
    pub(super) fn owner(&self, span: &Range<usize>) -> Option<Arc<str>> {
        self.file(span.start).and_then(|(_, file)| file.owner.clone())
    }

    /// Whether both stand in one file.
    pub(super) fn same_file(&self, one: usize, other: usize) -> bool {
        self.file(one).map(|(index, _)| index) == self.file(other).map(|(index, _)| index)
    }

    /// Where the character at this byte offset stands; an offset beyond the text is its end.
    pub(super) fn position(&self, offset: usize) -> Position {
        let line = self.line_index(offset);
        let start = self.line_start(line);
        let before = self
            .text
            .get(start..offset.min(self.text.len()))
            .unwrap_or_default();
        let (index, file, first_line) = match self.file(offset) {
            Some((index, file)) => (index, Arc::clone(&file.name), file.first_line),
            None => (0, "".into(), 0),
        };
        Position {
            index,
            file,
            line: number(line.saturating_sub(first_line) + 1),
            column: number(before.chars().count() + 1),
        }
    }

    pub(super) fn location(&self, span: &Range<usize>) -> Location {
        let Position { file, line, .. } = self.position(span.start);
        Location { file, line }
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
        let mut source = Source::default();
        source.add("f", "é = 1\nab\n");
        let at = |offset| {
            let Position { line, column, .. } = source.position(offset);
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
        let mut source = Source::default();
        source.add("f", "a = [\n 1,\n]\n");
        assert_eq!(source.width_on_line(&(4..11)), 1);
        assert_eq!(source.width_on_line(&(0..3)), 3);
        assert_eq!(source.width_on_line(&(5..5)), 1);
    }

    #[test]
    fn offsets_of_a_second_file_begin_behind_the_first() {
        let mut source = Source::default();
        assert_eq!(source.add("a", "x = 1\n"), 0);
        let base = source.add("b", "y = 2\nz = 3");
        let Position {
            file, line, column, ..
        } = source.position(base + 6);
        assert_eq!((&*file, line, column), ("b", 2, 1));
        assert_eq!(source.line_at(base + 6), "z = 3");
        assert_eq!(&*source.position(base - 1).file, "a");
        assert!(source.same_file(0, base - 1) && !source.same_file(0, base));
    }
}
