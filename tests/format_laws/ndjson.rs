//! FHIR bulk files: a resource is a line, and a view has the lines that it shows.

use chartfs::demo::patients::patient;
use chartfs::record::format::{FormatId, Rules, Slot, join, merge};
use proptest::prelude::*;
use serde_json::Value;

use crate::arbitrary::{any_json, check_laws};
use crate::record::{Dice, apply, cut, pick, random_view, size};

/// Lines of every kind in every layout.
const ODD: [&str; 10] = [
    "{\"resourceType\":\"Flag\"}\n{\"resourceType\":\"Flag\"}",
    "{\"resourceType\":\"Flag\",\"id\":\"1\"}\r\n{\"resourceType\":\"Patient\",\"id\":\"p\",\"name\":[]}\r\n",
    "\u{feff}{\"resourceType\":\"Patient\",\"id\":\"p\",\"identifier\":[]}\n{\"resourceType\":\"Flag\"}\n",
    "\n \n{\"resourceType\":\"Patient\"}\n\n\n {\"resourceType\":\"Claim\"} \n\n",
    "{\"id\":\"1\",\"resourceType\":\"Condition\",\"code\":{\"text\":\"HIV\"}}\r\n{\"resourceType\":\"Claim\",\"diagnosis\":[{\"diagnosisReference\":{\"reference\":\"Condition/1\"}}]}",
    "\r\n{\"resourceType\":\"Flag\"}\n\t\r\n{\"resourceType\":\"Patient\",\"gender\":\"x\"}\n \n",
    "{\"resourceType\":\"Patient\",\"telecom\":[]}\n{\"resourceType\":\"Patient\",\"telecom\":[]}\n",
    "{\"resourceType\":\"Bundle\",\"entry\":[{\"resource\":{\"resourceType\":\"Condition\",\"code\":{\"text\":\"HIV\"}}}]}\n{\"resourceType\":\"Flag\"}\n",
    "{\"resourceType\":\"Condition\",\"code\":{\"text\":\"cough\"}}\n{\"resourceType\":\"Condition\",\"code\":{\"text\":\"HIV\"}}\n{\"resourceType\":\"Condition\",\"code\":{\"text\":\"a cold\"}}",
    "{\"resourceType\":\"Flag\"}\n{\"resourceType\":\"Flag\"}\n{\"resourceType\":\"Flag\"}\r\n\r\n",
];

/// The entries of a generated bundle as lines.
fn lines_of(seed: u64, line_end: &str) -> Vec<u8> {
    let bundle: Value = serde_json::from_slice(&patient(seed).files[0].1).unwrap();
    let entries = bundle["entry"].as_array().unwrap();
    let lines: Vec<String> = entries.iter().map(|e| e["resource"].to_string()).collect();
    (lines.join(line_end) + line_end).into_bytes()
}

fn bulk_files() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = ODD.iter().map(|text| text.as_bytes().to_vec()).collect();
    all.extend([lines_of(1, "\n"), lines_of(2, "\r\n"), lines_of(3, "\n\n")]);
    all.extend(crate::files::samples().into_iter().map(|(_, bytes)| bytes));
    all.retain(|bytes| cut(bytes).0 == FormatId::FhirNdjson);
    all
}

