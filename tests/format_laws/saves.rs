//! Single saves, one for each rule.

use std::collections::BTreeSet;

use chartfs::demo::patients::patient;
use chartfs::error::Kind;
use chartfs::record::format::{
    FormatId, Merged, Rules, Sections, Slot, join, merge, split, take_apart,
};
use serde_json::Value;

use crate::record::{apply, cut, pick, random_view, size};

fn only(slots: &[Slot]) -> BTreeSet<Slot> {
    slots.iter().copied().chain([Slot::FRAME]).collect()
}

fn save(
    bytes: &str,
    visible: &BTreeSet<Slot>,
    edit: impl Fn(&str) -> String,
) -> (Sections, Result<Merged, Kind>) {
    let (format, sections) = cut(bytes.as_bytes());
    let shown = pick(&sections, visible);
    let view = String::from_utf8(join(format, &shown)).unwrap();
    let merged = merge(format, &shown, visible, edit(&view).as_bytes(), &Rules::builtin());
    (sections, merged.map_err(|e| e.kind()))
}

const SMALL: &str = r#"{"resourceType":"Bundle","total":3,"entry":[
 {"resource":{"resourceType":"Patient","id":"p","name":[{"family":"Q"}],"identifier":[{"value":"1"}],"telecom":[]}},
 {"resource":{"resourceType":"Condition","id":"c","code":{"text":"cough"}}},
 {"resource":{"resourceType":"Condition","id":"h","code":{"text":"HIV infection"}}}
]}"#;

#[test]
fn total_and_signature_are_not_in_the_frame() {
    let (format, sections) = cut(SMALL.as_bytes());
    let frame = join(format, &pick(&sections, &only(&[])));
    let frame = String::from_utf8(frame).unwrap();
    assert_eq!(
        frame,
        "{\"resourceType\":\"Bundle\",\"entry\":[\n {\"resource\":{\"resourceType\":\"Patient\",\"id\":\"p\"}}\n]}"
    );
}

#[test]
fn an_element_that_becomes_sensitive_is_appended_blindly() {
    let (_, merged) = save(SMALL, &only(&[Slot::PROBLEMS]), |v| v.replace("cough", "HIV test"));
    let merged = merged.unwrap();
    assert_eq!(merged.changed.keys().collect::<Vec<_>>(), [&Slot::PROBLEMS]);
    assert!(merged.changed[&Slot::PROBLEMS].is_empty());
    assert_eq!(merged.appended.keys().collect::<Vec<_>>(), [&Slot::HIV]);
}

#[test]
fn an_element_that_is_not_touched_stays_where_it_is() {
    let (format, mut sections) = cut(SMALL.as_bytes());
    // Somebody put it there by hand; the classifier would say problems.
    let moved = sections.remove(&Slot::PROBLEMS).unwrap();
    sections.insert(Slot::CAREPLAN, moved);
    let visible = only(&[Slot::CAREPLAN, Slot::WHOLE]);
    let shown = pick(&sections, &visible);
    let view = String::from_utf8(join(format, &shown)).unwrap();
    let edited = view.replace("\"total\":3", "\"total\":2").replace("\n {", "\n   {");
    let merged = merge(format, &shown, &visible, edited.as_bytes(), &Rules::builtin()).unwrap();
    assert!(merged.appended.is_empty());
    assert!(merged.changed.contains_key(&Slot::CAREPLAN));
    assert!(merged.changed.contains_key(&Slot::WHOLE));
}

#[test]
fn an_insert_with_the_identity_of_a_hidden_element_is_accepted_silently() {
    let add = |v: &str| {
        v.replace("\n]}", ",\n {\"resource\":{\"resourceType\":\"Condition\",\"id\":\"h\"}}\n]}")
    };
    let (mut sections, merged) = save(SMALL, &only(&[Slot::PROBLEMS]), add);
    let merged = merged.unwrap();
    assert!(merged.appended.is_empty());
    apply(&mut sections, merged);
    let full = join(FormatId::FhirJson, &sections);
    assert_eq!(String::from_utf8(full.clone()).unwrap().matches("\"id\":\"h\"").count(), 2);
    // And who sees both can save.
    let all = random_view(FormatId::FhirJson, u64::MAX);
    let text = String::from_utf8(full).unwrap().replace("cough", "cold");
    let merged = merge(FormatId::FhirJson, &sections, &all, text.as_bytes(), &Rules::builtin());
    assert_eq!(merged.unwrap().changed.keys().collect::<Vec<_>>(), [&Slot::PROBLEMS]);
}

