//! From an edited view back to sections, without the hidden ones: what is unchanged stays where
//! it is, what is changed is classified again, what is new goes where an import would put it.

mod refusals;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::error::{Error, Kind, Result};

use super::adapter::Adapter;
use super::join::{Placed, Rendered};
use super::order;
use super::rank::Rank;
use super::rules::{Confidential, Rules};
use super::section::{DOCUMENT, HoleKind, INNER, Item, LIST, Role, SectionText};
use super::tree::{Claim, Kind as FileKind, Node, Tree};
use super::{FormatId, Sections, Slot};

/// What a save changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// New texts of visible sections that differ from what was rendered.
    pub changed: BTreeMap<Slot, SectionText>,
    /// Elements that belong to sections outside the view; to be appended blindly.
    pub appended: BTreeMap<Slot, SectionText>,
    /// Those of `changed` that differ in white space only: a tool that prints the file anew does
    /// that to all of them. Who may not write one leaves it out, and nothing is lost.
    pub respaced: BTreeSet<Slot>,
}

impl Merged {
    /// Says whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.appended.is_empty()
    }

    /// Takes the visible sections out of `parts`, and notes those that differ or are `forced`.
    pub(super) fn compare(
        &mut self,
        base: &Sections,
        visible: &BTreeSet<Slot>,
        parts: &mut Sections,
        forced: &BTreeSet<Slot>,
        adapter: &dyn Adapter,
    ) {
        let empty = SectionText::default();
        for &slot in visible {
            let new = parts.remove(&slot).unwrap_or_default();
            let old = base.get(&slot).unwrap_or(&empty);
            let is_forced = forced.contains(&slot);
            if *old == new && !is_forced {
                continue;
            }
            if !is_forced && is_respaced(old, &new, adapter) {
                self.respaced.insert(slot);
            }
            self.changed.insert(slot, new);
        }
    }
}

pub(super) fn cannot_be_read(format: FormatId, why: &str) -> Error {
    let what = format!("the text cannot be read as {}", format.name());
    Error::new(Kind::Usage, what).because(why)
}

/// Merges an edited view into the visible sections that it was rendered from.
///
/// `base` are the visible sections as rendered, `visible` all that the caller can see, the empty
/// ones too.
///
/// # Errors
/// `Usage` when the text cannot be read in the record's format; `Denied` when it removes
/// something of which a part may be outside the view.
pub fn merge(
    format: FormatId,
    base: &Sections,
    visible: &BTreeSet<Slot>,
    edited: &[u8],
    rules: &Rules,
) -> Result<Merged> {
    let adapter = format.adapter();
    if adapter.show(base) == edited {
        return Ok(Merged::default());
    }
    adapter.merge(base, visible, edited, rules)
}

/// Merges an edited view of elements that stand one behind the other.
pub(super) fn elements(
    format: FormatId,
    base: &Sections,
    visible: &BTreeSet<Slot>,
    edited: &[u8],
    rules: &Rules,
) -> Result<Merged> {
    let adapter = format.adapter();
    let rendered = adapter.render(base);
    let shown = base.values().any(|text| !text.is_empty());
    if format == FormatId::Opaque || !shown {
        let parts = super::split(format, edited, rules)?;
        return whole_file(format, base, visible, parts);
    }
    let new = adapter
        .parse(edited, rules)
        .ok_or_else(|| cannot_be_read(format, "it is not a valid text of that format"))?;
    let framed = base.get(&Slot::FRAME).is_some_and(|text| !text.is_empty());
    if !framed {
        if new.kind != FileKind::Single {
            return Err(cannot_be_read(format, "the record is one element"));
        }
        let mut parts = super::split_tree(&new, rules);
        if let [placed] = rendered.order.as_slice() {
            keep_section(placed, edited, &mut parts, adapter);
        }
        return whole_file(format, base, visible, parts);
    }
    let old = adapter
        .parse(&rendered.bytes, rules)
        .filter(|tree| tree.nodes.len() == rendered.order.len())
        .ok_or_else(|| Error::damaged("the stored frame does not fit the record"))?;
    if old.kind != new.kind {
        return Err(cannot_be_read(format, "the record is of another kind"));
    }
    if new.repeated && !old.repeated {
        return Err(cannot_be_read(format, "a key stands twice"));
    }
    Merge::new(adapter, &rendered, &old, &new, visible).run(base)
}

/// Replaces everything visible by a file that is one element, or was not shown before.
fn whole_file(
    format: FormatId,
    base: &Sections,
    visible: &BTreeSet<Slot>,
    mut parts: Sections,
) -> Result<Merged> {
    let framed = parts.contains_key(&Slot::FRAME);
    if framed && !visible.contains(&Slot::FRAME) {
        let what = format!("the frame of this {} record is outside the view", format.name());
        return Err(Error::new(Kind::Denied, what));
    }
    let mut merged = Merged::default();
    merged.compare(base, visible, &mut parts, &BTreeSet::new(), format.adapter());
    merged.appended = parts;
    Ok(merged)
}

