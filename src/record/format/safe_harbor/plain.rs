//! The keys of plain files, and the columns of tables, whose values are released: codes, numbers,
//! years, a few words. What a key means is known by its name alone, in any spelling of it.

use std::borrow::Cow;

use super::super::keys::of_plain_key;
use super::super::slots::Slot;
use super::{
    Pseudonyms, age, code, country, is_code_system, is_number, is_unit, result_word, state, zip3,
};

/// What is released under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Kind {
    /// A pseudonym.
    Id,
    Date,
    Age,
    Number,
    Code,
    System,
    Unit,
    Word,
    State,
    Zip,
    Country,
    /// What holds others; of a single value a number or a result in words.
    Group,
}

const IDS: &[&str] = &[
    "id",
    "patient",
    "patientid",
    "encounter",
    "encounterid",
    "mrn",
    "recordnumber",
    "identifier",
    "visitid",
    "orderid",
    "claimid",
    "payer",
    "provider",
    "organization",
    "studyid",
    "subjectid",
    "referenceid",
    "caseid",
    "nationalid",
    "insurancenumber",
];
const DATES: &[&str] = &[
    "date",
    "birthdate",
    "dateofbirth",
    "dob",
    "deathdate",
    "onset",
    "onsetdate",
    "start",
    "stop",
    "end",
    "startdate",
    "enddate",
    "recorded",
    "taken",
    "given",
    "admitted",
    "discharged",
    "servicedate",
    "year",
    "time",
    "timestamp",
    "when",
];
const NUMBERS: &[&str] = &[
    "height",
    "heightcm",
    "weight",
    "weightkg",
    "bmi",
    "pulse",
    "heartrate",
    "temperature",
    "temperaturec",
    "systolic",
    "diastolic",
    "bloodpressure",
    "value",
    "dose",
    "quantity",
    "count",
    "low",
    "high",
    "min",
    "max",
    "duration",
    "days",
    "frequency",
    "dispenses",
    "totalcost",
    "basecost",
    "cost",
    "baseencountercost",
    "totalclaimcost",
    "payercoverage",
    "amount",
    "score",
    "respiratoryrate",
    "oxygensaturation",
    "glucose",
    "hba1c",
    "cholesterol",
    "ldl",
    "hdl",
    "creatinine",
    "sodium",
    "potassium",
    "hemoglobin",
    "packyears",
    "gravida",
    "para",
    "healthcareexpenses",
    "healthcarecoverage",
    "income",
];
const CODES: &[&str] = &[
    "code",
    "reasoncode",
    "icd",
    "icd10",
    "icd9",
    "snomed",
    "snomedct",
    "loinc",
    "rxnorm",
    "atc",
    "cvx",
    "ndc",
    "cpt",
    "diagnosiscode",
    "procedurecode",
    "drugcode",
];
const WORDS: &[&str] = &[
    "gender",
    "sex",
    "birthsex",
    "status",
    "severity",
    "bloodtype",
    "result",
    "smoking",
    "tobacco",
    "race",
    "ethnicity",
    "marital",
    "maritalstatus",
    "class",
    "encounterclass",
    "category",
    "type",
    "hivstatus",
    "hivtest",
    "hiv",
    "active",
    "verified",
    "route",
    "interpretation",
];
/// Further words that are released, in lower case.
const KNOWN_WORDS: &[&str] = &[
    "a+",
    "a-",
    "ab+",
    "ab-",
    "active",
    "alcohol",
    "ambulatory",
    "american indian",
    "asian",
    "b+",
    "b-",
    "black",
    "completed",
    "current",
    "daily",
    "d",
    "divorced",
    "emergency",
    "ex-smoker",
    "exam",
    "f",
    "female",
    "former",
    "hawaiian",
    "hispanic",
    "inactive",
    "inpatient",
    "laboratory",
    "life-threatening",
    "m",
    "male",
    "married",
    "mild",
    "native",
    "never",
    "nonhispanic",
    "not hispanic",
    "numeric",
    "o+",
    "o-",
    "oral",
    "other",
    "outpatient",
    "procedure",
    "recovered",
    "resolved",
    "s",
    "severe",
    "single",
    "social-history",
    "stopped",
    "survey",
    "text",
    "u",
    "undetectable",
    "unknown",
    "urgentcare",
    "vital-signs",
    "w",
    "wellness",
    "white",
    "widowed",
    "iv",
    "im",
    "sc",
    "planned",
    "draft",
    "final",
];
/// Sections whose key may hold what is known.
const GROUPS: [Slot; 19] = [
    Slot::ALLERGIES,
    Slot::MEDICATIONS,
    Slot::PROBLEMS,
    Slot::IMMUNIZATIONS,
    Slot::LABS,
    Slot::VITALS,
    Slot::IMAGING,
    Slot::PROCEDURES,
    Slot::ENCOUNTERS,
    Slot::CAREPLAN,
    Slot::MENTAL_HEALTH,
    Slot::SUBSTANCE_USE,
    Slot::REPRODUCTIVE,
    Slot::HIV,
    Slot::GENETICS,
    Slot::VIOLENCE,
    Slot::FAMILY_HISTORY,
    Slot::SOCIAL_HISTORY,
    Slot::DEVICES,
];

