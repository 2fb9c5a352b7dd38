//! From an edited view of a table back to sections. Columns are known by their names, rows by what
//! they say (see [`rows`](super::rows)); what is hidden of a row stays with it, and stays where it
//! was when the rest of the row is removed.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::super::merge::{Merged, cannot_be_read};
use super::super::order;
use super::super::rank::Rank;
use super::super::rules::{Hits, Rules};
use super::super::section::{Item, SectionText};
use super::super::slots::Slot;
use super::super::{FormatId, Sections};
use super::Csv;
use super::columns::{Nature, column_slot, hits_of, nature, stricter};
use super::rows::{Side, match_rows};
use super::scan::{Grid, value};
use super::shown::{NOTHING, Shown, ShownPart, ShownRow};
use super::stored::{Cell, Column, Frame, MAX_BREAKS, Part};
use super::{column_number, drawn};
use crate::error::{Error, Kind, Result};

/// A column of the edited table.
struct NewColumn<'a> {
    /// Its place in the view as it was.
    was: Option<usize>,
    number: u32,
    name: &'a [u8],
    nature: Nature,
}

struct Merge<'m> {
    shown: &'m Shown<'m>,
    grid: &'m Grid<'m>,
    rules: &'m Rules,
    visible: &'m BTreeSet<Slot>,
    frame: Frame,
    columns: Vec<NewColumn<'m>>,
    /// Whether all columns are those that were, in their sections.
    is_same_shape: bool,
    parts: Sections,
}

/// Merges an edited view of a table.
pub(super) fn merge(
    base: &Sections,
    visible: &BTreeSet<Slot>,
    edited: &[u8],
    rules: &Rules,
) -> Result<Merged> {
    if !base.contains_key(&Slot::FRAME) {
        let what = "the frame of this table is outside the view";
        return Err(Error::new(Kind::Denied, what));
    }
    let shown = Shown::of(base);
    let grid = Grid::read(edited, shown.frame.delimiter).filter(|grid| grid.columns > 0);
    let unread = || cannot_be_read(FormatId::Csv, "its rows have not as many cells as its first");
    let grid = grid.ok_or_else(unread)?;
    let too_long = |row| grid.row_end(row).len() > MAX_BREAKS;
    if grid.head > MAX_BREAKS || (0..=grid.rows()).any(too_long) {
        return Err(unread());
    }
    let frame = frame_of(&shown, &grid);
    let columns = columns_of(&shown, &grid, visible, rules)?;
    let is_same = |(at, column): (usize, &NewColumn<'_>)| {
        column.was.is_some_and(|was| shown.columns[was].slot == column.nature.slot && at == was)
    };
    let is_same_shape =
        columns.len() == shown.columns.len() && columns.iter().enumerate().all(is_same);
    let parts = Sections::new();
    let (shown, grid) = (&shown, &grid);
    let merge = Merge { shown, grid, rules, visible, frame, columns, is_same_shape, parts };
    Ok(merge.run(base))
}

/// Returns the frame with what stands before the first row and behind it now.
fn frame_of(shown: &Shown<'_>, grid: &Grid<'_>) -> Frame {
    let mut frame = shown.frame.clone();
    frame.head = grid.head_text().to_vec();
    let end = grid.row_end(0);
    if Shown::end_text(&frame, &frame.end, grid.rows() == 0) != end {
        frame.end = end.to_vec();
    }
    frame
}

