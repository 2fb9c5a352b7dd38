//! Nothing sensitive that is coded stands outside the sensitive sections: not by its code, not by
//! its display text, not by a reference that tells what an element is about.

use std::collections::HashSet;
use std::path::Path;

use chartfs::record::format::{FormatId, Sections, Slot};
use serde_json::{Value, json};

use crate::files::files;
use crate::record::cut;

/// Codes of the sample bundles that tell something sensitive, taken from the files by eye and not
/// from the list that the program uses.
pub(crate) const CODES: [&str; 40] = [
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
    "134435003",
    "135892000",
    "156073000",
    "312404004",
    "713076009",
    "274804006",
    "424441002",
    "424619006",
    "443529005",
    "1856546",
    "807283",
];

/// Parts of display texts that tell something sensitive, by eye from the samples.
pub(crate) const WORDS: [&str; 26] = [
    "human immunodeficiency",
    "hiv status",
    "alcoholism",
    "alcohol-free",
    "drug abuse",
    "opioid abuse",
    "overdose",
    "abuse status",
    "partner abuse",
    "depress",
    "anxiety disorder",
    "suicid",
    "psychiatr",
    "pregnan",
    "natal",
    "fetus",
    "fetal",
    "contracepti",
    "intrauterine",
    "etonogestrel",
    "sexual",
    "chlamydia",
    "gonorrhea",
    "syphilis",
    "childbirth",
    "miscarriage",
];

/// Members whose reference says what an element is about.
const ABOUT: [&str; 14] = [
    "addresses",
    "authorizingPrescription",
    "basedOn",
    "claim",
    "condition",
    "derivedFrom",
    "diagnosisReference",
    "hasMember",
    "medicationReference",
    "outcomeReference",
    "prescription",
    "procedureReference",
    "reasonReference",
    "result",
];

/// What the elements of a file say in code, and to what they refer.
#[derive(Default)]
struct Told {
    codes: Vec<String>,
    displays: Vec<String>,
    about: Vec<String>,
    names: Vec<String>,
}

impl Told {
    fn of(item: &[u8]) -> Self {
        let mut told = Self::default();
        if let Ok(value) = serde_json::from_slice(item) {
            told.look(&value, "");
            told.name(&value);
        }
        told
    }

    fn name(&mut self, value: &Value) {
        self.names.extend(value["fullUrl"].as_str().map(str::to_owned));
        let resource = if value["resource"].is_object() { &value["resource"] } else { value };
        if let (Some(kind), Some(id)) = (resource["resourceType"].as_str(), resource["id"].as_str())
        {
            self.names.push(format!("{kind}/{id}"));
        }
    }

    fn look(&mut self, value: &Value, own: &str) {
        match value {
            Value::Array(all) => all.iter().for_each(|value| self.look(value, own)),
            Value::Object(members) => {
                let is_concept = members.contains_key("coding");
                for (key, value) in members {
                    match (key.as_str(), value.as_str()) {
                        ("code", Some(code)) => self.codes.push(code.to_owned()),
                        ("display", Some(text)) => self.displays.push(text.to_lowercase()),
                        ("text", Some(text)) if is_concept => {
                            self.displays.push(text.to_lowercase());
                        }
                        ("reference", Some(to)) if ABOUT.contains(&own) => {
                            self.about.push(to.to_owned());
                        }
                        _ => self.look(value, key),
                    }
                }
            }
            _ => {}
        }
    }
}

/// Collects what tells something sensitive outside the sensitive sections, and how much stands
/// inside.
fn leaks_of(path: &Path, sections: &Sections, leaks: &mut Vec<String>) -> usize {
    let told: Vec<(Slot, Told)> = sections
        .iter()
        .flat_map(|(slot, text)| text.items.iter().map(|item| (*slot, Told::of(&item.bytes))))
        .collect();
    let hidden = told.iter().filter(|(slot, _)| slot.is_sensitive());
    let names: HashSet<&String> = hidden.flat_map(|(_, told)| &told.names).collect();
    let mut found = 0;
    for (slot, told) in &told {
        let codes = told.codes.iter().filter(|code| CODES.contains(&code.as_str()));
        let displays = told.displays.iter().filter(|t| WORDS.iter().any(|w| t.contains(w)));
        let all: Vec<&String> = codes.chain(displays).collect();
        if slot.is_sensitive() {
            found += all.len();
            continue;
        }
        let about = told.about.iter().filter(|to| names.contains(to));
        for what in all.into_iter().chain(about) {
            leaks.push(format!("{what} in {slot} of {}", path.display()));
        }
    }
    found
}

