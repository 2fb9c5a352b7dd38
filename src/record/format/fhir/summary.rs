//! The International Patient Summary of what an emergency credential opens: a document bundle, made
//! when it is read, so that it never says less or other than the record.
//!
//! Resources are taken over byte for byte. What the summary wants and the view does not show is
//! told as not available: whether there is none, or it is closed, the view cannot know.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::clock::date::format_unix_s;

/// A section of the summary: LOINC code, title, whether it is always there.
struct Part {
    code: &'static str,
    title: &'static str,
    is_mandatory: bool,
    has: fn(&Value) -> bool,
}

const PARTS: [Part; 9] = [
    Part { code: "11450-4", title: "Problems", is_mandatory: true, has: |r| is(r, &["Condition"]) },
    Part {
        code: "48765-2",
        title: "Allergies and Intolerances",
        is_mandatory: true,
        has: |r| is(r, &["AllergyIntolerance"]),
    },
    Part {
        code: "10160-0",
        title: "Medications",
        is_mandatory: true,
        has: |r| is(r, &["MedicationStatement", "MedicationRequest"]),
    },
    Part {
        code: "11369-6",
        title: "Immunizations",
        is_mandatory: false,
        has: |r| is(r, &["Immunization"]),
    },
    Part {
        code: "30954-2",
        title: "Results",
        is_mandatory: false,
        has: |r| is(r, &["DiagnosticReport"]) || is_observation(r, "laboratory"),
    },
    Part {
        code: "8716-3",
        title: "Vital Signs",
        is_mandatory: false,
        has: |r| is_observation(r, "vital-signs"),
    },
    Part {
        code: "47519-4",
        title: "Procedures",
        is_mandatory: false,
        has: |r| is(r, &["Procedure"]),
    },
    Part {
        code: "46264-8",
        title: "Medical Devices",
        is_mandatory: false,
        has: |r| is(r, &["DeviceUseStatement", "Device"]),
    },
    Part {
        code: "42348-3",
        title: "Advance Directives",
        is_mandatory: false,
        has: |r| is(r, &["Consent", "Flag"]),
    },
];

/// What a resource of the summary may refer to.
const SUPPORT: [&str; 8] = [
    "Medication",
    "Practitioner",
    "PractitionerRole",
    "Organization",
    "Specimen",
    "ImagingStudy",
    "Location",
    "Substance",
];
const AUTHOR: &str = "urn:uuid:6d1d0a3e-5b3c-4f0a-9c39-0e7c63f5a001";

#[derive(Deserialize)]
struct Bundle<'a> {
    #[serde(borrow, default)]
    entry: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(borrow)]
    full_url: Option<Cow<'a, str>>,
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    full_url: String,
    resource: Cow<'a, RawValue>,
}

/// A resource, and what it is referred to by.
struct Resource<'a> {
    url: String,
    raw: &'a RawValue,
    value: Value,
}

