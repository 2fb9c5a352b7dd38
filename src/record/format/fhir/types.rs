//! The tables from types and keys to sections, for what no code or label decides.

use super::super::slots::Slot;
use super::scan::Facts;

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
pub(in super::super) fn category(code: &str) -> Option<Slot> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patient_is_never_put_outside_the_three_sections() {
        for key in ["resourceType", "_birthDate", "telecom", "identifier", "text", "meta", "new"] {
            let slot = of_patient_key(key);
            assert!(slot.0 <= Slot::IDENTIFIERS.0, "{key} in {slot}");
        }
        assert_eq!(of_patient_entry_key("request", true), Slot::IDENTIFIERS);
    }
}
