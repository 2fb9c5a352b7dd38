//! Documents: the references of a composition go with what they refer to, and a section that the
//! document's type wants stays with a reason.

use std::collections::{BTreeSet, HashSet};

use chartfs::error::Kind;
use chartfs::record::format::{
    FormatId, Rules, Sections, Slot, announce, announced_len, join, merge, slots_of,
};
use serde_json::{Value, json};

use crate::files::files;
use crate::files::summary::{section, summary};
use crate::record::{Dice, apply, cut, pick, random_view, size};

fn text() -> String {
    serde_json::to_string_pretty(&summary()).unwrap()
}

/// The view with what it says of the withheld.
fn view(shown: &Sections, announced: &[Slot]) -> (Sections, Vec<u8>) {
    let mut base = shown.clone();
    announce(FormatId::FhirJson, &mut base, announced);
    let view = join(FormatId::FhirJson, &base);
    let measures: Vec<_> =
        shown.iter().map(|(slot, text)| (*slot, text.measure(FormatId::FhirJson))).collect();
    let known = announced_len(FormatId::FhirJson, &measures, announced);
    assert!(known.is_none_or(|len| len == view.len() as u64));
    (base, view)
}

fn names(bundle: &Value) -> HashSet<String> {
    let mut names = HashSet::new();
    for entry in bundle["entry"].as_array().into_iter().flatten() {
        names.extend(entry["fullUrl"].as_str().map(str::to_owned));
        let resource = &entry["resource"];
        if let (Some(kind), Some(id)) = (resource["resourceType"].as_str(), resource["id"].as_str())
        {
            names.insert(format!("{kind}/{id}"));
        }
    }
    names
}

fn compositions(bundle: &Value) -> impl Iterator<Item = &Value> {
    let resources = bundle["entry"].as_array().into_iter().flatten().map(|e| &e["resource"]);
    resources.filter(|resource| resource["resourceType"] == "Composition")
}

fn sections_of(holder: &Value) -> Vec<&Value> {
    let own: Vec<&Value> = holder["section"].as_array().into_iter().flatten().collect();
    own.iter().flat_map(|section| sections_of(section)).chain(own.iter().copied()).collect()
}

fn listed(bundle: &Value) -> Vec<String> {
    let sections = compositions(bundle).flat_map(sections_of);
    let entries = sections.flat_map(|section| section["entry"].as_array().into_iter().flatten());
    let to = entries.filter_map(|entry| entry["reference"].as_str());
    to.map(|to| to.split_once("/_history/").map_or(to, |(to, _)| to).to_owned()).collect()
}

fn is_document(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Value>(bytes)
        .is_ok_and(|value| compositions(&value).next().is_some_and(|c| !c["section"].is_null()))
}

/// Documents of the samples and the demonstration, and the one made here in two layouts.
fn documents() -> Vec<Vec<u8>> {
    let samples = files().into_iter().map(|(_, bytes)| bytes).filter(|bytes| is_document(bytes));
    samples.chain([text().into_bytes()]).collect()
}

