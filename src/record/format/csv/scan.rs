//! The cells of a text of separated values, as spans. A text of which two readers could find
//! different cells is none.

use std::borrow::Cow;
use std::ops::Range;

use super::super::MAX_SPLIT_BYTES;

/// A table of more cells is not cut: each of them costs far more memory than its bytes.
const MAX_CELLS: usize = 1 << 22;
/// A table of more columns is not cut: each is looked for among all others.
const MAX_COLUMNS: usize = 1 << 12;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// What a text may be separated by; of several that fit the one that finds most columns.
const DELIMITERS: [u8; 4] = *b",\t;|";
/// A first line that names the separator, as spreadsheets write it.
const NAMES_DELIMITER: &[u8] = b"sep=";

/// A text as rows of as many cells as its first row has.
pub(super) struct Grid<'a> {
    text: &'a [u8],
    pub(super) delimiter: u8,
    /// Bytes before the first row.
    pub(super) head: usize,
    pub(super) columns: usize,
    cells: Vec<(u32, u32)>,
    /// The line ends behind each row, with blank lines.
    ends: Vec<(u32, u32)>,
}

fn is_break(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

fn narrow(at: usize) -> u32 {
    u32::try_from(at).expect("a file that is cut is shorter than 4 GiB")
}

impl<'a> Grid<'a> {
    /// Reads a text of a known separator; `None` when it is not rectangular.
    pub(super) fn read(text: &'a [u8], delimiter: u8) -> Option<Self> {
        if text.len() > MAX_SPLIT_BYTES || text.contains(&0) {
            return None;
        }
        let head = head_of(text);
        let (cells, ends) = (Vec::new(), Vec::new());
        let mut grid = Self { text, delimiter, head, columns: 0, cells, ends };
        let mut at = head;
        while at < text.len() {
            at = grid.row(at)?;
        }
        let is_strange = |cell: &[u8]| cell.starts_with(BYTE_ORDER_MARK) || names_delimiter(cell);
        // In a view that begins with it, such a name would be read as something else.
        let names = grid.cells.get(..grid.columns).unwrap_or_default();
        if names.iter().any(|span| is_strange(grid.slice(*span))) {
            return None;
        }
        Some(grid)
    }

    /// Reads a text whose separator its first row tells.
    pub(super) fn sniff(text: &'a [u8]) -> Option<Self> {
        let all = DELIMITERS.into_iter().filter_map(|delimiter| Self::read(text, delimiter));
        // The first of equals.
        all.reduce(|best, next| if next.columns > best.columns { next } else { best })
    }

    /// Says whether it may be a new file: one column whose name has a separator in it is rather a
    /// text whose rows are not equally long.
    pub(super) fn may_begin(&self) -> bool {
        let is_plain =
            |name: &[u8]| name.starts_with(b"\"") || !name.iter().any(|b| DELIMITERS.contains(b));
        self.columns > 1 || self.columns == 1 && self.row_cells(0).all(is_plain)
    }

    /// Takes a row and returns where the next one begins.
    fn row(&mut self, start: usize) -> Option<usize> {
        let (mut at, mut count) = (start, 0);
        loop {
            let end = cell_end(self.text, at, self.delimiter)?;
            self.cells.push((narrow(at), narrow(end)));
            (at, count) = (end, count + 1);
            if self.text.get(at) != Some(&self.delimiter) {
                break;
            }
            at += 1;
        }
        if self.ends.is_empty() {
            self.columns = count;
        }
        if count != self.columns || count > MAX_COLUMNS || self.cells.len() > MAX_CELLS {
            return None;
        }
        let breaks = self.text[at..].iter().take_while(|b| is_break(**b)).count();
        self.ends.push((narrow(at), narrow(at + breaks)));
        Some(at + breaks)
    }

    /// Returns how many rows stand below the first.
    pub(super) fn rows(&self) -> usize {
        self.ends.len().saturating_sub(1)
    }

    fn slice(&self, (start, end): (u32, u32)) -> &'a [u8] {
        &self.text[start as usize..end as usize]
    }

    /// Returns the cells of a row; row 0 has the names of the columns.
    pub(super) fn row_cells(&self, row: usize) -> impl ExactSizeIterator<Item = &'a [u8]> + '_ {
        let range: Range<usize> = row * self.columns..(row + 1) * self.columns;
        self.cells[range].iter().map(|span| self.slice(*span))
    }

    /// Returns one cell.
    pub(super) fn cell(&self, row: usize, column: usize) -> Option<&'a [u8]> {
        let at = row * self.columns + column;
        self.cells.get(at).filter(|_| column < self.columns).map(|span| self.slice(*span))
    }

    /// Returns the line ends behind a row.
    pub(super) fn row_end(&self, row: usize) -> &'a [u8] {
        self.ends.get(row).map_or(&[], |span| self.slice(*span))
    }

    pub(super) fn head_text(&self) -> &'a [u8] {
        &self.text[..self.head]
    }
}

