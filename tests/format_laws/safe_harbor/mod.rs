//! What a researcher reads: valid, the same elements in the same places, the same whoever writes
//! it, and without any identifier of the patient. The identifiers are collected here, by what the
//! formats say and not by the program.

mod collector;

use std::collections::BTreeMap;

use chartfs::record::format::{
    FormatId, Pseudonyms, Rules, SectionText, Sections, deidentify, join, split, twins,
};
use proptest::prelude::*;

use crate::files::files;
use crate::record::{Dice, cut, pick, random_view};

fn project() -> Pseudonyms {
    Pseudonyms::new(&[7; 32])
}

fn items(sections: &Sections) -> Vec<usize> {
    sections.values().map(|text| text.items.len()).collect()
}

/// Checks the laws of one file; says whether something of it is released.
fn check(name: &str, bytes: &[u8], dice: &mut Dice) -> bool {
    let (format, sections) = cut(bytes);
    let project = project();
    let Some(clean) = deidentify(format, bytes, &project) else {
        assert!(twins(format, &sections, &project).is_none(), "{name}");
        return false;
    };
    assert!(deidentify(format, bytes, &project).as_ref() == Some(&clean), "{name}");
    assert!(split(format, &clean, &Rules::builtin()).is_ok(), "{name} is cut no more");
    let full = twins(format, &sections, &project).unwrap_or_else(|| panic!("{name}: no twins"));
    assert!(join(format, &full) == clean, "{name}: the sections are not the text");
    let slots: (Vec<_>, Vec<_>) = (full.keys().collect(), sections.keys().collect());
    assert_eq!(slots.0, slots.1, "{name}");
    assert_eq!(items(&full), items(&sections), "{name}");
    for _ in 0..6 {
        let visible = random_view(format, dice.mask());
        let shown = pick(&sections, &visible);
        let part = twins(format, &shown, &project);
        let part = part.unwrap_or_else(|| panic!("{name}: no twins of a part"));
        assert!(part == pick(&full, &visible), "{name}: what is hidden shows in the twin");
        if shown.values().all(SectionText::is_empty) {
            continue;
        }
        let view = deidentify(format, &join(format, &shown), &project);
        assert!(view == Some(join(format, &part)), "{name}: a part is another text");
    }
    true
}

#[test]
fn a_twin_has_the_same_elements_whatever_its_writer_sees() {
    let (mut dice, mut counts) = (Dice(11), BTreeMap::new());
    for (path, bytes) in files().into_iter().filter(|file| !file.1.is_empty()) {
        let released = check(&path.display().to_string(), &bytes, &mut dice);
        let (format, _) = cut(&bytes);
        let count: &mut (usize, usize) = counts.entry(format.name()).or_default();
        *(if released { &mut count.0 } else { &mut count.1 }) += 1;
        if !released && format != FormatId::Opaque {
            println!("nothing released: {}", path.display());
        }
    }
    println!("released, not released: {counts:?}");
    assert_eq!(counts.get("opaque").map_or(0, |count| count.0), 0);
}

#[test]
fn no_identifier_of_any_patient_is_left() {
    let (mut found, mut searched, mut left) = (0, 0, Vec::new());
    for (path, bytes) in files() {
        let (format, _) = cut(&bytes);
        let Some(clean) = deidentify(format, &bytes, &project()) else { continue };
        let text = collector::searchable(format, &clean);
        for identifier in collector::identifiers(format, &bytes) {
            searched += 1;
            if collector::stands_in(&identifier, &text) {
                found += 1;
                left.push(format!("{identifier:?} in {}", path.display()));
            }
        }
    }
    left.sort();
    left.dedup();
    println!("{found} of {searched} identifiers are left");
    left.iter().for_each(|line| println!("{line}"));
    assert!(searched > 100);
    assert_eq!(found, 0);
}

proptest! {
    #[test]
    fn any_bytes_are_taken_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for &format in FormatId::ALL {
            deidentify(format, &bytes, &project());
        }
    }
}
