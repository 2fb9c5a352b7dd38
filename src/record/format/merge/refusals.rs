//! What a save is refused for: a view does not tell whether something stands in a place that has
//! room for one, or whether something that is removed has parts that are hidden.

use std::collections::BTreeSet;

use super::super::Sections;
use super::super::section::{HoleKind, INNER, Item};
use super::super::slots::Slot;
use super::super::tree::Gap;
use super::Merge;
use crate::error::{Error, Kind, Result};

impl Merge<'_> {
    /// Refuses what would stand in the place of a stub, or change it, when the view may hide what
    /// stands there already: its own section, by what it says, may be another than that of the
    /// new text, and two elements would be shown in one place.
    pub(super) fn check_stubs(&self) -> Result<()> {
        if self.adapter.shell_parts().iter().all(|slot| self.visible.contains(slot)) {
            return Ok(());
        }
        let shells = self.rendered.order.iter().filter_map(|placed| placed.item.hole());
        let stubs: BTreeSet<u32> =
            shells.filter(|h| h.kind == HoleKind::Stub).map(|h| h.container).collect();
        let is_stub = |gap: &&Gap| gap.kind == HoleKind::Stub;
        for (index, node) in self.new.nodes.iter().enumerate() {
            let was = self.was[index];
            let fills = was.is_none() && stubs.contains(&self.container[index]);
            let stub = node.gap().filter(is_stub).map(|gap| &gap.stub);
            let changes = was.zip(stub).is_some_and(|(was, stub)| was.item.bytes != *stub);
            if fills || changes {
                let what = "what this view does not show cannot be filled in or renamed through it";
                return Err(Error::new(Kind::Denied, what).because("it may be there and hidden"));
            }
        }
        Ok(())
    }

    /// Refuses a marker with other text: it would be stored as if the author had written it.
    pub(super) fn check_marker(&self, index: usize) -> Result<()> {
        let is_marker = self.was[index].is_some_and(|was| was.slot == Slot::MARKER);
        if !is_marker || self.same[index] {
            return Ok(());
        }
        let what = "the mark of what this view withholds cannot be changed";
        Err(Error::new(Kind::Denied, what).hint("take it out: it is shown again, and never stored"))
    }

    /// Refuses what would stand beside something hidden that has room for one.
    pub(super) fn check_appended(&self, appended: &Sections) -> Result<()> {
        if appended.contains_key(&Slot::FRAME) {
            return Err(Error::new(Kind::Denied, "the frame of this record is outside the view"));
        }
        let holes = self.rendered.order.iter().filter_map(|placed| placed.item.hole());
        let single: BTreeSet<u32> =
            holes.filter(|hole| hole.kind.is_single()).map(|hole| hole.container).collect();
        let mut items = appended.values().flat_map(|text| &text.items);
        let hidden = items.any(|item| single.contains(&item.container) && !self.held(item));
        if hidden || self.fills_unseen(&single) {
            let what = "a field that this view does not show cannot be filled through it";
            return Err(Error::new(Kind::Denied, what).because("it may have a value"));
        }
        Ok(())
    }

    /// Says whether an item replaces what a field showed: it may move to another section.
    fn held(&self, item: &Item) -> bool {
        let mut shown = self.rendered.order.iter();
        !self.adapter.field_parts().is_empty()
            && shown.any(|placed| placed.item.container == item.container)
    }

    /// Says whether a field that showed nothing is filled, and a section may have its value that
    /// the view does not show.
    fn fills_unseen(&self, single: &BTreeSet<u32>) -> bool {
        let mut parts = self.adapter.field_parts().iter();
        let shown: BTreeSet<u32> = self.rendered.order.iter().map(|p| p.item.container).collect();
        parts.any(|slot| !self.visible.contains(slot))
            && self.container.iter().any(|c| single.contains(c) && !shown.contains(c))
    }

    /// Returns the sections that a removed shell touches.
    pub(super) fn removed_shells(&self) -> Result<BTreeSet<Slot>> {
        // A shell that vanishes stays for those who see something in it.
        let is_shell = |&&index: &&usize| {
            let gap = self.old.nodes[index].gap();
            gap.is_some_and(|g| g.container >= INNER && g.kind != HoleKind::Vanishing)
        };
        let gone: Vec<usize> = self.gone.iter().filter(is_shell).copied().collect();
        if gone.is_empty() {
            return Ok(BTreeSet::new());
        }
        let parts_of = |&i: &usize| self.adapter.parts_of(self.old.span(&self.old.nodes[i]));
        let parts: BTreeSet<Slot> = gone.iter().flat_map(parts_of).copied().collect();
        if parts.iter().any(|slot| !self.visible.contains(slot)) {
            let what = "an element with parts cannot be removed or renamed through this view";
            let why = "it may have parts that the view does not show";
            return Err(Error::new(Kind::Denied, what).because(why));
        }
        // Said even when they look unchanged, so that somebody else's save of them conflicts.
        Ok(parts)
    }
}