/// Returns where the first row begins: behind a byte order mark, blank lines, and a line that
/// names the separator.
fn head_of(text: &[u8]) -> usize {
    let breaks = |at: usize| text[at..].iter().take_while(|b| is_break(**b)).count();
    let mut at = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    at += breaks(at);
    let line = text[at..].split(|b| is_break(*b)).next().unwrap_or_default();
    if names_delimiter(line) {
        at += line.len();
        at += breaks(at);
    }
    at
}

fn names_delimiter(line: &[u8]) -> bool {
    let is_named =
        line.get(..NAMES_DELIMITER.len()).is_some_and(|l| l.eq_ignore_ascii_case(NAMES_DELIMITER));
    is_named && line.len() <= NAMES_DELIMITER.len() + 1
}

/// Returns where a cell ends; `None` when its quotes do not end it.
fn cell_end(text: &[u8], start: usize, delimiter: u8) -> Option<usize> {
    let ends = |b: u8| b == delimiter || is_break(b);
    if text.get(start) != Some(&b'"') {
        let len = text[start..].iter().position(|b| ends(*b));
        return Some(len.map_or(text.len(), |len| start + len));
    }
    let mut at = start + 1;
    loop {
        at += text[at..].iter().position(|b| *b == b'"')? + 1;
        match text.get(at) {
            Some(b'"') => at += 1,
            Some(b) if !ends(*b) => return None,
            _ => return Some(at),
        }
    }
}

/// Returns what a cell says, without quotes.
pub(super) fn value(cell: &[u8]) -> Cow<'_, [u8]> {
    let Some(inner) = cell.strip_prefix(b"\"").and_then(|c| c.strip_suffix(b"\"")) else {
        return Cow::Borrowed(cell);
    };
    if !inner.contains(&b'"') {
        return Cow::Borrowed(inner);
    }
    let mut value = Vec::with_capacity(inner.len());
    let mut is_second = false;
    for &b in inner {
        is_second = b == b'"' && !is_second;
        if !is_second {
            value.push(b);
        }
    }
    Cow::Owned(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(text: &str) -> Option<Vec<Vec<String>>> {
        let grid = Grid::sniff(text.as_bytes()).filter(Grid::may_begin)?;
        let row = |r| grid.row_cells(r).map(|c| String::from_utf8_lossy(c).into_owned()).collect();
        Some((0..grid.ends.len()).map(row).collect())
    }

    #[test]
    fn cells_are_found_with_any_separator_and_line_end() {
        for text in [
            "a,b\n1,2\n",
            "a;b\r\n1;2",
            "\u{feff}a\tb\r1\t2\r",
            "\n\na|b\n\n1|2\n\n\n",
            "sep=;\r\na;b\r\n1;2\r\n",
        ] {
            assert_eq!(cells(text).unwrap(), [["a", "b"], ["1", "2"]], "{text:?}");
        }
        let quoted = cells("a,b\n\"1,\n\"\"2\",5\" pipe\n").unwrap();
        assert_eq!(quoted[1], ["\"1,\n\"\"2\"", "5\" pipe"]);
        assert_eq!(cells("a,,b\n,,").unwrap()[1], ["", "", ""]);
        assert_eq!(cells("\"Weight; kg\"\n1\n2\n").unwrap().len(), 3);
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for text in ["a,b\n1\n", "a,b\n\"1,2\n", "a,b\n\"1\"x,2\n", "a,b\n1,\0\n", "a,sep=;\n1,2\n"]
        {
            assert!(cells(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn values_are_what_stands_between_the_quotes() {
        for (cell, expected) in
            [("a", "a"), ("\"a\"", "a"), ("\"a\"\"b\"", "a\"b"), ("\"\"", ""), ("\"\"\"\"", "\"")]
        {
            assert_eq!(value(cell.as_bytes()).as_ref(), expected.as_bytes());
        }
    }
}
