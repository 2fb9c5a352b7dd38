//! The sample records, where they are: how many name their patient, and why the others do not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chartfs::record::format::identity::{Messages, Shape, identify, shape, shares};

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn samples_name_their_patients_or_say_why_not() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !samples.is_dir() {
        println!("NOTE: there are no sample records beside the project");
        return;
    }
    let mut all = Vec::new();
    files(&samples, &mut all);
    let mut told: BTreeMap<(String, String), u32> = BTreeMap::new();
    for path in all {
        let bytes = std::fs::read(&path).unwrap();
        let kind = shape(&bytes);
        let results: Vec<_> = match kind {
            Shape::Hl7v2 => {
                Messages::new(&bytes[..]).map(|m| m.and_then(|m| identify(&m))).collect()
            }
            Shape::FhirLines => {
                shares(&bytes[..]).flat_map(Result::unwrap).map(|s| s.recognised).collect()
            }
            _ => vec![identify(&bytes)],
        };
        assert!(!results.is_empty(), "nothing is said of {}", path.display());
        for result in results {
            let what = result.map_or_else(|e| e.what().to_owned(), |_| "recognised".to_owned());
            *told.entry((format!("{kind:?}"), what)).or_default() += 1;
        }
    }
    for ((kind, what), count) in &told {
        println!("{kind:10} {count:5} {what}");
    }
    for kind in ["Cda", "Dicom", "Fhir", "FhirLines", "Hl7v2"] {
        let of = |what: &str| told.get(&(kind.to_owned(), what.to_owned())).copied().unwrap_or(0);
        assert!(of("recognised") > 0, "nothing of {kind} is recognised");
    }
}