#[test]
fn a_patient_member_added_twice_is_shown_twice_and_can_be_resolved() {
    let add =
        |v: &str| v.replace("\"id\":\"p\"", "\"id\":\"p\",\"identifier\":[{\"value\":\"2\"}]");
    let (mut sections, merged) = save(SMALL, &only(&[Slot::PROBLEMS]), add);
    let merged = merged.unwrap();
    assert_eq!(merged.appended.keys().collect::<Vec<_>>(), [&Slot::IDENTIFIERS]);
    apply(&mut sections, merged);
    let format = FormatId::FhirJson;
    let text = String::from_utf8(join(format, &sections)).unwrap();
    assert_eq!(text.matches("\"identifier\"").count(), 2);
    assert_eq!(size(format, &sections), text.len() as u64);
    let all = random_view(format, u64::MAX);
    let resolved = text.replace(",\"identifier\":[{\"value\":\"2\"}]", "");
    let merged = merge(format, &sections, &all, resolved.as_bytes(), &Rules::builtin()).unwrap();
    apply(&mut sections, merged);
    assert_eq!(String::from_utf8(join(format, &sections)).unwrap(), resolved);
}

#[test]
fn a_patient_cannot_be_removed_by_who_sees_a_part_of_it() {
    let remove = |v: &str| {
        let start = v.find("\n {\"resource\":{\"resourceType\":\"Patient\"").unwrap();
        let end = v[start..].find("}},").or_else(|| v[start..].find("}}")).unwrap() + start + 3;
        format!("{}{}", &v[..start], &v[end..])
    };
    let (_, merged) = save(SMALL, &only(&[Slot::PROBLEMS, Slot::CONTACT]), remove);
    assert_eq!(merged.unwrap_err(), Kind::Denied);
    let all = random_view(FormatId::FhirJson, u64::MAX);
    let (mut sections, merged) = save(SMALL, &all, remove);
    apply(&mut sections, merged.unwrap());
    assert!(!sections.contains_key(&Slot::DEMOGRAPHICS));
    serde_json::from_slice::<Value>(&join(FormatId::FhirJson, &sections)).unwrap();
}

