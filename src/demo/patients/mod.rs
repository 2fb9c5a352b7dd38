//! Synthetic patients: invented people whose records have every section. The same seed gives the
//! same bytes, so that tests and the demonstration agree.

use std::fmt::Write as _;

use serde_json::{Value, json};

mod clinical;
mod sensitive;

/// One synthetic patient's folder.
#[derive(Clone, Debug)]
pub struct SyntheticPatient {
    /// The folder's name, which says nothing about the patient.
    pub folder: String,
    /// Names and contents of the files.
    pub files: Vec<(String, Vec<u8>)>,
}

/// Names that the generator invents; no list of real people was used.
const GIVEN: [&str; 12] = [
    "Avelin", "Brosko", "Cendra", "Dorvik", "Elmira", "Fenwin", "Galdis", "Hestor", "Ilvane",
    "Jorunda", "Kelvar", "Lisande",
];
const FAMILY: [&str; 12] = [
    "Abernox",
    "Brackwater",
    "Corvandel",
    "Dunmarrow",
    "Eddlestrom",
    "Farrowick",
    "Grenholt",
    "Hollowmere",
    "Ironquill",
    "Jasperlyn",
    "Kestrevale",
    "Lorimarsh",
];
const TOWNS: [&str; 6] =
    ["Wexhollow", "Sandrift", "Oakmere Falls", "Nettleby", "Quarrington", "Larkspur Bay"];

/// A small generator of numbers (SplitMix64): the same everywhere and for ever.
pub(crate) struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        let index = usize::try_from(self.below(list.len() as u64)).unwrap_or(0);
        list[index]
    }

    /// Returns an identifier in the form of a UUID.
    fn uuid(&mut self) -> String {
        let (a, b) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xfff,
            (b >> 48) & 0xfff,
            b & 0xffff_ffff_ffff
        )
    }

    /// Returns a date of the years in which the synthetic records lie.
    pub(crate) fn date(&mut self) -> String {
        format!("{}-{:02}-{:02}", 2015 + self.below(10), 1 + self.below(12), 1 + self.below(28))
    }
}

/// A bundle that grows entry by entry.
pub(crate) struct Chart {
    pub(crate) dice: Dice,
    pub(crate) patient: Value,
    entries: Vec<Value>,
}

impl Chart {
    /// Adds a resource and returns the reference to it. `fields` lack type, id and, unless it
    /// is about nobody, the patient.
    pub(crate) fn add(&mut self, kind: &str, fields: Value) -> Value {
        let id = self.dice.uuid();
        let url = format!("urn:uuid:{id}");
        let mut resource = json!({ "resourceType": kind, "id": id });
        if let (Some(to), Value::Object(from)) = (resource.as_object_mut(), fields) {
            to.extend(from);
        }
        self.entries.push(json!({ "fullUrl": url, "resource": resource }));
        json!({ "reference": url })
    }

    /// Adds a resource whose `subject` is the patient.
    pub(crate) fn about(&mut self, kind: &str, mut fields: Value) -> Value {
        fields["subject"] = self.patient.clone();
        self.add(kind, fields)
    }

    /// Adds a resource whose `patient` is the patient.
    pub(crate) fn of(&mut self, kind: &str, mut fields: Value) -> Value {
        fields["patient"] = self.patient.clone();
        self.add(kind, fields)
    }
}

/// Makes a concept of one code, with its display as text.
pub(crate) fn concept(system: &str, code: &str, display: &str) -> Value {
    json!({
        "coding": [{ "system": system, "code": code, "display": display }],
        "text": display
    })
}

/// Makes a concept of SNOMED CT.
pub(crate) fn snomed(code: &str, display: &str) -> Value {
    concept("http://snomed.info/sct", code, display)
}

/// Makes a concept of LOINC.
pub(crate) fn loinc(code: &str, display: &str) -> Value {
    concept("http://loinc.org", code, display)
}

/// Makes the category of an observation.
pub(crate) fn category(code: &str) -> Value {
    json!([concept("http://terminology.hl7.org/CodeSystem/observation-category", code, code)])
}

/// Who the patient is.
struct Person {
    given: &'static str,
    family: &'static str,
    town: &'static str,
    gender: &'static str,
    born: String,
    number: u64,
}

impl Person {
    fn new(dice: &mut Dice) -> Self {
        Self {
            given: dice.pick(&GIVEN),
            family: dice.pick(&FAMILY),
            town: dice.pick(&TOWNS),
            gender: dice.pick(&["female", "male"]),
            born: format!(
                "{}-{:02}-{:02}",
                1935 + dice.below(70),
                1 + dice.below(12),
                1 + dice.below(28)
            ),
            number: dice.below(900_000) + 100_000,
        }
    }