/// Makes the summary of a view of a record; `None` when the view is no FHIR bundle or resource.
/// `id` names the record, and the time is that of its newest visible change.
pub fn patient_summary(view: &[u8], id: &str, time_unix_s: i64) -> Option<Vec<u8>> {
    let resources = resources(view)?;
    let patient = resources.iter().find(|r| is(&r.value, &["Patient"]));
    let time = format_unix_s(time_unix_s);
    let parts: Vec<Value> = PARTS.iter().filter_map(|part| section(part, &resources)).collect();
    let composition = json!({
        "resourceType": "Composition",
        "meta": { "profile": ["http://hl7.org/fhir/uv/ips/StructureDefinition/Composition-uv-ips"] },
        "status": "final",
        "type": { "coding": [{
            "system": "http://loinc.org", "code": "60591-5", "display": "Patient summary Document"
        }] },
        "subject": subject(patient),
        "date": time,
        "author": [{ "reference": AUTHOR }],
        "title": "Patient Summary",
        "section": parts,
    });
    let author = json!({
        "resourceType": "Device",
        "deviceName": [{ "name": "chartfs", "type": "user-friendly-name" }]
    });
    let mut entries = vec![
        Shown { full_url: format!("urn:uuid:{id}"), resource: Cow::Owned(raw(&composition)?) },
        Shown { full_url: AUTHOR.to_owned(), resource: Cow::Owned(raw(&author)?) },
    ];
    let kept = resources.iter().filter(|r| {
        is(&r.value, &["Patient"])
            || is(&r.value, &SUPPORT)
            || PARTS.iter().any(|p| (p.has)(&r.value))
    });
    entries.extend(kept.map(|r| Shown { full_url: r.url.clone(), resource: Cow::Borrowed(r.raw) }));
    let bundle = Document {
        resource_type: "Bundle",
        meta: json!({ "profile": ["http://hl7.org/fhir/uv/ips/StructureDefinition/Bundle-uv-ips"] }),
        identifier: json!({ "system": "urn:ietf:rfc:3986", "value": format!("urn:uuid:{id}") }),
        kind: "document",
        timestamp: time,
        entry: entries,
    };
    let mut text = serde_json::to_vec_pretty(&bundle).ok()?;
    text.push(b'\n');
    Some(text)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    resource_type: &'static str,
    meta: Value,
    identifier: Value,
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: String,
    entry: Vec<Shown<'a>>,
}

fn raw(value: &Value) -> Option<Box<RawValue>> {
    serde_json::value::to_raw_value(value).ok()
}

/// Returns the resources of a view: the entries of a bundle, or the one that it is.
fn resources(view: &[u8]) -> Option<Vec<Resource<'_>>> {
    let text = std::str::from_utf8(view).ok()?.trim_start_matches('\u{feff}');
    let whole: &RawValue = serde_json::from_str(text).ok()?;
    let value: Value = serde_json::from_str(text).ok()?;
    let kind = value["resourceType"].as_str()?;
    if kind != "Bundle" {
        return Some(vec![Resource { url: url_of(None, &value), raw: whole, value }]);
    }
    let bundle: Bundle<'_> = serde_json::from_str(text).ok()?;
    let resource = |e: Entry<'_>| -> Option<(Option<String>, Value)> {
        Some((e.full_url.map(Cow::into_owned), serde_json::from_str(e.resource?.get()).ok()?))
    };
    let mut all = Vec::with_capacity(bundle.entry.len());
    for entry in bundle.entry {
        let Some(raw) = entry.resource else { continue };
        let Some((url, value)) = resource(entry) else { continue };
        all.push(Resource { url: url_of(url, &value), raw, value });
    }
    Some(all)
}

fn url_of(url: Option<String>, value: &Value) -> String {
    url.unwrap_or_else(|| {
        let text = |key: &str| value[key].as_str().unwrap_or("unknown");
        format!("{}/{}", text("resourceType"), text("id"))
    })
}

fn subject(patient: Option<&Resource<'_>>) -> Value {
    match patient {
        Some(patient) => json!({ "reference": patient.url }),
        None => json!({ "display": "not available" }),
    }
}

fn section(part: &Part, resources: &[Resource<'_>]) -> Option<Value> {
    let of: Vec<&Resource<'_>> = resources.iter().filter(|r| (part.has)(&r.value)).collect();
    if of.is_empty() && !part.is_mandatory {
        return None;
    }
    let items: Vec<String> =
        of.iter().map(|r| format!("<li>{}</li>", escaped(&title_of(&r.value)))).collect();
    let told = if items.is_empty() {
        "<p>Not available.</p>".to_owned()
    } else {
        format!("<ul>{}</ul>", items.concat())
    };
    let mut section = json!({
        "title": part.title,
        "code": { "coding": [{ "system": "http://loinc.org", "code": part.code }] },
        "text": {
            "status": "generated",
            "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{told}</div>")
        }
    });
    if of.is_empty() {
        section["emptyReason"] = json!({ "coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/list-empty-reason",
            "code": "unavailable",
            "display": "Unavailable"
        }] });
    } else {
        let references = of.iter().map(|r| json!({ "reference": r.url }));
        section["entry"] = references.collect::<Vec<_>>().into();
    }
    Some(section)
}

