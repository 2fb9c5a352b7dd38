//! Names of locks, swap files, backups and half-written copies: they never reach the bucket, and a
//! record that goes by such a name for a while loses nothing.

use std::collections::BTreeMap;

use chartfs::key::hash::sha256;
use chartfs::store::{Bucket, ObjectName};
use chartfs::view::{RenameMode, View};

use super::support::TestRealm;
use super::{ROOT, drive, eager, names, objects, read, save};

const LOCAL_NAMES: [&str; 15] = [
    ".~lock.r.json#",
    ".r.json.swp",
    ".r.json.swpx",
    "4913",
    "r.json~",
    "r.json.bak",
    "r.json.tmp",
    ".goutputstream-A1B2C3",
    ".nfs000000000001",
    ".fuse_hidden0000000100000001",
    "lu18273ab.tmp",
    ".#r.json",
    "#r.json#",
    ".r.json.swo",
    "~r.tmp",
];

const TEXT: &str = r#"{"medications": ["a"], "allergies": ["b"], "labs": [1]}"#;
const SEEN: &str = r#"{"medications": ["a"]}"#;

/// Every object and a hash of its bytes.
async fn snapshot(bucket: &Bucket) -> BTreeMap<ObjectName, [u8; 32]> {
    let mut all = BTreeMap::new();
    for name in objects(bucket, "").await {
        let object = bucket.get(&name, u64::MAX).await.unwrap().unwrap();
        all.insert(name, sha256(&[&object.bytes]));
    }
    all
}

async fn with_record() -> TestRealm {
    let realm = TestRealm::found(Bucket::memory()).await;
    save(&*eager(&realm, "doctor").await, "/r.json", TEXT).await.unwrap();
    realm
}

async fn rename(view: &View, from: &str, to: &str) {
    let replace = RenameMode::Replace;
    view.rename(ROOT, from.as_bytes(), ROOT, to.as_bytes(), replace).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_a_local_name_leaves_the_bucket_as_it_was() {
    let realm = with_record().await;
    let pharmacist = eager(&realm, "pharmacist").await;
    let doctor = eager(&realm, "doctor").await;
    let before = snapshot(&realm.bucket).await;
    for name in LOCAL_NAMES {
        let path = format!("/{name}");
        save(&pharmacist, &path, "a canary sings").await.unwrap();
        save(&pharmacist, &path, "a canary sings again").await.unwrap();
        assert_eq!(read(&pharmacist, &path).await, "a canary sings again", "{name}");
        pharmacist.unlink(ROOT, name.as_bytes()).await.unwrap();
        save(&pharmacist, &path, "a third canary").await.unwrap();
        pharmacist.tidy().await.unwrap();
        pharmacist.drain().await.unwrap();
        assert_eq!(snapshot(&realm.bucket).await, before, "{name}");
        assert_eq!(names(&doctor, "/").await, ["r.json"], "{name}");
    }
    // The comparison can fail.
    save(&pharmacist, "/named.txt", "a canary sings").await.unwrap();
    save(&pharmacist, "/not-vim-s.swp", "a canary sings").await.unwrap();
    assert_ne!(snapshot(&realm.bucket).await, before);
    assert_eq!(names(&doctor, "/").await.len(), 3);
}

/// Returns what this process has in files without a name.
fn nameless_files() -> Vec<Vec<u8>> {
    let open = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok);
    let nameless = open.filter(|e| {
        std::fs::read_link(e.path()).is_ok_and(|to| to.to_string_lossy().ends_with(" (deleted)"))
    });
    nameless.filter_map(|e| std::fs::read(e.path()).ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_text_of_a_local_name_is_encrypted_on_the_disk() {
    let realm = with_record().await;
    let pharmacist = drive(&realm, "pharmacist").await;
    let canary = "a canary sings ";
    save(&pharmacist, "/r.json.bak", &canary.repeat(20_000)).await.unwrap();
    let on_disk = nameless_files();
    assert!(on_disk.iter().any(|f| f.len() >= 4 << 16), "the text is on the disk");
    for file in on_disk {
        assert!(!file.windows(canary.len()).any(|w| w == canary.as_bytes()));
    }
    assert_eq!(read(&pharmacist, "/r.json.bak").await, canary.repeat(20_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_a_local_name_that_is_renamed_over_a_record_is_merged_into_it() {
    for name in LOCAL_NAMES {
        let realm = with_record().await;
        let pharmacist = eager(&realm, "pharmacist").await;
        let edited = SEEN.replace("\"a\"", "\"A\"");
        save(&pharmacist, &format!("/{name}"), &edited).await.unwrap();
        rename(&pharmacist, name, "r.json").await;
        let ana = eager(&realm, "ana").await;
        assert_eq!(read(&ana, "/r.json").await, TEXT.replace("\"a\"", "\"A\""), "{name}");
        assert_eq!(names(&pharmacist, "/").await, ["r.json"], "{name}");
        assert_eq!(read(&pharmacist, "/r.json").await, edited, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_renamed_to_a_local_name_and_made_anew_keeps_what_is_hidden() {
    for name in LOCAL_NAMES {
        let realm = with_record().await;
        let pharmacist = drive(&realm, "pharmacist").await;
        rename(&pharmacist, "r.json", name).await;
        let edited = SEEN.replace("\"a\"", "\"A\"");
        save(&pharmacist, "/r.json", &edited).await.unwrap();
        assert_eq!(read(&pharmacist, &format!("/{name}")).await, SEEN, "{name}");
        pharmacist.unlink(ROOT, name.as_bytes()).await.unwrap();
        pharmacist.drain().await.unwrap();
        let ana = eager(&realm, "ana").await;
        assert_eq!(read(&ana, "/r.json").await, TEXT.replace("\"a\"", "\"A\""), "{name}");
        assert_eq!(names(&ana, "/").await, ["r.json"], "{name}");
    }
}

// A program that stops between the two steps, and one that thinks better of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_goes_by_a_local_name_and_comes_back_is_as_it_was() {
    for name in LOCAL_NAMES {
        let realm = with_record().await;
        let pharmacist = drive(&realm, "pharmacist").await;
        rename(&pharmacist, "r.json", name).await;
        rename(&pharmacist, name, "r.json").await;
        pharmacist.drain().await.unwrap();
        let ana = eager(&realm, "ana").await;
        assert_eq!(read(&ana, "/r.json").await, TEXT, "{name}");
        assert_eq!(read(&pharmacist, "/r.json").await, SEEN, "{name}");
    }
}