/// Says what is released under a key.
pub(in super::super) fn kind(key: &str) -> Option<Kind> {
    let normal: String =
        key.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let is = |list: &[&str]| list.contains(&normal.as_str());
    Some(match normal.as_str() {
        "age" | "ageyears" => Kind::Age,
        "unit" | "units" => Kind::Unit,
        "system" | "codesystem" => Kind::System,
        "state" => Kind::State,
        "zip" | "zipcode" | "postalcode" => Kind::Zip,
        "country" => Kind::Country,
        "demographics" | "address" | "identifiers" => Kind::Group,
        _ if is(IDS) => Kind::Id,
        _ if is(DATES) => Kind::Date,
        _ if is(NUMBERS) => Kind::Number,
        // DIAGNOSIS1 and its like.
        _ if is(CODES) || is_numbered(&normal) => Kind::Code,
        _ if is(WORDS) => Kind::Word,
        _ if GROUPS.contains(&of_plain_key(key)) => Kind::Group,
        _ => return None,
    })
}

fn is_numbered(key: &str) -> bool {
    let rest = key.strip_prefix("diagnosis").unwrap_or_default();
    rest.len() == 1 && rest.bytes().all(|b| b.is_ascii_digit())
}

/// Says whether a key is one that the tables know, and so no name of a person.
pub(in super::super) fn is_known(key: &str) -> bool {
    kind(key).is_some() || of_plain_key(key) != Slot::OTHER
}

/// Returns the name that stands for a key that the tables do not know.
pub(in super::super) fn stand_in(key: &str, project: &Pseudonyms) -> String {
    format!("x{}", &project.pseudonym("key", key)[..8])
}

/// Returns what is released of a single value; `None` when nothing is.
pub(in super::super) fn value<'v>(
    kind: Kind,
    text: &'v str,
    project: &Pseudonyms,
) -> Option<Cow<'v, str>> {
    let text = text.trim();
    let number = || is_number(text).then_some(Cow::Borrowed(text));
    let word = || {
        let is_known = KNOWN_WORDS.contains(&text.to_ascii_lowercase().as_str());
        Some(text).filter(|_| is_known).or_else(|| result_word(text)).map(Cow::Borrowed)
    };
    match kind {
        Kind::Id => (!text.is_empty()).then(|| Cow::Owned(project.id(text))),
        Kind::Date => project.year(text).map(Cow::Owned),
        Kind::Age => age(text),
        Kind::Number => number(),
        Kind::Code => clinical_code(text).map(Cow::Borrowed),
        Kind::System => Some(text).filter(|t| is_code_system(t)).map(Cow::Borrowed),
        Kind::Unit => is_unit(text).then_some(Cow::Borrowed(text)),
        Kind::Word => word(),
        Kind::State => state(text).map(Cow::Borrowed),
        Kind::Zip => zip3(text).map(Cow::Borrowed),
        Kind::Country => country(text).map(Cow::Borrowed),
        Kind::Group => number().or_else(word),
    }
}

/// Returns a code with the form of those of the clinical systems: digits with at most one hyphen
/// or two, or a letter and digits.
fn clinical_code(text: &str) -> Option<&str> {
    let of = code(text)?;
    let digits = of.bytes().filter(u8::is_ascii_digit).count();
    let letters = of.bytes().filter(u8::is_ascii_alphabetic).count();
    let is_form = of.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
    (is_form && digits >= 2 && letters <= 3 && of.len() <= 18).then_some(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: &str, text: &str) -> Option<String> {
        value(kind(key)?, text, &Pseudonyms::new(&[1; 32])).map(Cow::into_owned)
    }

    #[test]
    fn only_what_a_key_is_known_for_is_released() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("Birth_Date", "1976-12-04"), some("1976"));
        assert_eq!(of("age", "93"), some("90"));
        assert_eq!(of("weight", "70.5"), some("70.5"));
        assert_eq!(of("weight", "5551393142"), None);
        assert_eq!(of("ZIP", "02714"), some("027"));
        assert_eq!(of("state", "Reading"), None);
        assert_eq!(of("code", "E11.9"), some("E11.9"));
        assert_eq!(of("code", "Castellanos"), None);
        assert_eq!(of("hiv", "positive"), some("positive"));
        assert_eq!(of("hiv", "told to Ann"), None);
        assert_eq!(of("name", "Ann"), None);
        assert_eq!(of("city", "Reading"), None);
        assert_eq!(of("ssn", "999-59-8153"), None);
        assert_eq!(of("favourite colour", "5"), None);
        assert_ne!(of("id", "17"), some("17"));
        assert!(is_known("city") && !is_known("Ann Smith"));
    }
}