/// Finds what the columns were.
fn columns_of<'a>(
    shown: &Shown<'a>,
    grid: &Grid<'a>,
    visible: &BTreeSet<Slot>,
    rules: &Rules,
) -> Result<Vec<NewColumn<'a>>> {
    let names: Vec<&[u8]> = grid.row_cells(0).collect();
    let mut left: Vec<usize> = (0..shown.columns.len()).collect();
    let mut was: Vec<Option<usize>> = vec![None; names.len()];
    for (at, name) in names.iter().enumerate() {
        let is_it = |old: &usize| value(shown.columns[*old].column.name) == value(name);
        was[at] = left.iter().position(is_it).map(|i| left.remove(i));
    }
    let kept = was.iter().flatten().count();
    let new: Vec<usize> = (0..names.len()).filter(|at| was[*at].is_none()).collect();
    if new.len() == left.len() && shown.rows.len() == grid.rows() {
        // A column with another name, that says the same.
        let same =
            |(old, new): (usize, usize)| is_renamed(shown, grid, old, new).then_some((old, new));
        let renamed: Vec<_> = left.iter().copied().zip(new).filter_map(same).collect();
        renamed.iter().for_each(|(old, new)| was[*new] = Some(*old));
        left.retain(|old| !renamed.iter().any(|(renamed, _)| renamed == old));
    }
    if kept == 0 && !shown.columns.is_empty() && left.len() == shown.columns.len() {
        return Err(cannot_be_read(FormatId::Csv, "it has none of the columns of the view"));
    }
    if !left.is_empty() && !Slot::SENSITIVE.iter().all(|slot| visible.contains(slot)) {
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
            let cells = digest((0..=grid.rows()).filter_map(|row| grid.row_cells(row).nth(at)));
            column_number(rules, &[name, b" new ", &cells.to_le_bytes()].concat(), &mut taken)
        });
        let as_stored = old.map(|old| old.column.name);
        let as_stored = as_stored.filter(|stored| text_in(names.len(), stored) == name);
        let nature = nature(name, slot, table);
        NewColumn { was, number, name: as_stored.unwrap_or(name), nature }
    };
    Ok(names.iter().copied().zip(was).enumerate().map(column).collect())
}

/// Says whether at least half of the rows say the same in two columns.
fn is_renamed(shown: &Shown<'_>, grid: &Grid<'_>, old: usize, new: usize) -> bool {
    let same = |row: &usize| {
        let cell = shown.rows[*row].cells[old];
        grid.row_cells(row + 1)
            .nth(new)
            .is_some_and(|new| value(shown.cell_text(cell)) == value(new))
    };
    (0..grid.rows()).filter(same).count() * 2 >= grid.rows()
}

impl<'m> Merge<'m> {
    fn run(mut self, base: &'m Sections) -> Merged {
        self.put(Slot::FRAME, self.frame.item());
        self.put_columns();
        let cells: Vec<Vec<&'m [u8]>> =
            (1..=self.grid.rows()).map(|row| self.grid.row_cells(row).collect()).collect();
        let was = self.match_rows(&cells);
        let rows: Vec<Row<'m>> = cells
            .iter()
            .zip(&was)
            .enumerate()
            .map(|(at, (cells, was))| self.row(at, cells, *was))
            .collect();
        let keys: Vec<(Option<&Rank>, Slot)> = rows.iter().map(Row::place).collect();
        let ranks = order::ranks(&keys);
        for (row, rank) in rows.iter().zip(ranks) {
            self.put_row(row, &rank);
        }
        self.put_rest(&was);
        self.parts.values_mut().for_each(SectionText::sort);
        let mut merged = Merged::default();
        merged.compare(base, self.visible, &mut self.parts, &BTreeSet::new(), &Csv);
        merged.appended = self.parts;
        merged
    }

    fn put(&mut self, slot: Slot, item: Item) {
        self.parts.entry(slot).or_default().items.push(item);
    }

