//! Tables of comma-separated values, or separated by tabs, semicolons or bars: the columns by
//! their names, and rows that say something sensitive as a whole.
//!
//! | span | stands in |
//! |---|---|
//! | byte order mark, blank lines and `sep=` before the names, the line end behind them | the frame |
//! | the name of a column | the section that its words tell, else that of the table's file name |
//! | the cells of a row | for each section one part, with the cells of its columns |
//! | a row in which a code or word is sensitive | one part, with all its cells, in that section |
//!
//! A view has the columns of its sections, and of each row what stands in them; a row that was
//! moved shows its cells in the columns that the view has. Rows are known by random numbers, so that
//! whoever moves, changes or removes the rows of a view leaves what others see of them: see
//! [`merge`]. Cells and line ends are kept as they are written.
//!
//! A text is cut by the name of its file. One that is not rectangular, has more than 4,096 columns or
//! 4,194,304 cells, a zero byte, or text behind closing quotes is one section.

mod align;
mod columns;
mod merge;
mod rows;
mod safe_harbor;
mod scan;
mod shown;
mod stored;

use std::collections::{BTreeMap, BTreeSet};

use super::adapter::{Adapter, Glue};
use super::merge::Merged;
use super::outline::has_suffix;
use super::rank::Rank;
use super::rules::{Hits, Rules};
use super::safe_harbor::Pseudonyms;
use super::section::{LIST, Measure, ROOT};
use super::slots::Slot;
use super::{FormatId, Sections};
use crate::error::Result;
use crate::key::hash;

use columns::{Nature, column_slot, hits_of, nature, stricter, table_slot};
use scan::{Grid, value};
use shown::Shown;
use stored::{Cell, Column, Frame, MAX_BREAKS, Part};

pub(super) struct Csv;

impl Adapter for Csv {
    fn id(&self) -> FormatId {
        FormatId::Csv
    }

    fn name(&self) -> &'static str {
        "a table of separated values"
    }

    fn glue(&self) -> Glue {
        Glue { list: false, inner: false }
    }

    fn may_be_named(&self, name: &str) -> bool {
        has_suffix(name, &["csv", "tsv", "tab", "psv"])
    }

    fn begin(&self, bytes: &[u8], name: &str, rules: &Rules) -> Option<Sections> {
        let grid = Some(bytes).filter(|_| self.may_be_named(name)).and_then(Grid::sniff)?;
        grid.may_begin().then(|| sections(&grid, table_slot(name, rules), rules))?
    }

    fn cut(&self, bytes: &[u8], rules: &Rules) -> Option<Sections> {
        sections(&Grid::sniff(bytes)?, Slot::OTHER, rules)
    }

    fn deidentify(&self, text: &[u8], project: &Pseudonyms) -> Option<Vec<u8>> {
        safe_harbor::of(text, project)
    }

    fn twins(&self, sections: &Sections, project: &Pseudonyms) -> Option<Sections> {
        safe_harbor::twins(sections, project)
    }

    fn show(&self, sections: &Sections) -> Vec<u8> {
        Shown::of(sections).text()
    }

    fn merge(
        &self,
        base: &Sections,
        visible: &BTreeSet<Slot>,
        edited: &[u8],
        rules: &Rules,
    ) -> Result<Merged> {
        merge::merge(base, visible, edited, rules)
    }

    /// Rows that were moved show some of their cells: only the view tells.
    fn view_len(&self, _visible: &[(Slot, Measure)]) -> Option<u64> {
        None
    }

    /// Parts of rows are the same when their cells say the same, quoted or not.
    fn same(&self, a: &[u8], b: &[u8]) -> bool {
        if a == b {
            return true;
        }
        let (Ok(a), Ok(b)) = (Part::read(a), Part::read(b)) else { return false };
        let says = |((a, x), (b, y)): (&Cell<'_>, &Cell<'_>)| a == b && value(x) == value(y);
        a.row == b.row && a.cells.len() == b.cells.len() && a.cells.iter().zip(&b.cells).all(says)
    }
}

/// Returns a number that nobody can guess from another one.
fn drawn(rules: &Rules, of: &[u8], what: &[u8]) -> u64 {
    let digest = hash::sha256(&[b"table", rules.seed(), of, what]);
    digest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Returns the number of a column that no other one has; `of` is what it is made of.
fn column_number(rules: &Rules, of: &[u8], taken: &mut BTreeSet<u32>) -> u32 {
    for n in 0_u32.. {
        let number = drawn(rules, b"column", &[&n.to_le_bytes()[..], of].concat());
        let number = u32::try_from(number >> 32).expect("it has 32 bits");
        if taken.insert(number) {
            return number;
        }
    }
    0
}

/// Cuts a table; `None` when it begins with too many blank lines.
fn sections(grid: &Grid<'_>, table: Slot, rules: &Rules) -> Option<Sections> {
    let (head, end) = (grid.head_text().to_vec(), grid.row_end(0).to_vec());
    let too_long = |row| grid.row_end(row).len() > MAX_BREAKS;
    if head.len() > MAX_BREAKS || (0..=grid.rows()).any(too_long) {
        return None;
    }
    let frame = Frame { delimiter: grid.delimiter, table, end, head };
    let mut sections = Sections::new();
    sections.entry(Slot::FRAME).or_default().items.push(frame.item());
    let mut natures: Vec<(u32, Nature)> = Vec::with_capacity(grid.columns);
    let mut taken = BTreeSet::new();
    if grid.columns > 0 {
        let ranks = Rank::fresh(rules.seed(), ROOT, grid.columns);
        for (name, rank) in grid.row_cells(0).zip(ranks) {
            let slot = column_slot(name, table, rules);
            let number = column_number(rules, name, &mut taken);
            natures.push((number, nature(name, slot, table)));
            sections.entry(slot).or_default().items.push(Column { number, name }.item(rank));
        }
    }
    let ranks = Rank::fresh(rules.seed(), LIST, grid.rows());
    for (row, rank) in (1..).zip(ranks) {
        let cells: Vec<&[u8]> = grid.row_cells(row).collect();
        let number = drawn(rules, b"row", &(row as u64).to_le_bytes());
        for (slot, cells) in parts_of(&cells, &natures, rules) {
            let item = Part { row: number, end: grid.row_end(row), cells }.item(rank.clone());
            sections.entry(slot).or_default().items.push(item);
        }
    }
    sections.values_mut().for_each(super::section::SectionText::sort);
    Some(sections)
}

/// Divides the cells of a row among sections: by their columns, or all into the section that the
/// row tells.
fn parts_of<'a>(
    cells: &[&'a [u8]],
    columns: &[(u32, Nature)],
    rules: &Rules,
) -> BTreeMap<Slot, Vec<Cell<'a>>> {
    let hits = cells.iter().zip(columns).fold(Hits::default(), |sum, (cell, (_, column))| {
        sum | hits_of(cell, Some(*column), rules)
    });
    let mut parts: BTreeMap<Slot, Vec<Cell<'a>>> = BTreeMap::new();
    for (cell, (number, column)) in cells.iter().zip(columns) {
        let slot = hits.strictest().map_or(column.slot, |told| stricter(column.slot, told));
        parts.entry(slot).or_default().push((*number, cell));
    }
    for cells in parts.values_mut() {
        cells.sort_unstable();
    }
    parts
}
