//! The tables from codes, templates and names of elements to sections, for what no code or label
//! decides.

use super::super::slots::Slot;

/// Sections by LOINC code: the code, its section, and the title that its stub has.
const SECTIONS: [(&str, Slot, &str); 62] = [
    ("48765-2", Slot::ALLERGIES, "Allergies and adverse reactions"),
    ("10160-0", Slot::MEDICATIONS, "Medications"),
    ("10183-2", Slot::MEDICATIONS, "Discharge medications"),
    ("75311-1", Slot::MEDICATIONS, "Discharge medications"),
    ("42346-7", Slot::MEDICATIONS, "Admission medications"),
    ("29549-3", Slot::MEDICATIONS, "Medications administered"),
    ("11450-4", Slot::PROBLEMS, "Problems"),
    ("11348-0", Slot::PROBLEMS, "History of past illness"),
    ("46241-6", Slot::PROBLEMS, "Admission diagnosis"),
    ("42347-5", Slot::PROBLEMS, "Admission diagnosis"),
    ("11535-2", Slot::PROBLEMS, "Discharge diagnosis"),
    ("75310-3", Slot::PROBLEMS, "Health concerns"),
    ("10219-4", Slot::PROBLEMS, "Preoperative diagnosis"),
    ("10218-6", Slot::PROBLEMS, "Postoperative diagnosis"),
    ("55109-3", Slot::PROBLEMS, "Complications"),
    ("11369-6", Slot::IMMUNIZATIONS, "Immunizations"),
    ("30954-2", Slot::LABS, "Results"),
    ("11493-4", Slot::LABS, "Discharge studies"),
    ("26436-6", Slot::LABS, "Laboratory studies"),
    ("8716-3", Slot::VITALS, "Vital signs"),
    ("29545-1", Slot::VITALS, "Physical findings"),
    ("10210-3", Slot::VITALS, "General status"),
    ("18748-4", Slot::IMAGING, "Imaging"),
    ("121181", Slot::IMAGING, "DICOM object catalog"),
    ("18782-3", Slot::IMAGING, "Imaging findings"),
    ("47519-4", Slot::PROCEDURES, "Procedures"),
    ("29554-3", Slot::PROCEDURES, "Procedure description"),
    ("10223-6", Slot::PROCEDURES, "Surgical operation note"),
    ("59768-2", Slot::PROCEDURES, "Procedure indications"),
    ("59769-0", Slot::PROCEDURES, "Postprocedure diagnosis"),
    ("59770-8", Slot::PROCEDURES, "Estimated blood loss"),
    ("59772-4", Slot::PROCEDURES, "Planned procedure"),
    ("55122-6", Slot::PROCEDURES, "Disposition"),
    ("10213-7", Slot::PROCEDURES, "Anesthesia"),
    ("46240-8", Slot::ENCOUNTERS, "Encounters"),
    ("29299-5", Slot::ENCOUNTERS, "Reason for visit"),
    ("42349-1", Slot::ENCOUNTERS, "Reason for referral"),
    ("46239-0", Slot::ENCOUNTERS, "Chief complaint and reason for visit"),
    ("10154-3", Slot::ENCOUNTERS, "Chief complaint"),
    ("18776-5", Slot::CAREPLAN, "Plan of treatment"),
    ("61146-7", Slot::CAREPLAN, "Goals"),
    ("85847-2", Slot::CAREPLAN, "Care teams"),
    ("62387-6", Slot::CAREPLAN, "Interventions"),
    ("51847-2", Slot::CAREPLAN, "Assessment and plan"),
    ("11383-7", Slot::CAREPLAN, "Health status evaluations and outcomes"),
    ("69730-0", Slot::CAREPLAN, "Instructions"),
    ("61144-2", Slot::CAREPLAN, "Nutrition"),
    ("8653-8", Slot::CAREPLAN, "Discharge instructions"),
    ("8648-8", Slot::NOTES, "Hospital course"),
    ("10164-2", Slot::NOTES, "History of present illness"),
    ("10187-3", Slot::NOTES, "Review of systems"),
    ("51848-0", Slot::NOTES, "Assessment"),
    ("11506-3", Slot::NOTES, "Progress note"),
    ("34109-9", Slot::NOTES, "Notes"),
    ("10190-7", Slot::MENTAL_HEALTH, "Mental status"),
    ("10162-6", Slot::REPRODUCTIVE, "Pregnancies"),
    ("48768-6", Slot::BILLING, "Payers"),
    ("10157-6", Slot::FAMILY_HISTORY, "Family history"),
    ("29762-2", Slot::SOCIAL_HISTORY, "Social history"),
    ("47420-5", Slot::SOCIAL_HISTORY, "Functional status"),
    ("46264-8", Slot::DEVICES, "Medical equipment"),
    ("104605-1", Slot::DIRECTIVES, "Alerts"),
];
const DIRECTIVES: (&str, Slot, &str) = ("42348-3", Slot::DIRECTIVES, "Advance directives");

/// Templates of sections, by the last numbers of their identifier.
const TEMPLATES: [(&str, &str); 22] = [
    ("6", "48765-2"),
    ("6.1", "48765-2"),
    ("1", "10160-0"),
    ("1.1", "10160-0"),
    ("5", "11450-4"),
    ("5.1", "11450-4"),
    ("2", "11369-6"),
    ("2.1", "11369-6"),
    ("3", "30954-2"),
    ("3.1", "30954-2"),
    ("4", "8716-3"),
    ("4.1", "8716-3"),
    ("7", "47519-4"),
    ("7.1", "47519-4"),
    ("22", "46240-8"),
    ("22.1", "46240-8"),
    ("10", "18776-5"),
    ("15", "10157-6"),
    ("17", "29762-2"),
    ("18", "48768-6"),
    ("23", "46264-8"),
    ("65", "34109-9"),
];
const TEMPLATE_ROOT: &str = "2.16.840.1.113883.10.20.22.2.";

