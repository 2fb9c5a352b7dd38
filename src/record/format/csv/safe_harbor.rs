//! Tables as a researcher reads them: cells of columns whose names are known, and no others. A
//! column that is not released stays, without values and under another name, so that a row has as
//! many cells as before.
//!
//! What a cell is, its column tells. A cell whose column is not among the visible ones has no text
//! in the twin.

use std::borrow::Cow;
use std::collections::HashMap;

use super::super::Sections;
use super::super::safe_harbor::Pseudonyms;
use super::super::safe_harbor::plain::{Kind, is_known, kind, stand_in, value as released};
use super::super::section::{Item, LIST, ROOT};
use super::super::slots::Slot;
use super::scan::{Grid, value};
use super::shown::NOTHING;
use super::stored::{Column, Frame, Part};

fn text_of(cell: &[u8]) -> String {
    String::from_utf8_lossy(&value(cell)).trim().to_owned()
}

/// Returns the name of a column when it is known, or what stands for it.
fn name_of(name: &[u8], project: &Pseudonyms) -> String {
    let text = text_of(name);
    let is_plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_- .".contains(&b));
    if is_plain && is_known(&text) { text } else { stand_in(&text, project) }
}

/// Returns what is released of a cell.
fn cell_of(of: Option<Kind>, cell: &[u8], project: &Pseudonyms) -> Vec<u8> {
    let text = text_of(cell);
    let clean = of.and_then(|of| released(of, &text, project));
    let is_plain = |text: &Cow<'_, str>| !text.contains(['"', ',', ';', '\t', '|', '\n', '\r']);
    clean.filter(is_plain).map_or_else(Vec::new, |text| text.into_owned().into_bytes())
}

/// Writes the text of a table anew.
pub(super) fn of(text: &[u8], project: &Pseudonyms) -> Option<Vec<u8>> {
    let grid = Grid::sniff(text)?;
    if grid.columns == 0 {
        return Some(Vec::new());
    }
    let mut out = grid.head_text().to_vec();
    let kinds: Vec<Option<Kind>> = grid.row_cells(0).map(|name| kind(&text_of(name))).collect();
    for row in 0..=grid.rows() {
        for (index, (cell, of)) in grid.row_cells(row).zip(&kinds).enumerate() {
            if index > 0 {
                out.push(grid.delimiter);
            }
            let clean = match row {
                0 => name_of(cell, project).into_bytes(),
                _ => cell_of(*of, cell, project),
            };
            let is_nothing = clean.is_empty() && grid.columns == 1;
            out.extend_from_slice(if is_nothing { NOTHING } else { &clean });
        }
        out.extend_from_slice(grid.row_end(row));
    }
    Some(out)
}

/// Returns the twins of the sections of a table.
pub(super) fn twins(sections: &Sections, project: &Pseudonyms) -> Option<Sections> {
    let mut kinds: HashMap<u32, Option<Kind>> = HashMap::new();
    let items = sections.values().flat_map(|text| &text.items);
    for column in items.filter(|i| i.container == ROOT).filter_map(|i| Column::read(&i.bytes).ok())
    {
        kinds.entry(column.number).or_insert_with(|| kind(&text_of(column.name)));
    }
    let mut twins = Sections::new();
    for (&slot, text) in sections {
        for item in &text.items {
            let new = twin(slot, item, &kinds, project)?;
            twins.entry(slot).or_default().items.push(new);
        }
    }
    Some(twins)
}

/// Returns the twin of an item; `None` when no program has written it so.
fn twin(
    slot: Slot,
    item: &Item,
    kinds: &HashMap<u32, Option<Kind>>,
    project: &Pseudonyms,
) -> Option<Item> {
    let rank = item.rank.clone();
    if slot == Slot::FRAME {
        return Frame::read(&item.bytes).ok().map(|frame| frame.item());
    }
    if item.container == ROOT {
        let column = Column::read(&item.bytes).ok()?;
        let name = name_of(column.name, project);
        return Some(Column { number: column.number, name: name.as_bytes() }.item(rank));
    }
    let part = Some(item).filter(|item| item.container == LIST)?;
    let part = Part::read(&part.bytes).ok()?;
    let clean: Vec<(u32, Vec<u8>)> = part
        .cells
        .iter()
        .map(|&(column, cell)| {
            let of = kinds.get(&column).copied().flatten();
            (column, cell_of(of, cell, project))
        })
        .collect();
    let cells = clean.iter().map(|(column, cell)| (*column, cell.as_slice())).collect();
    Some(Part { row: part.row, end: part.end, cells }.item(rank))
}
