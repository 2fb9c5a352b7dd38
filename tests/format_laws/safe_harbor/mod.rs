//! What a researcher reads: valid, the same elements in the same places, the same whoever writes
//! it, and without any identifier of the patient. The identifiers are collected here, by what the
//! formats say and not by the program.

mod collector;

use std::collections::BTreeMap;
use std::path::PathBuf;

use chartfs::record::format::{
    FormatId, Pseudonyms, Rules, SectionText, Sections, deidentify, join, split, take_apart,
    twins_of,
};
use proptest::prelude::*;

use crate::files::files;
use crate::mutated::mutate;
use crate::record::{Dice, pick, random_view};
use crate::{cda, dicom, hl7};

fn project() -> Pseudonyms {
    Pseudonyms::new(&[7; 32])
}

/// Files of every format, with those that nobody has to bring along.
fn all() -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = files();
    let named = |(name, text): &(&str, &str)| ((*name).into(), text.as_bytes().to_vec());
    all.extend(TEXTS.iter().map(|(name, text, _, _)| (*name, *text)).map(|t| named(&t)));
    all.extend(hl7::odd().into_iter().map(|bytes| ("odd.hl7".into(), bytes)));
    all.push(("document.xml".into(), cda::DOCUMENT.as_bytes().to_vec()));
    all.extend(cda::odd().into_iter().map(|text| ("odd.xml".into(), text.into_bytes())));
    all.extend(dicom::made());
    all
}

fn items(sections: &Sections) -> Vec<usize> {
    sections.values().map(|text| text.items.len()).collect()
}

