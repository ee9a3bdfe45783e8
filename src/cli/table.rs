//! Text in columns, as wide as what is in them: an IPv6 prefix never runs into its neighbour.

/// One column's heading and side.
#[derive(Clone, Copy, Debug)]
pub(super) enum Column {
    /// Words: aligned left.
    Left(&'static str),
    /// Counts: aligned right.
    Right(&'static str),
}

/// Rows under headings. It may be printed in parts: columns only ever get wider.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    widths: Vec<usize>,
    rows: Vec<Vec<String>>,
    headed: bool,
}

/// Between two columns.
const GAP: &str = "  ";

impl Table {
    pub(super) fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        let columns: Vec<Column> = columns.into_iter().collect();
        let widths = columns.iter().map(|column| width(column.heading())).collect();
        Self {
            columns,
            widths,
            rows: Vec::new(),
            headed: false,
        }
    }

    /// Adds a row, one text a column.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().collect();
        for (known, cell) in self.widths.iter_mut().zip(&cells) {
            *known = (*known).max(width(cell));
        }
        self.rows.push(cells);
    }

    /// The rows since the last call, the first time under the headings.
    pub(super) fn text(&mut self) -> String {
        let mut text = String::new();
        if !std::mem::replace(&mut self.headed, true) {
            let headings: Vec<String> = self
                .columns
                .iter()
                .map(|column| String::from(column.heading()))
                .collect();
            self.line(&headings, &mut text);
        }
        for row in std::mem::take(&mut self.rows) {
            self.line(&row, &mut text);
        }
        text
    }

    fn line(&self, cells: &[String], text: &mut String) {
        let start = text.len();
        for ((column, cell), wanted) in self.columns.iter().zip(cells).zip(&self.widths) {
            if text.len() > start {
                text.push_str(GAP);
            }
            let padding = " ".repeat(wanted - width(cell));
            match column {
                Column::Left(_) => text.extend([cell.as_str(), &padding]),
                Column::Right(_) => text.extend([padding.as_str(), cell]),
            }
        }
        text.truncate(text.trim_end().len().max(start));
        text.push('\n');
    }
}

impl Column {
    fn heading(&self) -> &'static str {
        match self {
            Self::Left(heading) | Self::Right(heading) => heading,
        }
    }
}

/// A list of names and values, the values in one column; values of several lines are indented alike.
pub(super) fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let pairs: Vec<(&str, String)> = pairs.into_iter().collect();
    let widest = pairs.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in pairs {
        let mut lines = value.lines();
        let first = lines.next().unwrap_or_default();
        let line = format!("{name:widest$}{GAP}{first}");
        text.extend([line.trim_end(), "\n"]);
        for line in lines {
            text.push_str(&format!("{:widest$}{GAP}{line}\n", ""));
        }
    }
    text
}

fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new([Column::Left("PREFIX"), Column::Right("N"), Column::Left("NOTE")]);
        table.row(["10.0.0.0/8".into(), "7".into(), String::new()]);
        table.row(["2001:db8:ffff:ffff::/64".into(), "1234".into(), "näh".into()]);
        assert_eq!(
            table.text(),
            "PREFIX                      N  NOTE\n\
             10.0.0.0/8                  7\n\
             2001:db8:ffff:ffff::/64  1234  näh\n"
        );
        table.row(["::/0".into(), "1".into(), String::new()]);
        assert_eq!(
            table.text(),
            "::/0                        1\n",
            "a further part has no heading"
        );
    }

    #[test]
    fn values_stand_in_one_column() {
        let text = pairs([
            ("name", "a".into()),
            ("families", "one\ntwo".into()),
            ("empty", String::new()),
        ]);
        assert_eq!(text, "name      a\nfamilies  one\n          two\nempty\n");
    }
}
