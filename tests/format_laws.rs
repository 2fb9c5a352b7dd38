//! The laws of views: the full view is the file; a view that is saved unchanged changes nothing;
//! what is saved is what is read; what is hidden stays as it is and shows in nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chartfs::demo::patients::patient;
use chartfs::error::Kind;
use chartfs::record::format::{
    FormatId, Merged, Rules, SectionText, Sections, Slot, join, merge, slots_of, split, take_apart,
    view_len,
};
use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

/// Files of the sample folder beside the repository, or none when it is not there.
fn samples() -> Vec<(PathBuf, Vec<u8>)> {
    let shared = std::env::var_os("CHARTFS_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let mut files = Vec::new();
    collect(&shared.join("data"), &mut files);
    files.sort();
    if files.is_empty() {
        println!("SKIPPED: no sample files (set CHARTFS_SHARED to the folder that has data/)");
    }
    files
}

fn collect(folder: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if let Ok(bytes) = std::fs::read(&path) {
            files.push((path, bytes));
        }
    }
}

fn generated() -> Vec<(PathBuf, Vec<u8>)> {
    let files = |seed| {
        let made = patient(seed);
        made.files.into_iter().map(move |(name, bytes)| (Path::new(&made.folder).join(name), bytes))
    };
    (0..5).flat_map(files).collect()
}

/// Small files with every oddity of layout.
const ODD: [&str; 22] = [
    "{}",
    " { } \n",
    "{\"a\":1}",
    "{\"name\" : \"x\" , \"ssn\":2 ,\n \"labs\" : [ ] }\r\n",
    "\u{feff}{\"name\":\"x\",\"hiv\":true}",
    "{\"resourceType\":\"Bundle\"}",
    "{\"resourceType\":\"Bundle\",\"entry\":[]}",
    "{\"resourceType\":\"Bundle\",\"entry\":[ ],\"total\":0}",
    "{\"entry\":[ {\"resource\":{\"id\":\"1\",\"resourceType\":\"Condition\"}} ] ,\"resourceType\":\"Bundle\"}",
    "{\"total\":1,\"resourceType\":\"Bundle\",\"entry\":[{\"resource\":{\"resourceType\":\"Patient\"}}]}",
    "{\"total\":2,\"entry\":[{\"resource\":{\"name\":[],\"resourceType\":\"Patient\",\"x\":1},\"request\":{\"url\":\"Patient?ssn=1\"}},7,\"s\",null],\"resourceType\":\"Bundle\"}",
    "{\"resourceType\":\"Patient\",\"name\":[{\"family\":\"Q\"}],\"identifier\":[],\"telecom\":[]}",
    "{ \"id\":\"p\", \"resourceType\":\"Patient\" }",
    "{\"resourceType\":\"Observation\",\"code\":{}}\n",
    "{\"resourceType\":7,\"name\":1}",
    "{\"resourceTyp\\u0065\":\"Bundle\",\"\\u0065ntry\":[{\"a\":1},{\"b\":2}]}",
    "{\"resourceType\":\"Bundle\",\"entry\":[{\"resource\":{\"resourceType\":\"Patient\",\"id\":\"1\",\"name\":[]}},{\"resource\":{\"resourceType\":\"Patient\",\"id\":\"2\",\"identifier\":[]}}]}",
    "{\"a\":1,\"a\":2}",
    "{\"resourceType\":\"Bundle\",\"entry\":{}}",
    "[1,2]",
    "",
    "{\"a\":",
];

fn odd() -> Vec<(PathBuf, Vec<u8>)> {
    ODD.iter()
        .enumerate()
        .map(|(i, t)| (format!("odd {i}").into(), t.as_bytes().to_vec()))
        .collect()
}

fn files() -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = generated();
    all.extend(odd());
    all.extend(samples());
    all
}

fn cut(bytes: &[u8]) -> (FormatId, Sections) {
    take_apart(bytes, "", &Rules::builtin())
}

