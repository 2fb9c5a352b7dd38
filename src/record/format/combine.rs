//! Two saves of one section that did not know of each other: both are kept when they touch
//! different elements.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::FormatId;
use super::rank::Rank;
use super::rules::Rules;
use super::section::{Item, SectionText};
use super::tree::Tree;

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

/// How often each element stands in a text, by its place and its name.
type Census = HashMap<Vec<u8>, usize>;

fn census(tree: &Tree<'_>) -> Census {
    let mut places: HashMap<u32, Vec<u8>> = HashMap::new();
    let mut all = Census::new();
    for node in &tree.nodes {
        let mut place = places.get(&node.container).cloned().unwrap_or_default();
        place.push(0);
        place.extend_from_slice(&node.identity);
        if let Some(gap) = node.gap() {
            places.insert(gap.container, place.clone());
        }
        *all.entry(place).or_default() += 1;
    }
    all
}

/// Says whether `both`, the text of two saves of `base` together, has an element more often than
/// either meant: both moved and changed it, or both gave something new one name.
pub fn is_doubled(format: FormatId, texts: [&[u8]; 3], both: &[u8], rules: &Rules) -> bool {
    let parse = |text| format.adapter().parse(text, rules);
    let (Some(both), [Some(base), Some(ours), Some(theirs)]) = (parse(both), texts.map(parse))
    else {
        return false;
    };
    if both.repeated {
        return !ours.repeated && !theirs.repeated;
    }
    let [base, ours, theirs] = [&base, &ours, &theirs].map(census);
    census(&both).iter().any(|(place, count)| {
        let of = |census: &Census| census.get(place).copied().unwrap_or(0);
        let (old, our, their) = (of(&base), of(&ours), of(&theirs));
        *count > old + our.saturating_sub(old) + their.saturating_sub(old)
    })
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
    fn what_both_moved_or_named_alike_is_doubled() {
        let doubled = |base: &str, ours: &str, theirs: &str, both: &str| {
            let texts = [base, ours, theirs].map(str::as_bytes);
            is_doubled(FormatId::Json, texts, both.as_bytes(), &Rules::builtin())
        };
        let base = r#"{"a": 1, "b": 2}"#;
        let (ours, theirs) = (r#"{"b": 2, "a": 3}"#, r#"{"b": 2, "a": 4}"#);
        assert!(doubled(base, ours, theirs, r#"{"b": 2, "a": 3, "a": 4}"#));
        assert!(!doubled(base, ours, base, ours));
        let (ours, theirs) = (r#"{"a": 1, "b": 2, "c": 3}"#, r#"{"a": 1, "b": 2, "c": 4}"#);
        assert!(doubled(base, ours, theirs, r#"{"a": 1, "b": 2, "c": 3, "c": 4}"#));
        let bundle = |ids: &[u8]| {
            let entries: Vec<String> = ids
                .iter()
                .map(|id| format!(r#"{{"resource":{{"resourceType":"Condition","id":"{id}"}}}}"#))
                .collect();
            format!(r#"{{"resourceType":"Bundle","entry":[{}]}}"#, entries.join(","))
        };
        let texts = [bundle(&[1, 2]), bundle(&[2, 1]), bundle(&[2, 1])];
        let texts = texts.each_ref().map(String::as_bytes);
        let (rules, both) = (Rules::builtin(), bundle(&[2, 1, 1]));
        assert!(is_doubled(FormatId::FhirJson, texts, both.as_bytes(), &rules));
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
