//! What a bundle shows for what it withholds.
//!
//! When the policy announces a section that the reader does not see: the label REDACTED of
//! v3-ObservationValue in `meta.security`, and where the bundle shows a `meta` of its own, an entry
//! that says that something was suppressed. A patient who is a file by itself gets the label when
//! parts of it are withheld and no `meta` is shown.
//!
//! A section of a document whose entries are withheld says why it has none: `withheld` when the
//! policy announces it, else `unavailable`, which says nothing. One that every document of the type
//! has gets a title and a narrative too.

use std::collections::BTreeMap;

use super::super::cda::{section_of_loinc, title_of};
use super::super::json::Cursor;
use super::super::rank::Rank;
use super::super::section::{HoleKind, Item, LIST, Measure, ROOT, Role, SectionText};
use super::super::slots::Slot;
use super::super::{FormatId, Sections};
use super::PATIENT_PARTS;
use super::document::loinc_of;

const LABEL: &str = concat!(
    r#""meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","#,
    r#""code":"REDACTED","display":"redacted"}]}"#
);
/// The name keeps the entry the same one when a program prints the bundle anew.
const ENTRY: &str = concat!(
    r#"{"fullUrl":"urn:uuid:6b1f2f5e-3f0e-4b0e-9d55-5a1c7a0f6d11","resource":{"#,
    r#""resourceType":"OperationOutcome","issue":[{"severity":"information","#,
    r#""code":"suppressed"}]}}"#
);
const NARRATIVE: &str = concat!(
    r#""text":{"status":"empty","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">"#,
    r#"No information</div>"}"#
);

/// Returns the marker of hidden sections in the view that shows these.
pub(super) fn of(hidden: &[Slot], shown: &Sections) -> Option<SectionText> {
    let frame = &shown.get(&Slot::FRAME)?.items;
    let mut items: Vec<Item> = label(hidden, shown, frame).into_iter().collect();
    if frame.iter().any(vanishes) {
        Document::of(shown, frame).mark(hidden, &mut items);
    }
    let mut text = SectionText { items };
    text.sort();
    (!text.is_empty()).then_some(text)
}

fn label(hidden: &[Slot], shown: &Sections, frame: &[Item]) -> Option<Item> {
    let fills = |container| {
        frame.iter().any(|item| item.hole().is_some_and(|hole| hole.container == container))
    };
    if hidden.is_empty() || !fills(ROOT) {
        return None;
    }
    let is_bundle = fills(LIST);
    let mut members = shown.values().flat_map(|text| &text.items).filter(|i| i.container == ROOT);
    let has_own = members.any(|item| key_of(&item.bytes).is_some_and(|key| key == "meta"));
    match (is_bundle, has_own) {
        (true, true) => Some(item(LIST, ENTRY)),
        (true, false) => Some(item(ROOT, LABEL)),
        (false, false) if hidden.iter().any(|slot| PATIENT_PARTS.contains(slot)) => {
            Some(item(ROOT, LABEL))
        }
        (false, _) => None,
    }
}

/// Returns what the marker adds to the size of a view; `None` when only the view tells.
pub(super) fn measure(hidden: &[Slot], visible: &[(Slot, Measure)]) -> Option<Measure> {
    let any = |slot: Slot, is: fn(&Measure) -> bool| {
        visible.iter().any(|(of, measure)| *of == slot && is(measure))
    };
    if hidden.is_empty() || !any(Slot::FRAME, |m| m.text_len > 0) {
        return Some(Measure::default());
    }
    // A list that goes when it is empty is that of a bundle, and its `meta` is in one section.
    let is_bundle = any(Slot::FRAME, |m| m.drop_len > 0);
    let is_plain = is_bundle && !any(Slot::WHOLE, |m| m.text_len > 0);
    is_plain.then(|| SectionText { items: vec![item(ROOT, LABEL)] }.measure(FormatId::FhirJson))
}

