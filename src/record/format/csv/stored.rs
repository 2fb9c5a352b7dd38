//! What the items of a table hold. Integers little-endian:
//!
//! | item | stands in | bytes |
//! |---|---|---|
//! | frame | the frame, container 0 | separator u8, section of the table u16, line end of the first row (2 + n), text before it (2 + n) |
//! | column | its section, container 1 | number u32, name as written (4 + n) |
//! | part of a row | a section, container 2 | number of the row u64, its line end (2 + n), cells: column u32, text as written (4 + n) |
//!
//! Numbers of rows and columns are drawn at random, and tell nothing of others. A part of a row
//! holds the cells of the columns of its section, or cells of any columns when what the row says
//! has moved it there.

use super::super::rank::Rank;
use super::super::section::{DOCUMENT, Item, LIST, ROOT, Role};
use super::super::slots::Slot;
use crate::error::Result;
use crate::wire::{Reader, Writer};

/// Longer runs of blank lines are no table.
pub(super) const MAX_BREAKS: usize = 4096;
const MAX_CELL_BYTES: usize = 256 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) delimiter: u8,
    /// What the table is about, by the name of its file.
    pub(super) table: Slot,
    /// The line end of the first row.
    pub(super) end: Vec<u8>,
    pub(super) head: Vec<u8>,
}

impl Default for Frame {
    fn default() -> Self {
        Self { delimiter: b',', table: Slot::OTHER, end: b"\n".to_vec(), head: Vec::new() }
    }
}

impl Frame {
    pub(super) fn item(&self) -> Item {
        let mut w = Writer::new();
        w.u8(self.delimiter).u16(self.table.0).short(&self.end).short(&self.head);
        let rank = Rank::from_bytes(&[0x80]).expect("one byte that is not zero is a rank");
        Item { container: DOCUMENT, rank, bytes: w.into_bytes(), role: Role::Text }
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes, "frame of a table");
        let (delimiter, table) = (r.u8()?, Slot(r.u16()?));
        let (end, head) = (r.short(MAX_BREAKS)?.to_vec(), r.short(MAX_BREAKS)?.to_vec());
        r.finish()?;
        Ok(Self { delimiter, table, end, head })
    }

    /// Returns what ends a line that was written without an end.
    pub(super) fn line_end(&self) -> &[u8] {
        if self.end.is_empty() { b"\n" } else { &self.end }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column<'a> {
    pub(super) number: u32,
    pub(super) name: &'a [u8],
}

impl<'a> Column<'a> {
    pub(super) fn item(&self, rank: Rank) -> Item {
        let mut w = Writer::new();
        w.u32(self.number).long(self.name);
        Item { container: ROOT, rank, bytes: w.into_bytes(), role: Role::Text }
    }

    pub(super) fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut r = Reader::new(bytes, "column of a table");
        let column = Self { number: r.u32()?, name: r.long(MAX_CELL_BYTES)? };
        r.finish()?;
        Ok(column)
    }
}

/// A cell: the number of its column, and its text.
pub(super) type Cell<'a> = (u32, &'a [u8]);

/// A part of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    pub(super) row: u64,
    pub(super) end: &'a [u8],
    pub(super) cells: Vec<Cell<'a>>,
}

impl<'a> Part<'a> {
    /// Makes the item; cells stand in the order of their numbers.
    pub(super) fn item(&self, rank: Rank) -> Item {
        let mut w = Writer::new();
        w.u64(self.row).short(self.end);
        for (column, text) in &self.cells {
            w.u32(*column).long(text);
        }
        Item { container: LIST, rank, bytes: w.into_bytes(), role: Role::Text }
    }

    pub(super) fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut r = Reader::new(bytes, "part of a row");
        let (row, end, mut cells) = (r.u64()?, r.short(MAX_BREAKS)?, Vec::new());
        while r.remaining() > 0 {
            cells.push((r.u32()?, r.long(MAX_CELL_BYTES)?));
        }
        Ok(Self { row, end, cells })
    }
}