#[test]
fn removing_the_last_visible_entry_keeps_the_hidden_ones() {
    let two = r#"{"resourceType":"Bundle","type":"collection","entry":[
 {"resource":{"resourceType":"Condition","id":"c"}},
 {"resource":{"resourceType":"Condition","id":"h","code":{"text":"HIV"}}}
]}"#;
    let visible = only(&[Slot::PROBLEMS]);
    for empty in [
        "{\"resourceType\":\"Bundle\",\"type\":\"collection\"}",
        "{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"entry\": [ ]}",
    ] {
        let (mut sections, merged) = save(two, &visible, |_| empty.to_owned());
        apply(&mut sections, merged.unwrap());
        let format = FormatId::FhirJson;
        assert_eq!(join(format, &pick(&sections, &visible)), empty.as_bytes());
        assert_eq!(size(format, &pick(&sections, &visible)), empty.len() as u64);
        let full: Value = serde_json::from_slice(&join(format, &sections)).unwrap();
        assert_eq!(full["entry"].as_array().unwrap().len(), 1);
        // An entry that comes later finds its list again.
        let shown = pick(&sections, &visible);
        let again = "{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"entry\":[{\"resource\":{\"resourceType\":\"Condition\",\"id\":\"n\"}}]}";
        let merged = merge(format, &shown, &visible, again.as_bytes(), &Rules::builtin()).unwrap();
        apply(&mut sections, merged);
        assert_eq!(join(format, &pick(&sections, &visible)), again.as_bytes());
        let full: Value = serde_json::from_slice(&join(format, &sections)).unwrap();
        assert_eq!(full["entry"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn text_that_is_not_of_the_format_is_refused() {
    let all = random_view(FormatId::FhirJson, u64::MAX);
    let texts = [
        "",
        "{",
        "{\"name\":1}",
        "{\"resourceType\":\"Patient\"}",
        "{\"resourceType\":\"Observation\"}",
    ];
    for text in texts {
        assert_eq!(save(SMALL, &all, |_| text.to_owned()).1.unwrap_err(), Kind::Usage, "{text}");
    }
    assert_eq!(
        split(FormatId::Json, SMALL.as_bytes(), &Rules::builtin()).unwrap_err().kind(),
        Kind::Usage
    );
}

#[test]
fn two_versions_of_a_single_resource_are_shown_as_a_bundle_until_one_is_saved() {
    let hiv = r#"{"resourceType":"Condition","code":{"text":"HIV"}}"#;
    let (format, mut sections) = cut(hiv.as_bytes());
    assert_eq!(sections.keys().collect::<Vec<_>>(), [&Slot::HIV]);
    let visible = only(&[Slot::PROBLEMS]);
    let cough = r#"{"resourceType":"Condition","code":{"text":"cough"}}"#;
    let merged = merge(format, &Sections::new(), &visible, cough.as_bytes(), &Rules::builtin());
    apply(&mut sections, merged.unwrap());
    let both = join(format, &sections);
    assert_eq!(size(format, &sections), both.len() as u64);
    let value: Value = serde_json::from_slice(&both).unwrap();
    assert_eq!(value["entry"].as_array().unwrap().len(), 2);
    let all = random_view(format, u64::MAX);
    let merged = merge(format, &sections, &all, cough.as_bytes(), &Rules::builtin()).unwrap();
    apply(&mut sections, merged);
    assert_eq!(join(format, &sections), cough.as_bytes());
}

#[test]
fn ranks_differ_by_seed_and_nothing_else_does() {
    let bytes = &patient(2).files[0].1;
    let seeded = take_apart(bytes, "", &Rules::builtin().with_seed([7; 32])).1;
    let plain = cut(bytes).1;
    assert!(seeded != plain);
    assert!(join(FormatId::FhirJson, &seeded) == *bytes);
}

#[test]
fn a_file_that_is_printed_anew_keeps_every_element_in_its_section() {
    let (format, sections) = cut(&patient(4).files[0].1);
    let visible = random_view(format, 0x5555_5555_5555_5555);
    let shown = pick(&sections, &visible);
    let value: Value = serde_json::from_slice(&join(format, &shown)).unwrap();
    let compact = value.to_string();
    let merged = merge(format, &shown, &visible, compact.as_bytes(), &Rules::builtin()).unwrap();
    assert!(merged.appended.is_empty());
    assert_eq!(merged.changed.len(), merged.respaced.len());
    assert!(merged.changed.len() > 5);
    let mut after = sections.clone();
    apply(&mut after, merged);
    assert_eq!(join(format, &pick(&after, &visible)), compact.as_bytes());

    let (format, sections) = cut(br#"{"resourceType":"Condition","code":{"text":"cough"}}"#);
    let moved: Sections = [(Slot::CAREPLAN, sections[&Slot::PROBLEMS].clone())].into();
    let spaced = br#"{ "resourceType": "Condition", "code": {"text": "cough"} }"#;
    let all = random_view(format, u64::MAX);
    let merged = merge(format, &moved, &all, spaced, &Rules::builtin()).unwrap();
    assert_eq!(merged.changed.keys().collect::<Vec<_>>(), [&Slot::CAREPLAN]);
    assert_eq!(merged.respaced.len(), 1);
}

const PATIENT: &str = r#"{
  "resourceType": "Patient",
  "id": "p",
  "name": [{"family": "Q"}],
  "identifier": [{"value": "1"}],
  "telecom": [{"value": "555"}],
  "birthDate": "1970-01-01"
}
"#;

#[test]
fn a_single_patient_is_shown_and_saved_in_parts() {
    let visible = only(&[Slot::DEMOGRAPHICS]);
    let edit = |v: &str| {
        assert_eq!(v.matches("identifier").count() + v.matches("telecom").count(), 0, "{v}");
        v.replace("1970-01-01", "1971-02-02")
            .replace("\"id\": \"p\"", "\"id\": \"p\",\n  \"address\": [{\"city\": \"Z\"}]")
    };
    let (mut sections, merged) = save(PATIENT, &visible, edit);
    let merged = merged.unwrap();
    assert_eq!(merged.changed.keys().collect::<Vec<_>>(), [&Slot::DEMOGRAPHICS]);
    assert_eq!(merged.appended.keys().collect::<Vec<_>>(), [&Slot::CONTACT]);
    apply(&mut sections, merged);
    let full: Value = serde_json::from_slice(&join(FormatId::FhirJson, &sections)).unwrap();
    assert_eq!(full["birthDate"], "1971-02-02");
    assert_eq!(full["address"][0]["city"], "Z");
    assert_eq!(full["telecom"][0]["value"], "555");
    assert_eq!(full["identifier"][0]["value"], "1");
}

#[test]
fn a_plain_object_keeps_its_hidden_keys() {
    let plain = "{\n  \"name\": \"Q\",\n  \"hiv_status\": \"negative\",\n  \"labs\": [1]\n}\n";
    let visible = only(&[Slot::DEMOGRAPHICS, Slot::LABS]);
    let edit = |v: &str| {
        assert_eq!(v, "{\n  \"name\": \"Q\",\n  \"labs\": [1]\n}\n");
        v.replace("[1]", "[1, 2]")
    };
    let (mut sections, merged) = save(plain, &visible, edit);
    apply(&mut sections, merged.unwrap());
    let full = join(FormatId::Json, &sections);
    assert_eq!(String::from_utf8(full).unwrap(), plain.replace("[1]", "[1, 2]"));
    let nothing = join(FormatId::Json, &pick(&sections, &only(&[])));
    assert_eq!(nothing, b"{\n}\n");
}

#[test]
fn what_refers_to_a_sensitive_element_follows_it() {
    let bundle = r#"{"resourceType":"Bundle","entry":[
 {"resource":{"resourceType":"ExplanationOfBenefit","id":"e","claim":{"reference":"Claim/c"}}},
 {"fullUrl":"urn:x:c","resource":{"resourceType":"Claim","id":"c","diagnosis":[{"diagnosisReference":{"reference":"urn:x:h"}}]}},
 {"fullUrl":"urn:x:h","resource":{"resourceType":"Condition","id":"h","code":{"coding":[{"system":"http://snomed.info/sct","code":"86406008"}]}}},
 {"resource":{"resourceType":"Claim","id":"other","provider":{"reference":"urn:x:h"}}}
]}"#;
    let (_, sections) = cut(bundle.as_bytes());
    assert_eq!(sections[&Slot::HIV].items.len(), 3);
    assert_eq!(sections[&Slot::BILLING].items.len(), 1);
}

#[test]
fn labels_win_over_types() {
    let labelled = |code: &str, system: &str| {
        let text = format!(
            r#"{{"resourceType":"Observation","meta":{{"security":[{{"system":"http://terminology.hl7.org/CodeSystem/{system}","code":"{code}"}}]}}}}"#
        );
        let (_, sections) = cut(text.as_bytes());
        *sections.keys().next().unwrap()
    };
    assert_eq!(labelled("PSY", "v3-ActCode"), Slot::MENTAL_HEALTH);
    assert_eq!(labelled("42CFRPart2", "v3-ActCode"), Slot::SUBSTANCE_USE);
    assert_eq!(labelled("R", "v3-Confidentiality"), Slot::OTHER);
    assert_eq!(labelled("N", "v3-Confidentiality"), Slot::LABS);
}
