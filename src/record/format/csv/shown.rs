//! The table that visible sections show: their columns, and the rows that have a cell in one of
//! them.

use std::collections::HashMap;

use super::super::Sections;
use super::super::section::{Item, LIST, ROOT};
use super::super::slots::Slot;
use super::stored::{Column, Frame, Part};

/// Stands in a table of one column for a cell without text: an empty line would be no row.
pub(super) const NOTHING: &[u8] = b"\"\"";

pub(super) struct ShownColumn<'s> {
    pub(super) slot: Slot,
    pub(super) item: &'s Item,
    pub(super) column: Column<'s>,
}

/// A part of a row that shows something.
pub(super) struct ShownPart<'s> {
    pub(super) slot: Slot,
    pub(super) item: &'s Item,
    pub(super) part: Part<'s>,
}

pub(super) struct ShownRow<'s> {
    /// In the order of their ranks and sections.
    pub(super) parts: Vec<ShownPart<'s>>,
    /// By column; nothing where no visible section has a text for it.
    pub(super) cells: Vec<Option<&'s [u8]>>,
    /// Whether another row above has its number, and another text in one of its cells.
    pub(super) is_second: bool,
}

/// A table as some sections show it.
pub(super) struct Shown<'s> {
    pub(super) frame: Frame,
    pub(super) columns: Vec<ShownColumn<'s>>,
    /// Where each of them stands, by its number.
    pub(super) places: HashMap<u32, usize>,
    pub(super) rows: Vec<ShownRow<'s>>,
    /// What visible sections hold and the view does not show: cells of columns that it has not.
    pub(super) withheld: Vec<(Slot, &'s Item)>,
}

impl<'s> Shown<'s> {
    /// Reads the visible sections. What no program has written so is not shown, and kept.
    pub(super) fn of(sections: &'s Sections) -> Self {
        let frame = sections.get(&Slot::FRAME).and_then(|text| text.items.first());
        let frame = frame.and_then(|item| Frame::read(&item.bytes).ok()).unwrap_or_default();
        let others = || sections.iter().filter(|(slot, _)| **slot != Slot::FRAME);
        let in_container = |container| {
            let all = others().flat_map(|(slot, text)| text.items.iter().map(|item| (*slot, item)));
            let mut all: Vec<_> = all.filter(|(_, item)| item.container == container).collect();
            // Stable: equal ones of one section stay as they are stored.
            all.sort_by_key(|(slot, item)| (&item.rank, *slot));
            all
        };
        let (mut columns, mut withheld) = (Vec::new(), Vec::new());
        let mut places = HashMap::new();
        for (slot, item) in in_container(ROOT) {
            match Column::read(&item.bytes) {
                Ok(column) if !places.contains_key(&column.number) => {
                    places.insert(column.number, columns.len());
                    columns.push(ShownColumn { slot, item, column });
                }
                _ => withheld.push((slot, item)),
            }
        }
        let mut shown = Self { frame, columns, places, rows: Vec::new(), withheld };
        shown.take_rows(in_container(LIST));
        shown
    }

    fn take_rows(&mut self, items: Vec<(Slot, &'s Item)>) {
        let mut known: HashMap<u64, Vec<usize>> = HashMap::new();
        for (slot, item) in items {
            let Ok(part) = Part::read(&item.bytes) else {
                self.withheld.push((slot, item));
                continue;
            };
            let here: Vec<(usize, &[u8])> = part
                .cells
                .iter()
                .filter_map(|(column, text)| Some((*self.places.get(column)?, *text)))
                .collect();
            if here.is_empty() {
                self.withheld.push((slot, item));
                continue;
            }
            let same = known.entry(part.row).or_default();
            // Two people may have put other texts into one cell: both are shown.
            let is_free =
                |row: &&usize| here.iter().all(|(at, _)| self.rows[**row].cells[*at].is_none());
            let row = same.iter().find(is_free).copied().unwrap_or_else(|| {
                let cells = vec![None; self.columns.len()];
                let is_second = !same.is_empty();
                self.rows.push(ShownRow { parts: Vec::new(), cells, is_second });
                same.push(self.rows.len() - 1);
                self.rows.len() - 1
            });
            let row = &mut self.rows[row];
            for (at, text) in here {
                row.cells[at] = Some(text);
            }
            row.parts.push(ShownPart { slot, item, part });
        }
    }

    /// Returns how a stored cell is shown.
    pub(super) fn cell_text(&self, cell: Option<&'s [u8]>) -> &'s [u8] {
        let text = cell.unwrap_or_default();
        if text.is_empty() && self.columns.len() == 1 { NOTHING } else { text }
    }

    /// Returns how the end of a row is shown.
    pub(super) fn end_text<'e>(frame: &'e Frame, end: &'e [u8], is_last: bool) -> &'e [u8] {
        if end.is_empty() && !is_last { frame.line_end() } else { end }
    }

    /// Renders the table; without columns it is nothing.
    pub(super) fn text(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.columns.is_empty() {
            return out;
        }
        out.extend_from_slice(&self.frame.head);
        let names = self.columns.iter().map(|c| self.cell_text(Some(c.column.name)));
        self.line(&mut out, names);
        out.extend_from_slice(Self::end_text(&self.frame, &self.frame.end, self.rows.is_empty()));
        for (index, row) in self.rows.iter().enumerate() {
            self.line(&mut out, row.cells.iter().map(|cell| self.cell_text(*cell)));
            let is_last = index + 1 == self.rows.len();
            out.extend_from_slice(Self::end_text(&self.frame, row.end(), is_last));
        }
        out
    }

    fn line<'c>(&self, out: &mut Vec<u8>, cells: impl Iterator<Item = &'c [u8]>) {
        for (index, cell) in cells.enumerate() {
            if index > 0 {
                out.push(self.frame.delimiter);
            }
            out.extend_from_slice(cell);
        }
    }
}

impl ShownRow<'_> {
    pub(super) fn end(&self) -> &[u8] {
        self.parts.first().map_or(&[], |first| first.part.end)
    }
}
