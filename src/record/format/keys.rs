//! The keys of plain files: JSON, TOML, YAML, the columns of tables, the headings of notes.

use super::slots::Slot;

/// The keys of plain files by section, in lower case without separators.
const PLAIN_KEYS: [(Slot, &[&str]); 27] = [
    (
        Slot::DEMOGRAPHICS,
        &[
            "name",
            "firstname",
            "lastname",
            "givenname",
            "familyname",
            "fullname",
            "birthdate",
            "dateofbirth",
            "dob",
            "age",
            "gender",
            "sex",
            "race",
            "ethnicity",
            "language",
            "maritalstatus",
            "demographics",
        ],
    ),
    (
        Slot::CONTACT,
        &[
            "address",
            "street",
            "city",
            "zip",
            "postalcode",
            "phone",
            "telephone",
            "mobile",
            "email",
            "contact",
            "contacts",
            "nextofkin",
            "telecom",
        ],
    ),
    (
        Slot::IDENTIFIERS,
        &[
            "ssn",
            "mrn",
            "id",
            "patientid",
            "identifier",
            "identifiers",
            "nationalid",
            "passport",
            "insurancenumber",
            "recordnumber",
            "patient",
            "photo",
        ],
    ),
    (Slot::ALLERGIES, &["allergies", "allergy", "intolerances"]),
    (
        Slot::MEDICATIONS,
        &["medications", "medication", "prescriptions", "prescription", "drugs", "meds"],
    ),
    (
        Slot::PROBLEMS,
        &["problems", "conditions", "diagnoses", "diagnosis", "problemlist", "complaints"],
    ),
    (Slot::IMMUNIZATIONS, &["immunizations", "immunisations", "vaccinations", "vaccines"]),
    (Slot::LABS, &["labs", "lab", "laboratory", "results", "labresults", "bloodtype", "specimens"]),
    (
        Slot::VITALS,
        &[
            "vitals",
            "vitalsigns",
            "height",
            "weight",
            "bmi",
            "bloodpressure",
            "pulse",
            "temperature",
        ],
    ),
    (Slot::IMAGING, &["imaging", "radiology", "scans", "xrays"]),
    (Slot::PROCEDURES, &["procedures", "surgeries", "operations", "theatre", "orders"]),
    (Slot::ENCOUNTERS, &["encounters", "visits", "admissions", "stays", "inpatient", "outpatient"]),
    (Slot::APPOINTMENTS, &["appointments", "appointment", "schedule"]),
    (Slot::CAREPLAN, &["careplan", "careplans", "goals", "plan", "careteam", "tasks"]),
    (Slot::NOTES, &["notes", "note", "comments", "summary", "history", "narrative"]),
    (Slot::MENTAL_HEALTH, &["mentalhealth", "psychiatry", "psychology", "psych"]),
    (Slot::PSYCHOTHERAPY_NOTES, &["psychotherapynotes", "psychotherapy", "therapynotes"]),
    (Slot::SUBSTANCE_USE, &["substanceuse", "substanceabuse", "alcohol", "druguse", "addiction"]),
    (
        Slot::REPRODUCTIVE,
        &[
            "reproductive",
            "pregnancies",
            "pregnancy",
            "obstetrics",
            "gynecology",
            "contraception",
            "sexualhealth",
        ],
    ),
    (Slot::HIV, &["hiv", "hivstatus", "hivtest", "aids"]),
    (Slot::GENETICS, &["genetics", "genomics", "genetictests"]),
    (Slot::VIOLENCE, &["violence", "abuse"]),
    (Slot::BILLING, &["billing", "claims", "insurance", "coverage", "invoices", "payments"]),
    (Slot::FAMILY_HISTORY, &["familyhistory"]),
    (Slot::SOCIAL_HISTORY, &["socialhistory", "smoking", "tobacco", "occupation", "lifestyle"]),
    (Slot::DEVICES, &["devices", "implants"]),
    (Slot::DIRECTIVES, &["directives", "advancedirectives", "consents", "consent", "alerts"]),
];

/// Returns the section of a top-level key of a plain object.
pub(super) fn of_plain_key(key: &str) -> Slot {
    let normal: String =
        key.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let row = PLAIN_KEYS.iter().find(|(_, keys)| keys.contains(&normal.as_str()));
    row.map_or(Slot::OTHER, |row| row.0)
}

/// Returns the section of a heading: by all of it, else by two words of it, else by one; of several
/// the most confidential.
pub(super) fn of_heading(title: &str) -> Slot {
    let words: Vec<&str> = title.split(|c: char| !c.is_alphanumeric()).collect();
    let words: Vec<&str> = words.into_iter().filter(|w| !w.is_empty()).collect();
    let strictest = |len: usize| {
        let slots = words.windows(len).map(|part| of_plain_key(&part.concat()));
        slots.filter(|&slot| slot != Slot::OTHER).max_by_key(|slot| slot.confidentiality())
    };
    let whole = Some(of_plain_key(title)).filter(|&slot| slot != Slot::OTHER);
    whole.or_else(|| strictest(2)).or_else(|| strictest(1)).unwrap_or(Slot::OTHER)
}