fn pick(sections: &Sections, visible: &BTreeSet<Slot>) -> Sections {
    let shown = sections.iter().filter(|(slot, _)| visible.contains(slot));
    shown.map(|(slot, text)| (*slot, text.clone())).collect()
}

fn size(format: FormatId, sections: &Sections) -> u64 {
    view_len(format, sections.iter().map(|(slot, text)| (*slot, text.measure())))
}

/// Puts a save into the record as the record layer does.
fn apply(sections: &mut Sections, merged: Merged) {
    sections.extend(merged.changed);
    for (slot, part) in merged.appended {
        sections.entry(slot).or_default().append(part);
    }
    sections.retain(|_, text| !text.is_empty());
}

/// A view of random sections, always with the frame.
fn random_view(format: FormatId, mut mask: u64) -> BTreeSet<Slot> {
    let mut visible: BTreeSet<Slot> = slots_of(format).iter().copied().collect();
    visible.retain(|&slot| {
        mask = mask.rotate_left(1);
        slot == Slot::FRAME || mask & 1 == 1
    });
    visible
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }

    fn mask(&mut self) -> u64 {
        (self.below(1 << 30) as u64) << 32 | self.below(1 << 30) as u64
    }
}

#[test]
fn the_full_view_is_the_file() {
    let mut counts = [0; 3];
    for (path, bytes) in files() {
        let (format, sections) = cut(&bytes);
        counts[format as usize] += 1;
        assert!(join(format, &sections) == bytes, "{} differs", path.display());
        assert_eq!(size(format, &sections), bytes.len() as u64, "{}", path.display());
        let profile = slots_of(format);
        assert!(sections.keys().all(|slot| profile.contains(slot)), "{}", path.display());
        for text in sections.values() {
            let stored = text.encode(format);
            assert!(SectionText::decode(format, &stored).unwrap() == *text);
        }
    }
    println!("opaque {}, json {}, fhir {}", counts[0], counts[1], counts[2]);
    assert!(counts[1] > 5 && counts[2] > 10);
}

#[test]
fn odd_files_are_recognised_as_what_they_are() {
    let format = |index: usize| cut(ODD[index].as_bytes()).0;
    for (index, expected) in [(4, FormatId::Json), (15, FormatId::FhirJson), (14, FormatId::Json)] {
        assert_eq!(format(index), expected, "{}", ODD[index]);
    }
    for index in 17..22 {
        assert_eq!(format(index), FormatId::Opaque, "{}", ODD[index]);
    }
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(130), "]".repeat(130));
    assert_eq!(cut(deep.as_bytes()).0, FormatId::Opaque);
}

#[test]
fn every_view_is_valid_json_and_its_size_is_known_beforehand() {
    let mut dice = Dice(1);
    for (path, bytes) in files() {
        let (format, sections) = cut(&bytes);
        if format == FormatId::Opaque {
            continue;
        }
        for round in 0..8 {
            // Once nothing but the frame.
            let mask = if round == 0 { 0 } else { dice.mask() };
            let shown = pick(&sections, &random_view(format, mask));
            let view = join(format, &shown);
            assert_eq!(size(format, &shown), view.len() as u64, "{}", path.display());
            if shown.values().any(|text| !text.is_empty()) {
                let text = String::from_utf8(view).unwrap();
                let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
                let value: Value = serde_json::from_str(text).unwrap();
                // FHIR forbids an empty list; it is shown only where the writer left one.
                let empty = value.get("entry").is_some_and(|list| *list == Value::Array(vec![]));
                let writers = bytes.len() < 100;
                assert!(!empty || writers, "{} shows an empty list", path.display());
            }
        }
    }
}

#[test]
fn an_unchanged_save_changes_nothing() {
    let mut dice = Dice(2);
    for (path, bytes) in files() {
        let (format, sections) = cut(&bytes);
        for _ in 0..4 {
            let visible = random_view(format, dice.mask());
            let shown = pick(&sections, &visible);
            let view = join(format, &shown);
            let merged = merge(format, &shown, &visible, &view, &Rules::builtin()).unwrap();
            assert!(merged.is_empty(), "{}", path.display());
        }
    }
}

