//! What a bundle says when the policy announces a section that the reader does not see: the label
//! REDACTED of v3-ObservationValue in `meta.security`, and where the bundle shows a `meta` of its
//! own, an entry that says that something was suppressed. A patient who is a file by itself gets
//! the label when parts of it are withheld and no `meta` is shown.

use super::super::Sections;
use super::super::json::Cursor;
use super::super::rank::Rank;
use super::super::section::{Item, LIST, Measure, ROOT, Role, SectionText};
use super::super::slots::Slot;
use super::PATIENT_PARTS;

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

/// Returns the marker of hidden sections in the view that shows these.
pub(super) fn of(hidden: &[Slot], shown: &Sections) -> Option<SectionText> {
    let frame = &shown.get(&Slot::FRAME)?.items;
    let fills = |container| {
        frame.iter().any(|item| item.hole().is_some_and(|hole| hole.container == container))
    };
    if hidden.is_empty() || !fills(ROOT) {
        return None;
    }
    let is_bundle = fills(LIST);
    let mut members = shown.values().flat_map(|text| &text.items).filter(|i| i.container == ROOT);
    let has_own = members.any(|item| is_meta(&item.bytes));
    match (is_bundle, has_own) {
        (true, true) => Some(section(LIST, ENTRY)),
        (true, false) => Some(section(ROOT, LABEL)),
        (false, false) if hidden.iter().any(|slot| PATIENT_PARTS.contains(slot)) => {
            Some(section(ROOT, LABEL))
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
    is_plain.then(|| section(ROOT, LABEL).measure(super::FormatId::FhirJson))
}

fn section(container: u32, text: &str) -> SectionText {
    let rank = Rank::from_bytes(&[0xfe]).expect("one byte that is not zero is a rank");
    SectionText {
        items: vec![Item { container, rank, bytes: text.as_bytes().to_vec(), role: Role::Text }],
    }
}

/// Says whether a member of the root is its `meta`.
fn is_meta(member: &[u8]) -> bool {
    let text = std::str::from_utf8(member).ok();
    text.and_then(|text| Cursor::new(text, 0).string()).is_some_and(|key| key == "meta")
}
