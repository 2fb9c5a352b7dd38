//! Collects what identifies a person in a file, by what the formats say.

use std::collections::BTreeSet;

use chartfs::record::format::FormatId;
use serde_json::Value;

/// Returns the text in which identifiers are looked for: in lower case, one space for whatever is
/// no letter or digit.
pub(super) fn searchable(_format: FormatId, bytes: &[u8]) -> String {
    words(&String::from_utf8_lossy(bytes))
}

fn words(text: &str) -> String {
    let mut out = String::from(" ");
    for c in text.chars() {
        if c.is_alphanumeric() {
            out.extend(c.to_lowercase());
        } else if !out.ends_with(' ') {
            out.push(' ');
        }
    }
    out.push(' ');
    out
}

pub(super) fn stands_in(identifier: &str, text: &str) -> bool {
    text.contains(&words(identifier))
}

/// Returns every identifier in a file that is long enough to be looked for.
pub(super) fn identifiers(format: FormatId, bytes: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut found = BTreeSet::new();
    match format {
        FormatId::FhirJson => {
            let text = text.trim_start_matches('\u{feff}');
            fhir(&serde_json::from_str(text).unwrap(), "", "", &mut found);
        }
        FormatId::FhirNdjson => {
            let text = text.trim_start_matches('\u{feff}');
            for line in text.lines().filter(|line| !line.trim().is_empty()) {
                fhir(&serde_json::from_str(line).unwrap(), "", "", &mut found);
            }
        }
        _ => {}
    }
    found.retain(|text| words(text).len() >= 5 && !is_common(text));
    found
}

/// Says whether an identifier is also a word of the language of codes.
fn is_common(text: &str) -> bool {
    let lower = text.to_lowercase();
    ["usd", "example", "null"].contains(&lower.as_str())
}

fn full_date(text: &str) -> Option<&str> {
    let date = text.get(..10)?;
    let is = |(index, b): (usize, u8)| match index {
        4 | 7 => b == b'-',
        _ => b.is_ascii_digit(),
    };
    date.bytes().enumerate().all(is).then_some(date)
}

/// Keys whose strings say who or where somebody is.
const TELLING: [&str; 14] = [
    "family",
    "given",
    "line",
    "city",
    "district",
    "postalCode",
    "lotNumber",
    "serialNumber",
    "deviceIdentifier",
    "distinctIdentifier",
    "carrierHRF",
    "data",
    "subscriberId",
    "uid",
];

fn fhir(value: &Value, key: &str, above: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            let url = members.get("url").and_then(Value::as_str).unwrap_or("");
            let geo = matches!(url, "latitude" | "longitude");
            for (inner, value) in members {
                if geo && inner == "valueDecimal" {
                    found.insert(value.to_string());
                }
                let is_person = matches!(key, "identifier" | "telecom");
                if let (true, "value", Value::String(text)) = (is_person, inner.as_str(), value) {
                    found.insert(text.clone());
                }
                let is_reference =
                    members.contains_key("reference") && !members.contains_key("code");
                if let (true, "display", Value::String(text)) =
                    (is_reference, inner.as_str(), value)
                {
                    found.insert(text.clone());
                }
                let is_name = inner == "name" && members.contains_key("resourceType");
                if let (true, Value::String(text)) = (is_name, value) {
                    found.insert(text.clone());
                }
                fhir(value, inner, key, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| fhir(value, key, above, found)),
        Value::String(text) => {
            if let Some(date) = full_date(text) {
                found.insert(date.to_owned());
            }
            if TELLING.contains(&key) {
                found.insert(text.clone());
            }
            if matches!(key, "id" | "fullUrl" | "reference") {
                let last = text.rsplit(['/', ':', '#']).next().unwrap_or(text);
                found.insert(last.to_owned());
            }
            let words = text.split(' ').filter(|_| key == "div");
            for word in words.filter(|word| word.chars().filter(char::is_ascii_digit).count() > 6) {
                found.insert(word.to_owned());
            }
        }
        _ => {}
    }
}
