//! The tables from types and keys to sections, for what no code or label decides.

use super::scan::Facts;
use super::slots::Slot;

/// Returns the section of a FHIR resource by its type and category.
pub(super) fn of_resource(facts: &Facts<'_>) -> Slot {
    match facts.resource_type.as_deref().unwrap_or("") {
        "DiagnosticReport" if facts.attachment => Slot::NOTES,
        "Observation" | "DiagnosticReport" => facts.category.unwrap_or(Slot::LABS),
        "Specimen" | "BodyStructure" => Slot::LABS,
        "Patient" | "Person" => Slot::IDENTIFIERS,
        "RelatedPerson" => Slot::CONTACT,
        "AllergyIntolerance" => Slot::ALLERGIES,
        "MedicationRequest"
        | "MedicationStatement"
        | "MedicationDispense"
        | "MedicationAdministration"
        | "NutritionOrder" => Slot::MEDICATIONS,
        "Condition" | "DetectedIssue" | "AdverseEvent" | "RiskAssessment" => Slot::PROBLEMS,
        "Immunization" | "ImmunizationEvaluation" | "ImmunizationRecommendation" => {
            Slot::IMMUNIZATIONS
        }
        "ImagingStudy" | "Media" => Slot::IMAGING,
        "Procedure" | "ServiceRequest" | "DeviceRequest" | "RequestGroup" => Slot::PROCEDURES,
        "VisionPrescription" => Slot::DEVICES,
        "Encounter" | "EpisodeOfCare" => Slot::ENCOUNTERS,
        "Appointment" | "AppointmentResponse" | "Schedule" | "Slot" => Slot::APPOINTMENTS,
        "CarePlan" | "Goal" | "CareTeam" | "Task" => Slot::CAREPLAN,
        "DocumentReference"
        | "DocumentManifest"
        | "Composition"
        | "ClinicalImpression"
        | "Communication"
        | "CommunicationRequest"
        | "QuestionnaireResponse"
        | "Questionnaire"
        | "Binary"
        | "List" => Slot::NOTES,
        "MolecularSequence" => Slot::GENETICS,
        "Claim"
        | "ClaimResponse"
        | "ExplanationOfBenefit"
        | "Coverage"
        | "Account"
        | "Invoice"
        | "ChargeItem"
        | "CoverageEligibilityRequest"
        | "CoverageEligibilityResponse"
        | "EnrollmentRequest"
        | "EnrollmentResponse"
        | "PaymentNotice"
        | "PaymentReconciliation"
        | "Contract"
        | "InsurancePlan" => Slot::BILLING,
        "FamilyMemberHistory" => Slot::FAMILY_HISTORY,
        "Device" | "DeviceUseStatement" | "DeviceMetric" | "SupplyDelivery" | "SupplyRequest" => {
            Slot::DEVICES
        }
        "Consent" | "Flag" => Slot::DIRECTIVES,
        "Practitioner"
        | "PractitionerRole"
        | "Organization"
        | "OrganizationAffiliation"
        | "Location"
        | "HealthcareService"
        | "Endpoint"
        | "Medication"
        | "MedicationKnowledge"
        | "Substance"
        | "DeviceDefinition" => Slot::DIRECTORY,
        "Provenance" | "AuditEvent" => Slot::PROVENANCE,
        _ => Slot::OTHER,
    }
}

/// Returns the section of a category code of an observation or report.
pub(super) fn category(code: &str) -> Option<Slot> {
    Some(match code {
        "laboratory" | "LAB" | "LP29693-6" => Slot::LABS,
        "vital-signs" | "exam" => Slot::VITALS,
        "social-history" | "survey" => Slot::SOCIAL_HISTORY,
        "imaging" | "RAD" | "RUS" | "CT" | "NMR" | "NMS" | "CUS" | "RX" | "VUS" | "LP29684-5" => {
            Slot::IMAGING
        }
        "procedure" => Slot::PROCEDURES,
        "therapy" | "activity" => Slot::CAREPLAN,
        "GE" => Slot::GENETICS,
        _ => return None,
    })
}

/// Returns the section of a member of the bundle itself.
pub(super) fn of_bundle_key(key: &str) -> Slot {
    match key.trim_start_matches('_') {
        "resourceType" | "id" | "type" | "timestamp" | "language" | "implicitRules" | "entry" => {
            Slot::FRAME
        }
        "identifier" => Slot::IDENTIFIERS,
        "total" | "link" | "signature" | "meta" => Slot::WHOLE,
        _ => Slot::OTHER,
    }
}

/// Returns the section of a member of a bundle entry that holds a patient.
pub(super) fn of_patient_entry_key(key: &str, has_query: bool) -> Slot {
    match key.trim_start_matches('_') {
        "fullUrl" | "resource" | "search" => Slot::FRAME,
        "request" if !has_query => Slot::FRAME,
        _ => Slot::IDENTIFIERS,
    }
}

/// Returns the section of a member of a patient: one of the three that say who it is.
pub(super) fn of_patient_key(key: &str) -> Slot {
    match key.trim_start_matches('_') {
        "resourceType" | "id" => Slot::FRAME,
        "name"
        | "gender"
        | "birthDate"
        | "deceasedBoolean"
        | "deceasedDateTime"
        | "maritalStatus"
        | "multipleBirthBoolean"
        | "multipleBirthInteger"
        | "communication"
        | "language"
        | "active"
        | "extension" => Slot::DEMOGRAPHICS,
        "address" | "telecom" | "contact" | "generalPractitioner" | "managingOrganization" => {
            Slot::CONTACT
        }
        _ => Slot::IDENTIFIERS,
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_plain_files_are_known_in_any_spelling() {
        assert_eq!(of_plain_key("birth_date"), Slot::DEMOGRAPHICS);
        assert_eq!(of_plain_key("familyHistory"), Slot::FAMILY_HISTORY);
        assert_eq!(of_plain_key("SSN"), Slot::IDENTIFIERS);
        assert_eq!(of_plain_key("favourite colour"), Slot::OTHER);
        let all: Vec<_> = PLAIN_KEYS.iter().flat_map(|row| row.1).collect();
        let unique: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(all.len(), unique.len());
    }

    #[test]
    fn a_patient_is_never_put_outside_the_three_sections() {
        for key in ["resourceType", "_birthDate", "telecom", "identifier", "text", "meta", "new"] {
            let slot = of_patient_key(key);
            assert!(slot.0 <= Slot::IDENTIFIERS.0, "{key} in {slot}");
        }
        assert_eq!(of_patient_entry_key("request", true), Slot::IDENTIFIERS);
    }
}
