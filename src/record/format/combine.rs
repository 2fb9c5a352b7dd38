//! Two saves of one section that did not know of each other: both are kept when they touch
//! different elements.

use std::collections::{BTreeMap, BTreeSet};

use super::rank::Rank;
use super::section::{Item, SectionText};

/// An element of a section over its versions: container, rank, and which of equal ones it is.
type Key<'i> = (u32, &'i Rank, usize);

fn keyed(text: &SectionText) -> BTreeMap<Key<'_>, &Item> {
    let mut seen: BTreeMap<(u32, &Rank), usize> = BTreeMap::new();
    let mut all = BTreeMap::new();
    for item in &text.items {
        let occurrence = seen.entry((item.container, &item.rank)).or_default();
        *occurrence += 1;
        all.insert((item.container, &item.rank, *occurrence), item);
    }
    all
}

impl SectionText {
    /// Combines two changed versions of `base`, element by element; `None` when both changed the
    /// same element, or both opened a container.
    pub fn combine(base: &Self, ours: &Self, theirs: &Self) -> Option<Self> {
        let (base, ours, theirs) = (keyed(base), keyed(ours), keyed(theirs));
        let mut items = Vec::with_capacity(theirs.len() + ours.len());
        let keys: BTreeSet<_> = base.keys().chain(ours.keys()).chain(theirs.keys()).collect();
        for key in keys {
            let (old, our, their) = (base.get(key), ours.get(key), theirs.get(key));
            let kept = match (old, our, their) {
                // New on both sides with one rank: two elements, theirs stood there first.
                (None, Some(our), Some(their)) if our != their => {
                    items.push((*their).clone());
                    Some(our)
                }
                _ if our == old => their,
                _ if their == old || our == their => our,
                _ => return None,
            };
            items.extend(kept.map(|item| (*item).clone()));
        }
        let mut holes = BTreeSet::new();
        let mut opened = items.iter().filter_map(Item::hole);
        opened.all(|hole| holes.insert(hole.container)).then_some(Self { items })
    }
}

#[cfg(test)]
mod tests {
    use super::super::section::{Hole, HoleKind, LIST, Role};
    use super::*;

    fn text(items: &[(u8, &str)]) -> SectionText {
        let item = |&(rank, bytes): &(u8, &str)| Item {
            container: LIST,
            rank: Rank::from_bytes(&[rank]).unwrap(),
            bytes: bytes.as_bytes().to_vec(),
            role: Role::Text,
        };
        SectionText { items: items.iter().map(item).collect() }
    }

    #[test]
    fn different_elements_combine() {
        let base = text(&[(1, "a"), (2, "b"), (3, "c")]);
        let ours = text(&[(1, "A"), (2, "b"), (3, "c"), (5, "ours")]);
        let theirs = text(&[(1, "a"), (3, "c"), (5, "theirs"), (6, "d")]);
        let both = SectionText::combine(&base, &ours, &theirs).unwrap();
        assert_eq!(both, text(&[(1, "A"), (3, "c"), (5, "theirs"), (5, "ours"), (6, "d")]));
        assert_eq!(SectionText::combine(&base, &base, &theirs), Some(theirs.clone()));
        assert_eq!(SectionText::combine(&base, &theirs, &base), Some(theirs));
    }

    #[test]
    fn the_same_element_does_not() {
        let base = text(&[(1, "a"), (2, "b")]);
        let ours = text(&[(1, "A"), (2, "b")]);
        assert_eq!(SectionText::combine(&base, &ours, &text(&[(1, "x"), (2, "b")])), None);
        assert_eq!(SectionText::combine(&base, &ours, &text(&[(2, "b")])), None);
        assert_eq!(SectionText::combine(&base, &ours, &ours), Some(ours.clone()));
    }

    #[test]
    fn two_new_shells_of_one_container_do_not() {
        let base = text(&[]);
        let shell = |rank| {
            let mut text = text(&[(rank, "{}")]);
            let kind = HoleKind::Kept;
            text.items[0].role = Role::Shell(Hole { at: 1, container: 9, separator: b',', kind });
            text
        };
        assert_eq!(SectionText::combine(&base, &shell(1), &shell(2)), None);
    }
}
