//! Codes, units, numbers and the few words that are known to name no person.

use std::borrow::Cow;

/// The oldest age that is released: of all who are as old or older.
pub(in super::super) const MAX_AGE: f64 = 90.0;
const MAX_CODE_LEN: usize = 64;
const MAX_SYSTEM_LEN: usize = 120;
const MAX_DISPLAY_LEN: usize = 250;
/// A number of this many digits may be one of a person, telephone or account.
const MIN_SUSPECT_DIGITS: usize = 7;

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

/// Units that are written without saying of which system they are, in lower case.
const UNITS: [&str; 86] = [
    "%",
    "a",
    "bpm",
    "beats/min",
    "/min",
    "breaths/min",
    "c",
    "cel",
    "cm",
    "count",
    "d",
    "day",
    "days",
    "deg",
    "degc",
    "degf",
    "dl",
    "f",
    "fl",
    "ft",
    "g",
    "g/dl",
    "g/l",
    "gm",
    "gm/dl",
    "h",
    "hr",
    "hour",
    "hours",
    "in",
    "inches",
    "iu",
    "iu/l",
    "k/ul",
    "kg",
    "kg/m2",
    "kpa",
    "l",
    "l/min",
    "lb",
    "lbs",
    "m",
    "m/ul",
    "mcg",
    "meq",
    "meq/l",
    "mg",
    "mg/dl",
    "mg/l",
    "miu/l",
    "min",
    "minutes",
    "ml",
    "ml/min",
    "mm",
    "mm/hr",
    "mmhg",
    "mm[hg]",
    "mmol",
    "mmol/l",
    "mo",
    "months",
    "ng/dl",
    "ng/ml",
    "nmol/l",
    "pg",
    "pg/ml",
    "pmol/l",
    "ratio",
    "s",
    "sec",
    "score",
    "tablet",
    "tablets",
    "thou/mcl",
    "u",
    "u/l",
    "u/ml",
    "ug",
    "ug/dl",
    "ug/l",
    "umol/l",
    "week",
    "weeks",
    "years",
    "yr",
];

/// Results in words, in lower case.
const RESULT_WORDS: [&str; 32] = [
    "abnormal",
    "absent",
    "clear",
    "critical",
    "detected",
    "equivocal",
    "false",
    "few",
    "high",
    "inconclusive",
    "indeterminate",
    "large",
    "low",
    "many",
    "moderate",
    "n",
    "neg",
    "negative",
    "no",
    "none",
    "non-reactive",
    "normal",
    "not detected",
    "pos",
    "positive",
    "present",
    "reactive",
    "small",
    "trace",
    "true",
    "y",
    "yes",
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

/// What stands before the name of a person.
const TITLES: [&str; 9] = ["dr", "mr", "mrs", "ms", "miss", "prof", "herr", "frau", "mme"];

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

/// Returns a code when it has the form of one, and not of a number of a person or telephone.
pub(in super::super) fn code(text: &str) -> Option<&str> {
    let ok = |c: char| c.is_ascii_alphanumeric() || "-._:/+*%^[]{}()#'".contains(c);
    let is_form = !text.is_empty() && text.len() <= MAX_CODE_LEN && text.chars().all(ok);
    (is_form && !is_contact(text)).then_some(text)
}

/// Returns a code of a system when it has the form of those of the system: in those whose codes
/// have digits a word is none.
pub(in super::super) fn code_of<'t>(system: &str, text: &'t str) -> Option<&'t str> {
    let lower = system.to_ascii_lowercase();
    let is_named = NUMBERED.iter().any(|part| lower.contains(part));
    let is_numbered = is_named || NUMBERED_NAMES.contains(&lower.as_str());
    code(text).filter(|of| !is_numbered || of.bytes().any(|b| b.is_ascii_digit()))
}

/// Says whether a text has the form of a social security or telephone number, or of a date.
fn is_contact(text: &str) -> bool {
    let runs: Vec<usize> = text
        .split(['-', '.', '/', '(', ')', ' '])
        .filter(|r| !r.is_empty())
        .map(|run| if run.bytes().all(|b| b.is_ascii_digit()) { run.len() } else { 0 })
        .collect();
    matches!(runs[..], [3, 2 | 3, 4] | [1, 3, 3, 4] | [4, 2, 2] | [1 | 2, 1 | 2, 4])
}