/// Checks the laws of one file; says whether something of it is released.
fn check(name: &str, bytes: &[u8], dice: &mut Dice) -> bool {
    let (format, sections) = take_apart(bytes, name, &Rules::builtin());
    let project = project();
    let Some(clean) = deidentify(format, bytes, &project) else {
        assert!(twins_of(format, &sections, &project).is_none(), "{name}");
        return false;
    };
    assert!(deidentify(format, bytes, &project).as_ref() == Some(&clean), "{name}");
    assert!(split(format, &clean, &Rules::builtin()).is_ok(), "{name} is cut no more");
    let full = twins_of(format, &sections, &project).unwrap_or_else(|| panic!("{name}: no twins"));
    assert!(join(format, &full) == clean, "{name}: the sections are not the text");
    let slots: (Vec<_>, Vec<_>) = (full.keys().collect(), sections.keys().collect());
    assert_eq!(slots.0, slots.1, "{name}");
    assert_eq!(items(&full), items(&sections), "{name}");
    for _ in 0..6 {
        let visible = random_view(format, dice.mask());
        let shown = pick(&sections, &visible);
        let part = twins_of(format, &shown, &project);
        let part = part.unwrap_or_else(|| panic!("{name}: no twins of a part"));
        // What a cell of a table is, its column tells, which may be hidden.
        let is_same = format == FormatId::Csv || part == pick(&full, &visible);
        if !is_same { let x=join(format,&part); let y=join(format,&pick(&full,&visible)); println!("A {}\nB {}\n{visible:?}", x.escape_ascii(), y.escape_ascii()); for (s,t) in &part { if full.get(s)!=Some(t) {println!("{s} {t:?} {:?}",full.get(s));}}}
        assert!(is_same, "{name}: what is hidden shows in the twin of {}", bytes.escape_ascii());
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
    for (path, bytes) in all().into_iter().filter(|file| !file.1.is_empty()) {
        let name = path.display().to_string();
        let released = check(&name, &bytes, &mut dice);
        let (format, _) = take_apart(&bytes, &name, &Rules::builtin());
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
    for (path, bytes) in all() {
        let (format, _) = take_apart(&bytes, &path.display().to_string(), &Rules::builtin());
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

#[test]
fn a_mutated_file_has_a_twin_by_the_same_laws_or_none() {
    let mut all = all();
    all.retain(|(_, bytes)| !bytes.is_empty() && bytes.len() < 30_000);
    let (mut dice, mut released) = (Dice(23), 0);
    for round in 0..4 {
        for (path, bytes) in &all {
            let other = &all[dice.below(all.len())].1;
            let mut file = bytes.clone();
            mutate(&mut file, other, &mut dice);
            let name = path.display().to_string();
            released += usize::from(!file.is_empty() && check(&name, &file, &mut dice));
        }
        assert!(released > 10 * round);
    }
    println!("{released} twins of mutated files");
}

/// Texts with what must be left of them, and what must not.
const TEXTS: &[(&str, &str, &[&str], &[&str])] = &[
    (
        "a.json",
        r#"{"name":"Ann Reading","birthDate":"1976-12-04","age":93,"city":"Reading","zip":"02138",
          "problems":[{"code":"E11.9","text":"Ann's diabetes","onset":"2011-03-04"}],
          "labs":{"hemoglobin":13.5,"comment":"seen by Ann","account":1234567},
          "Ann Reading":"friend","id":"17-4","hiv":true,"phone":"555-139-3142","bloodType":"A+"}"#,
        &[
            "1976",
            "\"age\":\"90\"",
            "E11.9",
            "2011",
            "13.5",
            "\"hiv\":true",
            "021",
            "A+",
            "\"name\":null",
        ],
        &["Ann", "Reading", "1976-12-04", "93", "02138", "2011-03-04", "17-4", "3142", "1234567"],
    ),
    (
        "a.toml",
        "# Ann\nname = \"Ann\"\nbirth_date = 1976-12-04\nid.mrn = \"M-77\"\n\n[vitals]\nweight = 70.5 # Ann\nnote = \"Ann\"\n[[medications]]\ncode = \"C09AA05\"\nstart = 2011-03-04\n[ann]\nage = 5\n# Ann again\n",
        &["name = \"\"", "1976", "[vitals]", "weight = 70.5", "[[medications]]", "C09AA05", "2011"],
        &["Ann", "ann", "1976-12-04", "M-77", "2011-03-04", "note"],
    ),
    (
        "a.yaml",
        "---\n# Ann\nname: Ann\nbirth_date: 1976-12-04\nzip: 03601\nvitals:\n  weight: 70.5 # Ann\n  note: |\n    code: 55-5\n  pulse: \"80\"\nmedications:\n  - drug: Ann's pills\n    dose: 5\n    by:\n    - code: E11.9\n  - code: C09AA05\nAnn: 5\nproblems: [Ann, E11]\n# Ann\n",
        &[
            "name: null",
            "birth_date: \"1976\"",
            "zip: \"000\"",
            "  weight: 70.5\n  pulse: \"80\"",
            "  -\n    dose: 5\n  - code: \"C09AA05\"",
            "problems: null",
        ],
        &["Ann", "12-04", "03601", "55-5", "E11", "drug"],
    ),
    (
        "patients.csv",
        "Id,BIRTHDATE,FIRST,ZIP,STATE,LAT,Ann Reading,HIV Status\n17-4,1931-12-04,Ann,02138,MA,42.36,x,positive\n17-5,1976-12-04,\"Reading, B\",3601,Reading,42.37,y,told Ann\n",
        &["Id,BIRTHDATE,x", ",1940,,021,MA,,,", ",1976,,,,,,"],
        &["Ann", "Reading", "17-4", "1931", "02138", "42.3", "3601"],
    ),
    ("a.md", "# Ann\n\n## Allergies\nnone\n", &[], &[]),
    ("a.txt", "Ann", &[], &[]),
];

#[test]
fn of_plain_files_only_what_is_known_by_its_key_is_left() {
    let mut dice = Dice(5);
    for (name, text, left, gone) in TEXTS {
        assert_eq!(check(name, text.as_bytes(), &mut dice), !left.is_empty(), "{name}");
        let (format, _) = take_apart(text.as_bytes(), name, &Rules::builtin());
        let Some(clean) = deidentify(format, text.as_bytes(), &project()) else { continue };
        let clean = String::from_utf8(clean).unwrap();
        for part in *left {
            assert!(clean.contains(part), "{part} is missing in {clean}");
        }
        for part in *gone {
            assert!(!clean.contains(part), "{part} is left in {clean}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_taken_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for &format in FormatId::ALL {
            deidentify(format, &bytes, &project());
        }
    }
}
