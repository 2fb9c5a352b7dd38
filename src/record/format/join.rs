//! From visible sections to the plain file: items in order, shells around them, commas between.

use std::collections::BTreeMap;

use super::section::{
    CONFLICT_AFTER, CONFLICT_BEFORE, CONFLICT_HEAD, CONFLICT_TAIL, DOCUMENT, Hole, INNER, Item,
    LIST, ROOT,
};
use super::{FormatId, Sections, Slot};

/// Shells inside shells: document, entry list, entry, resource. A stored frame that nests deeper
/// is damaged, and is shown flat.
const MAX_SHELLS: usize = 8;

/// An item and the section that it came from.
#[derive(Clone, Copy)]
pub(super) struct Placed<'s> {
    pub(super) slot: Slot,
    pub(super) item: &'s Item,
}

/// A rendered view.
pub(super) struct Rendered<'s> {
    pub(super) bytes: Vec<u8>,
    /// The items that it shows, shells before what they hold.
    pub(super) order: Vec<Placed<'s>>,
    /// The shell of the entry list, when no entry is visible.
    pub(super) dropped: Option<Placed<'s>>,
}

struct Join<'s> {
    containers: BTreeMap<u32, Vec<Placed<'s>>>,
    out: Rendered<'s>,
}

/// Renders the visible sections.
pub(super) fn render(format: FormatId, sections: &Sections) -> Rendered<'_> {
    let mut containers: BTreeMap<u32, Vec<Placed<'_>>> = BTreeMap::new();
    let mut size = 0;
    for (&slot, text) in sections {
        for item in &text.items {
            containers.entry(item.container).or_default().push(Placed { slot, item });
            size += item.bytes.len() + 1;
        }
    }
    for items in containers.values_mut() {
        // Stable: equal ranks of one section stay as they are stored.
        items.sort_by(|a, b| (&a.item.rank, a.slot).cmp(&(&b.item.rank, b.slot)));
    }
    let out = Rendered { bytes: Vec::with_capacity(size), order: Vec::new(), dropped: None };
    let mut join = Join { containers, out };
    join.document(format);
    join.out
}

impl<'s> Join<'s> {
    fn document(&mut self, format: FormatId) {
        let items = self.containers.remove(&DOCUMENT).unwrap_or_default();
        let shell = items.iter().find(|p| hole(p).is_some());
        if let Some(&shell) = shell {
            self.show(shell, 0);
        } else if items.len() > 1 && format == FormatId::FhirJson {
            self.conflict(items);
        } else {
            for placed in items {
                self.show(placed, 0);
            }
        }
    }

    /// Shows versions of a file that two writers made without seeing each other's.
    fn conflict(&mut self, items: Vec<Placed<'s>>) {
        self.out.bytes.extend_from_slice(CONFLICT_HEAD);
        for (index, placed) in items.into_iter().enumerate() {
            self.comma(index);
            self.out.bytes.extend_from_slice(CONFLICT_BEFORE);
            self.show(placed, 0);
            self.out.bytes.extend_from_slice(CONFLICT_AFTER);
        }
        self.out.bytes.extend_from_slice(CONFLICT_TAIL);
    }

    fn comma(&mut self, index: usize) {
        if index > 0 {
            self.out.bytes.push(b',');
        }
    }

    fn show(&mut self, placed: Placed<'s>, depth: usize) {
        self.out.order.push(placed);
        let bytes = &placed.item.bytes;
        let Some(hole) = hole(&placed).filter(|_| depth < MAX_SHELLS) else {
            self.out.bytes.extend_from_slice(bytes);
            return;
        };
        let (head, tail) = bytes.split_at(hole.at as usize);
        self.out.bytes.extend_from_slice(head);
        self.fill(hole.container, depth + 1);
        self.out.bytes.extend_from_slice(tail);
    }

    fn fill(&mut self, container: u32, depth: usize) {
        let mut shown = 0;
        for placed in self.containers.remove(&container).unwrap_or_default() {
            if self.is_dropped(&placed) {
                self.out.dropped = Some(placed);
                continue;
            }
            self.comma(shown);
            self.show(placed, depth);
            shown += 1;
        }
        if container == ROOT {
            self.orphans(shown);
        }
    }

    /// Shows members whose shell is gone at the end of the root: nothing is lost, and the size
    /// is the one that was measured.
    fn orphans(&mut self, mut shown: usize) {
        for (_, items) in self.containers.split_off(&INNER) {
            for placed in items {
                self.comma(shown);
                self.out.order.push(placed);
                self.out.bytes.extend_from_slice(&placed.item.bytes);
                shown += 1;
            }
        }
    }

    fn is_dropped(&self, placed: &Placed<'_>) -> bool {
        hole(placed).is_some_and(|hole| {
            hole.container == LIST && !hole.kept_empty && !self.containers.contains_key(&LIST)
        })
    }
}

/// Returns the hole of a shell; only the frame has shells, whatever a stored section says.
fn hole(placed: &Placed<'_>) -> Option<Hole> {
    let inside = |hole: &Hole| hole.at as usize <= placed.item.bytes.len();
    placed.item.hole.filter(inside).filter(|_| placed.slot == Slot::FRAME)
}