#[test]
fn a_hidden_entry_is_listed_nowhere_and_no_section_is_empty_without_a_reason() {
    let (mut dice, mut gone) = (Dice(21), 0);
    for bytes in documents() {
        let (format, sections) = cut(&bytes);
        assert_eq!(format, FormatId::FhirJson);
        assert_eq!(join(format, &sections), bytes);
        let (_, full) = view(&sections, &[]);
        assert_eq!(full, bytes, "who sees everything sees the file");
        let all = names(&serde_json::from_slice(&bytes).unwrap());
        for round in 0..24 {
            let mask = if round == 0 { 0 } else { dice.mask() };
            let shown = pick(&sections, &random_view(format, mask));
            let (_, text) = view(&shown, &[]);
            let bundle: Value = serde_json::from_slice(&text).unwrap();
            let here = names(&bundle);
            for to in listed(&bundle) {
                assert!(here.contains(&to) || !all.contains(&to), "{to} is hidden and listed");
            }
            gone += all.len() - here.len();
            for composition in compositions(&bundle) {
                let codes: Vec<String> = sections_of(composition)
                    .iter()
                    .map(|s| s["code"]["coding"][0]["code"].to_string())
                    .collect();
                let is_summary = composition["type"]["coding"][0]["code"] == "60591-5";
                let wanted = ["11450-4", "48765-2", "10160-0"].map(|code| format!("\"{code}\""));
                for wanted in wanted.iter().filter(|_| is_summary) {
                    assert!(codes.contains(wanted), "{wanted} in {codes:?}");
                }
                for section in sections_of(composition) {
                    let told = ["text", "entry", "section"].iter().any(|k| !section[k].is_null());
                    assert!(told || !section["emptyReason"].is_null(), "{section}");
                    assert!(section["entry"].is_null() || section["emptyReason"].is_null());
                }
            }
        }
    }
    assert!(gone > 50);
}

fn seen(slots: &[Slot], announced: &[Slot]) -> Value {
    let (format, sections) = cut(text().as_bytes());
    let visible: BTreeSet<Slot> = slots.iter().copied().chain([Slot::FRAME]).collect();
    let (_, text) = view(&pick(&sections, &visible), announced);
    assert_eq!(format, FormatId::FhirJson);
    let bundle: Value = serde_json::from_slice(&text).unwrap();
    bundle["entry"][0]["resource"].clone()
}

#[test]
fn each_reader_sees_the_sections_of_what_he_sees() {
    let reason = |section: &Value| section["emptyReason"]["coding"][0]["code"].clone();
    let of_nothing = seen(&[], &[Slot::ALLERGIES]);
    assert_eq!(of_nothing["title"], "Patient Summary");
    let sections = of_nothing["section"].as_array().unwrap();
    assert_eq!(sections.len(), 3);
    assert_eq!(sections[0]["title"], "Problems");
    assert_eq!(sections[0]["text"]["status"], "empty");
    assert_eq!(reason(&sections[0]), "unavailable");
    assert_eq!(reason(&sections[1]), "withheld");
    assert_eq!(of_nothing["encounter"], Value::Null);

    let doctor = seen(&[Slot::PROBLEMS, Slot::LABS, Slot::ENCOUNTERS], &[]);
    let sections = doctor["section"].as_array().unwrap();
    let titles: Vec<_> = sections.iter().map(|s| s["title"].as_str().unwrap()).collect();
    // The procedures are HIV tests only: nothing says that there are any.
    assert_eq!(
        titles,
        ["Problems of Ms Q", "Allergies and adverse reactions", "Medications", "Results"]
    );
    assert_eq!(sections[0]["entry"].as_array().unwrap().len(), 1);
    // It tells of the hidden one too.
    assert_eq!(sections[0]["text"], Value::Null);
    assert_eq!(
        sections[3]["entry"],
        json!([{ "reference": "Observation/count" }, { "reference": "Observation/gone" }])
    );
    assert_eq!(sections[3]["text"], Value::Null);
    assert_eq!(doctor["encounter"]["reference"], "Encounter/e");

    let hiv = seen(&[Slot::HIV], &[]);
    let sections = hiv["section"].as_array().unwrap();
    assert_eq!(sections[0]["entry"], json!([{ "reference": "Condition/virus" }]));
    assert_eq!(sections[3]["title"], "Procedures");

    let planner = seen(&[Slot::CAREPLAN], &[]);
    let plans = planner["section"].as_array().unwrap().last().unwrap();
    assert_eq!(plans["section"][0]["title"], "Plan");
}

