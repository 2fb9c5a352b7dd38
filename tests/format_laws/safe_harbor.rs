//! What a researcher reads: valid, the same elements in the same places, the same whoever writes
//! it, and without any identifier of the patient. The identifiers are collected here, by what the
//! formats say and not by the program.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chartfs::record::format::{
    FormatId, Pseudonyms, Rules, SectionText, Sections, deidentify, join, split, take_apart, twins,
};
use proptest::prelude::*;

use crate::files::files;
use crate::mutated::mutate;
use crate::readers::run;
use crate::record::{Dice, pick, random_view};
use crate::{cda, collector, dicom, hl7};

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
    // The longest are tried less often.
    for _ in 0..if bytes.len() > 200_000 { 1 } else { 5 } {
        let visible = random_view(format, dice.mask());
        let shown = pick(&sections, &visible);
        let part = twins(format, &shown, &project);
        let part = part.unwrap_or_else(|| panic!("{name}: no twins of a part"));
        // What a cell of a table is, its column tells, which may be hidden.
        let is_same = format == FormatId::Csv || part == pick(&full, &visible);
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
    println!("{}", left.join("\n"));
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

#[test]
fn programs_that_did_not_make_them_read_the_twins() {
    let folder = std::env::temp_dir().join(format!("chartfs-safe-harbor-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut count = 0;
    for (index, (path, bytes)) in all().into_iter().enumerate() {
        let (format, _) = take_apart(&bytes, &path.display().to_string(), &Rules::builtin());
        let ending = match format {
            FormatId::FhirJson => "fhir",
            FormatId::FhirNdjson => "ndjson",
            FormatId::Json => "json",
            FormatId::Hl7v2 => "hl7",
            FormatId::Cda => "xml",
            FormatId::Dicom => "dcm",
            FormatId::Toml => "toml",
            FormatId::Yaml => "yaml",
            _ => continue,
        };
        let Some(clean) = deidentify(format, &bytes, &project()) else { continue };
        std::fs::write(folder.join(format!("{index}.{ending}")), clean).unwrap();
        std::fs::write(folder.join(format!("{index}.{ending}-source")), bytes).unwrap();
        count += 1;
    }
    println!("{count} twins");
    let was_run = run("safe_harbor_check.py", &folder);
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(count > 20 || !was_run);
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
    (
        "bundle.json",
        r#"{"resourceType":"Bundle","type":"collection","timestamp":"2020-02-03T04:05:06Z","entry":[
          {"fullUrl":"http://elm.example/fhir/Patient/p-77","resource":{"resourceType":"Patient","id":"p-77",
            "text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">Ann Reading</div>"},
            "name":[{"family":"Reading","given":["Ann"]}],"birthDate":"1932-05-06","gender":"female",
            "address":[{"line":["1 Elm St"],"city":"Reading","state":"MA","postalCode":"01867-1234","country":"US"},
              {"city":"Berlin","state":"Berlin","postalCode":"10115","country":"DE"}],
            "extension":[{"url":"http://elm.example/ext","valueString":"Ann"}],
            "identifier":[{"system":"http://elm.example","value":"MRN-4711"}],"photo":[{"data":"QW5u"}],"Ann":1}},
          {"resource":{"resourceType":"Observation","status":"final","subject":{"reference":"Patient/p-77","display":"Ann"},
            "code":{"coding":[{"system":"http://loinc.org","code":"30525-0","display":"Age"}],"text":"Ann's age"},
            "valueQuantity":{"value":93,"unit":"years of Ann","system":"http://unitsofmeasure.org","code":"a"},
            "effectiveDateTime":"2025-07-08T09:10:11Z","issued":"2025-07-08T09:10:11Z","note":[{"text":"Ann"}]}},
          {"resource":{"resourceType":"Observation","status":"final",
            "code":{"coding":[{"system":"http://snomed.info/sct","code":"12345","display":"Reading disorder"},
              {"system":"http://elm.example/codes","code":"ANN","display":"Ann"}]},
            "valueQuantity":{"value":12345.60,"unit":"mg"},
            "component":[{"code":{"coding":[{"system":"http://snomed.info/sct","code":"1","display":"Seen by Ann Reading"}]},
              "valueString":"Negative"}]}},
          {"resource":{"resourceType":"Ann","id":"1"}}]}"#,
        &[
            "1940",
            "\"MA\"",
            "\"018\"",
            "\"DE\"",
            "\"value\":90",
            "2025",
            "Reading disorder",
            "12345.60",
            "Negative",
            "https://research.invalid/Patient/",
            "_timestamp",
            "\"Basic\"",
        ],
        &[
            "Ann",
            "1932",
            "Elm St",
            "01867",
            "1234\"",
            "Berlin",
            "10115",
            "elm.example",
            "4711",
            "QW5u",
            "2020",
            "p-77",
            "07-08",
            "93",
            "Seen by",
            "years of",
        ],
    ),
    (
        "message.hl7",
        "MSH|^~\\&|WARD|ELM|LAB|OAK|20260301101500||ORU^R01|C-1|P|2.5\rPID|1||T-4711^^^ELM^MR||Reading^Ann||19320506|F||2106-3|1 Elm St^^Reading^MA^01867^US||555-139-3142|||M|||999-59-8153\rNK1|1|Reading^Bruno|SPO|1 Elm St\rPV1|1|I|W4^12||||OP7^Ode^Nan|||MED\rDG1|1||E11.9^Diabetes of Ann^I10\rOBX|1|NM|2345-7^Glucose^LN||99|mg/dL|70-110|N|||F|||20260301\rOBX|2|NM|30525-0^Age^LN||93|a\rOBX|3|ST|1^Text^L||seen by Ann\rNTE|1||Ann\rZEL|1|Ann\r",
        &[
            "|2026|",
            "|1940|F||2106-3|^^^MA^018^US",
            "E11.9^^I10",
            "2345-7^Glucose^LN||99|mg/dL|70-110|N",
            "||90|a",
            "PV1|1|I||||||||MED",
        ],
        &[
            "Ann", "4711", "Reading", "1932", "Elm", "ELM", "Bruno", "0186", "3142", "8153", "Ode",
            "20260301", "93",
        ],
    ),
    (
        "document.xml",
        r#"<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="urn:hl7-org:v3 file:///home/ann/CDA.xsd"><id root="1.2.3" extension="doc-1"/><code code="34133-9" codeSystem="2.16.840.1.113883.6.1"/><title>Ann</title><effectiveTime value="20200203"/><recordTarget><patientRole><id root="1.9" extension="4711"/><addr><streetAddressLine>1 Elm St</streetAddressLine><city>Reading</city><state>MA</state><postalCode>01867</postalCode></addr><telecom value="tel:555-139-3142"/><patient><name><given>Ann</given></name><birthTime value="19320506"/></patient></patientRole></recordTarget><!-- Ann --><component><structuredBody><component><section><code code="11450-4" codeSystem="2.16.840.1.113883.6.1"/><title>Ann</title><text>Ann</text><entry><observation classCode="OBS" moodCode="EVN"><id root="1.8" extension="x-55"/><code code="445518008" codeSystem="2.16.840.1.113883.6.96" displayName="Age of Ann"/><effectiveTime><low value="20110203"/></effectiveTime><value xsi:type="INT" value="93"/></observation></entry></section></component></structuredBody></component></ClinicalDocument>"#,
        &[
            "<state>MA</state><postalCode>018</postalCode>",
            "<birthTime value=\"1940\" />",
            "<low value=\"2011\" />",
            "value=\"90\"",
            "445518008",
        ],
        &[
            "Ann", "ann", "doc-1", "4711", "Elm", "Reading", "01867", "3142", "1932", "20110203",
            "x-55", "93", "20200203",
        ],
    ),
    ("a.md", "# Ann\n\n## Allergies\nnone\n", &[], &[]),
    ("a.txt", "Ann", &[], &[]),
];

#[test]
fn only_what_is_known_to_hold_no_identifier_is_left() {
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