#[test]
fn an_edit_to_and_fro_restores_the_sections() {
    // The unchanged save has a short cut; this goes the long way.
    let (format, sections) = cut(&patient(3).files[0].1);
    let visible = random_view(format, u64::MAX);
    let view = String::from_utf8(join(format, &sections)).unwrap();
    let edited = view.replacen("\"finished\"", "\"in-progress\"", 1);
    assert_ne!(view, edited);
    let merged = merge(format, &sections, &visible, edited.as_bytes(), &Rules::builtin()).unwrap();
    assert_eq!(merged.changed.keys().collect::<Vec<_>>(), [&Slot::ENCOUNTERS]);
    let mut after = sections.clone();
    apply(&mut after, merged);
    let back = merge(format, &after, &visible, view.as_bytes(), &Rules::builtin()).unwrap();
    apply(&mut after, back);
    assert!(after == sections);
}

/// Edits the list of entries of a bundle as text: removes, swaps, changes, adds.
fn edit_bundle(view: &str, dice: &mut Dice) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Bundle<'a> {
        #[serde(borrow)]
        entry: Vec<&'a RawValue>,
    }
    let bundle: Bundle = serde_json::from_str(view).ok()?;
    let at = |raw: &RawValue| raw.get().as_ptr() as usize - view.as_ptr() as usize;
    let (first, last) = (bundle.entry.first()?, bundle.entry.last()?);
    let (start, end) = (at(first), at(last) + last.get().len());
    let mut entries: Vec<String> = bundle.entry.iter().map(|e| e.get().to_owned()).collect();
    for n in 0..=dice.below(4) {
        let (i, j) = (dice.below(entries.len()), dice.below(entries.len()));
        let holds_patient = entries.get(i)?.contains("\"Patient\"");
        match dice.below(4) {
            0 if !holds_patient && entries.len() > 1 => drop(entries.remove(i)),
            1 => entries.swap(i, j),
            2 if !holds_patient => entries[i] = entries[i].replacen('{', "{ \"edited\": true,", 1),
            _ => entries.insert(
                i,
                format!(
                    "{{\"fullUrl\":\"urn:new:{n}-{}\",\"resource\":{{\"resourceType\":\"Flag\"}}}}",
                    dice.below(1 << 20)
                ),
            ),
        }
    }
    Some([&view[..start], &entries.join(",\n  "), &view[end..]].concat())
}

#[test]
fn what_is_saved_is_what_is_read_and_hidden_sections_stay() {
    let mut dice = Dice(3);
    let mut rounds = 0;
    for (path, bytes) in files() {
        let (format, mut sections) = cut(&bytes);
        if format != FormatId::FhirJson || bytes.len() > 2_000_000 {
            continue;
        }
        for _ in 0..8 {
            let visible = random_view(format, dice.mask());
            let shown = pick(&sections, &visible);
            let view = String::from_utf8(join(format, &shown)).unwrap();
            let Some(edited) = edit_bundle(&view, &mut dice) else { continue };
            let merged =
                merge(format, &shown, &visible, edited.as_bytes(), &Rules::builtin()).unwrap();
            assert!(merged.changed.keys().all(|slot| visible.contains(slot)));
            assert!(merged.appended.keys().all(|slot| !visible.contains(slot)));
            let before = sections.clone();
            let clean = merged.appended.is_empty();
            let appended: Vec<Slot> = merged.appended.keys().copied().collect();
            apply(&mut sections, merged);
            for (slot, text) in before.iter().filter(|(slot, _)| !visible.contains(slot)) {
                let kept = &sections[slot];
                if appended.contains(slot) {
                    assert!(text.items.iter().all(|item| kept.items.contains(item)));
                } else {
                    assert!(text.encode(format) == kept.encode(format), "{slot} was touched");
                }
            }
            let after = pick(&sections, &visible);
            if clean {
                assert_eq!(String::from_utf8(join(format, &after)).unwrap(), edited);
            }
            assert_eq!(size(format, &after), join(format, &after).len() as u64);
            serde_json::from_slice::<Value>(&join(format, &sections))
                .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            rounds += 1;
        }
    }
    println!("{rounds} edit rounds");
    assert!(rounds >= 20);
}

