//! From visible sections to the plain file: items in order, shells around them, commas between.

use std::collections::BTreeMap;

use super::adapter::{Adapter, Conflict, Glue, Numbers};
use super::section::{DOCUMENT, Hole, HoleKind, INNER, Item, LIST, Role};
use super::{FormatId, Sections, Slot};

/// Shells inside shells: document, entry list, entry, resource, and in a composition three times
/// the list of sections and the section, then the list of entries. A stored frame that nests
/// deeper is damaged, and is shown flat.
const MAX_SHELLS: usize = 16;

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
    /// Shells that are not shown, because they show nothing: that of the entry list, and those
    /// that vanish.
    pub(super) dropped: Vec<Placed<'s>>,
}

struct Join<'s> {
    adapter: &'static dyn Adapter,
    glue: Glue,
    numbers: Numbers,
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
    let out = Rendered { bytes: Vec::with_capacity(size), order: Vec::new(), dropped: Vec::new() };
    let adapter = format.adapter();
    let (glue, numbers) = (adapter.glue(), Numbers::default());
    let mut join = Join { adapter, glue, numbers, containers, out };
    join.document();
    join.out
}

impl<'s> Join<'s> {
    fn document(&mut self) {
        let items = self.containers.remove(&DOCUMENT).unwrap_or_default();
        let shell = items.iter().find(|p| hole(p).is_some());
        match (shell, self.adapter.conflict()) {
            (Some(&shell), _) => self.show(shell, 0),
            (None, Some(conflict)) if items.len() > 1 => self.conflict(items, conflict),
            (None, _) => items.into_iter().for_each(|placed| self.show(placed, 0)),
        }
    }

    /// Shows versions of a file that two writers made without seeing each other's.
    fn conflict(&mut self, items: Vec<Placed<'s>>, conflict: &Conflict) {
        self.out.bytes.extend_from_slice(conflict.head);
        for (index, placed) in items.into_iter().enumerate() {
            self.separate(index, conflict.separator);
            self.out.bytes.extend_from_slice(conflict.before);
            self.show(placed, 0);
            self.out.bytes.extend_from_slice(conflict.after);
        }
        self.out.bytes.extend_from_slice(conflict.tail);
    }

    fn separate(&mut self, index: usize, separator: u8) {
        if index > 0 {
            self.out.bytes.push(separator);
        }
    }

    fn show(&mut self, placed: Placed<'s>, depth: usize) {
        self.out.order.push(placed);
        let bytes = &placed.item.bytes;
        let is_numbered = matches!(placed.item.role, Role::Numbered(_));
        let number = self.adapter.next_number(&mut self.numbers, bytes, is_numbered);
        if let Role::Numbered(at) = placed.item.role {
            let (head, tail) = bytes.split_at_checked(at as usize).unwrap_or((bytes, &[]));
            self.out.bytes.extend_from_slice(head);
            self.out.bytes.extend_from_slice(number.to_string().as_bytes());
            self.out.bytes.extend_from_slice(tail);
            return;
        }
        let Some(hole) = hole(&placed).filter(|_| depth < MAX_SHELLS) else {
            self.out.bytes.extend_from_slice(bytes);
            return;
        };
        if hole.kind == HoleKind::Stub {
            return self.stub(bytes, hole, depth);
        }
        let (head, tail) = bytes.split_at(hole.at as usize);
        self.out.bytes.extend_from_slice(head);
        self.fill(hole, depth + 1);
        self.out.bytes.extend_from_slice(tail);
    }

    /// Shows what stands for a stub, or the stub.
    fn stub(&mut self, bytes: &[u8], hole: Hole, depth: usize) {
        let items = self.containers.get(&hole.container).map_or(&[][..], Vec::as_slice);
        if !items.iter().any(|p| matches!(p.item.role, Role::Instead(_))) {
            self.out.bytes.extend_from_slice(bytes);
        }
        self.fill(hole, depth + 1);
    }

    fn fill(&mut self, hole: Hole, depth: usize) {
        let is_separated = match hole.container {
            LIST => self.glue.list,
            _ => self.glue.inner,
        };
        let mut shown = 0;
        for placed in self.containers.remove(&hole.container).unwrap_or_default() {
            if self.is_dropped(&placed, depth) {
                self.drop(placed);
                continue;
            }
            if is_separated {
                self.separate(shown, hole.separator);
            }
            self.show(placed, depth);
            shown += 1;
        }
        if depth == 1 {
            self.orphans(shown, hole.separator);
        }
    }

    /// Shows members whose shell is gone at the end of the document: nothing is lost, and the
    /// size is the one that was measured.
    fn orphans(&mut self, mut shown: usize, separator: u8) {
        for (_, items) in self.containers.split_off(&INNER) {
            for placed in items {
                if self.glue.inner {
                    self.separate(shown, separator);
                }
                self.out.order.push(placed);
                self.out.bytes.extend_from_slice(&placed.item.bytes);
                shown += 1;
            }
        }
    }

    /// Says whether a shell shows nothing, and is not shown then.
    fn is_dropped(&self, placed: &Placed<'_>, depth: usize) -> bool {
        hole(placed).is_some_and(|hole| {
            let items = self.containers.get(&hole.container).map_or(&[][..], Vec::as_slice);
            match hole.kind {
                HoleKind::Dropped => hole.container == LIST && items.is_empty(),
                HoleKind::Vanishing => {
                    depth < MAX_SHELLS && items.iter().all(|item| self.is_dropped(item, depth + 1))
                }
                _ => false,
            }
        })
    }

    /// Notes a shell that is not shown, and those inside.
    fn drop(&mut self, placed: Placed<'s>) {
        self.out.dropped.push(placed);
        let inside = hole(&placed).and_then(|hole| self.containers.remove(&hole.container));
        inside.into_iter().flatten().for_each(|placed| self.drop(placed));
    }
}

/// Returns the hole of a shell; only the frame has shells, whatever a stored section says.
fn hole(placed: &Placed<'_>) -> Option<Hole> {
    let inside = |hole: &Hole| hole.at as usize <= placed.item.bytes.len();
    placed.item.hole().filter(inside).filter(|_| placed.slot == Slot::FRAME)
}