#[test]
fn nothing_sensitive_that_is_coded_stands_outside_the_sensitive_sections() {
    let (mut leaks, mut found) = (Vec::new(), 0);
    for (path, bytes) in files() {
        let (format, sections) = cut(&bytes);
        if matches!(format, FormatId::FhirJson | FormatId::FhirNdjson) {
            found += leaks_of(&path, &sections, &mut leaks);
        }
    }
    println!("{} leaks; {found} sensitive codes and texts in sensitive sections", leaks.len());
    assert_eq!(leaks, Vec::<String>::new());
    assert!(found > 50);
}

const SNOMED: &str = "http://snomed.info/sct";
const LOINC: &str = "http://loinc.org";
const RXNORM: &str = "http://www.nlm.nih.gov/research/umls/rxnorm";
const ICD10: &str = "http://hl7.org/fhir/sid/icd-10-cm";

/// One code for every block of the lists, with the section that it belongs to.
const BLOCKS: [(&str, &str, Slot); 46] = [
    (ICD10, "B20", Slot::HIV),
    (ICD10, "B24", Slot::HIV),
    (ICD10, "Z21", Slot::HIV),
    (ICD10, "Z11.4", Slot::HIV),
    (ICD10, "O98.713", Slot::HIV),
    (ICD10, "F10.20", Slot::SUBSTANCE_USE),
    (ICD10, "F11.1", Slot::SUBSTANCE_USE),
    (ICD10, "F19.9", Slot::SUBSTANCE_USE),
    (ICD10, "K70.3", Slot::SUBSTANCE_USE),
    (ICD10, "T40.1X1A", Slot::SUBSTANCE_USE),
    (ICD10, "Z72.1", Slot::SUBSTANCE_USE),
    (ICD10, "F20", Slot::MENTAL_HEALTH),
    (ICD10, "F32.9", Slot::MENTAL_HEALTH),
    (ICD10, "F99", Slot::MENTAL_HEALTH),
    (ICD10, "X78.1", Slot::MENTAL_HEALTH),
    (ICD10, "Z86.59", Slot::MENTAL_HEALTH),
    (ICD10, "O00.1", Slot::REPRODUCTIVE),
    (ICD10, "O80", Slot::REPRODUCTIVE),
    (ICD10, "Z30.2", Slot::REPRODUCTIVE),
    (ICD10, "Z39.1", Slot::REPRODUCTIVE),
    (ICD10, "A54.9", Slot::REPRODUCTIVE),
    (ICD10, "T74.11XA", Slot::VIOLENCE),
    (ICD10, "T76.2", Slot::VIOLENCE),
    (ICD10, "X85", Slot::VIOLENCE),
    (ICD10, "Y09", Slot::VIOLENCE),
    (ICD10, "Z62.810", Slot::VIOLENCE),
    (ICD10, "D57.1", Slot::GENETICS),
    (SNOMED, "86406008", Slot::HIV),
    (SNOMED, "7200002", Slot::SUBSTANCE_USE),
    (SNOMED, "370143000", Slot::MENTAL_HEALTH),
    (SNOMED, "72892002", Slot::REPRODUCTIVE),
    (SNOMED, "706893006", Slot::VIOLENCE),
    (LOINC, "25836-8", Slot::HIV),
    (LOINC, "3879-4", Slot::SUBSTANCE_USE),
    (LOINC, "82667-7", Slot::SUBSTANCE_USE),
    (LOINC, "75626-2", Slot::SUBSTANCE_USE),
    (LOINC, "44261-6", Slot::MENTAL_HEALTH),
    (LOINC, "70274-6", Slot::MENTAL_HEALTH),
    (LOINC, "76504-0", Slot::VIOLENCE),
    (RXNORM, "11413", Slot::HIV),
    (RXNORM, "1433868", Slot::HIV),
    (RXNORM, "1819", Slot::SUBSTANCE_USE),
    (RXNORM, "6813", Slot::SUBSTANCE_USE),
    (RXNORM, "7243", Slot::SUBSTANCE_USE),
    (RXNORM, "3554", Slot::SUBSTANCE_USE),
    (RXNORM, "7242", Slot::SUBSTANCE_USE),
];

