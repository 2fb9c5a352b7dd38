//! The set-apart sections of a synthetic record, and what of them stands in bills and visits.

use serde_json::{Value, json};

use super::{Chart, category, concept, loinc, snomed};

/// Adds one case of each set-apart section.
pub(super) fn fill(chart: &mut Chart) {
    hiv(chart);
    let depression = snomed("370143000", "Major depressive disorder");
    case(chart, &depression, ("75516001", "Psychotherapy"));
    let alcohol = snomed("7200002", "Alcoholism");
    case(chart, &alcohol, ("24165007", "Alcoholism counseling"));
    let pregnancy = snomed("72892002", "Normal pregnancy");
    case(chart, &pregnancy, ("252160004", "Standard pregnancy test"));
    let abuse = snomed("706893006", "Victim of intimate partner abuse");
    case(chart, &abuse, ("410155007", "Occupational assessment"));
    genetics(chart);
    psychotherapy_note(chart);
}

fn hiv(chart: &mut Chart) {
    let status = chart.about(
        "Observation",
        json!({
            "status": "final",
            "category": category("laboratory"),
            "code": loinc("55277-8", "HIV status"),
            "valueCodeableConcept": snomed("165816005", "HIV positive")
        }),
    );
    chart.about(
        "DiagnosticReport",
        json!({
            "status": "final",
            "code": loinc("11502-2", "Laboratory report"),
            "result": [status]
        }),
    );
    case(
        chart,
        &snomed("86406008", "Human immunodeficiency virus infection"),
        ("313077009", "HIV counseling"),
    );
    chart.about(
        "MedicationRequest",
        json!({
            "status": "active",
            "intent": "order",
            "medicationCodeableConcept":
                concept("http://www.nlm.nih.gov/research/umls/rxnorm", "1433868", "dolutegravir")
        }),
    );
}

/// Adds a diagnosis with the visit, procedure, plan, claim and benefit that repeat it.
fn case(chart: &mut Chart, diagnosis: &Value, (code, display): (&str, &str)) {
    let date = chart.dice.date();
    let condition = chart.about("Condition", json!({ "code": diagnosis, "onsetDateTime": date }));
    let encounter = chart.about("Encounter", json!({
        "status": "finished",
        "class": { "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB" },
        "reasonCode": [diagnosis],
        "period": { "start": format!("{date}T11:00:00Z") }
    }));
    chart.about(
        "Procedure",
        json!({
            "status": "completed",
            "code": snomed(code, display),
            "reasonReference": [condition],
            "encounter": encounter
        }),
    );
    chart.about("CarePlan", json!({ "status": "active", "addresses": [condition] }));
    let claim = chart.of(
        "Claim",
        json!({
            "status": "active",
            "diagnosis": [{ "sequence": 1, "diagnosisReference": condition }],
            "item": [{ "sequence": 1, "productOrService": snomed(code, display) }]
        }),
    );
    chart.of(
        "ExplanationOfBenefit",
        json!({
            "status": "active",
            "claim": claim,
            "diagnosis": [{ "sequence": 1, "diagnosisCodeableConcept": diagnosis }]
        }),
    );
}

fn genetics(chart: &mut Chart) {
    chart.about(
        "Observation",
        json!({
            "status": "final",
            "category": category("laboratory"),
            "code": loinc("69548-6", "Genetic variant assessment"),
            "valueCodeableConcept": loinc("LA9633-4", "Present")
        }),
    );
}

fn psychotherapy_note(chart: &mut Chart) {
    chart.about("DocumentReference", json!({
        "meta": { "security": [{
            "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
            "code": "PSYTHPN",
            "display": "psychotherapy note sensitivity"
        }] },
        "status": "current",
        "content": [{ "attachment": { "contentType": "text/plain", "data": "U3Bva2Ugb2YgY2hpbGRob29kLg==" } }]
    }));
}