fn lines(text: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(text).unwrap();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let filled = text.lines().filter(|line| !line.trim().is_empty());
    filled.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_odd_file_is_read_as_lines_and_others_are_not() {
    for text in ODD {
        assert_eq!(cut(text.as_bytes()).0, FormatId::FhirNdjson, "{text}");
    }
    let flag = "{\"resourceType\":\"Flag\"}";
    for (text, format) in [
        (format!("{flag}\n"), FormatId::FhirJson),
        (format!("\n{flag}"), FormatId::FhirJson),
        ("{\n \"resourceType\":\n \"Flag\"}\n".to_owned(), FormatId::FhirJson),
        (format!("{flag}\n{{\"a\":1}}\n"), FormatId::Opaque),
        (format!("{flag}\n{flag} {flag}\n"), FormatId::Opaque),
        (format!("{flag}\n[{flag}]\n"), FormatId::Opaque),
        (format!("{flag}\r{flag}\r"), FormatId::Opaque),
        (format!("{flag}\n{{\"resourceType\":\"Flag\",\"id\":1,"), FormatId::Opaque),
        (format!("{flag}\n\u{feff}{flag}"), FormatId::Opaque),
        ("\n".to_owned(), FormatId::Opaque),
    ] {
        assert_eq!(cut(text.as_bytes()).0, format, "{text}");
    }
}

#[test]
fn a_view_has_the_lines_that_it_shows() {
    let mut dice = Dice(5);
    for bytes in bulk_files() {
        let (format, sections) = cut(&bytes);
        assert!(join(format, &sections) == bytes);
        for round in 0..6 {
            let visible = random_view(format, if round == 0 { 0 } else { dice.mask() });
            let shown = pick(&sections, &visible);
            let view = join(format, &shown);
            assert_eq!(size(format, &shown), view.len() as u64);
            let holds = |text: &&chartfs::record::format::Item| text.container == 2;
            let items = shown.values().flat_map(|text| &text.items).filter(holds).count();
            assert_eq!(lines(&view).len(), items);
        }
    }
}

#[test]
fn a_patient_line_is_shown_in_its_parts() {
    let text = "{\"resourceType\":\"Patient\",\"id\":\"p\",\"name\":[],\"identifier\":[1],\"telecom\":[2]}\n{\"resourceType\":\"Flag\"}\n";
    let (format, sections) = cut(text.as_bytes());
    let show = |slots: &[Slot]| {
        let visible = slots.iter().copied().chain([Slot::FRAME]).collect();
        String::from_utf8(join(format, &pick(&sections, &visible))).unwrap()
    };
    assert_eq!(show(&[]), "{\"resourceType\":\"Patient\",\"id\":\"p\"}\n");
    assert_eq!(
        show(&[Slot::CONTACT, Slot::DIRECTIVES]),
        "{\"resourceType\":\"Patient\",\"id\":\"p\",\"telecom\":[2]}\n{\"resourceType\":\"Flag\"}\n"
    );
}

/// Removes, swaps, changes and adds lines, with whatever line end they have.
fn edit(view: &[u8], dice: &mut Dice) -> Vec<u8> {
    let text = String::from_utf8(view.to_vec()).unwrap();
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    for n in 0..=dice.below(4) {
        let (i, j) = (dice.below(lines.len()), dice.below(lines.len()));
        let fixed = lines.get(i).is_none_or(|line| {
            line.contains("\"Patient\"") || line.contains('\u{feff}') || !line.ends_with('\n')
        });
        match dice.below(4) {
            0 if !fixed => drop(lines.remove(i)),
            1 if !fixed && lines[j].ends_with('\n') && !lines[j].contains('\u{feff}') => {
                lines.swap(i, j);
            }
            2 if !fixed => lines[i] = lines[i].replacen('{', "{ \"edited\": true,", 1),
            _ => lines.push(format!("\n{{\"resourceType\":\"Flag\",\"id\":\"new{n}\"}}")),
        }
    }
    lines.concat().into_bytes()
}

#[test]
fn what_is_saved_is_what_is_read_and_hidden_lines_stay() {
    let (mut dice, mut rounds) = (Dice(6), 0);
    for bytes in bulk_files() {
        let (format, mut sections) = cut(&bytes);
        for _ in 0..12 {
            let visible = random_view(format, dice.mask());
            let shown = pick(&sections, &visible);
            let edited = edit(&join(format, &shown), &mut dice);
            let merged = merge(format, &shown, &visible, &edited, &Rules::builtin()).unwrap();
            let before = sections.clone();
            let appended: Vec<Slot> = merged.appended.keys().copied().collect();
            apply(&mut sections, merged);
            for (slot, text) in before.iter().filter(|(slot, _)| !visible.contains(slot)) {
                let kept = &sections[slot];
                assert!(text.items.iter().all(|item| kept.items.contains(item)));
                assert!(appended.contains(slot) || text == kept, "{slot} was touched");
            }
            let after = pick(&sections, &visible);
            let view = join(format, &after);
            if appended.is_empty() {
                assert_eq!(String::from_utf8(view.clone()), String::from_utf8(edited));
            }
            assert_eq!(size(format, &after), view.len() as u64);
            lines(&join(format, &sections));
            rounds += 1;
        }
    }
    assert!(rounds >= 120, "{rounds}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_lines_are_kept(
        values in proptest::collection::vec(any_json(), 2..7),
        ends in proptest::collection::vec(0..5_usize, 7),
        mask: u64,
    ) {
        let mut text = String::new();
        for (mut value, end) in values.into_iter().zip(ends) {
            if let Some(members) = value.as_object_mut() {
                members.entry("resourceType").or_insert(Value::from("Condition"));
            }
            text += &value.to_string();
            text += ["\n", "\r\n", " \n\n", "\n\t", "\n"][end];
        }
        check_laws(text.as_bytes(), mask)?;
    }

    #[test]
    fn damaged_lines_are_kept(at in any::<prop::sample::Index>(), with: u8, which in 0..ODD.len(), mask: u64) {
        let mut bytes = ODD[which].as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = with;
        check_laws(&bytes, mask)?;
    }
}