#[test]
fn hidden_sections_show_in_nothing() {
    let mut dice = Dice(4);
    for (path, bytes) in files() {
        let (format, sections) = cut(&bytes);
        if format == FormatId::Opaque {
            continue;
        }
        let visible = random_view(format, dice.mask());
        let mut other = sections.clone();
        for (slot, text) in &mut other {
            if !visible.contains(slot) {
                text.items.truncate(text.items.len() / 2);
                text.items.iter_mut().for_each(|item| item.bytes.extend_from_slice(b"   "));
            }
        }
        let (a, b) = (pick(&sections, &visible), pick(&other, &visible));
        assert!(join(format, &a) == join(format, &b), "{}", path.display());
        let hidden_or_empty = |all: &Sections| {
            let measures = slots_of(format).iter().filter(|slot| visible.contains(slot));
            let measure = |s: &Slot| all.get(s).map(SectionText::measure).unwrap_or_default();
            view_len(format, measures.map(|s| (*s, measure(s))))
        };
        assert_eq!(hidden_or_empty(&sections), hidden_or_empty(&other));
        assert_eq!(hidden_or_empty(&sections), join(format, &a).len() as u64);
    }
}

/// Codes of the sample bundles that tell something sensitive, taken from the files by eye and not
/// from the list that the program uses.
const TELLING: [&str; 30] = [
    "55277-8",
    "28245-9",
    "76690-7",
    "31676001",
    "171207006",
    "52910006",
    "7200002",
    "24165007",
    "226138001",
    "72892002",
    "19169002",
    "10383002",
    "714812005",
    "386394001",
    "5880005",
    "169230002",
    "225158009",
    "252160004",
    "165829005",
    "269828009",
    "310861008",
    "65200003",
    "46706006",
    "68254000",
    "301807007",
    "755621000000101",
    "287664005",
    "86406008",
    "706893006",
    "243077000",
];

#[test]
fn no_sensitive_code_stands_outside_the_sensitive_sections() {
    let (mut leaks, mut found) = (Vec::new(), 0);
    for (path, bytes) in files() {
        let (format, sections) = cut(&bytes);
        if format != FormatId::FhirJson {
            continue;
        }
        for (slot, text) in &sections {
            for item in &text.items {
                let item = String::from_utf8_lossy(&item.bytes);
                let told = TELLING.iter().filter(|code| item.contains(&format!("\"{code}\"")));
                for code in told {
                    if slot.is_sensitive() {
                        found += 1;
                    } else {
                        leaks.push(format!("{code} in {slot} of {}", path.display()));
                    }
                }
            }
        }
    }
    println!("{} leaks; {found} sensitive codes in sensitive sections", leaks.len());
    assert_eq!(leaks, Vec::<String>::new());
    assert!(found > 50);
}

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

/// JSON objects of any shape, with keys that mean something.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[ -~é\"\\\\]{0,8}".prop_map(Value::from),
        Just(Value::from("Patient")),
        Just(Value::from("Bundle")),
        Just(Value::from("Observation")),
        Just(Value::from("HIV")),
    ];
    let key = prop_oneof![
        Just("resourceType"),
        Just("entry"),
        Just("resource"),
        Just("id"),
        Just("fullUrl"),
        Just("total"),
        Just("name"),
        Just("identifier"),
        Just("code"),
        Just("system"),
        Just("text"),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((key.clone(), inner), 0..5).prop_map(|members| {
                Value::Object(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
            }),
        ]
    })
}

