//! The section of a column by its name, and of a row by what its cells say.

use super::super::keys::of_column;
use super::super::rules::{Confidential, Hits, Rules};
use super::super::slots::Slot;
use super::scan::value;

/// Names RxNorm, whose numbers are too short to mean a drug anywhere.
const RXNORM: &str = "rxnorm";

/// What is known of a column.
#[derive(Clone, Copy)]
pub(super) struct Nature {
    pub(super) slot: Slot,
    /// Whether its numbers are those of drugs.
    is_drug: bool,
}

fn text_of(cell: &[u8]) -> String {
    String::from_utf8_lossy(&value(cell)).into_owned()
}

/// Returns what a table of this name is about.
pub(super) fn table_slot(file_name: &str, rules: &Rules) -> Slot {
    let stem = file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem);
    Rules::decide(of_column(stem), rules.text(stem), Confidential::default())
}

/// Returns the section of a column in a table about `table`: what its name does not tell, the table
/// tells; everything in a sensitive table is sensitive.
pub(super) fn column_slot(name: &[u8], table: Slot, rules: &Rules) -> Slot {
    let name = text_of(name);
    let mut typed = of_column(&name);
    if typed == Slot::OTHER {
        typed = table;
    }
    stricter(Rules::decide(typed, rules.text(&name), Confidential::default()), table)
}

/// Returns what a column is, that stands in a section.
pub(super) fn nature(name: &[u8], slot: Slot, table: Slot) -> Nature {
    let name = text_of(name).to_ascii_lowercase();
    let in_drugs = [slot, table].contains(&Slot::MEDICATIONS);
    Nature { slot, is_drug: name.contains(RXNORM) || in_drugs && name.contains("code") }
}

/// Returns the stricter one of two sections when one of them is set apart, else the first.
pub(super) fn stricter(a: Slot, b: Slot) -> Slot {
    Slot::SENSITIVE.into_iter().find(|slot| [a, b].contains(slot)).unwrap_or(a)
}

/// Says what a cell tells of its row. What the column itself tells does not count: a table that has
/// a column for HIV status keeps its other columns.
pub(super) fn hits_of(cell: &[u8], column: Option<Nature>, rules: &Rules) -> Hits {
    if cell.is_empty() {
        return Hits::default();
    }
    let text = text_of(cell);
    let mut hits = rules.text(&text);
    if column.is_some_and(|c| c.is_drug) {
        hits |= rules.code(Some(RXNORM), text.trim_ascii()).hits;
    }
    let Some(column) = column.filter(|c| c.slot.is_sensitive()) else { return hits };
    let is_said = hits.strictest().is_none_or(|slot| stricter(slot, column.slot) == column.slot);
    if is_said { Hits::default() } else { hits }
}