/// Documents by LOINC code, with the sections that their template wants.
const REQUIRED: [(&str, &[&str]); 8] = [
    ("34133-9", &["48765-2", "10160-0", "11450-4", "30954-2", "29762-2", "8716-3", "47519-4"]),
    ("18842-5", &["48765-2", "8648-8", "11535-2", "10183-2", "75311-1", "18776-5"]),
    ("11488-4", &["48765-2", "10160-0", "11450-4", "10164-2", "29762-2", "8716-3", "30954-2"]),
    (
        "34117-2",
        &[
            "48765-2", "10160-0", "10157-6", "10210-3", "11348-0", "29762-2", "8716-3", "30954-2",
            "10187-3", "29545-1",
        ],
    ),
    ("57133-1", &["48765-2", "10160-0", "11450-4", "42349-1", "30954-2"]),
    ("18761-7", &["48765-2", "10160-0", "11450-4", "42349-1", "30954-2", "8716-3"]),
    ("52521-2", &["75310-3", "61146-7"]),
    ("28570-0", &["29554-3", "59768-2", "59769-0", "55109-3"]),
];

fn row(code: &str) -> Option<&'static (&'static str, Slot, &'static str)> {
    SECTIONS.iter().chain([&DIRECTIVES]).find(|row| row.0 == code)
}

/// Returns the section of the LOINC code of a part of a document.
pub(in super::super) fn section_of_loinc(code: &str) -> Option<Slot> {
    row(code).map(|row| row.1)
}

/// Returns the section of a LOINC code, or of a template where the code is not known.
pub(super) fn of_section(code: Option<&str>, templates: &[(String, Option<String>)]) -> Slot {
    if let Some(row) = code.and_then(row) {
        return row.1;
    }
    let of_template = |(root, _): &(String, Option<String>)| {
        let last = root.strip_prefix(TEMPLATE_ROOT)?;
        let code = TEMPLATES.iter().find(|row| row.0 == last)?.1;
        row(code).map(|row| row.1)
    };
    templates.iter().find_map(of_template).unwrap_or(Slot::OTHER)
}

/// Returns the title of the stub of a section.
pub(in super::super) fn title_of(code: &str) -> &'static str {
    row(code).map_or("", |row| row.2)
}

/// Returns the sections that the template of a document wants.
pub(super) fn required(document: Option<&str>) -> &'static [&'static str] {
    let found = document.and_then(|code| REQUIRED.iter().find(|row| row.0 == code));
    found.map_or(&[], |row| row.1)
}

/// Returns the section of an element of the header.
pub(super) fn of_header(name: &str, care: bool) -> Slot {
    match name {
        "realmCode" | "typeId" | "templateId" | "code" | "languageCode" => Slot::FRAME,
        "id"
        | "setId"
        | "versionNumber"
        | "title"
        | "effectiveTime"
        | "confidentialityCode"
        | "relatedDocument" => Slot::WHOLE,
        "recordTarget" => Slot::IDENTIFIERS,
        "author" | "custodian" | "informationRecipient" => Slot::DIRECTORY,
        "dataEnterer" | "legalAuthenticator" | "authenticator" => Slot::PROVENANCE,
        "informant" | "participant" => Slot::CONTACT,
        "inFulfillmentOf" => Slot::PROCEDURES,
        "documentationOf" if care => Slot::CAREPLAN,
        "documentationOf" | "componentOf" => Slot::ENCOUNTERS,
        "authorization" => Slot::DIRECTIVES,
        "component" => Slot::NOTES,
        _ => Slot::OTHER,
    }
}

/// Returns the section of a part of the patient's role or of the patient.
pub(super) fn of_patient(name: &str) -> Slot {
    match name {
        "addr" | "telecom" | "guardian" => Slot::CONTACT,
        "providerOrganization" => Slot::DIRECTORY,
        "patient" | "birthplace" | "languageCommunication" => Slot::DEMOGRAPHICS,
        name if is_demographic(name) => Slot::DEMOGRAPHICS,
        _ => Slot::IDENTIFIERS,
    }
}

/// Says whether a part of the patient stands in the run that says who it is.
pub(super) fn is_demographic(name: &str) -> bool {
    matches!(
        name,
        "name"
            | "desc"
            | "administrativeGenderCode"
            | "birthTime"
            | "deceasedInd"
            | "deceasedTime"
            | "multipleBirthInd"
            | "multipleBirthOrderNumber"
            | "maritalStatusCode"
            | "religiousAffiliationCode"
            | "raceCode"
            | "ethnicGroupCode"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_template_wants_has_a_title() {
        for (document, sections) in REQUIRED {
            assert!(sections.iter().all(|code| !title_of(code).is_empty()), "{document}");
        }
        let codes: std::collections::HashSet<_> = SECTIONS.iter().map(|row| row.0).collect();
        assert_eq!(codes.len(), SECTIONS.len());
        assert!(TEMPLATES.iter().all(|row| codes.contains(row.1)));
    }

    #[test]
    fn a_section_is_known_by_code_or_template() {
        let template = |last: &str| vec![(format!("{TEMPLATE_ROOT}{last}"), None)];
        assert_eq!(of_section(Some("10190-7"), &[]), Slot::MENTAL_HEALTH);
        assert_eq!(of_section(Some("1-8"), &template("6.1")), Slot::ALLERGIES);
        assert_eq!(of_section(None, &template("999")), Slot::OTHER);
    }
}
