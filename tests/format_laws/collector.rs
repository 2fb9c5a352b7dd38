//! Collects what identifies a person in a file, by what the formats say.

use std::collections::BTreeSet;

use chartfs::record::format::FormatId;
use serde_json::Value;

/// Returns the text in which identifiers are looked for: in lower case, one space for whatever is
/// no letter or digit.
/// Returns the words of a text. Those of two strings of JSON do not follow each other.
pub(crate) fn searchable(format: FormatId, bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let is_json = matches!(format, FormatId::FhirJson | FormatId::FhirNdjson | FormatId::Json);
    if is_json { text.split('"').map(words).collect::<Vec<_>>().join(END) } else { words(&text) }
}

/// Stands between words that do not follow each other.
const END: &str = "|";

fn json(text: &str) -> Value {
    serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap()
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

pub(crate) fn stands_in(identifier: &str, text: &str) -> bool {
    text.contains(&words(identifier))
}

/// Returns every identifier in a file that is long enough to be looked for.
pub(crate) fn identifiers(format: FormatId, bytes: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut found = BTreeSet::new();
    match format {
        FormatId::FhirJson => {
            fhir(&json(&text), "", &mut found);
        }
        FormatId::FhirNdjson => {
            let text = text.trim_start_matches('\u{feff}');
            for line in text.lines().filter(|line| !line.trim().is_empty()) {
                fhir(&serde_json::from_str(line).unwrap(), "", &mut found);
            }
        }
        FormatId::Json => plain(&json(&text), &mut found),
        FormatId::Cda => cda(&text, &mut found),
        FormatId::Csv => csv(&text, &mut found),
        FormatId::Dicom => dicom(bytes, &mut found),
        FormatId::Hl7v2 => hl7(&text, &mut found),
        _ => {}
    }
    found.retain(|text| words(text).len() >= 6 && !is_common(text));
    found
}

/// Says whether an identifier is also a word of the language of codes.
fn is_common(text: &str) -> bool {
    let lower = text.to_lowercase();
    // The samples name persons "Nurse" and "Primary", and give a code as an identifier; a town may
    // have the name of what stands in the text of a code.
    ["assigned", "nurse", "primary", "reading", "421927004"].contains(&lower.as_str())
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

/// Members that refer to a person, place or organization.
const PERSONS: [&str; 16] = [
    "individual",
    "serviceProvider",
    "provider",
    "performer",
    "requester",
    "author",
    "custodian",
    "location",
    "asserter",
    "patient",
    "subject",
    "practitioner",
    "actor",
    "insurer",
    "facility",
    "organization",
];

fn has_digits(text: &str, count: usize) -> bool {
    text.bytes().filter(u8::is_ascii_digit).count() >= count
}

fn fhir(value: &Value, key: &str, found: &mut BTreeSet<String>) {
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
                let is_reference = members.contains_key("reference") && PERSONS.contains(&key);
                if let (true, "display", Value::String(text)) =
                    (is_reference, inner.as_str(), value)
                {
                    found.insert(text.clone());
                }
                let is_name = inner == "name" && members.contains_key("resourceType");
                if let (true, Value::String(text)) = (is_name, value) {
                    found.insert(text.clone());
                }
                fhir(value, inner, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| fhir(value, key, found)),
        Value::String(text) => {
            if let Some(date) = full_date(text) {
                found.insert(date.to_owned());
            }
            if TELLING.contains(&key) {
                found.insert(text.clone());
            }
            if matches!(key, "id" | "fullUrl" | "reference") {
                let last = text.rsplit(['/', ':', '#']).next().unwrap_or(text);
                found.extend(Some(last.to_owned()).filter(|id| has_digits(id, 3)));
            }
            let words = text.split(' ').filter(|_| key == "div");
            for word in words.filter(|word| has_digits(word, 7)) {
                found.insert(word.to_owned());
            }
        }
        _ => {}
    }
}

/// Fields that say who or where somebody is, by segment.
const FIELDS: [(&str, &[usize]); 12] = [
    ("PID", &[2, 3, 4, 5, 6, 9, 11, 12, 13, 14, 18, 19, 20, 21, 23]),
    ("PD1", &[3, 4]),
    ("NK1", &[2, 4, 5, 6, 12, 13, 26, 30, 31, 32, 33, 37]),
    ("PV1", &[3, 6, 7, 8, 9, 17, 19, 39, 42, 50, 52]),
    ("GT1", &[2, 3, 4, 5, 6, 7, 12, 16, 19]),
    ("IN1", &[2, 3, 4, 5, 6, 7, 8, 16, 19, 36, 49]),
    ("IN2", &[1, 2, 6, 8, 61, 63]),
    ("MRG", &[1, 2, 3, 4, 7]),
    ("ORC", &[2, 3, 4, 10, 11, 12, 13, 14, 21, 22, 23, 24]),
    ("OBR", &[2, 3, 10, 16, 17, 28, 32, 33, 34, 35]),
    ("OBX", &[16, 23, 24, 25]),
    ("MSH", &[3, 4, 5, 6, 10]),
];

fn hl7(text: &str, found: &mut BTreeSet<String>) {
    for segment in text.split(['\r', '\n']) {
        let segment = segment.trim_start_matches('\u{feff}');
        let fields: Vec<&str> = segment.split('|').collect();
        let of_header = usize::from(segment.starts_with("MSH"));
        for (number, field) in fields.iter().enumerate().skip(1) {
            for part in field.split(['^', '~', '&']) {
                let digits = part.bytes().take_while(u8::is_ascii_digit).count();
                if digits >= 8 && (part.starts_with("19") || part.starts_with("20")) {
                    found.insert(part[..digits].to_owned());
                }
            }
            let telling = FIELDS.iter().find(|row| row.0 == fields[0]).map_or(&[][..], |row| row.1);
            if !telling.contains(&(number + of_header)) {
                continue;
            }
            for (index, part) in field.split(['^', '~', '&']).enumerate() {
                let is_address = fields[0] == "PID" && number == 11;
                // The state and country of an address are released, and codes of types.
                let is_type = fields[0] == "PID" && matches!(number, 2..=4) && index > 3;
                let is_shown = is_address && matches!(index, 3 | 5..) || is_type;
                found.extend(Some(part.to_owned()).filter(|_| !is_shown));
            }
        }
    }
}

/// Elements whose text says who or where somebody is.
const ELEMENTS: [&str; 10] = [
    "given",
    "family",
    "streetAddressLine",
    "city",
    "postalCode",
    "county",
    "lotNumberText",
    "precinct",
    "unitID",
    "manufacturerModelName",
];

fn cda(text: &str, found: &mut BTreeSet<String>) {
    for tag in text.split('<').skip(1) {
        let Some((inside, content)) = tag.split_once('>') else { continue };
        let name = inside.split([' ', '/', '\n', '\r', '\t']).next().unwrap_or_default();
        let local = name.rsplit(':').next().unwrap_or_default();
        if ELEMENTS.contains(&local) {
            found.insert(content.trim().to_owned());
        }
        let value = |key: &str| {
            let (_, rest) = inside.split_once(&format!(" {key}=\""))?;
            rest.split_once('"').map(|(value, _)| value.to_owned())
        };
        if local == "telecom" {
            found.extend(value("value").map(|v| v.trim_start_matches("tel:").to_owned()));
        }
        if matches!(local, "id" | "setId") {
            found.extend(value("extension"));
            found.extend(value("root").filter(|root| root.len() == 36));
        }
        if let Some(date) = value("value").filter(|v| v.len() >= 8) {
            let digits = date.bytes().take_while(u8::is_ascii_digit).count();
            found.extend(Some(date[..digits].to_owned()).filter(|d| d.len() >= 8));
        }
    }
}

/// Of a plain file every text with a blank or a long number in it.
fn plain(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => members.values().for_each(|value| plain(value, found)),
        Value::Array(list) => list.iter().for_each(|value| plain(value, found)),
        Value::String(text) => {
            found.extend(Some(text.clone()).filter(|t| t.contains(' ') || has_digits(t, 6)));
        }
        _ => {}
    }
}