    fn resource(&self) -> Value {
        let n = self.number;
        json!({
            "text": {
                "status": "generated",
                "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{} {}</div>", self.given, self.family)
            },
            "extension": [{
                "url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race",
                "extension": [{ "url": "text", "valueString": "Not said" }]
            }],
            "identifier": [
                { "system": "urn:example:mrn", "value": format!("MRN-{n}") },
                { "system": "http://hl7.org/fhir/sid/us-ssn", "value": format!("999-{:02}-{:04}", n % 90 + 10, n % 9000 + 1000) }
            ],
            "name": [{ "use": "official", "family": self.family, "given": [self.given] }],
            "telecom": [{ "system": "phone", "value": format!("555-{:04}", n % 10_000), "use": "home" }],
            "gender": self.gender,
            "birthDate": self.born,
            "address": [{ "line": [format!("{} Example Lane", n % 900 + 1)], "city": self.town, "country": "XX" }],
            "maritalStatus": concept("http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "M", "Married"),
            "contact": [{ "relationship": [{ "text": "sister" }], "name": { "text": format!("Next-of-kin {}", self.family) } }],
            "communication": [{ "language": concept("urn:ietf:bcp:47", "en", "English") }]
        })
    }

    fn summary(&self, dice: &mut Dice) -> Value {
        json!({
            "name": format!("{} {}", self.given, self.family),
            "birth_date": self.born,
            "mrn": format!("MRN-{}", self.number),
            "phone": format!("555-{:04}", self.number % 10_000),
            "allergies": ["penicillin"],
            "medications": [{ "name": "lisinopril", "dose_mg": 10 }],
            "diagnoses": ["hypertension"],
            "labs": { "creatinine_mg_dl": format!("0.{}", 7 + dice.below(3)) },
            "mental_health": ["recurrent depression, in remission"],
            "hiv_status": "negative",
            "billing": { "insurer": "Example Mutual", "open_claims": dice.below(4) },
            "favourite_hospital_radio": "channel 3"
        })
    }
}

/// Makes the synthetic patient of a seed.
pub fn patient(seed: u64) -> SyntheticPatient {
    let mut dice = Dice(seed);
    let person = Person::new(&mut dice);
    let id = dice.uuid();
    let mut chart = Chart {
        dice,
        patient: json!({ "reference": format!("urn:uuid:{id}") }),
        entries: Vec::new(),
    };
    let mut resource = json!({ "resourceType": "Patient", "id": id });
    if let (Some(to), Value::Object(from)) = (resource.as_object_mut(), person.resource()) {
        to.extend(from);
    }
    chart.entries.push(json!({ "fullUrl": format!("urn:uuid:{id}"), "resource": resource }));
    clinical::fill(&mut chart);
    sensitive::fill(&mut chart);
    let bundle = json!({
        "resourceType": "Bundle",
        "meta": { "lastUpdated": "2025-01-01T00:00:00Z" },
        "type": "collection",
        "entry": chart.entries
    });
    let summary = person.summary(&mut chart.dice);
    SyntheticPatient {
        folder: format!("patient-{seed:04}"),
        files: vec![
            ("record.json".to_owned(), pretty(&bundle)),
            ("summary.json".to_owned(), pretty(&summary)),
            ("notes.md".to_owned(), notes(&mut chart.dice)),
            ("scan.pdf".to_owned(), scan(&mut chart.dice)),
        ],
    }
}

fn pretty(value: &Value) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("a JSON value prints to memory");
    text.push(b'\n');
    text
}

fn notes(dice: &mut Dice) -> Vec<u8> {
    let mut text = String::from("# Ward notes\n");
    for _ in 0..3 {
        let date = dice.date();
        write!(
            text,
            "\n## {date}\nSlept well. Pain {} of 10. Walked the corridor.\n",
            dice.below(5)
        )
        .expect("a string takes any text");
    }
    text.into_bytes()
}

/// Makes bytes that begin like a scanned page and mean nothing.
fn scan(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n".to_vec();
    for _ in 0..256 {
        bytes.extend_from_slice(&dice.next().to_le_bytes());
    }
    bytes.extend_from_slice(b"\n%%EOF\n");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::format::{FormatId, Rules, Slot, slots_of, take_apart};

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
        assert_eq!(patient(7).files, patient(7).files);
        assert_ne!(patient(7).files, patient(8).files);
        assert_eq!(patient(7).folder, "patient-0007");
    }

    #[test]
    fn a_record_fills_every_section_that_a_bundle_can_fill() {
        let made = patient(1);
        let (format, sections) = take_apart(&made.files[0].1, "record.json", &Rules::builtin());
        assert_eq!(format, FormatId::FhirJson);
        for slot in slots_of(format) {
            assert!(sections.contains_key(slot), "nothing in {slot}");
        }
    }

    #[test]
    fn the_other_files_are_a_plain_object_a_note_and_opaque() {
        let formats: Vec<_> = patient(1)
            .files
            .iter()
            .map(|(name, bytes)| take_apart(bytes, name, &Rules::builtin()).0)
            .collect();
        let (json, opaque) = (FormatId::Json, FormatId::Opaque);
        assert_eq!(formats, [FormatId::FhirJson, json, FormatId::Markdown, opaque]);
        let notes = take_apart(&patient(1).files[2].1, "notes.md", &Rules::builtin()).1;
        assert_eq!(notes.keys().collect::<Vec<_>>(), [&Slot::FRAME, &Slot::NOTES]);
        let summary = &patient(1).files[1].1;
        let (_, sections) = take_apart(summary, "summary.json", &Rules::builtin());
        for slot in [Slot::HIV, Slot::MENTAL_HEALTH, Slot::BILLING, Slot::OTHER] {
            assert!(sections.contains_key(&slot), "nothing in {slot}");
        }
    }
}