/// Every way in which other elements repeat the code of one, or refer to it.
fn carriers(concept: &Value) -> Vec<Value> {
    let about = json!({ "reference": "urn:uuid:it" });
    vec![
        json!({ "resourceType": "Claim", "id": "1", "diagnosis": [{ "diagnosisReference": about }] }),
        json!({ "resourceType": "Claim", "diagnosis": [{ "diagnosisCodeableConcept": concept }] }),
        json!({ "resourceType": "Claim", "item": [{ "productOrService": concept }] }),
        json!({ "resourceType": "ExplanationOfBenefit", "claim": { "reference": "Claim/1" } }),
        json!({ "resourceType": "ExplanationOfBenefit", "item": [{ "productOrService": concept }] }),
        json!({ "resourceType": "ClaimResponse", "request": { "reference": "Claim/1" } }),
        json!({ "resourceType": "Encounter", "reasonCode": [concept] }),
        json!({ "resourceType": "Encounter", "diagnosis": [{ "condition": about }] }),
        json!({ "resourceType": "CarePlan", "addresses": [about] }),
        json!({ "resourceType": "CarePlan", "activity": [{ "detail": { "code": concept } }] }),
        json!({ "resourceType": "CarePlan", "activity": [{ "reference": about }] }),
        json!({ "resourceType": "Goal", "addresses": [about] }),
        json!({ "resourceType": "Procedure", "reasonReference": [about] }),
        json!({ "resourceType": "Procedure", "code": concept }),
        json!({ "resourceType": "Observation", "valueCodeableConcept": concept }),
        json!({ "resourceType": "Observation", "component": [{ "code": concept }] }),
        json!({ "resourceType": "DiagnosticReport", "result": [about] }),
        json!({ "resourceType": "ServiceRequest", "reasonReference": [about] }),
        json!({ "resourceType": "MedicationRequest", "reasonReference": [about] }),
        json!({ "resourceType": "MedicationRequest", "medicationReference": about }),
        json!({ "resourceType": "MedicationRequest", "medicationCodeableConcept": concept }),
        json!({ "resourceType": "MedicationRequest", "contained": [{ "resourceType": "Medication", "code": concept }] }),
        json!({ "resourceType": "List", "entry": [{ "item": about }] }),
        json!({ "resourceType": "Appointment", "reasonReference": [about] }),
        json!({ "resourceType": "FamilyMemberHistory", "condition": [{ "code": concept }] }),
    ]
}

#[test]
fn what_repeats_a_sensitive_code_or_refers_to_it_is_hidden_with_it() {
    for (system, code, slot) in BLOCKS {
        let concept = json!({ "coding": [{ "system": system, "code": code }] });
        let mut all = carriers(&concept);
        all.push(json!({ "resourceType": "Condition", "id": "it", "code": concept }));
        let entries: Vec<Value> = all
            .iter()
            .enumerate()
            .map(|(i, resource)| {
                let is_it = resource["id"] == "it";
                let url = if is_it { "urn:uuid:it".to_owned() } else { format!("urn:uuid:{i}") };
                json!({ "fullUrl": url, "resource": resource })
            })
            .collect();
        let bundle = json!({ "resourceType": "Bundle", "type": "collection", "entry": entries });
        let (_, sections) = cut(bundle.to_string().as_bytes());
        let slots: Vec<&Slot> = sections.keys().collect();
        assert_eq!(slots, [&Slot::FRAME, &slot], "{code}");
        assert_eq!(sections[&slot].items.len(), all.len(), "{code}");
    }
}

#[test]
fn labels_on_the_resource_and_inline_move_the_whole_element() {
    let act = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
    let inline =
        "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label";
    let security = |code: &str| json!({ "security": [{ "system": act, "code": code }] });
    let slot = |resource: Value| {
        let (_, sections) = cut(resource.to_string().as_bytes());
        *sections.keys().next().unwrap()
    };
    assert_eq!(
        slot(json!({ "resourceType": "Immunization", "meta": security("PROCESSINLINELABEL") })),
        Slot::IMMUNIZATIONS
    );
    let label = json!([{ "url": inline, "valueCoding": { "system": act, "code": "ETH" } }]);
    assert_eq!(
        slot(json!({
            "resourceType": "Immunization",
            "meta": security("PROCESSINLINELABEL"),
            "reasonCode": [{ "text": "travel", "extension": label }],
        })),
        Slot::SUBSTANCE_USE
    );
    let basis = json!({ "resourceType": "Observation", "meta": { "security": [{
        "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R",
        "extension": [{ "url": "basis", "valueCoding": { "system": act, "code": "42CFRPart2" } }],
    }] } });
    assert_eq!(slot(basis), Slot::SUBSTANCE_USE);
}

#[test]
fn no_sensitive_code_of_a_cda_document_stands_outside_the_sensitive_sections() {
    let (mut leaks, mut found) = (Vec::new(), 0);
    for (path, bytes) in files() {
        let (format, sections) = cut(&bytes);
        if format != FormatId::Cda {
            continue;
        }
        for (slot, text) in &sections {
            for item in &text.items {
                let item = String::from_utf8_lossy(&item.bytes);
                let is_coded = |code: &&&str| item.contains(&format!("code=\"{code}\""));
                for code in CODES.iter().filter(is_coded) {
                    found += 1;
                    if !slot.is_sensitive() {
                        leaks.push(format!("{code} in {slot} of {}", path.display()));
                    }
                }
            }
        }
    }
    println!("{} leaks among {found} sensitive codes of CDA documents", leaks.len());
    assert_eq!(leaks, Vec::<String>::new());
}

