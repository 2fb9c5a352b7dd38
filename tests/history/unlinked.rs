//! Who removes what: all of a record, or the part that he sees and may write.

use chartfs::error::Kind;
use chartfs::store::Bucket;
use chartfs::view::RenameMode;

use super::support::TestRealm;
use super::{ROOT, drive, eager, names, read, save, try_read};

const TEXT: &str = r#"{"medications": ["a"], "allergies": ["b"], "labs": [1]}"#;

/// The same without what the pharmacist may write: elements keep their white space.
const LEFT: &str = r#"{ "allergies": ["b"], "labs": [1]}"#;

async fn with_record() -> TestRealm {
    let realm = TestRealm::found(Bucket::memory()).await;
    save(&*eager(&realm, "doctor").await, "/r.json", TEXT).await.unwrap();
    realm
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_remove_takes_away_what_he_sees_and_may_write() {
    let realm = with_record().await;
    let pharmacist = eager(&realm, "pharmacist").await;
    pharmacist.unlink(ROOT, b"r.json").await.unwrap();
    assert_eq!(try_read(&pharmacist, "/r.json").await.unwrap_err().kind(), Kind::NotFound);
    let ana = eager(&realm, "ana").await;
    assert_eq!(read(&ana, "/r.json").await, TEXT, "the name may still come back");
    pharmacist.tidy().await.unwrap();
    assert_eq!(read(&ana, "/r.json").await, LEFT);
    assert_eq!(read(&pharmacist, "/r.json").await, "{}", "the name stays, with what is left");
    // His part is in the history.
    pharmacist.restore_version(ROOT, b"r.json", None, None).await.unwrap();
    let back = read(&ana, "/r.json").await;
    for part in [r#""medications": ["a"]"#, r#""allergies": ["b"]"#, r#""labs": [1]"#] {
        assert!(back.contains(part), "{back}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_the_drive_settles_what_was_taken_away() {
    let realm = with_record().await;
    let pharmacist = drive(&realm, "pharmacist").await;
    pharmacist.unlink(ROOT, b"r.json").await.unwrap();
    pharmacist.drain().await.unwrap();
    let ana = eager(&realm, "ana").await;
    assert_eq!(read(&ana, "/r.json").await, LEFT);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_remove_removes_all_of_it_and_it_can_be_brought_back() {
    // The doctor does not see the psychiatrist's section, and has the right to remove.
    let policy = super::support::POLICY.replace(
        "write = \"psychiatrist@north\"",
        "write = \"psychiatrist@north or physician@st-mary\"",
    );
    let realm = TestRealm::found_with(Bucket::memory(), &policy).await;
    let doctor = eager(&realm, "doctor").await;
    let text = r#"{"medications": ["a"], "mentalHealth": ["low"], "labs": [1]}"#;
    save(&doctor, "/r.json", text).await.unwrap();
    let ana = eager(&realm, "ana").await;
    let all = read(&ana, "/r.json").await;
    assert_eq!(all, text);
    assert!(!read(&doctor, "/r.json").await.contains("low"), "it is hidden from the doctor");
    doctor.unlink(ROOT, b"r.json").await.unwrap();
    doctor.tidy().await.unwrap();
    assert!(names(&ana, "/").await.is_empty());
    doctor.restore_name(ROOT, b"r.json", None, None).await.unwrap();
    assert_eq!(read(&ana, "/r.json").await, text, "every section as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_renamed_to_a_local_name_loses_only_what_its_remover_may_remove() {
    for local in ["r.json.bak", "r.json~", "#r.json#", ".#r.json"] {
        let realm = with_record().await;
        let pharmacist = eager(&realm, "pharmacist").await;
        let replace = RenameMode::Replace;
        pharmacist.rename(ROOT, b"r.json", ROOT, local.as_bytes(), replace).await.unwrap();
        assert_eq!(names(&pharmacist, "/").await, [local]);
        assert_eq!(read(&pharmacist, &format!("/{local}")).await, r#"{"medications": ["a"]}"#);
        let ana = eager(&realm, "ana").await;
        assert_eq!(read(&ana, "/r.json").await, TEXT);
        pharmacist.tidy().await.unwrap();
        assert_eq!(read(&ana, "/r.json").await, LEFT);
        assert_eq!(names(&ana, "/").await, ["r.json"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_renamed_to_another_name_stays_whole_when_its_old_name_does_not_come_back() {
    let policy = super::support::POLICY.replace(
        "remove = \"physician@st-mary\"",
        "remove = \"physician@st-mary or pharmacist@board\"",
    );
    let realm = TestRealm::found_with(Bucket::memory(), &policy).await;
    save(&*eager(&realm, "doctor").await, "/r.json", TEXT).await.unwrap();
    let pharmacist = eager(&realm, "pharmacist").await;
    pharmacist.rename(ROOT, b"r.json", ROOT, b"old.json", RenameMode::Replace).await.unwrap();
    pharmacist.tidy().await.unwrap();
    let ana = eager(&realm, "ana").await;
    assert_eq!(names(&ana, "/").await, ["old.json"]);
    assert_eq!(read(&ana, "/old.json").await, TEXT);
}

// `tar` and `git checkout` remove a file and make it anew.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_away_is_there_again_when_the_text_that_came_for_it_is_refused() {
    let realm = with_record().await;
    let ana = eager(&realm, "ana").await;
    let pharmacist = drive(&realm, "pharmacist").await;
    let seen = read(&pharmacist, "/r.json").await;
    pharmacist.unlink(ROOT, b"r.json").await.unwrap();
    let bad = r#"{"medications": ["a"], "labs": [2]}"#;
    assert_eq!(save(&pharmacist, "/r.json", bad).await.unwrap_err().kind(), Kind::Denied);
    assert_eq!(read(&pharmacist, "/r.json").await, seen);
    pharmacist.rename(ROOT, b"r.json", ROOT, b"r.json~", RenameMode::Replace).await.unwrap();
    assert_eq!(save(&pharmacist, "/r.json", bad).await.unwrap_err().kind(), Kind::Denied);
    assert_eq!(read(&pharmacist, "/r.json").await, seen);
    pharmacist.drain().await.unwrap();
    assert_eq!(read(&ana, "/r.json").await, TEXT, "the last good version stays");
}