/// Leaves a file that is one element in its section when only its layout changed.
fn keep_section(was: &Placed<'_>, edited: &[u8], parts: &mut Sections, adapter: &dyn Adapter) {
    if adapter.same(&was.item.bytes, edited) {
        let item = Item { bytes: edited.to_vec(), ..was.item.clone() };
        *parts = [(was.slot, SectionText { items: vec![item] })].into();
    }
}

/// Says whether two texts of a section have the same elements in the same places.
fn is_respaced(old: &SectionText, new: &SectionText, adapter: &dyn Adapter) -> bool {
    let same = |(a, b): (&Item, &Item)| {
        let shell = |item: &Item| item.hole().map(|hole| (hole.container, hole.kind));
        (a.container, &a.rank, shell(a)) == (b.container, &b.rank, shell(b))
            && adapter.same(&a.bytes, &b.bytes)
    };
    old.items.len() == new.items.len() && old.items.iter().zip(&new.items).all(same)
}

struct Merge<'m> {
    adapter: &'m dyn Adapter,
    rendered: &'m Rendered<'m>,
    old: &'m Tree<'m>,
    new: &'m Tree<'m>,
    visible: &'m BTreeSet<Slot>,
    /// For every new node the item that it was, when it was there.
    was: Vec<Option<Placed<'m>>>,
    /// For every new node the stored container that it stands in.
    container: Vec<u32>,
    /// Stored containers by their number in the new tree.
    stored: HashMap<u32, u32>,
    /// Old nodes that the new text has no more.
    gone: BTreeSet<usize>,
    /// For every new node whether its text is what it was, white space aside.
    same: Vec<bool>,
    /// Shells that were not shown, and that the new text does not have either.
    dropped: Vec<Placed<'m>>,
}

impl<'m> Merge<'m> {
    fn new(
        adapter: &'m dyn Adapter,
        rendered: &'m Rendered<'m>,
        old: &'m Tree<'m>,
        new: &'m Tree<'m>,
        visible: &'m BTreeSet<Slot>,
    ) -> Self {
        let mut merge = Self {
            adapter,
            rendered,
            old,
            new,
            visible,
            was: Vec::with_capacity(new.nodes.len()),
            container: Vec::with_capacity(new.nodes.len()),
            stored: [DOCUMENT, super::section::ROOT, LIST].map(|c| (c, c)).into(),
            gone: (0..old.nodes.len()).collect(),
            same: Vec::with_capacity(new.nodes.len()),
            dropped: rendered.dropped.clone(),
        };
        merge.find();
        merge
    }

    /// Finds for every new node what it was: same container, same identity, same occurrence.
    fn find(&mut self) {
        let mut known: HashMap<(u32, &[u8]), VecDeque<usize>> = HashMap::new();
        for (index, node) in self.old.nodes.iter().enumerate() {
            let container = self.rendered.order[index].item.container;
            known.entry((container, node.identity.as_ref())).or_default().push_back(index);
        }
        let frames = self.rendered.order.iter().chain(&self.rendered.dropped);
        let holes = frames.filter_map(|p| p.item.hole()).map(|hole| hole.container);
        let mut unused = holes.max().map_or(INNER, |c| c.max(INNER).saturating_add(1));
        for node in &self.new.nodes {
            let container = *self.stored.get(&node.container).unwrap_or(&node.container);
            let siblings = known.get_mut(&(container, node.identity.as_ref()));
            let index = siblings.and_then(|queue| {
                let front = *queue.front()?;
                same_kind(&self.old.nodes[front], node).then(|| queue.pop_front())?
            });
            let mut was = index.map(|index| self.rendered.order[index]);
            if let Some(index) = index {
                self.gone.remove(&index);
            }
            if was.is_none() {
                was = self.take_dropped(container, node);
            }
            if let Some(gap) = node.gap().filter(|gap| gap.container >= INNER) {
                let stored = was.and_then(|p| p.item.hole()).map(|hole| hole.container);
                let stored = stored.unwrap_or_else(|| {
                    unused = unused.saturating_add(1);
                    unused - 1
                });
                self.stored.insert(gap.container, stored);
            }
            let same = index.is_some_and(|i| {
                self.adapter.same(self.old.span(&self.old.nodes[i]), self.new.span(node))
            });
            self.was.push(was);
            self.container.push(container);
            self.same.push(same);
        }
    }

