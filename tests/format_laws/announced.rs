//! Hidden sections that the policy announces leave a mark in the view, which hangs on the policy
//! alone and is never stored.

use chartfs::demo::patients::patient;
use chartfs::error::Kind;
use chartfs::record::format::{
    FormatId, Rules, Sections, Slot, announce, announced_len, join, merge, slots_of, split,
};
use serde_json::Value;

use crate::cda::DOCUMENT;
use crate::files::files;
use crate::record::{Dice, apply, cut, pick, random_view};

const BUNDLE: &str = r#"{"resourceType":"Bundle","type":"collection","entry":[
 {"resource":{"resourceType":"Condition","id":"c","code":{"text":"cough"}}},
 {"resource":{"resourceType":"AllergyIntolerance","id":"a"}}
]}"#;

/// The view of some sections with the mark of others, whose size was known beforehand or not.
fn marked(format: FormatId, shown: &Sections, hidden: &[Slot]) -> (Sections, Vec<u8>) {
    let measures: Vec<_> = shown.iter().map(|(slot, t)| (*slot, t.measure(format))).collect();
    let mut base = shown.clone();
    announce(format, &mut base, hidden);
    let view = join(format, &base);
    let known = announced_len(format, &measures, hidden);
    assert!(known.is_none_or(|len| len == view.len() as u64));
    (base, view)
}

fn shown_of(text: &str, slots: &[Slot]) -> (FormatId, Sections, std::collections::BTreeSet<Slot>) {
    let (format, sections) = cut(text.as_bytes());
    let visible = slots.iter().copied().chain([Slot::FRAME]).collect();
    (format, pick(&sections, &visible), visible)
}

#[test]
fn every_view_with_a_mark_is_valid_and_an_unchanged_or_reprinted_save_changes_nothing() {
    let (mut dice, mut marks, mut exact) = (Dice(11), 0, 0);
    for (path, bytes) in files() {
        let (format, sections) = cut(&bytes);
        for _ in 0..4 {
            let visible = random_view(format, dice.mask());
            let shown = pick(&sections, &visible);
            let closed: Vec<Slot> =
                slots_of(format).iter().copied().filter(|s| !visible.contains(s)).collect();
            let (base, view) = marked(format, &shown, &closed);
            let measures: Vec<_> =
                shown.iter().map(|(slot, t)| (*slot, t.measure(format))).collect();
            exact += usize::from(announced_len(format, &measures, &closed).is_some());
            let merged = merge(format, &base, &visible, &view, &Rules::builtin()).unwrap();
            assert!(merged.is_empty(), "{}", path.display());
            if !base.contains_key(&Slot::MARKER) {
                continue;
            }
            marks += 1;
            if format == FormatId::Cda {
                assert!(split(format, &view, &Rules::builtin()).is_ok(), "{}", path.display());
                continue;
            }
            let Ok(value) = serde_json::from_slice::<Value>(&view) else {
                assert!(view.starts_with("\u{feff}".as_bytes()), "{}", path.display());
                continue;
            };
            let anew = serde_json::to_vec_pretty(&value).unwrap();
            let Ok(merged) = merge(format, &base, &visible, &anew, &Rules::builtin()) else {
                continue;
            };
            let mut after = sections.clone();
            apply(&mut after, merged);
            assert!(!after.contains_key(&Slot::MARKER));
            let stored = join(format, &after);
            let told = |bytes: &[u8]| {
                let text = String::from_utf8_lossy(bytes);
                text.matches("\"REDACTED\"").count() + text.matches("\"suppressed\"").count()
            };
            assert_eq!(told(&stored), told(&bytes), "{}", path.display());
        }
    }
    assert!(marks > 20 && exact > marks, "{marks} marks, {exact} sizes known beforehand");
}

