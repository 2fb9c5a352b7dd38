//! The laws of views: the full view is the file; a view that is saved unchanged changes nothing;
//! what is saved is what is read; what is hidden stays as it is and shows in nothing.
#![allow(clippy::print_stdout, reason = "what was skipped and counted is read in the test log")]
#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod announced;
mod arbitrary;
mod cda;
mod cda_check;
mod collector;
mod csv;
mod dicom;
mod dicom_oracle;
mod dicom_tools;
mod documents;
mod files;
mod flat;
mod hl7;
mod json_tools;
mod leaks;
mod mutated;
mod ndjson;
mod readers;
mod record;
mod safe_harbor;
mod saves;

use chartfs::demo::patients::patient;
use chartfs::record::format::{
    FormatId, Rules, SectionText, Sections, Slot, join, merge, slots_of, split, view_len,
};
use serde_json::Value;
use serde_json::value::RawValue;

use files::{ODD, files};
use record::{Dice, apply, cut, pick, random_view, size};

#[test]
fn the_full_view_is_the_file() {
    let mut counts = [0; 256];
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
    println!(
        "opaque {}, json {}, fhir {}, cda {}",
        counts[0],
        counts[1],
        counts[2],
        counts[FormatId::Cda as usize]
    );
    assert!(counts[1] > 5 && counts[2] > 10);
}

#[test]
fn odd_files_are_recognised_as_what_they_are() {
    let format = |index: usize| cut(ODD[index].as_bytes()).0;
    for (index, expected) in [(4, FormatId::Json), (15, FormatId::FhirJson), (14, FormatId::Json)] {
        assert_eq!(format(index), expected, "{}", ODD[index]);
    }
    for text in &ODD[17..] {
        assert_eq!(cut(text.as_bytes()).0, FormatId::Opaque, "{text}");
    }
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(130), "]".repeat(130));
    assert_eq!(cut(deep.as_bytes()).0, FormatId::Opaque);
}

#[test]
fn every_view_is_valid_json_and_its_size_is_known_beforehand() {
    let mut dice = Dice(1);
    for (path, bytes) in files() {
        let (format, sections) = cut(&bytes);
        if !matches!(format, FormatId::Json | FormatId::FhirJson) {
            continue;
        }
        for round in 0..8 {
            // Once nothing but the frame.
            let mask = if round == 0 { 0 } else { dice.mask() };
            let shown = pick(&sections, &random_view(format, mask));
            let view = join(format, &shown);
            assert_eq!(size(format, &shown), view.len() as u64, "{}", path.display());
            if format == FormatId::Cda {
                assert!(split(format, &view, &Rules::builtin()).is_ok(), "{}", path.display());
            } else if shown.values().any(|text| !text.is_empty()) {
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
        // What has parts that the view may not show stays.
        let has_parts = ["\"Patient\"", "\"Composition\""];
        let has_parts = has_parts.iter().any(|kind| entries[i].contains(kind));
        match dice.below(4) {
            0 if !has_parts && entries.len() > 1 => drop(entries.remove(i)),
            1 => entries.swap(i, j),
            2 if !has_parts => entries[i] = entries[i].replacen('{', "{ \"edited\": true,", 1),
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
            let measure = |s: &Slot| all.get(s).map(|t| t.measure(format)).unwrap_or_default();
            let measures: Vec<_> = measures.map(|s| (*s, measure(s))).collect();
            view_len(format, &measures)
        };
        assert_eq!(hidden_or_empty(&sections), hidden_or_empty(&other));
        let len = join(format, &a).len() as u64;
        assert!(hidden_or_empty(&sections).is_none_or(|known| known == len));
    }
}