    /// Finds the shell that was not shown and that a new node fills again.
    fn take_dropped(&mut self, container: u32, node: &Node<'_>) -> Option<Placed<'m>> {
        let gap = node.gap()?;
        let at = self.dropped.iter().position(|p| {
            if gap.container == LIST {
                return fills(p, LIST);
            }
            let name = self.adapter.shell_name(&p.item.bytes);
            p.item.container == container && name.is_some_and(|name| name == node.identity)
        })?;
        // Another list may be in the text, but there is one for the hidden entries.
        Some(if gap.container == LIST { self.dropped[at] } else { self.dropped.remove(at) })
    }

    fn run(self, base: &Sections) -> Result<Merged> {
        let forced = self.removed_shells()?;
        self.check_stubs()?;
        let mut slots = self.new.slots();
        for (index, slot) in slots.iter_mut().enumerate() {
            if let (Some(was), true) = (self.was[index], self.same[index]) {
                *slot = was.slot;
            }
            self.check_marker(index)?;
        }
        for (index, node) in self.new.nodes.iter().enumerate() {
            if let Claim::With(other, hits) = node.claim
                && !(self.same[index] && self.same[other])
            {
                slots[index] = Rules::decide(slots[other], hits, Confidential::default());
            }
        }
        let mut parts = self.items(&slots);
        parts.remove(&Slot::MARKER);
        if let Some(shell) = self.kept_list() {
            parts.entry(Slot::FRAME).or_default().items.push(shell);
        }
        let vanished = self.kept_shells();
        if !vanished.is_empty() {
            parts.entry(Slot::FRAME).or_default().items.extend(vanished);
        }
        parts.values_mut().for_each(SectionText::sort);
        let mut merged = Merged::default();
        merged.compare(base, self.visible, &mut parts, &forced, self.adapter);
        merged.appended = parts;
        self.check_appended(&merged.appended)?;
        Ok(merged)
    }

    /// Returns the shells that vanish and that the text does not have: something hidden may be in
    /// them. Who sees every section removes those that he leaves out.
    fn kept_shells(&self) -> Vec<Item> {
        if self.adapter.slots().iter().all(|slot| self.visible.contains(slot)) {
            return Vec::new();
        }
        let vanishes =
            |p: &Placed<'_>| p.item.hole().is_some_and(|hole| hole.kind == HoleKind::Vanishing);
        let gone = self.gone.iter().map(|&index| self.rendered.order[index]);
        let all = gone.chain(self.dropped.iter().copied()).filter(vanishes);
        all.map(|placed| placed.item.clone()).collect()
    }

    /// Returns the shell of the entry list when the text has none: hidden entries need it.
    fn kept_list(&self) -> Option<Item> {
        if self.new.nodes.iter().any(|node| node.fills(LIST)) {
            return None;
        }
        let removed = self.gone.iter().find(|&&index| self.old.nodes[index].fills(LIST));
        let dropped = || self.dropped.iter().find(|p| fills(p, LIST)).copied();
        let placed = removed.map(|&i| self.rendered.order[i]).or_else(dropped)?;
        let mut item = placed.item.clone();
        if let Role::Shell(hole) = &mut item.role {
            hole.kind = HoleKind::Dropped;
        }
        Some(item)
    }

    /// Makes the items of the new text, by section.
    fn items(&self, slots: &[Slot]) -> Sections {
        let mut by_container: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (index, &container) in self.container.iter().enumerate() {
            by_container.entry(container).or_default().push(index);
        }
        let mut parts = Sections::new();
        for (container, nodes) in by_container {
            let siblings: Vec<(Option<&Rank>, Slot)> =
                nodes.iter().map(|&i| (self.was[i].map(|p| &p.item.rank), slots[i])).collect();
            for (&index, rank) in nodes.iter().zip(order::ranks(&siblings)) {
                let rank = self.new.nodes[index].rank.clone().unwrap_or(rank);
                let item = self.item(index, container, rank);
                parts.entry(slots[index]).or_default().items.push(item);
            }
        }
        parts
    }

    fn item(&self, index: usize, container: u32, rank: Rank) -> Item {
        let node = &self.new.nodes[index];
        let mut role = Tree::role(node);
        if let (Some(was), true, Role::Numbered(_)) = (self.was[index], self.same[index], role) {
            // A number that was written so, and only happens to fit in this view, stays as it is.
            if was.item.role == Role::Text && was.item.bytes == self.new.span(node) {
                return Item { container, rank, ..was.item.clone() };
            }
        }
        if let Role::Shell(hole) = &mut role {
            hole.container = *self.stored.get(&hole.container).unwrap_or(&hole.container);
            let was = self.was[index].and_then(|p| p.item.hole()).map(|was| was.kind);
            let may_go = matches!(hole.kind, HoleKind::Dropped | HoleKind::Vanishing);
            if may_go && was == Some(HoleKind::Kept) {
                hole.kind = HoleKind::Kept;
            }
        }
        Item { container, rank, bytes: self.new.bytes(node), role }
    }
}

fn fills(placed: &Placed<'_>, container: u32) -> bool {
    placed.item.hole().is_some_and(|hole| hole.container == container)
}

fn same_kind(old: &Node<'_>, new: &Node<'_>) -> bool {
    match (old.gap(), new.gap()) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            (a.container == LIST, a.kind.is_single()) == (b.container == LIST, b.kind.is_single())
        }
        _ => false,
    }
}