#[test]
fn the_mark_is_a_label_and_hangs_on_the_policy_alone() {
    let (format, shown, visible) = shown_of(BUNDLE, &[Slot::PROBLEMS]);
    let (base, view) = marked(format, &shown, &[Slot::ALLERGIES]);
    let value: Value = serde_json::from_slice(&view).unwrap();
    assert_eq!(value["meta"]["security"][0]["code"], "REDACTED");
    assert_eq!(value["entry"].as_array().unwrap().len(), 1);
    let without = BUNDLE
        .replace(",\n {\"resource\":{\"resourceType\":\"AllergyIntolerance\",\"id\":\"a\"}}", "");
    let (_, other, _) = shown_of(&without, &[Slot::PROBLEMS]);
    let lines = |s: &Sections| join(format, s).len();
    assert_eq!(lines(&marked(format, &other, &[Slot::ALLERGIES]).0), lines(&base));
    assert!(!marked(format, &shown, &[]).0.contains_key(&Slot::MARKER));

    // A save through the view leaves nothing of the mark, whether it is kept or taken out.
    let text = String::from_utf8(view).unwrap();
    let at = text.find(",\"meta\"").unwrap();
    let cut_out = format!("{}}}", &text[..at]);
    for edited in [text.replace("cough", "cold"), cut_out.replace("cough", "cold")] {
        let merged = merge(format, &base, &visible, edited.as_bytes(), &Rules::builtin()).unwrap();
        assert_eq!(merged.changed.keys().collect::<Vec<_>>(), [&Slot::PROBLEMS]);
        assert!(merged.appended.is_empty());
        let (_, mut all) = cut(BUNDLE.as_bytes());
        apply(&mut all, merged);
        assert_eq!(join(format, &all), BUNDLE.replace("cough", "cold").as_bytes());
    }
    let changed = text.replace("redacted", "all is here");
    let refused = merge(format, &base, &visible, changed.as_bytes(), &Rules::builtin());
    assert_eq!(refused.unwrap_err().kind(), Kind::Denied);
}

#[test]
fn a_bundle_that_shows_its_own_meta_gets_an_entry() {
    let with = BUNDLE.replace("\"type\"", "\"meta\":{\"tag\":[]},\"type\"");
    let (format, shown, visible) = shown_of(&with, &[Slot::PROBLEMS, Slot::WHOLE]);
    let (base, view) = marked(format, &shown, &[Slot::ALLERGIES]);
    let value: Value = serde_json::from_slice(&view).unwrap();
    assert_eq!(value["meta"]["security"], Value::Null);
    let outcome = &value["entry"][1]["resource"];
    assert_eq!(outcome["issue"][0]["code"], "suppressed");
    let edited = serde_json::to_string_pretty(&value).unwrap().replace("cough", "cold");
    let merged = merge(format, &base, &visible, edited.as_bytes(), &Rules::builtin()).unwrap();
    assert!(merged.appended.is_empty());
    let (_, mut all) = cut(with.as_bytes());
    apply(&mut all, merged);
    assert!(!String::from_utf8(join(format, &all)).unwrap().contains("suppressed"));
    // Whoever does not see that meta gets the label.
    let (_, shown, _) = shown_of(&with, &[Slot::PROBLEMS]);
    let (_, view) = marked(format, &shown, &[Slot::ALLERGIES]);
    assert!(String::from_utf8(view).unwrap().contains("REDACTED"));
}

#[test]
fn only_what_can_show_a_mark_has_one() {
    for text in [
        "{\"resourceType\":\"Observation\"}",
        "{\"name\":\"x\"}",
        "{\"resourceType\":\"Flag\"}\n{\"resourceType\":\"Flag\"}\n",
        "%PDF-1.7",
        "{\"resourceType\":\"Patient\",\"id\":\"p\"}",
    ] {
        let (format, sections) = cut(text.as_bytes());
        assert_eq!(marked(format, &sections, &[Slot::ALLERGIES]).1, text.as_bytes());
    }
    let patient = "{\"resourceType\":\"Patient\",\"id\":\"p\",\"identifier\":[]}";
    let (format, shown, _) = shown_of(patient, &[Slot::CONTACT]);
    let view = String::from_utf8(marked(format, &shown, &[Slot::IDENTIFIERS]).1).unwrap();
    assert!(view.contains("REDACTED"), "{view}");
    let (format, nothing) = (cut(&patient_file()).0, Sections::new());
    assert_eq!(marked(format, &nothing, &[Slot::ALLERGIES]).1, b"");
}