/// Reads the attributes of explicit little-endian data sets from the first one on, as long as they
/// have the form of text; that is enough to find most of what identifies.
fn dicom(bytes: &[u8], found: &mut BTreeSet<String>) {
    const TEXT: [&[u8]; 10] =
        [b"PN", b"LO", b"SH", b"DA", b"TM", b"UI", b"LT", b"ST", b"AE", b"UT"];
    // Defined terms, numbers and kinds of objects have the same texts everywhere.
    const SHOWN: [&[u8]; 3] = [b"\x08\0\x16\0", b"\x02\0\x02\0", b"\x02\0\x10\0"];
    for at in 132..bytes.len().saturating_sub(8) {
        let (vr, length) = (&bytes[at + 4..at + 6], &bytes[at + 6..at + 8]);
        let length = usize::from(u16::from_le_bytes([length[0], length[1]]));
        let is_tag = bytes[at + 1] == 0 || bytes[at].is_multiple_of(2);
        if !is_tag || !TEXT.contains(&vr) || SHOWN.contains(&&bytes[at..at + 4]) || length > 200 {
            continue;
        }
        let Some(value) = bytes.get(at + 8..at + 8 + length) else { continue };
        let Ok(value) = std::str::from_utf8(value) else { continue };
        let value = value.trim_matches(['\0', ' ']);
        let is_class = value.starts_with("1.2.840.10008.");
        // A year is released as its first day.
        let is_year = vr == b"DA" && value.ends_with("0101");
        if !is_class && !is_year && value.len() > 5 && value.chars().all(|c| !c.is_control()) {
            found.insert(value.to_owned());
        }
    }
}

/// Words in the names of columns that say who or where somebody is.
const COLUMNS: [&str; 18] = [
    "SSN",
    "DRIVERS",
    "PASSPORT",
    "FIRST",
    "LAST",
    "MAIDEN",
    "ADDRESS",
    "CITY",
    "COUNTY",
    "ZIP",
    "LAT",
    "LON",
    "Id",
    "PATIENT",
    "ENCOUNTER",
    "UDI",
    "PHONE",
    "BIRTHPLACE",
];

fn csv(text: &str, found: &mut BTreeSet<String>) {
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    for line in lines.filter(|line| !line.contains('"')) {
        for (name, cell) in names.iter().zip(line.split(',')) {
            found.extend(full_date(cell).map(str::to_owned));
            found.extend(Some(cell.to_owned()).filter(|_| COLUMNS.contains(name)));
        }
    }
}
