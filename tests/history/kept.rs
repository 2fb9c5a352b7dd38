//! Texts that could not be committed: they outlive the program, the mount and the machine.

use std::path::Path;

use chartfs::error::Kind;
use chartfs::store::Bucket;
use chartfs::view::{Access, RejectedText, RejectedTexts, RenameMode, TEXTS_MAX, View};

use super::fake_s3::FakeS3;
use super::support::TestRealm;
use super::{ROOT, begin_edit, drive, eager, end_edit, names, read, save};

const BAD: &str = r#"{"medications": ["a"], "labs": [2]}"#;

fn texts_of(view: &View, folder: &Path) -> RejectedTexts {
    RejectedTexts::open(folder.join("texts"), view.records().keyring().clone()).unwrap()
}

fn text_of(texts: &RejectedTexts, listed: &RejectedText) -> String {
    let mut all = Vec::new();
    let take = |piece: &[u8]| {
        all.extend_from_slice(piece);
        Ok(())
    };
    texts.read(&listed.id, take).unwrap();
    String::from_utf8(all).unwrap()
}

async fn with_record() -> TestRealm {
    let realm = TestRealm::found(Bucket::memory()).await;
    let doctor = eager(&realm, "doctor").await;
    doctor.make_dir(ROOT, b"ward", 0o700).await.unwrap();
    save(&doctor, "/ward/r.json", r#"{"medications": ["a"], "labs": [1]}"#).await.unwrap();
    realm
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_text_is_there_when_the_drive_is_gone() {
    let realm = with_record().await;
    let home = tempfile::tempdir().unwrap();
    let pharmacist = drive(&realm, "pharmacist").await;
    pharmacist.keep_rejected_in(texts_of(&pharmacist, home.path()));
    let handle = begin_edit(&pharmacist, "/ward/r.json", BAD).await;
    // A program that asks three times has one text.
    for _ in 0..2 {
        assert_eq!(pharmacist.fsync(handle).await.unwrap_err().kind(), Kind::Denied);
    }
    assert_eq!(pharmacist.flush(handle).await.unwrap_err().kind(), Kind::Denied);
    let again = texts_of(&pharmacist, home.path());
    assert_eq!(again.list().unwrap().len(), 1, "before the file is closed");
    pharmacist.release(handle).await;
    drop(pharmacist);

    let listed = again.list().unwrap();
    let [text] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!(text.path, b"/ward/r.json");
    assert_eq!(text.size_bytes, BAD.len() as u64);
    assert!(text.reason.contains("labs"), "{}", text.reason);
    assert_eq!(text_of(&again, text), BAD);
    let ana = eager(&realm, "ana").await;
    assert_eq!(read(&ana, "/ward/r.json").await, r#"{"medications": ["a"], "labs": [1]}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_on_takes_the_place_of_the_same_draft_and_goes_when_it_is_committed() {
    let realm = with_record().await;
    let home = tempfile::tempdir().unwrap();
    let pharmacist = drive(&realm, "pharmacist").await;
    let texts = texts_of(&pharmacist, home.path());
    pharmacist.keep_rejected_in(texts_of(&pharmacist, home.path()));
    let handle = begin_edit(&pharmacist, "/ward/r.json", BAD).await;
    pharmacist.fsync(handle).await.unwrap_err();
    let longer = BAD.replace("[2]", "[2, 3]");
    pharmacist.write(handle, 0, longer.clone().into()).await.unwrap();
    pharmacist.fsync(handle).await.unwrap_err();
    let listed = texts.list().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(text_of(&texts, &listed[0]), longer);
    // The program gives in.
    let good = r#"{"medications": ["b"]}"#;
    pharmacist.write(handle, 0, good.into()).await.unwrap();
    let cut = chartfs::view::SetAttr { size_bytes: Some(22), ..Default::default() };
    let ino = pharmacist.resolve("/ward/r.json").await.unwrap().ino;
    pharmacist.set_attr(ino, Some(handle), cut).await.unwrap();
    end_edit(&pharmacist, handle).await;
    assert!(texts.list().unwrap().is_empty());
    assert_eq!(read(&pharmacist, "/ward/r.json").await, good);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_refused_texts_are_both_kept_and_a_new_file_too() {
    let realm = with_record().await;
    let home = tempfile::tempdir().unwrap();
    let pharmacist = drive(&realm, "pharmacist").await;
    let texts = texts_of(&pharmacist, home.path());
    pharmacist.keep_rejected_in(texts_of(&pharmacist, home.path()));
    let other = BAD.replace("[2]", "[3]");
    for text in [BAD, &other] {
        let handle = begin_edit(&pharmacist, "/ward/r.json", text).await;
        pharmacist.flush(handle).await.unwrap_err();
        pharmacist.release(handle).await;
    }
    save(&pharmacist, "/ward/new.json", BAD).await.unwrap_err();
    let listed = texts.list().unwrap();
    let found: Vec<_> = listed.iter().map(|t| (t.path.clone(), text_of(&texts, t))).collect();
    let record = || b"/ward/r.json".to_vec();
    let new = (b"/ward/new.json".to_vec(), BAD.to_owned());
    assert_eq!(found, [(record(), BAD.to_owned()), (record(), other), new]);
    // The names beside the record are of this mount.
    let ana = eager(&realm, "ana").await;
    assert_eq!(names(&ana, "/ward").await, ["r.json"]);
    assert_eq!(names(&pharmacist, "/ward").await.len(), 4);
}

// `sed -i` removes the new file when it may not be renamed over the old one.
#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_may_not_be_renamed_over_a_record_is_kept() {
    let realm = with_record().await;
    let home = tempfile::tempdir().unwrap();
    let pharmacist = drive(&realm, "pharmacist").await;
    let texts = texts_of(&pharmacist, home.path());
    pharmacist.keep_rejected_in(texts_of(&pharmacist, home.path()));
    let ward = pharmacist.resolve("/ward").await.unwrap().ino;
    save(&pharmacist, "/ward/sedAb12Cd", BAD).await.unwrap();
    let over = pharmacist.rename(ward, b"sedAb12Cd", ward, b"r.json", RenameMode::Replace).await;
    assert_eq!(over.unwrap_err().kind(), Kind::Denied);
    pharmacist.unlink(ward, b"sedAb12Cd").await.unwrap();
    let listed = texts.list().unwrap();
    let [text] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!(text.path, b"/ward/r.json");
    assert!(text.reason.contains("labs"), "{}", text.reason);
    assert_eq!(text_of(&texts, text), BAD);
}

// The kernel lets go of a closed file a moment after `close` returns, and the next program may be
// faster than that.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_text_stays_when_another_program_writes_before_the_file_is_let_go() {
    let realm = with_record().await;
    let home = tempfile::tempdir().unwrap();
    let pharmacist = drive(&realm, "pharmacist").await;
    let texts = texts_of(&pharmacist, home.path());
    pharmacist.keep_rejected_in(texts_of(&pharmacist, home.path()));
    let other = BAD.replace("[2]", "[3]");
    let first = begin_edit(&pharmacist, "/ward/r.json", BAD).await;
    pharmacist.flush(first).await.unwrap_err();
    let second = begin_edit(&pharmacist, "/ward/r.json", &other).await;
    pharmacist.release(first).await;
    pharmacist.flush(second).await.unwrap_err();
    pharmacist.release(second).await;
    let kept: Vec<_> = texts.list().unwrap().iter().map(|t| text_of(&texts, t)).collect();
    assert_eq!(kept, [BAD.to_owned(), other]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_is_told_to_the_program_and_drops_nothing() {
    let realm = with_record().await;
    let home = tempfile::tempdir().unwrap();
    let pharmacist = drive(&realm, "pharmacist").await;
    pharmacist.keep_rejected_in(texts_of(&pharmacist, home.path()));
    let taken = |i: usize| home.path().join(format!("texts/{i:08x}.text"));
    for i in 0..TEXTS_MAX {
        std::fs::write(taken(i), b"").unwrap();
    }
    let handle = begin_edit(&pharmacist, "/ward/r.json", BAD).await;
    let e = pharmacist.flush(handle).await.unwrap_err();
    assert_eq!(e.kind(), Kind::NoSpace);
    assert!(e.why().unwrap().contains("labs"), "the first reason is told too: {e}");
    pharmacist.release(handle).await;
    assert!((0..TEXTS_MAX).all(|i| taken(i).exists()));
    let beside = names(&pharmacist, "/ward").await;
    assert_eq!(beside.len(), 2, "the text is still beside the record: {beside:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_committed_is_kept_until_it_is() {
    let server = FakeS3::start().await;
    let realm = TestRealm::found(server.impatient_bucket().await).await;
    let doctor = drive(&realm, "doctor").await;
    let home = tempfile::tempdir().unwrap();
    let texts = texts_of(&doctor, home.path());
    doctor.keep_rejected_in(texts_of(&doctor, home.path()));
    save(&doctor, "/r.txt", "old").await.unwrap();
    let entry =
        doctor.records().find(realm.root, &realm.policy, b"r.txt", std::time::Duration::MAX);
    let located = entry.await.unwrap().entry.unwrap().located;
    server.hold("PUT", located.object().as_str());
    let ino = doctor.resolve("/r.txt").await.unwrap().ino;
    let access = Access { write: true, truncate: true, ..Access::default() };
    let opened = doctor.open(ino, access).await.unwrap();
    doctor.write(opened.handle, 0, "new".into()).await.unwrap();
    let e = doctor.flush(opened.handle).await.unwrap_err();
    assert_eq!(e.kind(), Kind::Unavailable);
    doctor.release(opened.handle).await;
    let listed = texts.list().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].path[..], text_of(&texts, &listed[0])), (&b"/r.txt"[..], "new".into()));
    assert!(listed[0].reason.contains("reach"), "{}", listed[0].reason);
    assert_eq!(read(&doctor, "/r.txt").await, "new", "the mount still has it");
    // The bucket is back, and the drive is left.
    server.release();
    doctor.drain().await.unwrap();
    assert!(texts.list().unwrap().is_empty());
    assert_eq!(read(&*eager(&realm, "doctor").await, "/r.txt").await, "new");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_committed_when_the_time_to_leave_is_over_is_kept() {
    let realm = with_record().await;
    let home = tempfile::tempdir().unwrap();
    let doctor = drive(&realm, "doctor").await;
    doctor.keep_rejected_in(texts_of(&doctor, home.path()));
    let _handle = begin_edit(&doctor, "/ward/r.json", "being written").await;
    let late = chartfs::error::Error::new(Kind::Unavailable, "the bucket took too long");
    doctor.keep_all_unsaved(&late).await;
    let texts = texts_of(&doctor, home.path());
    let listed = texts.list().unwrap();
    assert_eq!(text_of(&texts, &listed[0]), "being written");
}
