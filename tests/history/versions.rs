//! Old versions: what each user sees of them, how they are proven, how they come back.

use std::time::Duration;

use chartfs::error::Kind;
use chartfs::store::Bucket;
use chartfs::view::{Saved, View};

use super::support::TestRealm;
use super::{ROOT, drive, eager, objects, overwrite, read, save};

/// Text, changed sections and number of each version, the newest first.
async fn shown(view: &View, path: &str) -> Vec<(u64, Vec<&'static str>, u64)> {
    let ino = view.resolve(path).await.unwrap().ino;
    let history = view.history(ino).await.unwrap();
    assert!(history.missing.is_none());
    assert!(history.versions.windows(2).all(|w| w[0].time >= w[1].time));
    history.versions.into_iter().map(|v| (v.version, v.sections, v.size_bytes)).collect()
}

async fn with_versions() -> TestRealm {
    let realm = TestRealm::found(Bucket::memory()).await;
    let doctor = eager(&realm, "doctor").await;
    for text in [
        r#"{"medications": ["a"], "labs": [1]}"#,
        r#"{"medications": ["a"], "labs": [22]}"#,
        r#"{"medications": ["b"], "labs": [22]}"#,
        r#"{"medications": ["b"], "labs": [333]}"#,
    ] {
        save(&doctor, "/r.json", text).await.unwrap();
    }
    let pharmacist = eager(&realm, "pharmacist").await;
    save(&pharmacist, "/r.json", r#"{"medications": ["c"]}"#).await.unwrap();
    realm
}

#[tokio::test(flavor = "multi_thread")]
async fn each_user_sees_the_versions_of_what_he_sees() {
    let realm = with_versions().await;
    let doctor = eager(&realm, "doctor").await;
    let sections: Vec<_> = shown(&doctor, "/r.json").await.into_iter().map(|v| v.1).collect();
    assert_eq!(
        sections[..4],
        [vec!["medications"], vec!["labs"], vec!["medications"], vec!["labs"]]
    );
    assert_eq!(sections[4], ["frame", "medications", "labs"]);
    let pharmacist = eager(&realm, "pharmacist").await;
    let seen = shown(&pharmacist, "/r.json").await;
    let numbers: Vec<_> = seen.iter().map(|v| (v.0, v.1.clone())).collect();
    let medications = || vec!["medications"];
    let first = vec!["frame", "medications"];
    assert_eq!(numbers, [(3, medications()), (2, medications()), (1, first)]);
    let ino = pharmacist.resolve("/r.json").await.unwrap().ino;
    let writers = pharmacist.history(ino).await.unwrap().versions;
    assert_ne!(writers[0].writer, writers[1].writer, "the pharmacist, then the doctor");
    assert_eq!(writers[1].writer, writers[2].writer);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_version_comes_back_and_what_is_hidden_stays() {
    let realm = with_versions().await;
    let pharmacist = eager(&realm, "pharmacist").await;
    let saved = pharmacist.restore_version(ROOT, b"r.json", Some(1), None).await.unwrap();
    assert_eq!(saved, Saved::Changed);
    assert_eq!(read(&pharmacist, "/r.json").await, r#"{"medications": ["a"]}"#);
    let ana = eager(&realm, "ana").await;
    assert_eq!(read(&ana, "/r.json").await, r#"{"medications": ["a"], "labs": [333]}"#);
    // Without a number: the version before.
    pharmacist.restore_version(ROOT, b"r.json", None, None).await.unwrap();
    assert_eq!(read(&pharmacist, "/r.json").await, r#"{"medications": ["c"]}"#);
    // Beside it.
    let doctor = eager(&realm, "doctor").await;
    doctor.restore_version(ROOT, b"r.json", Some(1), Some(b"first.json")).await.unwrap();
    assert_eq!(read(&doctor, "/first.json").await, r#"{"medications": ["a"], "labs": [1]}"#);
    let taken = doctor.restore_version(ROOT, b"r.json", Some(1), Some(b"first.json")).await;
    assert_eq!(taken.unwrap_err().kind(), Kind::Exists);
    let none = doctor.restore_version(ROOT, b"r.json", Some(99), None).await.unwrap_err();
    assert_eq!(none.kind(), Kind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_sees_and_may_not_write_is_left_as_it_is_now() {
    let policy = super::support::POLICY.replace(
        "[section.medications]",
        "[section.allergies]\nread = \"physician@st-mary or pharmacist@board or owner@ana\"\n\
         write = \"physician@st-mary\"\n\n[section.medications]",
    );
    let realm = TestRealm::found_with(Bucket::memory(), &policy).await;
    let doctor = eager(&realm, "doctor").await;
    for (medicine, allergy) in [("a", "x"), ("b", "y")] {
        let text = format!(r#"{{"medications": ["{medicine}"], "allergies": ["{allergy}"]}}"#);
        save(&doctor, "/r.json", &text).await.unwrap();
    }
    let pharmacist = eager(&realm, "pharmacist").await;
    pharmacist.restore_version(ROOT, b"r.json", Some(1), None).await.unwrap();
    let mixed = r#"{"medications": ["a"], "allergies": ["y"]}"#;
    assert_eq!(read(&doctor, "/r.json").await, mixed);
    let ana = eager(&realm, "ana").await;
    let e = ana.restore_version(ROOT, b"r.json", Some(1), None).await.unwrap_err();
    assert_eq!(e.kind(), Kind::Denied, "who may write nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_file_comes_back_whole() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let doctor = drive(&realm, "doctor").await;
    let long = "long text\n".repeat(60_000);
    save(&doctor, "/long.txt", &long).await.unwrap();
    save(&doctor, "/long.txt", "short").await.unwrap();
    doctor.restore_version(ROOT, b"long.txt", None, None).await.unwrap();
    assert_eq!(read(&*drive(&realm, "doctor").await, "/long.txt").await, long);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_version_that_is_missing_or_another_is_not_passed_over() {
    let realm = with_versions().await;
    let doctor = eager(&realm, "doctor").await;
    let entry = doctor.records().find(realm.root, &realm.policy, b"r.json", Duration::ZERO);
    let located = entry.await.unwrap().entry.unwrap().located;
    let kept = objects(&realm.bucket, &format!("h/{}/", located.record)).await;
    assert_eq!(kept.len(), 4);
    let ino = doctor.resolve("/r.json").await.unwrap().ino;
    let of_root = realm.root.object();
    let get = async |name| realm.bucket.get(name, u64::MAX).await.unwrap().unwrap().bytes;
    for (i, name) in kept.iter().enumerate() {
        let honest = get(name).await;
        realm.bucket.delete(name).await.unwrap();
        let history = doctor.history(ino).await.unwrap();
        assert_eq!(history.missing.unwrap().kind(), Kind::NotFound);
        assert_eq!(history.versions.len(), 4 - i, "what is newer is still shown");
        // A version of another number, of another record, and one with a flipped byte.
        let other = get(&kept[(i + 1) % kept.len()]).await;
        let mut flipped = honest.to_vec();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        for bad in [other, get(&of_root).await, flipped.into()] {
            overwrite(&realm.bucket, name, bad).await;
            let e = doctor.history(ino).await.unwrap_err();
            assert_eq!(e.kind(), Kind::Integrity);
        }
        overwrite(&realm.bucket, name, honest).await;
    }
    assert_eq!(doctor.history(ino).await.unwrap().versions.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_that_differ_only_in_hidden_sections_look_the_same() {
    let mut histories = Vec::new();
    for labs in [&["[1]"][..], &["[1]", "[22]", "[333]"]] {
        let realm = TestRealm::found(Bucket::memory()).await;
        let doctor = eager(&realm, "doctor").await;
        for lab in labs {
            let text = format!(r#"{{"medications": ["a"], "labs": {lab}}}"#);
            save(&doctor, "/r.json", &text).await.unwrap();
        }
        let pharmacist = eager(&realm, "pharmacist").await;
        save(&pharmacist, "/r.json", r#"{"medications": ["b"]}"#).await.unwrap();
        histories.push(shown(&pharmacist, "/r.json").await);
    }
    assert_eq!(histories[0], histories[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_shows_the_tables_that_were_kept() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let doctor = eager(&realm, "doctor").await;
    save(&doctor, "/a.txt", "a").await.unwrap();
    doctor.unlink(ROOT, b"a.txt").await.unwrap();
    let history = doctor.history(ROOT).await.unwrap();
    assert_eq!(history.versions.len(), 2);
    assert!(history.versions.iter().all(|v| v.sections == ["names"]));
    assert!(history.versions[0].version > history.versions[1].version);
}
