//! From an edited view of a table back to sections. Columns are known by their names, rows by what
//! they say (see [`rows`](super::rows)); what is hidden of a row stays with it, and stays where it
//! was when the rest of the row is removed.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::super::merge::{Merged, cannot_be_read};
use super::super::order;
use super::super::rank::Rank;
use super::super::rules::{Hits, Rules};
use super::super::section::{Item, SectionText};
use super::super::slots::Slot;
use super::super::{FormatId, Sections};
use super::Csv;
use super::align::{NewColumn, columns_of, digest, frame_of, text_in};
use super::columns::{hits_of, nature, stricter};
use super::drawn;
use super::rows::{Side, match_rows};
use super::scan::{Grid, value};
use super::shown::{Shown, ShownPart, ShownRow};
use super::stored::{Cell, Column, Frame, MAX_BREAKS, Part};
use crate::error::{Error, Kind, Result};

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
        for (row, rank) in rows.into_iter().zip(ranks) {
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
        for (slot, item) in items {
            self.put(slot, item);
        }
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
        let old_side = side(self.shown.rows.len(), &common, &keys, |row, c| old_cell(row, c.0));
        let new_side = side(cells.len(), &common, &keys, |row, c| cells[row][c.1]);
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
        let new_end = if old.as_ref().is_some_and(has_end) { None } else { Some(end) };
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
        for cells in parts.values_mut() {
            cells.sort_unstable();
        }
        Row { old: Some(old), number, new_end, parts, is_moved }
    }

    /// Returns the cells of a part whose columns the view did not have.
    fn unseen<'p>(&'p self, part: &'p ShownPart<'m>) -> impl Iterator<Item = Cell<'m>> + 'p {
        let places = &self.shown.places;
        part.part.cells.iter().copied().filter(|(number, _)| !places.contains_key(number))
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
        for cells in parts.values_mut() {
            cells.sort_unstable();
        }
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
            let Shown { columns, places, .. } = self.shown;
            let own = |cell: &Cell<'m>| places.get(&cell.0).map(|at| columns[*at].slot);
            part.part.cells.iter().filter_map(own).all(|slot| slot == part.slot)
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

    fn put_row(&mut self, row: Row<'m>, rank: &Rank) {
        let Some(old) = row.old else {
            let end = row.new_end.unwrap_or_default();
            for (slot, cells) in row.parts {
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
        for (slot, cells) in row.parts {
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

/// Says what rows are by their cells in the columns of both tables.
fn side<'c>(
    rows: usize,
    common: &[(usize, usize)],
    keys: &[(usize, usize)],
    cell: impl Fn(usize, &(usize, usize)) -> &'c [u8],
) -> Side {
    let key = |row: usize| {
        let is_named = keys.iter().any(|c| !value(cell(row, c)).is_empty());
        is_named.then(|| digest(keys.iter().map(|c| cell(row, c))))
    };
    let says = |row: usize| digest(common.iter().map(|c| cell(row, c)));
    Side { says: (0..rows).map(says).collect(), key: (0..rows).map(key).collect() }
}