/// Segments in which a message repeats a code, with `~` where it stands.
const CARRIERS: [&str; 24] = [
    "DG1|1||~|||A",
    "PRB|AD|20261123|~|1",
    "PR1|1||~|",
    "AL1|1|DA|~|SV",
    "IAM|1|DA|~|SV",
    "OBR|1|||~|||20261123",
    "OBR|1|||1^panel^L|||||||||||||||||||||||||||~",
    "OBX|1|CE|~||1||||||F",
    "OBX|1|CE|1^x^L||~||||||F",
    "ORC|NW||||||||||||||~",
    "RXO|~|1||mg",
    "RXE||~|1||mg",
    "RXD|1|~|20261123|1",
    "RXA|0|1|20261123||~|1",
    "RXG|1|||~",
    "RXC|B|~|1",
    "FT1|1|||20261123||CG|~",
    "FT1|1|||20261123||CG|1|||||||||||||~",
    "FT1|1|||20261123||CG|1||||||||||||||||||~",
    "PV2|||~",
    "SCH|1|1||||~|~",
    "AIS|1||~",
    "GOL|AD|20261123|~|1",
    "ZDX|1|~",
];

/// How a message names the systems of the blocks.
fn system_of_message(system: &str) -> &'static str {
    match system {
        SNOMED => "SCT",
        LOINC => "LN",
        RXNORM => "RXNORM",
        _ => "I10",
    }
}

#[test]
fn a_message_repeats_a_sensitive_code_in_its_section_only() {
    let mut found = 0;
    for (system, code, slot) in BLOCKS {
        let value = format!("{code}^it^{}", system_of_message(system));
        for carrier in CARRIERS {
            // What stands under a segment goes with it.
            let text = format!(
                "MSH|^~\\&|LAB|N|||20261123||ORU^R01|1|P|2.5\rPID|1||7||Q^A\rPV1|1|O\rAL1|1|FA|1^nuts^L\r{}\r\
                 NTE|1||beside it\r",
                carrier.replace('~', &value)
            );
            let (format, sections) = cut(text.as_bytes());
            assert_eq!(format, FormatId::Hl7v2);
            for (other, part) in &sections {
                let tells = |item: &[u8]| String::from_utf8_lossy(item).contains(code);
                let told = part.items.iter().filter(|item| tells(&item.bytes)).count();
                assert!(told == 0 || *other == slot, "{code} of {carrier} in {other}");
                found += told;
            }
            assert!(
                sections.contains_key(&Slot::ALLERGIES),
                "{carrier} takes along what is not its own"
            );
            let left = sections.keys().filter(|slot| **slot == Slot::NOTES);
            assert_eq!(left.count(), 0, "{carrier} leaves its note behind");
        }
    }
    assert_eq!(found, BLOCKS.len() * CARRIERS.len());
}

#[test]
fn no_sensitive_code_of_a_message_stands_outside_the_sensitive_sections() {
    let (mut leaks, mut found, mut messages) = (Vec::new(), 0, 0);
    let own = crate::hl7::odd().into_iter().map(|bytes| ("own".into(), bytes));
    for (path, bytes) in files().into_iter().chain(own) {
        let (format, sections) = cut(&bytes);
        messages += usize::from(format == FormatId::Hl7v2);
        for (slot, text) in sections.iter().filter(|_| format == FormatId::Hl7v2) {
            for item in &text.items {
                let item = String::from_utf8_lossy(&item.bytes);
                // A number alone may count something: only one beside its system is a code.
                let is_delimiter = |c: char| "|^&~#\r\n".contains(c);
                let parts: Vec<&str> = item.split(is_delimiter).collect();
                let is_coded = |at: &usize| {
                    let name = parts.get(at + 2).map_or("", |name| name.trim());
                    ["SCT", "LN", "RXN", "I10", "I9", "SNM"].iter().any(|s| name.starts_with(s))
                };
                let blocks = BLOCKS.iter().map(|block| block.1);
                let known: Vec<&str> = CODES.iter().copied().chain(blocks).collect();
                for at in (0..parts.len()).filter(is_coded).filter(|&at| known.contains(&parts[at]))
                {
                    found += 1;
                    if !slot.is_sensitive() {
                        leaks.push(format!("{} in {slot} of {}", parts[at], path.display()));
                    }
                }
            }
        }
    }
    println!("{} leaks among {found} sensitive codes of {messages} messages", leaks.len());
    assert_eq!(leaks, Vec::<String>::new());
    assert!(messages >= 17 && found > 0);
}
