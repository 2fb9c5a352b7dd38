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

#[cfg(test)]
mod tests {
    use super::*;

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