    fn put_columns(&mut self) {
        let shown = self.shown;
        let place = |column: &NewColumn<'_>| {
            let rank = column.was.map(|was| &shown.columns[was].item.rank);
            (rank, column.nature.slot)
        };
        let places: Vec<_> = self.columns.iter().map(place).collect();
        let ranks = order::ranks(&places);
        let items: Vec<(Slot, Item)> = self
            .columns
            .iter()
            .zip(ranks)
            .map(|(c, rank)| (c.nature.slot, Column { number: c.number, name: c.name }.item(rank)))
            .collect();
        items.into_iter().for_each(|(slot, item)| self.put(slot, item));
    }

    /// Finds for every row of the edited table the one that it was.
    fn match_rows(&self, cells: &[Vec<&'m [u8]>]) -> Vec<Option<usize>> {
        let common: Vec<(usize, usize)> =
            self.columns.iter().enumerate().filter_map(|(new, c)| Some((c.was?, new))).collect();
        let is_key =
            |(_, new): &(usize, usize)| self.columns[*new].nature.slot == Slot::IDENTIFIERS;
        let keys: Vec<(usize, usize)> = common.iter().copied().filter(is_key).collect();
        let old_cell =
            |row: usize, old: usize| self.shown.cell_text(self.shown.rows[row].cells[old]);
        let side = |count: usize, cell: &dyn Fn(usize, &(usize, usize)) -> &'m [u8]| Side {
            says: (0..count).map(|row| digest(common.iter().map(|c| cell(row, c)))).collect(),
            key: (0..count)
                .map(|row| {
                    let is_named = keys.iter().any(|c| !value(cell(row, c)).is_empty());
                    is_named.then(|| digest(keys.iter().map(|c| cell(row, c))))
                })
                .collect(),
        };
        let old_side = side(self.shown.rows.len(), &|row, c| old_cell(row, c.0));
        let new_side = side(cells.len(), &|row, c| cells[row][c.1]);
        match_rows(&old_side, &new_side, |old, new| {
            let pair = |(a, b): &(usize, usize)| (value(old_cell(old, *a)), value(cells[new][*b]));
            let filled = |(a, b): &(Cow<'_, [u8]>, Cow<'_, [u8]>)| !a.is_empty() || !b.is_empty();
            let pairs: Vec<_> = common.iter().map(pair).filter(filled).collect();
            pairs.iter().filter(|(a, b)| a == b).count() * 2 >= pairs.len()
        })
    }

    /// Returns the texts of a row, those as they are stored that are not changed, and whether any
    /// is.
    fn texts(
        &self,
        cells: &[&'m [u8]],
        was: Option<&ShownRow<'m>>,
    ) -> (Vec<Option<&'m [u8]>>, bool) {
        let mut is_changed = was.is_none() || !self.is_same_shape;
        let mut texts = Vec::with_capacity(cells.len());
        for (cell, column) in cells.iter().copied().zip(&self.columns) {
            let stored = was.zip(column.was).and_then(|(row, old)| row.cells[old]);
            let is_same = text_in(self.columns.len(), stored.unwrap_or_default()) == cell;
            is_changed |= !is_same;
            texts.push(if is_same { stored } else { Some(cell) });
        }
        if texts.iter().all(Option::is_none) {
            texts[0] = Some(&[]);
        }
        (texts, is_changed)
    }

    fn row(&self, at: usize, cells: &[&'m [u8]], was: Option<usize>) -> Row<'m> {
        let old = was.map(|was| &self.shown.rows[was]);
        let end = self.grid.row_end(at + 1);
        let is_last = at + 1 == self.grid.rows();
        let has_end = |row: &&ShownRow<'m>| Shown::end_text(&self.frame, row.end(), is_last) == end;
        let new_end = if old.filter(has_end).is_some() { None } else { Some(end) };
        let (texts, is_changed) = self.texts(cells, old);
        let number = old.and_then(|old| old.parts.first()).map(|first| first.part.row);
        // Whoever saves what was shown as two rows makes it two.
        let number = number.filter(|_| !old.is_some_and(|old| old.is_second));
        let number = number.unwrap_or_else(|| {
            let said = cells.join(&self.shown.frame.delimiter);
            drawn(self.rules, b"new row", &[&(at as u64).to_le_bytes()[..], &said].concat())
        });
        let Some(old) = old else {
            return Row {
                old: None,
                number,
                new_end,
                parts: self.divide(&texts, None),
                is_moved: true,
            };
        };
        if !is_changed && !old.is_second {
            let kept = |p: &ShownPart<'m>| (p.slot, p.part.cells.clone());
            let parts = if new_end.is_none() {
                BTreeMap::new()
            } else {
                old.parts.iter().map(kept).collect()
            };
            return Row { old: Some(old), number, new_end, parts, is_moved: false };
        }
        let mut parts = self.divide(&texts, Some(old));
        let slots = |slots: &mut dyn Iterator<Item = Slot>| -> BTreeSet<Slot> {
            slots.filter(|slot| self.visible.contains(slot)).collect()
        };
        let is_moved =
            slots(&mut parts.keys().copied()) != slots(&mut old.parts.iter().map(|p| p.slot));
        for (slot, cell) in old.parts.iter().flat_map(|p| self.unseen(p).map(|cell| (p.slot, cell)))
        {
            parts.entry(slot).or_default().push(cell);
        }
        parts.values_mut().for_each(|cells| cells.sort_unstable());
        Row { old: Some(old), number, new_end, parts, is_moved }
    }

    /// Returns the cells of a part whose columns the view did not have.
    fn unseen<'p>(&'p self, part: &'p ShownPart<'m>) -> impl Iterator<Item = Cell<'m>> + 'p {
        let is_seen = |number: u32| self.shown.columns.iter().any(|c| c.column.number == number);
        part.part.cells.iter().copied().filter(move |(number, _)| !is_seen(*number))
    }

    /// Divides the texts of a row among sections. What the view does not show of it counts too, and
    /// what somebody put into a section where no rule would put it stays there.
    fn divide(
        &self,
        texts: &[Option<&'m [u8]>],
        old: Option<&ShownRow<'m>>,
    ) -> BTreeMap<Slot, Vec<Cell<'m>>> {
        let hits = texts.iter().zip(&self.columns).fold(Hits::default(), |sum, (text, column)| {
            sum | hits_of(text.unwrap_or_default(), Some(column.nature), self.rules)
        });
        let raised = self.raised_before(old, hits);
        let mut parts: BTreeMap<Slot, Vec<Cell<'m>>> = BTreeMap::new();
        for (text, column) in texts.iter().zip(&self.columns) {
            let slot = raised.map_or(column.nature.slot, |told| stricter(column.nature.slot, told));
            if let Some(text) = text.filter(|text| old.is_some() || !text.is_empty()) {
                parts.entry(slot).or_default().push((column.number, text));
            }
        }
        if let (true, Some(first)) = (parts.is_empty(), self.columns.first()) {
            let slot = raised.map_or(first.nature.slot, |told| stricter(first.nature.slot, told));
            parts.insert(slot, vec![(first.number, &[][..])]);
        }
        parts.values_mut().for_each(|cells| cells.sort_unstable());
        parts
    }

    /// Returns the section into which a row goes as a whole, if there is one.
    fn raised_before(&self, old: Option<&ShownRow<'m>>, hits: Hits) -> Option<Slot> {
        let Some(old) = old else { return hits.strictest() };
        let unseen = old.parts.iter().flat_map(|part| self.unseen(part));
        let unseen =
            unseen.fold(Hits::default(), |sum, cell| sum | hits_of(cell.1, None, self.rules));
        let mut raised = (hits | unseen).strictest();
        let is_at_home = |part: &ShownPart<'m>| {
            let columns = &self.shown.columns;
            let own = |cell: &Cell<'m>| columns.iter().find(|c| c.column.number == cell.0);
            part.part.cells.iter().filter_map(own).all(|column| column.slot == part.slot)
        };
        let moved = old.parts.iter().filter(|p| p.slot.is_sensitive() && !is_at_home(p));
        let mut told: Option<Option<Slot>> = None;
        for part in moved {
            let told = *told.get_or_insert_with(|| (self.old_hits(old) | unseen).strictest());
            if told.is_none_or(|told| stricter(told, part.slot) != told) {
                raised = Some(raised.map_or(part.slot, |raised| stricter(raised, part.slot)));
            }
        }
        raised
    }

    fn old_hits(&self, old: &ShownRow<'m>) -> Hits {
        let table = self.shown.frame.table;
        old.cells.iter().zip(&self.shown.columns).fold(Hits::default(), |sum, (text, column)| {
            let nature = nature(column.column.name, column.slot, table);
            sum | hits_of(text.unwrap_or_default(), Some(nature), self.rules)
        })
    }

    fn put_row(&mut self, row: &Row<'m>, rank: &Rank) {
        let Some(old) = row.old else {
            let end = row.new_end.unwrap_or_default();
            for (slot, cells) in row.parts.clone() {
                self.put(slot, Part { row: row.number, end, cells }.item(rank.clone()));
            }
            return;
        };
        let is_in_place = old.parts.first().is_some_and(|first| first.item.rank == *rank);
        if row.parts.is_empty() {
            for part in &old.parts {
                let rank = if is_in_place { &part.item.rank } else { rank };
                self.put(part.slot, Item { rank: rank.clone(), ..part.item.clone() });
            }
            return;
        }
        for (slot, cells) in row.parts.clone() {
            let was = old.parts.iter().find(|part| part.slot == slot);
            let stored = was.map_or(old.end(), |part| part.part.end);
            let end = row.new_end.unwrap_or(stored);
            let own = was.filter(|_| is_in_place && !row.is_moved);
            let rank = own.map_or(rank, |part| &part.item.rank);
            self.put(slot, Part { row: row.number, end, cells }.item(rank.clone()));
        }
    }

    /// Puts what stays without being shown: cells of removed rows that the view did not have, and
    /// what it withheld.
    fn put_rest(&mut self, was: &[Option<usize>]) {
        let kept: BTreeSet<usize> = was.iter().copied().flatten().collect();
        let shown = self.shown;
        let removed = shown.rows.iter().enumerate().filter(|(at, _)| !kept.contains(at));
        for part in removed.flat_map(|(_, row)| &row.parts) {
            let cells: Vec<Cell<'_>> = self.unseen(part).collect();
            if !cells.is_empty() {
                let item = Part { cells, ..part.part.clone() }.item(part.item.rank.clone());
                self.put(part.slot, item);
            }
        }
        for &(slot, item) in &shown.withheld {
            self.put(slot, item.clone());
        }
    }
}