#[test]
fn what_is_hidden_in_a_document_shows_in_nothing() {
    let mut dice = Dice(22);
    for bytes in documents() {
        let (format, sections) = cut(&bytes);
        for _ in 0..20 {
            let visible = random_view(format, dice.mask());
            let mut other = sections.clone();
            for (slot, text) in &mut other {
                if !visible.contains(slot) {
                    text.items.truncate(text.items.len() / 3);
                    text.items.iter_mut().for_each(|item| item.bytes.push(b' '));
                }
            }
            let announced = [Slot::ALLERGIES];
            let closed: Vec<Slot> =
                announced.into_iter().filter(|slot| !visible.contains(slot)).collect();
            let views = [&sections, &other].map(|s| view(&pick(s, &visible), &closed).1);
            assert!(views[0] == views[1]);
        }
    }
}

/// Edits a document as a program would that reads and prints it.
fn edit(bundle: &mut Value, dice: &mut Dice) {
    let Some(sections) = bundle["entry"][0]["resource"]["section"].as_array_mut() else { return };
    for n in 0..=dice.below(3) {
        let at = dice.below(sections.len());
        let Some(section) = sections.get_mut(at) else { return };
        match dice.below(5) {
            0 => drop(sections.remove(at)),
            1 => {
                section.as_object_mut().unwrap().remove("emptyReason");
                let new = json!({ "reference": format!("Flag/{n}-{}", dice.below(99)) });
                match section["entry"].as_array_mut() {
                    Some(entries) => entries.insert(0, new),
                    None => section["entry"] = json!([new]),
                }
            }
            2 => {
                if let Some(entries) = section["entry"].as_array_mut() {
                    entries.pop();
                    if entries.is_empty() {
                        section.as_object_mut().unwrap().remove("entry");
                    }
                }
            }
            3 => {
                if let Some(entries) = section["entry"].as_array_mut() {
                    entries.reverse();
                }
            }
            _ => {
                let new = section_of_plans(n);
                sections.push(new);
            }
        }
    }
}

fn section_of_plans(n: usize) -> Value {
    section("61146-7", &format!("Goals {n}"), "walk", &["CarePlan/rest"])
}

/// What is left of a view without what it says of the withheld.
fn without_reasons(mut bundle: Value) -> Value {
    fn strip(holder: &mut Value) {
        for section in holder["section"].as_array_mut().into_iter().flatten() {
            if let Some(members) = section.as_object_mut() {
                members.shift_remove("emptyReason");
                if members.get("text").is_some_and(|text| text["status"] == "empty") {
                    members.retain(|key, _| key != "text" && key != "title");
                }
                members.sort_keys();
            }
            if !section["section"].is_null() {
                strip(section);
            }
        }
    }
    let composition = &mut bundle["entry"][0]["resource"];
    if !composition["section"].is_null() {
        strip(composition);
        let sections = composition["section"].as_array_mut().unwrap();
        sections.retain(|s| {
            s.as_object().is_some_and(|s| s.keys().any(|k| k != "code" && k != "title"))
        });
    }
    bundle
}

#[test]
fn random_edits_of_documents_are_read_back_and_nothing_hidden_is_lost() {
    let (mut dice, mut rounds, mut refused) = (Dice(23), 0, 0);
    for bytes in documents() {
        for _ in 0..12 {
            let (format, mut sections) = cut(&bytes);
            for _ in 0..4 {
                let visible = random_view(format, dice.mask());
                let shown = pick(&sections, &visible);
                let (base, text) = view(&shown, &[]);
                let unchanged = merge(format, &base, &visible, &text, &Rules::builtin()).unwrap();
                assert!(unchanged.is_empty());
                let mut bundle: Value = serde_json::from_slice(&text).unwrap();
                edit(&mut bundle, &mut dice);
                let edited = serde_json::to_vec(&bundle).unwrap();
                let merged = match merge(format, &base, &visible, &edited, &Rules::builtin()) {
                    Ok(merged) => merged,
                    Err(error) => {
                        assert_eq!(error.kind(), Kind::Denied, "{error}");
                        refused += 1;
                        continue;
                    }
                };
                assert!(merged.changed.keys().all(|slot| visible.contains(slot)));
                let (before, clean) = (sections.clone(), merged.appended.is_empty());
                apply(&mut sections, merged);
                assert!(!sections.contains_key(&Slot::MARKER));
                for (slot, text) in before.iter().filter(|(slot, _)| !visible.contains(slot)) {
                    let kept = &sections[slot];
                    assert!(text.items.iter().all(|item| kept.items.contains(item)), "{slot}");
                }
                let full: Value = serde_json::from_slice(&join(format, &sections)).unwrap();
                assert!(!full.to_string().contains("unavailable"));
                let (_, after) = view(&pick(&sections, &visible), &[]);
                if clean {
                    let after: Value = serde_json::from_slice(&after).unwrap();
                    assert_eq!(without_reasons(after), without_reasons(bundle));
                }
                assert_eq!(size(format, &sections), join(format, &sections).len() as u64);
                rounds += 1;
            }
        }
    }
    println!("{rounds} edits of documents, {refused} refused");
    assert!(rounds > 50 && refused * 4 < rounds);
}