fn is(resource: &Value, kinds: &[&str]) -> bool {
    resource["resourceType"].as_str().is_some_and(|kind| kinds.contains(&kind))
}

fn is_observation(resource: &Value, category: &str) -> bool {
    let codings = |c: &Value| c["coding"].as_array().cloned().unwrap_or_default();
    let categories = resource["category"].as_array().map_or(&[][..], Vec::as_slice);
    is(resource, &["Observation"])
        && categories.iter().flat_map(codings).any(|c| c["code"] == category)
}

/// Returns what a resource is called in the narrative.
fn title_of(resource: &Value) -> String {
    let keys = ["code", "medicationCodeableConcept", "vaccineCode", "type", "medicationReference"];
    let concept = keys.iter().map(|key| &resource[*key]).find(|value| !value.is_null());
    let concept = concept.unwrap_or(&Value::Null);
    let texts = [&concept["text"], &concept["coding"][0]["display"], &concept["display"]];
    let kind = resource["resourceType"].as_str().unwrap_or("resource");
    texts.into_iter().find_map(Value::as_str).unwrap_or(kind).to_owned()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(view: &str) -> Value {
        serde_json::from_slice(&patient_summary(view.as_bytes(), "x", 0).unwrap()).unwrap()
    }

    #[test]
    fn what_is_always_there_is_there_and_says_when_it_is_not_available() {
        let empty = summary(r#"{"resourceType":"Bundle","type":"collection"}"#);
        assert_eq!(
            (&empty["type"], &empty["timestamp"]),
            (&json!("document"), &json!("1970-01-01T00:00:00Z"))
        );
        let sections = empty["entry"][0]["resource"]["section"].as_array().unwrap();
        let codes: Vec<&str> =
            sections.iter().map(|s| s["code"]["coding"][0]["code"].as_str().unwrap()).collect();
        assert_eq!(codes, ["11450-4", "48765-2", "10160-0"]);
        assert!(sections.iter().all(|s| s["emptyReason"]["coding"][0]["code"] == "unavailable"));
    }

    #[test]
    fn resources_come_as_they_are_and_stand_in_their_sections() {
        let view = r#"{"resourceType":"Bundle","entry":[
            {"fullUrl":"urn:uuid:p","resource":{"resourceType":"Patient","id":"p"}},
            {"fullUrl":"urn:uuid:a","resource":{"resourceType":"AllergyIntolerance","code":{"text":"nuts & <seeds>"},"x":1.10}},
            {"fullUrl":"urn:uuid:c","resource":{"resourceType":"Claim"}}]}"#;
        let text = String::from_utf8(patient_summary(view.as_bytes(), "x", 0).unwrap()).unwrap();
        assert!(text.contains("1.10") && text.contains("nuts &amp; &lt;seeds&gt;"));
        assert!(!text.contains("Claim"), "what is no part of a summary is not in it");
        let made = summary(view);
        let section = &made["entry"][0]["resource"]["section"][1];
        assert_eq!(section["entry"], json!([{ "reference": "urn:uuid:a" }]));
        assert_eq!(made["entry"][0]["resource"]["subject"]["reference"], "urn:uuid:p");
    }

    #[test]
    fn a_single_resource_is_summed_up_and_what_is_none_is_not() {
        let one = summary(r#"{"resourceType":"Condition","id":"7","code":{"text":"asthma"}}"#);
        assert_eq!(one["entry"][2]["fullUrl"], "Condition/7");
        for bad in ["", "[]", "{}", "{\"a\":1}"] {
            assert!(patient_summary(bad.as_bytes(), "x", 0).is_none(), "{bad}");
        }
    }
}