/// A row of the edited table.
struct Row<'m> {
    old: Option<&'m ShownRow<'m>>,
    number: u64,
    /// The line end, when it is not the one that is stored.
    new_end: Option<&'m [u8]>,
    /// Its cells by section; none when they are as they were.
    parts: BTreeMap<Slot, Vec<Cell<'m>>>,
    /// Whether it shows in other sections than before.
    is_moved: bool,
}

impl Row<'_> {
    /// Returns where the row stands: its rank, and the first section that shows it.
    fn place(&self) -> (Option<&Rank>, Slot) {
        let first = self.old.and_then(|old| old.parts.first());
        let own = first.filter(|_| !self.is_moved).map(|first| first.slot);
        let slot = own.or_else(|| self.parts.keys().next().copied()).unwrap_or(Slot::OTHER);
        (first.map(|first| &first.item.rank), slot)
    }
}

/// Returns how a text is shown in a table of so many columns.
fn text_in(columns: usize, text: &[u8]) -> &[u8] {
    if text.is_empty() && columns == 1 { NOTHING } else { text }
}

fn digest<'c>(cells: impl Iterator<Item = &'c [u8]>) -> u64 {
    let mut hasher = DefaultHasher::new();
    cells.for_each(|cell| value(cell).hash(&mut hasher));
    hasher.finish()
}