fn item(container: u32, text: &str) -> Item {
    let rank = Rank::from_bytes(&[0xfe]).expect("one byte that is not zero is a rank");
    Item { container, rank, bytes: text.as_bytes().to_vec(), role: Role::Text }
}

/// Returns the key of a member.
fn key_of(member: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(member).ok()?;
    Cursor::new(text, 0).string().map(std::borrow::Cow::into_owned)
}

fn vanishes(item: &Item) -> bool {
    item.hole().is_some_and(|hole| hole.kind == HoleKind::Vanishing)
}

/// The shown items of a bundle that holds documents, by container.
struct Document<'s> {
    containers: BTreeMap<u32, Vec<&'s Item>>,
    frame: &'s [Item],
}

impl<'s> Document<'s> {
    fn of(shown: &'s Sections, frame: &'s [Item]) -> Self {
        let mut containers: BTreeMap<u32, Vec<&Item>> = BTreeMap::new();
        for item in shown.values().flat_map(|text| &text.items) {
            containers.entry(item.container).or_default().push(item);
        }
        Self { containers, frame }
    }

    fn inside(&self, container: u32) -> &[&'s Item] {
        self.containers.get(&container).map_or(&[][..], Vec::as_slice)
    }

    /// Says whether an item shows something: a shell that vanishes does when another one does.
    fn shows(&self, item: &Item, depth: usize) -> bool {
        !vanishes(item)
            || depth > 0
                && item.hole().is_some_and(|hole| {
                    self.inside(hole.container).iter().any(|inner| self.shows(inner, depth - 1))
                })
    }

    fn mark(&self, hidden: &[Slot], marks: &mut Vec<Item>) {
        // The sections of a composition, and sections in them, stand in the lists of that name.
        let lists = self.frame.iter().filter(|item| {
            vanishes(item) && key_of(&item.bytes).is_some_and(|key| key == "section")
        });
        for section in lists.filter_map(Item::hole).flat_map(|hole| self.inside(hole.container)) {
            let Some(hole) = section.hole().filter(|_| vanishes(section)) else { continue };
            self.mark_section(hole.container, hidden, marks);
        }
    }

    /// Marks a section that shows something, but none of the entries that it has.
    fn mark_section(&self, container: u32, hidden: &[Slot], marks: &mut Vec<Item>) {
        const DEPTH: usize = 8;
        let items = self.inside(container);
        let is_shown = |key: &str| {
            let is = |i: &&&Item| key_of(&i.bytes).is_some_and(|k| k == key);
            items.iter().filter(is).any(|item| self.shows(item, DEPTH))
        };
        let is_empty = !items.iter().any(|item| self.shows(item, DEPTH));
        if is_empty || ["entry", "section", "emptyReason"].into_iter().any(is_shown) {
            return;
        }
        let code = items.iter().find_map(|item| {
            let text = std::str::from_utf8(&item.bytes).ok()?;
            let value = key_of(&item.bytes).filter(|key| key == "code").and(text.split_once(':'));
            loinc_of(&mut Cursor::new(value?.1, 0))
        });
        let slot = code.as_deref().and_then(section_of_loinc);
        let is_bare = !is_shown("title") && !is_shown("text");
        if is_bare {
            let title = code.as_deref().map_or("", title_of);
            marks.push(item(container, &format!(r#""title":"{title}""#)));
            marks.push(item(container, NARRATIVE));
        }
        // Without entries in the file there is nothing that could be withheld.
        if is_bare || items.iter().any(|item| vanishes(item)) {
            let announced = slot.is_some_and(|slot| hidden.contains(&slot));
            let reason = if announced { "withheld" } else { "unavailable" };
            let system = "http://terminology.hl7.org/CodeSystem/list-empty-reason";
            marks.push(item(
                container,
                &format!(
                    r#""emptyReason":{{"coding":[{{"system":"{system}","code":"{reason}"}}]}}"#
                ),
            ));
        }
    }
}
