//! Which column of an edited table was which.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::super::FormatId;
use super::super::merge::cannot_be_read;
use super::super::rules::Rules;
use super::super::slots::Slot;
use super::column_number;
use super::columns::{Nature, column_slot, nature};
use super::scan::{Grid, value};
use super::shown::{NOTHING, Shown};
use super::stored::Frame;
use crate::error::{Error, Kind, Result};

/// A column of the edited table.
pub(super) struct NewColumn<'a> {
    /// Its place in the view as it was.
    pub(super) was: Option<usize>,
    pub(super) number: u32,
    pub(super) name: &'a [u8],
    pub(super) nature: Nature,
}

/// Returns the frame with what stands before the first row and behind it now.
pub(super) fn frame_of(shown: &Shown<'_>, grid: &Grid<'_>) -> Frame {
    let mut frame = shown.frame.clone();
    frame.head = grid.head_text().to_vec();
    let end = grid.row_end(0);
    if Shown::end_text(&frame, &frame.end, grid.rows() == 0) != end {
        frame.end = end.to_vec();
    }
    frame
}

/// Finds what the columns were.
pub(super) fn columns_of<'a>(
    shown: &Shown<'a>,
    grid: &Grid<'a>,
    visible: &BTreeSet<Slot>,
    rules: &Rules,
) -> Result<Vec<NewColumn<'a>>> {
    let names: Vec<&[u8]> = grid.row_cells(0).collect();
    let (was, is_removed) = align(shown, grid, &names);
    if was.iter().all(Option::is_none) && !shown.columns.is_empty() {
        return Err(cannot_be_read(FormatId::Csv, "it has none of the columns of the view"));
    }
    if is_removed && !Slot::SENSITIVE.iter().all(|slot| visible.contains(slot)) {
        let what = "a column cannot be removed through this view";
        let why = "rows that the view does not show may have cells in it";
        return Err(Error::new(Kind::Denied, what).because(why));
    }
    let mut taken = shown.columns.iter().map(|c| c.column.number).collect();
    let table = shown.frame.table;
    let column = |(at, (name, was)): (usize, (&'a [u8], Option<usize>))| {
        let old = was.map(|was| &shown.columns[was]);
        let is_named_so = old.is_some_and(|old| value(old.column.name) == value(name));
        let slot = old.filter(|_| is_named_so).map(|old| old.slot);
        let slot = slot.unwrap_or_else(|| column_slot(name, table, rules));
        let number = old.map(|old| old.column.number);
        let number = number.unwrap_or_else(|| {
            let cells = digest((0..=grid.rows()).filter_map(|row| grid.cell(row, at)));
            column_number(rules, &[name, b" new ", &cells.to_le_bytes()].concat(), &mut taken)
        });
        let as_stored = old.map(|old| old.column.name);
        let as_stored = as_stored.filter(|stored| text_in(names.len(), stored) == name);
        let nature = nature(name, slot, table);
        NewColumn { was, number, name: as_stored.unwrap_or(name), nature }
    };
    Ok(names.iter().copied().zip(was).enumerate().map(column).collect())
}

/// Finds the columns that the new ones were, by their names and else by what they say; and says
/// whether one is not there any more.
fn align(shown: &Shown<'_>, grid: &Grid<'_>, names: &[&[u8]]) -> (Vec<Option<usize>>, bool) {
    let mut left: Vec<usize> = (0..shown.columns.len()).collect();
    let mut was: Vec<Option<usize>> = vec![None; names.len()];
    for (at, name) in names.iter().enumerate() {
        let is_it = |old: &usize| value(shown.columns[*old].column.name) == value(name);
        was[at] = left.iter().position(is_it).map(|i| left.remove(i));
    }
    let new: Vec<usize> = (0..names.len()).filter(|at| was[*at].is_none()).collect();
    if new.len() == left.len() && shown.rows.len() == grid.rows() {
        // A column with another name, that says the same.
        let same =
            |(old, new): (usize, usize)| is_renamed(shown, grid, old, new).then_some((old, new));
        let renamed: Vec<_> = left.iter().copied().zip(new).filter_map(same).collect();
        for (old, new) in &renamed {
            was[*new] = Some(*old);
        }
        left.retain(|old| !renamed.iter().any(|(renamed, _)| renamed == old));
    }
    (was, !left.is_empty())
}

/// Says whether at least half of the rows say the same in two columns.
fn is_renamed(shown: &Shown<'_>, grid: &Grid<'_>, old: usize, new: usize) -> bool {
    let same = |row: &usize| {
        let cell = shown.rows[*row].cells[old];
        let new = grid.cell(row + 1, new);
        new.is_some_and(|new| value(shown.cell_text(cell)) == value(new))
    };
    (0..grid.rows()).filter(same).count() * 2 >= grid.rows()
}

/// Returns how a text is shown in a table of so many columns.
pub(super) fn text_in(columns: usize, text: &[u8]) -> &[u8] {
    if text.is_empty() && columns == 1 { NOTHING } else { text }
}

pub(super) fn digest<'c>(cells: impl Iterator<Item = &'c [u8]>) -> u64 {
    let mut hasher = DefaultHasher::new();
    cells.for_each(|cell| value(cell).hash(&mut hasher));
    hasher.finish()
}
