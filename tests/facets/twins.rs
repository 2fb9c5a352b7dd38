//! A twin says what its section says now, whoever wrote that.

use std::time::Duration;

use chartfs::error::Kind;
use chartfs::record::PolicyRef;
use chartfs::view::{Ino, RenameMode};

use super::{
    RELEASE, bundle, drive, files, policy, read, realm, research, researcher, resources, save,
};
use crate::support::TestRealm;
use chartfs::store::Bucket;

#[tokio::test(flavor = "multi_thread")]
async fn a_researcher_reads_one_file_made_of_what_is_released() {
    let realm = realm().await;
    let doctor = drive(&realm, "doctor").await;
    save(&doctor, "/ana/record.json", &bundle(1)).await.unwrap();
    let research = research(&realm).await;
    let seen = files(&research, "").await;
    assert_eq!(seen.len(), 1, "{seen:?}");
    let text = read(&research, &seen[0]).await;
    let kinds = resources(&text);
    for kind in ["Patient", "Condition", "MedicationRequest", "Observation"] {
        assert!(kinds.iter().any(|k| k == kind), "{kind} is released: {kinds:?}");
    }
    for kind in ["Claim", "AllergyIntolerance", "Encounter"] {
        assert!(kinds.iter().all(|k| k != kind), "{kind} is not released: {kinds:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_twin_follows_every_save_of_its_section() {
    let realm = realm().await;
    let doctor = drive(&realm, "doctor").await;
    save(&doctor, "/ana/record.json", &bundle(1)).await.unwrap();
    let count = async |status: &str| {
        let research = research(&realm).await;
        let seen = files(&research, "").await;
        String::from_utf8(read(&research, &seen[0]).await).unwrap().matches(status).count()
    };
    let before = count("\"stopped\"").await;
    // The pharmacist sees a part of the record, and writes a part of that.
    let pharmacist = drive(&realm, "pharmacist").await;
    let text = String::from_utf8(read(&pharmacist, "/ana/record.json").await).unwrap();
    let edited = text.replacen("\"active\"", "\"stopped\"", 1);
    assert_ne!(text, edited);
    save(&pharmacist, "/ana/record.json", edited.as_bytes()).await.unwrap();
    assert_eq!(count("\"stopped\"").await, before + 1);
    // What is deleted at the source is gone.
    let doctor = drive(&realm, "doctor").await;
    let text = String::from_utf8(read(&doctor, "/ana/record.json").await).unwrap();
    let mut bundle: serde_json::Value = serde_json::from_str(&text).unwrap();
    let entries = bundle["entry"].as_array_mut().unwrap();
    entries.retain(|e| e["resource"]["resourceType"] != "MedicationRequest");
    save(&doctor, "/ana/record.json", bundle.to_string().as_bytes()).await.unwrap();
    assert_eq!(count("\"MedicationRequest\"").await, 0);
}

/// Reads the stored text of every twin as the researcher.
async fn twins(realm: &TestRealm) -> Vec<(u16, Vec<u8>)> {
    let records = researcher(realm).await;
    let root = PolicyRef { hash: realm.policy.hash, patient: None };
    let top = records.names(realm.root, &root, Duration::ZERO).await.unwrap();
    let folder = top.table.0.values().next().unwrap().clone();
    let policy = folder.policy.unwrap_or(root);
    let names = records.names(folder.located, &policy, Duration::ZERO).await.unwrap();
    let file = names.table.0.values().next().unwrap().located;
    let record = records.load(file, &policy, Duration::ZERO).await.unwrap();
    let mut all = Vec::new();
    for entry in record.head.slots.iter().filter(|s| (512..1024).contains(&s.slot)) {
        let opened = records.open_slot(&record, entry.slot).await.unwrap().unwrap();
        for (part, opened) in entry.parts.iter().zip(&opened) {
            all.push((entry.slot, records.body_of(&record, part, opened).await.unwrap()));
        }
    }
    all
}

// The pharmacist sees medications and little else, the doctor all: what the one makes of a text is
// what the other makes of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_twin_does_not_hang_on_what_else_its_writer_sees() {
    let edit = |text: Vec<u8>, status: &str| {
        let text = String::from_utf8(text).unwrap();
        let from = text.find("\"MedicationRequest\"").unwrap();
        let at = from + text[from..].find("\"status\"").unwrap();
        let end = at + text[at..].find(',').unwrap();
        format!("{}\"status\": \"{status}\"{}", &text[..at], &text[end..]).into_bytes()
    };
    let realm = realm().await;
    save(&*drive(&realm, "doctor").await, "/ana/record.json", &bundle(1)).await.unwrap();
    let mut made = Vec::new();
    for user in ["doctor", "pharmacist"] {
        for status in ["on-hold", "completed"] {
            let view = drive(&realm, user).await;
            let edited = edit(read(&view, "/ana/record.json").await, status);
            save(&view, "/ana/record.json", &edited).await.unwrap();
        }
        made.push(twins(&realm).await);
    }
    assert!(made[0].iter().any(|(_, text)| !text.is_empty()));
    assert_eq!(made[0], made[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_de_identified_cannot_be_changed() {
    let realm = realm().await;
    let doctor = drive(&realm, "doctor").await;
    save(&doctor, "/ana/record.json", &bundle(1)).await.unwrap();
    let research = research(&realm).await;
    let seen = files(&research, "").await;
    let (folder, name) = seen[0].rsplit_once('/').unwrap();
    let parent = research.resolve(folder).await.unwrap();
    let (ino, name) = (parent.ino, name.as_bytes());
    let denied = |e: chartfs::error::Error| assert_eq!(e.kind(), Kind::Denied, "{e}");
    denied(research.write_path(ino, name, &b"{}"[..]).await.unwrap_err());
    denied(research.write_path(ino, b"new.json", &b"{}"[..]).await.unwrap_err());
    denied(research.make_dir(ino, b"new", 0o700).await.unwrap_err());
    denied(research.unlink(ino, name).await.unwrap_err());
    let root = Ino::ROOT;
    let moved = research.rename(ino, name, root, b"x.json", RenameMode::Replace).await;
    assert_eq!(moved.unwrap_err().kind(), Kind::OtherPolicy);
    denied(research.rename(ino, name, ino, b"x.json", RenameMode::Replace).await.unwrap_err());
    let file = research.resolve(&seen[0]).await.unwrap();
    assert_eq!(file.mode & 0o222, 0, "nothing is writable");
    denied(research.history(file.ino).await.unwrap_err());
    denied(research.removed(ino).await.unwrap_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_before_it_was_released_is_released_by_who_sets_the_policy() {
    let text = policy("").replace("manage = \"owner@{patient}\"", "manage = \"physician@st-mary\"");
    let realm = TestRealm::found_with(Bucket::memory(), &text).await;
    let doctor = drive(&realm, "doctor").await;
    save(&doctor, "/ward/record.json", &bundle(1)).await.unwrap();
    let ward = doctor.resolve("/ward").await.unwrap().ino;
    let released = |project: &str| text.clone() + &RELEASE.replace("heart-2026", project);
    doctor.set_policy(ward, &released("heart-2026")).await.unwrap();

    // The researcher is not let into the root, which has no release: so he is given the folder.
    let seen = async |policy: &PolicyRef, located| {
        let records = researcher(&realm).await;
        let names = records.names(located, policy, Duration::ZERO).await.unwrap();
        let names: Vec<Vec<u8>> = names.table.0.keys().cloned().collect();
        names
    };
    let at = doctor.policy_of(ward).unwrap();
    let records = realm.records("doctor").await;
    let top = records.names(realm.root, &realm.policy, Duration::ZERO).await.unwrap();
    let located = top.table.0[&b"ward"[..]].located;
    let first = seen(&at, located).await;
    assert!(first.len() == 1 && first[0] != b"record.json");

    // Another project has other pseudonyms, and the same project has the same ones again.
    doctor.set_policy(ward, &released("lung-2026")).await.unwrap();
    let other = seen(&doctor.policy_of(ward).unwrap(), located).await;
    assert!(other.len() == 1 && other != first);
    let more = released("lung-2026").replace("\"labs\"", "\"labs\", \"allergies\"");
    doctor.set_policy(ward, &more).await.unwrap();
    assert_eq!(seen(&doctor.policy_of(ward).unwrap(), located).await, other);
}
