//! The ordinary sections of a synthetic record.

use serde_json::{Value, json};

use super::{Chart, category, concept, loinc, snomed};

/// Adds visits with their vitals, labs, prescriptions and bills, and one of everything else.
pub(super) fn fill(chart: &mut Chart) {
    let doctor = people(chart);
    history(chart);
    let visits = 4 + chart.dice.below(5);
    for _ in 0..visits {
        visit(chart, &doctor);
    }
    plans(chart);
    papers(chart, &doctor);
}

/// Adds the directory; returns the reference to the physician.
fn people(chart: &mut Chart) -> Value {
    chart.add("Organization", json!({ "name": "Hospital of Saint Example", "active": true }));
    chart.add("Location", json!({ "name": "Theatre 2", "status": "active" }));
    chart.add("Medication", json!({
        "code": concept("http://www.nlm.nih.gov/research/umls/rxnorm", "314076", "lisinopril 10 MG Oral Tablet")
    }));
    chart.of("RelatedPerson", json!({ "relationship": [{ "text": "sister" }] }));
    chart.add("Practitioner", json!({ "name": [{ "family": "Morrowgate", "given": ["Tessa"] }] }))
}

fn history(chart: &mut Chart) {
    chart.of(
        "AllergyIntolerance",
        json!({
            "code": snomed("91936005", "Allergy to penicillin"),
            "criticality": "high"
        }),
    );
    chart.of("AllergyIntolerance", json!({ "code": snomed("91935009", "Allergy to peanuts") }));
    let shots = [("140", "Influenza, seasonal, injectable"), ("113", "Td (adult), adsorbed")];
    for (code, display) in shots {
        let date = chart.dice.date();
        chart.of(
            "Immunization",
            json!({
                "status": "completed",
                "vaccineCode": concept("http://hl7.org/fhir/sid/cvx", code, display),
                "occurrenceDateTime": date
            }),
        );
    }
    chart.of(
        "FamilyMemberHistory",
        json!({
            "status": "completed",
            "relationship": { "text": "father" },
            "condition": [{ "code": snomed("38341003", "Hypertensive disorder") }]
        }),
    );
    chart.about(
        "Observation",
        json!({
            "status": "final",
            "category": category("social-history"),
            "code": loinc("72166-2", "Tobacco smoking status"),
            "valueCodeableConcept": snomed("266919005", "Never smoker")
        }),
    );
    chart.of("Device", json!({ "type": snomed("72506001", "Implantable defibrillator") }));
}

fn visit(chart: &mut Chart, doctor: &Value) {
    let date = chart.dice.date();
    let reason = snomed("38341003", "Hypertensive disorder");
    let encounter = chart.about("Encounter", json!({
        "status": "finished",
        "class": { "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB" },
        "reasonCode": [reason],
        "participant": [{ "individual": doctor }],
        "period": { "start": format!("{date}T09:00:00Z"), "end": format!("{date}T09:30:00Z") }
    }));
    let condition = chart.about(
        "Condition",
        json!({
            "code": snomed("38341003", "Hypertensive disorder"),
            "encounter": encounter,
            "onsetDateTime": date
        }),
    );
    measurements(chart, &encounter, &date);
    let prescription = chart.about("MedicationRequest", json!({
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept":
            concept("http://www.nlm.nih.gov/research/umls/rxnorm", "314076", "lisinopril 10 MG Oral Tablet"),
        "encounter": encounter,
        "authoredOn": date
    }));
    chart.about(
        "Procedure",
        json!({
            "status": "completed",
            "code": snomed("29303009", "Electrocardiographic procedure"),
            "encounter": encounter,
            "performedDateTime": date
        }),
    );
    bill(chart, &encounter, &condition, &prescription);
}

fn measurements(chart: &mut Chart, encounter: &Value, date: &str) {
    let vitals = [("8867-4", "Heart rate", "/min", 60), ("8302-2", "Body height", "cm", 150)];
    let labs = [("2160-0", "Creatinine", "mg/dL", 1), ("2345-7", "Glucose", "mg/dL", 80)];
    let all = vitals
        .map(|row| ("vital-signs", row))
        .into_iter()
        .chain(labs.map(|row| ("laboratory", row)));
    let mut results = Vec::new();
    for (kind, (code, display, unit, base)) in all {
        let value = base + chart.dice.below(30);
        let made = chart.about("Observation", json!({
            "status": "final",
            "category": category(kind),
            "code": loinc(code, display),
            "encounter": encounter,
            "effectiveDateTime": date,
            "valueQuantity": { "value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit }
        }));
        if kind == "laboratory" {
            results.push(made);
        }
    }
    chart.about(
        "DiagnosticReport",
        json!({
            "status": "final",
            "code": loinc("51990-0", "Basic Metabolic Panel"),
            "result": results
        }),
    );
}

fn bill(chart: &mut Chart, encounter: &Value, condition: &Value, prescription: &Value) {
    let amount = 40 + chart.dice.below(400);
    let claim = chart.of("Claim", json!({
        "status": "active",
        "prescription": prescription,
        "diagnosis": [{ "sequence": 1, "diagnosisReference": condition }],
        "item": [{ "sequence": 1, "encounter": [encounter], "net": { "value": amount, "currency": "USD" } }]
    }));
    chart.of(
        "ExplanationOfBenefit",
        json!({
            "status": "active",
            "claim": claim,
            "payment": { "amount": { "value": amount, "currency": "USD" } }
        }),
    );
}

fn plans(chart: &mut Chart) {
    let date = chart.dice.date();
    chart.about(
        "CarePlan",
        json!({
            "status": "active",
            "category": [snomed("443402002", "Lifestyle education regarding hypertension")]
        }),
    );
    chart.about("Goal", json!({ "description": { "text": "Blood pressure below 130/80" } }));
    chart.add(
        "Appointment",
        json!({
            "status": "booked",
            "start": format!("{date}T14:00:00Z"),
            "participant": [{ "actor": chart.patient, "status": "accepted" }]
        }),
    );
    chart.of("Consent", json!({ "status": "active", "dateTime": date }));
    chart.about("Flag", json!({ "status": "active", "code": { "text": "Falls easily" } }));
    chart.of("Coverage", json!({ "status": "active", "payor": [{ "display": "Example Mutual" }] }));
}

fn papers(chart: &mut Chart, doctor: &Value) {
    chart.about("ImagingStudy", json!({
        "status": "available",
        "series": [{ "uid": "2.25.1", "modality": { "code": "DX" }, "bodySite": { "display": "Chest" } }]
    }));
    let note = json!({ "contentType": "text/plain", "data": "U2xlcHQgd2VsbC4=" });
    let document = chart.about(
        "DocumentReference",
        json!({
            "status": "current",
            "type": loinc("11506-3", "Progress note"),
            "content": [{ "attachment": note }]
        }),
    );
    chart.about("Composition", json!({
        "status": "final",
        "type": loinc("18842-5", "Discharge summary"),
        "author": [doctor],
        "title": "Discharge summary",
        "section": [{
            "title": "Course",
            "text": { "status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">Recovered.</div>" }
        }]
    }));
    chart.add("Provenance", json!({ "target": [document], "agent": [{ "who": doctor }] }));
    chart.about("Basic", json!({ "code": { "text": "Parking permit" } }));
}