#[test]
fn a_reference_follows_its_target_to_another_section() {
    let (format, mut sections) = cut(text().as_bytes());
    let visible: BTreeSet<Slot> = [Slot::FRAME, Slot::PROBLEMS].into();
    let (base, text) = view(&pick(&sections, &visible), &[]);
    let edited = String::from_utf8(text).unwrap().replace("49727002", "86406008");
    let merged = merge(format, &base, &visible, edited.as_bytes(), &Rules::builtin()).unwrap();
    assert_eq!(merged.appended.keys().collect::<Vec<_>>(), [&Slot::HIV]);
    assert_eq!(merged.appended[&Slot::HIV].items.len(), 2);
    apply(&mut sections, merged);
    let (_, text) = view(&pick(&sections, &visible), &[]);
    assert!(listed(&serde_json::from_slice(&text).unwrap()).is_empty());
    let full: Value = serde_json::from_slice(&join(format, &sections)).unwrap();
    assert_eq!(listed(&full).len(), listed(&summary()).len());
}

#[test]
fn a_composition_is_removed_by_who_sees_every_section_only() {
    let remove = |visible: &BTreeSet<Slot>| {
        let (format, sections) = cut(text().as_bytes());
        let (base, text) = view(&pick(&sections, visible), &[]);
        let mut bundle: Value = serde_json::from_slice(&text).unwrap();
        bundle["entry"].as_array_mut().unwrap().remove(0);
        let edited = serde_json::to_vec_pretty(&bundle).unwrap();
        let merged = merge(format, &base, visible, &edited, &Rules::builtin());
        (sections, merged, edited)
    };
    let (_, refused, _) =
        remove(&[Slot::FRAME, Slot::DEMOGRAPHICS, Slot::CONTACT, Slot::IDENTIFIERS].into());
    assert_eq!(refused.unwrap_err().kind(), Kind::Denied);
    let all: BTreeSet<Slot> = slots_of(FormatId::FhirJson).iter().copied().collect();
    let (mut sections, merged, edited) = remove(&all);
    apply(&mut sections, merged.unwrap());
    assert_eq!(String::from_utf8(join(FormatId::FhirJson, &sections)), String::from_utf8(edited));
}

#[test]
fn a_document_whose_type_or_label_is_sensitive_is_one_element() {
    let psychiatric = text().replace("Patient Summary", "Psychiatric summary");
    let (_, sections) = cut(psychiatric.as_bytes());
    assert!(
        sections[&Slot::MENTAL_HEALTH]
            .items
            .iter()
            .any(|item| { String::from_utf8_lossy(&item.bytes).contains("\"Composition\"") })
    );
    let labelled = text()
        .replace("\"status\": \"final\"", "\"status\": \"final\", \"confidentiality\": \"V\"");
    let (_, sections) = cut(labelled.as_bytes());
    assert_eq!(sections[&Slot::OTHER].items.len(), 1);
}