fn check_laws(bytes: &[u8], mask: u64) -> Result<(), TestCaseError> {
    let (format, sections) = cut(bytes);
    prop_assert_eq!(join(format, &sections), bytes);
    let visible = random_view(format, mask);
    let shown = pick(&sections, &visible);
    let view = join(format, &shown);
    prop_assert_eq!(size(format, &shown), view.len() as u64);
    if format != FormatId::Opaque && !shown.is_empty() {
        let text = std::str::from_utf8(&view).unwrap();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(), "{}", text);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_kept(bytes in proptest::collection::vec(any::<u8>(), 0..300), mask: u64) {
        check_laws(&bytes, mask)?;
    }

    #[test]
    fn any_json_is_kept(value in any_json(), pretty: bool, mask: u64) {
        let text = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) };
        check_laws(&text.unwrap(), mask)?;
    }

    #[test]
    fn any_bundle_is_kept(entries in proptest::collection::vec(any_json(), 0..6), mask: u64) {
        let value = serde_json::json!({ "total": 1, "resourceType": "Bundle", "entry": entries });
        check_laws(value.to_string().as_bytes(), mask)?;
    }

    #[test]
    fn damaged_json_is_kept(at in any::<prop::sample::Index>(), with: u8, which in 0..ODD.len(), mask: u64) {
        let mut bytes = ODD[which].as_bytes().to_vec();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = with;
        }
        check_laws(&bytes, mask)?;
    }

    #[test]
    fn any_save_of_a_bundle_is_read_back(
        old in proptest::collection::vec(any_json(), 0..6),
        new in proptest::collection::vec(any_json(), 0..6),
        share in 0..6_usize,
        mask: u64,
    ) {
        let text = |entries: &[Value]| {
            serde_json::json!({ "resourceType": "Bundle", "entry": entries }).to_string()
        };
        let (format, mut sections) = cut(text(&old).as_bytes());
        prop_assume!(format == FormatId::FhirJson);
        let visible = random_view(format, mask);
        let shown = pick(&sections, &visible);
        let entries: Vec<Value> = old.iter().take(share).cloned().chain(new).collect();
        let edited = text(&entries);
        let merged = merge(format, &shown, &visible, edited.as_bytes(), &Rules::builtin());
        let Ok(merged) = merged else { return Ok(()) };
        let clean = merged.appended.is_empty();
        apply(&mut sections, merged);
        let after = pick(&sections, &visible);
        if clean {
            prop_assert_eq!(String::from_utf8(join(format, &after)).unwrap(), edited);
        }
        prop_assert_eq!(size(format, &sections), join(format, &sections).len() as u64);
        prop_assert!(serde_json::from_slice::<Value>(&join(format, &sections)).is_ok());
    }

    #[test]
    fn any_save_of_a_plain_object_is_read_back(old in any_json(), new in any_json(), mask: u64) {
        let (format, mut sections) = cut(old.to_string().as_bytes());
        let visible = random_view(format, mask);
        let shown = pick(&sections, &visible);
        let edited = new.to_string();
        let merged = merge(format, &shown, &visible, edited.as_bytes(), &Rules::builtin());
        let Ok(merged) = merged else { return Ok(()) };
        let clean = merged.appended.is_empty();
        apply(&mut sections, merged);
        if clean {
            let after = join(format, &pick(&sections, &visible));
            prop_assert_eq!(String::from_utf8(after).unwrap(), edited);
        }
    }

    #[test]
    fn hostile_sections_never_panic(at in any::<prop::sample::Index>(), with: u8, which in 0..12_usize) {
        let (format, sections) = cut(ODD[which].as_bytes());
        let mut all: Vec<(Slot, Vec<u8>)> = sections.iter().map(|(s, t)| (*s, t.encode(format))).collect();
        let index = at.index(all.len().max(1));
        if let Some((_, bytes)) = all.get_mut(index) {
            let place = at.index(bytes.len());
            bytes[place] = with;
        }
        let damaged: Result<Sections, _> =
            all.iter().map(|(s, b)| SectionText::decode(format, b).map(|t| (*s, t))).collect();
        if let Ok(damaged) = damaged {
            let visible = random_view(format, u64::MAX);
            let view = join(format, &damaged);
            let _ = size(format, &damaged);
            let _ = merge(format, &damaged, &visible, b"{\"name\":2}", &Rules::builtin());
            let _ = merge(format, &damaged, &visible, &[&view[..], b" "].concat(), &Rules::builtin());
        }
    }
}
