//! Partial views in JSON before other readers: jq, and for FHIR the validators of the npm package
//! fhir and the PyPI package fhir.resources.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use chartfs::record::format::{FormatId, Slot, announce, join, slots_of};
use serde_json::json;

use crate::files::summary::summary;
use crate::files::{generated, samples};
use crate::record::{Dice, cut, pick, random_view};

/// Writes every file in JSON beside views of it, and returns the views.
fn write_views(folder: &Path, formats: &[FormatId]) -> Vec<PathBuf> {
    let (mut dice, mut views) = (Dice(31), Vec::new());
    let own = [("summary", summary()), ("chart", chart())];
    let own = own.map(|(name, value)| (name.into(), serde_json::to_vec_pretty(&value).unwrap()));
    let all = generated().into_iter().chain(own).chain(samples());
    for (number, (_, bytes)) in all.enumerate() {
        let (format, sections) = cut(&bytes);
        if !formats.contains(&format) || bytes.len() > 1 << 20 {
            continue;
        }
        let suffix = if format == FormatId::FhirNdjson { "ndjson" } else { "json" };
        std::fs::write(folder.join(format!("{number:04}.full.{suffix}")), &bytes).unwrap();
        for round in 0..3 {
            let visible = random_view(format, if round == 0 { 0 } else { dice.mask() });
            let mut shown = pick(&sections, &visible);
            let closed = slots_of(format).iter().copied().filter(|s| !visible.contains(s));
            let announced: Vec<Slot> = closed.take(usize::from(round == 2) * 64).collect();
            announce(format, &mut shown, &announced);
            let view = join(format, &shown);
            if view.is_empty() {
                continue;
            }
            let path = folder.join(format!("{number:04}.view{round}.{suffix}"));
            std::fs::write(&path, view).unwrap();
            views.push(path);
        }
    }
    views
}

/// A bundle that a validator takes, whatever it thinks of invented ones.
fn chart() -> serde_json::Value {
    let code = |text: &str| json!({ "text": text });
    let patient = json!({ "reference": "Patient/p" });
    let resources = [
        json!({ "resourceType": "Patient", "id": "p", "gender": "female", "birthDate": "1970-02-03",
                "name": [{ "family": "Q" }], "telecom": [{ "value": "555-0100" }],
                "identifier": [{ "system": "urn:x", "value": "4711" }] }),
        json!({ "resourceType": "AllergyIntolerance", "id": "a", "patient": patient }),
        json!({ "resourceType": "Observation", "id": "o", "status": "final",
                "code": code("weight"), "subject": patient }),
        json!({ "resourceType": "Observation", "id": "h", "status": "final",
                "code": { "coding": [{ "system": "http://snomed.info/sct", "code": "86406008" }] },
                "subject": patient }),
        json!({ "resourceType": "Immunization", "id": "i", "status": "completed",
                "vaccineCode": code("tetanus"), "patient": patient,
                "occurrenceDateTime": "2020-01-02" }),
    ];
    let entries: Vec<_> = resources.iter().map(|r| json!({ "resource": r })).collect();
    json!({ "resourceType": "Bundle", "type": "collection", "entry": entries })
}

/// Runs a check over a folder; what it says is in the log.
fn check(what: &str, program: OsString, script: &str, folder: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats").join(script);
    match Command::new(program).arg(script).arg(folder).output() {
        Err(e) => println!("SKIPPED: views of FHIR with {what}: it cannot be run: {e}"),
        Ok(ran) => {
            let said = String::from_utf8_lossy(&ran.stdout);
            println!("{said}");
            assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
        }
    }
}

const FHIR: [FormatId; 2] = [FormatId::FhirJson, FormatId::FhirNdjson];

#[test]
fn a_validator_in_python_takes_the_views() {
    let folder = tempfile::tempdir().unwrap();
    write_views(folder.path(), &FHIR);
    let python = std::env::var_os("CHARTFS_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    check("fhir.resources", python, "fhir_check.py", folder.path());
}

#[test]
fn a_validator_in_node_takes_the_views() {
    let folder = tempfile::tempdir().unwrap();
    write_views(folder.path(), &FHIR);
    check("the npm package fhir", "node".into(), "fhir_check.js", folder.path());
}

#[test]
fn jq_takes_the_views() {
    let folder = tempfile::tempdir().unwrap();
    let views = write_views(folder.path(), &[FHIR[0], FHIR[1], FormatId::Json]);
    let jq = |file: &Path| Command::new("jq").arg("empty").arg(file).output();
    let broken = folder.path().join("broken");
    std::fs::write(&broken, "{\"a\":1,}").unwrap();
    match jq(&broken) {
        Err(e) => return println!("SKIPPED: views in JSON with jq: it cannot be run: {e}"),
        Ok(ran) => assert!(!ran.status.success(), "jq takes anything"),
    }
    for view in &views {
        let ran = jq(view).unwrap();
        assert!(
            ran.status.success(),
            "{}: {}",
            view.display(),
            String::from_utf8_lossy(&ran.stderr)
        );
    }
    println!("jq: {} views", views.len());
    assert!(views.len() > 20);
}