/// Further names of columns and tables. In other files they mean too much.
const COLUMNS: [(Slot, &[&str]); 15] = [
    (
        Slot::DEMOGRAPHICS,
        &[
            "first",
            "middle",
            "last",
            "surname",
            "forename",
            "prefix",
            "suffix",
            "maiden",
            "marital",
            "birthplace",
            "birth",
            "deathdate",
            "death",
            "born",
            "nationality",
        ],
    ),
    (
        Slot::CONTACT,
        &["state", "county", "country", "fips", "lat", "lon", "latitude", "longitude", "fax"],
    ),
    (
        Slot::IDENTIFIERS,
        &["drivers", "license", "licence", "patients", "person", "subject", "member", "nhsnumber"],
    ),
    (Slot::ALLERGIES, &["allergen", "reaction", "reactions"]),
    (Slot::MEDICATIONS, &["drug", "dose", "dosage", "dispenses", "rxnorm", "ndc", "atc", "med"]),
    (Slot::PROBLEMS, &["condition", "problem", "icd", "complaint"]),
    (Slot::IMMUNIZATIONS, &["immunization", "immunisation", "vaccine", "vaccination", "cvx"]),
    (Slot::LABS, &["observations", "observation", "loinc", "result", "specimen", "analyte"]),
    (Slot::IMAGING, &["imagingstudies", "modality", "bodysite"]),
    (Slot::PROCEDURES, &["procedure", "cpt", "surgery", "operation", "order"]),
    (Slot::ENCOUNTERS, &["encounter", "visit", "admission", "discharge", "ward"]),
    (Slot::CAREPLAN, &["goal"]),
    (
        Slot::BILLING,
        &[
            "cost",
            "costs",
            "claim",
            "charge",
            "payer",
            "payers",
            "payertransitions",
            "price",
            "amount",
            "expenses",
            "income",
            "revenue",
            "outstanding",
            "copay",
            "paid",
            "invoice",
            "payment",
        ],
    ),
    (Slot::DEVICES, &["device", "udi", "implant", "supplies", "supply"]),
    (
        Slot::DIRECTORY,
        &["organizations", "organization", "providers", "provider", "practitioner", "clinician"],
    ),
];

/// Returns the section of the name of a column or table: by all of it, else by words that follow
/// each other in it; of several the most confidential.
pub(super) fn of_column(name: &str) -> Slot {
    let one = |text: &str| {
        let known = COLUMNS.iter().find(|(_, names)| names.contains(&text));
        known.map_or_else(|| of_plain_key(text), |row| row.0)
    };
    let words = words_of(name);
    let strictest = |len: usize| {
        let slots = words.windows(len).map(|part| one(&part.concat()));
        slots.filter(|&slot| slot != Slot::OTHER).max_by_key(|slot| slot.confidentiality())
    };
    let whole = Some(one(&words.concat())).filter(|&slot| slot != Slot::OTHER);
    whole.or_else(|| strictest(2)).or_else(|| strictest(1)).unwrap_or(Slot::OTHER)
}

/// Returns the words of a name in lower case: `DIAGNOSIS1`, `patientName`, `base_cost`.
fn words_of(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut last = ' ';
    for c in name.chars() {
        if c.is_alphabetic() {
            let is_next = !last.is_alphabetic() || last.is_lowercase() && c.is_uppercase();
            if is_next {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.extend(c.to_lowercase());
            }
        }
        last = c;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_columns_are_known_by_their_words() {
        for (name, slot) in [
            ("BIRTHDATE", Slot::DEMOGRAPHICS),
            ("FIRST", Slot::DEMOGRAPHICS),
            ("patientName", Slot::IDENTIFIERS),
            ("DATE_OF_BIRTH", Slot::DEMOGRAPHICS),
            ("LAT", Slot::CONTACT),
            ("DIAGNOSIS1", Slot::PROBLEMS),
            ("BASE_COST", Slot::BILLING),
            ("HEALTHCARE_COVERAGE", Slot::BILLING),
            ("imaging_studies", Slot::IMAGING),
            ("hivStatus", Slot::HIV),
            ("HIV Status (last)", Slot::HIV),
            ("START", Slot::OTHER),
            ("", Slot::OTHER),
        ] {
            assert_eq!(of_column(name), slot, "{name}");
        }
        let all: Vec<_> = COLUMNS.iter().flat_map(|row| row.1).collect();
        assert!(all.iter().all(|name| of_plain_key(name) == Slot::OTHER));
        let unique: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(all.len(), unique.len());
    }

    #[test]
    fn keys_of_plain_files_are_known_in_any_spelling() {
        assert_eq!(of_plain_key("birth_date"), Slot::DEMOGRAPHICS);
        assert_eq!(of_plain_key("familyHistory"), Slot::FAMILY_HISTORY);
        assert_eq!(of_plain_key("SSN"), Slot::IDENTIFIERS);
        assert_eq!(of_plain_key("favourite colour"), Slot::OTHER);
        assert_eq!(of_heading("Current medications (May)"), Slot::MEDICATIONS);
        assert_eq!(of_heading("Known family history"), Slot::FAMILY_HISTORY);
        assert_eq!(of_heading("Hobbies"), Slot::OTHER);
        let all: Vec<_> = PLAIN_KEYS.iter().flat_map(|row| row.1).collect();
        let unique: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(all.len(), unique.len());
    }
}
