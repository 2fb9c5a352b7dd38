//! The code systems whose codes and texts are known to name no person.

/// Code systems whose codes and texts name no person, by how their URI begins.
const CODE_SYSTEMS: [&str; 31] = [
    "http://snomed.info/sct",
    "http://loinc.org",
    "http://www.nlm.nih.gov/research/umls/rxnorm",
    "http://hl7.org/fhir/sid/icd-",
    "http://hl7.org/fhir/sid/cvx",
    "http://hl7.org/fhir/sid/mvx",
    "http://hl7.org/fhir/sid/ndc",
    "http://hl7.org/fhir/sid/icpc",
    "http://hl7.org/fhir/us/core/CodeSystem/",
    "http://hl7.org/fhir/uv/ips/CodeSystem/",
    "http://hl7.org/fhir/administrative-gender",
    "http://hl7.org/fhir/v2/",
    "http://hl7.org/fhir/v3/",
    "http://hl7.org/fhir/resource-types",
    "http://terminology.hl7.org/CodeSystem/",
    "http://unitsofmeasure.org",
    "http://www.ama-assn.org/go/cpt",
    "http://www.cms.gov/Medicare/Coding/",
    "http://www.whocc.no/atc",
    "http://fdasis.nlm.nih.gov",
    "http://dicom.nema.org/resources/ontology/DCM",
    "http://ihe.net/fhir/ihe.formatcode.fhir/",
    "http://www.nubc.org/",
    "http://nucc.org/provider-taxonomy",
    "http://varnomen.hgvs.org",
    "http://www.genenames.org",
    "http://id.who.int/icd",
    "https://bluebutton.cms.gov/resources/",
    "urn:ietf:bcp:47",
    "urn:ietf:bcp:13",
    "urn:iso:std:iso:",
];

/// The same by object identifier; one that ends with a dot stands for all below it.
const CODE_SYSTEM_OIDS: [&str; 20] = [
    "2.16.840.1.113883.6.1",
    "2.16.840.1.113883.6.2",
    "2.16.840.1.113883.6.3",
    "2.16.840.1.113883.6.4",
    "2.16.840.1.113883.6.8",
    "2.16.840.1.113883.6.12",
    "2.16.840.1.113883.6.13",
    "2.16.840.1.113883.6.59",
    "2.16.840.1.113883.6.69",
    "2.16.840.1.113883.6.73",
    "2.16.840.1.113883.6.88",
    "2.16.840.1.113883.6.90",
    "2.16.840.1.113883.6.96",
    "2.16.840.1.113883.6.101",
    "2.16.840.1.113883.6.103",
    "2.16.840.1.113883.6.104",
    "2.16.840.1.113883.6.121",
    "2.16.840.1.113883.6.238",
    "2.16.840.1.113883.12.",
    "2.16.840.1.113883.5.",
];

/// Further ones, of drugs, nursing, places of care and DICOM.
const MORE_OIDS: [&str; 7] = [
    "2.16.840.1.113883.3.26.1.1",
    "2.16.840.1.113883.4.9",
    "2.16.840.1.113883.6.259",
    "2.16.840.1.113883.6.285",
    "2.16.840.1.113883.6.301.3",
    "2.16.840.1.113883.6.316",
    "1.2.840.10008.2.16.4",
];

/// Systems of which every code has a digit: by a part of their URI, and as HL7 v2 names them.
const NUMBERED: [&str; 15] = [
    "snomed",
    "loinc",
    "rxnorm",
    "/icd",
    "/cvx",
    "/ndc",
    "/cpt",
    "whocc",
    "2.16.840.1.113883.6.1",
    "2.16.840.1.113883.6.88",
    "2.16.840.1.113883.6.90",
    "2.16.840.1.113883.6.96",
    "2.16.840.1.113883.6.69",
    "2.16.840.1.113883.12.292",
    "2.16.840.1.113883.6.59",
];

const NUMBERED_NAMES: [&str; 14] = [
    "ln", "sct", "snm", "i10", "i10c", "i10p", "i9", "i9c", "i9cdx", "c4", "cpt", "ndc", "cvx",
    "atc",
];

const MAX_SYSTEM_LEN: usize = 120;

/// Says whether a code system, by its URI or object identifier, is known to name no person.
pub(in super::super) fn is_code_system(uri: &str) -> bool {
    let oid = uri.strip_prefix("urn:oid:").unwrap_or(uri);
    let is = |known: &str| if known.ends_with('.') { oid.starts_with(known) } else { oid == known };
    let is_known = CODE_SYSTEMS.iter().any(|known| uri.starts_with(known))
        || CODE_SYSTEM_OIDS.iter().chain(&MORE_OIDS).any(|known| is(known));
    is_known && uri.len() <= MAX_SYSTEM_LEN && !uri.contains([' ', '@', '?'])
}

/// Says whether a code system is that of units.
pub(in super::super) fn is_ucum(uri: &str) -> bool {
    uri == "http://unitsofmeasure.org" || uri.ends_with("2.16.840.1.113883.6.8")
}

/// Says whether the texts of a system have capitals only where a sentence has them.
pub(super) fn has_sentences(system: &str) -> bool {
    let parts = [
        "snomed",
        "icd",
        "2.16.840.1.113883.6.96",
        "2.16.840.1.113883.6.90",
        "2.16.840.1.113883.6.103",
    ];
    let lower = system.to_ascii_lowercase();
    parts.iter().any(|part| lower.contains(part))
        || ["sct", "snm", "i10", "i10c", "i10p", "i9", "i9c", "i9cdx"].contains(&lower.as_str())
}

/// Says whether every code of a system has a digit.
pub(super) fn has_digits(system: &str) -> bool {
    let lower = system.to_ascii_lowercase();
    NUMBERED.iter().any(|part| lower.contains(part)) || NUMBERED_NAMES.contains(&lower.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_are_known_by_uri_and_by_identifier() {
        for known in
            ["http://snomed.info/sct", "urn:oid:2.16.840.1.113883.6.96", "2.16.840.1.113883.5.1"]
        {
            assert!(is_code_system(known), "{known}");
        }
        for unknown in [
            "http://hl7.org/fhir/sid/us-ssn",
            "http://st-mary.example/codes",
            "2.16.840.1.113883.4.1",
            "2.16.840.1.113883.6.961",
            "",
        ] {
            assert!(!is_code_system(unknown), "{unknown}");
        }
    }
}