/// Returns the text of a code of a known system when it shows no sign of a person in it: no
/// address, no long number, no date, no title; where the system writes its texts as sentences no
/// name in the middle.
pub(in super::super) fn display<'t>(system: &str, text: &'t str) -> Option<&'t str> {
    let words = || text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let is_title = |word: &str| {
        TITLES.iter().any(|title| word.eq_ignore_ascii_case(title))
            && word.starts_with(char::is_uppercase)
    };
    let is_name = |word: &str| {
        let mut letters = word.chars();
        letters.next().is_some_and(char::is_uppercase)
            && letters.filter(|c| c.is_lowercase()).count() > 1
    };
    let is_long = longest_number(text) >= 5 || text.len() > MAX_DISPLAY_LEN;
    let is_other = text.contains(['@', '\n', '\r']) || text.contains("://");
    let has_contact = text.split([' ', ',', ';']).any(is_contact);
    let has_name = has_sentences(system) && words().skip(1).any(is_name);
    let is_told = words().any(is_title) || is_long || is_other || has_contact || has_name;
    (!is_told).then_some(text)
}

/// Says whether the texts of a system have capitals only where a sentence has them.
fn has_sentences(system: &str) -> bool {
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

fn longest_number(text: &str) -> usize {
    text.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or(0)
}

/// Says whether a text is a unit that is known without its system.
pub(in super::super) fn is_unit(text: &str) -> bool {
    let lower = text.trim().to_ascii_lowercase();
    UNITS.contains(&lower.as_str())
}

/// Returns a result that is one of the usual words.
pub(in super::super) fn result_word(text: &str) -> Option<&str> {
    let lower = text.trim().to_ascii_lowercase();
    RESULT_WORDS.contains(&lower.as_str()).then_some(text)
}

/// Says whether a text is a number as results have them: not as long as that of a person,
/// telephone or account.
pub(in super::super) fn is_number(text: &str) -> bool {
    let text = text.trim();
    let body = text.strip_prefix(['-', '+', '<', '>']).unwrap_or(text);
    let body = body.strip_prefix('=').unwrap_or(body);
    let mut parts = body.split('.');
    let whole = parts.next().unwrap_or_default();
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let rest = parts.next();
    digits(whole)
        && whole.len() < MIN_SUSPECT_DIGITS
        && rest.is_none_or(digits)
        && parts.next().is_none()
}

/// Returns an age in years, 90 for all above.
pub(in super::super) fn age(text: &str) -> Option<Cow<'_, str>> {
    let years: f64 = text.trim().parse().ok().filter(|_| is_number(text))?;
    Some(if years >= MAX_AGE { Cow::Borrowed("90") } else { Cow::Borrowed(text) })
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

    #[test]
    fn a_code_is_no_number_of_a_person() {
        for ok in ["73211009", "8867-4", "E11.9", "50580-506-02", "mm[Hg]", "{score}"] {
            assert_eq!(code(ok), Some(ok));
        }
        for bad in ["999-59-8153", "555-139-3142", "1991-06-08", "06/08/1991", "Jane Doe", ""] {
            assert_eq!(code(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_text_that_shows_a_person_is_not_that_of_a_code() {
        let (sct, rxnorm) = (CODE_SYSTEMS[0], CODE_SYSTEMS[2]);
        for ok in ["Acute bronchitis (disorder)", "Reading disorder", "Test for HIV-1 antibody"] {
            assert_eq!(display(sct, ok), Some(ok));
        }
        let drug = "Hydrochlorothiazide 25 MG Oral Tablet";
        assert_eq!(display(rxnorm, drug), Some(drug));
        for bad in [
            "Seen by Dr. Castellanos",
            "Mr Jones",
            "call 555-139-3142",
            "a@b.org",
            "MRN 1234567",
            "on 2011-03-04",
        ] {
            assert_eq!(display(rxnorm, bad), None, "{bad}");
        }
        assert_eq!(display(sct, "Asthma of Antonio Castellanos"), None);
        assert_eq!(display("I10", "Asthma of Castellanos"), None);
    }

    #[test]
    fn numbers_are_results_unless_they_are_too_long() {
        for ok in ["5", "-1.50", "<0.1", ">=90", "02138", "250000"] {
            assert!(is_number(ok), "{ok}");
        }
        for bad in ["", "1.2.3", "5551393142", "999598153", "1e5", "12a", "١٢"] {
            assert!(!is_number(bad), "{bad}");
        }
        assert_eq!(age("89").as_deref(), Some("89"));
        assert_eq!(age("104").as_deref(), Some("90"));
        assert_eq!(age("old"), None);
        assert!(is_unit("mmHg") && !is_unit("Smith"));
        assert_eq!(result_word("Negative"), Some("Negative"));
        assert_eq!(result_word("Seen"), None);
    }
}