fn patient_file() -> Vec<u8> {
    patient(1).files.remove(0).1
}

/// The view of a document without allergies and billing, of which the policy announces some.
fn document(text: &str, announced: &[Slot]) -> (Sections, String) {
    let (format, sections) = cut(text.as_bytes());
    assert_eq!(format, FormatId::Cda);
    let visible = seen_of_document();
    let (base, view) = marked(format, &pick(&sections, &visible), announced);
    (base, String::from_utf8(view).unwrap())
}

fn seen_of_document() -> std::collections::BTreeSet<Slot> {
    let mut visible = random_view(FormatId::Cda, u64::MAX);
    visible.retain(|slot| ![Slot::ALLERGIES, Slot::BILLING, Slot::HIV].contains(slot));
    visible
}

#[test]
fn a_document_masks_what_is_announced_and_has_no_information_on_the_rest() {
    let (_, silent) = document(DOCUMENT, &[]);
    assert!(!silent.contains("MSK"));
    assert_eq!(silent.matches("<section nullFlavor=\"NI\">").count(), 2);
    let (_, told) = document(DOCUMENT, &[Slot::ALLERGIES, Slot::BILLING, Slot::HIV]);
    assert_eq!(told.matches("<section nullFlavor=\"NI\">").count(), 1);
    let masked = told.split_once("<section nullFlavor=\"MSK\">").unwrap().1;
    assert!(masked.contains("<code code=\"48765-2\"") && !told.contains("Penicillin"));
    assert!(told.contains("<text>billing, other content</text>"), "{told}");

    // It hangs on the policy: a document whose allergies are filed elsewhere has it too.
    let other = DOCUMENT.replace("Penicillin", "Abacavir, since HIV");
    assert_eq!(document(&other, &[Slot::ALLERGIES]).1.matches("MSK").count(), 1);
    let prefixed = DOCUMENT.replace("</", "</c:").replace('<', "<c:").replace("<c:/c:", "</c:");
    let prefixed = prefixed.replace("<c:?", "<?").replace("<c:!", "<!").replace("c:sdtc:", "c:");
    let prefixed = prefixed.replace("xmlns=", "xmlns:c=");
    let (_, told) = document(&prefixed, &[Slot::ALLERGIES, Slot::BILLING]);
    assert_eq!(told.matches("<c:section nullFlavor=\"MSK\">").count(), 2);
}

#[test]
fn no_save_of_a_document_stores_a_mask() {
    let announced = [Slot::ALLERGIES, Slot::BILLING];
    let (base, view) = document(DOCUMENT, &announced);
    let visible = seen_of_document();
    let saved = |edited: &str| {
        let merged = merge(FormatId::Cda, &base, &visible, edited.as_bytes(), &Rules::builtin());
        merged.map(|merged| {
            let (_, mut all) = cut(DOCUMENT.as_bytes());
            apply(&mut all, merged);
            String::from_utf8(join(FormatId::Cda, &all)).unwrap()
        })
    };
    let new = "<component><section><text>new</text></section></component>";
    let mark = view.rfind("<component>").unwrap();
    let end = view[mark..].find("</component>").unwrap() + mark + "</component>".len();
    let without = format!("{}{}", &view[..mark], &view[end..]);
    let before = format!("{}{new}{}", &view[..mark], &view[mark..]);
    let behind = format!("{}{new}{}", &view[..end], &view[end..]);
    let printed = [&view[..mark], &view[mark..end].replace("><", ">\n  <"), &view[end..]].concat();
    for edited in [view.replace("Visit", "Visits"), without, before, behind, printed] {
        let stored = saved(&edited).unwrap();
        assert!(!stored.contains("MSK") && !stored.contains("Withheld"), "{stored}");
        assert!(stored.contains("Penicillin") && stored.contains("HIV disease"));
    }
    for changed in [view.replace(">billing<", ">nothing<"), view.replace("Withheld", "None")] {
        assert_eq!(saved(&changed).unwrap_err().kind(), Kind::Denied);
    }
}
