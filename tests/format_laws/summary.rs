//! A document of our own: a summary with a composition.

use serde_json::{Value, json};

const SYSTEM: &str = "http://loinc.org";

pub(crate) fn section(code: &str, title: &str, div: &str, to: &[&str]) -> Value {
    let entries: Vec<Value> = to.iter().map(|to| json!({ "reference": to })).collect();
    json!({
        "title": title,
        "code": { "coding": [{ "system": SYSTEM, "code": code }] },
        "text": { "status": "generated",
                  "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{div}</div>") },
        "entry": entries,
    })
}

fn entry(kind: &str, id: &str, more: &Value) -> Value {
    let mut resource = json!({ "resourceType": kind, "id": id });
    for (key, value) in more.as_object().unwrap() {
        resource[key] = value.clone();
    }
    json!({ "fullUrl": format!("https://example.org/fhir/{kind}/{id}"), "resource": resource })
}

/// A summary whose problems, medications and procedures tell of different things.
pub(crate) fn summary() -> Value {
    let snomed = |code: &str, text: &str| {
        json!({ "code": { "text": text,
            "coding": [{ "system": "http://snomed.info/sct", "code": code }] } })
    };
    json!({
        "resourceType": "Bundle", "type": "document", "timestamp": "2026-11-23T08:00:00Z",
        "identifier": { "value": "doc-7" },
        "entry": [
            entry("Composition", "comp", &json!({
                "status": "final",
                "type": { "coding": [{ "system": SYSTEM, "code": "60591-5" }] },
                "subject": { "reference": "Patient/p" },
                "date": "2026-11-23", "title": "Patient Summary",
                "author": [{ "reference": "Practitioner/d" }],
                "encounter": { "reference": "Encounter/e" },
                "section": [
                    section("11450-4", "Problems of Ms Q", "cough, and one more",
                        &["Condition/cough", "Condition/virus"]),
                    section("48765-2", "Allergies", "none", &["AllergyIntolerance/nuts"]),
                    section("10160-0", "Medication", "syrup",
                        &["https://example.org/fhir/MedicationStatement/syrup"]),
                    section("47519-4", "Procedures", "test", &["Procedure/test/_history/3"]),
                    section("30954-2", "Results", "a count, and a letter",
                        &["Observation/count", "DocumentReference/letter", "Observation/gone"]),
                    { "title": "Plans", "section": [
                        section("18776-5", "Plan", "rest", &["CarePlan/rest"]),
                    ]},
                ],
            })),
            entry("Patient", "p", &json!({ "name": [{ "family": "Q" }] })),
            entry("Practitioner", "d", &json!({})),
            entry("Encounter", "e", &json!({})),
            entry("Condition", "cough", &snomed("49727002", "cough")),
            entry("Condition", "virus", &snomed("86406008", "virus")),
            entry("AllergyIntolerance", "nuts", &json!({})),
            entry("MedicationStatement", "syrup", &json!({})),
            entry("Procedure", "test", &snomed("31676001", "test")),
            entry("Observation", "count", &json!({})),
            entry("DocumentReference", "letter", &json!({})),
            entry("CarePlan", "rest", &json!({})),
        ],
    })
}
